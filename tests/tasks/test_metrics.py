"""Metrics against scikit-learn, hand-worked cases, and the exact distribution of a bootstrapped share."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from sklearn.metrics import accuracy_score, f1_score

from xrealign.errors import DataError
from xrealign.tasks.metrics import (
    accuracy,
    bootstrap,
    classification_statistics,
    macro_f1,
    majority_accuracy,
    paired_bootstrap,
)

LABELS = ("call", "lamp", "music", "stop", "timer")
pairs = st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1, max_size=40)


@settings(max_examples=1000, deadline=None)
@given(pairs)
def test_agrees_with_scikit_learn(items: list[tuple[str, str]]) -> None:
    gold, predicted = [a for a, _ in items], [b for _, b in items]
    statistics = classification_statistics(gold, predicted, LABELS)
    covered = sorted(set(gold))
    reference = f1_score(gold, predicted, labels=covered, average="macro", zero_division=0)
    assert macro_f1(statistics) == pytest.approx(reference, abs=1e-12)
    assert accuracy(statistics) == pytest.approx(accuracy_score(gold, predicted), abs=1e-12)
    assert list(statistics.covered) == covered
    assert statistics.n == len(items)


@settings(max_examples=200, deadline=None)
@given(pairs, pairs)
def test_counts_add_up(first: list[tuple[str, str]], second: list[tuple[str, str]]) -> None:
    def counts(items: list[tuple[str, str]]) -> list[list[int]]:
        s = classification_statistics([a for a, _ in items], [b for _, b in items], LABELS)
        return [s.tp.tolist(), s.fp.tolist(), s.fn.tolist()]

    one, two = (
        classification_statistics([a for a, _ in items], [b for _, b in items], LABELS) for items in (first, second)
    )
    total = one + two
    assert [total.tp.tolist(), total.fp.tolist(), total.fn.tolist()] == counts(first + second)


def test_worked_by_hand() -> None:
    gold = ["lamp", "lamp", "lamp", "timer", "timer"]
    predicted = ["lamp", "lamp", "timer", "timer", "music"]
    statistics = classification_statistics(gold, predicted, LABELS)
    assert statistics.tp.tolist() == [0, 2, 0, 0, 1]
    assert statistics.fp.tolist() == [0, 0, 1, 0, 1]
    assert statistics.fn.tolist() == [0, 1, 0, 0, 1]
    # lamp: P 2/2, R 2/3, F1 4/5; timer: P 1/2, R 1/2, F1 1/2; music was only predicted and makes no label.
    assert macro_f1(statistics) == pytest.approx((4 / 5 + 1 / 2) / 2, abs=1e-15)
    assert accuracy(statistics) == 3 / 5
    assert majority_accuracy(statistics) == 3 / 5


def test_errors_name_what_is_wrong() -> None:
    with pytest.raises(DataError, match=r"'lmap'.*did you mean 'lamp'"):
        classification_statistics(["lamp"], ["lmap"], LABELS)
    with pytest.raises(DataError, match="2 gold labels but 1"):
        classification_statistics(["lamp", "lamp"], ["lamp"], LABELS)
    with pytest.raises(DataError, match="no items"):
        accuracy(classification_statistics([], [], LABELS))
    with pytest.raises(DataError, match="no items"):
        bootstrap([], [], LABELS)
    with pytest.raises(DataError, match="unknown metric 'f1'"):
        bootstrap(["lamp"], ["lamp"], LABELS, metric="f1")
    with pytest.raises(DataError, match="different labels"):
        _ = classification_statistics(["a"], ["a"], ["a"]) + classification_statistics(["b"], ["b"], ["b"])


def test_accuracy_interval_is_the_binomial_one() -> None:
    n, correct = 200, 150
    gold = ["lamp"] * n
    predicted = ["lamp"] * correct + ["stop"] * (n - correct)
    interval = bootstrap(gold, predicted, LABELS, resamples=40_000, seed=1)
    assert interval.value == correct / n
    # Resampled accuracies are Binomial(n, p) / n exactly; 40,000 draws place the quantiles within one item.
    assert interval.low == pytest.approx(binom.ppf(0.025, n, correct / n) / n, abs=1 / n)
    assert interval.high == pytest.approx(binom.ppf(0.975, n, correct / n) / n, abs=1 / n)


def test_macro_f1_interval_agrees_with_resampling_items_one_by_one() -> None:
    rng = np.random.default_rng(0)
    gold = rng.choice(LABELS, size=80, p=[0.4, 0.3, 0.2, 0.07, 0.03])
    predicted = np.where(rng.random(80) < 0.7, gold, rng.choice(LABELS, size=80))
    scores = []
    for _ in range(1500):
        rows = rng.integers(0, 80, 80)
        held = sorted(set(gold[rows]))
        scores.append(f1_score(gold[rows], predicted[rows], labels=held, average="macro", zero_division=0))
    interval = bootstrap(list(gold), list(predicted), LABELS, "macro_f1", resamples=20_000, seed=2)
    # Standard error of a 2.5 % quantile from 1,500 draws here is about 0.005; the tolerance is four of them.
    assert interval.low == pytest.approx(float(np.quantile(scores, 0.025)), abs=0.02)
    assert interval.high == pytest.approx(float(np.quantile(scores, 0.975)), abs=0.02)
    assert interval == bootstrap(list(gold), list(predicted), LABELS, "macro_f1", resamples=20_000, seed=2)


def test_paired_difference() -> None:
    # 100 items: both right 60, only the second right 25, only the first 5, both wrong 10.
    gold = ["lamp"] * 100
    first = ["lamp"] * 60 + ["stop"] * 25 + ["lamp"] * 5 + ["stop"] * 10
    second = ["lamp"] * 60 + ["lamp"] * 25 + ["stop"] * 5 + ["stop"] * 10
    interval = paired_bootstrap(gold, first, second, LABELS, resamples=40_000, seed=3)
    assert interval.value == pytest.approx(0.20, abs=1e-12)
    # Its variance is (p10 + p01 - (p10 - p01)^2) / n = (0.30 - 0.04) / 100: normal to within one item.
    spread = 1.959964 * (0.26 / 100) ** 0.5
    assert interval.low == pytest.approx(0.20 - spread, abs=0.011)
    assert interval.high == pytest.approx(0.20 + spread, abs=0.011)
    same = paired_bootstrap(gold, first, first, LABELS, "macro_f1")
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
    back = paired_bootstrap(gold, second, first, LABELS, resamples=40_000, seed=3)
    assert back.low == pytest.approx(-interval.high, abs=0.011)
