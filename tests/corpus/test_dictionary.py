"""Dictionaries from files and from the embedded concepts."""

from __future__ import annotations

import os
from itertools import product
from pathlib import Path

import pytest

from xrealign.corpus.dictionary import (
    LEAST_DICE,
    concept_dictionary,
    is_one_word,
    keyword_pairs,
    read_dictionary,
    read_phrase_pairs,
)
from xrealign.corpus.embedded import KEYWORD_SEPARATOR, cldr_keywords, cldr_names, held_out
from xrealign.errors import DataError
from xrealign.language import parse_language

ENG, DEU, FIN, THA, QUC = (parse_language(code) for code in ("eng", "deu", "fin", "tha", "quc"))


@pytest.mark.parametrize(
    ("text", "code", "one"),
    [
        ("dog", "eng", True),
        ("well-known", "eng", True),
        ("don't", "eng", True),
        ("a lot", "eng", False),
        ("dog!", "eng", False),
        ("", "eng", False),
        ("สุนัข", "tha", True),
        ("สุนัข แมว", "tha", False),
    ],
)
def test_one_word(text: str, code: str, one: bool) -> None:
    assert is_one_word(text, parse_language(code)) is one


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "d.tsv"
    path.write_text("Dog\tHund\ndog\tKöter\ndog\thund\na lot\tviel\nOK\tok\nhound\tHund\n", "utf-8")
    dictionary = read_dictionary(path, ENG, DEU)
    assert dictionary.translations == {"dog": ("hund", "köter"), "hound": ("hund",)}
    assert dictionary.dropped == {"repeated": 1, "more than one word": 1, "both sides identical": 1}
    assert len(dictionary) == 3
    back = dictionary.flipped()
    assert back.translations == {"hund": ("dog", "hound"), "köter": ("dog",)}
    assert (back.src, back.tgt) == (DEU, ENG)
    assert back.flipped().translations == dictionary.translations


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("dog", "1 columns, expected 2"),
        ("a\tb\tc", "3 columns"),
        ("\tHund", "word is empty"),
        ("dog\t ", "translation is"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "d.tsv"
    path.write_text(f"cat\tKatze\n{line}\n", "utf-8")
    with pytest.raises(DataError, match=rf"d\.tsv:2: .*{words}"):
        read_dictionary(path, ENG, DEU)


def test_malformed_lines_up_to_a_cap(tmp_path: Path) -> None:
    path = tmp_path / "d.tsv"
    path.write_text("cat\tKatze\ndog\nsun\tSonne\n\tHund\nmoon\tMond\n", "utf-8")
    dictionary = read_dictionary(path, ENG, DEU, most_malformed=2)
    assert dictionary.translations == {"cat": ("katze",), "moon": ("mond",), "sun": ("sonne",)}
    assert dictionary.dropped == {"malformed line": 2}
    with pytest.raises(DataError, match=r"d\.tsv:4: the word is empty; .*\(1 malformed lines were skipped before it\)"):
        read_dictionary(path, ENG, DEU, most_malformed=1)
    with pytest.raises(DataError, match=r"d\.tsv:2: 1 columns, expected 2: word, tab, translation$"):
        read_dictionary(path, ENG, DEU)


def test_a_file_without_single_words(tmp_path: Path) -> None:
    path = tmp_path / "d.tsv"
    path.write_text("a lot\tviel mehr\n", "utf-8")
    with pytest.raises(DataError, match="no pair of single words"):
        read_dictionary(path, ENG, DEU)


def test_known_words_of_the_concept_dictionary() -> None:
    translations = concept_dictionary(ENG, DEU).translations
    assert "flasche" in translations["bottle"]
    assert "gorilla" not in translations.get("gorilla", ())  # identical on both sides
    assert "suppe" in translations["soup"]


def test_keyword_pairs_against_brute_force() -> None:
    def sets(language) -> dict[str, set[str]]:  # type: ignore[no-untyped-def]
        found: dict[str, set[str]] = {}
        for concept, joined in cldr_keywords().of(language).items():
            for word in joined.split(KEYWORD_SEPARATOR):
                found.setdefault(word.casefold(), set()).add(concept)
        return found

    left, right = sets(ENG), sets(QUC)
    dice = {
        (a, b): 2 * len(A & B) / (len(A) + len(B))
        for (a, A), (b, B) in product(left.items(), right.items())
        if len(A & B) >= 2
    }
    pairs = []
    for pair, score in dice.items():
        rivals = [s for p, s in dice.items() if p != pair and (p[0] == pair[0] or p[1] == pair[1])]
        if score >= LEAST_DICE and all(s < score for s in rivals):
            pairs.append(pair)
    assert keyword_pairs(ENG, QUC) == sorted(pairs)
    assert len(pairs) > 100


def test_held_out_concepts_leave_no_trace() -> None:
    """A dictionary that may not use the held-out concepts equals one made of a world without them."""
    held = held_out(cldr_names().ids, 0.5)
    whole, part = concept_dictionary(ENG, FIN), concept_dictionary(ENG, FIN, held)
    assert part.dropped["held out"] > 700
    assert len(part) < len(whole)
    kept = [i for i in cldr_names().ids if i not in held]
    allowed = {
        word.casefold()
        for table in (cldr_names(), cldr_keywords())
        for i in kept
        for word in table.of(FIN)[i].split(KEYWORD_SEPARATOR)
    }
    assert all(t in allowed for words in part.translations.values() for t in words)


def test_a_language_without_concepts() -> None:
    with pytest.raises(DataError, match="cldr-names has no text in ewe_Latn"):
        concept_dictionary(ENG, parse_language("ewe"))


@pytest.mark.data
def test_the_data_packs_dictionaries_are_read() -> None:
    if "XREALIGN_DATA" not in os.environ:
        pytest.skip("XREALIGN_DATA is not set: no data pack to read dictionaries from")
    files = sorted((Path(os.environ["XREALIGN_DATA"]) / "starter" / "dictionaries").glob("*/eng-*.tsv"))
    assert len(files) == 41
    agreeing = known = 0
    for path in files:
        language = parse_language(path.name.split("-")[1].split(".")[0])
        dictionary = read_dictionary(path, ENG, language)
        lines = len(path.read_text("utf-8").splitlines())
        assert len(dictionary) + sum(dictionary.dropped.values()) == lines
        if language in cldr_names().texts:
            concepts = concept_dictionary(ENG, language).translations
            for word in concepts.keys() & dictionary.translations.keys():
                known += 1
                agreeing += bool(set(concepts[word]) & set(dictionary.translations[word]))
    # other people's dictionaries list few of a word's translations, so this is a floor, not a precision
    assert known > 1500
    assert agreeing / known > 0.4


@pytest.mark.parametrize("read", [lambda path, **more: read_dictionary(path, ENG, DEU, **more), read_phrase_pairs])
def test_malformed_lines_are_skipped_leniently_up_to_a_tenth(tmp_path, read):
    words = [f"{a}{b}" for a in "abcdefghijklmnopqrstuvwxyz" for b in "abcdefghijklmnopqrstuvwxyz"]
    good = "".join(f"x{word}\ty{word}\n" for word in words)
    path = tmp_path / "d.tsv"
    path.write_bytes(good.encode() + b"one\n\xff\t\xff\na\0\tb\nc\t\n\td\n" + b"e" * 100_000 + b"\tf\n" + good.encode())
    found = read(path, lenient=True)
    assert found.dropped == {"malformed line": 6, "repeated": len(words)}
    with pytest.raises(DataError, match=r"d\.tsv:677: 1 columns, expected 2: word, tab, translation$"):
        read(path)
    path.write_text(good + "one\n" * 101, "utf-8")
    with pytest.raises(
        DataError, match=r"d\.tsv: 101 of 777 items are at fault.*\(101 malformed line\), first on line 677"
    ):
        read(path, lenient=True)
