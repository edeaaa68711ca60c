"""Weights that are not numbers are told before anything is computed with them, with the file they came from; and so
are vectors, which weights that are numbers can still make."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from xrealign.errors import ArtifactError


def check_finite(weights: Iterable[tuple[str, Tensor]], place: Path) -> None:
    """Nothing, if all weights read from a file or folder are numbers.

    Costs one sum over each tensor: 25 ms for the starter encoder's 118 million weights.

    Args:
        weights: by the name they have in memory; in a folder's files one may be longer by what stands before it.

    Raises:
        ArtifactError: one is NaN or infinite; names its file, the tensor, how many values and the first one's place.
    """
    for name, weight in weights:
        values = weight.detach()
        # A sum of numbers can overflow, so that only what it points at is looked at one by one.
        if not values.is_floating_point() or bool(torch.isfinite(values.sum())):
            continue
        wrong = ~torch.isfinite(values)
        count = int(wrong.sum())
        if count:
            first = torch.nonzero(wrong)[0].tolist()
            raise ArtifactError(
                f"{_file_of(name, place)}: the tensor {name!r} has {count:,} of {values.numel():,} values that are not "
                f"finite, the first at {first}: {float(values[tuple(first)])}; the file is damaged, or its training "
                "failed: fetch or make it again"
            )


def finite_sentences(states: Tensor, mask: Tensor | None = None) -> Tensor:
    """Whether all that a model made of each sentence are numbers; on the device. *Shape:* (S, T, D) → (S,) bool

    Args:
        mask: 0 where there is padding, whose states are nobody's. *Shape:* (S, T)
    """
    if mask is not None:
        states = states.masked_fill(mask[:, :, None] == 0, 0.0)
    return torch.isfinite(states.float().flatten(1).sum(1))


def check_vectors(finite: Sequence[bool], texts: Sequence[str], what: str) -> None:
    """Nothing, if all texts have vectors that are numbers: an argmax over NaN would choose as if it knew something.

    Raises:
        ArtifactError: some have not; counts them and quotes the first.
    """
    wrong = [text for text, whole in zip(texts, finite, strict=True) if not whole]
    if wrong:
        raise ArtifactError(
            f"{what}: the encoder makes vectors that are not finite of {len(wrong):,} of {len(texts):,} texts, the "
            f"first {wrong[0][:60]!r}; its weights are too large or damaged: use another encoder, or train "
            "with a lower learning_rate"
        )


def _file_of(name: str, place: Path) -> Path:
    """The file of a folder that holds a tensor, as far as the files' own lists of names tell; else the folder."""
    from safetensors import SafetensorError, safe_open

    if place.is_file():
        return place
    found: dict[str, Path] = {}
    for path in sorted(place.glob("*.safetensors"), reverse=True):
        try:
            with safe_open(path, framework="pt") as file:
                found |= dict.fromkeys(file.keys(), path)
        except SafetensorError:
            continue
    alike = (path for known, path in found.items() if known.endswith(f".{name}") or name.endswith(f".{known}"))
    return found.get(name) or next(alike, place)
