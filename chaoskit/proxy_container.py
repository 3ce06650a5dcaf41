"""
One of a cluster's two Toxiproxy containers: its image, its network, its counters and its gate.

Owns: making the image out of the server's binary, starting the container and loading the rules into
its network before anything is dialled. Refuses: creating the container (the backend does, with its
labels and its journal).
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

from chaoskit.clock import wait_until
from chaoskit.engine import Engine
from chaoskit.errors import ChaosError
from chaoskit.namespace import Namespace
from chaoskit.packets import Counters, Leg
from chaoskit.toxiproxy import server_binary

PROXY_RELEASE = "2.12.0"
_PROXY_REPOSITORY = "chaoskit/toxiproxy"
API_PORT = 8474
_START_TIMEOUT_S = 20.0


def ensure_proxy_image(engine: Engine) -> str:
    """
    The reference of the Toxiproxy image, made from the server's binary when it is absent.

    Raises ChaosError, saying what to run, when there is neither.
    """
    reference = f"{_PROXY_REPOSITORY}:{PROXY_RELEASE}"
    if engine.image(reference) is None:
        engine.import_binary(server_binary(), repository=_PROXY_REPOSITORY, tag=PROXY_RELEASE)
    return reference


class ProxyContainer:
    """One Toxiproxy container: its namespace, its counters and its gate."""

    def __init__(self, container: str, address: str, legs: Sequence[Leg], link_range: str) -> None:
        self.container = container
        self.address = address
        self._legs = legs
        self._range = link_range
        self._namespace: Namespace | None = None
        self._counters: Counters | None = None

    def enter(self, engine: Engine) -> None:
        """Start it, load its rules, and wait until its API answers, from inside its network."""
        engine.start(self.container)
        namespace = Namespace(engine.state(self.container).pid)
        self._namespace = namespace
        self._counters = Counters(namespace, self._legs)
        self._counters.install(link_range=self._range)

        def answers() -> bool:
            try:
                socket.create_connection((self.address, API_PORT), 0.05).close()
            except OSError:
                return False
            return True

        namespace.run(
            lambda: wait_until(
                answers, what="Toxiproxy's API", timeout_s=_START_TIMEOUT_S, poll_s=0.005
            ),
            timeout_s=_START_TIMEOUT_S + 1,
        )

    @property
    def counters(self) -> Counters:
        """The rules in its network. Raises ChaosError before `enter`."""
        if self._counters is None:
            raise ChaosError(f"the proxy {self.container} has not been started")
        return self._counters

    @property
    def namespace(self) -> Namespace:
        """Its network. Raises ChaosError before `enter`."""
        if self._namespace is None:
            raise ChaosError(f"the proxy {self.container} has not been started")
        return self._namespace

    def leave(self) -> None:
        """Close the namespace."""
        if self._namespace is not None:
            self._namespace.close()
