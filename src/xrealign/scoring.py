"""The stages that make numbers: zero-shot evaluation of a fine-tuned model, and measures of an encoder.

Numbers are written as tidy `Score` rows (``scores.json``; the report fills in the run's name), with what each item
got beside them (``items.parquet``), so that any later test is exact.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xrealign._version import __version__
from xrealign.collecting import centring_texts
from xrealign.config import Config
from xrealign.errors import ArtifactError
from xrealign.language import Language, parse_language
from xrealign.stages import CLDR, UDHR, Facts, embedded_tables, open_encoder
from xrealign.types import Score

Array = np.ndarray[Any, Any]


def signature(**parts: str | int | float) -> str:
    """How a number was made, as ``key:value`` items joined by ``|``."""
    return "|".join(f"{key}:{value}" for key, value in {**parts, "xrealign": __version__}.items())


def write_scores(scores: Sequence[Score], out: Path) -> None:
    """Writes ``scores.json``."""
    (out / "scores.json").write_text(json.dumps([dataclasses.asdict(score) for score in scores], indent=0), "utf-8")


def read_scores(folder: Path) -> list[Score]:
    """Reads what `write_scores` wrote.

    Raises:
        ArtifactError: it is missing or of another shape.
    """
    try:
        return [Score(**row) for row in json.loads((folder / "scores.json").read_text("utf-8"))]
    except (OSError, ValueError, TypeError) as error:
        raise ArtifactError(f"{folder / 'scores.json'} is missing or damaged ({error}); delete the folder") from None


def make_evaluate(config: Config, task_folder: Path, model_folder: Path, out: Path, method: str) -> Facts:
    """Scores a fine-tuned model in every language of the task; the baseline also centred, as a control.

    Language-mean centring moves each language's mean vector, estimated on parallel text that was not held out, to the
    source language's mean of the same texts; nothing is trained.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from xrealign.model.vectors import sentence_vectors
    from xrealign.tasks.metrics import accuracy, classification_statistics, macro_f1, majority_accuracy
    from xrealign.tasks.task import task_from_json

    task = task_from_json((task_folder / "task.json").read_text("utf-8"))
    labels: list[str] = json.loads((model_folder / "labels.json").read_text("utf-8"))
    encoder = open_encoder(config, model_folder)
    head = _head(model_folder)
    examples = [(language, example) for language, split in sorted(task.tests.items()) for example in split]
    texts = [example.text for _, example in examples]
    vectors = sentence_vectors(encoder, texts, encoder.layers, config.finetune.max_length, what="evaluate")
    tags = np.array([language.tag for language, _ in examples])
    predicted = {method: _predict(head, vectors)}
    uncentred: list[str] = []
    if method == "baseline":
        targets = [language for language in task.tests if language.tag != config.source]
        shifts = language_shifts(config, encoder, targets)
        uncentred = [language.tag for language in targets if language not in shifts]
        moved = vectors.copy()
        for language, shift in shifts.items():
            moved[tags == language.tag] += shift
        predicted["centred"] = _predict(head, moved)
    gold = [example.label for _, example in examples]
    columns: dict[str, Any] = {"language": tags.tolist(), "text": texts, "gold": gold}
    scores: list[Score] = []
    majority: dict[str, float] = {}
    for name, numbers in predicted.items():
        columns[name] = [labels[number] for number in numbers]
        for tag in dict.fromkeys(tags.tolist()):
            if name == "centred" and tag in uncentred:
                continue
            rows = np.flatnonzero(tags == tag).tolist()
            counts = classification_statistics([gold[r] for r in rows], [columns[name][r] for r in rows], labels)
            majority[tag] = majority_accuracy(counts)
            shared = {
                "run": "",
                "method": name,
                "task": task.name,
                "language": tag,
                "n": counts.n,
                "seed": config.seed,
                "labels": len(counts.covered),
                "signature": signature(
                    task=task.name, data=task.digest[:8], pooling="mean", labels=len(labels), covered="gold"
                ),
            }
            scores.append(Score(metric="accuracy", value=accuracy(counts), **shared))
            scores.append(Score(metric="macro_f1", value=macro_f1(counts), **shared))
    pq.write_table(pa.table(columns), out / "items.parquet", compression="zstd")
    write_scores(scores, out)
    values = {s.language: s.value for s in scores if (s.method, s.metric) == (method, "accuracy")}
    others = [value for tag, value in values.items() if tag != config.source]
    return {
        "sentences": len(texts),
        "languages": len(task.tests),
        "uncentred": uncentred,
        "majority": majority,
        "accuracy": {"source": values.get(config.source), "targets": _mean(others)},
    }


