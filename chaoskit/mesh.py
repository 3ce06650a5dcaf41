"""
The links between nodes: one directed link for each way one node can dial another.

Owns: `Shape` (what can be done to a link), `Link`, and `Mesh`, which changes links through
Toxiproxy and records what the server then says of them. Refuses: a change without a way back: each
is a `with` block. Blocks on one link compose, in whatever order they end: a link refuses dials as
long as any of them has it refuse, a toxic lies on it as long as any of them put it there, and it
leads where the block that began last, of those that have not ended, leads it.

Dial direction is not byte direction: the link a>b carries the bytes of both directions on
connections that a opened. Bytes that must not flow from a to b need an upstream toxic on a>b and a
downstream one on b>a (`Mesh.one_way`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from chaoskit.errors import ChaosError, NotApplicable
from chaoskit.history import Recorder
from chaoskit.layers import Layers
from chaoskit.toxics import (
    Bandwidth,
    Latency,
    ResetPeer,
    SlowClose,
    Stream,
    Timeout,
    Toxic,
)
from chaoskit.toxiproxy import ProxySpec, ProxyState, ToxiproxyClient

BOTH: tuple[Stream, Stream] = ("upstream", "downstream")
_PARALLEL_CALLS = 4
_REFUSAL = "refuses dials"


@dataclass(frozen=True, slots=True)
class Shape:
    """What is done to a link: toxics on its streams, or refusing every dial."""

    label: str
    toxics: tuple[Toxic, ...] = ()
    disabled: bool = False

    @property
    def cutting(self) -> bool:
        """Whether bytes of at least one direction cannot pass."""
        return self.disabled or any(toxic.cutting for toxic in self.toxics)


def refused() -> Shape:
    """Open connections end, new ones are refused: a crashed or firewalled peer that says so."""
    return Shape("refused", disabled=True)


def dropped(streams: Sequence[Stream] = BOTH) -> Shape:
    """Bytes vanish and nobody is told; connections end when it is removed."""
    return Shape(f"dropped {'+'.join(streams)}", tuple(Timeout(0.0, one) for one in streams))


def stalled() -> Shape:
    """Half-open: bytes are stored, connections live, and all is delivered when it is removed."""
    return Shape("stalled", tuple(Bandwidth(0, one) for one in BOTH))


def delayed(delay_s: float) -> Shape:
    """Every chunk is late by `delay_s` in each direction."""
    return Shape(f"delayed {delay_s:g} s", tuple(Latency(delay_s, one) for one in BOTH))


def limited(rate_kb_per_s: int) -> Shape:
    """At most `rate_kb_per_s` kilobytes a second pass in each direction."""
    if rate_kb_per_s < 1:
        raise ValueError("a rate of 0 is a stall: use stalled()")
    return Shape(
        f"limited to {rate_kb_per_s} kB/s", tuple(Bandwidth(rate_kb_per_s, one) for one in BOTH)
    )


def reset() -> Shape:
    """Open connections end, new ones are accepted and reset at once."""
    return Shape("reset", tuple(ResetPeer(0.0, one) for one in BOTH))


def closed_late(delay_s: float) -> Shape:
    """A close on one side reaches the other `delay_s` later."""
    return Shape(f"closed {delay_s:g} s late", tuple(SlowClose(delay_s, one) for one in BOTH))


@dataclass(frozen=True, slots=True)
class Route:
    """One port of a link: its proxy's name and addresses ("host:port")."""

    proxy: str
    listen: str
    upstream: str


@dataclass(frozen=True, slots=True)
class Link:
    """
    The directed path by which `source` dials `target`, one route per linked port.

    `upstream_host` is the target as the proxy dials it.
    """

    source: str
    target: str
    address: str
    upstream_host: str
    routes: Mapping[str, Route]

    @property
    def name(self) -> str:
        """Its name, such as "e1>e2"."""
        return f"{self.source}>{self.target}"

    def specs(self) -> list[ProxySpec]:
        """Its proxies, as they are when nothing is done to it."""
        return [
            ProxySpec(route.proxy, listen=route.listen, upstream=route.upstream)
            for route in self.routes.values()
        ]


def link_between(
    source: str, target: str, *, address: str, upstream_host: str, ports: Mapping[str, int]
) -> Link:
    """Make a link whose linked ports are `ports` (numbers by name)."""
    routes = {
        port: Route(f"{source}>{target}:{port}", f"{address}:{number}", f"{upstream_host}:{number}")
        for port, number in ports.items()
    }
    return Link(source, target, address, upstream_host, routes)


