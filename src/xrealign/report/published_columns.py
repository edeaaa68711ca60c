"""The columns of a published result file: which language and which metric each is about."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from xrealign.errors import LanguageError
from xrealign.language import parse_language
from xrealign.report.format import counted

# Not languages: the mean over them, and the source language under the code's own name for it.
AVERAGE, SAME = "avg", "same"
_RESULT = re.compile(r"(?P<prefix>(?:[A-Za-z]+_)*?(?:eval|test))_(?P<rest>.+_.+)")


class ResultColumn(NamedTuple):
    """A column of results: ``prefix_CODE_METRIC`` is its name; ``language`` a tag, or `AVERAGE`."""

    name: str
    prefix: str
    language: str
    metric: str


@dataclass(slots=True)
class Told:
    """What readers of a file found out: reason → how much was dropped, and notes, each once."""

    dropped: Counter[str] = field(default_factory=Counter)
    notes: dict[str, None] = field(default_factory=dict)

    def note(self, text: str) -> None:
        """Adds a note."""
        self.notes[text] = None


def result_columns(header: Sequence[str], source: str, path: Path, told: Told) -> list[ResultColumn]:
    """The columns of results, averages too. The metrics are what stands behind ``avg_`` and ``same_``, if any does."""
    matches = [(name, match) for name in header if (match := _RESULT.fullmatch(name))]
    rests = [match["rest"] for _, match in matches]
    known = {rest.partition("_")[2] for rest in rests if rest.partition("_")[0] in (AVERAGE, SAME)}
    columns, others = [], []
    for name, match in matches:
        split = _split(match["rest"], known)
        if split is None:
            others.append(name)
            continue
        columns.append(ResultColumn(name, match["prefix"], *split))
    if others:
        told.note(f"{path.name}: not read as results: {few(others)}")
    return _with_tags(columns, source, path, told) if columns else []


def _split(rest: str, known: set[str]) -> tuple[str, str] | None:
    """``("zh_Hans", "exact_match")`` of ``zh_Hans_exact_match``, None when it is no language's result."""
    ends = [metric for metric in known if rest.endswith(f"_{metric}")]
    if ends:
        metric = max(ends, key=len)
        return rest.removesuffix(f"_{metric}"), metric
    if known:
        return None
    parts = rest.split("_")
    for cut in range(len(parts) - 1, 0, -1):
        code = "_".join(parts[:cut])
        if _tag(code) is not None:
            return code, "_".join(parts[cut:])
    return None


def _tag(code: str) -> str | None:
    try:
        return parse_language(code).tag
    except LanguageError:
        return None


def _with_tags(columns: Sequence[ResultColumn], source: str, path: Path, told: Told) -> list[ResultColumn]:
    """The columns with tags for codes; a second code for a tag, and a code nobody knows, stays as it is."""
    tags: dict[str, str] = {AVERAGE: AVERAGE}
    owner: dict[str, str] = {}
    codes = dict.fromkeys(column.language for column in columns if column.language != AVERAGE)
    for code in sorted(codes, key=lambda code: code == SAME):
        tag = source if code == SAME else _tag(code)
        if tag is None:
            told.note(f"{path.name}: no language is known as {code!r}; it keeps this code")
            tag = code
        elif tag in owner and code != SAME:
            told.note(f"{path.name}: {owner[tag]!r} and {code!r} are both {tag}; the second keeps its code")
            tag = code
        elif tag in owner:
            told.dropped["the source language's results, there under its own code too"] += 1
            continue
        owner[tag] = code
        tags[code] = tag
    return [column._replace(language=tags[column.language]) for column in columns if column.language in tags]


def chosen_columns(
    columns: Sequence[ResultColumn], prefix: str, table: Sequence[tuple[int, dict[str, str]]], path: Path, told: Told
) -> list[ResultColumn]:
    """One column for each language and metric; the others are compared with it."""
    by_key: dict[tuple[str, str], list[ResultColumn]] = {}
    for column in columns:
        if column.language != AVERAGE:
            by_key.setdefault((column.language, column.metric), []).append(column)
    chosen, differing = [], 0
    for same in by_key.values():
        first, *others = sorted(same, key=lambda column: column.prefix != prefix)
        chosen.append(first)
        for other in others:
            differing += sum(row[first.name] != row[other.name] for _, row in table)
    if differing:
        prefixes = " and ".join(f"{name}_" for name in dict.fromkeys(column.prefix for column in columns))
        told.note(f"{path.name}: {prefixes} differ in {counted(differing, 'value')}; {chosen[0].prefix}_ is kept")
    return chosen


def few(names: Sequence[str]) -> str:
    """At most eight of the names, and how many more there are."""
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
