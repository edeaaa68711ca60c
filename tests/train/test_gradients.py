"""Gradient agreement, against backward() and loops over parameters."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from xrealign.errors import TrainingError
from xrealign.model.words import encode_texts
from xrealign.train.gradients import gradient_agreement, word_alignment_loss
from xrealign.train.objective_settings import ObjectiveSettings
from xrealign.train.objectives import make_objective
from xrealign.train.streams import PairStream


def batches_of(encoder, aligned, rows, size=8):
    src = encode_texts(encoder.tokenizer, aligned.src, 32, aligned.src_spans)
    tgt = encode_texts(encoder.tokenizer, aligned.tgt, 32, aligned.tgt_spans)
    plan = np.array(rows)[: len(rows) // size * size].reshape(-1, size)
    stream = PairStream(src, tgt, aligned.links, plan, encoder.tokenizer.pad_token_id)
    return [stream(step) for step in range(len(plan))]


@pytest.fixture
def losses(tiny_encoder, aligned):
    """Batches by language, and a task: telling long names from short ones."""
    tags = np.array(aligned.languages)
    batches = {tag: batches_of(tiny_encoder, aligned, np.flatnonzero(tags == tag)[:16]) for tag in dict.fromkeys(tags)}
    encoded = tiny_encoder.tokenizer(list(aligned.src[:12]), padding=True, return_tensors="pt")
    labels = torch.tensor([len(text) > 10 for text in aligned.src[:12]]).long()
    head = torch.nn.Linear(32, 2, bias=False)
    with torch.no_grad():
        head.weight.copy_(torch.randn(2, 32, generator=torch.Generator().manual_seed(3)))

    def task(model):
        states = model(input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"]).last_hidden_state
        return F.cross_entropy(head(states.mean(1)), labels)

    return batches, task


def gradients(model, loss):
    """By backward(), parameter by parameter."""
    model.zero_grad()
    loss.backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found


def test_cosines_are_those_of_backward(tiny_encoder, losses):
    batches, task = losses
    model = tiny_encoder.model
    found = gradient_agreement(model, batches, task)
    assert all(p.grad is None for p in model.parameters())
    ours = gradients(model, task(model))
    for language, some in batches.items():
        assert len(some) == 2
        total = sum(word_alignment_loss(model, batch) for batch in some) / len(some)
        theirs = gradients(model, total)
        assert list(found[language]) == ["embeddings", "block 1", "block 2", "block 3", "block 4", "all"]
        for part, agreement in found[language].items():
            prefix = {"embeddings": "embeddings.", "all": ""}.get(part)
            if prefix is None:
                prefix = f"encoder.layer.{int(part.split()[1]) - 1}."
            names = [name for name in ours if name.startswith(prefix)]
            a, b = (torch.cat([side[name].reshape(-1) for name in names]).double() for side in (theirs, ours))
            assert agreement.cosine == pytest.approx(float(F.cosine_similarity(a, b, dim=0)), abs=1e-6)
            assert agreement.alignment_norm == pytest.approx(float(a.norm()), rel=1e-5)
            assert agreement.task_norm == pytest.approx(float(b.norm()), rel=1e-5)
            assert agreement.parameters == len(a)


def test_a_loss_agrees_with_itself_and_not_with_its_opposite(tiny_encoder, losses):
    batches, _ = losses
    some = {tag: [group[0]] for tag, group in batches.items()}
    (tag, (batch,)), *_ = some.items()
    same = gradient_agreement(tiny_encoder.model, some, lambda model: word_alignment_loss(model, batch))
    opposite = gradient_agreement(tiny_encoder.model, some, lambda model: -2 * word_alignment_loss(model, batch))
    for part in same[tag]:
        assert same[tag][part].cosine == pytest.approx(1, abs=1e-6)
        assert opposite[tag][part].cosine == pytest.approx(-1, abs=1e-6)
        assert opposite[tag][part].task_norm == pytest.approx(2 * same[tag][part].task_norm, rel=1e-5)
    other = next(t for t in same if t != tag)
    assert same[other]["all"].cosine < 0.99


def test_the_loss_is_that_of_training(tiny_encoder, losses):
    batches, _ = losses
    batch = next(iter(batches.values()))[0]
    model = tiny_encoder.model.eval()
    objective = make_objective("word", ObjectiveSettings(projection="none"), model, 0)
    expected = objective.loss({"encoder": model}, batch)
    torch.testing.assert_close(word_alignment_loss(model, batch), expected)
    at_two = word_alignment_loss(model, batch, layer=2)
    assert float(at_two.detach()) != float(expected.detach())


def test_blocks_that_a_loss_does_not_reach_have_no_cosine(tiny_encoder, losses):
    batches, task = losses
    found = gradient_agreement(tiny_encoder.model, batches, task, lambda m, b: word_alignment_loss(m, b, layer=2))
    parts = next(iter(found.values()))
    assert parts["block 2"].cosine is not None
    assert parts["block 3"].cosine is None
    assert parts["block 3"].alignment_norm == 0 < parts["block 3"].task_norm


def test_dropout_is_off_and_the_mode_is_kept(tiny_encoder, losses):
    batches, task = losses
    tiny_encoder.model.train()
    first, second = (gradient_agreement(tiny_encoder.model, batches, task) for _ in range(2))
    assert first == second
    assert tiny_encoder.model.training


@pytest.mark.parametrize("architecture", ["xlm-roberta", "distilbert", "deberta-v2", "modernbert"])
def test_every_architecture_has_its_parts(tiny_folders, aligned, architecture):
    from xrealign.model.encoder import load_encoder

    attention = "eager" if architecture == "deberta-v2" else "sdpa"
    encoder = load_encoder(str(tiny_folders(architecture)), attention=attention)
    batch = batches_of(encoder, aligned, range(8))[0]
    found = gradient_agreement(encoder.model, {"swh_Latn": [batch]}, lambda m: word_alignment_loss(m, batch, layer=3))
    parts = found["swh_Latn"]
    assert [part for part in parts if part.startswith("block")] == ["block 1", "block 2", "block 3", "block 4"]
    assert -1 <= parts["all"].cosine <= 1
    assert parts["embeddings"].parameters > 0


def test_what_gives_no_gradient_is_refused(tiny_encoder, losses):
    batches, task = losses
    model = tiny_encoder.model
    with pytest.raises(TrainingError, match="swh_Latn has no batch"):
        gradient_agreement(model, {"swh_Latn": []}, task)
    with pytest.raises(TrainingError, match="the task loss does not depend on the encoder"):
        gradient_agreement(model, batches, lambda _: torch.tensor(1.0))
    with pytest.raises(TrainingError, match="the task loss is nan"):
        gradient_agreement(model, batches, lambda m: task(m) * float("nan"))
    with pytest.raises(TrainingError, match="the alignment loss of swh_Latn is inf"):
        gradient_agreement(model, batches, task, lambda m, b: word_alignment_loss(m, b) + float("inf"))
    assert all(p.grad is None for p in model.parameters())
