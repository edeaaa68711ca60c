"""Proving subsets optimal where only pairs and single languages count: enumeration, branch and bound."""

from __future__ import annotations

import heapq
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, islice
from math import comb

import numpy as np
from numpy.typing import NDArray

from xrealign.select.bounds import (
    ROUNDING,
    Bound,
    concave_bound,
    positive_bound,
    row_bound,
    tightest,
    undecided,
)
from xrealign.select.problem import Indices, Limit, Matrix, Vector

# The doubly non-negative relaxation takes an eigendecomposition of this size per step.
LARGEST_RELAXATION = 260
ENUMERABLE = 30_000
# The whole problem is enumerated up to this many subsets: about a second.
ENUMERABLE_AT_ONCE = 2_000_000


@dataclass(frozen=True, slots=True)
class Proof:
    """The outcome of an exact search: the best subset seen and what no subset exceeds."""

    subset: Indices
    value: float
    bound: float
    nodes: int
    method: str


def enumerate_subsets(
    pair: Matrix, linear: Vector, k: int, limits: Sequence[Limit] = ()
) -> tuple[Indices | None, float]:
    """The best of all C(n, k) subsets within the limits, the first in lexicographic order among equals.

    Returns:
        The subset and its value; None and −∞ where the limits allow none.
    """
    n = len(linear)
    best: Indices | None = None
    found = -np.inf
    subsets = combinations(range(n), k)
    while rows := list(islice(subsets, 50_000)):
        batch = np.array(rows, dtype=np.int64).reshape(len(rows), k)
        values = linear[batch].sum(axis=1)
        for a in range(k):
            for b in range(a + 1, k):
                values += pair[batch[:, a], batch[:, b]]
        for limit in limits:
            amount = limit.amount[batch].sum(axis=1)
            values[(amount > limit.high + 1e-9) | (amount < limit.low - 1e-9)] = -np.inf
        first = int(np.flatnonzero(values >= values.max() - 1e-12)[0])
        if values[first] > found + 1e-12:
            best, found = batch[first], float(values[first])
    return best, found


def _restricted(limits: Sequence[Limit], chosen: Indices, free: Indices) -> tuple[Limit, ...]:
    """The limits as they bind the free languages once some are chosen."""
    used = [float(limit.amount[chosen].sum()) for limit in limits]
    return tuple(
        Limit(limit.name, limit.amount[free], limit.low - amount, limit.high - amount)
        for limit, amount in zip(limits, used, strict=True)
    )


def _within_reach(limits: Sequence[Limit], k: int) -> bool:
    """Whether the k smallest amounts stay below each upper limit and the k largest above each lower one."""
    for limit in limits:
        ordered = np.sort(limit.amount)
        if ordered[:k].sum() > limit.high + 1e-9 or ordered[len(ordered) - k :].sum() < limit.low - 1e-9:
            return False
    return True


def _usable(limits: Sequence[Limit], k: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_] | None]:
    """Languages that fit with the k−1 smallest others, and pairs that do not fit with the k−2 smallest others."""
    n = len(limits[0].amount)
    fits = np.ones(n, dtype=bool)
    clash = np.zeros((n, n), dtype=bool)
    for limit in limits:
        ordered = np.sort(limit.amount)
        fits &= limit.amount + min(float(ordered[: k - 1].sum()), float(ordered[:k].sum())) <= limit.high + 1e-9
        if k >= 2:
            least = float(ordered[: k - 2].sum())
            clash |= limit.amount[:, None] + limit.amount[None, :] + least > limit.high + 1e-9
    return fits, clash if clash.any() else None


@dataclass(slots=True)
class _Node:
    chosen: Indices  # in the original numbering
    free: Indices
    bound: Bound


