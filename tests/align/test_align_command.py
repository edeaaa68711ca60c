"""``xrealign align``: forms of input and output, faults named and counted, broken off and gone on, same bytes."""

from __future__ import annotations

import gzip
import json
import lzma
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from xrealign.align import choose
from xrealign.align import embedding as embedding_module
from xrealign.align import files as files_module
from xrealign.align.embedding import argmax_links
from xrealign.align.extract import ALIGNERS
from xrealign.align.statistical import MODELS
from xrealign.cli import app
from xrealign.errors import ConfigError, DataError
from xrealign.segment import spans_of_words

TEXTS = [
    ("All human beings are born free", "Alle Menschen sind frei geboren"),
    ("and equal in dignity and rights", "und gleich an Würde und Rechten"),
    ("They are endowed with reason", "Sie sind mit Vernunft begabt"),
    ("Everyone has the right to life", "Jeder hat das Recht auf Leben"),
    ("No one shall be held in slavery", "Niemand darf in Sklaverei gehalten werden"),
    ("Everyone has the right to work", "Jeder hat das Recht auf Arbeit"),
    ("to free choice of employment", "auf freie Berufswahl"),
]


def tsv(texts: list[tuple[str, str]] = TEXTS) -> str:
    return "".join(f"{src}\t{tgt}\n" for src, tgt in texts)


def write(path: Path, text: str | bytes) -> Path:
    data = text.encode() if isinstance(text, str) else text
    path.write_bytes({".gz": gzip.compress, ".xz": lzma.compress}.get(path.suffix, bytes)(data))
    return path


@pytest.fixture
def align(tiny_encoder_folder, tmp_path):
    """Runs the command; returns the output file's text and what was said."""

    def run(*arguments: str | Path, out: str = "out") -> tuple[str, str]:
        command = ["align", *map(str, arguments), "-o", str(tmp_path / out)]
        result = CliRunner().invoke(
            app, [*command, "--encoder", str(tiny_encoder_folder), "--layer", "2"], catch_exceptions=False
        )
        assert result.exit_code == 0, result.output
        return (tmp_path / out).read_text("utf-8"), result.stderr

    return run


def test_links_are_those_of_the_function(align, tmp_path, tiny_encoder) -> None:
    text, said = align(write(tmp_path / "in.tsv", tsv()))
    sides = [[spans_of_words(side.split()) for side in column] for column in zip(*TEXTS, strict=True)]
    expected = argmax_links(tiny_encoder, *(part for side in sides for part in zip(*side, strict=True)), layer=2)
    assert [[tuple(map(int, link.split("-"))) for link in line.split()] for line in text.splitlines()] == [
        [tuple(link) for link in links.tolist()] for links in expected
    ]
    assert f"{sum(map(len, expected))} links in 7 sentence pairs" in said
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".out")) == []
    assert align("pairs", tmp_path / "in.tsv")[0] == text


def test_every_form_of_input_gives_the_same(align, tmp_path) -> None:
    text, _ = align(write(tmp_path / "in.tsv", tsv()))
    assert len(text.splitlines()) == len(TEXTS)
    for name in ("in.tsv.gz", "in.tsv.xz"):
        assert align(write(tmp_path / name, tsv()))[0] == text
    bars = "".join(f"{src} ||| {tgt}\n" for src, tgt in TEXTS)
    assert align(write(tmp_path / "in.bar", bars))[0] == text
    src, tgt = (write(tmp_path / f"in.{k}", "\n".join(pair[k] for pair in TEXTS) + "\n") for k in (0, 1))
    assert align(src, tgt)[0] == text
    odd = tsv().replace("\n", "\r\n").replace("human beings", "human  beings ").removesuffix("\r\n")
    assert align(write(tmp_path / "odd.tsv", b"\xef\xbb\xbf" + odd.encode()))[0] == text
    apart = tsv().replace("ü", "u\u0308")  # not NFC
    assert align(write(tmp_path / "nfd.tsv", apart))[0] == text


