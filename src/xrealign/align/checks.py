"""Whether a sentence is written in the script of the language that was declared for it. No torch."""

from __future__ import annotations

import sys
from collections import Counter
from functools import lru_cache

import numpy as np
import regex
from numpy.typing import NDArray

from xrealign.language import Language, script_names

FEWEST_LETTERS = 5
MOST_LATIN = 0.9
# Unicode scripts of the ISO 15924 codes that are not one themselves.
SCRIPTS = {
    "Hans": ("Hani", "Bopo"), "Hant": ("Hani", "Bopo"), "Hani": ("Hani", "Bopo"), "Jpan": ("Hani", "Hira", "Kana"),
    "Hrkt": ("Hira", "Kana"), "Hang": ("Hang", "Hani"), "Kore": ("Hang", "Hani"), "Aran": ("Arab",),
    "Latf": ("Latn",), "Latg": ("Latn",), "Cyrs": ("Cyrl",), "Geok": ("Geor",), "Syre": ("Syrc",), "Syrj": ("Syrc",),
    "Syrn": ("Syrc",), "Zinh": (), "Zxxx": (), "Zyyy": (), "Zzzz": (),
}  # fmt: skip
_SMALL = regex.compile(r"(?<!\p{L})[\p{Script=Latn}&&\p{Ll}]+(?!\p{L})", regex.V1)
OWN, LATIN, OTHER = 1, 2, 3  # kinds of letters; 0 is what is no letter


def wrong_script(text: str, language: Language) -> str:
    """What is wrong with the script of ``text``, or "".

    It is wrong if it has at least `FEWEST_LETTERS` letters, and more than half of all are of scripts that the language
    is not written in. Names and terms in Latin letters are usual in any script, and long beside Chinese: Latin letters
    are wrong only if they are more than `MOST_LATIN` of all and `FEWEST_LETTERS` of them stand in words without
    capitals. Letters that scripts share count as right. Languages of an unknown script are not checked.
    """
    if language.script == "Latn" and text.isascii():
        return ""
    kinds = _kinds_of_letters(language.script)
    if kinds is None:
        return ""
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    found = kinds[points]
    own, latin, other = np.bincount(found, minlength=4)[OWN:].tolist()
    letters = own + latin + other
    if letters < FEWEST_LETTERS or 2 * own >= letters:
        return ""
    small = sum(map(len, _SMALL.findall(text))) if latin > MOST_LATIN * letters else 0
    if 2 * other <= letters and small < FEWEST_LETTERS:
        return ""
    scripts = Counter(map(_script_of, points[found > OWN].tolist())).most_common(3)
    names = ", ".join(script_names().get(code, code) for code, _ in scripts)
    wanted = script_names().get(language.script, language.script)
    return (
        f"{letters - own} of {letters} letters are {names}, expected {wanted} ({language.tag}); if the text is right, "
        f"declare {language.iso}_{scripts[0][0]}"
    )


@lru_cache(maxsize=1)
def _letters() -> tuple[str, NDArray[np.intp], NDArray[np.uint8]]:
    """All letters, their code points, and by code point whether it is a Latin or another letter. Takes 0.3 s."""
    everything = "".join(map(chr, range(sys.maxunicode + 1)))
    kinds = np.zeros(len(everything), dtype=np.uint8)
    for kind, pattern in ((OTHER, r"\p{L}+"), (LATIN, r"\p{Script=Latn}+")):
        for run in regex.finditer(pattern, everything):
            kinds[run.start() : run.end()] = kind
    points = np.flatnonzero(kinds)
    return "".join(map(chr, points.tolist())), points, kinds


@lru_cache(maxsize=64)
def _kinds_of_letters(script: str) -> NDArray[np.uint8] | None:
    """The kind of every character by code point, seen from a script; None where there is nothing to check."""
    codes = SCRIPTS.get(script, (script,))
    try:
        own = regex.compile("[{}]+".format("".join(rf"\p{{Script={code}}}" for code in (*codes, "Zyyy", "Zinh"))))
    except regex.error:  # a code that is no Unicode script, as for private use
        return None
    if not codes:
        return None
    letters, points, others = _letters()
    kinds = others.copy()
    for run in own.finditer(letters):
        kinds[points[run.start() : run.end()]] = OWN
    return kinds


@lru_cache(maxsize=4096)
def _script_of(point: int) -> str:
    """ISO 15924 code of the script that a letter is of."""
    return next(code for code, pattern in _patterns() if pattern.match(chr(point)))


@lru_cache(maxsize=1)
def _patterns() -> list[tuple[str, regex.Pattern[str]]]:
    """The scripts that Unicode knows."""
    found = []
    for code in script_names():
        try:
            found.append((code, regex.compile(rf"\p{{Script={code}}}")))
        except regex.error:
            continue
    return found
