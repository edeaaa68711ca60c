"""The whole road on a tiny encoder: from a configuration to a report, killed on the way, run twice, broken."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from safetensors.numpy import load_file
from typer.testing import CliRunner

from xrealign.cli import app, main
from xrealign.errors import ConfigError

XREALIGN = [sys.executable, "-c", "from xrealign.cli import main; main()"]
CONFIG = """
name = "tiny"
[encoder]
name = "{encoder}"
seen = "xlm-r"
[select]
candidates = ["swh", "tur", "fin", "zho", "hin", "deu"]
k = 2
[corpus]
sources = ["cldr"]
held_out = 0.5
max_pairs = 40
[align]
layer = 2
[realign]
steps = 30
batch_size = 4
checkpoint_every = 5
freeze = "none"
learning_rate = 1e-3
[task]
train_size = 200
dev_size = 20
test_size = 5
targets = ["deu", "swh", "yue"]
[finetune]
steps = 30
batch_size = 4
checkpoint_every = 5
learning_rate = 1e-3
[measure]
max_concepts = 10
"""


@pytest.fixture
def config(tmp_path, tiny_encoder_folder):
    path = tmp_path / "tiny.toml"
    path.write_text(CONFIG.format(encoder=tiny_encoder_folder) + "[report]\nfigures = []\n", "utf-8")
    return path


def xrealign(folder: Path, *arguments: str, **options):
    return subprocess.run(
        [*XREALIGN, *arguments], cwd=folder, capture_output=True, text=True, encoding="utf-8", timeout=300, **options
    )


def results(runs: Path) -> dict[str, bytes]:
    """Every file of every result but manifests, which hold times."""
    return {
        f"{path.parent.parent.name}/{path.parent.name}/{path.name}": path.read_bytes()
        for verb in ("select", "corpus", "align", "task", "realign", "finetune", "evaluate", "measure")
        for path in sorted((runs / verb).glob("*/*"))
        if path.name != "manifest.json"
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_encoder_folder):
    """A run from start to end, undisturbed."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "tiny.toml").write_text(CONFIG.format(encoder=tiny_encoder_folder), "utf-8")
    done = xrealign(folder, "run", "tiny.toml")
    assert done.returncode == 0, done.stderr
    return folder, done


def test_a_run_makes_all_it_promises(finished):
    folder, done = finished
    run = folder / "runs" / "tiny"
    names = {path.name for path in run.iterdir()}
    assert {
        "report.html",
        "report.md",
        "scores.parquet",
        "scores.csv",
        "encoder",
        "config.toml",
        "run.json",
        "events.jsonl",
    } <= names
    for method in ("base", "centred", "control", "realigned"):
        assert method in done.stdout
    assert "15/15" in done.stderr
    assert not list((folder / "runs" / ".work").glob("*/"))


def test_the_encoder_loads_as_any_other(finished):
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = finished[0] / "runs" / "tiny" / "encoder"
    model, info = AutoModel.from_pretrained(folder, output_loading_info=True)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    with torch.inference_mode():
        state = model(**tokenizer(["turn on the light"], return_tensors="pt")).last_hidden_state
    assert torch.isfinite(state).all()
    card = (folder / "README.md").read_text("utf-8")
    assert card.startswith("---\n")
    for needed in ("library_name: transformers", "baseline", "control", "realigned", "swh", "tur"):
        assert needed in card


def test_scores_are_tidy_and_signed(finished):
    from xrealign.report import read_scores

    scores = read_scores(finished[0] / "runs" / "tiny" / "scores.parquet")
    assert {score.method for score in scores} == {"baseline", "centred", "control", "realigned"}
    assert {score.task for score in scores} == {"intents", "word-retrieval", "sentence-retrieval"}
    assert {score.variant for score in scores if score.task != "intents"} == {"raw", "centred"}
    assert all((-1 if s.metric == "mcc" else 0) <= s.value <= 1 and s.n > 0 and s.signature for s in scores)
    assert {"eng_Latn", "deu_Latn", "swh_Latn", "yue_Hant"} == {s.language for s in scores if s.task == "intents"}


def test_the_second_time_there_is_nothing_to_do(finished):
    folder, first = finished
    before = {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("*") if path.name != ".work"}
    again = xrealign(folder, "run", "tiny.toml")
    assert again.returncode == 0
    assert "nothing to do" in again.stderr
    assert again.stdout == first.stdout
    assert {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("*") if path.name != ".work"} == before


