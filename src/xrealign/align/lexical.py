"""Word links from a bilingual dictionary. No encoder and no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

Links = np.ndarray[Any, np.dtype[np.int32]]


def dictionary_links(
    src_sentences: Sequence[Sequence[str]],
    tgt_sentences: Sequence[Sequence[str]],
    translations: Mapping[str, Collection[str]],
) -> list[Links]:
    """Links the words of each sentence pair that a dictionary pairs without ambiguity.

    A pair (i, j) is kept only when exactly one translation of src word i occurs among the tgt words, it occurs
    there once, and it translates no other src word (a second copy of word i counts as another word).

    The rule is that of Gaschi et al. 2023 (arXiv 2306.02790), used by Bakos et al. 2025 (arXiv 2502.12959); the
    departure is that words are compared case-folded.

    Args:
        src_sentences: the words of each source sentence.
        tgt_sentences: the words of each target sentence.
        translations: case-folded source word -> its case-folded translations, as ``Dictionary.translations``.

    Returns:
        For each pair its links, *Shape:* (N, 2), int32, sorted, 0-based.
    """
    return [
        _links([word.casefold() for word in src], [word.casefold() for word in tgt], translations)
        for src, tgt in zip(src_sentences, tgt_sentences, strict=True)
    ]


def _links(src: Sequence[str], tgt: Sequence[str], translations: Mapping[str, Collection[str]]) -> Links:
    place = {word: j for j, word in enumerate(tgt)}
    occurrences = Counter(tgt)
    candidates = [[t for t in set(translations.get(word, ())) if t in place] for word in src]
    translated = Counter(t for found in candidates for t in found)
    links = [
        (i, place[found[0]])
        for i, found in enumerate(candidates)
        if len(found) == 1 and occurrences[found[0]] == 1 and translated[found[0]] == 1
    ]
    return np.array(links, dtype=np.int32).reshape(-1, 2)
