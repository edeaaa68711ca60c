"""One set of links out of two directed ones, by the heuristics of phrase-based translation. No torch.

Named as in Koehn et al. 2005 (Edinburgh System Description for the 2005 IWSLT Speech Translation Evaluation,
section 2); Och & Ney (2003) have the first two and the idea of growing. "Neighbours" of a link are the eight around
it (up, down, left, right, diagonals). Growing depends on the order in which links are visited, which the paper's
program leaves to its loops: here source words are the outer loop, target words the inner one, and a link that was
added is visited in the same sweep if it lies ahead.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from xrealign.errors import ConfigError, did_you_mean

Links = np.ndarray[Any, Any]
Points = set[tuple[int, int]]
NEIGHBOURS = ((-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))


def symmetrize(forward: Links, backward: Links, how: str) -> Links:
    """Links of one sentence pair from source-to-target and target-to-source links.

    Args:
        forward, backward: (i, j) of source and target words, both in this order. *Shape:* (N, 2), (M, 2)
        how: one of `SYMMETRIZATIONS`.

    Returns:
        *Shape:* (K, 2), int32, sorted.

    Raises:
        ConfigError: ``how`` is unknown.
    """
    if how not in SYMMETRIZATIONS:
        known = ", ".join(SYMMETRIZATIONS)
        raise ConfigError(f"symmetrisation {how!r} is unknown; expected {known}{did_you_mean(how, SYMMETRIZATIONS)}")
    points = SYMMETRIZATIONS[how](_points(forward), _points(backward))
    return np.array(sorted(points), dtype=np.int32).reshape(-1, 2)


def _points(links: Links) -> Points:
    return {(int(i), int(j)) for i, j in links}


def _grow_diag(forward: Points, backward: Points) -> Points:
    """The intersection, grown by neighbours out of the union that link a word without links."""
    links, union = forward & backward, forward | backward
    rows, columns = {i for i, _ in links}, {j for _, j in links}
    grown = True
    while grown:
        grown = False
        ahead = sorted(links)
        while ahead:
            i, j = heapq.heappop(ahead)
            for down, right in NEIGHBOURS:
                new = (i + down, j + right)
                if new in union and new not in links and (new[0] not in rows or new[1] not in columns):
                    links.add(new)
                    rows.add(new[0])
                    columns.add(new[1])
                    grown = True
                    if new > (i, j):
                        heapq.heappush(ahead, new)
    return links


def _final(links: Points, rest: Iterable[tuple[int, int]], both: bool) -> Points:
    """``links`` and those of ``rest``, in order, of which either word (``both``: both words) has no link yet."""
    links = set(links)
    rows, columns = {i for i, _ in links}, {j for _, j in links}
    for i, j in sorted(rest):
        free = (i not in rows) + (j not in columns)
        if free == 2 or (free and not both):
            links.add((i, j))
            rows.add(i)
            columns.add(j)
    return links


def _grow_diag_final(forward: Points, backward: Points) -> Points:
    return _final(_final(_grow_diag(forward, backward), forward, both=False), backward, both=False)


def _grow_diag_final_and(forward: Points, backward: Points) -> Points:
    return _final(_final(_grow_diag(forward, backward), forward, both=True), backward, both=True)


SYMMETRIZATIONS: Mapping[str, Callable[[Points, Points], Points]] = {
    "intersection": set.intersection,
    "union": set.union,
    "grow-diag": _grow_diag,
    "grow-diag-final": _grow_diag_final,
    "grow-diag-final-and": _grow_diag_final_and,
}
