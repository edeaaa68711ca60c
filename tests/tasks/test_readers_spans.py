"""Schemes of spans: found out, brought to BIO, refused where they are impossible; files in columns."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xrealign.errors import ConfigError, DataError
from xrealign.tasks import readers_spans
from xrealign.tasks.faults import MOST_TOLD, Faults
from xrealign.tasks.label_names import folded_name
from xrealign.tasks.readers_conll import read_conll
from xrealign.tasks.readers_spans import RawSentence, bio_tags, find_scheme, to_bio

# Words 1 to 7: a LOC of one word, at once a LOC of two, O, a PER of three.
IOB2 = "B-LOC B-LOC I-LOC O B-PER I-PER I-PER"
WRITTEN = {
    "IOB1": "I-LOC B-LOC I-LOC O I-PER I-PER I-PER",
    "IOB2": IOB2,
    "IOE1": "E-LOC I-LOC I-LOC O I-PER I-PER I-PER",
    "IOE2": "E-LOC I-LOC E-LOC O I-PER I-PER E-PER",
    "BIOES": "S-LOC B-LOC E-LOC O B-PER I-PER E-PER",
}
BILOU = "U-LOC B-LOC L-LOC O B-PER I-PER L-PER"
BMES = "S-LOC B-LOC E-LOC O B-PER M-PER E-PER"


def write(folder: Path, text: str, name: str = "a.tsv") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def columns(tags: str) -> str:
    return "".join(f"w{at}\t{tag}\n" for at, tag in enumerate(tags.split()))


@pytest.mark.parametrize(("scheme", "tags"), [*WRITTEN.items(), ("BIOES", BILOU), ("BIOES", BMES)])
def test_every_scheme_is_found_and_becomes_bio(tmp_path: Path, scheme: str, tags: str) -> None:
    faults = Faults(tmp_path)
    (example,) = read_conll(write(tmp_path, columns(tags)), faults=faults)
    assert (faults.remarks["scheme"], " ".join(example.tags)) == (scheme, IOB2)
    (forced,) = read_conll(write(tmp_path, columns(tags)), scheme=scheme.lower())
    assert forced == example


SPANS = st.lists(st.tuples(st.sampled_from(["LOC", "PER", ""]), st.integers(1, 3)), min_size=1, max_size=6)


def tagged(spans: list[tuple[str, int]], scheme: str) -> list[tuple[str, str]]:
    """Spans ("" is outside) written in a scheme, by its definition."""
    row: list[tuple[str, str]] = []
    for at, (kind, size) in enumerate(spans):
        if not kind:
            row += [("O", "")] * size
            continue
        follows = at > 0 and spans[at - 1][0] == kind
        followed = at + 1 < len(spans) and spans[at + 1][0] == kind
        letters = ["I"] * size
        if scheme == "IOB2" or (scheme == "IOB1" and follows):
            letters[0] = "B"
        elif scheme == "IOE2" or (scheme == "IOE1" and followed):
            letters[-1] = "E"
        elif scheme == "BIOES":
            letters[0], letters[-1] = "B", "E"
            letters = ["S"] if size == 1 else letters
        row += [(letter, kind) for letter in letters]
    return row


@given(SPANS)
def test_schemes_say_the_same(spans: list[tuple[str, int]]) -> None:
    expected = tuple("O" if letter == "O" else f"{letter}-{kind}" for letter, kind in tagged(spans, "IOB2"))
    for scheme in WRITTEN:
        row = tagged(spans, scheme)
        assert bio_tags(row, scheme) == expected
        found = find_scheme([row])
        if found:  # some rows are right in several schemes, and then mean the same in all of them
            assert bio_tags(row, found) == expected


@pytest.mark.parametrize(
    ("tags", "line", "message"),
    [
        ("B-PER I-PER O I-LOC B-LOC I-LOC", 4, "'I-LOC' of the word 'w3' cannot stand between 'O' and 'B-LOC' in IOB2"),
        ("B-PER I-LOC O B-LOC", 2, "between 'B-PER' and 'O' in IOB2"),
        ("O I-PER O I-LOC O B-LOC", 6, "in IOB1"),
        ("S-PER O B-LOC O", 3, "in BIOES"),
        ("S-PER O B-LOC I-LOC", 4, "its end in BIOES"),
        ("S-PER E-LOC", 2, "in BIOES"),
        ("B-PER I-PER E-LOC S-PER", 2, "in BIOES"),
        ("B_PER O", 1, r"expected O, B-TYPE.*if it means 'B-PER'.*--label B_PER=B-PER"),
        ("O PER-B", 2, "if it means 'B-PER'"),
        ("b-per B-per", 1, "if it means 'B-per'"),
        ("O PER", 2, "if it means 'I-PER'"),
        ("O 0", 2, "if it means 'O'"),
        ("O B-", 2, "'B-'"),
        ("O 3", 2, "'3'"),
        ("O o", 2, "if it means 'O'"),
    ],
)
def test_impossible_tags_are_named(tmp_path: Path, tags: str, line: int, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_conll(write(tmp_path, columns(tags)))
    assert caught.value.line == line


def test_of_many_unknown_tags_those_that_are_told_get_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folded: list[str] = []
    monkeypatch.setattr(readers_spans, "folded_name", lambda name: folded.append(name) or folded_name(name))
    good, unknown = [f"B-T{n}" for n in range(300)], [f"b_t{n}" for n in range(300)]
    faults = Faults(tmp_path, lenient=True)
    words = RawSentence(("x",) * 600, (*good, *unknown), range(1, 601), "s")
    assert to_bio([words], faults) == ()
    assert (faults.count, len(faults.told)) == (300, MOST_TOLD)
    assert all(f"if it means 'B-T{n}'" in told for n, (_, told) in enumerate(faults.told))
    assert len(folded) < 400  # not each unknown one with each good one


def test_a_forced_scheme_is_kept_to(tmp_path: Path) -> None:
    path = write(tmp_path, columns("O I-PER O"))
    assert read_conll(path)[0].tags == ("O", "B-PER", "O")
    with pytest.raises(DataError, match=r"a.tsv:2: .*in IOB2"):
        read_conll(path, scheme="IOB2")
    with pytest.raises(ConfigError, match="scheme 'IOB3', expected"):
        read_conll(path, scheme="IOB3")


def test_names_map_whole_tags_first_and_then_types(tmp_path: Path) -> None:
    sentence = RawSentence(("Ada", "Lee", "Oslo", "x"), ("B_PERSON", "I-PERSON", "B-LOCATION", "B-OTH"), range(4), "s")
    names = {"B_PERSON": "B-PERSON", "PERSON": "PER", "LOCATION": "LOC", "OTH": "O", "unused": "y"}
    (example,) = to_bio([sentence], Faults(tmp_path), names)
    assert example.tags == ("B-PER", "I-PER", "B-LOC", "O")
    (bare,) = to_bio([RawSentence(("Ada", "ran"), ("PER", "O"), [1, 2], "s")], Faults(tmp_path), {"PER": "I-PER"})
    assert bare.tags == ("B-PER", "O")


CONLL_2003 = (
    "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\nPeter NNP B-NP B-PER\nB. NNP I-NP I-PER\n"
)
FORMS = {
    "conll2003": CONLL_2003,
    "wikiann": "en:EU\tB-ORG\nen:rejects\tO\n\nen:Peter\tB-PER\nen:B.\tI-PER\n\n",
    "masakha": "EU B-ORG\nrejects O\n\nPeter B-PER\nB. I-PER",
    "crlf": "EU\tB-ORG\r\nrejects\tO\r\n\r\nPeter\tB-PER\r\nB.\tI-PER\r\n",
    "uner": "# sent_id = a\n# text = EU rejects\n1\tEU\tB-ORG\t-\tann\n2\trejects\tO\t-\tann\n\n"
            "# sent_id = b\n1\tPeter\tB-PER\t-\tann\n2\tB.\tI-PER\t-\tann\n",
    "header": "token\tner\nEU\tB-ORG\nrejects\tO\n\nPeter\tB-PER\nB.\tI-PER\n",
    "multiconer": "# id 1\tdomain=en\nEU _ _ B-ORG\nrejects _ _ O\n\n"
                  "# id 2\tdomain=en\nPeter _ _ B-PER\nB. _ _ I-PER\n",
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_usual_forms_of_columns(tmp_path: Path, form: str) -> None:
    examples = read_conll(write(tmp_path, FORMS[form]))
    assert [e.words for e in examples] == [("EU", "rejects"), ("Peter", "B.")]
    assert [e.tags for e in examples] == [("B-ORG", "O"), ("B-PER", "I-PER")]
    if form in ("uner", "multiconer"):
        assert [e.group for e in examples] == (["a", "b"] if form == "uner" else ["1", "2"])


def test_parts_of_speech_in_columns(tmp_path: Path) -> None:
    path = write(tmp_path, "# DET\nThe DET\n# SYM\n\n# SYM\n", "a.txt")
    examples = read_conll(path, spans=False)
    assert [(e.words, e.tags) for e in examples] == [(("#", "The", "#"), ("DET", "DET", "SYM")), (("#",), ("SYM",))]
    assert read_conll(write(tmp_path, "The,DET\n"), spans=False, separator=",")[0].tags == ("DET",)
    conll = write(tmp_path, CONLL_2003)
    assert read_conll(conll, {"tags": "2"}, spans=False)[0].tags == ("NNP", "VBZ")
    slots = write(tmp_path, "# intent: rain\n1\tin\train\tO\n2\tOslo\train\tB-city\n")
    assert (read_conll(slots)[0].label, read_conll(slots)[0].tags) == ("rain", ("O", "B-city"))


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("a\tO\nb\n", "a.tsv:2", "1 column, expected 2"),
        ("a\tO\nb O\n", "a.tsv:2", "blanks in place of TABs"),
        ("a O\nb c O\n", "a.tsv:2", "3 columns, expected 2"),
        ("a\tO\n\tO\n", "a.tsv:2", "the word is empty"),
        ("a\tO\nb\t\n", "a.tsv:2", "the tag is empty"),
        ("a_O\nb_O\n", "a.tsv:1", "separated by '_'"),
        ("a,O\nb,O\n", "a.tsv:1", "separated by ','"),
        ("en:a\tO\nen:b\tO\nc\tO\n", "a.tsv:3", "behind 'en:'"),
        ("\n\n", "a.tsv", "no sentences"),
        ("# id x\n", "a.tsv", "no sentences"),
    ],
)
def test_broken_columns_are_named(tmp_path: Path, text: str, place: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_conll(write(tmp_path, text))
    assert place in str(caught.value)


def test_columns_that_cannot_be_told_apart(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"4 columns: say which holds the tags"):
        read_conll(write(tmp_path, CONLL_2003), spans=False)
    with pytest.raises(DataError, match=r"column 2 has 3 different tags.*words = \"2\", tags = \"1\""):
        read_conll(write(tmp_path, "N\tdog\nN\tcat\nV\trun\n"), spans=False)
    with pytest.raises(DataError, match="no column 7"):
        read_conll(write(tmp_path, "a\tO\n"), {"tags": "7"})
    with pytest.raises(DataError, match=r"no column 'tga'.*did you mean 'tag'"):
        read_conll(write(tmp_path, "word\ttag\na\tO\n"), {"tags": "tga"})


@pytest.mark.data
def test_entities_of_the_pack(data_pack: Path) -> None:
    counts, faults = {}, []
    for path in sorted((data_pack / "starter" / "ner").glob("*.tsv")):
        found = Faults(path, lenient=True)
        examples = read_conll(path, faults=found)
        counts[path.name] = (len(examples), sum(tag[0] == "B" for e in examples for tag in e.tags))
        faults += found.lines()
    assert counts["eng.train.tsv"] == (4078, 2054)  # as counted by whoever made the pack
    assert counts["zho.test.tsv"] == (400, 579)
    assert counts["dan.test.tsv"] == (399, 334)
    assert len(faults) == 1
    assert "dan.test.tsv:5716: tag 'I-PER' of the word 'Jonathan'" in faults[0]  # a fault of the published file
