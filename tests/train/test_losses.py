"""The objectives against hand-worked cases, a brute-force version and a re-statement of the published algorithm."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xrealign.errors import ConfigError
from xrealign.train.losses import LOSSES, Temperature, sentence_contrastive, word_contrastive
from xrealign.train.losses_contrastive import momentum_contrastive


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


def one_direction(src, tgt, links, temperature, negatives, linked):
    """Mean over source words alone, one anchor after the other."""
    if linked:
        src, tgt = [src[i] for i, _ in links], [tgt[j] for _, j in links]
        links = [(n, n) for n in range(len(links))]
    terms = []
    for i, j in links:
        a = torch.tensor(src[i], dtype=torch.float64)
        others = [(v, n == j) for n, v in enumerate(tgt)]
        if negatives == "strong":
            others += [(v, False) for n, v in enumerate(src) if n != i]
        cosines = [torch.cosine_similarity(a, torch.tensor(v, dtype=torch.float64), dim=0) for v, _ in others]
        logits = torch.stack(cosines) / temperature
        terms.append(-logits.log_softmax(0)[[right for _, right in others].index(True)].item())
    return sum(terms) / len(terms)


@pytest.mark.parametrize("negatives", ["strong", "weak"])
@pytest.mark.parametrize("candidates", ["all", "linked"])
def test_directions_are_halves_of_both(negatives, candidates):
    src, tgt, links = random_case(4, 7, 9, 4, 5)
    linked = candidates == "linked"
    ahead, back = (
        word_contrastive(src, tgt, links, 0.3, negatives, direction, candidates).item()
        for direction in ("forward", "backward")
    )
    args = (0.3, negatives, linked)
    assert ahead == pytest.approx(one_direction(src.tolist(), tgt.tolist(), links.tolist(), *args), abs=1e-9)
    flipped = links.flip(1).tolist()
    assert back == pytest.approx(one_direction(tgt.tolist(), src.tolist(), flipped, *args), abs=1e-9)
    both = word_contrastive(src, tgt, links, 0.3, negatives, "both", candidates).item()
    assert both == pytest.approx((ahead + back) / 2, abs=1e-12)
    assert abs(ahead - back) > 1e-3


def test_weak_and_linked_is_cross_entropy_both_ways_over_the_linked_words():
    src, tgt, links = random_case(6, 8, 9, 5, 4)
    a = torch.nn.functional.normalize(src[links[:, 0]], dim=1)
    b = torch.nn.functional.normalize(tgt[links[:, 1]], dim=1)
    logits, goal = a @ b.T / 0.1, torch.arange(5)
    entropy = torch.nn.functional.cross_entropy
    expected = 0.5 * (entropy(logits, goal) + entropy(logits.T, goal))
    ours = word_contrastive(src, tgt, links, 0.1, "weak", candidates="linked")
    assert ours.item() == pytest.approx(expected.item(), abs=1e-12)
    ranking = sentence_contrastive(src[links[:, 0]], tgt[links[:, 1]], 0.1, "weak")
    assert ranking.item() == pytest.approx(expected.item(), abs=1e-12)


@pytest.mark.parametrize("filled", [0, 3, 6])
@pytest.mark.parametrize("normalise", [True, False])
def test_momentum_contrast_is_a_softmax_over_the_key_and_what_is_queued(filled, normalise):
    torch.manual_seed(1)
    queries = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    keys, queue = torch.randn(4, 5, dtype=torch.float64), torch.randn(6, 5, dtype=torch.float64)
    loss = momentum_contrastive(queries, keys, queue, torch.tensor(filled), 0.25, normalise)

    def product(a, b):
        norms = math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(y * y for y in b)) if normalise else 1.0
        return sum(x * y for x, y in zip(a, b, strict=True)) / norms / 0.25

    terms = []
    for q, k in zip(queries.tolist(), keys.tolist(), strict=True):
        logits = [product(q, k)] + [product(q, v) for v in queue[:filled].tolist()]
        terms.append(math.log(sum(math.exp(x) for x in logits)) - logits[0])
    assert loss.item() == pytest.approx(sum(terms) / 4, abs=1e-10)
    before = torch.autograd.grad(loss, queries, retain_graph=True)[0].clone()
    queue.fill_(7.0)  # new keys are written before the gradient is taken
    assert torch.equal(torch.autograd.grad(loss, queries)[0], before)
    assert bool(before.abs().sum() > 0) == (filled > 0)


def test_a_learned_temperature_is_cut_back_at_one_hundredth_and_can_turn_around():
    temperature = Temperature(0.07)
    assert temperature().item() == pytest.approx(0.07, rel=1e-6)
    with torch.no_grad():
        temperature.log_scale.fill_(9.0)
    assert temperature().item() == pytest.approx(0.01, rel=1e-5)
    assert temperature.log_scale.item() == pytest.approx(math.log(100), rel=1e-6)
    temperature().backward()
    assert temperature.log_scale.grad.item() == pytest.approx(-0.01, rel=1e-5)


def test_the_gradient_of_a_learned_temperature_is_a_difference_quotient():
    src, tgt, links = random_case(9, 6, 6, 4, 5)
    temperature = Temperature(0.2).double()
    word_contrastive(src, tgt, links, temperature()).backward()

    def at(scale):
        return word_contrastive(src, tgt, links, math.exp(-scale)).item()

    middle, step = temperature.log_scale.item(), 1e-5
    quotient = (at(middle + step) - at(middle - step)) / (2 * step)
    assert temperature.log_scale.grad.item() == pytest.approx(quotient, abs=1e-6)


def test_autocast_does_not_round_the_comparison():
    src, tgt, links = random_case(2, 20, 20, 10, 16, torch.float32)
    plain = word_contrastive(src, tgt, links, 0.05)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert word_contrastive(src, tgt, links, 0.05).item() == plain.item()


@pytest.mark.parametrize("wrong", [{"direction": "ahead"}, {"candidates": "some"}])
def test_unknown_words_are_refused(wrong):
    src, tgt, links = random_case(1, 3, 3, 1, 4)
    with pytest.raises(ConfigError, match="is unknown; expected"):
        word_contrastive(src, tgt, links, **wrong)


def test_every_loss_has_a_line_in_the_table():
    import xrealign.train.losses as module

    for loss in LOSSES.values():
        assert f"`{loss.__name__}`" in module.__doc__


@pytest.mark.parametrize("negatives", ["strong", "weak"])
@pytest.mark.parametrize("direction", ["both", "forward", "backward"])
def test_the_margin_against_each_softmax_by_hand(negatives, direction):
    """Feng et al. 2022, eq. 1 and 2: exp(cos − m) of the translation among exp(cos) of all others, term by term."""
    draw = np.random.default_rng(4)
    src, tgt = draw.normal(size=(2, 5, 7))
    margin, temperature = 0.3, 0.05
    unit_src, unit_tgt = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (src, tgt))
    losses = {"forward": [], "backward": []}
    for which, own, other in (("forward", unit_src, unit_tgt), ("backward", unit_tgt, unit_src)):
        for row in range(5):
            right = np.exp((own[row] @ other[row] - margin) / temperature)
            wrong = sum(np.exp(own[row] @ other[k] / temperature) for k in range(5) if k != row)
            if negatives == "strong":
                wrong += sum(np.exp(own[row] @ own[k] / temperature) for k in range(5) if k != row)
            losses[which].append(-np.log(right / (right + wrong)))
    expected = np.mean(list(losses.values()) if direction == "both" else losses[direction])
    tensors = [torch.tensor(side, requires_grad=True) for side in (src, tgt)]
    found = sentence_contrastive(*tensors, temperature, negatives, direction, margin)
    assert found.item() == pytest.approx(expected, rel=1e-10)
    tiny = sentence_contrastive(*tensors, temperature, negatives, direction, 1e-12)
    assert tiny.item() == pytest.approx(
        sentence_contrastive(*tensors, temperature, negatives, direction).item(), rel=1e-9
    )
    found.backward()
    assert all(torch.isfinite(side.grad).all() for side in tensors)
