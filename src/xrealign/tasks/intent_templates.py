"""Sentence templates of the intents package: read as data, parsed by hassil, sampled at random.

hassil enumerates what a template can say, which for some is billions of sentences. Here the parsed template
is turned into a function that draws one sentence in time proportional to the sentence: every alternative is
equally likely, an optional part appears half the time, a permutation takes any order.
"""

from __future__ import annotations

import hashlib
import json
import random
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import regex
from hassil import expression as hx
from hassil.parse_expression import parse_sentence
from hassil.parser import ParseError

from xrealign.errors import DataError
from xrealign.textio import nfc

COMMAND_SLOT = "timer_command"
COMMAND_INTENTS = ("HassTurnOff", "HassTurnOn")

# Shares of an intent's templates, at least one each where there are three or more.
TEST_SHARE, DEV_SHARE = 0.2, 0.1

# A draw gets the random numbers and the language's command templates (for "in five minutes <command>").
Draw = Callable[[random.Random, Sequence["Template"]], str]

# Marks around what fills an open slot while a sentence is being put together: kind, value, end.
_KIND, _VALUE, _END = "\ue000", "\ue001", "\ue002"
_SLOT = regex.compile(f"{_KIND}(.*?){_VALUE}(.*?){_END}")
# Marks around whatever fills a slot of the template, with the slot's name: begin, value, end. They may be nested.
SLOT_BEGIN, SLOT_VALUE, SLOT_END = "\ue003", "\ue004", "\ue005"
_SLOT_MARKS = regex.compile(f"{SLOT_BEGIN}.*?{SLOT_VALUE}|{SLOT_END}")
_KIND_MARKS = regex.compile(f"{_KIND}.*?{_VALUE}|{_END}")


@dataclass(frozen=True, slots=True)
class Template:
    """One sentence template: the unit that training and test never share.

    Attributes:
        text: as it stands in the package, NFC.
        intent: its label.
        id: digest of language file and text; the ``group`` of its sentences.
        draw: makes one sentence, with marks.
        squeeze: the language is written without blanks (Chinese): blanks between its characters are dropped.
    """

    text: str
    intent: str
    id: str
    draw: Draw
    squeeze: bool


@dataclass(frozen=True, slots=True)
class Drawn:
    """A sentence and its skeleton: case-folded, ``{kind}`` for slots, ``{number}`` for numbers.

    ``marked`` is what was drawn, before blanks were put in order, with marks around what fills slots.
    """

    text: str
    skeleton: str
    marked: str = ""


class _CannotSampleError(Exception):
    """Why a template cannot be used; the message is the reason counted."""


