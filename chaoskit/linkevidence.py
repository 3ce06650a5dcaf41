"""
Evidence for what was done to links: probes of ours, and the kernel's counters.

Owns: the probes and meters that link faults share. Effective comes from a dial of ours in the
source's own network, and absence too: a fault is gone when the opposite was seen, not when nothing
can be seen any more. What is late or silent has to be so three times in a row, and against the same
question beside the link, since a starved machine of ours is as late. Felt comes from packets that
entered a tampered stream, or were refused, as the proxy's kernel counted them. Where no kernel
counts, felt is what nodes say failed with their peers, and a fault that makes nothing fail is not
offered. Never from Toxiproxy's own word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from chaoskit.cluster import Cluster
from chaoskit.companion import LOG, stands
from chaoskit.conversation import Mode
from chaoskit.errors import ChaosError
from chaoskit.handshake import Distrust, Outcome
from chaoskit.mesh import Link, Shape
from chaoskit.packets import Traffic
from chaoskit.peercounts import PeerCounts
from chaoskit.rpc import SERVED
from chaoskit.sighting import Meter, Probe, Sighting, Undecided, lasting
from chaoskit.system import Unobserved
from chaoskit.tap import overheard
from chaoskit.wire import HANDSHAKE_TIMEOUT_S, Met

ANSWER_TIMEOUT_S = 0.3
_PATIENCE = 5  # times what the same question takes beside the link
_LATE_TIMEOUT_S = 5.0  # a TLS hello and its answer are some 3 kB: that long at 1 kB/s
_OVERHEARD_S = 2.0
_SILENT = {Outcome.TIMED_OUT, Outcome.UNREACHABLE}


def _told(*, present: bool, gone: bool, detail: str) -> Sighting:
    """
    What a look says: there, or gone because the opposite was seen.

    Raises ChaosError for a look that met neither: a node that does not listen yet has not lost the
    fault that was put on it.
    """
    if not present and not gone:
        raise ChaosError(f"neither there nor gone: {detail}")
    return Sighting(present, detail)


def _ask_patiently(cluster: Cluster, link: Link) -> Met:
    """What a question meets that has longer than it takes beside the link, on this machine now."""
    usual = cluster.wire.ask_beside(link.target, timeout_s=ANSWER_TIMEOUT_S)
    timeout_s = max(ANSWER_TIMEOUT_S, _PATIENCE * usual.took_s)
    return cluster.wire.ask(link.source, link.target, timeout_s=timeout_s)


def _ask_in_time(cluster: Cluster, link: Link) -> Met:
    """
    What a question meets whose silence is of the link: Undecided while an answer is as slow beside.

    No longer than that: who gets no byte soon closes, and a close comes through where bytes do not.
    """
    usual = cluster.wire.ask_beside(link.target, timeout_s=ANSWER_TIMEOUT_S)
    if usual.answered and usual.took_s > ANSWER_TIMEOUT_S / 2:
        raise Undecided(f"neither there nor gone: beside {link.name} it was {usual}")
    return cluster.wire.ask(link.source, link.target, timeout_s=ANSWER_TIMEOUT_S)


def cannot_pass(cluster: Cluster, link: Link, shape: Shape) -> Probe:
    """
    Seen when a question of ours on the link meets what this shape does to it.

    Where the shape refuses dials it has to be refused: silence is what a starved machine has too.
    Elsewhere it must not be answered.
    """

    def refused() -> Sighting:
        met = _ask_patiently(cluster, link)
        return _told(present=met.kind is Outcome.REFUSED, gone=met.answered, detail=str(met))

    def unanswered() -> Sighting:
        met = _ask_in_time(cluster, link)
        return Sighting(not met.answered, str(met))

    look = refused if shape.disabled else lasting(unanswered)
    return Probe(f"a question on {link.name}", look, link.name)


def never_answered(cluster: Cluster, link: Link) -> Probe:
    """Seen when the link accepts a dial of ours and no byte ever comes back."""

    def look() -> Sighting:
        met = _ask_in_time(cluster, link)
        return _told(present=met.kind in _SILENT, gone=met.answered, detail=str(met))

    return Probe(f"an answer on {link.name}", lasting(look), link.name)


def is_reset(cluster: Cluster, link: Link) -> Probe:
    """Seen when the link resets a dial or a question of ours."""

    def look() -> Sighting:
        met = _ask_patiently(cluster, link)
        return _told(present=met.kind is Outcome.RESET, gone=met.answered, detail=str(met))

    return Probe(f"a reset on {link.name}", look, link.name)


def answers_late(
    cluster: Cluster, link: Link, *, at_least_s: float, padding_bytes: int = 0
) -> Probe:
    """
    Seen when an answer on the link takes at least `at_least_s` seconds longer than beside it.

    One that is late by less is Undecided: it was not the link that held it back.
    """
    limit_s = 4 * at_least_s + _LATE_TIMEOUT_S

    def look() -> Sighting:
        usual = cluster.wire.ask_beside(link.target, timeout_s=limit_s, padding_bytes=padding_bytes)
        met = cluster.wire.ask(
            link.source, link.target, timeout_s=limit_s, padding_bytes=padding_bytes
        )
        late = met.took_s >= at_least_s
        detail = f"{met}, beside the link {usual}"
        if met.answered and late and met.took_s - usual.took_s < at_least_s:
            raise Undecided(f"neither there nor gone: {detail}")
        return _told(present=met.answered and late, gone=met.answered and not late, detail=detail)

    return Probe(f"the answer's delay on {link.name}", lasting(look), link.name)


def closes_late(cluster: Cluster, link: Link, *, at_least_s: float) -> Probe:
    """
    Seen when a close that we provoke at the link's target reaches us `at_least_s` later.

    Undecided while the target answers nobody: what closes then is the proxy, and at once.
    """
    limit_s = 2 * at_least_s + 1.0

    def look() -> Sighting:
        usual = cluster.wire.ask_beside(link.target, timeout_s=ANSWER_TIMEOUT_S)
        if not usual.answered:
            raise Undecided(f"neither there nor gone: beside {link.name} it was {usual}")
        took_s = cluster.wire.close_time_s(link.source, link.target, timeout_s=limit_s)
        late = took_s >= at_least_s
        return Sighting(late, f"the close came after {took_s * 1000:.1f} ms")

    return Probe(f"a close on {link.name}", lasting(look), link.name)


def serves(cluster: Cluster, link: Link, *, kind: Outcome) -> Probe:
    """Seen when a TLS hello of ours on the link meets `kind`: plaintext where TLS should be."""

    def look() -> Sighting:
        seen = cluster.wire.look(link.source, link.target, timeout_s=HANDSHAKE_TIMEOUT_S)
        return _told(
            present=seen.kind is kind,
            gone=seen.kind is Outcome.TLS,
            detail=f"{seen.kind.value}, trusted: {seen.trusted}",
        )

    return Probe(f"a TLS hello on {link.name}", look, link.name)


def dialled_in(cluster: Cluster, link: Link, *, mode: Mode) -> Probe:
    """
    Seen when the link's source speaks on it in `mode`, by its own bytes on the wire.

    Of a process that says nothing just now the last that was heard of it counts: it dials again
    ever more rarely.
    """
    node = cluster.node(link.source)
    heard: dict[int, Mode] = {}

    def look() -> Sighting:
        process = node.pid  # raises where it is down: neither there nor gone
        found = overheard(cluster, link, timeout_s=_OVERHEARD_S)
        if found is not None and node.pid == process:
            heard[process] = found
        last = heard.get(process)
        return _told(
            present=last is mode,
            gone=last not in (None, mode),
            detail=f"process {process} speaks {last or 'nothing that was heard'}",
        )

    return Probe(f"what {link.source} says on {link.name}", look, link.name)


def calls_fail(cluster: Cluster, link: Link) -> Probe:
    """
    Seen when a call of gRPC on the link gets a status that no server of it gives, or none, while
    the link's target answers its observer: what stands before one that is not up fails it too.
    """

    def look() -> Sighting:
        try:
            cluster.system.observe(cluster.endpoint(link.target), HANDSHAKE_TIMEOUT_S)
        except Unobserved as error:
            raise ChaosError(f"{link.target} does not answer itself: {error.cause}") from error
        answer = cluster.wire.call(link.source, link.target, timeout_s=HANDSHAKE_TIMEOUT_S)
        served = answer.status == SERVED
        failed = answer.status is not None or answer.kind in _SILENT
        return _told(present=failed and not served, gone=served, detail=str(answer))

    return Probe(f"a call on {link.name}", lasting(look), link.name)


def companion_failures(cluster: Cluster, node: str) -> Meter:
    """Work for peers that came to nothing, by the log of what stands beside a node."""
    running = cluster.node(node)
    log = running.log.path.with_name(LOG)

    def read() -> int:
        beside = stands(cluster.system.beside, running.placement())
        if beside is None or not log.exists():
            return 0
        with log.open(encoding="utf-8", errors="replace") as lines:
            return sum(beside.failed(line) for line in lines)

    return Meter(f"calls that failed beside {node}", read)


def is_distrusted(cluster: Cluster, link: Link, *, fingerprint: str, reason: Distrust) -> Probe:
    """Seen when the link serves the certificate of that fingerprint, distrusted for `reason`."""

    def look() -> Sighting:
        seen = cluster.wire.look(link.source, link.target, timeout_s=HANDSHAKE_TIMEOUT_S)
        why = seen.reason.value if seen.reason else "trusted"
        return _told(
            present=seen.fingerprint == fingerprint and seen.reason is reason,
            gone=seen.kind is Outcome.TLS and seen.fingerprint != fingerprint,
            detail=f"{seen.kind.value} {(seen.fingerprint or '')[:12]}, {why}",
        )

    return Probe(f"the certificate on {link.name}", look, link.name)


def packets_met(cluster: Cluster, shapes: Mapping[str, Shape]) -> Meter:
    """
    Packets with data that entered a tampered stream of these links, and dials that were refused.

    Where nothing counts packets: failures that the links' sources tell of, if the shapes cut.
    Raises NotApplicable, before anything is changed, when neither can be had.
    """
    if not cluster.backend.counts_packets:
        if not all(shape.cutting for shape in shapes.values()):
            cluster.meters.read()
        return _failures(
            cluster, [one for one in cluster.mesh.links.values() if one.name in shapes]
        )

    def read() -> int:
        counted = cluster.meters.read()
        return sum(_met(counted[name], shape) for name, shape in shapes.items())

    return Meter(f"packets that met the fault on {_counted(list(shapes))}", read)


def _met(traffic: Traffic, shape: Shape) -> int:
    if shape.disabled:
        return traffic.refused
    streams = {toxic.stream for toxic in shape.toxics}
    met = traffic.refused
    met += traffic.asked if "upstream" in streams else 0
    return met + (traffic.got if "downstream" in streams else 0)


def packets_of(cluster: Cluster, links: Sequence[Link], what: str, kind: str) -> Meter:
    """
    One kind of packet (a field of `Traffic`) summed over links; `what` names it to people.

    Raises NotApplicable where the backend cannot count.
    """
    cluster.meters.read()
    read: Callable[[], int] = lambda: sum(  # noqa: E731
        getattr(cluster.meters.read()[link.name], kind) for link in links
    )
    return Meter(f"{what} on {_counted([link.name for link in links])}", read)


def failures_of(cluster: Cluster, links: Sequence[Link], what: str, kind: str) -> Meter:
    """
    As `packets_of`, for a fault that makes what is dialled on these links fail: where nothing
    counts packets, failures that the links' sources tell of.
    """
    if not cluster.backend.counts_packets:
        return _failures(cluster, links)
    return packets_of(cluster, links, what, kind)


def _failures(cluster: Cluster, links: Sequence[Link]) -> Meter:
    names = _counted([link.name for link in links])
    return Meter(f"failures that nodes tell of on {names}", PeerCounts(cluster, links).read)


def _counted(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} links"
