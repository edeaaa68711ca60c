"""Masked and translation language modelling beside other objectives, for encoders that come with a head for it.

MLM (Devlin et al. 2019, arXiv 1810.04805, section 3.1) and TLM, MLM on a sentence and its translation as one sequence
(Lample & Conneau 2019, arXiv 1901.07291, section 3.3). What is masked is a pure function of seed and step, made on the
host as index arrays; scores of the vocabulary are computed at the masked places alone.

*Shapes:* S sequences, T subwords, M masked places, D dims, V subwords of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xrealign.errors import ConfigError
from xrealign.model.words import EncodedTexts, TextBatch, make_batch
from xrealign.train.seeds import numpy_generator

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class MaskSettings:
    """What is masked.

    Attributes:
        share: of the subwords (or words) that are predicted.
        masked, random: shares of those that become the mask and a random subword; the rest stays as it is.
        whole_words: choose words instead of subwords, and predict all of a word's subwords; what becomes of each is
            drawn for itself, as in BERT's whole-word masking.
    """

    share: float = 0.15
    masked: float = 0.8
    random: float = 0.1
    whole_words: bool = False

    def __post_init__(self) -> None:
        """Raises: ConfigError: the shares are impossible."""
        if not 0 < self.share <= 1:
            raise ConfigError(f"mask share {self.share} is impossible; expected more than 0, at most 1")
        if min(self.masked, self.random) < 0 or self.masked + self.random > 1:
            raise ConfigError(f"masked {self.masked} and random {self.random} must be shares that add up to 1 at most")


@dataclass(frozen=True, slots=True)
class Subwords:
    """What masking needs to know of a vocabulary.

    Attributes:
        mask: id of the mask.
        special: ids that are never predicted, sorted: all special subwords, the unknown one too.
        random: ids that random subwords are drawn from.
    """

    mask: int
    special: Array
    random: Array


@dataclass(frozen=True, slots=True)
class MaskedBatch:
    """Inputs with places masked.

    Attributes:
        inputs: ``input_ids`` and ``attention_mask``. *Shape:* (S, T)
        places: of what is predicted, in the flattened (S·T) batch, ascending. *Shape:* (M,)
        labels: ids that stood there. *Shape:* (M,)
    """

    inputs: dict[str, Tensor]
    places: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> MaskedBatch:
        """The batch on ``device``."""
        inputs = {name: tensor.to(device, non_blocking=True) for name, tensor in self.inputs.items()}
        return MaskedBatch(inputs, self.places.to(device, non_blocking=True), self.labels.to(device, non_blocking=True))


def subwords_of(tokenizer: Any, used: Sequence[Array] | None = None) -> Subwords:
    """The vocabulary of a tokenizer, for masking.

    Args:
        used: draw random subwords from those that occur in these arrays of ids, as a compact vocabulary needs; None
            for the whole vocabulary.

    Raises:
        ConfigError: the tokenizer has no mask.
    """
    if tokenizer.mask_token_id is None:
        raise ConfigError(f"MLM and TLM need a mask in the vocabulary; {tokenizer.name_or_path} has none")
    special = np.array(sorted(tokenizer.all_special_ids), dtype=np.int64)
    known = np.arange(len(tokenizer)) if used is None else np.unique(np.concatenate([np.unique(ids) for ids in used]))
    return Subwords(int(tokenizer.mask_token_id), special, np.setdiff1d(known, special))


def mask_batch(
    batch: TextBatch,
    settings: MaskSettings,
    subwords: Subwords,
    draw: np.random.Generator,
    allowed: Array | None = None,
) -> MaskedBatch:
    """Masks subwords of words; special ones are never chosen. At least one place, where there is any to choose.

    Args:
        batch: made from texts that were encoded with their words (`encode_texts` with spans).
        draw: decides; the same draws make the same masks.
        allowed: which of ``batch.positions`` may be chosen; None for all. *Shape:* (K,)
    """
    ids = batch.inputs["input_ids"].reshape(-1).numpy().copy()
    positions, segments = batch.positions.numpy(), batch.segments.numpy()
    open_ = ~np.isin(ids[positions], subwords.special)
    if allowed is not None:
        open_ &= allowed
    chances = draw.random(len(batch.sizes))[segments] if settings.whole_words else draw.random(len(positions))
    chances = np.where(open_, chances, np.inf)
    # The likeliest place is chosen in any case, so that a batch is never without.
    chosen = open_ & ((chances < settings.share) | (chances == chances.min(initial=np.inf)))
    places = positions[chosen]
    labels = ids[places].copy()
    fate = draw.random(len(places))
    random = subwords.random[draw.integers(len(subwords.random), size=len(places))]
    ids[places] = np.where(
        fate < settings.masked,
        subwords.mask,
        np.where(fate < settings.masked + settings.random, random, labels),
    )
    order = np.argsort(places)  # positions go by word, not by place
    inputs = {**batch.inputs, "input_ids": torch.from_numpy(ids).view(batch.inputs["input_ids"].shape)}
    return MaskedBatch(inputs, torch.from_numpy(places[order]), torch.from_numpy(labels[order]))


@dataclass(frozen=True, slots=True)
class MaskedStream:
    """MLM batches of sentences of one or more `EncodedTexts`, a pure function of seed and step."""

    parts: Sequence[EncodedTexts]
    plan: Array
    pad: int
    subwords: Subwords
    settings: MaskSettings
    seed: int

    def __call__(self, step: int) -> MaskedBatch:
        batch = make_batch([(texts, self.plan[step]) for texts in self.parts], self.pad)
        return mask_batch(batch, self.settings, self.subwords, numpy_generator(self.seed, "mlm", step))


@dataclass(frozen=True, slots=True)
class PairForm:
    """How a tokenizer joins two sentences: ``first``'s ids, ``between``, ``second``'s ids without its ``dropped``
    leading ones. XLM-R: ``<s> a </s>``, ``</s>``, ``b </s>``; BERT: ``[CLS] a [SEP]``, nothing, ``b [SEP]``."""

    between: Array
    dropped: int


def pair_form(tokenizer: Any) -> PairForm:
    """Finds a tokenizer's `PairForm`.

    Raises:
        ConfigError: it does not join two sentences in such a way.
    """
    first, second = tokenizer("a")["input_ids"], tokenizer("b")["input_ids"]
    both = tokenizer("a", "b")["input_ids"]
    for dropped in range(len(second)):
        middle = len(both) - len(first) - (len(second) - dropped)
        if middle >= 0 and both == [*first, *both[len(first) : len(first) + middle], *second[dropped:]]:
            return PairForm(np.array(both[len(first) : len(first) + middle], dtype=np.int32), dropped)
    raise ConfigError(f"{tokenizer.name_or_path} joins two sentences in a way that is not known here: no TLM, no PSI")


def join_pairs(src: EncodedTexts, src_rows: Array, tgt: EncodedTexts, tgt_rows: Array, form: PairForm) -> EncodedTexts:
    """Row p is sentence ``src_rows[p]`` and then sentence ``tgt_rows[p]``, as the tokenizer joins pairs.

    Words of the second sentence are numbered on from the first one's. Kinds of segments (``token_type_ids``) are left
    at 0, as in the program of Dou & Neubig (2021).
    """
    ids, words = [], []
    gap = np.full(len(form.between), -1, dtype=np.int32)
    for i, j in zip(src_rows, tgt_rows, strict=True):
        left = slice(src.offsets[i], src.offsets[i + 1])
        right = slice(tgt.offsets[j] + form.dropped, tgt.offsets[j + 1])
        shifted = np.where(tgt.words[right] >= 0, tgt.words[right] + src.word_counts[i], -1)
        ids += [src.ids[left], form.between, tgt.ids[right]]
        words += [src.words[left], gap, shifted.astype(np.int32)]
    lengths = src.lengths[src_rows] + len(form.between) + tgt.lengths[tgt_rows] - form.dropped
    none = np.zeros(0, dtype=np.int32)
    return EncodedTexts(
        np.concatenate([none, *ids]),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.concatenate([none, *words]),
        src.word_counts[src_rows] + tgt.word_counts[tgt_rows],
        0,
    )


@dataclass(frozen=True, slots=True)
class TranslationStream:
    """TLM batches of joined pairs, a pure function of seed and step.

    Each pair occurs twice, masked on its source side alone and on its target side alone, as in Dou & Neubig (2021,
    section 2.2); which sentence comes first is drawn. ``apart`` off masks both sides of one copy (Lample & Conneau).
    """

    src: EncodedTexts
    tgt: EncodedTexts
    plan: Array
    pad: int
    form: PairForm
    subwords: Subwords
    settings: MaskSettings
    seed: int
    apart: bool = True

    def __call__(self, step: int) -> MaskedBatch:
        draw = numpy_generator(self.seed, "tlm", step)
        rows = self.plan[step]
        turned = draw.random(len(rows)) < 0.5
        parts = [
            join_pairs(one, rows[where], other, rows[where], self.form)
            for one, other, where in ((self.src, self.tgt, ~turned), (self.tgt, self.src, turned))
        ]
        every = [(part, np.arange(len(part))) for part in parts]
        if not self.apart:
            return mask_batch(make_batch(every, self.pad), self.settings, self.subwords, draw)
        batch = make_batch([*every, *every], self.pad)
        firsts = np.concatenate([self.src.word_counts[rows[~turned]], self.tgt.word_counts[rows[turned]]])
        sentence = batch.sentence.numpy()
        second = batch.word.numpy() >= np.tile(firsts, 2)[sentence]
        word_allowed = second == (sentence >= len(rows))
        return mask_batch(batch, self.settings, self.subwords, draw, word_allowed[batch.segments])


def masked_predictions(model: nn.Module, batch: MaskedBatch) -> tuple[Tensor, Tensor]:
    """Scores of the vocabulary at the M masked places, *Shape:* (M, V), and which of them is right, *Shape:* (M,).

    Args:
        model: a masked language model of transformers. Its head is given the states at the masked places alone.
    """
    base: nn.Module = model.base_model  # type: ignore[assignment]

    def keep_places(_module: nn.Module, _args: Any, output: Any) -> Any:
        states = output.last_hidden_state
        output.last_hidden_state = states.reshape(-1, states.shape[-1]).index_select(0, batch.places)[None]
        return output

    handle = base.register_forward_hook(keep_places)
    try:
        scores: Tensor = model(**batch.inputs).logits[0]
    finally:
        handle.remove()
    output: Any = model.get_output_embeddings()  # type: ignore[operator]
    return scores, output.rows_of(batch.labels) if hasattr(output, "rows_of") else batch.labels


def masked_loss(model: nn.Module, batch: MaskedBatch) -> Tensor:
    """Cross-entropy of the masked subwords, mean over the M places; zero, with a gradient, when there are none."""
    scores, labels = masked_predictions(model, batch)
    return F.cross_entropy(scores.float(), labels) if len(labels) else scores.sum() * 0.0
