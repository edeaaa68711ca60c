"""What ``select`` reads: lists of languages, distance matrices, tables of numbers, options ``NAME=NUMBER``."""

from __future__ import annotations

import struct

import numpy as np
from cases_text.case import Case, device, fifo, folder, long_line, npz, zipped

MATRIX = "\tdeu\tfra\tswh\ndeu\t0\t0.5\t0.7\nfra\t0.5\t0\t0.6\nswh\t0.7\t0.6\t0\n"
NAMES = ["deu", "fra", "swh"]
VALUES = [[0, 0.5, 0.7], [0.5, 0, 0.6], [0.7, 0.6, 0]]
CHOOSE = "select --candidates deu,fra,swh -k 2"


def listed(name, content, *told, **settings):
    """A case of a list of languages."""
    return Case(name, "select --candidates list.txt -k 1", told, {"list.txt": content}, **settings)


def matrix(name, content, *told, file="m.tsv", **settings):
    """A case of a distance matrix."""
    return Case(name, f"{CHOOSE} --distance {file}", told, {file: content}, **settings)


def table(name, content, *told, option="--costs t.tsv --budget 5", **settings):
    """A case of a table of numbers."""
    return Case(name, f"{CHOOSE} {option}", told, {"t.tsv": content}, **settings)


def option(name, words, *told, **settings):
    """A case of the command line alone."""
    return Case(name, f"{CHOOSE} {words}", told, **settings)


def bomb(shape: tuple[int, ...]) -> bytes:
    """An array whose header promises more than there is, or than there is memory."""
    header = repr({"descr": "<f8", "fortran_order": False, "shape": shape}).encode()
    header += b" " * (118 - len(header)) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + b"\0" * 64


def header(text: str) -> bytes:
    """An array with such a header."""
    data = text.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(data)) + data


def promised(archive: bytes) -> bytes:
    """A zip archive that promises 4 GB of its last member."""
    data = bytearray(archive)
    place = data.rindex(b"PK\x01\x02") + 24
    data[place : place + 4] = struct.pack("<I", 0xFFFFFFF0)
    return bytes(data)


