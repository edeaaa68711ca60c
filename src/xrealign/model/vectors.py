"""Vectors of sentences from an encoder, in inference mode, batched by length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from xrealign.model.encoder import Encoder
from xrealign.model.finite import check_vectors
from xrealign.model.layers import hidden_state
from xrealign.model.prompt import check_room
from xrealign.model.words import batch_subwords, encode_texts, length_batches, make_batch, pool_sentences
from xrealign.progress import track


def sentence_vectors(
    encoder: Encoder,
    texts: Sequence[str],
    layer: int,
    max_length: int = 128,
    subwords_per_batch: int | None = None,
    what: str | None = None,
) -> np.ndarray:
    """Mean-pooled vectors of ``texts`` at ``layer``. *Shape:* (S, D), float32, in the order of ``texts``.

    ``what`` names the work on the progress bar; without it there is none.

    Raises:
        ArtifactError: a vector is not finite.
        ConfigError: ``max_length`` is more than the encoder reads.
    """
    check_room(encoder.model, max_length)
    encoded = encode_texts(encoder.tokenizer, texts, max_length)
    vectors = np.zeros((len(texts), encoder.width), dtype=np.float32)
    batches = length_batches(encoded.lengths, subwords_per_batch or batch_subwords(encoder.device))
    with torch.inference_mode():
        for rows in track(batches, what) if what else batches:
            batch = make_batch([(encoded, rows)], encoder.tokenizer.pad_token_id).to(encoder.device)
            hidden = hidden_state(encoder.model, layer, batch.inputs)
            vectors[rows] = pool_sentences(hidden, batch.inputs["attention_mask"]).float().cpu().numpy()
    check_vectors([bool(np.isfinite(vector).all()) for vector in vectors], texts, what or "sentence vectors")
    return vectors
