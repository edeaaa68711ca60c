"""Layers and freezing in five architectures, against what transformers itself says and what training moves."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from xrealign.errors import ConfigError
from xrealign.model.freezing import blocks_text, parse_freeze
from xrealign.model.layers import find_blocks, hidden_state, only_train, resolve_layer, trainable_names

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


BLOCK = re.compile(r"(?:^|\.)(?:layer|layers)\.(\d+)\.(.*)")
NORM = re.compile(r"LayerNorm|_norm|\bnorm\.|norm\.weight")


def parts_by_hand(name: str) -> set[str]:
    """What a parameter of one of the tiny encoders is, from its name alone: its block, its parts."""
    inside = BLOCK.search(name)
    parts = {"norms"} if NORM.search(name) else set()
    if name.endswith(".bias"):
        parts.add("biases")
    if inside:
        parts.add(str(int(inside[1]) + 1))
        if "norms" not in parts:
            parts.add("attention" if inside[2].startswith(("attention.", "attn.")) else "feed-forward")
    elif "embed" in name:  # rel_embeddings of DeBERTa are embeddings of relative positions
        parts.add("embeddings")
    elif name.startswith(("encoder.LayerNorm.", "encoder.conv.")):
        parts.add("below")
    return parts


# What a freeze names, in the words of parts_by_hand, and whether that is all that learns.
NAMED = {
    "none": (set(), False),
    "all": (set(), True),
    "front": ({"embeddings", "below", "1", "2"}, False),
    "back": ({"3", "4"}, False),
    "embeddings": ({"embeddings"}, False),
    "blocks 1-2": ({"1", "2"}, False),
    "embeddings + blocks 1-2": ({"embeddings", "below", "1", "2"}, False),
    "embeddings+blocks 2,4": ({"embeddings", "2", "4"}, False),
    "attention": ({"attention"}, False),
    "feed-forward": ({"feed-forward"}, False),
    "norms": ({"norms"}, False),
    "biases": ({"biases"}, False),
    "attention+block 4": ({"attention", "4"}, False),
    "only blocks 3": ({"3"}, True),
    "only attention": ({"attention"}, True),
    "only feed-forward": ({"feed-forward"}, True),
    "only norms": ({"norms"}, True),
    "only norms+biases": ({"norms", "biases"}, True),
    "only back": ({"3", "4"}, True),
}


def learning_by_hand(model: nn.Module, freeze: str) -> set[str]:
    named, only = NAMED[freeze]
    return {
        name
        for name, _ in model.named_parameters()
        if not name.startswith("pooler.") and bool(parts_by_hand(name) & named) == only
    }


@pytest.mark.parametrize("freeze", NAMED)
def test_names_are_those_a_reader_would_pick(any_tiny_encoder, freeze):
    assert trainable_names(any_tiny_encoder.model, freeze) == learning_by_hand(any_tiny_encoder.model, freeze)


def test_biases_alone(any_tiny_encoder):
    model = any_tiny_encoder.model
    biases = {name for name, _ in model.named_parameters() if name.endswith(".bias") and not name.startswith("pooler.")}
    if model.config.model_type == "modernbert":  # which has none
        with pytest.raises(ConfigError, match="'only biases' leaves nothing to train in ModernBertModel"):
            trainable_names(model, "only biases")
    else:
        assert trainable_names(model, "only biases") == biases


@pytest.mark.parametrize("freeze", ["none", "front", "back", "embeddings"])
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
    expected = learning_by_hand(model, freeze)
    assert names == expected
    assert moved == expected
    with torch.no_grad():
        same = {layer for layer, old in states.items() if torch.equal(hidden_state(model, layer, inputs), old)}
    assert same == {"none": set(), "back": set(), "embeddings": {0}, "front": {0, 2}}[freeze]


def test_gradual_unfreezing_opens_from_the_top(any_tiny_encoder):
    model = any_tiny_encoder.model
    every = {name for name, _ in model.named_parameters() if not name.startswith("pooler.")}
    closed_at = {
        0: {"embeddings", "below", "1", "2", "3"},
        9: {"embeddings", "below", "1", "2", "3"},
        10: {"embeddings", "below", "1", "2"},
        20: {"embeddings", "below", "1"},
        30: {"embeddings"},
        39: {"embeddings"},
        40: set(),
        1000: set(),
    }
    for step, closed in closed_at.items():
        wanted = {name for name in every if not parts_by_hand(name) & closed}
        assert trainable_names(model, "gradual 10", step) == wanted, step
    assert trainable_names(model, "gradual 10") == every


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lower", "'lower' is unknown; expected none, all, front"),
        ("fornt", "did you mean 'front'"),
        ("only", "'only' is unknown"),
        ("", "'' is unknown"),
        ("blocks 0-2", "counted from 1, block k's output being layer k; layer 0 is 'embeddings'"),
        ("blocks 3-5", "there is no block 5: the encoder has blocks 1 to 4"),
        ("blocks 3-2", "'3-2' runs backwards; write blocks 2-3"),
        ("blocks", "'' is no block number"),
        ("blocks 1,,2", "'' is no block number"),
        ("blocks two", "'two' is no block number or span of them; write blocks 1-3,5"),
        ("only none", "'none' stands alone"),
        ("front+all", "'all' stands alone"),
        ("gradual", "'gradual' stands alone|is unknown"),
        ("gradual soon", "'soon' is no number of steps"),
        ("gradual 0", "'0' is no number of steps"),
        ("embeddings+front+back", "leaves nothing to train in BertModel"),
    ],
)
def test_faulty_freezes_say_what_is_wrong(tiny_encoder, text, message):
    with pytest.raises(ConfigError, match=re.escape(message) if "|" not in message else message) as caught:
        trainable_names(tiny_encoder.model, text)
    assert f"freeze = {text!r}" in str(caught.value)


def test_blocks_are_written_as_they_are_read():
    for numbers in ({1}, {1, 2, 3}, {2, 4, 5, 6, 12}, set(range(1, 13))):
        assert parse_freeze(blocks_text(numbers), 12).blocks == numbers
    assert blocks_text([5, 1, 2, 3]) == "blocks 1-3,5"


def test_half_is_rounded_down():
    assert parse_freeze("front", 5).blocks == {1, 2}
    assert parse_freeze("back", 5).blocks == {3, 4, 5}
