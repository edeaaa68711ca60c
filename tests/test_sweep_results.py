"""Figures over seeds: against hand-worked cases, the formula of the standard error, and the report's own functions."""

from __future__ import annotations

import math

import numpy as np

from xrealign.report.stats import difference_interval, paired_bootstrap
from xrealign.sweep.results import over_seeds, paired_test


def test_paired_t_by_hand():
    """Differences 1, 2, 3: mean 2, std 1, t = 2√3; with two degrees of freedom p = 1 − t/√(t² + 2)."""
    found = paired_test([0.01, 0.02, 0.03])
    t = 2 * math.sqrt(3)
    assert math.isclose(found.mean, 0.02)
    assert math.isclose(found.std, 0.01)
    assert math.isclose(found.p, 1 - t / math.sqrt(t * t + 2), rel_tol=1e-9)


def test_paired_t_of_two_seeds_by_hand():
    """One degree of freedom is Cauchy's distribution: p = 1 − 2/π·atan t; differences 1 and 3 give t = 2."""
    assert math.isclose(paired_test([1.0, 3.0]).p, 1 - 2 / math.pi * math.atan(2.0), rel_tol=1e-9)


def test_nothing_is_claimed_from_one_seed_or_from_no_spread():
    assert (paired_test([0.1]).std, paired_test([0.1]).p) == (None, None)
    assert (paired_test([0.1, 0.1]).std, paired_test([0.1, 0.1]).p) == (0.0, None)


def answers(seed: int, n: int, share: float) -> np.ndarray:
    return np.random.default_rng(seed).random(n) < share


def test_seeds_with_sentences_of_their_own_are_independent_samples():
    """The interval of the mean difference has the width 2·1.96·√(Σ var(d)/n)/S of independent samples."""
    seeds = [
        {("realigned", "deu"): answers(s, 400, 0.7), ("baseline", "deu"): answers(s + 9, 400, 0.6)} for s in range(3)
    ]
    found = over_seeds(seeds, same_sentences=False)
    interval = difference_interval(found, ["deu"], "realigned", "baseline")
    differences = [one["realigned", "deu"].astype(float) - one["baseline", "deu"] for one in seeds]
    error = math.sqrt(sum(d.var(ddof=1) / len(d) for d in differences)) / 3
    assert math.isclose((interval.low + interval.high) / 2, np.mean(differences), abs_tol=0.15 * error)
    assert math.isclose(interval.high - interval.low, 2 * 1.96 * error, rel_tol=0.08)
    assert found["deu"].n == 1200
    assert math.isclose(found["deu"].observed[found["deu"].methods.index("realigned")],
                        np.mean([one["realigned", "deu"].mean() for one in seeds]))  # fmt: skip


def test_seeds_with_the_same_sentences_are_averaged_sentence_by_sentence():
    """Three seeds that agree on every sentence are no more evidence than one."""
    one = {("realigned", "deu"): answers(1, 200, 0.7), ("baseline", "deu"): answers(2, 200, 0.6)}
    same = over_seeds([one, one, one], same_sentences=True)
    single = paired_bootstrap(one)
    assert np.allclose(same["deu"].means, single["deu"].means)
    assert same["deu"].n == 200


def test_a_language_that_a_seed_lacks_is_left_out():
    one = {("realigned", "deu"): answers(1, 20, 0.7), ("realigned", "swh"): answers(2, 20, 0.6)}
    assert set(over_seeds([one, {("realigned", "deu"): answers(3, 20, 0.5)}], same_sentences=False)) == {"deu"}
