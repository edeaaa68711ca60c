"""AWESOME's objectives for word alignment (Dou & Neubig 2021, arXiv 2101.08231, section 2.2), over B pairs at once.

The model learns from its own links: what both directions hold likely is made likelier. Everything is a pure function
of tensors; nothing waits for the host and nothing loops over pairs.

*Shapes:* B sentence pairs, I and J places of the source and target side, padded, D dims.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor


def link_probabilities(
    src: Tensor, tgt: Tensor, src_mask: Tensor, tgt_mask: Tensor, temperature: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Softmax of the dot products over the target side and over the source side (section 2.1, S_xy and S_yx).

    Args:
        src, tgt: vectors. *Shape:* (B, I, D), (B, J, D)
        src_mask, tgt_mask: which places are real. *Shape:* (B, I), (B, J)
        temperature: divides the dot products; published: 1.

    Returns:
        S_xy, of which a row sums to one, and S_yx, of which a column does; both (B, I, J), in the orientation of the
        source side, and zero wherever a place is not real.
    """
    dots = torch.bmm(src, tgt.transpose(1, 2))
    dots = (dots if dots.dtype == torch.float64 else dots.float()) / temperature
    lowest = torch.finfo(dots.dtype).min  # -inf would give NaN where a side is empty
    both = src_mask[:, :, None] & tgt_mask[:, None, :]
    forward = dots.masked_fill(~tgt_mask[:, None, :], lowest).softmax(2)
    backward = dots.masked_fill(~src_mask[:, :, None], lowest).softmax(1)
    return forward * both, backward * both


def self_labels(
    forward: Tensor,
    backward: Tensor,
    threshold: float = 1e-3,
    src_words: Tensor | None = None,
    tgt_words: Tensor | None = None,
) -> Tensor:
    """A, the model's own links: both probabilities exceed a threshold (section 2.1, eq. of the intersection).

    With words given, two subwords are linked when any subwords of their words are, as the authors' program does.

    Args:
        forward, backward: of `link_probabilities`. *Shape:* (B, I, J)
        src_words, tgt_words: the word of each place, negative for none. *Shape:* (B, I), (B, J)

    Returns:
        Without a gradient, zeros and ones. *Shape:* (B, I, J)
    """
    links = ((forward > threshold) & (backward > threshold)).to(forward.dtype)
    if src_words is not None and tgt_words is not None:
        links = torch.bmm(torch.bmm(_same_word(src_words, links.dtype), links), _same_word(tgt_words, links.dtype))
        links = (links > 0).to(forward.dtype)
    return links.detach()


def _same_word(words: Tensor, dtype: torch.dtype) -> Tensor:
    """1 where two places belong to one word. *Shape:* (B, T) → (B, T, T)"""
    return ((words[:, :, None] == words[:, None, :]) & (words >= 0)[:, :, None]).to(dtype)


def self_training(forward: Tensor, backward: Tensor, links: Tensor, src_mask: Tensor, tgt_mask: Tensor) -> Tensor:
    """SO: −Σ_ij A_ij · ½ (S_xy,ij / n + S_yx,ij / m), n and m the places of the two sides, mean over pairs.

    The sign makes a loss of what the paper maximises. The authors' program leaves out the ½, so that its objective
    weighs twice as much beside the others.

    Args:
        forward, backward: S_xy and S_yx. *Shape:* (B, I, J)
        links: A, of `self_labels`. *Shape:* (B, I, J)
        src_mask, tgt_mask: which places are real. *Shape:* (B, I), (B, J)

    Returns:
        A scalar between −1 and 0 where links are one to one.
    """
    n, m = _places(src_mask, forward), _places(tgt_mask, forward)
    return -0.5 * ((links * forward).sum((1, 2)) / n + (links * backward).sum((1, 2)) / m).mean()


def consistency(forward: Tensor, backward: Tensor, src_mask: Tensor, tgt_mask: Tensor) -> Tensor:
    """CO: −trace(S_xyᵀ S_yx) / min(m, n), mean over pairs: both directions should agree. A scalar from −1 to 0.

    Args: as of `self_training`.
    """
    n, m = _places(src_mask, forward), _places(tgt_mask, forward)
    return -((forward * backward).sum((1, 2)) / torch.minimum(n, m)).mean()


def _places(mask: Tensor, like: Tensor) -> Tensor:
    return mask.sum(1).clamp(min=1).to(like.dtype)


def parallel_identification(scores: Tensor, labels: Tensor) -> Tensor:
    """PSI: −[l·log σ(s) + (1 − l)·log(1 − σ(s))], mean: does the second sentence translate the first?

    Args:
        scores: s of each joined pair. *Shape:* (P,)
        labels: 1 for a translation, 0 for another sentence. *Shape:* (P,)
    """
    return F.binary_cross_entropy_with_logits(scores.float(), labels.float())


def alignment_loss(
    which: tuple[str, ...],
    src: Tensor,
    tgt: Tensor,
    src_mask: Tensor,
    tgt_mask: Tensor,
    links: Tensor,
    temperature: float = 1.0,
) -> Tensor:
    """Sum of the objectives named in ``which`` (of `LOSSES`) for vectors (B, I, D) and (B, J, D) and their links A."""
    forward, backward = link_probabilities(src, tgt, src_mask, tgt_mask, temperature)
    return torch.stack([LOSSES[name](forward, backward, links, src_mask, tgt_mask) for name in which]).sum()


LOSSES: Mapping[str, Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]] = {
    "so": self_training,
    "co": lambda forward, backward, links, src_mask, tgt_mask: consistency(forward, backward, src_mask, tgt_mask),
}
