"""Gradient caching: parts of a batch, the same negatives, the same loss, the same gradient."""

from __future__ import annotations

import functools
import os
import signal

import numpy as np
import pytest
import torch
from torch import nn

import xrealign.train.loop as loop
from xrealign.errors import TrainingError
from xrealign.model.encoder import load_encoder
from xrealign.model.layers import hidden_state
from xrealign.model.words import encode_texts, make_batch, mean_words, pool_sentences, pool_words
from xrealign.signals import Stopped, handled
from xrealign.train.loop import run_phase
from xrealign.train.losses import sentence_contrastive, word_contrastive
from xrealign.train.micro import Pieces, cached_backward, out_of_memory, split_batch, split_texts, undivided
from xrealign.train.objective_settings import ObjectiveSettings
from xrealign.train.objectives import OBJECTIVES, make_objective
from xrealign.train.phase import Objective, Phase
from xrealign.train.seeds import seed_torch
from xrealign.train.streams import PairStream

CPU = torch.device("cpu")


def words_of(model, texts):
    return pool_words(hidden_state(model["encoder"], 4, texts.inputs), texts)


def word_loss(model, vectors, batch):
    projected = model["projection"](vectors)
    return word_contrastive(projected[: batch.src_words], projected[batch.src_words :], batch.links)


def sentences_of(model, texts):
    words = pool_words(hidden_state(model["encoder"], 4, texts.inputs), texts)
    return mean_words(words, texts, len(texts.inputs["input_ids"]))


def sentence_loss(model, vectors, batch):
    projected = model["projection"](vectors)
    return sentence_contrastive(projected[: batch.pairs], projected[batch.pairs :], model["temperature"].weight.exp())


def whole_or_part(encode):
    return lambda model, batch: encode(model, getattr(batch, "texts", batch))


PIECES = {
    "word": Pieces(split_batch, whole_or_part(words_of), word_loss),
    "sentence": Pieces(split_batch, whole_or_part(sentences_of), sentence_loss),
}


def model_of(folder, dtype=torch.float32, dropout=0.1):
    encoder = load_encoder(str(folder))
    seed_torch(0, "projection")
    projection = nn.Sequential(nn.Linear(32, 32, bias=False), nn.ReLU(), nn.Linear(32, 16, bias=False))
    temperature = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        temperature.weight.fill_(-2.0)
    for module in encoder.model.modules():
        if isinstance(module, nn.Dropout):
            module.p = dropout
    parts = {"encoder": encoder.model, "projection": projection, "temperature": temperature}
    return encoder, nn.ModuleDict(parts).to(dtype).train()


@pytest.fixture
def stream(tiny_encoder_folder, aligned):
    encoder = load_encoder(str(tiny_encoder_folder))
    src = encode_texts(encoder.tokenizer, aligned.src, 96, aligned.src_spans)
    tgt = encode_texts(encoder.tokenizer, aligned.tgt, 96, aligned.tgt_spans)
    plan = np.random.default_rng(0).permutation(len(aligned.src))[:84].reshape(7, 12)
    return PairStream(src, tgt, aligned.links, plan, encoder.tokenizer.pad_token_id)


def gradients(model):
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad(set_to_none=True)
    return found


@pytest.mark.parametrize("objective", PIECES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-14)])
@pytest.mark.parametrize("parts", [1, 5, 1000])
def test_same_loss_and_gradient_as_in_one_pass(tiny_encoder_folder, stream, objective, dtype, tolerance, parts):
    _, model = model_of(tiny_encoder_folder, dtype, dropout=0.0)
    pieces, batch = PIECES[objective], stream(0)
    loss = undivided(pieces)(model, batch)
    (0.1 * loss).backward()
    wanted = gradients(model)
    cached = cached_backward(model, batch, pieces, parts, device=CPU, weight=0.1)
    found = gradients(model)
    assert cached.item() == pytest.approx(loss.item(), rel=tolerance)
    assert found.keys() == wanted.keys()
    scale = max(float(g.abs().max()) for g in wanted.values())
    for name, gradient in wanted.items():
        assert torch.allclose(found[name], gradient, rtol=tolerance, atol=tolerance * scale), name
    assert any("projection" in name for name in wanted)
    assert ("temperature.weight" in wanted) == (objective == "sentence")


