"""Several processes at once: the same result built by eight that are killed at random, and the same run twice."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import tiny
from fault_kills import MORE, judge, undisturbed
from harness import Fault, Outcome, cli, fork, last_line, start

BUILDERS = 8


def eight_builders(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """Eight processes want one result; while it is not there, those at work are killed at random and come again."""
    draw = random.Random(17)
    for turn in range(1 if fast else BUILDERS):
        runs = scratch / f"{turn}"
        runs.mkdir()
        children = [start(lambda runs=runs: _build(runs), folder=runs) for _ in range(BUILDERS)]
        killed = set[int]()
        while len(killed) < BUILDERS:
            time.sleep(draw.uniform(0, 0.1))
            place = draw.randrange(BUILDERS)
            if not children[place].running():
                break
            children[place].kill()
            children[place].wait(5)
            killed.add(children[place].pid)
            children[place] = start(lambda runs=runs: _build(runs), folder=runs)
        ended = [child.wait(60) for child in children]
        made = (runs / "made.txt").read_text("ascii").splitlines()
        answers = {one.out.strip() for one in ended}
        whole = all(one.code == 0 for one in ended) and len(answers) == 1
        finished = [int(line.split()[-1]) for line in made if line.startswith("finished")]
        left = [pid for pid in finished if pid not in killed]  # a kill may come between the end and the result's place
        failed = [last_line(one) for one in ended if one.code]
        begun = len(made) - len(finished)
        yield Outcome(
            f"{len(killed)} of {BUILDERS} killed, begun {begun} times",
            whole and (len(left) == 1 or (not left and bool(finished))),
            f"finished by {finished}, killed {sorted(killed)}; answers {sorted(answers)}; {failed}",
        )


def _build(runs: Path) -> None:
    from xrealign.store import Stage, build, file_digest

    def make(out: Path, _work: Path) -> dict[str, int]:
        _note(runs, f"begun by {os.getpid()}")
        for part in range(20):
            with (out / "result.txt").open("a") as file:
                file.write(f"part {part}\n")
            time.sleep(0.02)
        _note(runs, f"finished by {os.getpid()}")
        return {"parts": 20}

    folder = build(Stage("corpus", "the result", {"a": 1}, {}, make), runs)
    print(file_digest(folder / "result.txt"))


def _note(runs: Path, line: str) -> None:
    handle = os.open(runs / "made.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, f"{line}\n".encode())
    os.close(handle)


def eight_runs(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """Runs of eight names that share most of their results, at once, some of them killed and begun again."""
    if fast:
        return
    expected, seconds = undisturbed(scratch.parent)
    fork(lambda: tiny.config(scratch, MORE) and 0, folder=scratch)
    draw = random.Random(5)
    named = [cli("run", "tiny.toml", "--set", f"name=run-{number}") for number in range(BUILDERS)]
    children = [start(call, folder=scratch) for call in named]
    for _ in range(BUILDERS):
        time.sleep(draw.uniform(0, 0.3) * seconds)
        place = draw.randrange(BUILDERS)
        if children[place].running():
            children[place].send(signal.SIGKILL)
            children[place].wait(5)
            children[place] = start(named[place], folder=scratch)
    ended = [child.wait(300) for child in children]
    outcome = judge(scratch, expected, "")
    for number, one in enumerate(ended):
        laid_out = (scratch / "runs" / f"run-{number}" / "report.html").is_file()
        yield Outcome(
            f"run {number}", one.code == 0 and laid_out and outcome.survived, outcome.detail or last_line(one)
        )


def same_run_twice(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """The second refuses at once and names the first; when the first is killed, the third runs."""
    fork(lambda: tiny.config(scratch, MORE) and 0, folder=scratch)
    first = start(cli("run", "tiny.toml"), folder=scratch)
    while not list((scratch / "runs").glob(".work/tiny.owner")) and first.running():
        time.sleep(0.005)
    calls = [cli("run", "tiny.toml"), cli("realign", "tiny.toml")]
    for call, name in zip(calls[: 1 if fast else 2], ("run", "realign"), strict=False):
        before = os.times()
        second = fork(call, folder=scratch)
        after = os.times()
        seconds = after.children_user + after.children_system - before.children_user - before.children_system
        told = second.code == 2 and f"process {first.pid} " in second.err and "Traceback" not in second.err
        yield Outcome(
            f"xrealign {name}", told and seconds < 1, f"{seconds:.2f} s of processor time; {last_line(second)}"
        )
    first.kill()
    first.wait(5)
    third = fork(cli("run", "tiny.toml"), folder=scratch)
    yield Outcome("after the first was killed", third.code == 0, last_line(third))


FAULTS = (
    Fault("8 processes, one result, builders killed", "built once, identical, locks recovered", eight_builders),
    Fault("8 runs with shared results, killed", "each result built once; all end in the same bits", eight_runs),
    Fault("the same run twice", "the second refuses within 1 s and names the first", same_run_twice),
)
