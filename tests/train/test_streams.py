"""Plans: the law of what is drawn, the same plan as ever by default, and the shares of several processes."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from xrealign.errors import TrainingError
from xrealign.model.parts import length_parts
from xrealign.train.mixture import drawn_counts, mixture_shares
from xrealign.train.seeds import numpy_generator
from xrealign.train.streams import WINDOW, padding_efficiency, plan_steps, rank_plan, whole_step

GROUPS = [0] * 50 + [1] * 5 + [2] * 200
LENGTHS = np.random.default_rng(0).integers(3, 90, len(GROUPS))


def first_plan(groups, lengths, steps, batch, seed, name):
    """The plan as it was before there were mixtures: results made then must stay true."""
    draw = numpy_generator(seed, "plan", name)
    labels = np.asarray(groups)
    names = np.unique(labels)
    chosen = draw.integers(len(names), size=steps * batch)
    items = np.empty(steps * batch, dtype=np.int64)
    for index, group in enumerate(names):
        members = np.flatnonzero(labels == group)
        places = np.flatnonzero(chosen == index)
        rounds = -(-len(places) // len(members))
        order = [draw.permutation(members) for _ in range(rounds)]
        items[places] = np.concatenate([*order, members[:0]])[: len(places)]
    plan = items.reshape(steps, batch)
    for start in range(0, steps, 32):
        window = plan[start : start + 32]
        by_length = window.reshape(-1)[np.argsort(lengths[window.reshape(-1)], kind="stable")]
        plan[start : start + 32] = by_length.reshape(window.shape)[draw.permutation(len(window))]
    return plan


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("steps", [1, 32, 77])
def test_equal_shares_give_the_plan_there_always_was(steps, seed):
    expected = first_plan(GROUPS, LENGTHS, steps, 8, seed, "realign")
    for shares in (None, [1 / 3] * 3, list(mixture_shares("uniform", {"a": 50, "b": 5, "c": 200}).values())):
        assert np.array_equal(plan_steps(GROUPS, LENGTHS, steps, 8, seed, "realign", shares), expected)


@pytest.mark.parametrize("mixture", ["uniform", "proportional", "temperature"])
def test_languages_are_drawn_by_their_shares(mixture):
    pairs = {"a": 50, "b": 5, "c": 200}
    shares = mixture_shares(mixture, pairs)
    plan = plan_steps(GROUPS, LENGTHS, 400, 10, 3, "t", list(shares.values()))
    counts = drawn_counts(plan, ["abc"[g] for g in GROUPS])
    drawn = [row["drawn"] for row in counts.values()]
    assert sum(drawn) == 4000
    assert chisquare(drawn, np.array(list(shares.values())) * 4000).pvalue > 1e-4
    # no language ends the epoch: each goes on with copies of its own, all of them drawn about as often
    assert [row["distinct"] for row in counts.values()] == [50, 5, 200]
    times = np.bincount(plan.reshape(-1), minlength=255)
    for members in (times[:50], times[50:55], times[55:]):
        assert members.max() - members.min() <= 1


def test_a_share_of_zero_leaves_a_language_out():
    for shares in ([0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0], [0, 1, 0]):
        plan = plan_steps(GROUPS, LENGTHS, 200, 10, 3, "t", shares)
        drawn = np.bincount(np.array(GROUPS)[plan.reshape(-1)], minlength=3)
        assert (drawn > 0).tolist() == [share > 0 for share in shares]


@pytest.mark.parametrize("shares", [[1.0], [0.5, 0.5, 0.5], [-0.5, 0.5, 1], [np.nan, 0.5, 0.5], [0, 0, 0]])
def test_shares_that_are_none_are_an_error(shares):
    with pytest.raises(TrainingError, match="expected 3 of 0 or more that add up to 1"):
        plan_steps(GROUPS, LENGTHS, 2, 2, 1, "t", shares)


def test_the_window_changes_the_order_but_not_what_is_drawn_in_it():
    """Of 128 steps the same items whatever the window; a longer window wastes less."""
    plans = [plan_steps(GROUPS, LENGTHS, 128, 8, 1, "t", [0.2, 0.3, 0.5], window) for window in (1, 32, 128)]
    for plan in plans:
        assert np.array_equal(np.sort(plan.reshape(-1)), np.sort(plans[0].reshape(-1)))
    waste = [1 - padding_efficiency(LENGTHS, LENGTHS, plan, in_parts=False) for plan in plans]
    assert waste[0] > 3 * waste[1] > 3 * waste[2]
    assert WINDOW == 32


def test_padding_efficiency_worked_by_hand():
    src, tgt = np.array([2, 4, 1]), np.array([3, 4, 1])
    # first step: 2 + 4 + 3 + 4 subwords in 4 rows of 4; second: 1 + 1 + 2 + 3 in 4 rows of 3
    plan = np.array([[0, 1], [2, 0]])
    assert padding_efficiency(src, tgt, plan, in_parts=False) == pytest.approx((13 + 7) / (16 + 12))
    assert padding_efficiency(src, tgt, plan) == pytest.approx((13 + 7) / (16 + 12))  # a second pass would cost more
    src, tgt = np.array([10] * 4), np.array([40] * 4)
    plan = np.array([[0, 1, 2, 3]])
    assert padding_efficiency(src, tgt, plan, in_parts=False) == pytest.approx(200 / 320)
    assert padding_efficiency(src, tgt, plan) == 1.0  # four rows of 10 and four of 40


@given(st.integers(1, 7), st.integers(1, 5), st.integers(1, 6), st.integers(0, 99))
def test_any_number_of_processes_trains_on_the_same_items_in_the_same_order(ranks, steps, each, seed):
    plan = plan_steps(GROUPS, LENGTHS, steps, ranks * each, seed, "t")
    parts = [rank_plan(plan, rank, ranks) for rank in range(ranks)]
    assert {part.shape for part in parts} == {(steps, each)}
    for step in range(steps):
        assert whole_step([part[step] for part in parts]).tolist() == plan[step].tolist()
        vectors = [part[step][:, None] * [1.0, 2.0] for part in parts]
        assert np.array_equal(whole_step(vectors), plan[step][:, None] * [1.0, 2.0])


def test_a_batch_that_cannot_be_shared_is_an_error():
    plan = np.arange(12).reshape(2, 6)
    with pytest.raises(TrainingError, match="a batch of 6 cannot be shared evenly by 4 processes"):
        rank_plan(plan, 0, 4)
    for rank in (-1, 2):
        with pytest.raises(TrainingError, match=f"rank {rank} of 2 processes: expected 0 to 1"):
            rank_plan(plan, rank, 2)


def cost_of(lengths, parts, cost):
    return sum(len(part) * int(lengths[part].max()) + cost for part in parts)


@settings(deadline=None)
@given(st.lists(st.integers(1, 12), max_size=9), st.integers(0, 20))
def test_parts_of_like_lengths_are_the_best_there_are(lengths, cost):
    """Against all ways to cut the sorted batch."""
    sizes = np.array(lengths, dtype=np.int64)
    found = length_parts(sizes, cost)
    assert sorted(np.concatenate([np.zeros(0, dtype=int), *found]).tolist()) == list(range(len(sizes)))
    assert all(len(part) for part in found)
    order = np.argsort(-sizes)
    ways = [
        [part for part in np.split(order, cuts) if len(part)]
        for count in range(len(sizes))
        for cuts in combinations(range(1, len(sizes)), count)
    ]
    if not len(sizes):
        assert found == []
        return
    assert cost_of(sizes, found, cost) == min(cost_of(sizes, way, cost) for way in ways)
    again = length_parts(sizes, cost)
    assert all(np.array_equal(a, b) for a, b in zip(found, again, strict=True))