def branch_and_bound(
    pair: Matrix,
    linear: Vector,
    k: int,
    start: Indices,
    start_value: float,
    negative_type: bool,
    deadline: float,
    limits: Sequence[Limit] = (),
    required: Sequence[int] = (),
    gap: float = 0.0,
) -> Proof:
    """Best subset of size k by value Σ pair + Σ linear, with a proof or the bound reached at ``deadline``.

    Bounds come from the continuous and the doubly non-negative relaxation; candidates whose presence or absence
    they decide are fixed at once. ``start`` is a good subset, its value the first threshold. The search ends at
    a relative gap of ``gap``. ``deadline`` is a time of :func:`time.perf_counter`.
    """
    best, value = start, start_value
    done = 0
    counter = 0
    enumerated = False  # the whole problem at once
    lost = -np.inf  # bound of what had to be left unexplored
    heap: list[tuple[float, int, _Node]] = []
    everything = np.arange(len(linear), dtype=np.int64)

    def threshold() -> float:
        return value + ROUNDING * 4 * max(1.0, abs(value)) + gap * abs(value)

    def settle(chosen: Indices, free: Indices, parent: float) -> None:
        """Decides or queues the subproblem: ``chosen`` are in, the rest comes from ``free``."""
        nonlocal best, value, done, counter, lost, enumerated
        done += 1
        while True:
            rest = k - len(chosen)
            if rest < 0 or rest > len(free):
                return
            base = float(pair[np.ix_(chosen, chosen)].sum()) / 2 + float(linear[chosen].sum())
            binding = _restricted(limits, chosen, free)
            if not _within_reach(binding, rest):
                return
            forbidden = None
            if binding and rest:
                fits, forbidden = _usable(binding, rest)
                if not fits.all():
                    free = free[fits]
                    continue
            sub_linear = linear[free] + pair[np.ix_(chosen, free)].sum(axis=0)
            sub_pair = pair[np.ix_(free, free)]
            if comb(len(free), rest) <= (ENUMERABLE_AT_ONCE if done == 1 else ENUMERABLE):
                enumerated = done == 1
                picked, found = enumerate_subsets(sub_pair, sub_linear, rest, binding)
                if picked is not None and base + found > value + 1e-12:
                    best, value = np.sort(np.append(chosen, free[picked])), base + found
                return
            late = time.perf_counter() > deadline
            bound = _bound(
                sub_pair, sub_linear, rest, negative_type, threshold() - base, deadline, late, binding, forbidden
            )
            if base + bound.value <= threshold():
                return
            if late:
                lost = max(lost, min(parent, base + bound.value))
                return
            certain, possible = undecided(bound, threshold() - base)
            if len(certain) == 0 and len(possible) == len(free):
                total = min(parent, base + bound.value)
                counter += 1
                heapq.heappush(heap, (-total, counter, _Node(chosen, free, bound)))
                return
            chosen = np.sort(np.append(chosen, free[certain]))
            free = free[np.setdiff1d(possible, certain)]

    settle(np.array(sorted(required), dtype=np.int64), np.setdiff1d(everything, list(required)), np.inf)
    while heap:
        negative, _, node = heap[0]
        if -negative <= threshold() or time.perf_counter() > deadline:
            break
        heapq.heappop(heap)
        # The most undecided language; in and out of the subset.
        position = int(np.abs(node.bound.share - 0.5).argmin())
        language = node.free[position]
        others = np.delete(node.free, position)
        settle(np.sort(np.append(node.chosen, language)), others, -negative)
        settle(node.chosen, others, -negative)
    open_bound = max([lost, *(-item[0] for item in heap)])
    bound = max(value, open_bound) if heap or lost > -np.inf else value
    return Proof(best, value, bound, done, "enumeration" if enumerated else "branch and bound")


def _bound(
    pair: Matrix,
    linear: Vector,
    k: int,
    negative_type: bool,
    target: float,
    deadline: float,
    quick: bool,
    limits: Sequence[Limit],
    forbidden: NDArray[np.bool_] | None,
) -> Bound:
    """The best bound worth its time for the size at hand."""
    n = len(linear)
    bound = row_bound(pair, linear, k)
    if bound.value <= target:
        return bound
    if n <= 2000 or negative_type:
        steps = 40 if quick else 300
        bound = tightest(bound, concave_bound(pair, linear, k, negative_type, steps, target))
    if bound.value <= target or quick or n > LARGEST_RELAXATION:
        return bound
    closer = positive_bound(pair, linear, k, limits, forbidden, target=target, deadline=deadline)
    return tightest(bound, closer)
