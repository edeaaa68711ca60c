"""The align stage: every aligner by its name, filters counted, links what the aligner gives on the same sentences."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xrealign.align.aligned import read_aligned
from xrealign.align.embedding import encoded_links, mean_vector
from xrealign.align.extract import ALIGNERS, AlignSettings
from xrealign.align.filters import filter_links
from xrealign.align.statistical import MODELS, statistical_recipe, train_statistical
from xrealign.config import load_config
from xrealign.config_tables import AlignTable
from xrealign.language import parse_language
from xrealign.linking import make_align
from xrealign.model.words import encode_texts
from xrealign.segment import segmentation_name, spans_by_blanks, spans_of_words

PAIRS = {
    "deu_Latn": [
        ("All human beings are born free in Berlin.", "Alle Menschen sind in berlin frei geboren."),
        ("Everyone has the right to life", "Jeder hat das Recht auf Leben"),
    ],
    "tur_Latn": [("Everyone has the right to work", "Herkesin çalışma hakkı vardır"), ("water", "su")],
}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    rows = [(f"{tag}-{n}", tag, *pair) for tag, pairs in PAIRS.items() for n, pair in enumerate(pairs)]
    table = pa.table(dict(zip(("id", "language", "src", "tgt"), zip(*rows, strict=True), strict=True)))
    (tmp_path / "corpus").mkdir()
    pq.write_table(table, tmp_path / "corpus" / "pairs.parquet")
    return tmp_path / "corpus"


def align(corpus: Path, encoder: Path, table: str) -> tuple[dict, Path]:
    folder = corpus.parent
    (folder / "c.toml").write_text(f'name = "x"\n[encoder]\nname = "{encoder}"\n[align]\n{table}', "utf-8")
    out = folder / "out"
    out.mkdir(exist_ok=True)
    return make_align(load_config(folder / "c.toml"), corpus, out, folder / "work"), out


def test_every_aligner_has_a_place_in_the_configuration() -> None:
    named = get_args(AlignTable.model_fields["aligner"].annotation)
    assert set(named) == {*ALIGNERS, *MODELS, "dictionary", "none"}


def test_statistics_of_each_language(corpus: Path, tiny_encoder_folder: Path) -> None:
    keys = 'aligner = "hmm"\nsymmetrization = "union"\none_to_one = false\ndrop_identical = false'
    _, out = align(corpus, tiny_encoder_folder, keys)
    aligned = read_aligned(out)
    for tag, pairs in PAIRS.items():
        src, tgt = (
            [[text[a:b] for a, b in spans_by_blanks(text)] for text in side] for side in zip(*pairs, strict=True)
        )
        model = corpus.parent / tag
        train_statistical(zip(src, tgt, strict=True), model, "hmm", 17)
        found = statistical_recipe(model, "union").open().link(src, tgt).found
        rows = [row for row, other in enumerate(aligned.languages) if other == tag]
        assert [aligned.links[row].tolist() for row in rows] == [links.links.tolist() for links in found]


@pytest.mark.parametrize("aligner", ALIGNERS)
def test_vectors_centred_by_language(corpus: Path, tiny_encoder_folder: Path, tiny_encoder, aligner: str) -> None:
    keys = f'aligner = "{aligner}"\nlayer = 2\ncentre = true\none_to_one = false\ndrop_identical = false'
    _, out = align(corpus, tiny_encoder_folder, keys)
    aligned = read_aligned(out)
    settings = AlignSettings(aligner, 2, centre=True)
    expected = []
    for pairs in PAIRS.values():
        left, right = (
            encode_texts(tiny_encoder.tokenizer, side, 128, [spans_by_blanks(text) for text in side])
            for side in (list(side) for side in zip(*pairs, strict=True))
        )
        means = mean_vector(tiny_encoder, left, settings), mean_vector(tiny_encoder, right, settings)
        expected += [found.links.tolist() for found in encoded_links(tiny_encoder, left, right, settings, means)]
    assert [links.tolist() for links in aligned.links] == expected
    assert any(expected)


def test_filters_are_counted(corpus: Path, tiny_encoder_folder: Path) -> None:
    keys = 'aligner = "edge-cover"\nlayer = 2\n'
    every, out = align(corpus, tiny_encoder_folder, keys + "one_to_one = false\ndrop_identical = false")
    whole = read_aligned(out)
    some, out = align(corpus, tiny_encoder_folder, keys)
    kept = read_aligned(out)
    assert every["links_dropped"] == {}
    gone = sum(every["links"].values()) - sum(some["links"].values())
    assert sum(some["links_dropped"].values()) == gone > 0
    for src, tgt, src_spans, tgt_spans, links, left in zip(
        whole.src, whole.tgt, whole.src_spans, whole.tgt_spans, whole.links, kept.links, strict=True
    ):
        words = [[text[a:b] for a, b in spans] for text, spans in ((src, src_spans), (tgt, tgt_spans))]
        found, _, _ = filter_links(links, np.ones(len(links)), *words, None, True, True)
        assert found.tolist() == left.tolist()
        assert not any(words[0][i].lower() == words[1][j].lower() for i, j in left)


def test_words_that_icu_found_are_set_apart(corpus: Path, tiny_encoder_folder: Path, tiny_encoder) -> None:
    src, tgt = "Everyone has the right to work", "人人有权工作"
    table = {"id": ["1"], "language": ["zho_Hans"], "src": [src], "tgt": [tgt]}
    pq.write_table(pa.table(table), corpus / "pairs.parquet")
    facts, out = align(corpus, tiny_encoder_folder, 'aligner = "edge-cover"\nlayer = 2\none_to_one = false')
    aligned = read_aligned(out)
    assert facts["words"] == {"zho_Hans": segmentation_name(parse_language("zho_Hans"))}
    words = [tgt[a:b] for a, b in aligned.tgt_spans[0]]
    assert "".join(words) == tgt
    assert 1 < len(words) < len(tgt)
    text, spans = spans_of_words(words)
    left = encode_texts(tiny_encoder.tokenizer, [src], 128, [spans_by_blanks(src)])
    right = encode_texts(tiny_encoder.tokenizer, [text], 128, [spans])
    expected = encoded_links(tiny_encoder, left, right, AlignSettings("edge-cover", 2))[0].links
    assert aligned.links[0].tolist() == expected.tolist()


def test_no_links_without_an_aligner(corpus: Path, tiny_encoder_folder: Path) -> None:
    facts, out = align(corpus, tiny_encoder_folder, 'aligner = "none"\n[realign]\nobjective = "sentence"')
    assert facts["links"] == {"deu_Latn": 0, "tur_Latn": 0}
    assert [len(spans) for spans in read_aligned(out).src_spans] == [9, 6, 6, 1]
