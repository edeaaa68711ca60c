"""What stands on top of an encoder for each kind of task: its vectors, its linear layers, its loss, its folder.

| kind | vectors | head | loss |
|---|---|---|---|
| class, pair | mean over a text's subwords | `Classifier` | cross-entropy |
| pos, ner | one of each word | `Tagger` | cross-entropy, mean over words |
| slots | both of these | `SlotTagger` | the sum of both (Chen et al. 2019, arXiv 1902.10909, equation 3) |
| qa | every subword's | `SpanFinder` | mean of start's and end's cross-entropy (Devlin et al. 2019, section 4.2) |

*Shapes:* S texts, T subwords, W words, D dims.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xrealign.errors import ArtifactError, ConfigError
from xrealign.model.finite import check_finite
from xrealign.model.folder import save_tensors
from xrealign.model.words import TextBatch, pool_sentences, pool_words
from xrealign.tasks.task import KINDS, Kind
from xrealign.train.task_inputs import UNKNOWN
from xrealign.train.task_streams import TaskBatch
from xrealign.writing import write_atomic

DROPOUT = 0.1
WORD_POOLINGS = ("first", "mean")  # a sum would not commute with the maps of `xrealign.train.predict`
WEIGHTS, NAMES = HEAD_FILES = ("head.safetensors", "labels.json")


class Classifier(nn.Module):
    """Dropout and one linear layer on sentence vectors. *Shape:* (S, D) → (S, labels)"""

    def __init__(self, width: int, labels: int) -> None:
        super().__init__()
        self.dropout = nn.Dropout(DROPOUT)
        self.linear = nn.Linear(width, labels)

    def forward(self, vectors: Tensor) -> Tensor:
        """Scores of each label, before softmax."""
        scores: Tensor = self.linear(self.dropout(vectors))
        return scores


class Tagger(nn.Module):
    """Dropout and one linear layer on word vectors. *Shape:* (W, D) → (W, tags)"""

    def __init__(self, width: int, tags: int, word_pooling: str = "first") -> None:
        super().__init__()
        self.word_pooling = word_pooling
        self.dropout = nn.Dropout(DROPOUT)
        self.linear = nn.Linear(width, tags)

    def forward(self, vectors: Tensor) -> Tensor:
        """Scores of each tag, before softmax."""
        scores: Tensor = self.linear(self.dropout(vectors))
        return scores


class SlotTagger(nn.Module):
    """A tagger of words beside a classifier of sentences. *Shape:* (W, D), (S, D) → (W, tags), (S, labels)"""

    def __init__(self, width: int, labels: int, tags: int, word_pooling: str = "first") -> None:
        super().__init__()
        self.word_pooling = word_pooling
        self.dropout = nn.Dropout(DROPOUT)
        self.linear = nn.Linear(width, tags)
        self.intent = nn.Linear(width, labels)

    def forward(self, words: Tensor, sentences: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of each tag and of each label, before softmax."""
        return self.linear(self.dropout(words)), self.intent(self.dropout(sentences))


class SpanFinder(nn.Module):
    """Scores of a subword to begin and to end the answer. *Shape:* (S, T, D) → (S, T, 2)

    Attributes:
        impossible: whether it has learned to say that a question has no answer.
    """

    def __init__(self, width: int, impossible: bool = False) -> None:
        super().__init__()
        self.impossible = impossible
        self.linear = nn.Linear(width, 2)

    def forward(self, states: Tensor) -> Tensor:
        """Scores before softmax over the subwords."""
        scores: Tensor = self.linear(states)
        return scores


def make_head(
    kind: Kind,
    width: int,
    labels: Sequence[str],
    tags: Sequence[str],
    word_pooling: str = "first",
    impossible: bool = False,
) -> nn.Module:
    """The head of a kind of task, with random weights.

    Raises:
        ConfigError: the kind or the pooling is unknown.
    """
    if kind not in HEADS:
        raise ConfigError(f"kind = {kind!r} is unknown; expected one of {', '.join(KINDS)}")
    if word_pooling not in WORD_POOLINGS:
        raise ConfigError(f"word_pooling = {word_pooling!r} is unknown; expected one of {', '.join(WORD_POOLINGS)}")
    return HEADS[kind](width, len(labels), len(tags), word_pooling, impossible)


def head_vectors(head: nn.Module, kind: Kind, hidden: Tensor, texts: TextBatch) -> tuple[Tensor, ...]:
    """What the head of a kind is called with, from the last layer's states (S, T, D)."""
    if kind == "qa":
        return (hidden,)
    if kind in ("class", "pair"):
        return (pool_sentences(hidden, texts.inputs["attention_mask"]),)
    words = pool_words(hidden, texts, str(head.word_pooling))
    return (words, pool_sentences(hidden, texts.inputs["attention_mask"])) if kind == "slots" else (words,)