@pytest.mark.parametrize("name", [name for name, kind in OBJECTIVES.items() if isinstance(kind.loss, tuple)])
def test_every_objective_that_can_be_divided(tiny_encoder_folder, stream, name):
    """Their queues and slow copies included: what the second half changes, the second pass does not see."""
    batch, found = stream(0), []
    for parts in (None, 5):
        encoder, _ = model_of(tiny_encoder_folder, dropout=0.0)
        objective = make_objective(name, ObjectiveSettings(layers=(3,)), encoder.model, seed=1)
        model = nn.ModuleDict({"encoder": encoder.model, "heads": objective.heads}).double().train()
        if parts is None:
            loss = objective.loss(model, batch)
            loss.backward()
        else:
            pieces = Pieces(split_batch, objective.encode, objective.compare)
            loss = cached_backward(model, batch, pieces, parts, device=CPU)
        found.append((loss.item(), gradients(model)))
    (loss, wanted), (cached, got) = found
    assert cached == pytest.approx(loss, rel=1e-12)
    assert got.keys() >= wanted.keys() != set()
    for key, gradient in wanted.items():
        assert torch.allclose(got[key], gradient, rtol=1e-9, atol=1e-13), key


def test_both_passes_drop_the_same(tiny_encoder_folder, stream):
    """With dropout the gradient is that of one graph over the parts, each seeded as its own."""
    _, model = model_of(tiny_encoder_folder, torch.float64, dropout=0.3)
    pieces, batch, reseed = PIECES["word"], stream(0), functools.partial(seed_torch, 7, "part")
    vectors = []
    for number, part in enumerate(split_batch(batch, 3)):
        reseed(number)
        vectors.append(pieces.encode(model, part))
    loss = pieces.loss(model, torch.cat(vectors), batch)
    loss.backward()
    wanted = gradients(model)
    cached = cached_backward(model, batch, pieces, 3, device=CPU, reseed=reseed)
    found = gradients(model)
    assert cached.item() == pytest.approx(loss.item(), rel=1e-14)
    for name, gradient in wanted.items():
        assert torch.allclose(found[name], gradient, rtol=1e-11, atol=1e-14), name
    other = cached_backward(model, batch, pieces, 3, device=CPU, reseed=functools.partial(seed_torch, 8, "part"))
    assert other.item() != pytest.approx(loss.item(), rel=1e-6)


def test_several_tensors_of_which_one_has_no_part_in_the_loss(tiny_encoder_folder, stream):
    _, model = model_of(tiny_encoder_folder, torch.float64, dropout=0.0)

    def encode(m, texts):
        hidden = hidden_state(m["encoder"], 4, texts.inputs)
        return pool_words(hidden, texts), pool_sentences(hidden, texts.inputs["attention_mask"]), hidden[:, 0]

    pieces = Pieces(
        split_batch, whole_or_part(encode), lambda m, v, batch: word_loss(m, v[0], batch) + v[1].square().mean()
    )
    batch = stream(1)
    loss = undivided(pieces)(model, batch)
    loss.backward()
    wanted = gradients(model)
    assert cached_backward(model, batch, pieces, 4, device=CPU).item() == pytest.approx(loss.item(), rel=1e-14)
    for name, gradient in gradients(model).items():
        assert torch.allclose(gradient, wanted[name], rtol=1e-11, atol=1e-15), name


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_parts_hold_the_same_words_in_the_same_order(tiny_encoder, parts):
    texts = ["one two three", "", "vier fünf", "altı", "", "saba nane tisa kumi", "a b"]
    spans = [np.array([[i, j] for i, j in _spans(text)], dtype=np.int32).reshape(-1, 2) for text in texts]
    encoded = encode_texts(tiny_encoder.tokenizer, texts, 32, spans)
    batch = make_batch([(encoded, np.arange(7))], tiny_encoder.tokenizer.pad_token_id)
    split = split_texts(batch, parts)
    assert len(split) == parts
    with torch.no_grad():
        for how in ("mean", "first", "sum"):
            hidden = hidden_state(tiny_encoder.model, 4, batch.inputs)
            joined = torch.cat([pool_words(hidden_state(tiny_encoder.model, 4, p.inputs), p, how) for p in split])
            assert torch.allclose(joined, pool_words(hidden, batch, how), rtol=0, atol=1e-5)
    assert torch.equal(torch.cat([part.word for part in split]), batch.word)
    assert sum(len(part.inputs["input_ids"]) for part in split) == 7
    for part in split:
        assert part.inputs["attention_mask"].sum(1).max() == part.inputs["attention_mask"].shape[1]


