"""The objectives against hand-worked cases, a brute-force version and a re-statement of the published algorithm."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xrealign.errors import ConfigError
from xrealign.train.losses import sentence_contrastive, word_contrastive


def by_hand(src, tgt, links, temperature, negatives):
    """One anchor after the other, in plain Python floats."""

    def cosine(a, b):
        dot = sum(x * y for x, y in zip(a, b, strict=True))
        return dot / math.sqrt(sum(x * x for x in a)) / math.sqrt(sum(y * y for y in b))

    terms = []
    for i, j in links:
        for own, others, anchor, goal in ((src, tgt, i, j), (tgt, src, j, i)):
            candidates = [cosine(own[anchor], vector) / temperature for vector in others]
            positive = candidates[goal]
            if negatives == "strong":
                candidates += [cosine(own[anchor], v) / temperature for n, v in enumerate(own) if n != anchor]
            peak = max(candidates)
            terms.append(peak + math.log(sum(math.exp(c - peak) for c in candidates)) - positive)
    return sum(terms) / len(terms)


def published(src, tgt, links, temperature, negatives):
    """The published algorithm: full similarity matrix, divided by norms, forbidden places lowered by a million."""
    i, j = links[:, 0], links[:, 1]
    anchors, everything = torch.cat([src[i], tgt[j]]), torch.cat([src, tgt])
    similarity = anchors @ everything.T / anchors.norm(dim=1, keepdim=True) / everything.norm(dim=1) / temperature
    lowered = torch.zeros_like(similarity)
    count = len(links)
    if negatives == "weak":
        lowered[:count, : len(src)] = 1e6
        lowered[count:, len(src) :] = 1e6
    else:
        lowered[torch.arange(count), i] = 1e6
        lowered[count + torch.arange(count), len(src) + j] = 1e6
    goal = torch.cat([len(src) + j, i])
    return torch.nn.functional.nll_loss(torch.log_softmax(similarity - lowered, dim=-1), goal)


def random_case(seed, n_src, n_tgt, n_links, width, dtype=torch.float64):
    torch.manual_seed(seed)
    src = torch.randn(n_src, width, dtype=dtype, requires_grad=True)
    tgt = torch.randn(n_tgt, width, dtype=dtype, requires_grad=True)
    links = torch.stack([torch.randperm(n_src)[:n_links], torch.randperm(n_tgt)[:n_links]], dim=1)
    return src, tgt, links


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(2, 9),
    st.integers(2, 9),
    st.integers(1, 9),
    st.sampled_from([0.05, 0.1, 1.0]),
    st.sampled_from(["strong", "weak"]),
)
def test_word_contrastive_equals_plain_arithmetic(seed, n_src, n_tgt, n_links, temperature, negatives):
    src, tgt, links = random_case(seed, n_src, n_tgt, min(n_links, n_src, n_tgt), 5)
    loss = word_contrastive(src, tgt, links, temperature, negatives)
    expected = by_hand(src.tolist(), tgt.tolist(), links.tolist(), temperature, negatives)
    assert loss.item() == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("negatives", ["strong", "weak"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_word_contrastive_equals_the_published_algorithm_in_value_and_gradient(negatives, dtype, tolerance):
    src, tgt, links = random_case(7, 90, 110, 60, 32, dtype)
    ours = word_contrastive(src, tgt, links, 0.1, negatives)
    theirs = published(src, tgt, links, 0.1, negatives)
    assert ours.dtype == dtype
    assert abs(ours.item() - theirs.item()) < tolerance
    for a, b in zip(torch.autograd.grad(ours, (src, tgt)), torch.autograd.grad(theirs, (src, tgt)), strict=True):
        assert (a - b).abs().max().item() < tolerance


def test_one_word_may_be_in_several_links():
    src, tgt, _ = random_case(3, 4, 5, 1, 6)
    links = torch.tensor([[0, 0], [0, 1], [2, 1]])
    expected = by_hand(src.tolist(), tgt.tolist(), links.tolist(), 0.1, "strong")
    assert word_contrastive(src, tgt, links).item() == pytest.approx(expected, abs=1e-10)


def test_hand_worked_case():
    # Two orthogonal directions; each word equals its translation: cosines 1 (translation), 0, 0 (the others).
    vectors = torch.eye(2, dtype=torch.float64)
    links = torch.tensor([[0, 0], [1, 1]])
    strong = -math.log(math.e / (math.e + 2))  # 1 right, 2 wrong candidates at temperature 1
    weak = -math.log(math.e / (math.e + 1))
    assert word_contrastive(vectors, vectors, links, 1.0).item() == pytest.approx(strong, abs=1e-12)
    assert word_contrastive(vectors, vectors, links, 1.0, "weak").item() == pytest.approx(weak, abs=1e-12)
    assert sentence_contrastive(vectors, vectors, 1.0).item() == pytest.approx(strong, abs=1e-12)


def test_sentence_contrastive_is_nt_xent():
    src, tgt, _ = random_case(5, 6, 6, 1, 8)
    links = [(n, n) for n in range(6)]
    assert sentence_contrastive(src, tgt, 0.1).item() == pytest.approx(
        by_hand(src.tolist(), tgt.tolist(), links, 0.1, "strong"), abs=1e-10
    )


def test_no_links_give_zero_and_a_gradient_of_zeros():
    src, tgt, _ = random_case(1, 3, 3, 1, 4)
    loss = word_contrastive(src, tgt, torch.zeros(0, 2, dtype=torch.long))
    assert loss.item() == 0.0
    (grad,) = torch.autograd.grad(loss, (src,))
    assert torch.equal(grad, torch.zeros_like(src))


def test_half_precision_vectors_are_compared_in_single():
    src, tgt, links = random_case(2, 20, 20, 10, 16, torch.float32)
    loss = word_contrastive(src.bfloat16(), tgt.bfloat16(), links)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(word_contrastive(src, tgt, links).item(), rel=0.05)


def test_unknown_negatives_are_refused():
    src, tgt, links = random_case(1, 3, 3, 1, 4)
    with pytest.raises(ConfigError, match="'strong' or 'weak'"):
        word_contrastive(src, tgt, links, negatives="hard")
