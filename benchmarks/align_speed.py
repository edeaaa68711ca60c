"""Sentence pairs a second of `xrealign align --aligner argmax` against SimAlign, same encoder, layer, words, threads.

    XREALIGN_DATA=FOLDER python benchmarks/align_speed.py [--device cuda] [--rounds 5]

SimAlign (Jalili Sabet et al. 2020) is installed from PyPI into an environment of its own the first time, with the
torch and transformers of this one. Both sides read the same words, load the model outside the clock, and take turns;
the ratio is that of the medians. Writing a file counts on our side, not on theirs. Links differ where a word mark is
alone (Chinese, Japanese): SimAlign counts it as a part of the word, we do not, which lowers AER a little. Prints a
Markdown table.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from importlib.metadata import version
from pathlib import Path

import torch

from xrealign.align.embedding import embedding_recipe
from xrealign.align.extract import AlignSettings
from xrealign.align.files import FileSettings, align_file
from xrealign.align.linker import Recipe
from xrealign.align.pairs import check_input
from xrealign.align.score import words
from xrealign.model.resolve import resolve_encoder
from xrealign.paths import cache_folder, data_folder
from xrealign.textio import read_lines

SETS = ("deu-eng", "eng-ces", "eng-fra", "eng-hin", "eng-spa", "ron-eng", "zho-eng", "jpn-eng")


def simalign_python() -> Path:
    """The interpreter of SimAlign's environment, made if it is not there."""
    folder = cache_folder() / "benchmarks" / "simalign-0.4"
    python = folder / "bin" / "python"
    if not (folder / "whole").exists():
        venv.create(folder, with_pip=True, clear=True)
        wanted = ["simalign==0.4", *(f"{name}=={version(name).split('+')[0]}" for name in ("torch", "transformers"))]
        subprocess.run([python, "-m", "pip", "install", "-q", *wanted], check=True)
        (folder / "whole").touch()
    return python


def read_pairs(folder: Path, most: int) -> list[tuple[list[str], list[str]]]:
    """The same number of pairs of each gold set, their words."""
    found = []
    for name in SETS:
        rows = [line.split("\t") for _, line in read_lines(folder / f"{name}.tsv")][: most // len(SETS)]
        found += [(words(row[0]), words(row[1])) for row in rows]
    return found


def ours(pairs: list[tuple[list[str], list[str]]], recipe: Recipe, folder: Path) -> tuple[float, list[str]]:
    """Seconds of one whole file, from the checked input to the file of links, and its lines."""
    source, out = folder / "pairs.tsv", folder / "links"
    source.write_text("".join(f"{' '.join(src)}\t{' '.join(tgt)}\n" for src, tgt in pairs), "utf-8")
    start = time.perf_counter()
    checked = check_input([source], "tsv", lenient=False)
    align_file([source], "tsv", checked, out, recipe, FileSettings())
    return time.perf_counter() - start, out.read_text("utf-8").splitlines()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="starter")
    parser.add_argument("--layer", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=800)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    options = parser.parse_args()
    data = data_folder()
    if data is None:
        sys.exit("needs the data pack: set XREALIGN_DATA to its folder")
    torch.set_num_threads(options.threads)
    pairs = read_pairs(data / "starter" / "alignments", options.pairs)
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads), "TOKENIZERS_PARALLELISM": "true"}
    encoder = str(resolve_encoder(options.encoder))
    rows = []
    for level in ("word", "subword"):
        token_type = "word" if level == "word" else "bpe"
        command = [simalign_python(), Path(__file__).with_name("align_speed_simalign.py"), encoder,
                   str(options.layer), token_type, options.device]  # fmt: skip
        other = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            stderr=subprocess.DEVNULL,
        )
        assert other.stdin
        assert other.stdout
        while '"ready"' not in (line := other.stdout.readline()):
            if not line:
                sys.exit(f"SimAlign did not start: {command}")
        settings = AlignSettings(
            "argmax", options.layer, level, max_length=512, subwords_per_batch=1024, precision=options.precision
        )
        recipe = embedding_recipe(options.encoder, settings, options.device)
        linker = recipe.open()
        opened = Recipe(recipe.key, lambda linker=linker: linker)
        seconds: tuple[list[float], list[float]] = ([], [])
        with tempfile.TemporaryDirectory() as folder:
            ours(pairs[:64], opened, Path(folder))
            for _ in range(options.rounds):
                mine, lines = ours(pairs, opened, Path(folder))
                other.stdin.write(json.dumps(pairs) + "\n")
                other.stdin.flush()
                theirs = json.loads(other.stdout.readline())
                seconds[0].append(mine)
                seconds[1].append(theirs["seconds"])
        other.stdin.close()
        other.wait()
        mine_set = [set(line.split()) for line in lines]
        other_set = [{f"{i}-{j}" for i, j in found} for found in theirs["links"]]
        same = sum(len(a & b) for a, b in zip(mine_set, other_set, strict=True))
        total = sum(len(a | b) for a, b in zip(mine_set, other_set, strict=True))
        medians = [statistics.median(times) for times in seconds]
        ratio = medians[1] / medians[0]
        lowest = min(theirs / mine for mine, theirs in zip(*seconds, strict=True))
        speeds = [f"{len(pairs) / median:.0f}" for median in medians]
        rows.append(f"| {level} | {' | '.join(speeds)} | {ratio:.1f} | {lowest:.1f} | {100 * same / total:.2f} % |")
    told = [f"{len(pairs)} pairs", f"layer {options.layer}", options.device, options.precision]
    print(", ".join([*told, f"{options.threads} threads", f"{options.rounds} rounds\n"]))
    print("| level | xrealign, pairs/s | SimAlign, pairs/s | ratio | lowest ratio of a round | links in common |")
    print("|---|---:|---:|---:|---:|---:|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
