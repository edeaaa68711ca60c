"""A selection made ready to solve: candidates, distances and conditions as one problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xrealign.errors import ConfigError
from xrealign.language import Language, notes_on
from xrealign.select.conditions import Conditions, allowed, limits_of
from xrealign.select.criteria import Setting, build_problem, is_minimised, parse_criterion
from xrealign.select.distances import Distances, distances
from xrealign.select.problem import Indices, Matrix, Problem


@dataclass(frozen=True, slots=True)
class Task:
    """A selection made ready to solve: the same numbers serve choosing, explaining and drawing."""

    languages: list[Language]
    fixed: list[Language]
    targets: list[Language]
    distances: Distances
    setting: Setting
    solved: Problem
    shown: Problem
    weights: dict[str, float]
    criterion: str
    distance: str
    notes: list[str]

    @property
    def sign(self) -> float:
        """−1 where the reported value is made small."""
        return -1.0 if is_minimised(self.weights) else 1.0

    @property
    def names(self) -> list[str]:
        """ISO codes of the candidates."""
        return [language.iso for language in self.languages]


def prepare(
    candidates: Sequence[Language],
    k: int,
    fixed: Sequence[Language] = (),
    criterion: str = "maxsum",
    distance: str = "uriel-featural",
    *,
    targets: Sequence[Language] = (),
    conditions: Conditions | None = None,
    seen: frozenset[str] | None = None,
    resources: Mapping[str, int] | None = None,
    missing: str | None = None,
    min_known: float = 0.0,
) -> Task:
    """The problem behind :func:`select_languages`, not yet solved.

    Raises:
        ConfigError: impossible settings.
    """
    conditions = conditions or Conditions()
    weights = parse_criterion(criterion)
    if k < 1:
        raise ConfigError(f"k = {k}; expected at least 1")
    fixed = sorted(set(fixed))
    targets = sorted(set(targets))
    clash = sorted(set(conditions.require) & set(fixed))
    if clash:
        raise ConfigError(f"{clash[0].iso} is both fixed and required; fixed members are not chosen")
    wanted, out = allowed([x for x in sorted(set(candidates)) if x not in set(fixed)], conditions)
    notes = notes_on([*wanted, *fixed])
    if len(notes) > 10:  # what concerns the chosen ones is said again with them
        notes = [f"{len(notes)} times a macrolanguage and its member, or one language in two scripts, are candidates"]
    if out and conditions.min_sentences > 0:
        few = [language.iso for language, reason in out.items() if reason != "excluded"]
        if few:
            notes.append(f"left out for too few sentences: {len(few)} ({', '.join(few)})")
    if "same-script" in weights:
        script = fixed[0].script if fixed else "Latn"
        other = [language for language in wanted if language.script != script]
        wanted = [language for language in wanted if language.script == script]
        notes.append(f"left out for another script than {script}: {len(other)}")
    found = distances(list(dict.fromkeys([*wanted, *fixed, *targets])), distance, missing)
    for language in [*fixed, *targets, *conditions.require]:
        if language in found.dropped:
            raise ConfigError(f"{language.iso} ({language.name}) cannot be compared: {found.dropped[language]}")
    dropped = [language for language in wanted if language in found.dropped]
    if dropped:
        shown = ", ".join(language.iso for language in dropped[:12]) + (" …" if len(dropped) > 12 else "")
        notes.append(f"left out for want of data for {distance}: {len(dropped)} ({shown})")
    wanted = [language for language in wanted if language not in found.dropped]
    if min_known > 0:
        share = dict(zip(found.languages, found.coverage.tolist(), strict=True))
        thin = [language for language in wanted if share[language] < min_known and language not in conditions.require]
        if thin:
            text = ", ".join(language.iso for language in thin[:12]) + (" …" if len(thin) > 12 else "")
            notes.append(f"left out with under {min_known:.0%} of the features known: {len(thin)} ({text})")
            wanted = [language for language in wanted if language not in set(thin)]
    overlap = [language.iso for language in targets if language in set(wanted)]
    if overlap:
        notes.append(f"targets that are candidates too: {', '.join(overlap)}; exclude them to keep them zero-shot")
    place = {language: index for index, language in enumerate(found.languages)}
    c, f, t = (np.array([place[x] for x in group], dtype=np.int64) for group in (wanted, fixed, targets))
    matrix = found.matrix
    setting = Setting(
        wanted,
        fixed,
        _block(matrix, c),
        matrix[np.ix_(c, f)],
        matrix[np.ix_(f, f)],
        targets,
        matrix[np.ix_(t, c)],
        matrix[np.ix_(t, f)],
        seen,
        resources,
    )
    index = {language: number for number, language in enumerate(wanted)}
    required = [index[language] for language in sorted(set(conditions.require))]
    limits = limits_of(conditions, wanted, fixed, seen, resources)
    solved, shown_problem = build_problem(setting, k, weights, required, limits)
    return Task(
        wanted, list(fixed), list(targets), found, setting, solved, shown_problem, weights, criterion, distance, notes
    )


def _block(matrix: Matrix, rows: Indices) -> Matrix:
    """The square part of a matrix; without a copy where the rows are its first ones."""
    if np.array_equal(rows, np.arange(len(rows))):
        return matrix[: len(rows), : len(rows)]
    return matrix[np.ix_(rows, rows)]
