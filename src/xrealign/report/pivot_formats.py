"""A pivot as Markdown, CSV, LaTeX or JSON."""

from __future__ import annotations

from xrealign.escape import json_text, plain
from xrealign.report.pivot import Key, Pivot, PivotCell
from xrealign.report.text_table import TEXT_FORMATS, TextTable

FORMATS = ("csv", "md", "latex", "json")
BEYOND = "languages better / worse than {} by more than one standard deviation of it over seeds"


def write_pivot(table: Pivot, form: str, *, spread: bool = False, baseline: str | None = None) -> str:
    """The table in a format. With ``baseline`` also how many languages are better and worse than it.

    Cells are percentages; ``spread`` adds ± the standard deviation over seeds. CSV has the counts in columns of their
    own and leaves a missing cell empty; Markdown and LaTeX have them as ``9/1`` in a second table.
    """
    if form == "json":
        return _json(table)
    counts = baseline is not None and any(cell.counts for cell in table.cells.values())
    missing = "" if form == "csv" else "–"
    header = [*table.row_dimensions, *(_joined(column) for column in table.columns)]
    rows = [
        [*row, *(_text(table.cells.get((row, column)), spread, missing) for column in table.columns)]
        for row in table.rows
    ]
    if form == "csv" and counts:
        for name, side in (("better", "above"), ("worse", "below")):
            header += [f"{_joined(column)} / {name}" for column in table.columns]
            for line, row in zip(rows, table.rows, strict=True):
                line += [_count(table.cells.get((row, column)), side) for column in table.columns]
    names = len(table.row_dimensions)
    notes = (_what(table), *table.notes)
    made = [TextTable("", tuple(header), tuple(tuple(row) for row in rows), names, notes)]
    if counts and form != "csv":
        shown = [
            [*row, *(_counts(table.cells.get((row, column))) for column in table.columns)]
            for row in table.rows
            if any((cell := table.cells.get((row, column))) and cell.counts for column in table.columns)
        ]
        made.append(TextTable(BEYOND.format(baseline), tuple(header), tuple(tuple(row) for row in shown), names))
    return "\n".join(TEXT_FORMATS[form](one) for one in made)


def percentage(value: float, decimals: int) -> str:
    """A share as percent, ``80.90``."""
    return f"{100 * value:.{decimals}f}"


def _joined(key: Key) -> str:
    return " / ".join(part for part in key if part) or "score"


def _text(cell: PivotCell | None, spread: bool, missing: str) -> str:
    if cell is None:
        return missing
    text = percentage(cell.mean, cell.decimals)
    return f"{text} ± {percentage(cell.std, cell.decimals)}" if spread and cell.std is not None else text


def _count(cell: PivotCell | None, side: str) -> str:
    value = getattr(cell.counts, side) if cell is not None and cell.counts is not None else None
    return "" if value is None else str(value)


def _counts(cell: PivotCell | None) -> str:
    found = cell.counts if cell is not None else None
    return "–" if found is None or found.above is None else f"{found.above}/{found.below}"


def _what(table: Pivot) -> str:
    metrics = ", ".join(f"{task} {metric}" for task, metric in table.metrics.items())
    shown = {True: "language by language", False: "mean over target languages"}
    dimensions = (*table.row_dimensions, *table.column_dimensions)
    seeds = {cell.seeds for cell in table.cells.values()}
    over = "" if "seed" in dimensions else f", mean of {max(seeds)} seed{'' if max(seeds) == 1 else 's'}"
    return f"Percent; {shown['language' in dimensions]}{over}. Metrics: {metrics}."


def _json(table: Pivot) -> str:
    cells = []
    for (row, column), cell in table.cells.items():
        record: dict[str, object] = {
            name: plain(value)
            for names, key in ((table.row_dimensions, row), (table.column_dimensions, column))
            for name, value in zip(names, key, strict=True)
        }
        record |= {"value": cell.mean, "std": cell.std, "percent": percentage(cell.mean, cell.decimals)}
        record |= {"languages": cell.languages, "seeds": sorted(cell.values)}
        if cell.counts is not None:
            found = cell.counts
            record |= {"win": found.win, "tie": found.tie, "loss": found.loss}
            record |= {"above_one_std": found.above, "below_one_std": found.below}
        cells.append(record)
    whole = {
        "rows": list(table.row_dimensions),
        "columns": list(table.column_dimensions),
        "metrics": {plain(task): plain(metric) for task, metric in table.metrics.items()},
        "notes": [plain(note) for note in table.notes],
        "cells": cells,
    }
    return json_text(whole) + "\n"
