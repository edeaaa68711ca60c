"""Heads, losses, decoding and predictions, against loops written out."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from xrealign.errors import ArtifactError, ConfigError
from xrealign.model.transform_fits import Transform
from xrealign.model.vectors import sentence_vectors
from xrealign.tasks.statistics import SlotPrediction
from xrealign.tasks.task import Example, PairExample, QuestionExample, TaggedExample
from xrealign.train.decode import allowed_transitions, best_spans, best_tags, repair_tags
from xrealign.train.heads import load_head, make_head, save_head, span_scores, task_loss
from xrealign.train.predict import PredictSettings, predict
from xrealign.train.task_inputs import encode_task, task_targets
from xrealign.train.task_streams import make_task_batch

TAGS = ("B-LOC", "B-PER", "I-LOC", "I-PER", "O")
LABELS = ("long", "middle", "short")


def head_of(encoder, kind, **settings):
    torch.manual_seed(3)
    head = make_head(kind, encoder.width, LABELS, TAGS, **settings).eval()
    with torch.no_grad():
        for p in head.parameters():
            p.normal_(0, 0.5)
    return head


@pytest.fixture
def examples(udhr_lines):
    """Some of each kind, of several lengths and scripts."""
    lines = [line for tag in ("eng_Latn", "rus_Cyrl", "tha_Thai", "tam_Taml") for line in udhr_lines[tag][:4]]
    words = [tuple(line.split()) for line in lines] + [("a", "", "b"), ()]
    tags = [tuple(TAGS[len(word) % 5] for word in line) for line in words]
    tagged = [TaggedExample(w, t, "", LABELS[len(w) % 3]) for w, t in zip(words, tags, strict=True)]
    questions = [
        QuestionExample(str(n), line[:12], " ".join(lines[n : n + 3]), ((lines[n + 1], len(line) + 1),), "")
        for n, line in enumerate(lines[:4])
    ]
    return {
        "class": [Example(line, LABELS[len(line) % 3], "") for line in lines],
        "pair": [PairExample(a, b, LABELS[len(a) % 3], "") for a, b in itertools.pairwise(lines)],
        "pos": tagged,
        "ner": tagged,
        "slots": tagged,
        "qa": [*questions, QuestionExample("none", "Why?", "No.", (), ""), QuestionExample("void", "Why?", "", (), "")],
    }


def probabilities(scores):
    return [math.log(sum(math.exp(s - max(scores)) for s in scores)) + max(scores) - s for s in scores]


@pytest.mark.parametrize("kind", ["class", "pair", "pos", "ner", "slots", "qa"])
def test_losses_are_those_of_loops_over_items(tiny_encoder, examples, kind):
    head = head_of(tiny_encoder, kind)
    inputs = encode_task(tiny_encoder.tokenizer, kind, examples[kind], 40, 10)
    targets = task_targets(kind, inputs, examples[kind], LABELS, TAGS)
    rows = np.array([3, 0, len(inputs) - 1, len(inputs) - 2, 1])
    batch = make_task_batch(inputs, rows, 1, targets)
    hidden = torch.randn(*batch.texts.inputs["input_ids"].shape, tiny_encoder.width, dtype=torch.float64)
    head = head.double()
    found = float(task_loss(head, kind, hidden, batch).detach())
    weights = {name: p.detach().tolist() for name, p in head.state_dict().items()}

    def linear(vector, name="linear"):
        return [
            sum(w * v for w, v in zip(row, vector, strict=True)) + bias
            for row, bias in zip(weights[f"{name}.weight"], weights[f"{name}.bias"], strict=True)
        ]

    of_labels, of_tags, of_spans = [], [], []
    for place, row in enumerate(rows):
        begin, stop = inputs.texts.offsets[row : row + 2]
        states = hidden[place, : stop - begin].tolist()
        mean = [sum(column) / len(states) for column in zip(*states, strict=True)]
        example = examples[kind][inputs.example[row]]
        if kind in ("class", "pair", "slots"):
            scores = linear(mean, "intent" if kind == "slots" else "linear")
            of_labels.append(probabilities(scores)[LABELS.index(example.label)])
        own = inputs.texts.words[begin:stop].tolist()
        for word in sorted({word for word in own if word >= 0}):
            of_tags.append(probabilities(linear(states[own.index(word)]))[TAGS.index(example.tags[word])])
        if kind == "qa":
            scores = [linear(state) for state in states]
            allowed = [n for n in range(stop - begin) if n == 0 or inputs.part[begin + n] == 1]
            start, end = targets.spans[row]
            for column, gold in ((0, start), (1, end)):
                of_spans.append(probabilities([scores[n][column] for n in allowed])[allowed.index(gold)])
    wanted = sum(of_labels) / len(of_labels) if of_labels else 0
    wanted += sum(of_tags) / len(of_tags) if of_tags else 0
    wanted += sum(of_spans) / len(of_spans) if of_spans else 0
    assert found == pytest.approx(wanted, rel=1e-6)  # scores are float32 in the loss
    assert wanted > 0


def test_a_batch_without_words_has_no_loss_and_no_nan(tiny_encoder):
    examples = [TaggedExample((), (), "")]
    inputs = encode_task(tiny_encoder.tokenizer, "pos", examples, 40)
    batch = make_task_batch(inputs, np.array([0]), 1, task_targets("pos", inputs, examples, (), TAGS))
    assert float(task_loss(head_of(tiny_encoder, "pos"), "pos", torch.randn(1, 2, 32), batch).detach()) == 0.0


def by_hand(encoder, head, kind, example, settings, transform=None):
    """One example, its windows one at a time, without padding."""
    inputs = encode_task(encoder.tokenizer, kind, [example], settings.max_length, settings.stride)
    tags, sums, best = [""] * len(getattr(example, "words", ())), torch.zeros(len(LABELS)), (-math.inf, math.inf, "")
    for row in range(len(inputs)):
        begin, stop = inputs.texts.offsets[row : row + 2]
        ids = torch.from_numpy(inputs.texts.ids[begin:stop].astype(np.int64))[None]
        with torch.no_grad():
            states = encoder.model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]
            states = states if transform is None else transform.apply(states)
            own = inputs.texts.words[begin:stop]
            for word in set(own[own >= 0].tolist()):
                places = np.flatnonzero(own == word)
                vector = states[places[0]] if head.word_pooling == "first" else states[places].mean(0)
                tags[word] = TAGS[int(head.linear(vector).argmax())]
            if kind in ("class", "pair"):
                return LABELS[int(head.linear(states.mean(0)).argmax())]
            if kind == "slots":
                sums += head.intent(states.mean(0)).log_softmax(-1)
            if kind == "qa":
                scores = head.linear(states)
                legal = [n for n in range(stop - begin) if inputs.part[begin + n] == 1]
                spans = [(float(scores[a, 0] + scores[b, 1]), a, b) for a in legal for b in legal if a <= b < a + 7]
                null = min(best[1], float(scores[0].sum()))
                top = max(spans, default=(-math.inf, 0, 0), key=lambda found: found[0])
                text = example.context[slice(*(int(inputs.characters[begin + top[1 + k], k]) for k in (0, 1)))].strip()
                best = (top[0], null, text) if top[0] > best[0] else (best[0], null, best[2])
    if kind == "qa":
        return best[2] if best[0] > best[1] or not head.impossible else ""
    if kind == "pos":
        return tuple(tags)
    repaired = repair_tags(tags, TAGS)
    return repaired if kind == "ner" else SlotPrediction(repaired, LABELS[int(sums.argmax())])


@pytest.mark.parametrize(
    ("kind", "pooling"),
    [*((kind, "first") for kind in ("class", "pair", "pos", "ner", "slots", "qa")), ("pos", "mean"), ("slots", "mean")],
)
def test_predictions_are_those_of_one_window_at_a_time(tiny_encoder, examples, kind, pooling):
    head = head_of(tiny_encoder, kind, word_pooling=pooling, impossible=True)
    if kind in ("class", "pair"):  # sentences are alike in a random encoder: what they have in common is taken away
        lines = [e.text if kind == "class" else e.first + e.second for e in examples[kind]]
        mean = torch.from_numpy(sentence_vectors(tiny_encoder, lines, 4).mean(0))
        with torch.no_grad():
            head.linear.bias.copy_(-head.linear.weight @ mean)
    rng = np.random.default_rng(0)
    turned = Transform(rng.normal(size=(32, 32)).astype(np.float32), rng.normal(size=32).astype(np.float32), 0)
    moved = Transform(None, rng.normal(size=32).astype(np.float32), 0)
    maps = {"as is": None, "turned": turned, "moved": moved}
    passes = []
    handle = tiny_encoder.model.register_forward_pre_hook(lambda *_: passes.append(torch.is_inference_mode_enabled()))
    settings = {"max_length": 40, "stride": 10, "subwords": 300, "max_answer": 7}
    found = predict(tiny_encoder, head, kind, examples[kind], LABELS, TAGS, maps=maps, **settings)
    handle.remove()
    assert all(passes)
    whole = predict(
        tiny_encoder, head, kind, examples[kind], LABELS, TAGS, maps=maps, **settings | {"subwords": 1 << 20}
    )
    assert found == whole
    assert found.keys() == maps.keys()
    for name, transform in maps.items():
        wanted = [by_hand(tiny_encoder, head, kind, e, PredictSettings(**settings), transform) for e in examples[kind]]
        assert list(found[name].predictions) == wanted
        assert name != "as is" or len(set(wanted)) > 1
    inputs = encode_task(tiny_encoder.tokenizer, kind, examples[kind], 40, 10)
    assert 1 < len(passes) <= len(inputs)  # the same for three columns as for one
    assert found["as is"].predictions != found["turned"].predictions
    if kind in ("pos", "ner", "slots"):
        assert found["as is"].cut_words == 1
        assert found["as is"].cut == {"words without subwords": 1}


def test_windows_change_nothing_where_all_fits(tiny_encoder, examples):
    head = head_of(tiny_encoder, "pos")
    fitting = [e for e in examples["pos"] if len(tiny_encoder.tokenizer(" ".join(e.words))["input_ids"]) <= 200]
    found = [
        predict(tiny_encoder, head, "pos", fitting, (), TAGS, max_length=length, stride=stride)[""].predictions
        for length, stride in ((200, 0), (200, 90), (512, 32))
    ]
    assert found[0] == found[1] == found[2]


def test_prediction_leaves_modes_and_gradients_as_they_were(tiny_encoder, examples):
    head = head_of(tiny_encoder, "pos")
    tiny_encoder.model.train()
    head.train()
    first = predict(tiny_encoder, head, "pos", examples["pos"], (), TAGS)
    assert predict(tiny_encoder, head, "pos", examples["pos"], (), TAGS) == first  # no dropout
    assert tiny_encoder.model.training
    assert head.training
    assert all(p.grad is None for p in tiny_encoder.model.parameters())
    assert predict(tiny_encoder, head, "pos", [], (), TAGS)[""].predictions == ()


def test_constrained_tags_are_the_best_of_all_that_are_allowed(tiny_encoder, examples):
    rng = np.random.default_rng(1)
    tags = ("B-X", "B-Y", "I-X", "I-Y", "O")
    lengths = [3, 0, 1, 5, 4, 2, 5]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    scores = np.log(rng.dirichlet(np.ones(5), size=offsets[-1]))
    found, changed = best_tags(scores, offsets, tags), 0

    def allowed(path):
        return all(
            not tags[b].startswith("I-") or (a is not None and tags[a][0] in "BI" and tags[a][2:] == tags[b][2:])
            for a, b in zip([None, *path], path, strict=False)
        )

    for a, b in itertools.pairwise(offsets):
        if a == b:
            continue
        paths = [path for path in itertools.product(range(5), repeat=b - a) if allowed(path)]
        best = max(paths, key=lambda path: sum(scores[a + n, tag] for n, tag in enumerate(path)))
        assert tuple(found[a:b]) == best
        changed += tuple(scores[a:b].argmax(1)) != best
    assert changed > 2
    assert allowed_transitions(tags).sum() == 5 * 3 + 2 + 2 + 3  # B and O after all, I-X after B-X and I-X; at first
    head = head_of(tiny_encoder, "ner")
    free, bound = (
        predict(tiny_encoder, head, "ner", examples["ner"], (), TAGS, constrained=c)[""].predictions
        for c in (False, True)
    )
    assert free != bound
    for row, example in zip(bound, examples["ner"], strict=True):
        assert [not tag for tag in row] == [not word for word in example.words]
        assert repair_tags(row, TAGS) == row or "" in row


def test_repair_keeps_the_spans_that_seqeval_finds():
    entities = pytest.importorskip("seqeval.metrics.sequence_labeling").get_entities
    rng = np.random.default_rng(2)
    changed = 0
    for _ in range(500):
        tags = [TAGS[n] for n in rng.integers(0, 5, size=rng.integers(1, 9))]
        repaired = repair_tags(tags, TAGS)
        assert entities(list(repaired)) == entities(tags)
        assert all(
            not b.startswith("I-") or a[2:] == b[2:] for a, b in itertools.pairwise(["O", *repaired])
        )  # strict IOB2
        changed += list(repaired) != tags
    assert changed > 100
    assert repair_tags(["I-NEW"], TAGS) == ("I-NEW",)  # a type whose beginning no one knows


def test_spans_are_the_best_of_all_pairs():
    torch.manual_seed(0)
    for most in (1, 3, 50):
        scores, legal = torch.randn(40, 9, 2), torch.rand(40, 9) < 0.6
        legal[:, 0] = True
        legal[0, 1:] = False
        best, null, first, last = best_spans(span_scores(scores, legal), most)
        for row in range(40):
            places = [n for n in range(1, 9) if legal[row, n]]
            spans = [(float(scores[row, a, 0] + scores[row, b, 1]), a, b) for a in places for b in places]
            spans = [found for found in spans if 0 <= found[2] - found[1] < most]
            assert float(null[row]) == pytest.approx(float(scores[row, 0].sum()))
            if not spans:
                assert best[row] == -math.inf
                continue
            assert float(best[row]) == pytest.approx(max(spans)[0])
            assert (int(first[row]), int(last[row])) == max(spans)[1:]


def test_no_answer_is_only_said_by_who_has_learned_it(tiny_encoder, examples):
    answers = {}
    for impossible in (False, True):
        head = head_of(tiny_encoder, "qa", impossible=impossible)
        ids = torch.tensor([tiny_encoder.tokenizer("Why?", "No.")["input_ids"]])
        with torch.no_grad():  # a head that finds the first subword of the short one likelier than its others
            states = tiny_encoder.model(input_ids=ids).last_hidden_state[0]
            head.linear.weight.copy_(states[0] - states[1:].mean(0))
        found = predict(tiny_encoder, head, "qa", examples["qa"], (), (), max_length=64)[""].predictions
        answers[impossible] = found
        assert all(a in e.context for a, e in zip(found, examples["qa"], strict=True))
    assert all(answers[False][:-1])
    assert answers[False][-1] == ""  # there is nothing to choose from
    assert "" in answers[True][:-1]


@pytest.mark.parametrize("kind", ["class", "pair", "pos", "ner", "slots", "qa"])
def test_a_saved_head_says_the_same(tiny_encoder, examples, kind, tmp_path):
    head = head_of(tiny_encoder, kind, word_pooling="mean", impossible=True)
    labels, tags = (
        (LABELS if kind in ("class", "pair", "slots") else ()),
        (TAGS if hasattr(head, "word_pooling") else ()),
    )
    save_head(tmp_path, head, kind, labels, tags)
    again, *names = load_head(tmp_path)
    assert names == [kind, labels, tags]
    assert not again.training
    assert all(torch.equal(p, again.state_dict()[name]) for name, p in head.state_dict().items())
    assert vars(again).get("word_pooling") == vars(head).get("word_pooling")
    first = predict(tiny_encoder, head, kind, examples[kind], labels, tags)
    assert predict(tiny_encoder, again, kind, examples[kind], labels, tags) == first
    text = json.loads((tmp_path / "labels.json").read_text("utf-8"))
    assert text == list(LABELS) if kind == "class" else text["kind"] == kind


def test_a_model_of_an_earlier_version_is_read(tmp_path):
    weights = {"linear.weight": torch.randn(3, 8), "linear.bias": torch.randn(3)}
    save_file(weights, tmp_path / "head.safetensors")
    (tmp_path / "labels.json").write_text('["a", "b", "c"]', "utf-8")
    head, kind, labels, tags = load_head(tmp_path)
    assert (kind, labels, tags) == ("class", ("a", "b", "c"), ())
    assert torch.equal(head.linear.weight, weights["linear.weight"])


def test_files_that_are_no_head_are_told(tmp_path):
    with pytest.raises(ArtifactError, match=r"has no head\.safetensors; expected the folder of a fine-tuned model"):
        load_head(tmp_path)
    save_file({"linear.weight": torch.randn(3, 8), "linear.bias": torch.randn(3)}, tmp_path / "head.safetensors")
    for names in ('["a"]', '{"kind": "pos"}', '{"kind": "verse", "labels": [], "tags": []}', "[", "3"):
        (tmp_path / "labels.json").write_text(names, "utf-8")
        with pytest.raises(ArtifactError, match=r"are no head .*; fine-tune again"):
            load_head(tmp_path)
    with pytest.raises(ConfigError, match="word_pooling = 'last' is unknown; expected one of first, mean"):
        make_head("pos", 8, (), TAGS, "last")
    with pytest.raises(ConfigError, match="max_answer = 0 is impossible"):
        PredictSettings(max_answer=0)
