"""Translation memories (TMX 1.4), plain, .gz, .xz, or one in a zip archive."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

from xrealign.errors import DataError, LanguageError
from xrealign.language import Language, parse_language
from xrealign.textio import nfc, open_bytes
from xrealign.types import Bitext, SentencePair

LANG = "{http://www.w3.org/XML/1998/namespace}lang"


@contextmanager
def _open(path: Path) -> Iterator[IO[bytes]]:
    if path.suffix != ".zip":
        with open_bytes(path) as file:
            yield file
        return
    with zipfile.ZipFile(path) as archive:  # read in place; nothing is unpacked
        members = [name for name in archive.namelist() if name.lower().endswith(".tmx") and "__MACOSX" not in name]
        if len(members) != 1:
            raise DataError(f"holds {len(members)} .tmx files, expected 1", path)
        with archive.open(members[0]) as file:
            yield file


def _is(code: str, language: Language) -> bool:
    try:
        return parse_language(code) == language
    except LanguageError:
        return False


def read_tmx(path: str | Path, src: Language, tgt: Language) -> Bitext:
    """The pairs of two languages of a translation memory; a pair's id is the unit's ``tuid``, else its number.

    White space around and line breaks inside a segment become single blanks; mark-up inside it is dropped.

    Raises:
        DataError: not well-formed, a unit without one of the languages or with an empty segment (names the
            unit), or a ``tuid`` that was there before.
    """
    path = Path(path)
    pairs: list[SentencePair] = []
    seen: set[str] = set()
    number = 0
    try:
        with _open(path) as file:
            for _, unit in ElementTree.iterparse(file):
                if unit.tag != "tu":
                    continue
                number += 1
                identifier = unit.get("tuid") or str(number)
                if identifier in seen:
                    raise DataError(f"unit {number}: tuid {identifier!r} was there before; ids are unique", path)
                seen.add(identifier)
                pairs.append(SentencePair(identifier, *(_segment(unit, x, identifier, path) for x in (src, tgt))))
                unit.clear()
    except (ElementTree.ParseError, zipfile.BadZipFile, OSError, EOFError) as error:
        raise DataError(f"cannot be read as TMX: {error}", path) from None
    if not pairs:
        raise DataError("no translation units in it", path)
    return Bitext(src, tgt, tuple(pairs), path.name)


def _segment(unit: ElementTree.Element, language: Language, identifier: str, path: Path) -> str:
    for variant in unit.iter("tuv"):
        code = variant.get(LANG) or variant.get("lang") or ""
        segment = variant.find("seg")
        if segment is not None and _is(code, language):
            text = " ".join(nfc("".join(segment.itertext())).split())
            if not text:
                raise DataError(f"unit {identifier}: the segment in {language.tag} is empty", path)
            return text
    found = ", ".join(v.get(LANG) or v.get("lang") or "?" for v in unit.iter("tuv")) or "none"
    raise DataError(f"unit {identifier}: no segment in {language.tag}; its languages are {found}", path)
