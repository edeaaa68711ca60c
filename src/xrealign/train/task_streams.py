"""Batches of a task's examples for training and prediction, from what was tokenised once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xrealign.model.words import TextBatch, make_batch
from xrealign.train.task_inputs import SECOND, Targets, TaskInputs

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class TaskBatch:
    """Texts with their targets; a target is empty where the kind has none, or nothing is to be learned.

    Attributes:
        labels: label number of each text. *Shape:* (S,)
        tags: tag number of each word of ``texts``. *Shape:* (W,)
        spans: first and last subword of the answer. *Shape:* (S, 2)
        legal: where an answer may begin or end: the context, and the first subword for none. *Shape:* (S, T)
    """

    texts: TextBatch
    labels: Tensor
    tags: Tensor
    spans: Tensor
    legal: Tensor

    def to(self, device: torch.device) -> TaskBatch:
        """The batch on ``device``."""
        others = (self.labels, self.tags, self.spans, self.legal)
        return TaskBatch(self.texts.to(device), *(tensor.to(device, non_blocking=True) for tensor in others))


@dataclass(frozen=True)
class TaskStream:
    """Batches of labelled examples, a pure function of the step."""

    inputs: TaskInputs
    targets: Targets
    plan: Array
    pad: int

    def __call__(self, step: int) -> TaskBatch:
        return make_task_batch(self.inputs, self.plan[step], self.pad, self.targets)


def make_task_batch(inputs: TaskInputs, rows: Array, pad: int, targets: Targets | None = None) -> TaskBatch:
    """The windows ``rows`` as one padded batch, with their targets."""
    texts = make_batch([(inputs.texts, rows)], pad)
    if inputs.types is not None:
        texts.inputs["token_type_ids"] = torch.from_numpy(_padded(inputs.types, inputs, rows, 0))
    labels, tags, spans = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 2), np.int64)
    legal = np.zeros((0, 0), dtype=bool)
    if inputs.kind == "qa":
        legal = _padded(inputs.part, inputs, rows, -1) == SECOND
        legal[:, 0] = True
    if targets is not None:
        labels = targets.labels[rows] if len(targets.labels) else labels
        spans = targets.spans[rows] if len(targets.spans) else spans
        tags = targets.tags[word_numbers(inputs, rows, texts)] if len(targets.tags) else tags
    return TaskBatch(texts, *(torch.from_numpy(part) for part in (labels, tags, spans, legal)))


def word_numbers(inputs: TaskInputs, rows: Array, texts: TextBatch) -> Array:
    """Number, among the words of all examples, of each word of a batch. *Shape:* (W,)"""
    found: Array = inputs.word_offsets[inputs.example[rows[texts.sentence.numpy()]]] + texts.word.numpy()
    return found


def _padded(values: Array, inputs: TaskInputs, rows: Array, fill: int) -> Array:
    """Values of subwords in the places of a padded batch. → (S, T)"""
    offsets, lengths = inputs.texts.offsets, inputs.texts.lengths[rows]
    inside = np.arange(int(lengths.max(initial=1))) < lengths[:, None]
    padded = np.full(inside.shape, fill, dtype=values.dtype)
    padded[inside] = np.concatenate([values[offsets[row] : offsets[row + 1]] for row in rows])
    return padded
