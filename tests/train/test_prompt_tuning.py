"""Prompt tuning: prompt and head learn, the encoder keeps every bit, and a saved model scores what it scored."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from xrealign.cli import app
from xrealign.config import load_config
from xrealign.errors import ConfigError, DataError
from xrealign.evaluating import make_evaluate
from xrealign.language import parse_language
from xrealign.model.encoder import load_encoder, save_encoder
from xrealign.model.prompt import VECTORS
from xrealign.scoring import read_scores
from xrealign.stages import make_task
from xrealign.tasks.metrics import MAIN_METRIC, score
from xrealign.tasks.statistics import majority, task_statistics
from xrealign.tasks.task import Example, TaggedExample, Task
from xrealign.train import loop
from xrealign.train.averaging import average_models
from xrealign.train.finetune import FinetuneSettings, finetune
from xrealign.train.heads import load_head, save_head
from xrealign.train.joint import joint
from xrealign.train.predict import predict
from xrealign.train.prompt_tuning import PromptSettings, start_prompt
from xrealign.train.realign import RealignSettings
from xrealign.train.task_inputs import encode_task
from xrealign.training import make_finetune

THINGS, PEOPLE, FILLERS = (
    ("dignity", "rights", "freedom", "peace"),
    ("members", "human", "family"),
    ("the", "of", "and"),
)
TINY = FinetuneSettings(
    steps=6, batch_size=8, learning_rate=1e-2, max_length=48, checkpoint_every=2, adapter="prompt", prompt={"length": 4}
)


def words_of(draw):
    return tuple(str(w) for w in draw.choice([*THINGS, *PEOPLE, *FILLERS], size=draw.integers(3, 9)))


def make(kind, count=60, dev=20):
    """Random word strings whose labels can be read off the words."""
    draw, examples = np.random.default_rng(0), []
    for number in range(count + dev):
        words = words_of(draw)
        if kind == "class":
            label = "person" if any(w in PEOPLE for w in words) else "thing"
            examples.append(Example(" ".join(words), label, str(number)))
        else:
            tags = tuple("THING" if w in THINGS else "PERSON" if w in PEOPLE else "FILLER" for w in words)
            examples.append(TaggedExample(words, tags, str(number)))
    names = (("person", "thing"), ()) if kind == "class" else ((), ("FILLER", "PERSON", "THING"))
    train, dev_set = tuple(examples[:count]), tuple(examples[count:])
    return Task("words", kind, parse_language("eng"), names[0], train, dev_set, {}, tags=names[1])


def run(folder, task, settings, work, seed=3):
    encoder = load_encoder(str(folder))
    head, facts = finetune(encoder, task, settings, work, seed)
    return encoder, head, facts


def weights_of(encoder, head):
    found = dict(encoder.model.named_parameters()) | {f"head.{name}": p for name, p in head.named_parameters()}
    return {name: p.detach().clone() for name, p in found.items()}


def dev_score(encoder, head, task):
    found = predict(encoder, head, task.kind, task.dev, task.labels, task.tags, max_length=48)[""]
    return score(
        task_statistics(task.kind, task.dev, found.predictions, task.labels, task.tags), MAIN_METRIC[task.kind]
    )


@pytest.mark.parametrize(("compact", "steps", "least"), [(True, 80, 0.8), (False, 3, 0.0)])
def test_prompt_and_head_learn_and_nothing_else(tiny_encoder_folder, tmp_path, compact, steps, least):
    task, before = make("pos", count=120), load_encoder(str(tiny_encoder_folder))
    settings = dataclasses.replace(
        TINY, steps=steps, learning_rate=3e-2, batch_size=16, weight_decay=0.1, compact_vocabulary=compact
    )
    encoder, head, facts = run(tiny_encoder_folder, task, settings, tmp_path)
    for name, p in before.model.named_parameters():
        assert torch.equal(encoder.model.get_parameter(name), p), name
    assert set(facts["moved"]) == {VECTORS}
    guesses = majority(task.kind, task.dev, task.labels, task.tags)
    assert score(task_statistics(task.kind, task.dev, guesses, task.labels, task.tags), "accuracy") < 0.6
    assert dev_score(encoder, head, task) > least


def test_the_prompt_begins_with_frequent_subwords_by_the_seed_alone(tiny_encoder_folder):
    task = make("class")
    found = []
    for seed in (3, 3, 4):
        encoder = load_encoder(str(tiny_encoder_folder))
        inputs = encode_task(encoder.tokenizer, "class", task.train, 48)
        torch.manual_seed(seed * len(found))  # whatever was drawn before
        start_prompt(encoder, inputs, PromptSettings(6), 48, seed)
        matrix = encoder.model.get_input_embeddings().weight
        rows = [int((matrix == vector).all(1).nonzero()[0]) for vector in encoder.model.prompt_embeddings.vectors]
        assert len(set(rows)) == 6
        assert set(rows) <= set(inputs.texts.ids.tolist()) - set(encoder.tokenizer.all_special_ids)
        found.append(rows)
    assert found[0] == found[1] != found[2]
    encoder = load_encoder(str(tiny_encoder_folder))
    start_prompt(encoder, encode_task(encoder.tokenizer, "class", task.train, 48), PromptSettings(400), 48, 3)
    assert encoder.model.prompt_embeddings.vectors.shape == (400, 32)  # more than there are subwords: some twice


@pytest.mark.parametrize("kept", [{}, {"keep": "best"}, {"average": 2}])
def test_killed_and_run_again_it_ends_in_the_same_bits(tiny_encoder_folder, tmp_path, monkeypatch, kept):
    task = make("pos", count=30)
    settings = dataclasses.replace(TINY, epochs=4, batch_size=16, checkpoint_every=3, **kept)
    wanted = run(tiny_encoder_folder, task, settings, tmp_path / "a")
    real, calls = loop.rate_at, []

    def dies(phase, step):
        calls.append(step)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return real(phase, step)

    monkeypatch.setattr(loop, "rate_at", dies)
    with pytest.raises(KeyboardInterrupt):
        run(tiny_encoder_folder, task, settings, tmp_path / "b")
    monkeypatch.setattr(loop, "rate_at", real)
    again = run(tiny_encoder_folder, task, settings, tmp_path / "b")
    assert again[2] == wanted[2]
    first, second = weights_of(*wanted[:2]), weights_of(*again[:2])
    assert first.keys() == second.keys()
    assert all(torch.equal(second[name], p) for name, p in first.items())


def saved(folder, out, task, work, seed=3, settings=TINY):
    encoder, head, facts = run(folder, task, settings, work, seed)
    save_encoder(encoder, out, base=encoder.folder)
    save_head(out, head, task.kind, task.labels, task.tags)
    return encoder, head, facts


def test_the_best_by_dev_is_what_the_saved_model_scores(tiny_encoder_folder, tmp_path):
    task = make("pos")
    settings = dataclasses.replace(TINY, epochs=6, batch_size=20, learning_rate=0.1, keep="best", schedule="constant")
    encoder, head, facts = saved(tiny_encoder_folder, tmp_path / "m", task, tmp_path / "w", settings=settings)
    best = max(row["dev"] for row in facts["history"] if "dev" in row)
    again = load_encoder(str(tmp_path / "m"))
    assert dev_score(again, load_head(tmp_path / "m")[0], task) == dev_score(encoder, head, task) == best


def test_models_of_several_runs_have_a_mean_and_others_none(tiny_encoder_folder, tmp_path):
    task = make("pos")
    own = [weights_of(*saved(tiny_encoder_folder, tmp_path / str(n), task, tmp_path / f"w{n}", n)[:2]) for n in (1, 2)]
    average_models([tmp_path / "1", tmp_path / "2"], tmp_path / "mean")
    mean = weights_of(load_encoder(str(tmp_path / "mean")), load_head(tmp_path / "mean")[0])
    assert mean.keys() == own[0].keys()
    for name, p in mean.items():
        assert torch.allclose(p.double(), (own[0][name].double() + own[1][name].double()) / 2, rtol=0, atol=1e-7), name
    assert not torch.equal(own[0][VECTORS], own[1][VECTORS])
    for number, other in enumerate(({"prompt": {"length": 5}}, {"adapter": "none"})):
        settings = dataclasses.replace(TINY, steps=1, **other)
        saved(tiny_encoder_folder, tmp_path / f"o{number}", task, tmp_path / f"x{number}", settings=settings)
        with pytest.raises(DataError, match="weights have other names or shapes"):
            average_models([tmp_path / "1", tmp_path / f"o{number}"], tmp_path / "none")


def test_evaluating_the_model_gives_what_the_run_gave(tiny_encoder_folder, tmp_path):
    """The stages of a run, then ``xrealign evaluate --model`` on its folder, with maps fitted through the prompt."""
    tags = dict.fromkeys(THINGS, "NOUN") | dict.fromkeys(PEOPLE, "PROPN") | dict.fromkeys(FILLERS, "DET")
    draw = np.random.default_rng(1)
    for name, count in (("eng", 60), ("deu", 30), ("dev", 20)):
        blocks = [
            "".join(f"{n}\t{word}\t_\t{tags[word]}\t_\t_\t0\t_\t_\t_\n" for n, word in enumerate(words_of(draw), 1))
            for _ in range(count)
        ]
        (tmp_path / f"{name}.conllu").write_text("\n".join([*blocks, ""]), "utf-8")
    (tmp_path / "c.toml").write_text(
        f"""name = "x"
