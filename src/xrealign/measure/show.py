"""Measures as text: a table for people, Markdown, or plain records for machines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from xrealign.errors import visible
from xrealign.escape import markdown
from xrealign.measure.correlation import Correlation
from xrealign.measure.measures import DIRECTIONS
from xrealign.measure.results import MEAN, Change, Result

Rows = list[list[str]]
Table = Callable[[list[str], Rows, str], str]


def show_results(results: Sequence[Result], changes: Sequence[Change], table: Table) -> str:
    """A table for each measure: layers down, metrics or languages across, each cell ``raw / centred``.

    With several encoders a row for each, and the difference from the first with its 95 % interval. Each direction's
    own accuracy is left to the records.
    """
    encoders = list(dict.fromkeys(r.encoder for r in results))
    blocks = []
    for measure in dict.fromkeys(r.measure for r in results):
        rows = [r for r in results if r.measure == measure and not r.metric.endswith(DIRECTIONS)]
        targets = list(dict.fromkeys(_language(r) for r in rows))
        metrics = list(dict.fromkeys(r.metric for r in rows))
        moved = [c for c in changes if c.measure == measure and c.metric in metrics]
        if len(targets) == 1:
            title = f"{measure}, {targets[0]}, raw / centred"
            blocks.append(_block(title, rows, moved, encoders, metrics, lambda x: x.metric, table))
            continue
        for metric in metrics:
            title = f"{measure}: {metric}, raw / centred"
            part = [r for r in rows if r.metric == metric]
            change = [c for c in moved if c.metric == metric]
            blocks.append(_block(title, part, change, encoders, targets, _language, table))
    return "\n\n".join(blocks)


def _language(row: Result | Change) -> str:
    return row.tgt if row.tgt == MEAN or not row.src else f"{row.src}-{row.tgt}"


def _block(
    title: str,
    rows: Sequence[Result],
    changes: Sequence[Change],
    encoders: Sequence[str],
    columns: Sequence[str],
    column_of: Callable[[Any], str],
    table: Table,
) -> str:
    with_mean = [*columns, MEAN] if len({_language(r) for r in rows}) > 1 else list(columns)
    values: dict[tuple[int, str, str, str], float] = {}
    for row in rows:
        values[row.layer, row.encoder, column_of(row), row.variant] = row.number.value
    body = []
    for layer in sorted({r.layer for r in rows}):
        for name in encoders:
            cells = []
            for column in with_mean:
                own = columns if column == MEAN else [column]
                both = []
                for variant in ("raw", "centred"):
                    known = [values[k] for c in own if (k := (layer, name, c, variant)) in values]
                    both.append(f"{sum(known) / len(known):.3f}" if len(known) == len(own) else "–")
                cells.append(" / ".join(both))
            body.append([str(layer), *([name] if len(encoders) > 1 else []), *cells])
        for variant in ("raw", "centred"):
            for after in dict.fromkeys(c.after for c in changes):
                found = {column_of(c): c for c in changes if (c.layer, c.variant, c.after) == (layer, variant, after)}
                if found:
                    cells = [_interval(found.get(column)) for column in with_mean]
                    body.append([str(layer), f"{after} − {encoders[0]}, {variant}", *cells])
    head = ["layer", *(["encoder"] if len(encoders) > 1 else []), *with_mean]
    return table(head, body, title)


def _interval(change: Change | None) -> str:
    if change is None:
        return "–"
    told = f"{change.difference:+.3f}"
    return told if change.low is None else f"{told} ({change.low:+.3f} to {change.high:+.3f})"


def show_correlations(found: Sequence[Correlation], table: Table) -> str:
    """A row for each measure, layer and task, the highest |ρ| first within each task."""
    head = ["task", "measure", "variant", "layer", "rho", "95 % interval", "n", "languages", "seeds"]
    order = sorted(found, key=lambda c: (c.task, c.metric, -abs(c.rho or 0.0)))
    body = [
        [
            f"{c.task} {c.metric}",
            f"{c.measure} {c.measure_metric}",
            c.variant,
            "" if c.layer is None else str(c.layer),
            "–" if c.rho is None else f"{c.rho:+.3f}",
            "–" if c.low is None else f"{c.low:+.3f} to {c.high:+.3f}",
            str(c.n),
            str(c.languages),
            str(c.seeds),
        ]
        for c in order
    ]
    return table(head, body, "Spearman's rho of the measure with the relative transfer gap")


def plain_table(head: list[str], rows: Rows, title: str) -> str:
    """Columns set apart by blanks."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = ["  ".join(c.rjust(w) for c, w in zip(cells, widths, strict=True)).rstrip() for cells in (head, *rows)]
    return visible("\n".join([title, *lines]))


def markdown_table(head: list[str], rows: Rows, title: str) -> str:
    """A pipe table under its title."""
    cells = [[markdown(cell) for cell in row] for row in (head, *rows)]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join([f"**{markdown(title)}**", "", lines[0], f"|{'|'.join(['---:'] * len(head))}|", *lines[1:]])


TABLES: Mapping[str, Table] = {"table": plain_table, "md": markdown_table}
