"""What data files hold: counts of each file and of all, and whether their labels go together."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import regex

from xrealign.errors import ConfigError, LanguageError, XrealignError
from xrealign.escape import csv_cell, json_text, plain
from xrealign.language import Language, parse_language
from xrealign.segment import find_spans, rule_of
from xrealign.tasks.check_names import compare_names
from xrealign.tasks.faults import Faults
from xrealign.tasks.label_names import rename, types_of
from xrealign.tasks.read import read_examples
from xrealign.tasks.readers_retrieval import read_line_columns, read_retrieval
from xrealign.tasks.spec import TaskSpec
from xrealign.tasks.task import (
    KINDS,
    AnyExample,
    Example,
    PairExample,
    QuestionExample,
    TaggedExample,
    labels_of,
    tags_of,
)

CHECKED = (*KINDS, "retrieval")
# Parts of file names that are no languages, though some are codes of one.
NO_LANGUAGE = frozenset({
    "train", "dev", "test", "valid", "validation", "val", "ner", "pos", "all", "data", "conll", "iob", "nli", "sib",
    "set", "gold", "sample", "file", "tags", "labels", "words", "text", "new", "old", "raw", "bad", "good", "other",
    "second", "first", "tsv", "csv", "json", "jsonl", "txt", "conllu", "bio", "ud", "qa",
})  # fmt: skip
MOST_ROWS = 200  # of a table for people


@dataclass(frozen=True)
class FileCounts:
    """What one file holds; ``language`` is its tag where the name of the file tells it."""

    file: str
    language: str | None = None
    examples: int = 0
    words: int = 0
    labels: Mapping[str, int] = field(default_factory=dict)
    tags: Mapping[str, int] = field(default_factory=dict)
    spans: Mapping[str, int] = field(default_factory=dict)
    unanswerable: int = 0
    repeated: int = 0
    read_as: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    faults: Sequence[str] = ()


@dataclass(frozen=True)
class Checked:
    """All files, their sums, what is worth knowing, and faults between files.

    ``only_left_out`` is whether every fault is one that costs no more than examples left out.
    """

    task: str
    files: Sequence[FileCounts]
    notes: Sequence[str]
    mismatches: Sequence[str]
    only_left_out: bool


def check_files(
    files: Sequence[Path],
    task: str,
    train: Path | None = None,
    lenient: bool = False,
    form: str | None = None,
    separator: str | None = None,
    scheme: str | None = None,
    columns: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    merge: Mapping[str, str] | None = None,
) -> Checked:
    """Reads every file and counts what it holds; nothing that a file has wrong stops the others.

    Raises:
        ConfigError: an unknown form or scheme.
    """
    if task == "retrieval":
        return _check_retrieval(files, lenient)
    spec = TaskSpec(
        name="check", kind=task, source=parse_language("eng"), train=files[0], tests={}, format=form,  # type: ignore[arg-type]
        columns=columns or {}, labels=labels or {}, merge=merge or {}, separator=separator, scheme=scheme,
    )  # fmt: skip
    read: dict[str, Sequence[AnyExample]] = {}
    counts: list[FileCounts] = []
    unreadable = False
    wanted = [*files, *([train] if train is not None and train not in files else [])]
    for path in wanted:
        faults = Faults(path, lenient=True)
        told: list[str] = []
        examples: Sequence[AnyExample] = ()
        try:
            examples = [rename(e, spec.merge) for e in read_examples(spec, path, "test", None, faults)]
        except ConfigError:
            raise
        except XrealignError as error:
            told, unreadable = str(error).split("\n"), True
        if lenient and (many := faults.too_many(len(examples))):
            told, unreadable = [*told, f"{path}: {many}"], True
        if not told and not examples and not faults.count:
            told, unreadable = [f"{path}: no examples in this file"], True
        read[str(path)] = examples
        counts.append(_count(path, task, examples, faults, told))
    mismatches, notes = compare_names(task, read, None if train is None else str(train), spec)
    return Checked(task, counts, notes, mismatches, not unreadable and not mismatches)


def _count(path: Path, task: str, examples: Sequence[AnyExample], faults: Faults, told: Sequence[str]) -> FileCounts:
    language = language_of_name(path)
    contents = Counter(_texts(example) for example in examples)
    tags = Counter(tag for example in examples for tag in tags_of(example))
    return FileCounts(
        file=str(path),
        language=language.tag if language else None,
        examples=len(examples),
        words=sum(_words(example, language) for example in examples),
        labels=_sorted(Counter(name for example in examples for name in labels_of(example))),
        tags=_sorted(tags),
        spans=_sorted(Counter(kind for example in examples for kind in types_of(example))) if task != "pos" else {},
        unanswerable=sum(isinstance(e, QuestionExample) and not e.answers for e in examples),
        repeated=sum(contents.values()) - len(contents),
        read_as=dict(faults.remarks),
        left_out=dict(faults.left_out),
        faults=[*told, *faults.lines()],
    )


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _texts(example: AnyExample) -> tuple[str, ...]:
    if isinstance(example, Example):
        return (example.text,)
    if isinstance(example, PairExample):
        return (example.first, example.second)
    return (example.question, example.context) if isinstance(example, QuestionExample) else example.words


def _words(example: AnyExample, language: Language | None) -> int:
    """Words of an example: those given, else by the rule of the language's script, or by blanks."""
    texts = _texts(example)
    if isinstance(example, TaggedExample):
        return len(texts)
    if language is not None and rule_of(language) == "icu":
        return sum(len(find_spans(text, language)) for text in texts)
    return sum(len(text.split()) for text in texts)


