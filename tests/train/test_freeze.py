"""What a freeze says is what training moves: two AdamW steps with weight decay, to the bit, in six encoders."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from xrealign.model.encoder import load_encoder
from xrealign.model.layers import find_blocks, hidden_state, trainable_names, unfreezing
from xrealign.model.words import encode_texts, make_batch, pool_words
from xrealign.train.compaction import compact_embeddings, expand_embeddings
from xrealign.train.loop import run_phase
from xrealign.train.phase import Objective, Phase, unused_row_factor

TEXTS = ["Everyone has the right to life.", "Jeder hat das Recht auf Leben", "सभी मनुष्यों को गौरव और अधिकारों"]
SLOW = pytest.mark.slow
FREEZES = (
    "none", "front", "back", "embeddings", "blocks 2-3", "attention", "feed-forward", "norms", "biases",
    "only blocks 3", "only attention", "only norms+blocks 1", "embeddings+attention+block 4",
)  # fmt: skip


def batch_of(encoder):
    texts = encode_texts(encoder.tokenizer, TEXTS, 32, [np.array([[0, 3], [4, 9]])] * len(TEXTS))
    return texts, make_batch([(texts, np.arange(len(TEXTS)))], encoder.tokenizer.pad_token_id)


def weighted(layer, seed):
    """A loss that tells every direction of every subword apart, so that no gradient vanishes by symmetry."""

    def loss(model, batch):
        hidden = hidden_state(model, layer, batch.inputs)
        words = pool_words(hidden, batch)
        factors = torch.randn(hidden.shape, generator=torch.Generator().manual_seed(seed)).to(hidden.dtype)
        return (hidden * factors * batch.inputs["attention_mask"][..., None]).sum() + words.square().sum()

    return loss


def two_steps(encoder, freeze, tmp_path, layer, weight_decay=0.1):
    model = encoder.model
    _, batch = batch_of(encoder)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    names = trainable_names(model, freeze)
    objective = Objective("x", lambda step: batch, weighted(layer, 3), names)
    run_phase(model, Phase("x", 2, 1e-3, (objective,), weight_decay=weight_decay), tmp_path, seed=1)
    return names, {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}


@pytest.mark.parametrize("freeze", FREEZES)
def test_exactly_what_learns_moves(any_tiny_encoder, tmp_path, freeze):
    names, moved = two_steps(any_tiny_encoder, freeze, tmp_path, layer=4)
    assert moved == names
    assert names


@pytest.mark.parametrize(
    "freeze",
    ["front", pytest.param("only blocks 8", marks=SLOW), pytest.param("embeddings+norms", marks=SLOW)],
)
def test_in_the_starter_too(starter, tmp_path, freeze):
    encoder = load_encoder(str(starter))
    names, moved = two_steps(encoder, freeze, tmp_path, layer=12)
    assert moved == names
    inside = {name for name in names if ".layer." in name}
    blocks = {int(name.split(".layer.")[1].split(".")[0]) + 1 for name in inside}
    assert blocks == {"front": set(range(7, 13)), "only blocks 8": {8}}.get(freeze, set(range(1, 13)))
    assert any("word_embeddings" in name for name in names) is False


def test_what_lies_above_the_layer_of_the_loss_stays_even_under_weight_decay(tiny_encoder, tmp_path):
    names, moved = two_steps(tiny_encoder, "none", tmp_path, layer=2)
    above = {f"encoder.layer.{n}." for n in (2, 3)}
    assert moved == {name for name in names if not name.startswith(tuple(above))}


def test_in_joint_training_each_objective_has_its_own(any_tiny_encoder, tmp_path):
    """The realignment loss gives frozen blocks no gradient at all; they move as the fine-tuning loss alone says."""
    encoder = any_tiny_encoder
    model = encoder.model
    _, batch = batch_of(encoder)
    every, upper = trainable_names(model, "none"), trainable_names(model, "front")
    seen = {}

    def noting(name, loss):
        def noted(m, b):
            seen[name] = {n: None if p.grad is None else p.grad.clone() for n, p in m.named_parameters()}
            return loss(m, b)

        return noted

    # The third objective has no gradient of its own: it looks at what the two before it have left.
    nothing = Objective("look", lambda step: batch, noting("look", weighted(4, 1)), every, weight=0.0)
    task = Objective("task", lambda step: batch, weighted(4, 5), every)
    realign = Objective("realign", lambda step: batch, noting("realign", weighted(4, 6)), upper, weight=0.1)
    run_phase(model, Phase("joint", 1, 1e-3, (task, realign, nothing)), tmp_path, seed=1)
    for name in every:
        alone, both = seen["realign"][name], seen["look"][name]
        assert alone is not None, name
        assert torch.equal(alone, both) == (name not in upper), name


def test_gradual_unfreezing_step_by_step(tiny_encoder, tmp_path):
    model = tiny_encoder.model
    _, batch = batch_of(tiny_encoder)
    opens = unfreezing(model, "gradual 2")
    assert unfreezing(model, "front") is None
    objective = Objective(
        "x", lambda step: batch, weighted(4, 3), trainable_names(model, "gradual 2"), trainable_at=opens
    )
    for steps in range(1, 10):
        fresh = type(model)(model.config)
        fresh.load_state_dict(model.state_dict())
        run_phase(fresh, Phase("x", steps, 1e-3, (objective,), weight_decay=0.1), tmp_path / str(steps), seed=1)
        old = dict(model.named_parameters())
        moved = {name for name, p in fresh.named_parameters() if not torch.equal(p, old[name])}
        assert moved == trainable_names(model, "gradual 2", steps - 1)


def test_gradual_unfreezing_goes_on_from_a_checkpoint(tiny_encoder_folder, tmp_path):
    def run(folder, stop=None):
        encoder = load_encoder(str(tiny_encoder_folder))
        _, batch = batch_of(encoder)
        calls = []

        def of(step):
            calls.append(step)
            if step == stop:
                raise KeyboardInterrupt
            return batch

        opens = unfreezing(encoder.model, "gradual 2")
        names = trainable_names(encoder.model, "gradual 2")
        objective = Objective("x", of, weighted(4, 3), names, trainable_at=opens)
        phase = Phase("x", 10, 1e-3, (objective,), weight_decay=0.1, checkpoint_every=3)
        if stop is not None:
            with pytest.raises(KeyboardInterrupt):
                run_phase(encoder.model, phase, folder, seed=1)
            return None
        run_phase(encoder.model, phase, folder, seed=1)
        return calls, [p.detach().clone() for p in encoder.model.parameters()]

    _, whole = run(tmp_path / "a")
    run(tmp_path / "b", stop=5)
    calls, again = run(tmp_path / "b")
    assert calls[0] == 3
    assert all(torch.equal(a, b) for a, b in zip(whole, again, strict=True))


def test_unused_rows_decay_as_often_as_the_matrix_learns(tiny_encoder_folder, tmp_path):
    """Compaction, weight decay and embeddings that join in late: the same as training on all rows."""
    name = "embeddings.word_embeddings.weight"

    def run(folder, compact):
        encoder = load_encoder(str(tiny_encoder_folder))
        model = nn.ModuleDict({"encoder": encoder.model})
        texts, batch = batch_of(encoder)
        opens = unfreezing(encoder.model, "gradual 1", "encoder.")
        names = frozenset(f"encoder.{n}" for n in trainable_names(encoder.model, "gradual 1"))
        if compact:
            compact_embeddings(encoder.model, [texts.ids])
        objective = Objective(
            "x", lambda step: batch, lambda m, b: weighted(4, 3)(m["encoder"], b), names, trainable_at=opens
        )
        phase = Phase("x", 9, 1e-3, (objective,), "linear", weight_decay=0.5)
        history = run_phase(model, phase, folder, seed=1)
        if compact:
            expand_embeddings(encoder.model, unused_row_factor(phase, f"encoder.{name}", history))
        return dict(encoder.model.named_parameters())[name].detach()

    full, compact = run(tmp_path / "a", False), run(tmp_path / "b", True)
    plain = load_encoder(str(tiny_encoder_folder)).model.get_input_embeddings().weight.detach()
    assert torch.allclose(full, compact, rtol=0, atol=1e-7)
    assert not torch.allclose(full, plain, rtol=0, atol=1e-5)
    assert len(find_blocks(load_encoder(str(tiny_encoder_folder)).model)) == 4  # so the embeddings learn 5 of 9 steps
