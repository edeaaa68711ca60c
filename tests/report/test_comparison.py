from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from xrealign.errors import DataError
from xrealign.report.changes import FEWEST_LANGUAGES, compare_groups, judge_changes
from xrealign.report.comparison import ALL, Comparison, compare_scores, controls_of
from xrealign.report.comparison_tables import claims, p_text, records, transfer_gaps, write_comparison
from xrealign.report.context import ReportContext
from xrealign.report.format import percent
from xrealign.report.significance import detectable
from xrealign.types import Score

TAGS = ("deu_Latn", "fin_Latn", "hin_Deva", "rus_Cyrl", "swh_Latn", "tam_Taml", "tur_Latn", "zho_Hans")
SEEDS = (17, 23, 31, 42, 66)
METHODS = {"baseline": 0.0, "centred": 0.005, "control": 0.0, "realigned": 0.05}
ONE = Score("r", "baseline", "intents", "deu_Latn", "accuracy", 0.5, 200, 17)


def scores(methods: dict[str, float] | None = None, spread: float = 0.01, **fields: str) -> list[Score]:
    """Every method in eight languages and English with five seeds; the methods' parts are added to 0.5."""
    rng = np.random.default_rng(7)
    return [
        replace(ONE, method=method, language=tag, seed=seed, value=0.5 + part + spread * float(rng.normal()), **fields)
        for method, part in (methods or METHODS).items()
        for tag in (*TAGS, "eng_Latn")
        for seed in SEEDS
    ]


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return compare_scores(scores(), groups={"in the subset": TAGS[:5], "source": ["eng_Latn"], "rest": TAGS[5:]})


def value_of(rows: list[Score], method: str, tag: str, seed: int) -> float:
    return next(s.value for s in rows if (s.method, s.language, s.seed) == (method, tag, seed))


def test_values_and_differences_are_those_of_the_scores(comparison: Comparison) -> None:
    rows = scores()
    (table,) = comparison.tasks
    matrix = np.array([[value_of(rows, "realigned", tag, seed) for tag in TAGS] for seed in SEEDS])
    base = np.array([[value_of(rows, "baseline", tag, seed) for tag in TAGS] for seed in SEEDS])
    found = table.targets.scores["realigned"]
    assert found.mean == pytest.approx(matrix.mean(), abs=1e-12)
    assert found.std == pytest.approx(matrix.mean(axis=1).std(ddof=1), abs=1e-12)
    assert list(found.values) == list(SEEDS)
    change = table.targets.changes["realigned"]["baseline"]
    assert change.value == pytest.approx((matrix - base).mean(), abs=1e-12)
    assert change.std == pytest.approx((matrix - base).mean(axis=1).std(ddof=1), abs=1e-12)
    assert change.levels == ("seed", "language")
    assert change.over_languages is not None
    reference = stats.ttest_rel(matrix.mean(axis=0), base.mean(axis=0)).pvalue
    assert change.over_languages.t == pytest.approx(reference, abs=1e-10)
    assert change.over_seeds is not None
    assert change.over_seeds.t == pytest.approx(
        stats.ttest_rel(matrix.mean(axis=1), base.mean(axis=1)).pvalue, abs=1e-10
    )
    counts = table.targets.counts["realigned"]
    ups = (matrix - base).mean(axis=0)
    assert (counts.win, counts.loss) == (int((ups > 0).sum()), int((ups < 0).sum()))
    assert counts.above == int((ups > base.std(axis=0, ddof=1)).sum())


def test_a_language_has_students_interval_over_seeds(comparison: Comparison) -> None:
    rows = scores()
    line = next(line for line in comparison.tasks[0].languages if line.language.tag == "tur_Latn")
    change = line.changes["realigned"]["baseline"]
    own = [value_of(rows, "realigned", "tur_Latn", s) - value_of(rows, "baseline", "tur_Latn", s) for s in SEEDS]
    reference = stats.ttest_1samp(own, 0)
    band = reference.confidence_interval(0.95)
    assert change.interval is not None
    assert (change.interval.low, change.interval.high) == pytest.approx((band.low, band.high), abs=1e-12)
    assert change.p == pytest.approx(reference.pvalue, abs=1e-10)
    assert change.detectable == pytest.approx(detectable(np.std(own, ddof=1) / 5**0.5, 4), abs=1e-12)
    ps = [one.changes["realigned"]["baseline"].p for one in comparison.tasks[0].languages]
    assert change.bh == pytest.approx(stats.false_discovery_control(ps)[ps.index(change.p)], abs=1e-10)


