"""Maps of a language's vectors into another's space, fitted on pairs of vectors: centring, rotation, linear.

Every map is affine, y = x A + b, so that mapping a sentence's subwords and pooling them, or pooling first, is the same.

*Shapes:* N pairs, D dims.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from xrealign.errors import ConfigError, DataError, did_you_mean

Array = np.ndarray[Any, Any]
Vectors = TypeVar("Vectors", Array, Tensor)
ROUNDS = 10  # of length and mean normalisation; what is left of either is below 1e-3 long before


@dataclass(frozen=True, slots=True)
class Transform:
    """One language's map, y = x A + b.

    Attributes:
        matrix: A; None for the identity. *Shape:* (D, D), float32
        offset: b. *Shape:* (D,), float32
        pairs: how many pairs of vectors it was fitted on.
    """

    matrix: Array | None
    offset: Array
    pairs: int

    def apply(self, vectors: Vectors) -> Vectors:
        """The mapped vectors, of the kind, type and device of ``vectors``. *Shape:* (…, D) → (…, D)"""
        if isinstance(vectors, Tensor):
            offset = torch.from_numpy(self.offset).to(vectors)
            return (vectors if self.matrix is None else vectors @ torch.from_numpy(self.matrix).to(vectors)) + offset
        mapped = vectors if self.matrix is None else vectors @ self.matrix.astype(vectors.dtype)
        moved: Array = mapped + self.offset.astype(vectors.dtype)
        return moved


def fit_transform(kind: str, src_vectors: Array, tgt_vectors: Array, prior: float | None = None) -> Transform:
    """The map of ``kind`` from the target language's vectors to the source language's; row n translates row n.

    - ``centring``: moves the target's mean to the source's (Libovický et al. 2020, arXiv 2004.05160).
    - ``rotation``: orthogonal Procrustes, argmin ‖XQ − Y‖ over QᵀQ = I (Schönemann 1966), on the vectors as they are.
    - ``centred-rotation``: the same on vectors less their language's mean; the mapped mean is the source's
      (Kulshreshtha et al. 2020, arXiv 2009.14304).
    - ``normalised-rotation``: Q is found on centred vectors that are scaled to length 1 and centred in turn until both
      hold (`normalise`). Departures: there the first scaling comes before any centring, which lets the distance of the
      means distort Q; and there the vectors stay normalised, here they only serve to find Q, so that the map is affine
      and keeps lengths.
    - ``linear``: least squares, argmin ‖XA + b − Y‖ (Libovický et al. 2020, their projection).

    Text to fit on is scarce: a map of D dims from fewer than D pairs is not determined. All but ``centring`` are
    therefore drawn towards the identity, as by ``prior`` further pairs of average length and all directions alike
    that translate themselves: with λ = prior · mean ‖x‖² / D, Q is the rotation nearest XᵀY + λI, and
    A = (XᵀX + λI)⁻¹(XᵀY + λI). With no pairs at all the map is the identity.

    Args:
        prior: D without one; 0 is the published definition.

    Raises:
        ConfigError: the kind is unknown, or the prior is negative.
        DataError: shapes differ, a value is not finite, or with ``prior=0`` there are too few pairs.
    """
    if kind not in KINDS:
        raise ConfigError(
            f"transform {kind!r} is unknown; expected one of {', '.join(KINDS)}{did_you_mean(kind, KINDS)}"
        )
    x, y = _checked(src_vectors, tgt_vectors)
    count, width = x.shape
    prior = float(width) if prior is None else prior
    if not (np.isfinite(prior) and prior >= 0):
        raise ConfigError(f"prior is {prior}, expected a number of pairs: 0 or more")
    if prior == 0 and kind != "centring":
        span = int(np.linalg.matrix_rank(x if kind == "rotation" else x - x.mean(axis=0))) if count else 0
        if span < width:
            raise DataError(
                f"{kind} is not determined when prior = 0: {count} pairs of vectors span {span} of {width} dims; give "
                "more parallel text, or leave the prior out, which draws the map towards the identity"
            )
    return KINDS[kind](x, y, prior) if count else Transform(None, np.zeros(width, dtype=np.float32), 0)


def _checked(src_vectors: Array, tgt_vectors: Array) -> tuple[Array, Array]:
    """X, the target's vectors, and Y, the source's, in float64."""
    y, x = np.asarray(src_vectors, dtype=np.float64), np.asarray(tgt_vectors, dtype=np.float64)
    if x.ndim != 2 or x.shape != y.shape:
        raise DataError(f"vectors of shapes {y.shape} (source) and {x.shape} (target), expected (N, D) twice")
    for side, vectors in (("source", y), ("target", x)):
        wrong = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(wrong):
            raise DataError(f"{side} vector {wrong[0]} (from 0) has a value that is not a finite number")
    return x, y


def normalise(vectors: Array, rounds: int = ROUNDS) -> Array:
    """Vectors scaled to length 1 and less their mean, ``rounds`` times, so that both nearly hold. *Shape:* (N, D)

    Iterative normalisation (Zhang et al. 2019, arXiv 1906.01622). A vector of zeros stays one.
    """
    result = np.asarray(vectors, dtype=np.float64)
    for _ in range(rounds):
        lengths = np.linalg.norm(result, axis=1, keepdims=True)
        result = np.divide(result, lengths, out=np.zeros_like(result), where=lengths > 0)
        result = result - result.mean(axis=0)
    return result


def _centring(x: Array, y: Array, prior: float) -> Transform:
    return Transform(None, (y.mean(axis=0) - x.mean(axis=0)).astype(np.float32), len(x))


def _rotation(x: Array, y: Array, prior: float) -> Transform:
    return Transform(_nearest_rotation(x, y, prior).astype(np.float32), np.zeros(x.shape[1], np.float32), len(x))


def _centred_rotation(x: Array, y: Array, prior: float) -> Transform:
    return _about_means(_nearest_rotation(x - x.mean(axis=0), y - y.mean(axis=0), prior), x, y)


def _normalised_rotation(x: Array, y: Array, prior: float) -> Transform:
    left, right = normalise(x - x.mean(axis=0)), normalise(y - y.mean(axis=0))
    return _about_means(_nearest_rotation(left, right, prior), x, y)


def _linear(x: Array, y: Array, prior: float) -> Transform:
    centred, wanted = x - x.mean(axis=0), y - y.mean(axis=0)
    if prior == 0:  # not by the normal equations, which square the condition number
        return _about_means(np.linalg.lstsq(centred, wanted, rcond=None)[0], x, y)
    pull = _pull(centred, prior)
    return _about_means(np.linalg.solve(centred.T @ centred + pull, centred.T @ wanted + pull), x, y)


def _nearest_rotation(x: Array, y: Array, prior: float) -> Array:
    """argmax tr(Qᵀ(XᵀY + λI)) over orthogonal Q: UVᵀ of the singular value decomposition."""
    u, _, vt = np.linalg.svd(x.T @ y + _pull(x, prior))
    rotation: Array = u @ vt
    return rotation


def _pull(x: Array, prior: float) -> Array:
    """λI. Where all vectors are zero nothing is known: any λ gives the identity."""
    size = float(np.square(x).sum()) / len(x)
    return np.eye(x.shape[1]) * (prior * size / x.shape[1] if size > 0 else 1.0)


def _about_means(matrix: Array, x: Array, y: Array) -> Transform:
    return Transform(matrix.astype(np.float32), (y.mean(axis=0) - x.mean(axis=0) @ matrix).astype(np.float32), len(x))


KINDS = {
    "centring": _centring,
    "rotation": _rotation,
    "centred-rotation": _centred_rotation,
    "normalised-rotation": _normalised_rotation,
    "linear": _linear,
}
