"""Typological features of languages, from read-only snapshots that ship with the package.

Snapshots (``data/typology_*.npz``; sources and licences in ``data/typology_LICENCE.md``, made by
``tools/build_typology.py``):

- **uriel**: URIEL as lang2vec 1.1.2 has it (Littell et al. 2017), 7,970 languages × 289 features; observed
  values (mean over sources) and the published kNN completion.
- **urielplus**: URIEL+ 1.3.2 (Khan et al. 2025), integrated, union-aggregated; and its softImpute completion.
- **grambank**: the Grambank v1.0.3 features (Skirgård et al. 2023) among URIEL+'s.
- **places**: coordinates and lineage (Glottolog, through URIEL+).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xrealign.arrays import read_npz
from xrealign.errors import ArtifactError, ConfigError
from xrealign.language import Language, codes_of, parse_language

DATA = Path(__file__).parent.parent / "data"
MISSING = 255
Array = NDArray[np.float32]

# Collections of languages that data sets use like languages: features of the member their data is in.
MEMBER_OF_COLLECTION = {"nah": "nhe", "oto": "ote"}


@dataclass(frozen=True, slots=True)
class FeatureTable:
    """Features of some languages.

    Attributes:
        languages: the rows, N of them.
        names: the F features.
        values: (N, F) float32 between 0 and 1; NaN where nothing is known.
        source: name and version of the data.
        completed: (N, F) true where the value was not observed but filled in; None for tables without that.
    """

    languages: tuple[Language, ...]
    names: tuple[str, ...]
    values: Array
    source: str
    completed: NDArray[np.bool_] | None = None

    @property
    def coverage(self) -> NDArray[np.float64]:
        """Share of features known, per language: (N,). Values that were filled in do not count."""
        gaps = np.isnan(self.values)
        if self.completed is not None:
            gaps |= self.completed
        shares: NDArray[np.float64] = 1 - np.mean(gaps, axis=1)
        return shares


@lru_cache(maxsize=8)
def snapshot(name: str) -> dict[str, Any]:
    """The arrays of ``typology_<name>.npz``, compared with their checksums.

    Raises:
        ArtifactError: the file is damaged.
    """
    path = DATA / f"typology_{name}.npz"
    try:
        return read_npz(path)
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path} is damaged ({error}); install xrealign again") from None


@lru_cache(maxsize=32)
def _strings(name: str, key: str) -> tuple[str, ...]:
    return tuple(snapshot(name)[key].tobytes().decode("utf-8").split("\n"))


@lru_cache(maxsize=8)
def _rows_by_code(name: str, key: str) -> dict[str, int]:
    return {code: row for row, code in enumerate(_strings(name, key))}


def rows_of(language: Language, name: str, key: str) -> list[int]:
    """Rows of the snapshot that describe ``language``: under its own code first, then its other codes."""
    index = _rows_by_code(name, key)
    if language.iso in MEMBER_OF_COLLECTION:
        language = parse_language(MEMBER_OF_COLLECTION[language.iso])
    candidates = list(codes_of(language))
    if language.glottocode:
        candidates.insert(0, language.glottocode)
    return list(dict.fromkeys(index[code] for code in candidates if code in index))


def _first_rows(languages: Sequence[Language], name: str, key: str) -> NDArray[np.int64]:
    """One row for each language, -1 where the snapshot does not know it."""
    return np.array([next(iter(rows_of(language, name, key)), -1) for language in languages], dtype=np.int64)


def _uriel_knn(languages: Sequence[Language]) -> FeatureTable:
    data, names = snapshot("uriel"), _strings("uriel", "feats")
    rows = _first_rows(languages, "uriel", "langs")
    values = np.unpackbits(data["knn"][np.maximum(rows, 0)], axis=1, count=len(names)).astype(np.float32)
    values[rows < 0] = np.nan
    known = np.unpackbits(data["known"], count=len(_strings("uriel", "langs"))).astype(bool)
    position = np.cumsum(known) - 1
    completed = np.ones(values.shape, dtype=bool)
    observed = (rows >= 0) & known[np.maximum(rows, 0)]
    completed[observed] = data["observed"][position[rows[observed]]] == MISSING
    return FeatureTable(tuple(languages), names, values, "URIEL (lang2vec 1.1.2), kNN-completed", completed)


def _uriel_observed(languages: Sequence[Language]) -> FeatureTable:
    data, names = snapshot("uriel"), _strings("uriel", "feats")
    known = np.unpackbits(data["known"], count=len(_strings("uriel", "langs"))).astype(bool)
    position = np.cumsum(known) - 1
    levels = np.append(data["levels"], np.full(256 - len(data["levels"]), np.nan, dtype=np.float32))
    values = np.full((len(languages), len(names)), np.nan, dtype=np.float32)
    for place, language in enumerate(languages):
        for row in rows_of(language, "uriel", "langs"):  # gaps are filled from its other codes: arb from ara
            if known[row]:
                found = levels[data["observed"][position[row]]]
                values[place] = np.where(np.isnan(values[place]), found, values[place])
    return FeatureTable(tuple(languages), names, values, "URIEL (lang2vec 1.1.2), observed values")


def _uriel_family(languages: Sequence[Language]) -> FeatureTable:
    data = snapshot("uriel")
    rows = _first_rows(languages, "uriel", "langs")
    indptr, indices = data["family_indptr"].astype(np.int64), data["family_indices"]
    chosen = [indices[indptr[row] : indptr[row + 1]] if row >= 0 else indices[:0] for row in rows.tolist()]
    used = np.unique(np.concatenate([*chosen, indices[:0]]))
    values = np.zeros((len(languages), len(used)), dtype=np.float32)
    for place, nodes in enumerate(chosen):
        values[place, np.searchsorted(used, nodes)] = 1
    values[[len(nodes) == 0 for nodes in chosen]] = np.nan
    return FeatureTable(tuple(languages), tuple(f"F_{node}" for node in used), values, "URIEL family nodes")


def _by_glottocode(languages: Sequence[Language], name: str, key: str, source: str, fill: bool = True) -> FeatureTable:
    """A table of one-byte values; gaps are filled from the language's other codes unless ``fill`` is false."""
    data, names = snapshot(name), _strings(name, "feats")
    levels = np.full(256, np.nan, dtype=np.float32)
    levels[:2] = (0, 1)
    values = np.full((len(languages), len(names)), np.nan, dtype=np.float32)
    for place, language in enumerate(languages):
        for row in rows_of(language, name, "glottocodes"):
            found = levels[data[key][row]]
            values[place] = np.where(np.isnan(values[place]), found, values[place])
            if not fill:
                break
    return FeatureTable(tuple(languages), names, values, source)


