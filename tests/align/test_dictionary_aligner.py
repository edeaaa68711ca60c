"""The dictionary aligner as it is opened from a file: fallbacks by hand, faulty files, the dictionaries of the pack."""

from __future__ import annotations

import builtins
import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xrealign.align.fallbacks import LEMMA_SCORE, PREFIX_SCORE, lemma_fallback, lemmatizer, sharing_prefix
from xrealign.align.lexical import dictionary_links, dictionary_recipe
from xrealign.corpus.dictionary import read_phrase_pairs
from xrealign.errors import ConfigError, DataError, MissingExtra
from xrealign.language import parse_language

ENG, DEU, ZHO, YOR = (parse_language(code) for code in ("eng", "deu", "zho", "yor"))
TABLE = "house\tHaus\nrun\tlaufen\nnation\tNation\ngive up\taufgeben\nthe\tdie\n"


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def linked(path: Path, src: str, tgt: str, **options: object) -> list[tuple[int, int, float]]:
    recipe = dictionary_recipe(path, ENG, DEU, **options)  # type: ignore[arg-type]
    json.dumps(recipe.key, allow_nan=False)
    (found,) = recipe.open().link([src.split()], [tgt.split()]).found
    assert (found.links.dtype, found.scores.dtype) == (np.int32, np.float32)
    assert found.links.shape == (len(found.scores), 2)
    return [(*link, score) for link, score in zip(found.links.tolist(), found.scores.tolist(), strict=True)]


@pytest.mark.parametrize(
    ("src", "tgt", "options", "expected"),
    [
        ("The house", "die haus", {}, [(0, 0, 1.0), (1, 1, 1.0)]),
        ("houses", "Häuser", {}, []),
        ("houses", "Häuser", {"lemma": True}, [(0, 0, LEMMA_SCORE)]),
        ("houses ran", "lief Häuser", {"lemma": True}, [(0, 1, LEMMA_SCORE), (1, 0, LEMMA_SCORE)]),
        ("house houses", "Haus Häuser", {"lemma": True}, [(0, 0, 1.0), (1, 1, LEMMA_SCORE)]),  # only words without hit
        ("house houses", "Haus", {"lemma": True}, [(0, 0, 1.0)]),  # Haus has its hit, houses finds nothing else
        ("houses", "Häuser Hauses", {"lemma": True}, []),  # two words of one lemma
        ("house house houses", "Haus Häuser", {"lemma": True}, [(2, 1, LEMMA_SCORE)]),  # ambiguous words stay out
        ("nations", "nationen", {"prefix": True}, [(0, 0, PREFIX_SCORE)]),  # nation: 6 of 7, 6 of 8
        ("nationalise", "nation", {"prefix": True}, []),  # 6 of 11
        ("nations", "nationen", {"lemma": True, "prefix": True}, [(0, 0, LEMMA_SCORE)]),
        ("hous", "haus", {"prefix": True}, [(0, 0, PREFIX_SCORE)]),  # 4 of 5
        ("hou", "haus", {"prefix": True}, []),  # 3 letters
        ("gave up", "aufgeben", {"lemma": True, "prefix": True}, []),  # phrases have no fallback
        ("houses give up", "aufgeben Häuser", {"lemma": True}, [(0, 1, LEMMA_SCORE), (1, 0, 1.0), (2, 0, 1.0)]),
    ],
)
def test_fallbacks_worked_by_hand(
    tmp_path: Path, src: str, tgt: str, options: dict[str, bool], expected: list[tuple[int, int, float]]
) -> None:
    path = write(tmp_path / "d.tsv", TABLE)
    assert linked(path, src, tgt, **options) == expected


def test_a_dictionary_of_inflected_forms_has_lemmas_too(tmp_path: Path) -> None:
    path = write(tmp_path / "d.tsv", "publishes\tveröffentlicht\n")
    assert linked(path, "publish", "veröffentlichen") == []
    assert linked(path, "publish", "veröffentlichen", lemma=True) == [(0, 0, LEMMA_SCORE)]


WORD = st.text("abc", min_size=1, max_size=12)


@given(word=WORD, known=st.lists(WORD, max_size=30, unique=True))
def test_shared_prefixes_equal_comparing_all_words(word: str, known: list[str]) -> None:
    def shared(other: str) -> int:
        return next(
            (n for n, (a, b) in enumerate(zip(word, other, strict=False)) if a != b), min(len(word), len(other))
        )

    near = {other: shared(other) for other in known}
    fit = {o: n for o, n in near.items() if n >= 4 and 10 * n >= 7 * max(len(word), len(o))}
    longest = max(fit.values(), default=0)
    assert list(sharing_prefix(word, sorted(known))) == sorted(o for o, n in fit.items() if n == longest)


def test_numbers_have_no_kin() -> None:
    assert sharing_prefix("19871", ["19870", "19872"]) == ()


SENTENCE = st.lists(st.sampled_from(["nation", "nations", "nationen", "haus", "hauses", "xyz"]), max_size=6)


@given(src=SENTENCE, tgt=SENTENCE)
def test_fallbacks_only_add(tmp_path_factory: pytest.TempPathFactory, src: list[str], tgt: list[str]) -> None:
    path = write(tmp_path_factory.getbasetemp() / "only_add.tsv", "nation\tnation\nhaus\thaus\nxyz\thauses\n")
    pairs = read_phrase_pairs(path)
    (plain,) = dictionary_links([src], [tgt], {left: [right] for left, right in pairs.pairs})
    found = linked(path, " ".join(src), " ".join(tgt), prefix=True)
    assert {(i, j) for i, j, score in found if score == 1.0} == set(map(tuple, plain.tolist()))


