"""Distances between vectors, against torch's and POT's own, definitions in numpy and hand-worked cases."""

from __future__ import annotations

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xrealign.train.losses_distance import (
    cka_distance,
    parameter_drift,
    squared_distance,
    state_drift,
    transport_distance,
)


def vectors(seed, *shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_squared_distance_by_hand():
    src = torch.tensor([[1.0, 2.0], [0.0, 0.0], [5.0, 5.0]])
    tgt = torch.tensor([[1.0, 0.0], [3.0, 4.0]])
    links = torch.tensor([[0, 0], [1, 1]])
    # Squared differences 0 and 4, 9 and 16; four numbers.
    assert squared_distance(src, tgt, links).item() == pytest.approx(29 / 4, abs=1e-6)
    assert squared_distance(src, tgt, links[:0]).item() == 0


def test_squared_distance_and_drift_are_torchs_mean_squared_error():
    src, tgt = vectors(1, 9, 5).requires_grad_(), vectors(2, 7, 5)
    links = torch.tensor([[0, 3], [8, 6], [0, 1]])
    ours, theirs = squared_distance(src, tgt, links), torch.nn.MSELoss()(src[links[:, 0]], tgt[links[:, 1]])
    assert abs(ours.item() - theirs.item()) < 1e-12
    (a,), (b,) = torch.autograd.grad(ours, src), torch.autograd.grad(theirs, src)
    torch.testing.assert_close(a, b, rtol=0, atol=1e-12)
    assert state_drift(src, tgt.new_zeros(9, 5)).item() == pytest.approx(src.square().mean().item(), abs=1e-12)
    assert state_drift(src[:0], src[:0]).item() == 0


def test_parameter_drift_is_the_norm_of_all_parameters_joined():
    now, before = [vectors(n, 3, 2) for n in (1, 2)], [vectors(n, 3, 2) for n in (3, 4)]
    joined = np.concatenate([(a - b).numpy().ravel() for a, b in zip(now, before, strict=True)])
    assert parameter_drift(now, before).item() == pytest.approx(np.sqrt((joined**2).sum()), abs=1e-12)
    moved = torch.tensor([3.0], requires_grad=True)
    still = torch.tensor([1.0], requires_grad=True)
    loss = parameter_drift([moved, still], [torch.tensor([0.0]), torch.tensor([1.0])])
    loss.backward()
    assert (loss.item(), moved.grad.item(), still.grad.item()) == (3.0, 1.0, 0.0)


def test_parameters_that_have_not_moved_have_a_gradient_of_zeros():
    p = torch.ones(4, requires_grad=True)
    loss = parameter_drift([p], [torch.ones(4)])
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(p.grad, torch.zeros(4))


def entropic(cost, epsilon):
    """min_P Σ P·C + ε·KL(P | a bᵀ) by POT, and the plan that reaches it."""
    a, b = np.full(len(cost), 1 / len(cost)), np.full(cost.shape[1], 1 / cost.shape[1])
    plan = ot.sinkhorn(a, b, cost, epsilon, method="sinkhorn_log", numItermax=20_000, stopThr=1e-13)
    return (plan * cost).sum() + epsilon * (plan * np.log(plan / np.outer(a, b))).sum(), plan


@pytest.mark.parametrize("epsilon", [0.05, 0.3])
def test_transport_is_what_pot_says_pair_by_pair(epsilon):
    src, tgt = vectors(1, 3, 6, 8), vectors(2, 3, 5, 8)
    rows, columns = [6, 4, 2], [5, 3, 5]
    src_mask = torch.arange(6) < torch.tensor(rows)[:, None]
    tgt_mask = torch.arange(5) < torch.tensor(columns)[:, None]
    ours = transport_distance(src, tgt, src_mask, tgt_mask, epsilon, iterations=3000).item()
    expected = []
    for pair, (i, j) in enumerate(zip(rows, columns, strict=True)):
        x, y = src[pair, :i].numpy(), tgt[pair, :j].numpy()
        cost = ot.dist(x, y, metric="cosine")
        expected.append((entropic(cost, epsilon)[1] * cost).sum())
    assert ours == pytest.approx(np.mean(expected), abs=1e-8)


def test_the_gradient_of_transport_is_that_of_the_entropic_problem():
    epsilon, step = 0.2, 1e-5
    src, tgt = vectors(3, 1, 4, 3).requires_grad_(), vectors(4, 1, 5, 3)
    real = torch.ones(1, 4, dtype=torch.bool), torch.ones(1, 5, dtype=torch.bool)
    (gradient,) = torch.autograd.grad(transport_distance(src, tgt, *real, epsilon, iterations=5000), src)

    def optimum(x):
        return entropic(ot.dist(x, tgt[0].numpy(), metric="cosine"), epsilon)[0]

    x = src[0].detach().numpy()
    for place in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[place] += step
        down[place] -= step
        assert gradient[0][place].item() == pytest.approx((optimum(up) - optimum(down)) / (2 * step), abs=1e-6)


def test_words_that_are_their_translations_cost_next_to_nothing_to_move():
    words = torch.eye(4)[None]
    real = torch.ones(1, 4, dtype=torch.bool)
    assert transport_distance(words, words[:, torch.tensor([2, 0, 3, 1])], real, real, 0.02).item() < 1e-6
    # All costs are 1 between words at right angles, however the mass goes.
    assert transport_distance(words[:, :2], words[:, 2:], real[:, :2], real[:, :2]).item() == pytest.approx(1, abs=1e-5)


def test_a_pair_with_an_empty_side_costs_nothing_and_has_no_nan():
    src, tgt = vectors(1, 2, 3, 4).requires_grad_(), vectors(2, 2, 3, 4)
    mask, none = torch.ones(2, 3, dtype=torch.bool), torch.tensor([[True] * 3, [False] * 3])
    loss = transport_distance(src, tgt, mask, none, iterations=500)
    alone = transport_distance(src[:1], tgt[:1], mask[:1], mask[:1], iterations=500)
    assert loss.item() == pytest.approx(alone.item() / 2, abs=1e-12)
    (gradient,) = torch.autograd.grad(loss, src)
    assert torch.isfinite(gradient).all()
    assert torch.equal(gradient[1], torch.zeros(3, 4, dtype=torch.float64))


def cka_by_definition(x, y):
    """HSIC(X, Y) / sqrt(HSIC(X, X)·HSIC(Y, Y)) with centred linear kernels, Kornblith et al. 2019, eq. 2 and 3."""
    n = len(x)
    centre = np.eye(n) - np.full((n, n), 1 / n)

    def hsic(k, ll):
        return np.trace(k @ centre @ ll @ centre) / (n - 1) ** 2

    k, ll = x @ x.T, y @ y.T
    return hsic(k, ll) / np.sqrt(hsic(k, k) * hsic(ll, ll))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 20), st.integers(1, 12), st.sampled_from([1e-3, 1.0, 1e3]))
def test_cka_is_its_definition_with_more_rows_or_more_dims(seed, n, width, scale):
    x, y = vectors(seed, n, width) * scale, vectors(seed + 1, n, width)
    assert cka_distance(x, y).item() == pytest.approx(1 - cka_by_definition(x.numpy(), y.numpy()), abs=1e-9)


def test_cka_is_blind_to_rotation_scale_and_place():
    x = vectors(1, 30, 6)
    rotation = torch.linalg.qr(vectors(2, 6, 6)).Q
    assert cka_distance(x, 3 * x @ rotation + 5).item() == pytest.approx(0, abs=1e-12)
    assert cka_distance(x, vectors(3, 30, 6)).item() > 0.3


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_cka_of_rows_that_do_not_differ_has_a_gradient_of_zeros(rows):
    x = torch.ones(rows, 4, requires_grad=True)
    loss = cka_distance(x, vectors(1, rows, 4).float())
    loss.backward()
    assert loss.item() == (0 if rows == 0 else 1)
    assert torch.equal(x.grad, torch.zeros(rows, 4))
