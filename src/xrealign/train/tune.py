"""Fine-tuning the encoder of an embedding aligner on sentence pairs without links, after AWESOME.

Dou & Neubig (2021, arXiv 2101.08231). Each objective is one of the training loop's; the alignment objectives read
layer k and train what lies below it, MLM and TLM train the whole encoder and its head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from xrealign.align.linker import Sentences
from xrealign.errors import ConfigError, did_you_mean
from xrealign.model.encoder import Encoder, embeddings_name
from xrealign.model.layers import find_blocks, hidden_state, resolve_layer, trainable_names
from xrealign.model.prompt import check_room
from xrealign.model.words import EncodedTexts, encode_texts
from xrealign.segment import spans_of_words
from xrealign.train.compaction import compact_embeddings, expand_embeddings
from xrealign.train.loop import run_phase
from xrealign.train.masked import (
    MaskedStream,
    MaskSettings,
    TranslationStream,
    masked_loss,
    pair_form,
    subwords_of,
)
from xrealign.train.masked_head import compact_masked, expand_masked, masked_model
from xrealign.train.phase import Objective, Phase, unused_row_factor
from xrealign.train.realign import moved_parameters
from xrealign.train.seeds import seed_torch
from xrealign.train.self_training import alignment_loss, link_probabilities, parallel_identification, self_labels
from xrealign.train.streams import plan_steps
from xrealign.train.tune_inputs import IdentificationStream, JoinedBatch, UnitBatch, UnitStream

OBJECTIVES = ("so", "co", "psi", "mlm", "tlm")
ALIGNMENT = ("so", "co")
LANGUAGE_MODELS = ("mlm", "tlm")


@dataclass(frozen=True)
class TuneSettings:
    """How to fine-tune an aligner.

    Attributes:
        objectives: some of `OBJECTIVES`: ``so`` self-training, ``co`` consistency, ``psi`` parallel sentence
            identification, ``mlm`` and ``tlm`` masked language modelling of sentences and of pairs.
        layer: read by so, co and psi; blocks above it learn nothing from them and are not run.
        steps, batch_size, learning_rate, schedule, warmup, clip, weight_decay: of the optimiser; batches are pairs.
        threshold: both probabilities of a link of the model's own must exceed it; published: 0.001.
        temperature: divides dot products; published: 1. (Defaults of this, the threshold, the rate and the steps are
            what benchmarks/align_tuned.py found for the starter encoder; published rate: 2e-5.)
        clean_labels: find the model's own links without dropout, in a pass of their own, as published; without it
            the links are those of the pass that is trained, which saves a third of the time.
        freeze: ``none``, as published, or ``embeddings``.
        weights: of objectives, 1 unless told; so and co share a pass and one weight, under the name ``align``.
        masks: what MLM and TLM mask.
        max_length: longest sentence in subwords; the rest is cut and counted.
        compact_vocabulary: train the embeddings of the subwords that occur; MLM and TLM then choose among those.
    """

    objectives: tuple[str, ...] = ("so",)
    layer: int = 7
    steps: int = 150
    batch_size: int = 8
    learning_rate: float = 1e-4
    threshold: float = 0.1
    temperature: float = 2.0
    clean_labels: bool = True
    freeze: Literal["none", "embeddings"] = "none"
    weights: dict[str, float] = field(default_factory=dict)
    masks: MaskSettings = field(default_factory=MaskSettings)
    max_length: int = 128
    schedule: Literal["constant", "linear"] = "linear"
    warmup: float = 0.0
    weight_decay: float = 0.0
    clip: float | None = 1.0
    compact_vocabulary: bool = True
    checkpoint_every: int = 100
    precision: Literal["auto", "fp32", "bf16"] = "auto"

    def __post_init__(self) -> None:
        """Raises: ConfigError: a value is impossible; all of them are named."""
        wrong = [
            f"objective {name!r} is unknown; expected some of {', '.join(OBJECTIVES)}{did_you_mean(name, OBJECTIVES)}"
            for name in self.objectives
            if name not in OBJECTIVES
        ]
        if len(set(self.objectives)) != len(self.objectives) or not self.objectives:
            wrong.append(f"objectives {'+'.join(self.objectives)!r}: name at least one, and each once")
        if self.steps < 1 or self.batch_size < 1:
            wrong.append(f"steps = {self.steps}, batch_size = {self.batch_size}: expected 1 or more")
        if "psi" in self.objectives and self.batch_size < 2:
            wrong.append("psi compares the pairs of a batch: batch_size must be 2 or more")
        if not 0 <= self.threshold < 1 or self.temperature <= 0:
            wrong.append(f"threshold = {self.threshold}, temperature = {self.temperature}: expected 0 to 1, above 0")
        if unknown := sorted(set(self.weights) - {"align", *OBJECTIVES[2:]}):
            wrong.append(f"weights of {', '.join(unknown)}: expected align, psi, mlm or tlm")
        if wrong:
            raise ConfigError(wrong)


def parse_objectives(text: str) -> tuple[str, ...]:
    """``tlm+so`` as ``("so", "tlm")``: in the order of `OBJECTIVES`; `TuneSettings` refuses unknown names."""
    named = [name.strip().lower() for name in text.split("+")]
    return tuple(sorted(named, key=lambda name: (OBJECTIVES.index(name) if name in OBJECTIVES else 99, name)))


def aligner_loss(model: nn.Module, batch: UnitBatch, settings: TuneSettings, layer: int) -> Tensor:
    """SO and CO, those asked for, of one batch; the links are the model's own."""
    encoder: nn.Module = model["encoder"]  # type: ignore[index]
    real = batch.words >= 0
    half = len(real) // 2
    masks, words = (real[:half], real[half:]), (batch.words[:half], batch.words[half:])
    hidden = hidden_state(encoder, layer, batch.inputs)
    with torch.no_grad():
        labelled = hidden
        if settings.clean_labels:
            encoder.eval()
            labelled = hidden_state(encoder, layer, batch.inputs)
            encoder.train()
        both = link_probabilities(labelled[:half], labelled[half:], *masks, settings.temperature)
        links = self_labels(*both, settings.threshold, *words)
    which = tuple(name for name in ALIGNMENT if name in settings.objectives)
    return alignment_loss(which, hidden[:half], hidden[half:], *masks, links, settings.temperature)


