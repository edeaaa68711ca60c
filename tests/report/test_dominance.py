from __future__ import annotations

import numpy as np
import pytest

from xrealign.report.dominance import almost_stochastic_order


def by_grid(a: np.ndarray, b: np.ndarray, steps: int = 400_000) -> float:
    """The violation ratio by a fine grid over quantiles, as the definition reads (Dror et al. 2019, eq. 2)."""
    t = (np.arange(steps) + 0.5) / steps
    one, two = (np.sort(side)[np.minimum((t * len(side)).astype(int), len(side) - 1)] for side in (a, b))
    return float((np.maximum(two - one, 0) ** 2).sum() / ((two - one) ** 2).sum())


@pytest.mark.parametrize(("n", "m"), [(5, 5), (5, 7), (20, 13), (2, 3)])
def test_the_violation_is_the_integral_of_the_definition(n: int, m: int) -> None:
    rng = np.random.default_rng(n * m)
    a, b = rng.normal(0.3, 1, n), rng.normal(0, 1.5, m)
    assert almost_stochastic_order(a, b).violation == pytest.approx(by_grid(a, b), abs=1e-4)


def test_worked_by_hand() -> None:
    """Quantiles (1, 4) against (2, 3): B is 1 above on the first half, A 1 above on the second."""
    assert almost_stochastic_order([4, 1], [3, 2]).violation == pytest.approx(0.5, abs=1e-12)
    assert almost_stochastic_order([1, 6], [2, 3]).violation == pytest.approx(1 / 10, abs=1e-12)


def test_dominance_is_0_and_its_opposite_1() -> None:
    better, worse = [0.8, 0.82, 0.81, 0.83], [0.7, 0.72, 0.71, 0.73]
    assert almost_stochastic_order(better, worse) == almost_stochastic_order(better, worse)
    assert (almost_stochastic_order(better, worse).violation, almost_stochastic_order(better, worse).epsilon) == (0, 0)
    found = almost_stochastic_order(worse, better)
    assert (found.violation, found.epsilon) == (1, 1)
    same = almost_stochastic_order(better, better)
    assert (same.violation, same.epsilon) == (0.5, 0.5)


def test_the_two_directions_share_one_whole() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=9), rng.normal(size=6)
    assert almost_stochastic_order(a, b).violation + almost_stochastic_order(b, a).violation == pytest.approx(1)


def test_the_bound_lies_above_and_comes_nearer_with_more_scores() -> None:
    rng = np.random.default_rng(5)
    few = almost_stochastic_order(rng.normal(0.5, 1, 8), rng.normal(0, 1, 8))
    many = almost_stochastic_order(rng.normal(0.5, 1, 2000), rng.normal(0, 1, 2000))
    assert few.epsilon >= few.violation
    assert 0 <= many.epsilon - many.violation < few.epsilon - few.violation
    assert many.epsilon < 0.2


def test_the_bound_holds_the_limit() -> None:
    """N(0.5, 1) against N(0, 2): the limit of the ratio, by quantiles; the 95 % bound lies above it often enough."""
    t = (np.arange(200_000) + 0.5) / 200_000
    from scipy import stats

    one, two = stats.norm.ppf(t, 0.5, 1), stats.norm.ppf(t, 0, 2)
    limit = float((np.maximum(two - one, 0) ** 2).sum() / ((two - one) ** 2).sum())
    rng = np.random.default_rng(6)
    above = [
        almost_stochastic_order(rng.normal(0.5, 1, 60), rng.normal(0, 2, 60), resamples=300, seed=k).epsilon >= limit
        for k in range(200)
    ]
    assert np.mean(above) >= 0.88  # 95 % less four standard errors and what 60 scores lack of infinity


def test_one_score_has_no_distribution() -> None:
    with pytest.raises(ValueError, match="two scores on each side"):
        almost_stochastic_order([0.5], [0.4, 0.6])
