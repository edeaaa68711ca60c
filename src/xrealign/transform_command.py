"""``xrealign transform``: realigns an encoder without training it, by maps that are saved beside its weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from xrealign.errors import ConfigError, DataError
from xrealign.language import Language, parse_language
from xrealign.types import Bitext

if TYPE_CHECKING:
    from xrealign.model.transforms import Transforms

LEVELS = ("sentences", "words")


def transform_command(
    languages: Annotated[str, typer.Argument(help="Target languages: codes or names separated by commas, or a file.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="A new folder for the encoder and its maps, or the encoder's own.")
    ],
    encoder: Annotated[str, typer.Option(help="`starter`, a Hugging Face folder, or a name on the hub.")] = "starter",
    kind: Annotated[
        str,
        typer.Option(
            help="`centring`, `rotation` (Procrustes), `centred-rotation`, `normalised-rotation` or `linear`."
        ),
    ] = "centred-rotation",
    layer: Annotated[int, typer.Option(help="Where the maps are to be applied; 0 = embeddings, -1 = the last.")] = -1,
    level: Annotated[
        str, typer.Option(help="What is paired: `sentences`, or `words` linked by the encoder (argmax, layer 8).")
    ] = "sentences",
    source: Annotated[str, typer.Option(help="The language whose space it is.")] = "eng",
    pairs: Annotated[
        list[str] | None,
        typer.Option(help="LANGUAGE=FILE.tsv (source, tab, target), for each language; else the embedded text."),
    ] = None,
    most: Annotated[int, typer.Option(min=1, help="Pairs of each source of text and language.")] = 2000,
    held_out: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the embedded text left alone for measuring, as in runs.")
    ] = 0.25,
    prior: Annotated[
        float | None,
        typer.Option(
            help="Draws the map towards the identity, like as many pairs; else the width. 0: published definition."
        ),
    ] = None,
) -> None:
    """Fits a map for each language on a little parallel text and saves it in the encoder's folder. Nothing is trained.

    Use it with: `transforms = load_transforms(folder)` from `xrealign.model.transforms`, then
    `hidden = transforms.apply(hidden, "swh_Latn")`. Example:

    `xrealign transform swh,tur,tam -o mapped --kind linear`
    """
    from xrealign.model.resolve import check_encoder

    check_encoder(encoder)  # what is not to be had is told before torch loads
    from xrealign.model.encoder import load_encoder, save_encoder
    from xrealign.model.transforms import save_transforms
    from xrealign.progress import say
    from xrealign.select.candidates import language_list
    from xrealign.writing import new_folder

    if level not in LEVELS:
        raise ConfigError(f"--level {level} is unknown; expected {' or '.join(LEVELS)}")
    own = output.is_dir() and Path(encoder).is_dir() and output.samefile(encoder)
    if not own and (output.exists() or not output.absolute().parent.is_dir()):
        reason = "it exists and is not the encoder's own folder" if output.exists() else "its parent folder is missing"
        raise ConfigError(f"-o {output}: {reason}")
    english = parse_language(source)
    chosen = [language for language in language_list(languages) if language != english]
    bitexts = texts_to_fit(english, chosen, pairs or [], most, held_out)
    loaded = load_encoder(encoder)
    fitted = fit(loaded, bitexts, kind, layer, level, prior)
    if own:
        save_transforms(fitted, output)
    else:
        with new_folder(output) as folder:
            save_encoder(loaded, folder, base=loaded.folder)
            save_transforms(fitted, folder)
    for language, found in fitted.by_language.items():
        say(f"  {language.tag} ({language.name}): fitted on {found.pairs} pairs of {level}")
    print(output)


def texts_to_fit(
    source: Language, languages: Sequence[Language], files: Sequence[str], most: int, held_out_share: float
) -> list[Bitext]:
    """Bitexts of the source and each language: from the files, or the embedded text that is not held out.

    Raises:
        ConfigError: no languages, a file is not given as LANGUAGE=FILE, or a language lacks one or has two.
        DataError: a language has no embedded text.
    """
    from xrealign.corpus.embedded import cldr_names, held_out, training_bitext, udhr_segments
    from xrealign.corpus.readers import read_tsv

    if not languages:
        raise ConfigError("no target language is named")
    named: dict[Language, Path] = {}
    for item in files:
        name, equals, path = item.partition("=")
        if not (name and equals and path):
            raise ConfigError(f"--pairs {item}: expected LANGUAGE=FILE.tsv")
        language = parse_language(name)
        if language not in languages or language in named:
            reason = "has two files" if language in named else "is not among the languages named"
            raise ConfigError(f"--pairs {item}: {language.tag} {reason}")
        named[language] = Path(path)
    missing = [language.tag for language in languages if named and language not in named]
    if missing:
        raise ConfigError(f"--pairs has no file for {', '.join(missing)}")
    if named:
        found = [read_tsv(named[language], source, language) for language in languages]
    else:
        found = [
            training_bitext(table, source, language, held_out(table.ids, held_out_share))[0]
            for language in languages
            for table in (udhr_segments(), cldr_names())
            if language in table.texts and source in table.texts
        ]
    without = [language.tag for language in languages if not any(b.tgt == language and len(b) for b in found)]
    if without:
        raise DataError(f"no embedded text in {source.tag} and {', '.join(without)}; give your own with --pairs")
    return [Bitext(b.src, b.tgt, b.pairs[:most], b.origin) for b in found]


def fit(encoder: Any, bitexts: Sequence[Bitext], kind: str, layer: int, level: str, prior: float | None) -> Transforms:
    """`fit_languages`, words linked by the encoder's own vectors."""
    from xrealign.model.fit_languages import fit_languages

    links = [_links(encoder, bitext) for bitext in bitexts] if level == "words" else None
    wanted = cast("Literal['sentences', 'words']", level)
    facts = {"links": "argmax, layer 8 at most"} if links else {}
    return fit_languages(encoder, bitexts, kind, layer, wanted, links, prior, facts=facts, what="fit maps")


def _links(encoder: Any, bitext: Bitext) -> list[Any]:
    from xrealign.align.embedding import argmax_links
    from xrealign.model.words import word_spans

    sides = [pair.src for pair in bitext], [pair.tgt for pair in bitext]
    spans = [
        word_spans(texts, language, encoder.tokenizer)
        for texts, language in zip(sides, (bitext.src, bitext.tgt), strict=True)
    ]
    layer = min(8, encoder.layers)
    return argmax_links(encoder, sides[0], spans[0], sides[1], spans[1], layer, what=f"link {bitext.tgt.tag}")
