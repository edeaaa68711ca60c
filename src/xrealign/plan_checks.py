"""What of a configuration only shows beside the encoder, the machine or other keys: told before the first stage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from xrealign.align.choose import EMBEDDING
from xrealign.collecting import RULES
from xrealign.config import Config
from xrealign.errors import ConfigError
from xrealign.language import parse_language
from xrealign.presets import encoder_shape
from xrealign.projecting import project_problems
from xrealign.training import realign_settings


def check_settings(config: Config) -> None:
    """Tells before the first stage what would only show in a later one.

    Raises:
        ConfigError: one line for each setting that does not fit the selector, the encoder or the machine.
    """
    from xrealign.model.compiled import check_compile
    from xrealign.model.layers import resolve_layer
    from xrealign.train.loop import choose_precision

    blocks = encoder_shape(config).blocks
    problems = _select_problems(config) + _realign_problems(config, blocks) + project_problems(config)
    positions = _positions(config)
    problems += _length_problems(config, positions)
    problems += _prompt_problems(config, positions) if config.finetune.adapter == "prompt" else []
    for key, layer in (
        ("align.layer", config.align.layer if config.align.aligner in EMBEDDING else 0),
        ("measure.layer", config.measure.layer),
    ):
        problems += _problems(f"{key}: ", resolve_layer, layer, blocks) if blocks else []
    for key, precision in (("realign", config.realign.precision), ("finetune", config.finetune.precision)):
        problems += _problems(f"{key}.precision: ", choose_precision, precision)
    for key, wanted in (("realign", config.realign.compile), ("finetune", config.finetune.compile)):
        problems += _problems(f"{key}.", check_compile, wanted)
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
    from xrealign.train.objective_settings import MARGINS
    from xrealign.train.objective_settings import check_settings as check_objective
    from xrealign.train.objectives import OBJECTIVES
    from xrealign.train.realign_settings import COMPANIONS
    from xrealign.train.strategies import plan_phases

    table, problems = config.realign, []
    settings = realign_settings(config)
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
    if table.margin and not set(settings.weights) & set(MARGINS):
        problems.append(f"realign.margin is read by {', '.join(MARGINS)} alone, not by {', '.join(settings.weights)}")
    if table.adapter == "lora" and table.freeze.split()[:1] == ["gradual"]:
        problems.append(f"realign.adapter = 'lora' does not go with freeze = {table.freeze!r}")
    if table.front_cache:
        if table.strategy not in ("before", "after"):
            problems.append(f"realign.front_cache is for strategy = 'before' or 'after', not {table.strategy!r}")
        if table.freeze.split()[:1] in (["none"], ["gradual"], ["back"]):
            problems.append(
                f"realign.front_cache needs a front that stays, such as freeze = 'front', not {table.freeze!r}"
            )
    if config.corpus.filter is not None:
        rules = {name: getattr(config.corpus.filter, name) for name in RULES}
        problems += _problems("corpus.filter: ", check_rules, PairRules(**rules))
    return problems


def _positions(config: Config) -> int | None:
    from xrealign.model.positions import positions_in
    from xrealign.model.resolve import resolve_encoder

    return positions_in(resolve_encoder(config.encoder.name, config.encoder.revision))


def _length_problems(config: Config, most: int | None) -> list[str]:
    """The keys that ask for longer texts than the ``most`` that the encoder reads, of those that the run looks at."""
    similar = config.corpus.filter is not None and config.corpus.filter.similarity is not None
    lengths = {"measure": config.measure.max_length}
    if config.finetune.adapter != "prompt":  # else it is told with the prompt's length
        lengths["finetune"] = config.finetune.max_length
    if config.realign.strategy != "none":
        lengths["realign"] = config.realign.max_length
    if config.align.aligner in EMBEDDING or similar:
        lengths["align"] = config.align.max_length
    return [
        f"{key}.max_length = {length}: the encoder has {most} positions"
        for key, length in sorted(lengths.items())
        if most is not None and length > most
    ]


def _prompt_problems(config: Config, most: int | None) -> list[str]:
    """What of a configuration does not go with prompt tuning."""
    from xrealign.train.finetune import check_prompt

    table, strategy = config.finetune, config.realign.strategy
    problems = _problems("finetune.", check_prompt, table.freeze)
    if strategy not in ("none", "before"):
        problems.append(f"finetune.adapter = 'prompt' goes with strategy = 'none' or 'before', not {strategy!r}")
    if most is not None and table.prompt.length + table.max_length > most:
        problems.append(
            f"finetune.prompt.length = {table.prompt.length}: with max_length = {table.max_length} that is more than "
            f"the {most} positions of the encoder"
        )
    return problems


def _needs_head(config: Config) -> None:
    """Asks whether an encoder comes with the head of a masked language model, by the names of its weights.

    Raises:
        ConfigError: it does not.
    """
    from safetensors import safe_open

    from xrealign.model.resolve import resolve_encoder

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
