"""
The links between nodes: one directed link for each way one node can dial another.

Owns: `Shape` (what can be done to a link), `Link`, and `Mesh`, which changes links through
Toxiproxy and records what the server then says of them. Refuses: a change without a way back: each
is a `with` block that removes exactly what it added.

Dial direction is not byte direction: the link a>b carries the bytes of both directions on
connections that a opened. Bytes that must not flow from a to b need an upstream toxic on a>b and a
downstream one on b>a (`Mesh.one_way`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from chaoskit.errors import ChaosError, NotApplicable
from chaoskit.history import Recorder
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


@dataclass(slots=True)
class Mesh:
    """All links of a cluster and the only way to change them."""

    client: ToxiproxyClient
    links: Mapping[tuple[str, str], Link]
    recorder: Recorder
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

        Raises ToxiproxyFailed when the server refuses; what was done until then is undone.
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
                undoing.callback(self.client.set_enabled, *refusing, enabled=True)
                states = self.client.set_enabled(*refusing, enabled=False)
            if bending or states is None:
                for step_back in self._each(lambda one: self._put_on(*one), bending):
                    undoing.callback(step_back)
                states = self.client.proxies()
            undo = undoing.pop_all()
        try:
            self._take_note(states)
            yield
        finally:
            undo.close()
            self.survey()

    @contextmanager
    def retargeted(self, source: str, target: str, *, ports: Mapping[str, str]) -> Iterator[None]:
        """Lead the link's ports (by name) to other addresses ("host:port") for the block."""
        link = self.link(source, target)
        try:
            for port, upstream in ports.items():
                self.client.set_upstream(link.routes[port].proxy, upstream)
            self.survey()
            yield
        finally:
            for port in ports:
                route = link.routes[port]
                self.client.set_upstream(route.proxy, route.upstream)
            self.survey()

    def survey(self) -> None:
        """Ask the server what lies on each link, and record every link that changed."""
        self._take_note(self.client.proxies())

    def _take_note(self, states: Mapping[str, ProxyState]) -> None:
        """Record every link that changed, by what the server said."""
        for link in self.links.values():
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

    def _put_on(self, proxy: str, shape: Shape) -> Callable[[], None]:
        with ExitStack() as undo:
            for toxic in shape.toxics:
                self.client.add_toxic(proxy, toxic)
                undo.callback(self.client.remove_toxic, proxy, toxic.name)
            return undo.pop_all().close

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
