"""Choosing languages: candidates and conditions in, a subset with its value, a bound and the reasons out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from xrealign.errors import ConfigError
from xrealign.language import Language, notes_on
from xrealign.select.distances import distances
from xrealign.select.exact import branch_and_bound
from xrealign.select.problem import Problem, check_feasible, value_of
from xrealign.select.search import local_search


@dataclass(frozen=True, slots=True)
class Selection:
    """A chosen subset and what is known about it.

    Attributes:
        subset: the chosen languages, sorted by tag, without the fixed ones.
        fixed: members that count but were not chosen.
        value: the criterion's value of subset and fixed members together.
        bound: no allowed subset has a better value; None where the criterion has no best (random).
        optimal: whether ``value`` is proven to be the best.
        seconds: time taken, in seconds.
        criterion: what was maximised.
        distance: which distances were used.
        method: how the subset was found and the bound proven.
        contributions: how much the value falls when the member leaves and nobody takes its place.
        coverage: share of features known, per member of subset and fixed.
        notes: candidates dropped and other remarks.
    """

    subset: list[Language]
    fixed: list[Language]
    value: float
    bound: float | None
    optimal: bool
    seconds: float
    criterion: str
    distance: str
    method: str = ""
    contributions: dict[Language, float] = field(default_factory=dict)
    coverage: dict[Language, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def select_languages(
    candidates: Sequence[Language],
    k: int,
    fixed: Sequence[Language] = (),
    criterion: str = "maxsum",
    distance: str = "uriel-featural",
    seed: int = 0,
    *,
    time_limit: float = 60.0,
) -> Selection:
    """The best ``k`` of ``candidates``, with a proof or an upper bound.

    ``fixed`` languages count in the value and are not chosen; where they are among the candidates they are
    taken out of them. Equal subsets are decided by the order of tags. ``time_limit`` is in seconds.

    Raises:
        ConfigError: impossible settings.
        LanguageError: a language that is fixed or required without data.
    """
    started = time.perf_counter()
    if criterion != "maxsum":
        raise ConfigError(f"unknown criterion {criterion!r}; expected maxsum")
    if k < 1:
        raise ConfigError(f"k = {k}; expected at least 1")
    fixed = sorted(set(fixed))
    wanted = sorted(set(candidates) - set(fixed))
    found = distances([*wanted, *fixed], distance)
    lost = [language for language in fixed if language in found.dropped]
    if lost:
        raise ConfigError(f"the fixed language {lost[0]} has {found.dropped[lost[0]]}")
    languages = found.languages[: len(found.languages) - len(fixed)]
    n = len(languages)
    pair = found.matrix[:n, :n]
    linear = found.matrix[:n, n:].sum(axis=1)
    constant = float(found.matrix[n:, n:].sum()) / 2
    problem = Problem(n, k, pair=pair, linear=linear, constant=constant)
    feasible = check_feasible(problem, [language.iso for language in languages])
    subset, value = local_search(problem, feasible, seed)
    proof = branch_and_bound(pair, linear, k, subset, value - constant, True, started + time_limit)
    subset = proof.subset
    value = value_of(problem, subset)
    bound = max(value, proof.bound + constant)
    chosen = [languages[i] for i in subset]
    contributions = {languages[i]: float(value - value_of(problem, np.setdiff1d(subset, [i]))) for i in subset}
    shares = dict(zip(found.languages, found.coverage.tolist(), strict=True))
    notes = notes_on([*wanted, *fixed])
    notes += [f"{language} was left out: {reason}" for language, reason in sorted(found.dropped.items())]
    return Selection(
        subset=chosen,
        fixed=list(fixed),
        value=value,
        bound=bound,
        optimal=bound - value <= 1e-7 * max(1.0, abs(value)),
        seconds=time.perf_counter() - started,
        criterion=criterion,
        distance=distance,
        method=proof.method,
        contributions=contributions,
        coverage={language: shares[language] for language in [*chosen, *fixed]},
        notes=notes,
    )
