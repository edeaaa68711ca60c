"""Arrays in files of numpy, ``.npy`` and ``.npz``: never unpickled, and whatever is wrong with one is one error."""

from __future__ import annotations

import lzma
import struct
import tokenize
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from xrealign.textio import BOMB, MOST_UNPACKED

Array = NDArray[Any]
# What numpy and zipfile let out of damaged files. Headers are read by Python's own parser, also those of Python 2.
_DAMAGED = (
    EOFError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError, MemoryError,
    SyntaxError, tokenize.TokenError, struct.error, zipfile.BadZipFile, zlib.error, lzma.LZMAError, UserWarning,
)  # fmt: skip
LAST_CHARACTER = 0x10FFFF


def read_npz(path: Path | IO[bytes]) -> dict[str, Array]:
    """Every array of an ``.npz`` archive, by name.

    Raises:
        OSError: the file cannot be opened.
        ValueError: it is damaged, holds something else than arrays of numbers, truth values or text, or unpacks to much
            more than its size (`MOST_UNPACKED`).
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            with zipfile.ZipFile(path) as archive:
                members = archive.infolist()
                unpacked, packed = sum(m.file_size for m in members), sum(m.compress_size for m in members)
                if unpacked > max(BOMB, MOST_UNPACKED * packed):
                    raise ValueError(f"it unpacks from {packed:,} to {unpacked:,} bytes")
            with np.load(path, allow_pickle=False) as file:
                if not isinstance(file, np.lib.npyio.NpzFile):
                    raise ValueError("it is one array, expected an archive of arrays")  # noqa: TRY004 - see `_checked`
                # A header that has come to say fewer rows lets numpy stop before the end, where checksums are compared.
                if file.zip is not None and (member := file.zip.testzip()) is not None:
                    raise ValueError(f"{member} differs from its checksum")
                return {name: _checked(file[name]) for name in file.files}
    except _DAMAGED as error:
        raise ValueError(_why(error)) from None


def read_npy(path: Path, mmap_mode: Literal["r", "c"] | None = None) -> Array:
    """The array of an ``.npy`` file.

    Raises:
        OSError: the file cannot be opened.
        ValueError: as `read_npz`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            return _checked(np.load(path, mmap_mode=mmap_mode, allow_pickle=False))
    except _DAMAGED as error:
        raise ValueError(_why(error)) from None


def _checked(array: Any) -> Array:
    if not isinstance(array, np.ndarray):
        raise ValueError("a member is no array")  # noqa: TRY004 - one error for all that is wrong with a file
    if array.dtype.kind not in "biufU":
        raise ValueError(f"an array of {array.dtype}, expected numbers or text")
    if array.dtype.kind == "U" and array.size and array.dtype.itemsize:
        codes = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="))).view(np.uint32)
        if int(codes.max()) > LAST_CHARACTER:
            raise ValueError("text that is none")
    return array


def _why(error: BaseException) -> str:
    if "pickle" in str(error):
        return "it holds a pickle, which is never opened"
    if isinstance(error, MemoryError):
        return "an array that needs more memory than there is"
    return next(iter(str(error).splitlines()), "") or type(error).__name__
