"""Measures of collapse and forgetting against their definitions, and what the loop does with them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import nn

import xrealign.train.loop as loop
from xrealign.model.encoder import load_encoder
from xrealign.train.loop import run_phase
from xrealign.train.phase import Objective, Phase
from xrealign.train.seeds import seed_torch
from xrealign.train.watch import (
    Limits,
    Watch,
    drift,
    isoscore,
    mean_cosine,
    moves_text,
    probe,
    reasons,
    take,
    top_share,
    warnings_of,
)

RANDOM = np.random.default_rng(4)


def cloud(count, scales, shift=0.0):
    return torch.from_numpy(RANDOM.normal(size=(count, len(scales))) * np.array(scales) + shift)


def with_variances(variances):
    """Rows ±sqrt(variance·D) along each axis: their covariance is diagonal, with just these ratios."""
    axes = np.diag(np.sqrt(np.array(variances, dtype=float)))
    return torch.from_numpy(np.concatenate([axes, -axes]))


def test_mean_cosine_is_that_of_all_pairs():
    vectors = cloud(9, [1.0, 2.0, 0.5], shift=1.0)
    pairs = [
        float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b))) for a, b in itertools.combinations(vectors.numpy(), 2)
    ]
    assert mean_cosine(vectors) == pytest.approx(np.mean(pairs), abs=1e-12)
    assert mean_cosine(torch.eye(4)) == pytest.approx(0.0, abs=1e-12)
    assert mean_cosine(torch.ones(5, 3)) == pytest.approx(1.0, abs=1e-12)
    assert mean_cosine(torch.tensor([[1.0, 0.0], [-2.0, 0.0]])) == pytest.approx(-1.0, abs=1e-12)


@pytest.mark.parametrize("size", [2, 5, 16])
def test_isoscore_counts_the_directions_in_use(size):
    """Rudman et al. (2022): where k of n directions share the variance equally it is (k − 1) / (n − 1)."""
    for used in range(1, size + 1):
        vectors = with_variances([3.0] * used + [0.0] * (size - used))
        assert isoscore(vectors) == pytest.approx((used - 1) / (size - 1), abs=1e-9)


def test_isoscore_worked_by_hand():
    """Variances 4 and 3: scaled to norm √2, δ² = Σ(λ̂ − 1)² / (2 (2 − √2)), and so on."""
    scaled = [4 * math.sqrt(2) / 5, 3 * math.sqrt(2) / 5]
    defect = sum((value - 1) ** 2 for value in scaled) / (2 * (2 - math.sqrt(2)))
    share = (2 - defect * (2 - math.sqrt(2))) ** 2 / 4
    assert share == pytest.approx(49 / 50)  # (Σλ)² / (n Σλ²), which the formula comes to
    assert isoscore(with_variances([4.0, 3.0])) == pytest.approx(2 * share - 1, abs=1e-12)


def test_isoscore_sees_neither_shift_nor_scale_nor_rotation():
    vectors = cloud(50, [1.0, 0.5, 3.0, 0.1])
    rotation = torch.from_numpy(np.linalg.qr(RANDOM.normal(size=(4, 4)))[0])
    moved = 7 * vectors @ rotation + 100
    assert isoscore(moved) == pytest.approx(isoscore(vectors), abs=1e-9)
    assert isoscore(cloud(5000, [1.0] * 6)) > 0.99
    assert isoscore(torch.ones(6, 3)) == 0.0


@pytest.mark.parametrize("shape", [(40, 6), (5, 12)])
def test_top_share_is_that_of_pca(shape):
    vectors = cloud(shape[0], list(range(1, shape[1] + 1)), shift=2.0)
    wanted = PCA().fit(vectors.numpy()).explained_variance_ratio_[0]
    assert top_share(vectors) == pytest.approx(wanted, abs=1e-12)
    assert top_share(torch.ones(4, 4)) == 1.0


def test_drift_by_block(tiny_encoder_folder):
    model = load_encoder(str(tiny_encoder_folder)).model
    initial = {name: p.detach().clone() for name, p in model.named_parameters()}
    assert set(drift(model, initial).values()) == {0.0}
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.startswith("encoder.layer.2."):
                p.mul_(1.5)
    found = drift(model, initial)
    assert found.pop("block 3") == pytest.approx(0.5, abs=1e-6)
    assert found.keys() == {"embeddings", "block 1", "block 2", "block 4", "the rest"}
    assert set(found.values()) == {0.0}


def test_what_moved_in_a_line():
    moved = {"embeddings": 0.0, "block 1": 0.0, "block 2": 0.0031, "the rest": 1e-5}
    assert (
        moves_text(moved) == "moved: block 2 by 0.31%, the rest by 0.001% of the norm; unchanged: embeddings, block 1"
    )
    assert moves_text({"block 1": 0.5}) == "moved: block 1 by 50% of the norm"
    assert moves_text({"block 1": 0.0}) == "unchanged: block 1"


def test_warnings_compare_with_the_start():
    start = {"random pair cosine": 0.8, "isotropy": 0.1, "top component": 0.2, "drift block 1": 0.0, "score dev": 0.9}
    fine = {"random pair cosine": 0.94, "isotropy": 0.02, "top component": 0.9, "drift block 1": 0.2, "score dev": 0.86}
    assert warnings_of(start, fine, Limits()) == []
    assert warnings_of(start, start, Limits()) == []
    bad = {"random pair cosine": 0.96, "isotropy": 0.009, "top component": 1, "drift block 1": 0.6, "score dev": 0.8}
    assert warnings_of(start, bad, Limits()) == [
        "random sentences have become alike: mean cosine 0.800 → 0.960",
        "the vectors use few directions: IsoScore 0.1000 → 0.0090",
        "the weights of block 1 have moved by 60% of their norm",
        "dev has fallen from 0.900 to 0.800",
    ]
    assert "isotropy is nan" in warnings_of(start, fine | {"isotropy": math.nan}, Limits())
    assert reasons([{"warnings": ["a"]}, {}, {"warnings": ["b", "a"]}]) == ["a", "b"]


def fresh():
    seed_torch(0, "test")
    return nn.ModuleDict({"a": nn.Linear(6, 6)})


PROBES = torch.randn(20, 6, generator=torch.Generator().manual_seed(1))


def collapsing(model, x):
    """Pulls everything to one point."""
    return (model["a"](x) - 3.0).square().mean()


def phase_of(stop, model, loss=collapsing, steps=60, **limits):
    initial = {name: p.detach().clone() for name, p in model.named_parameters()}
    measure = probe(lambda m: m["a"](PROBES), initial, lambda m: {"dev": 0.5})
    watch = Watch(6, measure, Limits(drift=100.0, **limits), stop)
    objective = Objective("word", lambda step: PROBES, loss, frozenset({"a.weight", "a.bias"}))
    return Phase("realign", steps, 0.05, (objective,), checkpoint_every=9, watch=watch)


def test_a_collapse_is_said_and_goes_on_by_default(tmp_path, capsys):
    model = fresh()
    history = run_phase(model, phase_of(False, model), tmp_path, seed=0)
    assert history[-1]["step"] == 60
    watched = [row for row in history if "watch" in row]
    assert [row["step"] for row in watched] == list(range(6, 61, 6))
    assert "watch at start" in history[0]
    assert all("watch at start" not in row for row in history[1:])
    cosines = [history[0]["watch at start"]["random pair cosine"]]
    cosines += [row["watch"]["random pair cosine"] for row in watched]
    assert cosines[0] < 0.5
    assert cosines[-1] > 0.95
    assert watched[0]["watch"]["score dev"] == 0.5
    assert any("become alike" in line for line in reasons(history))
    assert "realign: random sentences have become alike: mean cosine" in capsys.readouterr().err
    assert history[-1]["watch"] == take(phase_of(False, model).watch, model) | {
        name: value for name, value in history[-1]["watch"].items() if name.startswith("drift")
    }


def test_measuring_changes_nothing(tmp_path):
    with_watch, without = fresh(), fresh()
    phase = phase_of(False, with_watch)
    run_phase(with_watch, phase, tmp_path / "a", seed=0)
    plain = Phase("realign", 60, 0.05, phase.objectives)
    run_phase(without, plain, tmp_path / "b", seed=0)
    assert all(torch.equal(a, b) for a, b in zip(with_watch.parameters(), without.parameters(), strict=True))


def test_a_collapse_ends_the_phase_if_asked_and_again_after_a_kill(tmp_path, monkeypatch):
    model = fresh()
    history = run_phase(model, phase_of(True, model), tmp_path / "a", seed=0)
    ended = history[-1]["step"]
    assert ended < 60
    assert ended % 6 == 0
    assert "become alike" in history[-1]["stopped"] or "few directions" in history[-1]["stopped"]
    real = loop.rate_at

    def dies(phase, step):
        if step == ended - 2:
            raise KeyboardInterrupt
        return real(phase, step)

    monkeypatch.setattr(loop, "rate_at", dies)
    again = fresh()
    with pytest.raises(KeyboardInterrupt):
        run_phase(again, phase_of(True, again), tmp_path / "b", seed=0)
    monkeypatch.setattr(loop, "rate_at", real)
    again = fresh()
    assert run_phase(again, phase_of(True, again), tmp_path / "b", seed=0) == history
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))


def test_a_healthy_training_has_no_warnings(tmp_path, capsys):
    model = fresh()

    def rotating(m, x):
        return (m["a"](x) - x.flip(1)).square().mean()

    history = run_phase(model, phase_of(True, model, rotating), tmp_path, seed=0)
    assert history[-1]["step"] == 60
    assert reasons(history) == []
    assert capsys.readouterr().err == ""