def language_of_name(path: Path) -> Language | None:
    """The language that a file's name begins with or has as a part: deu.test.tsv, af_afribooms-ud-test.conllu."""
    stem = path.name.partition("#")[0]
    pieces = stem.split(".")
    for text in [*pieces, *(part for piece in pieces for part in regex.split(r"[-_]", piece))]:
        if text.casefold() in NO_LANGUAGE or not regex.fullmatch(r"\p{L}{2,3}([-_]\p{L}+)?|\p{L}{5,}", text):
            continue
        try:
            return parse_language(text)
        except LanguageError:
            continue
    return None


def _check_retrieval(files: Sequence[Path], lenient: bool) -> Checked:
    counts: list[FileCounts] = []
    unreadable = False
    try:
        faults = Faults(files[0], lenient=True)
        if len(files) == 1:
            pairs = read_retrieval(files[0], None, faults)
            columns = [[pair.src for pair in pairs], [pair.tgt for pair in pairs]]
            names = [f"{files[0]} (column {n})" for n in (1, 2)]
        else:
            columns = [list(column) for column in zip(*read_line_columns(files, faults), strict=True)]
            names = [str(path) for path in files]
        for at, (name, lines) in enumerate(zip(names, columns, strict=True)):
            language = language_of_name(files[min(at, len(files) - 1)])
            counts.append(
                FileCounts(
                    name, language.tag if language and len(files) > 1 else None, len(lines),
                    sum(_words(Example(line, "", ""), language) for line in lines),
                    repeated=len(lines) - len(set(lines)), left_out=dict(faults.left_out),
                    faults=faults.lines() if at == 0 else (),
                )
            )  # fmt: skip
        if lenient and (many := faults.too_many(counts[0].examples)):
            counts[0] = replace(counts[0], faults=[f"{files[0]}: {many}", *counts[0].faults])
            unreadable = True
    except XrealignError as error:
        unreadable = True
        counts = [FileCounts(str(files[0]), faults=str(error).split("\n"))]
    notes = [
        f"note: {count.file} has {count.repeated} sentences repeated; retrieval cannot tell these apart"
        for count in counts
        if count.repeated
    ]
    return Checked("retrieval", counts, notes, [], not unreadable)


def faults_of(checked: Checked) -> list[str]:
    """Every fault, of files and between them, a line each."""
    return [*(line for counts in checked.files for line in counts.faults), *checked.mismatches]


