"""What the system refused, told with place, bytes and room; and which places are no files that could be replaced."""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from xrealign.errors import OutputError, XrealignError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FOREIGN = re.compile(r"os error (\d+)|\[errno (\d+)\]", re.IGNORECASE)
_DESCRIPTOR = re.compile(r"/(?:dev/(?:fd/(\d+)|std(in|out|err))|proc/(?:self|thread-self)/fd/(\d+))")
_STANDARD = {"in": 0, "out": 1, "err": 2}


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
        if refused is None and isinstance(error, OSError):  # numpy's own words: "100 requested and 3 written"
            refused = 0, f"it could not be written whole ({error})"
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
    if descriptor_of(place) is not None:
        return True
    with suppress(OSError):  # what cannot even be looked at is told when it is written
        return place.exists() and not place.is_file() and not place.is_dir()
    return False


def descriptor_of(path: Path) -> int | None:
    """The number of the open descriptor that a path stands for."""
    if str(path) == "-":
        return 1
    found = _DESCRIPTOR.fullmatch(os.path.normpath(path))
    if found is None:
        return None
    number, name, other = found.groups()
    return _STANDARD[name] if name else int(number or other)


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
