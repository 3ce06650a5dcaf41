"""The node's HTTP interface answers as the real releases were recorded to, header by header."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import string
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from random import Random
from typing import Any, TypeVar

import aiohttp
import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from tests.beacon_memory import (
    MemoryNetwork,
    MemoryNode,
    Recorded,
    exchanges,
    recorded_beacon,
    recorded_group,
    recorded_network,
)

# isort: split
# After the vectors, which skip where blspy cannot be installed.
from nodes.beacon.http_conditions import Conditions
from nodes.beacon.http_routes import route_of
from nodes.beacon.http_server import listening
from nodes.beacon.http_sites import MetricsSite, PublicSite, Request
from nodes.beacon.messages import Beacon
from nodes.beacon.meters import Meters
from nodes.beacon.releases import CALLS, SURFACES
from nodes.beacon.store import StoreFailed

RELEASES = tuple(SURFACES)
V1, V2 = RELEASES
FRACTION_S = 0.2
PATIENCE_S = 60.0
_T = TypeVar("_T")


@dataclass
class Served:
    """A site that is served, with a clock that the test turns."""

    release: str
    network: MemoryNetwork
    node: MemoryNode
    meters: Meters
    site: PublicSite
    now_s: float
    base: str = ""
    session: Any = None

    async def ask(self, path: str, method: str = "GET", **headers: str) -> Recorded:
        """The answer over a real connection."""
        url = URL(self.base + path, encoded=True)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.request(method, url, headers=sent) as answer:
            body = await answer.read()
            return Recorded(path, answer.status, answer.reason, dict(answer.headers), body)

    def at(self, round_number: int, after_s: float = FRACTION_S) -> None:
        """Turn the clock to a round's time, and a little after."""
        assert self.network.group
        self.now_s = self.network.group.schedule.time_of(round_number) + after_s


def site_of(release: str, *, network: MemoryNetwork | None = None) -> Served:
    """A site with the recorded network, at the time of its recording."""
    network = recorded_network(release) if network is None else network
    node, meters = MemoryNode(network), Meters(CALLS[SURFACES[release].line])
    now_s = exchanges(release)["http-info.txt"].date_s + FRACTION_S
    served: Served
    site = PublicSite(SURFACES[release], node, meters, lambda: served.now_s)
    served = Served(release, network, node, meters, site, now_s)
    return served


@asynccontextmanager
async def serving(release: str, **given: Any) -> AsyncIterator[Served]:
    served = site_of(release, **given)
    async with listening(served.site, "127.0.0.1", 0, None) as port:
        served.base = f"http://127.0.0.1:{port}"
        async with aiohttp.ClientSession() as session:
            served.session = session
            yield served


def run(work: Coroutine[Any, Any, _T]) -> _T:
    async def bounded() -> _T:
        async with asyncio.timeout(PATIENCE_S):
            return await work

    return asyncio.run(bounded())


def beacon(number: int) -> Beacon:
    return Beacon(number, bytes([number - 1]) * 96, bytes([number]) * 96)


# ---- as recorded -----------------------------------------------------------------------------


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("name", exchanges(V1))
def test_every_recorded_answer_is_given(release: str, name: str) -> None:
    recorded = exchanges(release)[name]

    async def work() -> None:
        async with serving(release) as served:
            answer = await served.ask(recorded.path)
        # To the last byte and header; only the time at which it is sent is the machine's own.
        date = {"Date": answer.headers["Date"]}
        assert answer == replace(recorded, headers={**recorded.headers, **date})

    run(work())


@pytest.mark.parametrize("release", RELEASES)
def test_below_its_hash_a_chain_answers_the_same(release: str) -> None:
    group = recorded_group(release)
    chain = group.chain().hash().hex()

    async def work() -> None:
        async with serving(release) as served:
            for path in ("/info", "/public/1", "/public/latest", "/health", "/public/x"):
                plain = await served.ask(path)
                for spelt in (chain, chain.upper()):
                    below = await served.ask(f"/{spelt}{path}")
                    same = {**below.headers, "Date": plain.headers["Date"]}
                    assert replace(below, path=path, headers=same) == plain

    run(work())


# ---- a round that is to come -----------------------------------------------------------------


