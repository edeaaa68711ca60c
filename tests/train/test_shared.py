"""Objectives that read the same states: one pass, the gradient of the weighted sum, each loss in the history."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

import xrealign.train.step_gradients as gradients
from xrealign.model.encoder import load_encoder
from xrealign.model.layers import find_blocks
from xrealign.train.phase import Objective
from xrealign.train.realign import RealignSettings, realign
from xrealign.train.shared import Reads, SharedPass, together

SETTINGS = RealignSettings(steps=3, batch_size=4, learning_rate=1e-3, freeze="none", watch="off")


def passes(folder, aligned, objective, out, **settings):
    """How often the first block runs in three steps, and the weights after them."""
    encoder = load_encoder(str(folder))
    for module in encoder.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    for block in find_blocks(encoder.model):
        block.attention.self.dropout.p = 0.0
    calls = []
    handle = find_blocks(encoder.model)[0].register_forward_hook(lambda *_: calls.append(1))
    told = dataclasses.replace(SETTINGS, objective=objective, **settings)
    facts = realign(encoder, aligned, told, out, seed=3)
    handle.remove()
    return len(calls), {n: p.detach() for n, p in encoder.model.named_parameters()}, facts["history"][-1]


def test_two_objectives_run_the_encoder_once(tiny_encoder_folder, aligned, tmp_path, monkeypatch):
    both = {"word": 1.0, "sentence": 0.5, "cka": 0.25}
    alone, _, _ = passes(tiny_encoder_folder, aligned, "word", tmp_path / "a")
    calls, shared, history = passes(tiny_encoder_folder, aligned, both, tmp_path / "b")
    assert alone >= 3
    assert calls == alone
    monkeypatch.setattr(gradients, "together", lambda objectives, step, alone: [(n,) for n in range(len(objectives))])
    apart, separate, told = passes(tiny_encoder_folder, aligned, both, tmp_path / "c")
    assert apart == 3 * alone
    assert {name: history[name] for name in both} == pytest.approx({name: told[name] for name in both}, abs=1e-5)
    first = dict(load_encoder(str(tiny_encoder_folder)).model.named_parameters())
    assert max(float((p - first[name].detach()).abs().max()) for name, p in separate.items()) > 1e-3
    for name, p in shared.items():
        if not name.endswith("key.bias"):  # whose gradient is nothing but rounding, which Adam makes into steps
            assert torch.allclose(p, separate[name], atol=1e-5), name


def test_cached_states_are_shared_too(tiny_encoder_folder, aligned, tmp_path, monkeypatch):
    monkeypatch.setenv("XREALIGN_CACHE", str(tmp_path / "cache"))
    settings, both = {"freeze": "front", "front_cache": 0.1}, {"word": 1.0, "sentence": 1.0}
    _, shared, history = passes(tiny_encoder_folder, aligned, both, tmp_path / "a", **settings)
    monkeypatch.setattr(gradients, "together", lambda objectives, step, alone: [(n,) for n in range(len(objectives))])
    _, separate, told = passes(tiny_encoder_folder, aligned, both, tmp_path / "b", **settings)
    assert history["word"] == pytest.approx(told["word"], abs=1e-5)
    for name, p in shared.items():
        if not name.endswith("key.bias"):
            assert torch.allclose(p, separate[name], atol=1e-5), name


def objective(name, reads=None, turn=lambda step: step):
    return Objective(name, lambda step: None, lambda model, batch: torch.zeros(()), frozenset(), turn=turn, reads=reads)


def test_who_goes_with_whom():
    one, other = (SharedPass(lambda model, batch: {}) for _ in range(2))
    reads = [Reads(shared, lambda model, states, batch: torch.zeros(())) for shared in (one, other)]
    odd = objective("odd", turn=lambda step: step if step % 2 else None)
    some = [objective("a", reads[0]), odd, objective("b", reads[1]), objective("c", reads[0]), objective("d", reads[0])]
    assert together(some, 0) == [(0, 3, 4), (2,)]
    assert together(some, 1) == [(0, 3, 4), (1,), (2,)]
    assert together(some, 0, {"a"}) == [(0,), (2,), (3, 4)]
    assert together([], 0) == []


def test_a_batch_that_does_not_fit_is_divided_objective_by_objective(
    tiny_encoder_folder, aligned, tmp_path, monkeypatch
):
    real, failed = gradients._shared_gradient, []

    def too_large(*args):
        if not failed:
            failed.append(1)
            raise torch.OutOfMemoryError
        return real(*args)

    monkeypatch.setattr(gradients, "_shared_gradient", too_large)
    both = {"word": 1.0, "sentence": 0.5}
    _, _, history = passes(tiny_encoder_folder, aligned, both, tmp_path / "a")
    assert history["parts"] == {"word": 2}
    assert all(np.isfinite(history[name]) for name in both)
