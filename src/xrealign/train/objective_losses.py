"""From a batch and its states to the loss of each objective, in two halves where it can be.

*Encode* makes vectors of words or sentences, sentence by sentence, second passes included; *compare* makes the loss
from those of the whole batch. So a batch that does not fit into the memory can be encoded in parts
(`xrealign.train.micro`), with the same negatives. What needs both sides of a pair at once is one *whole* function.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from xrealign.model.layers import hidden_states
from xrealign.model.words import TextBatch, mean_words, pool_first, pool_sentences, pool_words
from xrealign.train import losses_distance as distance
from xrealign.train.losses_contrastive import momentum_contrastive, sentence_contrastive, word_contrastive
from xrealign.train.losses_pointer import (
    Pointer,
    given_links,
    join_pairs,
    mask_words,
    pointer_loss,
    self_labelled,
    spread_words,
)
from xrealign.train.losses_translation import TranslationHead, translation_loss
from xrealign.train.objective_settings import ObjectiveSettings
from xrealign.train.published import published_sentence_mean
from xrealign.train.slow_copy import Queue, SlowCopy
from xrealign.train.streams import PairBatch

Vectors = tuple[Tensor, ...]


@dataclass(frozen=True)
class Reading:
    """What vectors are made from: states of some sentences by layer, (S, T, D) each, where their words are, and the
    encoder for further passes."""

    states: Mapping[int, Tensor]
    texts: TextBatch
    encoder: nn.Module


def encode_words(reading: Reading, heads: nn.ModuleDict, settings: ObjectiveSettings) -> Vectors:
    """Words, projected where there is a projection, (W, D) of each layer."""
    return tuple(_project(heads, pool_words(s, reading.texts, settings.pooling)) for s in reading.states.values())


def encode_sentences(reading: Reading, heads: nn.ModuleDict, settings: ObjectiveSettings) -> Vectors:
    """Sentences, projected where there is a projection, (S, D) of each layer."""
    return tuple(_project(heads, _sentences(s, reading.texts, settings)) for s in reading.states.values())


def encode_either(reading: Reading, heads: nn.ModuleDict, settings: ObjectiveSettings) -> Vectors:
    """Words or sentences, as ``compared`` says."""
    return (encode_words if settings.compared == "words" else encode_sentences)(reading, heads, settings)


def encode_with_initial(reading: Reading, heads: nn.ModuleDict, settings: ObjectiveSettings) -> Vectors:
    """Words of each layer, then the same under the initial weights without dropout."""
    copy = cast(SlowCopy, heads["initial"])
    before = copy.states(reading.encoder, reading.states, reading.texts.inputs, dropout=False)
    states = [*reading.states.values(), *before.values()]
    return tuple(pool_words(state, reading.texts, settings.pooling) for state in states)


def encode_with_keys(reading: Reading, heads: nn.ModuleDict, settings: ObjectiveSettings) -> Vectors:
    """Sentences as the encoder sees them, and as the slow copy does."""
    ((layer, state),) = reading.states.items()
    slow, slow_projection = cast(SlowCopy, heads["slow"]), cast(SlowCopy, heads["slow_projection"])
    queries = _project(heads, _sentences(state, reading.texts, settings))
    seen = slow.states(reading.encoder, (layer,), reading.texts.inputs)[layer]
    return queries, slow_projection.call(heads["projection"], _sentences(seen, reading.texts, settings))


def compare_words(vectors: Vectors, batch: PairBatch, heads: nn.ModuleDict, settings: ObjectiveSettings) -> Tensor:
    """Word contrastive; of several layers the mean."""
    temperature, n = _temperature(heads, settings), batch.src_words
    negatives, direction, candidates = settings.negatives or "strong", settings.direction, settings.candidates
    return _mean(
        word_contrastive(words[:n], words[n:], batch.links, temperature, negatives, direction, candidates)
        for words in vectors
    )


def compare_sentences(vectors: Vectors, batch: PairBatch, heads: nn.ModuleDict, settings: ObjectiveSettings) -> Tensor:
    """Sentence contrastive; of several layers the mean."""
    temperature, n = _temperature(heads, settings), batch.pairs
    negatives = settings.negatives or "strong"
    direction, margin = settings.direction, settings.margin
    return _mean(sentence_contrastive(v[:n], v[n:], temperature, negatives, direction, margin) for v in vectors)


def compare_squared(vectors: Vectors, batch: PairBatch, heads: nn.ModuleDict, settings: ObjectiveSettings) -> Tensor:
    """Linked words drawn together, source words held where they were at first."""
    half, n = len(vectors) // 2, batch.src_words
    return _mean(
        distance.squared_distance(now[:n], now[n:], batch.links)
        + settings.drift * distance.state_drift(now[:n], before[:n])
        for now, before in zip(vectors[:half], vectors[half:], strict=True)
    )


def compare_with_queue(vectors: Vectors, batch: PairBatch, heads: nn.ModuleDict, settings: ObjectiveSettings) -> Tensor:
    """Each sentence's translation, as the slow copy sees it, against those in the queue. While training, the keys are
    laid aside for `remember`.

    Departures: both languages ask and are asked for, where the authors draw a direction for each pair; single pairs
    are compared, not two concatenated ones (mixup); the copy follows after the loss, so by the weights of this step,
    not of the next.
    """
    queries, keys = vectors
    queue, n = cast(Queue, heads["queue"]), batch.pairs
    translations = torch.cat([keys[n:], keys[:n]]).detach()
    rows = {"both": slice(0, 2 * n), "forward": slice(0, n), "backward": slice(n, 2 * n)}[settings.direction]
    asked, temperature = translations[rows], _temperature(heads, settings)
    loss = momentum_contrastive(queries[rows], asked, queue.vectors, queue.filled, temperature, settings.normalise)
    if heads.training:
        queue.pending = asked
    return loss


def remember(heads: nn.ModuleDict, left_out: Tensor | None = None) -> None:
    """Queues the keys that the last comparison laid aside, and the copy follows the encoder: once for each step,
    however often it was begun; and not where the step is ``left_out`` (1), as its keys may not be numbers."""
    if "queue" not in heads:
        return
    queue = cast(Queue, heads["queue"])
    if queue.pending is not None:
        queue.push(queue.pending, left_out)
        queue.pending = None
        for name in ("slow", "slow_projection"):
            cast(SlowCopy, heads[name]).follow(left_out)


def compare_transport(vectors: Vectors, batch: PairBatch, heads: nn.ModuleDict, settings: ObjectiveSettings) -> Tensor:
    """Cost of moving the words of one sentence onto its translation's."""
    n, real = batch.pairs, _places(batch.texts)
    spread = [spread_words(words, batch.texts) for words in vectors]
    return _mean(distance.transport_distance(v[:n], v[n:], real[:n], real[n:], settings.epsilon) for v in spread)


