"""What a test set's predictions come down to: for each item, numbers whose sums decide every metric. numpy only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xrealign.errors import DataError, did_you_mean
from xrealign.tasks.answers import AnswerRule, answer_scores
from xrealign.tasks.spans import span_counts, span_types
from xrealign.tasks.task import EXAMPLES, AnyExample, Kind

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SlotPrediction:
    """A tag for each word, and the sentence's label (its intent)."""

    tags: tuple[str, ...]
    label: str


Prediction = str | tuple[str, ...] | SlotPrediction
"""What a model says of an example. Kinds class and pair: its label; pos and ner: a tag for each word, "" for a word
that was cut off; slots: a ``SlotPrediction``; qa: the answer, "" for none."""


@dataclass(frozen=True, eq=False)
class Statistics:
    """Numbers of each item of a test set; sums over any items decide every metric of these items.

    Attributes:
        columns: names; a column of one label, tag or type is ``what:name``.
        values: (items, columns); an item is an example (a sentence, a pair, a question).
    """

    columns: tuple[str, ...]
    values: Floats

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape[1] != len(self.columns):
            raise DataError(f"{len(self.columns)} columns are named, but the values' shape is {self.values.shape}")

    def __len__(self) -> int:
        return len(self.values)

    @property
    def sums(self) -> Floats:
        """(columns,) over all items."""
        total: Floats = self.values.sum(axis=0)
        return total


def label_statistics(gold: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> Statistics:
    """Columns ``gold:L``, ``predicted:L`` and ``correct:L``, one each for each label: 1 where it is the item's.

    Raises:
        DataError: as many predictions as gold labels are needed; or a label that is not in ``labels``.
    """
    _same_length(gold, predicted)
    items = np.arange(len(gold))
    codes = _numbers(gold, labels, "gold label", items), _numbers(predicted, labels, "predicted label", items)
    return Statistics(_columns(labels), _counts(items, *codes, len(gold), len(labels)))


def tag_statistics(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], tags: Sequence[str]
) -> Statistics:
    """Columns ``gold:T``, ``predicted:T`` and ``correct:T``: words of each sentence.

    A predicted tag "" (the word was cut off) is no tag, so the word is in gold and not correct.

    Raises:
        DataError: sentences or words differ in number, or a tag is not in ``tags``.
    """
    lengths = _same_words(gold, predicted)
    items = np.repeat(np.arange(len(gold)), lengths)
    codes = (
        _numbers(list(chain.from_iterable(gold)), tags, "gold tag", items),
        _numbers(list(chain.from_iterable(predicted)), tags, "predicted tag", items, missing=True),
    )
    return Statistics(_columns(tags), _counts(items, *codes, len(gold), len(tags)))


def span_statistics(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], tags: Sequence[str]
) -> Statistics:
    """Columns ``gold_spans:T``, ``predicted_spans:T``, ``correct_spans:T`` for each type, ``words``, ``correct_words``.

    Spans are found as conlleval does (``find_spans``); a predicted tag "" is O there, and a wrong word.

    Raises:
        DataError: sentences or words differ in number, or a tag is of no type that ``tags`` has.
    """
    lengths = _same_words(gold, predicted)
    types = span_types(tags)
    spans = span_counts(gold, predicted, types).reshape(len(gold), -1)
    equal = [sum(map(str.__eq__, a, b)) for a, b in zip(gold, predicted, strict=True)]
    columns = (*(f"{what}_spans:{name}" for what in ("gold", "predicted", "correct") for name in types),)
    values = np.column_stack([spans, lengths, np.array(equal, dtype=np.int64)]).astype(np.float64)
    return Statistics((*columns, "words", "correct_words"), values)


