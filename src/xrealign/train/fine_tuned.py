"""A fine-tuned model out of a folder: one that xrealign trained, or one with a head of transformers' own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from xrealign.errors import ConfigError
from xrealign.model.encoder import Encoder, load_encoder
from xrealign.tasks.task import Kind
from xrealign.train.heads import HEAD_FILES, load_head
from xrealign.train.hub_heads import hub_kinds, load_hub_model


@dataclass(frozen=True)
class FineTuned:
    """A model ready to predict.

    Attributes:
        labels, tags: the names that the kind uses.
        outputs: names of the labels and of the tags as `xrealign.train.predict.predict` wants them, in the order of the
            head's outputs; where several outputs are one tag (B and S in BIO), it stands there several times.
    """

    encoder: Encoder
    head: nn.Module
    kind: Kind
    labels: tuple[str, ...]
    tags: tuple[str, ...]
    outputs: tuple[tuple[str, ...], tuple[str, ...]]


def open_fine_tuned(folder: Path, task: str, names: str | None = None, no_answer: bool = False) -> FineTuned:
    """The model of a folder.

    Args:
        task: tells what a head of transformers' own is for, where it may be for several kinds.
        names: of the labels of such a head, divided by commas, in the place of those in config.json.
        no_answer: whether such a head may say that a question has no answer.

    Raises:
        ArtifactError: the folder is no fine-tuned model.
        ConfigError: ``names`` or ``no_answer`` for a model of ours, a task that the head is not for, or labels without
            names.
    """
    kinds = () if (folder / HEAD_FILES[0]).is_file() else hub_kinds(folder)
    if not kinds:
        if names is not None or no_answer:
            raise ConfigError("--labels and --no-answer are for models with a head of transformers' own")
        head, own, labels, tags = load_head(folder)
        return FineTuned(load_encoder(str(folder)), head, own, labels, tags, (labels, tags))
    if len(kinds) > 1 and task not in kinds:
        raise ConfigError(f"--task {task}: the model's head is for {' or '.join(kinds)}; say which, and name files")
    kind = next((known for known in kinds if known == task), kinds[0])
    return FineTuned(*load_hub_model(folder, kind, names.split(",") if names else None, no_answer))
