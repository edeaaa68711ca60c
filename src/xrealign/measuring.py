"""From encoders and pairs of sentences and words to results: vectors of all layers, then every measure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xrealign.errors import ConfigError, DataError, did_you_mean
from xrealign.measure.measured import measured
from xrealign.measure.measures import MEASURES, PAIR_MEASURES, STANDARD
from xrealign.measure.probe import language_hits, majority
from xrealign.measure.results import Result
from xrealign.measure.retrieval import centre
from xrealign.measure.similarity import language_similarity
from xrealign.measure.translations import pool_precisions
from xrealign.measure_pairs import MeasuredPairs, shared_sentences

Array = np.ndarray[Any, Any]
Sides = dict[int, tuple[Array, Array]]  # vectors of both sides by layer
VARIANTS = ("raw", "centred")
FEWEST_SHARED = 10
LINK_LENGTH = 512  # subwords


@dataclass(frozen=True)
class MeasureSettings:
    """How encoders are measured.

    Attributes:
        measures: of `xrealign.measure.measures.MEASURES`.
        layers: of each encoder, or None for all; negative ones count from the end.
        word_pooling: of words, ``sentence_pooling`` of sentences (``auto``: mean; of decoders weighted by place).
        max_length: longest sentence in subwords.
        seed: of every draw.
    """

    measures: tuple[str, ...] = STANDARD
    layers: tuple[int, ...] | None = None
    word_pooling: str = "mean"
    sentence_pooling: str = "auto"
    max_length: int = 128
    seed: int = 0


@dataclass
class MeasureReport:
    """What came out.

    Attributes:
        similarity: (encoder, layer, variant) → languages and their similarities.
        majority: accuracy of always naming the language with the most sentences, for ``identity``.
        left_out: measures that could not be computed, by reason.
    """

    results: list[Result] = field(default_factory=list)
    similarity: dict[tuple[str, int, str], tuple[list[str], Array]] = field(default_factory=dict)
    majority: float | None = None
    left_out: Counter[str] = field(default_factory=Counter)


def parse_measures(text: str) -> tuple[str, ...]:
    """Names of measures, separated by commas; ``all``, or ``standard``.

    Raises:
        ConfigError: one is unknown.
    """
    if text in ("all", "standard"):
        return MEASURES if text == "all" else STANDARD
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in MEASURES:
            hint, known = did_you_mean(name, MEASURES), ", ".join(MEASURES)
            raise ConfigError(f"--measures {name} is unknown{hint}; expected all, standard, or of {known}")
    if not names:
        raise ConfigError(f"--measures names none; expected all, standard, or of {', '.join(MEASURES)}")
    return tuple(dict.fromkeys(names))


def measure_encoder(
    name: str, encoder: Any, pairs: Sequence[MeasuredPairs], settings: MeasureSettings, report: MeasureReport
) -> None:
    """Every measure of one encoder, raw and centred at every layer, added to the report.

    Raises:
        ConfigError: the encoder lacks a layer.
    """
    from xrealign.model.layers import resolve_layer

    chosen = range(encoder.layers + 1) if settings.layers is None else settings.layers
    layers = sorted({resolve_layer(layer, encoder.layers) for layer in chosen})
    levels = {PAIR_MEASURES[m].level for m in settings.measures if m in PAIR_MEASURES}
    group = [m for m in settings.measures if m not in PAIR_MEASURES]
    sentences = _sentences(name, encoder, pairs, settings, layers) if "sentence" in levels or group else {}
    neurons = _neurons(name, encoder, pairs, settings, layers) if "neuron" in levels else {}
    for row, pair in enumerate(pairs):
        sides = {"sentence": sentences.get(row, {}), "neuron": neurons.get(row, {})}
        if "word" in levels:
            sides["word"] = _words(name, encoder, pair, settings, layers)
        for measure in settings.measures:
            if measure in PAIR_MEASURES:
                _measure_pair(name, measure, pair, sides[PAIR_MEASURES[measure].level], settings.seed, report)
    if group:
        _measure_group(name, group, pairs, sentences, settings.seed, report)


def _unique(pairs: Sequence[MeasuredPairs]) -> tuple[list[str], list[tuple[Array, Array]]]:
    """All sentences, each once, and where both sides of each bitext are among them."""
    place: dict[str, int] = {}
    rows = []
    for pair in pairs:
        both = [[place.setdefault(text, len(place)) for text in side.texts] for side in (pair.src, pair.tgt)]
        rows.append((np.array(both[0], dtype=np.int64), np.array(both[1], dtype=np.int64)))
    return list(place), rows


def _sentences(
    name: str, encoder: Any, pairs: Sequence[MeasuredPairs], settings: MeasureSettings, layers: Sequence[int]
) -> dict[int, Sides]:
    from xrealign.model.layer_vectors import is_decoder, sentence_layers

    pooling = settings.sentence_pooling
    pooling = ("weighted" if is_decoder(encoder) else "mean") if pooling == "auto" else pooling
    texts, rows = _unique(pairs)
    vectors = sentence_layers(encoder, texts, layers, settings.max_length, pooling, what=f"{name}: sentences")
    return {n: {layer: (v[src], v[tgt]) for layer, v in vectors.items()} for n, (src, tgt) in enumerate(rows)}


def _neurons(
    name: str, encoder: Any, pairs: Sequence[MeasuredPairs], settings: MeasureSettings, layers: Sequence[int]
) -> dict[int, Sides]:
    from xrealign.model.layer_vectors import neuron_layers

    texts, rows = _unique(pairs)
    shares = neuron_layers(encoder, texts, layers, settings.max_length, what=f"{name}: neurons")
    return {n: {layer: (v[src], v[tgt]) for layer, v in shares.items()} for n, (src, tgt) in enumerate(rows)}


def _words(name: str, encoder: Any, pair: MeasuredPairs, settings: MeasureSettings, layers: Sequence[int]) -> Sides:
    from xrealign.model.layer_vectors import word_layers

    found = []
    for side, column in ((pair.src, 1), (pair.tgt, 2)):
        wanted, what = pair.words[:, [0, column]], f"{name}: words of {pair.src_tag}-{pair.tgt_tag}"
        vectors, there = word_layers(
            encoder, side.word_texts, side.spans, wanted, layers, settings.max_length, settings.word_pooling, what=what
        )
        if not there.all():
            raise DataError(f"{int((~there).sum())} words of {pair.tgt_tag} have no subword under {name}")
        found.append(vectors)
    return {layer: (found[0][layer], found[1][layer]) for layer in layers}


def _measure_pair(name: str, measure: str, pair: MeasuredPairs, sides: Sides, seed: int, report: MeasureReport) -> None:
    kind = PAIR_MEASURES[measure]
    count = len(pair.words) if kind.level == "word" else len(pair.src.texts)
    if count < kind.fewest:
        what = "word pairs" if kind.level == "word" else "sentences"
        report.left_out[
            f"{measure} of {pair.src_tag}-{pair.tgt_tag}: {count} {what}, at least {kind.fewest} needed"
        ] = 1
        return
    clusters = pair.words[:, 0] if kind.level == "word" else np.arange(count)
    clusters = clusters if kind.rows is None else clusters[kind.rows(count, seed)]
    for layer, raw in sides.items():
        for variant in VARIANTS:
            src, tgt = raw if variant == "raw" else (centre(raw[0]), centre(raw[1]))
            try:
                found = kind.compute(src, tgt, seed)
            except DataError as error:  # vectors that are all the same, say
                report.left_out[f"{measure} at layer {layer}, {variant}: {error}"] += 1
                continue
            for metric, number in found.items():
                report.results.append(
                    Result(name, measure, metric, pair.src_tag, pair.tgt_tag, layer, variant, number, clusters)
                )


def _measure_group(
    name: str,
    measures: Sequence[str],
    pairs: Sequence[MeasuredPairs],
    sentences: Mapping[int, Sides],
    seed: int,
    report: MeasureReport,
) -> None:
    """The measures of all languages at once, over the source sentences that all bitexts have."""
    rows = shared_sentences(pairs)
    if len(rows[0]) < FEWEST_SHARED:
        reason = f"the bitexts share {len(rows[0])} source sentences, at least {FEWEST_SHARED} needed"
        report.left_out.update({f"{measure}: {reason}": 1 for measure in measures})
        return
    concepts = np.arange(len(rows[0]))
    for layer in sentences[0]:
        raw: dict[str, Array] = {}
        for n, pair in enumerate(pairs):
            raw.setdefault(pair.src_tag, sentences[n][layer][0][rows[n]])
            raw.setdefault(pair.tgt_tag, sentences[n][layer][1][rows[n]])
        for variant in VARIANTS:
            spaces = raw if variant == "raw" else {tag: centre(vectors) for tag, vectors in raw.items()}
            if "similarity" in measures:
                report.similarity[name, layer, variant] = language_similarity(spaces)
            found: dict[str, dict[str, Array]] = defaultdict(dict)
            if "pool" in measures:
                precisions = pool_precisions(np.concatenate(list(spaces.values())), np.tile(concepts, len(spaces)))
                found["pool"] = dict(zip(spaces, np.split(precisions, len(spaces)), strict=True))
            if "identity" in measures:
                hits = language_hits(raw, centre=variant == "centred", seed=seed)
                report.majority = majority(raw)
                found["identity"] = dict(zip(spaces, np.split(hits, len(spaces)), strict=True))
            for measure, by_language in found.items():
                metric = {"pool": "map", "identity": "accuracy"}[measure]
                report.results += [
                    Result(name, measure, metric, "", tag, layer, variant, measured(items), concepts)
                    for tag, items in by_language.items()
                ]


def make_links(pairs: Sequence[MeasuredPairs], name: str, layer: int, device: str = "cpu") -> list[list[Array]]:
    """Word links of each bitext by an encoder: mutual argmax, each language's mean subtracted (docs/align.md).

    One encoder makes them for all that are measured, so that these are measured on the same word pairs.

    Raises:
        ArtifactError, ConfigError: the encoder is not to be had, or lacks the layer.
    """
    from xrealign.align.embedding import encoded_links, mean_vector
    from xrealign.align.extract import AlignSettings
    from xrealign.model.layer_vectors import load_model
    from xrealign.model.layers import resolve_layer
    from xrealign.model.positions import positions_of
    from xrealign.model.words import encode_texts

    encoder = load_model(name)
    length = min(LINK_LENGTH, positions_of(encoder.model.config) or LINK_LENGTH)
    encoder.model.to(device)
    settings = AlignSettings("argmax", resolve_layer(layer, encoder.layers), centre=True, max_length=length)
    found = []
    for pair in pairs:
        left, right = (
            encode_texts(encoder.tokenizer, side.word_texts, length, side.spans) for side in (pair.src, pair.tgt)
        )
        means = mean_vector(encoder, left, settings), mean_vector(encoder, right, settings)
        what = f"{name}: links of {pair.src_tag}-{pair.tgt_tag}"
        made = encoded_links(encoder, left, right, settings, means, what)
        found.append([links.links.astype(np.int64) for links in made])
    return found


def readable_words(pair: MeasuredPairs, names: Iterable[str], max_length: int) -> Array:
    """Word pairs of which every encoder has vectors on both sides. → (P,) bool"""
    from xrealign.model.layer_vectors import words_read

    readable = np.ones(len(pair.words), dtype=bool)
    for name in names:
        for side, column in ((pair.src, 1), (pair.tgt, 2)):
            readable &= words_read(name, side.word_texts, side.spans, pair.words[:, [0, column]], max_length)
    return readable
