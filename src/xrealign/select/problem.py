"""The problem of choosing k of n languages, as plain arrays: what is maximised, and what must hold.

The value of a subset S (fixed members F count but are not chosen) is a weighted sum of

- ``pair``, ``linear`` and ``constant``: Σ_{i<j ∈ S} pair[i, j] + Σ_{i ∈ S} linear[i] + constant, which expresses
  max-sum dispersion with fixed members, and every per-language preference;
- ``near``: Σ_t max similarity of target t to a member, the facility location objective;
- ``spreads``: the smallest entry of a matrix within S ∪ F, the max-min dispersion objective;
- ``groups``: how many different groups (families, scripts) S ∪ F has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from xrealign.errors import ConfigError

Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Near:
    """``weight`` · Σ_t max(base[t], max_{i ∈ S} similarity[t, i]); ``base`` is what fixed members give."""

    similarity: Matrix
    base: Vector
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Spread:
    """``weight`` · min over pairs of S of matrix[i, j], over S of to_fixed[i], and of base (pairs in F)."""

    matrix: Matrix
    to_fixed: Vector
    base: float
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Groups:
    """``weight`` · number of different labels in S and F; ``labels`` (n,) are 0 … count−1."""

    labels: Indices
    count: int
    present: frozenset[int]
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Limit:
    """low ≤ Σ_{i ∈ S} amount[i] ≤ high. ``name`` says what it is in a message."""

    name: str
    amount: Vector
    low: float = -np.inf
    high: float = np.inf


@dataclass(frozen=True, slots=True)
class Problem:
    """Choose k of n. Indices are those of the candidates sorted by tag, so a smaller index goes first in ties."""

    n: int
    k: int
    pair: Matrix | None = None
    linear: Vector | None = None
    constant: float = 0.0
    near: tuple[Near, ...] = ()
    spreads: tuple[Spread, ...] = ()
    groups: tuple[Groups, ...] = ()
    required: tuple[int, ...] = ()
    limits: tuple[Limit, ...] = field(default=())

    @property
    def quadratic_only(self) -> bool:
        """Whether only pairs and single languages count."""
        return not (self.near or self.spreads or self.groups)


def value_of(problem: Problem, subset: Sequence[int] | Indices) -> float:
    """The value of a subset, whatever its size."""
    chosen = np.asarray(subset, dtype=np.int64)
    total = problem.constant
    if problem.pair is not None:
        total += float(problem.pair[np.ix_(chosen, chosen)].sum()) / 2
    if problem.linear is not None:
        total += float(problem.linear[chosen].sum())
    for near in problem.near:
        best = np.maximum(near.base, near.similarity[:, chosen].max(axis=1, initial=-np.inf))
        total += near.weight * float(best.sum())
    for spread in problem.spreads:
        total += spread.weight * spread_of(spread, chosen)
    for groups in problem.groups:
        total += groups.weight * len(groups.present | set(groups.labels[chosen].tolist()))
    return float(total)


def spread_of(spread: Spread, chosen: Indices) -> float:
    """Smallest entry among the chosen and towards the fixed."""
    block = spread.matrix[np.ix_(chosen, chosen)] + np.diag(np.full(len(chosen), np.inf))
    least = [spread.base, float(block.min(initial=np.inf)), float(spread.to_fixed[chosen].min(initial=np.inf))]
    return min(least)


def violated(problem: Problem, subset: Sequence[int] | Indices) -> list[str]:
    """Names of the limits that a subset breaks, its size and required members included."""
    chosen = np.asarray(subset, dtype=np.int64)
    broken = [] if len(chosen) == problem.k else [f"k = {problem.k}"]
    missing = set(problem.required) - set(chosen.tolist())
    if missing:
        broken.append("required languages")
    for limit in problem.limits:
        amount = float(limit.amount[chosen].sum())
        if amount < limit.low - 1e-9 or amount > limit.high + 1e-9:
            broken.append(limit.name)
    return broken


def check_feasible(problem: Problem, names: Sequence[str]) -> Indices:
    """One subset that keeps every limit.

    Raises:
        ConfigError: there is none; the message names a smallest set of limits that contradict each other.
    """
    if problem.k > problem.n:
        raise ConfigError(f"k = {problem.k} languages are asked for, but only {problem.n} candidates are left")
    if len(problem.required) > problem.k:
        listed = ", ".join(names[i] for i in problem.required)
        raise ConfigError(f"k = {problem.k} is less than the {len(problem.required)} required languages ({listed})")
    found = _any_subset(problem, problem.limits, True)
    if found is not None:
        return found
    # Deletion filter: a limit whose removal mends nothing is not part of the conflict.
    kept, required = list(problem.limits), bool(problem.required)
    for limit in problem.limits:
        rest = [other for other in kept if other is not limit]
        if _any_subset(problem, rest, required) is None:
            kept = rest
    if required and _any_subset(problem, kept, False) is None:
        required = False
    reasons = [limit.name for limit in kept]
    if required:
        reasons.append("required: " + ", ".join(names[i] for i in problem.required))
    raise ConfigError(
        f"no {problem.k} of {problem.n} candidates satisfy " + " and ".join(reasons) + " together; relax one of these"
    )


def _any_subset(problem: Problem, limits: Sequence[Limit], required: bool) -> Indices | None:
    """A subset that satisfies ``limits``, found by integer programming when plain counting cannot."""
    if not limits:
        first = list(problem.required) if required else []
        rest = [i for i in range(problem.n) if i not in set(first)]
        return np.array(sorted(first + rest[: problem.k - len(first)]), dtype=np.int64)
    from scipy.optimize import Bounds, LinearConstraint, milp

    lower = np.zeros(problem.n)
    if required:
        lower[list(problem.required)] = 1
    rows = np.vstack([np.ones(problem.n), *[limit.amount for limit in limits]])
    low = np.array([problem.k, *[limit.low for limit in limits]])
    high = np.array([problem.k, *[limit.high for limit in limits]])
    result = milp(
        np.zeros(problem.n),
        constraints=LinearConstraint(rows, low, high),
        bounds=Bounds(lower, np.ones(problem.n)),
        integrality=np.ones(problem.n),
        options={"time_limit": 60.0},
    )
    if result.status == 2:
        return None
    if result.x is None:
        raise ConfigError("no subset that satisfies all constraints was found within 60 s; relax one of them")
    return np.flatnonzero(result.x > 0.5).astype(np.int64)
