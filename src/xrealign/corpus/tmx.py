"""Translation memories (TMX 1.4b, a format of LISA OSCAR), plain, packed, or one in a zip archive; read as a stream."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import IO
from xml.parsers import expat

from xrealign.errors import DataError, LanguageError
from xrealign.language import LONGEST, Language, find_language
from xrealign.textio import UNREADABLE, capped, check_regular, nfc, open_bytes, reason
from xrealign.types import Bitext, SentencePair

LONGEST_SEGMENT = 100_000
LONGEST_MARKUP = 1 << 20
"""Bytes of a tag, comment or anything else that is read as a whole, at most; parsers keep all of it."""
MOST_SEGMENTS, DEEPEST = 10_000, 1000
LONGEST_SHOWN = 60
CHUNK = 1 << 16
# Elements inside a segment whose content is another program's code, not text. (`hi` holds text.)
CODE = frozenset({"bpt", "ept", "it", "ph", "ut"})


@dataclass(frozen=True, slots=True)
class Unit:
    """A translation unit: what one says in several languages.

    Attributes:
        number: from 1.
        line: where it begins in the file, from 1.
        identifier: its ``tuid``, or its number.
        segments: (language code as written, text), in order. White space around and line breaks inside a text have
            become single blanks, mark-up has gone. Of a text beyond `LONGEST_SEGMENT`, or a code longer than any, there
            is one character more.
    """

    number: int
    line: int
    identifier: str
    segments: tuple[tuple[str, str], ...]

    def text_in(self, language: Language) -> str | None:
        """Its first segment in the language; None if there is none."""
        return next((text for code, text in self.segments if language_of(code) == language), None)

    @property
    def shown(self) -> str:
        """Its identifier, for messages."""
        return self.identifier if len(self.identifier) <= LONGEST_SHOWN else f"{self.identifier[:LONGEST_SHOWN]}…"

    @property
    def languages(self) -> str:
        """The codes in it, the first twenty, for messages."""
        codes = [code[:20] or "?" for code, _ in self.segments]
        return ", ".join(codes[:20]) + (f" and {len(codes) - 20} more" if len(codes) > 20 else "") or "none"


@lru_cache(maxsize=4096)
def language_of(code: str) -> Language | None:
    """The language of a code, or None where nobody knows it."""
    try:
        return find_language(code)
    except LanguageError:
        return None


@dataclass
class _Reader:
    """What the parser's calls leave behind."""

    units: list[Unit] = field(default_factory=list)
    count: int = 0
    depth: int = 0
    line: int = 0
    identifier: str = ""
    code: str = ""
    segments: list[tuple[str, str]] = field(default_factory=list)
    text: list[str] | None = None  # of the segment that is open
    length: int = 0
    hidden: int = 0  # how many elements of CODE are open


def read_units(path: str | Path, digest: hashlib._Hash | None = None) -> Iterator[Unit]:
    """The units of a translation memory, one after the other; memory does not grow with the file.

    Args:
        digest: updated with all bytes that are parsed.

    Raises:
        DataError: the file cannot be read, is not well-formed or no TMX, declares a document type of its own, or names
            an entity that nobody declared. Entities are neither expanded nor fetched.
    """
    path = Path(path)
    parser, reader = _parser(path)
    fed = 0
    try:
        with _open(path) as file:
            while data := file.read(CHUNK):
                if digest:
                    digest.update(data)
                parser.Parse(data, False)
                fed += len(data)
                if fed - max(parser.CurrentByteIndex, 0) > LONGEST_MARKUP:
                    told = f"a piece of mark-up of more than {LONGEST_MARKUP} bytes; is this a translation memory?"
                    raise DataError(told, path, parser.CurrentLineNumber)
                yield from reader.units
                reader.units.clear()
            parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise DataError(f"cannot be read as TMX: {expat.ErrorString(error.code)}", path, error.lineno) from None
    except (LookupError, ValueError) as error:  # an encoding that Python does not know, or of several bytes
        raise DataError(f"cannot be read as TMX: {error}; save it as UTF-8", path, 1) from None
    except (zipfile.BadZipFile, NotImplementedError, *UNREADABLE) as error:
        raise DataError(f"cannot be read: {reason(error)}", path) from None
    yield from reader.units


