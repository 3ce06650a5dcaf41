"""
Thousands of inputs to a running node, most of them mutations of valid ones; none may cost anything.

Each example sends a volley and then makes a round that every member signs: the attacked process is
the same, its files are, and its log holds no mistake of ours. Requests over HTTP, files and command
lines are mutations of what was recorded of real releases; calls are mutations of what members,
clients and operators of this network send. Printed: inputs and outcomes by call, route, file kind.

Kept back, and counted, is what would do harm as it was meant to: ending the node, writing outside
the test's folder, dialling addresses that are not this test's.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from grpc import aio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.beacon_inputs import (
    FILE_KINDS,
    NO_FOLDER,
    RECORDED_MEMBERS,
    HttpInput,
    Tally,
    altered,
    altered_text,
    harmless_line,
    mutated,
    mutated_line,
    recorded_command_lines,
    recorded_files,
    recorded_requests,
)
from tests.beacon_network import drand as command_line
from tests.beacon_nodes import HOST
from tests.conftest import TABLE
from tests.test_beacon_hostile import Attacked

# isort: split
# After the vectors, which skip where blspy cannot be installed.
from nodes import bls
from nodes.beacon import calls, layout
from nodes.beacon.calls import CallFailed, Code
from nodes.beacon.core import genesis
from nodes.beacon.errors import BeaconError
from nodes.beacon.group import canonical_id, read_group
from nodes.beacon.http_server import listening
from nodes.beacon.http_sites import MetricsSite, PublicSite
from nodes.beacon.messages import Beacon
from nodes.beacon.meters import Meters
from nodes.beacon.proto import drand_pb2 as drand
from nodes.beacon.proto import health_pb2 as health
from nodes.beacon.releases import CALLS, SURFACES
from nodes.beacon.store import FILE_NAME, open_store
from nodes.beacon.wire import Channel

RELEASE = "v2.1.4"
# Before the genesis of every recorded group: one that is loaded here waits, and dials nobody.
NOW_S = 1_790_000_000.0
FUZZED = "fuzzed"
CALL_S = 60.0
STORE = "drand.db"
LENGTHS = {"calls": 25, "requests": 25, "files": 10, "lines": 10}
EXAMPLES = {"calls": 44, "requests": 20, "files": 30, "lines": 20}
NIGHTLY_TIMES = 50
# 2000 and what may have to be kept back.
assert sum(LENGTHS[kind] * EXAMPLES[kind] for kind in LENGTHS) == 2100

Examples = Callable[[Callable[..., None]], Callable[..., None]]


@dataclass(frozen=True, slots=True)
class Shot:
    """What is sent: one of the targets, changed in some way, by a random of this seed."""

    how: str
    seed: int
    drawn: bytes

    def random(self, number: int) -> Random:
        """What it is changed by; `number` is its place in its volley."""
        return Random(f"{self.seed} {number}")


SHOT = st.builds(
    Shot,
    how=st.sampled_from(["mutated", "mutated", "altered", "altered", "drawn"]),
    seed=st.integers(0, 2**48),
    drawn=st.binary(max_size=60),
)


def examples_of(kind: str, *, nightly: bool) -> Examples:
    """The same inputs each time in `make test`, new ones each night."""
    chosen = settings(
        max_examples=EXAMPLES[kind] * (NIGHTLY_TIMES if nightly else 1),
        derandomize=not nightly,
        database=None,
        # The input at fault is in the message; a volley of seeds does not become simpler.
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    volley = st.lists(SHOT, min_size=LENGTHS[kind], max_size=LENGTHS[kind])

    def decorate(shoot: Callable[..., None]) -> Callable[..., None]:
        return chosen(given(shots=volley)(shoot))

    return decorate


NIGHT = pytest.mark.parametrize(
    "nightly", [False, pytest.param(True, marks=pytest.mark.nightly)], ids=["short", "long"]
)


@dataclass(frozen=True, slots=True)
class Call:
    """A call: its path, how it answers, and valid messages for it at present."""

    path: str
    streams: bool
    valid: Callable[[], Sequence[Any]]


class Fuzzed(Attacked):
    """The attacked node with its control port, its public interface, and its metrics."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, now_s=NOW_S)
        self.scratch = root / "scratch"
        self.scratch.mkdir()

    async def _start(self) -> None:
        await super()._start()
        surface = SURFACES[RELEASE]
        meters = Meters(CALLS[surface.line])
        sites = (
            PublicSite(surface, self.target, meters, self.clock.now_s),
            MetricsSite(surface, self.target, meters),
        )
        self.ports = [
            await self.stack.enter_async_context(listening(site, HOST, 0, None)) for site in sites
        ]
        control = f"{HOST}:{self.target.control_port}"
        self.control = Channel(control, tls=False, trusted=None)
        self.stack.push_async_callback(self.control.close)
        self.private_raw = aio.insecure_channel(self.target.private_address)
        self.control_raw = aio.insecure_channel(control)
        for raw in (self.private_raw, self.control_raw):
            self.stack.push_async_callback(raw.close)

    def survived(self) -> None:
        """What holds after each example, beside a round and the same key files."""
        said = "".join(self.logs[0].lines)
        assert "Traceback" not in said
        assert '"library"' not in said
        self.logs[0].lines.clear()
        assert [network.beacon_id for network in self.target.networks()] == ["default"]
        assert self.has_settled()

    def has_settled(self) -> bool:
        """Whether nobody is sent rounds but the two others, which may have had to be synced."""
        return self.target.networks()[0].streams <= 2

    def rounds_line(self) -> str:
        """How many rounds were made since it was started, and how many ticks came to nothing."""
        return (
            f"{'rounds made by all members so far':<44} {self.rounds:>6}, {self.late} of them late"
        )

    # ---- calls -------------------------------------------------------------------------------

    def _metadata(self) -> drand.Metadata:
        metadata = self.target.networks()[0].packets.metadata()
        assert isinstance(metadata, drand.Metadata)
        return metadata

    def _partials(self) -> Sequence[drand.PartialBeaconPacket]:
        """What the second and third member send for the next round and for the last one."""
        last, metadata = self.target.networks()[0].last(), self._metadata()
        metadata.ClearField("chain_hash")
        scheme, found = self.members.dealt.group.scheme, []
        for _, share in self.members.dealt.members[1:]:
            for number, upon in (
                (last.round + 1, last.signature),
                (last.round, last.previous_signature),
            ):
                signed = bls.sign_partial(
                    scheme, share.secret, share.index, scheme.digest(number, upon)
                )
                found.append(
                    drand.PartialBeaconPacket(
                        round=number, previous_signature=upon, partial_sig=signed, metadata=metadata
                    )
                )
        return found

    def private_calls(self) -> Sequence[Call]:
        """What members and clients ask."""
        metadata = self._metadata
        last = self.target.networks()[0].last
        members = [drand.Address(address=address) for address in self.members.addresses]
        return (
            Call(calls.PARTIAL_BEACON.path, streams=False, valid=self._partials),
            _call(calls.GET_IDENTITY, lambda: drand.IdentityRequest(metadata=metadata())),
            _call(
                calls.SYNC_CHAIN,
                lambda: drand.SyncRequest(from_round=1, metadata=metadata()),
                lambda: drand.SyncRequest(from_round=last().round),
            ),
            _call(
                calls.MEMBER_STATUS,
                lambda: drand.StatusRequest(check_conn=members, metadata=metadata()),
            ),
            _call(
                calls.PUBLIC_RAND,
                lambda: drand.PublicRandRequest(round=1, metadata=metadata()),
                lambda: drand.PublicRandRequest(round=last().round + 1),
                lambda: drand.PublicRandRequest(metadata=metadata()),
            ),
            _call(
                calls.PUBLIC_RAND_STREAM,
                lambda: drand.PublicRandRequest(round=1, metadata=metadata()),
                drand.PublicRandRequest,
            ),
            _call(calls.PUBLIC_CHAIN_INFO, lambda: drand.ChainInfoRequest(metadata=metadata())),
            _call(calls.LIST_BEACON_IDS, drand.ListBeaconIDsRequest),
            _call(calls.HEALTH_CHECK, lambda: health.HealthCheckRequest(service="")),
            Call("/drand.Protocol/BroadcastDKG", streams=False, valid=self._partials),
            Call("/dkg.DKGControl/Command", streams=False, valid=self._partials),
        )

    def control_calls(self) -> Sequence[Call]:
        """What the operator asks."""
        metadata = self._metadata
        members = [drand.Address(address=address) for address in self.members.addresses]
        copy = str(self.scratch / "copy")
        elsewhere = drand.Metadata(beaconID="elsewhere")
        return (
            _call(calls.PING_PONG, lambda: drand.Ping(metadata=metadata())),
            _call(calls.STATUS, lambda: drand.StatusRequest(check_conn=members)),
            _call(calls.LIST_SCHEMES, drand.ListSchemesRequest),
            _call(calls.PUBLIC_KEY, lambda: drand.PublicKeyRequest(metadata=metadata())),
            _call(calls.CHAIN_INFO, lambda: drand.ChainInfoRequest(metadata=metadata())),
            _call(calls.GROUP_FILE, lambda: drand.GroupRequest(metadata=metadata())),
            _call(calls.SHUTDOWN, lambda: drand.ShutdownRequest(metadata=elsewhere)),
            _call(
                calls.LOAD_BEACON,
                lambda: drand.LoadBeaconRequest(metadata=metadata()),
                lambda: drand.LoadBeaconRequest(metadata=elsewhere),
            ),
            _call(
                calls.START_CHECK_CHAIN,
                lambda: drand.StartSyncRequest(up_to=3, metadata=metadata()),
            ),
            _call(
                calls.BACKUP_DATABASE,
                lambda: drand.BackupDBRequest(output_file=copy, metadata=metadata()),
            ),
            _call(
                calls.REMOTE_STATUS,
                lambda: drand.RemoteStatusRequest(addresses=members, metadata=metadata()),
            ),
        )

    def harmless(self, path: str, data: bytes) -> bool:
        """Whether it may be sent: nothing that ends the node, writes or dials elsewhere."""
        asked = _GUARDED.get(path)
        if asked is None:
            return True
        message = asked()
        try:
            message.ParseFromString(data)
        except DecodeError:
            return True
        if isinstance(message, drand.ShutdownRequest):
            try:
                return canonical_id(message.metadata.beaconID) != "default"
            except ValueError:
                return True
        if isinstance(message, drand.BackupDBRequest):
            file = Path(message.output_file)
            return not file.is_absolute() or file.parent == self.scratch
        return {one.address for one in message.addresses} <= {*self.members.addresses, ""}

    async def called(self, raw: Any, call: Call, data: bytes) -> str:
        """The name of the code that a call ends with; of a stream, once it has answered at all."""
        try:
            if call.streams:
                stream = raw.unary_stream(call.path)(data, timeout=CALL_S)
                try:
                    async for _ in stream:
                        break
                finally:
                    stream.cancel()
            else:
                await raw.unary_unary(call.path)(data, timeout=CALL_S)
        except aio.AioRpcError as error:
            code, text = Code(error.code().value[0]), error.details() or ""
            assert code in _EXPECTED, f"{call.path}: {code.spelt}: {text}"
            assert not text.startswith("Unexpected"), f"{call.path}: {text}"
            assert code is not Code.INTERNAL or "unmarshalling" in text, text
            assert len(text) < 1000, text
            return code.spelt
        return "OK"

    # ---- requests ----------------------------------------------------------------------------

    async def requested(self, port: int, data: bytes, ended: asyncio.Event) -> str:
        """The status that bytes to an interface are answered with; `ended`: nothing more comes."""
        reader, writer = await asyncio.open_connection(HOST, port)
        try:
            writer.write(data)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            answer = asyncio.ensure_future(reader.read(1 << 16))
            over = asyncio.ensure_future(ended.wait())
            await asyncio.wait((answer, over), return_when=asyncio.FIRST_COMPLETED)
            over.cancel()
            if not answer.done() and writer.can_write_eof():
                writer.write_eof()
            async with asyncio.timeout(CALL_S):
                said = await answer
        except ConnectionError:
            return "reset"
        finally:
            writer.close()
        if not said:
            return "closed"
        found = re.match(rb"HTTP/\d\.\d (\d{3}) ", said)
        assert found, said[:100]
        status = int(found[1])
        assert status in _STATUSES, (data, said)
        return str(status)


