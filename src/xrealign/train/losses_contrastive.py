"""Contrastive objectives: the translation is told from other words or sentences. Vectors arrive projected.

*Shapes:* N_src, N_tgt words of the batch, N links, B sentence pairs, Q queued vectors, D dims.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from xrealign.errors import ConfigError

NEGATIVES = ("strong", "weak")
CANDIDATES = ("all", "linked")
DIRECTIONS = ("both", "forward", "backward")
Negatives = Literal["strong", "weak"]
Direction = Literal["both", "forward", "backward"]
MAX_SCALE = 100.0
CHUNK = {False: 1 << 20, True: 1 << 26}  # products at a time: what a CPU's cache holds, and what a GPU can spare


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
        # Divided before the product: a pass over (N, candidates) costs as much as a block.
        forward, backward = src.index_select(0, i) / temperature, tgt.index_select(0, j) / temperature
        if negatives == "weak":
            sides = {"forward": (forward, tgt, j), "backward": (backward, src, i)}
            asked = sides.values() if direction == "both" else [sides[direction]]
            return torch.stack([matching_loss(*side) for side in asked]).mean()
        everything, j = torch.cat([src, tgt]), j + len(src)
        anchors = {"both": torch.cat([forward, backward]), "forward": forward, "backward": backward}[direction]
        goals = {"both": torch.cat([j, i]), "forward": j, "backward": i}[direction]
        itself = {"both": torch.cat([i, j]), "forward": i, "backward": j}[direction]
        return matching_loss(anchors, everything, goals, itself)


def matching_loss(anchors: Tensor, candidates: Tensor, goals: Tensor, itself: Tensor | None = None) -> Tensor:
    """Mean over the anchors of −log softmax(anchor · candidate) at its goal; ``itself`` is no candidate.

    Equal to the cross-entropy of the matrix of products, which is never there as a whole: some anchors at a time are
    compared with all candidates, and the gradient is taken at once, while their products are in the processor's cache.

    Args:
        anchors: *Shape:* (N, D)
        candidates: *Shape:* (C, D)
        goals: the candidate that is each anchor's translation. *Shape:* (N,)
        itself: the candidate that is the anchor. *Shape:* (N,)
    """
    loss: Tensor = _Matching.apply(anchors, candidates, goals, itself)  # type: ignore[no-untyped-call]
    return loss


class _Matching(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, anchors: Tensor, candidates: Tensor, goals: Tensor, itself: Tensor | None) -> Tensor:
        """Some rows at a time: with E = exp(products − their largest) and z = Σ E, the gradient at the anchors is
        E·C / z − C[goal], at the candidates Eᵀ·(A / z) minus the anchors at their goals; both over N."""
        learns = any(ctx.needs_input_grad[:2])
        count, size = len(anchors), CHUNK[anchors.is_cuda] // len(candidates) + 1
        right, at_candidates = candidates.index_select(0, goals), torch.zeros_like(candidates)
        losses, at_anchors = [], []
        for first in range(0, count, size):
            rows = slice(first, first + size)
            products = anchors[rows] @ candidates.T
            if itself is not None:
                products.scatter_(1, itself[rows, None], -torch.inf)
            products.sub_(products.amax(1, keepdim=True))
            found = products.gather(1, goals[rows, None])
            scores = products.exp_()
            total = scores.sum(1, keepdim=True)
            losses.append(total.log() - found)
            if learns:
                at_anchors.append((scores @ candidates).div_(total).sub_(right[rows]))
                at_candidates.addmm_(scores.T, anchors[rows] / total)
        if learns:
            at_candidates.index_add_(0, goals, anchors, alpha=-1)
            ctx.save_for_backward(torch.cat(at_anchors).div_(count), at_candidates.div_(count))
        return torch.cat(losses).mean()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        at_anchors, at_candidates = ctx.saved_tensors
        return at_anchors * gradient, at_candidates * gradient, None, None


def sentence_contrastive(
    src_vectors: Tensor,
    tgt_vectors: Tensor,
    temperature: float | Tensor = 0.1,
    negatives: Negatives = "strong",
    direction: Direction = "both",
    margin: float = 0.0,
) -> Tensor:
    """NT-Xent over the 2B sentences of a batch: each one's translation against all others, itself left out.

    Chen et al. (2020, arXiv 2002.05709, eq. 1), with translations as the positive pairs as in Nguyen et al. (2025,
    arXiv 2511.06497). With ``negatives = "weak"``, the other language's sentences only, it is translation ranking
    (Feng et al. 2022, arXiv 2007.01852, eq. 1 and 2, with ``margin``; Li et al. 2023, arXiv 2305.09148, eq. 5, which
    ranks ``forward`` only). The same loss on sentences and their romanisations is transliteration contrastive
    modelling (Liu et al. 2024, arXiv 2401.06620, eq. 2).

    Args:
        src_vectors: one vector a source sentence. *Shape:* (B, D)
        tgt_vectors: its translation's, in the same order. *Shape:* (B, D)
        margin: taken from the cosine of a sentence and its translation, which must then win by as much (Feng et al.
            2022, eq. 1 and 2).

    Returns:
        A scalar, the mean over the anchors: 2B, or B in one direction.
    """
    rows = torch.arange(len(src_vectors), device=src_vectors.device)
    if margin:
        return _with_margin(src_vectors, tgt_vectors, rows, temperature, negatives, direction, margin)
    links = torch.stack([rows, rows], dim=1)
    return word_contrastive(src_vectors, tgt_vectors, links, temperature, negatives, direction)


def _with_margin(
    src_vectors: Tensor,
    tgt_vectors: Tensor,
    rows: Tensor,
    temperature: float | Tensor,
    negatives: Negatives,
    direction: Direction,
    margin: float,
) -> Tensor:
    """`sentence_contrastive` with a margin. ``rows``: 0 … B − 1."""
    _check("negatives", negatives, NEGATIVES)
    _check("direction", direction, DIRECTIONS)
    with exact(src_vectors):
        src, tgt = unit(src_vectors), unit(tgt_vectors)
        losses = []
        for own, other, which in ((src, tgt, "forward"), (tgt, src, "backward")):
            if direction not in ("both", which):
                continue
            cosines = own @ other.T - margin * torch.eye(len(rows), dtype=own.dtype, device=own.device)
            if negatives == "strong":
                among = (own @ own.T).fill_diagonal_(-torch.inf)
                cosines = torch.cat([cosines, among], dim=1)
            losses.append(F.cross_entropy(cosines / temperature, rows))
        return torch.stack(losses).mean()


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
