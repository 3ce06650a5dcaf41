"""
Inputs for a beacon node that are almost right: recorded and genuine ones, and what becomes of them.

Owns: mutations of bytes, texts and messages, drawn from a seeded random; what was recorded of real
releases that a node can be given (requests over HTTP, files, command lines), and a tally of what
was sent. Every function is pure: the same random, the same mutation.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.beacon_memory import SURFACE
from tests.beacon_vectors import FOLDERS, MEMBERS, Folder

_ODD_NUMBERS = (0, 1, 2, 7, 2**31 - 1, 2**31, 2**32 - 1)
_ODD_LONG_NUMBERS = (*_ODD_NUMBERS, 2**63 - 1, 2**63, 2**64 - 1)
_LENGTHS = (0, 1, 2, 31, 33, 47, 48, 49, 95, 97, 98, 99, 5000)


# ---- mutations ---------------------------------------------------------------------------------


def mutated(data: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """One to three changes: a bit, a byte, a part gone, doubled, moved, or another input's."""
    changed = data
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        changed = _changed(changed, others, random)
    # Some leave it as it was, which would be no mutation.
    return changed if changed != data else data + random.randbytes(2)


def _changed(data: bytes, others: Sequence[bytes], random: Random) -> bytes:
    changed = bytearray(data)
    at, to = sorted(random.randrange(len(changed) + 1) for _ in range(2))
    match random.randrange(8):
        case 0 if changed:
            changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
        case 1 if changed:
            changed[random.randrange(len(changed))] = random.choice([0, 1, 0x7F, 0x80, 0xFF])
        case 2:
            del changed[at:to]
        case 3:
            changed[to:to] = changed[at:to]
        case 4:
            changed[at:at] = random.randbytes(random.choice([1, 2, 8, 100]))
        case 5:
            del changed[at:]
        case 6:
            changed[at:to] = changed[at:to][::-1]
        case _:
            other = random.choice(others)
            changed[at:] = other[min(at, len(other)) :]
    return bytes(changed)


def altered_text(data: bytes, random: Random) -> bytes:
    """A text that keeps its form: one of its words or numbers is another, odd one."""
    words = list(re.finditer(rb"[0-9A-Za-z]+", data))
    word = random.choice(words)
    old = word[0]
    at = random.randrange(len(old))
    match random.randrange(6):
        case 0 | 1:
            new = old[:at] + random.choice(b"0123456789abcdefxZ").to_bytes(1, "big") + old[at + 1 :]
        case 2:
            new = str(random.choice(_ODD_LONG_NUMBERS)).encode()
        case 3:
            new = old.swapcase()
        case 4:
            new = random.choice(words)[0]
        case _:
            new = random.choice([b"", old + old, old[:-1], b"-" + old])
    changed = data[: word.start()] + new + data[word.end() :]
    return changed if changed != data else data[: word.start()] + data[word.end() :]


def altered(message: Any, random: Random) -> bytes:
    """A message with one of its fields, or of the messages in it, at an odd value."""
    changed = type(message)()
    changed.CopyFrom(message)
    inner = changed
    for _ in range(2):
        fields = list(inner.DESCRIPTOR.fields)
        if not fields:
            return bytes(changed.SerializeToString())
        one = random.choice(fields)
        if one.is_repeated:
            inner.ClearField(one.name)
            if one.type == one.TYPE_MESSAGE and random.randrange(2):
                for _ in range(random.choice([1, 2000])):
                    getattr(inner, one.name).add()
            break
        if one.type != one.TYPE_MESSAGE:
            _set_odd(inner, one, random)
            break
        inner = getattr(inner, one.name)
    return bytes(changed.SerializeToString())


def _set_odd(message: Any, one: Any, random: Random) -> None:
    match one.type:
        case one.TYPE_BYTES:
            length = random.choice(_LENGTHS)
            value: object = random.choice([bytes(length), random.randbytes(length)])
        case one.TYPE_STRING:
            value = random.choice(["", "x", "../default", "DEFAULT", "\u0000", "a" * 5000, "déf"])
        case one.TYPE_BOOL:
            value = not getattr(message, one.name)
        case one.TYPE_UINT64:
            value = random.choice(_ODD_LONG_NUMBERS)
        case one.TYPE_UINT32:
            value = random.choice(_ODD_NUMBERS)
        case _:
            value = random.choice([0, 1, 2])
    setattr(message, one.name, value)


# ---- what was recorded -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HttpInput:
    """A request that a real release was asked, as bytes, and the route that it asks for."""

    route: str
    data: bytes


