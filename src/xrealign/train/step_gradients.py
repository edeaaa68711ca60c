"""The gradients of a step: of each objective alone, of several that share a pass, or in parts where memory is short."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from xrealign.errors import TrainingError
from xrealign.model.layers import only_train
from xrealign.progress import say
from xrealign.train.distributed import gathered_backward, ranks
from xrealign.train.micro import cached_backward, out_of_memory
from xrealign.train.phase import Objective, Phase
from xrealign.train.seeds import seed_torch
from xrealign.train.shared import together


def all_gradients(
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
