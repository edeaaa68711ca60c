"""The page of a comparison: any methods, models and tasks, whatever runs they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xrealign.report.comparison import Comparison, Scored, TaskComparison, is_control
from xrealign.report.comparison_tables import claims, p_text
from xrealign.report.context import METHODS, ReportContext
from xrealign.report.format import MISSING, counted, duration, percent, size
from xrealign.report.measures import Measure
from xrealign.report.page_chart import comparison_scatters, layer_charts
from xrealign.report.page_heat import Heat, HeatEntry, heat_map
from xrealign.report.page_parts import render
from xrealign.report.page_table import language_flags, table_view
from xrealign.report.verdict import HONEST, Kind

# Lines of all per-language plots together: more would make the page large; the heat maps hold everything.
MOST_LINES = 2000


def comparison_page(
    comparison: Comparison,
    runs: Sequence[ReportContext] = (),
    measures: Mapping[str, Sequence[Measure]] | None = None,
) -> str:
    """One self-contained page: results, groups, languages by family, plots, maps, what it cost, how to repeat it.

    Args:
        runs: what is known of the runs compared: subset, data, cost, warnings, commands.
        measures: model → its measures of alignment (``measure_summaries``), for curves and scatter plots.
    """
    numbers = {method: f"m{number}" for number, method in enumerate(comparison.methods)}
    budget = _budget(comparison)
    ringed = {tag for run in runs for tag, _ in run.get("subset", ())}
    group_names = tuple(
        dict.fromkeys(row.name for table in comparison.tasks for row in table.groups if row.kind == "group")
    )
    places = {name: str(number) for number, name in enumerate(group_names)}
    tables = [
        table_view(f"t{number}", table, comparison.baseline, numbers, places, budget, ringed, _majority(table, runs))
        for number, table in enumerate(comparison.tasks)
    ]
    warnings = [*comparison.notes, *_below_majority(comparison, runs)]
    warnings += [f"{run.get('run', '') or 'a run'}: {line}" for run in runs for line in run.get("warnings", ())]
    charts = [(model, chart) for model, found in (measures or {}).items() for chart in layer_charts(found)]
    scatters = [
        plot
        for table in comparison.tasks
        for plot in comparison_scatters(table, (measures or {}).get(table.model, ()), comparison.baseline)
    ]
    plotted = {
        method: " ".join(view.key for view in tables if method in {one.method for one in view.methods})
        for method in _by_gain(comparison)
    }
    maps = any(one.map for view in tables for one in view.methods)
    return render(
        "compare.html.jinja",
        maps=maps,
        sections=_sections(maps, bool(charts or scatters), bool(runs), len(warnings)),
        comparison=comparison,
        facts=_facts(comparison),
        lead=lead(comparison),
        overview=_overview(comparison) if len(tables) > 1 else None,
        tables=tables,
        picked=[(method, numbers[method], where) for method, where in plotted.items() if where],
        group_names=group_names,
        claims=claims(comparison),
        honest=HONEST,
        methods={method: _meaning(method, comparison.baseline) for method in comparison.methods},
        charts=charts,
        scatters=scatters,
        runs=[dict.fromkeys(ReportContext.__annotations__) | run for run in runs],
        warnings=warnings,
        durations=duration,
        sizes=size,
        counts="{:,}".format,
        score=score_text,
        p_text=p_text,
    )


def lead(comparison: Comparison) -> str:
    """The one claim there is, or how many of the comparisons came to which verdict."""
    sentences = claims(comparison)
    if len(sentences) == 1:
        return sentences[0]
    kinds = [kind for table in comparison.tasks for kind in table.targets.verdicts.values()]
    if not kinds:
        return f"There is nothing to compare with {comparison.baseline}."
    told: dict[Kind, str] = {
        "gain": "show a gain beyond both controls",
        "not beyond controls": f"are better than {comparison.baseline}, but not shown to be beyond both controls",
        "loss": "are worse",
        "no clear difference": "make no clear difference",
        "no claim": "cannot be judged",
    }
    counts = [f"{kinds.count(kind) or 'none'} {text}" for kind, text in told.items() if kind in kinds or kind == "gain"]
    return f"Of {len(kinds)} comparisons over all target languages, {'; '.join(counts)}."


def score_text(scored: Scored | None) -> str:
    """``58.7 ± 0.4`` in percent, without the spread for one seed."""
    if scored is None:
        return MISSING
    return percent(scored.mean) + (f" ± {percent(scored.std)}" if scored.std is not None else "")


def _facts(comparison: Comparison) -> list[str]:
    languages = {line.language for table in comparison.tasks for line in table.languages}
    seeds = max(len(table.seeds) for table in comparison.tasks)
    models = {table.model for table in comparison.tasks if table.model}
    return [
        *([counted(len(models), "model")] if models else []),
        counted(len({table.task for table in comparison.tasks}), "task"),
        counted(len(comparison.methods), "method"),
        counted(len(languages), "target language"),
        counted(seeds, "seed"),
    ]


def _meaning(method: str, baseline: str) -> str:
    plain_name, _, bracket = method.partition(" [")
    known = METHODS.get(plain_name, "another method")
    if method == baseline:
        return METHODS.get(method, "what the others are compared with")
    return known + (f", of {bracket.removesuffix(']')}" if bracket else "")


def _by_gain(comparison: Comparison) -> list[str]:
    """Methods that are compared, the largest mean gain over all tables first; controls after them."""
    gains: dict[str, list[float]] = {}
    for table in comparison.tasks:
        for method in table.methods:
            change = table.targets.changes.get(method, {}).get(comparison.baseline)
            if change is not None:
                gains.setdefault(method, []).append(change.value)
    return sorted(gains, key=lambda method: (is_control(method), -sum(gains[method]) / len(gains[method])))


def _budget(comparison: Comparison) -> int:
    """How many methods of each table are plotted language by language."""
    lines = sum(len(table.languages) for table in comparison.tasks)
    return max(1, MOST_LINES // max(lines, 1))


def _majority(table: TaskComparison, runs: Sequence[ReportContext]) -> dict[str, float]:
    """Tag → what always answering the most frequent label scores, where a run on this task says it."""
    found: dict[str, float] = {}
    for run in runs:
        if run.get("task") == table.task and table.metric == run.get("metric", table.metric):
            found |= run.get("majority", {})
    return found


def _below_majority(comparison: Comparison, runs: Sequence[ReportContext]) -> list[str]:
    warnings = []
    for table in comparison.tasks:
        majority = _majority(table, runs)
        low = [line.language.name or line.language.tag for line in table.languages if language_flags(line, majority)]
        if low:
            warnings.append(f"{table.title}: a method below always answering the most frequent label: {', '.join(low)}")
    return warnings


def _overview(comparison: Comparison) -> Heat:
    """Methods × (model, task): the mean difference over all target languages."""
    entries = []
    for method in _by_gain(comparison):
        changes = {}
        for table in comparison.tasks:
            change = table.targets.changes.get(method, {}).get(comparison.baseline)
            if change is not None:
                changes[table.title] = change
        entries.append(HeatEntry(method, "", "", None, changes))
    titles = [table.title for table in comparison.tasks]
    return heat_map("All methods over all target languages", comparison.baseline, titles, entries)


def _sections(maps: bool, measures: bool, runs: bool, warnings: int) -> list[tuple[str, str]]:
    found = [("results", "Results", True), ("groups", "Groups", True), ("languages", "Languages", True)]
    found += [("forest", "Language by language", True), ("map", "Map", maps), ("measures", "Measures", measures)]
    found += [("cost", "Data and cost", runs), ("warnings", f"Warnings ({warnings})", warnings > 0)]
    found += [("reproduce", "Reproduce", runs)]
    return [(anchor, text) for anchor, text, there in found if there]
