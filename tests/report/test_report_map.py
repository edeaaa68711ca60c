from __future__ import annotations

import math
import re

import numpy as np
import pytest

from xrealign.language import Language, parse_language, parse_languages
from xrealign.report.format import size
from xrealign.report.page_chart import signed, spearman
from xrealign.report.page_map import MIDDLE, coasts, gain_map, places, project, world
from xrealign.report.page_shade import Shading, shading_for
from xrealign.report.stats import Interval
from xrealign.report.summary import Difference


def test_the_projection_has_the_proportions_of_its_paper() -> None:
    """Equal Earth is 2.05458 times as wide as high, and its poles are 0.59 of its equator (Šavrič et al. 2018)."""
    ends = project(np.array([0.0, 90.0, -90.0]), MIDDLE + np.array([180 - 1e-9, 180 - 1e-9, 0.0]))
    assert ends[0, 0] == pytest.approx(2.70663, abs=5e-6)
    assert ends[0, 0] / ends[1, 1] == pytest.approx(2.05458, abs=5e-6)
    assert ends[1, 0] / ends[0, 0] == pytest.approx(0.59, abs=5e-3)
    assert ends[2, 1] == -ends[1, 1]


def test_the_projection_keeps_areas() -> None:
    """dx/dλ · dy/dφ is cos φ everywhere (central differences in radians)."""
    latitude = np.linspace(-85, 85, 35)
    for longitude in (-150.0, 0.0, 77.0):
        step = 1e-4
        there = np.full_like(latitude, longitude)
        across = project(latitude, there + step)[:, 0] - project(latitude, there - step)[:, 0]
        up = project(latitude + step, there)[:, 1] - project(latitude - step, there)[:, 1]
        area = across * up / (2 * math.radians(step)) ** 2
        np.testing.assert_allclose(area, np.cos(np.radians(latitude)), rtol=1e-5)


def test_languages_lie_where_they_are_spoken() -> None:
    tags = ["isl", "jpn", "quy", "mri", "zul"]
    found, missing = places(parse_languages(tags))
    place = {one.language.iso: one for one in found}
    assert missing == []
    assert place["quy"].x < place["isl"].x < place["zul"].x < place["jpn"].x < place["mri"].x
    assert place["isl"].y < place["jpn"].y < place["quy"].y < place["zul"].y < place["mri"].y
    assert all(0 < one.x < 1 and 0 < one.y < 1 for one in found)
    nowhere = Language("qaa_Latn", "Nowhere", None, None)
    assert places([nowhere]) == ([], [nowhere])
    assert places([]) == ([], [])


def test_land_lies_on_the_map() -> None:
    """Every ring within the drawing; Berlin, Nairobi and Chukotka (beyond the date line) on land, mid-Pacific not."""
    rings = coasts()
    assert len(rings) > 90
    for ring in rings:
        assert ring.min() > -0.01
        assert ring.max() < 1.01
    for latitude, longitude, land in (
        (52.5, 13.4, True),
        (-1.3, 36.8, True),
        (66.5, -175.0, True),
        (0.0, -140.0, False),
    ):
        assert any(_inside(_share(latitude, longitude), ring) for ring in rings) == land
    drawn = world()
    assert len(drawn.land) < 40_000
    assert re.fullmatch(r"(M\d+ \d+l[-+\d ]+z)+", drawn.land)


def _share(latitude: float, longitude: float) -> tuple[float, float]:
    x, y = project(np.array([latitude]), np.array([longitude]))[0]
    right = project(np.zeros(1), np.array([MIDDLE + 180 - 1e-9]))[0, 0]
    top, bottom = (project(np.array([edge]), np.array([MIDDLE]))[0, 1] for edge in (84.0, -57.0))
    return (x + right) / (2 * right), (top - y) / (top - bottom)


def _inside(point: tuple[float, float], ring: np.ndarray) -> bool:
    """Even-odd rule."""
    (x, y), crossings = point, 0
    for (x1, y1), (x2, y2) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        if (y1 > y) != (y2 > y) and x < (x2 - x1) * (y - y1) / (y2 - y1) + x1:
            crossings += 1
    return crossings % 2 == 1


def test_a_map_says_what_it_shows() -> None:
    basque, zulu = parse_language("eus"), parse_language("zul")
    nowhere = Language("qaa_Latn", "Nowhere", None, None)
    changes = {
        basque: Difference(0.052, Interval(0.01, 0.09)),
        zulu: Difference(-0.013, None),
        nowhere: Difference(0.2, None),
    }
    found = gain_map("realigned", changes, {"zul_Latn"}, {"eus_Latn": "0 2"})
    assert found is not None
    assert [dot.text for dot in found.dots] == [
        "Zulu (zul_Latn): −1.3 points",
        "Basque (eus_Latn): +5.2 points (+1.0 to +9.0)",
    ]
    assert [dot.ring for dot in found.dots] == [True, False]
    assert found.dots[1].groups == "0 2"
    assert found.missing == ("Nowhere",)
    assert "2 languages, 1 with a gain" in found.spoken
    assert gain_map("realigned", {nowhere: changes[nowhere]}) is None


def test_shades_follow_the_numbers() -> None:
    shading = shading_for([0.01] * 9 + [0.5])
    assert shading.width == 0.0025, "one outlier of ten does not count"
    assert [shading.step(value) for value in (-0.5, -0.0026, 0.001, 0.0, 0.0051, 0.2, None, math.nan)] == [
        "s-4", "s-1", "s0", "s0", "s2", "s4", "none", "none"
    ]  # fmt: skip
    assert shading_for([]).step(0.0) == "s0"
    assert Shading(0.01).legend() == [
        ("s-4", "≤ −4"), ("s-3", "−3"), ("s-2", "−2"), ("s-1", "−1"), ("s0", "0"),
        ("s1", "+1"), ("s2", "+2"), ("s3", "+3"), ("s4", "≥ +4"),
    ]  # fmt: skip


def test_rank_correlation() -> None:
    """Hand-worked: ranks 1 2 3 4 against 2 1 4 3 give 1 − 6·4/(4·15) = 0.6; ties take mean ranks."""
    assert spearman([0.1, 0.2, 0.3, 0.4], [5, 2, 9, 7]) == pytest.approx(0.6)
    assert spearman([1, 1, 2], [3, 3, 4]) == pytest.approx(1)
    assert spearman([1, 1, 1], [1, 2, 3]) is None
    assert signed(-0.414) == "−0.41"


def test_sizes() -> None:
    assert [size(count) for count in (0, 812, 4200, 999_999, 118_000_000, 1_400_000_000, 10**16)] == [
        "0 B", "812 B", "4.2 kB", "1000 kB", "118 MB", "1.4 GB", "10000 TB"
    ]  # fmt: skip
