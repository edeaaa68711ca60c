"""Zero-shot evaluation of a fine-tuned model: every language's test set, and the same with training-free maps.

Each language is kept as soon as it is done, so that an evaluation that was stopped goes on. What is written: tidy
`Score` rows (``scores.json``), and for each item its prediction and what it adds to the main metric
(``items.parquet``), so that any later test is exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xrealign.collecting import centring_bitexts
from xrealign.config import Config
from xrealign.errors import DamagedWork
from xrealign.language import Language
from xrealign.progress import track
from xrealign.report.context import BASELINE
from xrealign.scoring import PARTS, WHOLES, signature, write_scores
from xrealign.stages import Facts, open_encoder, read_task
from xrealign.store import seal, unseal
from xrealign.tasks.metrics import MAIN_METRIC, score, scores
from xrealign.tasks.mismatch import exchanged_text, exchanged_types
from xrealign.tasks.statistics import Prediction, SlotPrediction, Statistics, majority, task_statistics
from xrealign.tasks.task import AnyExample, Kind, Task, labels_of, tags_of
from xrealign.types import Score
from xrealign.writing import new_path, write_atomic

Array = np.ndarray[Any, Any]
CONTROLS = {"centring": "centred", "rotation": "rotated", "centred-rotation": "centred-rotated",
            "normalised-rotation": "normalised-rotated", "linear": "linear"}  # fmt: skip
"""Methods' names of the training-free maps."""


@dataclass(frozen=True)
class LanguageResult:
    """What a model said of one language's test set.

    Attributes:
        predictions: by method, one for each example.
        cut: how many words, texts … were lost to the model's length, by reason.
    """

    predictions: Mapping[str, Sequence[Prediction]]
    cut: Mapping[str, int]


def make_evaluate(config: Config, task_folder: Path, model_folder: Path, out: Path, work: Path, method: str) -> Facts:
    """Scores a fine-tuned model in every language of the task; the baseline also with training-free maps, as controls.

    The maps move each language's vectors into the source language's space. They are fitted on parallel text that was
    not held out, never on the task's inputs; nothing is trained.
    """
    from xrealign.train.heads import load_head

    task = read_task(task_folder)
    head, kind, labels, tags = load_head(model_folder)
    encoder = open_encoder(config, model_folder)
    targets = [language for language in task.tests if language.tag != config.source]
    fitted = _fit(config, encoder, targets) if method == BASELINE and not _all_done(task, work) else {}
    results: dict[Language, LanguageResult] = {}
    for language in track(sorted(task.tests), f"evaluate {method}"):
        kept = work / f"{language.tag}.json"
        if not kept.is_file():
            maps = {method: None} | {
                name: found[language] for name, found in fitted.items() if language in found
            } | {name: None for name in fitted if language.tag == config.source}  # fmt: skip
            found = predict_language(
                encoder, head, kind, task.tests[language], labels, tags, predict_settings(config), maps
            )
            work.mkdir(parents=True, exist_ok=True)
            write_atomic(kept, _to_json(found))
        results[language] = _from_json(kept)
    return write_results(task, kind, labels, tags, results, out, method, config.seed)


def predict_language(
    encoder: Any,
    head: Any,
    kind: Kind,
    examples: Sequence[AnyExample],
    labels: Sequence[str],
    tags: Sequence[str],
    settings: Mapping[str, Any],
    maps: Mapping[str, Any],
) -> LanguageResult:
    """What a model says of examples of one language, under each map's name; one pass of the encoder for all maps."""
    from xrealign.train.predict import predict

    found = predict(encoder, head, kind, examples, labels, tags, maps=maps, **settings)
    cut = next(iter(found.values())).cut
    return LanguageResult({name: one.predictions for name, one in found.items()}, dict(cut))


def predict_settings(config: Config) -> dict[str, Any]:
    """How to predict, from ``[finetune]`` and ``[evaluate]``; keys as in `xrealign.train.predict.PredictSettings`."""
    table = config.evaluate
    own = {"constrained": table.constrained, "max_answer": table.max_answer}
    return {"max_length": config.finetune.max_length, "stride": config.finetune.stride, **own}


def _fit(config: Config, encoder: Any, languages: list[Language]) -> dict[str, dict[Language, Any]]:
    """By method, each language's map into the source language's space."""
    from xrealign.model.fit_languages import fit_languages

    bitexts = centring_bitexts(config, languages, config.evaluate.pairs)
    if not bitexts:
        return {CONTROLS[kind]: {} for kind in config.evaluate.transforms}
    return {
        CONTROLS[kind]: dict(
            fit_languages(
                encoder, bitexts, kind, max_length=config.finetune.max_length, what=f"maps: {kind}"
            ).by_language
        )
        for kind in config.evaluate.transforms
    }


def _all_done(task: Task, work: Path) -> bool:
    return all((work / f"{language.tag}.json").is_file() for language in task.tests)


