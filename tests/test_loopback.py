"""Where a cluster lies in the loopback network, and that two never lie in one place."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from chaoskit.errors import ChaosError
from chaoskit.loopback import API_PORT, claim, free_prefix, process_layout

NAME = "chaoskit-loopback-test"


def test_every_directed_link_has_an_address_of_its_own(tmp_path: Path) -> None:
    nodes = [f"n{number}" for number in range(1, 13)]
    layout = process_layout("127.9.9", nodes, tmp_path)
    links = [link.address for link in layout.links]
    everything = [*links, *layout.nodes.values(), *layout.watch.values(), layout.proxy_loopback]
    assert len(links) == 132
    assert len(set(everything)) == len(everything)
    assert layout.hosts["n1"]["n2"] == next(
        one.address for one in layout.links if (one.source, one.target) == ("n1", "n2")
    )
    assert layout.hosts["n1"]["n1"] == layout.bind["n1"] == layout.nodes["n1"]


def test_more_nodes_than_addresses_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ChaosError, match="16 nodes need 275"):
        process_layout("127.9.9", [f"n{number}" for number in range(16)], tmp_path)


def test_one_name_takes_two_prefixes_and_the_first_again_when_it_is_free() -> None:
    first, held = free_prefix(NAME)
    with held:
        second, other = free_prefix(NAME)
        other.close()
    third, again = free_prefix(NAME)
    again.close()
    assert second != first
    assert third == first


@pytest.mark.parametrize("host", [2, 3])
def test_a_prefix_whose_proxies_outlived_their_harness_is_left_alone(host: int) -> None:
    first, held = free_prefix(NAME)
    held.close()
    with socket.create_server((f"{first}.{host}", API_PORT)):
        assert claim(first) is None
        second, other = free_prefix(NAME)
        other.close()
    assert second != first


def test_when_all_that_are_tried_are_taken_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chaoskit.loopback.claim", lambda _: None)
    with pytest.raises(ChaosError, match="none of 64 loopback prefixes is free"):
        free_prefix(NAME)
