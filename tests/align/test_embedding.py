"""Mutual argmax, against two loops over cosines."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from xrealign.align.embedding import argmax_links, mutual_argmax
from xrealign.corpus.embedded import bitext, udhr_segments
from xrealign.language import parse_language
from xrealign.model.words import word_spans


def links_by_hand(cosine: np.ndarray) -> list[tuple[int, int]]:
    """i and j are linked when each is the other's most similar word; of equals the first."""
    rows, columns = cosine.shape
    if not rows or not columns:
        return []
    forward = [max(range(columns), key=lambda j: (cosine[i, j], -j)) for i in range(rows)]
    backward = [max(range(rows), key=lambda i: (cosine[i, j], -i)) for j in range(columns)]
    return [(i, forward[i]) for i in range(rows) if backward[forward[i]] == i]


@st.composite
def padded_pairs(draw):
    """Vectors of small whole numbers, so that ties are common, and masks with holes."""
    pairs, left, right = draw(st.integers(1, 3)), draw(st.integers(1, 5)), draw(st.integers(1, 6))
    vectors = [draw(hnp.arrays(np.float64, (pairs, n, 3), elements=st.integers(-2, 2))) for n in (left, right)]
    masks = [draw(hnp.arrays(np.bool_, (pairs, n))) for n in (left, right)]
    return vectors, masks


@settings(deadline=None, max_examples=200)
@given(padded_pairs())
def test_links_are_those_of_two_loops(drawn):
    vectors, masks = drawn
    links, cosine = mutual_argmax(*map(torch.from_numpy, (*vectors, *masks)))
    assert links.dtype == torch.bool
    for b in range(len(vectors[0])):
        src, tgt = vectors[0][b], vectors[1][b]
        norms = np.linalg.norm(src, axis=1)[:, None] * np.linalg.norm(tgt, axis=1)[None, :]
        wanted = np.divide(src @ tgt.T, norms, out=np.zeros_like(norms), where=norms > 0)
        np.testing.assert_allclose(cosine[b].numpy(), wanted, rtol=0, atol=1e-12)
        # Ties are those of the cosines the product has, to the last bit: no two ways of computing share them.
        i, j = np.flatnonzero(masks[0][b]), np.flatnonzero(masks[1][b])
        by_hand = links_by_hand(cosine[b].numpy()[np.ix_(i, j)])
        assert sorted(map(tuple, links[b].nonzero().tolist())) == sorted((i[a], j[c]) for a, c in by_hand)


def test_of_equal_words_the_first_is_linked():
    """«the the» ~ «la la la»: all cosines are 1."""
    ones, everywhere = torch.ones(1, 3, 4), torch.ones(1, 3, dtype=torch.bool)
    links, cosine = mutual_argmax(ones[:, :2], ones, everywhere[:, :2], everywhere)
    assert links.nonzero().tolist() == [[0, 0, 0]]
    torch.testing.assert_close(cosine, torch.ones(1, 2, 3))


def test_a_word_no_one_prefers_has_no_link():
    """Hand-worked: rows prefer 0, 0, 1; columns prefer 1, 2."""
    src = torch.tensor([[[0.8, 0.6], [1.0, 0.0], [0.1, 1.0]]])
    tgt = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    links, _ = mutual_argmax(src, tgt, torch.ones(1, 3, dtype=torch.bool), torch.ones(1, 2, dtype=torch.bool))
    assert links.nonzero().tolist() == [[0, 1, 0], [0, 2, 1]]


def test_nothing_is_linked_to_padding_or_to_nothing():
    vectors = torch.ones(2, 3, 4)
    none, all_ = torch.zeros(2, 3, dtype=torch.bool), torch.ones(2, 3, dtype=torch.bool)
    assert not mutual_argmax(vectors, vectors, none, all_)[0].any()
    assert not mutual_argmax(vectors, vectors, none, none)[0].any()
    assert mutual_argmax(vectors[:, :0], vectors, none[:, :0], all_)[0].shape == (2, 0, 3)


def vectors_by_hand(encoder, text, spans, layer, max_length):
    """Mean over the subwords of each word, one sentence alone; and which words have any."""
    encoding = encoder.tokenizer(text, truncation=True, max_length=max_length, return_offsets_mapping=True)
    inputs = {k: torch.tensor([encoding[k]]) for k in ("input_ids", "attention_mask")}
    with torch.inference_mode():
        state = encoder.model(**inputs, output_hidden_states=True).hidden_states[layer][0].double().numpy()
    vectors, words = [], []
    for word, (start, end) in enumerate(spans.tolist()):
        own = [t for t, (a, b) in enumerate(encoding["offset_mapping"]) if b > a and start <= b - 1 < end]
        if own:
            vectors.append(state[own].mean(axis=0))
            words.append(word)
    return np.array(vectors).reshape(-1, state.shape[1]), words


def test_links_of_real_pairs_are_those_of_one_pair_at_a_time(tiny_encoder):
    """200 UDHR pairs in four scripts, batched, cut at 48 subwords."""
    compared = 0
    for code in ("deu", "hin", "arb", "zho"):
        language = parse_language(code)
        pairs = bitext(udhr_segments(), parse_language("eng"), language).pairs[:50]
        src, tgt = [p.src for p in pairs], [p.tgt for p in pairs]
        src_spans = word_spans(src, parse_language("eng"), tiny_encoder.tokenizer)
        tgt_spans = word_spans(tgt, language, tiny_encoder.tokenizer)
        found = argmax_links(tiny_encoder, src, src_spans, tgt, tgt_spans, 3, max_length=48, subwords_per_batch=700)
        assert len(found) == len(pairs)
        for n, links in enumerate(found):
            left, left_words = vectors_by_hand(tiny_encoder, src[n], src_spans[n], 3, 48)
            right, right_words = vectors_by_hand(tiny_encoder, tgt[n], tgt_spans[n], 3, 48)
            left /= np.linalg.norm(left, axis=1, keepdims=True)
            right /= np.linalg.norm(right, axis=1, keepdims=True)
            cosine = left @ right.T
            wanted = [(left_words[i], right_words[j]) for i, j in links_by_hand(cosine)]
            assert links.dtype == np.int32
            assert links.shape == (len(links), 2)
            # Words that occur twice are equal but for rounding: compare where the best is the best by more than that.
            if unequal(cosine) and unequal(cosine.T):
                assert [tuple(link) for link in links.tolist()] == wanted, src[n]
                compared += 1
            else:
                assert len(links)
    assert compared >= 120


def unequal(cosine, margin=1e-5):
    if cosine.shape[1] < 2:
        return True
    best = np.sort(cosine, axis=1)
    return bool((best[:, -1] - best[:, -2] > margin).all())


def test_sentences_without_words_have_no_links(tiny_encoder):
    src, tgt = ["", "the right", " "], ["das Recht", "", ""]
    language = parse_language("deu")
    spans = [word_spans(texts, language, tiny_encoder.tokenizer) for texts in (src, tgt)]
    found = argmax_links(tiny_encoder, src, spans[0], tgt, spans[1], 4)
    assert [links.shape for links in found] == [(0, 2)] * 3
    assert argmax_links(tiny_encoder, [], [], [], [], 4) == []
