"""The one training loop: runs a phase (`xrealign.train.phase`) step by step, goes on from checkpoints, keeps a history.

A step that is not finite is left out (`xrealign.train.guards`), a batch that does not fit is divided
(`xrealign.train.micro`), collapse is watched (`xrealign.train.watch`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from xrealign.errors import ConfigError, TrainingError
from xrealign.model.layers import only_train
from xrealign.progress import say, track
from xrealign.signals import asked_not_interrupted, stop, stop_asked
from xrealign.train.checkpoint import Progress, load_checkpoint, save_checkpoint
from xrealign.train.distributed import average, average_gradients, in_turn, ranks
from xrealign.train.guards import Row, check_result, make_row, not_finite, stop_after_three
from xrealign.train.phase import Phase, multiple_of, rate_at
from xrealign.train.step_gradients import all_gradients
from xrealign.train.watch import Measures, take, warnings_of

LOG_EVERY = 10


def choose_precision(precision: str) -> str:
    """``fp32`` or ``bf16`` for Accelerate; ``auto`` is bf16 on a GPU that has it.

    Raises:
        ConfigError: bf16 was asked for where the hardware has none: there it runs 15 times slower, not faster.
    """
    has = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    if precision == "bf16" and not has:
        raise ConfigError("precision = 'bf16' needs a GPU with bfloat16; here it would be 15 times slower: use 'auto'")
    return "bf16" if precision == "bf16" or (precision == "auto" and has) else "no"


@asked_not_interrupted()
def run_phase(model: nn.Module, phase: Phase, folder: Path, seed: int, precision: str = "auto") -> list[Row]:
    """Trains ``model`` in place, going on from the newest checkpoint in ``folder`` if there is one.

    Returns the history: a row every ten steps (and at checkpoints and measurings) with the mean of each loss since
    the last row (None where there was no step), the rate and, where there is anything to tell: ``skipped`` (see
    `make_row`), ``parts`` (into how many an objective's batches are divided), ``watch``, ``watch at start``,
    ``warnings`` and ``stopped`` (why the phase ended early). On a CPU the result is the same to the bit, however
    often the training was killed and run again. A signal to end (`xrealign.signals`) lets the step be finished and
    saves it.

    Raises:
        TrainingError: three steps in a row with a loss or gradient that is not finite; or the memory is too small even
            for single sentences. The message names steps and items.
    """
    from accelerate import Accelerator

    accelerator = Accelerator(mixed_precision=choose_precision(precision))
    device = accelerator.device
    model.to(device)
    learning = frozenset().union(*(objective.trainable for objective in phase.objectives))
    only_train(model, learning)
    fused = device.type in ("cpu", "cuda")
    optimizer = torch.optim.AdamW(
        _parameter_groups(model, phase), lr=phase.learning_rate, weight_decay=phase.weight_decay, fused=fused
    )
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    if not parameters:
        raise TrainingError(f"{phase.name}: there is nothing to train: all weights are frozen and no head is on top")
    rank, count = ranks()
    progress = in_turn(lambda: load_checkpoint(folder, model, optimizer))
    start, history = progress.step, list(progress.history)
    parts = dict(progress.parts)
    before = progress.before if start else take(phase.watch, model) if phase.watch else None
    losses = torch.zeros(LOG_EVERY, len(phase.objectives) + 1, device=device)
    since = start - len(progress.pending)
    if progress.pending:
        losses[: start - since] = torch.tensor(progress.pending, device=device)

    def save(done: int) -> None:
        if rank == 0:
            pending = losses[: done - since].tolist()
            save_checkpoint(folder, Progress(done, history, pending, before, dict(parts)), model, optimizer)

    model.train()
    steps = range(start, phase.steps)
    for step in track(steps, phase.name, total=phase.steps, done=start) if rank == 0 else steps:
        rate = rate_at(phase, step)
        for group in optimizer.param_groups:
            group["lr"] = rate * group["multiple"]
        try:
            found = all_gradients(model, phase, step, seed, accelerator, parts)
            if count > 1 and found:
                average_gradients(parameters)
                found = dict(zip(found, average(torch.stack([loss.float() for loss in found.values()])), strict=True))
        except RuntimeError as error:
            if count == 1:
                raise
            if step > start:  # most often another process has ended; what this one holds is of the steps before
                save(step)
            if stop_asked():
                say(f"  {phase.name}: stopped after step {step} of {phase.steps}, which is saved")
                stop()
            what = f"{phase.name}: step {step + 1} failed among {count} processes, one of which may have ended"
            raise TrainingError(f"{what}; what was done before is saved: {error}") from error
        gradients = [p.grad for p in parameters if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if phase.clip is not None:
            torch.nn.utils.clip_grads_with_norm_([p for p in parameters if p.grad is not None], phase.clip, norm)
        flag = not_finite(list(found.values()), norm)
        for remember in [phase.objectives[place].remember for place in found]:
            _ = remember(flag) if remember is not None else None
        for place, loss in found.items():
            losses[step - since, place] = loss
        losses[step - since, -1] = norm
        if fused:
            optimizer.found_inf = flag  # type: ignore[attr-defined]
            optimizer.step()
        elif not bool(flag):
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        done = step + 1
        measuring = phase.watch is not None and done % phase.watch.every == 0
        told = phase.after(model, done, learning) if phase.after is not None else {}
        if done % LOG_EVERY == 0 or done == phase.steps or done % phase.checkpoint_every == 0 or measuring or told:
            row = _history_row(phase, losses[: done - since].tolist(), since, rate)
            row |= told
            row |= {"parts": dict(parts)} if parts else {}
            row |= {"watch at start": before} if before is not None and not history else {}
            row |= _watched(model, phase, before) if measuring and before is not None else {}
            history.append(row)
            stop_after_three(phase.name, history)
            since = done
            if "stopped" in row:
                break
        if stop_asked() or (done % phase.checkpoint_every == 0 and done < phase.steps):
            save(done)
        if stop_asked():
            say(f"  {phase.name}: stopped after step {done} of {phase.steps}, which is saved")
            stop()
    model.eval()
    only_train(model, learning)
    check_result(phase.name, history, ((name, p) for name, p in model.named_parameters() if p.requires_grad))
    return history


def _parameter_groups(model: nn.Module, phase: Phase) -> list[dict[str, Any]]:
    """Trainable parameters by the multiple of the learning rate they get."""
    groups: dict[float, list[nn.Parameter]] = {}
    for name, p in model.named_parameters():
        if p.requires_grad:
            groups.setdefault(multiple_of(phase, name), []).append(p)
    return [{"params": members, "multiple": multiple} for multiple, members in groups.items()]


def _history_row(phase: Phase, values: Sequence[Sequence[float]], since: int, rate: float) -> Row:
    def took_part(place: int, step: int) -> bool:
        return phase.objectives[place].turn(step) is not None

    def items(place: int, step: int) -> Sequence[str]:
        objective = phase.objectives[place]
        turn = objective.turn(step)
        return objective.items(turn) if objective.items is not None and turn is not None else ()

    return make_row(phase.name, [o.name for o in phase.objectives], took_part, values, since, rate, items)


def _watched(model: nn.Module, phase: Phase, before: Measures) -> Row:
    """What a measuring adds to its row; warnings are said."""
    assert phase.watch is not None
    now = take(phase.watch, model)
    warnings = warnings_of(before, now, phase.watch.limits)
    for line in warnings:
        say(f"  {phase.name}: {line}")
    row: Row = {"watch": now} | ({"warnings": warnings} if warnings else {})
    return row | ({"stopped": warnings[0]} if warnings and phase.watch.stop else {})
