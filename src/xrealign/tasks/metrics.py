"""Accuracy and macro-F1 from counts that add up, with bootstrap intervals. numpy only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xrealign.errors import DataError, did_you_mean

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ClassificationStatistics:
    """All that the metrics need of any number of predictions; ``a + b`` is that of both sets of items.

    Attributes:
        labels: names, in the order of the arrays.
        tp: (labels,) items of the label that were given it.
        fp: (labels,) items of other labels that were given it.
        fn: (labels,) items of the label that were given another.
    """

    labels: tuple[str, ...]
    tp: Counts
    fp: Counts
    fn: Counts

    @property
    def n(self) -> int:
        """Items."""
        return int(self.tp.sum() + self.fn.sum())

    @property
    def correct(self) -> int:
        """Items that were given their own label."""
        return int(self.tp.sum())

    @property
    def covered(self) -> tuple[str, ...]:
        """The labels that gold holds, in order."""
        return tuple(label for label, count in zip(self.labels, self.tp + self.fn, strict=True) if count)

    def __add__(self, other: ClassificationStatistics) -> ClassificationStatistics:
        if self.labels != other.labels:
            raise DataError(f"counts over different labels do not add up: {self.labels} and {other.labels}")
        return ClassificationStatistics(self.labels, self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and its bootstrap interval; ``level`` is the share of resamples from ``low`` to ``high``."""

    value: float
    low: float
    high: float
    level: float


def classification_statistics(
    gold: Sequence[str], predicted: Sequence[str], labels: Sequence[str]
) -> ClassificationStatistics:
    """Counts the predictions of a model that knows ``labels``.

    Raises:
        DataError: as many predictions as gold labels are needed; or a label that is not in ``labels``.
    """
    (cells,), weights = _cells(gold, [predicted], labels)
    tp, fp, fn = _tallies(cells, weights[None, :], len(labels))
    return ClassificationStatistics(tuple(labels), tp[0], fp[0], fn[0])


def accuracy(statistics: ClassificationStatistics) -> float:
    """The share of items given their own label.

    Raises:
        DataError: there are no items.
    """
    _need_items(statistics.n)
    return statistics.correct / statistics.n


def macro_f1(statistics: ClassificationStatistics) -> float:
    """The mean of F1 = 2 tp / (2 tp + fp + fn) over the labels that gold holds.

    A prediction of a label that gold does not hold counts as an error of the gold label (fn), and makes no
    label of its own. This is scikit-learn's ``f1_score(gold, predicted, labels=covered, average="macro",
    zero_division=0)`` with ``covered = sorted(set(gold))``, and not its default, which also averages over
    labels that were only predicted.

    Raises:
        DataError: there are no items.
    """
    _need_items(statistics.n)
    return float(_macro_f1(statistics.tp[None], statistics.fp[None], statistics.fn[None])[0])


def majority_accuracy(statistics: ClassificationStatistics) -> float:
    """The accuracy of always giving the label most frequent in gold: what to compare an accuracy with.

    Raises:
        DataError: there are no items.
    """
    _need_items(statistics.n)
    return int((statistics.tp + statistics.fn).max()) / statistics.n


