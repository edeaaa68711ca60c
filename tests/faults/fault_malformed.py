"""Malformed files: every named case ends with exit code 2 and a message that has the place, the value and what was
expected; nothing half-written is left."""

from __future__ import annotations

import hashlib
import shutil
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import tiny
from cases_tasks import json_forms, own, tables, tagged
from cases_text import bitexts, choosing, links, numbers, settings, skipping
from cases_text.case import Case, lay_out
from harness import Ended, Fault, Outcome, cli, fork, last_line, processor_time, traceback_free

LONGEST_MESSAGE = 1000
MOST_LINES = 25
LONGEST_WAIT = 120
"""Seconds after which a child hangs; a busy machine may need many for little."""
GROUPS = {
    "malformed sentence pairs": bitexts.CASES,
    "malformed links and dictionaries": links.CASES,
    "malformed lists, matrices and tables": choosing.CASES,
    "malformed configurations": settings.CASES,
    "malformed scores": numbers.CASES,
    "malformed words with tags": tagged.CASES,
    "malformed tables": tables.CASES,
    "malformed JSON": json_forms.CASES,
    "malformed tasks of one's own": own.RUNS,
    "malformed test files": own.TESTS,
    "malformed data sets": own.FOLDERS,
    "faults that are to be skipped": skipping.CASES,
}


def try_case(case: Case, scratch: Path, experiment: Callable[[], Path]) -> Outcome:
    """Lays a case out, runs its command and looks at how it ended."""
    folder = scratch / case.name
    folder.mkdir()
    if case.tiny:
        shutil.copytree(experiment(), folder, dirs_exist_ok=True)
    lay_out(case.files, folder)
    before = _listing(folder)
    call = cli(*case.command.split(), *case.words)
    used = processor_time()
    ended = fork(call, folder=folder, limit=LONGEST_WAIT)
    used = processor_time() - used
    problems = _problems(case, ended)
    problems += [f"it took {used:.0f} s of processor time"] if used > case.seconds else []
    if not case.works:
        problems += [f"{name} was left behind" for name in sorted(_listing(folder) ^ before)]
    shutil.rmtree(folder)
    return Outcome(case.name, not problems, f"{'; '.join(problems)}; {last_line(ended)}" if problems else "")


def _problems(case: Case, ended: Ended) -> list[str]:
    if case.works:
        printed = ended.out + ended.err
        wrong = [] if ended.code == 0 else [f"exit code {ended.code}"]
        return wrong + [f"{text!r} is not said" for text in case.told if text not in printed]
    lists = case.command.startswith("tasks check")  # what is wrong with a file is what it prints, no error of its own
    errors = _errors(ended.err, lists)
    told = [line for error in errors for line in error.splitlines()]
    good = ended.code == 2 and "Traceback" not in ended.err if lists else traceback_free(ended)
    problems = [] if good else ["it did not end with exit code 2 and an error"]
    problems += [] if _said(case, errors) else [f"no error says all of {case.told}"]
    problems += [f"a line of {len(line)} characters" for line in told if len(line) > LONGEST_MESSAGE]
    problems += [f"{character!r} is printed" for line in told for character in line if _is_control(character)]
    problems += [f"{len(told)} lines"] if len(told) > MOST_LINES else []
    return problems


def _errors(printed: str, lists: bool) -> list[str]:
    """Each error with the lines that belong to it; of a list of faults, each fault with those below it."""
    errors: list[str] = []
    for line in printed.splitlines():
        begins = line.startswith("error: ") or (lists and not line.startswith(" "))
        if begins:
            errors.append(line.removeprefix("error: "))
        elif errors:
            errors[-1] += f"\n{line}"
    return errors


def _said(case: Case, errors: Sequence[str]) -> bool:
    """Whether one error says everything; where a case says so, they may say it together."""
    one = ["\n".join(errors)] if case.together else errors
    return any(all(text in error for text in case.told) for error in one)


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs")


def _listing(folder: Path) -> set[str]:
    """Every file with a digest of what it holds. Results of stages that were finished may stay, and logs."""
    found = set()
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        made = name.startswith("runs") and (not path.is_file() or (path.parent / "manifest.json").exists())
        if made or (name.startswith("runs/.work/") and path.suffix in (".lock", ".jsonl")):
            continue
        regular = path.is_file() and not path.is_symlink()
        found.add(f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()[:8]}" if regular else name)
    return found


def _tries(cases: Sequence[Case]) -> Callable[[Path, bool], Iterable[Outcome]]:
    def tries(scratch: Path, fast: bool) -> Iterable[Outcome]:
        laid: list[Path] = []

        def experiment() -> Path:
            if not laid:
                laid.append(scratch / "experiment")
                laid[0].mkdir()
                tiny.config(laid[0], steps=1)
            return laid[0]

        for case in cases:
            if case.fast or not fast:
                yield try_case(case, scratch, experiment)

    return tries


PROMISE = "file:line, value, expectation; strict by default; lenient only up to a cap; nothing half-written"
FAULTS = tuple(Fault(name, PROMISE, _tries(cases)) for name, cases in GROUPS.items())
