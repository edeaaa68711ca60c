"""Every objective as a mixed-integer program for HiGHS, with tangent planes for the quadratic part.

Variables: x_i (chosen), y_g (group reached), z_ti (target t served by i), s (smallest distance), θ (quadratic
part). Once the diagonal makes ½x'Wx + c'x concave on Σx = k, θ lies below each of its tangents, so any tangent
may be added and the program stays a relaxation: its dual bound holds however early it stops.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from xrealign.select.bounds import concave_bound
from xrealign.select.problem import Indices, Matrix, Problem, Vector, value_of, violated
from xrealign.select.search import TIE


def solve_program(problem: Problem, start: Indices, value: float, deadline: float) -> tuple[Indices, float, float]:
    """The best subset by integer programming, from a good ``start`` with its ``value``.

    Returns:
        The subset, its value, and an upper bound.
    """
    model = _Model(problem)
    best, bound = start, np.inf
    if problem.pair is not None:
        relaxed = concave_bound(problem.pair, model.linear, problem.k, False)
        for point in (relaxed.share, _indicator(problem.n, start)):
            model.add_tangent(point)
        for _ in range(60):  # tangents at the solutions of the continuous program, cheap and close to the bound
            found = model.solve(deadline, integer=False)
            if found is None:
                break
            x, total = found
            bound = min(bound, total)
            if x is None or not model.add_tangent(x) or time.perf_counter() > deadline:
                break
    while time.perf_counter() < deadline:
        found = model.solve(deadline, integer=True)
        if found is None:
            break
        x, total = found
        bound = min(bound, total)
        if x is None:
            break
        subset = np.flatnonzero(x > 0.5).astype(np.int64)
        if not violated(problem, subset):
            worth = value_of(problem, subset)
            if worth > value + TIE:
                best, value = subset, worth
        if bound - value <= 1e-7 * max(1.0, abs(value)):
            break
        if problem.pair is None or not model.add_tangent(_indicator(problem.n, subset)):
            break
    return best, value, max(bound, value)


@contextmanager
def quiet_output() -> Iterator[None]:
    """Sends what the solver's own library prints to nowhere: standard output is for results."""
    sys.stdout.flush()
    kept = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(nowhere)
        os.close(kept)


def _indicator(n: int, subset: Indices) -> Vector:
    x = np.zeros(n)
    x[subset] = 1
    return x


