"""``xrealign align``: word links for sentence pairs, and their score against a gold standard."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

DEFAULT = "pairs"


class _PairsByDefault(TyperGroup):
    """``xrealign align IN`` is ``xrealign align pairs IN``: whatever does not begin with a verb's name."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args if args and args[0] in self.commands else [DEFAULT, *args])


app = typer.Typer(cls=_PairsByDefault, help="Links the words of sentence pairs; `align score` scores links.")


@app.command(DEFAULT, no_args_is_help=True)
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
            help="`argmax` (each other's most similar: few links, most of them right), `itermax` (argmax, then the "
            "words left over), `softmax` (both probabilities above --threshold), `matching` (best one-to-one), "
            "`edge-cover` (every word gets a link), `balanced-ot`, `partial-ot`, `unbalanced-ot` (transport)."
        ),
    ] = "argmax",
    encoder: Annotated[str, typer.Option(help="`starter`, a Hugging Face folder, or a name on the hub.")] = "starter",
    revision: Annotated[str | None, typer.Option(help="Of an encoder on the hub.")] = None,
    layer: Annotated[
        int, typer.Option(help="Of the encoder: 0 is its embeddings, -1 the last. 7 is the starter's best, see docs.")
    ] = 7,
    level: Annotated[str, typer.Option(help="What is compared: `word` or `subword` vectors.")] = "word",
    pooling: Annotated[str, typer.Option(help="Word vectors from subwords: `mean`, `first` or `sum`.")] = "mean",
    centre: Annotated[bool, typer.Option("--centre", help="Subtract each language's mean vector.")] = False,
    distortion: Annotated[float, typer.Option(help="Penalty for links far from the diagonal, 0 to 1.")] = 0.0,
    threshold: Annotated[
        float | None, typer.Option(help="Of softmax (0.001 unless told) and transport (0.3 unless told).")
    ] = None,
    temperature: Annotated[float, typer.Option(help="Of softmax: divides the dot products.")] = 1.0,
    rounds: Annotated[int, typer.Option(help="Of itermax.")] = 2,
    discount: Annotated[float, typer.Option(help="Of itermax: weight of words that have a link already.")] = 0.9,
    epsilon: Annotated[float, typer.Option(help="Of transport: weight of the entropy.")] = 0.05,
    mass: Annotated[float, typer.Option(help="Of partial-ot: share of the mass that moves.")] = 0.8,
    penalty: Annotated[float, typer.Option(help="Of unbalanced-ot: price of changing a mass.")] = 0.5,
    min_score: Annotated[float | None, typer.Option(help="Drop links that score less.")] = None,
    one_to_one: Annotated[bool, typer.Option("--one-to-one", help="Drop links of words with several.")] = False,
    drop_identical: Annotated[bool, typer.Option("--drop-identical", help="Drop links of identical words.")] = False,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help="`pharaoh` (`0-0 1-2`), `jsonl` (words, links, scores), or `words` (`the das` pairs, tabs between).",
        ),
    ] = "pharaoh",
    scores: Annotated[bool, typer.Option("--scores", help="Pharaoh: `0-0:0.93`.")] = False,
    base: Annotated[int, typer.Option(min=0, max=1, help="Pharaoh: number of the first word.")] = 0,
    input_form: Annotated[str, typer.Option("--input", help="`auto`, `tsv`, `moses`, `bar` or `tmx`.")] = "auto",
    words: Annotated[
        str,
        typer.Option(
            help="`split` at blanks already, or `segment`: found by the rules of the languages (ICU's dictionaries for "
            "Chinese, Japanese, Thai, Lao, Khmer, Burmese). `auto` segments .tmx alone."
        ),
    ] = "auto",
    src_language: Annotated[
        str | None,
        typer.Option(help="Of the source: lines in another script are faulty. Of .tmx the first unless told."),
    ] = None,
    tgt_language: Annotated[str | None, typer.Option(help="Of the target.")] = None,
    words_out: Annotated[
        Path | None, typer.Option(help="Also write the words that the links mean: `source TAB target`, line for line.")
    ] = None,
    lenient: Annotated[
        bool, typer.Option("--lenient", help="Skip faulty lines (empty output line), counted by reason.")
    ] = False,
    max_length: Annotated[int, typer.Option(help="Longest sentence in subwords; words beyond it get no link.")] = 512,
    subwords_per_batch: Annotated[int, typer.Option(min=1, help="Batch size.")] = 1024,
    precision: Annotated[
        str, typer.Option(help="`fp32`, or `bf16` where the hardware has it: twice as fast, a link in 300 differs.")
    ] = "fp32",
    device: Annotated[str, typer.Option(help="`auto`, `cpu` or `cuda`.")] = "auto",
) -> None:
    """Links the words of sentence pairs by an encoder's vectors. `xrealign align score` scores links.

    All lines are checked first; a faulty one ends the command before any work. A command that was stopped goes on
    where it was when it is given again, and the file comes out the same. Example:

    `xrealign align pairs.tsv -o pairs.pharaoh --aligner argmax --layer 7 --centre`
    """
    from xrealign.align.embedding import embedding_recipe
    from xrealign.align.extract import AlignSettings
    from xrealign.align.files import OUTPUTS, FileSettings, align_file
    from xrealign.align.pairs import check_input, find_form, write_words
    from xrealign.align.reading import find_reading
    from xrealign.errors import ConfigError, did_you_mean
    from xrealign.progress import say

    settings = AlignSettings(
        aligner, layer, level, pooling, centre, distortion, threshold, temperature, rounds, discount, epsilon, mass,
        penalty, max_length, subwords_per_batch, precision,
    )  # fmt: skip
    if form not in OUTPUTS:
        raise ConfigError(f"--format {form} is unknown; expected {', '.join(OUTPUTS)}{did_you_mean(form, OUTPUTS)}")
    if len(inputs) > 2:
        raise ConfigError(f"{len(inputs)} input files; expected one, or two of which line N translates line N")
    _check_output(out, inputs)
    if words_out:
        _check_output(words_out, [*inputs, out], "--words-out")
    found = find_form(inputs, input_form)
    reading = find_reading(inputs, found, words, src_language, tgt_language)
    files = FileSettings(form, scores, base, min_score, one_to_one, drop_identical)
    checked = check_input(inputs, found, lenient, reading)
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
    from xrealign.textio import COMPRESSED

    if out.is_dir() or not out.parent.is_dir():
        raise ConfigError(f"{option} {out}: {'it is a folder' if out.is_dir() else f'there is no folder {out.parent}'}")
    if out.suffix in COMPRESSED:
        raise ConfigError(f"{option} {out}: output is plain text; leave out {out.suffix}")
    if any(
        out.resolve() == path.resolve() or (out.exists() and path.exists() and out.samefile(path)) for path in inputs
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


@app.command("score")
def score_command(
    gold: Annotated[
        Path,
        typer.Option(
            help="The gold standard, one sentence pair a line: source words, target words, links (tab-separated), or "
            "links alone. `i-j` is sure, `ipj` possible."
        ),
    ],
    links: Annotated[Path, typer.Option(help="The links to score: `i-j` items, line N for line N of the gold.")],
    form: Annotated[str, typer.Option("--format", help="table, json, markdown, csv or latex.")] = "table",
    gold_base: Annotated[int, typer.Option(min=0, max=1, help="Number of the first word in the gold: 0 or 1.")] = 0,
    links_base: Annotated[int, typer.Option(min=0, max=1, help="Number of the first word in the links: 0 or 1.")] = 0,
    resamples: Annotated[int, typer.Option(min=100, max=1_000_000, help="Bootstrap resamples.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Of the resamples.")] = 0,
    per_pair: Annotated[
        bool, typer.Option("--per-pair", help="Each sentence pair too: its counts and the four measures.")
    ] = False,
    tags: Annotated[
        Path | None,
        typer.Option(
            help="Parts of speech of one side's words: CoNLL-U, or a line of tags for each sentence pair. The links of "
            "the words of each tag are scored too, with intervals."
        ),
    ] = None,
    tags_side: Annotated[
        str, typer.Option("--tags-side", help="Whose words --tags belong to: `src` or `tgt`.")
    ] = "src",
) -> None:
    """Precision, recall, F1 and alignment error rate (Och & Ney 2003), with 95 % bootstrap intervals over pairs.

    Precision counts links that are sure or possible, recall sure ones. Example:

    `xrealign align score --gold eng-fra.tsv --links eng-fra.pharaoh --format json`
    """
    from xrealign.align.score import read_both, score_links
    from xrealign.align.score_parts import read_tags, score_by_tag, score_pairs
    from xrealign.align.show import check_form, show_scores

    check_form(form, per_pair, tags is not None)
    truth, found = read_both(gold, links, gold_base, links_base)
    scores = score_links(truth, found, resamples, seed)
    pairs = score_pairs(truth, found) if per_pair else None
    by_tag = None
    if tags is not None:
        by_tag = score_by_tag(truth, found, read_tags(tags, truth, tags_side, gold), tags_side, resamples, seed)
    print(show_scores(scores, form, pairs, by_tag))
