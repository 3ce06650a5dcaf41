"""
The second in which a run begins: with the seed it makes the run's name.

Owns: that no two runs of one seed on a host have the same second, whoever started them and wherever
they keep their runs: containers, networks and scratch folders carry the run's name. Refuses:
folders and journals.

Rules: a second is held by an abstract socket, so that whoever is killed holds nothing any more. It
is one host's: runs in two network namespaces that share an engine do not see each other's, and the
engine then refuses the second one's names.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime

from chaoskit import clock

_TIMEOUT_S = 30.0
_POLL_S = 0.05


@contextmanager
def own_second(seed: str) -> Iterator[datetime]:
    """
    Hold the present second, or the first one after it that is free, for a run of this seed.

    Answers the time (UTC). Raises WaitTimeout when others hold every second for 30 s.
    """
    with ExitStack() as held:
        found: list[datetime] = []

        def hold() -> bool:
            now = clock.utc_now()
            holder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                holder.bind(f"\0chaoskit-{now:%Y-%m-%dT%H-%M-%S}-{seed}")
            except OSError:
                holder.close()
                return False
            held.enter_context(holder)
            found.append(now)
            return True

        clock.wait_until(
            hold, what="a second of this run's own", timeout_s=_TIMEOUT_S, poll_s=_POLL_S
        )
        yield found[0]
