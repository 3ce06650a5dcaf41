"""
Promises about what carries calls between members: TLS or plaintext, connections new or kept alive.

Owns: the promises of rows A6 and A7. Refuses: a member's word for how it dials; of members only
whom they cannot reach is read (`failing`), since a connection that stands need not be the one that
calls go over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from chaoskit.errors import Inconclusive
from chaoskit.history import Event, History
from chaoskit.invariant import Invariant, Violation, safety
from chaoskit.verdict import Kind
from suites.beacon.readings import failing, nodes_of, samples_of
from suites.incidents.dialled import Connection, connections_of

_SETTLED_S = 0.5  # what was under way when a link was healed


# ---- row A7 --------------------------------------------------------------------------------------


@safety
def no_connection_is_plaintext(history: History) -> Sequence[Violation]:
    """
    Between members of a network whose policy is TLS no connection stands that is none.

    Safety. Source: the policy: what has been sent in plaintext stays so. Standing is both ends
    speaking it on the wire; that somebody tried and was refused is no violation. Evidence is a
    connection that stands.
    """
    nodes_of(history)
    stood = [one for one in connections_of(history) if one.stood]
    if not stood:
        raise Inconclusive("no connection between members stood")
    plain = [one for one in stood if one.mode == "plaintext"]
    first = {one.link: one for one in reversed(plain)}
    return [
        Violation(
            f"{one.source} speaks plaintext to {one.target} since {one.told_s:.3f} s, which "
            f"answers in kind; {sum(one.link == other.link for other in plain)} such connections",
            (one.event,),
        )
        for one in sorted(first.values(), key=lambda one: one.event)
    ]


def members_without_tls_are_named(*, within_s: float) -> Invariant:
    """
    Make the promise: whoever meets plaintext where he dials TLS says that he does not reach it.

    Liveness. Source: a member that cannot serve TLS was refused if its peers say so, and only then
    can an operator know. Owed from `within_s` seconds after the first such meeting of a process, as
    long as both go on to run as they did. Evidence is a sample of that time.
    """

    def judge(history: History) -> Sequence[Violation]:
        nodes_of(history)
        met = [one for one in connections_of(history) if _met_plaintext(one)]
        if not met:
            raise Inconclusive("no member's dial by TLS met plaintext")
        violations: list[Violation] = []
        seen = 0
        for one, from_s, to_s in _meetings(history, met):
            samples = samples_of(history, one.source, from_s + within_s, to_s)
            seen += len(samples)
            silent = [event for event in samples if one.target not in failing(event)]
            violations += [
                Violation(
                    f"{one.source} met plaintext at {one.target} ({from_s:.3f} s), and more than "
                    f"{within_s:g} s later, at {event.time_s:.3f} s, it names no trouble there",
                    (one.event, event.index),
                )
                for event in silent[:1]
            ]
        if not violations and not seen:
            raise Inconclusive(f"no member was asked {within_s:g} s after it had met plaintext")
        return violations

    return Invariant("members_without_tls_are_named", Kind.LIVENESS, judge)


def _met_plaintext(one: Connection) -> bool:
    return not one.stood and one.mode == "tls" and one.met == "http/2"


def _meetings(
    history: History, met: Sequence[Connection]
) -> Iterator[tuple[Connection, float, float]]:
    """The first of each process with each peer, from when, and until one of the two changes."""
    until: dict[str, float] = {}
    for one in met:
        if one.told_s < until.get(one.link, 0.0):
            continue
        changed_s = [
            event.time_s
            for event in history.of("state")
            if event.process in (one.source, one.target) and event.time_s > one.told_s
        ]
        until[one.link] = min(changed_s, default=history.end_s)
        yield one, one.told_s, until[one.link]


# ---- row A5 --------------------------------------------------------------------------------------


def with_refusals_heard(promise: Invariant) -> Invariant:
    """
    The same promise about links, for a test with a tap: no stall is to blame for a violation whose
    link was dialled in its time and answered with a refusal; no machine is so slow that it refuses.
    """

    def judge(history: History) -> Sequence[Violation]:
        refused = [one for one in connections_of(history) if one.refused]
        links = {
            event.index: f"{event.value['source']}>{event.value['target']}"
            for event in history.of("link")
        }
        return [
            replace(
                one,
                excusable=one.excusable
                and not any(
                    dial.link in {links.get(index) for index in one.events}
                    and dial.opened_within(*one.span_s)
                    for dial in refused
                    if one.span_s
                ),
            )
            for one in promise.judge(history)
        ]

    return Invariant(promise.name, promise.kind, judge)


# ---- row A6 --------------------------------------------------------------------------------------


def new_and_kept_connections_fare_alike() -> Invariant:
    """
    Make the promise: once links are whole, who dials a member anew fares as who never hung up.

    Liveness. Source: the outage of 2024-02-21, where connections that were kept alive made members
    look reachable that nobody could reach any more. Judged from the last heal to the next change.
    Kept is a connection from before the last fault that goes on to carry answers; new is one that
    was opened after the heal, to the same member. Evidence is such a pair, where the dialler of the
    new one says as well that it reaches its peer: one that stands need not be used.
    """
    return Invariant("new_and_kept_connections_fare_alike", Kind.LIVENESS, _unlike)


def _unlike(history: History) -> Sequence[Violation]:
    nodes_of(history)
    faults = [event for event in history.of("fault") if event.type == "invoke"]
    heals = [event for event in history.of("heal") if event.type == "ok"]
    if not faults or not heals:
        raise Inconclusive("no fault was healed, so nothing was dialled anew because of it")
    broke_s, from_s = faults[-1].time_s, heals[-1].time_s
    to_s = next(
        (one.time_s for one in history.of("change") if one.time_s >= from_s), history.end_s + 1.0
    )
    heard = connections_of(history)
    kept = {
        one.target: one
        for one in heard
        if (one.opened_s is None or one.opened_s < broke_s) and one.spoke_within(from_s, to_s)
    }
    fresh = [one for one in heard if one.target in kept and one.opened_within(from_s, to_s)]
    failed = {
        one.link: one
        for one in reversed(fresh)
        if not one.stood and one.opened_within(from_s + _SETTLED_S, to_s)
    }
    if not failed and not any(_passes(history, one, to_s) for one in fresh):
        raise Inconclusive(
            "no member with a kept connection was dialled anew and reached after the heal"
        )
    return [
        Violation(
            f"{one.source} dialled {one.target} anew at {one.opened_s:.3f} s, in {one.mode}, and "
            f"met {one.met}; the connection of {kept[one.target].source}, kept alive since before "
            f"the fault, carries answers all the while",
            (heals[-1].index, one.event, kept[one.target].event),
            excusable=not one.refused,
        )
        for one in sorted(failed.values(), key=lambda one: one.event)
    ]


def _passes(history: History, one: Connection, to_s: float) -> bool:
    """Whether it stands, and who dialled it says after that that he reaches his peer."""
    samples = samples_of(history, one.source, one.told_s, to_s) if one.stood else []
    return any(one.target not in failing(event) for event in samples)


def a_restart_of_either_end_heals(*, within_s: float) -> Invariant:
    """
    Make the promise: when a member was restarted, calls pass on each of its links, either way.

    Liveness. Source: the outage of 2024-02-21, where restarts of whoever was called changed
    nothing, and those of the callers everything. Judged for each restart after the last heal. A
    call passes when the dialler has opened a connection since that stands, and after that says no
    longer that its peer does not take its partials. Within `within_s` seconds of the restart's end.
    Evidence is one such link for each end.
    """

    def judge(history: History) -> Sequence[Violation]:
        nodes = nodes_of(history)
        restarts = list(_restarts(history))
        if not restarts:
            raise Inconclusive("no member was restarted after a heal")
        heard = connections_of(history)
        violations: list[Violation] = []
        for one in restarts:
            for peer in (name for name in nodes if name != one.member):
                for source, target in ((peer, one.member), (one.member, peer)):
                    if one.passed(history, heard, source, target, within_s):
                        continue
                    if one.until_s < one.done.time_s + within_s:
                        raise Inconclusive(f"{one.member} was not given {within_s:g} s")
                    violations.append(one.violation(heard, source, target, within_s))
        return violations

    return Invariant("a_restart_of_either_end_heals", Kind.LIVENESS, judge)


@dataclass(frozen=True, slots=True)
class _Restarted:
    """A member that was restarted, until the next change begins."""

    member: str
    begun: Event
    done: Event
    until_s: float

    def passed(
        self,
        history: History,
        heard: Sequence[Connection],
        source: str,
        target: str,
        within_s: float,
    ) -> bool:
        """Whether calls of `source` to `target` passed in time."""
        limit_s = min(self.until_s, self.done.time_s + within_s)
        stood = [
            one.told_s
            for one in self._since(heard, source, target)
            if one.stood and one.told_s <= limit_s
        ]
        return bool(stood) and any(
            target not in failing(event)
            for event in samples_of(history, source, max(stood[0], self.done.time_s), limit_s)
        )

    def violation(
        self, heard: Sequence[Connection], source: str, target: str, within_s: float
    ) -> Violation:
        """What is to be said of calls that did not pass."""
        end = "the dialler" if source == self.member else "the listener"
        since = list(self._since(heard, source, target))
        tried = [f"{one.mode} {'stands' if one.stood else f'met {one.met}'}" for one in since]
        said = ", ".join(f"{tried.count(one)} x {one}" for one in dict.fromkeys(tried)) or "none"
        return Violation(
            f"{end} of {source}>{target}, {self.member}, was restarted at "
            f"{self.done.time_s:.3f} s, and {source} did not reach {target} within {within_s:g} s; "
            f"connections since: {said}",
            (self.begun.index, self.done.index),
            excusable=not any(one.refused for one in since),
        )

    def _since(self, heard: Sequence[Connection], source: str, target: str) -> Iterator[Connection]:
        for one in heard:
            opened = one.opened_within(self.begun.time_s, self.until_s)
            if opened and (one.source, one.target) == (source, target):
                yield one


def _restarts(history: History) -> Iterator[_Restarted]:
    """Those after the last heal that ended well."""
    healed_s = max((one.time_s for one in history.of("heal") if one.type == "ok"), default=None)
    changes = [] if healed_s is None else history.of("change")
    for begun in changes:
        if begun.type != "invoke" or begun.value["change"] != "Restart":
            continue
        identity = begun.value["id"]
        done = [one for one in changes if one.type == "ok" and one.value["id"] == identity]
        if not done or healed_s is None or begun.time_s < healed_s:
            continue
        later = [one for one in changes if one.type == "invoke" and one.index > begun.index]
        until_s = later[0].time_s if later else history.end_s
        (member,) = begun.value["targets"]
        yield _Restarted(member, begun, done[0], until_s)
