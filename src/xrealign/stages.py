"""What each stage of a run does: reads its inputs' folders, writes its own. `xrealign.plan` strings them together.

A maker gets the configuration and the folders of its inputs, writes into ``out``, keeps checkpoints in ``work`` and
returns the facts that its manifest will state.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xrealign.config import Config
from xrealign.errors import ConfigError
from xrealign.language import Language, parse_language
from xrealign.writing import write_atomic

Facts = dict[str, Any]
UDHR, CLDR = "udhr", "cldr"


def embedded_tables(sources: Sequence[str]) -> list[Any]:
    """The embedded multi-parallel tables that a corpus is made from."""
    from xrealign.corpus.embedded import cldr_names, udhr_segments

    return [{UDHR: udhr_segments, CLDR: cldr_names}[source]() for source in sources]


def select_candidates(config: Config) -> list[Language]:
    """The languages to choose from: those named, or those with parallel text; never the source language."""
    source = parse_language(config.source)
    if isinstance(config.select.candidates, list):
        found = [parse_language(tag) for tag in config.select.candidates]
    elif config.corpus.files:
        found = [parse_language(tag) for tag in config.corpus.files]
    else:
        found = sorted(set.intersection(*(set(table.texts) for table in embedded_tables(config.corpus.sources))))
    if config.select.candidates == "task":
        tested = task_languages(config)
        found = [language for language in found if language in tested]
    return [language for language in found if language != source]


def is_builtin(config: Config) -> bool:
    """Whether the task comes by its name, and not out of files or a function of the user's."""
    from xrealign.tasks.builtin import BUILTIN

    settings = config.task
    return settings.name in BUILTIN and settings.tests is None and settings.loader is None


def task_languages(config: Config) -> list[Language]:
    """The languages the task tests, known before it is built; of a function of the user's only those it is told.

    Raises:
        DataError: a built-in task's data are not here.
    """
    from xrealign.tasks.builtin import builtin_languages

    settings = config.task
    if settings.targets is not None:
        return [parse_language(tag) for tag in dict.fromkeys((config.source, *settings.targets))]
    if is_builtin(config):
        return builtin_languages(settings.name)
    return [parse_language(tag) for tag in settings.tests or {}]


def select_seed(config: Config) -> int:
    """The run's seed where the choice is random; else none, so that seeds share the subset and all made from it."""
    return config.seed if "random" in config.select.criterion else 0


def make_select(config: Config, out: Path) -> Facts:
    """Chooses the subset; writes ``subset.json``."""
    source = parse_language(config.source)
    if config.select.languages is not None:
        chosen = [parse_language(tag) for tag in config.select.languages]
        facts: Facts = {"subset": [language.tag for language in chosen], "reason": "named in the configuration"}
    else:
        from xrealign.pretraining import seen_isos
        from xrealign.select import select_languages
        from xrealign.select.conditions import Conditions

        settings = config.select
        candidates = select_candidates(config)
        if settings.k > len(candidates):
            raise ConfigError(f"select.k = {settings.k}: there are only {len(candidates)} candidates")
        selection = select_languages(
            candidates,
            settings.k,
            fixed=[source],
            criterion=settings.criterion,
            distance=settings.distance,
            seed=select_seed(config),
            targets=[parse_language(tag) for tag in settings.targets],
            conditions=Conditions(
                require=[parse_language(tag) for tag in settings.require],
                exclude=[parse_language(tag) for tag in settings.exclude],
                max_per={str(kind): most for kind, most in settings.max_per.items()},
                at_least=settings.at_least,
                at_most=settings.at_most,
            ),
            seen=seen_isos(config.encoder.seen),
        )
        facts = {
            "subset": [language.tag for language in selection.subset],
            "reason": (
                f"{settings.k} of {len(candidates)} candidates, with {source.name} as a fixed member, by "
                f"{settings.criterion} on {settings.distance}: {selection.value:.3f}{_proof(selection)}"
            ),
            "why": {
                language.tag: f"{language.family or 'isolate'}, {language.script}; adds {share:.2f}"
                for language, share in selection.contributions.items()
            },
            "value": selection.value,
            "bound": selection.bound,
            "optimal": selection.optimal,
            "candidates": [language.tag for language in candidates],
        }
    write_atomic(out / "subset.json", json.dumps(facts, indent=1))
    return facts


def _proof(selection: Any) -> str:
    if selection.optimal:
        return ", proven the best there is"
    return "" if selection.bound is None else f"; no choice exceeds {selection.bound:.3f}"


def read_subset(folder: Path) -> list[Language]:
    """The languages a select stage chose."""
    return [parse_language(tag) for tag in json.loads((folder / "subset.json").read_text("utf-8"))["subset"]]


def make_task(config: Config, out: Path) -> Facts:
    """Builds the labelled task; writes ``task.json``."""
    from xrealign.tasks.task import task_to_json

    task = build_task(config)
    write_atomic(out / "task.json", task_to_json(task))
    return {
        "kind": task.kind,
        "labels": len(task.labels),
        "tags": len(task.tags),
        "train": len(task.train),
        "dev": len(task.dev),
        "test": {language.tag: len(examples) for language, examples in task.tests.items()},
        "notes": dict(task.notes),
    }


def build_task(config: Config) -> Any:
    """The labelled task that ``[task]`` describes: built in, out of a function of the user's, or out of files."""
    from xrealign.tasks.builtin import load_builtin
    from xrealign.tasks.load import load_task
    from xrealign.tasks.own import load_own
    from xrealign.tasks.spec import TaskSpec

    source, settings = parse_language(config.source), config.task
    sizes: dict[str, Any] = {f"{part}_size": getattr(settings, f"{part}_size") for part in ("train", "dev", "test")}
    targets = None if settings.targets is None else [parse_language(tag) for tag in settings.targets]
    train, dev = (Path(file) if file else None for file in (settings.train, settings.dev))
    if settings.loader is not None:
        return load_own(settings.loader, source, targets, config.seed)
    if is_builtin(config):
        return load_builtin(settings.name, source, targets, **sizes, seed=config.seed, train=train, dev=dev)
    assert train is not None  # the configuration's check asked for it
    tests = {parse_language(tag): Path(file) for tag, file in (settings.tests or {}).items()}
    return load_task(
        TaskSpec(
            name=settings.name,
            kind=settings.kind or "class",
            source=source,
            train=train,
            dev=dev,
            tests={language: path for language, path in tests.items() if targets is None or language in targets},
            format=settings.format,
            columns=settings.columns,
            labels=settings.label_names,
            merge=settings.merge,
            drop=settings.drop,
            scheme=settings.scheme,
            separator=settings.separator,
            **sizes,
            seed=config.seed,
        )
    )


def read_task(folder: Path) -> Any:
    """The task that a task stage built.

    Raises:
        DataError: the file is damaged.
    """
    from xrealign.tasks.task import task_from_json

    return task_from_json((folder / "task.json").read_text("utf-8"))


def open_encoder(config: Config, folder: Path | None = None) -> Any:
    """The encoder of a result's folder, or without one the encoder that the configuration names."""
    from xrealign.model.encoder import load_encoder

    if folder is not None:
        return load_encoder(str(folder), attention=config.encoder.attention)
    return load_encoder(config.encoder.name, config.encoder.revision, config.encoder.attention)
