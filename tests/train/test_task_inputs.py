"""Examples as subwords: the tokenizer's own ids, every word in its best window, answers where they stand."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from xrealign.errors import ConfigError, DataError
from xrealign.model.words import encode_texts
from xrealign.tasks.task import Example, PairExample, QuestionExample, TaggedExample
from xrealign.train.task_inputs import SECOND, encode_task, task_targets
from xrealign.train.task_streams import TaskStream, make_task_batch, word_numbers


def bounds_of(words):
    ends = np.cumsum([len(word) + 1 for word in words]) - 1
    return np.array([(end - len(word), end) for word, end in zip(words, ends, strict=True)]).reshape(-1, 2)


@pytest.fixture
def tagged(udhr_lines):
    """Sentences of three scripts, short and long, tags by the words' lengths; none of words, and an empty word."""
    lines = [line.split() for tag in ("eng_Latn", "rus_Cyrl", "tam_Taml") for line in udhr_lines[tag]]
    made = [TaggedExample(tuple(w), tuple("BA"[len(x) % 2] for x in w), str(n)) for n, w in enumerate(lines)]
    whole = tuple(word for line in lines[:12] for word in line)
    long = TaggedExample(whole, tuple("BA"[len(word) % 2] for word in whole), "long")
    return [*made, TaggedExample((), (), "none"), TaggedExample(("a", "", "b"), ("A", "B", "A"), "blank"), long]


def test_sentences_are_what_they_were(tiny_tokenizer, udhr_lines):
    texts = udhr_lines["eng_Latn"]
    inputs = encode_task(tiny_tokenizer, "class", [Example(t, "x", "") for t in texts], 24)
    wanted = encode_texts(tiny_tokenizer, texts, 24)
    assert np.array_equal(inputs.texts.ids, wanted.ids)
    assert np.array_equal(inputs.texts.offsets, wanted.offsets)
    lengths = [len(ids) for ids in tiny_tokenizer(texts)["input_ids"]]
    assert inputs.cut == {"sentences cut": sum(length > 24 for length in lengths)}
    assert 0 < inputs.cut["sentences cut"] < len(texts)


def test_words_in_one_window_are_those_of_encode_texts(tiny_tokenizer, tagged):
    inputs = encode_task(tiny_tokenizer, "pos", tagged, 512)
    short = [row for row, e in enumerate(inputs.example) if np.count_nonzero(inputs.example == e) == 1]
    assert len(short) >= len(tagged) - 1
    texts = [" ".join(e.words) for e in tagged]
    wanted = encode_texts(tiny_tokenizer, texts, 512, [bounds_of(e.words) for e in tagged])
    for row in short:
        number = inputs.example[row]
        a, b = inputs.texts.offsets[row : row + 2]
        c, d = wanted.offsets[number : number + 2]
        assert np.array_equal(inputs.texts.ids[a:b], wanted.ids[c:d])
        assert np.array_equal(inputs.texts.words[a:b], wanted.words[c:d])


