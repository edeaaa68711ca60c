"""Mistakes in a configuration as the command line tells them: a line each, exit code 2, no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib

import pytest

from xrealign.config import load_config

FIVE = """name = "five"
sede = 3

[encoder]
attention = "sdap"

[select]
candidates = ["deu", "germna"]
k = 2

[realign]
temperature = -1
objective = "words"
"""


@pytest.fixture
def xrealign(tmp_path):
    def called(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", "from xrealign.cli import main; main()", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=120,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )

    return called


@pytest.mark.parametrize("verb", ["run", "check"])
def test_five_mistakes_are_five_lines(xrealign, tmp_path, verb):
    (tmp_path / "five.toml").write_text(FIVE, "utf-8")
    done = xrealign(verb, "five.toml")
    assert (done.returncode, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    assert len(lines) == 5
    assert all(line.startswith("error: five.toml:") for line in lines)
    for line, number, key, value, expected, near in zip(
        sorted(lines, key=lambda line: int(line.split(":")[2])),
        (2, 5, 8, 12, 13),
        ("sede", "encoder.attention", "select.candidates", "realign.temperature", "realign.objective"),
        ("3", '"sdap"', '"germna"', "-1", '"words"'),
        ("there is no such key", "expected 'sdpa'", "expected a code", "greater than 0", "expected 'word'"),
        ("'seed'", "'sdpa'", "German", "", "'word'"),
        strict=True,
    ):
        assert line.startswith(f"error: five.toml:{number}: {key} = {value}: ")
        assert expected in line
        assert near in line
    assert not (tmp_path / "runs").exists()


def test_a_sixth_in_an_override_is_a_sixth_line(xrealign, tmp_path):
    (tmp_path / "five.toml").write_text(FIVE, "utf-8")
    done = xrealign("check", "five.toml", "--set", "finetune.stpes=3")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 6
    assert "error: --set finetune.stpes=3: there is no such key; did you mean 'steps'?" in done.stderr


def test_debug_shows_the_traceback(xrealign):
    done = xrealign("--debug", "check", "none.toml")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "ConfigError: none.toml: cannot be read: No such file or directory" in done.stderr


def test_check_prints_settings_that_can_be_run(xrealign, tmp_path, tiny_encoder_folder):
    (tmp_path / "small.toml").write_text(
        f'name = "small"\nencoder.name = "{tiny_encoder_folder}"\nalign.layer = 2\n'
        'select = { candidates = ["swh", "tur"], k = 1 }\ntask.targets = ["deu"]\n',
        "utf-8",
    )
    done = xrealign("check", "small.toml", "--set", "realign.steps=20")
    assert done.returncode == 0, done.stderr
    settings = tomllib.loads(done.stdout)  # what is not a setting is a comment
    assert settings["realign"]["steps"] == 20
    (tmp_path / "again.toml").write_text(done.stdout, "utf-8")
    assert load_config(tmp_path / "again.toml") == load_config(tmp_path / "small.toml", ["realign.steps=20"])
    assert not (tmp_path / "runs").exists(), "check only looks"
