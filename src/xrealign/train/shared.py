"""Objectives that read the same states share one pass through the encoder, and one way back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

if TYPE_CHECKING:
    from xrealign.train.phase import Objective

States = Mapping[int, Tensor]


@dataclass(frozen=True, eq=False)
class SharedPass:
    """A pass over a batch that several objectives of a phase read; all of them hold this very object.

    Attributes:
        states: from the model and the batch, already on the model's device, at every layer that any of them reads.
    """

    states: Callable[[nn.Module, Any], States]


@dataclass(frozen=True)
class Reads:
    """What an objective makes of a shared pass.

    Attributes:
        loss: its scalar, from the model, the states and the batch.
    """

    of: SharedPass
    loss: Callable[[nn.Module, States, Any], Tensor]


def together(objectives: Sequence[Objective], step: int, alone: Collection[str] = ()) -> list[tuple[int, ...]]:
    """The places of the objectives that take part in a step, those that share a pass in one tuple, in order.

    Args:
        alone: names of those whose batches are divided: they pass by themselves.
    """
    groups: list[tuple[int, ...]] = []
    at: dict[int, int] = {}
    for place, objective in enumerate(objectives):
        if objective.turn(step) is None:
            continue
        key = id(objective.reads.of) if objective.reads is not None and objective.name not in alone else None
        if key is not None and key in at:
            groups[at[key]] += (place,)
            continue
        if key is not None:
            at[key] = len(groups)
        groups.append((place,))
    return groups
