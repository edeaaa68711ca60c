"""Words before any tokenizer sees them: hand-worked sentences in many scripts, and what must hold of any text."""

from __future__ import annotations

import unicodedata

import icu4py
import numpy as np
import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st

from xrealign.corpus.embedded import udhr_segments
from xrealign.language import parse_language
from xrealign.segment import (
    NO_RULE,
    find_spans,
    rule_of,
    segmentation_name,
    spans_by_blanks,
    spans_by_icu,
    spans_of_words,
)
from xrealign.textio import nfc

RULES = pytest.mark.parametrize("rule", [spans_by_blanks, spans_by_icu])
# Letters, marks, joiners and dividers of the scripts whose words are easily cut in the wrong place, and what may stand
# beside them; and any character at all.
DELICATE = (
    "aé1٣५๑一々〇とッーﾞบ่ำๆວ່ខ្្មမြ္မ်ကြकि्षரம்ഴന്‍ශ්‍රیهאב״ב׳\"'’‘-‐‑.,:…،。、「」|_·՞Ի༌་ཀྐ፡ሰ "
    "\u200b\u200c\u200d\u2060\u00ad\ufeff\u0301\u3099\ufe0f\u20e3\U0001f1e9\U0001f44b\U0001f3fd\U00020bb7\U000e0100"
)
TEXTS = st.text(st.one_of(st.sampled_from(DELICATE), st.characters(exclude_categories=["Cs"])), max_size=30).map(nfc)


def split(text, rule=spans_by_blanks):
    return [text[a:b] for a, b in rule(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("a \ue000\U0010ffff", ["a", "\ue000", "\U0010ffff"]),  # private and not yet known characters are seen
        (" \t\u00a0\u3000\u200b\ufeff\u200e", []),
        ("All human beings are born free.", ["All", "human", "beings", "are", "born", "free", "."]),
        ("Don’t l'homme so'z koʼra", ["Don’t", "l'homme", "so'z", "koʼra"]),
        ("o‘zbek oʻzbek", ["o‘zbek", "oʻzbek"]),  # what is typed for Uzbek's U+02BB
        ("'quoted' rock-'n'-roll -", ["'", "quoted", "'", "rock", "-", "'", "n", "'", "-", "roll", "-"]),
        ("'n man in 't huis, ’s avonds", ["'n", "man", "in", "'t", "huis", ",", "’s", "avonds"]),
        ("the dog 's 'no' 'n'", ["the", "dog", "'s", "'", "no", "'", "'", "n", "'"]),
        ("vis-à-vis col·legi x‑y", ["vis-à-vis", "col·legi", "x‑y"]),
        ("3,5 % 1.000,50 10:30 1,2,", ["3,5", "%", "1.000,50", "10:30", "1,2", ","]),
        ("٣٫٥ a.b www.x", ["٣٫٥", "a", ".", "b", "www", ".", "x"]),
        ("Well ... no.. .", ["Well", "...", "no", "..", "."]),
        ("snake_case a‐b x²", ["snake_case", "a‐b", "x²"]),
        ("Donau\u00addampf a\u2060b \u00adc", ["Donau\u00addampf", "a\u2060b", "c"]),
        # vowel signs and virama are marks: they stay with their letters
        ("सभी मनुष्यों को गौरव", ["सभी", "मनुष्यों", "को", "गौरव"]),
        ("மனிதப் பிறவியினர் சகலரும்.", ["மனிதப்", "பிறவியினர்", "சகலரும்", "."]),
        ("يولد جميع الناس، أحرارًا", ["يولد", "جميع", "الناس", "،", "أحرارًا"]),
        ("בְּרֵאשִׁית בָּרָא", ["בְּרֵאשִׁית", "בָּרָא"]),
        # joiners: Persian plural and prefix, Sinhala conjunct, Malayalam chillu in the old spelling, Bengali ya-phalaa
        ("می\u200cخواهم کتاب\u200cها\u200c", ["می\u200cخواهم", "کتاب\u200cها"]),
        ("ශ්\u200dරී ලංකා", ["ශ්\u200dරී", "ලංකා"]),
        ("അവന്\u200d പറഞ്ഞു", ["അവന്\u200d", "പറഞ്ഞു"]),
        ("র\u200d্যাব", ["র\u200d্যাব"]),
        # Hebrew acronyms and abbreviations, with their own signs and with those that are typed
        ("צה״ל צה\"ל ג׳ירפה וכו׳ ג'ירפה", ["צה״ל", 'צה"ל', "ג׳ירפה", "וכו׳", "ג'ירפה"]),
        ('"שלום" אמר', ['"', "שלום", '"', "אמר"]),
        ("Ինչո՞ւ չէ՞։", ["Ինչո՞ւ", "չէ՞", "։"]),
        ("ህዝቦች፡ነጻ።", ["ህዝቦች", "ነጻ", "።"]),
        ("བོད་སྐད་ཀྱི་ཡིག་ཆ།", ["བོད", "སྐད", "ཀྱི", "ཡིག", "ཆ", "།"]),
        ("hi👋🏽!🇩🇪👨‍👩‍👧 ❤️ 1️⃣ ≠̃", ["hi", "👋🏽", "!", "🇩🇪", "👨‍👩‍👧", "❤️", "1️⃣", "≠̃"]),
    ],
)
def test_words_by_hand(text, expected):
    assert split(nfc(text)) == [nfc(word) for word in expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("No complex script, 3.5 €", ["No", "complex", "script", ",", "3.5", "€"]),
        ("ฉันมีiPhone15เครื่อง", ["ฉัน", "มี", "iPhone15", "เครื่อง"]),
        ("ราคา๑๒๓บาท 5,000.50บาท", ["ราคา", "๑๒๓", "บาท", "5,000.50", "บาท"]),
        ("ตา\u200bกลม ตาก\u200bลม", ["ตา", "กลม", "ตาก", "ลม"]),  # the zero-width space decides
        ("我用e-mail发了邮件。", ["我", "用", "e-mail", "发", "了", "邮件", "。"]),
        ("“不是吗？”他说：2024年5月", ["“", "不是", "吗", "？", "”", "他", "说", "：", "2024", "年", "5", "月"]),
        ("北京·上海 AT&T", ["北京", "·", "上海", "AT", "&", "T"]),
        ("コンピューターを2台買った", ["コンピューター", "を", "2", "台", "買", "っ", "た"]),
        ("𠮷野家と😀𠀀に行く", ["𠮷", "野家", "と", "😀", "𠀀", "に", "行く"]),  # beyond the first plane
        ("ខ្ញុំទៅផ្សារ។", ["ខ្ញុំ", "ទៅ", "ផ្សារ", "។"]),
        ("ຂ້ອຍໄປຕະຫຼາດ", ["ຂ້ອຍ", "ໄປ", "ຕະຫຼາດ"]),
        ("သူသွားသည်။", ["သူ", "သွား", "သည်", "။"]),
    ],
)
def test_words_by_dictionary(text, expected):
    assert split(text, spans_by_icu) == expected


