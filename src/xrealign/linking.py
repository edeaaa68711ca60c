"""The align stage: words of both sides and the links between them, by the aligner of the configuration."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from xrealign.config import Config
from xrealign.errors import DataError
from xrealign.language import parse_language
from xrealign.stages import Facts, open_encoder


def make_align(config: Config, corpus: Path, out: Path) -> Facts:
    """Finds words and the links between them; writes ``aligned.parquet``."""
    import pyarrow.parquet as pq

    from xrealign.align.aligned import AlignedTexts, write_aligned
    from xrealign.model.words import word_spans
    from xrealign.segment import segmentation_name

    table = pq.read_table(corpus / "pairs.parquet").to_pydict()
    encoder = open_encoder(config)
    tags = np.array(table["language"])
    source = parse_language(config.source)
    src_spans = word_spans(table["src"], source, encoder.tokenizer)
    tgt_spans: list[Any] = [None] * len(tags)
    links: list[Any] = [np.zeros((0, 2), dtype=np.int32)] * len(tags)
    for tag in dict.fromkeys(table["language"]):
        rows = np.flatnonzero(tags == tag).tolist()
        spans = word_spans([table["tgt"][row] for row in rows], parse_language(tag), encoder.tokenizer)
        for row, span in zip(rows, spans, strict=True):
            tgt_spans[row] = span
    texts = AlignedTexts(table["id"], table["language"], table["src"], table["tgt"], src_spans, tgt_spans, links)
    dropped = 0
    if config.align.aligner != "none":
        found = _argmax(config, encoder, texts) if config.align.aligner == "argmax" else _dictionary(config, texts)
        if config.align.drop_identical:
            found, dropped = _without_identical(texts, found)
        texts = dataclasses.replace(texts, links=found)
    write_aligned(texts, out)
    linked: Counter[str] = Counter()
    for tag, part in zip(table["language"], texts.links, strict=True):
        linked[tag] += len(part)
    return {
        "aligner": config.align.aligner,
        "links": dict(linked),
        "identical_links_dropped": dropped,
        "words": {tag: segmentation_name(parse_language(tag)) for tag in dict.fromkeys(table["language"])},
    }


def _argmax(config: Config, encoder: Any, texts: Any) -> list[Any]:
    from xrealign.align.embedding import argmax_links
    from xrealign.model.layers import resolve_layer

    layer = resolve_layer(config.align.layer, encoder.layers)
    return argmax_links(encoder, texts.src, texts.src_spans, texts.tgt, texts.tgt_spans, layer, config.align.max_length)


def _dictionary(config: Config, texts: Any) -> list[Any]:
    from xrealign.align.lexical import dictionary_links
    from xrealign.corpus.dictionary import concept_dictionary, read_dictionary
    from xrealign.corpus.embedded import cldr_names, held_out

    source = parse_language(config.source)
    held = held_out(cldr_names().ids, config.corpus.held_out)
    links: list[Any] = [None] * len(texts)
    for tag in dict.fromkeys(texts.languages):
        language = parse_language(tag)
        if config.align.dictionaries is None:
            dictionary = concept_dictionary(source, language, held)
        elif tag in config.align.dictionaries:
            dictionary = read_dictionary(config.align.dictionaries[tag], source, language)
        else:
            raise DataError(f"align.dictionaries has no file for {tag}, which is in the subset")
        rows = [row for row, other in enumerate(texts.languages) if other == tag]
        src = [_words(texts.src[row], texts.src_spans[row]) for row in rows]
        tgt = [_words(texts.tgt[row], texts.tgt_spans[row]) for row in rows]
        for row, found in zip(rows, dictionary_links(src, tgt, dictionary.translations), strict=True):
            links[row] = found
    return links


def _words(text: str, spans: Any) -> list[str]:
    return [text[start:end] for start, end in spans.tolist()]


def _without_identical(texts: Any, links: list[Any]) -> tuple[list[Any], int]:
    """Links between words that differ; a name or a number that is the same in both teaches nothing."""
    kept = []
    for row, part in enumerate(links):
        src, tgt = _words(texts.src[row], texts.src_spans[row]), _words(texts.tgt[row], texts.tgt_spans[row])
        kept.append(part[np.array([src[i].casefold() != tgt[j].casefold() for i, j in part.tolist()], dtype=bool)])
    return kept, sum(len(part) for part in links) - sum(len(part) for part in kept)
