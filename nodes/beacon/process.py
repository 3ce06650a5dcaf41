"""
A node as a process: its networks, its listeners, its end.

Owns: the order of starting and stopping. Refuses: folders of which no network can be loaded, ports
that are taken: `start` raises then, and nothing is left running.

Rules:

* Networks are loaded before anything listens. One whose files or store are refused is left out and
  said in the log, and the others run; where none is left the first refusal is raised. (What a
  release does with key pairs before is startup_keys.py's: there one that is refused costs all.)
* A network whose disk fails while it runs ends alone too. When none is left that has a chain, the
  process ends with code 1: what restarts it shall see that.
* The operator's stop is orderly: no new calls, open ones end, and what is on its way to the disk
  arrives.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence

from nodes.beacon import layout
from nodes.beacon.alarm import Alarm
from nodes.beacon.awaiting import Awaiting
from nodes.beacon.channels import Channels
from nodes.beacon.clocking import Clock
from nodes.beacon.control_calls import ControlCalls
from nodes.beacon.core import genesis
from nodes.beacon.errors import BeaconError, FileMissing
from nodes.beacon.eventlog import LibraryLines, Log, stamp
from nodes.beacon.loading import Loaded, Membership, load
from nodes.beacon.member_calls import MemberCalls
from nodes.beacon.meters import Meters
from nodes.beacon.network import Network
from nodes.beacon.options import Options
from nodes.beacon.packets import Packets
from nodes.beacon.peers import Peers
from nodes.beacon.public_calls import PublicCalls
from nodes.beacon.routing import Routing
from nodes.beacon.store import Store, StoreRefused, open_store
from nodes.beacon.surface_view import ConnectionState
from nodes.beacon.versions import version_of
from nodes.beacon.wire import Listener

GRACE_S = 0.1
CONTROL_HOST = "127.0.0.1"
_LIBRARIES = ("grpc", "asyncio", "aiohttp")


class AlreadyRunning(BeaconError):
    """The network runs here already."""


class Daemon:
    """A node; also the NodeView that HTTP and metrics read."""

    def __init__(self, options: Options, meters: Meters, clock: Clock, log: Log) -> None:
        self.options = options
        self.meters = meters
        self.started_s = clock.now_s()
        self._clock = clock
        self._log = log.of("process")
        self._version = version_of(options.surface.version)
        self._routing = self._fresh_routing()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._end: asyncio.Future[int] | None = None
        self._peers: Peers | None = None
        self._private: Listener | None = None
        self._control: Listener | None = None
        self._loading = asyncio.Lock()
        self._address = ""
        self._library = LibraryLines(log.of("library"))

    # ---- starting and stopping -----------------------------------------------------------------

    async def start(self) -> None:
        """Load the folder's networks and listen; raises BeaconError, OSError, nothing left open."""
        options = self.options
        trusted = None if options.trusted is None else options.trusted.read_bytes()
        self._end = asyncio.get_running_loop().create_future()
        try:
            loaded, refused = self._load_all()
            self._address = loaded[0].address
            self._log = self._log.named(self._address)
            channels = Channels(options.dialling, trusted, self._log.of("channels"))
            self._peers = Peers(channels, self.meters)
            self._routing = self._fresh_routing()
            self._library = LibraryLines(self._log.of("library"))
            for name in _LIBRARIES:
                logging.getLogger(name).addHandler(self._library)
            await self._add_all(loaded, refused)
            await self._listen(self._peers)
        except BaseException:
            await self.stop()
            raise
        self._log.info(
            "DrandDaemon initialized",
            private_listen=self.private_address,
            control_port=str(self.control_port),
            folder=str(options.folder / "multibeacon"),
            storage_engine="sqlite",
        )

    async def stop(self) -> None:
        """Stop listening and every network, orderly; a second time does nothing."""
        for listener in (self._control, self._private):
            if listener is not None:
                await listener.stop(GRACE_S)
        self._control = self._private = None
        for network in self._routing.networks():
            await self._drop(network)
        if self._peers is not None:
            await self._peers.close()
        self._peers = None
        for name in _LIBRARIES:
            logging.getLogger(name).removeHandler(self._library)
        self.request_end()

    async def ended(self) -> int:
        """
        Wait until the node is to end; answers the exit code.

        0 when the operator asked for it (`request_end`, by signal or over the control port), 1 when
        its last network failed. Whoever waits calls `stop` then.
        """
        assert self._end is not None, "start comes first"
        return await asyncio.shield(self._end)

    def request_end(self) -> None:
        """Let `ended` answer 0: for signal handlers."""
        self._finish(0)

    def _finish(self, code: int) -> None:
        if self._end is not None and not self._end.done():
            self._end.set_result(code)

    def _fresh_routing(self) -> Routing:
        return Routing(self._version, check_versions=self.options.check_versions, log=self._log)

    async def _listen(self, peers: Peers) -> None:
        options = self.options
        private = Listener(
            (*MemberCalls(self._routing, peers).handlers(), *PublicCalls(self._routing).handlers()),
            self.meters,
        )
        control = Listener(
            ControlCalls(self._routing, peers, load=self.load, end=self.end).handlers(), self.meters
        )
        self._private, self._control = private, control
        listen = options.private_listen or self._address
        await private.start(listen, options.certificate)
        await control.start(f"{CONTROL_HOST}:{options.control_port}", None)

    # ---- networks ------------------------------------------------------------------------------

    async def load(self, beacon_id: str) -> None:
        """Load a network of the folder that does not run; raises BeaconError."""
        async with self._loading:
            if any(network.beacon_id == beacon_id for network in self._routing.networks()):
                raise AlreadyRunning(f"beacon id [{beacon_id}] is already running")
            ending = self._running.get(beacon_id)
            if ending is not None:  # one that failed is not left before its store is closed
                await asyncio.wait((ending,))
            files = layout.Network(self.options.folder, beacon_id)
            await self._add(load(files, self.options.profile.missing_scheme))

    async def end(self, beacon_id: str | None) -> None:
        """End a network, and with the last one, or for None, the node, once this has returned."""
        if beacon_id is not None:
            await self._drop(self._routing.named(beacon_id))
        if beacon_id is None or not self._routing.networks():
            asyncio.get_running_loop().call_later(0.05, self.request_end)

    def _load_all(self) -> tuple[Sequence[Loaded], dict[str, BeaconError]]:
        """What can be loaded, at least one network, and what was refused."""
        folder, wanted = self.options.folder, self.options.beacon_id
        found = layout.networks_in(folder)
        if wanted is not None:
            found = tuple(one for one in found if one.beacon_id == wanted)
        if not found:
            which = "no network" if wanted is None else f"no network {wanted}"
            raise FileMissing(
                f"{folder / 'multibeacon'} holds {which}; generate-keypair makes a key pair there"
            )
        loaded: list[Loaded] = []
        refused: dict[str, BeaconError] = {}
        for files in found:
            try:
                loaded.append(load(files, self.options.profile.missing_scheme))
            except BeaconError as error:
                refused[files.beacon_id] = error
        if not loaded:
            raise next(iter(refused.values()))
        return loaded, refused

    async def _add_all(self, loaded: Sequence[Loaded], refused: dict[str, BeaconError]) -> None:
        for one in loaded:
            try:
                await self._add(one)
            except BeaconError as error:
                refused[one.files.beacon_id] = error
        for beacon_id, refusal in refused.items():
            self._log.error(f"beacon id [{beacon_id}]: left out", err=str(refusal))
        if not self._routing.networks():
            raise next(iter(refused.values()))

    async def _add(self, loaded: Loaded) -> None:
        beacon_id, membership = loaded.files.beacon_id, loaded.membership
        if membership is None:
            self._log.info(
                f"beacon id [{beacon_id}]: will run as fresh install -> expect to run DKG."
            )
            self._routing.add(Awaiting(loaded, Packets(beacon_id, self._version, b"")))
            return
        rounds = await asyncio.to_thread(_opened, loaded, membership)
        assert self._peers is not None
        for member in membership.group.members:
            identity = member.identity
            if identity.address != loaded.address:
                self._peers.know(identity.address, says_tls=bool(identity.tls))
        log = self._log.named(beacon_id)
        group, rule = membership.group, self.options.profile.alarm
        limit = rule.limit(len(group.members), group.threshold) if rule else None
        network = Network(
            loaded,
            membership,
            rounds,
            peers=self._peers,
            packets=Packets(beacon_id, self._version, membership.group.chain().hash()),
            clock=self._clock,
            meters=self.meters,
            alarm=None if limit is None else Alarm(limit, self.options.alarm_s, log),
            log=log,
        )
        last = network.last()
        if last.round and not network.verifies(last):
            await network.close()
            raise StoreRefused(
                f"{rounds.path}: round {last.round} does not verify under the group's key. "
                "Nothing was changed; move the file away to sync the rounds from the others again"
            )
        self._routing.add(network)
        catchup = last.round > 0
        log.info("", beacon_start=stamp(self._clock.now_s()), catchup=catchup, last=last.round)
        self._running[beacon_id] = asyncio.create_task(self._run(network))

    async def _run(self, network: Network) -> None:
        try:
            await network.run()
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - the edge of a network: said, and it ends alone
            self._log.named(network.beacon_id).error(
                "the network ends: an effect could not be carried out", err=repr(error)
            )
        self._routing.drop(network)
        await network.close()
        if not any(isinstance(one, Network) for one in self._routing.networks()):
            self._finish(1)

    async def _drop(self, network: Network | Awaiting) -> None:
        self._routing.drop(network)
        task = self._running.pop(network.beacon_id, None)
        if task is None or not isinstance(network, Network):
            return
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await network.close()

    # ---- the view ------------------------------------------------------------------------------

    @property
    def address(self) -> str:
        """Our own address, host:port, as our identity says."""
        return self._address

    @property
    def private_address(self) -> str:
        """Where we listen for members: host:port with the port that was given or chosen."""
        host = (self.options.private_listen or self._address).rpartition(":")[0]
        return f"{host}:{self._private.port if self._private else 0}"

    @property
    def control_port(self) -> int:
        """Where we listen for the operator, on 127.0.0.1."""
        return self._control.port if self._control else 0

    def networks(self) -> Sequence[Network | Awaiting]:
        """The networks that run at present, in the order in which they were loaded."""
        return self._routing.networks()

    def connections(self) -> Mapping[str, ConnectionState]:
        """The outgoing connections to other members, by their address; none before the first."""
        return {} if self._peers is None else self._peers.states()


def _opened(loaded: Loaded, membership: Membership) -> Store:
    group = membership.group
    return open_store(
        loaded.files.database,
        group.chain().hash(),
        genesis(group.genesis_seed),
        chained=group.scheme.chained,
    )
