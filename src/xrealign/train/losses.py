"""Realignment objectives as pure functions of tensors. Vectors arrive projected; a scalar comes out.

*Shapes:* N_src, N_tgt words of the batch, N links, B sentence pairs, D dims.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from xrealign.errors import ConfigError


def word_contrastive(
    src_vectors: Tensor,
    tgt_vectors: Tensor,
    links: Tensor,
    temperature: float = 0.1,
    negatives: Literal["strong", "weak"] = "strong",
) -> Tensor:
    """Mean over all linked words, on both sides, of −log softmax(cosine / temperature) at their translation.

    Wu & Dredze (2020, arXiv 2010.02537) as used by Gaschi et al. (2023, arXiv 2306.02790). Candidates are all
    words of the batch: ``strong`` of both languages but the anchor itself, ``weak`` of the other language only.

    Args:
        src_vectors: all source words of the batch. *Shape:* (N_src, D)
        tgt_vectors: all target words of the batch. *Shape:* (N_tgt, D)
        links: rows of ``src_vectors`` and ``tgt_vectors`` that translate each other, long. *Shape:* (N, 2)
        temperature: divides the cosines.

    Returns:
        A scalar; zero, with a gradient of zeros, when there are no links.

    Raises:
        ConfigError: ``negatives`` is neither of the two.
    """
    if negatives not in ("strong", "weak"):
        raise ConfigError(f"negatives = {negatives!r} is unknown; expected 'strong' or 'weak'")
    if len(links) == 0:
        return (src_vectors.sum() + tgt_vectors.sum()) * 0.0
    src = F.normalize(_full_precision(src_vectors), dim=-1)
    tgt = F.normalize(_full_precision(tgt_vectors), dim=-1)
    i, j = links[:, 0], links[:, 1]
    forward = src.index_select(0, i)
    backward = tgt.index_select(0, j)
    if negatives == "weak":
        return 0.5 * (
            F.cross_entropy(forward @ tgt.T / temperature, j) + F.cross_entropy(backward @ src.T / temperature, i)
        )
    anchors = torch.cat([forward, backward])
    own = torch.cat([i, j + len(src)])
    goal = torch.cat([j + len(src), i])
    similarity = anchors @ torch.cat([src, tgt]).T / temperature
    return F.cross_entropy(similarity.scatter(1, own[:, None], -torch.inf), goal)


def sentence_contrastive(src_vectors: Tensor, tgt_vectors: Tensor, temperature: float = 0.1) -> Tensor:
    """NT-Xent over the 2B sentences of a batch: each one's translation against all others, itself left out.

    Chen et al. (2020, arXiv 2002.05709, eq. 1), with translations as the positive pairs as in Nguyen et al. (2025,
    arXiv 2511.06497).

    Args:
        src_vectors: one vector a source sentence. *Shape:* (B, D)
        tgt_vectors: its translation's, in the same order. *Shape:* (B, D)

    Returns:
        A scalar, the mean over 2B anchors.
    """
    rows = torch.arange(len(src_vectors), device=src_vectors.device)
    return word_contrastive(src_vectors, tgt_vectors, torch.stack([rows, rows], dim=1), temperature, "strong")


def _full_precision(vectors: Tensor) -> Tensor:
    """float32 at least: softmax over thousands of candidates is no work for half precision."""
    return vectors if vectors.dtype == torch.float64 else vectors.float()


LOSSES: dict[str, Callable[..., Tensor]] = {"word": word_contrastive, "sentence": sentence_contrastive}
