"""A text classification task: labelled in one language, tested in many. No torch here."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from xrealign.errors import DataError, did_you_mean
from xrealign.language import Language, parse_language
from xrealign.textio import read_lines


@dataclass(frozen=True, slots=True)
class Example:
    """A labelled sentence; ``group`` is what it was made from (a template), which splits keep whole."""

    text: str
    label: str
    group: str


Split = tuple[Example, ...]


@dataclass(frozen=True)
class TextClassificationTask:
    """Sentences with one label each. Labels are names; numbers for them exist only inside a model.

    Attributes:
        name: ``intents`` or the user's name for it; goes into scores.
        source: the language of ``train`` and ``dev``.
        labels: the labels of ``train``, sorted.
        train, dev: labelled sentences of the source language.
        tests: held-out sentences of each language; the source language's own test set is one of them.
        notes: how many sentences or templates were dropped or are worth knowing of, by reason.
    """

    name: str
    source: Language
    labels: tuple[str, ...]
    train: Split
    dev: Split
    tests: Mapping[Language, Split]
    notes: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.train:
            raise DataError(f"task {self.name}: there is nothing to train on")
        if list(self.labels) != sorted(set(self.labels)):
            raise DataError(f"task {self.name}: labels must be sorted and different, got {list(self.labels)}")
        unseen = set(self.labels) - {example.label for example in self.train}
        if unseen:
            raise DataError(f"task {self.name}: no training sentence has the labels {sorted(unseen)}")
        problems = _unknown_labels(self.labels, {"dev": self.dev, **{str(k): v for k, v in self.tests.items()}})
        if problems:
            raise DataError(f"task {self.name}: labels that training lacks:\n" + "\n".join(problems))

    @cached_property
    def coverage(self) -> Mapping[Language, tuple[str, ...]]:
        """The labels (sorted) that each language's test set holds: the ones it can be scored on."""
        return {
            language: tuple(sorted({example.label for example in examples}))
            for language, examples in self.tests.items()
        }

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of everything but the notes; the order of ``tests`` does not matter."""
        content = json.loads(task_to_json(self))
        del content["notes"]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def task_to_json(task: TextClassificationTask) -> str:
    """The task as JSON text, to keep as an artifact; ``task_from_json`` reads it back, equal."""

    def rows(examples: Split) -> list[list[str]]:
        return [[example.text, example.label, example.group] for example in examples]

    content = {
        "name": task.name,
        "source": task.source.tag,
        "labels": list(task.labels),
        "train": rows(task.train),
        "dev": rows(task.dev),
        "tests": {language.tag: rows(examples) for language, examples in sorted(task.tests.items())},
        "notes": dict(sorted(task.notes.items())),
    }
    return json.dumps(content, ensure_ascii=False, indent=0)


def task_from_json(text: str) -> TextClassificationTask:
    """Reads what ``task_to_json`` wrote.

    Raises:
        DataError: it is not such a text.
    """
    try:
        content = json.loads(text)
        return TextClassificationTask(
            name=content["name"],
            source=parse_language(content["source"]),
            labels=tuple(content["labels"]),
            train=tuple(Example(*row) for row in content["train"]),
            dev=tuple(Example(*row) for row in content["dev"]),
            tests={parse_language(tag): tuple(Example(*row) for row in rows) for tag, rows in content["tests"].items()},
            notes=content["notes"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"this is not a saved classification task: {error!r}; build the task again") from None


def load_classification(
    train: Path,
    dev: Path | None,
    tests: Mapping[Language, Path],
    source: Language,
    name: str = "classification",
) -> TextClassificationTask:
    """A task from a user's own files: one sentence a line, ``label<TAB>text``.

    A first line that is exactly ``label<TAB>text`` (in any case) is a header. Everything else must be a
    labelled sentence: empty lines, empty fields and further TABs are errors, so that nothing is misread in
    silence. Nothing is dropped; ``notes`` counts texts repeated within a file, training texts that carry two
    labels, and texts of dev and test files that training holds too. Each line is its own group.

    Args:
        train, dev: files of the source language; ``dev`` may be None.
        tests: one file for each language; give the source language a held-out file too.
        source: the language of ``train``.
        name: the task's name in scores.

    Raises:
        DataError: a line that breaks the format (with file and line), a file without sentences, or labels in
            ``dev`` or ``tests`` that ``train`` lacks (all of them are listed).
    """
    train_split = _read_split(train)
    labels = sorted({example.label for example in train_split})
    dev_split = _read_split(dev) if dev is not None else ()
    test_splits = {language: _read_split(path) for language, path in tests.items()}

    problems = _unknown_labels(labels, {} if dev is None else {str(dev): dev_split})
    for language, path in tests.items():
        problems += _unknown_labels(labels, {str(path): test_splits[language]})
    if problems:
        raise DataError(f"labels that training ({train}) does not have:\n" + "\n".join(problems))

    notes: Counter[str] = Counter()
    texts: dict[str, set[str]] = {}
    for example in train_split:
        texts.setdefault(example.text.casefold(), set()).add(example.label)
    notes["train: text with two labels"] = sum(len(found) > 1 for found in texts.values())
    for place, split in [
        ("train", train_split),
        ("dev", dev_split),
        *((str(k), v) for k, v in test_splits.items()),
    ]:
        notes[f"{place}: text repeated"] = len(split) - len({example.text for example in split})
        if place != "train":
            notes[f"{place}: text also in train"] = sum(example.text.casefold() in texts for example in split)
    return TextClassificationTask(
        name,
        source,
        tuple(labels),
        train_split,
        dev_split,
        test_splits,
        {k: n for k, n in notes.items() if n},
    )


def _read_split(path: Path) -> Split:
    examples = []
    for number, line in read_lines(path):
        if number == 1 and line.casefold() == "label\ttext":
            continue
        fields = [part.strip() for part in line.split("\t")]
        if len(fields) != 2 or not all(fields):
            raise DataError(f"expected label<TAB>text, both not empty, got {line[:80]!r}", path, number)
        examples.append(Example(text=fields[1], label=fields[0], group=f"line {number}"))
    if not examples:
        raise DataError("no sentences in this file; expected lines of label<TAB>text", path)
    return tuple(examples)


def _unknown_labels(known: Iterable[str], splits: Mapping[str, Split]) -> list[str]:
    """One line for each place and label that ``known`` does not hold, with the first group and how many."""
    known = set(known)
    problems = []
    for place, split in splits.items():
        counts = Counter(example.label for example in split if example.label not in known)
        for label, count in sorted(counts.items()):
            first = next(example.group for example in split if example.label == label)
            hint = did_you_mean(label, sorted(known))
            problems.append(f"  {place}: {label!r} ({count} sentences, first at {first}){hint}")
    return problems
