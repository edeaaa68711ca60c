"""Blocks of an encoder: finding them, reading the state at layer k, and freezing them.

Layer k is Hugging Face's ``hidden_states[k]``: 0 = embeddings, k = output of block k (blocks counted from 1 there,
``find_blocks(model)[k - 1]`` here). The same numbers serve pooling, losses and freezing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from xrealign.errors import ConfigError
from xrealign.model.freezing import Freeze, parse_freeze
from xrealign.model.parts import Part, cut, in_parts, parts_of
from xrealign.model.prompt import of_the_text, prompt_length

_ATTENTIONS = ("attention", "attn", "self_attn", "self_attention")
# DeBERTa-v2: the norm of its relative positions and the convolution beside its first block feed the lower blocks.
_BELOW_THE_BLOCKS = ("encoder.LayerNorm.", "encoder.conv.")
_PLAIN_MASKS = ("bert", "camembert", "distilbert", "modernbert", "roberta", "xlm-roberta", "xlm-roberta-xl")
_BLOCKS: WeakKeyDictionary[nn.Module, str] = WeakKeyDictionary()  # the name of a model's list of blocks
_OUTPUTS: dict[type[nn.Module], int] = {}  # parts of the tuple that a kind of block returns, 0 where it is a tensor


def find_blocks(model: nn.Module) -> list[nn.Module]:
    """The transformer blocks in order, found by structure: the one module list as long as the config says.

    Raises:
        ConfigError: the model has no such list, or several.
    """
    place = _BLOCKS.get(model)  # looking through all modules takes longer than many a step's kernels
    if place is None:
        place = _BLOCKS[model] = _place_of_blocks(model)
    blocks = model.get_submodule(place)
    assert isinstance(blocks, nn.ModuleList)
    return list(blocks)


def _place_of_blocks(model: nn.Module) -> str:
    config = model.config
    count = getattr(config, "num_hidden_layers", None) or getattr(config, "n_layers", None)
    lists = {name: m for name, m in model.named_modules() if isinstance(m, nn.ModuleList) and len(m) == count}
    places: list[str] = [name for name, m in lists.items() if all(any(True for _ in block.parameters()) for block in m)]
    if len(places) != 1:
        raise ConfigError(
            f"{type(model).__name__} has {len(places)} lists of {count} blocks, expected 1: "
            "this kind of encoder is not supported yet"
        )
    return places[0]


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
        state: Tensor = model(**_ready(model, inputs)).last_hidden_state
        return state

    def stop(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        raise _Reached(of_the_text(model, args[0] if args else kwargs["hidden_states"]))

    handle = blocks[layer].register_forward_pre_hook(stop, with_kwargs=True)
    try:
        model(**_ready(model, inputs))
    except _Reached as reached:
        return reached.state
    finally:
        handle.remove()
    raise ConfigError(f"{type(model).__name__} never ran its block {layer}: this kind of encoder is not supported")


def _ready(model: nn.Module, inputs: dict[str, Tensor]) -> dict[str, Any]:
    """Inputs with the mask as the attention wants it. transformers would else read the mask's values to see whether
    any place is padded, and the host would wait for the device at every training step."""
    config: Any = model.config
    mask = inputs.get("attention_mask")
    kind, attention = getattr(config, "model_type", ""), getattr(config, "_attn_implementation", "")
    if mask is None or mask.dim() != 2 or attention != "sdpa" or kind not in _PLAIN_MASKS or prompt_length(model):
        return inputs
    width = mask.shape[1]
    whole = mask.bool()[:, None, None, :].expand(-1, 1, width, width)
    if kind != "modernbert":
        return {**inputs, "attention_mask": whole}
    place = torch.arange(width, device=mask.device)
    near = (place[:, None] - place).abs() <= config.sliding_window
    return {**inputs, "attention_mask": {"full_attention": whole, "sliding_attention": whole & near}}


def hidden_states(model: nn.Module, layers: Iterable[int], inputs: dict[str, Tensor]) -> dict[int, Tensor]:
    """States at several layers, by layer, *Shape:* (S, T, D) each. Blocks above the highest are not run.

    A training batch on a CPU is run in parts of like length (`xrealign.model.parts`).
    """
    wanted, parts = sorted(set(layers)), parts_of(model, inputs)
    if not parts:
        return _one_pass(model, wanted, inputs)
    width = inputs["attention_mask"].shape[1]
    return in_parts(parts, width, lambda part: _one_pass(model, wanted, cut(inputs, part)))


def _one_pass(model: nn.Module, wanted: list[int], inputs: dict[str, Tensor]) -> dict[int, Tensor]:
    blocks = find_blocks(model)
    found: dict[int, Tensor] = {}

    def keep(layer: int) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], None]:
        def hook(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            found[layer] = of_the_text(model, args[0] if args else kwargs["hidden_states"])

        return hook

    handles = [blocks[layer].register_forward_pre_hook(keep(layer), with_kwargs=True) for layer in wanted[:-1]]
    try:
        for top in wanted[-1:]:
            found[top] = hidden_state(model, top, inputs)
    finally:
        for handle in handles:
            handle.remove()
    return found


def states_above(
    model: nn.Module, start: int, states: Tensor, inputs: dict[str, Tensor], layers: Iterable[int]
) -> dict[int, Tensor]:
    """States at ``layers``, none below ``start``, from those at ``start``; the blocks up to there are not run.

    Equal to `hidden_states` for any architecture whose blocks read nothing of lower blocks but their state: masks,
    rotations and relative positions are the model's own. The embeddings are computed, and put aside.

    Args:
        states: at layer ``start``, 0 … blocks − 1. *Shape:* (S, T, D)
        inputs: of the same sentences.

    Raises:
        ConfigError: the model has a prompt, whose states are not kept with those of the sentences.
    """
    if prompt_length(model):
        raise ConfigError("states of a frozen front are not kept for an encoder with a prompt: leave out front_cache")
    wanted, parts = sorted(set(layers)), parts_of(model, inputs)
    if not parts:
        return _one_pass_above(model, start, states, inputs, wanted)

    def run(part: Part) -> dict[int, Tensor]:
        mine = cut({"states": states}, part)["states"]
        return _one_pass_above(model, start, mine, cut(inputs, part), wanted)

    return in_parts(parts, inputs["attention_mask"].shape[1], run)


def _one_pass_above(
    model: nn.Module, start: int, states: Tensor, inputs: dict[str, Tensor], wanted: list[int]
) -> dict[int, Tensor]:
    blocks = find_blocks(model)
    known = _OUTPUTS.get(type(blocks[0]))

    def learn(_module: nn.Module, _args: tuple[Any, ...], output: Any) -> None:
        _OUTPUTS[type(blocks[0])] = len(output) if isinstance(output, tuple) else 0

    def skip(*args: Any, **kwargs: Any) -> Any:
        state = args[0] if args else kwargs["hidden_states"]
        return (state, *[None] * (known - 1)) if known else state

    def put(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return ((states, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": states})

    handles: list[Any] = [blocks[start].register_forward_pre_hook(put, with_kwargs=True)]
    if known is None:  # what this kind of block returns is seen once; that time the lower blocks are run
        handles.append(blocks[0].register_forward_hook(learn))
    skipped = blocks[:start] if known is not None else []
    for block in skipped:
        block.forward = skip
    try:
        return _one_pass(model, wanted, inputs)
    finally:
        for block in skipped:
            del block.forward
        for handle in handles:
            handle.remove()


def trainable_names(model: nn.Module, freeze: str | Freeze, step: int | None = None) -> frozenset[str]:
    """Names of the parameters that learn under ``freeze`` (`xrealign.model.freezing`); the pooler never does.

    No loss reads the pooler. What feeds the lower blocks besides the embeddings (DeBERTa's norm of relative positions
    and its convolution) goes with the embeddings and block 1 where both are named.

    Args:
        step: of gradual unfreezing: what learns at this step (0 the first); None is all that learns in the end.

    Raises:
        ConfigError: ``freeze`` is not understood, or it leaves nothing to train although it names what should learn.
    """
    blocks = find_blocks(model)
    parsed = parse_freeze(freeze, len(blocks)) if isinstance(freeze, str) else freeze
    everything = frozenset(name for name, _ in model.named_parameters() if not name.startswith("pooler."))
    if parsed.every is not None:
        opened = len(blocks) if step is None else min(step // parsed.every, len(blocks))
        closed = Freeze(frozenset(range(1, len(blocks) - opened)), frozenset({"embeddings"}))
        return everything if opened == len(blocks) else everything - _named(model, blocks, closed)
    named = _named(model, blocks, parsed)
    learning = everything & named if parsed.only else everything - named
    if not learning and named | parsed.parts:
        raise ConfigError(
            f"freeze = {freeze!r} leaves nothing to train in {type(model).__name__}; write freeze = 'all' if only "
            "what is put on top of the encoder should learn"
        )
    return learning


def unfreezing(model: nn.Module, freeze: str, prefix: str = "") -> Callable[[int], frozenset[str]] | None:
    """What learns at each step of gradual unfreezing, as a pure function of it; None where nothing is gradual.

    Args:
        prefix: put before every name, for a model that is part of another.
    """
    blocks = len(find_blocks(model))
    every = parse_freeze(freeze, blocks).every
    if every is None:
        return None
    stages = [
        frozenset(prefix + name for name in trainable_names(model, freeze, opened * every))
        for opened in range(blocks + 1)
    ]
    return lambda step: stages[min(step // every, blocks)]


def _named(model: nn.Module, blocks: list[nn.Module], freeze: Freeze) -> frozenset[str]:
    """Names of the parameters in the blocks and parts that ``freeze`` names."""
    block_of = {id(p): number for number, block in enumerate(blocks, 1) for p in block.parameters()}
    sublayers = freeze.parts & {"attention", "feed-forward"}
    attention = {id(p) for block in blocks for p in attention_of(block).parameters()} if sublayers else set()
    norms = {
        id(p)
        for module in model.modules()
        if "norm" in type(module).__name__.lower() and not list(module.children())
        for p in module.parameters(recurse=False)
    }
    below = {"embeddings"} <= freeze.parts and 1 in freeze.blocks
    names = set()
    for name, p in model.named_parameters():
        number = block_of.get(id(p))
        is_a = {
            "embeddings": number is None and "embed" in name,
            "attention": id(p) in attention and id(p) not in norms,
            "feed-forward": number is not None and id(p) not in attention | norms,
            "norms": id(p) in norms,
            "biases": name.endswith(".bias"),
        }
        if (
            number in freeze.blocks
            or any(is_a[part] for part in freeze.parts)
            or (below and name.startswith(_BELOW_THE_BLOCKS))
        ):
            names.add(name)
    return frozenset(names)


def attention_of(block: nn.Module) -> nn.Module:
    """The attention of a block.

    Raises:
        ConfigError: it goes by no known name.
    """
    found = [child for name, child in block.named_children() if name in _ATTENTIONS]
    if len(found) != 1:
        raise ConfigError(f"a block of this encoder ({type(block).__name__}) has no attention under a known name")
    return found[0]


def only_train(model: nn.Module, names: frozenset[str]) -> None:
    """Makes exactly the named parameters require gradients."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in names)
