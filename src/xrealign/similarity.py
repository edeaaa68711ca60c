"""Distances between languages without typology: from an encoder's vectors, or from its tokenizer's subwords.

All from the same sentences in every language, so that languages differ and contents do not. ``xrealign distances``
writes them as a matrix for ``xrealign select --distance``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from xrealign.errors import ConfigError, DataError, did_you_mean
from xrealign.language import Language

KINDS = ("vectors", "overlap", "fertility")
FEWEST = 10
Sentences = Mapping[Language, Sequence[str]]
Labelled = tuple[list[Language], np.ndarray[Any, Any]]


def vector_distances(encoder: Any, sentences: Sentences, layer: int) -> Labelled:
    """1 − mean cosine of mean-pooled translations at ``layer``: mPLM-Sim (Lin et al. 2024, arXiv 2305.13684).

    Args:
        sentences: as many in every language; sentence n is the same everywhere.
    """
    from xrealign.model.vectors import sentence_vectors
    from xrealign.select.matrices import cosine_distances

    languages = sorted(sentences)
    texts = [text for language in languages for text in sentences[language]]
    vectors = sentence_vectors(encoder, texts, layer, what="vectors")
    parts = np.split(vectors, np.cumsum([len(sentences[language]) for language in languages])[:-1])
    return cosine_distances(dict(zip(languages, parts, strict=True)))


def overlap_distances(encoder: Any, sentences: Sentences) -> Labelled:
    """1 − overlap of the languages' subword distributions."""
    from xrealign.select.matrices import subword_distances

    return subword_distances({language: _subwords(encoder, texts) for language, texts in sentences.items()})


def cut_distances(encoder: Any, sentences: Sentences) -> Labelled:
    """How differently the tokenizer cuts the words of two languages: |log ratio| of fertilities, at most 1.

    Fertility is subwords per word; in scripts without blanks the subwords are the words, so it is 1 there.
    """
    from xrealign.model.words import word_spans
    from xrealign.select.matrices import fertility_distances

    fertility = {}
    for language, texts in sentences.items():
        words = sum(len(spans) for spans in word_spans(list(texts), language, encoder.tokenizer))
        fertility[language] = sum(_subwords(encoder, texts).values()) / max(words, 1)
    return fertility_distances(fertility)


def _subwords(encoder: Any, texts: Sequence[str]) -> Counter[str]:
    tokenizer = encoder.tokenizer
    rows = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    return Counter(piece for row in rows for piece in tokenizer.convert_ids_to_tokens(row))


def distances_command(
    languages: Annotated[
        str, typer.Argument(help="Languages: codes or names separated by commas, a file, or a named set; see `select`.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The matrix, as TSV.")],
    kind: Annotated[
        str,
        typer.Option(
            help="`vectors`: 1 − mean cosine of translations (mPLM-Sim); `overlap`: subwords not shared; "
            "`fertility`: how differently words are cut."
        ),
    ] = "vectors",
    encoder: Annotated[str, typer.Option(help="`starter`, a Hugging Face folder, or a name on the hub.")] = "starter",
    layer: Annotated[int, typer.Option(help="Layer of the vectors; 0 = embeddings, -1 = the last.")] = 8,
) -> None:
    """Measures how far languages are apart to a model, on the embedded UDHR: distances without typology.

    Only paragraphs that all the languages have are used. Then: `xrealign select --distance MATRIX.tsv`.
    """
    if kind not in KINDS:
        raise ConfigError(f"--kind {kind} is unknown; expected one of {', '.join(KINDS)}{did_you_mean(kind, KINDS)}")
    from xrealign.model.resolve import check_encoder

    check_encoder(encoder)  # what is not to be had is told before torch loads
    from xrealign.corpus.embedded import udhr_segments
    from xrealign.model.encoder import load_encoder
    from xrealign.model.layers import resolve_layer
    from xrealign.progress import say
    from xrealign.select.candidates import language_list
    from xrealign.select.matrices import write_matrix

    table = udhr_segments()
    chosen = language_list(languages)
    without = [language.iso for language in chosen if language not in table.texts]
    if without:
        raise DataError(f"the embedded UDHR has no text in {', '.join(without)}; `xrealign data` lists what there is")
    shared = [i for i in table.ids if all(i in table.texts[language] for language in chosen)]
    if len(shared) < FEWEST:
        raise DataError(
            f"only {len(shared)} paragraphs are there in all {len(chosen)} languages, at least {FEWEST} are needed; "
            "leave out languages with few (`xrealign data` shows counts)"
        )
    sentences = {language: [table.texts[language][i] for i in shared] for language in chosen}
    loaded = load_encoder(encoder)
    if kind == "vectors":
        found = vector_distances(loaded, sentences, resolve_layer(layer, loaded.layers))
    else:
        found = (overlap_distances if kind == "overlap" else cut_distances)(loaded, sentences)
    write_matrix(output, *found)
    say(f"{len(chosen)} languages, {len(shared)} paragraphs that all of them have")
    print(output)
