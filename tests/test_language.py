"""Languages: every spelling of one language meets in one identity, and nothing else does."""

from __future__ import annotations

import csv
import json
import os
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xrealign.errors import LanguageError
from xrealign.language import (
    Language,
    all_languages,
    codes_of,
    macrolanguage_of,
    notes_on,
    parse_language,
    parse_languages,
    script_names,
)

# METHODS of the published work: 65 candidate languages as its lists write them.
PUBLISHED = (
    "afr",
    "arb",
    "aze",
    "bul",
    "ben",
    "deu",
    "ell",
    "spa",
    "est",
    "eus",
    "fas",
    "fin",
    "fra",
    "guj",
    "heb",
    "hin",
    "hun",
    "ind",
    "ita",
    "jpn",
    "kat",
    "kor",
    "lit",
    "mal",
    "msa",
    "nld",
    "pan",
    "pol",
    "por",
    "ron",
    "rus",
    "tam",
    "tha",
    "tur",
    "ukr",
    "urd",
    "vie",
    "zho",
    "amh",
    "bam",
    "ewe",
    "fon",
    "hau",
    "ibo",
    "kin",
    "lin",
    "lug",
    "luo",
    "mos",
    "nya",
    "gaz",
    "sna",
    "swh",
    "tsn",
    "twi",
    "wol",
    "xho",
    "yor",
    "zul",
    "mya",
    "jav",
    "tgl",
    "tel",
    "mar",
    "kaz",
)

SPELLINGS = [
    ("deu_Latn", "deu de ger German GERMAN deu_Latn de-DE de_DE de-1996 stan1295 de_at"),
    ("zho_Hans", "zho zh zh-CN zh_CN chi cmn zho_Hans zh-Hans cmn_Hans Chinese Mandarin mand1415"),
    ("zho_Hant", "zh-TW zh-Hant zho_Hant zh_tw zh-Hant-TW zh-Hant-HK"),
    ("yue_Hant", "yue zh-HK zh-yue yue_Hant Cantonese yuec1235"),
    ("arb_Arab", "ar ara arb arb_Arab ar_AR stan1318 ar-SA Arabic"),
    ("swh_Latn", "sw swa swh swh_Latn Swahili Kiswahili sw-KE"),
    ("nob_Latn", "no nor nb nob Norwegian nb-NO"),
    ("fas_Arab", "fa fas per pes pes_Arab Persian Farsi"),
    ("prs_Arab", "prs fa-AF Dari prs_Arab"),
    ("heb_Hebr", "he iw heb Hebrew"),
    ("ind_Latn", "id in ind Indonesian"),
    ("yid_Hebr", "yi ji yid ydd"),
    ("jav_Latn", "jv jw jav"),
    ("ron_Latn", "ro ron rum mo mol Romanian"),
    ("msa_Latn", "ms msa may zsm zsm_Latn Malay"),
    ("est_Latn", "et est ekk Estonian"),
    ("aze_Latn", "az aze azj azj_Latn Azerbaijani"),
    ("gaz_Latn", "om orm gaz gaz_Latn Oromo"),
    ("kmr_Latn", "ku kur kmr kmr_Latn Kurmanji"),
    ("quy_Latn", "qu que quy quy_Latn"),
    ("ayr_Latn", "ay aym ayr ayr_Latn Aymara"),
    ("tgl_Latn", "tl fil tgl fil-PH Tagalog Filipino"),
    ("lav_Latn", "lv lav lvs lvs_Latn"),
    ("sqi_Latn", "sq sqi alb als als_Latn"),
    ("pus_Arab", "ps pus pbt_Arab pbu"),
    ("srp_Cyrl", "sr srp srp_Cyrl sr-Cyrl-BA Serbian"),
    ("srp_Latn", "sr-Latn srp_Latn sh hbs sr-ME"),
    ("por_Latn", "pt pt-BR pt_PT por Portuguese"),
    ("gsw_Latn", "gsw de-CH"),
    ("kor_Hang", "ko kor kor_Hang ko-Kore ko_KR"),
    ("jpn_Jpan", "ja jpn jpn_Jpan jp"),
    ("ell_Grek", "el ell gre Greek"),
    ("kat_Geor", "ka kat geo Georgian"),
    ("hin_Latn", "hi_rom hi-Latn hin_Latn"),
    ("uzb_Arab", "uz-AF uzb_Arab"),
    ("twi_Latn", "tw twi Twi"),
    ("aka_Latn", "ak aka Akan"),
    ("nya_Latn", "ny nya Nyanja Chichewa Chewa"),
    ("vro_Latn", "vro fiu-vro Võro"),
    ("kau_Latn", "kr kau knc"),
    ("mya_Mymr", "my mya bur Burmese"),
    ("cat_Latn", "ca ca-ES-valencia Catalan"),
]


@pytest.mark.parametrize(("tag", "spellings"), SPELLINGS, ids=[tag for tag, _ in SPELLINGS])
def test_spellings_meet_in_one_identity(tag: str, spellings: str) -> None:
    assert {str(parse_language(text)) for text in spellings.split()} == {tag}


