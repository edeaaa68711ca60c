"""Selections as text: JSON, Markdown, CSV, LaTeX, and a plain table for the terminal."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from xrealign import escape
from xrealign.errors import ConfigError, did_you_mean, visible
from xrealign.language import Language
from xrealign.select.criteria import family_of
from xrealign.select.explain import Reason, proof
from xrealign.select.selection import Selection

FORMATS = ("table", "markdown", "csv", "latex", "json")
Rows = list[list[str]]


def as_record(selection: Selection, reasons: Sequence[Reason] = ()) -> dict[str, Any]:
    """A selection as plain data: codes, numbers and text, ready for JSON."""
    record: dict[str, Any] = {
        "subset": [language.iso for language in selection.subset],
        "value": selection.value,
        "bound": selection.bound,
        "optimal": selection.optimal,
        "seconds": round(selection.seconds, 4),
        "gap": selection.gap,
        "fixed": [language.iso for language in selection.fixed],
        "targets": [language.iso for language in selection.targets],
        "k": len(selection.subset),
        "criterion": selection.criterion,
        "distance": selection.distance,
        "missing": selection.missing,
        "method": selection.method,
        "tags": [language.tag for language in selection.subset],
        "members": [
            {
                "language": language.iso,
                "name": language.name,
                "family": language.family,
                "script": language.script,
                "contribution": selection.contributions.get(language),
                "coverage": selection.coverage.get(language),
                "fixed": language in selection.fixed,
            }
            for language in [*selection.subset, *selection.fixed]
        ],
        "diversity": selection.diversity,
        "notes": selection.notes,
    }
    if reasons:
        record["reasons"] = [
            {
                "language": reason.language.iso,
                "contribution": reason.contribution,
                "farthest": None if reason.farthest is None else [reason.farthest[0].iso, reason.farthest[1]],
                "nearest": None if reason.nearest is None else [reason.nearest[0].iso, reason.nearest[1]],
                "runner_up": None if reason.runner_up is None else reason.runner_up.iso,
                "runner_up_loss": reason.loss,
                "without_data": {
                    "leave": [x.iso for x in reason.without[0]],
                    "come": [x.iso for x in reason.without[1]],
                    "loss": reason.without_loss,
                },
            }
            for reason in reasons
        ]
    return record


def _members(selection: Selection) -> Rows:
    rows = [["language", "name", "family", "script", "contribution", "known"]]
    for language in [*selection.subset, *selection.fixed]:
        contribution = selection.contributions.get(language)
        shown = "fixed" if contribution is None else f"{contribution:.4f}"
        rows.append(
            [language.iso, language.name, family_of(language), language.script, shown, _known(selection, language)]
        )
    return rows


def _known(selection: Selection, language: Language) -> str:
    share = selection.coverage.get(language)
    return "" if share is None else f"{share:.0%}"


def markdown(rows: Rows) -> str:
    """A GitHub table; the first row is the head."""
    escaped = [[escape.markdown(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in escaped) for i in range(len(rows[0]))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in escaped]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(lines)


def comma_separated(rows: Rows) -> str:
    """RFC 4180 text with ``\\n`` line ends."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([escape.csv_cell(cell) for cell in row] for row in rows)
    return text.getvalue().rstrip("\n")


def latex(rows: Rows) -> str:
    """A booktabs tabular."""

    def line(row: list[str]) -> str:
        return " & ".join(escape.latex(cell) for cell in row) + r" \\"

    body = [line(row) for row in rows[1:]]
    columns = "l" * len(rows[0])
    head = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", line(rows[0]), r"\midrule"]
    return "\n".join([*head, *body, r"\bottomrule", r"\end{tabular}"])


def plain(rows: Rows) -> str:
    """Aligned columns for a terminal."""
    rows = [[visible(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)


WRITERS = {"table": plain, "markdown": markdown, "csv": comma_separated, "latex": latex}


def check_format(name: str) -> None:
    """Raises ConfigError for a format nobody writes."""
    if name not in FORMATS:
        known = ", ".join(FORMATS)
        raise ConfigError(f"unknown format {name!r}; expected one of {known}{did_you_mean(name, FORMATS)}")


def render(selection: Selection, form: str = "table", reasons: Sequence[Reason] = ()) -> str:
    """A selection in one of :data:`FORMATS`."""
    check_format(form)
    if form == "json":
        return escape.json_text(as_record(selection, reasons))
    text = WRITERS[form](_members(selection))
    if form in ("csv", "latex"):
        return text
    measures = ", ".join(f"{name} {value:.3f}".rstrip("0").rstrip(".") for name, value in selection.diversity.items())
    head = f"{selection.criterion} on {selection.distance}: {selection.value:.4f}, {proof(selection)}"
    lines = [f"{head} ({selection.method}, {selection.seconds:.2f} s).", f"Diversity: {measures}."]
    lines += [f"Note: {note}." for note in selection.notes]
    return "\n".join([text, "", *map(escape.markdown if form == "markdown" else visible, lines)])


def compare_rows(selections: dict[str, Selection], costs: dict[Language, float] | None = None) -> Rows:
    """One row for each criterion: subset, proof, diversity, overlap with each other one, cost."""
    names = list(selections)
    measures = list(dict.fromkeys(key for selection in selections.values() for key in selection.diversity))
    rows = [["criterion", "value", "gap", *measures, *(f"shared with {name}" for name in names)]]
    rows[0] += (["cost"] if costs is not None else []) + ["subset"]
    for name, selection in selections.items():
        members = set(selection.subset)
        gap = "" if selection.gap is None else f"{selection.gap:.2%}"
        row = [name, f"{selection.value:.4f}", gap]
        row += [f"{selection.diversity[key]:.3f}" if key in selection.diversity else "" for key in measures]
        row += [str(len(members & set(selections[other].subset))) for other in names]
        if costs is not None:
            row.append(f"{sum(costs.get(language, 0.0) for language in members):g}")
        rows.append([*row, " ".join(language.iso for language in selection.subset)])
    return rows


def render_comparison(
    selections: dict[str, Selection], form: str = "table", costs: dict[Language, float] | None = None
) -> str:
    """Several selections side by side in one of :data:`FORMATS`."""
    check_format(form)
    if form == "json":
        overlap = {
            a: {b: len(set(selections[a].subset) & set(selections[b].subset)) for b in selections} for a in selections
        }
        record: dict[str, Any] = {"criteria": {n: as_record(s) for n, s in selections.items()}, "overlap": overlap}
        if costs is not None:
            record["cost"] = {n: sum(costs.get(x, 0.0) for x in s.subset) for n, s in selections.items()}
        return escape.json_text(record)
    return WRITERS[form](compare_rows(selections, costs))
