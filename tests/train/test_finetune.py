"""Fine-tuning on every kind of task: it learns, ends with the weights it was told to, and survives being killed."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from xrealign.errors import ConfigError, DataError
from xrealign.language import parse_language
from xrealign.model.encoder import load_encoder, save_encoder
from xrealign.tasks.metrics import MAIN_METRIC, score
from xrealign.tasks.statistics import majority, task_statistics
from xrealign.tasks.task import Example, PairExample, QuestionExample, TaggedExample, Task, labels_of, tags_of
from xrealign.train import loop
from xrealign.train.averaging import average_models
from xrealign.train.finetune import FinetuneSettings, finetune, finetune_side, steps_of
from xrealign.train.heads import load_head, save_head
from xrealign.train.joint import joint
from xrealign.train.keeping import points_of
from xrealign.train.lora import LoraSettings
from xrealign.train.predict import predict
from xrealign.train.realign import RealignSettings
from xrealign.train.task_inputs import encode_task

ENGLISH = parse_language("eng")
THINGS = ("dignity", "rights", "freedom", "peace")
PEOPLE = ("members", "human", "family", "peoples")
FILLERS = ("the", "of", "and", "in", "to", "whereas")


def make_task(kind, count=60, dev=20):
    """Random word strings whose labels can be read off the words."""
    draw = np.random.default_rng(0)
    examples = []
    for number in range(count + dev):
        words = tuple(str(w) for w in draw.choice([*THINGS, *PEOPLE, *FILLERS], size=draw.integers(3, 9)))
        group, text = str(number), " ".join(words)
        if kind == "class":
            examples.append(Example(text, "person" if any(w in PEOPLE for w in words) else "thing", group))
        elif kind == "pair":
            other = " ".join(str(w) for w in draw.choice(THINGS if number % 2 else PEOPLE, size=3))
            examples.append(PairExample(text, other, "thing" if number % 2 else "person", group))
        elif kind == "qa":
            answer = next((w for w in words if w in THINGS), None)
            answers = () if answer is None else ((answer, text.index(answer)),)
            examples.append(QuestionExample(group, "what?", text, answers, group))
        elif kind == "pos":
            tags = tuple("THING" if w in THINGS else "PERSON" if w in PEOPLE else "FILLER" for w in words)
            examples.append(TaggedExample(words, tags, group))
        else:
            tags = ["B-T" if w in THINGS else "O" for w in words]
            tags = tuple("I-T" if n and tag == "B-T" and tags[n - 1] == "B-T" else tag for n, tag in enumerate(tags))
            label = ("person" if words[-1] in PEOPLE else "other") if kind == "slots" else ""
            examples.append(TaggedExample(words, tags, group, label))
    train = tuple(examples[:count])
    labels = tuple(sorted({name for e in train for name in labels_of(e)}))
    tags = tuple(sorted({name for e in train for name in tags_of(e)}))
    return Task("words", kind, ENGLISH, labels, train, tuple(examples[count:]), {}, tags=tags)


TINY = FinetuneSettings(steps=6, batch_size=8, learning_rate=1e-3, max_length=48, checkpoint_every=2)


def run(folder, task, settings, work, seed=3):
    encoder = load_encoder(str(folder))
    head, facts = finetune(encoder, task, settings, work, seed)
    weights = {name: p.detach().clone() for name, p in encoder.model.named_parameters()}
    return encoder, head, weights | {f"head.{n}": p.detach().clone() for n, p in head.named_parameters()}, facts


def dev_score(encoder, head, task, **settings):
    found = predict(encoder, head, task.kind, task.dev, task.labels, task.tags, max_length=48, **settings)[""]
    statistics = task_statistics(task.kind, task.dev, found.predictions, task.labels, task.tags)
    return score(statistics, MAIN_METRIC[task.kind])


@pytest.mark.parametrize(
    ("kind", "least"),
    [
        ("pos", 0.9),
        ("ner", 0.6),
        ("qa", 0.65),
        pytest.param("class", 0.9, marks=pytest.mark.slow),
        pytest.param("pair", 0.95, marks=pytest.mark.slow),
        pytest.param("slots", 0.6, marks=pytest.mark.slow),
    ],
)
def test_a_tiny_encoder_learns_what_can_be_learned(tiny_encoder_folder, tmp_path, kind, least):
    task = make_task(kind, count=120)
    settings = dataclasses.replace(TINY, steps=120, learning_rate=3e-3, batch_size=16, max_length=48)
    encoder, head, _, facts = run(tiny_encoder_folder, task, settings, tmp_path)
    assert dev_score(encoder, head, task) >= least
    guesses = majority(kind, task.dev, task.labels, task.tags)
    guess = score(task_statistics(kind, task.dev, guesses, task.labels, task.tags), MAIN_METRIC[kind])
    assert guess < least
    assert facts["examples"] == 120
    if kind == "qa":
        assert head.impossible


@pytest.mark.parametrize(
    ("freeze", "adapter", "moves"),
    [
        ("none", "none", lambda name: True),
        ("front", "none", lambda name: "layer.2." in name or "layer.3." in name),
        ("only biases", "none", lambda name: name.endswith(".bias")),
        ("only norms", "none", lambda name: "LayerNorm" in name),
        ("all", "none", lambda name: False),
        ("none", "lora", lambda name: name.endswith(".weight") and "layer." in name and "LayerNorm" not in name),
    ],
)
def test_what_learns_is_what_the_settings_say(tiny_encoder_folder, tmp_path, freeze, adapter, moves):
    """Full, frozen, BitFit, LNFit, a probe and LoRA, for tags; the head learns in all of them."""
    if adapter == "lora":
        pytest.importorskip("peft")
    task, before = make_task("pos"), load_encoder(str(tiny_encoder_folder)).model.state_dict()
    settings = dataclasses.replace(TINY, freeze=freeze, adapter=adapter, learning_rate=1e-2)
    _, _, after, facts = run(tiny_encoder_folder, task, settings, tmp_path)
    for name, weight in before.items():
        if name.startswith("pooler") or "key.bias" in name or "token_type" in name:
            continue  # no loss reads the pooler; the key's bias has no gradient but rounding
        if name == "embeddings.position_embeddings.weight" or name == "embeddings.word_embeddings.weight":
            assert torch.equal(weight, after[name]) != moves(name), name
            continue
        assert torch.equal(weight, after[name]) != moves(name), name
    assert facts["history"][-1]["step"] == 6
    if adapter == "lora":
        change = (
            after["encoder.layer.1.attention.self.query.weight"] - before["encoder.layer.1.attention.self.query.weight"]
        )
        assert torch.linalg.matrix_rank(change, atol=1e-5) <= LoraSettings().rank


def test_unfreezing_step_by_step_trains_the_head_from_the_start(tiny_encoder_folder, tmp_path):
    settings = dataclasses.replace(TINY, freeze="gradual 2", steps=3, learning_rate=1e-2)
    before = load_encoder(str(tiny_encoder_folder)).model.state_dict()
    _, _, after, _ = run(tiny_encoder_folder, make_task("ner"), settings, tmp_path)
    moved = {name.split(".")[2] for name in before if "layer." in name and not torch.equal(before[name], after[name])}
    assert moved == {"2", "3"}


KEPT = [{"keep": "best"}, {"average": 3}, {"average": 2, "adapter": "lora"}, {"keep": "best", "freeze": "gradual 2"}]


@pytest.mark.parametrize(("kept", "stop"), [({}, 3), *((kept, 5) for kept in KEPT)])
def test_killed_and_run_again_it_ends_in_the_same_bits(tiny_encoder_folder, tmp_path, monkeypatch, kept, stop):
    """With windows, on tags; where weights are kept beside the checkpoints these are the same, too."""
    if kept.get("adapter"):
        pytest.importorskip("peft")
    task = make_task("ner", count=30)
    settings = dataclasses.replace(TINY, max_length=10, stride=3, epochs=4, batch_size=16, checkpoint_every=3, **kept)
    *_, wanted, facts = run(tiny_encoder_folder, task, settings, tmp_path / "a")
    assert facts["windows"] > 30
    assert facts["history"][-1]["step"] == 4 * -(-facts["windows"] // 16)
    real, calls = loop.rate_at, []

    def dies(phase, step):
        calls.append(step)
        if len(calls) == stop + 1:
            raise KeyboardInterrupt
        return real(phase, step)

    monkeypatch.setattr(loop, "rate_at", dies)
    with pytest.raises(KeyboardInterrupt):
        run(tiny_encoder_folder, task, settings, tmp_path / "b")
    monkeypatch.setattr(loop, "rate_at", real)
    *_, again, second = run(tiny_encoder_folder, task, settings, tmp_path / "b")
    assert second == facts
    assert all(torch.equal(again[name], weight) for name, weight in wanted.items())


def test_the_best_by_dev_is_kept(tiny_encoder_folder, tmp_path):
    """At a rate that spoils the model now and then, the best is not the last; ties go to the earlier."""
    task = make_task("pos")
    settings = dataclasses.replace(
        TINY, epochs=8, batch_size=20, learning_rate=0.02, schedule="constant", keep="best", clip=None, weight_decay=0.1
    )
    encoder, head, _, facts = run(tiny_encoder_folder, task, settings, tmp_path)
    scores = {row["step"]: row["dev"] for row in facts["history"] if "dev" in row}
    assert list(scores) == [3, 6, 9, 12, 15, 18, 21, 24]
    best = max(scores, key=lambda step: scores[step])
    assert facts["history"][-1]["kept"] == [best]
    assert best < 24
    assert dev_score(encoder, head, task) == scores[best] > scores[24]


def test_the_mean_of_epochs_is_their_mean(tiny_encoder_folder, tmp_path):
    """A linear schedule of the same length makes the same epochs, whatever is kept of them."""
    task = make_task("pos")
    settings = dataclasses.replace(TINY, epochs=4, batch_size=20, average=3, weight_decay=0.1, learning_rate=5e-3)
    *_, found, facts = run(tiny_encoder_folder, task, settings, tmp_path / "a")
    *_, last, _ = run(tiny_encoder_folder, task, dataclasses.replace(settings, average=1), tmp_path / "b")
    assert facts["history"][-1]["kept"] == [6, 9, 12]
    files = [load_file(tmp_path / "a" / f"kept-{step:08d}.safetensors") for step in (6, 9, 12)]
    rows = "encoder.embeddings.word_embeddings.weight"
    for name in files[0]:
        if name == rows:
            continue
        own = name if name.startswith("head.") else name.removeprefix("encoder.")
        assert torch.equal(files[-1][name], last[own]), name
        mean = sum(file[name].double() for file in files) / 3
        assert torch.allclose(found[own].double(), mean, rtol=0, atol=1e-7), name
        assert not torch.equal(found[own], last[own]) or "pooler" in name or "key.bias" in name, name
    # Rows that never occurred only shrink: by the mean of what they had shrunk after each of the epochs.
    before = load_encoder(str(tiny_encoder_folder)).model.embeddings.word_embeddings.weight.detach().double()
    shares = last[rows[8:]] / before
    unused = [n for n in range(len(before)) if torch.allclose(shares[n], shares[n, 0])]
    rates = [5e-3 * (step + 1) / 2 if step < 2 else 5e-3 * (12 - step) / 10 for step in range(12)]
    products = np.cumprod([1 - rate * 0.1 for rate in rates])
    assert len(unused) > 300
    factor = float(np.mean(products[[5, 8, 11]]))
    assert torch.allclose(found[rows[8:]][unused].double(), before[unused] * factor, rtol=1e-6, atol=0)


def test_points_are_ends_of_epochs_or_tenths():
    assert points_of(12, 4) == (3, 6, 9, 12)
    assert points_of(100, None) == tuple(range(10, 101, 10))
    assert points_of(3, None) == (1, 2, 3)
    assert steps_of(FinetuneSettings(epochs=3, batch_size=8), 17) == 9


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"average": 11}, r"average = 11 is impossible; expected 1 to \d+, the epochs or tenths"),
        ({"average": 2, "keep": "best"}, "cannot both be"),
        ({"keep": "first"}, "keep = 'first' is unknown; expected last or best"),
        ({"word_pooling": "sum"}, "word_pooling = 'sum' is unknown; expected one of first, mean"),
        ({"adapter": "lora", "freeze": "gradual 2"}, "adapter = 'lora' does not go with gradual unfreezing"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(tiny_encoder, tmp_path, settings, message):
    with pytest.raises(ConfigError, match=message):
        finetune(tiny_encoder, make_task("pos"), dataclasses.replace(TINY, **settings), tmp_path, 3)


def test_no_model_is_chosen_without_a_dev_set_of_the_source(tiny_encoder, tmp_path):
    task = dataclasses.replace(make_task("pos"), dev=())
    with pytest.raises(ConfigError, match="needs a dev set of the source language; a target language's labels never"):
        finetune(tiny_encoder, task, dataclasses.replace(TINY, keep="best"), tmp_path, 3)


def test_what_is_cut_is_told(tiny_encoder, tmp_path, capsys):
    task = make_task("class")
    _, facts = finetune(tiny_encoder, task, dataclasses.replace(TINY, steps=1, max_length=8), tmp_path, 3)
    lengths = [len(tiny_encoder.tokenizer(e.text)["input_ids"]) for e in task.train]
    assert facts["cut"] == {"sentences cut": sum(length > 8 for length in lengths)}
    assert f"{facts['cut']['sentences cut']} sentences cut of 60 examples (max_length = 8)" in capsys.readouterr().err


def batches(encoder, task, settings, seed, steps=4):
    inputs = encode_task(encoder.tokenizer, task.kind, task.train, settings.max_length, settings.stride)
    side, head, _ = finetune_side(encoder, task, inputs, settings, steps, steps, encoder.folder, seed)
    (objective,) = side.build(frozenset(), None).objectives
    found = [objective.batch(step).texts.inputs["input_ids"].tolist() for step in range(steps)]
    return found, {name: p.detach().clone() for name, p in head.named_parameters()}


def test_data_and_first_values_have_seeds_of_their_own(tiny_encoder):
    task = make_task("pos")
    plain, head = batches(tiny_encoder, task, TINY, 3)
    torch.manual_seed(99)  # whatever was drawn before
    mean, other = batches(tiny_encoder, task, dataclasses.replace(TINY, word_pooling="mean", freeze="front"), 3)
    assert plain == mean
    assert all(torch.equal(p, other[name]) for name, p in head.items())
    again, third = batches(tiny_encoder, task, TINY, 4)
    assert plain != again
    assert not any(torch.equal(p, third[name]) for name, p in head.items())
    # Another task on the same words sees the same sentences in the same order, with another head.
    assert batches(tiny_encoder, dataclasses.replace(task, kind="ner"), TINY, 3)[0] == plain


@pytest.mark.parametrize("kind", ["pos", "qa"])
def test_any_task_is_trained_beside_realignment(tiny_encoder, aligned, tmp_path, kind):
    task = make_task(kind)
    realigning = RealignSettings(objective="word", steps=1, batch_size=4, projection=None, watch="off")
    settings = dataclasses.replace(TINY, steps=4, keep="best", batch_size=8)
    head, facts = joint(tiny_encoder, aligned, task, realigning, settings, tmp_path, 3, strategy="alternating", every=2)
    scores = {row["step"]: row["dev"] for row in facts["history"] if "dev" in row}
    assert list(scores) == list(range(1, 9))
    assert dev_score(tiny_encoder, head, task) == max(scores.values())


def test_models_of_several_runs_have_a_mean(tiny_encoder_folder, tmp_path):
    task, folders, weights = make_task("pos"), [], []
    for seed in (1, 2, 3):
        encoder, head, found, _ = run(tiny_encoder_folder, task, TINY, tmp_path / f"work{seed}", seed)
        save_encoder(encoder, tmp_path / f"{seed}")
        save_head(tmp_path / f"{seed}", head, task.kind, task.labels, task.tags)
        folders.append(tmp_path / f"{seed}")
        weights.append(found)
    facts = average_models(folders, tmp_path / "mean")
    assert facts["models"] == 3
    encoder, (head, kind, labels, tags) = load_encoder(str(tmp_path / "mean")), load_head(tmp_path / "mean")
    assert (kind, labels, tags) == ("pos", task.labels, task.tags)
    found = dict(encoder.model.named_parameters()) | {f"head.{n}": p for n, p in head.named_parameters()}
    for name, p in found.items():
        mean = sum(own[name].double() for own in weights) / 3
        assert torch.allclose(p.double(), mean, rtol=0, atol=1e-7), name
    one = average_models(folders[:1], tmp_path / "one")
    assert one["models"] == 1
    assert all(
        torch.equal(p, weights[0][name]) for name, p in load_encoder(str(tmp_path / "one")).model.named_parameters()
    )


def test_models_that_differ_have_no_mean(tiny_encoder_folder, tiny_folders, tmp_path):
    task = make_task("pos")
    for name, kind, folder in (("a", task, tiny_encoder_folder), ("b", make_task("ner"), tiny_encoder_folder),
                               ("c", task, tiny_folders("distilbert"))):  # fmt: skip
        encoder, head, _, _ = run(folder, kind, dataclasses.replace(TINY, steps=1), tmp_path / f"work{name}")
        save_encoder(encoder, tmp_path / name)
        save_head(tmp_path / name, head, kind.kind, kind.labels, kind.tags)
    with pytest.raises(DataError, match=r"b: kind, labels or tags are not those of .*a"):
        average_models([tmp_path / "a", tmp_path / "b"], tmp_path / "mean")
    with pytest.raises(DataError, match=r"c: its weights have other names or shapes than those of .*a"):
        average_models([tmp_path / "a", tmp_path / "c"], tmp_path / "mean")
    with pytest.raises(DataError, match="no models to average"):
        average_models([], tmp_path / "mean")
    assert not (tmp_path / "mean").exists()
    assert list(itertools.islice((tmp_path / "a").iterdir(), 1))
