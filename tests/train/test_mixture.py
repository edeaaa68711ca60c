"""Shares of languages against their formulas, and the counts of a plan against counting."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xrealign.errors import ConfigError
from xrealign.train.mixture import drawn_counts, mixture_shares

PAIRS = {"swh_Latn": 100, "deu_Latn": 10_000, "tur_Latn": 900}
COUNTS = st.dictionaries(st.sampled_from(["a", "b", "c", "d", "e"]), st.integers(1, 10**9), min_size=1)


def test_shares_worked_by_hand():
    assert mixture_shares("uniform", PAIRS) == pytest.approx(dict.fromkeys(PAIRS, 1 / 3))
    assert mixture_shares("proportional", PAIRS) == pytest.approx(
        {"deu_Latn": 10 / 11, "swh_Latn": 1 / 110, "tur_Latn": 9 / 110}
    )
    # square roots are 100, 10 and 30
    assert mixture_shares("temperature", PAIRS, temperature=2) == pytest.approx(
        {"deu_Latn": 100 / 140, "swh_Latn": 10 / 140, "tur_Latn": 30 / 140}
    )
    weights = {"swh_Latn": 3, "deu_Latn": 0, "tur_Latn": 1}
    assert mixture_shares("custom", PAIRS, weights=weights) == pytest.approx(
        {"deu_Latn": 0, "swh_Latn": 0.75, "tur_Latn": 0.25}
    )
    assert list(mixture_shares("uniform", PAIRS)) == sorted(PAIRS)


@given(COUNTS, st.floats(0.5, 1e6))
def test_temperature_is_the_published_formula(pairs, temperature):
    powers = {name: count ** (1 / temperature) for name, count in pairs.items()}
    expected = {name: power / sum(powers.values()) for name, power in powers.items()}
    assert mixture_shares("temperature", pairs, temperature) == pytest.approx(expected, rel=1e-9)


@given(COUNTS)
def test_temperature_ends_in_proportional_and_uniform(pairs):
    assert mixture_shares("temperature", pairs, 1) == pytest.approx(mixture_shares("proportional", pairs))
    assert mixture_shares("temperature", pairs, 1e12) == pytest.approx(mixture_shares("uniform", pairs))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("temprature", PAIRS), "did you mean 'temperature'"),
        (("temperature", PAIRS, 0), "temperature is 0, expected a number above 0"),
        (("temperature", PAIRS, float("nan")), "temperature is nan"),
        (("uniform", {}), "no pairs to draw in any language"),
        (("uniform", {"deu_Latn": 0, "tur_Latn": 1}), "no pairs to draw in deu_Latn"),
        (("uniform", PAIRS, 5, {"deu_Latn": 1}), "weights are for mixture = 'custom'"),
        (("custom", PAIRS), "missing: deu_Latn, swh_Latn, tur_Latn"),
        (("custom", PAIRS, 5, {"deu_Latn": 1, "swh_Latn": 1}), "missing: tur_Latn"),
        (("custom", PAIRS, 5, {**dict.fromkeys(PAIRS, 1), "deu_Latm": 1}), "did you mean 'deu_Latn'"),
        (("custom", PAIRS, 5, {**dict.fromkeys(PAIRS, 1), "deu_Latn": -1}), "weight of deu_Latn is -1"),
        (("custom", PAIRS, 5, {**dict.fromkeys(PAIRS, 1), "deu_Latn": math.inf}), "weight of deu_Latn is inf"),
        (("custom", PAIRS, 5, dict.fromkeys(PAIRS, 0)), "all mixture weights are 0"),
    ],
)
def test_what_cannot_be_is_said(arguments, message):
    with pytest.raises(ConfigError, match=message):
        mixture_shares(*arguments)


def test_counts_of_a_plan_worked_by_hand():
    plan = np.array([[0, 1, 0], [2, 0, 2]])
    assert drawn_counts(plan, ["deu", "deu", "tur", "swh"]) == {
        "deu": {"drawn": 4, "distinct": 2, "repeated": 2},
        "swh": {"drawn": 0, "distinct": 0, "repeated": 0},
        "tur": {"drawn": 2, "distinct": 1, "repeated": 1},
    }


@given(st.lists(st.integers(0, 9), max_size=60), st.lists(st.sampled_from("abc"), min_size=10, max_size=10))
def test_counts_of_a_plan_are_those_of_a_loop(items, languages):
    found = drawn_counts(np.array(items, dtype=np.int64), languages)
    assert sum(row["drawn"] for row in found.values()) == len(items)
    drawn = Counter(languages[i] for i in items)
    distinct = Counter(languages[i] for i in set(items))
    assert found == {
        name: {"drawn": drawn[name], "distinct": distinct[name], "repeated": drawn[name] - distinct[name]}
        for name in sorted(set(languages))
    }


def test_the_coldest_mixture_neither_overflows_nor_divides_by_zero():
    assert mixture_shares("temperature", PAIRS, 1e-6) == {"deu_Latn": 1.0, "swh_Latn": 0.0, "tur_Latn": 0.0}
