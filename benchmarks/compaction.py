"""What training on the used rows of the embeddings saves: seconds a step and peak memory, full ÷ compact.

    python benchmarks/compaction.py [--steps 8] [--batch 16]

Each side runs in a process of its own, one after the other, on the starter encoder with everything trainable.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def measure(compact: bool, steps: int, batch: int) -> dict[str, float]:
    """Trains the sentence objective on UDHR segments; seconds a step after the first two, and peak memory in GiB."""
    from xrealign.align.aligned import AlignedTexts
    from xrealign.corpus.embedded import bitext, udhr_segments
    from xrealign.language import parse_language
    from xrealign.model.encoder import load_encoder
    from xrealign.segment import spans_by_blanks
    from xrealign.train import loop
    from xrealign.train.realign import RealignSettings, realign

    pairs = bitext(udhr_segments(), parse_language("eng"), parse_language("tur")).pairs
    src, tgt = [pair.src for pair in pairs], [pair.tgt for pair in pairs]
    spans = [[spans_by_blanks(text) for text in side] for side in (src, tgt)]
    links = [spans[0][0][:0]] * len(pairs)
    texts = AlignedTexts([p.id for p in pairs], ["tur_Latn"] * len(pairs), src, tgt, *spans, links)
    settings = RealignSettings(
        objective="sentence", steps=steps, batch_size=batch, freeze="none", max_length=64, compact_vocabulary=compact
    )
    marks: list[float] = []
    seed_torch = loop.seed_torch

    def mark(*names: object) -> None:
        marks.append(time.perf_counter())
        seed_torch(*names)

    loop.seed_torch = mark
    with tempfile.TemporaryDirectory() as folder:
        realign(load_encoder("starter"), texts, settings, Path(folder), seed=1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"seconds_a_step": (marks[-1] - marks[2]) / (len(marks) - 3), "peak_gib": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--only", choices=("full", "compact"), help="measure one side in this process")
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(measure(arguments.only == "compact", arguments.steps, arguments.batch)))
        return
    sides = {}
    for side in ("full", "compact"):
        command = [
            sys.executable,
            __file__,
            "--only",
            side,
            "--steps",
            str(arguments.steps),
            "--batch",
            str(arguments.batch),
        ]
        sides[side] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(f"{side:<8} {sides[side]['seconds_a_step']:.2f} s a step, peak {sides[side]['peak_gib']:.2f} GiB")
    for key, name in (("seconds_a_step", "time"), ("peak_gib", "memory")):
        print(f"full ÷ compact, {name}: {sides['full'][key] / sides['compact'][key]:.2f}")


if __name__ == "__main__":
    main()
