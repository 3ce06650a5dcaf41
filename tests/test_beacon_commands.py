"""The command line says and answers what those of the real releases were recorded to."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaoskit.clock import wait_until
from tests.beacon_memory import SURFACE, exchanges
from tests.beacon_network import (
    START_S,
    Done,
    Member,
    awaited,
    drand,
    member,
    network,
    recorded_line,
    shape,
)
from tests.beacon_nodes import HOST, free_addresses

# isort: split
# After the vectors, which skip where blspy cannot be installed.
from nodes.beacon import commands
from nodes.beacon.releases import SURFACES, Line, Surface

RELEASES = tuple(SURFACES)
V1, V2 = RELEASES
GROUP = "multibeacon/default/groups/drand_group.toml"
Running = tuple[Surface, tuple[Member, ...]]


@pytest.fixture(scope="module", params=RELEASES)
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """A network of each release in turn."""
    surface = SURFACES[request.param]
    with network(surface, tmp_path_factory.mktemp("network")) as members:
        yield surface, members


def as_recorded(running: Running, name: str) -> tuple[str, str, int, int]:
    """A recorded line's shape and ours, and both codes, at our addresses and ports."""
    surface, members = running
    recorded = recorded_line(surface.release, name)
    base = 31 if surface.line is Line.V2 else 33
    ours = {f"{base}011": members[0].control}
    for number, one in enumerate(members, 1):
        ours[f"{HOST}:{base}0{number}0"] = one.address
    done = drand(surface.release, *(ours.get(one, one) for one in recorded.arguments))
    return shape(recorded.text), shape(done.text), recorded.code, done.code


# ---- a daemon that runs ----------------------------------------------------------------------

ABOUT_A_DAEMON = ["show-chain-info", "show-group", "util-check", "util-ping", "util-status"]


@pytest.mark.parametrize("name", [*ABOUT_A_DAEMON, "util-remote-status"])
def test_recorded_lines_about_a_daemon_say_the_same(running: Running, name: str) -> None:
    def reached() -> tuple[str, str, int, int] | None:
        theirs, ours, _, _ = said = as_recorded(running, name)
        return said if ours.count("-> OK") == theirs.count("-> OK") else None

    # Members have three seconds to answer each other: whoever was late is looked for again.
    what = "members reach each other"
    theirs, ours, code, our_code = wait_until(reached, what=what, timeout_s=START_S)
    assert (ours, our_code) == (theirs, code)


def test_every_recorded_answer_has_its_form_over_http(running: Running) -> None:
    surface, members = running
    for name, recorded in exchanges(surface.release).items():
        status, headers, body = fetched(members[0].public, recorded.path)
        expected = {} if name == "http-health.txt" else {"status": recorded.status}
        assert expected.items() <= {"status": status}.items(), name
        if name != "http-health.txt":  # which is healthy once it has seen a round
            assert set(headers) == set(recorded.headers), name
        assert form(body) == form(recorded.body), name


def fetched(where: str, path: str) -> tuple[int, dict[str, str], bytes]:
    try:
        with urllib.request.urlopen(f"http://{where}{path}", timeout=START_S) as answer:
            found = answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            found = error.code, dict(error.headers), error.read()
    del found[1]["Connection"]  # this client asks for it to be closed
    return found


def form(body: bytes) -> object:
    """Fields in their order, with lengths for texts; what is no JSON as it is."""
    with contextlib.suppress(ValueError):
        read = json.loads(body)
        if isinstance(read, dict):
            return [
                (key, len(one) if isinstance(one, str) else type(one)) for key, one in read.items()
            ]
        return [len(one) for one in read]
    return body


def test_metrics_have_the_recorded_names(running: Running) -> None:
    surface, members = running
    _, _, body = fetched(members[0].metrics, "/metrics")
    recorded = (SURFACE / surface.release / "metrics.txt").read_text()
    names = re.compile(r"^# (?:HELP|TYPE) .*$", re.MULTILINE)
    ours = set(names.findall(body.decode()))
    # Nobody has asked this member for anything over HTTP perhaps.
    theirs = {line for line in names.findall(recorded) if "http_" not in line}
    assert theirs <= ours


def test_hashes_alone_and_groups_into_files(running: Running, tmp_path: Path) -> None:
    surface, members = running
    control = ("--control", members[0].control)
    shown = drand(surface.release, "show", "chain-info", *control).text
    chain = drand(surface.release, "show", "chain-info", "--hash", *control)
    assert chain == Done(0, json.loads(shown)["hash"] + "\n")
    group = drand(surface.release, "show", "group", *control).text
    digest = drand(surface.release, "show", "group", "--hash", *control).text
    assert group.endswith(f"Hash of the group configuration: {digest}")
    saved = tmp_path / "group.toml"
    assert drand(surface.release, "show", "group", "--out", str(saved), *control) == Done(0, "")
    assert saved.read_text() == (members[0].folder / GROUP).read_text()
    checked = drand(surface.release, "util", "check", "--tls-disable", "--group", str(saved))
    assert (checked.code, checked.text.count("answers correctly")) == (0, 3)


