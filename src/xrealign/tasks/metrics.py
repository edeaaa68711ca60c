"""Metrics as functions of sums of statistics, with bootstrap intervals over items. numpy only.

Whatever is divided by zero is 0 in precision, recall, F1 and MCC, as in seqeval and scikit-learn; a share of no items
at all (of questions without an answer, say) is undefined: NaN in arrays, an error or left out elsewhere.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from xrealign.errors import DataError, did_you_mean
from xrealign.tasks import formulas
from xrealign.tasks.formulas import Columns, Floats
from xrealign.tasks.statistics import Statistics
from xrealign.tasks.task import Kind

CHUNK = 1 << 23
"""Resamples are weighed in parts of at most so many weights (64 MiB)."""


@dataclass(frozen=True)
class Metric:
    """``value`` maps column names and (resamples, columns) sums to (resamples,) values."""

    name: str
    value: Callable[[Columns, Floats], Floats]


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and its bootstrap interval; ``level`` is the share of resamples from ``low`` to ``high``."""

    value: float
    low: float
    high: float
    level: float


@dataclass(frozen=True, slots=True)
class NameScore:
    """Counts of one label, tag or span type, and what follows from them."""

    gold: int
    predicted: int
    correct: int
    precision: float
    recall: float
    f1: float


def score(statistics: Statistics, metric: str) -> float:
    """A metric of all items.

    Raises:
        DataError: no items, an unknown metric, one that these statistics have no columns for, or an undefined value.
    """
    value = float(_value(metric, statistics)(statistics.sums[None, :])[0])
    if math.isnan(value):
        raise DataError(f"{metric} is undefined: it is a mean over items of which there are none")
    return value


def scores(kind: Kind, statistics: Statistics) -> dict[str, float]:
    """All metrics of a kind (``KIND_METRICS``) that are defined for these items.

    Raises:
        DataError: as ``score`` does.
    """
    sums = statistics.sums[None, :]
    values = {name: float(_value(name, statistics)(sums)[0]) for name in KIND_METRICS[kind]}
    return {name: value for name, value in values.items() if not math.isnan(value)}


def name_scores(statistics: Statistics) -> dict[str, NameScore]:
    """Counts of each span type, or where there are no spans, of each label or tag.

    Raises:
        DataError: the statistics have neither.
    """
    sums = statistics.sums[None, :]
    part = "_spans" if formulas.has(statistics.columns, "gold_spans") else ""
    gold, predicted, correct = (formulas.block(statistics.columns, sums, what + part)[0] for what in formulas.BLOCKS)
    values = zip(
        gold.astype(int).tolist(),
        predicted.astype(int).tolist(),
        correct.astype(int).tolist(),
        formulas.divide(correct, predicted).tolist(),
        formulas.divide(correct, gold).tolist(),
        formulas.divide(2 * correct, gold + predicted).tolist(),
        strict=True,
    )
    names = [c.partition(":")[2] for c in statistics.columns if c.startswith(f"gold{part}:")]
    return {name: NameScore(*row) for name, row in zip(names, values, strict=True)}


def bootstrap(
    statistics: Statistics, metric: str, resamples: int = 2000, level: float = 0.95, seed: int = 0
) -> Interval:
    """A metric with a percentile bootstrap interval over items (Efron & Tibshirani 1993, ch. 13).

    Each resample is scored as a test set of its own: macro-F1, for one, over the labels its gold holds. Resamples in
    which the metric is undefined are left out.

    Args:
        level: share of the resamples inside the interval.

    Raises:
        DataError: as ``score`` does; an impossible level or number of resamples.
    """
    _check(resamples, level)
    observed = score(statistics, metric)
    value = _value(metric, statistics)
    drawn = [value(weights @ rows) for weights, rows in _resamples(statistics.values, resamples, seed)]
    return _interval(observed, np.concatenate(drawn), level)


def paired_bootstrap(
    first: Statistics, second: Statistics, metric: str, resamples: int = 2000, level: float = 0.95, seed: int = 0
) -> Interval:
    """The metric of ``second`` minus that of ``first`` on the same items in the same order, with its interval.

    Both are scored on the same resamples, so that items hard for both do not widen the interval (Koehn 2004).

    Raises:
        DataError: as ``bootstrap`` does; the two are of different items.
    """
    _check(resamples, level)
    _same_items(first, second)
    observed = score(second, metric) - score(first, metric)
    values = _value(metric, first), _value(metric, second)
    wide = len(first.columns)
    drawn = []
    for weights, rows in _resamples(np.hstack([first.values, second.values]), resamples, seed):
        sums = weights @ rows
        drawn.append(values[1](sums[:, wide:]) - values[0](sums[:, :wide]))
    return _interval(observed, np.concatenate(drawn), level)


