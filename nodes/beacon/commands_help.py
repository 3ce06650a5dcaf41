"""
The help of a command line, in the form that drand's has.

Owns: the text of the application's help and of a verb's. Refuses: nothing.

Rules: sections, names, defaults and variables stand where operators and scripts find them with the
real ones; v1 names the rest of a command line and says of help and version too that they are off.
"""

from __future__ import annotations

from collections.abc import Sequence

from nodes.beacon.commands_flags import HELP, Flag, Kind
from nodes.beacon.commands_verbs import Verb, application_flags, tree
from nodes.beacon.releases import Line, Surface


def application(surface: Surface) -> str:
    """The help of the whole."""
    rest = " [arguments...]" if surface.line is Line.V1 else ""
    return _sections(
        {
            "NAME": ["drand - distributed randomness service"],
            "USAGE": [f"drand [global options] command [command options]{rest}"],
            "VERSION": [surface.version],
            "COMMANDS": _commands(tree(surface)),
            "GLOBAL OPTIONS": _options(surface, application_flags(surface)),
        }
    )


def of_verb(surface: Surface, path: Sequence[str], verb: Verb) -> str:
    """The help of a verb; `path` is its name with those above it."""
    rest = " [arguments...]" if surface.line is Line.V1 else ""
    name = " ".join(["drand", *path])
    below = " command" if verb.verbs and surface.line is Line.V1 else ""
    sections = {
        "NAME": [f"{name} - {verb.about}"],
        "USAGE": [f"{name}{below} [command options]{rest}"],
    }
    if verb.verbs:
        sections["COMMANDS"] = _commands(verb.verbs)
    sections["OPTIONS"] = _options(surface, [*verb.flags, HELP])
    return _sections(sections)


def _commands(verbs: Sequence[Verb]) -> list[str]:
    shown = [(verb.name, verb.about) for verb in verbs if not verb.hidden]
    shown.append(("help, h", "Shows a list of commands or help for one command"))
    return _columns(shown)


def _options(surface: Surface, flags: Sequence[Flag]) -> list[str]:
    return _columns(
        [(_spelt(flag), _explained(surface, flag)) for flag in flags if not flag.hidden]
    )


def _spelt(flag: Flag) -> str:
    names = [("--" if len(name) > 1 else "-") + name for name in flag.names]
    return ", ".join(names) + ("" if flag.kind is Kind.SWITCH else " value")


def _explained(surface: Surface, flag: Flag) -> str:
    said = flag.about
    if flag.kind is Kind.SWITCH:
        terse = surface.line is Line.V2 and not flag.variables
        said += "" if terse else " (default: false)"
    elif flag.default:
        quoted = f'"{flag.default}"' if flag.kind is Kind.TEXT else flag.default
        said += f" (default: {quoted})"
    if flag.variables:
        said += f" [{', '.join('$' + one for one in flag.variables)}]"
    return said


def _columns(rows: Sequence[tuple[str, str]]) -> list[str]:
    width = max(len(left) for left, _ in rows)
    return [f"{left:<{width}}  {right}" for left, right in rows]


def _sections(sections: dict[str, list[str]]) -> str:
    return "\n".join(
        f"{title}:\n" + "".join(f"   {line}\n" for line in lines)
        for title, lines in sections.items()
    )
