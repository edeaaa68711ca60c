"""Vectors of sentences, words and neurons at many layers from one forward pass, for encoders and decoders.

*Shapes:* S sentences, P words asked for, D dims, M neurons of a block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from xrealign.errors import ConfigError
from xrealign.model.encoder import Encoder, load_encoder, load_tokenizer
from xrealign.model.finite import check_vectors, finite_sentences
from xrealign.model.layers import find_blocks, hidden_states
from xrealign.model.prompt import check_room
from xrealign.model.resolve import resolve_encoder
from xrealign.model.words import (
    TextBatch,
    batch_subwords,
    encode_texts,
    length_batches,
    make_batch,
    pool_sentences,
    pool_words,
)
from xrealign.progress import track

Array = np.ndarray[Any, Any]
SENTENCE_POOLINGS = ("mean", "weighted", "last")
_DECODERS = ("ForCausalLM", "LMHeadModel")


def load_model(name: str, revision: str | None = None) -> Encoder:
    """`load_encoder`, also of decoders whose tokenizer has no pad subword: the end-of-text one then pads, masked.

    Raises:
        ArtifactError: the folder is not a Hugging Face model with safetensors weights and a fast tokenizer, or a
            weight is not a number.
    """
    return load_encoder(name, revision, pad_with_eos=True)


def is_decoder(encoder: Encoder) -> bool:
    """Whether the weights are a causal language model's."""
    config = encoder.model.config
    named = any(name.endswith(_DECODERS) for name in getattr(config, "architectures", None) or ())
    return bool(getattr(config, "is_decoder", False)) or (named and not hasattr(config, "type_vocab_size"))


def sentence_layers(
    encoder: Encoder,
    texts: Sequence[str],
    layers: Sequence[int],
    max_length: int = 128,
    pooling: str = "mean",
    subwords_per_batch: int | None = None,
    what: str | None = None,
) -> dict[int, Array]:
    """A vector of each sentence at each layer, (S, D) float32, in the order of ``texts``.

    Args:
        pooling: over subwords, special ones included: ``mean``, ``weighted`` by place (1 for the first, 2 for the
            second: what a decoder's later subwords have seen more of; Muennighoff 2022, arXiv 2202.08904, as in MEXA),
            or the ``last``.
        what: names the work on the progress bar; without it there is none.

    Raises:
        ArtifactError: a vector is not finite.
        ConfigError: ``pooling`` is none of the three, or ``max_length`` more than the encoder reads.
    """
    if pooling not in SENTENCE_POOLINGS:
        raise ConfigError(f"sentence pooling {pooling!r} is unknown; expected one of {', '.join(SENTENCE_POOLINGS)}")
    check_room(encoder.model, max_length)
    encoded = encode_texts(encoder.tokenizer, texts, max_length)
    found = {layer: np.zeros((len(texts), encoder.width), dtype=np.float32) for layer in layers}
    batches = length_batches(encoded.lengths, subwords_per_batch or batch_subwords(encoder.device))
    with torch.inference_mode():
        for rows in track(batches, what) if what else batches:
            batch = make_batch([(encoded, rows)], encoder.tokenizer.pad_token_id).to(encoder.device)
            mask = batch.inputs["attention_mask"]
            for layer, state in hidden_states(encoder.model, layers, batch.inputs).items():
                found[layer][rows] = pool_sentences(state, _weights(mask, pooling)).float().cpu().numpy()
    _check_finite(found, texts, what or "sentence vectors")
    return found


def _check_finite(found: dict[int, Array], texts: Sequence[str], what: str) -> None:
    """Nothing, if the rows of all layers are numbers; ``texts`` are those they were made of.

    Raises:
        ArtifactError: some are not.
    """
    for vectors in found.values():
        finite = np.asarray(np.isfinite(vectors).all(axis=1))
        check_vectors(finite.tolist(), texts, what)


def _weights(mask: Tensor, pooling: str) -> Tensor:
    """What `pool_sentences` weighs subwords by, in place of the mask. *Shape:* (S, T)"""
    place = mask.cumsum(1) * mask
    if pooling == "last":
        return (place == mask.sum(1, keepdim=True)).long() * mask
    return place if pooling == "weighted" else mask


