"""Sentence pairs to align, read as a stream: already split into words, one pair a line, faults kept with their place.

Forms: ``tsv`` (source, tab, target; no header), ``moses`` (two files, line N with line N) and ``bar``
(``source ||| target``); plain, .gz or .xz. Words are what stands between blanks (U+0020).
"""

from __future__ import annotations

import hashlib
import lzma
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from xrealign.align.score import words
from xrealign.errors import ConfigError, DataError, did_you_mean
from xrealign.textio import nfc, open_bytes

FORMS = ("auto", "tsv", "moses", "bar")
LONGEST_LINE = 100_000
BAR = " ||| "


@dataclass(frozen=True, slots=True)
class Row:
    """One line of input: the words of both sides, or what is wrong with it.

    Attributes:
        number: the line, from 1.
        src, tgt: words; empty where there is a fault.
        fault: what kind of fault, or ""; counted by this name.
        detail: the fault at length, for a message.
        path: the file at fault.
    """

    number: int
    src: list[str]
    tgt: list[str]
    fault: str = ""
    detail: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a first pass over the input found: lines, faults by kind, and a digest of all bytes."""

    lines: int
    faults: Counter[str]
    digest: str


def find_form(paths: Sequence[Path], form: str = "auto") -> str:
    """The form of the input: two files are ``moses``; of one, the first tab or ``|||`` tells.

    Raises:
        ConfigError: the form is unknown, or wants another number of files.
        DataError: there is neither in it, or the file cannot be read.
    """
    if form not in FORMS:
        raise ConfigError(f"--input {form} is unknown; expected {', '.join(FORMS)}{did_you_mean(form, FORMS)}")
    if form == "auto":
        form = "moses" if len(paths) == 2 else _form_of_lines(paths[0])
    wanted = 2 if form == "moses" else 1
    if len(paths) != wanted:
        raise ConfigError(f"{form} input is {wanted} file{'s' * (wanted > 1)}, but {len(paths)} are named")
    return form


def _form_of_lines(path: Path) -> str:
    lines = 0
    for lines, raw in _raw_lines(path):  # noqa: B007 - counted
        if b"\t" in raw:
            return "tsv"
        if b"|||" in raw:
            return "bar"
    if lines:
        raise DataError("no line has a tab or ' ||| ' in it: expected source and target on each", path, 1)
    raise DataError("no sentence pairs in it", path)


def read_rows(paths: Sequence[Path], form: str, digest: hashlib._Hash | None = None) -> Iterator[Row]:
    """Every line as a `Row`; faulty lines too, so that line N of the output is line N of the input.

    Args:
        digest: updated with every line's bytes.

    Raises:
        DataError: a file cannot be read, or two files differ in length (names both counts).
    """
    if form == "moses":
        yield from _read_moses(paths[0], paths[1], digest)
        return
    for number, raw in _raw_lines(paths[0]):
        if digest:
            digest.update(raw)
        text, fault = _decode(raw, number)
        if fault:
            yield Row(number, [], [], *fault, str(paths[0]))
            continue
        sides = text.split("\t") if form == "tsv" else f" {text} ".split(BAR)
        if len(sides) != 2:
            yield Row(number, [], [], *_wrong_sides(text, len(sides), form), str(paths[0]))
        else:
            yield _row(number, sides[0], sides[1], paths[0], paths[0])


def _wrong_sides(text: str, count: int, form: str) -> tuple[str, str]:
    if not text.strip():
        return "empty line", "the line is empty; expected source and target"
    if form == "bar":
        return "separators", f"{count - 1} separators ' ||| ', expected 1: source ||| target"
    hint = "; with ids or links beside the text, cut out the two columns" if count > 2 else ""
    return "columns", f"{count} tab-separated column{'s' * (count > 1)}, expected 2 (source, target){hint}"


def _read_moses(src: Path, tgt: Path, digest: hashlib._Hash | None) -> Iterator[Row]:
    counts = [0, 0]
    for left, right in zip_longest(_raw_lines(src), _raw_lines(tgt)):
        counts = [counts[0] + (left is not None), counts[1] + (right is not None)]
        if left is None or right is None:
            continue
        if digest:
            digest.update(left[1] + b"\0" + right[1])
        (one, fault), (other, other_fault) = _decode(left[1], left[0]), _decode(right[1], right[0])
        if fault:
            yield Row(left[0], [], [], *fault, str(src))
        elif other_fault:
            yield Row(left[0], [], [], *other_fault, str(tgt))
        else:
            yield _row(left[0], one, other, src, tgt)
    if counts[0] != counts[1]:
        raise DataError(
            f"{src} has {counts[0]} lines, {tgt} has {counts[1]}: line N of one must translate line N of the other"
        )


def _row(number: int, src: str, tgt: str, src_path: Path, tgt_path: Path) -> Row:
    for side, text, path in (("source", src, src_path), ("target", tgt, tgt_path)):
        if not text.strip():
            return Row(number, [], [], f"empty {side}", f"the {side} sentence is empty", str(path))
        if "\t" in text:
            return Row(number, [], [], "tab", f"a tab in the {side} sentence; words are separated by blanks", str(path))
    return Row(number, words(src), words(tgt))


def _decode(raw: bytes, number: int) -> tuple[str, tuple[str, str] | None]:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return "", ("not UTF-8", f"byte 0x{raw[error.start]:02x} is not UTF-8; save the file as UTF-8")
    if "\0" in text:
        return "", ("NUL", "NUL character in text; is this a binary file?")
    if len(text) > LONGEST_LINE:
        return "", ("overlong line", f"{len(text)} characters on the line, expected {LONGEST_LINE} at most")
    text = text.removeprefix("\ufeff") if number == 1 else text
    return nfc(text.removesuffix("\n").removesuffix("\r")), None


def _raw_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with open_bytes(path) as file:
            yield from enumerate(file, 1)
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise DataError(f"cannot be read: {reason}", path) from None


def check_input(paths: Sequence[Path], form: str, lenient: bool) -> Checked:
    """A first pass over all lines, before any work is done.

    Raises:
        DataError: there are no lines; files differ in length; or, unless ``lenient``, a line is at fault (the first
            one is named).
    """
    digest = hashlib.sha256()
    faults: Counter[str] = Counter()
    lines = 0
    for row in read_rows(paths, form, digest):
        lines += 1
        if row.fault and not lenient:
            raise DataError(f"{row.detail} (--lenient skips such lines and counts them)", row.path, row.number)
        if row.fault:
            faults[row.fault] += 1
    if not lines:
        raise DataError("no sentence pairs in it", paths[0])
    return Checked(lines, faults, digest.hexdigest())
