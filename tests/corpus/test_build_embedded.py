"""The build script of the embedded text, on small hand-made input, and what it recorded."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from xrealign.corpus.embedded import DATA

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture(autouse=True)
def _tools_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TOOLS))


HTML = """<!doctype html><html data-code="xyz" data-iso6393="xyz" lang="xyz-Cyrl"><body><h1>Title</h1>
<header><h2>Preamble</h2><p>First
   line</p><p>Second</p></header>
<article data-number="1"><h2>Article 1</h2><p>One &amp; only</p></article>
<article data-number="2"><ol><li><p>Two a</p></li><li><p>Two b</p></li></ol></article></body></html>"""


def test_paragraphs_of_a_declaration() -> None:
    import embedded_udhr

    parser = embedded_udhr.DeclarationParser()
    parser.feed(HTML)
    assert (parser.iso, parser.bcp47) == ("xyz", "xyz-Cyrl")
    assert parser.parts == {"pre": ["First line", "Second"], "1": ["One & only"], "2": ["Two a", "Two b"]}


ENGLISH = {"pre": ["p" * 100, "q" * 20], **{str(n): [chr(96 + n) * 60, chr(64 + n) * 90] for n in range(1, 21)}}


def in_other_letters(**changes: list[str]) -> dict[str, list[str]]:
    """A declaration half as long again as ENGLISH, with some parts of its own."""
    same = {part: [text + text[: len(text) // 2] for text in texts] for part, texts in ENGLISH.items()}
    return same | {part.lstrip("_"): texts for part, texts in changes.items()}


def page_of(parts: dict[str, list[str]]) -> bytes:
    """A declaration's HTML file."""
    paragraphs = {part: "".join(f"<p>{text}</p>" for text in texts) for part, texts in parts.items()}
    articles = [f'<article data-number="{part}">{p}</article>' for part, p in paragraphs.items() if part != "pre"]
    return "\n".join(["<html>", f"<header>{paragraphs['pre']}</header>", *articles, "</html>"]).encode()


def test_whole_declarations_are_judged_like_others_and_english_stays_whole() -> None:
    import embedded_udhr

    # the paragraphs are as many as in English, but the preamble's are shifted by one, and text is missing in article 2
    shifted = in_other_letters(pre=["q" * 30, "p" * 150], _2=["b" * 90, "&amp;1"])
    pages = {"declaration/eng.html": page_of(ENGLISH), "declaration/abc.html": page_of(shifted)}
    segments, dropped = embedded_udhr.declaration_segments(embedded_udhr.read_declarations(pages))
    assert list(segments["eng"]) == [f"{part}.{n}" for part in ENGLISH for n in (0, 1)]
    assert list(segments["abc"]) == [f"{part}.{n}" for part in ENGLISH for n in (0, 1) if part not in ("pre", "2")]
    assert segments["abc"]["20.1"] == "T" * 135
    assert dropped == {"implausible length": 2}


def test_nothing_may_be_left_out_of_the_english() -> None:
    import embedded_udhr

    pages = {"declaration/eng.html": page_of(ENGLISH | {"3": ["3. " + "c" * 57, "C" * 90]})}
    with pytest.raises(ValueError, match=r"English declaration is left out: .*'a digit': 1"):
        embedded_udhr.declaration_segments(embedded_udhr.read_declarations(pages))


def test_articles_of_declarations_with_other_paragraphs() -> None:
    import embedded_udhr

    parts = in_other_letters(
        pre=["p" * 180],  # joined
        _1=["Heading", "a" * 230],  # two paragraphs, but not these two
        _2=["b" * 90, "&1"],  # a mark for missing text
        _3=["3. " + "c" * 87, "C" * 130],  # the number left in
        _4=["e" * 90, "D" * 130],  # this first paragraph also stands in article 5
        _6=["f" * 60, "F" * 200],  # 60 / 1.5 = 40 of 60 and 133 of 90 characters: less than twice as long or short
    )
    assert embedded_udhr.implausible_parts({p: t for p, t in parts.items() if p != "pre"}, ENGLISH) == {"1", "2"}
    kept, dropped = embedded_udhr.matched_parts(parts, ENGLISH)
    assert set(kept) == {"6", *(str(n) for n in range(7, 21))}
    assert kept["6"] == parts["6"]
    assert dropped == {
        "another number of paragraphs": 1,
        "implausible length": 2,
        "a digit": 1,
        "same text twice": 2,
    }
    # an article that is absent altogether counts too
    del parts["20"]
    assert embedded_udhr.matched_parts(parts, ENGLISH)[1]["another number of paragraphs"] == 2


def test_the_bound_of_a_length_is_twice_with_twenty_characters_more() -> None:
    import embedded_udhr

    for first, implausible in ((20, False), (19, True), (140, False), (141, True)):
        parts = {**ENGLISH, "1": ["x" * first, ENGLISH["1"][1]]}
        english = {**ENGLISH, "1": ["a" * 60, ENGLISH["1"][1]]}
        assert embedded_udhr.implausible_parts(parts, english) == ({"1"} if implausible else set()), first


