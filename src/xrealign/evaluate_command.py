"""``xrealign evaluate``: a fine-tuned model's scores on test files of any languages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xrealign.errors import ConfigError, DataError, LanguageError, did_you_mean
from xrealign.evaluate_output import Format, Result, show
from xrealign.language import Language, parse_language
from xrealign.textio import is_there
from xrealign.writing import write_atomic

if TYPE_CHECKING:
    from xrealign.tasks.task import Kind, Split
    from xrealign.train.fine_tuned import FineTuned

RETRIEVAL = "retrieval"


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
    separator: Annotated[
        str | None, typer.Option(help="Between the columns of CoNLL files, if no TAB or blank.")
    ] = None,
    column: Annotated[list[str] | None, typer.Option("--column", help="FIELD=COLUMN, such as text=sentence.")] = None,
    label_name: Annotated[
        list[str] | None, typer.Option("--label", help="FILE'S=MODEL'S label, such as 0=entailment.")
    ] = None,
    merge: Annotated[list[str] | None, typer.Option("--merge", help="Labels to take together: AUX=VERB.")] = None,
    source: Annotated[str, typer.Option(help="Language of the labels the model was trained on.")] = "eng",
    max_length: Annotated[int, typer.Option(min=8, help="Longest text or window, in subwords.")] = 96,
    size: Annotated[int | None, typer.Option(min=1, help="Examples of a language at most.")] = None,
    names: Annotated[
        str | None, typer.Option("--labels", help="Names of a Hugging Face model's labels, in order: NOUN,VERB,…")
    ] = None,
    no_answer: Annotated[
        bool, typer.Option("--no-answer", help="A Hugging Face model for questions may say that there is no answer.")
    ] = False,
    predictions: Annotated[
        Path | None, typer.Option("-o", "--predictions", help="Also write each item's prediction here (.jsonl).")
    ] = None,
) -> None:
    """Scores a fine-tuned model on labelled files of any languages.

    Every number comes with its interval, and with the score of always giving the most frequent label. Labels are
    matched by name; one that the model has never seen is an error that says where it is. Models that Hugging Face's
    Trainer saved (`AutoModelForTokenClassification` and the like) are read as well.

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
        from xrealign.train.fine_tuned import open_fine_tuned

        opened = open_fine_tuned(Path(model), task, names, no_answer)
        results, items = _evaluate(
            opened, task, files, file_format, separator, pairs, parse_language(source), max_length, size
        )
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
        path = Path(rest) if mark and not is_there(item) else Path(item)
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
    model: FineTuned,
    task: str,
    files: Sequence[str],
    file_format: str | None,
    separator: str | None,
    pairs: Mapping[str, Mapping[str, str]],
    source: Language,
    max_length: int,
    size: int | None,
) -> tuple[list[Result], list[dict[str, Any]]]:
    from xrealign.evaluating import exchanged, gold_text, majority_score, predict_language, prediction_text
    from xrealign.tasks.metrics import MAIN_METRIC, bootstrap, scores
    from xrealign.tasks.mismatch import exchanged_text
    from xrealign.tasks.statistics import task_statistics

    encoder, head, kind, labels, tags = model.encoder, model.head, model.kind, model.labels, model.tags
    tests, places = _tests(task, kind, labels, tags, files, file_format, separator, pairs, source, size)
    results, items = [], []
    for language, gold in sorted(tests.items()):
        if not gold:
            continue
        found = predict_language(encoder, head, kind, gold, *model.outputs, {"max_length": max_length}, {"": None})
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
                exchanged_text(exchanged(kind, gold, predicted)),
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
    separator: str | None,
    pairs: Mapping[str, Mapping[str, str]],
    source: Language,
    size: int | None,
) -> tuple[dict[Language, Split], dict[Language, str]]:
    from xrealign.tasks.builtin import BUILTIN, load_builtin
    from xrealign.tasks.load import read_tests
    from xrealign.tasks.spec import TaskSpec
    from xrealign.tasks.task import KINDS

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
        separator=separator,
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
    from xrealign.corpus.readers import read_bitext
    from xrealign.measure.retrieval import retrieval_ranks
    from xrealign.model.encoder import load_encoder
    from xrealign.model.vectors import sentence_vectors
    from xrealign.tasks.metrics import bootstrap, score
    from xrealign.tasks.statistics import retrieval_statistics

    bitexts = {language: read_bitext(path, source, language) for language, path in files.items()}
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
        values = {name: score(statistics, name) for name in ("accuracy", "mrr", "map")}
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
