"""Links out of similarities between the words (or subwords) of two sentences, a batch of pairs at a time.

Every aligner takes similarities (B, I, J) and the mask of real places, and returns scores on the host, (B, I, J) with
−inf where there is no link: links and scores come from the device together, in one copy. Of equal similarities the
first word wins.

*Shapes:* B pairs, I and J places of the source and target side, padded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xrealign.align.transport import relative_cost, share_moved, transport
from xrealign.errors import ConfigError, did_you_mean
from xrealign.model.precision import PRECISIONS
from xrealign.model.words import WORD_POOLINGS

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class AlignSettings:
    """How links are made from an encoder. Each aligner reads what concerns it.

    Attributes:
        aligner: one of `ALIGNERS`.
        layer: of the encoder; blocks above it are not run.
        level: ``word`` (a vector for each word) or ``subword`` (words are linked when any of their subwords are; the
            score is the best of those).
        pooling: how a word's vector comes from its subwords: mean, first or sum.
        centre: subtract the language's mean vector first.
        distortion: κ; similarities are multiplied by 1 − κ·(i/(I−1) − j/(J−1))² (Jalili Sabet et al. 2020, section
            3.4). 0 switches it off.
        threshold: of softmax (both probabilities) and of transport (share of mass); None is the aligner's own.
        temperature: divides the dot products before softmax.
        rounds, discount: of itermax: how often, and α.
        epsilon, mass, penalty: of transport, see `xrealign.align.transport`.
        max_length: longest sentence in subwords; words beyond it are not linked.
        subwords_per_batch: batch size.
        precision: of the encoder's linear layers: fp32, or bf16 where the hardware has it (twice as fast, about one
            link in 300 differs).
        romanised, romanised_floor: weight and floor of `xrealign.align.romanised.romanised_boost`; 0 switches it off.
    """

    aligner: str = "argmax"
    layer: int = 8
    level: str = "word"
    pooling: str = "mean"
    centre: bool = False
    distortion: float = 0.0
    threshold: float | None = None
    temperature: float = 1.0
    rounds: int = 2
    discount: float = 0.9
    epsilon: float = 0.05
    mass: float = 0.8
    penalty: float = 0.5
    max_length: int = 128
    subwords_per_batch: int = 1024
    precision: str = "fp32"
    romanised: float = 0.0
    romanised_floor: float = 0.3

    def __post_init__(self) -> None:
        """Raises: ConfigError: a value is impossible; all of them are named."""
        wrong = [
            f"{name} = {getattr(self, name)!r} is impossible; expected {expected}"
            for name, expected, fits in (
                ("level", "word or subword", self.level in ("word", "subword")),
                ("pooling", "mean, first or sum", self.pooling in WORD_POOLINGS),
                ("distortion", "0 to 1", 0 <= self.distortion <= 1),
                ("threshold", "0 to 1", self.threshold is None or 0 <= self.threshold <= 1),
                ("temperature", "more than 0", self.temperature > 0),
                ("rounds", "1 or more", self.rounds >= 1),
                ("discount", "0 to 1", 0 <= self.discount <= 1),
                ("epsilon", "more than 0", self.epsilon > 0),
                ("mass", "more than 0, at most 1", 0 < self.mass <= 1),
                ("penalty", "more than 0", self.penalty > 0),
                ("max_length", "3 or more", self.max_length >= 3),
                ("precision", "fp32 or bf16", self.precision in PRECISIONS),
                ("romanised", "0 or more", self.romanised >= 0),
                ("romanised_floor", "0 to 1", 0 <= self.romanised_floor <= 1),
            )
            if not fits
        ]
        if self.aligner not in ALIGNERS:
            known = ", ".join(ALIGNERS)
            wrong.append(f"aligner {self.aligner!r} is unknown; expected {known}{did_you_mean(self.aligner, ALIGNERS)}")
        if wrong:
            raise ConfigError(wrong)


@dataclass(frozen=True, slots=True)
class Aligner:
    """``links`` as described above; ``similarity`` is what it reads: ``cosine`` or ``dot``."""

    links: Callable[[Tensor, Tensor, AlignSettings], Array]
    similarity: str = "cosine"


def first_argmax(values: Tensor, dim: int) -> Tensor:
    """argmax that takes the first of equal values on every device; torch promises none in particular."""
    return (
        (values == values.amax(dim, keepdim=True)).to(torch.int8).argmax(dim) if values.shape[dim] else values.sum(dim)
    )


def mutual(similarity: Tensor, both: Tensor) -> Tensor:
    """Bool (B, I, J): i and j are each other's most similar ("inter", Jalili Sabet et al. 2020)."""
    masked = similarity.masked_fill(~both, -torch.inf)
    columns = torch.arange(masked.shape[2], device=masked.device)
    rows = torch.arange(masked.shape[1], device=masked.device)
    links = (first_argmax(masked, 2)[:, :, None] == columns) & (first_argmax(masked, 1)[:, None, :] == rows[:, None])
    return links & both


