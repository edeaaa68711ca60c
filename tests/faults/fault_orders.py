"""Another number of processes, at the start or on resuming, of sweep jobs or of tokenizer threads: the same order."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import tiny
import torch
from harness import Child, Ended, Fault, Outcome, cli, fork, last_line, start
from safetensors.torch import load_file

import xrealign.train.loop as loop
import xrealign.train.streams as streams
from xrealign.sweep.local import THREAD_SETTINGS
from xrealign.train.streams import plan_steps, rank_plan, whole_step

WORLDS = (1, 2, 3, 4, 7)
BATCH = 84  # which all of them divide


def shares(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """Plans drawn at random, and another number of processes after any number of steps."""
    for seed in range(10 if fast else 60):
        draw = np.random.default_rng(seed)
        sizes = draw.integers(1, 300, draw.integers(1, 6))
        groups = np.repeat(np.arange(len(sizes)), sizes)
        lengths = draw.integers(3, 120, len(groups))
        steps = int(draw.integers(2, 50))

        def plan(groups=groups, lengths=lengths, steps=steps, seed=seed):
            return plan_steps(groups.tolist(), lengths, steps, BATCH, seed, "realign")

        whole, seen, turns = plan(), [], []
        while len(seen) < steps:
            world, last = int(draw.choice(WORLDS)), min(steps, len(seen) + int(draw.integers(1, 9)))
            turns.append(world)
            # Every process draws the plan anew, as after a restart, and takes up where the checkpoint is.
            parts = [rank_plan(plan(), rank, world)[len(seen) : last] for rank in range(world)]
            seen += [whole_step([part[step] for part in parts]) for step in range(last - len(seen))]
        same = bool((np.stack(seen) == whole).all())
        times = Counter(np.stack(seen).reshape(-1).tolist())
        even = all(_spread(times, np.flatnonzero(groups == group)) <= 1 for group in range(len(sizes)))
        yield Outcome(f"seed {seed}, {steps} steps, worlds {turns}", same and even, "" if same else "another order")


def _spread(times: Counter[int], members: Sequence[int]) -> int:
    """How much more often the most drawn of some items was drawn than the least."""
    counts = [times[int(item)] for item in members]
    return max(counts) - min(counts)


def resumes(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """Real processes (gloo): one number of them until a checkpoint, killed, and another number until the end."""
    tiny.config(scratch)
    path = scratch / "encoder" / "config.json"
    raw = json.loads(path.read_text("utf-8"))  # what dropout draws depends on the number of processes
    path.write_text(json.dumps(raw | {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}), "utf-8")
    tries = [(2, 1, "true"), (1, 2, "true"), (2, 3, "true"), (3, 1, "true"), (1, 2, "false"), (2, 3, "false")]
    for gather in ("true", "false"):
        options = ("--set", "realign.batch_size=6", "--set", f"realign.gather={gather}")
        chosen = [(first, then) for first, then, how in tries[: 1 if fast else None] if how == gather]
        if not chosen:
            continue
        runs = f"whole-{gather}"
        ended = _together(scratch, 1, runs, options)
        if any(one.code for one in ended):
            yield Outcome(f"one process, gather = {gather}", False, last_line(ended[0]))
            continue
        rows, weights = _rows(scratch / runs), _weights(scratch / runs)
        for first, then in chosen:
            case, runs = f"{first} → {then} processes, gather = {gather}", f"{first}-{then}-{gather}"
            killed = _together(scratch, first, runs, options, dies=True)
            left = list((scratch / runs / ".work").glob("realign-*/step-*"))
            ended = _together(scratch, then, runs, options)
            if not left or any(one.code for one in ended):
                told = next((one for one in ended if one.code), killed[0])
                yield Outcome(case, False, f"{len(left)} checkpoints; {last_line(told)}")
                continue
            found, again = _rows(scratch / runs), _steps(scratch / runs, then)
            # Steps after the checkpoint are trained twice: the second time counts, and it is the same.
            other = {step for step in rows if found.get(step) != rows[step]}
            # With local negatives the number of processes decides what comes out: another one is another result, and
            # begins at its first step.
            begun = 5 if gather == "true" else 0
            good, told = found.keys() == rows.keys() and not other and again == list(range(begun, 12)), ""
            if gather == "true":
                off = max(float((weights[name] - w).abs().max()) for name, w in _weights(scratch / runs).items())
                good, told = good and off <= 1e-5, f"weights within {off:.0e}"
            yield Outcome(case, good, told if good else f"{told}; other items at {other}; trained again: {again}")


def ended(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """Two processes (gloo) that are asked to end, as torchrun hands a signal on, or of which the second is killed."""
    tiny.config(scratch)
    options = ("--set", "realign.batch_size=6", "--set", "realign.checkpoint_every=100")
    if any(one.code for one in _together(scratch, 2, "whole-2", options)):
        yield Outcome("two processes", False, "they failed without any fault")
        return
    rows, weights = _rows(scratch / "whole-2"), _weights(scratch / "whole-2")
    # In which order they are asked, at which step each then is, and after how many steps is saved: where one has gone
    # the other finds out in the step after, and where one was killed within the step.
    cases = {
        "both asked": ((0, 1), (5, 5), 6),
        "the second first": ((1, 0), (6, 5), 6),
        "the first first": ((0, 1), (5, 6), 6),
        "the second killed": ((), (5, 5), 5),
    }
    for number, (case, (order, held, step)) in enumerate(cases.items()):
        if fast and number:
            return
        runs = f"ended-{number}"
        children = _begun(scratch, 2, runs, options, held=held)
        for rank in order or (1,):
            _wait_for(scratch / runs / f"held-{rank}", children[rank])
            children[rank].send(signal.SIGTERM if order else signal.SIGKILL)
            (scratch / runs / f"asked-{rank}").touch()
        if not order:
            _wait_for(scratch / runs / "held-0", children[0])
            (scratch / runs / "asked-0").touch()
        found = [child.wait(60) for child in children]
        saved = [path.name for path in (scratch / runs / ".work").glob("realign-*/step-*")]
        codes, trained = [one.code for one in found], len(_steps(scratch / runs, 2))
        again = _together(scratch, 2, runs, options)
        good = codes == ([143, 143] if order else [2, -signal.SIGKILL]) and saved == [f"step-{step:08d}"]
        good = good and not any(one.code for one in again) and _rows(scratch / runs) == rows
        later = _steps(scratch / runs, 2)[trained:]
        other = [name for name, w in _weights(scratch / runs).items() if not torch.equal(weights[name], w)]
        told = f"exit codes {codes}; {saved}; then trained {later}; {other[:3]}; {last_line(found[0])}"
        yield Outcome(case, good and later == list(range(step, 12)) and not other, told)


def _wait_for(sign: Path, child: Child) -> None:
    """Until a child has made a file."""
    end = time.monotonic() + 60
    while not sign.exists() and child.running() and time.monotonic() < end:
        time.sleep(0.005)


def _steps(runs: Path, world: int) -> list[int]:
    """The steps that the first of so many processes trained."""
    lines = (runs / f"rows-{world}-0.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line)[0] for line in lines]


def _together(scratch: Path, world: int, runs: str, options: Sequence[str], dies: bool = False) -> list[Ended]:
    """How ``realign`` by several processes ended."""
    return [child.wait(100) for child in _begun(scratch, world, runs, options, dies)]


def _begun(
    scratch: Path, world: int, runs: str, options: Sequence[str], dies: bool = False, held: Sequence[int] = ()
) -> list[Child]:
    """``realign`` by several processes, which the environment tells of each other as torchrun does.

    Args:
        held: the step at which each waits until it has been asked to end.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(world):
        env = {"WORLD_SIZE": str(world), "RANK": str(rank), "LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1",
               "MASTER_PORT": str(port)}  # fmt: skip
        call = cli("realign", "tiny.toml", "--set", f"runs={runs}", *options)
        call = _watched(call, scratch / runs, world, rank, dies, held[rank] if held else None)
        children.append(start(call, folder=scratch, env=env if world > 1 else None))
    return children


