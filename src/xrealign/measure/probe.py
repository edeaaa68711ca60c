"""How easily a linear probe tells the language of a vector: the lower, the more neutral the vectors.

Multinomial logistic regression of our own on SciPy's L-BFGS, as nothing else here would need scikit-learn; a test holds
it to scikit-learn's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from xrealign.errors import DataError

Array = np.ndarray[Any, Any]
FOLDS = 5
TIE = 1e-9


def fit_logistic(x: Array, y: Array, classes: int, penalty: float = 1.0) -> tuple[Array, Array]:
    """Weights (D, C) and biases (C,) of least Σ cross-entropy + penalty/2·‖weights‖²; biases are not penalised.

    What scikit-learn's ``LogisticRegression(C=1/penalty)`` minimises. *Shape:* (N, D), (N,)
    """
    from scipy.optimize import minimize

    wide = x.astype(np.float64)
    target = np.eye(classes)[y]
    size = wide.shape[1]

    def loss(flat: Array) -> tuple[float, Array]:
        weights, bias = flat[: size * classes].reshape(size, classes), flat[size * classes :]
        scores = wide @ weights + bias
        scores -= scores.max(axis=1, keepdims=True)
        logs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        error = np.exp(logs) - target
        slope = np.concatenate([(wide.T @ error + penalty * weights).reshape(-1), error.sum(axis=0)])
        return float(-(target * logs).sum() + penalty / 2 * (weights**2).sum()), slope

    start = np.zeros(size * classes + classes)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 500, "gtol": 1e-3})
    return found.x[: size * classes].reshape(size, classes), found.x[size * classes :]


def language_hits(by_language: Mapping[str, Array], centre: bool = False, folds: int = FOLDS, seed: int = 0) -> Array:
    """Whether a probe names the language of each vector, cross-validated. *Shape:* (N_l, D) each → (ΣN_l,), 0 or 1

    Where t languages tie for the highest score, the true one among them, it is 1/t.

    The mean is the probe's accuracy, to be held against the largest language's share (`majority`). A fold holds the
    same sentence numbers of all languages, so that no translation of a test sentence was trained on. Columns are
    scaled to variance 1 by the training part.

    Args:
        centre: subtract each language's mean over the training part first, from test vectors too (by their true
            language). Nothing is left to a linear probe then: with all means at zero, weights of zero are the best
            there are, and accuracy is that of the largest language. So this shows how it would look, no more.

    Raises:
        DataError: fewer than two languages, or one with fewer sentences than folds.
    """
    names = list(by_language)
    fewest = min((len(vectors) for vectors in by_language.values()), default=0)
    if len(names) < 2 or fewest < folds:
        raise DataError(
            f"a probe needs two languages with {folds} sentences each; there are {len(names)}, of at least {fewest}"
        )
    x = np.concatenate([by_language[name] for name in names]).astype(np.float64)
    y = np.repeat(np.arange(len(names)), [len(by_language[name]) for name in names])
    number = np.concatenate([np.arange(len(by_language[name])) for name in names])
    fold = (np.random.default_rng([seed, 0xF01D]).permutation(int(number.max()) + 1) % folds)[number]
    hits = np.zeros(len(y))
    for held in range(folds):
        train = fold != held
        moved = x - np.stack([x[train & (y == c)].mean(axis=0) for c in range(len(names))])[y] if centre else x
        mean, scale = moved[train].mean(axis=0), moved[train].std(axis=0)
        scaled = np.divide(moved - mean, scale, out=np.zeros_like(moved), where=scale > 0)
        weights, bias = fit_logistic(scaled[train], y[train], len(names))
        scores = scaled[~train] @ weights + bias
        first = scores >= scores.max(axis=1, keepdims=True) - TIE
        hits[~train] = first[np.arange(len(first)), y[~train]] / first.sum(axis=1)
    return hits


def majority(by_language: Mapping[str, Array]) -> float:
    """The accuracy of always naming the language with the most sentences."""
    counts = [len(vectors) for vectors in by_language.values()]
    return max(counts) / sum(counts)
