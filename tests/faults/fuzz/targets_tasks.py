"""Readers of labelled data."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

from fuzz_target import Target

from xrealign.errors import DataError
from xrealign.language import parse_language
from xrealign.tasks.answers import answer_scores
from xrealign.tasks.check import CHECKED, check_files, faults_of, printed
from xrealign.tasks.faults import Faults
from xrealign.tasks.label_names import SPANS
from xrealign.tasks.load import load_task
from xrealign.tasks.read import FORMS, read_examples
from xrealign.tasks.readers_conll import read_conll
from xrealign.tasks.readers_conllu import _careful, raw_conllu, read_conllu
from xrealign.tasks.readers_json import FIELDS, read_jsonl, read_squad
from xrealign.tasks.readers_retrieval import read_line_columns, read_retrieval
from xrealign.tasks.readers_spans import SCHEMES, RawSentence, to_bio
from xrealign.tasks.readers_table import read_fields
from xrealign.tasks.readers_text import all_lines
from xrealign.tasks.spans import find_spans
from xrealign.tasks.spec import TaskSpec
from xrealign.tasks.task import KINDS, task_from_json, task_to_json

ENG, SWH = parse_language("eng"), parse_language("swh")


def each(*readers: Callable[[Path], object]) -> Callable[[Path], object]:
    """Calls every reader, also behind one that refuses the input; the last refusal is passed on."""

    def read(path: Path) -> None:
        refused = None
        for reader in readers:
            try:
                reader(path)
            except DataError as error:
                refused = error
        if refused is not None:
            raise refused

    return read


def strict_is_lenient(reader: Callable[[Path, Faults], object]) -> Callable[[Path], object]:
    """Reads strictly and leniently; a file without a fault must give the same both ways."""

    def read(path: Path) -> None:
        faults = Faults(path, lenient=True)
        kept = reader(path, faults)
        faults.lines()
        if not faults.count:
            assert reader(path, Faults(path)) == kept
        else:
            reader(path, Faults(path))

    return read


def fast_as_careful(path: Path) -> None:
    """Sentences that are cut out of the whole text at once are those that a look at every line gives."""
    faults, careful = Faults(path, lenient=True), Faults(path, lenient=True)
    lines, found = [*all_lines(path), ""], []
    start = 0
    for number, line in enumerate(lines):
        if not line:
            before = careful.count
            one = _careful(lines[start:number], 3, None, True, start + 1, careful) if start < number else None
            found += [one] if one is not None and careful.count == before else []
            start = number + 1
    fast = list(raw_conllu(path, "upos", faults))
    assert [(s.words, s.tags, list(s.lines), s.group) for s in fast] == [
        (s.words, s.tags, s.lines, s.group) for s in found
    ]
    assert faults.told == careful.told


def check(kind: str) -> Callable[[Path], object]:
    """What `xrealign tasks check` does, in every form that it prints."""

    def read(path: Path) -> None:
        checked = check_files([path], kind, lenient=True)
        for form in ("table", "json"):
            printed(checked, form).encode("utf-8")
        found = "\n".join(faults_of(checked))
        if found:
            raise DataError(found)

    return read


def spans(path: Path) -> None:
    rows = [tuple(line.split()) for line in all_lines(path) if line.strip()]
    raw = [RawSentence(("w",) * len(tags), tags, [n] * len(tags), f"line {n}") for n, tags in enumerate(rows, 1)]
    for scheme in (None, *SCHEMES):
        faults = Faults(path, lenient=True)
        examples = to_bio(raw, faults, {"PERSON": "PER", "B_PER": "B-PER", "X": "O"}, scheme)
        found = find_spans([example.tags for example in examples], scheme="IOB2")
        starts = sum(tag.startswith("B-") for example in examples for tag in example.tags)
        assert len(found.start) == starts, "a span was lost or made"
    to_bio(raw, faults := Faults(path))
    faults.settle()


def labels(path: Path) -> None:
    """A task of one's own: the tables of labels in TOML, and two files."""
    folder = path.parent
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError):
        raise DataError("no TOML") from None
    except RecursionError:  # the configuration's reader has to say so; here are no other keys
        raise DataError("too deep") from None
    texts = {
        name: {str(k): v for k, v in found.items() if isinstance(v, str)}
        for name in ("labels", "merge", "columns")
        if isinstance(found := table.get(name, {}), dict)
    }
    drop = (
        [name for name in table.get("drop", ()) if isinstance(name, str)] if isinstance(table.get("drop"), list) else ()
    )
    kind = table.get("kind") if table.get("kind") in KINDS else "class"
    spec = TaskSpec(
        name="mine",
        kind=kind,
        source=ENG,
        train=folder / "train.tsv",
        tests={SWH: folder / "test.tsv"},
        drop=drop,
        lenient=bool(table.get("lenient")),
        train_size=5 if table.get("few") else None,
        **texts,
    )
    task = load_task(spec)
    assert task_from_json(task_to_json(task)).digest == task.digest


def answers(path: Path) -> None:
    predicted, *right = path.read_bytes().decode("utf-8", "replace").split("\n")
    for rule in ("squad2", ENG, parse_language("zho"), parse_language("arb"), parse_language("tha")):
        exact, f1 = answer_scores(predicted, right, rule)
        assert 0 <= exact <= f1 <= 1 or exact == f1


def in_every_form(path: Path) -> None:
    """What reads test files of any kind when their form is not told, in languages of a column."""
    refused = None
    for kind in KINDS:
        for form in FORMS[kind]:
            if form == "hf":
                continue
            columns = {"language": "language"} if form in ("tsv", "csv") else {}
            scheme = "IOB2" if kind in SPANS else None
            spec = TaskSpec(
                name="any", kind=kind, source=ENG, train=path, tests={}, format=form, columns=columns, scheme=scheme
            )
            try:
                read_examples(spec, path, "test", SWH, Faults(path, lenient=True))
            except DataError as error:
                refused = error
    if refused is not None:
        raise refused


