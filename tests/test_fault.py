"""inject and apply: the order of the evidence, and what each lie of a fault is recorded as."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

from chaoskit.errors import ChaosError, HealFailed, NotApplicable, WaitTimedOut
from chaoskit.evidence import faults_were_felt
from chaoskit.fault import (
    Injection,
    NotEffective,
    Testimony,
    Witness,
    apply,
    inject,
)
from chaoskit.sighting import Sighting, lasting
from chaoskit.verdict import Verdict, decide
from tests.stand_in import Jam, StandIn, Turn, World, still


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[StandIn]:
    made = StandIn(tmp_path)
    yield made
    made.recorder.close()


def jam(cluster: StandIn, *, met: int = 3, **world: Any) -> None:
    """Inject with a body in which the system meets the fault `met` times."""
    for name, value in world.items():
        setattr(cluster.world, name, value)
    with inject(Jam("a", ("b",)), into=cluster.as_cluster):
        cluster.world.met += met


def said(cluster: StandIn) -> list[str]:
    """Every event as "f type"."""
    return [f"{event.f} {event.type}" for event in cluster.history()]


def verdict(cluster: StandIn) -> tuple[Verdict, str]:
    reasons = faults_were_felt(cluster.history())
    return decide(reasons), " | ".join(reason.text for reason in reasons)


def test_a_fault_that_was_there_has_all_its_evidence_in_order(cluster: StandIn) -> None:
    jam(cluster)
    assert said(cluster) == [
        "fault invoke",
        "effective ok",
        "felt ok",
        "effective ok",
        "heal invoke",
        "heal ok",
        "absent ok",
    ]
    again = [event.value["again"] for event in cluster.history().of("effective")]
    assert again == [False, True]
    assert verdict(cluster) == (Verdict.PASS, "")
    assert cluster.poisoned == ""


def test_the_zero_is_read_after_our_own_probes_and_the_end_before_the_next(
    cluster: StandIn,
) -> None:
    jam(cluster)
    assert cluster.world.log == [
        "inject",
        "look",
        "survey",
        "read",  # the zero
        "read",  # the end
        "look",
        "heal",
        "look",
        "survey",
    ]
    (felt,) = cluster.history().of("felt")
    assert (felt.value["before"], felt.value["after"]) == (1, 4)


def test_what_is_announced_names_fault_fields_and_targets_by_node(cluster: StandIn) -> None:
    with inject(Jam("leader", ("c", "b")), into=cluster.as_cluster, may_exit=True) as injection:
        cluster.world.met += 1
    (event, *_) = cluster.history().of("fault")
    assert event.value == {
        "id": 1,
        "fault": "Jam",
        "fields": {"node": "b", "others": ("c", "b")},
        "asked": {"node": "leader"},
        "targets": ["b", "c"],
        "may_exit": True,
    }
    assert injection.fault == Jam("b", ("c", "b"))
    apply(Turn("a"), to=cluster.as_cluster)
    jam(cluster)
    numbered = [event.value["id"] for event in cluster.history().of("fault", "change")]
    assert numbered == [1, 2, 2, 3]


def test_a_fault_that_nobody_met_is_not_felt(cluster: StandIn) -> None:
    jam(cluster, met=0)
    assert "felt fail" in said(cluster)
    assert verdict(cluster)[0] is Verdict.INVALID
    assert "effective but never felt" in verdict(cluster)[1]


def test_a_fault_that_does_nothing_is_not_effective_and_its_body_is_not_run(
    cluster: StandIn,
) -> None:
    with pytest.raises(NotEffective, match="Jam on a, b was injected, but no probe saw it"):
        jam(cluster, does_nothing=True)
    assert said(cluster)[1] == "effective fail"
    assert "heal ok" in said(cluster)
    assert cluster.world.met == 0
    assert verdict(cluster)[0] is Verdict.INVALID


def test_a_fault_that_ends_by_itself_is_not_effective_again(cluster: StandIn) -> None:
    with inject(Jam("a", ()), into=cluster.as_cluster):
        cluster.world.met += 1
        cluster.world.jammed = False
    assert said(cluster)[3] == "effective fail"
    assert verdict(cluster)[0] is Verdict.INVALID
    assert "still just before its heal" in verdict(cluster)[1]


def test_a_look_that_cannot_be_made_just_before_the_heal_is_made_again(cluster: StandIn) -> None:
    cluster.world.within_s = 30.0  # this machine may be slow
    with inject(Jam("a", ()), into=cluster.as_cluster):
        cluster.world.met += 1
        cluster.world.blinks = 3
    assert said(cluster)[3] == "effective ok"
    assert verdict(cluster)[0] is Verdict.PASS


def test_a_fault_that_stays_is_not_absent_and_spoils_the_cluster(cluster: StandIn) -> None:
    jam(cluster, stays=True)
    assert said(cluster)[-1] == "absent fail"
    assert verdict(cluster) == (
        Verdict.INVALID,
        "jam on a b was healed but not shown to be gone, by a dial: a dial, jammed",
    )
    assert "still there after its heal: jammed" in cluster.poisoned


@pytest.mark.parametrize(
    ("state", "silent", "start_timeout_s", "said_last"),
    [
        ("running", "b", 20.0, "absent ok"),
        ("running", "b", 0.01, "absent fail"),  # its time to start is over
        ("running", "a", 20.0, "absent fail"),  # another one starts
        ("running", "", 20.0, "absent fail"),  # it answers, so it has started
        ("exited", "b", 20.0, "absent fail"),
    ],
)
def test_a_node_that_starts_has_its_time_until_it_must_listen(
    tmp_path: Path, state: str, silent: str, start_timeout_s: float, said_last: str
) -> None:
    cluster = StandIn(tmp_path, still(start_timeout_s=start_timeout_s))
    cluster.silent = {silent} - {""}
    cluster.world.stays = True
    # where it is not waited for, later than a slow machine looks; but sooner than 20 s
    after_s = 0.5 if said_last == "absent ok" else 10.0
    listening = Timer(after_s, lambda: setattr(cluster.world, "jammed", False))
    with inject(Jam("a", ("b",)), into=cluster.as_cluster):
        cluster.world.met += 1
        cluster.recorder.record(silent or "b", "state", {"state": state})
        listening.start()
    listening.cancel()
    listening.join()
    assert said(cluster)[-1] == said_last
    cluster.recorder.close()


def test_that_it_is_gone_is_seen_when_no_other_fault_lies_on_its_link(cluster: StandIn) -> None:
    cluster.mesh.covered.add("a>b")
    jam(cluster, stays=True)
    assert said(cluster)[-1] == "heal ok"
    assert "was healed but not shown to be gone" in verdict(cluster)[1]
    cluster.mesh.covered.clear()
    cluster.world.jammed = False  # with the end of the other one, whose heal looks at what is due
    jam(cluster, stays=False)
    absent = cluster.history().of("absent")
    assert [(one.value["id"], one.type) for one in absent] == [(2, "ok"), (1, "ok")]
    assert verdict(cluster) == (Verdict.PASS, "")


def test_a_probe_that_cannot_look_is_neither_there_nor_gone(cluster: StandIn) -> None:
    with pytest.raises(NotEffective):
        jam(cluster, blind=True)
    assert [one for one in said(cluster) if one.startswith(("effective", "absent"))] == [
        "effective fail",
        "absent fail",
    ]


def test_a_heal_that_raises_ends_the_cluster(cluster: StandIn) -> None:
    with pytest.raises(HealFailed, match="the heal of fault 1 raised: no way back"):
        jam(cluster, heal_raises=True)
    assert said(cluster)[-2:] == ["heal invoke", "heal fail"]
    assert "no way back" in cluster.poisoned
    assert verdict(cluster)[0] is Verdict.INFRA


def test_a_body_that_raises_leaves_the_fault_healed_and_its_evidence_whole(
    cluster: StandIn,
) -> None:
    def body() -> None:
        with inject(Jam("a", ()), into=cluster.as_cluster):
            cluster.world.met += 1
            raise KeyError("the test's own")

    with pytest.raises(KeyError, match="the test's own"):
        body()
    assert said(cluster)[-1] == "absent ok"
    assert verdict(cluster) == (Verdict.PASS, "")


def test_a_meter_that_breaks_does_not_keep_a_fault_from_its_heal(cluster: StandIn) -> None:
    def body() -> None:
        with inject(Jam("a", ()), into=cluster.as_cluster):
            cluster.world.meter_breaks = True

    with pytest.raises(ChaosError, match="the counter is gone"):
        body()
    assert not cluster.world.jammed
    assert said(cluster)[-3:] == ["heal invoke", "heal ok", "absent ok"]
    assert verdict(cluster)[0] is Verdict.INVALID


def test_a_fault_that_cannot_be_injected_changes_nothing(cluster: StandIn) -> None:
    with pytest.raises(NotApplicable, match="nothing to jam"):
        jam(cluster, refuses=True)
    assert cluster.world.log == []
    assert cluster.poisoned == ""


HALF_WAY = [ChaosError("half-way"), OSError("half-way")]


@pytest.mark.parametrize("error", HALF_WAY, ids=lambda error: type(error).__name__)
def test_a_fault_that_raises_half_way_spoils_the_cluster(
    cluster: StandIn, error: Exception
) -> None:
    with pytest.raises(type(error), match="half-way"):
        jam(cluster, half_way=error)
    assert "half-way" in cluster.poisoned
    assert verdict(cluster)[0] is not Verdict.PASS


def test_a_target_that_is_not_there_is_found_out_before_anything(cluster: StandIn) -> None:
    with (
        pytest.raises(NotApplicable, match="no node is 'z' now"),
        inject(Jam("z", ()), into=cluster.as_cluster),
    ):
        pytest.fail("the body was run")
    assert said(cluster) == []


def test_a_body_can_wait_until_it_is_felt(cluster: StandIn) -> None:
    with inject(Jam("a", ()), into=cluster.as_cluster) as injection:
        assert isinstance(injection, Injection)
        assert not injection.felt()
        with pytest.raises(WaitTimedOut, match="Jam to be felt"):
            injection.await_felt(timeout_s=0.05)
        cluster.world.met += 1
        assert injection.felt()
        injection.await_felt(timeout_s=5)


def test_overlapping_faults_have_their_own_evidence(cluster: StandIn) -> None:
    with inject(Jam("a", ()), into=cluster.as_cluster):
        with inject(Jam("b", ()), into=cluster.as_cluster):
            cluster.world.met += 1
        cluster.world.jammed = True  # the inner heal took it away
        cluster.world.met += 1
    numbers = [event.value["id"] for event in cluster.history().of("felt")]
    assert numbers == [2, 1]
    assert verdict(cluster)[0] is Verdict.PASS
    assert cluster.meters.open_faults == 0


# ---- changes ---------------------------------------------------------------------------------


def test_a_change_is_witnessed(cluster: StandIn) -> None:
    assert apply(Turn("leader"), to=cluster.as_cluster) is True
    assert said(cluster) == ["change invoke", "change ok", "witnessed ok"]
    assert cluster.history().events[0].value["targets"] == ["b"]
    assert verdict(cluster) == (Verdict.PASS, "")


def test_a_change_that_nobody_sees_is_invalid(cluster: StandIn) -> None:
    cluster.world.does_nothing = True
    assert apply(Turn("a"), to=cluster.as_cluster) is False
    assert said(cluster)[-1] == "witnessed fail"
    assert verdict(cluster)[0] is Verdict.INVALID


def test_whether_it_succeeds_may_be_the_question(cluster: StandIn) -> None:
    cluster.world.does_nothing = True
    assert apply(Turn("a"), to=cluster.as_cluster, asks=True) is False
    assert verdict(cluster)[0] is Verdict.PASS


@pytest.mark.parametrize("error", HALF_WAY, ids=lambda error: type(error).__name__)
def test_a_change_that_raises_half_way_is_the_harness_s_failure(
    cluster: StandIn, error: Exception
) -> None:
    cluster.world.half_way = error
    with pytest.raises(type(error), match="half-way"):
        apply(Turn("a"), to=cluster.as_cluster)
    assert said(cluster) == ["change invoke", "change fail"]
    assert verdict(cluster)[0] is Verdict.INFRA


def test_what_a_process_says_of_itself_is_owed_while_it_runs(cluster: StandIn) -> None:
    cluster.world.gone_by_itself = True
    assert apply(Turn("a"), to=cluster.as_cluster, may_exit=True) is True
    assert [event.value["probe"] for event in cluster.history().of("witnessed")] == ["a dial"]


@pytest.mark.parametrize(
    ("seen", "believed", "looks"),
    [("yyy", True, 3), ("yyn", False, 3), ("yn", False, 2), ("n", False, 1)],
)
def test_what_a_stall_of_ours_can_feign_is_looked_at_three_times(
    seen: str, *, believed: bool, looks: int
) -> None:
    answers = iter(seen)
    taken: list[str] = []

    def look() -> Sighting:
        taken.append(next(answers))
        return Sighting(taken[-1] == "y", taken[-1])

    assert lasting(look)().present is believed
    assert len(taken) == looks


# ---- no evidence, no verdict -----------------------------------------------------------------


def test_a_witness_without_a_probe_or_a_meter_is_none() -> None:
    whole = World().witness()
    with pytest.raises(ValueError, match="no evidence, no verdict"):
        Witness([], whole.meters, 1.0)
    with pytest.raises(ValueError, match="no evidence, no verdict"):
        Witness(whole.probes, [], 1.0)
    with pytest.raises(ValueError, match="no evidence, no verdict"):
        Testimony([], 1.0)
