"""Hand-written histories for tests: events are put on a tape one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

from chaoskit.history import Event, EventType, History

NODES = ("a", "b", "c")


class Tape:
    """
    A history under construction; every method appends at `time_s` and answers its event's index.

    A cluster c1 starts at 0 s with all its nodes running, unless `started` is False.
    """

    def __init__(
        self,
        nodes: Sequence[str] = NODES,
        *,
        quorum: int = 2,
        driven: bool = True,
        progress_bound_s: float = 2.0,
        started: bool = True,
    ) -> None:
        self.events: list[Event] = []
        self.numbers = count(1)
        if started:
            self.cluster(
                0.0, nodes, quorum=quorum, driven=driven, progress_bound_s=progress_bound_s
            )
            for node in nodes:
                self.state(0.0, node, "running")

    def add(
        self, time_s: float, process: str, f: str, kind: EventType = "info", **value: Any
    ) -> int:
        self.events.append(Event(len(self.events), time_s, process, kind, f, value))
        return len(self.events) - 1

    def history(self, *, without: Sequence[int] = ()) -> History:
        return History(event for event in self.events if event.index not in without)

    def cluster(
        self,
        time_s: float,
        nodes: Sequence[str] = NODES,
        *,
        name: str = "c1",
        event: str = "started",
        quorum: int = 2,
        driven: bool = True,
        progress_bound_s: float = 2.0,
    ) -> int:
        return self.add(
            time_s,
            "chaoskit",
            "cluster",
            cluster=name,
            event=event,
            nodes=list(nodes),
            quorum=quorum,
            driven=driven,
            progress_bound_s=progress_bound_s,
        )

    def scope(self, time_s: float, event: str, *, test: str = "t", cluster: str = "c1") -> int:
        return self.add(time_s, "chaoskit", "scope", test=test, event=event, cluster=cluster)

    def state(
        self, time_s: float, node: str, state: str, *, signalled: bool = True, incarnation: int = 1
    ) -> int:
        return self.add(
            time_s,
            node,
            "state",
            state=state,
            signalled=signalled,
            exit_code=None,
            release="1",
            incarnation=incarnation,
        )

    def link(
        self, time_s: float, source: str, target: str, *, cut: bool, shape: str | None = None
    ) -> int:
        said = shape if shape is not None else ("refused" if cut else "open")
        return self.add(
            time_s, "chaoskit", "link", source=source, target=target, cut=cut, shape=said
        )

    def part(self, time_s: float, one: Sequence[str], other: Sequence[str], *, cut: bool) -> None:
        """Cut, or open again, every link between the two sides."""
        for a in one:
            for b in other:
                self.link(time_s, a, b, cut=cut)
                self.link(time_s, b, a, cut=cut)

    def handshake(self, time_s: float, source: str, target: str, *, good: bool) -> int:
        kind: EventType = "ok" if good else "fail"
        return self.add(
            time_s, "chaoskit", "handshake", kind, source=source, target=target, detail=""
        )

    def limit(self, time_s: float, node: str, *, over: bool, probe: str = "disk") -> int:
        return self.add(time_s, node, "limit", probe=probe, over=over, value_s=1.0, limit_s=0.5)

    def observe(
        self,
        time_s: float,
        node: str,
        progress: int | None = 1,
        *,
        digest: str = "",
        ready: bool = True,
        role: str = "follower",
        term: int | None = 1,
    ) -> int:
        return self.add(
            time_s,
            node,
            "observe",
            "ok",
            ready=ready,
            version="1",
            role=role,
            term=term,
            progress=progress,
            digest=digest,
            detail={},
            took_s=0.01,
        )

    def no_answer(self, time_s: float, node: str) -> int:
        return self.add(time_s, node, "observe", "fail", cause="timed_out")

    def gap(self, time_s: float, node: str, from_s: float) -> int:
        return self.add(time_s, node, "gap", from_s=from_s, to_s=time_s)

    def invoke(self, time_s: float, client: int, f: str, *, node: str, **value: Any) -> int:
        return self.add(
            time_s, f"client {client}", f, "invoke", op=next(self.numbers), node=node, **value
        )

    def answer(self, time_s: float, invoked: int, kind: EventType = "ok", **result: Any) -> int:
        asked = self.events[invoked]
        return self.add(time_s, asked.process, asked.f, kind, **{**asked.value, **result})

    def operation(
        self,
        time_s: float,
        f: str,
        kind: EventType = "ok",
        *,
        node: str = "a",
        client: int = 0,
        took_s: float = 0.01,
        result: dict[str, Any] | None = None,
        **value: Any,
    ) -> int:
        """Both events of an operation that nothing came between; the index of its completion."""
        invoked = self.invoke(time_s, client, f, node=node, **value)
        return self.answer(time_s + took_s, invoked, kind, **(result or {}))

    def fault(
        self,
        time_s: float,
        identity: int,
        targets: Sequence[str],
        *,
        name: str = "Partition",
        may_exit: bool = False,
    ) -> int:
        return self.add(
            time_s,
            "chaoskit",
            "fault",
            "invoke",
            id=identity,
            fault=name,
            fields={},
            targets=list(targets),
            may_exit=may_exit,
        )

    def evidence(
        self, time_s: float, identity: int, f: str, kind: EventType = "ok", **value: Any
    ) -> int:
        return self.add(time_s, "chaoskit", f, kind, id=identity, **value)