def test_the_public_key_is_shown(running: Running) -> None:
    surface, members = running
    done = drand(surface.release, "show", "public", "--control", members[0].control)
    shown = json.loads(done.text)
    if surface.line is Line.V1:
        assert set(shown) == {"pubKey", "metadata"}
        return
    public = (members[0].folder / "multibeacon/default/key/drand_id.public").read_text()
    assert shown["addr"] == members[0].address
    assert f'Key = "{shown["pubKey"]}"' in public
    assert f'Signature = "{shown["signature"]}"' in public


def test_statuses_as_json_and_of_all_networks(running: Running) -> None:
    surface, members = running
    control = ("--control", members[0].control)
    shown = json.loads(drand(surface.release, "util", "status", "--json", *control).text)
    v1 = surface.line is Line.V1
    fields = shown["beacons"]["default"]
    assert list(fields)[:3] == (
        ["dkg", "reshare", "beacon"] if v1 else ["dkg", "beacon", "chain_store"]
    )
    assert fields["chain_store"]["last_round" if v1 else "last_stored"] > 0
    assert set(fields["beacon"]) - {"is_started"} == {"status", "is_running", "is_serving"}
    everything = drand(surface.release, "util", "status", "--list-ids", *control)
    if surface.line is Line.V1:
        assert everything == Done(0, "running beacon ids on the node: [default]\n")
    else:
        # Its command asks the control port for what only members are answered.
        assert everything.code == 1
        assert "code = Unimplemented desc = unknown service drand.Public" in everything.text
    both = drand(surface.release, "util", "status", "--all", "--id", "default", *control)
    assert (both.code, "at the same time" in both.text) == (1, True)


def test_nodes_that_do_not_answer_are_named(running: Running) -> None:
    surface, members = running
    (nowhere,) = free_addresses(1)
    done = drand(surface.release, "util", "check", "--tls-disable", members[1].address, nowhere)
    assert done.code == 1
    assert f"drand: id {members[1].address} answers correctly\n" in done.text
    assert f"drand: error checking id {nowhere}\n" in done.text
    assert done.text.endswith(f"following nodes don't answer: {nowhere}\n")
    remote = ("util", "remote-status", "--control", members[0].control, nowhere)
    done = drand(surface.release, *remote)
    assert done == Done(
        0, f"Status of beacon default on node {nowhere}\n\t- NO STATUS; can't connect\n"
    )
    assert json.loads(drand(surface.release, *remote[:2], "--json", *remote[2:]).text) == {
        nowhere: None
    }


def test_a_network_that_does_not_run_is_told(running: Running) -> None:
    surface, members = running
    for verb in (("util", "status"), ("show", "group"), ("show", "chain-info"), ("stop",)):
        done = drand(surface.release, *verb, "--control", members[0].control, "--id", "other")
        assert done.code == 1
        assert "rpc error: code = " in done.text
        assert "other" in done.text


def test_a_chain_is_checked_and_copied(running: Running, tmp_path: Path) -> None:
    surface, members = running
    control = ("--control", members[0].control)
    checked = drand(surface.release, "sync", "--sync-nodes", members[1].address, *control)
    assert checked.code == 0
    assert "synced round up to " in checked.text
    followed = drand(surface.release, "sync", "--follow", "--sync-nodes", "a:1", *control)
    assert followed.code == 1
    copy = tmp_path / "copy.db"
    assert drand(surface.release, "util", "backup", "--out", str(copy), *control) == Done(0, "")
    assert copy.stat().st_size > 0


# ---- daemons of their own --------------------------------------------------------------------


@pytest.mark.parametrize("release", RELEASES)
def test_a_member_before_its_ceremony(release: str, tmp_path: Path) -> None:
    (address,) = free_addresses(1)
    made = generated(release, tmp_path, address)
    assert made.code == 0
    recorded = recorded_line(release, "status-before")
    with member(SURFACES[release], tmp_path, address) as one:
        ours = awaited(SURFACES[release], one, "IsEmpty: true")
    assert shape(ours) == shape(recorded.text)


