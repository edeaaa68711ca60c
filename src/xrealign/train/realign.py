"""Realignment: train the encoder so that words or sentences that translate each other get similar vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from xrealign.align.aligned import AlignedTexts
from xrealign.errors import TrainingError
from xrealign.model.encoder import Encoder
from xrealign.model.layers import hidden_state, hidden_states, resolve_layer
from xrealign.model.positions import positions_of
from xrealign.model.words import make_batch, pool_sentences
from xrealign.paths import cache_folder
from xrealign.train.distributed import ranks
from xrealign.train.front_cache import FrontCache, front_loss, front_pieces, front_stream, frozen_layers
from xrealign.train.lora import LoraSettings
from xrealign.train.masked import MaskedStream, MaskSettings, TranslationStream, masked_loss, pair_form, subwords_of
from xrealign.train.masked_head import masked_model
from xrealign.train.micro import Pieces, split_batch
from xrealign.train.objectives import OBJECTIVES, RealignObjective, make_objective
from xrealign.train.pairs import Pairs, encode_pairs, romanise_pairs
from xrealign.train.phase import Objective, Phase
from xrealign.train.realign_settings import (
    COMPANIONS,
    MASKING,
    RealignSettings,
    check_weights,
    cut_to_fit,
)
from xrealign.train.session import Opens, Part, Scores, Side, Trained, moved_parameters, train_phase
from xrealign.train.shared import Reads, SharedPass
from xrealign.train.strategies import PhaseSpec
from xrealign.train.streams import rank_plan
from xrealign.train.watch import Watch, probe

__all__ = ["RealignSettings", "moved_parameters", "realign", "realign_side"]

WATCHED = 24  # pairs whose vectors are looked at while training goes on
MLM = "mlm"  # where the masked language model, head and all, is in the model


def realign(
    encoder: Encoder,
    aligned: AlignedTexts,
    settings: RealignSettings,
    folder: Path,
    seed: int,
    control: bool = False,
    scores: Scores | None = None,
) -> dict[str, Any]:
    """Realigns ``encoder`` in place; returns counts, history and which parameters moved.

    Args:
        folder: where checkpoints go; a killed run goes on from them.
        control: the same steps on the same source sentences, each paired with itself: what is left of a gain when
            there is no parallel data, only dropout between the two copies (Gao et al. 2021, arXiv 2104.08821).
        scores: what is watched besides, such as a dev set of the source language.

    Raises:
        ConfigError: a setting that does not fit the encoder.
        TrainingError: an objective that needs links and not a single one, or steps that cannot be made.
    """
    spec = PhaseSpec("control" if control else "realign", settings.steps, {"realign": 1.0}, "realign")
    side, facts = realign_side(encoder, aligned, settings, settings.steps, seed, control, scores)
    trained = train_phase(
        encoder,
        spec,
        {"realign": side},
        folder,
        seed,
        compact=settings.compact_vocabulary,
        precision=settings.precision,
        compiled=settings.compile,
        lora=LoraSettings(**settings.lora) if settings.adapter == "lora" else None,
    )
    return finished(facts, trained)


def finished(facts: Callable[[], dict[str, Any]], trained: Trained) -> dict[str, Any]:
    """The facts of a realignment and those of its training."""
    return trained.facts() | facts()


def realign_side(
    encoder: Encoder,
    aligned: AlignedTexts,
    settings: RealignSettings,
    steps: int,
    seed: int,
    control: bool = False,
    scores: Scores | None = None,
) -> tuple[Side, Callable[[], dict[str, Any]]]:
    """Realignment as a side of a phase, and what is to be told of it once the phase is over.

    Args:
        steps: how often it takes part.

    Raises:
        ConfigError, TrainingError: as `realign`.
    """
    weights = settings.weights
    check_weights(weights)
    settings = cut_to_fit(settings, positions_of(encoder.model.config))
    translated = encode_pairs(encoder, aligned, settings, steps, seed, control)
    romanised = None
    if "transliteration" in weights:
        romanised = romanise_pairs(encoder, aligned, settings, steps, seed, control)
    pairs_of = {name: romanised if name == "transliteration" and romanised else translated for name in weights}
    read = list({id(pairs): pairs for pairs in pairs_of.values()}.values())
    mask_id = encoder.tokenizer.mask_token_id
    used = [ids for pairs in read for ids in (pairs.src.ids, pairs.tgt.ids)]
    if mask_id is not None and set(weights) & set(MASKING):
        used.append(np.array([mask_id]))
    scores = scores if settings.watch != "off" else None
    masked = scores.masked if scores is not None else None
    if masked is None and set(weights) & set(COMPANIONS):
        masked = masked_model(encoder)
    drawn = used + list(scores.used if scores is not None else [])
    read_layers: dict[str, Any] = {}

    def build(learning: frozenset[str], opens: Opens | None) -> Part:
        names = frozenset(name.removeprefix("encoder.") for name in learning)
        heads: dict[str, nn.ModuleDict] = {}
        objectives, cache = [], None
        readers: dict[int, list[tuple[int, RealignObjective]]] = {}  # by their pairs: place among the objectives
        for name, weight in weights.items():
            pairs = pairs_of[name] if settings.gather else _own_share(pairs_of[name])
            if name in COMPANIONS:
                objectives.append(_companion(name, weight, encoder, pairs, learning, opens, masked, used, seed))
                continue
            made = make_objective(
                name, settings.objective_settings(name), encoder.model, seed, names, mask_id, np.unique(pairs.src.ids)
            )
            made = replace(made, waits=True)
            if made.needs_links and not any(len(part) for part in pairs.links):
                raise TrainingError(
                    f"objective {name!r} learns from word links, and the aligner found none at all: choose another "
                    "aligner, or realign.objective = 'sentence'"
                )
            heads[name] = made.heads
            read_layers[name] = list(made.layers)
            if settings.front_cache and made.layers and cache is None:
                cache = _front_cache(encoder, translated, names, settings)
            objective = _objective(made, weight, encoder, pairs, learning, opens, cache if made.layers else None)
            if objective.pieces is not None and not settings.gather:
                objective = replace(objective, pieces=replace(objective.pieces, rows=None))
            if made.layers:
                readers.setdefault(id(pairs_of[name]), []).append((len(objectives), made))
            objectives.append(objective)
        for some in readers.values():
            for place, reads in _shared(some, cache):
                objectives[place] = replace(objectives[place], reads=reads)
        modules: dict[str, nn.Module] = {"heads": nn.ModuleDict(heads)}
        modules |= {MLM: masked} if masked is not None and set(weights) & set(COMPANIONS) else {}
        return Part(
            tuple(objectives), modules, _watch(encoder, translated, settings, steps, read_layers, control, scores)
        )

    def facts() -> dict[str, Any]:
        return (
            translated.facts()
            | {"max_length": settings.max_length, "layers": read_layers}
            | ({"romanised": romanised.facts()} if romanised else {})
        )

    template = Phase(
        "realign",
        steps,
        settings.learning_rate,
        (),
        settings.schedule,
        settings.warmup,
        settings.weight_decay,
        settings.clip,
        settings.checkpoint_every,
    )
    return Side(template, settings.freeze, drawn, build, masked), facts


def _own_share(pairs: Pairs) -> Pairs:
    """The pairs with the plan of this process alone."""
    return replace(pairs, plan=rank_plan(pairs.plan, *ranks()))


def _shared(readers: list[tuple[int, RealignObjective]], cache: FrontCache | None) -> list[tuple[int, Reads]]:
    """One pass for several objectives on the same pairs, at all the layers they read; none for a single one."""
    if len(readers) < 2:
        return []
    layers = tuple(sorted({layer for _, made in readers for layer in made.layers}))

    def states(model: nn.Module, batch: Any) -> dict[int, Tensor]:
        encoder: nn.Module = model["encoder"]  # type: ignore[index]
        if cache is not None:
            return cache.states(encoder, batch, layers)
        return hidden_states(encoder, layers, batch.texts.inputs)

    def reads(made: RealignObjective) -> Reads:
        def loss(model: nn.Module, found: Mapping[int, Tensor], batch: Any) -> Tensor:
            own = {layer: found[layer] for layer in made.layers}
            return made.from_states(own, batch if cache is None else batch.pairs, model["encoder"])  # type: ignore[index]

        return Reads(shared, loss)

    shared = SharedPass(states)
    return [(place, reads(made)) for place, made in readers]


def _with(names: frozenset[str], opens: Opens | None) -> Opens | None:
    """What learns at a step of gradual unfreezing, with the heads ``names``, which always do."""
    return None if opens is None else (lambda step: opens(step) | names)


def _front_cache(encoder: Encoder, pairs: Pairs, learning: frozenset[str], settings: RealignSettings) -> FrontCache:
    """States below everything that learns, in the user's cache, where other seeds and subsets find them."""
    pad = encoder.tokenizer.pad_token_id
    frozen = frozen_layers(encoder.model, learning, make_batch([(pairs.src, np.array([0]))], pad).inputs)
    layer = min(frozen, encoder.layers - 1)
    for name in settings.weights:
        told = settings.objective_settings(name).layers if name in OBJECTIVES else None
        read = told if told is not None else (OBJECTIVES[name].own.layers or () if name in OBJECTIVES else ())
        layer = min([layer, *(resolve_layer(one, encoder.layers) for one in read)])
    room = int(settings.front_cache * 2**30)
    device = torch.device("cuda") if torch.cuda.is_available() else None
    return FrontCache(encoder.model, layer, cache_folder() / "states", room, pad, device=device)