@pytest.mark.parametrize(("length", "stride"), [(16, 0), (16, 5), (16, 99), (7, 2), (64, 32)])
def test_every_word_is_in_the_window_where_it_has_most_context(tiny_tokenizer, tagged, length, stride):
    """By brute force, from the windows that the tokenizer itself makes."""
    inputs = encode_task(tiny_tokenizer, "pos", tagged, length, stride)
    room = length - 2
    windows = {}
    for number, example in enumerate(tagged):
        text, spans = " ".join(example.words), bounds_of(example.words)
        pairs = tiny_tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)["offset_mapping"]
        words = [
            next((w for w, (a, b) in enumerate(spans) if a < end <= b and end > start), -1) for start, end in pairs
        ]
        step = room - min(stride, room // 2)
        starts = [0]
        while starts[-1] + room < len(words):
            starts.append(starts[-1] + step)
        windows[number] = [words[start : start + room] for start in starts]
    expected_cut = 0
    for number, example in enumerate(tagged):
        rows = np.flatnonzero(inputs.example == number)
        assert len(rows) == len(windows[number])
        for word in range(len(example.words)):
            candidates = []
            for place, window in enumerate(windows[number]):
                hits = [n for n, w in enumerate(window) if w == word]
                if hits:
                    candidates.append((len(hits), min(hits[0], len(window) - 1 - hits[-1]), -place))
            found = [
                -place
                for place, row in enumerate(rows)
                if word in inputs.texts.words[inputs.texts.offsets[row] : inputs.texts.offsets[row + 1]]
            ]
            assert found == ([max(candidates)[2]] if candidates else [])
            expected_cut += not candidates
    assert inputs.cut_words == expected_cut == 1
    assert inputs.cut == {"words without subwords": 1}


def test_batches_have_each_word_with_its_tag_once(tiny_tokenizer, tagged):
    inputs = encode_task(tiny_tokenizer, "pos", tagged, 20, 6)
    targets = task_targets("pos", inputs, tagged, (), ("A", "B"))
    flat = [(n, word, tag) for n, e in enumerate(tagged) for word, tag in zip(e.words, e.tags, strict=True)]
    stream = TaskStream(inputs, targets, np.random.default_rng(0).permutation(len(inputs))[None], 1)
    batch, seen = stream(0), []
    for number, tag in zip(word_numbers(inputs, stream.plan[0], batch.texts), batch.tags.tolist(), strict=True):
        assert flat[number][2] == "AB"[tag]
        seen.append(number)
    left_out = set(range(len(flat))) - set(seen)
    assert len(seen) == len(set(seen)) == len(flat) - 1
    assert [flat[number][1] for number in left_out] == [""]


def test_pairs_are_the_tokenizers_own_with_their_types(tiny_tokenizer):
    from tokenizers.processors import TemplateProcessing

    tokenizer = copy.deepcopy(tiny_tokenizer)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B:1 </s>:1", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    pairs = [("human rights", "freedom"), ("all " * 30, "no one"), ("a", ""), ("some " * 20, "equal " * 25)]
    examples = [PairExample(a, b, "x", "") for a, b in pairs]
    for names in (["input_ids", "attention_mask"], ["input_ids", "token_type_ids", "attention_mask"]):
        tokenizer.model_input_names = names
        inputs = encode_task(tokenizer, "pair", examples, 24)
        batch = make_task_batch(inputs, np.arange(4), tokenizer.pad_token_id)
        wanted = tokenizer(
            *map(list, zip(*pairs, strict=True)), truncation="longest_first", max_length=24, padding=True,
            return_tensors="pt",
        )  # fmt: skip
        assert batch.texts.inputs.keys() == wanted.keys() == set(names)
        for name in names:
            assert (batch.texts.inputs[name] == wanted[name]).all(), name
        assert inputs.cut == {"pairs cut": 2}
    assert wanted["token_type_ids"].max() == 1


def test_answers_are_where_they_stand_in_every_window_that_holds_them(tiny_tokenizer, udhr_lines):
    context = "  ".join(udhr_lines["eng_Latn"][:6])
    answers = ["inherent dignity", "Whereas", context.split()[0], context.split()[-1]]
    examples = [
        QuestionExample(str(n), "Who?", context, ((a, context.index(a)), ("Who", 0)), "") for n, a in enumerate(answers)
    ]
    examples.append(QuestionExample("none", "Why? " * 40, context, (), ""))
    inputs = encode_task(tiny_tokenizer, "qa", examples, 40, 12)
    targets = task_targets("qa", inputs, examples, (), ())
    assert inputs.cut == {"questions cut": 1}
    assert len(inputs) > 2 * len(examples)
    found = dict.fromkeys(answers, 0)
    for row, number in enumerate(inputs.example):
        begin, stop = inputs.texts.offsets[row : row + 2]
        assert stop - begin <= 40
        own = inputs.characters[begin:stop][inputs.part[begin:stop] == SECOND]
        first, last = targets.spans[row]
        whole = False
        if examples[number].answers:
            text, start = examples[number].answers[0]
            whole = own[0, 0] <= start and start + len(text) <= own[-1, 1]
        assert (first > 0) == whole
        if whole:
            a, b = inputs.characters[begin + first, 0], inputs.characters[begin + last, 1]
            assert text in context[a:b]
            assert context[a:b].split()[0].startswith(text[0]) or len(context[a:b]) < len(text) + 8
            assert inputs.part[begin + first] == inputs.part[begin + last] == SECOND
            found[text] += 1
    assert all(found.values())
    batch = make_task_batch(inputs, np.arange(len(inputs)), 1, targets)
    assert batch.legal[:, 0].all()
    assert batch.legal.gather(1, batch.spans).all()
    assert int(batch.legal.sum()) == len(inputs) + int((inputs.part == SECOND).sum())


def test_what_does_not_fit_is_refused_with_its_name(tiny_tokenizer, tagged):
    inputs = encode_task(tiny_tokenizer, "pos", tagged, 32)
    with pytest.raises(DataError, match=r"tags 'B' are not among those trained on: A, C"):
        task_targets("pos", inputs, tagged, (), ("A", "C"))
    with pytest.raises(ConfigError, match="max_length = 3 with stride = 32 leaves no room"):
        encode_task(tiny_tokenizer, "pos", tagged, 3)
    for kind in ("class", "pair", "pos", "ner", "slots", "qa"):
        assert len(encode_task(tiny_tokenizer, kind, [], 32)) == 0
