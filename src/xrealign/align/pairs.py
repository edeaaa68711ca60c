"""Sentence pairs to align, read as a stream: words of both sides, faults kept with their place. No torch.

Forms: ``tsv`` (source, tab, target; no header), ``moses`` (two files, line N with line N), ``bar``
(``source ||| target``) and ``tmx`` (a translation memory: one pair for each unit); plain, .gz, .xz or .zst. How
sentences become words, and which languages they are in, is the `Reading`.
"""

from __future__ import annotations

import hashlib
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from xrealign.align.reading import SPLIT, Reading, words_of
from xrealign.corpus.tmx import LONGEST_SEGMENT, read_units
from xrealign.errors import ConfigError, DataError, did_you_mean
from xrealign.textio import COMPRESSED, Skipped, decode_line, raw_lines, reason
from xrealign.writing import new_file

FORMS = ("auto", "tsv", "moses", "bar", "tmx")
LONGEST_LINE = 100_000
LONGEST_BYTES = 4 * LONGEST_LINE + 8
BAR = " ||| "


@dataclass(frozen=True, slots=True)
class Row:
    """One line of input, or one unit of a translation memory: the words of both sides, or what is wrong with it.

    Attributes:
        number: the line, from 1; of a unit the one where it begins.
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
    """What a first pass over the input found: lines (or units), faults by kind, and a digest of what was read."""

    lines: int
    faults: Counter[str]
    digest: str


def find_form(paths: Sequence[Path], form: str = "auto") -> str:
    """The form of the input: two files are ``moses``; of one, the suffix .tmx, or the first tab or ``|||`` tells.

    Raises:
        ConfigError: the form is unknown, or wants another number of files; or two files are one.
        DataError: there is neither in it, or the file cannot be read (twice, as it has to be).
    """
    if form not in FORMS:
        raise ConfigError(f"--input {form} is unknown; expected {', '.join(FORMS)}{did_you_mean(form, FORMS)}")
    for path in paths:
        _check_file(path)
    if form == "auto":
        form = "moses" if len(paths) == 2 else "tmx" if _is_tmx(paths[0]) else _form_of_lines(paths[0])
    wanted = 2 if form == "moses" else 1
    if len(paths) != wanted:
        raise ConfigError(f"{form} input is {wanted} file{'s' * (wanted > 1)}, but {len(paths)} are named")
    if form == "moses" and paths[0].samefile(paths[1]):
        raise ConfigError(f"{paths[0]} and {paths[1]} are the same file; expected one for each language")
    return form


def _check_file(path: Path) -> None:
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except OSError as error:
        hint = "; standard input cannot be aligned, save it as a file" if str(path) == "-" else ""
        raise DataError(f"cannot be read: {reason(error)}{hint}", path) from None
    if kind == stat.S_IFDIR:
        raise DataError("is a folder, expected a file", path)
    if kind != stat.S_IFREG:
        raise DataError("is no file that can be read twice (first it is checked, then aligned); save it as one", path)


def _is_tmx(path: Path) -> bool:
    name = path.name.lower()
    for suffix in (*COMPRESSED, ".zip"):
        name = name.removesuffix(suffix)
    return name.endswith(".tmx")


def _form_of_lines(path: Path) -> str:
    first = b""
    for number, raw in raw_lines(path, LONGEST_BYTES):
        first = first or raw
        if number == 1 and raw.removeprefix(b"\xef\xbb\xbf").lstrip().startswith((b"<?xml", b"<tmx")):
            return "tmx"
        if b"\t" in raw:
            return "tsv"
        if b"|||" in raw:
            return "bar"
    if first:
        _, fault = _decode(first, 1)
        if fault:
            raise DataError(fault[1], path, 1)
        raise DataError("no line has a tab or ' ||| ' in it: expected source and target on each", path, 1)
    raise DataError("no sentence pairs in it", path)


def read_rows(
    paths: Sequence[Path], form: str, digest: hashlib._Hash | None = None, reading: Reading = SPLIT
) -> Iterator[Row]:
    """Every line as a `Row`; faulty lines too, so that line N of the output is line N of the input.

    Args:
        digest: updated with the bytes of every line.

    Raises:
        DataError: a file cannot be read, two files differ in length (names both counts), or what
            `xrealign.corpus.tmx.read_units` raises.
    """
    if form == "moses":
        yield from _read_moses(paths[0], paths[1], digest, reading)
        return
    if form == "tmx":
        yield from _read_tmx(paths[0], digest, reading)
        return
    for number, raw in raw_lines(paths[0], LONGEST_BYTES):
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
            yield _row(number, sides[0], sides[1], paths[0], paths[0], reading)


def _wrong_sides(text: str, count: int, form: str) -> tuple[str, str]:
    if not text.strip():
        return "empty line", "the line is empty; expected source and target"
    if form == "bar":
        return "separators", f"{count - 1} separators ' ||| ', expected 1: source ||| target"
    hint = "; with ids or links beside the text, cut out the two columns" if count > 2 else ""
    return "columns", f"{count} tab-separated column{'s' * (count > 1)}, expected 2 (source, target){hint}"


def _read_moses(src: Path, tgt: Path, digest: hashlib._Hash | None, reading: Reading) -> Iterator[Row]:
    counts = [0, 0]
    for left, right in zip_longest(raw_lines(src, LONGEST_BYTES), raw_lines(tgt, LONGEST_BYTES)):
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
            yield _row(left[0], one, other, src, tgt, reading)
    if counts[0] != counts[1]:
        raise DataError(
            f"{src} has {counts[0]} lines, {tgt} has {counts[1]}: line N of one must translate line N of the other"
        )


def _read_tmx(path: Path, digest: hashlib._Hash | None, reading: Reading) -> Iterator[Row]:
    if reading.src is None or reading.tgt is None:
        raise ConfigError("a translation memory needs a reading with two languages, see find_reading")
    for unit in read_units(path, digest):
        texts = [unit.text_in(language) for language in (reading.src, reading.tgt)]
        fault = None
        for side, language, text in zip(("source", "target"), (reading.src, reading.tgt), texts, strict=True):
            if text is None and not fault:
                told = f"unit {unit.shown} has no segment in {language}; its languages are {unit.languages}"
                fault = f"no {side}", told
            elif text and len(text) > LONGEST_SEGMENT and not fault:
                fault = "overlong line", f"the {side} segment has more than {LONGEST_SEGMENT} characters"
        if fault:
            yield Row(unit.line, [], [], *fault, str(path))
        else:
            yield _row(unit.line, texts[0] or "", texts[1] or "", path, path, reading)


def _row(number: int, src: str, tgt: str, src_path: Path, tgt_path: Path, reading: Reading) -> Row:
    found = []
    for side, text, path, language in (
        ("source", src, src_path, reading.src),
        ("target", tgt, tgt_path, reading.tgt),
    ):
        words, fault = words_of(text, language, reading.words, side)
        if fault:
            return Row(number, [], [], *fault, str(path))
        found.append(words)
    return Row(number, found[0], found[1])


def _decode(raw: bytes, number: int) -> tuple[str, tuple[str, str] | None]:
    text, fault = decode_line(raw, number, LONGEST_BYTES)
    if fault and fault[0] == "overlong line":
        return "", (fault[0], f"{fault[1]}, expected {LONGEST_LINE} characters at most")
    if len(text) > LONGEST_LINE:
        return "", ("overlong line", f"{len(text)} characters on the line, expected {LONGEST_LINE} at most")
    return text, fault


def check_input(paths: Sequence[Path], form: str, lenient: bool, reading: Reading = SPLIT) -> Checked:
    """A first pass over all lines, before any work is done.

    Raises:
        DataError: there are no lines; files differ in length; a line is at fault (the first one is named), or with
            ``lenient`` too many are (`xrealign.textio.Skipped`).
    """
    digest = hashlib.sha256()
    skipped = Skipped(lenient)
    for row in read_rows(paths, form, digest, reading):
        skipped.lines += 1
        if row.fault:
            told = row.detail if lenient else f"{row.detail} (--lenient skips such lines and counts them)"
            skipped.add(row.fault, told, row.path, row.number)
    if not skipped.lines:
        raise DataError("no sentence pairs in it", paths[0])
    skipped.check(paths[0])
    return Checked(skipped.lines, skipped.reasons, digest.hexdigest())


def write_words(paths: Sequence[Path], form: str, out: Path, reading: Reading) -> None:
    """Writes the words that are aligned: source, tab, target, words separated by blanks, line N for line N.

    What `xrealign align` reads, so that the links can be scored, or other aligners run on the same words. Lines at
    fault are empty. The file appears when it is whole.

    Raises:
        DataError: the input cannot be read.
        OutputError: the system refuses.
    """
    with new_file(out) as file:
        for row in read_rows(paths, form, None, reading):
            file.write(b"\n" if row.fault else f"{' '.join(row.src)}\t{' '.join(row.tgt)}\n".encode())