def test_forms_of_output_agree(align, tmp_path) -> None:
    path = write(tmp_path / "in.tsv", tsv())
    records = [json.loads(line) for line in align(path, "--format", "jsonl")[0].splitlines()]
    words = [line.split("\t") for line in align(path, "--format", "words")[0].splitlines()]
    scored = [line.split() for line in align(path, "--scores", "--base", "1")[0].splitlines()]
    for (src, tgt), record, pairs, items in zip(TEXTS, records, words, scored, strict=True):
        assert record["src"] == src.split()
        assert [f"{src.split()[i]} {tgt.split()[j]}" for i, j in record["links"]] == pairs
        assert len(record["scores"]) == len(record["links"]) > 0
        for (i, j), score, item in zip(record["links"], record["scores"], items, strict=True):
            assert item == f"{i + 1}-{j + 1}:{score:.6g}"


def test_filters_are_counted(align, tmp_path) -> None:
    path = write(tmp_path / "in.tsv", tsv([*TEXTS, ("Berlin Hamburg", "Berlin Hamburg")]))
    every = [json.loads(line) for line in align(path, "--format", "jsonl")[0].splitlines()]
    assert every[-1]["links"] == [[0, 0], [1, 1]]
    limit = float(np.median([score for record in every for score in record["scores"]]))
    text, said = align(path, "--drop-identical", "--min-score", str(limit))
    assert text.endswith("\n\n")
    low = sum(score < limit for record in every for score in record["scores"])
    assert f"{low} links dropped: below the score" in said
    assert "2 links dropped: identical words" in said


FAULTS = [
    ("a b c\n", "columns", r"in:3: 1 tab-separated column, expected 2"),
    ("a\tb\t0-0\n", "columns", r"in:3: 3 tab-separated columns.*cut out the two columns"),
    ("\n", "empty line", r"in:3: the line is empty"),
    ("\tb\n", "empty source", r"in:3: the source sentence is empty"),
    ("a\t \n", "empty target", r"in:3: the target sentence is empty"),
    ("a\tb\0\n", "NUL", r"in:3: NUL character"),
    (b"a\tb\xff\n", "not UTF-8", r"in:3: byte 0xff is not UTF-8"),
    (f"{'a ' * 60000}\tb\n", "overlong line", r"in:3: 12\d{4} characters"),
]


@pytest.mark.parametrize(
    ("line", "reason", "message"), FAULTS, ids=[f"{i}-{fault[1]}" for i, fault in enumerate(FAULTS)]
)
def test_faulty_lines(align, tmp_path, line: str | bytes, reason: str, message: str) -> None:
    parts = tsv().encode().splitlines(keepends=True)
    bad = line.encode() if isinstance(line, str) else line
    path = write(tmp_path / "in", b"".join([*parts[:2], bad, *parts[2:]]))
    with pytest.raises(DataError, match=message) as raised:
        align(path)
    assert raised.value.line == 3
    assert list(tmp_path.glob("*out*")) == []  # before any work
    text, said = align(path, "--lenient")
    lines = text.split("\n")
    assert lines[2] == ""
    assert f"1 lines skipped: {reason}" in said
    whole, _ = align(write(tmp_path / "good.tsv", tsv()))
    assert "\n".join(lines[:2] + lines[3:]) == whole
    assert json.loads(align(path, "--lenient", "--format", "jsonl")[0].split("\n")[2]) == {"skipped": reason}


def test_a_faulty_first_line_does_not_hide_the_form(align, tmp_path) -> None:
    for good in (tsv(), tsv().replace("\t", " ||| ")):
        path = write(tmp_path / "in", f"\n{good}")
        with pytest.raises(DataError, match="in:1: the line is empty"):
            align(path)
        assert align(path, "--lenient")[0] == "\n" + align(write(tmp_path / "good", good))[0]


