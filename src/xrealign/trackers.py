"""Experiment trackers as sinks: a copy of a finished run for TensorBoard, MLflow, trackio or Weights & Biases.

The run's own folder stays the truth; nothing is ever read back from a tracker. Each tracker is an extra that is
imported only when a configuration names it. All of them write below ``runs/.trackers`` and reach no network, unless the
tracker's own environment variables say otherwise (``MLFLOW_TRACKING_URI``, ``WANDB_MODE``, ``TRACKIO_DIR`` and
``TRACKIO_SERVER_URL``).
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from sys import stderr

from xrealign.errors import ArtifactError, MissingExtra, XrealignError
from xrealign.plan import Plan
from xrealign.progress import say
from xrealign.requirements import check_extra
from xrealign.store import read_manifest
from xrealign.types import Score

PROJECT = "xrealign"
FOLDER = ".trackers"
# Library to import and the extra that brings it.
MODULES = {
    "tensorboard": ("tensorboard", "tensorboard"),
    "mlflow": ("mlflow", "mlflow"),
    "trackio": ("trackio", "trackio"),
    "wandb": ("wandb", "wandb"),
}
_NOT_A_CURVE = ("step", "rate")
_UNFIT = re.compile(r"[^\w./ -]+")
_BATCH = 500
Setting = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Record:
    """What a tracker is told of a run.

    Attributes:
        run: its name.
        settings: key → value, keys as ``realign.steps``.
        curves: name, such as ``realign realigned/word``, → (step, value) in order.
        results: name, such as ``intents/accuracy/realigned/deu_Latn``, → value; means over all languages scored as
            ``…/mean``.
        files: what people look at: the report, the scores, the configuration.
    """

    run: str
    settings: Mapping[str, Setting]
    curves: Mapping[str, Sequence[tuple[int, float]]]
    results: Mapping[str, float]
    files: Sequence[Path]


def check_trackers(names: Sequence[str]) -> None:
    """Passes when every tracker can be imported; called before a run begins, not after hours of training.

    Raises:
        MissingExtra: one is not installed; says what to install.
    """
    for name in names:
        library, extra = MODULES[name]
        check_extra(extra, f"report.trackers = [{name!r}]")
        if importlib.util.find_spec(library) is None:
            raise MissingExtra(library, extra, f"report.trackers = [{name!r}]")


def track(names: Sequence[str], record: Record, runs: Path) -> list[str]:
    """Hands ``record`` to each tracker; returns a line for each on where it went.

    A tracker that fails loses nothing: the run is whole in its own folder, so its failure is said and the next one
    has its turn.
    """
    told = []
    for name in names:
        store = runs / FOLDER / name
        try:
            store.mkdir(parents=True, exist_ok=True)
            told.append(f"{name}: {TRACKERS[name](record, store)}")
        except (XrealignError, OSError) as error:
            told.append(f"{name} took nothing ({error}); the run itself is whole in {runs / record.run}")
    return told


def track_run(plan: Plan, folder: Path) -> None:
    """Hands the finished run in ``folder`` to the trackers that its configuration names, and says where it went."""
    from xrealign.report import read_scores

    names = plan.config.report.trackers
    if names:
        files = [folder / name for name in ("report.html", "scores.csv", "config.toml")]
        record = Record(
            plan.config.name,
            _flat(plan.config.model_dump()),
            _curves(plan),
            results_of(read_scores(folder / "scores.parquet")),
            [path for path in files if path.is_file()],
        )
        for line in track(names, record, plan.runs):
            say(line)


def results_of(scores: Sequence[Score]) -> dict[str, float]:
    """Each score by a name that says what it is, and the mean over languages of each kind of score."""
    found: dict[str, float] = {}
    kinds: dict[str, list[float]] = {}
    for score in scores:
        layer = "" if score.layer is None else f"/layer {score.layer}"
        variant = f" {score.variant}" if score.variant else ""
        kind = f"{score.task}/{score.metric}{variant}{layer}/{score.method}"
        found[_fit(f"{kind}/{score.language}")] = score.value
        kinds.setdefault(_fit(f"{kind}/mean"), []).append(score.value)
    return found | {kind: sum(values) / len(values) for kind, values in kinds.items()}


def _fit(name: str) -> str:
    """A name that all trackers take: letters, digits and ``_-./`` and blanks."""
    return _UNFIT.sub("_", name)


def _flat(table: Mapping[str, object], prefix: str = "") -> dict[str, Setting]:
    flat: dict[str, Setting] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        elif isinstance(value, str | int | float | bool):
            flat[f"{prefix}{key}"] = value
        elif value is not None:
            flat[f"{prefix}{key}"] = str(value)
    return flat


def _curves(plan: Plan) -> dict[str, list[tuple[int, float]]]:
    """Losses by step of every training of the run, as its stages kept them."""
    curves: dict[str, list[tuple[int, float]]] = {}
    for key in plan.stages:
        for row in read_manifest(plan.folder(key))["facts"].get("history", ()):
            for name, value in row.items():
                if name not in _NOT_A_CURVE and isinstance(value, int | float) and not isinstance(value, bool):
                    curves.setdefault(_fit(f"{key}/{name}"), []).append((int(row["step"]), float(value)))
    return curves


def _tensorboard(record: Record, store: Path) -> str:
    from torch.utils.tensorboard import SummaryWriter

    folder = store / record.run
    shutil.rmtree(folder, ignore_errors=True)  # ours alone: a run told again replaces what was told before
    with SummaryWriter(str(folder)) as writer:
        for name, curve in record.curves.items():
            for step, value in curve:
                writer.add_scalar(name, value, step)
        for name, value in record.results.items():
            writer.add_scalar(name, value, 0)
        lines = "\n".join(f"{key} = {value}" for key, value in record.settings.items())
        writer.add_text("settings", f"```\n{lines}\n```")
    return f"{folder}   (tensorboard --logdir {store})"


def _mlflow(record: Record, store: Path) -> str:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # Without a server a plain folder is the store; MLflow wants to be told that this is meant.
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param
    from mlflow.exceptions import MlflowException

    uri = os.environ.get("MLFLOW_TRACKING_URI") or store.resolve().as_uri()
    try:
        client = MlflowClient(uri)
        known = client.get_experiment_by_name(PROJECT)
        experiment = known.experiment_id if known else client.create_experiment(PROJECT)
        run = client.create_run(experiment, run_name=record.run).info
        metrics = [
            Metric(name, value, run.start_time, step) for name, curve in record.curves.items() for step, value in curve
        ]
        metrics += [Metric(name, value, run.start_time, 0) for name, value in record.results.items()]
        params = [Param(_fit(key), str(value)[:500]) for key, value in record.settings.items()]
        for first in range(0, len(params), 100):
            client.log_batch(run.run_id, params=params[first : first + 100])
        for first in range(0, len(metrics), _BATCH):
            client.log_batch(run.run_id, metrics=metrics[first : first + _BATCH])
        for path in record.files:
            client.log_artifact(run.run_id, str(path))
        client.set_terminated(run.run_id)
    except MlflowException as error:
        raise ArtifactError(f"MLflow: {error}") from None
    return f"run {run.run_id} in {uri}"


def _wandb(record: Record, store: Path) -> str:
    import wandb
    from wandb.errors import Error

    mode = os.environ.get("WANDB_MODE", "offline")
    try:
        run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=record.run,
            dir=str(store),
            mode=mode,
            config=dict(record.settings),
            settings=wandb.Settings(silent=True, console="off", disable_git=True, disable_code=True),
        )
        for name, rows in _by_stage(record).items():
            run.define_metric(f"{name}/*", step_metric=f"{name}/step")
            for step, values in rows.items():
                run.log({f"{name}/step": step} | {f"{name}/{key}": value for key, value in values.items()})
        run.summary.update(dict(record.results))
        run.finish()
        wandb.teardown()  # what is told is on disk when this returns, not when the process ends
    except Error as error:
        raise ArtifactError(f"wandb: {error}") from None
    return f"{mode}, {store / 'wandb'}" + ("   (wandb sync to upload)" if mode == "offline" else "")


def _trackio(record: Record, store: Path) -> str:
    os.environ.setdefault("TRACKIO_DIR", str(store.resolve()))
    import trackio

    with redirect_stdout(stderr):  # results only on stdout
        run = trackio.init(
            project=PROJECT,
            name=record.run,
            config=dict(record.settings),
            resume="never",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
        for name, rows in _by_stage(record).items():
            for step, values in rows.items():
                run.log({f"{name}/{key}": value for key, value in values.items()}, step=step)
        run.log(dict(record.results))
        run.finish()
    return f"{os.environ['TRACKIO_DIR']}   (TRACKIO_DIR={os.environ['TRACKIO_DIR']} trackio show --project {PROJECT})"


def _by_stage(record: Record) -> dict[str, dict[int, dict[str, float]]]:
    """Stage → step → loss → value."""
    found: dict[str, dict[int, dict[str, float]]] = {}
    for name, curve in record.curves.items():
        stage, _, key = name.rpartition("/")
        for step, value in curve:
            found.setdefault(stage, {}).setdefault(step, {})[key] = value
    return found


TRACKERS: dict[str, Callable[[Record, Path], str]] = {
    "tensorboard": _tensorboard,
    "mlflow": _mlflow,
    "wandb": _wandb,
    "trackio": _trackio,
}
