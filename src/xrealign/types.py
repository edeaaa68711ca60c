"""The nouns that flow from verb to verb. Plain frozen data; no torch here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from xrealign.errors import DataError
from xrealign.language import Language


@dataclass(frozen=True, slots=True)
class SentencePair:
    """Two sentences that translate each other; ``src`` is in the transfer source language."""

    id: str
    src: str
    tgt: str


@dataclass(frozen=True, slots=True)
class Bitext:
    """Sentence pairs of two languages, re-iterable and counted; ``origin`` names where they come from."""

    src: Language
    tgt: Language
    pairs: Sequence[SentencePair]
    origin: str

    def __iter__(self) -> Iterator[SentencePair]:
        return iter(self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)


@dataclass(frozen=True, slots=True)
class WordAlignment:
    """Links between the words of two sentences, as 0-based (i, j) pairs.

    ``sure`` and ``possible`` follow Och & Ney (2003): possible contains sure. Alignments made by a model have
    sure links only.
    """

    links: frozenset[tuple[int, int]]
    src_length: int
    tgt_length: int
    possible: frozenset[tuple[int, int]] = field(default=frozenset())

    def __post_init__(self) -> None:
        for i, j in self.links | self.possible:
            if not (0 <= i < self.src_length and 0 <= j < self.tgt_length):
                raise DataError(
                    f"link {i}-{j} points outside sentences of {self.src_length} and {self.tgt_length} words"
                )

    @classmethod
    def from_pharaoh(cls, text: str, src_length: int, tgt_length: int) -> WordAlignment:
        """Reads ``0-0 1-2 2p3`` (``-`` sure, ``p`` possible)."""
        sure: set[tuple[int, int]] = set()
        possible: set[tuple[int, int]] = set()
        for item in text.split():
            mark = "p" if "p" in item else "-"
            left, found, right = item.partition(mark)
            if not (found and item.isascii() and len(item) <= 40 and left.isdecimal() and right.isdecimal()):
                raise DataError(f"{item[:40]!r} is not a link: expected i-j (sure) or ipj (possible), 0-based")
            (possible if mark == "p" else sure).add((int(left), int(right)))
        return cls(frozenset(sure), src_length, tgt_length, frozenset(sure | possible) if possible else frozenset())

    def to_pharaoh(self) -> str:
        """Sorted ``i-j`` and ``ipj`` items, separated by blanks."""
        return " ".join(
            f"{i}-{j}" if (i, j) in self.links else f"{i}p{j}" for i, j in sorted(self.links | self.possible)
        )

    def flipped(self) -> WordAlignment:
        """The same links seen from the other side."""
        return WordAlignment(
            frozenset((j, i) for i, j in self.links),
            self.tgt_length,
            self.src_length,
            frozenset((j, i) for i, j in self.possible),
        )

    def _joined(self, other: WordAlignment, links: Iterable[tuple[int, int]]) -> WordAlignment:
        if (self.src_length, self.tgt_length) != (other.src_length, other.tgt_length):
            raise DataError("alignments of different sentences cannot be joined")
        return WordAlignment(frozenset(links), self.src_length, self.tgt_length)

    def __and__(self, other: WordAlignment) -> WordAlignment:
        return self._joined(other, self.links & other.links)

    def __or__(self, other: WordAlignment) -> WordAlignment:
        return self._joined(other, self.links | other.links)


@dataclass(frozen=True, slots=True)
class Score:
    """One number, with all that is needed to know what it is: a tidy row of ``scores.parquet``.

    Attributes:
        run: the run it belongs to.
        method: what was compared: ``baseline``, ``centred``, ``control``, ``realigned`` …
        task: the task or measure (``intents``, ``sentence-retrieval`` …).
        language: tag of the language scored, e.g. ``deu_Latn``.
        metric: ``accuracy``, ``macro_f1`` …
        value: the number, as a share (0 to 1) unless the metric's name says otherwise.
        n: how many items it was computed from.
        seed: the run's seed.
        layer: the layer measured, or None for a task.
        variant: ``raw`` or ``centred`` for measures; ``""`` for tasks.
        labels: how many labels the language covers, or None.
        signature: how the number was made, as ``key:value`` items joined by ``|``.
        model: the encoder it belongs to where one table holds several, else ``""``.
    """

    run: str
    method: str
    task: str
    language: str
    metric: str
    value: float
    n: int
    seed: int
    layer: int | None = None
    variant: str = ""
    labels: int | None = None
    signature: str = ""
    model: str = ""
