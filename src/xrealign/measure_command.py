"""``xrealign measure``: how aligned encoders are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from xrealign._version import __version__
from xrealign.correlate_command import Form, check_form, correlate_command
from xrealign.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from xrealign.measure_pairs import BitextFile, MeasuredPairs
    from xrealign.measuring import MeasureSettings

DEFAULT = "encoders"
WORDS_PANEL, ENCODER_PANEL, INPUT_PANEL, OUTPUT_PANEL = "Words", "Encoders", "Input", "Output"


class _EncodersByDefault(TyperGroup):
    """``xrealign measure --encoder …`` is ``xrealign measure encoders --encoder …``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args if args and args[0] in self.commands else [DEFAULT, *args])


app = typer.Typer(
    cls=_EncodersByDefault, help="How aligned encoders are; `measure correlate`: whether that goes with transfer."
)


app.command("correlate", no_args_is_help=True)(correlate_command)


@app.command(DEFAULT, no_args_is_help=True)
def measure_command(
    bitext: Annotated[
        list[str],
        typer.Option(
            help="Sentence pairs: FILE (`source TAB target`, `source ||| target` or .tmx; plain, .gz, .xz, .zst), or "
            "SOURCE,TARGET of which line N translates line N. Once for each pair of languages.",
            rich_help_panel=INPUT_PANEL,
        ),
    ],
    encoder: Annotated[
        list[str] | None,
        typer.Option(
            help="`starter`, a Hugging Face folder (decoders too), a name on the hub, or NAME=one of these. Several: "
            "each is compared with the first, before and after.",
            rich_help_panel=ENCODER_PANEL,
        ),
    ] = None,
    langs: Annotated[
        list[str] | None,
        typer.Option(
            help="Languages of each bitext, in their order: `eng-deu`. Then words are found by rule.",
            rich_help_panel=INPUT_PANEL,
        ),
    ] = None,
    links: Annotated[
        list[Path] | None,
        typer.Option(
            help="Word links of each bitext, in their order: `0-0 1-2`, line N for line N. Else they are made.",
            rich_help_panel=WORDS_PANEL,
        ),
    ] = None,
    measures: Annotated[
        str,
        typer.Option(
            help="`standard`, `all`, or of: word-retrieval, sentence-retrieval, word-cosine, sentence-cosine, "
            "word-cka, sentence-cka, anisotropy, mining, mexa, neurons, and of all languages at once pool, identity, "
            "similarity."
        ),
    ] = "standard",
    layers: Annotated[
        str, typer.Option(help="`all`, or numbers: `0,8,-1`. 0 is the embeddings.", rich_help_panel=ENCODER_PANEL)
    ] = "all",
    sentences: Annotated[
        int, typer.Option(min=2, help="Most sentence pairs of a bitext.", rich_help_panel=INPUT_PANEL)
    ] = 2000,
    word_pairs: Annotated[
        int, typer.Option(min=2, help="Most word pairs of a bitext.", rich_help_panel=WORDS_PANEL)
    ] = 1000,
    words: Annotated[
        str,
        typer.Option(
            help="`split` at blanks already, `segment` by the languages' rules, or `auto`: segment, unless there are "
            "--links or no --langs.",
            rich_help_panel=WORDS_PANEL,
        ),
    ] = "auto",
    link_encoder: Annotated[
        str, typer.Option(help="Makes the links (argmax, centred), the same for all.", rich_help_panel=WORDS_PANEL)
    ] = "starter",
    link_layer: Annotated[int, typer.Option(help="Its layer.", rich_help_panel=WORDS_PANEL)] = 7,
    word_pooling: Annotated[
        str,
        typer.Option(help="Word vectors from subwords: `mean`, `first` or `sum`.", rich_help_panel=ENCODER_PANEL),
    ] = "mean",
    sentence_pooling: Annotated[
        str,
        typer.Option(
            help="`mean`, `weighted` by place, `last`, or `auto`: weighted for decoders, else mean.",
            rich_help_panel=ENCODER_PANEL,
        ),
    ] = "auto",
    max_length: Annotated[
        int, typer.Option(min=8, help="Longest sentence in subwords.", rich_help_panel=ENCODER_PANEL)
    ] = 128,
    seed: Annotated[int, typer.Option(min=0, help="Of what is drawn.")] = 0,
    resamples: Annotated[int, typer.Option(min=100, max=100_000, help="Bootstrap resamples.")] = 2000,
    input_form: Annotated[
        str, typer.Option("--input", help="`auto`, `tsv`, `moses`, `bar` or `tmx`.", rich_help_panel=INPUT_PANEL)
    ] = "auto",
    lenient: Annotated[
        bool,
        typer.Option(
            "--lenient",
            help="Skip faulty lines, counted by reason; more than 100 and more than a tenth are an error.",
            rich_help_panel=INPUT_PANEL,
        ),
    ] = False,
    device: Annotated[str, typer.Option(help="`auto`, `cpu` or `cuda`.", rich_help_panel=ENCODER_PANEL)] = "auto",
    form: Form = "table",
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Also as tidy scores: .parquet or .csv.", rich_help_panel=OUTPUT_PANEL),
    ] = None,
    similarity_folder: Annotated[
        Path | None,
        typer.Option(
            help="Where `similarity` writes a table and a picture for each layer.", rich_help_panel=OUTPUT_PANEL
        ),
    ] = None,
) -> None:
    """Measures how aligned an encoder's languages are, at every layer, each number beside its control: centred, the
    same after subtracting each language's mean vector, which costs nothing. A further verb, `xrealign measure
    correlate`, says whether measures go with transfer; it has its own --help.

    With several encoders each is compared with the first, with 95 % paired bootstrap intervals. Examples:

    `xrealign measure --bitext eng-deu.tsv --langs eng-deu`

    `xrealign measure --encoder before=starter --encoder after=FOLDER --bitext eng-swh.tsv --langs eng-swh`
    """
    from xrealign.model.resolve import check_encoder

    encoders = _encoders(encoder or ["starter"])
    for source in encoders.values():
        check_encoder(source)  # what is not to be had is told before torch loads
    from xrealign.measure.results import as_scores, changes
    from xrealign.measure_output import as_record, as_text, write_similarity
    from xrealign.measuring import MeasureReport, MeasureSettings, measure_encoder, parse_measures
    from xrealign.model.layer_vectors import load_model
    from xrealign.progress import say

    check_form(form)
    _check_output(output, similarity_folder)
    settings = MeasureSettings(
        parse_measures(measures), _layers(layers), word_pooling, sentence_pooling, max_length, seed
    )
    _check_poolings(settings)
    files = _files(bitext, langs or [], links or [], input_form)
    chosen = _device(device)
    pairs = _pairs(files, settings, encoders, sentences, word_pairs, words, lenient, (link_encoder, link_layer, chosen))
    report = MeasureReport()
    for name, source in encoders.items():
        loaded = load_model(source)
        loaded.model.to(chosen)
        measure_encoder(name, loaded, pairs, settings, report)
    moved = changes(report.results, resamples, seed)
    for reason in report.left_out:
        say(f"left out: {reason}")
    scores = as_scores(
        report.results, seed, f"sentences:{sentences}|words:{word_pairs}|ties:miss|xrealign:{__version__}"
    )
    if output is not None:
        from xrealign.report.scores import write_scores

        write_scores(scores, output)
    if similarity_folder is not None:
        write_similarity(report, similarity_folder)
    if form == "csv":
        from xrealign.escape import guarded
        from xrealign.report.scores import to_frame

        print(to_frame(scores).map(guarded).to_csv(index=False, lineterminator="\n"), end="")
    elif form == "json":
        from xrealign.escape import json_text

        drawn = {"sentences": sentences, "word_pairs": word_pairs, "words": words, "resamples": resamples}
        made_by = {"link_encoder": link_encoder, "link_layer": link_layer}
        record = as_record(report, moved, pairs, files, asdict(settings) | drawn | made_by, encoders)
        print(json_text(record))
    else:
        print(as_text(report, moved, pairs, form))


