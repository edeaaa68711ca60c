"""Languages, parsed once at the edge from whatever code or name a user has.

Identity is an ISO 639-3 code with an ISO 15924 script, ``deu_Latn``. The packaged table
(``data/languages.tsv``, made by ``tools/build_languages.py``) holds these rules:

- A macrolanguage and the member it usually means are one language, under the code that the published lists
  and FLORES write: ``ara`` is ``arb``, ``sw`` is ``swh``, ``no`` is ``nob``, ``om`` is ``gaz``, ``ku`` is
  ``kmr``, ``qu`` is ``quy``, ``ay`` is ``ayr``; everywhere else the macrolanguage's code stays: ``cmn`` is
  ``zho``, ``pes`` is ``fas``, ``ekk`` is ``est``, ``zsm`` is ``msa``, ``azj`` is ``aze``. Other members are
  languages of their own and may stand beside the macrolanguage (``msa`` and ``ind``; :func:`notes_on` says
  so). Akan and Twi stay apart.
- Retired codes mean what replaced them (``iw`` is Hebrew). Filipino is Tagalog.
- Regions and variants (``pt-BR``, ``de-1996``) are dropped unless they change the script (``zh-TW`` is
  ``zho_Hant``) or stand for a language: ``zh-HK`` is Cantonese and ``de-CH`` Swiss German, as in the intents
  data.
- Korean is written ``Hang`` and Japanese ``Jpan``, as in FLORES. ``Zzzz`` is a script nobody recorded,
  ``Zxxx`` an unwritten language.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from xrealign.errors import LanguageError

DATA = Path(__file__).parent / "data"
LONGEST = 120
"""Characters of a language's code or name at most."""


@dataclass(frozen=True, slots=True, order=True)
class Language:
    """A language in one script.

    Attributes:
        tag: ISO 639-3 code and ISO 15924 script, ``deu_Latn``; alone identity and sort order.
        name: English name.
        glottocode: Glottolog's code, or None where there is none.
        family: name of the top-level family, or None for isolates and unknowns.
    """

    tag: str
    name: str = field(default="", compare=False)
    glottocode: str | None = field(default=None, compare=False)
    family: str | None = field(default=None, compare=False)

    @property
    def iso(self) -> str:
        """ISO 639-3 code, ``deu``."""
        return self.tag.partition("_")[0]

    @property
    def script(self) -> str:
        """ISO 15924 code, ``Latn``."""
        return self.tag.partition("_")[2]

    def __str__(self) -> str:
        return self.tag


class _Row(NamedTuple):
    iso: str
    script: str
    name: str
    family: str
    glottocode: str
    macro: str
    codes: str
    scripts: str
    names: str


@lru_cache(maxsize=1)
def _rows() -> dict[str, _Row]:
    """Rows of the packaged table by ISO 639-3 code."""
    lines = (DATA / "languages.tsv").read_text(encoding="utf-8").split("\n")
    return {line[: line.index("\t")]: _Row._make(line.split("\t")) for line in lines[1:] if line}


@lru_cache(maxsize=1)
def _iso_of() -> dict[str, str]:
    """ISO 639-3 code by every other code: two-letter, retired, merged ones, glottocodes."""
    found: dict[str, str] = {}
    for row in _rows().values():
        if row.glottocode:
            found.setdefault(row.glottocode, row.iso)
        if row.codes:
            for code in row.codes.split(","):
                found.setdefault(code, row.iso)
    return found


@lru_cache(maxsize=1)
def _spellings() -> dict[str, str]:
    lines = (DATA / "languages_spellings.tsv").read_text(encoding="utf-8").splitlines()[1:]
    return dict(line.split("\t", 1) for line in lines)


@lru_cache(maxsize=2)
def _subtags(kind: str) -> dict[str, str]:
    lines = (DATA / "languages_subtags.tsv").read_text(encoding="utf-8").splitlines()[1:]
    return {code: name for found, code, name in (line.split("\t") for line in lines) if found == kind}


def script_names() -> dict[str, str]:
    """English name of every ISO 15924 script code."""
    return _subtags("script")


