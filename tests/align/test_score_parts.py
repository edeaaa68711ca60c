"""Scores of each pair and of each tag, by hand and by brute force; tag files, faulty ones too; what is printed."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from xrealign.align.score import METRICS, read_gold, read_links, score_files, score_links
from xrealign.align.score_parts import read_tags, score_by_tag, score_pairs
from xrealign.align.show import SCORE_FORMATS, check_form, show_scores
from xrealign.cli import app
from xrealign.errors import ConfigError, DataError
from xrealign.types import WordAlignment

GOLD = "the dog\tder Hund\t0-0 1-1\nsees it\tsieht ihn\t0-0 1p1 1-1\nno links\thier nicht\t\n"
LINKS = "0-0 1-0\n0-0 1-1\n\n"
LINES = "DET NOUN\nVERB PRON\nDET NOUN\n"
CONLLU = """# sent_id = 1
# text = the dog
1-2\tthedog\t_\t_\t_\t_\t_\t_\t_\t_
1\tthe\t_\tDET\t_\t_\t_\t_\t_\t_
2\tdog\t_\tNOUN\t_\t_\t_\t_\t_\t_

1\tsees\t_\tVERB\t_\t_\t_\t_\t_\t_
1.1\tgap\t_\tX\t_\t_\t_\t_\t_\t_
2\tit\t_\tPRON\t_\t_\t_\t_\t_\t_


1\tno\t_\tDET\t_\t_\t_\t_\t_\t_
2\tlinks\t_\tNOUN\t_\t_\t_\t_\t_\t_
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


@pytest.fixture
def both(tmp_path: Path) -> tuple[list[WordAlignment], list[frozenset[tuple[int, int]]]]:
    gold = write(tmp_path / "gold.tsv", GOLD)
    truth = read_gold(gold)
    return truth, read_links(write(tmp_path / "links", LINKS), truth, gold)


def test_pairs_worked_by_hand(both: tuple) -> None:
    first, second, third = score_pairs(*both)
    assert (first.pair, first.links, first.sure, first.possible, first.links_sure, first.links_possible) == (
        1, 2, 2, 2, 1, 1,
    )  # fmt: skip
    assert (first.precision, first.recall, first.f1, first.aer) == (0.5, 0.5, 0.5, 0.5)
    assert (second.precision, second.recall, second.f1, second.aer) == (1, 1, 1, 0)
    assert (third.links, third.precision, third.recall, third.f1, third.aer) == (0, None, None, None, None)


def test_tags_worked_by_hand(both: tuple, tmp_path: Path) -> None:
    tags = read_tags(write(tmp_path / "tags", LINES), both[0], "src", tmp_path / "gold.tsv")
    scores = score_by_tag(*both, tags)
    assert list(scores) == ["DET", "NOUN", "PRON", "VERB"]
    det, noun = scores["DET"], scores["NOUN"]
    assert (det.pairs, det.links, det.sure, det.possible) == (2, 1, 1, 1)
    assert (det.precision.value, det.recall.value, det.aer.value) == (1, 1, 0)
    assert (noun.precision.value, noun.recall.value, noun.f1.value, noun.aer.value) == (0, 0, 0, 1)
    other = score_by_tag(*both, tags, "tgt")  # 0-0 and 1-0 fall on the first target word
    assert (other["DET"].links, other["DET"].precision.value, other["NOUN"].links) == (2, 0.5, 0)
    assert other["NOUN"].precision.value is None
    assert other["NOUN"].recall.value == 0


def test_conllu_equals_lines(both: tuple, tmp_path: Path) -> None:
    packed = tmp_path / "c.conllu.gz"
    packed.write_bytes(gzip.compress(("\ufeff" + CONLLU).replace("\n", "\r\n").encode()))
    bare = write(tmp_path / "bare", CONLLU.partition("# text = the dog\n")[2] + "\n# the end\n")
    for path in (write(tmp_path / "tags", LINES), write(tmp_path / "c.conllu", CONLLU), packed, bare):
        assert read_tags(path, both[0], "tgt", tmp_path / "gold.tsv") == [t.split() for t in LINES.splitlines()]
    penn = write(tmp_path / "penn", "# CD\n# CD\n# CD\n")  # Penn Treebank's tag for #
    assert read_tags(penn, both[0], "src", tmp_path / "gold.tsv") == [["#", "CD"]] * 3


cells = st.frozensets(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=6)
word_tags = st.lists(st.sampled_from(["A", "B", "C"]), min_size=4, max_size=4)


