"""Disks that are full, cannot be written or are not disks at all: nothing half is left, and the user is told where."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import tiny
from harness import Ended, Fault, Outcome, cli, fork, last_line, traceback_free
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
OLD = "what was there before\n"


def _told(ended: Ended, path: Path | str) -> str:
    """What is wrong with how a full disk was told; empty if nothing is."""
    if not traceback_free(ended):
        return last_line(ended)
    errors = [line for line in ended.err.splitlines() if line.startswith("error: ")]
    if len(errors) != 1:
        return f"{len(errors)} lines of errors: {errors}"
    if str(path) not in errors[0] or not ROOM.search(errors[0]):
        return f"no place or no room in: {errors[0]}"
    return ""


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
    data = finished(scratch.parent / "finished")
    for number, verb in enumerate(VERBS):
        if can_mount() and (not fast or verb.name in QUICK[1:2]):
            yield _on_full_disk(verb, data, scratch / str(number))

    if can_mount():
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
    data = finished(scratch.parent / "finished")
    for number, verb in enumerate(VERBS):
        folder = scratch / str(number)
        if can_mount() and (not fast or verb.name in QUICK[2:4]):
            yield _refused(verb, data, folder, lambda call, f=folder: mounted(lambda: mount_read_only(f), call), False)


def stages_of_a_run(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """A run on a disk that fills up at every stage in turn: told, earlier results whole, goes on when there is room."""
    data = finished(scratch.parent / "finished")
    expected = tiny.digests(data / "runs")
    limits = _file_limits(data / "runs")
    for number, (stage, limit) in enumerate(limits[:1] if fast else limits):
        yield _stage(scratch / f"limit-{number}", data, expected, stage, limit, small=False)
    if can_mount() and not fast:
        for kibibytes in (8, 80, 480, 900):
            yield _stage(scratch / f"disk-{kibibytes}", data, expected, "", kibibytes, small=True)


def _file_limits(runs: Path) -> list[tuple[str, int]]:
    """For each verb's results a limit that its largest file breaks, and that of the report."""
    found = []
    for stage in (*tiny.STAGES, "tiny"):
        files = [p.stat() for p in (runs / stage).rglob("*") if p.is_file() and p.name != "manifest.json"]
        # What a run's folder shares with its results by hard links is not written again.
        found.append((stage, max(file.st_size for file in files if stage != "tiny" or file.st_nlink == 1) - 1))
    return found


def _stage(folder: Path, data: Path, expected: dict[str, str], stage: str, limit: int, small: bool) -> Outcome:
    """With ``stage`` its results are taken out of a finished run, and those after it."""
    shutil.copytree(data, folder, ignore=shutil.ignore_patterns("runs"))
    if stage:
        shutil.copytree(data / "runs", folder / "runs")
        gone = [*tiny.STAGES, "tiny"]
        for verb in gone[gone.index(stage) :]:
            shutil.rmtree(folder / "runs" / verb)
    inside, seen = folder / "disk", folder / "seen.json"

    def call() -> None:
        from xrealign.store import read_manifest, verify

        place = folder
        if small:
            inside.mkdir()
            mount_small(inside, 64 << 10)
            for name in data.iterdir():
                if name.name != "runs":
                    (shutil.copytree if name.is_dir() else shutil.copyfile)(name, inside / name.name)
            used = sum(p.stat().st_blocks * 512 for p in inside.rglob("*")) >> 10
            _resize(inside, used + limit)
            place = inside
        os.chdir(place)
        try:
            cli("run", "tiny.toml")()
        finally:
            done = [m.parent for m in Path("runs").glob("*/*/manifest.json")]
            for result in done:
                read_manifest(result)
                verify(result)
            hidden = [n for n in leftovers(Path("runs")) if not n.startswith((".work", ".trackers"))]
            seen.write_text(json.dumps([len(done), hidden]), "utf-8")
            if small:
                _resize(inside, 64 << 10)
                sys.stderr.write("=== room again\n")
                cli("run", "tiny.toml")()
                if tiny.digests(Path("runs")) != expected:
                    sys.stderr.write("=== other results\n")

    if small:
        ended = fork(mounted(lambda: None, lambda: _both(call)), folder=folder, limit=600)
        first, _, second = ended.err.partition("=== room again\n")
        ended = Ended(2 if "error: " in first else 0, ended.out, first, ended.seconds)
        fault = "other results" if "=== other" in second else "" if "report: " in second else f"then: {second[-300:]}"
    else:
        ended = fork(with_file_limit(limit, call), folder=folder, limit=600)
        again = fork(cli("run", "tiny.toml"), folder=folder, limit=600)
        fault = "" if again.code == 0 else f"then: {last_line(again)}"
        fault = fault or ("" if tiny.digests(folder / "runs") == expected else "other results afterwards")
    done, hidden = json.loads(seen.read_text("utf-8")) if seen.is_file() else (0, ["?"])
    wrong = _told(ended, "") or fault or (f"left: {hidden}" if hidden else "")
    case = f"{limit} KiB of disk, {done} results made" if small else f"files of {limit:,} bytes, at {stage}"
    shutil.rmtree(folder, ignore_errors=True)
    return Outcome(case, not wrong, wrong)


def _both(call: Call) -> None:
    """The call, whose first part ends the program and whose second part is to follow all the same."""
    try:
        call()
    except SystemExit as end:
        if end.code not in (0, None, 2):
            raise


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
