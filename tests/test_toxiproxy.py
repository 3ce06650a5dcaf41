"""The Toxiproxy client against the real server, and against servers that lie, hang or are none."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from chaoskit import connections
from chaoskit.clock import monotonic, wait_until
from chaoskit.errors import ChaosError
from chaoskit.toxics import (
    Bandwidth,
    Latency,
    LimitData,
    ResetPeer,
    SlowClose,
    Timeout,
    Toxic,
    to_document,
)
from chaoskit.toxiproxy import (
    NotAsAsked,
    ProxyNotFound,
    ProxySpec,
    ProxyState,
    ServerFailed,
    TimedOut,
    ToxicExists,
    ToxicNotFound,
    ToxiproxyClient,
    ToxiproxyFailed,
    Unreachable,
    server_binary,
)
from tests.fakes import free_port, own_host, own_prefix

OFF = {"enabled": False}
TOXICS: tuple[Toxic, ...] = (
    Latency(0.2, "upstream"),
    Latency(0.05, "upstream"),
    Bandwidth(0, "upstream"),
    Timeout(0, "upstream"),
    Bandwidth(64, "downstream"),
    Timeout(0.3, "downstream"),
    ResetPeer(0, "downstream"),
    SlowClose(0.1, "downstream"),
    LimitData(2, "downstream"),
)


HOST = own_host()
LONG_S = 30.0  # no machine takes that long for what is meant to be done in time


@contextmanager
def running_server() -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    port = free_port(HOST)
    process = subprocess.Popen(
        [server_binary(), "-host", HOST, "-port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def answers() -> bool:
        with ToxiproxyClient(HOST, port, timeout_s=1.0) as client:
            try:
                return bool(client.version())
            except Unreachable:
                return False

    try:
        wait_until(answers, what="toxiproxy-server", timeout_s=LONG_S)
        yield process, port
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def shared_port() -> Iterator[int]:
    with running_server() as (_, port):
        yield port


@pytest.fixture
def client(shared_port: int) -> Iterator[ToxiproxyClient]:
    """A client of a real server without proxies."""
    with ToxiproxyClient(HOST, shared_port, timeout_s=LONG_S) as client:
        yield client
        delete_all(shared_port)


def delete_all(port: int) -> None:
    everything = f"http://{HOST}:{port}/proxies"
    for name in requests.get(everything, timeout=LONG_S).json():
        gone = requests.delete(f"{everything}/{quote(name, safe='')}", timeout=LONG_S)
        assert gone.status_code == 204


@pytest.fixture
def echo() -> Iterator[str]:
    """HOST:PORT of a server that sends back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threads: list[threading.Thread] = []

        def serve(connection: socket.socket) -> None:
            with connection:
                try:
                    while data := connection.recv(65536):
                        connection.sendall(data)
                except ConnectionError:
                    pass  # a toxic did that

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threads.append(threading.Thread(target=serve, args=(connection,)))
                threads[-1].start()

        acceptor = threading.Thread(target=accept)
        acceptor.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        acceptor.join()
    for thread in threads:
        thread.join(timeout=5)


def spec(name: str = "a->b", upstream: str = "127.0.0.1:9") -> ProxySpec:
    return ProxySpec(name, f"{HOST}:{free_port(HOST)}", upstream)


def dialled(proxy: ProxySpec) -> socket.socket:
    host, _, port = proxy.listen.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=LONG_S)


def state_of(proxy: ProxySpec, *toxics: Toxic) -> ProxyState:
    return ProxyState(proxy.name, proxy.listen, proxy.upstream, proxy.enabled, toxics)


# --- what the real server does


def test_a_full_mesh_is_populated_in_one_request(client: ToxiproxyClient) -> None:
    area = own_prefix("full mesh")
    mesh = [
        ProxySpec(
            f"n{a}->n{b}", f"{area}.{4 + 12 * a + b}:7000", f"127.0.0.{b}:7000", enabled=b != 3
        )
        for a in range(1, 13)
        for b in range(1, 13)
        if a != b
    ]
    client.populate(mesh)
    assert client.proxies() == {proxy.name: state_of(proxy) for proxy in mesh}


