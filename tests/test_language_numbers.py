from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from xrealign.cli import app
from xrealign.corpus.embedded import udhr_segments
from xrealign.language import parse_language, parse_languages
from xrealign.language_numbers import language_numbers
from xrealign.report.gains import read_feature_table


def test_fertility_is_subwords_per_word(tiny_tokenizer) -> None:
    """German words counted by hand: letters in a row, each other sign by itself."""
    german, english, klingon = (*parse_languages(["deu", "eng"]), parse_language("tlh"))
    found, without = language_numbers(tiny_tokenizer, [german, english, klingon])
    assert without == [klingon]
    texts = list(udhr_segments().of(german).values())
    words = sum(len(re.findall(r"[^\W_]+(?:[-'’][^\W_]+)*|[^\w\s]", text)) for text in texts)
    pieces = [piece for text in texts for piece in tiny_tokenizer.tokenize(text)]
    assert found[0].words == words
    assert found[0].fertility == pytest.approx(len(pieces) / words, abs=1e-12)
    vocabulary = tiny_tokenizer.get_vocab()
    assert found[0].unknown == pytest.approx(sum(p not in vocabulary for p in pieces) / len(pieces), abs=1e-12)
    assert found[0].sentences >= len(texts)


def test_the_table_is_one_that_predictions_read(tmp_path: Path, tiny_encoder_folder: Path) -> None:
    out = tmp_path / "languages.tsv"
    arguments = ["--languages", "deu,swh,quy", "--encoder", str(tiny_encoder_folder), "--seen", "xlm-r", "-o", str(out)]
    done = CliRunner().invoke(app, ["report", "languages", *arguments])
    assert done.exit_code == 0, done.output
    found = read_feature_table(out)
    assert list(found) == ["fertility", "unknown", "words", "sentences", "seen"]
    assert [found["seen"][parse_language(code)] for code in ("deu", "swh", "quy")] == [1, 1, 0]
    assert found["fertility"][parse_language("quy")] > 1
