"""Readers of parallel text, links, dictionaries, lists, tables of numbers and configurations."""

from __future__ import annotations

from pathlib import Path

from fuzz_target import Target
from targets_tasks import each

from xrealign.align.pairs import check_input, find_form, read_rows
from xrealign.align.score import has_text, read_both, read_gold, read_links
from xrealign.align.score_parts import read_tags
from xrealign.config import load_config, to_toml
from xrealign.corpus.dictionary import read_dictionary, read_phrase_pairs
from xrealign.corpus.quality import read_scores
from xrealign.corpus.readers import read_bar, read_line_aligned, read_moses, read_tsv
from xrealign.corpus.tmx import read_tmx, read_units
from xrealign.errors import XrealignError
from xrealign.language import parse_language
from xrealign.report.gains import read_feature_table
from xrealign.report.published_results import import_published
from xrealign.report.scores import read_scores as read_score_table
from xrealign.report.scores import write_scores
from xrealign.select.candidates import language_list, read_classes, read_list, read_numbers
from xrealign.select.matrices import distances_from_file, read_matrix
from xrealign.sweep.grid import read_sweep

ENG, DEU = parse_language("eng"), parse_language("deu")


def pharaoh(path: Path) -> None:
    for base in (0, 1):
        try:
            gold = read_gold(path, base)
            has_text(path)
            read_links(path.with_name("links.txt"), gold, path, base)
        except XrealignError as error:
            refused: XrealignError | None = error
        else:
            refused = None
            read_both(path, path.with_name("links.txt"), base)
    if refused:
        raise refused


def tags(path: Path) -> None:
    gold = read_gold(path)
    for side in ("src", "tgt"):
        read_tags(path.with_name("tags.conllu"), gold, side, path)


def pairs(path: Path) -> None:
    """What `xrealign align` and `measure` do with a file of pairs before any work begins."""
    form = find_form([path])
    lenient = check_input([path], form, True)
    rows = list(read_rows([path], form))
    assert len(rows) == lenient.lines
    check_input([path], form, False)


def config(path: Path) -> None:
    load = load_config(path)
    text = to_toml(load)
    again = path.with_name("again.toml")
    again.write_text(text, "utf-8")
    assert to_toml(load_config(again)) == text, "what is written is not what was read"


def scores(path: Path) -> None:
    found = read_score_table(path)
    again = path.with_name("again.csv")
    write_scores(found, again)
    assert read_score_table(again) == found, "what is written is not what was read"


def languages(path: Path) -> None:
    refused = None
    for text in path.read_bytes().decode("utf-8", "replace").split("\n")[:4]:
        try:
            language_list(text)
        except XrealignError as error:
            refused = error
    if refused is not None:
        raise refused


def matrix(path: Path) -> None:
    read_matrix(path)
    distances_from_file([ENG, DEU], path)


