"""What was measured, as rows: of one encoder, and of a second one less the first, with intervals."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from xrealign.measure.measured import RESAMPLES, Measured, paired_replicates, percentiles
from xrealign.types import Score

Array = np.ndarray[Any, Any]
MEAN = "mean"  # in place of a target language: the mean over all of them
Cell = tuple[str, str, str, str, int, str]


@dataclass(frozen=True)
class Result:
    """One measure of one encoder at one layer.

    Attributes:
        measure, metric: what it is.
        src, tgt: tags of the languages; of a measure of one language ``src`` is empty.
        variant: ``raw`` or ``centred`` (each language's mean subtracted).
        number: the value with its items.
        clusters: what the items are drawn by (a sentence's row). *Shape:* (N,)
    """

    encoder: str
    measure: str
    metric: str
    src: str
    tgt: str
    layer: int
    variant: str
    number: Measured
    clusters: Array

    @property
    def cell(self) -> Cell:
        """All but the encoder."""
        return self.measure, self.metric, self.src, self.tgt, self.layer, self.variant

    def as_record(self) -> dict[str, Any]:
        """Plain data: value and count in place of items."""
        kept = {name: getattr(self, name) for name in ("encoder", *CELL)}
        return kept | {"value": self.number.value, "n": len(self.number.items)}


CELL = ("measure", "metric", "src", "tgt", "layer", "variant")


@dataclass(frozen=True)
class Change:
    """after − before of one cell, with the ends of a 95 % interval (None with fewer than 5 sentences)."""

    before: str
    after: str
    measure: str
    metric: str
    src: str
    tgt: str
    layer: int
    variant: str
    difference: float
    low: float | None
    high: float | None
    n: int

    def as_record(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def changes(results: Sequence[Result], resamples: int = RESAMPLES, seed: int = 0) -> list[Change]:
    """Every later encoder less the first, cell by cell, and the mean over target languages (each weighs the same).

    Items are paired, and sentences drawn with replacement: the same ones for both encoders and all layers and metrics
    of a language. Languages are drawn independently of each other; their choice is taken as given.
    """
    by_encoder: dict[str, dict[Cell, Result]] = defaultdict(dict)
    for result in results:
        by_encoder[result.encoder][result.cell] = result
    names = list(by_encoder)
    found = []
    for after in names[1:]:
        before = by_encoder[names[0]]
        shared = [cell for cell in before if cell in by_encoder[after]]
        both = {cell: (before[cell], by_encoder[after][cell]) for cell in shared}
        found += _changes(names[0], after, both, resamples, seed)
    return found


def _changes(
    first: str, after: str, both: dict[Cell, tuple[Result, Result]], resamples: int, seed: int
) -> list[Change]:
    drawn: dict[Cell, Array | None] = {}
    alike: dict[tuple[str, str, bytes], list[Cell]] = defaultdict(list)
    for cell, (result, _) in both.items():
        alike[result.src, result.tgt, result.clusters.tobytes()].append(cell)
    for (src, tgt, _), cells in alike.items():
        one, other = (np.stack([both[c][side].number.items for c in cells], axis=1) for side in (0, 1))
        key = (seed, zlib.crc32(f"{src} {tgt}".encode()))
        replicates = paired_replicates(one, other, both[cells[0]][0].clusters, resamples, key)
        drawn |= {c: None if replicates is None else replicates[:, place] for place, c in enumerate(cells)}
    rows = [_change(first, after, cell, drawn[cell], _gain(both[cell]), _count(both[cell])) for cell in both]
    groups: dict[Cell, list[Cell]] = defaultdict(list)
    for cell in both:
        groups[(*cell[:3], MEAN, *cell[4:])].append(cell)
    for cell, members in groups.items():
        if len(members) > 1:
            known = [drawn[m] for m in members]
            total = None if any(k is None for k in known) else np.mean(np.stack([k for k in known if k is not None]), 0)
            gain = float(np.mean([_gain(both[m]) for m in members]))
            rows.append(_change(first, after, cell, total, gain, sum(_count(both[m]) for m in members)))
    return rows


def _change(before: str, after: str, cell: Cell, replicates: Array | None, gain: float, count: int) -> Change:
    low = high = None
    if replicates is not None:
        low, high = (float(end[0]) for end in percentiles(replicates[:, None]))
    return Change(before, after, *cell, gain, low, high, count)


def _gain(pair: tuple[Result, Result]) -> float:
    return pair[1].number.value - pair[0].number.value


def _count(pair: tuple[Result, Result]) -> int:
    return len(pair[0].number.items)


def as_scores(results: Sequence[Result], seed: int, signature: str) -> list[Score]:
    """Tidy rows for ``scores.parquet``: task is the measure, method the encoder's name, language the target.

    With several source languages the task names the source too.
    """
    several = len({result.src for result in results if result.src}) > 1
    return [
        Score(
            run="measure",
            method=r.encoder,
            task=f"{r.measure} from {r.src}" if several and r.src else r.measure,
            language=r.tgt,
            metric=r.metric,
            value=r.number.value,
            n=len(r.number.items),
            seed=seed,
            layer=r.layer,
            variant=r.variant,
            signature=signature,
        )
        for r in results
    ]
