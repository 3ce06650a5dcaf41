"""
Faults and changes: the form they have, and the only code that enters one.

Owns: `inject` (a fault lasts for the length of a `with` block, with its evidence) and `apply` (a
change, which has no way back). Refuses: a fault without evidence. Each injection records

* effective: probes of ours on another channel than the injector's see it, with its onset;
* felt: a counter of the kernel or of a peer grew while it was verified in force;
* effective again, just before the heal: it was in force all the time;
* absent: after the heal the probes do not see it any more; where another fault lies on the link on
  which a probe looks, after that one's.

The order matters. A probe leaves packets of its own, so the counters' zero is read after the probe
that saw the fault, and their end before the probe that sees it again. A counter that no probe moves
has its zero from before the fault.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from chaoskit import clock
from chaoskit.cluster import Cluster
from chaoskit.errors import ChaosError, HealFailed, NotApplicable, WaitTimedOut
from chaoskit.sighting import Meter, Probe, Sighting
from chaoskit.targets import TARGET, chosen, fields, resolved

_POLL_S = 0.01
_PROBES_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Witness:
    """
    What proves a fault: every probe must see it, at least one meter must grow.

    `within_s` bounds the onset, and after the heal the time until it is gone.
    """

    probes: Sequence[Probe]
    meters: Sequence[Meter]
    within_s: float

    def __post_init__(self) -> None:
        if not self.probes or not self.meters:
            raise ValueError("a witness has a probe and a meter: no evidence, no verdict")


@dataclass(frozen=True, slots=True)
class Testimony:
    """
    What proves a change: every probe must see it within `within_s` seconds.

    `while_running` are looks at what a process says of itself: owed unless a target ended by
    itself, which is not for the change to judge but for the promises.
    """

    __test__ = False  # not for pytest to collect

    probes: Sequence[Probe]
    within_s: float
    while_running: Sequence[Probe] = ()

    def __post_init__(self) -> None:
        if not self.probes:
            raise ValueError("a testimony has a probe: no evidence, no verdict")


def target() -> Any:
    """A field that names a node, or nodes, by name or by role (resolved before the injection)."""
    return field(metadata={TARGET: True})


class Fault(Protocol):
    """A frozen dataclass that breaks something and heals it again."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def inject(self, cluster: Cluster) -> AbstractContextManager[Witness]:
        """Break on entering, heal on leaving. Raises NotApplicable before its first change."""
        ...


class Change(Protocol):
    """A frozen dataclass that changes something for good."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def apply(self, cluster: Cluster) -> Testimony:
        """Do it. Raises NotApplicable before its first change."""
        ...


@dataclass(slots=True)
class Injection:
    """A fault that is in force: what a test's body may ask of it."""

    number: int
    fault: Fault
    cluster: Cluster
    meters: Sequence[Meter]
    zero: tuple[int, ...]

    def felt(self) -> bool:
        """Whether the system has met the fault by now."""
        now = tuple(meter.read() for meter in self.meters)
        return any(after > before for before, after in zip(self.zero, now, strict=True))

    def await_felt(self, *, timeout_s: float) -> None:
        """Wait until the system has met the fault."""
        what = f"{type(self.fault).__name__} to be felt"
        clock.wait_until(self.felt, what=what, timeout_s=timeout_s, poll_s=0.05)


def _number(cluster: Cluster) -> int:
    """Faults and changes of a run are numbered from 1."""
    started = cluster.history().of("fault", "change")
    return 1 + sum(1 for event in started if event.type == "invoke")


def _await_turn(cluster: Cluster, thing: Any) -> float | None:
    """In a replay: wait until the plan lets this begin; answers when, by the run, it may end."""
    if cluster.experiment is None:
        return None
    return cluster.experiment.await_turn(type(thing).__name__, chosen(thing))


def _announce(
    cluster: Cluster, kind: str, asked: Any, thing: Any, nodes: Sequence[str], **more: Any
) -> int:
    number = _number(cluster)
    now, before = fields(thing), fields(asked)
    value = {
        "id": number,
        kind: type(thing).__name__,
        "fields": now,
        "asked": {name: before[name] for name in now if before[name] != now[name]},
        "targets": list(nodes),
        **more,
    }
    cluster.recorder.record("chaoskit", kind, value, kind="invoke")
    return number


@dataclass(frozen=True, slots=True)
class _Sight:
    """Whether a probe came to answer as awaited, when that look began, and its details."""

    came: bool
    looked_s: float
    detail: str


