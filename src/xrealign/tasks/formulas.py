"""Formulas of the metrics: from sums of statistics, a row for each resample, to a value for each. numpy only.

Whatever is divided by zero is 0 in precision, recall, F1 and MCC, as in seqeval and scikit-learn; a share of no items
at all (of questions without an answer, say) is NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from xrealign.errors import DataError

Floats = NDArray[np.float64]
Columns = Sequence[str]

BLOCKS = ("gold", "predicted", "correct")


def has(columns: Columns, what: str) -> bool:
    """Whether there are columns ``what:name``."""
    return any(c.startswith(f"{what}:") for c in columns)


def block(columns: Columns, sums: Floats, what: str) -> Floats:
    """(resamples, names) sums of ``what:name`` for every name."""
    picked = [i for i, c in enumerate(columns) if c.startswith(f"{what}:")]
    if not picked:
        raise DataError(f"this metric needs columns {what}:NAME, which these statistics do not have")
    return sums[:, picked]


def column(columns: Columns, sums: Floats, name: str) -> Floats:
    """(resamples,) sums."""
    if name not in columns:
        raise DataError(f"this metric needs the column {name}, which these statistics do not have")
    return sums[:, list(columns).index(name)]


def divide(top: Floats, bottom: Floats) -> Floats:
    """0 where ``bottom`` is 0."""
    ratio: Floats = np.divide(top, bottom, out=np.zeros(top.shape), where=bottom > 0)
    return ratio


def share(part: Floats, items: Floats) -> Floats:
    """NaN where there are no items."""
    ratio: Floats = np.divide(part, items, out=np.full(part.shape, np.nan), where=items > 0)
    return ratio


def mean(columns: Columns, sums: Floats, name: str, items: str) -> Floats:
    """The column ``name`` over the column ``items``; NaN where there are no items."""
    return share(column(columns, sums, name), column(columns, sums, items))


def label_counts(columns: Columns, sums: Floats) -> tuple[Floats, Floats, Floats]:
    """(resamples, labels) in gold, predicted and correct."""
    gold, predicted, correct = (block(columns, sums, what) for what in BLOCKS)
    return gold, predicted, correct


def span_counts(columns: Columns, sums: Floats) -> tuple[Floats, Floats, Floats]:
    """(resamples, types) in gold, predicted and correct."""
    gold, predicted, correct = (block(columns, sums, f"{what}_spans") for what in BLOCKS)
    return gold, predicted, correct


def accuracy(columns: Columns, sums: Floats) -> Floats:
    """The share of items (words, for tags) given their own label; of queries whose best-ranked answer is right."""
    if "top" in columns:
        return mean(columns, sums, "top", "items")
    gold, _, correct = label_counts(columns, sums)
    return share(correct.sum(axis=1), gold.sum(axis=1))


def macro_f1(columns: Columns, sums: Floats) -> Floats:
    """The mean of F1 over names.

    Of labels and tags over those that gold holds: scikit-learn's with ``labels=sorted(set(gold))``, and not its
    default, which also averages over labels that were only predicted. Of spans over the types in gold or predicted,
    as seqeval does.
    """
    if has(columns, "gold_spans"):
        gold, predicted, correct = span_counts(columns, sums)
        counted = gold + predicted > 0
    else:
        gold, predicted, correct = label_counts(columns, sums)
        counted = gold > 0
    each = np.divide(2 * correct, gold + predicted, out=np.zeros(gold.shape), where=counted)
    return divide(each.sum(axis=1), counted.sum(axis=1).astype(np.float64))


def weighted_f1(columns: Columns, sums: Floats) -> Floats:
    """The mean of labels' F1, each as often as gold holds it."""
    gold, predicted, correct = label_counts(columns, sums)
    each = divide(2 * correct, gold + predicted)
    return divide((each * gold).sum(axis=1), gold.sum(axis=1))


def mcc(columns: Columns, sums: Floats) -> Floats:
    """Matthews' correlation for any number of labels (Gorodkin 2004, equation 8)."""
    gold, predicted, correct = label_counts(columns, sums)
    n = gold.sum(axis=1)
    top = correct.sum(axis=1) * n - (gold * predicted).sum(axis=1)
    spread_gold, spread_predicted = (n**2 - (counts**2).sum(axis=1) for counts in (gold, predicted))
    return divide(top, np.sqrt(spread_gold) * np.sqrt(spread_predicted))


def precision(columns: Columns, sums: Floats) -> Floats:
    """The share of predicted spans that are right in start, end and type."""
    _, predicted, correct = span_counts(columns, sums)
    return divide(correct.sum(axis=1), predicted.sum(axis=1))


def recall(columns: Columns, sums: Floats) -> Floats:
    """The share of gold spans that were predicted with start, end and type."""
    gold, _, correct = span_counts(columns, sums)
    return divide(correct.sum(axis=1), gold.sum(axis=1))


def f1(columns: Columns, sums: Floats) -> Floats:
    """Of spans: F1 of precision and recall over all types (micro). Of answers: the mean of their word F1."""
    if "f1" in columns:
        return mean(columns, sums, "f1", "items")
    gold, predicted, correct = span_counts(columns, sums)
    return divide(2 * correct.sum(axis=1), (gold + predicted).sum(axis=1))


def no_answer(columns: Columns, sums: Floats) -> Floats:
    """The share of questions without an answer that were given none."""
    right = column(columns, sums, "exact") - column(columns, sums, "answerable_exact")
    count = column(columns, sums, "items") - column(columns, sums, "answerable_items")
    return share(right, count)


def mean_of(name: str, items: str = "items") -> Callable[[Columns, Floats], Floats]:
    """The formula of a column's mean."""
    return lambda columns, sums: mean(columns, sums, name, items)
