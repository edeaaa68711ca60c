"""What single keys of a configuration cannot show: keys that do not fit each other, files that are not there, lists of
languages nobody knows, numbers beyond all bounds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from xrealign.config_tables import BUILTIN_TASKS, STRATEGIES, VERBS
from xrealign.errors import DataError, LanguageError
from xrealign.language import Language, find_language, parse_language
from xrealign.textio import is_file

LINKED = ("word", "l2")  # objectives that are nothing without links
MOST_UNKNOWN = 20
"""Unknown languages of one list that are told one by one."""
LARGEST_NUMBER = 1 << 63


def problems_of(raw: dict[str, Any], folder: Path, at: Callable[..., str], shown: Callable[..., str]) -> list[str]:
    """A line for each mistake.

    Args:
        raw: the tables as they were read. A list with very many unknown languages is emptied (`_many_unknown`).
        folder: what names of files are relative to.
        at: from the parts of a key to its place, ``file:line: key``.
        shown: from a value and the parts of its key to the place with the value.
    """

    def get(table: str, key: str, default: Any = None) -> Any:
        part = raw.get(table)
        return part.get(key, default) if isinstance(part, dict) else default

    lists = [("select", key) for key in ("candidates", "languages", "targets", "require", "exclude")]
    by_language = [("corpus", "files"), ("align", "dictionaries"), ("task", "tests"), ("task", "shots")]
    by_language += [("project", "labelled")]
    problems = [f"{shown(value, *keys)}: expected a number below {LARGEST_NUMBER}" for keys, value in _too_large(raw)]
    candidates, k = get("select", "candidates"), get("select", "k", 10)
    if isinstance(candidates, list) and isinstance(k, int) and k > len(candidates):
        problems.append(f"{shown(k, 'select', 'k')}: there are only {len(candidates)} candidates")
    for table, key in (*lists, ("task", "targets"), *by_language):
        wrong = [*_many_unknown(raw, table, key), *_twice(get(table, key))]
        problems += [f"{at(table, key)}: {problem}" for problem in wrong]
    objective = get("realign", "objective", "word")
    linked = [name for name in LINKED if name == objective or (isinstance(objective, dict) and name in objective)]
    published = get("realign", "strategy", "before") not in STRATEGIES and get("realign", "objective") is None
    if linked and not published and get("align", "aligner", "argmax") == "none":
        problems.append(
            f'{shown("none", "align", "aligner")}: realign.objective = "{linked[0]}" needs links; '
            'choose an aligner, or objective = "sentence"'
        )
    linked = get("realign", "code_switch_by", "links") != "dictionary"
    if get("realign", "code_switch", 0) and linked and get("align", "aligner", "argmax") == "none":
        problems.append(f'{at("realign", "code_switch")}: it replaces linked words, but align.aligner = "none"')
    if get("realign", "layer") is not None and get("realign", "layers") is not None:
        problems.append(f"{at('realign', 'layers')}: realign.layer is set too; keep one of them")
    if (get("realign", "mixture") == "custom") != (get("realign", "mixture_weights") is not None):
        problems.append(f'{at("realign", "mixture_weights")}: mixture = "custom" and mixture_weights need each other')
    quality = get("corpus", "filter", {})
    if isinstance(quality, dict) and (quality.get("score") is None) != (quality.get("scores") is None):
        problems.append(f"{at('corpus', 'filter')}: score (a percentile) and scores (files) need each other")
    if get("corpus", "lenient") is True and get("project", "labelled"):
        problems.append(
            f"{at('corpus', 'lenient')}: project.labelled has labels for every line of corpus.files, so that none may "
            "be skipped; mend the files"
        )
    name = raw.get("name")
    if isinstance(name, str) and name.endswith(".sweep"):
        problems.append(f"{shown(name, 'name')}: results of sweeps have that ending; choose another")
    if name in VERBS:
        problems.append(f"{shown(name, 'name')}: results of that verb are kept under this name; choose another")
    task = get("task", "name", "intents")
    if task not in BUILTIN_TASKS and not get("task", "loader") and not (get("task", "train") and get("task", "tests")):
        problems.append(
            f"{at('task', 'name')}: a task of your own needs task.train and task.tests, or task.loader; "
            f"built in are {', '.join(BUILTIN_TASKS)}"
        )
    for table, key in by_language:
        named = get(table, key)
        for language, file in named.items() if isinstance(named, dict) else ():
            if isinstance(file, str) and not is_file(folder / file):
                problems.append(f"{shown(file, table, key, language)}: there is no such file")
    classes = get("report", "resources")
    if isinstance(classes, str):
        problems += [f"{shown(classes, 'report', 'resources')}: {why}" for why in _no_classes(folder / classes)]
    scores = quality.get("scores") if isinstance(quality, dict) else None
    for language, file in scores.items() if isinstance(scores, dict) else ():
        if isinstance(file, str) and not is_file(folder / file):
            problems.append(f"{shown(file, 'corpus', 'filter', 'scores', language)}: there is no such file")
    for key in ("train", "dev"):
        file = get("task", key)
        if isinstance(file, str) and not is_file(folder / file):
            problems.append(f"{shown(file, 'task', key)}: there is no such file")
    return problems


def _twice(names: Any) -> list[str]:
    seen: dict[str, str] = {}
    problems = []
    for name in names if isinstance(names, list | dict) else ():
        language = _known(name)
        if language is None:
            continue  # told by the key's own check
        tag = language.tag
        if tag in seen:
            problems.append(f"{seen[tag]!r} and {name!r} are the same language, {tag}")
        seen[tag] = str(name)
    return problems


def _known(name: Any) -> Language | None:
    try:
        return find_language(name) if isinstance(name, str) else None
    except LanguageError:
        return None


def _many_unknown(raw: dict[str, Any], table: str, key: str) -> list[str]:
    """What to say of a list or table with so many unknown languages that hints for each would take minutes; it is then
    emptied, so that nobody looks for them."""
    found = raw[table].get(key) if isinstance(raw.get(table), dict) else None
    names = [name for name in found if isinstance(name, str)] if isinstance(found, list | dict) else []
    unknown = [name for name in names if _known(name) is None]
    if len(unknown) <= MOST_UNKNOWN or not isinstance(found, list | dict):
        return []
    try:
        parse_language(unknown[0])
        first = ""  # cannot be: it is unknown
    except LanguageError as error:
        first = str(error)
    found.clear()
    return [f"{len(unknown)} of {len(names)} are no languages; {first}"]


def _too_large(raw: Any, keys: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], int]]:
    """Whole numbers that no file format and no library can hold, with their keys."""
    if isinstance(raw, dict):
        return [one for key, value in raw.items() for one in _too_large(value, (*keys, key))]
    if isinstance(raw, list):
        return [one for value in raw for one in _too_large(value, keys)]
    return [(keys, raw)] if isinstance(raw, int) and not -LARGEST_NUMBER <= raw < LARGEST_NUMBER else []


def _no_classes(path: Path) -> list[str]:
    """Why a file is no table of resource classes: it is read after all else, when hours may have gone by."""
    from xrealign.select.candidates import read_classes

    if not is_file(path):
        return ["there is no such file"]
    try:
        read_classes(path)
    except DataError as error:
        return [str(error)]
    return []