def slot_statistics(
    gold: Sequence[Sequence[str]],
    gold_labels: Sequence[str],
    predicted: Sequence[SlotPrediction],
    labels: Sequence[str],
    tags: Sequence[str],
) -> Statistics:
    """The columns of ``label_statistics`` and ``span_statistics``, ``items`` and ``exact``.

    ``exact``: the label and every span are right, and no word was cut off.

    Raises:
        DataError: as those two do.
    """
    _same_length(gold, predicted)
    by_label = label_statistics(gold_labels, [p.label for p in predicted], labels)
    by_span = span_statistics(gold, [p.tags for p in predicted], tags)
    types = len(span_types(tags))
    in_gold, found, right = by_span.values[:, : 3 * types].reshape(len(gold), 3, types).transpose(1, 0, 2)
    frames = (in_gold == right).all(axis=1) & (found == right).all(axis=1)
    labelled = by_label.values[:, 2 * len(labels) :].sum(axis=1) == 1
    uncut = np.array(["" not in p.tags for p in predicted], dtype=bool)
    exact = frames & labelled & uncut
    values = np.column_stack([by_label.values, by_span.values, np.ones(len(gold)), exact])
    return Statistics((*by_label.columns, *by_span.columns, "items", "exact"), values)


def answer_statistics(
    answers: Sequence[Sequence[str]], predicted: Sequence[str], rule: AnswerRule = "squad2"
) -> Statistics:
    """Columns ``items``, ``exact`` and ``f1`` (best over the answers), and the same of items that have an answer.

    Raises:
        DataError: as many predictions as questions are needed.
    """
    _same_length(answers, predicted)
    pairs = [answer_scores(p, a, rule) for p, a in zip(predicted, answers, strict=True)]
    scores = np.array(pairs, dtype=np.float64).reshape(len(pairs), 2)
    has = np.array([bool(a) for a in answers], dtype=np.float64)[:, None]
    columns = ("items", "exact", "f1", "answerable_items", "answerable_exact", "answerable_f1")
    return Statistics(columns, np.column_stack([np.ones(len(pairs)), scores, has, scores * has]))


def retrieval_statistics(ranks: Sequence[Sequence[int]]) -> Statistics:
    """Columns ``items``, ``top``, ``reciprocal_rank`` and ``average_precision`` of each query.

    Args:
        ranks: for each query the ranks (1 is best) of all things that answer it.

    Raises:
        DataError: a query without an answer, a rank below 1, or one rank twice.
    """
    rows = []
    for query, found in enumerate(ranks):
        order = np.sort(np.asarray(found, dtype=np.int64))
        if not len(order) or order[0] < 1 or (np.diff(order) == 0).any():
            raise DataError(f"query {query}: expected different ranks from 1, at least one, got {list(found)}")
        precision = np.arange(1, len(order) + 1) / order
        rows.append((1.0, float(order[0] == 1), 1 / order[0], precision.mean()))
    values = np.array(rows, dtype=np.float64).reshape(len(rows), 4)
    return Statistics(("items", "top", "reciprocal_rank", "average_precision"), values)


def task_statistics(
    kind: Kind,
    gold: Sequence[AnyExample],
    predicted: Sequence[Prediction],
    labels: Sequence[str],
    tags: Sequence[str],
    answers: AnswerRule = "squad2",
) -> Statistics:
    """The statistics of a task's predictions, an item for each example, in order.

    Args:
        labels, tags: what the model knows; columns are in this order.
        answers: how kind qa compares answers.

    Raises:
        DataError: predictions are missing or of another kind, or a label or tag is unknown.
    """
    wanted: type[Any] = {"pos": tuple, "ner": tuple, "slots": SlotPrediction}.get(kind, str)
    for what, values, form in (("predictions", predicted, wanted), ("examples", gold, EXAMPLES[kind])):
        for value in values:
            if not isinstance(value, form):
                raise DataError(f"kind {kind} needs {what} of type {form.__name__}, got {value!r}")
    return _STATISTICS[kind](gold, predicted, labels, tags, answers)


