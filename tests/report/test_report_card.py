from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
import yaml
from huggingface_hub import ModelCardData
from huggingface_hub.repocard_data import model_index_to_eval_results
from hypothesis import given, settings
from hypothesis import strategies as st
from report_sample import NASTY, Sample

from xrealign.errors import DataError
from xrealign.report import model_card
from xrealign.report.format import yaml_scalar
from xrealign.report.summary import Summary

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=60)


def front_matter(card: str) -> dict[str, object]:
    assert card.startswith("---\n")
    return yaml.safe_load(card.split("\n---\n")[0][4:])


def test_the_hub_reads_the_front_matter(run: Sample, summary: Summary) -> None:
    data = front_matter(model_card(run.context, run.scores, run.groups, run.items))
    assert data["license"] == "mit"
    assert data["base_model"] == "intfloat/multilingual-e5-small"
    assert data["language"][:3] == ["eng", "amh", "eus"]  # type: ignore[index]
    assert data["library_name"] == "transformers"
    card = ModelCardData(**data)  # type: ignore[arg-type]
    assert card.base_model == data["base_model"]
    _, results = model_index_to_eval_results(data["model-index"])  # type: ignore[arg-type]
    assert results[0].metric_value == pytest.approx(summary.targets.scores.values["realigned"], abs=1e-6)


def test_the_model_index_holds_every_task(run: Sample) -> None:
    """One result for each task, with a metric for each of its metrics, read by the hub's own code."""
    tagging = [
        replace(one, task='pos: "tags"', value=one.value / 2)
        for one in run.scores
        if one.task == "intents" and one.metric == "accuracy"
    ]
    context = run.context | {"kinds": {'pos: "tags"': "pos", "intents": "class"}}
    card = model_card(context, [*run.scores, *tagging], run.groups, run.items)  # type: ignore[arg-type]
    _, results = model_index_to_eval_results(front_matter(card)["model-index"])  # type: ignore[arg-type]
    found = {(one.task_type, one.dataset_name, one.metric_type): one.metric_value for one in results}
    accuracy = found["text-classification", "intents", "accuracy"]
    assert set(found) == {
        ("text-classification", "intents", "accuracy"),
        ("text-classification", "intents", "macro_f1"),
        ("token-classification", 'pos: "tags"', "accuracy"),
    }
    assert found["token-classification", 'pos: "tags"', "accuracy"] == pytest.approx(accuracy / 2, abs=1e-6)
    assert 'pos: "tags": accuracy by group' in card


def test_the_card_says_what_it_must(run: Sample) -> None:
    card = model_card(run.context, run.scores, run.groups, run.items)
    assert card.count("AutoModel.from_pretrained") == card.count("AutoTokenizer.from_pretrained") == 1
    for source in run.context["data"]:
        assert source["digest"] in card
        assert source["licence"] in card
    for tag, count in run.context["pairs"].items():
        assert f"{tag} | {count:,} |" in card
    for word in ("centred", "control", "realigned", "One seed (17)", "Georgian (2)", "## Limits"):
        assert word in card
    assert "<script" not in card.replace("\\<script", "")
    assert NASTY not in card


def test_a_card_without_scores_claims_nothing(run: Sample) -> None:
    card = model_card({"encoder": "starter"}, [], {})
    assert "was not evaluated" in card
    assert "model-index" not in front_matter(card)
    assert "base_model" not in front_matter(card)
    with pytest.raises(DataError, match="unknown key"):
        model_card({"sead": 1}, [], {})  # type: ignore[typeddict-unknown-key]


@settings(max_examples=150, deadline=None, database=None)
@given(TEXT)
def test_any_text_stays_one_yaml_string(text: str) -> None:
    found = yaml.safe_load(f"key: {yaml_scalar(text)}\nnext: 1\n")
    assert isinstance(found["key"], str)
    assert found["next"] == 1
    assert "\ufffd" in found["key"] or found["key"] == " ".join(text.split())


@settings(max_examples=25, deadline=None, database=None)
@given(TEXT)
def test_no_value_breaks_the_front_matter(text: str) -> None:
    context = {"run": text, "encoder": text, "base_model": text, "encoder_licence": text, "selection": text}
    context |= {"subset": [("deu_Latn", text)], "command": text, "languages": {}}
    data = front_matter(model_card(context, [], {}))  # type: ignore[arg-type]
    assert set(data) <= {"library_name", "pipeline_tag", "language", "license", "base_model", "tags"}


def test_the_report_needs_no_torch_and_draws_lazily() -> None:
    code = (
        "import sys, xrealign.report; print([name for name in ('torch', 'matplotlib', 'scipy') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == "[]"
