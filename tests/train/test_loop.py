"""The loop: resuming is exact, freezing belongs to the objective, seeds alone decide."""

from __future__ import annotations

import dataclasses
import math
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import xrealign.train.loop as loop
import xrealign.train.step_gradients as gradients
from xrealign.errors import TrainingError
from xrealign.model.encoder import load_encoder
from xrealign.train.checkpoint import Progress, load_checkpoint, save_checkpoint
from xrealign.train.loop import choose_precision, run_phase
from xrealign.train.phase import Objective, Phase, rate_at, unused_row_factor
from xrealign.train.realign import RealignSettings, realign
from xrealign.train.seeds import seed_for, seed_torch
from xrealign.train.streams import plan_steps

SETTINGS = RealignSettings(
    steps=14, batch_size=4, learning_rate=1e-3, freeze="none", checkpoint_every=4, schedule="linear", warmup=0.2
)


def weights(folder, aligned, work, settings=SETTINGS, seed=3, control=False):
    encoder = load_encoder(str(folder))
    facts = realign(encoder, aligned, settings, work, seed, control)
    return {name: p.detach().clone() for name, p in encoder.model.named_parameters()}, facts


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def undisturbed(tiny_encoder_folder, aligned, tmp_path_factory):
    return weights(tiny_encoder_folder, aligned, tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("stop", [1, 4, 5, 9, 13])
def test_stopped_anywhere_and_run_again_ends_in_the_same_bits(
    tiny_encoder_folder, aligned, undisturbed, tmp_path, monkeypatch, stop
):
    real, calls = gradients.seed_torch, []

    def dies(*args):
        calls.append(args)
        if len(calls) == stop + 1:
            raise KeyboardInterrupt
        real(*args)

    monkeypatch.setattr(gradients, "seed_torch", dies)
    with pytest.raises(KeyboardInterrupt):
        weights(tiny_encoder_folder, aligned, tmp_path)
    monkeypatch.setattr(gradients, "seed_torch", real)
    again, facts = weights(tiny_encoder_folder, aligned, tmp_path)
    assert equal(again, undisturbed[0])
    assert facts["history"] == undisturbed[1]["history"]


def test_a_damaged_checkpoint_is_dropped_and_said(tiny_encoder_folder, aligned, undisturbed, tmp_path, capsys):
    long = {**SETTINGS.__dict__, "steps": 14}
    weights(tiny_encoder_folder, aligned, tmp_path, RealignSettings(**long))
    newest = max(tmp_path.glob("step-*"))
    state = newest / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-7] + b"damaged")
    again, _ = weights(tiny_encoder_folder, aligned, tmp_path)
    assert equal(again, undisturbed[0])
    assert "damaged: dropped" in capsys.readouterr().err


def test_same_seed_same_bits_other_seed_other_bits(tiny_encoder_folder, aligned, undisturbed, tmp_path):
    assert equal(weights(tiny_encoder_folder, aligned, tmp_path / "a")[0], undisturbed[0])
    assert not equal(weights(tiny_encoder_folder, aligned, tmp_path / "b", seed=4)[0], undisturbed[0])


def test_control_sees_the_same_source_sentences_and_no_target(tiny_encoder_folder, aligned, tmp_path):
    """What the target side says cannot matter to the control; its lengths alone shape the batches, for both."""
    lengths = [len(row) for row in load_encoder(str(tiny_encoder_folder)).tokenizer(list(aligned.tgt))["input_ids"]]
    order = sorted(range(len(lengths)), key=lambda n: (lengths[n], n))
    swapped = list(aligned.tgt)
    for a, b in zip(order[::2], order[1::2], strict=False):
        if lengths[a] == lengths[b]:
            swapped[a], swapped[b] = swapped[b], swapped[a]
    assert sum(x != y for x, y in zip(swapped, aligned.tgt, strict=True)) > 20
    first, facts = weights(tiny_encoder_folder, aligned, tmp_path / "a", control=True)
    other = dataclasses.replace(aligned, tgt=swapped)
    second, _ = weights(tiny_encoder_folder, other, tmp_path / "b", control=True)
    assert equal(first, second)
    real = weights(tiny_encoder_folder, aligned, tmp_path / "c")[1]
    assert facts["links"] == real["links"]
    assert facts["distinct_pairs_used"] == real["distinct_pairs_used"]
    assert facts["moved"].keys() == real["moved"].keys()


