"""Word links from the encoder's own vectors: mutual argmax, a batch of pairs at a time.

SimAlign's "inter" (Jalili Sabet et al. 2020, arXiv 2004.08728): i and j are linked when j is i's most similar word
and i is j's. Whole batches are scored in one product and come to the host in one copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from xrealign.model.encoder import Encoder
from xrealign.model.layers import hidden_state
from xrealign.model.words import EncodedTexts, TextBatch, encode_texts, length_batches, make_batch, pool_words
from xrealign.progress import track

Links = np.ndarray[Any, Any]


def mutual_argmax(src: Tensor, tgt: Tensor, src_mask: Tensor, tgt_mask: Tensor) -> tuple[Tensor, Tensor]:
    """Links of B pairs and their cosines.

    Args:
        src, tgt: word vectors, padded. *Shape:* (B, I, D), (B, J, D)
        src_mask, tgt_mask: which places are words. *Shape:* (B, I), (B, J)

    Returns:
        bool links and float cosines, both (B, I, J). Of equal cosines the first word wins, on both sides.
    """
    cosine = torch.bmm(F.normalize(src, dim=-1), F.normalize(tgt, dim=-1).transpose(1, 2))
    both = src_mask[:, :, None] & tgt_mask[:, None, :]
    masked = cosine.masked_fill(~both, -torch.inf)
    columns = torch.arange(cosine.shape[2], device=cosine.device)
    rows = torch.arange(cosine.shape[1], device=cosine.device)
    links = (_first_argmax(masked, 2)[:, :, None] == columns) & (_first_argmax(masked, 1)[:, None, :] == rows[:, None])
    return links & both, cosine


def _first_argmax(values: Tensor, dim: int) -> Tensor:
    """argmax that takes the first of equal values on every device; torch promises none in particular."""
    return (
        (values == values.amax(dim, keepdim=True)).to(torch.int8).argmax(dim) if values.shape[dim] else values.sum(dim)
    )


def pad_words(vectors: Tensor, batch: TextBatch, sentences: int) -> tuple[Tensor, Tensor]:
    """Word vectors (W, D) as (S, W_max, D) with their mask (S, W_max); words without subwords are masked out."""
    width = int(batch.word.max()) + 1 if len(batch.word) else 0
    flat = (batch.sentence * width + batch.word).to(vectors.device)
    padded = vectors.new_zeros(sentences * width, vectors.shape[-1]).index_copy(0, flat, vectors)
    mask = torch.zeros(sentences * width, dtype=torch.bool, device=vectors.device).index_fill(0, flat, True)
    return padded.view(sentences, width, vectors.shape[-1]), mask.view(sentences, width)


def argmax_links(
    encoder: Encoder,
    src: Sequence[str],
    src_spans: Sequence[np.ndarray[Any, Any]],
    tgt: Sequence[str],
    tgt_spans: Sequence[np.ndarray[Any, Any]],
    layer: int,
    max_length: int = 128,
    subwords_per_batch: int = 4096,
    what: str = "align",
) -> list[Links]:
    """Mutual-argmax links of each sentence pair, *Shape:* (N, 2) int32 each, sorted.

    Word vectors are means over subwords at ``layer``; blocks above it are not run.
    """
    left = encode_texts(encoder.tokenizer, src, max_length, src_spans)
    right = encode_texts(encoder.tokenizer, tgt, max_length, tgt_spans)
    found: list[Links] = [np.zeros((0, 2), dtype=np.int32)] * len(left)
    batches = length_batches(np.maximum(left.lengths, right.lengths) * 2, subwords_per_batch)
    with torch.inference_mode():
        for rows in track(batches, what):
            for row, links in zip(rows, _batch_links(encoder, left, right, rows, layer), strict=True):
                found[row] = links
    return found


def _batch_links(encoder: Encoder, left: EncodedTexts, right: EncodedTexts, rows: Links, layer: int) -> list[Links]:
    batch = make_batch([(left, rows), (right, rows)], encoder.tokenizer.pad_token_id)
    moved = batch.to(encoder.device)
    words = pool_words(hidden_state(encoder.model, layer, moved.inputs), moved)
    padded, mask = pad_words(words, batch, 2 * len(rows))
    if padded.shape[1] == 0:
        return [np.zeros((0, 2), dtype=np.int32)] * len(rows)
    half = len(rows)
    links, _ = mutual_argmax(padded[:half], padded[half:], mask[:half], mask[half:])
    pair, i, j = np.nonzero(links.cpu().numpy())
    cuts = np.searchsorted(pair, np.arange(1, half))
    return np.split(np.stack([i, j], axis=1).astype(np.int32), cuts)
