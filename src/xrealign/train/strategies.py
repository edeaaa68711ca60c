"""When to realign and when to fine-tune: a strategy is a list of phases over these two objectives.

| strategy | phases |
|---|---|
| `none` | finetune |
| `before` | realign, finetune |
| `during` | joint: both losses in every step |
| `after` | finetune, realign |
| `before+during` | realign, joint |
| `alternating` | alternate: every n-th step realigns, the others fine-tune |

Gaschi et al. (2023, arXiv 2306.02790) compare before, during and after; alternating is how mid-layer alignment of
decoders is trained (Liu & Niehues 2025, arXiv 2502.14830).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from xrealign.errors import ConfigError, did_you_mean
from xrealign.train.phase import Objective, Phase

STRATEGIES = ("none", "before", "during", "after", "before+during", "alternating")
Kind = Literal["finetune", "realign"]


@dataclass(frozen=True, slots=True)
class PhaseSpec:
    """A phase before there is a model.

    Attributes:
        name: names its folder, its rows and its dropout seeds.
        steps: optimiser steps.
        weights: factors of the losses that take part.
        settings: whose optimiser, rate, schedule and clipping it has.
        every: every so manieth step realigns and the others fine-tune; None: all objectives in all steps.
    """

    name: str
    steps: int
    weights: Mapping[Kind, float]
    settings: Kind
    every: int | None = None


def plan_phases(
    strategy: str, finetune_steps: int, realign_steps: int, weight: float = 0.1, every: int = 2
) -> tuple[PhaseSpec, ...]:
    """The phases of a strategy, in order; those without steps are left out.

    Args:
        finetune_steps: how often the task is trained on, in every strategy.
        realign_steps: of phases of realignment alone. Beside fine-tuning there are as many as it has steps
            (``during``), or one in ``every`` of all steps (``alternating``).
        weight: of the realignment loss in a joint step; alone it has weight 1.
        every: of ``alternating``, 2 or more.

    Raises:
        ConfigError: the strategy is unknown, or ``every`` or ``weight`` is impossible.
    """
    if strategy not in STRATEGIES:
        known = ", ".join(STRATEGIES)
        hint = did_you_mean(strategy, STRATEGIES)
        raise ConfigError(f"strategy = {strategy!r} is unknown; expected one of {known}{hint}")
    if every < 2:
        raise ConfigError(f"every = {every} is impossible; expected 2 or more: every 2nd step realigns, and so on")
    if weight <= 0:
        raise ConfigError(f"weight = {weight} is impossible; expected more than 0, or strategy = 'none'")
    alone = PhaseSpec("realign", realign_steps, {"realign": 1.0}, "realign")
    task = PhaseSpec("finetune", finetune_steps, {"finetune": 1.0}, "finetune")
    joint = PhaseSpec("joint", finetune_steps, {"finetune": 1.0, "realign": weight}, "finetune")
    both: Mapping[Kind, float] = {"finetune": 1.0, "realign": 1.0}
    mixed = PhaseSpec("alternate", finetune_steps + finetune_steps // (every - 1), both, "finetune", every)
    phases = {
        "none": (task,),
        "before": (alone, task),
        "during": (joint,),
        "after": (task, alone),
        "before+during": (alone, joint),
        "alternating": (mixed,),
    }[strategy]
    return tuple(phase for phase in phases if phase.steps > 0)


def turns(spec: PhaseSpec, kind: Kind) -> int:
    """How many steps of a phase an objective takes part in: how many batches it needs."""
    if kind not in spec.weights:
        return 0
    return sum(turn_of(spec, kind)(step) is not None for step in range(spec.steps)) if spec.every else spec.steps


def turn_of(spec: PhaseSpec, kind: Kind) -> Callable[[int], int | None]:
    """An objective's own number for a step of the phase, or None where it is not its turn; a pure function."""
    every = spec.every

    def turn(step: int) -> int | None:
        if every is None:
            return step
        realigned = step // every  # realignment steps before this one
        if (step + 1) % every == 0:
            return realigned if kind == "realign" else None
        return step - realigned if kind == "finetune" else None

    return turn


def make_phase(
    spec: PhaseSpec, objectives: Mapping[Kind, Sequence[Objective]], templates: Mapping[Kind, Phase]
) -> Phase:
    """A phase of the loop.

    Args:
        objectives: those that take part; their weights are multiplied by the phase's, their turns set by it.
        templates: phases with the optimiser settings of each table; name, steps and objectives are replaced.
    """
    chosen = tuple(
        replace(objective, weight=objective.weight * weight, turn=turn_of(spec, kind))
        for kind, weight in spec.weights.items()
        for objective in objectives[kind]
    )
    return replace(templates[spec.settings], name=spec.name, steps=spec.steps, objectives=chosen)
