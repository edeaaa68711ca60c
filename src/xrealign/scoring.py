"""Scores on disk, and the stage that measures an encoder.

Numbers are written as tidy `Score` rows (``scores.json``; the report fills in the run's name), with what each item
got beside them (``items.parquet``), so that any later test is exact.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from xrealign._version import __version__
from xrealign.config import Config
from xrealign.errors import ArtifactError
from xrealign.language import Language, parse_language
from xrealign.stages import CLDR, UDHR, Facts, embedded_tables, open_encoder
from xrealign.types import Score
from xrealign.writing import new_path, write_atomic

PARTS, WHOLES = ":parts", ":wholes"
"""Ends of the columns of ``items.parquet`` that tell what an item adds to the main metric, above and below the line."""


def signature(**parts: str | int | float) -> str:
    """How a number was made, as ``key:value`` items joined by ``|``."""
    return "|".join(f"{key}:{value}" for key, value in {**parts, "xrealign": __version__}.items())


def write_scores(scores: Sequence[Score], out: Path) -> None:
    """Writes ``scores.json``."""
    write_atomic(out / "scores.json", json.dumps([dataclasses.asdict(score) for score in scores], indent=0))


def read_scores(folder: Path) -> list[Score]:
    """Reads what `write_scores` wrote.

    Raises:
        ArtifactError: it is missing or of another shape.
    """
    try:
        return [Score(**row) for row in json.loads((folder / "scores.json").read_text("utf-8"))]
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise ArtifactError(f"{folder / 'scores.json'} is missing or damaged ({error}); delete the folder") from None


def _mean(values: Sequence[float]) -> float | None:
    """Plain mean, or None when there is nothing to average."""
    return sum(values) / len(values) if values else None


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
    with new_path(out / "items.parquet") as aside:
        pq.write_table(pa.Table.from_pylist(rows), aside, compression="zstd")
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
