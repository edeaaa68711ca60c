"""Text in and out: always UTF-8, always NFC, always with a place to point at when something is wrong."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import sys
import tempfile
import unicodedata
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from xrealign.errors import DataError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

UNREADABLE = (OSError, EOFError, lzma.LZMAError, zlib.error, zstd.ZstdError)
"""What reading a file can raise, compressed or not; `reason` tells it in words."""
COMPRESSED = (".gz", ".xz", ".zst")
_BEGINNINGS = {
    b"\xff\xfe": "it begins like UTF-16",
    b"\xfe\xff": "it begins like UTF-16",
    b"\x1f\x8b": "it begins like gzip: give the file a name that ends in .gz",
    b"\xfd7zXZ": "it begins like xz: give the file a name that ends in .xz",
    b"\x28\xb5\x2f\xfd": "it begins like Zstandard: give the file a name that ends in .zst",
    b"PK\x03\x04": "it begins like a zip archive: unpack it",
}


def nfc(text: str) -> str:
    """``text`` in Unicode normal form C, the only form used inside."""
    return text if unicodedata.is_normalized("NFC", text) else unicodedata.normalize("NFC", text)


def open_bytes(path: str | Path) -> IO[bytes]:
    """Opens a plain, ``.gz``, ``.xz`` or ``.zst`` file for reading bytes; what goes wrong is one of `UNREADABLE`."""
    path = Path(path)
    if path.suffix == ".gz":
        return io.BufferedReader(gzip.open(path))
    if path.suffix == ".xz":
        return io.BufferedReader(lzma.open(path))
    if path.suffix == ".zst":
        return io.BufferedReader(zstd.open(path))
    return path.open("rb")


def reason(error: BaseException) -> str:
    """Why a file could not be read, in words."""
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def not_utf8(raw: bytes, number: int) -> str:
    """The message for a line that is no UTF-8 or holds a NUL; on line 1 with what the file seems to be instead."""
    try:
        raw.decode("utf-8")
        told = "NUL character in text"
        otherwise = "is this a binary file, or UTF-16? Text must be UTF-8"
    except UnicodeDecodeError as error:
        told = f"byte 0x{raw[error.start]:02x} is not UTF-8"
        otherwise = "save the file as UTF-8"
    known = [text for start, text in _BEGINNINGS.items() if number == 1 and raw.startswith(start)]
    return f"{told}; {known[0] if known else otherwise}"


def read_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    r"""Yields ``(line number from 1, text without its line end)``, NFC-normalised.

    Lines end at ``\n`` or ``\r\n`` only: Unicode's other line separators are text. A byte-order mark at the
    start is dropped.

    Raises:
        DataError: the file cannot be read, is not UTF-8, or holds a NUL.
    """
    try:
        with open_bytes(path) as file:
            for number, raw in enumerate(file, 1):
                try:
                    line = raw.decode("utf-8")
                except UnicodeDecodeError:
                    raise DataError(not_utf8(raw, number), path, number) from None
                if number == 1:
                    line = line.removeprefix("\ufeff")
                if "\0" in line:
                    raise DataError(not_utf8(raw, number), path, number)
                yield number, nfc(line.removesuffix("\n").removesuffix("\r"))
    except UNREADABLE as error:
        raise DataError(f"cannot be read: {reason(error)}", path) from None


def write_atomic(path: str | Path, data: str | bytes) -> None:
    """Writes a file so that it is there whole or not at all: aside, fsynced, renamed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data.encode("utf-8") if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        set_usual_mode(Path(temporary))
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def set_usual_mode(path: Path) -> None:
    """Gives a file the permissions a newly opened one would have; files made aside start closed to others."""
    mask = os.umask(0)
    os.umask(mask)
    path.chmod(0o666 & ~mask)
