"""Both links between two nodes get the shape, a probe each and one meter; both lose it again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chaoskit.errors import NotApplicable
from chaoskit.mesh import Link, Shape, delayed
from chaoskit.sighting import Meter, Probe, Sighting
from chaoskit.tampering import tampered

SHAPE = delayed(0.2)
LINKS = [SimpleNamespace(name="a>b"), SimpleNamespace(name="b>a")]


class Mesh:
    """Says which links there are, and notes what is put on them and taken off."""

    def __init__(self) -> None:
        self.log: list[Any] = []
        self.other = ""

    def between(self, ones: Sequence[str], others: Sequence[str]) -> list[Any]:
        self.log.append((tuple(ones), tuple(others)))
        return LINKS

    def tampered_with(self, name: str) -> bool:
        return name == self.other

    @contextmanager
    def shaped(self, shapes: Mapping[str, Shape]) -> Iterator[None]:
        self.log.append(dict(shapes))
        try:
            yield
        finally:
            self.log.append("open")


def probe(link: Link) -> Probe:
    return Probe(link.name, lambda: Sighting(present=True, detail=""))


def test_both_links_have_it_for_the_length_of_the_block() -> None:
    mesh, made = Mesh(), []

    def meter(links: Sequence[Link], shapes: Mapping[str, Shape]) -> Meter:
        made.append(([link.name for link in links], dict(shapes)))
        return Meter("packets", lambda: 7)

    cluster = cast("Any", SimpleNamespace(mesh=mesh))
    wanted = {"a>b": SHAPE, "b>a": SHAPE}
    with tampered(cluster, ("a", "b"), SHAPE, probe=probe, meter=meter, within_s=3.0) as witness:
        assert mesh.log == [(("a",), ("b",)), wanted]
        assert [one.name for one in witness.probes] == ["a>b", "b>a"]
        assert [one.name for one in witness.meters] == ["packets"]
        assert witness.within_s == 3.0
    assert mesh.log[-1] == "open"
    assert made == [(["a>b", "b>a"], wanted)]


def test_nothing_is_changed_where_nothing_can_be_measured() -> None:
    mesh = Mesh()

    def meter(*_: object) -> Meter:
        raise NotApplicable("nothing counts packets")

    cluster = cast("Any", SimpleNamespace(mesh=mesh))
    refused = tampered(cluster, ("a", "b"), SHAPE, probe=probe, meter=meter, within_s=3.0)
    with pytest.raises(NotApplicable):
        refused.__enter__()
    assert mesh.log == [(("a",), ("b",))]


def test_nothing_is_changed_where_it_could_not_be_told_from_another_fault() -> None:
    mesh = Mesh()
    mesh.other = "b>a"

    def meter(*_: object) -> Meter:
        return Meter("packets", lambda: 7)

    cluster = cast("Any", SimpleNamespace(mesh=mesh))
    refused = tampered(cluster, ("a", "b"), SHAPE, probe=probe, meter=meter, within_s=3.0)
    with pytest.raises(NotApplicable, match="another fault lies on b>a"):
        refused.__enter__()
    assert mesh.log == [(("a",), ("b",))]
