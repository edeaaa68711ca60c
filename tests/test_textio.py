"""Text in and out: NFC, strict UTF-8, the place of every fault, files whole or not at all."""

from __future__ import annotations

import functools
import gzip
import lzma
import os
import random
import stat
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from xrealign import textio
from xrealign.errors import DataError
from xrealign.textio import (
    LONGEST_LINE,
    MOST_SKIPPED,
    Skipped,
    decimal_number,
    is_file,
    is_there,
    nfc,
    open_bytes,
    raw_lines,
    read_lines,
    whole_number,
)
from xrealign.writing import write_atomic

gzipped = functools.partial(gzip.compress, mtime=0)  # parameters must be the same in every process of the tests

DECOMPOSED = "e\u0301 \u0915\u093c \u1112\u1161\u11ab"


@given(st.text())
def test_nfc_is_unicodes(text):
    assert nfc(text) == unicodedata.normalize("NFC", text)


PACKED = [(".txt", bytes), (".gz", gzipped), (".xz", lzma.compress), (".zst", zstd.compress)]


@pytest.mark.parametrize(("suffix", "pack"), PACKED)
def test_lines_are_numbered_normalised_and_only_ended_by_newlines(tmp_path, suffix, pack):
    path = tmp_path / f"text{suffix}"
    path.write_bytes(pack(f"\ufeffone\r\n{DECOMPOSED}\n\na\u2028b\x0bc\x85d\n\ufefflast \ufeffone\r".encode()))
    assert list(read_lines(path)) == [
        (1, "one"),
        (2, unicodedata.normalize("NFC", DECOMPOSED)),
        (3, ""),
        (4, "a\u2028b\x0bc\x85d"),
        (5, "last \ufeffone"),  # a mark begins a line where files were joined
    ]


@pytest.mark.parametrize(("suffix", "pack"), PACKED[1:])
def test_a_bomb_is_left_in_time_and_what_packs_well_is_not(tmp_path, suffix, pack, monkeypatch):
    monkeypatch.setattr(textio, "BOMB", 1 << 20)
    path = tmp_path / f"text{suffix}"
    path.write_bytes(pack(b"the same line\n" * 70_000))
    assert sum(1 for _ in read_lines(path)) == 70_000
    path.write_bytes(pack(b"the same line\n" * 80_000) * 5)
    with pytest.raises(DataError, match=r"unpacks to more than 200 times its size, as no text does; unpack it"):
        list(read_lines(path))
    noise = bytes(random.Random(3).choices(b"abcdefgh\n", k=400_000))
    path.write_bytes(pack(noise) * 5)
    with open_bytes(path) as file:
        assert file.read() == noise * 5


def test_an_empty_file_has_no_lines(tmp_path):
    (tmp_path / "empty").touch()
    assert list(read_lines(tmp_path / "empty")) == []


@pytest.mark.parametrize(
    ("content", "line", "told"),
    [
        (b"one\ntw\xff\n", 2, "byte 0xff is not UTF-8; save the file as UTF-8"),
        (b"one\ntwo\n\xc3", 3, "byte 0xc3 is not UTF-8"),
        (b"\xed\xa0\x80", 1, "byte 0xed is not UTF-8"),
        (b"one\n\0\n", 2, "NUL character in text; is this a binary file, or UTF-16?"),
        ("one".encode("utf-16"), 1, "byte 0xff is not UTF-8; it begins like UTF-16"),
        ("one".encode("utf-16-le"), 1, "NUL character in text; is this a binary file, or UTF-16?"),
        (b"one\n\xff\xfe\n", 2, "byte 0xff is not UTF-8; save the file as UTF-8"),
        (gzipped(b"one"), 1, "byte 0x8b is not UTF-8; it begins like gzip: give the file a name that ends in"),
        (lzma.compress(b"one"), 1, "byte 0xfd is not UTF-8; it begins like xz"),
        (zstd.compress(b"one"), 1, "byte 0xb5 is not UTF-8; it begins like Zstandard"),
        (b"one\ntwo\rthree\r", 2, r"a carriage return inside the line; lines end in \n or \r\n"),
        (b"PK\x03\x04\x14\0\0", 1, "NUL character in text; it begins like a zip archive: unpack it"),
    ],
)
def test_faults_have_a_place(tmp_path, content, line, told):
    path = tmp_path / "bad.txt"
    path.write_bytes(content)
    with pytest.raises(DataError) as raised:
        list(read_lines(path))
    assert str(raised.value).startswith(f"{path}:{line}: {told}")
    assert (raised.value.path, raised.value.line) == (str(path), line)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("none.txt", None),
        *((f"cut{suffix}", pack(b"abc" * 999)[:-9]) for suffix, pack in PACKED[1:]),
        *((f"plain{suffix}", b"text") for suffix, _ in PACKED[1:]),
        ("garbage.gz", gzipped(b"abc") + b"more"),
        ("bits.gz", gzipped(b"a" * 99)[:12] + b"\xff" * 20),
    ],
)
def test_files_that_cannot_be_read_are_told(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=r"cannot be read: .") as raised:
        list(read_lines(tmp_path / name))
    assert raised.value.line is None
    assert "\n" not in str(raised.value)


