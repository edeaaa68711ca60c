"""Runs a plan: makes what is missing, in order, tells what came of each stage, and lays out the run's folder."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from xrealign.config import Config, to_toml
from xrealign.errors import ArtifactError, ConfigError, DamagedWork, did_you_mean
from xrealign.model.folder import link_or_copy
from xrealign.outcomes import summary
from xrealign.plan import REALIGNED, Plan, make_plan
from xrealign.progress import say
from xrealign.refusals import telling
from xrealign.store import (
    MANIFEST,
    Stage,
    build,
    damaged,
    fingerprint,
    is_done,
    listed,
    owned,
    read_manifest,
    rebuild_if_damaged,
    seal,
    unseal,
)
from xrealign.training import HEAD_FILES
from xrealign.writing import move_folder, sync, write_atomic

RUN_FILE = "run.json"


def run(config: Config) -> Path:
    """Brings every result of a configuration into being and returns the run's folder.

    What is there already is not made again; a killed run goes on where it was. Processes of one torchrun share the
    training; all else is done by the first of them (`is_first`).
    """
    with _alone(config), _together(lambda: make_plan(config)) as (plan, first):
        return _run(plan) if first else plan.runs / config.name


def _alone(config: Config) -> contextlib.AbstractContextManager[None]:
    """Keeps a second run of this name out; several processes of torchrun are one run."""
    return owned(Path(config.runs), config.name) if is_first() else contextlib.nullcontext()


def _run(plan: Plan) -> Path:
    from xrealign.trackers import check_trackers, track_run

    check_trackers(plan.config.report.trackers)
    for stage in plan.stages.values():
        rebuild_if_damaged(stage, plan.runs)
    folder = plan.runs / plan.config.name
    if is_current(plan, folder):
        say(f"all {len(plan.stages)} results and the report are there already; nothing to do")
        return folder
    start = time.perf_counter()
    for number, (key, stage) in enumerate(plan.stages.items(), 1):
        head = f"[{number}/{len(plan.stages)}] {key}"
        if is_done(stage, plan.runs):
            say(f"{head}: there already")
            continue
        say(head)
        manifest = read_manifest(build(stage, plan.runs))
        _note(plan, {"stage": key, "seconds": manifest["seconds"], "folder": str(stage.folder(plan.runs))})
        say(f"  {summary(key, manifest)} ({manifest['seconds']:.0f} s)")
    lay_out(plan, folder)
    track_run(plan, folder)
    say(f"report: {folder / 'report.html'}; encoder: {folder / 'encoder'} ({time.perf_counter() - start:.0f} s in all)")
    return folder


def is_first() -> bool:
    """Whether this process is the one that tells people what came out: the first of those that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


@contextlib.contextmanager
def _together(planned: Callable[[], Plan]) -> Iterator[tuple[Plan, bool]]:
    """The plan, and whether this process carries it out. Those that do not have then done their share in training.

    What trains tells the others so before it begins, from inside the lock that one run alone holds: they never decide
    by themselves what is there already.
    """
    if "RANK" not in os.environ:
        yield planned(), True
        return
    from xrealign.train.distributed import in_turn
    from xrealign.train.processes import joined, orders, tell

    with joined() as rank:
        with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere if rank else sys.stderr):
            plan = in_turn(planned)
            for key in orders() if rank else ():
                _take_part(plan.stages[key], plan.runs, rank)
        if not rank:
            for key, stage in plan.stages.items():
                if stage.verb in TRAINED:
                    plan.stages[key] = replace(stage, make=_told(key, stage, tell))
        yield plan, not rank
        if not rank:
            tell(None)


TRAINED = ("realign", "finetune")  # verbs that all processes take part in


def _told(key: str, stage: Stage, tell: Callable[[str | None], None]) -> Callable[[Path, Path], Mapping[str, Any]]:
    def make(out: Path, work: Path) -> Mapping[str, Any]:
        tell(key)
        return stage.make(out, work)

    return make


def _take_part(stage: Stage, runs: Path, rank: int) -> None:
    """Trains beside the first process; goes on from its checkpoints, and drops what comes out.

    Where saved work turns out to be damaged, the first process knows it too: it drops that work and tells again.
    """
    work = stage.work(runs)
    aside = work.with_name(f"{work.name}.process-{rank}")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        with contextlib.suppress(DamagedWork):
            stage.make(aside, work)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _note(plan: Plan, event: dict[str, Any]) -> None:
    """A line for machines."""
    path = plan.runs / ".work" / f"{plan.config.name}.events.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"time": time.time()} | event) + "\n")


def report_fingerprint(plan: Plan) -> str:
    """Changes when any result, the run's name or its grouping of languages does."""
    config = plan.config
    settings = {"name": config.name, "seen": config.encoder.seen, "config": to_toml(config)}
    return fingerprint("report", 1, settings, {key: stage.fingerprint for key, stage in plan.stages.items()})


def is_current(plan: Plan, folder: Path) -> bool:
    """Whether the run's folder shows exactly these results, and they are all there; says which of its files is not."""
    if not folder.exists() or not all(is_done(stage, plan.runs) for stage in plan.stages.values()):
        return False
    try:
        known = unseal((folder / RUN_FILE).read_text("utf-8"))
        path = damaged(folder, known["files"])
    except (OSError, ValueError, KeyError):
        known, path = {}, folder / RUN_FILE
    if path is not None:
        say(f"{path} is damaged or was changed; {folder} is laid out again")
    return path is None and known["fingerprint"] == report_fingerprint(plan)


