"""Scores as ``report`` and ``compare`` read them, result files that were published, tables of features."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from cases_text.case import Case, device, fifo, folder, long_line

from xrealign.report.scores import COLUMNS, write_scores
from xrealign.types import Score

HEADER = ",".join(COLUMNS)
ROW = "r,baseline,t,deu_Latn,accuracy,0.5,10,17,,,,,"
OTHER = "r,realigned,t,deu_Latn,accuracy,0.6,10,17,,,,,"
GOOD = f"{HEADER}\n{ROW}\n{OTHER}\n"
PUBLISHED = "seed,method,eval_de_accuracy,eval_fr_accuracy\n17,baseline,0.5,0.6\n23,baseline,0.5,0.6\n"


ROWS: dict[str, object] = {
    "run": ["r"], "method": ["baseline"], "task": ["t"], "language": ["deu_Latn"], "metric": ["accuracy"],
    "value": [0.5], "n": [10], "seed": [17], "layer": [1], "variant": [""], "labels": [2], "signature": [""],
    "model": [""],
}  # fmt: skip


def scores(name, content, *told, file="s.csv", command="report table {}", **settings):
    """A case of a file of scores."""
    return Case(name, command.format(file), told, {file: content}, **settings)


def row(name, old, new, *told, **settings):
    """A case of one faulty cell in line 3."""
    return scores(name, f"{HEADER}\n{ROW}\n{OTHER.replace(old, new)}\n", *told, **settings)


def parquet(name, content, *told, command="report table {}", **settings):
    """A case of a file in Parquet."""
    return scores(name, content, *told, file="s.parquet", command=command, **settings)


def packed(**changes: object) -> bytes:
    """Scores in Parquet with columns changed, or left out (None)."""
    columns = ROWS | changes
    buffer = io.BytesIO()
    pq.write_table(pa.table({name: column for name, column in columns.items() if column is not None}), buffer)
    return buffer.getvalue()


def pickled() -> bytes:
    """A column of an extension type whose description is a pickle, as old versions of Arrow unpickled it."""
    kind = pa.field("value", pa.float64(), metadata={
        "ARROW:extension:name": "arrow.py_extension_type",
        "ARROW:extension:metadata": b"cposix\nsystem\n(S'touch pickle-ran'\ntR.",
    })  # fmt: skip
    buffer = io.BytesIO()
    table = pa.table([pa.array([0.5])], schema=pa.schema([kind]))
    pq.write_table(table, buffer)
    return buffer.getvalue()


def damaged() -> bytes:
    """Parquet with a byte of its data changed."""
    data = bytearray(packed())
    data[20] ^= 0xFF
    return bytes(data)


def parquet_bomb(path: Path) -> None:
    """A small file that unpacks to 300 megabytes: one long name, many times."""
    names = pa.DictionaryArray.from_arrays(pa.array([0] * 300, pa.int32()), ["x" * (1 << 20)])
    rows = {name: column * 300 for name, column in ROWS.items()} | {"run": names}
    pq.write_table(pa.table(rows), path, compression="zstd", store_schema=False)


def run_folder(path: Path) -> None:
    """A run whose scores are good and whose other file is damaged."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_scores([Score("r", "baseline", "t", "deu_Latn", "accuracy", 0.5, 10, 17)], path.parent / "scores.parquet")
    path.write_text("{")


def published(name, content, *told, file="M__D__T.csv", more="", **settings):
    """A case of a result file that authors published."""
    return Case(name, f"report import-published in -o out.csv {more}", told, {f"in/{file}": content}, **settings)


def features(name, content, *told, **settings):
    """A case of a table of numbers of languages."""
    command = "report predict s.csv --table f.tsv --features size"
    return Case(name, command, told, {"s.csv": GOOD, "f.tsv": content}, **settings)