def _await_sight(
    probe: Probe, *, present: bool, within_s: float, since_s: float, once: bool = False
) -> _Sight:
    """Look until the probe answers `present`, or `once` anything, at most `within_s` seconds."""
    seen = Sighting(present=not present, detail="never looked")
    looked_s = 0.0

    def look() -> bool:
        nonlocal seen, looked_s
        looked_s = clock.monotonic() - since_s
        try:
            seen = probe.look()
        except ChaosError as error:  # what it looks at cannot be seen: neither there nor gone
            seen = Sighting(present=not present, detail=str(error))
            return False
        return once or seen.present == present

    with suppress(WaitTimedOut):
        clock.wait_until(look, what=probe.name, timeout_s=within_s, poll_s=_POLL_S)
    return _Sight(seen.present == present, looked_s, seen.detail)


def _await_all(probes: Sequence[Probe], **how: Any) -> list[_Sight]:
    """All probes side by side: one that has to wait for silence does not delay the others."""
    with ThreadPoolExecutor(_PROBES_AT_ONCE, thread_name_prefix="probe") as pool:
        return list(pool.map(functools.partial(_await_sight, **how), probes))


def _record_sight(cluster: Cluster, f: str, number: int, probe: Probe, sight: _Sight) -> None:
    cluster.recorder.record(
        "chaoskit",
        f,
        {
            "id": number,
            "probe": probe.name,
            "after_s": round(sight.looked_s, 6),
            "detail": sight.detail,
        },
        kind="ok" if sight.came else "fail",
    )


class NotEffective(ChaosError):
    """A fault was injected and no probe saw it: the body is not run, the verdict is INVALID."""


@contextmanager
def inject(fault: Fault, *, into: Cluster, may_exit: bool = False) -> Iterator[Injection]:
    """
    Put `fault` into a cluster for the length of the block, and record its evidence.

    `may_exit` says that the processes of its targets may exit by it. Raises NotApplicable when it
    cannot be injected, NotEffective (after healing) when no probe saw it, HealFailed when the heal
    raised: then the cluster is never used again. A body that raises leaves the fault as one that
    does not.
    """
    cluster, asked = into, fault
    until_s = _await_turn(cluster, asked)
    fault, nodes = resolved(asked, cluster)
    number = _announce(cluster, "fault", asked, fault, nodes, may_exit=may_exit)
    begun_s = clock.monotonic()
    context = fault.inject(cluster)
    try:
        witness = context.__enter__()
    except NotApplicable as error:  # before its first change, by contract
        refusal = {"id": number, "cause": str(error)}
        cluster.recorder.record("chaoskit", "fault", refusal, kind="fail")
        raise
    except BaseException as error:  # half-way, whatever it was: nobody knows what is in force
        cluster.poison(f"fault {number} raised while it was injected: {error!r}")
        raise
    effective = False
    zero: tuple[int, ...] = ()
    try:
        with cluster.meters.discounting():
            effective = _record_onset(cluster, number, witness, begun_s)
            cluster.wire.survey(nodes)
        cluster.meters.open_faults += 1
        zero = tuple(meter.first() for meter in witness.meters)
        if not effective:
            raise NotEffective(
                f"{type(fault).__name__} on {', '.join(nodes)} was injected, but no probe saw it"
            )
        yield Injection(number, fault, cluster, witness.meters, zero)
        if until_s is not None and (early_s := until_s - cluster.recorder.now_s()) > 0:
            cluster.hold(early_s)
    finally:
        try:
            if zero:
                cluster.meters.open_faults -= 1
            if effective:
                _record_felt(cluster, number, witness, zero)
                with cluster.meters.discounting():
                    _record_onset(cluster, number, witness, begun_s, again=True)
        finally:
            with cluster.meters.discounting():
                _heal(cluster, number, context, witness, nodes)


def _record_onset(
    cluster: Cluster, number: int, witness: Witness, begun_s: float, *, again: bool = False
) -> bool:
    """Look with every probe; `again`, just before the heal, the first that is seen decides."""
    sights = _await_all(
        witness.probes, present=True, within_s=witness.within_s, since_s=begun_s, once=again
    )
    for probe, sight in zip(witness.probes, sights, strict=True):
        cluster.recorder.record(
            "chaoskit",
            "effective",
            {
                "id": number,
                "probe": probe.name,
                "onset_s": round(sight.looked_s, 6),
                "detail": sight.detail,
                "again": again,
            },
            kind="ok" if sight.came else "fail",
        )
    return all(sight.came for sight in sights)


