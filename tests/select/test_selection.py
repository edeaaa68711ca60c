"""Selections as users ask for them: constraints hold, adding a candidate never hurts, reasons are true."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xrealign.errors import ConfigError, LanguageError, XrealignError
from xrealign.language import Language, parse_language, parse_languages
from xrealign.select import Selection, select_languages
from xrealign.select.candidates import language_list
from xrealign.select.conditions import Conditions
from xrealign.select.criteria import CRITERIA, family_of
from xrealign.select.distances import distances
from xrealign.select.diversity import diversity
from xrealign.select.explain import explain, in_words
from xrealign.select.plots import PLOTS, place_in_plane
from xrealign.select.selection import evaluate_subset
from xrealign.select.tables import FORMATS, render, render_comparison
from xrealign.select.task import prepare

POOL = language_list("published-65")
ENGLISH = parse_languages(["eng"])
SEEN = frozenset(x.iso for x in POOL[:38])
CLASSES = {x.iso: i % 6 for i, x in enumerate(POOL)}
SLOW = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def total_distance(members: list[Language], distance: str = "uriel-featural") -> float:
    """Sum over pairs, in a plain loop."""
    found = distances(members, distance)
    place = {language: i for i, language in enumerate(found.languages)}
    return sum(float(found.matrix[place[a], place[b]]) for a, b in combinations(members, 2))


def test_value_includes_the_distances_of_fixed_members() -> None:
    found = select_languages(POOL, 4, ENGLISH)
    assert found.subset == sorted(found.subset)
    assert len(found.subset) == 4
    assert ENGLISH[0] not in found.subset
    assert found.value == pytest.approx(total_distance([*found.subset, *ENGLISH]), abs=1e-9)
    assert found.optimal
    assert found.bound == pytest.approx(found.value, abs=1e-6)


def test_fixed_members_among_the_candidates_are_not_chosen() -> None:
    with_english = select_languages([*POOL, *ENGLISH], 3, ENGLISH)
    assert with_english.subset == select_languages(POOL, 3, ENGLISH).subset


@pytest.mark.parametrize("criterion", CRITERIA)
def test_every_criterion_equals_exhaustive_search(criterion: str) -> None:
    pool = POOL[::6]
    options = {"seen": SEEN, "resources": CLASSES, "targets": parse_languages(["quy", "ayr"])}
    found = select_languages(pool, 3, ENGLISH, criterion, **options)
    task = prepare(pool, 3, ENGLISH, criterion, **options)
    if criterion == "random":
        assert found.bound is None
        assert found.value == pytest.approx(total_distance([*found.subset, *ENGLISH]))
        assert select_languages(pool, 3, ENGLISH, criterion, seed=1).subset != found.subset
        return
    from xrealign.select.problem import value_of

    values = [task.sign * value_of(task.shown, s) for s in combinations(range(len(task.languages)), 3)]
    best = min(values) if criterion.startswith("least") else max(values)
    assert found.value == pytest.approx(best, abs=1e-9)
    assert found.bound == pytest.approx(best, abs=1e-6)
    assert found.optimal


def test_reported_values_mean_what_they_say() -> None:
    everybody = POOL[:24]
    found = select_languages(everybody, 5, ENGLISH, "families")
    assert found.value == len({family_of(x) for x in [*found.subset, *ENGLISH]})
    found = select_languages(everybody, 5, ENGLISH, "scripts")
    assert found.value == len({x.script for x in [*found.subset, *ENGLISH]})
    found = select_languages(everybody, 5, ENGLISH, "least-maxmin")
    assert found.value == pytest.approx(float(distances([*found.subset, *ENGLISH]).matrix.max()))
    found = select_languages(everybody, 5, ENGLISH, "maxmin")
    matrix = distances([*found.subset, *ENGLISH]).matrix
    assert found.value == pytest.approx(float(matrix[np.triu_indices(6, 1)].min()))
    found = select_languages(POOL, 12, ENGLISH, "unseen", seen=SEEN)
    assert found.value == 13 - sum(x.iso in SEEN for x in [*found.subset, *ENGLISH])
    found = select_languages(POOL, 4, ENGLISH, "same-script")
    assert {x.script for x in found.subset} == {"Latn"}


def test_facility_is_the_closeness_of_targets() -> None:
    targets = parse_languages(["quy", "ayr", "grn"])
    found = select_languages(POOL, 3, ENGLISH, "facility", targets=targets)
    members = [*found.subset, *ENGLISH]
    matrix = distances([*targets, *members]).matrix
    assert found.value == pytest.approx(float((1 - matrix[:3, 3:].min(axis=1)).sum()), abs=1e-9)
    assert found.diversity["target_distance"] == pytest.approx(float(matrix[:3, 3:].min(axis=1).mean()))


@SLOW
@given(st.data())
def test_every_constraint_holds_in_every_answer(data: st.DataObject) -> None:
    pool = data.draw(st.lists(st.sampled_from(POOL), min_size=8, max_size=16, unique=True))
    k = data.draw(st.integers(2, 6))
    required = data.draw(st.lists(st.sampled_from(pool), max_size=2, unique=True))
    excluded = data.draw(st.lists(st.sampled_from([x for x in pool if x not in required]), max_size=2, unique=True))
    caps = data.draw(st.dictionaries(st.sampled_from(["family", "script"]), st.integers(1, 3)))
    unseen = data.draw(st.integers(0, 3))
    costs = {x.iso: float(data.draw(st.integers(0, 5))) for x in pool}
    budget = data.draw(st.sampled_from([None, 6.0, 12.0]))
    criterion = data.draw(st.sampled_from(["maxsum", "maxmin", "facility", "families", "least-maxsum", "random"]))
    conditions = Conditions(
        required, excluded, caps, {"unseen": unseen} if unseen else {}, {"script:Latn": 4}, costs=costs, budget=budget
    )
    try:
        found = select_languages(pool, k, ENGLISH, criterion, conditions=conditions, seen=SEEN, time_limit=20)
    except ConfigError as error:
        assert "relax one of these" in str(error) or "required" in str(error)  # noqa: PT017 - message of one branch
        return
    assert len(found.subset) == len(set(found.subset)) == k
    assert set(required) <= set(found.subset) <= set(pool) - set(excluded)
    for kind, label in (("family", family_of), ("script", lambda x: x.script)):
        if kind in caps:
            counted = Counter(label(x) for x in [*found.subset, *ENGLISH])
            assert max(counted.values()) <= max(caps[kind], 1)
    assert sum(x.iso not in SEEN for x in found.subset) >= unseen
    assert sum(x.script == "Latn" for x in found.subset) <= 4
    if budget is not None:
        assert sum(costs[x.iso] for x in found.subset) <= budget
    if found.bound is not None:
        better = found.bound <= found.value if criterion.startswith("least") else found.bound >= found.value
        assert better or found.bound == pytest.approx(found.value)


@SLOW
@given(st.lists(st.sampled_from(POOL), min_size=5, max_size=12, unique=True), st.sampled_from(["maxsum", "maxmin"]))
def test_adding_a_candidate_never_lowers_the_optimum(pool: list[Language], criterion: str) -> None:
    fewer = select_languages(pool[:-1], 3, ENGLISH, criterion)
    more = select_languages(pool, 3, ENGLISH, criterion)
    assert fewer.optimal
    assert more.optimal
    assert more.value >= fewer.value - 1e-9


@SLOW
@given(st.permutations(POOL[:14]))
def test_the_order_of_candidates_does_not_matter(pool: list[Language]) -> None:
    assert select_languages(pool, 4, ENGLISH).subset == select_languages(POOL[:14], 4, ENGLISH).subset


@pytest.mark.parametrize(
    ("conditions", "k", "message"),
    [
        (
            Conditions(require=parse_languages(["deu"]), exclude=parse_languages(["de"])),
            3,
            "both required and excluded",
        ),
        (Conditions(require=parse_languages(["ces"])), 3, "not among the candidates: ces"),
        (Conditions(max_per={"family": 1}), 40, "max-per family=1"),
        (
            Conditions(require=parse_languages(["deu", "nld"]), max_per={"family": 1}),
            5,
            r"Indo-European.*required: deu, nld",
        ),
        (Conditions(at_least={"unseen": 4}), 3, "at-least unseen=4"),
        (Conditions(budget=5.0, costs={x.iso: 2.0 for x in POOL}), 3, "budget 5"),
        (Conditions(budget=5.0), 3, "table of costs"),
        (Conditions(at_least={"klingon": 1}), 3, "unknown property 'klingon'"),
        (Conditions(max_per={"genus": 1}), 3, "expected family or script"),
        (Conditions(require=POOL[:5]), 3, "less than the 5 required"),
        (Conditions(), 66, "only 65 candidates"),
    ],
)
def test_impossible_conditions_name_the_conflict(conditions: Conditions, k: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        select_languages(POOL, k, ENGLISH, conditions=conditions, seen=SEEN)


def test_min_sentences_and_min_known() -> None:
    sentences = {x.iso: 100.0 * i for i, x in enumerate(POOL)}
    found = select_languages(POOL, 5, ENGLISH, conditions=Conditions(sentences=sentences, min_sentences=5000))
    assert all(sentences[x.iso] >= 5000 for x in found.subset)
    assert any("too few sentences" in note for note in found.notes)
    found = select_languages(POOL, 5, ENGLISH, distance="urielplus-featural", min_known=0.5)
    assert all(found.coverage[x] >= 0.5 for x in found.subset)


def test_a_given_subset_is_valued_and_bounded() -> None:
    given_subset = parse_languages(["fon", "kat", "kaz", "lin", "gaz"])
    task = prepare(POOL, 5, ENGLISH)
    found = evaluate_subset(task, given_subset)
    assert found.value == pytest.approx(total_distance([*given_subset, *ENGLISH]))
    best = select_languages(POOL, 5, ENGLISH)
    assert found.bound == pytest.approx(best.value)
    assert not found.optimal
    assert evaluate_subset(task, best.subset).optimal


def test_reasons_are_true() -> None:
    pool = POOL[:20]
    task = prepare(pool, 4, ENGLISH)
    found = select_languages(pool, 4, ENGLISH)
    reasons = explain(task, found)
    assert {reason.language for reason in reasons} == set(found.subset)
    for reason in reasons:
        rest = [x for x in found.subset if x != reason.language]
        value = total_distance([*rest, *ENGLISH])
        assert reason.contribution == pytest.approx(found.value - value)
        others = {x: total_distance([*rest, x, *ENGLISH]) for x in pool if x not in found.subset}
        assert reason.runner_up == max(others, key=others.__getitem__)
        assert reason.loss == pytest.approx(found.value - max(others.values()))
        without = select_languages([x for x in pool if x != reason.language], 4, ENGLISH)
        assert found.value - reason.without_loss <= without.value + 1e-9
        assert found.value - reason.without_loss == pytest.approx(without.value, rel=0.01)
    text = in_words(task, found)
    assert all(x.name in text for x in found.subset)


def test_diversity_by_hand() -> None:
    members = parse_languages(["deu", "nld", "swh"])
    found = distances(members)
    measures = diversity(members, found)
    block = found.matrix[np.triu_indices(3, 1)]
    assert measures["mean_distance"] == pytest.approx(block.mean())
    assert measures["min_distance"] == pytest.approx(block.min())
    assert (measures["families"], measures["scripts"]) == (2, 1)
    alone = diversity(members[:1], found)
    assert (alone["mean_distance"], alone["entropy"], alone["feature_inclusion"]) == (0, 0, 0.5)
    one_each = parse_languages(["deu", "swh"])
    from xrealign.select.features import features

    values = features(one_each, "uriel-knn").values
    differ = float((values[0] != values[1]).mean())
    assert diversity(one_each, found)["entropy"] == pytest.approx(differ)
    assert diversity(one_each, found)["feature_inclusion"] == pytest.approx(0.5 + differ / 2)


@pytest.mark.parametrize(
    ("criterion", "listed"),
    [
        ("least-maxsum", "bul deu ell spa fra ita nld por ron ukr"),
        ("scripts", "arb mya zho kat ell heb jpn kaz tam tha"),
    ],
)
def test_published_lists_are_found_on_urielplus(criterion: str, listed: str) -> None:
    """Two lists of Nguyen et al. 2025 (65 candidates, English fixed), made with URIEL+ featural distances."""
    found = select_languages(POOL, 10, ENGLISH, criterion, "urielplus-featural")
    assert found.subset == sorted(parse_languages(listed.split()))
    assert found.optimal


@pytest.mark.parametrize(
    "listed",
    [
        "fon kat kaz lin gaz",
        "afr arb fon kat jpn kaz lin gaz sna vie",
        "afr arb aze eus zho fon lug kat ell heb jpn kaz kor lin gaz sna tam twi vie yor",
    ],
)
@pytest.mark.parametrize("distance", ["uriel-featural", "urielplus-featural"])
def test_never_below_the_published_lists(listed: str, distance: str) -> None:
    members = parse_languages(listed.split())
    found = select_languages(POOL, len(members), ENGLISH, distance=distance, time_limit=1)
    assert found.value >= total_distance([*members, *ENGLISH], distance)


def test_scaling_restores_a_plane() -> None:
    points = np.random.default_rng(0).normal(size=(9, 2))
    wanted = np.linalg.norm(points[:, None] - points[None, :], axis=2)
    placed = place_in_plane(wanted)
    np.testing.assert_allclose(np.linalg.norm(placed[:, None] - placed[None, :], axis=2), wanted, atol=1e-9)


def test_pictures_are_drawn(tmp_path: Path) -> None:
    targets = parse_languages(["quy"])
    task = prepare(POOL[:15], 3, ENGLISH, targets=targets)
    found = select_languages(POOL[:15], 3, ENGLISH, targets=targets)
    for name, draw in PLOTS.items():
        path = draw(task, found, tmp_path / "pictures" / f"{name}.png")
        assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        assert path.stat().st_size > 8000


@pytest.mark.parametrize("form", FORMATS)
def test_tables_name_every_member(form: str) -> None:
    found = select_languages(POOL[:12], 3, ENGLISH)
    text = render(found, form)
    assert all(x.iso in text for x in [*found.subset, *ENGLISH])
    with pytest.raises(ConfigError, match="did you mean 'latex'"):
        render(found, "latx")


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("table", "[x](\\x9b[31m)<b>"),
        ("markdown", "\\[x\\](\ufffd\\[31m)\\<b\\>"),
        ("json", r"[x](\u009b[31m)<b>"),
    ],
)
def test_the_name_of_a_matrix_is_text_in_every_format(form: str, expected: str) -> None:
    found = replace(select_languages(POOL[:6], 2, ENGLISH), distance="[x](\x9b[31m)<b>")
    assert expected in render(found, form)
    assert "\x9b" not in render(found, form)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("table", "=1\\x1b"),
        ("markdown", "| =1\ufffd "),
        ("csv", "\n'=1\ufffd,"),
        ("latex", "=1\ufffd & "),
    ],
)
def test_cells_of_a_comparison_are_text_in_every_format(form: str, expected: str) -> None:
    text = render_comparison({"=1\x1b": select_languages(POOL[:6], 2, ENGLISH)}, form)
    assert expected in text
    assert "\x1b" not in text


def test_lists_of_languages(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text("deu  # German\nfra, swa\n", encoding="utf-8")
    assert [x.iso for x in language_list(str(path))] == ["deu", "fra", "swh"]
    assert [x.iso for x in language_list("de,fr")] == ["deu", "fra"]
    assert language_list("published-65") == POOL
    assert len(language_list("all")) > 3900
    path.write_text("deu\nfra\nde\n", encoding="utf-8")
    with pytest.raises(
        XrealignError, match=r"mine.txt:3: German \(deu_Latn\) is listed as 'de' and on line 1 as 'deu'"
    ):
        language_list(str(path))
    with pytest.raises(LanguageError, match="published-65"):
        language_list("publishd-65")


def test_selection_needs_no_torch() -> None:
    import subprocess
    import sys

    program = (
        "import sys; from xrealign.select import select_languages; "
        "from xrealign.select.candidates import language_list; "
        "select_languages(language_list('published-65'), 3); "
        "sys.exit('torch' in sys.modules or 'pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_selection_is_repeatable() -> None:
    first, second = (select_languages(POOL, 6, ENGLISH, seed=s) for s in (0, 7))
    assert isinstance(first, Selection)
    assert first.subset == second.subset
    assert parse_language("eng") in first.coverage


def test_a_folder_is_no_list_of_languages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deu").mkdir()
    monkeypatch.chdir(tmp_path)
    assert [x.iso for x in language_list("deu")] == ["deu"]
    with pytest.raises(LanguageError, match="an empty list of languages"):
        language_list("")
