"""method − reference, with all that tells how far it can be trusted: for languages, and for means over languages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import special

from xrealign.report.context import CONTROLS
from xrealign.report.corrections import benjamini_hochberg, holm
from xrealign.report.hierarchical import hierarchical_bootstrap
from xrealign.report.significance import PairedTests, columns_of_tests, detectable
from xrealign.report.stats import Interval, Items, Resampled, difference_interval, mean_std, paired_bootstrap
from xrealign.report.verdict import Kind

# With fewer languages their choice cannot be judged from their spread; they are taken as they are.
FEWEST_LANGUAGES = 5
_NOTHING = 1e-12
_SAME = 1e-6
Array = NDArray[np.float64]
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Change:
    """method − reference, as a share.

    Attributes:
        value: mean over seeds (and over languages, in a group).
        std: standard deviation over seeds, None for one seed.
        interval: 95 %, None where there is nothing to judge it by.
        p: two-sided, from the same standard error as the interval: of Student's t test over seeds for a language.
        holm: p after Holm's correction; see ``bh`` for over what.
        bh: p after Benjamini & Hochberg's. A language's p is corrected for the languages compared by the same
            method, a group's for the methods compared in the group.
        detectable: the smallest true difference that such a comparison finds with 80 % power.
        over_seeds: paired tests of the differences by seed.
        over_languages: of the differences by language (a group's only), each a mean over seeds.
        levels: what the interval is about: ``seed``, ``language``, ``sentence``.
    """

    value: float
    std: float | None = None
    interval: Interval | None = None
    p: float | None = None
    holm: float | None = None
    bh: float | None = None
    detectable: float | None = None
    over_seeds: PairedTests | None = None
    over_languages: PairedTests | None = None
    levels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Counts:
    """Languages by how a method's mean over seeds stands to the baseline's.

    ``win``, ``tie``, ``loss``: above, equal, below. ``above``, ``below``: by more than one standard deviation (n−1)
    of the baseline over seeds, as AlignFreeze (Bakos et al. 2025) counts; None where there is one seed.
    """

    win: int
    tie: int
    loss: int
    above: int | None
    below: int | None


Changes = dict[str, dict[str, Change]]


def compare_columns(
    methods: Sequence[str],
    values: Array,
    tags: Sequence[str],
    pairs: Sequence[Pair],
    items: Items | None = None,
) -> dict[str, Changes]:
    """For each language: method → reference → change. ``values`` is (methods, seeds, languages), NaN for none.

    An interval is Student's over paired seeds; of a single seed the paired bootstrap's over ``items``, where given.
    """
    found: dict[str, Changes] = {tag: {} for tag in tags}
    resampled = _resampled(items, methods, values, tags)
    for method, reference in pairs:
        differences = values[methods.index(method)] - values[methods.index(reference)]
        column: list[Change | None] = [None] * len(tags)
        known = ~np.isnan(differences)
        for pattern in {row.tobytes(): row for row in known.T}.values():
            if pattern.any():
                alike: list[int] = np.flatnonzero((known == pattern[:, None]).all(axis=0)).tolist()
                for place, change in zip(alike, _of_seeds(differences[np.ix_(pattern, alike)]), strict=True):
                    column[place] = _with_items(change, resampled, [tags[place]], method, reference)
        there = [(tag, change) for tag, change in zip(tags, column, strict=True) if change is not None]
        for (tag, _), change in zip(there, _corrected([change for _, change in there]), strict=True):
            found[tag].setdefault(method, {})[reference] = change
    return found


def compare_groups(
    methods: Sequence[str],
    values: Array,
    tags: Sequence[str],
    pairs: Sequence[Pair],
    items: Items | None = None,
) -> Changes:
    """method → reference → change of the mean over the languages of (methods, seeds, languages) values.

    Seeds are drawn where there are several, languages where there are at least five (``hierarchical_bootstrap``). Of
    a single seed with ``items`` the interval is the paired bootstrap's over sentences, as in the report of a run.
    """
    found: Changes = {}
    resampled = _resampled(items, methods, values, tags)
    for method, reference in pairs:
        differences = values[methods.index(method)] - values[methods.index(reference)]
        whole = differences[~np.isnan(differences).any(axis=1)]
        if not len(whole):
            continue
        change = _of_group(whole)
        if len(whole) == 1:
            change = _with_items(change, resampled, tags, method, reference)
        found.setdefault(method, {})[reference] = change
    by_reference: dict[str, list[str]] = {}
    for method, changes in found.items():
        for reference in changes:
            by_reference.setdefault(reference, []).append(method)
    for reference, members in by_reference.items():
        corrected = _corrected([found[method][reference] for method in members])
        for method, change in zip(members, corrected, strict=True):
            found[method][reference] = change
    return found


def count_languages(values: Array, baseline: Array) -> Counts:
    """Counts over the columns of (seeds, languages) values; NaN where there is no score."""
    changes = np.nanmean(values, axis=0) - np.nanmean(baseline, axis=0)
    changes[np.abs(changes) < _NOTHING] = 0
    spread = [mean_std(column[~np.isnan(column)])[1] for column in baseline.T]
    above = below = None
    if None not in spread:
        std = np.array(spread, dtype=np.float64)
        above, below = int((changes > std).sum()), int((changes < -std).sum())
    return Counts(int((changes > 0).sum()), int((changes == 0).sum()), int((changes < 0).sum()), above, below)


def count_scores(values: Sequence[Mapping[int, float]], baseline: Sequence[Mapping[int, float]]) -> Counts:
    """Counts of languages, each a mapping of seed → score; the languages of both stand in one order."""
    seeds = sorted({seed for by_seed in (*values, *baseline) for seed in by_seed})
    tables = [
        np.array([[by_seed.get(seed, np.nan) for by_seed in side] for seed in seeds]) for side in (values, baseline)
    ]
    return count_languages(*tables)


def judge_changes(changes: Mapping[str, Change], baseline: str, controls: Sequence[str]) -> Kind:
    """What a method's changes allow to be claimed, as ``verdict.judge`` does for a run.

    ``gain`` needs every interval above zero: against the baseline and against both ``controls``.
    """
    change = changes.get(baseline)
    if change is None or change.interval is None:
        return "no claim"
    if change.interval.below_zero:
        return "loss"
    if not change.interval.above_zero:
        return "no clear difference"
    found = [changes[control].interval for control in controls if control in changes]
    if len(found) >= len(CONTROLS) and all(band is not None and band.above_zero for band in found):
        return "gain"
    return "not beyond controls"


def _of_seeds(differences: Array) -> list[Change]:
    """One change for each column of (seeds, m) differences."""
    n = len(differences)
    means = differences.mean(axis=0).tolist()
    if n < 2:
        return [Change(mean) for mean in means]
    stds = differences.std(axis=0, ddof=1).tolist()
    critical = float(special.stdtrit(n - 1, 0.975))
    changes = []
    for mean, std, tests in zip(means, stds, columns_of_tests(differences), strict=True):
        error = std / math.sqrt(n)
        band = Interval(mean - critical * error, mean + critical * error)
        changes.append(Change(mean, std, band, tests.t, None, None, detectable(error, n - 1), tests, None, ("seed",)))
    return changes


def _of_group(differences: Array) -> Change:
    """The change of the mean of (seeds, languages) differences."""
    seeds, languages = differences.shape
    mean = float(differences.mean())
    std = mean_std(differences.mean(axis=1))[1]
    over_seeds = columns_of_tests(differences.mean(axis=1, keepdims=True))[0] if seeds > 1 else None
    over_languages = columns_of_tests(differences.mean(axis=0)[:, None])[0] if languages > 1 else None
    change = Change(mean, std, over_seeds=over_seeds, over_languages=over_languages)
    levels = (("seed",) if seeds > 1 else ()) + (("language",) if languages >= FEWEST_LANGUAGES else ())
    if not levels:
        return change
    found = hierarchical_bootstrap([column[:, None] for column in differences.T], levels)
    return replace(
        change,
        interval=found.interval,
        p=found.p,
        detectable=detectable(found.standard_error, found.freedom),
        levels=found.levels,
    )


def _resampled(
    items: Items | None, methods: Sequence[str], values: Array, tags: Sequence[str]
) -> Mapping[str, Resampled]:
    """Replicates of the sentences of each language; nothing where there are several seeds.

    Items whose mean is not the score (they are of another metric) are passed over.
    """
    if not items or values.shape[1] > 1:
        return {}
    known = {key: rows for key, rows in items.items() if key[0] in methods and key[1] in tags}
    found = paired_bootstrap(known)
    return {
        tag: one
        for tag, one in found.items()
        if all(
            abs(mean - values[methods.index(method), 0, tags.index(tag)]) < _SAME
            for method, mean in zip(one.methods, one.observed, strict=True)
        )
    }


def _with_items(
    change: Change, resampled: Mapping[str, Resampled], tags: Sequence[str], method: str, reference: str
) -> Change:
    """The change with the interval over sentences, where there are enough of them."""
    band = difference_interval(resampled, tags, method, reference) if resampled else None
    if band is None:
        return change
    replicates = sum(resampled[tag].difference(method, reference) for tag in tags) / len(tags)
    error = float(np.std(replicates))
    p = float(2 * special.ndtr(-abs(change.value) / error)) if error > _NOTHING else None
    freedom = sum(resampled[tag].n - 1 for tag in tags)
    return replace(change, interval=band, p=p, detectable=detectable(error, freedom), levels=("sentence",))


def _corrected(changes: Sequence[Change]) -> list[Change]:
    ps = [change.p for change in changes]
    both = zip(changes, holm(ps), benjamini_hochberg(ps), strict=True)
    return [replace(change, holm=first, bh=second) for change, first, second in both]
