"""Text in and out: always UTF-8, always NFC, always with a place to point at when something is wrong."""

from __future__ import annotations

import errno
import gzip
import io
import lzma
import math
import os
import re
import stat
import sys
import unicodedata
import zlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from xrealign.errors import DataError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

UNREADABLE = (OSError, EOFError, lzma.LZMAError, zlib.error, zstd.ZstdError)
"""What reading a file can raise, compressed or not; `reason` tells it in words."""
_OPENERS: dict[str, Callable[[Path], Any]] = {".gz": gzip.open, ".xz": lzma.open, ".zst": zstd.open}
COMPRESSED = tuple(_OPENERS)
MOST_UNPACKED, BOMB = 200, 64 << 20
"""Times its own size, and bytes, that a packed file may unpack to: text packs to a third or a twentieth."""
LONGEST_LINE = 16 << 20
"""Bytes of a line at most, where a format has no limit of its own."""
WHOLE, DECIMAL = re.compile(r"[-+]?[0-9]{1,19}"), re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,9})?")
_MARK = "\ufeff"
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
    """Opens a plain, ``.gz``, ``.xz`` or ``.zst`` file for reading bytes; what goes wrong is one of `UNREADABLE`.

    Pipes and devices are refused before they are opened: a pipe would wait for a writer for ever, and files are read
    more than once.
    """
    path = Path(path)
    check_regular(path)
    if path.suffix not in _OPENERS:
        return path.open("rb")
    return capped(_OPENERS[path.suffix](path), path.stat().st_size)


def capped(unpacked: IO[bytes], size: int) -> IO[bytes]:
    """What a packed file of ``size`` bytes holds, read as a stream; memory and patience are not spent on bombs.

    Raises:
        OSError: while reading, of the kind EFBIG: it holds more than `MOST_UNPACKED` times its size and `BOMB` bytes.
    """
    return io.BufferedReader(_Capped(unpacked, max(BOMB, MOST_UNPACKED * size)))


