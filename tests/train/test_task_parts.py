"""A task's batch in parts: the loss and the gradients of the undivided batch, for every kind."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from xrealign.model.encoder import load_encoder
from xrealign.tasks.task import Example, PairExample, QuestionExample, TaggedExample
from xrealign.train.finetune import loss_of, pieces_of
from xrealign.train.heads import make_head
from xrealign.train.micro import cached_backward
from xrealign.train.task_inputs import encode_task, task_targets
from xrealign.train.task_streams import make_task_batch

SENTENCES = (
    "Everyone has the right to life", "No one", "All are equal before the law and are entitled to protection",
    "Everyone has the right to rest", "Human rights", "Everyone is entitled to a social order", "Slavery is over",
)  # fmt: skip
LABELS, TAGS = ("off", "on"), ("B-A", "I-A", "O")


def examples_of(kind):
    if kind == "class":
        return [Example(text, LABELS[n % 2], text) for n, text in enumerate(SENTENCES)]
    if kind == "pair":
        return [PairExample(text, SENTENCES[n - 1], LABELS[n % 2], text) for n, text in enumerate(SENTENCES)]
    if kind == "qa":
        return [QuestionExample(str(n), "Who?", s, ((s.split()[0], 0),), s) for n, s in enumerate(SENTENCES)]
    rows = [text.split() for text in SENTENCES]
    label = LABELS if kind == "slots" else ("", "")
    return [
        TaggedExample(tuple(row), tuple(TAGS[len(word) % 3] for word in row), str(n), label[n % 2])
        for n, row in enumerate(rows)
    ]


@pytest.mark.parametrize("kind", ["class", "pair", "pos", "ner", "slots", "qa"])
def test_parts_have_the_loss_and_gradients_of_the_whole(tiny_encoder_folder, kind):
    encoder = load_encoder(str(tiny_encoder_folder))
    torch.manual_seed(1)
    model = nn.ModuleDict({"encoder": encoder.model, "head": make_head(kind, encoder.width, LABELS, TAGS)}).eval()
    examples = examples_of(kind)
    inputs = encode_task(encoder.tokenizer, kind, examples, 48)
    targets = task_targets(kind, inputs, examples, LABELS, TAGS)
    batch = make_task_batch(inputs, np.arange(len(inputs)), encoder.tokenizer.pad_token_id, targets)
    whole = loss_of(kind)(model, batch)
    whole.backward()
    wanted = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    for parts in (2, 3, 7, 50):
        model.zero_grad()
        pieces = pieces_of(kind)
        assert len(pieces.split(batch, parts)) == min(parts, len(inputs))
        loss = cached_backward(model, batch, pieces, parts, device=torch.device("cpu"))
        assert loss.item() == pytest.approx(whole.item(), rel=1e-6)
        found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        assert found.keys() == wanted.keys()
        for name, gradient in wanted.items():
            torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-6)
