"""Solvers against exhaustive search; bounds must hold for every subset; constraints in every answer."""

from __future__ import annotations

import time
from itertools import combinations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xrealign.errors import ConfigError
from xrealign.language import parse_languages
from xrealign.select.bounds import concave_bound, positive_bound, row_bound
from xrealign.select.candidates import PUBLISHED_65
from xrealign.select.distances import angular, distances
from xrealign.select.exact import branch_and_bound, enumerate_subsets
from xrealign.select.problem import Groups, Limit, Near, Problem, Spread, check_feasible, value_of, violated
from xrealign.select.search import addition_values, local_search
from xrealign.select.selection import select_languages
from xrealign.select.solve import solve

SLOW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def instance(seed: int, n: int, angles: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Distances of n random points, angular (negative type) or arbitrary, and linear gains."""
    generator = np.random.default_rng(seed)
    if angles:
        pair = angular((generator.random((n, 30)) < 0.4).astype(np.float32))
    else:
        pair = generator.normal(size=(n, n))
        pair = pair + pair.T
        np.fill_diagonal(pair, 0)
    return pair, generator.random(n)


def best_by_trying(problem: Problem) -> tuple[float, tuple[int, ...] | None]:
    """The best subset of all that keep every limit, by value_of."""
    best, found = -np.inf, None
    for subset in combinations(range(problem.n), problem.k):
        if not violated(problem, subset):
            value = value_of(problem, subset)
            if value > best + 1e-12:
                best, found = value, subset
    return best, found


def names(problem: Problem) -> list[str]:
    return [f"l{i}" for i in range(problem.n)]


@SLOW
@given(st.integers(0, 10**6), st.integers(3, 9), st.booleans(), st.data())
def test_bounds_hold_for_every_subset(seed: int, n: int, angles: bool, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, n - 1))
    pair, linear = instance(seed, n, angles)
    problem = Problem(n, k, pair=pair, linear=linear)
    values = {subset: value_of(problem, subset) for subset in combinations(range(n), k)}
    for bound in (
        row_bound(pair, linear, k),
        concave_bound(pair, linear, k, negative_type=angles),
        positive_bound(pair, linear, k, steps=120),
    ):
        assert bound.value >= max(values.values()) - 1e-12
        for i in range(n):
            assert bound.with_in[i] >= max(v for s, v in values.items() if i in s) - 1e-12
            assert bound.with_out[i] >= max(v for s, v in values.items() if i not in s) - 1e-12


@SLOW
@given(st.integers(0, 10**6), st.integers(2, 10), st.booleans(), st.data())
def test_branch_and_bound_equals_exhaustive_search(seed: int, n: int, angles: bool, data: st.DataObject) -> None:
    import xrealign.select.exact as exact

    k = data.draw(st.integers(1, n))
    pair, linear = instance(seed, n, angles)
    amount = np.random.default_rng(seed + 1).integers(0, 4, n).astype(float)
    high = data.draw(st.sampled_from([np.inf, float(np.sort(amount)[:k].sum()) + 1]))
    low = data.draw(st.sampled_from([-np.inf, float(amount[:k].sum()) if high == np.inf else -np.inf]))
    limits = (Limit("amounts", amount, low, high),)
    problem = Problem(n, k, pair=pair, linear=linear, limits=limits)
    best, _ = best_by_trying(problem)
    start = check_feasible(problem, names(problem))
    before = exact.ENUMERABLE, exact.ENUMERABLE_AT_ONCE
    exact.ENUMERABLE = exact.ENUMERABLE_AT_ONCE = 3  # so that small problems branch too
    try:
        proof = branch_and_bound(
            pair, linear, k, start, value_of(problem, start), angles, time.perf_counter() + 60, limits
        )
    finally:
        exact.ENUMERABLE, exact.ENUMERABLE_AT_ONCE = before
    assert proof.value == pytest.approx(best, abs=1e-9)
    assert proof.bound == pytest.approx(best, abs=1e-6)
    assert not violated(problem, proof.subset)


@SLOW
@given(st.integers(0, 10**6), st.integers(4, 8), st.data())
def test_every_objective_equals_exhaustive_search(seed: int, n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(2, n - 1))
    pair, linear = instance(seed, n)
    generator = np.random.default_rng(seed)
    sign = data.draw(st.sampled_from([1.0, -1.0]))
    parts = {
        "near": Near(generator.random((3, n)), generator.random(3) / 2),
        "spread": Spread(sign * pair, sign * generator.random(n), np.inf, 1.5),
        "groups": Groups(generator.integers(0, 4, n), 4, frozenset({1}), sign),
    }
    chosen = data.draw(st.sets(st.sampled_from(sorted(parts)), min_size=1))
    with_pairs = data.draw(st.booleans())
    labels = generator.integers(0, 3, n)
    limits = tuple(Limit(f"at most 2 of {g}", (labels == g).astype(float), high=2.0) for g in range(3))
    problem = Problem(
        n,
        k,
        pair=pair if with_pairs else None,
        linear=linear if with_pairs else None,
        constant=0.25,
        near=(parts["near"],) if "near" in chosen else (),
        spreads=(parts["spread"],) if "spread" in chosen else (),
        groups=(parts["groups"],) if "groups" in chosen else (),
        limits=limits if data.draw(st.booleans()) else (),
    )
    best, found = best_by_trying(problem)
    if found is None:
        with pytest.raises(ConfigError, match="at most 2 of"):
            solve(problem, names(problem))
        return
    answer = solve(problem, names(problem), time_limit=30)
    assert value_of(problem, answer.subset) == pytest.approx(answer.value, abs=1e-9)
    assert answer.value == pytest.approx(best, abs=1e-6)
    assert answer.bound == pytest.approx(best, abs=1e-4)
    assert not violated(problem, answer.subset)


@SLOW
@given(st.integers(0, 10**6), st.integers(4, 9), st.data())
def test_infeasible_limits_are_named_and_only_those(seed: int, n: int, data: st.DataObject) -> None:
    generator = np.random.default_rng(seed)
    k = data.draw(st.integers(2, n - 1))
    limits = [
        Limit(
            f"limit {i}", generator.integers(0, 3, n).astype(float), *sorted(generator.integers(0, 2 * k, 2).tolist())
        )
        for i in range(3)
    ]
    problem = Problem(n, k, limits=tuple(limits), required=(0,))
    feasible = any(not violated(problem, subset) for subset in combinations(range(n), k))
    if feasible:
        assert not violated(problem, check_feasible(problem, names(problem)))
        return
    with pytest.raises(ConfigError, match="relax one of these") as caught:
        check_feasible(problem, names(problem))
    named = [limit for limit in limits if limit.name in str(caught.value)]
    required = (0,) if "required" in str(caught.value) else ()
    conflict = Problem(n, k, limits=tuple(named), required=required)
    assert all(violated(conflict, subset) for subset in combinations(range(n), k))
    for left in range(len(named)):  # each of the named limits is needed for the conflict
        smaller = Problem(n, k, limits=tuple(named[:left] + named[left + 1 :]), required=required)
        assert any(not violated(smaller, subset) for subset in combinations(range(n), k))


def test_addition_values_are_those_of_the_larger_subset() -> None:
    pair, linear = instance(3, 12)
    generator = np.random.default_rng(3)
    problem = Problem(
        12,
        4,
        pair=pair,
        linear=linear,
        constant=2.0,
        near=(Near(generator.random((5, 12)), np.zeros(5), 0.7),),
        spreads=(Spread(pair, np.full(12, np.inf), np.inf, 3.0),),
        groups=(Groups(generator.integers(0, 5, 12), 5, frozenset({0}), -0.3),),
    )
    chosen = np.array([1, 4, 7])
    values = addition_values(problem, chosen)
    for j in sorted(set(range(12)) - {1, 4, 7}):
        assert values[j] == pytest.approx(value_of(problem, [1, 4, 7, j]), abs=1e-12)


@pytest.mark.parametrize("k", [3, 7])
def test_thirty_three_languages_equal_exhaustive_search(k: int) -> None:
    """As in the published work: 33 candidates, English fixed."""
    languages = parse_languages(["eng", *PUBLISHED_65.split()[:33]])
    matrix = distances(languages).matrix
    pair, linear = matrix[1:, 1:], matrix[0, 1:]
    problem = Problem(33, k, pair=pair, linear=linear)
    subset, value = enumerate_subsets(pair, linear, k)
    assert subset is not None
    answer = solve(problem, [x.iso for x in languages[1:]])
    assert answer.value == pytest.approx(value, abs=1e-9)
    assert answer.bound == pytest.approx(value, abs=1e-6)
    assert answer.subset.tolist() == subset.tolist()
    assert local_search(problem, np.arange(k))[0].tolist() == subset.tolist()


def test_enumeration_against_plain_loops() -> None:
    pair, linear = instance(11, 11)
    problem = Problem(11, 4, pair=pair, linear=linear)
    best, subset = best_by_trying(problem)
    found, value = enumerate_subsets(pair, linear, 4)
    assert found is not None
    assert tuple(found.tolist()) == subset
    assert value == pytest.approx(best)


def test_ties_go_to_the_first_in_order() -> None:
    pair = np.ones((6, 6)) - np.eye(6)
    for seed in range(5):
        answer = solve(Problem(6, 3, pair=pair, linear=np.zeros(6)), list("abcdef"), seed=seed)
        assert answer.subset.tolist() == [0, 1, 2]


@pytest.mark.slow
@pytest.mark.parametrize(("k", "gap"), [(5, 0.0), (10, 0.02), (20, 0.005), (40, 0.005)])
def test_published_candidates_within_a_minute(k: int, gap: float) -> None:
    languages = parse_languages(["eng", *PUBLISHED_65.split()])
    matrix = distances(languages).matrix
    started = time.perf_counter()
    answer = solve(
        Problem(65, k, pair=matrix[1:, 1:], linear=matrix[0, 1:]), [x.iso for x in languages[1:]], negative_type=True
    )
    assert time.perf_counter() - started < 60
    assert answer.bound / answer.value - 1 <= gap + 1e-9


@pytest.mark.parametrize(
    "criterion", ["families", "facility", "maxmin=1,families=1", "maxsum=1,families=0.5", "least-families"]
)
def test_without_time_for_a_proof_there_is_a_bound_all_the_same(criterion: str) -> None:
    """As on a busy machine, where the integer program has not begun when the time is over."""
    languages = parse_languages(["eng", "deu", "fra", "fin", "tur", "zho", "jpn", "arb", "swh", "yor", "quy", "kat"])
    hurried, proven = (select_languages(languages[1:], 4, languages[:1], criterion, time_limit=t) for t in (0.0, 60.0))
    assert hurried.bound is not None
    assert np.isfinite(hurried.bound)
    sign = -1 if criterion.startswith("least") else 1
    assert sign * hurried.bound >= sign * proven.value - 1e-9
