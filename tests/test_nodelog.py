"""A node's log: when its lines stand in the file, what stands there, and what never does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaoskit.history import Recorder
from chaoskit.nodelog import NodeLog

SECRET = b"hunter2"


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    made = Recorder(tmp_path / "history.jsonl")
    yield made
    made.close()


@pytest.fixture
def log(tmp_path: Path, recorder: Recorder) -> NodeLog:
    path = tmp_path / "nodes" / "n1" / "log"
    return NodeLog(path, recorder, lambda line: line.replace(SECRET, b"***"))


def lines(log: NodeLog) -> list[bytes]:
    """What follows the stamps."""
    return [one.split(b" ", 1)[1] for one in log.path.read_bytes().splitlines()]


def test_a_line_stands_there_as_soon_as_it_was_said(log: NodeLog) -> None:
    seen = []

    def output() -> Iterator[bytes]:
        yield b"one\ntw"
        seen.append(lines(log))
        yield b"o\n"
        seen.append(lines(log))

    log.copy(output())
    assert seen == [[b"one"], [b"one", b"two"]]


def test_each_line_has_the_time_of_the_run(log: NodeLog, recorder: Recorder) -> None:
    before_s = recorder.now_s()
    log.copy(iter([b"one\n\ntwo"]))
    stamps = [line.split(b" ")[0] for line in log.path.read_bytes().splitlines()]
    assert len(stamps) == 3
    assert all(re.fullmatch(rb"\d+\.\d{6}", one) for one in stamps)
    assert all(before_s - 1e-5 <= float(one) <= recorder.now_s() for one in stamps)


def test_the_last_words_of_one_that_was_killed_are_kept(log: NodeLog) -> None:
    log.copy(iter([b"panic: no new", b"line"]))
    assert lines(log) == [b"panic: no newline"]


def test_a_second_start_adds_to_the_first(log: NodeLog) -> None:
    log.copy(iter([b"first\n"]))
    log.copy(iter([b"second\n"]))
    assert lines(log) == [b"first", b"second"]


def test_a_secret_never_reaches_the_disk_however_it_comes(log: NodeLog) -> None:
    log.copy(iter([b"the word is hun", b"ter2", b"\n", b"again: hunter2"]))
    assert lines(log) == [b"the word is ***", b"again: ***"]


def test_a_line_without_an_end_is_cut(log: NodeLog) -> None:
    log.copy(iter([b"x" * 40000, b"x" * 40000, b"\nshort\n"]))
    found = lines(log)
    assert found[0] == b"x" * 65536
    assert found[-1] == b"short"
    assert all(len(one) <= 65536 for one in found)