def _spans(text):
    start = 0
    for word in text.split():
        start = text.index(word, start)
        yield start, start + len(word)
        start += len(word)


def no_room():
    """As torch says it on a GPU."""
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def too_large(encode, most, full):
    """The encoding on a device that has room for so many sentences; for more it does what ``full`` does."""

    def limited(model, batch):
        texts = getattr(batch, "texts", batch)
        if len(texts.inputs["input_ids"]) > most:
            full()
        return encode(model, texts)

    return limited


def trained(folder, stream, tmp_path, most=1000, objectives=1, full=no_room):
    _, model = model_of(folder, dropout=0.0)
    names = frozenset(n for n, _ in model.named_parameters() if "pooler" not in n and "temperature" not in n)
    pieces = Pieces(split_batch, too_large(words_of, most, full), word_loss)
    first = PIECES["sentence"]
    both = (
        Objective("sentence", stream, undivided(first), names, pieces=first),
        Objective("word", stream, undivided(pieces), names, 0.5, pieces=pieces),
    )
    phase = Phase("realign", 7, 1e-3, both[2 - objectives :], checkpoint_every=3)
    history = run_phase(model, phase, tmp_path, seed=0, precision="fp32")
    return {name: p.detach().clone() for name, p in model.named_parameters()}, history


@pytest.mark.parametrize("objectives", [1, 2])
def test_out_of_memory_divides_the_batch_and_changes_nothing_else(
    tiny_encoder_folder, stream, tmp_path, capsys, objectives
):
    whole, plain = trained(tiny_encoder_folder, stream, tmp_path / "a", objectives=objectives)
    assert capsys.readouterr().err == ""
    divided, history = trained(tiny_encoder_folder, stream, tmp_path / "b", most=7, objectives=objectives)
    said = [line for line in capsys.readouterr().err.splitlines() if "parts" in line]
    assert said == [
        "  realign: the memory is too small at step 1 for 'word': from here on its batches are worked on in "
        f"{parts} parts, with the same negatives and loss"
        for parts in (2, 4)
    ]
    assert [row["parts"] for row in history] == [{"word": 4}] * len(history)
    for row, other in zip(plain, history, strict=True):
        assert row["word"] == pytest.approx(other["word"], rel=1e-5)
    assert history[0]["word"] == pytest.approx(plain[0]["word"], rel=1e-6)
    for name, weight in whole.items():
        if not name.endswith("key.bias"):  # whose gradient is zero but for rounding, which Adam turns into steps
            assert (weight - divided[name]).abs().mean() < 1e-5, name


