"""What a published strategy's name and ``preset = "published"`` set, in a configuration that says everything itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from xrealign.config import Config, toml_value
from xrealign.config_tables import STRATEGIES
from xrealign.errors import ArtifactError, ConfigError, did_you_mean


@dataclass(frozen=True)
class Settled:
    """A configuration with everything written out, and where it got what its user did not set.

    Attributes:
        config: its strategy is one of `STRATEGIES`; all keys of ``[realign]`` and ``[finetune]`` count as set.
        origins: key → value and source, of what a published name or the preset set.
    """

    config: Config
    origins: dict[str, str]


@dataclass(frozen=True)
class Shape:
    """Of an encoder, from its ``config.json``: its kind and number of blocks (None where it does not say)."""

    family: str
    blocks: int | None


def encoder_shape(config: Config) -> Shape:
    """The shape of the encoder that a configuration names.

    Raises:
        ArtifactError: it is not to be had, or its number of blocks is no number.
    """
    from xrealign.model.harmless import CONFIG, read_json
    from xrealign.model.resolve import resolve_encoder

    folder = resolve_encoder(config.encoder.name, config.encoder.revision)
    raw = read_json(folder / CONFIG)
    blocks = raw.get("num_hidden_layers", raw.get("n_layers"))
    if blocks is not None and not isinstance(blocks, int):
        raise ArtifactError(f"{folder / CONFIG}: the number of blocks is {blocks!r}; expected a number")
    return Shape(str(raw.get("model_type", "")), blocks)


def settle(config: Config, shape: Shape) -> Settled:
    """Puts what a published name and the preset stand for into the keys that the user left alone.

    Raises:
        ConfigError: one line for each contradiction, or an unknown name.
    """
    realign = config.realign
    plain = realign.strategy in STRATEGIES
    if plain and realign.preset == "default":
        return Settled(config, {})
    blocks = shape.blocks or 0
    origins: dict[str, str] = {}
    problems: list[str] = []
    chosen: dict[str, Any] = {}
    if not plain:
        chosen = _of_the_name(config, shape, blocks, problems)
        for key, value in chosen.items():
            origins[key] = f"{toml_value(value)}, from strategy = {realign.strategy!r}"
    if realign.preset == "published" and not problems:
        for key, setting in _of_the_preset(config, shape, blocks, chosen, problems).items():
            chosen[key] = setting.value
            origins[key] = f"{'none' if setting.value is None else toml_value(setting.value)}, {setting.source}"
    if problems:
        raise ConfigError(problems)
    return Settled(_with_keys(config, chosen), origins)


def _of_the_name(config: Config, shape: Shape, blocks: int, problems: list[str]) -> dict[str, Any]:
    from xrealign.model.freezing import parse_freeze
    from xrealign.train.published import parse_published

    name, exact = config.realign.strategy, config.realign.preset == "published"
    try:
        named = parse_published(name, blocks, shape.family, exact)
    except ConfigError as error:
        known = ", ".join(STRATEGIES)
        hint = did_you_mean(name, STRATEGIES) if "_" not in name else ""
        problems.append(
            f"realign.strategy = {name!r}: expected one of {known}{hint}"
            if hint
            else f"realign.strategy: {error}; or one of {known}"
        )
        return {}
    found: dict[str, Any] = {"realign.strategy": named.strategy}
    if named.strategy == "none":
        return found
    wanted = {
        "align.aligner": (config.align, "aligner", named.aligner),
        "realign.objective": (config.realign, "objective", named.objective),
        "realign.freeze": (config.realign, "freeze", named.freeze),
    }
    for key, (table, field, value) in wanted.items():
        given = getattr(table, field)
        if field not in table.model_fields_set:
            found[key] = value
        elif given != value and not (
            field == "freeze" and parse_freeze(given, blocks) == parse_freeze(str(value), blocks)
        ):
            problems.append(
                f"{key} = {toml_value(given)}: strategy = {name!r} means {toml_value(value)}; leave one of the two out"
            )
    for field, setting in named.how.items():
        if field not in config.align.model_fields_set:
            found[f"align.{field}"] = setting
    return found


def _of_the_preset(
    config: Config, shape: Shape, blocks: int, named: dict[str, Any], problems: list[str]
) -> dict[str, Any]:
    from xrealign.train.published import EPOCHS, published_preset

    realign, finetune = config.realign, config.finetune
    objective = named.get("realign.objective", realign.objective)
    freeze = realign.freeze if "freeze" in realign.model_fields_set else "none"
    task = config.task.name if config.task.name in EPOCHS else "nli"
    try:
        preset = published_preset(shape.family, blocks, freeze, str(objective), task)
    except ConfigError as error:
        problems.append(f"realign.preset: {error}")
        return {}
    kept = {}
    for key, setting in preset.items():
        table, field = (realign if key.startswith("realign.") else finetune), key.split(".")[1]
        given = field in table.model_fields_set
        halves = field == "freeze" and given and realign.freeze in ("front", "back")
        epochs = field == "epochs" and "steps" in finetune.model_fields_set
        layers = field == "layer" and realign.layers is not None
        open_ = (not given or halves) and key not in named and not epochs and not layers
        if open_ and setting.value != getattr(table, field):
            kept[key] = setting
    return kept


def _with_keys(config: Config, chosen: dict[str, Any]) -> Config:
    tables: dict[str, Any] = {}
    for name in ("align", "realign", "finetune"):
        table = getattr(config, name)
        new = {key.split(".")[1]: value for key, value in chosen.items() if key.startswith(f"{name}.")}
        values = {key: getattr(table, key) for key in type(table).model_fields} | new
        tables[name] = table.model_copy(update=values)
    return config.model_copy(update=tables)