@given(st.lists(st.tuples(cells, cells, cells, word_tags), min_size=1, max_size=4), st.sampled_from(["src", "tgt"]))
def test_tags_equal_scoring_filtered_links(rows: list[tuple], side: str) -> None:
    truth = [WordAlignment(sure, 4, 4, sure | possible) for sure, possible, *_ in rows]
    found = [links for *_, links, _ in rows]
    tags = [tags for *_, tags in rows]
    got = score_by_tag(truth, found, tags, side, resamples=100)
    assert set(got) == {tag for sentence in tags for tag in sentence}
    for tag, scores in got.items():

        def kept(links: frozenset, sentence: list[str], tag: str = tag) -> frozenset:
            return frozenset(link for link in links if sentence[link[side == "tgt"]] == tag)

        cut_truth = [
            WordAlignment(kept(pair.links, t), 4, 4, kept(pair.possible, t))
            for pair, t in zip(truth, tags, strict=True)
        ]
        cut = score_links(cut_truth, [kept(f, t) for f, t in zip(found, tags, strict=True)], resamples=100)
        assert {**scores.as_record(), "pairs": 0} == {**cut.as_record(), "pairs": 0}
    totals = score_links(truth, found, resamples=100)
    assert sum(scores.links for scores in got.values()) == totals.links
    assert sum(scores.possible for scores in got.values()) == totals.possible


@given(st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=4))
def test_pairs_equal_scoring_each_alone(rows: list[tuple]) -> None:
    truth = [WordAlignment(sure, 4, 4, sure | possible) for sure, possible, _ in rows]
    found = [links for *_, links in rows]
    for pair, alone in zip(score_pairs(truth, found), zip(truth, found, strict=True), strict=True):
        whole = score_links([alone[0]], [alone[1]], resamples=100)
        assert [getattr(pair, m) for m in METRICS] == [getattr(whole, m).value for m in METRICS]
        assert (pair.links, pair.sure, pair.possible) == (whole.links, whole.sure, whole.possible)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("DET NOUN\nVERB PRON\n", r"tags has tags of 2 sentences, .*gold\.tsv has 3 sentence pairs"),
        ("DET NOUN\nVERB\nDET NOUN\n", r"tags:2: 1 tags, but line 2 of .*gold\.tsv has 2 words on the src side"),
        ("DET NOUN X\nVERB PRON\nDET NOUN\n", r"tags:1: 3 tags, but line 1 of .*gold\.tsv has 2 words"),
        (CONLLU.replace("2\tit\t_\tPRON\t_", "2\tit\tPRON\t_"), r"tags:9: 9 tab-separated columns, expected 10"),
        (CONLLU.replace("_\tVERB", "_\t"), r"tags:7: the fourth column \(UPOS\) is empty"),
        (CONLLU.replace("2\tit\t_\tPRON\t_\t_\t_\t_\t_\t_\n", ""), r"tags:7: 1 tags, but line 2"),
        ("", r"tags has tags of 0 sentences"),
        ("DET\0NOUN\n", r"tags:1: NUL"),
    ],
)
def test_faulty_tags(tmp_path: Path, text: str, message: str) -> None:
    gold = write(tmp_path / "gold.tsv", GOLD)
    with pytest.raises(DataError, match=message):
        read_tags(write(tmp_path / "tags", text), read_gold(gold), "src", gold)


def test_tags_of_gold_without_text(tmp_path: Path) -> None:
    gold = write(tmp_path / "gold", "0-0 1-1\n")
    truth = read_gold(gold)
    three = read_tags(write(tmp_path / "three", "A B C\n"), truth, "src", gold)  # the third word has no link
    with pytest.raises(DataError, match=r"one:1: 1 tags, but line 1 of .* reaches word 2 on the tgt side"):
        read_tags(write(tmp_path / "one", "A\n"), truth, "tgt", gold)
    with pytest.raises(DataError, match="pair 1: link 5-0 lies beyond the 3 tags of its src side"):
        score_by_tag(truth, [frozenset({(5, 0)})], three)
    with pytest.raises(ConfigError, match="--tags-side left is unknown"):
        score_by_tag(truth, [frozenset()], three, "left")


def test_intervals_of_a_tag_hold_its_value() -> None:
    random = np.random.Generator(np.random.PCG64(2))
    truth = [WordAlignment(frozenset((i, i) for i in range(6)), 6, 6) for _ in range(80)]
    found = [frozenset((i, i if random.random() < 0.7 else (i + 1) % 6) for i in range(6)) for _ in truth]
    for scores in score_by_tag(truth, found, [list("AABBBC")] * 80).values():
        for name in METRICS:
            estimate = getattr(scores, name)
            assert estimate.low < estimate.value < estimate.high
            assert estimate.high - estimate.low < 0.3


