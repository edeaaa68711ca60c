"""Surroundings that nobody chose: no home, no temporary folder, closed streams, other locales, zones and clocks."""

from __future__ import annotations

import json
import locale
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import tiny
from harness import Ended, Fault, Outcome, cli, fork, last_line, not_tried, traceback_free
from surroundings import (
    Call,
    as_nobody,
    can_mount,
    closed,
    jumping_clock,
    listing,
    mount_read_only,
    mount_small,
    mounted,
    other_clocks,
    turkish_locale,
)
from verbs import finished

import xrealign
from xrealign.report.figure_style import FORMATS

ALIGN = ("align", "words.tsv", "--aligner", "ibm1", "--symmetrization", "intersection", "-o")
SELECT = ("select", "--candidates", "deu,fra,swh,tur", "-k", "2")
YEAR = 366 * 86400.0
NO_MOUNT, NO_TURKISH = "this process may not mount", "no Turkish locale can be made (localedef)"


def _copy(data: Path, folder: Path, runs: bool = False) -> Path:
    """The experiment in a folder of its own, to be run there."""
    return shutil.copytree(data, folder, ignore=None if runs else shutil.ignore_patterns("runs"))


def _line(ended: Ended, *words: str) -> tuple[bool, str]:
    """Whether it ended with one line of error with these words in it."""
    told = [line for line in ended.err.splitlines() if line.startswith("error: ")]
    return traceback_free(ended) and len(told) == 1 and all(word in told[0] for word in words), last_line(ended)