def _copy_encoder(plan: Plan, folder: Path) -> None:
    key = plan.encoders[REALIGNED]
    assert key is not None  # only the baseline has none
    for path in sorted(plan.folder(key).iterdir()):
        if path.name not in (MANIFEST, *HEAD_FILES):
            _put(path, folder / path.name)


def _link_model(made: Path, folder: Path) -> None:
    """A fine-tuned model as `xrealign evaluate --model` reads it."""
    folder.mkdir(parents=True)
    for path in sorted(made.iterdir()):
        if path.name != MANIFEST:
            _put(path, folder / path.name)


def _put(made: Path, target: Path) -> None:
    """A file of a result for people: a link to weights, which are large; a copy of what may be edited in place, so that
    the result behind it stays as it is."""
    if made.suffix == ".safetensors":
        link_or_copy(made, target)
        return
    with telling(target, size=made.stat().st_size):
        shutil.copyfile(made, target)


def realign_only(config: Config, folder: Path | None = None) -> Path:
    """Makes the realigned encoder of a configuration and nothing that needs a task; returns its folder.

    What a whole run has made already is used, and what is made here is used by a whole run.

    Args:
        folder: where the encoder goes; without it ``<runs>/<name>-encoder``. It is replaced if it is there.

    Raises:
        ConfigError: the strategy does not realign before the task is learned, or a setting is impossible.
    """
    with _alone(config), _together(lambda: make_plan(config, needs_task=False)) as (plan, first):
        target = folder or plan.runs / f"{config.name}-encoder"
        return _realign_only(plan, target) if first else target


def _realign_only(plan: Plan, target: Path) -> Path:
    key, realign = f"realign {REALIGNED}", plan.config.realign
    if key not in plan.stages or realign.strategy not in ("before", "before+during"):
        raise ConfigError(
            f"realign.strategy = {realign.strategy!r} with steps = {realign.steps} does not realign "
            "before the task is learned: use `xrealign run`, or strategy = 'before'"
        )
    if target.exists() and not (target / "xrealign.json").is_file():
        raise ConfigError(f"{target} is there and holds no encoder saved by this program; choose another --output")
    wanted = ("select", "corpus", "align", key)
    for number, name in enumerate(wanted, 1):
        stage = plan.stages[name]
        rebuild_if_damaged(stage, plan.runs)
        there = is_done(stage, plan.runs)
        say(f"[{number}/{len(wanted)}] {name}{': there already' if there else ''}")
        if not there:
            manifest = read_manifest(build(stage, plan.runs))
            say(f"  {summary(name, manifest)} ({manifest['seconds']:.0f} s)")
    aside = target.parent / f".{target.name}.new"
    shutil.rmtree(aside, ignore_errors=True)
    try:
        _link_model(plan.folder(key), aside)
        shutil.rmtree(target, ignore_errors=True)
        move_folder(aside, target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return target


def lay_out(plan: Plan, folder: Path) -> None:
    """Writes the run's folder aside and renames it: report, scores, the realigned encoder, what made them."""
    from xrealign.summing_up import write_run_report

    aside = folder.parent / f".{folder.name}.new"  # one that was killed is cleared away by the next
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        card = write_run_report(plan, aside)
        if REALIGNED in plan.methods:
            encoder = aside / "encoder"
            encoder.mkdir()
            _copy_encoder(plan, encoder)
            write_atomic(encoder / "README.md", card)
        for method, key in plan.models.items():
            _link_model(plan.folder(key), aside / "models" / method)
        write_atomic(aside / "config.toml", to_toml(plan.config))
        facts = {
            "fingerprint": report_fingerprint(plan),
            "name": plan.config.name,
            "stages": {
                key: {"folder": os.path.relpath(stage.folder(plan.runs), folder), "seconds": _seconds(stage, plan.runs)}
                for key, stage in plan.stages.items()
            },
        }
        events = plan.runs / ".work" / f"{plan.config.name}.events.jsonl"
        if events.is_file():
            shutil.copyfile(events, aside / "events.jsonl")
        write_atomic(aside / RUN_FILE, seal(facts | {"files": listed(aside)}))
        for path in (*aside.rglob("*"), aside):
            sync(path)
        if folder.exists():
            shutil.rmtree(folder)
        aside.rename(folder)
        sync(folder.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _seconds(stage: Stage, runs: Path) -> float:
    return float(read_manifest(stage.folder(runs))["seconds"])


def find_run(name: str, runs: Path) -> Path:
    """The folder of a finished run, from its name or path.

    Raises:
        ArtifactError: there is none; names the nearest, and those there are.
    """
    for folder in (Path(name), runs / name):
        if (folder / RUN_FILE).is_file():
            return folder
    known = sorted(path.parent.name for path in runs.glob(f"*/{RUN_FILE}"))
    there = f"; finished runs: {', '.join(known)}" if known else f"; there is no finished run in {runs}"
    raise ArtifactError(f"no finished run {name!r}{did_you_mean(name, known) or there}")
