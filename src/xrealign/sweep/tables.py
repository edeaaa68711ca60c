"""A sweep's results as tables: one row for each cell, one for each variant; Markdown for people, CSV for machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xrealign.report.context import BASELINE, CONTROLS, REALIGNED, SOURCE_GROUP, metric_name, ordered_methods
from xrealign.report.format import counted, markdown, percent, points
from xrealign.report.stats import RESAMPLES
from xrealign.report.summary import Difference, GroupRow
from xrealign.report.tables import Cell, Column, Table, measure_title, spread_text, to_markdown
from xrealign.report.verdict import HONEST, judge
from xrealign.sweep.grid import SEED, Sweep
from xrealign.sweep.results import Paired, Row, Variant
from xrealign.sweep.schedule import Failure

FINISHED, FAILED = "finished", "failed"


def cell_table(sweep: Sweep, failures: Mapping[str, Failure], subsets: Mapping[str, Sequence[str]]) -> Table:
    """One row for each cell: its name, its choices, whether it is finished, its subset, what went wrong."""
    columns = (
        Column("cell", "cell"),
        *(Column(axis, axis) for axis in sweep.axes),
        Column("state", "state"),
        Column("subset", "realigned on"),
        Column("error", "error"),
    )
    rows = []
    for cell in sweep.cells:
        failure = failures.get(cell.name)
        error = f"{failure.stage}: {failure.error}" if failure else ""
        subset = " ".join(subsets.get(cell.name, ()))
        rows.append((cell.name, *cell.labels.values(), FAILED if failure else FINISHED, subset, error))
    return Table("Cells", columns, tuple(rows))


def _methods(found: Sequence[Variant]) -> tuple[str, ...]:
    return ordered_methods({method for variant in found for one in variant.summaries for method in one.methods})


def summary_table(sweep: Sweep, found: Sequence[Variant], task: str, metric: str) -> Table:
    """For people: each variant that has the task over all target languages, mean ± standard deviation over seeds.

    Beside them the score in the source language, and where there is realignment, what it changed.
    """
    methods = _methods(found)
    with_task = [v for v in found if not v.rows or any(of == task for of, _ in v.rows)]
    rows_of = [_main_row(v, task, metric) for v in found if (task, metric) in v.rows]
    realigned = any(REALIGNED in row.scores.values for row in rows_of)
    at_source = [method for method in (BASELINE, REALIGNED) if method in methods]
    columns = [
        *(Column(axis, axis) for axis in sweep.axes if axis != SEED),
        Column("seeds", "seeds"),
        *(Column(f"source_{method}", f"source language, {method}") for method in at_source),
        *(Column(method, method) for method in methods),
    ]
    if realigned:
        columns += [
            Column("change", "realigned − baseline", "change"),
            Column("seeds_change", "over seeds"),
            *(Column(f"change_{control}", f"realigned − {control}", "change") for control in CONTROLS),
            Column("seeds_best", "best control, over seeds"),
            Column("verdict", "verdict"),
        ]
    rows: list[tuple[Cell, ...]] = []
    for variant in with_task:
        seeds = str(len(variant.seeds)) + (f" of {len(variant.seeds) + variant.unfinished}" * bool(variant.unfinished))
        group = variant.rows.get((task, metric), ())
        if not group:
            rows.append((*variant.labels.values(), seeds, *[None] * (len(columns) - len(variant.labels) - 1)))
            continue
        scores = group[0].group.scores
        source = next((row.group.scores for row in group if row.group.name == SOURCE_GROUP), None)
        cells: list[Cell] = [*variant.labels.values(), seeds]
        cells += [spread_text(source, method) if source is not None else None for method in at_source]
        cells += [spread_text(scores, method) for method in methods]
        cells += _changes(group[0]) if realigned else []
        rows.append(tuple(cells))
    languages = max((len(row.languages) for row in rows_of), default=0)
    title = f"{task}: {metric_name(metric)} over {counted(languages, 'target language')}"
    return Table(title, tuple(columns), tuple(rows))


def _main_row(variant: Variant, task: str, metric: str) -> GroupRow:
    """All target languages."""
    return variant.rows[task, metric][0].group


def _changes(row: Row) -> list[Cell]:
    scores = row.group.scores
    baseline, *controls = (scores.differences.get(reference) for reference in (BASELINE, *CONTROLS))
    best = scores.best_control
    return [
        baseline,
        paired_text(row.paired.get(BASELINE)),
        *controls,
        paired_text(row.paired.get(best) if best else None),
        judge(row.group) if REALIGNED in scores.values else None,
    ]


def paired_text(paired: Paired | None) -> str | None:
    """``+1.2 ± 0.3 (p 0.041)``; without what one seed cannot say."""
    if paired is None or paired.std is None:
        return None
    return f"{points(paired.mean)} ± {percent(paired.std)}" + ("" if paired.p is None else f" (p {paired.p:.2g})")


def figures_table(sweep: Sweep, found: Sequence[Variant]) -> Table:
    """For machines: each variant, task, metric and group of languages, as shares; empty where there is nothing."""
    methods = _methods(found)
    references = (BASELINE, *CONTROLS)
    columns = [Column(axis, axis) for axis in sweep.axes if axis != SEED]
    columns += [Column(name, name) for name in ("task", "metric", "group")]
    columns += [Column("languages", "languages", "count"), Column("seeds", "seeds", "count")]
    columns += [Column(f"{method}{end}", method, "share") for method in methods for end in ("", "_std")]
    for reference in references:
        name = f"realigned_minus_{reference}"
        columns += [
            Column(name, name, "change"),
            Column(f"{name}_std", name, "share"),
            Column(f"{name}_p", name, "share"),
        ]
    columns.append(Column("verdict", "verdict"))
    rows = []
    for variant in found:
        for (task, metric), groups in variant.rows.items():
            for row in groups:
                if row.group.languages:
                    rows.append((*variant.labels.values(), task, metric, *_figures(variant, row, methods, references)))
    return Table("Variants", tuple(columns), tuple(rows))


def _figures(variant: Variant, row: Row, methods: Sequence[str], references: Sequence[str]) -> tuple[Cell, ...]:
    scores = row.group.scores
    cells: list[Cell] = [row.group.name, len(row.group.languages), len(variant.seeds)]
    for method in methods:
        cells += [scores.values.get(method), scores.spread.get(method)]
    for reference in references:
        change: Difference | None = scores.differences.get(reference)
        paired = row.paired.get(reference)
        cells += [change, paired.std if paired else None, paired.p if paired else None]
    return (*cells, judge(row.group) if REALIGNED in scores.values else None)


def measure_tables(sweep: Sweep, found: Sequence[Variant]) -> list[Table]:
    """For each measure every variant over all target languages: each method, raw and centred."""
    tables = []
    for title in dict.fromkeys(measure_title(measure) for variant in found for measure in variant.measures):
        of = [(v, m) for v in found for m in v.measures if measure_title(m) == title]
        kinds = dict.fromkeys((method, kind) for _, m in of for method in m.methods for kind in m.variants)
        columns = (
            *(Column(axis, axis) for axis in sweep.axes if axis != SEED),
            *(Column(f"{method}_{kind}", f"{method}, {kind}", "share") for method, kind in kinds),
        )
        rows = [(*v.labels.values(), *(m.groups[0].values.get(kind) for kind in kinds)) for v, m in of]
        tables.append(Table(title, columns, tuple(rows)))
    return tables


def markdown_summary(sweep: Sweep, found: Sequence[Variant], failures: Mapping[str, Failure]) -> str:
    """The page for people: variants beside their controls, measures, what failed, how to read it."""
    done = len(sweep.cells) - len(failures)
    lines = [f"# {markdown(sweep.name)}\n", f"{done} of {counted(len(sweep.cells), 'cell')} finished.\n"]
    for task, metric in dict.fromkeys(pair for variant in found for pair in variant.rows):
        table = summary_table(sweep, found, task, metric)
        lines += [f"## {markdown(table.title)}\n", to_markdown(table)]
    for table in measure_tables(sweep, found):
        lines += [f"## {markdown(table.title)}\n", to_markdown(table)]
    low = [f"- {markdown(' '.join(v.labels.values()))}: {_low_text(v)}" for v in found if v.below]
    if low:
        lines += ["## Below always answering the most frequent label\n", LOW + "\n", *low, ""]
    if failures:
        lines += [
            "## Failed cells\n",
            *(f"- {markdown(n)}: {markdown(f.stage)}: {markdown(f.error)}" for n, f in failures.items()),
            "",
        ]
    lines += ["## How to read this\n", HONEST + "\n", reading_note(found)]
    return "\n".join(lines).rstrip() + "\n"


LOW = "There a model has learned nothing of the language, or the test's labels do not mean what the training's do."


def _low_text(variant: Variant) -> str:
    told = [f"{tag} ({count} of {counted(len(variant.seeds), 'seed')})" for tag, count in variant.below.items()]
    return ", ".join(told)


def reading_note(found: Sequence[Variant]) -> str:
    """What ±, intervals and p cover, and what they do not."""
    compared = sum(1 for variant in found if any(REALIGNED in one.methods for one in variant.summaries))
    return (
        "Figures are percent, averaged over languages and then over seeds; ± is one standard deviation over seeds. "
        f"Intervals in brackets: 95 %, from a paired bootstrap over test sentences ({RESAMPLES:,} resamples), averaged "
        "over seeds; they cover neither seeds nor the choice of languages. "
        "“Over seeds” pairs the methods seed by seed: mean difference, its standard deviation, and p of a two-sided "
        "paired t test, which with few seeds sees large differences only. "
        f"{counted(compared, 'variant')} compared, without correction for their number."
    )
