"""Training a supervised aligner on gold links: binary cross-entropy of every subword (`xrealign.align.supervised`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xrealign.align.linker import Sentences
from xrealign.align.marked import EncodedPairs, Marked, assemble, encode_pairs, marked_words, pair_template
from xrealign.align.score import read_gold, words
from xrealign.align.supervised import SupervisedAligner, judge
from xrealign.errors import ConfigError, DataError, TrainingError
from xrealign.model.encoder import Encoder, embeddings_name
from xrealign.model.freezing import parse_freeze
from xrealign.model.layers import find_blocks, resolve_layer, trainable_names
from xrealign.model.prompt import check_room
from xrealign.textio import read_lines
from xrealign.train.compaction import compact_embeddings, expand_embeddings
from xrealign.train.loop import run_phase
from xrealign.train.phase import Objective, Phase, unused_row_factor
from xrealign.train.seeds import numpy_generator, seed_torch
from xrealign.train.streams import plan_steps
from xrealign.types import WordAlignment

DROPOUT = 0.1
POSSIBLE = ("positive", "negative", "ignored")
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class SupervisedSettings:
    """How to train.

    Attributes:
        steps, batch_size: optimiser steps, and marked words (each with its pair) in each.
        words_per_pair: how many of a batch's marked words come from one sentence. Published is 1 (all words of all
            pairs shuffled); with several, what is true of a subword whatever is marked mostly cancels in the gradient.
        learning_rate: highest; it rises over the share ``warmup`` of the steps and falls to zero (``linear``). 3e-4 is
            for the small starter; published for mDeBERTa base is 2e-5.
        layer: whose state the head reads; blocks above it neither learn nor run.
        marker: stands on both sides of a marked word; None is the mask subword.
        possible: what links that are only possible are: ``ignored`` (no loss: AER holds neither a link nor its
            absence against an aligner), ``negative`` (as published) or ``positive``.
        freeze: parts of the encoder that do not learn, see `xrealign.model.freezing`; not gradual.
        max_length: longest pair in subwords, in training and later.
    """

    steps: int = 1000
    batch_size: int = 16
    words_per_pair: int = 4
    learning_rate: float = 3e-4
    layer: int = -1
    marker: str | None = None
    possible: Literal["positive", "negative", "ignored"] = "ignored"
    freeze: str = "none"
    max_length: int = 512
    schedule: Literal["constant", "linear"] = "linear"
    warmup: float = 0.1
    weight_decay: float = 0.01
    clip: float | None = 1.0
    compact_vocabulary: bool = True
    checkpoint_every: int = 100
    precision: Literal["auto", "fp32", "bf16"] = "auto"

    def __post_init__(self) -> None:
        """Raises: ConfigError: a value is impossible; all of them are named."""
        wrong = [
            f"{name} = {getattr(self, name)!r} is impossible; expected {expected}"
            for name, expected, fits in (
                ("steps", "1 or more", self.steps >= 1),
                ("batch_size", "1 or more", self.batch_size >= 1),
                ("words_per_pair", "1 to batch_size", 1 <= self.words_per_pair <= self.batch_size),
                ("learning_rate", "more than 0", self.learning_rate > 0),
                ("possible", ", ".join(POSSIBLE), self.possible in POSSIBLE),
                ("schedule", "constant or linear", self.schedule in ("constant", "linear")),
                ("warmup", "0 to 1", 0 <= self.warmup <= 1),
                ("weight_decay", "0 or more", self.weight_decay >= 0),
            )
            if not fits
        ]
        if wrong:
            raise ConfigError(wrong)


@dataclass(frozen=True)
class GoldPairs:
    """Sentence pairs in words with gold links, and the group (file, language pair) of each."""

    src: Sentences
    tgt: Sentences
    gold: Sequence[WordAlignment]
    groups: Sequence[int]

    def __len__(self) -> int:
        return len(self.gold)

    def chosen(self, rows: Sequence[int] | Array) -> GoldPairs:
        """Some of the pairs, in the order given."""
        columns = (self.src, self.tgt, self.gold, self.groups)
        src, tgt, gold, groups = ([column[int(row)] for row in rows] for column in columns)
        return GoldPairs(src, tgt, gold, groups)  # type: ignore[arg-type]


def read_gold_pairs(paths: Sequence[str | Path], base: int = 0) -> GoldPairs:
    """Gold files with text (source words, target words, links; tab-separated), each a group of its own.

    Raises:
        DataError: see `xrealign.align.score.read_gold`; also when a file has links alone, or no link at all.
    """
    src: list[list[str]] = []
    tgt: list[list[str]] = []
    gold: list[WordAlignment] = []
    groups: list[int] = []
    for group, path in enumerate(paths):
        found = read_gold(path, base)
        for number, line in read_lines(path):
            cells = line.split("\t")
            if len(cells) != 3:
                raise DataError("links without text; training needs source TAB target TAB links", path, number)
            src.append(words(cells[0]))
            tgt.append(words(cells[1]))
        if not any(pair.links for pair in found):
            raise DataError("no sure links (i-j) in it: there is nothing to learn", path)
        gold.extend(found)
        groups.extend([group] * len(found))
    return GoldPairs(src, tgt, gold, groups)


def hold_out(pairs: GoldPairs, share: float, seed: int) -> tuple[GoldPairs, GoldPairs]:
    """Pairs to train on and pairs held out: ``share`` of each group, drawn by the seed, at least one of two or more.

    Raises:
        ConfigError: the share is not 0 to less than 1.
    """
    if not 0 <= share < 1:
        raise ConfigError(f"held-out share {share!r} is impossible; expected 0 to less than 1")
    groups = np.asarray(pairs.groups)
    out = np.zeros(len(pairs), dtype=bool)
    for group in np.unique(groups):
        members = numpy_generator(seed, "held out", int(group)).permutation(np.flatnonzero(groups == group))
        count = max(1, round(share * len(members))) if share and len(members) > 1 else 0
        out[members[:count]] = True
    return pairs.chosen(np.flatnonzero(~out)), pairs.chosen(np.flatnonzero(out))


def cell_labels(pairs: EncodedPairs, gold: Sequence[WordAlignment], possible: str) -> Array:
    """1 for linked words, 0 for others, NaN for cells without a loss; flat, both directions. *Shape:* (2·ΣI·J,)"""
    begin = pairs.cells
    labels = np.zeros(int(begin[-1]), dtype=np.float32)
    value = {"positive": 1.0, "negative": 0.0, "ignored": np.nan}[possible]
    for p, alignment in enumerate(gold):
        for links, label in ((alignment.possible - alignment.links, value), (alignment.links, 1.0)):
            for i, j in links:
                labels[begin[p] + i * alignment.tgt_length + j] = label
    return np.concatenate([labels, labels])


def plan_words(marked: Marked, groups: Array, settings: SupervisedSettings, seed: int) -> list[Array]:
    """Marked words of every step: rows of ``marked``, `SupervisedSettings.words_per_pair` from a sentence at most.

    Sentences (of either side) are drawn with equal chances for every group; a sentence with fewer words gives all.
    """
    each = settings.words_per_pair
    if each == 1:
        return list(plan_steps(groups, marked.lengths, settings.steps, settings.batch_size, seed, "supervised"))  # type: ignore[arg-type]
    _, first, counts = np.unique(marked.pair * 2 + marked.side, return_index=True, return_counts=True)
    sentences = max(1, settings.batch_size // each)
    plan = plan_steps(groups[first], marked.lengths[first], settings.steps, sentences, seed, "supervised")  # type: ignore[arg-type]
    draw = numpy_generator(seed, "words", "supervised")
    return [np.concatenate([first[s] + draw.permutation(counts[s])[:each] for s in row]) for row in plan]


@dataclass(frozen=True)
class JudgedBatch:
    """Pairs of one step, the subwords judged in them, and the truth. *Shape:* (N, T), (K,), (K,)"""

    inputs: dict[str, Tensor]
    positions: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> JudgedBatch:
        """The batch on ``device``."""
        inputs = {name: values.to(device, non_blocking=True) for name, values in self.inputs.items()}
        return JudgedBatch(inputs, self.positions.to(device), self.labels.to(device))


@dataclass(frozen=True)
class JudgedStream:
    """Batches of marked words, a pure function of the step."""

    pairs: EncodedPairs
    marked: Marked
    labels: Array
    plan: Sequence[Array]
    pad: int

    def __call__(self, step: int) -> JudgedBatch:
        batch = assemble(self.pairs, self.marked, self.plan[step], self.pad)
        labels = self.labels[batch.cells]
        kept = torch.from_numpy(~np.isnan(labels))
        return JudgedBatch(batch.inputs, batch.positions[kept], torch.from_numpy(labels)[kept])


def judgement_loss(model: Any, batch: JudgedBatch, layer: int) -> Tensor:
    """Binary cross-entropy, the mean over all judged subwords of the batch (Latouche et al. 2024, section 3)."""
    head = nn.Sequential(model["dropout"], model["head"])
    logits = judge(model["encoder"], head, layer, batch.inputs, batch.positions)
    return F.binary_cross_entropy_with_logits(logits, batch.labels, reduction="sum") / max(len(logits), 1)


def train_supervised(
    encoder: Encoder, pairs: GoldPairs, settings: SupervisedSettings, folder: Path, seed: int
) -> tuple[SupervisedAligner, dict[str, Any]]:
    """Trains ``encoder`` in place with a new head; returns the aligner, and counts with the history.

    Groups are drawn with equal chances, within a group every word of every sentence on either side.

    Args:
        folder: where checkpoints go; a killed run goes on from them.

    Raises:
        ConfigError: there is no such layer, or the marker is not a subword.
        TrainingError: there is no word to train on, or the loss is not finite.
    """
    layer = resolve_layer(settings.layer, encoder.layers)
    length = min(settings.max_length, int(encoder.tokenizer.model_max_length))
    check_room(encoder.model, length)
    template = pair_template(encoder.tokenizer, settings.marker)
    encoded = encode_pairs(encoder.tokenizer, pairs.src, pairs.tgt, template, length)
    marked = marked_words(encoded)
    if not len(marked.pair):
        raise TrainingError("the gold pairs have no words to train on")
    groups = np.asarray(pairs.groups)[marked.pair]
    plan = plan_words(marked, groups, settings, seed)
    labels = cell_labels(encoded, pairs.gold, settings.possible)
    pad = encoder.tokenizer.pad_token_id
    above = {id(p) for block in find_blocks(encoder.model)[layer:] for p in block.parameters()}
    unread = {name for name, p in encoder.model.named_parameters() if id(p) in above}
    if parse_freeze(settings.freeze, encoder.layers).every is not None:
        raise ConfigError(f"freeze = {settings.freeze!r} is not to be had here; name what stays, such as 'front'")
    names = trainable_names(encoder.model, settings.freeze) - unread
    if settings.compact_vocabulary:
        special = [template.before, template.between, template.after, np.array([template.marker, pad])]
        compact_embeddings(encoder.model, [*(side.ids for side in encoded.sides), *special])
    seed_torch(seed, "head")
    head = nn.Linear(encoder.width, 1)
    model = nn.ModuleDict({"encoder": encoder.model, "head": head, "dropout": nn.Dropout(DROPOUT)})
    learning = frozenset({f"encoder.{name}" for name in names} | {"head.weight", "head.bias"})
    stream = JudgedStream(encoded, marked, labels, plan, pad)
    objective = Objective("links", stream, lambda m, batch: judgement_loss(m, batch, layer), learning)
    phase = Phase(
        name="supervised",
        steps=settings.steps,
        learning_rate=settings.learning_rate,
        objectives=(objective,),
        schedule=settings.schedule,
        warmup=settings.warmup,
        weight_decay=settings.weight_decay,
        clip=settings.clip,
        checkpoint_every=settings.checkpoint_every,
    )
    history = run_phase(model, phase, folder, seed, settings.precision)
    if settings.compact_vocabulary:
        matrix = f"encoder.{embeddings_name(encoder.model)}"
        expand_embeddings(encoder.model, unused_row_factor(phase, matrix, history))
    drawn, computed = np.concatenate(plan), sum(int(marked.lengths[row].max()) * len(row) for row in plan)
    facts = {
        "history": history,
        "pairs": len(pairs),
        "marked_words": len(marked.pair),
        "distinct_words_used": len(np.unique(drawn)),
        "words_drawn": len(drawn),
        "cut_words": encoded.cut_words,
        "linked": float(np.nanmean(labels)),
        "padding_efficiency": round(float(marked.lengths[drawn].sum() / computed), 3),
    }
    return SupervisedAligner(encoder, head.eval(), layer, template, length), facts