def test_what_is_printed(both: tuple, tmp_path: Path) -> None:
    scores, pairs = score_links(*both, resamples=100), score_pairs(*both)
    tags = score_by_tag(*both, [["N_1", "A|B"]] * 3, resamples=100)
    record = json.loads(show_scores(scores, "json", pairs, tags))
    assert record["per_pair"][2]["aer"] is None
    assert record["per_pair"][0]["recall"] == 0.5
    assert set(record["by_tag"]) == {"N_1", "A|B"}
    assert set(record["by_tag"]["N_1"]["aer"]) == {"value", "low", "high"}
    assert "per_pair" not in json.loads(show_scores(scores, "json"))
    rows = list(csv.DictReader(io.StringIO(show_scores(scores, "csv", pairs))))
    assert [row["pair"] for row in rows] == ["1", "2", "3"]
    assert rows[2]["precision"] == ""
    rows = list(csv.DictReader(io.StringIO(show_scores(scores, "csv", tags=tags))))
    assert [row["tag"] for row in rows] == ["", "", "", "", *["A|B"] * 4, *["N_1"] * 4]
    assert float(rows[3]["value"]) == scores.aer.value
    markdown = show_scores(scores, "markdown", pairs, tags)
    assert r"| A\|B | 3 |" in markdown
    assert "| 3 | 0 | 0 | 0 | 0 | 0 | – | – | – | – |" in markdown
    assert markdown.count("|---|---:") == 3
    latex = show_scores(scores, "latex", pairs, tags)
    assert r"N\_1 & 3 & " in latex
    assert latex.count(r"\begin{tabular}") == 3
    plain = show_scores(scores, "table", pairs, tags)
    assert "by part of speech" in plain
    assert len({len(line) for line in plain.split("\n\n")[2].splitlines()[:-1]}) == 1
    with pytest.raises(ConfigError, match="csv holds one table"):
        check_form("csv", per_pair=True, by_tag=True)
    with pytest.raises(ConfigError, match="did you mean 'latex'"):
        show_scores(scores, "latx")
    assert {show_scores(scores, form, pairs) for form in SCORE_FORMATS}


@pytest.mark.parametrize(
    ("form", "tag", "expected"),
    [
        ("csv", '=HYPERLINK("http://e.vil","x")', "\"'=HYPERLINK("),
        ("csv", "N\x1b]0;pwned\x07", "N\ufffd]0;pwned\ufffd,"),
        ("table", "N\x1b]0;pwned\x07", "N\\x1b]0;pwned\\x07  "),
        ("json", "N\x9b31m", '"N\\u009b31m"'),
        (
            "markdown",
            "<img/src=x/onerror=alert(1)>[x](http://e.vil)",
            r"| \<img/src=x/onerror=alert(1)\>\[x\](http\://",
        ),
        ("latex", "[9pt]", "\n{}[9pt] & "),
        ("latex", "a<b|c", r"a\textless{}b\textbar{}c & "),
    ],
)
def test_a_tag_is_text_whatever_it_is(both: tuple, form: str, tag: str, expected: str) -> None:
    scores = score_links(*both, resamples=100)
    shown = show_scores(scores, form, tags=score_by_tag(*both, [[tag, tag]] * 3, resamples=100))
    assert expected in shown
    assert not set("\x1b\x07\x9b") & set(shown)


@pytest.mark.data
def test_parts_of_the_published_output(data_pack: Path) -> None:
    """Pairs and tags (here: whether the English word has letters) add up to the whole."""
    folder = data_pack / "starter" / "alignments"
    path = folder / "eng-fra.tsv"
    truth = read_gold(path)
    links_path = folder / "reference" / "eng-fra.awesome-align.txt"
    found = read_links(links_path, truth, path)
    whole = score_files(path, links_path, resamples=100)
    pairs = score_pairs(truth, found)
    assert sum(pair.links for pair in pairs) == whole.links
    made, hits = sum(p.links + p.sure for p in pairs), sum(p.links_sure + p.links_possible for p in pairs)
    assert 1 - hits / made == pytest.approx(whole.aer.value, abs=1e-12)
    english = [line.split("\t")[0].split(" ") for line in path.read_text("utf-8").splitlines()]
    tags = [["word" if any(map(str.isalpha, w)) else "sign" for w in s if w] for s in english]
    by_tag = score_by_tag(truth, found, tags, resamples=100)
    assert by_tag["word"].links + by_tag["sign"].links == whole.links
    assert by_tag["word"].sure + by_tag["sign"].sure == whole.sure


def test_command(tmp_path: Path) -> None:
    write(tmp_path / "gold.tsv", GOLD), write(tmp_path / "links", LINKS), write(tmp_path / "tags", LINES)

    def run(*more: str) -> str:
        files = ["--gold", str(tmp_path / "gold.tsv"), "--links", str(tmp_path / "links")]
        result = CliRunner().invoke(app, ["align", "score", *files, *more], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    tags = ("--tags", str(tmp_path / "tags"))
    record = json.loads(run("--format", "json", "--per-pair", *tags, "--tags-side", "tgt"))
    assert record["by_tag"]["DET"]["precision"]["value"] == 0.5
    assert [pair["pair"] for pair in record["per_pair"]] == [1, 2, 3]
    assert set(json.loads(run("--format", "json"))) == set(record) - {"by_tag", "per_pair"}
    assert "NOUN" in run(*tags)
    with pytest.raises(ConfigError, match="one table"):
        run("--format", "csv", "--per-pair", *tags)
    with pytest.raises(ConfigError, match="--tags-side left"):
        run(*tags, "--tags-side", "left")
