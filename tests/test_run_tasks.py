"""Whole runs of kinds and options that the other runs do not have: prompt tuning, columns of one's own, licences."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from xrealign.cli import app
from xrealign.config import load_config
from xrealign.evaluating import LanguageResult, write_results
from xrealign.language import parse_language
from xrealign.model.encoder import load_encoder
from xrealign.model.prompt import prompt_length
from xrealign.plan import make_plan
from xrealign.report.scores import read_scores
from xrealign.stages import build_task
from xrealign.summing_up import _own_names, report_context
from xrealign.tasks.task import TaggedExample, Task

RUNNER = CliRunner()
CONFIG = """
name = "prompted"
encoder.name = "{encoder}"
select.languages = ["swh", "tur"]
[corpus]
sources = ["cldr"]
held_out = 0.5
max_pairs = 20
[align]
layer = 2
[realign]
steps = 2
batch_size = 4
[task]
name = "parts"
kind = "pos"
train = "train.txt"
separator = "|"
[task.tests]
eng = "eng.txt"
swh = "swh.txt"
[finetune]
steps = 6
batch_size = 4
learning_rate = 1e-2
max_length = 48
adapter = "prompt"
prompt = {{ length = 4 }}
[measure]
max_concepts = 5
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_encoder_folder, udhr_lines) -> Path:
    """A configuration with files of tagged words whose columns a bar divides."""
    folder = tmp_path_factory.mktemp("prompted")
    for tag, name in (("eng_Latn", "train"), ("eng_Latn", "eng"), ("swh_Latn", "swh")):
        lines = udhr_lines[tag][0 if name == "train" else 1 :: 2]
        rows = ["\n".join(f"{w}|{'LONG' if len(w) > 4 else 'SHORT'}" for w in line.split()) for line in lines]
        (folder / f"{name}.txt").write_text("\n\n".join(rows) + "\n", "utf-8")
    (folder / "mine.toml").write_text(CONFIG.format(encoder=tiny_encoder_folder), "utf-8")
    return folder


@pytest.fixture(scope="module")
def finished(place) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        done = RUNNER.invoke(app, ["run", "mine.toml"])
    assert done.exit_code == 0, done.output
    return place / "runs" / "prompted"


def test_columns_that_a_bar_divides(place, monkeypatch):
    monkeypatch.chdir(place)
    task = build_task(load_config(Path("mine.toml")))
    assert task.tags == ("LONG", "SHORT")
    assert all("|" not in word for example in task.train for word in example.words)
    # A key that is not set changes no fingerprint: what was made before there was one is found again.
    without = make_plan(load_config(Path("mine.toml"), ["task.format=conll"]))
    assert "separator" in without.stages["task"].settings["task"]
    built_in = make_plan(load_config(Path("mine.toml"), ["task={}"]))
    assert "separator" not in built_in.stages["task"].settings["task"]


def test_a_prompt_is_trained_saved_and_evaluated_apart(finished, place, monkeypatch):
    monkeypatch.chdir(place)
    models = finished / "models"
    assert {path.name for path in models.iterdir()} >= {"baseline", "realigned"}
    for name in ("baseline", "realigned"):
        model = models / name
        assert (model / "prompt.safetensors").is_file()
        assert prompt_length(load_encoder(str(model)).model) == 4
        done = RUNNER.invoke(
            app,
            ["evaluate", "--model", str(model), "--task", "pos", "--separator", "|", "--max-length", "48",
             "--format", "json", "--data", "eng=eng.txt", "--data", "swh=swh.txt"],
        )  # fmt: skip
        assert done.exit_code == 0, done.output
        apart = {one["language"]: one["value"] for one in json.loads(done.stdout)["results"]}
        kept = {
            score.language: score.value
            for score in read_scores(finished / "scores.parquet")
            if (score.method, score.metric, score.task) == (name, "accuracy", "parts") and not score.variant
        }
        assert apart == pytest.approx(kept, abs=1e-12)
    baseline, realigned = (load_encoder(str(models / name)).model for name in ("baseline", "realigned"))
    first, second = (dict(model.named_parameters())["prompt_embeddings.vectors"] for model in (baseline, realigned))
    assert not first.equal(second)


def test_all_data_of_a_run_are_told_with_their_licences(finished, place, monkeypatch):
    monkeypatch.chdir(place)
    kept = json.loads((finished / "report-input.json").read_text("utf-8"))["context"]["data"]
    rows = {row["id"]: row.get("licence") for row in kept}
    assert rows.keys() == {"udhr", "cldr", "languages", "train.txt (yours)", "eng.txt (yours)", "swh.txt (yours)"}
    assert rows["cldr"] == "Unicode-3.0"
    card = next(finished.rglob("README.md")).read_text("utf-8")
    assert "Unicode-3.0" in card
    assert "train.txt (yours)" in card
    plan = make_plan(load_config(Path("mine.toml")))
    assert report_context(plan)["data"] == kept


def test_every_set_of_the_users_is_told_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a:b.tsv", "c#d.tsv", "quality.txt", "classes.tsv", "matrix.tsv", "own.py"):
        Path(name).touch()
    Path("classes.tsv").write_text("deu\t5\n", "utf-8")
    Path("c.toml").write_text(
        """name = "x"
select.distance = "matrix.tsv"
corpus.files = { de = "a:b.tsv", fr = "c#d.tsv" }
corpus.filter = { score = 50, scores = { de = "quality.txt" } }
task = { name = "mine", loader = "own.py:load" }
report.resources = "classes.tsv"
""",
        "utf-8",
    )
    config = load_config(Path("c.toml"))
    assert _own_names(config) == ["a:b.tsv", "c#d.tsv", "quality.txt", "classes.tsv", "matrix.tsv", "own.py"]
    task = config.task.model_copy(update={"loader": "mine.tasks:load", "tests": {"deu_Latn": "/data/xnli#de/test"}})
    assert _own_names(config.model_copy(update={"task": task}))[2:] == [
        "xnli", "quality.txt", "classes.tsv", "matrix.tsv", "mine.tasks",
    ]  # fmt: skip


def test_exchanged_types_are_in_the_facts(tmp_path):
    english, swahili = parse_language("eng"), parse_language("swh")
    names = ("B-LOC", "B-PER", "O")
    examples = tuple(TaggedExample(("a", "b"), (names[n % 2], "O"), str(n)) for n in range(20))
    task = Task("names", "ner", english, (), examples, (), {english: examples, swahili: examples}, tags=names)
    right = [one.tags for one in examples]
    wrong = [(names[1 - n % 2], "O") for n in range(20)]
    results = {english: LanguageResult({"baseline": right}, {}), swahili: LanguageResult({"baseline": wrong}, {})}
    facts = write_results(task, "ner", (), names, results, tmp_path, "baseline", 1)
    assert facts["exchanged"] == {"swh_Latn": "LOC for PER, PER for LOC"}
    assert facts["below_majority"] == [], "the most frequent tag is O, whose F1 is 0"
