"""Spearman's ρ and its clustered bootstrap, against SciPy; gaps and joins by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from xrealign.errors import DataError
from xrealign.measure.correlation import clustered_spearman, correlate, relative_gaps, spearman
from xrealign.types import Score


def score(language, value, seed=1, task="xnli", **more):
    return Score("r", more.pop("method", "baseline"), task, language, "accuracy", value, 100, seed, **more)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=12))
def test_rho_is_scipys_with_ties(points):
    x, y = np.array(points, dtype=float).T
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert spearman(x, y) is None
    else:
        assert spearman(x, y) == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)


def test_replicates_are_scipys_on_repeated_points():
    draw = np.random.default_rng(2)
    languages, seeds = np.repeat(list("abcdef"), 3), np.tile([1, 2, 3], 6)
    x, y = draw.integers(9, size=(2, 18)).astype(float)
    found = clustered_spearman(x, y, languages, seeds, 50, 7)
    rng = np.random.default_rng([7, 0x5EA2])
    by_language = rng.multinomial(6, np.full(6, 1 / 6), size=50)
    by_seed = rng.multinomial(3, np.full(3, 1 / 3), size=50)
    for value, a, b in zip(found, by_language, by_seed, strict=True):
        times = a[np.repeat(np.arange(6), 3)] * b[np.tile(np.arange(3), 6)]
        assert value == pytest.approx(spearmanr(np.repeat(x, times), np.repeat(y, times)).statistic, abs=1e-12)


def test_clustered_intervals_are_wider_than_those_of_points():
    draw = np.random.default_rng(0)
    languages, seeds = np.repeat(np.arange(12), 20), np.tile(np.arange(20), 12)
    level = draw.standard_normal((2, 12))
    x, y = (np.repeat(side, 20) + 0.1 * draw.standard_normal(240) for side in level)
    clustered = clustered_spearman(x, y, languages, seeds, 500)
    single = clustered_spearman(x, y, np.arange(240), np.zeros(240), 500)
    assert clustered.std() > 2.5 * single.std()


def test_gaps_by_hand():
    rows = [score("eng_Latn", 0.8), score("deu_Latn", 0.6), score("eng_Latn", 0.5, 2), score("deu_Latn", 0.6, 2)]
    gaps, lone = relative_gaps([*rows, score("deu_Latn", 0.1, 3)], "eng_Latn")
    assert list(gaps.values()) == pytest.approx([-0.25, 0.2])
    assert lone == 1
    with pytest.raises(DataError, match=r"no score has one of the source language eng_Latn .*deu_Latn"):
        relative_gaps(rows[1:2], "eng_Latn")
    with pytest.raises(DataError, match=r"the score of eng_Latn is 0\.0"):
        relative_gaps([score("eng_Latn", 0.0), score("deu_Latn", 0.1)], "eng_Latn")


def table(seeds=(1, 2), measured_seeds=(1, 2)):
    draw = np.random.default_rng(3)
    tags = ["deu_Latn", "fra_Latn", "swh_Latn", "hin_Deva", "tur_Latn", "zho_Hans"]
    scores, measures = [], []
    for seed in seeds:
        scores.append(score("eng_Latn", 0.8, seed))
        scores += [score(tag, float(draw.uniform(0.3, 0.8)), seed) for tag in tags]
    for seed in measured_seeds:
        for layer in (0, 1):
            measures += [
                score(tag, float(draw.random()), seed, "word-strong", layer=layer, variant="raw") for tag in tags
            ]
    return measures, scores, tags


def test_every_layer_and_task_over_languages_and_seeds():
    measures, scores, tags = table()
    more = [score(s.language, s.value / 2, s.seed, "pos") for s in scores]
    found, alone = correlate([*measures, *more], [*scores, *more], resamples=200)
    assert [(c.layer, c.task) for c in found] == [(0, "xnli"), (0, "pos"), (1, "xnli"), (1, "pos")]
    first = found[0]
    assert (first.n, first.languages, first.seeds) == (12, 6, 2)
    gaps = {(s.language, s.seed): s.value / 0.8 - 1 for s in scores}
    x = [m.value for m in measures if m.layer == 0]
    y = [gaps[m.language, m.seed] for m in measures if m.layer == 0]
    assert first.rho == pytest.approx(spearmanr(x, y).statistic)
    assert first.low < first.rho < first.high
    assert found[1].rho == pytest.approx(first.rho)  # half of all scores: the same relative gaps
    assert not any(alone.values())
    assert len(tags) == 6


def test_a_measure_without_seeds_goes_with_all():
    measures, scores, _ = table(measured_seeds=(0,))
    with pytest.raises(DataError, match=r"the first measure has .*seed=0, the first score .*seed=1"):
        correlate(measures, scores)
    (first, _), alone = correlate(measures, scores, join=("method", "language"), resamples=100)
    assert (first.n, first.languages, first.seeds) == (12, 6, 2)
    assert not any(alone.values())


def test_what_has_no_partner_is_counted():
    measures, scores, _ = table()
    kept = [s for s in scores if s.language != "deu_Latn"]
    found, alone = correlate(measures, kept, resamples=50)
    assert found[0].n == 10
    assert alone["measures without a score"] == 4  # two layers, two seeds
    named = [score(s.language, s.value, s.seed, method="realigned") for s in scores]
    with pytest.raises(DataError, match=r"method='baseline'.*method='realigned'"):
        correlate(measures, named)


def test_constants_have_no_rho():
    measures, scores, _ = table()
    flat = [score(m.language, 0.5, m.seed, "word-strong", layer=0, variant="raw") for m in measures if m.layer == 0]
    ((only),), _ = correlate(flat, scores, resamples=50)
    assert only.rho is None
    assert only.low is None
    assert only.undefined == 1
