"""The page of one run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from xrealign.report.context import (
    BASELINE,
    CONTROLS,
    METHODS,
    REALIGNED,
    DataSource,
    ReportContext,
    language_of,
    metric_name,
)
from xrealign.report.format import duration, percent, points, size
from xrealign.report.measures import Measure
from xrealign.report.page_chart import last_layers, layer_charts, transfer_scatters
from xrealign.report.page_heat import run_heat, search_text
from xrealign.report.page_map import WorldMap, gain_map
from xrealign.report.page_parts import range_text, render
from xrealign.report.scale import Scale, scale_for
from xrealign.report.summary import LanguageRow, Summary
from xrealign.report.tables import (
    Table,
    facet_table,
    group_table,
    measure_language_table,
    measure_table,
    measure_title,
)
from xrealign.report.verdict import HONEST, headline, seed_note

# Marks of the per-language plot; other methods appear in the tables only.
_DRAWN = (BASELINE, *CONTROLS, REALIGNED)


def html_page(
    summary: Summary,
    measures: Sequence[Measure],
    context: ReportContext,
    warnings: Iterable[str] = (),
    others: Sequence[Summary] = (),
) -> str:
    """The report as one page. ``others``: further metrics and tasks, shown by group."""
    lines = list(warnings)
    shown = last_layers(measures)
    measure_scale = scale_for(
        (value for measure in shown for row in measure.groups for value in row.values.values()), 11, (0, 1)
    )
    title = f"{summary.task}, {metric_name(summary.metric)}"
    heat, world = run_heat(summary, title), run_map(summary, context)
    return render(
        "report.html.jinja",
        maps=world is not None,
        sections=_sections(heat is not None, world is not None, bool(measures), len(lines)),
        summary=summary,
        context=dict.fromkeys(ReportContext.__annotations__) | context,
        data=[dict.fromkeys(DataSource.__annotations__) | source for source in context.get("data", ())],
        verdict=headline(summary),
        seed_note=seed_note(summary),
        honest=HONEST,
        methods={method: METHODS.get(method, "another method") for method in summary.methods},
        drawn=[method for method in _DRAWN if method in summary.methods],
        group_table=group_table(summary),
        facets=[facet_table(summary, facet) for facet in summary.facets],
        forest=_forest(summary),
        languages=_languages(summary),
        heat=heat,
        map=world,
        layer_charts=layer_charts(measures),
        scatters=transfer_scatters(summary, measures),
        measures=[_measure_view(measure, context, measure_scale) for measure in shown],
        others=[group_table(other) for other in others],
        subset=[(language_of(tag, context), why) for tag, why in context.get("subset", ())],
        pairs=_bars((language_of(tag, context).name or tag, count) for tag, count in context.get("pairs", {}).items()),
        seconds=_bars(context.get("seconds", {}).items()),
        steps=_bars(context.get("steps", {}).items()),
        disk=_bars(context.get("disk", {}).items()),
        durations=duration,
        counts="{:,}".format,
        sizes=size,
        warnings=lines,
    )


def run_map(summary: Summary, context: ReportContext) -> WorldMap | None:
    """Where realignment helped: its difference to the baseline in each target language."""
    numbers = {row.name: str(number) for number, row in enumerate(summary.groups)}
    targets = {*summary.targets.languages, *summary.targets.left_out}
    rows = [row for row in summary.languages if row.language.tag in targets and BASELINE in row.scores.differences]
    return gain_map(
        "realigned − baseline",
        {row.language: row.scores.differences[BASELINE] for row in rows},
        {tag for tag, _ in context.get("subset", ())},
        {row.language.tag: " ".join(numbers[group] for group in (row.group, *row.also)) for row in rows},
    )


def _sections(heat: bool, world: bool, measures: bool, warnings: int) -> list[tuple[str, str]]:
    found = [("groups", "Groups", True), ("languages", "Languages", True), ("methods", "Families", heat)]
    found += [("map", "Map", world), ("measures", "Measures", measures), ("selection", "Selection", True)]
    found += [("cost", "Data and cost", True), ("warnings", f"Warnings ({warnings})", warnings > 0)]
    return [(anchor, text) for anchor, text, there in (*found, ("reproduce", "Reproduce", True)) if there]


def _languages(summary: Summary) -> dict[str, Any]:
    numbers = {row.name: number for number, row in enumerate(summary.groups)}
    values = [
        row.scores.values[method] for row in summary.languages for method in _DRAWN if method in row.scores.values
    ]
    sections: dict[str, list[dict[str, Any]]] = {}
    for row in summary.languages:
        name = row.language.name or row.language.tag
        family = row.language.family or ""
        sections.setdefault(row.group, []).append(
            {
                "row": row,
                "name": name,
                "family": family,
                "change": row.scores.differences.get(BASELINE),
                "to_control": row.scores.differences.get(row.scores.best_control or ""),
                "groups": " ".join(str(numbers[group]) for group in (row.group, *row.also)),
                "search": search_text(row.language),
                "label": _spoken(name, row, summary.methods),
                "whisker": _whisker(row),
            }
        )
    return {"sections": sections, "scale": scale_for(values, 11, (0, 1))}


def _whisker(row: LanguageRow) -> tuple[float, float] | None:
    """The interval of the difference, drawn from the baseline, cut to the possible scores."""
    change = row.scores.differences.get(BASELINE)
    if change is None or change.interval is None:
        return None
    base = row.scores.values[BASELINE]
    return max(0.0, base + change.interval.low), min(1.0, base + change.interval.high)


def _spoken(name: str, row: LanguageRow, methods: Sequence[str]) -> str:
    parts = [f"{method} {percent(row.scores.values[method])}" for method in methods if method in row.scores.values]
    change = row.scores.differences.get(BASELINE)
    text = f"{name} ({row.language.tag}): {', '.join(parts)}"
    if change:
        text += f"; difference {points(change.value)} points"
        text += f" ({range_text(change)})" if change.interval else ""
    return "; ".join([text, *row.flags])


def _forest(summary: Summary) -> dict[str, Any]:
    """Differences of each group to the baseline and to each control, on one axis that holds zero."""
    rows = [row for row in (summary.targets, *summary.groups) if row.scores.differences]
    ends = [0.0]
    for row in rows:
        for difference in row.scores.differences.values():
            found = difference.interval
            ends += [found.low, found.high] if found else [difference.value]
    return {"rows": rows, "scale": scale_for(ends, 9)}


def _measure_view(measure: Measure, context: ReportContext, scale: Scale) -> dict[str, Any]:
    tables: tuple[Table, Table] = (measure_table(measure), measure_language_table(measure, context))
    return {
        "title": measure_title(measure),
        "measure": measure,
        "rows": [row for row in measure.groups if row.languages],
        "table": tables[0],
        "languages": tables[1],
        "scale": scale,
    }


def _bars(entries: Iterable[tuple[str, float]] | Mapping[str, float]) -> list[tuple[str, float, str]]:
    """(name, value, width of its bar as an SVG length), in the order given."""
    found = list(entries.items() if isinstance(entries, Mapping) else entries)
    most = max((value for _, value in found), default=0) or 1
    return [(name, value, f"{100 * value / most:.2f}%") for name, value in found]
