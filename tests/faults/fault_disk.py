"""Disks that are full, cannot be written or are not disks at all: nothing half is left, and the user is told where."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tiny
from harness import Ended, Fault, Outcome, cli, fork, last_line, not_tried, traceback_free
from surroundings import (
    Call,
    can_mount,
    leftovers,
    listing,
    mount_read_only,
    mount_small,
    mounted,
    with_file_limit,
)
from verbs import VERBS, Verb, arguments, finished, without_kept

QUICK = ("align", "align train", "average", "report table", "compare --format html")
ROOM = re.compile(r"\([\d,]+ bytes (?:needed|written), (?:[\d,]+ free|files may have [\d,]+)")
DISKS, ROOMY = (8, 80, 2000), 64 << 10  # KiB; a run takes some 3,000
NO_MOUNT = "this process may not mount"
OLD = "what was there before\n"


def _told(ended: Ended, place: Path | re.Pattern[str]) -> str:
    """What is wrong with how a full disk was told; empty if nothing is. A pattern is looked for in the place alone."""
    if not traceback_free(ended):
        return last_line(ended)
    errors = [line for line in ended.err.splitlines() if line.startswith("error: ")]
    if len(errors) != 1:
        return f"{len(errors)} lines of errors: {errors}"
    named = place.search(errors[0]) if isinstance(place, re.Pattern) else str(place) in errors[0]
    return "" if named and ROOM.search(errors[0]) else f"no place or no room in: {errors[0]}"


def _refused(verb: Verb, data: Path, folder: Path, around: Callable[[Call], Call], room: bool = True) -> Outcome:
    """A verb whose output cannot be written: told in a line, and its folder is as it was."""
    folder.mkdir()
    out = folder / verb.output
    if out.suffix:
        out.write_text(OLD, "utf-8")
    before = listing(folder)
    ended = fork(around(cli(*arguments(verb, data, out))), folder=data)
    place = folder if verb.keeps else out  # what it goes on from may be what there is no room for
    told = traceback_free(ended) and str(place) in ended.err
    wrong = _told(ended, place) if room else "" if told else last_line(ended)
    after = without_kept(verb, listing(folder))
    if not wrong and after != before:
        wrong = f"left behind: {sorted(set(after) - set(before)) or 'a changed file'}"
    return Outcome(verb.name, not wrong, wrong)


def full_for_verbs(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """Every verb that writes, with the longest file too short for what it writes."""
    data = finished(scratch.parent / "finished")
    for number, verb in enumerate(VERBS):
        if not fast or verb.name in QUICK[:3]:
            yield _refused(verb, data, scratch / str(number), functools.partial(with_file_limit, 20))


def small_disk_for_verbs(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """Every verb that writes, on a file system that is full."""
    if not can_mount():
        yield not_tried("every verb, and the front cache", NO_MOUNT)
        return
    data = finished(scratch.parent / "finished")
    for number, verb in enumerate(VERBS):
        if not fast or verb.name in QUICK[1:2]:
            yield _on_full_disk(verb, data, scratch / str(number))
    folder = scratch / "front"
    folder.mkdir()
    ended = fork(mounted(lambda: mount_small(folder, 64), functools.partial(_front, folder)), folder=scratch)
    yield Outcome("front cache, which is mapped", ended.code == 0, last_line(ended))


def _front(folder: Path) -> None:
    """A table of the front cache that does not fit: an error, not the end of the process when its memory is touched."""
    import numpy as np

    from xrealign.errors import ArtifactError
    from xrealign.train.front_store import FrontStore

    store = FrontStore(folder, "key", 8, np.dtype("float32"))
    try:
        with store.new_table([bytes(16)], np.array([20_000])) as table:
            table[:] = 1
    except ArtifactError as error:
        if not ROOM.search(str(error)) or leftovers(folder):
            raise
    else:
        raise RuntimeError("it fitted")


def _on_full_disk(verb: Verb, data: Path, folder: Path) -> Outcome:
    folder.mkdir()
    out, seen = folder / verb.output, folder.with_suffix(".json")

    def call() -> None:
        mount_small(folder, 16)
        if out.suffix:
            out.write_text(OLD, "utf-8")
        (folder / "filler").write_bytes(b"x" * (12 << 10 if out.suffix else 16 << 10))
        before = listing(folder)
        try:
            cli(*arguments(verb, data, out))()
        finally:
            after = without_kept(verb, listing(folder))
            seen.write_text(json.dumps([before == after, sorted(after)]), "utf-8")

    ended = fork(mounted(lambda: None, call), folder=data)
    wrong = _told(ended, folder if verb.keeps else out)
    same, names = json.loads(seen.read_text("utf-8"))
    return Outcome(verb.name, not wrong and same, wrong or f"left behind: {names}")


def read_only_for_verbs(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """Every verb that writes, into a folder that nobody can write."""
    if not can_mount():
        yield not_tried("every verb", NO_MOUNT)
        return
    data = finished(scratch.parent / "finished")
    for number, verb in enumerate(VERBS):
        folder = scratch / str(number)
        if not fast or verb.name in QUICK[2:4]:
            yield _refused(verb, data, folder, lambda call, f=folder: mounted(lambda: mount_read_only(f), call), False)


def stages_of_a_run(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """A run on a disk that fills up at every stage in turn: told, earlier results whole, goes on when there is room."""
    data = finished(scratch.parent / "finished")
    expected = tiny.digests(data / "runs")
    limits = _file_limits(data / "runs")
    for number, (stage, limit) in enumerate(limits[:1] if fast else limits):
        yield _stage(scratch / f"limit-{number}", data, expected, stage, limit)
    if fast:
        return
    for verb in ("realign", "finetune"):
        yield _second_checkpoint(scratch / f"checkpoint-{verb}", data, expected, verb)
    for kibibytes in DISKS:
        case = f"{kibibytes} KiB of disk"
        yield _disk(scratch / case, data, expected, kibibytes) if can_mount() else not_tried(case, NO_MOUNT)


def _file_limits(runs: Path) -> list[tuple[str, int]]:
    """For each verb's results a limit that its largest file breaks, and that of the report."""
    found = []
    for stage in (*tiny.STAGES, "tiny"):
        files = [p.stat() for p in (runs / stage).rglob("*") if p.is_file() and p.name != "manifest.json"]
        # What a run's folder shares with its results by hard links is not written again.
        found.append((stage, max(file.st_size for file in files if stage != "tiny" or file.st_nlink == 1) - 1))
    return found