def _resamples(values: Floats, resamples: int, seed: int) -> Iterator[tuple[Floats, Floats]]:
    """Parts of the resamples: (some, rows) weights and the (rows, columns) that they belong to.

    How often each distinct row comes in n draws with replacement is a multinomial draw, which costs its number; where
    most rows are distinct, drawing the items themselves is faster. The order of the distinct rows is part of what a
    seed means: descending, so that label statistics come by gold label, then by predicted label.
    """
    n = len(values)
    rng = np.random.default_rng(seed)
    width = values.itemsize * values.shape[1]
    raw = values.tobytes()
    counts = Counter(raw[place : place + width] for place in range(0, len(raw), width))
    if 2 * len(counts) <= n:
        rows = np.frombuffer(b"".join(counts)).reshape(len(counts), -1)
        order = np.lexsort(rows.T[::-1])[::-1]
        rows, share = rows[order], np.array(list(counts.values()))[order] / n
        for size in _parts(resamples, len(rows)):
            yield rng.multinomial(n, share, size=size).astype(np.float64), rows
        return
    for size in _parts(resamples, n):
        drawn = rng.integers(0, n, size=(size, n))
        drawn += np.arange(size)[:, None] * n
        yield np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(np.float64), values


def _parts(resamples: int, rows: int) -> list[int]:
    size = max(1, CHUNK // rows)
    return [min(size, resamples - start) for start in range(0, resamples, size)]


def _value(metric: str, statistics: Statistics) -> Callable[[Floats], Floats]:
    if metric not in METRICS:
        known = ", ".join(METRICS)
        raise DataError(f"unknown metric {metric!r}; there are {known}{did_you_mean(metric, METRICS)}")
    if not len(statistics):
        raise DataError("there are no items to score")
    return lambda sums: METRICS[metric].value(statistics.columns, sums)


def _same_items(first: Statistics, second: Statistics) -> None:
    if len(first) != len(second):
        raise DataError(f"the two are of different items: {len(first)} and {len(second)}")
    if first.columns != second.columns:
        raise DataError("the two are of different tasks: their labels or tags differ")
    gold = [c.startswith(("gold:", "gold_spans:", "answerable_items")) for c in first.columns]
    differ = np.flatnonzero((first.values[:, gold] != second.values[:, gold]).any(axis=1))
    if len(differ):
        raise DataError(f"the two are of different items: gold differs at item {differ[0]}")


def _check(resamples: int, level: float) -> None:
    if resamples < 1 or not 0 < level < 1:
        raise DataError(f"resamples must be at least 1 and level between 0 and 1, got {resamples} and {level}")


def _interval(value: float, resampled: Floats, level: float) -> Interval:
    low, high = np.nanquantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high), level)


METRICS: Mapping[str, Metric] = {
    name: Metric(name, value)
    for name, value in {
        "accuracy": formulas.accuracy,
        "macro_f1": formulas.macro_f1,
        "weighted_f1": formulas.weighted_f1,
        "mcc": formulas.mcc,
        "f1": formulas.f1,
        "precision": formulas.precision,
        "recall": formulas.recall,
        "word_accuracy": formulas.mean_of("correct_words", "words"),
        "exact_match": formulas.mean_of("exact"),
        "answerable_f1": formulas.mean_of("answerable_f1", "answerable_items"),
        "answerable_exact_match": formulas.mean_of("answerable_exact", "answerable_items"),
        "no_answer_accuracy": formulas.no_answer,
        "mrr": formulas.mean_of("reciprocal_rank"),
        "map": formulas.mean_of("average_precision"),
    }.items()
}

MAIN_METRIC: Mapping[Kind, str] = {
    "class": "accuracy",
    "pair": "accuracy",
    "pos": "accuracy",
    "ner": "f1",
    "slots": "f1",
    "qa": "f1",
}

KIND_METRICS: Mapping[Kind, tuple[str, ...]] = {
    "class": ("accuracy", "macro_f1", "weighted_f1", "mcc"),
    "pair": ("accuracy", "macro_f1", "weighted_f1", "mcc"),
    "pos": ("accuracy", "macro_f1"),
    "ner": ("f1", "precision", "recall", "macro_f1", "word_accuracy"),
    # accuracy is the intent's; exact_match: the intent and every span
    "slots": ("f1", "precision", "recall", "macro_f1", "accuracy", "exact_match"),
    "qa": ("f1", "exact_match", "answerable_f1", "answerable_exact_match", "no_answer_accuracy"),
}
