"""What gains are explained by: distances to the source language, and numbers of each language from a table."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xrealign.errors import ConfigError, DataError, LanguageError, did_you_mean
from xrealign.language import Language, parse_language
from xrealign.pretraining import seen_isos
from xrealign.report.pivot import task_metrics
from xrealign.select.distances import distances
from xrealign.textio import read_lines
from xrealign.types import Score

DEFAULT_FEATURES = ("uriel-featural", "genetic", "geographic")
TRANSFORMS = ("log", "log1p")
_EMPTY = frozenset({"", "na", "nan", "n/a", "none", "null", "-", "--", "–"})


@dataclass(frozen=True, slots=True)
class Gains:
    """Gain of a method over the baseline for each language, as shares; ``dropped``: tag → why it is not there."""

    model: str
    task: str
    method: str
    metric: str
    by_language: dict[Language, float]
    seeds: int
    dropped: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Features:
    """(N, K) numbers of N languages; languages that lack one are ``dropped``, with the reason."""

    languages: tuple[Language, ...]
    names: tuple[str, ...]
    values: NDArray[np.float64]
    dropped: dict[Language, str] = field(default_factory=dict)


def gains(
    scores: Sequence[Score], method: str, *, baseline: str, source: Language, metrics: Mapping[str, str] | None = None
) -> Gains:
    """Gains of ``method`` by language, each a mean over the seeds that both have; one model and one task.

    Raises:
        DataError: no such method; scores of several models or tasks; no language that both have.
    """
    for name in (method, baseline):
        known = dict.fromkeys(score.method for score in scores)
        if name not in known:
            raise DataError(f"no scores of method {name!r}{did_you_mean(name, known)}; methods: {', '.join(known)}")
    metric_of = task_metrics(scores, metrics or {})
    chosen = [s for s in scores if not s.variant and s.layer is None and s.metric == metric_of[s.task]]
    chosen = [score for score in chosen if score.method in (method, baseline)]
    for dimension in ("model", "task"):
        found = list(dict.fromkeys(getattr(score, dimension) for score in chosen))
        if len(found) > 1:
            raise DataError(f"scores of several {dimension}s; choose one with --{dimension}: {', '.join(found)}")
    table: dict[str, dict[tuple[str, int], float]] = {}
    for score in chosen:
        by_run = table.setdefault(score.language, {})
        if (score.method, score.seed) in by_run:
            raise DataError(
                f"{score.method}, {score.language}, seed {score.seed} is there twice; give one run's scores"
            )
        by_run[score.method, score.seed] = score.value
    by_language: dict[Language, float] = {}
    dropped: dict[str, str] = {}
    every: set[int] = set()
    for tag, values in table.items():
        seeds = {seed for name, seed in values if name == method and (baseline, seed) in values}
        if not seeds:
            dropped[tag] = "not scored by both methods with one seed"
            continue
        try:
            language = parse_language(tag)
        except LanguageError:
            dropped[tag] = "no language is known by this code"
            continue
        if language != source:
            by_language[language] = math.fsum(values[method, s] - values[baseline, s] for s in seeds) / len(seeds)
            every |= seeds
    if not by_language:
        raise DataError(f"{method} and {baseline} have no target language in common")
    return Gains(chosen[0].model, chosen[0].task, method, chosen[0].metric, by_language, len(every), dropped)


def features_of(
    languages: Sequence[Language],
    names: Sequence[str],
    *,
    source: Language,
    table: Mapping[str, Mapping[Language, float]] | None = None,
) -> Features:
    """The features of ``languages``, in the order of ``names``.

    A name is a column of ``table``, ``log:COLUMN`` (base 10) or ``log1p:COLUMN`` of it, ``seen:MODEL`` (1 where the
    model saw the language in pre-training: ``xlm-r``, ``mbert``), or a distance of ``select.distances``, which is
    that to the source language.

    Raises:
        ConfigError: an unknown name, or one that is there twice.
        DataError: a logarithm of a number that has none.
    """
    if len(set(names)) < len(names):
        raise ConfigError(f"a feature is there twice: {', '.join(names)}")
    columns = [_column(name, languages, source, table or {}) for name in names]
    kept, dropped = [], {}
    for language in languages:
        lacking = [name for name, column in zip(names, columns, strict=True) if language not in column]
        if lacking:
            dropped[language] = f"no {', '.join(lacking)}"
        else:
            kept.append(language)
    values = np.array([[column[language] for column in columns] for language in kept]).reshape(len(kept), len(names))
    return Features(tuple(kept), tuple(names), values, dropped)


def _column(
    name: str, languages: Sequence[Language], source: Language, table: Mapping[str, Mapping[Language, float]]
) -> Mapping[Language, float]:
    if name in table:
        return table[name]
    kind, colon, rest = name.partition(":")
    if colon and kind in TRANSFORMS:
        if rest not in table:
            raise ConfigError(f"feature {name}: the table has no column {rest!r}{did_you_mean(rest, table)}")
        return {language: _log(kind, value, f"{name}, {language}") for language, value in table[rest].items()}
    if colon and kind == "seen":
        isos = seen_isos(rest) or frozenset()
        return {language: float(language.iso in isos) for language in languages}
    try:
        found = distances([*dict.fromkeys([source, *languages])], name)
    except ConfigError as error:
        columns = f"; the table has {', '.join(table)}" if table else ""
        raise ConfigError(f"{error}{columns}") from None
    if source not in found.languages:
        raise DataError(f"feature {name}: there is no data on the source language {source}")
    row = found.matrix[found.languages.index(source)]
    return {language: float(row[n]) for n, language in enumerate(found.languages) if language != source}


def _log(kind: str, value: float, what: str) -> float:
    if value <= (0 if kind == "log" else -1):
        raise DataError(f"{what}: {value:g} has no logarithm; use log1p: where there are zeros")
    return math.log10(value) if kind == "log" else math.log1p(value)


def read_feature_table(path: str | Path) -> dict[str, dict[Language, float]]:
    """column → language → number, of a tab- or comma-separated file whose first column names languages.

    Columns that hold other text than numbers are left out; an empty cell is a language without that number.

    Raises:
        DataError: no columns of numbers, a row of another length, an unknown language, or one twice.
    """
    path = Path(path)
    rows = [(number, line) for number, line in read_lines(path) if line.strip() and not line.startswith("#")]
    if not rows:
        raise DataError("is empty; expected a first line of column names, language first", path)
    tab = "\t" in rows[0][1]
    cells = [(number, line.split("\t") if tab else next(csv.reader([line]), [])) for number, line in rows]
    header = [name.strip() for name in cells[0][1]]
    if len(header) < 2 or len(set(header)) < len(header):
        raise DataError(f"columns are {', '.join(header)}; expected a language and numbers, each name once", path, 1)
    found: dict[str, dict[Language, float]] = {name: {} for name in header[1:]}
    words: set[str] = set()
    lines: dict[Language, int] = {}
    for number, row in cells[1:]:
        if len(row) != len(header):
            raise DataError(f"{len(row)} values, expected {len(header)} as in the first line", path, number)
        try:
            language = parse_language(row[0].strip())
        except LanguageError as error:
            raise DataError(str(error), path, number) from None
        if language in lines:
            raise DataError(f"{language} stands in line {lines[language]} already", path, number)
        lines[language] = number
        for name, text in zip(header[1:], row[1:], strict=True):
            if text.strip().lower() in _EMPTY:
                continue
            try:
                value = float(text)
            except ValueError:
                words.add(name)
                continue
            if not math.isfinite(value):
                raise DataError(f"{name} is {text!r}, expected a finite number", path, number)
            found[name][language] = value
    kept = {name: column for name, column in found.items() if name not in words and column}
    if not kept:
        raise DataError(f"no column holds numbers alone; columns: {', '.join(header)}", path)
    return kept