def _stage(folder: Path, data: Path, expected: dict[str, str], stage: str, limit: int) -> Outcome:
    """A finished run without the results of a stage, where files are limited; then no more."""
    _without(data, folder, stage)
    run = cli("run", "tiny.toml")
    kept = len(list((folder / "runs").glob("*/*/manifest.json")))
    done, wrong = _broken(fork(with_file_limit(limit, run), folder=folder), folder, _places(stage))
    wrong = wrong or ("" if done >= kept else f"{done} results of {kept} are left")
    wrong = wrong or _mended(fork(run, folder=folder), folder, expected)
    shutil.rmtree(folder)
    return Outcome(f"files of {limit:,} bytes, at {stage}", not wrong, wrong)


def _places(stage: str) -> re.Pattern[str]:
    """Where a run may say that there was no room at a stage: its result, what it is made in, or what lays it out."""
    return re.compile(rf"\bruns/(?:\.work/{stage}-|{stage}/|\.{stage}\.new)[^ :]*: " if stage else r"\bruns/[^ :]+: ")


def _without(data: Path, folder: Path, stage: str) -> None:
    """A finished run in ``folder``, without the results of a stage: they are what a run makes first."""
    shutil.copytree(data, folder)
    for name in {stage, "tiny"}:
        shutil.rmtree(folder / "runs" / name)


def _broken(ended: Ended, folder: Path, place: re.Pattern[str]) -> tuple[int, str]:
    """How many results a run has left that broke for want of room, and what is wrong with how it ended."""
    from xrealign.errors import ArtifactError
    from xrealign.store import verify

    done = [manifest.parent for manifest in (folder / "runs").glob("*/*/manifest.json")]
    wrong = _told(ended, place)
    try:
        for result in done:
            verify(result)
    except ArtifactError as error:
        wrong = wrong or str(error)
    hidden = [name for name in leftovers(folder / "runs") if not name.startswith((".work", ".trackers"))]
    return len(done), wrong or (f"left: {hidden}" if hidden else "")


def _mended(ended: Ended, folder: Path, expected: dict[str, str]) -> str:
    """What is wrong with the run after that, which had room."""
    if ended.code:
        return f"then: {last_line(ended)}"
    return "" if tiny.digests(folder / "runs") == expected else "other results afterwards"


