"""A user's own files into a task, and a task into JSON and back."""

from __future__ import annotations

from pathlib import Path

import pytest

from xrealign.errors import DataError
from xrealign.language import parse_language
from xrealign.tasks.load import load_classification
from xrealign.tasks.task import (
    Example,
    PairExample,
    QuestionExample,
    TaggedExample,
    Task,
    task_from_json,
    task_to_json,
)

ENG, DEU, SWH = (parse_language(tag) for tag in ("eng_Latn", "deu_Latn", "swh_Latn"))


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def files(folder: Path) -> tuple[Path, Path, dict]:
    train = write(folder, "train.tsv", "Label\tText\non\tlight on\noff\tlight off\non\tLIGHT OFF\n")
    dev = write(folder, "dev.tsv", "on\tlamp on\n")
    tests = {
        ENG: write(folder, "eng.tsv", "on\tlight on\noff\tput it out\n"),
        DEU: write(folder, "deu.tsv", "on\tLicht an\non\tmach es u\u0308berall an\n"),
    }
    return train, dev, tests


def test_reads_files(tmp_path: Path) -> None:
    task = load_classification(*files(tmp_path), source=ENG, name="lights")
    assert task.labels == ("off", "on")
    assert [example.label for example in task.train] == ["on", "off", "on"]
    assert task.dev == (Example("lamp on", "on", "line 1"),)
    assert task.coverage == {ENG: ("off", "on"), DEU: ("on",)}
    assert task.tests[DEU][1].text == "mach es überall an"  # composed on reading
    assert task.notes == {"train: text with two labels": 1, "eng_Latn: text also in train": 1}


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("on\tlight on\n\n", "bad.tsv:2", "label<TAB>text"),
        ("on light on\n", "bad.tsv:1", "label<TAB>text"),
        ("on\tlight\ton\n", "bad.tsv:1", "label<TAB>text"),
        ("on\tlight on\nlabel\ttext\n\tx\n", "bad.tsv:3", "label<TAB>text"),
        ("label\ttext\n", "bad.tsv", "no sentences"),
        ("", "bad.tsv", "no sentences"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, text: str, place: str, reason: str) -> None:
    with pytest.raises(DataError, match=reason) as caught:
        load_classification(write(tmp_path, "bad.tsv", text), None, {}, ENG)
    assert place in str(caught.value)


def test_labels_unknown_to_training_are_all_listed(tmp_path: Path) -> None:
    train, _, tests = files(tmp_path)
    dev = write(tmp_path, "dev.tsv", "on\tlamp on\noof\tlamp off\n")
    tests[SWH] = write(tmp_path, "swh.tsv", "dim\tpunguza\nmute\tnyamaza\ndim\tpunguza taa\n")
    with pytest.raises(DataError) as caught:
        load_classification(train, dev, tests, ENG)
    message = str(caught.value)
    assert "dev.tsv: 'oof' (1 times, first at line 2); did you mean 'off'?" in message
    assert "swh.tsv: 'dim' (2 times, first at line 1)" in message
    assert "swh.tsv: 'mute' (1 times, first at line 2)" in message


def test_json_and_digest(tmp_path: Path) -> None:
    task = load_classification(*files(tmp_path), source=ENG)
    back = task_from_json(task_to_json(task))
    assert back == task
    assert back.digest == task.digest
    turned = Task(
        task.name, "class", ENG, task.labels, task.train, task.dev, dict(reversed(task.tests.items())), {"other": 1}
    )
    assert turned.digest == task.digest
    shorter = Task(task.name, "class", ENG, task.labels, task.train, (), task.tests)
    assert shorter.digest != task.digest
    with pytest.raises(DataError, match="not a saved task"):
        task_from_json('{"name": "x"}')


def test_impossible_tasks_are_refused() -> None:
    one = Example("light on", "on", "1")
    with pytest.raises(DataError, match="nothing to train on"):
        Task("x", "class", ENG, ("on",), (), (), {})
    with pytest.raises(DataError, match="sorted"):
        Task("x", "class", ENG, ("on", "off"), (one,), (), {})
    with pytest.raises(DataError, match=r"no training sentence.*off"):
        Task("x", "class", ENG, ("off", "on"), (one,), (), {})
    with pytest.raises(DataError, match="deu_Latn: 'up'"):
        Task("x", "class", ENG, ("on",), (one,), (), {DEU: (Example("hoch", "up", "1"),)})


def test_every_kind_comes_back_from_json() -> None:
    tagged = TaggedExample(("Ada", "ran"), ("B-PER", "O"), "s1", "tell")
    pair = PairExample("a", "b", "same", "1")
    question = QuestionExample("q", "Who?", "Ada ran", (("Ada", 0),), "1")
    for kind, example, labels, tags in (
        ("slots", tagged, ("tell",), ("B-PER", "I-PER", "O")),
        ("pair", pair, ("same",), ()),
        ("qa", question, (), ()),
    ):
        task = Task("x", kind, ENG, labels, (example,), (), {DEU: (example,)}, tags=tags)
        assert task_from_json(task_to_json(task)) == task


def test_an_unknown_tag_is_named_with_its_place() -> None:
    known = TaggedExample(("a",), ("NOUN",), "line 1")
    other = TaggedExample(("a", "b"), ("NOUNN", "NOUNN"), "line 7")
    with pytest.raises(DataError, match=r"deu_Latn: 'NOUNN' \(2 times, first at line 7\); did you mean 'NOUN'"):
        Task("x", "pos", ENG, (), (known,), (), {DEU: (other,)}, tags=("NOUN",))
