"""
Looking at links from where they are dialled: probes of ours in a node's own network.

Owns: dialling, asking and TLS handshakes on a link as its source would do them, and recording for
each link whether our handshake succeeds, in the mode and with the trust that its source runs by.
Refuses: judging. A probe leaves packets on the link's counters, so felt evidence is always read
before the probe that follows it.
"""

from __future__ import annotations

import functools
import socket
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace

from chaoskit import clock, exchange, handshake, http2, rpc
from chaoskit.backend import Backend
from chaoskit.errors import ChaosError
from chaoskit.handshake import Dial, Outcome, Serving
from chaoskit.history import Recorder
from chaoskit.mesh import Link, Mesh
from chaoskit.node import Node
from chaoskit.system import Port, System

DIAL_TIMEOUT_S = 0.5
HANDSHAKE_TIMEOUT_S = 1.0
_MARGIN_S = 2.0
_NONSENSE = b"GET /nothing HTTP/1.0\r\nConnection: close\r\n\r\n"
_WORKERS = 8


@dataclass(frozen=True, slots=True)
class Met:
    """What a question of ours on a link met, and how long until that was known."""

    answered: bool
    kind: Outcome
    took_s: float

    def __str__(self) -> str:
        return f"{self.kind.value} after {self.took_s * 1000:.1f} ms"


@dataclass(frozen=True, slots=True)
class Said:
    """
    A word of ours on a link: from which address and port, when (monotonic seconds), and what came
    back first; nothing when the other end kept silent or hung up.
    """

    source: tuple[str, int]
    said_s: float
    answer: bytes


