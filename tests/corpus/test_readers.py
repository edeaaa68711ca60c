"""Readers of the user's parallel text: what they accept, and where they point when they do not."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path

import pytest

from xrealign.corpus.readers import read_bar, read_bitext, read_line_aligned, read_moses, read_tsv
from xrealign.errors import DataError
from xrealign.language import parse_language
from xrealign.textio import Skipped

ENG, DEU, FIN = (parse_language(code) for code in ("eng", "deu", "fin"))


def write(path: Path, text: str) -> Path:
    data = text.encode("utf-8")
    path.write_bytes({".gz": gzip.compress, ".xz": lzma.compress}.get(path.suffix, bytes)(data))
    return path


def triples(bitext) -> list[tuple[str, str, str]]:  # type: ignore[no-untyped-def]
    return [(pair.id, pair.src, pair.tgt) for pair in bitext]


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz"])
def test_tsv_plain_and_packed(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"pairs.tsv{suffix}", "a dog\tein Hund \r\nthe cafe\u0301\tdas Café\n")
    bitext = read_tsv(path, ENG, DEU)
    assert triples(bitext) == [("1", "a dog", "ein Hund"), ("2", "the café", "das Café")]
    assert (bitext.src, bitext.tgt, bitext.origin, len(bitext)) == (ENG, DEU, path.name, 2)
    assert list(bitext) == list(bitext)


def test_tsv_with_ids(tmp_path: Path) -> None:
    path = write(tmp_path / "p.tsv", "x1\ta\tb\nx2\tc\td\n")
    assert triples(read_tsv(path, ENG, DEU)) == [("x1", "a", "b"), ("x2", "c", "d")]
    assert triples(read_tsv(path, ENG, DEU, "id src tgt")) == [("x1", "a", "b"), ("x2", "c", "d")]


@pytest.mark.parametrize(
    ("text", "columns", "line", "words"),
    [
        ("a\tb\nc\n", "auto", 2, "1 tab-separated columns, expected 2, as before"),
        ("a\tb\n\nc\td\n", "auto", 2, "1 tab-separated columns"),
        ("a\n", "auto", 1, "expected 2 (source, target) or 3"),
        ("a\tb\tc\td\n", "auto", 1, "4 tab-separated columns"),
        ("1\ta\tb\n", "src tgt", 1, "3 tab-separated columns, expected 2"),
        ("a\tb\n", "id src tgt", 1, "2 tab-separated columns, expected 3"),
        ("a\tb\n \tc\n", "auto", 2, "the source sentence is empty"),
        ("a\tb\nc\t\n", "auto", 2, "the target sentence is empty"),
        ("1\ta\tb\n1\tc\td\n", "auto", 2, "id '1' stands on line 1 already"),
        ("\ta\tb\n", "auto", 1, "the id is empty"),
        ("a\tb\nc\0\td\n", "auto", 2, "NUL"),
        ("", "auto", None, "no sentence pairs"),
    ],
)
def test_tsv_points_at_the_fault(tmp_path: Path, text: str, columns: str, line: int | None, words: str) -> None:
    path = write(tmp_path / "p.tsv", text)
    with pytest.raises(DataError) as caught:
        read_tsv(path, ENG, DEU, columns)  # type: ignore[arg-type]
    assert caught.value.line == line
    assert caught.value.path == str(path)
    assert words in str(caught.value)


def test_tsv_refuses_an_unknown_column_order(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="columns is 'tgt src', expected one of auto, src tgt, id src tgt"):
        read_tsv(write(tmp_path / "p.tsv", "a\tb\n"), ENG, DEU, "tgt src")  # type: ignore[arg-type]


def test_not_utf8_and_absent(tmp_path: Path) -> None:
    (tmp_path / "p.tsv").write_bytes(b"a\tb\nc\t\xe4\n")
    with pytest.raises(DataError, match=r"p\.tsv:2: byte 0xe4 is not UTF-8"):
        read_tsv(tmp_path / "p.tsv", ENG, DEU)
    with pytest.raises(DataError, match=r"absent\.tsv: cannot be read"):
        read_tsv(tmp_path / "absent.tsv", ENG, DEU)


def test_moses(tmp_path: Path) -> None:
    left, right = write(tmp_path / "p.en.gz", "a\nb b\n"), write(tmp_path / "p.de", "A\nB B\n")
    assert triples(read_moses(left, right, ENG, DEU)) == [("1", "a", "A"), ("2", "b b", "B B")]


@pytest.mark.parametrize(("left", "right", "counts"), [("a\nb\nc\n", "A\n", (3, 1)), ("a\n", "A\nB\n", (1, 2))])
def test_moses_names_both_lengths(tmp_path: Path, left: str, right: str, counts: tuple[int, int]) -> None:
    write(tmp_path / "p.en", left)
    write(tmp_path / "p.de", right)
    with pytest.raises(DataError, match=rf"p\.en has {counts[0]} lines, .*p\.de has {counts[1]}"):
        read_moses(tmp_path / "p.en", tmp_path / "p.de", ENG, DEU)


def test_moses_points_into_the_right_file(tmp_path: Path) -> None:
    write(tmp_path / "p.en", "a\nb\n")
    write(tmp_path / "p.de", "A\n\n")
    with pytest.raises(DataError, match=r"p\.de:2: the target sentence is empty"):
        read_moses(tmp_path / "p.en", tmp_path / "p.de", ENG, DEU)


def test_bar(tmp_path: Path) -> None:
    path = write(tmp_path / "p.txt", "a b ||| A B\nc | d ||| C\n")
    assert triples(read_bar(path, ENG, DEU)) == [("1", "a b", "A B"), ("2", "c | d", "C")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b\n", "0 separators"),
        ("a ||| b ||| c\n", "2 separators"),
        ("||| b\n", "the source sentence is empty"),
        ("a |||\n", "the target sentence is empty"),
    ],
)
def test_bar_points_at_the_fault(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(DataError, match=rf"p\.txt:2: .*{words}"):
        read_bar(write(tmp_path / "p.txt", "x ||| y\n" + text), ENG, DEU)


def test_one_language_is_no_bitext(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="both sides are eng_Latn"):
        read_bar(write(tmp_path / "p.txt", "x ||| y\n"), ENG, ENG)


def test_line_aligned_files(tmp_path: Path) -> None:
    paths = {
        language: write(tmp_path / f"{language}.txt", text)
        for language, text in ((ENG, "a\nb\n"), (DEU, "A\nB\n"), (FIN, "x\ny\n"))
    }
    multitext = read_line_aligned(paths, "news")
    assert (multitext.name, multitext.ids) == ("news", ("1", "2"))
    assert multitext.of(FIN) == {"1": "x", "2": "y"}
    write(paths[FIN], "x\n")
    with pytest.raises(DataError, match=r"eng_Latn\.txt has 2 lines, .*fin_Latn\.txt has 1"):
        read_line_aligned(paths, "news")
    write(paths[FIN], "x\n\n")
    with pytest.raises(DataError, match=r"fin_Latn\.txt:2: the line is empty"):
        read_line_aligned(paths, "news")


def test_faulty_lines_are_skipped_leniently(tmp_path: Path) -> None:
    """Each by its reason; ids stay the numbers of the lines."""
    bad = b"x\n\nc\t\n\td\n\xff\t\xff\ne\0\tf\ng\th\ri\tj\n" + b"k" * 100_001 + b"\tl\n"
    path = tmp_path / "p.tsv"
    path.write_bytes(b"a\tA\n" + bad + b"b\tB\n")
    skipped = Skipped(lenient=True)
    assert triples(read_tsv(path, ENG, DEU, skipped=skipped)) == [("1", "a", "A"), ("10", "b", "B")]
    assert skipped.reasons == {
        "columns": 2, "empty target": 1, "empty source": 1, "not UTF-8": 1, "NUL": 1, "carriage return": 1,
        "overlong line": 1,
    }  # fmt: skip
    assert (skipped.lines, list(skipped.at)) == (10, [2, 3, 4, 5, 6, 7, 8, 9])
    path = write(tmp_path / "p.txt", "a ||| A\nb\n ||| c\nd ||| D\n")
    skipped = Skipped(lenient=True)
    assert triples(read_bitext(path, ENG, DEU, skipped)) == [("1", "a", "A"), ("4", "d", "D")]
    assert skipped.reasons == {"separators": 1, "empty source": 1}
    path = write(tmp_path / "ids.tsv", "x\ta\tA\nx\tb\tB\n\tc\tC\n")
    skipped = Skipped(lenient=True)
    assert triples(read_bitext(path, ENG, DEU, skipped)) == [("x", "a", "A")]
    assert skipped.reasons == {"repeated id": 1, "empty id": 1}


def test_too_many_faulty_lines_are_an_error_leniently_too(tmp_path: Path) -> None:
    path = write(tmp_path / "p.tsv", "a\tA\n" * 900 + "x\n" * 101)
    with pytest.raises(
        DataError, match=r"p\.tsv: 101 of 1001 items are at fault.*\(101 columns\), first on line 901: 1 tab"
    ):
        read_tsv(path, ENG, DEU, skipped=Skipped(lenient=True))
    assert len(read_tsv(write(path, "a\tA\n" * 910 + "x\n" * 101), ENG, DEU, skipped=Skipped(lenient=True))) == 910
    with pytest.raises(DataError, match=r"p\.tsv: all 2 lines are at fault"):
        read_tsv(write(path, "x\ny\n"), ENG, DEU, skipped=Skipped(lenient=True))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a\tb\nc\td\re\tf\n", r":2: a carriage return inside the line"),
        (b"a\tb\nc\t" + b"d" * 200_000, r":2: the target sentence has 200000 characters, expected 100000 at most"),
        (b"a\tb\n" + b"d" * 900_000, r":2: more than 799999 bytes on the line"),
    ],
)
def test_lines_that_are_not_what_they_seem(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "p.tsv").write_bytes(content)
    with pytest.raises(DataError, match=r"p\.tsv" + words):
        read_tsv(tmp_path / "p.tsv", ENG, DEU)
