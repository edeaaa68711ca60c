"""The figure of a run's languages: from the baseline to the realigned encoder, with the interval of the difference."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from xrealign.report.context import BASELINE, CONTROLS, REALIGNED, metric_name
from xrealign.report.figure_style import BASE, GAIN, GRID, LOSS, MARK, Fonts, font_note, label, new_figure
from xrealign.report.format import plain, points
from xrealign.report.page_heat import Gap
from xrealign.report.scale import scale_for
from xrealign.report.summary import LanguageRow, Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SHAPES = {BASELINE: "o", "centred": "D", "control": "^", REALIGNED: "o"}
_ROW_INCHES = 0.2


def language_figure(summary: Summary, fonts: Fonts) -> Figure:
    """One line for each language, in the summary's order; ``!`` marks one to be careful about."""
    lines = len(summary.languages) + 1.6 * len({row.group for row in summary.languages})
    figure = new_figure(7.4, _ROW_INCHES * lines + 1.2)
    axes = figure.add_subplot()
    heads, rows, end = _places(summary)
    values = [value for row, _ in rows for method, value in row.scores.values.items() if method in _SHAPES]
    scale = scale_for(values, 11, (0, 1))
    pad = 0.015 * (scale.high - scale.low)
    axes.set_xlim(scale.low - pad, scale.high + pad)
    axes.set_ylim(end, 0)
    axes.set_xticks(scale.ticks, [f"{100 * tick:g}" for tick in scale.ticks])
    axes.set_yticks([])
    axes.tick_params(length=0, colors=BASE)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(f"{plain(summary.task).replace('_', ' ')}: {metric_name(summary.metric)}, %", color=BASE)
    across = axes.get_yaxis_transform()
    for name, place in heads:
        axes.text(0, place, plain(name), transform=across, fontsize=9, va="center")
    for row, place in rows:
        name = label(row.language, fonts) + (" !" if row.flags else "")
        axes.text(-0.012, place, name, transform=across, ha="right", va="center", color=BASE)
    _draw_changes(axes, rows)
    for method in (BASELINE, *CONTROLS, REALIGNED):
        if method in summary.methods:
            axes.scatter([], [], label=method, **_mark(method, [GAIN]))
    axes.plot([], [], color=MARK, linewidth=0.8, marker="|", markersize=4, label="95 % interval of the difference")
    axes.legend(loc="lower center", bbox_to_anchor=(0.45, 1.0), ncols=5, frameon=False, fontsize=7.5, handletextpad=0.4)
    note = font_note([row.language for row in summary.languages], fonts)
    if note:
        figure.supxlabel(note, fontsize=7, color=BASE)
    return figure


def _places(summary: Summary) -> tuple[list[tuple[str, float]], list[tuple[LanguageRow, float]], float]:
    """Where each group's name and each language stands, downwards, and where the axis ends."""
    heads, rows, place = [], [], 0.0
    for group, members in groupby(summary.languages, key=lambda row: row.group):
        place += 0.9
        heads.append((group, place))
        for row in members:
            place += 1.0
            rows.append((row, place))
        place += 0.7
    return heads, rows, place + 0.2


def _draw_changes(axes: Axes, rows: list[tuple[LanguageRow, float]]) -> None:
    across = axes.get_yaxis_transform()
    bars: dict[str, list[tuple[float, float, float]]] = {}
    bands: list[tuple[float, float, float]] = []
    marks: dict[str, list[tuple[float, float, str]]] = {}
    for row, place in rows:
        scores, change = row.scores.values, row.scores.differences.get(BASELINE)
        colour = _colour(change)
        for method in _SHAPES:
            if method in scores:
                marks.setdefault(method, []).append((scores[method], place, colour))
        if change is None:
            continue
        base, shown = scores[BASELINE], colour if colour != MARK else BASE
        bars.setdefault(colour, []).append((place, base, scores[REALIGNED]))
        if change.interval is not None:
            bands.append((place, max(0.0, base + change.interval.low), min(1.0, base + change.interval.high)))
        text = points(change.value)
        axes.text(1.06, place, text, transform=across, ha="right", va="center", color=shown, fontsize=7.5)
    for colour, found in bars.items():
        axes.hlines(*zip(*found, strict=True), color=colour, linewidth=2.2, alpha=0.6, zorder=2)
    if bands:
        where, low, high = zip(*bands, strict=True)
        axes.hlines(where, low, high, color=MARK, linewidth=0.8, zorder=1)
        axes.scatter([*low, *high], [*where, *where], marker="|", s=16, color=MARK, linewidths=0.8, zorder=1)
    for method, dots in marks.items():
        value, where, colours = zip(*dots, strict=True)
        axes.scatter(value, where, **_mark(method, list(colours)))


def _mark(method: str, colours: list[str]) -> dict[str, Any]:
    if method == REALIGNED:
        return {"marker": "o", "s": 24, "c": colours, "linewidths": 0, "zorder": 4}
    edge = BASE if method == BASELINE else MARK
    return {
        "marker": _SHAPES[method],
        "s": 15,
        "facecolors": "white",
        "edgecolors": edge,
        "linewidths": 0.9,
        "zorder": 3,
    }


def _colour(change: Gap | None) -> str:
    found = change.interval if change else None
    if found is None:
        return MARK
    return GAIN if found.above_zero else LOSS if found.below_zero else MARK
