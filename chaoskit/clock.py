"""
Time, and waiting on progress.

Owns: every reading of a clock and every pause in chaoskit and its suites. Refuses: default
time-outs and waits that do not say what for. A run's time is seconds since the run began, on the
monotonic clock; UTC stands beside it in the history, so that logs can be lined up.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from tenacity import RetryError, Retrying, retry_if_result, stop_before_delay, wait_fixed

from chaoskit.errors import UsageError, WaitTimedOut

T = TypeVar("T")
_WEEK_S = 7 * 24 * 3600.0


def monotonic() -> float:
    """Seconds on the monotonic clock; only differences mean something."""
    return time.monotonic()


def utc_now() -> datetime:
    """The wall clock, in UTC."""
    return datetime.now(UTC)


def pause(duration_s: float) -> None:
    """Let `duration_s` seconds pass: for the pace of a loop, never in the hope of progress."""
    time.sleep(duration_s)


def wait_until(
    predicate: Callable[[], T | None],
    *,
    what: str,
    timeout_s: float,
    poll_s: float = 0.02,
    last: Callable[[], str] | None = None,
) -> T:
    """
    Poll `predicate` every `poll_s` seconds until it answers something true, and return that.

    Raises WaitTimedOut, naming `what` and (when given) what was seen last, after `timeout_s`
    seconds. The predicate is tried at least once.
    """
    attempts = Retrying(
        stop=stop_before_delay(timeout_s),
        wait=wait_fixed(poll_s),
        retry=retry_if_result(lambda answer: not answer),
        sleep=time.sleep,
    )
    try:
        answer = attempts(predicate)
    except RetryError:
        raise WaitTimedOut(what, timeout_s, last() if last else "") from None
    assert answer is not None
    return answer


def read_duration_s(text: str) -> float:
    """
    A length of time as people write it: 90, 90s, 20m, 1.5h.

    Raises UsageError for what is none, and for what is not between nothing and a week.
    """
    units_s = {"s": 1.0, "m": 60.0, "h": 3600.0}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units_s else (text, "s")
    try:
        value_s = float(number) * units_s[unit]
    except ValueError:
        raise UsageError(f"{text!r} is no length of time: write 90s, 20m or 1.5h") from None
    if not 0 < value_s < _WEEK_S:
        raise UsageError(f"{text!r} is not between nothing and a week")
    return value_s