def _mean(values: Sequence[float]) -> float | None:
    """Plain mean, or None when there is nothing to average."""
    return sum(values) / len(values) if values else None


def _head(folder: Path) -> tuple[Array, Array]:
    from safetensors.numpy import load_file

    weights = load_file(folder / "head.safetensors")
    return weights["linear.weight"], weights["linear.bias"]


def _predict(head: tuple[Array, Array], vectors: Array) -> list[int]:
    return [int(number) for number in (vectors @ head[0].T + head[1]).argmax(axis=1)]


def language_shifts(config: Config, encoder: Any, languages: list[Language]) -> dict[Language, Array]:
    """For each language the vector that moves its mean to the source language's, over the same parallel texts."""
    from xrealign.model.vectors import sentence_vectors

    pairs = centring_texts(config, languages)
    texts = sorted({text for found in pairs.values() for pair in found for text in pair})
    place = {text: row for row, text in enumerate(texts)}
    vectors = sentence_vectors(encoder, texts, encoder.layers, config.finetune.max_length, what="language means")
    shifts = {}
    for language, found in pairs.items():
        src = vectors[[place[text] for text, _ in found]].mean(axis=0, dtype=np.float64)
        tgt = vectors[[place[text] for _, text in found]].mean(axis=0, dtype=np.float64)
        shifts[language] = (src - tgt).astype(np.float32)
    return shifts


MEASURES = {UDHR: "sentence-retrieval", CLDR: "word-retrieval"}


def make_measure(
    config: Config, languages: list[Language], encoder_folder: Path | None, out: Path, method: str
) -> Facts:
    """Retrieval on held-out embedded text, source ↔ each language, raw and centred; writes scores and hits.

    Sentence retrieval over the held-out UDHR segments, word retrieval over the held-out CLDR concept names; the
    accuracy is the mean of both directions, among the held-out items the two languages share.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from xrealign.corpus.embedded import bitext, held_out
    from xrealign.measure.retrieval import centre, retrieval_hits
    from xrealign.model.layers import resolve_layer
    from xrealign.model.vectors import sentence_vectors

    encoder = open_encoder(config, encoder_folder)
    layer = resolve_layer(config.measure.layer, encoder.layers)
    source = parse_language(config.source)
    found = []
    for origin, table in zip((UDHR, CLDR), embedded_tables([UDHR, CLDR]), strict=True):
        held = sorted(held_out(table.ids, config.corpus.held_out))
        held = held[: config.measure.max_concepts] if origin == CLDR else held
        for language in languages:
            if language in table.texts and source in table.texts and language != source:
                found.append((MEASURES[origin], language, bitext(table, source, language, held)))
    texts = sorted({text for _, _, pairs in found for pair in pairs for text in (pair.src, pair.tgt)})
    place = {text: row for row, text in enumerate(texts)}
    vectors = sentence_vectors(encoder, texts, layer, config.measure.max_length, what=f"measure {method}")
    scores, rows = [], []
    for measure, language, pairs in found:
        if len(pairs) < 2:
            continue
        raw = [vectors[[place[text] for text in side]] for side in zip(*((p.src, p.tgt) for p in pairs), strict=True)]
        for variant, (src, tgt) in (("raw", raw), ("centred", [centre(side) for side in raw])):
            forward, backward = retrieval_hits(src, tgt), retrieval_hits(tgt, src)
            scores.append(
                Score(
                    run="",
                    method=method,
                    task=measure,
                    language=language.tag,
                    metric="accuracy",
                    value=float((forward.mean() + backward.mean()) / 2),
                    n=len(pairs),
                    seed=config.seed,
                    layer=layer,
                    variant=variant,
                    signature=signature(
                        measure=measure, directions="both", pool=len(pairs), pooling="mean", ties="miss"
                    ),
                )
            )
            rows += [
                {"task": measure, "language": language.tag, "variant": variant, "id": p.id, "forward": f, "backward": b}
                for p, f, b in zip(pairs, forward.tolist(), backward.tolist(), strict=True)
            ]
    pq.write_table(pa.Table.from_pylist(rows), out / "items.parquet", compression="zstd")
    write_scores(scores, out)
    means = {
        f"{task} {variant}": _mean([s.value for s in scores if (s.task, s.variant) == (task, variant)])
        for task in MEASURES.values()
        for variant in ("raw", "centred")
    }
    return {
        "languages": len({language for _, language, _ in found}),
        "texts": len(texts),
        "layer": layer,
        "means": means,
    }
