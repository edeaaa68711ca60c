"""The cells of a sweep: a run's tables and ``[sweep]`` in one file; all mistakes of all cells are told at once."""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xrealign.config import Config, apply_overrides, checked_config, line_of, read_toml, toml_value
from xrealign.errors import ConfigError, did_you_mean

SEED = "seed"
TAKEN = ("cell", "state", "subset", "error", "task", "metric", "group", "languages", "seeds")  # columns of the tables
MOST = 10_000  # cells
DEEPEST = 20  # lists and tables in each other; no setting has more than a few
LONGEST = 64  # letters in a run's name


@dataclass(frozen=True)
class Choice:
    """One value of an axis: what people and exclusions call it, where it stands, and the keys it sets."""

    label: str
    place: str
    value: Any
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Cell:
    """One run of a sweep. ``labels`` maps each axis to its choice's label."""

    name: str
    labels: Mapping[str, str]
    config: Config

    @property
    def variant(self) -> tuple[str, ...]:
        """The labels but for the seed's: what is averaged over seeds."""
        return tuple(label for axis, label in self.labels.items() if axis != SEED)


@dataclass(frozen=True)
class Sweep:
    """``axes`` in the order in which they name cells, the seed last; ``cells`` in the order of the grid."""

    name: str
    axes: tuple[str, ...]
    cells: tuple[Cell, ...]

    @property
    def runs(self) -> Path:
        """The folder of all results."""
        return Path(self.cells[0].config.runs)

    @property
    def folder(self) -> Path:
        """The sweep's own: scores, summary, what went wrong."""
        return self.runs / f"{self.name}.sweep"


def read_sweep(path: str | Path, overrides: Sequence[str] = ()) -> Sweep:
    """Reads a file with a run's tables and ``[sweep]``; ``overrides`` hold for every cell.

    Raises:
        ConfigError: one line for each mistake, those of cells with the cells' names.
    """
    path = Path(path)
    raw, text = read_toml(path)
    places, problems = apply_overrides(raw, overrides)
    _check_sizes(path, raw)
    table = raw.pop("sweep", None)
    if not isinstance(table, dict) or not table:
        raise ConfigError(f'{path}: there is no [sweep]; expected at least one axis, such as "seed" = [17, 23, 42]')

    def at(name: str = "", number: int = 0) -> str:
        """The place of an axis, or of the table of that number among ``[[sweep.name]]``."""
        headers = [n for n, line in enumerate(text.splitlines(), 1) if _is_header(line, name)]
        known = headers[number] if number < len(headers) else line_of(f"sweep.{name}".split("."), text)
        return f"{path}:{known or 1}: [sweep] {name}".rstrip()

    axes = {**_named_axes(table, at, problems), **_key_axes(table, at, problems)}
    axes = {axis: axes[axis] for axis in sorted(axes, key=lambda axis: axis == SEED)}
    _check_conflicts(axes, places, at, problems)
    if not axes and not problems:
        problems.append(f"{at()}: no axis; expected a key with a list of values, or [[sweep.variant]]")
    combinations = _not_excluded(axes, table.get("exclude", []), at, problems) if not problems else []
    if problems:
        raise ConfigError(problems)
    return _cells(path, raw, text, places, axes, combinations)


def _check_sizes(path: Path, raw: Mapping[str, Any]) -> None:
    """What copying cells and printing their values could break on, and no setting is.

    Raises:
        ConfigError: tables in tables beyond `DEEPEST`, or a number that 64 bits do not hold.
    """
    level: list[Any] = [raw]
    for _ in range(DEEPEST):
        if any(type(value) is int and value.bit_length() > 63 for value in level):
            raise ConfigError(f"{path}: a number has too many digits; expected one below {2**63}")
        tables = (value.values() for value in level if isinstance(value, dict))
        lists = (value for value in level if isinstance(value, list))
        level = list(itertools.chain.from_iterable([*tables, *lists]))
    if level:
        raise ConfigError(f"{path}: lists or tables are nested too deep; expected at most {DEEPEST} in each other")