@pytest.mark.parametrize("release", RELEASES)
def test_the_round_after_the_last_one_seen_is_waited_for(release: str) -> None:
    async def work() -> None:
        last = beacon(30)
        async with serving(release) as served:
            served.at(30)
            assert (await served.ask("/health")).status == 503  # the watch begins
            await served.network.append(last)
            asked = asyncio.create_task(served.ask("/public/31"))
            while not served.network.waiting:
                await asyncio.sleep(0.01)
            assert not asked.done()
            served.at(31)
            await served.network.append(beacon(31))
            answer = await asked
        assert (answer.status, json.loads(answer.body)["round"]) == (200, 31)
        assert answer.headers["Cache-Control"] == "public, max-age=604800, immutable"

    run(work())


def test_a_client_that_leaves_is_waited_for_no_longer() -> None:
    async def work() -> None:
        async with serving(V2) as served:
            served.at(30)
            await served.ask("/health")
            await served.network.append(beacon(30))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await served.ask("/public/31")
            while served.network.waiting:
                await asyncio.sleep(0.01)

    run(work())


def test_waiting_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nodes.beacon.http_sites.WAIT_S", 0.05)

    async def work() -> None:
        async with serving(V2) as served:
            served.at(30)
            await served.ask("/health")
            await served.network.append(beacon(30))
            answer = await served.ask("/public/31")
        assert (answer.status, answer.body) == (404, b"")
        assert answer.headers["Cache-Control"] == "must-revalidate, no-cache, max-age=0"

    run(work())


def test_no_more_wait_than_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nodes.beacon.http_sites.WAITING_AT_MOST", 1)

    async def work() -> None:
        async with serving(V1) as served:
            served.at(30)
            await served.ask("/health")
            await served.network.append(beacon(30))
            for _ in range(2):  # what has waited makes room for the next
                first = asyncio.create_task(served.ask("/public/31"))
                while not served.network.waiting:
                    await asyncio.sleep(0.01)
                assert (await served.ask("/public/31")).status == 404
                first.cancel()
                while served.network.waiting:
                    await asyncio.sleep(0.01)

    run(work())


@pytest.mark.parametrize("release", RELEASES)
def test_future_rounds_say_how_long_they_take(release: str) -> None:
    ages = {"40": 9, "9223372036854775807": 2**63 // 10**9, str(2**64 - 1): 2**63 // 10**9}

    async def work() -> None:
        async with serving(release) as served:
            served.at(30)
            for number, age_s in ages.items():
                answer = await served.ask(f"/public/{number}")
                assert (answer.status, answer.body) == (404, b"")
                assert answer.headers["Cache-Control"].endswith(f", max-age={age_s}")
            # The next one, unwatched: soon there, so nobody is to keep this answer.
            answer = await served.ask("/public/31")
            assert (answer.status, answer.headers["Cache-Control"]) == (
                404,
                "must-revalidate, no-cache, max-age=0",
            )

    run(work())


def test_a_round_in_the_making_is_waited_for_in_v2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nodes.beacon.http_sites.ASK_S", PATIENCE_S)

    async def work(release: str) -> int:
        network = MemoryNetwork(recorded_group(release), [beacon(29)])
        async with serving(release, network=network) as served:
            served.at(30)
            asked = asyncio.create_task(served.ask("/public/30"))
            while not (network.waiting or asked.done()):
                await asyncio.sleep(0.01)
            await network.append(beacon(30))
            return (await asked).status

    assert run(work(V2)) == 200
    assert run(work(V1)) == 500


@pytest.mark.parametrize("release", RELEASES)
def test_a_round_that_this_node_lacks_is_its_own_fault(release: str) -> None:
    async def work() -> None:
        async with serving(release) as served:
            answer = await served.ask("/public/7")  # recorded are the first and the last
        assert (answer.status, answer.body) == (500, b"")

    run(work())


@pytest.mark.parametrize("release", RELEASES)
def test_a_store_that_cannot_be_read_is_a_servers_error(release: str) -> None:
    async def unreadable(round_number: int) -> Beacon | None:
        raise StoreFailed(f"no disk for round {round_number}")

    async def work() -> None:
        async with serving(release) as served:
            served.network.get = unreadable  # type: ignore[method-assign]
            answer = await served.ask("/public/1")
        assert (answer.status, answer.body) == (500, b"")
        assert served.meters.http_answered["500", "get"] == 1

    run(work())


def test_with_a_certificate_it_is_spoken_over_tls() -> None:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)

    async def work() -> None:
        served = site_of(V1)
        tls = listening(served.site, "127.0.0.1", 0, server)
        async with tls as port, aiohttp.ClientSession() as session:
            where = f"https://127.0.0.1:{port}/info"
            async with session.get(where, ssl=client) as answer:
                assert (await answer.json())["schemeID"] == "pedersen-bls-chained"
            with pytest.raises(aiohttp.ClientError):
                await session.get(f"http://127.0.0.1:{port}/info")

    run(work())


