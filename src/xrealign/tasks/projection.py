"""Label projection: the tags of a source sentence carried to its translation through word links.

Every target word that links reach gets the tag of its source word (Yarowsky & Ngai 2001, NAACL); of a name, the words
from the first to the last that its words are linked to (Ehrmann et al. 2011, RANLP, have the same hull). What links do
not tell is not guessed: words without a tag have "", which training leaves out, and a sentence whose names cannot be
carried is left out whole, because a name that is missing teaches that there is none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xrealign.errors import DataError
from xrealign.tasks.task import TaggedExample

Links = np.ndarray[Any, Any]
OUTSIDE = "O"
STRETCH = 2
"""A name's translation is at most so many times as long as the name, and one word more."""


@dataclass(frozen=True)
class Projected:
    """Examples in the target language, and how many source sentences were left out, by reason."""

    examples: tuple[TaggedExample, ...]
    left_out: Counter[str]


def project_tags(tags: Sequence[str], links: Links, words: int) -> tuple[str, ...]:
    """A tag for each of ``words`` target words: the most frequent among the source words it is linked to, at a tie the
    first one's; "" without links.

    Args:
        links: source and target word of each link. *Shape:* (N, 2)

    Raises:
        DataError: a link points outside the sentences.
    """
    found: list[list[str]] = [[] for _ in range(words)]
    for i, j in _checked(links, len(tags), words):
        found[j].append(tags[i])
    return tuple(max(dict.fromkeys(some), key=some.count) if some else "" for some in found)


def project_spans(tags: Sequence[str], links: Links, words: int) -> tuple[tuple[str, ...] | None, str]:
    """BIO tags of the target words, or None and why not.

    Raises:
        DataError: a link points outside the sentences, or the tags are not in BIO form.
    """
    pairs = _checked(links, len(tags), words)
    projected = [OUTSIDE] * words
    for first, last, kind in spans_of(tags):
        reached = sorted(j for i, j in pairs if first <= i < last)
        if not reached:
            return None, "a name without links"
        start, stop = reached[0], reached[-1] + 1
        if stop - start > STRETCH * (last - first) + 1:
            return None, "a name whose links lie far apart"
        if any(tag != OUTSIDE for tag in projected[start:stop]):
            return None, "names whose translations overlap"
        projected[start:stop] = [f"B-{kind}"] + [f"I-{kind}"] * (stop - start - 1)
    return tuple(projected), ""


def spans_of(tags: Sequence[str]) -> list[tuple[int, int, str]]:
    """First word, the word after the last, and type of each span in BIO tags, in order.

    Raises:
        DataError: an I-X that does not go on a span of type X.
    """
    spans: list[tuple[int, int, str]] = []
    for place, tag in enumerate(tags):
        mark, _, kind = tag.partition("-")
        if mark == "B":
            spans.append((place, place + 1, kind))
        elif mark == "I":
            if not spans or spans[-1][1:] != (place, kind):
                raise DataError(f"{tag} at word {place + 1} goes on no span: expected BIO tags, got {' '.join(tags)}")
            spans[-1] = (spans[-1][0], place + 1, kind)
    return spans


def project(
    tagged: Sequence[TaggedExample],
    targets: Sequence[Sequence[str]],
    links: Sequence[Links],
    spans: bool,
    coverage: float = 0.5,
) -> Projected:
    """Labelled source sentences carried to their translations.

    Args:
        targets: words of each translation.
        links: of each pair, source and target word of each link. *Shape:* (N, 2)
        spans: tags are spans in BIO form, as those of names and slots; otherwise each word's own, as parts of speech.
        coverage: of words' own tags, the least share of target words that must get one; of spans, the least share of
            target words that must be linked, for an unlinked name may hide among the others.

    Raises:
        DataError: not as many translations or links as sentences, or a link that points outside.
    """
    if not len(tagged) == len(targets) == len(links):
        raise DataError(f"{len(tagged)} sentences, {len(targets)} translations and lists of links: {len(links)}")
    kept, left_out = [], Counter[str]()
    for example, words, pairs in zip(tagged, targets, links, strict=True):
        reached = len(set(pairs[:, 1].tolist())) if len(pairs) else 0
        if not words or reached < coverage * len(words):
            left_out["too few linked words"] += 1
            continue
        if spans:
            tags, reason = project_spans(example.tags, pairs, len(words))
            if tags is None:
                left_out[reason] += 1
                continue
        else:
            tags = project_tags(example.tags, pairs, len(words))
        kept.append(TaggedExample(tuple(words), tags, example.group, example.label))
    return Projected(tuple(kept), left_out)


def _checked(links: Links, src: int, tgt: int) -> list[tuple[int, int]]:
    pairs = [(int(i), int(j)) for i, j in links]
    for i, j in pairs:
        if not (0 <= i < src and 0 <= j < tgt):
            raise DataError(f"link {i}-{j} points outside sentences of {src} and {tgt} words")
    return pairs
