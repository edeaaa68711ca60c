"""Colours of differences: the same four steps either way in every heat map and map, by class names only."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from xrealign.report.format import points

STEPS = 4
_WIDTHS = (0.0025, 0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25)
_USUAL = 0.9


@dataclass(frozen=True, slots=True)
class Shading:
    """A colour for each ``width`` of difference; those nearer to zero than half of it have none."""

    width: float

    def step(self, value: float | None) -> str:
        """The class of a colour: ``s-4`` (large loss) to ``s4`` (large gain), ``s0``, or ``none``."""
        if value is None or not math.isfinite(value):
            return "none"
        return f"s{max(-STEPS, min(STEPS, round(value / self.width)))}"

    def legend(self) -> list[tuple[str, str]]:
        """(class, text) of each colour from loss to gain; the ends hold all that lies beyond them."""
        found = []
        for number in range(-STEPS, STEPS + 1):
            text = points(number * self.width).removesuffix(".0")
            edge = "≤ " if number == -STEPS else "≥ " if number == STEPS else ""
            found.append((f"s{number}", edge + text))
        return found


def shading_for(values: Iterable[float | None]) -> Shading:
    """Round steps that reach nine of ten differences, so that one outlier does not pale all others."""
    found = sorted(abs(value) for value in values if value is not None and math.isfinite(value))
    most = found[math.ceil(_USUAL * len(found)) - 1] if found else 0.0
    return Shading(next((width for width in _WIDTHS if STEPS * width >= most), max(most / STEPS, _WIDTHS[-1])))
