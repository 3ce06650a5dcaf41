"""
The container engine, through the docker SDK: the only module that imports it.

Owns: the calls chaoskit makes, typed, with time-outs, and their failures as `EngineFailed`.
Refuses: policy. What is created, labelled and journalled is decided by the backend; this module
neither names nor cleans anything by itself. The engine is the local one, or the one that
DOCKER_HOST names. Calls are safe from several threads.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import docker
import docker.errors
import docker.types
import docker.utils.socket

from chaoskit.errors import EngineFailed
from chaoskit.networks import refusal

T = TypeVar("T")
_CALL_TIMEOUT_S = 60
_POOL_SIZE = 32
_LOCAL = "unix:///var/run/docker.sock"


@dataclass(frozen=True, slots=True)
class Mount:
    """A host folder or file seen at `target` in the container."""

    source: Path
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    """
    What to create. Containers run with an init, all capabilities dropped but `capabilities`, no
    new privileges and a read-only root; `user` is "uid:gid" or empty for the image's own. The
    network may be "container:ID": that one's, with its addresses; `address` is empty then.
    """

    name: str
    image: str
    command: Sequence[str]
    network: str
    address: str
    labels: Mapping[str, str]
    hosts: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    mounts: Sequence[Mount] = ()
    user: str = ""
    hostname: str = ""
    stop_signal: str = "SIGTERM"


@dataclass(frozen=True, slots=True)
class ContainerState:
    """What the engine says of a container; `pid` is 0 unless it runs, of the init process."""

    status: str
    running: bool
    paused: bool
    pid: int
    exit_code: int
    image: str


@dataclass(frozen=True, slots=True)
class Labelled:
    """An object of the engine that carries a label of ours: container, network, volume."""

    kind: str
    id: str
    name: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Completed:
    """A finished command in a node: its exit code and its outputs."""

    exit_code: int
    stdout: bytes
    stderr: bytes


class NoSuchObject(EngineFailed):
    """The engine does not know the object (any more)."""


def _guard(what: str, call: Callable[[], T]) -> T:
    try:
        return call()
    except docker.errors.NotFound as error:
        raise NoSuchObject(f"{what}: {error.explanation or error}") from error
    except docker.errors.APIError as error:
        raise EngineFailed(f"{what}: the engine answered {error}") from error
    except (docker.errors.DockerException, OSError) as error:  # what fails on the way is an OSError
        raise EngineFailed(f"{what}: {error}; is the engine running? `chaoskit doctor`") from error


def _knock() -> None:
    """
    Connect to a local engine's socket and close it again; raises OSError when nobody listens.

    The SDK leaves the socket of its own failed connect open, which whoever makes warnings errors
    would meet in the midst of a test.
    """
    host = os.environ.get("DOCKER_HOST") or _LOCAL
    if host.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as trial:
            trial.connect(host.removeprefix("unix://"))


class Engine:
    """One connection pool to the engine."""

    def __init__(self) -> None:
        """Connect. Raises EngineFailed when no engine answers."""
        _guard("connecting to the container engine", _knock)
        self._api = _guard(
            "connecting to the container engine",
            lambda: (
                docker.from_env(
                    timeout=_CALL_TIMEOUT_S, max_pool_size=_POOL_SIZE, use_ssh_client=False
                ).api
            ),
        )

    def version(self) -> str:
        """The engine's version, such as 20.10.24."""
        return str(_guard("asking the engine's version", self._api.version)["Version"])

    # -- networks ------------------------------------------------------------------------------

    def subnets(self) -> tuple[str, ...]:
        """The IPv4 subnets of all networks the engine knows, as CIDR."""
        networks = _guard("listing networks", self._api.networks)
        return tuple(
            config["Subnet"]
            for network in networks
            for config in (network.get("IPAM") or {}).get("Config") or ()
            if "Subnet" in config
        )

    def create_network(
        self, name: str, *, subnet: str, bridge: str, labels: Mapping[str, str]
    ) -> str:
        """
        Create an internal bridge network without inter-container traffic; answers its id.

        Raises EngineFailed when the subnet overlaps another network's.
        """
        pool = docker.types.IPAMPool(subnet=subnet)
        created = _guard(
            f"creating network {name}",
            lambda: self._api.create_network(
                name,
                driver="bridge",
                internal=True,
                labels=dict(labels),
                options={
                    "com.docker.network.bridge.enable_icc": "false",
                    "com.docker.network.bridge.name": bridge,
                },
                ipam=docker.types.IPAMConfig(pool_configs=[pool]),
            ),
        )
        return str(created["Id"])

    def remove_network(self, network: str) -> None:
        """
        Remove a network; one that is gone already is fine.

        Raises MiscountedNetwork when the engine refuses though no container is in it.
        """
        what = f"removing network {network}"
        try:
            self._absent_is_fine(what, lambda: self._api.remove_network(network))
        except EngineFailed as error:
            document = _guard(what, lambda: self._api.inspect_network(network))
            raise refusal(error, document) from error

    # -- containers ----------------------------------------------------------------------------

    def create_container(self, spec: ContainerSpec) -> str:
        """Create (not start) a container; answers its id."""
        host = self._api.create_host_config(
            init=True,
            network_mode=spec.network,
            extra_hosts=dict(spec.hosts),
            binds=[
                f"{mount.source}:{mount.target}:{'ro' if mount.read_only else 'rw'}"
                for mount in spec.mounts
            ],
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            read_only=True,
            log_config=docker.types.LogConfig(
                type="json-file", config={"max-size": "20m", "max-file": "2"}
            ),
        )
        endpoints = None
        if spec.address:
            own = self._api.create_endpoint_config(ipv4_address=spec.address)
            endpoints = {"EndpointsConfig": {spec.network: own}}
        created = _guard(
            f"creating container {spec.name} from {spec.image}",
            lambda: self._api.create_container(
                spec.image,
                list(spec.command),
                name=spec.name,
                hostname=spec.hostname or None,
                labels=dict(spec.labels),
                environment=dict(spec.environment),
                user=spec.user or None,
                host_config=host,
                networking_config=endpoints,
                stop_signal=spec.stop_signal,
            ),
        )
        return str(created["Id"])

    def start(self, container: str) -> None:
        """Start a created or stopped container."""
        _guard(f"starting {container}", lambda: self._api.start(container))

    def stop(self, container: str, *, timeout_s: float) -> None:
        """SIGTERM, then SIGKILL after `timeout_s`, rounded up to whole seconds."""
        whole_s = max(1, int(-(-timeout_s // 1)))
        _guard(f"stopping {container}", lambda: self._api.stop(container, timeout=whole_s))

    def kill(self, container: str) -> None:
        """SIGKILL."""
        _guard(f"killing {container}", lambda: self._api.kill(container, "SIGKILL"))

    def pause(self, container: str) -> None:
        """Freeze all processes of a container."""
        _guard(f"pausing {container}", lambda: self._api.pause(container))

    def unpause(self, container: str) -> None:
        """Thaw a paused container."""
        _guard(f"unpausing {container}", lambda: self._api.unpause(container))

    def remove_container(self, container: str) -> None:
        """Kill and remove a container and its anonymous volumes; one that is gone is fine."""
        self._absent_is_fine(
            f"removing {container}",
            lambda: self._api.remove_container(container, force=True, v=True),
        )

    def state(self, container: str) -> ContainerState:
        """What the engine says of it now. Raises NoSuchObject."""
        document = self.inspect(container)
        state = document["State"]
        return ContainerState(
            status=state["Status"],
            running=state["Running"],
            paused=state["Paused"],
            pid=state["Pid"],
            exit_code=state["ExitCode"],
            image=document["Image"],
        )

    def inspect(self, container: str) -> dict[str, Any]:
        """The engine's whole document on a container. Raises NoSuchObject."""
        return dict(
            _guard(f"inspecting {container}", lambda: self._api.inspect_container(container))
        )

    def execute(self, container: str, argv: Sequence[str]) -> Completed:
        """Run a command in a running container and wait for its end."""

        def call() -> Completed:
            created = self._api.exec_create(container, list(argv))
            stream = self._api.exec_start(created["Id"], socket=True)
            said = {docker.utils.socket.STDOUT: b"", docker.utils.socket.STDERR: b""}
            # read here: the SDK's own reading leaves the socket to the garbage collector
            with closing(stream), closing(getattr(stream, "_sock", stream)):
                for kind, chunk in docker.utils.socket.frames_iter(stream, tty=False):  # type: ignore[no-untyped-call]
                    said[kind] += chunk
            code = self._api.exec_inspect(created["Id"])["ExitCode"]
            return Completed(int(code), *said.values())

        return _guard(f"running {argv[0]} in {container}", call)

    def attach(self, container: str) -> Generator[bytes, None, None]:
        """
        The output of a container from now until it exits, as it is written.

        Attach before the start to miss nothing; chunks end anywhere. The stream of a container that
        is never started does not end by itself, not even when it is removed: close it.
        """
        stream = _guard(
            f"attaching to {container}",
            lambda: self._api.attach_socket(
                container, params={"stdout": 1, "stderr": 1, "stream": 1}
            ),
        )

        def chunks() -> Generator[bytes, None, None]:
            # the SDK answers a file over the socket; closing the file alone leaves the socket open
            with closing(stream), closing(getattr(stream, "_sock", stream)):
                yield b""  # begun: whoever closes it from here on closes the connection
                frames = docker.utils.socket.frames_iter(stream, tty=False)  # type: ignore[no-untyped-call]
                for _, chunk in frames:
                    yield chunk

        begun = chunks()
        next(begun)
        return begun

    # -- images --------------------------------------------------------------------------------

    def image(self, reference: str) -> tuple[str, Mapping[str, str]] | None:
        """The id and labels of an image, or None when the engine does not have it."""
        try:
            document = _guard(
                f"inspecting image {reference}",
                lambda: self._api.inspect_image(reference),  # type: ignore[no-untyped-call]
            )
        except NoSuchObject:
            return None
        return str(document["Id"]), dict(document["Config"].get("Labels") or {})

    # -- what is ours --------------------------------------------------------------------------

    def list_labelled(self, label: str) -> tuple[Labelled, ...]:
        """Every container, network and volume that carries `label` ("key" or "key=value")."""
        filters = {"label": label}
        containers = _guard(
            "listing containers", lambda: self._api.containers(all=True, filters=filters)
        )
        networks = _guard("listing networks", lambda: self._api.networks(filters=filters))
        volumes = _guard("listing volumes", lambda: self._api.volumes(filters=filters))
        return (
            *(
                Labelled("container", one["Id"], one["Names"][0].lstrip("/"), one["Labels"])
                for one in containers
            ),
            *(Labelled("network", one["Id"], one["Name"], one["Labels"]) for one in networks),
            *(
                Labelled("volume", one["Name"], one["Name"], one["Labels"] or {})
                for one in volumes["Volumes"] or ()
            ),
        )

    def remove_volume(self, name: str) -> None:
        """Remove a volume; one that is gone already is fine."""
        self._absent_is_fine(
            f"removing volume {name}", lambda: self._api.remove_volume(name, force=True)
        )

    def close(self) -> None:
        """Let go of the connections."""
        self._api.close()

    def _absent_is_fine(self, what: str, call: Callable[[], object]) -> None:
        try:
            _guard(what, call)
        except NoSuchObject:
            return
