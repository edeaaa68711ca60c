"""Scores of links as text: a table for people, JSON, Markdown, CSV or LaTeX. No torch."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from xrealign.align.score import METRICS, LinkScores
from xrealign.align.score_parts import PairScores
from xrealign.errors import ConfigError, did_you_mean, visible
from xrealign.escape import csv_cell, json_text, latex, markdown

PARTS = ("value", "low", "high")
COUNTS = ("pair", "links", "sure", "possible", "links_sure", "links_possible")
Rows = list[list[str]]


def check_form(form: str, per_pair: bool = False, by_tag: bool = False) -> None:
    """Whether scores can be shown so.

    Raises:
        ConfigError: the form is unknown, or two tables are to go into one of CSV.
    """
    if form not in SCORE_FORMATS:
        known = ", ".join(SCORE_FORMATS)
        raise ConfigError(f"--format {form} is unknown; expected {known}{did_you_mean(form, SCORE_FORMATS)}")
    if form == "csv" and per_pair and by_tag:
        raise ConfigError("--format csv holds one table; ask for --per-pair or --tags, or take --format json")


def show_scores(
    scores: LinkScores,
    form: str,
    pairs: Sequence[PairScores] | None = None,
    tags: Mapping[str, LinkScores] | None = None,
) -> str:
    """The scores as text in one of `SCORE_FORMATS`, with those of each pair and of each tag where they are given.

    JSON and CSV are unrounded, undefined values are null or empty. JSON has the pairs under ``per_pair`` and the tags
    under ``by_tag``. CSV is one table: of the pairs, or else of the tags after the whole file (whose tag is empty).

    Raises:
        ConfigError: see `check_form`.
    """
    check_form(form, pairs is not None, tags is not None)
    if form == "json":
        record = scores.as_record()
        if pairs is not None:
            record["per_pair"] = [pair.as_record() for pair in pairs]
        if tags is not None:
            record["by_tag"] = {tag: part.as_record() for tag, part in tags.items()}
        return json_text(record)
    if form == "csv":
        return _csv(scores, pairs, tags)
    table = _TABLES[form]
    note = f"{scores.pairs} pairs, {scores.links} links; gold: {scores.sure} sure of {scores.possible} links"
    shown = [[_title(name), *(_rounded(v) for v in values)] for name, *values in _cells(scores)]
    blocks = [table(["measure", "value", "low", "high"], shown, note)]
    if tags is not None:
        head = ["tag", "pairs", "links", "sure", *(_title(name) for name in METRICS)]
        body = [
            [tag, str(part.pairs), str(part.links), str(part.sure), *(_interval(*c[1:]) for c in _cells(part))]
            for tag, part in tags.items()
        ]
        blocks.append(table(head, body, "by part of speech, in brackets 95 % intervals"))
    if pairs is not None:
        head = [*(name.replace("_", " and ") for name in COUNTS), *(_title(name) for name in METRICS)]
        rows = [pair.as_record() for pair in pairs]
        body = [[*(str(row[c]) for c in COUNTS), *(_rounded(row[m]) for m in METRICS)] for row in rows]
        blocks.append(table(head, body, "by sentence pair"))
    return "\n\n".join(blocks)


def _cells(scores: LinkScores) -> list[tuple[Any, ...]]:
    record = scores.as_record()
    return [(name, *(record[name][part] for part in PARTS)) for name in METRICS]


def _title(metric: str) -> str:
    return "AER" if metric == "aer" else metric


def _rounded(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _interval(value: float | None, low: float | None, high: float | None) -> str:
    return "–" if value is None else f"{value:.3f} ({low:.3f} to {high:.3f})"


def _csv(scores: LinkScores, pairs: Sequence[PairScores] | None, tags: Mapping[str, LinkScores] | None) -> str:
    if pairs is not None:
        head = [*COUNTS, *METRICS]
        rows = [[pair.as_record()[name] for name in head] for pair in pairs]
    elif tags is not None:
        head = ["tag", "measure", *PARTS]
        rows = [[csv_cell(tag), *cells] for tag, part in {"": scores, **tags}.items() for cells in _cells(part)]
    else:
        head, rows = ["measure", *PARTS], [list(cells) for cells in _cells(scores)]
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([head, *rows])
    return out.getvalue().rstrip("\n")


def _plain(head: list[str], rows: Rows, note: str) -> str:
    rows = [[visible(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    widths[0] = max(widths[0], 10)
    lines = []
    for cells in (head, *rows):
        first, *others = (cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
        lines.append(" ".join([first.strip().ljust(widths[0]), *others]))
    return "\n".join([*lines, note])


def _markdown(head: list[str], rows: Rows, note: str) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *([markdown(cell) for cell in r] for r in rows)]
    drawn = [f"|{'|'.join(line)}|" if line[0] == "---" else f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([*drawn, "", note])


def _latex(head: list[str], rows: Rows, note: str) -> str:
    body = [" & ".join(latex(cell) for cell in row) + r" \\" for row in rows]
    top = [f"% {note}", rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}", r"\toprule", " & ".join(head) + r" \\"]
    return "\n".join([*top, r"\midrule", *body, r"\bottomrule", r"\end{tabular}"])


_TABLES: Mapping[str, Callable[[list[str], Rows, str], str]] = {
    "table": _plain,
    "markdown": _markdown,
    "latex": _latex,
}
SCORE_FORMATS = ("table", "json", "markdown", "csv", "latex")
