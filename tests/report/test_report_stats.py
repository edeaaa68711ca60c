from __future__ import annotations

import math
import statistics
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from report_sample import Sample
from scipy import stats as scipy_stats

from xrealign.errors import DataError
from xrealign.report.stats import (
    MIN_ITEMS,
    Interval,
    Shares,
    difference_interval,
    mean_std,
    paired_bootstrap,
    percentile_interval,
    stack_seeds,
)


def draw(rng: np.random.Generator, n: int, base: float, gain: float, shared: float = 0.8) -> list[NDArray[np.bool_]]:
    """Two methods' results on n items, correlated as those of two models are."""
    luck = rng.uniform(size=n)
    own = np.where(rng.uniform(size=n) < shared, luck, rng.uniform(size=n))
    return [luck < base, own < base + gain]


def test_replicates_have_the_distribution_of_resampled_items() -> None:
    """Against index resampling done item by item: same mean, spread and quantiles of the paired difference."""
    rng = np.random.default_rng(1)
    before, after = draw(rng, 60, 0.5, 0.1)
    found = paired_bootstrap({("a", "x"): before, ("b", "x"): after}, resamples=20000)["x"].difference("b", "a")
    change = after.astype(float) - before
    brute = change[rng.integers(0, 60, size=(20000, 60))].mean(axis=1)
    spread = math.sqrt(60 / 59)
    assert found.mean() == pytest.approx(change.mean(), abs=0.002)
    assert found.std() == pytest.approx(brute.std() * spread, rel=0.02)
    wanted = change.mean() + (np.quantile(brute, [0.025, 0.975]) - change.mean()) * spread
    assert np.quantile(found, [0.025, 0.975]) == pytest.approx(wanted, abs=1 / 60)
    assert found.std() == pytest.approx(change.std(ddof=1) / math.sqrt(60), rel=0.02)


def test_interval_agrees_with_scipys_paired_bootstrap() -> None:
    rng = np.random.default_rng(2)
    before, after = draw(rng, 400, 0.55, 0.06)
    found = difference_interval(
        paired_bootstrap({("a", "x"): before, ("b", "x"): after}, resamples=9999), ["x"], "b", "a"
    )
    assert found is not None
    reference = scipy_stats.bootstrap(
        (after.astype(float), before.astype(float)),
        lambda one, two, axis: one.mean(axis=axis) - two.mean(axis=axis),
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=9999,
        rng=3,
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high), abs=0.004)


def test_percentile_interval_is_the_middle_of_the_replicates() -> None:
    found = percentile_interval(np.arange(1001) / 1000, 0.9)
    assert (found.low, found.high) == pytest.approx((0.05, 0.95), abs=1e-12)
    assert Interval(0.1, 0.2).above_zero
    assert Interval(-0.2, -0.1).below_zero
    assert not Interval(0.0, 0.2).above_zero
    assert not Interval(-0.1, 0.0).below_zero


@pytest.mark.parametrize(("languages", "n"), [(1, 60), (8, 25)])
def test_intervals_hold_the_truth_nineteen_times_in_twenty(languages: int, n: int) -> None:
    """600 simulated evaluations: 95 % ± 2.7 (three standard errors), plus 1.5 below for the discreteness of counts."""
    rng = np.random.default_rng(4)
    bases = np.linspace(0.4, 0.8, languages)
    hits, trials, gain = 0, 600, 0.08
    tags = [f"l{number}" for number in range(languages)]
    for trial in range(trials):
        items = {}
        for tag, base in zip(tags, bases, strict=True):
            items["a", tag], items["b", tag] = draw(rng, n, float(base), gain)
        found = difference_interval(paired_bootstrap(items, resamples=600, seed=trial), tags, "b", "a")
        assert found is not None
        hits += found.low <= gain <= found.high
    assert 0.908 <= hits / trials <= 0.977


def test_pairing_narrows_the_interval() -> None:
    rng = np.random.default_rng(5)
    before, after = draw(rng, 300, 0.5, 0.05, shared=0.95)
    other = rng.permutation(after)
    paired = difference_interval(paired_bootstrap({("a", "x"): before, ("b", "x"): after}), ["x"], "b", "a")
    loose = difference_interval(paired_bootstrap({("a", "x"): before, ("b", "x"): other}), ["x"], "b", "a")
    assert paired is not None
    assert loose is not None
    assert paired.high - paired.low < 0.5 * (loose.high - loose.low)


def test_a_language_does_not_change_when_others_come_and_results_repeat(run: Sample) -> None:
    tag = run.groups["in the subset"][0]
    alone = paired_bootstrap({key: value for key, value in run.items.items() if key[1] == tag})
    together = paired_bootstrap(run.items)
    assert np.array_equal(alone[tag].means, together[tag].means)
    assert not np.array_equal(paired_bootstrap(run.items, seed=1)[tag].means, together[tag].means)


