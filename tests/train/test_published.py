"""Published names and settings in this library's words."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest
import torch

from xrealign.errors import ConfigError
from xrealign.model.freezing import parse_freeze
from xrealign.model.layers import trainable_names
from xrealign.train.published import (
    FAMILIES,
    Named,
    parse_published,
    published_halves,
    published_preset,
    published_sentence_mean,
)
from xrealign.train.strategies import STRATEGIES, plan_phases

AWESOME = {"layer": 8, "level": "subword", "threshold": 0.001, "temperature": 1.0}
NAMES = {
    "baseline": Named("none", None, None),
    "before_dico": Named("before", "dictionary", "word"),
    "before_fastalign": Named("before", "fast-align", "word"),
    "before_awesome": Named("before", "softmax", "word", how=AWESOME),
    "before_noaligner": Named("before", "none", "sentence"),
    "during_dico": Named("during", "dictionary", "word"),
    "during_fastalign": Named("during", "fast-align", "word"),
    "after_awesome": Named("after", "softmax", "word", how=AWESOME),
    "before+during_dico": Named("before+during", "dictionary", "word"),
    "freeze_realign_unfreeze_fastalign": Named("before", "fast-align", "word", "front"),
    "freeze_realign_unfreeze_last_half_dico": Named("before", "dictionary", "word", "back"),
    "freeze_realign_unfreeze_last_6_dico": Named("before", "dictionary", "word", "blocks 7-12"),
    "freeze_realign_unfreeze_0_3_dico": Named("before", "dictionary", "word", "embeddings+blocks 1-2"),
    "freeze_realign_unfreeze_3_6_awesome": Named("before", "softmax", "word", "blocks 3-5", AWESOME),
    "freeze_realign_unfreeze_0_1_dico": Named("before", "dictionary", "word", "embeddings"),
    "before_realign_only_7_8_dico": Named("before", "dictionary", "word", "only blocks 7"),
    "before_realign_only_0_13_dico": Named("before", "dictionary", "word", "only embeddings+blocks 1-12"),
    "during_partial_freeze_front_dico": Named("during", "dictionary", "word", "front"),
    "during_partial_freeze_back_fastalign": Named("during", "fast-align", "word", "back"),
    "during_partial_freeze_1_4_fastalign": Named("during", "fast-align", "word", "blocks 1-3"),
    "freeze_attn_dico": Named("before", "dictionary", "word", "attention"),
    "freeze_ffn_dico": Named("before", "dictionary", "word", "feed-forward"),
}


@pytest.mark.parametrize("name", NAMES)
def test_names(name):
    found = parse_published(name, 12, "xlm-roberta")
    assert found == NAMES[name]
    assert found.strategy in STRATEGIES
    plan_phases(found.strategy, 10, 10)
    parse_freeze(found.freeze, 12)


@pytest.mark.parametrize(("blocks", "layer"), [(24, 8), (12, 8), (8, 8), (6, 4), (4, 3)])
def test_awesome_reads_layer_8_or_two_thirds(blocks, layer):
    assert parse_published("before_awesome", blocks).how == AWESOME | {"layer": layer}
    assert parse_published("before_fastalign", blocks).how == {}


@pytest.mark.parametrize(
    ("name", "family", "blocks", "freeze"),
    [
        ("freeze_realign_unfreeze_dico", "bert", 12, "blocks 1-6"),
        ("freeze_realign_unfreeze_dico", "bert", 24, "blocks 1-12"),
        ("freeze_realign_unfreeze_dico", "xlm-roberta", 24, "blocks 1-6"),
        ("freeze_realign_unfreeze_dico", "distilbert", 6, "blocks 1-3"),
        ("freeze_realign_unfreeze_last_half_dico", "xlm-roberta", 24, "blocks 13-24"),
        ("during_partial_freeze_front_dico", "xlm-roberta", 24, "blocks 1-12"),
        ("during_partial_freeze_back_dico", "bert", 5, "blocks 3-5"),
        ("freeze_realign_unfreeze_last_half_dico", "bert", 5, "blocks 4-5"),
    ],
)
def test_what_the_programs_freeze_to_the_block(name, family, blocks, freeze):
    assert parse_published(name, blocks, family, exact=True).freeze == freeze


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("before_dicto", "'before_dicto' is no published strategy; .*; did you mean 'before_dico'"),
        ("freeze_realign_unfreez_fastalign", "did you mean 'freeze_realign_unfreeze_fastalign'"),
        ("befor_awesome", "did you mean 'before_awesome'"),
        ("dico", "no published strategy; expected baseline, or one of before, during"),
        ("", "no published strategy"),
        ("freeze_realign_unfreeze_5_3_dico", "5 and 3 are no range of layers 0"),
        ("before_realign_only_0_14_dico", r"0 and 14 are no range of layers 0 \(embeddings\) to 12"),
    ],
)
def test_names_nobody_published(name, message):
    with pytest.raises(ConfigError, match=message):
        parse_published(name, 12)


@pytest.mark.data
def test_every_name_in_the_published_results_is_known(data_pack: Path):
    names: Counter[str] = Counter()
    files = sorted((data_pack / "published" / "alignfreeze").glob("*.csv"))
    for path in files:
        with path.open(encoding="utf-8", newline="") as file:
            names.update(row["method"] for row in csv.DictReader(file))
    assert len(files) == 12
    assert len(names) == 22
    found = {name: parse_published(name, 12, "xlm-roberta") for name in names}
    assert {named.aligner for named in found.values()} == {None, "dictionary", "fast-align", "softmax"}
    assert {named.strategy for named in found.values()} == {"none", "before", "during"}
    assert {named.freeze for named in found.values()} == {"none", "front", "back", "blocks 7-12"}


def test_the_sentence_mean_of_the_program_by_hand():
    """Three words, of which the first has two subwords: CLS, a, a', b, c, SEP. Averaged are CLS, a and a'."""
    hidden = torch.tensor(
        [
            [[100.0, 0], [1, 1], [2, 2], [3, 3], [4, 4], [50, 0]],
            [[10, 10], [20, 20], [30, 30], [0, 0], [0, 0], [0, 0]],
            [[5, 5], [6, 6], [0, 0], [0, 0], [0, 0], [0, 0]],
            [[8, 9], [1, 2], [3, 4], [5, 6], [7, 8], [9, 1]],
        ]
    )
    words = torch.tensor([3, 1, 0, 40])
    wanted = torch.tensor([[103 / 3, 1.0], [10, 10], [0, 0], [33 / 6, 30 / 6]])
    assert torch.allclose(published_sentence_mean(hidden, words), wanted)


def test_the_sentence_mean_has_a_gradient_at_those_places_alone():
    hidden = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    published_sentence_mean(hidden, torch.tensor([2, 5])).sum().backward()
    assert torch.allclose(hidden.grad[0], torch.tensor([0.5, 0.5, 0, 0, 0])[:, None].expand(5, 3))
    assert torch.allclose(hidden.grad[1], torch.full((5, 3), 0.2))


def test_the_preset():
    preset = {key: setting.value for key, setting in published_preset("xlm-roberta", 12, "front", "sentence").items()}
    assert preset["realign.layer"] == 11
    assert preset["realign.steps"] == 24_544
    assert preset["realign.batch_size"] == 16
    assert preset["realign.learning_rate"] == preset["finetune.learning_rate"] == 7.5e-6
    assert preset["realign.max_length"] == 96
    assert preset["realign.pooling"] == "first"
    assert preset["realign.sentence_pooling"] == "published"
    assert preset["realign.freeze"] == "blocks 1-6"
    assert preset["realign.weight"] == 0.1
    assert (preset["finetune.schedule"], preset["finetune.warmup"], preset["realign.schedule"]) == (
        "linear", 0.1, "constant",
    )  # fmt: skip
    assert preset["finetune.epochs"] == 2
    words = published_preset("bert", 12, "blocks 2", "word", "pos")
    assert "realign.sentence_pooling" not in words
    assert words["realign.freeze"].value == "blocks 2"
    assert words["realign.learning_rate"].value == 2e-5
    assert words["finetune.epochs"].value == 5
    assert all(setting.source for setting in words.values())
    assert published_preset("xlm-roberta", 24, "front")["realign.freeze"].value == "blocks 1-6"


@pytest.mark.parametrize(("family", "task", "message"), [("t5", "nli", "this one is a 't5'"), ("bert", "mt", "'mt'")])
def test_what_nobody_published(family, task, message):
    with pytest.raises(ConfigError, match=message):
        published_preset(family, 12, task=task)


@pytest.mark.parametrize("tiny_encoder", ["bert", "distilbert", "xlm-roberta"], indirect=True)
def test_the_published_front_leaves_the_embeddings_trainable(tiny_encoder):
    model = tiny_encoder.model
    family = model.config.model_type
    assert family in FAMILIES
    front, back = published_halves(4, family)
    names = trainable_names(model, front)
    assert all(name in names for name, _ in model.named_parameters() if "embeddings" in name)
    inside = {int(name.split("layer.")[1].split(".")[0]) + 1 for name in names if "layer." in name}
    # Six blocks are what is frozen of XLM-R even when there are only four.
    assert inside == (set() if family == "xlm-roberta" else {3, 4})
    assert back == "blocks 3-4"
