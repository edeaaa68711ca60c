"""The figures of a report and of a comparison as PNG, SVG and PDF."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from xrealign.report.context import BASELINE, ReportContext, metric_name
from xrealign.report.figure_languages import language_figure
from xrealign.report.figure_panels import heat_figure, layers_figure, map_figure, methods_figure, transfer_figure
from xrealign.report.figure_style import (
    FORMATS,
    fonts_for,
    save,
    style,
)
from xrealign.report.measures import Measure
from xrealign.report.page_chart import layer_charts, transfer_scatters
from xrealign.report.page_heat import run_heat
from xrealign.report.summary import Summary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from xrealign.report.comparison import Comparison, TaskComparison


def run_figures(
    summary: Summary,
    measures: Sequence[Measure],
    context: ReportContext,
    folder: str | Path,
    formats: Sequence[str] = FORMATS,
) -> list[Path]:
    """Writes the figures of a run and returns the files; those with nothing to show are left out.

    ``languages``: from baseline to realigned in each language, in the summary's order; ``families``: each method
    against the baseline, languages by family; ``map``; ``layers``: measures by layer; ``transfer``: changes of
    measures against changes of the task. A name whose script has no font gives way to the tag, and the figure says
    so. The same scores and fonts give the same bytes.
    """
    languages = {row.language.tag: row.language for row in summary.languages}
    fonts = fonts_for(language.name for language in languages.values())
    heat = run_heat(summary, f"{summary.task}, {metric_name(summary.metric)}")
    charts, scatters = layer_charts(measures), transfer_scatters(summary, measures)
    targets = {*summary.targets.languages, *summary.targets.left_out}
    changes = {
        row.language: row.scores.differences[BASELINE]
        for row in summary.languages
        if row.language.tag in targets and BASELINE in row.scores.differences
    }
    subset = {tag for tag, _ in context.get("subset", ())}
    with style(fonts):
        figures: dict[str, Figure | None] = {
            "languages": language_figure(summary, fonts),
            "families": heat_figure(heat, languages, fonts) if heat else None,
            "map": map_figure("realigned − baseline", changes, subset) if changes else None,
            "layers": layers_figure(charts) if charts else None,
            "transfer": transfer_figure(scatters) if scatters else None,
        }
        return [path for name, figure in figures.items() if figure for path in save(figure, folder, name, formats)]


def comparison_figures(comparison: Comparison, folder: str | Path, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Writes three figures for each model and task, and returns the files.

    ``methods-NAME``: each method over all target languages; ``families-NAME``: languages × methods by family;
    ``map-NAME``: the method with the largest gain. NAME is the model and task in letters, digits and dashes.
    """
    paths: list[Path] = []
    taken: dict[str, int] = {}
    for table in comparison.tasks:
        name = re.sub(r"[^a-z0-9]+", "-", table.title.lower()).strip("-") or "table"
        taken[name] = taken.get(name, 0) + 1
        name += f"-{taken[name]}" if taken[name] > 1 else ""
        paths += _table_figures(table, comparison.baseline, name, folder, formats)
    return paths


def _table_figures(
    table: TaskComparison, baseline: str, name: str, folder: str | Path, formats: Sequence[str]
) -> list[Path]:
    from xrealign.report.page_table import language_changes, language_heat

    languages = {line.language.tag: line.language for line in table.languages}
    fonts = fonts_for([*(language.name for language in languages.values()), *table.methods, table.title])
    title = f"{table.title}, {metric_name(table.metric)}"
    means = {m: found[baseline] for m, found in table.targets.changes.items() if baseline in found}
    if not means:
        return []
    heat = language_heat(table, baseline)
    best = max(means, key=lambda method: means[method].value)
    with style(fonts):
        figures: Mapping[str, Figure | None] = {
            "methods": methods_figure(title, baseline, means),
            "families": heat_figure(heat, languages, fonts) if heat else None,
            "map": map_figure(f"{title}: {best} − {baseline}", language_changes(table, best, baseline)),
        }
        found = [(kind, figure) for kind, figure in figures.items() if figure]
        return [path for kind, figure in found for path in save(figure, folder, f"{kind}-{name}", formats)]
