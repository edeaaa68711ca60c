"""Translation memories."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from xrealign.corpus.tmx import read_tmx
from xrealign.errors import DataError
from xrealign.language import parse_language

ENG, SPA, LUG = (parse_language(code) for code in ("eng", "spa", "lug"))
HEAD = '<?xml version="1.0" encoding="UTF-8"?><tmx version="1.4"><header/><body>'
UNITS = """<tu tuid="x:1"><prop type="note">n</prop><tuv xml:lang="en"><seg>Is it a caf&#101;&#769; &amp; bar?
 </seg></tuv><tuv xml:lang="es-LA"><seg>¿Es un <bpt i="1"/>bar?</seg></tuv></tu>
<tu><tuv xml:lang="en"><seg>Yes</seg></tuv><tuv xml:lang="es-LA"><seg>Sí</seg></tuv></tu>"""


def write(path: Path, units: str) -> Path:
    path.write_text(f"{HEAD}{units}</body></tmx>", "utf-8")
    return path


def test_units(tmp_path: Path) -> None:
    path = write(tmp_path / "m.tmx", UNITS)
    expected = [("x:1", "Is it a café & bar?", "¿Es un bar?"), ("2", "Yes", "Sí")]
    assert [(p.id, p.src, p.tgt) for p in read_tmx(path, ENG, SPA)] == expected
    with zipfile.ZipFile(tmp_path / "m.tmx.zip", "w") as archive:
        archive.write(path, "../../m.tmx")
        archive.writestr("__MACOSX/._m.tmx", b"junk")
    assert [(p.id, p.src, p.tgt) for p in read_tmx(tmp_path / "m.tmx.zip", ENG, SPA)] == expected


@pytest.mark.parametrize(
    ("units", "words"),
    [
        (UNITS.replace("es-LA", "fr"), r"unit x:1: no segment in spa_Latn; its languages are en, fr"),
        (UNITS.replace("Sí", " "), r"unit 2: the segment in spa_Latn is empty"),
        (UNITS + UNITS, r"tuid 'x:1' was there before"),
        ("<tu>", r"cannot be read as TMX: mismatched tag"),
        ("", "no translation units"),
    ],
)
def test_faults_are_named(tmp_path: Path, units: str, words: str) -> None:
    with pytest.raises(DataError, match=rf"m\.tmx: .*{words}"):
        read_tmx(write(tmp_path / "m.tmx", units), ENG, SPA)


def test_archives_with_none_or_two(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        archive.writestr("a.txt", b"")
    with pytest.raises(DataError, match=r"holds 0 \.tmx files, expected 1"):
        read_tmx(tmp_path / "m.zip", ENG, LUG)
    (tmp_path / "m.zip").write_bytes(b"not a zip")
    with pytest.raises(DataError, match="cannot be read as TMX"):
        read_tmx(tmp_path / "m.zip", ENG, LUG)


def test_entities_are_not_blown_up(tmp_path: Path) -> None:
    """The billion-laughs attack ends in an error, not in an exhausted memory."""
    entities = '<!ENTITY a0 "ha">' + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    path = tmp_path / "m.tmx"
    path.write_text(
        f'<?xml version="1.0"?><!DOCTYPE tmx [{entities}]><tmx><body><tu><tuv xml:lang="en"><seg>&a9;</seg></tuv></tu>'
        "</body></tmx>",
        "utf-8",
    )
    with pytest.raises(DataError, match="cannot be read as TMX"):
        read_tmx(path, ENG, SPA)
