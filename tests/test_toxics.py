"""The words for toxics: what is refused, what they are called, which ones cut."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaoskit.toxics import (
    LONGEST_S,
    Bandwidth,
    Latency,
    LimitData,
    ResetPeer,
    SlowClose,
    Timeout,
    Toxic,
    from_document,
    to_document,
)

STREAMS = st.sampled_from(["upstream", "downstream"])
POSITIVE_S = st.floats(0.001, LONGEST_S)
ANY_S = st.just(0.0) | POSITIVE_S
TOXICS = st.one_of(
    st.builds(Latency, POSITIVE_S, STREAMS),
    st.builds(Bandwidth, st.integers(0, 10**9), STREAMS),
    st.builds(Timeout, ANY_S, STREAMS),
    st.builds(ResetPeer, ANY_S, STREAMS),
    st.builds(SlowClose, POSITIVE_S, STREAMS),
    st.builds(LimitData, st.integers(1, 10**12), STREAMS),
)


def as_the_server_shows(toxic: Toxic) -> dict[str, Any]:
    """Toxiproxy adds the attributes that were not sent, as zeros."""
    document = to_document(toxic)
    extra = {"jitter": 0} if document["type"] == "latency" else {}
    return document | {"attributes": document["attributes"] | extra}


@given(TOXICS)
def test_what_is_sent_is_what_is_read(toxic: Toxic) -> None:
    document = as_the_server_shows(toxic)
    assert from_document(document) == toxic
    assert document["toxicity"] == 1
    assert "jitter" not in to_document(toxic)["attributes"]
    assert all(type(amount) is int for amount in document["attributes"].values())


@given(TOXICS, TOXICS)
def test_a_name_says_which_toxic_it_is(one: Toxic, other: Toxic) -> None:
    assert (one.name == other.name) == (one == other)


def test_seconds_are_rounded_to_what_the_wire_can_say() -> None:
    assert Latency(0.1374, "upstream") == Latency(0.137, "upstream")
    assert to_document(SlowClose(1.0006, "upstream"))["attributes"] == {"delay": 1001}
    assert Latency(0.2, "downstream").name == "latency_downstream_200"


@pytest.mark.parametrize("seconds", [-1.0, math.nan, math.inf, LONGEST_S * 1.01, 0.0004])
@pytest.mark.parametrize("kind", [Latency, Timeout, ResetPeer, SlowClose])
def test_seconds_that_make_no_sense_are_refused(kind: type[Latency], seconds: float) -> None:
    with pytest.raises(ValueError, match="_s"):
        kind(seconds, "upstream")


def test_amounts_that_do_nothing_are_refused() -> None:
    for kind in (Latency, SlowClose):
        with pytest.raises(ValueError, match="would do nothing"):
            kind(0, "upstream")
    for amount in (-1, 0):
        with pytest.raises(ValueError, match="size_bytes"):
            LimitData(amount, "upstream")
    with pytest.raises(ValueError, match="rate_kb_per_s"):
        Bandwidth(-1, "upstream")


def test_a_stream_is_one_of_two() -> None:
    for toxic in (Latency, Bandwidth, Timeout, ResetPeer, SlowClose, LimitData):
        with pytest.raises(ValueError, match="stream"):
            toxic(1, "sideways")  # type: ignore[arg-type]


def test_the_cutting_ones_are_those_that_let_nothing_through() -> None:
    assert Timeout(0, "upstream").cutting
    assert Timeout(3, "upstream").cutting
    assert ResetPeer(0, "upstream").cutting
    assert Bandwidth(0, "upstream").cutting
    assert not Bandwidth(1, "upstream").cutting
    assert not Latency(60, "upstream").cutting
    assert not SlowClose(1, "upstream").cutting
    assert not LimitData(1, "upstream").cutting


@pytest.mark.parametrize(
    "change",
    [
        {"toxicity": 0.99},
        {"name": "latency_upstream_201"},
        {"type": "slicer"},
        {"stream": "sideways"},
        {"attributes": {"latency": 200, "jitter": 1}},
        {"attributes": {"latency": 200}},
        {"attributes": {"rate": 200}},
    ],
)
def test_a_foreign_toxic_is_refused(change: dict[str, Any]) -> None:
    document = as_the_server_shows(Latency(0.2, "upstream"))
    assert from_document(document) == Latency(0.2, "upstream")
    with pytest.raises(ValueError, match=r"never adds|stream"):
        from_document(document | change)
