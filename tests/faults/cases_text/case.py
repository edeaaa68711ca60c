"""What a named case of malformed text is, and the bytes that several of them share."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import sys
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Content = bytes | str | Callable[[Path], object]
"""Of a file: its bytes, its text, or what makes it at a path."""


@dataclass(frozen=True)
class Case:
    """One malformed input.

    Attributes:
        name: of the case; no two have the same.
        command: of ``xrealign``, words separated by blanks; ``files`` lie in the folder it works in.
        told: what one error, with the lines that belong to it, must say, all of it.
        files: by name, in a folder of the case's own.
        tiny: the tiny experiment is laid out there first, for commands that need a whole one.
        words: more words of the command, for those with blanks in them.
        works: it is no error; ``told`` is then looked for in all that is printed.
        fast: tried in the fast part, too.
        seconds: of processor time, at most.
        together: ``told`` stands in several errors, of several places.
    """

    name: str
    command: str
    told: tuple[str, ...]
    files: Mapping[str, Content] = field(default_factory=dict)
    tiny: bool = False
    words: tuple[str, ...] = ()
    works: bool = False
    fast: bool = False
    seconds: float = 20
    together: bool = False


def lay_out(files: Mapping[str, Content], folder: Path) -> None:
    """Writes the files of a case."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if callable(content):
            content(path)
        else:
            path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


def fifo(path: Path) -> None:
    """A named pipe without a writer: opening it would wait for ever."""
    os.mkfifo(path)


def folder(path: Path) -> None:
    """A folder in the place of a file."""
    path.mkdir()


def unreadable(path: Path) -> None:
    """A link that leads to itself: it is there and nobody, root included, can read it."""
    path.symlink_to(path.name)


def device(path: Path) -> None:
    """A link to the null device."""
    path.symlink_to(os.devnull)


def long_line(megabytes: int, before: str = "") -> Callable[[Path], None]:
    """A file whose last line is so long."""

    def write(path: Path) -> None:
        path.write_bytes(before.encode() + b"x" * (megabytes << 20))

    return write


def npz(**arrays: object) -> bytes:
    """A matrix file of numpy."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{name: np.asarray(array) for name, array in arrays.items()})
    return buffer.getvalue()


def zipped(members: Mapping[str, bytes]) -> bytes:
    """A zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def cut(pack: Callable[[bytes], bytes], data: bytes) -> bytes:
    """A compressed file without its end."""
    return pack(data)[:-9]


def repeated(pack: Callable[[bytes], bytes], data: bytes, times: int) -> bytes:
    """A bomb: packed streams, one after the other, which every reader takes for one file."""
    return pack(data) * times


def flipped(pack: Callable[[bytes], bytes], data: bytes) -> bytes:
    """A compressed file with one byte of its middle changed."""
    packed = bytearray(pack(data))
    packed[len(packed) // 2] ^= 0xFF
    return bytes(packed)


def numbers(count: int) -> bytes:
    """Sentence pairs that do not compress to nothing."""
    return b"".join(b"%d\t%x\n" % (n, n * n) for n in range(count))


MEGABYTE = 1 << 20
PACKS = {"gz": gzip.compress, "xz": lzma.compress, "zst": zstd.compress}