def test_doubtful_and_short_declarations_are_left_out() -> None:
    import embedded_udhr

    headings = {f"_{n}": ["Heading", "x" * 230 + str(n)] for n in range(1, 6)}
    assert embedded_udhr.matched_parts(in_other_letters(**headings), ENGLISH)[0]  # 5 of 21 parts
    headings["_6"] = ["Heading", "x" * 240]
    kept, dropped = embedded_udhr.matched_parts(in_other_letters(**headings), ENGLISH)  # 6 of 21: above a quarter
    assert kept == {}
    assert dropped == {
        "implausible length": 6,
        "in a declaration with too many implausible lengths": 15,
    }
    for articles, segments in ((10, 20), (9, 0)):
        some = {str(n): in_other_letters()[str(n)] for n in range(1, articles + 1)}
        kept, _ = embedded_udhr.matched_parts(some, ENGLISH)
        assert sum(len(texts) for texts in kept.values()) == segments


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("Alle Menschen", "Latn"),
        ("Все люди OK", "Cyrl"),
        ("すべての人間は", "Jpan"),
        ("人人有权享有", "Hans"),
        ("人人有權享有", "Hant"),
        ("모든 사람은 人", "Hang"),
        ("كل إنسان", "Arab"),
    ],
)
def test_main_script(text: str, script: str) -> None:
    import build_embedded_text

    assert build_embedded_text.main_script(text, hans={"权"}, hant={"權"}) == script


def test_one_version_of_each_language() -> None:
    import build_embedded_text

    numbers = {
        **{"deu_1901": 60, "deu_1996": 50},  # named in PREFERRED_UDHR, 10 fewer
        **{"058": 49, "som": 48},  # the bare code
        **{"041": 50, "lav": 45},  # the bare code of the tag, not the declaration's own (lvs)
        **{"acu_1": 50, "acu": 39},  # the bare code, but 11 fewer
        **{"054": 50, "xx_c": 49, "xx_b": 50, "xx_a": 50},  # no standard one: the most, a letter, the first
    }
    texts = {code: {str(n): code for n in range(number)} for code, number in numbers.items()}
    languages = ["deu"] * 2 + ["som"] * 2 + ["lav"] * 2 + ["acu"] * 2 + ["xxx"] * 4
    tags = {code: f"{language}_Latn" for code, language in zip(texts, languages, strict=True)}
    isos = {code: tag.partition("_")[0].replace("lav", "lvs") for code, tag in tags.items()}
    table, left = build_embedded_text.one_version_each(texts, tags, isos)
    taken = {"deu_Latn": "deu_1996", "som_Latn": "som", "lav_Latn": "lav", "acu_Latn": "acu_1", "xxx_Latn": "xx_a"}
    assert {tag: version for tag, (version, _) in table.items()} == taken
    assert table["som_Latn"][1] == texts["som"]
    assert left == ["041", "054", "058", "acu", "deu_1901", "xx_b", "xx_c"]
    # one more missing, and the preferred one is too short
    del texts["deu_1996"]["0"]
    assert build_embedded_text.one_version_each(texts, tags, isos)[0]["deu_Latn"][0] == "deu_1901"
    # another table takes the same versions
    same = build_embedded_text.one_version_each(texts, tags, isos, {"058", "xx_c"})[0]
    assert (same["som_Latn"][0], same["xxx_Latn"][0], same["lav_Latn"][0]) == ("058", "xx_c", "lav")


def test_concepts_leave_signs_out() -> None:
    import build_embedded_text

    entries: dict[str, dict[str, list[str]]] = {c: {} for c in ("🐶", "👨‍🍳", "🏻", "!", "→", "€", "1⃣", "☀")}
    kept = build_embedded_text.concepts(entries)
    assert kept == {"🐶": "1f436", "👨‍🍳": "1f468-200d-1f373", "☀": "2600"}


def test_locales_of_a_region_are_left_out() -> None:
    import build_embedded_text

    tags = {
        name: build_embedded_text.locale_tag(name, text, set(), set())
        for name, text in (
            ("de", "ein Wort"),
            ("en-AU", "a word"),
            ("es-419", "palabra"),
            ("ff-Adlm", "𞤫"),
            ("und", "x"),
        )
    }
    assert tags == {"de": "deu_Latn", "en-AU": None, "es-419": None, "ff-Adlm": "ful_Adlm", "und": None}


def test_every_original_is_recorded() -> None:
    header, *lines = (DATA / "ORIGINALS.tsv").read_text("utf-8").splitlines()
    assert header == "package\tfile\tbytes\tsha256"
    rows = [line.split("\t") for line in lines]
    assert sum(row[1].startswith("declaration/") for row in rows) == 532
    assert sum(row[1].startswith("annotations/") for row in rows) == 170
    assert all(len(row[3]) == 64 for row in rows)
    # the licence texts beside the data are the originals'
    digests = {row[1]: row[3] for row in rows}
    for original, copy in (("license", "LICENSE.udhr"), ("LICENSE", "LICENSE.cldr")):
        assert digests[original] == hashlib.sha256((DATA / copy).read_bytes()).hexdigest()