def _objective(
    made: RealignObjective,
    weight: float,
    encoder: Encoder,
    pairs: Pairs,
    learning: frozenset[str],
    opens: Opens | None,
    cache: FrontCache | None,
) -> Objective:
    heads = frozenset(f"heads.{made.name}.{name}" for name, _ in made.heads.named_parameters())
    stream = pairs.stream(encoder.tokenizer.pad_token_id)
    pieces = Pieces(split_batch, made.encode, made.compare, made.rows) if made.divisible else None
    return Objective(
        made.name,
        stream if cache is None else front_stream(stream, cache),
        made.loss if cache is None else front_loss(made, cache),
        learning | heads,
        weight,
        trainable_at=_with(heads, opens),
        pieces=pieces if cache is None else front_pieces(made, cache),
        items=lambda step: [f"{pairs.languages[row]} {pairs.ids[row]}" for row in pairs.plan[step]],
        remember=made.remember,
    )


def _companion(
    name: str,
    weight: float,
    encoder: Encoder,
    pairs: Pairs,
    learning: frozenset[str],
    opens: Opens | None,
    masked: Any,
    used: list[np.ndarray[Any, Any]],
    seed: int,
) -> Objective:
    """MLM on the sentences of both sides, or TLM on the joined pairs, by the encoder's own head."""
    tokenizer, settings = encoder.tokenizer, MaskSettings()
    subwords = subwords_of(tokenizer, used)
    pad = tokenizer.pad_token_id
    stream: Any = MaskedStream((pairs.src, pairs.tgt), pairs.plan, pad, subwords, settings, seed)
    if name == "tlm":
        form = pair_form(tokenizer)
        stream = TranslationStream(pairs.src, pairs.tgt, pairs.plan, pad, form, subwords, settings, seed)
    own = {id(p) for p in encoder.model.parameters()}
    head = frozenset(f"{MLM}.{n}" for n, p in masked.named_parameters() if id(p) not in own)
    return Objective(
        name,
        stream,
        lambda model, batch: masked_loss(model[MLM], batch),  # type: ignore[index]
        learning | head,
        weight,
        trainable_at=_with(head, opens),
        items=lambda step: [f"{pairs.languages[row]} {pairs.ids[row]}" for row in pairs.plan[step]],
    )


