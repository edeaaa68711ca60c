"""A file of a million sentence pairs: memory over time, and the same bytes after being killed and gone on.

    XREALIGN_DATA=FOLDER python benchmarks/align_million.py [--pairs 1000000] [--kills 3] [--aligner dictionary]

Sentences are those of Tatoeba in the data pack, repeated with a number in each so that no two lines are alike. What is
on trial is the machinery that all aligners share: reading, checking, linking, writing, keeping account. `argmax` is run
at layer 0 (the embeddings), centred; `dictionary` with the pack's French one. The first run is left alone and its
resident memory sampled: does the second half of the file take more than the first? The second is killed
(SIGKILL) at random moments and given again until it ends. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

from xrealign.paths import data_folder

PACK, PAIR = "tatoeba_laser.tar.xz", "fra"
LONGEST = 15  # words
DICTIONARY = Path("starter/dictionaries/xling_eval/eng-fra.test.tsv")


def sentences(pack: Path) -> list[tuple[str, str]]:
    """Sentence pairs of the pack's first language pair of this code, source and target."""
    with tarfile.open(pack) as archive:
        names = sorted(name for name in archive.getnames() if f".{PAIR}-eng." in name)
        sides = [archive.extractfile(name).read().decode("utf-8").splitlines() for name in names]  # type: ignore[union-attr]
    found = [pair for pair in zip(*sides, strict=True) if all(0 < len(side.split()) <= LONGEST for side in pair)]
    return [(" ".join(src.split()), " ".join(tgt.split())) for src, tgt in found]


def write_pairs(path: Path, pairs: list[tuple[str, str]], count: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        for n in range(count):
            src, tgt = pairs[n % len(pairs)]
            file.write(f"{src} {n}\t{tgt} {n}\n")


def resident(pid: int) -> int:
    """Bytes of memory that a process holds now; 0 when it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    lines = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(lines[0].split()[1]) * 1024 if lines else 0


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--aligner", default="dictionary", choices=["dictionary", "argmax", "hmm-agreement"])
    options = parser.parse_args()
    data = data_folder()
    if data is None:
        sys.exit("needs the data pack: set XREALIGN_DATA to its folder")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "pairs.tsv"
        write_pairs(source, sentences(data / "packs" / PACK), options.pairs)
        more = {"argmax": ["--layer", "0", "--centre"], "dictionary": ["--dictionary", str(data / DICTIONARY)]}
        command = [sys.executable, "-c", "from xrealign.cli import main; main()", "align", str(source), "--aligner",
                   options.aligner, *more.get(options.aligner, []), "-o"]  # fmt: skip

        start = time.monotonic()
        samples = []
        process = subprocess.Popen([*command, str(folder / "whole")], stderr=subprocess.DEVNULL)
        while process.poll() is None:
            samples.append((time.monotonic() - start, resident(process.pid)))
            time.sleep(0.5)
        seconds = time.monotonic() - start
        if process.returncode:
            sys.exit(f"the command failed with {process.returncode}")
        sizes = [size for _, size in samples]
        first, second = max(sizes[: len(sizes) // 2]) / 2**20, max(sizes[len(sizes) // 2 :]) / 2**20

        draw = random.Random(0)
        kills = 0
        for _ in range(options.kills):
            process = subprocess.Popen([*command, str(folder / "killed")], stderr=subprocess.DEVNULL)
            try:
                process.wait(draw.uniform(0.15, 0.35) * seconds)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                kills += 1
        process = subprocess.run([*command, str(folder / "killed")], capture_output=True, text=True, check=True)
        went_on = "going on after line" in process.stderr
        same = digest(folder / "whole") == digest(folder / "killed")
    print("| aligner | pairs | seconds | pairs/s | most memory, first half | second half | killed | the same file |")
    print("|---|---:|---:|---:|---:|---:|---:|---|")
    told = "yes" if same and went_on else "NO"
    print(f"| {options.aligner} | {options.pairs:,} | {seconds:.0f} | {options.pairs / seconds:.0f} | {first:.0f} MiB "
          f"| {second:.0f} MiB | {kills} | {told} |")  # fmt: skip


if __name__ == "__main__":
    main()
