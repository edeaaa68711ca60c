"""Tables of text: TSV and CSV with or without a header, columns found by name."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from xrealign.errors import DataError, LanguageError, did_you_mean
from xrealign.language import Language, parse_language
from xrealign.tasks.faults import MOST_TOLD, Faults
from xrealign.tasks.readers_text import all_lines, column_number, odd_name, shown, some

# Names that published tables give a field; the first one in a header is taken, `columns` goes before.
USUAL: Mapping[str, tuple[str, ...]] = {
    "text": ("text", "sentence", "utterance"),
    "label": ("label", "category", "intent", "gold_label", "topic", "class"),
    "first": ("first", "premise", "sentence1"),
    "second": ("second", "hypothesis", "sentence2"),
    "words": ("words", "tokens", "utterance"),
    "tags": ("tags", "slot_labels", "ner_tags", "upos", "pos_tags"),
}


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells as they stand in the file, with their lines; ``header`` is None where the first row is data."""

    header: list[str] | None
    rows: list[tuple[int, list[str]]]


def read_fields(
    path: Path,
    wanted: Sequence[str],
    columns: Mapping[str, str],
    separator: str,
    faults: Faults,
    language: Language | None = None,
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yields ``(line, field -> cell)`` for every row in order: the wanted fields and those that ``columns`` names.

    Without a header the table must have exactly the columns of ``wanted``, in that order, or ``columns`` gives
    numbers from 1. A row with another number of cells or an empty wanted cell is a fault and is not yielded.
    If ``columns`` names a ``language`` column, rows in other languages than ``language`` are passed over.

    Raises:
        DataError: the file cannot be read, or a column is not there.
    """
    rows = _rows(path, separator, faults)
    if not rows:
        raise DataError(f"no sentences in this file; expected lines of {_shape(wanted, separator)}", path)
    fields = [*wanted, *(name for name in columns if name not in wanted)]
    line, first = rows[0]
    header = _is_header(first, wanted, columns)
    places = _places(path, line, first if header else None, len(first), fields, wanted, columns, faults)
    width = len(first) if header or columns else len(wanted)
    unknown = 0
    for line, cells in rows[header:]:
        if len(cells) != width:
            told = (
                f"{len(cells)} columns, expected {width}"
                if header or columns
                else f"expected {_shape(wanted, separator)}"
            )
            faults.add(f"{told}, all not empty, got {shown(separator.join(cells), 80)}", line)
        elif not all(cells[places[name]].strip() for name in wanted):
            empty = next(name for name in wanted if not cells[places[name]].strip())
            expected = "" if header or columns else f"; expected {_shape(wanted, separator)}, all not empty"
            faults.add(f"column {places[empty] + 1} ({empty}) is empty{expected}", line)
        elif "label" in wanted and (odd := odd_name(cells[places["label"]].strip())):
            faults.add(f"label {shown(cells[places['label']].strip())} {odd}", line)
        else:
            try:
                wanted_row = language is None or "language" not in places or _language(cells, places) == language
            except LanguageError as error:
                faults.add(f"column {places['language'] + 1} (language): {error}", line)
                unknown += 1
                if unknown > MOST_TOLD:  # each takes a search for the nearest one
                    told = f"{unknown} cells of column {places['language'] + 1} are no languages: is it another column?"
                    raise DataError(told, path, line) from None
            else:
                if wanted_row:
                    yield line, {name: cells[place].strip() for name, place in places.items()}
                continue
        faults.left_out["row with a fault"] += 1


def _language(cells: Sequence[str], places: Mapping[str, int]) -> Language:
    return parse_language(cells[places["language"]])


def _shape(wanted: Sequence[str], separator: str) -> str:
    return ("<TAB>" if separator == "\t" else separator).join(wanted)


def _is_header(cells: list[str], wanted: Sequence[str], columns: Mapping[str, str]) -> bool:
    """A first row is a header if it holds a column that was named, or the usual names of all fields."""
    named = [column for column in columns.values() if column_number(column) is None]
    if named:
        return True
    if columns:
        return False
    folded = [cell.strip().casefold() for cell in cells]
    usual = [any(name in folded for name in USUAL.get(field, (field,))) for field in wanted]
    return all(usual) or (any(usual) and len(cells) != len(wanted))


def _places(
    path: Path, line: int, header: list[str] | None, width: int, fields: Sequence[str], wanted: Sequence[str],
    columns: Mapping[str, str], faults: Faults,
) -> dict[str, int]:  # fmt: skip
    places = {}
    names = [cell.strip() for cell in header] if header is not None else []
    folded = [name.casefold() for name in names]
    for field in fields:
        chosen = columns.get(field)
        number = None if chosen is None or chosen in names else column_number(chosen)
        if number is not None:
            if not 1 <= number <= width:
                raise DataError(f"no column {chosen} for {field}: the table has {width}", path, line)
            places[field] = number - 1
        elif header is None:
            places[field] = list(wanted).index(field)
            if columns and places[field] >= width:
                told = f'the table has {width}; say which holds {field} with columns = {{{field} = "1"}}'
                raise DataError(f"no column {places[field] + 1} for {field}: {told}", path, line)
        else:
            usual = (chosen,) if chosen is not None else USUAL.get(field, (field,))
            hits = [folded.index(name.casefold()) for name in usual if name.casefold() in folded]
            if not hits:
                hint = did_you_mean(usual[0], names)
                raise DataError(
                    f"no column {shown(usual[0])} for {field}{hint}; the header has: {some(names)}. Say which "
                    f"it is with columns = {{{field} = \"…\"}} (--column {field}=…)", path, line,
                )  # fmt: skip
            places[field] = hits[0]
            if folded.count(folded[hits[0]]) > 1:
                raise DataError(f"the header has the column {shown(names[hits[0]])} twice", path, line)
            if names[hits[0]].casefold() != field:
                faults.remarks[field] = names[hits[0]]
    return places


def _rows(path: Path, separator: str, faults: Faults) -> list[tuple[int, list[str]]]:
    lines = all_lines(path)
    quoted = separator != "\t" or _is_quoted(lines)
    if not quoted:
        return [(number, line.split(separator)) for number, line in enumerate(lines, 1)]
    if separator == "\t":
        faults.remarks["quotes"] = "as in CSV"
    rows = []
    reader = csv.reader((line + "\n" for line in lines), delimiter=separator, strict=True)
    start = 1
    try:
        for cells in reader:
            rows.append((start, cells or [""]))
            start = reader.line_num + 1
    except csv.Error as error:
        hint = "; is a quote not closed?" if "limit" in str(error) else ""
        raise DataError(f"quotes do not pair as in CSV ({error}){hint}", path, start) from None
    return rows


def _is_quoted(lines: list[str]) -> bool:
    """Whether a TSV file was written like CSV: every cell with quotes is in quotes, its own doubled, at least once."""
    doubled = False
    for line in lines:
        if '"' not in line:
            continue
        for cell in line.split("\t"):
            if '"' in cell:
                inner = cell[1:-1]
                if len(cell) < 2 or not (cell[0] == cell[-1] == '"') or '"' in inner.replace('""', ""):
                    return False
                doubled = doubled or '""' in inner
    return doubled
