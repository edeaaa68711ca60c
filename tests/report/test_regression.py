from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import LeaveOneOut, cross_val_predict

from xrealign.errors import ConfigError, DataError, LanguageError
from xrealign.language import parse_language, parse_languages
from xrealign.report.gains import features_of, gains, read_feature_table
from xrealign.report.predict_command import write_predictions
from xrealign.report.regression import forest, least_squares
from xrealign.select.distances import distances
from xrealign.types import Score

ENGLISH = parse_language("eng")
CODES = ["deu", "fin", "tur", "rus", "hin", "tam", "arb", "zho", "swh", "yor", "vie", "tha", "kat", "eus", "quy"]


with warnings.catch_warnings():  # statsmodels uses what pandas 3 warns of
    warnings.simplefilter("ignore")
    import statsmodels.api as sm


def data(n: int = 30, k: int = 3, noise: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n * k)
    features = rng.normal(size=(n, k)) * [1, 10, 0.01][:k] + 5
    return features, 2 + features @ np.arange(1, k + 1) + noise * rng.normal(size=n)


@pytest.mark.parametrize(("n", "k"), [(8, 3), (30, 3), (34, 1)])
def test_least_squares_are_statsmodels(n: int, k: int) -> None:
    features, values = data(n, k)
    found = least_squares(features, values, [f"x{i}" for i in range(k)])
    reference = sm.OLS(values, sm.add_constant(features)).fit()
    coefficients = np.array([(c.value, c.error, c.p, c.low, c.high) for c in found.coefficients])
    wanted = np.column_stack([reference.params, reference.bse, reference.pvalues, reference.conf_int()])
    assert coefficients == pytest.approx(wanted, rel=1e-7, abs=1e-9)
    assert (found.r2, found.adjusted_r2) == pytest.approx((reference.rsquared, reference.rsquared_adj), abs=1e-10)
    assert found.sigma == pytest.approx(reference.mse_resid**0.5, abs=1e-10)
    new = features.mean(axis=0) + 0.3
    frame = reference.get_prediction(np.concatenate([[1.0], new])[None]).summary_frame(alpha=0.05)
    predicted = found.predict(new)
    wanted_band = (frame["mean"][0], frame["obs_ci_lower"][0], frame["obs_ci_upper"][0])
    assert (predicted.value, predicted.low, predicted.high) == pytest.approx(wanted_band, rel=1e-8)


def test_left_out_errors_are_those_of_n_fits() -> None:
    features, values = data(20)
    found = least_squares(features, values, ["a", "b", "c"]).left_out
    reference = cross_val_predict(LinearRegression(), features, values, cv=LeaveOneOut())
    assert found.predictions == pytest.approx(reference, abs=1e-8)
    assert found.absolute == pytest.approx(np.abs(values - reference).mean(), abs=1e-8)
    assert found.squared == pytest.approx(((values - reference) ** 2).mean() ** 0.5, abs=1e-8)
    by_mean = [values[i] - np.delete(values, i).mean() for i in range(20)]
    assert found.by_mean == pytest.approx(np.mean(np.square(by_mean)) ** 0.5, abs=1e-10)


def test_prediction_intervals_hold_new_languages_nineteen_times_in_twenty() -> None:
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(1000):
        features = rng.normal(size=(21, 2))
        values = features @ [1.0, -1.0] + rng.normal(size=21)
        found = least_squares(features[:20], values[:20], ["a", "b"]).predict(features[20])
        held += found.low <= values[20] <= found.high
    assert held / 1000 == pytest.approx(0.95, abs=0.03)  # four standard errors


def test_extrapolation_is_told() -> None:
    features, values = data(20, 1)
    found = least_squares(features, values, ["a"])
    assert not found.predict(features[3]).extrapolates
    assert found.predict(features.max(axis=0) + 3).extrapolates


def test_features_that_say_nothing_are_refused() -> None:
    features, values = data(20, 2)
    with pytest.raises(DataError, match="feature flat is the same"):
        least_squares(np.column_stack([features, np.ones(20)]), values, ["a", "b", "flat"])
    with pytest.raises(DataError, match="feature sum says nothing beyond a, b"):
        least_squares(np.column_stack([features, features.sum(axis=1)]), values, ["a", "b", "sum"])
    with pytest.raises(DataError, match="4 languages are too few to fit 2 features; at least 5"):
        least_squares(features[:4], values[:4], ["a", "b"])


