"""Word links as mass moved between sentences: balanced, partial and unbalanced optimal transport.

Arase et al. 2023 (ACL, "Unbalanced Optimal Transport for Unbalanced Word Alignment"): every word has mass, moving it
costs as much as two words differ, links are where much is moved, and words whose mass stays where it is are null
alignments. Solved for a batch of pairs by Sinkhorn iterations in the log domain on the entropic problem

    min_P Σ P·C + ε·KL(P | a bᵀ)

- balanced: rows of P sum to a, columns to b (Cuturi 2013);
- partial: rows sum to at most a, columns to at most b, everything to m (Benamou et al. 2015, section 5: Dykstra's
  projections, which here are updates of one dual variable each);
- unbalanced: + τ·KL(P1 | a) + τ·KL(Pᵀ1 | b) (Chizat et al. 2018).

Departures from Arase et al.: masses are uniform, and the threshold is on the share of a word's mass (`share_moved`),
which does not depend on the lengths of the sentences.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Cells of the plan are then within 1 % of the mass of a word for ε = 0.05 and costs of 0 to 1.
ITERATIONS = 50


def masses(both: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Uniform masses of real places, summing to 1 on each side. *Shape:* (B, I, J) → (B, I), (B, J)"""
    rows, columns = both.any(2), both.any(1)
    a, b = (side.to(dtype) / side.sum(1, keepdim=True).clamp(min=1) for side in (rows, columns))
    return a, b


def transport(
    cost: Tensor,
    both: Tensor,
    kind: str,
    epsilon: float,
    mass: float = 1.0,
    penalty: float = 1.0,
    iterations: int = ITERATIONS,
) -> Tensor:
    """The plan P of each pair, 0 at padding. *Shape:* (B, I, J) → (B, I, J)

    Args:
        cost: C, any numbers where ``both`` is true.
        kind: ``balanced``, ``partial`` or ``unbalanced``.
        epsilon: weight of the entropy; small ones take more iterations.
        mass: m, of partial.
        penalty: τ, of unbalanced.
    """
    a, b = masses(both, cost.dtype)
    rows, columns = a > 0, b > 0
    log_a, log_b = torch.where(rows, a, 1.0).log(), torch.where(columns, b, 1.0).log()
    kernel = (log_a[:, :, None] + log_b[:, None, :] - cost / epsilon).masked_fill(~both, -torch.inf)
    f, g = torch.zeros_like(a), torch.zeros_like(b)
    h = torch.zeros_like(a[:, :1])
    some = both.any(2).any(1)[:, None]
    soft = penalty / (penalty + epsilon) if kind == "unbalanced" else 1.0
    for _ in range(iterations):
        f = log_a - _log_sum(kernel + g[:, None, :], 2, rows) - h
        f = _dual(f, soft, kind, rows)
        g = log_b - _log_sum(kernel + f[:, :, None], 1, columns) - h
        g = _dual(g, soft, kind, columns)
        if kind == "partial":
            total = torch.logsumexp((kernel + f[:, :, None] + g[:, None, :]).flatten(1), 1, keepdim=True)
            h = torch.where(some, torch.log(total.new_tensor(mass)) - torch.where(some, total, 0.0), 0.0)
    return (kernel + f[:, :, None] + g[:, None, :] + h[:, :, None]).exp()


def _log_sum(values: Tensor, dim: int, real: Tensor) -> Tensor:
    return torch.where(real, torch.logsumexp(values, dim), 0.0)


def _dual(potential: Tensor, soft: float, kind: str, real: Tensor) -> Tensor:
    """What the update leaves of a potential: an inequality never pushes mass up, a penalty gives way."""
    potential = potential.clamp(max=0) if kind == "partial" else potential * soft
    return potential.masked_fill(~real, 0.0)


def relative_cost(cosine: Tensor, both: Tensor) -> Tensor:
    """Costs from cosines, 0 for the most and 1 for the least similar words of each pair: so ε and τ mean the same for
    every encoder and layer. 0 at padding and where all are equally similar. *Shape:* (B, I, J)"""
    least = cosine.masked_fill(~both, torch.inf).flatten(1).amin(1)[:, None, None]
    most = cosine.masked_fill(~both, -torch.inf).flatten(1).amax(1)[:, None, None]
    return torch.where(both & (most > least), (most - cosine) / (most - least), 0.0)


def share_moved(plan: Tensor, both: Tensor) -> Tensor:
    """P_ij / min(a_i, b_j): how much of the lighter word's mass goes between i and j; 1 is all. *Shape:* (B, I, J)"""
    a, b = masses(both, plan.dtype)
    lighter = torch.minimum(a[:, :, None], b[:, None, :])
    return torch.where(both, plan / torch.where(both, lighter, 1.0), 0.0)


def null_shares(plan: Tensor, both: Tensor) -> tuple[Tensor, Tensor]:
    """Share of each word's mass that stays where it is, 0 to 1; 0 at padding. *Shape:* (B, I), (B, J)

    Entropy and penalties can move a little more than there is, which counts as nothing left.
    """
    a, b = masses(both, plan.dtype)
    left = []
    for mass, moved in ((a, plan.sum(2)), (b, plan.sum(1))):
        real = mass > 0
        left.append(torch.where(real, 1 - moved / torch.where(real, mass, 1.0), 0.0).clamp(min=0))
    return left[0], left[1]
