"""The report on a terminal: readable at 80 columns, results on stdout."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from rich.box import Box
from rich.console import Console
from rich.padding import Padding
from rich.style import Style
from rich.table import Table
from rich.text import Text

from xrealign.report.context import BASELINE, METHODS, ReportContext, metric_name
from xrealign.report.format import MISSING, duration, percent, plain, points
from xrealign.report.measures import Measure
from xrealign.report.summary import Difference, LanguageRow, Summary
from xrealign.report.tables import gap_text, measure_title
from xrealign.report.verdict import headline, judge, seed_note

# A line under the heading and one blank between columns: at 80 columns every frame costs a column of figures.
_BOX = Box("    \n    \n ───\n    \n    \n ───\n    \n    \n")
_SHORT = {"baseline": "base"}
_STYLES = {"gain": "bold green", "loss": "bold red"}
_RANGE = 11


def print_summary(
    summary: Summary, measures: Sequence[Measure], warnings: Iterable[str], context: ReportContext, console: Console
) -> None:
    """Prints groups, languages, measures, what was compared, warnings and, last, the headline."""
    run = plain(context.get("run", ""))
    _heading(console, f"{summary.task}: {metric_name(summary.metric)} in percent{f' · {run}' if run else ''}")
    console.print(_group_table(summary, console.width))
    if gap := gap_text(summary):
        _line(console, gap)
    _heading(console, "By language")
    _print_languages(summary, console)
    for measure in measures:
        _heading(console, f"{measure_title(measure)} in percent (centred: language means subtracted)")
        console.print(_measure_table(measure, console.width))
    _heading(console, "What was compared")
    for method in summary.methods:
        _line(console, f"{method}: {METHODS.get(method, 'another method')}")
    seconds = context.get("seconds", {})
    if seconds:
        stages = ", ".join(f"{plain(name)} {duration(value)}" for name, value in seconds.items())
        _line(console, f"time: {duration(sum(seconds.values()))} ({stages})")
    found = list(warnings)
    if found:
        _heading(console, "Warnings")
        for text in found:
            _line(console, f"! {text}", "yellow")
    verdict = headline(summary)
    _heading(console, "Result")
    _line(console, verdict.sentence, _STYLES.get(verdict.kind, "bold"))
    _line(console, seed_note(summary))


def _heading(console: Console, text: str) -> None:
    console.print(Text("\n" + plain(text), style="bold"))


def _line(console: Console, text: str, style: str = "") -> None:
    console.print(Padding(Text(plain(text), style=style), (0, 0, 0, 2), expand=False))


def _table(columns: Sequence[tuple[str, int]], first: int, header: bool = True) -> Table:
    """A table of a text column ``first`` wide and right-aligned columns (title, width)."""
    table = Table(box=_BOX, padding=0, show_edge=False, header_style="dim")
    table.show_header = header
    for number, (title, width) in enumerate(columns):
        if number == 0:
            table.add_column(Text(title), width=first)
        else:
            table.add_column(Text(title), width=width, justify="right", no_wrap=True)  # a str would be markup
    return table


def _first_width(columns: Sequence[tuple[str, int]], width: int, longest: int) -> int:
    """What the other columns leave for the first, no more than it needs; a blank lies between two columns."""
    rest = sum(wide + 1 for _, wide in columns[1:])
    return max(10, min(longest, width - rest))


def _method_columns(methods: Sequence[str]) -> list[tuple[str, int]]:
    titles = [_SHORT.get(method, plain(method)) for method in methods]
    return [(title, max(len(title), 5)) for title in titles]


def _group_table(summary: Summary, width: int) -> Table:
    columns = [
        ("group", 0),
        ("n", 3),
        *_method_columns(summary.methods),
        ("difference", _RANGE),
        ("to control", _RANGE),
    ]
    table = _table(columns, _first_width(columns, width, 30))
    for row in (summary.targets, *summary.groups):
        best = row.scores.best_control
        table.add_row(
            Text.assemble(plain(row.name), "\n", (judge(row) if row.languages else "not scored", "dim")),
            str(len(row.languages)),
            *(percent(row.scores.values.get(method)) for method in summary.methods),
            _stacked(row.scores.differences.get(BASELINE)),
            _stacked(row.scores.differences.get(best) if best else None),
        )
    return table


def _print_languages(summary: Summary, console: Console) -> None:
    columns = [
        ("language", 0),
        ("tag", 8),
        ("labels", 6),
        *_method_columns(summary.methods),
        ("diff", 5),
        ("95 %", _RANGE),
    ]
    first = _first_width(columns, console.width, 40)
    for number, (group, rows) in enumerate(groupby(summary.languages, key=lambda row: row.group)):
        table = _table(columns, first, header=number == 0)
        for row in rows:
            table.add_row(*_language_cells(row, summary.methods, first))
        if number:
            console.print()
        console.print(Text(plain(group), style="italic"))
        console.print(table)
    if any(row.flags for row in summary.languages):
        _line(console, "* see the warnings below")


def _language_cells(row: LanguageRow, methods: Sequence[str], width: int) -> list[Text]:
    difference = row.scores.differences.get(BASELINE)
    found = difference.interval if difference else None
    mark = "*" if row.flags else ""
    name = Text(" " + plain(row.language.name or row.language.tag))
    name.truncate(width - len(mark), overflow="ellipsis")
    return [
        name.append(mark),
        Text(plain(row.language.tag), style="dim"),
        Text(MISSING if row.labels is None else str(row.labels)),
        *(Text(percent(row.scores.values.get(method))) for method in methods),
        Text(points(difference.value), style=_tone(difference)) if difference else Text(MISSING),
        Text(f"{points(found.low)}…{points(found.high)}" if found else "", style="dim"),
    ]


def _measure_table(measure: Measure, width: int) -> Table:
    columns = [("group", 0), ("n", 3)]
    for variant in measure.variants:
        for number, (title, wide) in enumerate([*_method_columns(measure.methods), ("diff", 5)]):
            columns.append(
                (f"{plain(variant) if number == 0 else ''}\n{title}", max(wide, 0 if number else len(variant)))
            )
    table = _table(columns, _first_width(columns, width, 30))
    for row in measure.groups:
        if not row.languages:
            continue
        cells = []
        for variant in measure.variants:
            cells += [percent(row.values.get((method, variant))) for method in measure.methods]
            cells.append(points(row.change(variant)))
        table.add_row(Text(plain(row.name)), str(len(row.languages)), *cells)
    return table


def _tone(difference: Difference) -> Style:
    found = difference.interval
    if found is None:
        return Style()
    return Style(color="green") if found.above_zero else Style(color="red") if found.below_zero else Style()


def _stacked(difference: Difference | None) -> Text:
    if difference is None:
        return Text(MISSING)
    text = Text(points(difference.value), style=_tone(difference))
    if difference.interval:
        text.append(f"\n{points(difference.interval.low)}…{points(difference.interval.high)}", style="dim")
    return text
