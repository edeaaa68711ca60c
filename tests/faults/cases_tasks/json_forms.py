"""JSON lines and SQuAD's JSON."""

from __future__ import annotations

import json

from cases_text.case import MEGABYTE, PACKS, Case, repeated

DEEP = "[" * 100_000
GOOD = '{"text": "a", "label": "x"}\n'
CONTEXT = "Ana lives in Roma."


def lines(name, content, *told, task="class", more="", **settings):
    """A case of JSON lines."""
    return Case(f"jsonl-{name}", f"tasks check x.jsonl --task {task} {more}", told, {"x.jsonl": content}, **settings)


def squad(name, content, *told, **settings):
    """A case of SQuAD's JSON."""
    return Case(f"squad-{name}", "tasks check x.json --task qa", told, {"x.json": content}, **settings)


def bomb(ending):
    """Half a gigabyte of blanks."""
    told = f"x.json.{ending}: cannot be read: unpacks to more than 200 times its size"
    return Case(
        f"squad-bomb-{ending}",
        f"tasks check x.json.{ending} --task qa",
        (told,),
        {f"x.json.{ending}": lambda path: path.write_bytes(repeated(PACKS[ending], b" " * MEGABYTE, 512))},
    )


def question(answers, **more):
    """A file with one question, the fourth line of which holds it."""
    qa = json.dumps({"id": "q1", "question": "Where?", "answers": answers, **more})
    context = json.dumps(CONTEXT)
    return f'{{"data": [{{"paragraphs": [\n{{"context": {context},\n"qas": [\n{qa}]}}]}}]}}\n'


def answer(start, text="Roma"):
    """An answer there."""
    return [{"text": text, "answer_start": start}]


