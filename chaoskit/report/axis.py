"""
Axes: round ticks and where a value lies.

Owns: the arithmetic of scales, linear and by decades. Refuses: drawing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

_STEPS = (1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps `low`..`high` to `start`..`end` (pixels), by decades when `logarithmic`."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """The place of a value, held to the ends and rounded to a tenth of a pixel."""
        low, high, value = (self._log(one) for one in (self.low, self.high, value))
        part = (value - low) / (high - low) if high > low else 0.5
        return round(self.start + (self.end - self.start) * min(max(part, 0.0), 1.0), 1)

    def _log(self, value: float) -> float:
        return math.log10(max(value, 1e-9)) if self.logarithmic else value


def round_step(span: float, most: int) -> float:
    """The smallest of 1, 2, 5 times a power of ten that cuts `span` into at most `most` parts."""
    if not span > 0 or not math.isfinite(span):
        return 1.0
    power = 10.0 ** math.floor(math.log10(span / most))
    return next((one * power for one in _STEPS if one * power * most >= span), 10.0 * power)


def round_ticks(low: float, high: float, most: int) -> tuple[float, ...]:
    """Round values within low..high, at most about `most` of them."""
    step = round_step(high - low, most)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return tuple(
        round(number * step, 9) for number in range(first, min(last, first + 2 * most) + 1)
    )


def decade_ticks(low: float, high: float) -> tuple[float, ...]:
    """The powers of ten within low..high."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    return tuple(10.0**power for power in range(first, last + 1))
