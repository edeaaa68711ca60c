"""The masked-language-model score of the watch: what the whole model says at each masked place; what is forgotten."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from xrealign.errors import ConfigError
from xrealign.language import parse_language
from xrealign.model.encoder import load_encoder
from xrealign.model.words import encode_texts, make_batch, word_spans
from xrealign.train.masked import MaskSettings, mask_batch, masked_loss, subwords_of
from xrealign.train.masked_watch import both_scores, has_masked_head, masked_accuracy, masked_scores
from xrealign.train.realign import RealignSettings, realign
from xrealign.train.session import Scores

SETTINGS = RealignSettings(steps=10, batch_size=4, learning_rate=1e-2, freeze="none")


@pytest.fixture(scope="module")
def texts(udhr_lines):
    return sorted(udhr_lines["eng_Latn"], key=len)[:6]


@pytest.fixture(scope="module")
def spans(texts, tiny_tokenizer):
    return word_spans(texts, parse_language("eng"), tiny_tokenizer)


@pytest.fixture(scope="module")
def with_head(tiny_folders, texts, spans, tmp_path_factory):
    """A tiny BERT with its head that has learned these sentences by heart, more or less."""
    from transformers import AutoModelForMaskedLM, BertConfig

    folder = tmp_path_factory.mktemp("with-head")
    tiny = load_encoder(str(tiny_folders("bert")))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = BertConfig.from_pretrained(tiny.folder, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
        model = AutoModelForMaskedLM.from_config(config)
    encoded = encode_texts(tiny.tokenizer, texts, 96, spans)
    subwords, draw = subwords_of(tiny.tokenizer), np.random.default_rng(0)
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(40):
        loss = masked_loss(model, mask_batch(make_batch([(encoded, np.arange(len(encoded)))], 1), MaskSettings(0.3),
                                             subwords, draw))  # fmt: skip
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    tiny.tokenizer.save_pretrained(folder)
    return folder


def test_the_score_is_what_the_whole_model_says(with_head, texts, spans):
    from transformers import AutoModelForMaskedLM

    encoder = load_encoder(str(with_head))
    encoded = encode_texts(encoder.tokenizer, texts, 96, spans)
    draw = np.random.default_rng(1)
    batches = [
        mask_batch(make_batch([(encoded, rows)], 1), MaskSettings(masked=1.0, random=0.0),
                   subwords_of(encoder.tokenizer), draw)
        for rows in (np.arange(4), np.arange(4, 6))
    ]  # fmt: skip
    model = AutoModelForMaskedLM.from_pretrained(with_head).eval()
    right = total = 0
    for batch in batches:
        with torch.no_grad():
            best = model(**batch.inputs).logits.argmax(-1).flatten()
        right += int((best[batch.places] == batch.labels).sum())
        total += len(batch.labels)
    assert total > 8
    assert 0 < right / total < 1
    assert masked_accuracy(model, batches) == pytest.approx(right / total)


def test_realignment_that_forgets_is_told(with_head, aligned, texts, spans, tmp_path):
    encoder = load_encoder(str(with_head))
    scores = masked_scores(encoder, texts, spans, 96, 17)
    facts = realign(encoder, aligned, SETTINGS, tmp_path / "a", 3, scores=scores)
    first, last = facts["history"][0]["watch at start"], facts["history"][-1]["watch"]
    assert first["score masked words"] > 0.15
    assert last["score masked words"] < first["score masked words"] - 0.05
    assert any(line.startswith("masked words has fallen from") for line in facts["warnings"])
    # Looking changes nothing: neither the vocabulary that the head needs nor the measuring.
    plain = load_encoder(str(with_head))
    told = realign(plain, aligned, dataclasses.replace(SETTINGS, watch="off"), tmp_path / "b", 3)
    assert told["history"][-1]["word"] == pytest.approx(facts["history"][-1]["word"], rel=1e-6)
    for (name, ours), theirs in zip(encoder.model.named_parameters(), plain.model.parameters(), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6), name


def test_encoders_without_a_head_are_known_and_refused(tiny_encoder, with_head, texts, spans):
    assert has_masked_head(load_encoder(str(with_head)))
    assert not has_masked_head(tiny_encoder)
    with pytest.raises(ConfigError, match="masked-language-model head"):
        masked_scores(tiny_encoder, texts, spans, 96, 17)


def test_scores_join():
    one = Scores([np.array([1])], lambda model: {"dev": 0.5})
    two = Scores([np.array([2])], lambda model: {"masked words": 0.25}, masked="head")
    joined = both_scores(one, None, two)
    assert joined.measure(torch.nn.Identity()) == {"dev": 0.5, "masked words": 0.25}
    assert [ids.tolist() for ids in joined.used] == [[1], [2]]
    assert joined.masked == "head"
    assert both_scores(None, None) is None
