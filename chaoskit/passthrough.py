"""
The daemon of a faulty mount: a FUSE file system over a backing directory, and the socket that
rules it.

Owns: the mount, the control socket, and how both end. Run by chaoskit.storage, as root, before the
container that uses the mount starts. Refuses: a bad request on its socket; the old rules stay.
What the file system does is in chaoskit.passthrough_operations. Rules: each call has its own
thread, up to THREADS at once; the control socket answers only while the mount is up; SIGTERM
heals, unmounts and ends, within LEAVE_TIMEOUT_S.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import resource
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import mfusepy

from chaoskit.errors import ChaosError
from chaoskit.passthrough_operations import FileInfo, PassedOperations
from chaoskit.storage_control import (
    FILE_SYSTEM,
    MESSAGE_LIMIT_BYTES,
    SOCKET_NAME,
    MountState,
    StorageRules,
    decode_request,
    encode_refusal,
    encode_state,
)
from chaoskit.storage_gate import Gate
from chaoskit.storage_hidden import recover
from chaoskit.storage_syscalls import (
    MNT_DETACH,
    Syscalls,
)

THREADS = 64
CLIENT_TIMEOUT_S = 1.0
"""How long a client of the control socket may keep the others waiting."""
LEAVE_TIMEOUT_S = 2.0
"""How long the calls in flight may take when the daemon is told to end."""

_log = logging.getLogger("chaoskit.passthrough")


class _Session(mfusepy.FUSE):  # type: ignore[misc]  # untyped; made to be overridden
    """
    mfusepy with what it drops: the open file of four calls, the flags of rename, UTIME_NOW and
    UTIME_OMIT.
    """

    def __init__(
        self, operations: PassedOperations, mountpoint: Path, control: ControlServer, **options: Any
    ) -> None:
        self._control = control
        super().__init__(operations, str(mountpoint), raw_fi=True, **options)  # until unmounted

    def init_fuse_3(self, connection: Any, config: Any) -> None:
        super().init_fuse_3(connection, config)
        connection.contents.max_background = THREADS  # else 12 slow read-aheads stall all others
        connection.contents.congestion_threshold = THREADS
        self._control.start()

    def truncate_fuse_3(self, path: bytes | None, length: int, file: Any) -> int:
        return int(self.operations.truncate(_text(path), length, _pointed_at(file)))

    def chmod_fuse_3(self, path: bytes | None, mode: int, file: Any) -> int:
        return int(self.operations.chmod(_text(path), mode, _pointed_at(file)))

    def chown_fuse_3(self, path: bytes | None, uid: int, gid: int, file: Any) -> int:
        kept = 2**32 - 1  # -1, as the kernel's unsigned numbers show it
        owner = (-1 if uid == kept else uid, -1 if gid == kept else gid)
        return int(self.operations.chown(_text(path), *owner, _pointed_at(file)))

    def utimens_fuse_3(self, path: bytes | None, times: Any, file: Any) -> int:
        return int(self.operations.utimens(_text(path), times, _pointed_at(file)))

    def rename_fuse_3(self, old: bytes, new: bytes, flags: int) -> int:
        return int(self.operations.rename(_text(old), _text(new), flags))


class ControlServer:
    """Answers on the control socket, one client after the other, until the process ends."""

    def __init__(self, state: Path, gate: Gate) -> None:
        self._gate = gate
        self._path = state / SOCKET_NAME
        self._path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        directory = os.open(state, os.O_RDONLY | os.O_DIRECTORY)
        try:  # a socket's own path may have 107 bytes only; this one always has few
            self._socket.bind(f"/proc/self/fd/{directory}/{SOCKET_NAME}")
        finally:
            os.close(directory)
        self._path.chmod(0o600)

    def start(self) -> None:
        """Answer from now on: a client that gets through knows that the mount is up."""
        self._socket.listen(16)
        threading.Thread(target=self._serve, name="control", daemon=True).start()

    def close(self) -> None:
        """Take the socket's name away."""
        self._path.unlink(missing_ok=True)

    def _serve(self) -> None:
        while True:
            client, _address = self._socket.accept()
            client.settimeout(CLIENT_TIMEOUT_S)
            with client, contextlib.suppress(OSError):  # a client that went away harms itself only
                client.send(self._answer(client.recv(MESSAGE_LIMIT_BYTES + 1)))

    def _answer(self, request: bytes) -> bytes:
        try:
            rules = decode_request(request)
            if rules is not None:
                self._gate.set_rules(rules)
                _log.info("rules now: %s", rules.document())
            return encode_state(MountState(os.getpid(), *self._gate.snapshot()))
        except ChaosError as error:
            _log.warning("refused a request: %s", error)
            return encode_refusal(str(error))
        except Exception as error:  # noqa: BLE001  # else nobody could heal any more
            _log.exception("a request failed")
            return encode_refusal(f"{type(error).__name__}: {error}")


def main() -> int:
    """Serve one mount until it is unmounted or SIGTERM comes; 0 if that was clean."""
    parser = argparse.ArgumentParser(prog="chaoskit.passthrough", description="one faulty mount")
    parser.add_argument("--backing", type=Path, required=True)
    parser.add_argument("--mountpoint", type=Path, required=True)
    parser.add_argument("--state", type=Path, required=True)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")

    _soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # one for each file its users open
    os.umask(0)  # the kernel has applied the caller's
    gate, syscalls, finished = Gate(), Syscalls(), threading.Event()
    recover(options.backing)
    backing = os.open(options.backing, os.O_RDONLY | os.O_DIRECTORY)
    control = ControlServer(options.state, gate)
    # Blocked here, they stay blocked in every thread of libfuse: only the one below meets them.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
    threading.Thread(
        target=_end_on_signal,
        args=(options.mountpoint, gate, syscalls, control, finished),
        name="end",
        daemon=True,
    ).start()
    os.chdir("/")
    try:
        _Session(
            PassedOperations(backing, gate, syscalls, mfusepy.fuse_get_context),
            options.mountpoint,
            control,
            foreground=True,
            allow_other=True,
            default_permissions=True,
            use_ino=True,
            fsname=str(options.backing).replace(",", "_"),
            subtype=FILE_SYSTEM,
            max_idle_threads=THREADS,
            **({"max_threads": THREADS} if mfusepy.fuse_version_minor >= 12 else {}),
        )
    finally:
        finished.set()
        control.close()
    _log.info("unmounted")
    return 0


def _end_on_signal(
    mountpoint: Path,
    gate: Gate,
    syscalls: Syscalls,
    control: ControlServer,
    finished: threading.Event,
) -> None:
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    gate.set_rules(StorageRules())  # whoever sleeps in a delay goes on
    with contextlib.suppress(OSError):  # not mounted: somebody else was faster
        try:
            syscalls.unmount(str(mountpoint), 0)
        except OSError:
            syscalls.unmount(str(mountpoint), MNT_DETACH)
    if not finished.wait(LEAVE_TIMEOUT_S):
        # A container or an open file still holds the mount: its next call fails, ENOTCONN.
        _log.warning("still in use after %g s: connection closed", LEAVE_TIMEOUT_S)
        control.close()
        os._exit(0)


def _text(path: bytes | None) -> str | None:
    return None if path is None else os.fsdecode(path)


def _pointed_at(file: Any) -> FileInfo | None:
    return file.contents if file else None


if __name__ == "__main__":
    sys.exit(main())
