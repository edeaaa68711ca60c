"""Word links, parts of speech beside them, and dictionaries."""

from __future__ import annotations

from cases_text.case import PACKS, Case, cut, fifo, folder, long_line

GOLD = "the dog\tder Hund\t0-0 1-1\na cat\teine Katze\t0-0 1p1\n"
TEXT = "the dog\tder Hund\na cat\teine Katze\n"
HUGE = "9" * 20
HUGER = "9" * 5000


def gold(name, content, *told, **settings):
    """A case of a gold standard."""
    files = {"gold.tsv": content, "links": "0-0\n0-0\n"}
    return Case(name, "align score --gold gold.tsv --links links", told, files, **settings)


def links(name, content, *told, **settings):
    """A case of links that are scored."""
    files = {"gold.tsv": GOLD, "links": content}
    return Case(name, "align score --gold gold.tsv --links links", told, files, **settings)


def tags(name, content, *told, **settings):
    """A case of parts of speech."""
    files = {"gold.tsv": GOLD, "links": "0-0\n0-0\n", "tags": content}
    return Case(name, "align score --gold gold.tsv --links links --tags tags", told, files, **settings)


def measured(name, content, *told, more="", **settings):
    """A case of links beside a bitext that is measured."""
    command = f"measure --bitext in.tsv --langs eng-deu --links links {more}"
    return Case(name, command, told, {"in.tsv": TEXT, "links": content}, **settings)


def words(name, content, *told, more="", file="d.tsv", **settings):
    """A case of a dictionary."""
    command = f"align in.tsv -o out --aligner dictionary --dictionary {file} {more}"
    return Case(name, command, told, {"in.tsv": TEXT, file: content}, **settings)


