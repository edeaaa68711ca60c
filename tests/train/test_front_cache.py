"""States of the frozen front, computed once: the same training as without, whatever the architecture."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import xrealign.train.front_cache as front_cache
from xrealign.errors import ConfigError
from xrealign.model.encoder import load_encoder
from xrealign.model.layers import find_blocks, hidden_state, hidden_states, states_above, trainable_names
from xrealign.model.words import encode_texts, make_batch
from xrealign.store import file_digest
from xrealign.train.compaction import compact_embeddings
from xrealign.train.front_cache import FrontCache, front_loss, front_stream
from xrealign.train.front_weights import front_digest, front_parameters, frozen_layers, still_modules
from xrealign.train.loop import run_phase
from xrealign.train.objective_settings import ObjectiveSettings
from xrealign.train.objectives import make_objective
from xrealign.train.phase import Objective, Phase
from xrealign.train.streams import PairStream, plan_steps

ROOM = 1 << 30
FREEZE = "front"


def encoded(encoder, aligned):
    return (
        encode_texts(encoder.tokenizer, aligned.src, 48, aligned.src_spans),
        encode_texts(encoder.tokenizer, aligned.tgt, 48, aligned.tgt_spans),
    )


def pair_stream(encoder, aligned, steps=6, batch=4, seed=1):
    src, tgt = encoded(encoder, aligned)
    lengths = np.maximum(src.lengths, tgt.lengths)
    plan = plan_steps([0] * len(src), lengths, steps, batch, seed, "realign")
    return PairStream(src, tgt, list(aligned.links), plan, encoder.tokenizer.pad_token_id)


def inputs_of(encoder, texts, rows):
    return make_batch([(texts, np.asarray(rows))], encoder.tokenizer.pad_token_id).inputs


def train(encoder, aligned, folder, cache=None, name="word", seed=3, layers=(-1,), stream=None):
    """Realigns with everything at and below block 2 frozen and still; weights afterwards, and the history."""
    stream = stream or pair_stream(encoder, aligned)
    objective = make_objective(name, ObjectiveSettings(layers=layers), encoder.model, seed)
    model = nn.ModuleDict({"encoder": encoder.model, "heads": objective.heads})
    learning = frozenset(f"encoder.{n}" for n in trainable_names(encoder.model, FREEZE))
    learning |= {n for n, _ in model.named_parameters() if n.startswith("heads.")}
    if cache is not None:
        made = Objective(name, front_stream(stream, cache), front_loss(objective, cache), learning)
    else:
        still = still_modules(encoder.model, 2)

        def loss(model, batch):
            for module in still:
                module.eval()
            return objective.loss(model, batch)

        made = Objective(name, stream, loss, learning)
    history = run_phase(model, Phase("realign", len(stream.plan), 1e-3, (made,)), folder, seed)
    return {n: p.detach().clone() for n, p in model.named_parameters()}, history


def cache_of(encoder, folder, limit=ROOM, dtype="float32", layer=2):
    return FrontCache(encoder.model, layer, folder, limit, encoder.tokenizer.pad_token_id, dtype)


def test_states_above_equal_those_of_a_whole_pass(any_tiny_encoder, udhr_lines):
    model, tokenizer = any_tiny_encoder.model, any_tiny_encoder.tokenizer
    texts = encode_texts(tokenizer, [lines[n] for lines in udhr_lines.values() for n in (0, 3)], 48)
    inputs = inputs_of(any_tiny_encoder, texts, range(len(texts)))
    top, blocks = any_tiny_encoder.layers, find_blocks(model)
    with torch.no_grad():
        whole = hidden_states(model, range(top + 1), inputs)
        for start in range(1, top):
            for _ in range(2):  # the first time it may have to see what a block returns
                found = states_above(model, start, whole[start], inputs, range(start, top + 1))
                assert list(found) == list(range(start, top + 1))
                for layer, state in found.items():
                    assert torch.allclose(state, whole[layer], atol=1e-6), (start, layer)
        ran = []
        handles = [m.register_forward_hook(lambda *_: ran.append(1)) for m in blocks[1].modules() if m is not blocks[1]]
        other = states_above(model, 2, whole[2] + torch.randn_like(whole[2]), inputs, [top])[top]
        assert not ran  # a lower block is passed through
        assert torch.allclose(hidden_state(model, top, inputs), whole[top], atol=1e-6)  # and is itself again
        assert ran
        for handle in handles:
            handle.remove()
    assert not torch.allclose(other, whole[top], atol=1e-3)


def test_cached_training_is_uncached_training(any_tiny_encoder, aligned, tmp_path, tiny_folders, request):
    architecture = request.node.callspec.params["any_tiny_encoder"]
    attention = "eager" if architecture == "deberta-v2" else "sdpa"
    whole, history = train(any_tiny_encoder, aligned, tmp_path / "a")
    again = load_encoder(str(tiny_folders(architecture)), attention=attention)
    start = {f"encoder.{n}": p.detach().clone() for n, p in again.model.named_parameters()}
    compact_embeddings(again.model, [texts.ids for texts in encoded(again, aligned)])
    cached, cached_history = train(again, aligned, tmp_path / "b", cache_of(again, tmp_path / "front"))
    moved = [n for n, p in whole.items() if n in start and not torch.equal(p, start[n])]
    assert moved  # and by far more than the tolerance
    assert max(float((whole[n] - start[n]).abs().max()) for n in moved) > 1e-3
    for name, p in cached.items():
        if not name.endswith(("key.bias", "key_proj.bias", "k_lin.bias")) and p.shape == whole[name].shape:
            # A key's bias has no gradient but rounding, which Adam makes into steps.
            assert torch.allclose(p, whole[name], atol=1e-5), name
    assert [row["word"] for row in cached_history] == pytest.approx([row["word"] for row in history], abs=1e-5)


@pytest.mark.parametrize(("name", "layers"), [("sentence", (3,)), ("cka", (2, 4)), ("l2", (-1,)), ("infoxlm", (3,))])
def test_losses_from_cached_states_are_those_of_a_whole_pass(tiny_encoder, aligned, tmp_path, name, layers):
    model, stream = tiny_encoder.model, pair_stream(tiny_encoder, aligned)
    learning = trainable_names(model, FREEZE)
    objective = make_objective(name, ObjectiveSettings(layers=layers), model, 0, learning)
    both = nn.ModuleDict({"encoder": model, "heads": objective.heads}).eval()
    for n, p in model.named_parameters():
        p.requires_grad_(n in learning)
    cache = cache_of(tiny_encoder, tmp_path)
    batches, loss = front_stream(stream, cache), front_loss(objective, cache)
    for step in range(3):
        got, expected = loss(both, batches(step)), objective.loss(both, stream(step))
        assert got.item() == pytest.approx(expected.item(), abs=1e-5)
        names = sorted(learning)
        parameters = [dict(model.named_parameters())[n] for n in names]
        for n, a, b in zip(
            names,
            torch.autograd.grad(got, parameters, allow_unused=True),
            torch.autograd.grad(expected, parameters, allow_unused=True),
            strict=True,
        ):
            assert (a is None) == (b is None), n
            assert a is None or torch.allclose(a, b, atol=1e-5), n


def counted(monkeypatch):
    """Sentences that the front is run on."""
    seen, real = [], front_cache.hidden_state

    def count(model, layer, inputs):
        seen.append(len(inputs["input_ids"]))
        return real(model, layer, inputs)

    monkeypatch.setattr(front_cache, "hidden_state", count)
    return seen


def test_each_sentence_is_computed_once_for_all_seeds_subsets_and_vocabularies(
    tiny_encoder, tiny_encoder_folder, aligned, tmp_path, monkeypatch
):
    stream = pair_stream(tiny_encoder, aligned, steps=3)
    seen = counted(monkeypatch)
    first = front_stream(stream, cache_of(tiny_encoder, tmp_path))
    rows = np.unique(stream.plan)
    distinct = {t.ids[t.offsets[r] : t.offsets[r + 1]].tobytes() for t in (stream.src, stream.tgt) for r in rows}
    assert sum(seen) == len(distinct)
    seen.clear()
    front_stream(stream, cache_of(tiny_encoder, tmp_path))
    assert sum(seen) == 0
    # Another run: fresh weights of the same encoder, other rows, a compacted vocabulary.
    other = load_encoder(str(tiny_encoder_folder))
    wide = pair_stream(other, aligned, steps=9, seed=2)
    compact_embeddings(other.model, [wide.src.ids, wide.tgt.ids])
    seen.clear()
    second = front_stream(wide, cache_of(other, tmp_path))
    rows = np.unique(wide.plan)
    more = {t.ids[t.offsets[r] : t.offsets[r + 1]].tobytes() for t in (wide.src, wide.tgt) for r in rows}
    assert sum(seen) == len(more - distinct) > 0
    assert len(list(tmp_path.glob("*/table-*"))) == 4  # both sides of the first, and of what was new in the second
    for batches, encoder, whole in ((first, tiny_encoder, stream), (second, other, wide)):
        for step in range(3):
            batch = batches(step)
            expected = hidden_state(encoder.model, 2, whole(step).texts.inputs)
            inside = batch.pairs.texts.inputs["attention_mask"].bool()
            assert torch.allclose(batch.states[inside], expected[inside], atol=1e-5)
            assert len(batch.missing) == 0


def test_half_precision_halves_the_room_and_keeps_three_digits(tiny_encoder, aligned, tmp_path):
    stream = pair_stream(tiny_encoder, aligned)
    full = front_stream(stream, cache_of(tiny_encoder, tmp_path / "a"))
    half = front_stream(stream, cache_of(tiny_encoder, tmp_path / "b", dtype="float16"))
    sizes = [sum(p.stat().st_size for p in (tmp_path / f).glob("*/*/states.npy")) for f in "ab"]
    assert sizes[1] < 0.6 * sizes[0]
    a, b = full(0).states, half(0).states
    assert b.dtype == torch.float32
    assert torch.allclose(a, b, rtol=1e-3, atol=1e-4)
    assert not torch.equal(a, b)


def test_what_does_not_fit_is_computed_at_every_step_and_said_once(
    tiny_encoder, aligned, tmp_path, capsys, monkeypatch
):
    whole, history = train(load(tiny_encoder), aligned, tmp_path / "a")
    for limit in (0, 20_000):
        cache = cache_of(tiny_encoder := load(tiny_encoder), tmp_path / f"front{limit}", limit)
        seen = counted(monkeypatch)
        cached, again = train(tiny_encoder, aligned, tmp_path / f"b{limit}", cache)
        assert capsys.readouterr().err.count("computed at every step") == 1
        assert sum(seen) > 0
        held = sum(p.stat().st_size for p in (tmp_path / f"front{limit}").glob("*/*/states.npy"))
        assert held <= limit
        assert bool(held) == bool(limit)
        assert [r["word"] for r in again] == pytest.approx([r["word"] for r in history], abs=1e-5)
        for name, p in cached.items():
            assert name.endswith("key.bias") or torch.allclose(p, whole[name], atol=1e-5), name


def load(encoder):
    return load_encoder(str(encoder.folder))


def test_states_of_other_encoders_make_room(tiny_encoder, any_tiny_encoder, aligned, tmp_path):
    front_stream(pair_stream(any_tiny_encoder, aligned), cache_of(any_tiny_encoder, tmp_path, layer=1))
    size = sum(p.stat().st_size for p in tmp_path.glob("*/*/*"))
    assert size > 10_000
    limit = int(1.2 * size)
    stream = front_stream(pair_stream(tiny_encoder, aligned), cache_of(tiny_encoder, tmp_path, limit))
    assert len(stream(0).missing) == 0
    assert sum(p.stat().st_size for p in tmp_path.glob("*/*/states.npy")) <= limit
    assert len([p for p in tmp_path.iterdir() if p.is_dir() and list(p.glob("table-*"))]) == 1


@pytest.mark.parametrize("file", ["states.npy", "keys.npy", "table.json"])
def test_a_damaged_table_is_dropped_said_and_made_again(tiny_encoder, aligned, tmp_path, capsys, file):
    stream = pair_stream(tiny_encoder, aligned)
    expected = front_stream(stream, cache_of(tiny_encoder, tmp_path))(1).states
    path = next(tmp_path.glob(f"*/table-0000/{file}"))
    content = bytearray(path.read_bytes())
    content[-9] ^= 0x55
    path.write_bytes(content)
    assert torch.equal(front_stream(stream, cache_of(tiny_encoder, tmp_path))(1).states, expected)
    assert "is damaged: dropped" in capsys.readouterr().err
    assert front_stream(stream, cache_of(tiny_encoder, tmp_path))(1).states.equal(expected)
    assert capsys.readouterr().err == ""


def test_a_pickle_in_the_cache_is_not_opened(tiny_encoder, aligned, tmp_path, capsys):
    stream = pair_stream(tiny_encoder, aligned)
    front_stream(stream, cache_of(tiny_encoder, tmp_path))
    folder = next(tmp_path.glob("*/table-0000"))
    np.save(folder / "keys.npy", np.array([print], dtype=object), allow_pickle=True)
    manifest = json.loads((folder / "table.json").read_text("utf-8"))
    manifest["sha256"]["keys.npy"] = file_digest(folder / "keys.npy")
    (folder / "table.json").write_text(json.dumps(manifest), "utf-8")
    front_stream(stream, cache_of(tiny_encoder, tmp_path))
    assert "is damaged: dropped" in capsys.readouterr().err


def test_a_killed_filling_leaves_nothing_behind(tiny_encoder, aligned, tmp_path, monkeypatch):
    stream = pair_stream(tiny_encoder, aligned)
    cache, real, calls = cache_of(tiny_encoder, tmp_path), front_cache.hidden_state, []

    def dies(*args):
        calls.append(1)
        if len(calls) == 1:  # the first batch of the filling
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(front_cache, "hidden_state", dies)
    with pytest.raises(KeyboardInterrupt):
        front_stream(stream, cache)
    assert not list(tmp_path.glob("*/*table*"))
    assert not list(tmp_path.glob("*/.aside"))
    monkeypatch.setattr(front_cache, "hidden_state", real)
    assert len(front_stream(stream, cache)(0).missing) == 0


def test_the_key_is_what_the_states_depend_on(tiny_encoder, tiny_encoder_folder, aligned):
    model = tiny_encoder.model
    inputs = inputs_of(tiny_encoder, encoded(tiny_encoder, aligned)[0], [0])
    first = front_digest(model, 2, inputs)
    names = set(front_parameters(model, 2, inputs))
    assert {
        n for n, _ in model.named_parameters() if n.startswith(("embeddings.", "encoder.layer.0.", "encoder.layer.1."))
    } == names
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        parameters["encoder.layer.2.output.dense.bias"] += 1
        assert front_digest(model, 2, inputs) == first
        parameters["encoder.layer.1.output.dense.bias"] += 1
    assert front_digest(model, 2, inputs) != first
    fresh = load_encoder(str(tiny_encoder_folder))
    assert front_digest(fresh.model, 1, inputs) != first == front_digest(fresh.model, 2, inputs)
    src, tgt = encoded(fresh, aligned)
    compact_embeddings(fresh.model, [src.ids, tgt.ids])
    assert front_digest(fresh.model, 2, inputs) == first
    with torch.no_grad():  # rows that have learnt while compacted count
        fresh.model.get_input_embeddings().weight[5] += 1
    assert front_digest(fresh.model, 2, inputs) != first


def test_how_far_up_an_encoder_is_frozen(any_tiny_encoder, aligned):
    model = any_tiny_encoder.model
    inputs = inputs_of(any_tiny_encoder, encoded(any_tiny_encoder, aligned)[0], [0, 1])
    grads = {n: p.requires_grad for n, p in model.named_parameters()}
    wanted = {"embeddings": 0, "front": 2, "blocks 1 + embeddings": 1, "blocks 3-4": -1, "none": -1, "all": 4}
    for freeze, layer in wanted.items():
        assert frozen_layers(model, trainable_names(model, freeze), inputs) == layer, freeze
    assert grads == {n: p.requires_grad for n, p in model.named_parameters()}


def test_a_front_that_learns_is_refused(tiny_encoder, aligned, tmp_path):
    model, cache = tiny_encoder.model, cache_of(tiny_encoder, tmp_path)
    objective = make_objective("word", ObjectiveSettings(), model, 0)
    both = nn.ModuleDict({"encoder": model, "heads": objective.heads})
    batch, loss = front_stream(pair_stream(tiny_encoder, aligned), cache)(0), front_loss(objective, cache)
    with pytest.raises(ConfigError, match="below layer 2 learn"):
        loss(both, batch)
    model.requires_grad_(False)
    assert torch.isfinite(loss(both, batch))


def test_what_cannot_be_cached_is_refused(tiny_encoder, tmp_path):
    for layer in (0, 4):
        with pytest.raises(ConfigError, match="layers 1 to 3"):
            cache_of(tiny_encoder, tmp_path, layer=layer)
    with pytest.raises(ConfigError, match="float16"):
        cache_of(tiny_encoder, tmp_path, dtype="bfloat16")
    cache = cache_of(tiny_encoder, tmp_path, layer=3)
    with pytest.raises(ConfigError, match=r"reads layers \[2\]"):
        front_loss(make_objective("word", ObjectiveSettings(layers=(2,)), tiny_encoder.model, 0), cache)
    with pytest.raises(ConfigError, match=r"reads layers \[\]"):
        front_loss(make_objective("parameter_drift", ObjectiveSettings(), tiny_encoder.model, 0), cache)


def test_two_processes_fill_one_cache(tiny_encoder_folder, tmp_path):
    """Both want the same sentences; one computes them, the other waits and finds them."""
    program = f"""
import sys
from pathlib import Path
import numpy as np
from xrealign.model.encoder import load_encoder
from xrealign.model.words import EncodedTexts
from xrealign.train import front_cache
encoder = load_encoder({str(tiny_encoder_folder)!r})
ids = np.random.default_rng(0).integers(4, 800, 200 * 12).astype(np.int32)
texts = EncodedTexts(ids, np.arange(0, len(ids) + 1, 12), 0 * ids, np.ones(200, dtype=np.int32), 0)
seen, real = [], front_cache.hidden_state
def count(model, layer, inputs):
    seen.append(len(inputs["input_ids"]))
    return real(model, layer, inputs)
front_cache.hidden_state = count
cache = front_cache.FrontCache(encoder.model, 2, Path({str(tmp_path)!r}), 1 << 30, 1)
places = cache.fill(texts)
assert (places.table >= 0).all()
print(sum(seen))
"""
    runs = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    counts = sorted(map(int, said))
    assert counts == [0, 200]
    assert len(list(tmp_path.glob("*/table-*"))) == 1
    shutil.rmtree(tmp_path)