# ---- health ----------------------------------------------------------------------------------


@pytest.mark.parametrize("release", RELEASES)
def test_health_is_the_last_round_seen_against_the_clock(release: str) -> None:
    async def work() -> None:
        async with serving(release) as served:
            served.at(30)
            first = await served.ask("/health")
            assert (first.status, json.loads(first.body)) == (503, {"current": 0, "expected": 30})
            await served.network.append(beacon(30))
            for now, status in ((30, 200), (31, 200), (32, 503)):
                served.at(now)
                answer = await served.ask("/health")
                assert answer.status == status
                assert json.loads(answer.body) == {"current": 30, "expected": now}
            assert answer.headers["Cache-Control"] == "no-cache"
            served.at(30)
            kept = (await served.ask("/health")).headers["Cache-Control"]
        # Periods are of one second: nothing whole of one is left.
        assert kept == ("no-cache" if release == V1 else "public, must-revalidate, max-age=0")

    run(work())


# ---- what is refused -------------------------------------------------------------------------


UNDECODED = b"unable to decode chain hash "


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/public/-1", 400, b""),
        ("/public/1.0", 400, b""),
        ("/public/" + "9" * 5000, 400, b""),
        ("/public/18446744073709551616", 400, b""),
        ("/public/%31", 400, b""),
        ("/public/info", 400, b""),
        ("/public/1/", 404, b"404 page not found\n"),
        ("/", 404, b"404 page not found\n"),
        ("/metrics", 404, b"404 page not found\n"),
        ("/info/", 404, b"404 page not found\n"),
        ("/xyz/info", 400, UNDECODED + b"xyz: encoding/hex: invalid byte: U+0078 'x'\n"),
        ("/abc/public/1", 400, UNDECODED + b"abc: encoding/hex: odd length hex string\n"),
        ("/xyz/public/x", 400, b""),
        ("/abcd/info", 404, b"group not found\n"),
    ],
)
def test_what_is_asked_for_wrongly(release: str, path: str, status: int, said: bytes) -> None:
    async def work() -> None:
        async with serving(release) as served:
            answer = await served.ask(path)
        assert (answer.status, answer.body) == (status, said)
        kind = "text/plain; charset=utf-8" if said else "application/json"
        assert answer.headers["Content-Type"] == kind
        assert ("Server" in answer.headers) == (said != b"404 page not found\n")

    run(work())


@pytest.mark.parametrize("path", ["/abcd/public/1", "/abcd/public/latest", "/abcd/health"])
def test_an_unknown_chain_is_told_the_known_ones(path: str) -> None:
    async def work() -> None:
        async with serving(V2) as served:
            answer = await served.ask(path)
        assert answer.status == 404
        assert b"[abcd]" in answer.body
        assert recorded_group(V2).chain().hash().hex().encode() in answer.body

    run(work())


def test_without_the_default_network_only_hashes_answer() -> None:
    group = replace(recorded_group(V2), beacon_id="other")
    chain = group.chain().hash().hex()

    async def work() -> None:
        async with serving(V2, network=MemoryNetwork(group)) as served:
            assert (await served.ask("/info")).status == 404
            assert (await served.ask("/public/latest")).status == 404
            assert json.loads((await served.ask("/chains")).body) == [chain]
            info = json.loads((await served.ask(f"/{chain}/info")).body)
        assert (info["hash"], info["metadata"]) == (chain, {"beaconID": "other"})

    run(work())


