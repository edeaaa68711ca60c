"""What a realignment objective may be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from xrealign.errors import ConfigError

SENTENCE_POOLINGS = ("words", "subwords", "cls", "published")
MARGINS = ("sentence", "ranking", "transliteration", "dap")
PROJECTIONS = ("mlp", "linear", "none")
Projection = Literal["mlp", "linear", "none"]
SentencePooling = Literal["words", "subwords", "cls", "published"]
Negatives = Literal["strong", "weak"]


@dataclass(frozen=True)
class ObjectiveSettings:
    """What an objective may be told. Each reads what concerns it; None is its own (see `xrealign.train.objectives`).

    Attributes:
        layers: layers whose states it reads; of several, the mean of the losses, through one projection.
        pooling: how a word's vector comes from its subwords.
        sentence_pooling: a sentence's vector: mean of its words' vectors, of its subwords' states, [CLS], or what a
            published program averages (`xrealign.train.published.published_sentence_mean`).
        projection: ``mlp`` is Linear(D→D)·ReLU·Linear(D→128), ``linear`` Linear(D→D), all without biases.
        temperature, learned_temperature: divides the cosines; learned, the number is where it begins.
        negatives, direction, candidates: of contrastive objectives, see `word_contrastive`.
        margin: of sentence contrastive objectives (`MARGINS`), see `sentence_contrastive`.
        drift: λ of ``l2``: weight of the squared distance of the source words from what they were.
        queue, momentum: of ``infoxlm``: queued sentences; share of the slow copy that each step keeps.
        normalise: whether ``infoxlm`` compares cosines, or dot products as its authors' program does.
        translation: weight of ``dap``'s translation of representations beside its ranking.
        mask_share: share of the words that ``xlm_align`` masks.
        labels: where ``xlm_align``'s links come from: the encoder itself (``self``), or the batch (``links``).
        label_layer: layer at which it labels.
        epsilon: weight of the entropy in optimal transport.
        compared: what ``cka`` compares, linked ``words`` or ``sentences``.
    """

    layers: tuple[int, ...] | None = None
    pooling: Literal["first", "mean", "sum"] = "mean"
    sentence_pooling: SentencePooling | None = None
    projection: Projection | None = None
    temperature: float | None = None
    learned_temperature: bool = False
    negatives: Negatives | None = None
    direction: Literal["both", "forward", "backward"] = "both"
    candidates: Literal["all", "linked"] = "all"
    margin: float = 0.0
    drift: float = 1.0
    queue: int = 131_072
    momentum: float = 0.9999
    normalise: bool = True
    translation: float = 1.0
    mask_share: float = 0.15
    labels: Literal["self", "links"] = "self"
    label_layer: int = 8
    epsilon: float = 0.05
    compared: Literal["words", "sentences"] = "words"


def check_settings(name: str, settings: ObjectiveSettings) -> None:
    """Looks at what `xrealign.train.losses` would only find out in training.

    Raises:
        ConfigError: a value is impossible; all of them are named.
    """
    wrong = [
        f"{name}: {key} = {getattr(settings, key)!r} is impossible; expected {expected}"
        for key, expected, fits in (
            ("temperature", "more than 0", settings.temperature is None or settings.temperature > 0),
            ("pooling", "first, mean or sum", settings.pooling in ("first", "mean", "sum")),
            (
                "sentence_pooling",
                "words, subwords, cls or published",
                settings.sentence_pooling in (*SENTENCE_POOLINGS, None),
            ),
            ("projection", "mlp, linear or none", settings.projection in (*PROJECTIONS, None)),
            ("negatives", "strong or weak", settings.negatives in ("strong", "weak", None)),
            ("direction", "both, forward or backward", settings.direction in ("both", "forward", "backward")),
            ("candidates", "all or linked", settings.candidates in ("all", "linked")),
            ("margin", "0 to 2, as cosines differ by 2 at most", 0 <= settings.margin <= 2),
            ("drift", "0 or more", settings.drift >= 0),
            ("queue", "1 or more", settings.queue >= 1),
            ("momentum", "0 to 1", 0 <= settings.momentum <= 1),
            ("mask_share", "more than 0, at most 1", 0 < settings.mask_share <= 1),
            ("labels", "self or links", settings.labels in ("self", "links")),
            ("epsilon", "more than 0", settings.epsilon > 0),
            ("compared", "words or sentences", settings.compared in ("words", "sentences")),
        )
        if not fits
    ]
    if wrong:
        raise ConfigError(wrong)
