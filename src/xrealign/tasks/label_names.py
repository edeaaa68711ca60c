"""One set of labels for all files of a task, by name: renamed, merged, dropped as the user says, compared, refused.

Nothing is guessed: a name in another spelling is an error that suggests the mapping.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import regex

from xrealign.errors import DataError, did_you_mean
from xrealign.tasks.faults import MOST_TOLD
from xrealign.tasks.readers_text import shown, some
from xrealign.tasks.task import AnyExample, Example, PairExample, TaggedExample, labels_of, tags_of

SPANS = ("ner", "slots")
OUTSIDE = "O"
_PARTS = regex.compile(r"[-_:/.\s]+")
NamesOf = Callable[[AnyExample], tuple[str, ...]]


def types_of(example: AnyExample) -> tuple[str, ...]:
    """The types of an example's spans, one for each span; tags are in BIO form."""
    return tuple(tag[2:] for tag in tags_of(example) if tag.startswith("B-"))


def names_in(kind: str) -> dict[str, NamesOf]:
    """What of an example of this kind has names: ``labels``, ``tags`` or ``types`` to a function that lists them."""
    if kind in SPANS:
        return {"types": types_of, **({"labels": labels_of} if kind == "slots" else {})}
    return {"tags": tags_of} if kind == "pos" else {} if kind == "qa" else {"labels": labels_of}


def rename(example: AnyExample, mapping: Mapping[str, str]) -> AnyExample:
    """The example with labels, tags and span types put through ``mapping``; what it does not hold stays.

    A span type that becomes ``O`` is no span any more. Tags must be in BIO form or be no spans at all.
    """
    if isinstance(example, (Example, PairExample)):
        new = mapping.get(example.label, example.label)
        return example if new == example.label else dataclasses.replace(example, label=new)
    if isinstance(example, TaggedExample):
        tags = tuple(_renamed_tag(tag, mapping) for tag in example.tags)
        label = mapping.get(example.label, example.label)
        if tags == example.tags and label == example.label:
            return example
        return dataclasses.replace(example, tags=tags, label=label)
    return example


def _renamed_tag(tag: str, mapping: Mapping[str, str]) -> str:
    if tag in mapping:
        return mapping[tag]
    if tag[:2] in ("B-", "I-") and tag[2:] in mapping:
        new = mapping[tag[2:]]
        return new if new == OUTSIDE else tag[:2] + new
    return tag


def without(examples: Sequence[Any], drop: Iterable[str], kind: str) -> tuple[tuple[Any, ...], Counter[str]]:
    """Examples that hold none of the names in ``drop``, and how many were left out by the name (the first found)."""
    refused = set(drop)
    kept, gone = [], Counter[str]()
    for example in examples:
        hit = next((name for of in names_in(kind).values() for name in of(example) if name in refused), None)
        if hit is None:
            kept.append(example)
        else:
            gone[hit] += 1
    return tuple(kept), gone


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A name that is not known: in which split, how often, the group of the first example, what it may mean."""

    place: str
    name: str
    count: int
    first: str
    hint: str

    def __str__(self) -> str:
        return f"{shown(self.name)} ({self.count} times, first at {self.first}){self.hint}"


def find_unmatched(
    known: Iterable[str], splits: Mapping[str, Sequence[AnyExample]], names_of: NamesOf
) -> dict[str, tuple[list[Unmatched], int]]:
    """Names of each split that ``known`` does not hold: `MOST_TOLD` of them, in order, and how many there are."""
    names = sorted(known)
    held = set(names)
    found = {}
    for place, split in splits.items():
        counts: Counter[str] = Counter()
        first: dict[str, str] = {}
        for example in split:
            for name in names_of(example):
                if name not in held:
                    counts[name] += 1
                    first.setdefault(name, example.group)
        told = sorted(counts)[:MOST_TOLD]
        if counts:
            found[place] = (
                [Unmatched(place, name, counts[name], first[name], nearest_name(name, names)) for name in told],
                len(counts),
            )
    return found


def unmatched(known: Iterable[str], splits: Mapping[str, Sequence[AnyExample]], names_of: NamesOf) -> list[str]:
    """A line for each file and name that ``known`` does not hold: how often, where first, the nearest name."""
    lines = []
    for place, (names, count) in find_unmatched(known, splits, names_of).items():
        lines += [f"  {place}: {name}" for name in names]
        lines += [f"  {place}: and {count - len(names)} more"] if count > len(names) else []
    return lines


def nearest_name(name: str, known: Sequence[str]) -> str:
    """A hint to append: the known name that is the same in another spelling, or else the most similar one."""
    folded = folded_name(name)
    same = [other for other in known if folded_name(other) == folded]
    return f"; is it {same[0]!r} in another spelling?" if same else did_you_mean(name, known)


def folded_name(name: str) -> tuple[str, ...]:
    """What is left of a name without case, separators and the order of its parts: B_PER, b-per and PER-B are one."""
    return tuple(sorted(part for part in _PARTS.split(name.casefold()) if part))


def refuse_numbers(labels: Iterable[str], given: Mapping[str, str], task: str) -> None:
    """Labels that are numbers mean what another file's numbers mean only by luck; the user must name them.

    Raises:
        DataError: there are such labels, and ``given`` (the user's ``labels``) does not speak of them.
    """
    unnamed = sorted({name for name in labels if name.isdecimal()} - set(given) - set(given.values()))
    if unnamed:
        raise DataError(
            f"task {task}: the labels {some(unnamed)} are numbers, which may mean something else in the next "
            f'file; name them: labels = {{"{unnamed[0]}" = "…"}} (or "{unnamed[0]}" = "{unnamed[0]}" to keep it)'
        )


def same_in_another_spelling(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Groups of names that differ in case, separators or order of parts only: one label written in several ways?"""
    groups: dict[tuple[str, ...], list[str]] = {}
    for name in sorted(set(names)):
        groups.setdefault(folded_name(name), []).append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]
