"""Training of statistical word alignment models: expectation maximisation of both directions side by side. No torch.

How tables of t(made | given) come from expected counts n:

- ``variational``: exp(ψ(n + α) − ψ(Σn + α·K)), K the words seen beside the given one (Dyer et al. 2013, section 3.3).
- ``collapsed``: (n' + α) / (Σn' + α·V) with the word's own expectation taken out of n' (zero-order collapsed
  variational Bayes: Asuncion et al. 2009, UAI, equation 23). It is the deterministic relative of the collapsed Gibbs
  sampling of eflomal (Östling & Tiedemann 2016), and keeps rare words from attracting whatever stands beside them.

With agreement, links are expected as often as the product of both directions' posteriors says (Liang, Taskar & Klein
2006, "Alignment by agreement", section 3.2); NULL and steps as often as each direction says.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from xrealign.align.em import (
    WIDEST,
    Array,
    Batch,
    Places,
    Posterior,
    co_occurrences,
    distances,
    fit_tension,
    make_batches,
    posterior,
)

FLOOR = 1e-12  # what a variational table says of words never seen together


@dataclass(frozen=True, slots=True)
class Model:
    """A model by its parts.

    Attributes:
        stages: kind of `xrealign.align.em.posterior` and number of iterations, in their order.
        estimate: ``variational`` or ``collapsed``.
        agree: the directions agree in the last stage.
        concentration: α.
        null: probability of NULL.
        step: pseudo-count of every step width.
    """

    stages: tuple[tuple[str, int], ...]
    estimate: str = "collapsed"
    agree: bool = False
    concentration: float = 0.001
    null: float = 0.2
    step: float = 0.5


@dataclass(frozen=True, slots=True)
class Table:
    """Lexical probabilities of one direction.

    Attributes:
        seen: of each co-occurrence. *Shape:* (N,)
        unseen: of any other made word, by given word; the last is for an unknown given word. *Shape:* (V + 1,)
        null: of each made word given NULL; the last is for an unknown one. *Shape:* (V + 1,)
    """

    seen: Array
    unseen: Array
    null: Array

    def of(self, batch: Batch, reverse: bool) -> tuple[Array, Array]:
        """t(made | given) and t(made | NULL) of a batch. *Shape:* (B, I, J), (B, J)"""
        cells, given, made = sides(batch, reverse)
        if not len(self.seen):
            return np.broadcast_to(self.unseen[given][:, :, None], cells.shape), self.null[made]
        known = cells < len(self.seen)
        lexical = np.where(known, self.seen[np.where(known, cells, 0)], self.unseen[given][:, :, None])
        return lexical, self.null[made]


@dataclass(frozen=True, slots=True)
class Fitted:
    """What training found: co-occurrences, and for both directions (tgt from src, src from tgt) a table, the places
    and the perplexity of every iteration."""

    keys: Array
    tables: tuple[Table, Table]
    places: tuple[Places, Places]
    perplexity: tuple[list[float], list[float]]


@dataclass
class _Counts:
    """Expected counts of one direction: of co-occurrences (N + 1,), given words and made words of NULL (V + 1,); the
    last of each is padding's, 0."""

    pairs: Array
    given: Array
    null: Array


@dataclass
class _Sums:
    """What an iteration adds up in one direction: counts, steps, log-likelihood, posterior distances."""

    counts: _Counts
    jumps: Array
    log: float = 0.0
    apart: float = 0.0


def sides(batch: Batch, reverse: bool) -> tuple[Array, Array, Array]:
    """cells (B, I, J), given words and made words; ``reverse``: the source is made from the target."""
    return (batch.cells.transpose(0, 2, 1), batch.tgt, batch.src) if reverse else (batch.cells, batch.src, batch.tgt)


