"""`xrealign evaluate` on models that a tiny encoder was trained into."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from xrealign.cli import app
from xrealign.errors import XrealignError
from xrealign.evaluate_output import show
from xrealign.tasks.metrics import score
from xrealign.tasks.statistics import label_statistics
from xrealign.train.heads import make_head, save_head

RUNNER = CliRunner()


def model_folder(base: Path, folder: Path, kind: str, labels: tuple[str, ...], tags: tuple[str, ...]) -> Path:
    from xrealign.model.encoder import load_encoder

    shutil.copytree(base, folder)
    torch.manual_seed(3)
    head = make_head(kind, load_encoder(str(base)).width, labels, tags)
    save_head(folder, head, kind, labels, tags)
    return folder


@pytest.fixture(scope="module")
def classifier(tmp_path_factory, tiny_encoder_folder) -> Path:
    return model_folder(Path(tiny_encoder_folder), tmp_path_factory.mktemp("m") / "class", "class", ("off", "on"), ())


@pytest.fixture(scope="module")
def tagger(tmp_path_factory, tiny_encoder_folder) -> Path:
    return model_folder(Path(tiny_encoder_folder), tmp_path_factory.mktemp("m") / "pos", "pos", (), ("NOUN", "VERB"))


def run(*arguments: str):
    return RUNNER.invoke(app, ["evaluate", *map(str, arguments)], catch_exceptions=True)


def test_json_holds_what_the_predictions_say(classifier: Path, tmp_path: Path) -> None:
    (tmp_path / "deu.tsv").write_text("label\ttext\non\tLicht an\noff\tLicht aus\non\tan\n", "utf-8")
    (tmp_path / "x.tsv").write_text("1\twasha taa\r\n0\tzima taa", "utf-8", newline="")
    out = tmp_path / "predictions.jsonl"
    done = run(
        "--model", classifier, "--task", "class", "--label", "1=on", "--label", "0=off", "--format", "json", "-o", out,
        "--data", tmp_path / "deu.tsv", f"swh={tmp_path / 'x.tsv'}",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [(one["language"], one["n"]) for one in found["results"]] == [("deu_Latn", 3), ("swh_Latn", 2)]
    items = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    for one in found["results"]:
        own = [item for item in items if item["language"] == one["language"]]
        statistics = label_statistics([i["gold"] for i in own], [i["predicted"] for i in own], ("off", "on"))
        assert one["value"] == pytest.approx(score(statistics, "accuracy"), abs=1e-12)
        assert one["low"] <= one["value"] <= one["high"]
        assert one["below_majority"] == (one["value"] < one["majority"])
    assert found["results"][0]["majority"] == pytest.approx(2 / 3)
    assert found["mean"] == pytest.approx(sum(one["value"] for one in found["results"]) / 2)


def test_tags_in_every_format(tagger: Path, tmp_path: Path) -> None:
    text = "1\tHunde\t_\tNOUN\t_\t_\t0\t_\t_\t_\n2\tbellen\t_\tVERB\t_\t_\t0\t_\t_\t_\n"
    (tmp_path / "deu.conllu").write_text(text, "utf-8")
    common = ("--model", tagger, "--task", "pos", "--data", tmp_path / "deu.conllu")
    table, markdown, comma = (run(*common, "--format", name) for name in ("table", "md", "csv"))
    assert "accuracy" in table.stdout
    assert "mean over 1 languages" in table.stdout
    assert markdown.stdout.startswith("| language |")
    (row,) = csv.DictReader(io.StringIO(comma.stdout))
    assert row["language"] == "deu_Latn"
    assert float(row["accuracy"]) in (0.0, 0.5, 1.0)


@pytest.mark.parametrize(
    ("task", "name", "text", "reason"),
    [
        ("pos", "deu.conllu", "1\tHunde\t_\tXNOUN\t_\t_\t0\t_\t_\t_\n\n", "does not have"),
        ("pos", "deu.conllu", "1\tHunde\t_\n\n", "deu.conllu:1"),
        ("ner", "deu.conllu", "1\tHunde\t_\tNOUN\t_\t_\t0\t_\t_\t_\n\n", "trained for kind pos"),
        ("poss", "deu.conllu", "", "did you mean 'pos'"),
        ("pos", "file.conllu", "1\tHunde\t_\tNOUN\t_\t_\t0\t_\t_\t_\n\n", "does not tell its language"),
    ],
)
def test_what_does_not_fit_is_told(tagger: Path, tmp_path: Path, task: str, name: str, text: str, reason: str) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    done = run("--model", tagger, "--task", task, "--data", tmp_path / name)
    assert isinstance(done.exception, XrealignError)
    assert reason in str(done.exception)


def test_retrieval_needs_no_head(tiny_encoder_folder, tmp_path: Path) -> None:
    lines = "".join(f"sentence {n} of {n * 7}\tSatz {n} von {n * 7}\n" for n in range(12))
    (tmp_path / "deu.tsv").write_text(lines, "utf-8")
    done = run(
        "--model", tiny_encoder_folder, "--task", "retrieval", "--data", tmp_path / "deu.tsv", "--format", "json"
    )
    assert done.exit_code == 0, done.output
    (one,) = json.loads(done.stdout)["results"]
    assert one["n"] == 12
    assert 0 <= one["metrics"]["accuracy"] <= one["metrics"]["mrr"] <= 1
    assert one["majority"] is None


def test_nothing_to_show_is_an_error() -> None:
    with pytest.raises(XrealignError, match="no test file has any example"):
        show([], "m", "pos", "table")
