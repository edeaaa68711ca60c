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


def test_only_declarations_shaped_like_the_english_are_segmented() -> None:
    import embedded_udhr

    page = HTML.encode()
    other = HTML.replace("<p>Second</p>", "").encode()
    parsed = embedded_udhr.read_declarations({"declaration/eng.html": page, "declaration/abc.html": other})
    assert set(embedded_udhr.declaration_segments(parsed)) == {"eng"}
    assert embedded_udhr.declaration_segments(parsed)["eng"]["2.1"] == "Two b"
    assert embedded_udhr.declaration_articles(parsed) == {}


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

    texts = {code: {"1": code} for code in ("deu_1901", "deu_1996", "fin", "067", "sme", "059", "xx_b", "xx_a")}
    tags = {c: f"{t}_Latn" for c, t in zip(texts, ("deu", "deu", "fin", "fin", "sme", "sme", "xx", "xx"), strict=True)}
    isos = {code: tags[code].partition("_")[0] for code in texts}
    table, left = build_embedded_text.one_version_each(texts, tags, isos, segmented={"059", "fin", "067"})
    assert {tag: version for tag, (version, _) in table.items()} == {
        "deu_Latn": "deu_1996",  # preferred by name
        "fin_Latn": "fin",  # both are segmented: the bare code
        "sme_Latn": "059",  # the segmented one
        "xx_Latn": "xx_a",  # the first
    }
    assert left == ["067", "deu_1901", "sme", "xx_b"]


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
