"""Weak and strong retrieval, CSLS, the mixed pool: by hand, by brute force, by scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xrealign.errors import DataError
from xrealign.measure.retrieval import retrieval_hits
from xrealign.measure.translations import all_hits, pool_precisions, translation_hits


def cosine(a, b):
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def by_hand(queries, answers, strong, csls, k):
    """One query at a time, straight from the definitions."""
    n = len(queries)

    def r_across(m):  # of answer m: mean cosine to its k nearest queries
        return np.mean(sorted((cosine(answers[m], q) for q in queries), reverse=True)[:k])

    def r_inside(m):  # of another query
        near = sorted((cosine(queries[m], queries[i]) for i in range(n) if i != m), reverse=True)[:k]
        return np.mean(near) if near else 0.0

    hits = []
    for a in range(n):
        scores = {("answer", m): cosine(queries[a], answers[m]) for m in range(n)}
        if strong:
            scores |= {("query", m): cosine(queries[a], queries[m]) for m in range(n) if m != a}
        if csls:
            scores = {
                (side, m): 2 * s - (r_across(m) if side == "answer" else r_inside(m)) for (side, m), s in scores.items()
            }
        own = scores.pop(("answer", a))
        hits.append(all(own > other for other in scores.values()))
    return hits


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 8), st.integers(2, 5), st.integers(0, 2**32 - 1), st.integers(1, 10))
def test_against_one_query_at_a_time(count, width, seed, k):
    draw = np.random.default_rng(seed)
    src = draw.standard_normal((count, width))
    tgt = src + 0.8 * draw.standard_normal((count, width)) + draw.standard_normal(width)
    for (strong, csls), (forward, backward) in all_hits(src, tgt, k).items():
        assert forward.tolist() == by_hand(src, tgt, strong, csls, k), (strong, csls)
        assert backward.tolist() == by_hand(tgt, src, strong, csls, k), (strong, csls)
        single = translation_hits(src, tgt, strong, csls, k)
        assert (single[0] == forward).all()
        assert (single[1] == backward).all()


def test_weak_is_what_runs_measure():
    draw = np.random.default_rng(5)
    src = draw.standard_normal((300, 16)).astype(np.float32)
    tgt = src + draw.standard_normal((300, 16)).astype(np.float32)
    forward, backward = translation_hits(src, tgt)
    assert (forward == retrieval_hits(src, tgt)).all()
    assert (backward == retrieval_hits(tgt, src)).all()
    assert 0.3 < forward.mean() < 1


def test_strong_by_hand():
    """Both translations are found among the other language; "a" is nearer to "b" of its own language than to "A"."""
    src = np.array([[1.0, 0.0], [0.9, 0.3]])  # a, b: cosine .949
    tgt = np.array([[0.6, -0.8], [0.8, 0.6]])  # A: .6 to a, .316 to b; B: .8 to a, .948 to b
    assert translation_hits(src, tgt)[0].tolist() == [False, True]  # B is nearer to a
    tgt[1] = [0.5, 0.86]  # B: .503 to a, .714 to b
    assert translation_hits(src, tgt)[0].tolist() == [True, True]
    assert translation_hits(src, tgt, strong=True)[0].tolist() == [False, False]  # a: .949 to b; b: .949 to a
    backward = translation_hits(src, tgt, strong=True)[1]
    assert backward.tolist() == [True, True]  # A to B: -.388, far from each other


def test_csls_takes_a_hub_down():
    """The third candidate is nearest to all by cosine: .894 against .853; CSLS: 2·.894 − .947 against 2·.853 − .690."""
    src = np.array([[1, 0.5], [1, -0.5], [1, 0]])
    tgt = np.array([[1, 1.6], [1, -1.6], [1, 0]])
    assert translation_hits(src, tgt)[0].tolist() == [False, False, True]
    assert translation_hits(src, tgt, csls=True, k=2)[0].tolist() == [True, True, True]


def test_ties_are_misses_whatever_is_asked():
    same = np.ones((5, 3), dtype=np.float32)
    for forward, backward in all_hits(same, same).values():
        assert not forward.any()
        assert not backward.any()
    twice = np.eye(4, dtype=np.float32)[[0, 0, 1, 2]]
    for forward, _ in all_hits(twice, twice, 2).values():
        assert forward.tolist() == [False, False, True, True]


def test_one_pair_alone_and_wrong_numbers():
    assert translation_hits(np.array([[1.0, 0]]), np.array([[-1.0, 0.5]]), True, True)[0].tolist() == [True]
    with pytest.raises(DataError, match="3 and 2 vectors"):
        translation_hits(np.ones((3, 2)), np.ones((2, 2)))
    with pytest.raises(DataError, match="at least one"):
        translation_hits(np.ones((0, 2)), np.ones((0, 2)))


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 6), st.integers(2, 4), st.integers(0, 2**32 - 1))
def test_pool_precision_is_scikit_learns(concepts, languages, seed):
    from sklearn.metrics import average_precision_score

    draw = np.random.default_rng(seed)
    meaning = draw.standard_normal((concepts, 6))
    vectors = np.concatenate([meaning + draw.standard_normal((concepts, 6)) for _ in range(languages)])
    concept = np.tile(np.arange(concepts), languages)
    found = pool_precisions(vectors, concept)
    for row in range(len(vectors)):
        others = np.arange(len(vectors)) != row
        scores = [cosine(vectors[row], vector) for vector in vectors[others]]
        assert found[row] == pytest.approx(average_precision_score(concept[others] == concept[row], scores), abs=1e-9)


def test_pool_by_hand_ties_and_language_bias():
    vectors = np.array([[1, 0], [0.9, 0.1], [0.8, 0.6], [0.6, 0.8]])  # en:1, en:2, de:1, de:2
    concept = np.array([1, 2, 1, 2])
    # en:1 sees en:2 (.994), de:1 (.8), de:2 (.6): its answer is second, AP 1/2; en:2 sees en:1, de:1, de:2: third
    # de:1 sees de:2 (.96), en:2 (.861), en:1 (.8): third; de:2 sees de:1 (.96), en:2 (.685), en:1: second
    assert pool_precisions(vectors, concept) == pytest.approx([1 / 2, 1 / 3, 1 / 3, 1 / 2])
    assert pool_precisions(np.ones((4, 2)), concept) == pytest.approx([1 / 3] * 4)  # ties go before the answer
    with pytest.raises(DataError, match="at least two"):
        pool_precisions(vectors, np.array([1, 2, 1, 3]))


def test_pools_larger_than_a_tile():
    draw = np.random.default_rng(0)
    vectors = draw.standard_normal((600, 8))
    concept = np.tile(np.arange(300), 2)
    found = pool_precisions(vectors, concept)
    order = np.random.default_rng(1).permutation(600)
    np.testing.assert_allclose(pool_precisions(vectors[order], concept[order]), found[order], atol=1e-12)
