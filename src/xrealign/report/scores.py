"""Scores on disk: tidy rows in Parquet and CSV that read back exactly as they were written."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO, Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from xrealign.errors import DataError, did_you_mean
from xrealign.escape import guarded, unguarded
from xrealign.textio import check_regular, decimal_number, read_lines, reason, whole_number
from xrealign.types import Score
from xrealign.writing import write_atomic

SCHEMA = pa.schema(
    [
        pa.field("run", pa.string(), nullable=False),
        pa.field("method", pa.string(), nullable=False),
        pa.field("task", pa.string(), nullable=False),
        pa.field("language", pa.string(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("n", pa.int64(), nullable=False),
        pa.field("seed", pa.int64(), nullable=False),
        pa.field("layer", pa.int64()),
        pa.field("variant", pa.string(), nullable=False),
        pa.field("labels", pa.int64()),
        pa.field("signature", pa.string(), nullable=False),
        pa.field("model", pa.string(), nullable=False),
    ],
    metadata={"xrealign.scores": "1"},
)
COLUMNS: tuple[str, ...] = tuple(SCHEMA.names)
_OPTIONAL = frozenset({"layer", "labels"})
LARGEST, BATCH = 1 << 28, 1 << 16
"""Bytes of a table of scores at most, unpacked: a million rows; and rows that are looked at together."""
# Files from before there was such a column are read as if it were empty.
_LATER = frozenset({"model"})
_NUMBERS: dict[str, Callable[[str], float]] = {
    "value": decimal_number, "n": whole_number, "seed": whole_number, "layer": whole_number, "labels": whole_number,
}  # fmt: skip
_NAMED = ("run", "method", "task", "language", "metric")


def check_scores(scores: Iterable[Score], place: str | Path | None = None) -> list[Score]:
    """The scores as a list, when each is a finite number of something named and none is there twice.

    Raises:
        DataError: otherwise; the message names the row (1-based) and what is wrong with it.
    """
    rows = list(scores)
    seen: dict[tuple[object, ...], int] = {}
    for number, row in enumerate(rows, 1):
        for column in _NAMED:
            if not getattr(row, column):
                raise DataError(f"row {number}: {column} is empty", place)
        what = f"row {number} ({row.method}, {row.task}, {row.language}, {row.metric})"
        if not math.isfinite(row.value):
            raise DataError(f"{what}: value {row.value} is not a number; leave out what was not measured", place)
        if row.n < 0:
            raise DataError(f"{what}: n is {row.n}, expected a count of items", place)
        key = (row.run, row.model, row.method, row.task, row.language, row.metric, row.seed, row.layer, row.variant)
        if key in seen:
            raise DataError(f"{what}: the same score stands in row {seen[key]} already", place)
        seen[key] = number
    return rows


def _columns(scores: Sequence[Score]) -> dict[str, list[Any]]:
    return {name: [getattr(score, name) for score in scores] for name in COLUMNS}


def to_frame(scores: Iterable[Score]) -> pd.DataFrame:
    """The scores as a data frame, one row each, columns in the order of ``COLUMNS``.

    ``layer`` and ``labels`` are nullable integers (``Int64``).
    """
    columns = _columns(list(scores))
    kinds = {"value": "float64", "n": "int64", "seed": "int64", "layer": "Int64", "labels": "Int64"}
    return pd.DataFrame({name: pd.Series(columns[name], dtype=kinds.get(name, "str")) for name in COLUMNS})


def write_scores(scores: Iterable[Score], path: str | Path) -> Path:
    """Writes the scores to ``path``, as Parquet or CSV by its ending, whole or not at all.

    In CSV a float is the shortest text that reads back equal; an absent ``layer`` or ``labels`` is empty; before a name
    that a spreadsheet would take for a formula there is an apostrophe, which `read_scores` takes away.

    Raises:
        DataError: a score that ``check_scores`` refuses, or an unknown ending.
    """
    path = Path(path)
    write = _by_ending(path, {".parquet": _parquet, ".csv": _csv})
    write_atomic(path, write(check_scores(scores)))
    return path


def read_scores(path: str | Path) -> list[Score]:
    """The scores of a ``.parquet`` or ``.csv`` file, in the file's order.

    Columns may stand in any order; columns that are not a Score's are an error. ``model`` may be missing.

    Raises:
        DataError: the file cannot be read, a column is missing or unknown, or a value has the wrong type.
    """
    path = Path(path)
    read = _by_ending(path, {".parquet": _read_parquet, ".csv": _read_csv})
    return check_scores(read(path), path)


def _by_ending(path: Path, choices: dict[str, Callable[..., Any]]) -> Callable[..., Any]:
    if path.suffix not in choices:
        raise DataError(f"unknown kind of scores file {path.suffix!r}: expected {' or '.join(choices)}", path)
    return choices[path.suffix]


def _parquet(scores: list[Score]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(_columns(scores), schema=SCHEMA), buffer, compression="zstd")
    return buffer.getvalue()


def _csv(scores: list[Score]) -> str:
    lines = [_line(COLUMNS)]
    for score in scores:
        values = [getattr(score, name) for name in COLUMNS]
        lines.append(_line("" if v is None else repr(v) if isinstance(v, float) else guarded(v) for v in values))
    return "".join(lines)


def _line(values: Iterable[object]) -> str:
    """A row; the writer quotes a carriage return only where it ends the rows, and unquoted it begins one."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\r\n").writerow(values)
    return buffer.getvalue()[:-2] + "\n"


