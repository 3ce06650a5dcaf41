"""
What this host can do, and what each missing thing costs.

Owns: the probes behind `chaoskit doctor`, each of one thing, and the two ways to print what they
found. Refuses: guesses from names of files where trying costs little (packet rules and netem are
tried in a network namespace of their own, a throttle in a control group of its own), and every
change that would outlive the probe. A probe that cannot be made says so: it is a finding, never
an exception.
"""

from __future__ import annotations

import http.client
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from chaoskit import clock, wallclock
from chaoskit.errors import ChaosError
from chaoskit.toxiproxy import server_binary

SCHEMA_VERSION = 1
_CALL_TIMEOUT_S = 5.0
_DEFAULT_ENGINE = "unix:///var/run/docker.sock"
_TOXIPROXY_RELEASE = "2.12.0"
_MEMORY_WANTED_BYTES = 2 << 30
_DISK_WANTED_BYTES = 5 << 30
_SKEW_S = 3600
_CGROUP = Path("/sys/fs/cgroup")
# What a cluster's network needs of nftables: maps, named counters, translated addresses, resets.
_PACKET_RULES = """
table ip chaoskit_doctor {
  counter sent_1 { }
  map sent { type ipv4_addr : counter; elements = { 192.0.2.1 : "sent_1" } }
  map real { type ipv4_addr : ipv4_addr; elements = { 192.0.2.1 : 127.0.0.1 } }
  set dead { type ipv4_addr; }
  chain translate { type nat hook output priority -100; dnat to ip daddr map @real; }
  chain leaving { type filter hook output priority -150;
    ip daddr @dead tcp flags & (syn | ack) == syn reject with tcp reset
    counter name ip daddr map @sent
  }
}
"""


