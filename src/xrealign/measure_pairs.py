"""Which sentences and words of a bitext are compared when encoders are measured."""

from __future__ import annotations

import hashlib
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from xrealign.align.filters import filter_links
from xrealign.align.pairs import check_input, find_form, read_rows
from xrealign.align.reading import WORDS, Reading, find_reading
from xrealign.align.score import parse_links
from xrealign.errors import ConfigError, DataError, did_you_mean
from xrealign.language import Language
from xrealign.segment import find_spans, rule_of, spans_of_words
from xrealign.textio import Skipped, is_there, read_lines

Array = np.ndarray[Any, Any]
Links = list[Array]


@dataclass(frozen=True)
class BitextFile:
    """What a user names: one file or two, languages where they are told, links where there are any.

    Attributes:
        src_tag, tgt_tag: what the languages are called in results.
    """

    paths: list[Path]
    form: str
    reading: Reading
    src_tag: str
    tgt_tag: str
    links: Path | None = None


@dataclass(frozen=True)
class Side:
    """One side's sentences, as they are, and as they are read where words count, with the words' spans, (W, 2)."""

    texts: list[str]
    word_texts: list[str]
    spans: list[Array]

    def words(self) -> list[list[str]]:
        """The words of each sentence."""
        return [[text[a:b] for a, b in spans.tolist()] for text, spans in zip(self.word_texts, self.spans, strict=True)]


@dataclass(frozen=True)
class MeasuredPairs:
    """The sentences and words of a bitext that are compared.

    Attributes:
        src_tag, tgt_tag: the languages.
        words: sentence, source word and target word of each word pair. *Shape:* (P, 3)
        counts: lines, sentences, links, and what was left out by reason.
    """

    src_tag: str
    tgt_tag: str
    src: Side
    tgt: Side
    words: Array = field(default_factory=lambda: np.zeros((0, 3), dtype=np.int64))
    counts: Counter[str] = field(default_factory=Counter)


def open_bitext(text: str, langs: str | None = None, links: Path | None = None, form: str = "auto") -> BitextFile:
    """A bitext as a user names it: ``FILE``, or ``SOURCE,TARGET`` of which line N translates line N.

    Args:
        langs: ``eng-deu``; without it those of a translation memory are its first two, and other files lend their
            name to the target.

    Raises:
        ConfigError: more than two files, or ``langs`` is not two languages; LanguageError: nobody knows one of them.
        DataError: a file cannot be read.
    """
    paths = [Path(text)] if is_there(text) or "," not in text else [Path(part) for part in text.split(",")]
    if len(paths) > 2:
        raise ConfigError(f"--bitext {text}: {len(paths)} files; expected one, or SOURCE,TARGET")
    found = find_form(paths, form)
    reading = find_reading(paths, found, "split", *(_two_languages(langs) if langs else (None, None)))
    if reading.src is not None and reading.src == reading.tgt:
        raise ConfigError(f"--langs {langs}: both are {reading.src}; expected two languages")
    tags = [language.tag if language else "" for language in (reading.src, reading.tgt)]
    return BitextFile(paths, found, reading, tags[0] or "source", tags[1] or paths[-1].name.partition(".")[0], links)


def _two_languages(langs: str) -> tuple[str, str]:
    for mark in (":", ",", "-"):
        parts = [part.strip() for part in langs.split(mark)]
        if len(parts) == 2 and all(parts):
            return parts[0], parts[1]
    raise ConfigError(f"--langs {langs}: expected two languages, such as eng-deu or zh-Hant:pt-BR")


def read_pairs(file: BitextFile, most: int, seed: int = 0, words: str = "auto", lenient: bool = False) -> MeasuredPairs:
    """``most`` sentence pairs of a bitext, none of whose sentences stands there twice, in the order of the file.

    They are those that come first by a hash of ``seed`` and the source sentence, so that bitexts with the same source
    sentences give the same ones. Word pairs are those of the links file: one-to-one links between different words;
    without one there are none yet (`with_words`).

    Args:
        words: ``split`` at blanks, ``segment`` by the languages' rules, or ``auto``: segment, unless there are links,
            or a language is not told or has no rule.

    Raises:
        ConfigError: ``words`` is unknown or cannot be done.
        DataError: a line is at fault, or the links do not fit; with ``lenient`` faulty lines are skipped and counted,
            those of links with their sentences, unless they are too many (`xrealign.textio.Skipped`).
    """
    by_rule = _by_rule(file, words)
    checked = check_input(file.paths, file.form, lenient, file.reading)
    links = _read_links(file, checked.lines, lenient) if file.links else None
    counts: Counter[str] = Counter()
    seen: tuple[set[int], set[int]] = set(), set()
    ranked: list[tuple[int, int]] = []
    for place, row in enumerate(read_rows(file.paths, file.form, reading=file.reading)):
        if row.fault:
            counts[row.fault] += 1
        elif links is not None and links[place] is None:
            counts["faulty links"] += 1
        elif any(_hash(side) in known for side, known in zip((row.src, row.tgt), seen, strict=True)):
            counts["repeated sentence"] += 1
        else:
            for side, known in zip((row.src, row.tgt), seen, strict=True):
                known.add(_hash(side))
            ranked.append((_hash(row.src, seed), place))
    chosen = {place for _, place in sorted(ranked)[:most]}
    counts["not drawn"] = len(ranked) - len(chosen)
    all_rows = enumerate(read_rows(file.paths, file.form, reading=file.reading))
    rows = {place: row for place, row in all_rows if place in chosen}
    src, tgt = file.reading.src if by_rule else None, file.reading.tgt if by_rule else None
    pairs = MeasuredPairs(
        file.src_tag,
        file.tgt_tag,
        _side([row.src for row in rows.values()], src),
        _side([row.tgt for row in rows.values()], tgt),
        counts=Counter({"lines": checked.lines, "sentences": len(rows)}) + counts,
    )
    if links is None:
        return pairs
    sizes = zip(pairs.src.spans, pairs.tgt.spans, strict=True)
    found = [_parse_links(links[place], len(a), len(b), file, place) for place, (a, b) in zip(rows, sizes, strict=True)]
    return with_words(pairs, found)


