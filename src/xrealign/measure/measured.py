"""A measure with what it was averaged from, and how far a difference between two encoders can be trusted.

Every measure here is a mean over items (sentence pairs, word pairs). Those that are not means by nature (CKA, F1, mean
cosines over all pairs) come as their first-order contributions: value + empirical influence of each item, whose mean is
the value itself (Efron & Tibshirani 1993, section 22.6). So one paired bootstrap serves them all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xrealign.errors import DataError

Array = np.ndarray[Any, Any]
RESAMPLES = 2000
LEVEL = 0.95
FEWEST = 5  # fewer clusters say nothing about spread
CHUNK = 1 << 24  # numbers drawn at a time


@dataclass(frozen=True)
class Measured:
    """A number and the items it is the mean of.

    Attributes:
        items: *Shape:* (N,), float64
    """

    items: Array

    @property
    def value(self) -> float:
        """The mean of the items."""
        return float(self.items.mean())


def measured(items: Array) -> Measured:
    """Items of any kind of number, or truth values, as a `Measured`.

    Raises:
        DataError: there are none, or one is not a number.
    """
    wide = np.asarray(items, dtype=np.float64)
    if wide.ndim != 1 or not len(wide):
        raise DataError(f"a measure has items of shape {wide.shape}; expected at least one")
    if not np.isfinite(wide).all():
        raise DataError(f"{int((~np.isfinite(wide)).sum())} of {len(wide)} items of a measure are not numbers")
    return Measured(wide)


def paired_replicates(
    before: Array, after: Array, clusters: Array, resamples: int = RESAMPLES, seed: Sequence[int] = (0,)
) -> Array | None:
    """Bootstrap replicates of mean(after) − mean(before), of K measures of the same items. → (B, K)

    Clusters (sentences that word pairs come from) are drawn with replacement, the same ones before and after and for
    every measure. Replicates are spread by √(C/(C−1)), which the plain bootstrap lacks (Efron & Tibshirani 1993,
    eq. 5.12 against 5.10).

    Args:
        before, after: items. *Shape:* (N, K)
        clusters: what each item belongs to. *Shape:* (N,)
        seed: of the draws; the same seed and clusters give the same draws.

    Returns:
        None where there are fewer than `FEWEST` clusters.
    """
    if before.shape != after.shape or len(clusters) != len(before):
        raise DataError(f"items of shapes {before.shape} and {after.shape} and {len(clusters)} clusters do not pair")
    _, place = np.unique(clusters, return_inverse=True)
    count = int(place.max(initial=-1)) + 1
    if count < FEWEST:
        return None
    gain = after - before
    sums = np.zeros((count, gain.shape[1]))
    np.add.at(sums, place, gain)
    sizes = np.bincount(place).astype(np.float64)
    observed = gain.mean(axis=0)
    rng = np.random.default_rng(list(seed))
    found = []
    for start in range(0, resamples, step := max(1, CHUNK // count)):
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=min(step, resamples - start)).astype(np.float64)
        found.append((drawn @ sums) / (drawn @ sizes)[:, None])
    replicates = np.concatenate(found)
    spread: Array = observed + (replicates - observed) * math.sqrt(count / (count - 1))
    return spread


def percentiles(replicates: Array, level: float = LEVEL) -> tuple[Array, Array]:
    """Ends of the middle ``level`` of the replicates. *Shape:* (B, K) → (K,), (K,)"""
    low, high = np.quantile(replicates, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high