def test_input_that_cannot_be_aligned(align, tmp_path) -> None:
    good = write(tmp_path / "in.tsv", tsv())
    short = write(tmp_path / "short", "a\nb\n")
    long = write(tmp_path / "long", "a\nb\nc\n")
    for more in ([], ["--lenient"]):
        with pytest.raises(DataError, match=r"short has 2 lines, .*long has 3: line N"):
            align(short, long, *more)
        with pytest.raises(DataError, match="no sentence pairs"):
            align(write(tmp_path / "empty", ""), *more)
        with pytest.raises(DataError, match="short:1: no line has a tab or"):
            align(short, *more)
        with pytest.raises(DataError, match="cannot be read"):
            align(tmp_path / "absent.tsv", *more)
        (tmp_path / "torn.gz").write_bytes(gzip.compress(tsv().encode() * 50)[:-20])
        with pytest.raises(DataError, match="cannot be read"):
            align(tmp_path / "torn.gz", *more)
    for arguments, message in (
        ([good, "--aligner", "argmx"], "did you mean 'argmax'"),
        ([good, "--format", "json"], "did you mean 'jsonl'"),
        ([good, "--input", "moses"], "moses input is 2 files, but 1"),
        ([good, "--layer", "2", "--level", "letter"], "expected word or subword"),
        ([good, "--pooling", "max"], "pooling = 'max' is impossible"),
        ([good, good, good], "3 input files"),
        ([good, "--device", "gpu"], "--device gpu is unknown"),
    ):
        with pytest.raises(ConfigError, match=message):
            align(*arguments)
    with pytest.raises(ConfigError, match="that is the input"):
        align(good, out="in.tsv")
    with pytest.raises(ConfigError, match="there is no folder"):
        align(good, out="nowhere/out")
    with pytest.raises(ConfigError, match=r"leave out \.gz"):
        align(good, out="out.gz")
    assert good.read_text("utf-8") == tsv()


def test_broken_off_and_gone_on_gives_the_same_bytes(align, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(files_module, "CHUNK", 2)
    path = write(tmp_path / "in.tsv", tsv() + "no tab\n" + tsv())
    options = ("--lenient", "--centre", "--format", "jsonl")
    whole, said = align(path, *options, out="whole")
    summary = said.splitlines()[-2:]
    real, chunks = embedding_module.encoded_links, []

    def breaks(*arguments, **more):
        chunks.append(1)
        if len(chunks) == 4:
            raise RuntimeError("broken off")
        return real(*arguments, **more)

    monkeypatch.setattr(embedding_module, "encoded_links", breaks)
    with pytest.raises(RuntimeError, match="broken off"):
        align(path, *options)
    assert not (tmp_path / "out").exists()
    with (tmp_path / ".out.partial").open("ab") as file:
        file.write(b"half a li")  # what a kill in the middle of a write leaves
    text, said = align(path, *options)
    assert text == whole
    assert "going on after line 6" in said
    assert said.splitlines()[-2:] == [line.replace("whole", "out") for line in summary]
    assert len(chunks) == 4 + 5  # 15 lines are 8 chunks; three were done
    # other settings, other input: nothing of the old run is used
    chunks.clear()
    with pytest.raises(RuntimeError):
        align(path, *options)
    other, said = align(path, "--lenient", "--format", "jsonl")
    assert "starting anew" in said
    assert other != whole
    assert sorted(file.name for file in tmp_path.glob(".*")) == []


def test_killed_for_real(align, tmp_path, tiny_encoder_folder) -> None:
    lines = [f"{src} {n}\t{tgt} {n}\n" for n in range(60) for src, tgt in TEXTS]
    path = write(tmp_path / "in.tsv", "".join(lines))
    program = "from xrealign.align import files; files.CHUNK = 64; from xrealign.cli import main; main()"
    command = [sys.executable, "-c", program, "align", str(path), "-o",
               str(tmp_path / "out"), "--encoder", str(tiny_encoder_folder), "--layer", "2"]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while process.poll() is None and not (tmp_path / ".out.progress.json").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "out").exists()
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "going on after line" in again.stderr
    assert again.stdout == ""
    text = (tmp_path / "out").read_text("utf-8")
    assert len(text.splitlines()) == len(lines)
    assert align(path, out="whole")[0] == text


def test_long_sentences_are_counted(align, tmp_path) -> None:
    long = " ".join(["human"] * 40)
    text, said = align(write(tmp_path / "in.tsv", f"{long}\tMenschen\n"), "--max-length", "20")
    assert max(int(link.split("-")[0]) for link in text.split()) < 20
    assert "words beyond the longest sentence (20 subwords) got no link" in said


def test_help_teaches() -> None:
    shown = " ".join(CliRunner().invoke(app, ["align", "--help"]).output.split())
    for word in ("itermax", "matching", "edge-cover", "--lenient", "xrealign align score", "Example"):
        assert word in shown
    assert "Och & Ney" in CliRunner().invoke(app, ["align", "score", "--help"]).output


