"""Upper bounds on Σ_{i<j} pair[i,j]·x_i·x_j + Σ linear[i]·x_i over subsets of size k.

Every bound is valid for any input: it comes from a relaxation's dual, so stopping early only makes it weaker.
Each also bounds the value with a given language in or out, which removes candidates that cannot matter.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xrealign.select.problem import Indices, Limit, Matrix, Vector

ROUNDING = 1e-9  # relative allowance for floating-point error in a bound


@dataclass(frozen=True, slots=True)
class Bound:
    """An upper bound.

    Attributes:
        value: no subset of size k has more.
        with_in: (n,) no subset that contains i has more.
        with_out: (n,) no subset without i has more.
        share: (n,) the relaxation's solution, between 0 and 1: how much each language wants to be in.
    """

    value: float
    with_in: Vector
    with_out: Vector
    share: Vector


def _top(scores: Vector, k: int, offset: float) -> tuple[float, Vector, Vector]:
    """offset + the best sum of k scores, and the same with i forced in and with i forced out."""
    n = len(scores)
    order = np.argsort(-scores, kind="stable")
    total = float(scores[order[:k]].sum()) + offset
    chosen = np.zeros(n, dtype=bool)
    chosen[order[:k]] = True
    last = scores[order[k - 1]] if k else -np.inf
    following = scores[order[k]] if k < n else -np.inf
    with_in = np.where(chosen, total, total - last + scores)
    with_out = np.where(chosen, total - scores + following, total)
    return total, with_in, with_out


def row_bound(pair: Matrix, linear: Vector, k: int) -> Bound:
    """Each member counted with its k−1 best partners: crude, linear in the data, valid without concavity."""
    n = len(linear)
    if k >= 2 and n >= 2:
        partners = np.partition(pair - np.diag(np.full(n, np.inf)), n - k + 1, axis=1)[:, n - k + 1 :]
        scores = linear + partners.sum(axis=1) / 2
    else:
        scores = linear.copy()
    value, with_in, with_out = _top(scores, k, 0.0)
    slack = ROUNDING * max(1.0, abs(value))
    return Bound(value + slack, with_in + slack, with_out + slack, np.full(n, k / n))


def _project(x: Vector, k: int) -> Vector:
    """The nearest point with 0 ≤ x ≤ 1 and Σx = k."""
    low, high = float(x.min()) - 1.0, float(x.max())
    for _ in range(60):
        middle = (low + high) / 2
        if np.clip(x - middle, 0, 1).sum() > k:
            low = middle
        else:
            high = middle
    projected: Vector = np.clip(x - (low + high) / 2, 0, 1)
    return projected


def concave_bound(
    pair: Matrix, linear: Vector, k: int, negative_type: bool, steps: int = 200, target: float = -np.inf
) -> Bound:
    """The continuous relaxation, bounded by a tangent plane.

    Angular distances are of negative type: x'·pair·x is concave on Σx = k, so the tangent at any x lies above
    it. Where that is not known (``negative_type`` false), and to sharpen the bound where it is, ``pair`` gets a
    constant diagonal that makes its largest eigenvalue on Σx = 0 zero; on 0/1 points this changes nothing
    (x² = x). ``target`` stops early once the bound is below it.
    """
    n = len(linear)
    diagonal = 0.0
    if n <= 700 or not negative_type:
        centred = pair - pair.mean(axis=0)[None, :] - pair.mean(axis=1)[:, None] + pair.mean()
        eigenvalues = np.linalg.eigvalsh(centred)
        # The centring itself contributes one eigenvalue of 0, in the direction of the constant vector.
        away = np.delete(eigenvalues, int(np.abs(eigenvalues).argmin()))
        diagonal = -float(away.max(initial=-np.inf)) if n > 1 else 0.0
        diagonal -= 1e-9 * max(1.0, abs(float(eigenvalues[0])))
    # objective: ½ x'(pair + diagonal·I)x + (linear − diagonal/2)'x
    shifted = linear - diagonal / 2
    x = np.full(n, k / n)
    image = pair @ x
    best: Bound | None = None
    step = 4.0 / max(1e-9, float(np.abs(image).max()) * n / k)
    ahead, ahead_image, t = x.copy(), image.copy(), 1.0
    found = -np.inf
    for iteration in range(steps):
        # The tangent may lie at any point with Σx = k, inside the box or not: ``ahead`` is such a point.
        gradient = ahead_image + diagonal * ahead + shifted
        if iteration % 10 == 0 or iteration == steps - 1:
            here = 0.5 * float(ahead @ (gradient + shifted))
            value, with_in, with_out = _top(gradient, k, here - float(gradient @ ahead))
            slack = ROUNDING * max(1.0, abs(value))
            if best is None or value + slack < best.value:
                best = Bound(value + slack, with_in + slack, with_out + slack, np.clip(ahead, 0, 1))
            if best.value <= target or value - here < 1e-7 * max(1.0, abs(value)):
                break
        stepped = _project(ahead + step * gradient, k)
        stepped_image = pair @ stepped
        reached = 0.5 * float(stepped @ (stepped_image + diagonal * stepped)) + float(shifted @ stepped)
        if reached < found:  # overshoot: start again without momentum, with a shorter step
            step, t, ahead, ahead_image = step / 2, 1.0, x.copy(), image.copy()
            continue
        following = (1 + np.sqrt(1 + 4 * t * t)) / 2
        pull = (t - 1) / following
        ahead, ahead_image = stepped + pull * (stepped - x), stepped_image + pull * (stepped_image - image)
        x, image, found, t = stepped, stepped_image, reached, following
        step *= 1.2
    if best is None:
        raise AssertionError("no step was made")
    return best


def positive_bound(
    pair: Matrix,
    linear: Vector,
    k: int,
    limits: Sequence[Limit] = (),
    forbidden: NDArray[np.bool_] | None = None,
    steps: int = 2000,
    target: float = -np.inf,
    deadline: float = np.inf,
) -> Bound:
    """The doubly non-negative relaxation, by alternating directions.

    X stands for x·x': positive semidefinite, entries between 0 and 1, diagonal x, Σx = k, X·1 = k·x. The last
    two hold by writing Y = [[1, x'], [x, X]] in a basis of the vectors orthogonal to (−k, 1, …, 1) (facial
    reduction; Oliveira, Wolkowicz & Xu 2018, "ADMM for the SDP relaxation of the QAP"). For any multiplier Λ,
    max over the polyhedron of ⟨C − Λ, Y⟩ plus (1 + k)·max(0, λ_max(V'ΛV)) is an upper bound. Needs no concavity.

    ``limits`` enter with Lagrange multipliers, and ``forbidden`` (n, n) pairs have X = 0.
    """
    n = len(linear)
    if k == 0 or k == n or n < 3:
        return _trivial(pair, linear, k)
    scale = max(float(np.abs(pair).max()), float(np.abs(linear).max()), 1e-12)
    objective = np.zeros((n + 1, n + 1))
    objective[1:, 1:] = pair / (2 * scale)
    np.fill_diagonal(objective[1:, 1:], 0)
    amounts, highs = _as_upper(limits, n)
    prices = np.zeros(len(highs))
    ceiling = np.ones((n + 1, n + 1))
    if forbidden is not None:
        ceiling[1:, 1:][forbidden & ~np.eye(n, dtype=bool)] = 0

    def price(prices: Vector) -> float:
        """Puts the priced limits into the objective; what they add to any bound."""
        priced = linear / scale - prices @ amounts
        objective[0, 1:] = objective[1:, 0] = priced / 2
        return float(prices @ highs)

    extra = price(prices)
    normal = np.concatenate([[-float(k)], np.ones(n)])[:, None]
    basis = np.linalg.qr(normal, mode="complete")[0][:, 1:]
    diagonal = np.arange(1, n + 1)
    polyhedral = np.zeros((n + 1, n + 1))
    polyhedral[1:, 1:] = k * (k - 1) / (n * (n - 1))
    polyhedral[diagonal, diagonal] = polyhedral[0, 1:] = polyhedral[1:, 0] = k / n
    polyhedral[0, 0] = 1
    multiplier = np.zeros_like(objective)
    penalty = n / 100  # tried from n / 300 to n / 10 on URIEL distances, n = 200, k = 3 to 50
    best: Bound | None = None
    checked = np.inf
    for step in range(1, steps + 1):
        values, vectors = np.linalg.eigh(basis.T @ (polyhedral + multiplier / penalty) @ basis)
        positive = values > 0
        lifted = basis @ vectors[:, positive]
        semidefinite = (lifted * values[positive]) @ lifted.T
        polyhedral = semidefinite + (objective - multiplier) / penalty
        shared = np.clip((polyhedral[diagonal, diagonal] + 2 * polyhedral[0, 1:]) / 3, 0, 1)
        np.clip(polyhedral, 0, ceiling, out=polyhedral)
        polyhedral[diagonal, diagonal] = polyhedral[0, 1:] = polyhedral[1:, 0] = shared
        polyhedral[0, 0] = 1
        multiplier += 1.618 * penalty * (polyhedral - semidefinite)
        if len(prices) and step % 5 == 0:
            over = amounts @ shared - highs
            prices = np.maximum(0, prices + 2.0 / np.sqrt(step) * over / k)
            extra = price(prices)
        last = step == steps or time.perf_counter() > deadline
        if step % 40 == 0 or last:
            bound = _dual_bound(objective, multiplier, basis, k, scale, extra, polyhedral[0, 1:], ceiling[1:, 1:])
            if best is None or bound.value < best.value:
                best = bound
            if last or best.value <= target:
                break
            if step % 200 == 0:
                # Branching gains more once steps close less than a twentieth of the way.
                left = best.value - target if np.isfinite(target) else 0.0
                if checked - best.value < max(2e-6 * max(1.0, abs(best.value)), 0.05 * left):
                    break
                checked = best.value
    if best is None:
        raise AssertionError("no step was made")
    return best


def _as_upper(limits: Sequence[Limit], n: int) -> tuple[Matrix, Vector]:
    """Limits as rows of amounts·x ≤ high, each scaled to a largest amount of 1: (m, n) and (m,)."""
    rows: list[Vector] = []
    highs: list[float] = []
    for limit in limits:
        size = max(float(np.abs(limit.amount).max(initial=0)), 1e-12)
        if np.isfinite(limit.high):
            rows.append(limit.amount / size)
            highs.append(limit.high / size)
        if np.isfinite(limit.low):
            rows.append(-limit.amount / size)
            highs.append(-limit.low / size)
    return (np.array(rows) if rows else np.zeros((0, n))), np.array(highs)


def _dual_bound(
    objective: Matrix,
    multiplier: Matrix,
    basis: Matrix,
    k: int,
    scale: float,
    extra: float,
    share: Vector,
    ceiling: Matrix,
) -> Bound:
    n = len(objective) - 1
    reduced = objective - multiplier
    diagonal = np.arange(1, n + 1)
    scores = reduced[diagonal, diagonal] + 2 * reduced[0, 1:]
    off = np.maximum(reduced[1:, 1:], 0) * ceiling
    np.fill_diagonal(off, 0)
    largest = float(np.linalg.eigvalsh(basis.T @ multiplier @ basis)[-1])
    offset = float(reduced[0, 0] + off.sum()) + (1 + k) * max(largest, 0.0) + extra
    value, with_in, with_out = _top(scores, k, offset)
    with_out = with_out - 2 * off.sum(axis=1)  # without i its entries of X are zero
    slack = ROUNDING * max(1.0, abs(value))
    return Bound((value + slack) * scale, (with_in + slack) * scale, (with_out + slack) * scale, share.copy())


def _trivial(pair: Matrix, linear: Vector, k: int) -> Bound:
    """Sizes where there is hardly a choice: all pairs of at most two languages, none, or all of them."""
    n = len(linear)
    if k == 0:
        return Bound(0.0, np.full(n, -np.inf), np.zeros(n), np.zeros(n))
    if k == n:
        total = float(pair.sum()) / 2 + float(linear.sum())
        return Bound(total, np.full(n, total), np.full(n, -np.inf), np.ones(n))
    return row_bound(pair, linear, k)


def tightest(first: Bound, second: Bound) -> Bound:
    """What both bounds say together."""
    closer = first if first.value <= second.value else second
    return Bound(
        min(first.value, second.value),
        np.minimum(first.with_in, second.with_in),
        np.minimum(first.with_out, second.with_out),
        closer.share,
    )


def undecided(bound: Bound, value: float) -> tuple[Indices, Indices]:
    """Languages that must be in, and those that may be in, in any subset worth more than ``value``."""
    certain = np.flatnonzero(bound.with_out <= value)
    possible = np.flatnonzero(bound.with_in > value)
    return certain.astype(np.int64), possible.astype(np.int64)
