"""Parallel text of the user's own: TSV, Moses pairs, and ``src ||| tgt`` lines; plain, .gz or .xz.

The readers are strict, because a pair shifted by one line trains the opposite of what is wanted: every line must
hold a pair, and the first that does not is named. White space around a sentence is removed.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Literal, get_args

from xrealign.corpus.embedded import MultiText
from xrealign.errors import DataError
from xrealign.language import Language
from xrealign.textio import read_lines
from xrealign.types import Bitext, SentencePair

Columns = Literal["auto", "src tgt", "id src tgt"]
BAR = " ||| "


def read_tsv(path: str | Path, src: Language, tgt: Language, columns: Columns = "auto") -> Bitext:
    """Pairs from a tab-separated file without header.

    Args:
        path: the file.
        src: language of the source column.
        tgt: language of the target column.
        columns: ``src tgt``, ``id src tgt``, or ``auto``: as many as the first line has, two or three. Without
            an id column a pair's id is its line number.

    Raises:
        DataError: a line has another number of columns, an empty sentence, or an id that was there before.
    """
    if columns not in get_args(Columns):
        raise DataError(f"columns is {columns!r}, expected one of {', '.join(get_args(Columns))}")
    width = {"auto": 0, "src tgt": 2, "id src tgt": 3}[columns]
    lines_of_id: dict[str, int] = {}
    pairs = []
    for number, line in read_lines(path):
        cells = line.split("\t")
        if not width and len(cells) in (2, 3):
            width = len(cells)
        if len(cells) != width:
            expected = f"{width}, as before" if width else "2 (source, target) or 3 (id, source, target)"
            raise DataError(f"{len(cells)} tab-separated columns, expected {expected}", path, number)
        identifier = cells[0].strip() if width == 3 else str(number)
        if not identifier:
            raise DataError("the id is empty", path, number)
        first = lines_of_id.setdefault(identifier, number)
        if first != number:
            raise DataError(f"id {identifier!r} stands on line {first} already; ids are unique", path, number)
        pairs.append(_pair(identifier, cells[-2], cells[-1], path, path, number))
    return _bitext(src, tgt, pairs, Path(path).name, path)


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
            pairs.append(_pair(str(left[0]), left[1], right[1], src_path, tgt_path, left[0]))
    if counts[0] != counts[1]:
        raise DataError(
            f"{src_path} has {counts[0]} lines, {tgt_path} has {counts[1]}: line N of one must translate line N "
            "of the other"
        )
    return _bitext(src, tgt, pairs, f"{Path(src_path).name} + {Path(tgt_path).name}", src_path)


def read_bar(path: str | Path, src: Language, tgt: Language) -> Bitext:
    """Pairs from lines ``source ||| target``, as fast_align and its kin read them; ids are line numbers.

    Raises:
        DataError: a line has no or several `` ||| ``, or an empty sentence.
    """
    pairs = []
    for number, line in read_lines(path):
        sides = f" {line} ".split(BAR)
        if len(sides) != 2:
            raise DataError(f"{len(sides) - 1} separators ' ||| ', expected 1: source ||| target", path, number)
        pairs.append(_pair(str(number), sides[0], sides[1], path, path, number))
    return _bitext(src, tgt, pairs, Path(path).name, path)


def read_bitext(path: str | Path, src: Language, tgt: Language) -> Bitext:
    """A user's file of pairs by its ending: `read_bar` for ``.txt`` (compressed or not), else `read_tsv`.

    Raises:
        DataError: what these two raise.
    """
    read = read_bar if ".txt" in Path(path).suffixes[-2:] else read_tsv
    return read(path, src, tgt)


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


def _pair(identifier: str, src: str, tgt: str, src_path: str | Path, tgt_path: str | Path, number: int) -> SentencePair:
    src, tgt = src.strip(), tgt.strip()
    for side, text, path in (("source", src, src_path), ("target", tgt, tgt_path)):
        if not text:
            raise DataError(f"the {side} sentence is empty; remove the pair from both sides", path, number)
    return SentencePair(identifier, src, tgt)


def _bitext(src: Language, tgt: Language, pairs: list[SentencePair], origin: str, path: str | Path) -> Bitext:
    if not pairs:
        raise DataError("no sentence pairs in it", path)
    if src == tgt:
        raise DataError(f"both sides are {src.tag}: a bitext has two languages", path)
    return Bitext(src, tgt, tuple(pairs), origin)