@pytest.mark.parametrize("freeze", ["front", "back", "embeddings", "none"])
def test_what_is_frozen_keeps_every_bit(tiny_encoder_folder, aligned, tmp_path, freeze):
    before = {n: p.detach().clone() for n, p in load_encoder(str(tiny_encoder_folder)).model.named_parameters()}
    settings = RealignSettings(steps=3, batch_size=4, learning_rate=1e-2, freeze=freeze)
    after, facts = weights(tiny_encoder_folder, aligned, tmp_path, settings)
    frozen = {
        "front": ("embeddings.", "encoder.layer.0.", "encoder.layer.1."),
        "back": ("encoder.layer.2.", "encoder.layer.3."),
        "embeddings": ("embeddings.",),
        "none": (),
    }[freeze]
    for name, weight in after.items():
        kept = name.startswith((*frozen, "pooler."))
        # A key's bias shifts all scores of a query alike, so softmax gives it no gradient but rounding.
        if not name.endswith("key.bias"):
            assert torch.equal(weight, before[name]) == kept, name
        if kept:
            assert name not in facts["moved"]


def test_freezing_belongs_to_the_objective(tmp_path):
    """In one phase, one objective's gradient is kept from a parameter that the other one trains."""
    seed_torch(0, "test")
    model = nn.ModuleDict({"a": nn.Linear(2, 1, bias=False), "b": nn.Linear(2, 1, bias=False)})
    start = model["a"].weight.detach().clone()
    batch = torch.ones(1, 2)

    def loss(factor):
        return lambda m, x: factor * (m["a"](x) + m["b"](x)).sum()

    both = frozenset({"a.weight", "b.weight"})
    objectives = (
        Objective("task", lambda step: batch, loss(1.0), both),
        Objective("realign", lambda step: batch, loss(-100.0), frozenset({"b.weight"})),
    )
    run_phase(model, Phase("joint", 1, 0.1, objectives), tmp_path, seed=0)
    # Adam's first step is the rate against the gradient's sign: a follows the task alone, b the realignment.
    assert torch.allclose(model["a"].weight, start - 0.1, atol=1e-5)
    assert torch.all(model["b"].weight.detach() > 0.1 - 1 - 1e-6)
    seed_torch(0, "test")
    fresh = nn.ModuleDict({"a": nn.Linear(2, 1, bias=False), "b": nn.Linear(2, 1, bias=False)})
    assert torch.allclose(model["b"].weight, fresh["b"].weight + 0.1, atol=1e-5)


def test_a_loss_that_is_no_number_names_its_steps(tmp_path):
    model = nn.ModuleDict({"a": nn.Linear(1, 1)})
    batch = torch.ones(1, 1)

    def loss(m, x):
        return m["a"](x).sum() * math.nan

    objective = Objective("bad", lambda step: batch, loss, frozenset({"a.weight"}))
    with pytest.raises(TrainingError, match=r"3 steps in a row \(1, 2, 3\) .* the loss 'bad' is nan"):
        run_phase(model, Phase("realign", 3, 0.1, (objective,)), tmp_path, seed=0)


def test_a_head_may_learn_faster(tmp_path):
    seed_torch(0, "test")
    model = nn.ModuleDict({"head": nn.Linear(1, 1, bias=False), "encoder": nn.Linear(1, 1, bias=False)})
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    objective = Objective(
        "x", lambda step: torch.ones(1, 1), lambda m, x: (m["head"](x) + m["encoder"](x)).sum(), frozenset(start)
    )
    run_phase(model, Phase("finetune", 1, 0.01, (objective,), faster={"head.": 10.0}), tmp_path, seed=0)
    assert (start["head.weight"] - model["head"].weight).item() == pytest.approx(0.1, abs=1e-6)
    assert (start["encoder.weight"] - model["encoder"].weight).item() == pytest.approx(0.01, abs=1e-6)


def test_rates_are_a_function_of_the_step():
    phase = Phase("x", 10, 1.0, (), "linear", warmup=0.2)
    assert [round(rate_at(phase, step), 4) for step in range(10)] == [
        0.5,
        1.0,
        1.0,
        0.875,
        0.75,
        0.625,
        0.5,
        0.375,
        0.25,
        0.125,
    ]
    assert rate_at(Phase("x", 10, 1.0, ()), 9) == 1.0
    decayed = Phase("x", 3, 0.1, (), weight_decay=0.5)
    assert unused_row_factor(decayed) == pytest.approx(0.95**3)


