"""Sentence pairs of a step with the cached states of their sentences.

*Shapes:* B pairs, S = 2B sentences, T subwords, D dims, N sentences of a text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xrealign.model.words import TextBatch
from xrealign.train.micro import split_texts
from xrealign.train.streams import PairBatch

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Places:
    """Where the states of a text's sentences are: which table, -1 for none, and the row of the first subword.

    *Shape:* (N,) each
    """

    table: Array
    start: Array


@dataclass(frozen=True)
class FrontBatch:
    """Sentence pairs with the states of their sentences.

    Attributes:
        pairs: the batch as it is without a cache.
        states: at the layer of the cache; where a sentence ends, its last row goes on. *Shape:* (2B, T, D)
        missing: sentences of the batch without stored states, whose rows are zeros. *Shape:* (M,)
    """

    pairs: PairBatch
    states: Tensor
    missing: Tensor

    @property
    def texts(self) -> TextBatch:
        """The sentences."""
        return self.pairs.texts

    def to(self, device: torch.device) -> FrontBatch:
        """The batch on ``device``."""
        moved = (tensor.to(device, non_blocking=True) for tensor in (self.states, self.missing))
        return FrontBatch(self.pairs.to(device), *moved)


@dataclass(frozen=True)
class FrontPart:
    """Some sentences of a batch with their states, as in `FrontBatch`."""

    texts: TextBatch
    states: Tensor
    missing: Tensor

    def to(self, device: torch.device) -> FrontPart:
        """The part on ``device``."""
        moved = (tensor.to(device, non_blocking=True) for tensor in (self.states, self.missing))
        return FrontPart(self.texts.to(device), *moved)


def split_front(batch: FrontBatch, parts: int) -> list[FrontPart]:
    """Sentences of a batch in at most ``parts`` parts, as `split_texts` makes them."""
    found, first = [], 0
    missing = batch.missing.numpy()
    for texts in split_texts(batch.pairs.texts, parts):
        size, width = texts.inputs["input_ids"].shape
        lacking = missing[(missing >= first) & (missing < first + size)] - first
        found.append(FrontPart(texts, batch.states[first : first + size, :width], torch.from_numpy(lacking)))
        first += size
    return found
