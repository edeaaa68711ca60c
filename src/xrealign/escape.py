"""Text from data made harmless for where it is shown: terminals, Markdown, LaTeX, YAML, CSV, JSON.

HTML is escaped by the page's templates. What is shown to people goes through one of these; files of data that programs
read back (Parquet, JSON lines, scores.csv) hold text as it is.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

MINUS = "\u2212"
# Line and paragraph separators, controls, surrogates and unassigned code points break tables, YAML or terminals; format
# characters turn round the text that follows a name, or hide in it. Joiners and Arabic number signs are spelling.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp"})
_SPELLING = frozenset("\u200c\u200d\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u08e2")
_FORMULA = re.compile(r"['\s\0\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[-+\u2212]?\d[\d,]*(\.\d+)?(e[-+]?\d+)?", re.IGNORECASE)
# A line inside a word is no emphasis: `eng_Latn` stays as it is.
_MARKDOWN = re.compile(r"([\\`*\[\]<>|#~$@]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=(?<![^\W_])[wW]{3})\.)")
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
    """``text`` on one line and without control characters, direction marks and others that nobody sees.

    Each run of white space becomes one blank, each unprintable character U+FFFD. With ``keep_lines`` line ends
    and blanks stay as they are.
    """
    kept = []
    for char in text.replace("\r\n", "\n").replace("\t", "    ") if keep_lines else " ".join(text.split()):
        if keep_lines and char == "\n":
            kept.append(char)
        else:
            kept.append("\ufffd" if _is_unseen(char) else char)
    return "".join(kept)


def _is_unseen(char: str) -> bool:
    return not char.isprintable() and unicodedata.category(char) in _UNSEEN and char not in _SPELLING


def markdown(text: str) -> str:
    """``text`` as literal Markdown on one line: nothing in it is markup, HTML, a table bar or an address to follow."""
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
    """``text`` as literal LaTeX; at the beginning of a row ``[`` and ``*`` would be taken by the line break before."""
    made = "".join(_LATEX.get(char, char) for char in plain(text))
    return "{}" + made if made.startswith(("[", "*")) else made


def yaml_scalar(value: str | float | int) -> str:
    """``value`` as a double-quoted YAML scalar (JSON is a part of YAML 1.2) or a plain number."""
    return json.dumps(plain(value) if isinstance(value, str) else value, ensure_ascii=False)


def csv_cell(text: str) -> str:
    """``text`` that no spreadsheet takes for a formula: an apostrophe before ``= + - @`` unless it is a number."""
    text = plain(text)
    return text if _NUMBER.fullmatch(text) else str(guarded(text))


def guarded(value: Any) -> Any:
    """A value for a file of data that spreadsheets may open too: as it is, but for an apostrophe before text that would
    be a formula; `unguarded` takes it away again."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def unguarded(text: str) -> str:
    """What `guarded` was given."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text[1:]) else text


def json_text(content: Any) -> str:
    """``content`` as JSON over several lines in which every character that cannot be seen is an escape: the same JSON,
    without orders to a terminal."""
    text = json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False)
    return text if text.isprintable() else "".join(map(_json_character, text))


def _json_character(char: str) -> str:
    if char == "\n" or not _is_unseen(char):
        return char
    code = ord(char)
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