def test_order_and_compression(tmp_path: Path) -> None:
    data = b"Haus\thouse\nlaufen\trun\n"
    (tmp_path / "d.tsv.gz").write_bytes(gzip.compress(data))
    (tmp_path / "d.tsv.xz").write_bytes(lzma.compress(data))
    for name in ("d.tsv.gz", "d.tsv.xz"):
        assert linked(tmp_path / name, "house", "Haus", reverse=True) == [(0, 0, 1.0)]
        assert linked(tmp_path / name, "house", "Haus") == []
    muse = write(tmp_path / "muse.txt", "house haus\nrun laufen\n")
    assert linked(muse, "run", "Laufen") == [(0, 0, 1.0)]


def test_reading_counts_and_keeps(tmp_path: Path) -> None:
    path = write(tmp_path / "d.tsv", "\ufeffDog\tHund\r\ndog\thund\n a  lot \tviel\nOK\tok\n")
    found = read_phrase_pairs(path)
    assert found.pairs == (("Dog", "Hund"), ("a lot", "viel"), ("OK", "ok"))
    assert found.dropped == {"repeated": 1}
    back = read_phrase_pairs(path, reverse=True)
    assert back.pairs == tuple((right, left) for left, right in found.pairs)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\tb\nc\n", r"d\.tsv:2: 1 columns, expected 2: word, tab, translation$"),
        ("a\tb\nc\td\te\n", r"d\.tsv:2: 3 columns"),
        ("a\tb\n\n", r"d\.tsv:2: 1 columns"),
        ("a\tb\nc d\n", r"d\.tsv:2: 1 columns"),
        ("a b\nc d e\n", r"d\.tsv:2: 3 columns, expected 2: word, blank, translation"),
        ("a\t\n", r"d\.tsv:1: the translation is empty"),
        ("a\tb\n\tb\n", r"d\.tsv:2: the word is empty"),
        ("a\tb\nc\0\td\n", r"d\.tsv:2: NUL"),
        ("", r"d\.tsv: no pairs"),
    ],
)
def test_faulty_files(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "d.tsv", text)
    with pytest.raises(DataError, match=message):
        dictionary_recipe(path).open()


def test_what_is_told_before_and_on_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "d.tsv", TABLE + "the\tDie\n")
    with pytest.raises(DataError, match=r"none\.tsv: there is no such dictionary"):
        dictionary_recipe(tmp_path / "none.tsv")
    with pytest.raises(ConfigError, match="needs both languages"):
        dictionary_recipe(path, ENG, None, lemma=True)
    dictionary_recipe(path, ENG, ZHO, lemma=True).open()
    told = capsys.readouterr().err
    assert "d.tsv: 5 entries, 1 of them with several words; 1 dropped: repeated" in told
    assert "simplemma has no lemmas of Chinese" in told
    with pytest.raises(ConfigError, match="no lemmas for either language"):
        dictionary_recipe(path, YOR, ZHO, lemma=True).open()

    real = builtins.__import__

    def missing(name: str, *rest: object) -> object:
        if name.startswith("simplemma"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(MissingExtra, match=r'pip install "xrealign\[lemmas\]"'):
        dictionary_recipe(path, ENG, DEU, lemma=True).open()


def test_the_key_tells_what_decides_the_links(tmp_path: Path) -> None:
    path, other = write(tmp_path / "d.tsv", TABLE), write(tmp_path / "e.tsv", TABLE + "a\tb\n")
    again = write(tmp_path / "copy.tsv", TABLE)
    keys = [
        dictionary_recipe(path).key,
        dictionary_recipe(other).key,
        dictionary_recipe(path, prefix=True).key,
        dictionary_recipe(path, reverse=True).key,
        dictionary_recipe(path, ENG, DEU, lemma=True).key,
        dictionary_recipe(path, ENG, ZHO, lemma=True).key,
    ]
    assert len({json.dumps(key) for key in keys}) == len(keys)
    assert dictionary_recipe(again).key == keys[0] == dictionary_recipe(path, ENG, DEU).key


def test_lemmas_of_every_kind_of_code() -> None:
    assert lemmatizer(parse_language("hrv")) is not None  # simplemma: hbs
    assert lemmatizer(parse_language("srp_Cyrl")) is None
    assert lemmatizer(parse_language("nob")) is not None
    assert lemmatizer(YOR) is None
    english: Callable[[str], object] | None = lemmatizer(ENG)
    assert english is not None
    assert english("Went") == {"go"}
    with pytest.raises(ConfigError):
        lemma_fallback([], None, None)


@pytest.mark.data
def test_every_dictionary_of_the_pack(data_pack: Path) -> None:
    """All are read; a pair of single words of each links itself, unless the dictionary makes it ambiguous."""
    files = sorted((data_pack / "starter" / "dictionaries").rglob("*.tsv"))
    assert len(files) >= 40
    for path in files:
        pairs = read_phrase_pairs(path).pairs
        lines = path.read_text("utf-8").count("\n")
        assert len(pairs) >= 0.9 * lines > 500, path
        linker = dictionary_recipe(path).open()
        src, tgt = [left.split() for left, _ in pairs], [right.split() for _, right in pairs]
        found = linker.link(src, tgt).found
        whole = [len(row.links) == len(left) * len(right) for left, right, row in zip(src, tgt, found, strict=True)]
        assert np.mean(whole) > 0.95, path
