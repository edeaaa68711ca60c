"""What a killed training needs to go on: the tensors that change, as safetensors with a checked manifest.

Order of data and dropout are pure functions of the step (`xrealign.train.seeds`), so a checkpoint holds only
trainable parameters, optimiser state, buffers (what an objective remembers) and the step. Never a pickle.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from xrealign.model.folder import save_tensors
from xrealign.progress import say
from xrealign.store import file_digest, seal, unseal
from xrealign.writing import sync, write_atomic

FORMAT = 3
STATE, FACTS = "state.safetensors", "checkpoint.json"
KEPT = 2  # the newest may turn out to be damaged


@dataclass(frozen=True)
class Progress:
    """How far a training has come.

    Attributes:
        step: steps done.
        history: its rows.
        pending: losses of the steps since the last row. *Shape:* (steps, objectives + 1)
        before: what the watch measured before the first step, None without a watch.
        parts: into how many the batches of an objective are divided, by its name.
    """

    step: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    pending: Sequence[Sequence[float]] = ()
    before: dict[str, Any] | None = None
    parts: dict[str, int] = field(default_factory=dict)


def save_checkpoint(folder: Path, progress: Progress, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Writes ``folder/step-<step>`` aside, fsyncs it and renames it; of older ones the newest is kept."""
    step = progress.step
    target = folder / f"step-{step:08d}"
    aside = folder / f".step-{step:08d}"
    shutil.rmtree(aside, ignore_errors=True)
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad or p in optimizer.state}
    tensors = {f"model.{name}": p.detach().cpu().contiguous() for name, p in parameters.items()}
    for name, p in parameters.items():
        for key, value in optimizer.state.get(p, {}).items():
            tensors[f"adam.{key}.{name}"] = torch.as_tensor(value).detach().cpu().contiguous()
    tensors |= {f"buffer.{name}": buffer.detach().cpu().contiguous() for name, buffer in _buffers(model).items()}
    try:
        aside.mkdir(parents=True)
        save_tensors(tensors, aside / STATE, save_file)
        facts = {"format": FORMAT, "sha256": file_digest(aside / STATE), **vars(progress)}
        write_atomic(aside / FACTS, seal(facts))
        sync(aside)
    except BaseException:  # on a full disk its room is needed
        shutil.rmtree(aside, ignore_errors=True)
        raise
    shutil.rmtree(target, ignore_errors=True)
    aside.rename(target)
    sync(folder)
    for old in sorted(folder.glob("step-*"))[:-KEPT]:
        shutil.rmtree(old)


def load_checkpoint(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
    """Restores the newest whole checkpoint in ``folder``; returns how far it had come: nowhere without one.

    A damaged one is named, dropped, and the one before it is used.
    """
    for path in sorted(folder.glob("step-*"), reverse=True):
        found = _read(path)
        if found is None:
            say(f"  checkpoint {path} is damaged: dropped")
            shutil.rmtree(path)
            continue
        progress, tensors = found
        with torch.no_grad():
            for name, buffer in _buffers(model).items():
                if f"buffer.{name}" in tensors:
                    buffer.copy_(tensors[f"buffer.{name}"])
            for name, p in model.named_parameters():
                if f"model.{name}" not in tensors:
                    continue
                p.copy_(tensors[f"model.{name}"])
                state = {
                    key.split(".")[1]: value
                    for key, value in tensors.items()
                    if key.startswith("adam.") and key.split(".", 2)[2] == name
                }
                if state:
                    # Adam keeps its step count on the host unless fused or capturable; the rest lives with p.
                    fused = optimizer.defaults.get("fused") or optimizer.defaults.get("capturable")
                    optimizer.state[p] = {
                        k: v if k == "step" and not fused else v.to(p.device) for k, v in state.items()
                    }
        return progress
    return Progress()


def _buffers(model: nn.Module) -> dict[str, torch.Tensor]:
    """The buffers that are part of the model's state."""
    kept = model.state_dict().keys()
    return {name: buffer for name, buffer in model.named_buffers() if name in kept}


def _read(path: Path) -> tuple[Progress, dict[str, torch.Tensor]] | None:
    """How far a checkpoint had come and its tensors; None where it is not what was saved."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, SafetensorError):
        facts = unseal((path / FACTS).read_text("utf-8"))
        if facts["format"] == FORMAT and facts["sha256"] == file_digest(path / STATE):
            return Progress(**{one.name: facts[one.name] for one in fields(Progress)}), load_file(path / STATE)
    return None
