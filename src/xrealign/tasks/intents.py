"""Intents of a voice assistant in some sixty languages: a task labelled in one of them, tested in all.

The data are the sentence templates of the PyPI package ``home-assistant-intents`` (Apache-2.0), written by
speakers of each language. Its JSON files are read as data; nothing of the package runs. Templates are not
parallel, and languages differ in the intents they cover.
"""

from __future__ import annotations

import hashlib
import heapq
import importlib.util
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from xrealign.errors import DataError, LanguageError, did_you_mean
from xrealign.language import Language, parse_language
from xrealign.tasks.task import Example, Task

if TYPE_CHECKING:
    from xrealign.tasks.intent_templates import Drawn, Template

PACKAGE = "home_assistant_intents"

# File names with a region or script, and the language in them. Two files of one language are merged
# (Portuguese); zh-HK is written Cantonese and de-CH Swiss German, languages of their own.
FILE_LANGUAGES: Mapping[str, str] = {
    "de-CH": "gsw_Latn",
    "pt-BR": "por_Latn",
    "sr-Latn": "srp_Latn",
    "zh-CN": "zho_Hans",
    "zh-HK": "yue_Hant",
    "zh-TW": "zho_Hant",
}

# Sentences drawn from each template to find out which sentences two intents share. A sentence of the source
# language that is missed here teaches something wrong, so that more are drawn there.
PROBES_SOURCE, PROBES_TARGET = 60, 10


def intents_languages() -> list[Language]:
    """The languages of the intents data, sorted by tag. Reads file names only.

    Raises:
        DataError: the package is not installed.
    """
    return sorted(_language_files())


def load_intents(
    source: Language,
    targets: Sequence[Language] | None = None,
    train_size: int = 6000,
    dev_size: int = 600,
    test_per_language: int = 200,
    seed: int = 0,
    labels: Sequence[str] | None = None,
) -> Task:
    """Sentences drawn from templates: training and dev in ``source``, tests in ``targets`` and ``source``.

    A template is a group, and the source language's templates are divided by the hash of their text, whatever
    the seed: of an intent's n templates about a fifth are test and a tenth dev, at least one each; intents
    with fewer than three templates only train. A sentence is left out of dev and test if training has it, or
    has the same words around other names and numbers.

    Within a split, every intent gets one sentence, then a share that grows with the square root of its number
    of templates (between all alike and the package's own skew towards timers); an intent's templates take
    turns. It ends when the size is reached or nothing new can be said, so that sizes are upper bounds. What a
    template says depends on the seed and the language's templates
    alone. Open slots (areas, names, free text) are filled from ``data/neutral_slots.toml``, alike in every
    language; numbers are digits; a command inside a timer is a sentence of the same language and split.

    Left out and counted in ``notes``: templates that hassil cannot parse or that lack a rule or list,
    templates under two intents, sentences that two intents of one language share once names and numbers are
    masked (Home Assistant tells them apart by the kind of device), and target templates of intents for which
    the source language has no training sentences.

    Args:
        source: language of training; any of ``intents_languages()``.
        targets: languages to test besides the source; None for all.
        train_size, dev_size, test_per_language: sentences at most; 0 leaves dev or tests empty.
        seed: for the drawing of sentences; the division of the templates does not depend on it.
        labels: the intents to keep; None for all.

    Raises:
        LanguageError: a language without intents data.
        DataError: an unknown label, a size out of range, or a damaged package.
    """
    splits = draw_intents(source, targets, train_size, dev_size, test_per_language, seed, labels)
    return Task(
        name="intents",
        kind="class",
        source=source,
        labels=splits.labels,
        train=tuple(example for example, _ in splits.train),
        dev=tuple(example for example, _ in splits.dev),
        tests={language: tuple(example for example, _ in pairs) for language, pairs in splits.tests.items()},
        notes=splits.notes,
    )


@dataclass(frozen=True)
class IntentSplits:
    """Sentences with how they were drawn; ``labels`` are sorted."""

    labels: tuple[str, ...]
    train: list[tuple[Example, Drawn]]
    dev: list[tuple[Example, Drawn]]
    tests: dict[Language, list[tuple[Example, Drawn]]]
    notes: dict[str, int]


