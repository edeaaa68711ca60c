"""From a configuration to the list of results a run needs, with their fingerprints, before anything is computed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from xrealign import stages
from xrealign.align.choose import EMBEDDING
from xrealign.config import Config
from xrealign.errors import ConfigError
from xrealign.language import parse_language
from xrealign.linking import make_align
from xrealign.segment import word_rules
from xrealign.store import Stage, file_digest

BASELINE, CONTROL, REALIGNED = "baseline", "control", "realigned"


@dataclass(frozen=True)
class Plan:
    """Stages in the order in which they run, by key: ``select``, ``realign control``, ``evaluate baseline`` …"""

    config: Config
    stages: dict[str, Stage]
    runs: Path

    def folder(self, key: str) -> Path:
        """Where a stage's result is."""
        return self.stages[key].folder(self.runs)

    @property
    def methods(self) -> tuple[str, ...]:
        """The trainings that are compared."""
        return tuple(key.removeprefix("finetune ") for key in self.stages if key.startswith("finetune "))


def make_plan(config: Config) -> Plan:
    """The stages of a run.

    Raises:
        ArtifactError: the encoder is not to be had.
        ConfigError: a setting that does not fit the encoder or the machine.
        DataError: a file of the configuration cannot be read.
    """
    from xrealign.model.encoder import encoder_digest

    encoder = {"encoder": encoder_digest(config.encoder.name, config.encoder.revision)}
    check_settings(config)
    runs = Path(config.runs)
    plan = Plan(config, {}, runs)
    dump = config.model_dump()
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
        {"source": config.source, "corpus": _without(dump["corpus"], "files")},
        {**text, "select": select},
        lambda out, work: stages.make_corpus(config, plan.folder("select"), out),
    )
    align = add(
        "align",
        {"source": config.source, "align": _without(dump["align"], "dictionaries"), "held": config.corpus.held_out}
        | {"words": word_rules()}
        | attention,
        {**encoder, **text, "corpus": corpus},
        lambda out, work: make_align(config, plan.folder("corpus"), out, work),
    )
    task = add(
        "task",
        {**shared, "task": _without(dump["task"], "train", "dev", "tests")},
        _task_digests(config),
        lambda out, work: stages.make_task(config, out),
    )
    encoders: dict[str, str] = {}
    for method in _realigned_methods(config):
        encoders[method] = add(
            f"realign {method}",
            {
                "seed": config.seed,
                "realign": _without(dump["realign"], "control"),
                "without_parallel": method == CONTROL,
            }
            | attention,
            {**encoder, "align": align},
            partial(_realign, plan, method),
        )
    for method in (BASELINE, *encoders):
        finetuned = add(
            f"finetune {method}",
            {"seed": config.seed, "finetune": dump["finetune"]} | attention,
            {"task": task, **({"encoder": encoders[method]} if method in encoders else encoder)},
            partial(_finetune, plan, method),
        )
        add(
            f"evaluate {method}",
            {**shared, "method": method, "max_length": config.finetune.max_length}
            | attention
            | ({"corpus": _without(dump["corpus"], "files")} if method == BASELINE else {}),
            {"task": task, "model": finetuned, **(text if method == BASELINE else {})},
            partial(_evaluate, plan, method),
        )
    for method in (BASELINE, *encoders):
        add(
            f"measure {method}",
            {**shared, "method": method, "measure": dump["measure"]} | {"held_out": config.corpus.held_out} | attention,
            {**_text_digests(config, embedded_only=True), "task": task, "select": select}
            | ({"encoder": encoders[method]} if method in encoders else encoder),
            partial(_measure, plan, method),
        )
    return plan


def check_settings(config: Config) -> None:
    """Tells before the first stage what would only show in a later one.

    Raises:
        ConfigError: one line for each setting that does not fit the selector, the encoder or the machine.
    """
    from xrealign.model.encoder import resolve_encoder
    from xrealign.model.layers import resolve_layer
    from xrealign.train.loop import choose_precision

    shape = json.loads(
        (resolve_encoder(config.encoder.name, config.encoder.revision) / "config.json").read_text("utf-8")
    )
    layers = shape.get("num_hidden_layers", shape.get("n_layers"))
    problems = _select_problems(config)
    for key, layer in (
        ("align.layer", config.align.layer if config.align.aligner in EMBEDDING else 0),
        ("realign.layer", config.realign.layer),
        ("measure.layer", config.measure.layer),
    ):
        try:
            if layers:
                resolve_layer(layer, int(layers))
        except ConfigError as error:
            problems.append(f"{key}: {error}")
    for key, precision in (("realign", config.realign.precision), ("finetune", config.finetune.precision)):
        try:
            choose_precision(precision)
        except ConfigError as error:
            problems.append(f"{key}.precision: {error}")
    if problems:
        raise ConfigError(problems)


