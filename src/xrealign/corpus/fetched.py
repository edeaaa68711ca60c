"""Parallel text and dictionaries out of fetched sets; every file is checked against its digest before it is read."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from xrealign.corpus.catalogue import CatalogueFile, data_folder_of_user, find_entry
from xrealign.corpus.dictionary import Dictionary, read_dictionary
from xrealign.corpus.embedded import MultiText
from xrealign.corpus.fetch import files_present, verified_files
from xrealign.corpus.readers import read_line_aligned, read_moses
from xrealign.corpus.tmx import read_tmx
from xrealign.errors import DataError
from xrealign.language import Language, parse_language
from xrealign.types import Bitext

LINE_ALIGNED = ("ntrex-128", "tico-19")
MOSES = ("tatoeba",)
DICTIONARIES = ("gatitos", "wiktionary", "xling-eval")
MOST_MALFORMED = 10  # lines of one published dictionary; GATITOS' Mapudungun has one with a single column


def _plainness(file: CatalogueFile) -> tuple[bool, bool, str]:
    """Sorts the versions of one language: the source text, then those of no region, then by name."""
    stem = PurePosixPath(file.name).stem
    return (not stem.startswith("newstest2019-src"), bool(re.search(r"-2\b|[-_.][A-Z]{2}$", stem)), stem)


def _files(identifier: str, allowed: tuple[str, ...], into: Path) -> dict[Language, list[tuple[CatalogueFile, str]]]:
    """language -> its files that are here, the plainest first, each with its path in the set's folder."""
    if identifier not in allowed:
        raise DataError(f"{identifier} holds no such data; sets that do: {', '.join(allowed)}")
    entry = find_entry(identifier)
    present = files_present(entry, into)
    if not present:
        raise DataError(f"{identifier} is not in {into}; get it with: xrealign data get {identifier}")
    found: dict[Language, list[tuple[CatalogueFile, str]]] = {}
    for file in sorted(entry.files, key=_plainness):
        if file.language and file.name in present:
            found.setdefault(file.language, []).append((file, present[file.name]))
    return found


def _pick(identifier: str, language: Language, known: dict[Language, list[tuple[CatalogueFile, str]]]) -> list[str]:
    if language not in known:
        raise DataError(f"{identifier} has nothing in {language.tag} among the {len(known)} languages fetched")
    return [path for _, path in known[language]]


def fetched_multitext(identifier: str, into: Path | None = None) -> MultiText:
    """NTREX-128 or TICO-19, one file for each language; where there are several, the one of no region.

    Args:
        identifier: ``ntrex-128`` or ``tico-19``.
        into: folder of fetched sets; None for the user's.

    Raises:
        DataError: another set, or one that was not fetched.
        ArtifactError: a file has changed since it was fetched.
    """
    into = into or data_folder_of_user()
    chosen = {language: files[0][1] for language, files in _files(identifier, LINE_ALIGNED, into).items()}
    paths = verified_files(identifier, into, set(chosen.values()))
    if any(name.endswith(".tmx.zip") for name in chosen.values()):
        return _tmx_multitext(identifier, {x: paths[name] for x, name in sorted(chosen.items())})
    return read_line_aligned({language: paths[name] for language, name in sorted(chosen.items())}, identifier)


def _tmx_multitext(identifier: str, paths: dict[Language, Path]) -> MultiText:
    """Joins translation memories from English by the ids of their units; English as in the first of them."""
    english = parse_language("eng")
    texts: dict[Language, dict[str, str]] = {english: {}}
    for language, path in paths.items():
        if path.name.endswith(".tmx.zip"):
            pairs = read_tmx(path, english, language)
            texts[language] = {pair.id: pair.tgt for pair in pairs}
            texts[english] = {pair.id: pair.src for pair in pairs} | texts[english]
    return MultiText(identifier, tuple(texts[english]), texts)


def fetched_bitext(identifier: str, language: Language, into: Path | None = None) -> Bitext:
    """English and another language out of the Tatoeba retrieval sets.

    Raises:
        DataError: another set, one that was not fetched, or a language it does not have.
        ArtifactError: a file has changed since it was fetched.
    """
    into = into or data_folder_of_user()
    names = _pick(identifier, language, _files(identifier, MOSES, into))
    code = PurePosixPath(names[0]).name.split(".")[1]
    pair = [name for name in names if PurePosixPath(name).name.split(".")[1] == code]
    english = next(name for name in pair if name.endswith(".eng"))
    other = next(name for name in pair if name != english)
    paths = verified_files(identifier, into, {english, other})
    return read_moses(paths[english], paths[other], parse_language("eng"), language)


def fetched_dictionary(identifier: str, language: Language, into: Path | None = None) -> Dictionary:
    """English to another language out of GATITOS, Wiktionary or the lexicon test sets.

    Raises:
        DataError: another set, one that was not fetched, a language it does not have, or more malformed lines than
            MOST_MALFORMED (so many are left out and counted in ``dropped``).
        ArtifactError: a file has changed since it was fetched.
    """
    into = into or data_folder_of_user()
    name = _pick(identifier, language, _files(identifier, DICTIONARIES, into))[0]
    path = verified_files(identifier, into, {name})[name]
    return read_dictionary(path, parse_language("eng"), language, MOST_MALFORMED)
