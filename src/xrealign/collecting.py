"""The corpus stage and other parallel text of a run: pairs to realign on, filtered; text for language means."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xrealign.config import Config
from xrealign.errors import DataError
from xrealign.language import Language, parse_language
from xrealign.progress import track
from xrealign.stages import Facts, embedded_tables, open_encoder, read_subset
from xrealign.textio import Skipped
from xrealign.types import Bitext, SentencePair
from xrealign.writing import new_path


def training_bitexts(config: Config, language: Language) -> list[tuple[Bitext, Counter[str]]]:
    """Pairs to realign on in one language, by source of text, with what was left out and why."""
    from xrealign.corpus.embedded import held_out, training_bitext
    from xrealign.corpus.readers import read_bitext

    source = parse_language(config.source)
    if config.corpus.files:
        if language.tag not in config.corpus.files:
            raise DataError(f"corpus.files has no file for {language.tag}, which is in the subset")
        skipped = Skipped(config.corpus.lenient)
        found = read_bitext(Path(config.corpus.files[language.tag]), source, language, skipped)
        return [_filtered(config, found, Counter(skipped.reasons), skipped)]
    tables = embedded_tables(config.corpus.sources)
    have = [table for table in tables if language in table.texts and source in table.texts]
    if not have:
        raise DataError(f"none of {', '.join(config.corpus.sources)} has text in both {source.tag} and {language.tag}")
    embedded = [training_bitext(t, source, language, held_out(t.ids, config.corpus.held_out)) for t in have]
    return [_filtered(config, bitext, dropped) for bitext, dropped in embedded]


RULES = (
    "min_words", "max_words", "min_characters", "max_characters", "max_ratio", "identical", "duplicates", "script",
    "language_id",
)  # fmt: skip
"""Keys of ``[corpus.filter]`` that are rules of `xrealign.corpus.quality.PairRules`."""


def _filtered(
    config: Config, bitext: Bitext, dropped: Counter[str], skipped: Skipped | None = None
) -> tuple[Bitext, Counter[str]]:
    """What ``[corpus.filter]`` leaves of a bitext by scores made elsewhere, of which line n is for line n of its file,
    and by rules; ``skipped`` says which lines of the file are no pairs."""
    from xrealign.corpus.quality import PairRules, above_percentile, filter_bitext, read_scores, take

    settings = config.corpus.filter
    if settings is None:
        return bitext, dropped
    if settings.scores is not None and settings.score is not None:
        if bitext.tgt.tag not in settings.scores:
            raise DataError(f"corpus.filter.scores has no file for {bitext.tgt.tag}, which is in the subset")
        faulty = [number - 1 for number in skipped.at] if skipped else []
        scores = np.delete(read_scores(settings.scores[bitext.tgt.tag], len(bitext) + len(faulty)), faulty)
        kept = above_percentile(scores, settings.score)
        bitext, dropped = take(bitext, kept), dropped + kept.dropped
    left, gone = filter_bitext(bitext, PairRules(**{name: getattr(settings, name) for name in RULES}))
    return left, dropped + gone


def _similar(config: Config, encoder: Any, bitext: Bitext) -> tuple[Bitext, Counter[str]]:
    """What ``corpus.filter.similarity`` leaves: the pairs whose vectors are most alike."""
    from xrealign.corpus.quality import above_percentile, pair_cosines, take
    from xrealign.model.vectors import sentence_vectors

    percentile = config.corpus.filter.similarity if config.corpus.filter is not None else None
    if percentile is None or not len(bitext):
        return bitext, Counter()
    src, tgt = (
        sentence_vectors(encoder, texts, encoder.layers, config.align.max_length, what=f"filter {bitext.tgt.tag}")
        for texts in ([pair.src for pair in bitext], [pair.tgt for pair in bitext])
    )
    kept = above_percentile(pair_cosines(src, tgt), percentile, "similarity")
    return take(bitext, kept), kept.dropped


def take_turns(bitexts: Sequence[Bitext]) -> list[tuple[str, SentencePair]]:
    """The pairs of several sources in turn, each with its origin, so that a limit leaves some of every source.

    Sentences are few and names are many; within a source the order is that of a hash of the id.
    """
    ordered = [[(b.origin, pair) for pair in sorted(b, key=lambda pair: _order(pair.id))] for b in bitexts]
    return [item for turn in itertools.zip_longest(*ordered) for item in turn if item is not None]


def make_corpus(config: Config, select: Path, out: Path) -> Facts:
    """Collects sentence pairs of the source language and each language of the subset; writes ``pairs.parquet``."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows: dict[str, list[str]] = {name: [] for name in ("id", "language", "src", "tgt", "origin")}
    pairs: dict[str, int] = {}
    left_out: dict[str, dict[str, int]] = {}
    quality = config.corpus.filter
    encoder = open_encoder(config) if quality is not None and quality.similarity is not None else None
    for language in read_subset(select):
        bitexts = training_bitexts(config, language)
        if encoder is not None:
            bitexts = [(left, n + gone) for b, n in bitexts for left, gone in [_similar(config, encoder, b)]]
        found = take_turns([bitext for bitext, _ in bitexts])
        left_out[language.tag] = dict(sum((counts for _, counts in bitexts), Counter()))
        if config.corpus.max_pairs is not None and len(found) > config.corpus.max_pairs:
            left_out[language.tag]["over corpus.max_pairs"] = len(found) - config.corpus.max_pairs
            found = found[: config.corpus.max_pairs]
        pairs[language.tag] = len(found)
        for origin, pair in found:
            for name, value in zip(rows, (pair.id, language.tag, pair.src, pair.tgt, origin), strict=True):
                rows[name].append(value)
    with new_path(out / "pairs.parquet") as aside:
        pq.write_table(pa.table(rows), aside, compression="zstd")
    return {"pairs": pairs, "left_out": left_out}


def centring_bitexts(config: Config, languages: list[Language], most: int) -> list[Bitext]:
    """Text from which a language's map is fitted: never held out, at most ``most`` pairs of each source of text.

    A language without parallel text is left out.
    """
    found: list[Bitext] = []
    for language in track(languages, "text for maps"):
        try:
            bitexts = training_bitexts(config, language)
        except DataError:
            continue
        chosen = [pair for b, _ in bitexts for pair in sorted(b, key=lambda p: _order(p.id))[:most]]
        if chosen:
            found.append(Bitext(bitexts[0][0].src, language, chosen, "+".join(b.origin for b, _ in bitexts)))
    return found


def _order(identifier: str) -> bytes:
    return hashlib.sha256(identifier.encode()).digest()
