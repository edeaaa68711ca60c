"""The probe of languages, against scikit-learn's logistic regression."""

from __future__ import annotations

import numpy as np
import pytest

from xrealign.errors import DataError
from xrealign.measure.probe import fit_logistic, language_hits, majority


def languages(shift, count=60, width=6, seed=0):
    draw = np.random.default_rng(seed)
    return {name: draw.standard_normal((count, width)) + shift * place for place, name in enumerate("abc")}


@pytest.mark.parametrize("penalty", [0.3, 1.0, 5.0])
def test_weights_are_scikit_learns(penalty):
    from sklearn.linear_model import LogisticRegression

    draw = np.random.default_rng(1)
    x, y = draw.standard_normal((90, 4)), draw.integers(3, size=90)
    x[y == 2] += 1
    weights, bias = fit_logistic(x, y, 3, penalty)
    theirs = LogisticRegression(C=1 / penalty, tol=1e-8, max_iter=5000).fit(x, y)
    np.testing.assert_allclose(weights, theirs.coef_.T, atol=2e-4)
    np.testing.assert_allclose(bias - bias.mean(), theirs.intercept_ - theirs.intercept_.mean(), atol=2e-4)


def test_hits_are_those_of_scikit_learn_on_the_same_folds():
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    vectors = languages(0.8)
    x, y = np.concatenate(list(vectors.values())), np.repeat(np.arange(3), 60)
    fold = (np.random.default_rng([4, 0xF01D]).permutation(60) % 5)[np.tile(np.arange(60), 3)]
    wanted = np.zeros(180, dtype=bool)
    for held in range(5):
        train = fold != held
        scaler = StandardScaler().fit(x[train])
        probe = LogisticRegression(tol=1e-8, max_iter=5000).fit(scaler.transform(x[train]), y[train])
        wanted[~train] = probe.predict(scaler.transform(x[~train])) == y[~train]
    hits = language_hits(vectors, seed=4)
    assert 0.5 < hits.mean() < 0.95
    assert (hits == wanted).all()


def test_from_chance_to_certainty_and_centring():
    assert language_hits(languages(0)).mean() == pytest.approx(1 / 3, abs=0.12)
    assert language_hits(languages(9)).mean() == 1
    centred = language_hits(languages(9), centre=True).mean()
    assert centred == pytest.approx(1 / 3, abs=1e-12)  # by construction, and no language is favoured
    assert set(language_hits(languages(9), centre=True)) == {1 / 3}


def test_two_languages_of_unequal_size():
    vectors = {"a": languages(3)["a"], "b": languages(3)["b"][:20]}
    hits = language_hits(vectors)
    assert hits.shape == (80,)
    assert majority(vectors) == 0.75
    assert hits.mean() > 0.9
    with pytest.raises(DataError, match="two languages with 5 sentences"):
        language_hits({"a": vectors["a"]})
    with pytest.raises(DataError, match="of at least 4"):
        language_hits({"a": vectors["a"], "b": vectors["b"][:4]})
    flat = {"a": np.ones((9, 2)), "b": np.ones((9, 2))}
    assert language_hits(flat).mean() == 0.5
