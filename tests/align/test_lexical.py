"""Dictionary links: hand-worked cases, and the rule in its plainest form as an oracle."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xrealign.align.lexical import dictionary_links

DICTIONARY = {
    "dog": ("hund", "köter"),
    "hound": ("hund",),
    "house": ("haus",),
    "the": ("der", "die", "das"),
    "sees": ("sieht",),
}


def links(src: str, tgt: str) -> list[tuple[int, int]]:
    (found,) = dictionary_links([src.split()], [tgt.split()], DICTIONARY)
    assert found.dtype == np.int32
    assert found.shape[1:] == (2,)
    return [(int(i), int(j)) for i, j in found]


@pytest.mark.parametrize(
    ("src", "tgt", "expected"),
    [
        ("dog sees house", "Hund sieht Haus", [(0, 0), (1, 1), (2, 2)]),
        ("DOG", "der hund", [(0, 1)]),  # case-folded
        ("house dog", "hund haus", [(0, 1), (1, 0)]),
        ("dog", "hund köter", []),  # two translations occur
        ("dog", "hund hund", []),  # the translation occurs twice
        ("dog hound", "hund", []),  # it translates another word too
        ("dog dog", "hund", []),  # a second copy is another word
        ("dog hound", "köter hund", []),  # dog: two candidates; hound: hund also translates dog
        ("dog hound", "köter", [(0, 0)]),
        ("the dog", "der hund", [(0, 0), (1, 1)]),
        ("cat", "katze", []),
        ("", "hund", []),
        ("dog", "", []),
    ],
)
def test_hand_worked(src: str, tgt: str, expected: list[tuple[int, int]]) -> None:
    assert links(src, tgt) == expected


def test_folding_goes_beyond_lower_case() -> None:
    assert links("dog", "HUND") == [(0, 0)]
    (found,) = dictionary_links([["street"]], [["STRASSE"]], {"street": ("straße".casefold(),)})
    assert found.tolist() == [[0, 0]]


def rule(src: list[str], tgt: list[str], entries: dict[str, set[str]]) -> list[tuple[int, int]]:
    """The published rule word by word, comparing every pair."""
    found = []
    for i, word in enumerate(src):
        occurring = {t for t in entries.get(word, set()) if any(t == other for other in tgt)}
        if len(occurring) != 1:
            continue
        (translation,) = occurring
        places = [j for j, other in enumerate(tgt) if other == translation]
        if len(places) != 1:
            continue
        if any(translation in entries.get(other, set()) for k, other in enumerate(src) if k != i):
            continue
        found.append((i, places[0]))
    return found


WORDS = st.sampled_from("abcdefg")
SENTENCES = st.lists(WORDS, max_size=7)
ENTRIES = st.dictionaries(WORDS, st.sets(WORDS, max_size=3), max_size=7)


@settings(max_examples=300, deadline=None)
@given(batch=st.lists(st.tuples(SENTENCES, SENTENCES), max_size=4), entries=ENTRIES)
def test_equals_the_rule(batch: list[tuple[list[str], list[str]]], entries: dict[str, set[str]]) -> None:
    found = dictionary_links([src for src, _ in batch], [tgt for _, tgt in batch], entries)
    assert [[tuple(link) for link in rows.tolist()] for rows in found] == [rule(s, t, entries) for s, t in batch]


PHRASES = {
    "new york": ("new york",),
    "new": ("neu",),
    "of course": ("natürlich", "selbst verständlich"),
    "course": ("kurs",),
    "ice cream": ("eis",),
    "ice": ("eis",),
    "give up": ("gibt auf",),
    "give": ("gibt",),
    "a b": ("x y",),
    "b c": ("y z", "w"),
}


@pytest.mark.parametrize(
    ("src", "tgt", "expected"),
    [
        ("New York", "New York", [(0, 0), (0, 1), (1, 0), (1, 1)]),  # all words of both
        ("of course", "ja natürlich", [(0, 1), (1, 1)]),
        ("of course", "selbst verständlich", [(0, 0), (0, 1), (1, 0), (1, 1)]),
        ("of course", "selbst sehr verständlich", []),  # not side by side
        ("of course", "natürlich selbst verständlich", []),  # two translations occur
        ("of course of course", "natürlich", []),  # the second copy is another phrase
        ("ice cream", "eis", [(0, 0), (1, 0)]),  # longest first: ice is not looked up by itself
        ("ice cream ice", "eis", []),  # eis translates both
        ("give up", "gibt auf", [(0, 0), (0, 1), (1, 0), (1, 1)]),
        ("give it up", "gibt es auf", [(0, 0)]),
        ("give up give", "gibt auf gibt", [(0, 0), (0, 1), (1, 0), (1, 1), (2, 2)]),  # longest first on both sides
        ("give give up", "gibt auf", [(1, 0), (1, 1), (2, 0), (2, 1)]),  # gibt went to the longer phrase
        ("a b c", "x y", [(0, 0), (0, 1), (1, 0), (1, 1)]),
        ("a b c", "w", [(1, 0), (2, 0)]),  # a b has no translation here, so b c is free
        ("a b c", "x y w", [(0, 0), (0, 1), (1, 0), (1, 1)]),  # equally long: from the left
        ("of course", "kurs", [(1, 0)]),  # a phrase without a hit leaves its words alone
        ("new york is new", "new york ist neu", [(0, 0), (0, 1), (1, 0), (1, 1), (3, 3)]),
        ("new", "york", []),
    ],
)
def test_phrases_worked_by_hand(src: str, tgt: str, expected: list[tuple[int, int]]) -> None:
    (found,) = dictionary_links([src.split()], [tgt.split()], PHRASES)
    assert [tuple(link) for link in found.tolist()] == expected


def cut(words: list[str], phrases: set[str]) -> list[tuple[int, int, str]]:
    """Longest phrases first, by trying every length at every place."""
    free, units = set(range(len(words))), []
    for length in range(len(words), 0, -1):
        for start in range(len(words) - length + 1):
            places, phrase = set(range(start, start + length)), " ".join(words[start : start + length])
            if phrase in phrases and places <= free:
                free -= places
                units.append((start, start + length, phrase))
    return sorted(units)


def phrase_rule(src: list[str], tgt: list[str], entries: dict[str, set[str]]) -> list[tuple[int, int]]:
    """The rule on phrases: sentences are cut, then every unit is treated as a word."""
    runs = {" ".join(tgt[a:b]) for a in range(len(tgt)) for b in range(a + 1, len(tgt) + 1)}
    src_units = cut(src, {phrase for phrase, found in entries.items() if found & runs})
    tgt_units = cut(tgt, {t for *_, phrase in src_units for t in entries[phrase]})
    links = rule([phrase for *_, phrase in src_units], [phrase for *_, phrase in tgt_units], entries)
    places = [(src_units[a][:2], tgt_units[b][:2]) for a, b in links]
    return sorted((i, j) for left, right in places for i in range(*left) for j in range(*right))


SHORT = st.lists(st.sampled_from("abc"), max_size=6)
PHRASE = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(" ".join)


@settings(max_examples=400, deadline=None)
@given(src=SHORT, tgt=SHORT, entries=st.dictionaries(PHRASE, st.sets(PHRASE, max_size=3), max_size=6))
def test_phrases_equal_the_rule(src: list[str], tgt: list[str], entries: dict[str, set[str]]) -> None:
    (found,) = dictionary_links([src], [tgt], {key: sorted(values) for key, values in entries.items()})
    assert [tuple(link) for link in found.tolist()] == phrase_rule(src, tgt, entries)


def test_a_batch_of_unequal_sides_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        dictionary_links([["a"], ["b"]], [["a"]], {})


def test_ten_thousand_pairs_are_a_matter_of_seconds() -> None:
    """Look-ups, not comparisons: with 20,000 entries and 40 words a side (measured: about 0.5 s)."""
    generator = np.random.default_rng(3)
    entries = {f"s{n}": (f"t{n}", f"t{n + 1}") for n in range(20_000)}
    sentences = generator.integers(0, 20_000, (10_000, 40))
    src = [[f"s{n}" for n in row] for row in sentences]
    tgt = [[f"t{n}" for n in row] for row in sentences]
    start = time.perf_counter()
    found = dictionary_links(src, tgt, entries)
    assert time.perf_counter() - start < 10
    assert sum(map(len, found)) > 350_000


def test_repeated_words_are_counted_not_compared() -> None:
    """Two sentences of 3,000 equal words: nine million pairs if compared (measured: a few milliseconds)."""
    start = time.perf_counter()
    (found,) = dictionary_links([["a"] * 3000 + ["b"]], [["c"] * 3000 + ["b"]], {"a": ("c", "d"), "b": ("b",)})
    assert time.perf_counter() - start < 1
    assert found.tolist() == [[3000, 3000]]
