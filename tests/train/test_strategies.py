"""Strategies as lists of phases, and what they do to a model: the same as steps written by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import xrealign.train.loop as loop
from xrealign.errors import ConfigError
from xrealign.model.encoder import load_encoder
from xrealign.model.layers import hidden_state, trainable_names
from xrealign.model.words import encode_texts, pool_words
from xrealign.train.finetune import loss_of
from xrealign.train.heads import Classifier
from xrealign.train.loop import run_phase
from xrealign.train.losses import word_contrastive
from xrealign.train.phase import Objective, Phase, rate_at
from xrealign.train.seeds import seed_torch
from xrealign.train.strategies import STRATEGIES, PhaseSpec, make_phase, plan_phases, turn_of, turns
from xrealign.train.streams import LabelledStream, PairStream

SEED = 9


def shape(strategy, **settings):
    phases = plan_phases(strategy, 10, 6, **settings)
    return [(p.name, p.steps, dict(p.weights), p.settings) for p in phases]


def test_the_phases_of_each_strategy():
    realign = ("realign", 6, {"realign": 1.0}, "realign")
    finetune = ("finetune", 10, {"finetune": 1.0}, "finetune")
    joint = ("joint", 10, {"finetune": 1.0, "realign": 0.1}, "finetune")
    assert {name: shape(name) for name in STRATEGIES} == {
        "none": [finetune],
        "before": [realign, finetune],
        "during": [joint],
        "after": [finetune, realign],
        "before+during": [realign, joint],
        "alternating": [("alternate", 20, {"finetune": 1.0, "realign": 1.0}, "finetune")],
    }
    assert shape("during", weight=0.5)[0][2] == {"finetune": 1.0, "realign": 0.5}
    assert plan_phases("before", 10, 0) == plan_phases("none", 10, 6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("befor", 1, 1), "'befor' is unknown; expected one of none, before, .*; did you mean 'before'"),
        (("alternating", 1, 1, 0.1, 1), "every = 1 is impossible; expected 2 or more"),
        (("during", 1, 1, 0.0), "weight = 0.0 is impossible"),
    ],
)
def test_impossible_strategies(arguments, message):
    with pytest.raises(ConfigError, match=message):
        plan_phases(*arguments)


@pytest.mark.parametrize("every", [2, 3, 5])
@pytest.mark.parametrize("steps", [1, 7, 10, 12])
def test_alternating_trains_the_task_as_often_as_any_other_strategy(every, steps):
    (spec,) = plan_phases("alternating", steps, 99, every=every)
    own = {kind: [turn_of(spec, kind)(step) for step in range(spec.steps)] for kind in ("finetune", "realign")}
    for step, (task, realign) in enumerate(zip(own["finetune"], own["realign"], strict=True), 1):
        assert (realign is not None) == (step % every == 0)
        assert (task is None) == (step % every == 0)
    for kind, numbers in own.items():  # no batch is left out or comes twice
        assert [n for n in numbers if n is not None] == list(range(turns(spec, kind)))
    assert turns(spec, "finetune") == steps
    assert turns(plan_phases("during", 10, 6)[0], "realign") == 10
    assert turns(plan_phases("none", 10, 6)[0], "realign") == 0


@pytest.fixture(scope="module")
def data(tiny_encoder_folder, aligned):
    encoder = load_encoder(str(tiny_encoder_folder))
    src = encode_texts(encoder.tokenizer, aligned.src, 96, aligned.src_spans)
    tgt = encode_texts(encoder.tokenizer, aligned.tgt, 96, aligned.tgt_spans)
    draw = np.random.default_rng(0)
    pad = encoder.tokenizer.pad_token_id
    pairs = PairStream(src, tgt, aligned.links, draw.integers(len(src), size=(40, 4)), pad)
    labels = np.array([len(text) % 3 for text in aligned.src])
    return pairs, LabelledStream(src, labels, draw.integers(len(src), size=(40, 5)), pad)


def realignment_loss(model, batch):
    words = model["projection"](pool_words(hidden_state(model["encoder"], 4, batch.texts.inputs), batch.texts))
    return word_contrastive(words[: batch.src_words], words[batch.src_words :], batch.links)


def model_of(folder):
    encoder = load_encoder(str(folder))
    seed_torch(SEED, "heads")
    parts = {"encoder": encoder.model, "head": Classifier(32, 3), "projection": nn.Linear(32, 16, bias=False)}
    return nn.ModuleDict(parts)


def objectives_of(model, data, freeze="front"):
    pairs, labelled = data
    every = frozenset(f"encoder.{name}" for name in trainable_names(model["encoder"], "none"))
    upper = frozenset(f"encoder.{name}" for name in trainable_names(model["encoder"], freeze))
    head = frozenset({"head.linear.weight", "head.linear.bias"})
    return {
        "finetune": [Objective("task", labelled, loss_of("class"), every | head)],
        "realign": [Objective("word", pairs, realignment_loss, upper | {"projection.weight"})],
    }


TEMPLATES = {
    "finetune": Phase("", 0, 1e-3, (), "linear", 0.2, weight_decay=0.1, clip=1.0, checkpoint_every=3),
    "realign": Phase("", 0, 5e-4, (), checkpoint_every=3),
}


def run(folder, data, spec, work, freeze="front"):
    model = model_of(folder)
    history = run_phase(model, make_phase(spec, objectives_of(model, data, freeze), TEMPLATES), work, SEED)
    return {name: p.detach().clone() for name, p in model.named_parameters()}, history


def by_hand(folder, data, spec, losses_of_step):
    """One backward pass of one sum in each step, as the papers write it; nothing is frozen."""
    model, template = model_of(folder), TEMPLATES[spec.settings]
    phase = dataclasses.replace(template, steps=spec.steps)
    pairs, labelled = data
    parameters = [p for name, p in model.named_parameters() if "pooler" not in name]
    optimiser = torch.optim.AdamW(parameters, lr=1.0, weight_decay=phase.weight_decay, fused=True)
    model.train()
    for step in range(spec.steps):
        total = torch.zeros(())
        for kind, number, weight in losses_of_step(step):
            seed_torch(SEED, "dropout", spec.name, {"finetune": "task", "realign": "word"}[kind], step)
            if kind == "finetune":
                total = total + weight * loss_of("class")(model, labelled(number))
            else:
                total = total + weight * realignment_loss(model, pairs(number))
        total.backward()
        if phase.clip is not None:
            nn.utils.clip_grad_norm_(parameters, phase.clip)
        for group in optimiser.param_groups:
            group["lr"] = rate_at(phase, step)
        optimiser.step()
        optimiser.zero_grad()
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def apart(a, b):
    """Largest difference; a key's bias aside, whose gradient is rounding alone, which Adam turns into steps."""
    return max(float((a[name] - b[name]).abs().max()) for name in a if not name.endswith("key.bias"))


