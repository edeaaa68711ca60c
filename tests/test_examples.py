"""What users copy: the configurations in configs/ and the one in the README are read, planned and shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from xrealign.check import check
from xrealign.config import load_config
from xrealign.plan import make_plan

ROOT = Path(__file__).parent.parent
CONFIGS = sorted((ROOT / "configs").glob("*.toml"))


def test_there_are_configurations():
    assert {path.name for path in CONFIGS} >= {"demo.toml", "demo-full.toml"}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_a_configuration_can_be_planned(path, starter):
    assert len(path.read_text("utf-8").splitlines()) < 60
    config = load_config(path)
    text = check(config)
    assert text.count("  to do, ") + text.count("  there already") == len(make_plan(config).stages) >= 7
    assert "in all on this machine" in text


def test_the_example_of_the_readme_runs_as_far_as_its_files_go(tmp_path, tiny_encoder_folder):
    readme = (ROOT / "README.md").read_text("utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", readme, re.DOTALL)
    named = re.findall(r'"([\w./-]+\.tsv)"', example)
    assert len(named) == 5
    for name in named:
        label = "house\tilé\n" if name.startswith("eng-") else "topic\tsome text\n"
        (tmp_path / name).write_text(label, "utf-8")
    (tmp_path / "mine.toml").write_text(example.replace("path/to/encoder", str(tiny_encoder_folder)), "utf-8")
    config = load_config(tmp_path / "mine.toml", ["align.layer=2"])
    plan = make_plan(config)
    assert list(plan.stages)[:4] == ["select", "corpus", "align", "task"]
    assert set(config.corpus.files or {}) == {"yor_Latn", "hau_Latn"}


def test_every_command_of_the_readme_is_there():
    from typer.main import get_command

    from xrealign.cli import app

    readme = (ROOT / "README.md").read_text("utf-8")
    used = set(re.findall(r"(?:`|\.venv/bin/)xrealign ([a-z]+)", readme))
    known = set(get_command(app).commands)
    assert len(used) >= 5
    assert used <= known
