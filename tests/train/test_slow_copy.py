"""The momentum copy against torch's own moving average and a loaded copy; the queue against a list."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.optim.swa_utils import AveragedModel

from xrealign.errors import ConfigError
from xrealign.model.layers import hidden_states
from xrealign.train.slow_copy import Queue, SlowCopy


def moved(model, seed):
    torch.manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p) * 0.1)


def test_it_follows_as_an_exponential_moving_average_does():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    slow = SlowCopy(model, [n for n, _ in model.named_parameters()], 0.9)
    theirs = AveragedModel(model, avg_fn=lambda old, new, _: 0.9 * old + 0.1 * new)
    theirs.update_parameters(model)  # the first time it copies
    by_hand = model[1].bias.detach().clone().double()
    for seed in range(5):
        moved(model, seed)
        slow.follow()
        theirs.update_parameters(model)
        by_hand = 0.9 * by_hand + 0.1 * model[1].bias.detach().double()
    for name, p in theirs.module.named_parameters():
        torch.testing.assert_close(slow.weights()[name], p, rtol=0, atol=1e-6)
    torch.testing.assert_close(slow.weights()["1.bias"].double(), by_hand, rtol=0, atol=1e-6)


def test_with_momentum_one_it_stays_and_with_zero_it_is_the_model():
    model = nn.Linear(3, 2)
    first = model.weight.detach().clone()
    initial, shadow = SlowCopy(model, ["weight"], 1.0), SlowCopy(model, ["weight"], 0.0)
    moved(model, 1)
    initial.follow()
    shadow.follow()
    assert torch.equal(initial.weights()["weight"], first)
    torch.testing.assert_close(shadow.weights()["weight"], model.weight.detach())
    assert list(initial.weights()) == ["weight"]
    with pytest.raises(ConfigError, match=r"momentum = 1.5 is impossible"):
        SlowCopy(model, [], 1.5)


def test_its_states_are_those_of_a_model_with_its_weights(any_tiny_encoder):
    model = any_tiny_encoder.model
    encoded = any_tiny_encoder.tokenizer(["Everyone has the right", "Jeder"], padding=True, return_tensors="pt")
    inputs = {key: encoded[key] for key in ("input_ids", "attention_mask")}
    names = [n for n, _ in model.named_parameters() if not n.startswith("pooler.")]
    slow = SlowCopy(model, names, 0.5)
    moved(model, 1)
    slow.follow()
    loaded = copy.deepcopy(model)
    loaded.load_state_dict(slow.weights(), strict=False)
    after = {n: p.detach().clone() for n, p in model.named_parameters()}
    with torch.no_grad():
        expected = hidden_states(loaded, [1, 3], inputs)
        fast = hidden_states(model, [1, 3], inputs)
    found = slow.states(model, [1, 3], inputs)
    for layer in (1, 3):
        torch.testing.assert_close(found[layer], expected[layer], rtol=0, atol=1e-6)
        assert (found[layer] - fast[layer]).abs().max() > 1e-2
        assert not found[layer].requires_grad
    assert all(torch.equal(p, after[n]) for n, p in model.named_parameters())


def test_without_dropout_modules_come_back_as_they_were(tiny_encoder):
    model = tiny_encoder.model
    inputs = dict(tiny_encoder.tokenizer(["Everyone has the right"], return_tensors="pt"))
    slow = SlowCopy(model, [], 1.0)
    model.eval()
    expected = slow.states(model, [4], inputs)[4]
    model.train()
    model.embeddings.eval()  # as where the lower part is frozen
    modes = [m.training for m in model.modules()]
    assert torch.equal(slow.states(model, [4], inputs, dropout=False)[4], expected)
    assert not torch.equal(slow.states(model, [4], inputs)[4], expected)
    assert [m.training for m in model.modules()] == modes


@given(st.integers(1, 7), st.lists(st.integers(1, 7), max_size=8))
def test_the_queue_is_the_last_vectors_of_a_list(size, pushes):
    queue, everything = Queue(size, 1), []
    for count in pushes:
        new = torch.arange(len(everything), len(everything) + count).float()[:, None]
        if count > size:
            with pytest.raises(ConfigError, match=f"queue = {size} is smaller than a batch, which has {count}"):
                queue.push(new)
            continue
        queue.push(new)
        everything += new[:, 0].tolist()
    filled = int(queue.filled)
    assert filled == min(size, len(everything))
    assert sorted(queue.vectors[:filled, 0].tolist()) == everything[-size:] if everything else filled == 0


def test_an_empty_queue_is_refused():
    with pytest.raises(ConfigError, match="queue = 0"):
        Queue(0, 4)


def test_a_step_that_is_left_out_is_not_remembered():
    """Its keys may not be numbers; nothing on the host knows whether it is left out."""
    model, queue = nn.Linear(3, 2), Queue(5, 2)
    slow = SlowCopy(model, ["weight"], 0.9)
    queue.push(torch.ones(4, 2))
    moved(model, 1)
    before = [tensor.clone() for tensor in (*queue.state_dict().values(), *slow.weights().values())]
    queue.push(torch.full((3, 2), float("nan")), torch.tensor(1.0))
    slow.follow(torch.tensor(1.0))
    after = (*queue.state_dict().values(), *slow.weights().values())
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    queue.push(torch.full((3, 2), 2.0), torch.tensor(0.0))
    slow.follow(torch.tensor(0.0))
    assert queue.vectors[:, 0].tolist() == [2, 2, 1, 1, 2]
    assert (int(queue.place), int(queue.filled)) == (2, 5)
    torch.testing.assert_close(slow.weights()["weight"], 0.9 * before[-1] + 0.1 * model.weight.detach())
