"""A step that is not finite changes nothing, is counted and named, and costs the others no wait."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import xrealign.train.step_gradients as gradients
from xrealign.errors import TrainingError
from xrealign.train.guards import skipped_steps
from xrealign.train.loop import run_phase
from xrealign.train.phase import Objective, Phase, rate_at, unused_row_factor
from xrealign.train.seeds import seed_torch

NAMES = frozenset({"a.weight", "a.bias", "b.weight", "b.bias"})


def fresh():
    seed_torch(0, "test")
    return nn.ModuleDict({"a": nn.Linear(4, 4), "b": nn.Linear(4, 2)})


def batch(step):
    return torch.randn(8, 4, generator=torch.Generator().manual_seed(step))


def good(model, x):
    return model["b"](torch.tanh(model["a"](x))).square().mean()


def spoilt(faults):
    """The loss, but at some steps what ``faults`` makes of it; a step is known by its batch."""
    by_batch = {float(batch(step)[0, 0]): fault for step, fault in faults.items()}

    def loss(model, x):
        value = good(model, x)
        fault = by_batch.get(float(x[0, 0]))
        if fault == "gradient":  # sqrt at 0: a finite loss whose gradient is not
            return value + torch.sqrt(model["a"].weight.sum() * 0.0)
        return value if fault is None else value * fault

    return loss


def phase_of(loss, steps=12, **settings):
    objective = Objective("word", batch, loss, NAMES, items=lambda step: [f"pair-{step}-{n}" for n in range(8)])
    settings = {"schedule": "linear", "warmup": 0.2, "weight_decay": 0.1, "clip": 0.05} | settings
    return Phase("realign", steps, 1e-2, (objective,), **settings)


def by_hand(phase, left_out=()):
    """AdamW as anyone would write it, without flags, leaving out the steps named (counted from 1)."""
    model = fresh()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1.0, weight_decay=phase.weight_decay, fused=True)
    values = []
    for step in range(phase.steps):
        if step + 1 in left_out:
            continue
        loss = good(model, batch(step))
        values.append(loss.item())
        loss.backward()
        if phase.clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), phase.clip)
        for group in optimiser.param_groups:
            group["lr"] = rate_at(phase, step)
        optimiser.step()
        optimiser.zero_grad()
    return model, values


def same(a, b):
    return all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


@pytest.mark.parametrize("clip", [0.05, None])
def test_nothing_changes_where_nothing_is_wrong(tmp_path, clip):
    phase, model = phase_of(good, clip=clip), fresh()
    history = run_phase(model, phase, tmp_path, seed=0)
    wanted, values = by_hand(phase)
    assert same(model, wanted)
    assert [row["step"] for row in history] == [10, 12]
    assert history[0]["word"] == pytest.approx(sum(values[:10]) / 10, rel=1e-6)
    assert history[1] == {"step": 12, "rate": rate_at(phase, 11), "word": pytest.approx(sum(values[10:]) / 2, rel=1e-6)}


@pytest.mark.parametrize("fault", [math.nan, math.inf, -math.inf, "gradient"])
@pytest.mark.parametrize("at", [(0,), (4,), (3, 4, 6), (9, 10), (11,)])
def test_a_step_that_is_not_finite_is_as_if_it_had_not_been(tmp_path, capsys, fault, at):
    model = fresh()
    phase = phase_of(spoilt(dict.fromkeys(at, fault)))
    history = run_phase(model, phase, tmp_path, seed=0)
    wanted, values = by_hand(phase, [step + 1 for step in at])
    assert same(model, wanted)
    assert all(torch.isfinite(p).all() for p in model.parameters())
    assert skipped_steps(history) == [step + 1 for step in at]
    early = 10 - sum(step < 10 for step in at)
    assert history[0]["word"] == pytest.approx(sum(values[:early]) / early, rel=1e-6)
    entry = history[at[0] // 10]["skipped"][0]
    expected = {"nan": "nan", "inf": "inf", "-inf": "-inf"}.get(str(fault))
    assert entry["what"] == ("gradient" if fault == "gradient" else "word")
    assert entry["value"] == expected or fault == "gradient"
    assert entry["items"][0] == f"pair-{at[0]}-0"
    said = capsys.readouterr().err
    assert f"realign: step {at[0] + 1} is left out: the {'gradient' if fault == 'gradient' else 'loss'}" in said
    assert f"(items pair-{at[0]}-0, pair-{at[0]}-1, pair-{at[0]}-2, pair-{at[0]}-3 and 4 more)" in said


@pytest.mark.parametrize(
    ("at", "steps"), [((0, 1, 2), "1, 2, 3"), ((8, 9, 10), "9, 10, 11"), ((2, 4, 5, 6), "5, 6, 7")]
)
def test_three_in_a_row_end_the_run_with_nothing_damaged(tmp_path, at, steps):
    model = fresh()
    with pytest.raises(
        TrainingError, match=rf"realign: 3 steps in a row \({steps}\) .* the loss 'word' is nan \(items"
    ):
        run_phase(model, phase_of(spoilt(dict.fromkeys(at, math.nan)), 20), tmp_path, seed=0)
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_not_a_single_step(tmp_path):
    with pytest.raises(TrainingError, match=r"every step \(2\) had to be left out, the first because the loss"):
        run_phase(fresh(), phase_of(spoilt({0: math.nan, 1: math.nan}), 2), tmp_path, seed=0)


def test_a_last_step_that_spoils_the_weights(tmp_path):
    """The gradient is finite, what the rate makes of it is not, and no further loss would tell."""
    phase = dataclasses.replace(phase_of(good, 3, schedule="constant", warmup=0.0), learning_rate=1e39)
    with pytest.raises(TrainingError, match=r"training has left weights that are not finite, first 'a.weight'"):
        run_phase(fresh(), dataclasses.replace(phase, steps=1), tmp_path / "a", seed=0)
    with pytest.raises(TrainingError, match=r"steps in a row \(2, 3, 4\).*try a lower learning_rate"):
        run_phase(fresh(), dataclasses.replace(phase, steps=5), tmp_path / "b", seed=0)


def test_a_whole_row_of_the_history_without_a_step(tmp_path):
    model = fresh()
    history = run_phase(model, phase_of(spoilt({10: math.nan}), 11), tmp_path, seed=0)
    assert history[1]["word"] is None


def test_which_objective_was_it(tmp_path, capsys):
    model = fresh()
    both = (Objective("task", batch, good, NAMES), Objective("realign", batch, spoilt({1: math.inf}), NAMES, 0.1))
    history = run_phase(model, Phase("joint", 3, 1e-2, both), tmp_path, seed=0)
    assert history[0]["skipped"] == [{"step": 2, "what": "realign", "value": "inf"}]
    assert "joint: step 2 is left out: the loss 'realign' is inf\n" in capsys.readouterr().err


@pytest.mark.parametrize("stop", [2, 5, 6, 7])
def test_resuming_remembers_what_was_left_out(tmp_path, monkeypatch, stop):
    faults = spoilt({2: math.nan, 3: math.nan, 7: "gradient"})
    phase = phase_of(faults, checkpoint_every=4)
    whole = fresh()
    history = run_phase(whole, phase, tmp_path / "a", seed=0)
    real, calls = gradients.seed_torch, []

    def dies(*args):
        calls.append(args)
        if len(calls) == stop + 1:
            raise KeyboardInterrupt
        real(*args)

    monkeypatch.setattr(gradients, "seed_torch", dies)
    with pytest.raises(KeyboardInterrupt):
        run_phase(fresh(), phase, tmp_path / "b", seed=0)
    monkeypatch.setattr(gradients, "seed_torch", real)
    again = fresh()
    assert run_phase(again, phase, tmp_path / "b", seed=0) == history
    assert same(again, whole)
    assert skipped_steps(history) == [3, 4, 8]
    # Two steps left out before the checkpoint and one right after it are three in a row.
    with pytest.raises(TrainingError, match=r"\(3, 4, 5\)"):
        run_phase(fresh(), phase_of(spoilt(dict.fromkeys((2, 3, 4), math.nan)), checkpoint_every=4), tmp_path, seed=0)


def test_weight_decay_of_unused_rows_leaves_them_out_too():
    phase = Phase("x", 3, 0.1, (), weight_decay=0.5)
    history = [{"step": 2, "skipped": [{"step": 1, "what": "word", "value": "nan"}]}, {"step": 3}]
    assert unused_row_factor(phase, history=history) == pytest.approx(0.95**2)
    assert unused_row_factor(phase, history=history[:1]) == pytest.approx(0.95)  # ended after two steps


class _Reads(TorchDispatchMode):
    """Counts what makes the host wait for a device: reading a tensor's value."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.is_nonzero.default)
        return function(*args, **(kwargs or {}))


def test_no_step_waits_for_the_device(tmp_path):
    counts = []
    for steps in (10, 30):
        with _Reads() as reads:
            run_phase(fresh(), phase_of(good, steps), tmp_path / str(steps), seed=0)
        counts.append(reads.count)
    assert counts[0] == counts[1] <= 1, "at most a look at what is left at the end"
    with _Reads() as reads:
        torch.ones(1).item()
    assert reads.count == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_no_step_waits_for_it(tmp_path):
    """CUDA itself raises where the host would wait; the history is read after the tenth step."""
    x = torch.randn(8, 4)

    def watched(step):
        torch.cuda.set_sync_debug_mode("error" if step < 9 else "default")
        return x

    objective = Objective("word", watched, good, NAMES)
    try:
        phase = Phase("realign", 10, 1e-2, (objective,), "linear", 0.2, weight_decay=0.1, clip=0.05)
        run_phase(fresh(), phase, tmp_path, seed=0)
    finally:
        torch.cuda.set_sync_debug_mode("default")
