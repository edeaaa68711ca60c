"""Files and folders out: there whole or not at all.

What is written lies aside, in a hidden file or folder beside its place, until it is whole and on the disk; then it is
renamed. A device, a pipe or an open descriptor (``/dev/stdout``; ``-`` for short) cannot be replaced and is written
straight; a link stays a link, and the file behind it is replaced.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from filelock import FileLock, Timeout

from xrealign.errors import ConfigError
from xrealign.refusals import descriptor_of, is_special, telling


def write_atomic(path: str | Path, data: str | bytes) -> None:
    """Writes a file so that it is there whole or not at all: aside, fsynced, renamed; text as UTF-8.

    Raises:
        OutputError: the system refuses; says how much was to be written and how much is free.
    """
    content = data.encode("utf-8") if isinstance(data, str) else data
    with new_file(path, len(content)) as file:
        file.write(content)


@contextmanager
def new_file(path: str | Path, size: int | None = None) -> Iterator[IO[bytes]]:
    """A file open for writing bytes, which is at ``path`` once the block ends well; else nothing changes there.

    Args:
        size: how many bytes it will have, for the message.

    Raises:
        OutputError: the system refuses.
    """
    if is_special(path):
        with telling(path, size=size), _straight(Path(path)) as file:
            yield file
        return
    with new_path(path, size) as aside, aside.open("wb") as file:
        yield file


@contextmanager
def new_path(path: str | Path, size: int | None = None) -> Iterator[Path]:
    """`new_file` for libraries that want a path: where to write what will be at ``path``. A file is already there.

    Raises:
        OutputError: the system refuses.
    """
    final = Path(os.path.realpath(path))
    aside: Path | None = None
    with telling(path, final, size) as refer:
        made = _missing_parents(final)
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=final.parent, prefix=f".{final.name[:40]}.")
            os.close(handle)
            refer.append(aside := Path(name))
            yield aside
            set_mode(aside, final)
            sync(aside)
            aside.replace(final)
        except BaseException:
            if aside is not None:
                aside.unlink(missing_ok=True)
            _remove_empty(made)
            raise


@contextmanager
def new_folder(path: str | Path) -> Iterator[Path]:
    """An empty folder, which is at ``path`` once the block ends well, with all files on the disk; else nothing is.

    Raises:
        OutputError: the system refuses, or there is something at ``path`` that is no empty folder.
    """
    final = Path(path).absolute()
    aside: Path | None = None
    with telling(path, final) as refer:
        made = _missing_parents(final)
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            refer.append(aside := Path(tempfile.mkdtemp(dir=final.parent, prefix=f".{final.name[:40]}.")))
            yield aside
            aside.chmod(0o777 & ~_umask())
            move_folder(aside, final)
        except BaseException:
            if aside is not None:
                shutil.rmtree(aside, ignore_errors=True)
            _remove_empty(made)
            raise


def move_folder(made: Path, target: Path) -> None:
    """Renames a whole folder to its place once all its files are on the disk.

    Raises:
        OutputError: the system refuses.
    """
    with telling(target):
        for place in (*made.rglob("*"), made):
            sync(place)
        made.rename(target)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Keeps other processes from making ``path`` at the same time; leaves nothing behind.

    Raises:
        ConfigError: another process is making it.
        OutputError: the system refuses.
    """
    lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=0)
    try:
        with telling(path) as refer:
            refer.append(Path(lock.lock_file))
            try:
                lock.acquire()
            except Timeout:
                raise ConfigError(f"another process is making {path}; wait for it, or choose another place") from None
        yield
    finally:
        if lock.is_locked:
            with suppress(OSError):
                Path(lock.lock_file).unlink()
            lock.release()


def set_mode(path: Path, like: Path | None = None) -> None:
    """Gives a file the permissions of another that it will replace, or those that a newly opened file would have;
    files made aside start closed to others."""
    mode = 0o666 & ~_umask()
    with suppress(FileNotFoundError):
        mode = like.stat().st_mode & 0o777 if like is not None else mode
    path.chmod(mode)


def sync(path: Path) -> None:
    """Waits until a file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    """What the user takes from the permissions of new files; it can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextmanager
def _straight(path: Path) -> Iterator[IO[bytes]]:
    number = descriptor_of(path)
    if number == 1 and sys.stdout is not None:
        sys.stdout.flush()  # what was printed before comes before
    with path.open("wb") if number is None else os.fdopen(os.dup(number), "wb") as file:
        yield file


def _missing_parents(path: Path) -> list[Path]:
    """The folders above a place that are not there yet, the nearest first."""
    return [parent for parent in path.parents if not parent.exists()]


def _remove_empty(folders: list[Path]) -> None:
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()
