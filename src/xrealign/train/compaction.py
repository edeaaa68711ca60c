"""Training on the rows of the word embeddings that a run uses.

A row that never occurs gets a gradient of zero, so Adam leaves it as it is: training the sub-matrix of used rows
and writing them back gives the same bits with a fraction of the memory and optimiser time. Decoupled weight decay
(AdamW) shrinks unused rows too, by a factor that depends on the schedule alone; it is applied when they are put back.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import nn

from xrealign.errors import ConfigError


class CompactRows(nn.Module):
    """Stands in for the word embeddings: full ids in, vectors of the kept rows out.

    ``place`` maps a full id to its row here (-1: not kept). The full matrix waits in ``full``, on the host.
    """

    place: torch.Tensor

    def __init__(self, full: nn.Embedding, kept: np.ndarray[Any, Any]) -> None:
        super().__init__()
        rows = torch.from_numpy(kept).to(full.weight.device)
        pad = full.padding_idx
        place = torch.full((full.num_embeddings,), -1, dtype=torch.long)
        place[torch.from_numpy(kept)] = torch.arange(len(kept))
        self.register_buffer("place", place.to(full.weight.device), persistent=False)
        self.weight = nn.Parameter(full.weight.detach()[rows].clone())
        self.padding_idx = None if pad is None else int(place[pad])
        self.kept = rows
        self.full = [full]  # in a list: not a submodule, so neither trained, moved nor saved

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """*Shape:* (S, T) → (S, T, D). An id that was not kept is an index error, never a wrong row."""
        return nn.functional.embedding(self.place[ids], self.weight, self.padding_idx)


def compact_embeddings(model: Any, used: Iterable[np.ndarray[Any, Any]]) -> CompactRows:
    """Replaces the model's word embeddings by those rows that occur in ``used`` (arrays of ids), pad included.

    Raises:
        ConfigError: the embedding matrix is tied to an output layer, whose every row learns at every step.
    """
    full = model.get_input_embeddings()
    output = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    if output is not None and output.weight is full.weight:
        raise ConfigError("compact_vocabulary = true does not fit a model whose output layer is tied to its embeddings")
    pad = [] if full.padding_idx is None else [np.array([full.padding_idx])]
    kept = np.unique(np.concatenate([*pad, *(np.unique(ids) for ids in used)]).astype(np.int64))
    compact = CompactRows(full, kept)
    model.set_input_embeddings(compact)
    return compact


def embeddings_learn(model: Any, names: frozenset[str]) -> bool:
    """Whether the word embeddings are among the trainable parameters ``names``."""
    matrix = model.get_input_embeddings().weight
    return any(p is matrix and name in names for name, p in model.named_parameters())


def expand_embeddings(model: Any, unused_factor: float = 1.0) -> None:
    """Puts the full matrix back with the trained rows in their places; ``unused_factor`` scales all other rows."""
    compact = model.get_input_embeddings()
    full = compact.full[0].to(compact.weight.device)  # it waited on the host while the model trained elsewhere
    with torch.no_grad():
        if unused_factor != 1.0:
            full.weight.mul_(unused_factor)
        full.weight[compact.kept] = compact.weight.detach()
    model.set_input_embeddings(full)