def test_sixty_languages_take_less_than_two_seconds(run: Sample) -> None:
    """Measured at about 0.1 s; the bound is the promise."""
    start = time.perf_counter()
    found = paired_bootstrap(run.items, resamples=2000)
    for tag in found:
        difference_interval(found, [tag], "realigned", "baseline")
    assert len(found) >= 60
    assert time.perf_counter() - start < 2


def test_seeds_are_averaged_before_items_are_drawn() -> None:
    two = np.array([[1, 0, 1, 1, 0, 1], [1, 1, 1, 0, 0, 1]], dtype=bool)
    zero = np.zeros(6, dtype=bool)
    found = paired_bootstrap({("b", "x"): two, ("a", "x"): zero})["x"]
    assert found.observed[found.methods.index("b")] == pytest.approx(two.mean(), abs=1e-12)
    assert found.n == 6


def test_nothing_varies_gives_an_interval_of_exactly_zero() -> None:
    same = np.array([1, 0, 1, 1, 0, 1, 1], dtype=bool)
    found = difference_interval(paired_bootstrap({("a", "x"): same, ("b", "x"): same}), ["x"], "b", "a")
    assert found == Interval(0.0, 0.0)


def test_no_interval_without_enough_to_go_by() -> None:
    few, one = np.ones(MIN_ITEMS - 1, dtype=bool), np.ones(1, dtype=bool)
    found = paired_bootstrap({("a", "x"): few, ("b", "x"): few, ("a", "y"): one, ("b", "y"): one})
    assert difference_interval(found, ["x"], "b", "a") is None
    assert difference_interval(found, ["x", "y"], "b", "a") is None
    assert difference_interval(found, ["x"], "c", "a") is None
    assert difference_interval(found, ["x", "z"], "b", "a") is None
    assert difference_interval(found, [], "b", "a") is None


def test_items_that_cannot_be_paired_are_refused() -> None:
    good = np.ones(6, dtype=bool)
    with pytest.raises(DataError, match=r"x: .*a 6, b 5"):
        paired_bootstrap({("a", "x"): good, ("b", "x"): good[:5]})
    with pytest.raises(DataError, match="outside 0 to 1"):
        paired_bootstrap({("a", "x"): [0, 1, 2]})
    with pytest.raises(DataError, match="outside 0 to 1"):
        paired_bootstrap({("a", "x"): [0, 1, float("nan")]})
    with pytest.raises(DataError, match="shape"):
        paired_bootstrap({("a", "x"): []})


@settings(max_examples=50, deadline=None, database=None)
@given(st.lists(st.floats(-10, 10), min_size=1, max_size=20))
def test_mean_and_spread_agree_with_the_standard_library(values: list[float]) -> None:
    mean, std = mean_std(values)
    assert mean == pytest.approx(statistics.fmean(values), abs=1e-9)
    if len(values) == 1:
        assert std is None
    else:
        assert std == pytest.approx(statistics.stdev(values), abs=1e-9)


def test_shares_are_summed_before_they_are_divided() -> None:
    rng = np.random.default_rng(3)
    wholes = rng.integers(0, 6, 40).astype(float)
    parts = np.minimum(wholes, rng.integers(0, 6, 40))
    found = paired_bootstrap({("a", "deu_Latn"): Shares(parts, wholes)}, resamples=4000, seed=1)["deu_Latn"]
    assert found.observed[0] == pytest.approx(parts.sum() / wholes.sum(), abs=1e-12)
    drawn = rng.integers(0, 40, (4000, 40))
    brute = parts[drawn].sum(axis=1) / wholes[drawn].sum(axis=1)
    assert found.means[0].std() == pytest.approx(brute.std() * np.sqrt(40 / 39), rel=0.08)
    hits = rng.integers(0, 2, 40)
    ones = paired_bootstrap({("a", "x"): Shares(hits, np.ones(40))})["x"]
    assert np.array_equal(ones.means, paired_bootstrap({("a", "x"): hits})["x"].means)


def test_shares_of_seeds_are_ratios_averaged() -> None:
    one, two = Shares(np.array([1.0, 0]), np.array([1.0, 3])), Shares(np.array([2.0, 1]), np.array([2.0, 2]))
    both = stack_seeds([one, two])
    found = paired_bootstrap({("a", "x"): both})["x"]
    assert found.observed[0] == pytest.approx((1 / 4 + 3 / 4) / 2, abs=1e-12)
    with pytest.raises(DataError, match="from 0 to its whole"):
        paired_bootstrap({("a", "x"): Shares(np.array([2.0]), np.array([1.0]))})
