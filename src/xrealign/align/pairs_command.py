"""``xrealign align IN -o OUT``: word links for sentence pairs, by any aligner."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

VECTORS, LEXICON = "Vectors", "Dictionaries and trained models"  # headings of --help
INPUT, OUTPUT = "Input", "Output"


def pairs_command(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="IN [IN]",
            help="Sentence pairs, words separated by blanks unless --words segment: one file of `source TAB target` or "
            "`source ||| target` lines, two files of which line N translates line N, or a translation memory (.tmx). "
            "Plain, .gz, .xz or .zst.",
        ),
    ],
    out: Annotated[Path, typer.Option("--output", "-o", help="Where the links go: one line for each line of input.")],
    aligner: Annotated[
        str,
        typer.Option(
            help="By an encoder's vectors: `argmax` (each other's most similar: few links, most of them right), "
            "`itermax` (argmax, then the words left over), `softmax` (both probabilities above --threshold), "
            "`matching` (best one-to-one), `edge-cover` (every word gets a link), `balanced-ot`, `partial-ot`, "
            "`unbalanced-ot` (transport). By statistics of the text itself: `hmm-agreement`, `hmm`, `fast-align`, "
            "`ibm1`. Or `dictionary`, `supervised` (--model), `external` (--program)."
        ),
    ] = "argmax",
    encoder: Annotated[
        str, typer.Option(help="`starter`, a Hugging Face folder, or a name on the hub.", rich_help_panel=VECTORS)
    ] = "starter",
    revision: Annotated[str | None, typer.Option(help="Of an encoder on the hub.", rich_help_panel=VECTORS)] = None,
    layer: Annotated[
        int,
        typer.Option(
            help="Of the encoder: 0 is its embeddings, -1 the last. 7 is the starter's best, see docs.",
            rich_help_panel=VECTORS,
        ),
    ] = 7,
    level: Annotated[
        str, typer.Option(help="What is compared: `word` or `subword` vectors.", rich_help_panel=VECTORS)
    ] = "word",
    pooling: Annotated[
        str, typer.Option(help="Word vectors from subwords: `mean`, `first` or `sum`.", rich_help_panel=VECTORS)
    ] = "mean",
    centre: Annotated[
        bool, typer.Option("--centre", help="Subtract each language's mean vector.", rich_help_panel=VECTORS)
    ] = False,
    distortion: Annotated[
        float, typer.Option(help="Penalty for links far from the diagonal, 0 to 1.", rich_help_panel=VECTORS)
    ] = 0.0,
    romanised: Annotated[
        float,
        typer.Option(
            help="Weight of how alike words are spelled in Latin letters; 0.3 helps Chinese and Japanese with English.",
            rich_help_panel=VECTORS,
        ),
    ] = 0.0,
    threshold: Annotated[
        float | None,
        typer.Option(
            help="Of softmax (0.001 unless told), transport (0.3) and supervised (0.5).", rich_help_panel=VECTORS
        ),
    ] = None,
    temperature: Annotated[
        float, typer.Option(help="Of softmax: divides the dot products.", rich_help_panel=VECTORS)
    ] = 1.0,
    rounds: Annotated[int, typer.Option(help="Of itermax.", rich_help_panel=VECTORS)] = 2,
    discount: Annotated[
        float, typer.Option(help="Of itermax: weight of words that have a link already.", rich_help_panel=VECTORS)
    ] = 0.9,
    epsilon: Annotated[
        float, typer.Option(help="Of transport: weight of the entropy.", rich_help_panel=VECTORS)
    ] = 0.05,
    mass: Annotated[
        float, typer.Option(help="Of partial-ot: share of the mass that moves.", rich_help_panel=VECTORS)
    ] = 0.8,
    penalty: Annotated[
        float, typer.Option(help="Of unbalanced-ot: price of changing a mass.", rich_help_panel=VECTORS)
    ] = 0.5,
    max_length: Annotated[
        int,
        typer.Option(help="Longest sentence in subwords; words beyond it get no link.", rich_help_panel=VECTORS),
    ] = 512,
    subwords_per_batch: Annotated[int, typer.Option(min=1, help="Batch size.", rich_help_panel=VECTORS)] = 1024,
    precision: Annotated[
        str,
        typer.Option(
            help="`fp32`, or `bf16` where the hardware has it: twice as fast, a link in 300 differs.",
            rich_help_panel=VECTORS,
        ),
    ] = "fp32",
    device: Annotated[str, typer.Option(help="`auto`, `cpu` or `cuda`.", rich_help_panel=VECTORS)] = "auto",
    dictionary: Annotated[
        Path | None,
        typer.Option(help="For `dictionary`: two columns, source and target word.", rich_help_panel=LEXICON),
    ] = None,
    reverse: Annotated[
        bool, typer.Option("--reverse", help="Its first column is the target.", rich_help_panel=LEXICON)
    ] = False,
    lemma: Annotated[
        bool,
        typer.Option(
            "--lemma",
            help="Look words without a hit up by lemma (needs both languages).",
            rich_help_panel=LEXICON,
        ),
    ] = False,
    prefix: Annotated[
        bool,
        typer.Option("--prefix", help="Look words without an entry up by a shared prefix.", rich_help_panel=LEXICON),
    ] = False,
    model: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a trained aligner: `supervised`, or statistical (else trained on the text at hand).",
            rich_help_panel=LEXICON,
        ),
    ] = None,
    symmetrization: Annotated[
        str,
        typer.Option(
            help="Of statistical and external aligners: `intersection`, `union`, `grow-diag`, `grow-diag-final`, "
            "`grow-diag-final-and`; of statistical ones also `posterior` (both agree by more than --threshold).",
            rich_help_panel=LEXICON,
        ),
    ] = "grow-diag-final-and",
    seed: Annotated[
        int, typer.Option(min=0, help="Of the sample that statistics are trained on.", rich_help_panel=LEXICON)
    ] = 0,
    program: Annotated[
        list[str] | None,
        typer.Option(
            help="For `external`: `eflomal` or `fast_align`, if installed, or a command line that gets `{bars}` "
            "(`source ||| target` lines, words as numbers) or `{src}` and `{tgt}` and prints links; twice for both "
            "directions.",
            rich_help_panel=LEXICON,
        ),
    ] = None,
    min_score: Annotated[float | None, typer.Option(help="Drop links that score less.", rich_help_panel=OUTPUT)] = None,
    one_to_one: Annotated[
        bool, typer.Option("--one-to-one", help="Drop links of words with several.", rich_help_panel=OUTPUT)
    ] = False,
    drop_identical: Annotated[
        bool,
        typer.Option(
            "--drop-identical", help="Drop links of identical words, whatever their case.", rich_help_panel=OUTPUT
        ),
    ] = False,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help="`pharaoh` (`0-0 1-2`), `jsonl` (words, links, scores), or `words` (`the das` pairs, tabs between).",
            rich_help_panel=OUTPUT,
        ),
    ] = "pharaoh",
    scores: Annotated[bool, typer.Option("--scores", help="Pharaoh: `0-0:0.93`.", rich_help_panel=OUTPUT)] = False,
    base: Annotated[
        int, typer.Option(min=0, max=1, help="Pharaoh: number of the first word.", rich_help_panel=OUTPUT)
    ] = 0,
    words_out: Annotated[
        Path | None,
        typer.Option(
            help="Also write the words that the links mean: `source TAB target`, line for line.", rich_help_panel=OUTPUT
        ),
    ] = None,
    input_form: Annotated[
        str, typer.Option("--input", help="`auto`, `tsv`, `moses`, `bar` or `tmx`.", rich_help_panel=INPUT)
    ] = "auto",
    words: Annotated[
        str,
        typer.Option(
            help="`split` at blanks already, or `segment`: found by the rules of the languages (ICU's dictionaries for "
            "Chinese, Japanese, Thai, Lao, Khmer, Burmese). `auto` segments .tmx alone.",
            rich_help_panel=INPUT,
        ),
    ] = "auto",
    src_language: Annotated[
        str | None,
        typer.Option(
            help="Of the source: lines in another script are faulty. Of .tmx the first unless told.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    tgt_language: Annotated[str | None, typer.Option(help="Of the target.", rich_help_panel=INPUT)] = None,
    lenient: Annotated[
        bool,
        typer.Option(
            "--lenient",
            help="Skip faulty lines (empty output line), counted by reason; of the dictionary, too. More than 100 that "
            "are also more than a tenth of a file are an error.",
            rich_help_panel=INPUT,
        ),
    ] = False,
) -> None:
    """Links the words of sentence pairs. Further verbs: `xrealign align score` scores links, `align train` fits a
    statistical aligner once for many files, `align train-supervised` trains on gold links, `align tune` tunes an
    encoder for aligning on parallel text; each has its --help.

    All lines are checked first; a faulty one ends the command before any work. A command that was stopped goes on
    where it was when it is given again, and the file comes out the same. Example:

    `xrealign align pairs.tsv -o pairs.pharaoh --aligner argmax --layer 7 --centre`
    """
    from xrealign.align import choose
    from xrealign.align.files import OUTPUTS, FileSettings, align_file
    from xrealign.align.pairs import check_input, find_form, read_rows, write_words
    from xrealign.align.reading import find_reading
    from xrealign.errors import ConfigError, did_you_mean
    from xrealign.model.resolve import check_encoder
    from xrealign.progress import say
    from xrealign.requirements import check_extra

    choose.check_aligner(aligner)
    if form not in OUTPUTS:
        raise ConfigError(f"--format {form} is unknown; expected {', '.join(OUTPUTS)}{did_you_mean(form, OUTPUTS)}")
    if len(inputs) > 2:
        raise ConfigError(f"{len(inputs)} input files; expected one, or two of which line N translates line N")
    _check_output(out, inputs)
    if words_out:
        _check_output(words_out, [*inputs, out], "--words-out")
    for wanted, extra, option in ((romanised, "romanise", "--romanised"), (lemma, "lemmas", "--lemma")):
        if wanted:
            check_extra(extra, option)
    if aligner in choose.EMBEDDING:
        check_encoder(encoder, revision)  # what is not to be had is told before torch loads
    found = find_form(inputs, input_form)
    reading = find_reading(inputs, found, words, src_language, tgt_language)
    files = FileSettings(form, scores, base, min_score, one_to_one, drop_identical)
    checked = check_input(inputs, found, lenient, reading)

    def pairs() -> Iterator[tuple[list[str], list[str]]]:
        return ((row.src, row.tgt) for row in read_rows(inputs, found, reading=reading) if not row.fault)

    # Of the words, not only of the bytes: they depend on how the text is read.
    text = hashlib.sha256(json.dumps([checked.digest, found, reading.key()]).encode()).hexdigest()
    if aligner in choose.STATISTICAL:
        recipe = choose.statistical_aligner(aligner, model, pairs, text, symmetrization, threshold, seed)
    elif aligner == "external":
        recipe = choose.external_aligner(program or [], pairs, text, symmetrization)
    elif aligner == "dictionary":
        options = choose.DictionaryOptions(dictionary, lemma, prefix, reverse, lenient)
        recipe = choose.dictionary_aligner(options, reading.src, reading.tgt)
    elif aligner == "supervised":
        recipe = choose.supervised_aligner(model, threshold, max_length, subwords_per_batch, _device(device))
    else:
        from xrealign.align.embedding import embedding_recipe
        from xrealign.align.extract import AlignSettings

        settings = AlignSettings(
            aligner, layer, level, pooling, centre, distortion, threshold, temperature, rounds, discount, epsilon, mass,
            penalty, max_length, subwords_per_batch, precision, romanised,
        )  # fmt: skip
        recipe = embedding_recipe(encoder, settings, _device(device), revision)
    totals = align_file(inputs, found, checked, out, recipe, files, reading)
    if words_out:
        write_words(inputs, found, words_out, reading)
    say(f"{out}: {totals.links} links in {totals.pairs} sentence pairs")
    for reason, count in sorted(totals.skipped.items()):
        say(f"  {count} lines skipped: {reason}")
    for reason, count in sorted(totals.dropped.items()):
        say(f"  {count} links dropped: {reason}")
    if totals.cut_words:
        say(f"  {totals.cut_words} words beyond the longest sentence ({max_length} subwords) got no link")


def _check_output(out: Path, inputs: list[Path], option: str = "-o") -> None:
    """Raises: ConfigError: nothing can be written there, or it would overwrite another file of the command."""
    from xrealign.errors import ConfigError
    from xrealign.refusals import is_special
    from xrealign.textio import COMPRESSED, is_there

    if out.is_dir() or not out.parent.is_dir():
        raise ConfigError(f"{option} {out}: {'it is a folder' if out.is_dir() else f'there is no folder {out.parent}'}")
    if out.suffix in COMPRESSED:
        raise ConfigError(f"{option} {out}: output is plain text; leave out {out.suffix}")
    if not is_special(out) and any(
        os.path.realpath(out) == os.path.realpath(path) or (is_there(out) and is_there(path) and out.samefile(path))
        for path in inputs
    ):
        raise ConfigError(f"{option} {out}: that is {'the input' if option == '-o' else 'the input, or the output'}")


def _device(name: str) -> str:
    import torch

    from xrealign.errors import ConfigError

    if name not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"--device {name} is unknown; expected auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("--device cuda: no CUDA device here; use cpu")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"
