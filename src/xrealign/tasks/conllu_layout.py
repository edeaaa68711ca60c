"""Where sentences and words of CoNLL-U stand in a text, found for all lines at once by numpy.

Line by line, Python needs a microsecond a word, most of it for cells that nobody wants. Here only the wanted ones are
cut out. What is not plainly right is left to a reader that looks at each line and says what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]
TAB, NEWLINE, HASH, ZERO, UNDERSCORE = (ord(character) for character in "\t\n#0_")
MOST_DIGITS = 4
LARGEST = 10**MOST_DIGITS


@dataclass(frozen=True, eq=False, slots=True)
class Layout:
    """Sentences are blocks of lines with an empty one behind.

    Attributes:
        starts, ends: where each line, counted from 0, begins and ends in the text, in bytes.
        sentences: first line, last line, where its words end, and whether every line is right; only then do its words
            mean anything.
        words, tags: of all sentences.
        word_lines: line of each word, counted from 1.
        comments: by sentence, of those that have any.
    """

    starts: Positions
    ends: Positions
    sentences: list[tuple[int, int, int, bool]]
    words: list[str]
    tags: list[str]
    word_lines: Positions
    comments: dict[int, list[str]]


def find_layout(text: bytes, column: int, must: bool, end_of_range: Callable[[str, int, int], int | None]) -> Layout:
    r"""The layout of a text in UTF-8 whose lines all end with ``\n``.

    Args:
        text: the whole file.
        column: position of the tags, 0 to 9.
        must: ``_`` there is a fault.
        end_of_range: is told the id of a line that is no word, the number of words before it and the end of the range
            under way; returns the end of the range now under way, or None if the id is wrong.
    """
    characters = np.frombuffer(text, dtype=np.uint8)
    ends = np.flatnonzero(characters == NEWLINE)
    starts = np.concatenate(([0], ends[:-1] + 1))
    tabs = np.flatnonzero(characters == TAB)
    first_tab = np.searchsorted(tabs, starts)
    filled = starts != ends
    comment = characters[starts] == HASH

    is_first, is_last = filled.copy(), filled.copy()
    is_first[1:] &= ~filled[:-1]
    is_last[:-1] &= ~filled[1:]
    sentence = np.cumsum(is_first) - 1  # of every line, the one begun last

    rows = np.flatnonzero((np.diff(first_tab, append=len(tabs)) == 9) & ~comment)
    id_ends = tabs[first_tab[rows]]
    number = _numbers(characters, starts[rows], id_ends)
    is_word = number > 0
    lines, nodes = rows[is_word], rows[~is_word]
    word_line = np.zeros(len(starts), dtype=np.int64)
    word_line[lines] = 1
    words_until = np.cumsum(word_line)
    words_above = np.append(0, words_until[is_last])[sentence]  # in the sentences before
    wrong = np.ones(len(starts), dtype=bool)
    wrong[rows] = False
    wrong[lines] = number[is_word] != (words_until - words_above)[lines]
    wrong[comment] = (words_until > words_above)[comment]

    tab = first_tab[lines]
    form_starts, form_ends = tabs[tab] + 1, tabs[tab + 1]
    tag_starts = starts[lines] if column == 0 else tabs[tab + column - 1] + 1
    tag_ends = ends[lines] if column == 9 else tabs[tab + column]
    wrong[lines] |= (form_starts == form_ends) | (tag_starts == tag_ends)
    if must:
        wrong[lines] |= (tag_ends - tag_starts == 1) & (characters[tag_starts] == UNDERSCORE)
    plain = np.ones(int(is_first.sum()), dtype=bool)
    plain[sentence[wrong & filled]] = False

    range_ends: dict[int, int] = {}
    before = (words_until - words_above)[nodes]
    of_nodes = (starts[nodes], id_ends[~is_word], sentence[nodes], before)
    for start, stop, owner, count in zip(*(array.tolist() for array in of_nodes), strict=True):
        end = end_of_range(text[start:stop].decode(), count, range_ends.get(owner, 0))
        range_ends[owner] = LARGEST if end is None else end
    word_ends = words_until[is_last]
    sizes = np.diff(word_ends, prepend=0)
    for owner, end in range_ends.items():
        plain[owner] &= end <= sizes[owner]

    comments: dict[int, list[str]] = {}
    of_comments = (sentence[comment], starts[comment], ends[comment])
    for owner, start, stop in zip(*(array.tolist() for array in of_comments), strict=True):
        comments.setdefault(owner, []).append(text[start:stop].decode())
    firsts, lasts = np.flatnonzero(is_first), np.flatnonzero(is_last)
    return Layout(
        starts,
        ends,
        list(zip(*(array.tolist() for array in (firsts, lasts, word_ends, plain)), strict=True)),
        _cut(characters, form_starts, form_ends),
        _cut(characters, tag_starts, tag_ends),
        lines + 1,
        comments,
    )


def _cut(characters: NDArray[np.uint8], starts: Positions, ends: Positions) -> list[str]:
    """The stretches as strings. Gathered and split in one go: a slice each takes several times as long."""
    sizes = ends - starts + 1  # with the TAB or line end behind it
    until = np.cumsum(sizes)
    gathered = characters[np.arange(int(until[-1]) if len(until) else 0) + np.repeat(starts - until + sizes, sizes)]
    gathered[until - 1] = TAB
    return str(gathered.tobytes(), "utf-8").split("\t")[:-1]


def _numbers(characters: NDArray[np.uint8], starts: Positions, ends: Positions) -> Positions:
    """The whole number from 1 on that each stretch of characters is, without zeros before it; 0 where it is none."""
    lengths = ends - starts
    value = np.zeros(len(starts), dtype=np.int64)
    good = (lengths > 0) & (lengths <= MOST_DIGITS) & (characters[starts] != ZERO)
    for place in range(MOST_DIGITS):
        here = good & (lengths > place)
        if not here.any():
            break
        digits = characters[starts[here] + place].astype(np.int64) - ZERO
        value[here] = value[here] * 10 + digits
        good[np.flatnonzero(here)[(digits < 0) | (digits > 9)]] = False
    value[~good] = 0
    return value
