"""The parallel text inside the package: UDHR by segment and article, CLDR names and keywords of emoji.

Every table is multi-parallel: one id means the same in every language, so any language can be the source.
docs/data.md tells where the text comes from and what was left out; tools/build_embedded_text.py made it.
"""

from __future__ import annotations

import functools
import hashlib
import json
import lzma
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from xrealign.errors import ArtifactError, DataError, did_you_mean
from xrealign.language import Language, parse_language
from xrealign.types import Bitext, SentencePair

DATA = Path(__file__).resolve().parent.parent / "data"
KEYWORD_SEPARATOR = " | "


@dataclass(frozen=True, slots=True, eq=False)
class MultiText:
    """Text in many languages at once.

    Attributes:
        name: ``udhr-segments``, ``udhr-articles``, ``cldr-names`` or ``cldr-keywords``.
        ids: every id, in the order of the original.
        texts: for each language its texts by id; an id without text in a language is absent there.
    """

    name: str
    ids: tuple[str, ...]
    texts: Mapping[Language, Mapping[str, str]]

    def of(self, language: Language) -> Mapping[str, str]:
        """The texts of one language by id.

        Raises:
            DataError: the table has none; names the nearest tag it has.
        """
        if language not in self.texts:
            hint = did_you_mean(language.tag, (known.tag for known in self.texts))
            raise DataError(f"{self.name} has no text in {language.tag} ({len(self.texts)} languages){hint}")
        return self.texts[language]


@functools.cache
def _manifest() -> dict[str, dict[str, str | int]]:
    path = DATA / "embedded.json"
    try:
        entries: dict[str, dict[str, str | int]] = json.loads(path.read_text("utf-8"))
        whole = all({"file", "sha256"} <= entry.keys() for entry in entries.values())
    except (OSError, ValueError, AttributeError):
        whole = False
    if not whole:
        raise ArtifactError(f"{path} is damaged; install xrealign again")
    return entries


def _load(table: str) -> MultiText:
    """Reads one packed table after checking its SHA-256.

    Raises:
        ArtifactError: the file is missing or not the one the package was built with.
    """
    entry = _manifest().get(table)
    if entry is None:
        raise ArtifactError(f"{DATA / 'embedded.json'} is damaged: it has no {table}; install xrealign again")
    path = DATA / str(entry["file"])
    try:
        packed = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path}: {error.strerror}; install xrealign again") from None
    digest = hashlib.sha256(packed).hexdigest()
    if digest != entry["sha256"]:
        raise ArtifactError(f"{path}: SHA-256 {digest}, expected {entry['sha256']}; install xrealign again")
    header, *lines = lzma.decompress(packed).decode("utf-8").removesuffix("\n").split("\n")
    ids = tuple(header.split("\t")[2:])
    texts: dict[Language, Mapping[str, str]] = {}
    for line in lines:
        tag, _version, *cells = line.split("\t")
        language = parse_language(tag)
        if language in texts:
            raise ArtifactError(f"{path}: {tag} is a second text in {language.tag}")
        texts[language] = MappingProxyType({i: text for i, text in zip(ids, cells, strict=True) if text})
    return MultiText(table.replace("_", "-"), ids, MappingProxyType(texts))


@functools.cache
def udhr_segments() -> MultiText:
    """The Universal Declaration of Human Rights by paragraph, 60 ids: ``pre.0`` … ``30.0``.

    A language lacks the articles, and often the preamble, that its declaration divides otherwise than the English.
    """
    return _load("udhr_segments")


@functools.cache
def udhr_articles() -> MultiText:
    """The Universal Declaration of Human Rights by article, 30 ids: ``1`` … ``30``.

    An article is the text of its segments: never train on one and measure on the other.
    """
    return _load("udhr_articles")


@functools.cache
def cldr_names() -> MultiText:
    """Short names of emoji concepts ("dog face"); an id is the concept's code points, ``1f436``."""
    return _load("cldr_names")


@functools.cache
def cldr_keywords() -> MultiText:
    """Keywords of the same concepts, joined by ``KEYWORD_SEPARATOR``; number and order differ by language."""
    return _load("cldr_keywords")


