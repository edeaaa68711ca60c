"""What the papers' code does where this library does otherwise, and the names it gives to its strategies.

The papers: Gaschi et al. (2023, arXiv 2306.02790), AlignFreeze (Bakos et al. 2025, arXiv 2502.12959) and Nguyen et al.
(2025, arXiv 2511.06497), whose programs descend from one another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from xrealign.errors import ConfigError, nearest
from xrealign.model.freezing import blocks_text

FAMILIES = ("xlm-roberta", "bert", "distilbert")


@dataclass(frozen=True, slots=True)
class Named:
    """A published strategy in this library's words.

    Attributes:
        strategy: one of `xrealign.train.strategies.STRATEGIES`.
        aligner: what makes the links; ``none`` where sentences are realigned; None where nothing is.
        objective: ``word`` or ``sentence``; None where nothing is realigned.
        freeze: of the realignment, in the grammar of `xrealign.model.freezing`.
        how: further settings of the aligner, which a user's own win over.
    """

    strategy: str
    aligner: str | None
    objective: str | None
    freeze: str = "none"
    how: Mapping[str, int | float | str] = field(default_factory=dict)


def parse_published(name: str, blocks: int, family: str = "bert", exact: bool = False) -> Named:
    """The strategy a published name stands for, such as ``freeze_realign_unfreeze_last_half_dico``.

    Front-freezing comes out as ``front``, which keeps the embeddings with the lower blocks; ``exact`` gives what the
    programs do: the embeddings learn, and 6 blocks are frozen in XLM-R however many it has. The programs number
    layers from 0, the embeddings, and leave out the last number of a range: ``freeze_realign_unfreeze_3_6_dico``
    freezes layers 3 to 5. Theirs of attention takes BERT's norm after it along, which ``attention`` here does not.
    ``awesome`` is AWESOME's way to extract links (`awesome_settings`) on the vectors of the encoder itself; the papers
    ran its authors' program beforehand.

    Args:
        blocks: of the encoder.
        family: its ``model_type``.

    Raises:
        ConfigError: nobody published such a strategy; the nearest names are given.
    """
    if name == "baseline":
        return Named("none", None, None)
    base, _, aligner = name.rpartition("_")
    if aligner in PUBLISHED_ALIGNERS and (found := _moment_and_freeze(base, blocks, family, exact)) is not None:
        ours = PUBLISHED_ALIGNERS[aligner]
        how = awesome_settings(blocks) if aligner == "awesome" else {}
        return Named(found[0], ours, "sentence" if ours == "none" else "word", found[1], how)
    known = [f"{moment}_{aligner}" for moment in _MOMENTS for aligner in PUBLISHED_ALIGNERS] + ["baseline"]
    close = nearest(name, known, 3)
    hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
    raise ConfigError(
        f"{name!r} is no published strategy; expected baseline, or one of {', '.join(_MOMENTS)}, an underscore, and "
        f"one of {', '.join(PUBLISHED_ALIGNERS)}{hint}"
    )


def awesome_settings(blocks: int) -> dict[str, int | float | str]:
    """Settings of the aligner ``softmax`` as in AWESOME (Dou & Neubig 2021, arXiv 2101.08231, sections 2.1 and 3.2):
    dot products of layer 8 of mBERT, softmax both ways over 0.001, words linked where any of their subwords are.

    Encoders with fewer than 8 blocks are read at two thirds of them, which 8 is of mBERT's 12.
    """
    layer = 8 if blocks >= 8 else round(blocks * 2 / 3)
    return {"layer": layer, "level": "subword", "threshold": 1e-3, "temperature": 1.0}


def _moment_and_freeze(base: str, blocks: int, family: str, exact: bool) -> tuple[str, str] | None:
    front, back = published_halves(blocks, family) if exact else ("front", "back")
    # In joint training the program halves XLM-R as it halves the others.
    joint_front, joint_back = published_halves(blocks, "bert") if exact else ("front", "back")
    if exact and blocks % 2:
        joint_back = blocks_text(range(blocks // 2 + 1, blocks + 1))
    last_six = blocks_text(range(max(1, blocks - 5), blocks + 1))
    fixed = {
        "before": ("before", "none"),
        "during": ("during", "none"),
        "after": ("after", "none"),
        "before+during": ("before+during", "none"),
        "freeze_realign_unfreeze": ("before", front),
        "freeze_realign_unfreeze_last_half": ("before", back),
        "freeze_realign_unfreeze_last_6": ("before", last_six),
        "during_partial_freeze_front": ("during", joint_front),
        "during_partial_freeze_back": ("during", joint_back),
        "during_partial_freeze_none": ("during", "none"),
        "freeze_attn": ("before", "attention"),
        "freeze_ffn": ("before", "feed-forward"),
    }
    if base in fixed:
        return fixed[base]
    span = re.fullmatch(r"(freeze_realign_unfreeze|before_realign_only|during_partial_freeze)_(\d+)_(\d+)", base)
    if span is None:
        return None
    first, end = int(span[2]), int(span[3])
    if not first < end <= blocks + 1:
        raise ConfigError(
            f"{base!r}: {first} and {end} are no range of layers 0 (embeddings) to {blocks}, the second one left out"
        )
    parts = ["embeddings"] * (first == 0)
    parts += [blocks_text(range(max(first, 1), end))] * (end > 1)
    moment = "during" if span[1].startswith("during") else "before"
    return moment, ("only " if span[1] == "before_realign_only" else "") + "+".join(parts)


def published_halves(blocks: int, family: str) -> tuple[str, str]:
    """What the programs freeze as the front and as the back half, in the grammar of `xrealign.model.freezing`.

    The front is 6 blocks of XLM-R, whatever its size, and n // 2 of all others, without the embeddings; the back is
    the upper n // 2.
    """
    half = blocks // 2
    front = min(6, blocks) if family == "xlm-roberta" else half
    return blocks_text(range(1, front + 1)), blocks_text(range(blocks - half + 1, blocks + 1))


def published_sentence_mean(hidden: Tensor, words: Tensor) -> Tensor:
    """The sentence vectors of Nguyen et al.'s program: mean over the first W subword positions. → (S, D)

    W is the number of words, so what is averaged is the vector of CLS and of the first W − 1 subwords, not the words.
    The paper means one vector a word (`xrealign.model.words.mean_words`). Where truncation has left fewer than W
    positions, those that are left count; a sentence without words has a vector of zeros.

    Args:
        hidden: states. *Shape:* (S, T, D)
        words: number of words of each sentence, long. *Shape:* (S,)
    """
    places = torch.arange(hidden.shape[1], device=hidden.device)
    taken = (places < words[:, None]).to(hidden.dtype)  # (S, T)
    summed = torch.bmm(taken[:, None, :], hidden)[:, 0]
    return summed / taken.sum(1, keepdim=True).clamp(min=1)


@dataclass(frozen=True, slots=True)
class Setting:
    """A value of the published preset: what differs from the default here, and where it comes from."""

    value: Any
    source: str


def published_preset(
    family: str, blocks: int, freeze: str = "none", objective: str = "word", task: str = "nli"
) -> dict[str, Setting]:
    """``preset = "published"``: settings of the papers' code that are not the defaults here, by configuration key.

    A key that the user sets wins over the preset.

    Args:
        family: ``model_type`` of the encoder.
        freeze: as set by the user; ``front`` and ``back`` become what the programs freeze.
        task: pos, ner, nli or qa: AlignFreeze realigns for as many steps as it fine-tunes.

    Raises:
        ConfigError: the papers have no such encoder or task.
    """
    if family not in FAMILIES:
        raise ConfigError(f"preset = 'published' is for {', '.join(FAMILIES)} encoders; this one is a {family!r}")
    if task not in EPOCHS:
        raise ConfigError(f"the papers have no task {task!r}; expected one of {', '.join(EPOCHS)}")
    rate = Setting(
        7.5e-6 if family == "xlm-roberta" else 2e-5,
        "AlignFreeze: 7.5e-6 for XLM-R, 2e-5 for mBERT and distilmBERT",
    )
    front, back = published_halves(blocks, family)
    program = "AlignFreeze's program"
    preset = {
        "realign.layer": Setting(
            blocks - 1,
            "the programs read hidden_states[n − 1], so the last block gets no gradient; the papers say last",
        ),
        "realign.pooling": Setting("first", "Gaschi et al.: a word's first subword"),
        "realign.steps": Setting(24_544, "Nguyen et al., for every task; AlignFreeze: as many as fine-tuning has"),
        "realign.batch_size": Setting(16, "all three papers; languages drawn with equal chances, English the source"),
        "realign.learning_rate": rate,
        "realign.schedule": Setting("constant", f"{program}: Adam without a schedule before fine-tuning"),
        "realign.warmup": Setting(0.0, f"{program}: as above"),
        "realign.weight_decay": Setting(0.0, f"{program}: Adam, not AdamW"),
        "realign.clip": Setting(None, f"{program}: no clipping"),
        "realign.temperature": Setting(0.1, "Gaschi et al., after Wu & Dredze (2020)"),
        "realign.negatives": Setting("strong", "Gaschi et al., after Wu & Dredze (2020): words of both languages"),
        "realign.projection": Setting("mlp", "Gaschi et al.: two layers without biases, 128 wide, thrown away"),
        "realign.max_length": Setting(96, "AlignFreeze's scripts"),
        "realign.weight": Setting(0.1, "the realignment loss beside the task's in a joint step; 1 before"),
        "realign.freeze": Setting(
            {"front": front, "back": back}.get(freeze, freeze),
            f"{program}: embeddings learn in front-freezing; 6 blocks are hard-coded for XLM-R, n // 2 for BERT",
        ),
        "finetune.learning_rate": rate,
        "finetune.batch_size": Setting(32, "all three papers"),
        "finetune.schedule": Setting("linear", "all three papers: a fresh optimiser, linear decay"),
        "finetune.warmup": Setting(0.1, "all three papers"),
        "finetune.weight_decay": Setting(0.0, f"{program}: Adam, not AdamW"),
        "finetune.clip": Setting(None, f"{program}: no clipping"),
        "finetune.epochs": Setting(EPOCHS[task], "5 for POS, NER and QA, 2 for NLI"),
        "finetune.max_length": Setting(96, "as for realignment"),
    }
    if objective == "sentence":
        preset["realign.sentence_pooling"] = Setting(
            "published", "Nguyen et al.'s program averages the first W positions, CLS among them; the paper says words"
        )
    return preset


EPOCHS = {"pos": 5, "ner": 5, "qa": 5, "nli": 2}
PUBLISHED_ALIGNERS = {"dico": "dictionary", "fastalign": "fast-align", "awesome": "softmax", "noaligner": "none"}
_MOMENTS = (
    "before",
    "during",
    "after",
    "before+during",
    "freeze_realign_unfreeze",
    "freeze_realign_unfreeze_last_half",
    "freeze_realign_unfreeze_last_6",
    "freeze_realign_unfreeze_FIRST_END",
    "before_realign_only_FIRST_END",
    "during_partial_freeze_front",
    "during_partial_freeze_back",
    "during_partial_freeze_none",
    "during_partial_freeze_FIRST_END",
    "freeze_attn",
    "freeze_ffn",
)