def test_writing_replaces_whole(tmp_path):
    path = tmp_path / "new" / "file.txt"
    write_atomic(path, "ä\n")
    assert path.read_bytes() == "ä\n".encode()
    write_atomic(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


def test_written_files_have_the_rights_the_umask_leaves(tmp_path):
    old = os.umask(0o027)
    try:
        write_atomic(tmp_path / "x", "x")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o640


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "file.txt"
    write_atomic(path, "old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(path, "new")
    with pytest.raises(UnicodeEncodeError):
        write_atomic(path, "\ud800")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


# Numbers, lines without end, lenient reading


@pytest.mark.parametrize(
    ("text", "value"), [("0", 0), (" -17 ", -17), ("+5", 5), ("007", 7), (str(2**63 - 1), 2**63 - 1)]
)
def test_whole_numbers(text, value):
    assert whole_number(text) == value


@pytest.mark.parametrize(
    "text", ["", "1_0", "١٢", "1.0", "1e3", "0x1", "- 1", "²", "９", str(2**63), "9" * 5000, "1\n2"]
)
def test_what_is_no_whole_number(text):
    with pytest.raises(ValueError, match="is no whole number"):
        whole_number(text)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_decimal_numbers_are_what_python_writes(value):
    assert decimal_number(repr(value)) == value
    assert decimal_number(f" {value!r}\t") == value


@pytest.mark.parametrize(
    "text", ["", ".", "nan", "inf", "-Infinity", "1_0.5", "٠.٥", "0,5", "1e999", "1e", "0x1p3", "9" * 500]
)
def test_what_is_no_decimal_number(text):
    with pytest.raises(ValueError, match="is no number; expected a finite one"):
        decimal_number(text)


def test_of_an_overlong_line_only_the_beginning_is_held(tmp_path):
    path = tmp_path / "long.txt"
    path.write_bytes(b"a\n" + b"b" * 50 + b"\n" + b"c" * 10 + b"\nd")
    assert list(raw_lines(path, 10)) == [(1, b"a\n"), (2, b"b" * 10), (3, b"c" * 10), (4, b"d")]
    with pytest.raises(DataError, match=r"long\.txt:2: more than 9 bytes on the line"):
        list(read_lines(path, 10))
    path.write_bytes(b"a\n" + b"b" * (LONGEST_LINE + 1))
    with pytest.raises(DataError, match=rf"long\.txt:2: more than {LONGEST_LINE - 1} bytes on the line"):
        list(read_lines(path))


def test_folders_and_names_that_none_can_have_are_no_files(tmp_path):
    (tmp_path / "a").touch()
    named = {str(tmp_path / "a"): True, str(tmp_path): False, "": False, "a\0b": False, "x" * 5000: False}
    assert {name: is_file(name) for name in named} == named


def test_pipes_and_devices_are_refused_before_they_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.gz")  # opening it would wait for a writer for ever
    for path in (tmp_path / "pipe.gz", os.devnull):
        with pytest.raises(DataError, match="cannot be read: is a pipe or a device, expected a file"):
            list(read_lines(path))
    with pytest.raises(DataError, match="cannot be read: No such file"):
        list(read_lines("a\0b"))
    assert not is_there("n" * 5000)
    assert not is_there("a\0b")
    assert is_there(tmp_path)


def skipped_of(faults: int, lines: int, **settings) -> Skipped:
    skipped = Skipped(True, **settings)
    skipped.lines = lines
    for number in range(1, faults + 1):
        skipped.add("columns", f"fault {number}", "x.tsv", number + 1)
    return skipped


def test_strictly_the_first_fault_is_raised():
    with pytest.raises(DataError, match=r"x\.tsv:7: 3 columns"):
        Skipped().add("columns", "3 columns", "x.tsv", 7)


def test_leniently_a_hundred_lines_or_a_tenth_may_be_at_fault():
    for faults, lines in ((0, 0), (MOST_SKIPPED, MOST_SKIPPED + 1), (150, 1500), (MOST_SKIPPED + 1, 100_000)):
        skipped = skipped_of(faults, lines)
        skipped.check("x.tsv")
        assert (skipped.reasons.total(), len(skipped.at)) == (faults, faults)
    told = r"x\.tsv: 151 of 1500 items are at fault, too many to skip .*\(151 columns\), first on line 2: fault 1"
    with pytest.raises(DataError, match=told):
        skipped_of(151, 1500).check("x.tsv")
    with pytest.raises(DataError, match="all 3 lines are at fault"):
        skipped_of(3, 3).check("x.tsv")


def test_a_number_of_lines_that_may_be_at_fault():
    skipped_of(200, 300, most=200).check("x.tsv")
    with pytest.raises(DataError, match=r"x\.tsv:4: fault 3 \(2 malformed lines were skipped before it\)"):
        skipped_of(3, 300, most=2)
