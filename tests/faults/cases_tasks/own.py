"""Tasks of one's own in a configuration, their label tables, test files of a trained model, Hugging Face folders."""

from __future__ import annotations

import json
from pathlib import Path

from cases_text.case import Case

TRAIN = "".join(f"{'first' if n % 2 else 'second'}\tsentence {n}\n" for n in range(40))
TAGGED = "Ana\tPROPN\nruns\tVERB\n\n" * 8
FILES = ("train.tsv", "dev.tsv", "eng.tsv", "swh.tsv")
SPANS = "Ana\tB-PER\nruns\tO\n\n" * 8


def run(name, *told, files=None, more="", words=(), **settings):
    """A case of an experiment whose task is at fault."""
    told_words = (*words, *(word for key in more.split() for word in ("--set", key)))
    return Case(f"own-{name}", "run tiny.toml", told, files or {}, tiny=True, words=told_words, seconds=60, **settings)


def head(path: Path) -> None:
    """The labels and weights that make a fine-tuned model of the tiny encoder."""
    from xrealign.train.heads import make_head, save_head

    save_head(path, make_head("class", 8, ("first", "second"), ()), "class", ("first", "second"))


def evaluate(name, content, *told, more="", file="swh.tsv", task="class", **settings):
    """A case of a test file for a trained model."""
    command = f"evaluate --model encoder --task {task} --data swh={file} {more}"
    return Case(f"evaluate-{name}", command, told, {"encoder": head, file: content}, tiny=True, **settings)


def data_set(name, make, *told, path="set", **settings):
    """A case of a local data set."""
    return Case(f"hf-{name}", f"tasks check {path} --task class --as hf", told, {"set": make}, seconds=60, **settings)


def saved(path: Path) -> None:
    """A data set as the library saves it."""
    import datasets

    rows = datasets.Dataset.from_dict({"text": ["a", "b"], "label": ["x", "y"]})
    datasets.DatasetDict({"test": rows}).save_to_disk(path)


def cut_arrow(path: Path) -> None:
    """Its table is cut."""
    saved(path)
    for file in path.rglob("*.arrow"):
        file.write_bytes(file.read_bytes()[:100])


def broken_state(path: Path) -> None:
    """Its description is no JSON."""
    saved(path)
    for file in path.rglob("state.json"):
        file.write_bytes(b'{"_data_files":')


def odd_state(path: Path) -> None:
    """Its description is JSON of another shape."""
    saved(path)
    for file in path.rglob("state.json"):
        file.write_text(json.dumps([1]), "utf-8")


def odd_features(path: Path) -> None:
    """Its columns are of kinds that there are not."""
    saved(path)
    for file in path.rglob("dataset_info.json"):
        file.write_text(json.dumps({"features": {"text": {"_type": "NoSuchKind"}, "label": 3}}), "utf-8")


def with_code(path: Path) -> None:
    """A data set that would be made by code of its own."""
    path.mkdir()
    (path / f"{path.name}.py").write_text("raise SystemExit('code of a data set was run')\n", "utf-8")


def no_parquet(path: Path) -> None:
    """A folder with a file that is no table."""
    path.mkdir()
    (path / "test.parquet").write_bytes(b"PAR1 this is none PAR1")


def empty_folder(path: Path) -> None:
    """A folder with nothing in it."""
    path.mkdir()


def other_columns(path: Path) -> None:
    """A whole data set without labels."""
    import datasets

    datasets.DatasetDict({"test": datasets.Dataset.from_dict({"text": ["a"]})}).save_to_disk(path)


def rows_at_fault(path: Path) -> None:
    """A whole data set with an empty label."""
    import datasets

    rows = datasets.Dataset.from_dict({"text": ["a", "b"], "label": ["x", "\u200b"]})
    datasets.DatasetDict({"test": rows}).save_to_disk(path)


