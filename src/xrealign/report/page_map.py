"""A map of the world with a dot for each language: where gains lie, drawn without a network."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from xrealign.language import Language
from xrealign.report.format import counted, interval, points
from xrealign.report.page_heat import Gap, search_text
from xrealign.report.page_shade import Shading, shading_for
from xrealign.select.features import coastline, coordinates

# The Bering Strait, where the map is cut, so that no land but Antarctica lies on both edges.
MIDDLE = 11.0
SOUTH, NORTH = -57.0, 84.0
# Width of the drawing in units; a unit is less than a pixel on any screen.
WIDTH = 1600
_POLYNOMIAL = (1.340264, -0.081106, 0.000893, 0.003796)


@dataclass(frozen=True, slots=True)
class World:
    """``land``: the land as the ``d`` of an SVG path; ``lines``: meridians and parallels; both in units."""

    width: int
    height: int
    land: str
    lines: str


@dataclass(frozen=True, slots=True)
class Place:
    """One language: its place as shares of the map's width and height, from the upper left corner."""

    language: Language
    x: float
    y: float


def project(latitude: NDArray[np.float64], longitude: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 2) x and y on the Equal Earth projection (Šavrič, Patterson & Jenny 2018, eqs. 5 and 6), in radii.

    Areas keep their proportions, so dots lie as dense as languages do. Degrees in; ``MIDDLE`` is the middle meridian.
    """
    a1, a2, a3, a4 = _POLYNOMIAL
    lam = np.radians((longitude - MIDDLE + 180) % 360 - 180)
    return _equal_earth(np.radians(latitude), lam, a1, a2, a3, a4)


def _equal_earth(
    phi: NDArray[np.float64], lam: NDArray[np.float64], a1: float, a2: float, a3: float, a4: float
) -> NDArray[np.float64]:
    theta = np.arcsin(np.sqrt(3) / 2 * np.sin(phi))
    t2 = theta**2
    t6 = t2**3
    x = 2 * np.sqrt(3) * lam * np.cos(theta) / (3 * (9 * a4 * t6 * t2 + 7 * a3 * t6 + 3 * a2 * t2 + a1))
    y = theta * (a4 * t6 * t2 + a3 * t6 + a2 * t2 + a1)
    found: NDArray[np.float64] = np.stack([x, y], axis=-1)
    return found


@cache
def _frame() -> tuple[float, float, float]:
    """Half the width of the drawing, its upper and its lower end, in radii."""
    right = _equal_earth(np.zeros(1), np.array([np.pi]), *_POLYNOMIAL)[0, 0]
    ends = project(np.array([NORTH, SOUTH]), np.full(2, MIDDLE))
    return float(right), float(ends[0, 1]), float(ends[1, 1])


def places(languages: Sequence[Language]) -> tuple[list[Place], list[Language]]:
    """The languages that have coordinates (Glottolog's), with their places, and those that have none."""
    if not languages:
        return [], []
    found = coordinates(languages)
    shares = _shares(project(found[:, 0], found[:, 1]))
    known = [Place(language, float(x), float(y)) for language, (x, y) in zip(languages, shares, strict=True) if x == x]
    located = {place.language for place in known}
    return known, [language for language in languages if language not in located]


def _shares(points: NDArray[np.float64]) -> NDArray[np.float64]:
    right, top, bottom = _frame()
    shares: NDArray[np.float64] = np.stack(
        [(points[:, 0] + right) / (2 * right), (top - points[:, 1]) / (top - bottom)], axis=-1
    )
    return shares


def coasts() -> list[NDArray[np.float64]]:
    """Rings of land as shares of the drawing, (N, 2) each; Antarctica is left out (Natural Earth 1:110m)."""
    rings = []
    for longitude, latitude in (ring.T for ring in coastline()):
        if latitude.min() < SOUTH - 3:
            continue
        longitude = np.unwrap(longitude, period=360)
        longitude = longitude - 360 * np.round((longitude.mean() - MIDDLE) / 360)
        projected = _equal_earth(np.radians(latitude), np.radians(longitude - MIDDLE), *_POLYNOMIAL)
        rings.append(_shares(projected))
    return rings


def graticule() -> list[NDArray[np.float64]]:
    """Meridians and parallels every 30 degrees, as shares of the drawing."""
    latitudes, longitudes = np.linspace(SOUTH, NORTH, 24), np.linspace(-179.9, 179.9, 2)
    lines = [project(latitudes, np.full(24, MIDDLE + float(step))) for step in (-179.9, *range(-150, 180, 30), 179.9)]
    lines += [project(np.full(2, float(at)), longitudes + MIDDLE) for at in range(-30, 90, 30)]
    return [_shares(line) for line in lines]


@cache
def world() -> World:
    """The land and the graticule as SVG paths."""
    right, top, bottom = _frame()
    height = round(WIDTH * (top - bottom) / (2 * right))
    size = np.array([WIDTH, height])
    land = "".join(_path(ring * size, closed=True) for ring in coasts())
    lines = "".join(_path(line * size, closed=False) for line in graticule())
    return World(WIDTH, height, land, lines)


def _path(points: NDArray[np.float64], closed: bool) -> str:
    """Whole units, relative; steps of no length are left out, and islands smaller than a unit."""
    whole = np.rint(points).astype(int)
    steps = np.diff(whole, axis=0)
    steps = steps[np.any(steps != 0, axis=1)]
    if len(steps) < (3 if closed else 1):
        return ""
    moves = "".join(f"{dx}{dy:+d}" if n == 0 else f" {dx}{dy:+d}" for n, (dx, dy) in enumerate(steps.tolist()))
    return f"M{whole[0, 0]} {whole[0, 1]}l{moves}{'z' if closed else ''}"


@dataclass(frozen=True, slots=True)
class MapDot:
    """A language on the map: place as lengths, class of its colour, what it says; ``ring`` marks the subset."""

    x: str
    y: str
    shade: str
    text: str
    search: str
    groups: str
    ring: bool


@dataclass(frozen=True, slots=True)
class WorldMap:
    """``missing``: names of the languages without coordinates; ``unchanged``: those without a difference."""

    title: str
    dots: tuple[MapDot, ...]
    missing: tuple[str, ...]
    shading: Shading
    spoken: str


def gain_map(
    title: str,
    changes: Mapping[Language, Gap],
    ringed: Collection[str] = (),
    groups: Mapping[str, str] | None = None,
    shading: Shading | None = None,
) -> WorldMap | None:
    """A dot for each language, coloured by its difference; small differences lie below large ones.

    ``ringed``: tags marked with a ring (the languages realigned on). ``groups``: tag → what a filter looks at. None
    where no language has coordinates.
    """
    order = sorted(changes, key=lambda language: (abs(changes[language].value), language.tag))
    known, missing = places(order)
    if not known:
        return None
    shading = shading or shading_for(change.value for change in changes.values())
    dots = []
    for place in known:
        language, change = place.language, changes[place.language]
        name, found = language.name or language.tag, change.interval
        text = f"{name} ({language.tag}): {points(change.value)} points"
        text += f" ({interval(found.low, found.high)})" if found else ""
        dots.append(
            MapDot(
                _length(place.x),
                _length(place.y),
                shading.step(change.value),
                text,
                search_text(language),
                (groups or {}).get(language.tag, ""),
                language.tag in ringed,
            )
        )
    up = sum(changes[place.language].value > 0 for place in known)
    spoken = f"{title}: {counted(len(known), 'language')}, {up} with a gain; the largest differences: "
    largest = [
        f"{one.language.name or one.language.tag} {points(changes[one.language].value)}" for one in known[:-6:-1]
    ]
    names = tuple(language.name or language.tag for language in missing)
    return WorldMap(title, tuple(dots), names, shading, spoken + ", ".join(largest))


def _length(share: float) -> str:
    return f"{100 * share:.2f}%"
