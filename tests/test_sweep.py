"""Whole sweeps on a tiny encoder: shared stages once, failures apart, killed and resumed, on a cluster."""

from __future__ import annotations

import csv
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from xrealign.report import read_scores
from xrealign.tasks.metrics import KIND_METRICS

# Sums over another number of threads may differ in their last digits, and runs of several numbers of jobs are compared.
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
XREALIGN = [sys.executable, "-c", "from xrealign.cli import main; main()"]
TABLES = ("scores.csv", "scores.parquet", "cells.csv", "summary.csv", "summary.md")
CONFIG = """
name = "grid"
[encoder]
name = "{encoder}"
[select]
languages = ["swh", "tur"]
[corpus]
sources = ["cldr"]
held_out = 0.5
max_pairs = 40
[align]
layer = 2
[realign]
steps = 20
batch_size = 4
checkpoint_every = 5
freeze = "none"
learning_rate = 1e-3
[task]
name = "topics"
train = "train.tsv"
[task.tests]
eng = "eng.tsv"
swh = "swh.tsv"
deu = "deu.tsv"
[finetune]
steps = 20
batch_size = 4
checkpoint_every = 5
learning_rate = 1e-3
[measure]
max_concepts = 10
[sweep]
seed = [17, 23]
"realign.freeze" = ["none", "front"]
"""
DISTINCT = 1 + 1 + 1 + 2 + 2 * 4 + 2 + 8 + 2 + 8 + 2 + 8


@pytest.fixture(scope="module")
def write(udhr_lines, tiny_encoder_folder):
    """Lays out a sweep's file and its task: which half of the first twenty segments a sentence is from."""

    def writing(folder: Path, more: str = "") -> Path:
        for tag, name in (("eng_Latn", "train"), ("eng_Latn", "eng"), ("swh_Latn", "swh"), ("deu_Latn", "deu")):
            rows = [f"{'first' if n < 10 else 'second'}\t{text}" for n, text in enumerate(udhr_lines[tag])]
            rows = rows[::2] if name == "train" else rows[1::2]
            (folder / f"{name}.tsv").write_text("\n".join(rows) + "\n", "utf-8")
        (folder / "grid.toml").write_text(CONFIG.format(encoder=tiny_encoder_folder) + more, "utf-8")
        return folder

    return writing


def sweep(folder: Path, *arguments: str, **environment: str):
    return subprocess.run(
        [*XREALIGN, "sweep", "grid.toml", *arguments],
        cwd=folder, capture_output=True, text=True, encoding="utf-8", timeout=500,
        env=os.environ | ONE_THREAD | environment,
    )  # fmt: skip


def tables(folder: Path) -> dict[str, bytes]:
    return {name: (folder / "runs" / "grid.sweep" / name).read_bytes() for name in TABLES}


def made(stderr: str) -> list[str]:
    """The stages that lines of progress name: ``realign control of none-17``."""
    return [line.split("] ")[1].split(":")[0] for line in stderr.splitlines() if line.startswith("[")]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, write):
    """A 2 × 2 sweep from start to end, undisturbed, two stages at a time."""
    folder = write(tmp_path_factory.mktemp("sweep"))
    done = sweep(folder, "--jobs", "2")
    assert done.returncode == 0, done.stderr
    return folder, done


def test_shared_stages_are_made_once(finished):
    folder, done = finished
    stages = made(done.stderr)
    assert len(stages) == len(set(stages)) == DISTINCT == 43
    assert len(list((folder / "runs").glob("*/*/manifest.json"))) == DISTINCT
    assert f"[{DISTINCT}/{DISTINCT}]" in done.stderr
    assert "4 cells, 43 distinct stages, 43 to do, 2 at a time" in done.stderr
    assert "left" in done.stderr
    assert not list((folder / "runs" / ".work").glob("*/"))
    assert not (folder / "runs" / "grid.sweep" / "errors").exists()


def test_scores_of_all_cells_are_one_tidy_table(finished):
    folder, _ = finished
    scores = read_scores(folder / "runs" / "grid.sweep" / "scores.parquet")
    assert scores == read_scores(folder / "runs" / "grid.sweep" / "scores.csv")
    assert {score.run for score in scores} == {"none-17", "none-23", "front-17", "front-23"}
    assert {score.method for score in scores} == {"baseline", "centred", "control", "realigned"}
    assert {score.seed for score in scores} == {17, 23}


