"""Numbers as people read them; names and other text go through `xrealign.escape`."""

from __future__ import annotations

from xrealign.escape import MINUS as MINUS
from xrealign.escape import code_block as code_block
from xrealign.escape import code_span as code_span
from xrealign.escape import latex as latex
from xrealign.escape import markdown as markdown
from xrealign.escape import plain as plain
from xrealign.escape import yaml_scalar as yaml_scalar

MISSING = "–"


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
