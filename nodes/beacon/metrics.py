"""
The metrics of a node, named and labelled as the release that it speaks as has them.

Owns: which families there are, their help, and what they are made of. Refuses: nothing.

Rules: names, labels and help are those recorded from the real releases. Left out are the metrics of
the Go runtime and its process (go_, process_, promhttp_), which nothing here could be honest about,
gRPC's counters of single messages (grpc_server_msg_), which nobody counts here, and
api_call_counter and the client_ families beyond the one that was recorded: no release counts in
them. A member that holds a group when it starts has ended its ceremony: dkg_state is Done (v1: 3;
v2, whose numbers are its state machine's: 7), as after a restart of the real ones.
"""

from __future__ import annotations

from collections.abc import Iterator

from nodes.beacon.meters import CODES, LATENCY_BOUNDS_S, Latency, Meters
from nodes.beacon.metrics_text import Family, Sample, number, written
from nodes.beacon.releases import Line, Surface
from nodes.beacon.surface_view import NetworkView, NodeView

_DONE = {Line.V1: 3, Line.V2: 7}


def text(surface: Surface, node: NodeView, meters: Meters) -> str:
    """All metrics as text."""
    families = [*_of_node(surface, node, meters), *_of_calls(meters), *_of_http(meters)]
    families += [*_of_rounds(meters), *_of_ceremonies(surface, node)]
    return written(families)


def _gauge(name: str, about: str, samples: list[Sample]) -> Family:
    return Family(name, "gauge", about, samples)


def _of_node(surface: Surface, node: NodeView, meters: Meters) -> Iterator[Family]:
    yield _gauge("is_drand_node", "1 for drand nodes, not emitted for relays", [Sample({}, 1)])
    yield _gauge(
        "drand_start_timestamp",
        "Timestamp when the drand process started up in seconds since the Epoch",
        [Sample({}, node.started_s)],
    )
    yield Family(
        "drand_build_time",
        "untyped",
        "Timestamp when the binary was built in seconds since the Epoch",
        [Sample({"build": "", "version": surface.version}, 0)],
    )
    yield _gauge(
        "client_watch_latency",
        "Duration between time round received and time round expected.",
        [Sample({}, 0)],
    )
    yield _database(surface, node)
    connections = node.connections()
    yield _gauge(
        "outgoing_group_connections",
        "Number of peers with current outgoing GrpcClient connections",
        [Sample({}, len(connections))],
    )
    yield _gauge(
        "outgoing_connection_state",
        "State of an outgoing connection. 0=Idle, 1=Connecting, 2=Ready, 3=Transient Failure, "
        "4=Shutdown",
        [Sample({"remote_host": host}, state) for host, state in sorted(connections.items())],
    )
    yield Family(
        "dial_failures",
        "counter",
        "Number of times there have been network connection issues",
        [Sample({"peer_address": one}, meters.dial_failures[one]) for one in meters.dial_failures],
    )


def _database(surface: Surface, node: NodeView) -> Family:
    # The label is the release's own: a judge of drand reads it; the store behind is ours.
    if surface.line is Line.V1:
        about = "1=bolt, 2=postgres, 3=memdb"
        samples = [Sample({"db_type": "bolt"}, 1)]
    else:
        about = "1=bolt-trimmed, 2=postgres, 3=memdb, 4=bolt-untrimmed"
        samples = [
            Sample({"beaconID": network.beacon_id, "db_type": "bolt-trimmed"}, 1)
            for network in _with_group(node)
        ]
    return _gauge("drand_node_db", f"The database type the node is running with. {about}", samples)


def _with_group(node: NodeView) -> list[NetworkView]:
    return [network for network in node.networks() if network.group is not None]


def _of_rounds(meters: Meters) -> Iterator[Family]:
    stored = sorted(meters.stored.items())
    for name, about, values in (
        ("last_beacon_round", "Last locally stored beacon", [one.round for _, one in stored]),
        ("group_size", "Number of peers in the current group", [one.members for _, one in stored]),
        (
            "group_threshold",
            "Number of shares needed for beacon reconstruction",
            [one.threshold for _, one in stored],
        ),
        (
            "beacon_discrepancy_latency",
            "Discrepancy between beacon creation time and calculated round time",
            [one.late_s * 1000 for _, one in stored],
        ),
    ):
        samples = [
            Sample({"beacon_id": beacon_id}, value)
            for (beacon_id, _), value in zip(stored, values, strict=True)
        ]
        yield _gauge(name, about, samples)
    yield _gauge(
        "error_sending_partial",
        "Number of errors sending partial beacons to nodes. A good proxy for whether nodes are up "
        "or down. 1 = Error occurred, 0 = No error occurred",
        [
            Sample({"address": address, "beaconID": beacon_id}, failed)
            for (beacon_id, address), failed in sorted(meters.partial_failed.items())
        ],
    )