def span_scores(scores: Tensor, legal: Tensor) -> Tensor:
    """Scores (S, T, 2) in float32, −∞ where no answer may begin or end: in the question, on padding."""
    return scores.float().masked_fill(~legal[:, :, None], float("-inf"))


def task_loss(head: nn.Module, kind: Kind, hidden: Tensor, batch: TaskBatch) -> Tensor:
    """The loss of a kind, from the last layer's states (S, T, D)."""
    return LOSSES[kind](head(*head_vectors(head, kind, hidden, batch.texts)), batch)


def label_loss(scores: Tensor, batch: TaskBatch) -> Tensor:
    """Mean over texts of −log p(label)."""
    return F.cross_entropy(scores.float(), batch.labels)


def tag_loss(scores: Tensor, batch: TaskBatch) -> Tensor:
    """Mean over words with a tag of −log p(tag); 0 where a batch has none."""
    known = (batch.tags != UNKNOWN).sum().clamp(min=1)
    return F.cross_entropy(scores.float(), batch.tags, reduction="sum", ignore_index=UNKNOWN) / known


def slot_loss(scores: tuple[Tensor, Tensor], batch: TaskBatch) -> Tensor:
    """Sum of both: words and their sentence."""
    return tag_loss(scores[0], batch) + label_loss(scores[1], batch)


def span_loss(scores: Tensor, batch: TaskBatch) -> Tensor:
    """Mean over texts of (−log p(start) − log p(end)) / 2, over the places where answers may be."""
    legal = span_scores(scores, batch.legal)
    return (F.cross_entropy(legal[..., 0], batch.spans[:, 0]) + F.cross_entropy(legal[..., 1], batch.spans[:, 1])) / 2


def save_head(folder: Path, head: nn.Module, kind: Kind, labels: Sequence[str], tags: Sequence[str] = ()) -> None:
    """Writes ``head.safetensors`` and ``labels.json``: of kind class the list of labels, else kind, labels and tags."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: p.detach().cpu().contiguous() for name, p in head.state_dict().items()}
    save_tensors(weights, folder / WEIGHTS, save_file)
    names: Any = list(labels)
    if kind != "class":
        names = {"kind": kind, "labels": list(labels), "tags": list(tags)}
        names |= {name: getattr(head, name) for name in ("word_pooling", "impossible") if hasattr(head, name)}
    write_atomic(folder / NAMES, json.dumps(names, ensure_ascii=False))


def load_head(folder: Path) -> tuple[nn.Module, Kind, tuple[str, ...], tuple[str, ...]]:
    """The head of a model's folder in evaluation mode, with its kind, labels and tags.

    Raises:
        ArtifactError: there is none, or files that do not belong together.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    for name in HEAD_FILES:
        if not (folder / name).is_file():
            raise ArtifactError(f"{folder} has no {name}; expected the folder of a fine-tuned model")
    try:
        names = json.loads((folder / NAMES).read_text("utf-8"))
        names = {"kind": "class", "labels": names, "tags": []} if isinstance(names, list) else names
        kind, labels, tags = names["kind"], tuple(map(str, names["labels"])), tuple(map(str, names["tags"]))
        weights = load_file(folder / WEIGHTS)
        width = weights["linear.weight"].shape[1]
        pooling, impossible = names.get("word_pooling", "first"), bool(names.get("impossible", False))
        with torch.random.fork_rng(devices=[]):
            head = make_head(kind, width, labels, tags, pooling, impossible)
        head.load_state_dict(weights)
    except (ValueError, KeyError, TypeError, RuntimeError, SafetensorError, ConfigError) as error:
        said = " ".join(str(error).split())
        raise ArtifactError(f"{folder}: {WEIGHTS} and {NAMES} are no head ({said}); fine-tune again") from None
    check_finite(weights.items(), folder / WEIGHTS)
    return head.eval(), kind, labels, tags


HEADS: dict[Kind, Callable[[int, int, int, str, bool], nn.Module]] = {
    "class": lambda width, labels, tags, pooling, impossible: Classifier(width, labels),
    "pair": lambda width, labels, tags, pooling, impossible: Classifier(width, labels),
    "pos": lambda width, labels, tags, pooling, impossible: Tagger(width, tags, pooling),
    "ner": lambda width, labels, tags, pooling, impossible: Tagger(width, tags, pooling),
    "slots": lambda width, labels, tags, pooling, impossible: SlotTagger(width, labels, tags, pooling),
    "qa": lambda width, labels, tags, pooling, impossible: SpanFinder(width, impossible),
}
LOSSES: dict[Kind, Callable[[Any, TaskBatch], Tensor]] = {
    "class": label_loss,
    "pair": label_loss,
    "pos": tag_loss,
    "ner": tag_loss,
    "slots": slot_loss,
    "qa": span_loss,
}
