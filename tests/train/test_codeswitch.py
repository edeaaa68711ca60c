"""Code-switched sentences: nothing but the chosen units changes, spans and links stay right, shares are as asked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xrealign.align.aligned import AlignedTexts
from xrealign.corpus.dictionary import Dictionary
from xrealign.errors import ConfigError, DataError
from xrealign.language import parse_language
from xrealign.segment import spans_by_blanks
from xrealign.train.codeswitch import (
    SwitchSettings,
    Unit,
    dictionary_units,
    link_units,
    listed_units,
    name_spans,
    phrase_units,
    span_units,
    switch_sentences,
    switch_words,
    switched_links,
)
from xrealign.train.switching import switch_sources

ALL = SwitchSettings(probability=1.0)


def draw(seed=0):
    return np.random.default_rng(seed)


def dictionary(tgt, **entries):
    translations = {word: tuple(some.split()) for word, some in entries.items()}
    return Dictionary(parse_language("eng"), parse_language(tgt), translations, "test", {})


@st.composite
def sentences_with_units(draw_):
    words = draw_(st.lists(st.text("abcé大", min_size=1, max_size=4), min_size=1, max_size=12))
    units, at = [], 0
    while at < len(words):
        size = draw_(st.integers(1, 3))
        if draw_(st.booleans()) and at + size <= len(words):
            tags = draw_(st.sets(st.sampled_from(["deu_Latn", "swh_Latn", "tur_Latn"]), min_size=1))
            new = st.lists(st.text("XYZ", min_size=1, max_size=3), min_size=1, max_size=3).map(tuple)
            units.append(Unit(at, at + size, {tag: draw_(st.lists(new, min_size=1, max_size=2)) for tag in tags}))
        at += size
    return words, units


@settings(max_examples=150, deadline=None)
@given(made=sentences_with_units(), probability=st.floats(0, 1), one=st.booleans(), seed=st.integers(0, 2**32))
def test_only_chosen_units_change(made, probability, one, seed):
    words, units = made
    asked = SwitchSettings(probability, one_language=one)
    done = switch_words(words, units, asked, draw(seed))
    again = switch_words(words, units, asked, draw(seed))
    assert (again.words, again.languages) == (done.words, done.languages)
    rebuilt, switched, tags = [], 0, set()
    inside = {at: unit for unit in units for at in range(unit.start, unit.end)}
    at = 0
    while at < len(words):
        first, last = done.places[at].tolist()
        new, tag = done.words[first:last], done.languages[first]
        if tag:
            unit = inside[at]
            assert at == unit.start
            assert tuple(new) in list(unit.translations[tag])
            assert set(done.languages[first:last]) == {tag}
            assert (done.places[unit.start : unit.end] == [first, last]).all()
            switched, at = switched + 1, unit.end
            tags.add(tag)
        else:
            assert new == [words[at]]
            at += 1
        rebuilt += new
    assert rebuilt == done.words
    assert done.switched == switched
    assert done.units == len(units)
    assert len(tags) <= 1 or not one
    text, spans = done.text_and_spans()
    assert [text[a:b] for a, b in spans.tolist()] == done.words


@settings(max_examples=50, deadline=None)
@given(made=sentences_with_units(), seed=st.integers(0, 2**32))
def test_nothing_and_everything(made, seed):
    words, units = made
    none = switch_words(words, units, SwitchSettings(0.0), draw(seed))
    assert none.words == words
    assert none.switched == 0
    assert none.places.tolist() == [[i, i + 1] for i in range(len(words))]
    assert switch_words(words, units, SwitchSettings(1.0, sentences=0.0), draw(seed)).words == words
    every = switch_words(words, units, ALL, draw(seed))
    assert every.switched == len(units)


def test_shares_are_as_asked():
    units = [Unit(i, i + 1, {"deu_Latn": [("ja",), ("doch",)], "tur_Latn": [("evet",)]}) for i in range(10)]
    sentences = [[f"w{n}_{i}" for i in range(10)] for n in range(2000)]
    made, counts = switch_sentences(sentences, [units] * 2000, SwitchSettings(0.3, 0.5), 1)
    assert counts["units"] == counts["words"] == 20000
    # Five standard deviations of a mean over sentences: half have none, the others about three of ten.
    assert abs(counts["switched units"] / 20000 - 0.15) < 5 * 0.167 / 2000**0.5
    assert abs(counts["sentences with a switch"] / 2000 - 0.5 * (1 - 0.7**10)) < 5 * 0.5 / 2000**0.5
    assert counts["switched units"] == sum(done.switched for done in made)
    new = [(word, tag) for done in made for word, tag in zip(done.words, done.languages, strict=True) if tag]
    assert abs(sum(tag == "tur_Latn" for _, tag in new) / len(new) - 0.5) < 0.05  # languages with equal chances
    assert abs(sum(word == "ja" for word, _ in new) / len(new) - 0.25) < 0.05


def test_draws_depend_on_seed_name_and_sentence_alone():
    units = [Unit(i, i + 1, {"deu_Latn": [("neu",)]}) for i in range(8)]
    one, two = [f"a{i}" for i in range(8)], [f"b{i}" for i in range(8)]
    asked = SwitchSettings(0.5)
    both, _ = switch_sentences([one, two], [units] * 2, asked, 3)
    turned, _ = switch_sentences([two, one], [units] * 2, asked, 3)
    assert both[0].words == turned[1].words
    assert both[1].words == turned[0].words
    others = {tuple(switch_sentences([one], [units], asked, 3, "epoch", n)[0][0].words) for n in range(6)}
    assert len(others) > 1
    assert switch_sentences([one], [units], asked, 4)[0][0].words != both[0].words


def test_words_of_dictionaries():
    found = dictionary_units(
        ["The", "DOG", "sees", "Dogs"], [dictionary("deu", dog="hund", the="der die"), dictionary("tur", dog="köpek")]
    )
    assert found == [
        Unit(0, 1, {"deu_Latn": [("Der",), ("Die",)]}),
        Unit(1, 2, {"deu_Latn": [("HUND",)], "tur_Latn": [("KÖPEK",)]}),
    ]
    done = switch_words(["The", "DOG", "sees", "Dogs"], found, ALL, draw())
    assert done.words[2:] == ["sees", "Dogs"]
    assert done.words[1] in ("HUND", "KÖPEK")


def test_groups_of_links():
    src, tgt = ["he", "gave", "up", "the", "race", "yesterday"], ["gestern", "gab", "er", "das", "Rennen", "auf"]
    # "gave up" is linked to "gab … auf", which has a gap; "the race" and "das Rennen" hold together.
    links = np.array([[0, 2], [1, 1], [2, 1], [1, 5], [3, 3], [4, 4], [3, 4], [5, 0]])
    units, counts = link_units(src, tgt, links, "deu_Latn")
    assert units == [
        Unit(0, 1, {"deu_Latn": [("er",)]}),
        Unit(3, 5, {"deu_Latn": [("das", "Rennen")]}),
        Unit(5, 6, {"deu_Latn": [("gestern",)]}),
    ]
    assert counts == {"groups with a gap": 1, "groups": 3, "words without links": 0}
    done = switch_words(src, units, ALL, draw())
    assert done.words == ["er", "gave", "up", "das", "Rennen", "gestern"]
    assert link_units(["a"], ["b"], np.zeros((0, 2), dtype=np.int32), "deu_Latn") == (
        [],
        {"groups": 0, "words without links": 1},
    )


def test_links_go_along():
    done = switch_words(["a", "b", "c"], [Unit(0, 2, {"deu_Latn": [("x", "y", "z")]})], ALL, draw())
    assert done.places.tolist() == [[0, 3], [0, 3], [3, 4]]
    links = switched_links(np.array([[0, 0], [1, 0], [2, 1]]), done.places)
    assert links.tolist() == [[0, 0], [1, 0], [2, 0], [3, 1]]
    assert links.dtype == np.int32
    assert switched_links(np.zeros((0, 2), dtype=np.int32), done.places).shape == (0, 2)


def test_names_by_case_and_their_links():
    src = ["Yesterday", "Angela", "Merkel", "met", "Macron", "in", "Paris"]
    assert name_spans(src) == [(1, 3), (4, 5), (6, 7)]
    assert name_spans(["Paris"]) == name_spans([]) == []
    assert name_spans(["大", "阪", "で"]) == []
    tgt = ["Dün", "Angela", "Merkel", "Paris'te", "Macron", "ile", "görüştü"]
    links = np.array([[0, 0], [1, 1], [2, 2], [3, 6], [4, 4], [5, 3], [6, 3]])
    units, counts = span_units(src, [*name_spans(src), (3, 4)], tgt, links[:-3], "tur_Latn")
    assert [(u.start, u.end, u.translations["tur_Latn"]) for u in units] == [
        (1, 3, [("Angela", "Merkel")]),
        (3, 4, [("görüştü",)]),
    ]
    assert counts == {"without links": 2, "units": 2}
    _, counts = span_units(src, name_spans(src), tgt, links, "tur_Latn")  # "in" is linked to Paris'te as well
    assert counts == {"linked words belong to others too": 1, "units": 2}


def test_listed_names_the_longest_first():
    listed = {"New York": {"rus_Cyrl": ["Нью-Йорк"], "vie_Latn": ["Niu Oóc"]}, "York": {"rus_Cyrl": ["Йорк"]}}
    units = listed_units(["New", "York", "and", "York"], listed)
    assert [(u.start, u.end) for u in units] == [(0, 2), (3, 4)]
    done = switch_words(["New", "York", "and", "York"], units, SwitchSettings(1.0, one_language=True), draw(1))
    assert done.words in (["Нью-Йорк", "and", "Йорк"], ["Niu", "Oóc", "and", "York"])
    assert listed_units(["a"], {}) == []


def test_impossible_input_is_refused():
    word = {"deu_Latn": [("x",)]}
    for units in ([Unit(0, 2, word), Unit(1, 2, word)], [Unit(1, 3, word)], [Unit(1, 1, word)], [Unit(-1, 1, word)]):
        with pytest.raises(DataError, match="overlaps another or lies outside a sentence of 2 words"):
            switch_words(["a", "b"], units, ALL, draw())
    for empty in ({}, {"deu_Latn": []}, {"deu_Latn": [()]}):
        with pytest.raises(DataError, match=r"\(a\) has an empty translation"):
            switch_words(["a", "b"], [Unit(0, 1, empty)], ALL, draw())
    with pytest.raises(ConfigError, match=r"probability = 1\.5"):
        SwitchSettings(1.5)


LEXICON = {"light": ("taa",), "light bulb": ("balbu ya taa",), "tree": ("mti", "mte")}


def test_phrases_of_a_lexicon_the_longest_first():
    words = ["The", "Light", "bulb", "and", "light", "TREE"]
    units = phrase_units(words, LEXICON, "swh_Latn", 2)
    assert [(u.start, u.end, dict(u.translations)) for u in units] == [
        (1, 3, {"swh_Latn": [("Balbu", "ya", "taa")]}),
        (4, 5, {"swh_Latn": [("taa",)]}),
        (5, 6, {"swh_Latn": [("MTI",), ("MTE",)]}),
    ]
    assert phrase_units(words, {}, "swh_Latn", 0) == []
    assert phrase_units([], LEXICON, "swh_Latn", 2) == []


def bitext_of(src, tgt, links):
    """One pair."""
    spans = [spans_by_blanks(text) for text in (src, tgt)]
    return AlignedTexts(["a"], ["swh_Latn"], [src], [tgt], [spans[0]], [spans[1]], [np.array(links, dtype=np.int32)])


def test_a_bitext_is_switched_by_a_dictionary_linked_or_not():
    pair = bitext_of("see light bulb now", "ona balbu sasa", [(1, 1), (2, 1), (3, 2)])
    made, counts = switch_sources(pair, 1.0, 3, "dictionary", {"swh_Latn": LEXICON})
    assert made.src == ["see balbu ya taa now"]
    assert made.src_spans[0].tolist() == [[0, 3], [4, 9], [10, 12], [13, 16], [17, 20]]
    assert made.links[0].tolist() == [[1, 1], [2, 1], [3, 1], [4, 2]]
    assert counts["units"] == counts["switched units"] == 1
    with pytest.raises(DataError, match="there is none for swh_Latn"):
        switch_sources(pair, 1.0, 3, "dictionary", {"tur_Latn": LEXICON})


def test_a_bitext_is_switched_by_names_as_wholes():
    pair = bitext_of("the New York mayor", "meya wa Nuyoki", [(0, 1), (1, 2), (3, 0)])
    made, counts = switch_sources(pair, 1.0, 3, "names")
    assert made.src == ["the Nuyoki mayor"]
    assert made.links[0].tolist() == [[0, 1], [1, 2], [2, 0]]
    assert counts["switched units"] == 1
    unlinked, counts = switch_sources(bitext_of("the New York", "meya", [(0, 0)]), 1.0, 3, "names")
    assert unlinked.src == ["the New York"]
    assert counts["names: without links"] == 1
    # Linked word by word, only the word that has a link would be replaced.
    assert switch_sources(pair, 1.0, 3)[0].src == ["wa Nuyoki York meya"]


def test_a_configurations_lexicon_is_its_files_or_the_concept_names(tmp_path):
    from xrealign.config import load_config
    from xrealign.corpus.embedded import cldr_names, held_out
    from xrealign.language import parse_language
    from xrealign.linking import switching_lexicon

    path = tmp_path / "c.toml"
    path.write_text('name = "x"\n', "utf-8")
    found = switching_lexicon(load_config(path, []), ["swh_Latn", "swh_Latn"])["swh_Latn"]
    names = cldr_names()
    held = held_out(names.ids, 0.25)
    english, swahili = (names.of(parse_language(code)) for code in ("eng", "swh"))
    assert any(" " in phrase for phrase in found)
    shared = {english[i].casefold() for i in english if i in swahili and i not in held}
    assert found.keys() <= shared
    assert all(phrase not in {o.casefold() for o in some} for phrase, some in found.items())

    (tmp_path / "swh.tsv").write_bytes(b"Light  bulb\ttaa\r\nlight bulb\tbalbu\r\nsame\tSame")
    path.write_text(f'name = "x"\nalign.dictionaries = {{ swh = "{tmp_path / "swh.tsv"}" }}\n', "utf-8")
    config = load_config(path, [])
    assert switching_lexicon(config, ["swh_Latn"]) == {"swh_Latn": {"light bulb": ("balbu", "taa")}}
    with pytest.raises(DataError, match="no file for tur_Latn"):
        switching_lexicon(config, ["tur_Latn"])
