"""Code-switched source sides of a bitext, as ``realign.code_switch`` asks for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from xrealign.align.aligned import AlignedTexts
from xrealign.errors import DataError
from xrealign.train.codeswitch import (
    SwitchSettings,
    Unit,
    link_units,
    name_spans,
    phrase_units,
    span_units,
    switch_sentences,
    switched_links,
)

Lexicon = Mapping[str, Mapping[str, Sequence[str]]]
By = Literal["links", "names", "dictionary"]


def switch_sources(
    aligned: AlignedTexts, probability: float, seed: int, by: By = "links", lexicon: Lexicon | None = None
) -> tuple[AlignedTexts, Counter[str]]:
    """The bitext with units of the source sentences replaced, each with this probability; and counts of what there was
    to switch, what was switched, and what could not be.

    Words of a sentence with a switch are joined by single blanks; other sentences stay as they are. Links stay with
    the words, switched ones among them.

    Args:
        by: what is a unit: ``links``, linked words and phrases, replaced by what they are linked to; ``names``, runs
            of words with capital letters, as wholes, by what they are linked to (EntityCS, Whitehouse et al. 2022,
            which has its names and their translations from Wikidata); ``dictionary``, words and phrases of ``lexicon``
            (CoSDA-ML, Qin et al. 2020).
        lexicon: by tag of the language, translations of case-folded words and phrases with single blanks.

    Raises:
        DataError: ``dictionary``, and the lexicon lacks a language.
    """
    src, spans, links = list(aligned.src), list(aligned.src_spans), list(aligned.links)
    counts: Counter[str] = Counter()
    longest: dict[str, int] = {}
    for row, tag in enumerate(aligned.languages):
        words = _words(aligned.src[row], aligned.src_spans[row])
        if by == "dictionary":
            if lexicon is None or tag not in lexicon:
                raise DataError(f"code-switching by a dictionary: there is none for {tag}")
            if tag not in longest:
                longest[tag] = max((phrase.count(" ") + 1 for phrase in lexicon[tag]), default=0)
            units = phrase_units(words, lexicon[tag], tag, longest[tag])
        else:
            tgt = _words(aligned.tgt[row], aligned.tgt_spans[row])
            units, left_out = _linked(words, tgt, aligned.links[row], tag, by)
            counts += left_out
        (made,), done = switch_sentences([words], [units], SwitchSettings(probability), seed, tag, aligned.ids[row])
        counts += done
        if made.switched:
            src[row], spans[row] = made.text_and_spans()
            links[row] = switched_links(aligned.links[row], made.places)
    return replace(aligned, src=src, src_spans=spans, links=links), counts


def _linked(
    words: Sequence[str], tgt: Sequence[str], links: np.ndarray[Any, Any], tag: str, by: By
) -> tuple[list[Unit], Counter[str]]:
    """Units by links, and why some are none."""
    if by == "links":
        units, groups = link_units(words, tgt, links, tag)
        return units, Counter({"groups with a gap": groups["groups with a gap"]})
    units, names = span_units(words, name_spans(words), tgt, links, tag)
    return units, Counter({f"names: {reason}": n for reason, n in names.items() if reason != "units"})


def _words(text: str, spans: np.ndarray[Any, Any]) -> list[str]:
    return [text[start:end] for start, end in spans.tolist()]
