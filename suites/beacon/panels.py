"""
What a report draws of a beacon: what drand's own dashboards show, and the bound of a catch-up.

Owns: the panels of suites.beacon.system. Refuses: facts that a real drand does not show: every
number here comes from its HTTP answers and its metrics (suites.beacon.watching).
"""

from __future__ import annotations

import math

from chaoskit.panel import CatchUp, Contributions, Curve, Level, Panels
from suites.beacon.margin import REFUSED
from suites.beacon.punctuality import LEVEL, catch_up_bound_s, full_backoff_behind


def panels(*, period_s: int, catchup_period_s: int) -> Panels:
    """The panels of a group with this period and catch-up period, in seconds."""
    return Panels(
        curves=(
            Curve(
                title="rounds, late against due",
                words="beacon_discrepancy_latency of each member's metrics: how long after it was "
                "due a round was stored there; late ones that come in a burst show their last",
                reads="detail.late_s",
                seconds=True,
                once_per="detail.rounds.default",
                levels=(Level("the next is due", float(period_s)),),
            ),
        ),
        contributions=Contributions(
            title="partial signatures at each member",
            words="its own, and those of members that answer and of which error_sending_partial "
            "says that it took the last one",
            refused=REFUSED,
        ),
        catch_up=CatchUp(
            words="rounds that are due and that the member does not serve yet",
            noun="rounds",
            behind="detail.behind",
            level=LEVEL,
            bound=_bound(float(period_s), float(catchup_period_s)),
        ),
    )


def _bound(period_s: float, catchup_period_s: float) -> tuple[tuple[float, float], ...]:
    """The bound at the ends of its straight pieces; none where there is no bound."""

    def at(behind: int) -> tuple[float, float]:
        bound_s = catch_up_bound_s(behind, period_s=period_s, catchup_period_s=catchup_period_s)
        return float(behind), bound_s

    full = full_backoff_behind(period_s)
    points = (at(0), at(full), at(full + 1), at(2 * full + 2))
    return () if math.isinf(points[-1][1]) else points
