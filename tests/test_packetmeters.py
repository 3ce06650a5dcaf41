"""What the kernel counted, less what we put there ourselves, and only while a fault is in force."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chaoskit.errors import NotApplicable
from chaoskit.packetmeters import PacketMeters
from chaoskit.packets import Traffic
from tests.fakes import FakeBackend

LINK, OTHER = "n1>n2", "n2>n1"


@pytest.fixture
def backend(tmp_path: Path) -> FakeBackend:
    made = FakeBackend(tmp_path, ("n1", "n2"))
    made.counts = {LINK: Traffic(asked=10, refused=1), OTHER: Traffic(asked=3)}
    return made


def more(backend: FakeBackend, link: str, **counts: int) -> None:
    assert backend.counts is not None
    backend.counts[link] = backend.counts[link] + Traffic(**counts)


def test_probes_of_ours_are_taken_out_and_nothing_else(backend: FakeBackend) -> None:
    meters = PacketMeters(backend)
    meters.open_faults = 1
    with meters.discounting():
        more(backend, LINK, asked=2, opened=1)
    more(backend, LINK, asked=5)
    assert meters.read() == {LINK: Traffic(asked=15, refused=1), OTHER: Traffic(asked=3)}
    with meters.discounting():
        more(backend, LINK, asked=1)
        more(backend, OTHER, refused=1)
    assert meters.read() == {LINK: Traffic(asked=15, refused=1), OTHER: Traffic(asked=3)}


def test_probes_that_raise_are_taken_out_too(backend: FakeBackend) -> None:
    meters = PacketMeters(backend)
    meters.open_faults = 1

    def probe() -> None:
        with meters.discounting():
            more(backend, LINK, asked=2)
            raise OSError("x")

    with pytest.raises(OSError, match="x"):
        probe()
    assert meters.read()[LINK].asked == 10


def test_without_a_fault_in_force_nothing_is_taken_out(backend: FakeBackend) -> None:
    meters = PacketMeters(backend)
    with meters.discounting():
        more(backend, LINK, asked=2)
    assert meters.read()[LINK].asked == 12


def test_a_backend_that_counts_nothing_is_refused_and_still_discounted(tmp_path: Path) -> None:
    meters = PacketMeters(FakeBackend(tmp_path, ("n1",)))
    meters.open_faults = 1
    with meters.discounting():
        pass
    with pytest.raises(NotApplicable, match="the fake backend has no counters"):
        meters.read()


def test_who_reads_while_a_thread_looks_waits_and_reads_without_it(backend: FakeBackend) -> None:
    meters, looking = PacketMeters(backend), threading.Event()
    with ThreadPoolExecutor() as pool:
        with meters.discounting(always=True):  # and no fault is in force yet
            more(backend, LINK, refused=1)

            def read() -> int:
                looking.set()
                return meters.read()[LINK].refused

            reading = pool.submit(read)
            looking.wait(10)
            assert not reading.done()
        assert reading.result(timeout=10) == 1
