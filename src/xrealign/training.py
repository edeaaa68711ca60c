"""The training stages: realignment, fine-tuning, and both in one phase; models on disk with their heads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xrealign.config import Config
from xrealign.stages import Facts, open_encoder, read_task


def realign_settings(config: Config) -> Any:
    """The ``[realign]`` table as `xrealign.train.realign` wants it."""
    from xrealign.train.realign_settings import RealignSettings

    table = config.realign.model_dump(exclude={"strategy", "preset", "weight", "every", "control"})
    return RealignSettings(**table | {"layers": table["layers"] and tuple(table["layers"])})


def _settings_for(config: Config, tags: Sequence[str]) -> Any:
    """`realign_settings` with what it reads from files for these languages."""
    from dataclasses import replace

    from xrealign.linking import switching_lexicon

    settings = realign_settings(config)
    if not settings.code_switch or settings.code_switch_by != "dictionary":
        return settings
    return replace(settings, lexicon=switching_lexicon(config, tags))


def make_realign(
    config: Config, align: Path, task: Path | None, encoder_folder: Path | None, out: Path, work: Path, control: bool
) -> Facts:
    """Realigns the encoder, or trains the control; writes an encoder folder.

    Where the encoder was fine-tuned before, its head and labels go along, so that it can be evaluated as it is, and
    its accuracy on the dev set of ``task`` is watched; so is that of the encoder's own masked-language-model head.
    """
    from xrealign.align.aligned import read_aligned
    from xrealign.model.encoder import save_encoder
    from xrealign.model.folder import link_or_copy
    from xrealign.train.masked_watch import both_scores
    from xrealign.train.realign import realign

    encoder = open_encoder(config, encoder_folder)
    scores = both_scores(None if task is None else _dev_scores(config, encoder, task), _masked_scores(config, encoder))
    aligned = read_aligned(align)
    settings = _settings_for(config, aligned.languages)
    facts = realign(encoder, aligned, settings, work, config.seed, control, scores)
    save_encoder(encoder, out, base=encoder.folder)
    for name in HEAD_FILES:
        if (encoder.folder / name).is_file():
            link_or_copy(encoder.folder / name, out / name)
    _keep_adapter(work, out)
    return facts | {"parameters": sum(1 for _ in encoder.model.parameters())}


def make_finetune(config: Config, task: Path, encoder_folder: Path | None, out: Path, work: Path) -> Facts:
    """Fine-tunes on the source language; writes an encoder folder with ``head.safetensors`` and ``labels.json``."""
    from xrealign.train.finetune import FinetuneSettings, finetune

    encoder = open_encoder(config, encoder_folder)
    labelled = read_task(task)
    settings = FinetuneSettings(**config.finetune.model_dump())
    head, facts = finetune(encoder, labelled, settings, work, config.seed)
    _save_model(encoder, head, labelled, out)
    _keep_adapter(work, out)
    return facts


def make_joint(
    config: Config, align: Path, task: Path, encoder_folder: Path | None, out: Path, work: Path, control: bool
) -> Facts:
    """Realigns and fine-tunes in one phase, or trains the control; writes what `make_finetune` writes."""
    from xrealign.align.aligned import read_aligned
    from xrealign.train.finetune import FinetuneSettings
    from xrealign.train.joint import joint

    encoder, table = open_encoder(config, encoder_folder), config.realign
    labelled = read_task(task)
    aligned = read_aligned(align)
    head, facts = joint(
        encoder,
        aligned,
        labelled,
        _settings_for(config, aligned.languages),
        FinetuneSettings(**config.finetune.model_dump()),
        work,
        config.seed,
        strategy=table.strategy,
        weight=table.weight,
        every=table.every,
        control=control,
    )
    _save_model(encoder, head, labelled, out)
    _keep_adapter(work, out)
    return facts | {"parameters": sum(1 for _ in encoder.model.parameters())}


def _keep_adapter(work: Path, out: Path) -> None:
    """The adapters that were merged at the end, for `xrealign average --adapters`."""
    from xrealign.model.folder import link_or_copy
    from xrealign.train.adapters import ADAPTER

    if (work / ADAPTER).is_file():
        link_or_copy(work / ADAPTER, out / ADAPTER)


def _masked_scores(config: Config, encoder: Any) -> Any:
    """The watch over an encoder's masked-language-model head, on held-out segments of the Universal Declaration in the
    source language; None without such a head, or without segments."""
    from xrealign.corpus.embedded import held_out, udhr_segments
    from xrealign.language import parse_language
    from xrealign.model.words import word_spans
    from xrealign.train.masked_watch import has_masked_head, masked_scores

    table, source = udhr_segments(), parse_language(config.source)
    held = held_out(table.ids, config.corpus.held_out)
    texts = [text for segment, text in table.texts.get(source, {}).items() if segment in held]
    if config.realign.watch == "off" or not texts or not has_masked_head(encoder):
        return None
    spans = word_spans(texts, source, encoder.tokenizer)
    return masked_scores(encoder, texts, spans, config.realign.max_length, config.seed)


def _dev_scores(config: Config, encoder: Any, task: Path) -> Any:
    """The watch over a fine-tuned encoder's head on the task's dev set; None without one."""
    from xrealign.train.finetune import dev_scores
    from xrealign.train.heads import load_head
    from xrealign.train.predict import PredictSettings

    examples = read_task(task).dev[:DEV_WATCHED]
    if not examples:
        return None
    settings = PredictSettings(max_length=config.finetune.max_length)
    head, kind, labels, tags = load_head(encoder.folder)
    return dev_scores(encoder, head, kind, examples, labels, tags, settings)


DEV_WATCHED = 200  # examples of the dev set that are looked at while an encoder is realigned after fine-tuning
HEAD_FILES = ("head.safetensors", "labels.json")


def _save_model(encoder: Any, head: Any, task: Any, out: Path) -> None:
    from xrealign.model.encoder import save_encoder
    from xrealign.train.heads import save_head

    save_encoder(encoder, out, base=encoder.folder)
    save_head(out, head, task.kind, task.labels, task.tags)
