"""Prompt tuning: what is learned of a task are vectors before the text, and the head; the encoder stays as it is.

Lester et al. 2021 (arXiv 2104.08691), there for T5 with its own decoder as the head. `xrealign.model.prompt` says where
the vectors stand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from xrealign.errors import ConfigError
from xrealign.model.encoder import Encoder
from xrealign.model.prompt import add_prompt, check_room
from xrealign.train.seeds import numpy_generator
from xrealign.train.task_inputs import TaskInputs

FREQUENT = 5000


@dataclass(frozen=True)
class PromptSettings:
    """The fields of ``[finetune.prompt]``.

    Attributes:
        length: vectors of the prompt.
    """

    length: int = 20

    def __post_init__(self) -> None:
        """Raises: ConfigError: a value is impossible."""
        if self.length < 1:
            raise ConfigError(f"prompt.length = {self.length!r} is impossible; expected 1 or more")


def start_prompt(encoder: Encoder, inputs: TaskInputs, settings: PromptSettings, max_length: int, seed: int) -> None:
    """Puts a prompt into ``encoder`` that depends on the training examples and ``seed`` alone.

    Its first values are embeddings of subwords drawn from the 5000 most frequent ones, Lester et al.'s "sampled
    vocabulary" (section 3.2.1), of the training examples; none twice while there are enough.

    Args:
        inputs: the training examples.
        max_length: of the texts that will follow the prompt.

    Raises:
        ConfigError: it does not fit the encoder.
    """
    ids, counts = np.unique(inputs.texts.ids, return_counts=True)
    special = np.isin(ids, encoder.tokenizer.all_special_ids)
    ids, counts = (ids, counts) if special.all() else (ids[~special], counts[~special])
    frequent = ids[np.argsort(-counts, kind="stable")][:FREQUENT]
    draw = numpy_generator(seed, "prompt")
    chosen = draw.choice(frequent, size=settings.length, replace=len(frequent) < settings.length)
    rows = torch.from_numpy(chosen.astype(np.int64)).to(encoder.device)
    add_prompt(encoder.model, encoder.model.get_input_embeddings().weight[rows])
    check_room(encoder.model, max_length)
