"""
Some two hundred questions that real releases were asked over HTTP, and what ours answers.

Paths that are none, every method, conditions, ranges: compared in status, headers and body. Left
out, by _left_out, are methods that aiohttp refuses by itself, a 400 that has a length with ours and
none with Go's server, and one range without a byte.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.beacon_memory import SURFACE, MemoryNetwork, recorded_group
from tests.test_beacon_http import RELEASES, Served, beacon, run, serving

LAST = 60
# Go answers with no bytes; ours says that there is no such part.
NO_BYTES = {"Range": "bytes=-0"}


@dataclass(frozen=True, slots=True)
class Question:
    """A request, and the answer as it was recorded, with what varies replaced."""

    method: str
    path: str
    headers: dict[str, str]
    answer: dict[str, Any]


def questions(release: str) -> list[Question]:
    lines = (SURFACE / f"{release}-questions.jsonl").read_text().splitlines()
    found = [Question(**json.loads(line)) for line in lines]
    asked = [one for one in found if not _left_out(one)]
    assert (len(found), len(asked)) == (211, 193)
    return asked


def _left_out(question: Question) -> bool:
    unknown_method = question.method in ("get", "FOO")
    no_path = re.search("%(?![0-9A-Fa-f]{2})", question.path) is not None
    no_bytes = question.path == "/info" and question.headers == NO_BYTES
    return unknown_method or no_path or no_bytes


async def asked(served: Served, question: Question, chain: str) -> dict[str, Any]:
    """What ours answers, byte for byte off the wire, with what varies replaced."""
    host, port = served.base.removeprefix("http://").split(":")
    path = question.path.replace("<chain>", chain).replace("<CHAIN>", chain.upper())
    headers = {"Host": host, "Connection": "close", **question.headers}
    reader, writer = await asyncio.open_connection(host, int(port))
    lines = [f"{question.method} {path} HTTP/1.1", *(f"{a}: {b}" for a, b in headers.items())]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    first, *rest = head.decode().split("\r\n")
    told = dict(line.split(": ", 1) for line in rest)
    return varying(int(first.split()[1]), told, body.decode("latin1"), chain)


def varying(status: int, headers: dict[str, str], body: str, chain: str) -> dict[str, Any]:
    """An answer with its times, ages, numbers and values replaced, as the recordings have it."""
    kept = {name: one for name, one in headers.items() if name not in ("Date", "Connection")}
    for name, value in kept.items():
        dated = re.sub(r"\w{3}, \d\d \w{3} \d{4} [\d:]+ GMT", "<date>", value)
        if "must-revalidate" in value:
            dated = re.sub(r"max-age=\d+", "max-age=<age>", dated)
        kept[name] = dated
    text = body.replace(chain, "<chain>")
    text = re.sub(r"[0-9a-f]{32,}", lambda match: f"<{len(match[0]) // 2} bytes>", text)
    text = re.sub(r'("(?:round|current|expected|genesis_time)":)\d+', r"\1<number>", text)
    text = re.sub(r"our beacons \[.*\]\.", "our beacons [<known>].", text)
    if text != body and "Content-Length" in kept:
        kept["Content-Length"] = "<length>"
    return {"status": status, "headers": dict(sorted(kept.items())), "body": text}


@pytest.mark.parametrize("release", RELEASES)
def test_every_recorded_question_has_its_answer(release: str) -> None:
    group = recorded_group(release)
    chain = group.chain().hash().hex()
    first = replace(beacon(1), previous_signature=group.genesis_seed)
    rounds = [first, *(beacon(number) for number in range(2, LAST))]

    async def work() -> dict[str, tuple[Any, Any]]:
        network = MemoryNetwork(group, rounds)
        differ = {}
        async with serving(release, network=network) as served:
            served.at(LAST)
            await served.ask("/health")  # the watch begins, and a round is seen
            await network.append(beacon(LAST))
            for one in questions(release):
                ours = await asked(served, one, chain)
                if one.method == "HEAD":  # the length of a body that is not seen
                    for each in (ours, one.answer):
                        each["headers"].pop("Content-Length", None)
                if ours != one.answer:
                    differ[f"{one.method} {one.path} {one.headers}"] = (ours, one.answer)
        return differ

    assert run(work()) == {}
