"""Word links from the encoder's own vectors, a batch of pairs at a time.

One forward pass up to the layer asked for, one product for all similarities of a batch, one copy to the host; what
becomes of the similarities is up to the aligner (`xrealign.align.extract`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from xrealign.align.extract import ALIGNERS, AlignSettings, mutual
from xrealign.align.linker import NO_LINKS, Linked, Linker, Recipe, ScoredLinks, Sentences
from xrealign.align.romanised import romanised_boost
from xrealign.model.encoder import Encoder, encoder_digest, load_encoder
from xrealign.model.finite import check_vectors, finite_sentences
from xrealign.model.layers import hidden_state, resolve_layer
from xrealign.model.precision import half_linear
from xrealign.model.prompt import check_room
from xrealign.model.words import EncodedTexts, TextBatch, encode_texts, length_batches, make_batch, pool_words
from xrealign.progress import track
from xrealign.segment import spans_of_words

Links = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Units:
    """What is linked: words or subwords of S sentences, padded.

    Attributes:
        vectors: *Shape:* (S, W, D)
        mask: which places are real. *Shape:* (S, W)
        words: the word at each place, on the host; None when place w is word w. *Shape:* (S, W)
    """

    vectors: Tensor
    mask: Tensor
    words: Links | None


def mutual_argmax(src: Tensor, tgt: Tensor, src_mask: Tensor, tgt_mask: Tensor) -> tuple[Tensor, Tensor]:
    """Links of B pairs and their cosines: SimAlign's "inter" (Jalili Sabet et al. 2020, arXiv 2004.08728).

    Args:
        src, tgt: word vectors, padded. *Shape:* (B, I, D), (B, J, D)
        src_mask, tgt_mask: which places are words. *Shape:* (B, I), (B, J)

    Returns:
        bool links and float cosines, both (B, I, J). Of equal cosines the first word wins, on both sides.
    """
    cosine = similarities(src, tgt, "cosine")
    return mutual(cosine, src_mask[:, :, None] & tgt_mask[:, None, :]), cosine


def similarities(src: Tensor, tgt: Tensor, kind: str) -> Tensor:
    """Cosines or dot products of all places of B pairs. *Shape:* (B, I, D), (B, J, D) → (B, I, J)"""
    if kind == "cosine":
        src, tgt = F.normalize(src, dim=-1), F.normalize(tgt, dim=-1)
    return torch.bmm(src, tgt.transpose(1, 2))


def pad_words(vectors: Tensor, batch: TextBatch, sentences: int) -> tuple[Tensor, Tensor]:
    """Word vectors (W, D) as (S, W_max, D) with their mask (S, W_max); words without subwords are masked out."""
    return _pad(vectors, batch.sentence, batch.word, sentences)


def _pad(vectors: Tensor, sentence: Tensor, place: Tensor, sentences: int) -> tuple[Tensor, Tensor]:
    width = int(place.max()) + 1 if len(place) else 0
    flat = (sentence * width + place).to(vectors.device)
    padded = vectors.new_zeros(sentences * width, vectors.shape[-1]).index_copy(0, flat, vectors)
    mask = torch.zeros(sentences * width, dtype=torch.bool, device=vectors.device).index_fill(0, flat, True)
    return padded.view(sentences, width, vectors.shape[-1]), mask.view(sentences, width)


def units(hidden: Tensor, batch: TextBatch, moved: TextBatch, settings: AlignSettings) -> Units:
    """Vectors of words or subwords from states (S, T, D); ``moved`` is ``batch`` where the states are."""
    sentences = hidden.shape[0]
    if settings.level == "word":
        vectors, mask = pad_words(pool_words(hidden, moved, settings.pooling), batch, sentences)
        return Units(vectors, mask, None)
    sentence = batch.sentence[batch.segments]
    starts = torch.searchsorted(sentence, torch.arange(sentences))
    place = torch.arange(len(sentence)) - starts[sentence]
    vectors, mask = _pad(
        hidden.reshape(-1, hidden.shape[-1]).index_select(0, moved.positions), sentence, place, sentences
    )
    words = np.zeros(mask.shape, dtype=np.int32)
    words[sentence.numpy(), place.numpy()] = batch.word[batch.segments].numpy()
    return Units(vectors, mask, words)


def unit_links(
    found: Units,
    settings: AlignSettings,
    means: tuple[Tensor, Tensor] | None = None,
    words: tuple[Sentences, Sentences] | None = None,
) -> list[ScoredLinks]:
    """Links of B pairs whose source sentences are the first B of ``found`` and whose target sentences the rest.

    Args:
        means: the two languages' mean vectors, (D,) each, subtracted before anything is compared.
        words: of both sides, where ``settings.romanised`` asks how they are spelled.
    """
    half = found.vectors.shape[0] // 2
    src, tgt = found.vectors[:half], found.vectors[half:]
    if found.vectors.shape[1] == 0:
        return [NO_LINKS] * half
    if means is not None:
        src, tgt = src - means[0], tgt - means[1]
    aligner = ALIGNERS[settings.aligner]
    both = found.mask[:half, :, None] & found.mask[half:, None, :]
    similarity = similarities(src, tgt, aligner.similarity)
    if settings.romanised and words is not None:
        boost = romanised_boost(*words, settings.romanised, settings.romanised_floor, both.shape[2], found.words)
        added = torch.from_numpy(boost).to(similarity)
        if aligner.similarity == "dot":  # a boost of the cosine
            added = added * src.norm(dim=2)[:, :, None] * tgt.norm(dim=2)[:, None, :]
        similarity = similarity + added
    scores = aligner.links(similarity, both, settings)
    pair, i, j = np.nonzero(scores > -np.inf)
    strength = scores[pair, i, j].astype(np.float32)
    if found.words is not None:
        pair, i, j, strength = _by_word(pair, found.words[pair, i], found.words[pair + half, j], strength)
    cuts = np.searchsorted(pair, np.arange(1, half))
    links = np.split(np.stack([i, j], axis=1).astype(np.int32), cuts)
    return [ScoredLinks(*both) for both in zip(links, np.split(strength, cuts), strict=True)]


def _by_word(pair: Links, i: Links, j: Links, strength: Links) -> tuple[Links, Links, Links, Links]:
    """Links between words, of several between the same words the strongest."""
    order = np.lexsort((-strength, j, i, pair))
    pair, i, j, strength = pair[order], i[order], j[order], strength[order]
    new = np.ones(len(pair), dtype=bool)
    new[1:] = (np.diff(pair) != 0) | (np.diff(i) != 0) | (np.diff(j) != 0)
    return pair[new], i[new], j[new], strength[new]


def encoded_links(
    encoder: Encoder,
    left: EncodedTexts,
    right: EncodedTexts,
    settings: AlignSettings,
    means: tuple[Tensor, Tensor] | None = None,
    what: str | None = None,
    words: tuple[Sentences, Sentences] | None = None,
) -> list[ScoredLinks]:
    """Links of each sentence pair, of texts encoded with their word spans.

    Args:
        means, words: as for `unit_links`; words of all pairs.
        what: names the work on the progress bar; without it there is none.

    Raises:
        ArtifactError: a vector is not finite.
    """
    found = [NO_LINKS] * len(left)
    batches = length_batches(np.maximum(left.lengths, right.lengths) * 2, settings.subwords_per_batch)
    with torch.inference_mode():
        for rows in track(batches, what) if what else batches:
            batch = make_batch([(left, rows), (right, rows)], encoder.tokenizer.pad_token_id)
            made = units(*_states(encoder, batch, settings.layer), settings)
            names = [f"{side} sentence {row + 1}" for side in ("source", "target") for row in rows]
            check_vectors(finite_sentences(made.vectors).tolist(), names, what or "align")
            spelled = None
            if settings.romanised and words is not None:
                spelled = [words[0][row] for row in rows], [words[1][row] for row in rows]
            for row, links in zip(rows, unit_links(made, settings, means, spelled), strict=True):
                found[row] = links
    return found


def _states(encoder: Encoder, batch: TextBatch, layer: int) -> tuple[Tensor, TextBatch, TextBatch]:
    moved = batch.to(encoder.device)
    return hidden_state(encoder.model, layer, moved.inputs), batch, moved


def mean_vector(encoder: Encoder, texts: EncodedTexts, settings: AlignSettings) -> Tensor:
    """Mean over all words (or subwords) of ``texts``, *Shape:* (D,): what centring subtracts."""
    total, count = torch.zeros(encoder.width, dtype=torch.float64, device=encoder.device), 0
    with torch.inference_mode():
        for rows in length_batches(texts.lengths, settings.subwords_per_batch):
            batch = make_batch([(texts, rows)], encoder.tokenizer.pad_token_id)
            made = units(*_states(encoder, batch, settings.layer), settings)
            total += made.vectors.double().sum((0, 1))  # padding is zeros
            count += len(batch.word) if settings.level == "word" else len(batch.positions)
    return (total / max(count, 1)).float()


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
    check_room(encoder.model, max_length)
    left = encode_texts(encoder.tokenizer, src, max_length, src_spans)
    right = encode_texts(encoder.tokenizer, tgt, max_length, tgt_spans)
    settings = AlignSettings("argmax", layer, max_length=max_length, subwords_per_batch=subwords_per_batch)
    return [found.links for found in encoded_links(encoder, left, right, settings, what=what)]


def embedding_recipe(
    encoder_name: str, settings: AlignSettings, device: str = "cpu", revision: str | None = None
) -> Recipe:
    """An embedding aligner for sentences that are split into words already.

    Centring subtracts the means of the first pairs it is given, from all pairs alike.

    Raises:
        ArtifactError: the encoder is not to be had.
        ConfigError: on opening: there is no such layer.
    """
    key = {"encoder": encoder_digest(encoder_name, revision), "settings": asdict(settings)}
    return Recipe(key, lambda: _opened(load_encoder(encoder_name, revision), settings, device))


def _opened(encoder: Encoder, settings: AlignSettings, device: str) -> Linker:
    encoder.model.to(device)
    if settings.precision == "bf16":
        half_linear(encoder.model, device)
    settings = replace(settings, layer=resolve_layer(settings.layer, encoder.layers))
    length = min(settings.max_length, encoder.tokenizer.model_max_length)
    check_room(encoder.model, length)
    means: list[Tensor] = []

    def encode(sentences: Sentences) -> EncodedTexts:
        made = [spans_of_words(list(sentence)) for sentence in sentences]
        return encode_texts(encoder.tokenizer, [text for text, _ in made], length, [spans for _, spans in made])

    def prepare(src: Sentences, tgt: Sentences) -> None:
        means.extend(mean_vector(encoder, encode(side), settings) for side in (src, tgt))

    def link(src: Sentences, tgt: Sentences) -> Linked:
        left, right = encode(src), encode(tgt)
        both = (means[0], means[1]) if means else None
        found = encoded_links(encoder, left, right, settings, both, words=(src, tgt))
        return Linked(found, left.cut_words + right.cut_words)

    return Linker(link, prepare if settings.centre else None)
