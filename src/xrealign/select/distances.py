"""Distances between languages: from typological features, descent, place, script, or a user's own matrix.

Feature distances are angular, ``2·arccos(cos(u, v))/π`` between 0 (same direction) and 1 (nothing in common),
as URIEL (Littell et al. 2017) and URIEL+ (Khan et al. 2025) define them. Two vectors of zeros are at distance 0,
one of zeros and another one at distance 1 (URIEL+ puts a constant vector in place of zeros instead).

What is missing stays missing. The policy is named in every result:

- ``imputed``: the table has no gaps (kNN or softImpute completion);
- ``pairwise``: each pair is compared on the features known of both; languages without data are dropped;
- ``refuse``: a gap is an error that names the languages.

No torch here: distances from a model or a tokenizer arrive as a matrix; see ``matrices.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from xrealign.errors import ConfigError, DataError, did_you_mean
from xrealign.language import Language
from xrealign.select.features import FeatureTable, coordinates, features, lineages, uriel_points
from xrealign.textio import decimal_number

Matrix = NDArray[np.float64]
POLICIES = ("imputed", "pairwise", "refuse")


@dataclass(frozen=True, slots=True)
class Distances:
    """Distances between all pairs of some languages.

    Attributes:
        languages: N languages, those without data left out.
        matrix: (N, N) symmetric, zero diagonal.
        name: what was measured.
        source: name and version of the data.
        missing: the policy used.
        coverage: share of the features known, per language (N,).
        dropped: languages asked for but left out, with the reason.
    """

    languages: tuple[Language, ...]
    matrix: Matrix
    name: str
    source: str
    missing: str
    coverage: NDArray[np.float64]
    dropped: dict[Language, str] = field(default_factory=dict)


def angular(values: NDArray[np.float32] | Matrix) -> Matrix:
    """Angular distances between the rows of a complete (N, F) table: (N, N), between 0 and 1."""
    exact = values.dtype == np.float32 and not np.any((values != 0) & (values != 1))
    if exact:  # counts below 2**24 are exact in float32
        products = (values @ values.T).astype(np.float64)
    else:
        products = values.astype(np.float64) @ values.astype(np.float64).T
    lengths = np.sqrt(np.diag(products))
    zero = lengths == 0
    inverse = 1 / np.where(zero, 1.0, lengths)
    products *= inverse[:, None]
    products *= inverse[None, :]
    np.clip(products, -1, 1, out=products)
    result: Matrix = np.arccos(products, out=products)
    result += result.T  # rounding differs between the two halves
    result *= 1 / np.pi
    if zero.any():
        result[np.ix_(zero, zero)] = 0
    np.fill_diagonal(result, 0)
    return result


def _angles(products: Matrix, left: Matrix, right: Matrix) -> Matrix:
    """Distances from inner products and squared norms, (N,) or (N, N) each."""
    left = left[:, None] if left.ndim == 1 else left
    right = right[None, :] if right.ndim == 1 else right
    scale = np.sqrt(left * right)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = products / scale
    cosine = np.where(scale > 0, cosine, np.where((left == 0) & (right == 0), 1.0, 0.0))
    np.clip(cosine, -1, 1, out=cosine)
    result: Matrix = np.arccos(cosine, out=cosine)
    result *= 2 / np.pi
    result = (result + result.T) / 2
    np.fill_diagonal(result, 0)
    return result


def angular_pairwise(values: NDArray[np.float32]) -> tuple[Matrix, NDArray[np.int64]]:
    """Angular distances on the features known of both, and how many those are.

    Returns:
        (N, N) distances, NaN where no feature is known of both, and (N, N) counts.
    """
    known = (~np.isnan(values)).astype(np.float32)
    filled = np.nan_to_num(values).astype(np.float64)
    shared = np.rint(known @ known.T).astype(np.int64)
    squares = (filled**2) @ known.T.astype(np.float64)  # squared norm of i on the features known of j
    result = _angles(filled @ filled.T, squares, squares.T)
    result[shared == 0] = np.nan
    np.fill_diagonal(result, 0)
    return result, shared


def _complete_or_drop(table: FeatureTable, name: str, missing: str, source: str | None = None) -> Distances:
    """Applies the policy for gaps to one feature table."""
    languages, values = table.languages, table.values
    gaps = np.isnan(values)
    empty = gaps.all(axis=1)
    dropped = {languages[i]: f"no data in {table.source}" for i in np.flatnonzero(empty)}
    if missing == "refuse" and gaps.any():
        bad = [languages[i].iso for i in np.flatnonzero(gaps.any(axis=1))]
        raise DataError(
            f"{table.source} has gaps for {len(bad)} of {len(languages)} languages ({_some(bad)}); "
            "use the policy 'pairwise', an imputed distance, or other candidates"
        )
    keep = np.flatnonzero(~empty)
    coverage = table.coverage[keep]
    if not gaps[keep].any():
        matrix = angular(values[keep] if len(dropped) else values)
    else:
        if missing == "imputed":
            bad = [languages[i].iso for i in keep[gaps[keep].any(axis=1)]]
            raise DataError(f"{table.source} is not complete for {_some(bad)}; use the policy 'pairwise'")
        matrix, _ = angular_pairwise(values[keep])
        while np.isnan(matrix).any():  # the language with most undefined pairs goes, until none is left
            worst = int(np.isnan(matrix).sum(axis=1).argmax())
            dropped[languages[keep[worst]]] = f"shares no known feature with some others in {table.source}"
            rest = np.arange(len(keep)) != worst
            keep, matrix, coverage = keep[rest], matrix[np.ix_(rest, rest)], coverage[rest]
    kept = tuple(languages[i] for i in keep)
    return Distances(kept, matrix, name, source or table.source, missing, coverage, dropped)


def _some(names: list[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _featural(languages: Sequence[Language], name: str, table_name: str, prefix: str, missing: str) -> Distances:
    table = features(languages, table_name)
    if prefix:
        columns = [index for index, feature in enumerate(table.names) if feature.startswith(prefix)]
        names = tuple(table.names[index] for index in columns)
        completed = None if table.completed is None else table.completed[:, columns]
        table = FeatureTable(table.languages, names, table.values[:, columns], table.source, completed)
    return _complete_or_drop(table, name, missing)


def _genetic(languages: Sequence[Language], name: str, missing: str) -> Distances:
    """Angular distance between sets of Glottolog nodes; an isolate shares no node with anybody (distance 1).

    As URIEL+'s genetic distance, but each language is a node too: there, sisters are at distance 0.
    """
    known = [language for language in languages if language.glottocode]
    dropped = {language: "no glottocode" for language in languages if not language.glottocode}
    trails = lineages(known)
    column: dict[tuple[str, ...], int] = {}
    for trail in trails:
        for depth in range(len(trail)):
            column.setdefault(trail[: depth + 1], len(column))
    own = len(column)
    values = np.zeros((len(known), own + len(known)), dtype=np.float32)
    for row, trail in enumerate(trails):
        for depth in range(len(trail)):
            values[row, column[trail[: depth + 1]]] = 1
        values[row, own + row] = 1  # the language itself, so that sisters are apart
    matrix = angular(values)
    return Distances(
        tuple(known), matrix, name, "Glottolog lineage (URIEL+ 1.3.2)", missing, np.ones(len(known)), dropped
    )


def _uriel_genetic(languages: Sequence[Language], name: str, missing: str) -> Distances:
    return _complete_or_drop(features(languages, "uriel-family"), name, "pairwise")


def _unit(places: Matrix) -> Matrix:
    """(N, 2) latitudes and longitudes in degrees as points on the unit sphere, (N, 3)."""
    lat, lon = np.radians(places).T
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)


def great_circle(places: Matrix) -> Matrix:
    """Great-circle distances between (N, 2) latitudes and longitudes in degrees, as a share of half the equator."""
    points = _unit(places)
    result: Matrix = np.arccos(np.clip(points @ points.T, -1, 1)) / np.pi
    np.fill_diagonal(result, 0)
    return result


def _geographic(languages: Sequence[Language], name: str, missing: str) -> Distances:
    places = coordinates(languages)
    known = ~np.isnan(places).any(axis=1)
    dropped = {languages[i]: "no coordinates" for i in np.flatnonzero(~known).tolist()}
    kept = tuple(languages[i] for i in np.flatnonzero(known).tolist())
    source = "Glottolog coordinates (URIEL+ 1.3.2)"
    return Distances(kept, great_circle(places[known]), name, source, missing, np.ones(len(kept)), dropped)


def _uriel_geographic(languages: Sequence[Language], name: str, missing: str) -> Distances:
    """URIEL's: the angle between vectors of great-circle distances to 299 fixed points on the globe."""
    places = coordinates(languages)
    known = ~np.isnan(places).any(axis=1)
    dropped = {languages[i]: "no coordinates" for i in np.flatnonzero(~known).tolist()}
    kept = tuple(languages[i] for i in np.flatnonzero(known).tolist())
    ahead = _unit(uriel_points()) @ _unit(places[known]).T
    matrix = angular(np.arccos(np.clip(ahead.T, -1, 1)) / np.pi)
    source = "URIEL's fixed points, Glottolog coordinates (URIEL+ 1.3.2)"
    return Distances(kept, matrix, name, source, missing, np.ones(len(kept)), dropped)


