"""Code-switched inputs: words, phrases or names of a sentence replaced by translations, before any tokenizer.

Three steps, as in CoSDA-ML (Qin et al. 2020, arXiv 2006.06402, section 3): which sentences, which of their units,
which translation in which language. Units come from dictionaries (`dictionary_units`, `phrase_units`), from the word
links of a pair (`link_units`), or from names (`name_spans` with `span_units`; `listed_units`), as in EntityCS
(Whitehouse et al. 2022, arXiv 2210.12540), which switches names alone and all of a sentence into one language. What is
switched is a pure function of the seed, a name and the sentence. No torch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xrealign.corpus.dictionary import Dictionary
from xrealign.errors import ConfigError, DataError
from xrealign.segment import spans_of_words
from xrealign.train.seeds import numpy_generator

Array = np.ndarray[Any, Any]
Words = Sequence[str]


@dataclass(frozen=True, slots=True)
class Unit:
    """Words ``start`` to ``end`` (exclusive) of a sentence and what may stand in their place.

    Attributes:
        translations: by tag of the language, one or more, each as words.
    """

    start: int
    end: int
    translations: Mapping[str, Sequence[tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class SwitchSettings:
    """How much is switched.

    Attributes:
        probability: of each unit, in a sentence that was chosen. (CoSDA-ML searched 0.4 to 1.)
        sentences: probability of a sentence.
        one_language: all units of a sentence into the same language, drawn from those that have any (EntityCS);
            units without a translation in it stay. Otherwise each unit has a language of its own (CoSDA-ML).
    """

    probability: float = 0.5
    sentences: float = 1.0
    one_language: bool = False

    def __post_init__(self) -> None:
        """Raises: ConfigError: a probability is none."""
        for name in ("probability", "sentences"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"code-switching: {name} = {getattr(self, name)} is impossible; expected 0 to 1")


@dataclass(frozen=True, slots=True)
class Switched:
    """A sentence after switching.

    Attributes:
        words: what it consists of now. W′ words.
        places: for each old word, where it or what replaces its unit stands now: first word and the one behind the
            last. *Shape:* (W, 2)
        languages: tag of each new word's language, "" for one that was not switched. W′ tags.
        switched, units: units switched, and units there were to switch.
    """

    words: list[str]
    places: Array
    languages: list[str]
    switched: int
    units: int

    def text_and_spans(self) -> tuple[str, Array]:
        """The words joined by single blanks, and their character spans, *Shape:* (W′, 2)."""
        return spans_of_words(self.words)


def switch_words(words: Words, units: Sequence[Unit], settings: SwitchSettings, draw: np.random.Generator) -> Switched:
    """Replaces units of one sentence.

    Raises:
        DataError: units overlap, lie outside the sentence, or have no translation.
    """
    ordered = _checked(words, units)
    chosen = {}
    whole = draw.random() < settings.sentences
    picks = draw.random(len(ordered)) < settings.probability
    tags = sorted({tag for unit in ordered for tag in unit.translations})
    common = tags[int(draw.integers(len(tags)))] if settings.one_language and tags else None
    for unit, picked in zip(ordered, picks, strict=True):
        known = sorted(unit.translations)
        tag = common if common is not None else known[int(draw.integers(len(known)))]
        options = unit.translations.get(tag, ())
        if whole and picked and options:
            chosen[unit.start] = (unit, tag, options[int(draw.integers(len(options)))])
    made: list[str] = []
    languages: list[str] = []
    places = np.zeros((len(words), 2), dtype=np.int32)
    at = 0
    while at < len(words):
        unit, tag, new = chosen.get(at, (Unit(at, at + 1, {}), "", (words[at],)))
        places[unit.start : unit.end] = len(made), len(made) + len(new)
        made += new
        languages += [tag] * len(new)
        at = unit.end
    return Switched(made, places, languages, len(chosen), len(ordered))


def _checked(words: Words, units: Sequence[Unit]) -> list[Unit]:
    ordered = sorted(units, key=lambda unit: unit.start)
    end = 0
    for unit in ordered:
        if not end <= unit.start < unit.end <= len(words):
            raise DataError(
                f"unit {unit.start}–{unit.end} overlaps another or lies outside a sentence of {len(words)} words"
            )
        if not unit.translations or not all(o and all(o) for o in unit.translations.values()):
            raise DataError(f"unit {unit.start}–{unit.end} ({' '.join(words[unit.start : unit.end])}) has an empty "
                            "translation")  # fmt: skip
        end = unit.end
    return ordered


def switch_sentences(
    sentences: Sequence[Words],
    units: Sequence[Sequence[Unit]],
    settings: SwitchSettings,
    seed: int,
    *names: str | int,
) -> tuple[list[Switched], Counter[str]]:
    """Switches units of many sentences; each sentence's draws depend on the seed, ``names`` and its own words alone.

    Args:
        names: what else the draws depend on: an epoch or a step, for other switches at other times; none for the same
            switches every time.

    Returns:
        the sentences, and counts: sentences, words, units, switched units, sentences with a switch.
    """
    made, counts = [], Counter[str]()
    for words, own in zip(sentences, units, strict=True):
        done = switch_words(words, own, settings, numpy_generator(seed, "codeswitch", *names, " ".join(words)))
        counts.update({"sentences": 1, "words": len(words), "units": done.units, "switched units": done.switched,
                       "sentences with a switch": int(done.switched > 0)})  # fmt: skip
        made.append(done)
    return made, counts


def switched_links(links: Array, places: Array) -> Array:
    """Links of a sentence after its source side was switched: a word's link goes to all words in its place.

    Args:
        links: (i, j), i of the old words. *Shape:* (N, 2)
        places: of `Switched`. *Shape:* (W, 2)

    Returns:
        Sorted, without repeats. *Shape:* (N′, 2), int32
    """
    rows = {(new, int(j)) for i, j in links for new in range(*places[i])}
    return np.array(sorted(rows), dtype=np.int32).reshape(-1, 2)


def dictionary_units(words: Words, dictionaries: Sequence[Dictionary]) -> list[Unit]:
    """Every word that a dictionary has, by its case-folded form; the translation gets the word's case.

    Case: a word in capitals (two letters or more) makes capitals, a word with a capital first letter a capital first
    letter; otherwise the translation stays as the dictionary has it.
    """
    units = []
    for at, word in enumerate(words):
        folded = word.casefold()
        found: dict[str, list[tuple[str, ...]]] = {}
        for dictionary in dictionaries:
            for translation in dictionary.translations.get(folded, ()):
                found.setdefault(dictionary.tgt.tag, []).append((_in_case(translation, word),))
        if found:
            units.append(Unit(at, at + 1, found))
    return units


def phrase_units(words: Words, phrases: Mapping[str, Sequence[str]], tag: str, longest: int) -> list[Unit]:
    """Every word or phrase of a lexicon, the longest first from left to right; translations as in `dictionary_units`.

    Args:
        phrases: translations of case-folded words and phrases, words joined by single blanks.
        tag: language of the translations.
        longest: words of the longest phrase.
    """
    units: list[Unit] = []
    at = 0
    while at < len(words):
        written = (" ".join(words[at : at + size]) for size in range(min(longest, len(words) - at), 0, -1))
        found = next((phrase for phrase in written if phrase.casefold() in phrases), None)
        size = 1 if found is None else found.count(" ") + 1
        if found is not None:
            options = [tuple(_in_case(other, found).split()) for other in phrases[found.casefold()]]
            units.append(Unit(at, at + size, {tag: options}))
        at += size
    return units


def _in_case(translation: str, word: str) -> str:
    if len(word) > 1 and word.isupper():
        return translation.upper()
    return translation[:1].upper() + translation[1:] if word[:1].isupper() else translation


def link_units(words: Words, tgt: Words, links: Array, tag: str) -> tuple[list[Unit], Counter[str]]:
    """Every group of words that links hold together, with the words they are linked to as its translation.

    A group is a connected component of the links. Its words must be neighbours on both sides; other groups are left
    out and counted, as are words without links.
    """
    span_of = {}
    counts = Counter[str]()
    for sources, targets in _components(links):
        if _neighbours(sources) and _neighbours(targets):
            span_of[sources[0], sources[-1] + 1] = tuple(tgt[j] for j in targets)
        else:
            counts["groups with a gap"] += 1
    counts["words without links"] = len(words) - len({int(i) for i in links[:, 0]})
    counts["groups"] = len(span_of)
    return [Unit(start, end, {tag: [new]}) for (start, end), new in sorted(span_of.items())], counts


def _components(links: Array) -> list[tuple[list[int], list[int]]]:
    """Connected components of the links: sorted source and target words of each."""
    groups: list[tuple[set[int], set[int]]] = []
    for i, j in links.tolist():
        touching = [group for group in groups if i in group[0] or j in group[1]]
        groups = [group for group in groups if not (i in group[0] or j in group[1])]
        groups.append(({i}.union(*(g[0] for g in touching)), {j}.union(*(g[1] for g in touching))))
    return sorted((sorted(sources), sorted(targets)) for sources, targets in groups)


def _neighbours(places: list[int]) -> bool:
    return places[-1] - places[0] == len(places) - 1


def name_spans(words: Words) -> list[tuple[int, int]]:
    """Names by their case: the longest runs of words with a capital first letter, the sentence's first word left out.

    For scripts with case and languages that write nothing but names (and few other words) with capitals: not for
    German, and not for headlines. Where names are known, give their spans or `listed_units` instead.
    """
    spans: list[tuple[int, int]] = []
    for at, word in enumerate(words):
        if at and word[:1].isupper():
            joined = spans and spans[-1][1] == at
            spans[-1:] = [(spans[-1][0], at + 1)] if joined else [*spans[-1:], (at, at + 1)]
    return spans


def span_units(
    words: Words, spans: Sequence[tuple[int, int]], tgt: Words, links: Array, tag: str
) -> tuple[list[Unit], Counter[str]]:
    """The given spans (names, phrases) with what they are linked to: the least run of target words that holds all
    their links and no link of another word; spans without such a run are left out and counted."""
    units, counts = [], Counter[str]()
    for start, end in spans:
        inside = (links[:, 0] >= start) & (links[:, 0] < end)
        targets = links[inside, 1]
        if not len(targets):
            counts["without links"] += 1
            continue
        low, high = int(targets.min()), int(targets.max()) + 1
        if bool(((links[~inside, 1] >= low) & (links[~inside, 1] < high)).any()):
            counts["linked words belong to others too"] += 1
            continue
        units.append(Unit(start, end, {tag: [tuple(tgt[low:high])]}))
    counts["units"] = len(units)
    return units, counts


def listed_units(words: Words, listed: Mapping[str, Mapping[str, Sequence[str]]]) -> list[Unit]:
    """Every name of a list, the longest first from left to right, with its translations.

    Args:
        listed: by name, its words joined by blanks, compared case and all: translations by tag of the language, their
            words joined by blanks.
    """
    longest = max((name.count(" ") + 1 for name in listed), default=0)
    units: list[Unit] = []
    at = 0
    while at < len(words):
        sizes = range(min(longest, len(words) - at), 0, -1)
        size = next((n for n in sizes if " ".join(words[at : at + n]) in listed), 0)
        if size:
            found = listed[" ".join(words[at : at + size])]
            units.append(Unit(at, at + size, {tag: [tuple(t.split()) for t in some] for tag, some in found.items()}))
        at += max(size, 1)
    return units