def test_the_summary_is_the_mean_over_seeds_beside_both_controls(finished):
    """Recomputed from the tidy scores with plain sums."""
    folder, done = finished
    scores = read_scores(folder / "runs" / "grid.sweep" / "scores.csv")
    with (folder / "runs" / "grid.sweep" / "summary.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["group"] == "all target languages"]
    cells = [(freeze, metric) for freeze in ("none", "front") for metric in KIND_METRICS["class"]]
    assert [(row["realign.freeze"], row["metric"]) for row in rows] == cells

    def of(row, method, seed):
        found = [
            s.value for s in scores
            if (s.run, s.method, s.metric, s.variant) == (f"{row['realign.freeze']}-{seed}", method, row["metric"], "")
            and s.language != "eng_Latn"
        ]  # fmt: skip
        assert len(found) == 2
        return sum(found) / 2

    for row in rows:
        assert (row["languages"], row["seeds"]) == ("2", "2")
        for method in ("baseline", "centred", "control", "realigned"):
            one, two = of(row, method, 17), of(row, method, 23)
            assert float(row[method]) == pytest.approx((one + two) / 2, abs=1e-12)
            assert float(row[f"{method}_std"]) == pytest.approx(abs(one - two) / 2**0.5, abs=1e-12)
        for reference in ("baseline", "centred", "control"):
            one, two = (of(row, "realigned", seed) - of(row, reference, seed) for seed in (17, 23))
            assert float(row[f"realigned_minus_{reference}"]) == pytest.approx((one + two) / 2, abs=1e-12)
            assert float(row[f"realigned_minus_{reference}_std"]) == pytest.approx(abs(one - two) / 2**0.5, abs=1e-12)
            intervals = [row[f"realigned_minus_{reference}_{end}"] for end in ("low", "high")]
            assert all(intervals) == (row["metric"] == "accuracy")
    assert "4 of 4 cells finished" in done.stdout
    assert "| none | 2 |" in done.stdout


def test_the_second_time_there_is_nothing_to_do(finished):
    folder, first = finished
    before = {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("*") if path.name != ".work"}
    start = time.perf_counter()
    again = sweep(folder, "--jobs", "2")
    assert again.returncode == 0
    assert time.perf_counter() - start < 30  # a few seconds on an idle machine
    assert "all 43 results of 4 cells are there already; nothing to do" in again.stderr
    assert again.stdout == first.stdout
    assert {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("*") if path.name != ".work"} == before


def test_a_dry_run_lists_what_is_done_and_makes_nothing(finished):
    folder, _ = finished
    before = sorted((folder / "runs").rglob("*"))
    listed = sweep(folder, "--dry-run", "--set", "sweep.seed=[17,29]")
    assert listed.returncode == 0, listed.stderr
    lines = {line.split()[0]: line for line in listed.stdout.splitlines()}
    assert "15 of 15 stages done  done" in lines["none-17"]
    # The task comes from files here, yet its fingerprint holds the seed; text and links are shared.
    assert " 3 of 15 stages done  to do: task, " in lines["front-29"]
    assert "# 43 distinct stages (instead of 60), 20 to do, about" in listed.stdout
    assert sorted((folder / "runs").rglob("*")) == before


def test_a_cell_runs_alone_from_its_file_without_making_anything_again(finished, tmp_path):
    folder, _ = finished
    cell = folder / "runs" / "grid.sweep" / "cells" / "front-17.toml"
    alone = subprocess.run(
        [*XREALIGN, "check", str(cell)], cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", timeout=300
    )
    assert alone.returncode == 0, alone.stderr
    assert alone.stdout.count("there already") == 15


def without(folder: Path, finished: Path, *verbs: str) -> Path:
    """The results of the finished sweep but those of some verbs, and no tables."""
    for path in (finished / "runs").iterdir():
        if path.name not in (*verbs, ".work", "grid.sweep"):
            shutil.copytree(path, folder / "runs" / path.name)
    return folder


FAILING = """
[[sweep.variant]]
name = "bad"
set = { "task.train" = "few.tsv", "realign.control" = false }
[[sweep.variant]]
name = "good"
"""


@pytest.mark.slow
def test_a_failed_cell_does_not_stop_the_others(finished, write, tmp_path):
    """Training with one label of two: only making the task can tell."""
    folder = without(write(tmp_path, FAILING), finished[0], "task", "evaluate")
    (folder / "few.tsv").write_text("first\tone label is too few\n", "utf-8")
    only = ["--set", "sweep.seed=[17]", "--set", 'sweep.realign.freeze=["none"]']
    done = sweep(folder, "--jobs", "1", *only)
    assert done.returncode == 1, done.stderr
    stages = made(done.stderr)
    assert sorted(stages) == [
        "evaluate baseline of good-none-17", "evaluate control of good-none-17", "evaluate realigned of good-none-17",
        "task of bad-none-17", "task of good-none-17",
    ]  # fmt: skip
    assert stages[0] == "task of bad-none-17"
    assert "FAILED: labels that training" in done.stderr
    own = folder / "runs" / "grid.sweep"
    assert [path.name for path in (own / "errors").iterdir()] == ["bad-none-17.txt"]
    assert "'second' (5 times, first at line 6)" in (own / "errors" / "bad-none-17.txt").read_text("utf-8")
    with (own / "cells.csv").open(encoding="utf-8") as file:
        states = {row["cell"]: (row["state"], row["error"][:6]) for row in csv.DictReader(file)}
    assert states == {"good-none-17": ("finished", ""), "bad-none-17": ("failed", "task: ")}
    assert "1 of 2 cells finished" in done.stdout
    assert "Failed cells" in done.stdout
    rows = (own / "scores.csv").read_text("utf-8").replace("good-", "").splitlines()
    first = (finished[0] / "runs" / "grid.sweep" / "scores.csv").read_text("utf-8").splitlines()
    assert rows == [first[0], *(row for row in first if row.startswith("none-17,"))]


@pytest.mark.slow
def test_a_mended_cell_is_all_that_is_made(finished, write, tmp_path):
    folder = without(write(tmp_path, FAILING), finished[0])
    (folder / "few.tsv").write_text("first\tone label is too few\n", "utf-8")
    only = ["--jobs", "1", "--set", "sweep.seed=[17]", "--set", 'sweep.realign.freeze=["none"]']
    assert sweep(folder, *only).returncode == 1
    (folder / "few.tsv").write_text((folder / "train.tsv").read_text("utf-8") + "first\tone more\n", "utf-8")
    mended = sweep(folder, *only)
    assert mended.returncode == 0, mended.stderr
    assert made(mended.stderr)
    assert all(stage.endswith("bad-none-17") for stage in made(mended.stderr))
    assert not list((folder / "runs" / "grid.sweep" / "errors").iterdir())


def begin(folder: Path) -> subprocess.Popen[bytes]:
    """A sweep under way, with a training's checkpoint on disk and workers running."""
    process = subprocess.Popen(
        [*XREALIGN, "sweep", "grid.toml", "--jobs", "2"],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | ONE_THREAD,
    )  # fmt: skip
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        if list((folder / "runs" / ".work").glob("realign-*/step-*")):
            return process
        time.sleep(0.005)
    raise AssertionError("the sweep ended before it could be stopped")


def gone(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=20)
    return not [one for one in alive if one.status() != psutil.STATUS_ZOMBIE]


def stop_and_resume(folder: Path, finished: Path, number: int, code: int) -> None:
    process = begin(folder)
    workers = psutil.Process(process.pid).children()
    assert len(workers) == 2
    process.send_signal(number)
    assert process.wait(timeout=60) == code
    assert gone(workers), "a worker outlived the sweep"
    assert not (folder / "runs" / "grid.sweep" / "summary.md").exists()
    kept = {path: path.stat().st_mtime_ns for path in (folder / "runs").glob("*/*/manifest.json")}
    assert 0 < len(kept) < DISTINCT
    again = sweep(folder, "--jobs", "2")
    assert again.returncode == 0, again.stderr
    assert len(made(again.stderr)) == DISTINCT - len(kept)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert tables(folder) == tables(finished)


@pytest.mark.slow
def test_killed_in_the_middle_and_run_again_ends_in_the_same_tables(finished, write, tmp_path):
    folder = without(write(tmp_path), finished[0], "realign", "evaluate")
    stop_and_resume(folder, finished[0], signal.SIGKILL, -9)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_stopped_from_the_very_start_and_run_again_ends_in_the_same_tables(finished, write, tmp_path, number, code):
    stop_and_resume(write(tmp_path), finished[0], number, code)


def test_mistakes_of_all_cells_before_anything_runs(write, tmp_path):
    folder = write(tmp_path)
    done = sweep(folder, "--set", 'sweep.encoder.attention=["eager","sideways"]', "--set", "sweep.align.layer=[2,99]")
    assert (done.returncode, done.stdout) == (2, "")
    assert "expected 'sdpa', 'eager' or 'flash_attention_2'" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "runs").exists()


