"""From a configuration to the list of results a run needs, with their fingerprints, before anything is computed."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from xrealign import collecting, projecting, stages, training
from xrealign.config import Config
from xrealign.linking import make_align
from xrealign.needs import check_needs
from xrealign.plan_checks import check_settings
from xrealign.presets import encoder_shape, settle
from xrealign.segment import word_rules
from xrealign.store import Stage, digest_of

BASELINE, CONTROL, REALIGNED = "baseline", "control", "realigned"
PROJECTED, FEW_SHOT = "projected", "few-shot"


@dataclass(frozen=True)
class Plan:
    """Stages in the order in which they run, by key: ``select``, ``realign control``, ``evaluate baseline`` …

    Attributes:
        config: settled (`xrealign.presets`): what runs.
        origins: of the keys that a published name or preset has set, by key.
        encoders: by method, the key of the stage whose encoder is measured and, realigned, handed to the user; the
            baseline has none where that is the encoder that the configuration names.
        models: by method, the key of the stage whose model is evaluated.
    """

    config: Config
    stages: dict[str, Stage]
    runs: Path
    origins: dict[str, str] = field(default_factory=dict)
    encoders: dict[str, str | None] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)

    def folder(self, key: str) -> Path:
        """Where a stage's result is."""
        return self.stages[key].folder(self.runs)

    @property
    def methods(self) -> tuple[str, ...]:
        """The trainings that are compared."""
        return tuple(self.models)


def make_plan(config: Config, needs_task: bool = True) -> Plan:
    """The stages of a run.

    Args:
        needs_task: without it a plan of which only the stages up to ``realign …`` may be made.

    Raises:
        ArtifactError, MissingExtra: the encoder, or a library that a setting asks for, is not to be had.
        ConfigError: a setting that does not fit the encoder or the machine.
        DataError: a file of the configuration cannot be read.
    """
    check_needs(config, needs_task)
    from xrealign.model.encoder import encoder_digest

    encoder = {"encoder": encoder_digest(config.encoder.name, config.encoder.revision)}
    settled = settle(config, encoder_shape(config))
    config = settled.config
    check_settings(config)
    runs = Path(config.runs)
    plan = Plan(config, {}, runs, settled.origins)
    dump = config.model_dump() | {"finetune": _finetune_table(config)}
    attention = {"attention": config.encoder.attention}
    shared = {"source": config.source, "seed": config.seed}

    def add(key: str, settings: dict[str, Any], inputs: dict[str, str], make: Callable[..., Any]) -> str:
        plan.stages[key] = Stage(key.split()[0], key, settings, inputs, make)
        return plan.stages[key].fingerprint

    text = _text_digests(config)
    select = add(
        "select",
        {"source": config.source, "seed": stages.select_seed(config), "select": dump["select"]}
        | {"candidates": _candidates(config)}
        | _seen(config),
        {**text, "typology": _typology_digest(config.select.distance)},
        lambda out, work: stages.make_select(config, out),
    )
    corpus = add(
        "corpus",
        {"source": config.source, "corpus": _corpus(dump["corpus"])},
        {**text, "select": select, **(encoder if _by_similarity(config) else {})},
        lambda out, work: collecting.make_corpus(config, plan.folder("select"), out),
    )

    def add_align(key: str, chosen: Config) -> str:
        table = _without(chosen.align.model_dump(), "dictionaries")
        return add(
            key,
            {"source": config.source, "align": table, "held": config.corpus.held_out, "words": word_rules()}
            | attention,
            {**encoder, **text, "corpus": corpus},
            lambda out, work: make_align(chosen, plan.folder("corpus"), out, work),
        )

    align = add_align("align", config)
    unset = () if config.task.separator else ("separator",)  # what was made before it was a key stays where it is
    task = add(
        "task",
        {**shared, "task": _without(dump["task"], "train", "dev", "tests", "loader", "shots", "few_shot", *unset)},
        _task_digests(config) if needs_task else {},
        lambda out, work: stages.make_task(config, out),
    )
    for method in _methods(config):
        _add_training(plan, method, add, {**encoder, "align": align, "task": task}, dump)
    if config.project.train != "none":
        links = add_align(f"align {PROJECTED}", projecting.unfiltered(config))
        labels = _digests("labelled", config.project.labelled)
        tagger = {} if labels else {"model": plan.stages[f"finetune {BASELINE}"].fingerprint}
        reading: dict[str, Any] = {"length": [config.finetune.max_length, config.finetune.stride]} | attention
        reading["constrained"] = config.evaluate.constrained
        projected = add(
            "project",
            {"source": config.source, "project": _without(dump["project"], "labelled")} | ({} if labels else reading),
            {"align": links, "task": task, **labels, **tagger},
            partial(_project, plan),
        )
        _add_finetune(plan, PROJECTED, add, "project", {**encoder, "task": projected})
    if config.task.shots:
        few = add(
            "shots",
            {**shared, "few_shot": config.task.few_shot},
            {"task": task, **_digests("shots", config.task.shots)},
            lambda out, work: projecting.make_shots(config, plan.folder("task"), out),
        )
        _add_finetune(plan, FEW_SHOT, add, "shots", {**encoder, "task": few})
    for method, model in plan.models.items():
        own = dump["evaluate"] if method == BASELINE else _without(dump["evaluate"], "transforms", "pairs")
        baseline = {"corpus": _corpus(dump["corpus"])} if method == BASELINE and config.evaluate.transforms else {}
        add(
            f"evaluate {method}",
            {
                **shared,
                "method": method,
                "length": [config.finetune.max_length, config.finetune.stride],
                "evaluate": own,
            }
            | attention
            | baseline,
            {"task": task, "model": plan.stages[model].fingerprint, **(text if method == BASELINE else {})},
            partial(_evaluate, plan, method),
        )
    for method, key in plan.encoders.items():
        add(
            f"measure {method}",
            {**shared, "method": method, "measure": dump["measure"]} | {"held_out": config.corpus.held_out} | attention,
            {**_text_digests(config, embedded_only=True), "task": task, "select": select}
            | (encoder if key is None else {"encoder": plan.stages[key].fingerprint}),
            partial(_measure, plan, method),
        )
    return plan


