"""Sentence pairs with one word marked, as a cross-encoder reads them: put together by index arithmetic.

Sentences are tokenised once (`encode_pairs`); what the tokenizer would make of the pair with separators around a word
is then fetched from flat arrays (`assemble`), for any number of words at a time. The two are the same wherever blanks
end subwords: with tokenizers that write a word without a blank before it (byte-level ones) the first word of a sentence
keeps the subwords it has there, marked or not. No subword is added for the blank before a separator.

*Shapes:* P sentence pairs, N marked words, T subwords of a pair, K subwords to judge.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xrealign.align.linker import Sentences
from xrealign.errors import ConfigError
from xrealign.model.words import EncodedTexts, encode_texts
from xrealign.segment import spans_of_words
from xrealign.textio import nfc

Array = np.ndarray[Any, Any]
# What stands where in a pair: specials; the first sentence, its marked word between two marks; specials; the second
# sentence; specials. Numbers of its segments:
SEGMENTS, SECOND_SENTENCE = 9, 7


@dataclass(frozen=True, slots=True)
class PairTemplate:
    """What a tokenizer puts around the sentences of a pair, and the subword that marks a word.

    Attributes:
        before, between, after: special subwords. *Shape:* (any,) each
        marker, marker_text: the subword on both sides of the marked word, and how it is written.
        types: ``token_type_ids`` of before, first sentence, between, second, after; None for encoders without them.
    """

    before: Array
    between: Array
    after: Array
    marker: int
    marker_text: str
    types: tuple[int, int, int, int, int] | None

    @property
    def extra(self) -> int:
        """Subwords that a pair has besides those of its sentences."""
        return len(self.before) + len(self.between) + len(self.after) + 2


@dataclass(frozen=True, slots=True)
class EncodedPairs:
    """P sentence pairs, tokenised once, without special subwords.

    Attributes:
        sides: source and target sentences. Every subword belongs to a word; one that holds none of a word's
            characters (a lone blank before it) to the next.
        cut_words: words that truncation left without any subword, of both sides.
    """

    sides: tuple[EncodedTexts, EncodedTexts]
    template: PairTemplate
    cut_words: int

    def __len__(self) -> int:
        return len(self.sides[0])

    @property
    def cells(self) -> Array:
        """Where the I·J probabilities of each pair begin in a flat array. *Shape:* (P + 1,)"""
        sizes = self.sides[0].word_counts.astype(np.int64) * self.sides[1].word_counts
        return np.concatenate([[0], np.cumsum(sizes)])


@dataclass(frozen=True, slots=True)
class Marked:
    """N words to mark: pair, side (0 source, 1 target), word, and its subwords' place in the sentence, [start, stop);
    lengths of the whole pairs in subwords."""

    pair: Array
    side: Array
    word: Array
    start: Array
    stop: Array
    lengths: Array


@dataclass(frozen=True, slots=True)
class MarkedBatch:
    """Padded pairs, one word marked in each, and the subwords to judge.

    Attributes:
        inputs: ``input_ids``, ``attention_mask``, for some encoders ``token_type_ids``. *Shape:* (N, T)
        positions: places of the other sentence's subwords in the flattened (N·T) batch. *Shape:* (K,)
        cells: which probability each of them is for: an index into the flat (side, pair, i, j) array. *Shape:* (K,)
    """

    inputs: dict[str, Tensor]
    positions: Tensor
    cells: Array


def pair_template(tokenizer: Any, marker: str | None = None) -> PairTemplate:
    """How this tokenizer writes a pair, read off one.

    Args:
        marker: what stands on both sides of a marked word, one subword of the vocabulary as it is. None is the mask
            subword (``<mask>`` in XLM-R's vocabulary): every encoder trained by masking has one, and no text does.

    Raises:
        ConfigError: ``marker`` is not one known subword, or there is no mask subword.
    """
    chosen = tokenizer.mask_token if marker is None else marker
    if chosen is None:
        raise ConfigError("this tokenizer has no mask subword to mark words with; give a marker, such as '§'")
    mark = tokenizer(chosen, add_special_tokens=False)["input_ids"]
    if len(mark) != 1 or mark[0] == tokenizer.unk_token_id:
        unknown = " (the unknown one)" if len(mark) == 1 else ""
        raise ConfigError(
            f"marker {chosen!r} is {len(mark)} subwords{unknown} to this tokenizer; expected one it knows"
        )
    encoded = tokenizer("a", "b")
    ids, sides = np.array(encoded["input_ids"]), encoded.sequence_ids(0)
    first, last = [i for i, side in enumerate(sides) if side == 0], [i for i, side in enumerate(sides) if side == 1]
    types = None
    if "token_type_ids" in encoded:
        kinds = encoded["token_type_ids"]
        types = (kinds[0], kinds[first[0]], kinds[last[0] - 1], kinds[last[0]], kinds[-1])
    between = ids[first[-1] + 1 : last[0]]
    return PairTemplate(ids[: first[0]], between, ids[last[-1] + 1 :], int(mark[0]), chosen, types)


def encode_pairs(
    tokenizer: Any, src: Sentences, tgt: Sentences, template: PairTemplate, max_length: int
) -> EncodedPairs:
    """Tokenises both sides once. Where a pair has more than ``max_length`` subwords, its longer sentence is cut first.

    Raises:
        ConfigError: ``max_length`` leaves no room for two words.
    """
    room = max_length - template.extra
    if room < 2:
        raise ConfigError(f"max_length = {max_length} is impossible; a pair takes {template.extra + 2} at least")
    bare = partial(tokenizer, add_special_tokens=False)
    sides = []
    for sentences in (src, tgt):
        made = [spans_of_words([nfc(word) for word in sentence]) for sentence in sentences]
        sides.append(_filled(encode_texts(bare, [text for text, _ in made], room, [spans for _, spans in made])))
    left, right = sides[0].lengths, sides[1].lengths
    kept_right = np.minimum(right, np.maximum(room // 2, room - left))
    kept_left = np.minimum(left, room - kept_right)
    a, b = _shortened(sides[0], kept_left), _shortened(sides[1], kept_right)
    return EncodedPairs((a, b), template, a.cut_words + b.cut_words)


def _filled(texts: EncodedTexts) -> EncodedTexts:
    """Subwords of no word given to the word of the next that has one, within a sentence."""
    end = len(texts.words)
    following = np.where(texts.words >= 0, np.arange(end), end)
    following = np.minimum.accumulate(following[::-1])[::-1]
    ends = np.repeat(texts.offsets[1:], texts.lengths)
    words = np.where(following < ends, np.append(texts.words, -1)[following], -1).astype(np.int32)
    return EncodedTexts(texts.ids, texts.offsets, words, texts.word_counts, texts.cut_words)


def _shortened(texts: EncodedTexts, kept: Array) -> EncodedTexts:
    """The first ``kept`` subwords of each sentence; words left without any are counted as cut."""
    if np.array_equal(kept, texts.lengths):
        return texts
    inside = np.arange(len(texts.ids)) - np.repeat(texts.offsets[:-1], texts.lengths) < np.repeat(kept, texts.lengths)
    counted = [_count_words(texts, where) for where in (np.ones_like(inside), inside)]
    offsets = np.concatenate([[0], np.cumsum(kept)])
    cut = texts.cut_words + counted[0] - counted[1]
    return EncodedTexts(texts.ids[inside], offsets, texts.words[inside], texts.word_counts, cut)


def _count_words(texts: EncodedTexts, where: Array) -> int:
    """Words that have a subword among those chosen."""
    sentence = np.repeat(np.arange(len(texts)), texts.lengths)
    words = texts.words[where].astype(np.int64)
    return len(np.unique((sentence[where] * (1 << 31) + words)[words >= 0]))


def marked_words(pairs: EncodedPairs) -> Marked:
    """Every word of both sides that has a subword, source sides first."""
    columns: list[list[Array]] = [[] for _ in range(5)]
    for side, texts in enumerate(pairs.sides):
        sentence = np.repeat(np.arange(len(texts)), texts.lengths)
        new = np.ones(len(texts.ids), dtype=bool)
        new[1:] = (np.diff(sentence) != 0) | (np.diff(texts.words) != 0)
        first = np.flatnonzero(new)
        stop = np.append(first[1:], len(texts.ids))[texts.words[first] >= 0]
        first = first[texts.words[first] >= 0]
        begin = texts.offsets[:-1][sentence[first]]
        found = (sentence[first], np.full(len(first), side), texts.words[first], first - begin, stop - begin)
        for column, values in zip(columns, found, strict=True):
            column.append(values.astype(np.int64))
    pair, side_of, word, start, stop = (np.concatenate(column) for column in columns)
    whole = pairs.sides[0].lengths + pairs.sides[1].lengths + pairs.template.extra
    return Marked(pair, side_of, word, start, stop, whole[pair])


def assemble(pairs: EncodedPairs, marked: Marked, rows: Array, pad: int) -> MarkedBatch:
    """The padded batch of the marked words ``rows``: every subword is fetched from one flat array of all parts."""
    template, (src, tgt) = pairs.template, pairs.sides
    parts = [src.ids, tgt.ids, template.before, template.between, template.after, np.array([template.marker])]
    begin = np.concatenate([[0], np.cumsum([len(part) for part in parts])])
    pair, side = marked.pair[rows], marked.side[rows]
    body, other = (_body(pairs, pair, s, begin) for s in (side, 1 - side))
    start, stop, n = marked.start[rows], marked.stop[rows], len(rows)
    mark, one = np.full(n, begin[5]), np.ones(n, dtype=np.int64)
    segments = [
        (np.full(n, begin[2]), one * len(template.before)),
        (body[0], start),
        (mark, one),
        (body[0] + start, stop - start),
        (mark, one),
        (body[0] + stop, body[1] - stop),
        (np.full(n, begin[3]), one * len(template.between)),
        other,
        (np.full(n, begin[4]), one * len(template.after)),
    ]
    starts, lengths = (np.stack(values, axis=1).reshape(-1) for values in zip(*segments, strict=True))
    ends = np.cumsum(lengths)
    flat = np.repeat(starts - (ends - lengths), lengths) + np.arange(int(ends[-1]))
    segment = np.repeat(np.tile(np.arange(SEGMENTS), n), lengths)
    whole = lengths.reshape(n, SEGMENTS).sum(1)
    inside = np.arange(int(whole.max())) < whole[:, None]
    ids = np.full(inside.shape, pad, dtype=np.int64)
    ids[inside] = np.concatenate(parts)[flat]
    inputs = {"input_ids": ids, "attention_mask": inside.astype(np.int64)}
    if template.types is not None:
        before, first, between, second, after = template.types
        kinds = np.array([before, *[first] * 5, between, second, after])
        inputs["token_type_ids"] = np.zeros(inside.shape, dtype=np.int64)
        inputs["token_type_ids"][inside] = kinds[segment]
    words = np.concatenate([src.words, tgt.words])
    judged = segment == SECOND_SENTENCE
    judged[judged] = words[flat[judged]] >= 0
    row = np.repeat(np.arange(n), whole)[judged]
    cells = _cells(pairs, pair[row], side[row], marked.word[rows][row], words[flat[judged]].astype(np.int64))
    positions = np.flatnonzero(inside.reshape(-1))[judged]
    return MarkedBatch({k: torch.from_numpy(v) for k, v in inputs.items()}, torch.from_numpy(positions), cells)


def _body(pairs: EncodedPairs, pair: Array, side: Array, begin: Array) -> tuple[Array, Array]:
    """Where the sentences of some pairs and sides begin in the flat array, and their lengths."""
    offsets = np.stack([texts.offsets for texts in pairs.sides])
    return offsets[side, pair] + begin[side], offsets[side, pair + 1] - offsets[side, pair]


def _cells(pairs: EncodedPairs, pair: Array, side: Array, marked: Array, judged: Array) -> Array:
    """Index of (side, pair, i, j), where i and j are the marked and the judged word, or the other way round."""
    i, j = np.where(side == 0, marked, judged), np.where(side == 0, judged, marked)
    cells = pairs.cells
    index: Array = side * cells[-1] + cells[pair] + i * pairs.sides[1].word_counts[pair].astype(np.int64) + j
    return index