@RULES
@given(TEXTS)
@example("ก็1่")
@example("a\u3099あ")
@example("က\u1039\u200dက")
def test_words_are_in_order_apart_and_hold_all_that_is_seen(rule, text):
    rows = rule(text)
    assert rows.shape == (len(rows), 2)
    assert rows.dtype == np.int32
    flat = rows.reshape(-1).tolist()
    assert flat == sorted(flat)
    assert all(a < b for a, b in rows)
    outside = set(range(len(text))) - {i for a, b in rows.tolist() for i in range(a, b)}
    assert all(text[i].isspace() or text[i] in "፡་༌" or regex.match(r"[\p{Z}\p{Cc}\p{Cf}]", text[i]) for i in outside)


@RULES
@given(TEXTS)
def test_no_word_is_blank_or_begins_with_another_ones_mark(rule, text):
    rows = rule(text).tolist()
    inside = {i for a, b in rows for i in range(a, b)}
    for start, end in rows:
        assert regex.search(r"[^\s\p{Z}\p{Cc}\p{Cf}]", text[start:end])
        assert not any(c.isspace() for c in text[start:end])
        if regex.match(r"\p{M}", text[start]):  # nothing but a blank or a divider to stand on
            assert start - 1 not in inside


@RULES
@given(TEXTS)
def test_words_are_made_of_whole_clusters(rule, text):
    """No grapheme cluster of letters and marks is in two words; digits and joiners apart, which \\X takes further."""
    starts = {start for start, _ in rule(text).tolist()}
    for match in regex.finditer(r"[\p{L}--\p{Script=Hang}]\p{M}+", text, flags=regex.V1):
        assert not starts & set(range(match.start() + 1, match.end()))


def test_marks_stay_with_their_letters_in_real_text():
    """All of the Universal Declaration, in every language and script there is."""
    words = 0
    for language, lines in udhr_segments().texts.items():
        if language.script in NO_RULE:
            continue
        for text in lines.values():
            for start, end in find_spans(text, language).tolist():
                words += 1
                assert not unicodedata.category(text[start]).startswith("M") or start == 0 or text[start - 1] == " "
                assert text[start:end].strip(" \u200b") == text[start:end]
    assert words > 100_000


def test_every_language_has_the_rule_of_its_script():
    rules = {"deu": "blanks", "kor": "blanks", "vie": "blanks", "bod": "blanks", "amh": "blanks", "zho": "icu",
             "zho_Hant": "icu", "yue": "icu", "jpn": "icu", "tha": "icu", "lao": "icu", "khm": "icu", "mya": "icu",
             "khb_Talu": "none", "nod_Lana": "none"}  # fmt: skip
    assert {code: rule_of(parse_language(code)) for code in rules} == rules
    assert segmentation_name(parse_language("tha")) == f"icu {icu4py.icu_version}"
    assert segmentation_name(parse_language("deu")) == "blanks"
    assert segmentation_name(parse_language("khb_Talu")) == "subwords"
    with pytest.raises(ValueError, match="no rule for words in khb_Talu"):
        find_spans("ᦅᧄ", parse_language("khb_Talu"))


def test_chinese_words_are_more_than_characters():
    """What a segmenter is for: most characters of running Chinese text do not stand alone."""
    text = "".join(udhr_segments().of(parse_language("zho")).values())
    lengths = [b - a for a, b in spans_by_icu(text)]
    assert 1.3 < np.mean(lengths) < 2.0


@given(st.lists(st.text("abcé的", min_size=1, max_size=4), max_size=6))
def test_words_already_split_keep_their_places(given_words):
    text, rows = spans_of_words(given_words)
    assert text == " ".join(given_words)
    assert rows.shape == (len(given_words), 2)
    assert [text[a:b] for a, b in rows] == given_words
