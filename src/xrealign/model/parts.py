"""A batch in parts of like length, so that little of what is computed is padding.

On a CPU the time of a pass grows with the places computed on, S · T. Training batches, which hold both sides of a
bitext, are therefore cut into parts, each run on its own and padded to its own longest sentence; the states are put
back where they belong. A GPU would wait for the launches of small passes: there the batch stays whole.

*Shapes:* S sentences, T subwords, D dims.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

# What one more pass costs beyond its places, counted in places: its kernels must be called, whatever their size.
PASS = 32
Array = np.ndarray[Any, Any]
States = dict[int, Tensor]


@dataclass(frozen=True)
class Part:
    """Sentences of a batch that are run together.

    Attributes:
        rows: which ones, long. *Shape:* (S',)
        width: subwords of the longest.
    """

    rows: Tensor
    width: int


def length_parts(lengths: Array, cost: float = PASS) -> list[Array]:
    """Cuts a batch into parts of like lengths, so that Σ (rows · longest + ``cost``) over the parts is smallest.

    Rows in order of length, cut at the best places (found exactly, by dynamic programming over distinct lengths).

    Returns:
        places in ``lengths``, longest part first; together every one once.
    """
    order = np.argsort(-lengths, kind="stable")
    sizes = lengths[order]
    starts = np.flatnonzero(np.r_[True, np.diff(sizes) != 0]) if len(sizes) else np.zeros(0, dtype=np.int64)
    ends = np.r_[starts[1:], len(sizes)]
    best, first = np.zeros(len(starts) + 1), np.zeros(len(starts), dtype=np.int64)
    for last in range(len(starts)):  # best[n]: of the n greatest lengths, when a part ends there
        total = best[: last + 1] + (ends[last] - starts[: last + 1]) * sizes[starts[: last + 1]] + cost
        first[last] = total.argmin()
        best[last + 1] = total[first[last]]
    found, last = [], len(starts) - 1
    while last >= 0:
        found.append(order[starts[first[last]] : ends[last]])
        last = int(first[last]) - 1
    return found[::-1]


def parts_of(model: nn.Module, inputs: Mapping[str, Tensor]) -> list[Part]:
    """The parts of a batch in training on a CPU, none where it is run as a whole.

    Args:
        inputs: of the encoder, with the mask, (S, T).
    """
    mask = inputs.get("attention_mask")
    if not model.training or mask is None or mask.device.type != "cpu" or mask.dim() != 2:
        return []
    if any(value.shape[:2] != mask.shape for value in inputs.values()):
        return []
    inside = mask.numpy() != 0
    width = inside.shape[1]
    lengths = np.where(inside.any(1), width - inside[:, ::-1].argmax(1), 1)
    found = length_parts(lengths)
    return [Part(torch.from_numpy(rows), int(lengths[rows].max())) for rows in found] if len(found) > 1 else []


def in_parts(parts: list[Part], width: int, run: Callable[[Part], States]) -> States:
    """The states of a batch, (S, T, D) each, from those of its parts, (S', T', D); zeros where a part has no place.

    Args:
        width: T.
    """
    found = [run(part) for part in parts]
    back = torch.argsort(torch.cat([part.rows for part in parts]))
    joined: States = {}
    for layer in found[0]:
        padded = [
            F.pad(states[layer], (0, 0, 0, width - part.width)) for states, part in zip(found, parts, strict=True)
        ]
        joined[layer] = torch.cat(padded).index_select(0, back)
    return joined


def cut(tensors: Mapping[str, Tensor], part: Part) -> dict[str, Tensor]:
    """The part's rows of tensors, (S, T, …) each, as wide as the part."""
    return {name: value[:, : part.width].index_select(0, part.rows) for name, value in tensors.items()}
