"""What a user says of a task of their own: which files, which columns, which names for the labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from xrealign.errors import ConfigError, did_you_mean
from xrealign.language import Language
from xrealign.tasks.task import KINDS, Kind

Format = Literal["conllu", "conll", "tsv", "csv", "jsonl", "squad", "hf"]
FORMATS: tuple[Format, ...] = get_args(Format)


@dataclass(frozen=True, kw_only=True)
class TaskSpec:
    """A task out of files; `xrealign.tasks.load.load_task` reads it.

    Attributes:
        name: goes into scores.
        kind: what is learned.
        source: the language of ``train`` and ``dev``.
        train, dev: files of the source language.
        tests: one file for each language; give the source language a held-out one too. A file with a ``language``
            column (named in ``columns``) may serve several.
        format: one of `FORMATS`; None goes by the file's ending and its first lines.
        columns: field of the example to column of the file, by name or by number from 1: ``{"label": "category"}``.
        labels: the file's label to the task's, ``{"0": "entailment"}``. For spans a whole tag or a type:
            ``{"B_PER": "B-PER", "PERSON": "PER"}``. It may name labels that no file has.
        merge: label to label, after ``labels``, in every file: ``{"AUX": "VERB"}``; for spans of types, and
            ``{"OTH": "O"}`` takes a type away.
        drop: labels whose sentences are left out of every file, and counted; for spans, types.
        separator: what stands between the columns of a ``conll`` file; None finds TABs or blanks.
        scheme: how spans are tagged (`xrealign.tasks.readers_spans.SCHEMES`); None finds out, file by file.
        lenient: examples with a fault are left out and counted, instead of an error.
        train_size, dev_size, test_size: at most so many; None for all. The choice depends on ``seed`` and the
            places in the file only, and a smaller one is the beginning of a larger.
        seed: for the sizes.

    Raises:
        ConfigError: an unknown kind or format, or a size below 1.
    """

    name: str
    kind: Kind
    source: Language
    train: Path
    tests: Mapping[Language, Path]
    dev: Path | None = None
    format: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    merge: Mapping[str, str] = field(default_factory=dict)
    drop: Sequence[str] = ()
    separator: str | None = None
    scheme: str | None = None
    lenient: bool = False
    train_size: int | None = None
    dev_size: int | None = None
    test_size: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        problems = []
        if self.kind not in KINDS:
            problems.append(f"task {self.name}: kind {self.kind!r}, expected one of {', '.join(KINDS)}")
        if self.format is not None and self.format not in FORMATS:
            hint = did_you_mean(self.format, FORMATS)
            problems.append(f"task {self.name}: format {self.format!r}, expected one of {', '.join(FORMATS)}{hint}")
        for what, size in (("train", self.train_size), ("dev", self.dev_size), ("test", self.test_size)):
            if size is not None and size < (what != "dev"):
                problems.append(f"task {self.name}: {what}_size is {size}, expected at least 1, or none for all")
        chained = sorted(set(self.merge) & set(self.merge.values()))
        if chained:
            problems.append(f"task {self.name}: merge goes on from {', '.join(chained)}; name the last label directly")
        if problems:
            raise ConfigError(problems)
