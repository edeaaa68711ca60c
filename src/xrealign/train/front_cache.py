"""States of a frozen front, computed once for each sentence and read ever after: front-cached realignment.

Where embeddings and lower blocks do not learn, and their dropout is off, their output depends on the sentence alone.
It is stored by a digest of those weights, the layer and the sentence's subwords, so that later epochs, seeds, subsets
and runs on the same encoder share it; a step then runs the upper blocks only. Sentences that do not fit into the
limit are computed at every step.

*Shapes:* B pairs, S = 2B sentences, T subwords, D dims, N sentences of a text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from xrealign.errors import ConfigError
from xrealign.model.layers import find_blocks, hidden_state, states_above
from xrealign.model.words import EncodedTexts, batch_subwords, length_batches, make_batch
from xrealign.progress import say
from xrealign.train.front_batch import FrontBatch, FrontPart, Places, split_front
from xrealign.train.front_store import FrontStore, sentence_keys
from xrealign.train.front_weights import front_digest, front_parameters, frozen_layers, still_modules
from xrealign.train.micro import Pieces, Vectors
from xrealign.train.objectives import RealignObjective
from xrealign.train.streams import PairBatch, PairStream

__all__ = ["FrontCache", "FrontStream", "front_loss", "front_pieces", "front_stream", "frozen_layers"]

Array = np.ndarray[Any, Any]


class FrontCache:
    """States at ``layer`` of sentences under the encoder's frozen front.

    Args:
        model: a Hugging Face encoder, after vocabulary compaction if there is to be any. What learns in any objective
            of the phase must leave the state at ``layer`` as it is (`frozen_layers`).
        layer: 1 … blocks − 1.
        folder: holds the states of all encoders and layers.
        limit: bytes that the folder may hold; states of other encoders make room, those longest unused first.
        pad: the tokenizer's id.
        dtype: ``float16`` halves the room; its states differ by up to 0.05 % of their size.
        device: where the front is run; also where the states are kept, if that is a GPU with room for them.

    Raises:
        ConfigError: there is no front below ``layer``, or ``dtype`` is neither.
    """

    def __init__(
        self,
        model: nn.Module,
        layer: int,
        folder: Path,
        limit: int,
        pad: int,
        dtype: str = "float32",
        device: torch.device | None = None,
    ) -> None:
        blocks = find_blocks(model)
        if not 1 <= layer < len(blocks):
            raise ConfigError(
                f"a front cache holds states of layers 1 to {len(blocks) - 1}, not {layer}: freeze the embeddings and "
                "at least one block above them, leave at least one to learn, or turn the cache off"
            )
        if dtype not in ("float32", "float16"):
            raise ConfigError(f"front cache: dtype {dtype!r} is unknown; expected 'float32' or 'float16'")
        self.model, self.layer, self.pad, self.limit = model, layer, pad, limit
        self.folder, self.dtype, self.device = folder, dtype, device
        self._still = still_modules(model, layer)
        self._store: FrontStore | None = None
        self._tables: list[Tensor] = []
        self._said = False
        self._front: list[nn.Parameter] = []

    def fill(self, texts: EncodedTexts) -> Places:
        """Where the states of the sentences are, after computing and storing those that were not there."""
        keys = sentence_keys(texts)
        if not keys:
            return Places(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
        store = self._opened(texts)
        wanted = store.missing(keys)
        if wanted:
            with store.locked():
                wanted = store.missing(keys)  # another process may have made them
                self._compute(store, texts, wanted)
        self._load(store)
        found = np.array([store.places.get(key, (-1, 0)) for key in keys], dtype=np.int64)
        lacking = int((found[:, 0] < 0).sum())
        if lacking and not self._said:
            self._said = True
            say(
                f"  front cache: {self.limit / 2**30:.1f} GiB are full; the states of {lacking} of {len(keys)} "
                "sentences are computed at every step"
            )
        return Places(found[:, 0], found[:, 1])

    def batch(self, parts: list[tuple[EncodedTexts, Places, Array]], pairs: PairBatch) -> FrontBatch:
        """The states of the sentences of a batch, in the order `make_batch` has given them."""
        sentences, width = pairs.texts.inputs["input_ids"].shape
        table = np.concatenate([places.table[rows] for _, places, rows in parts])
        start = np.concatenate([places.start[rows] for _, places, rows in parts])
        last = np.concatenate([texts.lengths[rows] for texts, _, rows in parts]) - 1
        index = start[:, None] + np.minimum(np.arange(width), last[:, None])  # (S, T)
        numbers = np.unique(table)
        if len(numbers) == 1 and numbers[0] >= 0:
            return FrontBatch(pairs, self._rows(int(numbers[0]), index), torch.zeros(0, dtype=torch.long))
        states = torch.zeros(sentences, width, int(self.model.config.hidden_size))  # type: ignore[union-attr, arg-type]
        for number in numbers[numbers >= 0]:
            mine = np.flatnonzero(table == number)
            found = self._rows(int(number), index[mine])
            states = states.to(found.device).index_copy_(0, torch.from_numpy(mine).to(found.device), found)
        return FrontBatch(pairs, states, torch.from_numpy(np.flatnonzero(table < 0)))

    def states(self, model: nn.Module, batch: FrontBatch | FrontPart, layers: tuple[int, ...]) -> dict[int, Tensor]:
        """States at ``layers``, none below the cache's, with a graph through the upper blocks. (S, T, D) each"""
        if any(p.requires_grad for p in self._front):
            raise ConfigError(
                f"the weights below layer {self.layer} learn: freeze them in every objective, or turn the front cache "
                "off"
            )
        self.hold_still()
        inputs = batch.texts.inputs
        known = batch.states
        if len(batch.missing):
            rows = {name: value.index_select(0, batch.missing) for name, value in inputs.items()}
            with torch.no_grad():
                found = hidden_state(model, self.layer, rows)
            known = found if len(found) == len(known) else known.index_copy(0, batch.missing, found.to(known.dtype))
        return states_above(model, self.layer, known, inputs, layers)

    def hold_still(self) -> None:
        """Turns dropout off in the front, wherever training has turned it on."""
        if self._still and self._still[0].training:
            for module in self._still:
                module.training = False

    def _opened(self, texts: EncodedTexts) -> FrontStore:
        if self._store is None:
            if self.device is not None:
                self.model.to(self.device)
            one = self._moved(make_batch([(texts, np.arange(1))], self.pad).inputs)
            digest = front_digest(self.model, self.layer, one)
            self._front = list(front_parameters(self.model, self.layer, one).values())
            width = int(self.model.config.hidden_size)  # type: ignore[union-attr, arg-type]
            self._store = FrontStore(self.folder, f"{digest}-{self.dtype}", width, np.dtype(self.dtype))
        return self._store

    def _compute(self, store: FrontStore, texts: EncodedTexts, wanted: dict[bytes, int]) -> None:
        """Runs the front over sentences, by key, and stores their states."""
        rows = np.array(list(wanted.values()), dtype=np.int64)
        room = store.room_for(self.limit, int(texts.lengths[rows].sum()))
        kept = np.cumsum(texts.lengths[rows]) <= room
        rows, keys = rows[kept], [key for key, keep in zip(wanted, kept, strict=True) if keep]
        if not len(rows):
            return
        lengths = texts.lengths[rows]
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        training = self.model.training
        self.model.eval()
        with torch.no_grad(), store.new_table(keys, lengths) as table:
            for chosen in length_batches(lengths, batch_subwords(next(self.model.parameters()).device)):
                batch = make_batch([(texts, rows[chosen])], self.pad)
                state = hidden_state(self.model, self.layer, self._moved(batch.inputs)).cpu()
                inside = batch.inputs["attention_mask"].bool()
                sizes = lengths[chosen]
                before = np.concatenate([[0], np.cumsum(sizes)[:-1]])
                places = np.repeat(starts[chosen] - before, sizes) + np.arange(int(sizes.sum()))
                table[places] = state[inside].numpy()
        self.model.train(training)

    def _load(self, store: FrontStore) -> None:
        """Takes tables that are new, as they lie on the disk or, where there is room, to the GPU."""
        for number in range(len(self._tables), len(store.tables)):
            table = torch.from_numpy(store.tables[number])
            if self.device is not None and self.device.type == "cuda":
                free, _ = torch.cuda.mem_get_info(self.device)
                if table.nbytes < free / 3:
                    table = table.to(self.device)
            self._tables.append(table)

    def _rows(self, number: int, index: Array) -> Tensor:
        table = self._tables[number]
        flat = torch.from_numpy(index.reshape(-1)).to(table.device, non_blocking=True)
        return table.index_select(0, flat).float().reshape(*index.shape, -1)

    def _moved(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        device = next(self.model.parameters()).device
        return {name: value.to(device) for name, value in inputs.items()}


@dataclass(frozen=True)
class FrontStream:
    """Batches of sentence pairs with their cached states, a pure function of the step.

    Attributes:
        pairs: the stream without a cache; `front_stream` fills the cache for it.
    """

    pairs: PairStream
    cache: FrontCache
    src: Places
    tgt: Places

    def __call__(self, step: int) -> FrontBatch:
        rows = self.pairs.plan[step]
        parts = [(self.pairs.src, self.src, rows), (self.pairs.tgt, self.tgt, rows)]
        return self.cache.batch(parts, self.pairs(step))


def front_stream(pairs: PairStream, cache: FrontCache) -> FrontStream:
    """Fills the cache with the sentences of a stream's plan and reads them from it."""
    used = np.unique(pairs.plan)
    return FrontStream(pairs, cache, _fill(cache, pairs.src, used), _fill(cache, pairs.tgt, used))


def front_loss(objective: RealignObjective, cache: FrontCache) -> Callable[[nn.Module, FrontBatch], Tensor]:
    """The objective's loss of a batch from cached states, of a model that holds the encoder under ``"encoder"``.

    Raises:
        ConfigError: the objective reads a layer below the cache's, or no states of the batch at all.
    """
    if not objective.layers or min(objective.layers) < cache.layer:
        raise ConfigError(
            f"objective {objective.name!r} reads layers {list(objective.layers)}, the front cache holds layer "
            f"{cache.layer}: turn the cache off, or freeze and cache no more than lies below the objective's layers"
        )

    def loss(model: nn.Module, batch: FrontBatch) -> Tensor:
        encoder: nn.Module = model["encoder"]  # type: ignore[index]
        return objective.from_states(cache.states(encoder, batch, objective.layers), batch.pairs, encoder)

    return loss


def front_pieces(objective: RealignObjective, cache: FrontCache) -> Pieces | None:
    """The loss taken apart, as `Pieces` of `FrontBatch`; None where the objective cannot be."""
    if not objective.divisible:
        return None

    def encode(model: nn.Module, part: FrontPart) -> Vectors:
        encoder: nn.Module = model["encoder"]  # type: ignore[index]
        states = cache.states(encoder, part, objective.layers)
        return objective.encode_states(states, part.texts, encoder)

    return Pieces(
        split_front,
        encode,
        lambda model, vectors, batch: objective.compare(model, vectors, batch.pairs),
        lambda part: objective.rows(part.texts),
    )


def _fill(cache: FrontCache, texts: EncodedTexts, used: Array) -> Places:
    """Places of all sentences, of which those that are not ``used`` need not be there."""
    table, start = np.full(len(texts), -1, dtype=np.int64), np.zeros(len(texts), dtype=np.int64)
    found = cache.fill(_some(texts, used))
    table[used], start[used] = found.table, found.start
    return Places(table, start)


def _some(texts: EncodedTexts, rows: Array) -> EncodedTexts:
    lengths = texts.lengths[rows]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    places = np.repeat(texts.offsets[rows] - offsets[:-1], lengths) + np.arange(int(offsets[-1]))
    return EncodedTexts(texts.ids[places], offsets, texts.words[places], texts.word_counts[rows], 0)
