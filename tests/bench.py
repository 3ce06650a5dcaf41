"""
The figures: each against its peer or its limit within one run; printed, never asserted.

Run as `python tests/bench.py [--rounds N] [--faults N] [--write]` (`make bench`); `--write` puts
the table into docs/figures.md. What a figure means and what its peer is: that page, and the modules
tests/bench_*.py. The machine's load is printed beside every figure: on a busy one, times of ours
and of a peer grow together, limits do not.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # run as a file: tests and suites are there

from chaoskit import clock
from chaoskit.engine import Engine
from chaoskit.hostfacts import host_facts, in_words
from chaoskit.session import Choices, Session, draw_seed, open_session
from suites.beacon.system import beacon
from suites.etcd.system import SYSTEM as ETCD
from suites.toys.system import toys
from tests.bench_beacon import catching_up, cost_of_a_round, one_operation_s
from tests.bench_costs import hop, idle
from tests.bench_faults import cycles
from tests.bench_judge import events_a_second
from tests.bench_nodes import compared as members_compared
from tests.bench_nodes import mebibytes, started
from tests.bench_start import accepts_a_put, compared, says_ready

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/figures.md"
BEGINS, ENDS = "<!-- figures -->", "<!-- end of the figures -->"
ETCD_RELEASE, TOYS_RELEASE = "3.5.16", "1"
MOST_TOYS = 12
IDLE_S = 10.0
ECHOES = 5000
EVENTS = 100_000
BEACON_RELEASE = "v2.1.4"
GROUPS = ((5, 3), (12, 7))
SLOW_PERIOD_S = 3  # where starts are measured: rounds of twelve members are to cost little there
BEACON_ROUNDS = 50
CAUGHT_UP = 300
OPERATIONS = 100
PROCESSES_AIM_S = 1.5
MEMORY_AIM_MIB = 60
# What one operation took, in ms of one core, when blspy was chosen; by members, threshold, scheme.
OPERATIONS_MS = {
    (5, 3, "pedersen-bls-chained"): {"verify": 1.90, "recover": 1.24},
    (12, 7, "pedersen-bls-chained"): {"recover": 2.57},
    (5, 3, "bls-unchained-g1-rfc9380"): {"verify": 1.95, "recover": 0.86},
}
AIMS_S = {"Isolate": 0.020, "Kill": 0.200, "Pause": 0.200, "SlowStorage": 1.0}


@dataclass(frozen=True, slots=True)
class Figure:
    """
    One line: what was measured, ours, the peer or limit beside it, and how they relate.

    `ratio` is ours to the peer's; `limit` what it may be at most, None where nothing is asked.
    """

    what: str
    ours: str
    peer: str
    ratio: float
    limit: float | None
    load: float

    def row(self) -> tuple[str, ...]:
        """Its cells."""
        asked = "" if self.limit is None else f"{self.limit:g}"
        met = "" if self.limit is None else ("met" if self.ratio <= self.limit else "MISSED")
        return (
            self.what,
            self.ours,
            self.peer,
            f"{self.ratio:.2f}",
            asked,
            met,
            f"{self.load:.1f}",
        )


def _load() -> float:
    return os.getloadavg()[0]


def _times(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} s ({min(values):.2f} to {max(values):.2f})"


def _percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def starts(session: Session, rounds: int) -> Iterator[Figure]:
    """From nothing to serving, against raw engine calls."""
    twelve = toys(MOST_TOYS)
    for what, system, release, ready, limit in (
        ("3 etcd, a put accepted by each", ETCD, ETCD_RELEASE, accepts_a_put(ETCD), 0.8),
        (f"{MOST_TOYS} toys, mesh and observers", twelve, TOYS_RELEASE, says_ready(twelve), 1.3),
    ):
        load = _load()
        own, peer, kind = compared(session, system, release, ready, rounds=rounds)
        ratio = statistics.median(own) / statistics.median(peer)
        yield Figure(what, _times(own), f"raw calls, {kind}: {_times(peer)}", ratio, limit, load)


def faults(session: Session, times: int) -> Iterator[Figure]:
    """Onsets, and cycles a minute."""
    load = _load()
    found = cycles(session, ETCD, ETCD_RELEASE, times=times)
    for name, onsets_s in found.onsets_s.items():
        p50, p95 = _percentile(onsets_s, 0.5), _percentile(onsets_s, 0.95)
        ours = f"p50 {p50 * 1e3:.0f} ms, p95 {p95 * 1e3:.0f} ms (n {len(onsets_s)})"
        aim_s = AIMS_S[name]
        what = f"onset of {name}, p95"
        yield Figure(what, ours, f"limit {aim_s * 1e3:.0f} ms", p95 / aim_s, 1.0, load)
    spent = ", ".join(
        f"{name} {statistics.median(one):.2f} s" for name, one in found.cycle_s.items()
    )
    ours = f"{found.a_minute:.0f} a minute ({spent})"
    yield Figure(
        "cuts, kills, pauses, felt and verified",
        ours,
        "at least 20",
        20 / found.a_minute,
        1.0,
        load,
    )


def costs(session: Session, _: int) -> Iterator[Figure]:
    """A hop, and idle nodes."""
    load = _load()
    echo = hop(session, toys(), TOYS_RELEASE, times=ECHOES)
    yield Figure(
        "echo of 64 bytes through a link, p50",
        f"{echo.linked_s * 1e6:.0f} us",
        f"direct {echo.direct_s * 1e6:.0f} us",
        echo.linked_s / echo.direct_s,
        None,
        load,
    )
    load = _load()
    spent = idle(session, toys(MOST_TOYS), TOYS_RELEASE, for_s=IDLE_S)
    ours = f"{100 * spent.harness:.1f} % of a core (both proxies {100 * spent.proxies:.1f} %)"
    yield Figure(
        f"harness beside {MOST_TOYS} idle nodes", ours, "limit 10 %", spent.harness / 0.1, 1.0, load
    )


def judging(_: Session, __: int) -> Iterator[Figure]:
    """Events a second of processor time, all promises but linearizability."""
    load = _load()
    rate = events_a_second(EVENTS)
    yield Figure(
        "judging, without linearizability",
        f"{rate:,.0f} events/s",
        "at least 100,000",
        100_000 / rate,
        1.0,
        load,
    )


def beacons(session: Session, times: int) -> Iterator[Figure]:
    """Members of a beacon's group: what a round costs them, and how soon they are there."""
    yield from _rounds()
    for count, threshold in GROUPS:
        load = _load()
        group = beacon(count, threshold=threshold, period_s=SLOW_PERIOD_S)
        own, peer = members_compared(session, group, BEACON_RELEASE, rounds=times)
        ratio = statistics.median(own) / statistics.median(peer)
        what = f"{count} beacon members, mesh and observers"
        yield Figure(what, _times(own), f"raw calls: {_times(peer)}", ratio, None, load)
    with _session("process") as processes:
        load = _load()
        took = [started(processes, beacon(), BEACON_RELEASE) for _ in range(times)]
    seconds = [took_s for took_s, _ in took]
    memory = mebibytes([each for _, held in took for each in held])
    for what, ours, limit, ratio in (
        (
            "5 beacon members as processes",
            _times(seconds),
            f"limit {PROCESSES_AIM_S:g} s",
            statistics.median(seconds) / PROCESSES_AIM_S,
        ),
        (
            "memory of a beacon member, most",
            f"{max(memory):.0f} MiB",
            f"limit {MEMORY_AIM_MIB} MiB",
            max(memory) / MEMORY_AIM_MIB,
        ),
    ):
        yield Figure(what, ours, limit, ratio, 1.0, load)


