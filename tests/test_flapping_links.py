"""Links that flap: the schedule is drawn from a seed, and each change has to be seen."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from itertools import pairwise
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from chaoskit import catalogue, clock
from chaoskit.errors import ChaosError, UsageError
from chaoskit.mesh import Shape, refused
from chaoskit.sighting import Probe, Sighting
from faults import flapping_links
from faults.flapping_links import FlappingLinks, _Flapper, flaps

Downs = tuple[tuple[float, float], ...]
DOWNS: Downs = ((0.0, 0.1), (0.2, 0.1), (0.4, 0.1))


@pytest.mark.parametrize("jitter_s", [0.0, 0.3])
def test_a_schedule_keeps_its_period_its_share_and_its_seed(jitter_s: float) -> None:
    def drawn(seed: str) -> tuple[tuple[float, float], ...]:
        return flaps(period_s=2.0, duty=0.5, jitter_s=jitter_s, times=20, random=Random(seed))

    downs = drawn("7f3a")
    assert downs == drawn("7f3a")
    assert (downs == drawn("7f3b")) is (jitter_s == 0)
    assert FlappingLinks("n1", "n2", downs).downs == downs
    assert len(downs) == 20
    for number, (from_s, for_s) in enumerate(downs):
        assert abs(from_s - 2.0 * number) <= jitter_s
        assert abs(from_s + for_s - 2.0 * number - 1.0) <= jitter_s + 0.002
    if jitter_s:
        assert len({round(later[0] - earlier[0], 3) for earlier, later in pairwise(downs)}) > 5


@pytest.mark.parametrize(
    "asked", [{"times": 1}, {"jitter_s": 0.5}, {"duty": 0.0}, {"duty": 1.0}, {"jitter_s": -0.1}]
)
def test_no_schedule_in_which_two_could_meet(asked: Mapping[str, Any]) -> None:
    values: dict[str, Any] = {"period_s": 2.0, "duty": 0.5, "jitter_s": 0.1, "times": 3}
    values.update(asked)
    with pytest.raises(ValueError, match="moved by"):
        flaps(**values, random=Random(1))


@pytest.mark.parametrize(
    "downs",
    [
        [(0, 1)],
        [(1, 1), (3, 1)],
        [(0, 1), (1, 1)],
        [(0, 3), (2, 1)],
        [(0, 1), (2, 0)],
        [(0, 1), (3, 1), (2, 0.5)],
    ],
)
def test_no_links_flap_by_half_a_schedule(downs: Any) -> None:
    with pytest.raises(ValueError, match="downs"):
        FlappingLinks("n1", "n2", downs)


def test_a_plan_s_file_has_its_schedule() -> None:
    asked = {"one": "n1", "other": "n2", "downs": [[0, 1], [2, 1]]}
    assert catalogue.make("FlappingLinks", asked) == FlappingLinks("n1", "n2", ((0, 1), (2, 1)))
    with pytest.raises(UsageError, match="FlappingLinks cannot have"):
        catalogue.make("FlappingLinks", asked | {"downs": [[0, 1]]})


class Rig:
    """Two links that go down and up when they are told to, unless told otherwise."""

    def __init__(self) -> None:
        self.down: set[str] = set()
        self.log: list[str] = []
        self.obeys: Callable[[], bool] = lambda: True
        self.breaks = False
        self.may_look = threading.Event()
        self.may_look.set()
        self.starved_looks = 0
        mesh = SimpleNamespace(shaped=self._shaped)
        self.cluster: Any = SimpleNamespace(
            mesh=mesh, meters=SimpleNamespace(discounting=lambda **_: nullcontext())
        )

    @contextmanager
    def _shaped(self, shapes: Mapping[str, Shape]) -> Iterator[None]:
        assert set(shapes.values()) == {refused()}
        self.log.append("down")
        if self.breaks and len(self.log) > 1:
            raise ChaosError("the server is gone")
        self.down |= set(shapes) if self.obeys() else set()
        try:
            yield
        finally:
            self.log.append("up")
            self.down -= set(shapes)

    def look(self, link: str) -> Probe:
        def look() -> Sighting:
            self.may_look.wait()
            if self.starved_looks:
                self.starved_looks -= 1
                raise ChaosError("neither there nor gone")
            return Sighting(link in self.down, "")

        return Probe(f"a question on {link}", look, link)


def flapper(rig: Rig, downs: Downs = DOWNS) -> tuple[_Flapper, list[Probe]]:
    looks = [rig.look("n1>n2"), rig.look("n2>n1")]
    made = _Flapper(rig.cluster, looks, downs)
    return made, [made.seen_flapping(one) for one in looks]


def test_each_change_is_made_and_seen_and_the_links_are_up_at_last() -> None:
    rig = Rig()
    flapping, probes = flapper(rig)
    assert [one.link for one in probes] == ["n1>n2", "n2>n1"]
    rig.may_look.clear()
    with flapping:
        assert not any(one.look().present for one in probes)
        rig.may_look.set()
        clock.wait_until(lambda: len(rig.log) == 6, what="three flaps", timeout_s=30)
        clock.wait_until(
            lambda: all("6 of 6" in one.look().detail for one in probes),
            what="each change to be seen",
            timeout_s=30,
        )
        assert all(one.look().present for one in probes)
    assert rig.log == ["down", "up"] * 3
    assert not any(one.look().present for one in probes)
    rig.down.add("n1>n2")
    assert [one.look().present for one in probes] == [True, False]


def test_one_change_that_was_not_seen_spoils_it() -> None:
    rig = Rig()
    rig.obeys = lambda: len(rig.log) != 3  # the second time down
    flapping, probes = flapper(rig)
    with flapping:
        clock.wait_until(lambda: len(rig.log) == 6, what="three flaps", timeout_s=30)
        details = {one.look().detail for one in probes}
        assert not any(one.look().present for one in probes), details
        assert all("1 missed" in one for one in details)


def test_a_change_waits_for_a_dial_that_says_whether_the_one_before_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(flapping_links, "_LATE_AT_MOST_S", 60.0)
    rig = Rig()
    rig.starved_looks = 40  # some 0.4 s, four times as long as it is down
    flapping, probes = flapper(rig)
    with flapping:
        clock.wait_until(
            lambda: all("6 of 6 changes were seen, 0" in one.look().detail for one in probes),
            what="each change to be seen",
            timeout_s=30,
        )


def test_no_change_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flapping_links, "_LATE_AT_MOST_S", 0.1)
    rig = Rig()
    rig.starved_looks = 1_000_000
    flapping, probes = flapper(rig)
    with flapping:
        clock.wait_until(lambda: len(rig.log) == 6, what="three flaps", timeout_s=30)
        assert not any(one.look().present for one in probes)


def test_it_ends_in_the_middle_with_the_links_up() -> None:
    rig = Rig()
    flapping, _ = flapper(rig, ((0.0, 60.0), (120.0, 60.0)))
    with flapping:
        assert rig.down
    assert not rig.down
    assert rig.log == ["down", "up"]


def test_what_ends_its_thread_is_raised_when_it_is_left() -> None:
    rig = Rig()
    rig.breaks = True
    flapping, _ = flapper(rig)
    with pytest.raises(ChaosError, match="the server is gone"), flapping:
        clock.wait_until(lambda: len(rig.log) == 3, what="the second flap", timeout_s=30)
