"""
What a member of a beacon's group finds on its disk: keys, share and group, dealt by our dealer.

Owns: running the dealer's command line once for a cluster, and taking the members' folders from it.
Refuses: what the dealer does; it is reached by `python -m nodes.beacon dealer` alone.

Every member gets a folder per network below FOLDER: `multibeacon/ID/key` and `.../groups`. Members
are dealt with their names as addresses; then each member's own files name everybody by the host by
which it dials him, which differs where every link has an address of its own. That is any drand's to
read: no hash and no signature covers an address.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from chaoskit.errors import ChaosError
from chaoskit.system import InitialFile, Placement
from suites.beacon.terminator import FRONT

FOLDER = "drand"
REAL = "-real"  # at the end of a release's label: the real one, where ours is in the group too
KEYS = "keys_as_left_by"
"""The setting that names the release whose ceremony left the files; empty: the one that starts."""
_PROJECT = Path(__file__).resolve().parents[2]
_TIMEOUT_S = 60.0
_ALL_ALIKE: Mapping[str, str] = MappingProxyType({})
# which line of which file is the secret
_SECRET_OF = {"drand_id.private": "Key", "dist_key.private": "Share"}


def deal(
    placements: Sequence[Placement],
    *,
    threshold: int,
    networks: Sequence[str],
    genesis_in_s: float,
    left_by: str = "",
    schemes: Mapping[str, str] = _ALL_ALIKE,
) -> Mapping[str, Sequence[InitialFile]]:
    """
    Each member's files, by name: one dealing a network, as the release's ceremony leaves them, or
    as that of `left_by`. `schemes` are those of networks that have one of their own.

    The settings `period_s`, `catchup_period_s`, `scheme`, `keys_as_left_by`, `tls` ("on")
    and `front` count; with either of the last two identities say that members use TLS, where the
    release's say anything of it. Genesis is `genesis_in_s` seconds from now. Raises ChaosError with
    the dealer's last words when it refuses.
    """
    settings = placements[0].settings
    release = left_by or settings[KEYS] or placements[0].release.removesuffix(REAL)
    with tempfile.TemporaryDirectory(prefix="chaoskit-dealt-") as folder:
        for network in networks:
            argv = _arguments(placements, Path(folder), threshold, network, genesis_in_s)
            scheme = schemes.get(network, settings["scheme"])
            told = ["--tls"] if _speaks_tls(settings) and _says_tls(release) else []
            _run([*argv, "--as-left-by", release, "--scheme", scheme, *told])
        return {one.name: _files(Path(folder) / one.name, _addresses(one)) for one in placements}


def _arguments(
    placements: Sequence[Placement],
    folder: Path,
    threshold: int,
    network: str,
    genesis_in_s: float,
) -> list[str]:
    first = placements[0]
    settings = first.settings
    argv = [sys.executable, "-m", "nodes.beacon", "dealer"]
    argv += ["--folder", str(folder), "--threshold", str(threshold), "--beacon-id", network]
    argv += ["--period", f"{settings['period_s']}s"]
    argv += ["--catchup-period", f"{settings['catchup_period_s']}s"]
    argv += ["--genesis-in", f"{genesis_in_s:g}s"]
    for one in placements:
        argv += ["--node", f"{one.name}={one.name}:{one.ports['private']}"]
    return argv


def _speaks_tls(settings: Mapping[str, str]) -> bool:
    return settings["tls"] == "on" or FRONT in settings


def _says_tls(release: str) -> bool:
    """Whether identities in its files say whether they use TLS: before v2.0.2-testnet."""
    return release.startswith("v1.") or release == "v2.0.0-testnet"


def _addresses(placement: Placement) -> dict[bytes, bytes]:
    """The line of a file that says where a member is, and what it says in this member's files."""
    port = placement.ports["private"]

    def line(host: str) -> bytes:
        return f'Address = "{host}:{port}"\n'.encode()

    return {line(name): line(placement.hosts[name]) for name in placement.peers}


def _run(argv: Sequence[str]) -> None:
    done = subprocess.run(
        argv, cwd=_PROJECT, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
    )
    if done.returncode != 0:
        words = " ".join(done.stderr.split()[-40:])
        raise ChaosError(
            f"the dealer dealt no beacon's group (exit {done.returncode}): {words}; it needs the "
            f"packages of nodes/ in {sys.executable}"
        )


def _files(folder: Path, addresses: Mapping[bytes, bytes]) -> list[InitialFile]:
    return [
        InitialFile(
            f"{FOLDER}/{path.relative_to(folder)}",
            _readdressed(path.read_bytes(), addresses),
            tuple(_secrets(path)),
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]


def _readdressed(content: bytes, addresses: Mapping[bytes, bytes]) -> bytes:
    for dealt, dialled in addresses.items():
        content = content.replace(dealt, dialled)
    return content


def _secrets(path: Path) -> list[bytes]:
    line = _SECRET_OF.get(path.name)
    return [bytes.fromhex(tomllib.loads(path.read_text())[line])] if line else []
