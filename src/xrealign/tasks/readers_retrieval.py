"""Pairs that translate each other, for retrieval: files aligned by line (FLORES, NTREX, Tatoeba), or a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from xrealign.errors import DataError
from xrealign.tasks.faults import Faults
from xrealign.tasks.readers_text import all_lines, shown
from xrealign.types import SentencePair


def read_retrieval(
    first: str | Path, second: str | Path | None = None, faults: Faults | None = None
) -> tuple[SentencePair, ...]:
    """Sentence pairs: line N of ``first`` with line N of ``second``, or the columns of one tab-separated file.

    A table has two columns, or three of which the first is an id; without one the id is the line.

    Raises:
        DataError: a file cannot be read or is empty, the two have different numbers of lines; lines with faults.
    """
    found = faults or Faults(Path(first))
    rows = _table(Path(first), found) if second is None else _aligned([Path(first), Path(second)], found)
    found.settle()
    return tuple(SentencePair(name, *cells) for name, cells in rows)


def read_line_columns(paths: Sequence[Path], faults: Faults) -> list[tuple[str, ...]]:
    """Line N of each of several files; faults are noted, and the line left out of all.

    Raises:
        DataError: as `read_retrieval`.
    """
    return [tuple(cells) for _, cells in _aligned(paths, faults)]


def _aligned(paths: Sequence[Path], faults: Faults) -> list[tuple[str, list[str]]]:
    columns = [[line.strip() for line in all_lines(path)] for path in paths]
    for path, lines in zip(paths, columns, strict=True):
        if len(lines) != len(columns[0]):
            raise DataError(
                f"{paths[0]} has {len(columns[0])} lines, {path} has {len(lines)}: line N must say the same in all",
                path,
            )
    if not columns[0]:
        raise DataError("no sentences in this file", paths[0])
    rows = []
    for number, cells in enumerate(zip(*columns, strict=True), 1):
        for path, cell in zip(paths, cells, strict=True):
            if not cell:
                faults.add(f"the line is empty in {path}; each file has a sentence on every line", number)
        if all(cells):
            rows.append((str(number), list(cells)))
        else:
            faults.left_out["line with an empty side"] += 1
    return rows


def _table(path: Path, faults: Faults) -> list[tuple[str, list[str]]]:
    lines = all_lines(path)
    if not lines:
        raise DataError("no sentences in this file", path)
    width = len(lines[0].split("\t"))
    if width not in (2, 3):
        raise DataError(
            f"{width} tab-separated columns, expected 2 (source, target) or 3 (id, source, target), or a second file "
            f"aligned by line: {shown(lines[0])}", path, 1,
        )  # fmt: skip
    rows, seen = [], dict[str, int]()
    for number, line in enumerate(lines, 1):
        cells = [cell.strip() for cell in line.split("\t")]
        name = cells[0] if width == 3 else str(number)
        if len(cells) != width:
            faults.add(f"{len(cells)} tab-separated columns, expected {width}: {shown(line)}", number)
        elif not all(cells):
            faults.add(f"column {cells.index('') + 1} is empty", number)
        elif seen.setdefault(name, number) != number:
            faults.add(f"id {shown(name)} stands on line {seen[name]} already; ids are unique", number)
        else:
            rows.append((name, cells[-2:]))
            continue
        faults.left_out["row with a fault"] += 1
    return rows