RUNS = (
    run("train-file-absent", "task.train", "there is no such file", more="task.train=none.tsv", fast=True),
    run("train-file-empty", "train.tsv: no sentences in this file", files={"train.tsv": ""}),
    run("train-line-at-fault", "train.tsv:41: expected label<TAB>text", files={"train.tsv": TRAIN + "x\n"}),
    run("test-line-at-fault", "swh.tsv:2: column 1 (label) is empty", files={"swh.tsv": "first\ta\n\tb\n"}),
    run(
        "test-label-unknown",
        "labels that training",
        "swh.tsv: 'frist' (1 times, first at line 2); did you mean 'first'?",
        files={"swh.tsv": "first\ta\nfrist\tb\n"},
    ),
    run(
        "test-label-in-another-spelling",
        "'First'",
        "is it 'first' in another spelling?",
        files={"swh.tsv": "First\ta\n"},
    ),
    run(
        "labels-are-numbers",
        "the labels 0, 1 are numbers",
        "name them: labels =",
        files=dict.fromkeys(FILES, "0\ta\n1\tb\n"),
    ),
    run(
        "merge-of-nothing",
        "merge names 'frist', which no file has; there are first, second",
        more='task.merge={frist="second"}',
    ),
    run("merge-goes-on", "merge goes on from second", more='task.merge={first="second",second="third"}'),
    run("merge-no-text", "merge", more="task.merge={first=1}"),
    run("drop-of-nothing", "drop names 'third', which no file has", more='task.drop=["third"]'),
    run("drop-of-everything", "nothing is left of train after drop", more='task.drop=["first","second"]'),
    run("label-names-no-text", "label_names", more="task.label_names={first=[1]}"),
    run("unknown-kind", "task.kind", "did you mean 'class'?", more="task.kind=clas"),
    run("unknown-format", "format 'tvs', expected one of", "did you mean 'tsv'?", more="task.format=tvs"),
    run("size-zero", "task.train_size", more="task.train_size=0"),
    run("size-below-labels", "train_size is 1, but training has 2 labels", more="task.train_size=1"),
    run("column-absent", "train.tsv:1: no column 'topic' for label", more='task.columns={label="topic"}'),
    run(
        "scheme-unknown",
        "scheme 'iob9', expected one of",
        more="task.kind=ner task.format=conll task.scheme=iob9",
        files=dict.fromkeys(FILES, SPANS),
    ),
    run(
        "spans-of-one-file-unknown",
        "types that training",
        "'PERSON'",
        more="task.kind=ner task.format=conll",
        files=dict.fromkeys(FILES, SPANS) | {"swh.tsv": SPANS.replace("PER", "PERSON")},
    ),
    run(
        "tags-unknown",
        "tags that training",
        "'NUON'",
        more="task.kind=pos task.format=conll",
        files=dict.fromkeys(FILES, TAGGED) | {"swh.tsv": "a\tPROPN\nb\tNUON\n"},
    ),
    run("tests-of-one-language-twice", "are the same language", more='task.tests={swh="swh.tsv",sw="eng.tsv"}'),
    run("tests-of-no-language", "xxyyzz", more='task.tests={xxyyzz="swh.tsv"}'),
    run(
        "train-in-utf-16",
        "train.tsv:1: byte 0xff is not UTF-8; it begins like UTF-16",
        files={"train.tsv": TRAIN.encode("utf-16")},
    ),
)
TESTS = (
    evaluate("file-absent", "", "no.tsv", "no such file", more="--data deu=no.tsv"),
    evaluate("line-at-fault", "first\ta\nfirst\n", "swh.tsv:2: expected label<TAB>text", fast=True),
    evaluate(
        "label-unknown",
        "first\ta\nfrist\tb\n",
        "labels that the model does not have",
        "'frist' (1 times, first at line 2)",
        "did you mean 'first'?",
    ),
    evaluate("label-unknown-many", "".join(f"l{n}\ta\n" for n in range(9000)), "and 8980 more", seconds=20),
    evaluate("label-is-a-number", "0\ta\n", "the labels 0 are numbers"),
    evaluate("label-with-mark", "first\u200e\ta\n", "swh.tsv:1: label 'first\\u200e' holds U+200E"),
    evaluate("another-kind", "first\ta\n", "--task pos: the model was trained for kind class", task="pos"),
    evaluate("unknown-kind", "first\ta\n", "--task clas is unknown", "did you mean 'class'?", task="clas"),
    evaluate(
        "merge-of-nothing", "first\ta\n", "merge names 'x', which no file has; there are first", more="--merge x=first"
    ),
    evaluate("label-without-value", "first\ta\n", "--label first=: expected LEFT=RIGHT", more="--label first="),
    evaluate("language-twice", "first\ta\n", "are both swh_Latn", more="--data sw=swh.tsv"),
    evaluate(
        "json-half-a-character",
        '{"text": "a\\udead", "label": "first"}\n',
        "swh.jsonl:1: text (text):",
        "half of a character",
        file="swh.jsonl",
    ),
    evaluate("gz-that-is-none", "first\ta\n", "swh.tsv.gz: cannot be read: Not a gzipped file", file="swh.tsv.gz"),
    evaluate("retrieval-one-column", "a\n", "swh.tsv:1: 1 tab-separated columns, expected 2", task="retrieval"),
)
FOLDERS = (
    data_set("cut-table", cut_arrow, "set: cannot be read as a data set:"),
    data_set("broken-state", broken_state, "state.json: cannot be read as a data set:"),
    data_set("odd-state", odd_state, "state.json: cannot be read as a data set:"),
    data_set("odd-features", odd_features, "set: cannot be read as a data set:"),
    data_set("with-code", with_code, "set: cannot be read as a data set:"),
    data_set("no-parquet", no_parquet, "set: cannot be read as a data set:"),
    data_set("parquet-file", no_parquet, "test.parquet: cannot be read as a data set:", path="set/test.parquet"),
    data_set("empty-folder", empty_folder, "set: cannot be read as a data set:"),
    data_set("other-columns", other_columns, "set:1: no key 'label' for label; there are text"),
    data_set("label-nobody-sees", rows_at_fault, "set:2: label (label):", "holds nothing that can be seen"),
    data_set("split-absent", saved, "no split 'tset'; did you mean 'test'?", path="set#tset"),
)