def test_during_is_the_joint_step_written_by_hand(tiny_encoder_folder, data, tmp_path):
    (spec,) = plan_phases("during", 5, 99, weight=0.1)
    ours, history = run(tiny_encoder_folder, data, spec, tmp_path, "none")
    wanted = by_hand(tiny_encoder_folder, data, spec, lambda step: [("finetune", step, 1.0), ("realign", step, 0.1)])
    start = {name: p.detach() for name, p in model_of(tiny_encoder_folder).named_parameters()}
    assert apart(ours, wanted) < 2e-5
    assert apart(ours, start) > 1e-3
    other = by_hand(tiny_encoder_folder, data, spec, lambda step: [("finetune", step, 1.0), ("realign", step, 1.0)])
    assert apart(ours, other) > 1e-4
    assert history[-1].keys() >= {"task", "word"}


def test_alternating_is_the_steps_written_by_hand(tiny_encoder_folder, data, tmp_path):
    (spec,) = plan_phases("alternating", 4, 99, every=3)
    ours, history = run(tiny_encoder_folder, data, spec, tmp_path, "none")
    order = [("finetune", 0), ("finetune", 1), ("realign", 0), ("finetune", 2), ("finetune", 3), ("realign", 1)]
    wanted = by_hand(tiny_encoder_folder, data, spec, lambda step: [(*order[step], 1.0)])
    assert apart(ours, wanted) < 2e-5
    # Checkpoints come every three steps: of the first three steps two were of the task and one of realignment.
    assert [row["step"] for row in history] == [3, 6]
    assert all(row["task"] is not None and row["word"] is not None for row in history)


