"""
Verdicts: the five answers, which of them counts where they meet, and the exit codes.

Owns: the order of precedence and the CLI's exit codes. Refuses: anything in between.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What a run says of the system under test, or of itself."""

    PASS = "PASS"
    FAIL = "FAIL"
    INVALID = "INVALID"
    UNKNOWN = "UNKNOWN"
    INFRA = "INFRA"


class Kind(StrEnum):
    """The kind of a property: safety (nothing bad happens) or liveness (something good does)."""

    SAFETY = "safety"
    LIVENESS = "liveness"


@dataclass(frozen=True, slots=True)
class Reason:
    """
    Why a verdict is what it is: one finding, by whom, with the indices of its events.

    `by` names the invariant or the check of the harness; `kind` is set for FAIL alone.
    """

    verdict: Verdict
    by: str
    text: str
    events: tuple[int, ...] = ()
    kind: Kind | None = None

    def __post_init__(self) -> None:
        if (self.verdict is Verdict.FAIL) != (self.kind is not None):
            raise ValueError(f"{self.by}: FAIL and only FAIL has a kind of property")


def _rank(reason: Reason) -> int:
    if reason.verdict is Verdict.FAIL:
        return 0 if reason.kind is Kind.SAFETY else 3
    return {Verdict.INFRA: 1, Verdict.INVALID: 2, Verdict.UNKNOWN: 4, Verdict.PASS: 5}[
        reason.verdict
    ]


def decide(reasons: Iterable[Reason]) -> Verdict:
    """
    The verdict that counts where reasons meet; PASS when there are none.

    The first of these: FAIL of safety, INFRA, INVALID, FAIL of liveness, UNKNOWN, PASS.
    """
    ranked = sorted(reasons, key=_rank)
    return ranked[0].verdict if ranked else Verdict.PASS


def leading(reasons: Iterable[Reason]) -> Reason | None:
    """The reason whose verdict counts; the first of them in the given order, None for none."""
    ranked = sorted(reasons, key=_rank)
    return ranked[0] if ranked else None


EXIT_CODES = {
    Verdict.PASS: 0,
    Verdict.FAIL: 1,
    Verdict.INVALID: 3,
    Verdict.UNKNOWN: 4,
    Verdict.INFRA: 5,
}
USAGE_EXIT_CODE = 2
_SKIP_FOR_BISECT = 125
_ABORT_BISECT = 128


def exit_code(verdict: Verdict, *, for_bisect: bool = False) -> int:
    """
    The CLI's exit code: 0 PASS, 1 FAIL, 3 INVALID, 4 UNKNOWN, 5 INFRA.

    With `for_bisect`, what says nothing of the release (3 to 5) is 125: `git bisect` skips it.
    """
    code = EXIT_CODES[verdict]
    return _SKIP_FOR_BISECT if for_bisect and code > USAGE_EXIT_CODE else code


def usage_exit_code(*, for_bisect: bool = False) -> int:
    """The CLI's exit code for a command that cannot be meant: 2, or 128, which ends a bisect."""
    return _ABORT_BISECT if for_bisect else USAGE_EXIT_CODE
