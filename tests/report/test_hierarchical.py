from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from xrealign.report.hierarchical import hierarchical_bootstrap

BOTH = ("seed", "language")


def simulate(
    rng: np.random.Generator, seeds: int, languages: int, spread: tuple[float, float, float], skewed: bool = False
) -> list[NDArray[np.float64]]:
    """Differences whose expected value is 0: a part of the seed, one of the language, one of both."""

    def draw(*shape: int) -> NDArray[np.float64]:
        return rng.exponential(size=shape) - 1 if skewed else rng.normal(size=shape)

    table = spread[0] * draw(seeds, 1) + spread[1] * draw(1, languages) + spread[2] * draw(seeds, languages)
    return [column[:, None] for column in table.T]


def coverage(trials: int, levels: tuple[str, ...], *shape: object, **options: bool) -> float:
    rng = np.random.default_rng(11)
    held = 0
    for _ in range(trials):
        found = hierarchical_bootstrap(simulate(rng, *shape, **options), levels, resamples=1000)  # type: ignore[arg-type]
        held += found.interval.low <= 0 <= found.interval.high
    return held / trials


@pytest.mark.parametrize(
    ("levels", "seeds", "languages", "spread"),
    [
        (BOTH, 5, 20, (1.0, 1.0, 1.0)),
        (BOTH, 5, 34, (0.0, 1.0, 0.5)),
        (BOTH, 3, 10, (1.0, 0.3, 0.5)),
        (("seed",), 5, 12, (1.0, 0.0, 0.5)),
        (("language",), 1, 20, (0.0, 1.0, 0.0)),
    ],
)
def test_intervals_hold_the_truth_nineteen_times_in_twenty(
    levels: tuple[str, ...], seeds: int, languages: int, spread: tuple[float, float, float]
) -> None:
    """600 simulated comparisons each: 95 % ± 3.5, four standard errors."""
    assert coverage(600, levels, seeds, languages, spread) == pytest.approx(0.95, abs=0.035)


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "least"), [(2, 0.86), (3, 0.91), (5, 0.93), (10, 0.93)])
@pytest.mark.parametrize("languages", [5, 12, 34])
@pytest.mark.parametrize("spread", [(1.0, 1.0, 1.0), (0.2, 1.0, 1.0), (1.0, 0.2, 1.0)])
def test_intervals_hold_the_truth_whatever_the_design(
    seeds: int, least: float, languages: int, spread: tuple[float, float, float]
) -> None:
    """1,500 each: 93 % at least from five seeds on; less with two or three, whose variance is hardly known."""
    assert least <= coverage(1500, BOTH, seeds, languages, spread) <= 0.995


@pytest.mark.slow
def test_intervals_of_skewed_effects_lose_a_little() -> None:
    assert 0.88 <= coverage(2000, BOTH, 5, 20, (1.0, 1.0, 1.0), skewed=True) <= 0.96


def sentences(rng: np.random.Generator, seeds: int, sizes: list[int]) -> list[NDArray[np.float64]]:
    """A part of the seed (if there are several), of the sentence, and of both; languages are all alike and fixed."""
    of_seed = 0.3 * rng.normal(size=(seeds, 1)) * (seeds > 1)
    return [of_seed + rng.normal(size=(1, n)) + rng.normal(size=(seeds, n)) for n in sizes]


@pytest.mark.parametrize(("levels", "seeds"), [(("sentence",), 1), (("seed", "sentence"), 4)])
def test_intervals_over_sentences_hold_the_truth(levels: tuple[str, ...], seeds: int) -> None:
    """300 each: 95 % ± 5, four standard errors."""
    rng = np.random.default_rng(12)
    held = 0
    for _ in range(300):
        found = hierarchical_bootstrap(sentences(rng, seeds, [15, 30]), levels, resamples=600)
        held += found.interval.low <= 0 <= found.interval.high
    assert held / 300 == pytest.approx(0.95, abs=0.05)


def test_one_level_is_students_t() -> None:
    """Seeds alone: standard error, degrees of freedom and p are the paired t test's; the interval nearly is."""
    table = np.random.default_rng(1).normal(0.5, 1, size=(6, 9))
    found = hierarchical_bootstrap([column[:, None] for column in table.T], ("seed",), resamples=20_000)
    means = table.mean(axis=1)
    reference = stats.ttest_1samp(means, 0)
    band = reference.confidence_interval(0.95)
    assert found.mean == pytest.approx(means.mean(), abs=1e-12)
    assert found.standard_error == pytest.approx(means.std(ddof=1) / math.sqrt(6), abs=1e-12)
    assert found.freedom == pytest.approx(5)
    assert found.p == pytest.approx(reference.pvalue, abs=1e-10)
    assert (found.interval.low, found.interval.high) == pytest.approx((band.low, band.high), abs=0.12)


def test_crossed_variance_is_the_anova_estimate() -> None:
    """Against mean squares worked out cell by cell (Searle et al. 1992, §4.3)."""
    table = np.random.default_rng(2).normal(size=(4, 7)) + np.arange(4)[:, None] + np.arange(7)
    S, L = table.shape
    rows, columns, whole = table.mean(axis=1), table.mean(axis=0), table.mean()
    ms_rows = sum(L * (rows[s] - whole) ** 2 for s in range(S)) / (S - 1)
    ms_columns = sum(S * (columns[n] - whole) ** 2 for n in range(L)) / (L - 1)
    rest = [(table[s, n] - rows[s] - columns[n] + whole) ** 2 for s in range(S) for n in range(L)]
    ms_rest = sum(rest) / ((S - 1) * (L - 1))
    found = hierarchical_bootstrap([column[:, None] for column in table.T], BOTH)
    assert found.standard_error**2 == pytest.approx((ms_rows + ms_columns - ms_rest) / (S * L), rel=1e-10)


def test_the_interval_follows_the_shape_of_what_is_drawn() -> None:
    """Skewed languages give a skewed interval, where Student's would be symmetric."""
    values = np.random.default_rng(3).exponential(size=30) ** 2
    found = hierarchical_bootstrap([np.array([[value]]) for value in values], ("language",), resamples=4000)
    assert found.interval.high - found.mean > 1.1 * (found.mean - found.interval.low)


def test_levels_without_a_choice_are_left_out_and_results_repeat() -> None:
    values = [np.array([[0.1]]), np.array([[0.3]]), np.array([[0.2]])]
    found = hierarchical_bootstrap(values)
    assert found.levels == ("language",)
    assert found.interval == hierarchical_bootstrap(values).interval
    assert found.interval != hierarchical_bootstrap(values, seed=1).interval
    assert found.replicates.mean() == pytest.approx(found.mean, abs=1e-12)


def test_where_nothing_varies_there_is_no_p() -> None:
    found = hierarchical_bootstrap([np.full((3, 4), 0.25)] * 6)
    assert (found.interval.low, found.interval.high, found.p) == (0.25, 0.25, None)


def test_what_cannot_be_drawn_is_refused() -> None:
    one = np.array([[0.1]])
    with pytest.raises(ValueError, match="nothing to draw"):
        hierarchical_bootstrap([one])
    with pytest.raises(ValueError, match="levels are"):
        hierarchical_bootstrap([one, one], ("family",))
    with pytest.raises(ValueError, match="expected"):
        hierarchical_bootstrap([np.ones((2, 1)), np.ones((3, 1))])
    with pytest.raises(ValueError, match="expected"):
        hierarchical_bootstrap([])
