"""Filters of sentence pairs, each edge by hand; percentiles against counting; language identification on the UDHR."""

from __future__ import annotations

import math
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xrealign.corpus.embedded import bitext, udhr_segments
from xrealign.corpus.language_id import FEWEST_LETTERS, _model, judged_languages, language_check
from xrealign.corpus.quality import (
    Kept,
    PairRules,
    above_percentile,
    at_least,
    both,
    filter_bitext,
    filter_pairs,
    pair_cosines,
    read_scores,
    take,
)
from xrealign.errors import ConfigError, DataError, MissingExtra
from xrealign.language import parse_language
from xrealign.types import Bitext, SentencePair

ENG, DEU, ZHO, RUS, SWH = (parse_language(code) for code in ("eng", "deu", "zho", "rus", "swh"))
OPEN = PairRules(min_characters=None, identical=True, duplicates="keep", script=False)


def outcome(rows, src=ENG, tgt=DEU, **rules):
    """The mask and the counts, of pairs given as two texts."""
    pairs = [SentencePair(str(n), *row) for n, row in enumerate(rows)]
    kept = filter_pairs(pairs, src, tgt, replace(OPEN, **rules))
    assert kept.mask.dtype == bool
    assert sum(kept.dropped.values()) == len(pairs) - kept.mask.sum()
    return kept.mask.tolist(), dict(kept.dropped)


def test_without_rules_all_stays():
    assert outcome([("a", "a"), ("a", "a"), ("", "x"), ("один", "两个")]) == ([True] * 4, {})
    assert outcome([]) == ([], {})


def test_bounds_on_words_are_allowed_themselves():
    rows = [
        ("one", "eins"),
        ("one two", "eins zwei"),
        ("one two three", "eins zwei"),
        ("one two", "eins zwei drei vier"),
    ]
    assert outcome(rows, min_words=2, max_words=3) == (
        [False, True, True, False],
        {"fewer than 2 words": 1, "more than 3 words": 1},
    )
    assert outcome([("one, two", "eins zwei")], max_words=2)[0] == [False]  # the comma counts


def test_bounds_on_characters_are_allowed_themselves():
    rows = [("ab", "abc"), ("abc", "abcd"), (" abc ", "abcde"), ("abcde", "abcdef")]
    assert outcome(rows, min_characters=3, max_characters=5) == (
        [False, True, True, False],
        {"fewer than 3 characters": 1, "more than 5 characters": 1},
    )
    assert outcome([("", "x"), ("  ", "x")], min_characters=1)[1] == {"fewer than 1 characters": 2}


def test_words_of_scripts_without_blanks_are_counted_as_words():
    sentence = "人人生而自由"  # ICU: 人人 生 而 自由
    assert outcome([("all are born free", sentence)], tgt=ZHO, max_ratio=1.01)[0] == [True]
    assert outcome([("all are born free", sentence)], tgt=ZHO, max_words=4)[0] == [True]
    assert outcome([("all are born free", sentence)], tgt=ZHO, max_words=3)[0] == [False]


def test_the_ratio_itself_is_allowed():
    rows = [("one two", "eins zwei drei vier"), ("one", "eins zwei drei"), ("a b c d e", "eins zwei")]
    assert outcome(rows, max_ratio=2) == ([True, False, False], {"lengths in a ratio above 2": 2})
    assert outcome(rows, max_ratio=2.5)[0] == [True, False, True]
    assert outcome([("", "x"), ("", "")], max_ratio=99)[0] == [False, True]


def test_a_language_without_a_rule_for_words_is_measured_in_characters():
    tai = parse_language("tdd_Tale")
    row = ("one two three four", "ᥛᥫᥒᥰ")
    assert outcome([row], tgt=tai, min_words=2)[0] == [True]
    assert outcome([row], tgt=tai, min_words=5)[1] == {"fewer than 5 words": 1}  # the English side
    assert outcome([row], tgt=tai, max_ratio=4.5)[0] == [True]  # 18 characters and 4
    assert outcome([row], tgt=tai, max_ratio=4.4)[0] == [False]


