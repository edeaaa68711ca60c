"""``--lenient`` of every reader that takes lines: it skips one fault and says why, and gives up over the cap."""

from __future__ import annotations

import json

from cases_text.case import Case

OVER = 101
"""Faults that are one too many, in a file of which they are more than a tenth."""


def skipping(name, command, good, bad, skipped, too_many, head="", tail="", files=None, inputs="in.tsv", **settings):
    """Two cases of a reader: 20 good items and one bad, and as many bad ones as are too many.

    Args:
        good, bad: an item; for ``#`` stands its number.
        skipped: what is said of the one.
        too_many: what is said of the many, in one error.
        files: what else lies there, by the number of items: both sides of a bitext have as many.
    """
    few = [good] * 20 + [bad]
    many = [good] * 20 + [bad] * OVER
    cases = []
    for what, items, told in (("one", few, skipped), ("over-the-cap", many, too_many)):
        laid = {inputs: head + "".join(item.replace("#", str(number)) for number, item in enumerate(items)) + tail}
        laid |= {other: make(len(items)) for other, make in (files or {}).items()}
        works = what == "one"
        cases.append(Case(f"lenient-{name}-{what}", f"{command} --lenient", told, laid, works=works, **settings))
    return tuple(cases)


def _unit(words):
    languages = zip(("en", "de"), words, strict=True)
    return "<tu>" + "".join(f'<tuv xml:lang="{one}"><seg>{text}</seg></tuv>' for one, text in languages) + "</tu>\n"


def checked(name, task, file, good, bad, reason, **settings):
    """A file that ``tasks check`` reads."""
    # the end of the row of all files in the table that is printed: one left out, no other fault
    told = (f"{file}: {OVER} of {OVER + 20} items are at fault, too many to skip",)
    command = f"tasks check {file} --task {task}"
    return skipping(name, command, good, bad, ("       1       ·", reason), told, inputs=file, **settings)


def _paragraph(start):
    """A paragraph of SQuAD with a question, the answer to which begins at 2."""
    answers = [{"text": "b", "answer_start": start}]
    return json.dumps({"context": "a b", "qas": [{"id": "#", "question": "what?", "answers": answers}]}) + ",\n"


def _numbered(count):
    """So many sentence pairs, all different."""
    return "".join(f"word{number}\tWort{number}\n" for number in range(count))


_CONLLU = "1\t{}\t_\tNOUN" + "\t_" * 6 + "\n\n"
DICTIONARY = "--aligner dictionary --dictionary d.tsv"
WORDS = {"d.tsv": lambda _count: "dog\tHund\n"}
MANY = f"{OVER} of {OVER + 20} items are at fault"

CASES = (
    *skipping(
        "pairs", f"align in.tsv -o out {DICTIONARY}", "the dog\tder Hund\n", "x\n",
        ("1 lines skipped: columns\n",), (MANY, "first on line 21", "1 tab-separated column"), files=WORDS,
    ),
    *skipping(
        "bars", f"align in.txt -o out {DICTIONARY}", "the dog ||| der Hund\n", "x\n",
        ("1 lines skipped: ",), (MANY, "first on line 21", "0 separators"), files=WORDS, inputs="in.txt",
    ),
    *skipping(
        "moses", f"align a.en a.de -o out {DICTIONARY}", "the dog\n", "\n",
        ("1 lines skipped: ",), (MANY, "first on line 21", "the source sentence is empty"),
        files=WORDS | {"a.de": lambda count: "der Hund\n" * count}, inputs="a.en",
    ),
    *skipping(
        "tmx", f"align in.tmx -o out {DICTIONARY}", _unit(("dog", "Hund")), _unit(("", "Hund")),
        ("1 ", "skipped: ",), (MANY, "the source sentence is empty"),
        head='<?xml version="1.0"?>\n<tmx version="1.4"><header/><body>\n', tail="</body></tmx>", files=WORDS,
        inputs="in.tmx",
    ),
    *skipping(
        "dictionary", "align in.tsv -o out --aligner dictionary --dictionary d.tsv", "dog\tHund\n", "x\n",
        ("1 dropped: malformed line",), (MANY, "first on line 21", "1 columns, expected 2"),
        files={"in.tsv": lambda _count: "the dog\tder Hund\n" * 3}, inputs="d.tsv",
    ),
    *checked("conll", "ner", "x.conll", "Ana B-PER\nlives O\n\n", "Ana PER\nlives O\n\n", "x.conll:61: tag 'PER'"),
    *checked("conllu", "pos", "x.conllu", _CONLLU.format("dog"), _CONLLU.format(""), "x.conllu:41: FORM is empty"),
    *checked("tsv", "class", "x.tsv", "on\tlights on\n", "on\n", "x.tsv:21: expected label<TAB>text"),
    *checked("csv", "class", "x.csv", "on,lights on\n", "on,\n", "x.csv:22: column 2 (text) is empty",
             head="label,text\n"),
    *checked("pairs-of-sentences", "pair", "x.tsv", "a\tb\tyes\n", "a\tb\n", "x.tsv:22: 2 columns, expected 3",
             head="premise\thypothesis\tlabel\n"),
    *skipping(
        "measured-links", "measure --bitext in.tsv --langs eng-deu --links links --encoder encoder --layers 2 "
        "--measures word-retrieval --resamples 100", "0-0\n", "0-\n",
        ("1 faulty links",), (MANY, "first on line 21", "'0-' is not a link"),
        files={"in.tsv": _numbered}, inputs="links", tiny=True,
    ),
    *checked("squad", "qa", "x.json", _paragraph(2), _paragraph(3), "answers[0].answer_start: at 3",
             head='{"data": [{"paragraphs": [\n', tail='{"context": "none", "qas": []}]}]}\n'),
    *checked("json-lines", "class", "x.jsonl", '{"text": "a", "label": "x"}\n', '{"text": "a"}\n',
             "x.jsonl:21: label (label): expected text"),
)  # fmt: skip
