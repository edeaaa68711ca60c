"""Labels that look like others, columns that are no numbers, leniency that ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from xrealign.errors import DataError
from xrealign.language import parse_language
from xrealign.tasks.check import check_files, faults_of, printed
from xrealign.tasks.faults import Faults
from xrealign.tasks.label_names import find_unmatched, unmatched
from xrealign.tasks.load import load_task
from xrealign.tasks.readers_class import read_labelled_tsv
from xrealign.tasks.readers_conllu import read_conllu
from xrealign.tasks.readers_json import read_squad
from xrealign.tasks.readers_text import all_lines, column_number, odd_name, some, whole_text
from xrealign.tasks.spec import TaskSpec
from xrealign.tasks.task import Example
from xrealign.textio import read_lines

ENG, DEU = parse_language("eng"), parse_language("deu")


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("B-PER", None),
        ("می\u200cخواهم", None),
        ("क्\u200dष", None),
        ("topic: a/b", None),
        ("x" * 1000, None),
        ("𐍈", None),
        ("yes\u200f", "U+200F (RIGHT-TO-LEFT MARK)"),
        ("\u202eyes", "U+202E"),
        ("y\x1bes", "U+001B (a control character)"),
        ("yes\u200d", "U+200D (ZERO WIDTH JOINER)"),
        ("\u200b", "nothing that can be seen"),
        ("", "nothing that can be seen"),
        ("\u00a0 \u3000", "nothing that can be seen"),
        ("a\u2028b", "U+2028"),
        ("x" * 1001, "1,001 characters"),
        ("a\nb", "U+000A"),
        ("a\u00adb", "U+00AD (SOFT HYPHEN)"),
        ("\ufeffa", "U+FEFF"),
    ],
)
def test_names_that_nobody_can_tell_from_others(name: str, told: str | None) -> None:
    found = odd_name(name)
    assert (found is None) if told is None else (found is not None and told in found)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1),
        ("012", 12),
        ("٢", None),
        ("²", None),
        ("1_0", None),
        ("+1", None),
        ("", None),
        ("9" * 5000, None),
        ("a", None),
    ],
)
def test_numbers_of_columns(text: str, number: int | None) -> None:
    assert column_number(text) == number


def test_some_of_many() -> None:
    assert some(["a", "b"]) == "a, b"
    assert some([str(n) for n in range(25)], 3) == "0, 1, 2 and 22 more"
    assert len(some(["x" * 1000])) == 61


@pytest.mark.parametrize(
    "content",
    [
        b"a\r\nb\n",
        b"a\nb",
        b"a\nb\r",
        b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n",
        "e\u0301\u2028x\x85\n\n".encode(),
        b"",
        b"\n",
        b"\r\n",
    ],
)
def test_whole_texts_are_the_lines(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path, "a", content)
    assert list(enumerate(all_lines(path), 1)) == list(read_lines(path))


@pytest.mark.parametrize(
    "content", [b"a\rb\n", b"a\r\r\n", b"a\n\0\n", b"a\xff\n", b"a\rb", b"a\n" + b"x" * (16 << 20)]
)
def test_whole_texts_are_refused_as_lines_are(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path, "a", content)
    with pytest.raises(DataError) as by_line:
        list(read_lines(path))
    with pytest.raises(DataError) as whole:
        whole_text(path)
    assert str(whole.value) == str(by_line.value)


def test_a_json_file_may_be_one_long_line(tmp_path: Path) -> None:
    path = write(tmp_path, "a", b"x" * (16 << 20))
    assert len(whole_text(path, normal=False)) == 16 << 20


def test_leniency_has_an_end(tmp_path: Path) -> None:
    good, bad = "yes\ta\nno\tb\n", "yes\n"
    few = write(tmp_path, "few.tsv", good + bad * 100)
    many = write(tmp_path, "many.tsv", good + bad * 101)
    large = write(tmp_path, "large.tsv", good * 500 + bad * 111)
    assert check_files([few], "class", lenient=True).only_left_out
    checked = check_files([many], "class", lenient=True)
    assert not checked.only_left_out
    assert f"{many}: 101 of 103 items are at fault, too many to skip" in faults_of(checked)[0]
    assert check_files([large], "class", lenient=True).only_left_out  # 111 of 1,111 are less than a tenth
    assert not check_files([write(tmp_path, "x", good * 499 + bad * 111)], "class", lenient=True).only_left_out

    def spec(test: Path) -> TaskSpec:
        return TaskSpec(name="t", kind="class", source=ENG, train=large, tests={DEU: test}, lenient=True)

    assert load_task(spec(few)).notes["deu_Latn: row with a fault"] == 100
    with pytest.raises(DataError, match=r"many\.tsv: 101 of 103 items are at fault, too many to skip"):
        load_task(spec(many))


def test_leniency_has_an_end_in_retrieval(tmp_path: Path) -> None:
    first, second = write(tmp_path, "a", "x\n" * 203), write(tmp_path, "b", "y\n" * 102 + "\n" * 101)
    assert not check_files([first, second], "retrieval", lenient=True).only_left_out
    second = write(tmp_path, "b", "y\n" * 103 + "\n" * 100)
    assert check_files([first, second], "retrieval", lenient=True).only_left_out


def test_labels_are_told_as_they_are_and_not_as_markup(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", "[/b]\tx\n[red]r[/red]\ty\n:smile:\tz\nit's\tw\n")
    table = printed(check_files([path], "class"), "table")
    assert [line.split()[0] for line in table.splitlines() if line.endswith(" 1")] == [
        ":smile:",
        "[/b]",
        "[red]r[/red]",
        "it's",
    ]
    (told,) = faults_of(check_files([write(tmp_path, "b.tsv", "x\ta\nIt's\tb\n"), path], "class"))
    assert 'labels in several spellings: "It\'s"' in told


def test_of_many_unknown_labels_some_are_told(tmp_path: Path) -> None:
    split = [Example("t", f"label{n}", f"line {n + 1}") for n in range(5000)]
    ((names, count),) = find_unmatched(["label0"], {"x": split}, lambda example: (example.label,)).values()
    assert (len(names), count) == (20, 4999)
    lines = unmatched(["label0"], {"x": split}, lambda example: (example.label,))
    assert (len(lines), lines[-1]) == (21, "  x: and 4979 more")
    path = write(tmp_path, "x.tsv", "".join(f"label{n}\ta\n" for n in range(5000)))
    train = write(tmp_path, "train.tsv", "label0\ta\n")
    faults = faults_of(check_files([path], "class", train=train))
    assert len(faults) == 21
    assert faults[0].startswith(f"{path}:2: 'label1' that training does not have (1 times, first at line 2)")


def test_ids_and_places_that_python_reads_and_the_format_does_not_know(tmp_path: Path) -> None:
    row = "{}\tw\t_\tX" + "\t_" * 6 + "\n"
    for number in ("9" * 5000, "١", "1_0"):
        with pytest.raises(DataError, match=r"a\.conllu:2: (id|word)"):
            read_conllu(write(tmp_path, "a.conllu", row.format(1) + row.format(number)))
    long = write(tmp_path, "a.conllu", "".join(row.format(n) for n in range(1, 10_003)))
    assert len(read_conllu(long)[0].words) == 10_002


def test_unknown_languages_in_a_column_have_lines_and_an_end(tmp_path: Path) -> None:
    header, columns = "label\ttext\tlang\n", {"language": "lang"}
    path = write(tmp_path, "a.tsv", header + "x\ta\teng\ny\tb\tqqqq\n")
    with pytest.raises(DataError, match=r"a\.tsv:3: column 3 \(language\): unknown language 'qqqq'"):
        read_labelled_tsv(path, columns, language=ENG)
    faults = Faults(path, lenient=True)
    assert [e.text for e in read_labelled_tsv(path, columns, faults, language=ENG)] == ["a"]
    assert faults.left_out == {"row with a fault": 1}
    path = write(tmp_path, "a.tsv", header + "".join(f"x\ta\tqqqq{n}\n" for n in range(30)))
    with pytest.raises(DataError, match=r"a\.tsv:22: 21 cells of column 3 are no languages"):
        read_labelled_tsv(path, columns, Faults(path, lenient=True), language=ENG)


def test_faults_of_squad_have_their_line(tmp_path: Path) -> None:
    path = write(
        tmp_path, "a.json", '{"data": [\n{"paragraphs": [\n{"context": "a b",\n"qas": [\n{"question": "q"}]}]}]}'
    )
    with pytest.raises(DataError) as caught:
        read_squad(path)
    assert caught.value.line == 5
    assert str(caught.value).startswith(f"{path}:5: data[0].paragraphs[0].qas[0].id: expected text, got 'None'")
