"""bfloat16 where the hardware computes in it; elsewhere it is many times slower than float32, not faster."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from xrealign.errors import ConfigError

PRECISIONS = ("fp32", "bf16")


def has_bf16(device: str) -> bool:
    """Whether ``cpu`` or ``cuda`` multiplies matrices of bfloat16 in hardware, as far as torch tells."""
    if device == "cuda":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    tell = getattr(torch.cpu, "get_capabilities", dict)  # newer than our floor: an older torch stays with float32
    known: dict[str, Any] = tell()
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))


def half_linear(model: nn.Module, device: str) -> None:
    """Makes the linear layers compute in bfloat16, in place; norms, attention and the sums between stay in float32.

    For inference only. Keeping the sums costs little and more of the result survives than in a model that is
    bfloat16 throughout (docs/align.md has figures).

    Raises:
        ConfigError: ``device`` has no bfloat16.
    """
    if not has_bf16(device):
        raise ConfigError(f"precision bf16: the {device} here does not compute in bfloat16; use fp32")
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.to(torch.bfloat16)
            module.register_forward_pre_hook(_narrow)
            module.register_forward_hook(_widen)


def _narrow(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    return (args[0].to(torch.bfloat16), *args[1:])


def _widen(_module: nn.Module, _args: tuple[Any, ...], output: Tensor) -> Tensor:
    return output.float()
