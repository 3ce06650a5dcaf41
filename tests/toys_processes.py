"""
Toys as plain processes over loopback, for tests: started by their System's own command.

Owns: the processes, and a relay that counts the bytes of every directed link and can cut links.
Each cluster has its own addresses in 127.0.0.0/8; the ports are the System's.
"""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from chaoskit import clock
from chaoskit.certificates import Credential
from chaoskit.clock import wait_until
from chaoskit.system import (
    Endpoint,
    Observation,
    Operation,
    OutcomeUnknown,
    Placement,
    Rejected,
    System,
    Unobserved,
)
from nodes.toys.core import LINGER_S
from nodes.toys.transport import ANSWER_S
from suites.toys.system import CLIENT_PORT, PEER_PORT, ToysClient, observe
from tests.fakes import own_prefix

ROOT = Path(__file__).parent.parent
CLUSTERS = itertools.count(1)
PATIENCE_S = 60.0
NO_ANSWER = ("refused", "unknown")
# So long after its last operation, and the answers to that, a leader tells its followers nothing.
SILENT_S = LINGER_S + 2 * ANSWER_S


@dataclass
class Relay:
    """Forwards each directed link, counts its bytes, cuts it; a thread with a loop of its own."""

    places: Mapping[tuple[str, str], tuple[str, str]]
    sizes_bytes: dict[tuple[str, str], int] = field(default_factory=dict)
    cut: set[tuple[str, str]] = field(default_factory=set)
    open: dict[tuple[str, str], set[asyncio.Task[None]]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self.sizes_bytes = dict.fromkeys(self.places, 0)
        self.open = {link: set() for link in self.places}
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="relay")
        self.thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self.loop).result(PATIENCE_S)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self.loop).result(PATIENCE_S)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(PATIENCE_S)
        self.loop.close()

    @property
    def total_bytes(self) -> int:
        """Bytes over all links since the start."""
        return sum(self.sizes_bytes.values())

    def isolate(self, node: str) -> None:
        """Cut every link from and to a node; open connections are reset."""
        links = [link for link in self.places if node in link]
        self.loop.call_soon_threadsafe(self._cut, links)
        wait_until(
            lambda: not any(self.open[link] for link in links),
            what="links cut",
            timeout_s=PATIENCE_S,
        )

    def heal(self) -> None:
        """Let every link be dialled again."""
        self.cut.clear()

    def _cut(self, links: Sequence[tuple[str, str]]) -> None:
        self.cut |= set(links)
        for link in links:
            for task in self.open[link]:
                task.cancel()

    async def _listen(self) -> None:
        self.servers = [
            await asyncio.start_server(self._serve(link), address, PEER_PORT)
            for link, (address, _) in self.places.items()
        ]

    async def _close(self) -> None:
        for server in self.servers:
            server.close()
        self._cut(list(self.places))
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*tasks, return_exceptions=True)

    def _serve(
        self, link: tuple[str, str]
    ) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
        def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if link in self.cut:
                writer.transport.abort()
                return
            task = self.loop.create_task(self._join(link, reader, writer))
            self.open[link].add(task)
            task.add_done_callback(self.open[link].discard)
            # Also of a task that was cancelled before its first step, and so never began to join.
            task.add_done_callback(lambda _: writer.transport.abort())

        return serve

    async def _join(
        self, link: tuple[str, str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        far: asyncio.StreamWriter | None = None
        try:
            back, far = await asyncio.open_connection(self.places[link][1], PEER_PORT)
            await asyncio.wait(
                [
                    self.loop.create_task(self._pump(link, reader, far)),
                    self.loop.create_task(self._pump(link, back, writer)),
                ],
                return_when=asyncio.FIRST_COMPLETED,
            )
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            if far is not None:
                far.transport.abort()

    async def _pump(
        self, link: tuple[str, str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                self.sizes_bytes[link] += len(data)
                writer.write(data)


@dataclass
class Toys:
    """The processes of one cluster, with a relay between them."""

    system: System
    folder: Path
    credentials: dict[str, Credential] = field(default_factory=dict)
    authority_pem: bytes = b""
    settings: dict[str, Mapping[str, str]] = field(default_factory=dict)
    release: str = "1"
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)  # done, refused, unknown

    def __enter__(self) -> Self:
        names = self.system.nodes
        net = own_prefix(f"toys {next(CLUSTERS)}")
        self.address = {name: f"{net}.{i}" for i, name in enumerate(names, 1)}
        pairs = [(a, b) for a in names for b in names if a != b]
        self.links = {pair: f"{net}.{i}" for i, pair in enumerate(pairs, 50)}
        self.relay = Relay({pair: (self.links[pair], self.address[pair[1]]) for pair in pairs})
        self.relay.__enter__()
        for name in names:
            (self.folder / name / "data").mkdir(parents=True)
            self.start(name)
        self.await_ready(names)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait(PATIENCE_S)
        self.relay.__exit__(kind, error, trace)

    def placement(self, name: str) -> Placement:
        """What the node is told when it starts."""
        hosts = {other: self.links.get((name, other), "") for other in self.system.nodes}
        return Placement(
            name=name,
            peers=self.system.nodes,
            release=self.release,
            settings=dict(self.system.settings) | dict(self.settings.get(name, {})),
            hosts=hosts,
            bind=self.address[name],
            ports={"peer": PEER_PORT, "client": CLIENT_PORT},
            data=str(self.folder / name / "data"),
            config=str(self.folder / name),
            credential=self.credentials.get(name),
            authority_pem=self.authority_pem,
        )

    def start(self, name: str) -> None:
        """Start a node as its System says."""
        placement = self.placement(name)
        for file in self.system.files(placement):
            (self.folder / name / file.path).write_bytes(file.content)
        python, *arguments = self.system.command(placement)
        assert python == "python3"
        with (self.folder / name / "log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, *arguments], cwd=ROOT, stderr=log
            )

    def kill(self, name: str) -> None:
        """SIGKILL."""
        self.processes[name].kill()
        self.processes[name].wait(PATIENCE_S)

    def log(self, name: str) -> str:
        """What the node wrote."""
        return (self.folder / name / "log").read_text()

    def endpoint(self, name: str) -> Endpoint:
        """Where the node's ports are."""
        return Endpoint(name, self.address[name], {"peer": PEER_PORT, "client": CLIENT_PORT})

    def see(self, name: str, timeout_s: float = PATIENCE_S) -> Observation:
        """One sample."""
        return observe(self.endpoint(name), timeout_s)

    def await_ready(self, names: Sequence[str]) -> None:
        """Wait until the nodes answer."""

        def ready() -> bool:
            try:
                return all(self.see(name).ready for name in names)
            except Unobserved:
                return False

        wait_until(ready, what=f"{names} ready", timeout_s=PATIENCE_S)

    def ask(self, name: str, f: str, **value: str | None) -> str:
        """One operation: its answer's one word: a value, ok, swapped, kept, refused, unknown."""
        answer = self._asked(name, f, value)
        self.outcomes[answer if answer in NO_ANSWER else "done"] += 1
        return answer

    def _asked(self, name: str, f: str, value: Mapping[str, str | None]) -> str:
        client = ToysClient(self.endpoint(name), self.system.traffic.timeout_s)  # type: ignore[union-attr]
        try:
            result = client.invoke(Operation(f, value))
        except Rejected:
            return "refused"
        except OutcomeUnknown:
            return "unknown"
        finally:
            client.close()
        match f:
            case "get":
                return str(result["value"])
            case "cas":
                return "swapped" if result["swapped"] else "kept"
        return "ok"

    def acknowledged(self, name: str, key: str, value: str) -> None:
        """Put until it is acknowledged: what a test begins with, however slow the machine."""
        wait_until(
            lambda: self.ask(name, "put", key=key, value=value) == "ok",
            what=f"{key} = {value} acknowledged by {name}",
            timeout_s=PATIENCE_S,
        )

    def await_answer(self, name: str, key: str, value: str) -> None:
        """Ask until the node answers `value`: a leader that was replaced has yet to learn it."""
        wait_until(
            lambda: self.ask(name, "get", key=key) == value,
            what=f"{key} = {value} at {name}",
            timeout_s=PATIENCE_S,
        )

    def answered(self, name: str, f: str, **value: str | None) -> str:
        """Ask until the node answers what was asked, not that it could not; answers that."""

        def answer() -> str | None:
            said = self.ask(name, f, **value)
            return None if said in NO_ANSWER else said

        return wait_until(answer, what=f"{name} answers a {f}", timeout_s=PATIENCE_S)

    def swapped(self, name: str, key: str, expect: str | None, value: str) -> None:
        """Swap: `kept` is an answer where the outcome of an earlier try is unknown, and holds."""
        unknown = self.outcomes["unknown"]
        said = self.answered(name, "cas", key=key, expect=expect, value=value)
        assert said == "swapped" or (said == "kept" and self.outcomes["unknown"] > unknown)
        self.await_answer(name, key, value)

    def await_agreement(self, names: Sequence[str]) -> Observation:
        """
        Wait until the nodes show one progress, and one digest, with no operation under way; answers
        what the first shows. A follower that was late for all that its leader had to say hears the
        rest with the next operation: it is given one whenever the leader must be silent by now.
        """
        silent_s = clock.monotonic() + SILENT_S

        def same() -> Observation | None:
            nonlocal silent_s
            seen = [self.see(name) for name in names]
            under_way = sum(one.detail["waiting"] for one in seen)
            if len({(one.progress, one.digest) for one in seen}) == 1 and not under_way:
                return seen[0]
            if clock.monotonic() > silent_s:
                self.ask(names[0], "get", key="k")
                silent_s = clock.monotonic() + SILENT_S
            return None

        return wait_until(same, what=f"{names} at one height", timeout_s=PATIENCE_S)
