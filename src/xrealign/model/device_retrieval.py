"""`xrealign.measure.translations.translation_hits` on a device: the same tiles, in torch.

For a hundred thousand vectors; for a few thousand NumPy will do.

*Shapes:* N vectors a side, D dims.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from xrealign.errors import DataError

NEIGHBOURS, TIE = 10, 1e-6  # those of NumPy's version, which models know nothing of
ROWS, COLUMNS = 8192, 16384  # a tile is 512 MiB


def device_hits(
    src: Tensor,
    tgt: Tensor,
    strong: bool = False,
    csls: bool = False,
    k: int = NEIGHBOURS,
    rows: int = ROWS,
    columns: int = COLUMNS,
) -> tuple[Tensor, Tensor]:
    """Which translations are found, from the source and from the target, where the vectors are. → (N,), (N,) bool

    What is a hit, and what is not, is said there. Products are float32's own: leave TF32 off
    (``torch.get_float32_matmul_precision() == "highest"``, torch's default), or ties and near-ties come out otherwise.

    Raises:
        DataError: the two sides differ in number, or there are none.
    """
    if len(src) != len(tgt) or not len(src):
        raise DataError(f"{len(src)} and {len(tgt)} vectors; expected the same number on both sides, at least one")
    size = rows, columns
    sides = tuple(F.normalize(side.float(), dim=1) for side in (src, tgt))
    own = (sides[0] * sides[1]).sum(1)
    across = tuple(_neighbours(side, other, k, *size) for side, other in (sides, sides[::-1])) if csls else None
    hits = []
    for n, (side, other) in enumerate((sides, sides[::-1])):
        penalty = across[1 - n] if across else None
        rival = _best_wrong(side, other, penalty, *size)
        if strong:
            inside = _neighbours(side, side, k, *size, itself=True) if csls else None
            rival = torch.maximum(rival, _best_wrong(side, side, inside, *size))
        hits.append((own if penalty is None else 2 * own - penalty) > rival + (2 * TIE if csls else TIE))
    return hits[0], hits[1]


def _tiles(left: Tensor, right: Tensor, rows: int, columns: int) -> Iterator[tuple[slice, slice, Tensor]]:
    for top in range(0, len(left), rows):
        for first in range(0, len(right), columns):
            here, there = slice(top, min(top + rows, len(left))), slice(first, min(first + columns, len(right)))
            yield here, there, left[here] @ right[there].T


def _blank(here: slice, there: slice, tile: Tensor) -> None:
    first, last = max(here.start, there.start), min(here.stop, there.stop)
    if first < last:
        own = torch.arange(first, last, device=tile.device)
        tile[own - here.start, own - there.start] = -torch.inf


def _neighbours(left: Tensor, right: Tensor, k: int, rows: int, columns: int, itself: bool = False) -> Tensor:
    """Mean cosine of each row to its k nearest of the other side; ``itself``: both are one, a row is not its own."""
    count = min(k, len(right) - itself)
    if not count:
        return left.new_zeros(len(left))
    best = left.new_full((len(left), count), -torch.inf)
    for here, there, tile in _tiles(left, right, rows, columns):
        if itself:
            _blank(here, there, tile)
        top = tile.topk(min(count, tile.shape[1]), dim=1).values
        best[here] = torch.cat([best[here], top], dim=1).topk(count, dim=1).values
    return best.mean(1)


def _best_wrong(left: Tensor, right: Tensor, penalty: Tensor | None, rows: int, columns: int) -> Tensor:
    best = left.new_full((len(left),), -torch.inf)
    for here, there, tile in _tiles(left, right, rows, columns):
        _blank(here, there, tile)
        scores = tile if penalty is None else tile.mul_(2).sub_(penalty[there])
        best[here] = torch.maximum(best[here], scores.amax(1))
    return best
