"""How long a text an encoder can read."""

from __future__ import annotations

from typing import Any


def positions_of(config: Any) -> int | None:
    """How many subwords an encoder reads at most, from its configuration; None where it does not say.

    RoBERTa and its kin count positions from the padding's id on (`transformers` does), so they read as many fewer.
    """
    most = getattr(config, "max_position_embeddings", None)
    if most is None or "roberta" not in str(config.model_type):
        return most
    return int(most) - int(config.pad_token_id) - 1
