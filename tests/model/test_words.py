"""Words and their vectors, against loops over one sentence and one word at a time."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xrealign.align.embedding import pad_words
from xrealign.errors import ConfigError
from xrealign.language import parse_language
from xrealign.model.words import (
    encode_texts,
    length_batches,
    make_batch,
    mean_words,
    pool_sentences,
    pool_words,
    word_spans,
)
from xrealign.segment import find_spans, spans_by_blanks
from xrealign.textio import nfc

CHARACTERS = "abehnorstABR.,'’-1_ßéığ   кажпрво कििा्षरம்ழவअச人权的国家คนสิท하나すべ😀\u200d\u00a0\ufb01½ﷺ"
TEXTS = st.lists(st.text(CHARACTERS, max_size=25).map(nfc), min_size=1, max_size=6)
quick = settings(deadline=None, max_examples=60)


def words_by_hand(tokenizer, text, spans, max_length):
    """For every subword of one sentence the word that holds its last character, or -1; and the subwords' ids."""
    encoding = tokenizer(text, truncation=True, max_length=max_length, return_offsets_mapping=True)
    words = []
    for start, end in encoding["offset_mapping"]:
        holders = [w for w, (a, b) in enumerate(spans.tolist()) if end > start and a <= end - 1 < b]
        assert len(holders) <= 1
        words.append(holders[0] if holders else -1)
    return encoding["input_ids"], words


@quick
@given(TEXTS, st.integers(4, 24))
def test_encoded_texts_are_those_of_one_sentence_at_a_time(tiny_tokenizer, texts, max_length):
    spans = [spans_by_blanks(text) for text in texts]
    encoded = encode_texts(tiny_tokenizer, texts, max_length, spans)
    assert len(encoded) == len(texts)
    assert encoded.word_counts.tolist() == [len(s) for s in spans]
    lost = 0
    for s, text in enumerate(texts):
        ids, words = words_by_hand(tiny_tokenizer, text, spans[s], max_length)
        _, whole = words_by_hand(tiny_tokenizer, text, spans[s], 10_000)
        part = slice(encoded.offsets[s], encoded.offsets[s + 1])
        assert encoded.ids[part].tolist() == ids
        assert encoded.words[part].tolist() == words
        assert encoded.lengths[s] == len(ids) <= max_length
        lost += len(set(whole) - set(words))
    assert encoded.cut_words == lost


def test_without_spans_there_are_no_words(tiny_tokenizer):
    encoded = encode_texts(tiny_tokenizer, ["all human beings", ""], 16)
    assert set(encoded.words.tolist()) == {-1}
    assert encoded.word_counts.tolist() == [0, 0]
    assert encoded.cut_words == 0


def test_no_sentences_at_all(tiny_tokenizer):
    for code in ("eng", "zho"):
        assert word_spans([], parse_language(code), tiny_tokenizer) == []
    encoded = encode_texts(tiny_tokenizer, [], 16, [])
    assert len(encoded) == encoded.cut_words == 0
    assert encoded.lengths.tolist() == []
    assert length_batches(encoded.lengths, 100) == []


def test_truncation_is_counted(tiny_tokenizer):
    """Ten words of one subword each and room for six: four are lost."""
    text = " ".join(["right"] * 10)
    pieces = len(tiny_tokenizer.tokenize("right"))
    encoded = encode_texts(tiny_tokenizer, [text], 2 + 6 * pieces, [spans_by_blanks(text)])
    assert encoded.cut_words == 4
    assert set(encoded.words.tolist()) == {-1, 0, 1, 2, 3, 4, 5}


@pytest.fixture(scope="module")
def batched(tiny_tokenizer, udhr_lines):
    """Two sets of sentences in one batch, some chosen, out of order, one without words."""
    first = [lines[1] for lines in udhr_lines.values()]
    second = ["", "…", *(lines[2] for lines in udhr_lines.values())]
    spans = [[spans_by_blanks(t) for t in texts] for texts in (first, second)]
    left, right = (encode_texts(tiny_tokenizer, texts, 48, s) for texts, s in zip((first, second), spans, strict=True))
    parts = [(left, np.array([3, 0, 7])), (right, np.array([0, 5, 1, 2]))]
    return parts, make_batch(parts, tiny_tokenizer.pad_token_id)


def chosen_sentences(parts):
    for texts, rows in parts:
        for row in rows:
            part = slice(texts.offsets[row], texts.offsets[row + 1])
            yield texts.ids[part].tolist(), texts.words[part].tolist()


def places_of_words(parts):
    """(sentence, word, columns of its subwords) in order."""
    for s, (_, words) in enumerate(chosen_sentences(parts)):
        for word in sorted(set(words) - {-1}):
            yield s, word, [t for t, w in enumerate(words) if w == word]


def test_a_batch_holds_the_sentences_padded(batched, tiny_tokenizer):
    parts, batch = batched
    rows = [ids for ids, _ in chosen_sentences(parts)]
    width = max(map(len, rows))
    pad = tiny_tokenizer.pad_token_id
    assert batch.inputs["input_ids"].tolist() == [row + [pad] * (width - len(row)) for row in rows]
    assert batch.inputs["attention_mask"].tolist() == [[1] * len(row) + [0] * (width - len(row)) for row in rows]
    places = list(places_of_words(parts))
    assert batch.sentence.tolist() == [s for s, _, _ in places]
    assert batch.word.tolist() == [w for _, w, _ in places]
    assert batch.sizes[:, 0].tolist() == [len(columns) for _, _, columns in places]