def bootstrap(
    gold: Sequence[str],
    predicted: Sequence[str],
    labels: Sequence[str],
    metric: str = "accuracy",
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """The metric with a percentile bootstrap interval over items (Efron & Tibshirani 1993, ch. 13).

    Resampling n items with replacement is drawing how often each (gold, predicted) pair comes from a
    multinomial distribution, which needs no loop. Each resample is scored as a test set of its own: macro-F1
    over the labels its gold holds.

    Args:
        metric: ``accuracy`` or ``macro_f1``.
        level: share of the resamples inside the interval.

    Raises:
        DataError: no items, unequal lengths, an unknown label, metric or level.
    """
    score = _metric(metric, resamples, level)
    (cells,), weights = _cells(gold, [predicted], labels)
    drawn = _resample(weights, resamples, seed)
    value = score(*_tallies(cells, weights[None, :], len(labels)))[0]
    return _interval(value, score(*_tallies(cells, drawn, len(labels))), level)


def paired_bootstrap(
    gold: Sequence[str],
    first: Sequence[str],
    second: Sequence[str],
    labels: Sequence[str],
    metric: str = "accuracy",
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """The metric of ``second`` minus that of ``first`` on the same items, with its ``bootstrap`` interval.

    Both are scored on the same resamples, so that items hard for both do not widen the interval (Koehn 2004).

    Raises:
        DataError: as ``bootstrap`` does.
    """
    score = _metric(metric, resamples, level)
    (cells_first, cells_second), weights = _cells(gold, [first, second], labels)
    drawn = _resample(weights, resamples, seed)

    def difference(counts: Counts) -> Floats:
        return score(*_tallies(cells_second, counts, len(labels))) - score(*_tallies(cells_first, counts, len(labels)))

    return _interval(difference(weights[None, :])[0], difference(drawn), level)


def _cells(
    gold: Sequence[str], predictions: Sequence[Sequence[str]], labels: Sequence[str]
) -> tuple[list[Counts], Counts]:
    """Distinct (gold, prediction, …) combinations and how often each comes: a (combinations, 2) array of
    label numbers for each prediction, and (combinations,) counts."""
    if len(set(labels)) != len(labels):
        raise DataError("a label is given twice")
    number = {label: i for i, label in enumerate(labels)}
    for name, values in [("gold", gold), *(("predicted", values) for values in predictions)]:
        if len(values) != len(gold):
            raise DataError(f"{len(gold)} gold labels but {len(values)} predictions")
        for value in values:
            if value not in number:
                raise DataError(f"{name} label {value!r} is none of the model's{did_you_mean(value, labels)}")
    rows = np.array([[number[value] for value in row] for row in [gold, *predictions]], dtype=np.int64)
    cells, weights = np.unique(rows.T, axis=0, return_counts=True)
    return [cells[:, [0, i + 1]] for i in range(len(predictions))], weights.astype(np.int64)


def _tallies(cells: Counts, weights: Counts, labels: int) -> tuple[Counts, Counts, Counts]:
    """tp, fp and fn, (resamples, labels) each, of ``weights`` (resamples, combinations)."""
    gold = np.eye(labels, dtype=np.int64)[cells[:, 0]]
    predicted = np.eye(labels, dtype=np.int64)[cells[:, 1]]
    tp: Counts = weights @ (gold * predicted)
    return tp, weights @ predicted - tp, weights @ gold - tp


def _resample(weights: Counts, resamples: int, seed: int) -> Counts:
    n = int(weights.sum())
    _need_items(n)
    return np.random.default_rng(seed).multinomial(n, weights / n, size=resamples)


def _accuracy(tp: Counts, fp: Counts, fn: Counts) -> Floats:
    correct: Floats = tp.sum(axis=1) / (tp + fn).sum(axis=1)
    return correct


def _macro_f1(tp: Counts, fp: Counts, fn: Counts) -> Floats:
    in_gold = tp + fn > 0
    f1 = np.divide(2 * tp, 2 * tp + fp + fn, out=np.zeros(tp.shape), where=in_gold)
    mean: Floats = f1.sum(axis=1) / in_gold.sum(axis=1)
    return mean


def _metric(name: str, resamples: int, level: float) -> Callable[[Counts, Counts, Counts], Floats]:
    if name not in METRICS:
        raise DataError(f"unknown metric {name!r}; there are {', '.join(METRICS)}{did_you_mean(name, METRICS)}")
    if resamples < 1 or not 0 < level < 1:
        raise DataError(f"resamples must be at least 1 and level between 0 and 1, got {resamples} and {level}")
    return METRICS[name]


def _interval(value: float, resampled: Floats, level: float) -> Interval:
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(value), float(low), float(high), level)


def _need_items(n: int) -> None:
    if n == 0:
        raise DataError("there are no items to score")


METRICS: dict[str, Callable[[Counts, Counts, Counts], Floats]] = {
    "accuracy": _accuracy,
    "macro_f1": _macro_f1,
}
