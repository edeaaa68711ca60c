"""Cosines, anisotropy, CKA, similarity of languages, decoder measures: by hand and by brute force."""

from __future__ import annotations

import numpy as np
import pytest

from xrealign.errors import DataError
from xrealign.measure.decoders import mexa, neuron_alignment, neuron_overlap
from xrealign.measure.similarity import anisotropy, language_similarity, linear_cka, translation_cosines


def draw(count, width, seed=0):
    return np.random.default_rng(seed).standard_normal((2, count, width))


def cosine(a, b):
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def test_cosines_are_those_of_all_pairs():
    src, tgt = draw(9, 4)
    found = translation_cosines(src, tgt)
    own = np.mean([cosine(src[n], tgt[n]) for n in range(9)])
    random = np.mean([cosine(src[n], tgt[m]) for n in range(9) for m in range(9) if m != n])
    assert found["translations"].value == pytest.approx(own, abs=1e-12)
    assert found["random"].value == pytest.approx(random, abs=1e-12)
    assert found["margin"].value == pytest.approx(own - random, abs=1e-12)
    alone = anisotropy(src)
    wanted = np.mean([cosine(src[n], src[m]) for n in range(9) for m in range(9) if m != n])
    assert alone.value == pytest.approx(wanted, abs=1e-12)
    assert anisotropy(np.ones((4, 3))).value == pytest.approx(1)
    assert anisotropy(np.array([[1.0, 0], [0, 1], [-1, 0], [0, -1]])).value == pytest.approx(-1 / 3)


def jackknife_spread(measure, src, tgt):
    """Standard error by leaving one pair out at a time: an outside check of the first-order contributions."""
    count = len(src)
    kept = [np.delete(np.arange(count), n) for n in range(count)]
    values = np.array([measure(src[rows], tgt[rows]) for rows in kept])
    return np.sqrt((count - 1) / count * ((values - values.mean()) ** 2).sum())


@pytest.mark.parametrize(
    "measure",
    [
        lambda a, b: translation_cosines(a, b)["margin"],
        lambda a, b: translation_cosines(a, b)["random"],
        lambda a, b: anisotropy(b),
        linear_cka,
    ],
    ids=["margin", "random", "anisotropy", "cka"],
)
def test_items_spread_as_the_jackknife_says(measure):
    src, noise = draw(400, 5, 3)
    tgt = src + noise + 1
    items = measure(src, tgt).items
    spread = items.std(ddof=1) / np.sqrt(len(items))
    assert spread == pytest.approx(jackknife_spread(lambda a, b: measure(a, b).value, src, tgt), rel=0.05)


def test_cka_against_the_definition_by_kernels():
    src, tgt = draw(12, 5)
    tgt = src @ np.random.default_rng(1).standard_normal((5, 5)) + 0.3 * tgt
    count = len(src)
    centring = np.eye(count) - 1 / count
    k, m = centring @ src @ src.T @ centring, centring @ tgt @ tgt.T @ centring
    wanted = np.trace(k @ m) / np.sqrt(np.trace(k @ k) * np.trace(m @ m))
    assert linear_cka(src, tgt).value == pytest.approx(wanted, abs=1e-12)
    assert linear_cka(src, src).value == pytest.approx(1)
    turned = src @ np.linalg.qr(np.random.default_rng(2).standard_normal((5, 5)))[0] * 3 + 7
    assert linear_cka(src, turned).value == pytest.approx(1)
    with pytest.raises(DataError, match="all the same"):
        linear_cka(src, np.ones((12, 5)))


def test_similarity_of_languages_by_hand():
    names, matrix = language_similarity(
        {"a": np.array([[1.0, 0], [0, 2]]), "b": np.array([[1.0, 1], [0, 1]]), "c": np.array([[-1.0, 0], [0, 1]])}
    )
    assert names == ["a", "b", "c"]
    root = np.sqrt(0.5)
    expected = np.array([[1, (root + 1) / 2, 0], [(root + 1) / 2, 1, (1 - root) / 2], [0, (1 - root) / 2, 1]])
    np.testing.assert_allclose(matrix, expected, atol=1e-12)
    with pytest.raises(DataError, match=r"\[1, 2\] sentences"):
        language_similarity({"a": np.ones((1, 2)), "b": np.ones((2, 2))})


def test_similarity_is_one_less_the_distance_of_select():
    from xrealign.language import parse_language
    from xrealign.select.matrices import cosine_distances

    src, tgt = draw(8, 6)
    languages = parse_language("eng"), parse_language("deu")
    _, matrix = language_similarity(dict(zip("ab", (src, tgt), strict=True)))
    _, distances = cosine_distances(dict(zip(languages, (src, tgt), strict=True)))
    np.testing.assert_allclose(matrix, 1 - distances, atol=1e-12)


def test_mexa_against_the_definition():
    src, tgt = draw(20, 4)
    tgt = src + 0.5 * tgt
    c = np.array([[cosine(a, b) for b in tgt] for a in src])
    wanted = np.mean([all(c[i, i] > c[i, j] and c[i, i] > c[j, i] for j in range(20) if j != i) for i in range(20)])
    assert 0 < wanted < 1
    assert mexa(src, tgt).value == wanted
    assert mexa(np.ones((3, 2)), np.ones((3, 2))).value == 0


def test_neurons_by_hand():
    src = np.array([[1.0, 1, 0, 0], [0, 0, 1, 0.6]])
    tgt = np.array([[0.9, 0.2, 0, 0.8], [0, 0, 0.7, 0.7]])
    found = neuron_overlap(src, tgt)
    # at work: {0, 1}, {2, 3} against {0, 3}, {2, 3}: translations 1/3 and 1, others 0 and 1/3
    assert found["translations"].value == pytest.approx((1 / 3 + 1) / 2)
    assert found["random"].value == pytest.approx((0 + 1 / 3) / 2)
    assert found["margin"].value == pytest.approx(2 / 3 - 1 / 6)
    none = neuron_overlap(src, tgt, threshold=1.0)
    assert none["translations"].value == 0
    each = neuron_overlap(src, tgt, threshold=np.array([[0.0] * 4, [0.75] * 4]))  # {0,1},{2,3} against {0,3},{}
    assert each["translations"].items == pytest.approx([1 / 3, 0])
    assert neuron_alignment(src, tgt).value == mexa(src, tgt).value == 1
    with pytest.raises(DataError, match="at least two"):
        neuron_overlap(src[:1], tgt[:1])