def argmax(similarity: Tensor, both: Tensor, settings: AlignSettings) -> Array:
    """Mutual argmax; the score is the cosine."""
    return _scored(mutual(_bent(similarity, both, settings), both), similarity)


def itermax(similarity: Tensor, both: Tensor, settings: AlignSettings) -> Array:
    """Mutual argmax, then again for words without a link (Jalili Sabet et al. 2020, section 3.2); score: cosine.

    From the second round on, similarities of two linked words count nothing, those of a linked and an unlinked word
    α times. Similarities are (1 + cosine) / 2. As in the authors' program, and unlike the paper, pairs of which a
    sentence has at most two words, or of which all words of a side are linked, get no further round.
    """
    likeness = _bent((1 + similarity) / 2, both, settings)
    links = mutual(likeness, both)
    rows, columns = both.any(2), both.any(1)
    short = torch.minimum(rows.sum(1), columns.sum(1)) <= 2
    for _ in range(settings.rounds - 1):
        row_free, column_free = rows & ~links.any(2), columns & ~links.any(1)
        over = short | ~row_free.any(1) | ~column_free.any(1)
        either = (row_free[:, :, None] | column_free[:, None, :]) & both
        weight = torch.where(row_free[:, :, None] & column_free[:, None, :], 1.0, settings.discount)
        again = mutual(likeness * torch.where(either, weight, 0.0), both)
        links = links | (again & either & ~over[:, None, None])
    return _scored(links, similarity)


def softmax(similarity: Tensor, both: Tensor, settings: AlignSettings) -> Array:
    """Links of which the softmax over each side exceeds a threshold, 0.001 unless told (Dou & Neubig 2021, arXiv
    2101.08231, section 2.1: dot products). The score is the harmonic mean of the two probabilities.

    A distortion penalty multiplies the unnormalised probabilities.
    """
    threshold = 1e-3 if settings.threshold is None else settings.threshold
    logits = (similarity / settings.temperature).masked_fill(~both, -torch.inf)
    if settings.distortion:
        logits = logits + torch.log(_distortion(both, settings.distortion, logits.dtype))
    forward, backward = logits.softmax(2), logits.softmax(1)
    links = (forward > threshold) & (backward > threshold) & both
    return _scored(links, 2 * forward * backward / (forward + backward))


def matching(similarity: Tensor, both: Tensor, settings: AlignSettings) -> Array:
    """Maximum-weight matching of the complete bipartite graph, exact; weights (1 + cosine) / 2, score cosine.

    As weights are not negative, every word of the shorter side gets a link ("mwmf", Jalili Sabet et al. 2020).
    """
    return _one_by_one(similarity, both, settings, _match)


def edge_cover(similarity: Tensor, both: Tensor, settings: AlignSettings) -> Array:
    """Edge cover of least weight, exact: every word of both sides gets a link; weights (1 − cosine) / 2.

    By reduction to matching (Schrijver 2003, Combinatorial Optimization, section 19.3): matched are the edges that
    cost less than the cheapest edges of their two words together; every other word takes its cheapest edge.
    """
    return _one_by_one(similarity, both, settings, _cover)