_GUARDED: Mapping[str, Callable[[], Any]] = {
    calls.SHUTDOWN.path: drand.ShutdownRequest,
    calls.BACKUP_DATABASE.path: drand.BackupDBRequest,
    calls.REMOTE_STATUS.path: drand.RemoteStatusRequest,
}
_EXPECTED = {
    Code.UNKNOWN,
    Code.INVALID_ARGUMENT,
    Code.NOT_FOUND,
    Code.PERMISSION_DENIED,
    Code.RESOURCE_EXHAUSTED,
    Code.UNIMPLEMENTED,
    Code.INTERNAL,
}
_STATUSES = {200, 206, 304, 400, 404, 405, 412, 413, 414, 416, 417, 431, 503}


def _call(method: Any, *valid: Callable[[], Any]) -> Call:
    return Call(
        method.path,
        isinstance(method, calls.Stream),
        lambda: [make() for make in valid],
    )


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    with Fuzzed(tmp_path_factory.mktemp("fuzzed")) as made:
        made.attack(_nothing)
        made.attack(_nothing)
        yield made


async def _nothing() -> None:
    return


def told(
    kind: str, tally: Tally, record_property: Callable[[str, object], None], *, nightly: bool
) -> None:
    """Print the table, and hold that so many were sent and at least half were mutations."""
    for line in tally.lines():
        record_property(f"{TABLE}beacon: inputs: {kind}", line)
    wanted = LENGTHS[kind] * EXAMPLES[kind] * (NIGHTLY_TIMES if nightly else 1)
    sent = tally.sent.total() + tally.kept_back.total()
    assert sent >= wanted, f"{sent} of {wanted}"
    assert tally.mutations.total() >= tally.sent.total() / 2