def test_populating_again_keeps_connections_and_sets_enabled(
    client: ToxiproxyClient, shared_port: int, echo: str
) -> None:
    kept, disabled = spec("kept", echo), spec("disabled", echo)
    client.populate([kept, disabled])
    with dialled(kept) as connection:
        wanted = replace(disabled, enabled=False)
        raw = [{"name": p.name, "listen": p.listen, "upstream": p.upstream} for p in (kept, wanted)]
        raw[1]["enabled"] = False  # type: ignore[assignment]
        url = f"http://{HOST}:{shared_port}/populate"
        assert requests.post(url, json=raw, timeout=LONG_S).status_code == 201
        assert client.proxies()["disabled"].enabled, "the server has learned to disable"

        client.populate([kept, wanted])
        assert client.proxies()["disabled"] == state_of(wanted)
        connection.sendall(b"still here")
        assert connection.recv(64) == b"still here"


def test_a_taken_port_is_an_error(client: ToxiproxyClient) -> None:
    first, second = spec("first"), spec("second")
    host, _, port = second.listen.rpartition(":")
    with socket.create_server((host, int(port))):
        with pytest.raises(ServerFailed) as failure:
            client.populate([first, second])
        assert failure.value.status == 500
        assert list(client.proxies()) == ["first"]

        client.populate([replace(second, enabled=False)])
        with pytest.raises(ServerFailed):
            client.set_enabled("second", enabled=True)
        assert not client.proxies()["second"].enabled
    client.set_enabled("second", enabled=True)
    assert client.proxies()["second"].enabled


def test_a_disabled_proxy_refuses_and_breaks_connections(
    client: ToxiproxyClient, echo: str
) -> None:
    proxy = spec(upstream=echo)
    client.populate([proxy])
    with dialled(proxy) as connection:
        connection.sendall(b"x")  # a connection is Toxiproxy's only once it has taken it
        assert connection.recv(1) == b"x"
        client.set_enabled(proxy.name, enabled=False)
        assert connection.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        dialled(proxy)
    client.set_enabled(proxy.name, enabled=True)
    with dialled(proxy) as connection:
        connection.sendall(b"back")
        assert connection.recv(64) == b"back"


def test_several_are_disabled_at_once_and_read_back_together(client: ToxiproxyClient) -> None:
    many = [spec(f"p{n}") for n in range(20)]  # more than are sent side by side
    client.populate([*many, spec("other")])
    found = client.set_enabled(*(one.name for one in many), enabled=False)
    assert {name for name, state in found.items() if not state.enabled} == {
        one.name for one in many
    }
    assert found == client.proxies()
    with pytest.raises(ProxyNotFound):
        client.set_enabled("p0", "gone", "p1", enabled=True)
    assert [client.proxies()[name].enabled for name in ("p0", "p1", "p2")] == [True, True, False]


def test_another_upstream_is_served(client: ToxiproxyClient, echo: str) -> None:
    proxy = spec(upstream="127.0.0.1:9")
    client.populate([proxy])
    client.set_upstream(proxy.name, echo)
    assert client.proxies()[proxy.name] == state_of(replace(proxy, upstream=echo))
    with dialled(proxy) as connection:
        connection.sendall(b"there")
        assert connection.recv(64) == b"there"


def test_every_toxic_is_read_back_as_it_was_asked(client: ToxiproxyClient) -> None:
    proxy = spec()
    client.populate([proxy])
    for toxic in TOXICS:
        client.add_toxic(proxy.name, toxic)
    assert client.proxies()[proxy.name] == state_of(proxy, *TOXICS)
    for toxic in TOXICS:
        client.remove_toxic(proxy.name, toxic.name)
    assert client.proxies()[proxy.name] == state_of(proxy)