@dataclass(frozen=True, slots=True)
class _Lead:
    """A proxy leads elsewhere."""

    upstream: str


@dataclass(slots=True)
class Mesh:
    """All links of a cluster and the only way to change them."""

    client: ToxiproxyClient
    links: Mapping[tuple[str, str], Link]
    recorder: Recorder
    _layers: Layers = field(default_factory=Layers)
    _noting: threading.Lock = field(default_factory=threading.Lock)
    _said: dict[str, str] = field(default_factory=dict)
    _cut: set[str] = field(default_factory=set)

    def populate(self) -> None:
        """Create every proxy in one call and record every link as open."""
        if self.links:
            self.client.populate([spec for link in self.links.values() for spec in link.specs()])
        self.survey()

    def link(self, source: str, target: str) -> Link:
        """The link source>target. Raises NotApplicable when there is none."""
        try:
            return self.links[source, target]
        except KeyError:
            raise NotApplicable(f"there is no link {source}>{target} in this cluster") from None

    def between(self, some: Iterable[str], others: Iterable[str]) -> list[Link]:
        """Every link from one of `some` to one of `others` and back."""
        ones, twos = list(some), list(others)
        pairs = [(a, b) for a in ones for b in twos if a != b]
        found = [self.link(a, b) for a, b in pairs] + [self.link(b, a) for a, b in pairs]
        return list({link.name: link for link in found}.values())

    def to(self, target: str) -> list[Link]:
        """Every link by which somebody dials `target`."""
        return [link for link in self.links.values() if link.target == target]

    def of(self, source: str) -> list[Link]:
        """Every link by which `source` dials somebody."""
        return [link for link in self.links.values() if link.source == source]

    def one_way(self, source: str, target: str) -> dict[str, Shape]:
        """The shapes by link name under which no byte flows from `source` to `target`."""
        return {
            self.link(source, target).name: dropped(("upstream",)),
            self.link(target, source).name: dropped(("downstream",)),
        }

    @contextmanager
    def shaped(self, shapes: Mapping[str, Shape]) -> Iterator[None]:
        """
        Do `shapes` (by link name) to their links for the length of the block, side by side.

        What other blocks did to these links stays. Raises ToxiproxyFailed when the server refuses;
        what was done until then is undone.
        """
        by_name = {link.name: link for link in self.links.values()}
        changes = [
            (route.proxy, shape)
            for name, shape in shapes.items()
            for route in by_name[name].routes.values()
        ]
        refusing = [proxy for proxy, shape in changes if shape.disabled]
        bending = [(proxy, shape) for proxy, shape in changes if not shape.disabled]
        with ExitStack() as undoing:
            states = None
            if refusing:
                undoing.callback(self._let, refusing)
                states = self._refuse(refusing)
            if bending or states is None:
                for step_back in self._each(lambda one: self._put_on(*one), bending):
                    undoing.callback(step_back)
                states = self.client.proxies()
            undo = undoing.pop_all()
        try:
            with self._noting:
                self._take_note(states, [by_name[name] for name in shapes])
            yield
        finally:
            undo.close()
            self.survey()

    @contextmanager
    def retargeted(self, source: str, target: str, *, ports: Mapping[str, str]) -> Iterator[None]:
        """Lead the link's ports (by name) to other addresses ("host:port") for the block."""
        link = self.link(source, target)
        with ExitStack() as undoing:
            undoing.callback(self.survey)
            for port, upstream in ports.items():
                undoing.callback(self._lead_back, link.routes[port], _Lead(upstream))
                self._lead(link.routes[port], _Lead(upstream))
            self.survey()
            yield

    def survey(self) -> None:
        """Ask the server what lies on each link, and record every link that changed."""
        with self._noting:  # nobody records what was changed since before what was asked before
            self._take_note(self.client.proxies(), self.links.values())

    def _take_note(self, states: Mapping[str, ProxyState], links: Iterable[Link]) -> None:
        """Record those of the links that changed, by what the server said."""
        for link in links:
            found = [states[route.proxy] for route in link.routes.values() if route.proxy in states]
            if len(found) != len(link.routes):
                raise ChaosError(f"Toxiproxy has lost a proxy of the link {link.name}")
            shape = ", ".join(_said_of(state, link) for state in found)
            cut = any(_cuts(state) for state in found)
            (self._cut.add if cut else self._cut.discard)(link.name)
            if self._said.get(link.name) != shape:
                self._said[link.name] = shape
                value = {
                    "source": link.source,
                    "target": link.target,
                    "cut": cut,
                    "shape": shape,
                }
                self.recorder.record("chaoskit", "link", value)

    def cut_links(self) -> frozenset[str]:
        """The names of the links that were cut when the server was last asked."""
        return frozenset(self._cut)

    def tampered_with(self, name: str) -> bool:
        """Whether any block has done something to the link of that name, and has not ended."""
        return any(self._layers.on(proxy) for proxy in self._proxies_of(name))

    def when_bare(self, name: str, call: Callable[[], None]) -> None:
        """Keep a call for when no block does anything to the link of that name any more."""
        self._layers.when_bare(self._proxies_of(name), call)

    def due(self) -> list[Callable[[], None]]:
        """The calls that were kept and whose time has come, each once."""
        return self._layers.due()

    def _proxies_of(self, name: str) -> list[str]:
        return [
            route.proxy
            for link in self.links.values()
            if link.name == name
            for route in link.routes.values()
        ]

    def pristine(self) -> bool:
        """Whether every link is as it was made, by the server's word."""
        states = self.client.proxies()
        return all(
            route.proxy in states
            and states[route.proxy].enabled
            and not states[route.proxy].toxics
            and states[route.proxy].upstream == route.upstream
            for link in self.links.values()
            for route in link.routes.values()
        )

    def _refuse(self, proxies: Sequence[str]) -> Mapping[str, ProxyState]:
        with self._layers.held(*proxies):
            for proxy in proxies:
                self._layers.lay(proxy, _REFUSAL)
            return self.client.set_enabled(*proxies, enabled=False)

    def _let(self, proxies: Sequence[str]) -> None:
        """Dials are let through again, where no other block has them refused."""
        with self._layers.held(*proxies):
            free = [proxy for proxy in proxies if self._layers.lift(proxy, _REFUSAL)]
            if free:
                self.client.set_enabled(*free, enabled=True)

    def _lead(self, route: Route, lead: _Lead) -> None:
        with self._layers.held(route.proxy):
            self._layers.lay(route.proxy, lead)
            self.client.set_upstream(route.proxy, lead.upstream)

    def _lead_back(self, route: Route, lead: _Lead) -> None:
        """To where the newest block that is left leads it, else to where it led first."""
        with self._layers.held(route.proxy):
            self._layers.lift(route.proxy, lead)
            left = [one for one in self._layers.on(route.proxy) if isinstance(one, _Lead)]
            self.client.set_upstream(route.proxy, left[-1].upstream if left else route.upstream)

    def _put_on(self, proxy: str, shape: Shape) -> Callable[[], None]:
        with ExitStack() as undo:
            for toxic in shape.toxics:
                with self._layers.held(proxy):
                    if toxic not in self._layers.on(proxy):
                        self.client.add_toxic(proxy, toxic)
                    self._layers.lay(proxy, toxic)
                undo.callback(self._take_off, proxy, toxic)
            return undo.pop_all().close

    def _take_off(self, proxy: str, toxic: Toxic) -> None:
        """Unless another block has put the same there."""
        with self._layers.held(proxy):
            if self._layers.lift(proxy, toxic):
                self.client.remove_toxic(proxy, toxic.name)

    def _each(
        self,
        change: Callable[[tuple[str, Shape]], Callable[[], None]],
        changes: Sequence[tuple[str, Shape]],
    ) -> list[Callable[[], None]]:
        """Carry out all changes; if one fails, undo the others and raise its failure."""
        with ThreadPoolExecutor(_PARALLEL_CALLS, thread_name_prefix="mesh") as pool:
            calls = [pool.submit(change, one) for one in changes]
        failures = [call.exception() for call in calls]
        undo = [call.result() for call, bad in zip(calls, failures, strict=True) if bad is None]
        first = next((bad for bad in failures if bad is not None), None)
        if first is not None:
            for one in undo:
                one()
            raise first
        return undo


def _cuts(state: ProxyState) -> bool:
    return not state.enabled or any(toxic.cutting for toxic in state.toxics)


def _said_of(state: ProxyState, link: Link) -> str:
    if not state.enabled:
        return "refused"
    words = [toxic.name for toxic in state.toxics]
    if all(route.upstream != state.upstream for route in link.routes.values()):
        words.append(f"leads to {state.upstream}")
    return "+".join(words) or "open"
