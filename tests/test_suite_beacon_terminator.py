"""nginx before a member: its configurations, and which of them a log tells of."""

from __future__ import annotations

import pytest

from chaoskit.certificates import Authority
from suites.beacon.terminator import (
    Front,
    Request,
    configuration,
    failed,
    named,
    requests,
    terminator,
)

BEHIND = "127.0.0.1:4500"
PARTIAL = "POST /drand.Protocol/PartialBeacon HTTP/2.0"
PROBE = "POST /chaoskit.Nobody/Knows HTTP/2.0"


def line(request: str, status: str, upstream: str, upstream_status: str, sent: str) -> str:
    """As nginx 1.22.1 wrote them."""
    return (
        f'{{"request":"{request}","at":"1795283000.123","status":"{status}","upstream":"{upstream}",'
        f'"upstream_status":"{upstream_status}","sent":"{sent}"}}\n'
    )


LOGS = {
    Front.RIGHT: [line(PARTIAL, "200", BEHIND, "200", "505")],
    Front.HTTP1: [
        line(PARTIAL, "009", BEHIND, "200", "0"),
        line(PARTIAL, "499", BEHIND, "200", "0"),
    ],
    Front.WRONG_MODE: [line(PARTIAL, "502", BEHIND, "502", "0")],
    Front.TWICE: [
        line("PRI * HTTP/2.0", "400", "-", "-", "-"),
        line(PARTIAL, "502", "127.0.0.1:4449", "502", "505"),
    ],
}


@pytest.mark.parametrize("front", Front)
def test_a_log_names_how_the_proxy_is_set_up(front: Front) -> None:
    words = ["2026/11/21 17:01:44 [notice] 7#7: start worker processes\n", "{no request\n"]
    asked = requests([*words, *LOGS[front]])
    assert named(asked, BEHIND) is front
    assert any(failed(one) for one in LOGS[front]) is (front is not Front.RIGHT)


def test_a_log_that_says_two_things_or_nothing_names_none() -> None:
    both = [*LOGS[Front.RIGHT], *LOGS[Front.HTTP1]]
    assert named(requests(both), BEHIND) is None
    assert named(requests([line("PRI * HTTP/2.0", "400", "-", "-", "-")]), BEHIND) is None
    assert named([], BEHIND) is None
    assert named(requests([line(PARTIAL, "504", BEHIND, "504", "505")]), BEHIND) is None
    # Whoever asked has left before anything came back.
    assert named(requests([line(PARTIAL, "499", BEHIND, "-", "505")]), BEHIND) is None


def test_calls_of_ours_are_no_peers_work() -> None:
    ours = line(PROBE, "502", BEHIND, "502", "0")
    assert not failed(ours)
    assert requests([ours]) == [Request(PROBE, 1795283000.123, "502", BEHIND, "502", "0")]
    assert named(requests([ours]), BEHIND) is None


def test_a_terminator_runs_from_its_folder_and_shows_no_key() -> None:
    credential = Authority().issue(["n1"], [])
    made = terminator("0.0.0.0:4444", BEHIND, credential, Front.RIGHT)
    assert set(made.files) == {"nginx.conf", "chain.pem", "key.pem"}
    assert made.argv[-1] == "/companion/nginx.conf"
    assert "PRIVATE KEY" not in repr(made)
    assert made == terminator("0.0.0.0:4444", BEHIND, credential, Front.RIGHT)
    assert made != terminator("0.0.0.0:4444", BEHIND, credential, Front.TWICE)


@pytest.mark.parametrize(
    ("front", "servers", "passing"),
    [
        (Front.RIGHT, 1, "grpc_pass grpc://127.0.0.1:4500;"),
        (Front.HTTP1, 1, "proxy_pass http://127.0.0.1:4500;"),
        (Front.WRONG_MODE, 1, "grpc_pass grpcs://127.0.0.1:4500;"),
        (Front.TWICE, 2, "grpc_pass grpc://127.0.0.1:4449;"),
    ],
)
def test_each_way_passes_on_as_it_says(front: Front, servers: int, passing: str) -> None:
    text = configuration("0.0.0.0:4444", BEHIND, front, folder="/f", scratch="/s")
    assert text.count("ssl http2;") == servers
    assert text.count("listen 0.0.0.0:4444 ") == 1
    assert passing in text
    assert text.count("{") == text.count("}")
