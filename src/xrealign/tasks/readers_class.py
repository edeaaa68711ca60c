"""Labelled sentences and sentence pairs out of tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from xrealign.tasks.faults import Faults
from xrealign.tasks.readers_table import read_fields
from xrealign.tasks.task import Example, PairExample

NO_COLUMNS: Mapping[str, str] = {}


def read_labelled_tsv(
    path: str | Path, columns: Mapping[str, str] = NO_COLUMNS, faults: Faults | None = None, separator: str = "\t"
) -> tuple[Example, ...]:
    """Labelled sentences, one a row: ``label<TAB>text`` without header, or a header with at least these columns.

    Args:
        path: the file.
        columns: which columns hold ``label`` and ``text``, by name or number; without it the usual names are found.
        faults: where to note what is wrong; None raises.
        separator: TAB, or "," for CSV.

    Raises:
        DataError: the file cannot be read, is empty or lacks a column; rows that break the format, with line.
    """
    found = faults or Faults(Path(path))
    rows = read_fields(Path(path), ("label", "text"), columns, separator, found)
    examples = tuple(Example(cells["text"], cells["label"], f"line {line}") for line, cells in rows)
    found.settle()
    return examples


def read_pairs(
    path: str | Path, columns: Mapping[str, str] = NO_COLUMNS, faults: Faults | None = None, separator: str = "\t"
) -> tuple[PairExample, ...]:
    """Sentence pairs with a label, one a row: ``first, second, label`` without header, or a header with such columns.

    The usual names are found: premise or sentence1, hypothesis or sentence2, label or gold_label (XNLI, AmericasNLI,
    AfriXNLI). Arguments and errors as in `read_labelled_tsv`.
    """
    found = faults or Faults(Path(path))
    rows = read_fields(Path(path), ("first", "second", "label"), columns, separator, found)
    examples = tuple(
        PairExample(cells["first"], cells["second"], cells["label"], f"line {line}") for line, cells in rows
    )
    found.settle()
    return examples
