"""Addresses: nobody shares one, nobody leaves the subnet, every pair has a link each way."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaoskit.addressing import DEFAULT_RANGE, address_plan, free_subnets
from chaoskit.errors import UsageError

SUBNET = "10.231.8.0/22"


@given(st.integers(1, 16))
def test_every_address_is_its_own_and_in_the_subnet(count: int) -> None:
    nodes = [f"n{number}" for number in range(count)]
    plan = address_plan(nodes, SUBNET)
    addresses = [plan.proxy, plan.watcher, *plan.nodes.values(), *plan.watch.values()]
    addresses += [link.address for link in plan.links]
    assert len(set(addresses)) == len(addresses) == 2 + 2 * count + count * (count - 1)
    network = ipaddress.IPv4Network(SUBNET)
    assert all(ipaddress.IPv4Address(one) in network for one in addresses)
    assert len({link.upstream for link in plan.links}) == len(plan.links)
    stand_ins = ipaddress.IPv4Network("192.0.2.0/24")  # TEST-NET-1, RFC 5737
    assert all(ipaddress.IPv4Address(link.upstream) in stand_ins for link in plan.links)
    links, watch = map(ipaddress.IPv4Network, (plan.link_range, plan.watch_range))
    assert all(ipaddress.IPv4Address(link.address) in links for link in plan.links)
    assert all(ipaddress.IPv4Address(one) in watch for one in plan.watch.values())
    assert not any(ipaddress.IPv4Address(one) in links for one in plan.nodes.values())
    assert {(link.source, link.target) for link in plan.links} == {
        (a, b) for a in nodes for b in nodes if a != b
    }


def test_a_peer_s_name_means_the_link_to_it() -> None:
    plan = address_plan(["a", "b", "c"], SUBNET)
    links = {link.name: link.address for link in plan.links}
    assert plan.hosts("b") == {"a": links["b>a"], "b": plan.nodes["b"], "c": links["b>c"]}


def test_sixteen_nodes_are_the_limit() -> None:
    with pytest.raises(UsageError, match="16 nodes are the limit"):
        address_plan([f"n{number}" for number in range(17)], SUBNET)


def test_free_subnets_overlap_nothing_that_is_taken() -> None:
    every = free_subnets([], within="10.231.0.0/20")
    assert every == ["10.231.0.0/22", "10.231.4.0/22", "10.231.8.0/22", "10.231.12.0/22"]
    taken = ["10.231.5.0/24", "10.231.8.1/30", "172.17.0.0/16"]
    assert free_subnets(taken, within="10.231.0.0/20") == [every[0], every[3]]
    assert free_subnets(["10.0.0.0/8"], within="10.231.0.0/20") == []
    assert len(free_subnets([])) == 64
    assert DEFAULT_RANGE == "10.231.0.0/16"


@pytest.mark.parametrize("within", ["10.231.0.0/23", "10.231.0.1/16", "fd00::/8", "here"])
def test_a_range_that_holds_no_cluster_is_refused(within: str) -> None:
    with pytest.raises(UsageError, match="is no range"):
        free_subnets([], within=within)
