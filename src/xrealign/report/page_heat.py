"""Rows × methods as a table of coloured differences: languages with their families together, or groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from xrealign.language import Language
from xrealign.report.context import BASELINE
from xrealign.report.facets import NO_FAMILY, family_name
from xrealign.report.format import MISSING, interval, plain, points
from xrealign.report.page_shade import Shading, shading_for
from xrealign.report.stats import Interval
from xrealign.report.summary import Summary


class Gap(Protocol):
    """A difference with its interval, where there is one."""

    @property
    def value(self) -> float:
        """As a share."""
        ...

    @property
    def interval(self) -> Interval | None:
        """95 %."""
        ...


@dataclass(frozen=True, slots=True)
class HeatEntry:
    """One row before it is drawn: the reference's score, and the difference of each method that has one.

    ``part`` is the family of a language or the kind of a group; ``groups`` and ``search`` are what filters look at.
    """

    name: str
    detail: str
    part: str
    base: float | None
    changes: Mapping[str, Gap]
    groups: str = ""
    search: str = ""
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HeatCell:
    """``raw`` sorts, ``text`` shows, ``note`` says more (an interval); ``sure`` where the interval leaves out zero."""

    raw: float | None
    text: str
    shade: str
    note: str = ""
    sure: bool = False


@dataclass(frozen=True, slots=True)
class HeatRow:
    """One entry with its cells; ``first`` where another part begins."""

    entry: HeatEntry
    first: bool
    cells: tuple[HeatCell, ...]


@dataclass(frozen=True, slots=True)
class Heat:
    """A heat map as a table: differences of each method to ``reference``, in points."""

    title: str
    reference: str
    columns: tuple[str, ...]
    rows: tuple[HeatRow, ...]
    shading: Shading


def by_family(languages: Iterable[Language]) -> list[Language]:
    """Large families first, then by name; languages without a family last; by name within a family."""
    found = list(languages)
    size = Counter(family_name(language) for language in found)

    def place(one: Language) -> tuple[bool, int, str, str, str]:
        family = family_name(one)
        return family == NO_FAMILY, -size[family], family, one.name or one.tag, one.tag

    return sorted(found, key=place)


def search_text(language: Language) -> str:
    """What a reader may type to find a language: name, tag, family."""
    return plain(f"{language.name or language.tag} {language.tag} {language.family or ''}").casefold()


def language_entry(
    language: Language,
    base: float | None,
    changes: Mapping[str, Gap],
    groups: str = "",
    flags: tuple[str, ...] = (),
) -> HeatEntry:
    """A row for a language."""
    name = language.name or language.tag
    return HeatEntry(name, language.tag, family_name(language), base, changes, groups, search_text(language), flags)


def heat_map(title: str, reference: str, columns: Sequence[str], entries: Sequence[HeatEntry]) -> Heat:
    """The heat map of ``entries`` in their order; a method without a difference leaves its cell empty."""
    shading = shading_for(change.value for entry in entries for change in entry.changes.values())
    rows = tuple(
        HeatRow(
            entry,
            number > 0 and entries[number - 1].part != entry.part,
            tuple(_cell(entry.changes.get(method), shading) for method in columns),
        )
        for number, entry in enumerate(entries)
    )
    return Heat(title, reference, tuple(columns), rows, shading)


def _cell(change: Gap | None, shading: Shading) -> HeatCell:
    if change is None:
        return HeatCell(None, MISSING, "none")
    found = change.interval
    note = interval(found.low, found.high) if found else ""
    sure = found is not None and (found.above_zero or found.below_zero)
    return HeatCell(change.value, points(change.value), shading.step(change.value), note, sure)


def run_heat(summary: Summary, title: str) -> Heat | None:
    """A run's methods against its baseline, language by language; None where there is nothing to compare."""
    columns = [method for method in summary.methods if method != BASELINE]
    numbers = {row.name: number for number, row in enumerate(summary.groups)}
    rows = {row.language: row for row in summary.languages}
    entries = [
        language_entry(
            language,
            rows[language].scores.values.get(BASELINE),
            rows[language].scores.changes,
            " ".join(str(numbers[group]) for group in (rows[language].group, *rows[language].also)),
            rows[language].flags,
        )
        for language in by_family(rows)
    ]
    if not any(entry.changes for entry in entries):
        return None
    return heat_map(title, BASELINE, columns, entries)