def _add_training(
    plan: Plan, method: str, add: Callable[..., str], inputs: dict[str, str], dump: dict[str, Any]
) -> None:
    """The stages of a method's phases, each from the encoder of the one before.

    The strategy ``after`` goes on from the fine-tuned baseline itself. Encoders are measured before fine-tuning where
    there is realignment before it and nothing else; otherwise all methods' as they are in the end.
    """
    from xrealign.train.strategies import plan_phases

    config, control = plan.config, method == CONTROL
    realign, attention = config.realign, {"seed": config.seed, "attention": config.encoder.attention}
    strategy = "none" if method == BASELINE else realign.strategy
    last: str | None = None
    own = _without(dump["realign"], *_OF_STRATEGIES) | {"front_cache": realign.front_cache > 0}  # its size is no result
    own |= {} if realign.gather else {"processes": os.environ.get("WORLD_SIZE", "1")}
    for spec in plan_phases(strategy, config.finetune.steps, realign.steps, realign.weight, realign.every):
        before = {"encoder": inputs["encoder"] if last is None else plan.stages[last].fingerprint}
        if spec.name == "realign":
            settings = attention | {"realign": own, "without_parallel": control}
            key, make = f"realign {method}", partial(_realign, plan, last, control)
            read = {"align": inputs["align"]} | ({} if last is None else {"task": inputs["task"]})
        elif spec.name == "finetune" and method != BASELINE and last is None:
            last = f"finetune {BASELINE}"
            continue
        elif spec.name == "finetune":
            settings = attention | {"finetune": dump["finetune"]}
            key, read, make = f"finetune {method}", {"task": inputs["task"]}, partial(_finetune, plan, last)
        else:
            rules = {"strategy": spec.name, "weight": realign.weight, "every": spec.every}
            settings = attention | rules | {"realign": own, "finetune": dump["finetune"], "without_parallel": control}
            key, read = f"finetune {method}", {"align": inputs["align"], "task": inputs["task"]}
            make = partial(_joint, plan, last, control)
        add(key, settings, {**read, **before}, make)
        last = key
    assert last is not None  # every strategy fine-tunes
    plan.models[method] = last
    if realign.strategy in ("none", "before"):
        plan.encoders[method] = None if method == BASELINE else f"realign {method}"
    else:
        plan.encoders[method] = last


def _add_finetune(plan: Plan, method: str, add: Callable[..., str], task: str, inputs: dict[str, str]) -> None:
    """Fine-tuning of the encoder as it came on the task of another stage."""
    config = plan.config
    settings = {"seed": config.seed, "attention": config.encoder.attention, "finetune": _finetune_table(config)}
    key = f"finetune {method}"
    add(
        key,
        settings,
        inputs,
        lambda out, work: training.make_finetune(config, plan.folder(task), None, out, work),
    )
    plan.models[method] = key


_OF_STRATEGIES = ("strategy", "preset", "weight", "every", "control", "gather")  # not read by realignment alone


def _methods(config: Config) -> tuple[str, ...]:
    """The trainings that are compared, in the order in which they run."""
    realign = config.realign
    if realign.strategy == "none" or (realign.steps == 0 and realign.strategy in ("before", "after")):
        return (BASELINE,)
    return (BASELINE, REALIGNED, CONTROL) if realign.control else (BASELINE, REALIGNED)


