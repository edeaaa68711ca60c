"""Real sentence pairs with links, small enough for a tiny encoder to train on in a second."""

from __future__ import annotations

import numpy as np
import pytest

from xrealign.align.aligned import AlignedTexts
from xrealign.corpus.embedded import bitext, cldr_names
from xrealign.language import parse_language
from xrealign.segment import spans_by_blanks


@pytest.fixture(scope="session")
def aligned():
    """60 concept names in Swahili and 30 in Turkish, words linked in order."""
    rows = []
    for code, count in (("swh", 60), ("tur", 30)):
        pairs = bitext(cldr_names(), parse_language("eng"), parse_language(code)).pairs[:count]
        rows += [(parse_language(code).tag, pair) for pair in pairs]
    src, tgt = [pair.src for _, pair in rows], [pair.tgt for _, pair in rows]
    src_spans, tgt_spans = [spans_by_blanks(t) for t in src], [spans_by_blanks(t) for t in tgt]
    links = [
        np.repeat(np.arange(min(len(a), len(b)), dtype=np.int32)[:, None], 2, axis=1)
        for a, b in zip(src_spans, tgt_spans, strict=True)
    ]
    return AlignedTexts([p.id for _, p in rows], [tag for tag, _ in rows], src, tgt, src_spans, tgt_spans, links)
