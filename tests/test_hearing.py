"""A tap is put to the test: what is said on links is heard there, whole, either way, in time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

from chaoskit import hearing
from chaoskit.clock import monotonic
from chaoskit.conversation import Segment
from chaoskit.errors import ChaosError
from chaoskit.hearing import Hearing
from chaoskit.wire import Said
from tests.lying_tap import LIES, Lie, LyingTap

PORT = 4444
LINKS = {"n1>n2": "10.0.1.1", "n2>n1": "10.0.1.2", "n1>n3": "10.0.1.3"}
ANSWER = b"HTTP/1.1 400 Bad Request\r\n"


@dataclass
class Network:
    """Links on which a word of ours is answered, and what is told of them to whoever listens."""

    told: Callable[[Segment], Segment | None]
    answer: bytes = ANSWER
    links: dict[str, str] = field(default_factory=lambda: dict(LINKS))
    words: list[tuple[str, bytes]] = field(default_factory=list)
    hearing: Hearing = field(init=False)
    _ports: Iterator[int] = field(default_factory=lambda: count(5000))

    def __post_init__(self) -> None:
        wire = SimpleNamespace(
            whole_links=lambda: [
                SimpleNamespace(name=name, source=name[:2], target=name[3:], address=address)
                for name, address in self.links.items()
            ],
            linked_port=lambda: SimpleNamespace(number=PORT),
            say=self.say,
        )
        cluster: Any = SimpleNamespace(wire=wire)
        self.hearing = Hearing(cluster)

    def say(self, source: str, target: str, word: bytes, *, timeout_s: float) -> Said:
        assert timeout_s > 0
        link = f"{source}>{target}"
        self.words.append((link, word))
        own, far = ("10.0.0.1", next(self._ports)), (self.links[link], PORT)
        said_s = monotonic()
        self.passes(Segment(own, far, opens=True, ends=False, data=b""))
        self.passes(Segment(own, far, opens=False, ends=False, data=word))
        if self.answer:
            self.passes(Segment(far, own, opens=False, ends=False, data=self.answer[:7]))
            self.passes(Segment(far, own, opens=False, ends=False, data=self.answer[7:]))
        return Said(own, said_s, self.answer)

    def passes(self, segment: Segment) -> None:
        told = self.told(segment)
        if told is not None:
            self.hearing.take(told)


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who lies does so as well in a fifth of a second; who does not is heard at once."""
    monkeypatch.setattr(hearing, "_LATE_S", 0.2)
    monkeypatch.setattr(hearing, "_TRIES", 2)


def test_what_is_said_is_heard_on_every_link() -> None:
    network = Network(lambda segment: segment)
    network.hearing.demand()
    assert sorted(link for link, _ in network.words) == sorted(LINKS)
    assert len({word for _, word in network.words}) == 3, "each word is said once"
    network.hearing.demand()
    assert len({word for _, word in network.words}) == 6


@pytest.mark.parametrize("lie", LIES)
def test_a_tap_that_lies_is_believed_in_nothing(lie: Lie) -> None:
    network = Network(LyingTap(lie, list(LINKS.values()), monotonic).told)
    with pytest.raises(ChaosError, match="does not hear what is said") as raised:
        network.hearing.demand()
    assert "and 2 more" in str(raised.value)
    assert len(network.words) == 6, "a stall is given another try, a lie is there again"


def test_a_word_that_is_reported_late_is_called_so() -> None:
    held: list[Segment] = []
    network = Network(lambda segment: held.append(segment) or segment)  # type: ignore[func-returns-value]
    for one in network.hearing.cluster.wire.whole_links():
        said = network.hearing._say(one)
        assert said.said is not None
        object.__setattr__(said.said, "said_s", said.said.said_s - 2.0)
        assert said.why_not() == "what we said was heard 2.0 s later"


def test_one_link_that_is_not_heard_is_enough() -> None:
    network = Network(lambda one: None if "10.0.1.3" in (one.source[0], one.target[0]) else one)
    with pytest.raises(ChaosError, match=r"n1>n3: what we said was not heard there$"):
        network.hearing.demand()


def test_an_answer_that_is_heard_otherwise() -> None:
    def told(segment: Segment) -> Segment:
        if segment.data.startswith(ANSWER[:7]):
            return Segment(segment.source, segment.target, False, False, b"\x16\x03\x03")  # noqa: FBT003
        return segment

    with pytest.raises(ChaosError, match="what answered us was heard otherwise"):
        Network(told).hearing.demand()


def test_a_stall_is_no_lie() -> None:
    seen = count(1)
    network = Network(lambda segment: segment if next(seen) > 12 else None)
    network.hearing.demand()
    assert len(network.words) == 6


def test_where_nobody_answers_half_of_it_was_not_tried() -> None:
    with pytest.raises(ChaosError, match="nobody answered on any link"):
        Network(lambda segment: segment, answer=b"").hearing.demand()


def test_where_nothing_can_be_said_nothing_is_proven() -> None:
    network = Network(lambda segment: segment)
    network.links.clear()
    with pytest.raises(ChaosError, match="no link is whole"):
        network.hearing.demand()

    def refused(*_: object, **__: object) -> Said:
        raise ChaosError("nothing can be said on n1>n2: refused")

    network = Network(lambda segment: segment)
    network.hearing.cluster.wire.say = refused  # type: ignore[method-assign]
    with pytest.raises(ChaosError, match="n1>n2: nothing can be said on n1>n2: refused"):
        network.hearing.demand()


def test_what_others_say_is_passed_over() -> None:
    network = Network(lambda segment: segment)
    network.passes(Segment(("10.0.0.9", 1), ("10.0.1.1", PORT), False, False, b"PRI * HTTP/2.0"))  # noqa: FBT003
    assert not network.hearing._heard
