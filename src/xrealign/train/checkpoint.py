"""What a killed training needs to go on: the tensors that change, as safetensors with a checked manifest.

Order of data and dropout are pure functions of the step (`xrealign.train.seeds`), so a checkpoint holds only
trainable parameters, optimiser state, buffers (what an objective remembers) and the step. Never a pickle.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from xrealign.progress import say
from xrealign.store import file_digest, seal, sync, unseal

FORMAT = 2
KEPT = 2  # the newest may turn out to be damaged


@dataclass(frozen=True)
class Progress:
    """How far a training has come.

    Attributes:
        step: steps done.
        history: its rows.
        pending: losses of the steps since the last row. *Shape:* (steps, objectives + 1)
    """

    step: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    pending: Sequence[Sequence[float]] = ()


def save_checkpoint(folder: Path, progress: Progress, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Writes ``folder/step-<step>`` aside, fsyncs it and renames it; of older ones the newest is kept."""
    step = progress.step
    target = folder / f"step-{step:08d}"
    aside = folder / f".step-{step:08d}"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad or p in optimizer.state}
    tensors = {f"model.{name}": p.detach().cpu().contiguous() for name, p in parameters.items()}
    for name, p in parameters.items():
        for key, value in optimizer.state.get(p, {}).items():
            tensors[f"adam.{key}.{name}"] = torch.as_tensor(value).detach().cpu().contiguous()
    tensors |= {f"buffer.{name}": buffer.detach().cpu().contiguous() for name, buffer in _buffers(model).items()}
    save_file(tensors, aside / "state.safetensors")
    digest = file_digest(aside / "state.safetensors")
    (aside / "checkpoint.json").write_text(seal({"format": FORMAT, "sha256": digest, **vars(progress)}), "utf-8")
    for path in (*aside.iterdir(), aside):
        sync(path)
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
        manifest = _read_manifest(path)
        if manifest is None:
            say(f"  checkpoint {path} is damaged: dropped")
            shutil.rmtree(path)
            continue
        tensors = load_file(path / "state.safetensors")
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
        return Progress(manifest["step"], manifest["history"], manifest["pending"])
    return Progress()


def _buffers(model: nn.Module) -> dict[str, torch.Tensor]:
    """The buffers that are part of the model's state."""
    kept = model.state_dict().keys()
    return {name: buffer for name, buffer in model.named_buffers() if name in kept}


def _read_manifest(path: Path) -> dict[str, Any] | None:
    with contextlib.suppress(OSError, ValueError, KeyError):
        manifest = unseal((path / "checkpoint.json").read_text("utf-8"))
        if manifest["format"] == FORMAT and manifest["sha256"] == file_digest(path / "state.safetensors"):
            return manifest
    return None
