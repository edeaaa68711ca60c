"""From a problem to an answer: the solver that fits it, and how far its proof goes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from xrealign.select.bounds import concave_bound, row_bound
from xrealign.select.cliques import widest_subset
from xrealign.select.exact import branch_and_bound
from xrealign.select.milp import solve_program
from xrealign.select.problem import Indices, Problem, check_feasible, value_of
from xrealign.select.search import TIE, improve, local_search

# Above this many candidates a proof takes hours: one bound is computed, and the gap is shown.
LARGEST_PROOF = 1500
# Largest n for whose quadratic part the integer program computes eigenvalues.
LARGEST_PROGRAM = 1500
# Up to this many candidates the matrices are too small for threads: with other programs running they cost tenfold.
LARGEST_SMALL = 700


@dataclass(frozen=True, slots=True)
class Answer:
    """A subset (indices), its value, a bound no allowed subset exceeds, and how both were found."""

    subset: Indices
    value: float
    bound: float
    method: str


def solve(
    problem: Problem,
    names: Sequence[str],
    seed: int = 0,
    time_limit: float = 60.0,
    restarts: int = 30,
    negative_type: bool = False,
    prove: bool = True,
    primary: Problem | None = None,
) -> Answer:
    """The best subset found, with a proof or a bound, within about ``time_limit`` seconds.

    ``negative_type`` says that the quadratic part is known to be concave on Σx = k. ``prove`` false stops after
    one bound. ``primary`` is the problem without the tie-break, for counts: only its value is bounded, and the
    tie-break is left to the local search.

    Raises:
        ConfigError: the limits contradict each other; the message names which.
    """
    if problem.n <= LARGEST_SMALL:
        with threadpool_limits(1, "blas"):
            return _solve(problem, names, seed, time_limit, restarts, negative_type, prove, primary)
    return _solve(problem, names, seed, time_limit, restarts, negative_type, prove, primary)


def _solve(
    problem: Problem,
    names: Sequence[str],
    seed: int,
    time_limit: float,
    restarts: int,
    negative_type: bool,
    prove: bool,
    primary: Problem | None,
) -> Answer:
    deadline = time.perf_counter() + time_limit
    feasible = check_feasible(problem, names)
    start, value = local_search(problem, feasible, seed, restarts)
    if primary is not None and primary is not problem:
        answer = solve(primary, names, seed, time_limit, restarts)
        if value_of(primary, start) < answer.value - TIE:
            start, value = improve(problem, answer.subset)
        return Answer(start, value_of(primary, start), answer.bound, f"{answer.method}, ties by local search")
    linear = problem.linear if problem.linear is not None else np.zeros(problem.n)
    if problem.pair is None and problem.quadratic_only and not problem.limits:
        order = np.argsort(-linear, kind="stable")
        rest = [i for i in order.tolist() if i not in set(problem.required)]
        best = np.sort(np.array([*problem.required, *rest[: problem.k - len(problem.required)]], dtype=np.int64))
        return Answer(best, value_of(problem, best), value_of(problem, best), "sorting")
    if problem.quadratic_only and problem.pair is not None:
        offset = problem.constant
        if not prove or problem.n > LARGEST_PROOF:
            bound = _one_bound(problem, negative_type) + offset
            return Answer(start, value, max(bound, value), "local search, one bound")
        proof = branch_and_bound(
            problem.pair,
            linear,
            problem.k,
            start,
            value - offset,
            negative_type,
            deadline,
            problem.limits,
            problem.required,
        )
        return Answer(proof.subset, value_of(problem, proof.subset), proof.bound + offset, proof.method)
    single = len(problem.spreads) == 1 and not (problem.near or problem.groups)
    if single and problem.pair is None and not linear.any():
        weight = problem.spreads[0].weight
        subset, least, bound = widest_subset(
            problem.spreads[0], problem.k, start, problem.limits, problem.required, deadline
        )
        constant = problem.constant
        return Answer(subset, weight * least + constant, weight * bound + constant, "clique search")
    if problem.n > LARGEST_PROGRAM and (problem.pair is not None or problem.spreads):
        return Answer(start, value, _loose_bound(problem, negative_type), "local search, one bound")
    subset, value, bound = solve_program(problem, start, value, deadline)
    if not np.isfinite(bound):  # the program had not even begun when the time was over
        bound = max(_loose_bound(problem, negative_type), value)
    return Answer(subset, value, bound, "integer program (HiGHS)")


def _one_bound(problem: Problem, negative_type: bool) -> float:
    if problem.pair is None:
        raise AssertionError("no quadratic part")
    linear = problem.linear if problem.linear is not None else np.zeros(problem.n)
    if negative_type or problem.n <= 2000:
        return concave_bound(problem.pair, linear, problem.k, negative_type, steps=60).value
    return row_bound(problem.pair, linear, problem.k).value


def _loose_bound(problem: Problem, negative_type: bool) -> float:
    """Each part bounded alone: valid for any sum of parts, and loose."""
    linear = problem.linear if problem.linear is not None else np.zeros(problem.n)
    total = problem.constant
    if problem.pair is not None:
        total += _one_bound(problem, negative_type)
    else:
        total += float(np.sort(linear)[problem.n - problem.k :].sum())
    for near in problem.near:
        best = np.maximum(near.base, near.similarity.max(axis=1, initial=-np.inf))
        total += near.weight * float(best.sum())
    for spread in problem.spreads:
        total += spread.weight * float(min(spread.base, spread.matrix.max(initial=0.0)))
    for groups in problem.groups:
        reach = min(groups.count, len(groups.present) + problem.k)
        total += groups.weight * (reach if groups.weight > 0 else max(1, len(groups.present)))
    return total
