"""
Flags as drand's command line takes them.

Owns: flags, and reading them from arguments and environment. Refuses: flags that are not known,
that lack a value, or whose value is none of their kind, each with a UsageError in the words that
operators know.

Rules, those of Go's flag package and of the library that drand uses: one dash is as good as two,
`--name value` and `--name=value` mean the same, a flag without a value says true, flags come before
what is no flag, and `--` ends them. What a command line does not say, the environment may.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))


class UsageError(Exception):
    """What was written cannot be meant; nothing was done."""


class FlagMissing(UsageError):
    """A flag that the verb requires was not given."""


class Kind(Enum):
    """What a flag takes."""

    SWITCH = "bool"
    TEXT = "string"
    WHOLE = "int"
    FRACTION = "float64"


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag: `names` without dashes, the first is its own; `variables` of the environment."""

    names: tuple[str, ...]
    kind: Kind
    about: str
    variables: tuple[str, ...]
    default: str = ""
    hidden: bool = False
    required: bool = False

    @property
    def name(self) -> str:
        """The name that it is known by."""
        return self.names[0]


HELP = Flag(("help", "h"), Kind.SWITCH, "show help", (), "false")
"""Every verb has it; who asks for help need not give what the verb requires."""


@dataclass(frozen=True, slots=True)
class Given:
    """What was given: values of the flags that were set, and what follows the flags."""

    flags: tuple[Flag, ...]
    values: Mapping[str, str]
    arguments: tuple[str, ...]

    def is_set(self, name: str) -> bool:
        """Whether the command line or the environment says it."""
        return name in self.values

    def text(self, name: str) -> str:
        """The value of a flag, or its default; empty where the verb has no such flag."""
        return self.values.get(
            name, next((one.default for one in self.flags if name in one.names), "")
        )

    def on(self, name: str) -> bool:
        """Whether a switch is on."""
        return self.text(name) in _TRUE


def read(flags: Sequence[Flag], arguments: Sequence[str], environment: Mapping[str, str]) -> Given:
    """Read the arguments; raises UsageError."""
    known = {name: flag for flag in flags for name in flag.names}
    values: dict[str, str] = {}
    left = list(arguments)
    while left and left[0].startswith("-") and left[0] != "-":
        argument = left.pop(0)
        if argument == "--":
            break
        name, value = _split(argument)
        flag = known.get(name)
        if flag is None:
            raise UsageError(f"flag provided but not defined: -{name[:80]}")
        if value is None and flag.kind is Kind.SWITCH:
            value = "true"
        elif value is None:
            if not left:
                raise UsageError(f"flag needs an argument: -{name}")
            value = left.pop(0)
        where = f"for -{name}" if flag.kind is Kind.SWITCH else f"for flag -{name}"
        _check(flag, value, where)
        values[flag.name] = value
    for flag in flags:
        if flag.name not in values:
            said = _from_environment(flag, environment)
            if said is not None:
                values[flag.name] = said
    missing = [flag.name for flag in flags if flag.required and flag.name not in values]
    if missing and HELP.name not in values:
        names = ", ".join(missing)
        plural = "s" if len(missing) > 1 else ""
        raise FlagMissing(f'Required flag{plural} "{names}" not set')
    return Given(tuple(flags), values, tuple(left))


def _split(argument: str) -> tuple[str, str | None]:
    name = argument[2:] if argument.startswith("--") else argument[1:]
    if not name or name[0] in "-=":
        raise UsageError(f"bad flag syntax: {argument[:80]}")
    name, equals, value = name.partition("=")
    return name, value if equals else None


def _from_environment(flag: Flag, environment: Mapping[str, str]) -> str | None:
    for variable in flag.variables:
        value = environment.get(variable, "")
        if value:
            _check(flag, value, f'from environment variable "{variable}" for flag {flag.name}')
            return value
    return None


def _check(flag: Flag, value: str, where: str) -> None:
    what = "value"
    match flag.kind:
        case Kind.SWITCH:
            what, right = "boolean value", value in _TRUE | _FALSE
        case Kind.WHOLE:
            right = _is_number(int, value)
        case Kind.FRACTION:
            right = _is_number(float, value)
        case Kind.TEXT:
            # What cannot be a path or an address is no text that is meant.
            right = "\0" not in value
    if not right:
        raise UsageError(f'invalid {what} "{value[:80]}" {where}: parse error')


def _is_number(kind: type[int | float], value: str) -> bool:
    try:
        return len(value) < 20 and kind(value) >= 0
    except ValueError:
        return False
