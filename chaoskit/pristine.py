"""
What a test must leave as it found it.

Owns: the list, by name, of all that makes a cluster differ from how it was built: links, processes,
arguments, images, configuration files and faulty mounts. Refuses: deciding what a difference means
(a lease rebuilds its cluster) and mending one.
"""

from __future__ import annotations

from collections.abc import Mapping

from chaoskit.mesh import Mesh
from chaoskit.node import Node


def fingerprint(mesh: Mesh, nodes: Mapping[str, Node]) -> dict[str, str]:
    """Every fact that must be the same again when a test has ended, by name."""
    found = {"links": "open" if mesh.pristine() else "tampered with"}
    for name, node in nodes.items():
        runs = node.command_line()
        found[f"{name} process"] = f"{node.state} {node.pid if runs else 'gone'}"
        found[f"{name} arguments"] = " ".join(runs)
        found[f"{name} image"] = node.image_id
        found[f"{name} configuration"] = node.config_digest()
        if node.has_storage:
            found[f"{name} storage"] = str(node.storage.rules().document())
    return found
