from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from report_sample import FEW, NO_CONTROL, UNSEEN, Sample, sample

from xrealign.errors import DataError
from xrealign.language import Language
from xrealign.report.context import ReportContext, check_context
from xrealign.report.measures import measure_summaries
from xrealign.report.summary import Summary, summarise, transfer_gaps
from xrealign.report.tables import gap_table, group_table
from xrealign.report.verdict import headline, judge, seed_note, summary_warnings
from xrealign.report.write import markdown_report
from xrealign.types import Score

NAMES: ReportContext = {
    "source": "eng_Latn",
    "languages": {tag: Language(tag, tag) for tag in ("eng_Latn", "a", "b", "c")},
}
METHODS = ("baseline", "centred", "control", "realigned")


def score(method: str, language: str, value: float, seed: int = 1, **more: object) -> Score:
    return replace(Score("r", method, "intents", language, "accuracy", value, 10, seed), **more)  # type: ignore[arg-type]


def test_group_means_are_those_worked_by_hand() -> None:
    scores = [score(method, "a", value) for method, value in zip(METHODS, (0.4, 0.3, 0.5, 0.6), strict=True)]
    scores += [score(method, "b", value) for method, value in zip(METHODS, (0.8, 0.9, 0.7, 0.7), strict=True)]
    scores += [score(method, "eng_Latn", 0.9) for method in METHODS]
    found = summarise(scores, {"source": ["eng_Latn"], "in": ["a"], "both": ["a", "b"]}, NAMES)
    both = found.groups[2]
    assert both.scores.values == pytest.approx(
        {"baseline": 0.6, "centred": 0.6, "control": 0.6, "realigned": 0.65}, abs=1e-12
    )
    assert {key: one.value for key, one in both.scores.differences.items()} == pytest.approx(
        {"baseline": 0.05, "centred": 0.05, "control": 0.05}, abs=1e-12
    )
    assert (both.better, both.worse) == (1, 1)
    assert found.groups[1].scores.best_control == "control"
    assert found.targets.languages == ("a", "b")
    assert found.targets.scores.values == both.scores.values
    assert all(one.interval is None for one in both.scores.differences.values())


def test_languages_stand_by_group_and_then_by_difference() -> None:
    gains = {"a": 0.1, "b": 0.3, "c": 0.2}
    scores = [score("baseline", tag, 0.5) for tag in gains] + [
        score("realigned", tag, 0.5 + gain) for tag, gain in gains.items()
    ]
    found = summarise(scores, {"second": ["c"], "first": ["a", "b", "c"]}, NAMES)
    assert [(row.group, row.language.tag, row.also) for row in found.languages] == [
        ("second", "c", ("first",)),
        ("first", "b", ()),
        ("first", "a", ()),
    ]


def test_a_language_without_a_control_leaves_its_groups_average_and_is_named(run: Sample, summary: Summary) -> None:
    tag = f"{NO_CONTROL}_Latn"
    group = next(row for row in summary.groups if row.name == "not in the subset")
    assert group.left_out == (tag,)
    assert tag not in group.languages
    row = next(row for row in summary.languages if row.language.tag == tag)
    assert "control" not in row.scores.values
    assert row.scores.differences["baseline"].interval is not None
    assert any(tag in line for line in summary_warnings(summary))
    mean = np.mean(
        [
            one.value
            for one in run.scores
            if one.language in group.languages
            and one.method == "control"
            and one.metric == "accuracy"
            and not one.variant
        ]
    )
    assert group.scores.values["control"] == pytest.approx(mean, abs=1e-12)


def test_overlapping_and_empty_groups_and_languages_in_none(run: Sample, summary: Summary) -> None:
    unseen = next(row for row in summary.groups if row.name == "unseen in pre-training")
    assert len(unseen.languages) == len(UNSEEN)
    empty = next(row for row in summary.groups if row.name == "held back")
    assert empty.languages == ()
    assert judge(empty) == "no claim"
    assert any(line.startswith("held back: no language") for line in summary_warnings(summary))
    fewer = {name: tags for name, tags in run.groups.items() if name != "not in the subset"}
    rest = summarise(run.scores, fewer, run.context)
    assert rest.groups[-1].name == "in no group"
    assert len(rest.languages) == len(summary.languages)


def test_flags_name_languages_that_say_little(summary: Summary) -> None:
    assert {row.language.iso for row in summary.languages if row.few_labels} == set(FEW)
    assert [row.language.name for row in summary.languages if row.below_majority] == ["Georgian"]


