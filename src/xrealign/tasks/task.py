"""Labelled tasks: their kinds, examples and splits, and how they are kept on disk. No torch here."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, get_args

from xrealign.errors import DataError, did_you_mean
from xrealign.language import Language, parse_language

Kind = Literal["class", "pair", "pos", "ner", "slots", "qa"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Example:
    """A labelled sentence (``class``); ``group`` is what it was made from (a template), which splits keep whole."""

    text: str
    label: str
    group: str


@dataclass(frozen=True, slots=True)
class PairExample:
    """Two sentences with one label (kind ``pair``), such as premise and hypothesis."""

    first: str
    second: str
    label: str
    group: str


@dataclass(frozen=True, slots=True)
class TaggedExample:
    """Words with a tag each (kinds ``pos``, ``ner``, ``slots``); spans are in BIO form: ``B-PER I-PER O``.

    ``label`` is the sentence's own label, the intent of kind ``slots``; empty for the others. In training a word's tag
    may be "", unknown: label projection leaves such words.
    """

    words: tuple[str, ...]
    tags: tuple[str, ...]
    group: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class QuestionExample:
    """A question and the paragraph that answers it (kind ``qa``).

    ``answers`` are (text, place of its first character in ``context``); none if the question cannot be answered.
    """

    id: str
    question: str
    context: str
    answers: tuple[tuple[str, int], ...]
    group: str


AnyExample = Example | PairExample | TaggedExample | QuestionExample
Split = tuple[Any, ...]
"""Examples of one class, the one of the task's kind."""

EXAMPLES: dict[Kind, type[AnyExample]] = {
    "class": Example,
    "pair": PairExample,
    "pos": TaggedExample,
    "ner": TaggedExample,
    "slots": TaggedExample,
    "qa": QuestionExample,
}


@dataclass(frozen=True)
class Task:
    """Labelled in one language, tested in many. Labels are names; numbers for them exist only inside a model.

    Attributes:
        name: ``intents`` or the user's name for it; goes into scores.
        kind: decides the class of the examples, the head, the loss and the metrics.
        source: the language of ``train`` and ``dev``.
        labels: the sentences' labels in ``train``, sorted; none for kinds without.
        tags: the words' tags that a model learns, sorted; none for kinds without.
        train, dev: examples of the source language.
        tests: held-out examples of each language; the source language's own test set is one of them.
        notes: how many examples or templates were dropped or are worth knowing of, by reason.
    """

    name: str
    kind: Kind
    source: Language
    labels: tuple[str, ...]
    train: Split
    dev: Split
    tests: Mapping[Language, Split]
    notes: Mapping[str, int] = field(default_factory=dict)
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.train:
            raise DataError(f"task {self.name}: there is nothing to train on")
        splits = {"train": self.train, "dev": self.dev, **{str(k): v for k, v in self.tests.items()}}
        for what, known, names_of in (("labels", self.labels, labels_of), ("tags", self.tags, tags_of)):
            if list(known) != sorted(set(known)):
                raise DataError(f"task {self.name}: {what} must be sorted and different, got {list(known)}")
            unseen = set(known) - {name for example in self.train for name in names_of(example)}
            if unseen and what == "labels":  # I-X of a tag set may be missing from a small training set
                raise DataError(f"task {self.name}: no training sentence has the labels {sorted(unseen)}")
            named = {place: split for place, split in splits.items() if place != "train"}
            problems = unknown_names((*known, ""), {"train": self.train}, names_of)  # "": a word that is not learned
            problems += unknown_names(known, named, names_of)
            if problems:
                raise DataError(f"task {self.name}: {what} that training lacks:\n" + "\n".join(problems))

    @cached_property
    def coverage(self) -> Mapping[Language, tuple[str, ...]]:
        """The labels (without them the tags), sorted, that each language's test set holds: it is scored on these."""
        names_of = labels_of if self.labels else tags_of
        return {
            language: tuple(sorted({name for example in examples for name in names_of(example)}))
            for language, examples in self.tests.items()
        }

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of everything but the notes; the order of ``tests`` does not matter."""
        content = json.loads(task_to_json(self))
        del content["notes"]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def labels_of(example: AnyExample) -> tuple[str, ...]:
    """The label of an example; none of kinds without."""
    return (example.label,) if not isinstance(example, QuestionExample) and example.label else ()


def tags_of(example: AnyExample) -> tuple[str, ...]:
    """The tags of an example's words; none of kinds without."""
    return example.tags if isinstance(example, TaggedExample) else ()


def unknown_names(
    known: Iterable[str], splits: Mapping[str, Split], names_of: Callable[[AnyExample], tuple[str, ...]]
) -> list[str]:
    """A line for each place and name that ``known`` does not hold: how often, first where, and the nearest name."""
    names = sorted(known)
    problems = []
    for place, split in splits.items():
        counts: Counter[str] = Counter()
        first: dict[str, str] = {}
        for example in split:
            for name in set(names_of(example)).difference(names):
                counts[name] += names_of(example).count(name)
                first.setdefault(name, example.group)
        problems += [
            f"  {place}: {name!r} ({counts[name]} times, first at {first[name]}){did_you_mean(name, names)}"
            for name in sorted(counts)
        ]
    return problems


def task_to_json(task: Task) -> str:
    """The task as JSON text, to keep as an artifact; ``task_from_json`` reads it back, equal."""

    def rows(examples: Split) -> list[tuple[Any, ...]]:
        return [dataclasses.astuple(example) for example in examples]

    content = {
        "name": task.name,
        "kind": task.kind,
        "source": task.source.tag,
        "labels": list(task.labels),
        "tags": list(task.tags),
        "train": rows(task.train),
        "dev": rows(task.dev),
        "tests": {language.tag: rows(examples) for language, examples in sorted(task.tests.items())},
        "notes": dict(sorted(task.notes.items())),
    }
    return json.dumps(content, ensure_ascii=False, indent=0)


def task_from_json(text: str) -> Task:
    """Reads what ``task_to_json`` wrote.

    Raises:
        DataError: it is not such a text.
    """
    try:
        content = json.loads(text)
        make = EXAMPLES[content["kind"]]
        return Task(
            name=content["name"],
            kind=content["kind"],
            source=parse_language(content["source"]),
            labels=tuple(content["labels"]),
            train=_examples(make, content["train"]),
            dev=_examples(make, content["dev"]),
            tests={parse_language(tag): _examples(make, rows) for tag, rows in content["tests"].items()},
            notes=content["notes"],
            tags=tuple(content["tags"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"this is not a saved task: {error!r}; build the task again") from None


def _examples(make: type[Any], rows: Iterable[Sequence[Any]]) -> Split:
    return tuple(make(*(_frozen(value) for value in row)) for row in rows)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(part) for part in value) if isinstance(value, list) else value
