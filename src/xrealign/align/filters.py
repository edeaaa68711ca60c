"""Links left out before training, with the reason for each. No torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def filter_links(
    links: Array,
    scores: Array,
    src: Sequence[str],
    tgt: Sequence[str],
    min_score: float | None = None,
    one_to_one: bool = False,
    drop_identical: bool = False,
) -> tuple[Array, Array, Counter[str]]:
    """Links of one sentence pair that pass, their scores, and how many went for which reason.

    Filters apply in the order of the arguments: links below ``min_score`` go first; of the rest those of which a word
    has another link; last those between identical words (Wu & Dredze 2020, arXiv 2010.02537, keep 1-1 links of
    different words). Words are identical whatever their case.

    Args:
        links, scores: *Shape:* (N, 2), (N,)
        src, tgt: the words.

    Returns:
        links, scores, and a count for each of ``below the score``, ``not 1-1``, ``identical words`` that occurred.
    """
    dropped: Counter[str] = Counter()
    if min_score is not None:
        links, scores = _keep(scores >= min_score, links, scores, "below the score", dropped)
    if one_to_one:
        alone = [np.bincount(side)[side] == 1 if len(side) else side == 0 for side in links.T]
        links, scores = _keep(alone[0] & alone[1], links, scores, "not 1-1", dropped)
    if drop_identical:
        different = np.array([src[i].casefold() != tgt[j].casefold() for i, j in links.tolist()], dtype=bool)
        links, scores = _keep(different, links, scores, "identical words", dropped)
    return links, scores, dropped


def _keep(mask: Array, links: Array, scores: Array, reason: str, dropped: Counter[str]) -> tuple[Array, Array]:
    if not mask.all():
        dropped[reason] += int((~mask).sum())
    return links[mask], scores[mask]