def _realign(plan: Plan, before: str | None, control: bool, out: Path, work: Path) -> stages.Facts:
    align, task = plan.folder("align"), None if before is None else plan.folder("task")
    return training.make_realign(plan.config, align, task, _folder(plan, before), out, work, control)


def _finetune(plan: Plan, before: str | None, out: Path, work: Path) -> stages.Facts:
    return training.make_finetune(plan.config, plan.folder("task"), _folder(plan, before), out, work)


def _joint(plan: Plan, before: str | None, control: bool, out: Path, work: Path) -> stages.Facts:
    align, task = plan.folder("align"), plan.folder("task")
    return training.make_joint(plan.config, align, task, _folder(plan, before), out, work, control)


def _project(plan: Plan, out: Path, _work: Path) -> stages.Facts:
    links, task, model = (plan.folder(key) for key in (f"align {PROJECTED}", "task", f"finetune {BASELINE}"))
    return projecting.make_project(plan.config, links, task, model, out)


def _folder(plan: Plan, key: str | None) -> Path | None:
    """Of a stage's encoder; None for the one that the configuration names."""
    return None if key is None else plan.folder(key)


def _evaluate(plan: Plan, method: str, out: Path, work: Path) -> stages.Facts:
    from xrealign.evaluating import make_evaluate

    return make_evaluate(plan.config, plan.folder("task"), plan.folder(plan.models[method]), out, work, method)


def _measure(plan: Plan, method: str, out: Path, _work: Path) -> stages.Facts:
    from xrealign.scoring import make_measure

    task = stages.read_task(plan.folder("task"))
    languages = sorted({*task.tests, *stages.read_subset(plan.folder("select"))})
    return make_measure(plan.config, languages, _folder(plan, plan.encoders[method]), out, method)


def _candidates(config: Config) -> list[str]:
    chosen = config.select.languages is not None
    return [] if chosen else [language.tag for language in stages.select_candidates(config)]


def _seen(config: Config) -> dict[str, Any]:
    """What was seen in pre-training, where the choice depends on it; grouping scores by it changes no result."""
    select = config.select
    uses = "seen" in " ".join([select.criterion, *select.at_least, *select.at_most])
    return {"seen": config.encoder.seen} if uses else {}


def _finetune_table(config: Config) -> dict[str, Any]:
    """What fine-tuning reads: what a prompt is like is no setting of one without."""
    table = config.finetune.model_dump()
    return table if table["adapter"] == "prompt" else _without(table, "prompt")


def _without(table: dict[str, Any], *keys: str) -> dict[str, Any]:
    """A table without file names: what counts is what is in the files, told by their digests."""
    return {key: value for key, value in table.items() if key not in keys}


def _corpus(table: dict[str, Any]) -> dict[str, Any]:
    found = _without(table, "files")
    if found["filter"] is None:
        return _without(found, "filter")
    return found | {"filter": _without(found["filter"], "scores")}


def _by_similarity(config: Config) -> bool:
    return config.corpus.filter is not None and config.corpus.filter.similarity is not None


def _text_digests(config: Config, embedded_only: bool = False) -> dict[str, str]:
    from xrealign.corpus.embedded import DATA

    digests = {"embedded": digest_of(DATA / "embedded.json")}
    if embedded_only:
        return digests
    scores = config.corpus.filter.scores if config.corpus.filter is not None else None
    for table, files in (
        ("corpus", config.corpus.files),
        ("scores", scores),
        ("dictionary", config.align.dictionaries),
    ):
        digests |= _digests(table, files)
    return digests


def _digests(what: str, files: dict[str, str] | None) -> dict[str, str]:
    return {f"{what} {language}": digest_of(Path(file)) for language, file in sorted((files or {}).items())}


def _task_digests(config: Config) -> dict[str, str]:
    from xrealign.tasks.builtin import builtin_files
    from xrealign.tasks.own import loader_file

    settings = config.task
    files: dict[str, str | Path | None] = {"train": settings.train, "dev": settings.dev, **(settings.tests or {})}
    if settings.loader is not None:
        files["loader"] = loader_file(settings.loader)
    elif stages.is_builtin(config):
        files |= builtin_files(settings.name)
    digests = {key: digest_of(Path(file)) for key, file in files.items() if file}
    if settings.name.startswith("intents"):
        digests |= {package: metadata.version(package) for package in ("home-assistant-intents", "hassil")}
    return digests


def _typology_digest(distance: str) -> str:
    from xrealign.select.features import DATA

    matrix = [Path(distance)] if Path(distance).is_file() else []
    return ",".join(digest_of(path)[:16] for path in [*sorted(DATA.glob("typology_*.npz")), *matrix])
