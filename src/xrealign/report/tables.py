"""Tables of a report as data, and the same table as Markdown, CSV, LaTeX or JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from xrealign.escape import csv_cell, json_text
from xrealign.report.context import BASELINE, REALIGNED, SOURCE_GROUP, ReportContext, language_of, metric_name
from xrealign.report.format import MISSING, latex, markdown, percent, plain, points
from xrealign.report.measures import Measure, MeasureRow
from xrealign.report.summary import Comparison, Difference, Facet, GroupRow, Summary, transfer_gaps
from xrealign.report.verdict import judge

Kind = Literal["text", "count", "share", "change"]
Cell = str | int | float | Difference | None


@dataclass(frozen=True, slots=True)
class Column:
    """``key`` for machines, ``title`` for people; ``change`` holds differences, signed, with intervals."""

    key: str
    title: str
    kind: Kind = "text"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells, one for each column, as raw values: shares stay shares until a format shows them."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


def group_table(summary: Summary) -> Table:
    """All target languages, then each group: macro-averages, differences, the verdict; the transfer gap as a note."""
    title = f"{summary.task}: {metric_name(summary.metric)} by group"
    note = ". ".join(part for part in (_left_out(summary), gap_text(summary)) if part)
    return _averages(title, summary, (summary.targets, *summary.groups), "group", note)


def facet_table(summary: Summary, facet: Facet) -> Table:
    """The target languages by family, by script or by resource class; columns as in ``group_table``."""
    title = f"{summary.task}: {metric_name(summary.metric)} by {facet.name}"
    return _averages(title, summary, facet.rows, facet.name)


def gap_table(summary: Summary) -> Table:
    """Each method's transfer gap: to all target languages, to each group, family, script and resource class.

    No rows where the source language has no score.
    """
    found = [("group", row) for row in (summary.targets, *summary.groups) if row.name != SOURCE_GROUP]
    found += [(facet.name, row) for facet in summary.facets for row in facet.rows]
    rows = []
    for kind, row in found:
        gaps = transfer_gaps(summary, row)
        if gaps:
            own = [gaps.get(method) for method in summary.methods]
            change = Difference(gaps[REALIGNED] - gaps[BASELINE], None) if {BASELINE, REALIGNED} <= set(gaps) else None
            rows.append((kind, row.name, len(row.languages), *own, change))
    columns = (
        Column("kind", "kind"),
        Column("group", "group"),
        Column("languages", "languages", "count"),
        *_method_columns(summary.methods),
        Column("change", "realigned − baseline", "change"),
    )
    title = f"{summary.task}: transfer gap of {metric_name(summary.metric)}"
    return Table(title, columns, tuple(rows), "Score in the source language − mean over the languages of the group.")


def gap_text(summary: Summary) -> str:
    """``Transfer gap (source language − mean of all target languages): baseline 21.3, realigned 18.0``, or nothing."""
    gaps = transfer_gaps(summary, summary.targets)
    told = ", ".join(f"{method} {percent(gaps[method])}" for method in summary.methods if method in gaps)
    return f"Transfer gap (source language − mean of all target languages): {told}" if told else ""


def _averages(title: str, summary: Summary, found: Sequence[GroupRow], first: str, note: str = "") -> Table:
    rows = []
    for row in found:
        best = row.scores.best_control
        cells: list[Cell] = [row.name, len(row.languages)]
        cells += [row.scores.values.get(method) for method in summary.methods]
        cells += [row.scores.differences.get(BASELINE), row.scores.differences.get(best) if best else None]
        rows.append((*cells, best, row.better, row.worse, judge(row) if row.languages else None))
    columns = (
        Column(first.replace(" ", "_"), first),
        Column("languages", "languages", "count"),
        *_method_columns(summary.methods),
        Column("change", "realigned − baseline", "change"),
        Column("change_best_control", "realigned − best control", "change"),
        Column("best_control", "best control"),
        Column("better", "better", "count"),
        Column("worse", "worse", "count"),
        Column("verdict", "verdict"),
    )
    return Table(title, columns, tuple(rows), note)


def language_table(summary: Summary) -> Table:
    """One row for each language, in the summary's order: by group, then by difference."""
    rows = []
    for row in summary.languages:
        best = row.scores.best_control
        cells: list[Cell] = [row.language.tag, row.language.name, row.language.family, row.group, row.n, row.labels]
        cells += [row.scores.values.get(method) for method in summary.methods]
        cells += [row.scores.differences.get(BASELINE), row.scores.differences.get(best) if best else None]
        rows.append((*cells, "; ".join([*row.also, *row.flags])))
    columns = (
        Column("language", "tag"),
        Column("name", "language"),
        Column("family", "family"),
        Column("group", "group"),
        Column("n", "n", "count"),
        Column("labels", "labels", "count"),
        *_method_columns(summary.methods),
        Column("change", "realigned − baseline", "change"),
        Column("change_best_control", "realigned − best control", "change"),
        Column("notes", "notes"),
    )
    return Table(f"{summary.task}: {metric_name(summary.metric)} by language", columns, tuple(rows))