@pytest.mark.parametrize("release", RELEASES)
def test_a_network_without_a_ceremony_has_no_chain(release: str) -> None:
    network = MemoryNetwork(recorded_group(release))
    network.group = None

    async def work() -> None:
        async with serving(release, network=network) as served:
            assert (await served.ask("/chains")).body == b"[]"
            assert (await served.ask("/info")).status == 404
            assert (await served.ask("/health")).status == 404

    run(work())


# ---- details ---------------------------------------------------------------------------------


@pytest.mark.parametrize("release", RELEASES)
def test_before_the_first_round_the_last_one_is_the_seed(release: str) -> None:
    group = recorded_group(release)

    async def work() -> None:
        async with serving(release, network=MemoryNetwork(group)) as served:
            for path in ("/public/latest", "/public/0"):
                fields = json.loads((await served.ask(path)).body)
                assert set(fields) == {"signature", "randomness"}
                assert fields["signature"] == group.genesis_seed.hex()

    run(work())


def test_an_unchained_round_has_no_previous_signature() -> None:
    group = recorded_group(V2)

    async def work() -> None:
        network = MemoryNetwork(group, [Beacon(1, b"", b"\1" * 48)])
        async with serving(V2, network=network) as served:
            fields = json.loads((await served.ask("/public/1")).body)
        assert list(fields) == ["round", "signature", "randomness"]

    run(work())


NO_DATES = (
    "yesterday",
    "Fri, 20 Nov 99999 00:00:00 GMT",
    "Fri, 20 Nov 2147483648 00:00:00 GMT",
    "Fri, 99 Nov 2026 00:00:00 GMT",
)


def test_what_a_client_has_already_is_not_sent_again() -> None:
    async def work() -> None:
        async with serving(V1) as served:
            full = await served.ask("/public/1")
            since = full.headers["Last-Modified"]
            again = await served.ask("/public/1", If_Modified_Since=since)
            older = await served.ask("/public/1", If_Modified_Since="Fri, 20 Nov 2026 00:00:00 GMT")
            nonsense = [await served.ask("/public/1", If_Modified_Since=date) for date in NO_DATES]
        assert (again.status, again.body) == (304, b"")
        assert again.headers["Cache-Control"] == full.headers["Cache-Control"]
        assert not {"Content-Type", "Accept-Ranges"} & set(again.headers)
        assert [(one.status, one.body) for one in (older, *nonsense)] == 5 * [(200, full.body)]

    run(work())


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [
        ("bytes=0-9", 206, (0, 9)),
        ("bytes=370-", 206, (370, 371)),
        ("bytes=-5", 206, (367, 371)),
        ("bytes=-999", 206, (0, 371)),
        ("bytes=300-999", 206, (300, 371)),
        ("bytes=372-", 416, None),
        ("bytes=5-4", 416, None),
        ("bytes=-", 416, None),
        ("lines=1-2", 416, None),
        ("bytes=0-1,3-4", 200, None),
    ],
)
def test_a_part_of_what_never_changes(
    asked: str, status: int, part: tuple[int, int] | None
) -> None:
    async def work() -> None:
        async with serving(V2) as served:
            whole = await served.ask("/info")
            assert len(whole.body) == 372
            answer = await served.ask("/info", Range=asked)
            assert answer.status == status
            if part is not None:
                assert answer.body == whole.body[part[0] : part[1] + 1]
                assert answer.headers["Content-Range"] == f"bytes {part[0]}-{part[1]}/372"
                assert answer.headers["Content-Length"] == str(len(answer.body))
            # What does change is sent whole.
            assert (await served.ask("/public/latest", Range=asked)).status == 200

    run(work())


def test_a_part_of_another_state_is_the_whole() -> None:
    async def work() -> None:
        async with serving(V2) as served:
            modified = (await served.ask("/info")).headers["Last-Modified"]
            same = await served.ask("/info", Range="bytes=0-9", If_Range=modified)
            other = "Fri, 20 Nov 2026 00:00:00 GMT"
            whole = await served.ask("/info", Range="bytes=0-9", If_Range=other)
            assert (same.status, whole.status) == (206, 200)
            newer = await served.ask("/info", If_Unmodified_Since=other)
            assert (newer.status, newer.body) == (412, b"")
            assert (await served.ask("/info", If_Unmodified_Since=modified)).status == 200

    run(work())