def test_the_forest_is_scikit_learns_with_jackknife_plus() -> None:
    features, values = data(14)
    values[5] += 3  # a heavy one, so that the interval is not the same on both sides
    found = forest(features, values, ["a", "b", "c"], trees=20, repeats=10)

    def fit(rows: list[int]) -> RandomForestRegressor:
        model = RandomForestRegressor(20, min_samples_leaf=2, random_state=0)
        return model.fit(features[rows], values[rows])

    left = [fit([i for i in range(14) if i != out]) for out in range(14)]
    predictions = [float(model.predict(features[i : i + 1])[0]) for i, model in enumerate(left)]
    assert found.left_out.predictions == pytest.approx(predictions, abs=1e-12)
    new = features[:2].mean(axis=0)
    gaps = [abs(value - one) for value, one in zip(values, predictions, strict=True)]
    at_new = [float(model.predict(new[None])[0]) for model in left]
    predicted = found.predict(new, level=0.8)  # ceil(0.8 · 15) = 12th of 14 from either side
    assert predicted.high == pytest.approx(sorted(p + g for p, g in zip(at_new, gaps, strict=True))[11], abs=1e-12)
    assert predicted.low == pytest.approx(sorted(p - g for p, g in zip(at_new, gaps, strict=True))[2], abs=1e-12)
    assert predicted.value == pytest.approx(float(fit(list(range(14))).predict(new[None])[0]), abs=1e-12)
    one = found.predict_left_out(3)
    assert one.value == pytest.approx(predictions[3], abs=1e-12)
    assert one.high - one.value == pytest.approx(max(gap for i, gap in enumerate(gaps) if i != 3), abs=1e-12)


def test_importance_finds_what_matters() -> None:
    rng = np.random.default_rng(4)
    features = rng.normal(size=(25, 2))
    found = forest(features, 3 * features[:, 1], ["noise", "cause"], trees=20, repeats=10)
    assert found.importance["cause"][0] > 10 * abs(found.importance["noise"][0])


def test_features_are_distances_to_the_source_and_columns_of_a_table() -> None:
    languages = parse_languages(CODES)
    table = {"size": {language: 10.0 ** (n + 1) for n, language in enumerate(languages[:-1])}}
    names = ["uriel-featural", "log:size", "seen:xlm-r"]
    found = features_of(languages, names, source=ENGLISH, table=table)
    assert list(found.dropped.values()) == ["no log:size"]
    row = distances([ENGLISH, *languages], "uriel-featural").matrix[0, 1:]
    assert found.values[:, 0] == pytest.approx(row[:-1], abs=1e-12)
    assert found.values[:, 1].tolist() == pytest.approx([n + 1 for n in range(len(CODES) - 1)])
    seen = dict(zip((language.iso for language in found.languages), found.values[:, 2], strict=True))
    assert (seen["deu"], seen["yor"]) == (1, 0)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["log:sise"], "no column 'sise'; did you mean 'size'"),
        (["uriel-featurall"], "unknown distance"),
        (["size", "size"], "there twice"),
        (["log:zero"], "no logarithm; use log1p:"),
        (["seen:gpt"], "no list of pre-training languages"),
    ],
)
def test_unknown_features_are_refused(names: list[str], words: str) -> None:
    languages = parse_languages(CODES[:3])
    table = {"size": dict.fromkeys(languages, 2.0), "zero": dict.fromkeys(languages, 0.0)}
    with pytest.raises((ConfigError, DataError, LanguageError), match=words):
        features_of(languages, names, source=ENGLISH, table=table)


