"""Do the alignment loss and the task loss pull the encoder the same way? Cosines of their gradients, layer by layer.

Veitsman et al. (2026, arXiv 2603.18863): the two are often close to orthogonal, so that better alignment need not mean
better transfer. 1 = one step serves both, 0 = neither helps nor hurts, −1 = each undoes the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from xrealign.errors import TrainingError
from xrealign.model.layers import find_blocks, hidden_state
from xrealign.model.words import pool_words
from xrealign.train.losses_contrastive import word_contrastive
from xrealign.train.streams import PairBatch

AlignmentLoss = Callable[[nn.Module, PairBatch], Tensor]
TaskLoss = Callable[[nn.Module], Tensor]
WHOLE = "all"  # all parameters together


@dataclass(frozen=True)
class Agreement:
    """Of one part of the encoder (``embeddings``, ``block 1`` …, ``the rest``, or ``all``).

    Attributes:
        cosine: of the two gradients; None where one of them is zero.
        alignment_norm, task_norm: their lengths.
        parameters: how many numbers the part has.
    """

    cosine: float | None
    alignment_norm: float
    task_norm: float
    parameters: int


def word_alignment_loss(encoder: nn.Module, batch: PairBatch, layer: int = -1, temperature: float = 0.1) -> Tensor:
    """Strong word contrastive loss of a batch at one layer, mean pooled, without a projection: a random one would turn
    the gradient."""
    wanted = layer + len(find_blocks(encoder)) + 1 if layer < 0 else layer
    words = pool_words(hidden_state(encoder, wanted, batch.texts.inputs), batch.texts)
    return word_contrastive(words[: batch.src_words], words[batch.src_words :], batch.links, temperature)


def gradient_agreement(
    encoder: nn.Module,
    batches: Mapping[str, Sequence[PairBatch]],
    task_loss: TaskLoss,
    alignment_loss: AlignmentLoss = word_alignment_loss,
) -> dict[str, dict[str, Agreement]]:
    """How well the gradients of the alignment loss of each language and of the task loss agree, part by part.

    The encoder is measured as it is, without dropout; no weight changes and no gradient is left behind. The gradient of
    several batches is the mean of theirs.

    Args:
        encoder: a Hugging Face encoder.
        batches: by language, at least one each.
        task_loss: a scalar from the encoder: a closure over labelled sentences and a head. The head counts as part of
            the loss: only the encoder's gradient is taken.
        alignment_loss: a scalar from the encoder and a batch.

    Returns:
        language → part → agreement. Parts stand in order; the last is ``all``. Parameters that neither loss reaches
        (a pooler) are in no part.

    Raises:
        TrainingError: a language has no batch, or a loss is not a number or does not depend on the encoder.
    """
    named = {name: p for name, p in encoder.named_parameters() if p.requires_grad}
    training = encoder.training
    encoder.eval()
    try:
        task = _gradient(named, [task_loss(encoder)], "the task loss")
        found = {}
        for language, some in batches.items():
            if not some:
                raise TrainingError(f"gradient agreement: {language} has no batch")
            losses = (alignment_loss(encoder, batch) for batch in some)
            found[language] = _agreements(encoder, _gradient(named, losses, f"the alignment loss of {language}"), task)
        return found
    finally:
        encoder.train(training)


def _gradient(named: Mapping[str, Tensor], losses: Iterable[Tensor], what: str) -> dict[str, Tensor]:
    """Mean gradient of some losses, one at a time; parameters that no loss reaches are left out."""
    total: dict[str, Tensor] = {}
    count = 0
    for loss in losses:
        if not bool(torch.isfinite(loss)):
            raise TrainingError(f"gradient agreement: {what} is {float(loss.detach())}")
        if not loss.requires_grad:
            raise TrainingError(f"gradient agreement: {what} does not depend on the encoder")
        grads = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
        for name, grad in zip(named, grads, strict=True):
            if grad is not None:
                total[name] = total[name] + grad if name in total else grad
        count += 1
    if not total:
        raise TrainingError(f"gradient agreement: {what} does not depend on the encoder")
    return {name: grad / count for name, grad in total.items()}


def _agreements(
    encoder: nn.Module, alignment: Mapping[str, Tensor], task: Mapping[str, Tensor]
) -> dict[str, Agreement]:
    parts: dict[str, list[str]] = {}
    for name, part in _parts(encoder).items():
        if name in alignment or name in task:
            parts.setdefault(part, []).append(name)
    parts[WHOLE] = [name for names in parts.values() for name in names]
    return {part: _agreement(names, alignment, task) for part, names in parts.items()}


def _agreement(names: Sequence[str], alignment: Mapping[str, Tensor], task: Mapping[str, Tensor]) -> Agreement:
    dot = sum(float((alignment[n].double() * task[n].double()).sum()) for n in names if n in alignment and n in task)
    squares = [sum(float(side[n].double().square().sum()) for n in names if n in side) for side in (alignment, task)]
    size = sum((alignment if n in alignment else task)[n].numel() for n in names)
    norms = [math.sqrt(square) for square in squares]
    return Agreement(dot / (norms[0] * norms[1]) if all(norms) else None, norms[0], norms[1], size)


def _parts(encoder: nn.Module) -> dict[str, str]:
    """The part of each parameter: embeddings first, then blocks, then the rest."""
    blocks = {id(p): f"block {k}" for k, block in enumerate(find_blocks(encoder), 1) for p in block.parameters()}
    found = {
        name: blocks.get(id(p)) or ("embeddings" if "embed" in name else "the rest")
        for name, p in encoder.named_parameters()
    }
    order = ["embeddings", *dict.fromkeys(blocks.values()), "the rest"]
    return dict(sorted(found.items(), key=lambda item: order.index(item[1])))
