"""Spans of tagged sentences, found in all sentences at once: as seqeval finds them, in its default and strict modes.

The default is what conlleval does (Tjong Kim Sang & Buchholz 2000) and most papers report: any sequence of tags has
spans, so that a span may begin with ``I-PER``. The strict modes take a span only where the scheme's rules are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from xrealign.errors import DataError, did_you_mean

Scheme = Literal["conll", "IOB1", "IOB2", "IOE1", "IOE2", "BIOES", "BILOU"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

PREFIXES = "OBIESLU"
NO_TYPE = "_"
"""The type of a tag that has none, such as a bare ``B``."""


@dataclass(frozen=True, eq=False)
class Spans:
    """All spans of some tagged sentences, in order.

    Attributes:
        types: the types' names.
        sentence: (spans,) which sentence.
        start, end: (spans,) words of the sentence, ``end`` excluded.
        type: (spans,) places in ``types``.
    """

    types: tuple[str, ...]
    sentence: Ints
    start: Ints
    end: Ints
    type: Ints


def span_types(tags: Sequence[str]) -> tuple[str, ...]:
    """The types of the spans that ``tags`` can make, sorted: ``PER`` of ``B-PER`` and ``I-PER``.

    Raises:
        DataError: a tag is not of the form ``O``, ``B`` or ``B-TYPE``.
    """
    return tuple(sorted({kind for prefix, kind in map(_parse, tags) if prefix != "O"}))


def find_spans(
    sentences: Sequence[Sequence[str]], types: Sequence[str] | None = None, scheme: Scheme = "conll"
) -> Spans:
    """The spans of tagged sentences; an empty tag is ``O``.

    Equal to seqeval 1.2.2: ``conll`` to ``get_entities`` (with the prefixes that seqeval knows there, BIES), the
    others to ``Entities`` with the scheme of that name (BIOES is its IOBES). seqeval also strips hyphens at either end
    of a type when it is strict; here ``B-A-`` is of type ``A-`` in every mode.

    Args:
        types: names that ``type`` counts from; those found, sorted, if None.

    Raises:
        DataError: a tag of another form, with a prefix the scheme does not have, or of none of ``types``.
    """
    if scheme not in SCHEMES:
        raise DataError(f"unknown tagging scheme {scheme!r}; there are {', '.join(SCHEMES)}")
    lengths = np.fromiter(map(len, sentences), dtype=np.int64, count=len(sentences))
    names = sorted(set(chain.from_iterable(sentences)))
    parsed = [_parse(name) for name in names]
    known = tuple(types) if types is not None else span_types(names)
    number = {one: i for i, one in enumerate(known)}
    allowed = "OBIES" if scheme == "conll" else RULES[scheme].prefixes
    for name, (letter, one) in zip(names, parsed, strict=True):
        if letter not in allowed:
            raise DataError(f"tag {name!r} is not of the scheme {scheme}, whose prefixes are {' '.join(allowed)}")
        if letter != "O" and one not in number:
            raise DataError(
                f"tag {name!r} is of no known type; known are {', '.join(known) or 'none'}{did_you_mean(one, known)}"
            )
    # One flat row of words, an O before each sentence: a span never crosses it.
    code_of = {name: i for i, name in enumerate(names)}
    words = np.fromiter(map(code_of.__getitem__, chain.from_iterable(sentences)), np.int64, int(lengths.sum()))
    first = np.cumsum(lengths) - lengths + np.arange(len(lengths))
    is_word = np.ones(len(words) + len(lengths) + 1, dtype=bool)
    is_word[first] = is_word[-1] = False
    prefix, kind = np.zeros(len(is_word), dtype=np.int64), np.full(len(is_word), -1, dtype=np.int64)
    prefix[is_word] = np.array([PREFIXES.index(p) for p, _ in parsed], dtype=np.int64)[words]
    kind[is_word] = np.array([number.get(k, -1) if p != "O" else -1 for p, k in parsed], dtype=np.int64)[words]
    start, end = _conll(prefix, kind) if scheme == "conll" else _strict(prefix, kind, RULES[scheme])
    sentence = np.searchsorted(first, start, side="right") - 1
    offset = first[sentence] + 1
    return Spans(known, sentence, start - offset, end - offset, kind[start])


def span_counts(
    gold: Sequence[Sequence[str]],
    predicted: Sequence[Sequence[str]],
    types: Sequence[str],
    scheme: Scheme = "conll",
) -> Ints:
    """(sentences, 3, types): how many spans are in gold, were predicted, and are in both with start, end and type.

    Raises:
        DataError: as ``find_spans`` does; the sentences differ in number.
    """
    if len(gold) != len(predicted):
        raise DataError(f"{len(gold)} gold sentences but {len(predicted)} predictions")
    first, second = find_spans(gold, types, scheme), find_spans(predicted, types, scheme)
    width = 1 + max(map(len, chain(gold, predicted)), default=0)

    def keys(spans: Spans) -> Ints:
        return ((spans.sentence * width + spans.start) * width + spans.end) * (len(types) or 1) + spans.type

    def count(spans: Spans, picked: Bools | slice) -> Ints:
        cells = spans.sentence[picked] * len(types) + spans.type[picked]
        return np.bincount(cells, minlength=len(gold) * len(types)).reshape(len(gold), len(types))

    both = np.isin(keys(first), keys(second), assume_unique=True)
    return np.stack([count(first, slice(None)), count(second, slice(None)), count(first, both)], axis=1)


def _parse(tag: str) -> tuple[str, str]:
    """Prefix and type."""
    if tag in ("", "O"):
        return "O", ""
    if tag[0] not in PREFIXES[1:] or tag[1:2] not in ("", "-"):
        raise DataError(f"{tag!r} is no tag of a span: expected O, or one of B I E S L U, a hyphen and a type")
    return tag[0], tag[2:] or NO_TYPE


def _conll(prefix: Ints, kind: Ints) -> tuple[Ints, Ints]:
    """First words and words behind the last. Every word but O is in a span, so spans end where the next boundary is."""
    b, e, s = (PREFIXES.index(letter) for letter in "BES")
    before, now = prefix[:-1], prefix[1:]
    apart = (before == 0) | (now == b) | (now == s) | (before == e) | (before == s) | (kind[1:] != kind[:-1])
    start = np.flatnonzero((now != 0) & apart) + 1
    boundary = np.flatnonzero((now == 0) | apart) + 1
    return start, boundary[np.searchsorted(boundary, start, side="right")]


@dataclass(frozen=True)
class Rules:
    """How a scheme reads two neighbouring tags.

    Each rule is three characters: the tag before (. is any), the tag itself, and whether their types must be the same
    (=), must differ (!) or either (*). ``start``: a span begins here; ``inside``: one goes on; ``end``: one that went
    on until the tag before is complete.
    """

    prefixes: str
    start: str
    inside: str
    end: str


def _matches(rules: str, prefix: Ints, kind: Ints) -> Bools:
    """(words,) where any of the rules holds between a word and the one before; never at the first."""
    table = np.zeros((2, len(PREFIXES), len(PREFIXES)), dtype=bool)
    for rule in rules.split():
        before, now, types = rule[0], rule[1], rule[2]
        rows = slice(None) if before == "." else PREFIXES.index(before)
        columns = slice(None) if now == "." else PREFIXES.index(now)
        for same in {"=": [1], "!": [0], "*": [0, 1]}[types]:
            table[same, rows, columns] = True
    found = np.zeros(len(prefix), dtype=bool)
    found[1:] = table[(kind[1:] == kind[:-1]).astype(np.int64), prefix[:-1], prefix[1:]]
    return found


def _strict(prefix: Ints, kind: Ints, rules: Rules) -> tuple[Ints, Ints]:
    """First words and words behind the last.

    A word that could both begin a span and carry on one carries on the one that is open. A word is in a span if a
    beginning lies between it and the last word that could not carry on, both included.
    """
    begins = _matches(rules.start, prefix, kind)
    inside = _matches(rules.inside, prefix, kind)
    ends = _matches(rules.end, prefix, kind)
    places = np.arange(len(prefix))
    last_break = np.maximum.accumulate(np.where(inside, 0, places))
    covered = np.maximum.accumulate(np.where(begins, places, -1)) >= last_break
    carried = inside.copy()
    carried[1:] &= covered[:-1]
    start = np.flatnonzero(begins & ~carried)
    stop = np.flatnonzero(~carried)
    end = stop[np.searchsorted(stop, start, side="right")]
    whole = ends[end]
    return start[whole], end[whole]


RULES: dict[str, Rules] = {
    "IOB1": Rules("OIB", "OI* II! BI* IB= BB=", "BI= II=", "II! IO* IB* BO* BI! BB="),
    "IOB2": Rules("OIB", ".B*", "BI= II=", "IO* II! IB* BO* BI! BB*"),
    # seqeval's own note says that its IOE1 leaves some cases out; it is followed in that too.
    "IOE1": Rules("OIE", "OI* II! EI* EE=", "II= IE=", "II! IO* IE! EI= EE="),
    "IOE2": Rules("OIE", "OI* OE* EI* EE* II! IE!", "II= IE=", "E.*"),
    "BIOES": Rules("OIBES", ".B* .S*", "BI= BE= II= IE=", "S.* E.*"),
    "BILOU": Rules("OBILU", ".B* .U*", "BI= BL= II= IL=", "U.* L.*"),
}
