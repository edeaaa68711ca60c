"""Metrics against scikit-learn and hand-worked cases; intervals against exact distributions and item-wise draws."""

from __future__ import annotations

import math
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    f1_score,
    label_ranking_average_precision_score,
    matthews_corrcoef,
    precision_recall_fscore_support,
)

from xrealign.errors import DataError
from xrealign.tasks.metrics import (
    KIND_METRICS,
    MAIN_METRIC,
    METRICS,
    bootstrap,
    name_scores,
    paired_bootstrap,
    score,
    scores,
)
from xrealign.tasks.statistics import (
    Statistics,
    answer_statistics,
    label_statistics,
    retrieval_statistics,
    span_statistics,
    tag_statistics,
)
from xrealign.tasks.task import KINDS

EXAMPLES = [150, pytest.param(2000, marks=pytest.mark.slow)]
LABELS = ("call", "lamp", "music", "stop", "timer")
pairs = st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1, max_size=40)
tag_pairs = st.lists(
    st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from((*LABELS, ""))), max_size=8), min_size=1, max_size=8
)


@pytest.mark.parametrize("examples", EXAMPLES)
def test_labels_agree_with_scikit_learn(examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(pairs)
    def check(items: list[tuple[str, str]]) -> None:
        gold, predicted = [a for a, _ in items], [b for _, b in items]
        found = scores("class", label_statistics(gold, predicted, LABELS))
        covered = sorted(set(gold))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-learn warns of single labels
            reference = {
                "accuracy": accuracy_score(gold, predicted),
                "macro_f1": f1_score(gold, predicted, labels=covered, average="macro", zero_division=0),
                "weighted_f1": f1_score(gold, predicted, average="weighted", zero_division=0),
                "mcc": matthews_corrcoef(gold, predicted),
            }
        assert found == pytest.approx(reference, abs=1e-12)

    check()


@pytest.mark.parametrize("examples", EXAMPLES)
def test_tags_agree_with_scikit_learn(examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(tag_pairs)
    def check(sentences: list[list[tuple[str, str]]]) -> None:
        gold, predicted = ([[pair[side] for pair in sentence] for sentence in sentences] for side in (0, 1))
        statistics = tag_statistics(gold, predicted, LABELS)
        words = [tag for sentence in gold for tag in sentence]
        guesses = [tag for sentence in predicted for tag in sentence]
        if not words:
            with pytest.raises(DataError, match="accuracy is undefined"):
                score(statistics, "accuracy")
            return
        assert score(statistics, "accuracy") == pytest.approx(accuracy_score(words, guesses), abs=1e-12)
        covered = sorted(set(words))
        reference = f1_score(words, guesses, labels=covered, average="macro", zero_division=0)
        assert score(statistics, "macro_f1") == pytest.approx(reference, abs=1e-12)
        each = precision_recall_fscore_support(words, guesses, labels=list(LABELS), zero_division=0)
        for label, *row in zip(LABELS, *each, strict=True):
            found = name_scores(statistics)[label]
            assert [found.precision, found.recall, found.f1, found.gold] == pytest.approx(row, abs=1e-12)

    check()


def test_labels_worked_by_hand() -> None:
    gold = ["lamp", "lamp", "lamp", "timer", "timer"]
    statistics = label_statistics(gold, ["lamp", "lamp", "timer", "timer", "music"], LABELS)
    counts = {name: (s.gold, s.predicted, s.correct) for name, s in name_scores(statistics).items()}
    assert counts == {"call": (0, 0, 0), "lamp": (3, 2, 2), "music": (0, 1, 0), "stop": (0, 0, 0), "timer": (2, 2, 1)}
    # lamp: P 2/2, R 2/3, F1 4/5; timer: P 1/2, R 1/2, F1 1/2; music was only predicted and makes no label.
    assert score(statistics, "macro_f1") == pytest.approx((4 / 5 + 1 / 2) / 2, abs=1e-15)
    assert score(statistics, "accuracy") == 3 / 5


ranked = st.lists(st.sets(st.integers(1, 30), min_size=1, max_size=5).map(sorted), min_size=1, max_size=8)


@pytest.mark.parametrize("examples", EXAMPLES)
def test_retrieval_agrees_with_scikit_learn(examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(ranked)
    def check(ranks: list[list[int]]) -> None:
        statistics = retrieval_statistics(ranks)
        nearness = -np.arange(1.0, 31.0)
        relevant = np.array([[place in found for place in range(1, 31)] for found in ranks])
        means = [average_precision_score(row, nearness) for row in relevant]
        assert score(statistics, "map") == pytest.approx(float(np.mean(means)), abs=1e-12)
        first = np.array([np.arange(1, 31) == min(found) for found in ranks])
        mrr = label_ranking_average_precision_score(first, np.tile(nearness, (len(ranks), 1)))
        assert score(statistics, "mrr") == pytest.approx(mrr, abs=1e-12)
        assert score(statistics, "accuracy") == pytest.approx(sum(f[0] == 1 for f in ranks) / len(ranks), abs=1e-12)

    check()


def test_parts_of_questions() -> None:
    statistics = answer_statistics([["red hat"], ["red hat"], [], []], ["hat", "red hat", "", "hat"])
    assert scores("qa", statistics) == pytest.approx(
        {
            "f1": (2 / 3 + 1 + 1 + 0) / 4,
            "exact_match": 2 / 4,
            "answerable_f1": (2 / 3 + 1) / 2,
            "answerable_exact_match": 1 / 2,
            "no_answer_accuracy": 1 / 2,
        },
        abs=1e-15,
    )
    answered = answer_statistics([["red hat"]], ["hat"])
    assert "no_answer_accuracy" not in scores("qa", answered)
    with pytest.raises(DataError, match="no_answer_accuracy is undefined"):
        score(answered, "no_answer_accuracy")


def test_the_example_of_the_documents(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text("utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(example, {})
    # Two of three spans found, none wrong: F1 4 / 5. With the person cut short one of three, and one wrong: 2 / 5.
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.startswith("0.8 NameScore(gold=2, predicted=1, correct=1")
    assert second.startswith("Interval(value=0.8")
    assert third.startswith("Interval(value=0.4")


def test_every_kind_names_known_metrics() -> None:
    assert set(MAIN_METRIC) == set(KIND_METRICS) == set(KINDS)
    for kind in KINDS:
        assert MAIN_METRIC[kind] == KIND_METRICS[kind][0]
        assert set(KIND_METRICS[kind]) <= set(METRICS)


def test_errors_name_what_is_wrong() -> None:
    one = label_statistics(["lamp"], ["lamp"], LABELS)
    none = label_statistics([], [], LABELS)
    for metric in ("accuracy", "macro_f1"):
        with pytest.raises(DataError, match="no items"):
            score(none, metric)
    with pytest.raises(DataError, match="no items"):
        bootstrap(none, "accuracy")
    with pytest.raises(DataError, match=r"unknown metric 'macrof1'.*did you mean 'macro_f1'"):
        score(one, "macrof1")
    with pytest.raises(DataError, match="needs columns gold_spans:NAME"):
        score(one, "f1")
    with pytest.raises(DataError, match="needs the column exact"):
        score(one, "exact_match")
    with pytest.raises(DataError, match="between 0 and 1"):
        bootstrap(one, "accuracy", level=1.0)
    with pytest.raises(DataError, match="at least 1"):
        bootstrap(one, "accuracy", resamples=0)
    with pytest.raises(DataError, match="different items: 1 and 0"):
        paired_bootstrap(one, none, "accuracy")
    with pytest.raises(DataError, match="gold differs at item 0"):
        paired_bootstrap(one, label_statistics(["stop"], ["lamp"], LABELS), "accuracy")
    with pytest.raises(DataError, match="labels or tags differ"):
        paired_bootstrap(one, label_statistics(["lamp"], ["lamp"], ["lamp"]), "accuracy")


def test_accuracy_interval_is_the_binomial_one() -> None:
    n, correct = 200, 150
    statistics = label_statistics(["lamp"] * n, ["lamp"] * correct + ["stop"] * (n - correct), LABELS)
    interval = bootstrap(statistics, "accuracy", resamples=40_000, seed=1)
    assert interval.value == correct / n
    # Resampled accuracies are Binomial(n, p) / n exactly; 40,000 draws place the quantiles within one item.
    assert interval.low == pytest.approx(binom.ppf(0.025, n, correct / n) / n, abs=1 / n)
    assert interval.high == pytest.approx(binom.ppf(0.975, n, correct / n) / n, abs=1 / n)


def test_macro_f1_interval_agrees_with_resampling_items_one_by_one() -> None:
    rng = np.random.default_rng(0)
    gold = rng.choice(LABELS, size=80, p=[0.4, 0.3, 0.2, 0.07, 0.03])
    predicted = np.where(rng.random(80) < 0.7, gold, rng.choice(LABELS, size=80))
    drawn = []
    for _ in range(600):
        rows = rng.integers(0, 80, 80)
        held = sorted(set(gold[rows]))
        drawn.append(f1_score(gold[rows], predicted[rows], labels=held, average="macro", zero_division=0))
    statistics = label_statistics(gold.tolist(), predicted.tolist(), LABELS)
    interval = bootstrap(statistics, "macro_f1", resamples=20_000, seed=2)
    # Standard error of a 2.5 % quantile from 600 draws here is about 0.006; the tolerance is four of them.
    assert interval.low == pytest.approx(float(np.quantile(drawn, 0.025)), abs=0.025)
    assert interval.high == pytest.approx(float(np.quantile(drawn, 0.975)), abs=0.025)
    assert interval == bootstrap(statistics, "macro_f1", resamples=20_000, seed=2)


def spans(seed: int, n: int) -> Statistics:
    """Sentences of 12 words, of which most statistics are distinct."""
    rng = np.random.default_rng(seed)
    names = ["O", "O", "O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    gold = rng.choice(names, size=(n, 12))
    predicted = np.where(rng.random((n, 12)) < 0.8, gold, rng.choice(names, size=(n, 12)))
    return span_statistics(gold.tolist(), predicted.tolist(), names[2:])


def test_interval_of_distinct_items_agrees_with_resampling_them_one_by_one() -> None:
    statistics = spans(3, 90)
    assert len(np.unique(statistics.values, axis=0)) > 45  # so that items are drawn, not distinct rows
    rng = np.random.default_rng(4)
    drawn = []
    for _ in range(4000):
        rows = statistics.values[rng.integers(0, 90, 90)]
        drawn.append(score(Statistics(statistics.columns, rows), "f1"))
    interval = bootstrap(statistics, "f1", resamples=20_000, seed=5)
    assert interval.value == score(statistics, "f1")
    # The spread of F1 is about 0.03; that of its 2.5 % quantile over 4,000 draws about 0.0013: five of them.
    assert interval.low == pytest.approx(float(np.quantile(drawn, 0.025)), abs=0.007)
    assert interval.high == pytest.approx(float(np.quantile(drawn, 0.975)), abs=0.007)


def test_parts_of_the_resamples_make_the_same_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    few = label_statistics(["lamp"] * 6 + ["stop"] * 3, ["lamp", "stop", "stop"] * 3, LABELS)
    for statistics, metric in ((spans(6, 40), "f1"), (few, "macro_f1")):
        monkeypatch.setattr("xrealign.tasks.metrics.CHUNK", 1 << 23)
        whole = bootstrap(statistics, metric, resamples=501)
        monkeypatch.setattr("xrealign.tasks.metrics.CHUNK", 200)
        assert bootstrap(statistics, metric, resamples=501) == whole


def test_undefined_resamples_are_left_out() -> None:
    statistics = answer_statistics([["hat"], []], ["hat", ""])
    interval = bootstrap(statistics, "no_answer_accuracy", resamples=200)
    assert (interval.value, interval.low, interval.high) == (1.0, 1.0, 1.0)
    assert not math.isnan(interval.low)


def test_paired_difference() -> None:
    # 100 items: both right 60, only the second right 25, only the first 5, both wrong 10.
    gold = ["lamp"] * 100
    first = label_statistics(gold, ["lamp"] * 60 + ["stop"] * 25 + ["lamp"] * 5 + ["stop"] * 10, LABELS)
    second = label_statistics(gold, ["lamp"] * 60 + ["lamp"] * 25 + ["stop"] * 5 + ["stop"] * 10, LABELS)
    interval = paired_bootstrap(first, second, "accuracy", resamples=40_000, seed=3)
    assert interval.value == pytest.approx(0.20, abs=1e-12)
    # Its variance is (p10 + p01 - (p10 - p01)^2) / n = (0.30 - 0.04) / 100: normal to within one item.
    spread = 1.959964 * (0.26 / 100) ** 0.5
    assert interval.low == pytest.approx(0.20 - spread, abs=0.011)
    assert interval.high == pytest.approx(0.20 + spread, abs=0.011)
    same = paired_bootstrap(first, first, "macro_f1")
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
    back = paired_bootstrap(second, first, "accuracy", resamples=40_000, seed=3)
    assert back.low == pytest.approx(-interval.high, abs=0.011)


def test_paired_difference_of_distinct_items() -> None:
    first, second = spans(7, 60), spans(8, 60)
    with pytest.raises(DataError, match="gold differs"):
        paired_bootstrap(first, second, "f1")
    half = Statistics(first.columns, first.values.copy())
    half.values[:, [c.startswith("correct_spans") for c in half.columns]] //= 2
    interval = paired_bootstrap(half, first, "f1", resamples=500)
    assert interval.value == score(first, "f1") - score(half, "f1") > 0
    assert 0 < interval.low < interval.value < interval.high
