"""
The client of a Toxiproxy server.

Owns: every request to Toxiproxy's HTTP API. Refuses: anything it cannot confirm. A change counts
only when a read-back says the same as was asked; an answer other than 2xx, a time-out, or a toxic
that chaoskit cannot have put there raises a `ToxiproxyFailed`.

Rules: it uses toxiproxy-python's classes, bound to one server per client (as shipped they share one
server per process, never time out, swallow answer 500 and do not quote names). Toxiproxy's byte
counters are no evidence (they move only when a connection ends), so there is no reader for them
here. Speaks the HTTP API of Toxiproxy 2.6 to 2.12 (PATCH came with 2.6).
"""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from toxiproxy.api import APIConsumer
from toxiproxy.proxy import Proxy
from toxiproxy.server import Toxiproxy

from chaoskit.connections import Answer, Connections, Outcome, Request
from chaoskit.errors import ChaosError
from chaoskit.toxics import Toxic, from_document, to_document


class ToxiproxyFailed(ChaosError):
    """Toxiproxy refused, did not answer (`status` is None), or did something else."""

    def __init__(self, status: int | None, message: str) -> None:
        self.status = status
        self.message = message
        super().__init__(message if status is None else f"{message} (HTTP {status})")


class ProxyNotFound(ToxiproxyFailed):
    """No proxy of that name on this server."""


class ToxicNotFound(ToxiproxyFailed):
    """The proxy is there, a toxic of that name is not."""


class ToxicExists(ToxiproxyFailed):
    """The proxy already has a toxic of that name: the same kind, stream and amount."""


class BadRequest(ToxiproxyFailed):
    """The server could not make sense of a request: a defect of this module or another API."""


class ServerFailed(ToxiproxyFailed):
    """The server tried and failed (5xx): most often the listen address is taken or not its own."""


class Unreachable(ToxiproxyFailed):
    """No connection to the server, or it broke; whether a change was made is unknown."""


class TimedOut(Unreachable):
    """
    The server did not answer in time; it may still carry out the change later.

    Two ways to get here were measured on 2.12. A PATCH waits for the accept loop, which may sit in
    a dial to an upstream whose address is gone. And a toxic's change waits for each connection's
    writer, which sits in a write when the reader is paused and its buffers are full: then every
    `proxies()` hangs too, until the reader reads on, and for ever when that connection is closed
    instead (Toxiproxy issue 558). Disabling the proxy *first* breaks its connections and is safe.
    """


class NotAsAsked(ToxiproxyFailed):
    """The server accepted a change, and the read-back shows something else."""


def _check_address(field: str, value: str) -> None:
    host, _, port = value.rpartition(":")
    if not host or not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise ValueError(f"{field} is HOST:PORT with a port of 1 to 65535, not {value!r}")


@dataclass(frozen=True, slots=True)
class ProxySpec:
    """
    A proxy as it shall be: what it is called, where it listens, where it forwards to.

    `listen` is an explicit IP:PORT, for the server drops the live connections of a proxy on a
    wildcard whenever it is populated again. `upstream` is HOST:PORT. A name has no slash: the
    server would create such a proxy and never find it again.
    """

    name: str
    listen: str
    upstream: str
    enabled: bool = True

    def __post_init__(self) -> None:
        if not self.name.isprintable() or "/" in self.name or self.name in {"", ".", ".."}:
            raise ValueError(f"a proxy's name is printable and has no slash, not {self.name!r}")
        _check_address("listen", self.listen)
        _check_address("upstream", self.upstream)
        address = ipaddress.ip_address(self.listen.rpartition(":")[0].strip("[]"))
        if address.is_unspecified:
            raise ValueError(f"listen is one explicit address, not the wildcard {self.listen!r}")


@dataclass(frozen=True, slots=True)
class ProxyState:
    """A proxy as the server says it is; `toxics` in the order in which bytes meet them."""

    name: str
    listen: str
    upstream: str
    enabled: bool
    toxics: tuple[Toxic, ...] = ()


