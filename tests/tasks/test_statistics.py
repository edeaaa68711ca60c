"""Statistics of each kind of task: hand-worked, against brute force over the words, and their errors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from xrealign.errors import DataError
from xrealign.language import parse_language
from xrealign.tasks.metrics import MAIN_METRIC, bootstrap, score, scores
from xrealign.tasks.statistics import (
    SlotPrediction,
    Statistics,
    label_statistics,
    majority,
    retrieval_statistics,
    slot_statistics,
    span_statistics,
    tag_statistics,
    task_statistics,
)
from xrealign.tasks.task import Example, PairExample, QuestionExample, TaggedExample

LABELS = ("lamp", "stop", "timer")
TAGS = ("B-area", "B-name", "I-area", "I-name", "O")


def table(statistics: Statistics) -> dict[str, list[float]]:
    return dict(zip(statistics.columns, statistics.values.T.tolist(), strict=True))


def test_label_columns() -> None:
    statistics = label_statistics(["lamp", "stop"], ["lamp", "timer"], LABELS)
    assert table(statistics) == {
        "gold:lamp": [1, 0],
        "gold:stop": [0, 1],
        "gold:timer": [0, 0],
        "predicted:lamp": [1, 0],
        "predicted:stop": [0, 0],
        "predicted:timer": [0, 1],
        "correct:lamp": [1, 0],
        "correct:stop": [0, 0],
        "correct:timer": [0, 0],
    }
    assert len(statistics) == 2


words = st.tuples(st.sampled_from(LABELS), st.sampled_from((*LABELS, "")))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(words, max_size=7), max_size=6))
def test_tag_columns_are_counts_of_words(sentences: list[list[tuple[str, str]]]) -> None:
    gold, predicted = ([[pair[side] for pair in sentence] for sentence in sentences] for side in (0, 1))
    found = table(tag_statistics(gold, predicted, LABELS))
    for tag in LABELS:
        assert found[f"gold:{tag}"] == [sum(a == tag for a, _ in s) for s in sentences]
        assert found[f"predicted:{tag}"] == [sum(b == tag for _, b in s) for s in sentences]
        assert found[f"correct:{tag}"] == [sum(a == b == tag for a, b in s) for s in sentences]


span_words = st.tuples(st.sampled_from(TAGS), st.sampled_from((*TAGS, "")))
frames = st.tuples(st.lists(span_words, max_size=7), st.sampled_from(LABELS), st.sampled_from(LABELS))


def entities(tags: list[str]) -> set[tuple[str, int, int]]:
    return set(get_entities([tag or "O" for tag in tags]))


@settings(max_examples=200, deadline=None)
@given(st.lists(frames, min_size=1, max_size=6))
def test_slots_are_counts_of_spans_and_whole_frames(items: list[tuple[list[tuple[str, str]], str, str]]) -> None:
    gold = [[a for a, _ in sentence] for sentence, _, _ in items]
    predicted = [SlotPrediction(tuple(b for _, b in sentence), guess) for sentence, _, guess in items]
    statistics = slot_statistics(gold, [label for _, label, _ in items], predicted, LABELS, TAGS)
    found = table(statistics)
    pairs = [(entities(a), entities(list(b.tags))) for a, b in zip(gold, predicted, strict=True)]
    for name in ("area", "name"):
        assert found[f"gold_spans:{name}"] == [sum(s[0] == name for s in a) for a, _ in pairs]
        assert found[f"predicted_spans:{name}"] == [sum(s[0] == name for s in b) for _, b in pairs]
        assert found[f"correct_spans:{name}"] == [sum(s[0] == name for s in a & b) for a, b in pairs]
    right = [label == guess for _, label, guess in items]
    whole = [a == b and ok and "" not in p.tags for (a, b), ok, p in zip(pairs, right, predicted, strict=True)]
    assert found["exact"] == whole
    assert found["correct_words"] == [sum(a == b for a, b in sentence) for sentence, _, _ in items]
    assert score(statistics, "accuracy") == pytest.approx(sum(right) / len(items), abs=1e-12)
    assert score(statistics, "exact_match") == pytest.approx(sum(whole) / len(items), abs=1e-12)


CLASS = [Example("a", "lamp", "1"), Example("b", "lamp", "2"), Example("c", "stop", "3")]
PAIR = [PairExample("a", "b", "lamp", "1"), PairExample("c", "d", "stop", "2"), PairExample("e", "f", "stop", "3")]
POS = [TaggedExample(("a", "b"), ("timer", "lamp"), "1"), TaggedExample(("c",), ("lamp",), "2")]
NER = [
    TaggedExample(("a", "b", "c"), ("B-name", "I-name", "O"), "1"),
    TaggedExample(("d", "e"), ("O", "O"), "2"),
]
SLOTS = [TaggedExample(e.words, e.tags, e.group, label) for e, label in zip(NER, ("stop", "stop"), strict=True)]
QA = [
    QuestionExample("q1", "who?", "the red hat", (("the red hat", 0), ("hat", 8)), "1"),
    QuestionExample("q2", "why?", "the red hat", (), "2"),
]


def test_task_statistics_of_each_kind() -> None:
    def of(kind, gold, predicted):
        return scores(kind, task_statistics(kind, gold, predicted, LABELS, LABELS if kind == "pos" else TAGS))

    assert of("class", CLASS, ["lamp", "stop", "stop"])["accuracy"] == 2 / 3
    assert of("pair", PAIR, ["lamp", "stop", "stop"])["accuracy"] == 1
    assert of("pos", POS, [("timer", ""), ("lamp",)])["accuracy"] == 2 / 3
    found = of("ner", NER, [("B-name", "I-name", "O"), ("O", "B-name")])
    assert (found["f1"], found["precision"], found["recall"]) == (2 / 3, 1 / 2, 1)
    found = of(
        "slots",
        SLOTS,
        [SlotPrediction(("B-name", "I-name", "O"), "lamp"), SlotPrediction(("O", "O"), "stop")],
    )
    assert (found["f1"], found["accuracy"], found["exact_match"]) == (1, 1 / 2, 1 / 2)
    found = of("qa", QA, ["red hat", ""])
    assert (found["f1"], found["exact_match"], found["no_answer_accuracy"]) == (1, 1, 1)


def test_questions_by_another_rule() -> None:
    gold = [QuestionExample("q", "?", "der rote Hut", (("der rote Hut", 0),), "1")]
    english = task_statistics("qa", gold, ["rote Hut"], (), ())
    german = task_statistics("qa", gold, ["rote Hut"], (), (), answers=parse_language("deu"))
    assert score(english, "exact_match") == 0
    assert score(german, "exact_match") == 1


def test_majority_of_each_kind() -> None:
    assert majority("class", CLASS, LABELS, ()) == ["lamp"] * 3
    assert majority("pair", PAIR, LABELS, ()) == ["stop"] * 3
    assert majority("pos", POS, (), LABELS) == [("lamp", "lamp"), ("lamp",)]
    assert majority("ner", NER, (), TAGS) == [("O", "O", "O"), ("O", "O")]
    assert majority("slots", SLOTS, LABELS, TAGS) == [
        SlotPrediction(("O", "O", "O"), "stop"),
        SlotPrediction(("O", "O"), "stop"),
    ]
    assert majority("qa", QA, (), ()) == ["", ""]
    expected = {"class": 2 / 3, "pair": 2 / 3, "pos": 2 / 3, "ner": 0, "slots": 0, "qa": 1 / 2}
    kinds = {"class": CLASS, "pair": PAIR, "pos": POS, "ner": NER, "slots": SLOTS, "qa": QA}
    for kind, gold in kinds.items():
        tags = LABELS if kind == "pos" else TAGS
        statistics = task_statistics(kind, gold, majority(kind, gold, LABELS, tags), LABELS, tags)
        assert score(statistics, MAIN_METRIC[kind]) == pytest.approx(expected[kind], abs=1e-15)


def test_a_tie_goes_to_the_first_label_in_order() -> None:
    both = [Example("a", "stop", "1"), Example("b", "lamp", "2")]
    assert majority("class", both, LABELS, ()) == ["lamp", "lamp"]


def test_statistics_of_parts_add_up() -> None:
    first, second = (task_statistics("ner", NER[i : i + 1], [NER[i].tags], (), TAGS) for i in (0, 1))
    whole = task_statistics("ner", NER, [e.tags for e in NER], (), TAGS)
    assert whole.sums.tolist() == (first.sums + second.sums).tolist()
    assert whole.columns == first.columns


def test_sentences_without_spans_or_words() -> None:
    empty = span_statistics([[], ["O"]], [[], ["O"]], ["O"])
    assert empty.columns == ("words", "correct_words")
    assert score(empty, "word_accuracy") == 1
    none = span_statistics([["O"]], [["O"]], TAGS)
    assert score(none, "f1") == score(none, "macro_f1") == score(none, "recall") == 0
    assert bootstrap(none, "f1", resamples=10).high == 0
    assert len(tag_statistics([], [], LABELS)) == 0


def test_errors_name_what_is_wrong() -> None:
    with pytest.raises(DataError, match=r"gold label 'lmap' of item 1 is none of the model's; did you mean 'lamp'"):
        label_statistics(["stop", "lmap"], ["lamp", "lamp"], LABELS)
    with pytest.raises(DataError, match="predicted label '' of item 0"):
        label_statistics(["lamp"], [""], LABELS)
    with pytest.raises(DataError, match="gold tag 'NOUN' of item 1"):
        tag_statistics([["lamp"], ["lamp", "NOUN"]], [["lamp"], ["", ""]], LABELS)
    with pytest.raises(DataError, match="gold tag '' of item 0"):
        tag_statistics([[""]], [["lamp"]], LABELS)
    with pytest.raises(DataError, match="2 gold items but 1 predictions"):
        label_statistics(["lamp", "lamp"], ["lamp"], LABELS)
    with pytest.raises(DataError, match="item 1 has 2 words but 1 predicted tags"):
        task_statistics("pos", [POS[1], POS[0]], [("lamp",), ("lamp",)], (), LABELS)
    with pytest.raises(DataError, match="given twice"):
        label_statistics(["lamp"], ["lamp"], ["lamp", "lamp"])
    with pytest.raises(DataError, match=r"kind pos needs predictions of type tuple, got 'lamp'"):
        task_statistics("pos", POS[1:], ["lamp"], (), LABELS)
    with pytest.raises(DataError, match=r"kind ner needs examples of type TaggedExample, got Example\("):
        task_statistics("ner", CLASS[:1], [("O",)], (), TAGS)
    with pytest.raises(DataError, match="'B-MISC' is of no known type"):
        task_statistics("ner", [TaggedExample(("a",), ("B-MISC",), "1")], [("O",)], (), TAGS)
    with pytest.raises(DataError, match="no items"):
        majority("class", [], LABELS, ())
    with pytest.raises(DataError, match="no labels or tags"):
        majority("class", CLASS, (), ())
    with pytest.raises(DataError, match="2 columns are named"):
        Statistics(("a", "b"), np.zeros((3, 1)))
    for ranks in ([], [0], [2, 2]):
        with pytest.raises(DataError, match="query 1: expected different ranks from 1"):
            retrieval_statistics([[1], ranks])


def test_retrieval_by_hand() -> None:
    # Of three queries the answers are ranked 1; 2 and 4; 5: mean average precision ((1) + (1/2 + 2/4) / 2 + 1/5) / 3.
    statistics = retrieval_statistics([[1], [4, 2], [5]])
    assert score(statistics, "map") == pytest.approx((1 + 0.5 + 0.2) / 3, abs=1e-15)
    assert score(statistics, "mrr") == pytest.approx((1 + 1 / 2 + 1 / 5) / 3, abs=1e-15)
    assert score(statistics, "accuracy") == pytest.approx(1 / 3, abs=1e-15)
