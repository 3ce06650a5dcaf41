"""
The releases that this node can stand in for, by name.

Owns: which vintage of files each release leaves. Refuses: nothing; whoever reads a name says which
ones are known.

Rules: a release is here when what it does was recorded from the real one, or follows from a
recorded one of its line (files: v1.4.9, v1.5.7, v2.0.2-testnet and v2.1.4). v2.0.0-testnet and
v2.0.1-testnet are not: they are the only v2 that still write TLS, and no files of theirs were seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

VINTAGE_OF: Mapping[str, str] = MappingProxyType(
    {
        "v1.4.9": "v1.4",
        "v1.5.3": "v1.5",
        "v1.5.4": "v1.5",
        "v1.5.6": "v1.5",
        "v1.5.7": "v1.5",
        "v1.5.8": "v1.5",
        "v1.5.9": "v1.5",
        "v1.5.10": "v1.5",
        "v1.5.11": "v1.5",
        "v2.0.2-testnet": "v2",
        "v2.0.3-testnet": "v2",
        "v2.0.4-testnet": "v2",
        "v2.0.5-testnet": "v2",
        "v2.0.6-testnet": "v2",
        "v2.0.0": "v2",
        "v2.0.1": "v2",
        "v2.0.2": "v2",
        "v2.0.3": "v2",
        "v2.0.4": "v2",
        "v2.0.6": "v2",
        "v2.1.0": "v2",
        "v2.1.1": "v2",
        "v2.1.2": "v2",
        "v2.1.3": "v2",
        "v2.1.4": "v2",
    }
)
"""The vintage (of dealer.VINTAGES) of the files that each release leaves, oldest first."""
