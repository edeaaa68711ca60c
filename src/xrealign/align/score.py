"""Scores of word links against a gold standard: precision, recall, F1 and AER with bootstrap intervals. No torch.

Och & Ney (2003, Computational Linguistics 29(1), section 5): A the links to score, S the sure and P ⊇ S the possible
gold links, each summed over all sentence pairs:

    precision = |A∩P| / |A|      recall = |A∩S| / |S|      AER = 1 − (|A∩S| + |A∩P|) / (|A| + |S|)

F1 is the harmonic mean of the two. Without possible links (P = S) AER is 1 − F1.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from xrealign.errors import DataError
from xrealign.textio import read_lines
from xrealign.types import WordAlignment

METRICS = ("precision", "recall", "f1", "aer")
RESAMPLES = 2000
LEVEL = 0.95
LONGEST_LINK = 64
MOST_WORDS = 1 << 31
_LINK = re.compile(r"(?P<i>[0-9]+)(?P<mark>[-p])(?P<j>[0-9]+)(?P<score>:[-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)?")
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
        gold.append(parse_links(cells[-1], lengths, base, path, number))
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
    bounded = has_text(gold_path)
    found = []
    for (number, line), pair in zip(rows, gold, strict=True):
        lengths = (pair.src_length, pair.tgt_length) if bounded else None
        alignment = parse_links(line, lengths, base, path, number, scored=True)
        found.append(alignment.links | alignment.possible)
    return found


def has_text(gold_path: str | Path) -> bool:
    """Whether a gold file holds the sentences, or links alone."""
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
    return score_links(*read_both(gold, links, gold_base, links_base), resamples, seed)


def read_both(
    gold: str | Path, links: str | Path, gold_base: int = 0, links_base: int = 0
) -> tuple[list[WordAlignment], list[frozenset[tuple[int, int]]]]:
    """A gold file and the links to score against it.

    Raises:
        DataError: see `read_gold` and `read_links`; also when no line of the gold has a sure link.
    """
    truth = read_gold(gold, gold_base)
    if not any(pair.links for pair in truth):
        raise DataError("no sure links (i-j) in it: recall and AER are undefined", gold)
    return truth, read_links(links, truth, gold, links_base)


def score_links(
    gold: Sequence[WordAlignment],
    links: Sequence[frozenset[tuple[int, int]]],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> LinkScores:
    """Scores links; intervals are percentile bootstrap intervals (95 %) over sentence pairs."""
    counts = link_counts(gold, links)
    return scores_of_counts(counts, sum(len(pair.links | pair.possible) for pair in gold), resamples, seed)


def scores_of_counts(counts: Floats, possible: int, resamples: int = RESAMPLES, seed: int = 0) -> LinkScores:
    """Scores from the `link_counts` of N sentence pairs, (N, 4), and the number of their possible gold links."""
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
    links, sure = counts[:, :2].sum(axis=0).astype(int).tolist()
    return LinkScores(**estimates, pairs=len(counts), links=links, sure=sure, possible=possible)


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


def parse_links(
    text: str, lengths: tuple[int, int] | None, base: int, path: str | Path, number: int, scored: bool = False
) -> WordAlignment:
    """Links of one line; without ``lengths`` the smallest that hold them.

    Args:
        base: number of the first word, 0 or 1.
        scored: scores may stand behind links.

    Raises:
        DataError: an item is no link, or lies outside the sentences.
    """
    sure: set[tuple[int, int]] = set()
    possible: set[tuple[int, int]] = set()
    for item in text.split():
        match = _LINK.fullmatch(item) if len(item) <= LONGEST_LINK else None
        if match is None or (match["score"] and not scored):
            _fault(item, base, scored, path, number)
        i, j = int(match["i"]), int(match["j"])
        if i < base or j < base:
            raise DataError(f"link {i}-{j}: words are counted from {base} here", path, number)
        if max(i, j) >= MOST_WORDS:
            raise DataError(f"link {i}-{j}: no sentence has so many words", path, number)
        (possible if match["mark"] == "p" else sure).add((i - base, j - base))
    every = sure | possible
    if lengths is None:
        lengths = (max((i for i, _ in every), default=-1) + 1, max((j for _, j in every), default=-1) + 1)
    for i, j in sorted(every):
        if i >= lengths[0] or j >= lengths[1]:
            hint = "" if base else "; if words are counted from 1 in this file, set its base to 1"
            raise DataError(
                f"link {i + base}-{j + base} points outside sentences of {lengths[0]} and {lengths[1]} words"
                f" (counted from {base}){hint}", path, number,
            )  # fmt: skip
    return WordAlignment(frozenset(sure), *lengths, frozenset(every) if possible else frozenset())


def _fault(item: str, base: int, scored: bool, path: str | Path, number: int) -> NoReturn:
    """Raises: DataError: what is wrong with something that is no link."""
    link, colon, score = item.partition(":")
    shown = repr(item) if len(item) <= LONGEST_LINK else f"{item[:20]!r}…"
    if scored and colon and len(item) <= LONGEST_LINK and _LINK.fullmatch(link):
        raise DataError(f"{item!r}: {score!r} is not a score; expected i-j or i-j:0.9", path, number)
    expected = "i-j" + (" or i-j:0.9" if scored else " (sure) or ipj (possible)")
    raise DataError(f"{shown} is not a link: expected {expected}, counted from {base}, digits 0 to 9", path, number)
