"""The one training loop: a phase is data (steps, optimiser, objectives), strategies are lists of phases.

    none:    [finetune]            before: [realign], [finetune]            during: [finetune + realign]

Each objective brings its own stream, weight and set of trainable parameters, so that front-frozen realignment means
the same before fine-tuning and beside it: its gradient alone is kept from the frozen blocks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from xrealign.errors import ConfigError, TrainingError
from xrealign.model.layers import only_train
from xrealign.progress import track
from xrealign.train.checkpoint import load_checkpoint, save_checkpoint
from xrealign.train.seeds import seed_torch

LOG_EVERY = 10


@dataclass(frozen=True)
class Objective:
    """One loss of a phase.

    Attributes:
        name: names its column in the history and its dropout seeds.
        batch: the batch of a step, on the host; a pure function of the step.
        loss: a scalar from the model and the batch, already on the model's device.
        trainable: names of the parameters its gradient reaches.
        weight: factor of the loss in the sum.
    """

    name: str
    batch: Callable[[int], Any]
    loss: Callable[[nn.Module, Any], Tensor]
    trainable: frozenset[str]
    weight: float = 1.0


@dataclass(frozen=True)
class Phase:
    """What to train on and how.

    Attributes:
        steps: optimiser steps.
        learning_rate: highest rate of the schedule.
        schedule: ``constant``, or ``linear`` decay to zero; both after ``warmup`` (share of steps) of linear rise.
        weight_decay: decoupled (AdamW, Loshchilov & Hutter 2019).
        clip: largest norm of the gradient, or None.
        checkpoint_every: steps between checkpoints.
        faster: learning rate of parameters whose names start with a key, as a multiple of the schedule's: a new head
            has further to go than the encoder under it.
    """

    name: str
    steps: int
    learning_rate: float
    objectives: tuple[Objective, ...]
    schedule: Literal["constant", "linear"] = "constant"
    warmup: float = 0.0
    weight_decay: float = 0.0
    clip: float | None = None
    checkpoint_every: int = 100
    faster: Mapping[str, float] = field(default_factory=dict)


def rate_at(phase: Phase, step: int) -> float:
    """Learning rate of a step, a pure function of it."""
    warm = math.ceil(phase.warmup * phase.steps)
    if step < warm:
        return phase.learning_rate * (step + 1) / warm
    if phase.schedule == "constant":
        return phase.learning_rate
    return phase.learning_rate * (phase.steps - step) / max(1, phase.steps - warm)


def unused_row_factor(phase: Phase) -> float:
    """What weight decay alone makes of a parameter that never has a gradient: Π (1 − rate · decay)."""
    return math.prod(1.0 - rate_at(phase, step) * phase.weight_decay for step in range(phase.steps))


def choose_precision(precision: str) -> str:
    """``fp32`` or ``bf16`` for Accelerate; ``auto`` is bf16 on a GPU that has it.

    Raises:
        ConfigError: bf16 was asked for where the hardware has none: there it runs 15 times slower, not faster.
    """
    has = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    if precision == "bf16" and not has:
        raise ConfigError("precision = 'bf16' needs a GPU with bfloat16; here it would be 15 times slower: use 'auto'")
    return "bf16" if precision == "bf16" or (precision == "auto" and has) else "no"


def run_phase(model: nn.Module, phase: Phase, folder: Path, seed: int, precision: str = "auto") -> list[dict[str, Any]]:
    """Trains ``model`` in place, going on from the newest checkpoint in ``folder`` if there is one.

    Returns the history: a row every ten steps with the mean of each loss since the last row and the rate. On a CPU
    the result is the same to the bit, however often the training was killed and run again.

    Raises:
        TrainingError: a loss is not finite; the message names the steps.
    """
    from accelerate import Accelerator

    accelerator = Accelerator(mixed_precision=choose_precision(precision))
    model.to(accelerator.device)
    learning = frozenset().union(*(objective.trainable for objective in phase.objectives))
    only_train(model, learning)
    fused = accelerator.device.type in ("cpu", "cuda")
    optimizer = torch.optim.AdamW(
        _parameter_groups(model, phase),
        lr=phase.learning_rate,
        weight_decay=phase.weight_decay,
        fused=fused,
    )
    start, history = load_checkpoint(folder, model, optimizer)
    sums = torch.zeros(len(phase.objectives), device=accelerator.device)
    since = start
    model.train()
    for step in track(range(start, phase.steps), phase.name, total=phase.steps, done=start):
        rate = rate_at(phase, step)
        for group in optimizer.param_groups:
            group["lr"] = rate * group["multiple"]
        for index, objective in enumerate(phase.objectives):
            if len(phase.objectives) > 1:
                only_train(model, objective.trainable)
            seed_torch(seed, "dropout", phase.name, objective.name, step)
            batch = objective.batch(step).to(accelerator.device)
            with accelerator.autocast():
                loss = objective.loss(model, batch)
            accelerator.backward(loss * objective.weight)
            sums[index] += loss.detach()
        if phase.clip is not None:
            torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.grad is not None], phase.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        done = step + 1
        if done % LOG_EVERY == 0 or done == phase.steps or done % phase.checkpoint_every == 0:
            history.append(_history_row(phase, sums, since, done, rate))
            sums.zero_()
            since = done
        if done % phase.checkpoint_every == 0 and done < phase.steps:
            save_checkpoint(folder, done, model, optimizer, history)
    model.eval()
    only_train(model, learning)
    return history


def _parameter_groups(model: nn.Module, phase: Phase) -> list[dict[str, Any]]:
    """Trainable parameters by the multiple of the learning rate they get."""
    groups: dict[float, list[nn.Parameter]] = {}
    for name, p in model.named_parameters():
        if p.requires_grad:
            multiple = next((m for prefix, m in phase.faster.items() if name.startswith(prefix)), 1.0)
            groups.setdefault(multiple, []).append(p)
    return [{"params": members, "multiple": multiple} for multiple, members in groups.items()]


def _history_row(phase: Phase, sums: Tensor, since: int, done: int, rate: float) -> dict[str, Any]:
    means = (sums / max(1, done - since)).tolist()
    bad = [o.name for o, mean in zip(phase.objectives, means, strict=True) if not math.isfinite(mean)]
    if bad:
        raise TrainingError(
            f"{phase.name}: the loss {bad[0]!r} became {means[0]} between steps {since + 1} and {done}; "
            "try a lower learning_rate, or clip = 1.0"
        )
    return {"step": done, "rate": rate} | {o.name: m for o, m in zip(phase.objectives, means, strict=True)}
