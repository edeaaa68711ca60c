"""The corpus stage with ``[corpus.filter]``: what is left out, why, and what it depends on."""

from __future__ import annotations

import json

import pytest

from xrealign.collecting import make_corpus, training_bitexts
from xrealign.config import load_config
from xrealign.errors import DataError
from xrealign.language import parse_language
from xrealign.plan import make_plan
from xrealign.stages import make_select

LINES = [
    ("a small house", "nyumba ndogo"),
    ("a small house", "nyumba ndogo"),
    ("the same", "the same"),
    ("water", "maji"),
    ("one two three four five six seven eight", "moja"),
    ("fire", "огонь"),
]


@pytest.fixture
def made(tmp_path, tiny_encoder_folder):
    """What the stages of a configuration say, given the keys of its filter."""
    (tmp_path / "swh.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in LINES), "utf-8")
    (tmp_path / "scores.txt").write_text("6\n5\n4\n3\n2\n1\n", "utf-8")

    def facts(text: str):
        (tmp_path / "c.toml").write_text(
            f'name = "x"\nencoder.name = "{tiny_encoder_folder}"\nalign.layer = 2\n'
            f'corpus.files.swh = "swh.tsv"\n{text}',
            "utf-8",
        )
        config = load_config(tmp_path / "c.toml")
        make_select(config, tmp_path)
        return config, make_corpus(config, tmp_path, tmp_path)

    return facts


def test_without_the_table_nothing_is_filtered(made):
    _, facts = made("")
    assert facts == {"pairs": {"swh_Latn": 6}, "left_out": {"swh_Latn": {}}}


def test_rules_are_counted_by_reason(made):
    _, facts = made("[corpus.filter]\nmax_ratio = 4.0")
    assert facts["pairs"] == {"swh_Latn": 2}
    assert facts["left_out"]["swh_Latn"] == {
        "identical sides": 1,
        "lengths in a ratio above 4": 1,
        "target in another script": 1,
        "duplicate": 1,
    }


def test_scores_stand_for_lines_so_they_come_before_the_rules(made):
    _, facts = made('[corpus.filter]\nscore = 50\nscores.swh = "scores.txt"')
    # Half of six: the last three lines go by their scores, then a repetition and identical sides by the rules.
    assert facts["pairs"] == {"swh_Latn": 1}
    assert facts["left_out"]["swh_Latn"]["score not above the 50th percentile"] == 3


def test_faulty_lines_are_skipped_leniently_and_scores_stay_with_their_lines(made, tmp_path):
    path = tmp_path / "swh.tsv"
    (tmp_path / "scores.txt").write_text("9\n6\n5\n4\n9\n3\n2\n1\n", "utf-8")
    good = path.read_text("utf-8").splitlines(keepends=True)
    path.write_text("".join(["nothing here\n", *good[:3], "a\tb\rc\td\n", *good[3:]]), "utf-8", newline="")
    filtered = '\n[corpus.filter]\nscore = 50\nscores.swh = "scores.txt"'
    with pytest.raises(DataError, match=r"swh\.tsv:1: 1 tab-separated columns"):
        made(filtered)
    _, facts = made("corpus.lenient = true" + filtered)
    assert facts["pairs"] == {"swh_Latn": 1}
    left = facts["left_out"]["swh_Latn"]
    assert (left["columns"], left["carriage return"], left["score not above the 50th percentile"]) == (1, 1, 3)
    (tmp_path / "scores.txt").write_text("6\n5\n4\n3\n2\n1\n", "utf-8")
    with pytest.raises(DataError, match="6 scores for 8 pairs: line n must score pair n"):
        made("corpus.lenient = true" + filtered)


def test_a_language_without_scores_is_named(made, tmp_path):
    config, _ = made('[corpus.filter]\nscore = 50\nscores.swh = "scores.txt"')
    quality = config.corpus.filter.model_copy(update={"scores": {"tur_Latn": str(tmp_path / "scores.txt")}})
    config = config.model_copy(update={"corpus": config.corpus.model_copy(update={"filter": quality})})
    with pytest.raises(DataError, match="no file for swh_Latn"):
        training_bitexts(config, parse_language("swh"))


def test_similarity_keeps_the_pairs_whose_vectors_are_most_alike(made):
    import numpy as np

    from xrealign.corpus.quality import pair_cosines
    from xrealign.model.encoder import load_encoder
    from xrealign.model.vectors import sentence_vectors

    config, facts = made('[corpus.filter]\nsimilarity = 60\nidentical = true\nduplicates = "keep"\nscript = false')
    assert facts["left_out"]["swh_Latn"] == {"similarity not above the 60th percentile": 3}
    encoder = load_encoder(config.encoder.name)
    src, tgt = (sentence_vectors(encoder, [line[side] for line in LINES], 4, 128) for side in (0, 1))
    best = np.sort(pair_cosines(src, tgt))[::-1][:3]
    assert facts["pairs"] == {"swh_Latn": 3}
    assert best[0] == pytest.approx(1.0)  # the identical pair is among them


def test_only_similarity_makes_the_corpus_depend_on_the_encoder(made):
    for text, depends in (("", False), ("[corpus.filter]", False), ("[corpus.filter]\nsimilarity = 60", True)):
        config, _ = made(f'task.targets = ["deu"]\n{text}')
        assert ("encoder" in make_plan(config).stages["corpus"].inputs) == depends


def test_files_of_scores_count_by_what_is_in_them(made, tmp_path):
    text = 'task.targets = ["deu"]\n[corpus.filter]\nscore = 50\nscores.swh = "scores.txt"'
    first = make_plan(made(text)[0]).stages["corpus"].fingerprint
    (tmp_path / "scores.txt").write_text("1\n5\n4\n3\n2\n6\n", "utf-8")
    assert make_plan(made(text)[0]).stages["corpus"].fingerprint != first
    assert json.loads((tmp_path / "subset.json").read_text())["subset"] == ["swh_Latn"]
