"""Some of the scores, by the names of what they are of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from xrealign.errors import ConfigError, did_you_mean
from xrealign.types import Score


def chosen_scores(scores: Iterable[Score], wanted: Mapping[str, Sequence[str]]) -> list[Score]:
    """The scores whose ``task``, ``model``, ``method`` … is among those wanted; no names: all of them.

    Raises:
        ConfigError: a name that no score has.
    """
    kept = list(scores)
    for dimension, names in wanted.items():
        if not names:
            continue
        known = dict.fromkeys(str(getattr(score, dimension)) for score in kept)
        for name in names:
            if name not in known:
                listed = ", ".join(known) or "none"
                raise ConfigError(f"no scores of {dimension} {name!r}{did_you_mean(name, known)}; there are: {listed}")
        kept = [score for score in kept if getattr(score, dimension) in names]
    return kept
