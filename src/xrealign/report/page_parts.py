"""What all pages share: one self-contained file, no network, scripts and styles by hash only, text that stays text."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from xrealign.report.context import metric_name
from xrealign.report.format import counted, duration, interval, percent, plain, points, size
from xrealign.report.page_chart import signed
from xrealign.report.page_heat import Gap
from xrealign.report.page_map import world
from xrealign.report.tables import cell_text, spread_text
from xrealign.report.verdict import judge

_TEMPLATES = Path(__file__).parent / "templates"
_JOINTS = re.compile(r"([_+/]|(?<=\w)-(?=\w))")


def render(template: str, **values: Any) -> str:
    """A page from its template, with the style, the script and a policy that allows these two and nothing else."""
    style, script = source("report.css"), source("report.js")
    return (
        _environment()
        .get_template(template)
        .render(style=Markup(style), script=Markup(script), policy=policy(style, script), **values)
    )


@cache
def source(name: str) -> str:
    """A file that lies beside the templates."""
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def policy(style: str, script: str) -> str:
    """A content security policy that allows this style and this script and nothing else."""
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src '{_digest(style)}'",
            f"script-src '{_digest(script)}'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Every text that is not markup of ours loses control characters here and is escaped after that.
        finalize=lambda value: value if not isinstance(value, str) or isinstance(value, Markup) else plain(value),
    )
    environment.filters.update(
        percent=percent,
        points=points,
        duration=duration,
        size=size,
        cell=cell_text,
        metric=metric_name,
        spread=spread_text,
        judge=judge,
        breaks=breaks,
        signed=signed,
        raw=raw,
        block=lambda text: Markup(escape(plain(text, keep_lines=True))),
    )
    environment.globals.update(counted=counted, range_text=range_text, tone=tone, world=world)
    return environment


def breaks(text: str) -> Markup:
    """``text``, escaped, which may be broken after joints such as ``_``: names of methods are long."""
    return Markup(_JOINTS.sub(r"\1<wbr>", str(escape(plain(text)))))


def raw(value: float | None) -> str:
    """A value that scripts sort by, in as few digits as tell it from its neighbours; empty for None."""
    return "" if value is None else f"{value:.6g}"


def tone(difference: Gap | None) -> str:
    """``up`` or ``down`` where the interval is clear of zero, else ``flat``."""
    found = difference.interval if difference else None
    if found is None:
        return "flat"
    return "up" if found.above_zero else "down" if found.below_zero else "flat"


def range_text(difference: Gap | None) -> str:
    """The interval in points, empty where there is none."""
    found = difference.interval if difference else None
    return interval(found.low, found.high) if found else ""
