"""States of sentences on disk: tables written once, memory-mapped ever after, shared by processes.

    <folder>/<key>.lock            held while a table is made
    <folder>/<key>/table-0000/     keys.npy (N, 16), lengths.npy (N,), states.npy (ΣT, D), table.json with their digests

A table is written aside and renamed when it is whole; one that differs from its digests is named and dropped.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from xrealign.arrays import read_npy
from xrealign.errors import ArtifactError, OutputError
from xrealign.model.words import EncodedTexts
from xrealign.progress import say
from xrealign.refusals import telling
from xrealign.store import file_digest
from xrealign.writing import sync

FORMAT = 1
FILES = ("keys.npy", "lengths.npy", "states.npy")
Array = np.ndarray[Any, Any]


def sentence_keys(texts: EncodedTexts) -> list[bytes]:
    """16 bytes for each sentence, of its subword ids."""
    ids = np.ascontiguousarray(texts.ids, dtype="<i4")
    bounds = texts.offsets.tolist()
    return [hashlib.blake2b(ids[start:end].tobytes(), digest_size=16).digest() for start, end in pairwise(bounds)]


class FrontStore:
    """The tables of one encoder's front.

    Attributes:
        tables: memory-mapped states, (ΣT, D) each; more are added, none is taken away.
        places: table and first row of each sentence, by key.
    """

    def __init__(self, folder: Path, key: str, width: int, dtype: np.dtype[Any]) -> None:
        self.folder, self.path, self.width, self.dtype = folder, folder / key, width, dtype
        self.tables: list[Array] = []
        self.places: dict[bytes, tuple[int, int]] = {}
        self._read: set[str] = set()
        with _told("choose another folder", self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            os.utime(self.path)  # when it was last used
        self._read_tables()

    def missing(self, keys: Sequence[bytes]) -> dict[bytes, int]:
        """Sentences without states, each once, with their first place among ``keys``; looks at the disk again."""
        found = {key: place for place, key in reversed(list(enumerate(keys))) if key not in self.places}
        if found:
            self._read_tables()
        return {key: found[key] for key in sorted(found, key=found.__getitem__) if key not in self.places}

    def locked(self) -> FileLock:
        """Held while states are computed, so that two processes never compute the same."""
        return FileLock(_lock(self.path))

    def room_for(self, limit: int, rows: int) -> int:
        """How many of ``rows`` more rows fit into ``limit`` bytes, once states of other encoders have made room."""
        size, wanted = self.width * self.dtype.itemsize, rows * self.width * self.dtype.itemsize
        others = sorted((p for p in self.folder.iterdir() if p.is_dir() and p != self.path), key=_last_used)
        used = sum(map(_bytes_in, (*others, self.path)))
        for other in others:
            if used + wanted <= limit:
                break
            with contextlib.suppress(Timeout), FileLock(_lock(other), timeout=0):
                freed = _bytes_in(other)
                shutil.rmtree(other, ignore_errors=True)
                used -= freed - _bytes_in(other)
        return int(max(0, min(rows, (limit - used) // size)))

    @contextlib.contextmanager
    def new_table(self, keys: Sequence[bytes], lengths: Array) -> Iterator[Array]:
        """A table to be filled with the states of sentences, (ΣT, D), in order; it counts when the block ends well."""
        number = 1 + max((int(p.name.removeprefix("table-")) for p in self.path.glob("table-*")), default=-1)
        aside, target = self.path / ".aside", self.path / f"table-{number:04d}"
        shutil.rmtree(aside, ignore_errors=True)
        shape = (int(lengths.sum()), self.width)
        size = shape[0] * shape[1] * self.dtype.itemsize
        try:
            with _told("set a smaller limit, or turn the cache off", target, size):
                aside.mkdir()
                np.save(aside / "keys.npy", np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(-1, 16))
                np.save(aside / "lengths.npy", lengths.astype(np.int64))
                table = np.lib.format.open_memmap(aside / "states.npy", mode="w+", dtype=self.dtype, shape=shape)
                _reserve(aside / "states.npy")
            yield table
            with _told("set a smaller limit, or turn the cache off", target, size):
                table.flush()
                del table
                digests = {name: file_digest(aside / name) for name in FILES}
                (aside / "table.json").write_text(json.dumps({"format": FORMAT, "sha256": digests}), encoding="utf-8")
                for path in (*aside.iterdir(), aside):
                    sync(path)
                aside.replace(target)
                sync(self.path)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        self._read_tables()

    def _read_tables(self) -> None:
        for path in sorted(self.path.glob("table-*")):
            if path.name in self._read:
                continue
            self._read.add(path.name)
            fault = _fault(path, self.width, self.dtype)
            if fault:
                say(f"  front cache: {path} {fault}: dropped, its states are computed again")
                shutil.rmtree(path, ignore_errors=True)
                self._read.discard(path.name)
                continue
            keys, lengths = (read_npy(path / name) for name in FILES[:2])
            starts = np.concatenate([[0], np.cumsum(lengths)])[:-1].tolist()
            flat = keys.tobytes()
            for place, start in enumerate(starts):
                self.places[flat[16 * place : 16 * place + 16]] = (len(self.tables), start)
            # Copy on write: torch wants memory it might write to, the file stays as it is.
            self.tables.append(read_npy(path / "states.npy", mmap_mode="c"))


@contextlib.contextmanager
def _told(advice: str, path: Path, size: int | None = None) -> Iterator[None]:
    """Raises: ArtifactError: the system refuses; with what to do about it."""
    try:
        with telling(path, size=size):
            yield
    except OutputError as error:
        raise ArtifactError(f"front cache: {error}; {advice}") from error


def _reserve(path: Path) -> None:
    """Takes the room of a file that is mapped: a full disk would otherwise end the process when it is written."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def _fault(path: Path, width: int, dtype: np.dtype[Any]) -> str | None:
    """What is wrong with a table, or None."""
    try:
        manifest = json.loads((path / "table.json").read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT or any(manifest["sha256"][n] != file_digest(path / n) for n in FILES):
            return "is damaged"
        keys, lengths = (read_npy(path / name) for name in FILES[:2])
        states = read_npy(path / "states.npy", mmap_mode="r")
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "is damaged"
    counted = lengths.ndim == 1 and lengths.dtype.kind == "i" and bool((lengths >= 0).all())
    whole = counted and keys.shape == (len(lengths), 16) and keys.dtype == np.uint8 and states.dtype == dtype
    whole = whole and states.shape == (int(lengths.sum()), width)
    return None if whole else "does not hold what its name says"


def _lock(path: Path) -> Path:
    return path.parent / f"{path.name}.lock"


def _last_used(path: Path) -> float:
    with contextlib.suppress(OSError):
        return path.stat().st_mtime
    return 0.0


def _bytes_in(path: Path) -> int:
    total = 0
    with contextlib.suppress(OSError):  # another process may be taking it away
        total = sum(file.stat().st_size for file in path.glob("table-*/*"))
    return total