def draw_intents(
    source: Language,
    targets: Sequence[Language] | None,
    train_size: int,
    dev_size: int,
    test_per_language: int,
    seed: int,
    labels: Sequence[str] | None = None,
) -> IntentSplits:
    """The sentences of `load_intents`, whose arguments and errors these are."""
    if train_size < 1 or dev_size < 0 or test_per_language < 0:
        raise DataError(
            f"train_size must be at least 1, dev_size and test_per_language at least 0; "
            f"got {train_size}, {dev_size}, {test_per_language}"
        )
    files = _language_files()
    languages = sorted(files if targets is None else {*targets, source})
    for language in {source, *languages} - set(files):
        raise LanguageError(f"there are no intents in {language}; there are in: {' '.join(map(str, sorted(files)))}")

    notes: Counter[str] = Counter()
    templates = _templates(files[source], notes, source)
    intents = sorted({template.intent for template in templates})
    for label in labels or ():
        if label not in intents:
            raise DataError(f"no intent {label!r} in {source}{did_you_mean(label, intents)}")
    allowed = set(labels or intents)

    from xrealign.tasks.intent_templates import split_templates

    parts = split_templates([template for template in templates if template.intent in allowed])
    shared = _shared_skeletons(templates, seed, PROBES_SOURCE)
    train = _take(parts["train"], train_size, seed, shared, (), notes, f"{source} train")
    allowed &= {example.label for example, _ in train}
    dev = _take(_only(parts["dev"], allowed), dev_size, seed, shared, train, notes, f"{source} dev")
    held_out = _take(
        _only(parts["test"], allowed),
        test_per_language,
        seed,
        shared,
        [*train, *dev],
        notes,
        f"{source} test",
    )
    train, dev, held_out = _without_shared([train, dev, held_out], notes, source)
    allowed = {example.label for example, _ in train}

    tests: dict[Language, list[tuple[Example, Drawn]]] = {}
    for language in languages:
        if language == source:
            taken = [pair for pair in held_out if pair[0].label in allowed]
        else:
            templates = _templates(files[language], notes, language)
            usable = _only(templates, allowed)
            notes[f"{language}: template of an intent without training sentences"] += len(templates) - len(usable)
            shared = _shared_skeletons(templates, seed, PROBES_TARGET)
            taken = _take(usable, test_per_language, seed, shared, (), notes, f"{language} test")
            (taken,) = _without_shared([taken], notes, language)
        tests[language] = taken
    return IntentSplits(
        labels=tuple(sorted(allowed)),
        train=train,
        dev=[pair for pair in dev if pair[0].label in allowed],
        tests=tests,
        notes={reason: count for reason, count in sorted(notes.items()) if count},
    )


def _language_files() -> dict[Language, list[Path]]:
    """The package's files of each language."""
    spec = importlib.util.find_spec(PACKAGE)  # finds the package without running it
    if spec is None or not spec.submodule_search_locations:
        raise DataError("the package home-assistant-intents is not installed; install xrealign's dependencies")
    files: dict[Language, list[Path]] = {}
    for path in sorted((Path(next(iter(spec.submodule_search_locations))) / "data").glob("*.json")):
        files.setdefault(parse_language(FILE_LANGUAGES.get(path.stem, path.stem)), []).append(path)
    if not files:
        raise DataError("the package home-assistant-intents holds no data/*.json; install the version xrealign pins")
    return files


def _templates(paths: Sequence[Path], notes: Counter[str], language: Language) -> list[Template]:
    """A language's templates out of all its files, each text once."""
    from xrealign.tasks.intent_templates import (
        read_templates,
    )  # hassil: not for those who only list languages

    dropped: Counter[str] = Counter()
    found: dict[str, Template] = {}
    conflicting: set[str] = set()
    for path in paths:
        for template in read_templates(path, dropped):
            first = found.setdefault(template.text, template)
            if first is not template:
                dropped["template repeated"] += 1
                if first.intent != template.intent:
                    conflicting.add(template.text)
    dropped["template under two intents"] += len(conflicting)
    for reason, count in dropped.items():
        notes[f"{language}: {reason}"] += count
    return [template for text, template in found.items() if text not in conflicting]


