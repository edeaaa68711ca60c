"""Training-free maps against SciPy, NumPy and cases worked by hand; saved, loaded and applied in three lines."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import orthogonal_procrustes
from scipy.stats import ortho_group

from xrealign.corpus.embedded import bitext, cldr_names, udhr_segments
from xrealign.errors import ArtifactError, ConfigError, DataError, LanguageError
from xrealign.language import parse_language
from xrealign.measure.retrieval import centre, retrieval_accuracy
from xrealign.model.encoder import folder_digest, load_encoder, save_encoder
from xrealign.model.fit_languages import fit_languages, word_vectors
from xrealign.model.layers import hidden_state
from xrealign.model.transform_fits import KINDS, Transform, fit_transform, normalise
from xrealign.model.transforms import FACTS, FOLDER, WEIGHTS, Transforms, load_transforms, save_transforms
from xrealign.model.vectors import sentence_vectors
from xrealign.model.words import encode_texts, make_batch, pool_words, word_spans
from xrealign.types import Bitext, SentencePair

ENG, SWH, TUR, ZHO = (parse_language(code) for code in ("eng", "swh", "tur", "zho"))
quick = settings(deadline=None, max_examples=25)


def drawn(seed, count=40, width=6):
    """Source vectors, target vectors: a noisy rotation of them somewhere else."""
    draw = np.random.default_rng(seed)
    src = draw.normal(size=(count, width)) + draw.normal(size=width)
    tgt = src @ ortho_group.rvs(width, random_state=draw) + draw.normal(size=width) + 0.1 * draw.normal(size=src.shape)
    return src, tgt


def squared(transform, src, tgt):
    return float(np.square(transform.apply(tgt) - src).sum())


# The fits


@quick
@given(st.integers(0, 10**6))
def test_rotations_are_scipys(seed):
    src, tgt = drawn(seed)
    found = fit_transform("rotation", src, tgt, prior=0)
    assert found.matrix == pytest.approx(orthogonal_procrustes(tgt, src)[0], abs=1e-6)
    assert found.offset.tolist() == [0] * 6
    found = fit_transform("centred-rotation", src, tgt, prior=0)
    assert found.matrix == pytest.approx(orthogonal_procrustes(centre(tgt), centre(src))[0], abs=1e-6)
    assert found.apply(tgt).mean(axis=0) == pytest.approx(src.mean(axis=0), abs=1e-5)
    found = fit_transform("normalised-rotation", src, tgt, prior=0)
    assert found.matrix == pytest.approx(
        orthogonal_procrustes(normalise(centre(tgt)), normalise(centre(src)))[0], abs=1e-6
    )
    assert found.apply(tgt).mean(axis=0) == pytest.approx(src.mean(axis=0), abs=1e-5)


@quick
@given(st.integers(0, 10**6))
def test_linear_is_numpys_least_squares(seed):
    src, tgt = drawn(seed)
    found = fit_transform("linear", src, tgt, prior=0)
    solution = np.linalg.lstsq(np.hstack([tgt, np.ones((len(tgt), 1))]), src, rcond=None)[0]
    assert found.matrix == pytest.approx(solution[:-1], abs=1e-5)
    assert found.offset == pytest.approx(solution[-1], abs=1e-5)


@quick
@given(st.integers(0, 10**6), st.floats(0.5, 50))
def test_the_prior_is_further_pairs_that_translate_themselves(seed, prior):
    """Ridge towards the identity is least squares with √λ I added below both sides; so is the rotation."""
    src, tgt = drawn(seed, count=5)  # fewer pairs than dims
    x, y = centre(tgt), centre(src)
    extra = np.sqrt(prior * np.square(x).sum() / len(x) / 6) * np.eye(6)
    below = np.vstack([x, extra]), np.vstack([y, extra])
    linear = fit_transform("linear", src, tgt, prior)
    assert linear.matrix == pytest.approx(np.linalg.lstsq(*below, rcond=None)[0], abs=1e-5)
    rotation = fit_transform("centred-rotation", src, tgt, prior)
    assert rotation.matrix == pytest.approx(orthogonal_procrustes(*below)[0], abs=1e-5)


def test_a_quarter_turn_by_hand():
    """The target is the source turned by 90° and moved by (5, 7): its points are turned and moved back."""
    src = np.array([[1.0, 0], [0, 2], [-1, 0], [0, -2]])
    tgt = np.stack([5 - src[:, 1], 7 + src[:, 0]], axis=1)
    for kind in ("centred-rotation", "normalised-rotation", "linear"):
        found = fit_transform(kind, src, tgt, prior=0)
        assert found.matrix == pytest.approx(np.array([[0, -1], [1, 0]]), abs=1e-6)
        assert found.offset == pytest.approx([-7, 5], abs=1e-5)
        assert found.apply(np.array([5.0, 8.0])) == pytest.approx([1, 0], abs=1e-5)
        assert found.pairs == 4


def test_centring_by_hand():
    found = fit_transform("centring", np.array([[1.0, 2], [3, 4]]), np.array([[0.0, 0], [2, 10]]))
    assert found.matrix is None
    assert found.offset.tolist() == [1, -2]
    assert found.apply(np.array([[[2.0, 10]]])).tolist() == [[[3, 8]]]
    one = fit_transform("centring", np.array([[1.0, 2]]), np.array([[0.0, 5]]))
    assert one.offset.tolist() == [1, -3]


@quick
@given(st.integers(0, 10**6))
def test_each_kind_fits_better_than_the_simpler_one(seed):
    src, tgt = drawn(seed)
    centring, rotation, linear = (squared(fit_transform(kind, src, tgt, 0), src, tgt)
                                  for kind in ("centring", "centred-rotation", "linear"))  # fmt: skip
    assert linear <= rotation + 1e-4
    assert rotation <= centring + 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_without_pairs_or_with_none_but_zeros_nothing_moves(kind):
    for vectors in (np.zeros((0, 3)), np.zeros((4, 3))):
        found = fit_transform(kind, vectors, vectors)
        assert found.apply(np.eye(3)) == pytest.approx(np.eye(3), abs=1e-7)
        assert found.pairs == len(vectors)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "centring"])
def test_few_pairs_leave_what_they_say_nothing_about_alone(kind):
    """Two pairs in 6 dims, in the first two: the other four stay as they are, and a great prior changes nothing."""
    src = np.array([[1.0, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0], [-1, 0, 0, 0, 0, 0], [0, -1, 0, 0, 0, 0]])
    tgt = src[:, [1, 0, 2, 3, 4, 5]]
    found = fit_transform(kind, src, tgt, prior=1e-3)
    assert found.matrix[2:, 2:] == pytest.approx(np.eye(4), abs=1e-6)
    assert found.apply(tgt) == pytest.approx(src, abs=1e-2)
    assert fit_transform(kind, src, tgt, prior=1e9).matrix == pytest.approx(np.eye(6), abs=1e-6)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "centring"])
def test_too_few_pairs_for_the_published_definition_are_an_error(kind):
    src, tgt = drawn(1, count=5)
    with pytest.raises(DataError, match=rf"{kind} is not determined when prior = 0: 5 pairs of vectors span [45] of 6"):
        fit_transform(kind, src, tgt, prior=0)
    with pytest.raises(DataError, match="0 pairs of vectors span 0 of 6 dims"):
        fit_transform(kind, src[:0], tgt[:0], prior=0)
    with pytest.raises(DataError, match=r"60 pairs of vectors span [345] of 6"):  # many, but the same again and again
        fit_transform(kind, np.tile(src[:5], (12, 1)), np.tile(tgt[:5], (12, 1)), prior=0)


def test_iterative_normalisation_makes_lengths_one_and_the_mean_zero():
    vectors = drawn(3, count=200, width=20)[0] * np.random.default_rng(0).uniform(0.1, 9, (200, 1))
    found = normalise(vectors)
    assert np.abs(found.mean(axis=0)).max() < 1e-12
    assert np.abs(np.linalg.norm(found, axis=1) - 1).max() < 1e-3
    by_hand = normalise(np.array([[3.0, 4], [0, 2]]), rounds=1)  # (.6, .8) and (0, 1), mean (.3, .9)
    assert by_hand == pytest.approx(np.array([[0.3, -0.1], [-0.3, 0.1]]))


def test_impossible_fits_are_said():
    src, tgt = drawn(0)
    with pytest.raises(ConfigError, match="did you mean 'rotation'"):
        fit_transform("rotate", src, tgt)
    for prior in (-1, np.nan, np.inf):
        with pytest.raises(ConfigError, match="expected a number of pairs"):
            fit_transform("linear", src, tgt, prior)
    with pytest.raises(DataError, match=r"shapes \(40, 6\) \(source\) and \(39, 6\)"):
        fit_transform("linear", src, tgt[1:])
    tgt[7, 2] = np.nan
    with pytest.raises(DataError, match="target vector 7"):
        fit_transform("centring", src, tgt)


def test_applying_keeps_kind_type_and_shape():
    transform = fit_transform("linear", *drawn(2))
    vectors = np.random.default_rng(1).normal(size=(3, 5, 6)).astype(np.float32)
    expected = vectors.astype(np.float64) @ transform.matrix + transform.offset
    mapped = transform.apply(vectors)
    assert mapped.dtype == np.float32
    assert mapped == pytest.approx(expected, abs=1e-5)
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-6), (torch.bfloat16, 0.1)):
        mapped = transform.apply(torch.from_numpy(vectors).to(dtype))
        assert mapped.dtype == dtype
        assert mapped.double().numpy() == pytest.approx(expected, abs=tolerance)
    states = torch.from_numpy(vectors).requires_grad_()
    transform.apply(states).sum().backward()
    assert torch.isfinite(states.grad).all()
    # mapping subwords and pooling them is pooling and mapping: the map is affine
    assert transform.apply(vectors).mean(axis=1) == pytest.approx(transform.apply(vectors.mean(axis=1)), abs=1e-5)


# Several languages


def maps(**facts):
    src, tgt = drawn(5)
    by_language = {SWH: fit_transform("linear", src, tgt), ZHO: fit_transform("centring", src, tgt)}
    return Transforms(ENG, "linear", 3, "words", by_language, src.mean(axis=0).astype(np.float32), facts)


def test_a_language_is_found_by_any_name_and_an_unknown_one_is_said():
    found, vectors = maps(), np.ones((2, 6), dtype=np.float32)
    expected = found.by_language[SWH].apply(vectors)
    for name in ("swh_Latn", "sw", "Swahili", SWH):
        assert np.array_equal(found.apply(vectors, name), expected)
    assert found.apply(vectors, "eng") is vectors
    with pytest.raises(DataError, match="no map for zho_Hant, only for swh_Latn, zho_Hans; did you mean 'zho_Hans'"):
        found.apply(vectors, "zho_Hant")
    assert found.apply(vectors, "zho_Hant", unknown="identity") is vectors
    with pytest.raises(LanguageError):
        found.apply(vectors, "swahilli-latin", unknown="identity")
    with pytest.raises(DataError, match="vectors of 5 dims, but the maps are of 6"):
        found.apply(vectors[:, :5], "sw")


def test_centred_vectors_are_about_the_sources_mean():
    found, vectors = maps(), np.ones((2, 6), dtype=np.float32)
    for name in ("eng", "sw"):
        assert found.apply(vectors, name, centred=True) == pytest.approx(
            found.apply(vectors, name) - found.source_mean, abs=1e-6
        )


def test_saved_and_loaded_in_the_encoders_folder_which_stays_an_encoder(tiny_encoder, tmp_path):
    from transformers import AutoModel

    save_encoder(tiny_encoder, tmp_path)
    digest = folder_digest(tmp_path)
    bitexts = [bitext(udhr_segments(), ENG, language) for language in (SWH, TUR)]
    fitted = fit_languages(tiny_encoder, bitexts, "centred-rotation", facts={"encoder": digest})
    save_transforms(fitted, tmp_path)
    assert folder_digest(tmp_path) == digest
    assert load_encoder(str(tmp_path)).layers == tiny_encoder.layers

    model = AutoModel.from_pretrained(tmp_path)
    inputs = tiny_encoder.tokenizer(["binadamu wote", "haki"], return_tensors="pt", padding=True)
    with torch.inference_mode():
        transforms = load_transforms(tmp_path)
        before = model(**inputs).last_hidden_state
        hidden = transforms.apply(before, "swh_Latn")
    assert hidden.shape == before.shape
    assert torch.allclose(hidden, fitted.apply(before, SWH), atol=0)
    assert not torch.allclose(hidden, before, atol=1e-3)

    told = json.loads((tmp_path / FOLDER / FACTS).read_text("utf-8"))
    count = {language.tag: len(part) for language, part in zip((SWH, TUR), bitexts, strict=True)}
    assert told == {
        "format": 1, "kind": "centred-rotation", "layer": 4, "level": "sentences", "width": 32, "source": "eng_Latn",
        "pairs": count,
        "facts": {"sentence_pairs": {tag: {"udhr-segments": n} for tag, n in count.items()}, "prior": 32,
                  "encoder": digest},
    }  # fmt: skip
    assert (transforms.source, transforms.kind, transforms.layer, transforms.level) == (
        ENG,
        "centred-rotation",
        4,
        "sentences",
    )
    assert {language: t.pairs for language, t in transforms.by_language.items()} == {
        SWH: len(bitexts[0]),
        TUR: len(bitexts[1]),
    }
    assert np.array_equal(transforms.source_mean, fitted.source_mean)
    assert np.array_equal(transforms.by_language[TUR].matrix, fitted.by_language[TUR].matrix)


def test_damaged_transforms_are_said(tmp_path):
    with pytest.raises(ArtifactError, match=r"transforms\.json is not there"):
        load_transforms(tmp_path)
    save_transforms(maps(), tmp_path)
    assert load_transforms(tmp_path).by_language[ZHO].matrix is None
    facts, weights = tmp_path / FOLDER / FACTS, tmp_path / FOLDER / WEIGHTS
    good = facts.read_text("utf-8")
    for old, new, message in (
        ('"format": 1', '"format": 2', "format 2, expected 1"),
        ('"width": 6', '"width": 7', "not of 7 dims"),
        ('"swh_Latn": 40', '"tur_Latn": 40', r"damaged \(KeyError\('tur_Latn.offset'\)"),
        ("{", "[", "damaged"),
    ):
        assert old in good
        facts.write_text(good.replace(old, new, 1), "utf-8")
        with pytest.raises(ArtifactError, match=message):
            load_transforms(tmp_path)
    facts.write_text(good, "utf-8")
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(ArtifactError, match="damaged"):
        load_transforms(tmp_path)


def test_sentences_of_several_bitexts_are_taken_together(tiny_encoder):
    parts = [bitext(udhr_segments(), ENG, SWH), bitext(cldr_names(), ENG, SWH, cldr_names().ids[:30])]
    found = fit_languages(tiny_encoder, parts, "centring", layer=2)
    pairs = [pair for part in parts for pair in part]
    src, tgt = (sentence_vectors(tiny_encoder, side, 2) for side in ([p.src for p in pairs], [p.tgt for p in pairs]))
    assert found.layer == 2
    assert found.by_language[SWH].pairs == len(pairs)
    assert found.by_language[SWH].offset == pytest.approx(src.mean(axis=0) - tgt.mean(axis=0), abs=1e-5)
    assert found.source_mean == pytest.approx(src.mean(axis=0), abs=1e-5)
    assert found.facts["sentence_pairs"] == {"swh_Latn": {"udhr-segments": len(parts[0]), "cldr-names": len(parts[1])}}


def one_word(encoder, text, language, word, layer):
    """The vector of one word of one sentence, by itself."""
    spans = word_spans([text], language, encoder.tokenizer)
    batch = make_batch([(encode_texts(encoder.tokenizer, [text], 128, spans), np.array([0]))], 1)
    with torch.inference_mode():
        words = pool_words(hidden_state(encoder.model, layer, batch.inputs), batch)
    return words[batch.word.tolist().index(word)].numpy()


def test_words_are_those_of_one_sentence_at_a_time(tiny_encoder):
    texts = ["haki za binadamu", "watu", "wote huzaliwa huru", "x"]
    sentence, word = np.array([2, 0, 0, 2, 2]), np.array([2, 0, 2, 2, 0])
    vectors, found = word_vectors(tiny_encoder, texts, SWH, sentence, word, 2, subwords_per_batch=20)
    assert found.all()
    for n in range(5):
        expected = one_word(tiny_encoder, texts[sentence[n]], SWH, word[n], 2)
        assert vectors[n] == pytest.approx(expected, abs=1e-5)
    vectors, found = word_vectors(tiny_encoder, texts, SWH, sentence, word, 2, max_length=4)
    assert not found[0]  # cut off
    assert not vectors[~found].any()
    vectors, found = word_vectors(tiny_encoder, texts, SWH, sentence[:0], word[:0], 2)
    assert vectors.shape == (0, 32)


def test_words_are_paired_by_their_links(tiny_encoder):
    pairs = (SentencePair("1", "human rights", "haki za binadamu"), SentencePair("2", "all", "wote"))
    links = [np.array([[0, 2], [1, 0]], dtype=np.int32), np.zeros((0, 2), dtype=np.int32)]
    found = fit_languages(tiny_encoder, [Bitext(ENG, SWH, pairs, "x")], "centring", 3, "words", [links])
    src = [one_word(tiny_encoder, "human rights", ENG, w, 3) for w in (0, 1)]
    tgt = [one_word(tiny_encoder, "haki za binadamu", SWH, w, 3) for w in (2, 0)]
    assert found.level == "words"
    assert found.by_language[SWH].pairs == 2
    assert found.by_language[SWH].offset == pytest.approx(np.mean(src, axis=0) - np.mean(tgt, axis=0), abs=1e-5)
    for wrong in (None, [], [links[:1]]):
        with pytest.raises(ConfigError, match="give a list for each bitext"):
            fit_languages(tiny_encoder, [Bitext(ENG, SWH, pairs, "x")], "centring", 3, "words", wrong)


def test_impossible_bitexts_are_said(tiny_encoder):
    with pytest.raises(DataError, match="one source language, found no bitext"):
        fit_languages(tiny_encoder, [], "centring")
    parts = [bitext(udhr_segments(), ENG, SWH), bitext(udhr_segments(), TUR, SWH)]
    with pytest.raises(DataError, match="found eng_Latn, tur_Latn"):
        fit_languages(tiny_encoder, parts, "centring")
    with pytest.raises(ConfigError, match="did you mean 'words'"):
        fit_languages(tiny_encoder, parts[:1], "centring", level="word")
    with pytest.raises(ConfigError, match="layer 5 does not exist"):
        fit_languages(tiny_encoder, parts[:1], "centring", layer=5)
    empty = fit_languages(tiny_encoder, [Bitext(ENG, SWH, (), "x")], "linear")
    assert empty.by_language[SWH] == Transform(None, pytest.approx(np.zeros(32)), 0)


@pytest.mark.slow
def test_sentences_are_found_more_often_once_rotated(starter):
    """Real text, real encoder: fitted on 200 names of things, measured on 199 others.

    Rotation and projection find twice as many; centring alone moves the share by a point, up or down.
    """
    encoder = load_encoder(str(starter))
    ids = [i for i in cldr_names().ids if i in cldr_names().of(SWH)]
    fit, held = ids[:400:2], ids[1:400:2]
    fitted = {kind: fit_languages(encoder, [bitext(cldr_names(), ENG, SWH, fit)], kind) for kind in
              ("centring", "centred-rotation", "linear")}  # fmt: skip
    pairs = bitext(cldr_names(), ENG, SWH, held).pairs
    src, tgt = (sentence_vectors(encoder, [getattr(p, s) for p in pairs], encoder.layers) for s in ("src", "tgt"))
    found = {"raw": np.mean(list(retrieval_accuracy(src, tgt).values()))}
    for kind, transforms in fitted.items():
        sides = transforms.apply(src, ENG, centred=True), transforms.apply(tgt, SWH, centred=True)
        found[kind] = np.mean(list(retrieval_accuracy(*sides).values()))
    before = max(found["raw"], found["centring"])
    assert found["centred-rotation"] > before + 0.1, found
    assert found["linear"] > before + 0.1, found
    assert abs(found["centring"] - found["raw"]) < 0.05, found
