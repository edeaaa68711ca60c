"""``xrealign align``: word links for sentence pairs, and their score against a gold standard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from xrealign.align.score import LinkScores

app = typer.Typer(no_args_is_help=True, help="Links the words of sentence pairs, and scores links.")
SCORE_FORMATS = ("table", "json", "markdown", "csv", "latex")


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
) -> None:
    """Precision, recall, F1 and alignment error rate (Och & Ney 2003), with 95 % bootstrap intervals over pairs.

    Precision counts links that are sure or possible, recall sure ones. Example:

    `xrealign align score --gold eng-fra.tsv --links eng-fra.pharaoh --format json`
    """
    from xrealign.align.score import score_files
    from xrealign.errors import ConfigError, did_you_mean

    if form not in SCORE_FORMATS:
        raise ConfigError(
            f"--format {form} is unknown; expected {', '.join(SCORE_FORMATS)}{did_you_mean(form, SCORE_FORMATS)}"
        )
    print(show_scores(score_files(gold, links, gold_base, links_base, resamples, seed), form))


def show_scores(scores: LinkScores, form: str) -> str:
    """The scores as text in one of `SCORE_FORMATS`; JSON and CSV unrounded, undefined values null or empty."""
    from xrealign.align.score import METRICS

    record = scores.as_record()
    if form == "json":
        return json.dumps(record, indent=1, allow_nan=False)
    cells = [(name, *(record[name][part] for part in ("value", "low", "high"))) for name in METRICS]
    if form == "csv":
        rows = [[name, *("" if v is None else repr(v) for v in values)] for name, *values in cells]
        return "\n".join(",".join(row) for row in [["measure", "value", "low", "high"], *rows])
    shown = [[name.upper() if name == "aer" else name, *("–" if v is None else f"{v:.4f}" for v in values)]
             for name, *values in cells]  # fmt: skip
    note = f"{scores.pairs} pairs, {scores.links} links; gold: {scores.sure} sure of {scores.possible} links"
    if form == "markdown":
        head = ["| measure | value | low | high |", "|---|---:|---:|---:|"]
        return "\n".join([*head, *(f"| {' | '.join(row)} |" for row in shown), "", note])
    if form == "latex":
        body = [f"{' & '.join(row)} \\\\" for row in shown]
        head = [r"\begin{tabular}{lrrr}", r"\toprule", r"measure & value & low & high \\", r"\midrule"]
        return "\n".join([f"% {note}", *head, *body, r"\bottomrule", r"\end{tabular}"])
    lines = [f"{'measure':<10} {'value':>7} {'low':>7} {'high':>7}"]
    lines += [f"{name:<10} {value:>7} {low:>7} {high:>7}" for name, value, low, high in shown]
    return "\n".join([*lines, note])
