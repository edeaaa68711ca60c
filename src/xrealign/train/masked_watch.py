"""How well an encoder still tells masked words of the source language, watched while it is trained on something else.

For encoders that come with the head of a masked language model. The head itself does not learn, so its score falls as
the states move away from what it was trained to read: forgetting, without any label.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from xrealign.model.encoder import Encoder
from xrealign.model.words import encode_texts, length_batches, make_batch
from xrealign.train.masked import MaskedBatch, MaskSettings, mask_batch, masked_predictions, subwords_of
from xrealign.train.masked_head import masked_model
from xrealign.train.seeds import numpy_generator
from xrealign.train.session import Scores

TURNS = 4  # times that each sentence is masked, each time at other places
SUBWORDS = 4096  # of a batch
HEADS = ("lm_head.", "cls.", "vocab_", "head.", "mlm_head.")


def has_masked_head(encoder: Encoder) -> bool:
    """Whether the folder of an encoder holds the weights of a masked language model's head, by their names."""
    from safetensors import safe_open

    names: set[str] = set()
    for path in sorted(encoder.folder.glob("*.safetensors")):
        with safe_open(path, framework="np") as file:
            names.update(file.keys())
    architectures = json.loads((encoder.folder / "config.json").read_text("utf-8")).get("architectures") or []
    said = any(name.endswith("ForMaskedLM") for name in architectures)
    return said and any(name.startswith(HEADS) for name in names)


def masked_scores(
    encoder: Encoder,
    texts: Sequence[str],
    spans: Sequence[np.ndarray[Any, Any]],
    max_length: int,
    seed: int,
) -> Scores:
    """The share of masked subwords that the encoder's own head gets right, by sentences that it is not trained on.

    15 % of the subwords, drawn from ``seed``, all of them masked (none random or kept). With a compact vocabulary the
    head chooses among the subwords that occur.

    Args:
        texts: of the source language.
        spans: their words, (W, 2) character spans each.

    Raises:
        ConfigError: the encoder comes without the weights of a head, or its tokenizer without a mask.
    """
    masked = masked_model(encoder)
    encoded = encode_texts(encoder.tokenizer, list(texts), max_length, list(spans))
    subwords, settings = subwords_of(encoder.tokenizer, [encoded.ids]), MaskSettings(masked=1.0, random=0.0)
    pad = encoder.tokenizer.pad_token_id
    batches = [
        mask_batch(make_batch([(encoded, rows)], pad), settings, subwords, numpy_generator(seed, "mlm watch", turn, n))
        for turn in range(TURNS)
        for n, rows in enumerate(length_batches(encoded.lengths, SUBWORDS))
    ]

    def measure(model: nn.Module) -> Mapping[str, float]:
        device = next(model.parameters()).device
        masked.to(device)  # the head; the encoder inside is the model's own
        return {"masked words": masked_accuracy(masked, [batch.to(device) for batch in batches])}

    return Scores([encoded.ids, np.array([subwords.mask])], measure, masked)


def masked_accuracy(model: nn.Module, batches: Sequence[MaskedBatch]) -> float:
    """Share of the masked places of all batches where the label has the highest score; 0 without any."""
    right: list[Tensor] = []
    with torch.no_grad():
        for batch in batches:
            scores, labels = masked_predictions(model, batch)
            right.append(scores.argmax(-1) == labels)
    found = torch.cat(right)
    return float(found.float().mean()) if len(found) else 0.0


def both_scores(*some: Scores | None) -> Scores | None:
    """Several scores as one; None where there are none."""
    given = [scores for scores in some if scores is not None]
    if not given:
        return None

    def measure(model: nn.Module) -> Mapping[str, float]:
        return {name: value for scores in given for name, value in scores.measure(model).items()}

    masked = next((scores.masked for scores in given if scores.masked is not None), None)
    return Scores([ids for scores in given for ids in scores.used], measure, masked)
