"""Coverage-guided fuzzing of every reader of users' files; `make fuzz` calls it.

    python tests/faults/fuzz/drive.py [--seconds 600] [--reader NAME]... [--keep]

Findings go to build/fuzz/found/READER, the inputs that reached something new to build/fuzz/corpus/READER, where the
next call goes on. Exit code 1 when anything was found. ``--keep`` saves a few kB of the inputs and every finding into
cases/.
"""

from __future__ import annotations

import argparse
import atexit
import importlib.util
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

from fuzz_target import Target, attempt, name_of, read_cases, write_cases
from targets import all_targets, find_target

PARTS = ("corpus", "found", "seeds", "log")
BUILD = Path(__file__).resolve().parents[3] / "build" / "fuzz"
LARGEST = 4096  # bytes of an input
MEMORY = 6 << 30  # bytes; what wants more is refused by the system
GRACE = 100  # seconds to end in, more than libFuzzer gives an input
KEPT = 3000  # bytes of inputs saved for a reader, or about as many


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=600, help="for each reader (600)")
    parser.add_argument("--reader", action="append", default=[], help="only this one; several")
    parser.add_argument("--keep", action="store_true", help="save some of the inputs, and findings")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        print(
            'fuzzing needs atheris, which is not installed: pip install "xrealign[fuzz]" (Linux and macOS)',
            file=sys.stderr,
        )
        return 2
    if chosen.worker:
        return _work(chosen.reader, chosen.seconds)
    targets = all_targets()
    unknown = sorted(set(chosen.reader) - set(targets))
    if unknown:
        print(f"no reader {', '.join(unknown)}; there are {', '.join(targets)}", file=sys.stderr)
        return 2
    readers = chosen.reader or list(targets)
    for name in readers:
        _lay_out(name, targets[name])
    # The worker imports the readers, watched by atheris; here they are as they always are, to confirm what it finds.
    command = [sys.executable, str(Path(__file__).resolve()), "--worker", "--seconds", str(chosen.seconds)]
    command += [word for name in readers for word in ("--reader", name)]
    failed = False
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONHASHSEED": "0"}
    ) as worker:
        assert worker.stdout is not None
        for line in worker.stdout:
            name, code, took = line.split()
            reached, findings = _confirmed(name, targets[name], int(code))
            print(f"{name:<18} {reached} in {took} s", *findings, sep="\n  ", flush=True)
            failed = failed or bool(findings)
            if chosen.keep:
                _keep(name)
    return int(failed or worker.returncode != 0)


def _lay_out(name: str, target: Target) -> None:
    """The folders of a reader, with its seeds and tokens."""
    from seeds import seeds_of  # imports the readers: not in the worker, which has them watched

    shutil.rmtree(BUILD / "found" / name, ignore_errors=True)
    for part in PARTS:
        (BUILD / part / ("" if part == "log" else name)).mkdir(parents=True, exist_ok=True)
    for data in (*seeds_of(name), *read_cases(name).values()):
        (BUILD / "seeds" / name / name_of(data)).write_bytes(data)
    tokens = "".join(f'"{_escaped(token)}"\n' for token in target.tokens)
    (BUILD / "seeds" / f"{name}.dict").write_text(tokens, "ascii")


def _confirmed(name: str, target: Target, code: int) -> tuple[str, list[str]]:
    """What the worker reached, and a line for each of its findings that is one here, too."""
    found = BUILD / "found" / name
    log = (BUILD / "log" / f"{name}.txt").read_text("utf-8", "replace")
    runs = re.findall(r"stat::number_of_executed_units: (\d+)", log) or re.findall(r"^#(\d+)", log, re.MULTILINE)
    places = re.findall(r"cov: (\d+) ft: (\d+)", log) or [("0", "0")]
    findings = []
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        _warm(name, target, Path(folder))
        for path in sorted(found.glob("*.input")):
            finding = attempt(target, path.read_bytes(), Path(folder))
            if finding is None:
                path.unlink()  # slow only because it was watched
                continue
            last = finding.told.strip().splitlines()[-1][:200]
            findings.append(f"{finding.key}: {last}  [{path.relative_to(BUILD)}, {path.stat().st_size} bytes]")
    findings += [f"ended hard: {path.relative_to(BUILD)}" for path in sorted(found.glob("hard-*"))]
    if "Done " not in log and not code:
        findings.append("the fuzzer did not end, and was killed")
    if code and not findings:
        findings.append(f"the fuzzer ended with {code}: {' | '.join(log.strip().splitlines()[-3:])[:400]}")
    count = int(runs[-1]) if runs else 0
    return f"{count:>9,} inputs, {places[-1][0]} places and {places[-1][1]} features reached", findings


