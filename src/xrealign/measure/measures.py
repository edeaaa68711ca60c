"""The measures of a pair of languages by name: from the vectors of two sides to numbers, for one layer and variant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from xrealign.measure.decoders import mexa, neuron_alignment, neuron_overlap
from xrealign.measure.measured import Measured, measured
from xrealign.measure.mining import mining_rows, mining_scores
from xrealign.measure.similarity import anisotropy, linear_cka, translation_cosines
from xrealign.measure.translations import all_hits

Array = np.ndarray[Any, Any]
Found = dict[str, Measured]
DIRECTIONS = ("src_to_tgt", "tgt_to_src")


@dataclass(frozen=True)
class PairMeasure:
    """A measure of two sides' vectors.

    Attributes:
        level: ``word``, ``sentence`` or ``neuron``: what the rows are.
        compute: from both sides, (N, D) each, row n translating row n, and the seed.
        rows: which rows the items are about, from N and the seed; all, one item each, where it is None.
        fewest: rows it needs.
    """

    level: str
    compute: Callable[[Array, Array, int], Found]
    rows: Callable[[int, int], Array] | None = None
    fewest: int = 2


def retrieval(src: Array, tgt: Array, _seed: int = 0) -> Found:
    """``weak``, ``strong``, and both with ``_csls``: accuracy, mean of both directions, and each direction's."""
    found: Found = {}
    for (strong, csls), hits in all_hits(src, tgt).items():
        name = ("strong" if strong else "weak") + "_csls" * csls
        found[name] = measured((hits[0].astype(np.float64) + hits[1]) / 2)
        found |= {f"{name}_{way}": measured(side) for way, side in zip(DIRECTIONS, hits, strict=True)}
    return found


def _neurons(src: Array, tgt: Array, _seed: int) -> Found:
    # Where language means were subtracted, a neuron is at work that fires more than it does on average.
    limit = 0.5 if min(src.min(), tgt.min()) >= 0 else 0.0
    return {"alignment": neuron_alignment(src, tgt)} | {
        f"overlap_{name}": found for name, found in neuron_overlap(src, tgt, limit).items()
    }


PAIR_MEASURES: Mapping[str, PairMeasure] = {
    "word-retrieval": PairMeasure("word", retrieval),
    "word-cosine": PairMeasure("word", lambda src, tgt, _: translation_cosines(src, tgt)),
    "word-cka": PairMeasure("word", lambda src, tgt, _: {"cka": linear_cka(src, tgt)}),
    "sentence-retrieval": PairMeasure("sentence", retrieval),
    "sentence-cosine": PairMeasure("sentence", lambda src, tgt, _: translation_cosines(src, tgt)),
    "sentence-cka": PairMeasure("sentence", lambda src, tgt, _: {"cka": linear_cka(src, tgt)}),
    "anisotropy": PairMeasure(
        "sentence", lambda src, tgt, _: {"src_mean_cosine": anisotropy(src), "tgt_mean_cosine": anisotropy(tgt)}
    ),
    "mining": PairMeasure("sentence", mining_scores, mining_rows, 12),
    "mexa": PairMeasure("sentence", lambda src, tgt, _: {"mexa": mexa(src, tgt)}),
    "neurons": PairMeasure("neuron", _neurons),
}
# Of all languages at once, over the sentences that every bitext has.
GROUP_MEASURES = ("pool", "identity", "similarity")
MEASURES = (*PAIR_MEASURES, *GROUP_MEASURES)
STANDARD = ("word-retrieval", "sentence-retrieval", "sentence-cosine", "sentence-cka", "anisotropy")
