"""The one training loop: a phase is data (steps, optimiser, objectives), strategies are lists of phases.

    none:    [finetune]            before: [realign], [finetune]            during: [finetune + realign]

Each objective brings its own stream, weight, turn and set of trainable parameters, so that front-frozen realignment
means the same before fine-tuning and beside it: its gradient alone is kept from the frozen blocks. A step that is not
finite is left out (`xrealign.train.guards`), a batch that does not fit is divided (`xrealign.train.micro`), collapse
is watched (`xrealign.train.watch`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from xrealign.errors import ConfigError, TrainingError
from xrealign.model.layers import only_train
from xrealign.progress import say, track
from xrealign.signals import asked_not_interrupted, stop, stop_asked
from xrealign.train.checkpoint import Progress, load_checkpoint, save_checkpoint
from xrealign.train.distributed import average, average_gradients, gathered_backward, in_turn, ranks
from xrealign.train.guards import Row, check_result, make_row, not_finite, skipped_steps, stop_after_three
from xrealign.train.micro import Pieces, cached_backward, out_of_memory
from xrealign.train.seeds import seed_torch
from xrealign.train.shared import Reads, together
from xrealign.train.watch import Measures, Watch, take, warnings_of

LOG_EVERY = 10
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
    multiple = _multiple(phase, name) if name is not None else 1.0
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
    parts = dict(history[-1].get("parts", {})) if history else {}
    before = progress.before if start else take(phase.watch, model) if phase.watch else None
    losses = torch.zeros(LOG_EVERY, len(phase.objectives) + 1, device=device)
    since = start - len(progress.pending)
    if progress.pending:
        losses[: start - since] = torch.tensor(progress.pending, device=device)

    def save(done: int) -> None:
        if rank == 0:
            pending = losses[: done - since].tolist()
            save_checkpoint(folder, Progress(done, history, pending, before), model, optimizer)

    model.train()
    steps = range(start, phase.steps)
    for step in track(steps, phase.name, total=phase.steps, done=start) if rank == 0 else steps:
        rate = rate_at(phase, step)
        for group in optimizer.param_groups:
            group["lr"] = rate * group["multiple"]
        found = _all_gradients(model, phase, step, seed, accelerator, parts)
        if count > 1 and found:
            average_gradients(parameters)
            found = dict(zip(found, average(torch.stack([loss.float() for loss in found.values()])), strict=True))
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


def _all_gradients(
    model: nn.Module, phase: Phase, step: int, seed: int, accelerator: Any, parts: dict[str, int]
) -> dict[int, Tensor]:
    """Gradients of all objectives of a step; returns their losses by place. Divides what does not fit (``parts``)."""
    while True:
        found: dict[int, Tensor] = {}
        failed: Objective | None = None
        for places in together(phase.objectives, step, _passing_alone(phase, parts)):
            objective = phase.objectives[places[0]]
            try:
                if len(places) > 1:
                    found |= _shared_gradient(model, phase, places, step, seed, accelerator)
                    continue
                own = parts.get(objective.name, 1)
                found[places[0]] = _gradient(model, phase, objective, step, seed, accelerator, own)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                if ranks()[1] > 1:  # the others would wait for this process for ever; torchrun ends them
                    raise TrainingError(
                        f"{phase.name}: the memory of process {ranks()[0] + 1} of {ranks()[1]} is too small at step "
                        f"{step + 1} for {objective.name!r}; try a smaller batch_size or max_length, or more processes"
                    ) from error
                # What is begun again below must find the memory free of this attempt.
                failed = next((o for o in (phase.objectives[p] for p in places) if o.pieces is not None), objective)
                break
        if failed is None:
            return found
        found.clear()
        model.zero_grad(set_to_none=True)
        if accelerator.device.type == "cuda":
            torch.cuda.empty_cache()
        parts[failed.name] = _more_parts(phase, failed, step, parts.get(failed.name, 1))


def _passing_alone(phase: Phase, parts: Mapping[str, int]) -> set[str]:
    """Names of the objectives whose batches are divided, by parts or among processes."""
    shared = {o.name for o in phase.objectives if o.pieces is not None and o.pieces.rows is not None}
    return set(parts) | (shared if ranks()[1] > 1 else set())


def _shared_gradient(
    model: nn.Module, phase: Phase, places: Sequence[int], step: int, seed: int, accelerator: Any
) -> dict[int, Tensor]:
    """`_gradient` of several objectives from one pass: the gradient of their weighted sum."""
    objectives = [phase.objectives[place] for place in places]
    turn, first = objectives[0].turn(step), objectives[0].reads
    assert turn is not None
    assert first is not None
    only_train(model, frozenset().union(*(objective.reaches(turn) for objective in objectives)))
    rank = ranks()[0]
    seed_torch(seed, "dropout", phase.name, "+".join(o.name for o in objectives), step, *((rank,) if rank else ()))
    batch = objectives[0].batch(turn).to(accelerator.device)
    with accelerator.autocast():
        states = first.of.states(model, batch)
        losses = [o.reads.loss(model, states, batch) for o in objectives if o.reads is not None]
    weighted = [loss * objective.weight for loss, objective in zip(losses, objectives, strict=True)]
    accelerator.backward(torch.stack(weighted).sum())
    return {place: loss.detach() for place, loss in zip(places, losses, strict=True)}


def _gradient(
    model: nn.Module, phase: Phase, objective: Objective, step: int, seed: int, accelerator: Any, parts: int
) -> Tensor:
    turn = objective.turn(step)
    assert turn is not None
    if len(phase.objectives) > 1 or objective.trainable_at is not None:
        only_train(model, objective.reaches(turn))
    names = ("dropout", phase.name, objective.name, step)
    batch = objective.batch(turn)
    if parts > 1 and objective.pieces is not None:
        return cached_backward(
            model,
            batch,
            objective.pieces,
            parts,
            device=accelerator.device,
            weight=objective.weight,
            reseed=lambda part: seed_torch(seed, *names, part),
            context=accelerator.autocast,
        )
    rank, count = ranks()
    if count > 1 and objective.pieces is not None and objective.pieces.rows is not None:
        return gathered_backward(
            model,
            batch,
            objective.pieces,
            device=accelerator.device,
            weight=objective.weight,
            reseed=lambda part: seed_torch(seed, *names, part),
            context=accelerator.autocast,
        )
    seed_torch(seed, *names, *((rank,) if rank else ()))
    batch = batch.to(accelerator.device)
    with accelerator.autocast():
        loss = objective.loss(model, batch)
    accelerator.backward(loss * objective.weight)
    return loss.detach()


def _more_parts(phase: Phase, objective: Objective, step: int, parts: int) -> int:
    """Twice as many parts, said in one line.

    Raises:
        TrainingError: the batch cannot be divided (any further).
    """
    place = f"{phase.name}: the memory is too small at step {step + 1} for {objective.name!r}"
    pieces, turn = objective.pieces, objective.turn(step)
    batch = objective.batch(turn) if turn is not None else None
    if pieces is None or len(pieces.split(batch, 2 * parts)) <= (len(pieces.split(batch, parts)) if parts > 1 else 1):
        raise TrainingError(
            f"{place}, and its batch cannot be divided any further; try a smaller batch_size or max_length, "
            "precision = 'bf16', or freeze = 'embeddings'"
        )
    say(f"  {place}: from here on its batches are worked on in {2 * parts} parts, with the same negatives and loss")
    return 2 * parts


def _multiple(phase: Phase, name: str) -> float:
    return next((m for prefix, m in phase.faster.items() if name.startswith(prefix)), 1.0)


def _parameter_groups(model: nn.Module, phase: Phase) -> list[dict[str, Any]]:
    """Trainable parameters by the multiple of the learning rate they get."""
    groups: dict[float, list[nn.Parameter]] = {}
    for name, p in model.named_parameters():
        if p.requires_grad:
            groups.setdefault(_multiple(phase, name), []).append(p)
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
