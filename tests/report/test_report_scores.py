from __future__ import annotations

import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from report_sample import Sample

from xrealign.errors import DataError
from xrealign.report.scores import COLUMNS, SCHEMA, check_scores, read_scores, to_frame, write_scores
from xrealign.types import Score

ONE = Score("r", "baseline", "intents", "deu_Latn", "accuracy", 0.1 + 0.2, 100, 17)
TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn")), min_size=1, max_size=8)
EXACT = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)


@EXACT
@given(
    value=st.floats(allow_nan=False, allow_infinity=False),
    layer=st.none() | st.integers(0, 48),
    labels=st.none() | st.integers(0, 100),
    signature=st.sampled_from(["", "a:b|c:d", 'quote " comma , bar |', "日本語", " edge "]),
    seed=st.integers(-(2**62), 2**62),
)
@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_scores_read_back_bit_for_bit(
    ending: str, value: float, layer: int | None, labels: int | None, signature: str, seed: int, tmp_path: Path
) -> None:
    score = replace(ONE, value=value, layer=layer, labels=labels, signature=signature, seed=seed)
    found = read_scores(write_scores([score], tmp_path / f"s.{ending}"))
    assert found == [score]
    assert struct.pack("<d", found[0].value) == struct.pack("<d", value)


def test_both_files_hold_the_same_rows_in_order(run: Sample, tmp_path: Path) -> None:
    assert read_scores(write_scores(run.scores, tmp_path / "a.parquet")) == run.scores
    assert read_scores(write_scores(run.scores, tmp_path / "a.csv")) == run.scores
    assert pq.read_schema(tmp_path / "a.parquet").equals(SCHEMA)


def test_writing_twice_gives_the_same_bytes(run: Sample, tmp_path: Path) -> None:
    for ending in ("parquet", "csv"):
        first, second = tmp_path / f"a.{ending}", tmp_path / f"b.{ending}"
        write_scores(run.scores, first)
        write_scores(run.scores, second)
        assert first.read_bytes() == second.read_bytes()


def test_the_frame_keeps_missing_layers_missing(run: Sample) -> None:
    frame = to_frame(run.scores)
    assert tuple(frame.columns) == COLUMNS
    assert len(frame) == len(run.scores)
    assert str(frame["layer"].dtype) == "Int64"
    assert frame["layer"].isna().sum() == sum(score.layer is None for score in run.scores)
    assert frame["value"].tolist() == [score.value for score in run.scores]


