"""Line charts and scatter plots whose text keeps its size on any screen: places are shares of the drawing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from xrealign.report.context import BASELINE, REALIGNED
from xrealign.report.format import MINUS, percent, points
from xrealign.report.measures import Measure
from xrealign.report.scale import Scale, scale_for
from xrealign.report.summary import Difference, Summary
from xrealign.report.tables import Column, Table, measure_title

if TYPE_CHECKING:
    from xrealign.report.comparison import TaskComparison

# Lines beyond so many look alike; further ones go into the table only.
COLOURS = 8
_NAMED = 12
# Room of a tag, as shares of the drawing.
_WIDE, _TALL = 0.11, 0.06
_KNOWN = {BASELINE: 0, REALIGNED: 1, "control": 2, "centred": 3}
# Units of a line's path, in either direction, stretched to the drawing.
_UNITS = 1000


@dataclass(frozen=True, slots=True)
class Line:
    """One line: ``colour`` 0 to 7, ``dashed`` for centred vectors, ``path`` in units, ``ends`` (x, y) of its marks."""

    name: str
    colour: int
    dashed: bool
    path: str
    marks: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """``x``, ``y``: (place, text) of the ticks. ``spoken`` says what the lines show; ``table`` holds the numbers."""

    title: str
    x: tuple[tuple[str, str], ...]
    y: tuple[tuple[str, str], ...]
    lines: tuple[Line, ...]
    spoken: str
    table: Table


@dataclass(frozen=True, slots=True)
class Point:
    """What a method changed in one language: ``x`` in a measure of alignment, ``y`` in the task; as shares."""

    tag: str
    name: str
    method: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Dot:
    """A point as it is drawn, at shares of the drawing; ``named`` where there is room for its tag."""

    x: str
    y: str
    tag: str
    text: str
    colour: int
    named: bool


@dataclass(frozen=True, slots=True)
class Scatter:
    """Two differences of each language against each other, Spearman's ρ where it is defined; method → colour."""

    title: str
    x_title: str
    y_title: str
    x: tuple[tuple[str, str], ...]
    y: tuple[tuple[str, str], ...]
    zero: tuple[str, str]
    dots: tuple[Dot, ...]
    methods: tuple[tuple[str, int], ...]
    rho: float | None
    table: Table


def layer_charts(measures: Sequence[Measure]) -> list[Chart]:
    """One chart for each measure known at two or more layers: the mean over all target languages at each layer."""
    found: dict[tuple[str, str], list[Measure]] = {}
    for measure in measures:
        if measure.layer is not None and measure.groups and measure.groups[0].values:
            found.setdefault((measure.task, measure.metric), []).append(measure)
    return [_layer_chart(sorted(rows, key=_layer)) for rows in found.values() if len(rows) > 1]


def _layer(measure: Measure) -> int:
    return measure.layer or 0


def _layer_chart(measures: Sequence[Measure]) -> Chart:
    layers = [_layer(measure) for measure in measures]
    series = dict.fromkeys(cell for measure in measures for cell in measure.groups[0].values)
    values = {cell: [measure.groups[0].values.get(cell) for measure in measures] for cell in series}
    y = scale_for((value for row in values.values() for value in row if value is not None), 7, (0, 1))
    lines = []
    methods = list(dict.fromkeys(method for method, _ in values))
    for (method, variant), row in values.items():
        colour = _colour(method, methods.index(method))
        places = [
            (_share(layer, layers[0], layers[-1]), 1 - _share(value, y.low, y.high), value)
            for layer, value in zip(layers, row, strict=True)
            if value is not None
        ]
        marks = tuple((_length(left), _length(down), percent(value)) for left, down, value in places)
        path = "M" + "L".join(f"{round(_UNITS * left)} {round(_UNITS * down)}" for left, down, _ in places)
        lines.append(Line(f"{method}, {variant}", colour, variant == "centred", path, marks))
    title = measure_title(measures[0]).rsplit(", layer", 1)[0]
    columns = (Column("layer", "layer", "count"), *(Column(f"{m}_{v}", f"{m}, {v}", "share") for m, v in values))
    rows = tuple((layer, *(row[place] for row in values.values())) for place, layer in enumerate(layers))
    spoken = "; ".join(
        f"{line.name}: {line.marks[0][2]} at layer {layers[0]}, {line.marks[-1][2]} at layer {layers[-1]}"
        for line in lines
    )
    step = max(1, math.ceil(len(layers) / 13))
    ticks = [(_length(_share(layer, layers[0], layers[-1])), str(layer)) for layer in layers[::step]]
    return Chart(title, tuple(ticks), _upwards(y), tuple(lines), spoken, Table(f"{title}, by layer", columns, rows))


def last_layers(measures: Sequence[Measure]) -> list[Measure]:
    """Each measure at its highest layer only."""
    last: dict[tuple[str, str], Measure] = {}
    for measure in measures:
        known = last.get((measure.task, measure.metric))
        if known is None or _layer(measure) >= _layer(known):
            last[measure.task, measure.metric] = measure
    return list(last.values())


