"""How alike words of different scripts are once written in Latin letters: a booster for embedding aligners. No torch.

Names and loans are spelled alike in both languages more often than an encoder knows them. uroman (Hermjakob, May &
Knight 2018, P18-4003) romanises any script; likeness is the Levenshtein distance divided by the longer word's length,
taken from 1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from threading import Lock
from typing import Any

import numpy as np

from xrealign.align.linker import Sentences
from xrealign.requirements import optional

Array = np.ndarray[Any, np.dtype[np.float32]]

Places = np.ndarray[Any, np.dtype[np.int32]]
FEWEST_LETTERS, LONGEST = 3, 64
CACHE = 1 << 18  # words
_LETTERS = re.compile(r"[a-z]")


@lru_cache(maxsize=1)
def romaniser() -> Callable[[str], str]:
    """uroman, loaded once (about 3.5 s); its lattice tables are shared, so one thread at a time may use it.

    Raises:
        MissingExtra: uroman is not installed.
    """
    with optional("romanise", "romanised matching"):
        from uroman import Uroman
    made, lock = Uroman(), Lock()

    def romanise(text: str) -> str:
        with lock:
            return str(made.romanize_string(text))

    return romanise


def romanised(word: str) -> str:
    """``word`` in Latin letters and lower case, by uroman without a language: ``Αθήνα`` → ``athena``.

    Raises:
        MissingExtra: uroman is not installed.
    """
    return word.casefold() if word.isascii() else romaniser()(word).strip().casefold()


@lru_cache(maxsize=CACHE)
def _spelling(word: str) -> tuple[str, int]:
    """The romanised word, empty where it is too long, and its number of letters."""
    text = romanised(word) if len(word) <= LONGEST else ""
    return text, len(_LETTERS.findall(text))


def romanised_similarity(src_words: Sequence[str], tgt_words: Sequence[str]) -> Array:
    """1 − Levenshtein distance / length of the longer, of romanised words. *Shape:* (I, J), float32, 0 to 1.

    It is 0 for words with fewer than FEWEST_LETTERS letters on a side, and for words longer than LONGEST. Words without
    letters (numbers, punctuation) are 1 when they are identical once romanised and 0 otherwise: 1987 and 1986 are not
    alike, but १२ and 12 are.

    Raises:
        MissingExtra: uroman or rapidfuzz is not installed.
    """
    cdist, likeness = _rapidfuzz()
    if not (len(src_words) and len(tgt_words)):
        return np.zeros((len(src_words), len(tgt_words)), dtype=np.float32)
    sides = [[_spelling(word) for word in side] for side in (src_words, tgt_words)]
    alike: Array = cdist(*([text for text, _ in side] for side in sides), scorer=likeness, dtype=np.float32)
    spelled = np.logical_and.outer(*([letters >= FEWEST_LETTERS for _, letters in side] for side in sides))
    signs = np.logical_and.outer(*([bool(text) and not letters for text, letters in side] for side in sides))
    return np.where(spelled | (signs & (alike == 1)), alike, np.float32(0))


def _rapidfuzz() -> tuple[Any, Any]:
    with optional("romanise", "romanised matching"):
        from rapidfuzz.distance.Levenshtein import normalized_similarity
        from rapidfuzz.process import cdist
    return cdist, normalized_similarity


def romanised_boost(
    src: Sentences, tgt: Sentences, weight: float, floor: float, width: int, words: Places | None = None
) -> Array:
    """What is added to the cosines of B pairs: ``weight · max(0, similarity − floor)``. *Shape:* (B, W, W), float32.

    The formula is ours. Where an aligner reads dot products the boost of a place is to be multiplied by the lengths of
    its two vectors, so that it stays a boost of the cosine.

    Args:
        src, tgt: the words of B sentences each.
        weight, floor: 0 or more; 0 to 1.
        width: W, places of the padded similarities.
        words: for subwords: the word each place belongs to, of all source sentences and then all target sentences, as
            ``Units.words``; each pair of places gets the boost of its words. *Shape:* (2 B, W)
    """
    widest = max((len(side) for side in (*src, *tgt)), default=0) if words is not None else width
    boost = np.zeros((len(src), widest, widest), dtype=np.float32)
    for pair, (left, right) in enumerate(zip(src, tgt, strict=True)):
        alike = romanised_similarity(left[:widest], right[:widest])
        boost[pair, : alike.shape[0], : alike.shape[1]] = weight * np.maximum(alike - np.float32(floor), 0)
    if words is None:
        return boost
    rows = np.arange(len(src))[:, None, None]
    return boost[rows, words[: len(src), :, None], words[len(src) :, None, :]]