def _rounds() -> Iterator[Figure]:
    """What rounds cost, beside their signatures, and an operation beside what it was once."""
    for count, threshold in GROUPS:
        load = _load()
        cost = cost_of_a_round(count, threshold, "pedersen-bls-chained", BEACON_ROUNDS)
        yield Figure(
            f"a beacon's round, processor of each of {count}",
            f"{cost.node_s * 1e3:.1f} ms",
            f"its signatures alone {cost.alone_s * 1e3:.1f} ms",
            cost.node_s / cost.alone_s,
            1.6,
            load,
        )
    load = _load()
    found = catching_up(CAUGHT_UP)
    yield Figure(
        f"{CAUGHT_UP} rounds fetched, processor of both ends",
        f"{found.spent_s:.2f} s ({found.rounds / found.took_s:.0f} rounds/s)",
        f"their signatures alone {found.alone_s:.2f} s",
        found.spent_s / found.alone_s,
        None,
        load,
    )
    for (count, threshold, scheme), known_ms in OPERATIONS_MS.items():
        load = _load()
        took_s = one_operation_s(count, threshold, scheme, OPERATIONS)
        for name, was_ms in known_ms.items():
            yield Figure(
                f"{name}, {threshold} of {count}, {scheme}",
                f"{took_s[name] * 1e3:.2f} ms",
                f"blspy when it was chosen {was_ms:.2f} ms",
                took_s[name] * 1e3 / was_ms,
                None,
                load,
            )