def test_a_stall_delivers_later_and_a_black_hole_closes(client: ToxiproxyClient, echo: str) -> None:
    proxy = spec(upstream=echo)
    client.populate([proxy])
    stall, black_hole = Bandwidth(0, "upstream"), Timeout(0, "upstream")
    with dialled(proxy) as connection:
        for toxic, afterwards in ((stall, b"held"), (black_hole, b"")):
            client.add_toxic(proxy.name, toxic)
            connection.sendall(b"held")
            connection.settimeout(0.2)
            with pytest.raises(TimeoutError):
                connection.recv(1)
            connection.settimeout(LONG_S)
            client.remove_toxic(proxy.name, toxic.name)
            assert connection.recv(64) == afterwards


def test_a_latency_delays_by_its_amount(client: ToxiproxyClient, echo: str) -> None:
    proxy = spec(upstream=echo)
    client.populate([proxy])
    client.add_toxic(proxy.name, Latency(0.15, "upstream"))
    client.add_toxic(proxy.name, Latency(0.1, "downstream"))
    with dialled(proxy) as connection:
        began_s = monotonic()
        connection.sendall(b"slow")
        assert connection.recv(64) == b"slow"
        assert monotonic() - began_s >= 0.25


def test_a_reset_is_a_reset_for_new_connections(client: ToxiproxyClient, echo: str) -> None:
    proxy = spec(upstream=echo)
    client.populate([proxy])
    client.add_toxic(proxy.name, ResetPeer(0, "downstream"))
    with dialled(proxy) as connection:

        def talk() -> None:
            connection.sendall(b"anything")
            connection.recv(1)

        with pytest.raises(ConnectionError):  # the reset may come before the bytes have left
            talk()


def test_what_is_not_there_is_an_error(client: ToxiproxyClient) -> None:
    toxic = TOXICS[0]
    client.populate([spec("here")])
    calls: list[Callable[[], object]] = [
        lambda: client.set_enabled("gone", enabled=True),
        lambda: client.set_upstream("gone", "127.0.0.1:9"),
        lambda: client.add_toxic("gone", toxic),
        lambda: client.remove_toxic("gone", toxic.name),
    ]
    for call in calls:
        with pytest.raises(ProxyNotFound) as failure:
            call()
        assert failure.value.status == 404
    with pytest.raises(ToxicNotFound):
        client.remove_toxic("here", toxic.name)
    client.add_toxic("here", toxic)
    with pytest.raises(ToxicExists):
        client.add_toxic("here", toxic)
    with pytest.raises(ToxicNotFound):
        client.remove_toxic("here", f"{toxic.name}?quoted")
    assert client.proxies()["here"].toxics == (toxic,)


@pytest.mark.parametrize(
    "name", ["n1->n2", "a b", "a?b=c#d", "100%", "%2Fx", "a&b+c", "größe", "~"]
)
def test_any_name_is_quoted(client: ToxiproxyClient, name: str) -> None:
    proxy = spec(name)
    client.populate([proxy])
    client.add_toxic(name, TOXICS[0])
    client.remove_toxic(name, TOXICS[0].name)
    client.set_enabled(name, enabled=False)
    assert client.proxies() == {name: state_of(replace(proxy, enabled=False))}


@pytest.mark.parametrize(
    "change",
    [
        {"attributes": {"latency": 200, "jitter": 7}},
        {"toxicity": 0.5},
        {"name": "by_hand"},
        {"type": "slicer", "attributes": {"average_size": 64}},
    ],
)
def test_a_toxic_put_there_by_somebody_else_is_seen(
    client: ToxiproxyClient, shared_port: int, change: dict[str, Any]
) -> None:
    client.populate([spec("a")])
    document = to_document(Latency(0.2, "upstream")) | change
    url = f"http://{HOST}:{shared_port}/proxies/a/toxics"
    assert requests.post(url, json=document, timeout=LONG_S).status_code == 200
    with pytest.raises(NotAsAsked):
        client.proxies()