def test_alternating_moves_what_the_turn_says(tiny_encoder_folder, data, tmp_path):
    start = {name: p.detach() for name, p in model_of(tiny_encoder_folder).named_parameters()}

    def moved(steps):
        spec = dataclasses.replace(plan_phases("alternating", 4, 99, every=2)[0], steps=steps)
        after, _ = run(tiny_encoder_folder, data, spec, tmp_path / str(steps))
        return {name for name in start if not torch.equal(after[name], start[name])}

    after_task, after_both = moved(1), moved(2)
    assert not any(name.startswith("projection") for name in after_task)
    assert any(name.startswith("encoder.encoder.layer.0.") for name in after_task)
    assert after_both - after_task == {"projection.weight"}


def test_a_frozen_block_moves_by_the_task_alone(tiny_encoder_folder, data, tmp_path):
    """Joint training with front-freezing: the first step moves the lower blocks as if there were no realignment.

    Without clipping, which scales all gradients by the norm of all of them.
    """
    templates = {kind: dataclasses.replace(phase, clip=None) for kind, phase in TEMPLATES.items()}
    found = []
    for strategy in ("during", "none"):
        spec = dataclasses.replace(plan_phases(strategy, 1, 1)[0], name="same dropout")
        model = model_of(tiny_encoder_folder)
        run_phase(model, make_phase(spec, objectives_of(model, data), templates), tmp_path / strategy, SEED)
        found.append({name: p.detach() for name, p in model.named_parameters()})
    both, task = found
    start = {name: p.detach() for name, p in model_of(tiny_encoder_folder).named_parameters()}
    lower = ("encoder.embeddings.", "encoder.encoder.layer.0.", "encoder.encoder.layer.1.", "head.")
    for name in start:
        assert torch.equal(both[name], task[name]) == name.startswith((*lower, "encoder.pooler.")), name
        assert torch.equal(task[name], start[name]) == name.startswith(("encoder.pooler.", "projection.")), name


@pytest.mark.parametrize("strategy", ["before+during", "alternating", "after"])
@pytest.mark.parametrize("stop", [3, 8])
def test_stopped_in_any_phase_and_run_again_ends_in_the_same_bits(
    tiny_encoder_folder, data, tmp_path, monkeypatch, strategy, stop
):
    specs = plan_phases(strategy, 5, 5)

    def whole(work):
        model = model_of(tiny_encoder_folder)
        histories = []
        for spec in specs:
            phase = make_phase(spec, objectives_of(model, data), TEMPLATES)
            histories.append(run_phase(model, phase, work / spec.name, SEED))
            model = keep(model, work / f"{spec.name}.done")
        return {name: p.detach().clone() for name, p in model.named_parameters()}, histories

    def keep(model, path):
        """A finished phase's result is on disk, as a finished stage's is; the next phase reads it."""
        save_file(model.state_dict(), path)
        fresh = model_of(tiny_encoder_folder)
        fresh.load_state_dict(load_file(path))
        return fresh

    wanted, histories = whole(tmp_path / "a")
    real, calls = loop.rate_at, []

    def dies(phase, step):
        calls.append(step)
        if len(calls) == stop + 1:
            raise KeyboardInterrupt
        return real(phase, step)

    monkeypatch.setattr(loop, "rate_at", dies)
    with pytest.raises(KeyboardInterrupt):
        whole(tmp_path / "b")
    monkeypatch.setattr(loop, "rate_at", real)
    again, second = whole(tmp_path / "b")
    assert second == histories
    assert all(torch.equal(again[name], weight) for name, weight in wanted.items())


def test_weights_multiply():
    objective = Objective("word", lambda step: None, lambda m, b: None, frozenset(), 2.0)
    spec = PhaseSpec("joint", 3, {"realign": 0.25}, "finetune")
    phase = make_phase(spec, {"realign": [objective]}, TEMPLATES)
    assert phase.objectives[0].weight == 0.5
    assert (phase.name, phase.steps, phase.clip) == ("joint", 3, 1.0)