def test_groups_are_those_asked_for_and_families_and_scripts(comparison: Comparison) -> None:
    (table,) = comparison.tasks
    assert [(row.name, row.kind) for row in table.groups[:3]] == [
        (ALL, "all"),
        ("in the subset", "group"),
        ("rest", "group"),
    ]
    found = {row.name: row.languages for row in table.groups}
    assert set(found["Indo-European"]) == {"deu_Latn", "hin_Deva", "rus_Cyrl"}
    assert set(found["Latn"]) == {"deu_Latn", "fin_Latn", "swh_Latn", "tur_Latn"}
    assert "eng_Latn" not in found[ALL]
    assert table.source is not None
    assert table.source.language.tag == "eng_Latn"
    small = next(row for row in table.groups if row.name == "rest")
    assert small.changes["realigned"]["baseline"].levels == ("seed",)
    assert len(small.languages) < FEWEST_LANGUAGES
    assert next(line for line in table.languages if line.language.tag == "hin_Deva").groups == ("in the subset",)


def test_resource_classes_and_the_transfer_gap_stand_beside_groups() -> None:
    context: ReportContext = {"resources": {"deu": 5, "fin": 4, "swh_Latn": 2, "tam": 2}}
    rows = [s for s in scores() if (s.language, s.seed) != ("eng_Latn", 66)]  # one seed was not run in the source
    made = compare_scores(rows, groups={"source": ["eng_Latn"]}, context=context)
    (table,) = made.tasks
    classes = {row.name: tuple(sorted(row.languages)) for row in table.groups if row.kind == "resource class"}
    assert classes == {
        "class 2": ("swh_Latn", "tam_Taml"),
        "class 4": ("fin_Latn",),
        "class 5": ("deu_Latn",),
        "no class known": ("hin_Deva", "rus_Cyrl", "tur_Latn", "zho_Hans"),
    }
    mean = np.mean([value_of(rows, "control", tag, seed) for tag in ("swh_Latn", "tam_Taml") for seed in SEEDS])
    found = next(row for row in table.groups if row.name == "class 2")
    assert found.scores["control"].mean == pytest.approx(mean, abs=1e-12)
    gaps = transfer_gaps(table)
    assert list(gaps) == list(METHODS)
    for method, gap in gaps.items():
        source = np.mean([value_of(rows, method, "eng_Latn", seed) for seed in SEEDS[:-1]])
        targets = np.mean([value_of(rows, method, tag, seed) for tag in TAGS for seed in SEEDS[:-1]])
        assert gap == pytest.approx(source - targets, abs=1e-12)
    assert f"| transfer gap | source − all | 8 | {percent(gaps['baseline'])} |" in write_comparison(made, "md")
    without = compare_scores([s for s in rows if s.language != "eng_Latn"])
    assert transfer_gaps(without.tasks[0]) == {}
    assert "transfer gap" not in write_comparison(without, "md")


def test_a_gain_is_claimed_only_beyond_baseline_and_both_controls(comparison: Comparison) -> None:
    assert comparison.tasks[0].targets.verdicts == {"realigned": "gain"}
    assert comparison.notes == ()
    near = compare_scores(scores({**METHODS, "control": 0.049}))
    assert near.tasks[0].targets.verdicts == {"realigned": "not beyond controls"}
    lacking = {name: part for name, part in METHODS.items() if name != "control"}
    missing = compare_scores(scores(lacking))
    assert missing.tasks[0].targets.verdicts == {"realigned": "not beyond controls"}
    assert "A control is missing" in missing.notes[0]
    assert compare_scores(scores({**METHODS, "realigned": -0.05})).tasks[0].targets.verdicts["realigned"] == "loss"
    nothing = compare_scores(scores({**METHODS, "realigned": 0.0005}))
    assert nothing.tasks[0].targets.verdicts["realigned"] == "no clear difference"
    assert judge_changes({}, "baseline", ()) == "no claim"