def test_items_must_belong_to_the_scores(run: Sample) -> None:
    tag = run.groups["in the subset"][0]
    wrong = run.items | {("realigned", tag): ~run.items["realigned", tag]}
    with pytest.raises(DataError, match=rf"items of \(realigned, {tag}\)"):
        summarise(run.scores, run.groups, run.context, wrong)


def test_scores_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(DataError, match="no score of task 'intents' by metric 'f2'; metrics found: \\['accuracy'\\]"):
        summarise([score("baseline", "a", 0.5)], {}, NAMES, metric="f2")
    with pytest.raises(DataError, match="no score"):
        summarise([], {}, NAMES)
    with pytest.raises(DataError, match="twice"):
        summarise([score("baseline", "a", 0.5), score("baseline", "a", 0.6, run="other")], {}, NAMES)
    with pytest.raises(DataError, match=r"baseline was scored on 10 items, realigned on 9"):
        summarise([score("baseline", "a", 0.5), score("realigned", "a", 0.6, n=9)], {}, NAMES)
    with pytest.raises(DataError, match="no seed in common"):
        summarise([score("baseline", "a", 0.5, 1), score("baseline", "b", 0.6, 2)], {"g": ["a", "b"]}, NAMES)


def test_several_seeds_give_means_and_spread() -> None:
    values = {"baseline": (0.5, 0.6), "realigned": (0.7, 0.6)}
    scores = [
        score(method, tag, value, seed)
        for method, two in values.items()
        for seed, value in enumerate(two)
        for tag in "ab"
    ]
    found = summarise(scores, {"g": ["a", "b"]}, NAMES)
    assert found.seeds == (0, 1)
    assert found.targets.scores.values == pytest.approx({"baseline": 0.55, "realigned": 0.65}, abs=1e-12)
    assert found.targets.scores.spread == pytest.approx({"baseline": 0.0707107, "realigned": 0.0707107}, abs=1e-6)
    assert found.targets.scores.difference_spread == pytest.approx(np.std([0.2, 0.0], ddof=1), abs=1e-12)
    assert "Means of 2 seeds. The difference to the baseline varies by ±14.1 points" in seed_note(found)


@pytest.mark.parametrize(
    ("effect", "control", "kind", "start"),
    [
        (0.10, 0.02, "gain", "Realignment raises accuracy on intents over 60 target languages from "),
        (0.05, 0.06, "not beyond controls", "Realignment raises accuracy"),
        (-0.08, 0.0, "loss", "Realignment lowers accuracy"),
        (0.004, 0.0, "no clear difference", "Realignment makes no clear difference to accuracy"),
    ],
)
def test_the_headline_claims_no_more_than_the_numbers_allow(
    effect: float, control: float, kind: str, start: str
) -> None:
    run = sample(effect, control)
    found = summarise(run.scores, run.groups, run.context, run.items)
    verdict = headline(found)
    assert verdict.kind == kind, verdict.sentence
    assert verdict.sentence.startswith(start)
    assert ("beyond both controls: " in verdict.sentence and "not beyond" not in verdict.sentence) == (kind == "gain")
    assert "One seed (17)" in seed_note(found)
    change = found.targets.scores.differences["baseline"]
    assert change.interval is not None
    assert change.interval.low <= change.value <= change.interval.high
    shown = re.search(r"\(([+−][\d.]+) points", verdict.sentence)
    assert shown is not None
    assert float(shown[1].replace("−", "-")) == pytest.approx(100 * change.value, abs=0.051)


def test_no_items_no_claim_and_a_missing_control_no_gain(run: Sample) -> None:
    bare = summarise(run.scores, run.groups, run.context)
    assert headline(bare).kind == "no claim"
    assert "no interval, so no claim" in headline(bare).sentence
    assert "bootstrap" not in seed_note(bare)
    strong = sample(0.15)
    scores = [one for one in strong.scores if one.method != "centred"]
    items = {key: value for key, value in strong.items.items() if key[0] != "centred"}
    found = headline(summarise(scores, strong.groups, strong.context, items))
    assert found.kind == "not beyond controls"
    assert "centring without training was not run" in found.sentence
    alone = [one for one in strong.scores if one.method == "baseline"]
    assert "there is no score for realigned" in headline(summarise(alone, strong.groups, strong.context)).sentence


