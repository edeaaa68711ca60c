"""Result files that authors publish, one row for each run and one column for each language, as tidy scores.

The shape is that of the results of AlignFreeze (Bakos et al. 2025): columns ``seed``, ``model``, ``task``, ``method``,
settings, and ``eval_LANGUAGE_METRIC``; files called ``MODEL__DATA__TASK.csv``. Which models, tasks, methods, languages
and metrics there are is read from the columns and, where a column is missing, from the file's name.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from xrealign.errors import DataError, did_you_mean
from xrealign.report.format import counted
from xrealign.report.published_columns import AVERAGE, SAME, ResultColumn, Told, chosen_columns, few, result_columns
from xrealign.report.scores import check_scores
from xrealign.textio import decimal_number, read_lines
from xrealign.types import Score

SOURCE = "eng_Latn"
LARGEST_SEED = 1 << 53
_EMPTY = frozenset({"", "nan", "na", "n/a", "none", "null", "-"})


@dataclass(frozen=True, slots=True)
class Imported:
    """``scores``; ``dropped``: reason → count; ``notes``: what was read in a way that may surprise."""

    scores: list[Score]
    dropped: dict[str, int]
    notes: tuple[str, ...]


def import_published(
    folder: str | Path, *, method_columns: Sequence[str] = ("method",), source: str = SOURCE, prefix: str = "eval"
) -> Imported:
    """The results in the CSV files of ``folder`` (and the folders in it), or in one file.

    Args:
        folder: where the files are.
        method_columns: columns that name the method; several are joined by a blank.
        source: tag of the language behind ``eval_same_…``.
        prefix: which of ``eval_…`` and ``final_eval_…`` counts where a file has both. A cell that differs is noted.

    ``run`` of a score is the middle part of the file's name, ``n`` is 0 (not published), values are shares: metrics
    given in percent are divided by 100. A language that the package does not know keeps its code. Empty cells, rows
    that stand there twice and files without results are dropped, counted by reason; averages are checked, not kept.

    Raises:
        DataError: no results; a column missing; a value that is no share, percentage or seed; two different rows for
            one run.
    """
    folder = Path(folder)
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() == ".csv") if folder.is_dir() else [folder]
    if not files:
        raise DataError("holds no .csv files; expected files such as MODEL__DATA__TASK.csv", folder)
    told = Told()
    scores: list[Score] = []
    for path in files:
        scores += _read_file(path, method_columns, source, prefix, told)
    if not scores:
        raise DataError("no file has results: columns such as eval_de_accuracy, and a value in them", folder)
    return Imported(check_scores(_once(scores, told), folder), dict(told.dropped), tuple(told.notes))


def _read_file(path: Path, method_columns: Sequence[str], source: str, prefix: str, told: Told) -> list[Score]:
    rows = _csv_rows(path)
    first = next(rows, None)
    if first is None:
        told.dropped["file without results"] += 1
        told.note(f"{path.name}: empty, left out")
        return []
    header = [name.strip() for name in first[1]]
    twice = [name for name, count in Counter(header).items() if count > 1 and name]
    if twice:
        raise DataError(f"column {twice[0]!r} stands there twice", path, 1)
    found = result_columns(header, source, path, told)
    if not found:
        told.dropped["file without results"] += 1
        told.note(f"{path.name}: no columns such as eval_de_accuracy, left out")
        return []
    for name in ("seed", *method_columns):
        if name not in header:
            raise DataError(f"there is no column {name!r}{did_you_mean(name, header)}; columns: {few(header)}", path, 1)
    table = [(line, dict(zip(header, cells, strict=True))) for line, cells in _checked(rows, header, path)]
    kept = chosen_columns(found, prefix, table, path, told)
    _check_averages(found, table, path, told)
    wholes = _wholes(kept, table, path, told)
    return list(_scores(path, table, kept, wholes, method_columns, told))


def _csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV file with the number of the line they end in, empty lines left out."""
    reader = csv.reader((line + "\n" for _, line in read_lines(path)), strict=True)
    try:
        for cells in reader:
            if cells:
                yield reader.line_num, cells
    except csv.Error as error:
        raise DataError(f"is not CSV: {error}", path, reader.line_num) from None


def _checked(
    rows: Iterator[tuple[int, list[str]]], header: Sequence[str], path: Path
) -> Iterator[tuple[int, list[str]]]:
    for line, cells in rows:
        if len(cells) != len(header):
            raise DataError(f"{len(cells)} values, expected {len(header)} as in the first line", path, line)
        yield line, [cell.strip() for cell in cells]