def test_each_method_has_the_controls_of_its_own_bracket() -> None:
    names = ["baseline", "centred", "control [A]", "control [B]", "realigned [A]", "realigned [B]", "realigned [C]"]
    assert controls_of("realigned [A]", names) == ("centred", "control [A]")
    assert controls_of("realigned [C]", names) == ("centred",)
    assert controls_of("control [A]", names) == ()
    made = compare_scores(
        scores({"baseline": 0, "centred": 0, "control [A]": 0.04, "realigned [A]": 0.05, "control": 0})
    )
    assert list(made.tasks[0].targets.changes["realigned [A]"]) == ["baseline", "centred", "control [A]"]
    assert made.methods[0] == "baseline"


def test_every_claim_has_its_detectable_effect(comparison: Comparison) -> None:
    (sentence,) = claims(comparison)
    change = comparison.tasks[0].targets.changes["realigned"]["baseline"]
    assert change.detectable is not None
    assert f"A true difference of {100 * change.detectable:.1f} points would be found" in sentence
    assert "beyond both controls" in sentence


def test_one_seed_with_sentences_is_judged_as_a_run_is() -> None:
    rng = np.random.default_rng(3)
    items, rows = {}, []
    for tag in TAGS:
        luck = rng.uniform(size=300)
        for method, part in {**METHODS, "realigned": 0.12}.items():
            hits = np.where(rng.uniform(size=300) < 0.9, luck, rng.uniform(size=300)) < 0.5 + part
            items["", "intents", method, tag] = hits
            rows.append(replace(ONE, method=method, language=tag, value=float(hits.mean()), n=300))
    found = compare_scores(rows, items=items)
    change = found.tasks[0].targets.changes["realigned"]["baseline"]
    assert change.levels == ("sentence",)
    assert change.interval is not None
    assert 0 < change.interval.low < 0.12 < change.interval.high + 0.05
    assert found.tasks[0].targets.verdicts["realigned"] == "gain"
    assert "One seed" in found.notes[0]
    line = found.tasks[0].languages[0].changes["realigned"]["baseline"]
    assert (line.levels, line.over_seeds) == (("sentence",), None)
    other = {key: ~hits for key, hits in items.items()}  # of another metric: passed over
    assert compare_scores(rows, items=other).tasks[0].languages[0].changes["realigned"]["baseline"].interval is None


def test_one_seed_without_sentences_is_judged_over_languages_or_not_at_all() -> None:
    one = [score for score in scores() if score.seed == 17]
    assert compare_scores(one).tasks[0].targets.changes["realigned"]["baseline"].levels == ("language",)
    few = [score for score in one if score.language in TAGS[:3]]
    table = compare_scores(few).tasks[0]
    assert table.targets.changes["realigned"]["baseline"].interval is None
    assert table.targets.verdicts == {"realigned": "no claim"}


def test_missing_languages_and_seeds_are_told() -> None:
    some = [s for s in scores() if not (s.method == "control" and (s.language == "tur_Latn" or s.seed == 66))]
    found = compare_scores(some)
    assert found.tasks[0].targets.left_out == ("tur_Latn",)
    assert any("pairs are made of the seeds in common" in note for note in found.notes)
    assert any("left out of the averages" in note and "tur_Latn" in note for note in found.notes)
    change = found.tasks[0].targets.changes["realigned"]["control"]
    assert change.over_seeds is not None
    assert change.over_seeds.n == 4
    turkish = next(line for line in found.tasks[0].languages if line.language.tag == "tur_Latn")
    assert "control" not in turkish.scores
    assert list(turkish.changes["realigned"]) == ["baseline", "centred"]