def folders(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """Homes, caches and temporary folders that are missing, are files or cannot be written."""
    data = finished(scratch.parent / "finished")
    out = scratch / "out"
    out.mkdir(mode=0o777)
    out.chmod(0o777)
    none: dict[str, str | None] = {"XREALIGN_CACHE": None, "XDG_CACHE_HOME": None}
    home = scratch / "not" / "there"
    ended = fork(cli(*ALIGN, out / "1.txt"), folder=data, env={**none, "HOME": str(home)})
    made = (home / ".cache" / "xrealign").is_dir() or sys.platform == "darwin"
    yield Outcome("home that is not there", ended.code == 0 and made, last_line(ended))
    if os.getuid() == 0:
        work = _copy(data, scratch / "nobody")
        work.chmod(0o777)
        for folder in (*scratch.parents[:2], scratch):
            folder.chmod(0o755)
        ended = fork(as_nobody(cli(*ALIGN, out / "2.txt"), 61234), folder=work, env={**none, "HOME": None})
        good, said = _line(ended, "XREALIGN_CACHE")
        yield Outcome("no home at all", good and not (work / "~").exists(), said)
    else:  # the home of a user that is in no list; becoming one takes root
        yield not_tried("no home at all", "this is not root")
    (scratch / "file").write_text("x", "utf-8")
    ended = fork(cli(*ALIGN, out / "3.txt"), folder=data, env={"XREALIGN_CACHE": str(scratch / "file")})
    yield Outcome("cache that is a file", *_line(ended, str(scratch / "file")))
    ended = fork(cli("doctor"), folder=data, env={"XREALIGN_CACHE": "~nobody-of-this-name/x"})
    yield Outcome("cache in the home of nobody", *_line(ended, "XREALIGN_CACHE"))
    if fast:
        return
    if not can_mount():
        yield not_tried("caches and runs that cannot be written", NO_MOUNT)
        return
    cache = scratch / "cache"
    cache.mkdir()
    env = {"XREALIGN_CACHE": str(cache)}
    ended = fork(mounted(lambda: mount_read_only(cache), cli(*ALIGN, out / "4.txt")), folder=data, env=env)
    yield Outcome("cache that cannot be written", *_line(ended, str(cache), "Read-only file system"))
    fork(cli(*ALIGN, out / "5.txt"), folder=data, env=env)
    ended = fork(mounted(lambda: mount_read_only(cache), cli(*ALIGN, out / "6.txt")), folder=data, env=env)
    same = ended.code == 0 and (out / "5.txt").read_bytes() == (out / "6.txt").read_bytes()
    yield Outcome("cache that is filled and cannot be written", same, last_line(ended))
    work = _copy(data, scratch / "read-only", runs=True)
    kept = listing(work / "runs")
    seal = mounted(lambda: mount_read_only(work), _inside(work, cli("run", "tiny.toml", "--set", "seed=3")))
    yield Outcome("runs that cannot be written", *_line(fork(seal, folder=scratch, limit=60), "Read-only file system"))
    ended = fork(mounted(lambda: mount_read_only(work), _inside(work, cli("show", "tiny"))), folder=scratch)
    yield Outcome("show, where nothing can be written", ended.code == 0, last_line(ended))
    yield Outcome("what was there is as it was", listing(work / "runs") == kept)


def _inside(folder: Path, call: Call) -> Call:
    def there() -> object:
        os.chdir(folder)
        return call()

    return there


def nothing_temporary(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """A whole run without a temporary folder and without shared memory: it needs neither."""
    data = finished(scratch.parent / "finished")
    expected = tiny.digests(data / "runs")
    if fast:
        return

    def no_folder(*_: object) -> str:
        raise FileNotFoundError("no usable temporary directory")

    def without() -> object:
        tempfile.tempdir, tempfile._get_default_tempdir = None, no_folder
        return cli("run", "tiny.toml")()

    work = _copy(data, scratch / "temporary")
    ended = fork(without, folder=work, env={"TMPDIR": "/nowhere"}, limit=600)
    yield Outcome("no temporary folder", ended.code == 0 and tiny.digests(work / "runs") == expected, last_line(ended))
    if not can_mount() or not Path("/dev/shm").is_dir():
        yield not_tried("no shared memory", NO_MOUNT if Path("/dev/shm").is_dir() else "there is no /dev/shm")
    else:
        work = _copy(data, scratch / "shared-memory")

        def no_memory() -> None:
            mount_small(Path("/dev/shm"), 0)
            mount_read_only(Path("/dev/shm"))

        ended = fork(mounted(no_memory, cli("run", "tiny.toml")), folder=work, limit=600)
        same = ended.code == 0 and tiny.digests(work / "runs") == expected
        yield Outcome("no shared memory", same, last_line(ended))


def streams(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """Standard streams that the caller has closed, and a working folder that is gone."""
    data = finished(scratch.parent / "finished")
    expected = fork(cli(*ALIGN, scratch / "links.txt"), folder=data)
    links = (scratch / "links.txt").read_bytes() if expected.code == 0 else b""
    for number, name in enumerate(("input", "output", "error")):
        out = scratch / f"{number}.txt"
        ended = fork(closed(number, cli(*ALIGN, out)), folder=data)
        same = ended.code == 0 and out.read_bytes() == links and not ended.out
        yield Outcome(f"standard {name} closed", same, last_line(ended))
        ended = fork(closed(number, cli(*SELECT)), folder=data)
        yield Outcome(f"standard {name} closed, select", ended.code == 0, last_line(ended))
    ended = fork(closed(2, cli("align", "none.tsv", "-o", scratch / "none.txt")), folder=data)
    yield Outcome("an error with standard error closed", ended.code == 2 and not ended.out, ended.out)
    for words, code in ((SELECT, 0), (("run", "tiny.toml"), 2), (("align", "words.tsv", "-o", "links.txt"), 2)):
        ended = fork(_folder_gone(scratch / "gone", cli(*words)), folder=scratch)
        good = ended.code == code and (code == 0 or traceback_free(ended))
        yield Outcome(f"working folder gone, {words[0]}", good, last_line(ended))


def _folder_gone(folder: Path, call: Call) -> Call:
    def gone() -> object:
        folder.mkdir()
        os.chdir(folder)
        folder.rmdir()
        return call()

    return gone


TIMES = ("run.json", "events.jsonl")  # say when, and how long it took
PAGES = ("report.html", "report.md", "encoder/README.md")  # made of report-input.json and the scores
FACTS = ("seconds", "created", "disk")  # of report-input.json: times, and sizes with the manifests that hold times


def _results(work: Path) -> dict[str, str]:
    """Digests of all results and of what people see of them, without times and the name of the folder."""
    run = work / "runs" / "tiny"
    shown = {f"tiny/{name}": digest for name, digest in listing(run).items() if name not in TIMES + PAGES}
    shown["tiny/config.toml"] = (run / "config.toml").read_text("utf-8").replace(str(work), "FOLDER")
    told = json.loads((run / "report-input.json").read_text("utf-8"))
    told["context"] = {name: value for name, value in told["context"].items() if name not in FACTS}
    shown["tiny/report-input.json"] = json.dumps(told, ensure_ascii=False).replace(str(work), "FOLDER")
    return tiny.digests(work / "runs") | shown


def same_bits(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """A whole run in another locale, zone, time, folder and with other rights: the same bits."""
    if fast:
        return
    data = finished(scratch.parent / "finished-with-figures", FORMATS)
    expected = _results(data)
    work = _copy(data, scratch / "başka bir klasör İı")
    turkish = turkish_locale(scratch)
    everything = jumping_clock(YEAR, _elsewhere(cli("run", "tiny.toml")))
    ended = fork(everything, folder=work, env={**(turkish or {"LC_ALL": "C"}), "TZ": "Pacific/Kiritimati"}, limit=600)
    # Those that see no Turkish locale leave it out of the name, and say so below.
    yield _compared(f"clock, zone, mask and folder at once, {'Turkish' if turkish else 'C'}", ended, work, expected)
    yield _jumped(work)
    for case, env in (
        ("LC_ALL=C, ASCII streams", {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0",
                                     "PYTHONIOENCODING": "ascii", "PYTHONHASHSEED": "1", "TZ": "Pacific/Pago_Pago"}),
        ("Turkish, another seed of hashes" if turkish else "another seed of hashes",
         {**(turkish or {}), "PYTHONUTF8": "0", "PYTHONHASHSEED": "2"}),
    ):  # fmt: skip
        work = _copy(data, scratch / case.replace(" ", "-"))
        yield _compared(case, _anew(work, env), work, expected)
    if not turkish:
        yield not_tried("Turkish", NO_TURKISH)


def _jumped(work: Path) -> Outcome:
    """Whether the clock did jump, in what was noted and at files, and there is no other that is looked at."""
    now, events = time.time(), work / "runs" / ".work" / "tiny.events.jsonl"
    times = [json.loads(line)["time"] for line in events.read_text("utf-8").splitlines()]
    times += [path.stat().st_mtime for path in (work / "runs").glob("*/*/manifest.json")]
    ahead = sum(when > now + YEAR / 2 for when in times)
    others = other_clocks(Path(xrealign.__file__).parent)
    detail = f"{ahead} of {len(times)} times a year ahead{'; ' if others else ''}{', '.join(others)}"
    return Outcome("every clock that is looked at jumps", 0 < ahead < len(times) and not others, detail)


def _elsewhere(call: Call) -> Call:
    """In the locale and the zone of the environment, also for numbers, and with a mask that hides files from others."""

    def there() -> object:
        locale.setlocale(locale.LC_ALL, "")
        time.tzset()
        os.umask(0o077)
        return call()

    return there


def _anew(work: Path, env: dict[str, str | None]) -> Ended:
    """A new interpreter: the encoding of names and the seed of hashes are settled when it starts."""
    begun = time.monotonic()
    given = {**os.environ, **{name: value for name, value in env.items() if value is not None}}
    done = subprocess.run(
        [sys.executable, "-m", "xrealign", "run", "tiny.toml"],
        cwd=work, env=given, capture_output=True, check=False, timeout=600,
    )  # fmt: skip
    return Ended(done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8"), time.monotonic() - begun)


def _compared(case: str, ended: Ended, work: Path, expected: dict[str, str]) -> Outcome:
    if ended.code:
        return Outcome(case, False, last_line(ended))
    found = _results(work)
    other = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    return Outcome(case, not other, f"differ: {other}" if other else f"{len(found)} files")


FAULTS = (
    Fault("homes and caches missing, files, not to be written", "works, or is told in one line", folders),
    Fault("no temporary folder, no shared memory", "neither is needed", nothing_temporary),
    Fault("streams closed, working folder gone", "works, or is told in one line", streams),
    Fault("locale, zone, clock, mask, folder, hashes", "the same bits", same_bits),
)
