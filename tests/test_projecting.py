"""Translate-train by label projection and few-shot as methods of a run; what no training ever reads."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file
from typer.testing import CliRunner

from xrealign.align.aligned import read_aligned
from xrealign.cli import app
from xrealign.config import load_config
from xrealign.errors import ConfigError, DataError
from xrealign.language import parse_language
from xrealign.outcomes import summary
from xrealign.plan import make_plan
from xrealign.projecting import links_of_words, make_project, make_shots, read_labelled
from xrealign.segment import spans_by_blanks, spans_of_words
from xrealign.stages import read_task
from xrealign.store import build, is_done, read_manifest
from xrealign.tasks.projection import project_tags
from xrealign.tasks.task import TaggedExample, Task, task_to_json
from xrealign.training import make_finetune

ENG, DEU = parse_language("eng"), parse_language("deu")
ENGLISH = [("the", "DET"), ("old", "ADJ"), ("man", "NOUN"), ("sees", "VERB"), ("Berlin", "PROPN"), (".", "PUNCT")]
GERMAN = [("der", "DET"), ("alte", "ADJ"), ("Mann", "NOUN"), ("sieht", "VERB"), ("Berlin", "PROPN"), (".", "PUNCT")]


def conll(sentences) -> str:
    return "\n".join("".join(f"{word}\t{tag}\n" for word, tag in sentence) for sentence in sentences)


def some(words, count: int, first: int = 0):
    """Sentences of two to six words, all different."""
    return [[words[(n + k) % 6] for k in range(2 + n // 6 % 5)] for n in range(first, first + count)]


CONFIG = """
name = "tiny"
[encoder]
name = "{encoder}"
[corpus.files]
deu = "pairs.tsv"
[align]
layer = 2
aligner = "edge-cover"
[realign]
strategy = "none"
[task]
name = "mine"
kind = "pos"
train = "train.conll"
dev = "dev.conll"
tests = {{ eng = "eng.conll", deu = "deu.conll" }}
[finetune]
steps = 6
batch_size = 4
learning_rate = 1e-3
[report]
figures = []
"""


@pytest.fixture
def folder(tmp_path: Path, tiny_encoder_folder: Path) -> Path:
    files = {
        "train.conll": conll(some(ENGLISH, 24)),
        "dev.conll": conll(some(ENGLISH, 3, 2)),
        "eng.conll": conll(some(ENGLISH, 4)),
        "deu.conll": conll(some(GERMAN, 4)),
        "labelled.conll": conll([ENGLISH, ENGLISH[:3], ENGLISH[3:]]),
        "pairs.tsv": "the old man sees Berlin.\tder alte Mann sieht Berlin.\nthe old man\tder alte Mann\n"
        "sees Berlin.\tsieht Berlin.\n",
        "shots.conll": conll([*some(GERMAN, 2), *some(GERMAN, 6, 12)]),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, "utf-8")
    (tmp_path / "tiny.toml").write_text(CONFIG.format(encoder=tiny_encoder_folder), "utf-8")
    return tmp_path


def xrealign(folder: Path, *arguments: str):
    command = [sys.executable, "-c", "from xrealign.cli import main; main()", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, encoding="utf-8", timeout=300)


def test_links_go_over_to_the_words_that_have_labels() -> None:
    text = "I don't know."
    spans = spans_by_blanks(text)
    assert [text[a:b] for a, b in spans] == ["I", "don't", "know", "."]
    links = np.array([[0, 0], [1, 1], [2, 2], [3, 3]])
    moved = links_of_words(links, text, spans, ["I", "do", "n't", "know", "."])
    assert moved is not None
    assert moved.tolist() == [[0, 0], [1, 1], [2, 1], [3, 2], [4, 3]]
    assert links_of_words(links, text, spans, ["I", "do", "not", "know", "."]) is None


@given(st.lists(st.text("abé", min_size=1, max_size=4), min_size=1, max_size=6), st.data())
def test_the_same_words_keep_their_links(words: list[str], data) -> None:
    text, spans = spans_of_words(words)
    pairs = st.lists(st.tuples(st.integers(0, len(words) - 1), st.integers(0, 5)), unique=True)
    links = sorted(data.draw(pairs))
    moved = links_of_words(np.array(links, dtype=np.int32).reshape(-1, 2), text, spans, words)
    assert moved is not None
    assert moved.tolist() == [list(pair) for pair in links]
    single = links_of_words(np.array(links, dtype=np.int32).reshape(-1, 2), text, spans, list("".join(words)))
    assert single is not None
    characters = [n for n, word in enumerate(words) for _ in word]
    assert single.tolist() == sorted([k, j] for k, n in enumerate(characters) for i, j in links if i == n)


def test_a_run_has_both_methods_and_keeps_few_shot_apart(folder: Path) -> None:
    from xrealign.report import read_scores

    done = xrealign(
        folder, "run", "tiny.toml", "--set", "project.train=mixed", "--set", "task.shots.deu=shots.conll",
        "--set", "task.few_shot=3",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    run = folder / "runs" / "tiny"
    plan = json.loads((run / "run.json").read_text("utf-8"))["stages"]
    assert list(plan) == [
        "select", "corpus", "align", "task", "finetune baseline", "align projected", "project", "finetune projected",
        "shots", "finetune few-shot", "evaluate baseline", "evaluate projected", "evaluate few-shot",
        "measure baseline",
    ]  # fmt: skip
    scores = read_scores(run / "scores.parquet")
    assert {s.method for s in scores if s.task == "mine"} == {"baseline", "centred", "projected"}
    assert {s.method for s in scores if s.task == "mine, few-shot"} == {"few-shot"}
    for text in (done.stdout, (run / "report.html").read_text("utf-8")):
        flat = " ".join(text.split())  # the terminal's lines are broken
        assert "few-shot has seen labelled examples of languages that are tested (3 in deu_Latn)" in flat
        assert "translate-train" in flat
    page = (run / "report.md").read_text("utf-8")
    assert "mine, few-shot" in page
    for method in ("projected", "few-shot"):
        asked = ["evaluate", "--model", run / "models" / method, "--task", "pos", "--data", folder / "deu.conll"]
        scored = CliRunner().invoke(app, [*map(str, asked), "--format", "json"])
        found = json.loads(scored.stdout)["results"][0]["value"]
        (value,) = [s.value for s in scores if (s.method, s.language, s.metric) == (method, DEU.tag, "accuracy")]
        assert found == pytest.approx(value, abs=1e-12)
    settings = [f"runs={folder / 'runs'}", "project.train=mixed", "task.shots.deu=shots.conll"]
    more = make_plan(load_config(folder / "tiny.toml", settings))  # all the shots: nothing else is made again
    again = {key for key, stage in more.stages.items() if not is_done(stage, more.runs)}
    assert again == {"shots", "finetune few-shot", "evaluate few-shot"}
    build(more.stages["shots"], more.runs)
    told = summary("shots", read_manifest(more.folder("shots")))
    assert told.endswith("4 times each: 6 in deu_Latn, 2 left out: also in the test")


@pytest.fixture
def stages(folder: Path):
    """The configuration, and the folders of the stages that projection reads."""

    def made(*overrides: str):
        plan = make_plan(load_config(folder / "tiny.toml", [f"runs={folder / 'runs'}", *overrides]))
        for key in ("select", "corpus", "align projected", "task"):
            if key in plan.stages:
                build(plan.stages[key], plan.runs)
        return plan

    return made


def test_the_users_labels_go_over_all_links(folder: Path, stages, tmp_path: Path) -> None:
    plan = stages("project.train=alone", "project.labelled.deu=labelled.conll", "project.coverage=0.0")
    assert "finetune baseline" not in str(plan.stages["project"].inputs)
    assert "model" not in plan.stages["project"].inputs
    links = read_aligned(plan.folder("align projected"))
    facts = make_project(plan.config, plan.folder("align projected"), plan.folder("task"), tmp_path / "no", folder)
    task = read_task(folder)
    assert not task.tests
    gold = {"1": ENGLISH, "2": ENGLISH[:3], "3": ENGLISH[3:]}  # by the number of the line
    for example, pairs, line in zip(task.train, links.links, links.ids, strict=True):
        assert example.group == f"deu_Latn:{line}"
        assert example.tags == project_tags([tag for _, tag in gold[line]], pairs, len(example.words))
    assert facts["train"] == 3
    # names and punctuation are the same words on both sides: realignment drops their links, projection has them
    filtered = make_plan(plan.config).stages["align"]
    assert filtered.settings["align"]["drop_identical"]
    assert not plan.stages["align projected"].settings["align"]["drop_identical"]
    whole = links.links[list(links.ids).index("1")].tolist()
    assert any(ENGLISH[i][0] == GERMAN[j][0] for i, j in whole)


def test_labels_of_the_baseline_are_those_it_predicts(folder: Path, stages, tiny_encoder_folder) -> None:
    from xrealign.model.encoder import load_encoder
    from xrealign.train.heads import load_head
    from xrealign.train.predict import predict

    plan = stages("project.train=mixed", "project.coverage=0.0")
    model = build(plan.stages["finetune baseline"], plan.runs)
    links = read_aligned(plan.folder("align projected"))
    facts = make_project(plan.config, plan.folder("align projected"), plan.folder("task"), model, folder)
    task = read_task(folder)
    own = read_task(plan.folder("task"))
    assert task.train[: len(own.train)] == own.train
    head, kind, labels, tags = load_head(model)
    for n, example in enumerate(task.train[len(own.train) :]):
        words = tuple(links.src[n][a:b] for a, b in links.src_spans[n])
        asked = [TaggedExample(words, ("",) * len(words), "")]
        (predicted,) = predict(load_encoder(str(model)), head, kind, asked, labels, tags)[""].predictions
        assert example.tags == project_tags(predicted, links.links[n], len(example.words))
    assert facts["examples"] == {"deu_Latn": 3}
    assert facts["labelled_by"] == "the fine-tuned baseline"


def test_what_is_left_out_is_counted(folder: Path, stages, tmp_path: Path) -> None:
    (folder / "labelled.conll").write_text(conll([[("a", "DET"), *ENGLISH[1:]], ENGLISH[:3], ENGLISH[3:]]), "utf-8")
    plan = stages("project.train=alone", "project.labelled.deu=labelled.conll", "project.coverage=0.0")
    facts = make_project(plan.config, plan.folder("align projected"), plan.folder("task"), tmp_path / "no", folder)
    assert facts["left_out"] == {"deu_Latn": {"labelled words are not those of the source text": 1}}
    assert facts["examples"] == {"deu_Latn": 2}
    plan = stages("project.train=alone", "project.labelled.deu=labelled.conll", "align.min_score=9.0")
    with pytest.raises(DataError, match=r"no labels could be carried over to any of 3 sentences: .*2 too few linked"):
        make_project(plan.config, plan.folder("align projected"), plan.folder("task"), tmp_path / "no", folder)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (conll([ENGLISH, ENGLISH[:3]]), "2 labelled sentences, but .*pairs.tsv has 3 pairs"),
        (conll([ENGLISH, ENGLISH[:3], ENGLISH[3:]]).replace("VERB", "VRB"), "(?s)tags that training.*'VRB'.*VERB"),
        ("the\tDET\nold\n", "labelled.conll:2"),
        ("", "labelled.conll"),
    ],
)
def test_labelled_files_that_do_not_fit(folder: Path, stages, tmp_path: Path, text: str, told: str) -> None:
    (folder / "labelled.conll").write_text(text, "utf-8")
    plan = stages("project.train=alone", "project.labelled.deu=labelled.conll")
    with pytest.raises(DataError, match=told):
        make_project(plan.config, plan.folder("align projected"), plan.folder("task"), tmp_path / "no", folder)


def test_names_and_intents_by_the_user(tmp_path: Path, tiny_encoder_folder: Path, folder: Path) -> None:
    """Slots: spans in BIO form and the sentence's own label go over; 'alone' needs every label."""
    (folder / "train.jsonl").write_text(
        "".join(
            json.dumps({"words": words, "tags": tags, "label": label}) + "\n"
            for words, tags, label in (
                (["light", "in", "Berlin"], ["O", "O", "B-place"], "on"),
                (["stop"], ["O"], "off"),
            )
        ),
        "utf-8",
    )
    (folder / "labelled.jsonl").write_text(
        "".join(
            json.dumps({"words": words, "tags": tags, "label": "on"}) + "\n"
            for words, tags in (
                (["the", "old", "man", "sees", "Berlin", "."], ["O", "O", "O", "O", "B-place", "O"]),
                (["the", "old", "man"], ["O", "B-place", "I-place"]),
                (["sees", "Berlin", "."], ["O", "B-place", "O"]),
            )
        ),
        "utf-8",
    )
    text = (folder / "tiny.toml").read_text("utf-8").replace('kind = "pos"', 'kind = "slots"')
    text = text.replace("train.conll", "train.jsonl").replace("dev.conll", "train.jsonl")
    text = text.replace("eng.conll", "train.jsonl").replace("deu.conll", "train.jsonl")
    (folder / "slots.toml").write_text(text + '[project]\ntrain = "mixed"\nlabelled = { deu = "labelled.jsonl" }\n')
    plan = make_plan(load_config(folder / "slots.toml", [f"runs={folder / 'runs'}"]))
    for key in ("select", "corpus", "align projected", "task"):
        build(plan.stages[key], plan.runs)
    make_project(plan.config, plan.folder("align projected"), plan.folder("task"), tmp_path / "no", folder)
    made = read_task(folder).train[2:]
    assert made
    assert {example.label for example in made} == {"on"}
    assert {tag for example in made for tag in example.tags} <= {"O", "B-place", "I-place"}
    alone = plan.config.model_copy(update={"project": plan.config.project.model_copy(update={"train": "alone"})})
    with pytest.raises(DataError, match=r"has the labels off, so project.train = 'alone'"):
        make_project(alone, plan.folder("align projected"), plan.folder("task"), tmp_path / "no", folder)


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["project.train=mixed", "task.kind=class"], "task.kind = 'class' has no tags to carry"),
        (
            ["project.train=mixed", "align.aligner=none", "realign.objective=sentence"],
            'align.aligner = "none": project.train = "mixed" needs links',
        ),
        (["project.train=mixed", "project.labelled.tur=labelled.conll"], "labels the source side of corpus.files.tur"),
        (["project.labelled.deu=labelled.conll"], 'is read for project.train = "alone" or "mixed" only'),
        (["project.train=mixed", "project.labelled.deu=none.conll"], "there is no such file"),
        (["project.train=both"], "expected 'none', 'alone' or 'mixed'"),
        (["task.shots.deu=deu.conll"], "that is the test file of deu_Latn; nothing may learn from it"),
        (["task.shots.tur=deu.conll"], "that is the test file of deu_Latn"),
        (["task.shots.eng=train.conll"], "that is the source language"),
        (["task.shots.deu=none.conll"], "there is no such file"),
        (["task.few_shot=3"], "task.few_shot says how many examples of task.shots to use"),
    ],
)
def test_mistakes_are_told_before_the_first_stage(folder: Path, overrides: list[str], told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        make_plan(load_config(folder / "tiny.toml", overrides))
    assert len([line for line in raised.value.problems if told in line]) == 1


def test_built_in_tasks_without_tags_are_refused(folder: Path) -> None:
    (folder / "intents.toml").write_text('name = "x"\n[select]\nlanguages = ["deu"]\n[project]\ntrain = "mixed"\n')
    encoder = next(line for line in (folder / "tiny.toml").read_text().splitlines() if "tiny-bert" in line)
    overrides = [f"encoder.{encoder.replace(' ', '')}", "align.layer=2"]
    with pytest.raises(ConfigError, match="the task 'intents' has no tags to carry"):
        make_plan(load_config(folder / "intents.toml", overrides))


def test_shots_of_every_form_and_their_number(folder: Path, stages) -> None:
    plan = stages("task.shots.deu=shots.conll", "task.few_shot=2")
    facts = make_shots(plan.config, plan.folder("task"), folder)
    task, own = read_task(folder), read_task(plan.folder("task"))
    assert not task.tests
    assert facts == {
        "shots": {"deu_Latn": 2}, "times": 12, "train": 48,
        "left_out": {"deu_Latn": {"also in the test": 2, "over task.few_shot": 4}},
    }  # fmt: skip
    assert task.train[:24] == own.train
    assert len(set(task.train[24:])) == 2
    tested = {tuple(word.casefold() for word in example.words) for example in own.tests[DEU]}
    assert not tested & {tuple(word.casefold() for word in example.words) for example in task.train[24:]}
    whole = read_labelled(plan.config, own, folder / "shots.conll", DEU)
    assert set(task.train[24:]) <= set(whole)
    (folder / "shots.conll").write_text(conll(some(GERMAN, 3)).replace("\n", "\r\n"), "utf-8", newline="")
    with pytest.raises(DataError, match=r"nothing is left of it to learn from.*'also in the test': 3"):
        make_shots(plan.config, plan.folder("task"), folder)


@pytest.mark.parametrize("keep", ["best", "last"])
def test_no_test_set_has_a_say_in_training(folder: Path, stages, tmp_path: Path, keep: str) -> None:
    """The same bits come out whatever the tests hold, in whatever languages: nothing chooses by them."""
    plan = stages(f"finetune.keep={keep}")
    task: Task = read_task(plan.folder("task"))
    wrong = {tag: task.tags[n - 1] for n, tag in enumerate(task.tags)}
    swapped = tuple(TaggedExample(e.words, tuple(wrong[tag] for tag in e.tags), e.group) for e in task.train)
    tests = {"as it is": task.tests, "other": {DEU: swapped}, "none": {}}
    weights = []
    for name, found in tests.items():
        at = tmp_path / name
        (at / "task").mkdir(parents=True)
        (at / "task" / "task.json").write_text(task_to_json(dataclasses.replace(task, tests=found)), "utf-8")
        make_finetune(plan.config, at / "task", None, at / "out", at / "work")
        weights.append({k: v for p in sorted((at / "out").glob("*.safetensors")) for k, v in load_file(p).items()})
    first, *others = weights
    for other in others:
        assert first.keys() == other.keys()
        assert all((first[key] == other[key]).all() for key in first)


def test_only_few_shot_reads_target_labels(folder: Path) -> None:
    """The files of target labels are among the inputs of the stages of few-shot alone, directly or through others."""
    plan = make_plan(load_config(folder / "tiny.toml", ["task.shots.deu=shots.conll", "project.train=mixed"]))
    without = make_plan(load_config(folder / "tiny.toml", ["project.train=mixed"]))
    (folder / "shots.conll").write_text(conll(some(GERMAN, 3, 20)), "utf-8")
    changed = make_plan(load_config(folder / "tiny.toml", ["task.shots.deu=shots.conll", "project.train=mixed"]))
    different = {key for key, stage in plan.stages.items() if stage.fingerprint != changed.stages[key].fingerprint}
    assert different == {"shots", "finetune few-shot", "evaluate few-shot"}
    assert all(stage.fingerprint == plan.stages[key].fingerprint for key, stage in without.stages.items())
