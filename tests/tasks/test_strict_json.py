"""JSON as its standard has it, and where in a file something stands."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xrealign.tasks.strict_json import half_character, line_of, parse_json, told_of

TEXTS = st.text(st.characters(blacklist_categories=("Cs",)), max_size=5)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4))


@given(VALUES, st.sampled_from([None, 0, 1]), st.booleans())
def test_reads_what_the_standard_library_writes(value: Any, indent: int | None, ascii_only: bool) -> None:
    assert parse_json(json.dumps(value, indent=indent, ensure_ascii=ascii_only)) == value


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a": 1, "b": 2, "a": 3}', "the key 'a' stands twice in one object"),
        ('[{"a": [{"x": 1, "x": 1}]}]', "the key 'x' stands twice"),
        ("NaN", "NaN is no number in JSON"),
        ("[-Infinity]", "-Infinity is no number"),
        ("[1e999]", "'1e999' is too large a number"),
        ("9" * 1001, "a number of 1,001 digits"),
        ("-" + "9" * 5000, "a number of 5,001 digits"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ("[1,]", "in column"),
        ("", "Expecting value in column 1"),
        ("'a'", "Expecting value in column 1"),
        ('"\t"', "Invalid control character at in column 2"),
        ('"\\x"', "Invalid \\escape"),
        ("[1] [2]", "Extra data in column 5"),
    ],
)
def test_what_is_no_json(text: str, told: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_json(text)
    assert told in told_of(caught.value)


def test_large_numbers_that_are_some() -> None:
    assert parse_json("9" * 1000) == int("9" * 1000)
    assert parse_json("[1e308, 1e-999]") == [1e308, 0.0]


def test_half_characters() -> None:
    assert half_character("a\ud800") == "holds \\ud800, half of a character"
    assert half_character("a\0") == "holds a NUL character"
    assert half_character(json.loads('"\\ud83d\\ude00"')) is None


def _leaves(value: Any, place: str) -> list[tuple[str, Any]]:
    """Every place of a value that has one."""
    found = [(place, value)]
    if isinstance(value, dict):
        for key, inner in value.items():
            found += _leaves(inner, f"{place}.{key}" if place else key)
    if isinstance(value, list):
        for number, inner in enumerate(value):
            found += _leaves(inner, f"{place}[{number}]")
    return found


NAMES = st.text("abc", min_size=1, max_size=2)
TREES = st.recursive(st.integers(0, 9), lambda i: st.lists(i, max_size=3) | st.dictionaries(NAMES, i, max_size=3))


@given(st.dictionaries(NAMES, TREES, min_size=1, max_size=3))
def test_lines_are_those_where_values_begin(value: dict[str, Any]) -> None:
    text = json.dumps(value, indent=1)
    decoder = json.JSONDecoder()
    for place, inner in _leaves(value, ""):
        line = line_of(text, place)
        ends = [text.split("\n")[line - 1].rfind(mark) for mark in (": ", " ")]
        begins = sum(len(row) + 1 for row in text.split("\n")[: line - 1]) + (
            ends[0] + 2 if ends[0] >= 0 else ends[1] + 1
        )
        assert decoder.raw_decode(text, begins)[0] == inner


def test_the_line_of_what_is_not_there_is_that_of_what_would_hold_it() -> None:
    text = '{"data": [\n{"a": 1},\n{"paragraphs": [\n{}]}]}'
    assert line_of(text, "data[1].paragraphs[0].context") == 4
    assert line_of(text, "data[1].paragraphs[7]") == 3
    assert line_of(text, "data[0].b") == 2
    assert line_of(text, "nothing") == 1
    assert line_of("[1]", "data") == 1