def test_tables_of_numbers_are_read(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_bytes("\ufeff# sizes\r\nlanguage\tsize\tname\r\nde\t5\tDeutsch\r\n\r\nswh_Latn\t\tKiswahili".encode())
    found = read_feature_table(path)
    assert found == {"size": {parse_language("deu"): 5.0}}
    comma = tmp_path / "t.csv"
    comma.write_text('tag,size,fertility\ndeu,"5",1.25\n', "utf-8")
    assert read_feature_table(comma)["fertility"] == {parse_language("deu"): 1.25}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("language\n", "expected a language and numbers"),
        ("language\tsize\ndeu\t1\t2\n", ":2: 3 values, expected 2"),
        ("language\tsize\ndeu\t1\nqqq9\t2\n", ":3: unknown language 'qqq9'"),
        ("language\tsize\ndeu\t1\nde\t2\n", ":3: deu_Latn stands in line 2 already"),
        ("language\tsize\ndeu\tinf\n", ":2: size is 'inf'"),
        ("language\tsize\ndeu\tmany\n", "no column holds numbers alone"),
    ],
)
def test_broken_tables_say_what_and_where(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text(text, "utf-8")
    with pytest.raises(DataError, match=words):
        read_feature_table(path)


def scores() -> list[Score]:
    """Gains that are 0.1 times the featural distance to English, the same with both seeds."""
    languages = parse_languages(CODES)
    far = distances([ENGLISH, *languages], "uriel-featural").matrix[0, 1:]
    one = Score("r", "baseline", "pos", "", "accuracy", 0.5, 0, 1)
    rng = np.random.default_rng(1)
    rows = []
    for language, distance in zip(languages, far, strict=True):
        for seed in (1, 2):
            base = float(rng.uniform(0.4, 0.6))
            rows.append(replace(one, language=language.tag, seed=seed, value=base))
            rows.append(
                replace(one, method="full", language=language.tag, seed=seed, value=base + 0.1 * float(distance))
            )
    return [*rows, replace(one, language="eng_Latn", value=0.9), replace(one, language="xx9", value=0.9)]


def test_a_gain_made_of_distances_is_predicted_from_them() -> None:
    gained = gains(scores(), "full", baseline="baseline", source=ENGLISH)
    assert gained.dropped == {"eng_Latn": "not scored by both methods with one seed", "xx9": gained.dropped["xx9"]}
    assert gained.seeds == 2
    wanted = parse_languages(["kor", "deu"])
    found = features_of([*gained.by_language, wanted[0]], ["uriel-featural", "geographic"], source=ENGLISH)
    whole = json.loads(write_predictions(gained, found, wanted, "json", False, 0), parse_constant=pytest.fail)
    korean, german = whole["predictions"]
    distance = distances([ENGLISH, wanted[0]], "uriel-featural").matrix[0, 1]
    assert korean["gain"] == pytest.approx(0.1 * distance, abs=1e-9)
    assert korean["observed"] is None
    assert german["observed"] == pytest.approx(german["gain"], abs=1e-9)
    assert whole["linear"]["r2"] == pytest.approx(1, abs=1e-9)
    assert whole["left_out"]["linear"]["squared"] < 1e-9 < whole["left_out"]["mean"]["squared"]
    for form in ("md", "csv", "latex"):
        text = write_predictions(gained, found, wanted, form, False, 0)
        assert "Korean" in text
        assert "nan" not in text.lower().split()


def test_what_cannot_be_predicted_is_said() -> None:
    with pytest.raises(DataError, match="'ful'; did you mean 'full'"):
        gains(scores(), "ful", baseline="baseline", source=ENGLISH)
    with pytest.raises(DataError, match="several tasks; choose one with --task: pos, ner"):
        gains([*scores(), *(replace(s, task="ner") for s in scores())], "full", baseline="baseline", source=ENGLISH)
    with pytest.raises(DataError, match="there twice"):
        gains([*scores(), scores()[0]], "full", baseline="baseline", source=ENGLISH)
    gained = gains(scores(), "full", baseline="baseline", source=ENGLISH)
    table = {"size": {language: float(n) for n, language in enumerate(gained.by_language)}}
    wanted = parse_languages(["kor"])
    found = features_of([*gained.by_language, *wanted], ["size"], source=ENGLISH, table=table)
    with pytest.raises(DataError, match="kor_Hang cannot be predicted: no size"):
        write_predictions(gained, found, wanted, "md", False, 0)
