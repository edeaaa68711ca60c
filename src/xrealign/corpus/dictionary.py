"""Bilingual dictionaries: from the embedded concept names and keywords, and from two-column files."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from xrealign.corpus.embedded import KEYWORD_SEPARATOR, cldr_keywords, cldr_names
from xrealign.errors import DataError
from xrealign.language import Language
from xrealign.segment import WITHOUT_BLANKS, spans_by_blanks
from xrealign.textio import Skipped, decode_line, raw_lines

LONGEST_LINE = 100_000
"""Bytes of a line of a dictionary's file at most."""
MALFORMED = "malformed line"
FEWEST_SHARED_CONCEPTS = 2
LEAST_DICE = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Dictionary:
    """Words and their translations, both case-folded.

    Attributes:
        src: language of the words.
        tgt: language of the translations.
        translations: each word's translations, sorted.
        origin: where it comes from.
        dropped: entries left out, counted by reason.
    """

    src: Language
    tgt: Language
    translations: Mapping[str, tuple[str, ...]]
    origin: str
    dropped: Mapping[str, int]

    def __len__(self) -> int:
        """Number of word pairs."""
        return sum(len(words) for words in self.translations.values())

    def flipped(self) -> Dictionary:
        """The same pairs read from the other side."""
        back = defaultdict(set)
        for word, translations in self.translations.items():
            for translation in translations:
                back[translation].add(word)
        entries = {word: tuple(sorted(words)) for word, words in sorted(back.items())}
        return Dictionary(self.tgt, self.src, entries, self.origin, self.dropped)


@dataclass(frozen=True, slots=True, eq=False)
class PhrasePairs:
    """Words and phrases and their translations as a file has them.

    Attributes:
        pairs: source and target side, each with single blanks between the words of a phrase; no pair twice.
        origin: name of the file.
        dropped: entries left out, counted by reason.
    """

    pairs: tuple[tuple[str, str], ...]
    origin: str
    dropped: Mapping[str, int]


def is_one_word(text: str, language: Language) -> bool:
    """Whether ``text`` is a single word: no blank in it, and in scripts with blanks nothing but the word."""
    if language.script in WITHOUT_BLANKS:
        return bool(text) and not any(c.isspace() for c in text)
    spans = spans_by_blanks(text)
    return len(spans) == 1 and (int(spans[0, 0]), int(spans[0, 1])) == (0, len(text))


def _collect(
    pairs: Iterable[tuple[str, str]], src: Language, tgt: Language, origin: str, dropped: Counter[str]
) -> Dictionary:
    """Keeps the pairs of single, different words (Gaschi et al. 2023 leave identical ones out too)."""
    found: dict[str, set[str]] = defaultdict(set)
    for left, right in pairs:
        if not (is_one_word(left, src) and is_one_word(right, tgt)):
            dropped["more than one word"] += 1
            continue
        word, translation = left.casefold(), right.casefold()
        if word == translation:
            dropped["both sides identical"] += 1
        elif translation in found[word]:
            dropped["repeated"] += 1
        else:
            found[word].add(translation)
    entries = {word: tuple(sorted(words)) for word, words in sorted(found.items()) if words}
    return Dictionary(src, tgt, entries, origin, dropped)


def _columns(path: str | Path, skipped: Skipped, blanks: bool = False) -> Iterator[tuple[str, str]]:
    """Both columns of each line; ``blanks``: if the first line has no tab, columns are separated by white space."""
    separator: str | None = "\t"
    for number, raw in raw_lines(path, LONGEST_LINE):
        skipped.lines += 1
        line, fault = decode_line(raw, number, LONGEST_LINE)
        if number == 1 and blanks and "\t" not in line and len(line.split()) == 2:
            separator = None
        columns = [column.strip() for column in line.split(separator)]
        if not fault and len(columns) == 2 and all(columns):
            yield columns[0], columns[1]
            continue
        if fault:
            told = fault[1]
        elif len(columns) != 2:
            gap = "tab" if separator else "blank"
            told = f"{len(columns)} columns, expected 2: word, {gap}, translation"
        else:
            side = "word" if not columns[0] else "translation"
            told = f"the {side} is empty; fill it in or remove the line"
        skipped.add(MALFORMED, told, path, number)
    skipped.check(path)


def read_dictionary(
    path: str | Path, src: Language, tgt: Language, most_malformed: int = 0, lenient: bool = False
) -> Dictionary:
    """A dictionary from a file of two tab-separated columns, source word and translation; one pair a line.

    Lines with more than one word on a side, with identical sides, and repeats are left out and counted.

    Args:
        path: the file.
        src: language of the words.
        tgt: language of the translations.
        most_malformed: so many lines without exactly two filled columns are left out and counted; for published
            files that nobody here can mend. Leave it 0 for your own.
        lenient: such lines are left out and counted, too, unless they are too many (`xrealign.textio.Skipped`).

    Raises:
        DataError: a line has not exactly two columns, or a side is empty, and it is one more than allowed; names
            the line. Or no pair is left.
    """
    skipped = _skipped(most_malformed, lenient)
    pairs = list(_columns(path, skipped))
    dictionary = _collect(pairs, src, tgt, Path(path).name, skipped.reasons)
    if not dictionary.translations:
        raise DataError("no pair of single words in it", path)
    return dictionary


