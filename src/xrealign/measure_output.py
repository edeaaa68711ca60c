"""What ``xrealign measure`` found, as text, as plain data, and as tables and pictures of similarities."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xrealign._version import __version__
from xrealign.measure.pictures import similarity_picture
from xrealign.measure.results import Change
from xrealign.measure.show import TABLES, show_results
from xrealign.measure_pairs import BitextFile, MeasuredPairs
from xrealign.measuring import MeasureReport
from xrealign.writing import write_atomic


def as_record(
    report: MeasureReport,
    moved: Sequence[Change],
    pairs: Sequence[MeasuredPairs],
    files: Sequence[BitextFile],
    settings: dict[str, Any],
    encoders: dict[str, str],
) -> dict[str, Any]:
    """Plain data, ready for JSON; docs/measure.md says what is in it."""
    return {
        "xrealign": __version__,
        "encoders": encoders,
        "settings": settings,
        "bitexts": [
            {
                "src": p.src_tag,
                "tgt": p.tgt_tag,
                "files": [str(path) for path in file.paths],
                "links": str(file.links) if file.links else None,
                "counts": dict(p.counts),
            }
            for p, file in zip(pairs, files, strict=True)
        ],
        "results": [result.as_record() for result in report.results],
        "differences": [change.as_record() for change in moved],
        "similarity": [
            {"encoder": name, "layer": layer, "variant": variant, "languages": languages, "matrix": matrix.tolist()}
            for (name, layer, variant), (languages, matrix) in report.similarity.items()
        ],
        "identity_majority": report.majority,
        "left_out": list(report.left_out),
    }


def as_text(report: MeasureReport, moved: Sequence[Change], pairs: Sequence[MeasuredPairs], form: str) -> str:
    """Tables in one of `xrealign.measure.show.TABLES`."""
    blocks = [show_results(report.results, moved, TABLES[form])] if report.results else []
    if report.majority is not None:
        blocks.append(f"identity: always naming one language has an accuracy of {report.majority:.3f}")
    for (name, layer, variant), (languages, matrix) in report.similarity.items():
        body = [[tag, *(f"{v:.3f}" for v in row)] for tag, row in zip(languages, matrix.tolist(), strict=True)]
        blocks.append(TABLES[form](["", *languages], body, f"similarity, {name}, layer {layer}, {variant}"))
    return "\n\n".join(blocks)


def write_similarity(report: MeasureReport, folder: Path) -> None:
    """A table (TSV, languages in the first row and column) and a picture for each encoder, layer and variant."""
    for (name, layer, variant), (languages, matrix) in report.similarity.items():
        stem = f"{re.sub(r'[^A-Za-z0-9._-]+', '-', name)}-layer{layer:02d}-{variant}"
        lines = ["\t".join(["", *languages])]
        lines += ["\t".join([tag, *map(repr, row)]) for tag, row in zip(languages, matrix.tolist(), strict=True)]
        write_atomic(folder / f"{stem}.tsv", "\n".join(lines) + "\n")
        similarity_picture(languages, matrix, f"{name}, layer {layer}, {variant}", folder / f"{stem}.png")
