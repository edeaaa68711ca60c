"""Answers against torchmetrics' SQuAD score, MLQA's rule restated from its definition, and hand-worked cases."""

from __future__ import annotations

import re
import string
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.text import squad
from torchmetrics.functional.text.squad import _normalize_text

from xrealign.errors import DataError
from xrealign.language import parse_language
from xrealign.tasks.answers import AnswerRule, answer_scores, answer_words
from xrealign.tasks.metrics import score
from xrealign.tasks.statistics import answer_statistics

EXAMPLES = [200, pytest.param(2000, marks=pytest.mark.slow)]
PIECES = (
    *(
        "the",
        "The",
        "a",
        "AN",
        "an",
        "cat",
        "Cat",
        "cats",
        "42",
        "4.2",
        "U.S.",
        "don't",
        "“quoted”",
        "—",
        "-",
        "...",
        "$5",
    ),
    *(
        "naïve",
        "İzmir",
        "straße",
        "STRASSE",
        "東京",
        "москва",
        "a\u0301",
        "the\u0301",
        "x_the",
        "\u200b",
        "of",
        "red",
        "hat",
    ),
)
BLANKS = (" ", "", "  ", "\t", "\n", "\u00a0", "\u3000", "-", ", ", ".")


def texts(pieces: Sequence[str] = PIECES) -> st.SearchStrategy[str]:
    part = st.tuples(st.sampled_from(pieces), st.sampled_from(BLANKS))
    made = st.lists(part, max_size=6).map(lambda parts: "".join(piece + blank for piece, blank in parts))
    return st.one_of(made, made, st.text(max_size=8))


questions = st.lists(st.tuples(texts(), st.lists(texts(), min_size=1, max_size=3)), min_size=1, max_size=6)


@pytest.fixture
def doubles() -> Iterator[None]:
    """torchmetrics computes in torch's default type."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def theirs(items: list[tuple[str, list[str]]]) -> tuple[float, float]:
    predicted = [{"prediction_text": text, "id": str(i)} for i, (text, _) in enumerate(items)]
    target = [
        {"answers": {"answer_start": [0] * len(a), "text": list(a)}, "id": str(i)} for i, (_, a) in enumerate(items)
    ]
    found = squad(predicted, target)
    return float(found["exact_match"]) / 100, float(found["f1"]) / 100


def ours(items: list[tuple[str, list[str]]], rule: AnswerRule) -> tuple[float, float]:
    statistics = answer_statistics([a for _, a in items], [text for text, _ in items], rule)
    return score(statistics, "exact_match"), score(statistics, "f1")


@pytest.mark.parametrize("examples", EXAMPLES)
def test_squad_1_is_torchmetrics(doubles: None, examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(questions)
    def check(items: list[tuple[str, list[str]]]) -> None:
        # torchmetrics lets nothing match nothing, as only SQuAD 2.0 does: answers without words are for the next test.
        items = [
            (text, answers) for text, answers in items if _normalize_text(text) or all(map(_normalize_text, answers))
        ]
        if items:
            assert ours(items, "squad1") == pytest.approx(theirs(items), abs=1e-12)

    check()


@pytest.mark.parametrize("examples", EXAMPLES)
def test_squad_2_is_torchmetrics_over_answers_that_have_words(doubles: None, examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(questions)
    def check(items: list[tuple[str, list[str]]]) -> None:
        kept = [(text, [a for a in answers if _normalize_text(a)] or [""]) for text, answers in items]
        assert ours(items, "squad2") == pytest.approx(theirs(kept), abs=1e-12)
        assert answer_words(items[0][0]) == tuple(_normalize_text(items[0][0]).split())

    check()


def test_where_the_squad_rules_differ() -> None:
    assert answer_scores("the", ["A"], "squad1") == (1, 0)  # equal, but no word in common
    assert answer_scores("the", ["A"], "squad2") == (1, 1)  # a question without an answer, and none was given
    assert answer_scores("", [], "squad2") == (1, 1)
    assert answer_scores("hat", [], "squad2") == (0, 0)
    assert answer_scores("", ["hat"], "squad2") == (0, 0)
    assert answer_scores("", ["the", "hat"], "squad1") == (1, 0)
    assert answer_scores("", ["the", "hat"], "squad2") == (0, 0)
    with pytest.raises(DataError, match=r"SQuAD 1.1 has an answer to every question"):
        answer_scores("", [], "squad1")


def test_best_over_answers_by_hand() -> None:
    # "red hat": F1 with "hat" 2 * 1 / 3, with "red old hat" 2 * 2 / 5.
    assert answer_scores("the red hat!", ["hat", "a red, old hat"]) == (0, pytest.approx(4 / 5))
    # Words count as often as they come: two of the three are in common.
    assert answer_scores("ha ha ha", ["ha ha"])[1] == pytest.approx(2 * 2 / 5)


PUNCTUATION = set(string.punctuation) | {
    chr(i) for i in range(sys.maxunicode) if unicodedata.category(chr(i)).startswith("P")
}
ARTICLES = {
    "eng": r"\b(a|an|the)\b",
    "spa": r"\b(un|una|unos|unas|el|la|los|las)\b",
    "deu": r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b",
    "vie": r"\b(của|là|cái|chiếc|những)\b",
    "arb": r"\sال^|ال",
}
FOREIGN = (
    *(
        "el",
        "La",
        "casa",
        "¿qué?",
        "der",
        "Des",
        "Haus",
        "«Haus»",
        "của",
        "những",
        "nhà",
        "البيت",
        "بيت",
        "؟",
        "घर",
        "।",
    ),
    *("the", "red", "42", "4.2", "東京", "是", "大学", "。", "、", "中文abc", "$"),
)


def mlqa(text: str, language: str) -> list[str]:
    """MLQA's normalisation as Lewis et al. published it: Chinese by ideograph, the others by white space."""
    bare = "".join(c for c in text.lower() if c not in PUNCTUATION)
    if language in ARTICLES:
        bare = re.sub(ARTICLES[language], " ", bare)
    return re.sub(r"([\u4e00-\u9fa5])", r" \1 ", bare).split() if language == "zho" else bare.split()


