"""
What a test must leave as it found it.

Owns: the list, by name, of all that makes a cluster differ from how it was built: links, processes,
arguments, images, configuration files, artifacts among the data and faulty mounts. Refuses:
deciding what a difference means (a lease rebuilds its cluster) and mending one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from chaoskit.mesh import Mesh
from chaoskit.node import Node
from chaoskit.system import Artifact, ArtifactKind


def fingerprint(
    mesh: Mesh, nodes: Mapping[str, Node], artifacts: Sequence[Artifact]
) -> dict[str, str]:
    """Every fact that must be the same again when a test has ended, by name."""
    found = {"links": "open" if mesh.pristine() else "tampered with"}
    for name, node in nodes.items():
        runs = node.command_line()
        found[f"{name} process"] = f"{node.state} {node.pid if runs else 'gone'}"
        found[f"{name} arguments"] = " ".join(runs)
        found[f"{name} image"] = node.image_id
        found[f"{name} configuration"] = node.config_digest()
        found[f"{name} artifacts"] = _digest(node, artifacts)
        if node.has_storage:
            found[f"{name} storage"] = str(node.storage.rules().document())
    return found


def _digest(node: Node, artifacts: Sequence[Artifact]) -> str:
    """SHA-256 over a node's artifacts among its data that are files, and no database."""
    digest = hashlib.sha256()
    for one in artifacts:
        path = node.folders.data / one.path
        if one.in_data and one.kind is not ArtifactKind.DATABASE and path.is_file():
            digest.update(f"{path}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()
