"""
The cells of a fault matrix, and which of them a night runs.

Owns: what a cell is (a fault, on a release, on a role), making all cells of a system, shards, the
order (least recently run first), what fits into a budget, and the grouping by cluster. Pure
functions of values. Refuses: clusters, clocks and files.
"""

from __future__ import annotations

import dataclasses
import re
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chaoskit.errors import UsageError
from chaoskit.system import System

ROLES = ("leader", "follower")
STORAGE_NEED = "faulty storage"
CLOCK_NEED = "a clock that can be set"
# What a cell and a cluster are thought to take before any has been measured, seconds.
CELL_S, CLUSTER_S = 15.0, 6.0


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """
    One short experiment: a fault on a node in a role, on a release of a system. Where nodes have no
    roles, `role` is a node's name.

    `storage` says that its cluster needs faulty storage, `clocks` that it needs clocks that can be
    set.
    """

    system: str
    release: str
    fault: str
    role: str
    storage: bool = False
    clocks: bool = False

    @property
    def name(self) -> str:
        """For people and for files: "SYSTEM RELEASE FAULT ROLE"."""
        return f"{self.system} {self.release} {self.fault} {self.role}"

    @property
    def cluster(self) -> tuple[str, str, bool, bool]:
        """Cells that are alike in this can share a cluster."""
        return (self.system, self.release, self.storage, self.clocks)


@dataclass(frozen=True, slots=True)
class Known:
    """What a record says of a cell's earlier runs: when it ended last (UTC), how long it takes."""

    last_utc: str
    duration_s: float


def fields_for(fault: type, role: str, others: Sequence[str] = ROLES) -> dict[str, Any]:
    """
    The target fields of a fault when its first target is the node in `role`.

    Further targets get the first of the `others`. Raises UsageError for a fault without a target.
    """
    other = next(one for one in others if one != role)
    targets = [one for one in dataclasses.fields(fault) if one.metadata.get("target")]
    if not targets:
        raise UsageError(f"{fault.__name__} has no target field: it cannot be aimed at a role")
    values: dict[str, Any] = {}
    for field in targets:
        aimed = other if values else role
        several = str(field.type).startswith("tuple")
        values[field.name] = (aimed,) if several else aimed
    return values


def last_of(fields: Mapping[str, Any]) -> str:
    """The last node or role that these target fields name."""
    last = list(fields.values())[-1]
    return str(last if isinstance(last, str) else last[-1])


def cells_of(
    system: System,
    faults: Mapping[str, type],
    *,
    releases: Sequence[str] = (),
    roles: Sequence[str] = ROLES,
) -> tuple[Cell, ...]:
    """Every cell of a system, in order; `releases` (labels) limits it to these."""
    return tuple(
        sorted(
            Cell(
                system.name,
                release.label,
                name,
                role,
                storage=STORAGE_NEED in _needs(kind),
                clocks=CLOCK_NEED in _needs(kind),
            )
            for release in system.releases
            if not releases or release.label in releases
            for name, kind in faults.items()
            for role in roles
        )
    )


def _needs(kind: type) -> Collection[str]:
    return tuple(getattr(kind, "NEEDS", ()))


def parse_shard(text: str) -> tuple[int, int]:
    """
    The number and the count of "i/n", 1 <= i <= n; "" is 1/1.

    Raises UsageError for anything else.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", text or "1/1")
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(f"--shard {text!r}: write i/n with i from 1 to n")
    return int(match[1]), int(match[2])


def sharded(cells: Sequence[Cell], shard: str) -> tuple[Cell, ...]:
    """
    One shard's cells; all shards together are all cells, each once.

    Releases are spread over the shards cluster by cluster, so that a shard can reuse its clusters.
    """
    number, count = parse_shard(shard)
    clusters = sorted({cell.cluster for cell in cells})
    if len(clusters) >= count:
        mine = set(clusters[number - 1 :: count])
        return tuple(cell for cell in cells if cell.cluster in mine)
    return tuple(sorted(cells)[number - 1 :: count])


def least_recent_first(cells: Iterable[Cell], known: Mapping[str, Known]) -> list[Cell]:
    """Those never run first, then by when they ended last; of equals by name."""
    return sorted(
        cells, key=lambda cell: (known[cell.name].last_utc if cell.name in known else "", cell)
    )


def estimate_s(cell: Cell, known: Mapping[str, Known]) -> float:
    """How long a cell will take: as long as before, else as the median of all that are known."""
    if cell.name in known:
        return known[cell.name].duration_s
    return statistics.median(one.duration_s for one in known.values()) if known else CELL_S


def chosen(
    cells: Iterable[Cell], known: Mapping[str, Known], *, budget_s: float
) -> tuple[Cell, ...]:
    """
    The cells that fit into a budget, in the order to run them.

    Taken are the least recently run; they are run cluster by cluster, the clusters in the order in
    which their oldest cell comes. A cluster that is needed for the first time costs its start.
    """
    taken: list[Cell] = []
    clusters: dict[tuple[str, str, bool, bool], int] = {}
    left_s = budget_s
    for cell in least_recent_first(cells, known):
        cost_s = estimate_s(cell, known) + (0.0 if cell.cluster in clusters else CLUSTER_S)
        if cost_s > left_s:
            continue
        left_s -= cost_s
        clusters.setdefault(cell.cluster, len(clusters))
        taken.append(cell)
    return tuple(sorted(taken, key=lambda cell: clusters[cell.cluster]))


def grouped(cells: Sequence[Cell]) -> list[tuple[Cell, ...]]:
    """Runs of cells that share a cluster."""
    groups: list[list[Cell]] = []
    for cell in cells:
        if not groups or groups[-1][0].cluster != cell.cluster:
            groups.append([])
        groups[-1].append(cell)
    return [tuple(group) for group in groups]


def reruns_allowed(cells: int) -> int:
    """How many cells that came out INFRA are run once more: 2 % of the cells, one at least."""
    return max(1, round(cells * 0.02))
