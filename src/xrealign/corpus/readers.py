"""Parallel text of the user's own: TSV, Moses pairs, and ``src ||| tgt`` lines; plain, .gz or .xz.

The readers are strict, because a pair shifted by one line trains the opposite of what is wanted: every line must
hold a pair, and the first that does not is named. A `Skipped` that is lenient counts faulty lines instead, up to a cap.
White space around a sentence is removed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Literal, get_args

from xrealign.corpus.embedded import MultiText
from xrealign.errors import DataError
from xrealign.language import Language
from xrealign.textio import Skipped, decode_line, raw_lines, read_lines
from xrealign.types import Bitext, SentencePair

LONGEST_SENTENCE = 100_000
LONGEST_BYTES = 2 * 4 * LONGEST_SENTENCE
Columns = Literal["auto", "src tgt", "id src tgt"]
BAR = " ||| "


def read_tsv(
    path: str | Path, src: Language, tgt: Language, columns: Columns = "auto", skipped: Skipped | None = None
) -> Bitext:
    """Pairs from a tab-separated file without header.

    Args:
        path: the file.
        src: language of the source column.
        tgt: language of the target column.
        columns: ``src tgt``, ``id src tgt``, or ``auto``: as many as the first line has, two or three. Without
            an id column a pair's id is its line number.
        skipped: what becomes of faulty lines; without it the first one is raised.

    Raises:
        DataError: a line has another number of columns, an empty sentence or one of more than `LONGEST_SENTENCE`
            characters, or an id that was there before; or leniently too many are faulty.
    """
    if columns not in get_args(Columns):
        raise DataError(f"columns is {columns!r}, expected one of {', '.join(get_args(Columns))}")
    width = {"auto": 0, "src tgt": 2, "id src tgt": 3}[columns]
    skipped = skipped or Skipped()
    lines_of_id: dict[str, int] = {}
    pairs = []
    for number, line in _lines(path, skipped):
        cells = line.split("\t")
        if not width and len(cells) in (2, 3):
            width = len(cells)
        if len(cells) != width:
            expected = f"{width}, as before" if width else "2 (source, target) or 3 (id, source, target)"
            skipped.add("columns", f"{len(cells)} tab-separated columns, expected {expected}", path, number)
            continue
        identifier = cells[0].strip() if width == 3 else str(number)
        if not identifier:
            skipped.add("empty id", "the id is empty", path, number)
            continue
        first = lines_of_id.setdefault(identifier, number)
        if first != number:
            told = f"id {_shown(identifier)} stands on line {first} already; ids are unique"
            skipped.add("repeated id", told, path, number)
            continue
        pairs += _pair(identifier, cells[-2], cells[-1], path, path, number, skipped)
    return _bitext(src, tgt, pairs, Path(path).name, path, skipped)


def read_moses(src_path: str | Path, tgt_path: str | Path, src: Language, tgt: Language) -> Bitext:
    """Pairs from two files of which line N of one translates line N of the other; ids are line numbers.

    Raises:
        DataError: the files differ in length (names both counts), or a line is empty.
    """
    pairs = []
    counts = [0, 0]
    for left, right in zip_longest(read_lines(src_path), read_lines(tgt_path)):
        counts[0] += left is not None
        counts[1] += right is not None
        if left is not None and right is not None and counts[0] == counts[1]:
            pairs += _pair(str(left[0]), left[1], right[1], src_path, tgt_path, left[0], Skipped())
    if counts[0] != counts[1]:
        raise DataError(
            f"{src_path} has {counts[0]} lines, {tgt_path} has {counts[1]}: line N of one must translate line N "
            "of the other"
        )
    return _bitext(src, tgt, pairs, f"{Path(src_path).name} + {Path(tgt_path).name}", src_path, Skipped())


def read_bar(path: str | Path, src: Language, tgt: Language, skipped: Skipped | None = None) -> Bitext:
    """Pairs from lines ``source ||| target``, as fast_align and its kin read them; ids are line numbers.

    Raises:
        DataError: a line has no or several `` ||| ``, or a sentence is empty or overlong; or leniently too many are
            faulty.
    """
    skipped = skipped or Skipped()
    pairs = []
    for number, line in _lines(path, skipped):
        sides = f" {line} ".split(BAR)
        if len(sides) != 2:
            told = f"{len(sides) - 1} separators ' ||| ', expected 1: source ||| target"
            skipped.add("separators", told, path, number)
            continue
        pairs += _pair(str(number), sides[0], sides[1], path, path, number, skipped)
    return _bitext(src, tgt, pairs, Path(path).name, path, skipped)


def read_bitext(path: str | Path, src: Language, tgt: Language, skipped: Skipped | None = None) -> Bitext:
    """A user's file of pairs by its ending: `read_bar` for ``.txt`` (compressed or not), else `read_tsv`.

    Raises:
        DataError: what these two raise.
    """
    if ".txt" in Path(path).suffixes[-2:]:
        return read_bar(path, src, tgt, skipped)
    return read_tsv(path, src, tgt, skipped=skipped)


def read_line_aligned(paths: Mapping[Language, str | Path], name: str) -> MultiText:
    """Files in several languages of which line N says the same in all (NTREX, TICO-19); ids are line numbers.

    Raises:
        DataError: the files differ in length (names both counts), a line is empty, or there are no files.
    """
    if not paths:
        raise DataError(f"{name}: no files were given")
    texts: dict[Language, dict[str, str]] = {}
    for language, path in paths.items():
        lines = texts[language] = {}
        for number, line in read_lines(path):
            if not line.strip():
                raise DataError("the line is empty; it must hold a sentence in every language", path, number)
            lines[str(number)] = line.strip()
    first, *others = texts
    for other in others:
        if len(texts[other]) != len(texts[first]):
            raise DataError(
                f"{paths[first]} has {len(texts[first])} lines, {paths[other]} has {len(texts[other])}: line N must "
                "say the same in all"
            )
    return MultiText(name, tuple(texts[first]), texts)


def _lines(path: str | Path, skipped: Skipped) -> Iterator[tuple[int, str]]:
    """The lines that can be read, counted."""
    for number, raw in raw_lines(path, LONGEST_BYTES):
        skipped.lines += 1
        text, fault = decode_line(raw, number, LONGEST_BYTES)
        if fault:
            skipped.add(*fault, path, number)
        else:
            yield number, text


def _pair(
    identifier: str, src: str, tgt: str, src_path: str | Path, tgt_path: str | Path, number: int, skipped: Skipped
) -> list[SentencePair]:
    """The pair; none where a side is at fault."""
    src, tgt = src.strip(), tgt.strip()
    for side, text, path in (("source", src, src_path), ("target", tgt, tgt_path)):
        if not text:
            told = f"the {side} sentence is empty; remove the pair from both sides"
            skipped.add(f"empty {side}", told, path, number)
            return []
        if len(text) > LONGEST_SENTENCE:
            told = f"the {side} sentence has {len(text)} characters, expected {LONGEST_SENTENCE} at most"
            skipped.add("overlong line", told, path, number)
            return []
    return [SentencePair(identifier, src, tgt)]


def _shown(text: str, most: int = 60) -> str:
    return repr(text if len(text) <= most else f"{text[:most]}…")


def _bitext(
    src: Language, tgt: Language, pairs: list[SentencePair], origin: str, path: str | Path, skipped: Skipped
) -> Bitext:
    skipped.check(path)
    if not pairs:
        raise DataError("no sentence pairs in it", path)
    if src == tgt:
        raise DataError(f"both sides are {src.tag}: a bitext has two languages", path)
    return Bitext(src, tgt, tuple(pairs), origin)
