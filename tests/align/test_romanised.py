"""Romanised likeness: by hand, against an edit distance by recursion, and what is added to cosines."""

from __future__ import annotations

import builtins
from functools import cache
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xrealign.align import romanised as module
from xrealign.align.romanised import LONGEST, romanised, romanised_boost, romanised_similarity
from xrealign.errors import MissingExtra


@pytest.mark.parametrize(
    ("word", "latin"),
    [
        ("London", "london"),
        ("Αθήνα", "athena"),
        ("Москва", "moskva"),
        ("よしみつ", "yoshimitsu"),
        ("Čeština", "cestina"),
        ("Straße", "strasse"),
        ("१२", "12"),
        ("。", "."),
        ("\u200d", ""),
    ],
)
def test_romanised(word: str, latin: str) -> None:
    assert romanised(word) == latin


@pytest.mark.parametrize(
    ("src", "tgt", "value"),
    [
        ("Moscow", "Москва", 1 - 3 / 6),  # moscow, moskva
        ("London", "Лондон", 1.0),
        ("Yoshimitsu", "よしみつ", 1.0),
        ("cat", "Katze", 1 - 3 / 5),
        ("in", "in", 0.0),  # two letters
        ("in", "inn", 0.0),
        ("1987", "१९८७", 1.0),
        ("1987", "1986", 0.0),
        (".", "。", 1.0),
        (",", ".", 0.0),
        ("1987", "year1987", 0.0),
        ("12th", "12th", 0.0),
        ("\u200d", "\u200d", 0.0),  # romanised to nothing
        ("x" * LONGEST, "x" * LONGEST, 1.0),
        ("x" * (LONGEST + 1), "x" * (LONGEST + 1), 0.0),
    ],
)
def test_worked_by_hand(src: str, tgt: str, value: float) -> None:
    found = romanised_similarity([src, "zzz"], [tgt])
    assert found.dtype == np.float32
    assert found.shape == (2, 1)
    assert found[0, 0] == pytest.approx(value, abs=1e-6)
    assert romanised_similarity([tgt], [src])[0, 0] == found[0, 0]


def distance(left: str, right: str) -> int:
    """Levenshtein (1966) by its recursion."""

    @cache
    def least(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        return min(least(i - 1, j) + 1, least(i, j - 1) + 1, least(i - 1, j - 1) + (left[i - 1] != right[j - 1]))

    return least(len(left), len(right))


WORD = st.text("abAB1.", min_size=1, max_size=7)
WORDS = st.lists(WORD, max_size=4)


@settings(deadline=None)
@given(src=WORDS, tgt=WORDS)
def test_equals_the_definition(src: list[str], tgt: list[str]) -> None:
    found = romanised_similarity(src, tgt)
    assert found.shape == (len(src), len(tgt))
    for i, left in enumerate(src):
        for j, right in enumerate(tgt):
            a, b = left.lower(), right.lower()
            letters = [sum(c.isalpha() for c in word) for word in (a, b)]
            expected = 0.0
            if min(letters) >= 3:
                expected = 1 - distance(a, b) / max(len(a), len(b))
            elif letters == [0, 0]:
                expected = float(a == b)
            assert found[i, j] == pytest.approx(expected, abs=1e-6)


def test_boost_of_words_is_padded() -> None:
    src, tgt = [["London", "sees", "1987"], []], [["Лондон", "1987"], ["nobody"]]
    boost = romanised_boost(src, tgt, 0.5, 0.2, 4)
    assert boost.shape == (2, 4, 4)
    assert boost.dtype == np.float32
    assert boost[0, 0, 0] == pytest.approx(0.5 * 0.8, abs=1e-6)
    assert boost[0, 2, 1] == pytest.approx(0.5 * 0.8, abs=1e-6)
    assert boost[0, 3].sum() == boost[0, :, 2:].sum() == boost[1].sum() == 0
    assert romanised_boost(src, tgt, 0.5, 0.2, 2).shape == (2, 2, 2)  # words beyond the longest sentence
    assert not romanised_boost(src, tgt, 0.0, 0.2, 4).any()
    floored = romanised_boost([["Moscow"]], [["Москва"]], 1.0, 0.6, 1)
    assert floored[0, 0, 0] == 0  # 0.5 is below the floor


def test_boost_of_subwords_is_that_of_their_words() -> None:
    src, tgt = [["London", "calls"], ["a"]], [["der", "Лондон"], ["Paris", "Paris"]]
    words = np.array([[0, 0, 1, 0], [0, 0, 0, 0], [0, 1, 1, 1], [0, 1, 1, 0]], dtype=np.int32)
    whole, boost = romanised_boost(src, tgt, 1.0, 0.3, 2), romanised_boost(src, tgt, 1.0, 0.3, 4, words)
    assert boost.shape == (2, 4, 4)
    for pair in range(2):
        for i in range(4):
            for j in range(4):
                assert boost[pair, i, j] == whole[pair, words[pair, i], words[pair + 2, j]]
    assert boost[0, :2, 1:].min() == pytest.approx(0.7, abs=1e-6)


@pytest.mark.slow
def test_order_and_threads_do_not_matter(udhr_lines: dict[str, list[str]]) -> None:
    """uroman keeps tables that grow as it works; what a word becomes must not depend on the words before it."""
    words = sorted({word for lines in udhr_lines.values() for line in lines[:3] for word in line.split()})[::3]
    romanise = module.romaniser.__wrapped__()
    one = {word: romanise(word) for word in words}
    again = {word: romanise(word) for word in reversed(words)}
    assert one == again
    found: list[dict[str, str]] = []
    threads = [Thread(target=lambda: found.append({word: romanise(word) for word in words[::5]})) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [{word: one[word] for word in words[::5]}] * 3
    assert sum(map(len, words)) > 1000


@pytest.mark.parametrize("library", ["uroman", "rapidfuzz"])
def test_a_missing_library_is_named(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: object) -> object:
        if name.startswith(library):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", missing)
    monkeypatch.setattr(module, "romaniser", module.romaniser.__wrapped__)
    module._spelling.cache_clear()
    with pytest.raises(MissingExtra, match=rf'{library}, which .*pip install "xrealign\[romanise\]"'):
        romanised_similarity(["Лондон"], ["London"])


@pytest.mark.data
def test_names_of_a_gold_set(data_pack: Path) -> None:
    """Of Japanese in kana and English, the likest pair of words is more often linked in the gold than chance is."""
    from xrealign.align.score import read_gold, words

    path = data_pack / "starter" / "alignments" / "jpn-eng.tsv"
    rows = [line.split("\t") for line in path.read_text("utf-8").splitlines()[:150]]
    hits, chances = [], []
    for (left, right, _), pair in zip(rows, read_gold(path), strict=False):
        alike = romanised_similarity(words(left), words(right))
        i, j = np.unravel_index(alike.argmax(), alike.shape)
        if alike[i, j] >= 0.7 and words(left)[i].isalnum():
            hits.append((int(i), int(j)) in pair.links | pair.possible)
            chances.append(len(pair.links | pair.possible) / alike.size)
    assert len(hits) > 20
    assert np.mean(hits) > 0.6 > 5 * np.mean(chances)