@pytest.mark.parametrize("how", ["first", "mean", "sum"])
def test_pooling_is_that_of_a_loop(batched, how):
    parts, batch = batched
    hidden = torch.randn(*batch.inputs["input_ids"].shape, 5, dtype=torch.float64, generator=torch.manual_seed(1))
    by_hand = [hidden[s, columns] for s, _, columns in places_of_words(parts)]
    wanted = [{"first": v[0], "mean": v.mean(0), "sum": v.sum(0)}[how] for v in by_hand]
    torch.testing.assert_close(pool_words(hidden, batch, how), torch.stack(wanted), rtol=0, atol=1e-12)


def test_unknown_pooling_is_refused(batched):
    _, batch = batched
    with pytest.raises(ConfigError, match="'max' is unknown; expected one of first, mean, sum"):
        pool_words(torch.zeros(*batch.inputs["input_ids"].shape, 2), batch, "max")


def test_sentence_means_and_padding_are_those_of_a_loop(batched):
    parts, batch = batched
    sentences = sum(len(rows) for _, rows in parts)
    places = list(places_of_words(parts))
    vectors = torch.randn(len(places), 5, dtype=torch.float64, generator=torch.manual_seed(2))
    means = mean_words(vectors, batch, sentences)
    padded, mask = pad_words(vectors, batch, sentences)
    for s in range(sentences):
        own = [(w, vectors[n]) for n, (t, w, _) in enumerate(places) if t == s]
        wanted = torch.stack([v for _, v in own]).mean(0) if own else torch.zeros(5, dtype=torch.float64)
        torch.testing.assert_close(means[s], wanted, rtol=0, atol=1e-12)
        assert mask[s].nonzero()[:, 0].tolist() == [w for w, _ in own]
        for w, vector in own:
            assert torch.equal(padded[s, w], vector)
    assert not padded[~mask].any()


def test_mean_over_subwords_is_that_of_a_loop(batched):
    _, batch = batched
    hidden = torch.randn(*batch.inputs["input_ids"].shape, 5, dtype=torch.float64, generator=torch.manual_seed(3))
    pooled = pool_sentences(hidden, batch.inputs["attention_mask"])
    for s, mask in enumerate(batch.inputs["attention_mask"]):
        torch.testing.assert_close(pooled[s], hidden[s, mask.bool()].mean(0), rtol=0, atol=1e-12)


def test_a_batch_without_any_word(tiny_tokenizer):
    encoded = encode_texts(tiny_tokenizer, ["", " "], 8, [spans_by_blanks(""), spans_by_blanks(" ")])
    batch = make_batch([(encoded, np.arange(2))], tiny_tokenizer.pad_token_id)
    words = pool_words(torch.ones(*batch.inputs["input_ids"].shape, 3), batch)
    assert words.shape == (0, 3)
    assert not mean_words(words, batch, 2).any()
    padded, mask = pad_words(words, batch, 2)
    assert padded.shape == (2, 0, 3)
    assert mask.shape == (2, 0)


@quick
@given(st.lists(st.integers(1, 200), max_size=40), st.integers(1, 600))
def test_length_batches_fit_and_waste_little(lengths, subwords):
    array = np.array(lengths, dtype=np.int64)
    batches = length_batches(array, subwords)
    order = [int(i) for rows in batches for i in rows]
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[i] for i in order] == sorted(lengths, reverse=True)
    for n, rows in enumerate(batches):
        longest = max(lengths[i] for i in rows)
        assert len(rows) == 1 or longest * len(rows) <= subwords
        if n + 1 < len(batches):  # the next sentence would not have fitted
            assert longest * (len(rows) + 1) > subwords


@quick
@given(TEXTS)
def test_scripts_without_a_rule_make_every_subword_a_word_or_part_of_one(tiny_tokenizer, texts):
    language = parse_language("khb_Talu")
    spans = word_spans(texts, language, tiny_tokenizer)
    encoded = encode_texts(tiny_tokenizer, texts, 512, spans)
    for s, text in enumerate(texts):
        rows = spans[s].tolist()
        assert all(0 <= a < b <= len(text) for a, b in rows)
        assert all(left[1] <= right[0] for left, right in pairwise(rows))
        assert all(text[a:b].strip() for a, b in rows)
        words = encoded.words[encoded.offsets[s] : encoded.offsets[s + 1]].tolist()
        assert set(range(len(rows))) <= set(words), "a word without subwords"
        offsets = tiny_tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
        for (a, b), word in zip(offsets, words, strict=True):
            assert (word >= 0) == bool(text[a:b].strip())


def test_words_are_those_of_the_rule_and_subwords_where_there_is_none(tiny_tokenizer, udhr_lines):
    for tag, lines in udhr_lines.items():
        language = parse_language(tag)
        spans = word_spans(lines, language, tiny_tokenizer)
        for text, rows in zip(lines, spans, strict=True):
            assert rows.tolist() == find_spans(text, language).tolist()
            # Nothing that is seen gets lost, blanks apart.
            assert "".join("".join(text[a:b] for a, b in rows).split()) == "".join(text.split())
    text = "ᦅᧄᦟᦱᦺᦑ abc 人人生而自由"
    pieces = [piece.strip("▁") for piece in tiny_tokenizer.tokenize(text)]
    (rows,) = word_spans([text], parse_language("khb_Talu"), tiny_tokenizer)
    assert [text[a:b] for a, b in rows] == [piece for piece in pieces if piece]
    assert len(rows) > 1


def test_a_full_sentence_that_was_not_cut_has_no_cut_words(tiny_tokenizer):
    text = ".1\u200d"  # as long as allowed, and one word shares its subword with another
    spans = [spans_by_blanks(text)]
    length = len(tiny_tokenizer(text)["input_ids"])
    assert encode_texts(tiny_tokenizer, [text], length, spans).cut_words == 0
    assert encode_texts(tiny_tokenizer, ["house water fire"], 3, [spans_by_blanks("house water fire")]).cut_words > 0
