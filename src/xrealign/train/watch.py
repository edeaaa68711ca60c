"""Collapse and forgetting, watched without target labels on a few fixed sentences while training goes on.

Contrastive training can push all sentences into one direction (collapse), or the encoder far from what pre-training
taught it (forgetting). The measures are compared with those of the encoder before training, because encoders differ
in them from the start: some put all sentences into a narrow cone and work well.

*Shapes:* S sentences, D dims.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

Measures = dict[str, float]


@dataclass(frozen=True)
class Limits:
    """When a measure, compared with its value before training, is a warning.

    Chosen between a healthy and a broken realignment of multilingual-e5-small (sentence contrastive on 60 sentences,
    30 steps): at a rate of 2e-5 the mean cosine fell from .84 to .18, half of the IsoScore was left and blocks moved by
    0.4 % of their norm; at 1e-3 it rose to 1.00, 0.2 % was left and they moved by 7 %.

    Attributes:
        spread: least share that may be left of 1 − mean cosine of random pairs.
        isotropy: least share that may be left of the IsoScore.
        drift: most that the weights of a block may have moved, as a share of their norm.
        score: most that a score named ``score …`` (a dev set of the source language, say) may have lost, in its unit.
    """

    spread: float = 0.25
    isotropy: float = 0.1
    drift: float = 0.25
    score: float = 0.05


@dataclass(frozen=True)
class Watch:
    """What to measure while a phase runs, and whether a warning ends it.

    Attributes:
        every: steps from one measuring to the next; before the first step it is done as well.
        measure: from the model, in inference mode; it must not change it.
        stop: end the phase at the first warning; otherwise it is only said and written down.
    """

    every: int
    measure: Callable[[nn.Module], Measures]
    limits: Limits = Limits()
    stop: bool = False


def probe(
    encode: Callable[[nn.Module], Tensor],
    initial: Mapping[str, Tensor] | None = None,
    scores: Callable[[nn.Module], Mapping[str, float]] | None = None,
) -> Callable[[nn.Module], Measures]:
    """A ``measure`` for `Watch`.

    Args:
        encode: vectors of the fixed sentences; 32 to 64 of several languages are enough. *Shape:* (S, D)
        initial: the weights before training, by name, for the drift.
        scores: more is better; each is watched under ``score <name>``.
    """

    def measure(model: nn.Module) -> Measures:
        vectors = encode(model)
        found = {
            "random pair cosine": mean_cosine(vectors),
            "isotropy": isoscore(vectors),
            "top component": top_share(vectors),
        }
        found |= {f"drift {part}": value for part, value in drift(model, initial or {}).items()}
        return found | {f"score {name}": value for name, value in (scores(model) if scores else {}).items()}

    return measure


def take(watch: Watch, model: nn.Module) -> Measures:
    """The measures now, in inference mode without gradients; the model trains on as before."""
    training = model.training
    model.eval()
    with torch.no_grad():
        found = watch.measure(model)
    model.train(training)
    return found


def warnings_of(start: Measures, now: Measures, limits: Limits) -> list[str]:
    """What has gone beyond the limits since ``start``, a line each; a measure that is not a number always has."""
    lines = [f"{name} is {value}" for name, value in now.items() if not math.isfinite(value)]
    before, after = (1 - measures.get("random pair cosine", 0.0) for measures in (start, now))
    if after < limits.spread * before:
        lines.append(f"random sentences have become alike: mean cosine {1 - before:.3f} → {1 - after:.3f}")
    before, after = start.get("isotropy", 0.0), now.get("isotropy", 0.0)
    if after < limits.isotropy * before:
        lines.append(f"the vectors use few directions: IsoScore {before:.4f} → {after:.4f}")
    for name, value in now.items():
        if name.startswith("drift ") and value > limits.drift:
            lines.append(f"the weights of {name.removeprefix('drift ')} have moved by {value:.0%} of their norm")
        if name.startswith("score ") and start[name] - value > limits.score:
            lines.append(f"{name.removeprefix('score ')} has fallen from {start[name]:.3f} to {value:.3f}")
    return lines


def mean_cosine(vectors: Tensor) -> float:
    """Mean cosine over all pairs of different rows, in [−1, 1]: (‖Σ û‖² − S) / (S (S − 1)). *Shape:* (S, D)"""
    unit = torch.nn.functional.normalize(vectors.detach().double(), dim=-1)
    count = len(unit)
    return float((unit.sum(0).square().sum() - unit.square().sum()) / (count * (count - 1)))


def isoscore(vectors: Tensor) -> float:
    """How evenly the variance spreads over all directions: 1 = equal in all D, 0 = all in one. *Shape:* (S, D)

    IsoScore (Rudman et al. 2022, arXiv 2108.07344, section 4): with λ the variances along the principal components,
    scaled to norm √D, δ = ‖λ − 1‖ / √(2 (D − √D)), φ = (D − δ² (D − √D))² / D², the score is (D φ − 1) / (D − 1).
    Where k directions share all variance equally it is (k − 1) / (D − 1). Vectors that are all the same have 0.
    """
    variances = _variances(vectors)
    size = len(variances)
    norm = variances.norm()
    if norm == 0:
        return 0.0
    root = math.sqrt(size)
    defect = float((variances / norm * root - 1).norm()) / math.sqrt(2 * (size - root))
    share = (size - defect**2 * (size - root)) ** 2 / size**2
    return (size * share - 1) / (size - 1)


def top_share(vectors: Tensor) -> float:
    """Share of the variance along the first principal component, in (0, 1]; 1 where there is no variance."""
    variances = _variances(vectors)
    total = float(variances.sum())
    return float(variances.max()) / total if total > 0 else 1.0


def drift(model: nn.Module, initial: Mapping[str, Tensor]) -> Measures:
    """How far the weights have moved, ‖θ − θ₀‖ / ‖θ₀‖, for the embeddings, each block and the rest.

    Weights of which ``initial`` has none (a new head) are left out; so are parts whose first norm is zero.
    """
    moved: dict[str, list[tuple[Tensor, Tensor]]] = {}
    for name, p in model.named_parameters():
        if name in initial:
            old = initial[name].to(p.device).double()
            pair = ((p.detach().double() - old).square().sum(), old.square().sum())
            moved.setdefault(_part_of(name), []).append(pair)
    sums = {part: tuple(map(sum, zip(*pairs, strict=True))) for part, pairs in moved.items()}
    return {part: math.sqrt(float(a) / float(b)) for part, (a, b) in sums.items() if float(b) > 0}


def moves_text(moved: Mapping[str, float]) -> str:
    """What `drift` found, in a line for people: ``moved: block 2 by 0.31% of the norm; unchanged: embeddings``."""
    there = [f"{part} by {100 * share:.2g}%" for part, share in moved.items() if share > 0]
    stayed = [part for part, share in moved.items() if share == 0]
    first = [f"moved: {', '.join(there)} of the norm"] if there else []
    return "; ".join(first + ([f"unchanged: {', '.join(stayed)}"] if stayed else []))


def _part_of(name: str) -> str:
    block = re.search(r"\blayers?\.(\d+)\.", name)
    return f"block {int(block[1]) + 1}" if block else "embeddings" if "embed" in name else "the rest"


def _variances(vectors: Tensor) -> Tensor:
    """Variances along all D principal components (eigenvalues of the covariance), zeros included."""
    wide = vectors.detach().double()
    centred = wide - wide.mean(0)
    found = torch.linalg.svdvals(centred).square() / max(1, len(wide) - 1)
    return torch.cat([found, found.new_zeros(wide.shape[1] - len(found))])


def reasons(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Warnings that a history holds, each once, in order of their first appearance."""
    return list(dict.fromkeys(line for row in rows for line in row.get("warnings", ())))
