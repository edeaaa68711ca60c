"""Proving subsets optimal where only pairs and single languages count: enumeration, branch and bound."""

from __future__ import annotations

import heapq
import time
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np

from xrealign.select.bounds import (
    ROUNDING,
    Bound,
    concave_bound,
    positive_bound,
    row_bound,
    tightest,
    undecided,
)
from xrealign.select.problem import Indices, Matrix, Vector

# The doubly non-negative relaxation takes an eigendecomposition of this size per step.
LARGEST_RELAXATION = 260
ENUMERABLE = 30_000


@dataclass(frozen=True, slots=True)
class Proof:
    """The outcome of an exact search: the best subset seen and what no subset exceeds."""

    subset: Indices
    value: float
    bound: float
    nodes: int
    method: str


def enumerate_subsets(pair: Matrix, linear: Vector, k: int) -> tuple[Indices, float]:
    """The best of all C(n, k) subsets, the first in lexicographic order among equals."""
    n = len(linear)
    best, found = np.arange(k, dtype=np.int64), -np.inf
    batch: list[tuple[int, ...]] = []

    def settle() -> None:
        nonlocal best, found
        rows = np.array(batch, dtype=np.int64)
        values = linear[rows].sum(axis=1)
        for a in range(k):
            for b in range(a + 1, k):
                values += pair[rows[:, a], rows[:, b]]
        first = int(np.flatnonzero(values >= values.max() - 1e-12)[0])
        if values[first] > found + 1e-12:
            best, found = rows[first], float(values[first])
        batch.clear()

    for subset in combinations(range(n), k):
        batch.append(subset)
        if len(batch) == 50_000:
            settle()
    if batch:
        settle()
    return best, found


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
    lost = -np.inf  # bound of what had to be left unexplored
    heap: list[tuple[float, int, _Node]] = []
    everything = np.arange(len(linear), dtype=np.int64)

    def threshold() -> float:
        return value + ROUNDING * 4 * max(1.0, abs(value)) + gap * abs(value)

    def settle(chosen: Indices, free: Indices, parent: float) -> None:
        """Decides or queues the subproblem: ``chosen`` are in, the rest comes from ``free``."""
        nonlocal best, value, done, counter, lost
        done += 1
        for _ in range(20):
            rest = k - len(chosen)
            if rest < 0 or rest > len(free):
                return
            base = float(pair[np.ix_(chosen, chosen)].sum()) / 2 + float(linear[chosen].sum())
            sub_linear = linear[free] + pair[np.ix_(chosen, free)].sum(axis=0)
            sub_pair = pair[np.ix_(free, free)]
            if comb(len(free), rest) <= ENUMERABLE:
                picked, found = enumerate_subsets(sub_pair, sub_linear, rest) if rest else (free[:0], 0.0)
                if base + found > value + 1e-12:
                    best, value = np.sort(np.append(chosen, free[picked])), base + found
                return
            late = time.perf_counter() > deadline
            bound = _bound(sub_pair, sub_linear, rest, negative_type, threshold() - base, deadline, late)
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
        counter += 1
        lost = max(lost, parent)

    settle(np.empty(0, dtype=np.int64), everything, np.inf)
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
    return Proof(best, value, max(value, open_bound) if heap or lost > -np.inf else value, done, "branch-and-bound")


def _bound(
    pair: Matrix, linear: Vector, k: int, negative_type: bool, target: float, deadline: float, quick: bool
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
    return tightest(bound, positive_bound(pair, linear, k, target=target, deadline=deadline))
