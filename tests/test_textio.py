"""Text in and out: NFC, strict UTF-8, the place of every fault, files whole or not at all."""

from __future__ import annotations

import gzip
import lzma
import os
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

from xrealign.errors import DataError
from xrealign.textio import nfc, read_lines, write_atomic

DECOMPOSED = "e\u0301 \u0915\u093c \u1112\u1161\u11ab"


@given(st.text())
def test_nfc_is_unicodes(text):
    assert nfc(text) == unicodedata.normalize("NFC", text)


PACKED = [(".txt", bytes), (".gz", gzip.compress), (".xz", lzma.compress), (".zst", zstd.compress)]


@pytest.mark.parametrize(("suffix", "pack"), PACKED)
def test_lines_are_numbered_normalised_and_only_ended_by_newlines(tmp_path, suffix, pack):
    path = tmp_path / f"text{suffix}"
    path.write_bytes(pack(f"\ufeffone\r\n{DECOMPOSED}\n\na\u2028b\x0bc\x85d\re\n\ufefflast".encode()))
    assert list(read_lines(path)) == [
        (1, "one"),
        (2, unicodedata.normalize("NFC", DECOMPOSED)),
        (3, ""),
        (4, "a\u2028b\x0bc\x85d\re"),
        (5, "\ufefflast"),
    ]


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
        (gzip.compress(b"one"), 1, "byte 0x8b is not UTF-8; it begins like gzip: give the file a name that ends in"),
        (lzma.compress(b"one"), 1, "byte 0xfd is not UTF-8; it begins like xz"),
        (zstd.compress(b"one"), 1, "byte 0xb5 is not UTF-8; it begins like Zstandard"),
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
        ("garbage.gz", gzip.compress(b"abc") + b"more"),
        ("bits.gz", gzip.compress(b"a" * 99)[:12] + b"\xff" * 20),
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
