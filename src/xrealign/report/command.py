"""``xrealign report``: published results read, tables, statistics, and what gain to expect."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xrealign.report.compare_command import (
    Metrics,
    Output,
    Seen,
    Subset,
    check_format,
    emit,
    groups_of,
    pairs_of,
    source_tag,
)
from xrealign.report.predict_command import predict_command

app = typer.Typer(no_args_is_help=True, help="Tables and statistics of scores; `xrealign compare` compares runs.")
ScoresFile = Annotated[Path, typer.Argument(metavar="SCORES", help="A scores.parquet or .csv.")]

app.command("predict", no_args_is_help=True)(predict_command)


@app.command("import-published", no_args_is_help=True)
def import_command(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="CSV files, a row for each run and a column eval_LANGUAGE_METRIC for each language."
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Scores to write, .parquet or .csv.")],
    method_column: Annotated[
        list[str] | None,
        typer.Option("--method-column", help="Column that names the method; several are joined. [method]"),
    ] = None,
    prefix: Annotated[str, typer.Option(help="Which of eval_ and final_eval_ counts where both are there.")] = "eval",
    source: Annotated[str, typer.Option(help="The language behind eval_same_METRIC.")] = "eng",
) -> None:
    """Makes tidy scores of the wide result files that authors publish.

    Models, tasks, methods, languages, metrics and seeds are read from the columns, and from file names such as
    MODEL__DATA__TASK.csv where a column is missing.
    """
    from xrealign.progress import say
    from xrealign.report.format import counted
    from xrealign.report.published_results import import_published
    from xrealign.report.scores import write_scores

    found = import_published(
        folder, method_columns=method_column or ["method"], source=source_tag(source), prefix=prefix.rstrip("_")
    )
    write_scores(found.scores, output)
    for reason, count in found.dropped.items():
        say(f"dropped {count}: {reason}")
    for note in found.notes:
        say(f"note: {note}")
    sizes = [
        counted(len({getattr(score, name) for score in found.scores}), name)
        for name in ("model", "task", "method", "language", "seed")
    ]
    print(f"{counted(len(found.scores), 'score')} ({', '.join(sizes)}) written to {output}")


@app.command("table", no_args_is_help=True)
def table_command(
    scores: ScoresFile,
    rows: Annotated[str, typer.Option(help="Dimensions of the rows, separated by commas.")] = "method",
    cols: Annotated[
        str, typer.Option(help="Dimensions of the columns: run, model, task, method, language, metric, seed.")
    ] = "model,task",
    form: Annotated[str, typer.Option("--format", help="csv, md, latex or json.")] = "md",
    metric: Metrics = None,
    counts: Annotated[
        bool, typer.Option("--counts", help="How many languages are better and worse than the baseline, by one std.")
    ] = False,
    std: Annotated[bool, typer.Option("--std", help="± the standard deviation over seeds.")] = False,
    baseline: Annotated[str, typer.Option(help="The method that languages are counted against.")] = "baseline",
    source: Annotated[str, typer.Option(help="Source language, left out of averages; `none` keeps all.")] = "eng",
    decimals: Annotated[
        list[str] | None,
        typer.Option(metavar="TASK=N", help="Decimals of a task's percentages. [2; 1 for question answering]"),
    ] = None,
    output: Output = None,
) -> None:
    """A table of scores: percent, mean over target languages, then over seeds."""
    from xrealign.errors import ConfigError
    from xrealign.report.pivot import pivot
    from xrealign.report.pivot_formats import FORMATS, write_pivot
    from xrealign.report.scores import read_scores

    check_format(form, FORMATS)
    places = pairs_of(decimals or (), "--decimals")
    wrong = [f"{task}={value}" for task, value in places.items() if value not in map(str, range(13))]
    if wrong:
        raise ConfigError(f"--decimals {wrong[0][:60]}: expected TASK=N with N from 0 to 12")
    found = read_scores(scores)
    if counts and baseline not in {score.method for score in found}:
        from xrealign.errors import did_you_mean

        known = list(dict.fromkeys(score.method for score in found))
        raise ConfigError(f"--baseline {baseline}: no scores of it{did_you_mean(baseline, known)}; {', '.join(known)}")
    table = pivot(
        found,
        [name.strip() for name in rows.split(",") if name.strip()],
        [name.strip() for name in cols.split(",") if name.strip()],
        metrics=pairs_of(metric or (), "--metric"),
        source=None if source == "none" else source_tag(source),
        baseline=baseline,
        decimals={task: int(value) for task, value in places.items()},
    )
    emit(write_pivot(table, form, spread=std, baseline=baseline if counts else None), output)


@app.command("stats", no_args_is_help=True)
def stats_command(
    scores: ScoresFile,
    form: Annotated[str, typer.Option("--format", help="md, csv, latex or json.")] = "md",
    metric: Metrics = None,
    baseline: Annotated[str, typer.Option(help="The method that others are compared with.")] = "baseline",
    method: Annotated[
        list[str] | None, typer.Option("--method", help="Only these methods beside the baseline.")
    ] = None,
    task: Annotated[list[str] | None, typer.Option("--task", help="Only these tasks.")] = None,
    model: Annotated[list[str] | None, typer.Option("--model", help="Only these models.")] = None,
    source: Annotated[str, typer.Option(help="Source language, left out of averages.")] = "eng",
    seen: Seen = "",
    subset: Subset = "",
    output: Output = None,
) -> None:
    """Every method against the baseline: intervals, paired tests, corrections, counts, detectable effects."""
    from xrealign.report.comparison import compare_scores
    from xrealign.report.comparison_tables import FORMATS, write_comparison
    from xrealign.report.filters import chosen_scores
    from xrealign.report.scores import read_scores

    check_format(form, FORMATS)
    found = chosen_scores(
        read_scores(scores), {"method": [*method, baseline] if method else [], "task": task or [], "model": model or []}
    )
    comparison = compare_scores(
        found,
        baseline=baseline,
        metrics=pairs_of(metric or (), "--metric"),
        groups=groups_of((score.language for score in found), seen, subset),
        source=source_tag(source),
    )
    emit(write_comparison(comparison, form), output)