def _parser(path: Path) -> tuple[expat.XMLParserType, _Reader]:
    parser = expat.ParserCreate()
    parser.buffer_text = True
    reader = _Reader()

    def fail(message: str) -> None:
        raise DataError(message, path, parser.CurrentLineNumber)

    def doctype(_name: str, _system: str | None, _public: str | None, internal: bool) -> None:
        if internal:
            fail("declares a document type of its own, which is refused: entities can blow up; take the <!DOCTYPE> out")

    def skipped(name: str, _parameter: bool) -> None:
        fail(f"entity &{name}; is declared nowhere in the file; write the character itself")

    def start(name: str, attributes: dict[str, str]) -> None:
        reader.depth += 1
        if reader.depth > DEEPEST:
            fail(f"elements are nested more than {DEEPEST} deep")
        if reader.depth == 1 and name != "tmx":
            fail(f"is no TMX: its root is <{name}>, expected <tmx>")
        if name == "tu":
            reader.count += 1
            reader.line = parser.CurrentLineNumber
            reader.identifier = attributes.get("tuid") or str(reader.count)
            reader.segments = []
        elif name == "tuv":
            code = attributes.get("xml:lang") or attributes.get("lang") or ""
            reader.code = code[: LONGEST + 1]  # more is no language, and would be kept
        elif name == "seg":
            if len(reader.segments) >= MOST_SEGMENTS:
                fail(f"a unit of more than {MOST_SEGMENTS} segments")
            reader.text, reader.length, reader.hidden = [], 0, 0
        elif name in CODE:
            reader.hidden += 1

    def data(text: str) -> None:
        if reader.text is not None and not reader.hidden and reader.length <= LONGEST_SEGMENT:
            reader.text.append(text[: LONGEST_SEGMENT + 1 - reader.length])
            reader.length += len(text)

    def end(name: str) -> None:
        reader.depth -= 1
        if name in CODE:
            reader.hidden -= 1
        elif name == "seg":
            text = nfc("".join(reader.text or []))
            reader.segments.append((reader.code, text if reader.length > LONGEST_SEGMENT else " ".join(text.split())))
            reader.text = None
        elif name == "tu":
            reader.units.append(Unit(reader.count, reader.line, reader.identifier, tuple(reader.segments)))

    parser.StartDoctypeDeclHandler = doctype
    parser.SkippedEntityHandler = skipped
    parser.StartElementHandler = start
    parser.CharacterDataHandler = data
    parser.EndElementHandler = end
    return parser, reader


@contextmanager
def _open(path: Path) -> Iterator[IO[bytes]]:
    if path.suffix != ".zip":
        with open_bytes(path) as file:
            yield file
        return
    check_regular(path)
    with zipfile.ZipFile(path) as archive:  # read in place; nothing is unpacked
        members = [item for item in archive.infolist() if item.filename.lower().endswith(".tmx")]
        members = [item for item in members if "__MACOSX" not in item.filename]
        if len(members) != 1:
            raise DataError(f"holds {len(members)} .tmx files, expected 1", path)
        if members[0].flag_bits & 1:
            raise DataError("is encrypted; unpack it", path)
        with capped(archive.open(members[0]), path.stat().st_size) as file:  # the archive's own word on sizes may lie
            yield file


def read_tmx(path: str | Path, src: Language, tgt: Language) -> Bitext:
    """The pairs of two languages of a translation memory; a pair's id is the unit's ``tuid``, else its number.

    Raises:
        DataError: see `read_units`; or a unit without one of the languages or with an empty segment (names the unit),
            or a ``tuid`` that was there before.
    """
    path = Path(path)
    pairs: list[SentencePair] = []
    seen: set[str] = set()
    for unit in read_units(path):
        if unit.identifier in seen:
            told = f"unit {unit.number}: tuid {unit.shown!r} was there before; ids are unique"
            raise DataError(told, path, unit.line)
        seen.add(unit.identifier)
        pairs.append(SentencePair(unit.identifier, *(_text(unit, language, path) for language in (src, tgt))))
    if not pairs:
        raise DataError("no translation units in it", path)
    return Bitext(src, tgt, tuple(pairs), path.name)


def _text(unit: Unit, language: Language, path: Path) -> str:
    text = unit.text_in(language)
    if not text:
        missing = f"no segment in {language}; its languages are {unit.languages}"
        what = missing if text is None else f"the segment in {language} is empty"
        raise DataError(f"unit {unit.shown}: {what}", path, unit.line)
    if len(text) > LONGEST_SEGMENT:
        told = f"unit {unit.shown}: a segment of more than {LONGEST_SEGMENT} characters; cut it into sentences"
        raise DataError(told, path, unit.line)
    return text
