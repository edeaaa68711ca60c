"""What the page of a comparison shows of one model and task: results, heat maps, plots, maps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xrealign.language import Language, script_names
from xrealign.report.changes import Change, Counts
from xrealign.report.comparison import GroupLine, LanguageLine, Scored, TaskComparison, is_control
from xrealign.report.context import CONTROLS, metric_name
from xrealign.report.format import counted, percent
from xrealign.report.page_heat import Heat, HeatEntry, by_family, heat_map, language_entry, search_text
from xrealign.report.page_map import WorldMap, gain_map
from xrealign.report.scale import Scale, scale_for
from xrealign.report.verdict import Kind


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One method over all target languages. ``against``: ``centred`` and ``control`` → change, where there is one."""

    method: str
    scored: Scored
    change: Change | None
    against: Mapping[str, Change | None]
    counts: Counts | None
    verdict: Kind | None


@dataclass(frozen=True, slots=True)
class ForestLine:
    """One language in a plot of one method."""

    name: str
    tag: str
    search: str
    groups: str
    change: Change


@dataclass(frozen=True, slots=True)
class MethodView:
    """One method's plot and map; ``key`` is its number among all methods of the page."""

    key: str
    method: str
    lines: tuple[ForestLine, ...]
    map: WorldMap | None


@dataclass(frozen=True, slots=True)
class TableView:
    """Everything shown of one model and task; ``left_out``: methods too many to plot."""

    key: str
    table: TaskComparison
    controls: tuple[str, ...]
    results: tuple[ResultRow, ...]
    groups: Heat | None
    languages: Heat | None
    scale: Scale
    methods: tuple[MethodView, ...]
    left_out: tuple[str, ...]


def table_view(
    key: str,
    table: TaskComparison,
    baseline: str,
    numbers: Mapping[str, str],
    places: Mapping[str, str],
    budget: int,
    ringed: set[str],
    majority: Mapping[str, float],
) -> TableView:
    """Everything of one model and task.

    Args:
        key: of this table on the page.
        numbers: method → its key on the page.
        places: group → what the filter calls it.
        budget: how many methods are plotted language by language.
        ringed: tags marked on maps.
        majority: tag → what always answering the most frequent label scores.
    """
    row = table.targets
    compared = [m for m in table.methods if m != baseline and row.changes.get(m, {}).get(baseline) is not None]
    compared.sort(key=lambda method: (is_control(method), -row.changes[method][baseline].value))
    known = [m for m in table.methods if any(baseline in line.changes.get(m, {}) for line in table.languages)]
    title = f"{table.title}, {metric_name(table.metric)}"
    groups = {
        line.language.tag: " ".join(places[name] for name in line.groups if name in places) for line in table.languages
    }
    views = tuple(
        MethodView(
            numbers[method],
            method,
            _forest(table, method, baseline, groups),
            gain_map(f"{title}: {method} − {baseline}", language_changes(table, method, baseline), ringed, groups),
        )
        for method in compared[:budget]
    )
    ends = [0.0]
    for view in views:
        for line in view.lines:
            ends += [line.change.interval.low, line.change.interval.high] if line.change.interval else []
            ends.append(line.change.value)
    return TableView(
        key,
        table,
        tuple(name for name in CONTROLS if any(method.partition(" [")[0] == name for method in table.methods)),
        tuple(_result(table, method, baseline) for method in table.methods if method in row.scores),
        heat_map(f"{title} by group", baseline, known, _group_entries(table, baseline)) if known else None,
        language_heat(table, baseline, groups, majority),
        scale_for(ends, 9),
        views,
        tuple(compared[budget:]),
    )


def language_heat(
    table: TaskComparison,
    baseline: str,
    groups: Mapping[str, str] | None = None,
    majority: Mapping[str, float] | None = None,
) -> Heat | None:
    """Languages by family × methods, as differences to the baseline; None where nothing is compared with it."""
    known = [m for m in table.methods if any(baseline in line.changes.get(m, {}) for line in table.languages)]
    if not known:
        return None
    entries = _entries(table, baseline, groups or {}, majority or {})
    return heat_map(f"{table.title}, {metric_name(table.metric)} by language", baseline, known, entries)


def _result(table: TaskComparison, method: str, baseline: str) -> ResultRow:
    row = table.targets
    changes = row.changes.get(method, {})
    return ResultRow(
        method,
        row.scores[method],
        changes.get(baseline),
        {name: _against(changes, name) for name in CONTROLS},
        row.counts.get(method),
        row.verdicts.get(method),
    )


def _against(changes: Mapping[str, Change], control: str) -> Change | None:
    return next((change for name, change in changes.items() if name.partition(" [")[0] == control), None)


def language_changes(table: TaskComparison, method: str, baseline: str) -> dict[Language, Change]:
    """Language → method − baseline, where both were scored."""
    return {
        line.language: line.changes[method][baseline]
        for line in table.languages
        if baseline in line.changes.get(method, {})
    }


def _forest(table: TaskComparison, method: str, baseline: str, groups: Mapping[str, str]) -> tuple[ForestLine, ...]:
    found = language_changes(table, method, baseline)
    order = sorted(found, key=lambda language: (-found[language].value, language.tag))
    return tuple(
        ForestLine(one.name or one.tag, one.tag, search_text(one), groups[one.tag], found[one]) for one in order
    )


def _entries(
    table: TaskComparison, baseline: str, groups: Mapping[str, str], majority: Mapping[str, float]
) -> list[HeatEntry]:
    lines = {line.language: line for line in table.languages}
    return [
        language_entry(
            language,
            _mean(lines[language].scores.get(baseline)),
            _to_baseline(lines[language], baseline),
            groups.get(language.tag, ""),
            language_flags(lines[language], majority),
        )
        for language in by_family(lines)
    ]


def _group_entries(table: TaskComparison, baseline: str) -> list[HeatEntry]:
    return [
        HeatEntry(
            script_names().get(row.name, row.name) if row.kind == "script" else row.name,
            counted(len(row.languages), "language"),
            "" if row.kind == "all" else row.kind,
            _mean(row.scores.get(baseline)),
            _to_baseline(row, baseline),
        )
        for row in table.groups
        if row.languages
    ]


def _to_baseline(line: GroupLine | LanguageLine, baseline: str) -> dict[str, Change]:
    return {method: found[baseline] for method, found in line.changes.items() if baseline in found}


def _mean(scored: Scored | None) -> float | None:
    return None if scored is None else scored.mean


def language_flags(line: LanguageLine, majority: Mapping[str, float]) -> tuple[str, ...]:
    """What to be careful about: methods that score below always answering the most frequent label."""
    least = majority.get(line.language.tag)
    low = [method for method, scored in line.scores.items() if least is not None and scored.mean < least]
    if not low or least is None:
        return ()
    return (f"below always answering its most frequent label ({percent(least)}): {', '.join(low)}",)
