"""What the stages take from where: candidates, training text, turns."""

from __future__ import annotations

import pytest

from xrealign.collecting import take_turns, training_bitexts
from xrealign.config import load_config
from xrealign.corpus.embedded import cldr_names, held_out, udhr_segments
from xrealign.errors import DataError
from xrealign.language import parse_language
from xrealign.stages import select_candidates, task_languages
from xrealign.types import Bitext, SentencePair


def config(tmp_path, text):
    path = tmp_path / "c.toml"
    path.write_text('name = "x"\n' + text, "utf-8")
    return load_config(path)


def test_embedded_candidates_have_text_of_every_source_and_are_not_the_source(tmp_path):
    both = select_candidates(config(tmp_path, ""))
    one = select_candidates(config(tmp_path, '[corpus]\nsources = ["cldr"]'))
    assert set(both) < set(one)
    assert parse_language("eng") not in both
    for language in both:
        assert language in udhr_segments().texts
        assert language in cldr_names().texts


def test_task_candidates_are_tested_too(tmp_path):
    narrow = config(tmp_path, '[select]\ncandidates = "task"\nk = 1\n[task]\ntargets = ["swh", "tur", "cor"]')
    assert [language.iso for language in select_candidates(narrow)] == ["swh", "tur"]
    assert len(task_languages(narrow)) == 4


def test_another_source_language_works(tmp_path):
    swahili = config(tmp_path, 'source = "swh"')
    assert parse_language("eng") in select_candidates(swahili)
    (sentences, _), (names, _) = training_bitexts(swahili, parse_language("tur"))
    assert sentences.src == names.src == parse_language("swh")
    assert udhr_segments().of(parse_language("swh"))[sentences.pairs[0].id] == sentences.pairs[0].src


def test_nothing_held_out_is_trained_on(tmp_path):
    settings = config(tmp_path, "[corpus]\nheld_out = 0.4")
    for bitext, dropped in training_bitexts(settings, parse_language("tur")):
        table = udhr_segments() if bitext.origin == "udhr-segments" else cldr_names()
        held = held_out(table.ids, 0.4)
        assert held
        assert not {pair.id for pair in bitext} & held
        assert dropped["held out"] > 0


def test_your_own_files_replace_the_embedded_text(tmp_path):
    (tmp_path / "yor.tsv").write_text("a house\tilé kan\nwater\tomi\n", "utf-8")
    (tmp_path / "x.tur.txt").write_text("a house ||| bir ev\n", "utf-8")
    own = config(tmp_path, '[select]\nk = 1\n[corpus.files]\nyor = "yor.tsv"\ntur = "x.tur.txt"')
    assert [language.iso for language in select_candidates(own)] == ["yor", "tur"]
    assert [pair.tgt for pair in training_bitexts(own, parse_language("yor"))[0][0]] == ["ilé kan", "omi"]
    assert [pair.tgt for pair in training_bitexts(own, parse_language("tur"))[0][0]] == ["bir ev"]
    with pytest.raises(DataError, match="no file for fin_Latn"):
        training_bitexts(own, parse_language("fin"))


def test_sources_take_turns():
    languages = parse_language("eng"), parse_language("tur")
    few = Bitext(*languages, tuple(SentencePair(f"s{n}", "a", "b") for n in range(2)), "few")
    many = Bitext(*languages, tuple(SentencePair(f"n{n}", "a", "b") for n in range(5)), "many")
    assert [origin for origin, _ in take_turns([few, many])] == ["few", "many", "few", "many", "many", "many", "many"]
    assert {pair.id for _, pair in take_turns([few, many])} == {p.id for b in (few, many) for p in b}
