"""``xrealign tasks``: what data files hold, and everything that is wrong with them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Labelled data: what files hold, and what is wrong with them.", no_args_is_help=True)
Pairs = list[str] | None


@app.callback()
def _tasks() -> None:
    pass


@app.command("list")
def list_command() -> None:
    """Lists the built-in tasks."""
    from xrealign.tasks.builtin import BUILTIN

    for name, load in BUILTIN.items():
        print(f"{name:<14} {(load.__doc__ or '').splitlines()[0]}")


@app.command("check")
def check_command(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Data files; .gz, .xz and .zst too.")],
    task: Annotated[str, typer.Option(help="pos, ner, pair, class, qa, slots or retrieval.")],
    column: Annotated[
        Pairs, typer.Option(metavar="FIELD=COLUMN", help="Which column holds a field: label=topic.")
    ] = None,
    label: Annotated[
        Pairs, typer.Option(metavar="FILE'S=TASK'S", help="Rename a label: 0=entailment, B_PER=B-PER.")
    ] = None,
    merge: Annotated[Pairs, typer.Option(metavar="LABEL=LABEL", help="Merge a label into another: AUX=VERB.")] = None,
    train: Annotated[
        Path | None, typer.Option(help="The training file: labels that it does not have are faults of the others.")
    ] = None,
    as_: Annotated[
        str | None, typer.Option("--as", help="conllu, conll, tsv, csv, jsonl, squad or hf; else by ending.")
    ] = None,
    separator: Annotated[
        str | None, typer.Option(help="Between the columns of a CoNLL file, if no TAB or blank.")
    ] = None,
    scheme: Annotated[str | None, typer.Option(help="IOB1, IOB2, IOE1, IOE2 or BIOES; else it is found out.")] = None,
    lenient: Annotated[
        bool,
        typer.Option("--lenient", help="Leave examples with faults out and count them: 100, or a tenth of a file."),
    ] = False,
    form: Annotated[str, typer.Option("--format", help="table, json or csv.")] = "table",
) -> None:
    """Counts examples, words, labels and spans of each file and of all, and compares the labels.

    Every fault is told on stderr with file and line; then the exit code is 2.
    """
    from xrealign.errors import ConfigError, did_you_mean, visible
    from xrealign.tasks.check import CHECKED, check_files, faults_of, parse_pairs, printed

    for what, value, known in (("--task", task, CHECKED), ("--format", form, ("table", "json", "csv"))):
        if value not in known:
            raise ConfigError(f"{what} {value!r}: expected one of {', '.join(known)}{did_you_mean(value, known)}")
    checked = check_files(
        files, task, train=train, lenient=lenient, form=as_, separator=separator, scheme=scheme,
        columns=parse_pairs("--column", column), labels=parse_pairs("--label", label),
        merge=parse_pairs("--merge", merge),
    )  # fmt: skip
    print(printed(checked, form))
    faults = faults_of(checked)
    for line in [*checked.notes, *faults]:
        print(visible(line).replace("\n", "\\n"), file=sys.stderr)
    if faults and not (lenient and checked.only_left_out):
        raise typer.Exit(2)
