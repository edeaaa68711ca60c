"""Finding translations among sentences most of which have none, as in the BUCC task (Zweigenbaum et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from xrealign.errors import DataError
from xrealign.measure.measured import Measured, measured
from xrealign.measure.nearest import nearest, neighbour_means
from xrealign.measure.retrieval import unit

Array = np.ndarray[Any, Any]
NEIGHBOURS = 4  # k of Artetxe & Schwenk 2019
FEWEST = 12  # sentence pairs: fewer leave no translation in one of the halves


@dataclass(frozen=True)
class Mined:
    """Candidate pairs, best first, each sentence in at most one.

    Attributes:
        src, tgt: rows. *Shape:* (C,), (C,)
        scores: ratio margins, falling. *Shape:* (C,)
    """

    src: Array
    tgt: Array
    scores: Array


@dataclass(frozen=True)
class MiningTask:
    """Which sentences of a bitext are there to be mined. *Shapes:* any number of rows each

    Attributes:
        src, tgt: rows of the bitext whose source (target) sentence is there.
        pairs: rows of which both are: what should be found.
    """

    src: Array
    tgt: Array
    pairs: Array


def mine(src: Array, tgt: Array, k: int = NEIGHBOURS) -> Mined:
    """Candidates by ratio margin, from both sides (Artetxe & Schwenk 2019, arXiv 1811.01136, eq. 2 and "max. score").

    margin(x, y) = cos(x, y) / (½·mean cosine of x to its k nearest + ½·mean cosine of y to its k nearest). Each
    sentence's best partner is a candidate; the best candidate is taken, its sentences are gone, and so on. Sentences
    of which that divisor is not above 0 have no margin and are never candidates.

    *Shape:* (N, D), (M, D)
    """
    left, right = unit(src), unit(tgt)
    place_left, best_left, place_right, best_right = nearest(left, right, *neighbour_means(left, right, k))
    i = np.concatenate([np.arange(len(left)), place_right])
    j = np.concatenate([place_left, np.arange(len(right))])
    scores = np.concatenate([best_left, best_right])
    order = np.lexsort((j, i, -scores))
    taken_left, taken_right = np.zeros(len(left), dtype=bool), np.zeros(len(right), dtype=bool)
    kept = []
    for at in order[scores[order] > -np.inf].tolist():
        if not (taken_left[i[at]] or taken_right[j[at]]):
            taken_left[i[at]] = taken_right[j[at]] = True
            kept.append(at)
    return Mined(i[kept], j[kept], scores[kept])


def best_threshold(scores: Array, right: Array, wanted: int) -> float:
    """The score from which on candidates should be taken for the highest F1: midway to the next one below.

    −inf where all should be; +inf where none is right. Of equal F1 the highest threshold.

    Args:
        scores: of the candidates. *Shape:* (C,)
        right: whether each is a translation. *Shape:* (C,)
        wanted: translations that there are to be found.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(right[order])
    f1 = 2 * hits / (np.arange(1, len(scores) + 1) + wanted)
    if not len(scores) or not hits[-1]:
        return float(np.inf)
    last = np.append(ranked[1:] < ranked[:-1], True)  # equal scores are taken together
    best = int(np.where(last, f1, -1.0).argmax())
    return float((ranked[best] + ranked[best + 1]) / 2) if best + 1 < len(ranked) else float(-np.inf)


def mining_tasks(pairs: int, seed: int) -> tuple[MiningTask, MiningTask]:
    """Two mining tasks without a sentence in common, out of a bitext: one to choose a threshold on, one to test.

    Of each half of the pairs a third keeps both sides; of the rest one side each, in turn. (In BUCC two to three per
    cent have a translation; a bitext has none to spare, so this is easier: compare encoders, not papers.)

    Raises:
        DataError: fewer than `FEWEST` pairs.
    """
    if pairs < FEWEST:
        raise DataError(f"mining needs at least {FEWEST} sentence pairs; there are {pairs}")
    order = np.random.default_rng([seed, 0xB0CC]).permutation(pairs)
    halves = order[: pairs // 2], order[pairs // 2 :]
    found = []
    for rows in halves:
        whole = len(rows) // 3
        both, rest = np.sort(rows[:whole]), rows[whole:]
        src, tgt = np.concatenate([both, rest[::2]]), np.concatenate([both, rest[1::2]])
        found.append(MiningTask(np.sort(src), np.sort(tgt), both))
    return found[0], found[1]


def mining_scores(src: Array, tgt: Array, seed: int = 0, k: int = NEIGHBOURS) -> dict[str, Measured]:
    """``precision``, ``recall`` and ``f1`` of the second of `mining_tasks`, at the first one's best threshold.

    Items are first-order contributions of the test half's sentence pairs, in order of row, kept whole or not: an item
    has its source side's candidate, if that was taken. Precision is left out where nothing was taken.

    *Shape:* (N, D), (N, D), row n translates row n
    """
    dev, test = mining_tasks(len(src), seed)
    limit = _threshold(src, tgt, dev, k)
    mined = mine(src[test.src], tgt[test.tgt], k)
    rows, partners = test.src[mined.src], test.tgt[mined.tgt]
    chosen = mined.scores > limit
    everything = mining_rows(len(src), seed)
    taken = np.isin(everything, rows[chosen]).astype(np.float64)
    hits = np.isin(everything, rows[chosen & (rows == partners)]).astype(np.float64)
    wanted = np.isin(everything, test.pairs).astype(np.float64)
    found = {"recall": _ratio(hits, wanted), "f1": _ratio(2 * hits, taken + wanted)}
    return found | ({"precision": _ratio(hits, taken)} if taken.any() else {})


def mining_rows(pairs: int, seed: int) -> Array:
    """The rows of the bitext that the items of `mining_scores` are about, sorted."""
    test = mining_tasks(pairs, seed)[1]
    rows: Array = np.union1d(test.src, test.tgt)
    return rows


def _threshold(src: Array, tgt: Array, task: MiningTask, k: int) -> float:
    mined = mine(src[task.src], tgt[task.tgt], k)
    return best_threshold(mined.scores, task.src[mined.src] == task.tgt[mined.tgt], len(task.pairs))


def _ratio(above: Array, below: Array) -> Measured:
    """Σ above / Σ below, with first-order contributions."""
    value = above.sum() / below.sum()
    return measured(value + (above - value * below) / below.mean())
