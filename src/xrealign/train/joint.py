"""Realignment and fine-tuning in one phase: both losses in every step, or in turns (`xrealign.train.strategies`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from xrealign.align.aligned import AlignedTexts
from xrealign.errors import ConfigError
from xrealign.model.encoder import Encoder
from xrealign.tasks.task import Task
from xrealign.train.finetune import FinetuneSettings, finetune_side, steps_of
from xrealign.train.lora import LoraSettings
from xrealign.train.realign import RealignSettings, finished, realign_side
from xrealign.train.session import train_phase
from xrealign.train.strategies import Kind, plan_phases, turns
from xrealign.train.task_inputs import encode_task


def joint(
    encoder: Encoder,
    aligned: AlignedTexts,
    task: Task,
    realigning: RealignSettings,
    finetuning: FinetuneSettings,
    folder: Path,
    seed: int,
    *,
    strategy: str = "during",
    weight: float = 0.1,
    every: int = 2,
    control: bool = False,
) -> tuple[nn.Module, dict[str, Any]]:
    """Trains ``encoder`` in place on both; returns the task's head and counts, history and what moved.

    Optimiser, rate, schedule and precision are those of fine-tuning; each loss keeps its own freeze, so that
    realignment reaches what it would reach alone and the task what it would. The task sees the batches it would see
    alone, in the same order. With ``adapter = "lora"`` of either, it reaches adapters in the place of the weights it
    would reach, and the other the weights; where both have adapters these are the same.

    Args:
        strategy: ``during`` or ``alternating``; of ``before+during`` the second phase.
        weight: of the realignment losses beside the task's.
        every: of ``alternating``: every so manieth step realigns.
        control: see `xrealign.train.realign.realign`.

    Raises:
        ConfigError: a setting that does not fit the encoder, or a strategy without such a phase.
        TrainingError: see `xrealign.train.realign.realign`.
    """
    if realigning.front_cache:
        raise ConfigError(f"front_cache is for realignment alone, where the front stays, not for {strategy!r}")
    if finetuning.adapter == "prompt":
        raise ConfigError(f"finetune.adapter = 'prompt' is for fine-tuning alone, not for {strategy!r}")
    inputs = encode_task(encoder.tokenizer, task.kind, task.train, finetuning.max_length, finetuning.stride)
    steps = steps_of(finetuning, len(inputs))
    specs = [spec for spec in plan_phases(strategy, steps, 0, weight, every) if len(spec.weights) == 2]
    if not specs:
        raise ConfigError(f"strategy = {strategy!r} never realigns and fine-tunes in one phase")
    (spec,) = specs
    realign, told = realign_side(encoder, aligned, realigning, turns(spec, "realign"), seed, control)
    own = turns(spec, "finetune")
    side, head, task_facts = finetune_side(encoder, task, inputs, finetuning, own, spec.steps, folder, seed)
    chosen: dict[Kind, FinetuneSettings | RealignSettings] = {"finetune": finetuning, "realign": realigning}
    adapters = {kind: LoraSettings(**table.lora) for kind, table in chosen.items() if table.adapter == "lora"}
    trained = train_phase(
        encoder,
        spec,
        {"finetune": side, "realign": realign},
        folder,
        seed,
        compact=realigning.compact_vocabulary and finetuning.compact_vocabulary,
        precision=finetuning.precision,
        compiled=finetuning.compile,
        lora=adapters,
    )
    return head, finished(told, trained) | {"task": task_facts}
