"""Fine-tuning an aligner: what learns, that it learns, resuming, shrinking, heads, and the command from end to end."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from xrealign.corpus.embedded import bitext, udhr_segments
from xrealign.errors import ConfigError, DataError
from xrealign.language import parse_language
from xrealign.model.encoder import load_encoder
from xrealign.model.layers import hidden_state
from xrealign.model.words import encode_texts
from xrealign.segment import spans_of_words
from xrealign.train import tune_inputs
from xrealign.train.masked import pair_form
from xrealign.train.self_training import alignment_loss, link_probabilities, self_labels
from xrealign.train.tune import TuneSettings, parse_objectives, tune_aligner
from xrealign.train.tune_command import tune_command
from xrealign.train.tune_inputs import IdentificationStream, UnitStream

SHORT = {"layer": 2, "steps": 12, "batch_size": 4, "learning_rate": 1e-3, "max_length": 24, "checkpoint_every": 100}


@pytest.fixture(scope="session")
def pairs():
    """Beginnings of the Declaration's paragraphs in English with German and Finnish, 20 each."""
    return [
        (pair.src.split()[:8], pair.tgt.split()[:8])
        for code in ("deu", "fin")
        for pair in bitext(udhr_segments(), parse_language("eng"), parse_language(code)).pairs[:20]
    ]


@pytest.fixture(scope="session")
def headed_folder(tmp_path_factory, tiny_folders, tiny_tokenizer):
    """A tiny XLM-R with a masked-LM head."""
    from transformers import AutoConfig, AutoModelForMaskedLM

    folder = tmp_path_factory.mktemp("headed")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        AutoModelForMaskedLM.from_config(AutoConfig.from_pretrained(tiny_folders("xlm-roberta"))).save_pretrained(
            folder
        )
    tiny_tokenizer.save_pretrained(folder)
    return folder


def tuned(folder, pairs, work, groups=None, **settings):
    encoder = load_encoder(str(folder))
    facts = tune_aligner(encoder, pairs, TuneSettings(**{**SHORT, **settings}), work, 5, groups)
    return encoder, facts


def weights(encoder):
    return {name: p.detach().clone() for name, p in encoder.model.named_parameters()}


def test_layers_above_do_not_move(tiny_encoder, pairs, tmp_path):
    before = weights(tiny_encoder)
    facts = tune_aligner(tiny_encoder, pairs, TuneSettings(**SHORT), tmp_path, 0)
    after = weights(tiny_encoder)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == set(facts["moved"])
    assert {name.split(".")[2] for name in moved if ".layer." in name} == {"0", "1"}
    assert "embeddings.word_embeddings.weight" in moved
    assert facts["pairs_drawn"] == 48
    assert facts["layer"] == 2


def test_every_architecture_reads_its_layer(any_tiny_encoder, pairs, tmp_path):
    facts = tune_aligner(any_tiny_encoder, pairs, TuneSettings(**{**SHORT, "steps": 2}), tmp_path, 0)
    blocks = {int(part) for name in facts["moved"] for part in name.split(".") if part.isdigit() and "layer" in name}
    assert blocks == {0, 1}
    assert not [name for name in facts["moved"] if "final_norm" in name or "pooler" in name]


def test_frozen_embeddings_stay(tiny_encoder, pairs, tmp_path):
    before = tiny_encoder.model.get_input_embeddings().weight.detach().clone()
    facts = tune_aligner(tiny_encoder, pairs, TuneSettings(**SHORT, freeze="embeddings"), tmp_path, 0)
    assert torch.equal(tiny_encoder.model.get_input_embeddings().weight, before)
    assert facts["moved"]
    assert not [name for name in facts["moved"] if "embeddings" in name]


def encoded(tokenizer, pairs):
    sides = [[spans_of_words(list(sentence)) for sentence in side] for side in zip(*pairs, strict=True)]
    return [encode_texts(tokenizer, [t for t, _ in made], 24, [s for _, s in made]) for made in sides]


@pytest.mark.parametrize("clean", [True, False])
def test_self_training_makes_its_links_likelier(tiny_encoder_folder, pairs, tmp_path, clean):
    asked = {"threshold": 0.1, "temperature": 10.0, "steps": 30, "objectives": ("so", "co"), "clean_labels": clean}

    def loss(encoder):
        batch = UnitStream(*encoded(encoder.tokenizer, pairs), np.arange(40)[None], 1)(0)
        with torch.no_grad():
            hidden = hidden_state(encoder.model, 2, batch.inputs)
        real = batch.words >= 0
        sides = hidden[:40], hidden[40:], real[:40], real[40:]
        links = self_labels(*link_probabilities(*sides, 10.0), 0.1, batch.words[:40], batch.words[40:])
        return alignment_loss(("so", "co"), *sides, links, 10.0).item()

    before = loss(load_encoder(str(tiny_encoder_folder)))
    encoder, facts = tuned(tiny_encoder_folder, pairs, tmp_path, **asked)
    assert loss(encoder) < before - 0.05
    assert facts["history"][-1]["so+co"] < facts["history"][0]["so+co"]


