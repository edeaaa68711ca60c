"""How far a difference can be trusted: paired bootstrap over items, mean and spread over seeds.

Items are what a score was averaged from (test sentences). Their order is the same for every method, so methods
are compared on the same resampled items, which removes the part of the noise they share.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xrealign.errors import DataError

RESAMPLES = 2000
LEVEL = 0.95
# Below this an interval for one language says nothing (three items that agree would give one of width zero).
MIN_ITEMS = 5


@dataclass(frozen=True, eq=False)
class Shares:
    """Items of a score that is a ratio of sums, such as F1 = Σ 2·tp / Σ (predicted + gold) over sentences.

    Attributes:
        parts, wholes: what each item adds above and below; (n,) or (seeds, n) each.
    """

    parts: NDArray[np.float64]
    wholes: NDArray[np.float64]


Items = Mapping[tuple[str, str], "ArrayLike | Shares"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A two-sided interval, ends included."""

    low: float
    high: float

    @property
    def above_zero(self) -> bool:
        """Every value in it is a gain."""
        return self.low > 0

    @property
    def below_zero(self) -> bool:
        """Every value in it is a loss."""
        return self.high < 0


@dataclass(frozen=True, slots=True)
class Resampled:
    """Bootstrap replicates of one language's mean score.

    Attributes:
        n: items.
        methods: the methods compared, in the order of the rows of ``means``.
        observed: (M,) means over the items themselves.
        means: (M, B) means over B resamples; column b is the same resample for every method.
    """

    n: int
    methods: tuple[str, ...]
    observed: NDArray[np.float64]
    means: NDArray[np.float64]

    def difference(self, method: str, reference: str) -> NDArray[np.float64]:
        """(B,) replicates of mean(method) − mean(reference)."""
        replicates: NDArray[np.float64] = (
            self.means[self.methods.index(method)] - self.means[self.methods.index(reference)]
        )
        return replicates


def paired_bootstrap(items: Items, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Resampled]:
    """Resamples the items of each language with replacement, the same ones for every method.

    ``items`` maps (method, language) to (n,) values, correct or not (or shares), or to (seeds, n) values, which are
    averaged over seeds first: the seeds are taken as given, so their spread is not part of the result. `Shares` are
    summed over the resampled items before they are divided; of several seeds the ratios are averaged.

    Drawing n items with replacement and counting how often each distinct column of the method × item table was
    drawn is a multinomial draw; it is made directly, so the cost depends on distinct columns (2^methods at most
    for one seed) and not on n. Each language has its own random stream, from ``seed`` and its tag: its result does
    not change when other languages come or go.

    The plain bootstrap's variance of a mean is (n−1)/n of the unbiased one (Efron & Tibshirani 1993, §5.3, eq. 5.12
    against 5.10); replicates are spread about the observed mean by sqrt(n/(n−1)) to mend that.

    Raises:
        DataError: methods that differ in their number of items in one language, no items, or values outside 0–1; parts
            of `Shares` outside 0 to their wholes.
    """
    if resamples < 1:
        raise ValueError(f"resamples is {resamples}, expected at least 1")
    languages: dict[str, dict[str, NDArray[np.float64]]] = {}  # each (seeds, 2, n): parts and wholes
    for (method, language), values in items.items():
        languages.setdefault(language, {})[method] = _item_values(values, method, language)
    return {language: _resample(language, rows, resamples, seed) for language, rows in languages.items()}


def stack_seeds(items: Sequence[ArrayLike | Shares]) -> NDArray[np.float64] | Shares:
    """The same items of several seeds as one value for `paired_bootstrap`."""
    if all(isinstance(one, Shares) for one in items):
        shares = [one for one in items if isinstance(one, Shares)]
        return Shares(np.stack([one.parts for one in shares]), np.stack([one.wholes for one in shares]))
    return np.stack([np.asarray(one) for one in items])


