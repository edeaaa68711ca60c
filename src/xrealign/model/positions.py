"""How long a text an encoder can read."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from xrealign.errors import ArtifactError
from xrealign.model.harmless import CONFIG, read_json

_FROM_PADDING = ("roberta", "camembert", "xmod", "mpnet", "longformer", "luke", "data2vec-text", "ibert", "lilt")


def positions_of(config: Any) -> int | None:
    """How many subwords an encoder reads at most, from its configuration; None where it does not say.

    RoBERTa and its kin count positions from the padding's id on (`transformers` does), so they read as many fewer.
    """
    most = getattr(config, "max_position_embeddings", None)
    if most is None or not any(kin in str(config.model_type) for kin in _FROM_PADDING):
        return most
    return int(most) - int(config.pad_token_id) - 1


def positions_in(folder: Path) -> int | None:
    """`positions_of` an encoder's folder, without loading it.

    Raises:
        ArtifactError: its config.json is not that of an encoder.
    """
    raw = read_json(folder / CONFIG)
    try:
        if {"max_position_embeddings", "model_type", "pad_token_id"} <= raw.keys():
            most = positions_of(SimpleNamespace(**raw))
        else:  # transformers leaves out what is as usual, and takes a second to import
            from transformers import AutoConfig

            most = positions_of(AutoConfig.from_pretrained(folder, trust_remote_code=False))
    except Exception as error:  # noqa: BLE001 - other people's code on other people's files: anything may come out
        said = next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]
        raise ArtifactError(f"{folder / CONFIG} is not that of an encoder: {said}") from None
    if most is not None and not isinstance(most, int):
        raise ArtifactError(f"{folder / CONFIG}: max_position_embeddings = {most!r}; expected a number")
    return most