def _match(likeness: Array) -> Array:
    from scipy.optimize import linear_sum_assignment

    return np.stack(linear_sum_assignment(likeness, maximize=True), axis=1)


def _cover(likeness: Array) -> Array:
    from scipy.optimize import linear_sum_assignment

    cost = 1 - likeness
    gain = cost.min(1)[:, None] + cost.min(0) - cost
    rows, columns = linear_sum_assignment(np.maximum(gain, 0), maximize=True)
    gains = gain[rows, columns] > 0
    rows, columns = rows[gains], columns[gains]
    alone = np.setdiff1d(np.arange(cost.shape[0]), rows)
    others = np.setdiff1d(np.arange(cost.shape[1]), columns)
    edges = [np.stack([rows, columns], 1), np.stack([alone, cost.argmin(1)[alone]], 1),
             np.stack([cost.argmin(0)[others], others], 1)]  # fmt: skip
    return np.concatenate(edges)


def _one_by_one(similarity: Tensor, both: Tensor, settings: AlignSettings, edges: Callable[[Array], Array]) -> Array:
    """Combinatorial aligners: one copy to the host, then pair by pair."""
    likeness = _bent((1 + similarity) / 2, both, settings)
    cosine, likeness = torch.stack([similarity, likeness.masked_fill(~both, -torch.inf)]).cpu().double().numpy()
    scores = np.full(cosine.shape, -np.inf)
    for b, matrix in enumerate(likeness):
        real = np.isfinite(matrix)
        rows, columns = np.flatnonzero(real.any(1)), np.flatnonzero(real.any(0))
        if len(rows) and len(columns):
            i, j = edges(matrix[np.ix_(rows, columns)]).T
            scores[b, rows[i], columns[j]] = cosine[b, rows[i], columns[j]]
    return scores


def _transported(kind: str) -> Callable[[Tensor, Tensor, AlignSettings], Array]:
    """Optimal transport of one kind: links where the share of mass moved exceeds a threshold, 0.3 unless told. The
    score is that share; words without links are the null alignments."""

    def links(similarity: Tensor, both: Tensor, settings: AlignSettings) -> Array:
        threshold = 0.3 if settings.threshold is None else settings.threshold
        cost = relative_cost(_bent((1 + similarity) / 2, both, settings), both)
        plan = transport(cost, both, kind, settings.epsilon, settings.mass, settings.penalty)
        share = share_moved(plan, both)
        return _scored(share > threshold, share)

    return links


def _bent(similarity: Tensor, both: Tensor, settings: AlignSettings) -> Tensor:
    if not settings.distortion:
        return similarity
    return similarity * _distortion(both, settings.distortion, similarity.dtype)


def _distortion(both: Tensor, ratio: float, dtype: torch.dtype) -> Tensor:
    """1 − κ·(i/(I−1) − j/(J−1))², and 1 where a sentence has a single word."""
    place = []
    for side in (both.any(2), both.any(1)):
        index = torch.arange(side.shape[1], device=both.device)
        last = (side * index).amax(1, keepdim=True)
        place.append((index / last.clamp(min=1)).to(dtype).masked_fill(last == 0, torch.nan))
    apart = torch.nan_to_num(place[0][:, :, None] - place[1][:, None, :], nan=0.0)
    return (1 - ratio * apart**2).clamp(min=0)


def _scored(links: Tensor, scores: Tensor) -> Array:
    array: Array = scores.masked_fill(~links, -torch.inf).cpu().numpy()
    return array


ALIGNERS: Mapping[str, Aligner] = {
    "argmax": Aligner(argmax),
    "itermax": Aligner(itermax),
    "softmax": Aligner(softmax, "dot"),
    "matching": Aligner(matching),
    "edge-cover": Aligner(edge_cover),
    "balanced-ot": Aligner(_transported("balanced")),
    "partial-ot": Aligner(_transported("partial")),
    "unbalanced-ot": Aligner(_transported("unbalanced")),
}
