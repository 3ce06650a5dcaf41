"""Toys as processes: they serve, survive, are silent when idle, and break each in its one way."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from chaoskit import clock
from chaoskit.certificates import Authority
from chaoskit.clock import wait_until
from chaoskit.http import HttpClient
from chaoskit.system import Endpoint, Operation, OutcomeUnknown, Unobserved
from nodes.toys.behaviours import Variant
from nodes.toys.core import LINGER_S
from nodes.toys.journal import Corrupt, Journal, line
from nodes.toys.server import Node, Settings
from nodes.toys.transport import ANSWER_S, Address
from suites.toys.system import CLIENT_PORT, PEER_PORT, ToysClient, observe, operations, toys
from tests.fakes import own_prefix
from tests.toys_processes import NO_ANSWER, PATIENCE_S, ROOT, Toys


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Toys]:
    with Toys(toys(), tmp_path) as started:
        yield started


def await_counted(cluster: Toys, peer: str, *kinds: str) -> None:
    """
    Wait until another node counts one of these at its own connections to `peer`.

    Each look puts `during` first: an idle node dials nobody. Who dials `peer` is who leads now.
    """
    others = [name for name in cluster.system.nodes if name != peer]

    def count() -> int:
        counts = [cluster.see(name).detail["peers"][peer] for name in others]
        return sum(one[kind] for one in counts for kind in kinds)

    def counted() -> bool:
        cluster.ask(others[0], "put", key="k", value="during")
        return count() > before

    before = count()
    what = f"{' or '.join(kinds)} of {peer} counted"
    wait_until(counted, what=what, timeout_s=PATIENCE_S)


def test_any_node_serves_and_all_show_one_height_and_digest(cluster: Toys) -> None:
    for name in ("n1", "n2", "n3"):
        cluster.acknowledged(name, "k", f"by {name}")
        for other in ("n1", "n2", "n3"):
            assert cluster.answered(other, "get", key="k") == f"by {name}"
    cluster.swapped("n2", "k", "by n3", "swapped")
    assert cluster.answered("n1", "cas", key="k", expect="by n3", value="never") == "kept"
    cluster.swapped("n3", "new", None, "first")
    assert cluster.answered("n3", "get", key="k") == "swapped"
    seen = cluster.await_agreement(("n1", "n2", "n3"))
    # One entry for each that was done; one whose outcome is unknown has left one or none.
    done, unknown = cluster.outcomes["done"], cluster.outcomes["unknown"]
    assert 18 <= done <= (seen.progress or 0) <= done + unknown
    assert seen.version == "1"


@pytest.mark.parametrize("victim", ["n1", "n2"])
def test_a_killed_node_is_missed_by_nobody_and_catches_up_with_the_next_load(
    cluster: Toys, victim: str
) -> None:
    others = [name for name in cluster.system.nodes if name != victim]
    cluster.acknowledged("n1", "k", "before")
    before = cluster.await_agreement(cluster.system.nodes)
    cluster.kill(victim)
    for number in range(20):
        cluster.ask(others[number % 2], "put", key="k", value=f"during {number}")
    cluster.acknowledged(others[0], "k", "served")
    cluster.start(victim)
    cluster.await_ready([victim])
    back = cluster.see(victim)
    assert (back.progress or 0) >= (before.progress or 0), "it lost what it knew"
    cluster.await_answer(others[1], "k", "served")
    cluster.await_agreement(cluster.system.nodes)


def test_what_was_acknowledged_survives_the_kill_of_all(cluster: Toys) -> None:
    for number in range(10):
        cluster.acknowledged("n1", f"k{number}", str(number))
    for name in cluster.system.nodes:
        cluster.kill(name)
    for name in cluster.system.nodes:
        cluster.start(name)
    cluster.await_ready(cluster.system.nodes)
    for number in range(10):
        cluster.await_answer("n2", f"k{number}", str(number))


def test_below_the_quorum_nothing_is_acknowledged(cluster: Toys) -> None:
    cluster.acknowledged("n1", "k", "above")
    cluster.kill("n2")
    cluster.kill("n3")
    for f, value in (("put", "below"), ("get", None), ("cas", "below")):
        asked = {"key": "k"} | ({"value": value} if value else {})
        assert cluster.ask("n1", f, **asked) in {"refused", "unknown"}
    assert cluster.see("n1").ready
    cluster.start("n2")
    cluster.await_ready(["n2"])
    assert cluster.answered("n2", "get", key="k") in {"above", "below"}


def test_an_idle_cluster_sends_no_byte_between_its_nodes_faults_or_not(cluster: Toys) -> None:
    def silent_for(duration_s: float, linked: Sequence[str] = ("n1", "n2", "n3")) -> None:
        cluster.await_agreement(linked)  # whoever is behind may be told so at any moment
        wait_until(lambda: waiting() == 0, what="operations ended", timeout_s=PATIENCE_S)
        # So long the last operation may still cause messages, and those their answers.
        clock.pause(LINGER_S + ANSWER_S + 0.3)
        before = cluster.relay.total_bytes
        clock.pause(duration_s)
        assert cluster.relay.total_bytes == before

    def waiting() -> int:
        return sum(
            cluster.see(name).detail["waiting"]
            for name, process in cluster.processes.items()
            if process.poll() is None
        )

    assert cluster.relay.total_bytes == 0, "it spoke before anybody asked"
    silent_for(0.5)
    cluster.acknowledged("n1", "k", "1")
    assert cluster.relay.total_bytes > 0, "the relay does not count"
    silent_for(0.5)
    cluster.relay.isolate("n1")
    silent_for(0.5, ("n2", "n3"))
    assert cluster.ask("n1", "put", key="k", value="2") in NO_ANSWER
    silent_for(0.5, ("n2", "n3"))
    cluster.relay.heal()
    cluster.kill("n2")
    silent_for(0.5, ("n1", "n3"))


def test_a_node_cut_off_catches_up_after_the_heal(cluster: Toys) -> None:
    cluster.acknowledged("n1", "k", "before")
    cluster.relay.isolate("n1")
    assert cluster.ask("n1", "put", key="k", value="lost") in {"refused", "unknown"}
    cluster.ask("n2", "put", key="k", value="may meet the old leader")
    cluster.acknowledged("n2", "k", "during")
    cluster.await_answer("n3", "k", "during")
    await_counted(cluster, "n1", "resets", "closed")
    cluster.relay.heal()
    cluster.await_answer("n3", "k", "during")
    cluster.await_answer("n1", "k", "during")
    cluster.await_agreement(cluster.system.nodes)


def test_a_stopped_node_leaves_with_code_0_and_at_once(cluster: Toys) -> None:
    cluster.ask("n1", "put", key="k", value="1")
    with socket.create_connection((cluster.address["n1"], CLIENT_PORT), PATIENCE_S):
        cluster.processes["n1"].send_signal(signal.SIGTERM)
        # it waits for nobody: neither for its peers nor for a client that stays
        assert cluster.processes["n1"].wait(PATIENCE_S) == 0
    assert "stopped by a signal" in cluster.log("n1")


def test_a_paused_node_is_missed_by_nobody_and_goes_on(cluster: Toys) -> None:
    cluster.acknowledged("n1", "k", "before")
    cluster.processes["n1"].send_signal(signal.SIGSTOP)
    cluster.ask("n2", "put", key="k", value="finds the leader gone")
    cluster.acknowledged("n2", "k", "during")
    await_counted(cluster, "n1", "timed_out")
    cluster.processes["n1"].send_signal(signal.SIGCONT)
    cluster.acknowledged("n3", "k", "after")
    cluster.await_agreement(cluster.system.nodes)


def test_another_release_reports_another_version(tmp_path: Path) -> None:
    with Toys(toys(), tmp_path, release="2") as cluster:
        assert cluster.see("n1").version == cluster.system.release("2").version == "2"


def test_twelve_nodes_work_together(tmp_path: Path) -> None:
    with Toys(toys(12), tmp_path) as cluster:
        cluster.acknowledged("n12", "k", "1")
        cluster.await_answer("n7", "k", "1")
        cluster.await_agreement(cluster.system.nodes)


# TLS between peers.


def secured(folder: Path) -> Toys:
    system, authority = toys(secure=True), Authority()
    credentials = {name: authority.issue([name], []) for name in system.nodes}
    return Toys(system, folder, credentials, authority.certificate_pem)


def test_peers_speak_tls_and_a_node_in_plaintext_is_shut_out_until_it_is_back(
    tmp_path: Path,
) -> None:
    with secured(tmp_path) as cluster:
        cluster.acknowledged("n1", "k", "before")
        cluster.await_agreement(cluster.system.nodes)
        cluster.settings["n3"] = {"peer_tls": "off"}
        cluster.kill("n3")
        cluster.start("n3")
        cluster.await_ready(["n3"])
        assert cluster.ask("n3", "get", key="k") in {"refused", "unknown"}
        cluster.acknowledged("n2", "k", "during")
        await_counted(cluster, "n3", "handshakes")
        cluster.settings["n3"] = {}
        cluster.kill("n3")
        cluster.start("n3")
        cluster.await_ready(["n3"])
        cluster.await_answer("n3", "k", "during")


@pytest.mark.parametrize("wrong", ["authority", "name"])
def test_a_node_with_a_wrong_certificate_is_not_spoken_to(tmp_path: Path, wrong: str) -> None:
    with secured(tmp_path) as cluster:
        cluster.kill("n3")
        stranger = Authority()
        foreign = stranger.issue(["n3"], [])
        cluster.credentials["n3"] = foreign if wrong == "authority" else cluster.credentials["n2"]
        cluster.start("n3")
        cluster.await_ready(["n3"])
        cluster.acknowledged("n1", "k", "without n3")
        await_counted(cluster, "n3", "handshakes")
        assert cluster.see("n3").progress == 0


@pytest.mark.parametrize(
    "words", [b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\x02{}", b"\x16\x03\x01\x02\x00"]
)
def test_a_stranger_at_the_peer_port_is_turned_away_in_plaintext(
    cluster: Toys, words: bytes
) -> None:
    def spoken_to() -> bytes:
        place = cluster.address["n1"], PEER_PORT
        with socket.create_connection(place, PATIENCE_S) as stranger, suppress(ConnectionError):
            stranger.sendall(words)
            return b"".join(iter(lambda: stranger.recv(4096), b""))
        return b""

    # Whose words come later than a greeting may take is answered by nothing, and counted nowhere.
    answer = wait_until(spoken_to, what="an answer to a stranger", timeout_s=PATIENCE_S)
    assert b'["turned away"' in answer
    assert cluster.see("n1").detail["turned_away"] == 1


# The broken ones.


def test_a_toy_that_forgets_loses_what_it_acknowledged_when_it_is_killed(tmp_path: Path) -> None:
    with Toys(toys(behaviours={"n1": "forgets"}), tmp_path) as cluster:
        for number in range(10):
            cluster.acknowledged("n1", "k", str(number))
        before = cluster.await_agreement(cluster.system.nodes)
        cluster.kill("n1")
        cluster.start("n1")
        cluster.await_ready(["n1"])
        assert (cluster.see("n1").progress or 0) < (before.progress or 0)


def test_a_toy_that_forgets_loses_nothing_when_it_is_stopped(tmp_path: Path) -> None:
    with Toys(toys(behaviours={"n1": "forgets"}), tmp_path) as cluster:
        cluster.acknowledged("n1", "k", "1")
        before = cluster.await_agreement(cluster.system.nodes)
        cluster.processes["n1"].send_signal(signal.SIGTERM)
        assert cluster.processes["n1"].wait(PATIENCE_S) == 0
        cluster.start("n1")
        cluster.await_ready(["n1"])
        assert cluster.see("n1").progress == before.progress


def test_a_toy_that_hangs_keeps_its_process_and_sockets_and_serves_nothing(tmp_path: Path) -> None:
    def serves() -> bool:
        """A put is done. An answer that came late has made it hang already: it begins anew."""
        done = cluster.ask("n1", "put", key="k", value="before") == "ok"
        if is_mute(5.0):
            cluster.kill("n1")
            cluster.start("n1")
            cluster.await_ready(["n1"])
            return False
        return done

    def is_mute(timeout_s: float = 0.5) -> bool:
        try:
            cluster.see("n1", timeout_s)
        except Unobserved as error:
            return error.cause == "timed_out"
        return False

    with Toys(toys(behaviours={"n1": "hangs"}), tmp_path) as cluster:
        wait_until(serves, what="n1 serves", timeout_s=PATIENCE_S)
        cluster.kill("n3")
        cluster.ask("n1", "put", key="k", value="meets the lost peer")
        wait_until(is_mute, what="n1 hangs", timeout_s=PATIENCE_S)
        cluster.start("n3")
        cluster.await_ready(["n3"])
        assert is_mute()
        assert cluster.processes["n1"].poll() is None
        socket.create_connection((cluster.address["n1"], CLIENT_PORT), PATIENCE_S).close()
        cluster.ask("n2", "put", key="k", value="finds the leader hanging")
        cluster.acknowledged("n2", "k", "after")


def recent(cluster: Toys, name: str) -> dict[int, str]:
    """The digests of the last heights that a node shows."""
    client = HttpClient(PATIENCE_S)
    _, seen = client.get(cluster.endpoint(name).url("client", "/status"))
    client.close()
    return {int(height): digest for height, digest in seen["recent"].items()}


@pytest.mark.parametrize(
    ("behaviour", "answers"),
    [("honest", {"refused", "unknown"}), ("forks", {"ok"}), ("lies", {"ok"})],
)
def test_alone_only_toys_that_fork_or_lie_acknowledge_a_put(
    tmp_path: Path, behaviour: str, answers: set[str]
) -> None:
    def as_high() -> bool:
        cluster.acknowledged("n2", "k", "together")
        return (cluster.see("n2").progress or 0) >= height

    with Toys(toys(behaviours={"n1": behaviour}), tmp_path) as cluster:
        cluster.acknowledged("n1", "k", "before")
        assert cluster.see("n1").role == "leader"
        start = cluster.await_agreement(cluster.system.nodes).progress or 0
        cluster.relay.isolate("n1")
        cluster.ask("n1", "put", key="k", value="finds out that it is alone")
        assert cluster.ask("n1", "put", key="k", value="alone") in answers
        alone = cluster.see("n1")
        height = alone.progress or 0
        wait_until(as_high, what="n2 as high as n1", timeout_s=PATIENCE_S)
        if behaviour == "honest":
            assert height == start
        else:
            assert height > start
            assert recent(cluster, "n2")[height] != alone.digest, "one height, two digests"


# Journal, flags, traffic.


def test_a_torn_last_record_is_cut_off_and_a_bad_one_before_it_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    good = line(("term", 1, "n1")) + line(("agreed", 0))
    path.write_bytes(good + line(("term", 2, "n2"))[:-4])
    journal = Journal(path, buffered_records=0)
    assert journal.records == [["term", 1, "n1"], ["agreed", 0]]
    assert path.read_bytes() == good
    journal.keep([("term", 3, "")])
    journal.close()
    again = Journal(path, buffered_records=0)
    assert again.records[-1] == ["term", 3, ""]
    again.close()
    path.write_bytes(b"x" + path.read_bytes())
    with pytest.raises(Corrupt, match="line 1"):
        Journal(path, buffered_records=0)


def test_a_write_without_room_leaves_the_journal_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal"
    journal = Journal(path, buffered_records=0)
    journal.keep([("term", 1, "")])
    before = path.read_bytes()
    write = os.write

    def full(file: int, data: bytes) -> int:
        if len(data) > 5:
            return write(file, bytes(data[:5]))
        raise OSError(errno.ENOSPC, "no space")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OSError, match="no space"):
            journal.keep([("term", 2, "n2")])
    assert path.read_bytes() == before
    journal.keep([("term", 2, "n2")])
    assert path.read_bytes() == before + line(("term", 2, "n2"))
    journal.close()


def test_a_disk_without_room_makes_a_node_mute_until_there_is_room(tmp_path: Path) -> None:
    place = f"{own_prefix('a toy without room')}.1"
    endpoint = Endpoint("n1", place, {"peer": PEER_PORT, "client": CLIENT_PORT})
    journal = Journal(tmp_path / "journal", buffered_records=0)
    keep, full = journal.keep, threading.Event()

    def keep_if_room(records: Sequence[Sequence[object]]) -> None:
        if full.is_set():
            raise OSError(errno.ENOSPC, "no space")
        keep(records)

    journal.keep = keep_if_room  # type: ignore[method-assign]
    settings = Settings(
        name="n1",
        listen=Address(place, PEER_PORT),
        client=Address(place, CLIENT_PORT),
        peers={"n1": Address(place, PEER_PORT)},
        data=tmp_path,
        variant=Variant.HONEST,
        release="1",
        tls=None,
    )

    def serves() -> bool:
        try:
            return observe(endpoint, PATIENCE_S).ready
        except Unobserved:
            return False

    def use() -> None:
        wait_until(serves, what="n1 serves", timeout_s=PATIENCE_S)
        client, hasty = ToysClient(endpoint, PATIENCE_S), ToysClient(endpoint, 0.5)
        client.invoke(Operation("put", {"key": "k", "value": "before"}))
        full.set()
        with pytest.raises(OutcomeUnknown):
            hasty.invoke(Operation("put", {"key": "k", "value": "during"}))
        wait_until(lambda: not serves(), what="n1 is mute", timeout_s=PATIENCE_S)
        assert observe(endpoint, PATIENCE_S).progress == 1
        full.clear()
        wait_until(
            lambda: observe(endpoint, PATIENCE_S).progress == 2,
            what="room used",
            timeout_s=PATIENCE_S,
        )
        assert client.invoke(Operation("get", {"key": "k"})) == {"value": "during"}
        assert serves()
        client.close()
        hasty.close()

    async def scenario() -> None:
        node = asyncio.create_task(Node(settings, journal).run())
        await asyncio.to_thread(use)
        node.cancel()
        await node

    asyncio.run(scenario())
    journal.close()


GOOD = (
    *("--name", "n1", "--listen", "127.0.0.1:1", "--client", "127.0.0.1:2"),
    *("--peers", "n1=127.0.0.1:1", "--data", "."),
)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "--name"),
        ((*GOOD, "--name", "n9"), 2, "none of the nodes"),
        ((*GOOD, "--listen", "nowhere"), 2, "HOST:PORT"),
        ((*GOOD, "--peers", "n1"), 2, "NAME=HOST:PORT"),
        ((*GOOD, "--data", "/nowhere"), 2, "no folder"),
        ((*GOOD, "--behaviour", "rude"), 2, "--behaviour"),
        ((*GOOD, "--tls-key", "k.pem"), 2, "go together"),
        (
            (*GOOD, "--tls-key", "k", "--tls-certificate", "c", "--tls-authority", "a"),
            2,
            "cannot use the files",
        ),
        ((*GOOD, "--client", "192.0.2.1:2000"), 1, "192.0.2.1"),
    ],
)
def test_a_start_that_cannot_work_says_why(
    tmp_path: Path, arguments: Sequence[str], code: int, said: str
) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "nodes.toys", *arguments],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert ended.returncode == code
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_load_is_drawn_from_its_randomness_alone_and_writes_no_value_twice() -> None:
    def drawn(seed: int) -> list[tuple[str, tuple[tuple[str, object], ...]]]:
        stream = operations(Random(seed))
        return [(one.f, tuple(one.value.items())) for one in (next(stream) for _ in range(500))]

    assert drawn(1) == drawn(1) != drawn(2)
    values = [dict(value)["value"] for f, value in drawn(1) if f != "get"]
    assert len(set(values)) == len(values)
    assert {f for f, _ in drawn(1)} == {"put", "get", "cas"}


@pytest.mark.parametrize(("nodes", "behaviours"), [(2, {}), (13, {}), (3, {"n4": "lies"})])
def test_a_system_that_cannot_be_is_refused(nodes: int, behaviours: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="toy"):
        toys(nodes, behaviours=behaviours)
