"""Words before any tokenizer sees them: hand-worked sentences in several scripts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xrealign.segment import spans_by_blanks, spans_of_words


def words(text):
    return [text[a:b] for a, b in spans_by_blanks(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \t\u00a0\u3000\u200b", []),
        ("All human beings are born free.", ["All", "human", "beings", "are", "born", "free", "."]),
        ("Don’t l'homme so'z koʼra", ["Don’t", "l'homme", "so'z", "koʼra"]),
        ("'quoted' rock-'n'-roll -", ["'", "quoted", "'", "rock", "-", "'", "n", "'", "-", "roll", "-"]),
        ("vis-à-vis col·legi 3,5 %", ["vis-à-vis", "col·legi", "3", ",", "5", "%"]),
        # vowel signs and virama are marks: they stay with their letters
        ("सभी मनुष्यों को गौरव", ["सभी", "मनुष्यों", "को", "गौरव"]),
        ("மனிதப் பிறவியினர் சகலரும்.", ["மனிதப்", "பிறவியினர்", "சகலரும்", "."]),
        ("يولد جميع الناس، أحرارًا", ["يولد", "جميع", "الناس", "،", "أحرارًا"]),
        ("ህዝቦች፡ነጻ።", ["ህዝቦች", "፡", "ነጻ", "።"]),
        ("snake_case a‐b x²", ["snake_case", "a‐b", "x²"]),
        ("hi👋🏽!", ["hi", "👋", "🏽", "!"]),
    ],
)
def test_words_by_hand(text, expected):
    assert words(text) == expected


@given(st.text())
def test_words_are_in_order_apart_and_hold_all_that_is_seen(text):
    rows = spans_by_blanks(text)
    assert rows.shape == (len(rows), 2)
    assert rows.dtype == "int32"
    flat = rows.reshape(-1).tolist()
    assert flat == sorted(flat)
    assert all(a < b for a, b in rows)
    outside = set(range(len(text))) - {i for a, b in rows for i in range(a, b)}
    assert all(text[i].isspace() or not text[i].isprintable() for i in outside)


@given(st.lists(st.text("abcé的", min_size=1, max_size=4), max_size=6))
def test_words_already_split_keep_their_places(given_words):
    text, rows = spans_of_words(given_words)
    assert text == " ".join(given_words)
    assert rows.shape == (len(given_words), 2)
    assert [text[a:b] for a, b in rows] == given_words
