"""Numbers and names as people read them, and text from data made harmless for each output format."""

from __future__ import annotations

import json
import re
import unicodedata

MINUS = "\u2212"
MISSING = "–"
# Line and paragraph separators, controls, surrogates and unassigned code points break tables, YAML or terminals.
_UNPRINTABLE = frozenset({"Cc", "Cs", "Cn", "Co", "Zl", "Zp"})
# Embeddings, overrides and isolates could turn round the text that follows a name.
_BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_MARKDOWN = re.compile(r"([\\`*_\[\]<>|#~$])")
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "%": r"\%",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    MINUS: "$-$",
}


def plain(text: str, keep_lines: bool = False) -> str:
    """``text`` on one line and without control characters or bidirectional overrides.

    Each run of white space becomes one blank, each unprintable character U+FFFD. With ``keep_lines`` line ends
    and blanks stay as they are.
    """
    kept = []
    for char in text.replace("\r\n", "\n").replace("\t", "    ") if keep_lines else " ".join(text.split()):
        if keep_lines and char == "\n":
            kept.append(char)
        elif char in _BIDI_CONTROLS or unicodedata.category(char) in _UNPRINTABLE:
            kept.append("\ufffd")
        else:
            kept.append(char)
    return "".join(kept)


def markdown(text: str) -> str:
    """``text`` as literal Markdown on one line: nothing in it is markup, HTML or a table bar."""
    escaped = _MARKDOWN.sub(r"\\\1", plain(text).replace("&", "&amp;"))
    return re.sub(r"^([+-]|\d+[.)])(?=\s)", r"\\\1", escaped)


def code_span(text: str) -> str:
    """``text`` as a Markdown code span, whatever back-ticks it holds."""
    text = plain(text)
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def code_block(text: str, language: str = "") -> str:
    """``text`` as a fenced Markdown block, whatever fences it holds."""
    text = plain(text, keep_lines=True).strip("\n")
    fence = "`" * max(3, max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def latex(text: str) -> str:
    """``text`` as literal LaTeX."""
    return "".join(_LATEX.get(char, char) for char in plain(text))


def yaml_scalar(value: str | float | int) -> str:
    """``value`` as a double-quoted YAML scalar (JSON is a part of YAML 1.2) or a plain number."""
    return json.dumps(plain(value) if isinstance(value, str) else value, ensure_ascii=False)


def percent(value: float | None) -> str:
    """A share as percent with one decimal, ``58.7``; a dash for None."""
    return MISSING if value is None else _rounded(value, "")


def points(value: float | None) -> str:
    """A difference of shares in percentage points with its sign, ``+3.6``; a dash for None."""
    return MISSING if value is None else _rounded(value, "+")


def interval(low: float, high: float) -> str:
    """An interval of a difference in percentage points, ``+2.1 to +5.0``."""
    return f"{points(low)} to {points(high)}"


def _rounded(value: float, sign: str) -> str:
    text = f"{100 * value:{sign}.1f}"
    return "0.0" if text.lstrip("+-") == "0.0" else text.replace("-", MINUS)


def duration(seconds: float) -> str:
    """Seconds as ``48 s``, ``6 min 04 s`` or ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def size(count: int) -> str:
    """Bytes as ``812 B``, ``4.2 kB``, ``118 MB``, ``1.4 GB`` (powers of ten)."""
    power = min(4, (len(str(count)) - 1) // 3)
    value = count / 1000**power
    unit = ("B", "kB", "MB", "GB", "TB")[power]
    return f"{value:.1f} {unit}" if power and value < 9.95 else f"{value:.0f} {unit}"


def counted(count: int, noun: str) -> str:
    """``1 language``, ``1,200 languages``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