class _Api(APIConsumer):  # type: ignore[misc]  # the library has no types
    """The library's API consumer, but of one server: keeps connections, times out, raises."""

    def __init__(self, host: str, port: int, timeout_s: float) -> None:
        self.host = host
        self.port = port
        self._timeout_s = timeout_s
        self._connections = Connections(host, port, timeout_s=timeout_s)
        self.close = self._connections.close

    def get(self, url: str) -> bytes:
        return self.all([Request("GET", url)])[0]

    def delete(self, url: str) -> bytes:
        return self.all([Request("DELETE", url)])[0]

    def post(self, url: str, json: object) -> bytes:
        return self.all([Request("POST", url, json)])[0]

    def patch(self, url: str, json: object) -> bytes:
        return self.all([Request("PATCH", url, json)])[0]

    def all(self, requests: Sequence[Request]) -> list[bytes]:
        """Side by side; raises the first failure when all are over."""
        outcomes = self._connections.ask(requests)
        return [self._body(*pair) for pair in zip(requests, outcomes, strict=True)]

    def _body(self, request: Request, outcome: Outcome) -> bytes:
        method, url = request.method, request.path
        what = f"Toxiproxy at {self.host}:{self.port}, {method} {url}"
        if isinstance(outcome, TimeoutError):
            raise TimedOut(None, f"{what}: no answer in {self._timeout_s:g} s") from outcome
        if not isinstance(outcome, Answer):
            raise Unreachable(None, f"{what}: {outcome}; does the server run?") from outcome
        if 200 <= outcome.status < 300:
            return outcome.body
        text = outcome.body.decode(errors="replace").strip()[:300]
        failed = _kind_of(method, url, outcome.status)
        raise failed(outcome.status, f"{what} was refused: {text}")


def _kind_of(method: str, url: str, status: int) -> type[ToxiproxyFailed]:
    if status == 404 and url.startswith("/proxies/"):
        return ToxicNotFound if method == "DELETE" else ProxyNotFound
    if status == 409:
        return ToxicExists
    if status == 400:
        return BadRequest
    return ServerFailed if status >= 500 else ToxiproxyFailed


class _Handle(Proxy):  # type: ignore[misc]  # the library has no types
    """The library's proxy, but of one server: quotes names, uses PATCH, and can ask anew."""

    def __init__(self, api: _Api, name: str) -> None:
        self.name = name
        self._api = api
        self._url = f"/proxies/{quote(name, safe='')}"

    def state(self) -> ProxyState:
        return _read_state(self._api.get(self._url))

    def switch(self, *, enabled: bool) -> Request:
        return Request("PATCH", self._url, {"enabled": enabled})

    def retarget(self, upstream: str) -> None:
        self._api.patch(self._url, {"upstream": upstream})

    def add_toxic(self, **document: object) -> None:
        self._api.post(f"{self._url}/toxics", json=document)

    def destroy_toxic(self, toxic_name: str) -> None:
        self._api.delete(f"{self._url}/toxics/{quote(toxic_name, safe='')}")


class _Server(Toxiproxy):  # type: ignore[misc]  # the library has no types
    """The library's server, but one per client, and populating in one request."""

    def __init__(self, api: _Api) -> None:
        self._api = api

    def proxies(self) -> dict[str, ProxyState]:
        documents = _read(self._api.get("/proxies"))
        return {name: _state_of(document) for name, document in documents.items()}

    def get_proxy(self, proxy_name: str) -> _Handle:
        return _Handle(self._api, proxy_name)

    def populate(self, proxies: Sequence[ProxySpec]) -> None:
        self._api.post("/populate", json=[asdict(spec) for spec in proxies])

    def version(self) -> str:
        return str(_read(self._api.get("/version")).get("version"))