def _check_columns(found: Sequence[str], path: Path) -> None:
    for name in found:
        if name not in COLUMNS:
            hint = did_you_mean(name, COLUMNS)
            raise DataError(f"unknown column {name[:60]!r}{hint}; expected {', '.join(COLUMNS)}", path)
    missing = [name for name in COLUMNS if name not in found and name not in _LATER]
    if missing:
        raise DataError(f"column {', '.join(missing)} missing; expected {', '.join(COLUMNS)}", path)
    if len(found) != len(set(found)):
        raise DataError(f"a column stands twice: {', '.join(found)}", path)


def _whole_table(file: IO[bytes], path: Path) -> Any:
    """All rows of a file that does not unpack to more than `LARGEST`; texts stay in their dictionaries till then."""
    too_large = DataError(f"it unpacks to more than {LARGEST} bytes, which no table of scores does", path)
    first = pq.ParquetFile(file)
    meta, schema = first.metadata, first.schema_arrow
    _check_columns(schema.names, path)
    if sum(meta.row_group(number).total_byte_size for number in range(meta.num_row_groups)) > LARGEST:
        raise too_large
    for field in schema:  # neither these nor what is in them would stay in dictionaries
        if pa.types.is_nested(field.type) or pa.types.is_fixed_size_binary(field.type):
            raise DataError(f"column {field.name} is of {field.type}; {_expected()}", path)
    texts = [field.name for field in schema if not pa.types.is_primitive(field.type)]
    parquet = pq.ParquetFile(file, metadata=meta, read_dictionary=texts)
    batches, size = [], 0
    for batch in parquet.iter_batches(BATCH):
        size += sum(_unpacked(column) for column in batch.columns)
        if size > LARGEST:
            raise too_large
        batches.append(batch)
    return pa.Table.from_batches(batches, parquet.schema_arrow)


def _expected() -> str:
    return "expected " + ", ".join(f"{field.name} {field.type}" for field in SCHEMA)


def _unpacked(column: Any) -> int:
    """Bytes of a column when a text that several rows share is there for each of them."""
    if not isinstance(column, pa.DictionaryArray):
        return int(column.nbytes)
    rows = pc.sum(pc.binary_length(column.dictionary).take(column.indices)).as_py() or 0
    return int(column.nbytes + rows)


def _read_parquet(path: Path) -> list[Score]:
    try:
        check_regular(path)
        with path.open("rb") as file:
            table = _whole_table(file, path)
    except OSError as error:
        raise DataError(f"cannot be read as Parquet: {reason(error).splitlines()[0]}", path) from None
    except (pa.ArrowException, ValueError) as error:
        raise DataError(f"cannot be read as Parquet: {str(error).splitlines()[0]}", path) from None
    for name in COLUMNS:
        if name not in _OPTIONAL and name in table.column_names and table.column(name).null_count:
            row = table.column(name).is_null().to_pylist().index(True) + 1
            raise DataError(f"column {name} is empty in row {row}", path)
    for name in _LATER - set(table.column_names):
        table = table.append_column(pa.field(name, pa.string()), pa.array([""] * len(table), pa.string()))
    try:
        columns = table.select(COLUMNS).cast(SCHEMA).to_pydict()
    except (pa.ArrowException, ValueError) as error:
        raise DataError(f"{str(error).splitlines()[0]}; {_expected()}", path) from None
    return [Score(**dict(zip(COLUMNS, row, strict=True))) for row in zip(*columns.values(), strict=True)]


def _read_csv(path: Path) -> list[Score]:
    numbers_and_lines = list(read_lines(path))
    reader = csv.reader((line + "\n" for _, line in numbers_and_lines), strict=True)
    scores = []
    try:
        header = next(reader, None)
        if header is None:
            raise DataError(f"is empty; expected a first line {','.join(COLUMNS)}", path)
        _check_columns(header, path)
        for cells in reader:
            if len(cells) != len(header):
                raise DataError(f"{len(cells)} values, expected {len(header)}", path, reader.line_num)
            row = dict(zip(header, cells, strict=True))
            scores.append(Score(**{name: _parse(name, row[name], path, reader.line_num) for name in header}))
    except csv.Error as error:
        raise DataError(f"is not CSV: {error}", path, reader.line_num) from None
    return scores


def _parse(name: str, text: str, path: Path, line: int) -> Any:
    if name in _OPTIONAL and text == "":
        return None
    read = _NUMBERS.get(name)
    if read is None:
        return unguarded(text)
    try:
        return read(text)
    except ValueError:
        expected = "a finite number; leave out what was not measured" if read is decimal_number else "a whole number"
        raise DataError(f"{name} is {text[:40]!r}, expected {expected}", path, line) from None