def _select_problems(config: Config) -> list[str]:
    from xrealign.select.criteria import parse_criterion
    from xrealign.select.distances import distances

    problems = []
    try:
        parse_criterion(config.select.criterion)
    except ConfigError as error:
        problems.append(f"select.criterion: {error}")
    try:
        # Two languages that every table has: only the name is on trial here.
        if not Path(config.select.distance).is_file():
            distances([parse_language(code) for code in ("eng", "deu")], config.select.distance)
    except ConfigError as error:
        problems.append(f"select.distance: {error}")
    return problems


def _realigned_methods(config: Config) -> tuple[str, ...]:
    if config.realign.steps == 0:
        return ()
    return (REALIGNED, CONTROL) if config.realign.control else (REALIGNED,)


def _realign(plan: Plan, method: str, out: Path, work: Path) -> stages.Facts:
    return stages.make_realign(plan.config, plan.folder("align"), out, work, control=method == CONTROL)


def _finetune(plan: Plan, method: str, out: Path, work: Path) -> stages.Facts:
    return stages.make_finetune(plan.config, plan.folder("task"), _encoder_folder(plan, method), out, work)


def _evaluate(plan: Plan, method: str, out: Path, _work: Path) -> stages.Facts:
    from xrealign.scoring import make_evaluate

    return make_evaluate(plan.config, plan.folder("task"), plan.folder(f"finetune {method}"), out, method)


def _measure(plan: Plan, method: str, out: Path, _work: Path) -> stages.Facts:
    from xrealign.scoring import make_measure
    from xrealign.tasks.task import task_from_json

    task = task_from_json((plan.folder("task") / "task.json").read_text("utf-8"))
    languages = sorted({*task.tests, *stages.read_subset(plan.folder("select"))})
    return make_measure(plan.config, languages, _encoder_folder(plan, method), out, method)


def _candidates(config: Config) -> list[str]:
    chosen = config.select.languages is not None
    return [] if chosen else [language.tag for language in stages.select_candidates(config)]


def _seen(config: Config) -> dict[str, Any]:
    """What was seen in pre-training, where the choice depends on it; grouping scores by it changes no result."""
    select = config.select
    uses = "seen" in " ".join([select.criterion, *select.at_least, *select.at_most])
    return {"seen": config.encoder.seen} if uses else {}


def _encoder_folder(plan: Plan, method: str) -> Path | None:
    """The realigned encoder, or None for the one the configuration names."""
    return None if method == BASELINE else plan.folder(f"realign {method}")


def _without(table: dict[str, Any], *keys: str) -> dict[str, Any]:
    """A table without file names: what counts is what is in the files, told by their digests."""
    return {key: value for key, value in table.items() if key not in keys}


def _text_digests(config: Config, embedded_only: bool = False) -> dict[str, str]:
    from xrealign.corpus.embedded import DATA

    digests = {"embedded": file_digest(DATA / "embedded.json")}
    if embedded_only:
        return digests
    for table, files in (("corpus", config.corpus.files), ("dictionary", config.align.dictionaries)):
        digests |= {f"{table} {language}": file_digest(Path(file)) for language, file in sorted((files or {}).items())}
    return digests


def _task_digests(config: Config) -> dict[str, str]:
    settings = config.task
    if settings.name == "intents":
        return {package: metadata.version(package) for package in ("home-assistant-intents", "hassil")}
    files = {"train": settings.train, "dev": settings.dev, **(settings.tests or {})}
    return {key: file_digest(Path(file)) for key, file in files.items() if file}


def _typology_digest(distance: str) -> str:
    from xrealign.select.features import DATA

    matrix = [Path(distance)] if Path(distance).is_file() else []
    return ",".join(file_digest(path)[:16] for path in [*sorted(DATA.glob("typology_*.npz")), *matrix])
