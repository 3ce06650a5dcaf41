"""What a beacon node's answers are read as, by the observer, the client and the dealing."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from threading import Thread
from typing import Any

import pytest

from chaoskit import clock
from chaoskit.certificates import Authority
from chaoskit.errors import ChaosError
from chaoskit.system import Endpoint, Operation, Placement, Rejected, Unobserved
from suites.beacon import dealing
from suites.beacon.client import SNAPSHOT_ROUNDS, BeaconClient, operations
from suites.beacon.system import BEHIND, SYSTEM, beacon, command, environment, files
from suites.beacon.watching import failures, metrics_in, observe, rounds_due

# two lines as v2.1.4 writes them, two as v1.5.8 does, and one that nobody wants
METRICS = """# HELP error_sending_partial Number of errors sending partial beacons to nodes.
error_sending_partial{address="n2:4444",beaconID="default"} 0
error_sending_partial{address="n3:4444",beaconID="default"} 1
error_sending_partial{address="n4:4444",beaconID="second"} 1
dial_failures{peer_address="n3:4444"} 7
group_size{beacon_id="default"} 5
group_threshold{beacon_id="default"} 3
last_beacon_round{beacon_id="default"} 9
last_beacon_round{beacon_id="second"} 8
beacon_discrepancy_latency{beacon_id="default"} 1018.838747
beacon_discrepancy_latency{beacon_id="second"} 3
drand_build_time{build="",version="2.1.3"} 0
go_goroutines 87
http_call_counter{code="200",method="get"} 4
""" + "".join(
    f'grpc_server_handled_total{{grpc_code="{code}",grpc_method="{method}",'
    f'grpc_service="drand.Protocol",grpc_type="unary"}} {count}\n'
    for code, method, count in (
        ("OK", "PartialBeacon", 9),
        ("PermissionDenied", "PartialBeacon", 5),
        ("PermissionDenied", "Status", 3),
    )
)
PATIENCE_S = 60.0  # the servers are threads of this process, which may have to wait for a turn
Answer = tuple[int, bytes]


@dataclass
class Node:
    """HTTP answers by path; a function answers anew each time."""

    paths: dict[str, Answer | Callable[[], Answer]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@contextmanager
def serving(node: Node) -> Iterator[Endpoint]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            node.asked.append(self.path)
            found = node.paths.get(self.path, (404, b""))
            status, body = found() if callable(found) else found
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the library's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        port = server.server_address[1]
        try:
            yield Endpoint("n1", "127.0.0.1", {"public": port, "metrics": port})
        finally:
            server.shutdown()
            thread.join()


def told(document: Mapping[str, Any]) -> Answer:
    return 200, json.dumps(document).encode()


def node(newest: int = 9, *, behind: int = 0) -> Node:
    """A node whose newest round is `newest`, and which is `behind`."""
    now_s = int(clock.utc_now().timestamp())
    info = {"genesis_time": now_s - 30 * (newest + behind - 1), "period": 30}
    made = Node({"/info": told(info), "/metrics": (200, METRICS.encode())})
    made.paths["/public/latest"] = told({"round": newest, "signature": f"s{newest}"})
    for number in range(1, newest + 1):
        made.paths[f"/public/{number}"] = told({"round": number, "signature": f"s{number}"})
    return made


# -- observing ---------------------------------------------------------------------------------


def test_a_sample_holds_what_the_promises_need() -> None:
    with serving(node()) as endpoint:
        seen = observe(endpoint, PATIENCE_S)
        failed = failures(endpoint, PATIENCE_S)
    assert (seen.ready, seen.version, seen.progress, seen.digest) == (True, "2.1.3", 9, "s9")
    assert seen.detail == {
        "failing": ["n3"],
        "size": 5,
        "threshold": 3,
        "rounds": {"default": 9, "second": 8},
        "behind": 0,
        "late_s": 1.019,
        "denied": 5,
    }
    assert failed == {"n2": 0, "n3": 8, "n4": 1}


def test_peers_are_known_by_the_hosts_by_which_a_member_dials_them() -> None:
    with serving(node()) as endpoint:
        dialled = replace(endpoint, peers={"n3": "third", "n4": "fourth"})
        assert observe(dialled, PATIENCE_S).detail["failing"] == ["third"]
        assert failures(dialled, PATIENCE_S) == {"n2": 0, "third": 8, "fourth": 1}


def test_a_member_of_a_secure_group_that_serves_plaintext_is_still_watched() -> None:
    made = node()
    with serving(made) as endpoint:
        seen = observe(endpoint, PATIENCE_S, secure=True)
        client = BeaconClient(endpoint, PATIENCE_S, secure=True)
        try:
            read = client.invoke(Operation("get", {"round": "9"}))
        finally:
            client.close()
    assert (seen.progress, read["signature"]) == (9, "s9")


@pytest.mark.parametrize(("behind", "ready"), [(2, True), (3, False)])
def test_a_node_that_is_behind_is_not_ready(behind: int, ready: bool) -> None:  # noqa: FBT001
    with serving(node(behind=behind)) as endpoint:
        assert observe(endpoint, PATIENCE_S).ready is ready


def test_before_the_first_round_the_seed_is_no_round() -> None:
    early = node()
    early.paths["/public/latest"] = told({"signature": "seed", "randomness": "r"})
    with serving(early) as endpoint:
        seen = observe(endpoint, PATIENCE_S)
    assert (seen.ready, seen.progress, seen.digest) == (False, 0, "")


@pytest.mark.parametrize("path", ["/info", "/public/latest", "/metrics"])
@pytest.mark.parametrize("status", [404, 500])
def test_a_node_without_a_chain_is_not_observed(path: str, status: int) -> None:
    broken = node()
    broken.paths[path] = (status, b"")
    with serving(broken) as endpoint, pytest.raises(Unobserved, match=str(status)):
        observe(endpoint, PATIENCE_S)


def test_an_empty_answer_is_no_observation() -> None:
    broken = node()
    broken.paths["/public/latest"] = (200, b"")
    with serving(broken) as endpoint, pytest.raises(Unobserved, match="garbled"):
        observe(endpoint, PATIENCE_S)


def test_only_what_is_needed_is_read_of_the_metrics() -> None:
    assert [one.name for one in metrics_in(METRICS)].count("error_sending_partial") == 3
    assert not any(one.name.startswith(("go_", "http_")) for one in metrics_in(METRICS))


@pytest.mark.parametrize(("now_s", "due"), [(99.9, 0), (100, 1), (102.9, 1), (103, 2), (130, 11)])
def test_how_many_rounds_are_due(now_s: float, due: int) -> None:
    assert rounds_due(100, 3, now_s) == due


# -- the client --------------------------------------------------------------------------------


def invoked(made: Node, f: str, **value: Any) -> Mapping[str, Any]:
    with serving(made) as endpoint:
        client = BeaconClient(endpoint, PATIENCE_S)
        try:
            return client.invoke(Operation(f, value))
        finally:
            client.close()


def test_a_round_is_read() -> None:
    assert invoked(node(), "get", round="latest") == {"round": 9, "signature": "s9"}
    assert invoked(node(), "get", round="1") == {"round": 1, "signature": "s1"}


def test_a_round_ahead_is_asked_by_its_number() -> None:
    made = node()
    with pytest.raises(Rejected, match="status 404"):
        invoked(made, "ahead", by=7)
    assert made.asked[-1] == "/public/16"


def test_a_snapshot_holds_the_newest_rounds_and_says_what_is_not_there() -> None:
    made = node(SNAPSHOT_ROUNDS + 5)
    del made.paths["/public/10"]
    made.paths["/public/11"] = told({"round": 12, "signature": "s12"})
    read = invoked(made, "snapshot")
    assert read["first"] == 6
    assert len(read["signatures"]) == SNAPSHOT_ROUNDS
    lacking = [6 + at for at, one in enumerate(read["signatures"]) if one is None]
    assert (lacking, read["unanswered"]) == ([10, 11], [])


def test_a_snapshot_asks_again_for_what_was_answered_by_nothing() -> None:
    answers = iter([(200, b""), told({"round": 3, "signature": "s3"})])
    made = node(5)
    made.paths["/public/3"] = lambda: next(answers)
    made.paths["/public/4"] = (200, b"")
    read = invoked(made, "snapshot")
    assert read["signatures"] == ["s1", "s2", "s3", None, "s5"]
    assert read["unanswered"] == [4]


def test_the_load_asks_for_everything_and_begins_with_the_chain() -> None:
    stream = operations(Random(1))
    drawn = [next(stream) for _ in range(300)]
    assert drawn[0].f == "info"
    assert {one.f for one in drawn} == {"get", "ahead", "info"}
    assert all(one.value["consistency"] == "local" for one in drawn)
    assert min(one.value["by"] for one in drawn if one.f == "ahead") >= 3
    again = operations(Random(1))
    assert drawn == [next(again) for _ in range(300)]


# -- dealing and starting ----------------------------------------------------------------------


def placements(release: str = "v2.1.4", **settings: str) -> list[Placement]:
    return [
        Placement(
            name=name,
            peers=SYSTEM.nodes,
            release=release,
            settings=dict(SYSTEM.settings) | settings,
            hosts={peer: peer for peer in SYSTEM.nodes},
            bind="0.0.0.0",
            ports={port.name: port.number for port in SYSTEM.ports},
            data="/data",
            config="/config",
        )
        for name in SYSTEM.nodes
    ]


def deal(made: list[Placement], *networks: str) -> Mapping[str, Any]:
    return dealing.deal(made, threshold=3, networks=networks or ("default",), genesis_in_s=6)


@pytest.mark.parametrize("release", ["v1.5.8", "v2.1.4", "v2.1.4-real"])
def test_each_member_gets_its_own_files_of_one_group(release: str) -> None:
    dealt = deal(placements(release))
    assert list(dealt) == list(SYSTEM.nodes)
    files = {name: {one.path: one for one in given} for name, given in dealt.items()}
    group, share = (f"drand/multibeacon/default/groups/{one}" for one in _GROUP)
    assert len({files[name][group].content for name in files}) == 1
    assert len({files[name][share].content for name in files}) == 5
    for name, given in files.items():
        assert f'"{name}:4444"'.encode() in given[group].content
        secret = {path for path, one in given.items() if one.secrets}
        assert {Path(path).name for path in secret} == {"drand_id.private", "dist_key.private"}
        for path in secret:
            (bare,) = given[path].secrets
            assert len(bare) == 32
            assert bare.hex().encode() in given[path].content


_GROUP = ("drand_group.toml", "dist_key.private")


@pytest.mark.parametrize("release", ["v1.5.8", "v2.1.4"])
def test_each_member_reads_where_it_dials_the_others_in_its_own_files(release: str) -> None:
    made = [
        replace(one, hosts={peer: f"127.9.{number}.{peer[1:]}" for peer in one.peers})
        for number, one in enumerate(placements(release), start=1)
    ]
    dealt = deal(made)
    for number, one in enumerate(made, start=1):
        files = {Path(file.path).name: file.content.decode() for file in dealt[one.name]}
        group = tomllib.loads(files["drand_group.toml"])
        dialled = {f"127.9.{number}.{peer[1:]}:4444" for peer in one.peers}
        assert {node["Address"] for node in group["Nodes"]} == dialled
        own = tomllib.loads(files["drand_id.public"])
        assert own["Address"] == f"127.9.{number}.{number}:4444"
        (entry,) = (node for node in group["Nodes"] if node["Key"] == own["Key"])
        assert entry["Address"] == own["Address"]


def test_networks_lie_side_by_side() -> None:
    dealt = deal(placements(), "default", "second")
    folders = {Path(one.path).parts[2] for one in dealt["n1"]}
    assert folders == {"default", "second"}


def test_every_artifact_that_is_a_file_is_dealt() -> None:
    paths = {one.path for one in deal(placements())["n1"]}
    assert {one.path for one in SYSTEM.artifacts if one.name != "rounds"} == paths


def test_a_dealer_that_refuses_is_heard() -> None:
    with pytest.raises(ChaosError, match=r"unknown release 'v9\.9\.9'"):
        deal(placements("v9.9.9"))


def test_only_v1_is_told_to_do_without_tls() -> None:
    (first, *_), (old, *_) = placements(), placements("v1.5.8")
    assert "--tls-disable" not in command(first)
    assert "--tls-disable" in command(old)
    assert command(first)[:4] == ["drand", "start", "--folder", "/data/drand"]


SECURE = beacon(tls=True)


def secured(**settings: str) -> Placement:
    """A member of a group with TLS."""
    authority = Authority()
    (first, *_) = placements("v1.5.8", **({"tls": "on"} | settings))
    return replace(
        first,
        credential=authority.issue(["n1"], []),
        authority_pem=authority.certificate_pem,
    )


def test_a_group_with_tls_is_one_of_v1_whose_identities_say_so() -> None:
    assert {one.label.partition(".")[0] for one in SECURE.releases} == {"v1"}
    for on in ("on", "off"):
        for one in deal(placements("v1.5.8", tls=on))["n1"]:
            if one.path.endswith(("drand_id.public", "drand_group.toml")):
                assert (b"TLS = true" in one.content) is (on == "on")


def test_a_member_with_tls_is_told_where_its_files_lie() -> None:
    placement = secured()
    argv = list(command(placement))
    lie = {one.path: one for one in files(placement)}
    for flag, path in (("--tls-cert", "tls/certificate.pem"), ("--tls-key", "tls/key.pem")):
        assert argv[argv.index(flag) + 1] == f"/config/{path}"
        assert lie[path].secret is (flag == "--tls-key")
    trusted = argv[argv.index("--certs-dir") + 1]
    assert [path for path in lie if f"/config/{path}".startswith(f"{trusted}/")] == [
        "trusted/authority.pem"
    ]
    assert "--tls-disable" not in argv


def test_in_a_group_with_both_nginx_stands_before_v2_alone() -> None:
    both = beacon(tls=True, terminated=True)
    assert {one.label.partition(".")[0] for one in both.releases} == {"v1", "v2"}
    assert both.beside is not None
    v1 = secured(**both.settings)
    v2 = replace(v1, release="v2.0.4")
    assert both.beside(v1) is None
    assert command(v1) == command(secured())
    assert [one.path for one in files(v1)] == [one.path for one in files(secured())]
    assert "SSL_CERT_FILE" not in environment(v1)
    fronted = both.beside(v2)
    assert fronted is not None
    assert v1.credential is not None
    assert fronted.files["chain.pem"] == v1.credential.certificate_pem
    argv = command(v2)
    assert argv[argv.index("--private-listen") + 1] == BEHIND
    assert [one.path for one in files(v2)] == ["trusted/authority.pem"]
    assert environment(v2)["SSL_CERT_FILE"] == "/config/trusted/authority.pem"
    (told,) = {
        line
        for one in deal([replace(one, settings=v1.settings) for one in placements("v1.5.8")])["n1"]
        for line in one.content.splitlines()
        if one.path.endswith("drand_id.public") and line.startswith(b"TLS")
    }
    assert told == b"TLS = true"


def test_a_member_without_its_certificate_still_knows_whom_to_trust() -> None:
    (port,) = SECURE.linked_ports
    placement = secured()
    off = replace(placement, settings={**placement.settings, **port.plaintext})
    argv = command(off)
    assert "--tls-disable" in argv
    assert "--tls-cert" not in argv
    assert "--certs-dir" in argv
    assert "--certs-dir" not in command(placements("v1.5.8")[0])


def test_members_of_one_host_take_what_control_port_is_free() -> None:
    first, *_ = placements()
    assert "--control" not in command(first)
    argv = command(replace(first, bind="127.9.9.4"))
    assert argv[argv.index("--control") + 1] == "0"


@pytest.mark.parametrize(("nodes", "threshold"), [(5, 2), (5, 6), (4, 2), (13, 7)])
def test_a_group_has_a_majority_for_its_threshold(nodes: int, threshold: int) -> None:
    with pytest.raises(ValueError, match="majority"):
        beacon(nodes, threshold=threshold)
