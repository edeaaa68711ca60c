"""How aligned the encoder is before and after, raw and with language means removed, beside the control."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xrealign.errors import DataError
from xrealign.report.context import BASELINE, REALIGNED, Groups, ReportContext, ordered_methods
from xrealign.report.stats import mean_std
from xrealign.report.summary import complete_groups, target_tags
from xrealign.types import Score

VARIANTS = ("raw", "centred")
ALL = "all target languages"


@dataclass(frozen=True, slots=True)
class MeasureRow:
    """One measure of a group (or of one language), mean over languages and seeds.

    ``values`` maps (method, variant) to a share; ``left_out`` lack a value that others of the group have.
    """

    name: str
    languages: tuple[str, ...]
    left_out: tuple[str, ...]
    values: Mapping[tuple[str, str], float]

    def change(self, variant: str) -> float | None:
        """realigned − baseline in one variant, None where one of them is missing."""
        after, before = self.values.get((REALIGNED, variant)), self.values.get((BASELINE, variant))
        return None if after is None or before is None else after - before


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure: all target languages, then the groups, then each language."""

    task: str
    metric: str
    layer: int | None
    methods: tuple[str, ...]
    variants: tuple[str, ...]
    groups: tuple[MeasureRow, ...]
    languages: tuple[MeasureRow, ...]


def measure_summaries(scores: Sequence[Score], groups: Groups, context: ReportContext) -> list[Measure]:
    """Every measure among the scores (rows with a variant), in the order in which they first appear.

    Raises:
        DataError: one value is there twice.
    """
    found: dict[tuple[str, str, int | None], list[Score]] = defaultdict(list)
    for score in scores:
        if score.variant:
            found[score.task, score.metric, score.layer].append(score)
    return [_measure(*key, rows, groups, context) for key, rows in found.items()]


def _measure(
    task: str, metric: str, layer: int | None, rows: Sequence[Score], groups: Groups, context: ReportContext
) -> Measure:
    values: dict[tuple[str, str, str], dict[int, float]] = defaultdict(dict)
    for row in rows:
        by_seed = values[row.method, row.variant, row.language]
        if row.seed in by_seed:
            raise DataError(f"{task} ({row.variant}) of {row.method}, {row.language}, seed {row.seed} is there twice")
        by_seed[row.seed] = row.value
    averages = {key: mean_std(by_seed.values())[0] for key, by_seed in values.items()}
    tags = dict.fromkeys(row.language for row in rows)
    named = complete_groups(groups, tags)
    found = {variant for _, variant, _ in averages}
    variants = (
        *(variant for variant in VARIANTS if variant in found),
        *sorted(found - set(VARIANTS)),
    )
    return Measure(
        task,
        metric,
        layer,
        ordered_methods({method for method, _, _ in averages}),
        variants,
        (
            _row(ALL, target_tags(named, context), averages),
            *(_row(name, members, averages) for name, members in named.items()),
        ),
        tuple(_row(tag, (tag,), averages) for tag in tags),
    )


def _row(name: str, tags: Sequence[str], averages: Mapping[tuple[str, str, str], float]) -> MeasureRow:
    cells = dict.fromkeys((method, variant) for method, variant, tag in averages if tag in tags)
    complete = tuple(tag for tag in tags if cells and all((*cell, tag) in averages for cell in cells))
    means = {cell: mean_std(averages[(*cell, tag)] for tag in complete)[0] for cell in cells if complete}
    return MeasureRow(name, complete, tuple(tag for tag in tags if tag not in complete), means)
