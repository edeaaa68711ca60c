"""SIGKILL: at random moments, and before every kind of file operation; what is run again ends in the same bits."""

from __future__ import annotations

import functools
import json
import os
import random
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import tiny
from harness import Call, Fault, Outcome, cli, fork, last_line, start

MOMENTS, OPERATIONS_FAST, MOMENTS_FAST = 50, 6, 2
MORE = '[evaluate]\ntransforms = ["centring"]\n'


def undisturbed(root: Path, more: str = MORE, steps: int = 12) -> tuple[dict[str, str], float]:
    """Lays out and runs the tiny experiment in a folder of ``root``: digests of all results, and how long it took."""
    return _once(root, more, steps)


@functools.cache
def _once(root: Path, more: str, steps: int) -> tuple[dict[str, str], float]:
    folder = root / f"undisturbed-{steps}-{len(more)}"
    folder.mkdir()
    assert fork(lambda: tiny.config(folder, more, steps) and 0, folder=folder).code == 0
    done = fork(cli("run", "tiny.toml"), folder=folder)
    assert done.code == 0, done.err
    return results(folder / "runs"), done.seconds


def results(runs: Path) -> dict[str, str]:
    """Digest of every result's file, and what the manifests say came out, times left out."""
    facts = {}
    for path in sorted(runs.glob("*/*/manifest.json")):
        text = json.dumps(json.loads(path.read_text("utf-8"))["facts"], sort_keys=True)
        facts[f"{path.relative_to(runs)}"] = re.sub(r'"[a-z_]*seconds[a-z_]*": [0-9.e-]+', "", text)
    return tiny.digests(runs) | facts


def leftovers(runs: Path) -> list[str]:
    """What a run that has ended well may not leave: folders of work, hidden files beside results."""
    work = [path.name for path in (runs / ".work").iterdir() if path.is_dir()]
    hidden = [path.name for path in runs.rglob(".*") if path.name != ".work" and path.parent.name != ".work"]
    return work + hidden


def judge(folder: Path, expected: dict[str, str], case: str) -> Outcome:
    """Runs on to the end and compares."""
    done = fork(cli("run", "tiny.toml"), folder=folder)
    if done.code:
        return Outcome(case, False, last_line(done))
    found = results(folder / "runs")
    different = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if different:
        return Outcome(case, False, f"differs: {', '.join(different[:3])}")
    left = leftovers(folder / "runs")
    return Outcome(case, not left, f"left behind: {', '.join(left[:3])}" if left else "")


def at_random(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """The same run killed again and again until it gets through; then another."""
    expected, seconds = undisturbed(scratch.parent)
    moments, killed, chain = random.Random(17), 0, 0
    while killed < (MOMENTS_FAST if fast else MOMENTS):
        folder, cases = scratch / f"chain-{chain}", []
        chain += 1
        folder.mkdir()
        fork(lambda folder=folder: tiny.config(folder, MORE) and 0, folder=folder)
        for _ in range(12):
            moment = moments.uniform(0.03, 0.4) * seconds
            child = start(cli("run", "tiny.toml"), folder=folder)
            ended = child.wait(moment)  # which kills it then
            if ended.code != -signal.SIGKILL:
                break
            cases.append(f"{killed}: after {moment:.2f} s")
            killed += 1
        outcome = judge(folder, expected, "")
        yield from (Outcome(case, outcome.survived, outcome.detail) for case in cases)


def at_operations(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """Each process of a chain dies before the first kind of file operation that no process died before yet."""
    expected, _ = undisturbed(scratch.parent)
    folder, seen = scratch / "chain", scratch / "seen.txt"
    folder.mkdir()
    seen.touch()
    fork(lambda: tiny.config(folder, MORE) and 0, folder=folder)
    while True:
        ended = fork(lambda: _dying(folder / "runs", seen), folder=folder)
        operations = seen.read_text("utf-8").splitlines()
        if ended.code != -signal.SIGKILL or (fast and len(operations) >= OPERATIONS_FAST):
            break
    outcome = judge(folder, expected, "")
    survived = outcome.survived and ended.code in (0, -signal.SIGKILL)
    yield from (Outcome(case, survived, outcome.detail or last_line(ended)) for case in operations)


def _dying(runs: Path, seen: Path) -> Call:
    """`xrealign run` that kills itself before the first operation on ``runs`` that is not among those ``seen``."""
    known = set(seen.read_text("utf-8").splitlines())
    note = os.open(seen, os.O_WRONLY | os.O_APPEND)
    within = str(runs.resolve())

    def before(what: str, path: str) -> None:
        place = os.path.abspath(path)  # noqa: PTH100 - links are not followed
        if not place.startswith(within):
            return
        name = f"{what} {_kind(place[len(within) :])}"
        if name not in known:
            os.write(note, f"{name}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str):
            writes = isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            before("open", arguments[0]) if writes else None
        elif event in ("os.rename", "os.link", "os.symlink"):
            before(event, os.fspath(arguments[1]))
        elif event in ("os.mkdir", "os.rmdir", "os.remove", "os.truncate", "os.chmod"):
            before(event, os.fspath(arguments[0]))

    fsync = os.fsync

    def synced(handle: int) -> None:
        before("fsync", str(Path(f"/proc/self/fd/{handle}").readlink()))
        fsync(handle)

    os.fsync = synced
    sys.addaudithook(hook)
    return cli("run", "tiny.toml")()


def _kind(place: str) -> str:
    """A path without what differs from one checkpoint, fingerprint or process to the next."""
    place = re.sub(r"[0-9a-f]{16}", "#", place)
    place = re.sub(r"step-\d+", "step-#", place)
    place = re.sub(r"-\d{5}-of-", "-#-of-", place)
    place = re.sub(r"(/\.[^/]*?)\.?[a-z0-9_]{8}(?=/|$)", r"\1.#", place)
    return re.sub(r"^/\.tiny\.new/(.*/)?(\.?)[^/.]+\.[^/]*$", r"/.tiny.new/\1\2*", place)  # never read, begun anew


def _count(outcomes: list[Outcome]) -> str:
    return f"{len(outcomes)} kinds of operations"


FAULTS = (
    Fault("SIGKILL at a random moment", "run again: goes on, and ends in the same bits", at_random),
    Fault("SIGKILL before a file operation", "run again: goes on, and ends in the same bits", at_operations, _count),
)
