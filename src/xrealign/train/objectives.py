"""Realignment objectives by name: which layers they read, the heads they need, and the loss of a batch of pairs.

| name | loss | layers | projection | τ | needs |
|---|---|---|---|---|---|
| `word` | word contrastive; several layers: their mean, as PreAlign (Li et al. 2024) | last | mlp | 0.1 | links |
| `sentence` | sentence contrastive | last | mlp | 0.1 | |
| `ranking` | translation ranking, the other language's sentences only | last | none | 0.05 | |
| `transliteration` | sentence contrastive, of sentences and their romanisations | 8 | none | 1.0 | romanised targets |
| `l2` | squared distance of linked words + λ·drift of the source words | last | none | | links; a second pass |
| `parameter_drift` | distance of the parameters from the initial ones | | | | |
| `infoxlm` | contrast with a momentum encoder and a queue | 8 | linear | 0.25 | a second pass |
| `dap` | translation ranking + translating representations | last | none | 0.05 | a mask, the source side's ids |
| `xlm_align` | a masked word points at its translation | last | none | | a mask; two passes of joined pairs |
| `transport` | optimal transport between the words of a pair | last | none | | |
| `cka` | 1 − linear CKA of linked words, or of sentences | last | none | | links, or none |

`make_objective` builds one. Its ``loss(model, batch)`` is what `xrealign.train.phase.Objective` wants, with the encoder
under ``"encoder"`` in the model; ``from_states`` starts from states that somebody else computed or cached; ``encode``
and ``compare`` are the halves that `xrealign.train.micro` wants. Its heads belong in the model that is trained, so
that they move, learn and are checkpointed with it: their buffers are memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor, nn

from xrealign.errors import ConfigError, did_you_mean
from xrealign.model.layers import find_blocks, hidden_states, resolve_layer
from xrealign.model.words import TextBatch
from xrealign.train import objective_losses as of
from xrealign.train.losses_contrastive import Temperature
from xrealign.train.losses_pointer import Pointer
from xrealign.train.losses_translation import TranslationHead
from xrealign.train.objective_losses import Reading, Vectors
from xrealign.train.objective_settings import (
    Negatives,
    ObjectiveSettings,
    Projection,
    SentencePooling,
    check_settings,
)
from xrealign.train.seeds import seed_torch
from xrealign.train.slow_copy import Queue, SlowCopy
from xrealign.train.streams import PairBatch

PROJECTION = 128


Heads = nn.ModuleDict
Encode = Callable[[Reading, Heads, ObjectiveSettings], Vectors]
Compare = Callable[[Vectors, PairBatch, Heads, ObjectiveSettings], Tensor]
Whole = Callable[[Reading, PairBatch, Heads, ObjectiveSettings], Tensor]


@dataclass(frozen=True)
class Kind:
    """An objective as `OBJECTIVES` lists it, with what its paper (or the sound reading of it) sets.

    Attributes:
        loss: of a batch: the two halves of it, or a whole.
        own: what replaces the settings left at None.
        heads: which heads it has besides projection and temperature.
        needs_links: whether it has nothing to learn from without links.
        most_layers: how many layers it can read, or None.
        reads_states: whether it reads the states of the batch, or only of passes of its own.
    """

    loss: tuple[Encode, Compare] | Whole
    own: ObjectiveSettings
    heads: tuple[str, ...] = ()
    needs_links: bool = False
    most_layers: int | None = None
    reads_states: bool = True


@dataclass(frozen=True)
class RealignObjective:
    """An objective ready for training: `make_objective` makes it.

    Attributes:
        layers: layers whose states it reads, 0 … blocks; further passes are its own affair.
        heads: its modules, to be put into the model that is trained.
        settings: with nothing left open.
        needs_links: whether it has nothing to learn from without links.
        waits: whether a queue and a slow copy wait for `remember`, so that a step that is begun again (the memory was
            too small) is remembered once; otherwise each loss while training is remembered at once.
    """

    name: str
    layers: tuple[int, ...]
    heads: nn.ModuleDict
    settings: ObjectiveSettings
    needs_links: bool
    _loss: tuple[Encode, Compare] | Whole
    waits: bool = False

    def loss(self, model: nn.Module, batch: PairBatch) -> Tensor:
        """The loss of a batch, of a model that holds the encoder under ``"encoder"``."""
        encoder: nn.Module = model["encoder"]  # type: ignore[index]
        return self.from_states(hidden_states(encoder, self.layers, batch.texts.inputs), batch, encoder)

    def from_states(self, states: Mapping[int, Tensor], batch: PairBatch, encoder: nn.Module) -> Tensor:
        """The loss from the states of ``layers``, (2B, T, D) each."""
        reading = Reading(states, batch.texts, encoder)
        if isinstance(self._loss, tuple):
            encode, _ = self._loss
            return self._compared(encode(reading, self.heads, self.settings), batch)
        return self._loss(reading, batch, self.heads, self.settings)

    @property
    def divisible(self) -> bool:
        """Whether a batch can be encoded in parts: `encode` and `compare` are then the two halves of the loss."""
        return isinstance(self._loss, tuple)

    def encode(self, model: nn.Module, texts: TextBatch) -> Vectors:
        """Vectors of some sentences or their words, by row, as many tensors as the objective compares."""
        encoder: nn.Module = model["encoder"]  # type: ignore[index]
        return self.encode_states(hidden_states(encoder, self.layers, texts.inputs), texts, encoder)

    def encode_states(self, states: Mapping[int, Tensor], texts: TextBatch, encoder: nn.Module) -> Vectors:
        """What `encode` makes, from the states of ``layers``."""
        encode, _ = self._halves()
        return encode(Reading(states, texts, encoder), self.heads, self.settings)

    def rows(self, texts: TextBatch) -> int:
        """How many rows `encode` makes of some sentences: one a word, or one a sentence."""
        encode, _ = self._halves()
        either = encode is of.encode_either and self.settings.compared == "words"
        words = either or encode in (of.encode_words, of.encode_with_initial)
        return len(texts.word) if words else len(texts.inputs["input_ids"])

    def compare(self, model: nn.Module, vectors: Vectors | Tensor, batch: PairBatch) -> Tensor:
        """The loss from the vectors of all sentences of the batch."""
        return self._compared((vectors,) if isinstance(vectors, Tensor) else vectors, batch)

    def remember(self, left_out: Tensor | None = None) -> None:
        """Puts the last loss's keys into the queue and lets the slow copy follow; nothing where there are none, or
        where the step is ``left_out`` (1 on the device)."""
        of.remember(self.heads, left_out)

    def _compared(self, vectors: Vectors, batch: PairBatch) -> Tensor:
        _, compare = self._halves()
        loss = compare(vectors, batch, self.heads, self.settings)
        if not self.waits:
            self.remember()
        return loss

    def _halves(self) -> tuple[Encode, Compare]:
        if isinstance(self._loss, tuple):
            return self._loss
        raise ConfigError(f"objective {self.name!r} cannot be computed in parts: give it a smaller batch_size")


def make_objective(
    name: str,
    settings: ObjectiveSettings,
    encoder: Any,
    seed: int,
    learning: frozenset[str] | None = None,
    mask_id: int | None = None,
    vocabulary: np.ndarray[Any, Any] | None = None,
) -> RealignObjective:
    """Builds an objective for an encoder, its first values depending on ``seed`` alone.

    Args:
        encoder: a Hugging Face encoder, after vocabulary compaction if there is to be any; the mask must then be
            among the ids kept.
        learning: names of the encoder's parameters that learn, all by default: what slow copies copy.
        mask_id: id of the mask, for ``dap`` and ``xlm_align``.
        vocabulary: ids that occur on the source side, sorted, each once, for ``dap``.

    Raises:
        ConfigError: there is no such objective, setting or layer, or it lacks a mask.
    """
    if name not in OBJECTIVES:
        hint = did_you_mean(name, OBJECTIVES)
        raise ConfigError(f"objective {name!r} is unknown; expected one of {', '.join(OBJECTIVES)}{hint}")
    kind = OBJECTIVES[name]
    settings = replace(settings, **{k: v for k, v in vars(kind.own).items() if getattr(settings, k) is None})
    check_settings(name, settings)
    blocks = len(find_blocks(encoder))
    layers = tuple(sorted({resolve_layer(layer, blocks) for layer in settings.layers or ()}))
    if kind.most_layers is not None and len(layers) > kind.most_layers:
        raise ConfigError(f"objective {name!r} reads {kind.most_layers} layer, not {len(layers)}: {layers}")
    settings = replace(settings, layers=layers)
    own_links = name == "xlm_align" and settings.labels == "self"
    if own_links:
        settings = replace(settings, label_layer=resolve_layer(settings.label_layer, blocks))
    all_names = frozenset(n for n, _ in encoder.named_parameters() if not n.startswith("pooler."))
    parts = _Parts(encoder, all_names if learning is None else learning, mask_id, vocabulary)
    heads = _heads(name, kind, settings, parts, seed)
    needs_links = kind.needs_links and not own_links and not (name == "cka" and settings.compared == "sentences")
    read = layers if kind.reads_states else ()
    return RealignObjective(name, read, heads, settings, needs_links, kind.loss)


def projection_head(width: int, kind: str, seed: int) -> nn.Module:
    """g = Linear(D→D) · ReLU · Linear(D→128), or Linear(D→D), no biases, thrown away after realignment."""
    if kind == "none":
        return nn.Identity()
    seed_torch(seed, "projection")
    first = nn.Linear(width, width, bias=False)
    if kind == "linear":
        return first
    return nn.Sequential(first, nn.ReLU(), nn.Linear(width, PROJECTION, bias=False))


@dataclass(frozen=True)
class _Parts:
    encoder: Any
    learning: frozenset[str]
    mask_id: int | None
    vocabulary: np.ndarray[Any, Any] | None


def _heads(name: str, kind: Kind, settings: ObjectiveSettings, parts: _Parts, seed: int) -> nn.ModuleDict:
    width = int(parts.encoder.config.hidden_size)
    made: dict[str, nn.Module] = {}
    if settings.projection is not None:
        made["projection"] = projection_head(width, settings.projection, seed)
    if settings.learned_temperature and settings.temperature is not None:
        made["temperature"] = Temperature(settings.temperature)
    seed_torch(seed, "heads", name)
    if "initial" in kind.heads:
        made["initial"] = SlowCopy(parts.encoder, parts.learning, 1.0)
    if "slow" in kind.heads:
        projection = made["projection"]
        made["slow"] = SlowCopy(parts.encoder, parts.learning, settings.momentum)
        learned = [n for n, _ in projection.named_parameters()]
        made["slow_projection"] = SlowCopy(projection, learned, settings.momentum)
        made["queue"] = Queue(settings.queue, PROJECTION if settings.projection == "mlp" else width)
    if "pointer" in kind.heads:
        made["pointer"] = Pointer(width, _mask(name, parts), int(parts.encoder.config.pad_token_id))
    if "translation" in kind.heads:
        ids = np.zeros(0) if parts.vocabulary is None else parts.vocabulary
        made["translation"] = TranslationHead(parts.encoder, ids, _mask(name, parts))
    return nn.ModuleDict(made)


def _mask(name: str, parts: _Parts) -> int:
    if parts.mask_id is None:
        raise ConfigError(f"objective {name!r} masks words, which needs a tokenizer with a mask; this one has none")
    return parts.mask_id


def _own(
    layers: tuple[int, ...],
    projection: Projection | None = None,
    temperature: float | None = None,
    negatives: Negatives | None = None,
    sentence_pooling: SentencePooling | None = None,
) -> ObjectiveSettings:
    return ObjectiveSettings(
        layers=layers,
        projection=projection,
        temperature=temperature,
        negatives=negatives,
        sentence_pooling=sentence_pooling,
    )


OBJECTIVES: Mapping[str, Kind] = {
    "word": Kind((of.encode_words, of.compare_words), _own((-1,), "mlp", 0.1, "strong"), needs_links=True),
    "sentence": Kind((of.encode_sentences, of.compare_sentences), _own((-1,), "mlp", 0.1, "strong", "words")),
    "ranking": Kind((of.encode_sentences, of.compare_sentences), _own((-1,), "none", 0.05, "weak", "cls")),
    "transliteration": Kind((of.encode_sentences, of.compare_sentences), _own((8,), "none", 1.0, "strong", "words")),
    "l2": Kind((of.encode_with_initial, of.compare_squared), _own((-1,)), ("initial",), needs_links=True),
    "parameter_drift": Kind(of.whole_drift, _own(()), ("initial",), most_layers=0),
    "infoxlm": Kind(
        (of.encode_with_keys, of.compare_with_queue),
        _own((8,), "linear", 0.25, None, "cls"),
        ("slow",),
        most_layers=1,
    ),
    "dap": Kind(of.whole_dap, _own((-1,), "none", 0.05, "weak", "cls"), ("translation",)),
    "xlm_align": Kind(of.whole_xlm_align, _own((-1,)), ("pointer",), needs_links=True, reads_states=False),
    "transport": Kind((of.encode_words, of.compare_transport), _own((-1,))),
    "cka": Kind((of.encode_either, of.compare_cka), _own((-1,), None, None, None, "words"), needs_links=True),
}