def read_templates(path: Path, dropped: Counter[str]) -> list[Template]:
    """The templates of one of the package's language files, sorted by intent and text.

    A template that the file repeats under one intent is kept once; one that stands under two intents says
    nothing about either and is dropped. Both are counted in ``dropped``, as is every template that cannot be
    parsed.

    Raises:
        DataError: the file is not laid out as the package's files are.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        blocks = [
            (intent, nfc(text))
            for intent, entry in content["intents"].items()
            for block in entry["data"]
            for text in block["sentences"]
        ]
        grammar = _Grammar(content["expansion_rules"], content["lists"], {}, set())
        squeeze = bool(content.get("settings", {}).get("ignore_whitespace", False))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(f"not laid out as home-assistant-intents lays out a language: {error!r}", path) from None

    intents_of: dict[str, set[str]] = {}
    for intent, text in blocks:
        intents_of.setdefault(text, set()).add(intent)
    pairs = set(blocks)
    dropped["template repeated"] += len(blocks) - len(pairs)
    templates = []
    for intent, text in sorted(pairs):
        if len(intents_of[text]) > 1:
            dropped["template under two intents"] += 1
            continue
        try:
            draw = grammar.compile(_parse(text))
        except _CannotSampleError as reason:
            dropped[str(reason)] += 1
            continue
        digest = hashlib.sha256(f"{path.stem}\n{text}".encode()).hexdigest()[:16]
        templates.append(Template(text, intent, f"{path.stem}:{digest}", draw, squeeze))
    return templates


def split_templates(templates: Iterable[Template]) -> dict[str, list[Template]]:
    """``train``, ``dev`` and ``test`` templates, each in one of them; see ``load_intents`` for the rule."""
    by_intent: dict[str, list[Template]] = {}
    for template in templates:
        by_intent.setdefault(template.intent, []).append(template)
    parts: dict[str, list[Template]] = {"train": [], "dev": [], "test": []}
    for _, members in sorted(by_intent.items()):
        members = sorted(members, key=lambda template: hashlib.sha256(template.text.encode()).digest())
        count = len(members)
        test = max(1, round(TEST_SHARE * count)) if count >= 3 else 0
        dev = max(1, round(DEV_SHARE * count)) if count >= 3 else 0
        parts["test"] += members[:test]
        parts["dev"] += members[test : test + dev]
        parts["train"] += members[test + dev :]
    return parts


def sentences(template: Template, seed: int, commands: Sequence[Template], patience: int = 25) -> Iterator[Drawn]:
    """Sentences of one template, each text once, until ``patience`` draws in a row bring nothing new.

    The order depends on the seed, the template and ``commands`` only, never on other languages or sizes asked
    for.
    """
    rng = random.Random(int.from_bytes(hashlib.sha256(f"{seed}\n{template.id}".encode()).digest()[:8], "big"))
    seen: set[str] = set()
    idle = 0
    while idle < patience:
        drawn = _finish(template.draw(rng, commands), template.squeeze)
        key = drawn.text.casefold()
        if key in seen or not key:
            idle += 1
            continue
        seen.add(key)
        idle = 0
        yield drawn


def _parse(text: str) -> hx.Expression:
    try:
        expression: hx.Expression = parse_sentence(text).expression
    except (ParseError, AssertionError) as error:  # hassil asserts that brackets are closed
        raise _CannotSampleError(f"template hassil cannot parse ({type(error).__name__})") from None
    return expression


@dataclass(frozen=True, slots=True)
class _Grammar:
    """A language's rules and lists; ``compiled`` keeps their draws, ``open`` the names under way."""

    rules: Mapping[str, str]
    lists: Mapping[str, Mapping[str, Any]]
    compiled: dict[str, Draw]
    open: set[str]

    def compile(self, node: hx.Expression) -> Draw:
        if isinstance(node, hx.TextChunk):
            return _literal(nfc(node.original_text))
        if isinstance(node, hx.Alternative):
            return _choice([self.compile(item) for item in node.items])
        if isinstance(node, hx.Permutation):
            return _permutation([self.compile(item) for item in node.items])
        if isinstance(node, hx.Sequence):
            return _sequence([self.compile(item) for item in node.items])
        if isinstance(node, hx.RuleReference):
            return self._named(f"<{node.rule_name}>", node.rule_name)
        if isinstance(node, hx.ListReference):
            bounds = node.get_inline_range()
            draw = _number(*bounds) if bounds else self._named(f"{{{node.list_name}}}", node.list_name)
            return _slot(node.slot_name, draw)
        raise _CannotSampleError(f"template with an unknown part ({type(node).__name__})")

    def _named(self, key: str, name: str) -> Draw:
        if key not in self.compiled:
            if key in self.open:
                raise _CannotSampleError("template with a rule that contains itself")
            self.open.add(key)
            try:
                self.compiled[key] = self._rule(name) if key.startswith("<") else self._list(name)
            finally:
                self.open.discard(key)
        return self.compiled[key]

    def _rule(self, name: str) -> Draw:
        if name not in self.rules:
            raise _CannotSampleError("template with an unknown rule")
        return self.compile(_parse(nfc(self.rules[name])))

    def _list(self, name: str) -> Draw:
        if name == COMMAND_SLOT:
            return _command
        entry = self.lists.get(name, {})
        if "values" in entry:
            return _choice([self.compile(_parse(nfc(str(value["in"])))) for value in entry["values"]])
        if "range" in entry:
            return _number(int(entry["range"]["from"]), int(entry["range"]["to"]), int(entry["range"].get("step", 1)))
        kind, values = neutral_slots().get(name, ("", ()))
        if not values:
            raise _CannotSampleError("template with a slot that has no list")
        return _choice([_literal(f"{_KIND}{kind}{_VALUE}{value}{_END}") for value in values])


