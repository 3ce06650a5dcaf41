"""The five answers: which counts where they meet, and the exit codes."""

from __future__ import annotations

from itertools import permutations

import pytest

from chaoskit.verdict import (
    Kind,
    Reason,
    Verdict,
    decide,
    exit_code,
    leading,
    usage_exit_code,
)

# From the one that counts most to the one that counts least.
ORDER = (
    Reason(Verdict.FAIL, "fork", "", kind=Kind.SAFETY),
    Reason(Verdict.INFRA, "heal", ""),
    Reason(Verdict.INVALID, "felt", ""),
    Reason(Verdict.FAIL, "progress", "", kind=Kind.LIVENESS),
    Reason(Verdict.UNKNOWN, "read", ""),
    Reason(Verdict.PASS, "kept", ""),
)


@pytest.mark.parametrize("first", range(len(ORDER)))
def test_of_any_two_the_earlier_in_the_order_counts(first: int) -> None:
    for later in ORDER[first:]:
        for pair in permutations((ORDER[first], later)):
            assert decide(pair) is ORDER[first].verdict
            assert leading(pair) is ORDER[first]


def test_all_together_and_none() -> None:
    assert decide(reversed(ORDER)) is Verdict.FAIL
    assert decide([]) is Verdict.PASS
    assert leading([]) is None


def test_the_first_given_leads_among_equals() -> None:
    one, other = (Reason(Verdict.UNKNOWN, by, "") for by in ("one", "other"))
    assert leading([ORDER[5], one, other]) is one


@pytest.mark.parametrize(
    ("verdict", "kind"),
    [(Verdict.FAIL, None), *((one, Kind.SAFETY) for one in Verdict if one is not Verdict.FAIL)],
)
def test_fail_and_only_fail_has_a_kind(verdict: Verdict, kind: Kind | None) -> None:
    with pytest.raises(ValueError, match="kind"):
        Reason(verdict, "x", "", kind=kind)


def test_exit_codes() -> None:
    codes = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.INVALID: 3, Verdict.UNKNOWN: 4}
    codes[Verdict.INFRA] = 5
    assert {one: exit_code(one) for one in Verdict} == codes
    assert usage_exit_code() == 2


def test_exit_codes_for_a_bisect() -> None:
    # 125: skip this commit; 128 and above: end the bisect (git-bisect(1))
    codes = {one: exit_code(one, for_bisect=True) for one in Verdict}
    assert codes == dict.fromkeys(Verdict, 125) | {Verdict.PASS: 0, Verdict.FAIL: 1}
    assert usage_exit_code(for_bisect=True) == 128
