"""Scores as a table of any two of their dimensions, averaged over languages and seeds as the papers do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xrealign.errors import ConfigError, DataError, did_you_mean
from xrealign.report.changes import Counts, count_scores
from xrealign.report.format import counted
from xrealign.report.stats import mean_std
from xrealign.types import Score

# F1 says more than accuracy where both are given (most words bear no name), and is what the papers' tables show.
PREFERRED = ("f1", "macro_f1", "accuracy")
# Tasks with an exact match are extractive question answering, whose scores are given with one decimal.
EXACT_MATCH = frozenset({"em", "exact_match"})
DIMENSIONS = ("run", "model", "task", "method", "language", "metric", "seed")
SOURCE = "eng_Latn"

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PivotCell:
    """Macro-average over ``languages`` languages, then mean and standard deviation over ``seeds`` seeds.

    ``values``: seed → mean over languages. ``counts``: how languages stand to the baseline's row, where one is named.
    """

    mean: float
    std: float | None
    languages: int
    values: Mapping[int, float]
    decimals: int
    counts: Counts | None = None

    @property
    def seeds(self) -> int:
        """How many seeds."""
        return len(self.values)


@dataclass(frozen=True, slots=True)
class Pivot:
    """Rows and columns are values of ``row_dimensions`` and ``column_dimensions``; a cell may be missing."""

    row_dimensions: tuple[str, ...]
    column_dimensions: tuple[str, ...]
    rows: tuple[Key, ...]
    columns: tuple[Key, ...]
    cells: Mapping[tuple[Key, Key], PivotCell]
    metrics: Mapping[str, str]
    notes: tuple[str, ...]


def main_metric(metrics: Sequence[str]) -> str:
    """The metric that a task is known by: accuracy beside a macro-F1, else F1, else accuracy, else the first.

    (``macro_f1`` stands beside accuracy in classification, where accuracy is the main one.)
    """
    if "macro_f1" in metrics and "accuracy" in metrics and "f1" not in metrics:
        return "accuracy"
    return next((metric for metric in PREFERRED if metric in metrics), metrics[0])


def pivot(
    scores: Sequence[Score],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    metrics: Mapping[str, str] | None = None,
    source: str | None = SOURCE,
    baseline: str | None = None,
    decimals: Mapping[str, int] | None = None,
) -> Pivot:
    """A table of ``rows`` by ``columns``: each cell the mean over seeds of the mean over target languages.

    Args:
        scores: of tasks; measures (rows with a variant or a layer) are passed over.
        rows: dimensions of the rows, some of ``DIMENSIONS``; ``method`` or ``model,method``.
        columns: dimensions of the columns.
        metrics: task → metric; else each task's main one, unless ``metric`` is a dimension.
        source: tag of the language left out; None keeps all.
        baseline: the method that the others' languages are counted against, where ``method`` is a dimension.
        decimals: task → decimals of its percentages; else two, one for question answering.

    A mean is over the languages that every row of its column has, so that a column's cells can be compared; what
    that leaves out is noted, and so are cells with fewer seeds than others.

    Raises:
        ConfigError: an unknown or repeated dimension.
        DataError: no scores; two scores for one cell, language and seed: another dimension must tell them apart.
    """
    _check_dimensions(rows, columns)
    chosen, metric_of, places = _chosen(scores, metrics or {}, "metric" in (*rows, *columns), decimals or {})
    chosen = [score for score in chosen if score.language != source or "language" in (*rows, *columns)]
    if not chosen:
        raise DataError(f"there are no scores but those of the source language {source}")
    groups: dict[tuple[Key, Key], list[Score]] = {}
    for score in chosen:
        groups.setdefault((_key(score, rows), _key(score, columns)), []).append(score)
    tables = {key: _by_language(group, (*rows, *columns)) for key, group in groups.items()}
    found_rows = _baseline_first(dict.fromkeys(row for row, _ in groups), rows, baseline)
    found_columns = tuple(dict.fromkeys(column for _, column in groups))
    cells: dict[tuple[Key, Key], PivotCell] = {}
    notes: dict[str, None] = {}
    for column in found_columns:
        own = {row: tables[row, column] for row in found_rows if (row, column) in tables}
        languages, left = _common(own) if "language" not in (*rows, *columns) else (None, [])
        if left:
            notes[f"{_name(column)}: not in every row, so left out: {', '.join(left)}"] = None
        for row, table in own.items():
            kept = {tag: table[tag] for tag in (languages or table)}
            cells[row, column] = _cell(kept, places[groups[row, column][0].task], f"{_name(row)}, {_name(column)}")
        _add_counts(cells, own, languages, column, rows, columns, baseline)
    notes |= dict.fromkeys(_seed_notes(cells))
    return Pivot(
        tuple(rows), tuple(columns), found_rows, found_columns, cells, metric_of, tuple(f"{note}." for note in notes)
    )


def _check_dimensions(rows: Sequence[str], columns: Sequence[str]) -> None:
    for name in (*rows, *columns):
        if name not in DIMENSIONS:
            raise ConfigError(
                f"there is no dimension {name!r}{did_you_mean(name, DIMENSIONS)}; choose from {', '.join(DIMENSIONS)}"
            )
        if (*rows, *columns).count(name) > 1:
            raise ConfigError(
                f"dimension {name!r} is there twice; rows {', '.join(rows)}, columns {', '.join(columns)}"
            )
    if not rows or not columns:
        raise ConfigError("a table needs at least one dimension for its rows and one for its columns")


def task_metrics(scores: Sequence[Score], metrics: Mapping[str, str]) -> dict[str, str]:
    """task → the metric asked for in ``metrics``, else its main one.

    Raises:
        DataError: no scores of a task; a task or a metric that is not there.
    """
    found: dict[str, dict[str, None]] = {}
    for score in scores:
        if not score.variant and score.layer is None:
            found.setdefault(score.task, {})[score.metric] = None
    if not found:
        raise DataError("there are no scores of a task")
    for task, metric in metrics.items():
        if task not in found:
            raise DataError(f"a metric is given for {task!r}{did_you_mean(task, found)}; tasks: {', '.join(found)}")
        if metric not in found[task]:
            raise DataError(f"task {task!r} has no metric {metric!r}; it has {', '.join(found[task])}")
    return {task: metrics.get(task) or main_metric(list(known)) for task, known in found.items()}


def _chosen(
    scores: Sequence[Score], metrics: Mapping[str, str], all_metrics: bool, decimals: Mapping[str, int]
) -> tuple[list[Score], dict[str, str], dict[str, int]]:
    """The scores to show, task → metric, task → decimals."""
    metric_of = task_metrics(scores, metrics)
    tasks = [score for score in scores if not score.variant and score.layer is None]
    exact = {score.task for score in tasks if score.metric in EXACT_MATCH}
    unknown = [task for task in decimals if task not in metric_of]
    if unknown:
        raise DataError(f"decimals are given for {unknown[0]!r}{did_you_mean(unknown[0], metric_of)}")
    places = {task: decimals.get(task, 1 if task in exact else 2) for task in metric_of}
    return [score for score in tasks if all_metrics or score.metric == metric_of[score.task]], metric_of, places


def _key(score: Score, dimensions: Sequence[str]) -> Key:
    return tuple(str(getattr(score, name)) for name in dimensions)


def _name(key: Key) -> str:
    return " / ".join(part or "–" for part in key)


def _baseline_first(found: Mapping[Key, None], rows: Sequence[str], baseline: str | None) -> tuple[Key, ...]:
    if baseline is None or "method" not in rows:
        return tuple(found)
    place = rows.index("method")
    return tuple(sorted(found, key=lambda key: key[place] != baseline))


def _by_language(group: Sequence[Score], dimensions: Sequence[str]) -> dict[str, dict[int, float]]:
    """language → seed → value of one cell."""
    table: dict[str, dict[int, float]] = {}
    first: dict[tuple[str, int], Score] = {}
    for score in group:
        other = first.setdefault((score.language, score.seed), score)
        if other is not score:
            apart = [name for name in DIMENSIONS if getattr(score, name) != getattr(other, name)]
            hint = f"add {' or '.join(apart)} to the rows or columns" if apart else "a score is there twice"
            what = ", ".join(f"{name} {getattr(score, name)}" for name in (*dimensions, "language", "seed"))
            raise DataError(f"two scores fall into one cell ({what}); {hint}")
        table.setdefault(score.language, {})[score.seed] = score.value
    return table


def _common(own: Mapping[Key, Mapping[str, object]]) -> tuple[list[str], list[str]]:
    """Languages that every row has, and the others."""
    every = dict.fromkeys(tag for table in own.values() for tag in table)
    common = [tag for tag in every if all(tag in table for table in own.values())]
    if not common:
        raise DataError(f"the rows {', '.join(_name(row) for row in own)} have no language in common")
    return common, [tag for tag in every if tag not in common]


def _cell(table: Mapping[str, Mapping[int, float]], decimals: int, name: str) -> PivotCell:
    seeds = sorted(set.intersection(*(set(by_seed) for by_seed in table.values())))
    if not seeds:
        raise DataError(f"{name}: the languages {', '.join(table)} have no seed in common")
    values = {seed: mean_std(by_seed[seed] for by_seed in table.values())[0] for seed in seeds}
    return PivotCell(*mean_std(values.values()), len(table), values, decimals)


def _add_counts(
    cells: dict[tuple[Key, Key], PivotCell],
    own: Mapping[Key, Mapping[str, Mapping[int, float]]],
    languages: Sequence[str] | None,
    column: Key,
    rows: Sequence[str],
    columns: Sequence[str],
    baseline: str | None,
) -> None:
    """Counts of each row of a column against the row that differs in being the baseline."""
    if baseline is None or languages is None or "method" not in rows:
        return
    place = list(rows).index("method")
    for row in own:
        base = (*row[:place], baseline, *row[place + 1 :])
        if row != base and base in own:
            counts = count_scores([own[row][tag] for tag in languages], [own[base][tag] for tag in languages])
            cell = cells[row, column]
            cells[row, column] = PivotCell(cell.mean, cell.std, cell.languages, cell.values, cell.decimals, counts)


def _seed_notes(cells: Mapping[tuple[Key, Key], PivotCell]) -> list[str]:
    most = max(cell.seeds for cell in cells.values())
    few = [
        f"{_name(row)}, {_name(column)} ({cell.seeds})" for (row, column), cell in cells.items() if cell.seeds < most
    ]
    shown = "; ".join(few[:5]) + (f"; and {counted(len(few) - 5, 'other cell')}" if len(few) > 5 else "")
    return [f"fewer than {counted(most, 'seed')}: {shown}"] if few else []