def _named_axes(table: Mapping[str, Any], at: Any, problems: list[str]) -> dict[str, list[Choice]]:
    """The axes of ``[[sweep.variant]]``: choices with a name that set any number of keys."""
    axes: dict[str, list[Choice]] = {}
    variants = table.get("variant", [])
    if not (isinstance(variants, list) and all(isinstance(variant, dict) for variant in variants)):
        problems.append(f"{at('variant')}: expected [[sweep.variant]] tables with name and set")
        return axes
    for number, variant in enumerate(variants):
        name, axis, settings = variant.get("name"), variant.get("axis", "variant"), variant.get("set", {})
        place = f"{at('variant', number)} {name!r}"
        unknown = [key for key in variant if key not in ("name", "axis", "set")]
        problems += [f"{place}: unknown key {key!r}; expected name, set and axis" for key in unknown]
        if not (isinstance(name, str) and name.strip() and isinstance(axis, str) and re.fullmatch(r"[\w -]+", axis)):
            problems.append(f"{place}: name and axis must be words, got name = {name!r}, axis = {axis!r}")
        elif axis in ("exclude", *TAKEN, *_known_keys()):
            problems.append(f"{place}: axis = {axis!r} has a meaning already; choose another name")
        elif not isinstance(settings, dict):
            problems.append(f'{place}: set = {settings!r}: expected a table, such as {{ "realign.freeze" = "front" }}')
        elif any(choice.label == name for choice in axes.get(axis, [])):
            problems.append(f"{place}: the axis {axis!r} has two variants of this name")
        else:
            chosen = _flat(settings)
            problems += [f"{place}: {problem}" for key in chosen for problem in _key_problems(key)]
            axes.setdefault(axis, []).append(Choice(name, place, name, chosen))
    return axes


def _key_axes(table: Mapping[str, Any], at: Any, problems: list[str]) -> dict[str, list[Choice]]:
    """The axes whose choices are values of one key."""
    axes: dict[str, list[Choice]] = {}
    for key, values in _flat({k: v for k, v in table.items() if k not in ("variant", "exclude")}).items():
        wrong = _key_problems(key)
        if not wrong and not (isinstance(values, list) and values):
            wrong = [f"{values!r}: expected a list of values, at least one"]
        elif not wrong and any(value in values[:number] for number, value in enumerate(values)):
            wrong = ["a value stands there twice"]
        problems += [f"{at(key)}: {problem}" for problem in wrong]
        if not wrong:
            labels = _distinct([_label(value) for value in values])
            axes[key] = [
                Choice(label, at(key), value, {key: value}) for label, value in zip(labels, values, strict=True)
            ]
    return axes


def _is_header(line: str, name: str) -> bool:
    return re.fullmatch(rf"\s*\[\[\s*sweep\s*\.\s*{re.escape(name)}\s*\]\].*", line) is not None


