"""Gathers what a run's stages wrote into the scores, groups and context that its report is made from."""

from __future__ import annotations

import dataclasses
import json
import platform
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from xrealign._version import __version__
from xrealign.config import Config, to_toml
from xrealign.language import parse_language
from xrealign.plan import BASELINE, CONTROL, FEW_SHOT, REALIGNED, Plan
from xrealign.pretraining import seen_isos
from xrealign.report.context import DataSource, ReportContext
from xrealign.report.items import FILE, read_items, write_items
from xrealign.report.stats import Shares
from xrealign.select.candidates import read_classes
from xrealign.stages import is_builtin, read_subset
from xrealign.store import read_manifest
from xrealign.textio import is_file
from xrealign.types import Score
from xrealign.writing import write_atomic

INPUTS = "report-input.json"
VERSIONS = ("torch", "transformers", "tokenizers", "numpy", "hassil", "home-assistant-intents")
Items = dict[tuple[str, str], Shares]


def write_run_report(plan: Plan, folder: Path) -> str:
    """Writes the report into ``folder``, with its inputs so that it can be shown again; returns the model card."""
    from xrealign.report import model_card, write_report

    scores, items = gather_scores(plan)
    groups = language_groups(plan)
    context = report_context(plan)
    write_report(scores, groups, context, folder, items, plan.config.report.figures)
    kept = {"groups": groups, "context": context}
    write_atomic(folder / INPUTS, json.dumps(kept, ensure_ascii=False, indent=1))
    write_items(items, folder / FILE)
    return model_card(context, scores, groups, items)


def print_run_report(folder: Path) -> None:
    """Prints the report of a run's folder on stdout."""
    from xrealign.report import print_report, read_scores

    kept = json.loads((folder / INPUTS).read_text("utf-8"))
    print_report(read_scores(folder / "scores.parquet"), kept["groups"], kept["context"], read_items(folder / FILE))
    print(f"\nreport   {folder / 'report.html'}\nscores   {folder / 'scores.csv'}")
    if (folder / "encoder").is_dir():
        print(f"encoder  {folder / 'encoder'}   (AutoModel.from_pretrained)")
    print(f"models   {folder / 'models'}   (xrealign evaluate --model)")


def gather_scores(plan: Plan) -> tuple[list[Score], Items]:
    """All scores of a run, and for each method and language what each test item adds to the main metric."""
    import pyarrow.parquet as pq

    from xrealign.scoring import PARTS, WHOLES, read_scores

    scores: list[Score] = []
    items: Items = {}
    for method in plan.methods:
        for key in (f"evaluate {method}", f"measure {method}"):
            if key in plan.stages:
                found = read_scores(plan.folder(key))
                scores += [dataclasses.replace(score, run=plan.config.name, task=_task(score)) for score in found]
        if method == FEW_SHOT:  # of another task, as its scores are
            continue
        table = pq.read_table(plan.folder(f"evaluate {method}") / "items.parquet").to_pandas()
        scored = {(score.method, score.language) for score in scores}
        for name in (column.removesuffix(PARTS) for column in table.columns if column.endswith(PARTS)):
            for tag, rows in table.groupby("language", sort=True):
                if (name, str(tag)) in scored:
                    items[name, str(tag)] = Shares(rows[name + PARTS].to_numpy(), rows[name + WHOLES].to_numpy())
    return scores, items


def _task(score: Score) -> str:
    """The task's name; one of its own where target labels were seen, so that nothing averages both."""
    return f"{score.task}, {FEW_SHOT}" if score.method == FEW_SHOT else score.task


def language_groups(plan: Plan) -> dict[str, list[str]]:
    """Tags of the languages scored, by group: source, in the subset, not in it, seen and unseen."""
    source = plan.config.source
    subset = {language.tag for language in read_subset(plan.folder("select"))}
    tags = sorted(read_manifest(plan.folder("task"))["facts"]["test"])
    targets = [tag for tag in tags if tag != source]
    groups = {
        "in the subset": [tag for tag in targets if tag in subset],
        "not in the subset": [tag for tag in targets if tag not in subset],
    }
    seen = seen_isos(plan.config.encoder.seen)
    if seen is not None:
        groups["seen in pre-training"] = [tag for tag in targets if parse_language(tag).iso in seen]
        groups["unseen in pre-training"] = [tag for tag in targets if parse_language(tag).iso not in seen]
    return {"source": [source], **groups}


def main_metric(plan: Plan) -> str:
    """The metric that a run's task is judged by."""
    from xrealign.tasks.metrics import MAIN_METRIC

    return MAIN_METRIC[read_manifest(plan.folder("task"))["facts"]["kind"]]


def report_context(plan: Plan) -> ReportContext:
    """What the report says besides the scores; keys as in `xrealign.report.context.ReportContext`."""
    config = plan.config
    facts = {key: read_manifest(plan.folder(key)) for key in plan.stages}
    selection = facts["select"]["facts"]
    pairs = facts["corpus"]["facts"]["pairs"]
    why = selection.get("why", {})
    starter = config.encoder.name == "starter"
    judged = REALIGNED if REALIGNED in plan.methods else BASELINE
    return {
        "run": config.name,
        "created": time.strftime("%Y-%m-%d", time.gmtime()),
        "task": config.task.name,
        "metric": main_metric(plan),
        "source": config.source,
        "encoder": _public_name(config.encoder.name),
        "base_model": "intfloat/multilingual-e5-small" if starter else _public_name(config.encoder.name),
        **({"encoder_licence": "mit"} if starter else {}),
        "encoder_digest": facts["align"]["inputs"]["encoder"],
        "selection": selection["reason"],
        "subset": [(tag, why.get(tag, "named in the configuration")) for tag in selection["subset"]],
        "seeds": [config.seed],
        "steps": _steps(facts),
        "pairs": pairs,
        "settings": _settings(config),
        "data": _data(config),
        "warnings": _warnings(plan, facts),
        "seconds": {key: manifest["seconds"] for key, manifest in facts.items()},
        "kinds": {config.task.name: facts["task"]["facts"]["kind"]},
        "disk": {key: _bytes(plan.folder(key)) for key in plan.stages},
        **({"resources": read_classes(config.report.resources)} if config.report.resources else {}),
        "versions": {"xrealign": __version__, **{name: metadata.version(name) for name in VERSIONS}},
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "command": "xrealign run config.toml",
        "config": to_toml(config),
        "majority": facts[f"evaluate {BASELINE}"]["facts"]["majority"],
        "exchanged": facts[f"evaluate {judged}"]["facts"].get("exchanged", {}),
    }