def test_a_change_in_fine_tuning_repeats_nothing_before_it(finished):
    folder, _ = finished
    checked = xrealign(folder, "check", "tiny.toml", "--set", "finetune.steps=31")
    assert checked.returncode == 0, checked.stderr
    todo = [line.split()[1] for line in checked.stdout.splitlines() if "to do" in line]
    assert set(todo) == {"finetune", "evaluate"}


def test_show_prints_the_report_again(finished):
    folder, first = finished
    shown = xrealign(folder, "show", "tiny")
    assert (shown.returncode, shown.stdout) == (0, first.stdout)
    unknown = xrealign(folder, "show", "tiyn")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "did you mean 'tiny'" in unknown.stderr


@pytest.mark.slow  # the fast part of the fault suite kills a smaller run
@pytest.mark.parametrize("moment", range(3))
def test_killed_at_random_and_run_again_ends_in_the_same_bits(finished, config, moment):
    """kill -9 in realign or fine-tuning: what is left is neither lost nor trusted blindly."""
    draw = random.Random(moment)
    folder = config.parent
    stage = ("realign-", "finetune-")[moment % 2]
    process = subprocess.Popen(
        [*XREALIGN, "run", config.name], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and process.poll() is None:
        if list((folder / "runs" / ".work").glob(f"{stage}*/step-*")):
            break
        time.sleep(0.01)
    time.sleep(draw.uniform(0, 0.15))
    assert process.poll() is None, "the run ended before it could be killed"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (folder / "runs" / "tiny").exists()
    again = xrealign(folder, "run", config.name)
    assert again.returncode == 0, again.stderr
    ours, theirs = results(folder / "runs"), results(finished[0] / "runs")
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []


def test_a_damaged_result_is_made_again(finished):
    folder, _ = finished
    model = next((folder / "runs" / "measure").glob("*/scores.json"))
    whole = model.read_bytes()
    model.write_bytes(whole[:-20])
    again = xrealign(folder, "run", "tiny.toml")
    assert again.returncode == 0, again.stderr
    assert "; the result is made again" in again.stderr
    assert model.read_bytes() == whole


def test_an_edit_in_the_folder_of_a_run_leaves_the_results_as_they_are(finished):
    """In place, as ``sed -i`` does not but many an editor does; only weights are shared with the results."""
    folder, _ = finished
    run, before = folder / "runs" / "tiny", results(folder / "runs")
    edited = [run / "encoder" / "config.json", run / "models" / "realigned" / "labels.json"]
    texts = [path.read_text("utf-8") for path in edited]
    for path in edited:
        with path.open("r+", encoding="utf-8") as file:
            file.write("edited")
    assert results(folder / "runs") == before
    again = xrealign(folder, "run", "tiny.toml")
    assert again.returncode == 0, again.stderr
    assert f"{run.relative_to(folder)} is laid out again" in again.stderr
    assert "the result is made again" not in again.stderr
    assert [path.read_text("utf-8") for path in edited] == texts
    weights = next((run / "encoder").glob("*.safetensors"))
    assert weights.stat().st_nlink > 1, "weights are not on the disk twice"


def test_baseline_and_realigned_start_from_the_same_head_and_data(finished):
    """Only the encoder differs: with no realignment steps the two fine-tunings are one and the same result."""
    folder, _ = finished
    plan = json.loads((folder / "runs" / "tiny" / "run.json").read_text())["stages"]
    manifests = {
        key: json.loads((folder / "runs" / "tiny" / stage["folder"] / "manifest.json").read_text())
        for key, stage in plan.items()
        if key.startswith("finetune")
    }
    first, *others = manifests.values()
    assert all(other["settings"] == first["settings"] for other in others)
    assert all(other["inputs"]["task"] == first["inputs"]["task"] for other in others)
    heads = [load_file(folder / "runs" / "tiny" / plan[key]["folder"] / "head.safetensors") for key in manifests]
    assert all(head["linear.weight"].shape == heads[0]["linear.weight"].shape for head in heads)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "none.toml"], "cannot be read"),
        (["run", "tiny.toml", "--set", "select.k=9"], "there are only 6 candidates"),
        (["run", "tiny.toml", "--set", "align.layer=7"], "layer 7 does not exist"),
        (["run", "tiny.toml", "--set", "realign.precision=bf16"], "bfloat16"),
        (["run", "tiny.toml", "--set", "select.criterion=maxsom"], "select.criterion"),
        (["run", "tiny.toml", "--set", "select.distance=uriel-featurl"], "did you mean 'uriel-featural'"),
        (["check", "tiny.toml", "--set", 'select.candidates=["deu","xqz"]'], "xqz"),
    ],
)
def test_mistakes_are_told_in_a_line_and_exit_with_2(config, arguments, told, monkeypatch, capfd):
    monkeypatch.chdir(config.parent)
    monkeypatch.setattr(sys, "argv", ["xrealign", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capfd.readouterr()
    assert (ended.value.code, out) == (2, "")
    assert told in err
    assert "Traceback" not in err


def test_what_is_not_there_offline_is_told_with_the_command_that_gets_it(config):
    arguments = ["run", "tiny.toml", "--set", "encoder.name=nobody/nothing"]
    done = xrealign(config.parent, *arguments, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    assert (done.returncode, done.stdout) == (2, "")
    assert "hf download nobody/nothing" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_is_there_at_once_and_teaches():
    start = time.perf_counter()
    done = xrealign(Path.cwd(), "--help")
    assert done.returncode == 0
    assert time.perf_counter() - start < 5  # the promise of half a second is for an idle machine
    for verb in ("run", "check", "show", "select", "data", "doctor"):
        assert verb in done.stdout


STRATEGY_STEPS = ["--set", "realign.steps=3", "--set", "finetune.steps=3", "--set", "corpus.max_pairs=10"]
SMALLER = ["--set", "task.train_size=20", "--set", "task.test_size=2", "--set", 'task.targets=["deu"]']


@pytest.mark.parametrize(
    ("strategy", "trained", "evaluated"),
    [
        pytest.param("none", [], ["baseline", "centred"], marks=pytest.mark.slow),
        ("during", ["finetune realigned", "finetune control"], ["baseline", "centred", "control", "realigned"]),
        ("after", ["realign realigned", "realign control"], ["baseline", "centred", "control", "realigned"]),
        pytest.param(
            "before+during",
            ["realign realigned", "finetune realigned", "realign control", "finetune control"],
            ["baseline", "centred", "control", "realigned"],
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "alternating",
            ["finetune realigned", "finetune control"],
            ["baseline", "centred", "control", "realigned"],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_every_strategy_runs_with_both_controls(config, strategy, trained, evaluated):
    from xrealign.report import read_scores

    done = xrealign(
        config.parent, "run", "tiny.toml", "--set", f"realign.strategy={strategy}", *STRATEGY_STEPS, *SMALLER
    )
    assert done.returncode == 0, done.stderr
    run = config.parent / "runs" / "tiny"
    plan = json.loads((run / "run.json").read_text())["stages"]
    made = [key for key in plan if key.split()[0] in ("realign", "finetune")]
    assert made == ["finetune baseline", *trained]
    assert {score.method for score in read_scores(run / "scores.parquet")} == set(evaluated)
    assert (run / "encoder").is_dir() == (strategy != "none")
    if strategy == "none":
        return
    assert "block 4 by" in done.stderr
    assert not (run / "encoder" / "head.safetensors").exists()
    names = {key: load_all(run / plan[key]["folder"]) for key in ("finetune baseline", trained[-1])}
    if strategy == "after":  # the head is the one that was fine-tuned
        heads = [load_file(run / plan[key]["folder"] / "head.safetensors")["linear.weight"] for key in names]
        assert (heads[0] == heads[1]).all()
    first, other = names.values()
    assert any((first[name] != other[name]).any() for name in first)


def load_all(folder: Path) -> dict:
    return {k: v for path in sorted(folder.glob("model*.safetensors")) for k, v in load_file(path).items()}


PAIRS = """name = "pairs"
[encoder]
name = "encoder"
attention = "{attention}"
[corpus.files]
swh = "swh.tsv"
[align]
layer = 2
[realign]
steps = 3
batch_size = 4
learning_rate = 1e-2
control = false
"""


def pairs_folder(folder: Path, encoder: Path) -> Path:
    """A user's folder: an encoder, sentence pairs, a configuration; no task."""
    import shutil

    from xrealign.corpus.embedded import bitext, udhr_segments
    from xrealign.language import parse_language

    pairs = bitext(udhr_segments(), parse_language("eng"), parse_language("swh")).pairs[:24]
    (folder / "swh.tsv").write_text("".join(f"{pair.src}\t{pair.tgt}\n" for pair in pairs), "utf-8")
    shutil.copytree(encoder, folder / "encoder")
    kind = json.loads((encoder / "config.json").read_text("utf-8"))["model_type"]
    attention = "eager" if kind == "deberta-v2" else "sdpa"
    (folder / "pairs.toml").write_text(PAIRS.format(attention=attention), "utf-8")
    return folder


def drift_of(folder: Path) -> dict[str, float]:
    (manifest,) = (folder / "runs" / "realign").glob("*/manifest.json")
    return json.loads(manifest.read_text("utf-8"))["facts"]["drift"]


@pytest.mark.parametrize("architecture", ["bert", "distilbert", "xlm-roberta", "deberta-v2", "modernbert"])
def test_realign_alone_needs_pairs_and_a_folder_and_the_result_loads(tmp_path, tiny_folders, architecture):
    from transformers import AutoModel, AutoTokenizer

    from xrealign.config import load_config
    from xrealign.run import realign_only

    folder = pairs_folder(tmp_path, tiny_folders(architecture))
    made = realign_only(load_config(folder / "pairs.toml", [f"runs={folder / 'runs'}"]))
    assert made == folder / "runs" / "pairs-encoder"
    model, info = AutoModel.from_pretrained(made, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert len(AutoTokenizer.from_pretrained(made)("nyumba")["input_ids"]) > 2
    drift = drift_of(folder)
    assert [part for part in ("embeddings", "block 1", "block 2") if drift[part]] == []
    assert min(drift["block 3"], drift["block 4"]) > 0
    before = AutoModel.from_pretrained(folder / "encoder").state_dict()
    assert any((before[name] != weight).any() for name, weight in model.state_dict().items())


@pytest.mark.parametrize(
    ("architecture", "settings", "moved"),
    [
        ("bert", ["strategy=before_dico"], {"embeddings", "block 1", "block 2", "block 3", "block 4"}),
        ("bert", ["strategy=freeze_realign_unfreeze_noaligner"], {"block 3", "block 4"}),
        ("bert", ["preset=published", "steps=3", "freeze=front"], {"embeddings", "block 3"}),
        ("xlm-roberta", ["preset=published", "steps=3", "freeze=blocks 1-2"], {"embeddings", "block 3"}),
        ("distilbert", ["layer=2", "freeze=none"], {"embeddings", "block 1", "block 2"}),
        ("deberta-v2", ["layer=3", "freeze=only blocks 1"], {"block 1"}),
        ("modernbert", ["objective={word=1.0, sentence=0.5}", "layers=[2,3]", "freeze=embeddings"],
         {"block 1", "block 2", "block 3"}),
    ],
)  # fmt: skip
def test_strategy_freeze_layer_and_preset_decide_what_moves(tmp_path, tiny_folders, architecture, settings, moved):
    from xrealign.config import load_config
    from xrealign.run import realign_only

    folder = pairs_folder(tmp_path, tiny_folders(architecture))
    text = (folder / "pairs.toml").read_text("utf-8").replace("[align]\nlayer = 2", "[align]\nlayer = 3")
    (folder / "pairs.toml").write_text(text, "utf-8")
    overrides = [f"runs={folder / 'runs'}", *(f"realign.{setting}" for setting in settings)]
    if "dico" in settings[0]:
        lines = ["the\tya", "and\tna", "right\thaki", "everyone\tkila", "all\twote"]
        (folder / "dictionary.tsv").write_text("\n".join(lines) + "\n", "utf-8")
        overrides.append(f"align.dictionaries.swh={folder / 'dictionary.tsv'}")
    realign_only(load_config(folder / "pairs.toml", overrides))
    assert {part for part, share in drift_of(folder).items() if share > 0 and part != "the rest"} == moved


def test_realign_on_the_command_line_replaces_only_its_own(tmp_path, tiny_encoder_folder, monkeypatch):
    folder = pairs_folder(tmp_path, tiny_encoder_folder)
    done = xrealign(folder, "realign", "pairs.toml", "-o", "mine")
    assert (done.returncode, done.stdout) == (0, "mine\n"), done.stderr
    assert "block 4 by" in done.stderr
    assert "unchanged: embeddings" in done.stderr
    (folder / "other").mkdir()
    monkeypatch.chdir(folder)
    invoke = partial(CliRunner().invoke, app, catch_exceptions=False)
    assert invoke(["realign", "pairs.toml", "-o", "mine"]).exit_code == 0
    with pytest.raises(ConfigError, match="other is there and holds no encoder saved by this program"):
        invoke(["realign", "pairs.toml", "-o", "other"])
    with pytest.raises(ConfigError, match="does not realign before the task is learned"):
        invoke(["realign", "pairs.toml", "--set", "realign.strategy=after"])
