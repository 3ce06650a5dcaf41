"""The axes of a rehearsal beside the release: what is started with, and the controls."""

from __future__ import annotations

from typing import Any

import pytest

from chaoskit.errors import UsageError
from chaoskit.rehearsal_axes import CONFIGURATION, KEYS, controls, lines, settings_for
from chaoskit.rehearsal_plan import make_plan
from chaoskit.rehearsal_route import RehearsalRequest
from tests.test_rehearsal_plan import system

STORE = system(settings={"scheme": "plain", KEYS.setting: "", CONFIGURATION.setting: ""})


def asked(**more: Any) -> RehearsalRequest:
    return RehearsalRequest("1.4.7", "1.5.1", **more)


BOTH = asked(
    left_by=((KEYS.setting, "1.3"), (CONFIGURATION.setting, "1.4.2")),
    settings=(("scheme", "other"),),
)


def test_members_are_started_with_what_was_asked_releases_by_their_labels() -> None:
    assert settings_for(STORE, asked()) == ()
    assert dict(settings_for(STORE, BOTH)) == {
        "scheme": "other",
        "keys_as_left_by": "1.3.9",
        "config_as_left_by": "1.4.2",
    }
    assert make_plan(STORE, BOTH, seed="51c2").settings == settings_for(STORE, BOTH)


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (asked(settings=(("nothing", "x"),)), "'nothing' is no setting of store"),
        (asked(left_by=((KEYS.setting, "9"),)), "--keys-as-left-by: store 9 is none of"),
        (asked(left_by=((KEYS.setting, "1.3"),), vintage="0a1b"), "--vintage both say"),
    ],
)
def test_what_cannot_be_meant_is_refused(request_: RehearsalRequest, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        settings_for(STORE, request_)


def test_a_system_offers_an_axis_by_its_setting() -> None:
    with pytest.raises(UsageError, match="--config-as-left-by: store starts on what a release"):
        settings_for(system(), asked(left_by=((CONFIGURATION.setting, "1.4.2"),)))


def test_each_axis_is_put_back_alone() -> None:
    assert controls(asked(), source="1.4.7") == []
    keys, configuration = controls(BOTH, source="1.4.7")
    assert keys.request == asked(
        left_by=((CONFIGURATION.setting, "1.4.2"),), settings=(("scheme", "other"),)
    )
    assert keys.words == "keys as 1.4.7 leaves them"
    assert configuration.request.left_by == ((KEYS.setting, "1.3"),)
    assert configuration.words == "configuration as each release wants it"
    assert controls(keys.request, source="1.4.7") == [controls(keys.request, source="1.4.7")[0]]


def test_the_plan_tells_the_axes_and_the_controls_before_anything_runs() -> None:
    told = [line.strip() for line in make_plan(STORE, BOTH, seed="51c2").lines()]
    assert "keys as 1.3 left them · configuration as 1.4.2 left it · scheme other" in told
    assert sum(line.startswith("if that is no GO: once more with") for line in told) == 2
    assert lines(asked(), source="1.4.7") == []
