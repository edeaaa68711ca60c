from __future__ import annotations

import csv
import io
import itertools
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_sample import NASTY, Sample
from rich.cells import cell_len
from rich.console import Console

from xrealign.report.format import code_block, code_span, duration, latex, markdown, percent, plain, points
from xrealign.report.measures import measure_summaries
from xrealign.report.scale import scale_for
from xrealign.report.summary import Difference, Summary
from xrealign.report.tables import (
    FORMATS,
    Column,
    Table,
    group_table,
    language_table,
    measure_table,
    to_csv,
    to_json,
    to_latex,
    to_markdown,
)
from xrealign.report.write import print_report

ANY = settings(max_examples=100, deadline=None, database=None)


def cells(line: str) -> list[str]:
    """A GitHub table row split as GitHub splits it: at bars without a backslash."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_markdown_holds_every_cell_and_no_markup_of_data(summary: Summary) -> None:
    table = language_table(summary)
    lines = to_markdown(table).strip().split("\n")
    assert len(lines) == 2 + len(summary.languages)
    assert {len(cells(line)) for line in lines} == {len(table.columns)}
    assert not re.search(r"(?<!\\)<", "\n".join(lines))
    row = next(line for line in lines if line.startswith("| bul"))
    scores = next(one for one in summary.languages if one.language.iso == "bul").scores
    assert cells(row)[6:10] == [percent(scores.values[name]) for name in summary.methods]


def test_csv_and_json_hold_raw_numbers(summary: Summary) -> None:
    table = group_table(summary)
    rows = list(csv.DictReader(io.StringIO(to_csv(table))))
    records = json.loads(to_json(table))["rows"]
    for row, record, group in zip(rows, records, (summary.targets, *summary.groups), strict=True):
        assert record["group"] == row["group"] == group.name
        if not group.languages:
            assert row["realigned"] == ""
            assert record["realigned"] is None
            continue
        change = group.scores.differences["baseline"]
        assert change.interval is not None
        assert float(row["realigned"]) == record["realigned"] == group.scores.values["realigned"]
        assert float(row["change_low"]) == record["change_low"] == change.interval.low
    assert list(records[0]) == list(rows[0])


def test_latex_escapes_data_and_balances(summary: Summary, run: Sample) -> None:
    text = to_latex(language_table(summary))
    assert text.count(r"\begin{") == text.count(r"\end{") == 2
    assert NASTY not in text
    assert not re.search(r"(?<!\\)[%#]", text)
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().split("\n")
    for line in body:
        assert len(re.findall(r"(?<!\\)&", line)) == len(language_table(summary).columns) - 1
        assert line.endswith(r" \\")
    assert to_latex(measure_table(measure_summaries(run.scores, run.groups, run.context)[0])).count(r"\toprule") == 1


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(summary: Summary, tmp_path: Path) -> None:
    text = to_latex(group_table(summary))
    document = "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\n" + text + "\\end{document}\n"
    (tmp_path / "t.tex").write_text(document, encoding="utf-8")
    subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"], cwd=tmp_path, check=True, timeout=60
    )


def test_latex_special_characters_one_by_one() -> None:
    assert latex(r"50% & $x_1$ #2 {a} ~ ^ \n") == (
        r"50\% \& \$x\_1\$ \#2 \{a\} \textasciitilde{} \textasciicircum{} \textbackslash{}n"
    )
    row = to_latex(Table("t", (Column("a", "a"), Column("b", "b", "change")), (("[x]", Difference(-0.05, None)),)))
    assert r"{}[x] & $-$5.0 \\" in row


@ANY
@given(st.text(max_size=40))
def test_plain_text_is_one_harmless_line(text: str) -> None:
    found = plain(text)
    assert not set(found) & set("\n\r\t\x1b\x00\x9b\u202e\u2066\u2028\u2029")
    assert plain(found) == found
    assert "\n" not in markdown(text)


@ANY
@given(st.text(alphabet="`ab \n", min_size=1, max_size=30))
def test_code_cannot_break_out(text: str) -> None:
    block = code_block(text).split("\n")
    assert block[0] == block[-1]
    assert not any(line.strip().startswith(block[0]) for line in block[1:-1])
    span = code_span(text)
    fence = re.match("`+", code_span("x" + text))
    assert fence is not None
    inner = code_span("x" + text)[len(fence[0]) : -len(fence[0])]
    assert fence[0] not in re.findall("`+", inner)
    assert "\n" not in span


def test_numbers_as_people_read_them() -> None:
    assert [percent(0.5874), percent(1.0), percent(0.0), percent(None)] == ["58.7", "100.0", "0.0", "–"]
    assert [points(0.0361), points(-0.05), points(0.0004), points(-0.0004)] == ["+3.6", "−5.0", "0.0", "0.0"]
    assert [duration(0.41), duration(48), duration(364), duration(7530)] == [
        "0.4 s",
        "48 s",
        "6 min 04 s",
        "2 h 05 min",
    ]


@ANY
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=10), st.integers(3, 12))
def test_an_axis_holds_its_values_with_few_round_ticks(values: list[float], most: int) -> None:
    scale = scale_for(values, most)
    assert scale.low <= min(values) + 1e-8
    assert max(values) - 1e-8 <= scale.high
    assert scale.low < scale.high
    assert 2 <= len(scale.ticks) <= max(most, 5)
    places = [float(scale.at(tick).rstrip("%")) for tick in scale.ticks]
    assert places[0] == 0
    assert places[-1] == 100
    gaps = [after - before for before, after in itertools.pairwise(places)]
    assert max(gaps) - min(gaps) < 0.02


def test_an_axis_of_shares_stays_between_none_and_all() -> None:
    assert (scale_for([0.31, 1.0], 11, (0, 1)).low, scale_for([0.31, 1.0], 11, (0, 1)).high) == (0.3, 1.0)
    assert scale_for([1.0], 11, (0, 1)).high <= 1.0
    assert (scale_for([]).low, scale_for([]).high) == (0, 1)


@pytest.mark.parametrize("width", [80, 132])
def test_the_terminal_report_fits(run: Sample, summary: Summary, width: int) -> None:
    out = io.StringIO()
    print_report(run.scores, run.groups, run.context, run.items, Console(file=out, width=width))
    text = out.getvalue()
    assert max(cell_len(line) for line in text.split("\n")) <= width
    for title in ("baseline", "centred", "control", "realigned", "difference", "to control", "labels", "95 %"):
        assert title in text
    lines = text.split("\n")
    start = lines.index("By language")
    for row in summary.languages:
        found = [line for line in lines[start:] if f" {row.language.tag} " in line]
        assert len(found) >= 1
        shown = found[0].split(row.language.tag)[1].split()
        assert shown[1] == percent(row.scores.values["baseline"])
        assert points(row.scores.differences["baseline"].value) in shown
    assert "…" not in "".join(
        line for line in lines[: lines.index("By language")] if "95" not in line and "+" not in line and "−" not in line
    )
    assert "Realignment raises accuracy on intents" in text
    assert "\x1b" not in text


def test_a_name_cannot_send_commands_to_the_terminal(run: Sample) -> None:
    tag = run.groups["in the subset"][0]
    language = run.context["languages"][tag]
    evil = replace(language, name="[bold red]x[/] \x1b[2J\u202e")
    context = run.context | {"languages": {**run.context["languages"], tag: evil}}
    out = io.StringIO()
    print_report(run.scores, run.groups, context, run.items, Console(file=out, width=120))  # type: ignore[arg-type]
    assert "\x1b[2J" not in out.getvalue()
    assert "\u202e" not in out.getvalue()
    assert "[bold red]x[/]" in out.getvalue()


def test_every_format_is_listed(summary: Summary) -> None:
    assert set(FORMATS) == {"md", "csv", "latex", "json"}
    assert all(write(group_table(summary)) for write in FORMATS.values())
