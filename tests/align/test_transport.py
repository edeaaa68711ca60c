"""Transport plans against POT and linear programming; masses, nulls, padding."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from xrealign.align.extract import ALIGNERS, AlignSettings
from xrealign.align.transport import masses, null_shares, relative_cost, share_moved, transport

ot = pytest.importorskip("ot", reason="POT is the oracle here: pip install pot")
KINDS = ("balanced", "partial", "unbalanced")
SIZES = [(7, 9), (1, 4), (12, 3), (1, 1)]


def costs(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(seed)).uniform(0, 1, size=(height, width))


def plan(cost: np.ndarray, kind: str, epsilon: float, iterations: int, **more: float) -> np.ndarray:
    tensor = torch.from_numpy(cost)[None]
    both = torch.ones_like(tensor, dtype=torch.bool)
    return transport(tensor, both, kind, epsilon, iterations=iterations, **more)[0].numpy()


def oracle(cost: np.ndarray, kind: str, epsilon: float, mass: float, penalty: float) -> np.ndarray:
    a, b = (np.full(n, 1 / n) for n in cost.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind == "balanced":
            return ot.sinkhorn(a, b, cost, epsilon, method="sinkhorn_log", numItermax=5000, stopThr=1e-14)
        if kind == "partial":
            return ot.partial.entropic_partial_wasserstein(a, b, cost, epsilon, m=mass, numItermax=5000, stopThr=1e-16)
        return ot.unbalanced.sinkhorn_unbalanced(
            a, b, cost, epsilon, penalty, reg_type="kl", numItermax=5000, stopThr=1e-16
        )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("epsilon", [0.05, 0.1, 1.0])
@pytest.mark.parametrize("size", SIZES)
def test_plans_are_those_of_pot(kind: str, epsilon: float, size: tuple[int, int]) -> None:
    cost = costs(*size)
    wanted = oracle(cost, kind, epsilon, 0.6, 0.5)
    assert plan(cost, kind, epsilon, 1000, mass=0.6, penalty=0.5) == pytest.approx(wanted, abs=1e-9)
    usual = plan(cost, kind, epsilon, 50, mass=0.6, penalty=0.5)
    assert usual == pytest.approx(wanted, abs=0.01 / max(size))


def test_balanced_nears_the_linear_programme() -> None:
    cost = costs(6, 8, seed=4)
    exact = ot.emd(np.full(6, 1 / 6), np.full(8, 1 / 8), cost)
    found = plan(cost, "balanced", 0.005, 3000)
    assert (found * cost).sum() == pytest.approx((exact * cost).sum(), abs=1e-3)
    assert found.sum(1) == pytest.approx(np.full(6, 1 / 6), abs=1e-6)


def test_a_word_without_counterpart_is_null() -> None:
    # Word 2 of the source is like nothing: balanced transport must still move its mass, the others leave it.
    cosine = torch.tensor(
        [[[0.9, 0.0, 0.1], [0.1, 0.9, 0.0], [-0.9, -0.9, -0.9], [0.0, 0.1, 0.9]]], dtype=torch.float64
    )
    both = torch.ones_like(cosine, dtype=torch.bool)
    cost = relative_cost(cosine, both)
    assert (cost.min(), cost.max()) == (0, 1)
    left = {kind: null_shares(transport(cost, both, kind, 0.05, 0.7, 0.1), both) for kind in KINDS}
    assert left["balanced"][0][0, 2] < 1e-3
    assert left["partial"][0][0, 2] > 0.9
    assert left["unbalanced"][0][0, 2] > 0.9
    for kind in ("partial", "unbalanced"):
        scores = ALIGNERS[f"{kind}-ot"].links(cosine, both, AlignSettings(f"{kind}-ot", mass=0.7, penalty=0.1))[0]
        assert {tuple(link) for link in np.argwhere(scores > 0).tolist()} == {(0, 0), (1, 1), (3, 2)}


@pytest.mark.parametrize("kind", KINDS)
def test_padding_and_empty_sentences(kind: str) -> None:
    sizes = [(3, 5), (0, 4), (6, 6), (0, 0), (1, 1)]
    cost = torch.from_numpy(costs(5 * 6, 6).reshape(5, 6, 6).copy())
    both = torch.zeros(5, 6, 6, dtype=torch.bool)
    for b, (height, width) in enumerate(sizes):
        both[b, :height, :width] = True
    together = transport(cost, both, kind, 0.1, mass=0.5)
    assert torch.isfinite(together).all()
    assert (together[~both] == 0).all()
    assert torch.isfinite(share_moved(together, both)).all()
    for b, (height, width) in enumerate(sizes):
        if height and width:
            alone = plan(cost[b, :height, :width].numpy(), kind, 0.1, 50, mass=0.5)
            assert together[b, :height, :width].numpy() == pytest.approx(alone, abs=1e-12)
    a, _ = masses(both, torch.float64)
    assert a.sum(1).tolist() == pytest.approx([1, 0, 1, 0, 1])


def test_a_share_of_one_is_all_of_the_lighter_word() -> None:
    both = torch.ones(1, 2, 4, dtype=torch.bool)
    moved = torch.tensor([[[0.25, 0.25, 0, 0], [0, 0, 0.25, 0.125]]])
    assert share_moved(moved, both).tolist() == [[[1, 1, 0, 0], [0, 0, 1, 0.5]]]
    rows, columns = null_shares(moved, both)
    assert rows.tolist() == [[0, 0.25]]
    assert columns.tolist() == [[0, 0, 0, 0.5]]
