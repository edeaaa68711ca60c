"""Labelled sentences and sentence pairs out of tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from xrealign.language import Language
from xrealign.tasks.faults import Faults
from xrealign.tasks.readers_spans import RawSentence
from xrealign.tasks.readers_table import read_fields
from xrealign.tasks.task import Example, PairExample

NO_COLUMNS: Mapping[str, str] = {}


def read_labelled_tsv(
    path: str | Path,
    columns: Mapping[str, str] = NO_COLUMNS,
    faults: Faults | None = None,
    separator: str = "\t",
    language: Language | None = None,
) -> tuple[Example, ...]:
    """Labelled sentences, one a row: ``label<TAB>text`` without header, or a header with at least these columns.

    Args:
        path: the file.
        columns: which columns hold ``label`` and ``text``, by name or number; without it the usual names are found.
        faults: where to note what is wrong; None raises.
        separator: TAB, or "," for CSV.
        language: if ``columns`` names a ``language`` column, only rows in this one.

    Raises:
        DataError: the file cannot be read, is empty or lacks a column; rows that break the format, with line.
    """
    found = faults or Faults(Path(path))
    rows = read_fields(Path(path), ("label", "text"), columns, separator, found, language)
    examples = tuple(Example(cells["text"], cells["label"], f"line {line}") for line, cells in rows)
    found.settle()
    return examples


def read_pairs(
    path: str | Path,
    columns: Mapping[str, str] = NO_COLUMNS,
    faults: Faults | None = None,
    separator: str = "\t",
    language: Language | None = None,
) -> tuple[PairExample, ...]:
    """Sentence pairs with a label, one a row: ``first, second, label`` without header, or a header with such columns.

    The usual names are found: premise or sentence1, hypothesis or sentence2, label or gold_label (XNLI, AmericasNLI,
    AfriXNLI). Arguments and errors as in `read_labelled_tsv`.
    """
    found = faults or Faults(Path(path))
    rows = read_fields(Path(path), ("first", "second", "label"), columns, separator, found, language)
    examples = tuple(
        PairExample(cells["first"], cells["second"], cells["label"], f"line {line}") for line, cells in rows
    )
    found.settle()
    return examples


def read_slot_rows(
    path: str | Path,
    columns: Mapping[str, str] = NO_COLUMNS,
    faults: Faults | None = None,
    separator: str = "\t",
    language: Language | None = None,
) -> list[RawSentence]:
    """Utterances with slots and an intent, one a row: words and tags with blanks between (MultiATIS++).

    Arguments and errors as in `read_labelled_tsv`; tags come as they stand there.
    """
    found = faults or Faults(Path(path))
    sentences = []
    for line, cells in read_fields(Path(path), ("words", "tags", "label"), columns, separator, found, language):
        words, tags = tuple(cells["words"].split()), tuple(cells["tags"].split())
        if len(words) == len(tags):
            sentences.append(RawSentence(words, tags, [line] * len(words), f"line {line}", cells["label"]))
        else:
            found.add(f"{len(words)} words and {len(tags)} tags; each word has one", line)
            found.left_out["row with a fault"] += 1
    found.settle()
    return sentences
