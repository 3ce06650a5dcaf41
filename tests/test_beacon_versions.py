"""Who takes whose partials: the matrix read from every release's own rule."""

from __future__ import annotations

import pytest

from nodes.beacon.profiles import PROFILES
from nodes.beacon.versions import Version, compatible, version_of

TAKES = {
    "v1.4.9": ("v1.4.9", "v1.5.7", "v1.5.8"),
    "v1.5.7": ("v1.4.9", "v1.5.7", "v1.5.8"),
    "v1.5.8": ("v1.4.9", "v1.5.7", "v1.5.8", "v2.0.2-testnet", "v2.0.4"),
    "v2.0.2-testnet": ("v1.5.8", "v2.0.2-testnet", "v2.0.4", "v2.1.4"),
    "v2.0.4": ("v1.5.8", "v2.0.2-testnet", "v2.0.4", "v2.1.4"),
    "v2.1.4": ("v2.0.2-testnet", "v2.0.4", "v2.1.4"),
}


@pytest.mark.parametrize("own", TAKES)
def test_the_matrix(own: str) -> None:
    receiver = PROFILES[own]
    taken = [
        one for one in TAKES if compatible(version_of(receiver.surface.version), version_of(one))
    ]
    assert tuple(taken) == TAKES[own]


def test_names_of_releases() -> None:
    assert version_of("v2.0.7-testnet") == Version(2, 0, 7)
    assert str(version_of("2.1.3")) == "2.1.3"
    for text in ("", "2.1", "2.1.x", "-1.0.0", "1.2.3.4"):
        with pytest.raises(ValueError, match="no version"):
            version_of(text)


def test_numbers_that_no_release_has() -> None:
    for theirs in (Version(0, 0, 0), Version(2**32 - 1, 2**32 - 1, 2**32 - 1), Version(3, 0, 0)):
        assert not compatible(Version(2, 1, 3), theirs)
        assert not compatible(Version(1, 5, 7), theirs)
