"""What a front is: which layers no learning parameter reaches, and what their states depend on."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from xrealign.model.layers import find_blocks, hidden_state, hidden_states, only_train
from xrealign.train.compaction import CompactRows

FORMAT = 1
_IRRELEVANT = ("_name_or_path", "transformers_version", "architectures", "dtype")  # of a config


def frozen_layers(model: nn.Module, learning: frozenset[str], inputs: dict[str, Tensor]) -> int:
    """The highest layer whose state no parameter in ``learning`` reaches; -1 if they reach the embeddings' output.

    Found in the graph of one pass, so it holds for every architecture.

    Args:
        inputs: of a sentence or more, whichever.
    """
    with _as_if_learning(model, learning):
        states = hidden_states(model, range(len(find_blocks(model)) + 1), inputs)
    return max((layer for layer, state in states.items() if not state.requires_grad), default=-1)


def front_digest(model: nn.Module, layer: int, inputs: dict[str, Tensor]) -> str:
    """What the states at ``layer`` depend on besides the sentence: 32 hex digits, the same whether or not the
    vocabulary is compacted."""
    whole: Any = model.config
    config = {k: v for k, v in whole.to_dict().items() if k not in _IRRELEVANT}
    identity = json.dumps([FORMAT, type(model).__name__, layer, config], sort_keys=True, default=str)
    total = hashlib.sha256(identity.encode())
    for name, p in front_parameters(model, layer, inputs).items():
        weights = _whole_matrix(model, p)
        total.update(f"{name}\0{weights.dtype}\0{tuple(weights.shape)}\0".encode())
        total.update(weights.contiguous().view(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()[:32]


def front_parameters(model: nn.Module, layer: int, inputs: dict[str, Tensor]) -> dict[str, nn.Parameter]:
    """The parameters that the state at ``layer`` depends on, by name, as found in the graph of one pass."""
    everything = dict(model.named_parameters())
    with _as_if_learning(model, frozenset(everything)):
        open_nodes: list[Any] = [hidden_state(model, layer, inputs).grad_fn]
    seen, reached = set(open_nodes), set()
    while open_nodes:
        node = open_nodes.pop()
        if hasattr(node, "variable"):
            reached.add(id(node.variable))
        for deeper, _ in node.next_functions:
            if deeper is not None and deeper not in seen:
                seen.add(deeper)
                open_nodes.append(deeper)
    return {name: p for name, p in everything.items() if id(p) in reached}


def still_modules(model: nn.Module, layer: int) -> list[nn.Module]:
    """The modules that neither are, nor are part of, nor hold a block above ``layer``."""
    upper = {id(m) for block in find_blocks(model)[layer:] for m in block.modules()}
    return [m for m in model.modules() if not any(id(part) in upper for part in m.modules())]


@contextlib.contextmanager
def _as_if_learning(model: nn.Module, names: frozenset[str]) -> Iterator[None]:
    """Exactly ``names`` require gradients, and nothing is dropped, inside; as it was before, outside."""
    before = {name: p.requires_grad for name, p in model.named_parameters()}
    training = model.training
    model.eval()
    try:
        with torch.enable_grad():
            only_train(model, names)
            yield
    finally:
        only_train(model, frozenset(name for name, learns in before.items() if learns))
        model.train(training)


def _whole_matrix(model: nn.Module, p: nn.Parameter) -> Tensor:
    """A parameter on the host; the word embeddings with the rows that compaction has put aside."""
    weights = p.detach().cpu()
    words = model.get_input_embeddings()  # type: ignore[operator]
    if not isinstance(words, CompactRows) or words.weight is not p:
        return weights
    full, kept = words.full[0].weight.detach().cpu(), words.kept.cpu()
    if torch.equal(full[kept], weights):
        return full
    return full.index_copy(0, kept, weights)
