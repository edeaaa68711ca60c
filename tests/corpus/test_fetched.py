"""Reading fetched sets, on the data pack's copies of the originals."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from xrealign.corpus.fetch import fetch
from xrealign.corpus.fetched import fetched_bitext, fetched_dictionary, fetched_multitext
from xrealign.errors import ArtifactError, DataError
from xrealign.language import parse_language


@pytest.fixture(scope="module")
def into(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if "XREALIGN_DATA" not in os.environ:
        pytest.skip("XREALIGN_DATA is not set: no data pack to take sets from")
    folder = tmp_path_factory.mktemp("sets")
    for name in ("ntrex-128", "tico-19", "tatoeba", "gatitos"):
        fetch(name, folder, from_folder=os.environ["XREALIGN_DATA"])
    return folder


@pytest.mark.data
def test_ntrex(into: Path) -> None:
    news = fetched_multitext("ntrex-128", into)
    assert (len(news.ids), len(news.texts)) == (1997, 121)
    assert news.of(parse_language("deu"))["1"].startswith("Mitglieder der Nationalversammlung für Wales")
    assert not any("\r" in text for text in news.of(parse_language("deu")).values())
    # the source text stands for English, not one of its regional versions; the plain file for Spanish
    folder = into / "ntrex-128" / "NTREX-128"
    for tag, name in (("eng", "src.eng"), ("spa", "ref.spa"), ("fra", "ref.fra"), ("por", "ref.por")):
        first = (folder / f"newstest2019-{name}.txt").read_text("utf-8").split("\n")[0].strip()
        assert news.of(parse_language(tag))["1"] == first


@pytest.mark.data
def test_tico(into: Path) -> None:
    covid = fetched_multitext("tico-19", into)
    assert (len(covid.ids), len(covid.texts)) == (3071, 35)


@pytest.mark.data
def test_tatoeba(into: Path) -> None:
    pairs = fetched_bitext("tatoeba", parse_language("deu"), into)
    assert len(pairs) == 1000  # the published size of the large sets
    assert (pairs.src.tag, pairs.tgt.tag) == ("eng_Latn", "deu_Latn")
    with pytest.raises(DataError, match="nothing in ewe_Latn"):
        fetched_bitext("tatoeba", parse_language("ewe"), into)


@pytest.mark.data
def test_gatitos(into: Path) -> None:
    dictionary = fetched_dictionary("gatitos", parse_language("arn"), into)
    assert dictionary.dropped["malformed line"] == 1  # its line 3235 has a single column
    assert len(dictionary) > 1000
    dictionary = fetched_dictionary("gatitos", parse_language("quy"), into)
    assert dictionary.dropped.get("malformed line", 0) == 0
    assert len(dictionary) > 2000
    assert dictionary.tgt == parse_language("qu")
    path = next((into / "gatitos").rglob("en_qu.tsv"))
    path.write_bytes(path.read_bytes() + b"dog\tallqu\n")
    with pytest.raises(ArtifactError, match="changed since"):
        fetched_dictionary("gatitos", parse_language("quy"), into)


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="xrealign data get ntrex-128"):
        fetched_multitext("ntrex-128", tmp_path)
    with pytest.raises(DataError, match="gatitos holds no such data; sets that do: ntrex-128, tico-19"):
        fetched_multitext("gatitos", tmp_path)


def test_tico_as_published(tmp_path: Path) -> None:
    """The original translation memories, in small, through the real catalogue and a real server."""
    import zipfile
    from io import BytesIO
    from urllib.parse import urlsplit

    from local_server import Site, serve

    from xrealign.corpus.catalogue import find_entry

    files = {}
    for file in find_entry("tico-19").files:
        if file.url:
            code = file.name.split("all.en-")[1].removesuffix(".tmx.zip")
            variant = '<tuv xml:lang="{1}"><seg>{1} {0}</seg></tuv>'
            unit = '<tu tuid="{0}">' + variant.replace("{1}", "en") + variant + "</tu>"
            body = "".join(unit.format(n, code) for n in ("a:1", "a:2"))
            packed = BytesIO()
            with zipfile.ZipFile(packed, "w") as archive:
                archive.writestr(f"all.en-{code}.tmx", f"<tmx><body>{body}</body></tmx>")
            files[urlsplit(file.url).path] = packed.getvalue()
    with serve(Site(files)) as server:
        fetch("tico-19", tmp_path, base_url=server.url)
    covid = fetched_multitext("tico-19", tmp_path)
    assert covid.ids == ("a:1", "a:2")
    assert len(covid.texts) == 35
    assert covid.of(parse_language("eng"))["a:2"] == "en a:2"
    assert covid.of(parse_language("zulu"))["a:2"] == "zu a:2"
