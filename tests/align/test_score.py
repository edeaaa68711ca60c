"""Scores of links: worked by hand, by brute force, against published output files; malformed files; the command."""

from __future__ import annotations

import csv
import io
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from xrealign.align.score import link_counts, measures, read_gold, score_files, score_links
from xrealign.cli import app
from xrealign.errors import ConfigError, DataError
from xrealign.types import WordAlignment

# AER of awesome-align's published output files (Dou & Neubig 2021, arXiv 2101.08231)
PUBLISHED = {"eng-fra": 0.0407, "ron-eng": 0.2075, "jpn-eng": 0.3734, "zho-eng": 0.1331}


def gold(sure: str, possible: str = "", size: int = 9) -> WordAlignment:
    return WordAlignment.from_pharaoh(f"{sure} {possible.replace('-', 'p')}", size, size)


def links(text: str) -> frozenset[tuple[int, int]]:
    return WordAlignment.from_pharaoh(text, 9, 9).links


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_worked_by_hand() -> None:
    truth = [gold("0-0 1-1", "2-1 2-2"), gold("0-1")]
    found = [links("0-0 2-1 3-3"), links("0-1 1-0")]
    # |A| = 5, |S| = 3, |A∩S| = 2 (0-0, 0-1), |A∩P| = 3 (and 2p1)
    scores = score_links(truth, found)
    assert (scores.pairs, scores.links, scores.sure, scores.possible) == (2, 5, 3, 5)
    assert scores.precision.value == pytest.approx(3 / 5, abs=1e-15)
    assert scores.recall.value == pytest.approx(2 / 3, abs=1e-15)
    assert scores.f1.value == pytest.approx(2 * (3 / 5) * (2 / 3) / (3 / 5 + 2 / 3), abs=1e-15)
    assert scores.aer.value == pytest.approx(1 - 5 / 8, abs=1e-15)


def test_perfect_and_empty_links() -> None:
    truth = [gold("0-0 1-1", "2-2"), gold("3-3")]
    perfect = score_links(truth, [pair.links for pair in truth])
    assert [e.value for e in (perfect.precision, perfect.recall, perfect.f1, perfect.aer)] == [1, 1, 1, 0]
    assert (perfect.aer.low, perfect.aer.high) == (0, 0)
    empty = score_links(truth, [frozenset(), frozenset()])
    assert (empty.precision.value, empty.f1.value) == (None, None)  # 0/0 is not 0
    assert (empty.recall.value, empty.aer.value) == (0, 1)


cells = st.frozensets(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=8)


@given(st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=5))
def test_brute_force(rows: list[tuple[frozenset, frozenset, frozenset]]) -> None:
    truth = [WordAlignment(sure, 5, 5, sure | possible) for sure, possible, _ in rows]
    got = measures(link_counts(truth, [found for *_, found in rows]).sum(axis=0, keepdims=True))[0]
    made = sure_count = in_sure = in_possible = 0
    for sure, possible, found in rows:  # every cell of every matrix, one by one
        for i in range(5):
            for j in range(5):
                a, s = (i, j) in found, (i, j) in sure
                made, sure_count = made + a, sure_count + s
                in_sure, in_possible = in_sure + (a and s), in_possible + (a and (s or (i, j) in possible))
    expected = [
        Fraction(in_possible, made) if made else None,
        Fraction(in_sure, sure_count) if sure_count else None,
        None,
        1 - Fraction(in_sure + in_possible, made + sure_count) if made + sure_count else None,
    ]
    if made and sure_count:
        p, r = expected[:2]
        expected[2] = 2 * p * r / (p + r) if p + r else Fraction(0)
    for value, wanted in zip(got, expected, strict=True):
        assert np.isnan(value) if wanted is None else value == pytest.approx(float(wanted), abs=1e-12)
    if not any(possible - sure for sure, possible, _ in rows) and not np.isnan(got[2]):
        assert got[3] == pytest.approx(1 - got[2], abs=1e-12)


def test_intervals_agree_with_resampling_pair_by_pair() -> None:
    random = np.random.Generator(np.random.PCG64(5))
    truth, found = [], []
    for _ in range(60):
        sure = frozenset((i, i) for i in range(9))
        truth.append(WordAlignment(sure, 9, 9))
        found.append(frozenset((i, i if random.random() < 0.7 else (i + 1) % 9) for i in range(9)))
    scores = score_links(truth, found, resamples=4000)
    hits = np.array([len(f & g.links) for f, g in zip(found, truth, strict=True)])
    drawn = random.integers(0, 60, size=(4000, 60))
    low, high = np.quantile(1 - hits[drawn].sum(axis=1) / (60 * 9), [0.025, 0.975])
    # Monte Carlo error of a 2.5 % quantile from 4,000 draws is about 0.03 of the interval's width
    assert scores.aer.low == pytest.approx(low, abs=0.1 * (high - low))
    assert scores.aer.high == pytest.approx(high, abs=0.1 * (high - low))
    assert scores == score_links(truth, found, resamples=4000)
    assert scores.aer != score_links(truth, found, resamples=4000, seed=1).aer


