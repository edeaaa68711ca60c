"""SIGTERM, SIGINT and SIGUSR1: the step is finished and saved, the exit code is right, a second signal ends at once."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from fault_kills import judge, lay_out, standing, undisturbed
from harness import Call, Child, Fault, Outcome, cli, last_line, start

CODES = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGUSR1: 143}
LIMIT = 2.0  # seconds of processor time from the signal to the end
WALL = 10 * LIMIT  # by the clock, with which other work counts as well
TIMES = 2  # in training, each signal
MOMENTS = 6
STEPS, NEVER = 20, 1000  # of a training that saves nothing before a signal comes
HELD = 5  # steps after which a training waits for a signal that is late


def _seconds_of(pid: int) -> float:
    """Processor time of a child so far; a machine that does other work as well does not count."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _interrupted(child: Child, number: int, sent: Path | None = None) -> tuple[int, float, float, str]:
    """Signals a child; its exit code, the processor time and the time it still took, and what it printed.

    Args:
        sent: a file that is made once the signal is sent.
    """
    before = last = _seconds_of(child.pid)
    begun = time.monotonic()
    child.send(number)
    if sent is not None:
        sent.touch()
    while child.running() and time.monotonic() < begun + 60:
        last = _seconds_of(child.pid)
        time.sleep(0.005)
    clock = time.monotonic() - begun
    ended = child.wait(1)
    return ended.code, last - before, clock, ended.err


def _late(seconds: float, clock: float) -> bool:
    return seconds > LIMIT or clock > WALL


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
    """Interrupts a training, whose one checkpoint is then the signal's; goes on from it to the same bits."""
    expected, _ = undisturbed(scratch.parent, steps=STEPS, every=NEVER)
    draw = random.Random(17)
    for number, code in list(CODES.items())[: 1 if fast else None]:
        for turn, phase in enumerate(("realign", "finetune")[: 1 if fast else TIMES]):
            folder, first = scratch / f"{number}-{turn}", draw.randint(1, 12)
            lay_out(folder, steps=STEPS, every=NEVER)
            child = _begin(folder, "begun", _training(phase, first))
            time.sleep(draw.uniform(0, 0.1))
            found, seconds, clock, printed = _interrupted(child, number, folder / "sent")
            case = f"{signal.Signals(number).name} in {phase}, try {turn + 1}"
            if found != code or _late(seconds, clock) or "Traceback" in printed:
                what = f"exit code {found}, {seconds:.2f} s ({clock:.1f} s by the clock) after the signal"
                yield Outcome(case, False, f"{what}: {printed[-200:]}")
                continue
            wrong = _not_saved(folder / "runs", phase, first, printed)
            outcome = Outcome(case, False, wrong) if wrong else judge(folder, expected, case, goes_on=True)
            yield Outcome(case, outcome.survived, outcome.detail or f"{seconds:.2f}")


def _training(phase: str, first: int) -> Call:
    """`xrealign run` that tells of a step of a training, and a few steps on waits until the signal has been sent.

    The training is then as far as it may be, and never at its end, however late a busy machine lets the signal come.
    """

    def call() -> object:
        from xrealign.train import loop

        gradients = loop.all_gradients

        def found(model, what, step, *others):
            if what.name == phase and step == first:
                Path("begun").touch()
            end = time.monotonic() + 60
            while what.name == phase and step == first + HELD and not Path("sent").exists() and time.monotonic() < end:
                time.sleep(0.002)
            return gradients(model, what, step, *others)

        loop.all_gradients = found
        return cli("run", "tiny.toml")()

    return call


def _not_saved(runs: Path, phase: str, first: int, printed: str) -> str:
    """What is wrong with what was said and saved after a signal in a training; nothing where all is well."""
    said = re.search(rf"{phase}: stopped after step (\d+) of {STEPS}, which is saved", printed)
    if said is None:
        return f"not said to be saved: {printed[-300:]}"
    step = int(said[1])
    if not first < step <= first + HELD + 1:
        return f"step {step} is said to be saved; the signal came soon after step {first}"
    now = standing(runs)
    if [*now.saved.values()] != [step] or now.begun != {phase}:
        return f"step {step} is said to be saved; there is {now.saved}, begun {now.begun}"
    stages = {name.split("/")[0] for name in now.done}
    before = {"select", "corpus", "align", "task"}
    return "" if before <= stages else f"finished before were {before}; left are {stages}"


def anywhere(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """Interrupts a run at a random moment, whatever stage it is at; what is run again ends in the same bits."""
    if fast:  # its tries in training are those that mind most
        return
    expected, whole = undisturbed(scratch.parent)
    draw = random.Random(23)
    tried = 0
    for turn in range(4 * MOMENTS):
        if tried == MOMENTS:
            return
        number = list(CODES)[turn % 3]
        folder = scratch / f"{turn}"
        lay_out(folder)
        moment = draw.uniform(0.05, 0.9) * whole
        child = start(cli("run", "tiny.toml"), folder=folder)
        time.sleep(moment)
        case = f"{signal.Signals(number).name} after {moment:.2f} s"
        if not child.running():
            ended = child.wait(1)
            if ended.code:
                yield Outcome(case, False, f"before any signal: {last_line(ended)}")
            continue
        tried += 1
        at_end = "report: " in child.printed()  # it may end well then, or as a process without a handler ends
        before = standing(folder / "runs")
        found, seconds, clock, printed = _interrupted(child, number)
        right = {CODES[number], 0, -number} if at_end else {CODES[number]}
        if found not in right or _late(seconds, clock) or "Traceback" in printed:
            what = f"exit code {found}, {seconds:.2f} s ({clock:.1f} s by the clock) after the signal"
            yield Outcome(case, False, f"{what}: {printed[-300:]}")
            continue
        if not before.done.items() <= standing(folder / "runs").done.items():
            yield Outcome(case, False, "finished results are gone")
            continue
        outcome = judge(folder, expected, case, goes_on=True)
        yield Outcome(case, outcome.survived, outcome.detail or f"{seconds:.2f}")
    if tried < MOMENTS:
        yield Outcome("moments", False, f"{tried} of {MOMENTS} signals came before the run had ended")


def second_signal(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """A save that never ends: the second signal does not wait for it."""
    for number, code in list(CODES.items())[: 1 if fast else None]:
        folder = scratch / f"{number}"
        lay_out(folder)
        child = _begin(folder, "saving", _never_saving)
        child.send(number)
        end = time.monotonic() + WALL
        while "once more to stop at once" not in child.printed() and time.monotonic() < end:
            time.sleep(0.005)
        told = "once more to stop at once" in child.printed()
        found, seconds, clock, _ = _interrupted(child, number)
        good = told and found == code and not _late(seconds, clock)
        what = f"exit code {found} after {seconds:.2f} s ({clock:.1f} s by the clock)"
        yield Outcome(
            f"twice {signal.Signals(number).name}", good, what + ("" if told else "; the first was not told of")
        )


def _never_saving() -> object:
    from xrealign.train import loop

    def save(*_: object) -> None:
        Path("saving").touch()
        time.sleep(600)

    loop.save_checkpoint = save
    return cli("run", "tiny.toml")()


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
