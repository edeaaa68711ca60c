"""Several processes, started by torchrun, that train on one batch: data parallel, negatives local or gathered.

Every process makes the plan and the batch of a step as one process does, so that the order of data does not depend on
how many there are. *Gathered*: each encodes its share of the sentences, all exchange the vectors, and each computes
the loss of the whole batch; summed over the processes, the gradient is that of one process. *Local*: each computes
the loss of its own pairs, against their words or sentences alone, and the gradients are averaged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from xrealign.errors import DamagedWork, TrainingError
from xrealign.train.micro import Pieces

T = TypeVar("T")


def ranks() -> tuple[int, int]:
    """The number of this process and how many there are: 0 and 1 without torchrun."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def in_turn(read: Callable[[], T]) -> T:
    """What ``read`` returns, called by the first process alone and then by the others (it may mend what it reads).

    Nobody goes on before all have read.

    Raises:
        DamagedWork: in all processes, where ``read`` raises it in any; else some would wait for the others for ever.
    """
    rank, count = ranks()
    if count == 1:
        return read()
    found: T | None = None
    for reading in (rank == 0, rank > 0):
        fault = None
        try:
            found = read() if reading else found
        except DamagedWork as error:
            fault = str(error)
        faults: list[str | None] = [None] * count
        dist.all_gather_object(faults, fault)
        for told in filter(None, faults):
            raise DamagedWork(told)
    return cast(T, found)


class _Gather(torch.autograd.Function):
    """Rows of all processes, in order of rank; the gradient of a process's rows is the sum of what all found for them.

    After GradCache and open_clip's gather with gradients, with shares of any size: they are padded to the largest.
    """

    @staticmethod
    def forward(ctx: Any, local: Tensor, sizes: tuple[int, ...]) -> Tensor:
        ctx.sizes = sizes
        rows = local.new_zeros(max(sizes), *local.shape[1:])
        rows[: len(local)] = local
        everybody = [torch.empty_like(rows) for _ in sizes]
        dist.all_gather(everybody, rows)
        return torch.cat([part[:size] for part, size in zip(everybody, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total)
        rank = dist.get_rank()
        start = sum(ctx.sizes[:rank])
        return total[start : start + ctx.sizes[rank]], None


def gather_rows(local: Tensor, sizes: Sequence[int]) -> Tensor:
    """Rows of all processes as one tensor that gradients flow back from, to whoever made the row. (N_own, …) → (ΣN, …)

    Args:
        sizes: rows of every process, by rank; all know them beforehand, so that nobody waits to be told.

    Raises:
        TrainingError: this process's rows are not as many as it says.
    """
    rank, count = ranks()
    if len(sizes) != count or sizes[rank] != len(local):
        raise TrainingError(f"process {rank} of {count} has {len(local)} rows to gather; expected {list(sizes)}")
    if count == 1:
        return local
    gathered: Tensor = _Gather.apply(local, tuple(sizes))  # type: ignore[no-untyped-call]
    return gathered


def gathered_backward(
    model: nn.Module,
    batch: Any,
    pieces: Pieces,
    *,
    device: torch.device,
    weight: float = 1.0,
    reseed: Callable[[int | str], None] = lambda part: None,
    context: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> Tensor:
    """Adds this process's share of the gradients of the whole batch's loss; returns that loss, detached.

    After `average_gradients` every process has the gradient that one process finds that divides the batch into as
    many parts (`xrealign.train.micro.cached_backward`), dropout included. Each process needs at least one sentence.

    Args:
        batch: the whole batch, the same on every process, on the host.
        pieces: with ``rows``, by which every process knows beforehand what it will be sent.
        weight, reseed, context: as in `cached_backward`; what the loss itself draws is the same on all processes.
    """
    rank, count = ranks()
    parts = pieces.split(batch, count)
    if len(parts) < count:
        raise TrainingError(
            f"a batch in {len(parts)} parts cannot be shared by {count} processes: use a larger batch_size, or fewer "
            "processes"
        )
    reseed(rank)
    with context():
        vectors = pieces.encode(model, parts[rank].to(device))
    assert pieces.rows is not None
    sizes = [pieces.rows(part) for part in parts]
    alone = isinstance(vectors, Tensor)
    own = (vectors,) if isinstance(vectors, Tensor) else vectors
    everybody = tuple(gather_rows(tensor, sizes) for tensor in own)
    reseed("loss")
    with context():
        loss = pieces.loss(model, everybody[0] if alone else everybody, batch.to(device))
    (loss * weight).backward()  # type: ignore[no-untyped-call]
    return loss.detach()


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Makes every gradient the mean over all processes, in one exchange for each kind of number.

    All processes compute the same objectives, so the same parameters have gradients on all.
    """
    _, count = ranks()
    if count == 1:
        return
    by_kind: dict[torch.dtype, list[Tensor]] = {}
    for gradient in (p.grad for p in parameters if p.grad is not None):
        by_kind.setdefault(gradient.dtype, []).append(gradient)
    for gradients in by_kind.values():
        flat = torch.cat([g.reshape(-1) for g in gradients])
        dist.all_reduce(flat)
        flat /= count
        for gradient, part in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))


def average(value: Tensor) -> Tensor:
    """The mean of a tensor over all processes; NaN or infinite where it is on any."""
    _, count = ranks()
    if count == 1:
        return value
    total = value.clone()
    dist.all_reduce(total)
    return total / count
