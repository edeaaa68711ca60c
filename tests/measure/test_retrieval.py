"""Retrieval, against one query at a time and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from xrealign.measure.retrieval import centre, retrieval_accuracy, retrieval_hits, retrieval_ranks, unit


def cosine(a, b):
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def hits_by_hand(queries, candidates):
    """The translation is strictly nearer than every other candidate."""
    rows = range(len(queries))
    return [
        all(cosine(queries[n], candidates[n]) > cosine(queries[n], candidates[m]) for m in rows if m != n) for n in rows
    ]


@settings(deadline=None)
@given(st.integers(1, 9), st.integers(2, 6), st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_hits_are_those_of_one_query_at_a_time(count, width, seed, chunk):
    draw = np.random.default_rng(seed)
    queries, candidates = draw.standard_normal((2, count, width))
    candidates = queries + candidates  # near enough for hits and misses
    wanted = hits_by_hand(queries, candidates)
    assert retrieval_hits(queries, candidates).tolist() == wanted
    assert retrieval_hits(queries, candidates, chunk=chunk).tolist() == wanted
    accuracy = retrieval_accuracy(queries, candidates)
    assert accuracy == {"src_to_tgt": np.mean(wanted), "tgt_to_src": np.mean(hits_by_hand(candidates, queries))}


def test_by_hand():
    """Candidate 2 lies between: it takes query 1 from its translation."""
    queries = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    candidates = np.array([[5.0, 0.5], [-1.0, 1.0], [0.5, 1.0]])
    assert retrieval_hits(queries, candidates).tolist() == [True, False, True]
    assert retrieval_accuracy(queries, candidates) == {"src_to_tgt": 2 / 3, "tgt_to_src": 1 / 3}
    # candidate 1 (-1, 1) is nearest to query 2 (.71 against .14); candidate 2 (.5, 1) to query 1 (.98 against .89)


def test_ties_are_misses():
    same = np.ones((4, 3), dtype=np.float32)
    assert not retrieval_hits(same, same).any()
    twice = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert retrieval_hits(twice, twice).tolist() == [False, False, True]
    zeros = np.zeros((3, 2))
    assert not retrieval_hits(zeros, zeros).any()


@pytest.mark.parametrize("count", [5, 17, 41, 63, 257])
def test_equal_candidates_tie_wherever_they_stand(count):
    """Two sentences with the same translation: the rounding of a matrix product must not let one of them win."""
    draw = np.random.default_rng(3)
    for width in (7, 33, 384):
        queries = draw.standard_normal((count, width)).astype(np.float32)
        candidates = queries.copy()
        candidates[-1] = candidates[0]
        for chunk in (1, 5, 4096):
            assert not retrieval_hits(queries, candidates, chunk)[0], (width, chunk)
            assert retrieval_hits(queries, candidates, chunk)[1:-1].all()


def test_one_pair_alone_is_found():
    assert retrieval_hits(np.array([[1.0, 2.0]]), np.array([[-1.0, 0.5]])).tolist() == [True]


def test_nothing_is_changed_in_place():
    queries, candidates = np.random.default_rng(0).standard_normal((2, 5, 3))
    before = queries.copy(), candidates.copy()
    retrieval_accuracy(queries, candidates)
    centre(queries)
    assert np.array_equal(queries, before[0])
    assert np.array_equal(candidates, before[1])


@given(hnp.arrays(np.float32, (5, 3), elements=st.floats(-100, 100, width=32)))
def test_units_have_length_one_and_zeros_stay(vectors):
    lengths = np.linalg.norm(unit(vectors).astype(np.float64), axis=1)
    zero = np.linalg.norm(vectors, axis=1) == 0
    np.testing.assert_allclose(lengths[~zero], 1, rtol=0, atol=1e-5)
    assert (lengths[zero] == 0).all()


@given(hnp.arrays(np.float64, (6, 3), elements=st.floats(-100, 100)))
def test_centred_vectors_have_mean_zero_and_the_same_differences(vectors):
    centred = centre(vectors)
    np.testing.assert_allclose(centred.mean(axis=0), 0, atol=1e-11)
    np.testing.assert_allclose(centred[1:] - centred[:-1], vectors[1:] - vectors[:-1], rtol=0, atol=1e-11)


def test_centring_undoes_a_shift_between_languages():
    draw = np.random.default_rng(1)
    src = draw.standard_normal((30, 8))
    tgt = src + 20 * draw.standard_normal(8)
    assert retrieval_accuracy(src, tgt)["tgt_to_src"] < 0.5
    assert retrieval_accuracy(centre(src), centre(tgt)) == {"src_to_tgt": 1.0, "tgt_to_src": 1.0}


def test_different_numbers_are_refused():
    with pytest.raises((ValueError, IndexError)):
        retrieval_hits(np.ones((3, 2)), np.ones((2, 2)))


def test_ranks_are_those_of_sorted_cosines():
    rng = np.random.default_rng(5)
    src = rng.standard_normal((50, 7))
    tgt = src + rng.standard_normal((50, 7))
    cosine = unit(src) @ unit(tgt).T
    brute = [1 + sum(cosine[n, m] > cosine[n, n] for m in range(50) if m != n) for n in range(50)]
    assert retrieval_ranks(src, tgt, chunk=8).tolist() == brute
    assert np.array_equal(retrieval_ranks(src, tgt) == 1, retrieval_hits(src, tgt))
    assert retrieval_ranks(np.ones((3, 2)), np.ones((3, 2))).tolist() == [3, 3, 3]
