"""How near an extracted answer is to the right ones: exact match and word F1 after normalisation.

Three rules: SQuAD 1.1 (Rajpurkar et al. 2016), SQuAD 2.0 (Rajpurkar, Jia & Liang 2018), and MLQA's for other languages
(Lewis et al. 2020). The SQuAD rules normalise as for English whatever the language is, as published XQuAD scores do.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import regex

from xrealign.errors import DataError
from xrealign.language import Language
from xrealign.segment import ICU_SCRIPTS

AnswerRule = Literal["squad1", "squad2"] | Language
"""Whose rule decides; a language means MLQA's rule for it."""

ENGLISH_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
ARTICLES = {
    "eng": ENGLISH_ARTICLES,
    "spa": re.compile(r"\b(?:un|una|unos|unas|el|la|los|las)\b"),
    "deu": re.compile(r"\b(?:ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b"),
    "vie": re.compile(r"\b(?:của|là|cái|chiếc|những)\b"),
    "arb": re.compile("ال"),  # anywhere, as MLQA does: the article is written with its noun
}
"""What MLQA leaves out of answers, by ISO 639-3 code; other languages keep every word."""

_SCRIPTS = "".join(rf"\p{{scx={code}}}" for code in ("Hani", "Hira", "Kana", "Bopo", "Thai", "Laoo", "Khmr", "Mymr"))
_CHARACTER = regex.compile(rf"(?=[{_SCRIPTS}])\X", regex.V1)


def answer_scores(predicted: str, answers: Sequence[str], rule: AnswerRule = "squad2") -> tuple[float, float]:
    """Exact match (0 or 1) and word F1 of an answer ("" is none), each the best over the right ``answers``.

    No right answers: the question has none, and 1 is for saying so. The rules differ where normalisation leaves
    nothing, as of "The": SQuAD 1.1 gives F1 0 to what has no words; SQuAD 2.0 leaves such right answers out, takes the
    question for one without an answer if none remains, and lets nothing match nothing. MLQA's rule does as SQuAD 2.0.

    Raises:
        DataError: no right answers under SQuAD 1.1, which knows no such questions.
    """
    words = answer_words(predicted, rule)
    wanted = [answer_words(answer, rule) for answer in answers]
    if rule == "squad1":
        if not wanted:
            raise DataError("SQuAD 1.1 has an answer to every question; use the rule squad2")
    else:
        wanted = [found for found in wanted if found] or [()]
    return max(float(words == one) for one in wanted), max(_f1(words, one, rule) for one in wanted)


def _f1(predicted: tuple[str, ...], wanted: tuple[str, ...], rule: AnswerRule) -> float:
    if rule != "squad1" and not (predicted and wanted):
        return float(predicted == wanted)
    same = (Counter(predicted) & Counter(wanted)).total()
    return 2 * same / (len(predicted) + len(wanted)) if same else 0.0


@lru_cache(maxsize=65536)
def answer_words(text: str, rule: AnswerRule = "squad2") -> tuple[str, ...]:
    """The words of an answer that count.

    SQuAD: in lower case, without ASCII punctuation and English articles, between white space. MLQA's, for a language:
    without anything that Unicode calls punctuation, without the language's own articles; and for languages written
    without blanks each character is a word, with the marks on it (MLQA: Chinese, ideographs U+4E00 to U+9FA5; here
    all of its scripts, and also Japanese, Thai, Lao, Khmer and Burmese).
    """
    text = text.lower()
    if not isinstance(rule, Language):
        bare = text.translate(_WITHOUT_ASCII)
        return tuple(ENGLISH_ARTICLES.sub(" ", bare).split())
    bare = "".join(c for c in text.translate(_WITHOUT_ASCII) if not unicodedata.category(c).startswith("P"))
    if rule.iso in ARTICLES:
        bare = ARTICLES[rule.iso].sub(" ", bare)
    if rule.script in ICU_SCRIPTS:
        bare = _CHARACTER.sub(r" \g<0> ", bare)
    return tuple(bare.split())


_WITHOUT_ASCII = str.maketrans("", "", string.punctuation)