def word_layers(
    encoder: Encoder,
    texts: Sequence[str],
    spans: Sequence[Array],
    wanted: Array,
    layers: Sequence[int],
    max_length: int = 128,
    pooling: str = "mean",
    subwords_per_batch: int | None = None,
    what: str | None = None,
) -> tuple[dict[int, Array], Array]:
    """Vectors of chosen words at each layer, (P, D) float32, and which of the words have one, (P,) bool.

    A word has none where its sentence is longer than ``max_length`` subwords, or no subword lies in it; its row is 0.

    Args:
        spans: words of each sentence as character spans, (W, 2) each.
        wanted: sentence and word of each. *Shape:* (P, 2)
        pooling: over a word's subwords, see `pool_words`.

    Raises:
        ArtifactError: a vector is not finite.
        ConfigError: ``max_length`` is more than the encoder reads.
    """
    check_room(encoder.model, max_length)
    encoded = encode_texts(encoder.tokenizer, texts, max_length, spans)
    found = {layer: np.zeros((len(wanted), encoder.width), dtype=np.float32) for layer in layers}
    there = np.zeros(len(wanted), dtype=bool)
    needed = np.unique(wanted[:, 0])
    batches = [
        needed[rows]
        for rows in length_batches(encoded.lengths[needed], subwords_per_batch or batch_subwords(encoder.device))
    ]
    with torch.inference_mode():
        for rows in track(batches, what) if what else batches:
            batch = make_batch([(encoded, rows)], encoder.tokenizer.pad_token_id)
            place, at = _rows_of(batch, rows, wanted)
            there[place] = True
            moved = batch.to(encoder.device)
            for layer, state in hidden_states(encoder.model, layers, moved.inputs).items():
                found[layer][place] = pool_words(state, moved, pooling).float().cpu().numpy()[at]
    _check_finite(found, [texts[sentence] for sentence in wanted[:, 0].tolist()], what or "word vectors")
    return found, there


def words_read(name: str, texts: Sequence[str], spans: Sequence[Array], wanted: Array, max_length: int) -> Array:
    """Which words `word_layers` would find, by the tokenizer of an encoder alone. *Shape:* (P, 2) → (P,) bool"""
    tokenizer = load_tokenizer(resolve_encoder(name))
    encoded = encode_texts(tokenizer, texts, max_length, spans)
    known = set(zip(np.repeat(np.arange(len(encoded)), encoded.lengths).tolist(), encoded.words.tolist(), strict=True))
    return np.array([pair in known for pair in map(tuple, wanted.tolist())], dtype=bool)


def _rows_of(batch: TextBatch, rows: Array, wanted: Array) -> tuple[Array, Array]:
    """Which of the wanted words are in a batch of the sentences ``rows``, and the batch's row of each."""
    known = {
        (int(rows[s]), w): n for n, (s, w) in enumerate(zip(batch.sentence.tolist(), batch.word.tolist(), strict=True))
    }
    pairs = [(p, known[key]) for p, key in enumerate(map(tuple, wanted.tolist())) if key in known]
    made = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return made[:, 0], made[:, 1]


def neuron_layers(
    encoder: Encoder,
    texts: Sequence[str],
    layers: Sequence[int],
    max_length: int = 128,
    subwords_per_batch: int | None = None,
    what: str | None = None,
) -> dict[int, Array]:
    """For each sentence and neuron the share of its subwords at which the neuron fires, (S, M) float32 by layer.

    Neurons of layer k are the outputs of the activation function in block k's feed-forward part (of gated ones the
    gate's); one fires where its activation is above 0. Layer 0 has none and is left out.

    Raises:
        ArtifactError: what a neuron says is not finite.
        ConfigError: a block has no activation function that can be found, or ``max_length`` is more than the encoder
            reads.
    """
    check_room(encoder.model, max_length)
    chosen = [layer for layer in layers if layer > 0]
    encoded = encode_texts(encoder.tokenizer, texts, max_length)
    fired: dict[int, Tensor] = {}
    blocks = find_blocks(encoder.model)

    def keep(layer: int) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(_module: nn.Module, _args: Any, output: Tensor) -> None:
            fired.setdefault(layer, output)

        return hook

    handles = [_activation(blocks[layer - 1]).register_forward_hook(keep(layer)) for layer in chosen]
    found: dict[int, Array] = {}
    finite = np.ones(len(texts), dtype=bool)
    batches = length_batches(encoded.lengths, subwords_per_batch or batch_subwords(encoder.device))
    try:
        with torch.inference_mode():
            for rows in track(batches, what) if what else batches:
                batch = make_batch([(encoded, rows)], encoder.tokenizer.pad_token_id).to(encoder.device)
                fired.clear()
                hidden_states(encoder.model, [len(blocks)], batch.inputs)
                mask = batch.inputs["attention_mask"]
                for layer, output in fired.items():
                    output = output.reshape(*mask.shape, -1)
                    finite[rows] &= finite_sentences(output, mask).cpu().numpy()
                    shares = pool_sentences((output > 0).float(), mask).cpu().numpy()
                    found.setdefault(layer, np.zeros((len(texts), shares.shape[1]), dtype=np.float32))[rows] = shares
    finally:
        for handle in handles:
            handle.remove()
    check_vectors(finite.tolist(), texts, what or "neurons")
    return {layer: found[layer] for layer in chosen}


def _activation(block: nn.Module) -> nn.Module:
    """The activation function of a block's feed-forward part: the first leaf without weights that is named so."""
    module: nn.Module
    for name, module in block.named_modules():
        leaf = not any(True for _ in module.children()) and not any(True for _ in module.parameters())
        if leaf and "act" in name.rpartition(".")[2]:
            return module
    raise ConfigError(f"{type(block).__name__} has no activation function that can be found: neurons need one")
