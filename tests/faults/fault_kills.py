"""SIGKILL: at random moments, and before every kind of file operation; what is run again ends in the same bits."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import random
import re
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import tiny
from harness import Call, Ended, Fault, Outcome, cli, fork, last_line, start

MOMENTS, OPERATIONS_FAST, MOMENTS_FAST = 50, 6, 2
ROUNDS = 500  # kills before a file operation: more would never end
TRAININGS = {"realign", "finetune"}
MORE = '[evaluate]\ntransforms = ["centring"]\n'


def lay_out(folder: Path, more: str = MORE, steps: int = 12, every: int = 5) -> None:
    """The tiny experiment in ``folder``, which is made, with a checkpoint after so many steps."""
    folder.mkdir()

    def write() -> int:
        path = tiny.config(folder, more, steps)
        text = path.read_text("utf-8")
        assert text.count("checkpoint_every = 5\n") == len(TRAININGS)
        path.write_text(text.replace("checkpoint_every = 5\n", f"checkpoint_every = {every}\n"), "utf-8")
        return 0

    assert fork(write, folder=folder).code == 0


def undisturbed(root: Path, more: str = MORE, steps: int = 12, every: int = 5) -> tuple[dict[str, str], float]:
    """Lays out and runs the tiny experiment in a folder of ``root``: digests of all results, and how long it took."""
    return _once(root, more, steps, every)


@functools.cache
def _once(root: Path, more: str, steps: int, every: int) -> tuple[dict[str, str], float]:
    folder = root / f"undisturbed-{'' if every == 5 else f'every-{every}-'}{steps}-{len(more)}"
    lay_out(folder, more, steps, every)
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


@dataclass(frozen=True)
class Standing:
    """What is on disk after a run has ended, however: what the next one has to go on from.

    Attributes:
        done: of each finished result's manifest, which file it is and when it was written.
        saved: of each training that is not finished, by its folder of work, the step of its newest whole checkpoint.
        begun: verbs of the stages that have begun and are not finished.
    """

    done: dict[str, tuple[int, int]]
    saved: dict[str, int]
    begun: set[str]


def standing(runs: Path) -> Standing:
    """Read without the program, which may be wrong about it."""
    done = {str(path.relative_to(runs)): _stamp(path) for path in runs.glob("[a-z]*/*/manifest.json")}
    begun = [
        path
        for path in (runs / ".work").glob("*")
        if path.is_dir() and "/".join([*path.name.rsplit("-", 1), "manifest.json"]) not in done
    ]
    saved: dict[str, int] = {}
    for path in sorted(found for work in begun for found in work.rglob("step-*")):
        if _whole(path):
            saved[str(path.parent.relative_to(runs / ".work"))] = int(path.name.removeprefix("step-"))
    return Standing(done, saved, {path.name.rpartition("-")[0] for path in begun})


def _stamp(path: Path) -> tuple[int, int]:
    facts = path.stat()
    return facts.st_ino, facts.st_mtime_ns


def _whole(checkpoint: Path) -> bool:
    try:
        facts = json.loads((checkpoint / "checkpoint.json").read_text("utf-8"))
        return facts["sha256"] == hashlib.sha256((checkpoint / "state.safetensors").read_bytes()).hexdigest()
    except (OSError, ValueError, KeyError):
        return False


def noting(call: Call, notes: Path) -> Call:
    """The command, writing down from which step each training goes on, by its folder of work."""

    def noted() -> object:
        from xrealign.train import loop

        load, place = loop.load_checkpoint, notes.resolve()
        work = Path("runs/.work").resolve()

        def loaded(folder, *others):
            progress = load(folder, *others)
            with place.open("a", encoding="utf-8") as file:
                file.write(f"{folder.resolve().relative_to(work)}\t{progress.step}\n")
            return progress

        loop.load_checkpoint = loaded
        return call()

    notes.unlink(missing_ok=True)
    return noted


def went_on_from(notes: Path) -> dict[str, int]:
    """What `noting` wrote down."""
    lines = notes.read_text("utf-8").splitlines() if notes.exists() else []
    return {folder: int(step) for folder, step in (line.split("\t") for line in lines)}


def lost(runs: Path, before: Standing, notes: Path, ended: bool) -> str:
    """What a run did over that was there already, in words; nothing where it went on from ``before``.

    Args:
        ended: it got to its end, and so has come to every training.
    """
    now, noted = standing(runs).done, went_on_from(notes)
    for name, stamp in before.done.items():
        if now.get(name) != stamp:
            return f"{name} was finished, and was {'made again' if name in now else 'removed'}"
    for folder, step in noted.items():
        if step != before.saved.get(folder, 0):
            return f"{folder} went on from step {step}; saved was {before.saved.get(folder, 0)}"
    never = sorted(before.saved.keys() - noted.keys()) if ended else []
    return f"nothing went on from the checkpoint of {', '.join(never)}" if never else ""


def judge(folder: Path, expected: dict[str, str], case: str, goes_on: bool = False) -> Outcome:
    """Runs on to the end and compares; with ``goes_on`` also that nothing is done over that was done before."""
    before, notes = standing(folder / "runs"), folder / "notes.tsv"
    done = fork(noting(cli("run", "tiny.toml"), notes), folder=folder)
    if done.code:
        return Outcome(case, False, last_line(done))
    if goes_on and (again := lost(folder / "runs", before, notes, ended=True)):
        return Outcome(case, False, again)
    found = results(folder / "runs")
    different = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if different:
        return Outcome(case, False, f"differs: {', '.join(different[:3])}")
    left = leftovers(folder / "runs")
    return Outcome(case, not left, f"left behind: {', '.join(left[:3])}" if left else "")


def at_random(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """The same run killed again and again until it gets through; then another."""
    expected, seconds = undisturbed(scratch.parent)
    moments, killed, chain, hit = random.Random(17), 0, 0, set()
    enough = MOMENTS_FAST if fast else MOMENTS
    while killed < enough and chain < enough:
        folder, cases = scratch / f"chain-{chain}", []
        chain += 1
        lay_out(folder)
        for _ in range(12):
            moment = moments.uniform(0.03, 0.4) * seconds
            before, notes = standing(folder / "runs"), folder / "notes.tsv"
            ended = start(noting(cli("run", "tiny.toml"), notes), folder=folder).wait(moment)  # which kills it then
            wrong = _wrong(folder / "runs", before, notes, ended)
            if wrong:
                yield Outcome(f"{killed}: run again in chain {chain}", False, wrong)
            if ended.code != -signal.SIGKILL:
                break
            hit |= standing(folder / "runs").begun
            cases.append(f"{killed}: after {moment:.2f} s")
            killed += 1
        outcome = judge(folder, expected, "", goes_on=True)
        if not cases and not outcome.survived:
            yield Outcome(f"chain {chain}, which was never killed", False, outcome.detail)
        yield from (Outcome(case, outcome.survived, outcome.detail) for case in cases)
    if not fast:
        yield Outcome("trainings were under way at kills", hit >= TRAININGS, ", ".join(sorted(hit)))


def _wrong(runs: Path, before: Standing, notes: Path, ended: Ended) -> str:
    """What is wrong with a run that could be killed: it ended by itself and not well, or did something over."""
    if ended.code not in (0, -signal.SIGKILL):
        return last_line(ended)
    return lost(runs, before, notes, ended.code == 0)


def at_operations(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """Each process of a chain dies before the first kind of file operation that no process died before yet."""
    # Of three checkpoints the first is removed.
    expected, _ = undisturbed(scratch.parent, every=3)
    folder, seen, notes = scratch / "chain", scratch / "seen.txt", scratch / "notes.tsv"
    seen.touch()
    lay_out(folder, every=3)
    runs, operations, resumed = folder / "runs", [], set()
    while True:
        before = standing(runs)
        ended = fork(noting(lambda: _dying(runs, seen), notes), folder=folder)
        wrong = _wrong(runs, before, notes, ended)
        if wrong:
            yield Outcome(f"run again after {operations[-1] if operations else 'nothing'}", False, wrong)
        resumed |= {name.rpartition("-")[0] for name, step in went_on_from(notes).items() if step}
        known, operations = len(operations), seen.read_text("utf-8").splitlines()
        if ended.code != -signal.SIGKILL or (fast and len(operations) >= OPERATIONS_FAST):
            break
        if len(operations) == known or known >= ROUNDS:
            yield Outcome("the chain", False, f"without an end after {known} kills: {operations[-1]}")
            break
    outcome = judge(folder, expected, "", goes_on=True)
    yield from (Outcome(case, outcome.survived, outcome.detail) for case in operations)
    if not fast:
        yield Outcome("trainings went on from checkpoints", resumed >= TRAININGS, ", ".join(sorted(resumed)))


def _dying(runs: Path, seen: Path) -> object:
    """`xrealign run` that kills itself before the first operation on ``runs`` that is not among those ``seen``."""
    known = set(seen.read_text("utf-8").splitlines())
    note = os.open(seen, os.O_WRONLY | os.O_APPEND)
    within = str(runs.resolve())
    ending = False

    def before(what: str, path: object, beside: int = -1, last: Callable[[], None] = lambda: None) -> None:
        nonlocal ending
        place = _place(path, beside)
        if ending or not place.startswith(within):
            return
        name = f"{what} {_kind(place[len(within) :])}{_turn(place)}"
        if name not in known:
            ending = True
            os.write(note, f"{name}\n".encode())
            last()
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str):
            writes = isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            before("open", arguments[0]) if writes else None
        elif event in ("os.rename", "os.link", "os.symlink"):
            before(event, arguments[1], arguments[-1])  # type: ignore[arg-type]
        elif event in ("os.mkdir", "os.rmdir", "os.remove", "os.chmod"):
            before(event, arguments[0], arguments[-1])  # type: ignore[arg-type]
        elif event == "os.truncate":
            before(event, arguments[0])

    fsync = os.fsync

    def synced(handle: int) -> None:
        before("fsync", handle)
        fsync(handle)

    os.fsync = synced
    _halving(before)
    sys.addaudithook(hook)
    return cli("run", "tiny.toml", "--set", 'report.figures=["svg"]')()


def _halving(before: Callable[..., None]) -> None:
    """Lets the libraries whose writing raises no event tell of it, at a moment when half of a file is written."""
    import pyarrow.parquet
    import safetensors.numpy
    import safetensors.torch

    def half(write: Callable[..., object]) -> Callable[..., object]:
        def written(content: object, path: object, *others: object, **named: object) -> object:
            found = write(content, path, *others, **named)
            if isinstance(path, (str, Path)):
                before("half", path, last=lambda: os.truncate(path, Path(path).stat().st_size // 2))
            return found

        return written

    ours = [module for name, module in sys.modules.items() if name.startswith("xrealign.")]
    for module, name in ((safetensors.numpy, "save_file"), (safetensors.torch, "save_file"),
                         (pyarrow.parquet, "write_table")):  # fmt: skip
        write = getattr(module, name)
        for place in [module, *(one for one in ours if vars(one).get(name) is write)]:
            setattr(place, name, half(write))


def _place(path: object, beside: int) -> str:
    """An absolute path, links not followed, of what a call was given: a path, one beside an open folder, or a file."""
    if isinstance(path, int):
        return str(Path(f"/proc/self/fd/{path}").readlink())
    text = os.fsdecode(path)  # type: ignore[arg-type]
    if beside >= 0 and not text.startswith("/"):
        text = f"{Path(f'/proc/self/fd/{beside}').readlink()}/{text}"
    return os.path.abspath(text)  # noqa: PTH100 - links are not followed


def _turn(place: str) -> str:
    """Of a checkpoint, whether there is another one: with one to fall back on, other files are at stake."""
    found = re.match(r"(.*)/\.?(step-\d+)", place)
    if found is None:
        return ""
    others = [name for name in os.listdir(found[1]) if name.startswith("step-") and name != found[2]]  # noqa: PTH208
    return ", a later one" if others else ", the first"


def _kind(place: str) -> str:
    """A path without what differs from one checkpoint, fingerprint or process to the next."""
    place = re.sub(r"[0-9a-f]{16}", "#", place)
    place = re.sub(r"step-\d+", "step-#", place)
    place = re.sub(r"-\d{5}-of-", "-#-of-", place)
    place = re.sub(r"(/\.[^/]*?)\.?[a-z0-9_]{8}(?=/|$)", r"\1.#", place)
    # What is never read, and begun anew: results before they are whole.
    place = re.sub(r"^(/\.work/[a-z]+-#/result/(?:.*/)?\.?)[^/]+$", r"\1*", place)
    return re.sub(r"^/\.tiny\.new/(.*/)?(\.?)[^/.]+\.[^/]*$", r"/.tiny.new/\1\2*", place)


def _count(outcomes: list[Outcome]) -> str:
    others = ("run again", "the chain", "trainings")
    return f"{sum(not outcome.case.startswith(others) for outcome in outcomes)} kinds of operations"


FAULTS = (
    Fault("SIGKILL at a random moment", "run again: goes on, and ends in the same bits", at_random),
    Fault("SIGKILL before a file operation", "run again: goes on, and ends in the same bits", at_operations, _count),
)
