"""Scores of a task, compared: each language, each group of languages, and all target languages together."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from xrealign.errors import DataError
from xrealign.language import Language
from xrealign.report.context import (
    BASELINE,
    CONTROLS,
    FEW_LABELS,
    REALIGNED,
    SOURCE_GROUP,
    Groups,
    ReportContext,
    language_of,
    ordered_methods,
)
from xrealign.report.facets import parts
from xrealign.report.format import counted, percent
from xrealign.report.stats import Interval, Items, Resampled, difference_interval, mean_std, paired_bootstrap
from xrealign.types import Score

OTHER_GROUP = "in no group"
REFERENCES = (BASELINE, *CONTROLS)


@dataclass(frozen=True, slots=True)
class Difference:
    """realigned − reference, as a share, with its interval where items were given."""

    value: float
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The methods beside each other.

    Attributes:
        values: method → score, mean over seeds.
        spread: method → standard deviation over seeds, where there are several.
        differences: reference (``baseline`` or a control) → realigned − reference.
        difference_spread: standard deviation over seeds of realigned − baseline, None for one seed.
        changes: method → method − baseline, for every method but the baseline.
    """

    values: Mapping[str, float]
    spread: Mapping[str, float]
    differences: Mapping[str, Difference]
    difference_spread: float | None = None
    changes: Mapping[str, Difference] = field(default_factory=dict)

    @property
    def best_control(self) -> str | None:
        """The control with the highest score, None when there is none."""
        found = [method for method in CONTROLS if method in self.values]
        return max(found, key=lambda method: self.values[method]) if found else None


@dataclass(frozen=True, slots=True)
class LanguageRow:
    """One language: its first group and the other groups it belongs to.

    ``labels``: how many labels it covers, None where unknown. ``majority``: what always answering its most frequent
    label would score, None where unknown. ``exchanged``: types of spans that look exchanged, in words.
    """

    language: Language
    group: str
    also: tuple[str, ...]
    n: int
    labels: int | None
    majority: float | None
    scores: Comparison
    exchanged: str = ""

    @property
    def few_labels(self) -> bool:
        """It covers so few labels that its score says little."""
        return self.labels is not None and self.labels < FEW_LABELS

    @property
    def below_majority(self) -> bool:
        """The realigned encoder, else the baseline, does worse than always answering the most frequent label."""
        found = self.scores.values
        return self.majority is not None and found.get(REALIGNED, found.get(BASELINE, math.inf)) < self.majority

    @property
    def flags(self) -> tuple[str, ...]:
        """What to be careful about, in words."""
        few = f"covers only {counted(self.labels or 0, 'label')}"
        low = f"below always answering its most frequent label ({percent(self.majority)})"
        swapped = f"types look exchanged ({self.exchanged}): do labels mean the same?"
        return tuple(
            text
            for text, told in ((few, self.few_labels), (low, self.below_majority), (swapped, bool(self.exchanged)))
            if told
        )


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group's macro-average over ``languages``; ``left_out`` lack a score that others of the group have."""

    name: str
    languages: tuple[str, ...]
    left_out: tuple[str, ...]
    better: int
    worse: int
    scores: Comparison


