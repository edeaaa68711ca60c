"""Fine-tuning on labelled sentences of the source language: a linear classifier on mean-pooled vectors."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xrealign.errors import DataError
from xrealign.model.encoder import Encoder
from xrealign.model.words import encode_texts, length_batches, make_batch, pool_sentences
from xrealign.tasks.task import Example
from xrealign.train.loop import Objective, Phase
from xrealign.train.seeds import seed_torch
from xrealign.train.session import Opens, Part, Scores, Side, train_phase
from xrealign.train.strategies import PhaseSpec
from xrealign.train.streams import LabelledBatch, LabelledStream, plan_steps

DROPOUT = 0.1
DEV_SUBWORDS = 4096  # of a batch when a dev set is scored


@dataclass(frozen=True)
class FinetuneSettings:
    """How to fine-tune; the names are those of a config's ``[finetune]`` table, which explains them."""

    steps: int = 1000
    batch_size: int = 32
    learning_rate: float = 2e-5
    head_rate: float = 1.0
    epochs: int | None = None
    freeze: str = "none"
    max_length: int = 96
    schedule: Literal["constant", "linear"] = "linear"
    warmup: float = 0.1
    weight_decay: float = 0.0
    clip: float | None = 1.0
    compact_vocabulary: bool = True
    checkpoint_every: int = 100
    precision: Literal["auto", "fp32", "bf16"] = "auto"


class Classifier(nn.Module):
    """Dropout and one linear layer on sentence vectors. *Shape:* (S, D) → (S, labels)"""

    def __init__(self, width: int, labels: int) -> None:
        super().__init__()
        self.dropout = nn.Dropout(DROPOUT)
        self.linear = nn.Linear(width, labels)

    def forward(self, vectors: Tensor) -> Tensor:
        """Scores of each label, before softmax."""
        scores: Tensor = self.linear(self.dropout(vectors))
        return scores


def classification_loss(model: nn.Module, batch: LabelledBatch) -> Tensor:
    """Cross-entropy of the labels given the mean-pooled last layer."""
    hidden = model["encoder"](**batch.texts.inputs).last_hidden_state  # type: ignore[index]
    scores = model["head"](pool_sentences(hidden, batch.texts.inputs["attention_mask"]))  # type: ignore[index]
    return F.cross_entropy(scores.float(), batch.labels)


def label_numbers(examples: Sequence[Example], labels: Sequence[str]) -> np.ndarray[Any, Any]:
    """Each example's place in ``labels``, by name.

    Raises:
        DataError: an example has a label that is not among them.
    """
    places = {name: place for place, name in enumerate(labels)}
    unknown = sorted({example.label for example in examples} - set(places))
    if unknown:
        raise DataError(f"labels {', '.join(map(repr, unknown))} are not among those trained on: {', '.join(labels)}")
    return np.array([places[example.label] for example in examples], dtype=np.int64)


def finetune(
    encoder: Encoder,
    examples: Sequence[Example],
    labels: Sequence[str],
    settings: FinetuneSettings,
    folder: Path,
    seed: int,
) -> tuple[Classifier, dict[str, Any]]:
    """Fine-tunes ``encoder`` in place; returns the head and counts with the history.

    Order of data, dropout and the head's first values depend on ``seed`` alone, so two encoders fine-tuned with one
    seed see the same batches in the same order.

    Raises:
        ConfigError: a freeze that does not fit the encoder.
        DataError: a label is not among ``labels``.
    """
    steps = steps_of(settings, len(examples))
    spec = PhaseSpec("finetune", steps, {"finetune": 1.0}, "finetune")
    side, head, facts = finetune_side(encoder, examples, labels, settings, steps, seed)
    compact, precision = settings.compact_vocabulary, settings.precision
    trained = train_phase(encoder, spec, {"finetune": side}, folder, seed, compact=compact, precision=precision)
    return head, trained.facts() | facts


def steps_of(settings: FinetuneSettings, examples: int) -> int:
    """Optimiser steps on so many examples: ``epochs`` passes of whole batches and a rest, or ``steps``."""
    return settings.steps if settings.epochs is None else -(-examples // settings.batch_size) * settings.epochs


def finetune_side(
    encoder: Encoder,
    examples: Sequence[Example],
    labels: Sequence[str],
    settings: FinetuneSettings,
    steps: int,
    seed: int,
) -> tuple[Side, Classifier, dict[str, Any]]:
    """Fine-tuning as a side of a phase, the head it trains, and what is to be told of it.

    Args:
        steps: how often it takes part.
    """
    texts = encode_texts(encoder.tokenizer, [example.text for example in examples], settings.max_length)
    plan = plan_steps([0] * len(texts), texts.lengths, steps, settings.batch_size, seed, "finetune")
    stream = LabelledStream(texts, label_numbers(examples, labels), plan, encoder.tokenizer.pad_token_id)
    seed_torch(seed, "head")
    head = Classifier(encoder.width, len(labels))
    own = frozenset({"head.linear.weight", "head.linear.bias"})

    def build(learning: frozenset[str], opens: Opens | None) -> Part:
        objective = Objective(
            "task",
            stream,
            classification_loss,
            learning | own,
            trainable_at=None if opens is None else (lambda step: opens(step) | own),
        )
        return Part((objective,), {"head": head})

    template = Phase(
        "finetune",
        steps,
        settings.learning_rate,
        (),
        settings.schedule,
        settings.warmup,
        settings.weight_decay,
        settings.clip,
        settings.checkpoint_every,
        {"head.": settings.head_rate},
    )
    facts = {"examples": len(examples), "drawn": int(plan.size)}
    return Side(template, settings.freeze, [texts.ids], build), head, facts


def dev_scores(
    encoder: Encoder, head: Classifier, examples: Sequence[Example], labels: Sequence[str], max_length: int
) -> Scores:
    """Accuracy of a fine-tuned head on labelled sentences of the source language, to be watched while the encoder is
    realigned after fine-tuning: no target labels are needed to see that what it learned is being lost.

    Args:
        labels: in the order of the head's scores.

    Raises:
        DataError: a label is not among ``labels``.
    """
    texts = encode_texts(encoder.tokenizer, [example.text for example in examples], max_length)
    wanted = torch.from_numpy(label_numbers(examples, labels))
    pad = encoder.tokenizer.pad_token_id
    batches = [(rows, make_batch([(texts, rows)], pad).inputs) for rows in length_batches(texts.lengths, DEV_SUBWORDS)]

    def measure(model: nn.Module) -> dict[str, float]:
        inner: nn.Module = model["encoder"]  # type: ignore[index]
        device = next(inner.parameters()).device
        own = copy.deepcopy(head).to(device).eval()
        right = 0
        for rows, inputs in batches:
            moved = {name: tensor.to(device) for name, tensor in inputs.items()}
            vectors = pool_sentences(inner(**moved).last_hidden_state, moved["attention_mask"])
            right += int((own(vectors).argmax(-1).cpu() == wanted[rows]).sum())
        return {"dev": right / len(wanted)}

    return Scores([texts.ids], measure)