def embedded_counts() -> dict[Language, dict[str, int]]:
    """For each language with any embedded text: how many texts each table has, by the table's name."""
    counts: dict[Language, dict[str, int]] = {}
    for table in (udhr_segments(), udhr_articles(), cldr_names(), cldr_keywords()):
        for language, texts in table.texts.items():
            counts.setdefault(language, {})[table.name] = len(texts)
    return dict(sorted(counts.items()))


def embedded_languages() -> list[Language]:
    """Languages with UDHR segments or CLDR names, sorted by tag."""
    return sorted({*udhr_segments().texts, *cldr_names().texts})


def held_out(ids: Iterable[str], share: float) -> frozenset[str]:
    """The ids set aside for measuring: those whose SHA-256, read as a number in [0, 1), lies below ``share``.

    The choice looks at the id alone: it is the same in every language, in any order and among any other ids,
    and a smaller share is a subset of a greater one.

    Raises:
        DataError: ``share`` is not between 0 and 1.
    """
    if not 0 <= share <= 1:
        raise DataError(f"held-out share is {share}, expected a number from 0 to 1")
    limit = int(share * 2**64)
    return frozenset(i for i in ids if int.from_bytes(hashlib.sha256(i.encode()).digest()[:8], "big") < limit)


def counted_bitext(
    multitext: MultiText, src: Language, tgt: Language, ids: Collection[str] | None = None
) -> tuple[Bitext, Counter[str]]:
    """The pairs of two languages, in the table's order, and the ids without a pair, counted by reason.

    Args:
        multitext: the table.
        src: language of the left side.
        tgt: language of the right side.
        ids: only these; None for all.

    Raises:
        DataError: the table lacks one of the languages, or an id.
    """
    left, right = multitext.of(src), multitext.of(tgt)
    unknown = set(ids or ()) - set(multitext.ids)
    if unknown:
        raise DataError(f"{multitext.name} has no id {min(unknown)!r}{did_you_mean(min(unknown), multitext.ids)}")
    wanted = multitext.ids if ids is None else [i for i in multitext.ids if i in set(ids)]
    pairs, dropped = [], Counter[str]()
    for i in wanted:
        if i not in left or i not in right:
            dropped["no text on one side"] += 1
        elif left[i] == right[i]:
            dropped["both sides identical"] += 1
        else:
            pairs.append(SentencePair(i, left[i], right[i]))
    return Bitext(src, tgt, tuple(pairs), multitext.name), dropped


def bitext(multitext: MultiText, src: Language, tgt: Language, ids: Collection[str] | None = None) -> Bitext:
    """The sentence pairs of two languages: ``counted_bitext`` without its counts."""
    return counted_bitext(multitext, src, tgt, ids)[0]


def _key(text: str) -> str:
    """What two texts that differ only in case, punctuation, symbols or blanks have in common."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c for c in folded if unicodedata.category(c)[0] not in "PSZC") or folded


def training_bitext(
    multitext: MultiText, src: Language, tgt: Language, held: Collection[str]
) -> tuple[Bitext, Counter[str]]:
    """The pairs to train on when ``held`` is set aside, and what was left out, counted by reason.

    Left out are the held-out ids, and pairs under other ids whose source or target text is that of a held-out
    item (case, punctuation and blanks aside).
    """
    whole, dropped = counted_bitext(multitext, src, tgt)
    left, right = multitext.of(src), multitext.of(tgt)
    src_keys = {_key(left[i]) for i in held if i in left}
    tgt_keys = {_key(right[i]) for i in held if i in right}
    pairs = []
    for pair in whole:
        if pair.id in held:
            dropped["held out"] += 1
        elif _key(pair.src) in src_keys:
            dropped["source text of a held-out item"] += 1
        elif _key(pair.tgt) in tgt_keys:
            dropped["target text of a held-out item"] += 1
        else:
            pairs.append(pair)
    return Bitext(src, tgt, tuple(pairs), multitext.name), dropped
