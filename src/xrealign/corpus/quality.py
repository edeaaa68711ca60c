"""Which sentence pairs are good enough to train on: filters by rule and by score, with counts by reason.

A `Kept` says for every pair whether it stays, and how many fell to which reason. Filters look at all pairs they are
given; `filter_pairs` and `both` count a pair with several faults once, under the first.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from xrealign.align.checks import wrong_script
from xrealign.corpus.language_id import LEAST_CHANCE, language_check
from xrealign.errors import ConfigError, DataError, did_you_mean
from xrealign.language import Language
from xrealign.segment import find_spans, rule_of
from xrealign.textio import decimal_number, read_lines
from xrealign.types import Bitext, SentencePair

Array = np.ndarray[Any, Any]
Duplicates = Literal["keep", "pair", "source", "target", "either"]


@dataclass(frozen=True, slots=True)
class Kept:
    """What a filter left: a mask over the pairs, and the number dropped by reason.

    Attributes:
        mask: True for what stays. *Shape:* (N,)
        dropped: its counts add up to the number of False.
    """

    mask: Array
    dropped: Counter[str]


@dataclass(frozen=True, slots=True)
class PairRules:
    """What a pair must be like. None switches a rule off; bounds themselves are allowed.

    Attributes:
        min_words, max_words: words of either side, punctuation marks counted as words. Not asked of languages without
            a rule for words.
        min_characters, max_characters: characters of either side, blanks at the ends not counted.
        max_ratio: the longer side's words by the shorter's (characters, where a language has no rule for words).
        identical: whether pairs of the same text on both sides stay; case and blanks do not count.
        duplicates: what makes a pair a repetition of an earlier one: both sides together (``pair``), the source, the
            target, ``either``, or nothing (``keep``). The first stays.
        script: whether each side must be in its language's script (`xrealign.align.checks.wrong_script`).
        language_id: whether each side must be in its language, where that can be judged (needs the extra ``langid``).
        least_chance: of `language_check`.
    """

    min_words: int | None = None
    max_words: int | None = None
    min_characters: int | None = 1
    max_characters: int | None = None
    max_ratio: float | None = None
    identical: bool = False
    duplicates: Duplicates = "pair"
    script: bool = True
    language_id: bool = False
    least_chance: float = LEAST_CHANCE


def check_rules(rules: PairRules) -> None:
    """Checks that pairs can obey the rules.

    Raises:
        ConfigError: a bound is impossible, or below another it should be above.
    """
    for name in ("words", "characters"):
        least, most = getattr(rules, f"min_{name}"), getattr(rules, f"max_{name}")
        if any(bound is not None and bound < 0 for bound in (least, most)):
            raise ConfigError(f"min_{name} and max_{name} are {least} and {most}, expected 0 or more")
        if least is not None and most is not None and least > most:
            raise ConfigError(f"min_{name} = {least} is above max_{name} = {most}: no pair could stay")
    if rules.max_ratio is not None and not rules.max_ratio >= 1:
        raise ConfigError(f"max_ratio is {rules.max_ratio}, expected 1 or more: the longer side by the shorter")
    if rules.duplicates not in get_args(Duplicates):
        expected, hint = ", ".join(get_args(Duplicates)), did_you_mean(rules.duplicates, get_args(Duplicates))
        raise ConfigError(f"duplicates is {rules.duplicates!r}, expected one of {expected}{hint}")
    if not 0 < rules.least_chance < 1:
        raise ConfigError(f"least_chance is {rules.least_chance}, expected a number between 0 and 1")


def filter_pairs(pairs: Sequence[SentencePair], src: Language, tgt: Language, rules: PairRules) -> Kept:
    """The pairs that obey all rules; one that breaks several is counted under the first, in the order of `PairRules`.

    Repetitions are looked for among what obeys the other rules, so that a faulty pair never displaces a good one.

    Raises:
        ConfigError: the rules are impossible.
        MissingExtra: languages are to be identified and py3langid is not installed.
    """
    check_rules(rules)
    faults = [_fault_of(src, tgt, rules)(pair) for pair in pairs]
    good = [number for number, fault in enumerate(faults) if not fault]
    for number in _repetitions([pairs[n] for n in good], rules.duplicates):
        faults[good[number]] = "duplicate"
    return _kept(faults)


def filter_bitext(bitext: Bitext, rules: PairRules) -> tuple[Bitext, Counter[str]]:
    """A bitext without the pairs that break a rule, and their number by reason."""
    kept = filter_pairs(bitext.pairs, bitext.src, bitext.tgt, rules)
    return take(bitext, kept), kept.dropped


def take(bitext: Bitext, kept: Kept) -> Bitext:
    """The pairs of a bitext that a filter left."""
    pairs = tuple(pair for pair, stays in zip(bitext, kept.mask.tolist(), strict=True) if stays)
    return Bitext(bitext.src, bitext.tgt, pairs, bitext.origin)


def both(first: Kept, second: Kept) -> Kept:
    """Two filters one after the other; ``second`` looked only at what ``first`` left. Its mask is as long as that.

    Raises:
        DataError: it is not.
    """
    left = np.flatnonzero(first.mask)
    if len(left) != len(second.mask):
        raise DataError(f"the first filter left {len(left)} pairs, the second looked at {len(second.mask)}")
    mask = first.mask.copy()
    mask[left] = second.mask
    return Kept(mask, first.dropped + second.dropped)


def _kept(faults: Iterable[str]) -> Kept:
    listed = list(faults)
    return Kept(np.array([not fault for fault in listed], dtype=bool), Counter(fault for fault in listed if fault))


def _fault_of(src: Language, tgt: Language, rules: PairRules) -> Callable[[SentencePair], str]:
    checks = [language_check(language, rules.least_chance) for language in (src, tgt)] if rules.language_id else []
    by_words = all(rule_of(language) != "none" for language in (src, tgt))

    def fault(pair: SentencePair) -> str:
        sides = ((pair.src, src), (pair.tgt, tgt))
        words = [len(find_spans(text, lang)) if rule_of(lang) != "none" else None for text, lang in sides]
        characters = [len(text.strip()) for text, _ in sides]
        for sizes, least, most, unit in (
            (words, rules.min_words, rules.max_words, "words"),
            (characters, rules.min_characters, rules.max_characters, "characters"),
        ):
            known = [size for size in sizes if size is not None]
            if least is not None and any(size < least for size in known):
                return f"fewer than {least} {unit}"
            if most is not None and any(size > most for size in known):
                return f"more than {most} {unit}"
        one, other = sorted(size for size in (words if by_words else characters) if size is not None)
        if rules.max_ratio is not None and other > rules.max_ratio * one:
            return f"lengths in a ratio above {rules.max_ratio:g}"
        if not rules.identical and _folded(pair.src) == _folded(pair.tgt):
            return "identical sides"
        if rules.script:
            for side, (text, language) in zip(("source", "target"), sides, strict=True):
                if wrong_script(text, language):
                    return f"{side} in another script"
        for side, (text, _), check in zip(("source", "target"), sides, checks or (None, None), strict=True):
            if check is not None and check(text):
                return f"{side} in another language"
        return ""

    return fault


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def _repetitions(pairs: Sequence[SentencePair], duplicates: Duplicates) -> list[int]:
    """Places of pairs that repeat an earlier one that stays."""
    seen: set[tuple[str, ...]] = set()
    found = []
    for number, pair in enumerate(pairs):
        src, tgt = _folded(pair.src), _folded(pair.tgt)
        keys: dict[str, list[tuple[str, ...]]] = {
            "keep": [],
            "pair": [(src, tgt)],
            "source": [("source", "", src)],
            "target": [("target", "", tgt)],
            "either": [("source", "", src), ("target", "", tgt)],
        }
        if any(key in seen for key in keys[duplicates]):
            found.append(number)
        else:
            seen.update(keys[duplicates])
    return found


def above_percentile(scores: Array, percentile: float, name: str = "score") -> Kept:
    """Keeps the pairs whose scores are above the given percentile of them all; higher is better.

    A pair stays if more than ``percentile`` % of the pairs, itself among them, score as it does or worse. So never more
    than that share is dropped, equal scores share their fate, all equal all stay, and at least one pair is left. With
    a quality estimate as the score this is the filter of AlignFreeze, which takes 25, 37, 50, 62 and 75.

    Raises:
        ConfigError: the percentile is not from 0 up to, but not, 100.
        DataError: a score is not a finite number.
    """
    if not 0 <= percentile < 100:
        raise ConfigError(f"percentile is {percentile}, expected 0 (all stay) up to, but not, 100")
    values = _finite(scores, name)
    as_bad = np.searchsorted(np.sort(values), values, side="right")
    mask: Array = as_bad * 100 > percentile * len(values)
    reason = f"{name} not above the {percentile:g}th percentile"
    return Kept(mask, Counter({reason: int((~mask).sum())} if not mask.all() else {}))


def at_least(scores: Array, threshold: float, name: str = "score") -> Kept:
    """Keeps the pairs whose scores are at least ``threshold``.

    Raises:
        ConfigError: the threshold is not a finite number.
        DataError: a score is not.
    """
    if not math.isfinite(threshold):
        raise ConfigError(f"threshold is {threshold}, expected a finite number")
    mask: Array = _finite(scores, name) >= threshold
    return Kept(mask, Counter({f"{name} below {threshold:g}": int((~mask).sum())} if not mask.all() else {}))


def _finite(scores: Array, name: str) -> Array:
    values = np.asarray(scores, dtype=np.float64)
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        raise DataError(
            f"{name} {values[wrong[0]]} of pair {wrong[0] + 1} is not a finite number; every pair needs one"
        )
    return values


def pair_cosines(src_vectors: Array, tgt_vectors: Array) -> Array:
    """Cosine of each source sentence's vector with its translation's. *Shape:* (N, D) twice → (N,), float64

    Raises:
        DataError: shapes differ, or a vector is all zeros or not finite, which has no cosine.
    """
    src, tgt = np.asarray(src_vectors, dtype=np.float64), np.asarray(tgt_vectors, dtype=np.float64)
    if src.ndim != 2 or src.shape != tgt.shape:
        raise DataError(f"vectors of shapes {src.shape} (source) and {tgt.shape} (target), expected (N, D) twice")
    lengths = np.linalg.norm(src, axis=1), np.linalg.norm(tgt, axis=1)
    for side, length in zip(("source", "target"), lengths, strict=True):
        wrong = np.flatnonzero(~(np.isfinite(length) & (length > 0)))
        if len(wrong):
            raise DataError(f"the {side} vector of pair {wrong[0] + 1} is zero or not finite and has no cosine")
    cosines: Array = np.einsum("nd,nd->n", src, tgt) / (lengths[0] * lengths[1])
    return cosines


def read_scores(path: str | Path, pairs: int) -> Array:
    """Scores made elsewhere, such as a quality estimate: one number a line, line n for pair n. *Shape:* (pairs,)

    Raises:
        DataError: a line is not a finite number, or there are not as many as pairs.
    """
    scores = []
    for number, line in read_lines(path):
        try:
            scores.append(decimal_number(line))
        except ValueError as error:
            raise DataError(f"{error}, one score a line", path, number) from None
    if len(scores) != pairs:
        raise DataError(f"{len(scores)} scores for {pairs} pairs: line n must score pair n", path)
    return np.array(scores, dtype=np.float64)
