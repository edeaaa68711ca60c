"""``xrealign evaluate``: a fine-tuned model's scores on test files of any languages."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xrealign.errors import ConfigError, DataError, LanguageError, did_you_mean
from xrealign.language import Language, parse_language
from xrealign.textio import write_atomic

if TYPE_CHECKING:
    from xrealign.tasks.task import Kind, Split

KINDS = ("class", "pair", "pos", "ner", "slots", "qa")
RETRIEVAL = "retrieval"


class Format(StrEnum):
    """How results are printed."""

    table = "table"
    json = "json"
    csv = "csv"
    md = "md"


@dataclass(frozen=True)
class Result:
    """One language's scores, as they are printed and saved.

    Attributes:
        language: tag.
        file: the test file, or the built-in task.
        n: examples.
        metric: the one the task is judged by.
        value: its value, a share; ``low`` and ``high`` are its 95 % bootstrap interval over examples.
        majority: the same metric of always giving the most frequent label of this test set; None for retrieval.
        below_majority: the model is worse than that: it has learned nothing of the language, or labels do not agree.
        metrics: all metrics.
        cut: how many words, texts … were lost to the model's length, by reason.
    """

    language: str
    file: str
    n: int
    metric: str
    value: float
    low: float
    high: float
    majority: float | None
    below_majority: bool
    metrics: Mapping[str, float]
    cut: Mapping[str, int] = field(default_factory=dict)


def evaluate_command(
    model: Annotated[
        str, typer.Option("--model", help="A fine-tuned model's folder, such as runs/NAME/models/realigned.")
    ],
    task: Annotated[
        str,
        typer.Option(
            "--task", help="Kind of the files: class, pair, pos, ner, slots, qa, retrieval; or a built-in task."
        ),
    ],
    data: Annotated[
        list[str] | None,
        typer.Option("--data", help="Test files, LANGUAGE=FILE or a file with its language in its name; several."),
    ] = None,
    more: Annotated[list[str] | None, typer.Argument(help="More test files.", metavar="[FILE]...")] = None,
    format_: Annotated[Format, typer.Option("--format", help="table, json, csv or md.")] = Format.table,
    file_format: Annotated[str | None, typer.Option(help="Form of the files; else by ending and content.")] = None,
    column: Annotated[list[str] | None, typer.Option("--column", help="FIELD=COLUMN, such as text=sentence.")] = None,
    label_name: Annotated[
        list[str] | None, typer.Option("--label", help="FILE'S=MODEL'S label, such as 0=entailment.")
    ] = None,
    merge: Annotated[list[str] | None, typer.Option("--merge", help="Labels to take together: AUX=VERB.")] = None,
    source: Annotated[str, typer.Option(help="Language of the labels the model was trained on.")] = "eng",
    max_length: Annotated[int, typer.Option(min=8, help="Longest text or window, in subwords.")] = 96,
    size: Annotated[int | None, typer.Option(min=1, help="Examples of a language at most.")] = None,
    predictions: Annotated[
        Path | None, typer.Option("-o", "--predictions", help="Also write each item's prediction here (.jsonl).")
    ] = None,
) -> None:
    """Scores a fine-tuned model on labelled files of any languages.

    Every number comes with its interval, and with the score of always giving the most frequent label. Labels are
    matched by name; one that the model has never seen is an error that says where it is.

    `xrealign evaluate --model runs/demo/models/realigned --task pos --data swh=swh.conllu yor=yor.conllu`
    """
    files = [*(data or []), *(more or [])]
    pairs = {
        "column": _pairs(column, "--column"),
        "label": _pairs(label_name, "--label"),
        "merge": _pairs(merge, "--merge"),
    }
    if task == RETRIEVAL:
        results, items = _retrieval(model, _languages(files), parse_language(source), max_length)
    else:
        results, items = _evaluate(model, task, files, file_format, pairs, parse_language(source), max_length, size)
    if predictions is not None:
        write_atomic(predictions, "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items))
    print(show(results, model, task, format_), end="")


def _pairs(given: Sequence[str] | None, option: str) -> dict[str, str]:
    found = {}
    for item in given or ():
        left, mark, right = item.partition("=")
        if not (left and mark and right):
            raise ConfigError(f"{option} {item}: expected LEFT=RIGHT")
        found[left] = right
    return found


def _languages(files: Sequence[str]) -> dict[Language, Path]:
    """By language, told before ``=`` or by the file's name.

    Raises:
        ConfigError: a file's language cannot be told, or two files have the same one.
    """
    if not files:
        raise ConfigError("--data: name at least one test file, such as --data swh=tests/swahili.conllu")
    found: dict[Language, Path] = {}
    for item in files:
        name, mark, rest = item.partition("=")
        path = Path(rest) if mark and not Path(item).exists() else Path(item)
        language = _language_of(name if path != Path(item) else "", path)
        if not path.is_file():
            raise DataError("there is no such file", path)
        if language in found:
            raise ConfigError(f"--data: {found[language]} and {path} are both {language.tag}; name them LANGUAGE=FILE")
        found[language] = path
    return found


def _language_of(name: str, path: Path) -> Language:
    if name:
        return parse_language(name)
    for part in (path.name.split(".")[0], *path.name.replace("-", ".").replace("_", ".").split(".")):
        try:
            return parse_language(part)
        except LanguageError:
            continue
    raise ConfigError(f"--data {path}: its name does not tell its language; write LANGUAGE={path}")


def _evaluate(
    model: str,
    task: str,
    files: Sequence[str],
    file_format: str | None,
    pairs: Mapping[str, Mapping[str, str]],
    source: Language,
    max_length: int,
    size: int | None,
) -> tuple[list[Result], list[dict[str, Any]]]:
    from xrealign.evaluating import gold_text, majority_score, predict_language, prediction_text
    from xrealign.model.encoder import load_encoder
    from xrealign.tasks.metrics import MAIN_METRIC, bootstrap, scores
    from xrealign.tasks.statistics import task_statistics
    from xrealign.train.heads import load_head

    folder = Path(model)
    head, kind, labels, tags = load_head(folder)
    tests, places = _tests(task, kind, labels, tags, files, file_format, pairs, source, size)
    encoder = load_encoder(str(folder))
    results, items = [], []
    for language, gold in sorted(tests.items()):
        if not gold:
            continue
        found = predict_language(encoder, head, kind, gold, labels, tags, {"max_length": max_length}, {"": None})
        predicted = found.predictions[""]
        statistics = task_statistics(kind, gold, predicted, labels, tags)
        interval = bootstrap(statistics, MAIN_METRIC[kind])
        lowest = majority_score(kind, gold, labels, tags)
        results.append(
            Result(
                language.tag,
                places[language],
                len(gold),
                MAIN_METRIC[kind],
                interval.value,
                interval.low,
                interval.high,
                lowest,
                interval.value < lowest,
                scores(kind, statistics),
                found.cut,
            )
        )
        items += [
            {"language": language.tag, "item": e.group, "gold": gold_text(kind, e), "predicted": prediction_text(p)}
            for e, p in zip(gold, predicted, strict=True)
        ]
    return results, items


def _tests(
    task: str,
    kind: Kind,
    labels: Sequence[str],
    tags: Sequence[str],
    files: Sequence[str],
    file_format: str | None,
    pairs: Mapping[str, Mapping[str, str]],
    source: Language,
    size: int | None,
) -> tuple[dict[Language, Split], dict[Language, str]]:
    from xrealign.tasks.builtin import BUILTIN, load_builtin
    from xrealign.tasks.load import read_tests
    from xrealign.tasks.spec import TaskSpec

    if task in BUILTIN and not files:
        built = load_builtin(task, source, None, None, None, size, 0)
        if built.kind != kind:
            raise ConfigError(f"--task {task} is of kind {built.kind}, but the model was trained for kind {kind}")
        return dict(built.tests), dict.fromkeys(built.tests, task)
    if task not in KINDS:
        known = [*KINDS, RETRIEVAL, *BUILTIN]
        raise ConfigError(f"--task {task} is unknown; expected one of {', '.join(known)}{did_you_mean(task, known)}")
    if task != kind:
        raise ConfigError(f"--task {task}: the model was trained for kind {kind}")
    named = _languages(files)
    spec = TaskSpec(
        name="evaluate",
        kind=kind,
        source=source,
        train=next(iter(named.values())),
        tests=named,
        format=file_format,
        columns=pairs["column"],
        labels=pairs["label"],
        merge=pairs["merge"],
        test_size=size,
    )
    return read_tests(spec, labels, tags), {language: str(path) for language, path in named.items()}


def _retrieval(
    model: str, files: Mapping[Language, Path], source: Language, max_length: int
) -> tuple[list[Result], list[dict[str, Any]]]:
    """Retrieval of translations, source language ↔ each file's, by mean-pooled vectors of the last layer.

    Every sentence of either side is a query among all of the other side; accuracy, MRR and mAP are over both.
    """
    from xrealign.corpus.readers import read_bar, read_tsv
    from xrealign.measure.retrieval import retrieval_ranks
    from xrealign.model.encoder import load_encoder
    from xrealign.model.vectors import sentence_vectors
    from xrealign.tasks.metrics import METRICS, bootstrap, score
    from xrealign.tasks.statistics import retrieval_statistics

    read = {language: (read_bar if ".txt" in path.suffixes[-2:] else read_tsv) for language, path in files.items()}
    bitexts = {language: read[language](path, source, language) for language, path in files.items()}
    encoder = load_encoder(model)
    results, items = [], []
    for language, bitext in sorted(bitexts.items()):
        src, tgt = (
            sentence_vectors(encoder, texts, encoder.layers, max_length, what=f"{language.tag}")
            for texts in ([pair.src for pair in bitext], [pair.tgt for pair in bitext])
        )
        forward, backward = retrieval_ranks(src, tgt).tolist(), retrieval_ranks(tgt, src).tolist()
        statistics = retrieval_statistics([[rank] for rank in (*forward, *backward)])
        interval = bootstrap(statistics, "accuracy")
        values = {name: score(statistics, name) for name in ("accuracy", "mrr", "map") if name in METRICS}
        file = str(files[language])
        results.append(
            Result(
                language.tag,
                file,
                len(bitext),
                "accuracy",
                interval.value,
                interval.low,
                interval.high,
                None,
                False,
                values,
            )
        )
        items += [
            {"language": language.tag, "item": pair.id, "rank": ahead, "rank_back": back}
            for pair, ahead, back in zip(bitext, forward, backward, strict=True)
        ]
    return results, items


def show(results: Sequence[Result], model: str, task: str, format_: Format) -> str:
    """The results as text: a table for people, Markdown and CSV with the same columns, or JSON with everything."""
    if not results:
        raise DataError("no test file has any example")
    metric = results[0].metric
    mean = sum(one.value for one in results) / len(results)
    if format_ == Format.json:
        content = {
            "model": model,
            "task": task,
            "metric": metric,
            "mean": mean,
            "results": [asdict(one) for one in results],
        }
        return json.dumps(content, ensure_ascii=False, indent=1) + "\n"
    rows = [_cells(one) for one in results]
    header = ["language", "examples", metric, "95 % interval", "most frequent", "file"]
    if format_ == Format.csv:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        names = list(dict.fromkeys(name for one in results for name in one.metrics))
        writer.writerow(["language", "n", *names, "low", "high", "majority", "below_majority", "file"])
        for one in results:
            values = [one.metrics.get(name, "") for name in names]
            lowest = "" if one.majority is None else one.majority
            writer.writerow([one.language, one.n, *values, one.low, one.high, lowest, one.below_majority, one.file])
        return out.getvalue()
    if format_ == Format.md:
        lines = [header, ["---"] + ["---:"] * 4 + ["---"], *rows]
        return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)
    widths = [max(len(line[i]) for line in [header, *rows]) for i in range(len(header))]
    text = "".join(
        "  ".join(
            cell.ljust(width) if i in (0, 5) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        + "\n"
        for line in [header, *rows]
    )
    low = [one.language for one in results if one.below_majority]
    text += f"\nmean over {len(results)} languages: {mean:.1%}\n"
    if low:
        text += f"! worse than always giving the most frequent label: {', '.join(low)}; do the labels mean the same?\n"
    cut = {reason: sum(one.cut.get(reason, 0) for one in results) for one in results for reason in one.cut}
    return text + "".join(f"! {count:,} {reason}\n" for reason, count in cut.items() if count)


def _cells(one: Result) -> list[str]:
    lowest = "–" if one.majority is None else f"{one.majority:.1%}"
    mark = " !" if one.below_majority else ""
    return [one.language, f"{one.n:,}", f"{one.value:.1%}{mark}", f"{one.low:.1%} … {one.high:.1%}", lowest, one.file]
