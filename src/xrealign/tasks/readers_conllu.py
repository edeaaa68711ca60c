"""CoNLL-U, the format of Universal Dependencies (universaldependencies.org/format.html): words and one column of tags.

Words are the syntactic ones (whole-number ids); multiword ranges (``5-6``) and empty nodes (``8.1``) are checked and
passed over. Strict on what it uses: ids, forms and the chosen column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xrealign.errors import DataError, did_you_mean
from xrealign.tasks.faults import Faults
from xrealign.tasks.readers_text import shown, whole_text
from xrealign.tasks.task import TaggedExample

COLUMNS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
_ALWAYS = frozenset({"form", "upos", "xpos", "deprel"})  # "_" there is a word that nobody tagged
_NUMBERS = tuple(str(number) for number in range(1, 1000))
_HINT = "; is an empty line between sentences missing?"


@dataclass(frozen=True, slots=True)
class RawSentence:
    """Words and tags as the file has them, and the line of each word."""

    words: Sequence[str]
    tags: Sequence[str]
    lines: Sequence[int]
    group: str
    label: str = ""


def read_conllu(path: str | Path, column: str = "upos", faults: Faults | None = None) -> tuple[TaggedExample, ...]:
    """The sentences of a CoNLL-U file with the tags of one column, as they stand there.

    Args:
        path: plain, .gz, .xz or .zst.
        column: a name of `COLUMNS`, or one key of FEATS or MISC (``feats:Case``; ``_`` where a word has none).
        faults: where to note what is wrong; None raises.

    Returns:
        One example a sentence; its group is ``sent_id``, or ``line N`` of its first word.

    Raises:
        DataError: the file cannot be read or has no sentences, an unknown column, and without ``faults`` (or with
            strict ones) any line that breaks the format; each with its line.
    """
    found = faults or Faults(Path(path))
    sentences = raw_conllu(path, column, found)
    found.settle()
    return tuple(TaggedExample(tuple(s.words), tuple(s.tags), s.group) for s in sentences)


def raw_conllu(path: str | Path, column: str, faults: Faults) -> list[RawSentence]:
    """`read_conllu` with the lines of the words; sentences with faults are left out, and the faults noted."""
    number, key = _column(column, path)
    must = column in _ALWAYS
    cut = number if number < 9 else None  # nothing stands behind MISC
    sentences: list[RawSentence] = []
    line = 1
    for block in whole_text(path).split("\n\n"):
        rows = block.strip("\n")
        if rows:
            first = line + len(block) - len(block.lstrip("\n"))
            sentence = None if key or cut is None else _plain(rows, cut, must, first)
            if sentence is None:
                before = faults.count
                sentence = _careful(rows.split("\n"), number, key, must, first, faults)
                if faults.count > before:
                    faults.left_out["sentence with a fault"] += 1
                    sentence = None
            if sentence is not None:
                sentences.append(sentence)
        line += block.count("\n") + 2
    if not sentences and not faults.count:
        raise DataError("no sentences in this file; expected CoNLL-U", path)
    return sentences


def _plain(rows: str, number: int, must: bool, line: int) -> RawSentence | None:
    """A sentence whose lines are all words with ten columns; None for any other, which `_careful` is for."""
    identifier = ""
    while rows[0] == "#":
        comment, newline, rows = rows.partition("\n")
        if not newline:
            return None
        identifier = identifier or _sentence_id(comment)
        line += 1
    lines = rows.split("\n")
    count = len(lines)
    try:  # only as many columns are cut as are used: this is most of the time that reading takes
        columns = list(zip(*[row.split("\t", number + 1) for row in lines], strict=True))
    except ValueError:
        return None
    if len(columns) != number + 2 or columns[0] != _NUMBERS[:count]:
        return None
    words, tags = columns[1], columns[number]
    if [rest.count("\t") for rest in columns[-1]].count(8 - number) != count or "" in words or "" in tags:
        return None
    if must and "_" in tags:
        return None
    return RawSentence(words, tags, range(line, line + count), identifier or f"line {line}")


def _careful(
    rows: list[str], number: int, key: str | None, must: bool, first: int, faults: Faults
) -> RawSentence | None:
    """The lines of one sentence, each looked at by itself; None where there are comments only."""
    words: list[str] = []
    tags: list[str] = []
    at: list[int] = []
    identifier, expected, range_end = "", "1", 0
    for line, row in enumerate(rows, first):
        if row.startswith("#"):
            if words:
                faults.add("a comment after the first word of a sentence" + _HINT, line)
            identifier = identifier or _sentence_id(row)
            continue
        cells = row.split("\t")
        if len(cells) != 10:
            faults.add(_wrong_count(row, len(cells)), line)
            continue
        if cells[0] != expected:
            if not (cells[0].isdecimal() and cells[0].isascii()):
                range_end = _range_or_node(cells[0], len(words), range_end, faults, line)
                continue
            hint = _HINT if cells[0] == "1" else ""
            faults.add(f"word {cells[0]} stands where word {expected} is expected{hint}", line)
        tag = cells[number] if key is None else _feature(cells[number], key)
        if not cells[1]:
            faults.add("FORM is empty", line)
        elif not tag or (must and tag == "_"):
            faults.add(f"column {COLUMNS[number].upper()} of the word {shown(cells[1])} is {shown(tag)}: no tag", line)
        words.append(cells[1])
        tags.append(tag)
        at.append(line)
        expected = str(int(cells[0]) + 1)
    if range_end > len(words):
        faults.add(f"the sentence ends at word {len(words)}, inside the range up to {range_end}", first + len(rows) - 1)
    return RawSentence(words, tags, at, identifier or f"line {at[0]}") if words else None


def _sentence_id(comment: str) -> str:
    name, equals, value = comment[1:].partition("=")
    return value.strip() if equals and name.strip() == "sent_id" else ""


def _column(column: str, path: str | Path) -> tuple[int, str | None]:
    name, _, key = column.casefold().partition(":")
    if name not in COLUMNS or (key and name not in ("feats", "misc")):
        raise DataError(
            f"column {column!r}: CoNLL-U has {', '.join(COLUMNS)}, feats:KEY, misc:KEY{did_you_mean(name, COLUMNS)}",
            path,
        )
    return COLUMNS.index(name), column.partition(":")[2] if key else None


def _feature(cell: str, key: str) -> str:
    for part in cell.split("|"):
        name, equals, value = part.partition("=")
        if equals and name == key:
            return value
    return "_"


def _wrong_count(line: str, count: int) -> str:
    told = f"{count} tab-separated column{'s' * (count != 1)}, expected the 10 of CoNLL-U: {shown(line)}"
    if not line.strip():
        return "the line holds blanks only; sentences end with an empty line"
    return told + ("; are there blanks in place of TABs?" if count == 1 and len(line.split()) >= 10 else "")


def _range_or_node(cell: str, last: int, range_end: int, faults: Faults, line: int) -> int:
    """Checks the id of a line that is no word; returns where the range under way ends."""
    for mark in "-.":
        left, found, right = cell.partition(mark)
        if found and left.isdecimal() and right.isdecimal() and cell.isascii():
            start, end = int(left), int(right)
            if mark == "." and (start != last or end < 1):
                faults.add(f"the empty node {cell} stands after word {last}", line)
            elif mark == "-" and (start != last + 1 or end <= start or start <= range_end):
                faults.add(f"the range {cell} stands before word {last + 1}, or holds no two words of its own", line)
            elif mark == "-":
                return end
            return range_end
    faults.add(f"id {shown(cell)}: expected a number, a range such as 5-6 or an empty node such as 8.1", line)
    return range_end
