"""
What a run creates and removes, in small: the program that the residue tests kill.

`python -m tests.residue_child host|engine STATE SCRATCH RUN AT HOW` makes one thing of each kind
under a journal, then removes them again, as a cluster does. `host`: a folder, a process, a mount of
faulty storage, a host rule; `engine`: a network, a volume, a paused and a created container.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from chaoskit import hostrules, reaper, storage
from chaoskit.errors import EngineFailed
from chaoskit.journal import Journal
from chaoskit.ownership import Kind, rule_comment
from tests import boundaries
from tests.boundaries import Boundaries

IMAGE = "chaoskit/base:local"
_SUBNET_TRIES = 8


def host(written: Journal, scratch: Path, steps: Boundaries) -> None:
    """One of each kind that lives on the host; what needs root is left out without it."""
    folder = scratch / written.name("scratch")
    written.will_create(Kind.FOLDER, str(folder))
    for name in ("data", "mount", "storage"):
        (folder / name).mkdir(parents=True)
    written.will_create(Kind.PROCESS, "n1")
    process = subprocess.Popen(
        ["sleep", "600"],
        env=os.environ | written.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    written.made("n1", process.pid)
    mounted = None
    if not storage.why_unavailable():
        written.will_create(Kind.MOUNT, str(folder / "mount"))
        mounted = storage.mount(
            folder / "data", folder / "mount", folder / "storage", timeout_s=120.0
        )
        (folder / "mount/file").write_bytes(b"x")
    rules = []
    if os.geteuid() == 0 and shutil.which("iptables"):
        rules = list(hostrules.rules("cknone0", ["192.0.2.1"], comment=rule_comment(written.run)))
    for rule in rules:
        written.will_create(Kind.HOST_RULE, " ".join(rule), undo=hostrules.undo(rule))
        hostrules.add([rule])
    steps.reach(boundaries.ALL_IS_UP)

    process.kill()
    process.wait()
    written.removed(Kind.PROCESS, "n1")
    if mounted is not None:
        mounted.unmount(timeout_s=120.0)
        written.removed(Kind.MOUNT, str(folder / "mount"))
    for rule in rules:
        hostrules.remove([rule])
        written.removed(Kind.HOST_RULE, " ".join(rule))
    shutil.rmtree(folder)
    written.removed(Kind.FOLDER, str(folder))


def engine(written: Journal, scratch: Path, steps: Boundaries) -> None:
    """One of each kind that the engine keeps."""
    import docker

    from chaoskit.backend_docker import freeze
    from chaoskit.engine import ContainerSpec, Engine

    del scratch
    with_engine = Engine()
    network = written.name("net")
    written.will_create(Kind.NETWORK, network)
    start = int(hashlib.sha256(written.run.encode()).hexdigest(), 16) % 4096
    for attempt in range(_SUBNET_TRIES):
        block = (start + attempt * 61) % 4096
        subnet = f"10.239.{block // 16}.{block % 16 * 16}"
        try:
            with_engine.create_network(
                network,
                subnet=f"{subnet}/28",
                bridge="ck" + hashlib.sha256(written.run.encode()).hexdigest()[:10],
                labels=written.labels("network"),
            )
            break
        except EngineFailed:
            if attempt + 1 == _SUBNET_TRIES:
                raise
    volume = written.name("data")
    written.will_create(Kind.VOLUME, volume)
    client = docker.APIClient()
    client.create_volume(volume, labels=written.labels("data"))
    base, last = subnet.rsplit(".", 1)
    containers = {}
    for number, node in enumerate(("n1", "n2"), start=2):
        name = written.name(node)
        written.will_create(Kind.CONTAINER, name)
        containers[name] = with_engine.create_container(
            ContainerSpec(
                name=name,
                image=IMAGE,
                command=["sleep", "600"],
                network=network,
                address=f"{base}.{int(last) + number}",
                labels=written.labels("node"),
            )
        )
        if node == "n1":
            with_engine.start(containers[name])
            freeze(with_engine, containers[name])
    steps.reach(boundaries.ALL_IS_UP)

    for name, container in containers.items():
        with_engine.remove_container(container)
        written.removed(Kind.CONTAINER, name)
    with_engine.remove_volume(volume)
    written.removed(Kind.VOLUME, volume)
    with_engine.remove_network(network)
    written.removed(Kind.NETWORK, network)
    client.close()
    with_engine.close()


def main(what: str, state: str, scratch: str, run: str, at: str, how: str) -> None:
    """Run the sequence `what`; see `boundaries.install` for `at` and `how`."""
    steps = boundaries.install(int(at), how)
    with reaper.watched(run, folder=Path(state), timeout_s=600.0) as written:
        {"host": host, "engine": engine}[what](written, Path(scratch), steps)


if __name__ == "__main__":
    main(*sys.argv[1:])
