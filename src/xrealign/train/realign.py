"""Realignment: train the encoder so that words or sentences that translate each other get similar vectors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from xrealign.align.aligned import AlignedTexts
from xrealign.errors import TrainingError
from xrealign.model.encoder import Encoder
from xrealign.model.layers import hidden_state, resolve_layer, trainable_names
from xrealign.model.words import EncodedTexts, encode_texts, mean_words, pool_sentences, pool_words
from xrealign.train.compaction import compact_embeddings, embeddings_learn, expand_embeddings
from xrealign.train.loop import Objective, Phase, run_phase, unused_row_factor
from xrealign.train.losses import sentence_contrastive, word_contrastive
from xrealign.train.seeds import seed_torch
from xrealign.train.streams import PairBatch, PairStream, plan_steps

PROJECTION = 128


@dataclass(frozen=True)
class RealignSettings:
    """How to realign; the names are those of a config's ``[realign]`` table, which explains them."""

    objective: Literal["word", "sentence"] = "word"
    steps: int = 1000
    batch_size: int = 16
    learning_rate: float = 2e-5
    temperature: float = 0.1
    negatives: Literal["strong", "weak"] = "strong"
    layer: int = -1
    pooling: Literal["first", "mean", "sum"] = "mean"
    sentence_pooling: Literal["words", "subwords"] = "words"
    projection: Literal["mlp", "none"] = "mlp"
    freeze: Literal["none", "front", "back", "embeddings"] = "front"
    max_length: int = 96
    schedule: Literal["constant", "linear"] = "constant"
    warmup: float = 0.0
    weight_decay: float = 0.0
    clip: float | None = None
    compact_vocabulary: bool = True
    checkpoint_every: int = 100
    precision: Literal["auto", "fp32", "bf16"] = "auto"


def projection_head(width: int, kind: str, seed: int) -> nn.Module:
    """g = Linear(D→D) · ReLU · Linear(D→128), no biases, shared by both languages and thrown away afterwards."""
    if kind == "none":
        return nn.Identity()
    seed_torch(seed, "projection")
    return nn.Sequential(nn.Linear(width, width, bias=False), nn.ReLU(), nn.Linear(width, PROJECTION, bias=False))


def realignment_loss(model: nn.Module, batch: PairBatch, settings: RealignSettings, layer: int) -> Tensor:
    """The objective of one batch: both sides in one forward pass, pooled, projected, compared."""
    hidden = hidden_state(model["encoder"], layer, batch.texts.inputs)  # type: ignore[index]
    project = model["projection"]  # type: ignore[index]
    if settings.objective == "sentence":
        if settings.sentence_pooling == "subwords":
            sentences = pool_sentences(hidden, batch.texts.inputs["attention_mask"])
        else:
            sentences = mean_words(pool_words(hidden, batch.texts, settings.pooling), batch.texts, 2 * batch.pairs)
        vectors = project(sentences)
        return sentence_contrastive(vectors[: batch.pairs], vectors[batch.pairs :], settings.temperature)
    words = project(pool_words(hidden, batch.texts, settings.pooling))
    src, tgt = words[: batch.src_words], words[batch.src_words :]
    return word_contrastive(src, tgt, batch.links, settings.temperature, settings.negatives)


def realign(
    encoder: Encoder, aligned: AlignedTexts, settings: RealignSettings, folder: Path, seed: int, control: bool = False
) -> dict[str, Any]:
    """Realigns ``encoder`` in place; returns counts, history and which parameters moved.

    Args:
        folder: where checkpoints go; a killed run goes on from them.
        control: the same steps on the same source sentences, each paired with itself: what is left of a gain when
            there is no parallel data, only dropout between the two copies (Gao et al. 2021, arXiv 2104.08821).

    Raises:
        TrainingError: word objective and not a single link, or a loss that is not finite.
    """
    layer = resolve_layer(settings.layer, encoder.layers)
    src = encode_texts(encoder.tokenizer, aligned.src, settings.max_length, aligned.src_spans)
    links = list(aligned.links)
    if settings.objective == "word" and not any(len(part) for part in links):
        raise TrainingError(
            "the aligner found no link at all: choose another aligner, or realign.objective = 'sentence'"
        )
    if control:
        # The same words are anchors as with parallel data, so that only the translation differs.
        tgt, links = src, [np.repeat(part[:, :1], 2, axis=1) for part in links]
    else:
        tgt = encode_texts(encoder.tokenizer, aligned.tgt, settings.max_length, aligned.tgt_spans)
    # The plan reads real lengths in the control too: the same source sentences at the same step.
    real = tgt if not control else encode_texts(encoder.tokenizer, aligned.tgt, settings.max_length, None)
    plan = plan_steps(
        np.unique(aligned.languages, return_inverse=True)[1].tolist(),
        np.maximum(src.lengths, real.lengths),
        settings.steps,
        settings.batch_size,
        seed,
        "realign",
    )
    stream = PairStream(src, tgt, links, plan, encoder.tokenizer.pad_token_id)
    names = trainable_names(encoder.model, settings.freeze)
    compact = settings.compact_vocabulary
    if compact:
        compact_embeddings(encoder.model, [src.ids, tgt.ids])
    model = nn.ModuleDict(
        {"encoder": encoder.model, "projection": projection_head(encoder.width, settings.projection, seed)}
    )
    before = {name: p.detach().clone() for name, p in encoder.model.named_parameters()}
    learning = {f"encoder.{name}" for name in names} | {n for n, _ in model.named_parameters() if n.startswith("proj")}
    objective = Objective(
        settings.objective, stream, lambda m, batch: realignment_loss(m, batch, settings, layer), frozenset(learning)
    )
    phase = Phase(
        "control" if control else "realign",
        settings.steps,
        settings.learning_rate,
        (objective,),
        settings.schedule,
        settings.warmup,
        settings.weight_decay,
        settings.clip,
        settings.checkpoint_every,
    )
    history = run_phase(model, phase, folder, seed, settings.precision)
    moved = moved_parameters(encoder.model, before)
    if compact:
        expand_embeddings(encoder.model, unused_row_factor(phase) if embeddings_learn(encoder.model, names) else 1.0)
    return {
        "history": history,
        "moved": moved,
        "layer": layer,
        "pairs": len(aligned),
        "distinct_pairs_used": len(np.unique(plan)),
        "pairs_drawn": int(plan.size),
        "links": int(sum(len(part) for part in links)),
        "cut_words": src.cut_words + tgt.cut_words,
        "padding_efficiency": round(_padding_efficiency(src, tgt, plan), 3),
    }


def moved_parameters(model: nn.Module, before: dict[str, Tensor]) -> dict[str, float]:
    """Root mean square change of every parameter that moved at all; what is not listed has kept every bit."""
    moved = {}
    for name, p in model.named_parameters():
        change = p.detach() - before[name].to(p.device)
        if bool(torch.any(change != 0)):
            moved[name] = float(change.square().mean().sqrt())
    return moved


def _padding_efficiency(src: EncodedTexts, tgt: EncodedTexts, plan: np.ndarray[Any, Any]) -> float:
    """Share of the subwords a plan computes on that are not padding."""
    lengths = np.concatenate([src.lengths[plan], tgt.lengths[plan]], axis=1)
    return float(lengths.sum() / (lengths.max(axis=1) * lengths.shape[1]).sum())
