"""Any file of a task into examples of its kind: which form it has, and which reader reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

from xrealign.errors import DataError
from xrealign.language import Language
from xrealign.tasks.faults import Faults
from xrealign.tasks.label_names import SPANS, rename
from xrealign.tasks.readers_class import read_labelled_tsv, read_pairs, read_slot_rows
from xrealign.tasks.readers_conll import read_conll
from xrealign.tasks.readers_conllu import read_conllu
from xrealign.tasks.readers_hf import read_hf
from xrealign.tasks.readers_json import read_jsonl, read_squad
from xrealign.tasks.readers_spans import RawSentence, to_bio
from xrealign.tasks.spec import Format, TaskSpec
from xrealign.tasks.task import AnyExample, Kind, Split, TaggedExample
from xrealign.textio import COMPRESSED, UNREADABLE, open_bytes

Role = Literal["train", "dev", "test"]

BY_ENDING: dict[str, Format] = {
    ".conllu": "conllu", ".conll": "conll", ".iob": "conll", ".iob2": "conll", ".bio": "conll", ".jsonl": "jsonl",
    ".ndjson": "jsonl", ".csv": "csv", ".json": "jsonl", ".parquet": "hf",
}  # fmt: skip
FORMS: Mapping[Kind, tuple[Format, ...]] = {
    "class": ("tsv", "csv", "jsonl", "hf"),
    "pair": ("tsv", "csv", "jsonl", "hf"),
    "pos": ("conllu", "conll", "jsonl", "hf"),
    "ner": ("conll", "conllu", "jsonl", "hf"),
    "slots": ("tsv", "csv", "conll", "jsonl", "hf"),
    "qa": ("squad", "jsonl", "hf"),
}

TABLES: Mapping[Kind, Callable[..., Sequence[Any]]] = {
    "class": read_labelled_tsv,
    "pair": read_pairs,
    "slots": read_slot_rows,
}


def read_examples(spec: TaskSpec, path: Path, role: Role, language: Language | None, faults: Faults) -> Split:
    """The examples of one file with ``spec.labels`` applied; faults are noted, and raised unless they are lenient.

    Raises:
        DataError: the file cannot be read as what it is said to be; and what the readers raise.
    """
    form = spec.format or guess_format(path, spec.kind)
    if form not in FORMS[spec.kind]:
        raise DataError(f"kind {spec.kind} is read as {', '.join(FORMS[spec.kind])}, not as {form}", path)
    spans = spec.kind in SPANS
    separator = "," if form == "csv" else "\t"
    examples: Sequence[Any]
    if form == "conllu":
        column = spec.columns.get("tags", "upos" if spec.kind == "pos" else "misc:NER")
        examples = read_conllu(path, column, faults, spans, spec.labels, spec.scheme)
    elif form == "conll":
        examples = read_conll(path, spec.columns, faults, spec.separator, spans, spec.labels, spec.scheme)
    elif form in ("tsv", "csv"):
        examples = TABLES[spec.kind](path, spec.columns, faults, separator, language)
    elif form == "squad":
        examples = read_squad(path, faults)
    elif form == "jsonl":
        examples = read_jsonl(path, spec.kind, spec.columns, faults)
    else:
        examples = read_hf(path, spec.kind, role, spec.columns, faults)
    if examples and isinstance(examples[0], RawSentence):
        raw = list(examples)
        if spans:
            examples = to_bio(raw, faults, spec.labels, spec.scheme)
        else:
            examples = [TaggedExample(s.words, s.tags, s.group) for s in raw]
    if spec.kind == "slots":
        examples = _with_label(examples, faults)
    faults.settle()
    if spec.labels and not spans:
        examples = [rename(cast(AnyExample, example), spec.labels) for example in examples]
    return tuple(examples)


def _with_label(examples: Sequence[Any], faults: Faults) -> list[TaggedExample]:
    good = []
    for example in examples:
        if example.label:
            good.append(example)
        else:
            faults.add(f"the sentence {example.group} has no intent: expected a comment `# intent: …` or a label")
            faults.left_out["sentence without an intent"] += 1
    return good


def guess_format(path: Path, kind: Kind) -> Format:
    """The form of a file by its ending (without .gz, .xz, .zst) and, for words with tags, its first lines.

    A folder, a name with ``#`` and a path where there is no file are Hugging Face data sets.
    """
    if path.is_dir() or "#" in path.name:
        return "hf"
    suffixes = [suffix.casefold() for suffix in path.suffixes]
    ending = next((suffix for suffix in reversed(suffixes) if suffix not in COMPRESSED), "")
    if kind == "qa":
        return "squad" if ending == ".json" else "jsonl"
    if kind in ("pos", "ner") and ending not in (".conllu", ".jsonl", ".ndjson", ".json", ".parquet"):
        return "conllu" if _has_ten_columns(path) else "conll"
    return BY_ENDING.get(ending, "tsv")


def _has_ten_columns(path: Path) -> bool:
    try:
        with open_bytes(path) as file:
            for raw in file:
                if raw.strip() and not raw.startswith(b"#"):
                    return raw.count(b"\t") == 9 and raw[:1].isdigit()
    except UNREADABLE:
        return False  # the reader says why
    return False
