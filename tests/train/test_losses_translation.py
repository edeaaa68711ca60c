"""Translating representations: the loss against plain log-probabilities, and what the head can and cannot see."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from xrealign.errors import ConfigError
from xrealign.model.layers import find_blocks
from xrealign.train.losses_translation import TranslationHead, last_blocks, translation_loss

VOCABULARY = np.array([0, 1, 2, 4, 7, 9, 30, 31])


@pytest.fixture
def head(tiny_encoder):
    torch.manual_seed(0)
    made = TranslationHead(tiny_encoder.model, VOCABULARY, tiny_encoder.tokenizer.mask_token_id)
    return made.eval()


def case(width=6):
    states = torch.randn(2, width, 32, generator=torch.Generator().manual_seed(1))
    states_mask = torch.tensor([[1] * width, [1] * (width - 2) + [0] * 2])
    ids = torch.tensor([[0, 7, 30, 2], [0, 9, 5, 1]])  # 5 is not in the vocabulary
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    return states, states_mask, ids, mask


def test_the_loss_is_the_mean_of_log_probabilities(head):
    states, states_mask, ids, mask = case()
    scores = head(states, states_mask, mask)
    assert scores.shape == (2, 4, len(VOCABULARY))
    terms = []
    for b, t in np.ndindex(2, 4):
        if t > 0 and mask[b, t] and ids[b, t].item() in VOCABULARY.tolist():
            place = VOCABULARY.tolist().index(ids[b, t].item())
            terms.append(-scores[b, t].double().log_softmax(0)[place].item())
    assert len(terms) == 4
    assert translation_loss(head, states, states_mask, ids, mask).item() == pytest.approx(np.mean(terms), abs=1e-5)


def test_the_head_sees_neither_the_first_state_nor_padding(head):
    states, states_mask, ids, mask = case()
    other, noise = states.clone(), torch.randn(32, generator=torch.Generator().manual_seed(2))
    other[:, 0] += noise
    other[1, 4:] -= noise
    same = translation_loss(head, states, states_mask, ids, mask)
    torch.testing.assert_close(translation_loss(head, other, states_mask, ids, mask), same)
    other[:, 1] += noise
    assert abs(translation_loss(head, other, states_mask, ids, mask).item() - same.item()) > 1e-4


def test_padding_of_the_other_sentences_does_not_matter(head):
    states, states_mask, ids, mask = case()
    wide = torch.cat([states, torch.randn(2, 3, 32)], dim=1)
    wide_mask = torch.cat([states_mask, torch.zeros(2, 3, dtype=torch.long)], dim=1)
    torch.testing.assert_close(
        translation_loss(head, wide, wide_mask, ids, mask), translation_loss(head, states, states_mask, ids, mask)
    )


def test_it_begins_as_copies_of_the_encoders_last_blocks_and_embeddings(tiny_encoder, head):
    blocks = find_blocks(tiny_encoder.model)
    for copied, block in zip(find_blocks(head.blocks), blocks[2:], strict=True):
        for (name, p), (_, q) in zip(copied.named_parameters(), block.named_parameters(), strict=True):
            assert torch.equal(p, q), name
            assert p is not q
    matrix = tiny_encoder.model.get_input_embeddings().weight
    assert torch.equal(head.predict.weight, matrix[VOCABULARY])
    assert torch.equal(head.mask, matrix[tiny_encoder.tokenizer.mask_token_id])
    assert len(blocks) == 4
    assert tiny_encoder.model.config.num_hidden_layers == 4


def test_copied_blocks_compute_what_the_encoder_would(any_tiny_encoder):
    """With all blocks copied, vectors of words in give the states that the words themselves give."""
    encoder = any_tiny_encoder
    encoded = encoder.tokenizer(["Everyone has the right", "Jeder"], padding=True, return_tensors="pt")
    inputs = {key: encoded[key] for key in ("input_ids", "attention_mask")}
    copied = last_blocks(encoder.model, 4).eval()
    with torch.inference_mode():
        vectors = encoder.model.get_input_embeddings()(inputs["input_ids"])
        wanted = encoder.model(inputs_embeds=vectors, attention_mask=inputs["attention_mask"]).last_hidden_state
        made = copied(inputs_embeds=vectors, attention_mask=inputs["attention_mask"]).last_hidden_state
    assert torch.equal(made, wanted)
    two = last_blocks(encoder.model, 2)
    assert len(find_blocks(two)) == 2
    assert sum(p.numel() for p in two.parameters()) < sum(p.numel() for p in copied.parameters())


def test_frozen_encoders_give_heads_that_learn(tiny_encoder):
    tiny_encoder.model.requires_grad_(False)
    head = TranslationHead(tiny_encoder.model, VOCABULARY, 4)
    assert all(p.requires_grad for p in head.parameters())


def test_what_cannot_be_made_is_told(tiny_encoder):
    with pytest.raises(ConfigError, match="has none"):
        TranslationHead(tiny_encoder.model, VOCABULARY[:0], 4)
    with pytest.raises(ConfigError, match="last 9 blocks of the encoder, which has 4"):
        last_blocks(tiny_encoder.model, 9)
