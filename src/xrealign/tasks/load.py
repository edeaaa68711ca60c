"""A task from a user's own files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xrealign.errors import DataError
from xrealign.language import Language
from xrealign.tasks.faults import Faults
from xrealign.tasks.label_names import OUTSIDE, SPANS, names_in, refuse_numbers, rename, types_of, unmatched, without
from xrealign.tasks.read import read_examples
from xrealign.tasks.readers_text import some
from xrealign.tasks.spec import TaskSpec
from xrealign.tasks.task import (
    AnyExample,
    Example,
    PairExample,
    QuestionExample,
    Split,
    Task,
    labels_of,
    tags_of,
)


def load_task(spec: TaskSpec, more_train: Sequence[Path] = ()) -> Task:
    """Reads all files of a task, brings their labels under one set of names, and takes the sizes asked for.

    The names are those of the training file, after ``labels``, ``merge`` and ``drop``. ``notes`` counts what was
    left out (by reason), repeated texts, texts with two labels, and texts of dev and tests that training has too;
    and names the scheme that spans were found in (with the number of its spans).

    A size takes the first of an order that depends on the seed and the place in the file alone, so that line-aligned
    test sets stay aligned. Training begins with one example of each label, so that none is lost; tags of words are
    those of the whole training file. ``more_train`` are further training files, read behind it.

    Raises:
        DataError: a file that breaks its format (every fault with file and line), labels in ``dev`` or ``tests`` that
            training lacks (all are listed: file, label, how often, first place, nearest name), labels that are
            numbers without a name, a name in ``merge`` or ``drop`` that no file has, or a task without examples.
    """
    notes: Counter[str] = Counter()
    parts = [_read(spec, path, "train", spec.source, notes) for path in (spec.train, *more_train)]
    train = tuple(example for part in parts for example in part)
    dev = _read(spec, spec.dev, "dev", spec.source, notes) if spec.dev is not None else ()
    tests = {language: _read(spec, path, str(language), language, notes) for language, path in spec.tests.items()}
    _refuse_idle_names(spec, [train, dev, *tests.values()])
    splits = {"train": train, "dev": dev, **{str(language): split for language, split in tests.items()}}
    splits = {place: _merged(spec, split, place, notes) for place, split in splits.items()}
    known = {what: {n for e in splits["train"] for n in names_of(e)} for what, names_of in names_in(spec.kind).items()}
    _refuse_unmatched(spec, known, splits, f"training ({spec.train})")
    tags = _tags(spec.kind, splits["train"])
    notes.update(_repeats(splits))
    for place, size in (("train", spec.train_size), ("dev", spec.dev_size), *((str(k), spec.test_size) for k in tests)):
        splits[place] = take(splits[place], size, spec.seed, place, spec.name)
    return Task(
        name=spec.name,
        kind=spec.kind,
        source=spec.source,
        labels=tuple(sorted({name for example in splits["train"] for name in labels_of(example)})),
        train=splits["train"],
        dev=splits["dev"],
        tests={language: splits[str(language)] for language in tests},
        notes={reason: count for reason, count in notes.items() if count},
        tags=tags,
    )


def read_tests(spec: TaskSpec, labels: Sequence[str], tags: Sequence[str]) -> dict[Language, Split]:
    """The tests of a task alone, for a model that knows ``labels`` and ``tags``; train and dev are not read.

    Raises:
        DataError: a file that breaks its format, or names that the model does not know (all are listed).
    """
    notes: Counter[str] = Counter()
    read = {language: _read(spec, path, str(language), language, notes) for language, path in spec.tests.items()}
    _refuse_idle_names(spec, list(read.values()))
    splits = {str(language): _merged(spec, split, str(language), notes) for language, split in read.items()}
    types = {tag[2:] for tag in tags if tag != OUTSIDE}
    known = {"labels": set(labels), "tags": set(tags), "types": types}
    _refuse_unmatched(spec, {what: known[what] for what in names_in(spec.kind)}, splits, "the model")
    return {
        language: take(splits[str(language)], spec.test_size, spec.seed, str(language), spec.name) for language in read
    }


def load_classification(
    train: Path,
    dev: Path | None,
    tests: Mapping[Language, Path],
    source: Language,
    name: str = "classification",
) -> Task:
    """`load_task` for labelled sentences in TSV files, with nothing to be said about them."""
    return load_task(TaskSpec(name=name, kind="class", source=source, train=train, dev=dev, tests=tests, format="tsv"))


def take(examples: Split, size: int | None, seed: int, place: str, name: str = "") -> Split:
    """At most ``size`` examples in an order drawn from the seed; None for all, in the order of the file.

    A smaller size is the beginning of a larger one. The order depends on the seed, on whether it is train, dev or a
    test, and on the places in the file, so that test sets aligned by line stay so. Training starts with one
    example of each label.

    Raises:
        DataError: training has more labels than ``size``.
    """
    if size is None:
        return examples
    role = {"train": 0, "dev": 1}.get(place, 2)
    order = np.argsort(np.random.default_rng([seed, role]).random(len(examples)), kind="stable").tolist()
    if place == "train":
        first: dict[str, int] = {}
        for at in order:
            for label in labels_of(examples[at]):
                first.setdefault(label, at)
        if len(first) > size:
            raise DataError(f"task {name}: train_size is {size}, but training has {len(first)} labels")
        held = set(first.values())
        order = [*first.values(), *(at for at in order if at not in held)]
    return tuple(examples[at] for at in order[:size])


def _read(spec: TaskSpec, path: Path, place: str, language: Language, notes: Counter[str]) -> Split:
    faults = Faults(path, spec.lenient)
    examples = read_examples(
        spec, path, "dev" if place == "dev" else "train" if place == "train" else "test", language, faults
    )
    faults.settle()
    if told := faults.too_many(len(examples)):
        raise DataError("\n".join([told, *faults.lines()[:3]]), path)
    for reason, count in faults.left_out.items():
        notes[f"{place}: {reason}"] += count
    if not examples:
        raise DataError(f"no sentences in this file, or none without a fault{''.join(faults.lines()[:1])}", path)
    if spec.kind in SPANS and "scheme" in faults.remarks:
        notes[f"{place}: spans, tagged as {faults.remarks['scheme']}"] = sum(len(types_of(e)) for e in examples)
    return examples


def _merged(spec: TaskSpec, split: Split, place: str, notes: Counter[str]) -> Split:
    merged = tuple(rename(example, spec.merge) for example in split) if spec.merge else split
    kept, gone = without(merged, spec.drop, spec.kind) if spec.drop else (merged, Counter())
    for label, count in gone.items():
        notes[f"{place}: sentence with {label}, dropped"] += count
    return kept


def _refuse_unmatched(spec: TaskSpec, known: Mapping[str, set[str]], splits: Mapping[str, Split], who: str) -> None:
    """Numbers for names, splits of which nothing is left, and names that training or the model does not have."""
    for place, split in splits.items():
        if not split and place != "dev":
            raise DataError(f"task {spec.name}: nothing is left of {place} after drop = {list(spec.drop)}")
    paths = list(spec.tests.values())
    files = {str(language): _place(path, paths, language) for language, path in spec.tests.items()}
    files |= {} if spec.dev is None else {"dev": str(spec.dev)}
    held = {files[place]: split for place, split in splits.items() if place in files}
    for what, names_of in names_in(spec.kind).items():
        every = known[what] | {name for split in splits.values() for example in split for name in names_of(example)}
        refuse_numbers(every, spec.labels, spec.name)
        problems = unmatched(known[what], held, names_of)
        if problems:
            advice = "map them with labels, merge them, or drop their sentences"
            raise DataError(f"{what} that {who} does not have; {advice}:\n" + "\n".join(problems))


def _refuse_idle_names(spec: TaskSpec, splits: Sequence[Split]) -> None:
    if not (spec.merge or spec.drop):
        return
    held = {n for of in names_in(spec.kind).values() for split in splits for e in split for n in of(e)}
    for what, names in (("merge", set(spec.merge)), ("drop", set(spec.drop) - set(spec.merge.values()))):
        for name in sorted(names - held):
            raise DataError(
                f"task {spec.name}: {what} names {name!r}, which no file has; there are {some(sorted(held))}"
            )


def _tags(kind: str, train: Split) -> tuple[str, ...]:
    """The tags to learn: those of training, for spans O and both tags of every type."""
    if kind in SPANS:
        types = {name for example in train for name in types_of(example)}
        return tuple(sorted({"O", *(f"{mark}-{name}" for name in types for mark in "BI")}))
    return tuple(sorted({tag for example in train for tag in tags_of(example)}))


def _place(path: Path, paths: Sequence[Path], language: Language) -> str:
    return str(path) if list(paths).count(path) == 1 else f"{path} ({language})"


def _repeats(splits: Mapping[str, Split]) -> dict[str, int]:
    """Counts of texts repeated in a split, of training texts with two labels, and of texts that training has too."""
    answers: dict[Any, set[Any]] = {}
    for example in splits["train"]:
        content, answer = _content(example)
        answers.setdefault(_folded(content), set()).add(answer)
    counts = {"train: text with two labels": sum(len(found) > 1 for found in answers.values())}
    for place, split in splits.items():
        contents = [_content(example)[0] for example in split]
        counts[f"{place}: text repeated"] = len(contents) - len(set(contents))
        if place != "train":
            counts[f"{place}: text also in train"] = sum(_folded(content) in answers for content in contents)
    return counts


def _content(example: AnyExample) -> tuple[tuple[str, ...], Any]:
    """What is shown of an example, and what is asked."""
    if isinstance(example, Example):
        return (example.text,), example.label
    if isinstance(example, PairExample):
        return (example.first, example.second), example.label
    if isinstance(example, QuestionExample):
        return (example.question, example.context), example.answers
    return example.words, (example.tags, example.label)


def _folded(content: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(str.casefold, content))
