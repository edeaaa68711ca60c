"""What every family of aligners looks like from outside: words of many sentence pairs in, links with scores out.

A `Recipe` says what will make the links and can be compared with another before anything is loaded; opened, it is a
`Linker`. No torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Sentences = Sequence[Sequence[str]]  # the words of each sentence


@dataclass(frozen=True, slots=True)
class ScoredLinks:
    """Links of one sentence pair, (N, 2) int32, sorted, and their scores, (N,) float32: what they measure is the
    aligner's."""

    links: Array
    scores: Array


@dataclass(frozen=True, slots=True)
class Linked:
    """Links of each sentence pair, and how many words lay beyond the longest sentence and got none."""

    found: list[ScoredLinks]
    cut_words: int = 0


@dataclass(frozen=True, slots=True)
class Linker:
    """An aligner ready for work.

    Attributes:
        link: from the words of both sides of some sentence pairs to their links; depends on nothing but them and
            what ``prepare`` saw.
        prepare: called once, before anything is linked, with the first pairs of the input.
    """

    link: Callable[[Sentences, Sentences], Linked]
    prepare: Callable[[Sentences, Sentences], None] | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """An aligner not opened yet.

    Attributes:
        key: plain data: everything besides the input that decides what links come out.
        open: loads what it needs.
    """

    key: dict[str, Any]
    open: Callable[[], Linker]


NO_LINKS = ScoredLinks(np.zeros((0, 2), dtype=np.int32), np.zeros(0, dtype=np.float32))
