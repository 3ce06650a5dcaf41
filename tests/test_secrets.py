"""
No key in a run folder: a real cluster that tries to put its keys into every file of it.

The nodes say their keys in their logs, have them in their environment and in their arguments, and a
fault gives one of them another certificate. The scan here shares nothing with the product's.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from chaoskit.certificates import Authority, Credential
from chaoskit.errors import ChaosError
from chaoskit.experiment import Experiment
from chaoskit.fault import inject
from chaoskit.session import Choices, Session, open_session
from chaoskit.setting import Setting
from chaoskit.system import Endpoint, Observation, Placement, System
from faults.wrong_certificate import Flaw, WrongCertificate
from suites.toys.system import toys

REPOSITORY = Path(__file__).resolve().parent.parent
HONEST = toys(3, secure=True)
_LEAST_BYTES = 16


def _said_aloud(placement: Placement) -> Sequence[str]:
    """The toy, after it has shown its key in its log; the key is among its arguments besides."""
    show = f'cat {placement.config}/key.pem; base64 -w0 {placement.config}/key.pem; exec "$@"'
    return ["sh", "-c", show, _key(placement), *HONEST.command(placement)]


def _key(placement: Placement) -> str:
    assert placement.credential is not None
    return placement.credential.key_pem.decode()


def _environment(placement: Placement) -> Mapping[str, str]:
    return {"TLS_KEY": _key(placement)}


LOUD = replace(HONEST, command=_said_aloud, environment=_environment)


def traces(key_pem: bytes) -> dict[str, bytes]:
    """What of a key must be nowhere, in the forms in which files and tools write it."""
    key = load_pem_private_key(key_pem, password=None)
    assert isinstance(key, EllipticCurvePrivateKey)
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    scalar = key.private_numbers().private_value
    raw = scalar.to_bytes(32, "big")
    lines = [line for line in key_pem.splitlines() if b"-----" not in line and len(line) >= 40]
    found = {f"line {number}": line for number, line in enumerate(lines)}
    found |= {
        "pem": key_pem,
        "pem in JSON": json.dumps(key_pem.decode())[1:-1].encode(),
        "pem in a URL": quote(key_pem.decode()).encode(),
        "pem in base64": base64.b64encode(key_pem),
        "der": der,
        "der in base64": base64.b64encode(der),
        "scalar": raw,
        "scalar in hex": raw.hex().encode(),
        "scalar in HEX": raw.hex().upper().encode(),
        "scalar in base64": base64.b64encode(raw).rstrip(b"="),
        "scalar in decimal": str(scalar).encode(),
    }
    assert all(len(trace) >= _LEAST_BYTES for trace in found.values())
    return found


def scan(folder: Path, keys: Sequence[bytes]) -> list[str]:
    """Where a trace of one of the keys is, in a file's content or name."""
    found = []
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.is_symlink():
            continue
        content = path.read_bytes()
        for number, key in enumerate(keys):
            for what, trace in traces(key).items():
                if trace in content or trace in str(path).encode():
                    found.append(f"{path.relative_to(folder)}: {what} of key {number}")
    return found


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Every private key that a cluster is given, as it is given."""
    found: list[bytes] = []
    issue = Authority.issue

    def issued(*arguments: Any, **more: Any) -> Credential:
        credential = issue(*arguments, **more)
        found.append(credential.key_pem)
        return credential

    monkeypatch.setattr(Authority, "issue", issued)
    return found


@pytest.fixture
def choices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Choices:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return Choices(
        seed="5ec2",
        project=REPOSITORY,
        runs=tmp_path / "runs",
        command="the tests of secrets",
        subnets="10.237.0.0/16",
    )


def broken_and_judged(session: Session, system: System) -> None:
    """A test with a fault that gives a node another certificate, and its report."""
    with session.cluster(system, Setting("1")) as cluster:
        experiment = Experiment(cluster, "a certificate", "again")
        experiment.begin()
        with cluster.loaded(10.0):
            for flaw in get_args(Flaw):
                with inject(WrongCertificate("n2", flaw), into=cluster) as fault:
                    fault.await_felt(timeout_s=15)
                cluster.await_steady_state(timeout_s=20)
        experiment.check()
        session.add(experiment.end(None))


@pytest.mark.engine
def test_no_file_of_a_run_holds_a_key(choices: Choices, keys: list[bytes], tmp_path: Path) -> None:
    with open_session(choices, system="toys", say=lambda _: None) as session:
        broken_and_judged(session, LOUD)
        redactor = session.redactor
    run = choices.runs / "latest"
    assert len(keys) == 3 + len(get_args(Flaw))
    assert len(set(keys)) == len(keys)
    assert scan(run.resolve(), keys) == []
    assert redactor.leaks(run.resolve()) == ()
    for node in HONEST.nodes:  # what was said and written is there, without the keys
        log = (run / "nodes" / node / "log").read_bytes()
        inspected = (run / "nodes" / node / "inspect.json").read_text()
        assert b"[redacted]" in log
        assert "TLS_KEY=" in inspected
        assert "[redacted]" in inspected
    assert (run / "report.html").stat().st_size > 10_000
    # the scan sees what it looks for
    for what, trace in traces(keys[0]).items():
        planted = tmp_path / "planted"
        planted.mkdir(exist_ok=True)
        (planted / "file").write_bytes(b"x" + trace + b"y")
        assert scan(planted, keys), what


@pytest.mark.engine
def test_a_key_that_a_node_answers_with_never_reaches_the_history(
    choices: Choices, keys: list[bytes]
) -> None:
    def told(endpoint: Endpoint, timeout_s: float) -> Observation:
        return replace(HONEST.observe(endpoint, timeout_s), detail={"key": keys[0].decode()})

    with (
        open_session(choices, system="toys", say=lambda _: None) as session,
        session.cluster(replace(HONEST, observe=told), Setting("1")),
    ):
        history = session.folder.history
        assert scan(session.folder.path, keys) == [], "while it runs, not only in the end"
        assert b"[redacted]" in history.read_bytes()
    assert scan((choices.runs / "latest").resolve(), keys) == []


@pytest.mark.engine
def test_a_key_that_gets_in_by_another_way_ends_the_run_with_its_name(
    choices: Choices, keys: list[bytes]
) -> None:
    with (
        pytest.raises(ChaosError, match=r"a key of this run stands in nodes/n1/stray "),
        open_session(choices, system="toys", say=lambda _: None) as session,
        session.cluster(HONEST, Setting("1")),
    ):
        (session.folder.nodes / "n1" / "stray").write_bytes(b"x" + keys[0])
    assert scan((choices.runs / "latest").resolve(), keys)
