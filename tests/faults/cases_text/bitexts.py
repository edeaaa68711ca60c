"""Sentence pairs: TSV, bars, Moses, translation memories, as ``align``, ``transform`` and ``run`` read them."""

from __future__ import annotations

from cases_text.case import PACKS, Case, cut, device, fifo, flipped, folder, long_line, numbers, unreadable, zipped

GOOD = "the dog\tder Hund\na cat\teine Katze\n"
MANY = (GOOD + "x\n") * 150
DICTIONARY = {"d.tsv": "dog\tHund\ncat\tKatze\n"}
TMX = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<tmx version="1.4"><header/><body>\n'
    '<tu><tuv xml:lang="en"><seg>the dog</seg></tuv><tuv xml:lang="de"><seg>der Hund</seg></tuv></tu>\n{}</body></tmx>'
)
LAUGHS = (
    '<?xml version="1.0"?>\n<!DOCTYPE tmx [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">\n'
    '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;">]>\n'
    '<tmx version="1.4"><body><tu><tuv xml:lang="en"><seg>&d;</seg></tuv></tu></body></tmx>'
)
OUTSIDE = '<!DOCTYPE tmx [<!ENTITY x SYSTEM "file:///etc/hostname">]>\n<tmx version="1.4"><body/></tmx>'
UNDECLARED = (
    '<!DOCTYPE tmx SYSTEM "http://127.0.0.1:9/tmx14.dtd">\n<tmx version="1.4"><body><tu><tuv xml:lang="en"><seg>&x;'
    '</seg></tuv><tuv xml:lang="de"><seg>b</seg></tuv></tu></body></tmx>'
)


def align(name, files, *told, inputs="in.tsv", more="", **settings):
    """A case of `xrealign align` by a dictionary, which needs no encoder."""
    command = f"align {inputs} -o out.pharaoh --aligner dictionary --dictionary d.tsv {more}"
    return Case(name, command, told, DICTIONARY | files, **settings)


def tsv(name, content, *told, **settings):
    return align(name, {"in.tsv": content}, *told, **settings)


def tmx(name, content, *told, **settings):
    return align(name, {"in.tmx": content}, *told, inputs="in.tmx", **settings)


def moses(name, src, tgt, *told, **settings):
    return align(name, {"a.en": src, "a.de": tgt}, *told, inputs="a.en a.de", **settings)


def own(name, content, *told, **settings):
    """A case of `xrealign transform --pairs`, which reads a TSV of the user's before it loads anything."""
    command = "transform deu -o mapped --pairs deu=in.tsv"
    return Case(name, command, told, {"in.tsv": content}, **settings)


def bars(name, content, *told, **settings):
    """A case of the corpus stage of a run: a file of bars, which pairs of the subset's first language come from."""
    command = "run tiny.toml --set corpus.files.swh=in.txt"
    return Case(name, command, told, {"in.txt": content}, tiny=True, **settings)


def huge_attribute(path):
    """A tag that a parser would hold in memory, and look at again for every piece that it is fed."""
    path.write_text(TMX.format(f'<tu tuid="{"x" * (40 << 20)}"/>'))


def packed_bomb(path):
    """Sixty-four megabytes on a line, packed."""
    path.write_bytes(PACKS["gz"](b"a\t" + b"b" * (64 << 20)))


