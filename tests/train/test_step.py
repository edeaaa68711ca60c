"""A step of ours: it waits for nothing, and computes what the published step computes."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from xrealign.model import layers
from xrealign.model.encoder import load_encoder
from xrealign.model.layers import hidden_state, hidden_states, states_above, trainable_names
from xrealign.model.parts import parts_of
from xrealign.model.words import encode_texts, make_batch
from xrealign.train.front_cache import FrontCache, front_loss, front_stream
from xrealign.train.loop import run_phase
from xrealign.train.objective_settings import ObjectiveSettings
from xrealign.train.objectives import make_objective
from xrealign.train.phase import Objective, Phase
from xrealign.train.streams import PairStream, padding_efficiency, plan_steps

WAITS = {"_local_scalar_dense", "is_nonzero", "nonzero", "equal", "item", "masked_select"}
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


class Waits(TorchDispatchMode):
    """What makes the host wait for a device."""

    def __init__(self):
        super().__init__()
        self.found = []
        self.calls = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.calls += 1
        name = function.overloadpacket.__name__
        by_mask = name.startswith("index") and any(
            isinstance(i, torch.Tensor) and i.dtype == torch.bool
            for group in args[1:]
            if isinstance(group, list)
            for i in group
        )
        if name in WAITS or by_mask:
            self.found.append(name)
        return function(*args, **(kwargs or {}))


def pair_stream(encoder, aligned, steps, batch=4):
    src = encode_texts(encoder.tokenizer, aligned.src, 48, aligned.src_spans)
    tgt = encode_texts(encoder.tokenizer, aligned.tgt, 48, aligned.tgt_spans)
    plan = plan_steps([0] * len(src), np.maximum(src.lengths, tgt.lengths), steps, batch, 1, "realign")
    return PairStream(src, tgt, list(aligned.links), plan, encoder.tokenizer.pad_token_id)


def run(encoder, stream, folder, name, cached=False, freeze="front"):
    objective = make_objective(name, ObjectiveSettings(), encoder.model, 0)
    model = nn.ModuleDict({"encoder": encoder.model, "heads": objective.heads})
    learning = frozenset(f"encoder.{n}" for n in trainable_names(encoder.model, freeze))
    learning |= {n for n, _ in model.named_parameters() if n.startswith("heads.")}
    batches, loss = stream, objective.loss
    if cached:
        cache = FrontCache(encoder.model, 2, folder / "front", 1 << 30, encoder.tokenizer.pad_token_id)
        batches, loss = front_stream(stream, cache), front_loss(objective, cache)
    objectives = (Objective(name, batches, loss, learning),)
    phase = Phase("realign", len(stream.plan), 1e-4, objectives, "linear", 0.1, 0.01, clip=1.0)
    with Waits() as waits:
        run_phase(model, phase, folder, 0)
    return waits


def test_no_step_of_any_architecture_waits(any_tiny_encoder, aligned, tmp_path):
    """Guards, clipping, schedule, history and all, through the loop, from the first step to the last."""
    waits = run(any_tiny_encoder, pair_stream(any_tiny_encoder, aligned, 11), tmp_path, "word")
    assert waits.calls > 11 * 100
    assert waits.found == []


@pytest.mark.parametrize("name", ["sentence", "cka", "transport", "ranking", "l2"])
def test_no_step_of_any_objective_waits(tiny_encoder, aligned, tmp_path, name):
    assert run(tiny_encoder, pair_stream(tiny_encoder, aligned, 2), tmp_path, name).found == []


def test_no_step_from_cached_states_waits(tiny_encoder, aligned, tmp_path):
    assert run(tiny_encoder, pair_stream(tiny_encoder, aligned, 3), tmp_path, "word", cached=True).found == []


def test_waits_are_seen():
    with Waits() as waits:
        x = torch.ones(3)
        x.sum().item()
        bool(x[0] > 0)
        x[x > 0]
    assert len(waits.found) >= 3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_no_step_waits(tiny_encoder, aligned, tmp_path):
    """CUDA itself raises where the host would wait, between two lines of the history."""
    stream = pair_stream(tiny_encoder, aligned, 9)
    objective = make_objective("word", ObjectiveSettings(), tiny_encoder.model, 0)
    model = nn.ModuleDict({"encoder": tiny_encoder.model, "heads": objective.heads})
    learning = frozenset(n for n, _ in model.named_parameters())

    def watched(step):
        torch.cuda.set_sync_debug_mode("error" if step < 8 else "default")
        return stream(step)

    try:
        run_phase(
            model, Phase("realign", 9, 1e-4, (Objective("word", watched, objective.loss, learning),)), tmp_path, 0
        )
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_mask_made_here_gives_the_states_of_transformers_own(any_tiny_encoder, udhr_lines):
    model, tokenizer = any_tiny_encoder.model, any_tiny_encoder.tokenizer
    texts = encode_texts(tokenizer, [lines[n] for lines in udhr_lines.values() for n in (0, 3)], 48)
    batch = make_batch([(texts, np.arange(len(texts)))], tokenizer.pad_token_id)
    inside = batch.inputs["attention_mask"].bool()
    assert not bool(inside.all())
    expected = model(**batch.inputs, output_hidden_states=True).hidden_states
    for layer, state in hidden_states(model, range(any_tiny_encoder.layers + 1), batch.inputs).items():
        assert torch.allclose(state[inside], expected[layer][inside], atol=1e-6), layer
    with torch.no_grad():
        assert torch.allclose(hidden_state(model, 2, batch.inputs)[inside], expected[2][inside], atol=1e-6)


def test_the_published_step_computes_the_same_loss(tiny_folders, aligned):
    sys.path.insert(0, str(BENCHMARKS))
    try:
        from published_step import published_batch, published_loss
    finally:
        sys.path.remove(str(BENCHMARKS))
    encoder = load_encoder(str(tiny_folders("xlm-roberta")))
    stream = pair_stream(encoder, aligned, 3)
    objective = make_objective("word", ObjectiveSettings(pooling="first"), encoder.model, 0)
    model = nn.ModuleDict({"encoder": encoder.model, "heads": objective.heads}).eval()
    theirs = nn.ModuleDict({"encoder": encoder.model, "projection": objective.heads["projection"]})
    for step in range(3):
        batch = stream(step)
        assert len(batch.links) > 4
        found, expected = objective.loss(model, batch), published_loss(theirs, published_batch(batch), encoder.layers)
        assert found.item() == pytest.approx(expected.item(), abs=1e-5)
        with Waits() as waits:
            published_loss(theirs, published_batch(batch), encoder.layers)
        assert len(waits.found) > 3 * len(batch.texts.word)


def no_dropout(model):
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    for name, value in vars(model.config).items():
        if "dropout" in name and isinstance(value, float):
            setattr(model.config, name, 0.0)
    return model.train()


def uneven_batch(encoder, udhr_lines):
    """Sentences of 3 to 60 subwords in no order: some of the longest stand between the shortest."""
    lines = [line for texts in udhr_lines.values() for line in texts[:6]]
    lines = [line[: 12 if n % 2 else 400] for n, line in enumerate(lines)]
    texts = encode_texts(encoder.tokenizer, lines, 60)
    return make_batch([(texts, np.arange(len(texts)))], encoder.tokenizer.pad_token_id).inputs


def test_a_batch_in_parts_has_the_states_and_gradients_of_the_whole(any_tiny_encoder, udhr_lines, monkeypatch):
    model = no_dropout(any_tiny_encoder.model).double()
    inputs = uneven_batch(any_tiny_encoder, udhr_lines)
    inside = inputs["attention_mask"].bool()[..., None]
    wanted = (1, any_tiny_encoder.layers)

    def run(start=None):
        model.zero_grad(set_to_none=True)
        found = hidden_states(model, wanted, inputs)
        if start is not None:
            found = states_above(model, start, hidden_states(model, (start,), inputs)[start], inputs, wanted[1:])
        # Places of padding are no states of anything; a vector drawn once makes all others count differently.
        weights = torch.linspace(-1, 1, found[wanted[-1]].shape[-1], dtype=torch.float64)
        sum((state * inside * weights).sum() for state in found.values()).backward()
        gradients = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
        return {layer: (state * inside).detach() for layer, state in found.items()}, gradients

    assert len(parts_of(model, inputs)) > 1
    for start in (None, 1):
        (states, gradients) = run(start)
        with monkeypatch.context() as whole:
            whole.setattr(layers, "parts_of", lambda model, inputs: [])
            expected_states, expected_gradients = run(start)
        assert states.keys() == expected_states.keys()
        for layer, state in states.items():
            assert torch.allclose(state, expected_states[layer], atol=1e-9), layer
        assert gradients.keys() == expected_gradients.keys()
        for name, gradient in gradients.items():
            assert torch.allclose(gradient, expected_gradients[name], atol=1e-8, rtol=1e-8), name


def test_a_batch_is_run_as_a_whole_where_parts_do_not_pay(tiny_encoder, udhr_lines):
    inputs = uneven_batch(tiny_encoder, udhr_lines)
    assert parts_of(tiny_encoder.model.eval(), inputs) == []
    model = tiny_encoder.model.train()
    assert parts_of(model, {**inputs, "attention_mask": torch.ones_like(inputs["attention_mask"])}) == []
    assert parts_of(model, {**inputs, "attention_mask": inputs["attention_mask"][:, None, None]}) == []
    found = parts_of(model, inputs)
    assert sorted(torch.cat([part.rows for part in found]).tolist()) == list(range(len(inputs["input_ids"])))
    lengths = inputs["attention_mask"].sum(1)
    assert all(int(lengths[part.rows].max()) == part.width for part in found)


def test_the_word_loss_in_parts_is_that_of_the_whole(tiny_encoder, aligned, monkeypatch):
    """Loss and gradients of batches as training has them, in double precision: what sums round is left out."""
    no_dropout(tiny_encoder.model)
    stream = pair_stream(tiny_encoder, aligned, 6, batch=16)
    objective = make_objective("word", ObjectiveSettings(), tiny_encoder.model, 0)
    model = nn.ModuleDict({"encoder": tiny_encoder.model, "heads": objective.heads}).double().train()
    divided = 0
    for step in range(6):
        batch, found = stream(step), []
        divided += len(parts_of(tiny_encoder.model, batch.texts.inputs)) > 1
        for whole in (False, True):
            with monkeypatch.context() as patch:
                if whole:
                    patch.setattr(layers, "parts_of", lambda model, inputs: [])
                model.zero_grad(set_to_none=True)
                loss = objective.loss(model, batch)
                loss.backward()
            found.append((loss.item(), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}))
        assert found[0][0] == pytest.approx(found[1][0], abs=1e-9)
        assert found[0][1].keys() == found[1][1].keys()
        for name, gradient in found[0][1].items():
            assert torch.allclose(gradient, found[1][1][name], atol=1e-8, rtol=0), name
    assert divided > 3


def test_little_of_a_batch_is_padding():
    """Lengths as those of a bitext: each side's scattered around the other's by a fifth."""
    draw = np.random.default_rng(0)
    src = draw.integers(8, 60, 4000)
    tgt = np.clip(np.round(src * draw.normal(1.0, 0.2, 4000)), 4, 96).astype(int)
    for size in (16, 64):
        plan = plan_steps([0] * 4000, np.maximum(src, tgt), 200, size, 1, "realign")
        assert padding_efficiency(src, tgt, plan) >= 0.95
        assert padding_efficiency(src, tgt, plan, in_parts=False) < 0.9
