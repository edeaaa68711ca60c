"""Gains explained by what is known of a language: least squares with intervals, and a random forest beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from xrealign.errors import DataError
from xrealign.requirements import optional

LEVEL = 0.95
TREES = 100
REPEATS = 30
INTERCEPT = "intercept"
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Coefficient:
    """One coefficient with its standard error, two-sided p (Student's t) and interval."""

    name: str
    value: float
    error: float
    p: float | None
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """What to expect of one language: a value and the interval a new language's gain falls in.

    ``extrapolates``: the language is farther from those of the fit than any of them is from the others (its leverage
    is above theirs), so the prediction leans on the model alone.
    """

    value: float
    low: float
    high: float
    extrapolates: bool


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Leave-one-out prediction of each observation: mean absolute and root mean squared error.

    ``by_mean``: the root mean squared error of predicting the mean of the others; a model that is not below it has
    learned nothing that helps with a new language.
    """

    predictions: Array
    absolute: float
    squared: float
    by_mean: float


@dataclass(frozen=True, slots=True)
class LinearFit:
    """Ordinary least squares.

    Attributes:
        names: the K features.
        coefficients: the intercept, then one for each feature.
        n: observations.
        freedom: n − K − 1.
        r2: share of the variance explained; ``adjusted_r2`` for how many features there are.
        sigma: standard deviation of the residuals, n − K − 1 in the denominator.
        left_out: leave-one-out errors.
        inverse: (K+1, K+1) (XᵀX)⁻¹, for predictions.
        highest_leverage: of an observation of the fit.
    """

    names: tuple[str, ...]
    coefficients: tuple[Coefficient, ...]
    n: int
    freedom: int
    r2: float
    adjusted_r2: float
    sigma: float
    left_out: LeftOut
    inverse: Array
    highest_leverage: float

    def predict(self, features: Array, level: float = LEVEL) -> Prediction:
        """The prediction for (K,) features, with its interval for a new observation."""
        row = np.concatenate([[1.0], features])
        value = float(row @ np.array([coefficient.value for coefficient in self.coefficients]))
        leverage = float(row @ self.inverse @ row)
        reach = _critical(self.freedom, level) * self.sigma * math.sqrt(1 + leverage)
        return Prediction(value, value - reach, value + reach, leverage > self.highest_leverage + 1e-9)


def least_squares(features: Array, values: Array, names: Sequence[str], level: float = LEVEL) -> LinearFit:
    """Fits (n,) values by an intercept and (n, K) features.

    Leave-one-out errors are those of n fits, in closed form: residual / (1 − leverage) (Allen 1974).

    Raises:
        DataError: fewer than K + 3 observations, or a feature that is constant or a sum of others.
    """
    n, k = features.shape
    if n < k + 3:
        raise DataError(
            f"{n} languages are too few to fit {k} features; at least {k + 3}, better five for each: use fewer features"
        )
    design = np.column_stack([np.ones(n), features])
    _check_rank(design, names)
    q, r = np.linalg.qr(design)
    solution = np.linalg.solve(r, q.T @ values)
    residuals = values - design @ solution
    freedom = n - k - 1
    root = np.linalg.inv(r)
    inverse: Array = root @ root.T
    sigma = math.sqrt(float(residuals @ residuals) / freedom)
    errors = sigma * np.sqrt(np.diag(inverse))
    leverage = (q**2).sum(axis=1)
    total = float(((values - values.mean()) ** 2).sum())
    r2 = 1 - float(residuals @ residuals) / total if total > 0 else 0.0
    critical = _critical(freedom, level)
    coefficients = tuple(
        Coefficient(name, value, error, _p(value, error, freedom), value - critical * error, value + critical * error)
        for name, value, error in zip((INTERCEPT, *names), solution.tolist(), errors.tolist(), strict=True)
    )
    return LinearFit(
        tuple(names),
        coefficients,
        n,
        freedom,
        r2,
        1 - (1 - r2) * (n - 1) / freedom,
        sigma,
        left_out_errors(values, values - residuals / np.maximum(1 - leverage, 1e-12)),
        inverse,
        float(leverage.max()),
    )


def _p(value: float, error: float, freedom: int) -> float | None:
    return float(2 * special.stdtr(freedom, -abs(value) / error)) if error > 0 else None


def _critical(freedom: int, level: float) -> float:
    return float(special.stdtrit(freedom, (1 + level) / 2))


def _check_rank(design: Array, names: Sequence[str]) -> None:
    spread = design[:, 1:].std(axis=0)
    flat = [name for name, one in zip(names, spread, strict=True) if one < 1e-12]
    if flat:
        raise DataError(f"feature {', '.join(flat)} is the same for all languages; leave it out")
    standard = np.column_stack([design[:, 0], (design[:, 1:] - design[:, 1:].mean(axis=0)) / spread])
    for count in range(2, standard.shape[1] + 1):
        if np.linalg.matrix_rank(standard[:, :count], tol=1e-8 * math.sqrt(len(standard))) < count:
            before = ", ".join(names[: count - 2])
            raise DataError(f"feature {names[count - 2]} says nothing beyond {before}; leave it out")


def left_out_errors(values: Array, predictions: Array) -> LeftOut:
    """Errors of (n,) predictions, each made without its own observation."""
    n = len(values)
    gaps = values - predictions
    of_mean = (values - values.mean()) * n / (n - 1)
    return LeftOut(
        predictions,
        float(np.abs(gaps).mean()),
        math.sqrt(float((gaps**2).mean())),
        math.sqrt(float((of_mean**2).mean())),
    )


@dataclass(frozen=True, slots=True)
class ForestFit:
    """A random forest (Breiman 2001) with permutation importance.

    Attributes:
        importance: feature → mean rise of the squared error's root, in the values' unit, when its values are shuffled
            among left-out languages: (mean, standard deviation over repeats).
        left_out: leave-one-out errors.
        models: the n forests that each leave one language out, for the interval.
        values: (n,) the values fitted.
    """

    names: tuple[str, ...]
    importance: dict[str, tuple[float, float]]
    left_out: LeftOut
    models: tuple[Any, ...]
    whole: Any
    values: Array

    def predict(self, features: Array, level: float = LEVEL) -> Prediction:
        """The forest's prediction for (K,) features; the interval is the jackknife+ (Barber et al. 2021, eq. 1.4).

        It holds at least 1 − 2·(1 − level) of new languages drawn as these were, usually about ``level``. With few
        languages the interval is that of the extreme ones.
        """
        row = features[None]
        gaps = np.abs(self.values - self.left_out.predictions)
        others = np.array([float(model.predict(row)[0]) for model in self.models])
        rank = _rank(len(gaps), level)
        low = float(np.sort(others - gaps)[len(gaps) - rank])
        high = float(np.sort(others + gaps)[rank - 1])
        return Prediction(float(self.whole.predict(row)[0]), low, high, False)

    def predict_left_out(self, place: int, level: float = LEVEL) -> Prediction:
        """The prediction of observation ``place`` by the forest that has not seen it.

        The interval is the plain jackknife's: ± the errors of the others.
        """
        gaps = np.abs(np.delete(self.values - self.left_out.predictions, place))
        reach = float(np.sort(gaps)[_rank(len(gaps), level) - 1])
        value = float(self.left_out.predictions[place])
        return Prediction(value, value - reach, value + reach, False)


def _rank(n: int, level: float) -> int:
    return min(math.ceil(level * (n + 1)), n)


def forest(
    features: Array, values: Array, names: Sequence[str], *, trees: int = TREES, repeats: int = REPEATS, seed: int = 0
) -> ForestFit:
    """Fits (n,) values by (n, K) features with a random forest, and one more without each language.

    Importance is measured on the languages left out: each is predicted by the forest that has not seen it, with one
    feature replaced by another language's. scikit-learn's defaults, but ``trees`` trees of at least two languages a
    leaf.

    Raises:
        MissingExtra: scikit-learn is not installed.
        DataError: fewer than five languages.
    """
    with optional("forest", "a random forest of gains"):
        from sklearn.ensemble import RandomForestRegressor
    n = len(values)
    if n < 5:
        raise DataError(f"{n} languages are too few for a random forest; at least 5")

    def fit(rows: NDArray[np.intp]) -> Any:
        model = RandomForestRegressor(trees, min_samples_leaf=2, random_state=seed, n_jobs=1)
        return model.fit(features[rows], values[rows])

    everyone = np.arange(n)
    models = tuple(fit(np.delete(everyone, one)) for one in range(n))
    predictions = np.array([model.predict(features[one : one + 1])[0] for one, model in enumerate(models)])
    found = left_out_errors(values, predictions)
    rng = np.random.default_rng(seed)
    orders = np.stack([rng.permutation(n) for _ in range(repeats)])  # (R, n)
    importance = {}
    for column, name in enumerate(names):
        shuffled = np.empty((repeats, n))
        for one, model in enumerate(models):
            rows = np.repeat(features[one : one + 1], repeats, axis=0)
            rows[:, column] = features[orders[:, one], column]
            shuffled[:, one] = model.predict(rows)
        rises = np.sqrt(((values - shuffled) ** 2).mean(axis=1)) - found.squared
        importance[name] = (float(rises.mean()), float(rises.std(ddof=1)))
    return ForestFit(tuple(names), importance, found, models, fit(everyone), values)
