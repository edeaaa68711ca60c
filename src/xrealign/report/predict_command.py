"""``xrealign report predict``: the gain to expect for a language, from the gains of others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xrealign.escape import json_text
from xrealign.report.compare_command import Metrics, Output, check_format, emit, pairs_of

if TYPE_CHECKING:
    from xrealign.language import Language
    from xrealign.report.gains import Features, Gains
    from xrealign.report.regression import ForestFit, LinearFit

FORMATS = ("md", "csv", "latex", "json")


def predict_command(
    scores: Annotated[Path, typer.Argument(metavar="SCORES", help="A scores.parquet or .csv.")],
    language: Annotated[str, typer.Option("--language", "-l", help="Languages to predict, separated by commas.")] = "",
    method: Annotated[str, typer.Option(help="Whose gain over the baseline.")] = "realigned",
    baseline: Annotated[str, typer.Option(help="What it is a gain over.")] = "baseline",
    task: Annotated[str, typer.Option(help="The task, where there are several.")] = "",
    model: Annotated[str, typer.Option(help="The model, where there are several.")] = "",
    metric: Metrics = None,
    features: Annotated[
        str,
        typer.Option(
            help="What gains are explained by, separated by commas: distances to the source language (those of "
            "`xrealign select`), columns of --table, `log:COLUMN`, `seen:xlm-r`."
        ),
    ] = "uriel-featural,genetic,geographic",
    table: Annotated[
        Path | None,
        typer.Option(help="Numbers of languages: a table whose first column is the language (data size, fertility …)."),
    ] = None,
    forest: Annotated[bool, typer.Option("--forest", help="A random forest too (extra: forest).")] = False,
    source: Annotated[str, typer.Option(help="The source language.")] = "eng",
    form: Annotated[str, typer.Option("--format", help="md, csv, latex or json.")] = "md",
    seed: Annotated[int, typer.Option(min=0, help="Of the forest.")] = 0,
    output: Output = None,
) -> None:
    """The gain to expect for a language: a regression of the gains of others, with intervals.

    Says how far predictions of languages left out are off, beside those of the plain mean. A language that has a score
    is predicted from the others.
    """
    from xrealign.requirements import check_extra

    if forest:
        check_extra("forest", "--forest")
    from xrealign.language import parse_language, parse_languages
    from xrealign.report.filters import chosen_scores
    from xrealign.report.gains import features_of, gains, read_feature_table
    from xrealign.report.scores import read_scores

    check_format(form, FORMATS)
    home = parse_language(source)
    wanted = parse_languages(text for text in (part.strip() for part in language.split(",")) if text)
    found = chosen_scores(read_scores(scores), {"task": [task] if task else [], "model": [model] if model else []})
    gained = gains(found, method, baseline=baseline, source=home, metrics=pairs_of(metric or (), "--metric"))
    names = [name.strip() for name in features.split(",") if name.strip()]
    known = read_feature_table(table) if table else {}
    every = features_of([*dict.fromkeys([*gained.by_language, *wanted])], names, source=home, table=known)
    emit(write_predictions(gained, every, wanted, form, forest, seed), output)


def write_predictions(
    gained: Gains, features: Features, wanted: list[Language], form: str, with_forest: bool, seed: int
) -> str:
    """Fits and predictions as text in one of ``FORMATS``.

    Raises:
        DataError: too few languages for the features, or a language asked for that lacks one.
    """
    import numpy as np

    from xrealign.errors import DataError
    from xrealign.report.regression import forest, least_squares

    for language in wanted:
        if language in features.dropped:
            raise DataError(f"{language} cannot be predicted: {features.dropped[language]}")
    place = {language: number for number, language in enumerate(features.languages)}

    def rows(languages: list[Language]) -> tuple[Any, Any]:
        own = np.array([gained.by_language[one] for one in languages])
        return features.values[[place[one] for one in languages]], own

    scored = [language for language in features.languages if language in gained.by_language]
    fit = least_squares(*rows(scored), features.names)
    grown = forest(*rows(scored), features.names, seed=seed) if with_forest else None
    predictions = []
    for language in wanted:
        others = [one for one in scored if one != language]
        own = fit if len(others) == len(scored) else least_squares(*rows(others), features.names)
        row = features.values[place[language]]
        record = _prediction(language, "linear", own.predict(row), gained)
        predictions.append(record)
        if grown is not None:
            known = language in gained.by_language
            by_trees = grown.predict_left_out(scored.index(language)) if known else grown.predict(row)
            predictions.append(_prediction(language, "forest", by_trees, gained))
    dropped = {str(language): why for language, why in features.dropped.items()} | gained.dropped
    if form == "json":
        return _json(gained, fit, grown, predictions, dropped)
    return _text(gained, fit, grown, predictions, dropped, form)


def _prediction(language: Language, kind: str, found: Any, gained: Gains) -> dict[str, Any]:
    return {
        "language": language.tag,
        "name": language.name,
        "model": kind,
        "gain": found.value,
        "low": found.low,
        "high": found.high,
        "extrapolates": found.extrapolates,
        "observed": gained.by_language.get(language),
    }


def _errors(fit: LinearFit, grown: ForestFit | None) -> dict[str, tuple[float, float]]:
    """Leave-one-language-out errors of each way to predict: mean absolute, root mean squared."""
    found = {"linear": (fit.left_out.absolute, fit.left_out.squared)}
    return found | ({"forest": (grown.left_out.absolute, grown.left_out.squared)} if grown else {})


def _json(
    gained: Gains,
    fit: LinearFit,
    grown: ForestFit | None,
    predictions: list[dict[str, Any]],
    dropped: Mapping[str, str],
) -> str:
    whole = {
        "model": gained.model,
        "task": gained.task,
        "metric": gained.metric,
        "method": gained.method,
        "languages": fit.n,
        "seeds": gained.seeds,
        "predictions": predictions,
        "linear": {
            "coefficients": [
                {"name": c.name, "value": c.value, "error": c.error, "p": c.p, "low": c.low, "high": c.high}
                for c in fit.coefficients
            ],
            "r2": fit.r2,
            "adjusted_r2": fit.adjusted_r2,
            "sigma": fit.sigma,
        },
        "importance": {name: {"mean": m, "std": s} for name, (m, s) in (grown.importance if grown else {}).items()},
        "left_out": {
            **{kind: {"absolute": one, "squared": two} for kind, (one, two) in _errors(fit, grown).items()},
            "mean": {"squared": fit.left_out.by_mean},
        },
        "dropped": dropped,
    }
    return json_text(whole) + "\n"


def _text(
    gained: Gains,
    fit: LinearFit,
    grown: ForestFit | None,
    predictions: list[dict[str, Any]],
    dropped: Mapping[str, str],
    form: str,
) -> str:
    from xrealign.report.comparison_tables import p_text
    from xrealign.report.format import MISSING, counted, interval, points
    from xrealign.report.text_table import TextTable, write_tables

    where = ", ".join(part for part in (gained.model, gained.task, gained.metric) if part)
    tables = []
    if predictions:
        rows = [
            (
                one["name"] or one["language"],
                one["language"],
                one["model"],
                points(one["gain"]),
                interval(one["low"], one["high"]),
                points(one["observed"]),
                "beyond the languages of the fit" if one["extrapolates"] else "",
            )
            for one in predictions
        ]
        header = ("language", "tag", "by", "expected gain", "95 %", "observed", "caution")
        tables.append(TextTable(f"{where}: gain of {gained.method} to expect, in points", header, tuple(rows), 3))
    errors = [(kind, f"{100 * one:.2f}", f"{100 * two:.2f}") for kind, (one, two) in _errors(fit, grown).items()]
    errors.append(("mean of the others", MISSING, f"{100 * fit.left_out.by_mean:.2f}"))
    useless = fit.left_out.squared >= fit.left_out.by_mean
    note = (
        "The features say nothing that helps with a new language: the plain mean does as well."
        if useless
        else "Below the last line the features help with a language that was not seen."
    )
    tables.append(
        TextTable(
            f"Leave-one-language-out error over {counted(fit.n, 'language')}, in points",
            ("by", "mean absolute", "root mean squared"),
            tuple(errors),
            1,
            (note,),
        )
    )
    coefficients = [
        (c.name, f"{100 * c.value:+.2f}", f"{100 * c.low:+.2f} to {100 * c.high:+.2f}", p_text(c.p))
        for c in fit.coefficients
    ]
    notes = [f"R² {fit.r2:.2f}, adjusted {fit.adjusted_r2:.2f}; points of gain for each unit of a feature."]
    notes += [f"Left out, {why}: {tag}." for tag, why in dropped.items()]
    tables.append(
        TextTable("Linear regression", ("feature", "points", "95 %", "p"), tuple(coefficients), 1, tuple(notes))
    )
    if grown:
        ranked = sorted(grown.importance.items(), key=lambda item: -item[1][0])
        shown = tuple((name, f"{100 * mean:.2f} ± {100 * std:.2f}") for name, (mean, std) in ranked)
        about = "Rise of the leave-one-out error, in points, when the feature is shuffled; 0 or less: not used."
        tables.append(TextTable("Random forest: permutation importance", ("feature", "rise"), shown, 1, (about,)))
    return write_tables(tables, form)