def _urielplus_imputed(languages: Sequence[Language]) -> FeatureTable:
    data, names = snapshot("urielplus"), _strings("urielplus", "feats")
    rows = _first_rows(languages, "urielplus", "glottocodes")
    values = np.unpackbits(data["imputed"][np.maximum(rows, 0)], axis=1, count=len(names)).astype(np.float32)
    values[rows < 0] = np.nan
    completed = data["union"][np.maximum(rows, 0)] == MISSING
    return FeatureTable(tuple(languages), names, values, "URIEL+ 1.3.2, integrated, union, softImpute", completed)


def _urielplus_observed(languages: Sequence[Language]) -> FeatureTable:
    return _by_glottocode(languages, "urielplus", "observed", "URIEL+ 1.3.2, integrated, union, own values")


def _urielplus_union(languages: Sequence[Language]) -> FeatureTable:
    source = "URIEL+ 1.3.2, integrated, union, dialects filled from their language"
    return _by_glottocode(languages, "urielplus", "union", source)


def _grambank(languages: Sequence[Language]) -> FeatureTable:
    return _by_glottocode(languages, "grambank", "observed", "Grambank v1.0.3 as binarised by URIEL+ 1.3.2")


def _script_features(languages: Sequence[Language]) -> FeatureTable:
    return _by_glottocode(languages, "scripts", "observed", "ScriptSource features, URIEL+ 1.3.2")


def uriel_points() -> NDArray[np.float64]:
    """(299, 2) latitudes and longitudes of the points URIEL measures geography from, in degrees."""
    points: NDArray[np.float64] = snapshot("uriel")["points"].astype(np.float64)
    return points


def coastline() -> list[NDArray[np.float64]]:
    """Rings of land, (N, 2) longitudes and latitudes in degrees each (Natural Earth 1:110m)."""
    data = snapshot("coastline")
    return np.split(data["points"].astype(np.float64) / 100, data["starts"].astype(int)[1:-1])


def coordinates(languages: Sequence[Language]) -> NDArray[np.float64]:
    """(N, 2) latitude and longitude in degrees (Glottolog through URIEL+); NaN where there are none."""
    data = snapshot("places")
    places = np.full((len(languages), 2), np.nan)
    for index, language in enumerate(languages):
        for row in rows_of(language, "places", "glottocodes"):
            here = (data["latitude"][row], data["longitude"][row])
            if not np.isnan(here).any():  # Glottolog counts some longitudes from 0 to 360
                places[index] = here[0], (here[1] + 180) % 360 - 180
                break
    return places


def lineages(languages: Sequence[Language]) -> list[tuple[str, ...]]:
    """Glottolog's names from the top-level family down to the closest group, without the language itself.

    An isolate has an empty lineage.
    """
    names = _strings("places", "lineage")
    found = []
    for language in languages:
        rows = rows_of(language, "places", "glottocodes")
        lineage = names[rows[0]] if rows else ""
        found.append(tuple(lineage.split("\t")) if lineage else ())
    return found


def features(languages: Sequence[Language], name: str = "uriel-knn") -> FeatureTable:
    """The feature table ``name`` (a key of :data:`FEATURES`) for ``languages``.

    Raises:
        ConfigError: no table of that name.
    """
    if name not in FEATURES:
        raise ConfigError(f"unknown feature table {name!r}; expected one of {', '.join(FEATURES)}")
    return FEATURES[name](languages)


FEATURES = {
    "uriel-knn": _uriel_knn,
    "uriel-observed": _uriel_observed,
    "uriel-family": _uriel_family,
    "urielplus-imputed": _urielplus_imputed,
    "urielplus-observed": _urielplus_observed,
    "urielplus-union": _urielplus_union,
    "urielplus-script": _script_features,
    "grambank": _grambank,
}
