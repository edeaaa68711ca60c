"""Text in and out: always UTF-8, always NFC, always with a place to point at when something is wrong."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import tempfile
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from xrealign.errors import DataError


def nfc(text: str) -> str:
    """``text`` in Unicode normal form C, the only form used inside."""
    return text if unicodedata.is_normalized("NFC", text) else unicodedata.normalize("NFC", text)


def open_bytes(path: str | Path) -> IO[bytes]:
    """Opens a plain, ``.gz`` or ``.xz`` file for reading bytes."""
    path = Path(path)
    if path.suffix == ".gz":
        return io.BufferedReader(gzip.open(path))
    if path.suffix == ".xz":
        return io.BufferedReader(lzma.open(path))
    return path.open("rb")


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
                except UnicodeDecodeError as error:
                    bad = raw[error.start]
                    raise DataError(f"byte 0x{bad:02x} is not UTF-8; save the file as UTF-8", path, number) from None
                if number == 1:
                    line = line.removeprefix("\ufeff")
                if "\0" in line:
                    raise DataError("NUL character in text; is this a binary file?", path, number)
                yield number, nfc(line.removesuffix("\n").removesuffix("\r"))
    except (OSError, EOFError, lzma.LZMAError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise DataError(f"cannot be read: {reason}", path) from None


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