# ---- calls -------------------------------------------------------------------------------------


@NIGHT
def test_calls(
    fuzzed: Fuzzed, record_property: Callable[[str, object], None], *, nightly: bool
) -> None:
    tally = Tally()
    listeners = [
        *((fuzzed.private_raw, one) for one in fuzzed.private_calls()),
        # One in three of all: partials are what a member takes most of.
        *[(fuzzed.private_raw, fuzzed.private_calls()[0])] * 8,
        *((fuzzed.control_raw, one) for one in fuzzed.control_calls()),
    ]

    def input_of(shot: Shot, random: Random, call: Call) -> bytes:
        valid = call.valid()
        if shot.how == "drawn":
            return shot.drawn
        if shot.how == "altered":
            return altered(random.choice(valid), random)
        written = [message.SerializeToString() for message in valid]
        return mutated(random.choice(written), written, random)

    @examples_of("calls", nightly=nightly)
    def shoot(shots: list[Shot]) -> None:
        under_way: list[tuple[str, bool, asyncio.Task[str]]] = []

        async def action() -> None:
            for number, shot in enumerate(shots):
                random = shot.random(number)
                raw, call = random.choice(listeners)
                data = input_of(shot, random, call)
                if not fuzzed.harmless(call.path, data):
                    tally.kept_back[call.path] += 1
                    continue
                task = asyncio.ensure_future(fuzzed.called(raw, call, data))
                under_way.append((call.path, shot.how != "drawn", task))
            # Whoever waits for the next round is left waiting; all else is answered by now or soon.
            await asyncio.wait([task for _, _, task in under_way], timeout=0.02)

        async def afterwards() -> None:
            # Who was taken up after the round waits for the next one.
            while (await asyncio.wait([one for _, _, one in under_way], timeout=0.1))[1]:
                await fuzzed.make_round()
            for path, mutation, task in under_way:
                tally.add(path, await task, mutation=mutation)
            async with asyncio.timeout(CALL_S):
                while not fuzzed.has_settled():
                    await asyncio.sleep(0.001)

        fuzzed.attack(action, afterwards)
        fuzzed.survived()
        for copy in fuzzed.scratch.iterdir():
            copy.unlink()

    shoot()
    told("calls", tally, record_property, nightly=nightly)
    record_property(f"{TABLE}beacon: inputs: calls", fuzzed.rounds_line())


