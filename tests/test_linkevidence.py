"""Probes and meters on links: which outcome shows a fault, and which packets have met one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chaoskit.cluster import Cluster
from chaoskit.companion import LOG, Companion
from chaoskit.conversation import Mode
from chaoskit.errors import ChaosError, NotApplicable
from chaoskit.handshake import Distrust, Outcome, Serving
from chaoskit.linkevidence import (
    answers_late,
    calls_fail,
    cannot_pass,
    closes_late,
    companion_failures,
    dialled_in,
    failures_of,
    is_distrusted,
    is_reset,
    never_answered,
    packets_met,
    packets_of,
    serves,
)
from chaoskit.mesh import Link, Shape, delayed, dropped, link_between, refused, reset
from chaoskit.packetmeters import PacketMeters
from chaoskit.packets import Traffic
from chaoskit.rpc import Answer
from chaoskit.sighting import Probe
from chaoskit.system import Endpoint, Observation, Unobserved
from chaoskit.wire import Met
from tests.fakes import FakeBackend
from tests.stand_in import still

NODES = ("n1", "n2", "n3")


class Wired:
    """A cluster whose wire meets what a test says, and whose kernel counts what it says."""

    def __init__(self, folder: Path) -> None:
        self.backend = FakeBackend(folder, NODES)
        self.meters = PacketMeters(self.backend)
        self.system = still(nodes=NODES)
        self.links = {
            (place.source, place.target): link_between(
                place.source,
                place.target,
                address=place.address,
                upstream_host=place.upstream_host,
                ports={"peer": 7001},
            )
            for place in self.backend.layout.links
        }
        self.mesh = SimpleNamespace(links=self.links)
        self.wire = self
        self.meets = self.meets_beside = Met(answered=True, kind=Outcome.ANSWERED, took_s=0.001)
        self.close_s = 0.0
        self.seen = Serving(Outcome.TLS, 0.001)
        self.node: Callable[[str], Any] = lambda _: None
        self.answer = Answer(200, Outcome.ANSWERED, 0.001)
        self.asked: list[tuple[str, str, float, int]] = []
        self.asked_beside: list[tuple[str, int]] = []

    @property
    def as_cluster(self) -> Cluster:
        return cast("Cluster", self)

    def ask(self, source: str, target: str, *, timeout_s: float, padding_bytes: int = 0) -> Met:
        self.asked.append((source, target, timeout_s, padding_bytes))
        return self.meets

    def ask_beside(self, target: str, *, timeout_s: float, padding_bytes: int = 0) -> Met:
        self.asked_beside.append((target, padding_bytes))
        return self.meets_beside

    def close_time_s(self, source: str, target: str, *, timeout_s: float) -> float:
        return min(self.close_s, timeout_s)

    def look(self, source: str, target: str, *, timeout_s: float) -> Serving:
        return self.seen

    def call(self, source: str, target: str, *, timeout_s: float) -> Answer:
        return self.answer

    def endpoint(self, node: str) -> Endpoint:
        return Endpoint(node, "127.0.0.1", {})

    def link(self, name: str) -> Link:
        source, target = name.split(">")
        return self.links[source, target]

    def count(self, link: str, **counts: int) -> None:
        before = self.backend.counts or {one.name: Traffic() for one in self.links.values()}
        self.backend.counts = before | {link: before[link] + Traffic(**counts)}


@pytest.fixture
def wired(tmp_path: Path) -> Wired:
    return Wired(tmp_path)


def shows(probe: Probe) -> bool | None:
    """Whether a look shows the fault, or its absence; None for neither."""
    try:
        return probe.look().present
    except ChaosError:
        return None


# -- probes ------------------------------------------------------------------------------------


def test_in_which_mode_a_node_dials_is_its_own_bytes_to_tell(
    wired: Wired, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[Mode | None] = []
    asked: list[str] = []

    def overheard(_: Cluster, link: Link, *, timeout_s: float) -> Mode | None:
        assert timeout_s > 0
        asked.append(link.name)
        return said[-1]

    monkeypatch.setattr("chaoskit.linkevidence.overheard", overheard)
    node = SimpleNamespace(pid=1)
    wired.node = lambda name: {"n2": node}[name]
    probe = dialled_in(wired.as_cluster, wired.link("n2>n1"), mode=Mode.TLS)
    assert probe.link == "n2>n1"
    for process, mode, shown in (
        (1, None, None),  # nothing was heard: neither there nor gone
        (1, Mode.TLS, True),
        (1, None, True),  # the last that was heard of this process
        (2, None, None),
        (2, Mode.PLAINTEXT, False),
        (2, None, False),
        (1, None, True),
    ):
        node.pid = process
        said.append(mode)
        assert shows(probe) is shown, (process, mode)
    assert set(asked) == {"n2>n1"}


def test_what_was_heard_while_another_process_began_is_nobodys(
    wired: Wired, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = SimpleNamespace(pid=1)
    wired.node = lambda _: node

    def overheard(*_: object, **__: object) -> Mode:
        node.pid += 1
        return Mode.TLS

    monkeypatch.setattr("chaoskit.linkevidence.overheard", overheard)
    probe = dialled_in(wired.as_cluster, wired.link("n2>n1"), mode=Mode.TLS)
    assert [shows(probe) for _ in range(3)] == [None] * 3


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (Answer(200, Outcome.ANSWERED, 0.001), False),
        (Answer(502, Outcome.ANSWERED, 0.001), True),
        (Answer(0, Outcome.ANSWERED, 0.001), True),
        (Answer(None, Outcome.TIMED_OUT, 1.0), True),
        (Answer(None, Outcome.REFUSED, 0.001), None),
        (Answer(None, Outcome.CLOSED, 0.001), None),
    ],
)
def test_a_call_fails_by_its_status_or_by_silence(
    wired: Wired, answer: Answer, *, shown: bool | None
) -> None:
    """A member that is not up yet behind its proxy has not lost the fault."""
    wired.answer = answer
    assert shows(calls_fail(wired.as_cluster, wired.link("n1>n2"))) is shown


def test_a_call_to_somebody_who_is_not_up_proves_nothing(wired: Wired) -> None:
    def unobserved(endpoint: Endpoint, timeout_s: float) -> Observation:
        raise Unobserved(f"{endpoint.node} refused within {timeout_s:g} s")

    wired.answer = Answer(502, Outcome.ANSWERED, 0.001)
    probe = calls_fail(wired.as_cluster, wired.link("n1>n2"))
    assert shows(probe) is True
    wired.system = replace(wired.system, observe=unobserved)
    assert shows(probe) is None


def test_what_stands_beside_a_node_tells_of_failed_work(wired: Wired, tmp_path: Path) -> None:
    beside = Companion("image", ("run",), {}, lambda line: line.startswith("failed"))
    wired.system = replace(wired.system, beside=lambda _: beside)
    node = SimpleNamespace(log=SimpleNamespace(path=tmp_path / "log"), placement=lambda: None)
    wired.node = lambda _: node
    meter = companion_failures(wired.as_cluster, "n1")
    assert meter.read() == 0
    (tmp_path / LOG).write_bytes(b"failed once\nwent well \xff\nfailed twice\n")
    assert meter.read() == 2
    wired.system = replace(wired.system, beside=None)
    assert meter.read() == 0


MET = {
    "answered": Met(answered=True, kind=Outcome.ANSWERED, took_s=0.001),
    "closed, as its server does": Met(answered=True, kind=Outcome.CLOSED, took_s=0.001),
    "closed": Met(answered=False, kind=Outcome.CLOSED, took_s=0.001),
    "refused": Met(answered=False, kind=Outcome.REFUSED, took_s=0.001),
    "timed_out": Met(answered=False, kind=Outcome.TIMED_OUT, took_s=0.3),
    "unreachable": Met(answered=False, kind=Outcome.UNREACHABLE, took_s=0.3),
    "reset": Met(answered=False, kind=Outcome.RESET, took_s=0.001),
}


@pytest.mark.parametrize(
    ("make", "shown"),
    [
        (partial(cannot_pass, shape=refused()), {"refused"}),
        (
            partial(cannot_pass, shape=dropped()),
            {"closed", "refused", "timed_out", "unreachable", "reset"},
        ),
        (never_answered, {"timed_out", "unreachable"}),
        (is_reset, {"reset"}),
    ],
)
def test_which_outcome_shows_the_fault_and_which_that_it_is_gone(
    wired: Wired, make: Callable[[Cluster, Link], Probe], shown: set[str]
) -> None:
    probe = make(wired.as_cluster, wired.link("n1>n2"))
    found: dict[bool | None, set[str]] = {True: set(), False: set(), None: set()}
    for name, met in MET.items():
        wired.meets = met
        found[shows(probe)].add(name)
    assert found[True] == shown
    assert found[False] == {"answered", "closed, as its server does"}, "nothing else is sound"
    assert {one[:2] for one in wired.asked} == {("n1", "n2")}, "from the source, on that link"
    assert "n1>n2" in probe.name


def test_an_answer_is_late_from_the_delay_on_and_only_when_it_came(wired: Wired) -> None:
    probe = answers_late(wired.as_cluster, wired.link("n1>n2"), at_least_s=0.5, padding_bytes=99)
    for answered, took_s, present in ((True, 0.51, True), (True, 0.49, False), (False, 9, None)):
        wired.meets = Met(answered, Outcome.ANSWERED, took_s)
        assert shows(probe) is present
    _, _, timeout_s, padding_bytes = wired.asked[0]
    assert timeout_s > 0.5, "it waits for longer than the delay"
    assert padding_bytes == 99


def test_what_is_as_late_beside_the_link_is_not_held_back_by_it(wired: Wired) -> None:
    """A starved machine of ours; and it says so, for the fault need not be gone."""
    probe = answers_late(wired.as_cluster, wired.link("n1>n2"), at_least_s=0.5, padding_bytes=99)
    for took_s, usual_s, shown in ((0.9, 0.41, None), (0.9, 0.4, True), (0.49, 3.0, False)):
        wired.meets = Met(answered=True, kind=Outcome.ANSWERED, took_s=took_s)
        wired.meets_beside = replace(wired.meets, took_s=usual_s)
        assert shows(probe) is shown
    assert set(wired.asked_beside) == {("n2", 99)}, "the same question, to the same node"


@pytest.mark.parametrize("make", [partial(cannot_pass, shape=dropped()), never_answered])
def test_silence_proves_nothing_while_an_answer_takes_as_long_beside_the_link(
    wired: Wired, make: Callable[[Cluster, Link], Probe]
) -> None:
    wired.meets = MET["timed_out"]
    for beside, shown in (
        (MET["answered"], True),
        (replace(MET["answered"], took_s=0.2), None),
        (MET["timed_out"], True),  # a node that does not answer at all has no say
    ):
        wired.meets_beside = beside
        assert shows(make(wired.as_cluster, wired.link("n1>n2"))) is shown


@pytest.mark.parametrize(
    ("make", "meets"),
    [(lambda cluster, link: cannot_pass(cluster, link, refused()), "refused"), (is_reset, "reset")],
    ids=["refusal", "reset"],
)
def test_it_is_waited_for_longer_than_an_answer_takes_beside_the_link(
    wired: Wired, make: Callable[[Cluster, Link], Probe], meets: str
) -> None:
    wired.meets = MET[meets]
    probe = make(wired.as_cluster, wired.link("n1>n2"))
    for usual_s, waited_s in ((0.001, 0.3), (0.2, 1.0)):
        wired.meets_beside = replace(wired.meets_beside, took_s=usual_s)
        assert shows(probe)
        assert wired.asked[-1][2] == waited_s


def test_a_close_is_late_from_the_delay_on(wired: Wired) -> None:
    probe = closes_late(wired.as_cluster, wired.link("n1>n2"), at_least_s=0.5)
    wired.close_s = 0.49
    assert not shows(probe)
    for wired.close_s in (0.5, 60.0):
        assert shows(probe)


def test_a_close_at_once_proves_nothing_while_the_node_is_not_up(wired: Wired) -> None:
    probe = closes_late(wired.as_cluster, wired.link("n1>n2"), at_least_s=0.5)
    wired.close_s = 0.002
    wired.meets_beside = MET["refused"]
    assert shows(probe) is None


def test_what_a_link_serves(wired: Wired) -> None:
    probe = serves(wired.as_cluster, wired.link("n1>n2"), kind=Outcome.PLAINTEXT)
    assert shows(probe) is False
    wired.seen = Serving(Outcome.PLAINTEXT, 0.001)
    assert shows(probe)
    for kind in (Outcome.RESET, Outcome.CLOSED, Outcome.REFUSED, Outcome.TIMED_OUT):
        wired.seen = Serving(kind, 0.001)  # a node that does not listen yet
        assert shows(probe) is None


def test_a_distrusted_certificate_is_that_one_for_that_reason(wired: Wired) -> None:
    probe = is_distrusted(
        wired.as_cluster, wired.link("n1>n2"), fingerprint="ab", reason=Distrust.EXPIRED
    )
    for fingerprint, reason, present in (
        ("ab", Distrust.EXPIRED, True),
        ("ab", None, None),
        ("ab", Distrust.UNKNOWN_AUTHORITY, None),
        ("cd", Distrust.EXPIRED, False),
        ("cd", None, False),
    ):
        wired.seen = Serving(
            Outcome.TLS, 0.001, fingerprint=fingerprint, trusted=reason is None, reason=reason
        )
        assert shows(probe) is present
    wired.seen = Serving(Outcome.REFUSED, 0.001)
    assert shows(probe) is None


# -- meters ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "counted"),
    [
        (refused(), 100_000),
        (reset(), 100_000 + 1 + 1000),
        (delayed(0.1), 100_000 + 1 + 1000),
        (dropped(("upstream",)), 100_000 + 1),
        (dropped(("downstream",)), 100_000 + 1000),
    ],
    ids=lambda one: one.label if isinstance(one, Shape) else "",
)
def test_only_packets_that_met_the_shape_count(wired: Wired, shape: Shape, counted: int) -> None:
    wired.count("n2>n1", asked=7, refused=7, got=7)  # another link's are nothing to it
    meter = packets_met(wired.as_cluster, {"n1>n2": shape})
    before = meter.read()
    wired.count("n1>n2", asked=1, answered=10, sent=100, got=1000, opened=10_000, refused=100_000)
    assert meter.read() - before == counted


def test_the_packets_of_several_links_are_summed(wired: Wired) -> None:
    wired.count("n1>n2", got=1)
    links = [wired.link("n1>n2"), wired.link("n2>n1")]
    meter = packets_of(wired.as_cluster, links, "answers", "got")
    wired.count("n2>n1", got=2)
    wired.count("n1>n3", got=4)
    assert meter.read() == 3
    assert meter.name == "answers on 2 links"
    assert failures_of(wired.as_cluster, links, "answers", "got").read() == 3


def test_where_nothing_counts_and_nobody_tells_nothing_is_offered(wired: Wired) -> None:
    link = wired.link("n1>n2")
    with pytest.raises(NotApplicable, match="no counters of the kernel"):
        packets_met(wired.as_cluster, {link.name: delayed(0.1)})
    with pytest.raises(NotApplicable, match="no counters of the kernel"):
        packets_of(wired.as_cluster, [link], "packets", "got")
    offers: list[Callable[[], object]] = [
        lambda: packets_met(wired.as_cluster, {link.name: refused()}),
        lambda: failures_of(wired.as_cluster, [link], "packets", "refused"),
    ]
    for offer in offers:
        with pytest.raises(NotApplicable, match="do not tell their failures"):
            offer()


def test_where_nothing_counts_the_sources_word_on_those_links_counts(wired: Wired) -> None:
    told: dict[str, dict[str, int]] = {"n1": {"n2": 1, "n3": 50}, "n2": {"n1": 5}}

    def ask(endpoint: Endpoint, _timeout_s: float) -> dict[str, int]:
        if endpoint.node not in told:
            raise Unobserved("refused")
        return told[endpoint.node]

    wired.system = still(nodes=NODES, failures=ask)
    meter = packets_met(wired.as_cluster, {"n1>n2": refused(), "n2>n1": refused()})
    assert meter.read() == 6
    told["n1"] = {"n2": 4}
    assert meter.read() == 9
    del told["n2"]
    told["n1"] = {"n2": 0}  # started anew
    assert meter.read() == 9, "it never goes back"


def test_delays_are_not_felt_by_what_nodes_tell(wired: Wired) -> None:
    wired.system = still(nodes=NODES, failures=lambda *_: cast("Any", {"n2": 1}))
    with pytest.raises(NotApplicable):
        packets_met(wired.as_cluster, {"n1>n2": refused(), "n2>n1": delayed(0.1)})
