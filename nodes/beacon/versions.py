"""
Which releases talk to which: drand's gate on partials.

Owns: versions on the wire, and who is compatible, release by release. Refuses: what is no version.

Rules: up to v1.5.7 a node takes its own major and minor, 1.4 and later, and nothing of 2; from
v1.5.8 on the same major with minors at most one apart, and 1.5.8 and later together with 2.0. The
rule is the receiver's; a caller that names no version is not asked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

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


def compatible(own: Version, theirs: Version) -> bool:
    """Whether a node of version `own` takes partials of a node of version `theirs`."""
    if own < _BRIDGE:
        same = (own.major, own.minor) == (theirs.major, theirs.minor)
        both_first = own.major == 1 and theirs.major == 1 and theirs.minor >= 4
        return same or both_first
    if own.major == theirs.major:
        return abs(own.minor - theirs.minor) <= 1
    first, second = sorted((own, theirs))
    return _BRIDGE <= first < Version(1, 6, 0) and (second.major, second.minor) == (2, 0)
