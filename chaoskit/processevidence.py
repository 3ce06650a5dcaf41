"""
Evidence for what was done to processes and their storage, from the kernel.

Owns: the probes and meters that faults on nodes share. A process's state comes from /proc and its
control group, never from the engine that was asked to change it; storage from writes of ours and
from the passthrough's counters of the node's own user. Refuses: what somebody says of himself, but
for a version, which stands beside the image.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from chaoskit import proc
from chaoskit.cluster import Cluster
from chaoskit.errors import ChaosError
from chaoskit.node import Node
from chaoskit.sighting import Meter, Probe, Sighting, lasting
from chaoskit.storage_control import Operation
from chaoskit.system import ConfigFile

_PROBE_TIMEOUT_S = 10.0
_SCRIPT = 2  # what the kernel's interpreter is called with: itself and the script


def is_gone(node: Node) -> Probe:
    """Seen when the process that ran when this was called does not run, and no other one does."""
    before = node.pid

    def look() -> Sighting:
        if proc.alive(before):
            return Sighting(present=False, detail=f"process {before} runs")
        try:
            now = node.pid
        except ChaosError:
            return Sighting(present=True, detail=f"process {before} is gone")
        return Sighting(present=False, detail=f"process {now} runs")

    return Probe(f"the process of {node.name}", look)


def started_anew(node: Node) -> Probe:
    """Seen when the process that ran when this was called is gone, and another one was started."""
    before = node.pid

    def look() -> Sighting:
        if proc.alive(before):
            return Sighting(present=False, detail=f"process {before} runs")
        try:
            now = f"process {node.pid} runs"
        except ChaosError:
            now = f"what was started is {node.state}"
        started = node.state in {"running", "exited"}
        return Sighting(started, f"process {before} is gone, {now}")

    return Probe(f"another process of {node.name}", look)


def goes_on(node: Node) -> Probe:
    """Seen when the process that ran when this was called runs still."""
    before = node.pid
    born = proc.start_time(before)

    def look() -> Sighting:
        runs = proc.alive(before) and proc.start_time(before) == born
        return Sighting(runs, f"process {before} {'runs' if runs else 'is gone'}")

    return Probe(f"the process of {node.name}", look)


def runs_on(node: Node, path: str, *, wanted: Callable[[bytes], bool]) -> Probe:
    """
    Seen when another process than the one that ran when this was called found the file as `wanted`,
    and runs: what it has read at its start it goes by, whatever lies there since.

    `path` is absolute, as the node sees it, and is looked at through the process's own root.
    """
    before = node.pid
    found_so: set[int] = set()

    def look() -> Sighting:
        now = node.pid  # raises where it is down: neither there nor gone
        if now == before:
            return Sighting(present=False, detail=f"process {now} runs as before")
        try:
            lies = wanted(proc.sees(now, path))
        except OSError as error:
            raise ChaosError(f"{path} of {node.name}: {error.strerror}") from error
        if lies:
            found_so.add(now)
        detail = f"process {now} finds it {'so' if lies else 'otherwise'}"
        return Sighting(now in found_so, detail)

    return Probe(f"{path.rpartition('/')[2]} of {node.name}", look)


def is_frozen(node: Node) -> Probe:
    """Seen when the kernel says that the node is frozen, by its control group or by a signal."""

    def look() -> Sighting:
        frozen = node.frozen()
        return Sighting(frozen, "frozen" if frozen else "not frozen")

    return Probe(f"the freezer of {node.name}", look)


def started_from(node: Node, *, image_id: str) -> Probe:
    """Seen when the node was started from this image; that it has ended since is in the detail."""

    def look() -> Sighting:
        started = node.state in {"running", "exited"} and node.image_id == image_id
        return Sighting(started, f"{node.state}, from {node.image_id[:19]}")

    return Probe(f"the image of {node.name}", look)


def reports_version(cluster: Cluster, node: str, *, version: str) -> Probe:
    """Seen when the node itself, asked by its observer, says that it is `version`."""

    def look() -> Sighting:
        seen = cluster.latest()[node]
        said = seen.version if seen else "no answer"
        return Sighting(said == version, said)

    return Probe(f"the version that {node} reports", look)


def runs_as_configured(node: Node, *, argv: tuple[str, ...]) -> Probe:
    """
    Seen when the node's process runs with exactly these arguments, by the kernel's word.

    Of a script the kernel shows its interpreter, and the path that the script was found at.
    """

    def look() -> Sighting:
        runs = node.command_line()
        return Sighting(_is_run_of(argv, runs), " ".join(runs) or "no process")

    return Probe(f"the command line of {node.name}", look)


def _is_run_of(argv: tuple[str, ...], runs: tuple[str, ...]) -> bool:
    program, arguments = argv[0], argv[1:]
    if len(runs) - len(arguments) != _SCRIPT:
        return runs == argv
    return Path(runs[1]).name == Path(program).name and runs[_SCRIPT:] == arguments


def holds(node: Node, file: ConfigFile) -> Probe:
    """Seen when the file in the node's configuration folder has this content."""
    path = node.folders.config / file.path

    def look() -> Sighting:
        if not path.is_file():
            return Sighting(present=False, detail="no such file")
        same = path.read_bytes() == file.content
        return Sighting(same, "as configured" if same else "another content")

    return Probe(f"{file.path} of {node.name}", look)


def read_at_start(node: Node, path: Path, *, wanted: Callable[[bytes], bool]) -> Probe:
    """
    Seen when the file, read back now, is as `wanted`: call it before the node's start.

    The node may write the file anew as soon as it runs, so what counts is what it will have read.
    """
    lies = wanted(path.read_bytes())

    def look() -> Sighting:
        return Sighting(lies, "lay there so" if lies else "lay there otherwise")

    return Probe(f"{path.name} of {node.name}", look)


def syncs_slowly(node: Node, *, at_least_s: float) -> Probe:
    """Seen when a write and sync of ours on the node's storage takes at least `at_least_s`."""
    storage = node.storage

    def look() -> Sighting:
        took_s = storage.probe_sync_s(timeout_s=at_least_s + _PROBE_TIMEOUT_S)
        return Sighting(took_s >= at_least_s, f"a sync took {took_s * 1000:.1f} ms")

    return Probe(f"a sync on the storage of {node.name}", lasting(look))


def is_full(node: Node) -> Probe:
    """Seen when a write of ours on the node's storage is refused for lack of space."""
    storage = node.storage

    def look() -> Sighting:
        refused = storage.probe_space(timeout_s=_PROBE_TIMEOUT_S)
        return Sighting(refused, "ENOSPC" if refused else "written")

    return Probe(f"a write on the storage of {node.name}", look)


def delayed_calls(node: Node, operation: Operation) -> Meter:
    """Calls of the node's own user that had to wait."""
    storage, owner = node.storage, node.owner

    def read() -> int:
        return storage.counters().count(owner, operation).delayed

    return Meter(f"slow {operation.value} calls at {node.name}", read)


def refused_calls(node: Node) -> Meter:
    """Calls of the node's own user that were refused for lack of space."""
    storage, owner = node.storage, node.owner

    def read() -> int:
        return storage.counters().total(owner).refused

    return Meter(f"refused writes at {node.name}", read, zero=read())