CASES = (
    gold("gold-one-cell-in-line-2", GOLD.replace("a cat\t", ""), "gold.tsv:2: 2 tab-separated columns, expected 3"),
    gold("gold-dash-without-end", GOLD.replace("1p1", "1-"), "gold.tsv:2: '1-' is not a link", fast=True),
    gold("gold-both-marks", GOLD.replace("1p1", "1-p1"), "gold.tsv:2: '1-p1' is not a link"),
    gold("gold-three-numbers", GOLD.replace("1p1", "1p1-2"), "gold.tsv:2: '1p1-2' is not a link"),
    gold("gold-negative", GOLD.replace("1p1", "-1-0"), "gold.tsv:2: '-1-0' is not a link"),
    gold("gold-float", GOLD.replace("1p1", "1.0-1"), "gold.tsv:2: '1.0-1' is not a link"),
    gold("gold-arabic-digits", GOLD.replace("1p1", "١-١"), "gold.tsv:2: '١-١' is not a link", "digits 0 to 9"),
    gold("gold-underscore", GOLD.replace("1p1", "1_0-0"), "gold.tsv:2: '1_0-0' is not a link"),
    gold(
        "gold-out-of-range",
        GOLD.replace("1p1", "1p2"),
        "gold.tsv:2: link 1-2 points outside sentences of 2 and 2",
        fast=True,
    ),
    gold(
        "gold-counted-from-one", GOLD.replace("0-0", "2-2"), "gold.tsv:1: link 2-2 points outside", "set its base to 1"
    ),
    gold("gold-huge", GOLD.replace("1p1", f"{HUGE}-1"), f"gold.tsv:2: link {HUGE}-1: no sentence has so many words"),
    gold("gold-huger", GOLD.replace("1p1", f"{HUGER}-1"), "gold.tsv:2: '99999999999999999999'… is not a link"),
    gold("gold-empty", "", "gold.tsv: no lines in it"),
    gold("gold-blank-lines", "\n\n", "gold.tsv: no sure links"),
    gold("gold-without-sure-links", GOLD.replace("-", "p"), "gold.tsv: no sure links (i-j) in it"),
    gold("gold-utf-16", GOLD.encode("utf-16"), "gold.tsv:1: byte 0xff is not UTF-8"),
    gold("gold-is-a-folder", folder, "gold.tsv: cannot be read: Is a directory"),
    gold("gold-is-a-pipe", fifo, "gold.tsv: cannot be read: is a pipe or a device"),
    Case(
        "gold-base-one",
        "align score --gold gold.tsv --links links --gold-base 1",
        ("gold.tsv:1: link 0-0: words are counted from 1 here",),
        {"gold.tsv": GOLD, "links": "0-0\n0-0\n"},
    ),
    links("links-fewer", "0-0\n", "links has 1 lines of links, gold.tsv has 2 sentence pairs"),
    links("links-more", "0-0\n0-0\n0-0\n", "links has 3 lines of links, gold.tsv has 2"),
    links("links-score-is-none", "0-0:high\n0-0\n", "links:1: '0-0:high': 'high' is not a score"),
    links("links-score-is-nan", "0-0:nan\n0-0\n", "links:1: '0-0:nan': 'nan' is not a score"),
    links("links-out-of-range", "0-0\n5-0\n", "links:2: link 5-0 points outside"),
    links("links-json", '{"links": [[0, 0]]}\n\n', "links:1: '{\"links\":' is not a link"),
    links("links-carriage-return", "0-0\r1-1\n0-0\n", "links:1: a carriage return inside the line"),
    links("links-50-megabytes-on-a-line", long_line(50, "0-0\n"), "links:2: more than ", "bytes on the line"),
    tags("tags-nine-columns", "# x\n1\tthe\t_\tDET\t_\t_\t_\t_\t_\n", "tags:2: 9 tab-separated columns, expected 10"),
    tags("tags-empty-tag", "1\tthe\t_\t\t_\t_\t_\t_\t_\t_\n", "tags:1: the fourth column (UPOS) is empty"),
    tags("tags-fewer-sentences", "DET NOUN\n", "tags has tags of 1 sentences, gold.tsv has 2"),
    tags("tags-fewer-words", "DET\nDET NOUN\n", "tags:1: 1 tags, but line 1 of gold.tsv has 2 words"),
    measured("measured-dash-without-end", "0-0\n1-\n", "links:2: '1-' is not a link"),
    measured("measured-arabic-digits", "0-0\n١-١\n", "links:2: '١-١' is not a link"),
    measured("measured-huger", f"0-0\n{HUGER}-1\n", "links:2: ", "is not a link", fast=True),
    measured("measured-out-of-range", "0-0\n0-9\n", "links:2: link 0-9 points outside sentences of 2 and 2 words"),
    measured("measured-fewer", "0-0\n", "links has 1 lines of links, in.tsv has 2 sentence pairs"),
    measured("measured-is-a-pipe", fifo, "links: cannot be read: is a pipe or a device"),
    Case(
        "measured-bitext-lenient-too-much",
        "measure --bitext in.tsv --langs eng-deu --lenient",
        ("in.tsv: 150 of 450 items are at fault",),
        {"in.tsv": (TEXT + "x\n") * 150},
    ),
    Case(
        "measured-links-lenient-too-much",
        "measure --bitext in.tsv --langs eng-deu --links links --lenient",
        ("links: 150 of 300 items are at fault", "first on line 2"),
        {"in.tsv": TEXT * 150, "links": "0-0\n1-\n" * 150},
    ),
    Case(
        "measured-langs",
        "measure --bitext in.tsv --langs eng",
        ("--langs eng: expected two languages",),
        {"in.tsv": TEXT},
    ),
    Case("measured-langs-twice", "measure --bitext in.tsv --langs eng-en", ("both are eng_Latn",), {"in.tsv": TEXT}),
    Case(
        "measured-layers",
        "measure --bitext in.tsv --layers 1_0",
        ("--layers 1_0: expected `all`, or numbers",),
        {"in.tsv": TEXT},
    ),
    Case("measured-overlong-name", "measure --bitext", ("cannot be read: File name too long",), {}, words=("n" * 300,)),
    words(
        "dictionary-three-columns", "dog\tHund\nhot dog\tWürstchen\tx\n", "d.tsv:2: 3 columns, expected 2", fast=True
    ),
    words("dictionary-empty-side", "dog\tHund\ncat\t\n", "d.tsv:2: the translation is empty"),
    words("dictionary-blank-line", "dog\tHund\n\n", "d.tsv:2: 1 columns, expected 2"),
    words("dictionary-of-blanks", "dog Hund\nhot dog Wurst\n", "d.tsv:2: 3 columns, expected 2: word, blank"),
    words("dictionary-empty", "", "d.tsv: no pairs in it"),
    words("dictionary-nul", "dog\tHund\nc\0\td\n", "d.tsv:2: NUL character in text"),
    words("dictionary-carriage-return", "dog\tHund\rcat\tKatze\n", "d.tsv:1: a carriage return inside the line"),
    words("dictionary-50-megabytes-on-a-line", long_line(50, "dog\tHund\n"), "d.tsv:2: ", "on the line"),
    words("dictionary-cut", cut(PACKS["xz"], b"dog\tHund\n" * 999), "d.tsv.xz: cannot be read: ", file="d.tsv.xz"),
    words("dictionary-is-a-folder", folder, "d.tsv: there is no such dictionary"),
    words("dictionary-is-a-pipe", fifo, "d.tsv: there is no such dictionary"),
    words(
        "dictionary-lenient-too-much",
        "dog\tHund\nx\n" * 150,
        "d.tsv: 150 of 300 items are at fault",
        "first on line 2",
        more="--lenient",
    ),
    Case(
        "run-dictionary",
        "run tiny.toml --set align.aligner=dictionary",
        ("d.tsv:2: 1 columns, expected 2",),
        {"d.tsv": "mtu\tperson\nx\n"},
        tiny=True,
        words=("--set", 'align.dictionaries={ swh = "d.tsv", tur = "d.tsv" }'),
    ),
)
