"""The per-language plot as PNG, SVG and PDF."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xrealign.report.context import BASELINE, CONTROLS, REALIGNED, metric_name
from xrealign.report.format import plain, points
from xrealign.report.scale import scale_for
from xrealign.report.summary import Difference, LanguageRow, Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = ("png", "svg", "pdf")
_GAIN, _LOSS, _MARK, _BASE, _GRID = "#0a5d9c", "#a8410d", "#767b84", "#3d424a", "#ece8e1"
_SHAPES = {BASELINE: "o", "centred": "D", "control": "^", REALIGNED: "o"}
_LONGEST = 34
_ROW_INCHES = 0.2


def language_figures(summary: Summary, folder: str | Path, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Draws ``languages.png`` and so on: a line from baseline to realigned for each language, with its interval.

    Languages stand in the summary's order. A name that the bundled font cannot draw is replaced by its tag. The
    same scores give the same bytes. Returns the files written.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lines = len(summary.languages) + 1.6 * len({row.group for row in summary.languages})
    settings: dict[str, Any] = {
        "font.family": ["DejaVu Sans"],
        "font.size": 8,
        "svg.hashsalt": "xrealign",
        "pdf.fonttype": 42,
        "text.usetex": False,
        "text.parse_math": False,
    }
    with rc_context(settings):
        figure = Figure(figsize=(7.4, _ROW_INCHES * lines + 1.2), layout="constrained")
        FigureCanvasAgg(figure)
        _draw(figure.add_subplot(), summary)
        paths = []
        for kind in formats:
            path = folder / f"languages.{kind}"
            when: dict[str, Any] = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[kind]
            figure.savefig(path, dpi=160, metadata=when)
            paths.append(path)
    return paths


def drawable(name: str, tag: str) -> str:
    """``name``, shortened, if the font that comes with matplotlib can draw it as it is; else ``tag``.

    Scripts that need shaping or run from right to left would come out wrong even with glyphs for them.
    """
    from matplotlib.font_manager import FontProperties, findfont, get_font

    name = plain(name)
    known = get_font(findfont(FontProperties(family=["DejaVu Sans"]))).get_charmap()
    simple = all(
        ord(char) in known and unicodedata.bidirectional(char) not in ("R", "AL") and not unicodedata.combining(char)
        for char in name
    )
    if not name or not simple:
        return tag
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1].rstrip() + "…"


def _draw(axes: Axes, summary: Summary) -> None:
    place = 0.0
    ticks, labels = [], []
    values: list[float] = []
    for group, rows in groupby(summary.languages, key=lambda row: row.group):
        place += 0.9
        axes.text(0, place, plain(group), transform=axes.get_yaxis_transform(), weight="bold", va="center")
        place += 1.0
        for row in rows:
            _draw_language(axes, row, place)
            values += [value for method, value in row.scores.values.items() if method in _SHAPES]
            ticks.append(place)
            labels.append(drawable(row.language.name, row.language.tag) + (" !" if row.flags else ""))
            place += 1.0
        place -= 0.3
    scale = scale_for(values, 11, (0, 1))
    pad = 0.015 * (scale.high - scale.low)
    axes.set_xlim(scale.low - pad, scale.high + pad)
    axes.set_ylim(place + 0.2, 0)
    axes.set_xticks(scale.ticks, [f"{100 * tick:g}" for tick in scale.ticks])
    axes.set_yticks(ticks, labels)
    axes.tick_params(length=0, colors=_BASE)
    axes.grid(axis="x", color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(f"{summary.task.replace('_', ' ')}: {metric_name(summary.metric)}, %", color=_BASE)
    for method in (BASELINE, *CONTROLS, REALIGNED):
        if method in summary.methods:
            axes.scatter([], [], label=method, **_mark(method, _GAIN))
    axes.plot([], [], color=_MARK, linewidth=0.8, marker="|", markersize=4, label="95 % interval of the difference")
    axes.legend(loc="lower center", bbox_to_anchor=(0.45, 1.0), ncols=5, frameon=False, fontsize=7.5, handletextpad=0.4)


def _draw_language(axes: Axes, row: LanguageRow, place: float) -> None:
    scores = row.scores.values
    change = row.scores.differences.get(BASELINE)
    colour = _colour(change)
    if change is not None:
        base = scores[BASELINE]
        axes.plot([base, scores[REALIGNED]], [place, place], color=colour, linewidth=2.2, alpha=0.6, zorder=2)
        if change.interval is not None:
            ends = [max(0.0, base + change.interval.low), min(1.0, base + change.interval.high)]
            axes.plot(ends, [place, place], color=_MARK, linewidth=0.8, marker="|", markersize=4, zorder=1)
        axes.annotate(
            points(change.value),
            (1, place),
            xycoords=axes.get_yaxis_transform(),
            xytext=(26, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            color=colour if colour != _MARK else _BASE,
            fontsize=7.5,
        )
    for method in _SHAPES:
        if method in scores:
            axes.scatter([scores[method]], [place], **_mark(method, colour))


def _mark(method: str, colour: str) -> dict[str, Any]:
    if method == REALIGNED:
        return {"marker": "o", "s": 24, "color": colour, "linewidths": 0, "zorder": 4}
    edge = _BASE if method == BASELINE else _MARK
    return {
        "marker": _SHAPES[method],
        "s": 15,
        "facecolors": "white",
        "edgecolors": edge,
        "linewidths": 0.9,
        "zorder": 3,
    }


def _colour(change: Difference | None) -> str:
    found = change.interval if change else None
    if found is None:
        return _MARK
    return _GAIN if found.above_zero else _LOSS if found.below_zero else _MARK
