"""The catalogue of data: what there is, where it comes from, under which licence, and what is here already."""

from __future__ import annotations

import functools
import tomllib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xrealign.corpus.embedded import (
    DATA,
    cldr_keywords,
    cldr_names,
    embedded_counts,
    udhr_articles,
    udhr_segments,
)
from xrealign.errors import DataError, did_you_mean
from xrealign.language import Language, parse_language
from xrealign.paths import cache_folder


@dataclass(frozen=True, slots=True)
class CatalogueFile:
    """One file of a fetched set.

    Attributes:
        name: path of the original inside its repository.
        language: the language it is in (the other one, where English is one of two), or None.
        url: address of the original, or None where it is only in the data pack.
        sha256: digest of the original, or None where nobody has recorded it yet.
        pack: path of the converted file inside a data pack, or None.
        pack_sha256: the first 16 digits, or all, of that file's digest.
    """

    name: str
    language: Language | None
    url: str | None
    sha256: str | None
    pack: str | None
    pack_sha256: str | None


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """One set of data.

    Attributes:
        id: its name for ``xrealign data get``.
        title: what it is, in a line.
        kind: ``embedded`` in the package, ``package`` (a dependency brings it) or ``fetched``.
        revision: version or commit.
        url: its home.
        sha256: digests of the original archives by their names; fetched sets have theirs in ``files``.
        form: format of the original files.
        reader: what reads it here; empty where nothing does yet.
        converter: what turned the original into the embedded form, or empty.
        licence: under which terms.
        citation: what to cite.
        use: what it may be used for.
        archive: path of the set's archive inside a data pack, or empty.
        archive_prefix: what stands before the originals' names in that archive.
        files: the files of a fetched set.
    """

    id: str
    title: str
    kind: str
    revision: str
    url: str
    form: str
    reader: str
    converter: str
    licence: str
    citation: str
    use: str
    sha256: Mapping[str, str] = field(default_factory=dict)
    archive: str = ""
    archive_prefix: str = ""
    files: tuple[CatalogueFile, ...] = ()

    @property
    def languages(self) -> tuple[Language, ...]:
        """The languages it has text in, sorted; empty for sets that are not text of a language."""
        found = {file.language for file in self.files if file.language}
        return tuple(sorted(found.union(*(table().texts for table in EMBEDDED.get(self.id, ())))))


def _file(cells: list[str]) -> CatalogueFile:
    name, language, url, sha256, pack, pack_sha256 = (None if cell == "-" else cell for cell in cells)
    tag = parse_language(language) if language else None
    return CatalogueFile(name or "", tag, url, sha256, pack, pack_sha256)


@functools.cache
def catalogue() -> dict[str, CatalogueEntry]:
    """Every set by its id, in the catalogue's order."""
    files = defaultdict(list)
    for line in (DATA / "catalogue_files.tsv").read_text("utf-8").splitlines()[1:]:
        identifier, *cells = line.split("\t")
        files[identifier].append(_file(cells))
    entries: dict[str, dict[str, Any]] = tomllib.loads((DATA / "catalogue.toml").read_text("utf-8"))
    return {
        identifier: CatalogueEntry(id=identifier, files=tuple(files[identifier]), **fields)
        for identifier, fields in entries.items()
    }


def find_entry(identifier: str) -> CatalogueEntry:
    """The set of that id.

    Raises:
        DataError: there is none; names the nearest.
    """
    entries = catalogue()
    if identifier not in entries:
        hint = did_you_mean(identifier, entries) or f"; there are {', '.join(entries)}"
        raise DataError(f"no data set {identifier!r} in the catalogue{hint}")
    return entries[identifier]


def data_folder_of_user() -> Path:
    """Where fetched sets are kept: ``data`` in the user's cache."""
    return cache_folder() / "data"


def get(name: str, from_folder: str | Path | None = None) -> Path:
    """Fetches a set into the user's cache, or takes it from a local copy; returns its folder.

    Args:
        name: id of a fetched set.
        from_folder: take the files from there instead of the net: a copy of the originals, or a data pack.

    Raises:
        DataError: no such set, a set that is not fetched, or what ``fetch`` raises.
    """
    from xrealign.corpus.fetch import fetch

    return fetch(name, data_folder_of_user(), from_folder=from_folder)


def data_table(language: Language | None = None) -> list[dict[str, Any]]:
    """What there is for each language, one row each, sorted by tag; or for one language only.

    Columns: ``language`` (tag), ``name``, ``udhr-segments``, ``udhr-articles``, ``cldr-names``, ``cldr-keywords``
    (how many texts are embedded), ``fetched`` (ids of the sets that are in the cache with a file in the
    language), ``available`` (ids of those that ``get`` could fetch).
    """
    from xrealign.corpus.fetch import files_present

    counts = embedded_counts()
    here: dict[Language, list[str]] = defaultdict(list)
    there: dict[Language, list[str]] = defaultdict(list)
    for entry in catalogue().values():
        if entry.kind != "fetched":
            continue
        present = files_present(entry, data_folder_of_user())
        got = {file.language for file in entry.files if file.name in present and file.language}
        for known in entry.languages:
            (here if known in got else there)[known].append(entry.id)
    wanted = sorted({*counts, *here, *there}) if language is None else [language]
    return [
        {
            "language": known.tag,
            "name": known.name,
            **{
                table: counts.get(known, {}).get(table, 0)
                for table in ("udhr-segments", "udhr-articles", "cldr-names", "cldr-keywords")
            },
            "fetched": here[known],
            "available": there[known],
        }
        for known in wanted
    ]


EMBEDDED = {"udhr": (udhr_segments, udhr_articles), "cldr": (cldr_names, cldr_keywords)}
