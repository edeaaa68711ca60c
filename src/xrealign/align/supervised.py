"""Word links from a cross-encoder that learned from gold links: BinaryAlign (Latouche et al. 2024, arXiv 2407.12881).

Both sentences go through the encoder as one pair, one word of the first marked by a separator on either side; a linear
head gives every subword of the second sentence the probability of being linked with the marked word, and a word has
the largest of its subwords'. Every word of either sentence is marked once; a link's score is the mean of the two
directions, and it is a link when the score is above a threshold (0.5).

Departures: the separator is a subword the vocabulary has already (`pair_template`) instead of a new one; a pair that
is too long loses the end of its longer sentence first, where the paper's program loses that of the second. Training is
`xrealign.train.supervised`, how pairs are written `xrealign.align.marked`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from xrealign.align.linker import Linked, Linker, Recipe, ScoredLinks, Sentences
from xrealign.align.marked import EncodedPairs, PairTemplate, assemble, encode_pairs, marked_words, pair_template
from xrealign.errors import ArtifactError, ConfigError
from xrealign.model.encoder import Encoder, folder_digest, load_encoder, save_encoder
from xrealign.model.folder import save_tensors
from xrealign.model.layers import hidden_state, resolve_layer
from xrealign.model.prompt import check_room
from xrealign.model.words import EncodedTexts, length_batches
from xrealign.progress import track
from xrealign.writing import write_atomic

Array = np.ndarray[Any, Any]
FORMAT = 1
SETTINGS, HEAD = "supervised.json", "head.safetensors"
GROUP = 64  # pairs whose probabilities are held at a time


@dataclass(frozen=True)
class SupervisedAligner:
    """An encoder with its head, (D) → (1), on the state at ``layer``, and how pairs are written for it."""

    encoder: Encoder
    head: nn.Linear
    layer: int
    template: PairTemplate
    max_length: int


def judge(model: Any, head: nn.Module, layer: int, inputs: dict[str, Tensor], positions: Tensor) -> Tensor:
    """Logits of the subwords at ``positions``, *Shape:* (K,)."""
    hidden = hidden_state(model, layer, inputs)
    logits: Tensor = head(hidden.reshape(-1, hidden.shape[-1]).index_select(0, positions))[:, 0].float()
    return logits


def probabilities(
    aligner: SupervisedAligner, pairs: EncodedPairs, subwords_per_batch: int = 4096, what: str | None = None
) -> Array:
    """Probability of every link in both directions, flat. *Shape:* (2, ΣI·J) float32; see `EncodedPairs.cells`.

    Row 0 has source words marked, row 1 target words. Words without subwords have 0.
    """
    marked = marked_words(pairs)
    found = np.zeros(2 * int(pairs.cells[-1]), dtype=np.float32)
    batches = length_batches(marked.lengths, subwords_per_batch) if len(marked.lengths) else []
    device, pad = aligner.encoder.device, aligner.encoder.tokenizer.pad_token_id
    with torch.inference_mode():
        for rows in track(batches, what) if what else batches:
            batch = assemble(pairs, marked, rows, pad)
            inputs = {name: values.to(device, non_blocking=True) for name, values in batch.inputs.items()}
            positions = batch.positions.to(device, non_blocking=True)
            logits = judge(aligner.encoder.model, aligner.head, aligner.layer, inputs, positions)
            values = torch.sigmoid(logits).cpu().numpy()
            if len(values):
                first = np.flatnonzero(np.diff(batch.cells, prepend=-1))  # a word's subwords stand together
                found[batch.cells[first]] = np.maximum.reduceat(values, first)
    return found.reshape(2, -1)


def links_above(pairs: EncodedPairs, both: Array, threshold: float) -> list[ScoredLinks]:
    """Links of each pair whose mean probability over the two directions is above ``threshold``; that is the score."""
    mean = both.mean(0, dtype=np.float32)
    found = []
    for p, (low, high) in enumerate(zip(pairs.cells[:-1], pairs.cells[1:], strict=True)):
        score = mean[low:high].reshape(pairs.sides[0].word_counts[p], pairs.sides[1].word_counts[p])
        links = np.argwhere(score > threshold).astype(np.int32)
        found.append(ScoredLinks(links, score[links[:, 0], links[:, 1]]))
    return found


def supervised_links(
    aligner: SupervisedAligner,
    src: Sentences,
    tgt: Sentences,
    threshold: float = 0.5,
    subwords_per_batch: int = 4096,
    what: str | None = None,
) -> Linked:
    """Links of sentence pairs, with the mean of both directions' probabilities as their scores.

    ``what`` names the work on the progress bar; without it there is none.
    """
    tokenizer = aligner.encoder.tokenizer
    pairs = encode_pairs(tokenizer, src, tgt, aligner.template, aligner.max_length)
    order = np.argsort(pairs.sides[0].lengths + pairs.sides[1].lengths, kind="stable")
    groups = [order[start : start + GROUP] for start in range(0, len(order), GROUP)]
    found: list[ScoredLinks | None] = [None] * len(pairs)
    for rows in track(groups, what) if what else groups:
        some = EncodedPairs((_chosen(pairs.sides[0], rows), _chosen(pairs.sides[1], rows)), pairs.template, 0)
        links = links_above(some, probabilities(aligner, some, subwords_per_batch), threshold)
        for row, scored in zip(rows, links, strict=True):
            found[row] = scored
    return Linked([scored for scored in found if scored is not None], pairs.cut_words)


def _chosen(texts: EncodedTexts, rows: Array) -> EncodedTexts:
    """Some of the sentences, in the order given."""
    lengths = texts.lengths[rows]
    ends = np.cumsum(lengths)
    places = np.repeat(texts.offsets[rows] - (ends - lengths), lengths) + np.arange(int(ends[-1]))
    offsets = np.concatenate([[0], ends])
    return EncodedTexts(texts.ids[places], offsets, texts.words[places], texts.word_counts[rows], 0)


def save_aligner(aligner: SupervisedAligner, folder: Path, facts: dict[str, Any], base: Path | None = None) -> None:
    """Writes a folder that ``AutoModel.from_pretrained`` and `load_aligner` read: the encoder, its head, settings.

    ``facts`` (plain data: how it was trained) go with the settings.
    """
    from safetensors.torch import save_file

    save_encoder(aligner.encoder, folder, base)
    weights = {k: v.detach().cpu().contiguous() for k, v in aligner.head.state_dict().items()}
    save_tensors(weights, folder / HEAD, save_file)
    settings = {
        "format": FORMAT,
        "layer": aligner.layer,
        "marker": aligner.template.marker_text,
        "max_length": aligner.max_length,
        "training": facts,
    }
    write_atomic(folder / SETTINGS, json.dumps(settings, indent=1, ensure_ascii=False) + "\n")


def load_aligner(folder: str | Path, device: str = "cpu", attention: str = "sdpa") -> SupervisedAligner:
    """Reads what `save_aligner` wrote.

    Raises:
        ArtifactError: the folder is not that of a supervised aligner, or is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = Path(folder)
    settings = read_settings(folder)
    encoder = load_encoder(str(folder), attention=attention)
    head = nn.Linear(encoder.width, 1)
    try:
        head.load_state_dict(load_file(folder / HEAD))
        layer, length, marker = int(settings["layer"]), int(settings["max_length"]), str(settings["marker"])
    except (OSError, SafetensorError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{folder}: {HEAD} or {SETTINGS} is damaged ({error}); train the aligner again") from None
    encoder.model.to(device)
    template = pair_template(encoder.tokenizer, marker)
    return SupervisedAligner(encoder, head.to(device).eval(), resolve_layer(layer, encoder.layers), template, length)


def read_settings(folder: Path) -> dict[str, Any]:
    """The settings of a trained aligner.

    Raises:
        ArtifactError: there are none, or of another version.
    """
    if not (folder / SETTINGS).is_file():
        raise ArtifactError(
            f"{folder} has no {SETTINGS}: not a supervised aligner; `xrealign align train-supervised` makes one"
        )
    try:
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{folder / SETTINGS} is damaged: {error}") from None
    if not isinstance(settings, dict) or settings.get("format") != FORMAT:
        found = settings.get("format") if isinstance(settings, dict) else None
        raise ArtifactError(f"{folder / SETTINGS}: format {found!r}, expected {FORMAT}; train the aligner again")
    return settings


def supervised_recipe(
    folder: str | Path,
    threshold: float = 0.5,
    max_length: int | None = None,
    subwords_per_batch: int = 4096,
    device: str = "cpu",
) -> Recipe:
    """A trained aligner for sentences that are split into words already.

    Args:
        folder: what `xrealign align train-supervised` wrote.
        max_length: longest pair in subwords; None is what it was trained with. Words beyond it get no link.

    Raises:
        ArtifactError: the folder is not that of a supervised aligner.
        ConfigError: the threshold is not within 0 … 1; on opening: ``max_length`` is more than the encoder can read.
    """
    if not 0 <= threshold < 1:
        raise ConfigError(f"threshold = {threshold!r} is impossible; expected 0 to less than 1")
    folder = Path(folder)
    read_settings(folder)
    key = {"aligner": "supervised", "model": folder_digest(folder), "threshold": threshold, "max_length": max_length,
           "subwords_per_batch": subwords_per_batch}  # fmt: skip

    def opened() -> Linker:
        aligner = load_aligner(folder, device)
        if max_length is not None:
            aligner = with_length(aligner, max_length)
        return Linker(lambda src, tgt: supervised_links(aligner, src, tgt, threshold, subwords_per_batch))

    return Recipe(key, opened)


def with_length(aligner: SupervisedAligner, max_length: int) -> SupervisedAligner:
    """The same aligner with another longest pair.

    Raises:
        ConfigError: it is longer than the encoder can read.
    """
    most = int(aligner.encoder.tokenizer.model_max_length)
    if max_length > most:
        raise ConfigError(f"max_length = {max_length} is impossible; this encoder reads {most} subwords at most")
    check_room(aligner.encoder.model, max_length)
    return replace(aligner, max_length=max_length)