LANGUAGES = npz(languages=NAMES)
CASES = (
    listed("list-unknown", "deu\nxxq\n", "list.txt:2: unknown language 'xxq'; nearest: ", fast=True),
    listed("list-twice", "deu\nfra\nGerman\n", "list.txt:3: German (deu_Latn) is listed as 'German' and on line 1 as"),
    listed("list-path", "deu\n../../etc/passwd\n", "list.txt:2: unknown language '../../etc/passwd'"),
    listed("list-control-characters", "deu\n\x1b[31mfra\n", "list.txt:2: unknown language '\\x1b[31mfra'"),
    listed("list-right-to-left-mark", "deu\nfra\u202e\n", "list.txt:2: unknown language 'fra\\u202e'"),
    listed("list-overlong-name", "deu\n" + "x" * 99_999 + "\n", "list.txt:2: unknown language 'xxxxxxxx"),
    listed("list-empty", "", "list.txt: lists no language"),
    listed("list-only-remarks", "# deu\n\n", "list.txt: lists no language"),
    listed("list-utf-16", "deu\n".encode("utf-16"), "list.txt:1: byte 0xff is not UTF-8"),
    listed("list-carriage-return", "deu\rfra\n", "list.txt:1: a carriage return inside the line"),
    listed("list-50-megabytes-on-a-line", long_line(50, "deu\n"), "list.txt:2: more than ", "bytes on the line"),
    listed("list-is-a-folder", folder, "list.txt: cannot be read: Is a directory"),
    listed("list-is-a-pipe", fifo, "list.txt: cannot be read: is a pipe or a device, expected a file"),
    listed("list-is-a-device", device, "list.txt: cannot be read: is a pipe or a device, expected a file"),
    matrix("matrix-nan", MATRIX.replace("0.6", "nan"), "m.tsv:3: 'nan' is no number", fast=True),
    matrix("matrix-inf", MATRIX.replace("0.6", "inf"), "m.tsv:3: 'inf' is no number"),
    matrix("matrix-underscore", MATRIX.replace("0.6", "1_0"), "m.tsv:3: '1_0' is no number"),
    matrix("matrix-arabic-digits", MATRIX.replace("0.6", "٠.٦"), "m.tsv:3: '٠.٦' is no number"),
    matrix("matrix-word", MATRIX.replace("0.6", "far"), "m.tsv:3: 'far' is no number"),
    matrix("matrix-huge", MATRIX.replace("0.6", "1e999"), "m.tsv:3: '1e999' is no number"),
    matrix("matrix-negative", MATRIX.replace("0.6", "-1"), "m.tsv:3: the distance of fra and swh is -1"),
    matrix(
        "matrix-asymmetric", MATRIX.replace("swh\t0.7", "swh\t0.8"), "m.tsv:2: ", "deu and swh is 0.7 one way and 0.8"
    ),
    matrix(
        "matrix-diagonal",
        MATRIX.replace("fra\t0.5\t0\t", "fra\t0.5\t1\t"),
        "m.tsv:3: the distance of fra and fra is 1",
        "are these similarities?",
    ),
    matrix("matrix-short-row", MATRIX.replace("\t0.6\n", "\n"), "m.tsv:3: 3 cells; expected 4"),
    matrix("matrix-row-missing", MATRIX[: MATRIX.index("swh\t0.7")], "m.tsv", "first row and the first column"),
    matrix("matrix-unknown-language", MATRIX.replace("fra", "xxq"), "m.tsv:3: unknown language 'xxq'"),
    matrix("matrix-language-twice", MATRIX.replace("fra", "de"), "m.tsv:3: deu_Latn is there twice"),
    matrix("matrix-empty", "", "m.tsv: is empty"),
    matrix("matrix-header-alone", "\tdeu\tfra\n", "m.tsv", "first row and the first column"),
    matrix(
        "matrix-gaps", MATRIX.replace("0.7", "").replace("0.6", "").replace("0.5", ""), "k = 2 languages are asked for"
    ),
    matrix("matrix-npz-that-is-none", b"no archive", "m.npz: cannot be read as npz", file="m.npz"),
    matrix("matrix-npz-empty", b"", "m.npz: cannot be read as npz", file="m.npz"),
    matrix("matrix-npz-cut", npz(languages=NAMES, matrix=VALUES)[:-30], "m.npz: cannot be read as npz", file="m.npz"),
    matrix(
        "matrix-npz-pickle",
        npz(languages=np.array([{}] * 3, dtype=object), matrix=VALUES),
        "m.npz: cannot be read as npz",
        file="m.npz",
        fast=True,
    ),
    matrix(
        "matrix-npz-without-matrix", LANGUAGES, "m.npz: holds languages; expected languages and matrix", file="m.npz"
    ),
    matrix(
        "matrix-npz-nan",
        npz(languages=NAMES, matrix=[[0, np.inf, 0], [np.inf, 0, 0], [0, 0, 0]]),
        "m.npz: the distance of deu and fra is inf",
        file="m.npz",
    ),
    matrix(
        "matrix-npz-not-square", npz(languages=NAMES, matrix=[[0, 1, 2]]), "m.npz: ", "expected a square", file="m.npz"
    ),
    matrix("matrix-npz-flat", npz(languages=NAMES, matrix=[0, 1, 2]), "m.npz: ", "expected a square", file="m.npz"),
    matrix("matrix-npz-number", npz(languages=NAMES, matrix=3), "m.npz: ", "expected a square", file="m.npz"),
    matrix(
        "matrix-npz-of-text",
        npz(languages=NAMES, matrix=[["a"] * 3] * 3),
        "m.npz: matrix is an array of <U1, expected numbers",
        file="m.npz",
    ),
    matrix("matrix-npz-languages-a-number", npz(languages=3, matrix=VALUES), "m.npz: ", file="m.npz"),
    matrix("matrix-npz-complex", npz(languages=NAMES, matrix=np.array(VALUES, dtype=complex)), "m.npz: ", file="m.npz"),
    matrix("matrix-npz-dates", npz(languages=NAMES, matrix=np.zeros((3, 3), "datetime64[s]")), "m.npz: ", file="m.npz"),
    matrix(
        "matrix-npz-promises-terabytes",
        zipped({"languages.npy": bomb((3,)), "matrix.npy": bomb((1 << 20, 1 << 20))}),
        "m.npz: cannot be read as npz",
        file="m.npz",
    ),
    matrix("matrix-npz-bomb", promised(LANGUAGES), "m.npz: ", "unpacks ", file="m.npz"),
    matrix(
        "matrix-npz-header",
        zipped({"languages.npy": header("{" * 300), "matrix.npy": b""}),
        "m.npz: cannot be read as npz",
        file="m.npz",
    ),
    matrix("matrix-npz-is-npy", bomb((1,)), "m.npz: ", file="m.npz"),
    matrix("matrix-npz-is-a-pipe", fifo, "m.npz: cannot be read: is a pipe or a device", file="m.npz"),
    table("costs-word", "deu\t1\nfra\tmuch\n", "t.tsv:2: 'fra\\tmuch' is not a language and its cost", fast=True),
    table("costs-nan", "deu\t1\nfra\tnan\n", "t.tsv:2: 'fra\\tnan' is not"),
    table("costs-nan-in-line-1", "deu\tnan\nfra\t1\n", "t.tsv:1: 'deu\\tnan' is not"),
    table("costs-underscore", "deu\t1\nfra\t1_0\n", "t.tsv:2: 'fra\\t1_0' is not"),
    table("costs-arabic-digits", "deu\t1\nfra\t٣\n", "t.tsv:2: 'fra\\t٣' is not"),
    table("costs-negative", "deu\t1\nfra\t-3\nswh\t1\n", "t.tsv:2: the cost of fra is -3, expected 0 or more"),
    table("costs-three-columns", "deu\t1\nfra\t2\t3\n", "t.tsv:2: 'fra\\t2\\t3' is not"),
    table("costs-twice", "deu\t1\nfra\t2\nGerman\t3\n", "t.tsv:3: deu is there twice, first on line 1"),
    table("costs-unknown", "deu\t1\nxxq\t2\n", "t.tsv:2: unknown language 'xxq'"),
    table("costs-empty", "", "t.tsv: holds no language"),
    table("costs-lacking", "deu\t1\n", "the table of costs lacks fra, swh"),
    table(
        "classes-six",
        "deu\t5\nfra\t6\n",
        "t.tsv:2: fra has class 6; expected 0 to 5",
        option="--criterion low-resource --resources t.tsv",
    ),
    table(
        "classes-half", "deu\t2.5\n", "t.tsv:1: deu has class 2.5", option="--criterion low-resource --resources t.tsv"
    ),
    table(
        "sentences-negative",
        "deu\t-1\n",
        "t.tsv:1: the number of sentences of deu is -1",
        option="--min-sentences 1 --sentences t.tsv",
    ),
    option(
        "max-per-word", "--max-per family=one", "--max-per 'family=one'; expected a name and a whole number", fast=True
    ),
    option("max-per-arabic-digits", "--max-per family=١", "--max-per 'family=١'; expected a name and a whole number"),
    option("max-per-huge", f"--max-per family={'9' * 5000}", "expected a name and a whole number"),
    option("max-per-nothing", "--max-per family=0", "max-per family=0; expected at least 1"),
    option("max-per-unknown", "--max-per colour=1", "max-per 'colour'; expected family or script"),
    option("at-least-twice", "--at-least seen=1 --at-least seen=2", "--at-least seen is given twice"),
    option("at-most-unknown", "--at-most tall=1", "unknown property 'tall' in a quota"),
    option("criterion-weight-nan", "--criterion maxsum=nan", "the weight of maxsum is 'nan'"),
    option("criterion-weight-underscore", "--criterion maxsum=1_0", "the weight of maxsum is '1_0'; expected a number"),
    option("criterion-unknown", "--criterion maxsun", "unknown criterion 'maxsun'", "did you mean 'maxsum'"),
    option(
        "distance-weight-word",
        "--distance uriel-featural=x",
        "the weight of distance 'uriel-featural' is 'x'; expected a number",
    ),
    option(
        "distance-weight-inf",
        "--distance uriel-featural=inf,geographic=1",
        "the weight of distance 'uriel-featural' is 'inf'",
    ),
    option("distance-unknown", "--distance uriel", "unknown distance 'uriel'"),
    option("budget-nan", "--budget nan", "--budget nan: expected a finite number"),
    option("time-limit-nan", "--time-limit nan", "--time-limit nan: expected a number of seconds"),
    Case("candidates-nothing", "select -k 1 --candidates", ("an empty list of languages",), words=(" , ",)),
    Case("candidates-overlong", "select -k 1 --candidates", ("unknown language 'xxxxx",), words=("x" * 100_000,)),
    Case(
        "candidates-thousands-unknown",
        "select -k 1 --candidates",
        ("unknown language 'q0x'",),
        words=(",".join(f"q{n}x" for n in range(5000)),),
    ),
    Case("seen-unknown-file", "select -k 1 --seen none.txt", ("none.txt: cannot be read: No such file",)),
)