@pytest.mark.data
def test_the_starter_beats_the_diagonal(data_pack: Path, tmp_path: Path) -> None:
    gold = data_pack / "starter" / "alignments" / "deu-eng.tsv"
    rows = gold.read_text("utf-8").splitlines()[:200]
    path = write(tmp_path / "in.tsv", "".join(row.rpartition("\t")[0] + "\n" for row in rows))
    gold = write(tmp_path / "gold.tsv", "".join(f"{row}\n" for row in rows))
    run = CliRunner().invoke(app, ["align", str(path), "-o", str(tmp_path / "out"), "--layer", "7", "--centre"])
    assert run.exit_code == 0, run.output
    command = ["align", "score", "--gold", str(gold), "--links", str(tmp_path / "out"), "--format", "json"]
    scores = json.loads(CliRunner().invoke(app, command).stdout)
    assert scores["aer"]["value"] < 0.18  # docs/align.md has 0.147; the diagonal 0.668


@pytest.fixture
def own_cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XREALIGN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("aligner", choose.STATISTICAL)
def test_statistics_of_the_text_itself_or_of_a_trained_model(align, tmp_path, own_cache, aligner: str) -> None:
    path = write(tmp_path / "in.tsv", tsv(TEXTS * 5) + "no tab\n")
    options = ("--aligner", aligner, "--lenient", "--scores")
    text, said = align(path, *options)
    assert "1 lines skipped: columns" in said
    assert any(text.splitlines())
    kept = [file for file in own_cache.rglob("*") if file.is_file()]
    assert kept
    assert align(path, *options, out="again")[0] == text
    assert [file for file in own_cache.rglob("*") if file.is_file()] == kept  # trained once
    trained = CliRunner().invoke(
        app, ["align", "train", str(path), "-o", str(tmp_path / "model"), "--aligner", aligner, "--lenient"]
    )
    assert trained.exit_code == 0, trained.output
    assert align(path, *options, "--model", tmp_path / "model", out="third")[0] == text
    other = next(name for name in choose.STATISTICAL if name != aligner)
    with pytest.raises(ConfigError, match=f"was trained as {aligner}: give --aligner {aligner}"):
        align(path, "--aligner", other, "--lenient", "--model", tmp_path / "model", out="fourth")


def test_words_found_otherwise_are_another_text(align, tmp_path, own_cache) -> None:
    path = write(tmp_path / "in.tsv", tsv([(f"{src}.", f"{tgt}.") for src, tgt in TEXTS]))
    options = ("--aligner", "hmm", "--src-language", "eng", "--tgt-language", "deu")
    split = align(path, *options)[0]
    found = align(path, *options, "--words", "segment", out="found")[0]
    assert split != found  # the full stop is a word now
    assert len(list(own_cache.rglob("manifest.json"))) == 2


def test_another_program(align, tmp_path, own_cache) -> None:
    program = write(tmp_path / "first.py", "import sys\nfor line in open(sys.argv[1]): print('0-0')\n")
    path = write(tmp_path / "in.tsv", tsv())
    text, _ = align(path, "--aligner", "external", "--program", f"{sys.executable} {program} {{bars}}")
    assert text == "0-0\n" * len(TEXTS)
    with pytest.raises(ConfigError, match="expected eflomal, fast_align"):
        align(path, "--aligner", "external", "--program", "nosuch", out="no")
    with pytest.raises(ConfigError, match="needs --program"):
        align(path, "--aligner", "external", out="no")


def test_a_dictionary(align, tmp_path) -> None:
    entries = write(tmp_path / "dictionary.tsv", "Recht\tright\nLeben\tlife\nLeben\tlife\n")
    path = write(tmp_path / "in.tsv", tsv())
    text, said = align(path, "--aligner", "dictionary", "--dictionary", entries, "--reverse")
    assert text.splitlines()[3] == "3-3 5-5"
    assert "entries" in said
    with pytest.raises(ConfigError, match="needs --dictionary FILE"):
        align(path, "--aligner", "dictionary", out="no")
    with pytest.raises(ConfigError, match="needs both languages"):
        align(path, "--aligner", "dictionary", "--dictionary", entries, "--lemma", out="no")


def test_supervised_wants_its_model(align, tmp_path) -> None:
    path = write(tmp_path / "in.tsv", tsv())
    with pytest.raises(ConfigError, match="align train-supervised"):
        align(path, "--aligner", "supervised")
    with pytest.raises(ConfigError, match="did you mean"):
        align(path, "--aligner", "argmx")


def test_names_are_those_of_the_parts() -> None:
    assert tuple(ALIGNERS) == choose.EMBEDDING
    assert tuple(MODELS) == choose.STATISTICAL