def test_ray_missing_is_told_in_a_line(write, tmp_path):
    folder = write(tmp_path)
    (folder / "ray.py").write_text("raise ImportError\n", "utf-8")
    done = sweep(
        folder,
        "--executor",
        "ray",
        PYTHONPATH=os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]),
    )
    assert done.returncode == 2
    assert done.stderr.strip().endswith('--executor ray needs ray, which is not installed: pip install "xrealign[ray]"')


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason='needs Ray: pip install "xrealign[ray]"')
def test_a_ray_cluster_makes_the_same_table(finished, write, tmp_path):
    """A local cluster that the sweep itself starts, two processors wide; every stage once, failures as elsewhere."""
    folder = write(tmp_path, FAILING)
    (folder / "few.tsv").write_text("first\tone label is too few\n", "utf-8")
    done = sweep(folder, "--executor", "ray", "--set", "sweep.seed=[17]", "--set", 'sweep.realign.freeze=["none"]')
    assert done.returncode == 1, done.stderr
    stages = made(done.stderr)
    assert len(stages) == len(set(stages)) == 16  # the good cell's and the broken task
    assert "on a Ray cluster" in done.stderr
    assert "bad-none-17: task: labels that training" in done.stdout
    rows = (folder / "runs" / "grid.sweep" / "scores.csv").read_text("utf-8").replace("good-", "").splitlines()
    first = (finished[0] / "runs" / "grid.sweep" / "scores.csv").read_text("utf-8").splitlines()
    assert rows == [first[0], *(row for row in first if row.startswith("none-17,"))]
