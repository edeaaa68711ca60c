"""Inputs that fuzzing has saved: what once went wrong, and the smallest ones that reach most of every reader."""

from __future__ import annotations

import functools
import json
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from harness import Fault, Outcome, fork, last_line

sys.path.append(str(Path(__file__).parent / "fuzz"))

from fuzz_target import NASTY, Target, attempt, read_cases
from seeds import seeds_of, warm_up
from targets import all_targets


def _read_all(name: str, target: Target, cases: Mapping[str, bytes], scratch: Path) -> None:
    """Prints what each input came to, as soon as it is known."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        warm_up(name, target, Path(folder))
    for case, data in cases.items():
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            finding = attempt(target, data, Path(folder))
        told = finding and f"{finding.key}: {finding.told.strip().splitlines()[-1]}"
        print(json.dumps([case, told]), flush=True)


def tries(scratch: Path, fast: bool) -> Iterable[Outcome]:
    """Every reader in a process of its own, with all its inputs; in the fast part with four."""
    for name, target in all_targets().items():
        cases = {f"seed {n}": data for n, data in enumerate(seeds_of(name))} | NASTY | read_cases(name)
        cases = dict(list(cases.items())[:4]) if fast else cases
        ended = fork(functools.partial(_read_all, name, target, cases, scratch), folder=scratch)
        told = dict(json.loads(line) for line in ended.out.splitlines())
        for case in cases:
            lost = "" if case in told else f"the process ended: {last_line(ended)}"
            yield Outcome(f"{name}: {case}", case in told and told[case] is None, told.get(case) or lost)


def _readers(outcomes: Sequence[Outcome]) -> str:
    return f"{len({outcome.case.partition(':')[0] for outcome in outcomes})} readers"


FAULTS = (
    Fault("saved inputs of fuzzing", "only errors with a message come out, each within a second", tries, _readers),
)
