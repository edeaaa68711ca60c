"""Tasks out of files: labels brought together by name, sizes, counts; tables, JSON, SQuAD, Hugging Face, retrieval."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xrealign.errors import ConfigError, DataError
from xrealign.language import parse_language
from xrealign.tasks import readers_json
from xrealign.tasks.faults import Faults
from xrealign.tasks.load import load_task, read_tests, take
from xrealign.tasks.readers_class import read_labelled_tsv, read_pairs, read_slot_rows
from xrealign.tasks.readers_json import answers_in, read_jsonl, read_squad
from xrealign.tasks.readers_retrieval import read_retrieval
from xrealign.tasks.spec import TaskSpec
from xrealign.tasks.task import Example
from xrealign.textio import nfc

ENG, DEU, SWH = (parse_language(tag) for tag in ("eng_Latn", "deu_Latn", "swh_Latn"))


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def spec(folder: Path, kind: str, train: str, test: str, ending: str, **more) -> TaskSpec:
    return TaskSpec(
        name="t", kind=kind, source=ENG, train=write(folder, f"train{ending}", train),
        tests={DEU: write(folder, f"deu{ending}", test)}, **more,
    )  # fmt: skip


# Labels by name


def test_tags_in_another_order_keep_their_meaning(tmp_path: Path) -> None:
    train = "a DET\nb NOUN\nc VERB\n"
    task = load_task(spec(tmp_path, "pos", train, "z VERB\ny NOUN\nx DET\nw NOUN\n", ".txt"))
    assert task.tags == ("DET", "NOUN", "VERB")
    assert task.tests[DEU][0].tags == ("VERB", "NOUN", "DET", "NOUN")


def test_unknown_names_are_all_listed_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_task(spec(tmp_path, "pos", "a DET\nb NOUN\nc VERB\n", "z Verb\ny N\n\nx NOUNN\ny N\n", ".txt"))
    message = str(caught.value)
    assert "deu.txt: 'Verb' (1 times, first at line 1); is it 'VERB' in another spelling?" in message
    assert "deu.txt: 'N' (2 times, first at line 1)" in message
    assert "deu.txt: 'NOUNN' (1 times, first at line 4); did you mean 'NOUN'?" in message


def test_entity_types_not_tags_are_compared(tmp_path: Path) -> None:
    train = "a\tB-PER\nb\tB-ORG\nc\tO\n"
    task = load_task(spec(tmp_path, "ner", train, "x\tI-PER\ny\tI-PER\nz\tO\n", ".tsv"))
    assert task.tags == ("B-ORG", "B-PER", "I-ORG", "I-PER", "O")  # training has no I-
    assert task.tests[DEU][0].tags == ("B-PER", "I-PER", "O")
    assert task.notes["deu_Latn: spans, tagged as IOB1"] == 1
    with pytest.raises(DataError, match=r"(?s)types that training .*'per' \(1 times.*is it 'PER' in another spelling"):
        load_task(spec(tmp_path, "ner", train, "x\tB-per\n", ".tsv"))


def test_merge_drop_and_names(tmp_path: Path) -> None:
    train, test = "a AUX\nb VERB\n\nc X\n\nd NOUN\n", "a VB\nb AUX\n\nc X\n"
    task = load_task(
        spec(tmp_path, "pos", train, test, ".txt", labels={"VB": "VERB"}, merge={"AUX": "VERB"}, drop=["X"])
    )
    assert task.tags == ("NOUN", "VERB")
    assert task.tests[DEU][0].tags == ("VERB", "VERB")
    assert task.notes["train: sentence with X, dropped"] == task.notes["deu_Latn: sentence with X, dropped"] == 1
    with pytest.raises(DataError, match="merge names 'AUXX', which no file has"):
        load_task(spec(tmp_path, "pos", train, test, ".txt", merge={"AUXX": "VERB"}))
    with pytest.raises(DataError, match=r"nothing is left of deu_Latn after drop"):
        load_task(spec(tmp_path, "pos", train, "c X\n", ".txt", drop=["X"]))
    with pytest.raises(ConfigError, match="merge goes on from B"):
        spec(tmp_path, "pos", train, test, ".txt", merge={"A": "B", "B": "C"})


def test_numbers_need_names(tmp_path: Path) -> None:
    train, test = "a b\tc\t0\nd\te\t1\n", "premise\thypothesis\tlabel\nx\ty\tno\nz\tw\tyes\n"
    with pytest.raises(DataError, match=r'the labels 0, 1 are numbers.*"0" = "…"'):
        load_task(spec(tmp_path, "pair", train, test, ".tsv"))
    task = load_task(spec(tmp_path, "pair", train, test, ".tsv", labels={"0": "yes", "1": "no", "2": "other"}))
    assert [e.label for e in task.tests[DEU]] == ["no", "yes"]
    assert task.labels == ("no", "yes")


def test_lenient_counts_what_it_leaves_out(tmp_path: Path) -> None:
    train, test = "on\ta\noff\tb\n", "on\tx\noff\n\ny\tz\tw\non\tv\n"
    with pytest.raises(DataError) as caught:
        load_task(spec(tmp_path, "class", train, test, ".tsv"))
    assert [line.split(": ")[0].rpartition(":")[2] for line in str(caught.value).split("\n")] == ["2", "3", "4"]
    task = load_task(spec(tmp_path, "class", train, test, ".tsv", lenient=True))
    assert (len(task.tests[DEU]), task.notes["deu_Latn: row with a fault"]) == (2, 3)


def test_tests_for_a_model(tmp_path: Path) -> None:
    wanted = spec(tmp_path, "ner", "unused\tO\n", "x\tB-PER\n", ".tsv")
    assert read_tests(wanted, (), ("B-PER", "I-PER", "O"))[DEU][0].tags == ("B-PER",)
    with pytest.raises(DataError, match="types that the model does not have"):
        read_tests(wanted, (), ("B-LOC", "I-LOC", "O"))


# Sizes


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 3))
def test_sizes_are_nested_and_repeat(small: int, large: int, seed: int) -> None:
    examples = tuple(Example(f"t{at}", "abc"[at % 3], str(at)) for at in range(30))
    small, large = sorted((max(3, small), max(3, large)))
    for place in ("train", "dev", "deu_Latn"):
        taken = take(examples, large, seed, place)
        assert taken[:small] == take(examples, small, seed, place)
        assert len(set(taken)) == min(large, 30)
    assert {e.label for e in take(examples, 3, seed, "train")} == {"a", "b", "c"}
    assert take(examples, None, seed, "train") == examples
    other = tuple(Example(f"x{at}", "a", str(at)) for at in range(30))
    assert [e.group for e in take(examples, 9, seed, "x")] == [e.group for e in take(other, 9, seed, "y")]
    with pytest.raises(DataError, match="train_size is 2, but training has 3 labels"):
        take(examples, 2, seed, "train", "t")


# Tables


def test_tables_by_header_number_or_position(tmp_path: Path) -> None:
    sib = write(tmp_path, "a.tsv", 'index_id\tcategory\ttext\n7\thealth\t"He said ""no""."\n8\ttravel\tx, y\n')
    assert [(e.text, e.label) for e in read_labelled_tsv(sib)] == [('He said "no".', "health"), ("x, y", "travel")]
    raw = write(tmp_path, "raw.tsv", 'on\the said "no"\noff\t"x" or ""y""\n')
    assert [e.text for e in read_labelled_tsv(raw)] == ['he said "no"', '"x" or ""y""']
    assert read_labelled_tsv(raw, {"text": "1", "label": "2"})[0].label == 'he said "no"'
    table = write(tmp_path, "a.csv", 'x,label,sentence\n1,on,"a, b"\r\n')
    assert read_labelled_tsv(table, separator=",")[0] == Example("a, b", "on", "line 2")
    with pytest.raises(DataError, match=r"no column 'labels'.*did you mean 'label'.*--column label="):
        read_labelled_tsv(table, {"label": "labels"}, separator=",")
    with pytest.raises(DataError, match="no column 3 for text: the table has 2"):
        read_labelled_tsv(raw, {"text": "3", "label": "1"})


def test_pairs_of_one_language_out_of_many(tmp_path: Path) -> None:
    xnli = "language\tgold_label\tsentence1\tsentence2\npairID\nde\tneutral\tA\tB\nsw\tentailment\tC\tD\n"
    path = write(tmp_path, "xnli.tsv", xnli.replace("pairID\n", ""))
    (pair,) = read_pairs(path, {"language": "language"}, language=SWH)
    assert (pair.first, pair.second, pair.label, pair.group) == ("C", "D", "entailment", "line 3")
    with pytest.raises(DataError, match=r"xnli.tsv:2: 1 columns, expected 4"):
        read_pairs(write(tmp_path, "xnli.tsv", xnli))
    with pytest.raises(DataError, match=r":2: column 2 \(second\) is empty"):
        read_pairs(write(tmp_path, "a.tsv", "premise\thypothesis\tlabel\nA\t\tneutral\n"))


def test_slots_in_rows(tmp_path: Path) -> None:
    path = write(
        tmp_path, "a.tsv", "id\tutterance\tslot_labels\tintent\n1\tfly to Oslo\tO O B-city\tflight\n2\ta b\tO\tx\n"
    )
    with pytest.raises(DataError, match=r":3: 2 words and 1 tags"):
        read_slot_rows(path)
    faults = Faults(path, lenient=True)
    (row,) = read_slot_rows(path, faults=faults)
    assert (row.words, row.tags, row.label) == (("fly", "to", "Oslo"), ("O", "O", "B-city"), "flight")
    task = load_task(spec(tmp_path, "slots", path.read_text(), path.read_text(), ".tsv", lenient=True))
    assert (task.labels, task.tags) == (("flight",), ("B-city", "I-city", "O"))


# JSON


@pytest.mark.parametrize(
    ("kind", "line", "wrong", "message"),
    [
        ("class", {"sentence": "a", "label": "x"}, {"sentence": "", "label": "x"}, "expected text, got"),
        ("pair", {"premise": "a", "hypothesis": "b", "label": 0}, {"premise": 3, "hypothesis": "b"}, "expected text"),
        ("pos", {"tokens": ["a"], "upos": ["DET"]}, {"tokens": ["a", "b"], "upos": ["DET"]}, "2 words and 1 tags"),
        ("ner", {"tokens": ["a"], "ner_tags": ["O"]}, {"tokens": [], "ner_tags": []}, "expected a list of texts"),
    ],
)
def test_json_lines(tmp_path: Path, kind: str, line: dict, wrong: dict, message: str) -> None:
    good = write(tmp_path, "a.jsonl", json.dumps(line) + "\n")
    assert len(read_jsonl(good, kind)) == 1
    bad = write(tmp_path, "b.jsonl", f"{json.dumps(line)}\n{json.dumps(wrong)}\n[1]\n\n{{x\n")
    with pytest.raises(DataError, match=message) as caught:
        read_jsonl(bad, kind)
    places = {part.split(": ")[0].rpartition(":")[2] for part in str(caught.value).split("\n")}
    assert places == {"2", "3", "4", "5"}
    with pytest.raises(DataError, match=r"no key .*there are q"):
        read_jsonl(write(tmp_path, "c.jsonl", '{"q": 1}\n'), kind)


def squad(*qas: dict, context: str = "Ada ran to Oslo.") -> str:
    return json.dumps({"version": "v2.0", "data": [{"title": "t", "paragraphs": [{"context": context, "qas": qas}]}]})


def qa(text: str = "Oslo", start: object = 11, name: str = "q1", **more) -> dict:
    return {"id": name, "question": "Where?", "answers": [{"text": text, "answer_start": start}], **more}


def test_squad(tmp_path: Path) -> None:
    impossible = {"id": "q2", "question": "Why?", "answers": [], "is_impossible": True}
    path = write(tmp_path, "a.json", squad(qa(), impossible))
    first, second = read_squad(path)
    assert (first.answers, second.answers, first.group) == ((("Oslo", 11),), (), "article 1, paragraph 1")
    decomposed = write(tmp_path, "b.json", squad(qa("Köln", 8), context="u\u0308ber Köln, o\u0308"))
    (example,) = read_squad(write(tmp_path, "c.json", squad(qa("Köln", 6), context="u\u0308ber Köln")))
    text, start = example.answers[0]
    assert example.context[start : start + len(text)] == text == "Köln"
    with pytest.raises(DataError, match="it stands at 6"):
        read_squad(decomposed)


def test_an_answer_inside_a_character_is_not_looked_for_elsewhere(tmp_path: Path) -> None:
    context = "q\u0301 b and e\u0301 b"
    (example,) = read_squad(write(tmp_path, "a.json", squad(qa("\u0301 b", 1), context=context)))
    assert example.answers == (("\u0301 b", 1),)
    with pytest.raises(DataError, match=r"answers\[0\]: .* begins or ends inside a character of the context"):
        read_squad(write(tmp_path, "b.json", squad(qa("\u0301 b", 10), context=context)))
    with pytest.raises(DataError, match="inside a character"):  # half of the second letter, whole the first
        read_squad(write(tmp_path, "c.json", squad(qa("e", 1), context="ee\u0301")))


class Looked(str):
    """Text that counts how often something is looked for in it."""

    times = 0

    def find(self, *what) -> int:
        self.times += 1
        return super().find(*what)


def test_many_answers_of_a_long_context_take_no_longer_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, faults, normalised = Looked("u\u0308b " * 20_000), Faults(tmp_path), 0

    def counted(text: str) -> str:
        nonlocal normalised
        normalised += len(text)
        return nfc(text)

    monkeypatch.setattr(readers_json, "nfc", counted)
    good = answers_in(context, [("b u\u0308", start) for start in range(2, 79_990, 400)], "a", 1, faults)
    assert (len(good), faults.count) == (200, 0)
    assert normalised < 5 * len(context)  # not 200 times what stands before an answer
    answers_in(context, [("z", 1)] * 100, "a", 1, faults)
    assert (faults.count, context.times) == (100, len(faults.told))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            squad(qa(start=10)),
            r"data\[0\].paragraphs\[0\].qas\[0\].answers\[0\].answer_start: at 10 stands ' Osl'.*at 11",
        ),
        (squad(qa("Bergen")), "it is not in the context"),
        (squad(qa(start=-1)), "answer_start: at -1"),
        (squad(qa(start="11")), "expected a whole number, got '11'"),
        (squad(qa(is_impossible=True)), "is_impossible, yet it has 1 answers"),
        (squad({"id": "q", "question": "?", "answers": []}), "none, and is_impossible is not true"),
        (squad({"id": "q", "question": " ", "answers": []}), r"qas\[0\].question: expected text"),
        (squad(qa(), qa()), r"qas\[1\].id: 'q1' is there already"),
        (squad(qa(), context=""), r"paragraphs\[0\].context: expected text"),
        ('{"data": {}}', "no SQuAD file"),
        ('{"data": [{}]}', r"data\[0\].paragraphs: expected a list"),
        ("[]", "no SQuAD file"),
        ('{"data": []}', "no questions"),
        ('{"data": [', r"a.json:1: no JSON"),
        ("[" * 100_000, "nested too deeply|no JSON"),
    ],
)
def test_broken_squad_is_named(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_squad(write(tmp_path, "a.json", content))


# Hugging Face and retrieval


def test_a_local_hugging_face_folder(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    from xrealign.tasks.readers_hf import read_hf

    tags = datasets.ClassLabel(names=["O", "B-PER", "I-PER"])
    features = datasets.Features({"tokens": datasets.List(datasets.Value("string")), "ner_tags": datasets.List(tags)})
    rows = {"tokens": [["Ada", "Lee", "ran"], ["so"]], "ner_tags": [[1, 2, 0], [0]]}
    data = datasets.Dataset.from_dict(rows, features=features)
    datasets.DatasetDict({"train": data, "test": data}).save_to_disk(tmp_path / "arrow")
    data.to_parquet(tmp_path / "test.parquet")
    for path in (tmp_path / "arrow", f"{tmp_path / 'arrow'}#test", tmp_path / "test.parquet"):
        assert [s.tags for s in read_hf(path, "ner", "train")] == [("B-PER", "I-PER", "O"), ("O",)]
    wanted = TaskSpec(name="n", kind="ner", source=ENG, train=tmp_path / "arrow", tests={DEU: tmp_path / "arrow"})
    assert load_task(wanted).tags == ("B-PER", "I-PER", "O")
    with pytest.raises(DataError, match=r"no split 'tset'; did you mean 'test'\?; there are train, test"):
        read_hf(f"{tmp_path / 'arrow'}#tset", "ner", "test")
    labels = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])})
    unlabelled = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [1, -1]}, features=labels)
    unlabelled.to_parquet(tmp_path / "x.parquet")
    with pytest.raises(DataError, match=r"x\.parquet:2: label \(label\): expected text"):
        read_hf(tmp_path / "x.parquet", "class", "test")


def test_what_cannot_be_fetched_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    from xrealign.tasks.readers_hf import read_hf

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"hf download --repo-type dataset nobody/nothing --local-dir FOLDER"):
        read_hf("nobody/nothing#test", "class", "test")


def test_retrieval_files(tmp_path: Path) -> None:
    first, second = write(tmp_path, "a.eng", "one\ntwo\n"), write(tmp_path, "a.deu", "eins\r\nzwei")
    assert [(p.id, p.src, p.tgt) for p in read_retrieval(first, second)] == [("1", "one", "eins"), ("2", "two", "zwei")]
    table = write(tmp_path, "a.tsv", "x\tone\teins\ny\ttwo\tzwei\n")
    assert [p.id for p in read_retrieval(table)] == ["x", "y"]
    with pytest.raises(DataError, match=r"has 2 lines, .*has 3"):
        read_retrieval(first, write(tmp_path, "b", "1\n2\n3\n"))
    with pytest.raises(DataError, match=r"a.eng:2: the line is empty in .*b"):
        read_retrieval(first, write(tmp_path, "b", "1\n \n"))
    with pytest.raises(DataError, match=r"b:2: id 'x' stands on line 1"):
        read_retrieval(write(tmp_path, "b", "x\t1\t2\nx\t3\t4\n"))
