"""
What a client may ask of an answer that does not change: not to be sent it again, or a part of it.

Owns: If-Modified-Since, If-Unmodified-Since, Range and If-Range. Refuses: ranges that are none, or
lie beyond the end, with 416; conditions on what does change are not looked at.

Rules (RFC 9110, 13 and 14; headers as Go's net/http has them): one range is cut, several are
answered with the whole, as a server may.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from nodes.beacon.http_answers import TEXT, Answer
from nodes.beacon.releases import Line, Surface

_RANGE = re.compile(r"bytes=[ \t]*(\d{0,18})[ \t]*-[ \t]*(\d{0,18})[ \t]*")


@dataclass(frozen=True, slots=True)
class Conditions:
    """
    What a request says; times in seconds, None where it says nothing or no date.

    `match`, `none_match`, `if_range` and `range` are headers as they came, empty where there is
    none. Nothing here has an entity tag, so that only `*` fits.
    """

    modified_since_s: float | None = None
    unmodified_since_s: float | None = None
    if_range_s: float | None = None
    match: str = ""
    none_match: str = ""
    if_range: str = ""
    range: str = ""


def conditioned(answer: Answer, surface: Surface, method: str, conditions: Conditions) -> Answer:
    """The answer to a request with these conditions."""
    modified_s = answer.modified_s
    if modified_s is None:
        return answer
    since_s, until_s = conditions.modified_since_s, conditions.unmodified_since_s
    changed = until_s is not None and modified_s > until_s
    had = since_s is not None and modified_s <= since_s
    if conditions.match:
        changed = conditions.match != "*"
    if conditions.none_match:
        had = conditions.none_match == "*"
    reads = method in ("GET", "HEAD")
    if changed or (had and conditions.none_match and not reads):
        return Answer(412, _without(answer.headers, "Accept-Ranges"))
    if had and reads:
        return Answer(304, _without(answer.headers, "Accept-Ranges", "Content-Type"))
    if conditions.range and (not conditions.if_range or conditions.if_range_s == modified_s):
        return _part(answer, surface, conditions.range)
    return answer


def _part(answer: Answer, surface: Surface, asked: str) -> Answer:
    if "," in asked or asked == "bytes=":
        return answer
    size = len(answer.body)
    match = _RANGE.fullmatch(asked)
    if match is None or not (match[1] or match[2]):
        return _no_part(answer, surface, "invalid range")
    if match[1]:
        first, last = int(match[1]), int(match[2] or size - 1)
        if match[2] and last < first:
            return _no_part(answer, surface, "invalid range")
    else:
        first, last = max(0, size - int(match[2])), size - 1
    if first >= size:
        return _no_part(answer, surface, "invalid range: failed to overlap", f"bytes */{size}")
    last = min(last, size - 1)
    headers = {**answer.headers, "Content-Range": f"bytes {first}-{last}/{size}"}
    return replace(answer, status=206, headers=headers, body=answer.body[first : last + 1])


def _no_part(answer: Answer, surface: Surface, why: str, size: str = "") -> Answer:
    kept = _without(answer.headers, "Accept-Ranges")
    if surface.line is Line.V2:
        # Built with a later Go, which says of an error nothing that was meant for the whole.
        kept = _without(kept, "Cache-Control", "Last-Modified")
    said = {"Content-Range": size} if size else {}
    return Answer(416, {**kept, **TEXT, **said}, f"{why}\n".encode())


def _without(headers: Mapping[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in names}