def _of_ceremonies(surface: Surface, node: NodeView) -> Iterator[Family]:
    networks = node.networks()
    done = _DONE[surface.line]
    epochs = [1 if network.group else 0 for network in networks]
    states = [epoch * done for epoch in epochs]

    def each(name: str, about: str, values: list[float]) -> Family:
        pairs = zip(networks, values, strict=True)
        return _gauge(
            name, about, [Sample({"beacon_id": one.beacon_id}, now) for one, now in pairs]
        )

    started = [node.started_s] * len(networks)
    never = [0.0] * len(networks)
    yield each(
        "dkg_state",
        "DKG state: 0-Not Started, 1-Waiting, 2-In Progress, 3-Done, 4-Unknown, 5-Shutdown",
        [*map(float, states)],
    )
    yield each("dkg_state_timestamp", "Timestamp when the DKG state last changed", started)
    yield each("dkg_leader", "Is this node the leader during DKG? 0-false, 1-true", never)
    if surface.line is Line.V1:
        yield each(
            "reshare_state",
            "Reshare state: 0-Idle, 1-Waiting, 2-In Progress, 3-Unknown, 4-Shutdown",
            never,
        )
        about = "Timestamp when the reshare state last changed"
        yield each("reshare_state_timestamp", about, started)
        about = "Is this node the leader during Reshare? 0-false, 1-true"
        yield each("reshare_leader", about, never)
        return
    about = "The epoch of any currently in progress or completed DKGs"
    yield each("dkg_epoch", about, [*map(float, epochs)])
    for name, what in (("sync_total_callbacks", "callbacks"), ("sync_total_jobs", "jobs")):
        samples = [
            Sample({"beacon_id": f"{node.address}.{network.beacon_id}"}, network.streams)
            for network in networks
            if network.group is not None
        ]
        yield _gauge(name, f"The number of currently active {what}", samples)


def _of_calls(meters: Meters) -> Iterator[Family]:
    def labels(at: int) -> dict[str, str]:
        call = meters.calls[at]
        return {
            "grpc_method": call.method,
            "grpc_service": call.service,
            "grpc_type": call.kind,
        }

    yield Family(
        "grpc_server_started_total",
        "counter",
        "Total number of RPCs started on the server.",
        [Sample(labels(at), meters.calls_started[call]) for at, call in enumerate(meters.calls)],
    )
    # Not in the recordings, which were shortened; all tags from v1.5.7 on export it from the start.
    yield Family(
        "grpc_server_handled_total",
        "counter",
        "Total number of RPCs completed on the server, regardless of success or failure.",
        [
            Sample({"grpc_code": code} | labels(at), meters.calls_answered[call, code])
            for at, call in enumerate(meters.calls)
            for code in sorted(CODES)
        ],
    )


def _of_http(meters: Meters) -> Iterator[Family]:
    yield Family(
        "http_call_counter",
        "counter",
        "Number of HTTP calls received",
        [
            Sample({"code": code, "method": method}, count)
            for (code, method), count in sorted(meters.http_answered.items())
        ],
    )
    about = "A gauge of requests currently being served."
    yield _gauge("http_in_flight", about, [Sample({}, meters.http_in_flight)])
    yield Family(
        "http_response_duration",
        "histogram",
        "histogram of request latencies",
        [
            sample
            for method, latency in sorted(meters.http_latency.items())
            for sample in _histogram({"handler": "http", "method": method}, latency)
        ],
    )


def _histogram(labels: dict[str, str], latency: Latency) -> Iterator[Sample]:
    for bound_s, count in zip(LATENCY_BOUNDS_S, latency.within, strict=True):
        yield Sample(labels | {"le": number(bound_s)}, count, "_bucket")
    yield Sample(labels | {"le": "+Inf"}, latency.count, "_bucket")
    yield Sample(labels, latency.total_s, "_sum")
    yield Sample(labels, latency.count, "_count")
