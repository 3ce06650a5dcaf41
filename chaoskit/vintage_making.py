"""
Making a vintage: run an old release for a while, stop it in good order, keep what it left.

Owns: how far a cluster has to come before its data is worth keeping, and the order in which it is
stopped. Refuses: a cluster that is not in its steady state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chaoskit import clock
from chaoskit.errors import ChaosError, UsageError
from chaoskit.session import Session
from chaoskit.setting import Setting
from chaoskit.system import System
from chaoskit.vintage import Left, Store, Vintage, default_folder

PROGRESS = 50
_LOAD_PER_S = 50.0


def parse_settings(system: System, given: Sequence[str]) -> dict[str, str]:
    """NAME=VALUE, each a setting of `system`. Raises UsageError that names the settings."""
    settings: dict[str, str] = {}
    for one in given:
        name, separator, value = one.partition("=")
        if not separator or name not in system.settings:
            known = ", ".join(system.settings) or "none"
            raise UsageError(f"{one!r} sets nothing of {system.name}; its settings: {known}")
        settings[name] = value
    return settings


def make(
    session: Session,
    system: System,
    *,
    release: str,
    settings: Mapping[str, str],
    progress: int = PROGRESS,
    timeout_s: float,
) -> Vintage:
    """
    Run `system` at `release` until it has come on by `progress`, stop it, store what it left.

    Progress is acknowledged operations where load drives the system, else what its nodes show.
    Members are stopped one by one, as an operator would. Raises ChaosError when it does not come so
    far within `timeout_s`.
    """
    setting = Setting(release, tuple(sorted(settings.items())))
    with session.cluster(system, setting) as cluster:
        with cluster.loaded(_LOAD_PER_S if system.driven else 0.0):
            cluster.await_progress(by=progress, timeout_s=timeout_s)
            cluster.end_load()
        cluster.await_steady_state(timeout_s=timeout_s)
        shown = cluster.latest()
        images = sorted({node.image_id for node in cluster.nodes.values()})
        for node in cluster.nodes.values():
            node.stop()
        silent = sorted(node for node, one in shown.items() if one is None)
        if silent:
            raise ChaosError(f"{', '.join(silent)} did not answer before the end: nothing is kept")
        left = Left(
            system=system.name,
            release=system.release(release).label,
            image=", ".join(images),
            made_utc=clock.utc_now().isoformat(timespec="seconds"),
            settings=dict(settings),
            progress={node: one.progress if one else None for node, one in shown.items()},
            hidden=cluster.hidden(),
        )
        folders = {name: node.folders.data for name, node in cluster.nodes.items()}
        return Store(default_folder()).add(left, folders)