def measure_table(measure: Measure) -> Table:
    """One row for each group: every method raw and centred beside each other, and the change in both."""
    rows = [(row.name, *_measure_cells(measure, row)) for row in measure.groups if row.languages]
    empty = [row.name for row in measure.groups if not row.languages]
    note = f"Not measured: {', '.join(empty)}" if empty else ""
    return Table(measure_title(measure), (Column("group", "group"), *_measure_columns(measure)), tuple(rows), note)


def measure_language_table(measure: Measure, context: ReportContext) -> Table:
    """One row for each language by name, columns as in ``measure_table`` but for the count of languages."""
    found = sorted(measure.languages, key=lambda row: language_of(row.name, context).name)
    rows = [(row.name, language_of(row.name, context).name, *_measure_cells(measure, row)[1:]) for row in found]
    columns = (Column("language", "tag"), Column("name", "language"), *_measure_columns(measure)[1:])
    return Table(f"{measure_title(measure)}, by language", columns, tuple(rows))


def measure_title(measure: Measure) -> str:
    """``sentence retrieval, accuracy, layer 12``."""
    layer = "" if measure.layer is None else f", layer {measure.layer}"
    return f"{measure.task.replace('-', ' ')}, {metric_name(measure.metric)}{layer}"


def _method_columns(methods: Sequence[str]) -> list[Column]:
    return [Column(method, method, "share") for method in methods]


def _measure_columns(measure: Measure) -> list[Column]:
    cells = [(method, variant) for method in measure.methods for variant in measure.variants]
    return [
        Column("languages", "languages", "count"),
        *(Column(f"{method}_{variant}", f"{method}, {variant}", "share") for method, variant in cells),
        *(Column(f"change_{variant}", f"change, {variant}", "change") for variant in measure.variants),
    ]


def _measure_cells(measure: Measure, row: MeasureRow) -> list[Cell]:
    cells: list[Cell] = [len(row.languages)]
    cells += [row.values.get((method, variant)) for method in measure.methods for variant in measure.variants]
    for variant in measure.variants:
        change = row.change(variant)
        cells.append(None if change is None else Difference(change, None))
    return cells


def _left_out(summary: Summary) -> str:
    parts = [
        f"{row.name}: {len(row.left_out)} left out because a score is missing ({', '.join(row.left_out)})"
        for row in summary.groups
        if row.left_out
    ]
    return ". ".join(parts)


def spread_text(scores: Comparison, method: str) -> str:
    """``58.7``, or ``58.7 ± 0.4`` where there are several seeds."""
    spread = scores.spread.get(method)
    value = percent(scores.values.get(method))
    return value if spread is None else f"{value} ± {percent(spread)}"