def _hash(words: Sequence[str], seed: int | None = None) -> int:
    salt = b"" if seed is None else str(seed).encode()[:16]
    return int.from_bytes(hashlib.blake2b(" ".join(words).encode(), digest_size=8, salt=salt).digest(), "big")


def _by_rule(file: BitextFile, words: str) -> bool:
    if words not in WORDS:
        raise ConfigError(f"--words {words} is unknown; expected {', '.join(WORDS)}{did_you_mean(words, WORDS)}")
    able = all(side is not None and rule_of(side) != "none" for side in (file.reading.src, file.reading.tgt))
    if words == "segment" and not able:
        raise ConfigError("--words segment needs --langs, two languages whose words can be found by rule")
    return words == "segment" or (words == "auto" and able and file.links is None)


def _side(sentences: list[list[str]], language: Language | None) -> Side:
    read = [_as_read(words, language) for words in sentences]
    return Side([" ".join(words) for words in sentences], [text for text, _ in read], [spans for _, spans in read])


def _as_read(words: list[str], language: Language | None) -> tuple[str, Array]:
    """A sentence as its words are read; those that ICU finds are set apart by blanks, as for aligning."""
    if language is None:
        return spans_of_words(words)
    text = " ".join(words)
    spans = find_spans(text, language)
    return spans_of_words([text[a:b] for a, b in spans.tolist()]) if rule_of(language) == "icu" else (text, spans)


def _read_links(file: BitextFile, lines: int, lenient: bool) -> list[str | None]:
    """The lines of a links file, one for each line (or unit) of the bitext; None for those that are skipped."""
    assert file.links is not None
    found: list[str | None] = []
    skipped = Skipped(lenient)
    for number, text in read_lines(file.links):
        skipped.lines += 1
        try:
            parse_links(text, None, 0, file.links, number, scored=True)
            found.append(text)
        except DataError as error:
            skipped.add("faulty links", str(error).removeprefix(f"{file.links}:{number}: "), file.links, number)
            found.append(None)
    skipped.check(file.links)
    if len(found) != lines:
        raise DataError(
            f"{file.links} has {len(found)} lines of links, {file.paths[0]} has {lines} sentence pairs: line N of one "
            "must belong to line N of the other"
        )
    return found


def _parse_links(text: str | None, src_length: int, tgt_length: int, file: BitextFile, place: int) -> Array:
    assert file.links is not None
    found = parse_links(text or "", (src_length, tgt_length), 0, file.links, place + 1, scored=True)
    return np.array(sorted(found.links | found.possible), dtype=np.int64).reshape(-1, 2)


def with_words(pairs: MeasuredPairs, links: Sequence[Array]) -> MeasuredPairs:
    """The pairs with word pairs from links, (N, 2) of each sentence pair: one-to-one ones between different words.

    What falls out is counted by reason.
    """
    counts = Counter(pairs.counts)
    rows = []
    sentences = zip(links, pairs.src.words(), pairs.tgt.words(), strict=True)
    for sentence, (found, src, tgt) in enumerate(sentences):
        counts["links"] += len(found)
        kept, _, dropped = filter_links(found, np.ones(len(found)), src, tgt, None, True, True)
        counts.update({f"links {reason}": count for reason, count in dropped.items()})
        rows.append(np.column_stack([np.full(len(kept), sentence), kept]))
    words = np.concatenate([np.zeros((0, 3), dtype=np.int64), *rows]).astype(np.int64)
    return replace(pairs, words=words, counts=counts)


def draw_words(pairs: MeasuredPairs, most: int, seed: int, readable: Array) -> MeasuredPairs:
    """The pairs with at most ``most`` of their word pairs, in order.

    Args:
        readable: whether every encoder has vectors for both words; the others are left out and counted. (P,)
    """
    counts = Counter(pairs.counts)
    words = pairs.words[readable]
    counts["word pairs without a vector"] += int((~readable).sum())
    rng = np.random.default_rng([seed, zlib.crc32(pairs.tgt_tag.encode())])
    drawn = np.sort(rng.permutation(len(words))[:most])
    counts["word pairs not drawn"] += len(words) - len(drawn)
    counts["word pairs"] = len(drawn)
    return replace(pairs, words=words[drawn], counts=+counts)


def shared_sentences(pairs: Sequence[MeasuredPairs]) -> list[Array]:
    """Rows of each bitext whose source sentences all of them have, in the order of the first: row n means the same."""
    places = [{text: row for row, text in enumerate(p.src.texts)} for p in pairs]
    shared = [text for text in places[0] if all(text in place for place in places[1:])] if pairs else []
    return [np.array([place[text] for text in shared], dtype=np.int64) for place in places]
