"""Secrets never in what a run writes: every form, every way of cutting a stream, no false alarm."""

from __future__ import annotations

import base64
import json
import random
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from chaoskit.clock import wait_until
from chaoskit.redaction import MASK, Redactor, SecretTooShort
from chaoskit.session import Choices, open_session
from chaoskit.setting import Setting
from suites.toys.system import toys

REPOSITORY = Path(__file__).resolve().parent.parent
TOKEN = b"canary-7f3a91c2-do-not-print"
SHARE = bytes(random.Random(7).randbytes(32)).replace(b"\n", b"\0")


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


KEYS = {
    "p256": pem(ec.generate_private_key(ec.SECP256R1())),
    "ed25519": pem(ed25519.Ed25519PrivateKey.generate()),
    "rsa": pem(rsa.generate_private_key(65537, 2048)),
}


def redactor_of(*secrets: bytes) -> Redactor:
    redactor = Redactor()
    for secret in secrets:
        redactor.register(secret)
    return redactor


def longest_common(text: bytes, secret: bytes) -> int:
    """How many bytes in a row of `secret` still stand in `text`."""
    best = 0
    for start in range(len(secret)):
        while secret[start : start + best + 1] in text and start + best < len(secret):
            best += 1
    return best


@pytest.mark.parametrize("offset", [0, 1, 2, 3])
@pytest.mark.parametrize("secret", [TOKEN, SHARE], ids=["token", "share"])
def test_every_encoding_of_a_secret_is_found(secret: bytes, offset: int) -> None:
    redactor = redactor_of(secret)
    before, after = b"abcdef"[:offset], b"xyz"
    longer = before + secret + after
    forms = {
        "raw": longer,
        "base64": base64.b64encode(longer),
        "url-safe base64": base64.urlsafe_b64encode(longer),
        "hex": longer.hex().encode(),
        "HEX": longer.hex().upper().encode(),
    }
    for name, form in forms.items():
        line = b'level=info msg="loaded ' + form + b'" code=0'
        cleaned = redactor.clean(line)
        assert cleaned.startswith(b'level=info msg="loaded '), name
        assert cleaned.endswith(b'" code=0'), name
        assert MASK in cleaned, name
        assert longest_common(cleaned, base64.b64encode(secret)) < 8, name
        assert longest_common(cleaned, secret) < 8, name


def test_a_token_is_found_in_json_and_in_a_url() -> None:
    token = 'p"ass\\word é\t12'
    redactor = redactor_of(token.encode())
    for form in (json.dumps({"t": token}), json.dumps({"t": token}, ensure_ascii=False)):
        cleaned = redactor.clean(form.encode())
        assert json.loads(cleaned) == {"t": "[redacted]"}
    assert redactor.clean(f"/v3?token={quote(token, safe='')}".encode()) == b"/v3?token=[redacted]"


@pytest.mark.parametrize("kind", list(KEYS))
def test_a_key_is_found_line_by_line_and_in_other_dress(kind: str) -> None:
    key = KEYS[kind]
    redactor = redactor_of(key)
    body = b"".join(key.split(b"\n")[1:-2])
    der = base64.b64decode(body)
    dresses = {
        "as it is": key,
        "CRLF": key.replace(b"\n", b"\r\n"),
        "JSON": json.dumps(key.decode()).encode(),
        "one line": body,
        "76 columns": b"\n".join(body[i : i + 76] for i in range(0, len(body), 76)),
        "base64 of the file": base64.b64encode(key),
        "hex of the DER": der.hex().encode(),
    }
    for name, dressed in dresses.items():
        cleaned = redactor.clean(dressed)
        assert MASK in cleaned, name
        assert longest_common(cleaned, body) < 16, name
        assert longest_common(cleaned.lower(), der.hex().encode()) < 16, name
    for line in key.split(b"\n")[1:-2]:
        assert redactor.clean(b"2026 e1: " + line) == b"2026 e1: " + MASK, line


def test_a_certificates_public_half_and_ordinary_text_pass_unchanged() -> None:
    redactor = redactor_of(*KEYS.values(), TOKEN, SHARE)
    public = ed25519.Ed25519PrivateKey.generate().public_key()
    ordinary = [
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        b"sha256:81c0a9d5be1f2a44c7a0b0f4c8f1d2e3a4b5c6d7e8f90112233445566778899aa",
        b"/var/lib/chaoskit/2026-11-21T09-12-03-7f3a/nodes/e1/data/member/snap/db",
        b"-----BEGIN PRIVATE KEY-----",
        b"canary-7f3a91c2-do-not-prin",
        bytes(range(256)),
    ]
    for text in ordinary:
        assert redactor.clean(text) == text