@dataclass(slots=True)
class Wire:
    """Probes over the links of one cluster."""

    system: System
    backend: Backend
    nodes: Mapping[str, Node]
    mesh: Mesh
    recorder: Recorder
    _said: dict[str, bool] = field(default_factory=dict)

    def linked_port(self) -> Port:
        """The port that peers dial. Raises ChaosError when the system has none."""
        ports = self.system.linked_ports
        if not ports:
            raise ChaosError(f"{self.system.name} declares no linked port: there are no links")
        return ports[0]

    def dial(self, source: str, target: str, *, timeout_s: float) -> Dial:
        """Connect to the link source>target from the source's network."""
        address = self.mesh.link(source, target).address
        port = self.linked_port().number
        return self.backend.inside(
            source,
            lambda: handshake.dial(address, port, timeout_s=timeout_s),
            timeout_s=timeout_s + _MARGIN_S,
        )

    def ask(self, source: str, target: str, *, timeout_s: float, padding_bytes: int = 0) -> Met:
        """
        Put a question on the link, in the mode its target serves, and await an answer.

        Under TLS a hello, in HTTP/2 a ping, else a request, these two padded to `padding_bytes`.
        `answered` is false when it was refused or reset, when nothing came back, and when the
        connection ended without a byte.
        Only a plain server that does the same on the harness's own link has answered by closing: it
        does not understand the request. (A toxic that drops bytes lets a close through.)
        """
        address = self.mesh.link(source, target).address
        question = functools.partial(self._question, target, timeout_s, padding_bytes)
        met = self.backend.inside(
            source, lambda: question(address), timeout_s=2 * timeout_s + _MARGIN_S
        )
        if met.kind is not Outcome.CLOSED or self.secure(target) or self.linked_port().http2:
            return met
        control = self.ask_beside(target, timeout_s=timeout_s, padding_bytes=padding_bytes)
        return replace(met, answered=control.kind is Outcome.CLOSED)

    def ask_beside(self, target: str, *, timeout_s: float, padding_bytes: int = 0) -> Met:
        """Put the same question to a node on the harness's own link, which no fault touches."""
        own = self.backend.layout.watch[target]
        return self._question(target, timeout_s, padding_bytes, own)

    def _question(self, target: str, timeout_s: float, padding_bytes: int, address: str) -> Met:
        port = self.linked_port()
        if self.secure(target):
            seen = handshake.look(
                address, port.number, timeout_s=timeout_s, server_name=target, authority_pem=None
            )
            answered = seen.kind in {Outcome.TLS, Outcome.PLAINTEXT}
            return Met(answered, seen.kind, seen.took_s)
        if port.http2:
            met = http2.ping(address, port.number, timeout_s=timeout_s, padding_bytes=padding_bytes)
        else:
            request = b"GET /" + b"x" * padding_bytes + b" HTTP/1.0\r\n\r\n"
            met = handshake.ask(address, port.number, request, timeout_s=timeout_s)
        return Met(met.kind is Outcome.ANSWERED, met.kind, met.took_s)

    def say(self, source: str, target: str, word: bytes, *, timeout_s: float) -> Said:
        """
        Say a word on the link, and take what comes back first.

        Raises ChaosError where nothing can be said: it was refused, or broke before.
        """
        address, port = self.mesh.link(source, target).address, self.linked_port().number

        def saying() -> Said:
            with exchange.Probe(address, port, timeout_s, socket.create_connection) as probe:
                connection = probe.dial()
                host, own = connection.getsockname()
                said_s = clock.monotonic()
                probe.send(connection, word, probe.ends_s)
                answer = b""
                with suppress(exchange.Ended):
                    answer = probe.receive(connection, probe.ends_s)
                return Said((host, own), said_s, answer)

        try:
            return self.backend.inside(source, saying, timeout_s=timeout_s + _MARGIN_S)
        except exchange.Ended as end:
            raise ChaosError(f"nothing can be said on {source}>{target}: {end.outcome}") from end

    def close_time_s(self, source: str, target: str, *, timeout_s: float) -> float:
        """
        Make the target of the link close on us, by a request it must refuse or end; how long
        until the close reached us. `timeout_s` when it never did.
        """
        address, port = self.mesh.link(source, target).address, self.linked_port().number

        def provoke() -> float:
            begun_s = clock.monotonic()
            try:
                with socket.create_connection((address, port), timeout_s) as connection:
                    connection.sendall(_NONSENSE)
                    while connection.recv(4096):
                        left_s = timeout_s - (clock.monotonic() - begun_s)
                        connection.settimeout(max(0.01, left_s))
            except TimeoutError:
                return timeout_s
            except OSError as error:
                raise ChaosError(f"{source}>{target}: {error.strerror}") from error
            return clock.monotonic() - begun_s

        return self.backend.inside(source, provoke, timeout_s=2 * timeout_s + _MARGIN_S)

    def look(self, source: str, target: str, *, timeout_s: float) -> Serving:
        """What the link's port serves, seen from the source with the source's own trust."""
        address = self.mesh.link(source, target).address
        port = self.linked_port().number
        node = self.nodes[source]
        placement = node.placement()
        return self.backend.inside(
            source,
            lambda: handshake.look(
                address,
                port,
                timeout_s=timeout_s,
                server_name=target,
                authority_pem=placement.authority_pem or None,
                credential=placement.credential,
            ),
            timeout_s=2 * timeout_s + _MARGIN_S,
        )

    def call(self, source: str, target: str, *, timeout_s: float) -> rpc.Answer:
        """What becomes of a call of gRPC over TLS on the link that nobody knows."""
        address, port = self.mesh.link(source, target).address, self.linked_port().number
        return self.backend.inside(
            source,
            lambda: rpc.call(address, port, timeout_s=timeout_s, server_name=target),
            timeout_s=timeout_s + _MARGIN_S,
        )

    def secure(self, node: str) -> bool:
        """Whether a node runs its linked port under TLS, by its present settings."""
        port = self.linked_port()
        settings = self.nodes[node].placement().settings
        plain = port.plaintext and all(
            settings.get(name) == value for name, value in port.plaintext.items()
        )
        return port.secure and not plain

    def survey(self, around: Iterable[str]) -> None:
        """
        Shake hands on every link that begins or ends at one of `around`, both ends running and the
        link not cut, and record each outcome that is new.
        """
        touched = set(around)
        self._survey([one for one in self.whole_links() if {one.source, one.target} & touched])

    def survey_again(self) -> None:
        """
        Shake hands once more where it failed the last time, as `survey` does: a node that had only
        just been started then may listen by now.
        """
        self._survey([one for one in self.whole_links() if not self._said.get(one.name, True)])

    def whole_links(self) -> list[Link]:
        """The links that are not cut, with both ends running."""
        running = {name for name, node in self.nodes.items() if node.state == "running"}
        cut = self.mesh.cut_links()
        return [
            link
            for link in self.mesh.links.values()
            if {link.source, link.target} <= running and link.name not in cut
        ]

    def _survey(self, links: Sequence[Link]) -> None:
        if not links:
            return
        with ThreadPoolExecutor(_WORKERS, thread_name_prefix="survey") as pool:
            outcomes = list(pool.map(lambda link: self._shake(link.source, link.target), links))
        for link, (good, detail) in zip(links, outcomes, strict=True):
            if self._said.get(link.name, True) != good:
                self.recorder.record(
                    "chaoskit",
                    "handshake",
                    {"source": link.source, "target": link.target, "detail": detail},
                    kind="ok" if good else "fail",
                )
            self._said[link.name] = good

    def _shake(self, source: str, target: str) -> tuple[bool, str]:
        """Whether a handshake as the source would do it succeeds, and what was met."""
        try:
            if self.secure(source) or self.linked_port().secure:
                seen = self.look(source, target, timeout_s=HANDSHAKE_TIMEOUT_S)
                reason = f", {seen.reason.value}" if seen.reason else ""
                return seen.kind is Outcome.TLS and bool(seen.trusted), f"{seen.kind.value}{reason}"
            met = self.dial(source, target, timeout_s=DIAL_TIMEOUT_S)
        except ChaosError as error:  # the source went down meanwhile
            return False, str(error)
        return met.kind is Outcome.ACCEPTED, met.kind.value
