"""What a fine-tuned model says of examples: inference mode, batches of like lengths, one forward pass for all maps.

    head, kind, labels, tags = load_head(folder)
    found = predict(encoder, head, kind, examples, labels, tags, maps={"as is": None, "centred": transform})
    found["centred"].predictions

A map (`xrealign.model.transform_fits.Transform`) is affine and so is mean pooling, so it is applied to the few pooled
vectors and not to every state.

*Shapes:* E examples, N windows, ΣW words of all examples.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from xrealign.errors import ConfigError
from xrealign.model.encoder import Encoder
from xrealign.model.finite import check_vectors, finite_sentences
from xrealign.model.layers import find_blocks, hidden_state
from xrealign.model.prompt import check_room
from xrealign.model.transform_fits import Transform
from xrealign.model.words import batch_subwords, length_batches
from xrealign.progress import track
from xrealign.tasks.statistics import Prediction, SlotPrediction
from xrealign.tasks.task import AnyExample, Kind
from xrealign.train.decode import best_spans, best_tags, repair_tags
from xrealign.train.heads import head_vectors, span_scores
from xrealign.train.hub_heads import HubHead
from xrealign.train.task_inputs import TaskInputs, encode_task
from xrealign.train.task_streams import make_task_batch, word_numbers

Array = np.ndarray[Any, Any]
AS_IS: Mapping[str, Transform | None] = {"": None}


@dataclass(frozen=True)
class PredictSettings:
    """How to predict.

    Attributes:
        max_length: longest text or window in subwords, special ones included.
        stride: subwords that a window shares with the one before.
        subwords: of a batch, padding included; None for what suits the device.
        constrained: of kind ner: the most probable tags among those where no I-X follows anything but B-X and I-X;
            otherwise each word's most probable tag, and an I-X that follows anything else is taken for B-X, which is
            how seqeval and the CoNLL script read it.
        max_answer: of kind qa: subwords of the longest answer.
    """

    max_length: int = 96
    stride: int = 32
    subwords: int | None = None
    constrained: bool = False
    max_answer: int = 30

    def __post_init__(self) -> None:
        """Raises: ConfigError: a number is not above 0."""
        for name in ("max_length", "subwords", "max_answer"):
            if (given := getattr(self, name)) is not None and given < 1:
                raise ConfigError(f"{name} = {given} is impossible; expected 1 or more")


@dataclass(frozen=True)
class Predicted:
    """What a model says.

    Attributes:
        predictions: one for each example, as `xrealign.tasks.statistics` reads them.
        cut_words: words without a subword, for which nothing can be predicted; "" in their place.
        cut: all that was cut, by reason.
    """

    predictions: tuple[Prediction, ...]
    cut_words: int
    cut: Mapping[str, int]


def predict(
    encoder: Encoder,
    head: nn.Module,
    kind: Kind,
    examples: Sequence[AnyExample],
    labels: Sequence[str],
    tags: Sequence[str],
    *,
    maps: Mapping[str, Transform | None] = AS_IS,
    what: str | None = None,
    **settings: Any,
) -> dict[str, Predicted]:
    """Predictions of each named column of ``maps``, all from one forward pass over the examples.

    Args:
        labels, tags: as trained on, in the order of the head's scores.
        maps: an affine map of the last layer's states each, before the head; None leaves them as they are.
        what: names the work on the progress bar; without it there is none.
        settings: fields of `PredictSettings`: ``max_length`` and others.

    Raises:
        ArtifactError: the encoder's states of a text are not finite.
        ConfigError: ``max_length`` is more than the encoder reads.
    """
    chosen = PredictSettings(**settings)
    check_room(encoder.model, chosen.max_length)
    inputs = encode_task(encoder.tokenizer, kind, examples, chosen.max_length, chosen.stride)
    pad = int(encoder.tokenizer.pad_token_id)
    return predict_inputs(encoder.model, head, inputs, examples, labels, tags, pad, chosen, maps, what)


def predict_inputs(
    model: nn.Module,
    head: nn.Module,
    inputs: TaskInputs,
    examples: Sequence[AnyExample],
    labels: Sequence[str],
    tags: Sequence[str],
    pad: int,
    settings: PredictSettings = PredictSettings(),
    maps: Mapping[str, Transform | None] = AS_IS,
    what: str | None = None,
) -> dict[str, Predicted]:
    """`predict` on examples that were tokenised before. Model and head stay in the mode they were in.

    Raises:
        ConfigError: maps of states, of a model whose head is transformers' own.
    """
    if isinstance(head, HubHead) and maps != AS_IS:
        raise ConfigError("maps of states are for models that xrealign trained; this one's head is transformers' own")
    device = next(model.parameters()).device
    modes = model.training, head.training
    model.eval()
    head.to(device).eval()
    batches = length_batches(inputs.texts.lengths, settings.subwords or batch_subwords(device))
    found: dict[str, list[tuple[Tensor, ...]]] = {name: [] for name in maps}
    words: list[Array] = []
    finite: list[Tensor] = []
    top = len(find_blocks(model))
    try:
        with torch.inference_mode():
            for rows in track(batches, what) if what else batches:
                batch = make_task_batch(inputs, rows, pad)
                words.append(word_numbers(inputs, rows, batch.texts))
                batch = batch.to(device)
                mask = batch.texts.inputs["attention_mask"]
                if isinstance(head, HubHead):
                    raw = head.raw(batch)
                    finite.append(finite_sentences(raw, mask if raw.dim() == 3 else None))
                    found[""].append(_kept(inputs.kind, head.scores(raw, batch), batch.legal, settings))
                    continue
                hidden = hidden_state(model, top, batch.texts.inputs)
                finite.append(finite_sentences(hidden, mask))
                vectors = head_vectors(head, inputs.kind, hidden, batch.texts)
                for name, transform in maps.items():
                    mapped = vectors if transform is None else tuple(transform.apply(part) for part in vectors)
                    scores = head(*mapped)
                    found[name].append(_kept(inputs.kind, scores, batch.legal, settings))
    finally:
        model.train(modes[0])
        head.train(modes[1])
    order = np.concatenate(batches) if batches else np.zeros(0, dtype=np.int64)
    places = np.concatenate(words) if words else np.zeros(0, dtype=np.int64)
    if finite:
        names = [f"example {number + 1}" for number in inputs.example[order].tolist()]
        check_vectors(torch.cat(finite).tolist(), names, what or f"predict {inputs.kind}")
    predicted = {}
    for name, parts in found.items():
        # What a batch left is small and stays on the device until here, so that the host never waits for a batch.
        kept = [torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True)]
        made = _predictions(head, inputs, examples, labels, tags, order, places, kept, settings)
        predicted[name] = Predicted(tuple(made), inputs.cut_words, inputs.cut)
    return predicted


def _kept(kind: Kind, scores: Any, legal: Tensor, settings: PredictSettings) -> tuple[Tensor, ...]:
    """What a batch's scores leave, without padding."""
    if kind == "qa":
        return best_spans(span_scores(scores, legal), settings.max_answer)
    if kind == "slots":
        return scores[0].argmax(-1), scores[1].float().log_softmax(-1)
    if kind == "ner" and settings.constrained:
        return (scores.float().log_softmax(-1),)
    return (scores.argmax(-1),)


