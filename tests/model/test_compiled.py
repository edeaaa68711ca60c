"""Blocks compiled for a while: the same states and gradients, and nothing of it left afterwards."""

from __future__ import annotations

import pytest
import torch

from xrealign.errors import ConfigError
from xrealign.model.compiled import check_compile, compiled_blocks
from xrealign.model.encoder import load_encoder
from xrealign.model.layers import find_blocks, hidden_state


# torch's tracer looks at gradients of tensors that have none, and warns itself
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
def test_compiled_blocks_say_the_same(tiny_encoder_folder):
    """With the backend that traces and runs without generating code, so that no compiler is needed."""
    encoder = load_encoder(str(tiny_encoder_folder))
    model = encoder.model.eval()
    inputs = dict(encoder.tokenizer(["turn on the light", "off"], padding=True, return_tensors="pt"))
    names = list(model.state_dict())
    plain = hidden_state(model, encoder.layers, inputs)
    plain.sum().backward()
    wanted = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    with compiled_blocks(model, True, backend="aot_eager"):
        assert all(block._compiled_call_impl is not None for block in find_blocks(model))
        assert list(model.state_dict()) == names
        states = hidden_state(model, encoder.layers, inputs)
        states.sum().backward()
    torch.testing.assert_close(states, plain, rtol=0, atol=1e-5)
    for name, p in model.named_parameters():
        if name in wanted:
            torch.testing.assert_close(p.grad, wanted[name], rtol=1e-4, atol=1e-4)
    assert all(block._compiled_call_impl is None for block in find_blocks(model))
    torch.compiler.reset()


def test_not_wanted_is_nothing(tiny_encoder_folder):
    model = load_encoder(str(tiny_encoder_folder)).model
    with compiled_blocks(model, False):
        assert all(block._compiled_call_impl is None for block in find_blocks(model))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_is_refused():
    check_compile(False)
    with pytest.raises(ConfigError, match="for GPUs"):
        check_compile(True)
