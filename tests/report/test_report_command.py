"""The verbs as people call them."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from xrealign.cli import app
from xrealign.errors import XrealignError
from xrealign.report.scores import read_scores

METHODS = ("baseline", "centred", "control", "full")
CODES = ("de", "fi", "hi", "ru", "sw", "ta", "tr", "zh")


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A result set of the published shape."""
    folder = tmp_path / "published"
    folder.mkdir()
    for task in ("udpos", "xnli"):
        lines = ["seed,model,task,method," + ",".join(f"eval_{c}_accuracy" for c in CODES) + ",eval_same_accuracy"]
        for place, method in enumerate(METHODS):
            for seed in (1, 2, 3):
                values = [0.5 + 0.01 * (n + seed % 2) + (0.04 if place == 3 else 0.001 * place) for n in range(8)]
                lines.append(f"{seed},tiny,{task},{method}," + ",".join(f"{v:.4f}" for v in values) + ",0.9")
        (folder / f"tiny__opus__{task}.csv").write_text("\n".join(lines), "utf-8")
    return folder


def call(*arguments: object) -> str:
    found = CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=True)
    if found.exception and not isinstance(found.exception, SystemExit):
        raise found.exception
    assert found.exit_code == 0, found.output
    return found.stdout


@pytest.fixture
def scores(published: Path, tmp_path: Path) -> Path:
    path = tmp_path / "scores.parquet"
    told = call("report", "import-published", published, "-o", path)
    assert "216 scores (1 model, 2 tasks, 4 methods, 9 languages, 3 seeds) written" in told
    return path


def test_import_and_table(scores: Path, tmp_path: Path) -> None:
    assert len(read_scores(scores)) == 216
    text = call("report", "table", scores, "--rows", "method", "--cols", "model,task", "--format", "csv", "--counts")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["method"] for row in rows] == list(METHODS)
    assert rows[0]["tiny / udpos"] == "54.17"  # 0.5 + 0.01·(3.5 + 2/3)
    assert (rows[3]["tiny / udpos"], rows[3]["tiny / udpos / better"]) == ("58.17", "8")
    out = tmp_path / "table.tex"
    assert call("report", "table", scores, "--format", "latex", "--std", "-o", out) == ""
    assert r"\toprule" in out.read_text("utf-8")
    assert json.loads(call("report", "table", scores, "--format", "json"))["metrics"] == {
        "udpos": "accuracy",
        "xnli": "accuracy",
    }


@pytest.mark.parametrize("form", ["md", "csv", "latex", "json"])
def test_compare_and_stats_in_every_format(scores: Path, form: str) -> None:
    compared = call("compare", scores, "--format", form, "--source", "eng")
    assert call("report", "stats", scores, "--format", form) == compared
    some = call("report", "stats", scores, "--format", form, "--task", "xnli", "--method", "full")
    assert len(some) < len(compared)
    if form == "json":
        assert json.loads(some)["rows"][1]["method"] == "full"


def test_groups_can_be_asked_for(scores: Path) -> None:
    text = call("compare", scores, "--format", "json", "--subset", "de,sw", "--seen", "mbert")
    sizes = {row["name"]: row["languages"] for row in json.loads(text)["rows"] if row["kind"] == "group"}
    assert sizes == {"in the subset": 2, "not in the subset": 6, "seen in pre-training": 8}
    assert call("report", "stats", scores, "--format", "json", "--subset", "de,sw", "--seen", "mbert") == text
    some = json.loads(call("compare", scores, "--format", "json", "--seen", "deu,fin"))["rows"]
    assert {row["name"]: row["languages"] for row in some}["unseen in pre-training"] == 6


def test_predict(scores: Path) -> None:
    text = call("report", "predict", scores, "--method", "full", "--task", "udpos", "-l", "kor", "--format", "json",
                "--features", "geographic")  # fmt: skip
    (korean,) = json.loads(text)["predictions"]
    assert korean["low"] <= korean["gain"] <= korean["high"]
    assert korean["gain"] == pytest.approx(0.04, abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["report", "table", "{}", "--rows", "metod"], "no dimension 'metod'; did you mean 'method'"),
        (["report", "table", "{}", "--cols", "task,task"], "twice"),
        (["report", "table", "{}", "--cols", "task", "--counts", "--baseline", "base"], "--baseline base"),
        (["report", "table", "{}", "--decimals", "udpos=two"], "--decimals udpos=two"),
        (["report", "table", "{}", "--format", "xml"], "--format xml: there is no such format"),
        (["report", "stats", "{}", "--metric", "udpos"], "--metric udpos: expected NAME=VALUE"),
        (["report", "stats", "{}", "--task", "udpost"], "no scores of task 'udpost'; did you mean 'udpos'"),
        (["report", "predict", "{}", "--method", "full"], "choose one with --task"),
        (["report", "predict", "{}", "--method", "full", "--task", "xnli", "-l", "Klingonish"], "unknown language"),
        (["compare", "{}", "--baseline", "basline"], "did you mean 'baseline'"),
        (["compare", "{}", "--subset", "quy"], "no scores in quy_Latn"),
        (["compare", "{}", "--seen", "gpt-9"], "no list of pre-training languages"),
        (["compare", "nothing-there"], "no run, sweep or file of scores 'nothing-there'"),
        (["report", "import-published", "nowhere", "-o", "x.parquet"], "cannot be read"),
    ],
)
def test_mistakes_are_told_in_one_line(arguments: list[str], words: str, scores: Path) -> None:
    with pytest.raises(XrealignError) as error:
        call(*(one.replace("{}", str(scores)) for one in arguments))
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("verb", [["report", "--help"], ["compare", "--help"], ["report", "table", "--help"]])
def test_help_loads_neither_torch_nor_pandas(verb: list[str]) -> None:
    code = (
        f"import sys; sys.argv = ['xrealign', *{verb!r}]\nfrom xrealign.cli import main\n"
        "try: main()\nexcept SystemExit as end: assert not end.code\n"
        "assert not {'torch', 'transformers', 'pandas', 'matplotlib', 'scipy', 'sklearn'} & sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