def _check_averages(
    columns: Sequence[ResultColumn], table: Sequence[tuple[int, dict[str, str]]], path: Path, told: Told
) -> None:
    """Notes where a published average is not the mean of the languages beside it."""
    sources = {column.language for column in columns if f"_{SAME}_" in column.name}
    for average in columns:
        if average.language != AVERAGE:
            continue
        alike = [c for c in columns if (c.prefix, c.metric) == (average.prefix, average.metric)]
        names = [c.name for c in alike if c.language not in (AVERAGE, *sources)]
        wrong = []
        for line, row in table:
            texts = [row[name] for name in (average.name, *names)]
            if names and not any(text.lower() in _EMPTY for text in texts):
                stated, *values = (_number(text, path, line) for text in texts)
                if abs(stated - math.fsum(values) / len(values)) > 5e-4 * max(1.0, abs(stated)):
                    wrong.append(line)
        if wrong:
            told.note(
                f"{path.name}: {average.name} is not the mean of its {counted(len(names), 'language')} in "
                f"{counted(len(wrong), 'row')} (line {wrong[0]} first); averages are made anew"
            )


def _wholes(
    columns: Sequence[ResultColumn], table: Sequence[tuple[int, dict[str, str]]], path: Path, told: Told
) -> dict[str, float]:
    """For each metric what stands for all: 1, or 100 where a value is above 1."""
    highest: dict[str, float] = {}
    for column in columns:
        for line, row in table:
            if row[column.name].lower() not in _EMPTY:
                value = _number(row[column.name], path, line)
                if not 0 <= value <= 100:
                    raise DataError(f"{column.name} is {value:g}, expected a share or a percentage", path, line)
                highest[column.metric] = max(value, highest.get(column.metric, 0.0))
    percentages = [metric for metric, value in highest.items() if value > 1]
    if percentages:
        told.note(f"{path.name}: {', '.join(percentages)} taken as percent")
    return {metric: 100.0 if metric in percentages else 1.0 for metric in highest}


def _scores(
    path: Path,
    table: Sequence[tuple[int, dict[str, str]]],
    columns: Sequence[ResultColumn],
    wholes: dict[str, float],
    method_columns: Sequence[str],
    told: Told,
) -> Iterator[Score]:
    model_of_name, run, task_of_name = _parts(path)
    for line, row in table:
        method = " ".join(row[name] for name in method_columns if row[name])
        model, task = row.get("model") or model_of_name, row.get("task") or task_of_name
        _check_named({"method": method, "model": model, "task": task}, method_columns, path, line)
        if model_of_name and model_of_name != model:
            told.note(f"{path.name}: its rows are of {model!r}; the rows count, not the file's name")
        if task_of_name and task_of_name != task:
            told.note(f"{path.name}: its rows are of task {task!r}; the rows count, not the file's name")
        seed = _number(row["seed"], path, line)
        if seed != int(seed) or abs(seed) >= LARGEST_SEED:
            raise DataError(f"seed is {row['seed']!r}, expected a whole number", path, line)
        for column in columns:
            if row[column.name].lower() in _EMPTY:
                told.dropped["no value"] += 1
                continue
            value = _number(row[column.name], path, line) / wholes[column.metric]
            yield Score(
                run, method, task, column.language, column.metric, value, 0, int(seed),
                signature=f"published:{path.name}:{line}", model=model,
            )  # fmt: skip


def _check_named(named: dict[str, str], method_columns: Sequence[str], path: Path, line: int) -> None:
    for what, name in named.items():
        if not name:
            columns = ", ".join(method_columns) if what == "method" else what
            hint = "" if what == "method" else "; a file called MODEL__DATA__TASK.csv says it too"
            raise DataError(f"the {what} is not said: no value in column {columns}{hint}", path, line)


def _parts(path: Path) -> tuple[str, str, str]:
    """Model, data and task of ``MODEL__DATA__TASK.csv``; empty (data: ``published``) where a name has no such parts."""
    model, *middle = path.name[: -len(path.suffix)].split("__")
    if not middle:
        return "", "published", ""
    return model, "__".join(middle[:-1]) or "published", middle[-1]


def _number(text: str, path: Path, line: int) -> float:
    try:
        return decimal_number(text)
    except ValueError as error:
        raise DataError(str(error), path, line) from None


def _once(scores: Sequence[Score], told: Told) -> list[Score]:
    """The scores without those that stand there twice with the same value."""
    kept: dict[tuple[object, ...], Score] = {}
    for score in scores:
        key = (score.run, score.model, score.task, score.method, score.language, score.metric, score.seed)
        first = kept.setdefault(key, score)
        if first is score:
            continue
        if first.value != score.value:
            raise DataError(
                f"{score.model}, {score.task}, {score.method}, seed {score.seed} has {score.metric} {first.value:g} in "
                f"{score.language} at {first.signature.partition(':')[2]} and {score.value:g} at "
                f"{score.signature.partition(':')[2]}; name the column that tells them apart with --method-column"
            )
        told.dropped["the same value again"] += 1
    return list(kept.values())
