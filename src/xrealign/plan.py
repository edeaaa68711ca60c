"""From a configuration to the list of results a run needs, with their fingerprints, before anything is computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
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
from xrealign.presets import encoder_shape, settle
from xrealign.segment import word_rules
from xrealign.store import Stage, file_digest

BASELINE, CONTROL, REALIGNED = "baseline", "control", "realigned"


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
        ArtifactError: the encoder is not to be had.
        ConfigError: a setting that does not fit the encoder or the machine.
        DataError: a file of the configuration cannot be read.
    """
    from xrealign.model.encoder import encoder_digest

    encoder = {"encoder": encoder_digest(config.encoder.name, config.encoder.revision)}
    settled = settle(config, encoder_shape(config))
    config = settled.config
    check_settings(config)
    runs = Path(config.runs)
    plan = Plan(config, {}, runs, settled.origins)
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
        {"source": config.source, "corpus": _corpus(dump["corpus"])},
        {**text, "select": select, **(encoder if _by_similarity(config) else {})},
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
        _task_digests(config) if needs_task else {},
        lambda out, work: stages.make_task(config, out),
    )
    for method in _methods(config):
        _add_training(plan, method, add, {**encoder, "align": align, "task": task}, dump)
    for method, model in plan.models.items():
        baseline = {"corpus": _corpus(dump["corpus"])} if method == BASELINE else {}
        add(
            f"evaluate {method}",
            {**shared, "method": method, "max_length": config.finetune.max_length} | attention | baseline,
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


_OF_STRATEGIES = ("strategy", "preset", "weight", "every", "control")  # not read by realignment alone


def check_settings(config: Config) -> None:
    """Tells before the first stage what would only show in a later one.

    Raises:
        ConfigError: one line for each setting that does not fit the selector, the encoder or the machine.
    """
    from xrealign.model.layers import resolve_layer
    from xrealign.train.loop import choose_precision

    blocks = encoder_shape(config).blocks
    problems = _select_problems(config) + _realign_problems(config, blocks)
    for key, layer in (
        ("align.layer", config.align.layer if config.align.aligner in EMBEDDING else 0),
        ("measure.layer", config.measure.layer),
    ):
        problems += _problems(f"{key}: ", resolve_layer, layer, blocks) if blocks else []
    for key, precision in (("realign", config.realign.precision), ("finetune", config.finetune.precision)):
        problems += _problems(f"{key}.precision: ", choose_precision, precision)
    if problems:
        raise ConfigError(problems)


def _problems(place: str, check: Callable[..., Any], *given: Any) -> list[str]:
    """The lines of a check that fails, with the key in front."""
    try:
        check(*given)
    except ConfigError as error:
        return [place + line for line in error.problems]
    return []


def _realign_problems(config: Config, blocks: int | None) -> list[str]:
    """What of ``[realign]`` and ``[finetune]`` fits neither the encoder nor each other."""
    from xrealign.corpus.quality import PairRules, check_rules
    from xrealign.model.freezing import parse_freeze
    from xrealign.model.layers import resolve_layer
    from xrealign.train.objective_settings import check_settings as check_objective
    from xrealign.train.objectives import OBJECTIVES
    from xrealign.train.realign_settings import COMPANIONS
    from xrealign.train.strategies import plan_phases

    table, problems = config.realign, []
    settings = stages.realign_settings(config)
    problems += _problems("realign.", plan_phases, table.strategy, 1, table.steps, table.weight, table.every)
    if table.strategy == "none":
        return problems
    for key, freeze in (("realign", table.freeze), ("finetune", config.finetune.freeze)):
        if blocks:
            problems += _problems(f"{key}.", parse_freeze, freeze, blocks)
    for name in settings.weights:
        if name in COMPANIONS:
            problems += _problems("realign.objective: ", _needs_head, config)
            continue
        kind, told = OBJECTIVES[name], settings.objective_settings(name)
        problems += _problems("realign.", check_objective, name, told)
        read = told.layers if told.layers is not None else kind.own.layers or ()
        place = "realign.layer" if told.layers is not None else f"realign.layer: objective {name!r} reads it by itself"
        for layer in read:
            problems += _problems(f"{place}: ", resolve_layer, layer, blocks) if blocks else []
        if kind.most_layers is not None and len(read) > kind.most_layers:
            problems.append(f"realign.layers: objective {name!r} reads {kind.most_layers} layer, not {len(read)}")
        own = {"cka": told.compared == "sentences", "xlm_align": told.labels == "self"}.get(name, False)
        if kind.needs_links and not own and config.align.aligner == "none":
            problems.append(f'align.aligner = "none": realign.objective = {name!r} needs links; choose an aligner')
    if table.adapter == "lora":
        if table.strategy not in ("before", "after"):
            problems.append(f"realign.adapter = 'lora' is for strategy = 'before' or 'after', not {table.strategy!r}")
        if table.freeze.split()[:1] == ["gradual"]:
            problems.append(f"realign.adapter = 'lora' does not go with freeze = {table.freeze!r}")
    if table.front_cache:
        if table.strategy not in ("before", "after"):
            problems.append(f"realign.front_cache is for strategy = 'before' or 'after', not {table.strategy!r}")
        if table.freeze.split()[:1] in (["none"], ["gradual"], ["back"]):
            problems.append(
                f"realign.front_cache needs a front that stays, such as freeze = 'front', not {table.freeze!r}"
            )
    if config.corpus.filter is not None:
        rules = {name: getattr(config.corpus.filter, name) for name in stages.RULES}
        problems += _problems("corpus.filter: ", check_rules, PairRules(**rules))
    return problems


def _needs_head(config: Config) -> None:
    """Asks whether an encoder comes with the head of a masked language model, by the names of its weights.

    Raises:
        ConfigError: it does not.
    """
    from safetensors import safe_open

    from xrealign.model.encoder import resolve_encoder

    folder = resolve_encoder(config.encoder.name, config.encoder.revision)
    names: set[str] = set()
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="np") as file:
            names.update(file.keys())
    if not any(name.startswith(("lm_head.", "cls.", "vocab_", "head.", "mlm_head.")) for name in names):
        raise ConfigError(f"mlm and tlm need the head of a masked language model, which {config.encoder.name} lacks")


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


