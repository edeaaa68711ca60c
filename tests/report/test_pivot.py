from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace

import pytest

from xrealign.errors import ConfigError, DataError
from xrealign.report.pivot import main_metric, pivot
from xrealign.report.pivot_formats import write_pivot
from xrealign.report.text_table import TextTable, csv_cell, text_csv, text_latex, text_markdown
from xrealign.types import Score

ONE = Score("r", "baseline", "pos", "deu_Latn", "accuracy", 0.5, 0, 1, model="m")


def scores() -> list[Score]:
    """Two methods, two languages, three seeds, and English."""
    values = {"baseline": (0.5, 0.7), "full": (0.6, 0.7)}
    return [
        replace(ONE, method=method, language=tag, seed=seed, value=value + 0.01 * seed)
        for method, pair in values.items()
        for tag, value in (*zip(("deu_Latn", "tur_Latn"), pair, strict=True), ("eng_Latn", 0.95))
        for seed in (1, 2, 3)
    ]


def test_cells_are_means_over_languages_then_seeds() -> None:
    """Worked by hand: (0.5 + 0.7)/2 + 0.02 and (0.6 + 0.7)/2 + 0.02; one std of the baseline is 0.01."""
    table = pivot(scores(), ["method"], ["model", "task"], baseline="baseline")
    assert table.rows == (("baseline",), ("full",))
    base, full = (table.cells[row, ("m", "pos")] for row in table.rows)
    assert base.mean == pytest.approx(0.62, abs=1e-12)
    assert base.std == pytest.approx(0.01, abs=1e-12)
    assert full.mean == pytest.approx(0.67, abs=1e-12)
    assert (full.languages, full.seeds, base.counts) == (2, 3, None)
    assert full.counts is not None
    assert (full.counts.win, full.counts.tie, full.counts.loss) == (1, 1, 0)
    assert (full.counts.above, full.counts.below) == (1, 0)


def test_any_dimension_can_be_a_row_or_a_column() -> None:
    by_language = pivot(scores(), ["language"], ["method"], source="eng_Latn")
    assert by_language.cells[("tur_Latn",), ("full",)].mean == pytest.approx(0.72)
    assert ("eng_Latn",) in by_language.rows
    by_seed = pivot(scores(), ["method", "task"], ["seed"])
    assert by_seed.cells[("full", "pos"), ("3",)].mean == pytest.approx(0.68)
    everything = pivot(scores(), ["method"], ["task"], source=None)
    assert everything.cells[("baseline",), ("pos",)].languages == 3


def test_only_languages_of_all_rows_are_averaged() -> None:
    some = [s for s in scores() if (s.method, s.language) != ("full", "tur_Latn")]
    table = pivot(some, ["method"], ["task"])
    assert table.cells[("baseline",), ("pos",)].mean == pytest.approx(0.52)
    assert any("left out: tur_Latn" in note for note in table.notes)


def test_cells_with_fewer_seeds_are_told() -> None:
    some = [s for s in scores() if (s.method, s.seed) != ("full", 3)]
    table = pivot(some, ["method"], ["task"])
    assert table.cells[("full",), ("pos",)].seeds == 2
    assert any("fewer than 3 seeds: full, pos (2)" in note for note in table.notes)


@pytest.mark.parametrize(
    ("metrics", "main"),
    [
        (["accuracy"], "accuracy"),
        (["precision", "recall", "f1", "accuracy"], "f1"),
        (["em", "f1"], "f1"),
        (["accuracy", "macro_f1"], "accuracy"),
        (["macro_f1", "mcc"], "macro_f1"),
        (["bleu", "chrf"], "bleu"),
    ],
)
def test_each_task_has_its_main_metric(metrics: list[str], main: str) -> None:
    assert main_metric(metrics) == main


