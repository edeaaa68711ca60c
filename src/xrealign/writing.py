"""Files and folders out: there whole or not at all, and what the system said when they could not be written.

What is written lies aside, in a hidden file or folder beside its place, until it is whole and on the disk; then it is
renamed. A device, a pipe or an open descriptor (``/dev/stdout``; ``-`` for short) cannot be replaced and is written
straight; a link stays a link, and the file behind it is replaced.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from filelock import FileLock, Timeout

from xrealign.errors import ConfigError, OutputError, XrealignError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FOREIGN = re.compile(r"os error (\d+)|\[errno (\d+)\]", re.IGNORECASE)
_DESCRIPTOR = re.compile(r"/(?:dev/(?:fd/(\d+)|std(in|out|err))|proc/(?:self|thread-self)/fd/(\d+))")
_STANDARD = {"in": 0, "out": 1, "err": 2}


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


@contextmanager
def telling(path: str | Path, final: Path | None = None, size: int | None = None) -> Iterator[list[Path]]:
    """Whatever the system refuses in the block is raised as an `OutputError` that names ``path`` and the room left.

    Libraries raise errors of their own for a full disk, some without its number: they are told like the others. An
    error that is not the system's passes as it is.

    Args:
        final: the place that ``path`` leads to.
        size: how many bytes are to be written.

    Yields:
        A list for the place aside, which is called ``path`` in messages.
    """
    aside: list[Path] = []
    try:
        yield aside
    except OutputError as error:
        raise _renamed(error, aside, path) from error.__cause__
    except XrealignError:
        raise
    except Exception as error:
        refused = _refused(error)
        if refused is None:
            raise
        number, text = refused
        if size is None:
            size = sum(map(_size, aside or [final or Path(path)]))
            told = f"{size:,} bytes written"
        else:
            told = f"{size:,} bytes needed"
        room = _room(number, Path(path) if final is None else final)
        told = f"{text} ({told}, {room})" if room else text
        raise _renamed(OutputError(number, told, getattr(error, "filename", None)), aside, path) from error


def told_of(error: BaseException, path: str | Path | None = None) -> OutputError | None:
    """What the system refused, to be told in one line: ``PATH: No space left on device (0 free)``.

    None for an error that is not the system's but the program's. ``path`` is named when the error names none.
    """
    if isinstance(error, OutputError):
        return error
    refused = _refused(error)
    if refused is None:
        return None
    number, text = refused
    place = getattr(error, "filename", None) or path
    if place is None and number == errno.ENOENT and _working_folder() is None:
        return OutputError(number, "the working folder is not there any more; change to another one")
    room = _room(number, Path(os.fsdecode(place) if isinstance(place, bytes) else str(place or ".")))
    return OutputError(number, f"{text} ({room})" if room else text, place)


def is_special(path: str | Path) -> bool:
    """Whether a path leads to what cannot be replaced: a device, a pipe, an open descriptor such as /dev/stdout."""
    place = Path(path)
    if _descriptor(place) is not None:
        return True
    with suppress(OSError):  # what cannot even be looked at is told when it is written
        return place.exists() and not place.is_file() and not place.is_dir()
    return False


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


def _descriptor(path: Path) -> int | None:
    """The number of the open descriptor that a path stands for."""
    if str(path) == "-":
        return 1
    found = _DESCRIPTOR.fullmatch(os.path.normpath(path))
    if found is None:
        return None
    number, name, other = found.groups()
    return _STANDARD[name] if name else int(number or other)


@contextmanager
def _straight(path: Path) -> Iterator[IO[bytes]]:
    number = _descriptor(path)
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


def _size(path: Path) -> int:
    with suppress(OSError):
        return sum(file.stat().st_size for file in path.rglob("*")) if path.is_dir() else path.stat().st_size
    return 0


def _refused(error: BaseException) -> tuple[int, str] | None:
    """Number (0: unknown) and words of what the system said; None when it was not the system that said something."""
    if isinstance(error, OSError) and error.errno is not None:
        words = error.strerror if isinstance(error, OutputError) else os.strerror(error.errno)
        return error.errno, words or str(error)
    foreign = _FOREIGN.search(str(error))
    if foreign:
        number = int(foreign[1] or foreign[2])
        return number, os.strerror(number)
    if isinstance(error, OSError):  # numpy's own words: "100 requested and 3 written"
        return 0, f"it could not be written whole ({error})"
    return None


def _room(number: int, path: Path) -> str:
    """How much could still be written, for errors of room."""
    if number and number not in _FULL:
        return ""
    room = []
    place = path
    while not place.is_dir() and place != place.parent:
        place = place.parent
    with suppress(OSError):
        room.append(f"{shutil.disk_usage(place).free:,} free" if not is_special(path) else "")
    if sys.platform != "win32":
        import resource

        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        if limit != resource.RLIM_INFINITY and number != errno.ENOSPC:
            room.append(f"files may have {limit:,}")
    return ", ".join(filter(None, room))


def _renamed(error: OutputError, aside: list[Path], path: str | Path) -> OutputError:
    """The same error with its place as people know it."""
    name = str(error.filename) if error.filename is not None else str(path)
    for place in aside:
        if name == str(place) or name.startswith(f"{place}{os.sep}"):
            name = str(path) + name[len(str(place)) :]
    place = Path(name)
    if place.name.startswith(f".{Path(path).name[:40]}."):  # it could not even be made
        name = str(path)
    return OutputError(error.errno, error.strerror, name)


def _working_folder() -> str | None:
    try:
        return str(Path.cwd())
    except OSError:
        return None
