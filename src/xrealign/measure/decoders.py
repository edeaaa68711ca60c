"""Measures made for decoder language models, as functions of states: MEXA and NeuronXA. Encoders have them too."""

from __future__ import annotations

from typing import Any

import numpy as np

from xrealign.errors import DataError
from xrealign.measure.measured import Measured, measured
from xrealign.measure.nearest import best_wrong
from xrealign.measure.retrieval import TIE, unit

Array = np.ndarray[Any, Any]


def mexa(src: Array, tgt: Array) -> Measured:
    """Share of pairs whose cosine is higher than any other of its row and of its column, both at once.

    MEXA (Kargaran et al. 2024, arXiv 2410.05873, section 3), of one layer; the paper then takes the mean or the
    maximum over layers, and vectors that weigh subwords by their place, 1 for the first, 2 for the second
    (`xrealign.model.layer_vectors`). Ties are misses. *Shape:* (N, D), (N, D)
    """
    left, right = unit(src), unit(tgt)
    own = np.einsum("nd,nd->n", left, right, dtype=np.float64)
    by_row, by_column = best_wrong(left, right)
    return measured(own > np.maximum(by_row, by_column) + TIE)


def neuron_alignment(src: Array, tgt: Array) -> Measured:
    """`mexa` on neurons in place of states: NeuronXA (Huang et al. 2025, arXiv 2507.14900).

    Departure: a neuron's state in a sentence is the share of the sentence's subwords at which its activation is above
    0, unweighted. *Shape:* (N, M), (N, M), shares 0 to 1
    """
    return mexa(src, tgt)


def neuron_overlap(src: Array, tgt: Array, threshold: Array | float = 0.5) -> dict[str, Measured]:
    """How many of the neurons at work in one sentence are at work in its translation too (Jaccard).

    ``translations``: |A_n ∩ B_n| / |A_n ∪ B_n|, mean over pairs; ``random``: A_n and B_m, m ≠ n, over all of them;
    ``margin``: their difference. A sentence's neurons at work fire at more than ``threshold`` of its subwords. Two
    sentences without any have an overlap of 0.

    Args:
        src, tgt: shares of subwords at which each neuron fires. *Shape:* (N, M), (N, M)
        threshold: one number, or one for each neuron and side stacked (2, M).

    Raises:
        DataError: fewer than two rows, or different numbers.
    """
    if len(src) != len(tgt) or len(src) < 2:
        raise DataError(f"{len(src)} and {len(tgt)} sentences; expected the same number on both sides, at least two")
    limits = np.broadcast_to(np.asarray(threshold, dtype=np.float64), (2, src.shape[1]))
    left, right = ((side > limit).astype(np.float32) for side, limit in zip((src, tgt), limits, strict=True))
    both = (left @ right.T).astype(np.float64)
    either = left.sum(axis=1)[:, None] + right.sum(axis=1)[None, :] - both
    overlap = np.divide(both, either, out=np.zeros_like(both), where=either > 0)
    own = np.diagonal(overlap).copy()
    others = len(own) - 1
    as_query, as_answer = (overlap.sum(axis=1) - own) / others, (overlap.sum(axis=0) - own) / others
    random = as_query + as_answer - as_query.mean()
    return {"translations": measured(own), "random": measured(random), "margin": measured(own - random)}
