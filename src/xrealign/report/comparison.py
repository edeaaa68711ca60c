"""Scores of any number of methods, models and tasks, compared: each language, each group, all target languages.

``compare_scores`` makes plain data that tables, pages and figures show; nothing here draws or writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xrealign.errors import DataError, did_you_mean
from xrealign.language import Language
from xrealign.report.changes import Changes, compare_columns, compare_groups, count_languages, judge_changes
from xrealign.report.compared import Comparison, GroupLine, LanguageLine, Scored, TaskComparison
from xrealign.report.context import BASELINE, CONTROLS, METHODS, SOURCE_GROUP, Groups, ReportContext, language_of
from xrealign.report.facets import parts
from xrealign.report.format import counted
from xrealign.report.pivot import task_metrics
from xrealign.report.stats import Items as SentenceItems
from xrealign.report.stats import Shares, mean_std
from xrealign.types import Score

__all__ = [
    "ALL",
    "SOURCE",
    "Comparison",
    "GroupLine",
    "Items",
    "LanguageLine",
    "Scored",
    "TaskComparison",
    "compare_scores",
    "controls_of",
    "is_control",
]

ALL = "all target languages"
SOURCE = "eng_Latn"
FEWEST_SEEDS = 4

# (model, task, method, language) → correct or not (or a share) per test sentence, in one order for all methods.
Items = Mapping[tuple[str, str, str, str], ArrayLike | Shares]


class _Cube(NamedTuple):
    """One table's values: (methods, seeds, languages), NaN where there is none."""

    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    tags: tuple[str, ...]
    values: NDArray[np.float64]


def compare_scores(
    scores: Sequence[Score],
    *,
    baseline: str = BASELINE,
    metrics: Mapping[str, str] | None = None,
    groups: Groups | None = None,
    source: str = SOURCE,
    items: Items | None = None,
    context: ReportContext | None = None,
) -> Comparison:
    """Compares every method with ``baseline`` and with the controls, for each model and task.

    Args:
        scores: of tasks; measures (rows with a variant) are passed over.
        baseline: name of the method that the others are compared with.
        metrics: task → metric; else each task's main one (``pivot.main_metric``).
        groups: name → tags, such as the subset and unseen languages; families and scripts are added. A group
            ``source`` names the source language.
        source: tag of the source language where ``groups`` does not say; it is left out of all averages.
        items: what each test sentence got, for tables with a single seed.
        context: names of languages that the package does not know, and resource classes.

    A control is called ``centred`` or ``control``, or such a name with the same bracket as the method's:
    ``realigned [front]`` is compared with ``control [front]`` if there is one, else with ``control``.

    Raises:
        DataError: no scores of a task; one score twice; no table has the baseline; items that do not fit.
    """
    chosen, metric_of = _chosen(scores, metrics or {})
    known = dict.fromkeys(score.method for score in chosen)
    if baseline not in known:
        raise DataError(
            f"no scores of the baseline {baseline!r}{did_you_mean(baseline, known)}; methods: {list(known)}"
        )
    named = {name: tuple(dict.fromkeys(tags)) for name, tags in (groups or {}).items()}
    sources = set(named.pop(SOURCE_GROUP, (source,)))
    parts: dict[tuple[str, str], list[Score]] = {}
    for score in chosen:
        parts.setdefault((score.model, score.task), []).append(score)
    tables: list[TaskComparison] = []
    notes: dict[str, list[str]] = {}
    for (model, task), rows in parts.items():
        cube = _cube(rows, baseline)
        own = {key[2:]: values for key, values in (items or {}).items() if key[:2] == (model, task)}
        table = _compare(model, task, metric_of[task], cube, baseline, named, sources, own, context or {})
        tables.append(table)
        for note in _notes(table, cube, baseline):
            notes.setdefault(note, []).append(table.title)
    return Comparison(baseline, tuple(tables), _by_table(notes, len(tables)))


def controls_of(method: str, methods: Sequence[str]) -> tuple[str, ...]:
    """The controls of a method among ``methods``: of its own bracket, else without one; none for a control."""
    if is_control(method):
        return ()
    bracket = method[method.index(" [") :] if " [" in method and method.endswith("]") else ""
    found = []
    for name in CONTROLS:
        found += [one for one in (f"{name}{bracket}", name) if one in methods][:1]
    return tuple(found)


