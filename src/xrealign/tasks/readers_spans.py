"""Tags of spans in any of the usual schemes, found out and checked, brought to BIO (IOB2).

Schemes (Ramshaw and Marcus 1995; Tjong Kim Sang and Veenstra 1999; Ratinov and Roth 2009):

- IOB1: I inside; B only where a span follows one of its own type at once.
- IOB2 (BIO): every span begins with B.
- IOE1: I inside; E only where a span of the same type follows at once. IOE2: every span ends with E.
- BIOES (BILOU, BMES): B begins, E (L) ends, I (M) between, S (U) alone.

Which of IOB1 and IOB2, or of IOE1 and IOE2, a file is in shows in its first span: the one that fewer of the file's
tags break is taken, and what breaks it is a fault.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

import numpy as np
import regex
from numpy.typing import NDArray

from xrealign.errors import ConfigError, did_you_mean
from xrealign.tasks.faults import MOST_TOLD, Faults
from xrealign.tasks.label_names import OUTSIDE, folded_name, rename
from xrealign.tasks.readers_text import shown
from xrealign.tasks.task import TaggedExample

SCHEMES = ("IOB1", "IOB2", "IOE1", "IOE2", "BIOES")
NO_NAMES: Mapping[str, str] = {}
_TAG = regex.compile(r"([BIESLUM])-(\S.*)")
_SAME = {"L": "E", "U": "S", "M": "I"}  # BILOU's and BMES' letters in those of BIOES

_NAMES = {"BIO": "IOB2", "IOBES": "BIOES", "BILOU": "BIOES", "BMES": "BIOES"}

Mark = tuple[str, str]  # B I E S or O, and the type


class RawSentence(NamedTuple):
    """Words and tags as the file has them, and the line of each word."""

    words: tuple[str, ...]
    tags: tuple[str, ...]
    lines: Sequence[int] | NDArray[np.int64]
    group: str
    label: str = ""


def to_bio(
    sentences: Sequence[RawSentence], faults: Faults, names: Mapping[str, str] = NO_NAMES, scheme: str | None = None
) -> tuple[TaggedExample, ...]:
    """The sentences with tags in BIO form; those with a fault are left out, and the faults noted.

    Args:
        sentences: of one file.
        faults: where to note tags that are none and sequences that the scheme does not allow; ``remarks["scheme"]``
            becomes the scheme.
        names: the user's ``labels``: whole tags of the file to tags, then types to types.
        scheme: one of `SCHEMES`, in any case, or BIO, BILOU, BMES; None finds out.

    Raises:
        ConfigError: an unknown scheme.
    """
    given, scheme = scheme, _NAMES.get(scheme.upper(), scheme.upper()) if scheme else None
    if scheme is not None and scheme not in SCHEMES:
        raise ConfigError(f"scheme {given!r}, expected one of {', '.join(SCHEMES)}{did_you_mean(scheme, SCHEMES)}")
    tags = Counter(tag for sentence in sentences for tag in sentence.tags)
    types = {key: value for key, value in names.items() if key not in tags}
    marks = {tag: mark for tag in tags if (mark := _mark(names.get(tag, tag))) is not None}
    _tell_unknown(sentences, {tag: n for tag, n in tags.items() if tag not in marks}, set(marks), faults)
    known = [
        (sentence, [marks[tag] for tag in sentence.tags])
        for sentence in sentences
        if all(tag in marks for tag in sentence.tags)
    ]
    if len(known) < len(sentences):
        faults.left_out["sentence with an unknown tag"] += len(sentences) - len(known)
    found = scheme or find_scheme([row for _, row in known])
    if found:
        faults.remarks["scheme"] = found
    return tuple(
        example
        for sentence, row in known
        if (example := _example(sentence, row, found or "IOB2", types, faults)) is not None
    )


def find_scheme(rows: Sequence[Sequence[Mark]]) -> str:
    """The scheme of a file's tags; empty where there are no spans."""
    letters = {letter for row in rows for letter, _ in row} - {OUTSIDE}
    if not letters:
        return ""
    if "S" in letters or {"B", "E"} <= letters:
        return "BIOES"
    both = ("IOE2", "IOE1") if "E" in letters else ("IOB2", "IOB1")
    broken = [sum(len(impossible(row, scheme)) for row in rows) for scheme in both]
    return both[broken[1] < broken[0]]