def majority(kind: Kind, gold: Sequence[AnyExample], labels: Sequence[str], tags: Sequence[str]) -> list[Prediction]:
    """Always the most frequent label and tag of ``gold``; at a tie, the first in ``labels`` or ``tags``.

    For ner and slots the most frequent tag is practically always O: no spans, so span F1 is 0. For qa it is no answer,
    whose score is the share of questions without one.

    Raises:
        DataError: there is no gold, or no label or tag that the kind needs.
    """
    if not gold:
        raise DataError("there are no items to find the most frequent label of")
    examples: Sequence[Any] = gold
    if kind == "qa":
        return [""] * len(examples)
    if kind in ("class", "pair"):
        return [_most_frequent((example.label for example in examples), labels)] * len(examples)
    tag = _most_frequent(chain.from_iterable(example.tags for example in examples), tags)
    guesses = [(tag,) * len(example.tags) for example in examples]
    if kind != "slots":
        return list(guesses)
    label = _most_frequent((example.label for example in examples), labels)
    return [SlotPrediction(guess, label) for guess in guesses]


def _most_frequent(names: Iterable[str], order: Sequence[str]) -> str:
    counts = Counter(names)
    if not order:
        raise DataError("there are no labels or tags to choose the most frequent of")
    return max(order, key=lambda name: counts[name])


def _columns(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{what}:{name}" for what in ("gold", "predicted", "correct") for name in names)


def _counts(items: Ints, gold: Ints, predicted: Ints, n: int, names: int) -> Floats:
    """(n, 3 names) counts of each item's gold, predicted (-1 is none) and correct numbers."""

    def count(numbers: Ints, picked: NDArray[np.bool_]) -> Ints:
        cells = items[picked] * names + numbers[picked]
        return np.bincount(cells, minlength=n * names).reshape(n, names)

    every = np.ones(len(gold), dtype=bool)
    parts = [count(gold, every), count(predicted, predicted >= 0), count(gold, gold == predicted)]
    return np.concatenate(parts, axis=1).astype(np.float64)


def _numbers(values: Sequence[str], names: Sequence[str], what: str, items: Ints, missing: bool = False) -> Ints:
    """Places in ``names``; -1 for "" where it may be missing. ``items`` says whose value each is, for errors."""
    number = {name: i for i, name in enumerate(names)}
    if len(number) != len(names):
        raise DataError(f"{what}s: a name is given twice in {list(names)}")
    if missing:
        number.setdefault("", -1)
    try:
        return np.fromiter(map(number.__getitem__, values), dtype=np.int64, count=len(values))
    except KeyError as error:
        name = str(error.args[0])
        item = items[list(values).index(name)]
        raise DataError(f"{what} {name!r} of item {item} is none of the model's{did_you_mean(name, names)}") from None


def _same_length(gold: Sequence[Any], predicted: Sequence[Any]) -> None:
    if len(gold) != len(predicted):
        raise DataError(f"{len(gold)} gold items but {len(predicted)} predictions")


def _same_words(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> Ints:
    """(sentences,) their lengths."""
    _same_length(gold, predicted)
    lengths = [np.fromiter(map(len, side), dtype=np.int64, count=len(side)) for side in (gold, predicted)]
    wrong = np.flatnonzero(lengths[0] != lengths[1])
    if len(wrong):
        i = int(wrong[0])
        raise DataError(f"item {i} has {lengths[0][i]} words but {lengths[1][i]} predicted tags")
    return lengths[0]


_STATISTICS: Mapping[Kind, Callable[[Any, Any, Sequence[str], Sequence[str], AnswerRule], Statistics]] = {
    "class": lambda gold, found, labels, tags, rule: label_statistics([e.label for e in gold], found, labels),
    "pair": lambda gold, found, labels, tags, rule: label_statistics([e.label for e in gold], found, labels),
    "pos": lambda gold, found, labels, tags, rule: tag_statistics([e.tags for e in gold], found, tags),
    "ner": lambda gold, found, labels, tags, rule: span_statistics([e.tags for e in gold], found, tags),
    "slots": lambda gold, found, labels, tags, rule: slot_statistics(
        [e.tags for e in gold], [e.label for e in gold], found, labels, tags
    ),
    "qa": lambda gold, found, labels, tags, rule: answer_statistics(
        [[text for text, _ in e.answers] for e in gold], found, rule
    ),
}
