"""What ``xrealign compare`` reads: runs, sweeps and files of scores, with the names that tell them apart."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from xrealign.errors import ArtifactError, DataError, did_you_mean
from xrealign.report.comparison import SOURCE, Items
from xrealign.report.context import SOURCE_GROUP, ReportContext
from xrealign.report.items import FILE as ITEMS
from xrealign.report.items import read_items
from xrealign.report.scores import read_scores
from xrealign.textio import is_there
from xrealign.types import Score

SCORES, INPUTS, SWEEP = "scores.parquet", "report-input.json", "sweep.json"
ENDINGS = (".parquet", ".csv")
ENCODER = "encoder.name"


@dataclass(frozen=True, slots=True)
class ScoreSet:
    """The scores of one run, of one variant of a sweep over its seeds, or of a file.

    Attributes:
        name: what it is called beside others.
        scores: all of them.
        groups: name → tags, where a run says them.
        items: (task, method, language) → what each test sentence got.
        source: tag of the source language.
        settings: the configuration without name and seed, as text; runs that agree in it are seeds of one thing.
        contexts: what is known of the runs besides (`xrealign.report.context.ReportContext`).
    """

    name: str
    scores: list[Score]
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    items: Mapping[tuple[str, str, str], Any] = field(default_factory=dict)
    source: str = SOURCE
    settings: str = ""
    contexts: tuple[ReportContext, ...] = ()

    @property
    def seeds(self) -> frozenset[int]:
        """Seeds of the scores."""
        return frozenset(score.seed for score in self.scores)


@dataclass(frozen=True, slots=True)
class Joined:
    """Scores that can be compared, each method and model with a name of its own; see ``join_score_sets``."""

    scores: list[Score]
    items: Items
    groups: dict[str, list[str]]
    source: str
    contexts: tuple[ReportContext, ...] = ()


def read_score_sets(text: str, runs: Path) -> list[ScoreSet]:
    """The scores of a run or sweep (its folder, or its name in ``runs``), or of a ``.parquet`` or ``.csv`` file.

    A sweep gives one set for each of its variants, called after its choices.

    Raises:
        ArtifactError: nothing is called so, or a file in the folder is damaged.
        DataError: the scores cannot be read.
    """
    path = Path(text)
    if is_there(path) and not path.is_dir() and path.suffix in ENDINGS:  # a pipe is told as what it is
        return [ScoreSet(path.parent.resolve().name if path.stem == "scores" else path.stem, read_scores(path))]
    for folder in filter(is_there, (path, runs / text, runs / f"{text}.sweep")):
        if (folder / SWEEP).is_file():
            return _sweep(folder)
        if (folder / SCORES).is_file():
            return [_run(folder)]
    shown = text if len(text) <= 200 else f"{text[:200]}…"
    known = sorted({found.parent.name.removesuffix(".sweep") for found in runs.glob(f"*/{SCORES}")})
    there = f"; in {runs} there are {', '.join(known)}" if known else f"; {runs} holds no finished run"
    raise ArtifactError(
        f"no run, sweep or file of scores {shown!r}{did_you_mean(text, known) or there}; expected a run's name or "
        "folder, a sweep's folder, or a scores.parquet or .csv"
    )


def _run(folder: Path) -> ScoreSet:
    name, scores = folder.resolve().name, read_scores(folder / SCORES)
    if not (folder / INPUTS).is_file():
        return ScoreSet(name, scores)
    kept = _json(folder / INPUTS)
    groups = _table(folder / INPUTS, kept, "groups")
    context = cast(ReportContext, _table(folder / INPUTS, kept, "context"))
    source = context.get("source") or next(iter(groups.get(SOURCE_GROUP, [])), SOURCE)
    items: dict[tuple[str, str, str], Any] = {}
    if context.get("task") and (folder / ITEMS).is_file():
        items = {(context["task"], *key): found for key, found in read_items(folder / ITEMS).items()}
    settings, contexts = _settings(context.get("config", "")), (context,) if context else ()
    return ScoreSet(name, scores, groups, items, source, settings, contexts)


def _settings(config: str) -> str:
    try:
        table = tomllib.loads(config)
    except tomllib.TOMLDecodeError:
        return ""
    kept = {key: value for key, value in table.items() if key not in ("name", "seed", "runs", "sweep")}
    return json.dumps(kept, sort_keys=True, default=str) if kept else ""


def _sweep(folder: Path) -> list[ScoreSet]:
    state = _json(folder / SWEEP)
    cells = _table(folder / SWEEP, state, "cells")
    labels = {cell: _table(folder / SWEEP, facts, "labels") for cell, facts in cells.items()}
    variants: dict[tuple[str, str], list[Score]] = {}
    for score in read_scores(folder / SCORES):
        if score.run not in labels:
            raise DataError(f"scores of {score.run!r}, but the sweep has no such cell", folder / SCORES)
        chosen = {axis: label for axis, label in labels[score.run].items() if axis != "seed"}
        encoder = chosen.pop(ENCODER, "")
        name = ", ".join(chosen.values()) or str(state.get("name"))
        variants.setdefault((encoder, name), []).append(replace(score, run=name, model=encoder))
    return [ScoreSet(name, scores) for (_, name), scores in variants.items()]


def _table(path: Path, table: Mapping[str, Any], key: str) -> dict[str, Any]:
    """What stands there under the key, empty where nothing does.

    Raises:
        ArtifactError: it is no object.
    """
    found = table.get(key, {}) if isinstance(table, dict) else None
    if not isinstance(found, dict):
        raise ArtifactError(f"{path} is damaged ({key} is no object); make the run again")
    return found


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{path} is damaged ({error}); make the run again") from None


def join_score_sets(sets: Sequence[ScoreSet], baseline: str) -> Joined:
    """One list of the scores of all sets, in which every method and model has a name of its own.

    1. Runs that differ in nothing but their seed become one set.
    2. Sets whose baselines agree, score by score, are of one model: what they share stays one method, what differs
       gets the set's name, ``realigned [A]``.
    3. Where not all baselines agree, the sets are of several models, called after their sets, and each is compared
       with its own baseline.

    Sets whose scores name their models already (published results) are kept as they are.

    Raises:
        DataError: two sets of one name; different source languages.
    """
    sets = _over_seeds(sets)
    sources = dict.fromkeys(one.source for one in sets)
    if len(sources) > 1:
        raise DataError(f"the runs have different source languages ({', '.join(sources)}) and cannot be compared")
    clusters: list[list[ScoreSet]] = []
    for one in sets:
        found = next((cluster for cluster in clusters if _agree(cluster[0], one, baseline)), None)
        if found is None:
            clusters.append([one])
        else:
            found.append(one)
    scores: list[Score] = []
    items: dict[tuple[str, str, str, str], Any] = {}
    for cluster in clusters:
        names = [one.name for one in cluster]
        if len(set(names)) < len(names):
            raise DataError(f"two of the runs are called {names[0]!r}; copy one to a folder of another name")
        model = " + ".join(names) if len(clusters) > 1 else ""
        shared = _shared_methods(cluster)
        for one in cluster:
            named = {score.method: _named(score.method, one.name, shared) for score in one.scores}
            scores += [replace(s, method=named[s.method], model=s.model or model) for s in one.scores]
            for (task, method, tag), found in one.items.items():
                if method in named:
                    items[model, task, named[method], tag] = found
    contexts = tuple(context for one in sets for context in one.contexts)
    return Joined(_once(scores), items, _groups(sets), sets[0].source, contexts)


def _over_seeds(sets: Sequence[ScoreSet]) -> list[ScoreSet]:
    """The sets, those that differ in nothing but their seeds as one, without its items (each seed has its own)."""
    made: list[ScoreSet] = []
    for one in sets:
        for place, other in enumerate(made):
            if one.settings and one.settings == other.settings and not one.seeds & other.seeds:
                scores, contexts = [*other.scores, *one.scores], (*other.contexts, *one.contexts)
                made[place] = replace(other, scores=scores, items={}, contexts=contexts)
                break
        else:
            made.append(one)
    return made


Place = tuple[str, str, str, str, int, int | None, str]


def _place(score: Score) -> Place:
    return score.model, score.task, score.language, score.metric, score.seed, score.layer, score.variant


def _values(one: ScoreSet, method: str) -> dict[Place, float]:
    return {_place(score): score.value for score in one.scores if score.method == method}


def _agree(one: ScoreSet, other: ScoreSet, method: str) -> bool:
    """Whether both have scores of the method in common, and none that differ."""
    first, second = _values(one, method), _values(other, method)
    common = first.keys() & second.keys()
    return bool(common) and all(first[place] == second[place] for place in common)


def _shared_methods(cluster: Sequence[ScoreSet]) -> frozenset[str]:
    """Methods that need no brackets: those of a single set, and those that all sets have with the same scores."""
    every = dict.fromkeys(score.method for one in cluster for score in one.scores)
    return frozenset(method for method in every if all(_agree(cluster[0], one, method) for one in cluster))


def _named(method: str, name: str, shared: frozenset[str]) -> str:
    return method if method in shared else f"{method} [{name}]"


def _groups(sets: Sequence[ScoreSet]) -> dict[str, list[str]]:
    """Groups that mean the same in every set that has them; those that differ bear the set's name."""
    found: dict[str, list[str]] = {}
    for name in dict.fromkeys(name for one in sets for name in one.groups):
        having = [one for one in sets if name in one.groups]
        if all(set(one.groups[name]) == set(having[0].groups[name]) for one in having):
            found[name] = list(having[0].groups[name])
        elif name != SOURCE_GROUP:
            found |= {f"{name} [{one.name}]": list(one.groups[name]) for one in having}
    return found


def _once(scores: Sequence[Score]) -> list[Score]:
    """The scores without those that several sets share."""
    kept: dict[tuple[object, ...], Score] = {}
    for score in scores:
        first = kept.setdefault((score.method, *_place(score)), score)
        if first.value != score.value:
            raise DataError(
                f"{score.method}, {score.task}, {score.language}, seed {score.seed} has {score.metric} "
                f"{first.value:g} in {first.run!r} and {score.value:g} in {score.run!r}; compare them as separate runs"
            )
    return list(kept.values())