def compare_cka(vectors: Vectors, batch: PairBatch, heads: nn.ModuleDict, settings: ObjectiveSettings) -> Tensor:
    """1 − CKA of linked words or of sentences."""
    if settings.compared == "sentences":
        return _mean(distance.cka_distance(v[: batch.pairs], v[batch.pairs :]) for v in vectors)
    i, j = batch.links[:, 0], batch.links[:, 1] + batch.src_words
    return _mean(distance.cka_distance(v.index_select(0, i), v.index_select(0, j)) for v in vectors)


def whole_drift(reading: Reading, batch: PairBatch, heads: nn.ModuleDict, settings: ObjectiveSettings) -> Tensor:
    """How far the parameters are from the initial ones; reads no batch."""
    initial = cast(SlowCopy, heads["initial"]).weights()
    parameters = dict(reading.encoder.named_parameters())
    return distance.parameter_drift([parameters[name] for name in initial], initial.values())


def whole_dap(reading: Reading, batch: PairBatch, heads: nn.ModuleDict, settings: ObjectiveSettings) -> Tensor:
    """Translation ranking of sentences, and the source side's subwords from the target side's states."""
    ids, mask = batch.texts.inputs["input_ids"], batch.texts.inputs["attention_mask"]
    head, n = cast(TranslationHead, heads["translation"]), batch.pairs
    ranking = compare_sentences(encode_sentences(reading, heads, settings), batch, heads, settings)
    states = reading.states.values()
    return ranking + settings.translation * _mean(
        translation_loss(head, state[n:], mask[n:], ids[:n], mask[:n]) for state in states
    )


