"""A batch too large for the memory, in parts, with the same negatives, loss and gradient: gradient caching.

Gao et al. (2021, arXiv 2101.06983): vectors of all parts without a graph; the loss over all of them and its gradient
at the vectors; then each part again with a graph, which carries that gradient on to the weights. The parts' dropout
is seeded, so both passes drop the same; it is not the dropout of the undivided batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from xrealign.model.words import TextBatch
from xrealign.train.streams import LabelledBatch, PairBatch

Vectors = Tensor | tuple[Tensor, ...]
_NO_MEMORY = (
    "can't allocate memory",
    "bad_alloc",
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "could not create a primitive",  # oneDNN's only words for it
)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the memory is too small: a GPU's, or a CPU's, for which torch has no class of its own.

    On a CPU this is what a limit on the address space brings (``ulimit -v``); where there is none, Linux hands out
    more than it has, and kills.
    """
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)


@dataclass(frozen=True)
class Pieces:
    """A loss taken apart into what can be computed sentence by sentence and what needs all of them.

    Attributes:
        split: a batch, on the host, into at most so many parts, in order.
        encode: the vectors of a part, or several tensors of them; the parts' are joined along the first dimension.
        loss: a scalar from the vectors of all parts and the whole batch. Parameters it uses itself learn too.
        rows: how many rows of each tensor ``encode`` makes of a part; several processes can then share a batch
            (`xrealign.train.distributed`).
    """

    split: Callable[[Any, int], Sequence[Any]]
    encode: Callable[[nn.Module, Any], Vectors]
    loss: Callable[[nn.Module, Vectors, Any], Tensor]
    rows: Callable[[Any], int] | None = None


def undivided(pieces: Pieces) -> Callable[[nn.Module, Any], Tensor]:
    """The same loss in one pass, as an objective's ``loss``."""
    return lambda model, batch: pieces.loss(model, pieces.encode(model, batch), batch)


def cached_backward(
    model: nn.Module,
    batch: Any,
    pieces: Pieces,
    parts: int,
    *,
    device: torch.device,
    weight: float = 1.0,
    reseed: Callable[[str | int], None] = lambda name: None,
    context: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> Tensor:
    """Adds to the gradients what the undivided loss would add; returns the loss (without weight), detached.

    Args:
        batch: the whole batch, on the host.
        weight: factor of the loss in the gradients.
        reseed: seeds the dropout of a part (by its number) or of the loss itself (``loss``).
        context: of every pass, such as autocast; opened anew each time, as weights that autocast has cast without a
            graph would else be used again where one is needed.
    """
    split = pieces.split(batch, parts)
    found: list[tuple[Tensor, ...]] = []
    alone = False
    with torch.no_grad():
        for number, part in enumerate(split):
            reseed(number)
            with context():
                vectors = pieces.encode(model, part.to(device))
            alone = isinstance(vectors, Tensor)
            found.append(_as_tuple(vectors))
    joined = tuple(torch.cat(column).detach().requires_grad_() for column in zip(*found, strict=True))
    sizes = [[len(tensor) for tensor in row] for row in found]
    del found
    reseed("loss")
    with context():
        loss = pieces.loss(model, joined[0] if alone else joined, batch.to(device))
    (loss * weight).backward()  # type: ignore[no-untyped-call]
    gradients = [tensor.grad for tensor in joined]
    starts = [0] * len(joined)
    for number, (part, lengths) in enumerate(zip(split, sizes, strict=True)):
        reseed(number)
        with context():
            again = _as_tuple(pieces.encode(model, part.to(device)))
        carried = []
        for place, (tensor, length) in enumerate(zip(again, lengths, strict=True)):
            gradient = gradients[place]
            if gradient is not None and tensor.requires_grad:
                carried.append((tensor, gradient[starts[place] : starts[place] + length]))
            starts[place] += length
        if carried:
            torch.autograd.backward([v for v, _ in carried], [g for _, g in carried])
    return loss.detach()


def split_texts(texts: TextBatch, parts: int) -> list[TextBatch]:
    """A batch's sentences in at most ``parts`` batches of like numbers, each padded to its own longest sentence.

    Words keep their order, so that the parts' word vectors joined are those of the whole batch, row by row.
    """
    mask = texts.inputs["attention_mask"]
    sentences, width = mask.shape
    result = []
    for rows in torch.arange(sentences).tensor_split(min(parts, sentences)):
        first, last = int(rows[0]), int(rows[-1]) + 1
        own = max(1, int(mask[first:last].sum(1).max()))
        words = torch.nonzero((texts.sentence >= first) & (texts.sentence < last))[:, 0]
        places = torch.nonzero((texts.positions >= first * width) & (texts.positions < last * width))[:, 0]
        result.append(
            TextBatch(
                inputs={name: value[first:last, :own] for name, value in texts.inputs.items()},
                positions=_moved(texts.positions[places], first, width, own),
                segments=texts.segments[places] - (words[0] if len(words) else 0),
                sizes=texts.sizes[words],
                sentence=texts.sentence[words] - first,
                word=texts.word[words],
                firsts=_moved(texts.firsts[words], first, width, own),
            )
        )
    return result


def split_batch(batch: PairBatch | LabelledBatch, parts: int) -> list[TextBatch]:
    """`split_texts` of a batch of sentence pairs (sources first, then targets) or of labelled sentences."""
    return split_texts(batch.texts, parts)


def _moved(positions: Tensor, first: int, width: int, own: int) -> Tensor:
    """Places in a flattened (S·width) batch as places in one that starts at sentence ``first`` and is ``own`` wide."""
    return (positions // width - first) * own + positions % width


def _as_tuple(vectors: Vectors) -> tuple[Tensor, ...]:
    return vectors if isinstance(vectors, tuple) else (vectors,)
