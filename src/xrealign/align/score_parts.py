"""Scores of parts of the links: of each sentence pair, and of the words of each part of speech. No torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from xrealign.align.score import METRICS, RESAMPLES, LinkScores, has_text, link_counts, measures, scores_of_counts
from xrealign.errors import ConfigError, DataError
from xrealign.textio import read_lines
from xrealign.types import WordAlignment

CONLLU_COLUMNS = 10
SIDES = ("src", "tgt")


@dataclass(frozen=True, slots=True)
class PairScores:
    """What was counted in one sentence pair, and the four measures of it; None where undefined.

    Attributes:
        pair: its number, from 1.
        links, sure, possible: |A|, |S|, |P|.
        links_sure, links_possible: |A∩S|, |A∩P|.
        precision, recall, f1, aer: as of a whole file.
    """

    pair: int
    links: int
    sure: int
    possible: int
    links_sure: int
    links_possible: int
    precision: float | None
    recall: float | None
    f1: float | None
    aer: float | None

    def as_record(self) -> dict[str, Any]:
        """Plain data, ready for JSON; unrounded."""
        return asdict(self)


def score_pairs(gold: Sequence[WordAlignment], links: Sequence[frozenset[tuple[int, int]]]) -> list[PairScores]:
    """The scores of each sentence pair by itself. Their mean is not the score of the file, which sums counts first."""
    counts = link_counts(gold, links)
    rows = zip(gold, counts.astype(int).tolist(), measures(counts).tolist(), strict=True)
    return [
        PairScores(
            number, made, sure, len(pair.links | pair.possible), both, allowed,
            **{name: None if math.isnan(v) else v for name, v in zip(METRICS, values, strict=True)},
        )
        for number, (pair, (made, sure, both, allowed), values) in enumerate(rows, 1)
    ]  # fmt: skip


def read_tags(path: str | Path, gold: Sequence[WordAlignment], side: str, gold_path: str | Path) -> list[list[str]]:
    """Part-of-speech tags of the words on one side of the gold; sentence N belongs to its line N.

    CoNLL-U, or one line for each sentence with its tags separated by blanks. A file is CoNLL-U when the first of its
    lines that is neither empty nor a comment (``#``) has a tab. Of CoNLL-U the fourth column (UPOS) of syntactic words
    counts; ranges (``3-4``) and empty nodes (``5.1``) are passed over, empty lines separate sentences. Where the gold
    is links alone, sentences may have more words than its links reach.

    Raises:
        ConfigError: ``side`` is neither src nor tgt.
        DataError: a line of CoNLL-U has not ten columns; or the numbers of sentences, or of the words of one, differ.
    """
    _check_side(side)
    rows = list(read_lines(path))
    first = next((line for _, line in rows if line.strip() and not line.startswith("#")), "")
    found = _conllu(rows, path) if "\t" in first else [(number, line.split()) for number, line in rows]
    if len(found) != len(gold):
        raise DataError(
            f"{path} has tags of {len(found)} sentences, {gold_path} has {len(gold)} sentence pairs: sentence N of one "
            "must belong to line N of the other"
        )
    text = has_text(gold_path)
    for number, ((line, tags), pair) in enumerate(zip(found, gold, strict=True), 1):
        length = pair.src_length if side == "src" else pair.tgt_length
        if len(tags) < length or (text and len(tags) > length):
            what = f"has {length} words" if text else f"reaches word {length}"
            raise DataError(f"{len(tags)} tags, but line {number} of {gold_path} {what} on the {side} side", path, line)
    return [tags for _, tags in found]


def _conllu(rows: Sequence[tuple[int, str]], path: str | Path) -> list[tuple[int, list[str]]]:
    """The line each sentence begins on, and its tags."""
    found: list[tuple[int, list[str]]] = []
    inside = False
    for number, line in rows:
        if not line.strip():
            inside = False
            continue
        if line.startswith("#"):
            continue
        cells = line.split("\t")
        if len(cells) != CONLLU_COLUMNS:
            raise DataError(f"{len(cells)} tab-separated columns, expected {CONLLU_COLUMNS} (CoNLL-U)", path, number)
        if not cells[3]:
            raise DataError("the fourth column (UPOS) is empty; write _ for a word without a tag", path, number)
        if not inside:
            found.append((number, []))
            inside = True
        if "-" not in cells[0] and "." not in cells[0]:
            found[-1][1].append(cells[3])
    return found


def _check_side(side: str) -> None:
    if side not in SIDES:
        raise ConfigError(f"--tags-side {side} is unknown; expected src or tgt")


def score_by_tag(
    gold: Sequence[WordAlignment],
    links: Sequence[frozenset[tuple[int, int]]],
    tags: Sequence[Sequence[str]],
    side: str = "src",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, LinkScores]:
    """Scores of the links whose word on ``side`` has a tag, for each tag, sorted by tag.

    A, S and P are cut to the links of these words; the measures and their intervals (over sentence pairs, those
    without the tag among them) are those of `xrealign.align.score`. ``pairs`` counts the sentence pairs with the tag.

    Raises:
        DataError: a link lies beyond the tags of its sentence.
    """
    _check_side(side)
    names = sorted({tag for sentence in tags for tag in sentence})
    column = {name: number for number, name in enumerate(names)}
    counts = np.zeros((len(names), len(gold), 4))
    possible, present = np.zeros(len(names), dtype=np.int64), np.zeros((len(names), len(gold)), dtype=bool)
    for row, (pair, found, sentence) in enumerate(zip(gold, links, tags, strict=True)):
        of_word = [column[tag] for tag in sentence]
        present[of_word, row] = True
        allowed = pair.links | pair.possible
        for number, part in enumerate((found, pair.links, found & pair.links, found & allowed, allowed)):
            for link in part:
                word = link[SIDES.index(side)]
                if word >= len(of_word):
                    place = f"pair {row + 1}: link {link[0]}-{link[1]}"
                    raise DataError(f"{place} lies beyond the {len(of_word)} tags of its {side} side")
                if number < 4:
                    counts[of_word[word], row, number] += 1
                else:
                    possible[of_word[word]] += 1
    return {
        name: replace(scores_of_counts(counts[n], int(possible[n]), resamples, seed), pairs=int(present[n].sum()))
        for name, n in column.items()
    }