def whole_xlm_align(reading: Reading, batch: PairBatch, heads: nn.ModuleDict, settings: ObjectiveSettings) -> Tensor:
    """Masked words point at their translations. Reads no states of the batch as it is: its pairs are joined, run once
    for the labels (without a gradient) and once with words masked."""
    pointer, n, encoder = cast(Pointer, heads["pointer"]), batch.pairs, reading.encoder
    joined, real = join_pairs(batch.texts, pointer.pad_id), _places(batch.texts)
    chosen = torch.rand(len(batch.texts.word), device=real.device) < settings.mask_share
    asked = spread_words(chosen, batch.texts)

    def by_place(state: Tensor) -> tuple[Tensor, Tensor]:
        words = spread_words(pool_words(state, joined, settings.pooling), batch.texts)
        return words[:n], words[n:]

    if settings.labels == "self":
        with torch.no_grad(), _uncached(real.device.type):
            state = hidden_states(encoder, (settings.label_layer,), joined.inputs)[settings.label_layer]
            links = self_labelled(*by_place(state), real[:n], real[n:], settings.epsilon)
    else:
        links = given_links(batch)
    masked = join_pairs(mask_words(batch.texts, chosen, pointer.mask_id), pointer.pad_id)
    losses = []
    for state in hidden_states(encoder, settings.layers or (), masked.inputs).values():
        src, tgt = by_place(state)
        there, some = pointer_loss(pointer(src, tgt), links, asked[:n], real[n:])
        back, others = pointer_loss(pointer(tgt, src), links.transpose(1, 2), asked[n:], real[:n])
        losses.append((there + back) / (some + others).clamp(min=1))
    return _mean(losses)


def _uncached(kind: str) -> torch.autocast:
    """Autocast as it is, but weights it casts here, without a graph, are not used again where one is needed (as
    older versions of torch do)."""
    dtype, enabled = torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind)
    return torch.autocast(kind, dtype=dtype, enabled=enabled, cache_enabled=False)


def _mean(losses: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(losses)).mean()


def _project(heads: nn.ModuleDict, vectors: Tensor) -> Tensor:
    projected: Tensor = heads["projection"](vectors) if "projection" in heads else vectors
    return projected


def _temperature(heads: nn.ModuleDict, settings: ObjectiveSettings) -> float | Tensor:
    if "temperature" in heads:
        learned: Tensor = heads["temperature"]()
        return learned
    return float(settings.temperature or 1.0)


def _places(texts: TextBatch) -> Tensor:
    """Which places are words. *Shape:* (S, T), bool"""
    return spread_words(torch.ones_like(texts.word, dtype=torch.bool), texts)


def _sentences(state: Tensor, texts: TextBatch, settings: ObjectiveSettings) -> Tensor:
    """Vectors of the sentences, (S, D), from states (S, T, D)."""
    if settings.sentence_pooling == "cls":
        return pool_first(state)
    if settings.sentence_pooling == "subwords":
        return pool_sentences(state, texts.inputs["attention_mask"])
    if settings.sentence_pooling == "published":
        words = torch.zeros(len(state), dtype=torch.long, device=state.device)
        return published_sentence_mean(state, words.index_add(0, texts.sentence, torch.ones_like(texts.sentence)))
    return mean_words(pool_words(state, texts, settings.pooling), texts, len(state))
