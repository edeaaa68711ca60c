"""What a sentence is taken for: how its words are found, and which languages the two sides are in. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import regex

from xrealign.align.checks import wrong_script
from xrealign.align.score import words
from xrealign.corpus.tmx import language_of, read_units
from xrealign.errors import ConfigError, DataError, did_you_mean
from xrealign.language import Language, parse_language
from xrealign.segment import find_spans, rule_of, segmentation_name

WORDS = ("auto", "split", "segment")
_VISIBLE = regex.compile(r"[^\s\p{Z}\p{Cc}\p{Cf}]")


@dataclass(frozen=True, slots=True)
class Reading:
    """How sentences become words.

    Attributes:
        words: ``split`` at blanks already, or ``segment``: found by the rule of the language (`xrealign.segment`).
        src, tgt: the languages, where they are declared. Then sentences in another script are at fault.
    """

    words: str = "split"
    src: Language | None = None
    tgt: Language | None = None

    def key(self) -> dict[str, Any]:
        """Plain data that decides what the words are: for manifests and to tell whether a result is still good."""
        sides = (("src", self.src), ("tgt", self.tgt))
        rules = {
            side: segmentation_name(language) if self.words == "segment" and language else "split"
            for side, language in sides
        }
        return {"words": rules, **{side: language.tag if language else None for side, language in sides}}


SPLIT = Reading()


def find_reading(
    paths: Sequence[Path], form: str, chosen: str = "auto", src: str | None = None, tgt: str | None = None
) -> Reading:
    """The reading of a kind of input.

    Args:
        form: what `xrealign.align.pairs.find_form` found.
        chosen: one of `WORDS`; ``auto`` segments translation memories and takes other input as split already.
        src, tgt: languages, as a user writes them. Of a translation memory they are by default the first two.

    Raises:
        ConfigError: ``chosen`` is unknown; words are to be found, but a language is missing or its script has no rule;
            both sides are the same language of a translation memory.
        LanguageError: a language nobody knows.
        DataError: a translation memory cannot be read, or does not begin with two languages.
    """
    if chosen not in WORDS:
        raise ConfigError(f"--words {chosen} is unknown; expected {', '.join(WORDS)}{did_you_mean(chosen, WORDS)}")
    how = chosen if chosen != "auto" else "segment" if form == "tmx" else "split"
    source, target = (parse_language(text) if text else None for text in (src, tgt))
    if form == "tmx":
        source, target = _first_languages(paths[0], source, target)
        if source == target:
            raise ConfigError(
                f"--src-language and --tgt-language are both {source}; expected two languages of {paths[0]}"
            )
    if how == "segment":
        missing = [f"--{side}-language" for side, x in (("src", source), ("tgt", target)) if x is None]
        if missing:
            raise ConfigError(f"--words segment needs {' and '.join(missing)}: words are found by the language's rule")
        for language in (source, target):
            if language is not None and rule_of(language) == "none":
                raise ConfigError(
                    f"--words segment: there is no rule for the words of {language.tag}; separate them by blanks and "
                    "leave the option out"
                )
    return Reading(how, source, target)


def _first_languages(path: Path, src: Language | None, tgt: Language | None) -> tuple[Language, Language]:
    """The languages of a translation memory, those not given being the first others of its first unit."""
    if src and tgt:
        return src, tgt
    unit = next(read_units(path), None)
    if unit is None:
        raise DataError("no translation units in it", path)
    codes = dict.fromkeys(code for code, _ in unit.segments)
    found = [language_of(code) for code in codes]
    others = [language for language in dict.fromkeys(found) if language and language not in (src, tgt)]
    if len(others) < 2 - bool(src) - bool(tgt):
        told = f"the languages of the first unit are {unit.languages}: name both with --src-language and --tgt-language"
        raise DataError(told, path, unit.line)
    source = src or others.pop(0)
    return source, tgt or others.pop(0)


def words_of(text: str, language: Language | None, how: str, side: str) -> tuple[list[str], tuple[str, str] | None]:
    """The words of one side of a pair, or the fault it has: its kind and, at length, what it is.

    Args:
        how: ``split`` or ``segment``.
        side: ``source`` or ``target``, for the message.
    """
    if not _VISIBLE.search(text):
        return [], (f"empty {side}", f"the {side} sentence is empty")
    if "\t" in text:
        return [], ("tab", f"a tab in the {side} sentence; words are separated by blanks")
    wrong = wrong_script(text, language) if language else ""
    if wrong:
        return [], ("wrong script", f"the {side} sentence is in the wrong script: {wrong}")
    if how == "split" or language is None:
        return words(text), None
    found = [text[start:end] for start, end in find_spans(text, language).tolist()]
    return found, None if found else (f"empty {side}", f"the {side} sentence has no words, only dividers")
