"""The command line under torchrun: two processes make what one makes, and fail as one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

CONFIG = """
name = "shared"
encoder.name = "encoder"
select.languages = ["swh", "tur"]
[corpus]
sources = ["cldr"]
held_out = 0.5
max_pairs = 40
[align]
layer = 2
[realign]
steps = 12
batch_size = 6
freeze = "none"
learning_rate = 1e-3
checkpoint_every = 5
[task]
train_size = 60
dev_size = 10
test_size = 3
targets = ["swh"]
[finetune]
steps = 6
batch_size = 4
[measure]
max_concepts = 10
"""
ALONE = [sys.executable, "-m", "xrealign"]
TWO = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", "-m", "xrealign"]


def started(folder: Path, program: list[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
    return subprocess.run(
        [*program, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        env={**environment, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )


@pytest.fixture(scope="module")
def place(tiny_folders, tmp_path_factory) -> Path:
    """A configuration and an encoder without dropout, whose draws depend on how many processes there are."""
    folder = tmp_path_factory.mktemp("torchrun")
    shutil.copytree(tiny_folders("bert"), folder / "encoder")
    path = folder / "encoder" / "config.json"
    raw = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(raw | {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}), "utf-8")
    (folder / "shared.toml").write_text(CONFIG, "utf-8")
    return folder


def weights(folder: Path) -> dict[str, torch.Tensor]:
    tensors = {name: t for path in sorted(folder.glob("*.safetensors")) for name, t in load_file(path).items()}
    # Of a key's bias the gradient is nothing but rounding, which Adam makes into steps.
    return {name: t for name, t in tensors.items() if not name.endswith("key.bias")}


def losses(runs: Path) -> list[float]:
    (path,) = (runs / "realign").glob("*/manifest.json")
    return [row["word"] for row in json.loads(path.read_text("utf-8"))["facts"]["history"]]


@pytest.fixture(scope="module")
def both(place) -> Path:
    """Realigned by one process and by two."""
    for name, program in (("one", ALONE), ("two", TWO)):
        done = started(place, program, "realign", "shared.toml", "--set", f"runs={name}", "-o", f"{name}-encoder")
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == [f"{name}-encoder"]
        assert done.stderr.count("[4/4] realign realigned") == 1, "said by one process alone"
    return place


def test_two_processes_make_the_encoder_that_one_makes(both):
    one, two, first = weights(both / "one-encoder"), weights(both / "two-encoder"), weights(both / "encoder")
    assert one.keys() == two.keys()
    assert max(float((one[name] - first[name]).abs().max()) for name in one) > 5e-3, "it learned"
    for name, tensor in one.items():
        assert torch.allclose(tensor, two[name], atol=1e-5, rtol=1e-5), name
    assert losses(both / "two") == pytest.approx(losses(both / "one"), abs=1e-5)
    assert not [path for path in (both / "two" / ".work").iterdir() if path.is_dir()]


@pytest.mark.slow
def test_an_error_in_training_is_said_once(place):
    done = started(place, TWO, "realign", "shared.toml", "--set", "runs=bad", "--set", "realign.gather=false",
                   "--set", "realign.batch_size=5")  # fmt: skip
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(said) == 1
    assert "a batch of 5 cannot be shared evenly by 2 processes" in said[0]


@pytest.mark.slow
def test_a_whole_run_has_one_report(place):
    done = started(place, TWO, "run", "shared.toml", "--set", "runs=whole", "--set", "realign.gather=false")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("report: ") == 1
    assert done.stdout.count("realigned") >= 1
    run = place / "whole" / "shared"
    assert len(list(run.glob("report.html"))) == 1
    again = started(place, TWO, "run", "shared.toml", "--set", "runs=whole", "--set", "realign.gather=false")
    assert again.returncode == 0
    assert "nothing to do" in again.stderr
