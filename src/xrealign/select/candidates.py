"""Lists of languages as users name them: codes, a file, or a named set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from xrealign.errors import DataError, LanguageError, did_you_mean
from xrealign.language import Language, all_languages, parse_language, parse_languages
from xrealign.select.features import features, lineages
from xrealign.textio import read_lines

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
    if ("/" in text or text.endswith((".txt", ".tsv", ".csv"))) or (len(text) < 200 and Path(text).is_file()):
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


def read_numbers(path: str | Path, what: str) -> dict[str, float]:
    """Numbers by ISO 639-3 code from a table: language, number (TSV or CSV; a first row of titles is skipped).

    Raises:
        DataError: a line that is not a language and a number.
    """
    numbers: dict[str, float] = {}
    for number, line in read_lines(path):
        if not line.strip() or line.startswith("#"):
            continue
        cells = line.split("\t") if "\t" in line else line.split(",")
        try:
            value = float(cells[1]) if len(cells) > 1 else None
        except ValueError:
            value = None
        if value is None and number == 1:
            continue
        if value is None or not np.isfinite(value):
            raise DataError(f"{line!r} is not a language and its {what}, separated by a tab", path, number)
        try:
            iso = parse_language(cells[0].strip()).iso
        except LanguageError as error:
            raise DataError(str(error), path, number) from None
        if iso in numbers:
            raise DataError(f"{iso} is there twice", path, number)
        numbers[iso] = value
    return numbers


def read_classes(path: str | Path) -> Mapping[str, int]:
    """Resource classes 0 to 5 (Joshi et al. 2020) by ISO 639-3 code.

    Raises:
        DataError: a class that is not 0 to 5.
    """
    numbers = read_numbers(path, "class")
    for iso, value in numbers.items():
        if value not in (0, 1, 2, 3, 4, 5):
            raise DataError(f"{iso} has class {value:g}; expected 0 to 5", path)
    return {iso: int(value) for iso, value in numbers.items()}
