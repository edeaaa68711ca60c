"""A phase on an encoder from start to end: used rows of the vocabulary, adapters, training, and everything put back.

What takes part (realignment, a task, or both) is prepared as a `Side`; the phase says how they go together. So
realignment alone, fine-tuning alone and both beside each other are one function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from xrealign.errors import ConfigError
from xrealign.model.compiled import compiled_blocks
from xrealign.model.encoder import Encoder, embeddings_name
from xrealign.model.layers import trainable_names, unfreezing
from xrealign.train.adapters import save_adapter
from xrealign.train.compaction import compact_embeddings, expand_embeddings
from xrealign.train.guards import Row
from xrealign.train.loop import run_phase
from xrealign.train.lora import LoraSettings, adapter_names, add_adapters, merge_adapters
from xrealign.train.masked_head import compact_masked, expand_masked
from xrealign.train.phase import Objective, Phase, unused_row_factor
from xrealign.train.strategies import Kind, PhaseSpec, make_phase
from xrealign.train.watch import Measures, Watch, drift, reasons

PREFIX = "encoder."
Opens = Callable[[int], frozenset[str]]


@dataclass(frozen=True)
class Scores:
    """What is scored beside a training, more being better.

    Attributes:
        used: ids that the scored sentences hold, for the compact vocabulary.
        measure: of a model that holds the encoder under ``encoder``.
        masked: the masked language model around the encoder that it scores with, if any.
    """

    used: Sequence[np.ndarray[Any, Any]]
    measure: Callable[[nn.Module], Mapping[str, float]]
    masked: Any = None


@dataclass(frozen=True)
class Part:
    """What a side brings into the model and the phase.

    Attributes:
        objectives: its losses.
        modules: heads and the like, which are trained and checkpointed beside ``encoder``.
        watch: measures of collapse and forgetting.
    """

    objectives: tuple[Objective, ...]
    modules: Mapping[str, nn.Module]
    watch: Watch | None = None


@dataclass(frozen=True)
class Side:
    """One kind of training before there is a model.

    Attributes:
        template: a phase with its optimiser settings; name, steps and objectives are filled in.
        freeze: what it leaves alone, in the grammar of `xrealign.model.freezing`.
        used: ids that its batches may hold, for the compact vocabulary.
        build: makes its part, once the vocabulary is compact and the adapters are in. It is given the names of the
            encoder's parameters that learn in all (``encoder.…``) and, of gradual unfreezing, those of a step.
        masked: the masked language model around the encoder, if a loss needs its head.
    """

    template: Phase
    freeze: str
    used: Sequence[np.ndarray[Any, Any]]
    build: Callable[[frozenset[str], Opens | None], Part]
    masked: Any = None


@dataclass(frozen=True)
class Trained:
    """What came of a phase.

    Attributes:
        modules: the parts beside the encoder, trained.
        history: of `run_phase`.
        moved: root mean square change of every parameter of the encoder that moved at all.
        drift: how far embeddings and blocks have moved, as a share of their norm; 0 for what kept every bit.
    """

    modules: Mapping[str, nn.Module]
    history: list[Row]
    moved: dict[str, float]
    drift: Measures = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """For a manifest."""
        warnings = reasons(self.history)
        stopped = self.history[-1].get("stopped") if self.history else None
        return (
            {"history": self.history, "moved": self.moved, "drift": self.drift}
            | ({"warnings": warnings} if warnings else {})
            | ({"stopped": stopped} if stopped else {})
        )


def train_phase(
    encoder: Encoder,
    spec: PhaseSpec,
    sides: Mapping[Kind, Side],
    folder: Path,
    seed: int,
    *,
    compact: bool,
    precision: str,
    lora: LoraSettings | Mapping[Kind, LoraSettings] | None = None,
    compiled: bool = False,
) -> Trained:
    """Trains ``encoder`` in place; going on from checkpoints in ``folder``, where adapters are kept, too, when they are
    merged.

    Args:
        sides: at least those that ``spec`` gives a weight.
        compact: train on the rows of the embeddings that occur.
        lora: realignment, or a task on its own, trains adapters in the place of what its freeze leaves open, which are
            merged at the end. A task beside realignment trains the weights themselves, those under the adapters among
            them, and not the adapters.
        compiled: with blocks that torch compiles.

    Raises:
        ConfigError: a freeze that does not fit the encoder, or leaves adapters no place.
        TrainingError: see `run_phase`.
    """
    chosen = {kind: sides[kind] for kind in spec.weights}
    masked = next((side.masked for side in chosen.values() if side.masked is not None), None)
    names = {kind: trainable_names(encoder.model, side.freeze) for kind, side in chosen.items()}
    opens = {kind: unfreezing(encoder.model, side.freeze, PREFIX) for kind, side in chosen.items()}
    if compact:
        used = [ids for side in chosen.values() for ids in side.used]
        _ = compact_masked(masked, used) if masked is not None else compact_embeddings(encoder.model, used)
    before = {name: p.detach().clone() for name, p in encoder.model.named_parameters()}
    adapters = None
    told = dict.fromkeys(chosen, lora) if isinstance(lora, LoraSettings) else lora or {}
    if adapted := {kind: told[kind] for kind in chosen if kind in told}:
        adapters, names, opens = _adapted(encoder, adapted, names, opens, seed)
    parts = {
        kind: side.build(frozenset(PREFIX + name for name in names[kind]), opens[kind]) for kind, side in chosen.items()
    }
    modules = {name: module for part in parts.values() for name, module in part.modules.items()}
    model = nn.ModuleDict({"encoder": encoder.model, **modules})
    phase = make_phase(
        spec,
        {kind: part.objectives for kind, part in parts.items()},
        {kind: side.template for kind, side in chosen.items()},
    )
    watch = next((part.watch for part in parts.values() if part.watch is not None), None)
    phase = replace(phase, watch=watch)
    with compiled_blocks(encoder.model, compiled):
        history = run_phase(model, phase, folder, seed, precision)
    if adapters is not None:
        save_adapter(encoder, folder)
        merge_adapters(adapters)
    moved, moves = moved_parameters(encoder.model, before), drift(encoder.model, before)
    if compact:
        factor = unused_row_factor(phase, PREFIX + embeddings_name(encoder.model), history)
        if masked is not None:
            expand_masked(masked, factor)
        else:
            expand_embeddings(encoder.model, factor)
    return Trained(modules, history, moved, moves)


def _adapted(
    encoder: Encoder,
    lora: Mapping[Kind, LoraSettings],
    names: Mapping[Kind, frozenset[str]],
    opens: Mapping[Kind, Opens | None],
    seed: int,
) -> tuple[Any, dict[Kind, frozenset[str]], dict[Kind, Opens | None]]:
    """Puts adapters in; what then learns on each side, by the names that the weights have now.

    Raises:
        ConfigError: two sides want different adapters, or one with adapters unfreezes gradually.
    """
    if len(set(lora.values())) > 1:
        raise ConfigError("realign.lora and finetune.lora differ: beside each other both train one set of adapters")
    for kind in lora:
        if opens[kind] is not None:
            raise ConfigError(f"{kind}.adapter = 'lora' does not go with gradual unfreezing")
    first = {id(p): name for name, p in encoder.model.named_parameters()}
    places = frozenset().union(*(names[kind] for kind in lora))
    adapters = add_adapters(encoder.model, next(iter(lora.values())), seed, places)
    now = {first[id(p)]: name for name, p in encoder.model.named_parameters() if id(p) in first}
    made = adapter_names(encoder.model)

    def learning(kind: Kind) -> frozenset[str]:
        if kind in lora:
            return frozenset(name for name in made if f"{name.split('.lora_')[0]}.weight" in names[kind])
        return frozenset(now[name] for name in names[kind])

    def renamed(opened: Opens) -> Opens:
        return lambda step: frozenset(PREFIX + now[name.removeprefix(PREFIX)] for name in opened(step))

    stepwise = {kind: None if opened is None else renamed(opened) for kind, opened in opens.items()}
    return adapters, {kind: learning(kind) for kind in names}, stepwise


def moved_parameters(model: nn.Module, before: Mapping[str, Tensor]) -> dict[str, float]:
    """Root mean square change of every parameter that moved at all; what is not listed has kept every bit."""
    moved = {}
    for name, p in model.named_parameters():
        change = p.detach() - before[name].to(p.device)
        if bool(torch.any(change != 0)):
            moved[name] = float(change.square().mean().sqrt())
    return moved