def test_shrunk_vocabulary_gives_the_same_bits(tiny_encoder_folder, pairs, tmp_path):
    asked = {"clip": None, "weight_decay": 0.0}
    one, _ = tuned(tiny_encoder_folder, pairs, tmp_path / "a", compact_vocabulary=False, **asked)
    other, _ = tuned(tiny_encoder_folder, pairs, tmp_path / "b", **asked)
    compact = weights(other)
    for name, p in weights(one).items():
        assert torch.equal(p, compact[name]), name


def test_groups_are_drawn_with_equal_chances(tiny_encoder_folder, pairs, tmp_path, monkeypatch):
    seen = []
    real = UnitStream.__call__
    monkeypatch.setattr(UnitStream, "__call__", lambda self, step: seen.extend(self.plan[step]) or real(self, step))
    tuned(tiny_encoder_folder, pairs[:22], tmp_path, ["deu"] * 20 + ["fin"] * 2, steps=40)
    share = sum(row >= 20 for row in seen) / len(seen)
    assert 0.35 < share < 0.65  # 160 draws


@pytest.mark.parametrize("objectives", [("so", "psi"), ("so", "tlm", "mlm")])
def test_killed_and_resumed_gives_the_same_bits(headed_folder, pairs, tmp_path, monkeypatch, objectives):
    asked = {"objectives": objectives, "checkpoint_every": 4, "steps": 10}
    whole, facts = tuned(headed_folder, pairs, tmp_path / "a", **asked)
    real = tune_inputs.UnitStream.__call__

    def killed(self, step):
        if step == 6:
            raise KeyboardInterrupt
        return real(self, step)

    with monkeypatch.context() as patch:
        patch.setattr(tune_inputs.UnitStream, "__call__", killed)
        with pytest.raises(KeyboardInterrupt):
            tuned(headed_folder, pairs, tmp_path / "b", **asked)
    assert [p.name for p in (tmp_path / "b").iterdir()] == ["step-00000004"]
    resumed, again = tuned(headed_folder, pairs, tmp_path / "b", **asked)
    after = weights(resumed)
    for name, p in weights(whole).items():
        assert torch.equal(p, after[name]), name
    assert again["history"] == facts["history"]


def test_all_objectives_together_learn(headed_folder, pairs, tmp_path):
    encoder, facts = tuned(
        headed_folder, pairs, tmp_path, objectives=("so", "co", "psi", "mlm", "tlm"), steps=30, learning_rate=3e-3
    )
    first, last = facts["history"][0], facts["history"][-1]
    assert set(last) == {"step", "rate", "so+co", "psi", "mlm", "tlm"}
    for name in ("so+co", "mlm", "tlm"):
        assert last[name] < first[name], name
    blocks = {name.split(".")[2] for name in facts["moved"] if ".layer." in name}
    assert blocks == {"0", "1", "2", "3"}  # language models train all of it
    assert not [name for name, _ in encoder.model.named_parameters() if "lm_head" in name]


def test_identification_pairs(tiny_tokenizer, pairs):
    short = [(src[:4], tgt[:3]) for src, tgt in pairs[:8]]
    src, tgt = encoded(tiny_tokenizer, short)
    stream = IdentificationStream(src, tgt, np.arange(8)[None], 1, pair_form(tiny_tokenizer), 0)
    batch = stream(0)
    assert batch.labels.sum() == 8
    texts = [[" ".join(words) for words in pair] for pair in short]
    true = {tuple(tiny_tokenizer(*turn)["input_ids"]) for a, b in texts for turn in ((a, b), (b, a))}
    for row, label in zip(batch.inputs["input_ids"].tolist(), batch.labels.tolist(), strict=True):
        while row[-1] == 1:
            row.pop()
        assert (tuple(row) in true) == bool(label)
    same = stream(0)
    assert torch.equal(same.inputs["input_ids"], batch.inputs["input_ids"])


def test_language_models_need_a_head(tiny_encoder, pairs, tmp_path):
    with pytest.raises(ConfigError, match="masked-language-model head"):
        tune_aligner(tiny_encoder, pairs, TuneSettings(**SHORT, objectives=("so", "tlm")), tmp_path, 0)


def test_impossible_settings_are_named_together():
    with pytest.raises(ConfigError) as error:
        TuneSettings(objectives=("tml",), steps=0, threshold=1.0, weights={"so": 2.0})
    assert len(error.value.problems) == 4
    assert "did you mean" in error.value.problems[0]
    for wrong in ((), ("so", "so")):
        with pytest.raises(ConfigError, match="each once"):
            TuneSettings(objectives=wrong)
    with pytest.raises(ConfigError, match="psi compares"):
        TuneSettings(objectives=("psi",), batch_size=1)
    assert parse_objectives("TLM+so") == ("so", "tlm")
    assert parse_objectives("so+xx") == ("so", "xx")