def _flat(table: Mapping[str, Any]) -> dict[str, Any]:
    """``realign.freeze`` = value, whether a key is written with dots in quotation marks or as a table."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        field = Config.model_fields.get(key)
        inside = isinstance(value, dict) and field is not None and hasattr(field.annotation, "model_fields")
        flat |= {f"{key}.{name}": inner for name, inner in value.items()} if inside else {key: value}
    return flat


def _known_keys() -> list[str]:
    known = []
    for name, field in Config.model_fields.items():
        inner = getattr(field.annotation, "model_fields", None)
        known += [name] if inner is None else [f"{name}.{key}" for key in inner]
    return known


def _key_problems(key: str) -> list[str]:
    known = [name for name in _known_keys() if name not in ("name", "runs")]
    if key in ("name", "runs"):
        return [f"{key} is the same for all cells; set it at the top of the file"]
    if key in known or ".".join(key.split(".")[:2]) in known:
        return []
    return [f"there is no key {key!r}{did_you_mean(key, known)}"]


def _check_conflicts(axes: Mapping[str, list[Choice]], places: Mapping[str, str], at: Any, problems: list[str]) -> None:
    setters: dict[str, str] = {}
    for axis, choices in axes.items():
        for key in dict.fromkeys(key for choice in choices for key in choice.settings):
            if key in setters:
                problems.append(f"{at(axis)}: {key} is set by the axis {setters[key]!r} too; which one should count?")
            if key in places and all(key in choice.settings for choice in choices):  # it would never count
                problems.append(f"{places[key]}: {key} is an axis of the sweep; override sweep.{key} instead")
            setters[key] = axis


def _not_excluded(
    axes: Mapping[str, list[Choice]], excludes: Any, at: Any, problems: list[str]
) -> list[tuple[Choice, ...]]:
    """Every combination of choices that no ``[[sweep.exclude]]`` names."""
    count = math.prod(map(len, axes.values()))
    if count > MOST:
        problems.append(f"{at()}: the axes make {count:,} cells, expected at most {MOST:,}; shorten some")
        return []
    found = list(itertools.product(*axes.values()))
    place = at("exclude")
    if not (isinstance(excludes, list) and all(isinstance(exclude, dict) for exclude in excludes)):
        problems.append(f"{place}: expected [[sweep.exclude]] tables of axis = value")
        return found
    kept = found
    for number, exclude in enumerate(excludes):
        place = at("exclude", number)
        wanted = exclude if set(exclude) <= set(axes) else _flat(exclude)
        for axis in wanted:
            if axis not in axes:
                hint = did_you_mean(axis, axes) or f"; axes: {', '.join(axes)}"
                problems.append(f"{place} {axis!r}: there is no such axis{hint}")
        if not wanted or not set(wanted) <= set(axes):
            continue
        hit = [c for c in found if all(_named(dict(zip(axes, c, strict=True))[a], v) for a, v in wanted.items())]
        if not hit:
            problems.append(f"{place} {json.dumps(wanted, ensure_ascii=False, default=str)}: no cell is like that")
        kept = [combination for combination in kept if combination not in hit]
    if not kept and not problems:
        problems.append(f"{place}: every cell is excluded")
    return kept


def _named(choice: Choice, wanted: Any) -> bool:
    """Whether an exclusion means this choice: its value or label, or a list with one of them."""
    return any(choice.value == one or choice.label == one for one in [wanted, *(wanted if _is_list(wanted) else ())])


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _cells(
    path: Path,
    raw: dict[str, Any],
    text: str,
    places: dict[str, str],
    axes: Mapping[str, list[Choice]],
    combinations: Sequence[tuple[Choice, ...]],
) -> Sweep:
    base = raw.get("name") if isinstance(raw.get("name"), str) else "sweep"
    names = _distinct(["-".join(_slug(choice.label) for choice in chosen) for chosen in combinations])
    cells: list[Cell] = []
    told: dict[str, list[str]] = {}
    for name, chosen in zip(names, combinations, strict=True):
        own = copy.deepcopy(raw)
        settings = {key: value for choice in chosen for key, value in choice.settings.items()}
        said, problems = apply_overrides(own, [f"{key}={toml_value(value)}" for key, value in settings.items()])
        placed = {key: choice.place for choice in chosen for key in choice.settings}
        said = {key: f"{placed[key]}: {item.removeprefix('--set ')}" for key, item in said.items()}
        if isinstance(own.get("name"), str):
            own["name"] = run_name(str(base), name)
        try:
            config = checked_config(own, path, text, places | said, problems)
        except ConfigError as error:
            for problem in error.problems:
                told.setdefault(problem, []).append(name)
            continue
        labels = {axis: choice.label for axis, choice in zip(axes, chosen, strict=True)}
        cells.append(Cell(name, labels, config))
    if told:
        raise ConfigError(in_cells(told, len(names)))
    return Sweep(str(base), tuple(axes), tuple(cells))


def in_cells(told: Mapping[str, Sequence[str]], count: int) -> list[str]:
    """Each problem once, with the names of the cells that have it unless all of them do."""
    lines = []
    for problem, names in told.items():
        few = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        lines.append(
            problem if len(names) == count else f"{problem} (in {'cell' if len(names) == 1 else 'cells'} {few})"
        )
    return lines


def run_name(sweep: str, cell: str) -> str:
    """The name of a cell as a run by itself, cut to what a run's name may have."""
    name = f"{sweep}-{cell}"
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _label(value: Any) -> str:
    if _is_list(value):
        return "+".join(_label(one) for one in value)
    if isinstance(value, str):
        return Path(value).name or value
    return json.dumps(value, ensure_ascii=False, default=str)


def _slug(label: str) -> str:
    """A label as a part of a file's name."""
    return re.sub(r"[^A-Za-z0-9._]+", ".", label).strip("._") or "x"


def _distinct(names: Sequence[str]) -> list[str]:
    """The names, a number after each that was there before."""
    found: list[str] = []
    for name in names:
        tries = itertools.chain([name], (f"{name}.{number}" for number in itertools.count(2)))
        found.append(next(one for one in tries if one not in found))
    return found
