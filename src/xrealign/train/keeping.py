"""Which weights a training ends with: the last, the best on the source language's dev set, or a mean of the last.

What is kept while training goes on is in files beside the checkpoints, so that a training that was killed ends with the
same weights. No test set and no target language has a say in it.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from xrealign.errors import ConfigError, DamagedWork, TrainingError
from xrealign.model.folder import save_tensors
from xrealign.train.distributed import in_turn, ranks
from xrealign.train.guards import Row
from xrealign.train.phase import After

BEST = "best.safetensors"
TENTHS = 10


@dataclass(frozen=True)
class Keeping:
    """What to end with.

    Attributes:
        points: steps after which weights are looked at, ascending; the last is that of the phase.
        folder: of the phase's checkpoints.
        average: how many of the last points to take the mean of; 1 for the last alone.
        measure: scores of the model, of which ``dev`` decides, to end with the best of all points; None for the last.
    """

    points: tuple[int, ...]
    folder: Path
    average: int = 1
    measure: Callable[[nn.Module], Mapping[str, float]] | None = None


def points_of(steps: int, epochs: int | None) -> tuple[int, ...]:
    """Ends of the epochs, or without epochs of the tenths, as numbers of steps done."""
    parts = TENTHS if epochs is None else epochs
    return tuple(sorted({math.ceil(steps * part / parts) for part in range(1, parts + 1)}))


def check_keeping(keep: str, average: int, points: Sequence[int], dev: bool) -> None:
    """Looks at the settings.

    Raises:
        ConfigError: they contradict each other, or ask for what there is not.
    """
    if keep not in ("last", "best"):
        raise ConfigError(f"keep = {keep!r} is unknown; expected last or best")
    if average < 1 or average > len(points):
        raise ConfigError(f"average = {average} is impossible; expected 1 to {len(points)}, the epochs or tenths")
    if keep == "best" and average > 1:
        raise ConfigError(f"keep = 'best' and average = {average} cannot both be; keep one")
    if keep == "best" and not dev:
        raise ConfigError(
            "keep = 'best' needs a dev set of the source language; a target language's labels never choose a model"
        )


def after_step(keeping: Keeping) -> After | None:
    """What `run_phase` is to call after each step: keeps weights, and after the last step puts them into the model."""
    if keeping.measure is not None:
        return functools.partial(_best, keeping)
    return functools.partial(_mean, keeping) if keeping.average > 1 else None


def _best(keeping: Keeping, model: nn.Module, done: int, learning: frozenset[str]) -> Row:
    if done not in keeping.points:
        return {}
    assert keeping.measure is not None
    training = model.training
    model.eval()
    with torch.no_grad():
        score = keeping.measure(model)["dev"]
    model.train(training)
    if not math.isfinite(score):
        raise TrainingError(f"the dev score after step {done} is {score}; the model cannot be chosen by it")
    path = keeping.folder / BEST
    known = in_turn(lambda: read_facts(path))
    # A killed training comes to the same steps again: then what is kept may be of a later step, and stays the best.
    if known is None or score > known["score"] or done == known["step"]:
        _save(model, learning, path, {"step": done, "score": score})
        known = {"step": done, "score": score}
    told: Row = {"dev": score}
    if done == keeping.points[-1]:
        _load(model, in_turn(lambda: _read(path)))
        told["kept"] = [known["step"]]
    return told


def _mean(keeping: Keeping, model: nn.Module, done: int, learning: frozenset[str]) -> Row:
    chosen = keeping.points[-keeping.average :]
    if done not in chosen:
        return {}
    _save(model, learning, _kept(keeping, done), {"step": done})
    if done != chosen[-1]:
        return {}
    _load(model, in_turn(lambda: mean_of(lambda step: _read(_kept(keeping, step)), chosen)))
    return {"kept": list(chosen)}


def mean_of(read: Callable[[Any], Mapping[str, Tensor]], places: Sequence[Any]) -> dict[str, Tensor]:
    """The mean of the floating-point tensors of each place, summed in float64; others as in the last place."""
    total: dict[str, Tensor] = {}
    last: Mapping[str, Tensor] = {}
    for place in places:
        last = read(place)
        for name, tensor in last.items():
            if tensor.is_floating_point():
                total[name] = total[name] + tensor if name in total else tensor.double()
    return {name: (total[name] / len(places)).to(old.dtype) if name in total else old for name, old in last.items()}


def _kept(keeping: Keeping, step: int) -> Path:
    return keeping.folder / f"kept-{step:08d}.safetensors"


def _save(model: nn.Module, names: frozenset[str], path: Path, facts: Mapping[str, Any]) -> None:
    from safetensors.torch import save_file

    if ranks()[0] > 0:
        return
    tensors = {n: p.detach().cpu().contiguous() for n, p in model.named_parameters() if n in names}
    told = json.dumps(facts)
    save_tensors(tensors, path, save_file, {"facts": told, "sha256": _digest(tensors, told)})


def _digest(tensors: Mapping[str, Tensor], facts: str) -> str:
    """SHA-256 of kept weights and what is known of them, 64 hexadecimal digits."""
    digest = hashlib.sha256(facts.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def read_facts(path: Path) -> dict[str, Any] | None:
    """The step and score of kept weights; None where there are none.

    Raises:
        DamagedWork: they are not those that were written.
    """
    return _read_kept(path)[1] if path.is_file() else None


def _read(path: Path) -> dict[str, Tensor]:
    return _read_kept(path)[0]


def _read_kept(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
            known = file.metadata() or {}
    except (OSError, SafetensorError):
        raise DamagedWork(f"{path} is damaged") from None
    if known.get("sha256") != _digest(tensors, known.get("facts", "")):
        raise DamagedWork(f"{path} is damaged")
    return tensors, json.loads(known["facts"])


def _load(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name in tensors:
                p.copy_(tensors[name])
