"""``xrealign align train-supervised``: gold links to a folder that ``xrealign align --aligner supervised`` uses."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xrealign.errors import ConfigError

if TYPE_CHECKING:
    from xrealign.align.supervised import SupervisedAligner
    from xrealign.train.supervised import GoldPairs


def supervised_train_command(
    gold: Annotated[
        list[Path],
        typer.Argument(
            metavar="GOLD [GOLD...]",
            help="Gold links, a file for each language pair: source words, target words, links (tab-separated); `i-j` "
            "is sure, `ipj` possible. Files are drawn from with equal chances.",
        ),
    ],
    out: Annotated[Path, typer.Option("--output", "-o", help="Folder for the trained aligner; must not be there yet.")],
    encoder: Annotated[str, typer.Option(help="`starter`, a Hugging Face folder, or a name on the hub.")] = "starter",
    revision: Annotated[str | None, typer.Option(help="Of an encoder on the hub.")] = None,
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps.")] = 1000,
    batch_size: Annotated[int, typer.Option(min=1, help="Marked words (each with its sentence pair) a step.")] = 16,
    words_per_pair: Annotated[
        int,
        typer.Option(min=1, help="Marked words from one sentence in a step: 1 as published."),
    ] = 4,
    learning_rate: Annotated[
        float, typer.Option(help="Highest; 3e-4 suits the starter, 2e-5 is published for base size.")
    ] = 3e-4,
    layer: Annotated[
        int, typer.Option(help="Of the encoder; a lower one trains and aligns faster. -1 is the last.")
    ] = -1,
    marker: Annotated[
        str | None,
        typer.Option(help="One subword of the vocabulary to mark words with; the mask subword unless told."),
    ] = None,
    possible: Annotated[
        str,
        typer.Option(help="What links that are only possible are: `ignored`, `negative` (as published), `positive`."),
    ] = "ignored",
    freeze: Annotated[
        str, typer.Option(help="What does not learn: `none`, `front`, `embeddings`, `blocks 1-6` …")
    ] = "none",
    max_length: Annotated[int, typer.Option(help="Longest sentence pair in subwords; words beyond it are cut.")] = 512,
    weight_decay: Annotated[float, typer.Option(min=0, help="Decoupled, as in AdamW.")] = 0.01,
    held_out: Annotated[
        float, typer.Option(help="Share of each file's pairs to measure AER on, not to train on.")
    ] = 0.1,
    seed: Annotated[int, typer.Option(min=0, help="Of the pairs held out, their order, and dropout.")] = 0,
    base: Annotated[int, typer.Option(min=0, max=1, help="Number of the first word in the gold: 0 or 1.")] = 0,
    precision: Annotated[str, typer.Option(help="`auto`, `fp32` or `bf16` (a GPU that has it).")] = "auto",
    checkpoint_every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 100,
) -> None:
    """Trains a supervised aligner on gold links: BinaryAlign (Latouche et al. 2024).

    A command that was stopped goes on from its last checkpoint when it is given again. Mind the licence of the gold
    links: some allow measuring only. Example:

    `xrealign align train-supervised deu-eng.tsv eng-ces.tsv -o aligner --layer 8 --steps 1000`
    """
    from xrealign.model.resolve import check_encoder

    check_encoder(encoder, revision)  # what is not to be had is told before torch loads
    from xrealign.model.encoder import encoder_digest
    from xrealign.progress import say
    from xrealign.store import file_digest
    from xrealign.train.loop import choose_precision
    from xrealign.train.supervised import SupervisedSettings, hold_out, read_gold_pairs

    if out.exists() or not out.parent.is_dir():
        raise ConfigError(f"-o {out}: {'it is there already' if out.exists() else f'there is no folder {out.parent}'}")
    if precision not in ("auto", "fp32", "bf16"):
        raise ConfigError(f"--precision {precision} is unknown; expected auto, fp32 or bf16")
    choose_precision(precision)
    settings = SupervisedSettings(
        steps=steps, batch_size=batch_size, words_per_pair=words_per_pair, learning_rate=learning_rate, layer=layer,
        marker=marker, possible=possible, freeze=freeze, max_length=max_length,  # type: ignore[arg-type]
        weight_decay=weight_decay, checkpoint_every=checkpoint_every, precision=precision,  # type: ignore[arg-type]
    )  # fmt: skip
    pairs = read_gold_pairs(gold, base)
    train, held = hold_out(pairs, held_out, seed)
    key = {
        "encoder": encoder_digest(encoder, revision),
        "gold": [file_digest(path) for path in gold],
        "settings": asdict(settings),
        "held_out": held_out,
        "seed": seed,
        "base": base,
    }
    trained = _train(out, key, encoder, revision, train, held, settings, seed)
    say(f"{out}: {trained}")


def _train(
    out: Path, key: dict[str, Any], encoder_name: str, revision: str | None, train: GoldPairs, held: GoldPairs,
    settings: Any, seed: int,
) -> str:  # fmt: skip
    """Trains beside ``out`` and moves the whole folder there; returns what came of it in one line."""
    from xrealign.align.supervised import save_aligner
    from xrealign.model.encoder import load_encoder
    from xrealign.train.supervised import train_supervised
    from xrealign.writing import alone, move_folder

    work = out.with_name(f".{out.name}.training")
    with alone(out):
        try:
            work.mkdir(exist_ok=True)
            checkpoints = _checkpoints(work, key)
            start = time.monotonic()
            encoder = load_encoder(encoder_name, revision)
            aligner, facts = train_supervised(encoder, train, settings, checkpoints, seed)
            seconds = time.monotonic() - start
            error = held_out_error(aligner, held) if len(held) else None
            facts |= {"key": key, "held_out_pairs": len(held), "held_out_aer": error}
            shutil.rmtree(work / "made", ignore_errors=True)
            save_aligner(aligner, work / "made", facts, encoder.folder)
            move_folder(work / "made", out)
            shutil.rmtree(work)
        except BaseException:
            shutil.rmtree(work / "made", ignore_errors=True)
            if not (work / "checkpoints").is_dir():  # nothing to go on from
                shutil.rmtree(work, ignore_errors=True)
            raise
    loss = facts["history"][-1]["links"]
    cut = f", {facts['cut_words']} words beyond the longest pair" if facts["cut_words"] else ""
    shown = f"AER {error:.4f} on {len(held)} pairs held out" if error is not None else "no AER: no pairs held out"
    return f"{shown}; {facts['pairs']} pairs, {settings.steps} steps, last loss {loss:.4f}{cut}, {seconds:.0f} s"


def _checkpoints(work: Path, key: dict[str, Any]) -> Path:
    """The folder of checkpoints; emptied when they belong to other settings or other gold links."""
    from xrealign.progress import say
    from xrealign.writing import write_atomic

    path, text = work / "key.json", json.dumps(key, indent=1, sort_keys=True)
    if path.is_file() and path.read_text(encoding="utf-8") != text:
        say("  checkpoints of other settings or gold links are there: dropped")
        shutil.rmtree(work / "checkpoints", ignore_errors=True)
    write_atomic(path, text)
    return work / "checkpoints"


def held_out_error(aligner: SupervisedAligner, held: GoldPairs) -> float | None:
    """AER of the aligner's links on gold pairs; None where no pair has a link, gold or made."""
    from xrealign.align.score import link_counts, measures
    from xrealign.align.supervised import supervised_links

    found = supervised_links(aligner, held.src, held.tgt, what="held-out pairs").found
    links = [frozenset((int(i), int(j)) for i, j in scored.links) for scored in found]
    value = float(measures(link_counts(held.gold, links).sum(axis=0, keepdims=True))[0, 3])
    return None if value != value else value
