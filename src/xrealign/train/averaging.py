"""The mean of several fine-tuned models, weight by weight: one model in the place of several runs.

Schmidt et al. 2023, *Free Lunch* (arXiv 2305.16834): runs that start from the same encoder and differ in their seeds.
They start all runs from the same head as well; here each seed draws its own, which the mean has to bridge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from xrealign.errors import DataError
from xrealign.model.encoder import load_encoder, save_encoder
from xrealign.train.heads import load_head, save_head
from xrealign.train.keeping import mean_of


def average_models(folders: Sequence[Path], out: Path) -> dict[str, Any]:
    """Writes the mean of fine-tuned models (folders with an encoder and a head) to ``out``; returns facts.

    One model at a time is in memory beside their sum. Tokenizer and configuration are those of the first.

    Raises:
        DataError: there are none, or they differ in kind, labels, tags or architecture.
        ArtifactError: a folder is not that of a fine-tuned model.
    """
    if not folders:
        raise DataError("there are no models to average; give their folders")
    first, kind, labels, tags = load_head(folders[0])
    shapes: dict[str, torch.Size] = {}

    def read(folder: Path) -> Mapping[str, Tensor]:
        head, *own = load_head(folder)
        if own != [kind, labels, tags] or vars(head).get("word_pooling") != vars(first).get("word_pooling"):
            raise DataError(f"{folder}: kind, labels or tags are not those of {folders[0]}")
        weights = dict(load_encoder(str(folder)).model.state_dict())
        weights |= {f"head.{name}": tensor for name, tensor in head.state_dict().items()}
        found = {name: tensor.shape for name, tensor in weights.items()}
        if found != (shapes or found):
            raise DataError(f"{folder}: its weights have other names or shapes than those of {folders[0]}")
        shapes.update(found)
        return weights

    mean = mean_of(read, folders)
    encoder = load_encoder(str(folders[0]))
    encoder.model.load_state_dict({name: tensor for name, tensor in mean.items() if not name.startswith("head.")})
    first.load_state_dict({n.removeprefix("head."): tensor for n, tensor in mean.items() if n.startswith("head.")})
    save_encoder(encoder, out, base=encoder.folder)
    save_head(out, first, kind, labels, tags)
    return {"models": len(folders), "folders": [str(folder) for folder in folders]}
