"""Blocks of an encoder: finding them, reading the state at layer k, and freezing them.

Layer k is Hugging Face's ``hidden_states[k]``: 0 = embeddings, k = output of block k (blocks counted from 1 there,
``find_blocks(model)[k - 1]`` here). The same numbers serve pooling, losses and freezing.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from xrealign.errors import ConfigError

FREEZES = ("none", "front", "back", "embeddings")
# DeBERTa-v2: the norm of its relative positions and the convolution beside its first block feed the lower blocks.
_BELOW_THE_BLOCKS = ("encoder.LayerNorm.", "encoder.conv.")


def find_blocks(model: nn.Module) -> list[nn.Module]:
    """The transformer blocks in order, found by structure: the one module list as long as the config says.

    Raises:
        ConfigError: the model has no such list, or several.
    """
    config = model.config
    count = getattr(config, "num_hidden_layers", None) or getattr(config, "n_layers", None)
    lists = [m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) == count]
    blocks = [m for m in lists if all(any(True for _ in block.parameters()) for block in m)]
    if len(blocks) != 1:
        raise ConfigError(
            f"{type(model).__name__} has {len(blocks)} lists of {count} blocks, expected 1: "
            "this kind of encoder is not supported yet"
        )
    return list(blocks[0])


def resolve_layer(layer: int, blocks: int) -> int:
    """Layer as 0 … blocks; negative ones count from the end, as in Python lists of hidden states.

    Raises:
        ConfigError: there is no such layer.
    """
    resolved = layer + blocks + 1 if layer < 0 else layer
    if not 0 <= resolved <= blocks:
        raise ConfigError(f"layer {layer} does not exist: the encoder has layers 0 (embeddings) to {blocks}")
    return resolved


class _Reached(Exception):  # noqa: N818 - not an error: it ends a forward pass at the layer asked for
    def __init__(self, state: Tensor) -> None:
        self.state = state


def hidden_state(model: nn.Module, layer: int, inputs: dict[str, Tensor]) -> Tensor:
    """State at ``layer``, *Shape:* (S, T, D). Blocks above it are not computed.

    Equal to ``model(**inputs, output_hidden_states=True).hidden_states[layer]``, for any architecture.
    """
    blocks = find_blocks(model)
    if layer == len(blocks):
        state: Tensor = model(**inputs).last_hidden_state
        return state

    def stop(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        raise _Reached(args[0] if args else kwargs["hidden_states"])

    handle = blocks[layer].register_forward_pre_hook(stop, with_kwargs=True)
    try:
        model(**inputs)
    except _Reached as reached:
        return reached.state
    finally:
        handle.remove()
    raise ConfigError(f"{type(model).__name__} never ran its block {layer}: this kind of encoder is not supported")


def trainable_names(model: nn.Module, freeze: str) -> frozenset[str]:
    """Names of the parameters that learn under ``freeze``; the pooler never does, as no loss reads it.

    ``front`` freezes the embeddings and the lower half of the blocks (block index < n // 2), so that the state at
    layer n // 2 stays what it was; ``back`` the upper half, ``embeddings`` the embeddings alone. AlignFreeze (Bakos
    et al. 2025, arXiv 2502.12959) with one departure: its published front-freeze leaves the embeddings trainable,
    here they are frozen with the blocks that read them.

    Raises:
        ConfigError: ``freeze`` is not one of the four.
    """
    if freeze not in FREEZES:
        raise ConfigError(f"freeze = {freeze!r} is unknown; expected one of {', '.join(FREEZES)}")
    blocks = find_blocks(model)
    half = len(blocks) // 2
    chosen = {"none": [], "embeddings": [], "front": blocks[:half], "back": blocks[half:]}[freeze]
    in_blocks = {id(p) for block in blocks for p in block.parameters()}
    frozen = {id(p) for block in chosen for p in block.parameters()}
    if freeze in ("front", "embeddings"):
        frozen |= {id(p) for name, p in model.named_parameters() if id(p) not in in_blocks and "embed" in name}
    if freeze == "front":
        frozen |= {id(p) for name, p in model.named_parameters() if name.startswith(_BELOW_THE_BLOCKS)}
    return frozenset(
        name for name, p in model.named_parameters() if id(p) not in frozen and not name.startswith("pooler.")
    )


def only_train(model: nn.Module, names: frozenset[str]) -> None:
    """Makes exactly the named parameters require gradients."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in names)
