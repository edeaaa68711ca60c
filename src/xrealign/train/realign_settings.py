"""What a realignment is told: the keys of a configuration's ``[realign]`` table, which explains them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from xrealign.errors import ConfigError, did_you_mean
from xrealign.progress import say
from xrealign.train.objective_settings import Negatives, ObjectiveSettings, Projection, SentencePooling
from xrealign.train.objectives import OBJECTIVES
from xrealign.train.switching import By, Lexicon

COMPANIONS = ("mlm", "tlm")
MASKING = ("dap", "xlm_align", *COMPANIONS)
JOINING = ("dap", "xlm_align", "tlm")  # run both sentences of a pair as one text


@dataclass(frozen=True)
class RealignSettings:
    """How to realign; None is the objective's own value (`xrealign.train.objectives`).

    Attributes:
        objective: a name, or several with their weights.
        settings: further fields of `ObjectiveSettings`.
        lora: fields of `LoraSettings`, for ``adapter = "lora"``.
        code_switch: probability of each unit of the source to be replaced by its translation; ``code_switch_by`` says
            what units are (`xrealign.train.switching.switch_sources`).
        lexicon: of ``code_switch_by = "dictionary"``; the configuration's come from ``align.dictionaries``.
        front_cache: GiB of the user's cache for states of a frozen front, whose dropout is then off; 0 for none.
        gather: of several processes: compare with the vectors of all of them, or with this one's share alone.
        layer: one layer; ``layers`` several.
    """

    objective: str | Mapping[str, float] = "word"
    steps: int = 1000
    batch_size: int = 16
    learning_rate: float = 2e-5
    layer: int | None = None
    layers: tuple[int, ...] | None = None
    pooling: Literal["first", "mean", "sum"] = "mean"
    sentence_pooling: SentencePooling | None = None
    projection: Projection | None = None
    temperature: float | None = None
    learned_temperature: bool = False
    negatives: Negatives | None = None
    direction: Literal["both", "forward", "backward"] = "both"
    margin: float = 0.0
    settings: Mapping[str, Any] = field(default_factory=dict)
    freeze: str = "front"
    adapter: Literal["none", "lora"] = "none"
    lora: Mapping[str, Any] = field(default_factory=dict)
    front_cache: float = 0.0
    gather: bool = True
    watch: Literal["warn", "stop", "off"] = "warn"
    mixture: str = "uniform"
    mixture_temperature: float = 5.0
    mixture_weights: Mapping[str, float] | None = None
    code_switch: float = 0.0
    code_switch_by: By = "links"
    lexicon: Lexicon | None = None
    max_length: int = 96
    schedule: Literal["constant", "linear"] = "constant"
    warmup: float = 0.0
    weight_decay: float = 0.0
    clip: float | None = None
    compact_vocabulary: bool = True
    checkpoint_every: int = 100
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    compile: bool = False

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each objective, by name."""
        return {self.objective: 1.0} if isinstance(self.objective, str) else dict(self.objective)

    def objective_settings(self, name: str) -> ObjectiveSettings:
        """What the objective ``name`` is told.

        Raises:
            ConfigError: ``layer`` and ``layers`` are both given, or ``settings`` has a key that no objective knows.
        """
        if self.layer is not None and self.layers is not None:
            raise ConfigError(f"layer = {self.layer} and layers = {list(self.layers)} say the same thing; keep one")
        known = ObjectiveSettings.__dataclass_fields__
        for key in self.settings:
            if key not in known:
                raise ConfigError(f"settings.{key}: no objective has it{did_you_mean(key, known)}")
        layers = None if self.layer is None else (self.layer,)
        return ObjectiveSettings(
            layers=None if OBJECTIVES[name].most_layers == 0 else self.layers or layers,
            pooling=self.pooling,
            sentence_pooling=self.sentence_pooling,
            projection=self.projection,
            temperature=self.temperature,
            learned_temperature=self.learned_temperature,
            negatives=self.negatives,
            direction=self.direction,
            margin=self.margin,
            **self.settings,
        )


def cut_to_fit(settings: RealignSettings, positions: int | None) -> RealignSettings:
    """The settings with a ``max_length`` of which two sentences fit into ``positions``, where an objective joins those
    of a pair; said in one line where that is less than was asked for. `Pairs.facts` counts the words that are cut.
    """
    joining = [name for name in settings.weights if name in JOINING]
    if positions is None or not joining:
        return settings
    most = (positions - ("tlm" in joining)) // 2  # some tokenizers set one more subword between the two
    if settings.max_length <= most:
        return settings
    say(
        f"  {' and '.join(joining)} read both sentences of a pair as one text of {positions} subwords at most: each is "
        f"cut at {most} subwords, not at max_length = {settings.max_length}"
    )
    return replace(settings, max_length=most)


def check_weights(weights: Mapping[str, float]) -> None:
    """Looks at a sum of objectives.

    Raises:
        ConfigError: it is empty, a name is unknown, or a weight is not above 0; all of them are named.
    """
    known = (*OBJECTIVES, *COMPANIONS)
    wrong = [
        f"objective {name!r} is unknown; expected one of {', '.join(known)}{did_you_mean(name, known)}"
        for name in weights
        if name not in known
    ]
    wrong += [
        f"objective {name!r}: weight {weight} is impossible; expected more than 0"
        for name, weight in weights.items()
        if weight <= 0
    ]
    if not weights:
        wrong = [f"no objective; expected one of {', '.join(known)}"]
    if wrong:
        raise ConfigError(wrong)
