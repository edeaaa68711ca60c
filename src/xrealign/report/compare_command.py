"""``xrealign compare``: runs, sweeps and files of scores beside each other."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from xrealign.errors import ConfigError, did_you_mean

FORMATS = ("md", "csv", "latex", "json", "html")

Metrics = Annotated[
    list[str] | None,
    typer.Option("--metric", metavar="TASK=METRIC", help="A task's metric, else its main one (F1, accuracy …)."),
]
Seen = Annotated[
    str, typer.Option(help="What the model saw in pre-training (`xlm-r`, `mbert`, codes): groups seen and unseen.")
]
Subset = Annotated[str, typer.Option(help="Languages realigned on, separated by commas: groups in and out of it.")]
Output = Annotated[Path | None, typer.Option("-o", "--output", help="Write here, else to standard output.")]


def compare_command(
    run: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="A run or a sweep (name or folder), or a scores.parquet or .csv; one or more.",
        ),
    ],
    form: Annotated[str, typer.Option("--format", help="md, csv, latex, json or html.")] = "md",
    baseline: Annotated[str, typer.Option(help="The method that others are compared with.")] = "baseline",
    metric: Metrics = None,
    source: Annotated[str, typer.Option(help="Source language, left out of averages. [the runs', else eng]")] = "",
    seen: Seen = "",
    subset: Subset = "",
    runs: Annotated[Path, typer.Option(help="Where runs are looked for by name.")] = Path("runs"),
    output: Output = None,
) -> None:
    """Compares runs: differences with intervals, paired tests, corrections, and what could have been found.

    Runs that differ only in their seed are averaged. A gain is claimed only beyond the baseline and both controls.
    """
    from xrealign.report.comparison import compare_scores
    from xrealign.report.comparison_tables import write_comparison
    from xrealign.report.run_scores import join_score_sets, read_score_sets

    check_format(form, FORMATS)
    joined = join_score_sets([one for text in run for one in read_score_sets(text, runs)], baseline)
    comparison = compare_scores(
        joined.scores,
        baseline=baseline,
        metrics=pairs_of(metric or (), "--metric"),
        groups={
            **{name: tags for name, tags in joined.groups.items() if not (source and name == "source")},
            **groups_of((score.language for score in joined.scores), seen, subset),
        },
        source=source_tag(source) or joined.source,
        items=joined.items,
        context=next((context for context in joined.contexts if context.get("resources")), None),
    )
    if form == "html":
        from xrealign.report.context import ReportContext
        from xrealign.report.measures import measure_summaries
        from xrealign.report.page_compare import comparison_page

        known = joined.contexts[0] if joined.contexts else ReportContext(source=joined.source)
        measures = {
            model: measure_summaries([s for s in joined.scores if s.model == model], joined.groups, known)
            for model in dict.fromkeys(score.model for score in joined.scores)
        }
        emit(comparison_page(comparison, joined.contexts, measures), output)
    else:
        emit(write_comparison(comparison, form), output)


def check_format(form: str, known: Sequence[str]) -> None:
    """Passes when there is such a format.

    Raises:
        ConfigError: there is none.
    """
    if form not in known:
        raise ConfigError(f"--format {form}: there is no such format{did_you_mean(form, known)}; {', '.join(known)}")


def pairs_of(items: Sequence[str], option: str) -> dict[str, str]:
    """``{"udpos": "accuracy"}`` of ``["udpos=accuracy"]``.

    Raises:
        ConfigError: an item without both sides, or one name twice.
    """
    found: dict[str, str] = {}
    for item in items:
        name, _, value = (part.strip() for part in item.partition("="))
        if not (name and value):
            raise ConfigError(f"{option} {item}: expected NAME=VALUE")
        if name in found:
            raise ConfigError(f"{option} {item}: {name} is there twice")
        found[name] = value
    return found


def groups_of(tags: Iterable[str], seen: str, subset: str) -> dict[str, list[str]]:
    """The groups in and out of a subset, seen and unseen in pre-training, of the languages of ``tags``.

    Raises:
        LanguageError: an unknown language, or no such list of languages seen.
        ConfigError: a language of the subset that has no scores.
    """
    from xrealign.language import parse_languages
    from xrealign.pretraining import LISTS, seen_isos

    every = list(dict.fromkeys(tags))
    found: dict[str, list[str]] = {}
    if subset:
        wanted = [language.tag for language in parse_languages(subset.split(","))]
        for tag in wanted:
            if tag not in every:
                raise ConfigError(f"--subset {subset}: there are no scores in {tag}{did_you_mean(tag, every)}")
        found["in the subset"] = wanted
        found["not in the subset"] = [tag for tag in every if tag not in wanted]
    if seen:
        isos = seen_isos(seen if seen in LISTS or "," not in seen else seen.split(",")) or frozenset()
        found["seen in pre-training"] = [tag for tag in every if tag.partition("_")[0] in isos]
        found["unseen in pre-training"] = [tag for tag in every if tag.partition("_")[0] not in isos]
    return found


def source_tag(text: str) -> str:
    """The tag of a language as a user writes it; empty for empty.

    Raises:
        LanguageError: nobody knows it.
    """
    from xrealign.language import parse_language

    return parse_language(text).tag if text else ""


def emit(text: str, output: Path | None) -> None:
    """Writes ``text`` to a file, else to standard output."""
    from xrealign.progress import say
    from xrealign.writing import write_atomic

    if output is None:
        sys.stdout.write(text)
    else:
        write_atomic(output, text)
        say(f"written to {output}")