def test_metrics_and_decimals_can_be_asked_for() -> None:
    both = scores() + [replace(s, metric="f1", value=s.value / 2) for s in scores()]
    assert pivot(both, ["method"], ["task"]).metrics == {"pos": "f1"}
    table = pivot(both, ["method"], ["task"], metrics={"pos": "accuracy"}, decimals={"pos": 3})
    assert write_pivot(table, "csv") == "method,pos\nbaseline,62.000\nfull,67.000\n"
    assert write_pivot(pivot(both, ["method"], ["metric"]), "csv").splitlines()[0] == "method,accuracy,f1"
    exact = [replace(s, metric=name) for s in scores() for name in ("em", "f1")]
    assert write_pivot(pivot(exact, ["method"], ["task"]), "csv") == "method,pos\nbaseline,62.0\nfull,67.0\n"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rows": ["methods"]}, "'methods'; did you mean 'method'"),
        ({"columns": ["method"]}, "twice"),
        ({"columns": []}, "at least one dimension"),
        ({"metrics": {"pos": "f1"}}, "no metric 'f1'"),
        ({"metrics": {"ner": "f1"}}, "given for 'ner'"),
        ({"decimals": {"ner": 1}}, "given for 'ner'"),
    ],
)
def test_what_is_not_there_is_said(change: dict[str, object], words: str) -> None:
    asked: dict[str, object] = {"rows": ["method"], "columns": ["task"], **change}
    with pytest.raises((ConfigError, DataError), match=words):
        pivot(scores(), **asked)  # type: ignore[arg-type]


def test_scores_that_would_be_mixed_are_refused() -> None:
    two = scores() + [replace(s, model="n", value=s.value / 2) for s in scores()]
    with pytest.raises(DataError, match="add model to the rows or columns"):
        pivot(two, ["method"], ["task"])
    with pytest.raises(DataError, match="but those of the source language"):
        pivot([s for s in scores() if s.language == "eng_Latn"], ["method"], ["task"])
    with pytest.raises(DataError, match="no scores of a task"):
        pivot([replace(ONE, variant="raw")], ["method"], ["task"])


def test_json_has_every_number_and_no_nan() -> None:
    table = pivot([*scores()[:1], replace(ONE, method="full", task="ner", value=0.25)], ["method"], ["task"])
    found = json.loads(write_pivot(table, "json"), parse_constant=pytest.fail)
    assert [cell["percent"] for cell in found["cells"]] == ["51.00", "25.00"]
    assert found["cells"][0]["std"] is None
    assert write_pivot(table, "csv", spread=True) == "method,pos,ner\nbaseline,51.00,\nfull,,25.00\n"
    assert "| – |" in write_pivot(table, "md")


EVIL = ["=1+2", "+cmd", "-2+3", "@x", "a|b", "50% & $x_1$ #2 {y} ~^\\", "<script>", "*[a](b)*", "line\nbreak"]


def test_text_tables_escape_everything() -> None:
    table = TextTable("evil_%", ("name", "value"), tuple((text, "-0.5") for text in EVIL), notes=("50%",))
    rows = list(csv.reader(io.StringIO(text_csv(table))))
    assert [row[0] for row in rows[1:5]] == ["'=1+2", "'+cmd", "'-2+3", "'@x"]
    assert {row[1] for row in rows[1:]} == {"-0.5"}
    lines = [line for line in text_markdown(table).splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(EVIL)
    assert {len(re.split(r"(?<!\\)\|", line)) for line in lines} == {4}
    assert "<script>" not in re.sub(r"\\<", "", text_markdown(table))
    latex = text_latex(table)
    body = latex.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    assert len(body) == len(EVIL)
    assert all(len(re.findall(r"(?<!\\)&", line)) == 1 and line.endswith(r" \\") for line in body)
    assert not re.search(r"(?<!\\)[%#]", latex)
    assert latex.count(r"\begin{") == latex.count(r"\end{")
    assert body[-2].startswith("{}*")


@pytest.mark.parametrize("number", ["-0.5", "+1,234.5", "-1e-05", "0"])
def test_numbers_are_no_formulas(number: str) -> None:
    assert csv_cell(number) == number