@pytest.mark.parametrize(("seeds", "told"), [(2, True), (3, True), (4, False)])
def test_few_seeds_are_told(seeds: int, told: bool) -> None:
    found = compare_scores([score for score in scores() if score.seed in SEEDS[:seeds]])
    assert any("say little of how seeds vary" in note for note in found.notes) == told


def test_several_models_and_tasks_have_a_table_each() -> None:
    both = [*scores(model="A"), *scores(model="B", task="ner", metric="f1")]
    found = compare_scores(both, metrics={"ner": "f1"})
    assert [(table.model, table.task, table.metric) for table in found.tasks] == [
        ("A", "intents", "accuracy"),
        ("B", "ner", "f1"),
    ]


def test_measures_are_passed_over_and_odd_input_is_refused() -> None:
    measure = replace(ONE, task="sentence-retrieval", variant="raw", layer=4)
    assert len(compare_scores([*scores(), measure]).tasks) == 1
    with pytest.raises(DataError, match="no scores of a task"):
        compare_scores([measure])
    with pytest.raises(DataError, match="'realined'; did you mean 'realigned'"):
        compare_scores(scores(), baseline="realined")
    with pytest.raises(DataError, match="is there twice"):
        compare_scores([*scores(), scores()[0]])
    with pytest.raises(DataError, match="no metric 'f1'"):
        compare_scores(scores(), metrics={"intents": "f1"})


def test_nothing_that_varies_has_no_p() -> None:
    values = np.stack([np.full((3, 6), 0.5), np.full((3, 6), 0.75)])
    change = compare_groups(("a", "b"), values, TAGS[:6], [("b", "a")])["b"]["a"]
    assert (change.value, change.p, change.detectable) == (0.25, None, 0.0)
    assert change.interval is not None
    assert (change.interval.low, change.interval.high) == (0.25, 0.25)


def test_csv_and_json_hold_every_number(comparison: Comparison) -> None:
    found = records(comparison)
    rows = list(csv.DictReader(io.StringIO(write_comparison(comparison, "csv"))))
    whole = json.loads(write_comparison(comparison, "json"), parse_constant=pytest.fail)
    assert len(found) == len(rows) == len(whole["rows"])
    assert len({tuple(row) for row in rows}) == 1
    for record, row, plain in zip(found, rows, whole["rows"], strict=True):
        assert plain["value"] == record["value"] == float(row["value"])
        for key, value in record.items():
            assert row[key] == ("" if value is None else value if isinstance(value, str) else repr(value))
    total = next(
        row for row in found if (row["kind"], row["method"], row["reference"]) == ("all", "realigned", "baseline")
    )
    assert (total["verdict"], total["levels"], total["seeds"]) == ("gain", "seed+language", 5)
    names = {row["name"] for row in found if row["kind"] == "language"}
    assert names == {*TAGS, "eng_Latn"}


def test_names_from_data_are_harmless_in_every_format() -> None:
    evil = "=cmd|'x' & 100% <b> $_{x}"
    made = compare_scores(
        [replace(s, method=evil if s.method == "realigned" else s.method, model="#m") for s in scores()]
    )
    markdown = write_comparison(made, "md")
    assert "<b>" not in re.sub(r"\\<", "", markdown)
    widths = {len(re.split(r"(?<!\\)\|", line)) for line in markdown.splitlines() if line.startswith("|")}
    assert len(widths) <= 3  # three kinds of tables, each row as wide as its head
    latex = write_comparison(made, "latex")
    assert not re.search(r"(?<!\\)[%#]", latex)
    assert latex.count(r"\begin{") == latex.count(r"\end{")
    rows = list(csv.DictReader(io.StringIO(write_comparison(made, "csv"))))
    assert {row["method"][:1] for row in rows if "cmd" in row["method"]} == {"'"}
    for form in ("md", "latex", "csv"):
        assert not re.search(r"\bnan\b", write_comparison(made, form), re.IGNORECASE)


def test_p_values_as_people_read_them() -> None:
    assert [p_text(p) for p in (None, 0.0001, 0.0123, 0.2, 0.9999, 1.0)] == ["–", "< .001", ".012", ".200", "1", "1"]
