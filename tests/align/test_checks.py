"""Whether a sentence is in the script of its language: cases by hand, and real text of a hundred languages."""

from __future__ import annotations

from pathlib import Path

import pytest

from xrealign.align.checks import wrong_script
from xrealign.corpus.embedded import udhr_segments
from xrealign.errors import LanguageError
from xrealign.language import parse_language, script_names


@pytest.mark.parametrize(
    ("text", "code", "told"),
    [
        ("Hello world", "rus", "10 of 10 letters are Latin, expected Cyrillic (rus_Cyrl); if the text is right, decl"),
        ("hello", "jpn", "5 of 5 letters are Latin, expected Japanese (jpn_Jpan)"),
        ("привет мир", "deu", "9 of 9 letters are Cyrillic, expected Latin (deu_Latn)"),
        ("Ovo je dobra rečenica", "srp", "declare srp_Latn"),
        ("Ово је добра реченица", "srp_Latn", "declare srp_Cyrl"),
        ("これは日本語です", "kor", "5 of 8 letters are Hiragana, expected Hangul"),
        ("한국어 문장", "jpn", "5 of 5 letters are Hangul"),
        ("मानव अधिकार", "urd", "letters are Devanagari, expected Arabic"),
        ("Ωμέγα и слово", "eng", "11 of 11 letters are Cyrillic, Greek"),
        # at least five letters, more than half of them
        ("дом ab", "eng", "3 of 5 letters are Cyrillic"),
        ("дом a", "eng", ""),
        ("дом abc", "eng", ""),
        # names, acronyms and terms
        ("Barack Obama", "zho", ""),
        ("BBC, CNN, NBC & WHO", "rus", ""),
        ("iPhone 15 Pro 发布", "zho", ""),
        ("the iPhone of a friend", "zho", "18 of 18 letters are Latin"),
        ("我在用 visual studio code 写", "zho", ""),
        # both scripts of a language; marks, digits, signs and letters that scripts share
        ("日本国憲法", "kor", ""),
        ("日本国憲法", "jpn", ""),
        ("ㄅㄆㄇㄈㄉ", "zho_Hant", ""),
        ("ʼʼʼʼʼʼʼʼ 123 ... ー", "rus", ""),
        ("12345 67890 !!!", "ara", ""),
        ("ẹ̀kọ́ wà lórí", "yor", ""),
        ("", "deu", ""),
        ("whatever это", "eng_Zzzz", ""),
    ],
)  # fmt: skip
def test_by_hand(text: str, code: str, told: str) -> None:
    found = wrong_script(text, parse_language(code))
    assert (told in found) if told else found == ""


def test_every_script_is_checked_or_left_alone() -> None:
    """Cyrillic is wrong in every script that Unicode knows, but its own; scripts it does not know are not checked."""
    unchecked = set()
    for script in script_names():
        try:
            language = parse_language(f"eng_{script}")
        except LanguageError:
            continue
        if not wrong_script("предложение", language):
            unchecked.add(script)
    assert {"Cyrl", "Cyrs", "Zzzz", "Zxxx", "Zyyy"} <= unchecked
    assert not unchecked & {
        "Latn",
        "Arab",
        "Aran",
        "Hans",
        "Hant",
        "Jpan",
        "Hang",
        "Deva",
        "Ethi",
        "Tibt",
        "Nkoo",
        "Syrj",
    }


def test_the_declaration_of_human_rights_is_in_its_scripts() -> None:
    texts = udhr_segments().texts
    wrong = [
        (language.tag, text)
        for language, lines in texts.items()
        for text in lines.values()
        if wrong_script(text, language)
    ]
    assert wrong == []


def test_and_in_no_others() -> None:
    """A language's text declared as one of another script: nearly every sentence is told."""
    texts = {language.script: lines for language, lines in udhr_segments().texts.items()}
    scripts = ("Latn", "Cyrl", "Arab", "Deva", "Hans", "Jpan", "Hang", "Thai", "Ethi", "Grek")
    for own in scripts:
        for other in scripts:
            if own == other or (own == "Hans" and other in ("Jpan", "Hang")):  # whose letters theirs are too
                continue
            language = parse_language(f"eng_{other}")
            found = [bool(wrong_script(text, language)) for text in texts[own].values()]
            few = own == "Jpan" and other in ("Hans", "Hang")  # many a sentence is half in Chinese characters
            assert sum(found) >= (0.6 if few else 0.9) * len(found), (own, other)


@pytest.mark.data
def test_news_in_a_hundred_languages(data_pack: Path) -> None:
    """No sentence of NTREX is told, though some hold more Latin letters than others (Serbian there is in Latin)."""
    seen = 0
    for path in sorted((data_pack / "starter" / "parallel" / "ntrex").glob("???.txt")):
        language = parse_language("srp_Latn" if path.stem == "srp" else path.stem)
        for text in path.read_text("utf-8").split("\n"):
            assert wrong_script(text, language) == "", text
            seen += 1
    assert seen > 30_000
