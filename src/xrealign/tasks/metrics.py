"""Metrics as functions of sums of statistics, with bootstrap intervals over items. numpy only.

Whatever is divided by zero is 0 in precision, recall, F1 and MCC, as in seqeval and scikit-learn; a share of no items
at all (of questions without an answer, say) is undefined: NaN in arrays, an error or left out elsewhere.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xrealign.errors import DataError, did_you_mean
from xrealign.tasks.statistics import Statistics
from xrealign.tasks.task import Kind

Floats = NDArray[np.float64]
Columns = Sequence[str]
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
    part = "_spans" if _has(statistics.columns, "gold_spans") else ""
    gold, predicted, correct = (_block(statistics.columns, sums, what + part)[0] for what in BLOCKS)
    values = zip(
        gold.astype(int).tolist(),
        predicted.astype(int).tolist(),
        correct.astype(int).tolist(),
        _divide(correct, predicted).tolist(),
        _divide(correct, gold).tolist(),
        _divide(2 * correct, gold + predicted).tolist(),
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


BLOCKS = ("gold", "predicted", "correct")


def _has(columns: Columns, what: str) -> bool:
    return any(c.startswith(f"{what}:") for c in columns)


def _block(columns: Columns, sums: Floats, what: str) -> Floats:
    """(resamples, names) sums of ``what:name`` for every name."""
    picked = [i for i, c in enumerate(columns) if c.startswith(f"{what}:")]
    if not picked:
        raise DataError(f"this metric needs columns {what}:NAME, which these statistics do not have")
    return sums[:, picked]


def _column(columns: Columns, sums: Floats, name: str) -> Floats:
    """(resamples,) sums."""
    if name not in columns:
        raise DataError(f"this metric needs the column {name}, which these statistics do not have")
    return sums[:, list(columns).index(name)]


def _divide(top: Floats, bottom: Floats) -> Floats:
    """0 where ``bottom`` is 0."""
    ratio: Floats = np.divide(top, bottom, out=np.zeros(top.shape), where=bottom > 0)
    return ratio


def _share(part: Floats, items: Floats) -> Floats:
    """NaN where there are no items."""
    share: Floats = np.divide(part, items, out=np.full(part.shape, np.nan), where=items > 0)
    return share


def _mean(columns: Columns, sums: Floats, name: str, items: str) -> Floats:
    return _share(_column(columns, sums, name), _column(columns, sums, items))


def _label_counts(columns: Columns, sums: Floats) -> tuple[Floats, Floats, Floats]:
    gold, predicted, correct = (_block(columns, sums, what) for what in BLOCKS)
    return gold, predicted, correct


def _span_counts(columns: Columns, sums: Floats) -> tuple[Floats, Floats, Floats]:
    gold, predicted, correct = (_block(columns, sums, f"{what}_spans") for what in BLOCKS)
    return gold, predicted, correct


def _accuracy(columns: Columns, sums: Floats) -> Floats:
    """The share of items (words, for tags) given their own label; of queries whose best-ranked answer is right."""
    if "top" in columns:
        return _mean(columns, sums, "top", "items")
    gold, _, correct = _label_counts(columns, sums)
    return _share(correct.sum(axis=1), gold.sum(axis=1))


def _macro_f1(columns: Columns, sums: Floats) -> Floats:
    """The mean of F1 over names.

    Of labels and tags over those that gold holds: scikit-learn's with ``labels=sorted(set(gold))``, and not its
    default, which also averages over labels that were only predicted. Of spans over the types in gold or predicted,
    as seqeval does.
    """
    if _has(columns, "gold_spans"):
        gold, predicted, correct = _span_counts(columns, sums)
        counted = gold + predicted > 0
    else:
        gold, predicted, correct = _label_counts(columns, sums)
        counted = gold > 0
    f1 = np.divide(2 * correct, gold + predicted, out=np.zeros(gold.shape), where=counted)
    return _divide(f1.sum(axis=1), counted.sum(axis=1).astype(np.float64))


def _weighted_f1(columns: Columns, sums: Floats) -> Floats:
    """The mean of labels' F1, each as often as gold holds it."""
    gold, predicted, correct = _label_counts(columns, sums)
    f1 = _divide(2 * correct, gold + predicted)
    return _divide((f1 * gold).sum(axis=1), gold.sum(axis=1))


def _mcc(columns: Columns, sums: Floats) -> Floats:
    """Matthews' correlation for any number of labels (Gorodkin 2004, equation 8)."""
    gold, predicted, correct = _label_counts(columns, sums)
    n = gold.sum(axis=1)
    top = correct.sum(axis=1) * n - (gold * predicted).sum(axis=1)
    spread_gold, spread_predicted = (n**2 - (counts**2).sum(axis=1) for counts in (gold, predicted))
    return _divide(top, np.sqrt(spread_gold) * np.sqrt(spread_predicted))


def _precision(columns: Columns, sums: Floats) -> Floats:
    """The share of predicted spans that are right in start, end and type."""
    _, predicted, correct = _span_counts(columns, sums)
    return _divide(correct.sum(axis=1), predicted.sum(axis=1))


def _recall(columns: Columns, sums: Floats) -> Floats:
    """The share of gold spans that were predicted with start, end and type."""
    gold, _, correct = _span_counts(columns, sums)
    return _divide(correct.sum(axis=1), gold.sum(axis=1))


def _f1(columns: Columns, sums: Floats) -> Floats:
    """Of spans: F1 of precision and recall over all types (micro). Of answers: the mean of their word F1."""
    if "f1" in columns:
        return _mean(columns, sums, "f1", "items")
    gold, predicted, correct = _span_counts(columns, sums)
    return _divide(2 * correct.sum(axis=1), (gold + predicted).sum(axis=1))


def _no_answer(columns: Columns, sums: Floats) -> Floats:
    """The share of questions without an answer that were given none."""
    right = _column(columns, sums, "exact") - _column(columns, sums, "answerable_exact")
    count = _column(columns, sums, "items") - _column(columns, sums, "answerable_items")
    return _share(right, count)


def _mean_of(name: str, items: str = "items") -> Callable[[Columns, Floats], Floats]:
    return lambda columns, sums: _mean(columns, sums, name, items)


METRICS: Mapping[str, Metric] = {
    name: Metric(name, value)
    for name, value in {
        "accuracy": _accuracy,
        "macro_f1": _macro_f1,
        "weighted_f1": _weighted_f1,
        "mcc": _mcc,
        "f1": _f1,
        "precision": _precision,
        "recall": _recall,
        "word_accuracy": _mean_of("correct_words", "words"),
        "exact_match": _mean_of("exact"),
        "answerable_f1": _mean_of("answerable_f1", "answerable_items"),
        "answerable_exact_match": _mean_of("answerable_exact", "answerable_items"),
        "no_answer_accuracy": _no_answer,
        "mrr": _mean_of("reciprocal_rank"),
        "map": _mean_of("average_precision"),
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
