"""
What `chaoskit rehearse` puts on the stage of a beacon: a group that speaks TLS, whoever ends it.

Owns: that group, what a member owes in each step, and what an operator changes between releases.
Refuses: knowing what a release breaks. v1 ends TLS itself; before v2 stands nginx, which comes with
the upgrade. So every release can be of it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from chaoskit.invariant import Invariant
from chaoskit.rehearsed import Rehearsed
from chaoskit.system import Observation, Release
from suites.beacon.links import links_come_back_once_they_are_whole
from suites.beacon.system import beacon
from suites.incidents.signing import a_member_with_valid_old_keys_starts_and_contributes

_START_S = 15.0
_LINKS_S = 30.0  # what gRPC waits at most before it dials again after cuts of seconds


def owed(release: Release) -> Sequence[Invariant]:
    """Whoever comes to a release starts on what keys he has, and his links heal by themselves."""
    return (
        a_member_with_valid_old_keys_starts_and_contributes(
            label=release.label, version=release.version, within_s=_START_S
        ),
        links_come_back_once_they_are_whole(within_s=_LINKS_S),
    )


def changed(source: str, target: str) -> Sequence[str]:
    """What is to be done by hand: from v1 to v2 alone."""
    if not (source.startswith("v1.") and target.startswith("v2.")):
        return ()
    return (
        (
            "keep a copy of key/ first: v2 signs drand_id.public anew, and v1 refuses that one "
            "until its own `drand util self-sign` was run"
        ),
        (
            "nginx before it, with the certificate and key that --tls-cert and --tls-key named, "
            "handing on by grpc_pass to where --private-listen now is"
        ),
        (
            "leave out --tls-cert, --tls-key and --certs-dir, which are gone; name the authority "
            "of the peers' certificates in SSL_CERT_FILE"
        ),
    )


def unreached(seen: Observation) -> Collection[str]:
    """Who did not take its last partial signature."""
    return frozenset(seen.detail["failing"])


REHEARSAL = Rehearsed(
    replace(
        beacon(3, threshold=2, tls=True, terminated=True),
        settle_s=3.0,
        start_timeout_s=_LINKS_S + 5.0,
    ),
    owed=owed,
    changed=changed,
    unreached=unreached,
    led=False,
)
