"""The command that fits maps: which text it takes, where it writes, what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from xrealign.corpus.embedded import cldr_names, held_out, training_bitext, udhr_segments
from xrealign.errors import ConfigError, DataError
from xrealign.language import parse_language
from xrealign.model.encoder import folder_digest, load_encoder
from xrealign.model.fit_languages import fit_languages
from xrealign.model.transforms import load_transforms
from xrealign.transform_command import texts_to_fit, transform_command

ENG, SWH, TUR, NAV = (parse_language(code) for code in ("eng", "swh", "tur", "nav"))
app = typer.Typer()
app.command("transform")(transform_command)


def call(*arguments):
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(done.exception, Exception):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def pairs_file(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text("human rights\thaki za binadamu\nall people\twatu wote\nfree\thuru\n", "utf-8")
    return path


def test_maps_and_encoder_in_a_new_folder(tiny_encoder_folder, tmp_path, pairs_file):
    out = tmp_path / "mapped"
    told = call("swh", "-o", out, "--encoder", tiny_encoder_folder, "--kind", "linear", "--pairs", f"sw={pairs_file}")
    assert told.strip().endswith(str(out))
    found, encoder = load_transforms(out), load_encoder(str(out))
    assert (found.source, found.kind, found.layer, found.level) == (ENG, "linear", 4, "sentences")
    assert found.facts["sentence_pairs"] == {"swh_Latn": {"pairs.tsv": 3}}
    bitexts = texts_to_fit(ENG, [SWH], [f"sw={pairs_file}"], 99, 0)
    expected = fit_languages(encoder, bitexts, "linear").by_language[SWH]
    assert found.by_language[SWH].matrix == pytest.approx(expected.matrix, abs=1e-6)


def test_words_into_the_encoders_own_folder(tiny_encoder, tmp_path, pairs_file):
    from xrealign.model.encoder import save_encoder

    own = tmp_path / "own"
    save_encoder(tiny_encoder, own)
    before = folder_digest(own)
    call("swh", "-o", own, "--encoder", own, "--level", "words", "--layer", 2, "--kind", "centring",
         "--pairs", f"swh={pairs_file}")  # fmt: skip
    assert folder_digest(own) == before
    found = load_transforms(own)
    assert (found.layer, found.level) == (2, "words")
    assert 3 <= found.by_language[SWH].pairs <= 5  # at least one mutual argmax a pair, and no more than words


def test_the_embedded_text_leaves_what_is_held_out_alone():
    found = texts_to_fit(ENG, [SWH, TUR], [], 40, 0.25)
    assert [(b.tgt, b.origin) for b in found] == [
        (language, name) for language in (SWH, TUR) for name in ("udhr-segments", "cldr-names")
    ]
    for bitext in found:
        table = {"udhr-segments": udhr_segments(), "cldr-names": cldr_names()}[bitext.origin]
        held = held_out(table.ids, 0.25)
        assert not held & {pair.id for pair in bitext}
        assert list(bitext) == list(training_bitext(table, ENG, bitext.tgt, held)[0])[:40]
    assert [len(bitext) for bitext in found][1] == 40


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["swh", "--level", "word"], ConfigError, "--level word is unknown"),
        (["eng"], ConfigError, "no target language"),
        (["swh", "--pairs", "swh"], ConfigError, "expected LANGUAGE=FILE.tsv"),
        (["swh", "--pairs", "tur=x.tsv"], ConfigError, "tur_Latn is not among the languages"),
        (["swh", "--pairs", "swh=x.tsv", "--pairs", "sw=y.tsv"], ConfigError, "swh_Latn has two files"),
        (["swh,tur", "--pairs", "swh=x.tsv"], ConfigError, "no file for tur_Latn"),
        (["enm"], DataError, "no embedded text in eng_Latn and enm_Latn"),
        (["swh", "--pairs", "swh=PAIRS", "--kind", "linaer"], ConfigError, "did you mean 'linear'"),
        (["swh", "--pairs", "swh=PAIRS", "--prior", "0"], DataError, "not determined when prior = 0"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_written(
    arguments, error, message, tiny_encoder_folder, tmp_path, pairs_file
):
    out = tmp_path / "out"
    named = [argument.replace("PAIRS", str(pairs_file)) for argument in arguments]
    with pytest.raises(error, match=message):
        call(*named, "-o", out, "--encoder", tiny_encoder_folder)
    assert not out.exists()


def test_a_folder_that_is_there_is_not_overwritten(tiny_encoder_folder, tmp_path):
    with pytest.raises(ConfigError, match="exists and is not the encoder's own folder"):
        call("swh", "-o", tmp_path, "--encoder", tiny_encoder_folder)
    with pytest.raises(ConfigError, match="parent folder is missing"):
        call("swh", "-o", tmp_path / "a" / "b", "--encoder", tiny_encoder_folder)
    assert np.array(list(tmp_path.iterdir())).size == 0
