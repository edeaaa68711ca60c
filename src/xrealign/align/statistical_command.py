"""``xrealign align train``: a statistical aligner out of sentence pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train_command(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="IN [IN]",
            help="Sentence pairs, as `xrealign align` reads them: the text to be aligned itself, or more of its kind.",
        ),
    ],
    out: Annotated[Path, typer.Option("--output", "-o", help="Folder for the model.")],
    aligner: Annotated[
        str,
        typer.Option(
            help="`hmm-agreement` (the best), `hmm`, `fast-align` (favours the diagonal), `ibm1` (knows no order)."
        ),
    ] = "hmm-agreement",
    max_pairs: Annotated[
        int, typer.Option(min=1, help="Train on at most so many pairs, drawn with --seed; bounds memory and time.")
    ] = 50_000,
    iterations: Annotated[int | None, typer.Option(min=1, help="Of every stage; 5 unless told.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the sample.")] = 0,
    keep_case: Annotated[bool, typer.Option("--keep-case", help="Words are not compared in lower case.")] = False,
    input_form: Annotated[str, typer.Option("--input", help="`auto`, `tsv`, `moses`, `bar` or `tmx`.")] = "auto",
    words: Annotated[
        str, typer.Option(help="`split` at blanks already, or `segment`; `auto` segments .tmx alone.")
    ] = "auto",
    src_language: Annotated[str | None, typer.Option(help="Of the source; needed to segment.")] = None,
    tgt_language: Annotated[str | None, typer.Option(help="Of the target.")] = None,
    lenient: Annotated[
        bool,
        typer.Option(
            "--lenient", help="Skip faulty lines, counted by reason; more than 100 and more than a tenth are an error."
        ),
    ] = False,
) -> None:
    """Trains a statistical aligner: no encoder, no dictionary, only sentence pairs. The same input gives the same file.

    All lines are checked first; a faulty one ends the command before any work. Example:

    `xrealign align train more.tsv -o model` and then `xrealign align pairs.tsv -o pairs.pharaoh --model model --aligner
    hmm-agreement`
    """
    from xrealign.align.pairs import check_input, find_form, read_rows
    from xrealign.align.reading import find_reading
    from xrealign.align.statistical import check_model, train_statistical
    from xrealign.errors import ConfigError
    from xrealign.progress import say

    check_model(aligner)
    if len(inputs) > 2:
        raise ConfigError(f"{len(inputs)} input files; expected one, or two of which line N translates line N")
    if out.is_file() or not out.absolute().parent.is_dir():
        raise ConfigError(f"-o {out}: {'it is a file' if out.is_file() else f'there is no folder {out.parent}'}")
    form = find_form(inputs, input_form)
    reading = find_reading(inputs, form, words, src_language, tgt_language)
    checked = check_input(inputs, form, lenient, reading)
    pairs = ((row.src, row.tgt) for row in read_rows(inputs, form, reading=reading) if not row.fault)
    facts = train_statistical(pairs, out, aligner, seed, max_pairs, iterations, not keep_case)
    say(f"{out}: {aligner} trained on {facts['pairs_used']} of {facts['pairs_seen']} pairs in {facts['seconds']:.0f} s")
    for reason, count in sorted(checked.faults.items()):
        say(f"  {count} lines skipped: {reason}")
    for reason, count in sorted(facts["pairs_left_out"].items()):
        say(f"  {count} {reason}")
    last = {side: values[-1] for side, values in facts["perplexity"].items()}
    say(f"  perplexity {last['tgt']:.1f} of target words given the source, {last['src']:.1f} the other way")