TMX_TOKENS = (
    b"<tu>",
    b"</tu>",
    b'<tuv xml:lang="en">',
    b"</tuv>",
    b"<seg>",
    b"</seg>",
    b"<?xml version='1.0'?>",
    b"<tmx>",
    b"</tmx>",
    b"<body>",
    b"</body>",
    b"<header srclang='en'/>",
    b"<!DOCTYPE tmx [",
    b"<!ENTITY a 'b'>",
    b"&a;",
    b"&#x0;",
    b"&#55296;",
    b"<![CDATA[",
    b"]]>",
    b"<ph>",
    b"</ph>",
    b"<bpt i='1'/>",
    b" tuid='1'",
    b"xml:lang",
    b'encoding="utf-16"',
    b'encoding="utf-7"',
    b'encoding="cp037"',
    b"<sub>",
    b"<hi>",
)
TOML_TOKENS = (
    b"[select]\n",
    b"[corpus]\n",
    b"[align]\n",
    b"[realign]\n",
    b"[finetune]\n",
    b"[task]\n",
    b"[encoder]\n",
    b"[measure]\n",
    b"[report]\n",
    b"[project]\n",
    b"[sweep]\n",
    b"[[sweep.variant]]\n",
    b'name = "x"\n',
    b"seed = 1\n",
    b"seeds",
    b"languages = ",
    b"targets = ",
    b"steps = 1",
    b"layers = [1]",
    b"files = {",
    b'tests = { deu = "x" }',
    b"train = ",
    b" = ",
    b"= [",
    b"]",
    b"{",
    b"}",
    b'"deu"',
    b"true",
    b"nan",
    b"inf",
    b"1e999",
    b"1979-05-27",
    b"'''",
    b'"""',
    b"k = 3",
    b'objective = "word"',
    b"set = {",
    b"exclude = [",
    b"labels",
    b"strategy = ",
    b"mixture = ",
    b"filter = {",
    b"score",
    b"2020-01-01T00:00:00",
)
NUMBERS = (b"\t", b",", b"\n", b"0.5", b"nan", b"inf", b"-1", b"1e999", b"1_0", "١".encode(), b"deu", b"eng", b'"')
PHARAOH = (
    b"0-0",
    b"1p2",
    b"\t",
    b" ",
    b"\n",
    b"%%%% links.txt\n",
    b"0-0:0.5",
    b"4294967296-1",
    b"-",
    b":1e5",
    "١-١".encode(),
)

TARGETS: dict[str, Target] = {
    "pharaoh": Target("gold.tsv", pharaoh, PHARAOH, ("gold.tsv", "links.txt")),
    "tags": Target(
        "gold.tsv",
        tags,
        (*PHARAOH, b"%%%% tags.conllu\n", b"1\ta\t_\tX\t_\t_\t_\t_\t_\t_\n"),
        ("gold.tsv", "tags.conllu"),
    ),
    "bitext-tsv": Target("x.tsv", lambda path: read_tsv(path, ENG, DEU), (b"\t", b"\n", b"\r\n")),
    "moses": Target(
        "a.eng",
        each(
            lambda path: read_moses(path, path.with_name("a.deu"), ENG, DEU),
            lambda path: read_line_aligned({ENG: path, DEU: path.with_name("a.deu")}, "x"),
        ),
        (b"\n", b"%%%% a.deu\n"),
        ("a.eng", "a.deu"),
    ),
    "bar": Target("x.txt", lambda path: read_bar(path, ENG, DEU), (b" ||| ", b"\n", b"|||")),
    "pairs": Target("x.txt", pairs, (b" ||| ", b"\n", b"\t", b"<?xml", *TMX_TOKENS)),
    "tmx": Target(
        "x.tmx", each(lambda path: read_tmx(path, ENG, DEU), lambda path: list(read_units(path))), TMX_TOKENS
    ),
    "dictionary": Target(
        "x.tsv", each(lambda path: read_dictionary(path, ENG, DEU), read_phrase_pairs), (b"\t", b"\n", b" ")
    ),
    "quality": Target("scores.txt", lambda path: read_scores(path, 2), NUMBERS),
    "config": Target("mine.toml", config, TOML_TOKENS),
    "sweep": Target("mine.toml", lambda path: read_sweep(path), TOML_TOKENS),
    "candidates": Target(
        "x.txt",
        each(read_list, lambda path: read_numbers(path, "size"), lambda path: read_classes(path), read_feature_table),
        NUMBERS,
    ),
    "languages": Target("x.txt", languages, (b",", b"-", b"_", b"Latn", b"zho", b"x-", b"(", b")", b"german", b"\n")),
    "matrix": Target("x.tsv", matrix, NUMBERS),
    "scores": Target(
        "scores.csv",
        scores,
        (*NUMBERS, b"run,method,task,language,metric,value,n,seed,layer,variant,labels,signature,model"),
    ),
    "published": Target(
        "model__data__task.csv",
        lambda path: import_published(path),
        (*NUMBERS, b"method,seed,eval_de_accuracy", b"eval_same_f1", b"final_eval_", b"_avg_"),
    ),
}
