"""What the dictionary aligner does with words that have no hit: look them up by lemma, or by a shared prefix. No torch.

Each fallback is a pair of functions, cached for each word: what translations a source word may have, and under what
translations a target word may be found. The aligner joins the words for which the two meet.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from xrealign.errors import ConfigError
from xrealign.language import Language, codes_of
from xrealign.requirements import optional

LEMMA_SCORE, PREFIX_SCORE = 0.75, 0.5
FEWEST_LETTERS, LEAST_PERCENT = 4, 70
CACHE = 1 << 18  # words; a few dozen MB
# simplemma has one list for the standard varieties of Serbo-Croatian
SERBO_CROATIAN = frozenset({"hrv", "srp", "bos", "cnr"})

Lemmas = Callable[[str], Collection[str]]


@dataclass(frozen=True, slots=True)
class Fallback:
    """``reach``: a source word's translations; ``forms``: the translations a target word counts as; ``score``: of the
    links it makes."""

    reach: Callable[[str], Collection[str]]
    forms: Callable[[str], Collection[str]]
    score: float


def lemmatizer(language: Language) -> Lemmas | None:
    """A word's possible lemmas, case-folded, by simplemma (Barbaresi & Hein 2017); None where it lacks the language.

    Its lists know case, texts often do not: a word is looked up as written and in lower case, and both lemmas count.

    Raises:
        MissingExtra: simplemma is not installed.
    """
    with optional("lemmas", "looking words up by lemma"):
        from simplemma import lemmatize
        from simplemma.strategies.dictionaries.dictionary_factory import SUPPORTED_LANGUAGES
    codes = [*codes_of(language), *(["hbs"] if language.iso in SERBO_CROATIAN else [])]
    code = next((code for code in codes if code in SUPPORTED_LANGUAGES), None)
    if code is None or (code == "hbs" and language.script != "Latn"):
        return None

    @lru_cache(maxsize=CACHE)
    def lemmas(word: str) -> Collection[str]:
        return frozenset(lemmatize(form, lang=code).casefold() for form in {word, word.lower()})

    return lemmas


def as_it_is(word: str) -> Collection[str]:
    """The only form known of a word in a language without lemmas."""
    return (word.casefold(),)


def lemma_fallback(pairs: Iterable[tuple[str, str]], src_lemmas: Lemmas | None, tgt_lemmas: Lemmas | None) -> Fallback:
    """Look-up by lemma on either side; dictionaries of inflected forms are lemmatised too.

    ``pairs`` are the dictionary's, as written; those of several words have no lemma and are passed over.

    Raises:
        ConfigError: neither language has lemmas.
    """
    if src_lemmas is None and tgt_lemmas is None:
        raise ConfigError("simplemma has no lemmas for either language; leave out the lemma fallback")
    src_of, tgt_of = src_lemmas or as_it_is, tgt_lemmas or as_it_is
    entries: dict[str, set[str]] = defaultdict(set)
    for src, tgt in pairs:
        if " " not in src and " " not in tgt:
            for lemma in src_of(src):
                entries[lemma].update(tgt_of(tgt))

    @lru_cache(maxsize=CACHE)
    def reach(word: str) -> Collection[str]:
        return frozenset(translation for lemma in src_of(word) for translation in entries.get(lemma, ()))

    return Fallback(reach, tgt_of, LEMMA_SCORE)


def sharing_prefix(word: str, known: Sequence[str]) -> Sequence[str]:
    """Those of the sorted ``known`` words that share the longest prefix with ``word``.

    Only prefixes of at least FEWEST_LETTERS characters and LEAST_PERCENT of the longer of both words count. Cutting
    words to a prefix in place of stemming is old practice in word alignment (eflomal, Östling & Tiedemann 2016, has
    options for it); these limits are ours. Words with digits have no kin: 1987 is not 1986.
    """
    least = max(FEWEST_LETTERS, -(-LEAST_PERCENT * len(word) // 100))
    if len(word) < least or any(c.isdecimal() for c in word):
        return ()
    stem = word[:least]
    best = 0
    found: list[str] = []
    for place in range(bisect_left(known, stem), len(known)):
        other = known[place]
        if not other.startswith(stem):
            break
        shared = least
        while shared < min(len(word), len(other)) and word[shared] == other[shared]:
            shared += 1
        if 100 * shared < LEAST_PERCENT * len(other) or shared < best:
            continue
        if shared > best:
            best, found = shared, []
        found.append(other)
    return found


def prefix_fallback(translations: Mapping[str, Collection[str]], lemma: Fallback | None) -> Fallback:
    """Look-up of words without an entry (nor, where there are lemmas, an entry of their lemma) by shared prefix."""
    keys = sorted(key for key in translations if " " not in key)
    values = sorted({t for found in translations.values() for t in found if " " not in t})
    known = frozenset(values)

    @lru_cache(maxsize=CACHE)
    def reach(word: str) -> Collection[str]:
        folded = word.casefold()
        if folded in translations:
            return translations[folded]
        if lemma and (found := lemma.reach(word)):
            return found
        return frozenset(t for key in sharing_prefix(folded, keys) for t in translations[key])

    @lru_cache(maxsize=CACHE)
    def forms(word: str) -> Collection[str]:
        folded = word.casefold()
        if folded in known:
            return (folded,)
        if lemma and (found := [form for form in lemma.forms(word) if form in known]):
            return found
        return sharing_prefix(folded, values)

    return Fallback(reach, forms, PREFIX_SCORE)