def recorded_requests(chain: str) -> tuple[HttpInput, ...]:
    """The questions recorded of both releases, about this chain, and a plain one of each route."""
    found: dict[bytes, HttpInput] = {}
    for path in sorted(SURFACE.glob("*-questions.jsonl")):
        for line in path.read_text().splitlines():
            asked = json.loads(line)
            target = asked["path"].replace("<chain>", chain).replace("<CHAIN>", chain.upper())
            headers = {"Host": "node", "Connection": "close", **asked["headers"]}
            lines = [f"{asked['method']} {target} HTTP/1.1"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            data = "\r\n".join([*lines, "", ""]).encode()
            found[data] = HttpInput(_route(target, chain), data)
    below = ("info", "health", "public/latest", "public/1")
    plain = ("/metrics", *(f"/{chain}/{one}" for one in below))
    for target in plain:
        data = f"GET {target} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n".encode()
        route = target if target == "/metrics" else _route(target, chain)
        found[data] = HttpInput(route, data)
    return tuple(found.values())


def _route(target: str, chain: str) -> str:
    path = target.partition("?")[0]
    named = path.lower().replace(chain, "{chain}")
    named = re.sub(r"/public/\d+$", "/public/{round}", named)
    known = ("/chains", "/info", "/health", "/public/latest", "/public/{round}")
    below = tuple(f"/{{chain}}{one}" for one in known[1:])
    return named if named in known + below else "no route"


FILE_KINDS = ("drand_id.private", "drand_id.public", "drand_group.toml", "dist_key.private")


def recorded_files(folder: Folder, member: str, beacon_id: str) -> Mapping[str, bytes]:
    """A member's four files as its release left them, of a network that is named otherwise."""
    found = {name: (folder.path / member / name).read_bytes() for name in FILE_KINDS}
    group = found["drand_group.toml"]
    named = re.sub(rb'(?m)^ID = ".*"$', f'ID = "{beacon_id}"'.encode(), group)
    if b"\nID = " not in named:
        named = f'ID = "{beacon_id}"\n'.encode() + named
    return {**found, "drand_group.toml": named}


RECORDED_MEMBERS = tuple((folder, member) for folder in FOLDERS for member in MEMBERS)


# No folder can be made there, and nobody listens there.
NO_FOLDER, NOWHERE = "/dev/null/none", "127.0.0.1:1"


def recorded_command_lines(release: str) -> tuple[tuple[str, ...], ...]:
    """What a release's command line was recorded with, each folder and address made harmless."""
    found = []
    for path in sorted((SURFACE / release).glob("*.txt")):
        first = path.read_text().split("\n", maxsplit=1)[0]
        if first.startswith("$ drand "):
            line = re.sub(r"127\.0\.0\.1:\d+", NOWHERE, first.removeprefix("$ drand "))
            line = re.sub(r"FOLDER\S*", NO_FOLDER, re.sub(r"--control \d+", "--control 1", line))
            found.append(tuple(line.split()))
    assert len(found) > 8
    return tuple(found)


def mutated_line(
    words: Sequence[str], others: Sequence[Sequence[str]], random: Random
) -> tuple[str, ...]:
    """One to three changes: a word gone, doubled, moved, changed, or another line's."""
    changed = list(words)
    for _ in range(random.choice([1, 1, 2, 3])):
        at, to = (random.randrange(len(changed) + 1) for _ in range(2))
        other = random.choice(random.choice(others))
        match random.randrange(5):
            case 0:
                del changed[at : at + 1]
            case 1:
                changed[to:to] = changed[at : at + 1]
            case 2:
                changed[at:at] = [other]
            case 3:
                changed[at : at + 1] = [other]
            case _:
                word = mutated(other.encode(), [one.encode() for one in words], random)
                changed[at : at + 1] = [word.decode(errors="replace").replace("\0", "")]
    return tuple(changed) if changed != list(words) else (*words, "again")


def harmless_line(words: Sequence[str]) -> bool:
    """Whether it may be run: it names no folder, port or address but those above."""
    given = [one for one in words if one not in (NO_FOLDER, NOWHERE, "1", f"--folder={NO_FOLDER}")]
    if any("/" in one or any(map(str.isdigit, one)) for one in given):
        return False
    # With a folder that can be made it might run, and not come back.
    return "start" not in given or not any("folder" in one for one in given)


# ---- what came of it ---------------------------------------------------------------------------


@dataclass
class Tally:
    """Inputs by target: how many, how many of them mutations, and what they were answered with."""

    sent: Counter[str] = field(default_factory=Counter)
    mutations: Counter[str] = field(default_factory=Counter)
    outcomes: dict[str, Counter[str]] = field(default_factory=dict)
    kept_back: Counter[str] = field(default_factory=Counter)

    def add(self, target: str, outcome: str, *, mutation: bool) -> None:
        """One input, and its outcome."""
        self.sent[target] += 1
        self.mutations[target] += mutation
        self.outcomes.setdefault(target, Counter())[outcome] += 1

    def lines(self) -> list[str]:
        """A line for each target and one for all."""
        found = []
        for target in sorted(self.sent):
            outcomes = self.outcomes[target].most_common()
            said = ", ".join(f"{outcome} {count}" for outcome, count in outcomes)
            found.append(f"{target:<44} {self.sent[target]:>6} {self.mutations[target]:>6}  {said}")
        back = f"; {self.kept_back.total()} not sent" if self.kept_back else ""
        found.append(
            f"{'all':<44} {self.sent.total():>6} {self.mutations.total():>6}  "
            f"inputs, of which mutations of recorded or genuine ones{back}"
        )
        return found
