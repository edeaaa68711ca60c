"""Training-free maps of several languages into the source language's space, fitted on an encoder's own vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch

from xrealign.errors import ConfigError, DataError, did_you_mean
from xrealign.language import Language
from xrealign.model.encoder import Encoder
from xrealign.model.layers import hidden_state, resolve_layer
from xrealign.model.prompt import check_room
from xrealign.model.transform_fits import Array, fit_transform
from xrealign.model.transforms import Transforms
from xrealign.model.vectors import sentence_vectors
from xrealign.model.words import batch_subwords, encode_texts, length_batches, make_batch, pool_words, word_spans
from xrealign.progress import track
from xrealign.types import Bitext

Level = Literal["sentences", "words"]
Sides = Mapping[Language, list[tuple[Array, Array]]]


def fit_languages(
    encoder: Encoder,
    bitexts: Sequence[Bitext],
    kind: str,
    layer: int = -1,
    level: Level = "sentences",
    links: Sequence[Sequence[Array]] | None = None,
    prior: float | None = None,
    max_length: int = 128,
    facts: Mapping[str, Any] | None = None,
    what: str | None = None,
) -> Transforms:
    """A map for the target language of every bitext; several bitexts of one language are taken together.

    Args:
        bitexts: all with the same source language; never text that is to be measured on.
        kind, prior: of `fit_transform`.
        layer: where the vectors are from; negative ones count from the last.
        level: what makes a pair of vectors: ``sentences``, means over subwords; ``words``, means over the subwords of
            each two words that are linked, every link a pair.
        links: for ``words``, of each bitext's each pair the linked words as `word_spans` finds them. *Shape:* (N, 2)
        facts: further facts to save beside the maps.
        what: names the work on the progress bar; without it there is none.

    Raises:
        ConfigError: the level or kind is unknown, there is no such layer, or links are missing or not as many.
        DataError: no bitexts, bitexts of several source languages, or what `fit_transform` raises.
    """
    if level not in get_args(Level):
        levels = get_args(Level)
        raise ConfigError(f"level {level!r} is unknown; expected {' or '.join(levels)}{did_you_mean(level, levels)}")
    sources = sorted({bitext.src for bitext in bitexts})
    if len(sources) != 1:
        found = ", ".join(source.tag for source in sources) or "no bitext"
        raise DataError(f"transforms are fitted on bitexts of one source language, found {found}")
    layer = resolve_layer(layer, encoder.layers)
    if level == "words":
        if links is None or [len(part) for part in links] != [len(bitext) for bitext in bitexts]:
            raise ConfigError("words are paired by links: give a list for each bitext, with links for each pair")
        sides = _word_sides(encoder, bitexts, links, layer, max_length, what)
    else:
        sides = _sentence_sides(encoder, bitexts, layer, max_length, what)
    maps, rows = {}, []
    for language, parts in sorted(sides.items()):
        src, tgt = (np.concatenate(side) for side in zip(*parts, strict=True))
        maps[language] = fit_transform(kind, src, tgt, prior)
        rows.append(src)
    everything = np.concatenate(rows)
    mean = everything.mean(axis=0, dtype=np.float64) if len(everything) else np.zeros(encoder.width)
    texts: dict[str, dict[str, int]] = {}
    for bitext in bitexts:
        by_origin = texts.setdefault(bitext.tgt.tag, {})
        by_origin[bitext.origin] = by_origin.get(bitext.origin, 0) + len(bitext)
    told = {"sentence_pairs": texts, "prior": encoder.width if prior is None else prior, **(facts or {})}
    return Transforms(sources[0], kind, layer, level, maps, mean.astype(np.float32), told)


def _sentence_sides(
    encoder: Encoder, bitexts: Sequence[Bitext], layer: int, max_length: int, what: str | None
) -> Sides:
    texts = sorted({text for bitext in bitexts for pair in bitext for text in (pair.src, pair.tgt)})
    place = {text: row for row, text in enumerate(texts)}
    vectors = sentence_vectors(encoder, texts, layer, max_length, what=what)
    sides: dict[Language, list[tuple[Array, Array]]] = {}
    for bitext in bitexts:
        rows = [[place[pair.src] for pair in bitext], [place[pair.tgt] for pair in bitext]]
        sides.setdefault(bitext.tgt, []).append((vectors[rows[0]], vectors[rows[1]]))
    return sides


def _word_sides(
    encoder: Encoder,
    bitexts: Sequence[Bitext],
    links: Sequence[Sequence[Array]],
    layer: int,
    max_length: int,
    what: str | None,
) -> Sides:
    sides: dict[Language, list[tuple[Array, Array]]] = {}
    pairs = list(zip(bitexts, links, strict=True))
    for bitext, parts in track(pairs, what) if what else pairs:
        sentence = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        flat = np.concatenate([np.zeros((0, 2), dtype=np.int64), *parts]).astype(np.int64)
        src, src_found = word_vectors(
            encoder, [pair.src for pair in bitext], bitext.src, sentence, flat[:, 0], layer, max_length
        )
        tgt, tgt_found = word_vectors(
            encoder, [pair.tgt for pair in bitext], bitext.tgt, sentence, flat[:, 1], layer, max_length
        )
        both = src_found & tgt_found
        sides.setdefault(bitext.tgt, []).append((src[both], tgt[both]))
    return sides


def word_vectors(
    encoder: Encoder,
    texts: Sequence[str],
    language: Language,
    sentence: Array,
    word: Array,
    layer: int,
    max_length: int = 128,
    subwords_per_batch: int | None = None,
) -> tuple[Array, Array]:
    """Vectors of chosen words, and which of them were found: not those that truncation cut off.

    Args:
        sentence, word: the words wanted, as places in ``texts`` and among the sentence's words. *Shape:* (N,) each

    Returns:
        means over the words' subwords at ``layer``, (N, D) float32, zeros where not found; and (N,) bool.
    """
    check_room(encoder.model, max_length)
    encoded = encode_texts(encoder.tokenizer, texts, max_length, word_spans(texts, language, encoder.tokenizer))
    vectors = np.zeros((len(word), encoder.width), dtype=np.float32)
    found = np.zeros(len(word), dtype=bool)
    order = np.argsort(sentence, kind="stable")
    starts = np.searchsorted(sentence[order], np.arange(len(texts) + 1))
    with torch.inference_mode():
        for rows in length_batches(encoded.lengths, subwords_per_batch or batch_subwords(encoder.device)):
            wanted = np.concatenate([order[starts[row] : starts[row + 1]] for row in rows])
            if not len(wanted):
                continue
            batch = make_batch([(encoded, rows)], encoder.tokenizer.pad_token_id)
            moved = batch.to(encoder.device)
            pooled = pool_words(hidden_state(encoder.model, layer, moved.inputs), moved).float().cpu().numpy()
            widest = max(int(batch.word.max()) if len(batch.word) else 0, int(word[wanted].max())) + 1
            place = np.full((len(rows), widest), -1)
            place[batch.sentence.numpy(), batch.word.numpy()] = np.arange(len(batch.word))
            within = np.full(len(texts), -1)
            within[rows] = np.arange(len(rows))
            at = place[within[sentence[wanted]], word[wanted]]
            found[wanted] = at >= 0
            vectors[wanted[at >= 0]] = pooled[at[at >= 0]]
    return vectors, found