@pytest.mark.parametrize("release", RELEASES)
def test_a_daemon_stops_when_it_is_told_to(release: str, tmp_path: Path) -> None:
    (address,) = free_addresses(1)
    generated(release, tmp_path, address)
    with member(SURFACES[release], tmp_path, address) as one:
        awaited(SURFACES[release], one, "IsEmpty: true")
        done = drand(release, "stop", "--control", one.control)
        assert done.code == 0
        assert done.text.splitlines()[1] == "drand daemon stopped correctly. Bye."
        assert one.process.wait(START_S) == 0
    gone = drand(release, "stop", "--control", one.control)
    assert gone.code == 1
    assert "error stopping drand daemon: rpc error: code = Unavailable" in gone.text


def test_a_signal_stops_it_too_and_keys_are_loaded_while_it_runs(tmp_path: Path) -> None:
    (address,) = free_addresses(1)
    generated(V2, tmp_path, address)
    with member(SURFACES[V2], tmp_path, address) as one:
        awaited(SURFACES[V2], one, "IsEmpty: true")
        more = ("--folder", str(tmp_path), "--id", "more", "--control", one.control)
        made = drand(V2, "generate-keypair", *more, address)
        assert made.code == 0
        assert made.text.endswith("Beacon process [more] was loaded on drand.\n")
        assert drand(V2, "util", "status", "--id", "more", "--control", one.control).code == 0
        one.process.send_signal(signal.SIGTERM)
        assert one.process.wait(START_S) == 0


def test_one_peer_down_is_seen_as_recorded(tmp_path: Path) -> None:
    surface = SURFACES[V2]
    with network(surface, tmp_path) as members:
        members[2].process.send_signal(signal.SIGKILL)
        members[2].process.wait(START_S)
        down = awaited(surface, members[0], "Running: true")
        assert shape(down) == shape(recorded_line(V2, "util-status-one-down").text)
        wanted = f'error_sending_partial{{address="{members[2].address}",beaconID="default"}} 1'
        limit_s = time.monotonic() + START_S
        while wanted not in fetched(members[0].metrics, "/metrics")[2].decode():
            assert time.monotonic() < limit_s, "no partial failed"


# ---- no daemon -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ping-dead", "util-list-schemes"])
def test_recorded_lines_without_a_daemon_say_the_same(name: str) -> None:
    recorded = recorded_line(V2, name)
    done = drand(V2, *recorded.arguments, DRAND_CONTROL="1")
    assert (shape(done.text), done.code) == (shape(recorded.text), recorded.code)


def generated(release: str, folder: Path, address: str, *flags: str) -> Done:
    """Generate a key pair where no daemon runs, as it was recorded."""
    insecure = ("--tls-disable",) if SURFACES[release].line is Line.V1 else ()
    where = ("--folder", str(folder), "--control", "1")
    return drand(release, "generate-keypair", *insecure, *where, *flags, address)


@pytest.mark.parametrize("release", RELEASES)
def test_key_pairs_are_generated_as_recorded(release: str, tmp_path: Path) -> None:
    recorded = (SURFACE / release / "generate-keypair.txt").read_text()
    done = generated(release, tmp_path, "127.0.0.1:4444")
    assert (shape(done.text), done.code) == (shape(recorded), 0)
    again = recorded_line(release, "generate-keypair-again")
    before = files_in(tmp_path)
    done = generated(release, tmp_path, "127.0.0.1:4444")
    assert (shape(done.text), done.code) == (shape(again.text), again.code)
    assert files_in(tmp_path) == before
    assert len(before) == 2


