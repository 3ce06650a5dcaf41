"""A look that is believed when it lasts, and at once when it saw nothing."""

from __future__ import annotations

import pytest

from chaoskit.errors import ChaosError
from chaoskit.sighting import Sighting, lasting


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
