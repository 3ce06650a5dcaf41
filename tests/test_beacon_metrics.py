"""The node's metrics are those that the real releases were recorded to export, name by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from tests.beacon_memory import SURFACE, MemoryNetwork, MemoryNode, recorded_group

# isort: split
# After the vectors, which skip where blspy cannot be installed.
from nodes.beacon import metrics
from nodes.beacon.meters import CODES, Meters, Stored
from nodes.beacon.metrics_text import Family, Sample, written
from nodes.beacon.releases import CALLS, SURFACES
from nodes.beacon.surface_view import ConnectionState

RELEASES = tuple(SURFACES)
V1, V2 = RELEASES
RECORDINGS = ("metrics.txt", "metrics-one-peer-down.txt")
# In the real ones' interface and not in the recordings, which were shortened.
UNRECORDED = {"grpc_server_handled_total"}
_SAMPLE = re.compile(r"([a-z_]+)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'([a-zA-Z_]+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Read:
    """Metrics read from text: HELP and TYPE by name, values by name and labels."""

    about: Mapping[str, str]
    kinds: Mapping[str, str]
    values: Mapping[tuple[str, tuple[tuple[str, str], ...]], float]


def read(text: str) -> Read:
    about, kinds, values = {}, {}, {}
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name, about[name] = line[7:].split(" ", 1)[0], line[7:].split(" ", 1)[1]
        elif line.startswith("# TYPE "):
            name, kind = line[7:].split(" ")
            kinds[name] = kind
        else:
            match = _SAMPLE.fullmatch(line)
            assert match, line
            key = (match[1], tuple(_LABEL.findall(match[2] or "")))
            assert key not in values, f"twice: {line}"
            values[key] = float(match[3])
    return Read(about, kinds, values)


def recorded_in(release: str, name: str) -> Read:
    return read((SURFACE / release / name).read_text())


def exported(release: str, *, down: bool = False) -> Read:
    """What a node exports that was told what the recorded one was."""
    own, *peers = (f"127.0.0.1:{31 if release == V2 else 33}0{number}0" for number in (1, 2, 3))
    network = MemoryNetwork(recorded_group(release))
    node = MemoryNode(network, address=own)
    meters = Meters(CALLS[SURFACES[release].line])
    for peer in peers:
        delivered = not (down and peer is peers[1])
        meters.partial_sent("default", peer, delivered=delivered)
        state = ConnectionState.READY if delivered else ConnectionState.TRANSIENT_FAILURE
        node.peers[peer] = state
    last = 22 if release == V1 else 23
    meters.beacon_stored("default", Stored(last + 6 * down, 0.782540231, 3, 2))
    network.streams = 2
    for status, times in ((200, 4), (400, 1), (404, 2), (503, 1)):
        for _ in range(times):
            meters.http_answer("GET", status, 0.0002)
    return read(metrics.text(SURFACES[release], node, meters))


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("name", RECORDINGS)
def test_names_labels_and_help_are_the_recorded_ones(release: str, name: str) -> None:
    theirs, ours = recorded_in(release, name), exported(release)
    assert {*ours.values} >= {*theirs.values}
    assert {key[0] for key in set(ours.values) - set(theirs.values)} == UNRECORDED
    assert {key: kind for key, kind in ours.kinds.items() if key not in UNRECORDED} == theirs.kinds
    assert {key: text for key, text in ours.about.items() if key not in UNRECORDED} == theirs.about


# What differs from run to run: times, durations, and how often peers called.
_VARIES = re.compile(
    r".*(timestamp|_latency|http_response_duration_sum|grpc_server_started_total)$"
)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("down", [False, True])
def test_values_are_the_recorded_ones_where_they_can_be(release: str, *, down: bool) -> None:
    theirs = recorded_in(release, RECORDINGS[down])
    ours = exported(release, down=down)
    fixed = {key: value for key, value in theirs.values.items() if not _VARIES.fullmatch(key[0])}
    assert len(fixed) > 20
    assert {key: ours.values[key] for key in fixed} == fixed


def test_nothing_is_there_before_it_was_told() -> None:
    node = MemoryNode(MemoryNetwork(recorded_group(V2)))
    found = read(metrics.text(SURFACES[V2], node, Meters(CALLS[SURFACES[V2].line])))
    names = {name for name, _ in found.values}
    assert "last_beacon_round" not in names
    assert "group_size" not in names
    assert "error_sending_partial" not in names
    assert "dial_failures" not in names
    assert found.values["outgoing_group_connections", ()] == 0


def test_a_network_without_a_ceremony_has_not_started_one() -> None:
    network = MemoryNetwork(recorded_group(V2))
    network.group = None
    found = read(metrics.text(SURFACES[V2], MemoryNode(network), Meters(())))
    label = (("beacon_id", "default"),)
    assert found.values["dkg_state", label] == found.values["dkg_epoch", label] == 0


@pytest.mark.parametrize("release", RELEASES)
def test_every_call_is_listed_with_every_code_from_the_start(release: str) -> None:
    calls = CALLS[SURFACES[release].line]
    meters = Meters(calls)
    meters.call_started("drand.Protocol", "PartialBeacon")
    meters.call_answered("drand.Protocol", "PartialBeacon", "PermissionDenied")
    meters.call_started("drand.Protocol", "NoSuchMethod")
    found = read(metrics.text(SURFACES[release], MemoryNode(), meters)).values
    handled = {key: value for key, value in found.items() if key[0] == "grpc_server_handled_total"}
    assert len(handled) == len(calls) * len(CODES)
    assert [dict(key[1])["grpc_code"] for key, value in handled.items() if value] == [
        "PermissionDenied"
    ]
    started = {key: value for key, value in found.items() if key[0] == "grpc_server_started_total"}
    assert sum(started.values()) == 1
    assert len(started) == len(calls)


def test_a_code_that_is_none_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="OK, Canceled"):
        Meters(()).call_answered("drand.Protocol", "PartialBeacon", "PERMISSION_DENIED")


def test_dial_failures_are_counted_by_peer() -> None:
    meters = Meters(())
    meters.dial_failed("a:1")
    meters.dial_failed("a:1")
    found = read(metrics.text(SURFACES[V1], MemoryNode(), meters))
    assert found.values["dial_failures", (("peer_address", "a:1"),)] == 2
    assert found.kinds["dial_failures"] == "counter"


def test_a_histogram_counts_up_to_each_bound() -> None:
    meters = Meters(())
    for duration_s in (0.001, 0.005, 0.3, 20):
        meters.http_answer("GET", 200, duration_s)
    found = read(metrics.text(SURFACES[V1], MemoryNode(), meters)).values

    def part(suffix: str, *labels: tuple[str, str]) -> float:
        name = f"http_response_duration{suffix}"
        return found[name, (("handler", "http"), ("method", "get"), *labels)]

    assert [part("_bucket", ("le", le)) for le in ("0.005", "0.25", "0.5", "10", "+Inf")] == [
        *(2, 2, 3, 3, 4)
    ]
    assert (part("_count"), part("_sum")) == (4, 20.306)


def test_labels_are_escaped_and_empty_families_left_out() -> None:
    family = Family("some", "gauge", "About.", [Sample({"a": 'x"\\\n'}, 0.5)])
    text = written([family, Family("none", "gauge", "About.", [])])
    assert text == '# HELP some About.\n# TYPE some gauge\nsome{a="x\\"\\\\\\n"} 0.5\n'
