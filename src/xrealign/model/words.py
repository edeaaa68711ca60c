"""From text to subwords to word vectors, without a Python loop over words.

Tokenised once into flat arrays (`EncodedTexts`), cut into padded batches (`TextBatch`) whose index tensors are
made on the host, so that pooling on the device is one gather or one segment sum and never waits for the host.

*Shapes:* S sentences, T subwords, W words, K pooled subwords, D dims.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xrealign.errors import ConfigError
from xrealign.language import Language
from xrealign.segment import find_spans, rule_of

WORD_POOLINGS = ("first", "mean", "sum")


@dataclass(frozen=True)
class EncodedTexts:
    """Tokenised sentences, flat.

    Attributes:
        ids: subword ids of all sentences, special ones included. *Shape:* (ΣT,)
        offsets: sentence s has ``ids[offsets[s]:offsets[s + 1]]``. *Shape:* (S + 1,)
        words: index of the word a subword belongs to within its sentence, -1 for none. *Shape:* (ΣT,)
        word_counts: words of each sentence before truncation. *Shape:* (S,)
        cut_words: words lost to truncation, over all sentences.
    """

    ids: np.ndarray[Any, Any]
    offsets: np.ndarray[Any, Any]
    words: np.ndarray[Any, Any]
    word_counts: np.ndarray[Any, Any]
    cut_words: int

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray[Any, Any]:
        """Subwords of each sentence, special ones included. *Shape:* (S,)"""
        return np.diff(self.offsets)


@dataclass(frozen=True)
class TextBatch:
    """A padded batch and where its words are.

    Attributes:
        inputs: ``input_ids`` and ``attention_mask``. *Shape:* (S, T)
        positions: places of pooled subwords in the flattened (S·T) batch, in order of words. *Shape:* (K,)
        segments: the row of `word_of` that each of them belongs to. *Shape:* (K,)
        sizes: subwords of each word. *Shape:* (W, 1)
        sentence: sentence of each word. *Shape:* (W,)
        word: index of each word within its sentence. *Shape:* (W,)
        firsts: place of each word's first subword. *Shape:* (W,)
    """

    inputs: dict[str, Tensor]
    positions: Tensor
    segments: Tensor
    sizes: Tensor
    sentence: Tensor
    word: Tensor
    firsts: Tensor

    def to(self, device: torch.device) -> TextBatch:
        """The batch on ``device``."""
        moved = {k: v.to(device, non_blocking=True) for k, v in self.__dict__.items() if k != "inputs"}
        inputs = {k: v.to(device, non_blocking=True) for k, v in self.inputs.items()}
        return TextBatch(inputs=inputs, **moved)


def word_spans(texts: Sequence[str], language: Language, tokenizer: Any) -> list[np.ndarray[Any, Any]]:
    """Words of each text as (W, 2) character spans: `find_spans`, or the tokenizer's subwords where it has no rule."""
    if rule_of(language) != "none":
        return [find_spans(text, language) for text in texts]
    if not texts:
        return []  # which a tokenizer refuses
    encodings = tokenizer(list(texts), add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    spans = []
    for text, pairs in zip(texts, encodings, strict=True):
        kept = [(end - len(text[start:end].lstrip()), end) for start, end in pairs if text[start:end].strip()]
        rows = np.array(kept, dtype=np.int32).reshape(-1, 2)
        # Subwords that share characters (a lone word mark, the bytes of one character) make one word.
        spans.append(rows[np.append(rows[1:, 0] >= rows[:-1, 1], True)[: len(rows)]])
    return spans


def encode_texts(
    tokenizer: Any,
    texts: Sequence[str],
    max_length: int,
    spans: Sequence[np.ndarray[Any, Any]] | None = None,
) -> EncodedTexts:
    """Tokenises sentences once. A subword belongs to the word that holds its last character.

    Args:
        max_length: longest sentence in subwords, special ones included; the rest is cut and counted.
        spans: words of each sentence (`word_spans`); without them no word indices are made.
    """
    if not texts:  # which a tokenizer refuses
        none = np.zeros(0, dtype=np.int32)
        return EncodedTexts(none, np.zeros(1, dtype=np.int64), none, none, 0)
    encoded = tokenizer(list(texts), truncation=True, max_length=max_length, return_offsets_mapping=spans is not None)
    rows = encoded["input_ids"]
    lengths = np.fromiter((len(row) for row in rows), dtype=np.int64, count=len(rows))
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    ids = np.fromiter((i for row in rows for i in row), dtype=np.int32, count=int(offsets[-1]))
    words = np.full(len(ids), -1, dtype=np.int32)
    counts = np.zeros(len(rows), dtype=np.int32)
    if spans is None:
        return EncodedTexts(ids, offsets, words, counts, 0)
    cut = 0
    for s, (span, pairs) in enumerate(zip(spans, encoded["offset_mapping"], strict=True)):
        counts[s] = len(span)
        if not len(span):
            continue
        kept = _words_of(pairs, span)
        words[offsets[s] : offsets[s + 1]] = kept
        rest = [_words_of(more.offsets, span) for more in encoded.encodings[s].overflowing]
        if rest:
            cut += len(np.setdiff1d(np.concatenate(rest), [*kept, -1]))
    return EncodedTexts(ids, offsets, words, counts, cut)


def _words_of(pairs: Sequence[tuple[int, int]], span: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """For each subword, by its characters (start, end), the word that holds its last one, or -1."""
    places = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    last = places[:, 1] - 1
    word = np.searchsorted(span[:, 0], last, side="right") - 1
    inside = (places[:, 1] > places[:, 0]) & (word >= 0) & (last < span[np.maximum(word, 0), 1])
    return np.where(inside, word, -1)


def make_batch(parts: Sequence[tuple[EncodedTexts, np.ndarray[Any, Any]]], pad: int) -> TextBatch:
    """One padded batch of the chosen sentences of one or more `EncodedTexts`, in the order given."""
    lengths = np.concatenate([texts.lengths[rows] for texts, rows in parts])
    width = int(lengths.max(initial=1))
    inside = np.arange(width) < lengths[:, None]  # (S, T)
    ids = np.full(inside.shape, pad, dtype=np.int64)
    words = np.full(inside.shape, -1, dtype=np.int64)
    flat = [_gather(texts, rows) for texts, rows in parts]
    ids[inside] = np.concatenate([texts.ids[f] for (texts, _), f in zip(parts, flat, strict=True)])
    words[inside] = np.concatenate([texts.words[f] for (texts, _), f in zip(parts, flat, strict=True)])
    sentence, column = np.nonzero(words >= 0)
    word = words[sentence, column]
    positions = sentence * width + column
    key = sentence * (int(words.max(initial=0)) + 1) + word
    _, first, segments, sizes = np.unique(key, return_index=True, return_inverse=True, return_counts=True)
    return TextBatch(
        inputs={"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(inside.astype(np.int64))},
        positions=torch.from_numpy(positions),
        segments=torch.from_numpy(segments.reshape(-1)),
        sizes=torch.from_numpy(sizes.astype(np.float32))[:, None],
        sentence=torch.from_numpy(sentence[first]),
        word=torch.from_numpy(word[first]),
        firsts=torch.from_numpy(positions[first]),
    )


def _gather(texts: EncodedTexts, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Places in the flat arrays of all subwords of the sentences ``rows``, in order."""
    lengths = texts.lengths[rows]
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]) if len(rows) else np.zeros(0, dtype=np.int64)
    return np.repeat(texts.offsets[rows] - starts, lengths) + np.arange(int(lengths.sum()))


def pool_words(hidden: Tensor, batch: TextBatch, how: str = "mean") -> Tensor:
    """Word vectors, *Shape:* (W, D), from states (S, T, D): first subword, or mean or sum over subwords.

    ``first`` is the published default of Gaschi et al. (2023, arXiv 2306.02790), ``sum`` their alternative.

    Raises:
        ConfigError: ``how`` is none of the three.
    """
    flat = hidden.reshape(-1, hidden.shape[-1])
    if how == "first":
        return flat.index_select(0, batch.firsts)
    if how not in WORD_POOLINGS:
        raise ConfigError(f"pooling = {how!r} is unknown; expected one of {', '.join(WORD_POOLINGS)}")
    summed = flat.new_zeros(len(batch.firsts), flat.shape[-1])
    summed = summed.index_add(0, batch.segments, flat.index_select(0, batch.positions))
    return summed if how == "sum" else summed / batch.sizes.to(summed.dtype)


def pool_sentences(hidden: Tensor, mask: Tensor) -> Tensor:
    """Mean over the subwords of each sentence, special ones included. *Shape:* (S, T, D), (S, T) → (S, D)"""
    summed = torch.bmm(mask[:, None, :].to(hidden.dtype), hidden)[:, 0]
    return summed / mask.sum(1, keepdim=True).to(hidden.dtype)


def pool_first(hidden: Tensor) -> Tensor:
    """State of the first subword of each sentence, the tokenizer's ``[CLS]`` or ``<s>``. *Shape:* (S, T, D) → (S, D)"""
    return hidden[:, 0]


def mean_words(words: Tensor, batch: TextBatch, sentences: int) -> Tensor:
    """Mean of the word vectors of each sentence: one vector per word, however many subwords it has. → (S, D)

    A sentence without words has a vector of zeros.
    """
    summed = words.new_zeros(sentences, words.shape[-1]).index_add(0, batch.sentence, words)
    counts = words.new_zeros(sentences).index_add(0, batch.sentence, words.new_ones(len(words)))
    return summed / counts.clamp(min=1)[:, None]


def batch_subwords(device: torch.device) -> int:
    """Subwords of a batch that needs no gradients: on a CPU as many as its caches hold, on a GPU enough to fill it.

    On a CPU 512 subwords at a time take two thirds of the time of 4,096 (``benchmarks/evaluate_speed.py --subwords``).
    """
    return 512 if device.type == "cpu" else 8192


def length_batches(lengths: np.ndarray[Any, Any], subwords: int) -> list[np.ndarray[Any, Any]]:
    """Sentence indices in batches of similar length, each at most ``subwords`` with padding; longest first."""
    order = np.argsort(-lengths, kind="stable")
    batches, start = [], 0
    while start < len(order):
        size = max(1, subwords // max(1, int(lengths[order[start]])))
        batches.append(order[start : start + size])
        start += size
    return batches
