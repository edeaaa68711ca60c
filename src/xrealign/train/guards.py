"""What becomes of a step whose loss or gradient is not finite: it is left out, counted and named.

The decision is made on the device, by the flag that fused AdamW takes from gradient scalers: a step with the flag up
changes neither weights nor moments nor their count. The host reads the losses only where it writes the history, so
no step waits for it. Three such steps in a row end the run, at the latest ten steps later and with nothing damaged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xrealign.errors import TrainingError
from xrealign.progress import say

IN_A_ROW = 3
SHOWN = 4  # items of a step that a message names
Row = dict[str, Any]
_ADVICE = "try a lower learning_rate, or clip = 1.0"


def not_finite(losses: Sequence[Tensor], gradient_norm: Tensor) -> Tensor:
    """1.0 where a step must be left out, 0.0 where it may be made; on the device. *Shape:* ()"""
    total = torch.stack([*(loss.detach().float() for loss in losses), gradient_norm.float()])
    return (~torch.isfinite(total).all()).float()


def make_row(
    phase: str,
    names: Sequence[str],
    took_part: Callable[[int, int], bool],
    values: Sequence[Sequence[float]],
    since: int,
    rate: float,
    items: Callable[[int, int], Sequence[str]],
) -> Row:
    """A row of the history from the losses of the steps since the last one.

    Args:
        names: of the objectives.
        took_part: whether an objective, by its place, was computed at a step.
        values: losses of the objectives and then the norm of the gradient. *Shape:* (steps, objectives + 1)
        since: the first of the steps, counted from 0.
        items: what an objective's batch of a step was made of, for messages.

    Returns:
        Step (counted from 1), rate, the mean of each loss over the steps made (None where there was none), and under
        ``skipped`` the steps that were not, with the objective (or ``gradient``), its value and items.
    """
    sums, counts = np.zeros(len(names), dtype=np.float32), [0] * len(names)
    skipped = []
    for step, row in enumerate(values, since):
        there = [place for place in range(len(names)) if took_part(place, step)]
        bad = [place for place in there if not math.isfinite(row[place])]
        if bad or not math.isfinite(row[-1]):
            what, value = (names[bad[0]], row[bad[0]]) if bad else ("gradient", row[-1])
            entry: Row = {"step": step + 1, "what": what, "value": str(value)}
            seen = list(items((bad or there)[0], step))
            skipped.append(entry | ({"items": seen} if seen else {}))
            say(f"  {phase}: step {step + 1} is left out: {_named(skipped[-1])}")
            continue
        for place in there:
            sums[place] += np.float32(row[place])
            counts[place] += 1
    means = [float(s / np.float32(n)) if n else None for s, n in zip(sums, counts, strict=True)]
    result: Row = {"step": since + len(values), "rate": rate} | dict(zip(names, means, strict=True))
    return result | ({"skipped": skipped} if skipped else {})


def skipped_steps(history: Iterable[Row]) -> list[int]:
    """The steps that were left out, counted from 1."""
    return [entry["step"] for row in history for entry in row.get("skipped", ())]


def stop_after_three(phase: str, history: Sequence[Row]) -> None:
    """Ends a run whose steps fail one after the other.

    Raises:
        TrainingError: three steps in a row were left out; they are named.
    """
    entries = [entry for row in history for entry in row.get("skipped", ())]
    for start in range(len(entries) - IN_A_ROW + 1):
        run = entries[start : start + IN_A_ROW]
        if run[-1]["step"] - run[0]["step"] == IN_A_ROW - 1:
            steps = ", ".join(str(entry["step"]) for entry in run)
            raise TrainingError(
                f"{phase}: {IN_A_ROW} steps in a row ({steps}) had to be left out, the first because {_named(run[0])}; "
                f"{_ADVICE}"
            )


def check_result(phase: str, history: Sequence[Row], weights: Iterable[tuple[str, Tensor]]) -> None:
    """Looks at what a phase leaves: the last steps may have spoilt weights without a further loss that would tell.

    Raises:
        TrainingError: no step was made at all, or a weight is not finite.
    """
    left_out = len(skipped_steps(history))
    if left_out and left_out == history[-1]["step"]:
        first = next(entry for row in history for entry in row.get("skipped", ()))
        raise TrainingError(
            f"{phase}: every step ({left_out}) had to be left out, the first because {_named(first)}; {_ADVICE}"
        )
    found = dict(weights)
    finite = [torch.isfinite(weight.detach()).all() for weight in found.values()]
    if finite and not all(torch.stack(finite).tolist()):
        name = next(name for name, whole in zip(found, finite, strict=True) if not whole)
        raise TrainingError(f"{phase}: training has left weights that are not finite, first {name!r}; {_ADVICE}")


def _named(entry: Row) -> str:
    what = "the gradient" if entry["what"] == "gradient" else f"the loss {entry['what']!r}"
    items = entry.get("items", [])
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return f"{what} is {entry['value']}" + (f" (items {', '.join(items[:SHOWN])}{more})" if items else "")