def _read(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise NotAsAsked(200, f"{body[:80]!r} was the answer: is that a Toxiproxy?")
    return document


def _read_state(body: bytes) -> ProxyState:
    return _state_of(_read(body))


def _state_of(document: Mapping[str, Any]) -> ProxyState:
    try:
        return ProxyState(
            document["name"],
            document["listen"],
            document["upstream"],
            document["enabled"],
            tuple(from_document(toxic) for toxic in document["toxics"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise NotAsAsked(
            200, f"Toxiproxy shows a proxy that chaoskit cannot have made: {document}: {error}"
        ) from error


class ToxiproxyClient:
    """
    One Toxiproxy server, with every change confirmed.

    Bound to `host` (an IP address or a name) and `port` of the server's HTTP API; connecting, and
    waiting for each answer, may take `timeout_s` seconds. Threads may share a client: changes to
    one proxy, with their read-back, run one after the other; changes to different proxies and all
    reads run side by side, so that a change which hangs (see TimedOut) holds up no other proxy's
    heal. Every method raises a ToxiproxyFailed.
    """

    def __init__(self, host: str, port: int, *, timeout_s: float) -> None:
        self._api = _Api(host, port, timeout_s)
        self._server = _Server(self._api)
        self._guard = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections to the server; its proxies stay."""
        self._api.close()

    def populate(self, proxies: Sequence[ProxySpec]) -> None:
        """
        Make these proxies exist as asked, in one request.

        A proxy that is there with the same addresses keeps its connections and its toxics; one with
        other addresses is replaced. Others on the server are left alone. Not atomic: after
        ServerFailed (say, a listen address that is taken) the proxies before the refused one exist.
        """
        _check_distinct(proxies)
        self._server.populate(proxies)
        found = self.proxies()
        for spec in proxies:
            state = found.get(spec.name)
            if state is None or (state.listen, state.upstream) != (spec.listen, spec.upstream):
                raise NotAsAsked(200, f"after /populate: asked for {spec}, the server has {state}")
            if state.enabled != spec.enabled:
                # /populate answers 201 and does nothing to the `enabled` of a proxy it knows
                self.set_enabled(spec.name, enabled=spec.enabled)

    def set_enabled(self, *names: str, enabled: bool) -> Mapping[str, ProxyState]:
        """
        Let these proxies listen, or make them refuse: disabling also closes their connections.

        All are changed side by side; answers the read-back, which is one of all proxies. Raises
        ServerFailed when a listen address cannot be bound again; the others are changed then.
        """
        with ExitStack() as locks:
            # in order, so that two of these never wait for each other
            handles = [locks.enter_context(self._changing(name)) for name in sorted(set(names))]
            self._api.all([handle.switch(enabled=enabled) for handle in handles])
            found = self._server.proxies()
        for name in names:
            state = found.get(name)
            if state is None or state.enabled != enabled:
                raise NotAsAsked(200, f"asked for enabled={enabled}, the server has {state}")
        return found

    def set_upstream(self, name: str, upstream: str) -> None:
        """
        Forward the proxy `name` to `upstream` (HOST:PORT); another one closes its connections.
        """
        _check_address("upstream", upstream)
        with self._changing(name) as proxy:
            proxy.retarget(upstream)
            state = proxy.state()
        if state.upstream != upstream:
            raise NotAsAsked(200, f"asked for upstream={upstream}, the server has {state}")

    def add_toxic(self, proxy: str, toxic: Toxic) -> None:
        """
        Put `toxic` on the proxy, after those already there; raises ToxicExists for a second one of
        its name.
        """
        with self._changing(proxy) as handle:
            handle.add_toxic(**to_document(toxic))
            state = handle.state()
        if toxic not in state.toxics:
            raise NotAsAsked(200, f"asked for {toxic}, the server has {state}")

    def remove_toxic(self, proxy: str, name: str) -> None:
        """
        Take the toxic called `name` off the proxy; raises ToxicNotFound or ProxyNotFound when there
        is none.
        """
        with self._changing(proxy) as handle:
            try:
                handle.destroy_toxic(name)
            except ToxicNotFound:
                handle.state()  # both answers are 404: this one raises ProxyNotFound
                raise
            state = handle.state()
        if name in (toxic.name for toxic in state.toxics):
            raise NotAsAsked(200, f"asked to remove {name}, the server has {state}")

    def proxies(self) -> Mapping[str, ProxyState]:
        """All proxies of the server by name, as it says now."""
        return self._server.proxies()

    def version(self) -> str:
        """What the server calls its release; `git` when it was built by `go install`."""
        return self._server.version()

    @contextmanager
    def _changing(self, name: str) -> Iterator[_Handle]:
        with self._guard:
            lock = self._locks.setdefault(name, threading.Lock())
        with lock:
            yield self._server.get_proxy(name)


def _check_distinct(proxies: Sequence[ProxySpec]) -> None:
    for field in ("name", "listen"):
        values = [getattr(spec, field) for spec in proxies]
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            raise ValueError(f"two proxies with the same {field}: {', '.join(twice)}")


def server_binary() -> Path:
    """
    The toxiproxy-server to run: from the PATH, else from the cache that `make setup` fills.

    The cache is $CHAOSKIT_CACHE, else ~/.cache/chaoskit. Raises ChaosError when neither has one.
    """
    cache = Path(os.environ.get("CHAOSKIT_CACHE") or Path.home() / ".cache" / "chaoskit")
    folder = cache / "bin"
    for path in (None, str(folder)):
        found = shutil.which("toxiproxy-server", path=path)
        if found:
            return Path(found)
    raise ChaosError(f"no toxiproxy-server on the PATH or in {folder}: run `make setup`")
