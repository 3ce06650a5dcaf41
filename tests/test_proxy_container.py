"""The proxy's image is made once and says what is missing; nothing is asked of one not started."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from chaoskit.engine import ContainerState, Engine
from chaoskit.errors import ChaosError
from chaoskit.packets import Leg
from chaoskit.proxy_container import PROXY_RELEASE, ProxyContainer, ensure_proxy_image

REFERENCE = f"chaoskit/toxiproxy:{PROXY_RELEASE}"


class Shelf:
    """An engine that has some images, and whose containers exit at once."""

    def __init__(self, *images: str) -> None:
        self.images = set(images)
        self.imported: list[Path] = []
        self.said: list[str] = []

    @property
    def as_engine(self) -> Engine:
        return cast("Engine", self)

    def image(self, reference: str) -> Any:
        return object() if reference in self.images else None

    def import_binary(self, binary: Path, *, repository: str, tag: str) -> None:
        self.imported.append(binary)
        self.images.add(f"{repository}:{tag}")

    def start(self, container: str) -> None:
        self.said.append(f"start {container}")

    def state(self, container: str) -> ContainerState:
        return ContainerState("exited", running=False, paused=False, pid=0, exit_code=1, image="")


@pytest.fixture
def binary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "bin" / "toxiproxy-server"
    path.parent.mkdir()
    path.touch(mode=0o755)
    monkeypatch.setenv("CHAOSKIT_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    return path


def test_the_image_is_made_of_the_server_once(binary: Path) -> None:
    shelf = Shelf()
    assert ensure_proxy_image(shelf.as_engine) == REFERENCE
    assert ensure_proxy_image(shelf.as_engine) == REFERENCE
    assert shelf.imported == [binary]


def test_an_image_that_is_there_needs_no_server(binary: Path) -> None:
    binary.unlink()
    assert ensure_proxy_image(Shelf(REFERENCE).as_engine) == REFERENCE


def test_without_either_one_is_told_what_to_run(binary: Path) -> None:
    binary.unlink()
    with pytest.raises(ChaosError, match="make setup"):
        ensure_proxy_image(Shelf().as_engine)


def proxy() -> ProxyContainer:
    leg = Leg("n1>n2", "10.231.1.1", "192.0.2.1", "10.231.0.12")
    return ProxyContainer("ck-mesh", "10.231.0.5", [leg], "10.231.1.0/24")


def test_before_it_is_entered_it_has_neither_network_nor_counters() -> None:
    made = proxy()
    for ask in (lambda: made.counters, lambda: made.namespace):
        with pytest.raises(ChaosError, match="ck-mesh has not been started"):
            ask()
    made.leave()


def test_one_that_exits_at_once_is_no_success() -> None:
    shelf = Shelf()
    with pytest.raises(ChaosError, match="no network namespace of process 0"):
        proxy().enter(shelf.as_engine)
    assert shelf.said == ["start ck-mesh"]
