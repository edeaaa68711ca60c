"""Transformer blocks compiled by torch for as long as they train; weights, their names and what is saved stay."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from xrealign.errors import ConfigError
from xrealign.model.layers import find_blocks


def check_compile(wanted: bool) -> None:
    """Passes where compiling is not wanted, or there is a GPU to compile for.

    Raises:
        ConfigError: it is wanted on a CPU, where a step of a few sentences is over before its kernels are made.
    """
    if wanted and not torch.cuda.is_available():
        raise ConfigError("compile = true is for GPUs, and there is none here; leave it out")


@contextmanager
def compiled_blocks(model: nn.Module, wanted: bool, backend: str = "inductor") -> Iterator[None]:
    """Each block of an encoder by itself, for lengths that vary: all blocks share what one was compiled to.

    Args:
        backend: of ``torch.compile``.
    """
    blocks = find_blocks(model) if wanted else []
    for block in blocks:
        block.compile(dynamic=True, backend=backend)
    try:
        yield
    finally:
        for block in blocks:
            block._compiled_call_impl = None
