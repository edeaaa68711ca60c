"""A matrix of languages as a picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xrealign.writing import write_atomic

Array = np.ndarray[Any, Any]


def similarity_picture(languages: Sequence[str], matrix: Array, title: str, path: Path) -> None:
    """Draws similarities (L, L) as a heat map with the numbers in it; .png, .svg or .pdf by the ending of ``path``.

    Languages stand in an order that puts like ones together (average linkage on 1 − similarity). Colours span the
    similarities of different languages; the same input gives the same bytes.
    """
    from matplotlib import colormaps, rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    order = like_together(matrix)
    shown = matrix[np.ix_(order, order)]
    count = len(order)
    others = shown[~np.eye(count, dtype=bool)]
    low, high = (float(others.min()), float(others.max())) if len(others) else (0.0, 1.0)
    high = high if high > low else low + 1e-6
    size = 1.8 + 0.55 * count
    with rc_context({"font.family": ["DejaVu Sans"], "font.size": 8, "svg.hashsalt": "xrealign", "pdf.fonttype": 42}):
        figure = Figure(figsize=(size + 0.9, size), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        colours = colormaps["cividis"]
        masked = np.ma.array(shown, mask=np.eye(count, dtype=bool))
        image = axes.imshow(masked, cmap=colours, vmin=low, vmax=high)
        axes.set_xticks(range(count), [languages[n] for n in order], rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(count), [languages[n] for n in order])
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        for i in range(count):
            for j in range(count):
                if i != j:
                    dark = (shown[i, j] - low) / (high - low) < 0.55
                    text = f"{shown[i, j]:.2f}"
                    axes.text(j, i, text, ha="center", va="center", fontsize=7, color="white" if dark else "black")
        axes.set_title(title, loc="left", fontsize=9)
        figure.colorbar(image, ax=axes, shrink=0.8, label="mean cosine of translations")
        when = {".png": {"Software": None}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
        drawn = io.BytesIO()
        figure.savefig(drawn, format=path.suffix[1:], dpi=160, metadata=when.get(path.suffix))
        write_atomic(path, drawn.getvalue())


def like_together(matrix: Array) -> list[int]:
    """An order of the rows of similarities (L, L) in which like ones are neighbours: leaves of average linkage."""
    if len(matrix) < 3:
        return list(range(len(matrix)))
    from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
    from scipy.spatial.distance import squareform

    distances = np.maximum(1 - (matrix + matrix.T) / 2, 0)
    np.fill_diagonal(distances, 0)
    flat = squareform(distances, checks=False)
    return [int(n) for n in leaves_list(optimal_leaf_ordering(linkage(flat, "average"), flat))]
