"""Batches for fine-tuning an aligner: both sides of sentence pairs with their subwords' words, and joined pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xrealign.model.words import EncodedTexts, TextBatch, make_batch
from xrealign.train.masked import PairForm, join_pairs
from xrealign.train.seeds import numpy_generator

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class UnitBatch:
    """B sentence pairs, sources first, in one padded batch.

    Attributes:
        inputs: ``input_ids`` and ``attention_mask``. *Shape:* (2B, T)
        words: the word of each subword, -1 for none (special subwords, padding). *Shape:* (2B, T)
    """

    inputs: dict[str, Tensor]
    words: Tensor

    def to(self, device: torch.device) -> UnitBatch:
        """The batch on ``device``."""
        inputs = {name: tensor.to(device, non_blocking=True) for name, tensor in self.inputs.items()}
        return UnitBatch(inputs, self.words.to(device, non_blocking=True))


@dataclass(frozen=True, slots=True)
class JoinedBatch:
    """Joined pairs, and whether the second sentence translates the first: 1 or 0. *Shape:* (P,)"""

    inputs: dict[str, Tensor]
    labels: Tensor

    def to(self, device: torch.device) -> JoinedBatch:
        """The batch on ``device``."""
        inputs = {name: tensor.to(device, non_blocking=True) for name, tensor in self.inputs.items()}
        return JoinedBatch(inputs, self.labels.to(device, non_blocking=True))


def words_of_places(batch: TextBatch) -> Tensor:
    """The word at each place of a padded batch, -1 for none. *Shape:* (S, T)"""
    shape = batch.inputs["input_ids"].shape
    words = torch.full((shape[0] * shape[1],), -1, dtype=torch.long)
    words[batch.positions] = batch.word[batch.segments]
    return words.view(shape)


@dataclass(frozen=True, slots=True)
class UnitStream:
    """Batches of sentence pairs, a pure function of the step."""

    src: EncodedTexts
    tgt: EncodedTexts
    plan: Array
    pad: int

    def __call__(self, step: int) -> UnitBatch:
        rows = self.plan[step]
        batch = make_batch([(self.src, rows), (self.tgt, rows)], self.pad)
        return UnitBatch(batch.inputs, words_of_places(batch))


@dataclass(frozen=True, slots=True)
class IdentificationStream:
    """PSI batches, a pure function of seed and step: every pair of the step, and every source with the translation
    of another source of the step; which sentence comes first is drawn for each.

    Dou & Neubig (2021) draw the other sentence from the whole corpus; here it is of like length, as batches are,
    which leaves no answer to the length.
    """

    src: EncodedTexts
    tgt: EncodedTexts
    plan: Array
    pad: int
    form: PairForm
    seed: int

    def __call__(self, step: int) -> JoinedBatch:
        draw = numpy_generator(self.seed, "psi", step)
        rows = self.plan[step]
        others = np.roll(rows, int(draw.integers(1, len(rows))))
        left, right = np.concatenate([rows, rows]), np.concatenate([rows, others])
        labels = (left == right).astype(np.float32)  # a pair may be drawn twice in one step
        turned = draw.random(len(left)) < 0.5
        parts = [
            join_pairs(self.src, left[~turned], self.tgt, right[~turned], self.form),
            join_pairs(self.tgt, right[turned], self.src, left[turned], self.form),
        ]
        batch = make_batch([(part, np.arange(len(part))) for part in parts], self.pad)
        return JoinedBatch(batch.inputs, torch.from_numpy(np.concatenate([labels[~turned], labels[turned]])))
