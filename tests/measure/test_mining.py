"""Mining: margins by hand, thresholds by trying all, whole tasks by brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xrealign.errors import DataError
from xrealign.measure.mining import best_threshold, mine, mining_rows, mining_scores, mining_tasks


def margins(src, tgt, k):
    unit = [side / np.linalg.norm(side, axis=1, keepdims=True) for side in (src, tgt)]
    cosine = unit[0] @ unit[1].T
    left = np.sort(cosine, axis=1)[:, ::-1][:, :k].mean(axis=1)
    right = np.sort(cosine, axis=0)[::-1][:k].mean(axis=0)
    return cosine / ((left[:, None] + right[None, :]) / 2)


def mined_by_hand(src, tgt, k):
    """The authors' "max. score" in plain loops."""
    margin = margins(src, tgt, k)
    candidates = {(i, int(margin[i].argmax())) for i in range(len(src))}
    candidates |= {(int(margin[:, j].argmax()), j) for j in range(len(tgt))}
    found, left, right = [], set(), set()
    for i, j in sorted(candidates, key=lambda pair: -margin[pair]):
        if i not in left and j not in right:
            found.append((i, j, margin[i, j]))
            left.add(i)
            right.add(j)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_mined_pairs_are_those_of_plain_loops(seed):
    draw = np.random.default_rng(seed)
    src = draw.standard_normal((14, 6)) + 1.5  # cosines above zero
    tgt = np.concatenate([src[:8] + 0.5 * draw.standard_normal((8, 6)), draw.standard_normal((9, 6)) + 1.5])
    found = mine(src, tgt, 4)
    wanted = mined_by_hand(src, tgt, 4)
    assert list(zip(found.src.tolist(), found.tgt.tolist(), strict=True)) == [(i, j) for i, j, _ in wanted]
    np.testing.assert_allclose(found.scores, [score for *_, score in wanted], rtol=1e-5)
    assert (np.diff(found.scores) <= 0).all()


def test_margins_below_zero_are_never_candidates():
    found = mine(np.array([[1.0, 0.0]]), np.array([[-1.0, 0.0]]), 1)
    assert len(found.src) == 0


@given(st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=1, max_size=12), st.integers(0, 4))
def test_the_threshold_is_the_best_there_is(rows, more):
    scores, right = np.array([score for score, _ in rows], dtype=float), np.array([hit for _, hit in rows])
    wanted = int(right.sum()) + more

    def f1(limit):
        taken = scores > limit
        return 2 * (taken & right).sum() / max(taken.sum() + wanted, 1)

    limit = best_threshold(scores, right, wanted)
    assert f1(limit) == max(f1(other) for other in [-1, *np.arange(9) + 0.5, 99])
    assert right.any() or limit == np.inf


def test_tasks_share_no_sentence_and_have_a_third_whole():
    dev, test = mining_tasks(61, 3)
    for task, pairs in ((dev, 30), (test, 31)):
        assert len(task.pairs) == pairs // 3
        assert set(task.src) & set(task.tgt) == set(task.pairs)
        assert len(set(task.src) | set(task.tgt)) == pairs
    assert not (set(dev.src) | set(dev.tgt)) & (set(test.src) | set(test.tgt))
    assert [t.pairs.tolist() for t in mining_tasks(61, 3)] == [dev.pairs.tolist(), test.pairs.tolist()]
    assert mining_tasks(61, 4)[0].pairs.tolist() != dev.pairs.tolist()
    with pytest.raises(DataError, match="at least 12"):
        mining_tasks(11, 0)


def test_scores_by_brute_force():
    draw = np.random.default_rng(8)
    src = draw.standard_normal((120, 8)) + 1
    tgt = src + 0.6 * draw.standard_normal((120, 8))
    dev, test = mining_tasks(120, 5)

    def candidates(task):
        return [
            (int(task.src[i]), int(task.tgt[j]), score)
            for i, j, score in mined_by_hand(src[task.src], tgt[task.tgt], 4)
        ]

    def counts(found, limit, wanted):
        taken = [(i, j) for i, j, score in found if score > limit]
        return sum(i == j for i, j in taken), len(taken), wanted

    seen = candidates(dev)
    tried = [score - 1e-9 for *_, score in seen]
    best = max(2 * h / (t + w) for h, t, w in (counts(seen, limit, len(dev.pairs)) for limit in tried))
    limits = [x for x in tried if 2 * counts(seen, x, 20)[0] / (counts(seen, x, 20)[1] + 20) == best]
    highest = max(limits)
    below = max((score for *_, score in seen if score < highest), default=-np.inf)
    hits, taken, wanted = counts(candidates(test), (highest + below) / 2, len(test.pairs))
    assert 0 < hits < wanted
    found = mining_scores(src, tgt, 5)
    assert found["precision"].value == pytest.approx(hits / taken, abs=1e-9)
    assert found["recall"].value == pytest.approx(hits / wanted, abs=1e-9)
    assert found["f1"].value == pytest.approx(2 * hits / (taken + wanted), abs=1e-9)
    assert len(found["f1"].items) == len(mining_rows(120, 5)) == 60


def test_perfect_and_hopeless():
    draw = np.random.default_rng(0)
    src = draw.standard_normal((90, 40)) + 0.5
    found = mining_scores(src, src)
    assert {name: found[name].value for name in found} == pytest.approx({"recall": 1, "f1": 1, "precision": 1})
    other = draw.standard_normal((90, 40)) + 0.5
    assert mining_scores(src, other)["f1"].value < 0.3


def test_items_of_a_ratio_spread_as_its_bootstrap():
    from xrealign.measure.mining import _ratio

    draw = np.random.default_rng(4)
    above = draw.integers(3, size=500).astype(float)
    below = above + draw.integers(1, 3, size=500)
    rows = draw.integers(500, size=(4000, 500))
    direct = above[rows].sum(axis=1) / below[rows].sum(axis=1)
    items = _ratio(above, below)
    assert items.value == pytest.approx(above.sum() / below.sum(), abs=1e-12)
    assert items.items.std() / np.sqrt(500) == pytest.approx(direct.std(), rel=0.05)