def test_names_of_several_words() -> None:
    assert parse_language("Chinese (Traditional)").tag == "zho_Hant"
    assert parse_language("Arabic, Standard").tag == "arb_Arab"
    assert parse_language("Serbian (Latin)").tag == "srp_Latn"
    assert parse_language("norwegian nynorsk").tag == "nno_Latn"


def test_published_codes_are_the_identity() -> None:
    languages = parse_languages(PUBLISHED)
    assert tuple(language.iso for language in languages) == PUBLISHED
    assert len(set(languages)) == 65
    assert all(language.glottocode and language.name for language in languages)
    assert {language.iso for language in languages if language.family is None} == {"eus"}  # the one isolate


def test_attributes() -> None:
    german = parse_language("de")
    assert (german.iso, german.script, german.name) == ("deu", "Latn", "German")
    assert (german.glottocode, german.family) == ("stan1295", "Indo-European")
    assert german == Language("deu_Latn")
    assert hash(german) == hash(Language("deu_Latn"))
    assert parse_language("zh-TW").name == "Chinese (Traditional)"
    assert codes_of(parse_language("sw"))[0] == "swh"
    assert {"sw", "swa"} <= set(codes_of(parse_language("sw")))
    assert macrolanguage_of(parse_language("id")) == "msa"
    assert macrolanguage_of(german) is None


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("Swahilli", "Swahili"),
        ("germn", "German"),
        ("portugese", "Portuguese"),
        ("stan1296", "German"),
        ("gre_Latin", ""),
    ],
)
def test_unknown_ones_name_the_nearest(text: str, hint: str) -> None:
    with pytest.raises(LanguageError, match=f"unknown language '{text}'.*{hint}"):
        parse_language(text)


@pytest.mark.parametrize("text", ["", "und", "mul", "deu_Xxyz", "deu-Latn-zzzzzz", "de de"])
def test_refused(text: str) -> None:
    with pytest.raises(LanguageError):
        parse_language(text)


def test_two_spellings_in_one_list_are_both_named() -> None:
    with pytest.raises(LanguageError, match=r"German \(deu_Latn\) is listed as 'de' and as 'deu'"):
        parse_languages(["de", "fra", "deu"])
    with pytest.raises(LanguageError, match="'ara' and as 'arb'"):
        parse_languages(["ara", "arb"])
    with pytest.raises(LanguageError, match="listed twice"):
        parse_languages(["fra", "fra"])


def test_macrolanguage_beside_member_is_allowed_with_a_note() -> None:
    languages = parse_languages(["msa", "ind", "deu"])
    assert notes_on(languages) == ["ind (Indonesian) is a member of the macrolanguage msa (Malay)"]
    assert notes_on(parse_languages(["zh", "zh-TW"])) == ["Chinese is listed in 2 scripts: zho_Hans, zho_Hant"]
    assert notes_on(parse_languages(["deu", "fra"])) == []


def test_table_is_sound() -> None:
    languages = all_languages()
    assert len(languages) > 7900
    assert languages == sorted(languages)
    assert len(set(languages)) == len(languages)
    assert all(language.script in script_names() for language in languages)
    for language in languages:
        assert parse_language(language.tag) == language
        assert all(parse_language(code) == language for code in codes_of(language))


@given(st.sampled_from(all_languages()), st.sampled_from(sorted(script_names())))
def test_tags_are_read_back(language: Language, script: str) -> None:
    asked = {"Kore": "Hang", "Hrkt": "Jpan", "Aran": "Arab"}.get(script, script)
    assert parse_language(f"{language.iso}_{script}").tag == f"{language.iso}_{asked}"
    assert parse_language(f" {language.iso.upper()}-{script.lower()} ").tag == f"{language.iso}_{asked}"


def test_every_language_of_the_intents_data() -> None:
    folder = files("home_assistant_intents") / "data"
    codes = sorted(entry.name.removesuffix(".json") for entry in folder.iterdir() if entry.name.endswith(".json"))
    tags = {code: str(parse_language(code)) for code in codes}
    assert len(codes) >= 65
    # Two national varieties of Portuguese are one language; everything else is apart.
    assert len(set(tags.values())) == len(codes) - 1
    assert (tags["zh-HK"], tags["de-CH"], tags["nb"]) == ("yue_Hant", "gsw_Latn", "nob_Latn")
    assert json.loads((folder / "zh-HK.json").read_text(encoding="utf-8"))["language"] == "zh-HK"


@pytest.mark.data
def test_languages_of_the_data_pack() -> None:
    root = os.environ.get("XREALIGN_DATA")
    if not root:
        pytest.skip("XREALIGN_DATA is not set: the data pack's languages are not checked")
    with (Path(root) / "starter" / "languages.tsv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    parse_languages(row["lang"] for row in rows)
    for row in rows:
        language = parse_language(row["lang"])
        assert language.script in row["script"], row
        if row["glottocode"] != "nan" and row["lang"] not in ("nah", "oto"):
            assert language.glottocode == row["glottocode"], row
            assert language.family == (row["family"] or None), row
    with (Path(root) / "registry" / "udhr" / "languages.tsv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if row["iso639_3"] != "und":
                parse_language(row["iso639_3"])
