"""The way of a rehearsal from one release to another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from chaoskit.errors import UsageError
from chaoskit.rehearsal_route import RehearsalRequest, minor_of, route
from tests.test_rehearsal_plan import LABELS, system


def labels_of(request: RehearsalRequest, *labels: str) -> list[str]:
    return [release.label for release in route(system(*labels), request)]


@pytest.mark.parametrize(
    ("source", "target", "more", "way"),
    [
        ("1.4.2", "1.5.1", {}, ["1.4.2", "1.5.1"]),
        ("1.3", "1.6", {}, ["1.3.9", "1.4.7", "1.5.30", "1.6.0"]),
        ("1.3", "1.6", {"skip": True}, ["1.3.9", "1.6.0"]),
        ("1.3", "1.6", {"via": ("1.4.2", "1.5.1")}, ["1.3.9", "1.4.2", "1.5.1", "1.6.0"]),
        ("1.4.2", "1.4.7", {}, ["1.4.2", "1.4.7"]),
    ],
)
def test_the_way_goes_through_every_minor_between(
    source: str, target: str, more: Mapping[str, Any], way: list[str]
) -> None:
    assert labels_of(RehearsalRequest(source, target, **more)) == way


def test_labels_without_a_minor_go_there_at_once() -> None:
    assert labels_of(RehearsalRequest("1", "2"), "1", "2") == ["1", "2"]
    assert minor_of("2") is None
    assert minor_of("v2.0.6-testnet") == (2, 0)


@pytest.mark.parametrize(
    ("request_", "labels", "says"),
    [
        (RehearsalRequest("1.4", "1.6"), LABELS, "more than one"),
        (RehearsalRequest("1.9", "1.6"), LABELS, "none of its releases"),
        (RehearsalRequest("1.6", "1.3"), LABELS, "forward"),
        (RehearsalRequest("1.6", "1.6"), LABELS, "forward"),
        (RehearsalRequest("1.3", "1.6", via=("1.7",)), LABELS, "forward"),
        (RehearsalRequest("1.3", "1.6", via=("1.4.2",), skip=True), LABELS, "choose one"),
        (RehearsalRequest("1.3", "1.5"), ("1.3.0", "1.5.0"), "no release 1.4"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    request_: RehearsalRequest, labels: tuple[str, ...], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        route(system(*labels), request_)
