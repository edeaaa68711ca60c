"""Do translations find each other? Weak and strong retrieval by cosine or CSLS, and one pool of all languages."""

from __future__ import annotations

from typing import Any

import numpy as np

from xrealign.errors import DataError
from xrealign.measure.nearest import NEIGHBOURS, ROWS, best_same, best_wrong, neighbour_means, own_neighbour_means
from xrealign.measure.retrieval import TIE, unit

Array = np.ndarray[Any, Any]
Hits = tuple[Array, Array]


def translation_hits(
    src: Array, tgt: Array, strong: bool = False, csls: bool = False, k: int = NEIGHBOURS
) -> tuple[Array, Array]:
    """Which translations are found, from the source and from the target. *Shape:* (N, D), (N, D) → (N,), (N,) bool

    Gaschi et al. (2023, arXiv 2306.02790, section 3): *weak*: among the vectors of the other language the translation
    is the nearest. *strong*: among those of both languages but the anchor itself, so that it must beat all of the
    anchor's own language too.

    With CSLS (Conneau et al. 2018, arXiv 1710.04087, eq. 3) a candidate's score is 2·cosine − r, where r is its mean
    cosine to its k nearest of the anchors' language; the anchor's own r does not change the order. A candidate of the
    anchors' own language is not its own neighbour.

    Row n translates row n. Ties (cosines less than `xrealign.measure.retrieval.TIE` apart) are misses.

    Raises:
        DataError: the two sides differ in number, or there are none.
    """
    return all_hits(src, tgt, k, (strong,), (csls,))[strong, csls]


def all_hits(
    src: Array,
    tgt: Array,
    k: int = NEIGHBOURS,
    strengths: tuple[bool, ...] = (False, True),
    kinds: tuple[bool, ...] = (False, True),
) -> dict[tuple[bool, bool], Hits]:
    """`translation_hits` by (strong, csls), each product between the vectors computed as rarely as can be."""
    if len(src) != len(tgt) or not len(src):
        raise DataError(f"{len(src)} and {len(tgt)} vectors; expected the same number on both sides, at least one")
    sides = unit(src), unit(tgt)
    own = np.einsum("nd,nd->n", *sides, dtype=np.float64)
    found = {}
    for csls in kinds:
        # A source anchor's candidates: targets, whose neighbours are sources, and other sources.
        across = neighbour_means(*sides, k) if csls else (None, None)
        weak = best_wrong(*sides, *across)
        inside = [
            best_same(side, own_neighbour_means(side, k) if csls else None) if True in strengths else None
            for side in sides
        ]
        for strong in strengths:
            hits = []
            for wrong, same, penalty in zip(weak, inside, reversed(across), strict=True):
                score = own if penalty is None else 2 * own - penalty
                rival = wrong if same is None or not strong else np.maximum(wrong, same)
                hits.append(score > rival + (2 * TIE if csls else TIE))
            found[strong, csls] = (hits[0], hits[1])
    return found


def pool_precisions(vectors: Array, concepts: Array) -> Array:
    """Average precision of each vector as a query, in one pool of all vectors but itself. *Shape:* (N, D), (N,) → (N,)

    The right answers are the other vectors of the same concept: a sentence's translations into all languages. Their
    mean is the mAP of LAReQA (Roy et al. 2020, arXiv 2004.05484): high only where translations stand before wrong
    sentences of the query's own language. Wrong answers that tie with a right one stand before it.

    Raises:
        DataError: a concept has but one vector.
    """
    _, concept, sizes = np.unique(concepts, return_inverse=True, return_counts=True)
    if len(concepts) != len(vectors) or (sizes < 2).any():
        raise DataError("every concept of a pool needs at least two vectors")
    scaled = unit(vectors)
    precisions = np.zeros(len(vectors))
    for start in range(0, len(vectors), ROWS // 8):
        part = slice(start, start + ROWS // 8)
        cosine = scaled[part] @ scaled.T
        right = concept[part, None] == concept[None, :]
        cosine[np.arange(len(cosine)), np.arange(start, start + len(cosine))] = -np.inf
        for row in range(len(cosine)):
            answers = np.sort(cosine[row][right[row]])[:0:-1].astype(np.float64)  # best first, the query left out
            wrong = np.sort(cosine[row][~right[row]])
            before = len(wrong) - np.searchsorted(wrong, (answers - TIE).astype(wrong.dtype), side="left")
            order = np.arange(1, len(answers) + 1)
            precisions[start + row] = float(np.mean(order / (order + before)))
    return precisions
