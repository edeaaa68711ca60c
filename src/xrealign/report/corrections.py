"""p-values corrected for how many tests there are. None stays None and does not count as a test."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

PValues = Sequence[float | None]


def holm(p: PValues) -> list[float | None]:
    """Holm's (1979) step-down p-values: they bound the chance of a single false claim among all."""
    known = _known(p)
    order = np.argsort(known)
    steps = known[order] * np.arange(len(known), 0, -1)
    return _placed(p, order, np.maximum.accumulate(steps))


def benjamini_hochberg(p: PValues) -> list[float | None]:
    """Benjamini & Hochberg's (1995) step-up p-values: they bound the expected share of false claims."""
    known = _known(p)
    order = np.argsort(known)
    steps = known[order] * len(known) / np.arange(1, len(known) + 1)
    return _placed(p, order, np.minimum.accumulate(steps[::-1])[::-1])


def _known(p: PValues) -> NDArray[np.float64]:
    known = np.array([value for value in p if value is not None], dtype=np.float64)
    if not bool(((known >= 0) & (known <= 1)).all()):
        raise ValueError(f"p-values must lie between 0 and 1, got {[v for v in known if not 0 <= v <= 1]}")
    return known


def _placed(p: PValues, order: NDArray[np.intp], corrected: NDArray[np.float64]) -> list[float | None]:
    back = np.empty(len(order))
    back[order] = np.minimum(corrected, 1.0)
    values = iter(back.tolist())
    return [None if value is None else next(values) for value in p]