def _watched(
    call: Callable[[], object], runs: Path, world: int, rank: int, dies: bool, held: int | None
) -> Callable[[], object]:
    """The command, writing down which pairs each step trains on; with ``dies`` it is gone after a checkpoint.

    At the step ``held`` it makes a file, and waits for the one that says that it has been asked to end.
    """

    def watched() -> object:
        torch.set_num_threads(1)
        runs.mkdir(exist_ok=True)
        log = (runs / f"rows-{world}-{rank}.jsonl").open("a", encoding="utf-8", buffering=1)
        read, save = streams.PairStream.__call__, loop.save_checkpoint

        def rows(stream, step):
            if stream.plan.shape[0] == 12:
                log.write(json.dumps([step, stream.plan[step].tolist()]) + "\n")
                end = time.monotonic() + 60
                while step == held and not (runs / f"asked-{rank}").exists() and time.monotonic() < end:
                    (runs / f"held-{rank}").touch()
                    time.sleep(0.002)
            return read(stream, step)

        def saved(*arguments):
            save(*arguments)
            os._exit(9)

        streams.PairStream.__call__ = rows
        if dies:
            loop.save_checkpoint = saved
        return call()

    return watched


def _rows(runs: Path) -> dict[int, list[int]]:
    """The pairs of each step, put together from all processes; by the latest that trained it."""
    found: dict[int, list[int]] = {}
    by_world: dict[int, list[Path]] = {}
    for path in sorted(runs.glob("rows-*.jsonl"), key=lambda p: p.stat().st_mtime):
        by_world.setdefault(int(path.stem.split("-")[1]), []).append(path)
    for world, paths in by_world.items():
        logs = [dict(map(json.loads, path.read_text("utf-8").splitlines())) for path in sorted(paths)]
        for step in logs[0]:
            parts = [np.array(log[step]) for log in logs if step in log]
            if len(parts) < world:
                continue  # a process that was killed before it came to it
            gathered = len(parts[0]) == 6
            if gathered and any((part != parts[0]).any() for part in parts):
                raise AssertionError(f"step {step}: processes hold different batches")
            found[step] = (parts[0] if gathered else whole_step(parts)).tolist()
    return found