# ---- requests ----------------------------------------------------------------------------------


@NIGHT
def test_requests(
    fuzzed: Fuzzed, record_property: Callable[[str, object], None], *, nightly: bool
) -> None:
    tally = Tally()
    recorded = recorded_requests(fuzzed.members.dealt.group.chain().hash().hex())
    everything = [one.data for one in recorded]
    routes: dict[str, list[HttpInput]] = {}
    for one in recorded:
        routes.setdefault(one.route, []).append(one)
    public, metrics = fuzzed.ports

    def input_of(number: int, shot: Shot) -> HttpInput:
        if shot.how == "drawn":
            return HttpInput("no route", shot.drawn + b"\r\n\r\n")
        random = shot.random(number)
        base = random.choice(routes[random.choice(list(routes))])
        if shot.how == "altered":
            return HttpInput(base.route, altered_text(base.data, random))
        return HttpInput(base.route, mutated(base.data, everything, random))

    @examples_of("requests", nightly=nightly)
    def shoot(shots: list[Shot]) -> None:
        ended = asyncio.Event()
        under_way: list[tuple[str, bool, asyncio.Task[str]]] = []

        async def action() -> None:
            for number, shot in enumerate(shots):
                sent = input_of(number, shot)
                port = metrics if sent.route == "/metrics" else public
                task = asyncio.ensure_future(fuzzed.requested(port, sent.data, ended))
                under_way.append((sent.route, shot.how != "drawn", task))
            await asyncio.wait([task for _, _, task in under_way], timeout=0.02)

        async def afterwards() -> None:
            ended.set()
            for route, mutation, task in under_way:
                tally.add(route, await task, mutation=mutation)

        fuzzed.attack(action, afterwards)
        fuzzed.survived()

    shoot()
    told("requests", tally, record_property, nightly=nightly)
    record_property(f"{TABLE}beacon: inputs: requests", fuzzed.rounds_line())