CONLLU_TOKENS = (
    b"\t",
    b"\n\n",
    b"\r\n",
    b"1\t",
    b"1-2\t",
    b"1.1\t",
    b"0.1\t",
    b"2-1\t",
    b"_\t_\t_\t_\t",
    b"# sent_id = ",
    b"# text = ",
    b"\xef\xbb\xbf",
    b"\xc2\xa0",
    "١".encode(),
    b"NOUN",
    b"_",
    b"10001\t",
)
CONLL_TOKENS = (
    b"\t",
    b" ",
    b"\n\n",
    b" B-PER",
    b" I-PER",
    b" O",
    b"-DOCSTART- -X- O O",
    b"# id ",
    b"# intent: x",
    b"en:",
    b"words\ttags",
    b"#\t",
    b"\xe2\x80\xa8",
    b"\x00",
    b"E-LOC",
    b"S-LOC",
)
TABLE_TOKENS = (
    b"\t",
    b",",
    b'"',
    b'""',
    b"text\tlabel",
    b"premise\thypothesis\tlabel",
    b"words\ttags\tintent",
    b"\r",
    b"\n",
    b"language",
    b"swh",
)
JSON_TOKENS = (
    b'{"',
    b'"}',
    b'": "',
    b'", "',
    b"[",
    b"]",
    b'"text"',
    b'"label"',
    b'"words"',
    b'"tags"',
    b'"premise"',
    b'"hypothesis"',
    b'"question"',
    b'"context"',
    b'"answers"',
    b'"answer_start"',
    b"\\ud800",
    b"\\u0000",
    b"NaN",
    b"Infinity",
    b"1e999",
    b"-1",
    b"true",
    b"null",
    b'"id"',
    b"[[[[[[[[",
    b"0.5",
    b"9" * 30,
)
SQUAD_TOKENS = (
    *JSON_TOKENS,
    b'{"data": [',
    b'{"paragraphs": [',
    b'"qas": [',
    b'"is_impossible": ',
    b'"answer_start": ',
)

TARGETS: dict[str, Target] = {
    "conllu": Target(
        "x.conllu",
        each(
            *(
                strict_is_lenient(lambda path, faults, column=column: read_conllu(path, column, faults))
                for column in ("upos", "feats:Case", "misc")
            ),
            strict_is_lenient(lambda path, faults: read_conllu(path, "misc:NER", faults, spans=True)),
            fast_as_careful,
        ),
        CONLLU_TOKENS,
    ),
    "conll": Target(
        "x.conll",
        each(
            strict_is_lenient(lambda path, faults: read_conll(path, faults=faults)),
            strict_is_lenient(lambda path, faults: read_conll(path, faults=faults, spans=False)),
            strict_is_lenient(lambda path, faults: read_conll(path, {"words": "2", "tags": "1"}, faults, ",")),
            strict_is_lenient(lambda path, faults: read_conll(path, {"words": "word", "label": "1"}, faults)),
        ),
        CONLL_TOKENS,
    ),
    "table": Target(
        "x.tsv",
        each(
            *(
                strict_is_lenient(
                    lambda path, faults, wanted=wanted, columns=columns, separator=separator: list(
                        read_fields(path, wanted, columns, separator, faults, SWH)
                    )
                )
                for separator in ("\t", ",")
                for wanted, columns in (
                    (("label", "text"), {}),
                    (("first", "second", "label"), {"language": "language"}),
                    (("words", "tags", "label"), {"words": "2", "tags": "1", "label": "3"}),
                )
            )
        ),
        TABLE_TOKENS,
    ),
    "jsonl": Target(
        "x.jsonl",
        each(
            *(strict_is_lenient(lambda path, faults, kind=kind: read_jsonl(path, kind, {}, faults)) for kind in FIELDS)
        ),
        JSON_TOKENS,
    ),
    "squad": Target("x.json", strict_is_lenient(read_squad), SQUAD_TOKENS),
    "spans": Target(
        "tags.txt", spans, (b" B-", b" I-", b" E-", b" S-", b" O", b"\n", b" M-", b" L-", b" U-", b"PERSON", b"B_PER")
    ),
    "retrieval": Target(
        "pairs.tsv", strict_is_lenient(lambda path, faults: read_retrieval(path, None, faults)), (b"\t", b"\n")
    ),
    "retrieval-lines": Target(
        "a.txt",
        strict_is_lenient(lambda path, faults: read_line_columns([path, path.with_name("b.txt")], faults)),
        (b"\n", b"%%%% b.txt\n", b"\r"),
        ("a.txt", "b.txt"),
    ),
    "labels": Target(
        "task.toml",
        labels,
        (
            b"%%%% train.tsv\n",
            b"%%%% test.tsv\n",
            b'kind = "',
            b"[merge]\n",
            b"[labels]\n",
            b"drop = [",
            b" = ",
            b"few = 1\n",
            *CONLL_TOKENS,
        ),
        ("task.toml", "train.tsv", "test.tsv"),
    ),
    "answers": Target("answers.txt", answers, (b"\n", "ال".encode(), "的".encode(), b"the ", "ก่".encode())),
    "any-form": Target("x.txt", in_every_form, (*CONLL_TOKENS, *TABLE_TOKENS)),
    **{f"check-{kind}": Target("swh.test.txt", check(kind), (*CONLL_TOKENS, *TABLE_TOKENS)) for kind in CHECKED},
}
