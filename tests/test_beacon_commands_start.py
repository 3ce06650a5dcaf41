"""What `start` asks of a node, flag by flag, and how it ends when it cannot have it."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from tests.beacon_network import drand
from tests.beacon_nodes import HOST, free_addresses
from tests.beacon_vectors import MEMBERS

# isort: split
# After the vectors, which skip where blspy cannot be installed.
from nodes.beacon import commands_dealer
from nodes.beacon.commands_context import Context
from nodes.beacon.commands_flags import read as read_flags
from nodes.beacon.commands_start import Endpoint, Wanted, read
from nodes.beacon.commands_verbs import Action, tree, verb_named
from nodes.beacon.commands_words import CommandFailed
from nodes.beacon.errors import BeaconError
from nodes.beacon.options import Certificate
from nodes.beacon.profiles import PROFILES
from nodes.beacon.releases import SURFACES
from nodes.beacon.transport import Dialling

RELEASES = tuple(SURFACES)
V1, V2 = RELEASES


def wanted(
    release: str, *arguments: str, conn_insecure: bool = False, **environment: str
) -> Wanted:
    """What these arguments ask for."""
    surface = SURFACES[release]
    verb = verb_named(tree(surface), "start")
    assert verb
    arguments = ("--private-listen", "0.0.0.0:4444", *arguments)
    given = read_flags(verb.flags, arguments, environment)
    return read(Context(PROFILES[release], conn_insecure, 60.0, given, str, str, environment))


def test_a_v1_in_plaintext() -> None:
    found = wanted(V1, "--tls-disable", "--folder", "/f", "--verbose", "--control", "1234")
    options = found.options
    assert (options.folder, options.surface.release) == (Path("/f"), V1)
    assert (options.control_port, options.verbose) == (1234, True)
    assert (options.dialling, options.certificate) == (Dialling.AS_IDENTITIES_SAY, None)
    assert options.private_listen == "0.0.0.0:4444"
    assert (options.beacon_id, options.trusted) == (None, None)
    assert (found.public, found.metrics) == (None, None)


def test_a_v1_with_tls(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("")
    found = wanted(V1, "--tls-cert", "c", "--tls-key", "k", "--certs-dir", str(tmp_path)).options
    assert found.certificate == Certificate(Path("c"), Path("k"))
    assert found.dialling is Dialling.AS_IDENTITIES_SAY
    assert found.trusted == tmp_path / "ca.pem"


def test_a_v1_without_tls_trusts_nobody_whom_the_system_does_not(tmp_path: Path) -> None:
    # as a real v1.5.8 did whose peers' identities say TLS: unknown authority, on every dial
    (tmp_path / "ca.pem").write_text("")
    found = wanted(V1, "--tls-disable", "--certs-dir", str(tmp_path)).options
    assert (found.dialling, found.trusted) == (Dialling.AS_IDENTITIES_SAY, None)


def test_what_the_system_trusts_a_v1_trusts_too_where_somebody_else_ends_tls() -> None:
    assert wanted(V1, "--tls-disable", SSL_CERT_FILE="/ca.pem").options.trusted == Path("/ca.pem")


def test_a_v2_dials_as_it_was_built() -> None:
    assert wanted(V2).options.dialling is Dialling.TLS
    assert wanted(V2, SSL_CERT_FILE="/ca.pem").options.trusted == Path("/ca.pem")
    assert wanted(V2, conn_insecure=True).options.dialling is Dialling.PLAINTEXT
    # Taken from old command lines, and without a meaning.
    assert wanted(V2, "--tls-disable").options.dialling is Dialling.TLS


@pytest.mark.parametrize("release", RELEASES)
def test_flags_come_from_the_environment_too(release: str) -> None:
    found = wanted(
        release,
        "--control=7",
        DRAND_CONTROL="8",
        DRAND_TLS_DISABLE="true",
        DRAND_FOLDER="/e",
        DRAND_ID="some",
        DISABLE_VERSION_CHECK="1",
    ).options
    assert (found.control_port, found.folder) == (7, Path("/e"))
    assert found.beacon_id == "some"
    assert not found.check_versions


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("9", Endpoint(HOST, 9)),
        (":9", Endpoint("0.0.0.0", 9)),
        ("1.2.3.4:9", Endpoint("1.2.3.4", 9)),
        ("[::1]:9", Endpoint("::1", 9)),
    ],
)
def test_metrics_are_at_a_port_or_an_address(text: str, where: Endpoint) -> None:
    assert wanted(V2, "--metrics", text).metrics == where


@pytest.mark.parametrize(
    ("release", "arguments", "word"),
    [
        (V1, (), "--tls-cert and --tls-key, or --tls-disable"),
        (V1, ("--tls-disable", "--tls-cert", "c"), "combination is not valid"),
        (V1, ("--tls-cert", "c", "--tls-key", "k", "--certs-dir", "/none"), "--certs-dir"),
        (V2, ("--control", "x"), "--control"),
        (V2, ("--control", "65536"), "--control"),
        (V2, ("--db", "postgres"), "--db"),
        (V2, ("--id", "../up"), "--id"),
        (V2, ("--private-listen", "nowhere"), "host:port"),
        (V2, ("--private-listen", ""), "private listen address cannot be empty"),
        (V2, ("--public-listen", "9"), "--public-listen"),
        (V2, ("--public-listen", "a:b"), "--public-listen"),
        (V2, ("--metrics", "a:999999"), "--metrics"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    release: str, arguments: tuple[str, ...], word: str
) -> None:
    with pytest.raises(BeaconError, match=word):
        wanted(release, *arguments)


def test_certificates_in_several_files_are_refused(tmp_path: Path) -> None:
    for name in ("a.pem", "b.pem"):
        (tmp_path / name).write_text("")
    with pytest.raises(BeaconError, match="holds 2 files"):
        wanted(V1, "--tls-cert", "c", "--tls-key", "k", "--certs-dir", str(tmp_path))


def test_the_page_about_the_node_lists_every_verb() -> None:
    page = (Path(__file__).parent.parent / "docs/beacon-node.md").read_text()
    rows = re.findall(r"^\| `([a-z -]+)` \| (\w+) \| (\w+) \|$", page, re.MULTILINE)
    said = {name: {V1: first, V2: second} for name, first, second in rows}
    refused = {Action.CEREMONY, Action.REMOVED_SHARE, Action.NOT_HERE}
    for release in RELEASES:
        verbs = tree(SURFACES[release])
        pairs = [(one.name, one) for one in verbs if one.action]
        pairs += [(f"{top.name} {one.name}", one) for top in verbs for one in top.verbs]
        there = {name: "refused" if one.action in refused else "yes" for name, one in pairs}
        assert {name: found[release] for name, found in said.items() if found[release] != "no"} == (
            there
        )


# ---- starts that fail ------------------------------------------------------------------------


def dealt(folder: Path) -> list[str]:
    """A member's flags, of a group that was dealt."""
    arguments = ["--as-left-by", V2, "--folder", str(folder), "--threshold", "2"]
    for name, address in zip(MEMBERS[:2], free_addresses(2), strict=True):
        arguments += ["--node", f"{name}={address}"]
    assert commands_dealer.main([*arguments, "--period", "1s", "--genesis-in", "1h"]) == 0
    listen = ["--private-listen", free_addresses(1)[0]]
    return ["--folder", str(folder / MEMBERS[0]), "--control", "0", *listen]