HEAD = ("figure", "ours", "peer or limit", "ratio", "at most", "", "load")


def table(figures: Sequence[Figure]) -> list[str]:
    """In Markdown, which is also readable as it is."""
    rows = [HEAD, *(one.row() for one in figures)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(HEAD))]
    lines = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    return [lines[0], "| " + " | ".join("-" * max(3, width) for width in widths) + " |", *lines[1:]]


@contextmanager
def _session(backend: str = "docker") -> Iterator[Session]:
    """A run in a folder that goes with it: figures are not kept as runs."""
    with tempfile.TemporaryDirectory(prefix="chaoskit-bench-runs-") as folder:
        choices = Choices(
            seed=draw_seed(),
            project=ROOT,
            runs=Path(folder),
            command="make bench",
            backend=backend,
        )
        with open_session(choices, system="bench", say=_say) as session:
            yield session


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _put_into_page(lines: Sequence[str]) -> None:
    before, _, rest = PAGE.read_text().partition(BEGINS)
    after = rest.partition(ENDS)[2]
    PAGE.write_text("\n".join([f"{before}{BEGINS}", *lines, f"{ENDS}{after}"]))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5, help="starts of each kind")
    parser.add_argument("--faults", type=int, default=15, help="injections of each kind")
    parser.add_argument("--only", default="", help="starts, faults, costs, judging or beacon")
    parser.add_argument("--write", action="store_true", help="put the table into docs/figures.md")
    chosen = parser.parse_args()
    groups: dict[str, tuple[Callable[[Session, int], Iterator[Figure]], int]] = {
        "starts": (starts, chosen.rounds),
        "faults": (faults, chosen.faults),
        "costs": (costs, 0),
        "judging": (judging, 0),
        "beacon": (beacons, chosen.rounds),
    }
    engine = Engine()
    machine = f"{in_words(host_facts())}, Docker {engine.version()}, {clock.utc_now():%Y-%m-%d}"
    engine.close()
    begun_s = time.monotonic()
    figures = []
    with _session() as session:
        for name, (measure, times) in groups.items():
            if chosen.only in {"", name}:
                for figure in measure(session, times):
                    figures.append(figure)
                    _say("  ".join(figure.row()))
    lines = [f"{machine}; {time.monotonic() - begun_s:.0f} s in all.", "", *table(figures)]
    _say("\n" + "\n".join(lines))
    if chosen.write:
        _put_into_page(lines)


if __name__ == "__main__":
    main()
