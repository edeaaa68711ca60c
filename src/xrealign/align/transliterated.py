"""Sentences paired with their romanisations: what transliteration contrastive modelling trains on. No torch.

TransliCo (Liu et al. 2024, arXiv 2401.06620, section 3) and PPA (Xhelili et al. 2024, arXiv 2406.19759) contrast a
sentence with itself in Latin letters, by uroman; no translation is needed. Departures: uroman is not told the
language, and sentences that come out as they were are left out, since there is nothing to tell them apart by.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence

import numpy as np

from xrealign.align.aligned import AlignedTexts
from xrealign.align.romanised import romaniser
from xrealign.segment import spans_by_blanks


def romanise(texts: Sequence[str]) -> list[str]:
    """Each text in Latin letters, by uroman without a language; letters that are Latin already stay, case and all.

    Raises:
        MissingExtra: uroman is not installed.
    """
    return [text if text.isascii() else unicodedata.normalize("NFC", romaniser()(text)) for text in texts]


def romanised_pairs(texts: AlignedTexts) -> tuple[AlignedTexts, Counter[str]]:
    """The target sentences of a bitext as sources, their romanisations as targets, without links; and how many were
    left out, by reason.

    Raises:
        MissingExtra: uroman is not installed.
    """
    romanised = romanise(texts.tgt)
    pairs = list(zip(texts.tgt, romanised, strict=True))
    kept = [row for row, (text, latin) in enumerate(pairs) if latin.strip() and latin.casefold() != text.casefold()]
    dropped = Counter({"already in Latin letters": len(pairs) - len(kept)}) if len(kept) < len(pairs) else Counter()
    none = np.zeros((0, 2), dtype=np.int32)
    made = AlignedTexts(
        [texts.ids[row] for row in kept],
        [texts.languages[row] for row in kept],
        [texts.tgt[row] for row in kept],
        [romanised[row] for row in kept],
        [texts.tgt_spans[row] for row in kept],
        [spans_by_blanks(romanised[row]) for row in kept],
        [none] * len(kept),
    )
    return made, dropped
