"""What a System may declare for its report; what the suites declare names facts that there are."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest

from chaoskit.panel import CatchUp, Panels
from chaoskit.report.document import list_of, number_at, object_of
from suites.beacon.system import SYSTEM as BEACON
from suites.beacon.watching import observe
from suites.etcd.system import SYSTEM as ETCD
from suites.toys.system import SYSTEM as TOYS
from tests.test_suite_beacon_watching import node, serving


@pytest.mark.parametrize("points", [((1.0, 2.0),), ((2.0, 2.0), (1.0, 3.0)), ((1.0, 1.0),) * 2])
def test_a_bound_is_two_points_or_more_in_order(points: Any) -> None:
    with pytest.raises(ValueError, match="two or more points in order"):
        CatchUp("w", "rounds", bound=points)
    assert CatchUp("w", "rounds").bound == ()


@pytest.mark.parametrize("system", [BEACON, ETCD, TOYS], ids=lambda one: one.name)
def test_the_history_says_them_as_they_were_declared(system: Any) -> None:
    said = system.said()
    assert system.panels != Panels()
    assert json.loads(json.dumps(said))["panels"] == json.loads(json.dumps(asdict(system.panels)))
    assert (said["system"], said["quorum"]) == (system.name, system.quorum)


def test_what_the_beacon_declares_is_in_its_samples() -> None:
    with serving(node(behind=1)) as endpoint:
        value = asdict(observe(endpoint, 5))
    panels = BEACON.panels
    assert panels.catch_up is not None
    assert panels.contributions is not None
    (late,) = panels.curves
    assert number_at(value, late.reads) == pytest.approx(1.019)
    assert number_at(value, late.once_per) == 9
    assert number_at(value, panels.catch_up.behind) == 1
    parent, _, key = panels.contributions.refused.partition(".")
    assert list_of(object_of(value, parent), key) == ["n3"]