def test_identical_sides_whatever_their_case_and_blanks():
    rows = [("Berlin", "Berlin"), ("Berlin ", "BERLIN"), ("Berlin", "Berlin."), ("New  York", "new york")]
    assert outcome(rows, identical=False) == ([False, False, True, False], {"identical sides": 3})


def test_duplicates_by_what_makes_one():
    rows = [("a", "x"), ("A", " x"), ("a", "y"), ("b", "x"), ("b", "y")]
    wanted = {
        "keep": [True, True, True, True, True],
        "pair": [True, False, True, True, True],
        "source": [True, False, False, True, False],
        "target": [True, False, True, False, False],
        "either": [True, False, False, False, True],  # what fell itself displaces nothing: b and y are new
    }
    for duplicates, mask in wanted.items():
        dropped = {"duplicate": mask.count(False)} if not all(mask) else {}
        assert outcome(rows, duplicates=duplicates) == (mask, dropped)


def test_a_faulty_pair_displaces_no_good_one():
    rows = [("a long sentence of words", "x"), ("a long sentence of words", "ein langer Satz aus Wörtern")]
    assert outcome(rows, duplicates="source", max_ratio=2)[0] == [False, True]


def test_sides_and_keys_are_not_mixed_up():
    """A source that equals another pair's target is no repetition, nor do texts run into each other."""
    assert outcome([("a", "b"), ("b", "a")], duplicates="either")[0] == [True, True]
    assert outcome([("a b", "c"), ("a", "b c")], duplicates="pair")[0] == [True, True]


def test_scripts_of_either_side():
    rows = [("all are born free", "все рождаются свободными"), ("все рождаются", "все рождаются свободными"),
            ("all are born free", "all are born free")]  # fmt: skip
    assert outcome(rows, tgt=RUS, script=True) == (
        [True, False, False],
        {"source in another script": 1, "target in another script": 1},
    )


def test_a_pair_with_several_faults_is_counted_once_under_the_first():
    assert outcome([("x", "x")], min_words=2, identical=False) == ([False], {"fewer than 2 words": 1})


def test_the_usual_rules_keep_the_udhr():
    for code in ("deu", "zho", "tha", "tam", "arb"):
        given_pairs = bitext(udhr_segments(), ENG, parse_language(code))
        kept, dropped = filter_bitext(given_pairs, PairRules(max_ratio=4, min_words=1, max_words=150))
        assert dropped == Counter()
        assert kept.pairs == given_pairs.pairs
        assert (kept.src, kept.tgt, kept.origin) == (ENG, parse_language(code), "udhr-segments")


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"min_words": 5, "max_words": 4}, "min_words = 5 is above max_words = 4"),
        ({"max_characters": -1}, "expected 0 or more"),
        ({"max_ratio": 0.5}, "max_ratio is 0.5, expected 1 or more"),
        ({"max_ratio": math.nan}, "max_ratio is nan"),
        ({"duplicates": "pairs"}, "did you mean 'pair'"),
        ({"least_chance": 0}, "least_chance is 0"),
    ],
)
def test_impossible_rules_are_said(rules, message):
    with pytest.raises(ConfigError, match=message):
        outcome([], **rules)


# Percentiles


def test_percentiles_worked_by_hand():
    scores = np.array([4.0, 1.0, 3.0, 2.0])
    for percentile, stays in ((0, [1, 2, 3, 4]), (24.9, [1, 2, 3, 4]), (25, [2, 3, 4]), (50, [3, 4]), (62, [3, 4]),
                              (75, [4]), (99.9, [4])):  # fmt: skip
        kept = above_percentile(scores, percentile)
        assert sorted(scores[kept.mask]) == stays
        assert sum(kept.dropped.values()) == 4 - len(stays)
    assert above_percentile(scores, 50, "quality").dropped == {"quality not above the 50th percentile": 2}


