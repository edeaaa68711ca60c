"""JSON lines of every kind, and questions in SQuAD's form (Rajpurkar et al. 2016; impossible ones: 2018)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import regex

from xrealign.errors import DataError, did_you_mean
from xrealign.tasks.faults import MOST_TOLD, Faults
from xrealign.tasks.readers_spans import RawSentence
from xrealign.tasks.readers_table import USUAL
from xrealign.tasks.readers_text import all_lines, odd_name, shown, some, whole_text
from xrealign.tasks.strict_json import half_character, line_of, parse_json, told_of
from xrealign.tasks.task import Example, Kind, PairExample, QuestionExample
from xrealign.textio import nfc

JSON_NAMES: Mapping[str, tuple[str, ...]] = {**USUAL, "words": ("words", "tokens"), "id": ("id",)}
FIELDS: Mapping[Kind, tuple[str, ...]] = {
    "class": ("text", "label"),
    "pair": ("first", "second", "label"),
    "pos": ("words", "tags"),
    "ner": ("words", "tags"),
    "slots": ("words", "tags", "label"),
    "qa": ("question", "context", "answers"),
}
_BLOCK = regex.compile(r"\X{1,1000}+")  # no letter composes with what is before or after


def read_jsonl(
    path: str | Path, kind: Kind, columns: Mapping[str, str] | None = None, faults: Faults | None = None
) -> list[Example | PairExample | QuestionExample | RawSentence]:
    """One JSON object a line. Tags come as they stand there, with the line of their object.

    Args:
        path: the file.
        kind: decides the fields, `FIELDS`.
        columns: field to key, where the keys are not the usual names.
        faults: where to note what is wrong; None raises.

    Raises:
        DataError: the file cannot be read or is empty; a line that is no object or lacks a field, with line.
    """
    found = faults or Faults(Path(path))
    records = list(_objects(Path(path), found))
    examples = make_examples(records, kind, columns or {}, found)
    found.settle()
    return examples


def make_examples(
    records: Sequence[tuple[int, Mapping[str, Any]]], kind: Kind, columns: Mapping[str, str], faults: Faults
) -> list[Example | PairExample | QuestionExample | RawSentence]:
    """Examples out of objects, each with its line or number; what cannot be one is noted and left out.

    Raises:
        DataError: there are none, or the first lacks a field's key.
    """
    if not records:
        raise DataError("no examples in this file", faults.path)
    keys = _keys(records[0], FIELDS[kind], columns, faults)
    examples: list[Example | PairExample | QuestionExample | RawSentence] = []
    for line, record in records:
        before = faults.count
        example = _example(record, kind, keys, line, faults)
        if example is not None and faults.count == before:
            examples.append(example)
        else:
            faults.left_out["object with a fault"] += 1
    return examples


def read_squad(path: str | Path, faults: Faults | None = None) -> tuple[QuestionExample, ...]:
    """Questions of SQuAD 1.1 or 2.0, XQuAD, MLQA or TyDi QA (GoldP): ``data``, ``paragraphs``, ``qas``.

    A question with ``is_impossible`` has no answers; every other one has at least one, and each answer must stand in
    the context at ``answer_start``, counted in characters of the file's text. All is NFC afterwards, and the places
    are those in the NFC text. A paragraph's group is ``article N, paragraph M``.

    Raises:
        DataError: the file cannot be read or is no such JSON; faults with their line and their path in the JSON
            (``data[3].paragraphs[0]``).
    """
    found = faults or Faults(Path(path))
    # Not NFC yet: answer_start counts the characters of the file.
    text = whole_text(path, normal=False)
    content = _load(Path(path), text)
    examples: list[QuestionExample] = []
    ids: set[str] = set()
    articles = _list(content, "data", "", found) if isinstance(content, dict) else None
    if articles is None:
        raise DataError('no SQuAD file: expected an object with the list "data"', path)
    for n, article in enumerate(articles):
        for m, paragraph in enumerate(_list(article, "paragraphs", f"data[{n}]", found) or []):
            place = f"data[{n}].paragraphs[{m}]"
            context = _text(paragraph, "context", place, found)
            for k, qa in enumerate(_list(paragraph, "qas", place, found) or []):
                before = found.count
                example = _question(qa, context, f"{place}.qas[{k}]", f"article {n + 1}, paragraph {m + 1}", found)
                if example is not None and example.id in ids:
                    found.add(f"{place}.qas[{k}].id: {shown(example.id)} is there already; ids are unique")
                if example is not None and found.count == before:
                    ids.add(example.id)
                    examples.append(example)
                else:
                    found.left_out["question with a fault"] += 1
    if not examples and not found.count:
        raise DataError("no questions in this file", path)
    found.told[:] = [(line_of(text, told.partition(": ")[0]), told) for _, told in found.told]
    found.settle()
    return tuple(examples)


def answers_in(
    context: str, answers: Sequence[tuple[str, int]], place: str, line: int | None, faults: Faults
) -> tuple[tuple[str, int], ...]:
    """The answers with their places in the NFC context; one that does not stand where it says is a fault."""
    good = []
    whole, place_of = _normal(context)
    for at, (text, start) in enumerate(answers):
        here = f"{place}[{at}]"
        if not text.strip():
            faults.add(f"{here}.text: the answer is empty", line)
        elif start < 0 or context[start : start + len(text)] != text:
            there = context[max(start, 0) : max(start, 0) + len(text)]
            where = context.find(text) if len(faults.told) < MOST_TOLD else -1  # what is not told need not be found
            hint = f"; it stands at {where}" if where >= 0 else "; it is not in the context"
            faults.add(f"{here}.answer_start: at {start} stands {shown(there)}, expected {shown(text)}{hint}", line)
        else:
            text, first = nfc(text), place_of(start)
            if whole.startswith(text, first):
                good.append((text, first))
            else:
                faults.add(f"{here}: {shown(text)} begins or ends inside a character of the context", line)
    return tuple(dict.fromkeys(good))


@lru_cache(maxsize=1)  # the questions of a paragraph follow each other; they share one text
def _normal(context: str) -> tuple[str, Callable[[int], int]]:
    """The NFC text of a context, and from a place in the context to how much NFC text stands before it.

    The context may be long and its places many: none of them has all that is before it normalised again.
    """
    whole = nfc(context)
    if whole is context:
        return whole, lambda start: start
    begins, lengths = [0], [0]
    for block in _BLOCK.finditer(context):
        begins.append(block.end())
        lengths.append(lengths[-1] + len(nfc(block[0])))

    def place_of(start: int) -> int:
        at = bisect_right(begins, start) - 1
        return lengths[at] + len(nfc(context[begins[at] : start]))

    return whole, place_of


def _question(qa: Any, context: str | None, place: str, group: str, faults: Faults) -> QuestionExample | None:
    question = _text(qa, "question", place, faults)
    identifier = _text(qa, "id", place, faults)
    impossible = isinstance(qa, dict) and qa.get("is_impossible", False)
    if not isinstance(impossible, bool):
        faults.add(f"{place}.is_impossible: expected true or false, got {impossible!r}")
        return None
    listed = [] if impossible and "answers" not in qa else _list(qa, "answers", place, faults)
    if question is None or identifier is None or context is None or listed is None:
        return None
    pairs = []
    for at, answer in enumerate(listed):
        text = _text(answer, "text", f"{place}.answers[{at}]", faults)
        start = answer.get("answer_start") if isinstance(answer, dict) else None
        if not isinstance(start, int) or isinstance(start, bool):
            faults.add(f"{place}.answers[{at}].answer_start: expected a whole number, got {start!r}")
        elif text is not None:
            pairs.append((text, start))
    if impossible and pairs:
        faults.add(f"{place}: is_impossible, yet it has {len(pairs)} answers")
    elif not impossible and not listed:
        faults.add(f"{place}.answers: none, and is_impossible is not true")
    answers = answers_in(context, pairs, f"{place}.answers", None, faults)
    return QuestionExample(nfc(identifier), nfc(question), _normal(context)[0], answers, group)


def _load(path: Path, text: str) -> Any:
    try:
        return parse_json(text)
    except ValueError as error:
        raise DataError(f"no JSON: {told_of(error)}", path, getattr(error, "lineno", 1)) from None


def _list(content: Any, key: str, place: str, faults: Faults) -> list[Any] | None:
    value = content.get(key) if isinstance(content, dict) else None
    if isinstance(value, list):
        return value
    faults.add(f"{place + '.' if place else ''}{key}: expected a list, got {shown(repr(value))}")
    return None


def _text(content: Any, key: str, place: str, faults: Faults) -> str | None:
    value = content.get(key) if isinstance(content, dict) else None
    if isinstance(value, int) and not isinstance(value, bool) and key == "id":
        return str(value)
    if not isinstance(value, str) or not value.strip():
        faults.add(f"{place}.{key}: expected text, got {shown(repr(value))}")
    elif told := half_character(value):
        faults.add(f"{place}.{key}: the text {told}")
    else:
        return value
    return None


def _objects(path: Path, faults: Faults) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for line, text in enumerate(all_lines(path, normal=False), 1):
        if not text.strip():
            faults.add("an empty line, expected a JSON object", line)
            continue
        try:
            record = parse_json(text)
        except ValueError as error:
            faults.add(f"no JSON: {told_of(error)}: {shown(text)}", line)
            continue
        if isinstance(record, dict):
            yield line, record
        else:
            faults.add(f"expected a JSON object in braces, got {shown(text)}", line)


def _keys(
    first: tuple[int, Mapping[str, Any]], fields: Sequence[str], columns: Mapping[str, str], faults: Faults
) -> dict[str, str]:
    line, record = first
    keys = {}
    for name in fields:
        usual = (columns[name],) if name in columns else JSON_NAMES.get(name, (name,))
        hits = [key for key in usual if key in record]
        if not hits:
            raise DataError(
                f"no key {usual[0]!r} for {name}{did_you_mean(usual[0], record)}; there are {some(record)}. Say which "
                f'it is with columns = {{{name} = "…"}} (--column {name}=…)',
                faults.path,
                line,
            )
        keys[name] = hits[0]
        if hits[0] != name:
            faults.remarks[name] = hits[0]
    return keys


def _example(
    record: Mapping[str, Any], kind: Kind, keys: Mapping[str, str], line: int, faults: Faults
) -> Example | PairExample | QuestionExample | RawSentence | None:
    values = {name: record.get(key) for name, key in keys.items()}
    group = f"line {line}"
    texts = {}
    for name in ("text", "first", "second", "label", "question", "context"):
        if name in values:
            value = values[name]
            if isinstance(value, (int, bool)) and name == "label":
                value = str(value)
            if not isinstance(value, str) or not value.strip():
                faults.add(f"{keys[name]} ({name}): expected text, got {shown(repr(value))}", line)
                return None
            odd = half_character(value) or (odd_name(value.strip()) if name == "label" else None)
            if odd:
                faults.add(f"{keys[name]} ({name}): {shown(value)} {odd}", line)
                return None
            texts[name] = value if name == "context" else nfc(value.strip())
    if kind == "class":
        return Example(texts["text"], texts["label"], group)
    if kind == "pair":
        return PairExample(texts["first"], texts["second"], texts["label"], group)
    if kind == "qa":
        answers = _flat_answers(values["answers"], keys["answers"], line, faults)
        if answers is None:
            return None
        places = answers_in(texts["context"], answers, keys["answers"], line, faults)
        identifier = str(record.get("id", group))
        if odd := half_character(identifier):
            faults.add(f"id: {shown(identifier)} {odd}", line)
            return None
        return QuestionExample(identifier, texts["question"], _normal(texts["context"])[0], places, group)
    rows = {}
    for name in ("words", "tags"):
        value = values[name]
        cells = value.split() if isinstance(value, str) else value
        if (
            not isinstance(cells, list)
            or not cells
            or not all(isinstance(c, (str, int)) and str(c).strip() for c in cells)
        ):
            faults.add(f"{keys[name]} ({name}): expected a list of texts, got {shown(repr(value))}", line)
            return None
        for cell in map(str, cells):
            if odd := half_character(cell) or (odd_name(cell) if name == "tags" else None):
                faults.add(f"{keys[name]} ({name}): {shown(cell)} {odd}", line)
                return None
        rows[name] = tuple(nfc(str(cell)) for cell in cells)
    words, tags = rows["words"], rows["tags"]
    if len(words) != len(tags):
        faults.add(f"{len(words)} words and {len(tags)} tags; each word has one", line)
        return None
    return RawSentence(words, tags, [line] * len(words), group, texts.get("label", ""))


def _flat_answers(value: Any, key: str, line: int, faults: Faults) -> list[tuple[str, int]] | None:
    """Answers as ``{"text": […], "answer_start": […]}`` (Hugging Face) or as a list of objects (SQuAD)."""
    if isinstance(value, list) and all(isinstance(answer, dict) for answer in value):
        value = {name: [answer.get(name) for answer in value] for name in ("text", "answer_start")}
    texts, starts = (value.get("text"), value.get("answer_start")) if isinstance(value, dict) else (None, None)
    good = isinstance(texts, list) and isinstance(starts, list) and len(texts) == len(starts)
    if not good or not all(isinstance(t, str) for t in texts or []) or not all(type(s) is int for s in starts or []):
        faults.add(f"{key}: expected texts and as many answer_starts, got {shown(repr(value))}", line)
        return None
    return list(zip(texts or [], starts or [], strict=True))
