"""Realignment as configurations ask for it: objectives and their sums, freezing, adapters, mixtures, both at once."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
import torch

from xrealign.errors import ConfigError, TrainingError
from xrealign.language import parse_language
from xrealign.model.encoder import load_encoder
from xrealign.tasks.task import Example, Task
from xrealign.train.finetune import FinetuneSettings, finetune, finetune_side, steps_of
from xrealign.train.joint import joint
from xrealign.train.lora import LoraSettings
from xrealign.train.objectives import OBJECTIVES
from xrealign.train.realign import RealignSettings, realign, realign_side
from xrealign.train.session import train_phase
from xrealign.train.strategies import PhaseSpec
from xrealign.train.task_inputs import encode_task

SHORT = RealignSettings(steps=3, batch_size=4, learning_rate=1e-3, freeze="none", watch="off")
SMALL = {"infoxlm": {"queue": 32}, "xlm_align": {"label_layer": 2}}
LABELS = ["long", "short"]


def short(**settings):
    return dataclasses.replace(SHORT, **settings)


@pytest.fixture
def examples(aligned):
    middle = sorted(map(len, aligned.src))[len(aligned) // 2]
    return [Example(text, LABELS[len(text) < middle], str(n)) for n, text in enumerate(aligned.src)]


def task_of(examples):
    return Task("length", "class", parse_language("eng"), tuple(LABELS), tuple(examples), (), {})


def weights(encoder):
    return {name: p.detach().clone() for name, p in encoder.model.named_parameters()}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_trains_and_keeps_what_is_frozen(tiny_encoder, aligned, tmp_path, name):
    before = weights(tiny_encoder)
    layer = 3 if name in ("infoxlm", "transliteration") else None  # theirs is 8, of 4 blocks
    settings = short(objective=name, layer=layer, settings=SMALL.get(name, {}), freeze="front", learning_rate=1e-2)
    if name == "transliteration":
        aligned = dataclasses.replace(
            aligned, tgt=["свет" if n % 2 else "дверь" for n in range(len(aligned))],
            tgt_spans=[np.array([[0, 4 + (n % 2 == 0)]], dtype=np.int32) for n in range(len(aligned))],
        )  # fmt: skip
    facts = realign(tiny_encoder, aligned, settings, tmp_path, seed=3)
    assert [row["step"] for row in facts["history"]] == [3]
    assert np.isfinite(facts["history"][0][name])
    after = weights(tiny_encoder)
    assert after.keys() == before.keys()
    changed = {n for n in after if not torch.equal(after[n], before[n])}
    assert changed == facts["moved"].keys()
    assert all(not n.startswith(("embeddings.", "encoder.layer.0.", "encoder.layer.1.")) for n in changed)
    # The distance to the first weights is smooth where training starts: nothing pulls yet.
    assert changed or name == "parameter_drift"


@pytest.mark.parametrize(
    ("freeze", "moves", "stays"),
    [
        ("front", {"block 3", "block 4"}, {"embeddings", "block 1", "block 2"}),
        ("back", {"embeddings", "block 1", "block 2"}, {"block 3", "block 4"}),
        ("only blocks 2", {"block 2"}, {"embeddings", "block 1", "block 3", "block 4"}),
        ("embeddings+blocks 4", {"block 1", "block 2", "block 3"}, {"embeddings", "block 4"}),
    ],
)
def test_freezing_holds_in_every_architecture(any_tiny_encoder, aligned, tmp_path, freeze, moves, stays):
    settings = short(freeze=freeze, objective="sentence", learning_rate=1e-2)
    facts = realign(any_tiny_encoder, aligned, settings, tmp_path, seed=3)
    drift = facts["drift"]
    assert {part for part in moves if drift[part] > 0} == moves
    assert {part for part in stays if drift[part] == 0} == stays


def test_the_layer_read_is_the_last_that_moves(any_tiny_encoder, aligned, tmp_path):
    facts = realign(any_tiny_encoder, aligned, short(layer=3, objective="sentence"), tmp_path, seed=3)
    assert facts["layers"] == {"sentence": [3]}
    assert facts["drift"]["block 3"] > 0
    assert facts["drift"]["block 4"] == 0


def test_gradual_unfreezing_opens_from_the_top(tiny_encoder, aligned, tmp_path):
    facts = realign(tiny_encoder, aligned, short(freeze="gradual 2", steps=4), tmp_path, seed=3)
    assert {part for part, share in facts["drift"].items() if share > 0} == {"block 3", "block 4"}


def test_a_sum_of_objectives_has_a_column_each_and_weighs_them(tiny_encoder_folder, aligned, tmp_path):
    both, words = (load_encoder(str(tiny_encoder_folder)) for _ in range(2))
    for module in (*both.model.modules(), *words.model.modules()):
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0  # which a sum draws once for all of its objectives
    sums = short(objective={"word": 1.0, "sentence": 0.5}, steps=1)
    facts = realign(both, aligned, sums, tmp_path / "a", seed=3)
    alone = realign(words, aligned, short(steps=1), tmp_path / "b", seed=3)
    assert facts["history"][0]["word"] == pytest.approx(alone["history"][0]["word"], abs=1e-5)
    assert facts["history"][0]["sentence"] > 0
    assert any(not torch.equal(a, b) for a, b in zip(both.model.parameters(), words.model.parameters(), strict=True))


def test_adapters_leave_an_ordinary_encoder(tiny_encoder, aligned, tmp_path):
    pytest.importorskip("peft")
    before = weights(tiny_encoder)
    settings = short(adapter="lora", lora={"rank": 2, "targets": "attention"}, freeze="front", learning_rate=1e-2)
    facts = realign(tiny_encoder, aligned, settings, tmp_path, seed=3)
    after = weights(tiny_encoder)
    assert after.keys() == before.keys()
    assert facts["moved"]
    assert all(re.match(r"encoder\.layer\.[23]\.attention\..*weight$", name) for name in facts["moved"])
    assert all(torch.equal(after[n], before[n]) for n in after if n not in facts["moved"])


def test_without_links_an_objective_of_words_says_what_to_do(tiny_encoder, aligned, tmp_path):
    none = [links[:0] for links in aligned.links]
    with pytest.raises(TrainingError, match="found none at all"):
        realign(tiny_encoder, dataclasses.replace(aligned, links=none), short(), tmp_path, seed=3)


def test_a_companion_needs_a_head(tiny_encoder, aligned, tmp_path):
    with pytest.raises(ConfigError, match="masked-language-model head"):
        realign(tiny_encoder, aligned, short(objective={"word": 1.0, "mlm": 1.0}), tmp_path, seed=3)


@pytest.mark.parametrize("freeze", ["none", "front"])
def test_companions_train_beside_the_words(tiny_folders, aligned, tmp_path, freeze):
    from transformers import AutoModelForMaskedLM, BertConfig

    folder = tmp_path / "with-head"
    tiny = load_encoder(str(tiny_folders("bert")))
    model = AutoModelForMaskedLM.from_config(BertConfig.from_pretrained(tiny.folder))
    model.save_pretrained(folder)
    tiny.tokenizer.save_pretrained(folder)
    encoder = load_encoder(str(folder))
    rows = encoder.model.get_input_embeddings().weight.shape
    settings = short(objective={"word": 1.0, "mlm": 0.5, "tlm": 0.5}, freeze=freeze, steps=12, watch="warn")
    facts = realign(encoder, aligned, settings, tmp_path / "work", seed=3)
    first, last = facts["history"][0], facts["history"][-1]
    assert {"word", "mlm", "tlm"} <= first.keys()
    assert all(np.isfinite(last[name]) for name in ("word", "mlm", "tlm"))
    assert encoder.model.get_input_embeddings().weight.shape == rows
    assert ("embeddings.word_embeddings.weight" in facts["moved"]) == (freeze == "none")
    assert "random pair cosine" in first["watch"]


def test_mixtures_are_counted_and_the_smallest_language_is_repeated(tiny_encoder, aligned, tmp_path):
    uniform = realign(tiny_encoder, aligned, short(steps=30, batch_size=6), tmp_path / "a", seed=3)["drawn"]
    assert uniform["tur_Latn"]["drawn"] > 30  # of 30 pairs
    assert uniform["tur_Latn"]["distinct"] == 30
    for counts in uniform.values():
        assert counts["drawn"] == counts["distinct"] + counts["repeated"]
    assert sum(counts["drawn"] for counts in uniform.values()) == 180
    custom = short(steps=3, mixture="custom", mixture_weights={"swh_Latn": 0.0, "tur_Latn": 1.0})
    drawn = realign(tiny_encoder, aligned, custom, tmp_path / "b", seed=3)["drawn"]
    assert drawn["swh_Latn"]["drawn"] == 0
    assert drawn["tur_Latn"]["drawn"] == 12


@pytest.mark.parametrize("strategy", ["during", "alternating"])
def test_both_at_once_keep_each_ones_freeze(tiny_encoder, aligned, examples, tmp_path, strategy):
    finetuning = FinetuneSettings(steps=4, batch_size=4, freeze="only blocks 1", learning_rate=1e-2)
    realigning = short(freeze="only blocks 3")
    head, facts = joint(
        tiny_encoder, aligned, task_of(examples), realigning, finetuning, tmp_path, 3, strategy=strategy
    )
    assert {part for part, share in facts["drift"].items() if share > 0} == {"block 1", "block 3"}
    assert facts["history"][-1]["step"] == {"during": 4, "alternating": 8}[strategy]
    assert facts["pairs_drawn"] == 16  # as many batches as the task has
    assert {"task", "word"} <= facts["history"][-1].keys()
    assert head.linear.weight.shape == (2, 32)


def test_in_joint_training_the_task_sees_what_it_sees_alone(tiny_encoder_folder, aligned, examples, tmp_path):
    settings = FinetuneSettings(steps=1, batch_size=4)
    alone, beside = (load_encoder(str(tiny_encoder_folder)) for _ in range(2))
    head, facts = finetune(alone, task_of(examples), settings, tmp_path / "a", 3)
    other, told = joint(beside, aligned, task_of(examples), short(), settings, tmp_path / "b", 3, weight=1e-12)
    # Dropout is drawn for the phase by name, so only what comes before training is equal.
    assert facts["examples"] == told["task"]["examples"]
    assert head.linear.weight.shape == other.linear.weight.shape


def ranks_of_change(encoder, before, tolerance=1e-4):
    """Rank of the change of every weight, 0 for those that kept every bit."""
    found = {}
    for name, p in encoder.model.named_parameters():
        change = p.detach() - before[name]
        values = torch.linalg.svdvals(change) if change.ndim == 2 else change.norm()[None]
        found[name] = int((values > tolerance * values.max()).sum()) if bool((change != 0).any()) else 0
    return found


@pytest.mark.parametrize("strategy", ["during", "alternating"])
@pytest.mark.parametrize("freeze", ["only blocks 1", "gradual 1"])
def test_in_joint_training_adapters_stand_in_for_realignment_alone(
    tiny_encoder, aligned, examples, tmp_path, strategy, freeze
):
    pytest.importorskip("peft")
    before = weights(tiny_encoder)
    finetuning = FinetuneSettings(steps=3, batch_size=4, freeze=freeze, learning_rate=1e-3)
    realigning = short(freeze="only blocks 1,3", adapter="lora", lora={"rank": 2}, learning_rate=1e-2)
    _, facts = joint(
        tiny_encoder, aligned, task_of(examples), realigning, finetuning, tmp_path, 3, strategy=strategy, weight=1.0
    )
    ranks = ranks_of_change(tiny_encoder, before)
    assert {n for n, rank in ranks.items() if rank} == facts["moved"].keys()
    query = "encoder.layer.{}.attention.self.query."
    if freeze == "gradual 1":  # by its third step the task has reached blocks 4 and 3, and with the third one 2
        assert {part for part, share in facts["drift"].items() if share > 0} == {f"block {k}" for k in (1, 2, 3, 4)}
        assert ranks[query.format(0) + "weight"] == 2
        assert ranks[query.format(0) + "bias"] == 0
        assert ranks[query.format(2) + "weight"] > 4, "the weights under the adapters learn the task"
        return
    assert {part for part, share in facts["drift"].items() if share > 0} == {"block 1", "block 3"}
    assert ranks[query.format(2) + "weight"] == 2, "adapters alone"
    assert ranks[query.format(2) + "bias"] == 0
    assert ranks[query.format(0) + "weight"] > 4, "the task, and adapters"
    assert ranks[query.format(0) + "bias"] == 1


def test_two_sides_with_adapters_share_them_where_both_may_learn(tiny_encoder, aligned, examples, tmp_path):
    pytest.importorskip("peft")
    before = weights(tiny_encoder)
    spec = PhaseSpec("joint", 2, {"finetune": 1.0, "realign": 1.0}, "finetune")
    ours, _ = realign_side(tiny_encoder, aligned, short(freeze="only blocks 1,3"), 2, 3)
    finetuning = FinetuneSettings(steps=2, batch_size=4, freeze="only blocks 3,4", learning_rate=1e-2)
    task = task_of(examples)
    inputs = encode_task(tiny_encoder.tokenizer, "class", task.train, 96)
    theirs, *_ = finetune_side(tiny_encoder, task, inputs, finetuning, 2, 2, tmp_path, 3)
    reached = {}

    def spying(kind, side):
        def build(learning, opens):
            reached[kind] = {name.split(".")[3] for name in learning}
            return side.build(learning, opens)

        return dataclasses.replace(side, build=build)

    sides = {"realign": spying("realign", ours), "finetune": spying("finetune", theirs)}
    lora = LoraSettings(rank=2)
    train_phase(tiny_encoder, spec, sides, tmp_path, 3, compact=True, precision="fp32", lora=lora)
    assert reached == {"realign": {"0", "2"}, "finetune": {"2", "3"}}
    ranks = ranks_of_change(tiny_encoder, before)
    for block, rank in enumerate((2, 0, 2, 2)):
        assert ranks[f"encoder.layer.{block}.attention.self.query.weight"] == rank
    assert max(ranks.values()) == 2
    other = {"realign": lora, "finetune": LoraSettings(rank=4)}
    with pytest.raises(ConfigError, match="both train one set of adapters"):
        train_phase(tiny_encoder, spec, sides, tmp_path / "b", 3, compact=True, precision="fp32", lora=other)


def test_joint_training_refuses_strategies_of_its_own(tiny_encoder, aligned, examples, tmp_path):
    settings = FinetuneSettings(steps=1)
    with pytest.raises(ConfigError, match="never realigns and fine-tunes in one phase"):
        joint(tiny_encoder, aligned, task_of(examples), short(), settings, tmp_path, 3, strategy="before")


def test_epochs_are_whole_passes():
    assert steps_of(FinetuneSettings(steps=7), 100) == 7
    assert steps_of(FinetuneSettings(steps=7, batch_size=32, epochs=2), 100) == 8
    assert steps_of(FinetuneSettings(batch_size=50, epochs=3), 100) == 6


def test_the_published_average_is_of_the_first_positions(tiny_encoder_folder, aligned, tmp_path):
    losses = {}
    for pooling in ("words", "published"):
        encoder = load_encoder(str(tiny_encoder_folder))
        settings = short(objective="sentence", sentence_pooling=pooling, steps=1)
        losses[pooling] = realign(encoder, aligned, settings, tmp_path / pooling, seed=3)["history"][0]["sentence"]
    assert losses["words"] != losses["published"]


def test_a_broken_training_is_told_and_may_stop(tiny_encoder, aligned, tmp_path, capsys):
    settings = short(objective="sentence", steps=40, learning_rate=0.3, watch="stop", clip=1.0)
    facts = realign(tiny_encoder, aligned, settings, tmp_path, seed=3)
    assert facts["stopped"]
    assert facts["warnings"]
    assert facts["history"][-1]["step"] < 40
    assert facts["warnings"][0] in capsys.readouterr().err


def test_a_cached_front_is_read_by_other_seeds_and_moves_what_it_would(tiny_folders, aligned, tmp_path, monkeypatch):
    monkeypatch.setenv("XREALIGN_CACHE", str(tmp_path / "cache"))
    cached = short(freeze="front", front_cache=0.1, objective={"word": 1.0, "sentence": 0.5}, steps=12)
    facts = {}
    for seed in (3, 4):
        facts[seed] = realign(load_encoder(str(tiny_folders("bert"))), aligned, cached, tmp_path / f"{seed}", seed)
        assert {part for part, share in facts[seed]["drift"].items() if share > 0} == {"block 3", "block 4"}
    assert list((tmp_path / "cache" / "states").glob("*/table-*/states.npy"))
    plain = dataclasses.replace(cached, front_cache=0.0)
    without = realign(load_encoder(str(tiny_folders("bert"))), aligned, plain, tmp_path / "plain", 3)
    assert facts[3]["moved"].keys() == without["moved"].keys()
    for name in ("word", "sentence"):  # the same batches; only the front's dropout is gone
        assert facts[3]["history"][0][name] == pytest.approx(without["history"][0][name], rel=0.2)


def test_a_cache_without_a_front_is_refused(tiny_encoder, aligned, examples, tmp_path):
    with pytest.raises(ConfigError, match="freeze the embeddings"):
        realign(tiny_encoder, aligned, short(front_cache=0.1, freeze="none"), tmp_path, seed=3)
    settings = FinetuneSettings(steps=1)
    with pytest.raises(ConfigError, match="front_cache is for realignment alone"):
        joint(tiny_encoder, aligned, task_of(examples), short(front_cache=0.1), settings, tmp_path, 3)


def test_linked_words_are_switched_and_links_go_with_them(tiny_encoder, aligned, tmp_path):
    from xrealign.train.switching import switch_sources

    every, counts = switch_sources(aligned, 1.0, seed=3)
    assert counts["switched units"] == counts["units"] > len(aligned)
    for row in range(len(aligned)):
        words, others = (
            [text[a:b] for a, b in spans.tolist()]
            for text, spans in ((every.src[row], every.src_spans[row]), (aligned.tgt[row], aligned.tgt_spans[row]))
        )
        # All links run in order, one to one: a switched word is the word it is linked to.
        assert [words[i] for i, _ in every.links[row]] == [others[j] for _, j in every.links[row]]
        assert len(words) == len(aligned.src_spans[row])
    none, _ = switch_sources(aligned, 0.0, seed=3)
    assert none.src == list(aligned.src)
    facts = realign(tiny_encoder, aligned, short(code_switch=0.5), tmp_path / "a", seed=3)
    assert 0 < facts["switched"]["switched units"] < facts["switched"]["units"]
    assert "switched" not in realign(tiny_encoder, aligned, short(code_switch=0.5), tmp_path / "b", 3, control=True)


def test_what_a_head_forgets_is_seen_on_a_dev_set_of_the_source_language(tiny_encoder, aligned, examples, tmp_path):
    from xrealign.model.vectors import sentence_vectors
    from xrealign.train.finetune import dev_scores
    from xrealign.train.predict import PredictSettings

    finetuning = FinetuneSettings(steps=60, batch_size=8, learning_rate=2e-3, head_rate=5.0)
    head, _ = finetune(tiny_encoder, task_of(examples), finetuning, tmp_path / "a", 3)
    dev = [e for label in LABELS for e in [e for e in examples if e.label == label][:20]]  # as many of each
    assert len(dev) == 40
    scores = dev_scores(tiny_encoder, head, "class", dev, LABELS, (), PredictSettings())
    vectors = sentence_vectors(tiny_encoder, [example.text for example in dev], 4, 96)
    found = (torch.from_numpy(vectors) @ head.linear.weight.T + head.linear.bias).argmax(-1).tolist()
    right = sum(LABELS[place] == example.label for place, example in zip(found, dev, strict=True))
    settings = short(objective="sentence", steps=40, learning_rate=0.1, clip=1.0, watch="stop")
    facts = realign(tiny_encoder, aligned, settings, tmp_path / "b", 3, scores=scores)
    start = facts["history"][0]["watch at start"]["score dev"]
    assert start == pytest.approx(right / 40)
    assert start > 0.7
    assert any(line.startswith("dev has fallen from") for line in facts["warnings"])
    assert facts["history"][-1]["step"] < 40
