"""The realignment step as the papers' programs do it, written anew as a yardstick. Not for use: it is slow on purpose.

What it shares with them (Gaschi et al. 2023, arXiv 2306.02790, and its descendants), as far as their algorithm goes:
sources and targets in two forward passes, each through all blocks with all states kept; words found by tensors of
places, one word after the other, their subwords summed (here the first alone) and written into a result that was
made for the batch; this once for the linked words, which are the anchors, and again for all words, which are the
candidates; an anchor's own place among the candidates masked out, anchor by anchor. The host reads two values from
tensors for every word it gathers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from xrealign.train.streams import PairBatch


@dataclass(frozen=True)
class Side:
    """Sentences of one language.

    Attributes:
        inputs: padded. *Shape:* (B, T)
        words: first and last (exclusive) place of what stands for each word. *Shape:* (B, W, 2)
        counts: words of each sentence. *Shape:* (B,)
        linked: places of the words that are linked, in the order of the links. *Shape:* (B, N, 2)
        anchors: which words those are. *Shape:* (B, N)
    """

    inputs: dict[str, Tensor]
    words: Tensor
    counts: Tensor
    linked: Tensor
    anchors: Tensor


@dataclass(frozen=True)
class PublishedBatch:
    """A batch of pairs as two sides, and the links of each pair, (B,)."""

    src: Side
    tgt: Side
    links: Tensor


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
        linked = torch.zeros(pairs, max(1, *numbers), 2, dtype=torch.long)
        anchors = torch.zeros(pairs, max(1, *numbers), dtype=torch.long)
        for pair in range(pairs):
            mine = torch.nonzero(texts.sentence == first + pair)[:, 0]
            starts = texts.firsts[mine] % width
            words[pair, : len(mine)] = torch.stack([starts, starts + 1], dim=1)
            chosen = rows[pair_of == pair] - (int(mine[0]) if len(mine) else 0)
            linked[pair, : len(chosen)] = words[pair, chosen]
            anchors[pair, : len(chosen)] = chosen
        sides.append(Side(inputs, words, torch.tensor(counts), linked, anchors))
    return PublishedBatch(sides[0], sides[1], torch.tensor(numbers))


def sum_places(states: Tensor, places: Tensor, counts: Tensor) -> Tensor:
    """Σ of the states at each word's places, word by word. *Shape:* (B, T, D), (B, W, 2), (B,) → (B, W, D)"""
    result = torch.zeros(*places.shape[:2], states.shape[-1], device=states.device)
    for sentence in range(len(states)):
        for word in range(int(counts[sentence])):
            start, end = places[sentence, word, 0], places[sentence, word, 1]
            result[sentence, word] = torch.sum(states[sentence, start:end], dim=0)
    return result


def in_a_row(vectors: Tensor, counts: Tensor) -> Tensor:
    """Words of all sentences one after the other. *Shape:* (B, W, D), (B,) → (ΣW, D)"""
    return torch.cat([vectors[sentence, : counts[sentence]] for sentence in range(len(vectors))])


def published_loss(model: nn.ModuleDict, batch: PublishedBatch, layer: int, temperature: float = 0.1) -> Tensor:
    """The word objective, strong negatives, both directions. ``model`` holds ``encoder`` and ``projection``."""
    anchors, candidates = [], []
    for side in (batch.src, batch.tgt):
        states = model["encoder"](**side.inputs, output_hidden_states=True).hidden_states[layer]
        for found, places, counts in ((anchors, side.linked, batch.links), (candidates, side.words, side.counts)):
            vectors = in_a_row(sum_places(states, places, counts), counts)
            found.append(nn.functional.normalize(model["projection"](vectors), dim=-1))
    everything = torch.cat(candidates)
    own: list[list[int]] = []
    for side, first in zip((batch.src, batch.tgt), (0, len(candidates[0])), strict=True):
        starts = torch.cumsum(side.counts, 0) - side.counts + first
        own.append([])
        for pair in range(len(side.counts)):
            for link in range(int(batch.links[pair])):
                own[-1].append(int(starts[pair] + side.anchors[pair, link]))
    losses = []
    for vectors, mine, goals in zip(anchors, own, reversed(own), strict=True):
        similarity = vectors @ everything.T / temperature
        others = torch.ones_like(similarity, dtype=torch.bool)
        for row, place in enumerate(mine):
            others[row, place] = False
        logits = similarity[others].reshape(len(mine), len(everything) - 1)
        targets = [goal - (goal > place) for goal, place in zip(goals, mine, strict=True)]
        losses.append(nn.functional.cross_entropy(logits, torch.tensor(targets, device=logits.device)))
    return torch.stack(losses).mean()
