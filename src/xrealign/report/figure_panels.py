"""Figures of what the pages show: heat map, world map, curves by layer, transfer against alignment."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from xrealign.language import Language
from xrealign.report.figure_style import (
    BASE,
    GAIN,
    GRID,
    LAND,
    LINES,
    MARK,
    SHADES,
    Fonts,
    font_note,
    label,
    new_figure,
)
from xrealign.report.format import plain, points
from xrealign.report.page_chart import Chart, Scatter, signed
from xrealign.report.page_heat import Gap, Heat
from xrealign.report.page_map import coasts, graticule, places, world
from xrealign.report.page_shade import STEPS, Shading, shading_for
from xrealign.report.summary import Difference

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROW, _WIDEST_NAME = 0.19, 26


def heat_figure(heat: Heat, languages: Mapping[str, Language], fonts: Fonts) -> Figure:
    """Rows × methods as coloured cells with their numbers; parts (families) are parted by a gap and named.

    ``languages``: tag → language, for the rows that are languages.
    """
    columns = [_folded(column) for column in heat.columns]
    parts = [len(list(rows)) for _, rows in groupby(heat.rows, key=lambda row: row.entry.part)]
    height = _ROW * (len(heat.rows) + 0.5 * len(parts)) + 0.16 * max(name.count("\n") + 1 for name in columns) + 1.0
    figure = new_figure(3.4 + max(0.62, 1.3 / max(1, len(columns))) * len(columns), height)
    axes = figure.add_subplot()
    across = axes.get_yaxis_transform()
    place = 0.0
    for part, rows in groupby(heat.rows, key=lambda row: row.entry.part):
        found = list(rows)
        shades = [[_shade_number(cell.shade) for cell in row.cells] for row in found]
        axes.pcolormesh(
            np.arange(len(columns) + 1) - 0.5,
            place + np.arange(len(found) + 1) - 0.5,
            np.array([[_rgb(SHADES[number]) for number in row] for row in shades]),
            edgecolors="white",
            linewidth=0.6,
        )
        for offset, row in enumerate(found):
            for column, cell in enumerate(row.cells):
                text = cell.text + ("*" if cell.sure else "")
                axes.text(column, place + offset, text, ha="center", va="center", fontsize=6)
            known = languages.get(row.entry.detail)
            name = label(known, fonts) if known else plain(row.entry.name)
            axes.text(-0.01, place + offset, name, transform=across, ha="right", va="center", fontsize=7, color=BASE)
        middle = place + (len(found) - 1) / 2
        axes.text(1.01, middle, plain(part), transform=across, va="center", fontsize=6.5, color=MARK)
        place += len(found) + 0.5
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(place - 0.9, -0.6)
    axes.set_xticks(range(len(columns)), columns, fontsize=6.5)
    axes.xaxis.tick_top()
    axes.set_yticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    text = f"{plain(heat.title)}: points against {plain(heat.reference)}; * where the 95 % interval leaves out zero"
    note = font_note([languages[row.entry.detail] for row in heat.rows if row.entry.detail in languages], fonts)
    figure.supxlabel("\n".join(_wrapped(text, 90) + ([note] if note else [])), fontsize=7, color=BASE)
    return figure


def map_figure(
    title: str, changes: Mapping[Language, Gap], ringed: Collection[str] = (), shading: Shading | None = None
) -> Figure | None:
    """A dot for each language on a map of the world; None where no language has coordinates."""
    from matplotlib.collections import LineCollection, PolyCollection

    known, missing = places(sorted(changes, key=lambda one: (abs(changes[one].value), one.tag)))
    if not known:
        return None
    shading = shading or shading_for(change.value for change in changes.values())
    ratio = world().height / world().width
    figure = new_figure(7.4, 7.4 * ratio + 0.7)
    axes = figure.add_subplot()
    scaled = [line * (1, ratio) for line in graticule()]
    axes.add_collection(LineCollection(scaled, colors=GRID, linewidths=0.5, zorder=0))
    land = [ring * (1, ratio) for ring in coasts()]
    axes.add_collection(PolyCollection(land, facecolors=LAND, linewidths=0, zorder=1))
    shades = [SHADES[_shade_number(shading.step(changes[place.language].value))] for place in known]
    rings = [place.language.tag in ringed for place in known]
    axes.scatter(
        [place.x for place in known],
        [place.y * ratio for place in known],
        s=[34 if ring else 22 for ring in rings],
        c=shades,
        edgecolors=["black" if ring else MARK for ring in rings],
        linewidths=[1.3 if ring else 0.5 for ring in rings],
        zorder=3,
    )
    for name, text in shading.legend():
        axes.scatter([], [], s=22, color=SHADES[_shade_number(name)], edgecolors=MARK, linewidths=0.5, label=text)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=2 * STEPS + 1, frameon=False, handletextpad=0)
    axes.set_xlim(-0.005, 1.005)
    axes.set_ylim(1.005 * ratio, -0.005)
    axes.set_aspect("equal")
    axes.set_axis_off()
    left_out = f"; no coordinates: {', '.join(one.tag for one in missing)}" if missing else ""
    axes.set_title("\n".join(_wrapped(f"{plain(title)}, points{left_out}", 110)), fontsize=8, color=BASE)
    return figure


def layers_figure(charts: Sequence[Chart]) -> Figure:
    """Measures by layer, a panel for each; dashed lines are centred vectors."""
    from matplotlib.ticker import MaxNLocator

    figure, panels = _panels(len(charts))
    for chart, axes in zip(charts, panels, strict=True):
        layers = [float(row[0]) for row in chart.table.rows]  # type: ignore[arg-type]
        for number, line in enumerate(chart.lines, 1):
            values = [np.nan if row[number] is None else 100 * float(row[number]) for row in chart.table.rows]  # type: ignore[arg-type]
            dashes = "--" if line.dashed else "-"
            axes.plot(
                layers,
                values,
                dashes,
                color=LINES[line.colour],
                linewidth=1.3,
                marker="o",
                markersize=2.5,
                label=plain(line.name),
            )
        axes.set_xlabel("layer")
        axes.set_ylabel(f"{plain(chart.title)}, %")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _plain_axes(axes)
        axes.legend(frameon=False, fontsize=6.5)
    return figure


def transfer_figure(scatters: Sequence[Scatter]) -> Figure:
    """What changed in a measure against what changed in the task, a panel for each measure and variant."""
    figure, panels = _panels(len(scatters))
    for plot, axes in zip(scatters, panels, strict=True):
        axes.axhline(0, color=MARK, linewidth=0.7)
        axes.axvline(0, color=MARK, linewidth=0.7)
        for method, colour in plot.methods:
            rows = [row for row in plot.table.rows if row[2] == method]
            pairs = [(100 * _value(row[3]), 100 * _value(row[4])) for row in rows]
            across, up = zip(*pairs, strict=True)
            axes.scatter(across, up, s=11, color=LINES[colour], alpha=0.75, linewidths=0, label=plain(method))
        for dot, row in zip(plot.dots, plot.table.rows, strict=True):
            if dot.named:
                place = (100 * _value(row[3]), 100 * _value(row[4]))
                axes.annotate(dot.tag[:3], place, xytext=(3, -2), textcoords="offset points", fontsize=6, color=BASE)
        axes.set_xlabel("\n".join(_wrapped(plain(plot.x_title), 48)))
        axes.set_ylabel(plain(plot.y_title))
        if plot.rho is not None:
            axes.set_title(f"ρ = {signed(plot.rho)}, {len(plot.dots)} dots", fontsize=7, color=BASE)
        if len(plot.methods) > 1:
            axes.legend(frameon=False, fontsize=6)
        _plain_axes(axes)
    return figure


def methods_figure(title: str, reference: str, changes: Mapping[str, Gap]) -> Figure:
    """Each method's mean difference to ``reference`` with its interval, the largest on top."""
    order = sorted(changes, key=lambda method: changes[method].value)
    figure = new_figure(7.4, 0.24 * len(order) + 1.0)
    axes = figure.add_subplot()
    axes.axvline(0, color=MARK, linewidth=0.8)
    for place, method in enumerate(order):
        change, found = changes[method], changes[method].interval
        colour = MARK if found is None else GAIN if found.above_zero else LINES[6] if found.below_zero else MARK
        if found is not None:
            axes.plot([100 * found.low, 100 * found.high], [place, place], color=MARK, linewidth=1)
        axes.scatter([100 * change.value], [place], s=24, color=colour, zorder=3, linewidths=0)
        axes.annotate(
            points(change.value),
            (1, place),
            xycoords=axes.get_yaxis_transform(),
            xytext=(26, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=7,
        )
    axes.set_yticks(range(len(order)), [plain(method) for method in order])
    axes.set_xlabel(f"{plain(title)}: points against {plain(reference)}, 95 % intervals")
    _plain_axes(axes)
    return figure


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    columns = min(2, count)
    rows = math.ceil(count / 2)
    figure = new_figure(3.7 * columns if columns > 1 else 5.2, 2.7 * rows)
    return figure, [figure.add_subplot(rows, columns, number + 1) for number in range(count)]


def _plain_axes(axes: Axes) -> None:
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _value(cell: object) -> float:
    assert isinstance(cell, Difference)
    return cell.value


def _shade_number(name: str) -> int:
    return STEPS if name == "none" else STEPS + int(name[1:])


def _rgb(colour: str) -> tuple[float, ...]:
    return tuple(int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))


def _folded(name: str) -> str:
    """A method's name in lines of a dozen characters, broken after its joints."""
    lines = [""]
    for piece in plain(name).replace("_", "_\n").replace(" ", "\n").split("\n"):
        if lines[-1] and len(lines[-1]) + len(piece) > 12:
            lines.append("")
        lines[-1] += piece
    return "\n".join(line[:_WIDEST_NAME] for line in lines)


def _wrapped(text: str, width: int) -> list[str]:
    import textwrap

    return textwrap.wrap(text, width) or [""]