class _Capped(io.RawIOBase):
    """The stream behind `capped`."""

    def __init__(self, unpacked: IO[bytes], most: int) -> None:
        self._unpacked, self._left = unpacked, most

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        data = self._unpacked.read(len(into))
        self._left -= len(data)
        if self._left < 0:
            told = f"unpacks to more than {MOST_UNPACKED} times its size, as no text does; unpack it and look at it"
            raise OSError(errno.EFBIG, told)
        into[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._unpacked.close()
        super().close()


def check_regular(path: str | Path) -> None:
    """Raises: OSError: there is no such file, or it is a pipe or a device."""
    try:
        mode = Path(path).stat().st_mode
    except ValueError:  # a NUL in the name
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from None
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # of a folder opening it says what is wrong
        raise OSError(errno.EINVAL, "is a pipe or a device, expected a file that can be read more than once")


def is_there(path: str | Path) -> bool:
    """Whether there is a file or folder of this name; a name that no file can have is none."""
    try:
        Path(path).stat()
    except (OSError, ValueError):
        return False
    return True


def is_file(path: str | Path) -> bool:
    """Whether there is a file of this name, and no folder; a name that no file can have is none."""
    return is_there(path) and Path(path).is_file()


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


def raw_lines(path: str | Path, longest: int = LONGEST_LINE) -> Iterator[tuple[int, bytes]]:
    """Yields ``(line number from 1, bytes with the line's end)``; of a line beyond ``longest`` bytes only so many of
    them, so that memory stays flat.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        with open_bytes(path) as file:
            number = 0
            while raw := file.readline(longest):
                number += 1
                yield number, raw
                while len(raw) == longest and not raw.endswith(b"\n"):
                    raw = file.readline(longest)
    except UNREADABLE as error:
        raise DataError(f"cannot be read: {reason(error)}", path) from None


def decode_line(raw: bytes, number: int, longest: int = LONGEST_LINE) -> tuple[str, tuple[str, str] | None]:
    r"""The text of a raw line, NFC-normalised, and its fault, if it has one: the kind, and at length what it is.

    Lines end at ``\n`` or ``\r\n`` only: Unicode's other line separators are text. A byte-order mark at the beginning
    of a line, where files that have one were joined, is dropped. Other carriage returns are a fault: a file that has
    them for line ends would be taken for one line.
    """
    if len(raw) >= longest:
        return "", ("overlong line", f"more than {longest - 1} bytes on the line")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return "", ("not UTF-8", not_utf8(raw, number))
    if "\0" in text:
        return "", ("NUL", not_utf8(raw, number))
    text = text.removeprefix(_MARK).removesuffix("\n").removesuffix("\r")
    if "\r" in text:
        told = "a carriage return inside the line; lines end in \\n or \\r\\n"
        return "", ("carriage return", told)
    return nfc(text), None


def read_lines(path: str | Path, longest: int = LONGEST_LINE) -> Iterator[tuple[int, str]]:
    """Yields ``(line number from 1, text without its line end)``, NFC-normalised; see `decode_line`.

    Raises:
        DataError: the file cannot be read, is not UTF-8, holds a NUL or a carriage return that ends no line, or a line
            has ``longest`` bytes or more.
    """
    for number, raw in raw_lines(path, longest):
        text, fault = decode_line(raw, number, longest)
        if fault:
            raise DataError(fault[1], path, number)
        yield number, text


@dataclass
class Skipped:
    """What becomes of the faulty lines of a file: strictly the first one is raised, leniently they are skipped.

    Attributes:
        lenient: skip and count them.
        most: skip so many, whatever their share; else see `too_many_skipped`.
        reasons: skipped lines by kind of fault.
        lines: all lines, as far as the reader has told.
        at: numbers of the lines that were skipped.
        first: what is wrong with the first of them.
    """

    lenient: bool = False
    most: int | None = None
    reasons: Counter[str] = field(default_factory=Counter)
    lines: int = 0
    at: array[int] = field(default_factory=lambda: array("q"))
    first: str = ""

    def add(self, kind: str, told: str, path: str | Path, line: int) -> None:
        """Notes a faulty line.

        Raises:
            DataError: it is not to be skipped; or one more than ``most``.
        """
        if not self.lenient:
            raise DataError(told, path, line)
        self.reasons[kind] += 1
        self.first = self.first or told
        self.at.append(line)
        if self.most is not None and len(self.at) > self.most:
            after = f" ({self.most} malformed lines were skipped before it)" if self.most else ""
            raise DataError(f"{told}{after}", path, line)

    def check(self, path: str | Path) -> None:
        """Passes when few enough lines were skipped (`too_many_skipped`) and some are left; call it when all are read.

        Raises:
            DataError: otherwise; says how many, why, and what is wrong with the first.
        """
        count = len(self.at)
        told = too_many_skipped(count, self.lines) if self.most is None else None
        if count and count == self.lines:
            told = f"all {count} lines are at fault"
        if told:
            reasons = ", ".join(f"{n} {kind}" for kind, n in self.reasons.most_common())
            raise DataError(f"{told} ({reasons}), first on line {self.at[0]}: {self.first}", path)


def whole_number(text: str) -> int:
    """A whole number of 64 bits, written in the digits 0 to 9, unlike `int`, which reads other scripts and ``1_0``.

    Raises:
        ValueError: it is none.
    """
    if WHOLE.fullmatch(text.strip()) is None or not -(1 << 63) <= int(text) < 1 << 63:
        raise ValueError(f"{text[:40]!r} is no whole number")
    return int(text)


def decimal_number(text: str) -> float:
    """A finite number, written in the digits 0 to 9 with a point, unlike `float`, which reads ``nan`` and ``1_0``.

    Raises:
        ValueError: it is none; ready for a message.
    """
    if len(text) > 400 or DECIMAL.fullmatch(text.strip()) is None or not math.isfinite(float(text)):
        raise ValueError(f"{text.strip()[:40]!r} is no number; expected a finite one such as 0.5")
    return float(text)


MOST_SKIPPED = 100
MOST_SKIPPED_SHARE = 0.1


def too_many_skipped(skipped: int, total: int) -> str | None:
    """Why ``--lenient`` gives up on a file, or None: more than `MOST_SKIPPED` of its items and more than a tenth."""
    if skipped <= MOST_SKIPPED or skipped <= MOST_SKIPPED_SHARE * total:
        return None
    return (
        f"{skipped} of {total} items are at fault, too many to skip (--lenient skips {MOST_SKIPPED}, or a tenth of the "
        "file): is it in another form?"
    )