CASES = (
    lines("empty-file", "", "x.jsonl: no examples in this file"),
    lines("empty-line", GOOD + "\n" + GOOD, "x.jsonl:2: an empty line, expected a JSON object"),
    lines("no-json", GOOD + "{'text': 'a'}\n", "x.jsonl:2: no JSON: Expecting property name"),
    lines("cut-short", GOOD + GOOD[:-3], "x.jsonl:2: no JSON: Unterminated string"),
    lines("two-objects", GOOD + GOOD.strip() + GOOD, "x.jsonl:2: no JSON: Extra data in column 28"),
    lines("list-for-an-object", GOOD + "[1]\n", "x.jsonl:2: expected a JSON object in braces, got '[1]'"),
    lines("whole-file-a-list", "[" + GOOD.strip() + "]\n", "x.jsonl:1: expected a JSON object in braces"),
    lines("nested-too-deeply", GOOD + DEEP + "\n", "x.jsonl:2: no JSON: nested too deeply", fast=True),
    lines("nested-objects", GOOD + '{"text":' * 99_999 + "\n", "x.jsonl:2: no JSON:"),
    lines(
        "5000-digits",
        GOOD + '{"text": "a", "label": ' + "9" * 5000 + "}\n",
        "x.jsonl:2: no JSON: a number of 5,000 digits",
    ),
    lines(
        "not-a-number",
        GOOD + '{"text": "a", "label": NaN}\n',
        "x.jsonl:2: no JSON: NaN is no number in JSON",
    ),
    lines(
        "infinity", GOOD + '{"text": "a", "label": -Infinity}\n', "x.jsonl:2: no JSON: -Infinity is no number in JSON"
    ),
    lines("too-large", GOOD + '{"text": "a", "label": 1e999}\n', "x.jsonl:2: no JSON: '1e999' is too large a number"),
    lines(
        "key-twice",
        GOOD + '{"text": "a", "label": "x", "label": "y"}\n',
        "x.jsonl:2: no JSON: the key 'label' stands twice",
    ),
    lines(
        "half-a-character",
        GOOD + '{"text": "a\\ud800b", "label": "x"}\n',
        "x.jsonl:2: text (text):",
        "holds \\ud800, half of a character",
        fast=True,
    ),
    lines(
        "half-a-character-in-a-label",
        GOOD + '{"text": "a", "label": "\\udfff"}\n',
        "x.jsonl:2: label (label):",
        "holds \\udfff",
    ),
    lines(
        "escaped-nul", GOOD + '{"text": "a\\u0000", "label": "x"}\n', "x.jsonl:2: text (text):", "holds a NUL character"
    ),
    lines(
        "escape-in-a-label", GOOD + '{"text": "a", "label": "\\u001b[31mx"}\n', "x.jsonl:2: label (label):", "U+001B"
    ),
    lines("null-label", GOOD + '{"text": "a", "label": null}\n', "x.jsonl:2: label (label): expected text, got 'None'"),
    lines("float-label", GOOD + '{"text": "a", "label": 0.5}\n', "x.jsonl:2: label (label): expected text, got '0.5'"),
    lines("list-for-text", GOOD + '{"text": ["a"], "label": "x"}\n', "x.jsonl:2: text (text): expected text"),
    lines("key-lacking", '{"sentence": "a"}\n', "x.jsonl:1: no key 'label' for label; there are sentence"),
    lines("key-lacking-later", GOOD + '{"text": "a"}\n', "x.jsonl:2: label (label): expected text, got 'None'"),
    lines(
        "tags-fewer",
        '{"tokens": ["a", "b"], "tags": ["O"]}\n',
        "x.jsonl:1: 2 words and 1 tags; each word has one",
        task="ner",
    ),
    lines(
        "tags-no-list",
        '{"tokens": ["a"], "tags": {"a": 1}}\n',
        "x.jsonl:1: tags (tags): expected a list of texts",
        task="ner",
    ),
    lines(
        "empty-word",
        '{"tokens": ["a", " "], "tags": ["O", "O"]}\n',
        "x.jsonl:1: tokens (words): expected a list of texts",
        task="ner",
    ),
    lines(
        "tag-half-a-character",
        '{"tokens": ["a"], "tags": ["\\udc00"]}\n',
        "x.jsonl:1: tags (tags):",
        "half of a character",
        task="pos",
    ),
    lines(
        "answers-of-two-lengths",
        json.dumps({"question": "q", "context": "a b", "answers": {"text": ["a"], "answer_start": []}}) + "\n",
        "x.jsonl:1: answers: expected texts and as many answer_starts",
        task="qa",
    ),
    lines(
        "answer-elsewhere",
        json.dumps({"question": "q", "context": "a b", "answers": answer(0, "b")}) + "\n",
        "x.jsonl:1: answers[0].answer_start: at 0 stands 'a', expected 'b'; it stands at 2",
        task="qa",
    ),
    lines(
        "utf-8-with-half-characters", b'{"text": "\xed\xa0\x80", "label": "x"}\n', "x.jsonl:1: byte 0xed is not UTF-8"
    ),
    *(bomb(ending) for ending in PACKS),
    squad("no-json", '{"data": [', "x.json:1: no JSON: Expecting value in column 11"),
    squad("empty-file", "", "x.json:1: no JSON: Expecting value in column 1"),
    squad("list", "[]", 'x.json: no SQuAD file: expected an object with the list "data"'),
    squad("no-data", '{"version": "2.0"}', "x.json: no SQuAD file"),
    squad("no-questions", '{"data": []}', "x.json: no questions in this file"),
    squad("nested-too-deeply", DEEP, "x.json:1: no JSON: nested too deeply", fast=True),
    squad("not-a-number", question(answer(13)).replace("13", "NaN"), "x.json:1: no JSON: NaN is no number"),
    squad("5000-digits", question(answer(13)).replace("13", "1" * 5000), "x.json:1: no JSON: a number of 5,000 digits"),
    squad("key-twice", '{"data": [], "data": []}', "x.json:1: no JSON: the key 'data' stands twice in one object"),
    squad(
        "paragraphs-no-list",
        '{"data": [{\n"paragraphs": {}}]}',
        "x.json:2: data[0].paragraphs: expected a list, got '{}'",
    ),
    squad(
        "context-lacking",
        '{"data": [{"paragraphs": [\n{"qas": []}]}]}',
        "x.json:2: data[0].paragraphs[0].context: expected text",
    ),
    squad(
        "answer-elsewhere",
        question(answer(3)),
        "x.json:4: data[0].paragraphs[0].qas[0].answers[0].answer_start: at 3 stands",
        "it stands at 13",
    ),
    squad("answer-nowhere", question(answer(3, "Paris")), "x.json:4:", "it is not in the context"),
    squad("start-negative", question(answer(-5)), "x.json:4:", "answer_start: at -5 stands"),
    squad("start-past-the-end", question(answer(10**30)), "x.json:4:", f"at {10**30} stands ''"),
    squad("start-true", question(answer(True)), "x.json:4:", "answer_start: expected a whole number, got True"),
    squad("start-float", question(answer(13.0)), "x.json:4:", "expected a whole number, got 13.0"),
    squad("start-text", question(answer("13")), "x.json:4:", "expected a whole number, got '13'"),
    squad("answer-empty", question(answer(3, "")), "x.json:4:", "answers[0].text: expected text"),
    squad(
        "no-answers",
        question([]),
        "x.json:4: data[0].paragraphs[0].qas[0].answers: none, and is_impossible is not true",
    ),
    squad(
        "impossible-with-answers",
        question(answer(13), is_impossible=True),
        "x.json:4:",
        "is_impossible, yet it has 1 answers",
    ),
    squad(
        "impossible-maybe",
        question(answer(13), is_impossible="yes"),
        "x.json:4:",
        "is_impossible: expected true or false, got 'yes'",
    ),
    squad(
        "half-a-character",
        question(answer(13)).replace("Where?", "\\ud800"),
        "x.json:4:",
        "question: the text holds \\ud800",
    ),
    squad("answer-is-a-list", question([["Roma", 13]]), "x.json:4:", "answers[0].text: expected text"),
    squad(
        "id-twice",
        question(answer(13)).removesuffix("]}]}]}\n")
        + ', {"id": "q1", "question": "q", "answers": '
        + json.dumps(answer(13))
        + "}]}]}]}",
        "x.json:4: data[0].paragraphs[0].qas[1].id: 'q1' is there already",
    ),
    squad("id-true", question(answer(13)).replace('"q1"', "true"), "x.json:4:", "qas[0].id: expected text, got 'True'"),
    squad("utf-16", question(answer(13)).encode("utf-16"), "x.json:1: byte 0xff is not UTF-8; it begins like UTF-16"),
)