def write_results(
    task: Task,
    kind: Kind,
    labels: Sequence[str],
    tags: Sequence[str],
    results: Mapping[Language, LanguageResult],
    out: Path,
    method: str,
    seed: int,
) -> Facts:
    """Writes ``scores.json`` and ``items.parquet`` of predictions; returns facts for a manifest."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    main = MAIN_METRIC[kind]
    names = list(dict.fromkeys(name for result in results.values() for name in result.predictions))
    columns: dict[str, list[Any]] = {name: [] for name in ("language", "item", "gold", *names)}
    columns |= {name + end: [] for name in names for end in (PARTS, WHOLES)}
    found: list[Score] = []
    majorities: dict[str, float] = {}
    swapped: dict[str, str] = {}
    for language, result in results.items():
        gold = task.tests[language]
        if not gold:
            continue
        majorities[language.tag] = majority_score(kind, gold, labels, tags)
        columns["language"] += [language.tag] * len(gold)
        columns["item"] += [example.group for example in gold]
        columns["gold"] += [gold_text(kind, example) for example in gold]
        for name in names:
            predicted = result.predictions.get(name)
            if predicted is None:  # a language without text to fit a map on
                for column in (name, name + PARTS, name + WHOLES):
                    columns[column] += [None] * len(gold)
                continue
            if name == method and (types := exchanged(kind, gold, predicted)):
                swapped[language.tag] = exchanged_text(types)
            statistics = task_statistics(kind, gold, predicted, labels, tags)
            parts, wholes = main_shares(kind, statistics)
            columns[name] += [prediction_text(one) for one in predicted]
            columns[name + PARTS] += parts.tolist()
            columns[name + WHOLES] += wholes.tolist()
            found += language_scores(task, kind, labels, tags, language, statistics, name, seed)
    with new_path(out / "items.parquet") as aside:
        pq.write_table(pa.table(columns), aside, compression="zstd")
    write_scores(found, out)
    values = {s.language: s.value for s in found if (s.method, s.metric) == (method, main)}
    others = [value for tag, value in values.items() if tag != task.source.tag]
    return {
        "examples": len(columns["language"]),
        "languages": len(results),
        "without_maps": [k.tag for k, one in results.items() if set(names) - set(one.predictions)],
        "majority": majorities,
        "below_majority": [tag for tag, value in values.items() if value < majorities[tag]],
        "exchanged": swapped,
        "cut": {k.tag: one.cut for k, one in results.items() if one.cut},
        "metric": main,
        "means": {"source": values.get(task.source.tag), "targets": sum(others) / len(others) if others else None},
    }


def language_scores(
    task: Task,
    kind: Kind,
    labels: Sequence[str],
    tags: Sequence[str],
    language: Language,
    statistics: Statistics,
    method: str,
    seed: int,
) -> list[Score]:
    """A language's score on every metric of the task's kind."""
    names = labels or tags
    made = signature(task=task.name, data=task.digest[:8], kind=kind, labels=len(names), covered="gold")
    covered = len(task.coverage[language]) or None
    return [
        Score("", method, task.name, language.tag, metric, value, len(statistics), seed, labels=covered, signature=made)
        for metric, value in scores(kind, statistics).items()
    ]


def majority_score(kind: Kind, gold: Sequence[AnyExample], labels: Sequence[str], tags: Sequence[str]) -> float:
    """The main metric of always giving the most frequent label: a model below it has learned nothing of the language,
    or its labels do not mean what the test's do."""
    return score(task_statistics(kind, gold, majority(kind, gold, labels, tags), labels, tags), MAIN_METRIC[kind])


def exchanged(kind: Kind, gold: Sequence[AnyExample], predicted: Sequence[Prediction]) -> dict[str, str]:
    """Types of spans that look exchanged, as `exchanged_types` finds them; nothing for kinds without spans."""
    if kind not in ("ner", "slots"):
        return {}
    said = [one.tags if isinstance(one, SlotPrediction) else one for one in predicted]
    return exchanged_types([tags_of(example) for example in gold], said)


def main_shares(kind: Kind, statistics: Statistics) -> tuple[Array, Array]:
    """What each item adds above and below the line of the main metric, which is a ratio of sums for every kind."""

    def total(what: str) -> Array:
        chosen = [i for i, column in enumerate(statistics.columns) if column == what or column.startswith(f"{what}:")]
        summed: Array = statistics.values[:, chosen].sum(axis=1)
        return summed

    if kind in ("ner", "slots"):
        return 2 * total("correct_spans"), total("gold_spans") + total("predicted_spans")
    if kind == "qa":
        return total("f1"), total("items")
    return total("correct"), total("gold")


def gold_text(kind: Kind, example: AnyExample) -> str:
    """An example's answer as text: a label, tags with blanks between, or the first right answer."""
    if kind == "qa":
        return example.answers[0][0] if example.answers else ""  # type: ignore[union-attr]
    return "\t".join(part for part in (" ".join(tags_of(example)), *labels_of(example)) if part)


def prediction_text(prediction: Prediction) -> str:
    """A prediction as text, in the form of `gold_text`; ``_`` for a word that was cut off."""
    if isinstance(prediction, SlotPrediction):
        return "\t".join([" ".join(tag or "_" for tag in prediction.tags), prediction.label])
    return prediction if isinstance(prediction, str) else " ".join(tag or "_" for tag in prediction)


def _to_json(result: LanguageResult) -> str:
    def plain(one: Prediction) -> Any:
        return {"tags": one.tags, "label": one.label} if isinstance(one, SlotPrediction) else one

    predictions = {name: [plain(one) for one in found] for name, found in result.predictions.items()}
    return seal({"predictions": predictions, "cut": result.cut})


def _from_json(path: Path) -> LanguageResult:
    """Raises DamagedWork: the file is not what `_to_json` made."""

    def made(one: Any) -> Prediction:
        if isinstance(one, dict):
            return SlotPrediction(tuple(one["tags"]), one["label"])
        return one if isinstance(one, str) else tuple(one)

    try:
        content = unseal(path.read_text("utf-8"))
    except ValueError as error:
        raise DamagedWork(f"{path} is damaged: {error}") from None
    return LanguageResult(
        {name: [made(one) for one in found] for name, found in content["predictions"].items()}, content["cut"]
    )
