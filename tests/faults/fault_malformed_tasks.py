"""Malformed files of labelled data: every case ends with exit code 2 and says file, line, value and expectation."""

from __future__ import annotations

import shutil
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import tiny
from cases_tasks import json_forms, own, tables, tagged
from cases_text.case import Case, lay_out
from harness import Ended, Fault, Outcome, cli, fork, last_line

GROUPS = {
    "malformed words with tags": tagged.CASES,
    "malformed tables": tables.CASES,
    "malformed JSON": json_forms.CASES,
    "malformed tasks of one's own": own.RUNS,
    "malformed test files": own.TESTS,
    "malformed data sets": own.FOLDERS,
}
PROMISE = "file:line, value, expectation; strict by default; lenient only up to a cap"
LONGEST_LINE, MOST_LINES = 1000, 25


def try_case(case: Case, scratch: Path, experiment: Callable[[], Path]) -> Outcome:
    """Lays a case out, runs its command and looks at what it said."""
    folder = scratch / case.name
    folder.mkdir()
    if case.tiny:
        shutil.copytree(experiment(), folder, dirs_exist_ok=True)
    lay_out(case.files, folder)
    ended = fork(cli(*case.command.split(), *case.words), folder=folder, limit=case.seconds)
    shutil.rmtree(folder)
    problems = _problems(case, ended)
    return Outcome(case.name, not problems, f"{'; '.join(problems)}; {last_line(ended)}" if problems else "")


def _problems(case: Case, ended: Ended) -> list[str]:
    lines = ended.err.splitlines()
    problems = [f"{text!r} is not said" for text in case.told if not any(text in line for line in lines)]
    if ended.code != (0 if case.works else 2) or "Traceback" in ended.err:
        problems.append(f"exit code {ended.code}")
    problems += [f"a line of {len(line)} characters" for line in lines if len(line) > LONGEST_LINE]
    hidden = {c for line in lines for c in line if unicodedata.category(c) in ("Cc", "Cf", "Cs")}
    problems += [f"{sorted(hidden)} printed"] if hidden else []
    return problems + ([f"{len(lines)} lines"] if len(lines) > MOST_LINES else [])


def _tries(cases: Sequence[Case]) -> Callable[[Path, bool], Iterable[Outcome]]:
    def tries(scratch: Path, fast: bool) -> Iterable[Outcome]:
        laid: list[Path] = []

        def experiment() -> Path:
            if not laid:
                laid.append(scratch / "experiment")
                laid[0].mkdir()
                tiny.config(laid[0], steps=1)
            return laid[0]

        if cases is own.FOLDERS and not fast:
            import datasets  # noqa: F401 - once, and not in every fork

        for case in cases:
            if case.fast or not fast:
                yield try_case(case, scratch, experiment)

    return tries


FAULTS = tuple(Fault(name, PROMISE, _tries(cases)) for name, cases in GROUPS.items())
