"""Which items go into which step: planned once, as arrays, from the seed alone.

A plan is a (steps, batch) array of item numbers. Items are drawn by language (uniformly, so that the smallest
language neither ends the epoch nor drowns), each language running through its own shuffled copies; then steps within
a window share out their items by length, so that little of a batch is padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xrealign.errors import TrainingError
from xrealign.model.words import EncodedTexts, TextBatch, make_batch
from xrealign.train.seeds import numpy_generator

WINDOW = 32  # steps that share out their items by length; random enough, and padding stays near 5 %
Array = np.ndarray[Any, Any]


def plan_steps(groups: Sequence[int], lengths: Array, steps: int, batch: int, seed: int, name: str) -> Array:
    """Item numbers of every step. *Shape:* (steps, batch)

    Args:
        groups: group of each item (its language); groups are drawn with equal chances. *Shape:* (items,)
        lengths: what to sort by within a window. *Shape:* (items,)

    Raises:
        TrainingError: there is nothing to draw from.
    """
    if len(groups) == 0:
        raise TrainingError(f"{name}: there is nothing to train on")
    draw = numpy_generator(seed, "plan", name)
    labels = np.asarray(groups)
    names = np.unique(labels)
    chosen = draw.integers(len(names), size=steps * batch)
    items = np.empty(steps * batch, dtype=np.int64)
    for index, group in enumerate(names):
        members = np.flatnonzero(labels == group)
        places = np.flatnonzero(chosen == index)
        rounds = -(-len(places) // len(members))
        order = [draw.permutation(members) for _ in range(rounds)]
        items[places] = np.concatenate([*order, members[:0]])[: len(places)]
    plan = items.reshape(steps, batch)
    for start in range(0, steps, WINDOW):
        window = plan[start : start + WINDOW]
        by_length = window.reshape(-1)[np.argsort(lengths[window.reshape(-1)], kind="stable")]
        plan[start : start + WINDOW] = by_length.reshape(window.shape)[draw.permutation(len(window))]
    return plan


@dataclass(frozen=True)
class PairBatch:
    """Sentence pairs of one step: sources first, then their targets, in one padded batch.

    Attributes:
        texts: 2B sentences.
        links: rows of source words and of target words that are linked. *Shape:* (N, 2)
        pairs: B.
        src_words: number of source words, the first rows of ``texts``' words.
    """

    texts: TextBatch
    links: Tensor
    pairs: int
    src_words: int

    def to(self, device: torch.device) -> PairBatch:
        """The batch on ``device``."""
        return PairBatch(self.texts.to(device), self.links.to(device, non_blocking=True), self.pairs, self.src_words)


@dataclass(frozen=True)
class PairStream:
    """Batches of sentence pairs, a pure function of the step."""

    src: EncodedTexts
    tgt: EncodedTexts
    links: Sequence[Array]
    plan: Array
    pad: int

    def __call__(self, step: int) -> PairBatch:
        rows = self.plan[step]
        texts = make_batch([(self.src, rows), (self.tgt, rows)], self.pad)
        links = [self.links[row] for row in rows]
        pair = np.repeat(np.arange(len(rows)), [len(part) for part in links])
        flat = np.concatenate([*links, np.zeros((0, 2), dtype=np.int32)]).astype(np.int64)
        src_words = int((texts.sentence < len(rows)).sum())
        left, left_found = _word_rows(texts, pair, flat[:, 0])
        right, right_found = _word_rows(texts, pair + len(rows), flat[:, 1])
        both = left_found & right_found  # a word that truncation cut off has no row
        pairs = np.stack([left[both], right[both] - src_words], axis=1)
        return PairBatch(texts, torch.from_numpy(pairs), len(rows), src_words)


def _word_rows(texts: TextBatch, sentence: Array, word: Array) -> tuple[Array, Array]:
    """Row of each (sentence, word) among the batch's words, and whether it is there."""
    sentences, words = texts.sentence.numpy(), texts.word.numpy()
    base = int(max(words.max(initial=0), word.max(initial=0))) + 1
    keys, wanted = sentences * base + words, sentence * base + word
    place = np.searchsorted(keys, wanted)
    found = np.zeros(len(wanted), dtype=bool)
    inside = place < len(keys)
    found[inside] = keys[place[inside]] == wanted[inside]
    return place, found


@dataclass(frozen=True)
class LabelledBatch:
    """Sentences with the numbers of their labels, *Shape:* (S,)."""

    texts: TextBatch
    labels: Tensor

    def to(self, device: torch.device) -> LabelledBatch:
        """The batch on ``device``."""
        return LabelledBatch(self.texts.to(device), self.labels.to(device, non_blocking=True))


@dataclass(frozen=True)
class LabelledStream:
    """Batches of labelled sentences, a pure function of the step."""

    texts: EncodedTexts
    labels: Array
    plan: Array
    pad: int

    def __call__(self, step: int) -> LabelledBatch:
        rows = self.plan[step]
        return LabelledBatch(make_batch([(self.texts, rows)], self.pad), torch.from_numpy(self.labels[rows]))