@lru_cache(maxsize=1)
def _iso_of_name() -> dict[str, str]:
    """ISO 639-3 code by folded name. A language's first name goes before another one's further names."""
    found: dict[str, str] = {}
    rows = sorted(_rows().values(), key=lambda row: (not re.search(r"(^|,)[a-z]{2}(,|$)", row.codes), row.iso))
    for spell in (str.casefold, _folded):  # Võro goes before Voro where the accent is written
        for row in rows:
            found.setdefault(spell(row.name), row.iso)
        for row in rows:
            for name in row.names.split(";") if row.names else ():
                found.setdefault(spell(name), row.iso)
    for row in rows:  # "Standard Malay (individual language)" is also found without what stands in brackets
        for name in (row.name, *row.names.split(";")):
            if "(" in name:
                found.setdefault(_folded(name.partition("(")[0]), row.iso)
    found.pop("", None)
    return found


def _folded(text: str) -> str:
    """Lower case without accents, apostrophes and doubled blanks."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(c for c in plain if not unicodedata.combining(c) and c not in "'’ʼ`ʻ")
    return " ".join(plain.replace("-", " ").replace("_", " ").split())


def _language(iso: str, script: str = "") -> Language:
    row = _rows()[iso]
    name = row.name
    if script and script != row.script:
        name = f"{row.name} ({script_names()[script]})"
    return Language(f"{iso}_{script or row.script}", name, row.glottocode or None, row.family or None)


def _iso_of_code(code: str) -> str | None:
    return code if code in _rows() else _iso_of().get(code)


def _from_parts(text: str) -> Language | None:
    """A tag read as language, script, region and variants, in this order; None where it is no such thing."""
    parts = text.split("-")
    spelled = _spellings()
    iso = _iso_of_code(parts[0])
    base = spelled.get(parts[0])
    if iso is None and base is None:
        return None
    script = "" if iso is not None else base.partition("_")[2] if base else ""
    iso = iso or (base or "").partition("_")[0]
    rest = parts[1:]
    if rest and len(rest[0]) == 3 and rest[0].isalpha():
        member = _iso_of_code(rest[0])
        if rest[0] == "rom":
            script, rest = "Latn", rest[1:]
        elif member is not None and (_rows()[member].macro == iso or member == iso):
            iso, rest = member, rest[1:]
        else:
            return None
    if rest and len(rest[0]) == 4 and rest[0].isalpha():
        script = {"Kore": "Hang", "Aran": "Arab", "Hrkt": "Jpan"}.get(rest[0].title(), rest[0].title())
        if script not in script_names():
            raise LanguageError(f"{rest[0]!r} in {text!r} is not a script; expected an ISO 15924 code such as Latn")
        rest = rest[1:]
    if rest and re.fullmatch(r"[a-z]{2}|\d{3}", rest[0]):
        regional = spelled.get(f"{parts[0]}-{rest[0]}")
        if regional and not script:
            return _language(*regional.split("_"))
        rest = rest[1:]
    for item in rest:
        if item == "x":
            break
        if item not in _subtags("variant"):
            return None
    return _language(iso, script)


def _from_name(text: str) -> Language | None:
    """A language by English name: "German", "Arabic, Standard", "Serbian (Latin)"."""
    names = _iso_of_name()
    if (iso := names.get(text.casefold(), names.get(_folded(text)))) is not None:
        return _language(iso)
    if "," in text:
        last, first = text.split(",", 1)
        if (iso := names.get(_folded(f"{first} {last}"))) is not None:
            return _language(iso)
    if match := re.fullmatch(r"(.+?)\s*\((.+)\)", text):
        script = next((c for c, name in script_names().items() if _folded(name) == _folded(match[2])), None)
        iso = names.get(_folded(match[1]))
        if iso is not None and script is not None:
            return _language(iso, script)
    return None


def parse_language(text: str) -> Language:
    """The language a code, tag or name stands for; the module's first lines give the rules.

    Accepts ISO 639-1, -2 and -3, retired ones too, BCP-47 (``zh-Hant``, ``pt-BR``), FLORES tags
    (``deu_Latn``), glottocodes (``stan1295``), spellings of models and data sets (``en_XX``, ``hi_rom``) and
    English names, in any case. Without a script it is the one the language is mostly written in.

    Raises:
        LanguageError: nobody knows it; the message names the nearest known ones.
    """
    found = find_language(text)
    if found is None:
        near = nearest_languages(text.strip()) if len(text) <= LONGEST else []
        hint = f"; nearest: {', '.join(near)}" if near else ""
        shown = repr(text if len(text) <= LONGEST else f"{text[:LONGEST]}…")
        raise LanguageError(f"unknown language {shown}{hint}; expected a code such as deu, de or deu_Latn, or a name")
    return found


@lru_cache(maxsize=20_000)
def find_language(text: str) -> Language | None:
    """As `parse_language`, but None for a language that nobody knows: a hint takes 40 ms, and lists may be long.

    Raises:
        LanguageError: a tag that stands for no language (``und``), or with an unknown script.
    """
    if len(text) > LONGEST:
        return None
    cleaned = unicodedata.normalize("NFC", text).strip()
    key = cleaned.casefold().replace("_", "-")
    if key in _rows():
        return _language(key)
    tag = _spellings().get(key)
    if tag is not None:
        iso, script = tag.split("_")
        return _language(iso, script)
    if key in ("", "und", "mul", "mis", "zxx"):
        raise LanguageError(f"{text!r} stands for no language; expected a code such as deu, de or deu_Latn, or a name")
    return _from_parts(key) or _from_name(cleaned)


def nearest_languages(text: str, count: int = 3) -> list[str]:
    """What is most like ``text``, best first, each as ``swh (Swahili)``; well-known languages go first."""
    key = _folded(text)
    scored: dict[str, float] = {}
    matcher = SequenceMatcher(b=key, autojunk=False)

    def score(candidate: str, iso: str, bonus: float) -> None:
        matcher.set_seq1(candidate)
        if matcher.real_quick_ratio() >= 0.6 and matcher.quick_ratio() >= 0.6 and (r := matcher.ratio()) >= 0.6:
            same_start = 0.05 * (candidate[:1] == key[:1])
            scored[iso] = max(scored.get(iso, 0.0), r + bonus + same_start)

    for row in _rows().values():
        common = 0.06 if re.search(r"(^|,)[a-z]{2}(,|$)", row.codes) else 0.0
        if len(key) <= 4:
            score(row.iso, row.iso, common)
        else:
            score(_folded(row.name), row.iso, common)
            for name in row.names.split(";") if row.names else ():
                score(_folded(name), row.iso, common)
    if len(key) > 4 and re.fullmatch(r"[a-z]{4}\d+", key):
        for code, iso in _iso_of().items():
            if len(code) == 8:
                score(code, iso, 0.0)
    best = sorted(scored, key=lambda iso: (-scored[iso], iso))[:count]
    return [f"{iso} ({_rows()[iso].name})" for iso in best]


def parse_languages(texts: Iterable[str]) -> list[Language]:
    """Languages in the order given.

    One language in two scripts (``zho_Hans`` and ``zho_Hant``) is two entries; :func:`notes_on` mentions it.

    Raises:
        LanguageError: an unknown one, or two spellings of one language; the message names both.
    """
    seen: dict[Language, str] = {}
    for text in texts:
        language = parse_language(text)
        if language in seen:
            first = seen[language]
            again = "twice" if first == text else f"as {first!r} and as {text!r}"
            raise LanguageError(f"{language.name} ({language.tag}) is listed {again}; keep one of the two")
        seen[language] = text
    return list(seen)


def notes_on(languages: Iterable[Language]) -> list[str]:
    """What a reader of the list should know: a macrolanguage beside its member, a language in two scripts."""
    tags_of: dict[str, list[str]] = {}
    for language in sorted(set(languages)):
        tags_of.setdefault(language.iso, []).append(language.tag)
    notes = []
    for iso, tags in tags_of.items():
        macro = _rows()[iso].macro if iso in _rows() else ""
        if macro in tags_of:
            whole = f"{macro} ({_rows()[macro].name})"
            notes.append(f"{iso} ({_rows()[iso].name}) is a member of the macrolanguage {whole}")
        if len(tags) > 1:
            notes.append(f"{_rows()[iso].name} is listed in {len(tags)} scripts: {', '.join(tags)}")
    return notes


def all_languages() -> list[Language]:
    """Every language of the table in its default script, sorted by tag (about 8,000)."""
    return sorted(_language(iso) for iso in _rows())


def codes_of(language: Language) -> tuple[str, ...]:
    """Every code that means ``language``, its ISO 639-3 code first: ``("swh", "sw", "swa")``."""
    row = _rows().get(language.iso)
    if row is None:
        return (language.iso,)
    return (row.iso, *(code for code in row.codes.split(",") if code))


def macrolanguage_of(language: Language) -> str | None:
    """ISO 639-3 code of the macrolanguage it is a member of (``msa`` for Indonesian), or None."""
    row = _rows().get(language.iso)
    return row.macro or None if row else None
