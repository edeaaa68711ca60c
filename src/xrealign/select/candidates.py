"""Lists of languages as users name them: codes, a file, or a named set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from xrealign.errors import DataError, LanguageError, did_you_mean
from xrealign.language import Language, all_languages, parse_language, parse_languages
from xrealign.select.features import features, lineages
from xrealign.textio import decimal_number, is_file, read_lines

# Candidates of Nguyen et al. 2025 (arXiv 2511.06497): 38 with OPUS-100 text, 27 with NLLB text.
PUBLISHED_65 = (
    "afr arb aze bul ben deu ell spa est eus fas fin fra guj heb hin hun ind ita jpn kat kor lit mal msa nld pan "
    "pol por ron rus tam tha tur ukr urd vie zho amh bam ewe fon hau ibo kin lin lug luo mos nya gaz sna swh tsn "
    "twi wol xho yor zul mya jav tgl tel mar kaz"
)


def _published() -> list[Language]:
    return parse_languages(PUBLISHED_65.split())


def _embedded() -> list[Language]:
    from xrealign.corpus.embedded import embedded_languages

    return embedded_languages()


def _all() -> list[Language]:
    """Languages with at least one observed feature of their own in URIEL or URIEL+.

    Without those that Glottolog keeps for its books only: retired and doubtful ones.
    """
    languages = all_languages()
    trails = lineages(languages)
    languages = [x for x, trail in zip(languages, trails, strict=True) if trail[:1] != ("Bookkeeping",)]
    known = features(languages, "uriel-observed").coverage + features(languages, "urielplus-observed").coverage
    return [languages[i] for i in np.flatnonzero(known > 0).tolist()]


NAMED_SETS: dict[str, Callable[[], list[Language]]] = {
    "published-65": _published,
    "embedded": _embedded,
    "all": _all,
}


def read_list(path: str | Path) -> list[Language]:
    """One language to a line, or several separated by commas; what follows ``#`` is a remark.

    Raises:
        DataError: an unknown language, or one listed twice; with the line.
    """
    seen: dict[Language, tuple[int, str]] = {}
    for number, line in read_lines(path):
        for text in line.partition("#")[0].split(","):
            if not text.strip():
                continue
            try:
                language = parse_language(text.strip())
            except LanguageError as error:
                raise DataError(str(error), path, number) from None
            if language in seen:
                where, first = seen[language]
                raise DataError(
                    f"{language.name} ({language.tag}) is listed as {text.strip()!r} and on line {where} as {first!r}; "
                    "keep one of the two",
                    path,
                    number,
                )
            seen[language] = (number, text.strip())
    if not seen:
        raise DataError("lists no language", path)
    return list(seen)


def language_list(text: str) -> list[Language]:
    """A named set, a file, or codes separated by commas or blanks.

    Raises:
        LanguageError: an unknown language, or two spellings of one.
        DataError: the same in a file.
    """
    text = text.strip()
    if text in NAMED_SETS:
        return NAMED_SETS[text]()
    if (len(text) < 5000 and ("/" in text or text.endswith((".txt", ".tsv", ".csv")))) or is_file(text):
        return read_list(text)
    items = [item.strip() for item in text.split(",")] if "," in text else text.split()
    items = [item for item in items if item]
    if not items:
        raise LanguageError("an empty list of languages; expected codes such as deu,fra,swh, a file or a named set")
    if len(items) == 1 and "-" in items[0]:
        hint = did_you_mean(items[0], NAMED_SETS)
        try:
            return [parse_language(items[0])]
        except LanguageError as error:
            raise LanguageError(f"{error}{hint}; named sets are {', '.join(NAMED_SETS)}") from None
    return parse_languages(items)


def read_numbers(path: str | Path, what: str, least: float = 0) -> dict[str, float]:
    """Numbers by ISO 639-3 code from a table: language, number (TSV or CSV; a first row of titles is skipped).

    Args:
        what: what the numbers are, for messages.
        least: the smallest there can be.

    Raises:
        DataError: a line that is not a language and a number, a number below ``least``, a language twice, or none.
    """
    numbers: dict[str, float] = {}
    for number, iso, value in _language_numbers(path, what):
        if value < least:
            raise DataError(f"the {what} of {iso} is {value:g}, expected {least:g} or more", path, number)
        numbers[iso] = value
    return numbers


def _language_numbers(path: str | Path, what: str) -> list[tuple[int, str, float]]:
    """Line, ISO 639-3 code and number of each row."""
    rows: list[tuple[int, str, float]] = []
    lines: dict[str, int] = {}
    for number, line in read_lines(path):
        if not line.strip() or line.startswith("#"):
            continue
        cells = line.split("\t") if "\t" in line else line.split(",")
        if not lines and len(cells) > 1 and _is_title(cells[1]):
            continue
        try:
            if len(cells) != 2:
                raise ValueError
            value = decimal_number(cells[1])
        except ValueError:
            shown = line if len(line) <= 60 else f"{line[:60]}…"
            told = f"{shown!r} is not a language and its {what}, separated by a tab"
            raise DataError(told, path, number) from None
        try:
            iso = parse_language(cells[0].strip()).iso
        except LanguageError as error:
            raise DataError(str(error), path, number) from None
        if iso in lines:
            raise DataError(f"{iso} is there twice, first on line {lines[iso]}; keep one", path, number)
        lines[iso] = number
        rows.append((number, iso, value))
    if not rows:
        raise DataError(f"holds no language; expected lines of a language, a tab and its {what}", path)
    return rows


def _is_title(cell: str) -> bool:
    """Whether a cell of the first row names its column, and is no number that went wrong."""
    word = cell.strip().casefold()
    return any(c.isalpha() for c in word) and not any(c.isdigit() for c in word) and word not in ("nan", "inf", "-inf")


def read_classes(path: str | Path) -> Mapping[str, int]:
    """Resource classes 0 to 5 (Joshi et al. 2020) by ISO 639-3 code.

    Raises:
        DataError: a class that is not 0 to 5; what `read_numbers` raises.
    """
    classes: dict[str, int] = {}
    for number, iso, value in _language_numbers(path, "class"):
        if value not in (0, 1, 2, 3, 4, 5):
            raise DataError(f"{iso} has class {value:g}; expected 0 to 5", path, number)
        classes[iso] = int(value)
    return classes
