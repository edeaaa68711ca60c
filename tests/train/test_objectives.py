"""Every objective by name on tiny encoders: it learns, asks nothing of the host, and can be built from its parts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from xrealign.errors import ConfigError
from xrealign.model.layers import find_blocks, hidden_states
from xrealign.model.words import encode_texts, make_batch
from xrealign.train.loop import run_phase
from xrealign.train.micro import Pieces, cached_backward, split_batch
from xrealign.train.objectives import OBJECTIVES, ObjectiveSettings, make_objective, projection_head
from xrealign.train.phase import Objective, Phase
from xrealign.train.seeds import seed_torch
from xrealign.train.slow_copy import Queue, SlowCopy
from xrealign.train.streams import PairBatch, PairStream

SMALL = ObjectiveSettings(queue=20, label_layer=2, momentum=0.9, mask_share=0.5)
SETTINGS = {
    "transliteration": replace(SMALL, layers=(2,)),
    "infoxlm": replace(SMALL, layers=(2,)),
    "word": replace(SMALL, layers=(1, 2, 4)),
}
DIVISIBLE = ("word", "sentence", "ranking", "transliteration", "l2", "infoxlm", "transport", "cka")


def stream_of(encoder, aligned, rows):
    src = encode_texts(encoder.tokenizer, aligned.src, 24, aligned.src_spans)
    tgt = encode_texts(encoder.tokenizer, aligned.tgt, 24, aligned.tgt_spans)
    return PairStream(src, tgt, aligned.links, np.array(rows), encoder.tokenizer.pad_token_id)


def built(name, encoder, aligned, settings=None, batch=range(8), seed=3):
    stream = stream_of(encoder, aligned, [list(batch)])
    objective = make_objective(
        name,
        settings or SETTINGS.get(name, SMALL),
        encoder.model,
        seed,
        mask_id=encoder.tokenizer.mask_token_id,
        vocabulary=np.unique(stream.src.ids),
    )
    model = nn.ModuleDict({"encoder": encoder.model, "heads": objective.heads})
    return objective, model, stream(0)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_gradients_reach_the_layers_read_and_the_heads_and_no_higher(tiny_encoder, aligned, name):
    objective, model, batch = built(name, tiny_encoder, aligned)
    model.train()
    if name == "infoxlm":
        objective.loss(model, batch)  # which fills the queue
    if name == "parameter_drift":
        with torch.no_grad():
            for p in tiny_encoder.model.parameters():
                p.add_(0.01)
    loss = objective.loss(model, batch)
    assert loss.dtype == torch.float32
    assert loss.dim() == 0
    assert loss.item() > 0
    loss.backward()
    top = max(objective.settings.layers or (4,))
    for number, block in enumerate(find_blocks(tiny_encoder.model), 1):
        reached = [p.grad is not None and bool(p.grad.abs().sum() > 0) for p in block.parameters()]
        assert any(reached) == (number <= top), number
    for key, p in objective.heads.named_parameters():
        assert p.grad is not None, key
        assert torch.isfinite(p.grad).all(), key


@pytest.mark.parametrize("name", OBJECTIVES)
def test_training_lowers_the_loss_of_the_batch(tiny_encoder, aligned, name):
    objective, model, batch = built(name, tiny_encoder, aligned)
    if name == "parameter_drift":
        with torch.no_grad():
            for p in tiny_encoder.model.parameters():
                p.add_(0.01)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=5e-3)
    others = stream_of(tiny_encoder, aligned, [range(40, 50)])(0)
    model.train()
    objective.loss(model, others)
    memory = {key: value.clone() for key, value in objective.heads.state_dict().items() if key.startswith("queue")}

    def loss_at(step):
        # The sentences of other pairs stay in the queue, or those of this batch would be their own negatives.
        objective.heads.load_state_dict(memory, strict=False)
        seed_torch(0, "step", step)
        return objective.loss(model, batch)

    def measured():
        model.eval()
        with torch.no_grad():
            return loss_at(0).item()

    before = measured()
    for step in range(60):
        model.train()
        loss_at(step % 4).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert measured() < 0.8 * before


@pytest.mark.parametrize("name", OBJECTIVES)
def test_any_architecture(any_tiny_encoder, aligned, name):
    objective, model, batch = built(name, any_tiny_encoder, aligned)
    model.train()
    for _ in range(2):
        loss = objective.loss(model, batch)
    loss.backward()
    assert torch.isfinite(loss)
    for p in any_tiny_encoder.model.parameters():
        assert p.grad is None or torch.isfinite(p.grad).all()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_batch_without_links_or_words_gives_no_nan(tiny_encoder, aligned, name):
    encoder = tiny_encoder
    bare = replace(aligned, links=[links[:0] for links in aligned.links])
    objective, model, batch = built(name, encoder, bare)
    assert len(batch.links) == 0
    loss = objective.loss(model, batch)
    loss.backward()
    if objective.needs_links and name != "l2":  # whose drift is still there, and zero
        assert loss.item() == 0
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    model.zero_grad()
    none = encode_texts(encoder.tokenizer, ["", "", ""], 24, [np.zeros((0, 2), dtype=int)] * 3)
    rows = np.array([0, 1])
    texts = make_batch([(none, rows), (none, rows)], encoder.tokenizer.pad_token_id)
    empty = PairBatch(texts, torch.zeros(0, 2, dtype=torch.long), 2, 0)
    for _ in range(2):
        loss = objective.loss(model, empty)
        assert torch.isfinite(loss)
        loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


class Asked(TorchDispatchMode):
    """Counts what would make a GPU wait for the host to know a number."""

    WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "is_nonzero", "equal", "item")

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        places = args[1] if name.startswith("index") and isinstance(args[1], (list, tuple)) else []
        bools = [place for place in places if isinstance(place, torch.Tensor) and place.dtype == torch.bool]
        if name.strip("_") in {w.strip("_") for w in self.WAITS} or bools:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


def test_the_counter_counts():
    with Asked() as asked:
        x = torch.arange(4.0)
        x.sum().item()
        x[x > 1]
        torch.where(x > 1, x, 0.0).softmax(0)
    assert len(asked.found) >= 2


@pytest.mark.parametrize("name", OBJECTIVES)
def test_nothing_is_asked_of_the_host(tiny_encoder, aligned, name):
    objective, model, batch = built(name, tiny_encoder, aligned)
    model.train()
    with Asked() as asked:
        objective.loss(model, batch).backward()
    with Asked() as alone:
        tiny_encoder.model(**batch.texts.inputs)
    # transformers asks once a pass whether there is padding at all, and nothing else may be asked.
    passes = {"parameter_drift": 0, "l2": 2, "infoxlm": 2, "dap": 2, "xlm_align": 2}.get(name, 1)
    assert len(alone.found) <= 1
    assert len(asked.found) <= passes * len(alone.found)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_loss_is_what_its_states_and_its_halves_give(tiny_encoder, aligned, name):
    objective, model, batch = built(name, tiny_encoder, aligned)
    model.eval()
    seed_torch(0, "masks")
    whole = objective.loss(model, batch)
    seed_torch(0, "masks")
    states = hidden_states(tiny_encoder.model, objective.layers, batch.texts.inputs)
    assert torch.equal(objective.from_states(states, batch, tiny_encoder.model), whole)
    assert objective.divisible == (name in DIVISIBLE)
    if not objective.divisible:
        with pytest.raises(ConfigError, match="cannot be computed in parts"):
            objective.encode(model, batch.texts)
        return
    vectors = objective.encode(model, batch.texts)
    assert torch.equal(objective.compare(model, vectors, batch), whole)
    if len(vectors) == 1:
        assert torch.equal(objective.compare(model, vectors[0], batch), whole)


def test_autocast_changes_the_encoder_not_the_loss(tiny_encoder, aligned):
    for name in DIVISIBLE:
        objective, model, batch = built(name, tiny_encoder, aligned)
        model.train()
        objective.loss(model, batch)
        model.eval()
        vectors = tuple(v.bfloat16() for v in objective.encode(model, batch.texts))
        plain = objective.compare(model, tuple(v.float() for v in vectors), batch)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            cast = objective.compare(model, vectors, batch)
        assert cast.dtype == torch.float32
        assert cast.item() == pytest.approx(plain.item(), rel=1e-6, abs=1e-7), name


@pytest.mark.parametrize("how", ["words", "subwords", "cls"])
def test_sentence_poolings_read_what_they_say(tiny_encoder, aligned, how):
    settings = ObjectiveSettings(sentence_pooling=how, projection="none", layers=(3,))
    objective, model, batch = built("sentence", tiny_encoder, aligned, settings)
    model.eval()
    state = hidden_states(tiny_encoder.model, (3,), batch.texts.inputs)[3]
    (vectors,) = objective.encode(model, batch.texts)
    length = int(batch.texts.inputs["attention_mask"][0].sum())
    words = [state[0, 1:-1]] if how == "words" else [state[0, :length]]
    if how == "words":
        places = batch.texts.positions[batch.texts.sentence[batch.texts.segments] == 0]
        inside = batch.texts.word[batch.texts.segments][: len(places)]
        words = torch.stack([state[0, places[inside == w]].mean(0) for w in inside.unique()])
        expected = words.mean(0)
    else:
        expected = state[0, 0] if how == "cls" else state[0, :length].mean(0)
    torch.testing.assert_close(vectors[0], expected, rtol=0, atol=1e-5)


def test_memory_is_in_the_state_and_comes_back(tiny_encoder, aligned):
    objective, model, batch = built("infoxlm", tiny_encoder, aligned)
    model.train()
    for _ in range(2):
        objective.loss(model, batch)
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    assert int(kept["heads.queue.filled"]) == 20
    assert kept["heads.queue.vectors"].abs().sum() > 0
    other, again, _ = built("infoxlm", tiny_encoder, aligned, seed=4)
    again.load_state_dict(kept)
    model.eval()
    again.eval()
    assert torch.equal(objective.loss(model, batch), other.loss(again, batch))


def test_measuring_remembers_nothing(tiny_encoder, aligned):
    objective, model, batch = built("infoxlm", tiny_encoder, aligned)
    model.eval()
    before = {name: value.clone() for name, value in objective.heads.state_dict().items()}
    objective.loss(model, batch)
    assert all(torch.equal(value, before[name]) for name, value in objective.heads.state_dict().items())


def test_slow_copies_copy_what_learns(tiny_encoder, aligned):
    names = frozenset(n for n, _ in tiny_encoder.model.named_parameters() if "layer.3" in n)
    objective = make_objective("l2", SMALL, tiny_encoder.model, 1, learning=names)
    assert isinstance(objective.heads["initial"], SlowCopy)
    assert set(objective.heads["initial"].names) == names
    queue = make_objective("infoxlm", SETTINGS["infoxlm"], tiny_encoder.model, 1).heads["queue"]
    assert isinstance(queue, Queue)
    assert queue.vectors.shape == (20, 32)


def test_learned_temperature_learns(tiny_encoder, aligned):
    settings = ObjectiveSettings(learned_temperature=True, temperature=0.2)
    objective, model, batch = built("word", tiny_encoder, aligned, settings)
    fixed, _, _ = built("word", tiny_encoder, aligned, replace(settings, learned_temperature=False))
    model.eval()
    loss = objective.loss(model, batch)
    torch.testing.assert_close(loss, fixed.loss(model, batch))
    loss.backward()
    assert objective.heads["temperature"].log_scale.grad.abs() > 0


def test_projections_are_those_that_the_seed_decides():
    first, again, other = (projection_head(8, "mlp", seed) for seed in (1, 1, 2))
    assert all(torch.equal(p, q) for p, q in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(next(first.parameters()), next(other.parameters()))
    assert [type(m).__name__ for m in projection_head(8, "linear", 1).modules()] == ["Linear"]


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("words", {}, "objective 'words' is unknown; .*did you mean 'word'"),
        ("word", {"temperature": 0.0}, "word: temperature = 0.0 is impossible; expected more than 0"),
        ("word", {"layers": (5,)}, "layer 5 does not exist"),
        ("sentence", {"sentence_pooling": "last"}, "sentence_pooling = 'last'"),
        ("infoxlm", {"layers": (1, 2)}, "reads 1 layer, not 2"),
        ("infoxlm", {"momentum": 1.5, "queue": 0}, "(?s)queue = 0 .*momentum = 1.5"),
        ("infoxlm", {}, "layer 8 does not exist"),
        ("dap", {}, "needs a tokenizer with a mask"),
    ],
)
def test_what_cannot_be_built_is_told(tiny_encoder, name, changes, message):
    with pytest.raises(ConfigError, match=message):
        make_objective(name, replace(ObjectiveSettings(), **changes), tiny_encoder.model, 1)


def test_states_of_several_layers_are_those_of_one_pass(any_tiny_encoder):
    encoder = any_tiny_encoder
    encoded = encoder.tokenizer(["Everyone has the right to life.", "Jeder"], padding=True, return_tensors="pt")
    inputs = {key: encoded[key] for key in ("input_ids", "attention_mask")}
    mask = inputs["attention_mask"].bool()
    seen = []
    hooks = [
        block.register_forward_hook(lambda *_, n=n: seen.append(n))
        for n, block in enumerate(find_blocks(encoder.model), 1)
    ]
    with torch.inference_mode():
        found = hidden_states(encoder.model, [3, 0, 1, 3], inputs)
        assert seen == [1, 2, 3]
        for hook in hooks:
            hook.remove()
        wanted = encoder.model(**inputs, output_hidden_states=True).hidden_states
        assert list(found) == [0, 1, 3]
        for layer, state in found.items():
            torch.testing.assert_close(state[mask], wanted[layer][mask], rtol=0, atol=1e-6)
        assert list(hidden_states(encoder.model, [2, 4], inputs)) == [2, 4]
        assert hidden_states(encoder.model, [], inputs) == {}
    assert all(not block._forward_pre_hooks for block in find_blocks(encoder.model))


@pytest.mark.parametrize("name", DIVISIBLE)
def test_divided_batches_have_the_same_loss_and_gradient(tiny_encoder, aligned, name):
    objective, model, batch = built(name, tiny_encoder, aligned)
    model.train()
    objective.loss(model, batch)  # which fills a queue
    model.eval()
    whole = objective.loss(model, batch)
    whole.backward()
    wanted = {key: p.grad.clone() for key, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    pieces = Pieces(split_batch, objective.encode, objective.compare)
    parts = cached_backward(model, batch, pieces, 3, device=torch.device("cpu"))
    assert parts.item() == pytest.approx(whole.item(), abs=1e-6)
    assert len(wanted) > 10
    for key, p in model.named_parameters():
        if key in wanted:
            torch.testing.assert_close(p.grad, wanted[key], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in OBJECTIVES if name != "parameter_drift"])
def test_under_autocast_the_same_parameters_have_a_gradient(tiny_encoder, aligned, name):
    objective, model, batch = built(name, tiny_encoder, aligned)
    model.train()
    objective.loss(model, batch)
    found = []
    for cast in (False, True):
        model.zero_grad()
        seed_torch(0, "step")
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=cast):
            loss = objective.loss(model, batch)
        loss.backward()
        found.append({key for key, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0})
        assert loss.dtype == torch.float32
    assert {key for key in found[0] ^ found[1] if not key.endswith("key.bias")} == set()


def test_a_training_killed_and_resumed_remembers_its_queue_and_slow_copy(tiny_folders, aligned, tmp_path):
    from xrealign.model.encoder import load_encoder

    def train(folder, stop=None):
        encoder = load_encoder(str(tiny_folders("bert")))
        objective, model, _ = built("infoxlm", encoder, aligned)
        stream = stream_of(encoder, aligned, np.arange(48).reshape(6, 8))

        def batch(step):
            if step == stop:
                raise KeyboardInterrupt
            return stream(step)

        names = frozenset(name for name, _ in model.named_parameters() if "pooler" not in name)
        phase = Phase("realign", 6, 1e-3, (Objective("infoxlm", batch, objective.loss, names),), checkpoint_every=2)
        run_phase(model, phase, folder, seed=1)
        return model.state_dict()

    whole = train(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "killed", stop=5)
    again = train(tmp_path / "killed")
    assert all(torch.equal(value, again[name]) for name, value in whole.items())
    assert int(whole["heads.queue.filled"]) == 20
    assert any(
        not torch.equal(whole[f"heads.slow.{name.replace('.', '/')}"], whole[f"encoder.{name}"])
        for name in ("embeddings.word_embeddings.weight", "encoder.layer.0.output.dense.weight")
    )