def _watch(
    encoder: Encoder,
    pairs: Pairs,
    settings: RealignSettings,
    steps: int,
    layers: dict[str, list[int]],
    control: bool,
    scores: Scores | None,
) -> Watch | None:
    """Measures on a few pairs spread over the languages, at the highest layer that is trained on."""
    rows = np.unique(np.linspace(0, len(pairs.ids) - 1, WATCHED).astype(int))
    sides = [pairs.src] if control else [pairs.src, pairs.tgt]
    if settings.watch == "off" or len(rows) * len(sides) < 4:
        return None
    inputs = make_batch([(side, rows) for side in sides], encoder.tokenizer.pad_token_id).inputs
    layer = max((layer for read in layers.values() for layer in read), default=encoder.layers)

    def encode(model: nn.Module) -> Tensor:
        inner: nn.Module = model["encoder"]  # type: ignore[index]
        device = next(inner.parameters()).device
        moved = {name: tensor.to(device) for name, tensor in inputs.items()}
        return pool_sentences(hidden_state(inner, layer, moved), moved["attention_mask"])

    initial = {f"encoder.{name}": p.detach().clone() for name, p in encoder.model.named_parameters()}
    measure = probe(encode, initial, scores.measure if scores is not None else None)
    return Watch(max(10, steps // 10), measure, stop=settings.watch == "stop")
