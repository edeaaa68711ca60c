"""How a fault is tried: in a forked child of a process that has imported everything once, watched from outside."""

from __future__ import annotations

import functools
import gc
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LAZY = (  # what is imported only when it is used: a second in every child that draws a figure or reads a data set
    "datasets",
    "fontTools.subset",
    "icu4py",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_pdf",
    "matplotlib.backends.backend_svg",
    "matplotlib.projections",
    "pyarrow.dataset",
    "transformers.convert_slow_tokenizer",
)
Call = Callable[[], object]
Environment = Mapping[str, "str | None"]


@dataclass(frozen=True)
class Outcome:
    """What one try came to: ``survived`` says whether the promise held, ``detail`` why not, or a figure.

    ``tried`` is False where this machine cannot try it (no root, no such locale): it is listed apart and counts as
    neither.
    """

    case: str
    survived: bool
    detail: str = ""
    tried: bool = True


def not_tried(case: str, why: str) -> Outcome:
    """What this machine cannot try."""
    return Outcome(case, True, why, tried=False)


@dataclass(frozen=True)
class Fault:
    """A row of the table.

    Attributes:
        promise: what the program promises, in one line.
        tries: from a scratch folder of its own and whether only the fast part is wanted, an outcome for each try.
        figure: a number to show beside, from all outcomes.
    """

    name: str
    promise: str
    tries: Callable[[Path, bool], Iterable[Outcome]]
    figure: Callable[[Sequence[Outcome]], str] | None = None


@dataclass(frozen=True)
class Ended:
    """How a child ended: its exit code (negative: the signal that ended it), what it printed, how long it took."""

    code: int
    out: str
    err: str
    seconds: float


@dataclass
class Child:
    """A forked child under way."""

    pid: int
    _out: Path
    _err: Path
    _start: float = field(default_factory=time.monotonic)

    def send(self, number: int) -> None:
        """Sends it a signal."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL, for it and for all its children."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            self.send(signal.SIGKILL)

    def printed(self) -> str:
        """What it has written to stderr so far."""
        return self._err.read_text("utf-8", "replace")

    def running(self) -> bool:
        """Whether it has not ended yet; leaves it to `wait` to collect it."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def wait(self, limit: float = 600) -> Ended:
        """How it ended; a child that is still there after ``limit`` seconds is killed, and its code is -9."""
        end = time.monotonic() + limit
        while self.running() and time.monotonic() < end:
            time.sleep(0.002)
        if self.running():
            self.kill()
        _, status = os.waitpid(self.pid, 0)
        seconds = time.monotonic() - self._start
        printed = [path.read_bytes().decode("utf-8", "replace") for path in (self._out, self._err)]
        for path in (self._out, self._err):
            path.unlink()
        return Ended(os.waitstatus_to_exitcode(status), *printed, seconds)


def fork(call: Call, *, folder: Path, env: Environment | None = None, limit: float = 600) -> Ended:
    """Calls ``call`` in a forked child that works in ``folder``, with changes to its environment (None: unset)."""
    return start(call, folder=folder, env=env).wait(limit)


def start(call: Call, *, folder: Path, env: Environment | None = None) -> Child:
    """A forked child that has just begun with ``call``; for faults that come from outside while it works."""
    sys.stdout.flush()
    sys.stderr.flush()
    files = [Path(tempfile.mkstemp(prefix="fault-")[1]) for _ in range(2)]
    pid = os.fork()
    if pid:
        return Child(pid, *files)
    code = 1
    try:
        os.setpgid(0, 0)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        for target, path in zip((1, 2), files, strict=True):
            handle = os.open(path, os.O_WRONLY | os.O_APPEND)
            os.dup2(handle, target)
            os.close(handle)
        os.chdir(folder)
        for name, value in (env or {}).items():
            os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)
        code = _exit_code(call)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _exit_code(call: Call) -> int:
    """As the interpreter ends: what ``SystemExit`` says, 1 after a traceback, else what the call returns or 0."""
    try:
        result = call()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
        return 1
    return result if isinstance(result, int) else 0


def processor_time() -> float:
    """Seconds of this process and of its children that have ended."""
    return sum(os.times()[:4])


def cli(*arguments: str | Path) -> Call:
    """The command line with these arguments."""

    def call() -> None:
        from xrealign.cli import main

        sys.argv = ["xrealign", *map(str, arguments)]
        main()

    return call


def traceback_free(ended: Ended) -> bool:
    """Whether it ended as bad input should: exit code 2, an error told, no traceback."""
    return ended.code == 2 and "error: " in ended.err and "Traceback" not in ended.err


def last_line(ended: Ended) -> str:
    """The last line it printed on stderr, for an outcome's detail."""
    lines = ended.err.strip().splitlines()
    return f"code {ended.code}: {lines[-1][:300] if lines else ''}"


def import_everything() -> None:
    """All modules of the package with what they need, so that children import nothing but what is optional."""
    import importlib
    import pkgutil

    import torch
    import transformers  # noqa: F401
    import typer.main

    import xrealign

    torch.set_num_threads(1)
    for name in LAZY:
        importlib.import_module(name)
    for module in pkgutil.walk_packages(xrealign.__path__, "xrealign."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    from transformers.models.bert import modeling_bert  # noqa: F401

    typer.main.get_command = functools.cache(typer.main.get_command)  # a tenth of a second for every command line
    typer.main.get_command(importlib.import_module("xrealign.cli").app)
    gc.collect()
    gc.freeze()  # nothing here is looked through, and so copied, in the children
