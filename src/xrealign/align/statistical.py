"""Statistical word aligners: trained on sentence pairs alone, without an encoder. No torch.

`train_statistical` fits a model to a bitext, or to a sample of it, and saves it; `statistical_recipe` opens a saved
model to align other sentence pairs. Both directions are always there. A word is linked to the place of highest
posterior probability of its direction (NULL takes part), and the two sets of links are symmetrised
(`xrealign.align.symmetrize`); or, with symmetrisation ``posterior``, links are those whose score is above a threshold.
A link's score is the geometric mean of its two posteriors.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from xrealign.align.em import Array
from xrealign.align.em_training import Fitted, Model, fit
from xrealign.align.linker import Linker, Recipe
from xrealign.align.statistical_model import POSTERIOR, link_pairs, load_model, read_settings, save_model
from xrealign.align.symmetrize import SYMMETRIZATIONS
from xrealign.errors import ConfigError, DataError, did_you_mean
from xrealign.progress import track
from xrealign.store import Stage, build, rebuild_if_damaged

DEFAULT_MODEL = "hmm-agreement"
DEFAULT_SYMMETRIZATION = "grow-diag-final-and"
MAX_PAIRS = 50_000
MAX_CELLS = 40_000_000  # pairs of places in training: what memory is bounded by
LONGEST_TRAINED = 100  # words of a side
GAP = "\0"
Pair = tuple[Sequence[str], Sequence[str]]


def check_model(name: str) -> None:
    """Raises: ConfigError: there is no model of this name."""
    if name not in MODELS:
        raise ConfigError(f"statistical model {name!r}; expected {', '.join(MODELS)}{did_you_mean(name, MODELS)}")


def train_statistical(
    pairs: Iterable[Pair],
    folder: Path,
    model: str = DEFAULT_MODEL,
    seed: int = 0,
    max_pairs: int = MAX_PAIRS,
    iterations: int | None = None,
    lowercase: bool = True,
) -> dict[str, Any]:
    """Trains a model on sentence pairs and saves it.

    Pairs with an empty side, or a side of more than `LONGEST_TRAINED` words, are left out. Of the rest at most
    ``max_pairs`` are drawn (every subset of this size alike), and of those, in drawn order, as many as have
    `MAX_CELLS` pairs of places together. The same pairs and seed give the same file.

    Args:
        pairs: words of both sides; read once, as a stream.
        folder: made if missing; its model is replaced.
        iterations: of every stage; None is the model's own.
        lowercase: whether words are compared in lower case.

    Returns:
        Plain data: pairs seen, left out by reason and used; words of both sides; co-occurrences; perplexity of every
        iteration, made words given the other side, for both directions; seconds.

    Raises:
        ConfigError: the model is unknown, or a number is less than 1.
        DataError: no pair is left to train on.
    """
    check_model(model)
    if max_pairs < 1 or (iterations is not None and iterations < 1):
        raise ConfigError(f"max_pairs = {max_pairs}, iterations = {iterations}: expected 1 or more")
    start = time.perf_counter()
    used, seen, dropped = sample_pairs(pairs, seed, max_pairs, lowercase)
    if not used:
        reasons = "; ".join(f"{count} {reason}" for reason, count in dropped.items()) or "there are none"
        raise DataError(f"no sentence pairs to train {model} on: {reasons}")
    vocabularies: tuple[dict[str, int], dict[str, int]] = ({}, {})
    numbers = [[_numbered(side.split(GAP), known) for side in column]
               for column, known in zip(zip(*used, strict=True), vocabularies, strict=True)]  # fmt: skip
    parts = MODELS[model]
    if iterations:
        parts = replace(parts, stages=tuple((kind, iterations) for kind, _ in parts.stages))
    steps = sum(often for _, often in parts.stages)
    sizes = (len(vocabularies[0]), len(vocabularies[1]))
    fitted: Fitted | None = None
    # Threads change the order of sums, and with it the last bits.
    with threadpool_limits(1, user_api="blas"):
        for state in track(fit(parts, numbers[0], numbers[1], sizes), f"train {model}", steps):
            fitted = state
    if fitted is None:
        raise ConfigError(f"{model} has no stages")
    facts = {
        "pairs_seen": seen,
        "pairs_left_out": dict(dropped),
        "pairs_used": len(used),
        "src_words": sizes[0],
        "tgt_words": sizes[1],
        "co_occurrences": len(fitted.keys),
        "perplexity": {"tgt": fitted.perplexity[0], "src": fitted.perplexity[1]},
        "seconds": round(time.perf_counter() - start, 2),
    }
    settings = {"model": model, "lowercase": lowercase, "seed": seed, "max_pairs": max_pairs}
    save_model(folder, settings, parts, vocabularies, fitted, facts)
    return facts


def cached_model(
    pairs: Callable[[], Iterable[Pair]],
    digest: str,
    cache: Path,
    model: str = DEFAULT_MODEL,
    seed: int = 0,
    max_pairs: int = MAX_PAIRS,
    iterations: int | None = None,
    lowercase: bool = True,
) -> Path:
    """The folder of a model of a bitext, trained now unless it is in the cache already: for aligning a text with a
    model of itself, so that a run that was killed goes on with the same model.

    Args:
        pairs: as of `train_statistical`, anew at each call.
        digest: changes when ``pairs`` do.

    Raises:
        ConfigError, DataError: as `train_statistical`; ArtifactError: the cache cannot be written.
    """
    check_model(model)
    settings = {"model": model, "seed": seed, "max_pairs": max_pairs, "iterations": iterations, "lowercase": lowercase}

    def made(folder: Path, _work: Path) -> Mapping[str, Any]:
        return train_statistical(pairs(), folder, model, seed, max_pairs, iterations, lowercase)

    stage = Stage("aligner", f"train {model}", settings, {"pairs": digest}, made)
    rebuild_if_damaged(stage, cache)
    return build(stage, cache)


def sample_pairs(
    pairs: Iterable[Pair], seed: int, max_pairs: int, lowercase: bool
) -> tuple[list[tuple[str, str]], int, Counter[str]]:
    """A sample in the order of the input (words joined by `GAP`), how many there were, what was left out by reason.

    Reservoir sampling (Vitter 1985, algorithm R): memory is that of the sample.
    """
    drawn = random.Random(seed)
    kept: list[tuple[int, int, tuple[str, str]]] = []
    dropped: Counter[str] = Counter()
    number = fitting = 0
    for number, (src, tgt) in enumerate(pairs, 1):
        reason = _unfit(src, tgt)
        if reason:
            dropped[reason] += 1
            continue
        place = fitting if fitting < max_pairs else int(drawn.random() * (fitting + 1))
        fitting += 1
        if place >= max_pairs:
            continue
        sides = (GAP.join(src), GAP.join(tgt))
        item = (number, len(src) * len(tgt), (sides[0].lower(), sides[1].lower()) if lowercase else sides)
        if place == len(kept):
            kept.append(item)
        else:
            kept[place] = item
    if fitting > len(kept):
        dropped["not drawn"] = fitting - len(kept)
    drawn.shuffle(kept)
    room = int(np.searchsorted(np.cumsum([cells for _, cells, _ in kept]), MAX_CELLS, side="right"))
    if room < len(kept):
        dropped["beyond the memory for training"] = len(kept) - room
    return [texts for _, _, texts in sorted(kept[:room])], number, dropped


def _unfit(src: Sequence[str], tgt: Sequence[str]) -> str:
    if not src or not tgt:
        return "empty side"
    return f"more than {LONGEST_TRAINED} words" if max(len(src), len(tgt)) > LONGEST_TRAINED else ""


def _numbered(words: Sequence[str], known: dict[str, int]) -> Array:
    return np.array([known.setdefault(word, len(known)) for word in words], dtype=np.int32)


def statistical_recipe(
    folder: Path,
    symmetrization: str = DEFAULT_SYMMETRIZATION,
    threshold: float = 0.4,
) -> Recipe:
    """A trained aligner for sentences that are split into words already.

    Sentences of more than `xrealign.align.statistical_model.LONGEST` words are cut; the words beyond get no link and
    are counted.

    Args:
        folder: what `train_statistical` or `xrealign align train` wrote.
        symmetrization: one of `xrealign.align.symmetrize.SYMMETRIZATIONS`, or ``posterior``.
        threshold: of ``posterior``: links score more than this.

    Raises:
        ArtifactError: there is no model, or it is of another version; on opening: it is damaged.
        ConfigError: the symmetrisation is unknown, or the threshold impossible.
    """
    if symmetrization not in (*SYMMETRIZATIONS, POSTERIOR):
        known = (*SYMMETRIZATIONS, POSTERIOR)
        hint = did_you_mean(symmetrization, known)
        raise ConfigError(f"symmetrisation {symmetrization!r} is unknown; expected {', '.join(known)}{hint}")
    if not 0 <= threshold <= 1:
        raise ConfigError(f"threshold = {threshold} is impossible; expected 0 to 1")
    settings = read_settings(folder)
    key = {"aligner": settings["model"], "sha256": settings["sha256"], "symmetrization": symmetrization}
    if symmetrization == POSTERIOR:
        key["threshold"] = threshold

    def opened() -> Linker:
        model = load_model(folder, settings)
        return Linker(lambda src, tgt: link_pairs(model, src, tgt, symmetrization, threshold))

    return Recipe(key, opened)


MODELS: Mapping[str, Model] = {
    "ibm1": Model((("uniform", 5),)),
    "fast-align": Model((("diagonal", 5),), "variational", concentration=0.01, null=0.08),
    "hmm": Model((("uniform", 5), ("jump", 5))),
    "hmm-agreement": Model((("uniform", 5), ("jump", 5)), agree=True),
}
