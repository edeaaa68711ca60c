"""CoNLL-U: what is right, what is wrong and where, and the same words and tags as the conllu package finds."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import conllu
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xrealign.errors import DataError
from xrealign.tasks.faults import Faults
from xrealign.tasks.readers_conllu import read_conllu


def row(number: object, form: str = "w", upos: str = "NOUN", feats: str = "_", misc: str = "_") -> str:
    return f"{number}\t{form}\t_\t{upos}\tx\t{feats}\t0\troot\t_\t{misc}"


def write(folder: Path, *lines: str, end: str = "\n", last: str = "\n") -> Path:
    path = folder / "a.conllu"
    path.write_bytes((end.join(lines) + last).encode())
    return path


GOOD = (
    "# newdoc", "# sent_id = s-1", "# text = vámonos ya", "1-2\tvámonos" + "\t_" * 8, row(1, "vamos", "VERB"),
    row(2, "nos", "PRON"), row("2.1", "x", "AUX"), row(3, "ya", "ADV", "Degree=Pos|Case=Nom", "NER=B-LOC"), "",
    row(1, "#", "SYM"), row(2, "a b", "X"), "",
)  # fmt: skip
EXPECTED = [(("vamos", "nos", "ya"), ("VERB", "PRON", "ADV"), "s-1"), (("#", "a b"), ("SYM", "X"), "line 10")]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", ["", "\n", "\n\n\n", "\r\n"])
def test_ranges_empty_nodes_and_line_ends(tmp_path: Path, end: str, last: str) -> None:
    path = write(tmp_path, *GOOD[:-1], end=end, last=last)
    assert [(e.words, e.tags, e.group) for e in read_conllu(path)] == EXPECTED


def test_other_columns(tmp_path: Path) -> None:
    path = write(tmp_path, *GOOD)
    assert [e.tags for e in read_conllu(path, "feats:Case")] == [("_", "_", "Nom"), ("_", "_")]
    assert [e.tags for e in read_conllu(path, "misc")] == [("_", "_", "NER=B-LOC"), ("_", "_")]
    assert [e.tags for e in read_conllu(path, "deprel")] == [("root",) * 3, ("root",) * 2]
    assert read_conllu(path, "id")[0].tags == ("1", "2", "3")
    with pytest.raises(DataError, match=r"column 'upso'.*did you mean 'upos'"):
        read_conllu(path, "upso")


def test_composed_and_compressed(tmp_path: Path) -> None:
    import gzip

    path = tmp_path / "a.conllu.gz"
    path.write_bytes(gzip.compress(("\ufeff" + row(1, "u\u0308ber", "ADP")).encode()))
    assert read_conllu(path)[0].words == ("über",)


@pytest.mark.parametrize(
    ("lines", "place", "message"),
    [
        ([row(1), "2\tx\t_\tNOUN"], 2, "4 tab-separated columns, expected the 10"),
        ([row(1).replace("\t", " ")], 1, "blanks in place of TABs"),
        ([row(1) + "\t_"], 1, "11 tab-separated columns"),
        ([row(1), row(3)], 2, "word 3 stands where word 2 is expected"),
        ([row(1), row(2), row(1)], 3, "empty line between sentences missing"),
        ([row(0)], 1, "word 0 stands where word 1"),
        ([row("01")], 1, "word 01 stands where word 1"),
        ([row("x")], 1, "id 'x'"),
        ([row("²")], 1, "id '²'"),
        ([row(1), row("3-4"), row(2)], 2, "id '3-4' stands after word 1"),
        ([row("1-1"), row(1)], 1, "id '1-1'"),
        ([row("1-3"), row(1), row(2), ""], 3, "inside the range up to 3"),
        ([row("1-2"), row(1), row("2-3"), row(2), row(3)], 3, "id '2-3'"),
        ([row("2.1"), row(1)], 1, "id '2.1' stands after word 0"),
        ([row(1, "")], 1, "FORM is empty"),
        ([row(1, "dog", "_")], 1, "column UPOS of the word 'dog' is '_': no tag"),
        ([row(1, "dog", "")], 1, "column UPOS of the word 'dog' is ''"),
        ([row(1), "# sent_id = 2", row(2)], 2, "comment after the first word"),
        ([row(1), "   ", row(1)], 2, "holds blanks only"),
        (["", "", "# only comments", ""], None, "no sentences"),
        ([""], None, "no sentences"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(
    tmp_path: Path, lines: list[str], place: int | None, message: str
) -> None:
    path = write(tmp_path, *lines)
    with pytest.raises(DataError, match=message) as caught:
        read_conllu(path)
    assert caught.value.line == place
    assert str(caught.value).startswith(f"{path}:{place}: " if place else f"{path}: ")


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"1\tw\xff", "a.conllu:1: byte 0xff"), (b"\xff\xfe1\t", "UTF-16"), (b"1\n2\t\0", "a.conllu:2: NUL")],
)
def test_bytes_that_are_no_text(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.conllu"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_conllu(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_conllu(tmp_path / "none.conllu")


def test_all_faults_are_told_and_lenient_ones_cost_their_sentence(tmp_path: Path) -> None:
    path = write(tmp_path, row(1, "a", "_"), "", row(1, "b"), "", row(1, ""), row(3), "")
    with pytest.raises(DataError) as caught:
        read_conllu(path)
    assert [line.split(": ")[0] for line in str(caught.value).split("\n")] == [f"{path}:1", f"{path}:5", f"{path}:6"]
    faults = Faults(path, lenient=True)
    assert [e.words for e in read_conllu(path, faults=faults)] == [("b",)]
    assert (faults.count, dict(faults.left_out)) == (3, {"sentence with a fault": 2})


def test_spans_of_a_feature(tmp_path: Path) -> None:
    rows = [row(1, "Ada", misc="NER=B-PER"), row(2, "Lovelace", misc="NER=I-PER|X=y"), row(3, "ran", misc="NER=O")]
    assert read_conllu(write(tmp_path, *rows), "misc:NER", spans=True)[0].tags == ("B-PER", "I-PER", "O")
    with pytest.raises(DataError, match=r"a\.conllu:1: tag '_' of the word 'w'.*if it means 'O'"):
        read_conllu(write(tmp_path, row(1)), "misc:NER", spans=True)


FORMS = st.text(st.characters(blacklist_categories=("Cc", "Cs", "Zl", "Zp", "Zs")), min_size=1, max_size=4)
TAGS = st.sampled_from(["NOUN", "VERB", "ADJ"])


@given(st.lists(st.lists(st.tuples(FORMS, TAGS, st.booleans()), min_size=1, max_size=6), min_size=1, max_size=4))
def test_same_as_the_conllu_package(tmp_path_factory: pytest.TempPathFactory, sentences: list) -> None:
    lines = []
    for sentence in sentences:
        for number, (form, tag, extra) in enumerate(sentence, 1):
            if extra and number < len(sentence):
                lines.append(row(f"{number}-{number + 1}", "both", "_"))
            lines.append(row(number, form, tag))
            if extra:
                lines.append(row(f"{number}.1", "e", "_"))
        lines.append("")
    # Ranges that overlap are wrong: keep only those that begin behind the last one.
    kept, end = [], 0
    for line in lines:
        number = line.split("\t")[0]
        if "-" in number:
            start, stop = map(int, number.split("-"))
            if start <= end:
                continue
            end = stop
        end = 0 if not line else end
        kept.append(line)
    path = tmp_path_factory.mktemp("c") / "a.conllu"
    path.write_text("\n".join(kept) + "\n", "utf-8")
    assert [(e.words, e.tags) for e in read_conllu(path)] == by_package(path)


def by_package(path: Path) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    found = []
    for sentence in conllu.parse(path.read_text("utf-8")):
        words = [token for token in sentence if isinstance(token["id"], int)]
        forms = tuple(unicodedata.normalize("NFC", token["form"]) for token in words)
        found.append((forms, tuple(token["upos"] for token in words)))
    return found


@pytest.mark.data
def test_the_whole_pack_as_the_conllu_package_reads_it(data_pack: Path) -> None:
    paths = sorted((data_pack / "starter" / "pos").glob("*.conllu"))
    assert len(paths) == 73
    for path in paths:
        examples = read_conllu(path)
        assert [(e.words, e.tags) for e in examples] == by_package(path), path.name
        assert all(not e.group.startswith("line ") for e in examples), path.name