@lru_cache(maxsize=1)
def neutral_slots() -> Mapping[str, tuple[str, tuple[str, ...]]]:
    """What fills the open slots of every language: slot to (list name, values)."""
    content = tomllib.loads((resources.files("xrealign") / "data" / "neutral_slots.toml").read_text(encoding="utf-8"))
    return {slot: (kind, tuple(nfc(value) for value in content[kind])) for slot, kind in content["slots"].items()}


def _literal(text: str) -> Draw:
    return lambda rng, commands: text


def _choice(items: Sequence[Draw]) -> Draw:
    if not items:
        raise _CannotSampleError("template with an empty list")
    count = len(items)
    return lambda rng, commands: items[int(rng.random() * count)](rng, commands)


def _sequence(items: Sequence[Draw]) -> Draw:
    return lambda rng, commands: "".join([item(rng, commands) for item in items])


def _permutation(items: Sequence[Draw]) -> Draw:
    def draw(rng: random.Random, commands: Sequence[Template]) -> str:
        return "".join([item(rng, commands) for item in rng.sample(items, len(items))])

    return draw


def _number(first: int, last: int, step: int) -> Draw:
    count = (last - first) // step + 1
    return lambda rng, commands: f"{_KIND}number{_VALUE}{first + step * int(rng.random() * count)}{_END}"


def _slot(name: str, value: Draw) -> Draw:
    return lambda rng, commands: f"{SLOT_BEGIN}{name}{SLOT_VALUE}{value(rng, commands)}{SLOT_END}"


def _command(rng: random.Random, commands: Sequence[Template]) -> str:
    if not commands:
        return ""
    return commands[int(rng.random() * len(commands))].draw(rng, commands)


# Scripts that join words to Latin ones without a mark; elsewhere an affix on a Latin name takes a hyphen, and
# so does the second part of a compound that starts with a capital (Mezzanine-Geschoss).
_UNSPACED = r"\p{Latin}\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_PREFIX = regex.compile(rf"(?<=[\p{{L}}\p{{M}}--[{_UNSPACED}]])(?={_KIND}(?!number))", regex.VERSION1)
_SUFFIX = regex.compile(rf"(?<=\p{{Latin}}{_END})(?=\p{{Lu}}|[\p{{L}}\p{{M}}--[{_UNSPACED}]])", regex.VERSION1)
_CJK = r"[\p{Han}\p{Hiragana}\p{Katakana}，。？！]"
_BETWEEN_CJK = regex.compile(rf"(?<={_CJK}) +(?={_CJK})")
_BLANK_BEFORE = regex.compile(r" +(?=[,.;:!?%°،؟。，？！।](?:\s|$))")
_AFTER_ELISION = regex.compile(r"(?<=\b\p{Latin}{1,2}['’]) +(?=\p{L})")  # l' heure: the template's blank, not French
_STRAY_ENDS = regex.compile(r"^[\s,;،，-]+|[\s,;،，-]+$")


def _finish(marked: str, squeeze: bool) -> Drawn:
    """The sentence as a person would type it, and its skeleton."""
    drawn = _KIND_MARKS.sub("", marked)
    marked = _SLOT_MARKS.sub("", marked)
    if _KIND not in marked:
        text = _clean(marked, squeeze)
        return Drawn(text, text.casefold(), drawn)
    marked = _SUFFIX.sub("-", _PREFIX.sub("-", marked))
    text = _clean(_SLOT.sub(r"\2", marked), squeeze)
    return Drawn(text, _clean(_SLOT.sub(r"{\1}", marked), squeeze).casefold(), drawn)


def _clean(text: str, squeeze: bool) -> str:
    text = _BLANK_BEFORE.sub("", " ".join(text.split()))
    text = _STRAY_ENDS.sub("", _AFTER_ELISION.sub("", text) if "' " in text or "’ " in text else text)
    if squeeze:
        text = _BETWEEN_CJK.sub("", text)
    return nfc(text)