@pytest.mark.slow
def test_the_starter_learns_in_twenty_steps(starter, tmp_path):
    """On paragraphs that were not trained on, with dropout off."""
    whole = [
        (pair.src.split()[:20], pair.tgt.split()[:20])
        for code in ("deu", "fin", "tur", "swh")
        for pair in bitext(udhr_segments(), parse_language("eng"), parse_language(code)).pairs
    ]
    held = whole[::5]

    def loss(encoder):
        batch = UnitStream(*encoded(encoder.tokenizer, held), np.arange(len(held))[None], 1)(0)
        with torch.no_grad():
            hidden = hidden_state(encoder.model, 7, batch.inputs)
        real, n = batch.words >= 0, len(held)
        sides = hidden[:n], hidden[n:], real[:n], real[n:]
        links = self_labels(*link_probabilities(*sides, 2.0), 0.1, batch.words[:n], batch.words[n:])
        return alignment_loss(("so",), *sides, links, 2.0).item()

    encoder = load_encoder(str(starter))
    before = loss(encoder)
    trained = [pair for place, pair in enumerate(whole) if place % 5]
    tune_aligner(encoder, trained, TuneSettings(steps=20, max_length=48), tmp_path, 0)
    assert loss(encoder) < before - 0.01


@pytest.fixture
def run():
    app = typer.Typer()
    app.command()(tune_command)
    return lambda *arguments: CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)


@pytest.fixture
def file(tmp_path, pairs):
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"{' '.join(a)}\t{' '.join(b)}\n" for a, b in pairs), encoding="utf-8")
    return path


def test_the_command_and_aligning_with_what_it_made(run, file, tiny_encoder_folder, tmp_path):
    from xrealign.align.command import app as align

    out = tmp_path / "tuned"
    asked = ["--encoder", tiny_encoder_folder, "--layer", 2, "--steps", 6, "--batch-size", 4]
    done = run(file, "-o", out, *asked)
    assert done.exit_code == 0, done.output
    facts = json.loads((out / "tuning.json").read_text("utf-8"))
    assert facts["pairs"] == 40
    assert facts["settings"]["objectives"] == ["so"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["pairs.tsv", "tuned"]
    from transformers import AutoModel, AutoTokenizer

    AutoModel.from_pretrained(out)
    AutoTokenizer.from_pretrained(out)
    links = tmp_path / "links.pharaoh"
    linked = CliRunner().invoke(align, ["pairs", str(file), "-o", str(links), "--encoder", str(out), "--layer", "2"])
    assert linked.exit_code == 0, linked.output
    assert len(links.read_text("utf-8").splitlines()) == 40
    with pytest.raises(ConfigError, match="exists already"):
        run(file, "-o", out, *asked)


def test_a_killed_command_goes_on(run, file, tiny_encoder_folder, tmp_path, monkeypatch):
    asked = ["--encoder", tiny_encoder_folder, "--layer", 2, "--steps", 104, "--batch-size", 2]
    real = tune_inputs.UnitStream.__call__
    steps = []

    def killed(self, step):
        steps.append(step)
        if step == 102 and steps.count(102) == 1:
            raise KeyboardInterrupt
        return real(self, step)

    monkeypatch.setattr(tune_inputs.UnitStream, "__call__", killed)
    stopped = run(file, "-o", tmp_path / "tuned", *asked)
    assert stopped.exit_code != 0
    assert (tmp_path / ".tuned.tuning" / "checkpoints" / "step-00000100").is_dir()
    assert run(file, "-o", tmp_path / "tuned", *asked).exit_code == 0
    assert steps[-4:] == [100, 101, 102, 103]
    assert not (tmp_path / ".tuned.tuning").exists()


def test_checkpoints_of_other_settings_are_dropped(run, file, tiny_encoder_folder, tmp_path, capfd):
    work = tmp_path / ".tuned.tuning"
    (work / "checkpoints").mkdir(parents=True)
    (work / "key.json").write_text("other")
    done = run(file, "-o", tmp_path / "tuned", "--encoder", tiny_encoder_folder, "--layer", 2, "--steps", 1)
    assert done.exit_code == 0
    assert "starting anew" in done.output + capfd.readouterr().err


def test_faults_of_the_input_are_told_first(run, file, tiny_encoder_folder, tmp_path):
    with file.open("a", encoding="utf-8") as lines:
        lines.write("one side\n")
    with pytest.raises(DataError, match=r"pairs\.tsv:41"):
        run(file, "-o", tmp_path / "tuned", "--encoder", tiny_encoder_folder, "--layer", 2)
    done = run(file, "-o", tmp_path / "t", "--encoder", tiny_encoder_folder, "--layer", 2, "--steps", 1, "--lenient")
    assert done.exit_code == 0
    with pytest.raises(ConfigError, match="--freeze half"):
        run(file, "-o", tmp_path / "tuned", "--freeze", "half")
    with pytest.raises(ConfigError, match="there is no folder"):
        run(file, "-o", tmp_path / "none" / "tuned")
    shutil.rmtree(tmp_path / "t")