def _weights(runs: Path) -> dict[str, torch.Tensor]:
    files = (runs / "realign").rglob("*.safetensors")
    # Of a key's bias the gradient is nothing but rounding, which Adam makes into steps.
    return {name: weight for path in files for name, weight in load_file(path).items() if not name.endswith("key.bias")}


SWEEP = """
[sweep]
seed = [1, 2]
"""


def workers(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """The tokenizer's threads, and jobs of a sweep."""
    if fast:
        return  # two whole runs and more
    found = {}
    for name, env in (("none", {"TOKENIZERS_PARALLELISM": "false"}),
                      ("four", {"TOKENIZERS_PARALLELISM": "true", "RAYON_NUM_THREADS": "4"})):  # fmt: skip
        folder = scratch / name
        folder.mkdir()
        tiny.config(folder, steps=4)
        ended = fork(cli("run", "tiny.toml"), folder=folder, env=env)
        found[name] = tiny.digests(folder / "runs")
        if ended.code:
            yield Outcome(f"tokenizer threads: {name}", False, last_line(ended))
    same = bool(found["none"]) and found["none"] == found["four"]
    yield Outcome("one and four threads of the tokenizer: the same bits", same)
    tables = {}
    for jobs in (1, 3):
        folder = scratch / f"jobs-{jobs}"
        folder.mkdir()
        tiny.config(folder, SWEEP, steps=4)
        # Sums over another number of threads differ in their last digits: one thread each, whatever the jobs.
        env = dict.fromkeys(THREAD_SETTINGS, "1")
        ended = fork(cli("sweep", "tiny.toml", "--jobs", str(jobs)), folder=folder, env=env, limit=400)
        if ended.code:
            yield Outcome(f"{jobs} jobs", False, last_line(ended))
            continue
        tables[jobs] = tiny.digests(folder / "runs")
    one, three = tables.get(1, {}), tables.get(3, {})
    other = sorted(name for name in one.keys() | three.keys() if one.get(name) != three.get(name))
    yield Outcome("a sweep of one and of three jobs: the same bits", bool(one) and not other, ", ".join(other[:3]))


FAULTS = (
    Fault(
        "another number of processes, drawn",
        "the same items in the same order at the same steps, none lost or repeated, wherever the number changes",
        shares,
    ),
    Fault(
        "resumed with another world size",
        "real processes go on from the others' checkpoint: the same pairs at every step, weights equal to 1e-5; with "
        "negatives that are local it is a result of its own, of the same pairs",
        resumes,
        lambda outcomes: "; ".join(dict.fromkeys(o.detail for o in outcomes if o.detail)),
    ),
    Fault(
        "several processes asked to end, or one of them killed",
        "the step under way, or the last whole one, is saved; run again: the same bits",
        ended,
    ),
    Fault("another number of workers", "the same bits", workers),
)