def test_measures_average_raw_and_centred_over_the_same_languages(run: Sample) -> None:
    found = measure_summaries(run.scores, run.groups, run.context)
    assert [(one.task, one.layer) for one in found] == [("sentence-retrieval", 12), ("word-retrieval", 12)]
    first = found[0]
    assert first.methods == ("baseline", "control", "realigned")
    assert first.variants == ("raw", "centred")
    group = next(row for row in first.groups if row.name == "in the subset")
    wanted = np.mean(
        [
            one.value
            for one in run.scores
            if one.task == "sentence-retrieval"
            and one.language in group.languages
            and one.method == "control"
            and one.variant == "centred"
        ]
    )
    assert group.values["control", "centred"] == pytest.approx(wanted, abs=1e-12)
    raw = group.change("raw")
    assert raw == pytest.approx(group.values["realigned", "raw"] - group.values["baseline", "raw"], abs=1e-12)
    unseen = next(row for row in first.groups if row.name == "unseen in pre-training")
    assert len(unseen.left_out) == 3
    assert first.groups[-1].change("raw") is None
    with pytest.raises(DataError, match="twice"):
        measure_summaries([*run.scores, next(one for one in run.scores if one.variant)], run.groups, run.context)


def test_an_unknown_context_key_is_named() -> None:
    with pytest.raises(DataError, match="unknown key 'warning'; did you mean 'warnings'"):
        check_context({"warning": []})  # type: ignore[typeddict-unknown-key]


def test_the_transfer_gap_is_the_source_less_the_mean_of_the_targets() -> None:
    """Worked by hand; a language that lacks a method's score is in no gap, and a method without a source in none."""
    of_source = {"baseline": 0.9, "control": 0.8, "realigned": 0.7}
    scores = [score(method, "eng_Latn", value) for method, value in of_source.items()]
    scores += [score(method, "a", value) for method, value in zip(METHODS, (0.4, 0.3, 0.5, 0.6), strict=True)]
    scores += [score(method, "b", value) for method, value in zip(METHODS, (0.8, 0.9, 0.7, 0.7), strict=True)]
    scores += [score("baseline", "c", 0.1)]
    groups = {"source": ["eng_Latn"], "in the subset": ["a"], "not in the subset": ["b", "c"]}
    context: ReportContext = {**NAMES, "resources": {"a": 0, "b": 4, "c": 4}}
    found = summarise(scores, groups, context)
    wanted = {"baseline": 0.3, "control": 0.2, "realigned": 0.05}
    assert transfer_gaps(found, found.targets) == pytest.approx(wanted, abs=1e-12)
    assert transfer_gaps(found, found.groups[1]) == pytest.approx(
        {"baseline": 0.5, "control": 0.3, "realigned": 0.1}, abs=1e-12
    )
    table = gap_table(found)
    rows = {(row[0], row[1]): dict(zip((c.key for c in table.columns), row, strict=True)) for row in table.rows}
    assert list(rows) == [
        ("group", "all target languages"),
        ("group", "in the subset"),
        ("group", "not in the subset"),
        ("resource class", "class 0"),
        ("resource class", "class 4"),
    ]
    assert rows["resource class", "class 4"]["languages"] == 1
    assert rows["resource class", "class 4"]["baseline"] == pytest.approx(0.1, abs=1e-12)
    assert rows["group", "all target languages"]["centred"] is None
    assert rows["group", "all target languages"]["change"].value == pytest.approx(-0.25, abs=1e-12)
    told = "Transfer gap (source language − mean of all target languages): baseline 30.0, control 20.0, realigned 5.0"
    assert group_table(found).note.endswith(told)
    text = markdown_report(found, [], context)
    assert "## intents: transfer gap of accuracy" in text
    assert "| resource class | class 0 | 1 | 50.0 | – | 30.0 | 10.0 |" in text
    assert "## intents: accuracy by resource class" in text


def test_without_a_score_of_the_source_there_is_no_gap() -> None:
    found = summarise([score("baseline", "a", 0.4), score("realigned", "a", 0.5)], {"in": ["a"]}, NAMES)
    assert found.source is None
    assert transfer_gaps(found, found.targets) == {}
    assert gap_table(found).rows == ()
    assert group_table(found).note == ""
    assert "transfer gap" not in markdown_report(found, [], NAMES)


def test_gaps_of_seeds_are_means_over_seeds() -> None:
    scores = [score("baseline", tag, value, seed) for tag, own in (("eng_Latn", (0.9, 0.7)), ("a", (0.2, 0.6)))
              for seed, value in enumerate(own)]  # fmt: skip
    found = summarise(scores, {"source": ["eng_Latn"], "in": ["a"]}, NAMES)
    assert transfer_gaps(found, found.targets) == pytest.approx({"baseline": 0.4}, abs=1e-12)