def read_phrase_pairs(
    path: str | Path, reverse: bool = False, most_malformed: int = 0, lenient: bool = False
) -> PhrasePairs:
    """Every pair of a dictionary file, phrases of several words and identical sides too, for the dictionary aligner.

    One pair a line in two tab-separated columns, source and then target. A file whose first line has no tab but two
    words is read as columns separated by blanks, the form of the MUSE dictionaries (Lample et al. 2018, arXiv
    1710.04087).

    Args:
        path: the file, plain, ``.gz`` or ``.xz``.
        reverse: the target comes first.
        most_malformed, lenient: as for `read_dictionary`.

    Raises:
        DataError: as for `read_dictionary`; or there is no pair in it.
    """
    skipped = _skipped(most_malformed, lenient)
    pairs = list(_columns(path, skipped, blanks=True))
    dropped = skipped.reasons
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for left, right in pairs:
        src, tgt = (" ".join(side.split()) for side in ((right, left) if reverse else (left, right)))
        folded = src.casefold(), tgt.casefold()
        if folded in found:
            dropped["repeated"] += 1
        else:
            found[folded] = src, tgt
    if not found:
        raise DataError("no pairs in it; expected lines of word, tab, translation", path)
    return PhrasePairs(tuple(found.values()), Path(path).name, dropped)


def _skipped(most_malformed: int, lenient: bool) -> Skipped:
    return Skipped(lenient or most_malformed > 0, None if lenient else most_malformed)


def _keyword_concepts(language: Language, held: Collection[str]) -> dict[str, set[str]]:
    """keyword -> the concepts it stands at."""
    concepts = defaultdict(set)
    for concept, joined in cldr_keywords().texts.get(language, {}).items():
        if concept not in held:
            for keyword in joined.split(KEYWORD_SEPARATOR):
                concepts[keyword.casefold()].add(concept)
    return concepts


def keyword_pairs(src: Language, tgt: Language, held: Collection[str] = ()) -> list[tuple[str, str]]:
    """Keywords of two languages that stand at the same concepts, sorted.

    A pair is kept when each is the other's best by Dice's coefficient of their sets of concepts,
    ``2|A∩B| / (|A| + |B|)`` (Dice 1945), without a tie, over LEAST_DICE, with FEWEST_SHARED_CONCEPTS in common.
    """
    left, right = _keyword_concepts(src, held), _keyword_concepts(tgt, held)
    at = defaultdict(list)
    for keyword, concepts in right.items():
        for concept in concepts:
            at[concept].append(keyword)
    scores = {}
    for keyword, concepts in left.items():
        shared = Counter(other for concept in concepts for other in at[concept])
        for other, count in shared.items():
            dice = 2 * count / (len(concepts) + len(right[other]))
            if count >= FEWEST_SHARED_CONCEPTS and dice >= LEAST_DICE:
                scores[keyword, other] = dice
    best_left, best_right = _unique_best(scores, 0), _unique_best(scores, 1)
    return sorted(pair for pair in scores if best_left.get(pair[0]) == pair == best_right.get(pair[1]))


def _unique_best(scores: Mapping[tuple[str, str], float], side: int) -> dict[str, tuple[str, str]]:
    """For each word of one side the pair with its highest score; none where two pairs tie."""
    best: dict[str, float] = {}
    winner: dict[str, tuple[str, str] | None] = {}
    for pair, score in scores.items():
        word = pair[side]
        if score > best.get(word, -1.0):
            best[word], winner[word] = score, pair
        elif score == best[word]:
            winner[word] = None
    return {word: pair for word, pair in winner.items() if pair is not None}


def concept_dictionary(src: Language, tgt: Language, held: Collection[str] = ()) -> Dictionary:
    """A dictionary from the embedded CLDR data: single-word names, and keywords paired by ``keyword_pairs``.

    Args:
        src: language of the words.
        tgt: language of the translations.
        held: concepts that must not be used, because a measure uses them.

    Raises:
        DataError: a language has no concept names.
    """
    names = cldr_names()
    left, right = names.of(src), names.of(tgt)
    dropped = Counter({"held out": sum(i in held for i in left if i in right)})
    shared = [(left[i], right[i]) for i in names.ids if i in left and i in right and i not in held]
    return _collect([*shared, *keyword_pairs(src, tgt, held)], src, tgt, "cldr", dropped)