@dataclass(frozen=True, slots=True)
class Facet:
    """The target languages parted by one property, ``family``, ``script`` or ``resource class``: each in one row."""

    name: str
    rows: tuple[GroupRow, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """One task and metric. ``targets`` averages every language but the source, each once.

    ``facets`` part the same languages by family, script and, where classes are known, resource class. ``source`` is the
    source language by itself, None where it has no score.
    """

    task: str
    metric: str
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    targets: GroupRow
    groups: tuple[GroupRow, ...]
    languages: tuple[LanguageRow, ...]
    facets: tuple[Facet, ...] = ()
    source: GroupRow | None = None


# (method, language) → seed → value
Values = Mapping[tuple[str, str], Mapping[int, float]]


def summarise(
    scores: Sequence[Score],
    groups: Groups,
    context: ReportContext,
    items: Items | None = None,
    task: str | None = None,
    metric: str | None = None,
) -> Summary:
    """Compares the methods on one task and metric (by default the context's, else the first, by accuracy).

    ``items``, as for ``paired_bootstrap``, give intervals for the context's metric (accuracy where it names none).

    Raises:
        DataError: no such score; one score twice; methods scored on different numbers of items; items whose mean
            is not the score they belong to.
    """
    task = task or context.get("task") or next((score.task for score in scores if not score.variant), None)
    metrics = list(dict.fromkeys(score.metric for score in scores if score.task == task and not score.variant))
    main = context.get("metric", "accuracy")
    metric = metric or context.get("metric") or ("accuracy" if "accuracy" in metrics else next(iter(metrics), None))
    chosen = [score for score in scores if (score.task, score.metric, score.variant) == (task, metric, "")]
    if not chosen or task is None or metric is None:
        raise DataError(f"there is no score of task {task!r} by metric {metric!r}; metrics found: {metrics}")
    values = _values(chosen)
    counts = _counts(chosen)
    resampled: Mapping[str, Resampled] = {}
    if items and metric == main:
        resampled = paired_bootstrap(items)
        _check_items(resampled, values)
    named = complete_groups(groups, dict.fromkeys(score.language for score in chosen))
    methods = ordered_methods({score.method for score in chosen})
    labels = {score.language: score.labels for score in chosen if score.labels is not None}
    rows = [
        _language_row(tag, named, values, resampled, counts[tag], labels.get(tag), context)
        for tag in dict.fromkeys(tag for tags in named.values() for tag in tags)
        if tag in counts
    ]
    targets = target_tags(named, context)
    sources = [tag for tag in counts if tag not in targets]
    place = {name: number for number, name in enumerate(named)}
    rows.sort(key=lambda row: (place[row.group], -_change(row), row.language.tag))
    return Summary(
        task,
        metric,
        methods,
        tuple(sorted({score.seed for score in chosen})),
        _group_row("all target languages", targets, methods, values, resampled),
        tuple(_group_row(name, tags, methods, values, resampled) for name, tags in named.items()),
        tuple(rows),
        tuple(
            Facet(name, tuple(_group_row(part, members, methods, values, resampled) for part, members in found.items()))
            for name, found in parts([tag for tag in targets if tag in counts], context).items()
        ),
        _group_row(SOURCE_GROUP, sources, methods, values, resampled) if sources else None,
    )


def transfer_gaps(summary: Summary, row: GroupRow) -> dict[str, float]:
    """Method → transfer gap: its score in the source language − its mean over the languages of ``row``, as a share.

    The cross-lingual transfer gap of Hu et al. (2020, arXiv 2003.11080, section 5); there the mean is over all target
    languages of a task. Methods without a score in either are not among them.
    """
    if summary.source is None:
        return {}
    source = summary.source.scores.values
    return {method: source[method] - value for method, value in row.scores.values.items() if method in source}


def further_summaries(
    scores: Sequence[Score], groups: Groups, context: ReportContext, items: Items | None, first: Summary
) -> list[Summary]:
    """The same of every other task and metric among the scores; ``items`` are of ``first``'s task."""
    pairs = dict.fromkeys((score.task, score.metric) for score in scores if not score.variant)
    return [
        summarise(scores, groups, context, items if task == first.task else None, task, metric)
        for task, metric in pairs
        if (task, metric) != (first.task, first.metric)
    ]


def complete_groups(groups: Groups, tags: Mapping[str, object]) -> dict[str, tuple[str, ...]]:
    """The groups, each language once in each, and a last group for scored languages that are in none."""
    named = {name: tuple(dict.fromkeys(members)) for name, members in groups.items()}
    grouped = {tag for members in named.values() for tag in members}
    rest = tuple(tag for tag in tags if tag not in grouped)
    return named | ({OTHER_GROUP: rest} if rest else {})


def target_tags(named: Mapping[str, Sequence[str]], context: ReportContext) -> tuple[str, ...]:
    """Every language of the groups once, without the source language."""
    source = {*named.get(SOURCE_GROUP, ()), context.get("source", "")}
    return tuple(dict.fromkeys(tag for tags in named.values() for tag in tags if tag not in source))


def _values(chosen: Sequence[Score]) -> dict[tuple[str, str], dict[int, float]]:
    values: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for score in chosen:
        by_seed = values[score.method, score.language]
        if score.seed in by_seed:
            raise DataError(
                f"{score.task} {score.metric} of {score.method}, {score.language}, seed {score.seed} is there twice; "
                "a report covers one run"
            )
        by_seed[score.seed] = score.value
    return dict(values)


def _counts(chosen: Sequence[Score]) -> dict[str, int]:
    counts: dict[tuple[str, int], Score] = {}
    for score in chosen:
        first = counts.setdefault((score.language, score.seed), score)
        if first.n != score.n:
            raise DataError(
                f"{score.task}, {score.language}, seed {score.seed}: {first.method} was scored on {first.n} items, "
                f"{score.method} on {score.n}; only scores on the same items can be compared"
            )
    return {language: score.n for (language, _), score in counts.items()}


def _check_items(resampled: Mapping[str, Resampled], values: Values) -> None:
    for language, found in resampled.items():
        for method, observed in zip(found.methods, found.observed, strict=True):
            by_seed = values.get((method, language))
            if by_seed and abs(mean_std(by_seed.values())[0] - observed) > 1e-6:
                raise DataError(
                    f"items of ({method}, {language}) give {observed:.6f}, "
                    f"its score says {mean_std(by_seed.values())[0]:.6f}; they must come from the same evaluation"
                )


def _language_row(
    tag: str,
    named: Mapping[str, Sequence[str]],
    values: Values,
    resampled: Mapping[str, Resampled],
    n: int,
    labels: int | None,
    context: ReportContext,
) -> LanguageRow:
    member_of = [name for name, tags in named.items() if tag in tags]
    scores = _compare((tag,), {method for method, language in values if language == tag}, values, resampled)
    majority, exchanged = context.get("majority", {}).get(tag), context.get("exchanged", {}).get(tag, "")
    language = language_of(tag, context)
    return LanguageRow(language, member_of[0], tuple(member_of[1:]), n, labels, majority, scores, exchanged)


def _change(row: LanguageRow) -> float:
    change = row.scores.differences.get(BASELINE)
    return change.value if change else -math.inf


def _group_row(
    name: str,
    tags: Sequence[str],
    methods: Sequence[str],
    values: Values,
    resampled: Mapping[str, Resampled],
) -> GroupRow:
    used = {method for method in methods if any((method, tag) in values for tag in tags)}
    complete = tuple(tag for tag in tags if used and all((method, tag) in values for method in used))
    changes = []
    if {BASELINE, REALIGNED} <= used:
        changes = [_compare((tag,), used, values, {}).differences[BASELINE].value for tag in complete]
    return GroupRow(
        name,
        complete,
        tuple(tag for tag in tags if tag not in complete),
        sum(change > 0 for change in changes),
        sum(change < 0 for change in changes),
        _compare(complete, used, values, resampled),
    )


def _compare(tags: Sequence[str], methods: set[str], values: Values, resampled: Mapping[str, Resampled]) -> Comparison:
    if not tags:
        return Comparison({}, {}, {})
    means: dict[str, dict[int, float]] = {}
    for method in ordered_methods(methods):
        seeds = set.intersection(*(set(values[method, tag]) for tag in tags))
        if not seeds:
            raise DataError(f"{method}: the languages {', '.join(tags)} have no seed in common")
        means[method] = {seed: mean_std(values[method, tag][seed] for tag in tags)[0] for seed in sorted(seeds)}
    averages = {method: mean_std(by_seed.values()) for method, by_seed in means.items()}
    final = {method: mean for method, (mean, _) in averages.items()}
    spread = {method: std for method, (_, std) in averages.items() if std is not None}
    differences = {}
    if REALIGNED in final:
        differences = {
            reference: Difference(
                final[REALIGNED] - final[reference], difference_interval(resampled, tags, REALIGNED, reference)
            )
            for reference in REFERENCES
            if reference in final
        }
    changes = {
        method: Difference(final[method] - final[BASELINE], difference_interval(resampled, tags, method, BASELINE))
        for method in final
        if method != BASELINE and BASELINE in final
    }
    both = sorted(set(means.get(REALIGNED, {})) & set(means.get(BASELINE, {})))
    moves = [means[REALIGNED][seed] - means[BASELINE][seed] for seed in both]
    return Comparison(final, spread, differences, mean_std(moves)[1] if moves else None, changes)
