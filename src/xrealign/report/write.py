"""The whole report of a run: into a folder, or on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from xrealign.report.context import METHODS, Groups, ReportContext, check_context
from xrealign.report.figure_style import FORMATS
from xrealign.report.figures import run_figures
from xrealign.report.format import code_block, counted, markdown
from xrealign.report.html import html_page
from xrealign.report.measures import Measure, measure_summaries
from xrealign.report.scores import check_scores, write_scores
from xrealign.report.stats import Items
from xrealign.report.summary import Summary, further_summaries, summarise
from xrealign.report.tables import facet_table, gap_table, group_table, language_table, measure_table, to_markdown
from xrealign.report.terminal import print_summary
from xrealign.report.verdict import HONEST, headline, seed_note, summary_warnings
from xrealign.types import Score
from xrealign.writing import write_atomic


def write_report(
    scores: Sequence[Score],
    groups: Groups,
    context: ReportContext,
    folder: str | Path,
    items: Items | None = None,
    figures: Sequence[str] = FORMATS,
) -> Path:
    """Writes ``scores.parquet``, ``scores.csv``, ``report.html``, ``report.md`` and ``figures/`` (PNG, SVG, PDF).

    ``items`` maps (method, language) to correct-or-not per test sentence, in one order for all methods; without it
    there are no intervals and nothing is claimed. ``figures`` are the forms they are saved in; with none, nothing is
    drawn. Returns the path of the page.

    Raises:
        DataError: scores or items that cannot be compared, or an unknown key in ``context``.
    """
    folder = Path(folder)
    summary, others, measures, warnings = _gather(scores, groups, context, items)
    page = html_page(summary, measures, context, warnings, others)
    write_scores(scores, folder / "scores.parquet")
    write_scores(scores, folder / "scores.csv")
    write_atomic(folder / "report.md", markdown_report(summary, measures, context, warnings, others))
    if figures:
        run_figures(summary, measures, context, folder / "figures", figures)
    write_atomic(folder / "report.html", page)
    return folder / "report.html"


def print_report(
    scores: Sequence[Score],
    groups: Groups,
    context: ReportContext,
    items: Items | None = None,
    console: Console | None = None,
) -> None:
    """Prints the report on stdout (or ``console``); arguments and errors as for ``write_report``."""
    summary, _, measures, warnings = _gather(scores, groups, context, items)
    print_summary(summary, measures, warnings, context, console or Console())


def markdown_report(
    summary: Summary,
    measures: Sequence[Measure],
    context: ReportContext,
    warnings: Sequence[str] = (),
    others: Sequence[Summary] = (),
) -> str:
    """The report as Markdown: result, groups, transfer gaps, languages, measures, warnings, how to reproduce it."""
    tables = [group_table(summary), *(facet_table(summary, facet) for facet in summary.facets)]
    tables += [table for table in (gap_table(summary),) if table.rows]
    tables += [*(group_table(other) for other in others), language_table(summary)]
    tables += [measure_table(measure) for measure in measures]
    lines = [f"# {markdown(context.get('run', '') or 'Report')}\n", markdown(headline(summary).sentence) + "\n"]
    lines += [markdown(seed_note(summary)) + "\n", HONEST + "\n"]
    lines += [f"- **{markdown(method)}**: {METHODS.get(method, 'another method')}" for method in summary.methods]
    for table in tables:
        lines += [f"\n## {markdown(table.title)}\n", to_markdown(table)]
    if warnings:
        lines += [f"## {counted(len(warnings), 'warning')}\n", *(f"- {markdown(line)}" for line in warnings)]
    if context.get("command"):
        lines += ["\n## How to reproduce\n", code_block(context["command"], "sh")]
    if context.get("config"):
        lines += ["", code_block(context["config"], "toml")]
    return "\n".join(lines).rstrip() + "\n"


def _gather(
    scores: Sequence[Score], groups: Groups, context: ReportContext, items: Items | None
) -> tuple[Summary, list[Summary], list[Measure], list[str]]:
    check_context(context)
    check_scores(scores)
    summary = summarise(scores, groups, context, items)
    others = further_summaries(scores, groups, context, items, summary)
    warnings = [*context.get("warnings", ()), *summary_warnings(summary)]
    return summary, others, measure_summaries(scores, groups, context), warnings
