"""The paired bootstrap of measures, against formulas and plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from xrealign.errors import DataError
from xrealign.measure.measured import measured, paired_replicates, percentiles


def test_spread_is_that_of_the_mean():
    draw = np.random.default_rng(0)
    before, after = draw.random((2, 200, 1))
    replicates = paired_replicates(before, after, np.arange(200), 20_000)
    gain = (after - before)[:, 0]
    assert replicates.mean() == pytest.approx(gain.mean(), abs=0.002)
    assert replicates.std() == pytest.approx(gain.std(ddof=1) / np.sqrt(200), rel=0.02)
    low, high = percentiles(replicates)
    assert (high - low)[0] == pytest.approx(2 * 1.96 * gain.std(ddof=1) / np.sqrt(200), rel=0.04)


def test_clusters_are_drawn_whole():
    """Ten copies of each item are no more than one."""
    draw = np.random.default_rng(1)
    gain = draw.random((30, 2))
    copies, clusters = np.repeat(gain, 10, axis=0), np.repeat(np.arange(30), 10)
    alone = paired_replicates(np.zeros((30, 2)), gain, np.arange(30), 500)
    whole = paired_replicates(np.zeros((300, 2)), copies, clusters, 500)
    np.testing.assert_allclose(alone, whole, atol=1e-12)


def test_unequal_clusters_by_plain_loops():
    gain = np.array([1.0, 2, 3, 4, 5, 6, 10])
    clusters = np.array(["a", "a", "b", "c", "d", "e", "e"])
    replicates = paired_replicates(np.zeros((7, 1)), gain[:, None], clusters, 40, (3,))[:, 0]
    drawn = np.random.default_rng([3]).multinomial(5, [0.2] * 5, size=40)
    members = [np.flatnonzero(clusters == name) for name in "abcde"]
    for row, found in zip(drawn, replicates, strict=True):
        picked = np.concatenate([np.tile(gain[m], times) for m, times in zip(members, row, strict=True)])
        assert found == pytest.approx(gain.mean() + (picked.mean() - gain.mean()) * np.sqrt(5 / 4))


def test_pairs_that_move_together_have_no_spread_and_few_clusters_none():
    before = np.random.default_rng(0).random((50, 1))
    replicates = paired_replicates(before, before + 0.25, np.arange(50), 100)
    np.testing.assert_allclose(replicates, 0.25, atol=1e-12)
    assert paired_replicates(before, before, np.arange(50) % 4) is None
    with pytest.raises(DataError, match="do not pair"):
        paired_replicates(before, before[:3], np.arange(50))


def test_what_is_no_number_is_refused():
    assert measured(np.array([True, False, True, True])).value == 0.75
    with pytest.raises(DataError, match="1 of 2 items"):
        measured(np.array([0.0, np.nan]))
    with pytest.raises(DataError, match="at least one"):
        measured(np.zeros(0))


def test_intervals_of_a_difference_cover_the_truth():
    """Simulated: two encoders of the same sentences, the second with less noise; margin of cosines."""
    from xrealign.measure.similarity import translation_cosines

    def encoders(draw, count):
        meaning = draw.standard_normal((count, 6)) + 0.5
        noise = draw.standard_normal((3, count, 6))
        return [(meaning + scale * noise[0], meaning + scale * noise[1] + 0.3 * noise[2]) for scale in (1.0, 0.7)]

    def margins(pair):
        return translation_cosines(*pair)["margin"]

    before, after = encoders(np.random.default_rng(9), 40_000)
    truth = margins(after).value - margins(before).value
    covered, wide = 0, []
    for trial in range(400):
        sides = [margins(pair).items[:, None] for pair in encoders(np.random.default_rng(1000 + trial), 60)]
        low, high = percentiles(paired_replicates(*sides, np.arange(60), 400, (trial,)))
        covered += low[0] <= truth <= high[0]
        wide.append(high[0] - low[0])
    assert covered / 400 == pytest.approx(0.95, abs=0.033)  # three standard errors of 400 trials
    assert np.mean(wide) < 0.2
