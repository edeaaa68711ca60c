"""The align stage: words of both sides and the links between them, by the aligner of the configuration."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xrealign.align.choose import STATISTICAL
from xrealign.config import Config
from xrealign.config_tables import EMBEDDING_SETTINGS
from xrealign.corpus.dictionary import MALFORMED
from xrealign.errors import DataError
from xrealign.language import Language, parse_language
from xrealign.progress import say
from xrealign.segment import rule_of, segmentation_name, spans_of_words
from xrealign.stages import Facts, open_encoder

if TYPE_CHECKING:
    from xrealign.align.aligned import AlignedTexts
    from xrealign.align.linker import ScoredLinks

Rows = list[int]


def make_align(config: Config, corpus: Path, out: Path, work: Path) -> Facts:
    """Finds words and the links between them; writes ``aligned.parquet``."""
    import pyarrow.parquet as pq

    from xrealign.align.aligned import AlignedTexts, write_aligned
    from xrealign.align.filters import filter_links
    from xrealign.model.words import word_spans

    table = pq.read_table(corpus / "pairs.parquet").to_pydict()
    encoder = open_encoder(config)
    tags = np.array(table["language"])
    languages = {tag: parse_language(tag) for tag in dict.fromkeys(table["language"])}
    rows_of = {tag: np.flatnonzero(tags == tag).tolist() for tag in languages}
    src_spans = word_spans(table["src"], parse_language(config.source), encoder.tokenizer)
    tgt_spans: list[Any] = [None] * len(tags)
    for tag, rows in rows_of.items():
        spans = word_spans([table["tgt"][row] for row in rows], languages[tag], encoder.tokenizer)
        for row, span in zip(rows, spans, strict=True):
            tgt_spans[row] = span
    links: list[Any] = [np.zeros((0, 2), dtype=np.int32)] * len(tags)
    texts = AlignedTexts(table["id"], table["language"], table["src"], table["tgt"], src_spans, tgt_spans, links)
    dropped: Counter[str] = Counter()
    for tag, rows in rows_of.items():
        for row, found in zip(rows, _linked(config, encoder, texts, languages[tag], rows, work), strict=True):
            src, tgt = (_words(*side) for side in _sides(texts, row))
            settings = config.align
            links[row], _, gone = filter_links(
                found.links, found.scores, src, tgt, settings.min_score, settings.one_to_one, settings.drop_identical
            )
            dropped.update(gone)
    write_aligned(dataclasses.replace(texts, links=links), out)
    return {
        "aligner": config.align.aligner,
        "links": {tag: sum(len(links[row]) for row in rows) for tag, rows in rows_of.items()},
        "links_dropped": dict(dropped),
        "words": {tag: segmentation_name(language) for tag, language in languages.items()},
    }


def _linked(
    config: Config, encoder: Any, texts: AlignedTexts, language: Language, rows: Rows, work: Path
) -> Sequence[ScoredLinks]:
    """Links of one language's pairs."""
    from xrealign.align.linker import NO_LINKS

    aligner = config.align.aligner
    if aligner == "none":
        return [NO_LINKS] * len(rows)
    if aligner not in ("dictionary", *STATISTICAL):
        return _by_vectors(config, encoder, texts, language, rows)
    src, tgt = ([_words(*_sides(texts, row)[side]) for row in rows] for side in (0, 1))
    if aligner == "dictionary":
        return _by_dictionary(config, language, src, tgt)
    from xrealign.align.statistical import statistical_recipe, train_statistical

    model = work / "aligners" / language.tag
    train_statistical(zip(src, tgt, strict=True), model, aligner, config.seed)
    return statistical_recipe(model, config.align.symmetrization).open().link(src, tgt).found