CASES = (
    scores("scores-empty", "", "s.csv: is empty; expected a first line run,method"),
    scores("scores-header-alone", HEADER + "\n", "there are no scores"),
    scores("scores-column-missing", GOOD.replace("seed,", ""), "s.csv: column seed missing", fast=True),
    scores(
        "scores-column-unknown", GOOD.replace("seed,", "sead,"), "s.csv: unknown column 'sead'; did you mean 'seed'"
    ),
    scores("scores-column-twice", GOOD.replace("seed,", "run,"), "s.csv: "),
    scores("scores-short-row", GOOD + "r,x\n", "s.csv:4: 2 values, expected 13"),
    scores("scores-blank-line", GOOD + "\n", "s.csv:4: 0 values, expected 13"),
    scores("scores-quote-unclosed", GOOD + '"r,x\n', "s.csv:4: is not CSV"),
    scores("scores-long-cell", GOOD + "r" * 200_000 + ",x\n", "s.csv:4: is not CSV: field larger than"),
    scores("scores-utf-16", GOOD.encode("utf-16"), "s.csv:1: byte 0xff is not UTF-8"),
    scores("scores-nul", GOOD + "\0\n", "s.csv:4: NUL character in text"),
    scores("scores-carriage-returns", GOOD.replace("\n", "\r"), "s.csv:1: a carriage return inside the line"),
    scores("scores-50-megabytes-on-a-line", long_line(50, GOOD), "s.csv:4: more than ", "bytes on the line"),
    scores("scores-is-a-pipe", fifo, "s.csv: cannot be read: is a pipe or a device, expected a file"),
    scores("scores-is-a-device", device, "s.csv: cannot be read: is a pipe or a device, expected a file"),
    scores("scores-is-a-folder", folder, "s.csv: cannot be read: Is a directory"),
    scores("scores-other-ending", GOOD, "s.xlsx: unknown kind of scores file '.xlsx'", file="s.xlsx"),
    row("scores-value-nan", "0.6", "nan", "s.csv:3: value is 'nan', expected a finite number", fast=True),
    row("scores-value-inf", "0.6", "-inf", "s.csv:3: value is '-inf', expected a finite number"),
    row("scores-value-huge", "0.6", "1e999", "s.csv:3: value is '1e999', expected a finite number"),
    row("scores-value-word", "0.6", "good", "s.csv:3: value is 'good', expected a finite number"),
    row("scores-value-underscore", "0.6", "1_0", "s.csv:3: value is '1_0', expected a finite number"),
    row("scores-value-arabic-digits", "0.6", "٠.٦", "s.csv:3: value is '٠.٦', expected a finite number"),
    row("scores-value-comma", "0.6", '"0,6"', "s.csv:3: value is '0,6', expected a finite number"),
    row("scores-n-float", ",10,", ",1.5,", "s.csv:3: n is '1.5', expected a whole number"),
    row("scores-n-negative", ",10,", ",-1,", "s.csv: row 2", "n is -1, expected a count"),
    row("scores-seed-huge", ",17,", f",{'9' * 20},", f"s.csv:3: seed is '{'9' * 20}', expected a whole number"),
    row("scores-seed-huger", ",17,", f",{'9' * 5000},", "s.csv:3: seed is '999", "expected a whole number"),
    row("scores-seed-underscore", ",17,", ",1_7,", "s.csv:3: seed is '1_7', expected a whole number"),
    row("scores-layer-word", ",17,,", ",17,last,", "s.csv:3: layer is 'last', expected a whole number"),
    row("scores-method-empty", "realigned", "", "s.csv: row 2: method is empty"),
    row("scores-row-twice", "realigned", "baseline", "s.csv: row 2", "the same score stands in row 1 already"),
    parquet("parquet-that-is-none", b"PAR1 no more", "s.parquet: cannot be read as Parquet", fast=True),
    parquet("parquet-empty", b"", "s.parquet: cannot be read as Parquet"),
    parquet("parquet-is-csv", GOOD, "s.parquet: cannot be read as Parquet"),
    parquet("parquet-cut", packed()[:-50], "s.parquet: cannot be read as Parquet"),
    parquet("parquet-damaged", damaged(), "s.parquet: "),
    parquet("parquet-column-missing", packed(seed=None), "s.parquet: column seed missing"),
    parquet("parquet-column-unknown", packed(extra=[1]), "s.parquet: unknown column 'extra'"),
    parquet("parquet-wrong-type", packed(value=["good"]), "s.parquet: ", "value double", fast=True),
    parquet("parquet-nested", packed(value=[[0.5]]), "s.parquet: ", "value double"),
    parquet("parquet-half-counts", packed(n=[1.5]), "s.parquet: ", "n int64"),
    parquet("parquet-no-utf-8", packed(run=pa.array([b"\xff"])), "s.parquet: "),
    parquet(
        "parquet-nul-value", packed(value=pa.array([None], pa.float64())), "s.parquet: column value is empty in row 1"
    ),
    parquet("parquet-nan", packed(value=[float("nan")]), "s.parquet: row 1", "value nan is not a number"),
    parquet("parquet-bomb", parquet_bomb, "s.parquet: it unpacks to more than 268435456 bytes"),
    parquet("parquet-pickled-extension", pickled(), "s.parquet: "),
    parquet("parquet-is-a-folder", folder, "s.parquet: cannot be read as Parquet: Is a directory"),
    parquet("parquet-is-a-pipe", fifo, "s.parquet: cannot be read as Parquet: is a pipe or a device"),
    scores("table-dimension-unknown", GOOD, "there is no dimension 'colour'", command="report table {} --rows colour"),
    scores("table-metric-without-value", GOOD, "--metric t: expected NAME=VALUE", command="report table {} --metric t"),
    scores("table-metric-unknown", GOOD, "task 't' has no metric 'f1'", command="report table {} --metric t=f1"),
    scores(
        "table-metric-twice",
        GOOD,
        "--metric t=f1: t is there twice",
        command="report table {} --metric t=accuracy --metric t=f1",
    ),
    scores(
        "table-decimals-arabic-digits",
        GOOD,
        "--decimals t=٣: expected TASK=N",
        command="report table {} --decimals t=٣",
    ),
    scores("table-decimals-huge", GOOD, "--decimals t=999", command="report table {} --decimals t=" + "9" * 5000),
    scores("table-source-unknown", GOOD, "unknown language 'xxq'", command="report table {} --source xxq"),
    scores("stats-method-unknown", GOOD, "no scores of method 'x'", command="report stats {} --method x"),
    scores(
        "compare-subset-without-scores",
        GOOD,
        "--subset fra: there are no scores in fra_Latn",
        command="compare {} --subset fra",
    ),
    scores("compare-format", GOOD, "--format pdf: there is no such format", command="compare {} --format pdf"),
    Case("compare-nothing", "compare none", ("no run, sweep or file of scores 'none'",)),
    Case("compare-overlong-name", "compare", ("no run, sweep or file of scores 'nnn",), words=("n" * 300,)),
    Case(
        "compare-damaged-run",
        "compare runs/a",
        ("runs/a/report-input.json is damaged",),
        {"runs/a/report-input.json": run_folder},
    ),
    Case(
        "compare-is-a-pipe",
        "compare s.csv",
        ("s.csv: cannot be read: is a pipe or a device, expected a file",),
        {"s.csv": fifo},
    ),
    Case("import-nothing", "report import-published in -o out.csv", ("in: cannot be read: No such file",)),
    Case(
        "import-folder-without-files",
        "report import-published in -o out.csv",
        ("in: holds no .csv files",),
        {"in": folder},
    ),
    published("import-empty-file", "", "in: no file has results"),
    published("import-no-results", "seed,method,speed\n1,a,2\n", "in: no file has results"),
    published(
        "import-column-missing",
        PUBLISHED.replace("seed", "sead"),
        "in/M__D__T.csv:1: there is no column 'seed'",
        "did you mean 'sead'",
        fast=True,
    ),
    published(
        "import-column-twice", PUBLISHED.replace("_fr_", "_de_"), "M__D__T.csv:1: column 'eval_de_accuracy' stands"
    ),
    published("import-short-row", PUBLISHED + "17,x\n", "M__D__T.csv:4: 2 values, expected 4"),
    published("import-value-word", PUBLISHED.replace("0.5", "good"), "M__D__T.csv:2: 'good' is no number"),
    published("import-value-underscore", PUBLISHED.replace("0.5", "1_0"), "M__D__T.csv:2: '1_0' is no number"),
    published("import-value-inf", PUBLISHED.replace("0.5", "inf"), "M__D__T.csv:2: 'inf' is no number"),
    published("import-value-over-100", PUBLISHED.replace("0.5", "101"), "eval_de_accuracy is 101, expected a share"),
    published("import-value-negative", PUBLISHED.replace("0.5", "-1"), "eval_de_accuracy is -1, expected a share"),
    published("import-seed-word", PUBLISHED.replace("17", "x"), "M__D__T.csv:2: 'x' is no number"),
    published(
        "import-seed-float", PUBLISHED.replace("17", "1.5"), "M__D__T.csv:2: seed is '1.5', expected a whole number"
    ),
    published("import-seed-huge", PUBLISHED.replace("17", "1e300"), "M__D__T.csv:2: seed is '1e300', expected a whole"),
    published("import-method-empty", PUBLISHED.replace("17,baseline", "17,"), "M__D__T.csv:2: the method is not said"),
    published(
        "import-two-values",
        PUBLISHED.replace("23", "17").replace("0.5,0.6\n", "0.4,0.6\n", 1),
        "seed 17 has accuracy",
        "--method-column",
    ),
    published("import-utf-16", PUBLISHED.encode("utf-16"), "M__D__T.csv:1: byte 0xff is not UTF-8"),
    published("import-is-a-pipe", fifo, "M__D__T.csv: cannot be read: is a pipe or a device"),
    published("import-long-cell", PUBLISHED + "r" * 200_000 + ",x,1,1\n", "M__D__T.csv:4: is not CSV: field larger"),
    published("import-method-column", PUBLISHED, "there is no column 'way'", more="--method-column way"),
    features("features-empty", "", "f.tsv: is empty"),
    features("features-short-row", "language\tsize\ndeu\n", "f.tsv:2: 1 values, expected 2"),
    features("features-inf", "language\tsize\ndeu\tinf\n", "f.tsv:2: size is 'inf', expected a finite number"),
    features("features-unknown-language", "language\tsize\nxxq\t1\n", "f.tsv:2: unknown language 'xxq'"),
    features("features-twice", "language\tsize\ndeu\t1\nde\t2\n", "f.tsv:3: deu_Latn stands in line 2 already"),
)