def is_control(method: str) -> bool:
    """Whether it is a control: ``centred``, ``control [front]``."""
    return method.partition(" [")[0] in CONTROLS


def _chosen(scores: Sequence[Score], metrics: Mapping[str, str]) -> tuple[list[Score], dict[str, str]]:
    metric_of = task_metrics(scores, metrics)
    chosen = [s for s in scores if not s.variant and s.layer is None and s.metric == metric_of[s.task]]
    return chosen, metric_of


def _cube(rows: Sequence[Score], baseline: str) -> _Cube:
    methods = _ordered(dict.fromkeys(row.method for row in rows), baseline)
    seeds = tuple(sorted({row.seed for row in rows}))
    tags = tuple(sorted({row.language for row in rows}))
    places = [{name: number for number, name in enumerate(axis)} for axis in (methods, seeds, tags)]
    values = np.full((len(methods), len(seeds), len(tags)), np.nan)
    for row in rows:
        place = places[0][row.method], places[1][row.seed], places[2][row.language]
        if not np.isnan(values[place]):
            raise DataError(
                f"{row.task} {row.metric} of {row.method}, {row.language}, seed {row.seed}"
                f"{f', {row.model}' if row.model else ''} is there twice; give runs' methods or models different names"
            )
        values[place] = row.value
    return _Cube(methods, seeds, tags, values)


def _ordered(methods: Mapping[str, None], baseline: str) -> tuple[str, ...]:
    """The baseline, the controls, then xrealign's own, then others in the order in which they were found."""
    places = {name: number for number, name in enumerate(methods)}
    known = list(METHODS)

    def rank(method: str) -> tuple[int, int, int]:
        plain = method.partition(" [")[0]
        return (
            0 if method == baseline else 1 if is_control(method) else 2,
            known.index(plain) if plain in known else len(known),
            places[method],
        )

    return tuple(sorted(methods, key=rank))


def _compare(
    model: str,
    task: str,
    metric: str,
    cube: _Cube,
    baseline: str,
    groups: Mapping[str, Sequence[str]],
    sources: set[str],
    items: SentenceItems,
    context: ReportContext,
) -> TaskComparison:
    references = {
        method: tuple(
            one
            for one in dict.fromkeys((baseline, *controls_of(method, cube.methods)))
            if one in cube.methods and one != method
        )
        for method in cube.methods
    }
    pairs = [(method, reference) for method in cube.methods for reference in references[method]]
    languages = {tag: language_of(tag, context) for tag in cube.tags}
    changes: dict[str, Changes] = {}
    for of_source in (False, True):  # the source language is not one of those that p is corrected for
        columns = [number for number, tag in enumerate(cube.tags) if (tag in sources) == of_source]
        tags = [cube.tags[number] for number in columns]
        changes |= compare_columns(cube.methods, cube.values[:, :, columns], tags, pairs, items)
    lines = []
    for column, tag in enumerate(cube.tags):
        scores = {
            method: scored
            for row, method in enumerate(cube.methods)
            if (scored := _scored(cube.seeds, cube.values[row, :, column])) is not None
        }
        member_of = tuple(name for name, tags in groups.items() if tag in tags)
        lines.append(LanguageLine(languages[tag], member_of, scores, changes[tag]))
    lines.sort(key=lambda line: (line.language.family or "~", line.language.name or line.language.tag))
    targets = [line for line in lines if line.language.tag not in sources]
    source = next((line for line in lines if line.language.tag in sources), None)
    return TaskComparison(
        model,
        task,
        metric,
        cube.methods,
        references,
        cube.seeds,
        tuple(
            _group_line(name, kind, tags, cube, pairs, baseline, items)
            for name, kind, tags in _all_groups([line.language for line in targets], groups, context)
        ),
        tuple(targets),
        source,
    )


def _scored(seeds: Sequence[int], values: NDArray[np.float64]) -> Scored | None:
    by_seed = {seed: float(value) for seed, value in zip(seeds, values, strict=True) if not np.isnan(value)}
    return Scored(by_seed, *mean_std(by_seed.values())) if by_seed else None


