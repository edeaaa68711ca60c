"""What ``xrealign evaluate`` found, as people and programs read it."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from xrealign.errors import DataError, visible
from xrealign.escape import csv_cell, json_text, markdown


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
        exchanged: of names and slots: types that look exchanged, predicted for gold's, in words: labels do not agree.
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
    exchanged: str = ""


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
        return json_text(content) + "\n"
    rows = [_cells(one) for one in results]
    header = ["language", "examples", metric, "95 % interval", "most frequent", "file"]
    if format_ == Format.csv:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        names = list(dict.fromkeys(name for one in results for name in one.metrics))
        writer.writerow(["language", "n", *names, "low", "high", "majority", "below_majority", "exchanged", "file"])
        for one in results:
            values = [one.metrics.get(name, "") for name in names]
            lowest = "" if one.majority is None else one.majority
            told = (csv_cell(one.exchanged), csv_cell(one.file))
            writer.writerow([one.language, one.n, *values, one.low, one.high, lowest, one.below_majority, *told])
        return out.getvalue()
    if format_ == Format.md:
        head, *body = ["| " + " | ".join(map(markdown, line)) + " |\n" for line in [header, *rows]]
        return "".join([head, "| --- | ---: | ---: | ---: | ---: | --- |\n", *body])
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
    for one in results:
        if one.exchanged:
            text += f"! {one.language}: types look exchanged ({one.exchanged}); do the labels mean the same?\n"
    cut = {reason: sum(one.cut.get(reason, 0) for one in results) for one in results for reason in one.cut}
    return visible(text + "".join(f"! {count:,} {reason}\n" for reason, count in cut.items() if count))


def _cells(one: Result) -> list[str]:
    lowest = "–" if one.majority is None else f"{one.majority:.1%}"
    mark = " !" if one.below_majority or one.exchanged else ""
    return [one.language, f"{one.n:,}", f"{one.value:.1%}{mark}", f"{one.low:.1%} … {one.high:.1%}", lowest, one.file]
