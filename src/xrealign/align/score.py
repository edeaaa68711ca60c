"""Scores of word links against a gold standard: precision, recall, F1 and AER with bootstrap intervals. No torch.

Och & Ney (2003, Computational Linguistics 29(1), section 5): A the links to score, S the sure and P ⊇ S the possible
gold links, each summed over all sentence pairs:

    precision = |A∩P| / |A|      recall = |A∩S| / |S|      AER = 1 − (|A∩S| + |A∩P|) / (|A| + |S|)

F1 is the harmonic mean of the two. Without possible links (P = S) AER is 1 − F1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xrealign.errors import DataError
from xrealign.textio import read_lines
from xrealign.types import WordAlignment

METRICS = ("precision", "recall", "f1", "aer")
RESAMPLES = 2000
LEVEL = 0.95
LONGEST_LINK = 40
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its interval; all None where it is undefined (precision without links)."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class LinkScores:
    """The four measures, and what they were counted from."""

    precision: Estimate
    recall: Estimate
    f1: Estimate
    aer: Estimate
    pairs: int
    links: int
    sure: int
    possible: int

    def as_record(self) -> dict[str, Any]:
        """Plain data, ready for JSON; unrounded."""
        return asdict(self)


def read_gold(path: str | Path, base: int = 0) -> list[WordAlignment]:
    """Gold links, one sentence pair a line.

    Either tab-separated ``source words, target words, links``, or links alone (then the lengths are the smallest
    that hold the links); which of the two, the first line decides. ``i-j`` is sure, ``ipj`` possible. ``base`` is
    the number of the first word, 0 or 1.

    Raises:
        DataError: a line is not of that form, a link lies outside its sentences, or there are no lines.
    """
    gold = []
    tabs: bool | None = None
    for number, line in read_lines(path):
        tabs = "\t" in line if tabs is None else tabs
        cells = line.split("\t")
        if len(cells) != (3 if tabs else 1):
            expected = "3 (source words, target words, links)" if tabs else "1 (links alone), as in the first line"
            raise DataError(f"{len(cells)} tab-separated columns, expected {expected}", path, number)
        lengths = (len(words(cells[0])), len(words(cells[1]))) if tabs else None
        gold.append(_parse(cells[-1], lengths, base, path, number))
    if not gold:
        raise DataError("no lines in it; expected one for each sentence pair", path)
    return gold


def read_links(
    path: str | Path, gold: Sequence[WordAlignment], gold_path: str | Path, base: int = 0
) -> list[frozenset[tuple[int, int]]]:
    """Links to score, Pharaoh whatever the file is called; line N belongs to line N of the gold.

    Scores behind links (``i-j:0.9``) are dropped; links marked possible count as links. Links must lie inside the
    sentences where the gold holds the text.

    Returns:
        For each pair its 0-based (i, j).

    Raises:
        DataError: an item is not a link, a link lies outside its sentences, or the counts of lines differ.
    """
    rows = list(read_lines(path))
    if len(rows) != len(gold):
        raise DataError(
            f"{path} has {len(rows)} lines of links, {gold_path} has {len(gold)} sentence pairs: line N of one must "
            "belong to line N of the other"
        )
    bounded = _has_text(gold_path)
    found = []
    for (number, line), pair in zip(rows, gold, strict=True):
        lengths = (pair.src_length, pair.tgt_length) if bounded else None
        plain = " ".join(_without_score(item, path, number) for item in line.split())
        alignment = _parse(plain, lengths, base, path, number)
        found.append(alignment.links | alignment.possible)
    return found


def _has_text(gold_path: str | Path) -> bool:
    return "\t" in next(read_lines(gold_path))[1]


def score_files(
    gold: str | Path,
    links: str | Path,
    gold_base: int = 0,
    links_base: int = 0,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> LinkScores:
    """Scores a file of links against a gold file, as `read_gold` and `read_links` read them.

    Raises:
        DataError: see there; also when no line of the gold has a sure link.
    """
    truth = read_gold(gold, gold_base)
    if not any(pair.links for pair in truth):
        raise DataError("no sure links (i-j) in it: recall and AER are undefined", gold)
    found = read_links(links, truth, gold, links_base)
    return score_links(truth, found, resamples, seed)


def score_links(
    gold: Sequence[WordAlignment],
    links: Sequence[frozenset[tuple[int, int]]],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> LinkScores:
    """Scores links; intervals are percentile bootstrap intervals (95 %) over sentence pairs."""
    counts = link_counts(gold, links)
    values = measures(counts.sum(axis=0, keepdims=True))[0]
    replicates = measures(_resampled(counts, resamples, seed))
    tail = (1 - LEVEL) / 2
    estimates = {}
    for column, name in enumerate(METRICS):
        kept = replicates[:, column][~np.isnan(replicates[:, column])]
        if np.isnan(values[column]) or not len(kept):
            estimates[name] = Estimate(None, None, None)
        else:
            low, high = np.quantile(kept, [tail, 1 - tail])
            estimates[name] = Estimate(float(values[column]), float(low), float(high))
    return LinkScores(
        **estimates,
        pairs=len(gold),
        links=int(counts[:, 0].sum()),
        sure=int(counts[:, 1].sum()),
        possible=sum(len(pair.links | pair.possible) for pair in gold),
    )


def link_counts(gold: Sequence[WordAlignment], links: Sequence[frozenset[tuple[int, int]]]) -> Floats:
    """|A|, |S|, |A∩S| and |A∩P| of each sentence pair. *Shape:* (N, 4)"""
    rows = [
        (len(found), len(pair.links), len(found & pair.links), len(found & (pair.links | pair.possible)))
        for pair, found in zip(gold, links, strict=True)
    ]
    return np.array(rows, dtype=np.float64).reshape(-1, 4)


def measures(sums: Floats) -> Floats:
    """Precision, recall, F1 and AER, *Shape:* (R, 4), from R rows of summed `link_counts`; NaN where undefined.

    F1 is 0 when precision and recall are, undefined when one of them is.
    """
    made, sure, both, allowed = sums.T
    with np.errstate(invalid="ignore", divide="ignore"):
        precision, recall = allowed / made, both / sure
        f1 = np.where(precision + recall == 0, 0.0, 2 * precision * recall / (precision + recall))
        aer = 1 - (both + allowed) / (made + sure)
    return np.stack([precision, recall, f1, aer], axis=1)


def _resampled(counts: Floats, resamples: int, seed: int) -> Floats:
    """Summed counts of resamples with replacement, *Shape:* (R, 4). How often each distinct row of counts is drawn is
    multinomial, so the draw costs as many numbers as there are distinct rows, not as many as there are pairs."""
    distinct, multiplicity = np.unique(counts, axis=0, return_counts=True)
    random = np.random.Generator(np.random.PCG64(seed))
    share = multiplicity / multiplicity.sum()
    sums = [random.multinomial(len(counts), share, size=min(100, resamples - r)) @ distinct
            for r in range(0, resamples, 100)]  # fmt: skip
    return np.concatenate(sums) if sums else np.zeros((0, 4))


def words(sentence: str) -> list[str]:
    """The words of a sentence that is split already. Only the blank U+0020 separates; other white space is text."""
    return [word for word in sentence.split(" ") if word]


def _without_score(item: str, path: str | Path, number: int) -> str:
    link, colon, score = item.partition(":")
    if colon:
        try:
            float(score)
        except ValueError:
            raise DataError(f"{item!r}: {score!r} is not a score; expected i-j or i-j:0.9", path, number) from None
    return link


def _parse(text: str, lengths: tuple[int, int] | None, base: int, path: str | Path, number: int) -> WordAlignment:
    for item in text.split():
        if len(item) > LONGEST_LINK:
            raise DataError(f"{item[:20]!r}… is not a link: expected i-j or ipj", path, number)
    try:
        if lengths is None or base:
            free = WordAlignment.from_pharaoh(text, 1 << 31, 1 << 31)
            sure, possible = (frozenset(_shifted(links, base)) for links in (free.links, free.possible))
            every = sure | possible
            if lengths is None:
                lengths = (max((i for i, _ in every), default=-1) + 1, max((j for _, j in every), default=-1) + 1)
            return WordAlignment(sure, *lengths, possible)
        return WordAlignment.from_pharaoh(text, *lengths)
    except DataError as error:
        raise DataError(str(error) + (f" (counted from {base})" if base else ""), path, number) from None


def _shifted(links: frozenset[tuple[int, int]], base: int) -> Iterator[tuple[int, int]]:
    for i, j in links:
        if i < base or j < base:
            raise DataError(f"link {i}-{j}: words are counted from {base} here")
        yield i - base, j - base
