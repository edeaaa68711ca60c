"""SIGTERM, SIGINT and SIGUSR1: what is under way is brought to a good end, and the program ends with 143 or 130.

In training the step is finished and saved; elsewhere the program ends at once, which loses nothing: results are put in
place whole or not at all. A second signal ends the program without waiting for anything.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143} | (
    # What schedulers send ahead of the end of a job's time; it ends as SIGTERM does.
    {signal.SIGUSR1: 143} if hasattr(signal, "SIGUSR1") else {}
)


class Stopped(BaseException):
    """The program was asked to end; ``code`` is its exit code. No fault, so nothing that mends faults may catch it."""

    def __init__(self) -> None:
        self.code = stop_code()
        super().__init__("asked to stop")


class _State:
    asked: int | None = None  # the signal
    waiting = 0  # how many parts of the program want to be asked rather than interrupted


def stop_asked() -> bool:
    """Whether the program is to end as soon as what is under way can be saved."""
    return _State.asked is not None


def stop_code() -> int:
    """The exit code that the signal asks for."""
    return EXIT_CODES[signal.Signals(_State.asked or signal.SIGTERM)]


def stop() -> None:
    """Ends the program as the signal asked.

    Raises:
        Stopped: always.
    """
    raise Stopped


@contextlib.contextmanager
def asked_not_interrupted() -> Iterator[None]:
    """Inside, a first signal only makes `stop_asked` true; the work looks there after each step, saves, calls `stop`.

    A signal that came without the work having looked any more takes effect at the end.
    """
    _State.waiting += 1
    try:
        yield
    finally:
        _State.waiting -= 1
    if stop_asked() and not _State.waiting:
        stop()


@contextlib.contextmanager
def handled() -> Iterator[None]:
    """Listens to the signals while a command runs; afterwards they mean what they did before."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _State.asked = None
    before = {number: signal.signal(number, _take) for number in EXIT_CODES}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _take(number: int, _frame: FrameType | None) -> None:
    if _State.asked is not None:
        os._exit(stop_code())
    _State.asked = number
    if not _State.waiting:
        stop()
    # Not `print`: the signal may have come in the middle of one.
    with contextlib.suppress(OSError):
        os.write(2, b"stopping: the step under way is finished and saved; once more to stop at once\n")
