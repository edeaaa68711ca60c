"""Files of gold and of links as people have them: every fault is named with its line, every harmless oddity is read."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path

import pytest

from xrealign.align.score import read_gold, read_links, score_files
from xrealign.errors import DataError

LONG = "1" * 70
NOT_A_LINK = [
    "-1-0", "0--1", "1-", "-1", "-", "p", "1p", "p1", "0-0-0", "0p0p0", "0-0p0", "0:0", "0,0", "0–0", "0‑0", "0_0-1",
    "+1-0", "1.0-0", "0x1-0", "1e3-0", "a-b", "٠-٠", "０-０", "²-1", "0-0,1-1", "(0-0)", "0-0;", "0P0", "0s0", "nan-0",
    "\u200b0-0", "0-0\u200b", "0-\ufeff0", LONG + "-0", "0-" + LONG,
]  # fmt: skip
FAULTS = [
    *((item, 0, "is not a link: expected i-j") for item in NOT_A_LINK),
    ("0-2", 0, r"link 0-2 points outside sentences of 2 and 2 words \(counted from 0\); if words are counted from 1"),
    ("2p0", 0, "link 2-0 points outside"),
    ("00000000000000002-0", 0, "link 2-0 points outside"),
    ("2-2", 0, "set its base to 1"),  # a 1-based file taken for a 0-based one
    ("0-0", 1, "link 0-0: words are counted from 1 here"),  # and the other way round
    ("1-1 2-0", 1, "link 2-0: words are counted from 1 here"),  # mixed
    ("3-1", 1, r"link 3-1 points outside sentences of 2 and 2 words \(counted from 1\)$"),
    ("9999999999-0", 0, "link 9999999999-0: no sentence has so many words"),
    ("9" * 40 + "-0", 0, "no sentence has so many words"),
    ("0-0\0", 0, "NUL character"),
]
FAULTY_SCORES = [":", ":high", ":nan", ":inf", ":1_0", ":٠.٥", ":0,9", ":0.9:1", ":0x1p3", ":1e"]


def write(path: Path, text: str, newline: str = "\n") -> Path:
    path.write_bytes(text.replace("\n", newline).encode())
    return path


@pytest.mark.parametrize(("text", "base", "message"), FAULTS)
def test_faulty_gold(tmp_path: Path, text: str, base: int, message: str) -> None:
    fine = f"{base}-{base}"
    table = write(tmp_path / "g.tsv", f"a b\tx y\t{fine}\na b\tx y\t{fine} {text}\n")
    with pytest.raises(DataError, match=rf"g\.tsv:2: .*{message}"):
        read_gold(table, base)
    if "outside" in message or "set its base" in message:
        return  # without sentences there is nothing to lie outside of
    alone = write(tmp_path / "g.pharaoh", f"{fine}\n{fine} {text}\n")
    with pytest.raises(DataError, match=rf"g\.pharaoh:2: .*{message}"):
        read_gold(alone, base)


@pytest.mark.parametrize(
    ("text", "base", "message"),
    [*FAULTS, *((f"0-0{score}", 0, "is not a score; expected i-j or i-j:0.9") for score in FAULTY_SCORES)],
)
def test_faulty_links(tmp_path: Path, text: str, base: int, message: str) -> None:
    gold = write(tmp_path / "g.tsv", "a b\tx y\t0-0\na b\tx y\t0-0\n")
    links = write(tmp_path / "links", f"{base}-{base}\n{base}-{base} {text}\n")
    with pytest.raises(DataError, match=rf"links:2: .*{message}"):
        read_links(links, read_gold(gold), gold, base)


def test_scores_are_no_part_of_gold(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"g:1: '0-0:0\.5' is not a link: expected i-j \(sure\) or ipj \(possible\)"):
        read_gold(write(tmp_path / "g", "0-0:0.5\n"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\tx\t0-0\n\n", r"g:2: 1 tab-separated columns, expected 3"),
        ("a\tx\t0-0\na\tx\n", r"g:2: 2 tab-separated columns"),
        ("a\tx\t0-0\na\tx\t0-0\t0.5\n", r"g:2: 4 tab-separated columns"),
        ("a ||| x ||| 0-0\n", r"g:1: 'a' is not a link"),
        ("source\ttarget\tlinks\n", r"g:1: 'links' is not a link"),  # a header
        ('{"links": [[0, 0]]}\n', r"g:1: '\{\"links\":' is not a link"),
        ("\tx\t0-0\n", r"g:1: link 0-0 points outside sentences of 0 and 1 words"),
        ("", r"g: no lines in it"),
    ],
)
def test_faulty_tables(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_gold(write(tmp_path / "g", text))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"0-0\n0-\xff\n", r"g:2: byte 0xff is not UTF-8"),
        ("0-0\n".encode("utf-16"), r"g:1: byte 0xff is not UTF-8"),
        ("0-0\n".encode("utf-16-be"), r"g:1: NUL"),
    ],
)
def test_other_encodings(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "g").write_bytes(data)
    with pytest.raises(DataError, match=message):
        read_gold(tmp_path / "g")


@pytest.mark.parametrize("suffix", [".gz", ".xz"])
def test_damaged_archives(tmp_path: Path, suffix: str) -> None:
    packed = {".gz": gzip.compress, ".xz": lzma.compress}[suffix](b"0-0\n" * 1000)
    for data in (b"0-0\n", packed[:-9]):
        (tmp_path / f"g{suffix}").write_bytes(data)
        with pytest.raises(DataError, match=rf"g\{suffix}: cannot be read"):
            read_gold(tmp_path / f"g{suffix}")
    with pytest.raises(DataError, match=r"none: cannot be read"):
        read_gold(tmp_path / "none")


HARMLESS = {
    "as it is": ("a b\tx y\t0-0 1p1\n", "\n"),
    "CRLF": ("a b\tx y\t0-0 1p1\n", "\r\n"),
    "byte-order mark": ("\ufeffa b\tx y\t0-0 1p1\n", "\n"),
    "no last line end": ("a b\tx y\t0-0 1p1", "\n"),
    "blanks": (" a  b \tx y\t  0-0   1p1 \n", "\n"),
    "repeated": ("a b\tx y\t0-0 0-0 1p1 0p0\n", "\n"),  # sure and possible: sure
    "order": ("a b\tx y\t1p1 0-0\n", "\n"),
    "zeros": ("a b\tx y\t00-000 1p01\n", "\n"),
}


@pytest.mark.parametrize("name", HARMLESS)
@pytest.mark.parametrize("suffix", ["", ".gz", ".xz"])
def test_harmless(tmp_path: Path, name: str, suffix: str) -> None:
    text, newline = HARMLESS[name]
    data = text.replace("\n", newline).encode()
    path = tmp_path / f"g.tsv{suffix}"
    path.write_bytes({"": bytes, ".gz": gzip.compress, ".xz": lzma.compress}[suffix](data))
    (pair,) = read_gold(path)
    assert (pair.src_length, pair.tgt_length) == (2, 2)
    assert (pair.links, pair.possible) == ({(0, 0)}, {(0, 0), (1, 1)})


def test_every_form_of_a_score(tmp_path: Path) -> None:
    gold = write(tmp_path / "g.tsv", "a b\tx y\t0-0 1-1\n")
    for score in ("1", "0.5", ".5", "-3.25", "+2", "1e-05", "1.5E+3"):
        links = write(tmp_path / "l.jsonl", f"0-0:{score} 1-1\n")  # Pharaoh whatever the suffix
        assert score_files(gold, links, resamples=100).aer.value == 0
