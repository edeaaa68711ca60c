"""Where a number lies on an axis drawn in percent of its width, so that a plot fits any screen."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

_STEPS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5)


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis from ``low`` to ``high`` with round ``ticks``, all as shares."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def at(self, value: float) -> str:
        """The place of ``value`` as an SVG length, ``37.25%``."""
        return f"{100 * (value - self.low) / (self.high - self.low):.2f}%".replace("-0.00%", "0.00%")


def scale_for(values: Iterable[float], most_ticks: int = 7, within: tuple[float, float] | None = None) -> Scale:
    """The narrowest axis with round ends that holds every value, with ``most_ticks`` ticks at most.

    ``within`` cuts the ends (0 and 1 for shares). No values give the axis of shares.
    """
    found = list(values) or [0.0, 1.0]
    least, most = min(found), max(found)
    for step in _STEPS:
        first, last = math.floor(least / step + 1e-9), math.ceil(most / step - 1e-9)
        if within:
            first, last = max(first, round(within[0] / step)), min(last, round(within[1] / step))
        if last - first < most_ticks:
            break
    if first == last:
        first, last = (first - 1, last) if within and last >= round(within[1] / step) else (first, last + 1)
    ticks = tuple(round(number * step, 6) for number in range(first, last + 1))
    return Scale(ticks[0], ticks[-1], ticks)
