"""Low-rank adapters on disk, and weighted sums of them on the encoder that they were trained on.

Adapters are merged into the encoder when a training ends (`xrealign.train.lora`); what they were is kept beside it, so
that adapters of several languages or texts can be put together without training: W + Σ wₖ·Bₖ·Aₖ. This is task
arithmetic (Ilharco et al. 2023, arXiv 2212.04089) on updates; language arithmetic (Klimaszewski et al. 2024, arXiv
2404.15737) sums the parameters of bottleneck adapters, which for low-rank ones would mix Aₖ with Bₗ of another.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from xrealign.errors import ArtifactError, ConfigError, DataError
from xrealign.model.encoder import Encoder, folder_digest
from xrealign.model.folder import save_tensors
from xrealign.train.distributed import ranks

ADAPTER = "adapter.safetensors"
DOWN, UP = ".A", ".B"


def adapter_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Of each weight ``name`` that has an adapter, ``name.A`` (rank, in) and ``name.B`` (out, rank), whose product
    B·A is what merging adds: the factor alpha / rank is in B."""
    found: dict[str, Tensor] = {}
    for name, module in model.named_modules():
        if hasattr(module, "lora_A") and hasattr(module, "scaling"):
            for adapter, factor in module.scaling.items():
                down, up = module.lora_A[adapter].weight, module.lora_B[adapter].weight
                found[f"{name}.weight{DOWN}"] = down.detach().float().cpu().contiguous()
                found[f"{name}.weight{UP}"] = (up.detach().float().cpu() * factor).contiguous()
    return found


def save_adapter(encoder: Encoder, folder: Path) -> None:
    """Writes ``adapter.safetensors`` before the adapters in ``encoder`` are merged, with the digest of the folder that
    the encoder came from."""
    from safetensors.torch import save_file

    if ranks()[0] > 0:
        return
    folder.mkdir(parents=True, exist_ok=True)
    save_tensors(adapter_tensors(encoder.model), folder / ADAPTER, save_file, {"base": folder_digest(encoder.folder)})


def read_adapter(path: Path) -> tuple[dict[str, Tensor], str]:
    """What `save_adapter` wrote, and the digest of the encoder it belongs to.

    Args:
        path: the file, or the folder of a result that holds it.

    Raises:
        ArtifactError: there is none, or it is damaged.
    """
    from safetensors import SafetensorError, safe_open

    file = path / ADAPTER if path.is_dir() else path
    if not file.is_file():
        raise ArtifactError(f"{path} has no {ADAPTER}; expected the result of a training with adapter = 'lora'")
    try:
        with safe_open(file, framework="pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - no mapping
            digest = str((opened.metadata() or {})["base"])
    except (SafetensorError, KeyError, OSError) as error:
        raise ArtifactError(f"{file} is no adapter saved by xrealign ({error})") from None
    names = {name.removesuffix(DOWN) for name in tensors if name.endswith(DOWN)}
    if {f"{name}{end}" for name in names for end in (DOWN, UP)} != set(tensors):
        raise ArtifactError(f"{file} is damaged: not every A has its B")
    return tensors, digest


def add_adapters_to(encoder: Encoder, adapters: Sequence[tuple[Path, float]]) -> dict[str, Any]:
    """Adds Σ wₖ·Bₖ·Aₖ to the weights of ``encoder`` in place, summed in float64; returns facts.

    Args:
        adapters: each with its weight, which may be negative; weights need not sum to 1.

    Raises:
        ConfigError: there are none, or a weight is not a finite number.
        ArtifactError: a file is no adapter.
        DataError: an adapter was trained on another encoder.
    """
    if not adapters:
        raise ConfigError("there are no adapters to add; give them as FOLDER=WEIGHT")
    digest, total = folder_digest(encoder.folder), dict[str, Tensor]()
    own: Mapping[str, Tensor] = dict(encoder.model.named_parameters())
    for path, weight in adapters:
        if not math.isfinite(weight):
            raise ConfigError(f"{path} = {weight}: the weight of an adapter is a finite number, such as 0.5")
        tensors, base = read_adapter(path)
        if base != digest:
            raise DataError(f"{path} was trained on another encoder than {encoder.folder}, and means nothing on it")
        for name in (name.removesuffix(DOWN) for name in tensors if name.endswith(DOWN)):
            update = weight * (tensors[name + UP].double() @ tensors[name + DOWN].double())
            if name not in own or own[name].shape != update.shape or not bool(update.isfinite().all()):
                raise DataError(f"{path}: {name} does not fit the encoder, or is not finite")
            total[name] = total[name] + update if name in total else update
    with torch.no_grad():
        for name, update in total.items():
            own[name].copy_((own[name].double() + update).to(own[name].dtype))
    return {"adapters": {str(path): weight for path, weight in adapters}, "weights": len(total)}
