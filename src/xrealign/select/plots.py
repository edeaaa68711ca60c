"""Pictures of a selection: the typological space, a heat map of distances, a map of the world. All offline."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from xrealign.language import Language
from xrealign.select.criteria import family_of
from xrealign.select.distances import Matrix
from xrealign.select.features import coastline, coordinates
from xrealign.select.selection import Selection
from xrealign.select.task import Task
from xrealign.writing import write_atomic

# Okabe & Ito's colours, told apart by most eyes; what has no colour of its own is grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31", "#000000")
GREY = "#B5B5B5"
WATER, LAND = "#FFFFFF", "#9A9A9A"


def place_in_plane(distances: Matrix) -> Matrix:
    """Classical scaling (Torgerson 1952): (N, 2) points whose distances come close to ``distances``.

    The sign of each axis is set so that its largest coordinate is positive.
    """
    n = len(distances)
    centring = np.eye(n) - 1 / n
    values, vectors = np.linalg.eigh(-0.5 * centring @ distances**2 @ centring)
    points: Matrix = vectors[:, ::-1][:, :2] * np.sqrt(np.maximum(values[::-1][:2], 0))
    if points.shape[1] < 2:
        points = np.hstack([points, np.zeros((n, 2 - points.shape[1]))])
    for axis in range(2):
        if points[np.abs(points[:, axis]).argmax(), axis] < 0:
            points[:, axis] *= -1
    return points


def explained(distances: Matrix) -> float:
    """Share of the positive eigenvalues that the first two axes of classical scaling carry."""
    n = len(distances)
    centring = np.eye(n) - 1 / n
    values = np.maximum(np.linalg.eigvalsh(-0.5 * centring @ distances**2 @ centring), 0)
    return float(values[-2:].sum() / max(values.sum(), 1e-12))


def _figure(width: float, height: float) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(width, height), dpi=150, layout="constrained")
    return figure, axes


def _save(figure: Any, path: Path) -> Path:
    import matplotlib.pyplot as plt

    drawn = io.BytesIO()
    figure.savefig(drawn, format=path.suffix[1:], metadata={"Software": None} if path.suffix == ".png" else None)
    plt.close(figure)
    write_atomic(path, drawn.getvalue())
    return path


def _family_colours(languages: list[Language], subset: list[Language]) -> dict[str, str]:
    """A colour for each of the families with most members; chosen ones go first."""
    chosen = [family_of(language) for language in subset]
    count: dict[str, int] = {}
    for language in languages:
        count[family_of(language)] = count.get(family_of(language), 0) + 1
    order = sorted(count, key=lambda name: (-chosen.count(name), -count[name], name))
    return {name: COLOURS[rank] if rank < len(COLOURS) else GREY for rank, name in enumerate(order)}


def plot_space(task: Task, selection: Selection, path: str | Path) -> Path:
    """The candidates in two dimensions, coloured by family, the chosen ones ringed and named."""
    languages = [*task.languages, *task.fixed]
    place = {language: index for index, language in enumerate(task.distances.languages)}
    rows = np.array([place[language] for language in languages], dtype=np.int64)
    matrix = task.distances.matrix[np.ix_(rows, rows)]
    points = place_in_plane(matrix)
    colours = _family_colours(languages, selection.subset)
    figure, axes = _figure(8.5, 6.2)
    small = len(languages) > 300
    axes.scatter(
        points[:, 0],
        points[:, 1],
        s=8 if small else 22,
        c=[colours[family_of(language)] for language in languages],
        alpha=0.5 if small else 0.8,
        linewidths=0,
    )
    index = {language: number for number, language in enumerate(languages)}
    for language in [*selection.subset, *task.fixed]:
        x, y = points[index[language]]
        marker = "s" if language in task.fixed else "o"
        axes.scatter([x], [y], s=70, marker=marker, facecolors="none", edgecolors="black", linewidths=1.4, zorder=3)
    named = languages if len(languages) <= 80 else [*selection.subset, *task.fixed]
    inside = {*selection.subset, *task.fixed}
    for language in named:
        if language not in inside:
            x, y = points[index[language]]
            axes.annotate(
                language.iso, (x, y), xytext=(3, 2), textcoords="offset points", fontsize=6, color="#666666", zorder=2
            )
    bold = sorted(inside)
    _label_points(axes, points[[index[language] for language in bold]], [x.iso for x in bold], "bold")
    handles = [axes.scatter([], [], s=28, c=colour, label=name) for name, colour in colours.items() if colour != GREY]
    if GREY in colours.values():
        handles.append(axes.scatter([], [], s=28, c=GREY, label="other families"))
    handles.append(axes.scatter([], [], s=60, facecolors="none", edgecolors="black", label="chosen"))
    if task.fixed:
        handles.append(axes.scatter([], [], s=60, marker="s", facecolors="none", edgecolors="black", label="fixed"))
    figure.legend(handles=handles, loc="outside right upper", fontsize=8, frameon=False)
    axes.set_title(f"{len(selection.subset)} of {len(task.languages)} languages by {selection.criterion}", fontsize=11)
    axes.set_xlabel(f"classical scaling of {selection.distance}: {explained(matrix):.0%} of the variation", fontsize=9)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_aspect("equal")
    return _save(figure, Path(path))


def _label_points(axes: Any, points: Matrix, texts: list[str], weight: str) -> None:
    """Writes each text on the side of its point that is farthest from labels and points written before."""
    if not len(points):
        return
    left, right = axes.get_xlim()
    unit = (right - left) / 60  # about the height of a letter
    sides = {"left": (1.2, 0.6), "right": (-1.2, 0.6), "low left": (1.2, -1.3), "low right": (-1.2, -1.3)}
    taken = [*points.tolist()]
    for (x, y), text in zip(points.tolist(), texts, strict=True):
        best, room = "left", -1.0
        for side, (dx, dy) in sides.items():
            middle = (x + (dx + np.sign(dx) * 1.2) * unit, y + dy * unit)
            others = [p for p in taken if p != [x, y]]
            near = min((float(np.hypot(middle[0] - a, middle[1] - b)) for a, b in others), default=1e9)
            if min(near, 3.5 * unit) > room + 1e-9:
                best, room = side, min(near, 3.5 * unit)
        dx, dy = sides[best]
        taken.append([x + (dx + np.sign(dx) * 1.2) * unit, y + dy * unit])
        align = "left" if dx > 0 else "right"
        axes.annotate(
            text,
            (x + dx * unit * 0.6, y + dy * unit * 0.6),
            fontsize=8.5,
            fontweight=weight,
            ha=align,
            va="center",
            zorder=5,
        )


def plot_heat(task: Task, selection: Selection, path: str | Path) -> Path:
    """Distances between the chosen, fixed and target languages as a heat map with numbers."""
    languages = list(dict.fromkeys([*selection.subset, *task.fixed, *task.targets]))
    place = {language: index for index, language in enumerate(task.distances.languages)}
    rows = np.array([place[language] for language in languages], dtype=np.int64)
    matrix = task.distances.matrix[np.ix_(rows, rows)]
    shown = np.where(np.eye(len(languages), dtype=bool), np.nan, matrix)
    size = max(3.5, 0.36 * len(languages) + 1.8)
    figure, axes = _figure(size + 0.9, size)
    image = axes.imshow(shown, cmap="viridis")
    labels = [_label(language, task) for language in languages]
    axes.set_xticks(range(len(languages)), labels, rotation=90, fontsize=8)
    axes.set_yticks(range(len(languages)), labels, fontsize=8)
    if 1 < len(languages) <= 24:
        middle = (np.nanmin(shown) + np.nanmax(shown)) / 2
        for row in range(len(languages)):
            for column in range(len(languages)):
                if row != column:
                    colour = "black" if shown[row, column] > middle else "white"
                    text = f"{shown[row, column]:.2f}".lstrip("0")
                    axes.text(column, row, text, ha="center", va="center", fontsize=6, color=colour)
    figure.colorbar(image, ax=axes, shrink=0.8).set_label(selection.distance, fontsize=9)
    axes.set_title("Distances in the subset", fontsize=11)
    return _save(figure, Path(path))


def _label(language: Language, task: Task) -> str:
    if language in task.fixed:
        return f"{language.iso} (fixed)"
    return f"{language.iso} (target)" if language in task.targets else language.iso


def plot_map(task: Task, selection: Selection, path: str | Path) -> Path:
    """Chosen, fixed, target and other candidate languages on a map of the world (Robinson-like, coarse coasts)."""
    figure, axes = _figure(10, 5.4)
    for ring in coastline():
        jumps = np.flatnonzero(np.abs(np.diff(ring[:, 0])) > 180) + 1  # across the date line
        for piece in np.split(ring, jumps):
            x, y = _project(piece[:, 1], piece[:, 0])
            axes.plot(x, y, color=LAND, linewidth=0.5, zorder=1)
    for longitude in range(-180, 181, 60):
        latitudes = np.linspace(-85, 85, 60)
        axes.plot(*_project(latitudes, np.full(60, float(longitude))), color="#E4E4E4", linewidth=0.4, zorder=0)
    for latitude in (-60, -30, 0, 30, 60):
        longitudes = np.linspace(-180, 180, 120)
        axes.plot(*_project(np.full(120, float(latitude)), longitudes), color="#E4E4E4", linewidth=0.4, zorder=0)
    groups = [
        ("candidate", [x for x in task.languages if x not in set(selection.subset)], ".", "#8FB8DE", 14, False),
        ("target", task.targets, "^", "#D55E00", 46, True),
        ("fixed", task.fixed, "s", "#000000", 40, True),
        ("chosen", selection.subset, "o", "#0072B2", 46, True),
    ]
    without: list[str] = []
    labelled: list[tuple[float, float, str]] = []
    for name, members, marker, colour, size, named in groups:
        if not members:
            continue
        places = coordinates(members)
        known = np.asarray(~np.isnan(places).any(axis=1))
        located = [member for member, here in zip(members, known.tolist(), strict=True) if here]
        x, y = _project(places[known, 0], places[known, 1])
        axes.scatter(x, y, marker=marker, c=colour, s=size, label=name, zorder=3 if named else 2, linewidths=0)
        if named:
            labelled += [(px, py, m.iso) for m, px, py in zip(located, x.tolist(), y.tolist(), strict=True)]
            without += [member.iso for member in members if member not in located]
    axes.set_aspect("equal")
    axes.set_axis_off()
    _label_points(axes, np.array([item[:2] for item in labelled]), [item[2] for item in labelled], "normal")
    title = f"{len(selection.subset)} of {len(task.languages)} languages by {selection.criterion}"
    if without:
        title += f"; no coordinates: {', '.join(without)}"
    axes.set_title(title, fontsize=11)
    figure.legend(loc="outside lower center", ncols=4, fontsize=9, frameon=False)
    return _save(figure, Path(path))


def _project(latitude: Matrix, longitude: Matrix) -> tuple[Matrix, Matrix]:
    """Natural Earth projection (Patterson 2012; polynomial of Šavrič et al. 2011)."""
    phi, lam = np.radians(latitude), np.radians(longitude)
    p2 = phi**2
    p4 = p2**2
    x = lam * (0.870700 - 0.131979 * p2 - 0.013791 * p4 + 0.003971 * p2 * p4**2 - 0.001529 * p4**3)
    y = phi * (1.007226 + 0.015085 * p2 - 0.044475 * p2 * p4 + 0.028874 * p4**2 - 0.005916 * p4**2 * p2)
    return x, y


PLOTS = {"space": plot_space, "heat": plot_heat, "map": plot_map}
