"""
The fields of a fault or change, and those among them that name nodes.

Owns: telling the two kinds apart, and putting a node where a role stands, once, before the first
change. Refuses: a role that nobody has (the cluster says who has which).
"""

from __future__ import annotations

import dataclasses
from typing import Any

from chaoskit.cluster import Cluster

TARGET = "target"


def fields(thing: Any) -> dict[str, Any]:
    """All fields of a fault or change, by name."""
    return {one.name: getattr(thing, one.name) for one in dataclasses.fields(thing)}


def chosen(thing: Any) -> dict[str, Any]:
    """The fields that name no node."""
    targets = {one.name for one in dataclasses.fields(thing) if one.metadata.get(TARGET)}
    return {name: value for name, value in fields(thing).items() if name not in targets}


def resolved(thing: Any, cluster: Cluster) -> tuple[Any, tuple[str, ...]]:
    """The fault or change with every role in its target fields replaced by a node; the nodes."""
    nodes: list[str] = []
    replaced: dict[str, Any] = {}
    for one in dataclasses.fields(thing):
        if not one.metadata.get(TARGET):
            continue
        value = getattr(thing, one.name)
        if isinstance(value, str):
            replaced[one.name] = cluster.target(value)
            nodes.append(replaced[one.name])
        else:
            replaced[one.name] = tuple(cluster.target(name) for name in value)
            nodes.extend(replaced[one.name])
    return dataclasses.replace(thing, **replaced), tuple(dict.fromkeys(nodes))
