"""Distances from an encoder and its tokenizer against a plain restatement, and the command that writes them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from typer.testing import CliRunner

from xrealign.cli import app
from xrealign.corpus.embedded import udhr_segments
from xrealign.errors import ConfigError, DataError
from xrealign.language import parse_languages
from xrealign.model.vectors import sentence_vectors
from xrealign.select.matrices import read_matrix
from xrealign.similarity import cut_distances, overlap_distances, vector_distances

LANGUAGES = parse_languages(["eng", "tur", "swh"])


@pytest.fixture(scope="module")
def sentences():
    table = udhr_segments()
    shared = [i for i in table.ids if all(i in table.texts[language] for language in LANGUAGES)][:12]
    return {language: [table.texts[language][i] for i in shared] for language in LANGUAGES}


def test_vectors_are_mean_cosines_of_translations(tiny_encoder, sentences):
    languages, matrix = vector_distances(tiny_encoder, sentences, 2)
    assert languages == sorted(LANGUAGES)
    for a, x in enumerate(languages):
        for b, y in enumerate(languages):
            cosines = []
            for left, right in zip(sentences[x], sentences[y], strict=True):
                u, v = sentence_vectors(tiny_encoder, [left], 2)[0], sentence_vectors(tiny_encoder, [right], 2)[0]
                cosines.append(float(u @ v / np.linalg.norm(u) / np.linalg.norm(v)))
            assert matrix[a, b] == pytest.approx(0 if a == b else 1 - np.mean(cosines), abs=1e-5)


def test_overlap_and_fertility(tiny_encoder, sentences):
    tokenize = tiny_encoder.tokenizer.tokenize
    counts = {x: Counter(piece for text in texts for piece in tokenize(text)) for x, texts in sentences.items()}
    languages, matrix = overlap_distances(tiny_encoder, sentences)
    first, second = languages[:2]
    shares = [{piece: n / sum(counts[x].values()) for piece, n in counts[x].items()} for x in (first, second)]
    shared = sum(min(share, shares[1].get(piece, 0.0)) for piece, share in shares[0].items())
    assert matrix[0, 1] == pytest.approx(1 - shared, abs=1e-12)
    _, cut = cut_distances(tiny_encoder, sentences)
    assert cut.max() == pytest.approx(1.0)
    assert np.array_equal(cut, cut.T)


def test_the_command_writes_what_select_reads(tiny_encoder_folder, tmp_path):
    target = tmp_path / "m.tsv"
    arguments = [
        "distances",
        "eng,tur,swh,fin",
        "-o",
        str(target),
        "--encoder",
        str(tiny_encoder_folder),
        "--layer",
        "2",
    ]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    languages, matrix = read_matrix(target)
    assert {language.iso for language in languages} == {"eng", "tur", "swh", "fin"}
    assert np.allclose(np.diag(matrix), 0)
    chosen = CliRunner().invoke(
        app, ["select", "--candidates", "tur,swh,fin", "--fixed", "eng", "-k", "2", "--distance", str(target)]
    )
    assert chosen.exit_code == 0, chosen.output


def test_what_cannot_be_is_told(tiny_encoder_folder, tmp_path):
    run = CliRunner().invoke
    shared = ["-o", str(tmp_path / "m.tsv"), "--encoder", str(tiny_encoder_folder)]
    with pytest.raises(ConfigError, match="did you mean 'vectors'"):
        run(app, ["distances", "eng,tur", *shared, "--kind", "vector"], catch_exceptions=False)
    with pytest.raises(DataError, match="no text in cor"):
        run(app, ["distances", "eng,cor", *shared], catch_exceptions=False)
