"""Paired tests of differences: Student's t, Wilcoxon's signed ranks, sign flips; and what they could have found.

All take differences (n, ...) along the first axis, one test for each column, and give two-sided p-values. A p-value
that is not defined (fewer than two pairs; no spread, for t) is NaN in an array and None in ``PairedTests``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats
from scipy.optimize import brentq

EXACT_FLIPS = 14  # up to 2**14 sign patterns are tried one by one
EXACT_RANKS = 100  # up to this many pairs Wilcoxon's distribution is counted out
DRAWS = 9999
POWER = 0.8
ALPHA = 0.05
# Sums of the same numbers in another order differ in their last digits; scipy.stats.permutation_test does the same.
_ROUNDING = 1e-12

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PairedTests:
    """Two-sided p-values of one set of ``n`` paired differences; None where a test is not defined."""

    n: int
    t: float | None
    wilcoxon: float | None
    sign_flip: float | None


def paired_tests(differences: ArrayLike, seed: int = 0) -> PairedTests:
    """All three tests on (n,) differences."""
    values: Array = np.asarray(differences, dtype=np.float64)
    return columns_of_tests(values[:, None], seed)[0]


def columns_of_tests(differences: Array, seed: int = 0) -> list[PairedTests]:
    """All three tests on each column of (n, m) differences."""
    found = (paired_t(differences), wilcoxon(differences), sign_flip(differences, seed=seed))
    rows = zip(*(p.tolist() for p in found), strict=True)
    return [PairedTests(len(differences), *(None if math.isnan(p) else p for p in row)) for row in rows]


def paired_t(differences: ArrayLike) -> Array:
    """p of Student's (1908) paired t test: NaN below two pairs, and where all differences are alike."""
    values: Array = np.asarray(differences, dtype=np.float64)
    n = len(values)
    if n < 2:
        return np.full(values.shape[1:], np.nan)
    mean, std = values.mean(axis=0), values.std(axis=0, ddof=1)
    flat = std <= _ROUNDING * np.abs(values).max(axis=0)
    t = mean / np.where(flat, np.nan, std) * math.sqrt(n)
    p: Array = 2 * special.stdtr(n - 1, -np.abs(t))
    return p


def wilcoxon(differences: ArrayLike) -> Array:
    """p of Wilcoxon's (1945) signed-rank test; zeros are left out, ties share the mean of their ranks.

    Up to 100 pairs the distribution is counted out, with ties too (Streitberg & Röhmel 1986), so that ties need no
    approximation; beyond, the normal one with the variance corrected for ties. All differences zero: 1.
    """
    values: Array = np.asarray(differences, dtype=np.float64)
    if len(values) < 2:
        return np.full(values.shape[1:], np.nan)
    columns = values.reshape(len(values), -1).T
    return np.array([_signed_ranks(column) for column in columns]).reshape(values.shape[1:])


def _signed_ranks(column: Array) -> float:
    kept = column[np.abs(column) > _ROUNDING * max(np.abs(column).max(), 1e-300)]
    if not kept.size:
        return 1.0
    doubled = np.rint(2 * stats.rankdata(_without_noise(np.abs(kept)))).astype(int)  # midranks are halves
    plus = int(doubled[kept > 0].sum())
    if kept.size > EXACT_RANKS:
        ranks = doubled / 2
        z = (plus / 2 - ranks.sum() / 2) / math.sqrt(float((ranks**2).sum()) / 4)
        return float(2 * special.ndtr(-abs(z)))
    below = _rank_sums(tuple(sorted(doubled.tolist())))
    tail = min(below[plus], 1 - (below[plus - 1] if plus else 0.0))
    return float(min(1.0, 2 * tail))


def _without_noise(sizes: Array) -> Array:
    """Sizes that differ by rounding only, made equal: 0.3 − 0.2 ties with 0.2 − 0.1."""
    order = np.argsort(sizes)
    steps = np.diff(sizes[order], prepend=sizes[order[0]]) > _ROUNDING * sizes.max()
    made = np.empty_like(sizes)
    made[order] = np.cumsum(steps)
    return made


@cache
def _rank_sums(doubled: tuple[int, ...]) -> list[float]:
    """P(sum of the doubled ranks with a plus sign ≤ k) for every k, each sign a fair coin."""
    chances = np.zeros(sum(doubled) + 1)
    chances[0] = 1.0
    for rank in doubled:
        moved = np.zeros_like(chances)
        moved[rank:] = chances[: len(chances) - rank]
        chances = (chances + moved) / 2
    found: list[float] = np.cumsum(chances).tolist()
    return found


def sign_flip(differences: ArrayLike, draws: int = DRAWS, seed: int = 0) -> Array:
    """p of the permutation test that flips signs (Fisher 1935, §21), on the mean.

    Exact up to 14 pairs (every pattern of signs, itself included); beyond, ``draws`` random ones, counted as
    (1 + as extreme) / (1 + draws) so that p is never 0 (Phipson & Smyth 2010).
    """
    values: Array = np.asarray(differences, dtype=np.float64)
    n = len(values)
    if n < 2:
        return np.full(values.shape[1:], np.nan)
    columns = values.reshape(n, -1)
    observed = np.abs(columns.sum(axis=0))
    bound = observed - _ROUNDING * np.abs(columns).sum(axis=0)
    sums = np.abs(_signs(n, draws, seed) @ columns)
    extreme = (sums >= bound).sum(axis=0)
    p = extreme / len(sums) if n <= EXACT_FLIPS else (1 + extreme) / (1 + draws)
    found: Array = p.reshape(values.shape[1:])
    return found


@cache
def _signs(n: int, draws: int, seed: int) -> NDArray[np.int8]:
    """Patterns of signs: all with the first one plus (the others mirror them), or ``draws`` random ones."""
    if n > EXACT_FLIPS:
        return (2 * np.random.default_rng([seed, n]).integers(0, 2, size=(draws, n)) - 1).astype(np.int8)
    patterns = np.arange(2 ** (n - 1))[:, None] >> np.arange(n) & 1
    return (1 - 2 * patterns).astype(np.int8)


def detectable(standard_error: float, freedom: float, power: float = POWER, alpha: float = ALPHA) -> float:
    """Minimum detectable effect: the true difference that a two-sided t test finds with probability ``power``.

    From the noncentral t distribution (Cohen 1988, §2.2); 0 where nothing varies.
    """
    return standard_error * _noncentrality(float(freedom), power, alpha)


@cache
def _noncentrality(freedom: float, power: float, alpha: float) -> float:
    critical = float(special.stdtrit(freedom, 1 - alpha / 2))

    def missing(shift: float) -> float:
        # Finding the opposite is below 1e-8 beyond a shift of 5, where scipy's function has holes.
        opposite = special.nctdtr(freedom, shift, -critical) if shift < 5 else 0.0
        return float(1 - special.nctdtr(freedom, shift, critical) + opposite - power)

    high = 1.0
    while missing(high) < 0:
        high *= 1.5
    return float(brentq(missing, 0.0, high, xtol=1e-10))
