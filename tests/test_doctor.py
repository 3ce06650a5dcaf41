"""What doctor says, on this host and on hosts made poorer for the test."""

from __future__ import annotations

import http.server
import json
import os
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chaoskit import doctor
from chaoskit.doctor import Finding, State


def _finding(name: str) -> Finding:
    (found,) = [finding for finding in doctor.examine() if finding.name == name]
    return found


def _program(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@contextmanager
def _engine(path: Path, answers: dict[str, tuple[int, object]]) -> Iterator[str]:
    """An engine of ours on a socket file, which answers GETs by path; yields its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, document = answers[self.path]
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def address_string(self) -> str:
            return "socket file"

        def log_message(self, *_: object) -> None:
            pass

    with socketserver.UnixStreamServer(str(path), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"unix://{path}"
        finally:
            server.shutdown()
            thread.join()


def test_every_thing_is_named_once_and_what_is_not_ok_costs_something() -> None:
    findings = doctor.examine()
    assert [finding.name for finding in findings] == [
        "host",
        "engine",
        "toxiproxy",
        "fuse",
        "blkio",
        "host rules",
        "link rules",
        "netem",
        "clock",
        "nginx",
        "memory",
        "disk",
    ]
    for finding in findings:
        assert (finding.state is State.OK) == (finding.costs == "")


def test_a_finding_that_is_ok_and_costs_something_is_refused() -> None:
    with pytest.raises(ValueError, match="costs nothing"):
        Finding("engine", State.OK, "there", "no containers")
    with pytest.raises(ValueError, match="costs something"):
        Finding("engine", State.MISSING, "not there")


def test_an_engine_that_answers_is_named_with_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = {"Version": "29.1.0", "Components": [{"Name": "Engine"}]}
    answers: dict[str, tuple[int, object]] = {
        "/version": (200, version),
        "/info": (200, {"SecurityOptions": ["name=seccomp"]}),
    }
    with _engine(tmp_path / "socket", answers) as address:
        monkeypatch.setenv("DOCKER_HOST", address)
        finding = _finding("engine")
    assert finding.state is State.OK
    assert finding.detail == "Docker 29.1.0 (started by somebody else)"


def test_a_rootless_engine_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: dict[str, tuple[int, object]] = {
        "/version": (200, {"Version": "29.1.0"}),
        "/info": (200, {"SecurityOptions": ["name=rootless"]}),
    }
    with _engine(tmp_path / "socket", answers) as address:
        monkeypatch.setenv("DOCKER_HOST", address)
        finding = _finding("engine")
    assert finding.state is State.LIMITED
    assert "rootless" in finding.detail


@pytest.mark.parametrize(
    "answer", [(500, {"message": "broken"}), (200, ["not", "an", "object"])], ids=["500", "list"]
)
def test_an_engine_that_answers_nonsense_is_missing(
    answer: tuple[int, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _engine(tmp_path / "socket", {"/version": answer}) as address:
        monkeypatch.setenv("DOCKER_HOST", address)
        assert _finding("engine").state is State.MISSING


def test_without_an_engine_the_way_on_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path / 'nobody'}")
    finding = _finding("engine")
    assert finding.state is State.MISSING
    assert "process backend still works" in finding.costs
    assert "docker/engine.sh" in finding.costs


def test_an_address_that_doctor_cannot_ask_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "ssh://somewhere")
    finding = _finding("engine")
    assert finding.state is State.MISSING
    assert "ssh://" in finding.detail


@pytest.mark.parametrize(
    ("script", "state"),
    [
        ("echo toxiproxy-server version 2.12.0", State.OK),
        ("echo toxiproxy-server version 2.5.0", State.LIMITED),
        ("exit 1", State.MISSING),
    ],
    ids=["this release", "another", "broken"],
)
def test_toxiproxy_is_asked_for_its_release(
    script: str, state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _program(tmp_path / "bin", "toxiproxy-server", script)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    assert _finding("toxiproxy").state is state


def test_without_the_programs_it_needs_a_host_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("CHAOSKIT_CACHE", str(tmp_path))
    missing = {finding.name for finding in doctor.examine() if finding.state is State.MISSING}
    assert {"toxiproxy", "fuse", "host rules", "link rules", "netem", "nginx"} <= missing


@pytest.mark.engine
def test_packet_rules_that_the_kernel_refuses_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _finding("link rules").state is State.OK
    _program(tmp_path / "bin", "nft", "echo 'Error: Could not process rule' >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    finding = _finding("link rules")
    assert finding.state is State.MISSING
    assert "Could not process rule" in finding.detail


@pytest.mark.engine
def test_probes_leave_nothing_behind() -> None:
    # Interfaces of others come and go meanwhile; what the probes touch is this one's queue.
    queue = ["tc", "qdisc", "show", "dev", "lo"]
    groups = set(Path("/sys/fs/cgroup").glob("**/chaoskit-doctor-*"))
    before = subprocess.run(queue, capture_output=True, check=True, timeout=10).stdout
    doctor.examine()
    assert set(Path("/sys/fs/cgroup").glob("**/chaoskit-doctor-*")) == groups
    assert subprocess.run(queue, capture_output=True, check=True, timeout=10).stdout == before


def test_plain_lines_stand_in_columns_and_costs_follow_what_is_not_ok() -> None:
    findings = (
        Finding("engine", State.OK, "Docker 20.10"),
        Finding("netem", State.MISSING, "not in this kernel", "no loss"),
    )
    assert doctor.render_plain(findings).split("\n") == [
        "engine      ok       Docker 20.10",
        "netem       missing  not in this kernel",
        "                     no loss",
    ]


def test_json_holds_what_was_found() -> None:
    document = json.loads(doctor.to_json((Finding("disk", State.LIMITED, "1 GiB", "no room"),)))
    assert document == {
        "schema_version": 1,
        "findings": [
            {"name": "disk", "state": "limited", "detail": "1 GiB", "costs": "no room"},
        ],
    }
