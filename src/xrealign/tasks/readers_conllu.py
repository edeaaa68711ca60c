"""CoNLL-U, the format of Universal Dependencies (universaldependencies.org/format.html): words and one column of tags.

Words are the syntactic ones (whole-number ids); multiword ranges (``5-6``) and empty nodes (``8.1``) are checked and
passed over. Strict on what it uses: ids, forms and the chosen column.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from xrealign.errors import DataError, did_you_mean
from xrealign.tasks.conllu_layout import find_layout
from xrealign.tasks.faults import Faults
from xrealign.tasks.readers_spans import NO_NAMES, RawSentence, to_bio
from xrealign.tasks.readers_text import odd_name, shown, whole_text
from xrealign.tasks.task import TaggedExample

COLUMNS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
_ALWAYS = frozenset({"form", "upos", "xpos", "deprel"})  # "_" there is a word that nobody tagged
_ID = re.compile(r"(0|[1-9][0-9]{0,8})([-.])([1-9][0-9]{0,8})")  # no sentence has more words, and int has its limits
_WHOLE = re.compile(r"[0-9]{1,9}")
_HINT = "; is an empty line between sentences missing?"


def read_conllu(
    path: str | Path,
    column: str = "upos",
    faults: Faults | None = None,
    spans: bool = False,
    names: Mapping[str, str] = NO_NAMES,
    scheme: str | None = None,
) -> tuple[TaggedExample, ...]:
    """The sentences of a CoNLL-U file with the tags of one column: as they stand there, or spans in BIO form.

    Args:
        path: plain, .gz, .xz or .zst.
        column: a name of `COLUMNS`, or one key of FEATS or MISC (``feats:Case``; ``_`` where a word has none).
        faults: where to note what is wrong; None raises.
        spans: the tags are spans'; then ``names`` and ``scheme`` are `to_bio`'s.

    Returns:
        One example a sentence; its group is ``sent_id``, or ``line N`` of its first word.

    Raises:
        DataError: the file cannot be read or has no sentences, an unknown column, and without ``faults`` (or with
            strict ones) any line that breaks the format; each with its line.
    """
    found = faults or Faults(Path(path))
    sentences = raw_conllu(path, column, found)
    if spans:
        examples = to_bio(list(sentences), found, names, scheme)
    else:
        examples = tuple([TaggedExample(words, tags, group) for words, tags, _, group, _ in sentences])
    found.settle()
    return examples


def raw_conllu(path: str | Path, column: str, faults: Faults) -> Iterator[RawSentence]:
    """`read_conllu` before anything is made of the tags; sentences with faults are left out, and the faults noted.

    Sentences that are plainly right are cut out of the text by `find_layout`; `_careful` looks at the others.
    """
    number, key = _column(column, path)
    must = column in _ALWAYS
    text = whole_text(path).encode()
    if not text.endswith(b"\n"):
        text += b"\n"
    layout = find_layout(text, number, must, _end_of_range)
    starts, ends, words, tags, lines = layout.starts, layout.ends, layout.words, layout.tags, layout.word_lines
    hidden = {tag for tag in set(tags) if tag and odd_name(tag)}
    begin = stop = found = 0
    for at, (first, last, stop, plain) in enumerate(layout.sentences):
        if plain and key is None and not (hidden and hidden.intersection(tags[begin:stop])):
            if begin < stop:  # else there are only comments
                group = _group(layout.comments.get(at, ())) or f"line {lines[begin]}"
                found += 1
                yield RawSentence(tuple(words[begin:stop]), tuple(tags[begin:stop]), lines[begin:stop], group)
        else:
            before = faults.count
            rows = text[starts[first] : ends[last]].decode().split("\n")
            sentence = _careful(rows, number, key, must, first + 1, faults)
            if faults.count > before:
                faults.left_out["sentence with a fault"] += 1
            elif sentence is not None:
                found += 1
                yield sentence
        begin = stop
    if not found and not faults.count:
        raise DataError("no sentences in this file; expected CoNLL-U", path)


def _careful(
    rows: list[str], number: int, key: str | None, must: bool, first: int, faults: Faults
) -> RawSentence | None:
    """The lines of one sentence, each looked at by itself; None where there are comments only."""
    words: list[str] = []
    tags: list[str] = []
    at: list[int] = []
    comments: list[str] = []
    expected, range_end = "1", 0
    for line, row in enumerate(rows, first):
        if row.startswith("#"):
            if words:
                faults.add("a comment after the first word of a sentence" + _HINT, line)
            comments.append(row)
            continue
        cells = row.split("\t")
        if len(cells) != 10:
            faults.add(_wrong_count(row, len(cells)), line)
            continue
        if cells[0] != expected:
            if not _WHOLE.fullmatch(cells[0]):
                range_end = _range_or_node(cells[0], len(words), range_end, faults, line)
                continue
            hint = _HINT if cells[0] == "1" else ""
            faults.add(f"word {cells[0]} stands where word {expected} is expected{hint}", line)
        tag = cells[number] if key is None else _feature(cells[number], key)
        if not cells[1]:
            faults.add("FORM is empty", line)
        elif not tag or (must and tag == "_"):
            faults.add(f"column {COLUMNS[number].upper()} of the word {shown(cells[1])} is {shown(tag)}: no tag", line)
        elif told := odd_name(tag):
            faults.add(
                f"column {COLUMNS[number].upper()} of the word {shown(cells[1])} is {shown(tag)}: it {told}", line
            )
        words.append(cells[1])
        tags.append(tag)
        at.append(line)
        expected = str(int(cells[0]) + 1)
    if range_end > len(words):
        faults.add(f"the sentence ends at word {len(words)}, inside the range up to {range_end}", first + len(rows) - 1)
    return RawSentence(tuple(words), tuple(tags), at, _group(comments) or f"line {at[0]}") if words else None


def _group(comments: Iterable[str]) -> str:
    """The ``sent_id`` that the comments of a sentence give; empty without."""
    for comment in comments:
        if comment.startswith("# sent_id = "):
            return comment[12:].strip()
        if "sent_id" in comment:
            name, equals, value = comment[1:].partition("=")
            if equals and name.strip() == "sent_id":
                return value.strip()
    return ""


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
    end = _end_of_range(cell, last, range_end)
    if end is None:
        expected = (
            f"a range such as {last + 1}-{last + 2} before its words, or an empty node such as {last}.1 after one"
        )
        faults.add(f"id {shown(cell)} stands after word {last}: expected the number of the next word, {expected}", line)
    return range_end if end is None else end


def _end_of_range(cell: str, last: int, range_end: int) -> int | None:
    """Where the range under way ends behind a line with this id, that is no word's; None if the id is wrong."""
    match = _ID.fullmatch(cell)
    if match is None:
        return None
    start, end = int(match[1]), int(match[3])
    if match[2] == ".":
        return range_end if start == last else None
    return end if start == last + 1 and end > start > range_end else None
