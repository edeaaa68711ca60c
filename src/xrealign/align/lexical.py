"""Word links from a bilingual dictionary. No encoder and no torch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from xrealign.align.fallbacks import Fallback, lemma_fallback, lemmatizer, prefix_fallback
from xrealign.align.linker import NO_LINKS, Linked, Linker, Recipe, ScoredLinks, Sentences
from xrealign.corpus.dictionary import PhrasePairs, read_phrase_pairs
from xrealign.errors import ConfigError, DataError
from xrealign.language import Language
from xrealign.progress import say
from xrealign.store import file_digest

Links = np.ndarray[Any, np.dtype[np.int32]]
EXACT_SCORE = 1.0


@dataclass(frozen=True, slots=True)
class Lexicon:
    """A dictionary made ready for look-up. Everything is case-folded; words of a phrase are joined by single blanks.

    Attributes:
        translations: source word or phrase -> its translations, none twice.
        src_longest, tgt_longest: first word of a phrase of several words -> how many words the longest of them has.
        tgt_phrases: the translations of several words.
    """

    translations: Mapping[str, Collection[str]]
    src_longest: Mapping[str, int]
    tgt_longest: Mapping[str, int]
    tgt_phrases: frozenset[str]


class Span(NamedTuple):
    """Words of a sentence that are a phrase of the dictionary."""

    start: int
    length: int
    phrase: str


def make_lexicon(translations: Mapping[str, Collection[str]]) -> Lexicon:
    """A lexicon of case-folded phrases and their translations; translations given twice count once."""
    plain = {word: found if len(found) < 2 else tuple(dict.fromkeys(found)) for word, found in translations.items()}
    phrases = frozenset(t for found in plain.values() for t in found if " " in t)
    return Lexicon(plain, _longest(word for word in plain if " " in word), _longest(phrases), phrases)


def _longest(phrases: Iterable[str]) -> dict[str, int]:
    lengths: dict[str, int] = {}
    for phrase in phrases:
        first = phrase.partition(" ")[0]
        lengths[first] = max(lengths.get(first, 2), phrase.count(" ") + 1)
    return lengths


def dictionary_links(
    src_sentences: Sequence[Sequence[str]],
    tgt_sentences: Sequence[Sequence[str]],
    translations: Mapping[str, Collection[str]],
) -> list[Links]:
    """Links the words of each sentence pair that a dictionary pairs without ambiguity.

    A pair (i, j) is kept only when exactly one translation of src word i occurs among the tgt words, it occurs
    there once, and it translates no other src word (a second copy of word i counts as another word).

    The rule is that of Gaschi et al. 2023 (arXiv 2306.02790), used by Bakos et al. 2025 (arXiv 2502.12959). There are
    two departures. Words are compared case-folded. And entries may have several words on either side: both sentences
    are cut into phrases, the longest first, of those the dictionary joins across the two, the rule is applied to
    phrases in place of words, and a link of two phrases is links of all their words.

    Args:
        src_sentences: the words of each source sentence.
        tgt_sentences: the words of each target sentence.
        translations: case-folded source word -> its case-folded translations, as ``Dictionary.translations``; words
            of a phrase are joined by single blanks.

    Returns:
        For each pair its links, *Shape:* (N, 2), int32, sorted, 0-based.
    """
    lexicon = make_lexicon(translations)
    return [link_words(src, tgt, lexicon).links for src, tgt in zip(src_sentences, tgt_sentences, strict=True)]


def link_words(
    src: Sequence[str], tgt: Sequence[str], lexicon: Lexicon, fallbacks: Sequence[Fallback] = ()
) -> ScoredLinks:
    """Links of one sentence pair. Each fallback sees only the words that nothing before it joined with any other, so
    that it adds links and never takes one away."""
    links, src_free, tgt_free = _exact([word.casefold() for word in src], [word.casefold() for word in tgt], lexicon)
    scored = [(i, j, EXACT_SCORE) for i, j in links]
    for fallback in fallbacks:
        if not (src_free and tgt_free):
            break
        links, src_free, tgt_free = _fallen_back(src, tgt, src_free, tgt_free, fallback)
        scored += [(i, j, fallback.score) for i, j in links]
    if not scored:
        return NO_LINKS
    scored.sort()
    array = np.array(scored)
    return ScoredLinks(array[:, :2].astype(np.int32), array[:, 2].astype(np.float32))


def unambiguous(
    joined: Collection[tuple[str, str]], src_places: Mapping[str, Sized], tgt_places: Mapping[str, Sized]
) -> list[tuple[str, str]]:
    """Of all pairs of words or phrases that the dictionary joins, each given once, those that the rule keeps.

    A place of the source is joined with every place of each of its partners, and the other way round. Exactly one
    translation of i occurs, and once, when i is joined with one place; it translates no other word when that place is
    joined with one, too. Words that are repeated are counted, not compared.
    """
    src_count, tgt_count = dict.fromkeys(src_places, 0), dict.fromkeys(tgt_places, 0)
    for src, tgt in joined:
        src_count[src] += len(tgt_places[tgt])
        tgt_count[tgt] += len(src_places[src])
    return [(src, tgt) for src, tgt in joined if src_count[src] == 1 == tgt_count[tgt]]


def _exact(
    src: Sequence[str], tgt: Sequence[str], lexicon: Lexicon
) -> tuple[list[tuple[int, int]], set[int], set[int]]:
    """Links, and the words of both sides that are part of no phrase joined with the other side."""
    translations = lexicon.translations
    tgt_spans = [Span(j, 1, word) for j, word in enumerate(tgt)]
    tgt_spans += _phrases(tgt, lexicon.tgt_longest, lexicon.tgt_phrases)
    occurring = {span.phrase for span in tgt_spans}
    src_spans = [Span(i, 1, word) for i, word in enumerate(src) if word in translations]
    src_spans += _phrases(src, lexicon.src_longest, translations)
    hits = {phrase: [t for t in translations[phrase] if t in occurring] for phrase in {s.phrase for s in src_spans}}
    src_units = _by_phrase(_longest_first([span for span in src_spans if hits[span.phrase]]))
    wanted = {t for phrase in src_units for t in hits[phrase]}
    tgt_units = _by_phrase(_longest_first([span for span in tgt_spans if span.phrase in wanted]))
    joined = [(phrase, t) for phrase in src_units for t in hits[phrase] if t in tgt_units]
    kept = unambiguous(joined, src_units, tgt_units)
    links = [(i, j) for s, t in kept for i in _places(src_units[s][0]) for j in _places(tgt_units[t][0])]
    src_free, tgt_free = set(range(len(src))), set(range(len(tgt)))
    for free, units, phrases in ((src_free, src_units, {s for s, _ in joined}),
                                 (tgt_free, tgt_units, {t for _, t in joined})):  # fmt: skip
        free.difference_update(place for phrase in phrases for span in units[phrase] for place in _places(span))
    return links, src_free, tgt_free


def _fallen_back(
    src: Sequence[str], tgt: Sequence[str], src_free: set[int], tgt_free: set[int], fallback: Fallback
) -> tuple[list[tuple[int, int]], set[int], set[int]]:
    """Links between free words, and the words that are still free."""
    src_places, tgt_places = _by_word(src, src_free), _by_word(tgt, tgt_free)
    at: dict[str, list[str]] = defaultdict(list)
    for word in tgt_places:
        for form in fallback.forms(word):
            at[form].append(word)
    joined = {(word, other) for word in src_places for t in fallback.reach(word) for other in at.get(t, ())}
    links = [(src_places[s][0], tgt_places[t][0]) for s, t in unambiguous(joined, src_places, tgt_places)]
    for free, places, words in ((src_free, src_places, {s for s, _ in joined}),
                                (tgt_free, tgt_places, {t for _, t in joined})):  # fmt: skip
        free.difference_update(place for word in words for place in places[word])
    return links, src_free, tgt_free


def _by_phrase(spans: Iterable[Span]) -> dict[str, list[Span]]:
    found: dict[str, list[Span]] = {}
    for span in spans:
        found.setdefault(span.phrase, []).append(span)
    return found


def _by_word(words: Sequence[str], places: Iterable[int]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for place in places:
        found.setdefault(words[place], []).append(place)
    return found


def _phrases(words: Sequence[str], longest: Mapping[str, int], known: Collection[str]) -> list[Span]:
    """Where phrases of several words occur."""
    if not longest:
        return []
    found = []
    for start, word in enumerate(words):
        for length in range(2, min(longest.get(word, 1), len(words) - start) + 1):
            phrase = " ".join(words[start : start + length])
            if phrase in known:
                found.append(Span(start, length, phrase))
    return found


def _longest_first(spans: list[Span]) -> list[Span]:
    """Spans that do not overlap, longer ones before shorter ones and then from the left."""
    if all(span.length == 1 for span in spans):
        return spans
    taken: set[int] = set()
    chosen = []
    for span in sorted(spans, key=lambda span: (-span.length, span.start)):
        if taken.isdisjoint(_places(span)):
            taken.update(_places(span))
            chosen.append(span)
    return chosen


def _places(span: Span) -> range:
    return range(span.start, span.start + span.length)


def dictionary_recipe(
    path: str | Path,
    src_language: Language | None = None,
    tgt_language: Language | None = None,
    lemma: bool = False,
    prefix: bool = False,
    reverse: bool = False,
    most_malformed: int = 0,
    lenient: bool = False,
) -> Recipe:
    """The dictionary aligner. Scores: 1.0 for entries as they stand (case-folded), 0.75 by lemma, 0.5 by prefix.

    Args:
        path: two columns, source and target; see `xrealign.corpus.dictionary.read_phrase_pairs`.
        src_language, tgt_language: needed for lemmas only.
        lemma: words without a hit are looked up by lemma, on either side.
        prefix: words without a hit and without an entry are looked up by a shared prefix.
        reverse: the file's first column is the target.
        most_malformed, lenient: malformed lines of the dictionary are skipped and counted, so many of them, or as
            `xrealign.textio.Skipped` says.

    Raises:
        DataError: there is no such file; on opening: a line is malformed.
        ConfigError: lemmas are wanted of an unknown language; on opening: simplemma has none of either.
        MissingExtra: on opening: simplemma is not installed.
    """
    if not Path(path).is_file():
        raise DataError("there is no such dictionary", path)
    if lemma and (src_language is None or tgt_language is None):
        raise ConfigError("looking words up by lemma needs both languages; name them, or leave it out")
    languages = (src_language, tgt_language) if lemma else (None, None)
    key = {
        "aligner": "dictionary",
        "dictionary": file_digest(Path(path)),
        "lemma": [str(language) for language in languages] if lemma else None,
        "lemmas": _simplemma_version() if lemma else None,
        "prefix": prefix,
        "reverse": reverse,
    }
    return Recipe(key, lambda: _opened(read_phrase_pairs(path, reverse, most_malformed, lenient), languages, prefix))


def _simplemma_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("simplemma")
    except PackageNotFoundError:
        return ""


def _opened(dictionary: PhrasePairs, languages: tuple[Language | None, Language | None], prefix: bool) -> Linker:
    translations: dict[str, list[str]] = {}
    for src, tgt in dictionary.pairs:
        translations.setdefault(src.casefold(), []).append(tgt.casefold())
    lexicon = make_lexicon(translations)
    by_lemma = _by_lemma(dictionary, languages)
    fallbacks = [by_lemma] if by_lemma else []
    if prefix:
        fallbacks.append(prefix_fallback(lexicon.translations, by_lemma))
    several = sum(" " in src or " " in tgt for src, tgt in dictionary.pairs)
    dropped = "".join(f"; {count} dropped: {reason}" for reason, count in sorted(dictionary.dropped.items()))
    say(f"{dictionary.origin}: {len(dictionary.pairs)} entries, {several} of them with several words{dropped}")

    def link(src: Sentences, tgt: Sentences) -> Linked:
        return Linked([link_words(*pair, lexicon, fallbacks) for pair in zip(src, tgt, strict=True)])

    return Linker(link)


def _by_lemma(dictionary: PhrasePairs, languages: tuple[Language | None, Language | None]) -> Fallback | None:
    src, tgt = languages
    if src is None or tgt is None:
        return None
    found = [lemmatizer(src), lemmatizer(tgt)]
    for language, lemmas in zip((src, tgt), found, strict=True):
        if lemmas is None:
            say(f"  simplemma has no lemmas of {language.name}; its words are looked up as they are")
    return lemma_fallback(dictionary.pairs, found[0], found[1])
