"""Sentences and their romanisations, from real text in several scripts."""

from __future__ import annotations

import numpy as np
import pytest

from xrealign.align.aligned import AlignedTexts
from xrealign.segment import spans_by_blanks

pytest.importorskip("uroman")

from xrealign.align.transliterated import romanise, romanised_pairs


def test_romanisations_are_those_that_uroman_itself_documents():
    documented = {
        "Νεπάλ": "Nepal",
        "नेपाल": "nepaal",
        "三万一": "31000",
        "Hello, World": "Hello, World",
    }
    assert dict(zip(documented, romanise(list(documented)), strict=True)) == documented


def test_targets_are_paired_with_themselves_in_latin_letters(udhr_lines):
    tags = ["rus_Cyrl", "hin_Deva", "deu_Latn", "zho_Hans"]
    tags = [tag for tag in udhr_lines if tag[:3] in {t[:3] for t in tags}]
    tgt = [udhr_lines[tag][n] for tag in tags for n in (2, 3)]
    spans = [spans_by_blanks(text) for text in tgt]
    none = [np.zeros((1, 2), dtype=np.int32)] * len(tgt)
    ids, languages = [f"{n}" for n in range(len(tgt))], [tag for tag in tags for _ in range(2)]
    texts = AlignedTexts(ids, languages, ["x"] * len(tgt), tgt, spans, spans, none)
    pairs, dropped = romanised_pairs(texts)
    assert len(pairs) + sum(dropped.values()) == len(tgt)
    assert {"rus", "hin", "zho"} <= {tag[:3] for tag in pairs.languages}
    for text, latin, words in zip(pairs.src, pairs.tgt, pairs.tgt_spans, strict=True):
        assert text in tgt
        letters = [c for c in latin if c.isalpha()]
        assert letters
        assert all(ord(c) < 0x250 for c in letters)
        assert all(latin[start:end].strip() for start, end in words)
    assert all(len(links) == 0 for links in pairs.links)


def test_texts_in_latin_letters_are_left_out_and_counted():
    spans = [spans_by_blanks("Alle Menschen")]
    texts = AlignedTexts(["1"], ["deu_Latn"], ["All"], ["Alle Menschen"], spans, spans, [np.zeros((0, 2), dtype=int)])
    pairs, dropped = romanised_pairs(texts)
    assert len(pairs) == 0
    assert dropped == {"already in Latin letters": 1}
