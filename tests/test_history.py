"""The history: what is recorded is in the file at once, and a file is read as what it is."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import quote_from_bytes

import pytest

from chaoskit.errors import UsageError
from chaoskit.history import SCHEMA, Event, History, Recorder, read
from chaoskit.redaction import MASK, Redactor

KILLED = """
import os, signal, sys
from pathlib import Path
from chaoskit.history import Recorder
recorder = Recorder(Path(sys.argv[1]))
for number in range(100):
    recorder.record("client 1", "put", {"op": number}, kind="invoke")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.jsonl"


def test_what_was_recorded_is_read_back(path: Path) -> None:
    recorder = Recorder(path)
    first = recorder.record("a", "observe", {"progress": 3, "detail": {"x": [1]}}, kind="ok")
    recorder.record("client 1", "put", {"op": 1})
    assert recorder.count() == 2
    recorder.close()
    found = read(path)
    assert found.events == recorder.history().events
    assert found.events[0] == first
    assert found.started_utc == recorder.started_utc
    assert [event.index for event in found] == [0, 1]
    assert 0 <= found.events[0].time_s <= found.events[1].time_s == found.end_s < 10


def test_each_event_is_in_the_file_before_record_returns(path: Path) -> None:
    recorder = Recorder(path)
    for number in range(1, 4):
        recorder.record("a", "note", {"text": "x" * number})
        assert len(read(path)) == number
    recorder.close()


TOKEN = b'hunter2/\xc3\xa9"\n\\secret'


@pytest.mark.parametrize(
    "said",
    [
        TOKEN.decode(),
        f"it said {TOKEN.decode()} aloud",
        base64.b64encode(b"x" + TOKEN).decode(),
        TOKEN.hex(),
        quote_from_bytes(TOKEN),
    ],
)
def test_a_secret_never_reaches_the_file(path: Path, said: str) -> None:
    redactor = Redactor()
    redactor.register(TOKEN)
    recorder = Recorder(path, redactor)
    value = {"text": said, "deep": [{"a": (said,)}], said: 1, "n": 7}
    event = recorder.record("a", "note", value)
    assert redactor.leaks(path.parent) == ()
    mask = MASK.decode()
    assert mask in event.value["text"]
    assert mask in event.value["deep"][0]["a"][0]
    assert event.value["n"] == 7
    recorder.close()
    (saved,) = read(path)
    assert saved == event
    assert recorder.history().events == (event,)


def test_what_holds_no_secret_is_recorded_as_it_is(path: Path) -> None:
    redactor = Redactor()
    redactor.register(TOKEN)
    recorder = Recorder(path, redactor)
    value = {"fields": {"others": ("b", "c")}, "text": TOKEN.decode()[:-1]}
    assert recorder.record("a", "fault", value).value == value
    recorder.close()


def test_a_secret_that_is_known_later_is_kept_from_then_on(path: Path) -> None:
    redactor = Redactor()
    recorder = Recorder(path, redactor)
    recorder.record("a", "note", {"text": "early"})
    redactor.register(TOKEN)
    assert recorder.record("a", "note", {"text": TOKEN.decode()}).value == {"text": MASK.decode()}
    recorder.close()


def test_a_killed_run_still_has_its_history(path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert done.returncode == -9
    assert [event.value["op"] for event in read(path)] == list(range(100))


def test_threads_share_a_recorder(path: Path) -> None:
    recorder = Recorder(path)

    def work(name: str) -> None:
        for number in range(200):
            recorder.record(name, "note", {"text": number})

    threads = [threading.Thread(target=work, args=(f"t{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recorder.close()
    events = read(path).events
    assert [event.index for event in events] == list(range(800))
    times = [event.time_s for event in events]
    assert times == sorted(times)


def test_what_a_value_holds_is_as_it_was_when_it_was_recorded(path: Path) -> None:
    recorder = Recorder(path)
    value = {"op": 1}
    event = recorder.record("client 1", "put", value)
    value["op"] = 2
    assert event.value == {"op": 1}
    recorder.close()


def test_recording_after_the_end_reaches_no_other_file(path: Path, tmp_path: Path) -> None:
    recorder = Recorder(path)
    recorder.close()
    with (tmp_path / "other").open("wb") as other:  # gets the descriptor that was closed
        with pytest.raises(OSError, match="Bad file descriptor"):
            recorder.record("a", "note", {"text": "late"})
        other.flush()
        assert (tmp_path / "other").read_bytes() == b""


def test_a_last_line_cut_short_is_left_out(path: Path) -> None:
    recorder = Recorder(path)
    recorder.record("a", "note", {"text": "whole"})
    recorder.record("a", "note", {"text": "cut"})
    recorder.close()
    whole = path.read_bytes()
    for cut in range(1, 20):
        path.write_bytes(whole[:-cut])
        assert [event.value["text"] for event in read(path)] == ["whole"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "an empty file"),
        (b'{"schema":1', "an empty file"),
        (b'{"schema":99,"started_utc":""}\n', "schema 99"),
        (b"no json\n", "line 1 is no history header"),
        (b'{"schema":1,"started_utc":""}\n{"index":0}\n', "line 2 is no event"),
        (b'{"schema":1,"started_utc":""}\n\x00\xff\n', "line 2 is no event"),
    ],
)
def test_what_is_no_history_is_refused(path: Path, content: bytes, says: str) -> None:
    path.write_bytes(content)
    with pytest.raises(UsageError, match=says):
        read(path)


def test_a_file_that_is_not_there_is_refused(path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read(path)


def test_the_header_says_the_schema(path: Path) -> None:
    Recorder(path).close()
    assert json.loads(path.read_text().splitlines()[0])["schema"] == SCHEMA


def test_slices() -> None:
    kinds = ["a", "b", "a", "c"]
    history = History(Event(i, i / 10, "p", "info", f, {}) for i, f in enumerate(kinds))
    assert [event.index for event in history.of("a")] == [0, 2]
    assert [event.index for event in history.of("c", "a")] == [0, 2, 3]
    assert history.of("d") == []
    assert [event.index for event in history.window(0.1, 0.3)] == [1, 2]
    assert [event.index for event in history.since(2)] == [2, 3]
    assert [event.index for event in history.without(1)] == [0, 2, 3]
    assert len(history.without(1)) == 3
    assert (history.end_s, History(()).end_s) == (0.3, 0.0)