def _record_felt(cluster: Cluster, number: int, witness: Witness, zero: Sequence[int]) -> None:
    for meter, before in zip(witness.meters, zero, strict=True):
        after = meter.read()
        cluster.recorder.record(
            "chaoskit",
            "felt",
            {"id": number, "meter": meter.name, "before": before, "after": after},
            kind="ok" if after > before else "fail",
        )


def _heal(
    cluster: Cluster,
    number: int,
    context: AbstractContextManager[Witness],
    witness: Witness,
    nodes: Sequence[str],
) -> None:
    recorder = cluster.recorder
    recorder.record("chaoskit", "heal", {"id": number}, kind="invoke")
    try:
        context.__exit__(None, None, None)
    except Exception as error:
        recorder.record("chaoskit", "heal", {"id": number, "cause": str(error)}, kind="fail")
        cluster.poison(f"the heal of fault {number} raised: {error}")
        raise HealFailed(f"the heal of fault {number} raised: {error}") from error
    recorder.record("chaoskit", "heal", {"id": number}, kind="ok")
    covered = [one for one in witness.probes if cluster.mesh.tampered_with(one.link)]
    bare = [one for one in witness.probes if one not in covered]
    _look_whether_gone(cluster, number, bare, witness.within_s)
    for probe in covered:  # by another fault: looked at when that one ends
        later = functools.partial(_look_whether_gone, cluster, number, [probe], witness.within_s)
        cluster.mesh.when_bare(probe.link, later)
    for look in cluster.mesh.due():
        look()
    cluster.wire.survey(nodes)


def _look_whether_gone(
    cluster: Cluster, number: int, probes: Sequence[Probe], within_s: float
) -> None:
    since_s = clock.monotonic()
    within_s = max(within_s, _on_their_way_up_s(cluster, probes))
    sights = _await_all(probes, present=False, within_s=within_s, since_s=since_s)
    for probe, sight in zip(probes, sights, strict=True):
        _record_sight(cluster, "absent", number, probe, sight)
        if not sight.came:
            cluster.poison(f"fault {number} is still there after its heal: {sight.detail}")


def _on_their_way_up_s(cluster: Cluster, probes: Sequence[Probe]) -> float:
    """
    How long it may take until the nodes that these probes dial listen, in seconds.

    One that another fault's heal started a moment ago refuses what it is asked whatever this did.
    """
    silent = {name for name, answer in cluster.latest().items() if answer is None}
    silent &= {probe.link.partition(">")[2] for probe in probes}
    started_s = [
        event.time_s
        for event in cluster.history().of("state")
        if event.process in silent and event.value["state"] == "running"
    ]
    until_s = max(started_s, default=0.0) + cluster.system.start_timeout_s
    return until_s - cluster.recorder.now_s() if started_s else 0.0


def apply(change: Change, *, to: Cluster, may_exit: bool = False, asks: bool = False) -> bool:
    """
    Carry out a change and record whether it was witnessed; answers that.

    `may_exit` says that the processes of its targets may exit by it, until the next change; `asks`
    that whether it succeeds is the question: a witness that denies it is then an answer. Raises
    NotApplicable when it cannot be applied, and whatever it raises half-way.
    """
    asked = change
    _await_turn(to, asked)
    change, nodes = resolved(asked, to)
    number = _announce(to, "change", asked, change, nodes, may_exit=may_exit, asks=asks)
    begun_s = clock.monotonic()
    try:
        testimony = change.apply(to)
    except Exception as error:
        to.recorder.record("chaoskit", "change", {"id": number, "cause": str(error)}, kind="fail")
        raise
    to.recorder.record("chaoskit", "change", {"id": number}, kind="ok")

    def ended() -> bool:
        return any(to.node(name).state == "exited" for name in nodes)

    owed = [(probe, probe) for probe in testimony.probes]
    owed += [(probe, _unless(ended, probe)) for probe in testimony.while_running]
    sights = _await_all(
        [look for _, look in owed], present=True, within_s=testimony.within_s, since_s=begun_s
    )
    witnessed = True
    for (probe, look), sight in zip(owed, sights, strict=True):
        if look is not probe and ended():
            continue
        _record_sight(to, "witnessed", number, probe, sight)
        witnessed = witnessed and sight.came
    to.wire.survey(nodes)
    return witnessed


def _unless(ended: Callable[[], bool], probe: Probe) -> Probe:
    """The probe, which need not be waited for any more once a process has ended."""

    def look() -> Sighting:
        return Sighting(present=True, detail="ended") if ended() else probe.look()

    return Probe(probe.name, look)
