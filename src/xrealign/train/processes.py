"""Processes that torchrun has started join, and the first of them tells the others what to do.

The first process does all that one process does. The others wait, however long that takes, until it trains: then they
take part (`xrealign.train.distributed`), and what they would write goes to a folder that is thrown away.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from xrealign.errors import TrainingError
from xrealign.signals import Stopped, stop, stop_asked
from xrealign.train.distributed import ranks

PATIENCE = timedelta(days=14)  # the others wait while the first one collects, aligns and measures
HOST = torch.device("cpu")


@contextlib.contextmanager
def joined() -> Iterator[int]:
    """Joins the processes of this torchrun while it lasts; the number of this one. Without torchrun: 0, and nothing.

    An error in one process ends all of them and is raised in it alone; in the others it is a silent ``SystemExit``.
    A signal reaches every process: each ends as it was asked to.

    Raises:
        TrainingError: there are fewer GPUs than processes on this machine, or another process was killed.
    """
    if dist.is_initialized() or "RANK" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield ranks()[0]
        return
    backend = "gloo"
    if torch.cuda.is_available():
        place, there = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if place >= there:
            raise TrainingError(f"process {place + 1} of this machine has no GPU of its own: there are {there}; give "
                                f"torchrun --nproc-per-node {there}")  # fmt: skip
        torch.cuda.set_device(place)
        backend = "cpu:gloo,cuda:nccl"
    store, rank, count = next(rendezvous("env://", timeout=PATIENCE))
    dist.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=PATIENCE)
    failures = PrefixStore("xrealign", store)
    try:
        yield rank
    except Stopped:
        raise
    except BaseException as error:
        another_ended = "by peer" in str(error)
        if another_ended and stop_asked():
            stop()
        if not _is_first(failures):
            raise SystemExit(2) from error
        if another_ended:
            raise TrainingError(f"process {rank + 1} of {count}: another one has ended; what torchrun says of it "
                                "tells why") from error  # fmt: skip
        raise
    dist.destroy_process_group()


def _is_first(failures: Store) -> bool:
    """Whether no other process has failed before; the store lives as long as torchrun."""
    try:
        return int(failures.add("failed", 1)) == 1
    except dist.DistError:  # its host has ended already
        return False


def tell(order: str | None) -> None:
    """Says an order to all other processes, which wait in `orders`; None is the last one."""
    if ranks()[1] > 1:
        dist.broadcast_object_list([order], src=0, device=HOST)


def orders() -> Iterator[str]:
    """What the first process tells, one by one, for the others."""
    while True:
        heard: list[Any] = [None]
        dist.broadcast_object_list(heard, src=0, device=HOST)
        if heard[0] is None:
            return
        yield heard[0]
