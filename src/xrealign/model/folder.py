"""An encoder on disk: a Hugging Face folder whose word embeddings lie in a shard of their own.

Embeddings are most of a multilingual encoder (96 of the starter's 118 million parameters) and many trainings
leave them alone; in a shard apart they are shared between folders by hard link instead of being written again.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from xrealign.textio import set_usual_mode

SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
INDEX = "model.safetensors.index.json"


def write_shards(
    folder: Path, weights: Mapping[str, Any], apart: str, save_file: Callable[..., None], shared: Path | None = None
) -> None:
    """Writes ``weights`` as two safetensors shards with the index ``from_pretrained`` reads.

    Args:
        apart: the name that goes alone into the first shard.
        save_file: safetensors' ``save_file`` for the kind of array in ``weights``.
        shared: an existing first shard with the same content, linked instead of written.
    """
    if shared is None:
        save_file({apart: weights[apart]}, folder / SHARDS[0], metadata={"format": "pt"})
    else:
        link_or_copy(shared, folder / SHARDS[0])
    save_file({k: v for k, v in weights.items() if k != apart}, folder / SHARDS[1], metadata={"format": "pt"})
    for name in SHARDS[shared is not None :]:  # safetensors closes what it writes to everybody else
        set_usual_mode(folder / name)
    index = {
        "metadata": {"total_size": sum(v.nbytes for v in weights.values())},
        "weight_map": {name: SHARDS[name != apart] for name in sorted(weights)},
    }
    (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def link_or_copy(source: Path, target: Path) -> None:
    """A hard link where the file system allows one, else a copy."""
    try:
        os.link(source, target)
    except OSError:  # other file system, or one without links
        shutil.copyfile(source, target)