def in_all(checked: Checked) -> FileCounts:
    """The sums over the files."""
    files = checked.files

    def added(what: str) -> dict[str, int]:
        return _sorted(sum((Counter(getattr(counts, what)) for counts in files), Counter[str]()))

    return FileCounts(
        "all",
        examples=sum(counts.examples for counts in files),
        words=sum(counts.words for counts in files),
        labels=added("labels"),
        tags=added("tags"),
        spans=added("spans"),
        unanswerable=sum(counts.unanswerable for counts in files),
        repeated=sum(counts.repeated for counts in files),
        left_out=added("left_out"),
    )


def parse_pairs(option: str, texts: Sequence[str] | None) -> dict[str, str]:
    """``FIELD=VALUE`` options as a mapping.

    Raises:
        ConfigError: one without ``=``.
    """
    pairs = {}
    for text in texts or ():
        name, equals, value = text.rpartition("=")
        if not equals or not name or not value:
            raise ConfigError(f"{option} {text!r}: expected NAME=VALUE")
        pairs[name] = value
    return pairs


def printed(checked: Checked, form: str) -> str:
    """The counts as a table, JSON, or CSV with a row for each file and name."""
    total = in_all(checked)
    if form == "json":
        content: dict[str, Any] = {
            "task": checked.task,
            "ok": not faults_of(checked),
            "files": [asdict(counts) for counts in checked.files],
            "all": asdict(total),
            "mismatches": list(checked.mismatches),
            "notes": list(checked.notes),
        }
        return json_text(content)
    every = [*checked.files, total]
    if form == "csv":
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["file", "language", "what", "name", "count"])
        for counts in every:
            for what in ("examples", "words", "unanswerable", "repeated"):
                writer.writerow([csv_cell(counts.file), counts.language or "", what, "", getattr(counts, what)])
            for what in ("labels", "tags", "spans", "left_out"):
                for name, count in getattr(counts, what).items():
                    writer.writerow([csv_cell(counts.file), counts.language or "", what, csv_cell(name), count])
        return out.getvalue().rstrip("\n")
    return _table(checked, total)


def _table(checked: Checked, total: FileCounts) -> str:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("file", overflow="fold")
    table.add_column("language", no_wrap=True)
    for name in ("examples", "words", "left out", "faults"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("read as")
    for counts in [*checked.files, total]:
        read_as = ", ".join(f"{key}: {plain(value)}" for key, value in counts.read_as.items())
        cells = (counts.examples, counts.words, sum(counts.left_out.values()), len(counts.faults))
        table.add_row(
            plain(counts.file), counts.language or "", *(f"{cell:,}" if cell else "·" for cell in cells), read_as
        )
    blocks: list[Table] = [table]
    for what in ("labels", "tags", "spans"):
        names = getattr(total, what)
        if not names or (what == "tags" and total.spans):
            continue
        block = Table(box=None, header_style="bold", pad_edge=False, title=what, title_justify="left")
        block.add_column("")
        block.add_column("all", justify="right")
        few = checked.files if 1 < len(checked.files) <= 6 else ()
        for counts in few:
            block.add_column(plain(Path(counts.file).name), justify="right")
        if not few:
            block.add_column("files", justify="right")
        if len(names) > MOST_ROWS:
            block.caption = f"and {len(names) - MOST_ROWS:,} more; --format csv tells all"
            block.caption_justify = "left"
        for name, count in list(names.items())[:MOST_ROWS]:
            having = sum(name in getattr(counts, what) for counts in checked.files)
            cells_of = [f"{getattr(c, what).get(name, 0):,}" for c in few] or [f"{having}"]
            block.add_row(plain(name), f"{count:,}", *cells_of)
        blocks.append(block)
    out = io.StringIO()
    console = Console(file=out, width=160, no_color=True, markup=False, emoji=False, highlight=False)
    for block in blocks:
        console.print(block)
        console.print()
    if total.unanswerable:
        console.print(f"{total.unanswerable:,} questions without an answer")
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip().split("\n"))
