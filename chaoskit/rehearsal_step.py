"""
One step of a rehearsal, carried out under load and judged.

Owns: an upgrade with its proofs and its ways back, a rollback, the faults that must be borne, and
what is recorded of each. Refuses: deciding what a failed step means for the rest (`rehearse`).

The ways back are questions: that one does not hold is an answer, written down as a `note` and
returned; it breaks no promise. That the member comes forward again afterwards is owed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from chaoskit import catalogue, clock
from chaoskit.cluster import Cluster
from chaoskit.contribution import contributed, margin_kept, runs_release
from chaoskit.errors import ChaosError, InvariantViolated, WaitTimedOut
from chaoskit.experiment import Experiment
from chaoskit.fault import NotEffective, apply, inject
from chaoskit.invariant import Invariant
from chaoskit.lastwords import last_words
from chaoskit.liveness import recovered_within
from chaoskit.rehearsal_links import mend_links
from chaoskit.rehearsal_plan import RehearsalPlan, RehearsalStep, bearable, named
from chaoskit.rehearsal_taken import Exit, Move, Taken, WayBack
from chaoskit.rehearsed import Rehearsed
from chaoskit.rundir import TestVerdict
from chaoskit.session import Session
from chaoskit.sparing import Contribution, prove_contribution, roles_of
from chaoskit.system import Release

_FELT_TIMEOUT_S = 20.0
_LAST_WORDS_S = 5.0
AT_ONCE = "at once"


@dataclass(slots=True)
class _Seen:
    """What a step has seen so far."""

    move: Move | None = None
    contribution: Contribution | None = None
    ways_back: list[WayBack] = field(default_factory=list)


@dataclass(slots=True)
class Stage:
    """The cluster of a rehearsal, what its steps need, and what their names begin with (`leg`)."""

    session: Session
    cluster: Cluster
    plan: RehearsalPlan
    rehearsed: Rehearsed
    leg: str = ""

    def experiment(self, name: str, *extra: Invariant) -> Experiment:
        """A scope of its own in the history, named for people."""
        command = self.session.choices.command
        return Experiment(self.cluster, self.leg + name, command, extra=tuple(extra))

    def judged(
        self, experiment: Experiment, body: Callable[[], None], *, pause_s: float = 0.0
    ) -> TestVerdict:
        """Carry out `body` under load within the scope, `pause_s` after the load began."""
        failure: BaseException | None = None
        experiment.begin()
        with self.cluster.loaded(self.plan.request.load_per_s):
            try:
                self.cluster.hold(pause_s)
                body()
                experiment.check()
            except (ChaosError, InvariantViolated) as error:
                failure = error
            verdict = experiment.end(failure)
        self.session.add(verdict)
        return verdict

    def _exits(self, verdict: TestVerdict) -> tuple[Exit, ...]:
        """Who ended by itself within the step, where no way back was being tried on it."""
        first, last = verdict.scope
        trying: dict[str, bool] = {}
        ended_s: dict[str, float] = {}  # the process before: its words are another's
        found = []
        for event in self.cluster.history().of("state", "change"):
            value, name = event.value, event.process
            if event.f == "change" and event.type == "invoke":
                trying |= dict.fromkeys(value["targets"], value.get("may_exit", False))
            if event.f != "state" or value["state"] not in {"stopped", "exited"}:
                continue
            alone = value["state"] == "exited" and not value["signalled"]
            if alone and first <= event.index <= last and not trying.get(name):
                # the last words of a process are written before its exit is noticed
                words = self._words(name, max(ended_s.get(name, 0.0), event.time_s - _LAST_WORDS_S))
                found.append(Exit(name, event.time_s, value["exit_code"], words))
            ended_s[name] = event.time_s
        return tuple(found)

    # -- moving a member -----------------------------------------------------------------------

    def move(self, members: Sequence[str], target: str, *, may_exit: bool = False) -> Move:
        """Put members on another release, at once, and wait until the cluster is steady again."""
        cluster, nodes = self.cluster, [self.cluster.node(name) for name in members]
        source = nodes[0].configuration.release.label
        begun_s, began_s = clock.monotonic(), cluster.recorder.now_s()
        who = members[0] if len(members) == 1 else tuple(members)
        change = catalogue.make("Upgrade", {"node": who, "to": target})
        serves = apply(change, to=cluster, may_exit=may_exit, asks=True)

        def run() -> bool:
            return all(node.state == "running" for node in nodes)

        if serves and run():
            try:
                cluster.await_steady_state(timeout_s=cluster.system.start_timeout_s)
            except WaitTimedOut:
                serves = False
        if serves and run():
            return Move(source, target, clock.monotonic() - begun_s)
        codes = {name: self._exit_code(name) for name in members}
        first = next((name for name in members if codes[name] is not None), members[0])
        code = codes[first]
        words = self._says(first) if code is None else self._words(first, began_s)
        words = f"{first}: {words}" if len(members) > 1 else words
        return Move(source, target, None, code, words)

    def _says(self, member: str) -> str:
        seen = self.cluster.latest()[member]
        return f"it says it is {seen.version}" if seen is not None else "it does not answer"

    def _exit_code(self, member: str) -> int | None:
        states = [one for one in self.cluster.history().of("state") if one.process == member]
        ended = states[-1].value if states else {}
        return ended.get("exit_code") if ended.get("state") == "exited" else None

    def _words(self, member: str, since_s: float) -> str:
        """The line that says why it ended, in quotation marks; empty when there is none."""
        found = last_words(self.session.folder.nodes / member / "log", since_s=since_s)
        return f'"{found}"' if found else ""

    def _actuated(self, members: Sequence[str], experiment: Experiment) -> None:
        """
        Refuse to judge an upgrade that left another image running: it never took place.

        Raises NotEffective; the promises about the new release go, for it was never put there.
        """
        for name in members:
            node = self.cluster.node(name)
            wanted = self.cluster.image_id(node.image)
            if node.state == "running" and node.image_id != wanted:
                experiment.extra = ()
                raise NotEffective(f"{name} runs {node.image_id[:19]}, not {wanted[:19]}")

    # -- steps ---------------------------------------------------------------------------------

    def _moved(self, title: str, members: Sequence[str], release: Release) -> Experiment:
        """The experiment of members that go to a release, with all that is owed of it."""
        system = self.cluster.system
        return self.experiment(
            title,
            *(runs_release(name, release) for name in members),
            *(contributed(name, release, bound_s=system.progress_bound_s) for name in members),
            margin_kept(self.plan.request.max_unavailable),
            recovered_within(system.start_timeout_s),
        )

    def _roles(self, members: Sequence[str]) -> str:
        roles = roles_of(self.cluster)
        return " ".join(roles.get(name, "unknown" if len(members) > 1 else "") for name in members)

    def upgrade(self, step: RehearsalStep, members: Sequence[str], *, pause_s: float) -> Taken:
        """Upgrade members at once, prove each, try ways back, cut and mend the links of one."""
        member, role, seen = " ".join(members), self._roles(members), _Seen()
        release = self.cluster.system.release(step.target)
        experiment = self._moved(
            f"step {step.number}: upgrade {named(member, role)} {step.source} -> {step.target}",
            members,
            release,
        )
        experiment.extra += tuple(self.rehearsed.owed(release))

        def body() -> None:
            seen.move = self.move(members, step.target)
            self._actuated(members, experiment)
            if not seen.move.held:
                if all(self.cluster.node(name).state == "running" for name in members):
                    with suppress(WaitTimedOut):  # it runs, so whether it takes part is judged
                        self._prove(members)
                return
            upgraded_s = clock.monotonic()
            seen.contribution = self._prove(members)
            self._way_back(step, members, AT_ONCE, upgraded_s, seen)
            upgraded_s = clock.monotonic()
            self.cluster.hold(self.plan.settle_s)
            self._way_back(step, members, f"after {self.plan.settle_s:g} s", upgraded_s, seen)
            if self.plan.linked:
                mend_links(self.cluster, members[0], self.rehearsed.unreached)
            self._prove(members)

        verdict = self.judged(experiment, body, pause_s=pause_s)
        return Taken(
            step,
            member,
            role,
            verdict,
            seen.move,
            seen.contribution,
            tuple(seen.ways_back),
            self._exits(verdict),
        )

    def _prove(self, members: Sequence[str]) -> Contribution:
        """The spare-member test of each, everybody steady after it; answers the slowest."""
        proofs = []
        for name in members:
            proofs.append(prove_contribution(self.cluster, name))
            self.cluster.await_steady_state(timeout_s=self.cluster.system.start_timeout_s)
        return max(proofs, key=lambda one: one.after_s)

    def _way_back(
        self, step: RehearsalStep, members: Sequence[str], planned: str, since_s: float, seen: _Seen
    ) -> None:
        after_s = clock.monotonic() - since_s
        back = self.move(members, step.source, may_exit=True)
        if not back.held:
            who = f"{' '.join(members)} {back}"
            text = f"NO WAY BACK from step {step.number} {after_s:.1f} s after it: {who}"
            self.cluster.recorder.record("chaoskit", "note", {"text": text})
        forward = self.move(members, step.target)
        seen.ways_back.append(WayBack(planned, after_s, back, forward))

    def put_back(self, step: RehearsalStep, members: Sequence[str]) -> Taken:
        """
        After a step that failed: what an operator would do at once.

        The new program is stopped, whoever ended meanwhile is started again, then the members are
        put back.
        """
        system, member, seen = self.cluster.system, " ".join(members), _Seen()
        experiment = self.experiment(
            f"way back after failed step {step.number}: {member} to {step.source}",
            *(runs_release(name, system.release(step.source)) for name in members),
            recovered_within(system.start_timeout_s),
        )

        def body() -> None:
            for name in members:
                if self.cluster.node(name).state == "running":
                    self.cluster.node(name).stop()
            for name, node in self.cluster.nodes.items():
                if name not in members and node.state == "exited":
                    node.start()
            seen.move = self.move(members, step.source)

        verdict = self.judged(experiment, body)
        return Taken(step, member, "", verdict, seen.move, exits=self._exits(verdict))

    def roll_back(self, step: RehearsalStep, members: Sequence[str]) -> Taken:
        """Take a step back for good; that must succeed."""
        member, role, seen = " ".join(members), self._roles(members), _Seen()
        experiment = self._moved(
            f"step {step.number}: roll back {named(member, role)} {step.target} -> {step.source}",
            members,
            self.cluster.system.release(step.source),
        )

        def body() -> None:
            seen.move = self.move(members, step.source)
            self._actuated(members, experiment)
            if seen.move.held:
                seen.contribution = self._prove(members)

        verdict = self.judged(experiment, body)
        exits = self._exits(verdict)
        return Taken(step, member, role, verdict, seen.move, seen.contribution, exits=exits)

    def bear_faults(self, step: RehearsalStep) -> Taken:
        """Faults that a whole cluster must bear: one member killed, then one cut off."""
        cluster = self.cluster
        killed, cut = bearable(self.plan.order)
        bound_s = cluster.system.start_timeout_s
        faults = [("Kill", killed), ("Isolate", cut)]

        def body() -> None:
            for name, node in faults:
                with inject(catalogue.make(name, {"node": node}), into=cluster) as fault:
                    fault.await_felt(timeout_s=_FELT_TIMEOUT_S)
                    cluster.await_progress(by=self.plan.borne_progress, timeout_s=bound_s)
                cluster.await_steady_state(timeout_s=bound_s)

        title = f"step {step.number}: all at {step.target}, kill {killed}, cut off {cut}"
        experiment = self.experiment(title, recovered_within(bound_s))
        verdict = self.judged(experiment, body)
        return Taken(step, f"{killed} {cut}", "", verdict, exits=self._exits(verdict))

    def start(self, step: RehearsalStep) -> Taken:
        """The cluster at its first release: every member says that it is, and bears the load."""
        system = self.cluster.system
        release = system.release(step.source)
        checks: Sequence[Invariant] = [runs_release(name, release) for name in self.cluster.nodes]

        def body() -> None:
            bound_s = system.start_timeout_s
            self.cluster.await_progress(by=self.plan.borne_progress, timeout_s=bound_s)

        title = f"step {step.number}: {len(system.nodes)} members at {step.source}"
        experiment = self.experiment(title, *checks)
        verdict = self.judged(experiment, body)
        return Taken(step, "", "", verdict, exits=self._exits(verdict))