def test_resuming_keeps_the_parts(tiny_encoder_folder, stream, tmp_path, monkeypatch, capsys):
    whole, history = trained(tiny_encoder_folder, stream, tmp_path / "a", most=7)
    real = loop.rate_at

    def dies(phase, step):
        if step == 4:
            raise KeyboardInterrupt
        return real(phase, step)

    monkeypatch.setattr(loop, "rate_at", dies)
    with pytest.raises(KeyboardInterrupt):
        trained(tiny_encoder_folder, stream, tmp_path / "b", most=7)
    monkeypatch.setattr(loop, "rate_at", real)
    capsys.readouterr()
    again, second = trained(tiny_encoder_folder, stream, tmp_path / "b", most=7)
    assert "parts" not in capsys.readouterr().err
    assert second == history
    assert all(torch.equal(again[name], weight) for name, weight in whole.items())


def test_stopped_right_after_a_division_the_parts_are_kept(tiny_encoder_folder, stream, tmp_path, monkeypatch, capsys):
    """Before any row of the history tells of them."""
    real, ends, now = loop.rate_at, [], []

    def at(phase, step):
        now[:] = [step]
        if step in ends:
            os.kill(os.getpid(), signal.SIGTERM)  # the step is finished and saved
        return real(phase, step)

    def full():  # from the fourth step on
        if now[0] >= 3:
            no_room()

    monkeypatch.setattr(loop, "rate_at", at)
    whole, history = trained(tiny_encoder_folder, stream, tmp_path / "a", most=7, full=full)
    assert ["parts" in row for row in history] == [False, True, True]
    ends.append(4)
    with pytest.raises(Stopped), handled():
        trained(tiny_encoder_folder, stream, tmp_path / "b", most=7, full=full)
    ends.clear()
    assert "in 4 parts" in capsys.readouterr().err
    with handled():
        again, second = trained(tiny_encoder_folder, stream, tmp_path / "b", most=7, full=full)
    assert "parts" not in capsys.readouterr().err, "nothing is tried that did not fit before"
    assert second == history
    assert all(torch.equal(again[name], weight) for name, weight in whole.items())


def test_a_memory_too_small_for_one_sentence(tiny_encoder_folder, stream, tmp_path):
    with pytest.raises(TrainingError, match=r"realign: the memory is too small at step 1 for 'word'.*any further; try"):
        trained(tiny_encoder_folder, stream, tmp_path, most=0)


def test_what_says_that_the_memory_is_too_small():
    with pytest.raises(RuntimeError) as told:
        torch.zeros(2**50)
    assert out_of_memory(told.value)
    with pytest.raises(MemoryError) as told:
        np.zeros(2**50)
    assert out_of_memory(told.value)
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."))
    assert out_of_memory(RuntimeError("std::bad_alloc"))
    with pytest.raises(RuntimeError) as told:
        torch.ones(2, 3) @ torch.ones(2, 3)
    assert not out_of_memory(told.value)
    assert not out_of_memory(OSError("can't allocate memory"))


def test_a_cpu_without_room_divides_the_batch_as_a_gpu_does(tiny_encoder_folder, stream, tmp_path, capsys):
    """Too much is asked of the allocator itself: torch has no class of its own for that."""
    whole, _ = trained(tiny_encoder_folder, stream, tmp_path / "a")
    divided, history = trained(tiny_encoder_folder, stream, tmp_path / "b", most=7, full=lambda: torch.zeros(2**50))
    assert history[-1]["parts"] == {"word": 4}
    assert "the memory is too small at step 1 for 'word'" in capsys.readouterr().err
    for name, weight in whole.items():
        if not name.endswith("key.bias"):
            assert (weight - divided[name]).abs().mean() < 1e-5, name


def test_a_loss_that_cannot_be_divided(tmp_path):
    model = nn.ModuleDict({"a": nn.Linear(1, 1)})

    def loss(m, x):
        raise torch.OutOfMemoryError("CUDA out of memory")

    objective = Objective("mlm", lambda step: torch.ones(1, 1), loss, frozenset({"a.weight"}))
    with pytest.raises(TrainingError, match="'mlm', and its batch cannot be divided"):
        run_phase(model, Phase("realign", 1, 0.1, (objective,)), tmp_path, seed=0)
