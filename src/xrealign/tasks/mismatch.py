"""Whether types of spans look exchanged: a sign that a test's labels do not mean what the model's do.

The score of always giving the most frequent label tells this of tags and labels, but not of spans: there it is 0,
because the most frequent tag is O.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from xrealign.tasks.spans import find_spans

ERRORS = 2.0
"""Standard errors by which other names must do better; counts of spans are taken for Poisson's."""


def exchanged_types(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> dict[str, str]:
    """Predicted type → the type that gold calls the same spans, where names exchanged one to one would match clearly
    more spans than the names as they are; empty where they are best as they are.

    Spans count where gold and prediction agree in both ends, of whatever type. Of all ways to rename the predicted
    types one to one, the one that matches most is sought (Kuhn 1955). With g spans that it wins and l that it loses,
    it is clearly better where g − l > 2 √(g + l), two standard errors of a difference of Poisson counts. A model that
    gives one type to everything can be flagged as well: it has not learned the types of this language.

    Args:
        gold, predicted: tags of each sentence in BIO; an empty tag is O.
    """
    from scipy.optimize import linear_sum_assignment

    right, said = find_spans(gold), find_spans(predicted)
    types = sorted({*right.types, *said.types})
    if not types:
        return {}
    place = {name: number for number, name in enumerate(types)}
    keys = {
        (sentence, start, end): place[right.types[kind]]
        for sentence, start, end, kind in zip(
            right.sentence.tolist(), right.start.tolist(), right.end.tolist(), right.type.tolist(), strict=True
        )
    }
    together = np.zeros((len(types), len(types)), dtype=np.int64)  # predicted type × gold type, of the same words
    for sentence, start, end, kind in zip(
        said.sentence.tolist(), said.start.tolist(), said.end.tolist(), said.type.tolist(), strict=True
    ):
        found = keys.get((sentence, start, end))
        if found is not None:
            together[place[said.types[kind]], found] += 1
    # A hundredth of a span for staying as it is: what makes no difference is not renamed.
    rows, columns = linear_sum_assignment(together + 0.01 / len(types) * np.eye(len(types)), maximize=True)
    changed = [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if i != j]
    won, lost = sum(int(together[i, j]) for i, j in changed), sum(int(together[i, i]) for i, _ in changed)
    if won - lost <= ERRORS * math.sqrt(won + lost):
        return {}
    return {types[i]: types[j] for i, j in changed if together[i, j]}


def exchanged_text(types: dict[str, str]) -> str:
    """The same for people: ``LOC for PER, PER for LOC``."""
    return ", ".join(f"{said} for {meant}" for said, meant in types.items())
