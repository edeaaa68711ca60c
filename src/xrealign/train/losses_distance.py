"""Objectives that measure a distance: squared, drift from the initial weights, optimal transport, CKA. No projection.

None of them has negatives: vectors that are all the same would please squared distance and transport best, so they go
with a drift term or beside a contrastive objective.

*Shapes:* N links, B sentence pairs, I and J words of a side, padded, D dims.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from xrealign.align.transport import ITERATIONS, transport
from xrealign.train.losses_contrastive import exact, full_precision, nothing, unit

TINY = 1e-12


def squared_distance(src_vectors: Tensor, tgt_vectors: Tensor, links: Tensor) -> Tensor:
    """Mean squared difference between linked words, over links and dims.

    Cao et al. (2020, arXiv 2002.03518, section 2.2, "alignment"). Departure: a mean where they sum, over links and
    dims, so that the weight means the same in every batch and encoder.

    Args:
        src_vectors: all source words. *Shape:* (N_src, D)
        tgt_vectors: all target words. *Shape:* (N_tgt, D)
        links: rows that translate each other, long. *Shape:* (N, 2)

    Returns:
        A scalar; zero, with a gradient of zeros, without links.
    """
    if len(links) == 0:
        return nothing(src_vectors, tgt_vectors)
    return state_drift(src_vectors.index_select(0, links[:, 0]), tgt_vectors.index_select(0, links[:, 1]))


def state_drift(vectors: Tensor, initial: Tensor) -> Tensor:
    """Mean squared difference of vectors (N, D) from the same ones under other weights: the regulariser of Cao et al.
    (2020, section 2.2). Zero, with a gradient of zeros, when there are none."""
    if len(vectors) == 0:
        return nothing(vectors, initial)
    return (full_precision(vectors) - full_precision(initial)).square().mean()


def parameter_drift(parameters: Iterable[Tensor], initial: Iterable[Tensor]) -> Tensor:
    """sqrt(Σ‖θ − θ0‖²) over all parameters; where nothing has moved, zero with a gradient of zeros.

    Wu & Dredze (2020, arXiv 2010.02537, section 3, L_reg).
    """
    # Norms of norms: the gradient of vector_norm at zero is zero, that of a square root of a sum would be infinite.
    parts = [torch.linalg.vector_norm(full_precision(p) - q) for p, q in zip(parameters, initial, strict=True)]
    distance: Tensor = torch.linalg.vector_norm(torch.stack(parts))
    return distance


def transport_distance(
    src: Tensor, tgt: Tensor, src_mask: Tensor, tgt_mask: Tensor, epsilon: float = 0.05, iterations: int = ITERATIONS
) -> Tensor:
    """Mean over pairs of Σ P·C, what it costs to move the words of one sentence onto those of its translation.

    Optimal transport as an alignment objective (Alqahtani et al. 2021, arXiv 2110.02887, section 3), with C =
    1 − cosine, uniform masses and Sinkhorn's P (`xrealign.align.transport`). P is held fixed in the gradient, which
    by the envelope theorem makes it that of min_P Σ P·C + ε·KL(P | a bᵀ). Departures: cosine instead of Euclidean
    costs, and the entropic plan instead of the exact one.

    Args:
        src, tgt: word vectors, padded. *Shape:* (B, I, D), (B, J, D)
        src_mask, tgt_mask: which places are words. *Shape:* (B, I), (B, J)
        epsilon: weight of the entropy.

    Returns:
        A scalar between 0 and 2; a pair with an empty side counts as 0.
    """
    with exact(src):
        cost = 1 - torch.bmm(unit(src), unit(tgt).transpose(1, 2))
        both = src_mask[:, :, None] & tgt_mask[:, None, :]
        with torch.no_grad():
            plan = transport(cost, both, "balanced", epsilon, iterations=iterations)
        return (plan * cost.masked_fill(~both, 0.0)).sum((1, 2)).mean()


def cka_distance(left: Tensor, right: Tensor) -> Tensor:
    """1 − linear CKA of two sets of vectors, row n of one belonging to row n of the other. *Shape:* (N, D), (N, D)

    ‖YᵀX‖² / (‖XᵀX‖·‖YᵀY‖), Frobenius norms of columns with their means subtracted (Kornblith et al. 2019, arXiv
    1905.00414, section 3, eq. 3 with linear kernels). Blind to rotation and scale: it shapes how vectors lie among
    themselves, not where. One row, or rows that are all the same, give 1 with a gradient of zeros; none, 0.
    """
    if len(left) == 0:
        return nothing(left, right)
    with exact(left):
        x, y = (full_precision(v) - full_precision(v).mean(0) for v in (left, right))
        x, y = (v / torch.linalg.vector_norm(v).clamp(min=TINY) for v in (x, y))
        if len(x) < x.shape[1]:  # ‖YᵀX‖² is the inner product of the two Gram matrices, the smaller ones here
            x, y = x @ x.T, y @ y.T
            shared, own = (x * y).sum(), (x.square().sum(), y.square().sum())
        else:
            shared, own = (y.T @ x).square().sum(), ((x.T @ x).square().sum(), (y.T @ y).square().sum())
        distance: Tensor = 1 - shared / (own[0] * own[1]).clamp(min=TINY).sqrt()
        return distance
