"""Random numbers as pure functions of names: nothing to save, nothing to restore.

Every draw of a run (order of data, dropout of a step, first values of a head) has a seed made from the run's seed
and the names of what it is for. Step 1,000 needs no memory of steps 0 to 999, so resuming is exact, and two
strategies see the same data in the same order.
"""

from __future__ import annotations

import functools
import hashlib

import numpy as np
import torch


def seed_for(seed: int, *names: str | int) -> int:
    """A 63-bit seed that depends on ``seed`` and every name."""
    text = "\0".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def numpy_generator(seed: int, *names: str | int) -> np.random.Generator:
    """A generator for drawing data."""
    return np.random.default_rng(seed_for(seed, *names))


def seed_torch(seed: int, *names: str | int) -> None:
    """Seeds torch on every device, for the dropout of one step or the first values of one module."""
    number = seed_for(seed, *names)
    if _accelerated():
        torch.manual_seed(number)
    else:  # the same numbers; torch.manual_seed would format a stack trace for each kind of device that is not there
        torch.default_generator.manual_seed(number)


@functools.cache
def _accelerated() -> bool:
    return torch.accelerator.is_available()
