"""One TOML file is one experiment: read strictly, all mistakes told at once, each with line, value and expectation.

Nothing that changes a result is inferred from a model's name. ``--set realign.steps=100`` overrides a key.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from xrealign.config_checks import problems_of
from xrealign.config_tables import STRATEGIES, Config
from xrealign.errors import ConfigError, did_you_mean
from xrealign.progress import say
from xrealign.textio import LONGEST_LINE, UNREADABLE, is_file, is_there, not_utf8, open_bytes, reason

__all__ = ["Config", "load_config", "to_toml"]


MOST_TOLD = 20
"""Mistakes of a configuration that are told at once."""
# What pydantic puts into the place of a mistake besides keys: which member of a union it tried.
_KINDS = ("list[", "literal[", "dict[", "[", "FilterTable")


def _keys_of(table: Any) -> list[str]:
    return list(getattr(table, "model_fields", ()))


_ALL_KEYS = {key for t in (Config, *(f.annotation for f in Config.model_fields.values())) for key in _keys_of(t)}


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Reads a TOML file, applies ``table.key=value`` overrides, and checks everything.

    Paths inside are relative to the file's folder, ``runs`` to the working folder. A ``[sweep]`` table is left alone:
    what remains is an experiment of its own.

    Raises:
        ConfigError: one line for each mistake found, all of them.
    """
    path = Path(path)
    raw, text = read_toml(path)
    places, problems = apply_overrides(raw, overrides)
    if raw.pop("sweep", None) is not None:
        say(f"{path}: its [sweep] is left alone here; `xrealign sweep` runs every cell")
    return checked_config(raw, path, text, places, problems)


def read_toml(path: Path) -> tuple[dict[str, Any], str]:
    """A TOML file's tables and its text.

    Raises:
        ConfigError: it cannot be read or is not TOML.
    """
    text = _text(path)
    try:
        return tomllib.loads(text), text
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(_syntax(path, text, str(error))) from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not TOML: {_why_not(error)}") from None


def _text(path: Path) -> str:
    """A configuration's text.

    Raises:
        ConfigError: it cannot be read, is not UTF-8, or too large for one.
    """
    try:
        with open_bytes(path) as file:
            raw = file.read(LONGEST_LINE)
    except UNREADABLE as error:
        raise ConfigError(f"{path}: cannot be read: {reason(error)}") from None
    if len(raw) == LONGEST_LINE:
        raise ConfigError(f"{path}: more than {LONGEST_LINE - 1} bytes; is this a configuration?")
    try:
        return raw.decode("utf-8").removeprefix("\ufeff")  # as it is: names of files need not be composed
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: {not_utf8(raw, line)}") from None


def _why_not(error: ValueError | RecursionError) -> str:
    """What Python says of text that its own reader of TOML gives up on."""
    if isinstance(error, RecursionError):
        return "lists or tables are nested too deep"
    return "a number has too many digits" if "digits" in str(error) else str(error)


def checked_config(
    raw: dict[str, Any], path: Path, text: str, places: dict[str, str], problems: Sequence[str] = ()
) -> Config:
    """The configuration of the tables of ``path``.

    ``places`` says, for a key that another source than the file's text has set, what messages shall call it.

    Raises:
        ConfigError: ``problems``, found already, and one line for each mistake more.
    """

    def at(*loc: str) -> str:
        return _place(loc, path, text, places)

    def shown(value: Any, *loc: str) -> str:
        place = at(*loc)
        return place if place in places.values() else f"{place} = {_shown(value)}"

    try:
        problems = [*problems, *problems_of(raw, path.parent, at, shown)]
    except RecursionError as error:
        raise ConfigError([*problems, f"{path}: {_why_not(error)}"]) from None
    files = raw.get("corpus", {}).get("files") if isinstance(raw.get("corpus"), dict) else None
    if isinstance(files, dict) and files and "select" not in raw:  # one's own text: all of it
        raw = raw | {"select": {"languages": list(files)}}
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        found = _told_once(error.errors())
        told = [_describe(item, path, text, places) for item in found[:MOST_TOLD]]
        raise ConfigError(_first([*told, *problems], path, len(found) + len(problems))) from None
    if problems:
        raise ConfigError(_first(problems, path, len(problems)))
    return _with_paths(config, path.parent.absolute())


