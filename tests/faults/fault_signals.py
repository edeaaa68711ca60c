"""SIGTERM, SIGINT and SIGUSR1: the step is finished and saved, the exit code is right, a second signal ends at once."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import tiny
from fault_kills import MORE, judge, undisturbed
from harness import Call, Child, Fault, Outcome, cli, fork, start

CODES = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGUSR1: 143}
LIMIT = 2.0  # seconds of processor time from the signal to the end
TIMES = 3  # in training, each signal


def _seconds_of(pid: int) -> float:
    """Processor time of a child so far; a machine that does other work as well does not count."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _interrupted(child: Child, number: int) -> tuple[int, float, str]:
    """Signals a child; its exit code, the processor time it still took, and what it printed."""
    before = last = _seconds_of(child.pid)
    child.send(number)
    end = time.monotonic() + 60
    while child.running() and time.monotonic() < end:
        last = _seconds_of(child.pid)
        time.sleep(0.005)
    ended = child.wait(1)
    return ended.code, last - before, ended.err


def _begin(folder: Path, sign: str, call: Call) -> Child:
    """A run under way, as soon as a file or folder by the pattern ``sign`` is there."""
    child = start(call, folder=folder)
    end = time.monotonic() + 600
    while time.monotonic() < end and child.running():
        with contextlib.suppress(FileNotFoundError):  # folders of work come and go
            if list(folder.glob(sign)):
                return child
        time.sleep(0.005)
    raise AssertionError(f"the run ended before it could be interrupted: {child.wait(1).err[-500:]}")


def in_training(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """Interrupts a training; then goes on to the same bits."""
    expected, _ = undisturbed(scratch.parent)
    draw = random.Random(17)
    for number, code in list(CODES.items())[: 1 if fast else None]:
        for turn in range(1 if fast else TIMES):
            folder = _made(scratch / f"{number}-{turn}")
            fork(lambda folder=folder: tiny.config(folder, MORE) and 0, folder=folder)
            child = _begin(folder, "runs/.work/*/step-*", cli("run", "tiny.toml"))
            time.sleep(draw.uniform(0, 0.1))
            found, seconds, printed = _interrupted(child, number)
            case = f"{signal.Signals(number).name}, try {turn + 1}"
            said = "is saved" in printed
            if found != code or seconds > LIMIT or "Traceback" in printed:
                yield Outcome(case, False, f"exit code {found}, {seconds:.2f} s after the signal: {printed[-200:]}")
                continue
            outcome = judge(folder, expected, case)
            yield Outcome(case, outcome.survived, outcome.detail or f"{seconds:.2f} {'saved' if said else ''}")


def anywhere(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """Interrupts a run at a random moment, whatever stage it is at; what is run again ends in the same bits."""
    expected, whole = undisturbed(scratch.parent)
    draw = random.Random(23)
    for turn in range(1 if fast else 6):
        number = list(CODES)[turn % 3]
        folder = _made(scratch / f"{turn}")
        fork(lambda folder=folder: tiny.config(folder, MORE) and 0, folder=folder)
        moment = draw.uniform(0.05, 0.9) * whole
        child = start(cli("run", "tiny.toml"), folder=folder)
        time.sleep(moment)
        case = f"{signal.Signals(number).name} after {moment:.2f} s"
        if not child.running():
            child.wait(1)
            continue
        found, seconds, printed = _interrupted(child, number)
        if found not in (CODES[number], 0) or "Traceback" in printed:
            yield Outcome(case, False, f"exit code {found}: {printed[-300:]}")
            continue
        outcome = judge(folder, expected, case)
        yield Outcome(case, outcome.survived, outcome.detail or f"{seconds:.2f}")


def second_signal(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """A save that never ends: the second signal does not wait for it."""
    for number, code in list(CODES.items())[: 1 if fast else None]:
        folder = _made(scratch / f"{number}")
        fork(lambda folder=folder: tiny.config(folder, MORE) and 0, folder=folder)
        child = _begin(folder, "saving", _never_saving)
        child.send(number)
        end = time.monotonic() + 60
        while "once more to stop at once" not in child.printed() and time.monotonic() < end:
            time.sleep(0.005)
        found, seconds, _ = _interrupted(child, number)
        case = f"twice {signal.Signals(number).name}"
        yield Outcome(case, found == code and seconds < LIMIT, f"exit code {found} after {seconds:.2f} s")


def _never_saving() -> object:
    from xrealign.train import loop

    def save(*_: object) -> None:
        Path("saving").touch()
        time.sleep(600)

    loop.save_checkpoint = save
    return cli("run", "tiny.toml")()


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _slowest(outcomes: list[Outcome]) -> str:
    times = [float(outcome.detail.split()[0]) for outcome in outcomes if outcome.survived and outcome.detail]
    return f"at most {max(times):.2f} s of processor time after the signal" if times else ""


FAULTS = (
    Fault(
        "signal in training", "finishes the step, saves, exits with 143 or 130; goes on later", in_training, _slowest
    ),
    Fault("signal at a random moment", "ends; run again: goes on, and ends in the same bits", anywhere, _slowest),
    Fault("second signal", "ends at once", second_signal),
)
