"""
A cluster's network on the engine: its containers' starts, and letting go of it.

Owns: how the engine's count of a network's endpoints is treated. Refuses: subnets (`addressing`).

The engine keeps that count apart from the endpoints. Seen on 20.10, five times in two days,
and known to its makers (moby issue 43286): the count stays above zero when the last container is
gone, and nothing but the engine's restart lets such a network be removed. By the engine's source an
increment that overlaps another change may be counted twice. So containers of one network are
started one after the other, which is not proven to help, and a network that is lost all the same is
left for a later sweep: it is empty, and says nothing about the system under test.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Protocol

from chaoskit.clock import wait_until
from chaoskit.errors import EngineFailed, WaitTimedOut

_POLL_S = 0.1


class MiscountedNetwork(EngineFailed):
    """The engine holds on to a network for an endpoint that no container has."""


class _Networks(Protocol):
    """The little of an engine that a network needs; its methods raise EngineFailed."""

    def start(self, container: str) -> None: ...

    def remove_network(self, network: str) -> None: ...


class Network:
    """A network that was made; `network` is the engine's id of it, `name` is for people."""

    def __init__(self, engine: _Networks, network: str, *, name: str) -> None:
        self._engine = engine
        self.id = network
        self._name = name
        self._starting = threading.Lock()

    def start(self, container: str) -> None:
        """Start one of its containers, while no other of its containers is being started."""
        with self._starting:
            self._engine.start(container)

    def remove(self, *, timeout_s: float) -> bool:
        """
        Remove it, once its containers are gone; False when the engine has miscounted.

        The engine lets go of an endpoint a while after its container is gone, so it is asked again
        for `timeout_s` seconds. Raises WaitTimedOut when a container still holds the network then.
        """
        refusals: list[EngineFailed] = []

        def gone() -> bool:
            try:
                self._engine.remove_network(self.id)
            except EngineFailed as error:
                refusals.append(error)
                return False
            return True

        try:
            return wait_until(
                gone,
                what=f"the network {self._name} to be removed",
                timeout_s=timeout_s,
                poll_s=_POLL_S,
                last=lambda: str(refusals[-1]),
            )
        except WaitTimedOut:
            if isinstance(refusals[-1], MiscountedNetwork):
                return False
            raise


def refusal(error: EngineFailed, network: Mapping[str, Any]) -> EngineFailed:
    """What to say of an engine that refused to remove `network` (its document on it)."""
    if "has active endpoints" not in str(error) or network.get("Containers"):
        return error
    return MiscountedNetwork(
        f"{error}; but no container is in it: the engine has miscounted (moby issue 43286), and"
        " holds it until the engine is restarted. Then `chaoskit sweep` removes it"
    )
