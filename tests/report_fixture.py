"""
Run folders as a real run leaves them, made by a small simulation: what the report is tested with.

`write_run(folder, scenarios)` writes history.jsonl, verdicts.json, plan.json and nodes/NAME/log.
The cluster is a toy in this file: three members, one leader, a load of 20 operations a second; each
scenario breaks it its own way. Run as a program it writes a run and its report to a folder:
`python tests/report_fixture.py FOLDER [SCENARIO...]`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

STARTED_UTC = "2026-11-21T09:12:03.417+00:00"
MEMBERS = ("e1", "e2", "e3")
DIGESTS = {
    "3.4.23": "sha256:81c0a9d5be1f2a44c7a0b0f4c8f1d2e3a4b5c6d7e8f90112233445566778899aa",
    "3.5.16": "sha256:5fd2c1b7e0aa94d1cb3f7788e1d0c2b3a49586778695a4b3c2d1e0f1a2b3c4d5e",
}

Reference = dict[str, Any]


@dataclass
class Tape:
    """Events in any order, given their indices when written; an event is referred to by itself."""

    random: Random
    now_s: float = 0.0
    events: list[Reference] = field(default_factory=list)
    logs: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    operations: int = 0
    faults: int = 0
    revision: int = 100
    term: int = 2

    def add(
        self, time_s: float, process: str, f: str, kind: str = "info", **value: Any
    ) -> Reference:
        event: Reference = {
            "index": -1,
            "time_s": round(time_s, 6),
            "process": process,
            "type": kind,
            "f": f,
            "value": value,
        }
        self.events.append(event)
        return event

    def identity(self) -> int:
        """The number of the next fault or change."""
        self.faults += 1
        return self.faults

    def log(self, time_s: float, node: str, line: str) -> None:
        self.logs.setdefault(node, []).append((time_s, line))

    def number(self) -> None:
        self.events.sort(key=lambda event: event["time_s"])
        for index, event in enumerate(self.events):
            event["index"] = index


@dataclass
class Member:
    release: str
    role: str = "follower"
    answers: bool = True
    lag: bool = False
    progress: int = 100


class Cluster:
    """Three members over time: `run` lets time pass with load and samples."""

    def __init__(self, tape: Tape, release: str, name: str) -> None:
        self.tape = tape
        self.name = name
        self.members = {node: Member(release) for node in MEMBERS}
        self.members["e2"].role = "leader"
        self.put_s = 0.0025
        self.refusing: set[str] = set()
        self.hanging: set[str] = set()
        start = tape.now_s
        tape.add(
            start + 0.01,
            "chaoskit",
            "cluster",
            cluster=name,
            event="started",
            nodes=list(MEMBERS),
            quorum=2,
            driven=True,
            progress_bound_s=5.0,
            releases=dict.fromkeys(MEMBERS, release),
            images=dict.fromkeys(MEMBERS, ""),
        )
        for node in MEMBERS:
            tape.add(
                start + 0.02,
                node,
                "state",
                state="running",
                signalled=False,
                exit_code=None,
                release=release,
                incarnation=1,
            )
            tape.log(
                start + 0.05, node, f'{{"level":"info","msg":"starting","version":"{release}"}}'
            )
        tape.add(
            start + 1.2,
            "chaoskit",
            "cluster",
            cluster=name,
            event="steady",
            nodes=list(MEMBERS),
            images=dict.fromkeys(MEMBERS, DIGESTS[release]),
        )
        tape.now_s = start + 1.25

    def run(self, duration_s: float, *, rate: float = 20.0, sample_s: float = 0.2) -> None:
        tape, start = self.tape, self.tape.now_s
        steps = int(duration_s * rate) if rate else 0
        for step in range(steps):
            self._operate(start + step / rate)
        for step in range(int(duration_s / sample_s)):
            at = start + step * sample_s
            target = tape.revision - int((duration_s - step * sample_s) * rate * 0.7)
            for node, member in self.members.items():
                self._sample(at, node, member, max(target, member.progress))
        for member in self.members.values():
            if not member.lag:
                member.progress = max(member.progress, tape.revision)
        tape.now_s = start + duration_s

    def _operate(self, at: float) -> None:
        tape = self.tape
        tape.operations += 1
        node = MEMBERS[tape.operations % 3]
        client = f"client {tape.operations % 4}"
        kind = "get" if tape.random.random() < 0.3 else "put"
        key, number = f"k{tape.random.randrange(500)}", tape.operations
        tape.add(at, client, kind, "invoke", op=number, node=node, key=key, value=f"v{number}")
        took = self.put_s * (0.6 + tape.random.random() + (3 if tape.random.random() < 0.01 else 0))
        if node in self.hanging:
            tape.add(at + 2.0, client, kind, "info", op=number, node=node, cause="timed_out")
        elif node in self.refusing:
            tape.add(at + 0.001, client, kind, "fail", op=number, node=node, cause="refused")
        else:
            tape.revision += kind == "put"
            tape.add(at + took, client, kind, "ok", op=number, node=node, revision=tape.revision)

    def _sample(self, at: float, node: str, member: Member, progress: int) -> None:
        at += self.tape.random.random() * 0.05
        if not member.answers:
            self.tape.add(at, node, "observe", "fail", cause="timed_out")
            return
        if not member.lag:
            member.progress = max(member.progress, progress)
        self.tape.add(
            at,
            node,
            "observe",
            "ok",
            ready=True,
            version=member.release,
            role=member.role,
            term=self.tape.term,
            progress=member.progress,
            digest=f"{member.progress:08x}",
            detail={},
            took_s=0.004,
        )

    def lead(self, node: str) -> None:
        self.tape.term += 1
        for name, member in self.members.items():
            member.role = "leader" if name == node else "follower"
        self.tape.log(
            self.tape.now_s,
            node,
            f'{{"level":"info","msg":"became leader","term":{self.tape.term}}}',
        )

    def state(self, node: str, state: str, **more: Any) -> None:
        self.tape.add(
            self.tape.now_s,
            node,
            "state",
            state=state,
            signalled=more.pop("signalled", True),
            exit_code=more.pop("exit_code", None),
            release=self.members[node].release,
            incarnation=1,
        )


Scenario = Callable[[Tape], dict[str, Any]]


def _promises(**outcomes: str) -> list[dict[str, str]]:
    kinds = {
        "no_fork": "safety",
        "no_rollback": "safety",
        "no_unexpected_exit": "safety",
        "acknowledged_writes_survive": "safety",
        "one_value_per_revision": "safety",
        "progress_while_quorate": "liveness",
    }
    return [
        {"name": name, "kind": kind, "outcome": outcomes.get(name, "kept")}
        for name, kind in kinds.items()
    ]


def _judged(
    tape: Tape,
    test: str,
    first: Reference,
    reasons: Sequence[dict[str, Any]] = (),
    *,
    verdict: str = "PASS",
    owed: float = 0.94,
    **outcomes: str,
) -> dict[str, Any]:
    last = tape.add(
        tape.now_s, "chaoskit", "scope", test=test, event="end", cluster=first["value"]["cluster"]
    )
    duration = round(tape.now_s - first["time_s"], 3)
    tape.now_s += 0.4
    return {
        "test": test,
        "verdict": verdict,
        "scope": [first, last],
        "reasons": list(reasons),
        "promises": _promises(**outcomes),
        "owed_share": owed,
        "duration_s": duration,
        "again": f"pytest {test} --chaos-seed 7f3a",
    }


def _begin(tape: Tape, test: str, release: str = "3.5.16") -> tuple[Reference, Cluster]:
    cluster = Cluster(tape, release, f"c{len(tape.events)}")
    first = tape.add(
        tape.now_s, "chaoskit", "scope", test=test, event="start", cluster=cluster.name
    )
    tape.now_s += 0.01
    return first, cluster


def _inject(
    tape: Tape,
    fault: str,
    targets: Sequence[str],
    probes: Sequence[str],
    onset_s: float,
    **fields: Any,
) -> int:
    identity = tape.identity()
    tape.add(
        tape.now_s,
        "chaoskit",
        "fault",
        "invoke",
        id=identity,
        fault=fault,
        fields=fields,
        targets=list(targets),
        may_exit=False,
    )
    tape.now_s += onset_s + 0.004
    for number, probe in enumerate(probes):
        tape.add(
            tape.now_s,
            "chaoskit",
            "effective",
            "ok",
            id=identity,
            probe=probe,
            onset_s=round(onset_s - 0.001 * number, 6),
            detail="as awaited",
            again=False,
        )
    return identity


def _heal(
    tape: Tape, identity: int, probes: Sequence[str], meters: dict[str, tuple[int, int]]
) -> None:
    for meter, (before, after) in meters.items():
        kind = "ok" if after > before else "fail"
        value = {"id": identity, "meter": meter, "before": before, "after": after}
        tape.add(tape.now_s, "chaoskit", "felt", kind, **value)
    tape.now_s += 0.002
    for probe in probes:
        value = {"id": identity, "probe": probe, "onset_s": 8.0, "detail": "as awaited"}
        tape.add(tape.now_s, "chaoskit", "effective", "ok", **value, again=True)
    tape.now_s += 0.002
    tape.add(tape.now_s, "chaoskit", "heal", "invoke", id=identity)
    tape.now_s += 0.012
    tape.add(tape.now_s, "chaoskit", "heal", "ok", id=identity)
    tape.now_s += 0.004
    for probe in probes:
        value = {"id": identity, "probe": probe, "after_s": 0.004, "detail": "not there"}
        tape.add(tape.now_s, "chaoskit", "absent", "ok", **value)


def _shaken(tape: Tape, pairs: Sequence[tuple[str, str]], kind: str, detail: str) -> None:
    for source, target in pairs:
        tape.add(
            tape.now_s, "chaoskit", "handshake", kind, source=source, target=target, detail=detail
        )


def _cut(tape: Tape, pairs: Sequence[tuple[str, str]], *, cut: bool) -> None:
    for source, target in pairs:
        tape.add(
            tape.now_s,
            "chaoskit",
            "link",
            source=source,
            target=target,
            cut=cut,
            shape="cut" if cut else "open",
        )


_LINKS_OF_E2 = (("e2", "e1"), ("e2", "e3"), ("e1", "e2"), ("e3", "e2"))


_DIALS = [f"dial {source} \u2192 {target}" for source, target in _LINKS_OF_E2]


def _partitioned(tape: Tape, cluster: Cluster) -> None:
    """Five steady seconds, eight of a leader cut off, five of recovery."""
    cluster.run(5.0)
    identity = _inject(
        tape,
        "Partition",
        ("e2",),
        _DIALS,
        0.011,
        left=["e2"],
        right=["e1", "e3"],
    )
    _cut(tape, _LINKS_OF_E2, cut=True)
    cluster.members["e2"].lag = True
    cluster.refusing = {"e2"}
    cluster.hanging = {"e1"}
    cluster.run(1.6)
    cluster.hanging = set()
    cluster.lead("e1")
    for step in range(30):
        tape.log(
            tape.now_s + step * 0.2,
            "e2",
            '{"level":"warn","msg":"prober: unhealthy","error":"connection refused"}',
        )
    cluster.run(6.4)
    meters = {"packets refused, e2 \u2192 e1": (0, 214), "packets refused, e2 \u2192 e3": (2, 198)}
    _heal(tape, identity, _DIALS, meters)
    _cut(tape, _LINKS_OF_E2, cut=False)
    cluster.members["e2"].lag = False
    cluster.refusing = set()
    cluster.run(5.0)


def crowded(tape: Tape) -> dict[str, Any]:
    """A partition with remarks, operations that were not sent, and three broken promises."""
    test = "suites/etcd/test_partition.py::test_crowded[3.5.16]"
    first, cluster = _begin(tape, test)
    _partitioned(tape, cluster)
    tape.add(tape.now_s, "chaoskit", "note", text="the old leader answered once more")
    machine: dict[str, Any] = {"steal": 0.31, "pressure": 0.8, "proxy_lag_s": 0.12}
    tape.add(tape.now_s, "chaoskit", "machine", **machine, over=True)
    tape.add(tape.now_s, "chaoskit", "machine", **machine, over=False)
    tape.add(tape.now_s, "queue", "put", "invoke", op=700_001, node="e1")
    tape.add(tape.now_s, "queue", "put", "fail", op=700_001, node="e1", cause="not sent")
    samples = [event for event in tape.events if event["f"] == "observe" and event["type"] == "ok"]
    samples.sort(key=lambda event: float(event["time_s"]))
    names = ("no_fork", "no_rollback", "no_fork", "progress_while_quorate", "no_unexpected_exit")
    reasons = [
        {
            "verdict": "FAIL",
            "by": name,
            "text": f"{name} is broken",
            "events": [samples[-40 + number]],
            "kind": "safety",
        }
        for number, name in enumerate(names)
    ]
    outcomes: dict[str, Any] = dict.fromkeys(names, "broken")
    return _judged(tape, test, first, reasons, verdict="FAIL", **outcomes)


def partition(tape: Tape) -> dict[str, Any]:
    """A leader cut off; everything holds."""
    test = "suites/etcd/test_partition.py::test_a_majority_goes_on_without_its_leader[3.5.16]"
    first, cluster = _begin(tape, test)
    _partitioned(tape, cluster)
    return _judged(tape, test, first, owed=0.92)


def lost_write(tape: Tape) -> dict[str, Any]:
    """The same, and a write acknowledged by the minority is gone afterwards."""
    test = "suites/etcd/test_partition.py::test_a_minority_leader_loses_nothing[3.4.23]"
    first, cluster = _begin(tape, test, "3.4.23")
    began_s = tape.now_s
    _partitioned(tape, cluster)
    at = began_s + 6.212
    lost: dict[str, Any] = {"op": 990_001, "node": "e2", "key": "k412", "value": "v9"}
    tape.add(at, "client 7", "put", "invoke", **lost)
    acknowledged = tape.add(at + 0.003, "client 7", "put", "ok", revision=181, **lost)
    lost["op"] = 990_002
    tape.add(began_s + 14.0, "client 7", "get", "invoke", **{**lost, "node": "e1"})
    absent = tape.add(
        began_s + 14.003, "client 7", "get", "ok", op=990_002, node="e1", key="k412", value=None
    )
    tape.log(began_s + 13.9, "e2", "<script>alert('a hostile line & more')</script>")
    reason = {
        "verdict": "FAIL",
        "by": "acknowledged_writes_survive",
        "text": f"put k412=v9 acknowledged by e2 at {at + 0.003:.3f} s, absent on e1, e3 from "
        f"{began_s + 14.003:.3f} s",
        "events": [acknowledged, absent],
        "kind": "safety",
    }
    return _judged(
        tape,
        test,
        first,
        [reason],
        verdict="FAIL",
        owed=0.92,
        acknowledged_writes_survive="broken",
    )


def tls(tape: Tape) -> dict[str, Any]:
    """A follower restarts in plaintext and is alone until it restarts again."""
    test = "suites/etcd/test_tls.py::test_a_plaintext_member_costs_no_write[3.5.16]"
    first, cluster = _begin(tape, test)
    cluster.run(3.0)
    member = cluster.members["e3"]
    member.answers, member.lag = False, True
    cluster.refusing = {"e3"}
    identity = _inject(
        tape,
        "TlsMismatch",
        ("e3",),
        ["handshake e1 \u2192 e3"],
        0.31,
        serves="plaintext",
        port="peer",
    )
    cluster.state("e3", "exited", exit_code=143)
    cluster.run(0.6)
    cluster.state("e3", "running")
    cluster.run(0.6)
    _shaken(tape, (("e1", "e3"), ("e2", "e3")), "fail", "no TLS: plaintext")
    member.answers = True
    for step in range(17):
        tape.log(
            tape.now_s + step * 0.4,
            "e1",
            "rejected connection: first record does not look like a TLS handshake",
        )
    cluster.run(7.5)
    _shaken(tape, (("e1", "e3"), ("e2", "e3")), "ok", "TLS by our authority")
    _heal(tape, identity, ["handshake e1 \u2192 e3"], {"failed handshakes at e1": (0, 17)})
    member.answers = False
    cluster.state("e3", "exited", exit_code=143)
    cluster.run(0.6)
    cluster.state("e3", "running")
    cluster.run(0.4)
    member.answers, member.lag = True, False
    cluster.refusing = set()
    cluster.run(4.0)
    return _judged(tape, test, first, owed=1.0)


def storage(tape: Tape) -> dict[str, Any]:
    """Slow syncs on one member: nothing breaks, everything is slow."""
    test = "suites/etcd/test_storage.py::test_slow_storage_costs_no_election[3.5.16]"
    first, cluster = _begin(tape, test)
    cluster.run(4.0)
    identity = _inject(
        tape, "SlowStorage", ("e1",), ["our own fsync"], 0.004, delay_s=0.2, path="data"
    )
    tape.add(tape.now_s, "e1", "limit", probe="disk", over=True, value_s=0.201, limit_s=0.1)
    cluster.put_s = 0.19
    cluster.run(8.0)
    _heal(tape, identity, ["our own fsync"], {"delayed syncs at e1": (3, 64)})
    tape.add(tape.now_s, "e1", "limit", probe="disk", over=False, value_s=0.001, limit_s=0.1)
    cluster.put_s = 0.0025
    cluster.run(4.0)
    return _judged(tape, test, first, owed=0.97)


def unfelt(tape: Tape) -> dict[str, Any]:
    """Slow storage that nobody met: INVALID."""
    test = "suites/etcd/test_storage.py::test_slow_storage_while_idle[3.5.16]"
    first, cluster = _begin(tape, test)
    cluster.run(2.0, rate=0.0)
    identity = _inject(
        tape, "SlowStorage", ("e1",), ["our own fsync"], 0.004, delay_s=0.2, path="data"
    )
    cluster.run(8.0, rate=0.0)
    _heal(tape, identity, ["our own fsync"], {"delayed syncs at e1": (3, 3)})
    cluster.run(2.0, rate=0.0)
    felt = [event for event in tape.events if event["f"] == "felt"][-1]
    reasons: list[dict[str, Any]] = [
        {
            "verdict": "INVALID",
            "by": "faults_were_felt",
            "text": "SlowStorage on e1 was effective but never felt: 0 syncs at e1 in 8.0 s "
            "(e1 was not writing: is it a learner?)",
            "events": [felt],
            "kind": None,
        },
        {
            "verdict": "UNKNOWN",
            "by": "acknowledged_writes_survive",
            "text": "no write was acknowledged in this window: nothing to look for",
            "events": [],
            "kind": None,
        },
    ]
    return _judged(
        tape,
        test,
        first,
        reasons,
        verdict="INVALID",
        owed=1.0,
        acknowledged_writes_survive="unknown",
        progress_while_quorate="unknown",
    )


def upgrade(tape: Tape) -> dict[str, Any]:
    """A rolling upgrade, one member after the other; the last one cannot go back."""
    test = "rehearse etcd 3.4.23 -> 3.5.16"
    first, cluster = _begin(tape, test, "3.4.23")
    cluster.run(2.0)
    for node in ("e3", "e1", "e2"):
        identity = tape.identity()
        member = cluster.members[node]
        tape.add(
            tape.now_s,
            "chaoskit",
            "change",
            "invoke",
            id=identity,
            change="Upgrade",
            fields={"release": "3.5.16"},
            targets=[node],
        )
        cluster.state(node, "exited", exit_code=143)
        member.answers, member.lag = False, True
        cluster.refusing = {node}
        if node == "e2":
            cluster.lead("e1")
        cluster.run(0.4)
        member.release = "3.5.16"
        cluster.state(node, "running")
        tape.add(tape.now_s, "chaoskit", "change", "ok", id=identity)
        cluster.run(0.6)
        member.answers, member.lag = True, False
        cluster.refusing = set()
        cluster.run(0.4)
        tape.add(
            tape.now_s,
            "chaoskit",
            "witnessed",
            "ok",
            id=identity,
            probe="spare-member test: one put with the other follower paused",
            after_s=1.0,
            detail="version 3.5.16",
        )
        cluster.run(4.0)
    cluster.state("e3", "exited", signalled=False, exit_code=1)
    cluster.members["e3"].answers = False
    tape.log(tape.now_s - 0.01, "e3", '{"level":"panic","msg":"cluster cannot be downgraded"}')
    cluster.run(3.0)
    return _judged(tape, test, first, owed=0.9)


SCENARIOS: dict[str, Scenario] = {
    "partition": partition,
    "tls": tls,
    "storage": storage,
    "lost_write": lost_write,
    "unfelt": unfelt,
    "upgrade": upgrade,
    "crowded": crowded,
}


def write_run(
    folder: Path, scenarios: Sequence[str], *, seed: int = 7, finished: bool = True
) -> dict[str, Any]:
    """
    Write a run of these scenarios, one after the other, into `folder`; answers its verdicts.

    `finished=False` leaves it as a killed run: no verdicts.json, and the last scope open.
    """
    tape = Tape(Random(seed))
    host = {
        "distribution": "Debian 12",
        "cores": 2,
        "memory_bytes": 24_696_061_952,
        "kernel": "6.18.0",
        "cgroup": "v1",
        "engine": "20.10.24",
        "calibration": {"round_trip_s": 0.00028, "fork_s": 0.0031, "fsync_s": 0.0005},
    }
    run: dict[str, Any] = {
        "run": folder.name,
        "seed": "7f3a",
        "system": "etcd",
        "argv": "chaoskit demo etcd --seed 7f3a",
        "host": host,
    }
    tape.add(0.0, "chaoskit", "run", **run)
    tests = [SCENARIOS[name](tape) for name in scenarios]
    if not finished:
        tape.events = [e for e in tape.events if e is not tests[-1]["scope"][1]]
    tape.number()
    folder.mkdir(parents=True, exist_ok=True)
    lines: list[Any] = [{"schema": 1, "started_utc": STARTED_UTC}, *tape.events]
    (folder / "history.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    for node, log in tape.logs.items():
        (folder / "nodes" / node).mkdir(parents=True, exist_ok=True)
        written = "".join(f"{at:.6f} {line}\n" for at, line in sorted(log))
        (folder / "nodes" / node / "log").write_text(written)
    plan = {
        "schema": 1,
        "seed": "7f3a",
        "steps": [
            {"at_s": 5.0, "fault": "Partition", "fields": {"left": ["e2"], "right": ["e1", "e3"]}},
            {"at_s": 13.0, "heal": "Partition"},
        ],
    }
    (folder / "plan.json").write_text(json.dumps(plan, indent=2))
    for test in tests:
        test["scope"] = [event["index"] for event in test["scope"]]
        for reason in test["reasons"]:
            reason["events"] = [event["index"] for event in reason["events"]]
    ranks = ["FAIL", "INFRA", "INVALID", "UNKNOWN", "PASS"]
    verdicts = {
        "schema": 1,
        **{key: run[key] for key in ("run", "seed", "system", "host")},
        "started_utc": STARTED_UTC,
        "command": "chaoskit demo etcd --seed 7f3a",
        "finished": finished,
        "verdict": min((test["verdict"] for test in tests), key=ranks.index),
        "tests": tests,
    }
    if finished:
        (folder / "verdicts.json").write_text(json.dumps(verdicts))
    return verdicts


if __name__ == "__main__":
    from chaoskit import report

    target = Path(sys.argv[1])
    write_run(target, sys.argv[2:] or list(SCENARIOS))
    sys.stdout.write(f"{report.write(target)}\n")
