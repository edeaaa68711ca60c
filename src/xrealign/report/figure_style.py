"""What all figures share: fonts for every script in use, colours, sizes, and files that come out the same each time."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xrealign.language import Language, script_names
from xrealign.report.format import plain
from xrealign.writing import write_atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("png", "svg", "pdf")
GAIN, LOSS, MARK, BASE, GRID, LAND = "#0a5d9c", "#a8410d", "#767b84", "#3d424a", "#ece8e1", "#ebe7de"
# Colours of lines and dots by number, as on the page: baseline, realigned, control, centred, others.
LINES = (BASE, GAIN, "#6f6200", "#6b7079", "#9c3a86", "#0f7a5a", "#b3261e", "#6a4fb3")
# Colours of differences from the largest loss to the largest gain, as on the page.
SHADES = ("#e58b57", "#eeac83", "#f5ccb0", "#fae6d9", "#ffffff", "#dceaf6", "#b9d6ee", "#8fbfe4", "#64a5d8")
_BUNDLED = "DejaVu Sans"
_LONGEST = 34
_RIGHT_TO_LEFT = ("R", "AL")


@dataclass(frozen=True, slots=True)
class Fonts:
    """``families`` in the order in which a character is looked for; ``known`` are the characters they have.

    ``shapes``: whether joined, stacked and right-to-left writing comes out right (matplotlib with Raqm, 3.11 and on).
    """

    families: tuple[str, ...]
    known: frozenset[str]
    shapes: bool


def fonts_for(texts: Iterable[str]) -> Fonts:
    """The font that comes with matplotlib, and installed ones for the characters that it lacks.

    Of several installed fonts with the same character Noto Sans comes first, then by name.
    """
    from matplotlib import ft2font

    wanted = {char for text in texts for char in plain(text) if not char.isspace()}
    families, known = [_BUNDLED], {char for char in wanted if ord(char) in _characters(_bundled())}
    for name, path in _installed() if wanted - known else ():
        found = {char for char in wanted - known if ord(char) in _characters(path)}
        if found:
            families.append(name)
            known |= found
        if known == wanted:
            break
    return Fonts(tuple(families), frozenset(known), hasattr(ft2font, "__libraqm_version__"))


def label(language: Language, fonts: Fonts) -> str:
    """The language's name, shortened; its tag where a character has no font or would come out wrong."""
    name = plain(language.name)
    if not name or not _drawable(name, fonts):
        return language.tag
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1].rstrip() + "…"


def font_note(languages: Iterable[Language], fonts: Fonts) -> str:
    """A sentence on names that are given as tags, with the scripts that lack a font; empty when there are none."""
    tags = [language for language in languages if language.name and not _drawable(plain(language.name), fonts)]
    if not tags:
        return ""
    scripts = sorted({script_names().get(language.script, language.script) for language in tags})
    return f"No font is installed for names of {', '.join(one.tag for one in tags)} (script: {', '.join(scripts)})."


def _drawable(name: str, fonts: Fonts) -> bool:
    if any(char not in fonts.known for char in name if not char.isspace()):
        return False
    return fonts.shapes or not any(
        unicodedata.bidirectional(char) in _RIGHT_TO_LEFT or unicodedata.combining(char) for char in name
    )


@cache
def _bundled() -> str:
    from matplotlib.font_manager import FontProperties, findfont

    return str(findfont(FontProperties(family=[_BUNDLED])))


@cache
def _characters(path: str) -> frozenset[int]:
    from matplotlib.font_manager import get_font

    return frozenset(get_font(path).get_charmap())


@cache
def _installed() -> tuple[tuple[str, str], ...]:
    """(family, file) of upright, regular installed fonts; each family once."""
    from matplotlib.font_manager import fontManager

    found: dict[str, str] = {}
    for entry in fontManager.ttflist:
        regular = entry.style == "normal" and str(entry.weight) in ("400", "normal", "regular")
        if regular and not entry.name.startswith(("DejaVu", "Last Resort", "STIX", "cm")):
            found.setdefault(entry.name, entry.fname)
    return tuple(sorted(found.items(), key=lambda item: (not item[0].startswith("Noto Sans"), item)))


@contextmanager
def style(fonts: Fonts) -> Iterator[None]:
    """Settings of all figures, for as long as they are drawn and saved."""
    from matplotlib import rc_context

    settings: dict[str, Any] = {
        "font.family": list(fonts.families),
        "font.size": 8,
        "svg.hashsalt": "xrealign",
        "pdf.fonttype": 42,
        "text.usetex": False,
        "text.parse_math": False,
        "axes.edgecolor": MARK,
        "axes.labelcolor": BASE,
        "xtick.color": BASE,
        "ytick.color": BASE,
    }
    with rc_context(settings):
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure in inches, of no window system."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as NewFigure

    figure = NewFigure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, folder: str | Path, name: str, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Writes ``name.png`` and so on, without dates: the same figure gives the same bytes. Returns the files."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    without_date: dict[str, dict[str, Any]] = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    # Places are worked out once: every format would otherwise do it again.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    paths = []
    for kind in formats:
        path = folder / f"{name}.{kind}"
        drawn = io.BytesIO()
        figure.savefig(drawn, format=kind, dpi=160, metadata=without_date[kind])
        write_atomic(path, drawn.getvalue())
        paths.append(path)
    return paths
