"""
A replicated register store in virtual time: correct by construction, or with one named defect.

It writes the history that a run on it would leave: faults with their evidence, facts, samples,
operations and final snapshots. Five nodes, quorum three; one leader; what cannot reach it has an
unknown outcome and may take effect later. Not a protocol: a model of what a correct one shows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations
from random import Random
from typing import Any

from chaoskit.history import History
from tests.tape import Tape

NODES = ("n1", "n2", "n3", "n4", "n5")
QUORUM = 3
BOUND_S = 3.0
TICK_S = 0.05
ELECTION_S = 1.2
DEFECTS = ("loses", "acknowledges", "forks", "rolls back", "stalls", "reads stale", "exits")


@dataclass(slots=True)
class Model:
    """One run; `defect` is what goes wrong once, after `defect_s`."""

    random: Random
    defect: str = ""
    defect_s: float = 9.0
    tape: Tape = field(default_factory=lambda: Tape(NODES, quorum=QUORUM, progress_bound_s=BOUND_S))
    tick: int = 0
    leader: str = NODES[0]
    term: int = 1
    leaderless_s: float = 0.0
    down: dict[str, str] = field(default_factory=dict)
    cut: set[frozenset[str]] = field(default_factory=set)
    revision: int = 1
    store: dict[str, list[Any]] = field(default_factory=dict)
    written: list[tuple[int, str, list[Any]]] = field(default_factory=list)
    certain: list[tuple[float, str, int]] = field(default_factory=list)
    applied: dict[str, int] = field(default_factory=lambda: dict.fromkeys(NODES, 1))
    shown: dict[str, int] = field(default_factory=lambda: dict.fromkeys(NODES, 1))
    later: list[tuple[str, str]] = field(default_factory=list)
    answers: list[tuple[float, int, str, dict[str, Any]]] = field(default_factory=list)
    done: bool = False

    @property
    def now_s(self) -> float:
        return self.tick * TICK_S

    def hears(self, one: str, other: str) -> bool:
        return (
            one not in self.down
            and other not in self.down
            and (one == other or frozenset((one, other)) not in self.cut)
        )

    def leads(self) -> bool:
        return sum(self.hears(self.leader, node) for node in NODES) >= QUORUM

    def due(self, defect: str) -> bool:
        """Whether this defect shall happen now; it happens once."""
        if self.defect != defect or self.done or self.now_s < self.defect_s:
            return False
        self.done = True
        return True

    # -- faults: written to the tape as the harness would --------------------------------------

    def break_something(self, identity: int) -> None:
        kind = self.random.choice(("part", "kill", "pause", "bridge"))
        targets = self.random.sample(NODES, self.random.randint(1, 3))
        self.tape.fault(self.now_s, identity, targets, name=kind.title())
        if kind in ("kill", "pause"):
            for node in targets:
                self.down[node] = "paused" if kind == "pause" else "exited"
                self.tape.state(self.now_s, node, self.down[node])
        else:
            for one, other in combinations(NODES, 2):
                parted = (one in targets) != (other in targets)
                bridged = {one, other} == set(targets[:2])
                if parted if kind == "part" else bridged:
                    self.cut.add(frozenset((one, other)))
                    self.tape.part(self.now_s, [one], [other], cut=True)
        self.tape.evidence(self.now_s, identity, "effective", probe="p", again=False)

    def mend(self, identity: int) -> None:
        self.tape.evidence(self.now_s, identity, "felt", meter="m", before=0, after=1)
        self.tape.evidence(self.now_s, identity, "effective", probe="p", again=True)
        self.tape.evidence(self.now_s, identity, "heal", "invoke")
        for node in self.down:
            self.tape.state(self.now_s, node, "running")
        for pair in sorted(self.cut, key=sorted):
            one, other = sorted(pair)
            self.tape.part(self.now_s, [one], [other], cut=False)
        self.down.clear()
        self.cut.clear()
        self.tape.evidence(self.now_s, identity, "heal", "ok")
        self.tape.evidence(self.now_s, identity, "absent", probe="p")

    # -- the store -----------------------------------------------------------------------------

    def elect(self) -> None:
        """After 1.2 s without a leader that hears a quorum, one that does takes over."""
        if self.leads():
            self.leaderless_s = 0.0
            return
        self.leaderless_s += TICK_S
        able = [n for n in NODES if sum(self.hears(n, other) for other in NODES) >= QUORUM]
        if self.leaderless_s >= ELECTION_S and able:
            self.leader = self.random.choice(able)
            self.term += 1
            self.leaderless_s = 0.0

    def write(self, key: str, value: str) -> int:
        self.revision += 1
        version = self.store.get(key, ["", 0, 0])[2] + 1
        self.store[key] = [value, self.revision, version]
        self.written.append((self.revision, key, self.store[key]))
        return self.revision

    def at(self, revision: int) -> dict[str, list[Any]]:
        """The store as it was at a revision."""
        return {key: pair for number, key, pair in self.written if number <= revision}

    def replicate(self) -> None:
        if not self.leads():
            return
        while self.later and self.random.random() < 0.3:
            self.write(*self.later.pop())
        for node in NODES:
            if self.hears(self.leader, node):
                self.applied[node] = self.revision

    def operate(self) -> None:
        """One operation a tick, on the nodes in turn."""
        node, key = NODES[self.tick % len(NODES)], f"k{self.random.randrange(4)}"
        value = f"v{self.tick}"
        f = self.random.choice(("put", "put", "get", "txn"))
        asked: dict[str, Any] = {"key": key}
        held = self.store.get(key, [None, 0, 0])
        if f == "put":
            asked["value"] = value
        elif f == "txn":
            asked |= {"expected": self.random.choice((held[0], "never")), "value": value}
        else:
            asked["consistency"] = "linearizable"
        invoked = self.tape.invoke(self.now_s, self.tick, f, node=node, **asked)
        if self.stalled() or not (self.leads() and self.hears(node, self.leader)):
            if f == "put" and node not in self.down and self.random.random() < 0.4:
                self.later.append((key, value))
            below = sum(n not in self.down for n in NODES) < QUORUM
            settled = all(self.now_s - 1.0 > e.time_s for e in self.tape.events if e.f == "state")
            if f == "put" and below and settled and self.due("acknowledges"):
                self.answer(invoked, "ok", revision=self.write(key, value))
            else:
                self.answer(invoked, "info")
        elif f == "get":
            shown = held
            stale = self.stale(key)
            if stale and self.due("reads stale"):
                shown = stale[-1]
            self.answer(
                invoked, "ok", value=shown[0], mod_revision=shown[1], revision=self.revision
            )
        elif f == "put":
            self.answer(invoked, "ok", revision=self.write(key, value))
            self.certain.append((self.now_s, key, self.revision))
        else:
            succeeded = asked["expected"] == held[0]
            revision = self.write(key, value) if succeeded else self.revision
            self.answer(invoked, "ok", succeeded=succeeded, revision=revision)

    def stale(self, key: str) -> list[list[Any]]:
        """What acknowledged puts wrote before one that was done a second ago."""
        done = [rev for at_s, name, rev in self.certain if name == key and at_s < self.now_s - 1]
        return [pair for rev, _, pair in self.written if rev in done[:-1]]

    def answer(self, invoked: int, kind: str, **result: Any) -> None:
        """It comes within 0.3 s of its taking effect."""
        late_s = self.now_s + self.random.random() * 0.3
        self.answers.append((late_s, invoked, kind, result))

    def deliver(self, until_s: float) -> None:
        due = sorted(one for one in self.answers if one[0] <= until_s)
        self.answers = [one for one in self.answers if one[0] > until_s]
        for time_s, invoked, kind, result in due:
            if kind == "ok":
                self.tape.answer(time_s, invoked, "ok", **result)
            else:
                self.tape.answer(time_s, invoked, "info")

    def stalled(self) -> bool:
        if self.defect != "stalls" or not 14.0 <= self.now_s < 14.0 + 2.2 * BOUND_S:
            return False
        self.done = True
        return True

    def observe(self) -> None:
        for node in NODES:
            if node in self.down:
                self.tape.no_answer(self.now_s, node)
                continue
            revision = self.applied[node]
            if self.shown[node] > 1 and self.due("rolls back"):
                revision = self.shown[node] - 1
            self.shown[node] = revision
            newest = [(key, pair[0]) for number, key, pair in self.written if number == revision]
            digest = f"{newest[0][0]}={newest[0][1]}" if newest else ""
            level = sum(self.applied[other] == revision for other in NODES) > 1
            if digest and level and not self.down and self.due("forks"):
                digest += "!"
            self.tape.observe(
                self.now_s,
                node,
                revision,
                digest=digest,
                role="leader" if node == self.leader else "follower",
                term=self.term,
            )

    def run(self, faults: int = 3) -> History:
        """Faults of 3 s every 6 s from 4 s on, then 5 s of peace, then a snapshot of each node."""
        begins = {round((4 + 6 * number) / TICK_S): number + 1 for number in range(faults)}
        ends = {tick + round(3 / TICK_S): number for tick, number in begins.items()}
        last = round((4 + 6 * faults + 5) / TICK_S)
        for self.tick in range(last):
            self.deliver(self.now_s)
            if self.tick in begins:
                self.break_something(begins[self.tick])
            if self.tick in ends:
                self.mend(ends[self.tick])
            if self.due("exits"):
                self.tape.state(self.now_s, NODES[-1], "exited", signalled=False)
                self.tape.state(self.now_s, NODES[-1], "running")
            self.elect()
            self.replicate()
            if self.tick < last - 20:
                self.operate()
            if self.tick % 4 == 0:
                self.observe()
        self.deliver(self.now_s + 1.0)
        end_s = self.now_s + 1.0
        self.tape.cluster(end_s, NODES, event="steady", quorum=QUORUM, progress_bound_s=BOUND_S)
        for node in NODES:
            pairs = self.at(self.revision)
            if pairs and self.due("loses"):
                pairs.pop(max(pairs, key=lambda key: pairs[key][1]))
            self.tape.operation(
                end_s + 0.1,
                "snapshot",
                node=node,
                result={"revision": self.revision, "pairs": pairs},
            )
        return self.tape.history()
