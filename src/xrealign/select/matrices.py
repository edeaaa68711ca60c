"""Distances that come from elsewhere: a user's matrix, a model's sentence vectors, a tokenizer's subwords.

No torch: vectors and counts arrive as numpy arrays from whoever has the encoder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xrealign.arrays import read_npz
from xrealign.errors import DataError, LanguageError
from xrealign.language import Language, parse_language
from xrealign.select.distances import Distances, Matrix
from xrealign.textio import check_regular, decimal_number, read_lines, reason
from xrealign.writing import write_atomic


def read_matrix(path: str | Path) -> tuple[list[Language], Matrix]:
    """A square distance matrix: TSV whose first row and first column name the languages, or npz.

    An npz holds ``languages`` (an array of strings) and ``matrix``. An empty TSV cell is a missing distance (NaN).

    Raises:
        DataError: not square, negative, infinite, not symmetric, a diagonal that is not zero, an unknown language.
    """
    path = Path(path)
    if path.suffix == ".npz":
        names, matrix = _read_npz(path)
        lines = None
    else:
        names, matrix, lines = _read_tsv(path)
    languages: dict[Language, str] = {}
    for position, name in enumerate(names):
        line = lines[position] if lines else None
        try:
            language = parse_language(name)
        except LanguageError as error:
            raise DataError(str(error), path, line) from None
        if language in languages:
            told = f"{language.tag} is there twice, as {languages[language]!r} and as {name!r}; keep one"
            raise DataError(told, path, line)
        languages[language] = name
    if matrix.shape != (len(names), len(names)):
        raise DataError(f"an array of shape {matrix.shape} for {len(names)} languages; expected a square", path)
    _check_distances(names, matrix, path, lines)
    return list(languages), (matrix + matrix.T) / 2


def _check_distances(names: Sequence[str], matrix: Matrix, path: Path, lines: Sequence[int] | None) -> None:
    """Raises: DataError: a distance that is impossible; the message names the first."""
    known = ~np.isnan(matrix)
    faults = (
        (known & ~(np.isfinite(matrix) & (matrix >= 0)), "expected a finite number, 0 or more"),
        (known & np.eye(len(names), dtype=bool) & (np.abs(matrix) > 1e-9), "expected 0; are these similarities?"),
    )
    for wrong, expected in faults:
        if wrong.any():
            i, j = np.argwhere(wrong)[0].tolist()
            told = f"the distance of {names[i]} and {names[j]} is {matrix[i, j]:g}, {expected}"
            raise DataError(told, path, lines[i] if lines else None)
    wrong = ~np.isclose(matrix, matrix.T, atol=1e-6, equal_nan=True)
    if wrong.any():
        i, j = np.argwhere(wrong)[0].tolist()
        both = f"{matrix[i, j]:g} one way and {matrix[j, i]:g} the other"
        told = f"the distance of {names[i]} and {names[j]} is {both}; expected the same value both ways"
        raise DataError(told, path, lines[i] if lines else None)


def _read_npz(path: Path) -> tuple[list[str], Matrix]:
    try:
        check_regular(path)
        arrays = read_npz(path)
    except OSError as error:
        raise DataError(f"cannot be read: {reason(error)}", path) from None
    except ValueError as error:
        raise DataError(f"cannot be read as npz: {error}", path) from None
    if not {"languages", "matrix"} <= set(arrays):
        raise DataError(f"holds {', '.join(arrays)}; expected languages and matrix", path)
    names, matrix = arrays["languages"], arrays["matrix"]
    if names.ndim != 1 or names.dtype.kind != "U":
        told = f"languages is an array of {names.dtype} of shape {names.shape}, expected a row of strings"
        raise DataError(told, path)
    if matrix.dtype.kind not in "fiu":
        raise DataError(f"matrix is an array of {matrix.dtype}, expected numbers", path)
    return [str(name) for name in names], matrix.astype(np.float64)


def _read_tsv(path: Path) -> tuple[list[str], Matrix, list[int]]:
    rows = [(number, line.split("\t")) for number, line in read_lines(path) if line.strip()]
    if not rows:
        raise DataError("is empty; expected a first row that names the languages", path)
    header = rows[0][1][1:]
    names, values, lines = [], [], []
    for number, cells in rows[1:]:
        if len(cells) != len(header) + 1:
            raise DataError(f"{len(cells)} cells; expected {len(header) + 1}", path, number)
        names.append(cells[0])
        lines.append(number)
        try:
            values.append([decimal_number(cell) if cell.strip() else np.nan for cell in cells[1:]])
        except ValueError as error:
            raise DataError(f"{error}; an empty cell is a missing distance", path, number) from None
    if names != header or not names:
        raise DataError("the first row and the first column name different languages, or in another order", path)
    return names, np.array(values, dtype=np.float64).reshape(len(names), len(header)), lines


def write_matrix(path: str | Path, languages: Sequence[Language], matrix: Matrix) -> None:
    """Writes a matrix that :func:`read_matrix` reads back, as TSV."""
    lines = ["\t".join(["", *(language.tag for language in languages)])]
    for language, row in zip(languages, matrix.tolist(), strict=True):
        cells = ("" if np.isnan(value) else repr(value) for value in row)
        lines.append("\t".join([language.tag, *cells]))
    write_atomic(path, "\n".join(lines) + "\n")


def distances_from_file(languages: Sequence[Language], path: str | Path) -> Distances:
    """The part of a matrix file that concerns ``languages``; those not in it, or with gaps, are dropped."""
    known, matrix = read_matrix(path)
    place = {language: index for index, language in enumerate(known)}
    by_iso = {language.iso: index for index, language in enumerate(known)}
    rows = {x: place.get(x, by_iso.get(x.iso, -1)) for x in languages}
    dropped = {x: f"no row in {path}" for x, row in rows.items() if row < 0}
    kept = [x for x in languages if x not in dropped]
    index = np.array([rows[x] for x in kept], dtype=np.int64)
    part = matrix[np.ix_(index, index)]
    while np.isnan(part).any():
        worst = int(np.isnan(part).sum(axis=1).argmax())
        dropped[kept[worst]] = f"a missing distance in {path}"
        rest = np.arange(len(kept)) != worst
        kept, part = [x for x, keep in zip(kept, rest, strict=True) if keep], part[np.ix_(rest, rest)]
    part = part.copy()
    np.fill_diagonal(part, 0)
    return Distances(tuple(kept), part, str(path), str(path), "pairwise", np.ones(len(kept)), dropped)


def cosine_distances(sentence_vectors: Mapping[Language, NDArray[np.floating]]) -> tuple[list[Language], Matrix]:
    """1 − mean cosine of parallel sentences: mPLM-Sim (Lin et al. 2024), similarity of languages to a model.

    ``sentence_vectors`` holds (S, D) mean-pooled vectors of one layer per language; row s is the same sentence in
    every language. Cosines below 0 count as they are, so a distance may exceed 1.

    Raises:
        DataError: languages with different numbers of sentences, or a vector of zeros.
    """
    languages = sorted(sentence_vectors)
    shapes = {sentence_vectors[language].shape for language in languages}
    if len(shapes) != 1:
        raise DataError(
            f"sentence vectors of different shapes {sorted(shapes)}; give every language the same sentences"
        )
    unit = []
    for language in languages:
        vectors = sentence_vectors[language].astype(np.float64)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not (norms > 0).all():
            raise DataError(f"{language.tag}: sentence {int(norms.ravel().argmin())} has a vector of zeros")
        unit.append(vectors / norms)
    stacked = np.stack(unit).reshape(len(languages), -1)
    result: Matrix = 1 - stacked @ stacked.T / next(iter(shapes))[0]
    np.fill_diagonal(result, 0)
    return languages, np.maximum((result + result.T) / 2, 0)


def subword_distances(counts: Mapping[Language, Mapping[str, int]]) -> tuple[list[Language], Matrix]:
    """1 − overlap of subword distributions: Σ min(p, q), one minus total variation.

    ``counts`` says how often a tokenizer's subwords occur in comparable text of each language.
    """
    languages = sorted(counts)
    vocabulary = {subword: column for column, subword in enumerate(sorted({s for c in counts.values() for s in c}))}
    shares = np.zeros((len(languages), len(vocabulary)))
    for row, language in enumerate(languages):
        total = sum(counts[language].values())
        if total <= 0:
            raise DataError(f"{language.tag} has no subwords; give it some text")
        for subword, count in counts[language].items():
            shares[row, vocabulary[subword]] = count / total
    result = np.zeros((len(languages), len(languages)))
    for row in range(len(languages)):
        result[row] = 1 - np.minimum(shares[row], shares).sum(axis=1)
    np.fill_diagonal(result, 0)
    return languages, np.clip((result + result.T) / 2, 0, 1)


def fertility_distances(fertility: Mapping[Language, float]) -> tuple[list[Language], Matrix]:
    """|log ratio| of fertilities (subwords per word, Rust et al. 2021), divided by the largest so that it ends at 1."""
    languages = sorted(fertility)
    values = np.array([fertility[language] for language in languages], dtype=np.float64)
    if not (values > 0).all():
        raise DataError("a fertility is not above 0; it counts subwords per word")
    logs = np.log(values)
    result: Matrix = np.abs(logs[:, None] - logs[None, :])
    return languages, result / max(float(result.max(initial=0.0)), 1e-12)
