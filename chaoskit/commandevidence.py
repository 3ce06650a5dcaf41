"""
Evidence for a command that was run beside a node, from the kernel and the disk.

Owns: hearing of its process while it runs, and seeing what it has changed. The command and its
answer come by the backend's own channel, and prove nothing: an engine can answer for a command that
it never ran. What proves it is the process as /proc has it, in the control group of the node, with
the words of the command; and the files in the node's folder as they lie on this host's disk.
Refuses: what the command prints, and its exit code.

A process that ends before it was looked at is not seen, and then nothing is proven; it is looked
for every 2 ms.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from chaoskit import clock, proc
from chaoskit.node import Node
from chaoskit.sighting import Probe, Sighting

_POLL_S = 0.002
_LOOKED_FOR_S = 120.0  # longer than any command is let run


@contextmanager
def seen_running(node: Node, argv: Sequence[str]) -> Iterator[Probe]:
    """
    Look for a command's process for the length of the block.

    The probe is seen when there was a process beside the node that was not there before, and that
    ran with these words; in the place of the first one may stand what runs a script of that name.
    """
    own = node.pid
    before = set(proc.group_of(own))
    ended = threading.Event()
    found: list[int] = []

    def look() -> bool:
        found.extend(
            pid
            for pid in proc.group_of(own)
            if pid not in before and _is(proc.command_line(pid), argv)
        )
        return bool(found) or ended.is_set()

    def sighting() -> Sighting:
        if not found:
            return Sighting(present=False, detail=f"no process ran {argv[0]} there")
        return Sighting(present=True, detail=f"process {found[0]} ran {' '.join(argv)[:200]}")

    what = f"a process beside {node.name}"
    with ThreadPoolExecutor(1, thread_name_prefix=f"command-{node.name}") as pool:
        looking = pool.submit(
            clock.wait_until, look, what=what, timeout_s=_LOOKED_FOR_S, poll_s=_POLL_S
        )
        try:
            yield Probe(f"{argv[0]} beside {node.name}", sighting)
        finally:
            ended.set()
            looking.result()


def _is(runs: tuple[str, ...], argv: Sequence[str]) -> bool:
    """Whether a process's arguments are those: what runs a script stands in for its first word."""
    said = tuple(argv[1:])
    if not said:
        return runs[-1:] != () and Path(runs[-1]).name == Path(argv[0]).name
    return len(runs) > len(said) and runs[-len(said) :] == said


def is_rewritten(node: Node, path: Path) -> Probe:
    """Seen when the file has another content than when this was called, or is there at last."""
    before = digest(path)

    def look() -> Sighting:
        now = digest(path)
        return Sighting(now != before, f"{before[:12] or 'none'} -> {now[:12] or 'none'}")

    return Probe(f"{path.name} of {node.name}", look)


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes in hex; empty where there is none."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
