"""Finding good subsets: greedy construction and swap local search with restarts. Deterministic for a seed.

Equal values are decided by index, which is the order of the language tags.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from xrealign.select.problem import Indices, Problem, Vector, spread_of, value_of

TIE = 1e-11


def addition_values(problem: Problem, chosen: Indices, pair_sums: Vector | None = None) -> Vector:
    """Value of ``chosen`` plus candidate j, for every j: (n,).

    ``pair_sums`` (n,), where known, is Σ_{i ∈ chosen} pair[i, j].
    """
    values = np.full(problem.n, problem.constant)
    if problem.pair is not None:
        sums = problem.pair[chosen].sum(axis=0) if pair_sums is None else pair_sums
        values += sums + float(sums[chosen].sum()) / 2
    if problem.linear is not None:
        values += problem.linear + float(problem.linear[chosen].sum())
    for near in problem.near:
        best = np.maximum(near.base, near.similarity[:, chosen].max(axis=1, initial=-np.inf))
        values += near.weight * np.maximum(best[:, None], near.similarity).sum(axis=0)
    for spread in problem.spreads:
        now = spread_of(spread, chosen)
        reach = spread.matrix[chosen].min(axis=0, initial=np.inf)
        values += spread.weight * np.minimum(np.minimum(reach, spread.to_fixed), now)
    for groups in problem.groups:
        present = np.zeros(groups.count, dtype=bool)
        present[list(groups.present)] = True
        present[groups.labels[chosen]] = True
        values += groups.weight * (int(present.sum()) + ~present[groups.labels])
    return values


def _allowed(problem: Problem, chosen: Indices, final: bool) -> NDArray[np.bool_]:
    """Candidates that may join ``chosen``: not in it, and no upper limit broken (nor a lower one at the end)."""
    free = np.ones(problem.n, dtype=bool)
    free[chosen] = False
    for limit in problem.limits:
        amounts = limit.amount + float(limit.amount[chosen].sum())
        free &= amounts <= limit.high + 1e-9
        if final:
            free &= amounts >= limit.low - 1e-9
    return free


def greedy(problem: Problem, start: Sequence[int] = ()) -> Indices | None:
    """Adds the best next candidate until k are chosen; None where the limits leave no way on."""
    chosen = np.array(sorted(set(problem.required) | set(start)), dtype=np.int64)
    while len(chosen) < problem.k:
        free = _allowed(problem, chosen, final=len(chosen) + 1 == problem.k)
        if not free.any():
            return None
        values = np.where(free, addition_values(problem, chosen), -np.inf)
        best = int(np.flatnonzero(values >= values.max() - TIE)[0])
        chosen = np.sort(np.append(chosen, best))
    return chosen


def improve(problem: Problem, subset: Indices) -> tuple[Indices, float]:
    """Swaps one member for one candidate while that raises the value; best swap first."""
    chosen = subset.copy()
    fixed = set(problem.required)
    value = value_of(problem, chosen)
    sums = problem.pair[chosen].sum(axis=0) if problem.pair is not None else None
    quick = problem.quadratic_only and not problem.limits
    while True:
        if quick:
            out, into, gain = _best_quadratic_swap(problem, chosen, sums)
            found = value + gain
        else:
            out, into, found = -1, -1, value
            for position, member in enumerate(chosen.tolist()):
                if member in fixed:
                    continue
                rest = np.delete(chosen, position)
                free = _allowed(problem, rest, final=True)
                free[member] = False
                if not free.any():
                    continue
                rest_sums = None if sums is None or problem.pair is None else sums - problem.pair[member]
                values = np.where(free, addition_values(problem, rest, rest_sums), -np.inf)
                best = int(np.flatnonzero(values >= values.max() - TIE)[0])
                if values[best] > found + TIE:
                    out, into, found = member, best, float(values[best])
        if out < 0 or found <= value + TIE:
            return chosen, value_of(problem, chosen)
        chosen = np.sort(np.append(chosen[chosen != out], into))
        value = found
        if sums is not None and problem.pair is not None:
            sums = sums + problem.pair[into] - problem.pair[out]


def _best_quadratic_swap(problem: Problem, chosen: Indices, sums: Vector | None) -> tuple[int, int, float]:
    """The best swap where only pairs and singles count: (out, in, gain), (-1, -1, 0) without any."""
    gains = np.zeros(problem.n)
    if sums is not None:
        gains = gains + sums
    if problem.linear is not None:
        gains = gains + problem.linear
    inside = np.array([i for i in chosen.tolist() if i not in set(problem.required)], dtype=np.int64)
    outside = np.ones(problem.n, dtype=bool)
    outside[chosen] = False
    others = np.flatnonzero(outside)
    if not len(inside) or not len(others):
        return -1, -1, 0.0
    delta = gains[others][None, :] - gains[inside][:, None]
    if problem.pair is not None:
        delta = delta - problem.pair[np.ix_(inside, others)]
    best = int(np.flatnonzero(delta.ravel() >= delta.max() - TIE)[0])
    row, column = divmod(best, len(others))
    return int(inside[row]), int(others[column]), float(delta[row, column])


def settle_ties(problem: Problem, subset: Indices) -> Indices:
    """Replaces members by candidates of equal value that come first in the order of tags."""
    chosen = subset.copy()
    fixed = set(problem.required)
    value = value_of(problem, chosen)
    for member in sorted(chosen.tolist(), reverse=True):
        if member in fixed:
            continue
        rest = chosen[chosen != member]
        free = _allowed(problem, rest, final=True)
        values = np.where(free, addition_values(problem, rest), -np.inf)
        equal = np.flatnonzero((values >= value - TIE) & (np.arange(problem.n) < member))
        if len(equal):
            chosen = np.sort(np.append(rest, equal[0]))
    return chosen


def local_search(problem: Problem, feasible: Indices, seed: int = 0, restarts: int = 30) -> tuple[Indices, float]:
    """The best subset of greedy and of ``restarts`` perturbed starts, each improved by swaps.

    ``feasible`` is a subset that keeps every limit; it is the start where greedy finds none.
    """
    generator = np.random.default_rng(seed)
    start = greedy(problem)
    best, value = improve(problem, feasible if start is None else start)
    for _ in range(restarts):
        subset, found = improve(problem, _perturbed(problem, best, generator))
        if found > value + TIE:
            best, value = subset, found
    best = settle_ties(problem, best)
    return best, value_of(problem, best)


def _perturbed(problem: Problem, subset: Indices, generator: np.random.Generator) -> Indices:
    """``subset`` after random swaps that keep every limit: between two members and all of them."""
    chosen = subset.copy()
    movable = [i for i in chosen.tolist() if i not in set(problem.required)]
    if not movable:
        return chosen
    count = int(generator.integers(min(2, len(movable)), len(movable) + 1))
    for member in generator.permutation(movable)[:count].tolist():
        rest = chosen[chosen != member]
        free = np.flatnonzero(_allowed(problem, rest, final=True))
        if len(free):
            chosen = np.sort(np.append(rest, generator.choice(free)))
    return chosen