def _script(languages: Sequence[Language], name: str, missing: str) -> Distances:
    scripts = np.array([language.script for language in languages])
    matrix = (scripts[:, None] != scripts[None, :]).astype(np.float64)
    source = "ISO 15924 scripts (0 same, 1 different)"
    return Distances(tuple(languages), matrix, name, source, missing, np.ones(len(languages)))


def _urielplus_script(languages: Sequence[Language], name: str, missing: str) -> Distances:
    return _complete_or_drop(features(languages, "urielplus-script"), name, missing)


def _grambank(languages: Sequence[Language], name: str, missing: str) -> Distances:
    return _complete_or_drop(features(languages, "grambank"), name, missing)


PARTS = {"featural": "", "syntactic": "S_", "phonological": "P_", "inventory": "INV_", "morphological": "M_"}
FOUR = ("featural", "syntactic", "phonological", "inventory")
TABLES = {
    "uriel": ("uriel-knn", "imputed", FOUR),
    "uriel-observed": ("uriel-observed", "pairwise", FOUR),
    "urielplus": ("urielplus-imputed", "imputed", (*FOUR, "morphological")),
    "urielplus-observed": ("urielplus-observed", "pairwise", (*FOUR, "morphological")),
    "urielplus-union": ("urielplus-union", "pairwise", (*FOUR, "morphological")),
}
OTHERS = {
    "grambank": (_grambank, "pairwise"),
    "genetic": (_genetic, "imputed"),
    "uriel-genetic": (_uriel_genetic, "imputed"),
    "geographic": (_geographic, "imputed"),
    "uriel-geographic": (_uriel_geographic, "imputed"),
    "script": (_script, "imputed"),
    "urielplus-script": (_urielplus_script, "pairwise"),
}


