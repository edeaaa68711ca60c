"""Bootstrap of a mean over seeds, languages and sentences at once, with intervals that hold what they promise.

Seeds and languages are crossed: every seed was scored in every language. Sentences belong to a language; every seed
was scored on the same ones. Which of the three are random is the caller's choice: a level left out is taken as it is,
and the interval says nothing about other seeds, languages or sentences.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

from xrealign.report.stats import Interval

LEVELS = ("seed", "language", "sentence")
RESAMPLES = 2000
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """A mean and how far it can be trusted.

    Attributes:
        mean: over seeds, languages (each weighs the same) and sentences.
        interval: two-sided.
        standard_error: of the mean, from variance components.
        freedom: degrees of freedom of the standard error (Satterthwaite 1946).
        p: two-sided, of the mean being zero: Student's t with these; None where nothing varies.
        levels: the levels drawn.
        replicates: (B,) means of the resamples, spread as the interval is.
    """

    mean: float
    interval: Interval
    standard_error: float
    freedom: float
    p: float | None
    levels: tuple[str, ...]
    replicates: Array


def hierarchical_bootstrap(
    values: Sequence[Array],
    levels: Sequence[str] = LEVELS,
    *,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
) -> Bootstrap:
    """Bootstraps the mean of ``values``: for each language (S, n) numbers, one row for each seed.

    A column is a sentence, the same one for every seed; a score of the whole language is n = 1. Give differences of
    two methods to compare them, paired. A level that has only one member (one seed, one language, one sentence in
    each) cannot be drawn and is left out of ``levels``.

    Seeds are drawn with replacement and shared by all languages, languages are drawn and shared by all seeds (the
    bootstrap of crossed effects: Owen 2007), sentences within each language drawn. Such draws count noise of lower
    levels more than once, and understate the spread of few units by (n−1)/n (Davison & Hinkley 1997, §3.8). So the
    replicates, whose shape is kept, are spread about the mean to the standard error from the variance components of
    the crossed design (Searle, Casella & McCulloch 1992, §4.3; where languages are drawn they carry their sentences'
    noise), times t over z for the few degrees of freedom (the expanded percentile interval of Hesterberg 2015,
    §5.3). With two or three seeds that matter the variance of seeds is hardly known: 95 % intervals then hold the
    truth in 88 to 93 of 100 simulated cases (`tests/report/test_hierarchical.py`).

    Raises:
        ValueError: no values, unknown levels, languages with different numbers of seeds, or no level to draw.
    """
    seeds = {len(table) for table in values}
    if not values or len(seeds) != 1 or any(table.ndim != 2 or not table.size for table in values):
        raise ValueError(f"expected (S, n) values for each language, got {[table.shape for table in values]}")
    if not levels or not set(levels) <= set(LEVELS):
        raise ValueError(f"levels are {tuple(levels)}, expected some of {LEVELS}")
    drawn = _possible(values, levels)
    if not drawn:
        raise ValueError(f"nothing to draw: {len(values)} languages, {seeds.pop()} seeds, levels {tuple(levels)}")
    mean = math.fsum(float(table.mean()) for table in values) / len(values)
    variance, freedom = _variance(values, drawn)
    error = math.sqrt(variance)
    replicates = _replicates(values, drawn, resamples, seed)
    spread = float(replicates.std())
    if error <= 1e-12 * max(1.0, abs(mean)) or spread == 0:
        return Bootstrap(mean, Interval(mean, mean), 0.0, freedom, None, drawn, np.full(resamples, mean))
    tail = (1 + level) / 2
    wider = float(special.stdtrit(freedom, tail) / special.ndtri(tail))
    replicates = mean + (replicates - replicates.mean()) * (error / spread * wider)
    low, high = np.quantile(replicates, [1 - tail, tail])
    p = float(2 * special.stdtr(freedom, -abs(mean) / error))
    return Bootstrap(mean, Interval(float(low), float(high)), error, freedom, p, drawn, replicates)


def _possible(values: Sequence[Array], levels: Sequence[str]) -> tuple[str, ...]:
    several = {
        "seed": len(values[0]) > 1,
        "language": len(values) > 1,
        "sentence": all(table.shape[1] > 1 for table in values),
    }
    return tuple(level for level in LEVELS if level in levels and several[level])


def _variance(values: Sequence[Array], levels: Sequence[str]) -> tuple[float, float]:
    """Variance of the mean with ``levels`` random, and its degrees of freedom."""
    by_seed = np.mean([table.mean(axis=1) for table in values], axis=0)
    seeds, languages = len(by_seed), len(values)
    parts: list[tuple[float, float]] = []  # variance, degrees of freedom
    if "seed" in levels:
        parts.append((float(by_seed.var(ddof=1)) / seeds, seeds - 1))
    twice = 0.0  # what seeds and the other level both counted
    if "language" in levels:
        means = np.stack([table.mean(axis=1) for table in values], axis=1)
        parts.append((float(means.mean(axis=0).var(ddof=1)) / languages, languages - 1))
        twice = _residual(means)
    elif "sentence" in levels:
        each = [float(table.mean(axis=0).var(ddof=1)) / table.shape[1] / languages**2 for table in values]
        weights = sum(one**2 / (table.shape[1] - 1) for one, table in zip(each, values, strict=True))
        parts.append((sum(each), sum(each) ** 2 / weights if weights else 1.0))
        twice = sum(_residual(table) for table in values) / languages**2
    total = sum(part for part, _ in parts) - (twice if len(parts) > 1 else 0.0)
    total = max(total, *(part for part, _ in parts))
    spread = sum(part**2 / freedom for part, freedom in parts)
    return total, float(total**2 / spread if spread > 0 else parts[0][1])


def _residual(table: Array) -> float:
    """Mean square of a crossed table's interaction, divided by its cells."""
    if min(table.shape) < 2:
        return 0.0
    rest = table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + table.mean()
    cells, freedom = table.size, (table.shape[0] - 1) * (table.shape[1] - 1)
    return float((rest**2).sum() / freedom / cells)


def _replicates(values: Sequence[Array], levels: Sequence[str], resamples: int, seed: int) -> Array:
    """(B,) means of resamples, before they are spread to the standard error."""
    seeds, languages = len(values[0]), len(values)
    of_seeds = _weights(seeds, resamples, seed, 0) if "seed" in levels else np.full((resamples, seeds), 1 / seeds)
    if "language" in levels:
        of_languages = _weights(languages, resamples, seed, 1)
    else:
        of_languages = np.full((resamples, languages), 1 / languages)
    if "sentence" not in levels:
        means = np.stack([table.mean(axis=1) for table in values], axis=1)
        found: Array = ((of_seeds @ means) * of_languages).sum(axis=1)
        return found
    total = np.zeros(resamples)
    rng = np.random.default_rng([seed, 2])
    for table, weight in zip(values, of_languages.T, strict=True):
        n = table.shape[1]
        # A language drawn k times has its sentences drawn k times over.
        times = np.maximum(np.rint(weight * languages), 1).astype(np.int64) * n
        counts = rng.multinomial(times, np.full(n, 1 / n)) / times[:, None]
        total += weight * ((of_seeds @ table) * counts).sum(axis=1)
    return total


@cache
def _weights(n: int, resamples: int, seed: int, stream: int) -> Array:
    """(B, n) shares with which n units are drawn with replacement."""
    counts = np.random.default_rng([seed, n, stream]).multinomial(n, np.full(n, 1 / n), size=resamples)
    return counts / n