def test_every_method_is_answered_and_head_without_a_body() -> None:
    async def work() -> None:
        async with serving(V2) as served:
            got = await served.ask("/info")
            head = await served.ask("/info", "HEAD")
            post = await served.ask("/info", "POST")
        assert (head.status, head.body, post.body) == (200, b"", got.body)
        assert head.headers["Content-Length"] == got.headers["Content-Length"]

    run(work())


def test_answers_are_counted_by_code_and_method() -> None:
    async def work() -> None:
        async with serving(V1) as served:
            for path in ("/info", "/info", "/nope", "/public/x"):
                await served.ask(path)
            refused = await served.ask("/info", "PURGE")
            assert (refused.status, refused.body) == (405, b"")
            assert set(refused.headers) == {"Date", "Content-Length"}
        answered = dict(served.meters.http_answered)
        assert answered == {
            ("200", "get"): 2,
            ("404", "get"): 1,
            ("400", "get"): 1,
            ("405", "unknown"): 1,
        }
        assert served.meters.http_latency["get"].count == 4
        assert served.meters.http_in_flight == 0

    run(work())


@pytest.mark.parametrize("release", RELEASES)
def test_metrics_are_served_at_their_path_alone(release: str) -> None:
    async def work() -> None:
        served = site_of(release)
        site = MetricsSite(SURFACES[release], served.node, served.meters)
        async with (
            listening(site, "127.0.0.1", 0, None) as port,
            aiohttp.ClientSession() as session,
        ):
            served.base, served.session = f"http://127.0.0.1:{port}", session
            found = await served.ask("/metrics")
            assert (await served.ask("/")).status == 404
        assert found.status == 200
        kind = "text/plain; version=0.0.4; charset=utf-8"
        assert found.headers["Content-Type"] == (
            kind if release == V1 else f"{kind}; escaping=underscores"
        )
        assert b"\nis_drand_node 1\n" in found.body

    run(work())


# ---- anything at all -------------------------------------------------------------------------

_PARTS = st.one_of(
    st.sampled_from(["public", "info", "health", "chains", "latest", "", "0", "1", "22", "99999"]),
    st.just(recorded_group(V2).chain().hash().hex()),
    st.text(string.printable, max_size=8),
    st.integers(-1, 2**65).map(str),
)


@settings(max_examples=300)
@given(parts=st.lists(_PARTS, max_size=5), method=st.sampled_from(["GET", "HEAD", "POST", "X"]))
def test_no_path_is_a_servers_error(parts: list[str], method: str) -> None:
    stored = MemoryNetwork(recorded_group(V2), [beacon(number) for number in range(1, 25)])
    served = site_of(V2, network=stored)
    path = "/" + "/".join(parts)
    answer = asyncio.run(served.site.answer(Request(method, path, Conditions())))
    assert answer.status in (200, 400, 404, 405, 503)
    assert (answer.status == 405) == (method == "X")
    assert answer.status != 200 or route_of(path) is not None
    if answer.status != 200:
        assert len(answer.body) < 400


BAD_REQUESTS = (
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET http://[ HTTP/1.1\r\n\r\n",
    b"GET  HTTP/1.1\r\n\r\n",
    b"GET ? HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /info HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
    b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    *(Random(seed).randbytes(40) + b"\r\n\r\n" for seed in range(20)),
)


def test_what_is_no_http_is_refused_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        async with serving(V2) as served:
            for sent in BAD_REQUESTS:
                host, port = served.base.removeprefix("http://").split(":")
                reader, writer = await asyncio.open_connection(host, int(port))
                writer.write(sent)
                assert (await reader.read(100)).split(b" ")[1] == b"400", sent
                writer.close()
            assert (await served.ask("/info")).status == 200

    run(work())
    assert [one.getMessage() for one in caplog.records if one.levelno >= logging.INFO] == []


def test_a_mistake_of_ours_is_logged(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        async with serving(V2) as served:
            monkeypatch.setattr(served.node, "networks", lambda: 1 // 0)
            assert (await served.ask("/info")).status == 500

    run(work())
    assert "Error handling request" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_the_recorded_rounds_are_the_ones_served() -> None:
    for release in RELEASES:
        found = exchanges(release)
        assert recorded_beacon(found["http-public-1.txt"]).round == 1
        assert recorded_beacon(found["http-public-latest.txt"]).round > 20
