"""How a cluster is to be started: a value, so that two tests can share what they both ask for."""

from __future__ import annotations

from chaoskit.setting import Setting


def test_equal_choices_are_one_setting_and_any_difference_makes_another() -> None:
    made = {
        Setting("1"),
        Setting("1"),
        Setting("2"),
        Setting("1", settings=(("a", "b"),)),
        Setting("1", storage=True),
        Setting("1", load_per_s=0.0),
    }
    assert len(made) == 5