def _methods(config: Config) -> tuple[str, ...]:
    """The trainings that are compared, in the order in which they run."""
    realign = config.realign
    if realign.strategy == "none" or (realign.steps == 0 and realign.strategy in ("before", "after")):
        return (BASELINE,)
    return (BASELINE, REALIGNED, CONTROL) if realign.control else (BASELINE, REALIGNED)


def _realign(plan: Plan, before: str | None, control: bool, out: Path, work: Path) -> stages.Facts:
    align, task = plan.folder("align"), None if before is None else plan.folder("task")
    return stages.make_realign(plan.config, align, task, _folder(plan, before), out, work, control)


def _finetune(plan: Plan, before: str | None, out: Path, work: Path) -> stages.Facts:
    return stages.make_finetune(plan.config, plan.folder("task"), _folder(plan, before), out, work)


def _joint(plan: Plan, before: str | None, control: bool, out: Path, work: Path) -> stages.Facts:
    align, task = plan.folder("align"), plan.folder("task")
    return stages.make_joint(plan.config, align, task, _folder(plan, before), out, work, control)


def _folder(plan: Plan, key: str | None) -> Path | None:
    """Of a stage's encoder; None for the one that the configuration names."""
    return None if key is None else plan.folder(key)


def _evaluate(plan: Plan, method: str, out: Path, _work: Path) -> stages.Facts:
    from xrealign.scoring import make_evaluate

    return make_evaluate(plan.config, plan.folder("task"), plan.folder(plan.models[method]), out, method)


def _measure(plan: Plan, method: str, out: Path, _work: Path) -> stages.Facts:
    from xrealign.scoring import make_measure
    from xrealign.tasks.task import task_from_json

    task = task_from_json((plan.folder("task") / "task.json").read_text("utf-8"))
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

    digests = {"embedded": file_digest(DATA / "embedded.json")}
    if embedded_only:
        return digests
    scores = config.corpus.filter and config.corpus.filter.scores
    for table, files in (
        ("corpus", config.corpus.files),
        ("scores", scores),
        ("dictionary", config.align.dictionaries),
    ):
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