def test_two_clients_of_two_servers_never_meet(client: ToxiproxyClient) -> None:
    """The library's host and port belong to the class; ours to the client."""
    with running_server() as (_, port), ToxiproxyClient(HOST, port, timeout_s=LONG_S) as other:
        ours, theirs = spec("ours"), spec("theirs")
        failures: list[BaseException] = []

        def work(mine: ToxiproxyClient, proxy: ProxySpec) -> None:
            try:
                mine.populate([proxy])
                for n in range(40):
                    mine.set_enabled(proxy.name, enabled=bool(n % 2))
                    assert list(mine.proxies()) == [proxy.name]
            except BaseException as failure:  # noqa: BLE001  # the edge of a thread: recorded
                failures.append(failure)

        threads = [
            threading.Thread(target=work, args=pair) for pair in ((client, ours), (other, theirs))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=30)
        assert failures == []
        assert list(client.proxies()) == ["ours"]
        assert list(other.proxies()) == ["theirs"]


def test_threads_share_a_client(client: ToxiproxyClient) -> None:
    """Opposite changes to one proxy never see each other's read-back."""
    shared = [spec(f"p{n}") for n in range(3)]
    client.populate(shared)
    failures: list[BaseException] = []

    def work(*, enabled: bool) -> None:
        try:
            for n in range(60):
                client.set_enabled(shared[n % 3].name, enabled=enabled)
                assert len(client.proxies()) == 3
        except BaseException as failure:  # noqa: BLE001  # the edge of a thread: recorded
            failures.append(failure)

    threads = [threading.Thread(target=work, kwargs={"enabled": n % 2 == 0}) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert failures == []


def test_a_stopped_server_times_out() -> None:
    with (
        running_server() as (process, port),
        ToxiproxyClient(HOST, port, timeout_s=LONG_S) as client,
        ToxiproxyClient(HOST, port, timeout_s=0.3) as impatient,
    ):
        client.populate([spec("a")])
        calls: list[Callable[[], object]] = [
            impatient.version,
            lambda: impatient.set_enabled("a", enabled=False),
        ]
        os.kill(process.pid, signal.SIGSTOP)
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        for call in calls:
            began_s = monotonic()
            with pytest.raises(TimedOut):
                call()
            assert 0.25 < monotonic() - began_s < LONG_S
        os.kill(process.pid, signal.SIGCONT)
        assert wait_until(client.version, what="an answer", timeout_s=LONG_S)


def is_dialled(port: int) -> bool:
    """Whether a SYN to this port awaits its answer, as the kernel lists them: proc(5), net/tcp."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(row[2].endswith(f":{port:04X}") and row[3] == "02" for row in rows)


def test_a_change_that_hangs_holds_up_no_other(client: ToxiproxyClient, shared_port: int) -> None:
    """Toxiproxy dials upstreams inside its accept loop, and PATCH waits for that loop."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.socket() as filler:
        filler.connect(full.getsockname())  # the one place in the queue: later SYNs are dropped
        port = full.getsockname()[1]
        dead = spec("dead", f"127.0.0.1:{port}")
        client.populate([dead, spec("alive")])
        with dialled(dead), ToxiproxyClient(HOST, shared_port, timeout_s=0.4) as impatient:
            wait_until(lambda: is_dialled(port), what="its dial", timeout_s=LONG_S)
            with pytest.raises(TimedOut):
                impatient.set_enabled("dead", enabled=False)
            hanging = threading.Thread(target=client.set_enabled, args=("dead",), kwargs=OFF)
            hanging.start()
            for n in range(10):
                client.set_enabled("alive", enabled=bool(n % 2))
            assert hanging.is_alive(), "the PATCH did not hang: the trap is gone, or not set"
            # it is carried out later: the client must not be told that it failed for good
            full.accept()[0].close()
            wait_until(
                lambda: not client.proxies()["dead"].enabled,
                what="the late PATCH",
                timeout_s=LONG_S,
            )
            hanging.join(LONG_S)
            assert not hanging.is_alive()


def test_a_stuck_reader_stops_a_toxic_but_not_a_proxy_that_is_disabled_first() -> None:
    """Toxiproxy issue 558: what is asked in the wrong order hangs the server until it is read."""
    with (
        running_server() as (_, port),
        ToxiproxyClient(HOST, port, timeout_s=LONG_S) as client,
        ToxiproxyClient(HOST, port, timeout_s=0.4) as impatient,
        socket.create_server(("127.0.0.1", 0)) as upstream,
    ):
        proxy = spec(upstream=f"127.0.0.1:{upstream.getsockname()[1]}")
        toxic = Latency(0.05, "upstream")
        client.populate([proxy])
        with dialled(proxy) as writer, upstream.accept()[0] as reader:
            fill(writer, client)
            with pytest.raises(TimedOut):
                impatient.add_toxic(proxy.name, toxic)
            with pytest.raises(TimedOut):
                impatient.proxies()
            writer.shutdown(socket.SHUT_WR)
            while reader.recv(1 << 20):
                pass
        state = wait_until(client.proxies, what="the server to go on", timeout_s=LONG_S)
        assert state[proxy.name].toxics == (toxic,), "it was carried out later"
        with dialled(proxy) as writer, upstream.accept()[0]:
            fill(writer, client)
            client.set_enabled(proxy.name, enabled=False)
            client.remove_toxic(proxy.name, toxic.name)
            client.set_enabled(proxy.name, enabled=True)
            assert client.proxies()[proxy.name] == state_of(proxy)


def fill(writer: socket.socket, client: ToxiproxyClient) -> None:
    """Write until every buffer up to the reader is full: nothing more goes, three times over."""
    writer.settimeout(0.4)
    stuck = 0
    for _ in range(10_000):
        try:
            writer.send(b"x" * 65536)
            stuck = 0
        except TimeoutError:
            stuck += 1
            client.version()  # so that it was not the server itself that stood still
            if stuck == 3:
                return
    pytest.fail("600 MB did not fill the buffers")


# --- a sequence of anything leaves the server as a model says


_AREA = own_prefix("model")


class ClientMatchesModel(RuleBasedStateMachine):
    """Random populates, switches and toxics; `proxies` is the model: the server, in 40 lines."""

    port: int

    def __init__(self) -> None:
        super().__init__()
        self.client = ToxiproxyClient(HOST, self.port, timeout_s=LONG_S)
        self.proxies: dict[str, ProxyState] = {}

    names = st.sampled_from(["a->b", "b->a", "100 %"])
    addresses = st.sampled_from([f"{_AREA}.{n}:7000" for n in (4, 5, 6, 7)])
    specs = st.builds(ProxySpec, names, addresses, addresses, st.booleans())
    toxics = st.sampled_from(TOXICS)

    def taken(self, listen: str, by_other_than: str) -> bool:
        return any(
            state.enabled and state.listen == listen and name != by_other_than
            for name, state in self.proxies.items()
        )

    def expect(self, error: type[ToxiproxyFailed] | None, call: Callable[[], object]) -> bool:
        if error is None:
            call()
            return True
        with pytest.raises(error) as caught:
            call()
        assert caught.type is error
        return False

    @initialize()
    def empty(self) -> None:
        delete_all(self.port)

    @rule(wanted=st.lists(specs, max_size=3, unique_by=(lambda s: s.name, lambda s: s.listen)))
    def populate(self, wanted: list[ProxySpec]) -> None:
        failed = False
        for proxy in wanted:
            old = self.proxies.get(proxy.name)
            if old and (old.listen, old.upstream) == (proxy.listen, proxy.upstream):
                continue
            if old:
                self.proxies[proxy.name] = replace(old, enabled=False)
            if proxy.enabled and self.taken(proxy.listen, proxy.name):
                failed = True
                break
            self.proxies[proxy.name] = state_of(proxy)
        for proxy in wanted if not failed else ():
            state = self.proxies[proxy.name]
            if proxy.enabled and not state.enabled and self.taken(proxy.listen, proxy.name):
                failed = True
                break
            self.proxies[proxy.name] = replace(state, enabled=proxy.enabled)
        self.expect(ServerFailed if failed else None, lambda: self.client.populate(wanted))

    @rule(name=names, enabled=st.booleans())
    def set_enabled(self, name: str, enabled: bool) -> None:  # noqa: FBT001
        state = self.proxies.get(name)
        error: type[ToxiproxyFailed] | None = None
        if state is None:
            error = ProxyNotFound
        elif enabled and not state.enabled and self.taken(state.listen, name):
            error = ServerFailed
        if self.expect(error, lambda: self.client.set_enabled(name, enabled=enabled)):
            assert state
            self.proxies[name] = replace(state, enabled=enabled)

    @rule(name=names, upstream=addresses)
    def set_upstream(self, name: str, upstream: str) -> None:
        error = None if name in self.proxies else ProxyNotFound
        if self.expect(error, lambda: self.client.set_upstream(name, upstream)):
            self.proxies[name] = replace(self.proxies[name], upstream=upstream)

    @rule(name=names, toxic=toxics)
    def add_toxic(self, name: str, toxic: Toxic) -> None:
        state = self.proxies.get(name)
        error: type[ToxiproxyFailed] | None = None
        if state is None:
            error = ProxyNotFound
        elif toxic in state.toxics:
            error = ToxicExists
        if self.expect(error, lambda: self.client.add_toxic(name, toxic)):
            assert state
            chain = sorted((*state.toxics, toxic), key=lambda t: t.stream == "downstream")
            self.proxies[name] = replace(state, toxics=tuple(chain))

    @rule(name=names, toxic=toxics)
    def remove_toxic(self, name: str, toxic: Toxic) -> None:
        state = self.proxies.get(name)
        error: type[ToxiproxyFailed] | None = None
        if state is None:
            error = ProxyNotFound
        elif toxic not in state.toxics:
            error = ToxicNotFound
        if self.expect(error, lambda: self.client.remove_toxic(name, toxic.name)):
            assert state
            left = tuple(other for other in state.toxics if other != toxic)
            self.proxies[name] = replace(state, toxics=left)

    @invariant()
    def the_server_is_as_the_model(self) -> None:
        assert self.client.proxies() == self.proxies

    def teardown(self) -> None:
        delete_all(self.port)
        self.client.close()


def test_any_sequence_of_changes_leaves_what_was_asked(shared_port: int) -> None:
    class OnThisServer(ClientMatchesModel):
        port = shared_port

    run_state_machine_as_test(
        OnThisServer,
        settings=settings(
            max_examples=40,
            stateful_step_count=25,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


# --- servers that lie, hang or are none


class Liar(BaseHTTPRequestHandler):
    """Says yes to every change and shows one proxy that never changes; `body` replaces that."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    shown: ProxySpec
    toxic: Toxic
    body: bytes | None
    accepted: list[object]

    def setup(self) -> None:
        super().setup()
        self.accepted.append(self.client_address)

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        attributes = {"latency": 200, "jitter": 0}
        document = {
            "name": self.shown.name,
            "listen": self.shown.listen,
            "upstream": self.shown.upstream,
            "enabled": True,
            "toxics": [to_document(self.toxic) | {"attributes": attributes}],
        }
        all_of_them = {self.shown.name: document}
        body = (
            self.body or json.dumps(all_of_them if self.path == "/proxies" else document).encode()
        )
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def lying(body: bytes | None = None) -> Iterator[tuple[ToxiproxyClient, type[Liar]]]:
    class ThisLiar(Liar):
        shown = spec("a")
        toxic = Latency(0.2, "upstream")
        accepted: list[object] = []  # noqa: RUF012

    ThisLiar.body = body
    server = ThreadingHTTPServer(("127.0.0.1", 0), ThisLiar)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        with ToxiproxyClient("127.0.0.1", server.server_port, timeout_s=LONG_S) as client:
            yield client, ThisLiar
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_an_accepted_change_that_did_not_happen_is_an_error() -> None:
    with lying() as (client, liar):
        assert client.proxies() == {"a": state_of(liar.shown, liar.toxic)}
        changes: list[Callable[[], object]] = [
            lambda: client.populate([replace(liar.shown, upstream="127.0.0.1:1")]),
            lambda: client.populate([replace(liar.shown, listen="127.0.0.1:1")]),
            lambda: client.populate([replace(liar.shown, name="b")]),
            lambda: client.populate([replace(liar.shown, enabled=False)]),
            lambda: client.set_enabled("a", enabled=False),
            lambda: client.set_enabled("a", "b", enabled=True),
            lambda: client.set_upstream("a", "127.0.0.1:1"),
            lambda: client.add_toxic("a", Latency(0.3, "upstream")),
            lambda: client.remove_toxic("a", liar.toxic.name),
        ]
        for change in changes:
            with pytest.raises(NotAsAsked):
                change()
        client.populate([liar.shown])
        client.set_enabled("a", enabled=True)
        client.add_toxic("a", liar.toxic)


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"[]", b"7", b'{"a": {"name": "a"}}'])
def test_a_server_of_another_kind_is_an_error(body: bytes) -> None:
    with lying(body) as (client, _), pytest.raises(NotAsAsked):
        client.proxies()


def test_nobody_there_is_an_error_with_advice() -> None:
    with (
        ToxiproxyClient(HOST, free_port(HOST), timeout_s=LONG_S) as client,
        pytest.raises(Unreachable, match="does the server run") as failure,
    ):
        client.proxies()
    assert failure.value.status is None
    assert not isinstance(failure.value, TimedOut)
    assert isinstance(failure.value, ChaosError)


def test_connections_are_kept_but_not_stale_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    with lying() as (client, liar):
        for _ in range(10):
            client.proxies()
        assert len(liar.accepted) == 1
        monkeypatch.setattr(connections, "IDLE_LIMIT_S", -1.0)
        client.proxies()
        assert len(liar.accepted) == 2


def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, f"http://{HOST}:{free_port(HOST)}")
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    with lying() as (client, _):
        assert list(client.proxies()) == ["a"]


# --- what is refused before anything is sent


@pytest.mark.parametrize("name", ["", "a/b", ".", "..", "a\nb", "a\x00"])
def test_names_the_server_loses_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        ProxySpec(name, "127.0.0.1:1", "127.0.0.1:1")


@pytest.mark.parametrize(
    "listen", ["0.0.0.0:1", "[::]:1", "127.0.0.1:0", "127.0.0.1", "n1:1", ":1", "127.0.0.1:65536"]
)
def test_only_explicit_addresses_are_listened_on(listen: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        ProxySpec("a", listen, "127.0.0.1:1")


@pytest.mark.parametrize("upstream", ["", "n1", "n1:", ":1", "n1:x", "n1:0"])
def test_an_upstream_names_a_port(upstream: str) -> None:
    with pytest.raises(ValueError, match="upstream"):
        ProxySpec("a", "127.0.0.1:1", upstream)
    with (
        ToxiproxyClient("127.0.0.1", 1, timeout_s=1) as client,
        pytest.raises(ValueError, match="upstream"),
    ):
        client.set_upstream("a", upstream)


def test_two_proxies_in_one_place_are_refused() -> None:
    one = spec("a")
    with ToxiproxyClient("127.0.0.1", 1, timeout_s=1) as client:
        with pytest.raises(ValueError, match="same name: a"):
            client.populate([one, spec("a")])
        with pytest.raises(ValueError, match="same listen"):
            client.populate([one, replace(one, name="b")])


# --- the binary


def test_the_binary_comes_from_the_path_then_from_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    on_path, cache = tmp_path / "path", tmp_path / "cache"
    monkeypatch.setenv("PATH", str(on_path))
    monkeypatch.setenv("CHAOSKIT_CACHE", str(cache))
    with pytest.raises(ChaosError, match="make setup"):
        server_binary()
    for folder in (cache / "bin", on_path):
        folder.mkdir(parents=True)
        (folder / "toxiproxy-server").touch(mode=0o755)
        assert server_binary() == folder / "toxiproxy-server"
    (on_path / "toxiproxy-server").chmod(0o644)
    assert server_binary() == cache / "bin" / "toxiproxy-server"
