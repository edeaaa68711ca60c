"""What a configuration needs that may not be here: extras, a fetched data set, the encoder. Told before torch loads."""

from __future__ import annotations

from collections.abc import Iterator

from xrealign.config import Config
from xrealign.requirements import check_extra


def check_needs(config: Config, needs_task: bool = True) -> None:
    """Passes when all that a run needs besides its own files is here; brings the encoder if it has to come first.

    Args:
        needs_task: without it the task's data may be missing.

    Raises:
        MissingExtra: a setting asks for an extra that is not installed.
        DataError: the task's data set was not fetched.
        ArtifactError: the encoder is not to be had.
    """
    from xrealign.corpus.catalogue import data_folder_of_user, find_entry
    from xrealign.corpus.fetch import files_present
    from xrealign.errors import DataError
    from xrealign.model.resolve import check_encoder
    from xrealign.stages import is_builtin
    from xrealign.tasks.builtin import SETS

    for extra, setting in needed_extras(config):
        check_extra(extra, setting)
    if needs_task and is_builtin(config) and config.task.name in SETS:
        identifier, into = SETS[config.task.name], data_folder_of_user()
        if not files_present(find_entry(identifier), into):
            raise DataError(f"{identifier} is not in {into}; get it with: xrealign data get {identifier}")
    check_encoder(config.encoder.name, config.encoder.revision)


def needed_extras(config: Config) -> Iterator[tuple[str, str]]:
    """(extra, the setting that asks for it) of a configuration."""
    objective, quality = config.realign.objective, config.corpus.filter
    if quality is not None and quality.language_id:
        yield "langid", "corpus.filter.language_id = true"
    if "transliteration" in ([objective] if isinstance(objective, str) else objective):
        yield "romanise", "realign.objective = 'transliteration'"
    for table, adapter in (("realign", config.realign.adapter), ("finetune", config.finetune.adapter)):
        if adapter == "lora" and not (table == "realign" and config.realign.strategy == "none"):
            yield "lora", f"{table}.adapter = 'lora'"
    for name in config.report.trackers:
        yield name, f"report.trackers = [{name!r}]"
    task = config.task
    files = [task.train, task.dev, *(task.tests or {}).values(), *(task.shots or {}).values()]
    if task.format == "hf" or any(file and file.endswith(".parquet") for file in files):
        yield "hf", "reading the task's data sets"
