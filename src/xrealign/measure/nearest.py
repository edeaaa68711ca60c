"""Exact nearest neighbours of many vectors with little memory: products in tiles, running bests. No index, no torch.

All functions take rows of length 1 (`xrealign.measure.retrieval.unit`), so that products are cosines. A tile is
2,048 × 8,192 float32 numbers, 64 MiB; two more of its size are the most that is ever held beside the vectors.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
ROWS, COLUMNS = 2048, 8192
NEIGHBOURS = 10  # k of CSLS: Conneau et al. 2018
DENSE = 0.02  # share of a tile from which on sorting all of it is faster than picking


def tiles(left: Array, right: Array, rows: int = ROWS, columns: int = COLUMNS) -> Iterator[tuple[slice, slice, Array]]:
    """Products of all rows of ``left`` with all of ``right``, a tile at a time, in a buffer that is used again."""
    buffer = np.empty((min(rows, len(left)), min(columns, len(right))), dtype=np.result_type(left, right))
    for top in range(0, len(left), rows):
        for side in range(0, len(right), columns):
            here, there = slice(top, min(top + rows, len(left))), slice(side, min(side + columns, len(right)))
            tile = buffer.reshape(-1)[: (here.stop - top) * (there.stop - side)].reshape(here.stop - top, -1)
            np.matmul(left[here], right[there].T, out=tile)
            yield here, there, tile


def neighbour_means(
    left: Array, right: Array, k: int = NEIGHBOURS, rows: int = ROWS, columns: int = COLUMNS
) -> tuple[Array, Array]:
    """Mean cosine of each row to its k nearest of the other side: r of CSLS (Conneau et al. 2018, arXiv 1710.04087).

    Of fewer than k there are, all. *Shape:* (N, D), (M, D) → (N,), (M,)
    """
    best_left = np.full((len(left), min(k, len(right))), -np.inf, dtype=np.float32)
    best_right = np.full((len(right), min(k, len(left))), -np.inf, dtype=np.float32)
    for here, there, tile in tiles(left, right, rows, columns):
        _keep_best(best_left[here], tile)
        _keep_best(best_right[there], tile.T)
    return best_left.mean(axis=1, dtype=np.float64), best_right.mean(axis=1, dtype=np.float64)


def own_neighbour_means(vectors: Array, k: int = NEIGHBOURS, rows: int = ROWS, columns: int = COLUMNS) -> Array:
    """Mean cosine of each row to its k nearest others of the same side; of a single row 0. *Shape:* (N, D) → (N,)"""
    if len(vectors) == 1:
        return np.zeros(1)
    best = np.full((len(vectors), min(k, len(vectors) - 1)), -np.inf, dtype=np.float32)
    for here, there, tile in tiles(vectors, vectors, rows, columns):
        _blank_diagonal(here, there, tile)
        _keep_best(best[here], tile)
    means: Array = best.mean(axis=1, dtype=np.float64)
    return means


def best_wrong(
    left: Array,
    right: Array,
    left_penalty: Array | None = None,
    right_penalty: Array | None = None,
    rows: int = ROWS,
    columns: int = COLUMNS,
) -> tuple[Array, Array]:
    """The best score of each row among the rows of the other side that are not its translation (row n is row n's).

    The score of a candidate is its cosine, or with penalties 2·cosine − the candidate's penalty.

    Args:
        left, right: *Shape:* (N, D) each
        left_penalty, right_penalty: both or none. *Shape:* (N,) each

    Returns:
        for each row of ``left``, and for each of ``right``; −inf where there is no other. *Shape:* (N,), (N,)
    """
    found_left, found_right = (np.full(len(side), -np.inf, dtype=np.float64) for side in (left, right))
    for here, there, tile in tiles(left, right, rows, columns):
        _blank_diagonal(here, there, tile)
        if left_penalty is not None:
            tile *= 2
        scores = tile if right_penalty is None else tile - right_penalty[there].astype(tile.dtype)
        np.maximum(found_left[here], scores.max(axis=1), out=found_left[here])
        if left_penalty is not None:
            scores = np.subtract(tile, left_penalty[here].astype(tile.dtype)[:, None], out=tile)
        np.maximum(found_right[there], scores.max(axis=0), out=found_right[there])
    return found_left, found_right


def best_same(vectors: Array, penalty: Array | None = None, rows: int = ROWS, columns: int = COLUMNS) -> Array:
    """The best score of each row among the others of its own side; −inf of a single row. *Shape:* (N, D) → (N,)"""
    return best_wrong(vectors, vectors, penalty, penalty, rows, columns)[0]


def nearest(
    left: Array, right: Array, left_factor: Array, right_factor: Array, rows: int = ROWS, columns: int = COLUMNS
) -> tuple[Array, Array, Array, Array]:
    """For each row the one of the other side with the highest ratio margin, and that margin.

    The margin is cosine / (½·left factor + ½·right factor); see `xrealign.measure.mining`. Of equal ones the first.

    Returns:
        place and margin for each row of ``left``, then for each of ``right``. *Shape:* (N,), (N,), (M,), (M,)
    """
    place_left, place_right = np.zeros(len(left), dtype=np.int64), np.zeros(len(right), dtype=np.int64)
    best_left, best_right = np.full(len(left), -np.inf), np.full(len(right), -np.inf)
    for here, there, tile in tiles(left, right, rows, columns):
        halves = (left_factor[here, None] + right_factor[None, there]) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            margin = np.where(halves > 0, tile / halves, -np.inf)
        for axis, place, best, own, other in (
            (1, place_left, best_left, here, there),
            (0, place_right, best_right, there, here),
        ):
            at, value = margin.argmax(axis=axis), margin.max(axis=axis)
            better = value > best[own]
            place[own] = np.where(better, at + other.start, place[own])
            best[own] = np.where(better, value, best[own])
    return place_left, best_left, place_right, best_right


def _blank_diagonal(here: slice, there: slice, tile: Array) -> None:
    first, last = max(here.start, there.start), min(here.stop, there.stop)
    if first < last:
        own = np.arange(first, last)
        tile[own - here.start, own - there.start] = -np.inf


def _keep_best(best: Array, tile: Array) -> None:
    """Merges each row of a tile into the k best of that row, in place. *Shape:* (R, k), (R, C)"""
    k = best.shape[1]
    better = tile > best.min(axis=1, keepdims=True)
    if np.count_nonzero(better) > DENSE * better.size:
        top = tile if tile.shape[1] <= k else np.partition(tile, -k, axis=1)[:, -k:]
        best[:] = np.partition(np.hstack([best, top]), -k, axis=1)[:, -k:]
        return
    flat = better if better.flags.c_contiguous else better.T  # as it lies in memory, many times faster to search
    places = np.divmod(np.flatnonzero(flat), flat.shape[1])
    row, column = places if flat is better else places[::-1]
    if not len(row):
        return
    value = tile[row, column]
    order = np.lexsort((-value, row))
    row, value = row[order], value[order]
    changed, start, place = np.unique(row, return_index=True, return_inverse=True)
    rank = np.arange(len(row)) - start[place]
    added = np.full((len(changed), k), -np.inf, dtype=best.dtype)
    added[place[rank < k], rank[rank < k]] = value[rank < k]
    best[changed] = np.partition(np.hstack([best[changed], added]), -k, axis=1)[:, -k:]