@pytest.mark.data
@pytest.mark.parametrize("pair", PUBLISHED)
def test_published_output_files(data_pack: Path, pair: str) -> None:
    folder = data_pack / "starter" / "alignments"
    scores = score_files(folder / f"{pair}.tsv", folder / "reference" / f"{pair}.awesome-align.txt")
    assert scores.aer.value == pytest.approx(PUBLISHED[pair], abs=5e-5)
    assert scores.aer.low < scores.aer.value < scores.aer.high


def test_gold_as_tsv_as_pharaoh_and_one_based(tmp_path: Path) -> None:
    table = write(tmp_path / "g.tsv", "a b\tx y z\t0-0 1p2\r\nc\tz\t\n")
    alone = write(tmp_path / "g.pharaoh", "0-0 1p2\n\n")
    one = write(tmp_path / "g1", "1-1 2p3\n\n")
    found = write(tmp_path / "links.anything", "1-2 0-0:0.75\n\n")
    scores = score_files(table, found)
    assert scores.as_record() == score_files(alone, found).as_record()
    assert scores.as_record() == score_files(one, found, gold_base=1).as_record()
    assert scores.as_record() == score_files(table, write(tmp_path / "l1", "1-1 2-3\n\n"), links_base=1).as_record()
    assert scores.recall.value == 1
    first, second = read_gold(table)
    assert (first.src_length, first.tgt_length, second.src_length) == (2, 3, 1)
    assert (first.links, first.possible) == ({(0, 0)}, {(0, 0), (1, 2)})


@pytest.mark.parametrize(
    ("gold_text", "links_text", "message"),
    [
        ("a\tb\t0-0\nc\td\t0-0\n", "0-0\n", r"links has 1 lines of links, .*gold has 2 sentence pairs"),
        ("a\tb\t0-0\n", "0-0\n0-0\n", r"links has 2 lines of links, .*gold has 1 "),
        ("a\tb\t0-0\n", "0-1\n", r"links:1: link 0-1 points outside sentences of 1 and 1 words"),
        ("a\tb\t0-1\n", "0-0\n", r"gold:1: link 0-1 points outside"),
        ("a\tb\t0-0\n", "0:0\n", r"links:1: '0:0' is not a link"),
        ("a\tb\t0-0\n", "0-0:high\n", r"links:1: '0-0:high': 'high' is not a score"),
        ("a\tb\t0-0\n", "-1-0\n", r"links:1: '-1-0' is not a link"),
        ("a\tb\t0-0\n", "9" * 5000 + "-0\n", r"links:1: '9+'… is not a link"),
        ("a\tb\t0-0\na\tb\n", "0-0\n0-0\n", r"gold:2: 2 tab-separated columns, expected 3"),
        ("0-0\na\tb\t0-0\n", "0-0\n0-0\n", r"gold:2: 3 tab-separated columns, expected 1"),
        ("a\tb\t0p0\n", "0-0\n", r"gold: no sure links"),
        ("", "", r"gold: no lines"),
        ("a\tb\t0-0\n", "0-\0\n", r"links:1: NUL"),
    ],
)
def test_malformed(tmp_path: Path, gold_text: str, links_text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        score_files(write(tmp_path / "gold", gold_text), write(tmp_path / "links", links_text))


def test_base_one_has_no_word_zero(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"links:1: link 0-1: words are counted from 1 here"):
        score_files(write(tmp_path / "gold", "1-1\n"), write(tmp_path / "links", "0-1\n"), 1, 1)


def test_command(tmp_path: Path) -> None:
    table = write(tmp_path / "g.tsv", "a b\tx y\t0-0 1-1\nc d\tz w\t0-1 1p0\n")
    found = write(tmp_path / "links", "0-0\n0-1 1-1\n")

    def run(*more: str) -> str:
        arguments = ["align", "score", "--gold", str(table), "--links", str(found), *more]
        result = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    record = json.loads(run("--format", "json"))
    assert set(record) >= {"precision", "recall", "f1", "aer"}
    assert set(record["aer"]) == {"value", "low", "high"}
    assert record["recall"]["value"] == 2 / 3  # unrounded
    rows = list(csv.DictReader(io.StringIO(run("--format", "csv"))))
    assert [row["measure"] for row in rows] == ["precision", "recall", "f1", "aer"]
    assert float(rows[1]["value"]) == 2 / 3
    assert "| recall | 0.6667 |" in run("--format", "markdown")
    assert r"recall & 0.6667 &" in run("--format", "latex")
    assert "recall 0.6667 0." in " ".join(run().split())
    with pytest.raises(ConfigError, match="did you mean 'json'"):
        run("--format", "jsn")
    found.write_text("\n\n")
    assert json.loads(run("--format", "json"))["precision"] == {"value": None, "low": None, "high": None}
    assert "precision – – –" in " ".join(run().split())