def distance_names() -> list[str]:
    """Every name :func:`distances` knows."""
    return [f"{table}-{part}" for table, (_, _, parts) in TABLES.items() for part in parts] + list(OTHERS)


def distances(languages: Sequence[Language], name: str = "uriel-featural", missing: str | None = None) -> Distances:
    """Distances ``name`` between ``languages``; ``missing`` is one of :data:`POLICIES`, by default the table's own.

    ``name`` is one of :func:`distance_names`, the path of a matrix file, or a weighted mean of several:
    ``uriel-featural=2,geographic=1``.

    Raises:
        ConfigError: unknown name or policy.
        DataError: gaps under the policy ``refuse``, or a damaged file.
    """
    if missing is not None and missing not in POLICIES:
        raise ConfigError(f"unknown policy for missing values {missing!r}; expected one of {', '.join(POLICIES)}")
    if name in OTHERS:
        measure, default = OTHERS[name]
        return measure(languages, name, missing or default)
    table, _, part = name.rpartition("-")
    if table in TABLES and part in TABLES[table][2]:
        source, default, _ = TABLES[table]
        return _featural(languages, name, source, PARTS[part], missing or default)
    if "=" in name:
        return _weighted(languages, name, missing)
    if name.endswith((".tsv", ".npz", ".txt")) or "/" in name:
        from xrealign.select.matrices import distances_from_file

        return distances_from_file(languages, name)
    known = distance_names()
    raise ConfigError(
        f"unknown distance {name!r}; expected a matrix file (.tsv, .npz) or one of {', '.join(known)}"
        + did_you_mean(name, known)
    )


def is_negative_type(name: str) -> bool:
    """Whether Σ x_i x_j d_ij is known to be concave where Σx is constant.

    So it is for angles between complete vectors, great circles (both embed isometrically in L1) and for
    same or different; and for their weighted means.
    """
    parts = [item.partition("=")[0].strip() for item in name.split(",")]
    safe = ("uriel", "urielplus", "genetic", "geographic", "uriel-geographic", "script")
    return all(part in safe or part.rpartition("-")[0] in ("uriel", "urielplus") for part in parts)


def _weighted(languages: Sequence[Language], name: str, missing: str | None) -> Distances:
    """The weighted mean of several distances, on the languages that all of them know."""
    parts: list[tuple[float, Distances]] = []
    for item in name.split(","):
        single, _, number = item.strip().partition("=")
        try:
            weight = decimal_number(number)
        except ValueError:
            raise ConfigError(f"the weight of distance {single!r} is {number[:40]!r}; expected a number") from None
        if weight <= 0:
            raise ConfigError(f"the weight of distance {single} is {number}; expected more than 0")
        parts.append((weight, distances(languages, single, missing)))
    dropped = {language: reason for _, part in parts for language, reason in part.dropped.items()}
    kept = tuple(language for language in languages if language not in dropped)
    total = sum(weight for weight, _ in parts)
    matrix = np.zeros((len(kept), len(kept)))
    coverage = np.ones(len(kept))
    for weight, part in parts:
        place = {language: index for index, language in enumerate(part.languages)}
        index = np.array([place[language] for language in kept], dtype=np.int64)
        matrix += weight / total * part.matrix[np.ix_(index, index)]
        coverage = np.minimum(coverage, part.coverage[index])
    source = "; ".join(part.source for _, part in parts)
    policies = "/".join(dict.fromkeys(part.missing for _, part in parts))
    return Distances(kept, matrix, name, source, policies, coverage, dropped)
