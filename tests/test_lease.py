"""Leases: shared while pristine and passed, rebuilt otherwise, and counted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from chaoskit.cluster import Cluster
from chaoskit.errors import ChaosError
from chaoskit.lease import Leases
from chaoskit.session import Session
from chaoskit.setting import Setting
from chaoskit.system import System
from chaoskit.verdict import Verdict
from tests.stand_in import StandIn, still

SETTING = Setting("1")
STILL = still()


class Sessions:
    """Makes stand-ins in place of clusters."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: list[StandIn] = []
        self.broken = False
        self.slow = False

    def cluster(self, system: System, _: Setting) -> StandIn:
        if self.slow:
            system = replace(system, start_timeout_s=4 * system.start_timeout_s)
        made = StandIn(self.folder, system, name=f"c{len(self.made) + 1}")
        self.made.append(made)
        if self.broken:
            made.pristine = cast("Any", None)
        return made

    def log(self) -> list[str]:
        return [f"{one.name} {what}" for one in self.made for what in one.world.log]


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[Sessions]:
    made = Sessions(tmp_path)
    yield made
    for one in made.made:
        one.recorder.close()


@pytest.fixture
def leases(sessions: Sessions) -> Iterator[Leases]:
    with Leases(cast("Session", sessions)) as made:
        yield made


def counts(leases: Leases) -> tuple[int, int, int]:
    return leases.built, leases.reused, leases.rebuilt


def test_a_cluster_left_as_it_was_is_shared(leases: Leases) -> None:
    first = leases.lease(STILL, SETTING)
    leases.returned(first, Verdict.PASS)
    assert leases.lease(STILL, SETTING) is first
    assert counts(leases) == (1, 1, 0)


def test_a_cluster_whose_deadlines_were_stretched_is_shared(
    leases: Leases, sessions: Sessions
) -> None:
    sessions.slow = True
    first = leases.lease(STILL, SETTING)
    assert first.system != STILL
    leases.returned(first, Verdict.PASS)
    assert leases.lease(STILL, SETTING) is first


@pytest.mark.parametrize("verdict", [one for one in Verdict if one is not Verdict.PASS])
def test_only_a_pass_leaves_it_fit_for_another(leases: Leases, verdict: Verdict) -> None:
    first = leases.lease(STILL, SETTING)
    leases.returned(first, verdict)
    assert leases.lease(STILL, SETTING) is not first
    assert counts(leases) == (2, 0, 1)
    assert leases.why == [f"its last test came out {verdict}"]


def test_one_that_differs_from_its_pristine_record_is_rebuilt(
    leases: Leases, sessions: Sessions
) -> None:
    first = leases.lease(STILL, SETTING)
    leases.returned(first, Verdict.PASS)
    sessions.made[0].pristine["links"] = "tampered with"
    second = leases.lease(STILL, SETTING)
    assert second is not first
    assert leases.why == ["links: open -> tampered with"]
    sessions.made[1].pristine.clear()
    leases.lease(STILL, SETTING)
    assert leases.why[1] == "links: open -> nothing"
    assert counts(leases) == (3, 0, 2)
    assert sessions.log() == ["c1 up", "c1 down", "c2 up", "c2 down", "c3 up"]


def test_one_that_cannot_be_looked_at_is_rebuilt(
    leases: Leases, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    leases.lease(STILL, SETTING)

    def gone() -> dict[str, str]:
        raise ChaosError("Toxiproxy is gone")

    monkeypatch.setattr(sessions.made[0], "fingerprint", gone)
    leases.lease(STILL, SETTING)
    assert leases.why == ["Toxiproxy is gone"]


def test_another_setting_or_system_is_another_cluster_and_one_is_up_at_a_time(
    leases: Leases, sessions: Sessions
) -> None:
    leases.lease(STILL, SETTING)
    leases.lease(STILL, Setting("2"))
    leases.lease(still(name="other"), Setting("2"))
    assert counts(leases) == (3, 0, 0)
    assert sessions.log() == ["c1 up", "c1 down", "c2 up", "c2 down", "c3 up"]


def test_whatever_is_up_goes_at_the_end(sessions: Sessions) -> None:
    with Leases(cast("Session", sessions)) as leases:
        leases.lease(STILL, SETTING)
    assert sessions.log() == ["c1 up", "c1 down"]


def test_a_cluster_whose_record_cannot_be_taken_goes_at_once(sessions: Sessions) -> None:
    sessions.broken = True
    with ExitStack() as stack:
        leases = stack.enter_context(Leases(cast("Session", sessions)))
        with pytest.raises(TypeError):
            leases.lease(STILL, SETTING)
        assert sessions.log() == ["c1 up", "c1 down"]


def test_what_is_kept_is_told_so(leases: Leases, sessions: Sessions) -> None:
    cluster: Cluster = leases.lease(STILL, SETTING)
    leases.keep()
    assert cluster is cast("Any", sessions.made[0])
    assert sessions.log() == ["c1 up", "c1 stands"]


def test_systems_of_one_name_do_not_share(leases: Leases) -> None:
    first = leases.lease(STILL, SETTING)
    leases.returned(first, Verdict.PASS)
    assert leases.lease(still(quorum=3), SETTING) is not first