@pytest.mark.parametrize("secret", [TOKEN, SHARE, KEYS["p256"], b"with\na line\nbreak"])
def test_a_stream_cut_anywhere_lets_nothing_through(secret: bytes) -> None:
    redactor = redactor_of(secret)
    whole = b"first line\nsecond " + secret + b" end\nlast"
    expected = redactor.clean(whole)
    assert MASK in expected
    for cut in range(len(whole) + 1):
        stream = redactor.stream()
        cleaned = stream.feed(whole[:cut]) + stream.feed(whole[cut:]) + stream.end()
        assert cleaned == expected, cut
        assert stream.replaced


def test_a_stream_of_single_bytes_lets_nothing_through() -> None:
    redactor = redactor_of(TOKEN)
    stream = redactor.stream()
    whole = b"a " + TOKEN + b" b\n" + TOKEN
    out = b"".join(stream.feed(bytes([one])) for one in whole) + stream.end()
    assert out == b"a [redacted] b\n[redacted]"


def test_whole_lines_come_out_at_once() -> None:
    stream = redactor_of(TOKEN, KEYS["rsa"]).stream()
    assert stream.feed(b"ready to serve\nand ") == b"ready to serve\n"
    assert stream.feed(b"then\n") == b"and then\n"


def test_a_line_without_an_end_is_bounded_and_still_clean() -> None:
    redactor = redactor_of(SHARE)
    form = base64.b64encode(SHARE)
    stream = redactor.stream()
    out, held = b"", 0
    for _ in range(40):
        out += stream.feed(b"x" * 5000 + form)
        held = max(held, len(stream._rest))
    out += stream.end()
    assert longest_common(out, form) < 16
    assert held < 80_000


def test_an_inspect_document_is_cleaned_in_keys_and_values() -> None:
    redactor = redactor_of(TOKEN)
    text = TOKEN.decode()
    document = {
        "Config": {"Env": [f"TOKEN={text}", "PATH=/bin"], "Labels": {text: "x"}},
        "State": {"Pid": 12, "Paused": False, "Health": None, "Load": 0.5},
    }
    assert redactor.clean_document(document) == {
        "Config": {"Env": ["TOKEN=[redacted]", "PATH=/bin"], "Labels": {"[redacted]": "x"}},
        "State": {"Pid": 12, "Paused": False, "Health": None, "Load": 0.5},
    }
    assert redactor.clean_document("lone surrogate \udc80") == "lone surrogate \udc80"


def test_leaks_names_each_file_that_holds_a_secret_and_no_other(tmp_path: Path) -> None:
    redactor = redactor_of(TOKEN, KEYS["p256"])
    deep = tmp_path / "nodes/e1"
    deep.mkdir(parents=True)
    (deep / "log").write_bytes(b"x" * 1_048_570 + TOKEN)  # across two blocks
    (deep / "clean").write_bytes(b"nothing here\n")
    (tmp_path / "archive").write_bytes(base64.b64encode(b"1" + KEYS["p256"]))
    (tmp_path / TOKEN.decode()).write_bytes(b"")
    found = {path.name for path in redactor.leaks(tmp_path)}
    assert found == {"log", "archive", TOKEN.decode()}


def test_a_secret_too_short_to_be_told_is_refused() -> None:
    with pytest.raises(SecretTooShort, match=r"7 bytes.* 8 bytes or more, or do not mark"):
        Redactor().register(b"1234567")


@pytest.mark.engine
def test_a_key_that_a_real_node_prints_reaches_no_file_of_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    choices = Choices(
        seed="7f3a", project=REPOSITORY, runs=tmp_path / "runs", command="a planted canary"
    )
    with open_session(choices, system="toys", say=lambda _: None) as session:
        with session.cluster(toys(3, secure=True), Setting(release="1", load_per_s=0.0)) as cluster:
            key = cluster.nodes["n1"].configuration.credential
            assert key is not None
            # Into what the engine takes for the node's own output.
            planting = "cat /config/key.pem > /proc/1/fd/1; base64 /config/key.pem > /proc/1/fd/2"
            done = cluster.backend.execute("n1", ["sh", "-c", planting])
            assert done.exit_code == 0, done.stderr
            log = session.folder.nodes / "n1/log"
            wait_until(
                lambda: log.read_bytes().count(MASK) > 3 or None,
                what="the key's lines in the log",
                timeout_s=30,
                last=lambda: log.read_text()[-500:],
            )
        folder = session.folder.path
        assert session.redactor.leaks(folder) == ()
    everything = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert b" PRIVATE KEY-----" in everything
    for form in (key.key_pem, base64.b64encode(key.key_pem)):
        for line in (form[start : start + 40] for start in range(0, len(form) - 40, 20)):
            if b"-----" not in line and b"LS0tLS" not in line:
                assert line not in everything
