"""Which items go into which step: planned once, as arrays, from the seed alone.

A plan is a (steps, batch) array of item numbers. Items are drawn by language (uniformly unless shares are given, so
that the smallest language neither ends the epoch nor drowns), each language running through its own shuffled copies;
then steps within a window share out their items by length, so that little of a batch is padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xrealign.errors import TrainingError
from xrealign.model.parts import length_parts
from xrealign.model.words import EncodedTexts, TextBatch, make_batch
from xrealign.train.seeds import numpy_generator

WINDOW = 32  # steps that share out their items by length; random enough, and padding of whole batches near 10 %
Array = np.ndarray[Any, Any]


def plan_steps(
    groups: Sequence[int],
    lengths: Array,
    steps: int,
    batch: int,
    seed: int,
    name: str,
    shares: Sequence[float] | None = None,
    window: int = WINDOW,
) -> Array:
    """Item numbers of every step. *Shape:* (steps, batch)

    Args:
        groups: group of each item (its language). *Shape:* (items,)
        lengths: what to sort by within a window. *Shape:* (items,)
        shares: chance of each group, in order of group; equal chances without them. A share of 0 leaves a group out.
        window: steps that share out their items by length. What is drawn in a window does not depend on it.

    Raises:
        TrainingError: there is nothing to draw from, or the shares are not one for each group, 0 or more, adding up
            to 1.
    """
    if len(groups) == 0:
        raise TrainingError(f"{name}: there is nothing to train on")
    draw = numpy_generator(seed, "plan", name)
    labels = np.asarray(groups)
    names = np.unique(labels)
    chosen = _draw_groups(draw, len(names), steps * batch, shares, name)
    items = np.empty(steps * batch, dtype=np.int64)
    for index, group in enumerate(names):
        members = np.flatnonzero(labels == group)
        places = np.flatnonzero(chosen == index)
        rounds = -(-len(places) // len(members))
        order = [draw.permutation(members) for _ in range(rounds)]
        items[places] = np.concatenate([*order, members[:0]])[: len(places)]
    plan = items.reshape(steps, batch)
    for start in range(0, steps, window):
        part = plan[start : start + window]
        by_length = part.reshape(-1)[np.argsort(lengths[part.reshape(-1)], kind="stable")]
        plan[start : start + window] = by_length.reshape(part.shape)[draw.permutation(len(part))]
    return plan


def _draw_groups(draw: np.random.Generator, groups: int, size: int, shares: Sequence[float] | None, name: str) -> Array:
    """The group of each place."""
    chances = np.full(groups, 1 / groups) if shares is None else np.asarray(shares, dtype=np.float64)
    if len(chances) != groups or not (chances >= 0).all() or abs(chances.sum() - 1) > 1e-6:
        raise TrainingError(f"{name}: shares {chances.tolist()}, expected {groups} of 0 or more that add up to 1")
    if (chances == chances[0]).all():
        return draw.integers(groups, size=size)
    # The last bound is made exact, so that no draw falls behind it or on a group without a share.
    bounds = np.cumsum(chances) / chances.sum()
    bounds[np.flatnonzero(chances)[-1] :] = 1.0
    found: Array = np.searchsorted(bounds, draw.random(size), side="right")
    return found


def rank_plan(plan: Array, rank: int, ranks: int) -> Array:
    """The part of a plan that process ``rank`` of ``ranks`` trains on. *Shape:* (steps, batch) → (steps, batch/ranks)

    Every process makes the whole plan, whatever their number, and takes every ``ranks``-th item of each step: together
    they train on the same items at the same step as one process does, and as a step's items stand in order of length,
    all have about as much to do. `whole_step` puts a step together again.

    Raises:
        TrainingError: there is no such rank, or the batch cannot be shared out evenly.
    """
    batch = plan.shape[1]
    if not 0 <= rank < ranks:
        raise TrainingError(f"rank {rank} of {ranks} processes: expected 0 to {ranks - 1}")
    if batch % ranks:
        raise TrainingError(
            f"a batch of {batch} cannot be shared evenly by {ranks} processes; use a batch size that {ranks} divides"
        )
    return plan[:, rank::ranks]


def whole_step(parts: Sequence[Array]) -> Array:
    """A step's items, or rows made from them, in the order of one process, from those of all ranks. → (batch, …)"""
    return np.stack(list(parts), axis=1).reshape(-1, *np.shape(parts[0])[1:])


def padding_efficiency(src_lengths: Array, tgt_lengths: Array, plan: Array, in_parts: bool = True) -> float:
    """Share of the subwords computed on that are not padding, when a step's sentences of both sides are one batch.

    Args:
        in_parts: the batch is run in parts of like length, as on a CPU (`xrealign.model.parts`), or as a whole.
    """
    lengths = np.concatenate([src_lengths[plan], tgt_lengths[plan]], axis=1)
    if not in_parts:
        return float(lengths.sum() / (lengths.max(axis=1) * lengths.shape[1]).sum())
    computed = sum(len(rows) * int(step[rows].max()) for step in lengths for rows in length_parts(step))
    return float(lengths.sum() / computed)


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
        src_words = int((texts.sentence.numpy() < len(rows)).sum())
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
