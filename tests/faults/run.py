"""The fault suite: breaks xrealign in every way that the list of promises names, and prints what survived.

    python tests/faults/run.py [--fast] [--only WORD]... [--json FILE]

Exit code 1 when anything did not survive. `make faults` runs all of it; `make test` its fast part.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # forked children of a process with several threads of OpenMP would hang
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import argparse
import importlib
import json
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from harness import Fault, Outcome, import_everything  # noqa: E402 - after the settings above

MODULES = (
    "fault_kills",
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fast", action="store_true", help="a few tries of each fault, about a minute in all")
    parser.add_argument(
        "--only", action="append", metavar="WORD", help="only faults with this word in module or name"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the outcomes to a file")
    chosen = parser.parse_args()
    import_everything()
    rows, failed = [], 0
    with tempfile.TemporaryDirectory(prefix="xrealign-faults-") as scratch:
        os.environ["XREALIGN_CACHE"] = os.environ.get("XREALIGN_CACHE") or str(Path(scratch) / "cache")
        for module, fault in _faults(chosen.only):
            folder = Path(scratch) / f"{module}-{len(rows)}"
            folder.mkdir()
            begun = time.monotonic()
            outcomes = list(fault.tries(folder, chosen.fast))
            rows.append((fault, outcomes, time.monotonic() - begun))
            for outcome in outcomes:
                if not outcome.survived:
                    failed += 1
                    print(f"did not survive: {fault.name}: {outcome.case}: {outcome.detail}", flush=True)
            print(f"{fault.name}: {_survived(outcomes)} in {rows[-1][2]:.0f} s", file=sys.stderr, flush=True)
    print(_table(rows))
    if chosen.json:
        found = [
            {"fault": fault.name, "promise": fault.promise, "seconds": seconds, "outcomes": [vars(o) for o in outcomes]}
            for fault, outcomes, seconds in rows
        ]
        chosen.json.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", "utf-8")
    return 1 if failed else 0


def _faults(words: list[str] | None) -> list[tuple[str, Fault]]:
    found = [(name, fault) for name in MODULES for fault in importlib.import_module(name).FAULTS]
    return [(name, fault) for name, fault in found if not words or any(w in f"{name} {fault.name}" for w in words)]


def _survived(outcomes: list[Outcome]) -> str:
    return f"{sum(outcome.survived for outcome in outcomes)} of {len(outcomes)}"


def _table(rows: list[tuple[Fault, list[Outcome], float]]) -> str:
    lines = ["", "| fault | tries | survived | figure | seconds |", "|---|--:|--:|---|--:|"]
    for fault, outcomes, seconds in rows:
        figure = fault.figure(outcomes) if fault.figure else ""
        alive = sum(outcome.survived for outcome in outcomes)
        lines.append(f"| {fault.name} | {len(outcomes)} | {alive} | {figure} | {seconds:.0f} |")
    total = [outcome for _, outcomes, _ in rows for outcome in outcomes]
    alive = sum(outcome.survived for outcome in total)
    lines.append(f"| all | {len(total)} | {alive} |  | {sum(seconds for *_, seconds in rows):.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
