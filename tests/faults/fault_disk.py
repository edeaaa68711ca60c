"""Disks that are full, cannot be written or are not disks at all: nothing half is left, and the user is told where."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
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
    printing_to,
    with_file_limit,
)
from verbs import VERBS, Verb, arguments, finished

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


def _without_kept(verb: Verb, files: dict[str, str]) -> dict[str, str]:
    """Without what the command may keep to go on from."""
    return {name: digest for name, digest in files.items() if not (verb.keeps and name.startswith(verb.keeps))}


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
    after = _without_kept(verb, listing(folder))
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
            after = _without_kept(verb, listing(folder))
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


def stopped_while_writing(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """A keyboard interrupt, or the end of the program, at the moment when a file is whole but not yet in its place."""
    data = finished(scratch.parent / "finished")
    for number, verb in enumerate(VERBS):
        if fast and verb.name not in QUICK[:1]:
            continue
        folder = scratch / str(number)
        folder.mkdir()
        out = folder / verb.output

        end = (KeyboardInterrupt, SystemExit)[number % 2]
        ended = fork(_stopped(end, cli(*arguments(verb, data, out))), folder=data)
        left = sorted(_without_kept(verb, listing(folder)))
        good = not left and ended.code not in (0, -9) and "Traceback" not in ended.err
        yield Outcome(verb.name, good, f"{last_line(ended)}; left: {left}")


def _stopped(end: type[BaseException], call: Call) -> Call:
    def stopped() -> object:
        def stop(_handle: int) -> None:
            raise end(7)

        os.fsync = stop
        return call()

    return stopped


def stages_of_a_run(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """A run on a disk that fills up at every stage in turn: told, earlier results whole, goes on when there is room."""
    data = finished(scratch.parent / "finished")
    expected = tiny.digests(data / "runs")
    limits = _file_limits(data / "runs")
    for number, (stage, limit) in enumerate(limits[:: len(limits) // 2] if fast else limits):
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
        ended = fork(mounted(lambda: None, lambda: _both(call)), folder=folder)
        first, _, second = ended.err.partition("=== room again\n")
        ended = Ended(2 if "error: " in first else 0, ended.out, first, ended.seconds)
        fault = "other results" if "=== other" in second else "" if "report: " in second else f"then: {second[-300:]}"
    else:
        ended = fork(with_file_limit(limit, call), folder=folder)
        again = fork(cli("run", "tiny.toml"), folder=folder)
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


FILES = [verb for verb in VERBS if Path(verb.output).suffix not in ("", ".parquet", ".csv")]


def devices_and_pipes(scratch: Path, fast: bool) -> Iterable[Outcome]:
    """Outputs that are no files: they are written, and are still what they were."""
    data = finished(scratch.parent / "finished")
    chosen = [verb for verb in FILES if not fast or verb.name in QUICK]
    for number, verb in enumerate(chosen):
        folder = scratch / str(number)
        folder.mkdir()
        plain = folder / verb.output
        if fork(cli(*arguments(verb, data, plain)), folder=data).code:
            yield Outcome(verb.name, False, "it failed without any fault")
            continue
        expected = plain.read_bytes()
        for case, survived, detail in _unusual(verb, data, folder, expected):
            yield Outcome(f"{verb.name} to {case}", survived, detail)


def _unusual(verb: Verb, data: Path, folder: Path, expected: bytes) -> Iterator[tuple[str, bool, str]]:
    for name in ("-", "/dev/stdout"):
        ended = fork(cli(*arguments(verb, data, name)), folder=data)
        yield name, ended.code == 0 and ended.out.startswith(expected.decode("utf-8")), last_line(ended)
    null = Path("/dev/null").stat()
    ended = fork(cli(*arguments(verb, data, "/dev/null")), folder=data)
    yield "/dev/null", ended.code == 0 and Path("/dev/null").stat().st_rdev == null.st_rdev, last_line(ended)
    ended = fork(cli(*arguments(verb, data, "/dev/full")), folder=data)
    yield "/dev/full", traceback_free(ended) and "/dev/full: No space left on device" in ended.err, last_line(ended)
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    ended = fork(cli(*arguments(verb, data, pipe)), folder=data)
    got = os.read(reader, len(expected) + 1) if ended.code == 0 else b""
    os.close(reader)
    yield "a pipe", (got == expected or len(expected) > 60_000) and pipe.is_fifo(), last_line(ended)
    link, target = folder / "link", folder / "behind"
    link.symlink_to(target)
    ended = fork(cli(*arguments(verb, data, link)), folder=data)
    yield "a link", link.is_symlink() and target.read_bytes() == expected, last_line(ended)


PRINTING = (
    ("select", "--candidates", "deu,fra,swh,tur", "-k", "2"),
    ("report", "table", "runs/tiny/scores.parquet"),
    ("compare", "runs/tiny/scores.parquet", "--format", "html"),
    ("show", "tiny"),
    ("check", "tiny.toml"),
)


def printing(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """What is printed on a full disk is told; a reader that goes away (``| head``) ends the command quietly."""
    data = finished(scratch.parent / "finished")
    for words in PRINTING[:2] if fast else PRINTING:
        ended = fork(printing_to("/dev/full", cli(*words)), folder=data)
        told = traceback_free(ended) and "standard output: No space left on device" in ended.err
        yield Outcome(f"{words[0]} > /dev/full", told, last_line(ended))
        ended = fork(_to_nobody(cli(*words)), folder=data)
        quiet = ended.code in (1, -signal.SIGPIPE) and not re.search("error|Traceback|Exception", ended.err)
        yield Outcome(f"{words[0]} | head", quiet, last_line(ended))


def _to_nobody(call: Call) -> Call:
    def broken() -> object:
        read, write = os.pipe()
        os.close(read)
        os.dup2(write, 1)
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        result = call()
        sys.stdout.flush()  # as at the interpreter's end
        return result

    return broken


WHOLE = "told with the place and the room; the old file as it was; nothing half is left"
FAULTS = (
    Fault("files too long for the limit, every verb", WHOLE, full_for_verbs),
    Fault("full disk, every verb", WHOLE, small_disk_for_verbs),
    Fault("full disk at every stage of a run", "told; whole results stay; with room again the same bits",
          stages_of_a_run),
    Fault("folder that cannot be written, every verb", "told with the place; nothing is left", read_only_for_verbs),
    Fault("stopped while writing, every verb", "nothing half is left", stopped_while_writing),
    Fault("output to a device, a pipe, a link", "written as it is, and still there", devices_and_pipes),
    Fault("standard output full or without a reader", "told in a line; without a reader nothing is said", printing),
)  # fmt: skip
