"""Examples of a task as subwords: tokenised once, long ones in overlapping windows, labels as numbers beside them.

A word is trained on and predicted in one window alone, the one where it has most context (Devlin et al.'s rule for
SQuAD): the fewer of the subwords to its left and to its right, before a special one, are as many as possible.

*Shapes:* E examples, N windows (texts; N = E where nothing is windowed), ΣT subwords of all windows, ΣW words of all
examples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xrealign.errors import ConfigError, DataError, did_you_mean
from xrealign.model.words import EncodedTexts
from xrealign.tasks.task import AnyExample, Kind, QuestionExample, TaggedExample

Array = np.ndarray[Any, Any]
UNKNOWN = -100  # a word without a tag, in training: no loss
NONE, FIRST, SECOND = -1, 0, 1  # what a subword belongs to: special, the (first) text, the second


@dataclass(frozen=True)
class TaskInputs:
    """Examples of one kind, tokenised.

    Attributes:
        kind: of the task.
        texts: the windows. A word's index is that within its example, and only in the window that it belongs to.
        example: number of each window's example, ascending. *Shape:* (N,)
        word_offsets: example e has the words ``word_offsets[e]`` to ``word_offsets[e + 1]`` of all. *Shape:* (E + 1,)
        part: `NONE`, `FIRST` or `SECOND` of each subword. *Shape:* (ΣT,)
        types: token type of each subword, where the tokenizer has any for two texts. *Shape:* (ΣT,)
        characters: first character and the one after the last of each subword, in its own text. *Shape:* (ΣT, 2)
        cut: how many words, texts, … were lost, by reason.
    """

    kind: Kind
    texts: EncodedTexts
    example: Array
    word_offsets: Array
    part: Array
    types: Array | None
    characters: Array
    cut: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def cut_words(self) -> int:
        """Words without any subword: these are never predicted."""
        return self.texts.cut_words


@dataclass(frozen=True)
class Targets:
    """What is to be predicted, as numbers; empty where a kind has none.

    Attributes:
        labels: of each window's example. *Shape:* (N,)
        tags: of all words of all examples; `UNKNOWN` for those that are not to be learned. *Shape:* (ΣW,)
        spans: first and last subword of the answer in each window; (0, 0) where it has none. *Shape:* (N, 2)
    """

    labels: Array
    tags: Array
    spans: Array


def encode_task(
    tokenizer: Any, kind: Kind, examples: Sequence[AnyExample], max_length: int, stride: int = 32
) -> TaskInputs:
    """Tokenises examples of a kind.

    Sentences and pairs are cut at ``max_length`` (pairs: the longer text first); tagged words and questions' contexts
    go into windows of ``max_length`` subwords that share ``stride`` (at most half of their room) with the one before.
    Questions are cut at half of a window.

    Raises:
        ConfigError: ``max_length`` has no room for a subword.
    """
    room = max_length - tokenizer.num_special_tokens_to_add(pair=kind in ("pair", "qa"))
    if room < 2 or stride < 0:
        raise ConfigError(f"max_length = {max_length} with stride = {stride} leaves no room for a text of kind {kind}")
    if not examples:
        none = np.zeros(0, dtype=np.int32)
        texts = EncodedTexts(none, np.zeros(1, dtype=np.int64), none, none, 0)
        return TaskInputs(kind, texts, none, np.zeros(1, dtype=np.int64), none, None, none.reshape(0, 2))
    return ENCODERS[kind](tokenizer, kind, examples, max_length, min(stride, room // 2))


def task_targets(
    kind: Kind, inputs: TaskInputs, examples: Sequence[Any], labels: Sequence[str], tags: Sequence[str]
) -> Targets:
    """The targets of encoded examples.

    Raises:
        DataError: a label or tag is not among those given.
    """
    none = np.zeros(0, dtype=np.int64)
    sentence, words, spans = none, none, none.reshape(0, 2)
    if kind in ("class", "pair", "slots"):
        sentence = name_numbers([example.label for example in examples], labels, "labels")[inputs.example]
    if kind in ("pos", "ner", "slots"):
        found = np.array([tag for example in examples for tag in example.tags], dtype=object)
        words = np.full(len(found), UNKNOWN, dtype=np.int64)
        words[found != ""] = name_numbers(found[found != ""].tolist(), tags, "tags")
    if kind == "qa":
        spans = _answer_spans(inputs, examples)
    return Targets(sentence, words, spans)


def name_numbers(names: Sequence[str], known: Sequence[str], what: str = "labels") -> Array:
    """Each name's place in ``known``.

    Raises:
        DataError: a name is not there; all of them are listed.
    """
    places = {name: place for place, name in enumerate(known)}
    unknown = sorted(set(names) - set(places))
    if unknown:
        hints = "".join(did_you_mean(name, known) for name in unknown[:1])
        raise DataError(
            f"{what} {', '.join(map(repr, unknown))} are not among those trained on: {', '.join(known)}{hints}"
        )
    return np.fromiter((places[name] for name in names), dtype=np.int64, count=len(names))


def _encode_sentences(tokenizer: Any, kind: Kind, examples: Sequence[Any], max_length: int, stride: int) -> TaskInputs:
    encoded = tokenizer([example.text for example in examples], truncation=True, max_length=max_length)
    cut = sum(1 for encoding in encoded.encodings if encoding.overflowing)
    return _inputs(kind, encoded, np.arange(len(examples)), cut={"sentences cut": cut} if cut else {})


def _encode_pairs(tokenizer: Any, kind: Kind, examples: Sequence[Any], max_length: int, stride: int) -> TaskInputs:
    first, second = [example.first for example in examples], [example.second for example in examples]
    encoded = tokenizer(first, second, truncation="longest_first", max_length=max_length)
    cut = sum(1 for encoding in encoded.encodings if encoding.overflowing)
    types = "token_type_ids" in tokenizer.model_input_names
    return _inputs(kind, encoded, np.arange(len(examples)), types=types, cut={"pairs cut": cut} if cut else {})


def _encode_words(
    tokenizer: Any, kind: Kind, examples: Sequence[TaggedExample], max_length: int, stride: int
) -> TaskInputs:
    texts = [" ".join(example.words) for example in examples]
    encoded = _windows(tokenizer, (texts,), max_length, stride, True)
    example = np.asarray(encoded["overflow_to_sample_mapping"], dtype=np.int64)
    counts = np.fromiter((len(e.words) for e in examples), dtype=np.int64, count=len(examples))
    offsets = np.concatenate([[0], np.cumsum(counts)])
    sizes = np.fromiter((len(word) for e in examples for word in e.words), dtype=np.int64, count=int(offsets[-1]))
    inputs = _inputs(kind, encoded, example, word_offsets=offsets)
    words, cut = _place_words(inputs, sizes)
    found = inputs.texts
    texts_ = EncodedTexts(found.ids, found.offsets, words, counts[example].astype(np.int32), cut)
    told = {"words without subwords": cut} if cut else {}
    return TaskInputs(kind, texts_, example, offsets, inputs.part, None, inputs.characters, told)


def _encode_questions(
    tokenizer: Any, kind: Kind, examples: Sequence[QuestionExample], max_length: int, stride: int
) -> TaskInputs:
    room = max_length - tokenizer.num_special_tokens_to_add(pair=True)
    questions, cut = [example.question.strip() for example in examples], 0
    plain = tokenizer(questions, add_special_tokens=False, truncation=True, max_length=max(1, room // 2))
    for place, encoding in enumerate(plain.encodings):
        if encoding.overflowing:
            questions[place] = questions[place][: encoding.offsets[-1][1]]
            cut += 1
    again = tokenizer(questions, add_special_tokens=False)["input_ids"]
    stride = min(stride, (room - max(map(len, again))) // 2)
    if stride < 0:
        raise ConfigError(f"max_length = {max_length} leaves no room for contexts beside the longest question")
    encoded = _windows(tokenizer, (questions, [e.context for e in examples]), max_length, stride, "only_second")
    example = np.asarray(encoded["overflow_to_sample_mapping"], dtype=np.int64)
    types = "token_type_ids" in tokenizer.model_input_names
    return _inputs(kind, encoded, example, types=types, cut={"questions cut": cut} if cut else {})


def _windows(tokenizer: Any, texts: tuple[list[str], ...], max_length: int, stride: int, truncation: Any) -> Any:
    return tokenizer(
        *texts,
        truncation=truncation,
        max_length=max_length,
        stride=stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )


def _inputs(
    kind: Kind,
    encoded: Any,
    example: Array,
    *,
    word_offsets: Array | None = None,
    types: bool = False,
    cut: Mapping[str, int] | None = None,
) -> TaskInputs:
    """Flat arrays of what a tokenizer returned, without words."""
    rows = encoded.encodings
    lengths = np.fromiter((len(row.ids) for row in rows), dtype=np.int64, count=len(rows))
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    total = int(offsets[-1])
    ids = np.fromiter((i for row in rows for i in row.ids), dtype=np.int32, count=total)
    part = np.fromiter((NONE if p is None else p for row in rows for p in row.sequence_ids), np.int8, count=total)
    token_types = np.fromiter((t for row in rows for t in row.type_ids), dtype=np.int64, count=total) if types else None
    characters = np.array([pair for row in rows for pair in row.offsets], dtype=np.int32).reshape(-1, 2)
    words = np.full(total, -1, dtype=np.int32)
    texts = EncodedTexts(ids, offsets, words, np.zeros(len(rows), dtype=np.int32), 0)
    bounds = np.zeros(int(example.max()) + 2, dtype=np.int64) if word_offsets is None else word_offsets
    return TaskInputs(kind, texts, example, bounds, part, token_types, characters, cut or {})


def _place_words(inputs: TaskInputs, sizes: Array) -> tuple[Array, int]:
    """Word of each subword within its example, -1 where it has none or another window predicts it; words without any.

    Args:
        sizes: characters of all words; words of one example stand one blank apart. *Shape:* (ΣW,)
    """
    bounds, lengths = inputs.word_offsets, inputs.texts.lengths
    starts = np.cumsum(sizes + 1) - (sizes + 1)  # as if all examples were one text; then from each one's first word
    starts -= np.repeat(starts[np.minimum(bounds[:-1], len(starts) - 1)], np.diff(bounds)) if len(starts) else 0
    owner = np.repeat(inputs.example, lengths)  # example of each subword
    window = np.repeat(np.arange(len(lengths)), lengths)
    last = inputs.characters[:, 1].astype(np.int64) - 1
    base = int(max((starts + sizes).max(initial=0), last.max(initial=0))) + 2
    keys = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds)) * base + starts
    word = np.searchsorted(keys, owner * base + np.maximum(last, 0), side="right") - 1  # of all words
    inside = (inputs.characters[:, 1] > inputs.characters[:, 0]) & (inputs.part >= 0) & (word >= bounds[owner])
    if len(sizes):
        inside &= last < (starts + sizes)[np.maximum(word, 0)]
    places = np.flatnonzero(inside)
    key = window[places] * max(1, len(sizes)) + word[places]
    runs, first, inverse, pieces = np.unique(key, return_index=True, return_inverse=True, return_counts=True)
    final = len(key) - 1 - np.unique(key[::-1], return_index=True)[1]
    run_window, run_word = runs // max(1, len(sizes)), runs % max(1, len(sizes))
    text = np.flatnonzero(inputs.part == FIRST)
    low = np.full(len(lengths), len(window))
    np.minimum.at(low, window[text], text)
    high = np.full(len(lengths), -1)
    np.maximum.at(high, window[text], text)
    context = np.minimum(places[first] - low[run_window], high[run_window] - places[final])
    order = np.lexsort((run_window, -context, -pieces, run_word))
    chosen = np.zeros(len(runs), dtype=bool)
    chosen[order[np.unique(run_word[order], return_index=True)[1]]] = True
    found = np.full(len(window), -1, dtype=np.int32)
    kept = places[chosen[inverse]]
    found[kept] = word[kept] - bounds[owner[kept]]
    return found, len(sizes) - int(chosen.sum())


def _answer_spans(inputs: TaskInputs, examples: Sequence[QuestionExample]) -> Array:
    """First and last subword of each example's first answer in each window that holds it whole; else (0, 0)."""
    spans = np.zeros((len(inputs), 2), dtype=np.int64)
    for row, number in enumerate(inputs.example.tolist()):
        if not examples[number].answers:
            continue
        text, start = examples[number].answers[0]
        start, end = start + len(text) - len(text.lstrip()), start + len(text.rstrip())
        begin, stop = inputs.texts.offsets[row : row + 2]
        places = np.flatnonzero(inputs.part[begin:stop] == SECOND)
        if start >= end or not len(places):
            continue
        bounds = inputs.characters[begin:stop][places]
        if bounds[0, 0] <= start and end <= bounds[-1, 1]:
            first = int(np.searchsorted(bounds[:, 1], start, side="right"))
            last = int(np.searchsorted(bounds[:, 0], end, side="left")) - 1
            if first <= last:
                spans[row] = places[first], places[last]
    return spans


ENCODERS: dict[Kind, Callable[[Any, Kind, Sequence[Any], int, int], TaskInputs]] = {
    "class": _encode_sentences,
    "pair": _encode_pairs,
    "pos": _encode_words,
    "ner": _encode_words,
    "slots": _encode_words,
    "qa": _encode_questions,
}
