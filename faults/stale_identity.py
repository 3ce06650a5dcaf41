"""
Stale identity: what others have on file of a node carries a flag that is true no longer.

Seen in: the randomness beacon before its release 2.0.2, where each identity says whether its node
speaks TLS, and whoever dials goes by that: a node that moves to TLS, or from it, after its identity
went round is dialled in the old mode by all who hold the old one. In the field it heals when the
files are mended, and who read them starts anew. Refuses: files that say nothing of the node,
holders that do not run, and nodes that do not tell what failed with their peers.

Where packets can be heard the holder's own dials are: what it says first on the wire is TLS or
plaintext, and a flag that changes nothing about that is no fault.

The files are text with a field a line, `flag = true`. Each node has a block of its own in them,
from one line that begins with "[" to the next, which holds the address by which it is dialled.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

from chaoskit.artifacts import file_of, overwrite
from chaoskit.cluster import Cluster
from chaoskit.conversation import Mode
from chaoskit.errors import NotApplicable
from chaoskit.fault import Witness, target
from chaoskit.linkevidence import dialled_in
from chaoskit.mesh import Link
from chaoskit.peercounts import PeerCounts
from chaoskit.processevidence import runs_on
from chaoskit.sighting import Meter, Probe
from chaoskit.system import Artifact

_WITHIN_S = 15.0


@dataclass(frozen=True, slots=True)
class StaleIdentity:
    """
    The nodes `at` restart, one after the other, on files in which the flag of `node` is turned.

    Which files those are, and how the flag is called, the system says of its artifacts. `node` may
    be among `at`, for what it has on file of itself, beside one that dials it.
    """

    NEEDS: ClassVar = ("artifacts with a flag", "peers that tell of failures")
    PROOF: ClassVar = (
        "what a process that was started anew finds in its files, by /proc, and the first bytes of "
        "its dials on the wire where packets can be heard; what it says failed"
    )

    node: str = target()
    at: tuple[str, ...] = target()

    @contextmanager
    def inject(self, cluster: Cluster) -> Iterator[Witness]:
        """Stop each holder, turn the flag, start it; and back."""
        cluster.require_running(*self.at)
        links = [cluster.link(holder, self.node) for holder in self.at if holder != self.node]
        if not links:
            raise NotApplicable(f"nobody dials {self.node} by what is on file at {self.at}")
        meter = Meter(f"what failed with {self.node}", PeerCounts(cluster, links).read)
        entries = [one for holder in self.at for one in _entries(cluster, holder, self.node)]
        probes = [one.probe(cluster) for one in entries]
        if cluster.backend.counts_packets:
            probes += [_dials(cluster, link, entries) for link in links]
        try:
            for holder in self.at:
                _restart(cluster, holder, entries, stale=True)
            yield Witness(probes=probes, meters=[meter], within_s=_WITHIN_S)
        finally:
            for holder in self.at:
                _restart(cluster, holder, entries, stale=False)


@dataclass(frozen=True, slots=True)
class _Entry:
    """What one file of a holder says of a node: its line, and the address in the same block."""

    holder: str
    artifact: Artifact
    line: re.Pattern[bytes]
    address: re.Pattern[bytes]
    true_now: bool

    def written(self, text: bytes, *, says: bool) -> bytes:
        """The file's text, in which it says so."""
        word = b"true" if says else b"false"
        return b"".join(
            self.line.sub(rb"\1" + word, block) if self.address.search(block) else block
            for block in _blocks(text)
        )

    def probe(self, cluster: Cluster) -> Probe:
        """Seen when the holder was started on a file that says the opposite of what is so."""
        node = cluster.node(self.holder)
        placement = node.placement()
        folder = placement.data if self.artifact.in_data else placement.config
        stale = not self.true_now

        def wanted(text: bytes) -> bool:
            return _said(text, self.line, self.address) == stale

        return runs_on(node, f"{folder}/{self.artifact.path}", wanted=wanted)


def _dials(cluster: Cluster, link: Link, entries: Sequence[_Entry]) -> Probe:
    """Seen when the holder dials as stale files say: by TLS where they say that it is spoken."""
    speaks_tls = any(one.true_now for one in entries if one.holder == link.source)
    return dialled_in(cluster, link, mode=Mode.PLAINTEXT if speaks_tls else Mode.TLS)


def _blocks(text: bytes) -> Sequence[bytes]:
    return re.split(rb"(?m)^(?=[ \t]*\[)", text)


def _said(text: bytes, line: re.Pattern[bytes], address: re.Pattern[bytes]) -> bool | None:
    """What the block that has the address says; None where it says nothing, or there is none."""
    for block in _blocks(text):
        if address.search(block) and (found := line.search(block)):
            return found[2] == b"true"
    return None


def _entries(cluster: Cluster, holder: str, node: str) -> Sequence[_Entry]:
    """What the files of a holder say of a node. Raises NotApplicable where they say nothing."""
    host = cluster.node(holder).placement().hosts[node]
    dialled = f"{host}:{cluster.wire.linked_port().number}".encode()
    address = re.compile(rb"(?<![\w.-])" + re.escape(dialled) + rb"(?!\d)")
    found = []
    for artifact in cluster.system.artifacts:
        if not artifact.flag:
            continue
        name = re.escape(artifact.flag).encode()
        line = re.compile(rb"(?m)^([ \t]*" + name + rb"[ \t]*=[ \t]*)(true|false)\b")
        said = _said(file_of(cluster, holder, artifact.name).read_bytes(), line, address)
        if said is not None:
            found.append(_Entry(holder, artifact, line, address, true_now=said))
    if not found:
        raise NotApplicable(f"no file of {holder} has a flag of {node}: what could be stale?")
    return found


def _restart(cluster: Cluster, holder: str, entries: Sequence[_Entry], *, stale: bool) -> None:
    """Stop the holder if it runs, have its files say what is stale or what is so, start it."""
    node = cluster.node(holder)
    if node.state in {"running", "paused"}:
        node.stop()
    for entry in entries:
        if entry.holder == holder:
            path = file_of(cluster, holder, entry.artifact.name)
            text = path.read_bytes()
            overwrite(path, entry.written(text, says=entry.true_now is not stale))
    node.start()
