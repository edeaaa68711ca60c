"""The contrastive loss, some anchors at a time: value and gradient are those of the whole matrix's cross-entropy."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from xrealign.train import losses_contrastive
from xrealign.train.losses_contrastive import matching_loss

N, C, D = 23, 31, 6


def case(dtype=torch.float64, scale=1.0):
    draw = torch.Generator().manual_seed(3)
    anchors = (scale * torch.randn(N, D, generator=draw)).to(dtype).requires_grad_()
    candidates = torch.randn(C, D, generator=draw).to(dtype).requires_grad_()
    goals = torch.randint(0, C, (N,), generator=draw)
    return anchors, candidates, goals, (goals + torch.randint(1, C, (N,), generator=draw)) % C


def by_cross_entropy(anchors, candidates, goals, itself=None):
    products = anchors @ candidates.T
    if itself is not None:
        products = products.scatter(1, itself[:, None], -torch.inf)
    return F.cross_entropy(products, goals)


@pytest.mark.parametrize("rows", [1, 7, 100])
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_value_and_gradient_of_the_whole_matrix(monkeypatch, rows, masked, dtype, tolerance):
    monkeypatch.setitem(losses_contrastive.CHUNK, False, (rows - 1) * C)
    anchors, candidates, goals, itself = case(dtype)
    arguments = (anchors, candidates, goals, itself if masked else None)
    # A factor, as a weighted sum of losses has it: the gradient that comes in is not one.
    found, expected = matching_loss(*arguments), by_cross_entropy(*arguments)
    gradients = [torch.autograd.grad(3 * value, (anchors, candidates)) for value in (found, expected)]
    assert found.item() == pytest.approx(expected.item(), abs=tolerance)
    for ours, theirs in zip(*gradients, strict=True):
        assert float(theirs.abs().max()) > 0.01
        assert torch.allclose(ours, theirs, atol=tolerance, rtol=0)


def test_the_gradient_is_a_difference_quotient():
    anchors, candidates, goals, itself = case()
    assert torch.autograd.gradcheck(lambda a, c: matching_loss(a, c, goals, itself), (anchors, candidates))


def test_products_far_beyond_what_exponentials_hold():
    anchors, candidates, goals, itself = case(torch.float32, scale=1000.0)
    found, expected = (f(anchors, candidates, goals, itself) for f in (matching_loss, by_cross_entropy))
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    found.backward()
    assert bool(torch.isfinite(anchors.grad).all())


def test_nothing_is_kept_where_nothing_learns():
    anchors, candidates, goals, itself = case()
    with torch.no_grad():
        found = matching_loss(anchors, candidates, goals, itself)
    assert found.grad_fn is None
    assert found.item() == pytest.approx(by_cross_entropy(anchors, candidates, goals, itself).item(), abs=1e-12)
    only = matching_loss(anchors.detach(), candidates, goals, itself)
    expected = by_cross_entropy(anchors.detach(), candidates, goals, itself)
    (ours,), (theirs,) = (torch.autograd.grad(value, candidates) for value in (only, expected))
    assert torch.allclose(ours, theirs, atol=1e-12)