# ---- files -------------------------------------------------------------------------------------


def _stored(folder: Path, base: Mapping[str, bytes], published: Mapping[str, Any]) -> bytes:
    """The file of a store that holds the rounds that a recorded network published."""
    group = read_group("recorded", base["drand_group.toml"].decode())
    store = open_store(
        folder,
        group.chain().hash(),
        genesis(group.genesis_seed),
        chained=group.scheme.chained,
    )
    for one in published["beacons"]:
        previous = bytes.fromhex(one.get("previous_signature", ""))
        store.append(Beacon(one["round"], previous, bytes.fromhex(one["signature"])))
    store.close()
    return (folder / FILE_NAME).read_bytes()


def _recorded_bases(scratch: Path) -> Sequence[Mapping[str, bytes]]:
    """For each recorded member its files, and a store with what its network published."""
    found = []
    for number, (folder, member) in enumerate(RECORDED_MEMBERS):
        base = recorded_files(folder, member, FUZZED)
        found.append({**base, STORE: _stored(scratch / str(number), base, folder.published)})
    return found


def _waits(group_text: bytes) -> bool:
    """Whether a group that reads has a genesis to come, and members on this machine alone."""
    try:
        group = read_group("mutated", group_text.decode())
    except (BeaconError, UnicodeDecodeError):
        return True
    here = all(one.identity.address.startswith("127.0.0.1:") for one in group.members)
    return here and group.genesis_s > NOW_S + 1_000_000


