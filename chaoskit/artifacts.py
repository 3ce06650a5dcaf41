"""
Where a system's artifacts lie on this host.

Owns: finding the file of a node that a fault names as people do ("share"), and overwriting it.
Refuses: names that the system does not declare, folders, and files that are not there.
"""

from __future__ import annotations

import os
from pathlib import Path

from chaoskit.cluster import Cluster
from chaoskit.errors import NotApplicable


def file_of(cluster: Cluster, node: str, name: str) -> Path:
    """The file of `node` that the system calls `name`. Raises NotApplicable when there is none."""
    found = {one.name: one for one in cluster.system.artifacts}
    if name not in found:
        known = ", ".join(found) or "it declares none"
        raise NotApplicable(f"{cluster.system.name} has no artifact {name!r}: {known}")
    folders = cluster.node(node).folders
    path = (folders.data if found[name].in_data else folders.config) / found[name].path
    if not path.is_file():
        raise NotApplicable(f"{name} of {node} is no file ({found[name].path})")
    return path


def overwrite(path: Path, content: bytes) -> None:
    """Replace the content, durably; the file's owner and mode stay. Raises OSError."""
    with path.open("r+b") as file:
        file.truncate()
        file.write(content)
        os.fsync(file.fileno())