def _only(templates: Iterable[Template], intents: set[str]) -> list[Template]:
    return [template for template in templates if template.intent in intents]


def _commands(templates: Iterable[Template]) -> list[Template]:
    """What stands for "<command>" in "in five minutes <command>", in an order of its own."""
    from xrealign.tasks.intent_templates import COMMAND_INTENTS

    return sorted(_only(templates, set(COMMAND_INTENTS)), key=lambda template: template.id)


def _shared_skeletons(templates: Sequence[Template], seed: int, probes: int) -> set[str]:
    """Skeletons that templates of different intents were seen to make."""
    from xrealign.tasks.intent_templates import sentences

    commands = _commands(templates)
    intent_of: dict[str, str] = {}
    shared = set()
    for template in templates:
        for drawn, _ in zip(sentences(template, seed, commands), range(probes), strict=False):
            if intent_of.setdefault(drawn.skeleton, template.intent) != template.intent:
                shared.add(drawn.skeleton)
    return shared


def _take(
    templates: Sequence[Template],
    size: int,
    seed: int,
    shared: set[str],
    elsewhere: Iterable[tuple[Example, Drawn]],
    notes: Counter[str],
    place: str,
) -> list[tuple[Example, Drawn]]:
    """At most ``size`` sentences, shared out among the intents as ``load_intents`` says."""
    seen = {drawn.text.casefold() for _, drawn in elsewhere}
    seen_skeletons = {drawn.skeleton for _, drawn in elsewhere}
    commands = _commands(templates)
    by_intent: dict[str, list[Template]] = {}
    for template in templates:
        by_intent.setdefault(template.intent, []).append(template)
    # Next is the intent that has least for its weight; hashes break ties, so that small sizes do not mean
    # first letters.
    queue = [
        (
            0.0,
            hashlib.sha256(intent.encode()).hexdigest(),
            0,
            math.sqrt(len(members)),
            _turns(members, seed, commands),
        )
        for intent, members in by_intent.items()
    ]
    heapq.heapify(queue)
    taken: list[tuple[Example, Drawn]] = []
    while queue and len(taken) < size:
        _, tie, count, weight, turns = heapq.heappop(queue)
        for template, drawn in turns:
            if drawn.skeleton in shared:
                notes[f"{place}: sentence of two intents"] += 1
            elif drawn.skeleton in seen_skeletons:
                notes[f"{place}: sentence another split has"] += 1
            elif drawn.text.casefold() not in seen:
                seen.add(drawn.text.casefold())
                taken.append((Example(drawn.text, template.intent, template.id), drawn))
                heapq.heappush(queue, ((count + 1) / weight, tie, count + 1, weight, turns))
                break
    return taken


def _turns(templates: Sequence[Template], seed: int, commands: Sequence[Template]) -> Iterator[tuple[Template, Drawn]]:
    """Sentences of the templates in turn, each template until it has nothing new to say."""
    from xrealign.tasks.intent_templates import sentences

    ordered = sorted(templates, key=lambda template: template.id)
    streams = [(template, sentences(template, seed, commands)) for template in ordered]
    while streams:
        still = []
        for template, stream in streams:
            drawn = next(stream, None)
            if drawn is not None:
                still.append((template, stream))
                yield template, drawn
        streams = still


def _without_shared(
    splits: Sequence[list[tuple[Example, Drawn]]], notes: Counter[str], language: Language
) -> list[list[tuple[Example, Drawn]]]:
    """The splits without sentences that stand under two intents after all (the probes miss rare ones)."""
    intents_of: dict[str, set[str]] = {}
    for split in splits:
        for example, drawn in split:
            for key in (drawn.skeleton, example.text.casefold()):
                intents_of.setdefault(key, set()).add(example.label)
    shared = {key for key, intents in intents_of.items() if len(intents) > 1}
    kept = [
        [(e, drawn) for e, drawn in split if drawn.skeleton not in shared and e.text.casefold() not in shared]
        for split in splits
    ]
    notes[f"{language}: sentence of two intents, found late"] += sum(map(len, splits)) - sum(map(len, kept))
    return kept
