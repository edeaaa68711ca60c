"""Contrastive objectives: the translation is told from other words or sentences. Vectors arrive projected.

*Shapes:* N_src, N_tgt words of the batch, N links, B sentence pairs, Q queued vectors, D dims.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xrealign.errors import ConfigError

NEGATIVES = ("strong", "weak")
CANDIDATES = ("all", "linked")
DIRECTIONS = ("both", "forward", "backward")
Negatives = Literal["strong", "weak"]
Direction = Literal["both", "forward", "backward"]
MAX_SCALE = 100.0


def word_contrastive(
    src_vectors: Tensor,
    tgt_vectors: Tensor,
    links: Tensor,
    temperature: float | Tensor = 0.1,
    negatives: Negatives = "strong",
    direction: Direction = "both",
    candidates: Literal["all", "linked"] = "all",
) -> Tensor:
    """Mean over all linked words, on both sides, of −log softmax(cosine / temperature) at their translation.

    Wu & Dredze (2020, arXiv 2010.02537, section 3) as used by Gaschi et al. (2023, arXiv 2306.02790). Candidates are
    all words of the batch: ``strong`` of both languages but the anchor itself, ``weak`` of the other language only.
    ``weak`` with both directions is 0.5·[CE(src→tgt) + CE(tgt→src)]; with ``candidates = "linked"``, where only
    words that take part in a link are candidates, each row of ``links`` its own, it is Wu & Dredze's form to the
    letter.

    Args:
        src_vectors: all source words of the batch. *Shape:* (N_src, D)
        tgt_vectors: all target words of the batch. *Shape:* (N_tgt, D)
        links: rows of ``src_vectors`` and ``tgt_vectors`` that translate each other, long. *Shape:* (N, 2)
        temperature: divides the cosines; a number or a scalar that learns (`Temperature`).
        direction: anchors are words of both sides, of the source (``forward``) or of the target (``backward``).

    Returns:
        A scalar; zero, with a gradient of zeros, when there are no links.

    Raises:
        ConfigError: ``negatives``, ``direction`` or ``candidates`` is none of those above.
    """
    _check("negatives", negatives, NEGATIVES)
    _check("direction", direction, DIRECTIONS)
    _check("candidates", candidates, CANDIDATES)
    if len(links) == 0:
        return nothing(src_vectors, tgt_vectors)
    with exact(src_vectors):
        src, tgt = unit(src_vectors), unit(tgt_vectors)
        i, j = links[:, 0], links[:, 1]
        if candidates == "linked":
            src, tgt = src.index_select(0, i), tgt.index_select(0, j)
            i = j = torch.arange(len(links), device=links.device)
        forward, backward = (src, i, 0, tgt, j, len(src)), (tgt, j, len(src), src, i, 0)
        sides = {"both": (forward, backward), "forward": (forward,), "backward": (backward,)}[direction]
        losses = []
        for own, anchor, own_start, other, goal, other_start in sides:
            # Divided before the product and masked in place: each pass over (N, candidates) costs as much as a block.
            anchors = own.index_select(0, anchor) / temperature
            if negatives == "weak":
                losses.append(F.cross_entropy(anchors @ other.T, goal))
            else:
                similarity = anchors @ torch.cat([src, tgt]).T
                itself = (anchor + own_start)[:, None]
                losses.append(F.cross_entropy(similarity.scatter_(1, itself, -torch.inf), goal + other_start))
        return torch.stack(losses).mean()


def sentence_contrastive(
    src_vectors: Tensor,
    tgt_vectors: Tensor,
    temperature: float | Tensor = 0.1,
    negatives: Negatives = "strong",
    direction: Direction = "both",
) -> Tensor:
    """NT-Xent over the 2B sentences of a batch: each one's translation against all others, itself left out.

    Chen et al. (2020, arXiv 2002.05709, eq. 1), with translations as the positive pairs as in Nguyen et al. (2025,
    arXiv 2511.06497). With ``negatives = "weak"``, the other language's sentences only, it is translation ranking
    (Feng et al. 2022, arXiv 2007.01852, eq. 1 and 2 without margin; Li et al. 2023, arXiv 2305.09148, eq. 5, which
    ranks ``forward`` only). The same loss on sentences and their romanisations is transliteration contrastive
    modelling (Liu et al. 2024, arXiv 2401.06620, eq. 2).

    Args:
        src_vectors: one vector a source sentence. *Shape:* (B, D)
        tgt_vectors: its translation's, in the same order. *Shape:* (B, D)

    Returns:
        A scalar, the mean over the anchors: 2B, or B in one direction.
    """
    rows = torch.arange(len(src_vectors), device=src_vectors.device)
    links = torch.stack([rows, rows], dim=1)
    return word_contrastive(src_vectors, tgt_vectors, links, temperature, negatives, direction)


def momentum_contrastive(
    queries: Tensor,
    keys: Tensor,
    queue: Tensor,
    filled: Tensor,
    temperature: float | Tensor = 0.25,
    normalise: bool = True,
) -> Tensor:
    """Mean of −log softmax at a sentence's own translation, against queued sentences: XLCO, InfoXLM's cross-lingual
    contrast (Chi et al. 2021, arXiv 2007.07834, eq. 8, after He et al. 2020, arXiv 1911.05722, eq. 1).

    Departure: vectors are normalised, as by He et al.; the authors' program compares them as they are
    (``normalise = False``), which makes the temperature depend on the encoder's width.

    Args:
        queries: sentences as the encoder sees them. *Shape:* (B, D)
        keys: their translations as its momentum copy sees them; no gradient flows into them. *Shape:* (B, D)
        queue: keys of earlier steps. *Shape:* (Q, D)
        filled: how many rows of ``queue`` count, a long scalar; zero when the queue is empty.
    """
    with exact(queries):
        # A copy of the queue, as new keys are written into it before the gradient is taken.
        three = (queries, keys.detach(), queue.detach().clone())
        left, right, past = (unit(vectors) if normalise else full_precision(vectors) for vectors in three)
        unused = torch.arange(len(past), device=past.device) >= filled
        negatives = (left @ past.T).masked_fill(unused, -torch.inf)
        logits = torch.cat([(left * right).sum(1, keepdim=True), negatives], dim=1) / temperature
        return F.cross_entropy(logits, torch.zeros(len(left), dtype=torch.long, device=left.device))


class Temperature(nn.Module):
    """A temperature that learns: its inverse's logarithm is the parameter, the inverse at most 100.

    CLIP (Radford et al. 2021, arXiv 2103.00020, section 2.5). The parameter itself is cut back when it is read, so
    that it can turn around at the limit.
    """

    def __init__(self, initial: float) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(-math.log(initial)))

    def forward(self) -> Tensor:
        """The temperature, a scalar."""
        with torch.no_grad():
            self.log_scale.clamp_(max=math.log(MAX_SCALE))
        return torch.exp(-self.log_scale)


def exact(vectors: Tensor) -> torch.autocast:
    """Where products are as precise as what is multiplied: without autocast, that would round them to 8 bits."""
    return torch.autocast(vectors.device.type, enabled=False)


def unit(vectors: Tensor) -> Tensor:
    """Vectors of length one in full precision."""
    return F.normalize(full_precision(vectors), dim=-1)


def full_precision(vectors: Tensor) -> Tensor:
    """float32 at least: softmax over thousands of candidates is no work for half precision."""
    return vectors if vectors.dtype == torch.float64 else vectors.float()


def nothing(*vectors: Tensor) -> Tensor:
    """Zero with a gradient of zeros, where a batch has nothing to compare."""
    return torch.stack([full_precision(v).sum() for v in vectors]).sum() * 0.0


def _check(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        expected = " or ".join(repr(k) for k in known) if len(known) == 2 else f"one of {', '.join(map(repr, known))}"
        raise ConfigError(f"{name} = {value!r} is unknown; expected {expected}")