def transfer_scatters(summary: Summary, measures: Sequence[Measure]) -> list[Scatter]:
    """Transfer against alignment: what realignment changed in a measure and in the task, language by language.

    One plot for each measure and variant of which three languages at least have both.
    """
    changes = {row.language.tag: row.scores.differences.get(BASELINE) for row in summary.languages}
    names = {row.language.tag: row.language.name for row in summary.languages}
    plots = []
    for measure in last_layers(measures):
        for variant in measure.variants:
            points_of = []
            for row in measure.languages:
                change, transfer = row.change(variant), changes.get(row.name)
                if change is not None and transfer is not None:
                    points_of.append(Point(row.name, names.get(row.name, ""), REALIGNED, change, transfer.value))
            if len(points_of) > 2:
                plots.append(_scatter(f"{measure_title(measure)}, {variant}", summary.task, points_of))
    return plots


def comparison_scatters(table: TaskComparison, measures: Sequence[Measure], baseline: str) -> list[Scatter]:
    """The same for every method of a comparison: one dot for each method and language that has both."""
    plots = []
    for measure in last_layers(measures):
        rows = {row.name: row for row in measure.languages}
        for variant in measure.variants:
            points_of = []
            for line in table.languages:
                values = rows[line.language.tag].values if line.language.tag in rows else {}
                before = values.get((baseline, variant))
                for method, found in line.changes.items():
                    after, transfer = values.get((method, variant)), found.get(baseline)
                    if before is not None and after is not None and transfer is not None:
                        tag, name = line.language.tag, line.language.name
                        points_of.append(Point(tag, name, method, after - before, transfer.value))
            if len(points_of) > 2:
                plots.append(_scatter(f"{measure_title(measure)}, {variant}", table.title, points_of))
    return plots


def _scatter(title: str, task: str, found: Sequence[Point]) -> Scatter:
    across = scale_for([0.0, *(point.x for point in found)])
    up = scale_for([0.0, *(point.y for point in found)])
    places = [(_share(one.x, across.low, across.high), 1 - _share(one.y, up.low, up.high)) for one in found]
    zero = _share(0, across.low, across.high), 1 - _share(0, up.low, up.high)
    methods = tuple(dict.fromkeys(point.method for point in found))
    named = _named(places, zero) if len(methods) == 1 else set()
    dots = []
    for number, (one, (x, y)) in enumerate(zip(found, places, strict=True)):
        text = f"{one.name or one.tag}, {one.method}: alignment {points(one.x)}, {task} {points(one.y)} points"
        colour = _colour(one.method, methods.index(one.method))
        dots.append(Dot(_length(x), _length(y), one.tag, text, colour, number in named))
    columns = (
        Column("language", "tag"),
        Column("name", "language"),
        Column("method", "method"),
        Column("alignment", "change of alignment", "change"),
        Column("transfer", f"change of {task}", "change"),
    )
    rows = tuple((one.tag, one.name, one.method, Difference(one.x, None), Difference(one.y, None)) for one in found)
    return Scatter(
        title,
        f"change of {title}, points",
        f"change of {task}, points",
        tuple((across.at(tick), points(tick).removesuffix(".0")) for tick in across.ticks),
        _upwards(up, signed=True),
        (_length(zero[0]), _length(zero[1])),
        tuple(dots),
        tuple((method, _colour(method, place)) for place, method in enumerate(methods)),
        spearman([one.x for one in found], [one.y for one in found]),
        Table(f"{title} against {task}", columns, rows),
    )


def _colour(method: str, place: int) -> int:
    """The known methods keep their colours; others take what is left, in turn."""
    return _KNOWN.get(method, len(_KNOWN) + place % (COLOURS - len(_KNOWN)))


def _named(places: Sequence[tuple[float, float]], zero: tuple[float, float]) -> set[int]:
    """The dots farthest from zero whose tags, written to the right of them, touch no other dot or tag."""
    named: set[int] = set()
    for number in sorted(range(len(places)), key=lambda n: -math.dist(places[n], zero)):
        x, y = places[number]
        near = [other for other in range(len(places)) if other != number and abs(places[other][1] - y) < _TALL]
        if x + _WIDE < 1.05 and not any(
            x - (_WIDE if other in named else 0) < places[other][0] < x + _WIDE for other in near
        ):
            named.add(number)
        if len(named) == _NAMED:
            break
    return named


def spearman(left: Sequence[float], right: Sequence[float]) -> float | None:
    """Spearman's ρ with mean ranks for ties; None where one side does not vary."""
    if len(set(left)) < 2 or len(set(right)) < 2:
        return None
    return float(np.corrcoef(_ranks(left), _ranks(right))[0, 1])


def _ranks(values: Sequence[float]) -> NDArray[np.float64]:
    """Ranks from 1, equal values sharing the mean of theirs. (scipy.stats alone takes a second to load.)"""
    _, place, count = np.unique(np.asarray(values, dtype=np.float64), return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    ranks: NDArray[np.float64] = (last - (count - 1) / 2)[place]
    return ranks


def signed(value: float) -> str:
    """A correlation with two decimals and a proper minus."""
    return f"{value:.2f}".replace("-", MINUS)


def _upwards(scale: Scale, signed: bool = False) -> tuple[tuple[str, str], ...]:
    text = points if signed else percent
    return tuple(
        (_length(1 - _share(tick, scale.low, scale.high)), text(tick).removesuffix(".0")) for tick in scale.ticks
    )


def _share(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low)


def _length(share: float) -> str:
    return f"{100 * share:.2f}%"
