"""The machine's figures, their limits, and an echo through a real proxy."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from chaoskit import clock, machine
from chaoskit.errors import ChaosError
from chaoskit.history import Recorder
from chaoskit.machine import (
    LAG_LIMIT_S,
    SYNC_LIMIT_S,
    CpuTimes,
    MachineWatch,
    ProxyEcho,
    Reading,
    cpu_times,
    slowdown,
    waited_us,
)
from chaoskit.toxics import Latency
from chaoskit.toxiproxy import ToxiproxyClient
from chaoskit.waiting import Account
from tests.fakes import FakeBackend, toxiproxy

NO_ANSWER = 2.0


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    made = Recorder(tmp_path / "history.jsonl")
    yield made
    made.close()


def nobody() -> list[int]:
    return []


class Disk:
    """A disk that took so long, at worst."""

    def __init__(self, took_s: float) -> None:
        self._took_s = took_s

    def worst_s(self) -> float:
        return self._took_s

    def sync(self) -> None:
        raise OSError("the disk is gone")


@pytest.mark.parametrize(
    ("stolen", "waited_s", "share", "lag_s", "sync_s", "over"),
    [
        (0, 0.0, 0.0, 0.001, 0.01, False),
        (20, 1.8, 1.0, 0.1, 1.0, False),  # each but ours just at its limit: 10 %, 90 %, 100 ms, 1 s
        (21, 0.0, 0.0, 0.001, 0.01, True),
        (0, 1.81, 0.51, 0.001, 0.01, True),
        (0, 2.0, 0.5, 0.001, 0.01, False),  # somebody always waited, and ours as long as they ran
        (0, 1.8, 1.0, 0.001, 0.01, False),
        (0, 1.81, None, 0.001, 0.01, True),  # no accounts: what all tasks waited has to do
        (0, 0.0, 0.0, 0.101, 0.01, True),
        (0, 0.0, 0.0, 0.001, 1.001, True),
        (0, None, None, None, None, False),  # what cannot be measured is never over
        (21, None, None, None, None, True),
    ],
)
def test_over_follows_each_limit(
    recorder: Recorder,
    stolen: int,
    waited_s: float | None,
    share: float | None,
    lag_s: float | None,
    sync_s: float | None,
    *,
    over: bool,
) -> None:
    disk = None if sync_s is None else Disk(sync_s)
    watch = MachineWatch(recorder, None, cast("Any", disk), nobody)
    waited = (None, None) if waited_s is None else (1_000_000, 1_000_000 + round(waited_s * 1e6))
    began = Account(100, 100)
    tasks = {} if share is None else {(7, 8): Account(100 + round(100 - 100 * share), 100)}
    if share is not None:
        tasks[7, 9] = Account(0, round(100 * share))
    lags = [] if lag_s is None else [0.0, lag_s, 0.0]  # the worst counts
    watch._record(
        Reading(5.0, CpuTimes(total=0, stolen=0, idle=0), waited[0], {(7, 8): began}),
        Reading(7.0, CpuTimes(total=200, stolen=stolen, idle=50), waited[1], tasks),
        lags,
    )
    (event,) = recorder.history().of("machine")
    assert event.value == {
        "steal": stolen / 200,
        "idle": 0.25,
        "pressure": None if waited_s is None else pytest.approx(waited_s / 2, abs=1e-3),
        "waiting": share,
        "proxy_lag_s": lag_s,
        "sync_s": sync_s,
        "over": over,
    }


@pytest.mark.parametrize(
    ("waiting", "steal", "lag_s", "sync_s", "times"),
    [
        (0.0, 0.0, 0.001, 0.01, 1.0),
        (0.5, 0.0, None, None, 2.0),
        (0.5, 0.5, LAG_LIMIT_S, SYNC_LIMIT_S, 4.0),
        (0.0, 0.0, LAG_LIMIT_S + 0.001, 0.01, math.inf),
        (0.0, 0.0, 0.001, SYNC_LIMIT_S + 0.001, math.inf),
        (1.0, 0.0, 0.001, 0.01, math.inf),
        (None, 0.0, 0.001, 0.01, math.inf),
    ],
)
def test_how_much_slower_a_machine_makes_all(
    waiting: float | None, steal: float, lag_s: float | None, sync_s: float | None, times: float
) -> None:
    value = {"waiting": waiting, "steal": steal, "proxy_lag_s": lag_s, "sync_s": sync_s}
    assert slowdown(value) == pytest.approx(times)


def test_an_event_a_second(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 0.0

    class Watchers:
        """Whose waits take the time that they are asked for, until twelve seconds have passed."""

        def told_to_stop(self, within_s: float) -> bool:
            nonlocal now_s
            now_s += within_s
            return now_s > 12.0

    monkeypatch.setattr(clock, "monotonic", lambda: now_s)
    took_s: list[float] = []
    watch = MachineWatch(recorder, None, None, nobody, cast("Any", Watchers()))

    def record(_: MachineWatch, before: Reading, now: Reading, lags: list[float]) -> None:
        assert lags == []
        took_s.append(now.at_s - before.at_s)

    monkeypatch.setattr(MachineWatch, "_record", record)
    watch._watch()
    assert 10 <= len(took_s) <= 12
    assert all(1.0 <= one < 1.5 for one in took_s)


def test_what_ended_the_watch_is_raised(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "waited_us", lambda: 1 // 0)
    with MachineWatch(recorder, None, None, nobody) as watch:
        clock.wait_until(lambda: watch._watchers.failure, what="the end of the watch", timeout_s=30)
        with pytest.raises(ChaosError, match="machine ended by ZeroDivisionError"):
            watch.raise_failure()


def test_a_disk_that_fails_ends_the_watch_and_is_raised(recorder: Recorder) -> None:
    with MachineWatch(recorder, None, cast("Any", Disk(0.0)), nobody) as watch:
        clock.wait_until(lambda: watch._watchers.failure, what="the end of the watch", timeout_s=30)
        with pytest.raises(ChaosError, match="disk ended by OSError: the disk is gone"):
            watch.raise_failure()


def test_the_kernel_is_read_as_proc_5_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stat").write_text("cpu  10 1 5 70 4 2 3 5 100 50\ncpu0 1 1 1 1 1 1 1 1 1 1\n")
    (tmp_path / "cpu").write_text(
        "some avg10=1.00 avg60=2.00 avg300=3.00 total=4711\nfull avg10=0.00 total=12\n"
    )
    places = {"/proc/stat": tmp_path / "stat", "/proc/pressure/cpu": tmp_path / "cpu"}
    monkeypatch.setattr(machine, "Path", places.__getitem__)
    # guests (the last two) are within user and nice; waiting for a disk is idle
    assert cpu_times() == CpuTimes(total=100, stolen=5, idle=74)
    assert waited_us() == 4711
    (tmp_path / "cpu").unlink()
    assert waited_us() is None


def test_this_kernel_is_read_and_time_goes_on() -> None:
    before = cpu_times()
    clock.wait_until(lambda: cpu_times().total > before.total, what="a tick", timeout_s=30)
    after = cpu_times()
    ticks = (after.total - before.total) / os.sysconf("SC_CLK_TCK") / (os.cpu_count() or 1)
    assert ticks > 0
    assert after.idle <= after.total - after.stolen


@pytest.fixture
def client() -> Iterator[ToxiproxyClient]:
    with toxiproxy() as place, ToxiproxyClient(*place, timeout_s=5.0) as made:
        yield made


@pytest.fixture
def echo(client: ToxiproxyClient, tmp_path: Path) -> Iterator[ProxyEcho]:
    made = ProxyEcho(FakeBackend(tmp_path, ("n1",)), client)
    yield made
    made.close()
    assert not made._thread.is_alive()


def test_the_echo_measures_the_proxy(client: ToxiproxyClient, echo: ProxyEcho) -> None:
    echo._ends.settimeout(30.0)
    assert min(echo.lag_s() for _ in range(5)) < 0.5
    client.add_toxic("chaoskit-lag", Latency(0.5, "downstream"))
    assert 0.5 <= echo.lag_s() != NO_ANSWER


def test_a_proxy_that_is_gone_is_as_late_as_can_be(
    client: ToxiproxyClient, echo: ProxyEcho
) -> None:
    client.set_enabled("chaoskit-lag", enabled=False)
    assert [echo.lag_s(), echo.lag_s()] == [NO_ANSWER, NO_ANSWER]


def test_an_answer_that_came_too_late_is_not_taken_for_the_next(
    client: ToxiproxyClient, echo: ProxyEcho
) -> None:
    late = Latency(0.4, "downstream")
    client.add_toxic("chaoskit-lag", late)
    echo._ends.settimeout(0.1)
    assert echo.lag_s() == NO_ANSWER, "given up"
    echo._ends.settimeout(30.0)
    clock.pause(0.5)  # now its answer lies there
    assert 0.4 <= echo.lag_s() != NO_ANSWER
