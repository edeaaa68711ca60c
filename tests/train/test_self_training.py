"""AWESOME's objectives: cases worked by hand, a brute-force version with loops, masks, gradients, host waits."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xrealign.train.self_training import (
    alignment_loss,
    consistency,
    link_probabilities,
    parallel_identification,
    self_labels,
    self_training,
)


def yes(*shape):
    return torch.ones(*shape, dtype=torch.bool)


def test_probabilities_by_hand():
    src, tgt = torch.tensor([[[1.0], [0.0]]]), torch.tensor([[[math.log(3)], [0.0]]])
    forward, backward = link_probabilities(src, tgt, yes(1, 2), yes(1, 2))
    # dots: [[log 3, 0], [0, 0]]
    assert torch.allclose(forward, torch.tensor([[[0.75, 0.25], [0.5, 0.5]]]), atol=1e-6)
    assert torch.allclose(backward, torch.tensor([[[0.75, 0.5], [0.25, 0.5]]]), atol=1e-6)
    halved, _ = link_probabilities(src, tgt, yes(1, 2), yes(1, 2), temperature=math.log(3) / math.log(9))
    assert halved[0, 0, 0] == pytest.approx(0.9, abs=1e-6)


def test_losses_by_hand():
    forward = torch.tensor([[[0.75, 0.25], [0.5, 0.5], [0.1, 0.9]]])
    backward = torch.tensor([[[0.6, 0.2], [0.3, 0.3], [0.1, 0.5]]])
    links = self_labels(forward, backward, threshold=0.45)
    assert links.tolist() == [[[1, 0], [0, 0], [0, 1]]]
    # n = 3, m = 2: ½ ((.75 + .9) / 3 + (.6 + .5) / 2) = ½ (.55 + .55)
    assert self_training(forward, backward, links, yes(1, 3), yes(1, 2)).item() == pytest.approx(-0.55, abs=1e-6)
    # trace of S_xyᵀ S_yx = Σ S_xy S_yx = .45 + .05 + .15 + .15 + .01 + .45; min(m, n) = 2
    product = torch.trace(forward[0].T @ backward[0]).item()
    assert product == pytest.approx(1.26, abs=1e-6)
    assert consistency(forward, backward, yes(1, 3), yes(1, 2)).item() == pytest.approx(-0.63, abs=1e-6)


def test_links_reach_all_subwords_of_a_word():
    forward = torch.tensor([[[0.9, 0.1, 0.0], [0.2, 0.2, 0.6], [0.3, 0.3, 0.4]]])
    # Subwords 0 and 1 are one word at the source, 1 and 2 at the target; only (0, 0) and (1, 2) are linked.
    labels = self_labels(forward, forward, 0.5, torch.tensor([[0, 0, 1]]), torch.tensor([[0, 1, 1]]))
    assert labels.tolist() == [[[1, 1, 1], [1, 1, 1], [0, 0, 0]]]
    alone = self_labels(forward, forward, 0.5, torch.tensor([[0, 0, -1]]), torch.tensor([[-1, 1, 1]]))
    assert alone.tolist() == [[[0, 1, 1], [0, 1, 1], [0, 0, 0]]]


def test_identification_by_hand():
    # −½ (log σ(1) + log(1 − σ(−2)))
    expected = 0.5 * (math.log1p(math.exp(-1)) + math.log1p(math.exp(-2)))
    loss = parallel_identification(torch.tensor([1.0, -2.0]), torch.tensor([1, 0]))
    assert loss.item() == pytest.approx(expected, abs=1e-6)


def brute_force(src, tgt, n, m, words, threshold, temperature):
    """Both objectives and A of one pair, with loops over plain numbers."""
    dots = [[sum(a * b for a, b in zip(src[i], tgt[j], strict=True)) / temperature for j in range(m)] for i in range(n)]
    xy = [[math.exp(dots[i][j]) / sum(math.exp(d) for d in dots[i]) for j in range(m)] for i in range(n)]
    yx = [[math.exp(dots[i][j]) / sum(math.exp(dots[k][j]) for k in range(n)) for j in range(m)] for i in range(n)]
    linked = {(words[0][i], words[1][j]) for i in range(n) for j in range(m) if min(xy[i][j], yx[i][j]) > threshold}
    so = co = 0.0
    for i in range(n):
        for j in range(m):
            if (words[0][i], words[1][j]) in linked:
                so -= 0.5 * (xy[i][j] / n + yx[i][j] / m)
            co -= xy[i][j] * yx[i][j] / min(n, m)
    return so, co


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_batches_equal_a_loop_over_pairs(data):
    pairs = data.draw(st.integers(1, 4))
    sizes = [(data.draw(st.integers(1, 6)), data.draw(st.integers(1, 5))) for _ in range(pairs)]
    draw = torch.Generator().manual_seed(data.draw(st.integers(0, 2**31)))
    width = max(max(size) for size in sizes) + data.draw(st.integers(0, 2))
    src, tgt = torch.randn(2, pairs, width, 3, generator=draw, dtype=torch.float64)
    words = torch.sort(torch.randint(0, 4, (2, pairs, width), generator=draw), dim=2).values
    masks = torch.zeros(2, pairs, width, dtype=torch.bool)
    for b, (n, m) in enumerate(sizes):
        masks[0, b, :n], masks[1, b, :m] = True, True
    threshold, temperature = data.draw(st.sampled_from([1e-3, 0.2, 0.5])), data.draw(st.sampled_from([0.7, 1.0, 2.0]))
    forward, backward = link_probabilities(src, tgt, masks[0], masks[1], temperature)
    known = words.masked_fill(~masks, -1)
    links = self_labels(forward, backward, threshold, known[0], known[1])
    expected = [
        brute_force(
            src[b].tolist(), tgt[b].tolist(), n, m, (words[0, b].tolist(), words[1, b].tolist()), threshold, temperature
        )
        for b, (n, m) in enumerate(sizes)
    ]
    so, co = (sum(column) / pairs for column in zip(*expected, strict=True))
    assert self_training(forward, backward, links, *masks).item() == pytest.approx(so, abs=1e-9)
    assert consistency(forward, backward, *masks).item() == pytest.approx(co, abs=1e-9)
    both = alignment_loss(("so", "co"), src, tgt, masks[0], masks[1], links, temperature)
    assert both.item() == pytest.approx(so + co, abs=1e-9)


def test_padding_and_empty_sides_have_no_part():
    draw = torch.Generator().manual_seed(0)
    src = torch.randn(2, 4, 3, generator=draw, dtype=torch.float64, requires_grad=True)
    tgt = torch.randn(2, 5, 3, generator=draw, dtype=torch.float64, requires_grad=True)
    src_mask, tgt_mask = yes(2, 4), yes(2, 5)
    src_mask[0, 2:], tgt_mask[0, 3:], tgt_mask[1] = False, False, False  # the second pair has no target at all
    forward, backward = link_probabilities(src, tgt, src_mask, tgt_mask)
    links = self_labels(forward, backward)
    assert torch.allclose(forward[0, :2].sum(1), torch.ones(2, dtype=torch.float64))
    assert torch.allclose(backward[0, :, :3].sum(0), torch.ones(3, dtype=torch.float64))
    assert links[1].sum() == 0
    assert links[0, 2:].sum() == links[0, :, 3:].sum() == 0
    loss = alignment_loss(("so", "co"), src, tgt, src_mask, tgt_mask, links)
    loss.backward()
    assert math.isfinite(loss.item())
    assert bool(torch.isfinite(src.grad).all())
    assert bool((src.grad[0, 2:] == 0).all())
    assert bool((tgt.grad[0, 3:] == 0).all())
    assert bool((src.grad[1] == 0).all())


def test_gradients_are_those_of_finite_differences():
    draw = torch.Generator().manual_seed(1)
    src = torch.randn(2, 3, 2, generator=draw, dtype=torch.float64, requires_grad=True)
    tgt = torch.randn(2, 4, 2, generator=draw, dtype=torch.float64, requires_grad=True)
    masks = yes(2, 3), yes(2, 4)
    masks[0][1, 2] = False
    links = self_labels(*link_probabilities(src, tgt, *masks), 0.2)
    assert not links.requires_grad
    assert torch.autograd.gradcheck(lambda a, b: alignment_loss(("so", "co"), a, b, *masks, links), (src, tgt))


def test_a_step_uphill_makes_links_likelier():
    draw = torch.Generator().manual_seed(2)
    src = torch.randn(3, 5, 4, generator=draw, requires_grad=True)
    tgt = torch.randn(3, 5, 4, generator=draw, requires_grad=True)
    masks = yes(3, 5), yes(3, 5)
    links = self_labels(*link_probabilities(src, tgt, *masks), 0.3)
    before = alignment_loss(("so",), src, tgt, *masks, links)
    before.backward()
    with torch.no_grad():
        after = alignment_loss(("so",), src - 0.1 * src.grad, tgt - 0.1 * tgt.grad, *masks, links)
    assert after < before


def test_no_values_are_read_back_to_the_host():
    """On a device without data every read-back is an error."""
    src, tgt = torch.empty(2, 3, 4, device="meta"), torch.empty(2, 5, 4, device="meta")
    masks = torch.empty(2, 3, dtype=torch.bool, device="meta"), torch.empty(2, 5, dtype=torch.bool, device="meta")
    words = torch.empty(2, 3, dtype=torch.long, device="meta"), torch.empty(2, 5, dtype=torch.long, device="meta")
    links = self_labels(*link_probabilities(src, tgt, *masks), 0.1, *words)
    assert alignment_loss(("so", "co"), src, tgt, *masks, links).shape == ()