def _bytes(folder: Path) -> int:
    """What a result takes on disk; files that several results share count in each."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _steps(facts: dict[str, Any]) -> dict[str, int]:
    """Steps that were made, by stage; those of the realigned encoder, where there is one."""
    found: dict[str, int] = {}
    for method in (BASELINE, REALIGNED):
        for verb in ("realign", "finetune"):
            if f"{verb} {method}" in facts:
                found[verb] = facts[f"{verb} {method}"]["facts"]["history"][-1]["step"]
    return found


def _public_name(encoder: str) -> str:
    """A hub name as it is, a local folder by its last part: a model card tells nobody the paths of a machine."""
    return Path(encoder).name if Path(encoder).is_dir() else encoder


def _settings(config: Config) -> dict[str, Any]:
    tables = {"align": config.align, "realign": config.realign, "finetune": config.finetune}
    return {
        f"{table}.{key}": value
        for table, settings in tables.items()
        for key, value in _flat(settings.model_dump()).items()
        if value is not None and not isinstance(value, dict)
    }


def _flat(table: dict[str, Any]) -> dict[str, Any]:
    """A table with the keys of inner tables as ``settings.queue``; a sum of objectives as text."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if key == "objective" and isinstance(value, dict):
            flat[key] = " + ".join(f"{weight:g} {name}" for name, weight in value.items())
        elif key == "settings" or (key in ("lora", "prompt") and table["adapter"] == key):
            flat |= {f"{key}.{inner}": setting for inner, setting in value.items()}
        else:
            flat[key] = value
    return flat


def _data(config: Config) -> list[DataSource]:
    """Every set that something of the run is made from: those of the catalogue with their licences, then the user's."""
    from xrealign.corpus.catalogue import catalogue
    from xrealign.tasks.builtin import SETS

    wanted = ["udhr", "cldr", "languages"] + (["typology"] if config.select.languages is None else [])
    wanted += [SETS.get(config.task.name, "intents")] if is_builtin(config) else []  # intents are no fetched set
    wanted += ["encoder"] if config.encoder.name == "starter" else []
    rows: list[DataSource] = [
        {"id": entry.id, "licence": entry.licence, "citation": entry.citation, "url": entry.url}
        for entry in (catalogue()[name] for name in wanted)
    ]
    return rows + [{"id": f"{name} (yours)"} for name in dict.fromkeys(_own_names(config))]


def _own_names(config: Config) -> list[str]:
    """What the user's files and data sets are called, without the folders of a machine."""
    task, quality, distance = config.task, config.corpus.filter, config.select.distance
    tables = (config.corpus.files, config.align.dictionaries, task.tests, task.shots, config.project.labelled)
    files = [*(f for table in tables for f in (table or {}).values()), task.train, task.dev]
    files += [*((quality and quality.scores) or {}).values(), config.report.resources]
    files += [distance] if is_file(distance) else []
    names = [Path(f if is_file(f) else f.partition("#")[0]).name for f in files if f]  # FOLDER#SPLIT is a data set
    return names + ([Path(task.loader.partition(":")[0]).name] if task.loader else [])


def _warnings(plan: Plan, facts: dict[str, Any]) -> list[str]:
    warnings = []
    unmapped = facts[f"evaluate {BASELINE}"]["facts"]["without_maps"]
    if unmapped:
        warnings.append(f"No parallel text to fit training-free maps on: {', '.join(unmapped)}; left out of 'centred'.")
    for method in plan.methods:
        told = facts[f"evaluate {method}"]["facts"]
        if told["below_majority"]:
            low = ", ".join(told["below_majority"])
            warnings.append(f"{method}: worse than always giving the most frequent label in {low}: do labels agree?")
        for tag, types in told.get("exchanged", {}).items():
            warnings.append(f"{method}, {tag}: types look exchanged ({types}): do labels mean the same?")
        for tag, reasons in told["cut"].items():
            lost = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
            warnings.append(f"{method}, {tag}: {lost} (finetune.max_length).")
    for method in (REALIGNED, CONTROL):
        for verb in ("realign", "finetune"):
            told = facts.get(f"{verb} {method}", {}).get("facts", {})
            cut = told.get("cut_words", 0)
            if cut and method == REALIGNED:
                warnings.append(f"{cut} words of the parallel text were cut off at realign.max_length.")
            warnings += [f"{verb} {method}: {line}." for line in told.get("warnings", ())]
    if FEW_SHOT in plan.methods:
        seen = ", ".join(f"{count} in {tag}" for tag, count in facts["shots"]["facts"]["shots"].items())
        warnings.append(
            f"few-shot has seen labelled examples of languages that are tested ({seen}); it is not zero-shot, and its "
            f"scores stand apart, as task '{plan.config.task.name}, {FEW_SHOT}'."
        )
    if REALIGNED in plan.methods and CONTROL not in plan.methods:
        warnings.append("realign.control = false: a gain may have nothing to do with parallel data.")
    return warnings
