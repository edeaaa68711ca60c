"""Posteriors of word alignment models, a batch of sentence pairs at a time, without loops over words. No torch.

In one direction every *made* word chooses one word of the *given* sentence, or none (NULL). What a choice is worth is
the product of a lexical probability t(made | given) and the probability of the place chosen:

- ``uniform``: all places alike (IBM model 1, Brown et al. 1993, Computational Linguistics 19(2)).
- ``diagonal``: exp(−λ·|i/I − j/J|), λ fitted (Dyer, Chahuneau & Smith 2013, "fast_align", equations 2 and 3).
- ``jump``: the width of the step from the place chosen before decides (hidden Markov model, Vogel, Ney & Tillmann
  1996); NULL remembers the place before it (Och & Ney 2003, section 2.1.2). Departures: the first step starts before
  the first word and shares the widths' weights, and steps wider than `WIDEST` count as `WIDEST`.

*Shapes:* B pairs; I and J places of the given and the made side, padded; N co-occurrences, the distinct pairs of words
that stand in one sentence pair; V words of a side. Everything is float64.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
WIDEST = 100
CELLS = 1 << 18  # of padded (i, j) in a batch


@dataclass(frozen=True, slots=True)
class Batch:
    """Some sentence pairs: their ``rows``; words ``src`` (B, I) and ``tgt`` (B, J), −1 in padding and where unknown;
    ``lengths`` (2, B); ``cells`` (B, I, J), places among the co-occurrences, N where there is none."""

    rows: Array
    src: Array
    tgt: Array
    lengths: Array
    cells: Array


@dataclass(frozen=True, slots=True)
class Posterior:
    """For each made word, ``links`` (B, I, J) and ``null`` (B, J) sum to 1 over I and NULL; 0 in padding.

    Attributes:
        log: natural log-likelihood of all made words.
        jumps: expected counts of step widths −WIDEST … WIDEST, of the hidden Markov model.
    """

    links: Array
    null: Array
    log: float
    jumps: Array | None = None


@dataclass(frozen=True, slots=True)
class Places:
    """What is known about places in one direction: λ, weights of step widths (2·WIDEST + 1,), and the probability of
    NULL."""

    tension: float
    jumps: Array
    null: float


def co_occurrences(src: Sequence[Array], tgt: Sequence[Array], tgt_words: int) -> Array:
    """src · tgt_words + tgt of every pair of words in one sentence pair: sorted, distinct, int64. *Shape:* (N,)"""
    found: list[Array] = []
    waiting = 0
    for s, t in zip(src, tgt, strict=True):
        found.append((np.unique(s)[:, None].astype(np.int64) * tgt_words + np.unique(t)).ravel())
        waiting += len(found[-1])
        if waiting > 1 << 24:
            found, waiting = [np.unique(np.concatenate(found))], 0
    return np.unique(np.concatenate(found)) if found else np.zeros(0, dtype=np.int64)


def find_cells(keys: Array, tgt_words: int, src: Array, tgt: Array) -> Array:
    """Places in ``keys`` of all pairs of words of sentence pairs, int32, N where there is none. *Shape:* (B, I, J)"""
    left, right = src[:, :, None].astype(np.int64), tgt[:, None, :]
    wanted = np.where((left >= 0) & (right >= 0), left * tgt_words + right, -1)
    if not len(keys):
        return np.zeros(wanted.shape, dtype=np.int32)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, place, len(keys)).astype(np.int32)


def make_batches(src: Sequence[Array], tgt: Sequence[Array], keys: Array, tgt_words: int) -> Iterator[Batch]:
    """Pairs of like lengths together, at most `CELLS` padded cells in a batch (but one pair at least).

    Args:
        src, tgt: word numbers of each sentence, −1 for an unknown word; no sentence is empty.
        keys: as `co_occurrences` makes them.
    """
    lengths = np.array([[len(s) for s in src], [len(t) for t in tgt]], dtype=np.int64).reshape(2, -1)
    order = np.lexsort((lengths[1], lengths[0]))
    start = 0
    while start < len(order):
        size, widest = 1, lengths[:, order[start]]
        while start + size < len(order):
            wider = np.maximum(widest, lengths[:, order[start + size]])
            if int(wider.prod()) * (size + 1) > CELLS:
                break
            size, widest = size + 1, wider
        rows = order[start : start + size]
        start += size
        words = [_padded([side[r] for r in rows], int(n)) for side, n in zip((src, tgt), widest, strict=True)]
        yield Batch(rows, words[0], words[1], lengths[:, rows], find_cells(keys, tgt_words, words[0], words[1]))


def _padded(sentences: Sequence[Array], width: int) -> Array:
    padded = np.full((len(sentences), width), -1, dtype=np.int32)
    for row, sentence in zip(padded, sentences, strict=True):
        row[: len(sentence)] = sentence
    return padded


def posterior(kind: str, lexical: Array, null: Array, given: Array, made: Array, places: Places) -> Posterior:
    """Who chose whom, in one direction.

    Args:
        kind: ``uniform``, ``diagonal`` or ``jump``.
        lexical, null: t(made | given) and t(made | NULL), above 0 except in padding. *Shape:* (B, I, J), (B, J)
        given, made: lengths of both sides. *Shape:* (B,)
    """
    lexical = lexical * (np.arange(lexical.shape[1]) < given[:, None])[:, :, None]
    if kind == "jump":
        return _jump(lexical, null, given, made, places)
    place = (1 / given)[:, None, None]
    if kind == "diagonal":
        place = diagonal(given, made, places.tension, lexical.shape)
    share = (1 - places.null) * place * lexical
    alone = places.null * null
    total = share.sum(1) + alone
    real = np.arange(lexical.shape[2]) < made[:, None]
    total = np.where(real, total, 1.0)
    return Posterior(share / total[:, None] * real[:, None], alone / total * real, float(np.log(total).sum()))


def distances(given: Array, made: Array, shape: tuple[int, ...]) -> Array:
    """|i/I − j/J|, places counted from 1; 0 in padding. *Shape:* (B, I, J)"""
    i, j = (np.arange(1, size + 1) for size in shape[1:])
    apart = np.abs((i / given[:, None])[:, :, None] - (j / made[:, None])[:, None, :])
    inside: Array = (i <= given[:, None])[:, :, None] & (j <= made[:, None])[:, None, :]
    return apart * inside


def diagonal(given: Array, made: Array, tension: float, shape: tuple[int, ...]) -> Array:
    """exp(−λ·distance) over its sum over the given side. *Shape:* (B, I, J)"""
    inside = (np.arange(shape[1]) < given[:, None])[:, :, None]
    weight: Array = np.exp(-tension * distances(given, made, shape)) * inside
    share: Array = weight / weight.sum(1, keepdims=True)
    return share


def fit_tension(tension: float, mean: float, lengths: Array, counts: Array) -> float:
    """λ after eight gradient steps towards the observed mean distance, within 0.1 … 14, as fast_align's program does.

    Args:
        mean: posterior mean of the distance over all made words, NULL counting 0.
        lengths: distinct lengths of the given and the made side. *Shape:* (2, L)
        counts: how many sentence pairs have them. *Shape:* (L,)
    """
    words = float((lengths[1] * counts).sum())
    pieces = np.array_split(np.lexsort(lengths[::-1]), 1 + int(lengths.prod(0).sum()) // CELLS)
    for _ in range(8):
        expected = 0.0
        for piece in pieces:
            given, made = lengths[:, piece]
            shape = (len(piece), int(given.max(initial=1)), int(made.max(initial=1)))
            apart = distances(given, made, shape) * diagonal(given, made, tension, shape)
            expected += float((apart.sum((1, 2)) * counts[piece]).sum())
        tension = float(np.clip(tension - 20 * (mean - expected / words), 0.1, 14))
    return tension


def _jump(lexical: Array, null: Array, given: Array, made: Array, places: Places) -> Posterior:
    """Forward and backward over the made words, scaled. A state is a place of the given side, 0 before its first word.

    The sum over next places depends on the state alone and is divided out first, so that one matrix of weights
    serves all pairs of the batch, whatever their lengths.
    """
    pairs, width, height = lexical.shape
    states = np.arange(width + 1)
    steps = np.clip(states - states[:, None], -WIDEST, WIDEST) + WIDEST  # from a row to a column
    weight = places.jumps[steps]
    weight[:, 0] = 0
    total = np.cumsum(weight, axis=1)[:, given].T  # (B, I + 1): over places 1 … I of each pair
    emit = np.zeros((height, pairs, width + 1))
    emit[:, :, 1:] = (1 - places.null) * lexical.transpose(2, 0, 1)
    alone = places.null * null.T  # (J, B)
    real = np.arange(height)[:, None] < made
    before = np.zeros((height + 1, pairs, width + 1))
    before[0, :, 0] = 1
    chosen, norms = np.zeros_like(emit), np.ones((height, pairs))
    for j in range(height):
        chosen[j] = ((before[j] / total) @ weight) * emit[j]
        silent = alone[j, :, None] * before[j]
        norms[j] = np.where(real[j], chosen[j].sum(1) + silent.sum(1), 1.0)
        chosen[j] /= norms[j, :, None]
        before[j + 1] = chosen[j] + silent / norms[j, :, None]
    after = np.ones_like(emit)
    coming = np.zeros_like(emit)  # what a step into word j is worth, by place
    for j in range(height - 1, -1, -1):
        coming[j] = emit[j] * after[j] / norms[j, :, None] * real[j, :, None]
        if j:
            back = (coming[j] @ weight.T) / total + alone[j, :, None] / norms[j, :, None] * after[j]
            after[j - 1] = np.where(real[j, :, None], back, 1.0)
    links = (chosen * after * real[:, :, None])[:, :, 1:].transpose(1, 2, 0)
    silence = (before[:-1] * after).sum(2) * alone / norms * real
    taken = (before[:-1] / total).reshape(-1, width + 1).T @ coming.reshape(-1, width + 1) * weight
    jumps = np.bincount(steps.ravel(), taken.ravel(), 2 * WIDEST + 1)
    return Posterior(links, silence.T, float(np.log(norms).sum()), jumps)
