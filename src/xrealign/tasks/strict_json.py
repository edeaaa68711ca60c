"""JSON as its standard has it, and not what Python's reader takes beside: no NaN, no key twice, no half characters."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

from xrealign.tasks.readers_text import shown

MOST_DIGITS = 1000  # Python refuses 4301 with an error of its own
_BLANK = re.compile(r"[ \t\n\r]*")


def parse_json(text: str) -> Any:
    """What a text in JSON says.

    Raises:
        json.JSONDecodeError: it is none; knows line and column.
        ValueError: it is nested too deeply, a key stands twice in an object, or a number is none (NaN, Infinity, 1e999)
            or has more than `MOST_DIGITS` digits.
    """
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant, parse_float=_float, parse_int=_int)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def told_of(error: ValueError) -> str:
    """What `parse_json` found wrong, in words."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} in column {error.colno}"
    return str(error)


def half_character(text: str) -> str | None:
    r"""Why a JSON string is no text, or None: half of a surrogate pair, or a NUL (``\ud800``, ``\u0000``)."""
    if "\0" in text:
        return "holds a NUL character"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        return f"holds \\u{ord(text[error.start]):04x}, half of a character"
    return None


def line_of(text: str, place: str) -> int:
    """The line of ``data[3].paragraphs[0].id`` in a text that `parse_json` read; of what holds it if it is missing."""
    decoder = json.JSONDecoder()
    at = _skip(text, 0)
    for key, number in re.findall(r"([^.\[\]]+)|\[(\d+)\]", place):
        found = _member(text, at, decoder, key) if key else _item(text, at, decoder, int(number))
        if found is None:
            break
        at = found
    return text.count("\n", 0, at) + 1


def _member(text: str, at: int, decoder: json.JSONDecoder, wanted: str) -> int | None:
    while text[at] in "{,":
        at = _skip(text, at + 1)
        if text[at] == "}":
            return None
        key, at = scanstring(text, at + 1)
        at = _skip(text, _skip(text, at) + 1)
        if key == wanted:
            return at
        at = _skip(text, decoder.raw_decode(text, at)[1])
    return None


def _item(text: str, at: int, decoder: json.JSONDecoder, wanted: int) -> int | None:
    while text[at] in "[,":
        at = _skip(text, at + 1)
        if text[at] == "]":
            return None
        if not wanted:
            return at
        wanted -= 1
        at = _skip(text, decoder.raw_decode(text, at)[1])
    return None


def _skip(text: str, at: int) -> int:
    blank = _BLANK.match(text, at)
    assert blank is not None  # it matches nothing, too
    return blank.end()


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {shown(twice)} stands twice in one object")
    return found


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no number in JSON")


def _float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{shown(text)} is too large a number")
    return value


def _int(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ValueError(f"a number of {len(text):,} digits")
    return int(text)
