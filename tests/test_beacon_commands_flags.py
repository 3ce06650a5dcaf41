"""Flags are read as Go's flag package and drand's library read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.beacon_vectors import VECTORS  # noqa: F401 - skips where blspy cannot be installed

# isort: split
from nodes.beacon.commands_flags import HELP, Flag, Given, Kind, UsageError, read

NAME = Flag(("name",), Kind.TEXT, "", ("X_NAME",), "nobody")
LOUD = Flag(("loud", "l"), Kind.SWITCH, "", ("X_LOUD", "X_NOISY"))
COUNT = Flag(("count",), Kind.WHOLE, "", ("X_COUNT",), "3")
SHARE = Flag(("share",), Kind.FRACTION, "", ("X_SHARE",), "0.5")
FLAGS = (NAME, LOUD, COUNT, SHARE)


def given_by(*arguments: str, **environment: str) -> Given:
    return read(FLAGS, arguments, environment)


@pytest.mark.parametrize(
    ("arguments", "values", "rest"),
    [
        ((), {}, ()),
        (("--name", "a", "b"), {"name": "a"}, ("b",)),
        (("-name", "a"), {"name": "a"}, ()),
        (("--name=a=b",), {"name": "a=b"}, ()),
        (("--name=",), {"name": ""}, ()),
        (("--name", "--loud"), {"name": "--loud"}, ()),
        (("-l", "x"), {"loud": "true"}, ("x",)),
        (("--loud=F", "x"), {"loud": "F"}, ("x",)),
        (("x", "--loud"), {}, ("x", "--loud")),
        (("--", "--loud"), {}, ("--loud",)),
        (("-", "--loud"), {}, ("-", "--loud")),
        (("--name", "a", "--name", "b"), {"name": "b"}, ()),
        (("--count", "7", "--share=0.25"), {"count": "7", "share": "0.25"}, ()),
    ],
)
def test_arguments_are_read(
    arguments: tuple[str, ...], values: dict[str, str], rest: tuple[str, ...]
) -> None:
    found = given_by(*arguments)
    assert (dict(found.values), found.arguments) == (values, rest)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--nope",), "flag provided but not defined: -nope"),
        (("--name",), "flag needs an argument: -name"),
        (("---name",), "bad flag syntax: ---name"),
        (("--=a",), "bad flag syntax: --=a"),
        (("--loud=maybe",), 'invalid boolean value "maybe" for -loud: parse error'),
        (("--count", "-1"), 'invalid value "-1" for flag -count: parse error'),
        (("--count", "1e3"), 'invalid value "1e3" for flag -count: parse error'),
        (("--share", "x"), 'invalid value "x" for flag -share: parse error'),
        (("--name", "a\0"), "invalid value"),
    ],
)
def test_what_cannot_be_meant(arguments: tuple[str, ...], why: str) -> None:
    with pytest.raises(UsageError) as told:
        given_by(*arguments)
    assert str(told.value).startswith(why)


def test_the_environment_says_what_the_command_line_does_not() -> None:
    found = given_by("--name", "a", X_NAME="b", X_NOISY="1", X_COUNT="")
    assert (found.text("name"), found.on("loud"), found.text("count")) == ("a", True, "3")
    assert found.is_set("loud")
    assert not found.is_set("count")
    with pytest.raises(UsageError, match='environment variable "X_COUNT" for flag count'):
        given_by(X_COUNT="many")


def test_a_flag_that_is_required_is_asked_for_unless_help_is() -> None:
    flags = (Flag(("need",), Kind.TEXT, "", (), required=True), HELP)
    with pytest.raises(UsageError, match='Required flag "need" not set'):
        read(flags, (), {})
    assert read(flags, ("--help",), {}).on("help")
    assert read(flags, ("--need", "x"), {}).text("need") == "x"


def test_a_flag_that_a_verb_does_not_have_is_empty() -> None:
    found = given_by()
    assert (found.text("other"), found.on("other"), found.is_set("other")) == ("", False, False)


@given(st.lists(st.text(alphabet="-=alound 1\0", max_size=7), max_size=5))
def test_every_line_is_read_or_refused(arguments: list[str]) -> None:
    try:
        found = given_by(*arguments)
    except UsageError:
        return
    kept = len(found.arguments)
    assert list(found.arguments) == arguments[len(arguments) - kept :]
