"""Several processes at once: the same result built by eight that are killed at random, and the same run twice."""

from __future__ import annotations

import hashlib
import os
import random
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import tiny
from fault_kills import MORE, judge, undisturbed
from harness import Call, Child, Fault, Outcome, cli, fork, last_line, start

BUILDERS = 8
PARTS = 20
CONTENT = "".join(f"part {part}\n" for part in range(PARTS))
ANSWER = f"{hashlib.sha256(CONTENT.encode()).hexdigest()} manifest.json result.txt"
WALL = 10.0  # seconds by the clock for a refusal: far more than it takes, far less than a wait


def eight_builders(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """Eight processes want one result; while it is not there, they are killed and come again.

    Every other kill is of the process that has begun the result and not ended it; the others are at random.
    """
    draw = random.Random(17)
    for turn in range(1 if fast else BUILDERS):
        runs = scratch / f"{turn}"
        runs.mkdir()
        call = _builder(runs, held=draw.randrange(PARTS))
        children = [start(call, folder=runs) for _ in range(BUILDERS)]
        killed, at_work = set[int](), 0
        while len(killed) < BUILDERS:
            aimed = len(killed) % 2 == 0
            place = _at_work(runs, children, limit=60) if aimed else draw.randrange(BUILDERS)
            time.sleep(draw.uniform(0, 0.1))
            if place is None or not children[place].running():
                break
            # It may have ended what it makes since it was chosen.
            at_work += aimed and _at_work(runs, children) == place
            _kill(children[place], killed)
            children[place] = start(call, folder=runs)
            (runs / "go").touch()
        ended = [child.wait(60) for child in children]
        notes = _notes(runs)
        begun, finished = ([pid for what, pid in notes if what == word] for word in ("begun", "finished"))
        left = [pid for pid in finished if pid not in killed]  # a kill may come between the end and the result's place
        answers = {one.out.strip() for one in ended}
        failed = [last_line(one) for one in ended if one.code]
        once = len(left) == 1 or (not left and bool(finished))
        yield Outcome(
            f"{len(killed)} killed, {at_work} of them at work, begun {len(begun)} times",
            not failed and answers == {ANSWER} and once and at_work > 0 and len(begun) > at_work,
            f"finished by {finished}, killed {sorted(killed)}; answers {sorted(answers)}; {failed}",
        )


def _builder(runs: Path, held: int) -> Call:
    """Builds the result and prints its digest and its files; holds at a part until somebody has been killed."""
    from xrealign.store import Stage, build, file_digest

    def make(out: Path, _work: Path) -> dict[str, int]:
        _note(runs, f"begun by {os.getpid()}")
        for part in range(PARTS):
            with (out / "result.txt").open("a") as file:
                file.write(f"part {part}\n")
            while part == held and not (runs / "go").exists():
                time.sleep(0.005)
            time.sleep(0.02)
        _note(runs, f"finished by {os.getpid()}")
        return {"parts": PARTS}

    def call() -> None:
        folder = build(Stage("corpus", "the result", {"a": 1}, {}, make), runs)
        print(file_digest(folder / "result.txt"), *sorted(path.name for path in folder.iterdir()))

    return call


def _note(folder: Path, line: str) -> None:
    handle = os.open(folder / "made.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, f"{line}\n".encode())
    os.close(handle)


def _notes(folder: Path) -> list[tuple[str, int]]:
    """What was noted, ``begun`` or ``finished`` with what it is, and by whom, in order."""
    lines = (folder / "made.txt").read_text("utf-8").splitlines() if (folder / "made.txt").is_file() else []
    return [(what, int(pid)) for what, pid in (line.split(" by ") for line in lines)]


def _at_work(folder: Path, children: list[Child], limit: float = 0) -> int | None:
    """The place of a process that has begun something and not finished it; waits for one if there is none yet."""
    end = time.monotonic() + limit
    while True:
        last = {pid: what for what, pid in _notes(folder)}
        busy = {pid for pid, what in last.items() if what.startswith("begun")}
        found = [place for place, child in enumerate(children) if child.pid in busy and child.running()]
        if found:
            return found[0]
        if time.monotonic() >= end or not all(child.running() for child in children):
            return None
        time.sleep(0.002)


def _kill(child: Child, killed: set[int]) -> None:
    child.send(signal.SIGKILL)
    if child.wait(5).code == -signal.SIGKILL:  # else it had ended by itself a moment before
        killed.add(child.pid)


def eight_runs(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """Runs of eight names that share most of their results, at once, some of them killed and begun again."""
    if fast:
        return
    expected, seconds = undisturbed(scratch.parent)
    fork(lambda: tiny.config(scratch, MORE) and 0, folder=scratch)
    draw = random.Random(5)
    named = [_noting(scratch, cli("run", "tiny.toml", "--set", f"name=run-{number}")) for number in range(BUILDERS)]
    children = [start(call, folder=scratch) for call in named]
    killed, at_work = set[int](), 0
    for kill in range(BUILDERS):
        time.sleep(draw.uniform(0, 0.3) * seconds)
        aimed = _at_work(scratch, children) if kill % 2 == 0 else None
        place = draw.randrange(BUILDERS) if aimed is None else aimed
        if children[place].running():
            at_work += aimed is not None
            _kill(children[place], killed)
            children[place] = start(named[place], folder=scratch)
    ended = [child.wait(300) for child in children]
    outcome = judge(scratch, expected, "")
    for number, one in enumerate(ended):
        laid_out = (scratch / "runs" / f"run-{number}" / "report.html").is_file()
        yield Outcome(
            f"run {number}", one.code == 0 and laid_out and outcome.survived, outcome.detail or last_line(one)
        )
    yield Outcome("some were killed", at_work > 0, f"{len(killed)} killed, {at_work} of them while they made a result")
    yield _made_once(scratch, killed)


def _noting(folder: Path, call: Call) -> Call:
    """``call`` with a note whenever it begins to make a result, and when it has put one in its place."""
    results = f"{folder.resolve() / 'runs'}/"

    def within(path: object) -> str:
        place = os.path.abspath(os.fsdecode(os.fspath(path)))  # type: ignore[call-overload]  # noqa: PTH100
        return place.removeprefix(results) if place.startswith(results) else ""

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        made = (
            re.fullmatch(r"\.work/([a-z]+)-([0-9a-f]{16})/result", within(arguments[0]))
            if event == "os.mkdir"
            else None
        )
        if made:
            _note(folder, f"begun {made[1]}/{made[2]} by {os.getpid()}")

    def noted(real: Call) -> Call:
        def moved(source: object, target: object, **more: object) -> None:
            real(source, target, **more)  # type: ignore[call-arg]
            if re.fullmatch(r"[a-z]+/[0-9a-f]{16}", within(target)):
                _note(folder, f"finished {within(target)} by {os.getpid()}")

        return moved

    def there() -> object:
        os.replace, os.rename = noted(os.replace), noted(os.rename)
        sys.addaudithook(hook)
        return call()

    return there


def _made_once(folder: Path, killed: set[int]) -> Outcome:
    """No process that lived made what another one had made: each result was begun and put in its place once."""
    notes = _notes(folder)
    wrong = []
    results = [f"{path.parent.parent.name}/{path.parent.name}" for path in (folder / "runs").glob("*/*/manifest.json")]
    unseen = [result for result in results if f"finished {result}" not in {what for what, _ in notes}]
    for result in results:
        begun = {pid for what, pid in notes if what == f"begun {result}"} - killed  # a folder may be tried twice
        placed = [pid for what, pid in notes if what == f"finished {result}"]
        if len(begun) > 1 or len(placed) > 1:
            wrong.append(f"{result}: begun by {begun}, put in its place by {placed}")
    if len(unseen) > len(killed):  # a kill may come between the rename and the note
        wrong.append(f"never seen to be made: {unseen}")
    return Outcome("each result made once", not wrong and bool(results), "; ".join(wrong) or f"{len(results)} results")


def same_run_twice(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """The second refuses at once and names the first; when the first is killed, the third runs."""
    fork(lambda: tiny.config(scratch, MORE) and 0, folder=scratch)
    first = start(cli("run", "tiny.toml"), folder=scratch)
    while not list((scratch / "runs").glob(".work/tiny.owner")) and first.running():
        time.sleep(0.005)
    first.send(signal.SIGSTOP)  # so that it is still there, however slow the others are
    calls = [cli("run", "tiny.toml"), cli("realign", "tiny.toml")]
    for call, name in zip(calls[: 1 if fast else 2], ("run", "realign"), strict=False):
        before = os.times()
        second = fork(call, folder=scratch, limit=2 * WALL)
        after = os.times()
        used = after.children_user + after.children_system - before.children_user - before.children_system
        told = second.code == 2 and f"process {first.pid} " in second.err and "Traceback" not in second.err
        yield Outcome(
            f"xrealign {name}",
            told and used < 1 and second.seconds < WALL,
            f"{used:.2f} s of processor time, {second.seconds:.1f} s by the clock; {last_line(second)}",
        )
    alive = first.running()
    first.kill()
    first.wait(5)
    third = fork(cli("run", "tiny.toml"), folder=scratch)
    detail = last_line(third) if alive else "the first had ended before it was to be killed"
    yield Outcome("after the first was killed", alive and third.code == 0, detail)


FAULTS = (
    Fault("8 processes, one result, builders killed", "built once, identical, locks recovered", eight_builders),
    Fault("8 runs with shared results, killed", "each result built once; all end in the same bits", eight_runs),
    Fault("the same run twice", "the second refuses within 1 s and names the first", same_run_twice),
)