def test_a_folder_without_keys_is_no_node(tmp_path: Path) -> None:
    done = drand(V2, "start", "--folder", str(tmp_path), "--private-listen", "127.0.0.1:0")
    assert done.code == 1
    assert "couldn't load existing beacons: " in done.text
    assert str(tmp_path) in done.text


def test_a_public_port_that_is_taken_ends_the_start(tmp_path: Path) -> None:
    flags = dealt(tmp_path)
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        where = f"{HOST}:{taken.getsockname()[1]}"
        done = drand(V2, "start", *flags, "--public-listen", where)
    assert done.code == 1
    assert "can't instantiate drand daemon" in done.text
    # Nothing is left running: the same start is stopped by the same port a second time.
    with socket.socket() as taken:
        taken.bind((HOST, int(where.rpartition(":")[2])))
        taken.listen()
        assert drand(V2, "start", *flags, "--public-listen", where).text == done.text


def test_a_certificate_that_is_none_ends_the_start(tmp_path: Path) -> None:
    flags = dealt(tmp_path)
    (tmp_path / "c.pem").write_text("no certificate")
    tls = ("--tls-cert", str(tmp_path / "c.pem"), "--tls-key", str(tmp_path / "c.pem"))
    done = drand(V1, "start", *flags, *tls, "--public-listen", f"{HOST}:0")
    assert done.code == 1
    assert CommandFailed.__name__ not in done.text
