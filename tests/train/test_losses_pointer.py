"""Pointing at translations: joining and masking against lists of ids, the loss against one word after the other."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from xrealign.model.words import encode_texts, make_batch, pool_words
from xrealign.segment import spans_by_blanks
from xrealign.train.losses_pointer import (
    Pointer,
    given_links,
    join_pairs,
    mask_words,
    pointer_loss,
    self_labelled,
    spread_words,
)
from xrealign.train.streams import PairBatch

SRC = ["Everyone has the right to life", "No one", "Everyone"]
TGT = ["Jeder hat das Recht auf Leben", "Niemand darf in Sklaverei gehalten werden", ""]


@pytest.fixture
def texts(tiny_encoder):
    def encoded(side):
        return encode_texts(tiny_encoder.tokenizer, side, 64, [spans_by_blanks(text) for text in side])

    rows = np.arange(3)
    return make_batch([(encoded(SRC), rows), (encoded(TGT), rows)], tiny_encoder.tokenizer.pad_token_id)


def test_joined_pairs_are_the_sentences_one_after_the_other(tiny_encoder, texts):
    tokenizer = tiny_encoder.tokenizer
    joined = join_pairs(texts, tokenizer.pad_token_id)
    ids, mask = joined.inputs["input_ids"], joined.inputs["attention_mask"]
    for row, (src, tgt) in enumerate(zip(SRC, TGT, strict=True)):
        expected = tokenizer(src)["input_ids"] + tokenizer(tgt)["input_ids"]
        assert ids[row].tolist() == expected + [tokenizer.pad_token_id] * (ids.shape[1] - len(expected))
        assert mask[row].tolist() == [1] * len(expected) + [0] * (ids.shape[1] - len(expected))


def test_words_of_joined_pairs_are_made_of_the_same_subwords(tiny_encoder, texts):
    joined = join_pairs(texts, tiny_encoder.tokenizer.pad_token_id)
    vector = torch.randn(2000, 4, generator=torch.Generator().manual_seed(0))
    for how in ("first", "mean", "sum"):
        apart = pool_words(vector[texts.inputs["input_ids"]], texts, how)
        together = pool_words(vector[joined.inputs["input_ids"]], joined, how)
        assert torch.equal(apart, together)


def test_words_are_masked_whole_and_nothing_else_is(tiny_encoder, texts):
    mask_id = tiny_encoder.tokenizer.mask_token_id
    chosen = torch.zeros(len(texts.word), dtype=torch.bool)
    chosen[[0, 3, 8]] = True
    masked = mask_words(texts, chosen, mask_id)
    ids, before = masked.inputs["input_ids"].flatten(), texts.inputs["input_ids"].flatten()
    for place in range(len(ids)):
        rows = texts.segments[texts.positions == place]
        hidden = len(rows) and bool(chosen[rows[0]])
        assert ids[place] == (mask_id if hidden else before[place])
    assert (ids == mask_id).sum() >= 3


def test_spread_words_stand_in_their_sentence_in_order(texts):
    spread = spread_words(torch.arange(1, len(texts.word) + 1), texts)
    expected = torch.zeros_like(texts.inputs["input_ids"])
    for row, sentence in enumerate(texts.sentence.tolist()):
        place = sum(1 for other in texts.sentence.tolist()[:row] if other == sentence)
        expected[sentence, place] = row + 1
    assert torch.equal(spread, expected)


def test_given_links_stand_where_the_words_do(texts):
    src_words = int((texts.sentence < 3).sum())
    links = torch.tensor([[0, 0], [5, 3], [6, 6]])  # the last: "No" and the first word of the second target sentence
    found = given_links(PairBatch(texts, links, 3, src_words))
    assert found.nonzero().tolist() == [[0, 0, 0], [0, 5, 3], [1, 0, 0]]


def test_pointer_scores_are_products_of_query_and_key():
    torch.manual_seed(0)
    pointer = Pointer(6, 0, 0).double()
    src, tgt = torch.randn(2, 3, 6).double(), torch.randn(2, 4, 6).double()
    torch.testing.assert_close(pointer(src, tgt), src @ tgt.transpose(1, 2) / math.sqrt(6))
    for parameter in pointer.parameters():
        nn.init.normal_(parameter)
    scores = pointer(src, tgt)
    for b, i, j in np.ndindex(2, 3, 4):
        q = pointer.query.weight @ src[b, i] + pointer.query.bias
        k = pointer.key.weight @ tgt[b, j] + pointer.key.bias
        assert scores[b, i, j].item() == pytest.approx((q @ k / math.sqrt(6)).item(), abs=1e-12)


def test_pointer_loss_is_one_word_after_the_other():
    generator = torch.Generator().manual_seed(1)
    scores = torch.randn(3, 4, 5, generator=generator, dtype=torch.float64)
    links, asked = torch.rand(3, 4, 5, generator=generator) < 0.3, torch.rand(3, 4, generator=generator) < 0.7
    candidates = torch.arange(5) < torch.tensor([5, 3, 0])[:, None]
    total, count = 0.0, 0
    for b, i in np.ndindex(3, 4):
        goals = [j for j in range(5) if links[b, i, j] and candidates[b, j]]
        if not (asked[b, i] and goals):
            continue
        logs = [scores[b, i, j].item() for j in range(5) if candidates[b, j]]
        normaliser = math.log(sum(math.exp(x) for x in logs))
        total += sum(normaliser - scores[b, i, j].item() for j in goals) / len(goals)
        count += 1
    loss, found = pointer_loss(scores, links, asked, candidates)
    assert count > 2
    assert found.item() == count
    assert loss.item() == pytest.approx(total, rel=1e-6)


def test_pointer_loss_by_hand():
    scores = torch.tensor([[[2.0, 0.0, 9.0]]])  # the third place is no word
    links = torch.tensor([[[True, False, False]]])
    loss, count = pointer_loss(scores, links, torch.tensor([[True]]), torch.tensor([[True, True, False]]))
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-2)), abs=1e-6)
    assert count.item() == 1


def test_self_labelling_finds_the_permutation_it_was_given():
    generator = torch.Generator().manual_seed(2)
    src = torch.randn(1, 6, 16, generator=generator)
    order = torch.randperm(6, generator=generator)
    tgt = src[:, order] + 0.1 * torch.randn(1, 6, 16, generator=generator)
    real = torch.arange(6)[None] < 5  # the last source word is padding
    links = self_labelled(src, tgt, real, torch.ones(1, 6, dtype=torch.bool))
    expected = [[0, int(order[j]), j] for j in range(6) if order[j] < 5]
    assert links.nonzero().tolist() == sorted(expected)
