"""Words of a sentence as character spans, before any tokenizer sees it. By script, one of three rules (`rule_of`):

- ``blanks``: runs of letters, marks and digits; apostrophes and hyphens between letters, decimal signs between digits
  and what is invisible inside a word (joiners, soft hyphens) belong to it. Every other visible character is a word
  with its marks; emoji sequences and rows of dots are one. Blanks, invisible characters and the word dividers of
  Ethiopic and Tibetan belong to no word. (So Tibetan comes in syllables: its script marks no more.)
- ``icu``: the dictionaries of ICU's word break iterator (Unicode Standard Annex 29 and its tailorings) for Chinese,
  Japanese, Thai, Lao, Khmer and Burmese. They see only the runs of these scripts: "มีiPhone15เครื่อง" is one word to ICU
  itself. What stands between such runs goes by the rule of blanks.
- ``none``: other scripts without blanks, for which ICU has no dictionary. Their words are the encoder's subwords
  (`xrealign.model.words.word_spans`).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import regex

from xrealign.language import Language

RULES = 2  # raise it when words come out otherwise: results made by other rules are then made anew
ICU_SCRIPTS = frozenset({"Hans", "Hant", "Hani", "Jpan", "Hira", "Kana", "Hrkt", "Thai", "Laoo", "Khmr", "Mymr"})
# Line breaking class SA (Unicode Standard Annex 14: written without blanks) that ICU has no dictionary for.
NO_RULE = frozenset({"Ahom", "Lana", "Tale", "Talu", "Tavt"})
WITHOUT_BLANKS = ICU_SCRIPTS | NO_RULE

_INVISIBLE = r"[\p{Cf}--\u200B]*+"  # inside a word; the zero-width space, also Cf, divides words
_FIRST = r"[\p{L}\p{M}\p{N}\p{Pc}]"
_NEXT = r"[\p{L}\p{M}\p{N}\p{Pc}\u055B\u055C\u055E]"  # Armenian writes ՛ ՜ ՞ inside the word that they stress
_HEBREW = r"\p{Script=Hebr}"
_JOINT = (
    r"(?:['’‘\-\u2010\u2011·‧\u05F3\u05F4]"
    rf"|(?<={_HEBREW}\p{{M}}*+)\"(?={_HEBREW})"  # Hebrew acronyms; U+05F4 is rarely typed
    r"|(?<=\p{Nd})[.,:٫٬](?=\p{Nd}))"
)
_BY_BLANKS = regex.compile(
    rf"{_FIRST}++(?:{_INVISIBLE}{_JOINT}?{_NEXT}++)*+(?:\u05F3|(?<=\p{{M}})[\u200C\u200D]+)?"  # chillu letters
    rf"|(?<!{_NEXT})['’][nst](?!['’]|{_NEXT})"  # Afrikaans 'n, Dutch 't, an English 's split off
    r"|\.{2,}|(?=[^\s\p{Z}\p{Cc}\p{Cf}\p{Cs}\u1361\u0F0B\u0F0C])\X",
    regex.V1,
)
_SCRIPTS = "".join(rf"\p{{scx={code}}}" for code in ("Hani", "Hira", "Kana", "Bopo", "Thai", "Laoo", "Khmr", "Mymr"))
_ICU_RUN = regex.compile(rf"(?:[[\p{{L}}\p{{Nl}}]&&[{_SCRIPTS}]][\p{{M}}[\p{{Cf}}--\u200B]]*+)++", regex.V1)
_NOT_FIRST = regex.compile(r"[\p{M}\p{Cf}]")
_STACKERS = "\u1039\u17d2"  # Burmese and Khmer write the next consonant below the last one


def rule_of(language: Language) -> str:
    """How words are found in the language's script: ``blanks``, ``icu`` or ``none``."""
    return "icu" if language.script in ICU_SCRIPTS else "none" if language.script in NO_RULE else "blanks"


def segmentation_name(language: Language) -> str:
    """The rule with its version, for manifests: ``blanks``, ``icu 78.3``, or ``subwords`` where there is no rule."""
    from icu4py import icu_version

    return {"blanks": "blanks", "icu": f"icu {icu_version}", "none": "subwords"}[rule_of(language)]


def word_rules() -> str:
    """Version of all rules together, for fingerprints."""
    from icu4py import icu_version

    return f"{RULES}, icu {icu_version}"


def find_spans(text: str, language: Language) -> np.ndarray:
    """Words as rows (start, end) of character positions, *Shape:* (W, 2), int32, by the rule of the language.

    Raises:
        ValueError: its script has none.
    """
    rule = rule_of(language)
    if rule == "none":
        raise ValueError(f"no rule for words in {language.tag}")
    return spans_by_icu(text) if rule == "icu" else spans_by_blanks(text)


def spans_by_blanks(text: str) -> np.ndarray:
    """Words as rows (start, end) of character positions, *Shape:* (W, 2), int32."""
    return _rows([m.span() for m in _BY_BLANKS.finditer(text)])


def spans_by_icu(text: str) -> np.ndarray:
    """Words as rows (start, end) of character positions, *Shape:* (W, 2), int32; see the module's first lines."""
    runs = [m.span() for m in _ICU_RUN.finditer(text)]
    if not runs:
        return spans_by_blanks(text)
    seen, rest, end = [], [], 0  # the text with blanks for all but the runs, and for the runs
    for start, stop in runs:
        seen += [" " * (start - end), text[start:stop]]
        rest += [text[end:start], " " * (stop - start)]
        end = stop
    words = [m.span() for m in _BY_BLANKS.finditer("".join([*rest, text[end:]]))]
    return _rows(sorted(words + _icu_words("".join(seen))))


def _icu_words(text: str) -> list[tuple[int, int]]:
    from icu4py.breakers import WordBreaker

    cuts = [start for start, _ in WordBreaker(text, "root").segments()]
    if max(text) > "\uffff":  # ICU counts in UTF-16
        units = np.cumsum([0] + [1 + (c > "\uffff") for c in text])
        cuts = np.searchsorted(units, cuts).tolist()
    whole = [at for at in cuts if not _NOT_FIRST.match(text, at) and text[at - 1] not in _STACKERS]
    return [(start, end) for start, end in pairwise([*whole, len(text)]) if text[start] != " "]


def spans_of_words(words: list[str]) -> tuple[str, np.ndarray]:
    """Text and spans of a sentence that is already split: the words joined by single blanks."""
    lengths = np.array([len(word) for word in words], dtype=np.int32)
    ends = np.cumsum(lengths + 1) - 1
    return " ".join(words), _rows(np.stack([ends - lengths, ends], axis=1))


def _rows(spans: object) -> np.ndarray:
    return np.array(spans, dtype=np.int32).reshape(-1, 2)