def files_in(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def help_shape(text: str) -> list[tuple[str, str]]:
    """The sections of a help, and in each the names with defaults and variables, without prose."""
    found, section = [], ""
    for line in text.splitlines():
        if re.fullmatch(r"[A-Z ]+:", line):
            section = line
        elif section in ("COMMANDS:", "OPTIONS:", "GLOBAL OPTIONS:"):
            name = re.match(
                r"   (-\S+(?:, -\S+)*(?: value)?|[a-z][a-z-]*(?:, [a-z])?)(?:  |$)", line
            )
            if name and not name[1].startswith(
                ("--as-release", "--conn-insecure", "--alarm-interval")
            ):
                found.append((section, name[1].strip()))
            explained = re.findall(r"\((?:default: .*)\)|\[\$[^\]]*\]", line)
            if not (
                name and name[1].startswith(("--as-release", "--conn-insecure", "--alarm-interval"))
            ):
                found += [(section, one) for one in explained]
    return found


HELPS = {"help": (), "start-help": ("start",), "util-help": ("util",)}


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("name", HELPS)
def test_helps_have_the_recorded_names_defaults_and_variables(release: str, name: str) -> None:
    recorded = recorded_line(release, name)
    done = drand(release, *HELPS[name], "--help")
    assert done.code == recorded.code == 0
    assert help_shape(done.text) == help_shape(recorded.text)
    titles = re.compile(r"^[A-Z ]+:$", re.MULTILINE)
    assert titles.findall(done.text) == titles.findall(recorded.text)
    usage = re.compile(r"USAGE:\n(.*)\n")
    assert usage.findall(done.text) == usage.findall(recorded.text)
    assert drand(release, *HELPS[name], "-h") == done
    if name != "help":
        assert drand(release, "help", *HELPS[name]) == done


@pytest.mark.parametrize("release", RELEASES)
def test_the_help_of_every_verb_has_the_recorded_names(release: str) -> None:
    recorded = json.loads((SURFACE / "helps.json").read_text())[release]
    for path, names in recorded.items():
        done = drand(release, *path.split(), "--help")
        assert [f"{section} {one}" for section, one in help_shape(done.text)] == names, path
    assert len(recorded) >= 18


@pytest.mark.parametrize("release", RELEASES)
def test_ceremonies_are_refused(release: str) -> None:
    verb = "share" if release == V1 else "dkg"
    for rest in ((), ("--leader",), ("init", "--proposal", "p"), ("--help",)):
        assert drand(release, verb, *rest) == Done(1, "no ceremonies in this release of the node\n")


def test_v2_says_that_share_was_removed() -> None:
    done = drand(V2, "share", "--leader")
    assert done.code == 1
    assert done.text.splitlines()[-1].startswith("the share command has been removed!")


@pytest.mark.parametrize("release", RELEASES)
def test_what_is_not_here_is_refused(release: str) -> None:
    assert drand(release, "foo") == Done(1, "No help topic for 'foo'\n")
    assert drand(release, "util", "foo") == Done(1, "No help topic for 'foo'\n")
    for verb in (("get", "public"), ("util", "migrate")):
        done = drand(release, *verb)
        wanted = "not in this release of the node\n" if release == V1 else "No help topic for "
        assert done.code == 1
        assert wanted in done.text


@pytest.mark.parametrize("release", RELEASES)
def test_wrong_flags_are_told_with_the_help(release: str) -> None:
    for flags, why in (
        (("--nope",), "flag provided but not defined: -nope"),
        (("--control",), "flag needs an argument: -control"),
        (("---x",), "bad flag syntax: ---x"),
    ):
        done = drand(release, "util", "ping", *flags)
        assert done.code == 1
        assert done.text.startswith(f"Incorrect Usage: {why}\n\nNAME:\n   drand util ping")
        assert done.text.endswith(f"\n{why}\n")
    done = drand(release, "sync")
    assert (done.code, done.text.splitlines()[-1]) == (1, 'Required flag "sync-nodes" not set')
    assert done.text.startswith("NAME:")
    # Before a verb too the words are the release's, which is known by then.
    assert f"   {SURFACES[release].version}\n" in drand(release, "--nope").text
    assert drand(release, "sync", "--help").code == 0


def test_the_version_and_the_release() -> None:
    assert drand(V1, "--version") == Done(0, "drand 1.5.8 (date unknown, commit none)\n")
    assert drand(V2, "-v") == Done(0, "drand 2.1.3 (date unknown, commit none)\n")
    printed: list[str] = []
    code = commands.run(["-v"], {"DRAND_AS_RELEASE": V1}, printed.append, str)
    assert (code, printed) == (0, ["drand 1.5.8 (date unknown, commit none)\n"])
    unknown = drand("v9", "start")
    assert unknown.code == 2
    assert all(release in unknown.text for release in RELEASES)


# ---- anything at all -------------------------------------------------------------------------

_WORDS = st.one_of(
    st.sampled_from(
        [
            "start",
            "stop",
            "util",
            "show",
            "status",
            "reset",
            "check",
            "del-beacon",
            "backup",
            "sync",
            "load",
            "generate-keypair",
            "chain-info",
            "group",
            "self-sign",
            "help",
            "dkg",
        ]
    ),
    st.sampled_from(
        [
            "--control=1",
            "--id",
            "--all",
            "--json",
            "--tls-disable",
            "--group",
            "--hash",
            "--",
            "--sync-nodes",
            "--up-to",
            "--db",
            "--metrics",
            "--public-listen",
            "--scheme",
            "-h",
        ]
    ),
    st.text(max_size=6),
)


@settings(max_examples=150)
@given(release=st.sampled_from(RELEASES), words=st.lists(_WORDS, max_size=6))
def test_no_command_line_ends_in_a_traceback(release: str, words: list[str]) -> None:
    # No daemon is at port 1, and no folder can be made below /dev/null.
    done = drand(release, *words, DRAND_CONTROL="1", DRAND_FOLDER="/dev/null/none")
    assert done.code in (0, 1)
    assert done.text
