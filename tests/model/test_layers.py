"""Layers and freezing in five architectures, against what transformers itself says and what training moves."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from xrealign.errors import ConfigError
from xrealign.model.layers import FREEZES, find_blocks, hidden_state, only_train, resolve_layer, trainable_names

TEXTS = ["Everyone has the right to life.", "Jeder hat das Recht auf Leben", "", "सभी मनुष्यों को गौरव और अधिकारों"]


def inputs_of(encoder):
    encoded = encoder.tokenizer(TEXTS, padding=True, return_tensors="pt")
    return {key: encoded[key] for key in ("input_ids", "attention_mask")}


def test_states_are_those_transformers_gives(any_tiny_encoder):
    encoder = any_tiny_encoder
    inputs = inputs_of(encoder)
    mask = inputs["attention_mask"].bool()
    with torch.inference_mode():
        wanted = encoder.model(**inputs, output_hidden_states=True).hidden_states
        assert len(wanted) == encoder.layers + 1 == 5
        for layer, state in enumerate(wanted):
            ours = hidden_state(encoder.model, layer, inputs)
            torch.testing.assert_close(ours[mask], state[mask], rtol=0, atol=1e-6, msg=f"layer {layer}")
    for block in find_blocks(encoder.model):
        assert not block._forward_pre_hooks, "a hook was left behind"


def test_blocks_above_the_layer_are_not_run(tiny_encoder):
    seen = []
    for number, block in enumerate(find_blocks(tiny_encoder.model), 1):
        block.register_forward_hook(lambda *_, number=number: seen.append(number))
    with torch.inference_mode():
        for layer in (0, 2, 4):
            seen.clear()
            hidden_state(tiny_encoder.model, layer, inputs_of(tiny_encoder))
            assert seen == list(range(1, layer + 1))


def test_a_state_has_gradients(tiny_encoder):
    tiny_encoder.model.train()
    hidden_state(tiny_encoder.model, 2, inputs_of(tiny_encoder)).square().sum().backward()
    blocks = find_blocks(tiny_encoder.model)
    assert all(p.grad is not None for block in blocks[:2] for p in block.parameters())
    assert all(p.grad is None for block in blocks[2:] for p in block.parameters())


def test_blocks_are_found_in_order(any_tiny_encoder):
    blocks = find_blocks(any_tiny_encoder.model)
    names = {id(module): name for name, module in any_tiny_encoder.model.named_modules()}
    assert [names[id(block)].rpartition(".")[2] for block in blocks] == ["0", "1", "2", "3"]
    assert len({names[id(block)].rpartition(".")[0] for block in blocks}) == 1


def test_models_without_such_blocks_are_refused():
    class Odd(nn.Module):
        def __init__(self, lists):
            super().__init__()
            self.config = type("C", (), {"num_hidden_layers": 3})
            self.parts = nn.ModuleDict({str(n): nn.ModuleList(nn.Linear(2, 2) for _ in range(3)) for n in range(lists)})

    with pytest.raises(ConfigError, match="has 0 lists of 3 blocks"):
        find_blocks(Odd(0))
    with pytest.raises(ConfigError, match="has 2 lists of 3 blocks"):
        find_blocks(Odd(2))
    assert len(find_blocks(Odd(1))) == 3


@pytest.mark.parametrize(("layer", "resolved"), [(0, 0), (12, 12), (-1, 12), (-2, 11), (-13, 0), (7, 7)])
def test_layers_are_counted_as_in_a_list_of_states(layer, resolved):
    assert resolve_layer(layer, 12) == resolved == list(range(13))[layer]


@pytest.mark.parametrize("layer", [13, -14, 100])
def test_a_layer_that_is_not_there(layer):
    with pytest.raises(ConfigError, match=rf"layer {layer} does not exist: .* 0 \(embeddings\) to 12"):
        resolve_layer(layer, 12)


def frozen_by_hand(name: str, freeze: str) -> bool:
    """Whether a parameter of one of the five tiny encoders stays, from its name alone."""
    if name.startswith("pooler."):
        return True
    block = next((int(part) for part in name.split(".") if part.isdecimal()), None)
    if freeze == "none":
        return False
    if block is not None:
        return {"front": block < 2, "back": block >= 2, "embeddings": False}[freeze]
    if freeze == "back":
        return False
    if "embed" in name:  # rel_embeddings of DeBERTa are embeddings of relative positions
        return True
    return freeze == "front" and name.startswith(("encoder.LayerNorm.", "encoder.conv."))


@pytest.mark.parametrize("freeze", FREEZES)
def test_one_step_moves_exactly_what_learns(any_tiny_encoder, freeze):
    encoder = any_tiny_encoder
    model, inputs = encoder.model, inputs_of(encoder)
    names = trainable_names(model, freeze)
    only_train(model, names)
    assert {n for n, p in model.named_parameters() if p.requires_grad} == names
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    with torch.no_grad():
        states = {layer: hidden_state(model, layer, inputs) for layer in (0, 2, 4)}
    optimiser = torch.optim.SGD(model.parameters(), lr=1.0)
    state = hidden_state(model, 4, inputs)
    weights = torch.randn(state.shape, generator=torch.manual_seed(5))
    (state * weights)[inputs["attention_mask"].bool()].sum().backward()
    optimiser.step()
    moved = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    expected = {n for n in before if not frozen_by_hand(n, freeze)}
    assert names == expected
    assert moved == expected
    with torch.no_grad():
        same = {layer for layer, old in states.items() if torch.equal(hidden_state(model, layer, inputs), old)}
    assert same == {"none": set(), "back": set(), "embeddings": {0}, "front": {0, 2}}[freeze]


def test_unknown_freeze_is_refused(tiny_encoder):
    with pytest.raises(ConfigError, match="'lower' is unknown; expected one of none, front, back, embeddings"):
        trainable_names(tiny_encoder.model, "lower")
