"""A look that is believed when it lasts, and at once when it saw nothing."""

from __future__ import annotations

import pytest

from chaoskit.errors import ChaosError
from chaoskit.sighting import Sighting, Undecided, lasting


@pytest.mark.parametrize(
    ("met", "present", "looks"),
    [
        ([True, True, True], True, 3),
        ([False], False, 1),
        ([True, False], False, 2),
        ([True, True, False], False, 3),
    ],
)
def test_a_fault_is_believed_when_it_was_seen_three_times(
    met: list[bool],
    present: bool,  # noqa: FBT001
    looks: int,
) -> None:
    seen: list[Sighting] = []

    def look() -> Sighting:
        seen.append(Sighting(met[len(seen)], f"look {len(seen) + 1}"))
        return seen[-1]

    assert lasting(look)() == Sighting(present, f"look {looks}")
    assert len(seen) == looks


def test_a_look_that_cannot_be_had_is_neither() -> None:
    def look() -> Sighting:
        raise ChaosError("neither there nor gone")

    with pytest.raises(ChaosError):
        lasting(look)()


@pytest.mark.parametrize(
    ("met", "present"),
    [("yy?yyy", True), ("?n", False), ("?" * 10 + "yyy", True), ("?" * 11, None)],
)
def test_a_look_that_says_nothing_is_taken_again_some_times(
    met: str, *, present: bool | None
) -> None:
    left = list(met)

    def look() -> Sighting:
        if (one := left.pop(0)) == "?":
            raise Undecided("the machine was too slow")
        return Sighting(one == "y", one)

    if present is None:
        with pytest.raises(Undecided):
            lasting(look)()
    else:
        assert lasting(look)().present is present
    assert not left
