"""What a sweep found: every score in one tidy table, and each variant beside its controls, paired over seeds."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xrealign.plan import Plan
from xrealign.report.context import BASELINE, CONTROLS, REALIGNED, SOURCE_GROUP, ReportContext
from xrealign.report.measures import Measure, measure_summaries
from xrealign.report.stats import Items, Resampled, difference_interval, mean_std, paired_bootstrap, stack_seeds
from xrealign.report.summary import Difference, GroupRow, Summary, summarise
from xrealign.stages import read_subset
from xrealign.store import read_manifest
from xrealign.summing_up import gather_scores, language_groups, main_metric
from xrealign.sweep.grid import Sweep
from xrealign.sweep.stages import Graph
from xrealign.types import Score

REFERENCES = (BASELINE, *CONTROLS)


@dataclass(frozen=True)
class Paired:
    """realigned − reference, one value for each seed.

    ``p``: two-sided paired t test over seeds (Student 1908), None below two seeds or where all differences are alike.
    """

    mean: float
    std: float | None
    p: float | None


@dataclass(frozen=True)
class Row:
    """A variant's comparison in one group of languages; ``paired`` by reference."""

    group: GroupRow
    paired: Mapping[str, Paired]


@dataclass(frozen=True)
class Variant:
    """Cells that differ in their seed only.

    Attributes:
        labels: axis → label, without the seed.
        seeds: of the finished cells.
        unfinished: how many cells failed.
        summaries: one for each task and metric.
        rows: (task, metric) → all target languages, then the groups.
        measures: retrieval before and after.
        below: languages whose score is below that of always answering the most frequent label, with the number of
            seeds that are.
    """

    labels: Mapping[str, str]
    seeds: tuple[int, ...]
    unfinished: int
    summaries: tuple[Summary, ...]
    rows: Mapping[tuple[str, str], tuple[Row, ...]]
    measures: tuple[Measure, ...]
    below: Mapping[str, int] = field(default_factory=dict)


def cell_scores(sweep: Sweep, graph: Graph, finished: Sequence[str]) -> dict[str, tuple[list[Score], Items]]:
    """For each finished cell its scores, under the cell's name, and what each test sentence got."""
    found: dict[str, tuple[list[Score], Items]] = {}
    for cell in sweep.cells:
        if cell.name in finished:
            scores, items = gather_scores(graph.plans[cell.name])
            found[cell.name] = [dataclasses.replace(score, run=cell.name) for score in scores], items
    return found


def variants(sweep: Sweep, graph: Graph, found: Mapping[str, tuple[list[Score], Items]]) -> list[Variant]:
    """Each variant over its finished seeds, in the order of the grid."""
    cells: dict[tuple[str, ...], list[Any]] = {}
    for cell in sweep.cells:
        cells.setdefault(cell.variant, []).append(cell)
    made = []
    for members in cells.values():
        done = [cell for cell in members if cell.name in found]
        labels = {axis: label for axis, label in members[0].labels.items() if axis != "seed"}
        if not done:
            made.append(Variant(labels, (), len(members), (), {}, ()))
            continue
        main = main_metric(graph.plans[done[0].name])
        context: ReportContext = {
            "source": done[0].config.source,
            "task": done[0].config.task.name,
            "metric": main,
        }
        groups = _groups([graph.plans[cell.name] for cell in done], done[0].config.source)
        by_seed = {cell.config.seed: found[cell.name] for cell in done}
        scores = [score for rows, _ in by_seed.values() for score in rows]
        tested = {_sentences(graph, cell.name) for cell in done}
        intervals = over_seeds([items for _, items in by_seed.values()], same_sentences=len(tested) == 1)
        summaries, rows = [], {}
        for task, metric in dict.fromkeys((score.task, score.metric) for score in scores if not score.variant):
            summary = summarise(scores, groups, context, None, task, metric)
            single = {seed: summarise(own, groups, context, None, task, metric) for seed, (own, _) in by_seed.items()}
            summaries.append(summary)
            rows[task, metric] = _rows(summary, single, intervals if metric == main else {})
        measures = tuple(measure_summaries(scores, groups, context))
        below = _below([graph.plans[cell.name] for cell in done])
        made.append(Variant(labels, tuple(by_seed), len(members) - len(done), tuple(summaries), rows, measures, below))
    return made


