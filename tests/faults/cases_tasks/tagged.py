"""CoNLL-U and CoNLL columns."""

from __future__ import annotations

from cases_text.case import PACKS, Case, cut, device, fifo, flipped, folder, long_line, unreadable

HUGER = "9" * 5000


def row(number, form="dog", upos="NOUN", misc="_"):
    """A line of CoNLL-U."""
    return f"{number}\t{form}\t_\t{upos}" + "\t_" * 5 + f"\t{misc}\n"


def conllu(name, content, *told, task="pos", more="", file="x.conllu", **settings):
    """A case of CoNLL-U."""
    return Case(f"conllu-{name}", f"tasks check {file} --task {task} {more}", told, {file: content}, **settings)


def conll(name, content, *told, task="ner", more="", file="x.conll", **settings):
    """A case of CoNLL columns."""
    return Case(f"conll-{name}", f"tasks check {file} --task {task} {more}", told, {file: content}, **settings)


GOOD = row(1) + row(2, "barks", "VERB") + "\n"
TAGS = "Ana B-PER\nlives O\nhere O\n\n"

CASES = (
    conllu(
        "nine-columns", row(1).replace("\t_\n", "\n"), "x.conllu:1: 9 tab-separated columns, expected the 10", fast=True
    ),
    conllu("eleven-columns", row(1).replace("\n", "\t_\n"), "x.conllu:1: 11 tab-separated columns, expected the 10"),
    conllu("blanks-for-tabs", row(1).replace("\t", " "), "x.conllu:1:", "are there blanks in place of TABs?"),
    conllu("empty-file", "", "x.conllu: no sentences in this file; expected CoNLL-U"),
    conllu("comments-only", "# text = a\n\n# text = b\n", "x.conllu: no sentences"),
    conllu("ids-not-counting-up", row(1) + row(3), "x.conllu:2: word 3 stands where word 2 is expected", fast=True),
    conllu(
        "id-twice",
        row(1) + row(1),
        "x.conllu:2: word 1 stands where word 2",
        "is an empty line between sentences missing?",
    ),
    conllu("id-zero", row(0), "x.conllu:1: word 0 stands where word 1 is expected"),
    conllu("id-negative", row(-1), "x.conllu:1: id '-1' stands after word 0"),
    conllu("id-with-zero-before", row("01"), "x.conllu:1: word 01 stands where word 1 is expected"),
    conllu("id-in-arabic-digits", row("١"), "x.conllu:1: id '١' stands after word 0", fast=True),
    conllu("id-superscript", row("²"), "x.conllu:1: id '²'"),
    conllu("id-underscore", row(1) + row("1_0"), "x.conllu:2: id '1_0'"),
    conllu("id-plus", row("+1"), "x.conllu:1: id '+1'"),
    conllu("id-blank", row(" 1"), "x.conllu:1: id ' 1'"),
    conllu("id-float", row("1e0"), "x.conllu:1: id '1e0'"),
    conllu("id-empty", row(""), "x.conllu:1: id ''"),
    conllu("id-of-5000-digits", row(HUGER), "x.conllu:1: id '9999"),
    conllu("range-of-5000-digits", row(f"1-{HUGER}", "x", "_") + row(1), "x.conllu:1: id '1-999"),
    conllu("id-past-64-bits", row(1) + row("18446744073709551618"), "x.conllu:2: id '18446744073709551618'"),
    conllu(
        "range-backwards", row(1) + row("3-2") + row(2) + row(3), "x.conllu:2: id '3-2' stands after word 1", fast=True
    ),
    conllu("range-of-one", row("1-1") + row(1), "x.conllu:1: id '1-1'"),
    conllu(
        "ranges-overlap", row("1-2") + row(1) + row("2-3") + row(2) + row(3), "x.conllu:3: id '2-3' stands after word 1"
    ),
    conllu("range-nested", row("1-3") + row(1) + row("2-3") + row(2) + row(3), "x.conllu:3: id '2-3'"),
    conllu("range-late", row(1) + row("1-2") + row(2), "x.conllu:2: id '1-2' stands after word 1"),
    conllu(
        "range-past-the-end",
        row("1-3") + row(1) + row(2),
        "x.conllu:3: the sentence ends at word 2, inside the range up to 3",
    ),
    conllu("empty-node-too-early", row("2.1") + row(1) + row(2), "x.conllu:1: id '2.1' stands after word 0"),
    conllu("empty-node-zero", row(1) + row("1.0"), "x.conllu:2: id '1.0'"),
    conllu("empty-node-in-the-wrong-place", row(1) + row("3.1") + row(2), "x.conllu:2: id '3.1' stands after word 1"),
    conllu("empty-form", row(1, ""), "x.conllu:1: FORM is empty"),
    conllu("no-tag", row(1, "dog", "_"), "x.conllu:1: column UPOS of the word 'dog' is '_': no tag"),
    conllu(
        "unknown-tag",
        GOOD * 3 + row(1, "x", "NUON"),
        "x.conllu:10: 'NUON' beside the 17 universal ones",
        "did you mean 'NOUN'?",
    ),
    conllu(
        "tag-in-small-letters",
        GOOD * 3 + row(1, "x", "noun"),
        "x.conllu:10: 'noun'",
        "is it 'NOUN' in another spelling?",
    ),
    conllu(
        "tag-with-a-mark-nobody-sees",
        GOOD + row(1, "x", "NOUN\u200f"),
        "x.conllu:4:",
        "U+200F (RIGHT-TO-LEFT MARK)",
    ),
    conllu("tag-with-escape", GOOD + row(1, "x", "NO\x1b[31mUN"), "x.conllu:4:", "U+001B (a control character)"),
    conllu(
        "tag-of-2000-characters",
        GOOD + row(1, "x", "N" * 2000),
        "x.conllu:4:",
        "has 2,000 characters, expected at most 1,000",
    ),
    conllu("comment-inside", row(1) + "# x\n" + row(2), "x.conllu:2: a comment after the first word of a sentence"),
    conllu("line-of-blanks", row(1) + "  \n" + row(1), "x.conllu:2: the line holds blanks only"),
    conllu(
        "no-empty-line-between", GOOD.rstrip("\n") + "\n" + GOOD, "x.conllu:3: word 1 stands where word 3 is expected"
    ),
    conllu("cr-alone", GOOD.replace("\n", "\r"), "x.conllu:1: a carriage return inside the line"),
    conllu("nul", GOOD + row(1, "a\0b"), "x.conllu:4: NUL character in text", fast=True),
    conllu("utf-16", GOOD.encode("utf-16"), "x.conllu:1: byte 0xff is not UTF-8; it begins like UTF-16"),
    conllu("utf-16-without-mark", GOOD.encode("utf-16-le"), "x.conllu:1: NUL character in text"),
    conllu("latin-1", row(1, "é").encode("latin-1"), "x.conllu:1: byte 0xe9 is not UTF-8"),
    conllu("surrogates", row(1).encode() + b"2\t\xed\xa0\x80\n", "x.conllu:2: byte 0xed is not UTF-8"),
    conllu("overlong-utf-8", row(1).encode() + b"2\t\xc0\xaf\n", "x.conllu:2: byte 0xc0 is not UTF-8"),
    conllu("50-mb-line", long_line(50, GOOD), "x.conllu:4: more than 16777215 bytes on the line"),
    conllu(
        "gz-cut", cut(PACKS["gz"], GOOD.encode() * 99), "x.conllu.gz: cannot be read:", file="x.conllu.gz", fast=True
    ),
    conllu("xz-cut", cut(PACKS["xz"], GOOD.encode() * 99), "x.conllu.xz: cannot be read:", file="x.conllu.xz"),
    conllu("zst-cut", cut(PACKS["zst"], GOOD.encode() * 99), "x.conllu.zst: cannot be read:", file="x.conllu.zst"),
    conllu("gz-flipped", flipped(PACKS["gz"], GOOD.encode() * 99), "x.conllu.gz: cannot be read:", file="x.conllu.gz"),
    conllu(
        "gz-without-its-ending",
        PACKS["gz"](GOOD.encode()),
        "x.conllu:1:",
        "it begins like gzip: give the file a name that ends in .gz",
    ),
    conllu("not-gz-at-all", GOOD, "x.conllu.gz: cannot be read: Not a gzipped file", file="x.conllu.gz"),
    conllu("unknown-column", GOOD, "x.conllu: column 'upso'", "did you mean 'upos'?", more="--column tags=upso"),
    conllu("feature-of-no-features", GOOD, "x.conllu: column 'upos:Case'", more="--column tags=upos:Case"),
    conllu(
        "spans-lacking",
        row(1, misc="NER=B-PER") + row(2),
        "x.conllu:2: tag '_' of the word 'dog'",
        "if it means 'O'",
        task="ner",
        more="--as conllu",
    ),
    conllu("pipe", fifo, "x.conllu: cannot be read: is a pipe or a device"),
    conllu("device", device, "x.conllu: cannot be read: is a pipe or a device"),
    conllu("links-to-itself", unreadable, "x.conllu: cannot be read: Too many levels of symbolic links"),
    conllu("absent", "", "y.conllu: cannot be read: No such file or directory", more="y.conllu"),
    conllu(
        "too-many-to-skip",
        row(1, "x", "_") * 1 + "\n" + (GOOD + row(1, "") + "\n") * 101,
        "102 of 203 items are at fault, too many to skip",
        more="--lenient",
        fast=True,
    ),
    Case(
        "conllu-lenient",
        "tasks check x.conllu --task pos --lenient",
        ("x.conllu:4: FORM is empty",),
        {"x.conllu": GOOD + row(1, "") + "\n" + GOOD},
        works=True,
    ),
    conll("one-column", "Ana\nlives\n", "x.conll:1: one column, expected a word and its tag"),
    conll("comma-for-tab", "Ana,B-PER\nlives,O\n", "x.conll:1: one column", 'Say separator = ","'),
    conll(
        "three-columns-in-line-2",
        "Ana B-PER\nlives X O\nhere O\n",
        "x.conll:2: 3 columns, expected 2 (separated by blank)",
    ),
    conll(
        "a-tag-is-missing",
        "Ana B-PER\nlives\nhere O\n",
        "x.conll:2: 1 column, expected 2 (separated by blank): 'lives'",
    ),
    conll(
        "blanks-beside-tabs",
        "Ana\tB-PER\nlives O\nhere\tO\n",
        "x.conll:2: 1 column, expected 2",
        "are there blanks in place of TABs?",
    ),
    conll("empty-tag", "Ana\tB-PER\nlives\t\nhere\tO\n", "x.conll:2: the tag is empty"),
    conll("empty-word", "Ana\tB-PER\n\tO\nhere\tO\n", "x.conll:2: the word is empty"),
    conll(
        "header-of-another-width",
        "word\tx\ttag\nAna\tO\nb\tO\n",
        "x.conll:1: the header has 3 columns, the lines below it 2",
    ),
    conll("header-alone", "word tag\n", "x.conll: no sentences in this file; there is only a header"),
    conll("document-marks-alone", "-DOCSTART- -X- O O\n\n", "x.conll: no sentences in this file"),
    conll(
        "tag-that-is-none",
        TAGS + "Bo PER\n",
        "x.conll:5: tag 'PER' of the word 'Bo': expected O, B-TYPE or I-TYPE",
        "--label PER=I-PER",
    ),
    conll("tag-with-underscore", TAGS + "Bo B_PER\n", "x.conll:5: tag 'B_PER'", "if it means 'B-PER', say so"),
    conll("tag-in-small-letters", TAGS + "Bo b-per\n", "x.conll:5: tag 'b-per'"),
    conll("tag-turned-round", TAGS + "Bo PER-B\n", "x.conll:5: tag 'PER-B'", "if it means 'B-PER'"),
    conll("zero-for-o", TAGS + "Bo 0\n", "x.conll:5: tag '0' of the word 'Bo'", "if it means 'O'"),
    conll(
        "inside-after-another-type",
        "Ana B-PER\nRoma I-LOC\n" + TAGS,
        "x.conll:2: tag 'I-LOC' of the word 'Roma' cannot stand between",
        fast=True,
    ),
    conll(
        "not-in-its-scheme", "Ana I-PER\nx O\n", "x.conll:1: tag 'I-PER'", "cannot stand between", more="--scheme IOB2"
    ),
    conll("unknown-scheme", TAGS, "scheme 'IOB3', expected one of", more="--scheme IOB3"),
    conll(
        "tag-with-zero-width-space",
        TAGS + "Bo B-PER\u200b\n",
        "x.conll:5: tag 'B-PER\\u200b' holds U+200B (ZERO WIDTH SPACE)",
    ),
    conll("column-in-arabic-digits", TAGS, "x.conll:1: no column '٢'", task="pos", more="--column tags=٢"),
    conll("column-of-5000-digits", TAGS, "x.conll:1: no column '9999", task="pos", more=f"--column tags={HUGER}"),
    conll("column-past-the-last", TAGS, "x.conll: no column 3: the file has 2", task="pos", more="--column tags=3"),
    conll("column-zero", TAGS, "x.conll: no column 0: the file has 2", task="pos", more="--column tags=0"),
    conll("which-column", "a b c\nd e f\n", "x.conll: 3 columns: say which holds the tags", task="pos"),
    conll(
        "tags-before-words",
        "".join(f"{'NOUN' if n % 2 else 'VERB'} w{n}\n" for n in range(9)),
        "x.conll: column 2 has 9 different tags",
        "are the tags in column 1?",
        task="pos",
    ),
    conll("prefix-lacking", "en:a O\nen:b O\nc O\n", "x.conll:3: expected a word behind 'en:'"),
    conll("slots-without-intent", "a O\nb B-x\n", "x.conll:", "has no intent", task="slots", more="--as conll"),
    conll("folder-for-a-file", folder, "x.conll: cannot be read as a data set", file="x.conll"),
    conll("binary", bytes(range(256)), "x.conll:1: NUL character in text; is this a binary file"),
)