def test_checkpoints_hold_what_changes_and_are_checked(tmp_path):
    model = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    three = [Progress(step, [{"step": step}], [[0.5, 1.0]] * (step - 5)) for step in (5, 6, 7)]
    for progress in three:
        save_checkpoint(tmp_path, progress, model, optimizer)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000006", "step-00000007"]
    assert sorted(p.name for p in (tmp_path / "step-00000006").iterdir()) == ["checkpoint.json", "state.safetensors"]
    fresh = nn.Linear(3, 2)
    restored = torch.optim.AdamW(fresh.parameters(), lr=0.1)
    assert load_checkpoint(tmp_path, fresh, restored) == three[2]
    assert torch.equal(fresh.weight, model.weight)
    for p, q in zip(model.parameters(), fresh.parameters(), strict=True):
        for key, value in optimizer.state[p].items():
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(restored.state[q][key])), key
    manifest = tmp_path / "step-00000007" / "checkpoint.json"
    manifest.write_text(manifest.read_text().replace('"step": 7', '"step": 8', 1))
    assert load_checkpoint(tmp_path, fresh, restored) == three[1]
    state = tmp_path / "step-00000006" / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-1])
    assert load_checkpoint(tmp_path, fresh, restored) == Progress()
    shutil.rmtree(tmp_path)


class _Remembering(nn.Module):
    """An objective's memory: a running mean of what it has seen, in a buffer, and another that is no state."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("scratch", torch.zeros(3), persistent=False)

    def forward(self, x):
        self.mean.mul_(0.9).add_(0.1 * x * self.weight.detach())
        return ((self.weight - x) * self.mean).square().sum()


def test_buffers_are_part_of_a_checkpoint(tmp_path, monkeypatch):
    def run(folder):
        model = nn.ModuleDict({"memory": _Remembering()})
        objective = Objective(
            "x", lambda step: torch.arange(3.0) + step, lambda m, x: m["memory"](x), frozenset({"memory.weight"})
        )
        run_phase(model, Phase("x", 9, 0.1, (objective,), checkpoint_every=3), folder, seed=0)
        return model["memory"]

    whole, real = run(tmp_path / "a"), loop.rate_at

    def dies(phase, step):
        if step == 5:
            raise KeyboardInterrupt
        return real(phase, step)

    monkeypatch.setattr(loop, "rate_at", dies)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "b")
    monkeypatch.setattr(loop, "rate_at", real)
    again = run(tmp_path / "b")
    assert torch.equal(again.mean, whole.mean)
    assert torch.equal(again.weight, whole.weight)
    tensors = load_file(tmp_path / "b" / "step-00000006" / "state.safetensors")
    assert "buffer.memory.mean" in tensors
    assert "buffer.memory.scratch" not in tensors


def test_plans_give_every_language_its_share_and_repeat_none_before_its_turn():
    groups = [0] * 50 + [1] * 5
    lengths = np.arange(55)
    plan = plan_steps(groups, lengths, steps=100, batch=10, seed=1, name="t")
    counts = np.bincount(plan.reshape(-1), minlength=55)
    assert counts.sum() == 1000
    assert abs(int(counts[50:].sum()) - 500) < 80  # half, within five standard deviations
    for members in (counts[:50], counts[50:]):
        assert members.max() - members.min() <= 1
    spread = (lengths[plan].max(axis=1) - lengths[plan].min(axis=1)).mean()
    assert spread < 20  # of 54 when drawn blindly: batches hold sentences of like length
    assert np.array_equal(plan, plan_steps(groups, lengths, 100, 10, seed=1, name="t"))
    assert not np.array_equal(plan, plan_steps(groups, lengths, 100, 10, seed=2, name="t"))


def test_an_empty_plan_is_an_error():
    with pytest.raises(TrainingError, match="nothing to train on"):
        plan_steps([], np.array([]), 3, 2, 1, "realign")


def test_seeds_depend_on_every_name():
    assert len({seed_for(1), seed_for(2), seed_for(1, "a"), seed_for(1, "a", "b"), seed_for(1, "ab")}) == 5


def test_bf16_is_refused_where_the_hardware_has_none(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_precision("auto") == "no"
    with pytest.raises(Exception, match="15 times slower"):
        choose_precision("bf16")