def impossible(row: Sequence[Mark], scheme: str) -> list[int]:
    """Positions whose tag cannot stand where it does."""
    bad = []
    edge: Mark = (OUTSIDE, "")
    for at, (letter, kind) in enumerate(row):
        before = row[at - 1] if at else edge
        after = row[at + 1] if at + 1 < len(row) else edge
        goes_on = before[1] == kind and before[0] in "BI"
        if scheme == "IOB2":
            wrong = letter in "ES" or (letter == "I" and not goes_on)
        elif scheme == "IOB1":
            wrong = letter in "ES" or (letter == "B" and not goes_on)
        elif scheme == "IOE2":
            wrong = letter in "BS" or (letter == "I" and not (after[1] == kind and after[0] in "IE"))
        elif scheme == "IOE1":
            wrong = letter in "BS" or (letter == "E" and not (after[1] == kind and after[0] in "IE"))
        else:
            wrong = (letter in "IE" and not goes_on) or (letter in "BI" and not (after[1] == kind and after[0] in "IE"))
        if wrong:
            bad.append(at)
    return bad


def bio_tags(row: Sequence[Mark], scheme: str) -> tuple[str, ...]:
    """The tags in BIO form of a row in which nothing is impossible."""
    tags = []
    before: Mark = (OUTSIDE, "")
    for letter, kind in row:
        inside = before[0] != OUTSIDE and before[1] == kind
        begins = not inside or (before[0] == "E" if scheme in ("IOE1", "IOE2") else letter in "BS")
        tags.append(OUTSIDE if letter == OUTSIDE else f"{'B' if begins else 'I'}-{kind}")
        before = (letter, kind)
    return tuple(tags)


def _mark(tag: str) -> Mark | None:
    if tag == OUTSIDE:
        return OUTSIDE, ""
    match = _TAG.fullmatch(tag)
    return (_SAME.get(match[1], match[1]), match[2]) if match else None


def _example(
    sentence: RawSentence, row: Sequence[Mark], scheme: str, types: Mapping[str, str], faults: Faults
) -> TaggedExample | None:
    bad = impossible(row, scheme)
    for at in bad:
        before = shown(sentence.tags[at - 1]) if at else "the beginning of a sentence"
        after = shown(sentence.tags[at + 1]) if at + 1 < len(row) else "its end"
        faults.add(
            f"tag {shown(sentence.tags[at])} of the word {shown(sentence.words[at])} cannot stand between {before} and "
            f"{after} in {scheme}, as which the file is read",
            int(sentence.lines[at]),
        )
    if bad:
        faults.left_out["sentence with an impossible sequence of tags"] += 1
        return None
    example = TaggedExample(sentence.words, bio_tags(row, scheme), sentence.group, sentence.label)
    if not types:
        return example
    changed = cast(TaggedExample, rename(dataclasses.replace(example, label=""), types))
    return dataclasses.replace(changed, label=types.get(sentence.label, sentence.label))


def _tell_unknown(sentences: Sequence[RawSentence], unknown: Mapping[str, int], good: set[str], faults: Faults) -> None:
    """A fault for each tag that is none, at its first place."""
    first: dict[str, tuple[int, str]] = {}
    for sentence in sentences if unknown else ():
        for tag, line, word in zip(sentence.tags, sentence.lines, sentence.words, strict=True):
            if tag in unknown:
                first.setdefault(tag, (int(line), word))
    folded = {folded_name(other): other for other in sorted(good, reverse=True)} if first else {}
    for tag, (line, word) in first.items():
        times = f", {unknown[tag]} times in the file" if unknown[tag] > 1 else ""
        faults.add(
            f"tag {shown(tag)} of the word {shown(word)}{times}: expected O, B-TYPE or I-TYPE (or E-, S-)"
            + (_advice(tag, folded) if len(faults.told) < MOST_TOLD else ""),
            line,
        )


def _advice(tag: str, folded: Mapping[tuple[str, ...], str]) -> str:
    """What a tag may mean; ``folded`` has the good ones by their `folded_name`."""
    parts = folded_name(tag)
    if parts in folded:
        meant = folded[parts]
    elif tag in ("o", "0", "_", "-", "Other", "OTHER", "other"):
        meant = OUTSIDE
    elif len(parts) == 2 and sum(part in "biesul" and len(part) == 1 for part in parts) == 1:
        pieces = regex.split(r"[-_:/.\s]+", tag)
        letter = next(piece for piece in pieces if len(piece) == 1 and piece.casefold() in "biesul")
        meant = f"{letter.upper()}-{next(piece for piece in pieces if piece != letter)}"
    elif len(parts) == 1 and tag.isalpha() and len(tag) > 1:
        meant = f"I-{tag}"
    else:
        return ""
    return f'; if it means {meant!r}, say so: labels = {{"{tag}" = "{meant}"}} (--label {tag}={meant})'