def _by_vectors(
    config: Config, encoder: Any, texts: AlignedTexts, language: Language, rows: Rows
) -> Sequence[ScoredLinks]:
    """By the encoder's vectors; centring subtracts the means of these very sentences."""
    from xrealign.align.embedding import encoded_links, mean_vector
    from xrealign.align.extract import AlignSettings
    from xrealign.model.layers import resolve_layer
    from xrealign.model.words import encode_texts

    table = config.align
    chosen = {name: getattr(table, name) for name in EMBEDDING_SETTINGS}
    settings = AlignSettings(**chosen | {"layer": resolve_layer(table.layer, encoder.layers)})
    left, right = (
        encode_texts(encoder.tokenizer, *_as_read(texts, rows, side, tongue, table.max_length))
        for side, tongue in ((0, parse_language(config.source)), (1, language))
    )
    means = None
    if table.centre:
        means = mean_vector(encoder, left, settings), mean_vector(encoder, right, settings)
    return encoded_links(encoder, left, right, settings, means, f"align {language.tag}")


def _as_read(
    texts: AlignedTexts, rows: Rows, side: int, language: Language, max_length: int
) -> tuple[list[str], int, list[Any]]:
    """What `encode_texts` is given. Words that ICU found are set apart by blanks, so that no subword reaches over two
    of them: with gold words that lowers AER from 32.9 to 26.3 (Chinese) and from 59.8 to 57.9 (Japanese; argmax,
    layer 7)."""
    sides = [_sides(texts, row)[side] for row in rows]
    if rule_of(language) == "icu":
        sides = [spans_of_words(_words(*one)) for one in sides]
    return [text for text, _ in sides], max_length, [spans for _, spans in sides]


def _by_dictionary(
    config: Config, language: Language, src: list[list[str]], tgt: list[list[str]]
) -> Sequence[ScoredLinks]:
    from xrealign.align.lexical import dictionary_links
    from xrealign.align.linker import ScoredLinks
    from xrealign.corpus.dictionary import concept_dictionary, read_dictionary
    from xrealign.corpus.embedded import cldr_names, held_out

    source, files = parse_language(config.source), config.align.dictionaries
    if files is None:
        dictionary = concept_dictionary(source, language, held_out(cldr_names().ids, config.corpus.held_out))
    elif language.tag in files:
        dictionary = read_dictionary(files[language.tag], source, language, lenient=config.corpus.lenient)
        _say_skipped(files[language.tag], dictionary.dropped)
    else:
        raise DataError(f"align.dictionaries has no file for {language.tag}, which is in the subset")
    found = dictionary_links(src, tgt, dictionary.translations)
    return [ScoredLinks(links, np.ones(len(links), dtype=np.float32)) for links in found]


def switching_lexicon(config: Config, tags: Sequence[str]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Translations of case-folded words and phrases by language, for code-switching by a dictionary: those of
    ``align.dictionaries``, or of the embedded concept names that are not held out. Identical sides are left out.

    Raises:
        DataError: a language has no dictionary.
    """
    from xrealign.corpus.dictionary import read_phrase_pairs
    from xrealign.corpus.embedded import bitext, cldr_names, held_out

    source, files = parse_language(config.source), config.align.dictionaries
    held = held_out(cldr_names().ids, config.corpus.held_out)
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for tag in sorted(set(tags)):
        if files is not None and tag not in files:
            raise DataError(f"align.dictionaries has no file for {tag}, which is in the subset")
        if files is not None:
            phrases = read_phrase_pairs(files[tag], lenient=config.corpus.lenient)
            _say_skipped(files[tag], phrases.dropped)
            pairs = list(phrases.pairs)
        else:
            names = bitext(cldr_names(), source, parse_language(tag))
            pairs = [(pair.src, pair.tgt) for pair in names if pair.id not in held]
        lexicon: dict[str, list[str]] = {}
        for left, right in pairs:
            if left.casefold() != right.casefold():
                lexicon.setdefault(" ".join(left.casefold().split()), []).append(right)
        found[tag] = {phrase: tuple(sorted(set(some))) for phrase, some in lexicon.items()}
    return found


def _say_skipped(path: str, dropped: Mapping[str, int]) -> None:
    if count := dropped.get(MALFORMED, 0):
        say(f"{path}: {count} lines skipped: {MALFORMED}")


def _sides(texts: AlignedTexts, row: int) -> tuple[tuple[str, Any], tuple[str, Any]]:
    return (texts.src[row], texts.src_spans[row]), (texts.tgt[row], texts.tgt_spans[row])


def _words(text: str, spans: Any) -> list[str]:
    return [text[start:end] for start, end in spans.tolist()]
