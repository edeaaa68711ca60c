"""Built-in tasks out of fetched data, and intents with slots."""

from __future__ import annotations

from pathlib import Path

import pytest

from xrealign.corpus.fetch import fetch
from xrealign.errors import ConfigError, DataError, LanguageError
from xrealign.language import parse_language
from xrealign.tasks.builtin import load_builtin
from xrealign.tasks.intent_templates import SLOT_BEGIN, SLOT_END, SLOT_VALUE, Drawn
from xrealign.tasks.intents import load_intents
from xrealign.tasks.intents_slots import find_slots, load_intent_slots, tag_words
from xrealign.tasks.task import Task, task_from_json, task_to_json

ENG, DEU, JPN, FIN, SWH = (parse_language(tag) for tag in ("eng", "deu", "jpn", "fin", "swh"))


def mark(name: str, value: str) -> str:
    return f"{SLOT_BEGIN}{name}{SLOT_VALUE}{value}{SLOT_END}"


@pytest.mark.parametrize(
    ("marked", "text", "expected"),
    [
        (f"set {mark('name', 'Max')} to {mark('level', '5')}%", "set Max to 5%", "O B-name O B-level"),
        (f"turn  on {mark('name', 'big  Max')} , please", "turn on big Max, please", "O O B-name I-name O"),
        (f", {mark('area', 'Bar')} on ,", "Bar on", "B-area O"),
        (f"{mark('area', 'Studio')}n valot", "Studio-n valot", "B-area O"),
        (f"in {mark('area', ' ')}{mark('area', 'Bar')}{mark('area', 'Loft')} Bar", "in BarLoft Bar", None),
        (f"do {mark('cmd', 'open ' + mark('name', 'Max'))} now", "do open Max now", "O B-cmd I-cmd O"),
        (f"{mark('a', 'x')} {mark('a', 'y')} x", "x y x", "B-a B-a O"),
        (f"go {mark('a', 'x')}", "went x", "lost"),
    ],
)
def test_slots_are_found_in_the_finished_sentence(marked: str, text: str, expected: str | None) -> None:
    slots = find_slots(Drawn(text, "", marked))
    if expected == "lost":
        assert slots is None
        return
    assert slots is not None
    tagged = tag_words(text, slots, ENG)
    assert (tagged and " ".join(tagged[1])) == expected


def test_words_of_a_script_without_blanks() -> None:
    text = "Garageを最高設定"
    slots = find_slots(Drawn(text, "", f"{mark('area', 'Garage')}を{mark('level', '最高')}設定"))
    assert slots is not None
    assert tag_words(text, slots, JPN) == (("Garage", "を", "最高", "設定"), ("B-area", "O", "B-level", "O"))


@pytest.fixture(scope="module")
def slots() -> Task:
    return load_intent_slots(ENG, [DEU, FIN, SWH], train_size=600, dev_size=60, test_per_language=60, seed=3)


def test_intents_with_slots_are_the_intents(slots: Task) -> None:
    intents = load_intents(ENG, [DEU, FIN, SWH], train_size=600, dev_size=60, test_per_language=60, seed=3)
    sentences = {example.text: example.label for example in intents.train}
    assert len(slots.train) > 0.98 * len(intents.train)
    assert all(sentences[" ".join(example.words)] == example.label for example in slots.train)
    assert {"area", "name", "floor"} < {tag[2:] for tag in slots.tags if tag != "O"}
    assert task_from_json(task_to_json(slots)) == slots


def test_fillers_of_open_slots_are_tagged(slots: Task) -> None:
    rooms = {"Studio", "Loft", "Atelier", "Foyer", "Lounge", "Sauna", "Pavilion", "Bistro", "Kiosk"}
    for language, examples in slots.tests.items():
        hits = [tag for e in examples for word, tag in zip(e.words, e.tags, strict=True) if word in rooms]
        assert len(hits) >= 3, language
        assert all(tag != "O" for tag in hits), language


def test_impossible_wishes() -> None:
    with pytest.raises(ConfigError, match="no built-in task 'sib'"):
        load_builtin("sib", ENG)
    with pytest.raises(DataError, match="give a training file"):
        load_builtin("americasnli", ENG)


@pytest.fixture(scope="module")
def fetched(data_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fetched")
    for name in ("sib-200", "ud-pos", "uner", "americasnli"):
        fetch(name, folder, from_folder=data_pack)
    return folder


@pytest.mark.data
def test_tasks_of_the_catalogue(fetched: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="get it with: xrealign data get uner"):
        load_builtin("uner", ENG, data=tmp_path)
    topics = load_builtin("sib200", ENG, [DEU, SWH], test_size=50, data=fetched)
    assert (len(topics.train), len(topics.dev), len(topics.labels)) == (701, 99, 7)
    assert {language: len(test) for language, test in topics.tests.items()} == {ENG: 50, DEU: 50, SWH: 50}
    assert [e.label for e in topics.tests[DEU]] == [e.label for e in topics.tests[SWH]]  # the same sentences
    words = load_builtin("ud-pos", ENG, data=fetched)
    assert (len(words.train), len(words.dev), len(words.tests), len(words.tags)) == (4000, 300, 70, 17)
    assert len(words.tests[ENG]) == 400  # of the treebank trained on, not PUD
    names = load_builtin("uner", ENG, train_size=500, data=fetched)
    assert (len(names.train), len(names.dev), len(names.tests)) == (500, 407, 12)
    assert names.tags == ("B-LOC", "B-ORG", "B-PER", "I-LOC", "I-ORG", "I-PER", "O")
    assert names.notes["dan_Latn: sentence with an impossible sequence of tags"] == 1
    with pytest.raises(LanguageError, match="no training data in deu_Latn; it has in: eng_Latn"):
        load_builtin("uner", DEU, data=fetched)
    with pytest.raises(LanguageError, match="no test set in"):
        load_builtin("uner", ENG, [SWH], data=fetched)


@pytest.mark.data
def test_americasnli_with_a_training_file_of_ones_own(fetched: Path, tmp_path: Path) -> None:
    train = tmp_path / "mnli.tsv"
    lines = [f"It rains {n}.\tIt is wet {n}.\t{label}" for n in range(9) for label in ("entailment", "neutral")]
    train.write_text("premise\thypothesis\tlabel\n" + "\n".join([*lines, "a\tb\tcontradiction"]) + "\n", "utf-8")
    task = load_builtin("americasnli", ENG, train=train, data=fetched)
    assert (len(task.tests), task.labels) == (10, ("contradiction", "entailment", "neutral"))
    assert sum(map(len, task.tests.values())) == 2998
    assert task.notes["nah_Latn: row with a fault"] == 2
