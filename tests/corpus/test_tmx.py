"""Translation memories: what is text, what is refused, and that memory stays flat."""

from __future__ import annotations

import functools
import gzip
import hashlib
import lzma
import re
import sys
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from xrealign import language, textio
from xrealign.corpus.tmx import LONGEST_SEGMENT, LONGEST_SHOWN, MOST_SEGMENTS, language_of, read_tmx, read_units
from xrealign.errors import DataError
from xrealign.language import LONGEST, parse_language

gzipped = functools.partial(gzip.compress, mtime=0)  # parameters must be the same in every process of the tests

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ENG, SPA, LUG = (parse_language(code) for code in ("eng", "spa", "lug"))
HEAD = '<?xml version="1.0" encoding="UTF-8"?><tmx version="1.4"><header/><body>'
UNITS = """<tu tuid="x:1"><prop type="note">n</prop><tuv xml:lang="en"><seg>Is it a caf&#101;&#769; &amp; bar?
 </seg></tuv><tuv xml:lang="es-LA"><seg>¿Es un <bpt i="1"/>bar?</seg></tuv></tu>
<tu><tuv xml:lang="en"><seg>Yes</seg></tuv><tuv xml:lang="es-LA"><seg>Sí</seg></tuv></tu>"""
PAIRS = [("x:1", "Is it a café & bar?", "¿Es un bar?"), ("2", "Yes", "Sí")]


def write(path: Path, units: str) -> Path:
    path.write_text(f"{HEAD}{units}</body></tmx>", "utf-8")
    return path


def pairs_of(path: Path) -> list[tuple[str, str, str]]:
    return [(pair.id, pair.src, pair.tgt) for pair in read_tmx(path, ENG, SPA)]


def test_units_plain_and_packed(tmp_path: Path) -> None:
    path = write(tmp_path / "m.tmx", UNITS)
    assert pairs_of(path) == PAIRS
    for suffix, pack in ((".gz", gzipped), (".xz", lzma.compress), (".zst", zstd.compress)):
        packed = tmp_path / f"m.tmx{suffix}"
        packed.write_bytes(pack(path.read_bytes()))
        assert pairs_of(packed) == PAIRS
    with zipfile.ZipFile(tmp_path / "m.tmx.zip", "w") as archive:
        archive.write(path, "../../m.tmx")
        archive.writestr("__MACOSX/._m.tmx", b"junk")
    assert pairs_of(tmp_path / "m.tmx.zip") == PAIRS


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "iso-8859-1"])
def test_encodings_are_those_the_file_declares(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "m.tmx"
    declared = encoding.removesuffix("-sig").upper()
    path.write_bytes(f"{HEAD.replace('UTF-8', declared)}{UNITS}</body></tmx>".encode(encoding))
    assert pairs_of(path) == PAIRS


def test_units_as_they_come(tmp_path: Path) -> None:
    """Lines, codes as written, code of other programs left out, a document type that is only named."""
    path = tmp_path / "m.tmx"
    segment = '<hi>Press</hi> <bpt i="1">&lt;b></bpt>OK<ept i="1">&lt;/b></ept><ph>{0}<sub>alt</sub></ph>\n\t now'
    path.write_text(
        '<?xml version="1.0"?>\n<!DOCTYPE tmx SYSTEM "tmx14.dtd">\n<tmx version="1.4"><header><note>x</note></header>'
        f'<body>\n<tu><tuv lang="EN-us"><seg>{segment}</seg></tuv><tuv xml:lang="xx-none"><seg/></tuv></tu>\n\n'
        '<tu tuid="b"><note>no text</note></tu></body></tmx>',
        "utf-8",
    )
    digest = hashlib.sha256()
    first, second = read_units(path, digest)
    assert first.segments == (("EN-us", "Press OK now"), ("xx-none", ""))
    assert (first.number, first.line, first.identifier, first.languages) == (1, 4, "1", "EN-us, xx-none")
    assert (first.text_in(ENG), first.text_in(SPA)) == ("Press OK now", None)
    assert (second.number, second.line, second.identifier, second.segments) == (2, 7, "b", ())
    assert digest.hexdigest() == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("units", "told"),
    [
        (UNITS.replace("es-LA", "fr"), r":1: unit x:1: no segment in spa_Latn; its languages are en, fr"),
        (UNITS.replace("es-LA", "{x}"), r":1: unit x:1: no segment in spa_Latn; its languages are en, \{x\}"),
        (UNITS.replace("es-LA", "x").replace("x:1", "u" * 999), rf":1: unit {'u' * LONGEST_SHOWN}…: no segment"),
        (UNITS.replace("Sí", " "), r":3: unit 2: the segment in spa_Latn is empty"),
        (UNITS.replace("Sí", "x " * LONGEST_SEGMENT), r":3: unit 2: a segment of more than 100000 characters"),
        (UNITS + UNITS, r":3: unit 3: tuid 'x:1' was there before"),
        (UNITS + "\n<tu>", r":4: cannot be read as TMX: mismatched tag"),
        (UNITS + "\n&nbsp;", r":4: cannot be read as TMX: undefined entity"),
        (UNITS + "\n\x01", r":4: cannot be read as TMX: not well-formed"),
        ("", ": no translation units"),
    ],
)
def test_faults_are_named(tmp_path: Path, units: str, told: str) -> None:
    with pytest.raises(DataError, match=rf"m\.tmx{told}"):
        read_tmx(write(tmp_path / "m.tmx", units), ENG, SPA)


