"""Aligned texts on disk: what is written is read, what is damaged is told."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xrealign.align.aligned import FILE, AlignedTexts, read_aligned, write_aligned
from xrealign.errors import ArtifactError
from xrealign.segment import spans_by_blanks

SENTENCES = st.lists(st.text("abé का的. 😀\n\t", max_size=20), max_size=5)


@settings(deadline=None, max_examples=40)
@given(SENTENCES, st.randoms(use_true_random=False))
def test_what_is_written_is_read(tmp_path_factory, src, random):
    tgt = [text[::-1] for text in src]
    spans = [[spans_by_blanks(text) for text in texts] for texts in (src, tgt)]
    links = [
        np.array([[i, random.randrange(len(b))] for i in range(len(a)) if len(b)], dtype=np.int32).reshape(-1, 2)
        for a, b in zip(*spans, strict=True)
    ]
    texts = AlignedTexts([str(n) for n in range(len(src))], ["deu_Latn"] * len(src), src, tgt, *spans, links)
    folder = tmp_path_factory.mktemp("aligned")
    write_aligned(texts, folder)
    again = read_aligned(folder)
    assert len(again) == len(src)
    for name in ("ids", "languages", "src", "tgt"):
        assert getattr(again, name) == getattr(texts, name)
    for name in ("src_spans", "tgt_spans", "links"):
        for ours, theirs in zip(getattr(texts, name), getattr(again, name), strict=True):
            assert theirs.dtype == np.int32
            assert theirs.shape == (len(ours), 2)
            assert np.array_equal(ours, theirs)


def cut(path):
    path.write_bytes(path.read_bytes()[:-30])


def without_links(path):
    pq.write_table(pq.read_table(path).drop_columns(["links"]), path)


def odd_links(path):
    table = pq.read_table(path)
    table = table.drop_columns(["links"]).append_column("links", pa.array([[0, 0, 1]], pa.list_(pa.int32())))
    pq.write_table(table, path)


@pytest.mark.parametrize("breaks", [cut, without_links, odd_links, lambda path: path.unlink()])
def test_damage_is_told(tmp_path, breaks):
    spans = [spans_by_blanks("a b")]
    write_aligned(AlignedTexts(["1"], ["deu_Latn"], ["a b"], ["c d"], spans, spans, [np.zeros((1, 2), int)]), tmp_path)
    assert len(read_aligned(tmp_path)) == 1
    breaks(tmp_path / FILE)
    with pytest.raises(
        ArtifactError, match=r"aligned\.parquet is missing or damaged .*delete the folder and run again"
    ):
        read_aligned(tmp_path)
