"""
Whether a tap hears: words of ours on the links, and their answers, held against what was heard.

Owns: saying on every whole link a word that nobody else says, as its source would, and finding it
and what came back in what the tap heard. Refuses: to believe a tap that was not put to the test,
and what it heard of others; that is the ledger's.

Rules: heard is on that link, from its first byte on, either way, in time. What a busy machine
feigns for a moment is not there the next time, so there are several tries; what hears nothing,
takes one link for another, loses how a connection began, or is late, is so in each.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

from chaoskit import clock
from chaoskit.cluster import Cluster
from chaoskit.conversation import Segment
from chaoskit.errors import ChaosError, WaitTimedOut
from chaoskit.mesh import Link
from chaoskit.wire import Said

_WORD = b"GET /chaoskit/"  # of HTTP/1, by which no member asks another
_WORD_BYTES = 8
_KEPT_BYTES_AT_MOST = 65_536
_ANSWER_TIMEOUT_S = 1.0
_LATE_S = 1.0
_POLL_S = 0.02
_TRIES = 5
_SIDE_BY_SIDE = 8

_End = tuple[str, int]


@dataclass(slots=True)
class _Heard:
    """A connection that began with a word of ours, as far as it was heard."""

    heard_s: float
    word: bytes
    answer: bytes = b""


@dataclass(slots=True)
class Hearing:
    """What was heard of our own words; `take` is for who hears, `demand` for who relies on it."""

    cluster: Cluster
    _heard: dict[tuple[_End, _End], _Heard] = field(default_factory=dict)

    def take(self, segment: Segment) -> None:
        """Note a segment of a connection that began with a word of ours; others are passed over."""
        if segment.data.startswith(_WORD):
            heard = _Heard(clock.monotonic(), segment.data)
            self._heard.setdefault((segment.source, segment.target), heard)
            return
        begun = self._heard.get((segment.target, segment.source))
        if begun is not None and len(begun.answer) < _KEPT_BYTES_AT_MOST:
            begun.answer += segment.data

    def demand(self) -> None:
        """
        Say a word on each whole link, and find it in what was heard.

        Raises ChaosError when it is not there in any of several tries, when nobody answered on any
        link, and when no link is whole.
        """
        links = self.cluster.wire.whole_links()
        if not links:
            raise ChaosError("whether the tap hears was not tried: no link is whole")
        missed: Sequence[str] = ()
        for _ in range(_TRIES):
            missed = self._try(links)
            if not missed:
                return
        raise ChaosError(
            f"the tap does not hear what is said on the links, so it proves nothing: {missed[0]}"
            + (f", and {len(missed) - 1} more" if missed[1:] else "")
        )

    def _try(self, links: Sequence[Link]) -> Sequence[str]:
        """What was not heard as it was said."""
        with ThreadPoolExecutor(_SIDE_BY_SIDE, thread_name_prefix="hearing") as pool:
            words = list(pool.map(self._say, links))
        with suppress(WaitTimedOut):
            clock.wait_until(
                lambda: all(one.why_not() == "" for one in words),
                what="our words to be heard",
                timeout_s=_LATE_S,
                poll_s=_POLL_S,
            )
        missed = [f"{one.link.name}: {why}" for one in words if (why := one.why_not())]
        if not missed and not any(one.said.answer for one in words if one.said):
            missed = ["nobody answered on any link"]
        return missed

    def _say(self, link: Link) -> _Word:
        word = _WORD + secrets.token_hex(_WORD_BYTES).encode() + b" HTTP/1.0\r\n\r\n"
        port = self.cluster.wire.linked_port().number
        try:
            said = self.cluster.wire.say(
                link.source, link.target, word, timeout_s=_ANSWER_TIMEOUT_S
            )
        except ChaosError as error:
            return _Word(link, word, None, str(error), lambda: None)
        key = (said.source, (link.address, port))
        return _Word(link, word, said, "", lambda: self._heard.get(key))


@dataclass(frozen=True, slots=True)
class _Word:
    """A word that was said on a link, or why it could not be, and what was heard of it."""

    link: Link
    word: bytes
    said: Said | None
    unsaid: str
    heard: Callable[[], _Heard | None]

    def why_not(self) -> str:
        """In what it was not heard as it was said; empty when it was."""
        heard = self.heard()
        if self.said is None:
            return self.unsaid
        if heard is None or heard.word != self.word:
            return "what we said was not heard there"
        if heard.heard_s - self.said.said_s > _LATE_S:
            return f"what we said was heard {heard.heard_s - self.said.said_s:.1f} s later"
        begins = min(len(heard.answer), len(self.said.answer))
        if self.said.answer and not begins:
            return "what answered us was not heard"
        if heard.answer[:begins] != self.said.answer[:begins]:
            return "what answered us was heard otherwise"
        return ""