def _warm(name: str, target: Target, folder: Path) -> None:
    """What a reader imports and builds when it is called for the first time is no fault of an input."""
    attempt(target, min((BUILD / "seeds" / name).iterdir()).read_bytes(), folder)


def _escaped(token: bytes) -> str:
    return "".join(f"\\x{byte:02x}" if not 32 <= byte < 127 or byte in b'"\\' else chr(byte) for byte in token)


def _work(readers: Sequence[str], seconds: int) -> int:
    """Imports the readers, watched, and fuzzes each in a fork; tells on stdout when one is done."""
    import atheris

    with atheris.instrument_imports(include=["xrealign", "tomllib"], enable_loader_override=False):
        targets = {name: find_target(name) for name in readers}
    import xrealign.language

    # Looking through 8,000 languages for the nearest name is slow when it is watched, and of no interest here.
    xrealign.language.nearest_languages = lambda text, count=3: []
    for name, target in targets.items():
        begun = time.monotonic()
        pid = os.fork()
        if not pid:
            try:
                _fuzz(name, target, seconds)
            finally:
                os._exit(1)
        print(name, _ended(pid, begun + seconds + GRACE), round(time.monotonic() - begun), flush=True)
    return 0


def _ended(pid: int, latest: float) -> int:
    """The exit code of a fork; one that is done and does not end (libraries with threads of their own) is killed."""
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() > latest:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return 0
        time.sleep(0.1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _fuzz(name: str, target: Target, seconds: int) -> None:
    """libFuzzer ends the process."""
    import atheris

    found = BUILD / "found" / name
    log = os.open(BUILD / "log" / f"{name}.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(log, stream)
    scratch = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    _warm(name, target, scratch)
    smallest: dict[str, int] = {}
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, hard))

    def one(data: bytes) -> None:
        finding = attempt(target, data, scratch)
        if finding is not None and len(data) < smallest.get(finding.key, 1 << 30):
            smallest[finding.key] = len(data)
            (found / f"{finding.key}.input").write_bytes(data)
            (found / f"{finding.key}.txt").write_text(finding.told, "utf-8", "backslashreplace")

    options = [
        f"-max_total_time={seconds}",
        f"-max_len={LARGEST}",
        "-timeout=60",
        "-rss_limit_mb=5000",
        "-malloc_limit_mb=0",
        "-report_slow_units=9999",
        "-print_final_stats=1",
        "-use_value_profile=1",
        "-reload=0",
        f"-artifact_prefix={found}/hard-",
        f"-dict={BUILD / 'seeds' / name}.dict",
    ]
    atheris.Setup([sys.argv[0], *options, str(BUILD / "corpus" / name), str(BUILD / "seeds" / name)], one)
    atheris.Fuzz()


def _keep(name: str) -> None:
    """Saves every finding, and of the inputs that reached something new some of every size."""
    kept = {case: data for case, data in read_cases(name).items() if not case.startswith("reached ")}
    for path in sorted((BUILD / "found" / name).glob("*.input")):
        kept.setdefault(f"found {path.stem}", path.read_bytes())
    reached = sorted(
        (path.read_bytes() for path in (BUILD / "corpus" / name).iterdir()), key=lambda data: (len(data), data)
    )
    reached = [data for data in reached if len(data) <= LARGEST // 4 and data not in kept.values()]
    every = max(1, -(-sum(map(len, reached)) // KEPT))
    kept |= {f"reached {name_of(data)}": data for data in reached[every // 2 :: every]}
    write_cases(name, kept)


if __name__ == "__main__":
    sys.exit(main())
