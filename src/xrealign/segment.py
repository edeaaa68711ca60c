"""Words of a sentence as character spans, before any tokenizer sees it.

Scripts with blanks between words: runs of letters, marks, digits (apostrophes and hyphens inside a word belong to
it); every other visible character is a word of its own. Scripts without blanks have no rule here: their words are
the encoder's own subwords (`xrealign.model.words.word_spans`), and the artifact says so.
"""

from __future__ import annotations

import numpy as np
import regex

WITHOUT_BLANKS = frozenset({"Hans", "Hant", "Hani", "Jpan", "Thai", "Laoo", "Khmr", "Mymr", "Tibt"})
_WORD = regex.compile(r"[\p{L}\p{M}\p{N}\p{Pc}]+(?:['’ʼ\-‐·][\p{L}\p{M}\p{N}\p{Pc}]+)*|[^\s\p{Z}\p{C}]")


def spans_by_blanks(text: str) -> np.ndarray:
    """Words as rows (start, end) of character positions, *Shape:* (W, 2), int32."""
    return np.array([m.span() for m in _WORD.finditer(text)], dtype=np.int32).reshape(-1, 2)


def spans_of_words(words: list[str]) -> tuple[str, np.ndarray]:
    """Text and spans of a sentence that is already split: the words joined by single blanks."""
    lengths = np.array([len(word) for word in words], dtype=np.int32)
    ends = np.cumsum(lengths + 1) - 1
    return " ".join(words), np.stack([ends - lengths, ends], axis=1).astype(np.int32).reshape(-1, 2)