class _Model:
    """The program as sparse rows, grown by tangents."""

    def __init__(self, problem: Problem) -> None:
        from scipy.sparse import csr_array

        self.problem = problem
        n = problem.n
        self.linear = problem.linear if problem.linear is not None else np.zeros(n)
        self.costs: list[float] = self.linear.tolist() if problem.pair is None else [0.0] * n
        self.low, self.high = [0.0] * n, [1.0] * n
        self.integer = [1] * n
        for member in problem.required:
            self.low[member] = 1.0
        self.rows: list[dict[int, float]] = []
        self.row_low: list[float] = []
        self.row_high: list[float] = []
        self.row(dict.fromkeys(range(n), 1.0), problem.k, problem.k)
        for limit in problem.limits:
            amounts = {i: float(a) for i, a in enumerate(limit.amount.tolist()) if a}
            self.row(amounts, limit.low, limit.high)
        self.theta = -1
        self.diagonal = 0.0
        if problem.pair is not None:
            self.diagonal = _diagonal(problem.pair)
            self.theta = self.variable(1.0, -np.inf, np.inf)
        self.constant = problem.constant
        self.sparse = csr_array
        for groups in problem.groups:
            self._add_groups(groups.labels, groups.count, groups.present, groups.weight)
        for near in problem.near:
            self._add_near(near.similarity, near.base, near.weight)
        for spread in problem.spreads:
            self._add_spread(spread.matrix, spread.to_fixed, spread.base, spread.weight)

    def variable(self, cost: float, low: float, high: float, integer: int = 0) -> int:
        self.costs.append(cost)
        self.low.append(low)
        self.high.append(high)
        self.integer.append(integer)
        return len(self.costs) - 1

    def row(self, entries: dict[int, float], low: float, high: float) -> None:
        self.rows.append(entries)
        self.row_low.append(low)
        self.row_high.append(high)

    def _add_groups(self, labels: Indices, count: int, present: frozenset[int], weight: float) -> None:
        for group in range(count):
            members = np.flatnonzero(labels == group).tolist()
            if group in present:
                self.constant += weight
                continue
            if not members:
                continue
            y = self.variable(weight, 0, 1, integer=1)
            if weight >= 0:  # y ≤ Σ x
                self.row({y: 1.0} | dict.fromkeys(members, -1.0), -np.inf, 0)
            else:  # y ≥ x for each member
                for i in members:
                    self.row({y: 1.0, i: -1.0}, 0, np.inf)

    def _add_near(self, similarity: Matrix, base: Vector, weight: float) -> None:
        for target in range(len(base)):
            self.constant += weight * float(base[target])
            gains = similarity[target] - base[target]
            served: dict[int, float] = {}
            for i in np.flatnonzero(gains > 0).tolist():
                z = self.variable(weight * float(gains[i]), 0, 1)
                served[z] = 1.0
                self.row({z: 1.0, i: -1.0}, -np.inf, 0)
            if served:
                self.row(served, -np.inf, 1)

    def _add_spread(self, matrix: Matrix, to_fixed: Vector, base: float, weight: float) -> None:
        widest = float(min(base, matrix.max(initial=0.0)))
        s = self.variable(weight, -np.inf, widest)
        for i in range(len(matrix)):
            if to_fixed[i] < widest:
                self.row({s: 1.0, i: widest - float(to_fixed[i])}, -np.inf, widest)
            for j in range(i + 1, len(matrix)):
                room = widest - float(matrix[i, j])
                if room > 0:
                    self.row({s: 1.0, i: room, j: room}, -np.inf, widest + room)

    def add_tangent(self, x: Vector) -> bool:
        """Adds θ ≤ f(x₀) + ∇f(x₀)·(x − x₀); false where an equal one is there already."""
        pair = self.problem.pair
        if pair is None:
            return False
        n = self.problem.n
        gradient = pair @ x + self.diagonal * x + self.linear - self.diagonal / 2
        here = 0.5 * float(x @ (pair @ x)) + 0.5 * self.diagonal * float(x @ x)
        here += float((self.linear - self.diagonal / 2) @ x)
        right = here - float(gradient @ x)
        entries = {self.theta: 1.0} | {i: -float(gradient[i]) for i in range(n)}
        if any(abs(right - old) < 1e-9 and entries == row for row, old in zip(self.rows, self.row_high, strict=True)):
            return False
        self.row(entries, -np.inf, right)
        return True

    def solve(self, deadline: float, integer: bool) -> tuple[Vector | None, float] | None:
        """The x of the program's best solution, if any, and its upper bound; None without a bound in time."""
        from scipy.optimize import Bounds, LinearConstraint, milp

        left = deadline - time.perf_counter()
        if left <= 0.05:
            return None
        starts = np.cumsum([0, *(len(row) for row in self.rows)])
        columns = np.array([column for row in self.rows for column in row], dtype=np.int64)
        values = np.array([amount for row in self.rows for amount in row.values()])
        matrix = self.sparse((values, columns, starts), shape=(len(self.rows), len(self.costs)))
        with quiet_output():
            result = milp(
                -np.array(self.costs),
                constraints=LinearConstraint(matrix, np.array(self.row_low), np.array(self.row_high)),
                bounds=Bounds(np.array(self.low), np.array(self.high)),
                integrality=np.array(self.integer) if integer else None,
                options={"time_limit": left, "mip_rel_gap": 1e-8},
            )
        bound = result.get("mip_dual_bound")
        if not integer:
            bound = result.fun
        if bound is None or (not integer and result.status != 0):
            return None
        x = None if result.x is None else result.x[: self.problem.n]
        return x, float(-bound) + self.constant


def _diagonal(pair: Matrix) -> float:
    """The constant diagonal that makes the quadratic form's largest eigenvalue on Σx = 0 zero."""
    n = len(pair)
    if n < 2:
        return 0.0
    centred = pair - pair.mean(axis=0)[None, :] - pair.mean(axis=1)[:, None] + pair.mean()
    eigenvalues = np.linalg.eigvalsh(centred)
    away = np.delete(eigenvalues, int(np.abs(eigenvalues).argmin()))
    return -float(away.max()) - 1e-9 * max(1.0, abs(float(eigenvalues[0])))