def _item_values(values: ArrayLike | Shares, method: str, language: str) -> NDArray[np.float64]:
    place = f"items of ({method}, {language})"
    if isinstance(values, Shares):
        both = np.stack([np.atleast_2d(values.parts), np.atleast_2d(values.wholes)], axis=1).astype(np.float64)
        if not bool(np.isfinite(both).all() and (both >= 0).all() and (both[:, 0] <= both[:, 1] + 1e-9).all()):
            raise DataError(f"{place}: every part must be from 0 to its whole")
        return both
    row: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
    if row.ndim == 2:
        row = row.mean(axis=0)
    if row.ndim != 1 or row.size == 0:
        raise DataError(f"{place} have shape {np.shape(np.asarray(values))}, expected (n,) or (seeds, n)")
    if not bool(((row >= 0) & (row <= 1)).all()):
        raise DataError(f"{place} hold values outside 0 to 1, expected correct or not")
    return np.stack([row, np.ones_like(row)])[None]


def _resample(language: str, rows: Mapping[str, NDArray[np.float64]], resamples: int, seed: int) -> Resampled:
    methods = tuple(sorted(rows))
    counts = {method: rows[method].shape[-1] for method in methods}
    if len(set(counts.values())) > 1:
        text = ", ".join(f"{method} {count}" for method, count in counts.items())
        raise DataError(f"{language}: methods were scored on different numbers of items ({text})")
    if len({rows[method].shape[0] for method in methods}) > 1:
        raise DataError(f"{language}: methods were scored with different numbers of seeds")
    table = np.stack([rows[method] for method in methods])  # (M, seeds, 2, n)
    n = table.shape[-1]
    columns, repeats = np.unique(table.reshape(-1, n), axis=1, return_counts=True)
    rng = np.random.default_rng([seed, zlib.crc32(language.encode())])
    drawn = rng.multinomial(n, repeats / n, size=resamples)
    observed = _ratios(table.sum(axis=-1)[..., None])[:, 0]
    means = _ratios((columns @ drawn.T).reshape(*table.shape[:-1], resamples))
    if n > 1:
        means = observed[:, None] + (means - observed[:, None]) * math.sqrt(n / (n - 1))
    return Resampled(n, methods, observed, means)


def _ratios(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over seeds of parts over wholes, (M, seeds, 2, B) → (M, B); nothing out of nothing is 0."""
    parts, wholes = sums[:, :, 0], sums[:, :, 1]
    means: NDArray[np.float64] = np.divide(parts, wholes, out=np.zeros_like(parts), where=wholes > 0).mean(axis=1)
    return means


def percentile_interval(replicates: NDArray[np.float64], level: float = LEVEL) -> Interval:
    """The middle ``level`` of the replicates (Efron & Tibshirani 1993, §13.3)."""
    low, high = np.quantile(replicates, [(1 - level) / 2, (1 + level) / 2])
    # The spreading of replicates leaves rounding errors of 1e-17 where nothing varies at all.
    return Interval(_near_zero(float(low)), _near_zero(float(high)))


def _near_zero(value: float) -> float:
    return 0.0 if abs(value) < 1e-12 else value


def difference_interval(
    resampled: Mapping[str, Resampled],
    languages: Sequence[str],
    method: str,
    reference: str,
    level: float = LEVEL,
) -> Interval | None:
    """Interval of the mean over ``languages`` of method − reference; each language weighs the same.

    It covers the sampling of items within these languages, neither seeds nor the choice of languages. None where a
    language has no items of one of the two methods, or too few: ``MIN_ITEMS`` for one language, two in a mean.
    """
    least = MIN_ITEMS if len(languages) == 1 else 2
    for language in languages:
        found = resampled.get(language)
        if found is None or found.n < least or not {method, reference} <= set(found.methods):
            return None
    if not languages:
        return None
    total: Any = sum(resampled[language].difference(method, reference) for language in languages)
    return percentile_interval(total / len(languages), level)


def mean_std(values: Iterable[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation (n−1) of at least one value; None for the spread of a single one."""
    found = list(values)
    mean = math.fsum(found) / len(found)
    if len(found) < 2:
        return mean, None
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in found) / (len(found) - 1))
