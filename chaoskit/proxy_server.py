"""
One of a cluster's two Toxiproxy servers: a process in a network of its own on the cluster's bridge.

Owns: that network (one device on the bridge, the address range of its links, the counters and the
gate, all in place before anything is dialled), starting the server in it as the nodes' user without
any right, and its end. Refuses: the bridge itself, which is the engine's.

Why no container: the engine takes 200 ms of both cores to start one, and this takes 30. The network
is gone with its last process, and its device with it, so the server's process is all there is to
journal.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from chaoskit.clock import wait_until
from chaoskit.errors import ChaosError
from chaoskit.journal import Journal
from chaoskit.namespace import Namespace
from chaoskit.ownership import Kind
from chaoskit.packets import Counters, Leg
from chaoskit.toxiproxy import server_binary

API_PORT = 8474
_START_TIMEOUT_S = 20.0
_END_TIMEOUT_S = 10.0
_CALL_TIMEOUT_S = 10.0
_SETTINGS = {
    "ipv4/ip_unprivileged_port_start": "0",  # a node's port may be any, and so its links'
    "ipv6/conf/all/disable_ipv6": "1",
}


@dataclass(frozen=True, slots=True)
class Berth:
    """
    Where a server lies: its address with the subnet's length in bits, the range of its links
    (CIDR), the engine's bridge, and what its device on the host is called (at most 15 characters).
    """

    address: str
    subnet_bits: int
    link_range: str
    bridge: str
    device: str


class ProxyServer:
    """One server; `name` is what the journal calls it, `owner` the uid and gid it runs under."""

    def __init__(
        self, name: str, berth: Berth, legs: Sequence[Leg], *, owner: tuple[int, int]
    ) -> None:
        self.name = name
        self.address = berth.address
        self._berth = berth
        self._legs = legs
        self._owner = owner
        self._namespace: Namespace | None = None
        self._counters: Counters | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, journal: Journal, *, log: Path) -> None:
        """
        Make its network on the bridge, load the rules, start it, and wait until its API answers.

        Raises ChaosError when the server's binary is not here, or it ends at once.
        """
        binary = server_binary()
        namespace = self._namespace = Namespace.made()
        namespace.run(self._plug_in, timeout_s=_CALL_TIMEOUT_S)
        _ip(f"link set {self._berth.device} master {self._berth.bridge} up\n")
        counters = Counters(namespace, self._legs)
        counters.install(link_range=self._berth.link_range)
        self._counters = counters
        journal.will_create(Kind.PROCESS, self.name)
        self._spawn(binary, journal, log)
        namespace.run(
            lambda: wait_until(
                lambda: self._answers(log),
                what="Toxiproxy's API",
                timeout_s=_START_TIMEOUT_S,
                poll_s=0.005,
            ),
            timeout_s=_START_TIMEOUT_S + 1,
        )

    def _plug_in(self) -> None:
        """Inside: the device, whose other end goes to the host's network, and its address."""
        for setting, value in _SETTINGS.items():
            path = Path("/proc/sys/net", setting)
            if path.exists():
                path.write_text(value)
        _ip(
            "link set lo up\n"
            f"link add eth0 type veth peer name {self._berth.device} netns {os.getpid()}\n"
            f"addr add {self.address}/{self._berth.subnet_bits} dev eth0\n"
            "link set eth0 up\n"
        )

    def _spawn(self, binary: Path, journal: Journal, log: Path) -> None:
        """
        The server in its network, under its owner: no groups, no capability now or ever.

        By nsenter(1) and setpriv(1), which become the server, and from a thread that is in no
        network of ours: a fork in such a thread runs handlers of libraries there (gRPC starts its
        threads anew), and they would stay in that network. By a descriptor, since its owner may not
        see the folder that the binary lies in; by a shell, so that it has its name in a list of
        processes.
        """
        user, group = self._owner
        descriptor = os.open(binary, os.O_RDONLY)
        try:
            with log.open("ab") as file:
                self._process = subprocess.Popen(
                    [
                        "nsenter",
                        f"--net=/proc/{os.getpid()}/task/{self.namespace.pid}/ns/net",
                        *("setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups"),
                        *("--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"),
                        *("bash", "-c", 'exec -a toxiproxy-server "$0" "$@"'),
                        f"/proc/self/fd/{descriptor}",
                        *("-host", self.address, "-port", str(API_PORT)),
                    ],
                    pass_fds=(descriptor,),
                    cwd="/",
                    env=journal.environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            raise ChaosError(f"cannot start {binary}: {error.strerror}") from error
        finally:
            os.close(descriptor)
        try:
            journal.made(self.name, self._process.pid)
        except ChaosError:
            if self._process.poll() is None:
                raise
            # It has ended already: `_answers` tells that, with its last words.

    def _answers(self, log: Path) -> bool:
        code = self._process.poll() if self._process is not None else None
        if code is not None:
            said = " / ".join(log.read_text(errors="replace").splitlines()[-3:])
            raise ChaosError(f"{self.name} ended at once with {code}: {said or 'it said nothing'}")
        with suppress(OSError):
            socket.create_connection((self.address, API_PORT), 0.05).close()
            return True
        return False

    @property
    def counters(self) -> Counters:
        """The rules in its network. Raises ChaosError before its start."""
        if self._counters is None:
            raise ChaosError(f"{self.name} has not been started")
        return self._counters

    @property
    def namespace(self) -> Namespace:
        """Its network. Raises ChaosError before its start."""
        if self._namespace is None:
            raise ChaosError(f"{self.name} has not been started")
        return self._namespace

    def stop(self, journal: Journal) -> None:
        """SIGKILL, and let go of its network; one that was never started is fine."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_END_TIMEOUT_S)
        if self._namespace is not None:
            self._namespace.close()
        journal.removed(Kind.PROCESS, self.name)


def _ip(script: str) -> None:
    """Run lines of ip(8) in the network of the calling thread."""
    done = subprocess.run(
        ["ip", "-batch", "-"],
        input=script,
        text=True,
        capture_output=True,
        check=False,
        timeout=_CALL_TIMEOUT_S,
    )
    if done.returncode != 0:
        raise ChaosError(f"ip -batch failed with {done.returncode}: {done.stderr.strip()}")
