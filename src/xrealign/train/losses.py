"""Realignment objectives as pure functions of tensors; a scalar comes out. `xrealign.train.objectives` feeds them.

| function | source | reads |
|---|---|---|
| `word_contrastive` | Wu & Dredze 2020; Gaschi et al. 2023 | projected words, links |
| `sentence_contrastive` | Chen et al. 2020; Nguyen et al. 2025; ranking: Feng et al. 2022 | sentence vectors |
| `momentum_contrastive` | Chi et al. 2021 (InfoXLM) | sentence vectors of encoder and slow copy, queue |
| `squared_distance`, `state_drift` | Cao et al. 2020 | words, links; words under the initial weights |
| `parameter_drift` | Wu & Dredze 2020 | parameters, initial parameters |
| `transport_distance` | Alqahtani et al. 2021 | words by sentence |
| `cka_distance` | Kornblith et al. 2019 | linked words, or sentence vectors |
| `translation_loss` | Li et al. 2023 (DAP) | subword states of one side, subword ids of the other, a head |
| `pointer_loss` | Chi et al. 2021 (XLM-Align) | words of joined, masked sentences through a head, links |

All compute in float32 at least, whatever the states or autocast are; ask nothing of the host; and are zero, with a
gradient of zeros, where a batch has nothing to compare.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xrealign.train.losses_contrastive import (
    Temperature,
    momentum_contrastive,
    sentence_contrastive,
    word_contrastive,
)
from xrealign.train.losses_distance import (
    cka_distance,
    parameter_drift,
    squared_distance,
    state_drift,
    transport_distance,
)
from xrealign.train.losses_pointer import pointer_loss
from xrealign.train.losses_translation import translation_loss

__all__ = ["LOSSES", "Temperature", "sentence_contrastive", "word_contrastive"]

LOSSES: dict[str, Callable[..., Any]] = {
    "word": word_contrastive,
    "sentence": sentence_contrastive,
    "momentum": momentum_contrastive,
    "squared_distance": squared_distance,
    "state_drift": state_drift,
    "parameter_drift": parameter_drift,
    "transport": transport_distance,
    "cka": cka_distance,
    "translation": translation_loss,
    "pointer": pointer_loss,
}
