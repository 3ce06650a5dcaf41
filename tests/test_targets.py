"""Which fields name nodes, and a node where a role stood."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaoskit.errors import NotApplicable
from chaoskit.targets import chosen, fields, resolved
from faults.partition import Isolate, Split
from tests.stand_in import Jam, StandIn


def test_fields_and_those_that_name_no_node() -> None:
    fault = Isolate("leader", style="dropped")
    assert fields(fault) == {"node": "leader", "style": "dropped"}
    assert chosen(fault) == {"style": "dropped"}
    assert chosen(Split(("a",))) == {"style": "refused"}
    assert chosen(Jam("a", ())) == {}


def test_a_node_stands_where_a_role_stood(tmp_path: Path) -> None:
    cluster = StandIn(tmp_path)
    asked = Jam("leader", ("c", "leader"))
    assert resolved(asked, cluster.as_cluster) == (Jam("b", ("c", "b")), ("b", "c"))
    with pytest.raises(NotApplicable, match="no node is 'learner'"):
        resolved(Jam("learner", ()), cluster.as_cluster)
    cluster.recorder.close()