def _below(plans: Sequence[Plan]) -> dict[str, int]:
    """By language, in how many runs the realigned model, else the baseline, is below the most frequent label."""
    judged = [plan.folder(f"evaluate {REALIGNED if REALIGNED in plan.methods else BASELINE}") for plan in plans]
    found = Counter(tag for folder in judged for tag in read_manifest(folder)["facts"]["below_majority"])
    return dict(sorted(found.items(), key=lambda one: (-one[1], one[0])))


def _groups(plans: Sequence[Any], source: str) -> Mapping[str, Sequence[str]]:
    """The groups of languages, where every seed has the same; else (a random subset) only the source language."""
    found = [language_groups(plan) for plan in plans]
    return found[0] if all(one == found[0] for one in found) else {SOURCE_GROUP: [source]}


def over_seeds(items: Sequence[Items], same_sentences: bool) -> dict[str, Resampled]:
    """Bootstrap replicates of every language's mean over seeds; one mapping of items for each seed.

    Seeds that were tested on the same sentences are averaged sentence by sentence; where each drew its own, the
    sentences of each are resampled by themselves and the replicates averaged, as the samples are independent.
    """
    keys = [key for key in items[0] if all(key in one for one in items)]
    if same_sentences:
        return paired_bootstrap({key: stack_seeds([one[key] for one in items]) for key in keys})
    draws = [paired_bootstrap({key: one[key] for key in keys}, seed=number) for number, one in enumerate(items)]
    return {
        language: Resampled(
            sum(draw[language].n for draw in draws),
            draws[0][language].methods,
            np.mean([draw[language].observed for draw in draws], axis=0),
            np.mean([draw[language].means for draw in draws], axis=0),
        )
        for language in (draws[0] if draws else ())
    }


def _sentences(graph: Graph, cell: str) -> str:
    """What tells whether two cells were tested on the same sentences: the digest of the task's files."""
    files = read_manifest(graph.plans[cell].folder("task"))["files"]
    return str({name: facts["sha256"] for name, facts in sorted(files.items())})


def _rows(summary: Summary, single: Mapping[int, Summary], resampled: Mapping[str, Resampled]) -> tuple[Row, ...]:
    rows = []
    for number, group in enumerate((summary.targets, *summary.groups)):
        differences = {
            reference: Difference(
                found.value,
                difference_interval(resampled, group.languages, REALIGNED, reference) if resampled else None,
            )
            for reference, found in group.scores.differences.items()
        }
        with_intervals = dataclasses.replace(group, scores=dataclasses.replace(group.scores, differences=differences))
        own = [(one.targets, *one.groups)[number].scores.differences for one in single.values()]
        paired = {
            reference: paired_test([one[reference].value for one in own])
            for reference in differences
            if all(reference in one for one in own)
        }
        rows.append(Row(with_intervals, paired))
    return tuple(rows)


def paired_test(differences: Sequence[float]) -> Paired:
    """Mean, standard deviation (n−1) and two-sided p of Student's paired t test of at least one difference."""
    from scipy.stats import ttest_1samp

    mean, std = mean_std(differences)
    if std is None or std < 1e-12:
        return Paired(mean, std, None)
    return Paired(mean, std, float(ttest_1samp(differences, 0.0).pvalue))


def subset_of(graph: Graph, cell: str) -> list[str]:
    """Tags of the languages that a cell was realigned on."""
    return [language.tag for language in read_subset(graph.plans[cell].folder("select"))]
