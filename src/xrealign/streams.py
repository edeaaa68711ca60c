"""The three standard streams of a program: there, in UTF-8, and told when they cannot take what is printed."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from xrealign.errors import OutputError, XrealignError
from xrealign.refusals import told_of


@contextmanager
def printing() -> Iterator[None]:
    """The whole of a command runs in this block: its streams are prepared, and what it printed is out at the end.

    Raises:
        OutputError: the system refused something, here or in the block, and nobody there knew more about it.
        SystemExit: the reader of standard output has gone (``| head``); nothing is said.
    """
    prepare_streams()
    try:
        yield
    except BaseException as error:
        printed = finish_output(not isinstance(error, SystemExit) or bool(error.code))
        if isinstance(error, OSError) and error.errno == errno.EPIPE:
            raise SystemExit(1) from None
        if isinstance(error, XrealignError) or not isinstance(error, Exception):
            raise
        nameless = getattr(error, "filename", None) is None
        told = _no_output(error) if nameless and (not printed or _is_full(error)) else told_of(error)
        if told is None:
            raise
        raise told from error
    finish_output()


def prepare_streams() -> None:
    """Opens those of the three streams that the caller closed, and makes what is printed UTF-8 in every locale.

    A file opened later would otherwise get the number of a closed stream, and take what a library prints there. What
    is printed on a closed stream is dropped. A terminal keeps its own encoding; characters that it lacks are escaped.
    """
    handle = os.open(os.devnull, os.O_RDWR)
    while handle <= 2:
        handle = os.open(os.devnull, os.O_RDWR)
    os.close(handle)
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - a stream that stays
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # what a test has put in its place may lack it
            stream.reconfigure(encoding=stream.encoding if stream.isatty() else "utf-8", errors="backslashreplace")


def finish_output(failed: bool = False) -> bool:
    """Hands everything printed to whoever reads standard output, so that a failure is told and not lost at exit.

    Args:
        failed: something went wrong already, and is told instead.

    Returns:
        Whether all of it could be handed over.

    Raises:
        OutputError: the system refuses, as on a full disk.
        SystemExit: the reader has gone; code 1, as when that happens in the middle of printing.
    """
    try:
        sys.stdout.flush()
    except OSError as error:
        handle = os.open(os.devnull, os.O_WRONLY)
        os.dup2(handle, 1)  # what could not be printed now would fail again at exit
        os.close(handle)
        if error.errno == errno.EPIPE and not failed:
            raise SystemExit(1) from None
        if not failed:
            raise _no_output(error) from None
        return False
    return True


def _is_full(error: BaseException) -> bool:
    """Whether the disk below standard output may have refused this, an error without a name: the program's own files
    are told with theirs (`xrealign.writing`)."""
    full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    try:
        mode = os.fstat(1).st_mode
    except OSError:
        return False
    return full and (stat.S_ISREG(mode) or stat.S_ISCHR(mode)) and not os.isatty(1)


def _no_output(error: Exception) -> OutputError:
    words = getattr(error, "strerror", None) or str(error)
    return OutputError(getattr(error, "errno", None) or 0, words, "standard output")
