"""A whole experiment that takes seconds: a tiny encoder, a few sentences, every stage from select to report."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path

import tiny_encoders

CONFIG = """
name = "tiny"
source = "eng"
[encoder]
name = "encoder"
[select]
languages = ["swh", "tur"]
[corpus]
held_out = 0.2
[corpus.files]
swh = "eng-swh.tsv"
tur = "eng-tur.tsv"
[align]
layer = 2
[realign]
steps = {steps}
batch_size = 4
checkpoint_every = 5
freeze = "none"
learning_rate = 1e-3
[task]
name = "halves"
kind = "class"
train = "train.tsv"
dev = "dev.tsv"
[task.tests]
eng = "eng.tsv"
swh = "swh.tsv"
[finetune]
steps = {steps}
batch_size = 4
checkpoint_every = 5
learning_rate = 1e-3
keep = "best"
[measure]
max_concepts = 5
[report]
figures = {figures}
"""


@functools.cache
def _lines() -> dict[str, list[str]]:
    return tiny_encoders.udhr_lines()


def encoder(folder: Path, architecture: str = "bert") -> Path:
    """A tiny random encoder with its tokenizer, as a Hugging Face folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return tiny_encoders.write_tiny_encoder(folder, architecture, tiny_encoders.tiny_tokenizer(_lines()))


def config(folder: Path, more: str = "", steps: int = 12, figures: Sequence[str] = ()) -> Path:
    """Lays out an experiment, ``tiny.toml`` and all that it reads, in ``folder``; ``more`` is added to the file.

    ``xrealign run tiny.toml`` goes through every stage and saves the report's figures in the forms of ``figures``
    (drawing all three takes a third of the time); which half of the Declaration's first twenty segments a sentence is
    from is the task.
    """
    encoder(folder / "encoder")
    lines = _lines()
    for tag in ("swh_Latn", "tur_Latn"):
        rows = [f"{source}\t{target}" for source, target in zip(lines["eng_Latn"], lines[tag], strict=True)]
        (folder / f"eng-{tag[:3]}.tsv").write_text("\n".join(rows) + "\n", "utf-8")
    for tag, name in (("eng_Latn", "train"), ("eng_Latn", "dev"), ("eng_Latn", "eng"), ("swh_Latn", "swh")):
        rows = [f"{'first' if number < 10 else 'second'}\t{text}" for number, text in enumerate(lines[tag])]
        rows = rows[::2] if name == "train" else rows[1:8:3] if name == "dev" else rows[1::2]
        (folder / f"{name}.tsv").write_text("\n".join(rows) + "\n", "utf-8")
    path = folder / "tiny.toml"
    path.write_text(CONFIG.format(steps=steps, figures=list(figures)) + more, "utf-8")
    return path


STAGES = ("select", "corpus", "align", "task", "realign", "finetune", "evaluate", "measure")


def digests(runs: Path) -> dict[str, str]:
    """Digest of every file of every result; manifests, which hold times, are left out."""
    return {
        str(path.relative_to(runs)): hashlib.sha256(path.read_bytes()).hexdigest()
        for verb in STAGES
        for path in sorted((runs / verb).rglob("*"))
        if path.is_file() and path.name != "manifest.json"
    }
