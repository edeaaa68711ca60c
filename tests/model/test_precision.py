"""bfloat16 linear layers: close to float32, refused where the hardware has none."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from xrealign.errors import ConfigError
from xrealign.model import precision
from xrealign.model.layers import hidden_state
from xrealign.model.precision import half_linear, has_bf16


def test_refused_where_there_is_none(monkeypatch) -> None:
    monkeypatch.setattr(precision, "has_bf16", lambda device: False)
    with pytest.raises(ConfigError, match="does not compute in bfloat16; use fp32"):
        half_linear(nn.Linear(2, 2), "cpu")
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict, raising=False)
    monkeypatch.undo()
    assert isinstance(has_bf16("cpu"), bool)


def test_an_older_torch_stays_with_float32(monkeypatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert not has_bf16("cpu")


def test_states_stay_close_and_float32(tiny_encoder, monkeypatch) -> None:
    monkeypatch.setattr(precision, "has_bf16", lambda device: True)  # emulated if need be: the result is the same
    model = copy.deepcopy(tiny_encoder.model)
    half_linear(model, "cpu")
    inputs = tiny_encoder.tokenizer(["All human beings are born free"], return_tensors="pt")
    inputs = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    with torch.inference_mode():
        exact, near = (hidden_state(m, 2, inputs) for m in (tiny_encoder.model, model))
    assert near.dtype == torch.float32
    assert not torch.equal(exact, near)
    assert float((exact - near).abs().max()) < 0.05 * float(exact.abs().max())  # bfloat16 has 8 bits: 0.4 % a product
