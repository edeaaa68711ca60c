"""``xrealign align tune``: fine-tunes the encoder of an embedding aligner on sentence pairs without links."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from xrealign.align.pairs import Checked
    from xrealign.train.tune import TuneSettings


def tune_command(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="IN [IN]",
            help="Sentence pairs to learn from, words separated by blanks, as for `xrealign align`; no links.",
        ),
    ],
    out: Annotated[Path, typer.Option("--output", "-o", help="Folder for the encoder; must not exist yet.")],
    encoder: Annotated[str, typer.Option(help="`starter`, a Hugging Face folder, or a name on the hub.")] = "starter",
    revision: Annotated[str | None, typer.Option(help="Of an encoder on the hub.")] = None,
    layer: Annotated[
        int, typer.Option(help="That links will be read from: 7 is the starter's best. Blocks above it do not learn.")
    ] = 7,
    objective: Annotated[
        str,
        typer.Option(
            help="Joined by `+`: `so` (self-training on the encoder's own links), `co` (both directions agree), `psi` "
            "(do two sentences translate each other), `tlm`, `mlm` (need an encoder with a masked-LM head)."
        ),
    ] = "so",
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps.")] = 150,
    batch_size: Annotated[int, typer.Option(min=1, help="Sentence pairs a step.")] = 8,
    learning_rate: Annotated[float, typer.Option(help="At the start; it falls to zero by equal steps.")] = 1e-4,
    threshold: Annotated[float, typer.Option(help="Probability, both ways, of a link to learn from.")] = 0.1,
    temperature: Annotated[float, typer.Option(help="Divides dot products before softmax.")] = 2.0,
    freeze: Annotated[str, typer.Option(help="`none` or `embeddings`.")] = "none",
    whole_words: Annotated[bool, typer.Option("--whole-words", help="TLM and MLM mask whole words.")] = False,
    max_length: Annotated[int, typer.Option(min=3, help="Longest sentence in subwords; the rest is cut.")] = 128,
    seed: Annotated[int, typer.Option(min=0, help="Of the order of pairs, dropout and masks.")] = 0,
    input_form: Annotated[str, typer.Option("--input", help="`auto`, `tsv`, `moses` or `bar`.")] = "auto",
    lenient: Annotated[
        bool,
        typer.Option(
            "--lenient", help="Skip faulty lines, counted by reason; more than 100 and more than a tenth are an error."
        ),
    ] = False,
) -> None:
    """Fine-tunes an encoder on parallel text so that `xrealign align --encoder FOLDER` makes better links.

    After Dou & Neubig (2021); the published settings are `--learning-rate 2e-5 --threshold 0.001 --temperature 1`, the
    defaults what was best for the starter encoder. A command that was stopped or killed goes on after its last
    checkpoint when it is given again, to the same encoder. Example:

    `xrealign align tune pairs.tsv -o tuned --layer 7 --objective so --steps 300`
    """
    from xrealign.model.resolve import check_encoder

    check_encoder(encoder, revision)  # what is not to be had is told before torch loads
    from xrealign.align.pairs import check_input, find_form
    from xrealign.errors import ConfigError
    from xrealign.progress import say
    from xrealign.train.masked import MaskSettings
    from xrealign.train.tune import TuneSettings, parse_objectives

    if freeze not in ("none", "embeddings"):
        raise ConfigError(f"--freeze {freeze} is unknown; expected none or embeddings")
    settings = TuneSettings(
        parse_objectives(objective), layer, steps, batch_size, learning_rate, threshold, temperature,
        freeze="embeddings" if freeze == "embeddings" else "none", masks=MaskSettings(whole_words=whole_words),
        max_length=max_length,
    )  # fmt: skip
    if len(inputs) > 2:
        raise ConfigError(f"{len(inputs)} input files; expected one, or two of which line N translates line N")
    if out.exists() or not out.absolute().parent.is_dir():
        reason = "it exists already" if out.exists() else f"there is no folder {out.absolute().parent}"
        raise ConfigError(f"-o {out}: {reason}")
    form = find_form(inputs, input_form)
    checked = check_input(inputs, form, lenient)
    facts = tune_file(inputs, form, checked, out, encoder, revision, settings, seed)
    for reason, count in sorted(checked.faults.items()):
        say(f"  {count} lines skipped: {reason}")
    if facts["cut_words"]:
        say(f"  {facts['cut_words']} words beyond the longest sentence ({max_length} subwords) were cut")
    first, last = facts["history"][0], facts["history"][-1]
    for name in (key for key in last if key not in ("step", "rate")):
        say(f"  {name}: {first[name]:.4f} → {last[name]:.4f}")
    used = f"{facts['distinct_pairs_used']} of {facts['pairs']} sentence pairs"
    read = f"xrealign align IN -o OUT --encoder {out} --layer {facts['layer']}"
    say(f"{out}: an encoder tuned on {used}; use it with: {read}")


def tune_file(
    inputs: list[Path],
    form: str,
    checked: Checked,
    out: Path,
    encoder_name: str,
    revision: str | None,
    settings: TuneSettings,
    seed: int,
) -> dict[str, Any]:
    """Tunes on a checked file and writes the folder ``out``, aside first; returns the facts of `tune_aligner`.

    Checkpoints lie in a hidden folder beside ``out``, which goes when the encoder is whole; those of other input or
    other settings are dropped.

    Raises:
        ConfigError: another process makes the same folder.
        And all that `tune_aligner` and `load_encoder` raise.
    """
    from xrealign.align.pairs import read_rows
    from xrealign.model.encoder import encoder_digest, load_encoder, save_encoder
    from xrealign.train.tune import tune_aligner
    from xrealign.writing import alone, move_folder, write_atomic

    work = out.with_name(f".{out.name}.tuning")
    key = json.dumps([checked.digest, form, encoder_digest(encoder_name, revision), asdict(settings), seed])
    with alone(out):
        try:
            _keep_if_same(work, key)
            encoder = load_encoder(encoder_name, revision)
            pairs = [(row.src, row.tgt) for row in read_rows(inputs, form) if not row.fault]
            facts = tune_aligner(encoder, pairs, settings, work / "checkpoints", seed)
            whole = work / "encoder"
            shutil.rmtree(whole, ignore_errors=True)
            save_encoder(encoder, whole, encoder.folder)
            record = {"settings": asdict(settings), "seed": seed, "input": checked.digest, "encoder": encoder_name}
            write_atomic(whole / "tuning.json", json.dumps(record | facts, indent=1) + "\n")
            move_folder(whole, out)
            shutil.rmtree(work)
        except BaseException:
            shutil.rmtree(work / "encoder", ignore_errors=True)
            if not (work / "checkpoints").is_dir():  # nothing to go on from
                shutil.rmtree(work, ignore_errors=True)
            raise
    return facts


def _keep_if_same(work: Path, key: str) -> None:
    """Checkpoints of an earlier run stay only if it was given the same."""
    from xrealign.progress import say
    from xrealign.writing import write_atomic

    path = work / "key.json"
    if work.is_dir() and (not path.is_file() or path.read_text("utf-8") != key):
        say(f"{work} was made from other input or settings; starting anew")
        shutil.rmtree(work)
    work.mkdir(exist_ok=True)
    write_atomic(path, key)
