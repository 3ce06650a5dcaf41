"""
Linearizability of registers, one key at a time.

Owns: the search for an order of a key's operations that explains every answer. Refuses: to search
for ever: it gives up after a number of steps, which is no verdict (Inconclusive).

The search is that of Wing and Gong (1993) with the memo of Lowe (2017), over a doubly linked list
of invocations and answers; linearizability is local (Herlihy and Wing 1990, theorem 1), so keys
are judged apart. An operation with unknown outcome may take effect at any time after its
invocation, or never; one that failed never did. What a key held before the history is unknown.

Operations, by the shape of their value: `put` (key, value); `get` (key; answer: value, None for
absent) where it says `consistency` "linearizable"; `txn`, a compare-and-swap (key, expected,
value; answer: succeeded).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from enum import Enum

from chaoskit.errors import Inconclusive
from chaoskit.history import History
from chaoskit.invariant import Violation
from chaoskit.operations import Attempt, attempts


@dataclass(frozen=True, slots=True)
class Anything:
    """The state of a register of which nothing is known, except what it is not."""

    but: frozenset[Hashable] = frozenset()


class CallKind(Enum):
    """What a call does to a register."""

    PUT = "put"
    GET = "get"
    SWAP = "swap"


@dataclass(frozen=True, slots=True)
class Call:
    """
    One operation on one register.

    Attributes
    ----------
    invoked, returned: event indices; `returned` is None for an unknown outcome.
    value: what was written, or what a get answered.
    expected: what a swap compares with.
    succeeded: what a swap answered; None for an unknown outcome.

    """

    kind: CallKind
    invoked: int
    returned: int | None
    value: Hashable
    expected: Hashable = None
    succeeded: bool | None = None


_IMPOSSIBLE = object()


def _holds(state: Hashable, value: Hashable) -> bool:
    """Whether the register may hold `value`."""
    return value not in state.but if isinstance(state, Anything) else state == value


def _after(call: Call, state: Hashable) -> object:
    """The register after the call took effect, or _IMPOSSIBLE if its answer does not fit."""
    if call.kind is CallKind.PUT:
        return call.value
    if call.kind is CallKind.GET:
        return call.value if _holds(state, call.value) else _IMPOSSIBLE
    if call.succeeded is False:
        if isinstance(state, Anything):
            return Anything(state.but | {call.expected})
        return state if state != call.expected else _IMPOSSIBLE
    return call.value if _holds(state, call.expected) else _IMPOSSIBLE


def _that_matter(calls: Sequence[Call]) -> list[Call]:
    """
    Leave out unknown puts whose value nobody saw: they explain nothing and double the search.

    Where some swap failed or is unknown, a put nobody saw may explain that, and is kept.
    """
    if any(call.kind is CallKind.SWAP and not call.succeeded for call in calls):
        return list(calls)
    seen = {call.value for call in calls if call.kind is CallKind.GET}
    seen |= {call.expected for call in calls if call.kind is CallKind.SWAP}
    return [
        call
        for call in calls
        if call.returned is not None or call.kind is not CallKind.PUT or call.value in seen
    ]


class _Line:
    """
    Invocations and answers in their order, as a doubly linked list; position 0 is its head.

    A call is taken out when it is given its place and put back when the search retreats.
    """

    def __init__(self, calls: Sequence[Call]) -> None:
        marks = [(call.invoked, number, False) for number, call in enumerate(calls)]
        marks += [
            (call.returned, number, True)
            for number, call in enumerate(calls)
            if call.returned is not None
        ]
        marks.sort()
        self.end = len(marks) + 1
        self.number = [-1, *(number for _, number, _ in marks), -1]
        self.is_answer = [False, *(answer for _, _, answer in marks), True]
        self.following = [*range(1, self.end + 1), self.end]
        self.preceding = [0, *range(self.end)]
        self.places: list[list[int]] = [[] for _ in calls]
        for position, (_, number, _) in enumerate(marks, start=1):
            self.places[number].append(position)

    def take_out(self, number: int) -> None:
        for position in self.places[number]:
            self.following[self.preceding[position]] = self.following[position]
            self.preceding[self.following[position]] = self.preceding[position]

    def put_back(self, number: int) -> None:
        for position in reversed(self.places[number]):
            self.following[self.preceding[position]] = position
            self.preceding[self.following[position]] = position


class _Search:
    """The search's place: which calls were given theirs, in which order, and what they left."""

    def __init__(self, calls: Sequence[Call], initial: Hashable) -> None:
        self.calls = calls
        self.line = _Line(calls)
        self.state = initial
        self.placed = 0
        self.done = 0
        self.unseen = False
        self.path: list[tuple[int, Hashable, bool, bool]] = []

    def next_state(self, number: int) -> object:
        """
        What the register holds when this call comes next, _IMPOSSIBLE if it cannot.

        A call of unknown outcome is given a place only for the sake of the one after it, which must
        look at the register: a put would hide it, and then it may as well never have happened.
        """
        call = self.calls[number]
        if self.unseen and call.kind is CallKind.PUT:
            return _IMPOSSIBLE
        return _after(call, self.state)

    def place(self, number: int, state: Hashable, *, forced: bool) -> None:
        self.path.append((number, self.state, self.unseen, forced))
        self.unseen = self.calls[number].returned is None
        self.state = state
        self.placed |= 1 << number
        self.done += self.calls[number].returned is not None
        self.line.take_out(number)

    def retreat(self) -> int | None:
        """Undo the last choice and all that followed from it; answers the call, None for none."""
        while self.path:
            number, self.state, self.unseen, forced = self.path.pop()
            self.placed ^= 1 << number
            self.done -= self.calls[number].returned is not None
            self.line.put_back(number)
            if not forced:
                return number
        return None

    def absorb(self) -> None:
        """
        Place every call that may come now and only looks at the register, and finds what it says.

        No order is lost by that: whatever explains the other answers does so with these placed now.
        (Not so a put of what is there already: it may be needed later.)
        """
        line = self.line
        before = 0
        while not line.is_answer[position := line.following[before]]:
            number = line.number[position]
            call = self.calls[number]
            looks = call.kind is not CallKind.PUT and call.returned is not None
            if looks and _after(call, self.state) == self.state:
                self.place(number, self.state, forced=True)
            else:
                before = position


