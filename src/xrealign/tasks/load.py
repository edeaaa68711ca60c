"""A task from a user's own files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from xrealign.errors import DataError
from xrealign.language import Language
from xrealign.tasks.task import Example, Split, Task, labels_of, unknown_names
from xrealign.textio import read_lines


def load_classification(
    train: Path,
    dev: Path | None,
    tests: Mapping[Language, Path],
    source: Language,
    name: str = "classification",
) -> Task:
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

    splits = ({} if dev is None else {str(dev): dev_split}) | {str(path): test_splits[k] for k, path in tests.items()}
    problems = unknown_names(labels, splits, labels_of)
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
    return Task(
        name,
        "class",
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