CASES = (
    tsv("tsv-one-column", GOOD + "only this\n", "in.tsv:3: 1 tab-separated column, expected 2", fast=True),
    tsv("tsv-three-columns", GOOD + "a\tb\t0-0\n", "in.tsv:3: 3 tab-separated columns, expected 2", "cut out"),
    tsv("tsv-blank-line", "the dog\tder Hund\n\na\tb\n", "in.tsv:2: the line is empty"),
    tsv("tsv-empty-source", GOOD + "\tb\n", "in.tsv:3: the source sentence is empty"),
    tsv("tsv-invisible-target", GOOD + "a\t\u200b\u00a0\n", "in.tsv:3: the target sentence is empty"),
    tsv("tsv-latin-1-in-line-3", GOOD.encode() + b"a\t\xe4\n", "in.tsv:3: byte 0xe4 is not UTF-8", fast=True),
    tsv("tsv-surrogate", GOOD.encode() + b"a\t\xed\xa0\x80\n", "in.tsv:3: byte 0xed is not UTF-8"),
    tsv("tsv-overlong-utf-8", GOOD.encode() + b"a\t\xc0\xaf\n", "in.tsv:3: byte 0xc0 is not UTF-8"),
    tsv("tsv-nul", GOOD + "a\tb\0\n", "in.tsv:3: NUL character in text"),
    tsv("tsv-lone-carriage-return", GOOD + "a\tb\rc\td\n", "in.tsv:3: a carriage return inside the line"),
    tsv("tsv-old-mac", GOOD.replace("\n", "\r"), "in.tsv:1: a carriage return inside the line"),
    tsv("tsv-utf-16", GOOD.encode("utf-16"), "in.tsv:1: byte 0xff is not UTF-8; it begins like UTF-16", fast=True),
    tsv("tsv-utf-16-without-mark", GOOD.encode("utf-16-be"), "in.tsv:1: NUL character in text"),
    tsv("tsv-empty", "", "in.tsv: no sentence pairs in it", fast=True),
    tsv("tsv-only-blank-lines", "\n \n\n", "in.tsv:1: no line has a tab or ' ||| ' in it"),
    tsv("tsv-50-megabytes-on-a-line", long_line(50, GOOD + "a\t"), "in.tsv:3: more than 400007 bytes on the line"),
    tsv("tsv-is-a-folder", folder, "in.tsv: is a folder, expected a file"),
    tsv("tsv-is-a-pipe", fifo, "in.tsv: is no file that can be read twice", "save it as one"),
    tsv("tsv-is-a-device", device, "in.tsv: is no file that can be read twice"),
    tsv("tsv-cannot-be-read", unreadable, "in.tsv: cannot be read: Too many levels of symbolic links"),
    tsv("tsv-gzip-without-its-name", PACKS["gz"](GOOD.encode() * 9), "in.tsv:1: ", "it begins like gzip"),
    align("no-such-file", {}, "none.tsv: cannot be read: No such file", inputs="none.tsv"),
    align("overlong-file-name", {}, "cannot be read: File name too long", inputs="n" * 300),
    align("three-files", {"a": "x\n"}, "3 input files; expected one, or two", inputs="a a a"),
    *(
        align(
            f"tsv-{end}-cut",
            {f"in.tsv.{end}": cut(PACKS[end], numbers(999))},
            f"in.tsv.{end}: cannot be read: Comp",
            "ended",
            inputs=f"in.tsv.{end}",
        )
        for end in PACKS
    ),
    *(
        align(
            f"tsv-{end}-flipped",
            {f"in.tsv.{end}": flipped(PACKS[end], numbers(999))},
            f"in.tsv.{end}",
            inputs=f"in.tsv.{end}",
        )
        for end in PACKS
    ),
    align(
        "tsv-not-gzip-at-all", {"in.tsv.gz": GOOD}, "in.tsv.gz: cannot be read: Not a gzipped file", inputs="in.tsv.gz"
    ),
    align(
        "tsv-wrong-script",
        {"in.tsv": GOOD + "the dog\tсобака лает громко\n"},
        "in.tsv:3: ",
        "wrong script",
        "Cyrillic",
        more="--src-language eng --tgt-language deu",
    ),
    align(
        "tsv-gzip-bomb",
        {"in.tsv.gz": packed_bomb},
        "in.tsv.gz:1: more than 400007",
        inputs="in.tsv.gz",
    ),
    align(
        "bars-two",
        {"in.txt": "a ||| b\na ||| b ||| c\n"},
        "in.txt:2: 2 separators ' ||| ', expected 1",
        inputs="in.txt",
    ),
    align("bars-none", {"in.txt": "a ||| b\na b\n"}, "in.txt:2: 0 separators", inputs="in.txt"),
    moses("moses-lengths", "a\nb\nc\n", "A\nB\n", "a.en has 3 lines, a.de has 2: line N of one", fast=True),
    moses("moses-blank-line", "a\n\nc\n", "A\nB\nC\n", "a.en:2: the source sentence is empty"),
    moses("moses-tab", "a\nb\tc\n", "A\nB\n", "a.en:2: a tab in the source sentence"),
    align("moses-same-file", {"a.en": "a\n"}, "a.en and a.en are the same file", inputs="a.en a.en"),
    tmx(
        "tmx-billion-laughs", LAUGHS, "in.tmx:2: declares a document type of its own", "entities can blow up", fast=True
    ),
    tmx("tmx-external-entity", OUTSIDE, "in.tmx:1: declares a document type of its own"),
    tmx("tmx-undeclared-entity", UNDECLARED, "in.tmx:2: entity &x; is declared nowhere in the file"),
    tmx("tmx-without-units", '<tmx version="1.4"><body/></tmx>', "in.tmx: no translation units in it"),
    tmx(
        "tmx-without-tuv", TMX.format("<tu></tu>"), "in.tmx:4: unit 2 has no segment in eng_Latn", "languages are none"
    ),
    tmx(
        "tmx-without-lang",
        TMX.format("<tu><tuv><seg>a</seg></tuv><tuv><seg>b</seg></tuv></tu>"),
        "in.tmx:4: unit 2 has no segment in eng_Latn; its languages are ?, ?",
    ),
    tmx("tmx-unclosed", TMX.format("<tu><tuv>"), "in.tmx:4: cannot be read as TMX: mismatched tag"),
    tmx("tmx-cut", TMX.format("")[:-20], "in.tmx:3: cannot be read as TMX: ", fast=True),
    tmx("tmx-other-root", "<html><body/></html>", "in.tmx:1: is no TMX: its root is <html>, expected <tmx>"),
    tmx("tmx-empty", "", "in.tmx", "cannot be read as TMX: no element found"),
    tmx("tmx-control-character", TMX.format("\x07"), "in.tmx:4: cannot be read as TMX: not well-formed"),
    tmx(
        "tmx-unknown-encoding",
        '<?xml version="1.0" encoding="klingon"?><tmx/>',
        "in.tmx:1: cannot be read as TMX",
        "save it as UTF-8",
    ),
    tmx("tmx-utf-7", b'<?xml version="1.0" encoding="utf-7"?><tmx version="1.4"><body/></tmx>', "in.tmx:1: "),
    tmx(
        "tmx-empty-segment",
        TMX.format('<tu><tuv xml:lang="en"><seg></seg></tuv><tuv xml:lang="de"><seg>b</seg></tuv></tu>'),
        "in.tmx:4: the source sentence is empty",
    ),
    tmx("tmx-huge-attribute", huge_attribute, "in.tmx:4: ", "mark-up of more than"),
    tmx(
        "tmx-languages-without-end",
        TMX.format("<tu>" + '<tuv xml:lang="fr"><seg>a</seg></tuv>' * 50_000 + "</tu>"),
        "in.tmx:4: a unit of more than 10000 segments",
    ),
    tmx("tmx-deep", TMX.format("<x>" * 300_000), "in.tmx:4: elements are nested more than 1000 deep"),
    align(
        "tmx-zip-with-two",
        {"in.tmx.zip": zipped({"a.tmx": b"<tmx/>", "b.tmx": b"<tmx/>"})},
        "in.tmx.zip: holds 2 .tmx files, expected 1",
        inputs="in.tmx.zip",
    ),
    align(
        "tmx-zip-that-is-none",
        {"in.tmx.zip": b"PK\x03\x04 no more"},
        "in.tmx.zip: cannot be read: File is not a zip",
        inputs="in.tmx.zip",
    ),
    align(
        "tmx-zip-cut",
        {"in.tmx.zip": zipped({"a.tmx": TMX.format("").encode() * 99})[:-9]},
        "in.tmx.zip: cannot be",
        inputs="in.tmx.zip",
    ),
    align(
        "tmx-zip-damaged",
        {"in.tmx.zip": zipped({"a.tmx": numbers(2000)}).replace(b"a.tmx", b"b.tmx", 1)},
        "in.tmx.zip: cannot be read: ",
        inputs="in.tmx.zip",
    ),
    own("own-four-columns", "a\tb\tc\td\n", "in.tsv:1: 4 tab-separated columns, expected 2 (source, target) or 3"),
    own("own-duplicate-id", "x\ta\tb\nx\tc\td\n", "in.tsv:2: id 'x' stands on line 1 already; ids are unique"),
    own("own-columns-change", "a\tb\nx\tc\td\n", "in.tsv:2: 3 tab-separated columns, expected 2, as before", fast=True),
    own("own-lone-carriage-return", "a\tb\rc\td\n", "in.tsv:1: a carriage return inside the line"),
    own(
        "own-overlong-line",
        f"a\tb\nc\t{'d' * 200_000}\n",
        "in.tsv:2: the target sentence has 200000 characters, expected 100000",
    ),
    own("own-50-megabytes-on-a-line", long_line(50, "a\tb\nc\t"), "in.tsv:2: more than 799999 bytes on the line"),
    own("own-nul", "a\tb\nc\0\td\n", "in.tsv:2: NUL character in text"),
    own("own-empty", "", "in.tsv: no sentence pairs in it"),
    own("own-blank-last-line", "a\tb\n\n", "in.tsv:2: "),
    own("own-is-a-pipe", fifo, "in.tsv: cannot be read: is a pipe or a device, expected a file"),
    own("own-is-a-device", device, "in.tsv: cannot be read: is a pipe or a device, expected a file"),
    own("own-is-a-folder", folder, "in.tsv: cannot be read: Is a directory"),
    Case(
        "own-without-language",
        "transform deu -o mapped --pairs in.tsv",
        ("--pairs in.tsv: expected LANGUAGE=FILE.tsv",),
        {"in.tsv": "a\tb\n"},
    ),
    Case(
        "own-language-twice",
        "transform deu -o mapped --pairs deu=in.tsv --pairs de=in.tsv",
        ("--pairs de=in.tsv: deu_Latn has two files",),
        {"in.tsv": "a\tb\n"},
    ),
    bars("run-bars-two", "a ||| b\nc ||| d ||| e\n", "in.txt:2: 2 separators ' ||| ', expected 1"),
    bars("run-bars-empty", "", "in.txt: no sentence pairs in it"),
    bars("run-bars-latin-1", b"a ||| b\nc ||| \xe4\n", "in.txt:2: byte 0xe4 is not UTF-8", fast=True),
    bars("run-bars-carriage-return", "a ||| b\rc ||| d\n", "in.txt:1: a carriage return inside the line"),
    Case(
        "run-scores-fewer-than-pairs",
        "run tiny.toml --set corpus.filter.score=25",
        ("scores.txt: 1 scores for 20 pairs: line n must score pair n",),
        {"scores.txt": "0.5\n"},
        tiny=True,
        words=("--set", 'corpus.filter.scores={ swh = "scores.txt", tur = "scores.txt" }'),
    ),
    *(
        Case(
            f"run-scores-{name}",
            "run tiny.toml --set corpus.filter.score=25",
            (f"scores.txt:2: {told}",),
            {"scores.txt": f"0.5\n{value}\n"},
            tiny=True,
            words=("--set", 'corpus.filter.scores={ swh = "scores.txt", tur = "scores.txt" }'),
        )
        for name, value, told in (
            ("nan", "nan", "'nan' is no number"),
            ("underscore", "1_0", "'1_0' is no number"),
            ("arabic-digits", "١.٥", "'١.٥' is no number"),
            ("word", "good", "'good' is no number"),
        )
    ),
    Case(
        "run-lenient-too-much",
        "run tiny.toml --set corpus.lenient=true --set corpus.files.swh=in.tsv",
        ("in.tsv: 150 of 450 items are at fault", "first on line 3"),
        {"in.tsv": MANY},
        tiny=True,
    ),
    align(
        "lenient-too-much",
        {"in.tsv": MANY},
        "in.tsv: 150 of 450 items are at fault",
        "150 columns",
        "first on line 3",
        "or a tenth of the file",
        more="--lenient",
        fast=True,
    ),
    align("lenient-all", {"in.tsv": "x\ty\tz\n"}, "in.tsv: all 1 lines are at fault", "1 columns", more="--lenient"),
    Case(
        "train-lenient-too-much",
        "align train in.tsv -o model --aligner ibm1 --lenient",
        ("in.tsv: 150 of 450 items are at fault",),
        {"in.tsv": MANY},
    ),
    Case(
        "train-strict",
        "align train in.tsv -o model --aligner ibm1",
        ("in.tsv:3: 1 tab-separated column",),
        {"in.tsv": GOOD + "x\n"},
    ),
    tsv(
        "works-crlf-mark-and-no-last-line-end",
        "\ufeff" + GOOD.replace("\n", "\r\n")[:-2],
        "2 sentence pairs",
        works=True,
        fast=True,
    ),
    tsv(
        "works-mark-where-files-were-joined",
        "\ufeff" + GOOD + "\ufeffdog\tHund\n",
        "3 links in 3 sentence pairs",
        works=True,
    ),
    tsv("works-lenient", GOOD * 20 + "x\n", "1 lines skipped: columns", more="--lenient", works=True),
)
