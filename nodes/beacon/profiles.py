"""
What differs between the releases that this node stands in for: a frozen record each.

Owns: the table. Refuses: nothing; whoever reads a name says which ones are known. What a field
does is said where its type is; there is one mechanism each, and no code asks which release it is.

Rules: a profile is modelled on a release, and is not that release. What it does follows from its
fields, real files and real handshakes, never from a written-down outcome. A field is here only
where two releases differ in it and a row of past outages turns on it. Where no surface of a release
was recorded it looks as the recorded one of its line, but for its version.

Sources: the public sources at each tag; of how keys are loaded, signed and overwritten, of the gate
and of the alarm, what real binaries did: v1.5.7, v1.5.8, v1.5.9, v1.5.11, v2.0.0-testnet,
v2.0.2-testnet, v2.0.3-testnet, v2.0.5-testnet, v2.0.6-testnet, v2.0.4, v2.1.0, v2.1.4, not each of
them in everything. The rest is read from sources alone; v1.4.9 is known as a writer of files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from types import MappingProxyType

from nodes.beacon.alarm import AlarmRule
from nodes.beacon.identity import MissingScheme
from nodes.beacon.releases import SURFACES, Surface
from nodes.beacon.transport import (
    BY_THE_KEY,
    FALLING_BACK,
    TLS_ONLY,
    TLS_OR_INSECURE_BUILD,
    Transport,
)


class KeyGuard(Enum):
    """How `generate-keypair` looks whether there is a pair, and what it ends with if there is."""

    LOADS_AS_ASKED = "up to v1.5.8: loads it by the scheme that is asked for; 0"
    LOADS_AS_WRITTEN = "v1.5.9 and later: loads it by the scheme that its files name; 1"


class OwnSignature(Enum):
    """What a start makes of our identity's signature over itself."""

    MUST_HOLD = "v1: one that v1 would not have made is refused; `util self-sign` makes it anew"
    MADE_ANEW = "v2: one that v2 would not have made is made anew, and both files name the scheme"


@dataclass(frozen=True, slots=True)
class Profile:
    """
    A release as far as others differ from it.

    `missing_scheme`: how a key pair is loaded that does not name its scheme. `own_signature`: what
    a start makes of the identity's signature. `key_guard`: how an existing pair is kept.
    `alarm`: when the node says that its threshold is in danger; None where it never does. How it
    dials is the surface's `transport`; whose partials it takes follows from the surface's version.
    """

    surface: Surface
    missing_scheme: MissingScheme
    own_signature: OwnSignature
    key_guard: KeyGuard
    alarm: AlarmRule | None


_V1, _V2 = SURFACES.values()


def _v1(version: str) -> Surface:
    return replace(_V1, release=f"v{version}", version=version)


def _v2(version: str, transport: Transport) -> Surface:
    return replace(_V2, release=f"v{version}", version=version, transport=transport)


_IS_THE_GROUPS = MissingScheme.IS_THE_GROUPS
_MUST_HOLD, _MADE_ANEW = OwnSignature
_AS_ASKED, _AS_WRITTEN = KeyGuard
_THRESHOLD, _MARGIN = AlarmRule


def _testnet(surface: Surface, missing: MissingScheme = _IS_THE_GROUPS) -> Profile:
    """Before v2.0.6-testnet."""
    return Profile(surface, missing, _MADE_ANEW, _AS_WRITTEN, _THRESHOLD)


def _from_2_0_6_testnet(surface: Surface) -> Profile:
    return Profile(surface, _IS_THE_GROUPS, _MADE_ANEW, _AS_WRITTEN, _MARGIN)


_BUILD = TLS_OR_INSECURE_BUILD
_PROFILES = (
    Profile(_v1("1.4.9"), _IS_THE_GROUPS, _MUST_HOLD, _AS_ASKED, None),
    Profile(_v1("1.5.7"), _IS_THE_GROUPS, _MUST_HOLD, _AS_ASKED, _THRESHOLD),
    Profile(_V1, _IS_THE_GROUPS, _MUST_HOLD, _AS_ASKED, _THRESHOLD),
    Profile(_v1("1.5.9"), _IS_THE_GROUPS, _MUST_HOLD, _AS_WRITTEN, _THRESHOLD),
    Profile(_v1("1.5.11"), _IS_THE_GROUPS, _MUST_HOLD, _AS_WRITTEN, _THRESHOLD),
    _testnet(_v2("2.0.0-testnet", BY_THE_KEY), MissingScheme.REFUSED),
    _testnet(_v2("2.0.2-testnet", FALLING_BACK), MissingScheme.IS_DEFAULT),
    _testnet(_v2("2.0.3-testnet", FALLING_BACK)),
    _testnet(_v2("2.0.4-testnet", TLS_ONLY)),
    _testnet(_v2("2.0.5-testnet", _BUILD)),
    _from_2_0_6_testnet(_v2("2.0.6-testnet", _BUILD)),
    _from_2_0_6_testnet(_v2("2.0.2", _BUILD)),
    _from_2_0_6_testnet(_v2("2.0.4", _BUILD)),
    _from_2_0_6_testnet(_v2("2.1.0", _BUILD)),
    _from_2_0_6_testnet(_V2),
)
PROFILES: Mapping[str, Profile] = MappingProxyType({one.surface.release: one for one in _PROFILES})
"""By release, oldest first in either line."""
