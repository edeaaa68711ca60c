"""How alike the two sides' vectors are: cosines against random pairs, anisotropy, CKA, languages against languages.

*Shapes:* N items, D dims, L languages. Values are `Measured`: first-order contributions of each item.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from xrealign.errors import DataError
from xrealign.measure.measured import Measured, measured
from xrealign.measure.retrieval import unit

Array = np.ndarray[Any, Any]


def translation_cosines(src: Array, tgt: Array) -> dict[str, Measured]:
    """``translations``: mean cosine of rows n and n; ``random``: of rows n and m ≠ n; ``margin``: their difference.

    The mean over random pairs is exact, over all N (N − 1) of them: Σ_n Σ_{m≠n} u_n·v_m = (Σu)·(Σv) − Σ u_n·v_n.

    Raises:
        DataError: fewer than two rows, or different numbers.
    """
    _check(src, tgt)
    left, right = (unit(side).astype(np.float64) for side in (src, tgt))
    count = len(left)
    own = np.einsum("nd,nd->n", left, right)
    as_query = (left @ right.sum(axis=0) - own) / (count - 1)
    as_answer = (right @ left.sum(axis=0) - own) / (count - 1)
    random = as_query + as_answer - as_query.mean()  # a pair takes part on both sides: projection of a U-statistic
    return {"translations": measured(own), "random": measured(random), "margin": measured(own - random)}


def anisotropy(vectors: Array) -> Measured:
    """Mean cosine over all pairs of different rows (Ethayarajh 2019, arXiv 1909.00512, section 3.4): 0 where vectors
    point everywhere, 1 where all point one way. *Shape:* (N, D)

    Raises:
        DataError: fewer than two rows.
    """
    _check(vectors, vectors)
    scaled = unit(vectors).astype(np.float64)
    each = (scaled @ scaled.sum(axis=0) - np.einsum("nd,nd->n", scaled, scaled)) / (len(scaled) - 1)
    return measured(2 * each - each.mean())


def linear_cka(src: Array, tgt: Array) -> Measured:
    """Linear centred kernel alignment, 0 to 1 (Kornblith et al. 2019, arXiv 1905.00414, eq. 4 and section 5).

    ‖Yᶜᵀ Xᶜ‖² / (‖Xᶜᵀ Xᶜ‖ ‖Yᶜᵀ Yᶜ‖) with centred columns: centring by language changes nothing. Few rows in many dims
    raise it: 1 where N ≤ 2, so compare encoders on the same N only.

    Raises:
        DataError: fewer than two rows, different numbers, or a side whose rows are all the same.
    """
    _check(src, tgt)
    x, y = (side.astype(np.float64) - side.mean(axis=0, dtype=np.float64) for side in (src, tgt))
    count = len(x)
    xy, xx, yy = x.T @ y / count, x.T @ x / count, y.T @ y / count
    a, b, c = (float((part**2).sum()) for part in (xy, xx, yy))
    if b == 0 or c == 0:
        raise DataError("CKA of vectors that are all the same is not defined")
    value = a / np.sqrt(b * c)
    of_a = 2 * np.einsum("nd,nd->n", x @ xy, y) - 2 * a
    of_b = 2 * np.einsum("nd,nd->n", x @ xx, x) - 2 * b
    of_c = 2 * np.einsum("nd,nd->n", y @ yy, y) - 2 * c
    if a == 0:
        return measured(np.zeros(count))
    return measured(value + value * (of_a / a - of_b / (2 * b) - of_c / (2 * c)))


def language_similarity(by_language: Mapping[str, Array]) -> tuple[list[str], Array]:
    """Mean cosine of the translations of each two languages: mPLM-Sim (Lin et al. 2024, arXiv 2305.13684, section 3).

    Args:
        by_language: row n is the same sentence in every language. *Shape:* (N, D) each

    Returns:
        languages in the order given, and similarities with ones on the diagonal. *Shape:* (L, L)

    Raises:
        DataError: languages differ in their number of sentences, or have none.
    """
    counts = {len(vectors) for vectors in by_language.values()}
    if len(counts) != 1 or counts == {0}:
        raise DataError(f"languages with {sorted(counts)} sentences; expected the same number in each, at least one")
    flat = np.stack([unit(vectors).astype(np.float64).reshape(-1) for vectors in by_language.values()])
    similarity: Array = flat @ flat.T / counts.pop()
    np.fill_diagonal(similarity, 1.0)
    return list(by_language), similarity


def _check(src: Array, tgt: Array) -> None:
    if len(src) != len(tgt) or len(src) < 2:
        raise DataError(f"{len(src)} and {len(tgt)} vectors; expected the same number on both sides, at least two")