def test_equal_scores_share_their_fate():
    assert above_percentile(np.ones(5), 75).mask.all()
    assert above_percentile(np.array([1, 1, 1, 2]), 50).mask.all()  # only all three could go, which is too many
    assert above_percentile(np.array([1, 1, 1, 2]), 75).mask.tolist() == [False, False, False, True]
    assert above_percentile(np.array([]), 50).mask.tolist() == []


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=40), st.integers(0, 99))
def test_percentiles_are_those_of_counting(scores, percentile):
    values = np.array(scores, dtype=np.float64)
    kept = above_percentile(values, percentile)
    for value, stays in zip(scores, kept.mask.tolist(), strict=True):
        assert stays == (100 * sum(other <= value for other in scores) > percentile * len(scores))
    assert kept.mask.any()
    dropped = int((~kept.mask).sum())
    assert 100 * dropped <= percentile * len(scores)
    assert sum(kept.dropped.values()) == dropped
    # as many as may go do go: the next group of equal scores would be too many
    left = values[kept.mask]
    assert 100 * (dropped + int((left == left.min()).sum())) > percentile * len(scores)


def test_a_threshold_itself_is_allowed():
    kept = at_least(np.array([0.1, 0.5, 0.7]), 0.5, "similarity")
    assert kept.mask.tolist() == [False, True, True]
    assert kept.dropped == {"similarity below 0.5": 1}
    assert at_least(np.array([1.0]), 0.5).dropped == Counter()


def test_impossible_scores_are_said():
    for percentile in (-1, 100, math.nan):
        with pytest.raises(ConfigError, match="expected 0"):
            above_percentile(np.ones(2), percentile)
    with pytest.raises(ConfigError, match="finite"):
        at_least(np.ones(2), math.nan)
    for broken in (math.nan, math.inf):
        for cut in (above_percentile, at_least):
            with pytest.raises(DataError, match="of pair 2 is not a finite number"):
                cut(np.array([1.0, broken]), 1)


def test_cosines_of_pairs():
    src, tgt = np.array([[1.0, 0], [3, 4], [1, 1]]), np.array([[5.0, 0], [-3, -4], [1, -1]], dtype=np.float32)
    assert pair_cosines(src, tgt) == pytest.approx([1, -1, 0])
    from scipy.spatial.distance import cosine

    draw = np.random.default_rng(0)
    src, tgt = draw.normal(size=(20, 7)), draw.normal(size=(20, 7))
    assert pair_cosines(src, tgt) == pytest.approx([1 - cosine(a, b) for a, b in zip(src, tgt, strict=True)], abs=1e-12)
    with pytest.raises(DataError, match="target vector of pair 2 is zero"):
        pair_cosines(np.ones((2, 3)), np.array([[1.0, 1, 1], [0, 0, 0]]))
    with pytest.raises(DataError, match="source vector of pair 1 is zero or not finite"):
        pair_cosines(np.full((1, 3), np.nan), np.ones((1, 3)))
    with pytest.raises(DataError, match="shapes"):
        pair_cosines(np.ones((2, 3)), np.ones((3, 3)))


def test_scores_from_a_file(tmp_path):
    path = tmp_path / "scores.txt"
    path.write_text("0.5\n-1e3\r\n 7 \n", "utf-8")
    assert read_scores(path, 3).tolist() == [0.5, -1000, 7]
    with pytest.raises(DataError, match="3 scores for 4 pairs"):
        read_scores(path, 4)
    for text, message in (
        ("1\nx\n", ":2: 'x' is no number; expected a finite one such as 0.5, one score a line"),
        ("nan\n", ":1: 'nan' is no number"),
        ("1_0\n", ":1: '1_0' is no number"),
        ("٣\n", ":1: '٣' is no number"),
        ("\n", ":1: '' is no number"),
    ):
        path.write_text(text, "utf-8")
        with pytest.raises(DataError, match=message):
            read_scores(path, 2)


