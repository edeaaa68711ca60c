"""The realignment step as the papers' programs do it, written anew as a yardstick. Not for use: it is slow on purpose.

Their algorithm (Gaschi et al. 2023, arXiv 2306.02790, and its descendants), step by step and no slower than it is:
sources and targets in two forward passes, each through all blocks with all states kept; words gathered by a Python
loop over the padded places of the batch, each word's ends read from a tensor of places, its subwords summed (here the
first alone, their default) and written into a result made for the batch; this once for the linked words, which are
found by their numbers, and again for all words; both projected as padded; the padding cut off sentence by sentence;
one matrix of similarities, divided by the norms and the temperature in place, 10⁶ taken from each anchor's own place;
log-softmax. The host reads two values from tensors for every word it gathers, and two more for a linked one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from xrealign.train.streams import PairBatch


@dataclass(frozen=True)
class Side:
    """Sentences of one language, all padded to the longest of the batch.

    Attributes:
        inputs: of the encoder. *Shape:* (B, T)
        words: first and last (exclusive) place of what stands for each word. *Shape:* (B, W, 2)
        counts: words of each sentence. *Shape:* (B,)
        linked: numbers of the words that are linked, in the order of the links. *Shape:* (B, N)
    """

    inputs: dict[str, Tensor]
    words: Tensor
    counts: Tensor
    linked: Tensor

    def to(self, device: torch.device) -> Side:
        """The sentences on ``device``."""
        inputs = {name: value.to(device) for name, value in self.inputs.items()}
        return Side(inputs, self.words.to(device), self.counts.to(device), self.linked.to(device))


@dataclass(frozen=True)
class PublishedBatch:
    """A batch of pairs as two sides, and the number of links of each pair, (B,)."""

    src: Side
    tgt: Side
    links: Tensor

    def to(self, device: torch.device) -> PublishedBatch:
        """The batch on ``device``."""
        return PublishedBatch(self.src.to(device), self.tgt.to(device), self.links.to(device))


def published_batch(batch: PairBatch) -> PublishedBatch:
    """The same sentences, words (by their first subwords) and links as a batch of ours."""
    texts, pairs = batch.texts, batch.pairs
    width = texts.inputs["input_ids"].shape[1]
    ends = (batch.links[:, 0], batch.links[:, 1] + batch.src_words)
    pair_of = texts.sentence[ends[0]]
    numbers = [int((pair_of == pair).sum()) for pair in range(pairs)]
    sides = []
    for first, rows in zip((0, pairs), ends, strict=True):
        mask = texts.inputs["attention_mask"][first : first + pairs]
        longest = int(mask.sum(1).max())
        inputs = {name: value[first : first + pairs, :longest] for name, value in texts.inputs.items()}
        counts = [int((texts.sentence == first + pair).sum()) for pair in range(pairs)]
        words = torch.zeros(pairs, max(counts), 2, dtype=torch.long)
        linked = torch.zeros(pairs, max(numbers), dtype=torch.long)
        for pair in range(pairs):
            mine = torch.nonzero(texts.sentence == first + pair)[:, 0]
            starts = texts.firsts[mine] % width
            words[pair, : len(mine)] = torch.stack([starts, starts + 1], dim=1)
            linked[pair, : numbers[pair]] = rows[pair_of == pair] - (int(mine[0]) if len(mine) else 0)
        sides.append(Side(inputs, words, torch.tensor(counts), linked))
    return PublishedBatch(sides[0], sides[1], torch.tensor(numbers))


def gather_words(states: Tensor, words: Tensor, chosen: Tensor | None = None) -> Tensor:
    """Σ of the states at each word's places, word by word; padded places give zeros.

    *Shape:* (B, T, D), (B, W, 2) → (B, W, D), or, of the words whose numbers are ``chosen``, (B, N) → (B, N, D)
    """
    sentences, width = words.shape[:2] if chosen is None else chosen.shape
    gathered = torch.zeros(sentences, width, states.shape[2], device=states.device, dtype=states.dtype)
    for sentence in range(sentences):
        for place in range(width):
            word = place if chosen is None else chosen[sentence, place]
            start, end = words[sentence, word][0], words[sentence, word][1]
            gathered[sentence, place] = states[sentence, start:end].sum(0)
    return gathered


def in_a_row(padded: Tensor, counts: Tensor) -> Tensor:
    """What is not padding, of all sentences one after the other. *Shape:* (B, W, …), (B,) → (ΣW, …)"""
    return torch.cat([padded[sentence][: counts[sentence]] for sentence in range(len(padded))])


def published_loss(model: nn.ModuleDict, batch: PublishedBatch, layer: int, temperature: float = 0.1) -> Tensor:
    """The word objective, strong negatives, both directions. ``model`` holds ``encoder`` and ``projection``."""
    sides = (batch.src, batch.tgt)
    states = [model["encoder"](**side.inputs, output_hidden_states=True).hidden_states[layer] for side in sides]
    anchors, candidates, places = [], [], []
    for state, side in zip(states, sides, strict=True):
        anchors.append(in_a_row(model["projection"](gather_words(state, side.words, side.linked)), batch.links))
    for state, side in zip(states, sides, strict=True):
        candidates.append(in_a_row(model["projection"](gather_words(state, side.words)), side.counts))
    for side, first in zip(sides, (0, len(candidates[0])), strict=True):
        starts = torch.cumsum(side.counts, 0) - side.counts + first
        places.append(in_a_row(starts[:, None] + side.linked, batch.links))
    left, right = torch.cat(anchors), torch.cat(candidates)
    similarity = left @ right.T
    similarity /= left.norm(dim=1, keepdim=True)
    similarity /= right.norm(dim=1, keepdim=True).T
    similarity /= temperature
    similarity[torch.arange(len(left), device=left.device), torch.cat(places)] -= 1e6
    return nn.functional.nll_loss(nn.functional.log_softmax(similarity, dim=-1), torch.cat(places[::-1]))