def _all_groups(
    targets: Sequence[Language], groups: Mapping[str, Sequence[str]], context: ReportContext
) -> list[tuple[str, str, tuple[str, ...]]]:
    """Name, kind and tags of each group that has a scored language; families, scripts and resource classes (where the
    context knows them) only if there are two."""
    tags = [language.tag for language in targets]
    found = [(ALL, "all", tuple(tags))]
    found += [(name, "group", tuple(tag for tag in members if tag in tags)) for name, members in groups.items()]
    for kind in ("family", "script"):
        members_of: dict[str, list[str]] = {}
        for language in targets:
            name = language.family if kind == "family" else language.script
            members_of.setdefault(name or "unknown", []).append(language.tag)
        if len(members_of) > 1:
            found += [(name, kind, tuple(members)) for name, members in sorted(members_of.items())]
    classes = parts(tags, context).get("resource class", {})
    found += [(name, "resource class", tuple(members)) for name, members in classes.items()]
    return [(name, kind, members) for name, kind, members in found if members or kind == "all"]


def _group_line(
    name: str,
    kind: str,
    tags: Sequence[str],
    cube: _Cube,
    pairs: Sequence[tuple[str, str]],
    baseline: str,
    items: SentenceItems,
) -> GroupLine:
    columns = [cube.tags.index(tag) for tag in tags]
    there: NDArray[np.bool_] = np.any(~np.isnan(cube.values[:, :, columns]), axis=1)  # (methods, languages)
    used: NDArray[np.bool_] = np.any(there, axis=1)
    complete: NDArray[np.bool_] = np.all(there[used], axis=0)
    kept = [column for column, whole in zip(columns, complete, strict=True) if whole]
    left_out = tuple(tag for tag, whole in zip(tags, complete, strict=True) if not whole)
    languages = tuple(cube.tags[column] for column in kept)
    if not kept:
        return GroupLine(name, kind, (), left_out, {}, {}, {}, {})
    methods = [method for method, wanted in zip(cube.methods, used, strict=True) if wanted]
    pairs = [(method, reference) for method, reference in pairs if method in methods and reference in methods]
    values = cube.values[:, :, kept]
    scores = {}
    for method in methods:
        # A seed counts where it was run in every language of the group: NaN spreads over the mean.
        scored = _scored(cube.seeds, values[cube.methods.index(method)].mean(axis=1))
        if scored is None:
            raise DataError(f"{method}: the languages {', '.join(languages)} have no seed in common")
        scores[method] = scored
    changes = compare_groups(cube.methods, values, languages, pairs, items)
    own = [method for method in methods if method != baseline and not is_control(method)]
    counts = {}
    if baseline in methods:
        base = values[cube.methods.index(baseline)]
        counts = {m: count_languages(values[cube.methods.index(m)], base) for m in methods if m != baseline}
    verdicts = {m: judge_changes(changes.get(m, {}), baseline, controls_of(m, cube.methods)) for m in own}
    return GroupLine(name, kind, languages, left_out, scores, changes, counts, verdicts)


def _notes(table: TaskComparison, cube: _Cube, baseline: str) -> list[str]:
    notes = []
    if len(table.seeds) == 1:
        notes.append("one seed: how far another seed would move these numbers is not covered")
    elif len(table.seeds) < FEWEST_SEEDS:
        notes.append(
            f"{len(table.seeds)} seeds say little of how seeds vary; 95 % intervals hold the truth less often, about "
            "nine times in ten"
        )
    if len(table.seeds) > 1 and np.isnan(cube.values).all(axis=2).any():
        notes.append("not every method was run with every seed; pairs are made of the seeds in common")
    left = table.targets.left_out
    if left:
        languages = counted(len(left), "language")
        notes.append(f"{languages} left out of the averages, as a method lacks a score there: {', '.join(left)}")
    if baseline not in table.methods:
        notes.append(f"there is no {baseline}, so nothing is compared")
    elif any(len(table.references[method]) <= len(CONTROLS) for method in table.targets.verdicts):
        notes.append(
            "a control is missing (centring without training, or the same training without parallel data), so no "
            "gain from parallel data can be claimed"
        )
    return notes


def _by_table(notes: Mapping[str, list[str]], tables: int) -> tuple[str, ...]:
    """Each note once, after the tables it is about unless it is about all."""
    lines = []
    for note, titles in notes.items():
        text = note[0].upper() + note[1:] if len(titles) == tables else f"{'; '.join(titles)}: {note}"
        lines.append(f"{text}.")
    return tuple(lines)
