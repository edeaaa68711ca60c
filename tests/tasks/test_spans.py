"""Spans against seqeval, in its default mode and in each strict scheme."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import seqeval.metrics as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities, precision_recall_fscore_support
from seqeval.metrics.v1 import precision_recall_fscore_support as strict_scores
from seqeval.scheme import BILOU, IOB1, IOB2, IOBES, IOE1, IOE2, Entities

from xrealign.errors import DataError
from xrealign.tasks.metrics import name_scores, score
from xrealign.tasks.spans import Scheme, find_spans, span_counts, span_types
from xrealign.tasks.statistics import Statistics, span_statistics

THEIRS: dict[Scheme, Any] = {
    "IOB1": IOB1,
    "IOB2": IOB2,
    "IOE1": IOE1,
    "IOE2": IOE2,
    "BIOES": IOBES,
    "BILOU": BILOU,
}
PREFIXES: dict[Scheme, str] = {
    "conll": "BIES",
    "IOB1": "IB",
    "IOB2": "IB",
    "IOE1": "IE",
    "IOE2": "IE",
    "BIOES": "BIES",
    "BILOU": "BILU",
}
TYPES = ("LOC", "PER", "a-b")


def tags_of(scheme: Scheme) -> list[str]:
    return ["O", *(f"{prefix}-{kind}" for prefix in PREFIXES[scheme] for kind in TYPES)]


def tagged(scheme: Scheme, sentences: int = 6) -> st.SearchStrategy[list[tuple[list[str], list[str]]]]:
    """Sentences with gold and predicted tags: any tags at all, and predictions that often repeat gold."""
    tag = st.sampled_from(tags_of(scheme))
    word = st.one_of(tag.map(lambda t: (t, t)), st.tuples(tag, tag))
    return st.lists(st.lists(word, max_size=9).map(_sides), min_size=1, max_size=sentences)


def _sides(words: list[tuple[str, str]]) -> tuple[list[str], list[str]]:
    return [a for a, _ in words], [b for _, b in words]


def found(sentences: list[list[str]], scheme: Scheme) -> list[tuple[int, str, int, int]]:
    spans = find_spans(sentences, scheme=scheme)
    columns = (spans.sentence.tolist(), spans.type.tolist(), spans.start.tolist(), spans.end.tolist())
    return [(s, spans.types[k], a, b) for s, k, a, b in zip(*columns, strict=True)]


@pytest.mark.parametrize("examples", [300, pytest.param(3000, marks=pytest.mark.slow)])
def test_default_mode_is_seqeval(examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(tagged("conll"))
    def check(pairs: list[tuple[list[str], list[str]]]) -> None:
        sentences = [a for a, _ in pairs]
        theirs = [(i, kind, a, b + 1) for i, tags in enumerate(sentences) for kind, a, b in get_entities(tags)]
        assert found(sentences, "conll") == theirs

    check()


@pytest.mark.parametrize("examples", [150, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("scheme", THEIRS)
def test_strict_modes_are_seqeval(scheme: Scheme, examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(tagged(scheme))
    def check(pairs: list[tuple[list[str], list[str]]]) -> None:
        sentences = [a for a, _ in pairs]
        theirs = [
            (e.sent_id, e.tag, e.start, e.end) for part in Entities(sentences, THEIRS[scheme]).entities for e in part
        ]
        assert found(sentences, scheme) == theirs

    check()


@pytest.mark.parametrize("scheme", PREFIXES)
def test_every_sequence_of_three(scheme: Scheme) -> None:
    """All of them, so that no pair of neighbours is left to chance."""
    sentences = [list(tags) for tags in product([tag for tag in tags_of(scheme) if "a-b" not in tag], repeat=3)]
    if scheme == "conll":
        theirs = [(i, kind, a, b + 1) for i, tags in enumerate(sentences) for kind, a, b in get_entities(tags)]
    else:
        parts = Entities(sentences, THEIRS[scheme]).entities
        theirs = [(e.sent_id, e.tag, e.start, e.end) for part in parts for e in part]
    assert found(sentences, scheme) == theirs


def assert_same_scores(gold: list[list[str]], predicted: list[list[str]], scheme: Scheme) -> None:
    """Micro, macro and per type, precision, recall and F1."""
    theirs = precision_recall_fscore_support if scheme == "conll" else partial(strict_scores, scheme=THEIRS[scheme])
    counts = span_counts(gold, predicted, types := span_types(tags_of(scheme)), scheme).reshape(len(gold), -1)
    columns = tuple(f"{what}_spans:{name}" for what in ("gold", "predicted", "correct") for name in types)
    statistics = Statistics(columns, counts.astype(np.float64))
    used = [name for name, one in name_scores(statistics).items() if one.gold + one.predicted]
    if not used:  # seqeval has no mean of no types; ours is 0
        assert score(statistics, "f1") == score(statistics, "macro_f1") == 0
        return
    average = {how: theirs(gold, predicted, average=how, zero_division=0) for how in ("micro", "macro", None)}
    ours = [score(statistics, name) for name in ("precision", "recall", "f1")]
    assert ours == pytest.approx(average["micro"][:3], abs=1e-12)
    assert score(statistics, "macro_f1") == pytest.approx(average["macro"][2], abs=1e-12)
    each = [name_scores(statistics)[name] for name in used]
    assert [one.precision for one in each] == pytest.approx(average[None][0], abs=1e-12)
    assert [one.recall for one in each] == pytest.approx(average[None][1], abs=1e-12)
    assert [one.f1 for one in each] == pytest.approx(average[None][2], abs=1e-12)
    assert [one.gold for one in each] == list(average[None][3])


@pytest.mark.parametrize("examples", [60, pytest.param(600, marks=pytest.mark.slow)])
@pytest.mark.parametrize("scheme", PREFIXES)
def test_scores_are_seqevals(scheme: Scheme, examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(tagged(scheme))
    def check(pairs: list[tuple[list[str], list[str]]]) -> None:
        assert_same_scores([a for a, _ in pairs], [b for _, b in pairs], scheme)

    check()


@pytest.mark.data
def test_scores_are_seqevals_on_the_data_pack(data_pack: Path) -> None:
    files = sorted((data_pack / "starter" / "ner").glob("*.tsv"))
    assert len(files) >= 13
    for place, path in enumerate(files):
        blocks = path.read_text("utf-8").strip().split("\n\n")
        rows = [[line.split("\t") for line in block.split("\n") if "\t" in line] for block in blocks]
        gold = [[row[1] for row in sentence] for sentence in rows if sentence]
        rng = np.random.default_rng(place)
        tags = [tag for tag in tags_of("IOB2") if "a-b" not in tag] + ["B-ORG", "I-ORG"]
        predicted = [[str(rng.choice(tags)) if rng.random() < 0.15 else tag for tag in sentence] for sentence in gold]
        statistics = span_statistics(gold, predicted, tags)
        theirs = precision_recall_fscore_support(gold, predicted, average="micro")
        ours = [score(statistics, name) for name in ("precision", "recall", "f1")]
        assert ours == pytest.approx(theirs[:3], abs=1e-12), path.name
        macro = reference.f1_score(gold, predicted, average="macro")
        assert score(statistics, "macro_f1") == pytest.approx(macro, abs=1e-12), path.name
        assert score(statistics, "word_accuracy") == pytest.approx(
            reference.accuracy_score(gold, predicted), abs=1e-12
        ), path.name
        assert sum(one.gold for one in name_scores(statistics).values()) == theirs[3] > 0


def test_worked_by_hand() -> None:
    gold = [["B-PER", "I-PER", "O", "B-LOC"], ["O", "B-PER"]]
    predicted = [["B-PER", "I-PER", "O", "O"], ["I-PER", "I-PER"]]
    assert found(predicted, "conll") == [(0, "PER", 0, 2), (1, "PER", 0, 2)]
    assert found(predicted, "IOB2") == [(0, "PER", 0, 2)]  # the second never began
    statistics = span_statistics(gold, predicted, ["B-LOC", "B-PER", "I-PER", "O"])
    assert {k: (v.gold, v.predicted, v.correct) for k, v in name_scores(statistics).items()} == {
        "LOC": (1, 0, 0),
        "PER": (2, 2, 1),
    }
    assert score(statistics, "f1") == pytest.approx(2 * 1 / (3 + 2))
    assert score(statistics, "macro_f1") == pytest.approx((0 + 1 / 2) / 2)
    assert score(statistics, "word_accuracy") == pytest.approx(3 / 6)


def test_spans_end_with_their_sentence_and_cut_words_are_outside() -> None:
    assert found([["B-PER"], [], ["I-PER", ""], ["I-PER"]], "conll") == [
        (0, "PER", 0, 1),
        (2, "PER", 0, 1),
        (3, "PER", 0, 1),
    ]
    assert found([], "conll") == found([[], []], "IOB2") == []


def test_bare_tags_have_a_type_of_their_own() -> None:
    assert found([["B", "I", "O", "B-"]], "conll") == [(0, "_", 0, 2), (0, "_", 3, 4)]
    assert span_types(["O", "B", "I-PER"]) == ("PER", "_")


def test_errors_name_what_is_wrong() -> None:
    with pytest.raises(DataError, match="'PER' is no tag of a span"):
        find_spans([["PER"]])
    with pytest.raises(DataError, match="'OTHER' is no tag of a span"):
        find_spans([["OTHER"]])
    with pytest.raises(DataError, match="'E-PER' is not of the scheme IOB2, whose prefixes are O I B"):
        find_spans([["B-PER", "E-PER"]], scheme="IOB2")
    with pytest.raises(DataError, match="'L-PER' is not of the scheme conll"):
        find_spans([["L-PER"]])
    with pytest.raises(DataError, match="'B-PRE' is of no known type; known are LOC, PER; did you mean 'PER'"):
        find_spans([["B-PRE"]], types=("LOC", "PER"))
    with pytest.raises(DataError, match="unknown tagging scheme 'BIO'"):
        find_spans([["O"]], scheme="BIO")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="1 gold sentences but 0"):
        span_counts([["O"]], [], ())


def test_a_test_set_is_scored_faster_than_by_seqeval() -> None:
    """Ours in under half of seqeval's processor time (a tenth in practice), so that nobody loops over words again."""
    rng = np.random.default_rng(0)
    names = np.array(["O"] * 8 + ["B-PER", "I-PER", "B-LOC", "I-LOC"])
    gold, predicted = (rng.choice(names, size=(3000, 20)).tolist() for _ in range(2))
    times: dict[str, float] = {}
    values = {}
    work: dict[str, Callable[[], float]] = {
        "ours": lambda: score(span_statistics(gold, predicted, names.tolist()), "f1"),
        "theirs": lambda: reference.f1_score(gold, predicted),
    }
    for name, run in work.items():
        start = time.process_time()
        values[name] = run()
        times[name] = time.process_time() - start
    assert values["ours"] == pytest.approx(values["theirs"], abs=1e-12)
    assert times["ours"] < times["theirs"] / 2
