"""``xrealign measure correlate``: whether a measure goes with transfer."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from xrealign.errors import ConfigError, did_you_mean
from xrealign.escape import guarded, json_text

FORMATS = ("table", "json", "csv", "md")
Form = Annotated[str, typer.Option("--format", help="`table`, `json`, `csv` or `md`.")]


def correlate_command(
    measures: Annotated[Path, typer.Argument(help="Measures: what `measure -o` wrote, or a run's scores.parquet.")],
    scores: Annotated[list[Path], typer.Argument(help="Scores of tasks, tidy: .parquet or .csv.")],
    source: Annotated[str, typer.Option(help="The language whose score gaps are relative to.")] = "eng",
    join: Annotated[
        str,
        typer.Option(
            help="Columns in which a measure and a score must agree; leave `seed` out for measures made once for all "
            "seeds."
        ),
    ] = "model,method,language,seed",
    resamples: Annotated[int, typer.Option(min=100, max=100_000, help="Bootstrap resamples.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Of the resamples.")] = 0,
    form: Form = "table",
) -> None:
    """Spearman's correlation of each measure, at each layer, with the relative transfer gap of each task, (score −
    English score) / English score, with 95 % intervals that draw languages and seeds with replacement.

    `xrealign measure correlate measures.parquet runs/NAME/scores.parquet --join method,language`
    """
    from xrealign.language import parse_language
    from xrealign.measure.correlation import JOIN, correlate
    from xrealign.measure.show import TABLES, show_correlations
    from xrealign.progress import say
    from xrealign.report.scores import read_scores

    check_form(form)
    columns = [name.strip() for name in join.split(",") if name.strip()]
    unknown = [name for name in columns if name not in (*JOIN, "run")]
    if unknown or not columns:
        raise ConfigError(f"--join {join}: expected of run, {', '.join(JOIN)}")
    rows = [row for path in scores for row in read_scores(path)]
    found, alone = correlate(read_scores(measures), rows, parse_language(source).tag, columns, resamples, seed)
    for what, count in alone.items():
        if count:
            say(f"{count} {what}")
    records = [asdict(one) for one in found]
    if form == "json":
        print(json_text({"correlations": records, "left_out": alone}))
    elif form == "csv":
        import pandas as pd

        print(
            pd.DataFrame(records).astype({"layer": "Int64"}).map(guarded).to_csv(index=False, lineterminator="\n"),
            end="",
        )
    else:
        print(show_correlations(found, TABLES[form]))


def check_form(form: str) -> None:
    """Raises: ConfigError: results cannot be shown so."""
    if form not in FORMATS:
        raise ConfigError(f"--format {form} is unknown; expected {', '.join(FORMATS)}{did_you_mean(form, FORMATS)}")
