"""Symmetrisation against matrices worked by hand and the published pseudo-code stated again; filters by reason."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xrealign.align.filters import filter_links
from xrealign.align.symmetrize import SYMMETRIZATIONS, symmetrize
from xrealign.errors import ConfigError


def from_picture(picture: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows of source words: ``f`` forward only, ``b`` backward only, ``x`` both, ``.`` neither."""
    rows = picture.split()
    cells = [(i, j, mark) for i, row in enumerate(rows) for j, mark in enumerate(row)]
    return tuple(
        np.array([(i, j) for i, j, mark in cells if mark in marks], dtype=np.int32).reshape(-1, 2)
        for marks in ("fx", "bx")
    )


def to_picture(links: np.ndarray, like: str) -> str:
    points = {tuple(link) for link in links.tolist()}
    return " ".join(
        "".join("#" if (i, j) in points else "." for j in range(len(row))) for i, row in enumerate(like.split())
    )


# Growing: 1-2 stands beside 1-1 and target word 2 is free, then 2-3 beside 1-2 with both words free. 3-1 and 4-0 touch
# no link; each has a free source word and a taken target word, so that -final takes them and -final-and does not.
PICTURE = "x.... .xf.. ...b. .f... b...."


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("intersection", "#.... .#... ..... ..... ....."),
        ("union", "#.... .##.. ...#. .#... #...."),
        ("grow-diag", "#.... .##.. ...#. ..... ....."),
        ("grow-diag-final", "#.... .##.. ...#. .#... #...."),
        ("grow-diag-final-and", "#.... .##.. ...#. ..... ....."),
    ],
)
def test_worked_by_hand(how: str, expected: str) -> None:
    forward, backward = from_picture(PICTURE)
    assert to_picture(symmetrize(forward, backward, how), PICTURE) == expected


def test_final_and_adds_what_links_two_free_words() -> None:
    picture = "x... .... ..f. ...b f..."
    forward, backward = from_picture(picture)
    assert to_picture(symmetrize(forward, backward, "grow-diag"), picture) == "#... .... .... .... ...."
    assert to_picture(symmetrize(forward, backward, "grow-diag-final-and"), picture) == "#... .... ..#. ...# ...."
    assert to_picture(symmetrize(forward, backward, "grow-diag-final"), picture) == "#... .... ..#. ...# #..."


def test_a_point_behind_the_scan_waits_for_the_next_sweep() -> None:
    # From 2-2 the scan reaches 1-3 (behind it) and 3-1 (ahead); 0-3 hangs on 1-3 and needs a second sweep.
    picture = "...f ...f ..x. .b.."
    forward, backward = from_picture(picture)
    assert to_picture(symmetrize(forward, backward, "grow-diag"), picture) == "...# ...# ..#. .#.."


def restated(forward: np.ndarray, backward: np.ndarray, how: str, size: int) -> set[tuple[int, int]]:
    """The pseudo-code line by line, on boolean matrices."""
    f, b = np.zeros((size, size), bool), np.zeros((size, size), bool)
    f[tuple(forward.T)] = True
    b[tuple(backward.T)] = True
    if how == "intersection":
        a = f & b
    elif how == "union":
        a = f | b
    else:
        a = f & b
        while True:
            before = a.copy()
            for i in range(size):
                for j in range(size):
                    if not a[i, j]:
                        continue
                    for di, dj in [(-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1)]:
                        y, x = i + di, j + dj
                        if not (0 <= y < size and 0 <= x < size and (f | b)[y, x]):
                            continue
                        if not a[y].any() or not a[:, x].any():
                            a[y, x] = True
            if (a == before).all():
                break
        for directed in (f, b) if "final" in how else ():
            for i in range(size):
                for j in range(size):
                    row_free, column_free = not a[i].any(), not a[:, j].any()
                    wanted = (row_free and column_free) if how.endswith("and") else (row_free or column_free)
                    if directed[i, j] and wanted:
                        a[i, j] = True
    return set(zip(*(axis.tolist() for axis in np.nonzero(a)), strict=True))


@given(st.integers(0, 10**9), st.sampled_from(sorted(SYMMETRIZATIONS)), st.floats(0.02, 0.6))
def test_equals_the_pseudo_code(seed: int, how: str, density: float) -> None:
    random = np.random.Generator(np.random.PCG64(seed))
    forward, backward = (np.argwhere(random.random((9, 9)) < density) for _ in range(2))
    got = symmetrize(forward, backward, how)
    assert {tuple(link) for link in got.tolist()} == restated(forward, backward, how, 9)
    assert got.dtype == np.int32
    assert got.tolist() == sorted(got.tolist())


def test_empty_and_unknown() -> None:
    nothing = np.zeros((0, 2), dtype=np.int32)
    for how in SYMMETRIZATIONS:
        assert symmetrize(nothing, nothing, how).shape == (0, 2)
    with pytest.raises(ConfigError, match="did you mean 'grow-diag-final-and'"):
        symmetrize(nothing, nothing, "grow-diag-finaland")


def test_filters_count_by_reason() -> None:
    src, tgt = ["the", "Berlin", "wall", "now"], ["die", "Berlin", "Mauer", "jetzt"]
    links = np.array([(0, 0), (1, 1), (2, 2), (2, 3), (3, 3), (3, 0)])
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.1])
    kept, strengths, dropped = filter_links(links, scores, src, tgt, 0.2, True, True)
    assert kept.tolist() == [[0, 0]]
    assert strengths.tolist() == [0.9]
    assert dropped == {"below the score": 1, "not 1-1": 3, "identical words": 1}
    kept, _, dropped = filter_links(links, scores, src, tgt)
    assert kept.tolist() == links.tolist()
    assert not dropped
    kept, strengths, dropped = filter_links(links[:0], scores[:0], src, tgt, 0.2, True, True)
    assert (kept.shape, strengths.shape, len(dropped)) == ((0, 2), (0,), 0)