def identification_head(width: int, seed: int) -> nn.Module:
    """PSI's head on the first subword's state: D → D, tanh, D → 1; thrown away afterwards."""
    seed_torch(seed, "psi")
    return nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1))


def identification_loss(model: nn.Module, batch: JoinedBatch, layer: int) -> Tensor:
    """PSI of one batch, read at ``layer`` (the authors' program reads the layer above it)."""
    hidden = hidden_state(model["encoder"], layer, batch.inputs)  # type: ignore[index]
    return parallel_identification(model["psi"](hidden[:, 0])[:, 0], batch.labels)  # type: ignore[index]


def names_below(encoder: Encoder, layer: int, freeze: str) -> frozenset[str]:
    """Names of the parameters that the state at ``layer`` depends on, the embeddings among them unless frozen."""
    above = {id(p) for block in find_blocks(encoder.model)[layer:] for p in block.parameters()}
    named = dict(encoder.model.named_parameters())
    names = {name for name in trainable_names(encoder.model, freeze) if id(named[name]) not in above}
    return frozenset(names if layer == encoder.layers else (n for n in names if not n.startswith("final_norm.")))


def tune_aligner(
    encoder: Encoder,
    pairs: Sequence[tuple[Sequence[str], Sequence[str]]],
    settings: TuneSettings,
    folder: Path,
    seed: int,
    groups: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Fine-tunes ``encoder`` in place on sentence pairs that are split into words; returns counts and the history.

    Args:
        folder: where checkpoints go; a killed run goes on from them.
        groups: what each pair belongs to (its languages); groups are drawn with equal chances. None: all pairs are.

    Raises:
        ConfigError: there is no such layer, or MLM or TLM were asked for and the encoder has no head for them.
        TrainingError: there are no pairs, or a loss is not finite.
    """
    layer = resolve_layer(settings.layer, encoder.layers)
    src, tgt = (_encoded(encoder, [pair[side] for pair in pairs], settings) for side in (0, 1))
    numbers = [0] * len(pairs) if groups is None else np.unique(list(groups), return_inverse=True)[1].tolist()
    lengths = np.maximum(src.lengths, tgt.lengths)
    plan = plan_steps(numbers, lengths, settings.steps, settings.batch_size, seed, "tune")
    masked = masked_model(encoder) if set(settings.objectives) & set(LANGUAGE_MODELS) else None
    members = {"encoder": encoder.model}
    if "psi" in settings.objectives:
        members["psi"] = identification_head(encoder.width, seed)
    if masked is not None:
        members["masked"] = masked
    if settings.compact_vocabulary:
        extra = [] if masked is None else [subwords_of(encoder.tokenizer).special]
        used = [src.ids, tgt.ids, *extra]
        _ = compact_embeddings(encoder.model, used) if masked is None else compact_masked(masked, used)
    model = nn.ModuleDict(members)
    objectives = _objectives(encoder, model, settings, layer, src, tgt, plan, seed)
    before = {name: p.detach().clone() for name, p in encoder.model.named_parameters()}
    phase = Phase(
        name="tune",
        steps=settings.steps,
        learning_rate=settings.learning_rate,
        objectives=objectives,
        schedule=settings.schedule,
        warmup=settings.warmup,
        weight_decay=settings.weight_decay,
        clip=settings.clip,
        checkpoint_every=settings.checkpoint_every,
    )
    history = run_phase(model, phase, folder, seed, settings.precision)
    moved = moved_parameters(encoder.model, before)
    if settings.compact_vocabulary:
        factor = unused_row_factor(phase, f"encoder.{embeddings_name(encoder.model)}", history)
        if masked is None:
            expand_embeddings(encoder.model, factor)
        else:
            expand_masked(masked, factor)
    return {
        "history": history,
        "moved": moved,
        "layer": layer,
        "pairs": len(pairs),
        "distinct_pairs_used": len(np.unique(plan)),
        "pairs_drawn": int(plan.size),
        "cut_words": src.cut_words + tgt.cut_words,
    }


def _encoded(encoder: Encoder, sentences: Sentences, settings: TuneSettings) -> EncodedTexts:
    made = [spans_of_words(list(sentence)) for sentence in sentences]
    limit = encoder.tokenizer.model_max_length
    if {"psi", "tlm"} & set(settings.objectives):
        limit //= 2
    length = min(settings.max_length, limit)
    check_room(encoder.model, length)
    return encode_texts(encoder.tokenizer, [text for text, _ in made], length, [spans for _, spans in made])


def _objectives(
    encoder: Encoder,
    model: nn.ModuleDict,
    settings: TuneSettings,
    layer: int,
    src: EncodedTexts,
    tgt: EncodedTexts,
    plan: np.ndarray[Any, Any],
    seed: int,
) -> tuple[Objective, ...]:
    pad = encoder.tokenizer.pad_token_id
    below = frozenset(f"encoder.{name}" for name in names_below(encoder, layer, settings.freeze))
    whole = frozenset(f"encoder.{name}" for name in trainable_names(encoder.model, settings.freeze))
    heads = {kind: frozenset(n for n, _ in model.named_parameters() if n.startswith(f"{kind}.")) for kind in model}
    weight = settings.weights.get
    made = []
    if set(ALIGNMENT) & set(settings.objectives):
        name = "+".join(n for n in ALIGNMENT if n in settings.objectives)
        stream = UnitStream(src, tgt, plan, pad)
        made.append(
            Objective(name, stream, lambda m, b: aligner_loss(m, b, settings, layer), below, weight("align", 1.0))
        )
    if "psi" in settings.objectives:
        joined = IdentificationStream(src, tgt, plan, pad, pair_form(encoder.tokenizer), seed)
        learn = below | heads["psi"]
        made.append(Objective("psi", joined, lambda m, b: identification_loss(m, b, layer), learn, weight("psi", 1.0)))
    for name in (name for name in LANGUAGE_MODELS if name in settings.objectives):
        used = [src.ids, tgt.ids] if settings.compact_vocabulary else None
        subwords = subwords_of(encoder.tokenizer, used)
        batches: Any = MaskedStream((src, tgt), plan, pad, subwords, settings.masks, seed)
        if name == "tlm":
            form = pair_form(encoder.tokenizer)
            batches = TranslationStream(src, tgt, plan, pad, form, subwords, settings.masks, seed)
        learn = whole | heads["masked"]
        made.append(
            Objective(name, batches, lambda m, b: masked_loss(m["masked"], b), learn, weight(name, 1.0))  # type: ignore[index]
        )
    return tuple(made)
