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

from xrealign.refusals import telling
from xrealign.writing import new_path, write_atomic

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
        save_tensors({apart: weights[apart]}, folder / SHARDS[0], save_file, {"format": "pt"})
    else:
        link_or_copy(shared, folder / SHARDS[0])
    rest = {name: values for name, values in weights.items() if name != apart}
    save_tensors(rest, folder / SHARDS[1], save_file, {"format": "pt"})
    index = {
        "metadata": {"total_size": sum(v.nbytes for v in weights.values())},
        "weight_map": {name: SHARDS[name != apart] for name in sorted(weights)},
    }
    write_atomic(folder / INDEX, json.dumps(index, indent=2) + "\n")


def save_tensors(
    tensors: Mapping[str, Any], path: Path, save_file: Callable[..., None], metadata: Mapping[str, str] | None = None
) -> None:
    """Writes tensors with safetensors' ``save_file``, whole or not at all.

    Raises:
        OutputError: the system refuses.
    """
    size = sum(values.nbytes for values in tensors.values())
    with new_path(path, size) as aside:
        save_file(dict(tensors), aside, metadata=None if metadata is None else dict(metadata))


def link_or_copy(source: Path, target: Path) -> None:
    """A hard link where the file system allows one, else a copy.

    Raises:
        OutputError: the system refuses.
    """
    with telling(target, size=source.stat().st_size):
        try:
            os.link(source, target)
        except OSError:  # other file system, or one without links
            shutil.copyfile(source, target)
