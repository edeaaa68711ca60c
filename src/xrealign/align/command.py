"""``xrealign align``: word links for sentence pairs, and their score against a gold standard."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from xrealign.align.pairs_command import pairs_command
from xrealign.align.statistical_command import train_command

DEFAULT = "pairs"


class _PairsByDefault(TyperGroup):
    """``xrealign align IN`` is ``xrealign align pairs IN``: whatever does not begin with a verb's name."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args if args and args[0] in self.commands else [DEFAULT, *args])


app = typer.Typer(cls=_PairsByDefault, help="Links the words of sentence pairs; `align score` scores links.")


app.command(DEFAULT, no_args_is_help=True)(pairs_command)
app.command("train", no_args_is_help=True)(train_command)


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