def test_no_scores_are_an_empty_table(tmp_path: Path) -> None:
    for ending in ("parquet", "csv"):
        assert read_scores(write_scores([], tmp_path / f"a.{ending}")) == []
    assert list(to_frame([]).columns) == list(COLUMNS)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ([replace(ONE, value=float("nan"))], ["row 1", "deu_Latn", "nan"]),
        ([ONE, replace(ONE, seed=18, value=float("inf"))], ["row 2", "inf"]),
        ([replace(ONE, language="")], ["row 1", "language is empty"]),
        ([ONE, ONE], ["row 2", "row 1"]),
        ([replace(ONE, n=-1)], ["n is -1"]),
    ],
)
def test_scores_that_mean_nothing_are_refused(bad: list[Score], words: list[str], tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        write_scores(bad, tmp_path / "x.csv")
    assert all(word in str(error.value) for word in words), error.value
    assert not (tmp_path / "x.csv").exists()


HEADER = ",".join(COLUMNS)
ROW = "r,baseline,intents,deu_Latn,accuracy,0.5,100,17,,,,,"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["is empty", "run,method"]),
        (HEADER.replace("language", "langage") + "\n" + ROW, ["'langage'", "did you mean 'language'"]),
        (HEADER.replace(",seed", "") + "\n", ["seed", "missing"]),
        (HEADER + ",run\n", ["twice"]),
        (f"{HEADER}\n{ROW}\n{ROW},1", [":3:", "14 values, expected 13"]),
        (f"{HEADER}\n{ROW.replace('0.5', 'half')}", [":2:", "value is 'half'", "a finite number"]),
        (f"{HEADER}\n{ROW.replace('100', '1.5')}", [":2:", "n is '1.5'", "a whole number"]),
        (f"{HEADER}\n{ROW.replace('0.5', '')}", [":2:", "value is ''"]),
        (f"{HEADER}\n{ROW.replace('0.5', 'nan')}", [":2:", "value is 'nan'", "a finite number"]),
        (f'{HEADER}\n"{ROW}', ["is not CSV"]),
    ],
)
def test_a_broken_csv_file_says_what_and_where(text: str, words: list[str], tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as error:
        read_scores(path)
    assert all(word in str(error.value) for word in [str(path), *words]), error.value


def test_a_broken_parquet_file_says_what(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    path.write_bytes(b"PAR1 and then nothing")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        read_scores(path)
    good = pq.read_table(write_scores([ONE], tmp_path / "good.parquet"))
    pq.write_table(good.drop_columns(["seed"]), path)
    with pytest.raises(DataError, match="seed missing"):
        read_scores(path)
    pq.write_table(good.set_column(5, "value", pa.array(["half"])), path)
    with pytest.raises(DataError, match="value double"):
        read_scores(path)
    pq.write_table(good.set_column(5, "value", pa.array([None], pa.float64())), path)
    with pytest.raises(DataError, match=r"value|null"):
        read_scores(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_scores(tmp_path / "none.parquet")


def test_columns_may_stand_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    cells = dict(zip(COLUMNS, ROW.split(","), strict=True))
    order = sorted(COLUMNS)
    path.write_text(",".join(order) + "\n" + ",".join(cells[name] for name in order) + "\n", encoding="utf-8")
    assert read_scores(path) == [replace(ONE, value=0.5)]


def test_other_endings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\.xlsx.*\.parquet or \.csv"):
        write_scores([ONE], tmp_path / "a.xlsx")


def test_the_same_score_of_two_seeds_or_runs_is_no_duplicate() -> None:
    assert len(check_scores([ONE, replace(ONE, seed=18), replace(ONE, run="other")])) == 3


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_files_without_a_model_column_are_read_and_models_kept(ending: str, tmp_path: Path) -> None:
    path = write_scores([ONE, replace(ONE, model="xlm-r")], tmp_path / f"new.{ending}")
    assert [score.model for score in read_scores(path)] == ["", "xlm-r"]
    old = tmp_path / f"old.{ending}"
    if ending == "csv":
        old.write_text(HEADER.removesuffix(",model") + "\n" + ROW.removesuffix(",") + "\n", encoding="utf-8")
    else:
        pq.write_table(pq.read_table(write_scores([ONE], tmp_path / "one.parquet")).drop_columns(["model"]), old)
    assert [(score.model, score.task) for score in read_scores(old)] == [("", "intents")]


@pytest.mark.parametrize("column", ["signature", "value"])
def test_a_text_that_is_stored_once_and_unpacks_without_end(column: str, tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    table = pq.read_table(write_scores([ONE], path)).take([0] * 1024)
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 1024, pa.int32()), ["1" * 600_000])
    table = table.set_column(COLUMNS.index(column), column, text)
    pq.write_table(table, path, compression="zstd", store_schema=False, dictionary_pagesize_limit=1 << 24)
    assert path.stat().st_size < 100_000
    peak = (
        "import pyarrow, sys; from xrealign.errors import DataError; from xrealign.report.scores import read_scores\n"
        "try: read_scores(sys.argv[1])\n"
        "except DataError as error: print(pyarrow.default_memory_pool().max_memory(), error)"
    )
    done = subprocess.run([sys.executable, "-c", peak, str(path)], capture_output=True, text=True, check=True)
    assert "unpacks to more than" in done.stdout
    assert int(done.stdout.split()[0]) < 64 << 20, done.stdout


def test_columns_of_lists_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    table = pq.read_table(write_scores([ONE], path))
    pq.write_table(table.set_column(COLUMNS.index("task"), "task", pa.array([["x"]])), path)
    with pytest.raises(DataError, match=r"column task is of list<.*; expected run string"):
        read_scores(path)
    pq.write_table(table.set_column(COLUMNS.index("task"), "task", pa.array(["x"]).dictionary_encode()), path)
    assert read_scores(path) == [replace(ONE, task="x")], "texts in a dictionary are texts"