def test_filters_one_after_the_other():
    pairs = tuple(SentencePair(str(n), f"s{n}", f"t{n}") for n in range(5))
    first = Kept(np.array([True, False, True, True, False]), Counter(a=2))
    whole = both(first, Kept(np.array([False, True, True]), Counter(b=1)))
    assert whole.mask.tolist() == [False, False, True, True, False]
    assert whole.dropped == {"a": 2, "b": 1}
    assert [pair.id for pair in take(Bitext(ENG, DEU, pairs, "x"), whole)] == ["2", "3"]
    with pytest.raises(DataError, match="left 3 pairs, the second looked at 5"):
        both(first, first)


# Language identification


def test_which_languages_are_judged():
    judged = judged_languages()
    assert judged[SWH] == "sw"
    assert {language.tag for language, label in judged.items() if label == "sr"} == {"srp_Cyrl", "srp_Latn"}
    assert {language.tag for language, label in judged.items() if label == "zh"} == {"zho_Hans", "zho_Hant"}
    assert {parse_language(code) for code in ("crh_Latn", "arb", "zul", "tha")} <= set(judged)
    for unknown in ("aze_Cyrl", "uig_Latn", "crh_Cyrl", "nav", "iku"):
        assert parse_language(unknown) not in judged
        assert language_check(parse_language(unknown)) is None
    covered = [language for language in udhr_segments().texts if language in judged]
    assert len(covered) >= 120


def test_errors_on_the_udhr_are_few():
    """Of right sentences none falls; of sentences of another language in the same script 19 in 20 do."""
    texts = {language: list(rows.values())[:6] for language, rows in udhr_segments().texts.items()}
    judged = sorted(language for language in texts if language in judged_languages())
    right, wrong = [], []
    for place, language in enumerate(judged):
        check = language_check(language)
        right += [bool(check(text)) for text in texts[language]]
        others = [other for other in judged if other.script == language.script and other != language]
        if others:
            wrong += [bool(check(text)) for text in texts[others[7 * place % len(others)]][:3]]
    assert len(right) > 600
    assert len(wrong) > 250
    assert sum(right) == 0
    assert np.mean(wrong) >= 0.95


def test_language_is_asked_of_long_enough_sentences_only():
    rows = [("All human beings are born free and equal.", "Alle Menschen sind frei und gleich geboren."),
            ("All human beings are born free and equal.", "Tous les êtres humains naissent libres et égaux."),
            ("Alle Menschen sind frei und gleich geboren.", "Alle Menschen sind frei und gleich geboren!"),
            ("Bonjour", "Les enfants")]  # fmt: skip
    assert outcome(rows, language_id=True) == (
        [True, False, False, True],
        {"target in another language": 1, "source in another language": 1},
    )
    check = language_check(ENG)
    letters = "Tous les êtres humains naissent libres"
    cut = next(n for n in range(len(letters)) if sum(map(str.isalpha, letters[:n])) == FEWEST_LETTERS)
    assert check(letters[:cut]) == "fr"
    assert check(letters[: cut - 1]) == ""


def test_a_language_nobody_can_identify_is_not_judged():
    row = ("All human beings are born free.", "Bilaʼashdlaʼii tʼáá ałtso yiníkʼehgo bidizhchįh")
    assert outcome([row], tgt=parse_language("nav"), language_id=True)[0] == [True]


def test_without_the_library_it_is_said_what_to_install(monkeypatch):
    judged_languages.cache_clear()
    _model.cache_clear()
    monkeypatch.setitem(sys.modules, "py3langid.langid", None)
    with pytest.raises(MissingExtra, match=r'pip install "xrealign\[langid\]"'):
        outcome([("a", "b")], language_id=True)