class State(StrEnum):
    """How much of a thing this host has."""

    OK = "ok"
    LIMITED = "limited"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: what was found (`detail`) and what its lack `costs` (empty when ok)."""

    name: str
    state: State
    detail: str
    costs: str = ""

    def __post_init__(self) -> None:
        if not self.name or not self.detail:
            raise ValueError("a finding has a name and a detail")
        if (self.state is State.OK) != (not self.costs):
            raise ValueError(f"{self.name}: what is ok costs nothing, what is not costs something")


def examine() -> tuple[Finding, ...]:
    """Try everything, in the order in which a person should read it; takes about a second."""
    probes: tuple[Callable[[], Finding], ...] = (
        _host,
        _engine,
        _toxiproxy,
        _fuse,
        _blkio,
        _host_rules,
        _link_rules,
        _netem,
        _clock,
        _nginx,
        _memory,
        _disk,
    )
    return tuple(probe() for probe in probes)


def render_plain(findings: Sequence[Finding]) -> str:
    """A line a finding: name, state, what was found; below it what its lack costs."""
    lines = []
    for one in findings:
        lines.append(f"{one.name:<10}  {one.state:<7}  {one.detail}")
        lines += [f"{'':<21}{one.costs}"] if one.costs else []
    return "\n".join(lines)


def to_json(findings: Sequence[Finding]) -> str:
    """The findings as one JSON object: `schema_version` and `findings`, a list of objects."""
    document = {
        "schema_version": SCHEMA_VERSION,
        "findings": [asdict(finding) for finding in findings],
    }
    return json.dumps(document, indent=2)


# ---- probes, in the order of `examine`


def _host() -> Finding:
    release = platform.freedesktop_os_release() if Path("/etc/os-release").exists() else {}
    system = release.get("NAME", platform.system()).removesuffix(" GNU/Linux")
    kernel = ".".join(platform.release().split(".")[:2])
    cores = len(os.sched_getaffinity(0))
    detail = (
        f"{system} {release.get('VERSION_ID', '')}, {cores} cores, kernel {kernel}, "
        f"cgroup v{_cgroup_version()}, {'root' if _is_root() else 'not root'}"
    )
    if _is_root():
        return Finding("host", State.OK, detail)
    costs = "no links counted by the kernel, no storage faults: the process backend alone"
    return Finding("host", State.LIMITED, detail, costs)


def _engine() -> Finding:
    address = os.environ.get("DOCKER_HOST") or _DEFAULT_ENGINE
    costs = "no containers; the process backend still works. docker/engine.sh starts one"
    try:
        version = _ask_engine(address, "/version")
        information = _ask_engine(address, "/info")
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Finding("engine", State.MISSING, f"none answers at {address} ({error})", costs)
    started = "docker/engine.sh" if _started_by_us() else "somebody else"
    detail = f"{_engine_name(version)} {version.get('Version')} (started by {started})"
    if "rootless" in str(information.get("SecurityOptions")):
        costs = "links cannot be counted or cut in the kernel; use an engine that runs as root"
        return Finding("engine", State.LIMITED, f"{detail}, rootless", costs)
    return Finding("engine", State.OK, detail)


def _toxiproxy() -> Finding:
    costs = "no links, so no cluster; docker/toxiproxy.sh brings it"
    try:
        binary = server_binary()
    except ChaosError as error:
        return Finding("toxiproxy", State.MISSING, str(error), costs)
    said = _output([str(binary), "--version"])
    if said is None:
        return Finding("toxiproxy", State.MISSING, f"{binary} does not run", costs)
    release = said.split()[-1]
    origin = binary.with_name(f"{binary.name}.origin")
    source = origin.read_text().strip() if origin.exists() else str(binary)
    if release == _TOXIPROXY_RELEASE:
        return Finding("toxiproxy", State.OK, f"{release} ({source})")
    costs = f"chaoskit was tried with {_TOXIPROXY_RELEASE} alone"
    return Finding("toxiproxy", State.LIMITED, f"{release} ({source})", costs)


def _fuse() -> Finding:
    costs = "no slow_storage, no full_disk"
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        return Finding("fuse", State.MISSING, f"/dev/fuse: {error.strerror}", costs)
    helper = shutil.which("fusermount3")
    if helper is None:
        return Finding("fuse", State.MISSING, "/dev/fuse, but no fusermount3", costs)
    if not _is_root() and not _others_allowed():
        detail = "/dev/fuse, fusermount3, but no user_allow_other in /etc/fuse.conf"
        return Finding("fuse", State.LIMITED, detail, f"containers cannot enter a mount: {costs}")
    return Finding("fuse", State.OK, "/dev/fuse opens, fusermount3")


def _blkio() -> Finding:
    costs = "no throttle of a whole device; slow_storage goes through FUSE and needs none"
    if not _is_root():
        return Finding("blkio", State.MISSING, "not tried: needs root", costs)
    device = Path.cwd().stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    if _cgroup_version() == 1:
        parent, file, limit = _CGROUP / "blkio", "blkio.throttle.write_bps_device", "1048576"
    else:
        parent, file, limit = _CGROUP, "io.max", "wbps=1048576"
    group = parent / f"chaoskit-doctor-{os.getpid()}"
    try:
        group.mkdir()
        try:
            (group / file).write_text(f"{number} {limit}\n")
            accepted = number in (group / file).read_text()
        finally:
            group.rmdir()
    except OSError as error:
        detail = f"no write throttle on device {number}: {error.strerror}"
        return Finding("blkio", State.MISSING, detail, costs)
    if not accepted:
        detail = f"a write throttle on device {number} was taken but does not hold"
        return Finding("blkio", State.MISSING, detail, costs)
    return Finding("blkio", State.OK, f"write throttle on device {number}, tried in a group")


def _host_rules() -> Finding:
    costs = "nothing shows that no traffic goes round the proxy: clusters are refused"
    if not _is_root():
        return Finding("host rules", State.MISSING, "not tried: needs root", costs)
    if _output(["iptables", "-w", "2", "-S", "DOCKER-USER"]) is None:
        detail = "iptables cannot list the engine's chain DOCKER-USER"
        return Finding("host rules", State.MISSING, detail, costs)
    bridged = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
    if not bridged.exists() or bridged.read_text().strip() != "1":
        detail = "DOCKER-USER, but bridged packets do not meet iptables (br_netfilter)"
        return Finding("host rules", State.MISSING, detail, costs)
    return Finding("host rules", State.OK, "iptables DOCKER-USER, br_netfilter")


def _link_rules() -> Finding:
    costs = "links can be neither counted nor cut at once: no link fault can be shown to be felt"
    return _tried_in_a_namespace(
        "link rules",
        "nft -f - && nft list table ip chaoskit_doctor",
        stdin=_PACKET_RULES,
        found="nftables maps, counters, dnat, reject, tried in a network namespace",
        costs=costs,
    )


def _netem() -> Finding:
    return _tried_in_a_namespace(
        "netem",
        "tc qdisc add dev lo root netem loss 1%",
        stdin="",
        found="loss and reorder by tc, tried in a network namespace",
        costs="loss, reorder unavailable: partition, slow_link and reset still are",
    )


def _clock() -> Finding:
    costs = "no wrong_clock; docker/clock.sh builds the shim where there is a C compiler"
    try:
        built = wallclock.shim()
    except ChaosError as error:
        return Finding("clock", State.MISSING, str(error), costs)
    true_s = int(clock.utc_now().timestamp())
    with tempfile.TemporaryDirectory(prefix="chaoskit-doctor-") as scratch:
        folder = Path(scratch) / "clock"
        wallclock.furnish(folder)
        wallclock.WallClock(folder).set(wallclock.Skew(_SKEW_S))
        said = _output(["date", "+%s"], wallclock.environment(str(folder)))
    if said is None or not 0 <= int(said) - true_s - _SKEW_S <= _CALL_TIMEOUT_S:
        return Finding("clock", State.MISSING, f"{built} does not set the clock of `date`", costs)
    return Finding("clock", State.OK, "set in a process by a shim; static programs (Go) load none")


def _nginx() -> Finding:
    said = _output(["nginx", "-v"])
    if said is None:
        costs = "no foreign TLS terminator between nodes; nothing in this release needs one"
        return Finding("nginx", State.MISSING, "not on PATH", costs)
    return Finding("nginx", State.OK, said.strip().rpartition("/")[2])


def _memory() -> Finding:
    found = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    if found is None:
        return Finding("memory", State.LIMITED, "the kernel does not say", "stalls go unexplained")
    return _room("memory", int(found.group(1)) * 1024, _MEMORY_WANTED_BYTES, "clusters may stall")


def _disk() -> Finding:
    free_bytes = shutil.disk_usage(Path.cwd()).free
    return _room("disk", free_bytes, _DISK_WANTED_BYTES, "images or runs may not fit")


# ---- what probes are made of


def _room(name: str, free_bytes: int, wanted_bytes: int, costs: str) -> Finding:
    detail = f"{free_bytes / (1 << 30):.1f} GiB free"
    if free_bytes >= wanted_bytes:
        return Finding(name, State.OK, detail)
    return Finding(name, State.LIMITED, detail, f"{costs} in less than {wanted_bytes >> 30} GiB")


def _tried_in_a_namespace(name: str, script: str, *, stdin: str, found: str, costs: str) -> Finding:
    if not _is_root():
        return Finding(name, State.MISSING, "not tried: needs root", costs)
    try:
        done = subprocess.run(
            ["unshare", "--net", "sh", "-ec", script],
            input=stdin,
            text=True,
            capture_output=True,
            check=False,
            timeout=_CALL_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding(name, State.MISSING, f"could not be tried: {error}", costs)
    if done.returncode == 0:
        return Finding(name, State.OK, found)
    reason = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[0]
    return Finding(name, State.MISSING, f"refused: {reason[:60]}", costs)


def _output(argv: Sequence[str], environment: Mapping[str, str] | None = None) -> str | None:
    """What a program that ended well said, on either stream; None when it did not, or is absent."""
    try:
        done = subprocess.run(
            argv,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            check=False,
            timeout=_CALL_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


class _EngineConnection(http.client.HTTPConnection):
    """HTTP over the engine's socket file."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_CALL_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _ask_engine(address: str, path: str) -> dict[str, object]:
    """One answer of the engine's HTTP interface; raises OSError, HTTPException or ValueError."""
    scheme, _, rest = address.partition("://")
    connection: http.client.HTTPConnection
    if scheme == "unix":
        connection = _EngineConnection(rest)
    elif scheme == "tcp":
        connection = http.client.HTTPConnection(rest, timeout=_CALL_TIMEOUT_S)
    else:
        raise ValueError(f"doctor can ask engines at unix:// and tcp:// alone, not {scheme}://")
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        document = json.loads(answer.read())
    finally:
        connection.close()
    if answer.status != http.HTTPStatus.OK or not isinstance(document, dict):
        raise ValueError(f"it answers {answer.status} to {path}")
    return document


def _engine_name(version: dict[str, object]) -> str:
    """Docker, or what else speaks its interface and says so."""
    components = version.get("Components")
    first = components[0] if isinstance(components, list) and components else {}
    name = str(first.get("Name", "Docker")) if isinstance(first, dict) else "Docker"
    return "Docker" if name == "Engine" else name


def _started_by_us() -> bool:
    """Is the dockerd that docker/engine.sh noted alive?"""
    cache = os.environ.get("CHAOSKIT_CACHE") or str(Path.home() / ".cache" / "chaoskit")
    noted = Path(cache) / "engine" / "pid"
    if os.environ.get("DOCKER_HOST") or not noted.exists():
        return False
    program = Path("/proc") / (noted.read_text().strip() or "none") / "comm"
    return program.exists() and program.read_text().strip() == "dockerd"


def _others_allowed() -> bool:
    configuration = Path("/etc/fuse.conf")
    if not configuration.exists():
        return False
    return "user_allow_other" in configuration.read_text().split("\n")


def _cgroup_version() -> int:
    return 2 if (_CGROUP / "cgroup.controllers").exists() else 1


def _is_root() -> bool:
    return os.geteuid() == 0
