from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from xrealign.errors import ArtifactError, DataError
from xrealign.report.comparison import compare_scores
from xrealign.report.items import write_items
from xrealign.report.run_scores import join_score_sets, read_score_sets
from xrealign.report.scores import write_scores
from xrealign.types import Score

TAGS = ("deu_Latn", "fin_Latn", "hin_Deva", "rus_Cyrl", "swh_Latn", "tam_Taml")
ONE = Score("r", "baseline", "intents", "deu_Latn", "accuracy", 0.5, 100, 17)
PARTS = {"baseline": 0.0, "centred": 0.01, "control": 0.0, "realigned": 0.05}


def run(folder: Path, seed: int = 17, config: str = "", gain: float = 0.0, base: int = 0) -> Path:
    """A finished run's folder: scores, what the report was made from, what each sentence got."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng([seed, base])
    rows, items = [], {}
    for tag in (*TAGS, "eng_Latn"):
        luck = rng.uniform(size=100)
        for method, part in PARTS.items():
            hits = luck < 0.5 + part + (gain if method in ("control", "realigned") else 0)
            items[method, tag] = hits
            rows.append(replace(ONE, run=folder.name, method=method, language=tag, seed=seed, value=float(hits.mean())))
    write_scores(rows, folder / "scores.parquet")
    groups = {"source": ["eng_Latn"], "in the subset": list(TAGS[:3])}
    context = {"task": "intents", "metric": "accuracy", "source": "eng_Latn"}
    context["config"] = f'name = "{folder.name}"\nseed = {seed}\n{config}'
    (folder / "report-input.json").write_text(json.dumps({"groups": groups, "context": context}), "utf-8")
    write_items(items, folder / "items.npz")
    return folder


def joined(*names: str, runs: Path):
    return join_score_sets([one for name in names for one in read_score_sets(name, runs)], "baseline")


def test_one_run_is_compared_over_its_sentences(tmp_path: Path) -> None:
    run(tmp_path / "a")
    found = joined("a", runs=tmp_path)
    made = compare_scores(found.scores, groups=found.groups, source=found.source, items=found.items)
    change = made.tasks[0].targets.changes["realigned"]["baseline"]
    assert change.levels == ("sentence",)
    assert [row.name for row in made.tasks[0].groups[:2]] == ["all target languages", "in the subset"]
    assert read_score_sets(str(tmp_path / "a"), Path("nowhere"))[0].scores == found.scores


def test_runs_of_one_encoder_share_the_baseline(tmp_path: Path) -> None:
    run(tmp_path / "a", config="[realign]\nsteps = 1")
    run(tmp_path / "b", config="[realign]\nsteps = 2", gain=0.02)
    found = joined("a", "b", runs=tmp_path)
    made = compare_scores(found.scores, groups=found.groups, source=found.source, items=found.items)
    (table,) = made.tasks
    assert table.methods == ("baseline", "centred", "control [a]", "control [b]", "realigned [a]", "realigned [b]")
    assert table.references["realigned [b]"] == ("baseline", "centred", "control [b]")
    assert table.targets.changes["realigned [b]"]["baseline"].levels == ("sentence",)
    assert table.targets.changes["realigned [b]"]["control [b]"].value > 0


def test_runs_of_other_encoders_are_compared_with_their_own_baselines(tmp_path: Path) -> None:
    run(tmp_path / "a", config="x = 1")
    run(tmp_path / "b", config="x = 2", base=1)
    found = joined("a", "b", runs=tmp_path)
    made = compare_scores(found.scores, groups=found.groups, source=found.source, items=found.items)
    assert [(table.model, table.methods) for table in made.tasks] == [("a", tuple(PARTS)), ("b", tuple(PARTS))]
    assert all(t.targets.changes["realigned"]["baseline"].levels == ("sentence",) for t in made.tasks)


def test_runs_that_differ_in_their_seed_are_averaged(tmp_path: Path) -> None:
    for seed in (17, 23, 42):
        run(tmp_path / f"s{seed}", seed=seed, config="[realign]\nsteps = 1")
    found = joined("s17", "s23", "s42", runs=tmp_path)
    made = compare_scores(found.scores, groups=found.groups, source=found.source, items=found.items)
    assert made.tasks[0].methods == tuple(PARTS)
    assert made.tasks[0].seeds == (17, 23, 42)
    assert made.tasks[0].targets.changes["realigned"]["baseline"].levels == ("seed", "language")


def test_a_sweep_is_read_by_its_choices(tmp_path: Path) -> None:
    folder = tmp_path / "grid.sweep"
    folder.mkdir()
    rows, cells = [], {}
    for freeze, gain in (("front", 0.02), ("back", 0.0)):
        for seed in (17, 23):
            cell = f"{freeze}-{seed}"
            cells[cell] = {"labels": {"realign.freeze": freeze, "seed": str(seed)}}
            for tag in TAGS:
                for method, part in PARTS.items():
                    value = 0.4 + 0.001 * seed + part + (gain if method in ("control", "realigned") else 0)
                    rows.append(replace(ONE, run=cell, method=method, language=tag, seed=seed, value=value))
    write_scores(rows, folder / "scores.parquet")
    (folder / "sweep.json").write_text(json.dumps({"name": "grid", "cells": cells}), "utf-8")
    found = joined("grid", runs=tmp_path)
    table = compare_scores(found.scores).tasks[0]
    wanted = ("baseline", "centred", "control [front]", "control [back]", "realigned [front]", "realigned [back]")
    assert table.methods == wanted
    assert table.targets.scores["realigned [front]"].seeds == 2
    (folder / "sweep.json").write_text("{", "utf-8")
    with pytest.raises(ArtifactError, match="damaged"):
        joined("grid", runs=tmp_path)
    (folder / "sweep.json").write_text(json.dumps({"name": "grid", "cells": {}}), "utf-8")
    with pytest.raises(DataError, match="no such cell"):
        joined("grid", runs=tmp_path)


def test_files_of_scores_keep_their_models(tmp_path: Path) -> None:
    rows = [
        replace(ONE, model=model, method=method, language=tag, value=0.5)
        for model in ("A", "B")
        for method in PARTS
        for tag in TAGS
    ]
    write_scores(rows, tmp_path / "published.csv")
    found = joined(str(tmp_path / "published.csv"), runs=tmp_path)
    assert found.scores == rows
    assert [table.model for table in compare_scores(found.scores).tasks] == ["A", "B"]


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="holds no finished run"):
        read_score_sets("a", tmp_path)
    run(tmp_path / "first")
    with pytest.raises(ArtifactError, match="did you mean 'first'"):
        read_score_sets("frist", tmp_path)
    run(tmp_path / "folder.csv")
    assert [one.name for one in read_score_sets("folder.csv", tmp_path)] == ["folder.csv"]
    assert [one.name for one in read_score_sets(str(tmp_path / "folder.csv"), tmp_path)] == ["folder.csv"]
    run(tmp_path / "other" / "first", config="x = 1")
    with pytest.raises(DataError, match="two of the runs are called 'first'"):
        joined("first", str(tmp_path / "other" / "first"), runs=tmp_path)
    (tmp_path / "first" / "items.npz").write_bytes(b"PK no archive")
    with pytest.raises(DataError, match="not a file of test items"):
        read_score_sets("first", tmp_path)
