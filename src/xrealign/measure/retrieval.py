"""Retrieval between two languages: is a sentence's nearest neighbour across the border its translation?"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
TIE = 1e-6  # a matrix product rounds equal cosines to float32 values this far apart, depending on their column


def centre(vectors: Array) -> Array:
    """Vectors less their mean: what language-mean centring leaves (Libovický et al. 2020, arXiv 2004.05160)."""
    centred: Array = vectors - vectors.mean(axis=0, keepdims=True, dtype=np.float64).astype(vectors.dtype)
    return centred


def unit(vectors: Array) -> Array:
    """Rows scaled to length 1; a row of zeros stays one."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Array = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
    return scaled


def retrieval_hits(queries: Array, candidates: Array, chunk: int = 4096) -> Array:
    """Whether candidate n has the highest cosine to query n, for every n. *Shape:* (N, D), (N, D) → (N,) bool

    A tie with another candidate (cosines less than `TIE` apart) is a miss: a measure must not reward vectors that
    are all the same.
    """
    left, right = unit(queries), unit(candidates)
    hits = np.zeros(len(left), dtype=bool)
    for start in range(0, len(left), chunk):
        cosine = left[start : start + chunk] @ right.T
        rows = np.arange(len(cosine))
        own = cosine[rows, start + rows].copy()
        cosine[rows, start + rows] = -np.inf
        hits[start : start + chunk] = own > cosine.max(axis=1, initial=-np.inf) + TIE
    return hits


def retrieval_accuracy(src: Array, tgt: Array) -> dict[str, float]:
    """Share of translations found, both directions. *Shape:* (N, D) each, row n translates row n."""
    forward, backward = retrieval_hits(src, tgt), retrieval_hits(tgt, src)
    return {"src_to_tgt": float(forward.mean()), "tgt_to_src": float(backward.mean())}


def retrieval_ranks(queries: Array, candidates: Array, chunk: int = 4096) -> Array:
    """Rank of candidate n among all for query n, 1 being best. *Shape:* (N, D), (N, D) → (N,) int

    Candidates with a cosine less than `TIE` below the translation's stand before it, as in `retrieval_hits`.
    """
    left, right = unit(queries), unit(candidates)
    ranks = np.ones(len(left), dtype=np.int64)
    for start in range(0, len(left), chunk):
        cosine = left[start : start + chunk] @ right.T
        rows = np.arange(len(cosine))
        own = cosine[rows, start + rows].copy()
        cosine[rows, start + rows] = -np.inf
        ranks[start : start + chunk] += (cosine >= own[:, None] - TIE).sum(axis=1)
    return ranks
