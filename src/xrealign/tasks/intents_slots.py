"""Slot filling and intents together: the sentences of the intents, with BIO tags for what fills their slots.

The templates name their slots alike in every language (``area``, ``brightness``, ``color`` …), so that tags carry
over. What fills a slot is marked while a sentence is drawn, and found again in the finished text, whose blanks were put
in order and where an affix may have got a hyphen; a word is the slot's if any of its characters is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import regex

from xrealign.language import Language
from xrealign.segment import find_spans, rule_of
from xrealign.tasks.intent_templates import SLOT_BEGIN, SLOT_END, SLOT_VALUE, Drawn
from xrealign.tasks.intents import draw_intents
from xrealign.tasks.label_names import OUTSIDE
from xrealign.tasks.task import Example, Split, TaggedExample, Task
from xrealign.textio import nfc

_MARK = regex.compile(f"{SLOT_BEGIN}(.*?){SLOT_VALUE}|{SLOT_END}")
_ADDED = frozenset("-")  # what finishing may put in
Slot = tuple[int, int, str]


def load_intent_slots(
    source: Language,
    targets: Sequence[Language] | None = None,
    train_size: int = 6000,
    dev_size: int = 600,
    test_per_language: int = 200,
    seed: int = 0,
) -> Task:
    """The sentences of `xrealign.tasks.intents.load_intents` as words with slot tags; the intent is their label.

    Words are what stands between blanks; in scripts without blanks those of `xrealign.segment`. A slot inside another
    (a command inside a timer) belongs to the outer one. Left out and counted in ``notes``: sentences whose slots cannot
    be found in the finished text, two slots in one word, and test sentences with slots that training does not have.
    Numbers stand as slots under the name that the template gives them.

    Raises:
        LanguageError, DataError: as `load_intents`.
    """
    splits = draw_intents(source, targets, train_size, dev_size, test_per_language, seed)
    notes = Counter(splits.notes)
    train = _tagged(splits.train, source, "train", notes)
    types = {tag[2:] for example in train for tag in example.tags if tag != OUTSIDE}
    intents = {example.label for example in train}
    dev = _known(_tagged(splits.dev, source, "dev", notes), types, intents, "dev", notes)
    tests: dict[Language, Split] = {}
    for language, pairs in splits.tests.items():
        place = str(language)
        tests[language] = _known(_tagged(pairs, language, place, notes), types, intents, place, notes)
    return Task(
        name="intents-slots",
        kind="slots",
        source=source,
        labels=tuple(sorted(intents)),
        train=train,
        dev=dev,
        tests=tests,
        notes={reason: count for reason, count in sorted(notes.items()) if count},
        tags=tuple(sorted({OUTSIDE, *(f"{mark}-{name}" for name in types for mark in "BI")})),
    )


def find_slots(drawn: Drawn) -> list[Slot] | None:
    """(start, end, name) of each outermost slot in ``drawn.text``; None where the two texts do not go together.

    The marked text and the finished one have the same characters in the same order, but for blanks, for hyphens that
    were put in and for what was cut off at the ends.
    """
    raw, slots = _unmarked(drawn.marked)
    place = _places(raw, drawn.text)
    if place is None:
        return None
    found = []
    for start, end, name in slots:
        here = [at for at in place[start:end] if at is not None]
        if here:  # else the value is empty
            found.append((min(here), max(here) + 1, name))
    return found


def tag_words(text: str, slots: Sequence[Slot], language: Language) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """The words and their BIO tags; None where two slots share a word."""
    if rule_of(language) == "blanks":
        spans = [match.span() for match in regex.finditer(r"\S+", text)]
    else:
        spans = [(int(start), int(end)) for start, end in find_spans(text, language)]
    tags = []
    before = -1
    for start, end in spans:
        inside = [at for at, (first, last, _) in enumerate(slots) if first < end and last > start]
        if len(inside) > 1:
            return None
        here = inside[0] if inside else -1
        tags.append(OUTSIDE if here < 0 else f"{'I' if here == before else 'B'}-{slots[here][2]}")
        before = here
    return tuple(text[start:end] for start, end in spans), tuple(tags)


def _unmarked(marked: str) -> tuple[str, list[Slot]]:
    """The text without marks, and where its outermost slots are."""
    pieces: list[str] = []
    slots: list[Slot] = []
    length = depth = begin = at = 0
    name = ""
    for match in _MARK.finditer(marked):
        piece = marked[at : match.start()]
        pieces.append(piece)
        length += len(piece)
        at = match.end()
        if match[1] is not None:
            depth += 1
            if depth == 1:
                begin, name = length, match[1]
        else:
            depth -= 1
            if depth == 0:
                slots.append((begin, length, name))
    pieces.append(marked[at:])
    return "".join(pieces), slots


def _places(raw: str, text: str) -> list[int | None] | None:
    """For each character of ``raw`` its place in ``text``; None for blanks and what was cut off at the ends."""
    if nfc(raw) != raw:
        return None
    place: list[int | None] = [None] * len(raw)
    visible = [at for at, character in enumerate(raw) if not character.isspace()]
    wanted = [at for at, character in enumerate(text) if not character.isspace()]
    if not wanted:
        return None
    for cut in range(len(visible)):  # what was cut off at the beginning; mostly nothing
        if _match(raw, text, visible[cut:], wanted, place):
            return place
        if raw[visible[cut]] not in ",;،-":
            return None
    return None


def _match(raw: str, text: str, visible: Sequence[int], wanted: Sequence[int], place: list[int | None]) -> bool:
    for at in range(len(place)):
        place[at] = None
    step = 0
    for at in wanted:
        if step < len(visible) and raw[visible[step]] == text[at]:
            place[visible[step]] = at
            step += 1
        elif text[at] not in _ADDED:
            return False
    return all(raw[at] in ",;،-" for at in visible[step:])


def _tagged(
    pairs: Sequence[tuple[Example, Drawn]], language: Language, place: str, notes: Counter[str]
) -> tuple[TaggedExample, ...]:
    examples = []
    for example, drawn in pairs:
        slots = find_slots(drawn)
        tagged = None if slots is None else tag_words(drawn.text, slots, language)
        if slots is None or any(first[1] > second[0] for first, second in pairwise(slots)):
            notes[f"{place}: sentence whose slots are not found in it"] += 1
        elif tagged is None:
            notes[f"{place}: sentence with two slots in one word"] += 1
        else:
            examples.append(TaggedExample(*tagged, example.group, example.label))
    return tuple(examples)


def _known(
    examples: Sequence[TaggedExample], types: set[str], intents: set[str], place: str, notes: Counter[str]
) -> tuple[TaggedExample, ...]:
    kept = []
    for example in examples:
        if any(tag != OUTSIDE and tag[2:] not in types for tag in example.tags):
            notes[f"{place}: sentence with a slot that training does not have"] += 1
        elif example.label not in intents:
            notes[f"{place}: sentence of an intent that training does not have"] += 1
        else:
            kept.append(example)
    return tuple(kept)
