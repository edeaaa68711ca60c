"""Training on the used rows of the embeddings gives the same bits as training on all of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from xrealign.errors import ConfigError
from xrealign.model.encoder import load_encoder
from xrealign.train.compaction import compact_embeddings, expand_embeddings
from xrealign.train.realign import RealignSettings, realign

SHORT = {"steps": 12, "batch_size": 4, "learning_rate": 1e-3, "freeze": "none", "checkpoint_every": 100}


def trained(folder, aligned, tmp_path, **settings):
    encoder = load_encoder(str(folder))
    facts = realign(encoder, aligned, RealignSettings(**{**SHORT, **settings}), tmp_path, seed=3)
    return {name: p.detach().clone() for name, p in encoder.model.named_parameters()}, facts


@pytest.mark.parametrize("objective", ["word", "sentence"])
def test_bit_equal_without_clipping(tiny_encoder_folder, aligned, tmp_path, objective):
    full, _ = trained(tiny_encoder_folder, aligned, tmp_path / "a", compact_vocabulary=False, objective=objective)
    compact, facts = trained(tiny_encoder_folder, aligned, tmp_path / "b", objective=objective)
    assert full.keys() == compact.keys()
    for name in full:
        assert torch.equal(full[name], compact[name]), name
    assert "embeddings.word_embeddings.weight" in facts["moved"]


def test_close_with_clipping(tiny_encoder_folder, aligned, tmp_path):
    full, _ = trained(tiny_encoder_folder, aligned, tmp_path / "a", compact_vocabulary=False, clip=0.5)
    compact, _ = trained(tiny_encoder_folder, aligned, tmp_path / "b", clip=0.5)
    for name in full:
        assert torch.allclose(full[name], compact[name], rtol=0, atol=1e-6), name


def test_weight_decay_reaches_unused_rows(tiny_encoder_folder, aligned, tmp_path):
    plain = load_encoder(str(tiny_encoder_folder)).model.get_input_embeddings().weight.detach()
    full, _ = trained(tiny_encoder_folder, aligned, tmp_path / "a", compact_vocabulary=False, weight_decay=5.0)
    compact, _ = trained(tiny_encoder_folder, aligned, tmp_path / "b", weight_decay=5.0)
    name = "embeddings.word_embeddings.weight"
    # Twelve factors of 1 - 1e-3 · 5, multiplied at once instead of one after the other in single precision.
    assert torch.allclose(full[name], compact[name], rtol=0, atol=1e-6)
    used = torch.any(full[name] != plain * (1 - 5e-3) ** 12, dim=1)
    assert not torch.allclose(full[name], plain, atol=1e-4)
    assert used.any()


def test_frozen_embeddings_do_not_decay(tiny_encoder_folder, aligned, tmp_path):
    before = load_encoder(str(tiny_encoder_folder)).model.get_input_embeddings().weight.detach().clone()
    after, _ = trained(tiny_encoder_folder, aligned, tmp_path, weight_decay=5.0, freeze="embeddings")
    assert torch.equal(after["embeddings.word_embeddings.weight"], before)


def test_rows_go_back_to_their_places(tiny_encoder_folder):
    model = load_encoder(str(tiny_encoder_folder)).model
    before = model.get_input_embeddings().weight.detach().clone()
    compact = compact_embeddings(model, [np.array([7, 5, 7]), np.array([11])])
    kept = compact.kept.tolist()
    assert sorted({5, 7, 11, model.config.pad_token_id}) == kept
    ids = torch.tensor([[11, 5, 7]])
    assert torch.equal(compact(ids)[0], before[[11, 5, 7]])
    with torch.no_grad():
        compact.weight += 1
    expand_embeddings(model)
    after = model.get_input_embeddings().weight.detach()
    unused = [row for row in range(len(before)) if row not in kept]
    assert torch.equal(after[kept], before[kept] + 1)
    assert torch.equal(after[unused], before[unused])


def test_an_id_that_was_not_kept_is_an_error(tiny_encoder_folder):
    model = load_encoder(str(tiny_encoder_folder)).model
    compact = compact_embeddings(model, [np.array([5])])
    with pytest.raises((IndexError, RuntimeError)):
        compact(torch.tensor([[6]]))


def test_tied_output_layers_are_refused(tiny_encoder_folder):
    model = load_encoder(str(tiny_encoder_folder)).model
    tied = torch.nn.Linear(4, 4)
    tied.weight = model.get_input_embeddings().weight
    model.get_output_embeddings = lambda: tied
    with pytest.raises(ConfigError, match="tied"):
        compact_embeddings(model, [np.array([5])])
