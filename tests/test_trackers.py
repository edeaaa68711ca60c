from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from xrealign.config import load_config
from xrealign.errors import ConfigError, MissingExtra
from xrealign.trackers import FOLDER, MODULES, PROJECT, TRACKERS, Record, check_trackers, results_of, track
from xrealign.types import Score


@pytest.fixture
def record(tmp_path: Path) -> Record:
    report = tmp_path / "report.html"
    report.write_text("<p>a report", "utf-8")
    return Record(
        "demo-1",
        {"realign.steps": 20, "encoder.name": "starter", "measure.max_length": 128},
        {"realign realigned/word": [(10, 2.5), (20, 1.25)], "finetune realigned/loss": [(10, 3.0)]},
        {"intents/accuracy/realigned/deu_Latn": 0.5, "intents/accuracy/realigned/mean": 0.625},
        [report],
    )


def needs(name: str) -> None:
    if importlib.util.find_spec(MODULES[name][0]) is None:
        pytest.skip(f"{MODULES[name][0]} is not installed")


def test_tensorboard_reads_it(record: Record, tmp_path: Path) -> None:
    needs("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for _ in range(2):  # told again, it replaces what was told before
        (line,) = track(["tensorboard"], record, tmp_path / "runs")
        assert line.startswith("tensorboard: ")
        assert "took nothing" not in line
    found = EventAccumulator(str(tmp_path / "runs" / FOLDER / "tensorboard" / "demo-1"))
    found.Reload()
    assert sorted(found.Tags()["scalars"]) == sorted([*record.curves, *record.results])
    for name, curve in record.curves.items():
        assert [(event.step, event.value) for event in found.Scalars(name)] == curve
    for name, value in record.results.items():
        assert [event.value for event in found.Scalars(name)] == [value]


def test_mlflow_reads_it(record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    (line,) = track(["mlflow"], record, tmp_path / "runs")
    assert "took nothing" not in line
    from mlflow import MlflowClient

    client = MlflowClient((tmp_path / "runs" / FOLDER / "mlflow").as_uri())
    experiment = client.get_experiment_by_name(PROJECT)
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_name == "demo-1"
    assert run.info.status == "FINISHED"
    assert run.data.params == {key: str(value) for key, value in record.settings.items()}
    last = {name: curve[-1][1] for name, curve in record.curves.items()}
    assert run.data.metrics == last | record.results
    history = client.get_metric_history(run.info.run_id, "realign realigned/word")
    assert [(metric.step, metric.value) for metric in history] == [(10, 2.5), (20, 1.25)]
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["report.html"]
    assert not (tmp_path / "mlruns").exists(), "nothing outside the run's folder"


def test_mlflow_s_own_variable_wins(record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "elsewhere").as_uri())
    (line,) = track(["mlflow"], record, tmp_path / "runs")
    assert "elsewhere" in line
    assert list((tmp_path / "elsewhere").rglob("meta.yaml"))


def test_wandb_stays_offline(record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    (line,) = track(["wandb"], record, tmp_path / "runs")
    assert line.startswith("wandb: offline")
    (found,) = (tmp_path / "runs" / FOLDER / "wandb").rglob("*.wandb")
    assert b"realign realigned/word" in found.read_bytes()


def test_trackio_reads_it(record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("trackio")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    (line,) = track(["trackio"], record, tmp_path / "runs")
    assert "took nothing" not in line
    assert list((tmp_path / "trackio").rglob("*")), "the store is where the variable says"


def test_a_tracker_that_fails_loses_nothing(record: Record, tmp_path: Path) -> None:
    needs("tensorboard")
    (tmp_path / "runs" / FOLDER).mkdir(parents=True)
    (tmp_path / "runs" / FOLDER / "mlflow").write_text("in the way", "utf-8")
    failed, went = track(["mlflow", "tensorboard"], record, tmp_path / "runs")
    assert failed.startswith("mlflow took nothing (")
    assert str(tmp_path / "runs" / "demo-1") in failed
    assert "took nothing" not in went


def test_a_missing_tracker_is_said_before_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for name in TRACKERS:
        with pytest.raises(MissingExtra, match=rf'pip install "xrealign\[{name}\]"'):
            check_trackers([name])
    check_trackers([])


def test_the_configuration_names_trackers(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('name = "x"\n[report]\ntrackers = ["mlflow", "tensorboard"]\n', "utf-8")
    assert load_config(path, []).report.trackers == ["mlflow", "tensorboard"]
    path.write_text('name = "x"\n[report]\ntrackers = ["neptune"]\n', "utf-8")
    with pytest.raises(ConfigError, match=r"report\.trackers"):
        load_config(path, [])
    assert set(TRACKERS) == set(MODULES)


def test_results_have_names_that_say_what_they_are() -> None:
    scores = [
        Score("r", "realigned", "intents", tag, "accuracy", value, 10, 1)
        for tag, value in (("deu_Latn", 0.5), ("fra_Latn", 1.0))
    ]
    scores.append(Score("r", "baseline", 'a "b"', "deu_Latn", "mrr", 0.2, 10, 1, 12, "raw"))
    assert results_of(scores) == {
        "intents/accuracy/realigned/deu_Latn": 0.5,
        "intents/accuracy/realigned/fra_Latn": 1.0,
        "intents/accuracy/realigned/mean": 0.75,
        "a _b_/mrr raw/layer 12/baseline/deu_Latn": 0.2,
        "a _b_/mrr raw/layer 12/baseline/mean": 0.2,
    }
    assert json.dumps(results_of(scores))
