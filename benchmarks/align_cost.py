"""What aligning costs besides the encoder, on one core; and whether memory grows with the file.

    XREALIGN_DATA=FOLDER python benchmarks/align_cost.py [--aligners argmax,itermax] [--memory 20000,60000]

Cost: milliseconds a pair for everything but the forward pass (spans, subwords, batches, pooling, similarities, links,
filters, lines) over the English-French gold set's sentences, with random states in place of the encoder's. Memory:
peak resident memory of `xrealign align` at layer 0 on files of so many pairs. Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from xrealign.align import embedding
from xrealign.align.extract import ALIGNERS, AlignSettings
from xrealign.align.files import FileSettings, Totals, write_line
from xrealign.align.pairs import read_rows
from xrealign.model.encoder import load_encoder
from xrealign.model.words import encode_texts
from xrealign.paths import data_folder
from xrealign.segment import spans_of_words

PEAK = """
import resource
from xrealign.cli import main
try:
    main()
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def cost(path: Path, aligner: str, level: str) -> float:
    """Milliseconds a pair without the encoder; the best of three."""
    encoder = load_encoder("starter")
    generator = torch.Generator().manual_seed(0)
    states: dict[torch.Size, torch.Tensor] = {}

    def random_states(_model: object, _layer: int, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        shape = inputs["input_ids"].shape
        if shape not in states:
            states[shape] = torch.randn(*shape, encoder.width, generator=generator)
        return states[shape]

    embedding.hidden_state, times = random_states, []
    for _ in range(4):  # the first makes the states
        start = time.perf_counter()
        rows = [row for row in read_rows([path], "tsv") if not row.fault]
        sides = []
        for side in ("src", "tgt"):
            made = [spans_of_words(getattr(row, side)) for row in rows]
            sides.append(encode_texts(encoder.tokenizer, [t for t, _ in made], 512, [s for _, s in made]))
        found = embedding.encoded_links(encoder, *sides, AlignSettings(aligner, 7, level))
        for row, links in zip(rows, found, strict=True):
            write_line(row, links, FileSettings(), Totals())
        times.append((time.perf_counter() - start) / len(rows) * 1000)
    return float(np.min(times[1:]))


def peak(path: Path, pairs: int, folder: Path) -> float:
    """Peak resident memory, MiB, of aligning a file of ``pairs`` lines made by repeating another one's."""
    lines = path.read_text("utf-8").splitlines(keepends=True)
    big = folder / f"{pairs}.tsv"
    with big.open("w", encoding="utf-8") as file:
        file.writelines(lines[n % len(lines)] for n in range(pairs))
    command = [sys.executable, "-c", PEAK, "align", str(big), "-o", str(folder / "out"), "--layer", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--aligners", default=",".join(ALIGNERS))
    parser.add_argument("--memory", default="20000,60000")
    options = parser.parse_args()
    data = data_folder()
    if data is None:
        sys.exit("needs the data pack: set XREALIGN_DATA to its folder")
    torch.set_num_threads(1)
    gold = data / "starter" / "alignments" / "eng-fra.tsv"
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "pairs.tsv"
        path.write_text("".join(f"{line.rpartition(chr(9))[0]}\n" for line in gold.read_text("utf-8").splitlines()))
        print("| aligner | word, ms a pair | subword, ms a pair |\n|---|---:|---:|")
        for aligner in options.aligners.split(","):
            print(
                f"| {aligner} | {cost(path, aligner, 'word'):.2f} | {cost(path, aligner, 'subword'):.2f} |", flush=True
            )
        if options.memory:
            print("\n| pairs | peak memory, MiB |\n|---:|---:|")
            for pairs in map(int, options.memory.split(",")):
                print(f"| {pairs} | {peak(path, pairs, Path(name)):.0f} |", flush=True)


if __name__ == "__main__":
    main()
