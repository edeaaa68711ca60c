"""Max-min dispersion, exactly: k languages pairwise at least r apart are a clique of the graph of such pairs.

The largest r for which there is one lies among the entries of the distance matrix. A binary search over them
asks for a clique each time (branch and bound with colouring, Tomita & Seki 2003).
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from xrealign.select.problem import Indices, Limit, Spread, spread_of


class _OutOfTime(Exception):  # noqa: N818 - not an error: the search was not finished
    pass


def widest_subset(
    spread: Spread, k: int, start: Indices, limits: Sequence[Limit], required: Sequence[int], deadline: float
) -> tuple[Indices, float, float]:
    """The subset of size k whose closest pair is farthest apart.

    Returns:
        The subset, its smallest distance, and a bound: no allowed subset has a larger smallest distance.
    """
    best, value = start, spread_of(spread, start)
    levels = np.unique(np.concatenate([spread.matrix[np.triu_indices_from(spread.matrix, 1)], spread.to_fixed]))
    levels = levels[np.isfinite(levels) & (levels > value + 1e-12)]
    levels = levels[levels <= spread.base]
    if np.isfinite(spread.base) and spread.base > value:
        levels = np.unique(np.append(levels, spread.base))
    low, high = 0, len(levels)  # levels[:low] are reached, levels[high:] are not
    proven = high
    while low < proven:
        middle = (low + proven) // 2
        apart = spread.matrix >= levels[middle] - 1e-12
        np.fill_diagonal(apart, False)
        usable = spread.to_fixed >= levels[middle] - 1e-12
        try:
            found = _clique(apart, usable, k, limits, required, deadline)
        except _OutOfTime:
            break
        if found is None:
            proven = middle
        else:
            best, value = found, spread_of(spread, found)
            low = int(np.searchsorted(levels, value + 1e-12))
    bound = value if low >= proven else float(levels[proven - 1])
    return best, value, max(bound, value)


def _bits(row: NDArray[np.bool_]) -> int:
    return int.from_bytes(np.packbits(row, bitorder="little").tobytes(), "little")


def _clique(
    apart: NDArray[np.bool_],
    usable: NDArray[np.bool_],
    k: int,
    limits: Sequence[Limit],
    required: Sequence[int],
    deadline: float,
) -> Indices | None:
    """A clique of size k among the usable vertices that contains the required ones and keeps the limits."""
    neighbours = [_bits(row) for row in apart]
    pool = _bits(usable)
    chosen: list[int] = []
    for member in required:
        if not pool >> member & 1:
            return None
        pool &= neighbours[member]
        chosen.append(member)

    def spent(limit: Limit) -> float:
        return float(limit.amount[chosen].sum())

    def colours(pool: int) -> tuple[list[int], list[int]]:
        """Vertices in order of colour, and the colour of each (from 1): an upper bound on cliques up to it."""
        order: list[int] = []
        numbers: list[int] = []
        colour = 0
        while pool:
            colour += 1
            independent = pool
            while independent:
                vertex = (independent & -independent).bit_length() - 1
                order.append(vertex)
                numbers.append(colour)
                pool &= ~(1 << vertex)
                independent &= ~(1 << vertex) & ~neighbours[vertex]
        return order, numbers

    calls = 0

    def extend(pool: int) -> bool:
        nonlocal calls
        calls += 1
        if calls % 256 == 0 and time.perf_counter() > deadline:
            raise _OutOfTime
        if len(chosen) == k:
            return all(limit.low - 1e-9 <= spent(limit) <= limit.high + 1e-9 for limit in limits)
        order, numbers = colours(pool)
        for vertex, number in zip(reversed(order), reversed(numbers), strict=True):
            if len(chosen) + number < k:
                return False
            if all(spent(limit) + limit.amount[vertex] <= limit.high + 1e-9 for limit in limits):
                chosen.append(vertex)
                if extend(pool & neighbours[vertex]):
                    return True
                chosen.pop()
            pool &= ~(1 << vertex)
        return False

    if len(chosen) > k or any(not apart[a, b] for a in chosen for b in chosen if a < b):
        return None
    if not extend(pool):
        return None
    return np.array(sorted(chosen), dtype=np.int64)
