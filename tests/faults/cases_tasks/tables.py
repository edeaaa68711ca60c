"""Labelled sentences, pairs, slots and retrieval in tables."""

from __future__ import annotations

from cases_text.case import Case, long_line


def table(name, content, *told, task="class", more="", file="x.tsv", **settings):
    """A case of a table."""
    return Case(f"table-{name}", f"tasks check {file} --task {task} {more}", told, {file: content}, **settings)


def pair(name, content, *told, **settings):
    """A case of sentence pairs."""
    return table(f"pairs-{name}", content, *told, task="pair", **settings)


def slots(name, content, *told, **settings):
    """A case of slots."""
    return table(f"slots-{name}", content, *told, task="slots", **settings)


def retrieval(name, files, *told, **settings):
    """A case of translations to be found."""
    return Case(f"retrieval-{name}", f"tasks check {' '.join(files)} --task retrieval", told, files, **settings)


GOOD = "on\tlights on\noff\tlights off\n"
NLI = "premise\thypothesis\tlabel\na\tb\tyes\n"
SLOTS = "words\ttags\tintent\n"

CASES = (
    table("empty-file", "", "x.tsv: no sentences in this file; expected lines of label<TAB>text"),
    table("header-alone", "label\ttext\n", "x.tsv: no examples in this file"),
    table("one-column", GOOD + "on\n", "x.tsv:3: expected label<TAB>text, all not empty, got 'on'", fast=True),
    table("three-columns", GOOD + "on\ta\tb\n", "x.tsv:3: expected label<TAB>text"),
    table("blank-for-tab", GOOD + "on lights\n", "x.tsv:3: expected label<TAB>text"),
    table("empty-label", GOOD + "\ttext\n", "x.tsv:3: column 1 (label) is empty"),
    table("label-of-blanks", GOOD + " \u00a0 \ttext\n", "x.tsv:3: column 1 (label) is empty"),
    table("empty-text", GOOD + "on\t  \n", "x.tsv:3: column 2 (text) is empty"),
    table(
        "label-of-marks-only",
        GOOD + "\u200f\u202e\ttext\n",
        "x.tsv:3: label '\\u200f\\u202e' holds nothing that can be seen",
        fast=True,
    ),
    table(
        "label-with-right-to-left",
        GOOD + "on\u202e\ttext\n",
        "x.tsv:3: label 'on\\u202e' holds U+202E (RIGHT-TO-LEFT OVERRIDE)",
    ),
    table("label-with-bell", GOOD + "on\x07\ttext\n", "x.tsv:3: label 'on\\x07' holds U+0007 (a control character)"),
    table("label-with-mark-of-byte-order", GOOD + "o\ufeffn\ttext\n", "x.tsv:3: label 'o\\ufeffn' holds U+FEFF"),
    table("label-of-2000-characters", GOOD + "x" * 2000 + "\ttext\n", "x.tsv:3: label", "has 2,000 characters"),
    table("50-mb-line", long_line(50, GOOD + "on\t"), "x.tsv:3: more than 16777215 bytes on the line"),
    table("empty-line", "on\ta\n\noff\tb\n", "x.tsv:2: expected label<TAB>text"),
    table("cr-alone", GOOD.replace("\n", "\r"), "x.tsv:1: a carriage return inside the line"),
    table("utf-16", GOOD.encode("utf-16"), "x.tsv:1: byte 0xff is not UTF-8; it begins like UTF-16"),
    table("nul", GOOD + "on\ta\0\n", "x.tsv:3: NUL character in text"),
    table(
        "absent-column",
        "topic\ttext\na\tb\n",
        "x.tsv:1: no column 'category' for label",
        "--column label=",
        more="--column label=category",
    ),
    table(
        "column-past-the-last",
        GOOD,
        "x.tsv:1: no column 9 for label: the table has 2",
        more="--column label=9 --column text=1",
    ),
    table("column-in-arabic-digits", GOOD, "x.tsv:1: no column '١' for label", more="--column label=١"),
    table(
        "numbers-of-some-columns", "a\nb\n", "x.tsv:1: no column 2 for text: the table has 1", more="--column label=1"
    ),
    table("header-twice", "label\ttext\tlabel\na\tb\tc\n", "x.tsv:1: the header has the column 'label' twice"),
    table("unclosed-quote", 'label,text\na,"b\nc,d\n', "x.csv:2: quotes do not pair as in CSV", file="x.csv"),
    table("text-behind-a-quote", 'label,text\na,"b"c\n', "x.csv:2: quotes do not pair as in CSV", file="x.csv"),
    table(
        "quote-around-everything",
        'label,text\na,"' + "b\n" * 99999,
        "x.csv:2: quotes do not pair as in CSV",
        file="x.csv",
    ),
    table("csv-without-commas", "label;text\na;b\n", "x.csv:1: expected label,text", file="x.csv"),
    table("several-spellings", GOOD + "On\tc\n", "labels in several spellings: 'On' (x.tsv), 'on' (x.tsv)"),
    table("option-without-value", GOOD, "--label 'on': expected NAME=VALUE", more="--label on"),
    table(
        "form-of-another-kind",
        GOOD,
        "x.tsv: kind class is read as tsv, csv, jsonl, hf, not as conllu",
        more="--as conllu",
    ),
    table("unknown-form", GOOD, "format 'tvs', expected one of", "did you mean 'tsv'?", more="--as tvs"),
    table("unknown-task", GOOD, "--task 'clas'", "did you mean 'class'?", task="clas"),
    table("merge-goes-on", GOOD, "merge goes on from on", more="--merge off=on --merge on=x"),
    table(
        "too-many-to-skip",
        "on\ta\n" + "on\n" * 200,
        "x.tsv: 200 of 201 items are at fault, too many to skip",
        more="--lenient",
    ),
    pair("one-sentence", NLI + "a\tb\n", "x.tsv:3: 2 columns, expected 3", fast=True),
    pair("empty-premise", NLI + "\tb\tno\n", "x.tsv:3: column 1 (first) is empty"),
    pair("no-header-and-four-columns", "a\tb\tc\td\n", "x.tsv:1: expected first<TAB>second<TAB>label"),
    slots("fewer-tags", SLOTS + "a b\tO\tgo\n", "x.tsv:2: 2 words and 1 tags; each word has one", fast=True),
    slots("more-tags", SLOTS + "a\tO O\tgo\n", "x.tsv:2: 1 words and 2 tags"),
    slots("tag-that-is-none", SLOTS + "a\tX\tgo\n", "x.tsv:2: tag 'X' of the word 'a': expected O, B-TYPE or I-TYPE"),
    slots("no-intent", SLOTS + "a\tO\t\n", "x.tsv:2: column 3 (label) is empty"),
    retrieval(
        "files-of-two-lengths", {"a.txt": "x\ny\n", "b.txt": "x\n"}, "b.txt: a.txt has 2 lines, b.txt has 1", fast=True
    ),
    retrieval("empty-line", {"a.txt": "x\n\n", "b.txt": "x\ny\n"}, "a.txt:2: the line is empty in a.txt"),
    retrieval("one-column", {"a.tsv": "x\n"}, "a.tsv:1: 1 tab-separated columns, expected 2 (source, target)"),
    retrieval("id-twice", {"a.tsv": "1\tx\ty\n1\tz\tw\n"}, "a.tsv:2: id '1' stands on line 1 already; ids are unique"),
    retrieval("empty-side", {"a.tsv": "x\ty\nz\t \n"}, "a.tsv:2: column 2 is empty"),
    retrieval("empty-files", {"a.txt": "", "b.txt": ""}, "a.txt: no sentences in this file"),
    retrieval("nul", {"a.txt": "x\n\0\n", "b.txt": "x\ny\n"}, "a.txt:2: NUL character in text"),
)