WHOLE = f"{HEAD}{UNITS}</body></tmx>".encode()


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("m.tmx", None, "cannot be read: No such file"),
        ("m.tmx", b"", ":1: cannot be read as TMX: no element found"),
        ("m.tmx", WHOLE[:-20], ":3: cannot be read as TMX: unclosed token"),
        ("m.tmx", b"<html><body/></html>", ":1: is no TMX: its root is <html>, expected <tmx>"),
        ("m.tmx", b"a\tb\n", ":1: cannot be read as TMX: syntax error"),
        ("m.tmx", WHOLE.replace("Sí".encode(), b"S\xff"), ":3: cannot be read as TMX: not well-formed (invalid token)"),
        ("m.tmx", WHOLE.replace(b"UTF-8", b"KLINGON"), ":1: cannot be read as TMX: unknown encoding: KLINGON; save it"),
        ("m.tmx", WHOLE.replace(b"UTF-8", b"GB18030"), ":1: cannot be read as TMX: multi-byte encodings are not"),
        ("m.tmx", WHOLE.decode().encode("utf-16-le"), ":1: cannot be read as TMX: encoding specified"),
        ("m.tmx.gz", gzipped(WHOLE)[:-9], "cannot be read: Compressed file ended"),
        ("m.tmx.xz", WHOLE, "cannot be read: Input format not supported"),
        ("m.tmx.zst", zstd.compress(WHOLE)[:-9], "cannot be read: Compressed file ended"),
        ("m.tmx.zip", WHOLE, "cannot be read: File is not a zip file"),
    ],
)
def test_files_that_cannot_be_read_are_told(tmp_path: Path, name: str, content: bytes | None, told: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=re.escape(told)) as raised:
        read_tmx(path, ENG, SPA)
    assert str(raised.value).startswith(str(path))


def test_archives_with_none_and_damaged_ones(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        archive.writestr("a.txt", b"")
    with pytest.raises(DataError, match=r"holds 0 \.tmx files, expected 1"):
        read_tmx(tmp_path / "m.zip", ENG, LUG)
    with zipfile.ZipFile(tmp_path / "m.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.tmx", WHOLE * 50)
    data = bytearray((tmp_path / "m.zip").read_bytes())
    data[60:64] = b"\xff\xff\xff\xff"
    (tmp_path / "m.zip").write_bytes(data)
    with pytest.raises(DataError, match="cannot be read"):
        read_tmx(tmp_path / "m.zip", ENG, LUG)


BOMB = '<!ENTITY a0 "ha">' + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))


@pytest.mark.parametrize(
    ("doctype", "entity", "told"),
    [
        (f"tmx [{BOMB}]", "&a9;", "declares a document type of its own"),
        ('tmx [<!ENTITY x SYSTEM "file:///etc/hostname">]', "&x;", "declares a document type of its own"),
        ('tmx [<!ENTITY % p SYSTEM "file:///etc/hostname"> %p;]', "", "declares a document type of its own"),
        ('tmx SYSTEM "tmx14.dtd"', "&x;", "entity &x; is declared nowhere in the file"),
    ],
)
def test_entities_are_neither_blown_up_nor_fetched(tmp_path: Path, doctype: str, entity: str, told: str) -> None:
    path = tmp_path / "m.tmx"
    path.write_text(
        f'<?xml version="1.0"?>\n<!DOCTYPE {doctype}>\n<tmx><body><tu><tuv xml:lang="en"><seg>{entity}</seg></tuv></tu>'
        "</body></tmx>",
        "utf-8",
    )
    with pytest.raises(DataError, match=rf"m\.tmx:[23]: {re.escape(told)}"):
        list(read_units(path))


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    peaks = []
    for units in (1_000, 5_000):
        path = write(tmp_path / "m.tmx", UNITS.partition("\n<tu>")[0] * units)
        tracemalloc.start()
        assert sum(1 for _ in read_units(path)) == units
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0] < 2e6, peaks


def test_an_archive_that_holds_a_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(textio, "BOMB", 1 << 20)
    with zipfile.ZipFile(tmp_path / "m.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m.tmx", WHOLE.replace(b"</body>", b" " * (4 << 20) + b"</body>"))
    with pytest.raises(DataError, match=r"m\.zip: cannot be read: unpacks to more than 200 times its size"):
        read_tmx(tmp_path / "m.zip", ENG, SPA)


def test_segments_are_counted_wherever_they_stand(tmp_path: Path) -> None:
    path = write(tmp_path / "m.tmx", f'<tu><tuv xml:lang="en">{"<seg/>" * (MOST_SEGMENTS + 1)}</tuv></tu>')
    with pytest.raises(DataError, match=f"a unit of more than {MOST_SEGMENTS} segments"):
        list(read_units(path))


def test_of_a_code_that_is_too_long_for_any_the_beginning_is_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "m.tmx", f'<tu><tuv xml:lang="{"e" * 100_000}"><seg>x</seg></tuv></tu>')
    (unit,) = read_units(path)
    assert len(unit.segments[0][0]) <= LONGEST + 1
    assert unit.text_in(ENG) is None


def test_no_hint_is_looked_for_where_nobody_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes 80 ms, and a memory may have thousands of codes that nobody knows."""
    monkeypatch.setattr(language, "nearest_languages", lambda *_: pytest.fail("a hint was looked for"))
    assert language_of("xx-nobody-1") is None
    assert language_of("und") is None
    assert language_of("spanish") == SPA
