"""``xrealign align`` on text that nobody split: translation memories, segmented text, declared languages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from xrealign.cli import app
from xrealign.corpus.embedded import udhr_segments
from xrealign.errors import ConfigError, DataError
from xrealign.language import parse_language
from xrealign.segment import find_spans


@pytest.fixture
def align(tiny_encoder_folder, tmp_path):
    """Runs the command; returns the output's lines and what was said."""

    def run(*arguments: str | Path) -> tuple[list[str], str]:
        command = ["align", *map(str, arguments), "-o", str(tmp_path / "out"), "--layer", "2"]
        result = CliRunner().invoke(app, [*command, "--encoder", str(tiny_encoder_folder)], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return (tmp_path / "out").read_text("utf-8").splitlines(), result.stderr

    return run


@pytest.fixture
def pairs() -> list[tuple[str, str]]:
    texts = udhr_segments()
    sides = [texts.of(parse_language(code)) for code in ("eng", "jpn")]
    return [(sides[0][key], sides[1][key]) for key in sides[0] if key in sides[1]][:6]


def memory(pairs: list[tuple[str, str]]) -> str:
    units = "".join(
        f'<tu><tuv xml:lang="en"><seg>{src}</seg></tuv><tuv xml:lang="ja"><seg>{tgt}</seg></tuv></tu>'
        for src, tgt in pairs
    )
    return f'<tmx version="1.4"><body>{units}</body></tmx>'


def test_words_are_found_told_and_aligned_like_split_ones(align, tmp_path: Path, pairs: list[tuple[str, str]]) -> None:
    (tmp_path / "in.tsv").write_text("".join(f"{src}\t{tgt}\n" for src, tgt in pairs), "utf-8")
    (tmp_path / "in.tmx").write_text(memory(pairs), "utf-8")
    languages = ("--src-language", "en", "--tgt-language", "ja")
    found, _ = align(tmp_path / "in.tsv", "--words", "segment", *languages, "--words-out", tmp_path / "words.tsv")
    assert all(found)
    words = [line.split("\t") for line in (tmp_path / "words.tsv").read_text("utf-8").splitlines()]
    for (src, tgt), cells in zip(pairs, words, strict=True):
        for text, code, cell in ((src, "eng", cells[0]), (tgt, "jpn", cells[1])):
            assert cell.split(" ") == [text[a:b] for a, b in find_spans(text, parse_language(code))]
    assert align(tmp_path / "words.tsv")[0] == found
    assert align(tmp_path / "in.tmx")[0] == found
    records = [json.loads(line) for line in align(tmp_path / "in.tmx", "--format", "jsonl")[0]]
    assert [[" ".join(record["src"]), " ".join(record["tgt"])] for record in records] == words


def test_lines_in_another_script_than_declared(align, tmp_path: Path, pairs: list[tuple[str, str]]) -> None:
    path = tmp_path / "in.tsv"
    path.write_text("".join(f"{src}\t{tgt}\n" for src, tgt in [*pairs, ("All are equal", "all are equal")]), "utf-8")
    with pytest.raises(
        DataError, match=rf"in\.tsv:{len(pairs) + 1}: the target sentence is in the wrong script: 11 of 11"
    ):
        align(path, "--tgt-language", "ja")
    lines, said = align(path, "--tgt-language", "ja", "--lenient")
    assert [bool(line) for line in lines] == [True] * len(pairs) + [False]
    assert "1 lines skipped: wrong script" in said
    assert all(align(path)[0])


def test_words_out_overwrites_nothing(align, tmp_path: Path, pairs: list[tuple[str, str]]) -> None:
    path = tmp_path / "in.tsv"
    path.write_text("".join(f"{src}\t{tgt}\n" for src, tgt in pairs), "utf-8")
    for name, told in (
        ("in.tsv", "that is the input"),
        ("out", "or the output"),
        ("w.zst", "plain text; leave out .zst"),
    ):
        with pytest.raises(ConfigError, match=f"--words-out .*{told}"):
            align(path, "--words-out", tmp_path / name)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in.tsv"]
