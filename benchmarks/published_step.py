"""The realignment step as the papers' programs do it, written anew as a yardstick. Not for use: it is slow on purpose.

What it shares with them (Gaschi et al. 2023, arXiv 2306.02790, and its descendants), as far as their algorithm goes:
sources and targets in two forward passes, each through all blocks with all states kept; the place of every word found
by a boolean mask over its sentence, one word after the other, its first subword taken; links looked up one by one;
the candidates of every anchor picked by a boolean mask, all words of the batch but itself. The host reads values of
tensors for every word and every link.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from xrealign.train.streams import PairBatch


@dataclass(frozen=True)
class Side:
    """Sentences of one language: padded inputs, the word of each subword (-1: none), words a sentence."""

    inputs: dict[str, Tensor]
    words: Tensor
    counts: Tensor


@dataclass(frozen=True)
class PublishedBatch:
    """A batch of pairs as two sides, and for each pair the words that are linked, (N, 2)."""

    src: Side
    tgt: Side
    links: list[Tensor]


def published_batch(batch: PairBatch) -> PublishedBatch:
    """The same sentences, words and links as a batch of ours."""
    texts, pairs = batch.texts, batch.pairs
    width = texts.inputs["input_ids"].shape[1]
    words = torch.full((2 * pairs * width,), -1)
    words[texts.positions] = texts.word[texts.segments]
    words = words.reshape(2 * pairs, width)
    sides = []
    for rows in (slice(0, pairs), slice(pairs, 2 * pairs)):
        longest = int(texts.inputs["attention_mask"][rows].sum(1).max())
        inputs = {name: value[rows, :longest] for name, value in texts.inputs.items()}
        sides.append(Side(inputs, words[rows, :longest], words[rows].max(1).values + 1))
    sentence, word = texts.sentence, texts.word
    src, tgt = batch.links[:, 0], batch.links[:, 1] + batch.src_words
    links = [
        torch.stack([word[src[sentence[src] == pair]], word[tgt[sentence[src] == pair]]], dim=1)
        for pair in range(pairs)
    ]
    return PublishedBatch(sides[0], sides[1], links)


def published_loss(model: nn.ModuleDict, batch: PublishedBatch, layer: int, temperature: float = 0.1) -> Tensor:
    """The word objective, strong negatives, both directions. ``model`` holds ``encoder`` and ``projection``."""
    vectors: list[Tensor] = []
    row_of: list[dict[tuple[int, int], int]] = []
    for side in (batch.src, batch.tgt):
        states = model["encoder"](**side.inputs, output_hidden_states=True).hidden_states[layer]
        rows = {}
        for sentence in range(len(states)):
            for word in range(int(side.counts[sentence])):
                mask = side.words[sentence] == word
                if not mask.any():
                    continue  # truncation has cut it off
                places = mask.nonzero()
                rows[sentence, word] = len(vectors)
                vectors.append(states[sentence][places[0].item()])
        row_of.append(rows)
    words = nn.functional.normalize(model["projection"](torch.stack(vectors)), dim=-1)
    anchors, goals = [], []
    for pair, links in enumerate(batch.links):
        for link in links:
            left, right = row_of[0][pair, link[0].item()], row_of[1][pair, link[1].item()]
            anchors += [left, right]
            goals += [right, left]
    similarity = words[torch.tensor(anchors, device=words.device)] @ words.T / temperature
    everything = torch.arange(len(words), device=words.device)
    losses = []
    for row, (anchor, goal) in enumerate(zip(anchors, goals, strict=True)):
        others = everything != anchor
        logits = similarity[row][others]
        target = (everything[others] == goal).nonzero()[0]
        losses.append(nn.functional.cross_entropy(logits[None], target))
    return torch.stack(losses).mean()
