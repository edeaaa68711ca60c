"""Neighbours in tiles, against whole matrices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xrealign.measure import nearest as module
from xrealign.measure.nearest import best_same, best_wrong, nearest, neighbour_means, own_neighbour_means, tiles
from xrealign.measure.retrieval import unit

SIZES = st.integers(1, 23)


def vectors(count, seed, width=5):
    return unit(np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32))


@given(SIZES, SIZES, st.integers(1, 9), st.integers(1, 9))
def test_tiles_are_the_product_each_place_once(n, m, rows, columns):
    left, right = vectors(n, 0), vectors(m, 1)
    whole = np.full((n, m), np.nan, dtype=np.float32)
    for here, there, tile in tiles(left, right, rows, columns):
        assert np.isnan(whole[here, there]).all()
        whole[here, there] = tile
    np.testing.assert_allclose(whole, left @ right.T, rtol=0, atol=1e-6)


@settings(deadline=None)
@given(SIZES, SIZES, st.integers(1, 7), st.integers(1, 9), st.integers(1, 9), st.sampled_from([0.0, 0.02, 1.0]))
def test_neighbour_means_are_those_of_sorted_rows(n, m, k, rows, columns, dense):
    left, right = vectors(n, n), vectors(m, 100 + m)
    cosine = left @ right.T
    wanted = [np.sort(c, axis=1)[:, ::-1][:, :k].mean(axis=1) for c in (cosine, cosine.T)]
    own = left @ left.T
    np.fill_diagonal(own, -np.inf)
    inside = np.sort(own, axis=1)[:, ::-1][:, : min(k, n - 1)].mean(axis=1) if n > 1 else np.zeros(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "DENSE", dense)  # both ways of merging
        for found, expected in zip(neighbour_means(left, right, k, rows, columns), wanted, strict=True):
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
        np.testing.assert_allclose(own_neighbour_means(left, k, rows, columns), inside, rtol=0, atol=1e-6)


def test_many_neighbours_that_come_late_are_merged_in_parts():
    """Rows sorted so that every tile brings better ones; equal ones among them."""
    left = np.eye(4, dtype=np.float32)
    right = unit(np.repeat(np.linspace(0.1, 3, 40), 2)[:, None] * left[0] + left[1]).astype(np.float32)
    cosine = left @ right.T
    wanted = np.sort(cosine, axis=1)[:, -3:].mean(axis=1)
    for dense in (0.0, 1.0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "DENSE", dense)
            np.testing.assert_allclose(neighbour_means(left, right, 3, 2, 7)[0], wanted, rtol=0, atol=1e-6)


@settings(deadline=None)
@given(st.integers(1, 15), st.integers(1, 6), st.integers(1, 6), st.booleans())
def test_best_wrong_and_same_against_whole_matrices(n, rows, columns, penalised):
    left, right = vectors(n, n), vectors(n, 50 + n)
    draw = np.random.default_rng(n)
    penalties = draw.random((2, n)) if penalised else (None, None)
    cosine = left @ right.T
    by_row = 2 * cosine - penalties[1] if penalised else cosine.copy()
    by_column = 2 * cosine - penalties[0][:, None] if penalised else cosine.copy()
    inside = left @ left.T
    inside = 2 * inside - penalties[0] if penalised else inside
    for matrix in (by_row, by_column, inside):
        np.fill_diagonal(matrix, -np.inf)
    found = best_wrong(left, right, *penalties, rows, columns)
    np.testing.assert_allclose(found[0], by_row.max(axis=1), rtol=0, atol=1e-6)
    np.testing.assert_allclose(found[1], by_column.max(axis=0), rtol=0, atol=1e-6)
    np.testing.assert_allclose(best_same(left, penalties[0], rows, columns), inside.max(axis=1), rtol=0, atol=1e-6)


@given(SIZES, SIZES, st.integers(1, 9), st.integers(1, 9))
def test_nearest_by_margin_against_the_whole_matrix(n, m, rows, columns):
    left, right = vectors(n, n), vectors(m, 70 + m)
    draw = np.random.default_rng(n + m)
    a, b = draw.uniform(-0.2, 1, n), draw.uniform(-0.2, 1, m)
    divisor = (a[:, None] + b[None, :]) / 2
    margin = np.where(divisor > 0, (left @ right.T).astype(np.float64) / divisor, -np.inf)
    place, best, other_place, other_best = nearest(left, right, a, b, rows, columns)
    np.testing.assert_allclose(best, margin.max(axis=1), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(other_best, margin.max(axis=0), rtol=1e-4, atol=1e-6)
    for row in range(n):
        assert best[row] == -np.inf or margin[row, place[row]] == pytest.approx(margin[row].max(), rel=1e-4, abs=1e-6)
    for column in range(m):
        top = margin[:, column].max()
        assert top == -np.inf or margin[other_place[column], column] == pytest.approx(top, rel=1e-4, abs=1e-6)


def test_memory_stays_within_tiles():
    import tracemalloc

    left, right = vectors(3000, 0, 16), vectors(9000, 1, 16)
    tracemalloc.start()
    neighbour_means(left, right, 10, 256, 1024)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12 * 256 * 1024 * 4, f"{peak / 2**20:.0f} MiB"  # the whole product has 103 MiB
