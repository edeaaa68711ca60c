"""How often each language is drawn, and what was drawn: shares by a rule, and counts over a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from xrealign.errors import ConfigError, did_you_mean

MIXTURES = ("uniform", "proportional", "temperature", "custom")
Array = np.ndarray[Any, Any]


def mixture_shares(
    mixture: str, pairs: Mapping[str, int], temperature: float = 5.0, weights: Mapping[str, float] | None = None
) -> dict[str, float]:
    """The chance of each language to be drawn next, in order of language; they add up to 1.

    - ``uniform``: all alike.
    - ``proportional``: p ∝ n, the number of pairs.
    - ``temperature``: p ∝ n^(1/T) (Arivazhagan et al. 2019, arXiv 1907.05019, who take T = 5; the exponent α of
      Conneau et al. 2020, arXiv 1911.02116, is 1/T). T = 1 is proportional, T → ∞ uniform.
    - ``custom``: p ∝ ``weights``, one for each language; 0 leaves a language out.

    Args:
        pairs: how many pairs each language has.

    Raises:
        ConfigError: the mixture is unknown, the temperature is not above 0, a language has no pairs, or weights are
            missing, of unknown languages, negative or all 0.
    """
    if mixture not in MIXTURES:
        hint = did_you_mean(mixture, MIXTURES)
        raise ConfigError(f"mixture {mixture!r} is unknown; expected one of {', '.join(MIXTURES)}{hint}")
    if weights is not None and mixture != "custom":
        raise ConfigError(f"mixture weights are for mixture = 'custom', but it is {mixture!r}")
    names = sorted(pairs)
    empty = [name for name in names if pairs[name] < 1]
    if empty or not names:
        raise ConfigError(f"no pairs to draw in {', '.join(empty) or 'any language'}; leave it out, or give it text")
    counts = np.array([pairs[name] for name in names], dtype=np.float64)
    if mixture == "uniform":
        sizes = np.ones(len(names))
    elif mixture == "proportional":
        sizes = counts
    elif mixture == "temperature":
        if not (temperature > 0 and np.isfinite(temperature)):
            raise ConfigError(f"mixture temperature is {temperature}, expected a number above 0; 1 is proportional")
        sizes = np.exp((np.log(counts) - np.log(counts.max())) / temperature)  # no overflow however small T is
    else:
        sizes = _custom(names, weights or {})
    return dict(zip(names, (sizes / sizes.sum()).tolist(), strict=True))


def _custom(names: Sequence[str], weights: Mapping[str, float]) -> Array:
    unknown = sorted(set(weights) - set(names))
    if unknown:
        raise ConfigError(
            f"mixture weight for {unknown[0]}, which has no pairs here; there are {', '.join(names)}"
            f"{did_you_mean(unknown[0], names)}"
        )
    missing = [name for name in names if name not in weights]
    if missing:
        raise ConfigError(f"mixture = 'custom' needs a weight for every language; missing: {', '.join(missing)}")
    sizes = np.array([weights[name] for name in names], dtype=np.float64)
    wrong = [name for name, size in zip(names, sizes, strict=True) if not (size >= 0 and np.isfinite(size))]
    if wrong:
        raise ConfigError(f"mixture weight of {wrong[0]} is {weights[wrong[0]]}, expected a number of 0 or more")
    if not sizes.any():
        raise ConfigError("all mixture weights are 0: there is nothing to draw")
    return sizes


def drawn_counts(plan: Array, languages: Sequence[str]) -> dict[str, dict[str, int]]:
    """For each language how many of a plan's places are its: ``drawn`` = ``distinct`` + ``repeated``.

    Args:
        plan: item numbers, of any shape.
        languages: the language of each item; one that was never drawn has zeros.
    """
    names, of_item = np.unique(np.asarray(languages), return_inverse=True)
    times = np.bincount(plan.reshape(-1), minlength=len(languages))
    drawn = np.bincount(of_item, weights=times, minlength=len(names)).astype(int)
    distinct = np.bincount(of_item, weights=times > 0, minlength=len(names)).astype(int)
    return {
        str(name): {"drawn": int(d), "distinct": int(e), "repeated": int(d - e)}
        for name, d, e in zip(names, drawn, distinct, strict=True)
    }
