"""`xrealign tasks check` on good, odd and broken files, and on the whole data pack."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path

import pytest

from xrealign import cli
from xrealign.tasks.check import check_files, faults_of, in_all, language_of_name


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def run(capsys, monkeypatch, *arguments: object) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["xrealign", "tasks", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    out, err = capsys.readouterr()
    return int(caught.value.code or 0), out, err


def row(number: int, form: str, tag: str) -> str:
    return f"{number}\t{form}\t_\t{tag}" + "\t_" * 6 + "\n"


def test_counts_of_good_files(capsys, monkeypatch, tmp_path: Path) -> None:
    first = write(tmp_path, "swh.test.conllu", row(1, "paka", "NOUN") + row(2, "analala", "VERB"))
    second = write(tmp_path, "zul_pos.txt", "inja NOUN\r\n\r\nidla VERB\r\nkakhulu ADV")
    code, out, err = run(capsys, monkeypatch, "check", first, second, "--task", "pos", "--format", "json")
    content = json.loads(out)
    assert (code, content["ok"]) == (0, True)
    assert [f["language"] for f in content["files"]] == ["swh_Latn", "zul_Latn"]
    assert [(f["examples"], f["words"]) for f in content["files"]] == [(1, 2), (2, 3)]
    assert content["all"]["tags"] == {"NOUN": 2, "VERB": 2, "ADV": 1}
    assert "note: 'ADV' is in 1 of 2 files; not in swh.test.conllu" in err
    code, out, _ = run(capsys, monkeypatch, "check", first, second, "--task", "pos", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [r["count"] for r in rows if r["file"] == "all" and r["name"] == "NOUN"] == ["2"]
    code, out, _ = run(capsys, monkeypatch, "check", first, second, "--task", "pos")
    assert code == 0
    assert ["NOUN", "2", "1", "1"] in [line.split() for line in out.splitlines()]


POS = "a NOUN\nb NOUN\nc VERB\nd DET\ne ADJ\nf NOUN\n"


@pytest.mark.parametrize(
    ("task", "text", "place", "message"),
    [
        ("pos", POS + "g NOUNN\n", 7, "'NOUNN' beside the 17 universal ones"),
        ("pos", POS + "g noun\n", 7, "is it 'NOUN' in another spelling"),
        ("pos", POS + "g\n", 7, "1 column, expected 2"),
        ("ner", "a B-PER\nb B_PER\n", 2, "if it means 'B-PER'"),
        ("ner", "a B-PER\nb I-LOC\nc O\n", 2, "cannot stand between"),
        ("class", "on\ta\noff\n", 2, "expected label<TAB>text"),
        ("class", "on\ta\n\noff\tb\n", 2, "expected label<TAB>text"),
        ("pair", "a\tb\tyes\nc\t\tno\n", 2, "is empty"),
        ("slots", "words\ttags\tintent\na b\tO\tx\n", 2, "2 words and 1 tags"),
        ("retrieval", "a\tb\nc\n", 2, "1 tab-separated columns, expected 2"),
    ],
)
def test_what_is_wrong_ends_with_2(
    capsys, monkeypatch, tmp_path: Path, task: str, text: str, place: int, message: str
) -> None:
    path = write(tmp_path, "x.tsv", text)
    code, _, err = run(capsys, monkeypatch, "check", path, "--task", task)
    assert code == 2
    (told,) = [line for line in err.splitlines() if not line.startswith("note")]
    assert told.startswith(f"{path}:{place}: ")
    assert message in told


def test_every_fault_of_every_file_is_told(capsys, monkeypatch, tmp_path: Path) -> None:
    broken = write(tmp_path, "a.tsv", "".join(f"w{at}\tO\n" if at % 2 else f"w{at}\n" for at in range(60)))
    absent = tmp_path / "none.tsv"
    code, out, err = run(capsys, monkeypatch, "check", broken, absent, "--task", "ner", "--format", "json")
    lines = err.splitlines()
    assert code == 2
    assert len([line for line in lines if line.startswith(f"{broken}:")]) == 21
    assert f"{broken}: and 10 more faults" in lines
    assert f"{absent}: cannot be read: No such file or directory" in lines
    assert json.loads(out)["ok"] is False


def test_lenient_counts_and_goes_on(capsys, monkeypatch, tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", "a\tO\nb\n\nc\tB-PER\n")
    code, out, err = run(capsys, monkeypatch, "check", path, "--task", "ner", "--lenient", "--format", "json")
    assert (code, json.loads(out)["all"]["left_out"]) == (0, {"sentence with a fault": 1})
    assert f"{path}:2: 1 column" in err
    code, _, _ = run(capsys, monkeypatch, "check", path, tmp_path / "none", "--task", "ner", "--lenient")
    assert code == 2


def test_names_of_a_header_give_no_orders_to_the_terminal(capsys, monkeypatch, tmp_path: Path) -> None:
    orders = "\x1b]0;pwned\x07\x1b[31m"
    path = write(tmp_path, "h.conll", f"word\ttag\t{orders}\nAda\tB-PER\tx\nran\tO\tx\n")
    code, out, err = run(capsys, monkeypatch, "check", path, "--task", "ner")
    assert (code, "pwned" in out) == (0, True)
    assert not set("\x1b\x07") & set(out + err)


def test_labels_are_compared_between_files(tmp_path: Path) -> None:
    train = write(tmp_path, "eng.tsv", "yes\ta\nno\tb\n")
    other = write(tmp_path, "deu.tsv", "Yes\tx\nno\ty\nmaybe\tz\n")
    (spelled,) = faults_of(check_files([train, other], "class"))
    assert spelled.startswith(f"labels in several spellings: 'Yes' ({other}), 'yes' ({train})")
    against = faults_of(check_files([other], "class", train=train))
    assert f"{other}:1: 'Yes' that training does not have (1 times, first at line 1)" in against[1]
    assert f"{other}:3: 'maybe'" in against[2]
    mapped = check_files([other], "class", train=train, labels={"Yes": "yes"}, merge={"maybe": "no"})
    assert not faults_of(mapped)
    assert in_all(mapped).labels == {"no": 3, "yes": 2}


def test_options_are_checked(capsys, monkeypatch, tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", "0\ta\n1\tb\n")
    for arguments, message in [
        (("--task", "nerr"), "did you mean 'ner'"),
        (("--task", "class", "--format", "jsn"), "did you mean 'json'"),
        (("--task", "class", "--column", "label"), "expected NAME=VALUE"),
        (("--task", "class", "--as", "conlu"), "did you mean 'conllu'"),
    ]:
        code, _, err = run(capsys, monkeypatch, "check", path, *arguments)
        assert code == 2
        assert message in err
    code, _, err = run(capsys, monkeypatch, "check", path, "--task", "class")
    assert code == 0
    assert "the labels 0, 1 are numbers" in err
    code, out, _ = run(capsys, monkeypatch, "list")
    assert [line.split()[0] for line in out.splitlines()][:2] == ["intents", "intents-slots"]


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("deu.test.conllu", "deu_Latn"), ("af_afribooms-ud-test.conllu", "afr_Latn"), ("test-sw.tsv", "swh_Latn"),
        ("swh_Latn.tsv", "swh_Latn"), ("train.tsv", None), ("dev.test.tsv", None), ("german.json", "deu_Latn"),
    ],
)  # fmt: skip
def test_language_of_a_file_name(name: str, tag: str | None) -> None:
    language = language_of_name(Path("x") / name)
    assert (language.tag if language else None) == tag


@pytest.mark.data
def test_the_whole_pack(data_pack: Path) -> None:
    starter = data_pack / "starter"
    pos = check_files(sorted((starter / "pos").glob("*.conllu")), "pos")
    assert not faults_of(pos)
    assert (in_all(pos).examples, in_all(pos).words, len(in_all(pos).tags)) == (18_159, 266_202, 17)
    topics = check_files(sorted((starter / "topic" / "sib200").glob("*.tsv")), "class")
    assert not faults_of(topics)
    assert (in_all(topics).examples, len(in_all(topics).labels)) == (114 * 204 + 701 + 99, 7)
    pairs = check_files(sorted((starter / "nli" / "americasnli").glob("*.tsv")), "pair")
    assert [line.rpartition("/")[2] for line in faults_of(pairs)] == [
        "nah.test.tsv:261: column 1 (first) is empty", "nah.test.tsv:262: column 1 (first) is empty",
    ]  # fmt: skip
    assert in_all(pairs).examples == 2998
