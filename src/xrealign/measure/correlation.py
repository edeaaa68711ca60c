"""Does a measure go with transfer? Spearman's ρ with intervals that know that languages and seeds repeat.

Gaschi et al. (2023, arXiv 2306.02790, section 4): ρ between alignment and the relative transfer gap
(score of X − score of English) / score of English, over languages, models and seeds, with 2,000 bootstrap samples.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xrealign.errors import DataError
from xrealign.types import Score

Array = np.ndarray[Any, Any]
RESAMPLES, LEVEL = 2000, 0.95
FEWEST = 4  # points
JOIN = ("model", "method", "language", "seed")
Key = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Correlation:
    """ρ of one measure (at one layer) with one task's transfer gap.

    Attributes:
        measure, measure_metric, variant, layer: of the measure.
        task, metric: of the score.
        rho: None where one of the two is constant.
        low, high: ends of the interval; None where too few resamples have a ρ, or there is but one language.
        n, languages, seeds: points, and how many distinct languages and seeds they have.
        undefined: share of the resamples without a ρ, which are left out.
    """

    measure: str
    measure_metric: str
    variant: str
    layer: int | None
    task: str
    metric: str
    rho: float | None
    low: float | None
    high: float | None
    n: int
    languages: int
    seeds: int
    undefined: float


def relative_gaps(scores: Sequence[Score], source: str) -> tuple[dict[Score, float], int]:
    """(score − source's score) / source's score, for every score of another language than the source.

    The source's is that of the same run, model, method, task, metric and seed. Scores that lack it are left out, and
    their number is returned too.

    Raises:
        DataError: all scores lack it, or one that is there is not above 0.
    """
    plain = [score for score in scores if not score.variant]
    group = {_group(score): score for score in plain if score.language == source}
    gaps: dict[Score, float] = {}
    others = [score for score in plain if score.language != source]
    for score in others:
        base = group.get(_group(score))
        if base is None:
            continue
        if base.value <= 0:
            place = f"{score.task} {score.metric} of {score.method} in run {score.run}, seed {score.seed}"
            raise DataError(f"{place}: the score of {source} is {base.value}, so no relative gap can be taken")
        gaps[score] = (score.value - base.value) / base.value
    if others and not gaps:
        first = others[0]
        raise DataError(
            f"no score has one of the source language {source} beside it, in the same run, model, method, task, metric "
            f"and seed; the first is {first.task} {first.metric} of {first.method}, {first.language}"
        )
    return gaps, len(others) - len(gaps)


def correlate(
    measures: Sequence[Score],
    scores: Sequence[Score],
    source: str = "eng_Latn",
    join: Sequence[str] = JOIN,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> tuple[list[Correlation], dict[str, int]]:
    """ρ of every measure, variant and layer with the relative gap of every task and metric; and counts of what had
    no partner.

    Measures are the rows with a variant (or a layer), scores those without. A point is a measure and a gap that agree
    in ``join``; of several measures or gaps with one key the mean is taken (so a measure without seeds may be joined
    to the scores of all by leaving ``seed`` out).

    Raises:
        DataError: nothing can be joined, or what `relative_gaps` raises.
    """
    gaps: dict[tuple[str, str], dict[Key, list[tuple[float, Score]]]] = defaultdict(lambda: defaultdict(list))
    relative, lone = relative_gaps(scores, source)
    for score, gap in relative.items():
        gaps[score.task, score.metric][_key(score, join)].append((gap, score))
    series: dict[tuple[str, str, str, int | None], dict[Key, list[Score]]] = defaultdict(lambda: defaultdict(list))
    for row in measures:
        if (row.variant or row.layer is not None) and row.language != source:
            series[row.task, row.metric, row.variant, row.layer][_key(row, join)].append(row)
    found = []
    alone = {"scores without one of the source": lone, "measures without a score": 0, "scores without a measure": 0}
    for what, values in series.items():
        for (task, metric), known in gaps.items():
            keys = [key for key in values if key in known]
            alone["measures without a score"] += len(values) - len(keys)
            alone["scores without a measure"] += len(known) - len(keys)
            if len(keys) >= FEWEST:
                found.append(_one(what, task, metric, values, known, keys, resamples, seed, level))
    if not found:
        raise DataError(_unjoined(series, gaps, join))
    return found, alone


def _one(
    what: tuple[str, str, str, int | None],
    task: str,
    metric: str,
    values: Mapping[Key, list[Score]],
    known: Mapping[Key, list[tuple[float, Score]]],
    keys: Sequence[Key],
    resamples: int,
    seed: int,
    level: float,
) -> Correlation:
    x, y, languages, seeds = [], [], [], []
    for key in keys:
        measure = float(np.mean([row.value for row in values[key]]))
        by_place: dict[tuple[str, int], list[float]] = defaultdict(list)
        for gap, score in known[key]:
            by_place[score.language, score.seed].append(gap)
        for (language, number), found in by_place.items():
            x.append(measure)
            y.append(float(np.mean(found)))
            languages.append(language)
            seeds.append(number)
    rho = spearman(np.array(x), np.array(y))
    draws = clustered_spearman(np.array(x), np.array(y), languages, seeds, resamples, seed)
    good = draws[np.isfinite(draws)]
    low, high = None, None
    if rho is not None and len(set(languages)) > 1 and len(good) >= max(2, resamples // 2):
        low, high = (float(q) for q in np.quantile(good, [(1 - level) / 2, (1 + level) / 2]))
    return Correlation(
        *what, task, metric, rho, low, high, len(x), len(set(languages)), len(set(seeds)), 1 - len(good) / len(draws)
    )


def spearman(x: Array, y: Array) -> float | None:
    """Spearman's ρ, equal values sharing their mean rank; None where one of the two is constant. *Shape:* (N,), (N,)"""
    value = float(_weighted_spearman(x, y, np.ones((1, len(x))))[0])
    return value if np.isfinite(value) else None


def clustered_spearman(
    x: Array, y: Array, languages: Sequence[object], seeds: Sequence[object], resamples: int = RESAMPLES, seed: int = 0
) -> Array:
    """ρ of bootstrap samples in which languages are drawn with replacement, and seeds too. → (B,), NaN where undefined

    A point comes as often as its language was drawn times how often its seed was (Owen 2007, "pigeonhole bootstrap"):
    results of one language, or of one seed, are not independent of each other. Where there is one seed, it is kept.
    """
    rng = np.random.default_rng([seed, 0x5EA2])
    weights = np.ones((resamples, len(x)))
    for labels in (languages, seeds):
        names, place = np.unique(np.array([str(label) for label in labels]), return_inverse=True)
        if len(names) > 1:
            drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
            weights *= drawn[:, place]
    return _weighted_spearman(x, y, weights)


def _weighted_spearman(x: Array, y: Array, weights: Array) -> Array:
    """ρ of samples in which point n comes weights[b, n] times. *Shape:* (N,), (N,), (B, N) → (B,)"""
    ranks = [_weighted_ranks(values, weights) for values in (x, y)]
    total = weights.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = (rank - ((weights * rank).sum(axis=1) / total)[:, None] for rank in ranks)
        top = (weights * a * b).sum(axis=1)
        found: Array = top / np.sqrt((weights * a**2).sum(axis=1) * (weights * b**2).sum(axis=1))
    return np.clip(found, -1, 1)


def _weighted_ranks(values: Array, weights: Array) -> Array:
    _, group = np.unique(values, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    sizes = np.add.reduceat(weights[:, order], starts, axis=1)
    middle: Array = np.cumsum(sizes, axis=1) - sizes + (sizes + 1) / 2
    return middle[:, group]


def _group(row: Score) -> Key:
    return row.run, row.model, row.method, row.task, row.metric, row.seed


def _key(row: Score, join: Sequence[str]) -> Key:
    return tuple(getattr(row, name) for name in join)


def _unjoined(series: Mapping[Any, Any], gaps: Mapping[Any, Any], join: Sequence[str]) -> str:
    examples = [next((key for found in side.values() for key in found), None) for side in (series, gaps)]
    told = [", ".join(f"{n}={v!r}" for n, v in zip(join, e, strict=True)) if e else "none at all" for e in examples]
    return (
        f"no measure has {FEWEST} scores to go with that agree in {', '.join(join)}; the first measure has {told[0]}, "
        f"the first score {told[1]}"
    )
