"""Numbers of each language for `xrealign report predict --table`: fertility, text at hand, seen in pre-training."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from xrealign.language import Language

COLUMNS = ("fertility", "unknown", "words", "sentences")


@dataclass(frozen=True, slots=True)
class LanguageNumbers:
    """What a tokenizer makes of the embedded UDHR in a language.

    Attributes:
        fertility: subwords per word (Rust et al. 2021, arXiv 2012.15613, §4).
        unknown: share of the subwords that are the unknown one.
        words: counted.
        sentences: embedded parallel texts of any kind in the language.
    """

    language: Language
    fertility: float
    unknown: float
    words: int
    sentences: int


def language_numbers(tokenizer: Any, languages: Sequence[Language]) -> tuple[list[LanguageNumbers], list[Language]]:
    """The numbers of each language with UDHR segments; the languages without.

    In scripts without blanks for which there is no dictionary the subwords are the words: the fertility is 1 there.
    """
    from xrealign.corpus.embedded import embedded_counts, udhr_segments
    from xrealign.model.words import word_spans

    texts_of, counts = udhr_segments(), embedded_counts()
    found, without = [], []
    for language in languages:
        if language not in texts_of.texts:
            without.append(language)
            continue
        texts = list(texts_of.of(language).values())
        words = sum(len(spans) for spans in word_spans(texts, language, tokenizer))
        pieces = [piece for row in tokenizer(texts, add_special_tokens=False)["input_ids"] for piece in row]
        unknown = sum(piece == tokenizer.unk_token_id for piece in pieces) / len(pieces)
        found.append(LanguageNumbers(language, len(pieces) / words, unknown, words, sum(counts[language].values())))
    return found, without


def languages_command(
    output: Annotated[Path, typer.Option("-o", "--output", help="The table, as TSV.")],
    languages: Annotated[
        str, typer.Option(help="Codes or names separated by commas, a file, or a named set; see `select`.")
    ] = "embedded",
    encoder: Annotated[str, typer.Option(help="`starter`, a Hugging Face folder, or a name on the hub.")] = "starter",
    seen: Annotated[str, typer.Option(help="What the model saw in pre-training: `xlm-r` or `mbert`.")] = "",
) -> None:
    """Numbers of each language: how finely its words are cut, and how much parallel text is embedded.

    A table for `xrealign report predict --table`; columns of your own (data size …) can be added to it.
    """
    from xrealign.model.resolve import check_encoder

    check_encoder(encoder)  # what is not to be had is told before torch loads
    from xrealign.model.encoder import load_encoder
    from xrealign.pretraining import seen_isos
    from xrealign.progress import say
    from xrealign.select.candidates import language_list
    from xrealign.writing import write_atomic

    isos = seen_isos(seen) if seen else None
    found, without = language_numbers(load_encoder(encoder).tokenizer, language_list(languages))
    text = io.StringIO()
    print("language", *COLUMNS, *(["seen"] if isos is not None else []), sep="\t", file=text)
    for one in found:
        row = [one.language.tag, f"{one.fertility:.4f}", f"{one.unknown:.6f}", str(one.words), str(one.sentences)]
        print(*row, *([str(int(one.language.iso in isos))] if isos is not None else []), sep="\t", file=text)
    write_atomic(output, text.getvalue())
    if without:
        shown = ", ".join(language.tag for language in without[:8])
        say(f"no embedded text in {len(without)} languages, left out: {shown}{' …' if len(without) > 8 else ''}")
    say(f"{len(found)} languages written to {output}")
