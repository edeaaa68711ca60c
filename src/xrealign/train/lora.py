"""Low-rank adapters (LoRA, Hu et al. 2021, arXiv 2106.09685) through PEFT, put into the encoder where it stands.

    adapters = add_adapters(encoder.model, LoraSettings(), seed)
    … train adapter_names(encoder.model) alone …
    merge_adapters(adapters)            # the encoder is an ordinary one again, ready to be saved

The encoder keeps its class, blocks and embeddings, so layers, compaction and checkpoints work as without adapters;
only names inside the adapted sublayers change until they are merged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from xrealign.errors import ConfigError
from xrealign.model.layers import attention_of, find_blocks
from xrealign.requirements import optional
from xrealign.train.seeds import seed_torch

PREFIX = "lora_"


@dataclass(frozen=True)
class LoraSettings:
    """Which adapters; the update of a matrix is (alpha / rank) · B A, with B zero at first.

    Attributes:
        rank: columns of B and rows of A.
        alpha: factor of the update, times rank.
        dropout: before A.
        targets: the linear layers of the attention, or of whole blocks.
    """

    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    targets: Literal["attention", "all"] = "all"

    def __post_init__(self) -> None:
        """Raises: ConfigError: a value is impossible; all of them are named."""
        wrong = [
            f"lora.{name} = {getattr(self, name)!r} is impossible; expected {expected}"
            for name, expected, fits in (
                ("rank", "1 or more", self.rank >= 1),
                ("alpha", "more than 0", self.alpha > 0),
                ("dropout", "0 to less than 1", 0 <= self.dropout < 1),
                ("targets", "attention or all", self.targets in ("attention", "all")),
            )
            if not fits
        ]
        if wrong:
            raise ConfigError(wrong)


def add_adapters(model: nn.Module, settings: LoraSettings, seed: int, names: frozenset[str] | None = None) -> Any:
    """Puts adapters into ``model`` in place; returns what `merge_adapters` needs.

    A's first values depend on ``seed`` alone. Until a step is made the outputs are unchanged, to the bit.

    Args:
        names: parameters that would learn without adapters (`trainable_names`): only linear layers whose weights are
            among them get one, so that freezing means the same; None for all.

    Raises:
        MissingExtra: PEFT is not installed.
        ConfigError: no block has such linear layers, or all of them are frozen.
    """
    with optional("lora", "adapter = 'lora'"):
        from peft import LoraConfig, LoraModel
    chosen = {
        id(module)
        for block in find_blocks(model)
        for module in (attention_of(block) if settings.targets == "attention" else block).modules()
        if isinstance(module, nn.Linear)
    }
    places = [
        name
        for name, module in model.named_modules()
        if id(module) in chosen and (names is None or f"{name}.weight" in names)
    ]
    if not places:
        raise ConfigError(
            f"no block of {type(model).__name__} has linear layers that may learn, to put adapters into; "
            "freeze less, or train without adapters"
        )
    config = LoraConfig(
        r=settings.rank, lora_alpha=settings.alpha, lora_dropout=settings.dropout, bias="none", target_modules=places
    )
    with torch.random.fork_rng(devices=[]):
        seed_torch(seed, "lora")
        return LoraModel(model, config, "default")


def adapter_names(model: nn.Module) -> frozenset[str]:
    """Names of the adapters' parameters: what learns."""
    return frozenset(name for name, _ in model.named_parameters() if PREFIX in name)


def merge_adapters(adapters: Any) -> Any:
    """Adds the updates to the weights they adapt and takes the adapters out; returns the model itself, in place.

    Raises:
        ConfigError: an update is not finite, so the weights would be lost; nothing has been merged then.
    """
    for name, p in adapters.named_parameters():
        if PREFIX in name and not bool(torch.isfinite(p).all()):
            raise ConfigError(f"the adapter weight {name} is not finite: nothing was merged")
    model = adapters.merge_and_unload()
    if hasattr(model, "peft_config"):
        del model.peft_config
    for p in model.parameters():
        p.requires_grad_(True)
    return model