def _predictions(
    head: nn.Module,
    inputs: TaskInputs,
    examples: Sequence[Any],
    labels: Sequence[str],
    tags: Sequence[str],
    order: Array,
    places: Array,
    kept: Sequence[Array],
    settings: PredictSettings,
) -> list[Prediction]:
    """Each example's prediction, from what all batches left.

    Args:
        order: window of each text of all batches, in order.
        places: number among all words of each word of all batches, in order.
    """
    if not len(order):
        return []
    kind = inputs.kind
    if kind in ("class", "pair"):
        numbers = np.empty(len(order), dtype=np.int64)
        numbers[order] = kept[0]
        return [labels[number] for number in numbers.tolist()]
    if kind == "qa":
        return list(_answers(head, inputs, examples, order, kept))
    found = np.full(int(inputs.word_offsets[-1]), -1, dtype=np.int64)
    if kind == "ner" and settings.constrained:
        scores = np.zeros((len(found), len(tags)), dtype=np.float32)
        scores[places] = kept[0]
        seen = np.zeros(len(found), dtype=bool)
        seen[places] = True
        found = np.where(seen, best_tags(scores, inputs.word_offsets, tags), -1)
    else:
        found[places] = kept[0]
    names = np.array([*tags, ""], dtype=object)[found]
    bounds = inputs.word_offsets.tolist()
    rows = [tuple(names[a:b].tolist()) for a, b in itertools.pairwise(bounds)]
    if kind == "pos":
        return list(rows)
    rows = [repair_tags(row, tags) for row in rows]
    if kind == "ner":
        return list(rows)
    # A sentence of several windows has the label that is most probable by the sum of their log-probabilities.
    scores = np.zeros((len(rows), len(labels)), dtype=np.float64)
    np.add.at(scores, inputs.example[order], kept[1])
    return [SlotPrediction(row, labels[n]) for row, n in zip(rows, scores.argmax(1).tolist(), strict=True)]


def _answers(
    head: nn.Module, inputs: TaskInputs, examples: Sequence[Any], order: Array, kept: Sequence[Array]
) -> list[str]:
    """The best span over all windows of each example, as it stands in the context.

    "" where every window holds no answer to be likelier than any span (Devlin et al. 2019, section 4.3, τ = 0), if the
    head was trained on such questions, and where there is no context.
    """
    best = np.full(len(examples), -np.inf)
    null = np.full(len(examples), np.inf)
    answers = [""] * len(examples)
    for row, score, none, first, last in sorted(zip(order.tolist(), *(part.tolist() for part in kept), strict=True)):
        example = int(inputs.example[row])
        null[example] = min(null[example], none)
        if score > best[example]:
            best[example] = score
            begin = int(inputs.texts.offsets[row])
            start, end = inputs.characters[begin + first, 0], inputs.characters[begin + last, 1]
            answers[example] = examples[example].context[int(start) : int(end)].strip()
    if not bool(head.impossible):
        return answers
    return ["" if none >= score else answer for none, score, answer in zip(null, best, answers, strict=True)]
