"""Outputs that are no files, or whose writing is interrupted; standard output that is full or that nobody reads."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from harness import Child, Fault, Outcome, cli, fork, last_line, start, traceback_free
from surroundings import Call, listing, printing_to
from verbs import VERBS, Verb, arguments, finished, without_kept

QUICK = ("align", "report table", "compare --format html")


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
        left = sorted(without_kept(verb, listing(folder)))
        good = not left and ended.code not in (0, -9) and "Traceback" not in ended.err
        yield Outcome(verb.name, good, f"{last_line(ended)}; left: {left}")


def _stopped(end: type[BaseException], call: Call) -> Call:
    def stopped() -> object:
        def stop(_handle: int) -> None:
            raise end(7)

        os.fsync = stop
        return call()

    return stopped


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
    child = start(cli(*arguments(verb, data, pipe)), folder=data)
    got = _read_while(child, reader)
    ended = child.wait()
    os.close(reader)
    detail = f"{last_line(ended)}; {len(got):,} bytes read of {len(expected):,}"
    yield "a pipe", ended.code == 0 and got == expected and pipe.is_fifo(), detail
    link, target = folder / "link", folder / "behind"
    link.symlink_to(target)
    ended = fork(cli(*arguments(verb, data, link)), folder=data)
    same = ended.code == 0 and target.is_file() and target.read_bytes() == expected
    yield "a link", same and link.is_symlink(), last_line(ended)


def _read_while(child: Child, reader: int, limit: float = 600) -> bytes:
    """All that comes through a pipe that is read without waiting, until the child has ended."""
    parts, end = [], time.monotonic() + limit
    while True:
        ended = not child.running() or time.monotonic() > end
        with suppress(BlockingIOError):  # somebody has it open, and has written nothing yet
            while part := os.read(reader, 1 << 16):
                parts.append(part)
        if ended:
            return b"".join(parts)
        time.sleep(0.002)


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


FAULTS = (
    Fault("stopped while writing, every verb", "nothing half is left", stopped_while_writing),
    Fault("output to a device, a pipe, a link", "written as it is, and still there", devices_and_pipes),
    Fault("standard output full or without a reader", "told in a line; without a reader nothing is said", printing),
)