def _first(problems: Sequence[str], path: Path, count: int) -> list[str]:
    rest = count - MOST_TOLD
    return [*problems[:MOST_TOLD], *([f"{path}: and {rest} more mistakes"] if rest > 0 else [])]


def _syntax(path: Path, text: str, message: str) -> str:
    where = re.search(r"\(at line (\d+), column (\d+)\)", message)
    if not where:
        return f"{path}:{text.count(chr(10)) + 1}: not TOML: {message}"
    return f"{path}:{where[1]}: not TOML at column {where[2]}: {message[: where.start()].strip()}"


def apply_overrides(raw: dict[str, Any], overrides: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Writes overrides into ``raw``; returns where each overridden key came from, and what could not be read."""
    places: dict[str, str] = {}
    problems = []
    for item in overrides:
        key, found, value = item.partition("=")
        parts = key.strip().split(".")
        shown = _cut(item)
        table: Any = raw
        for part in parts[:-1]:
            table = table.setdefault(part, {}) if isinstance(table, dict) else None
        if not found or not all(parts) or not isinstance(table, dict):
            problems.append(f"--set {shown}: expected table.key=value, such as realign.steps=100")
            continue
        if "\n" in item:
            problems.append(f"--set {item.splitlines()[0]}: a line end is in it; give --set once for each key")
            continue
        try:
            table[parts[-1]] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            table[parts[-1]] = value.strip()  # a bare word is text
        except (ValueError, RecursionError) as error:
            problems.append(f"--set {shown}: {_why_not(error)}")
            continue
        places[".".join(parts)] = f"--set {shown}"
    return places, problems


def _place(loc: Sequence[Any], path: Path, text: str, places: dict[str, str]) -> str:
    """``file:line: key``, or the override that set the key."""
    names = [part for part in loc if isinstance(part, str) and not part.startswith(_KINDS)]
    key = ".".join(names)
    for end in range(len(names), 0, -1):
        if ".".join(names[:end]) in places:
            return places[".".join(names[:end])]
    line = line_of(names, text)
    if line is None:  # an override of a key inside it made the table
        inner = (item for name, item in places.items() if name.startswith(f"{key}."))
        return next(inner, f"{path}: {_cut(key, 200)}")
    return f"{path}:{line}: {_cut(key, 200)}"


def line_of(names: Sequence[str], text: str) -> int | None:
    """Line of a key, of its table when the key is missing, or None. Only for messages: TOML itself keeps no lines."""
    table, best, depth, below = "", None, 0, None
    for number, line in enumerate(text.split("\n"), 1):
        if header := re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", line):
            table = header[1].replace('"', "").replace(" ", "")
            here = table.split(".")
        elif found := re.match(r"\s*([A-Za-z0-9_.\-\"']+)\s*=", line):
            here = [*filter(None, table.split(".")), *found[1].replace('"', "").replace("'", "").split(".")]
        else:
            continue
        if len(here) > depth and list(names[: len(here)]) == here:
            best, depth = number, len(here)
        elif below is None and names and here[: len(names)] == list(names):  # a key inside it makes the table
            below = number
    return below if below and depth < len(names) else best


def _told_once(errors: Sequence[Any]) -> list[dict[str, Any]]:
    """One mistake in a key that takes a word or a list or table is told for both; keep the one that fits the value."""
    kept = []
    for error in errors:
        key = _own_keys(error)
        wrong_kind = (error["type"] == "literal_error" and isinstance(error["input"], list | dict)) or (
            error["type"] in ("list_type", "dict_type") and not isinstance(error["input"], list | dict)
        )
        if not (wrong_kind and any(e is not error and _own_keys(e) == key for e in errors)):
            kept.append(dict(error))
    return kept


def _own_keys(error: Any) -> list[str]:
    return [part for part in error["loc"] if isinstance(part, str) and part in _ALL_KEYS]


def _describe(error: dict[str, Any], path: Path, text: str, places: dict[str, str]) -> str:
    place = _place(error["loc"], path, text, places)
    kind, value = error["type"], error["input"]
    shown = place if place in places.values() else f"{place} = {_shown(value)}"
    if kind == "extra_forbidden":
        known = _known_keys([p for p in error["loc"][:-1] if isinstance(p, str)])
        hint = did_you_mean(str(error["loc"][-1]), known)
        return f"{shown}: there is no such key{hint or '; expected one of ' + ', '.join(known)}"
    if kind == "missing":
        return f"{place}: this key is required"
    if kind == "literal_error":
        expected = error["ctx"]["expected"]
        hint = did_you_mean(value, re.findall(r"'([^']*)'", expected)) if isinstance(value, str) else ""
        return f"{shown}: expected {expected}{hint}"
    if kind == "value_error":
        return f"{shown}: {error['ctx']['error']}"
    return f"{shown}: {error['msg'][0].lower()}{error['msg'][1:]}"


def _shown(value: Any) -> str:
    try:
        return _cut(json.dumps(value, ensure_ascii=False, default=str))
    except ValueError:
        return "a number of very many digits"
    except RecursionError:
        return "a deep table"


def _cut(text: str, most: int = 60) -> str:
    return text if len(text) <= most else text[: most - 3] + "…"


def _known_keys(loc: Sequence[str]) -> list[str]:
    model: Any = Config
    for part in (name for name in loc if not name.startswith(_KINDS)):
        found = model.model_fields[part].annotation
        model = next((kind for kind in get_args(found) if hasattr(kind, "model_fields")), found)
    return list(model.model_fields)


def _with_paths(config: Config, base: Path) -> Config:
    """The configuration with the user's file names made independent of where the command runs."""

    def moved(files: dict[str, str] | None) -> dict[str, str] | None:
        return None if files is None else {language: str(base / file) for language, file in files.items()}

    task, name, quality = config.task, config.encoder.name, config.corpus.filter
    local, matrix = base / name, base / config.select.distance
    return config.model_copy(
        update={
            "encoder": config.encoder.model_copy(
                update={"name": str(local) if name != "starter" and is_there(local) and local.is_dir() else name}
            ),
            "select": config.select.model_copy(
                update={"distance": str(matrix) if is_file(matrix) else config.select.distance}
            ),
            "corpus": config.corpus.model_copy(
                update={
                    "files": moved(config.corpus.files),
                    "filter": quality and quality.model_copy(update={"scores": moved(quality.scores)}),
                }
            ),
            "align": config.align.model_copy(update={"dictionaries": moved(config.align.dictionaries)}),
            "task": task.model_copy(
                update={
                    "loader": str(base / task.loader) if task.loader and ".py:" in task.loader else task.loader,
                    "train": task.train and str(base / task.train),
                    "dev": task.dev and str(base / task.dev),
                    "tests": moved(task.tests),
                    "shots": moved(task.shots),
                }
            ),
            "report": config.report.model_copy(
                update={"resources": config.report.resources and str(base / config.report.resources)}
            ),
            "project": config.project.model_copy(update={"labelled": moved(config.project.labelled)}),
        }
    )


def to_toml(config: Config) -> str:
    """The configuration as TOML, every key written out.

    Where a published name or preset has yet to fill in keys (`xrealign.presets`), those it may fill in are left out
    unless the user set them, so that what is read again means the same.
    """
    lines: list[tuple[str, Any]] = []
    tables: list[tuple[str, Any]] = []
    dumped = config.model_dump(exclude_none=True)
    if config.realign.strategy not in STRATEGIES or config.realign.preset != "default":
        for name in ("align", "realign", "finetune"):
            dumped[name] = {k: v for k, v in dumped[name].items() if k in getattr(config, name).model_fields_set}
    for key, value in dumped.items():
        (tables if isinstance(value, dict) else lines).append((key, value))
    text = [f"{key} = {toml_value(value)}" for key, value in lines]
    for name, table in tables:
        text += ["", f"[{name}]", *(f"{key} = {toml_value(value)}" for key, value in table.items())]
    return "\n".join(text) + "\n"


def toml_value(value: Any) -> str:
    """A value as TOML on one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k)} = {toml_value(v)}" for k, v in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False, default=str)