encoder.name = "{tiny_encoder_folder}"
[task]
name = "own"
kind = "pos"
train = "eng.conllu"
dev = "dev.conllu"
tests = {{ eng = "dev.conllu", deu = "deu.conllu" }}
[finetune]
adapter = "prompt"
prompt.length = 5
steps = 40
learning_rate = 0.03
max_length = 32
[realign]
strategy = "none"
""",
        "utf-8",
    )
    config = load_config(tmp_path / "c.toml")
    task, model, out, work = (tmp_path / name for name in ("task", "model", "out", "work"))
    for folder in (task, model, out):
        folder.mkdir()
    make_task(config, task)
    make_finetune(config, task, None, model, work)
    assert (model / "prompt.safetensors").is_file()
    make_evaluate(config, task, model, out, work, "baseline")
    of_the_run = {s.language: s.value for s in read_scores(out) if (s.method, s.metric) == ("baseline", "accuracy")}
    arguments = ["evaluate", "--model", model, "--task", "pos", "--format", "json", "--max-length", "32"]
    arguments += ["--data", f"deu={tmp_path / 'deu.conllu'}", f"eng={tmp_path / 'dev.conllu'}"]

    def evaluated():
        done = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
        return {one["language"]: one["value"] for one in json.loads(done.stdout)["results"]}

    assert evaluated() == of_the_run
    assert set(of_the_run) == {"deu_Latn", "eng_Latn"}
    (model / "prompt.safetensors").unlink()
    assert evaluated() != of_the_run  # or the prompt would not have been read


def test_what_does_not_go_together_is_refused(tiny_encoder, aligned, tmp_path):
    task = make("pos")
    for settings, told in (
        ({"freeze": "front"}, r"leaves the encoder as it is: it does not go with freeze = 'front'"),
        ({"prompt": {"length": 0}}, r"prompt.length = 0 is impossible; expected 1 or more"),
    ):
        with pytest.raises(ConfigError, match=told):
            finetune(tiny_encoder, task, dataclasses.replace(TINY, **settings), tmp_path, 3)
    realigning = RealignSettings(objective="word", steps=1, batch_size=4, projection=None, watch="off")
    with pytest.raises(ConfigError, match=r"finetune\.adapter = 'prompt' is for fine-tuning alone, not for 'during'"):
        joint(tiny_encoder, aligned, task, realigning, TINY, tmp_path, 3, strategy="during")
    with pytest.raises(ConfigError, match=r"500 vectors before texts of 48 subwords .* max_length may be 12 at most"):
        finetune(tiny_encoder, task, dataclasses.replace(TINY, prompt={"length": 500}), tmp_path, 3)