def fit(model: Model, src: Sequence[Array], tgt: Sequence[Array], words: tuple[int, int]) -> Iterator[Fitted | None]:
    """Fits a model; yields None after every iteration but the last, then what it found.

    Args:
        src, tgt: word numbers of each sentence; none is empty.
        words: how many words either side has.
    """
    keys = co_occurrences(src, tgt, words[1])
    of_pair = ((keys // words[1]).astype(np.int32), (keys % words[1]).astype(np.int32))
    batches = list(make_batches(src, tgt, keys, words[1]))
    lengths = np.array([[len(s) for s in src], [len(t) for t in tgt]], dtype=np.int64)
    distinct, often = np.unique(lengths, axis=1, return_counts=True)
    own: list[list[tuple[Any, Any]]] = [[(0.0, 0.0)] * 2 for _ in batches]
    counts = [_Counts(np.zeros(len(keys) + 1), np.zeros(words[k] + 1), np.zeros(words[1 - k] + 1)) for k in (0, 1)]
    places = [Places(4.0, np.ones(2 * WIDEST + 1), model.null) for _ in (0, 1)]
    tables: list[Table | None] = [None, None]
    perplexity: tuple[list[float], list[float]] = ([], [])
    schedule = list(chain.from_iterable([kind] * often for kind, often in model.stages))
    for iteration, kind in enumerate(schedule):
        agree = model.agree and kind == model.stages[-1][0]
        sums = [_Sums(_Counts(*map(np.zeros_like, (c.pairs, c.given, c.null))), np.full(2 * WIDEST + 1, model.step))
                for c in counts]  # fmt: skip
        for number, batch in enumerate(batches):
            made = []
            for k, table in enumerate(tables):
                lexical = (
                    table.of(batch, bool(k)) if table else _without_own(counts[k], batch, k, model, own[number][k])
                )
                made.append(posterior(kind, *lexical, batch.lengths[k], batch.lengths[1 - k], places[k]))
            expected = _expected(made, agree)
            for k in (0, 1):
                _add(sums[k], batch, k, made[k], expected[k], kind)
                if model.estimate == "collapsed":
                    own[number][k] = (expected[k], made[k].null.astype(np.float32))
        for k in (0, 1):
            counts[k] = sums[k].counts
            counts[k].given[:-1] = np.bincount(of_pair[k], counts[k].pairs[:-1], words[k])
            total = float(lengths[1 - k].sum())
            perplexity[k].append(math.exp(-sums[k].log / total))
            tension = places[k].tension
            if kind == "diagonal" and iteration:
                tension = fit_tension(tension, sums[k].apart / total, distinct[[k, 1 - k]], often)
            places[k] = Places(tension, sums[k].jumps if kind == "jump" else places[k].jumps, model.null)
            if model.estimate == "variational":
                tables[k] = _variational(counts[k], of_pair[k], model.concentration)
        if iteration + 1 < len(schedule):
            yield None
    last = [table or _collapsed(counts[k], of_pair[k], model.concentration) for k, table in enumerate(tables)]
    yield Fitted(keys, (last[0], last[1]), (places[0], places[1]), perplexity)


def _add(sums: _Sums, batch: Batch, k: int, made: Posterior, expected: Array, kind: str) -> None:
    cells, _, word = sides(batch, bool(k))
    # add.at is twenty times as fast when nothing has to be cast
    np.add.at(sums.counts.pairs, cells.ravel(), expected.ravel().astype(np.float64))
    np.add.at(sums.counts.null, word.ravel(), made.null.ravel())
    sums.log += made.log
    if made.jumps is not None:
        sums.jumps += made.jumps
    if kind == "diagonal":
        far = distances(batch.lengths[k], batch.lengths[1 - k], cells.shape)
        sums.apart += float((made.links * far).sum())


def _expected(made: list[Posterior], agree: bool) -> tuple[Array, Array]:
    """Expected links of both directions, float32 as they are kept; with agreement one array, seen from both sides."""
    if agree:
        product = (made[0].links * made[1].links.transpose(0, 2, 1)).astype(np.float32)
        return product, product.transpose(0, 2, 1)
    return made[0].links.astype(np.float32), made[1].links.astype(np.float32)


def _without_own(counts: _Counts, batch: Batch, k: int, model: Model, own: tuple[Array, Array]) -> tuple[Array, Array]:
    cells, given, made = sides(batch, bool(k))
    alpha = model.concentration or 1.0  # before the first iteration: all words alike
    whole = alpha * (len(counts.null) - 1)
    lexical = np.maximum(counts.pairs[cells] - own[0], 0) + alpha
    lexical /= np.maximum(counts.given[given][:, :, None] - own[0], 0) + whole
    null = np.maximum(counts.null[made] - own[1], 0) + alpha
    return lexical, null / (np.maximum(counts.null.sum() - own[1], 0) + whole)


def _collapsed(counts: _Counts, of_pair: Array, alpha: float) -> Table:
    whole = alpha * (len(counts.null) - 1)
    seen = (counts.pairs[:-1] + alpha) / (counts.given[of_pair] + whole)
    return Table(seen, alpha / (counts.given + whole), (counts.null + alpha) / (counts.null.sum() + whole))


def _variational(counts: _Counts, of_pair: Array, alpha: float) -> Table:
    """With α = 0: relative frequencies (maximum likelihood)."""
    from scipy.special import digamma

    kinds = np.bincount(of_pair, minlength=len(counts.given))
    totals, null = counts.given, counts.null[:-1]
    if alpha:
        seen = np.exp(digamma(counts.pairs[:-1] + alpha) - digamma(totals + alpha * np.maximum(kinds, 1))[of_pair])
        alone = np.exp(digamma(null + alpha) - digamma(null.sum() + alpha * len(null)))
    else:
        seen = counts.pairs[:-1] / np.maximum(totals, FLOOR)[of_pair]
        alone = null / max(float(null.sum()), FLOOR)
    unseen = np.full(len(totals), FLOOR)
    return Table(np.maximum(seen, FLOOR), unseen, np.append(np.maximum(alone, FLOOR), FLOOR))