def _second_checkpoint(folder: Path, data: Path, expected: dict[str, str], verb: str) -> Outcome:
    """No room for the second checkpoint of a training: the first stays as it is, and it is gone on from."""
    _without(data, folder, verb)
    first, begun = folder / "first.json", folder / "begun.json"
    run = cli("run", "tiny.toml")
    ended = fork(_no_room_for_second(verb, first, run), folder=folder)
    _, wrong = _broken(ended, folder, re.compile(rf"\bruns/\.work/{verb}-[^ :]*/\.?step-00000010/[^ :]*: "))
    if not first.is_file():
        wrong = wrong or "there was no first checkpoint"
    else:
        place, kept = json.loads(first.read_text("utf-8"))
        left = {str(path.relative_to(folder)) for path in (folder / "runs").rglob("*step-*")}
        if listing(folder / place) != kept:
            wrong = wrong or f"{place} is not what it was"
        if left != {place}:
            wrong = wrong or f"left: {sorted(left)}"
    wrong = wrong or _mended(fork(_noting_begin(begun, run), folder=folder), folder, expected)
    steps = json.loads(begun.read_text("utf-8")) if begun.is_file() else []
    if steps[:1] != [5]:
        wrong = wrong or f"trainings began at {steps}"
    shutil.rmtree(folder)
    return Outcome(f"no room for the second checkpoint of {verb}", not wrong, wrong)


def _no_room_for_second(verb: str, first: Path, call: Call) -> Call:
    """``call`` with files limited while the second checkpoint of a verb is written; notes what the first one is."""

    def limited() -> object:
        import resource

        from xrealign.train import loop

        save, unlimited = loop.save_checkpoint, resource.getrlimit(resource.RLIMIT_FSIZE)

        def saved(folder: Path, *what: Any) -> None:
            if not first.is_file():
                save(folder, *what)
                (place,) = folder.glob("step-*")
                first.write_text(json.dumps([os.path.relpath(place), listing(place)]), "utf-8")
                return
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, unlimited[1]))
            try:
                save(folder, *what)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)

        loop.save_checkpoint = saved
        return call()

    return limited


def _noting_begin(begun: Path, call: Call) -> Call:
    """``call`` with a note of the steps that its trainings begin at."""

    def noting() -> object:
        from xrealign.train import loop

        load, steps = loop.load_checkpoint, list[int]()

        def loaded(*what: Any) -> Any:
            progress = load(*what)
            steps.append(progress.step)
            begun.write_text(json.dumps(steps), "utf-8")
            return progress

        loop.load_checkpoint = loaded
        return call()

    return noting


def _disk(folder: Path, data: Path, expected: dict[str, str], kibibytes: int) -> Outcome:
    """A run from the start on a file system with a few KiB left; then with room."""
    folder.mkdir()
    inside, seen = folder / "disk", folder / "seen.json"

    def call() -> None:
        inside.mkdir()
        mount_small(inside, ROOMY)
        shutil.copytree(data, inside, ignore=shutil.ignore_patterns("runs"), dirs_exist_ok=True)
        used = sum(path.stat().st_blocks * 512 for path in inside.rglob("*")) >> 10
        _resize(inside, used + kibibytes)
        run = cli("run", "tiny.toml")
        done, wrong = _broken(fork(run, folder=inside), inside, _places(""))
        _resize(inside, ROOMY)
        wrong = wrong or _mended(fork(run, folder=inside), inside, expected)
        seen.write_text(json.dumps([done, wrong]), "utf-8")

    ended = fork(mounted(lambda: None, call), folder=folder)
    done, wrong = json.loads(seen.read_text("utf-8")) if seen.is_file() else ("?", last_line(ended))
    return Outcome(f"{kibibytes} KiB of disk, {done} results made", not wrong, wrong)


def _resize(folder: Path, kibibytes: int) -> None:
    import ctypes

    options = f"size={kibibytes}k".encode()
    if ctypes.CDLL(None, use_errno=True).mount(b"none", os.fsencode(folder), None, 0x20, options):
        raise OSError(ctypes.get_errno(), "remount")


WHOLE = "told with the place and the room; the old file as it was; nothing half is left"
FAULTS = (
    Fault("files too long for the limit, every verb", WHOLE, full_for_verbs),
    Fault("full disk, every verb", WHOLE, small_disk_for_verbs),
    Fault(
        "full disk at every stage of a run", "told; whole results stay; with room again the same bits", stages_of_a_run
    ),
    Fault("folder that cannot be written, every verb", "told with the place; nothing is left", read_only_for_verbs),
)