@pytest.mark.parametrize("examples", [60, pytest.param(500, marks=pytest.mark.slow)])
@pytest.mark.parametrize("language", ["eng", "spa", "deu", "vie", "arb", "hin", "zho"])
def test_mlqa_restated(language: str, examples: int) -> None:
    pieces = st.lists(st.tuples(st.sampled_from(FOREIGN), st.sampled_from(BLANKS)), max_size=6)
    text = pieces.map(lambda parts: "".join(piece + blank for piece, blank in parts))

    @settings(max_examples=examples, deadline=None)
    @given(text, st.lists(text, min_size=1, max_size=3))
    def check(predicted: str, answers: list[str]) -> None:
        words = mlqa(predicted, language)
        wanted = [mlqa(answer, language) for answer in answers]
        rule = parse_language(language)
        assert list(answer_words(predicted, rule)) == words
        if words and all(wanted):
            best = 0.0
            for one in wanted:
                same = (Counter(words) & Counter(one)).total()
                precision, recall = same / len(words), same / len(one)
                best = max(best, 2 * precision * recall / (precision + recall) if same else 0.0)
            assert answer_scores(predicted, answers, rule) == (float(words in wanted), pytest.approx(best, abs=1e-12))

    check()


def test_scripts_without_blanks_by_character() -> None:
    assert answer_words("東京は、首都 ABC", parse_language("jpn")) == ("東", "京", "は", "首", "都", "abc")
    assert answer_words("ที่นี่ 7-Eleven", parse_language("tha")) == ("ที่", "นี่", "7eleven")
    assert answer_words("中文", parse_language("deu")) == ("中文",)
    # Half of the characters are in common: 2 * 2 / (2 + 4).
    assert answer_scores("東京", ["東京大学"], parse_language("jpn"))[1] == pytest.approx(4 / 6)
    assert answer_scores("東京", ["東京大学"])[1] == 0
