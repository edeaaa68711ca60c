"""Any file of a task into examples of its kind: which form it has, and which reader reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from xrealign.errors import DataError
from xrealign.language import Language
from xrealign.tasks.faults import Faults
from xrealign.tasks.label_names import rename
from xrealign.tasks.readers_class import read_labelled_tsv, read_pairs
from xrealign.tasks.readers_conllu import read_conllu
from xrealign.tasks.spec import Format, TaskSpec
from xrealign.tasks.task import Kind, Split
from xrealign.textio import COMPRESSED

Role = Literal["train", "dev", "test"]

BY_ENDING: dict[str, Format] = {
    ".conllu": "conllu", ".conll": "conll", ".iob": "conll", ".iob2": "conll", ".bio": "conll", ".jsonl": "jsonl",
    ".ndjson": "jsonl", ".csv": "csv",
}  # fmt: skip


def read_examples(spec: TaskSpec, path: Path, role: Role, language: Language, faults: Faults) -> Split:
    """The examples of one file with ``spec.labels`` applied; faults are noted, and raised unless they are lenient.

    Raises:
        DataError: the file cannot be read as what it is said to be; and what the readers raise.
    """
    form = spec.format or guess_format(path, spec.kind)
    key = (spec.kind, form)
    examples: Split
    if key == ("pos", "conllu"):
        examples = read_conllu(path, spec.columns.get("tags", "upos"), faults)
    elif spec.kind == "class" and form in ("tsv", "csv"):
        examples = read_labelled_tsv(path, spec.columns, faults, "," if form == "csv" else "\t")
    elif spec.kind == "pair" and form in ("tsv", "csv"):
        examples = read_pairs(path, spec.columns, faults, "," if form == "csv" else "\t")
    else:
        raise DataError(f"there is no reader for kind {spec.kind} in the form {form}", path)
    return tuple(rename(example, spec.labels) for example in examples) if spec.labels else examples


def guess_format(path: Path, kind: Kind) -> Format:
    """The form of a file by its ending (without .gz, .xz, .zst)."""
    suffixes = [suffix.casefold() for suffix in path.suffixes]
    ending = next((suffix for suffix in reversed(suffixes) if suffix not in COMPRESSED), "")
    return BY_ENDING.get(ending, "tsv")
