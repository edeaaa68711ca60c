"""Aligned bitexts on disk and in memory: sentences, their words as character spans, and links between the words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xrealign.errors import ArtifactError
from xrealign.writing import new_path

FILE = "aligned.parquet"
Spans = np.ndarray[Any, Any]


@dataclass(frozen=True)
class AlignedTexts:
    """Sentence pairs of one source language and any number of target languages.

    Attributes:
        ids: what each pair is, unique within a language.
        languages: tag of each pair's target language.
        src, tgt: the sentences.
        src_spans, tgt_spans: words as character spans, (W, 2) each.
        links: word links, (N, 2) each; empty in sentence mode.
    """

    ids: Sequence[str]
    languages: Sequence[str]
    src: Sequence[str]
    tgt: Sequence[str]
    src_spans: Sequence[Spans]
    tgt_spans: Sequence[Spans]
    links: Sequence[Spans]

    def __len__(self) -> int:
        return len(self.ids)


def write_aligned(texts: AlignedTexts, folder: Path) -> None:
    """Writes ``aligned.parquet``.

    Raises:
        OutputError: the system refuses.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    pairs = pa.list_(pa.int32())
    columns: dict[str, Any] = {
        "id": pa.array(texts.ids, pa.string()),
        "language": pa.array(texts.languages, pa.string()),
        "src": pa.array(texts.src, pa.string()),
        "tgt": pa.array(texts.tgt, pa.string()),
    }
    for name in ("src_spans", "tgt_spans", "links"):
        columns[name] = pa.array([row.reshape(-1) for row in getattr(texts, name)], pairs)
    with new_path(folder / FILE) as aside:
        pq.write_table(pa.table(columns), aside, compression="zstd")


def read_aligned(folder: Path) -> AlignedTexts:
    """Reads what `write_aligned` wrote.

    Raises:
        ArtifactError: the file is missing or not such a table.
    """
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(folder / FILE)
        columns = {name: table.column(name).to_pylist() for name in ("id", "language", "src", "tgt")}
        arrays = {
            name: [np.array(row, dtype=np.int32).reshape(-1, 2) for row in table.column(name).to_pylist()]
            for name in ("src_spans", "tgt_spans", "links")
        }
    except (OSError, KeyError, ValueError) as error:  # Arrow's errors are ValueErrors
        raise ArtifactError(
            f"{folder / FILE} is missing or damaged ({error}); delete the folder and run again"
        ) from None
    return AlignedTexts(columns["id"], columns["language"], columns["src"], columns["tgt"], **arrays)