def cell_text(cell: Cell, kind: Kind) -> str:
    """A cell as people read it: shares in percent, differences in points with their interval."""
    if cell is None or cell == "":
        return MISSING if kind != "text" else ""
    if isinstance(cell, Difference):
        found = cell.interval
        return points(cell.value) + (f" [{points(found.low)}, {points(found.high)}]" if found else "")
    if isinstance(cell, str):
        return plain(cell)
    return percent(cell) if kind == "share" else f"{cell:,}"


def to_markdown(table: Table) -> str:
    """A GitHub table; everything from data is literal text."""
    numeric = [column.kind != "text" for column in table.columns]
    lines = [
        "| " + " | ".join(markdown(column.title) for column in table.columns) + " |",
        "|" + "|".join("---:" if right else "---" for right in numeric) + "|",
    ]
    for row in table.rows:
        cells = [cell_text(cell, column.kind) for cell, column in zip(row, table.columns, strict=True)]
        lines.append(
            "| " + " | ".join(_markdown_cell(text, right) for text, right in zip(cells, numeric, strict=True)) + " |"
        )
    return "\n".join(lines) + ("\n\n" + markdown(table.note) if table.note else "") + "\n"


def _markdown_cell(text: str, numeric: bool) -> str:
    return text if numeric else markdown(text)


def to_csv(table: Table) -> str:
    """Raw values: shares as shares, a difference in three columns ``key``, ``key_low``, ``key_high``."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    records = _records(table)
    writer.writerow(map(csv_cell, _flat_keys(table)))
    for record in records:
        writer.writerow(
            "" if v is None else csv_cell(v) if isinstance(v, str) else repr(v) if isinstance(v, float) else v
            for v in record.values()
        )
    return buffer.getvalue()


def to_json(table: Table) -> str:
    """``{"title", "note", "rows": [{key: value}]}`` with the keys and raw values of ``to_csv``."""
    return json_text({"title": plain(table.title), "note": plain(table.note), "rows": _records(table)})


def _flat_keys(table: Table) -> list[str]:
    keys = []
    for column in table.columns:
        keys.append(column.key)
        if column.kind == "change":
            keys += [f"{column.key}_low", f"{column.key}_high"]
    return keys


def _records(table: Table) -> list[dict[str, str | int | float | None]]:
    records = []
    for row in table.rows:
        record: dict[str, str | int | float | None] = {}
        for cell, column in zip(row, table.columns, strict=True):
            if column.kind == "change":
                found = cell if isinstance(cell, Difference) else None
                record[column.key] = found.value if found else None
                record[f"{column.key}_low"] = found.interval.low if found and found.interval else None
                record[f"{column.key}_high"] = found.interval.high if found and found.interval else None
            elif not isinstance(cell, Difference):
                record[column.key] = plain(cell) if isinstance(cell, str) else cell
        records.append(record)
    return records


def to_latex(table: Table) -> str:
    """A booktabs ``table`` (needs ``\\usepackage{booktabs}``; names in other scripts need XeLaTeX or LuaLaTeX)."""
    align = "".join("l" if column.kind == "text" else "r" for column in table.columns)
    lines = [r"\begin{table}", r"\centering", rf"\begin{{tabular}}{{{align}}}", r"\toprule"]
    lines += [" & ".join(latex(column.title) for column in table.columns) + r" \\", r"\midrule"]
    for row in table.rows:
        cells = [latex(cell_text(cell, column.kind)) for cell, column in zip(row, table.columns, strict=True)]
        lines.append(" & ".join(cells) + r" \\")
    caption = latex(table.title + (f". {table.note}" if table.note else ""))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", rf"\caption{{{caption}}}", r"\end{table}"]) + "\n"


FORMATS: Mapping[str, Callable[[Table], str]] = {
    "md": to_markdown,
    "csv": to_csv,
    "latex": to_latex,
    "json": to_json,
}