def misfit(
    calls: Sequence[Call], *, initial: Hashable = Anything(), step_limit: int
) -> Call | None:
    """
    None when some order explains all answers, else the call at which the best attempt ended.

    Raises Inconclusive after `step_limit` steps of the search.
    """
    kept = _that_matter(calls)
    answered = sum(call.returned is not None for call in kept)
    search = _Search(kept, initial)
    search.absorb()
    line = search.line
    seen: set[tuple[int, Hashable, bool]] = set()
    stuck: tuple[int, Call] | None = None
    position = line.following[0]
    for _ in range(step_limit):
        if search.done == answered:
            return None
        number = line.number[position]
        if not line.is_answer[position]:
            state = search.next_state(number)
            mark = (search.placed | 1 << number, state, kept[number].returned is None)
            if state is _IMPOSSIBLE or mark in seen:
                position = line.following[position]
                continue
            seen.add(mark)
            search.place(number, state, forced=False)
            search.absorb()
            position = line.following[0]
            continue
        if stuck is None or search.done > stuck[0]:
            stuck = (search.done, kept[number])
        undone = search.retreat()
        if undone is None:
            return stuck[1]
        position = line.following[line.places[undone][0]]
    raise Inconclusive(f"gave up after {step_limit} steps on {len(kept)} operations")


def _call(attempt: Attempt) -> Call | None:
    """The attempt as a call on its register; None when it says nothing of it."""
    returned = attempt.completion.index if attempt.acknowledged and attempt.completion else None
    if attempt.failed:
        return None
    value, answer = attempt.value, attempt.result
    if attempt.f == "put":
        return Call(CallKind.PUT, attempt.invoke.index, returned, value["value"])
    if attempt.f == "txn":
        return Call(
            CallKind.SWAP,
            attempt.invoke.index,
            returned,
            value["value"],
            value["expected"],
            answer.get("succeeded"),
        )
    if attempt.f == "get" and attempt.needs_quorum and returned is not None:
        return Call(CallKind.GET, attempt.invoke.index, returned, answer["value"])
    return None


def registers(history: History) -> dict[str, list[Call]]:
    """The history's operations on registers by key, in the order of their invocation."""
    found: dict[str, list[Call]] = {}
    for attempt in attempts(history):
        call = _call(attempt)
        if call is not None:
            found.setdefault(attempt.value["key"], []).append(call)
    return found


def _misfit_text(key: str, call: Call) -> str:
    if call.kind is CallKind.GET:
        what = f"get {key} answered {call.value!r}"
    elif call.kind is CallKind.PUT:
        what = f"put {key}={call.value!r}"
    else:
        what = f"txn {key} from {call.expected!r} to {call.value!r} succeeded: {call.succeeded}"
    return f"{what}: no order of the {key} operations before it explains this"


def not_linearizable(history: History, *, step_limit: int) -> Sequence[Violation]:
    """
    One violation for each key whose operations no order explains.

    The events are those of the call at which the best attempt ended, and of the last write that
    was acknowledged before it was asked. Raises Inconclusive when nothing was read, or when the
    search gave up on a key and no other key was found wrong; `step_limit` holds for each key.
    """
    violations: list[Violation] = []
    given_up: list[str] = []
    read = False
    for key, calls in registers(history).items():
        read = read or any(
            call.kind is CallKind.GET or call.succeeded is not None for call in calls
        )
        try:
            call = misfit(calls, step_limit=step_limit)
        except Inconclusive as reason:
            given_up.append(f"{key}: {reason}")
            continue
        if call is None:
            continue
        before = [
            other
            for other in calls
            if other.kind is not CallKind.GET
            and other.succeeded is not False
            and other.returned is not None
            and other.returned < call.invoked
        ]
        latest = max(before, key=lambda other: other.returned or 0, default=None)
        related = () if latest is None else (latest.invoked, latest.returned)
        violations.append(
            Violation(
                _misfit_text(key, call),
                tuple(i for i in (*related, call.invoked, call.returned) if i is not None),
            )
        )
    if violations:
        return violations
    if given_up:
        raise Inconclusive("; ".join(given_up))
    if not read:
        raise Inconclusive("no linearizable read and no transaction was answered")
    return ()
