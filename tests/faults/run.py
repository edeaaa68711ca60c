"""The fault suite: breaks xrealign in every way that the list of promises names, and prints what survived.

    python tests/faults/run.py [--fast] [--only WORD]... [--jobs N] [--json FILE]

Exit code 1 when anything did not survive. `make faults` runs all of it; `make test` its fast part.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # forked children of a process with several threads of OpenMP would hang
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import argparse
import importlib
import json
import multiprocessing
import sys
import tempfile
import time
import traceback
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from harness import Fault, Outcome, import_everything, processor_time  # noqa: E402 - after the settings above

MODULES = (  # those that take longest come first
    "fault_kills",
    "fault_signals",
    "fault_damage",
    "fault_builders",
    "fault_memory",
    "fault_disk",
    "fault_output",
    "fault_markup",
    "fault_surroundings",
    "fault_numbers",
    "fault_orders",
    "fault_caches",
    "fault_malformed",
    "fault_fuzz",
    "fault_payloads",
    "fault_payload_data",
    "fault_payload_config",
    "fault_archives",
    "fault_servers",
    "fault_names",
    "fault_offline",
)
LIMIT = 600  # seconds for all of it, on two cores
Row = tuple[str, int, list[Outcome], float]  # module, place of the fault in it, outcomes, seconds of processor time


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fast", action="store_true", help="a few tries of each fault, about a minute in all")
    parser.add_argument("--only", action="append", metavar="WORD", help="only faults with this word in module or name")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="faults at a time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the outcomes to a file")
    chosen = parser.parse_args()
    import_everything()
    tasks = [
        (module, place)
        for module in MODULES
        for place, fault in enumerate(_faults(module))
        if not chosen.only or any(word in f"{module} {fault.name}" for word in chosen.only)
    ]
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="xrealign-faults-") as scratch:
        os.environ["XREALIGN_CACHE"] = os.environ.get("XREALIGN_CACHE") or str(Path(scratch) / "cache")
        try_one = partial(_try_fault, chosen.fast, Path(scratch))
        if chosen.jobs == 1:
            rows = [try_one(task) for task in tasks]
        else:  # processes that are forked, so that nothing is imported again
            context = multiprocessing.get_context("fork")
            with ProcessPoolExecutor(chosen.jobs, mp_context=context) as pool:  # one that dies is an error, and no wait
                rows = list(pool.map(try_one, tasks, chunksize=1))
    print(_table(rows, time.monotonic() - begun))
    if chosen.json:
        chosen.json.write_text(json.dumps(_plain(rows), ensure_ascii=False, indent=1) + "\n", "utf-8")
    whole = not (chosen.fast or chosen.only)
    if not rows or (whole and not all(outcomes for _, _, outcomes, _ in rows)):
        print("a fault without a single try: nothing was shown", file=sys.stderr)
        return 1
    if whole and time.monotonic() - begun > LIMIT:
        print(f"the whole took more than the {LIMIT} s that it is meant to take", file=sys.stderr)
    return int(not all(outcome.survived for *_, outcomes, _ in rows for outcome in outcomes))


def _faults(module: str) -> tuple[Fault, ...]:
    return importlib.import_module(module).FAULTS


def _try_fault(fast: bool, scratch: Path, task: tuple[str, int]) -> Row:
    module, place = task
    fault = _faults(module)[place]
    folder = scratch / f"{os.getpid()}" / f"{module}-{place}"
    folder.mkdir(parents=True)
    begun = processor_time()
    outcomes = []
    try:
        outcomes.extend(fault.tries(folder, fast))
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 - SystemExit, too: the suite goes on, and the row has not survived
        outcomes.append(Outcome("the try itself", False, traceback.format_exc()[-2000:]))
    seconds = processor_time() - begun
    lines = [f"did not survive: {fault.name}: {one.case}: {one.detail}\n" for one in outcomes if not one.survived]
    sys.stderr.write("".join(lines) + f"{fault.name}: {_survived(outcomes)}, {seconds:.1f} s of processor time\n")
    sys.stderr.flush()
    return module, place, outcomes, seconds


def _survived(outcomes: list[Outcome]) -> str:
    tried = [outcome for outcome in outcomes if outcome.tried]
    left = "".join(f"; not tried: {one.case}: {one.detail}" for one in outcomes if not one.tried)
    return f"{sum(outcome.survived for outcome in tried)} of {len(tried)}{left}"


def _table(rows: list[Row], seconds: float) -> str:
    lines = ["", "| fault | promise | tries | survived | figure |", "|---|---|--:|--:|---|"]
    for module, place, outcomes, _ in rows:
        fault = _faults(module)[place]
        figure = fault.figure(outcomes) if fault.figure else ""
        tried = [outcome for outcome in outcomes if outcome.tried]
        if len(tried) < len(outcomes):
            figure = "; ".join(filter(None, [figure, f"{len(outcomes) - len(tried)} could not be tried here"]))
        alive = sum(outcome.survived for outcome in tried)
        lines.append(f"| {fault.name} | {fault.promise} | {len(tried)} | {alive} | {figure} |")
    every = [outcome for _, _, outcomes, _ in rows for outcome in outcomes if outcome.tried]
    alive = sum(outcome.survived for outcome in every)
    lines.append(f"| all | | {len(every)} | {alive} | {seconds:.0f} s |")
    return "\n".join(lines)


def _plain(rows: list[Row]) -> list[dict[str, object]]:
    return [
        {
            "module": module,
            "fault": _faults(module)[place].name,
            "promise": _faults(module)[place].promise,
            "seconds": seconds,
            "outcomes": [vars(outcome) for outcome in outcomes],
        }
        for module, place, outcomes, seconds in rows
    ]


if __name__ == "__main__":
    sys.exit(main())
