"""LoRA: the base stays, the merged encoder gives what the adapted one gave, and it is an ordinary encoder again."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoModel

import xrealign.train.loop as loop
from xrealign.errors import ConfigError, MissingExtra
from xrealign.model.encoder import load_encoder, save_encoder
from xrealign.model.layers import find_blocks, hidden_state, trainable_names
from xrealign.model.words import encode_texts, make_batch
from xrealign.train.compaction import compact_embeddings, expand_embeddings
from xrealign.train.loop import run_phase
from xrealign.train.lora import LoraSettings, adapter_names, add_adapters, merge_adapters
from xrealign.train.phase import Objective, Phase

TEXTS = ["Everyone has the right to life.", "Jeder hat das Recht auf Leben", "सभी मनुष्यों को गौरव और अधिकारों"]


def batch_of(encoder):
    texts = encode_texts(encoder.tokenizer, TEXTS, 32, [np.array([[0, 3], [4, 9]])] * len(TEXTS))
    return texts, make_batch([(texts, np.arange(len(TEXTS)))], encoder.tokenizer.pad_token_id)


def output(model, batch):
    with torch.inference_mode():
        return hidden_state(model.eval(), 4, batch.inputs)[batch.inputs["attention_mask"].bool()]


def loss(model, batch):
    hidden = hidden_state(model, 4, batch.inputs)
    factors = torch.randn(hidden.shape, generator=torch.Generator().manual_seed(3))
    return (hidden * factors * batch.inputs["attention_mask"][..., None]).mean()


def train(encoder, folder, settings=None, steps=6, freeze="none", seed=5):
    """Adapts, trains, and returns the handle with what the outputs were before and after."""
    settings = settings or LoraSettings(dropout=0.1)
    _, batch = batch_of(encoder)
    adapters = add_adapters(encoder.model, settings, seed, trainable_names(encoder.model, freeze))
    objective = Objective("x", lambda step: batch, loss, adapter_names(encoder.model))
    run_phase(encoder.model, Phase("x", steps, 1e-2, (objective,), weight_decay=0.1, checkpoint_every=2), folder, seed)
    return adapters


@pytest.mark.parametrize("targets", ["attention", "all"])
def test_merged_is_what_adapted_was(any_tiny_encoder, tmp_path, targets):
    encoder = any_tiny_encoder
    model = encoder.model
    _, batch = batch_of(encoder)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    plain = output(model, batch)
    untouched = add_adapters(model, LoraSettings(targets=targets), 5)
    assert torch.equal(output(model, batch), plain)
    assert merge_adapters(untouched) is model
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())

    adapters = train(encoder, tmp_path, LoraSettings(targets=targets, dropout=0.1))
    base = {n.replace(".base_layer", ""): p for n, p in model.named_parameters() if "lora_" not in n}
    assert base.keys() == before.keys()
    assert all(torch.equal(p, before[name]) for name, p in base.items())
    adapted = output(model, batch)
    assert (adapted - plain).abs().max() > 0.05
    merge_adapters(adapters)
    assert (output(model, batch) - adapted).abs().max() < 1e-5
    assert {name for name, _ in model.named_parameters()} == before.keys()
    assert all(p.requires_grad for p in model.parameters())
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    blocks = {id(p) for block in find_blocks(model) for p in block.parameters()}
    matrices = {name for name, p in model.named_parameters() if id(p) in blocks and p.dim() == 2}
    inside = {name for name in matrices if ".attention." in name or ".attn." in name}
    assert changed == (inside if targets == "attention" else matrices)

    save_encoder(encoder, tmp_path / "saved")
    loaded = AutoModel.from_pretrained(tmp_path / "saved", attn_implementation=model.config._attn_implementation)
    assert (output(loaded, batch) - adapted).abs().max() < 1e-5


def test_frozen_blocks_get_no_adapters(tiny_encoder):
    add_adapters(tiny_encoder.model, LoraSettings(), 5, trainable_names(tiny_encoder.model, "front"))
    names = adapter_names(tiny_encoder.model)
    assert {name.split(".")[2] for name in names} == {"2", "3"}
    assert len(names) == 2 * 6 * 2


def test_nothing_to_adapt_is_an_error(tiny_encoder):
    with pytest.raises(ConfigError, match="no block of BertModel has linear layers that may learn"):
        add_adapters(tiny_encoder.model, LoraSettings(), 5, trainable_names(tiny_encoder.model, "only norms"))


@pytest.mark.parametrize("stop", [1, 3, 5])
def test_checkpoints_hold_the_adapters_and_resuming_is_exact(tiny_encoder_folder, tmp_path, monkeypatch, stop):
    def merged(folder):
        encoder = load_encoder(str(tiny_encoder_folder))
        merge_adapters(train(encoder, folder))
        return [p.detach().clone() for p in encoder.model.parameters()]

    whole = merged(tmp_path / "a")
    real = loop.rate_at

    def dies(phase, step):
        if step == stop:
            raise KeyboardInterrupt
        return real(phase, step)

    monkeypatch.setattr(loop, "rate_at", dies)
    with pytest.raises(KeyboardInterrupt):
        merged(tmp_path / "b")
    monkeypatch.setattr(loop, "rate_at", real)
    assert all(torch.equal(a, b) for a, b in zip(whole, merged(tmp_path / "b"), strict=True))
    newest = max((tmp_path / "a").rglob("step-*"))
    saved = sum(path.stat().st_size for path in newest.rglob("*.safetensors"))
    encoder = load_encoder(str(tiny_encoder_folder))
    assert saved < 4 * sum(p.numel() for p in encoder.model.parameters())  # no base weights, with both moments


def test_compaction_changes_nothing(tiny_encoder_folder, tmp_path):
    results = []
    for compact in (False, True):
        encoder = load_encoder(str(tiny_encoder_folder))
        if compact:
            compact_embeddings(encoder.model, [batch_of(encoder)[0].ids])
        merge_adapters(train(encoder, tmp_path / str(compact)))
        if compact:
            expand_embeddings(encoder.model)
        results.append({name: p.detach() for name, p in encoder.model.named_parameters()})
    full, small = results
    assert full.keys() == small.keys()
    assert all(torch.equal(full[name], small[name]) for name in full)


def test_first_values_depend_on_the_seed_alone(tiny_encoder_folder):
    found = []
    for noise, seed in ((1, 5), (2, 5), (1, 6)):
        model = load_encoder(str(tiny_encoder_folder)).model
        torch.manual_seed(noise)
        state = torch.get_rng_state()
        add_adapters(model, LoraSettings(), seed)
        assert torch.equal(torch.get_rng_state(), state)
        found.append(torch.cat([p.flatten() for n, p in model.named_parameters() if "lora_A" in n]))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_an_update_that_is_not_finite_is_not_merged(tiny_encoder):
    adapters = add_adapters(tiny_encoder.model, LoraSettings(), 5)
    before = {name: p.detach().clone() for name, p in tiny_encoder.model.named_parameters()}
    with torch.no_grad():
        next(p for n, p in tiny_encoder.model.named_parameters() if "lora_B" in n).fill_(torch.nan)
    with pytest.raises(ConfigError, match="is not finite: nothing was merged"):
        merge_adapters(adapters)
    kept = {name: p for name, p in tiny_encoder.model.named_parameters() if "lora_B" not in name}
    assert all(torch.equal(p, before[name]) for name, p in kept.items())


def test_without_peft_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtra, match=r"^adapter = 'lora' needs peft.*xrealign\[lora\]"):
        add_adapters(nn.Linear(1, 1), LoraSettings(), 5)


def test_impossible_settings_are_all_named():
    with pytest.raises(ConfigError, match=r"(?s)lora.rank = 0 .*lora.dropout = 1"):
        LoraSettings(rank=0, dropout=1)