def _check_output(output: Path | None, folder: Path | None) -> None:
    if output is not None and output.suffix not in (".parquet", ".csv"):
        raise ConfigError(f"-o {output}: expected a name that ends in .parquet or .csv")
    for option, path in (("-o", output), ("--similarity-folder", folder)):
        if path is not None and not path.absolute().parent.is_dir():
            raise ConfigError(f"{option} {path}: there is no folder {path.parent}")
    if folder is not None and folder.exists() and not folder.is_dir():
        raise ConfigError(f"--similarity-folder {folder}: it is a file")


def _check_poolings(settings: MeasureSettings) -> None:
    from xrealign.model.layer_vectors import SENTENCE_POOLINGS
    from xrealign.model.words import WORD_POOLINGS

    for option, value, known in (
        ("--word-pooling", settings.word_pooling, WORD_POOLINGS),
        ("--sentence-pooling", settings.sentence_pooling, ("auto", *SENTENCE_POOLINGS)),
    ):
        if value not in known:
            raise ConfigError(f"{option} {value} is unknown; expected {', '.join(known)}{did_you_mean(value, known)}")


def _layers(text: str) -> tuple[int, ...] | None:
    from xrealign.textio import whole_number

    if text == "all":
        return None
    try:
        return tuple(whole_number(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--layers {text}: expected `all`, or numbers separated by commas, such as 0,8,-1") from None


def _encoders(named: Sequence[str]) -> dict[str, str]:
    """What to load by the name in results: NAME=…, else the folder's name."""
    from xrealign.textio import is_there

    found: dict[str, str] = {}
    for item in named:
        name, equals, source = item.partition("=")
        if not equals or is_there(item):
            name, source = (Path(item).resolve().name if is_there(item) and Path(item).is_dir() else item), item
        if not name or not source:
            raise ConfigError(f"--encoder {item}: expected NAME=FOLDER, or a folder or name")
        if name in found:
            raise ConfigError(f"--encoder {item}: there is an encoder {name!r} already; name them NAME=FOLDER")
        found[name] = source
    return found


def _files(bitexts: Sequence[str], langs: Sequence[str], links: Sequence[Path], form: str) -> list[BitextFile]:
    from xrealign.measure_pairs import open_bitext

    for option, given in (("--langs", langs), ("--links", links)):
        if given and len(given) != len(bitexts):
            raise ConfigError(
                f"{len(given)} {option} for {len(bitexts)} --bitext; expected one for each, in the same order, or none"
            )
    found = [
        open_bitext(text, langs[n] if langs else None, links[n] if links else None, form)
        for n, text in enumerate(bitexts)
    ]
    named = [(file.src_tag, file.tgt_tag) for file in found]
    for pair in named:
        if named.count(pair) > 1:
            raise ConfigError(f"two bitexts of {'-'.join(pair)}; name different languages with --langs, or join them")
    return found


def _pairs(
    files: Sequence[BitextFile],
    settings: MeasureSettings,
    encoders: dict[str, str],
    sentences: int,
    word_pairs: int,
    words: str,
    lenient: bool,
    linker: tuple[str, int, str],
) -> list[MeasuredPairs]:
    """Sentences of every bitext, and, where a measure wants them, its word pairs that every encoder can read."""
    from xrealign.measure.measures import PAIR_MEASURES
    from xrealign.measure_pairs import draw_words, read_pairs, with_words
    from xrealign.progress import say

    pairs = [read_pairs(file, sentences, settings.seed, words, lenient) for file in files]
    if any(name in PAIR_MEASURES and PAIR_MEASURES[name].level == "word" for name in settings.measures):
        from xrealign.measuring import make_links, readable_words

        missing = [n for n, file in enumerate(files) if file.links is None]
        made = make_links([pairs[n] for n in missing], *linker) if missing else []
        for n, links in zip(missing, made, strict=True):
            pairs[n] = with_words(pairs[n], links)
        readable = [readable_words(pair, encoders.values(), settings.max_length) for pair in pairs]
        pairs = [draw_words(p, word_pairs, settings.seed, r) for p, r in zip(pairs, readable, strict=True)]
    for pair in pairs:
        counted = ", ".join(f"{count} {what}" for what, count in pair.counts.items() if count)
        say(f"{pair.src_tag}-{pair.tgt_tag}: {counted}")
    return pairs


def _device(name: str) -> str:
    import torch

    if name not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"--device {name} is unknown; expected auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("--device cuda: no CUDA device here; use cpu")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"