class OneMember:
    """The files of a network that the attacked node is told to load, and to end again."""

    def __init__(self, fuzzed: Fuzzed) -> None:
        self._fuzzed = fuzzed
        files = layout.Network(fuzzed.members.folders[0], FUZZED)
        self._folder = files.private_key.parent.parent
        self._places = {
            "drand_id.private": files.private_key,
            "drand_id.public": files.public_key,
            "drand_group.toml": files.group,
            "dist_key.private": files.share,
            STORE: files.database / FILE_NAME,
        }

    def leave(self, files: Mapping[str, bytes]) -> None:
        """These files, and nothing else."""
        shutil.rmtree(self._folder, ignore_errors=True)
        for name, path in self._places.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(files[name])

    def _read(self) -> dict[str, bytes]:
        return {name: path.read_bytes() for name, path in self._places.items()}

    async def load(self) -> str:
        """What came of it; the files are as they were."""
        before = self._read()
        metadata = drand.Metadata(beaconID=FUZZED)
        load = drand.LoadBeaconRequest(metadata=metadata)
        try:
            await self._fuzzed.control.call(calls.LOAD_BEACON, load, timeout_s=CALL_S)
        except CallFailed as error:
            refusal: CallFailed | None = error
        else:
            refusal = None
            end = drand.ShutdownRequest(metadata=metadata)
            await self._fuzzed.control.call(calls.SHUTDOWN, end, timeout_s=CALL_S)
        if refusal is not None:
            assert refusal.code is Code.UNKNOWN
            assert not refusal.text.startswith("Unexpected"), refusal.text
            assert 0 < len(refusal.text) < 2000
        after = self._read()
        if not before[STORE]:
            # An empty file is one that was being made, and is made now.
            del before[STORE], after[STORE]
        assert after == before
        return "loaded" if refusal is None else "refused"


@NIGHT
def test_files(
    fuzzed: Fuzzed,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
    *,
    nightly: bool,
) -> None:
    tally = Tally()
    bases = _recorded_bases(tmp_path)
    member = OneMember(fuzzed)
    kinds = (*FILE_KINDS, STORE)

    def left(number: int, shot: Shot) -> str | None:
        """Leave the files of a member, one of them changed; answers which, None for none left."""
        random = shot.random(number)
        base, kind = random.choice(bases), random.choice(kinds)
        if shot.how == "drawn":
            data = shot.drawn
        elif shot.how == "altered" and kind != STORE:
            data = altered_text(base[kind], random)
        else:
            data = mutated(base[kind], [other[kind] for other in bases], random)
        if kind == "drand_group.toml" and not _waits(data):
            tally.kept_back[kind] += 1
            return None
        member.leave({**base, kind: data})
        return kind

    async def unchanged() -> None:
        """As they were left they load: what is refused is refused for its change."""
        for base in bases[::4]:
            member.leave(base)
            assert await member.load() == "loaded"

    @examples_of("files", nightly=nightly)
    def shoot(shots: list[Shot]) -> None:
        async def action() -> None:
            for number, shot in enumerate(shots):
                kind = left(number, shot)
                if kind is not None:
                    tally.add(kind, await member.load(), mutation=shot.how != "drawn")

        fuzzed.attack(action)
        fuzzed.survived()

    fuzzed.attack(unchanged)
    shoot()
    told("files", tally, record_property, nightly=nightly)
    record_property(f"{TABLE}beacon: inputs: files", fuzzed.rounds_line())


# ---- command lines -----------------------------------------------------------------------------


@NIGHT
def test_lines(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
    *,
    nightly: bool,
) -> None:
    """Run in this process, with a daemon to talk to that is not there: an error, an exit code."""
    monkeypatch.chdir(tmp_path)
    tally = Tally()
    recorded = {release: recorded_command_lines(release) for release in (RELEASE, "v1.5.8")}

    @examples_of("lines", nightly=nightly)
    def shoot(shots: list[Shot]) -> None:
        for number, shot in enumerate(shots):
            random = shot.random(number)
            release = random.choice(list(recorded))
            base = random.choice(recorded[release])
            words = mutated_line(base, recorded[release], random)
            if shot.how == "drawn":
                words = tuple(shot.drawn.decode(errors="replace").replace("\0", "").split())
            if not harmless_line(words):
                tally.kept_back[f"{release} {base[0]}"] += 1
                continue
            done = command_line(release, *words, DRAND_CONTROL="1", DRAND_FOLDER=NO_FOLDER)
            assert done.code in (0, 1, 2), words
            assert done.text, words
            assert "Traceback" not in done.text, words
            tally.add(f"{release} {base[0]}", f"exit {done.code}", mutation=shot.how != "drawn")
        for left in tmp_path.iterdir():
            shutil.rmtree(left)

    shoot()
    told("lines", tally, record_property, nightly=nightly)
