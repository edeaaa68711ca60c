"""What is trained and how: a phase is data (steps, optimiser, objectives), strategies are lists of phases.

    none:    [finetune]            before: [realign], [finetune]            during: [finetune + realign]

Each objective brings its own stream, weight, turn and set of trainable parameters, so that front-frozen realignment
means the same before fine-tuning and beside it: its gradient alone is kept from the frozen blocks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor, nn

from xrealign.train.guards import Row, skipped_steps
from xrealign.train.micro import Pieces
from xrealign.train.shared import Reads
from xrealign.train.watch import Watch

After = Callable[[nn.Module, int, frozenset[str]], Row]


def every_step(step: int) -> int | None:
    """The turn of an objective that takes part in all steps."""
    return step


@dataclass(frozen=True)
class Objective:
    """One loss of a phase.

    Attributes:
        name: names its column in the history and its dropout seeds.
        batch: the batch of a step, on the host; a pure function of the step.
        loss: a scalar from the model and the batch, already on the model's device.
        trainable: names of the parameters its gradient reaches; with ``trainable_at``, all that it ever reaches.
        weight: factor of the loss in the sum.
        turn: its own number for a step of the phase (which ``batch`` and ``trainable_at`` get), None where it does
            not take part.
        trainable_at: what it reaches at one of its steps, for gradual unfreezing.
        pieces: the same loss taken apart, so that a batch that does not fit into the memory can be divided.
        items: what the batch of a step was made of (ids of pairs, say), for messages.
        reads: how the loss comes from a pass that it shares with others, whose batches and turns are the same.
        remember: called once the gradients of a step that it takes part in are there, with 1 (on the device) where
            the step is left out and nothing may change.

    Of several processes (torchrun), all get the whole batch and share it if ``pieces`` tells its ``rows``; otherwise
    each computes the loss of what ``batch`` gives it (see `xrealign.train.streams.rank_plan`), and the mean counts.
    """

    name: str
    batch: Callable[[int], Any]
    loss: Callable[[nn.Module, Any], Tensor]
    trainable: frozenset[str]
    weight: float = 1.0
    turn: Callable[[int], int | None] = every_step
    trainable_at: Callable[[int], frozenset[str]] | None = None
    pieces: Pieces | None = None
    items: Callable[[int], Sequence[str]] | None = None
    reads: Reads | None = None
    remember: Callable[[Tensor], None] | None = None

    def reaches(self, turn: int) -> frozenset[str]:
        """Names of the parameters its gradient reaches at its own step ``turn``."""
        return self.trainable if self.trainable_at is None else self.trainable_at(turn)


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
        watch: measures of collapse and forgetting, or None.
        after: called after each step with the model, the number of steps done and the names of all that learns; what
            it returns joins the history. It may choose the weights that the last step leaves: then it tells, as
            ``kept``, of which steps they are (the mean).
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
    watch: Watch | None = None
    after: After | None = None


def rate_at(phase: Phase, step: int) -> float:
    """Learning rate of a step, a pure function of it."""
    warm = math.ceil(phase.warmup * phase.steps)
    if step < warm:
        return phase.learning_rate * (step + 1) / warm
    if phase.schedule == "constant":
        return phase.learning_rate
    return phase.learning_rate * (phase.steps - step) / max(1, phase.steps - warm)


def unused_row_factor(phase: Phase, name: str | None = None, history: Sequence[Row] = ()) -> float:
    """What weight decay alone makes of a row of a parameter whose gradient is always zero: Π (1 − rate · decay).

    Args:
        name: of the parameter: the product is over the steps whose objectives reach it; without it, over all.
        history: of the phase as run, which tells the steps that were left out, where it ended early, and of which
            steps it kept the weights (their mean).
    """
    left_out = set(skipped_steps(history))
    last: Row = history[-1] if history else {"step": phase.steps}
    multiple = multiple_of(phase, name) if name is not None else 1.0
    kept = last.get("kept", [last["step"]])
    return sum(
        math.prod(
            1.0 - rate_at(phase, step) * multiple * phase.weight_decay
            for step in range(steps)
            if step + 1 not in left_out and (name is None or _reached(phase, name, step))
        )
        for steps in kept
    ) / len(kept)


def _reached(phase: Phase, name: str, step: int) -> bool:
    turns = [(objective, objective.turn(step)) for objective in phase.objectives]
    return any(turn is not None and name in objective.reaches(turn) for objective, turn in turns)


def multiple_of(phase: Phase, name: str) -> float:
    return next((m for prefix, m in phase.faster.items() if name.startswith(prefix)), 1.0)
