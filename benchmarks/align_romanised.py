"""Does likeness of romanised words help the argmax aligner? AER on gold alignments, by weight and floor.

    XREALIGN_DATA=FOLDER python benchmarks/align_romanised.py [--encoder starter] [--layer 7] [--aligner argmax]

Weight and floor with the lowest mean AER over the pairs in CHOOSE are taken; nothing is chosen on those in CONFIRM.
Vectors are centred. Prints Markdown tables: AER by weight and floor, then the choice beside no boost for every pair,
with the 95 % bootstrap interval of the difference (sentence pairs resampled, both aligners on the same sample).
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch

from align_gold import CHOOSE, CONFIRM, language_means, table, vectors
from xrealign.align.embedding import Units, similarities
from xrealign.align.extract import ALIGNERS, AlignSettings
from xrealign.align.romanised import romanised_boost, romanised_similarity
from xrealign.align.score import link_counts, measures, read_gold, words
from xrealign.model.encoder import load_encoder
from xrealign.paths import data_folder
from xrealign.textio import read_lines
from xrealign.types import WordAlignment

WEIGHTS = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
FLOORS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
Batches = list[tuple[np.ndarray, Units]]
Words = list[list[str]]
Prepared = list[tuple[np.ndarray, Units, torch.Tensor, torch.Tensor]]  # rows, units, cosines, likeness


def sentences(path: Path) -> tuple[Words, Words]:
    rows = [line.split("\t")[:2] for _, line in read_lines(path)]
    return [words(src) for src, _ in rows], [words(tgt) for _, tgt in rows]


def prepare(batches: Batches, sides: tuple[Words, Words]) -> Prepared:
    """Cosines and likeness of each batch."""
    means = language_means(batches)
    found = []
    for rows, made in batches:
        half = len(rows)
        cosine = similarities(made.vectors[:half] - means[0], made.vectors[half:] - means[1], "cosine")
        src, tgt = ([side[row] for row in rows] for side in sides)
        alike = torch.from_numpy(romanised_boost(src, tgt, 1.0, 0.0, cosine.shape[1], made.words))
        found.append((rows, made, cosine, alike))
    return found


def counts(
    gold: list[WordAlignment], prepared: Prepared, settings: AlignSettings, weight: float, floor: float
) -> np.ndarray:
    """`link_counts` of an aligner whose cosines are boosted."""
    found: list[frozenset[tuple[int, int]]] = [frozenset()] * len(gold)
    for rows, made, cosine, alike in prepared:
        half = len(rows)
        similarity = cosine + weight * (alike - floor).clamp(min=0)
        both = made.mask[:half, :, None] & made.mask[half:, None, :]
        scores = ALIGNERS[settings.aligner].links(similarity, both, settings)
        for number, row in enumerate(rows):
            i, j = np.nonzero(scores[number] > -np.inf)
            if made.words is not None:
                i, j = made.words[number, i], made.words[number + half, j]
            found[row] = frozenset(zip(i.tolist(), j.tolist(), strict=True))
    return link_counts(gold, found)


def aer(rows: np.ndarray) -> float:
    return float(measures(rows.sum(0, keepdims=True))[0, 3])


def difference(before: np.ndarray, after: np.ndarray, resamples: int = 2000) -> tuple[float, float]:
    """95 % interval of AER after − AER before."""
    random = np.random.Generator(np.random.PCG64(0))
    drawn = random.multinomial(len(before), np.full(len(before), 1 / len(before)), size=resamples)
    change = measures(drawn @ after)[:, 3] - measures(drawn @ before)[:, 3]
    low, high = np.quantile(change, [0.025, 0.975])
    return float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="starter")
    parser.add_argument("--layer", type=int, default=7)
    parser.add_argument("--level", default="word", choices=["word", "subword"])
    parser.add_argument("--aligner", default="argmax", choices=[a for a in ALIGNERS if ALIGNERS[a].similarity != "dot"])
    options = parser.parse_args()
    data = data_folder()
    if data is None:
        sys.exit("needs the data pack: set XREALIGN_DATA to its folder")
    folder = data / "starter" / "alignments"
    encoder = load_encoder(options.encoder)
    settings = AlignSettings(options.aligner, options.layer, options.level, centre=True)
    pairs = (*CHOOSE, *CONFIRM)
    gold = {pair: read_gold(folder / f"{pair}.tsv") for pair in pairs}
    sides = {pair: sentences(folder / f"{pair}.tsv") for pair in pairs}
    made = {}
    for pair in pairs:
        batches = vectors(encoder, folder / f"{pair}.tsv", [options.layer], options.level)[options.layer]
        made[pair] = prepare(batches, sides[pair])

    def run(pair: str, weight: float, floor: float) -> np.ndarray:
        return counts(gold[pair], made[pair], settings, weight, floor)

    with torch.inference_mode():
        plain = {pair: run(pair, 0.0, 0.0) for pair in pairs}
        grid = {
            (weight, floor): float(np.mean([aer(run(pair, weight, floor)) for pair in CHOOSE]))
            for weight in WEIGHTS
            for floor in FLOORS
        }
        none = float(np.mean([aer(plain[pair]) for pair in CHOOSE]))
        print(f"Mean AER over the choosing pairs, %; no boost: {100 * none:.2f}\n")
        head = ["weight", *(f"floor {floor:g}" for floor in FLOORS)]
        print(table(head, [[f"{w:g}", *(f"{100 * grid[w, f]:.2f}" for f in FLOORS)] for w in WEIGHTS]))
        best = min(grid, key=grid.__getitem__)
        boosted = {pair: run(pair, *best) for pair in pairs}
    rows = []
    for name, chosen in (("choosing", CHOOSE), ("confirming", CONFIRM)):
        for pair in chosen:
            low, high = difference(plain[pair], boosted[pair])
            before, after = aer(plain[pair]), aer(boosted[pair])
            rows.append([pair, f"{100 * before:.2f}", f"{100 * after:.2f}", f"{100 * (after - before):+.2f}",
                         f"{100 * low:+.2f} to {100 * high:+.2f}"])  # fmt: skip
        before, after = (float(np.mean([aer(kept[pair]) for pair in chosen])) for kept in (plain, boosted))
        rows.append(
            [f"mean, {name}", f"{100 * before:.2f}", f"{100 * after:.2f}", f"{100 * (after - before):+.2f}", ""]
        )
    print(table(["AER, %", "no boost", f"weight {best[0]:g}, floor {best[1]:g}", "difference", "95 %"], rows))
    start, many = time.perf_counter(), sum(len(gold[pair]) for pair in pairs)
    for pair in pairs:
        for src, tgt in zip(*sides[pair], strict=True):
            romanised_similarity(src, tgt)
    print(f"{1e6 * (time.perf_counter() - start) / many:.0f} µs a pair for the likeness, words romanised already")


if __name__ == "__main__":
    main()
