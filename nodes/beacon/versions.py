"""
Which releases talk to which: drand's gate on partials.

Owns: versions on the wire, and who is compatible by each of the two rules that there were.
Refuses: what is no version.

Rules: the rule is the receiver's. A caller that names no version is not asked: partials name one,
requests to be synced do not, so whoever is refused follows the chain and signs for nobody.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

_VERSION = re.compile(r"v?(\d{1,6})\.(\d{1,6})\.(\d{1,6})(?:[-+].*)?")


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """Three numbers; what comes after them in a release's name is never sent."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


_BRIDGE = Version(1, 5, 8)


def version_of(text: str) -> Version:
    """The version in a release's name; raises ValueError."""
    match = _VERSION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is no version such as 2.1.3")
    return Version(int(match[1]), int(match[2]), int(match[3]))


class Gate(Enum):
    """Whom a node takes partials of, by the releases that have the rule."""

    FIRST_MAJOR_ALONE = "up to v1.5.7: its own major and minor, and of 1 what is 1.4 or later"
    BRIDGED = "from v1.5.8 on: its own major, minors at most one apart; 1.5.8 and later with 2.0"

    def admits(self, own: Version, theirs: Version) -> bool:
        """Whether a node of version `own` takes partials of a node of version `theirs`."""
        if self is Gate.FIRST_MAJOR_ALONE:
            same = (own.major, own.minor) == (theirs.major, theirs.minor)
            return same or (own.major == 1 and theirs.major == 1 and theirs.minor >= 4)
        if own.major == theirs.major:
            return abs(own.minor - theirs.minor) <= 1
        first, second = sorted((own, theirs))
        return _BRIDGE <= first < Version(1, 6, 0) and (second.major, second.minor) == (2, 0)
