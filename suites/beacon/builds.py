"""
Builds of a release with the tag conn_insecure, beside the released one.

Owns: such a build as a release of its own, so that a member can be upgraded to it by mistake.
Refuses: what it does, which is to dial its peers in plaintext and to serve as any other: the image
is of another build, a real drand's by `--chaos-image beacon@LABEL-insecure=REF`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from chaoskit.system import Placement, Release, System

INSECURE = "-insecure"
"""At the end of the label of such a build."""


def with_insecure_build(system: System, label: str) -> System:
    """The group, with the build of the release `label` that has the tag as one more release."""
    released = system.release(label)
    build = Release(
        released.label + INSECURE,
        image=released.image + INSECURE,
        recipe=(*released.recipe[:-1], released.label + INSECURE),
        version=released.version,
    )

    def environment(placement: Placement) -> Mapping[str, str]:
        given = dict(system.environment(placement))
        if placement.release == build.label:
            given.pop("DRAND_CONN_INSECURE", None)  # which makes ours a released build
        return given

    return replace(system, releases=(*system.releases, build), environment=environment)
