"""Fine-tuning on the labelled examples of the source language: any kind of task, one head, one side of a phase."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from xrealign.errors import ConfigError, DataError
from xrealign.model.encoder import Encoder
from xrealign.model.layers import find_blocks, hidden_state
from xrealign.model.prompt import VECTORS, check_room
from xrealign.model.words import TextBatch
from xrealign.progress import say
from xrealign.tasks.metrics import MAIN_METRIC, score
from xrealign.tasks.statistics import task_statistics
from xrealign.tasks.task import AnyExample, Kind, Task
from xrealign.train.heads import make_head, task_loss
from xrealign.train.keeping import Keeping, after_step, check_keeping, points_of
from xrealign.train.lora import LoraSettings
from xrealign.train.micro import Pieces, Vectors, split_texts
from xrealign.train.phase import Objective, Phase
from xrealign.train.predict import PredictSettings, predict_inputs
from xrealign.train.prompt_tuning import PromptSettings, start_prompt
from xrealign.train.seeds import seed_torch
from xrealign.train.session import PREFIX, Opens, Part, Scores, Side, train_phase
from xrealign.train.strategies import PhaseSpec
from xrealign.train.streams import plan_steps
from xrealign.train.task_inputs import TaskInputs, encode_task, task_targets
from xrealign.train.task_streams import TaskBatch, TaskStream


@dataclass(frozen=True)
class FinetuneSettings:
    """How to fine-tune; the names are those of a config's ``[finetune]`` table, which explains them.

    Attributes:
        lora: fields of `LoraSettings`, for ``adapter = "lora"``.
        prompt: fields of `PromptSettings`, for ``adapter = "prompt"``.
        word_pooling: a word's vector is its first subword's, or the mean of all (kinds pos, ner, slots).
        stride: subwords that two windows of a long text share.
        keep: the last weights, or the best on the source language's dev set by the kind's main metric.
        average: end with the mean of the weights after so many of the last epochs (without epochs: tenths).
    """

    steps: int = 1000
    batch_size: int = 32
    learning_rate: float = 2e-5
    head_rate: float = 1.0
    epochs: int | None = None
    freeze: str = "none"
    adapter: Literal["none", "lora", "prompt"] = "none"
    lora: Mapping[str, Any] = field(default_factory=dict)
    prompt: Mapping[str, Any] = field(default_factory=dict)
    max_length: int = 96
    stride: int = 32
    word_pooling: Literal["first", "mean"] = "first"
    keep: Literal["last", "best"] = "last"
    average: int = 1
    schedule: Literal["constant", "linear"] = "linear"
    warmup: float = 0.1
    weight_decay: float = 0.0
    clip: float | None = 1.0
    compact_vocabulary: bool = True
    checkpoint_every: int = 100
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    compile: bool = False


def finetune(
    encoder: Encoder, task: Task, settings: FinetuneSettings, folder: Path, seed: int
) -> tuple[nn.Module, dict[str, Any]]:
    """Fine-tunes ``encoder`` in place; returns the head and counts with the history.

    Order of data, dropout and the head's first values have seeds of their own, made from ``seed`` alone, so two
    encoders fine-tuned with one seed see the same batches in the same order.

    Raises:
        ConfigError: a freeze that does not fit the encoder, or settings that contradict each other.
    """
    inputs = encode_task(encoder.tokenizer, task.kind, task.train, settings.max_length, settings.stride)
    steps = steps_of(settings, len(inputs))
    if settings.adapter == "prompt":
        check_prompt(settings.freeze)
        start_prompt(encoder, inputs, PromptSettings(**settings.prompt), settings.max_length, seed)
    spec = PhaseSpec("finetune", steps, {"finetune": 1.0}, "finetune")
    side, head, facts = finetune_side(encoder, task, inputs, settings, steps, steps, folder, seed)
    trained = train_phase(
        encoder,
        spec,
        {"finetune": side},
        folder,
        seed,
        compact=settings.compact_vocabulary,
        precision=settings.precision,
        compiled=settings.compile,
        lora=LoraSettings(**settings.lora) if settings.adapter == "lora" else None,
    )
    return head, trained.facts() | facts


def check_prompt(freeze: str) -> None:
    """Looks whether ``freeze`` was left alone, as a prompt freezes the encoder itself.

    Raises:
        ConfigError: it was not.
    """
    if freeze not in ("none", "all"):
        raise ConfigError(f"adapter = 'prompt' leaves the encoder as it is: it does not go with freeze = {freeze!r}")


def steps_of(settings: FinetuneSettings, items: int) -> int:
    """Optimiser steps on so many texts or windows: ``epochs`` passes of whole batches and a rest, or ``steps``."""
    return settings.steps if settings.epochs is None else -(-items // settings.batch_size) * settings.epochs


def finetune_side(
    encoder: Encoder,
    task: Task,
    inputs: TaskInputs,
    settings: FinetuneSettings,
    turns: int,
    steps: int,
    folder: Path,
    seed: int,
) -> tuple[Side, nn.Module, dict[str, Any]]:
    """Fine-tuning as a side of a phase, the head it trains, and what is to be told of it.

    Args:
        inputs: the task's training examples.
        turns: how often it takes part.
        steps: of the phase.
        folder: of the phase's checkpoints.

    Raises:
        ConfigError: ``max_length`` is more than the encoder reads.
    """
    check_room(encoder.model, settings.max_length)
    points = points_of(steps, settings.epochs)
    check_keeping(settings.keep, settings.average, points, bool(task.dev))
    targets = task_targets(task.kind, inputs, task.train, task.labels, task.tags)
    texts = inputs.texts
    plan = plan_steps([0] * len(inputs), texts.lengths, turns, settings.batch_size, seed, "finetune")
    stream = TaskStream(inputs, targets, plan, encoder.tokenizer.pad_token_id)
    seed_torch(seed, "head")
    impossible = any(not example.answers for example in task.train) if task.kind == "qa" else False
    head = make_head(task.kind, encoder.width, task.labels, task.tags, settings.word_pooling, impossible)
    prompted = settings.adapter == "prompt"
    own = frozenset(f"head.{name}" for name, _ in head.named_parameters()) | ({PREFIX + VECTORS} if prompted else set())
    used, measure = [texts.ids], None
    if settings.keep == "best":
        predicting = PredictSettings(max_length=settings.max_length, stride=settings.stride)
        dev = dev_scores(encoder, head, task.kind, task.dev, task.labels, task.tags, predicting)
        used, measure = [*used, *dev.used], dev.measure

    def build(learning: frozenset[str], opens: Opens | None) -> Part:
        objective = Objective(
            "task",
            stream,
            loss_of(task.kind),
            learning | own,
            trainable_at=None if opens is None else (lambda step: opens(step) | own),
            pieces=pieces_of(task.kind),
            items=lambda step: list(dict.fromkeys(task.train[n].group for n in inputs.example[plan[step]].tolist())),
        )
        return Part((objective,), {"head": head})

    template = Phase(
        "finetune",
        steps,
        settings.learning_rate,
        (),
        settings.schedule,
        settings.warmup,
        settings.weight_decay,
        settings.clip,
        settings.checkpoint_every,
        {"head.": settings.head_rate},
        after=after_step(Keeping(points, folder, settings.average, measure)),
    )
    facts: dict[str, Any] = {"examples": len(task.train), "drawn": int(plan.size)}
    facts |= {"windows": len(inputs)} if len(inputs) != len(task.train) else {}
    facts |= {"cut": dict(inputs.cut)} if inputs.cut else {}
    for reason, count in inputs.cut.items():
        say(f"  finetune: {count} {reason} of {len(task.train)} examples (max_length = {settings.max_length})")
    return Side(template, "all" if prompted else settings.freeze, used, build), head, facts


def loss_of(kind: Kind) -> Callable[[nn.Module, TaskBatch], Tensor]:
    """The loss of a model that holds ``encoder`` and ``head``."""

    def loss(model: nn.Module, batch: TaskBatch) -> Tensor:
        encoder: nn.Module = model["encoder"]  # type: ignore[index]
        hidden = hidden_state(encoder, len(find_blocks(encoder)), batch.texts.inputs)
        return task_loss(model["head"], kind, hidden, batch)  # type: ignore[index]

    return loss


def pieces_of(kind: Kind) -> Pieces:
    """The loss taken apart: the encoder's states of some texts, and the head with its loss over all of them."""

    def encode(model: nn.Module, part: TextBatch) -> Tensor:
        encoder: nn.Module = model["encoder"]  # type: ignore[index]
        hidden = hidden_state(encoder, len(find_blocks(encoder)), part.inputs)
        return hidden[part.inputs["attention_mask"].bool()]  # parts are padded to widths of their own

    def compare(model: nn.Module, vectors: Vectors, batch: TaskBatch) -> Tensor:
        assert isinstance(vectors, Tensor)
        inside = batch.texts.inputs["attention_mask"].bool()
        hidden = vectors.new_zeros(*inside.shape, vectors.shape[-1])
        hidden[inside] = vectors
        return task_loss(model["head"], kind, hidden, batch)  # type: ignore[index]

    return Pieces(lambda batch, parts: split_texts(batch.texts, parts), encode, compare)


def dev_scores(
    encoder: Encoder,
    head: nn.Module,
    kind: Kind,
    examples: Sequence[AnyExample],
    labels: Sequence[str],
    tags: Sequence[str],
    settings: PredictSettings,
) -> Scores:
    """The main metric of a head on labelled examples of the source language, as ``dev``: to choose a model by, or to be
    watched while the encoder is realigned after fine-tuning. No target labels are needed for either.

    Args:
        labels, tags: in the order of the head's scores.

    Raises:
        DataError: there are no examples, or one has a label or tag that is not among these.
    """
    if not examples:
        raise DataError("there are no dev examples to score a head on")
    inputs = encode_task(encoder.tokenizer, kind, examples, settings.max_length, settings.stride)
    task_targets(kind, inputs, examples, labels, tags)
    pad = int(encoder.tokenizer.pad_token_id)

    def measure(model: nn.Module) -> dict[str, float]:
        inner: nn.Module = model["encoder"]  # type: ignore[index]
        found = predict_inputs(inner, head, inputs, examples, labels, tags, pad, settings)[""]
        statistics = task_statistics(kind, examples, found.predictions, labels, tags)
        return {"dev": score(statistics, MAIN_METRIC[kind])}

    return Scores([inputs.texts.ids], measure)
